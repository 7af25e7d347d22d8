#!/bin/sh
# ./quarry run as a person calls it: its exit code is the kernel's, on standard output is the console and nothing else,
# the options reach the machine, and a time limit ends what does not end by itself. It would miss a front door that
# drops an option or an exit code.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# run CODE EXPRESSION ARGUMENT...: the exit code, and what the console matches.
run() {
  code=$1
  expression=$2
  shift 2
  "$root/quarry" run "$@" >"$work/out" 2>"$work/err" </dev/null
  status=$?
  tr -d '\r' <"$work/out" >"$work/console"
  if [ "$status" -ne "$code" ]; then
    echo "FAIL: ./quarry run $*: exit code $status, expected $code: $(tail -n 1 "$work/err")"
    failed=1
  elif ! grep -Eq -- "$expression" "$work/console"; then
    echo "FAIL: ./quarry run $*: the console does not say: $expression"
    failed=1
  fi
}

run 0 '^CPUs: 4 of 4 run; nodes: 1$'
run 0 '^CPUs: 3 of 3 run; nodes: 2$' --smp 3 --numa=2 --mem 256M
run 0 '^CPUs: 3 of 3 run; nodes: 2$' --smp 3 --numa 2 --mem 256M --arch riscv64
run 0 'booted by Multiboot2.*firmware memory map' --bios
run 0 'booted by Multiboot2.*UEFI memory map' --uefi --mem 256M
run 0 'booted by UEFI.*UEFI memory map' --uefi --arch riscv64 --append 'one two'
grep -q '^command line: one two$' "$work/console" || {
  echo "FAIL: --append does not reach a kernel started by U-Boot"
  failed=1
}
run 1 '^quarry: stop: crash=nonsense' --append crash=nonsense
run 2 '^quarry: panic: ' --append crash=null --arch riscv64
run 2 '^quarry: panic: ' --append crash=null --bios
run 124 'quarry> ' --interactive --timeout 5

[ "$failed" -eq 0 ] && echo "all as expected"
exit "$failed"
