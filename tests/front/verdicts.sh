#!/bin/sh
# The boot tests' verdicts, on emulators that only pretend: a pass needs the exit device and the last line, a hang is
# told from a failure. It would miss a runner that passes whatever happens.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# The runner in a copy of its own, so that it writes no logs and results here.
mkdir -p "$work/copy/build/test" "$work/copy/tests" "$work/copy/build/x86_64/user" "$work/copy/build/riscv64/user" "$work/bin"
cp -r "$root/tools" "$work/copy/"
cp -r "$root/tests/boot" "$work/copy/tests/"
echo archive >"$work/copy/build/x86_64/user/boot.cpio"
echo archive >"$work/copy/build/riscv64/user/boot.cpio"

good='Quarry 0 on x86_64, booted by PVH
CPUs: 1 of 1 run; nodes: 1
memory: total usable 4096 bytes = sum of uses 4096 bytes; difference 0
root: all checks held
checked: 1 arenas: all invariants hold'

# judge WANTED-START LINE-OF-THE-MATRIX STATUS CONSOLE [SECONDS]
judge() {
  wanted=$1
  line=$2
  printf '%s\n' "$4" >"$work/console"
  cat >"$work/bin/qemu-system-x86_64" <<END
#!/bin/sh
cat "$work/console"
[ -z "${5:-}" ] || exec sleep "${5:-0}"
exit $3
END
  chmod +x "$work/bin/qemu-system-x86_64"
  cp "$work/bin/qemu-system-x86_64" "$work/bin/qemu-system-riscv64"
  got=$(PATH=$work/bin:$PATH sh "$work/copy/tests/boot/boot.sh" "$line")
  case $got in
  "$wanted"*) ;;
  *)
    echo "FAIL: status $3, console '$4': got '$got', expected '$wanted'"
    failed=1
    ;;
  esac
}

x86='x86_64 pvh 1 128M - '
judge 'ok ' "$x86 0" 33 "$good
quarry: exit 0"
judge 'FAIL' "$x86 0" 33 "$good"                       # no last line
judge 'FAIL' "$x86 0" 33 "$good
quarry: exit 0
and more"
judge 'FAIL' "$x86 0" 0 "$good
quarry: exit 0"                                        # not through the exit device
judge 'FAIL' "$x86 0" 35 "$good
quarry: exit 0"                                        # the two disagree
judge 'FAIL' "$x86 0" 35 "$good
quarry: exit 1"                                        # both say 1
judge 'FAIL' "$x86 0" 1 "qemu: no such file"
judge 'FAIL' "$x86 0" 33 "Quarry 0 on x86_64, booted by PVH
root: all checks held
quarry: exit 0"                                        # CPUs are not named
judge 'FAIL' "$x86 0" 33 "$(echo "$good" | grep -v checked)
quarry: exit 0"                                        # nothing was checked at the end
judge 'FAIL' "$x86 0" 33 "$(echo "$good" | sed 's/difference 0/difference 8/')
quarry: exit 0"
judge 'FAIL' 'x86_64 pvh 4 128M - 0' 33 "$good
quarry: exit 0"                                        # one CPU of four
judge 'FAIL' "$x86 0 more to say" 33 "$good
quarry: exit 0"
judge 'ok ' "$x86 1 quarry: stop: .*memory" 35 "quarry: stop: no memory
quarry: exit 1"
judge 'FAIL' "$x86 1 quarry: stop: .*memory" 35 "quarry: stop: no reason
quarry: exit 1"
judge 'FAIL' "$x86 1 quarry: stop: .*memory" 33 "quarry: stop: no memory
quarry: exit 0"
judge 'ok ' "$x86 2 quarry: panic: && page 0" 37 "quarry: panic: page fault
  address 8 page 0
quarry: exit 2"
judge 'FAIL' "$x86 2 quarry: panic: && page 0" 37 "quarry: panic: page fault
quarry: exit 2"
judge 'FAIL' 'riscv64 opensbi 1 128M - 0' 0 "$good
quarry: exit 0"                                        # booted another way
judge 'ok ' 'riscv64 opensbi 1 128M - 3' 3 "quarry: exit 3"
QUARRY_TEST_SECONDS=1
export QUARRY_TEST_SECONDS
judge 'HANG' "$x86 0" 33 "$good
quarry: exit 0" 20

set -- "$(grep -c '^ok ' "$work/copy/build/test/results")" "$(grep -c '^HANG ' "$work/copy/build/test/results")"
[ "$*" = "4 1" ] || {
  echo "FAIL: $1 passed and $2 hung were counted, expected 4 and 1"
  failed=1
}
[ "$failed" -eq 0 ] && echo "all as expected"
exit "$failed"
