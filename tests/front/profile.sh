#!/bin/sh
# ./quarry profile on both architectures: the files are folded stacks as flamegraph.pl and speedscope read them, they
# name who made what, and the planted leak of `leak` is in the profile of what was made; what lives, object by object,
# has the sums that the sites count. It would miss a file that a
# viewer refuses, and owners that are lost on the way from the kernel.

set -u
root=$(cd "$(dirname "$0")/../.." && pwd -P)
failed=0

fail() {
  echo "FAIL: $*"
  failed=1
}

# Every line is FRAME[;FRAME...] BYTES, no stack stands there twice, and the bytes are some.
folded() { # FILE
  [ -s "$1" ] || fail "$1 is empty"
  ! grep -Evn '^[^;]+(;[^;]+)* [0-9]+$' "$1" || fail "$1 has lines that are no folded stacks"
  [ -z "$(sed 's/ [0-9]*$//' "$1" | sort | uniq -d)" ] || fail "$1 has a stack twice"
  [ "$(awk '{ sum += $NF } END { print sum + 0 }' "$1")" -gt 4096 ] || fail "$1 counts no memory"
}

for arch in x86_64 riscv64; do
  "$root/quarry" profile --arch "$arch" --mem 256M --append leak </dev/null || fail "./quarry profile --arch $arch: exit code $?"
  folded "$root/build/profile.folded"
  folded "$root/build/profile-total.folded"
  grep -Eq '^untyped [0-9]+;boot;[a-z_]+\.c:[0-9]+ page table [0-9]+$' "$root/build/profile.folded" ||
    fail "$arch: no page table of the root task in build/profile.folded"
  grep -Eq '^untyped [0-9]+;thread [0-9]+;untyped_retype;[a-z_]+\.c:[0-9]+ frame 24[0-9]+$' "$root/build/profile.folded" ||
    fail "$arch: the planted leak is not in build/profile.folded"
  grep -Eq '^object_reserve;[a-z_]+\.c:[0-9]+ frame [0-9]+$' "$root/build/profile-total.folded" ||
    fail "$arch: no frames in build/profile-total.folded"
  grep -Eq '^profile: [1-9][0-9]* objects of [1-9][0-9]* bytes live, as the counters of their [1-9][0-9]* sites say' \
    "$root/build/log/profile.log" || fail "$arch: leaks and profile have not been compared"
done

[ "$failed" -eq 0 ] && echo "all as expected"
exit "$failed"
