#!/bin/sh
# shellcheck disable=SC2016,SC2317 # backquotes of the text; functions that are called by their names in a variable
# Check docs/promises.md against the sources:
#
#   check_promises.sh [PROMISES]
#
# Every `file:function` is there; every `program: subtest` and every boot is one of ours; every invariant that a header
# states ("* ID   sentence" below "Invariants") has a row with a validator and a test, and every row is an invariant.
# Prints TAP; exit code 1 if there is a breach.
set -u

root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root" || exit 1
promises=${1:-docs/promises.md}
breaches=$(mktemp)
trap 'rm -f "$breaches" "$breaches.names"' EXIT INT TERM

[ -s "$promises" ] || { echo "Bail out! there is no $promises"; exit 1; }
grep -o '`[^`]*`' "$promises" | tr -d '`' | sort -u >"$breaches.names"

# function_exists FILE NAME: defined there, or an object of that name.
function_exists() {
  [ -f "$1" ] && grep -Eq "(^|[^a-z0-9_])$2( =|\()" "$1"
}

# The source of a hosted test program: the last part of its name is the file's.
sources_of() {
  for source in tests/*/*.c; do
    stem=${source##*/}
    stem=${stem%.c}
    case $1 in
    "$stem" | *[-_]"$stem") echo "$source" ;;
    esac
  done
}

program_exists() {
  [ -n "$(sources_of "$1")" ] || grep -q "test('$1'" tests/*/meson.build
}

subtest_exists() { # PROGRAM SUBTEST
  for source in $(sources_of "$1"); do
    grep -qF "\"$2\"" "$source" tests/*/"${source##*/}" tests/*/random_inputs.c && return 0
  done
  return 1
}

boots() {
  awk '!/^#/ && NF >= 6 { variant = $5; gsub(/\+/, " ", variant); print $1 " " $2 " smp" $3 " " $4 (variant == "-" ? "" : " " variant) }' \
    tests/boot/matrix
}

# Ids in the lists of invariants of headers of ours.
invariants() {
  awk '/\* Invariants?/ || /\*  *Invariants/ { list = 1; next } /\*\// { list = 0 }
    list && /^ \*   [A-Z][A-Z0-9]+(-[A-Z]+)?  / { print $2; next } list && !/^ \*    / { list = 0 }' \
    mem/include/qy/*.h kernel/include/kernel/*.h kernel/*/*.h mem/*/*.h user/*/*.h platform/include/platform/*.h | sort -u
}

names() {
  while IFS= read -r name; do
    case $name in
    ./quarry* | tools/* | TEST_SEED | TEST_SCHEDULE | check | tests/model) ;;
    file:function | 'program: subtest' | 'machine path smpN memory words') ;;
    'x86_64 '* | 'riscv64 '*) boots | grep -qxF -- "$name" || echo "the boot '$name' is not in tests/boot/matrix" ;;
    *.[ch]:*) function_exists "${name%%:*}" "${name#*:}" || echo "there is no $name" ;;
    *': '*) subtest_exists "${name%%: *}" "${name#*: }" || echo "there is no test '$name'" ;;
    atomic | exact) ;;
    *) program_exists "$name" || echo "there is no test program '$name'" ;;
    esac
  done <"$breaches.names"
}

rows() {
  for id in $(invariants); do
    grep -Eq "^[|] $id [|] \`[^\`]+:[^\`]+\` [|] \`[^\`]+\` [|]\$" "$promises" ||
      echo "the invariant $id has no row with a validator and a test"
  done
  sed -n 's/^| \([A-Z][A-Z0-9-]*\) | .*/\1/p' "$promises" | while read -r id; do
    grep -rqE "^ \*   $id " mem kernel user || echo "the row $id is no invariant that a header states"
  done
}

sixteen() {
  for nth in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    awk -v n="$nth" '$1 == "###" { in_it = $2 == n } in_it { if (/^- kept by/) kept = 1; if (/^- validators/) seen = 1
      if (/^- noticed by/) noticed = 1; if (/\*Not promised/) not = 1 } END { exit !(kept && seen && noticed && not) }' "$promises" ||
      echo "promise $nth lacks what is not promised, what keeps it, a validator or a test"
  done
}

number=0 failed=0
for part in names rows sixteen; do
  number=$((number + 1))
  "$part" >"$breaches"
  verdict=ok
  [ ! -s "$breaches" ] || verdict='not ok' failed=1
  case $part in
  names) echo "$verdict $number - every function, test and boot that is named exists" ;;
  rows) echo "$verdict $number - every invariant has a validator and a test" ;;
  sixteen) echo "$verdict $number - every promise says what keeps it, what notices, and what it is not" ;;
  esac
  sed 's/^/# /' "$breaches"
done
echo "1..$number"
exit "$failed"
