#!/bin/sh
# What the front door says to wrong usage: one clear line and exit code 2, before anything is installed or built; and
# that missing packages without root are one line to run. It would miss a wrong value that reaches the emulator.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
  echo "FAIL: $*"
  failed=1
}

# refuse PART-OF-THE-LINE ARGUMENT...
refuse() {
  part=$1
  shift
  "$root/quarry" "$@" >"$work/out" 2>"$work/err" </dev/null
  status=$?
  [ "$status" -eq 2 ] || fail "./quarry $*: exit code $status, expected 2"
  [ "$(wc -l <"$work/err")" -eq 1 ] || fail "./quarry $*: not one line: $(cat "$work/err")"
  grep -qF -- "$part" "$work/err" || fail "./quarry $*: does not say '$part': $(cat "$work/err")"
  [ ! -s "$work/out" ] || fail "./quarry $*: something on standard output"
}

refuse "no command 'walk'" walk
refuse "no option --fast" run --fast
refuse "no option --arch" test --arch x86_64
refuse "no argument 'now'" run now
refuse "profile has no option --interactive" profile --interactive
refuse "no argument 'two'" test one two
refuse "--arch needs a value" run --arch
refuse "x86_64 riscv64; not 'arm64'" run --arch arm64
refuse "clang gcc; not 'tcc'" run --compiler=tcc
for value in 0 -1 256 x 1x '' 08 99999999999999999999; do
  refuse "--smp takes a number from 1 to 255, not '$value'" run --smp "$value"
done
for value in 0 M 1.5G -2G 2GB 99999999T 017M ''; do
  refuse "--mem takes a size such as 128M or 2G, not '$value'" run --mem "$value"
done
for value in 1K 6M 17T; do
  refuse "--mem takes a size from 7M to 16T on x86_64, not '$value'" run --mem "$value"
done
refuse "--mem takes a size from 16M to 16T on riscv64, not '8M'" run --mem 8M --arch riscv64
refuse "--numa takes a number from 1 to 8, not '9'" run --numa 9
refuse "needs a boot without --uefi" run --arch riscv64 --numa 5 --uefi
refuse "needs at least --smp 2" run --arch riscv64 --numa 2 --smp 1
refuse "at least 2M of memory for each node" run --numa 8 --mem 8M
refuse "exclude each other" run --bios --uefi
refuse "--bios is for x86_64" run --arch riscv64 --bios
refuse "plain words" run --append 'a"b'
refuse "--disk takes a file that can be read, not '/no/such/file'" run --disk /no/such/file
refuse "--disk takes a file that can be read, not 'nbd:'" run --disk nbd:
refuse "--timeout takes a number" run --timeout soon
refuse "the suite is one of" bench nothing
refuse "--keep is for all suites" bench phys --keep
refuse "the suite of a --peer is one of" bench machine --peer /dev/null
refuse "--peer takes a file that can be read, not '/no/such/library'" bench heap --peer /no/such/library

"$root/quarry" help >"$work/help" || fail "./quarry help: exit code $?"
for word in run profile view test bench iso check clean --arch --smp --mem --numa --bios --uefi --debug --interactive --append --disk --peer --keep; do
  grep -q -e "$word" "$work/help" || fail "./quarry help does not name $word"
done

# A machine where one package is missing, the user is not root and there is no sudo.
mkdir "$work/bin"
for tool in sh dirname env sort tr nproc printf; do
  ln -s "$(command -v "$tool")" "$work/bin/$tool"
done
printf '#!/bin/sh\ncase $* in *qemu-system-x86*) exit 1 ;; esac\necho installed\n' >"$work/bin/dpkg-query"
printf '#!/bin/sh\necho 1000\n' >"$work/bin/id"
chmod +x "$work/bin/dpkg-query" "$work/bin/id"
PATH=$work/bin "$work/bin/sh" "$root/quarry" run >"$work/out" 2>"$work/err" </dev/null
status=$?
[ "$status" -eq 1 ] || fail "missing package without root: exit code $status, expected 1"
grep -qx 'apt-get update && apt-get install --no-install-recommends qemu-system-x86 *' "$work/err" ||
  fail "missing package without root: no line to run: $(cat "$work/err")"

[ "$failed" -eq 0 ] && echo "all as expected"
exit "$failed"
