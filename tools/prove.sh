# shellcheck shell=sh
# shellcheck disable=SC2034,SC2043,SC2154,SC2317 # variables shared with the script that sources this; set -u finds a misspelt one
# ./quarry prove: theorems on bits (proofs/bits.c, z3) and contracts of the code with run-time errors (proofs/*.c that name
# FUNCTIONS, Frama-C/WP). Sourced by quarry.
#
# Prints proved / total of each part, what is not proved and why (proofs/open), and what is believed. Exit 1 if a goal
# that is not in that list is not proved, or if a part has fewer goals than proofs/totals says.

need prove
proofs=$build/prove
mkdir -p "$proofs"
prove_failed=0
export WHY3CONFIG="$proofs/why3.conf"
[ -s "$WHY3CONFIG" ] || must_step "looking for provers" prove-why3.log why3 config detect

prove_fail() {
  prove_failed=1
  printf 'FAIL  %s\n' "$1"
}

# frama_c ARGUMENT...: on the kernel's headers, with words that are not atomic (proofs/include).
frama_c() {
  frama_libc=$(frama-c -print-share-path)/libc
  frama-c -no-frama-c-stdlib -c11 -machdep gcc_x86_64 -cpp-extra-args="-nostdinc -Iproofs/include -Iinclude -Imem/include \
    -Ilib/include -Iplatform/include -Ikernel/include -Itests/fake_arch -Iarch/include -I$frama_libc" "$@"
}

# prove_verdict PART GOALS: GOALS has a line "proved NAME" or "open NAME" for each goal.
prove_verdict() {
  verdict_total=$(grep -c . "$2")
  verdict_proved=$(grep -c '^proved ' "$2")
  printf '%-6s proved %s / %s\n' "$1" "$verdict_proved" "$verdict_total"
  while read -r verdict_state verdict_goal; do
    verdict_why=$(sed -n "s/^$1 $verdict_goal //p" "$root/proofs/open")
    case $verdict_state-$verdict_why in
    proved-) ;;
    proved-*) printf '       proved now, take it out of proofs/open: %s\n' "$verdict_goal" ;;
    open-) prove_fail "$1: $verdict_goal was proved, and is not" ;;
    open-*) printf '       not proved: %s (%s)\n' "$verdict_goal" "$verdict_why" ;;
    esac
  done <"$2"
  verdict_least=$(sed -n "s/^$1 //p" "$root/proofs/totals")
  [ "$verdict_total" -ge "${verdict_least:-1}" ] ||
    prove_fail "$1: $verdict_total goals, and there were $verdict_least: something is not looked at any more"
}

prove_bits() {
  clang-14 -std=gnu17 -O2 -S -emit-llvm -fno-vectorize -fno-slp-vectorize -mllvm -inline-threshold=100000 \
    -mllvm -unroll-threshold=100000 -Iinclude -Imem/include -Ilib/include -Iplatform/include -Ikernel/include \
    -Iarch/include -Itests/fake_arch -Wno-unused-function -o "$proofs/bits.ll" proofs/bits.c &&
    /usr/bin/python3 proofs/bits.py "$proofs/bits.ll"
}

# prove_contracts PART: proofs/PART.c names the functions whose goals count.
prove_contracts() {
  contracts_of=$(sed -n 's/^ \* FUNCTIONS: *//p' "proofs/$1.c" | tr -s ' \n' ',' | sed 's/,$//')
  frama_c "proofs/$1.c" -wp -wp-rte -wp-prover z3,cvc4 -wp-timeout 20 -wp-par "$jobs" -wp-fct "$contracts_of"
}

step "theorems on bits" prove-bits.log prove_bits
sed -n 's/^ok \(.*\)/proved \1/p; s/^FAIL \([^:]*\).*/open \1/p' "$logs/prove-bits.log" >"$proofs/bits.goals"
prove_verdict bits "$proofs/bits.goals"

for prove_part in pt; do
  step "contracts of $prove_part" "prove-$prove_part.log" prove_contracts "$prove_part" ||
    prove_fail "$prove_part: Frama-C ended with an error; log: build/log/prove-$prove_part.log"
  sed -n 's/^\[wp\] \[[^]]*\] Goal \([a-zA-Z0-9_]*\) : Valid.*/proved \1/p; s/^\[wp\] \[[^]]*\] Goal \([a-zA-Z0-9_]*\)\( (.*\)\{0,1\}$/open \1/p' \
    "$logs/prove-$prove_part.log" >"$proofs/$prove_part.goals"
  prove_verdict "$prove_part" "$proofs/$prove_part.goals"
done

printf 'believed:\n'
sed -n 's/^.*\/\/ by bits: \(.*\)/       a contract that bits.c stands for: \1/p; s/^ *axiom \([a-z_]*\).*/       axiom \1/p' proofs/*.c
printf '       no admit; clang 14, Frama-C, Why3, z3, cvc4, proofs/bits.py; one CPU at a time (proofs/include/stdatomic.h)\n'
exit "$prove_failed"
