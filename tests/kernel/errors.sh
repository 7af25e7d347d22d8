#!/bin/sh
# Compare what calls returned in the kernel's tests with the table of errors: errors.sh ABI_MANUAL FOLDER TEST...
# Each test leaves "CALL ERROR" lines in FOLDER/TEST. An error that is not in the table fails, and one of the table that
# no test met. Skipped unless all of these tests have run in this build.
set -u
manual=$1 folder=$2
shift 2

# Listed, but not met on the simulated machine, with the reason.
elsewhere='ports_bind UNSUPPORTED' # RISC-V has no ports: user/root/attack_devices.c
# Only if memory runs out, or the space goes, between the checks of a call and its last step; tests of the library
# (tests/vm) meet them with the n-th allocation failing.
elsewhere="$elsewhere
frame_map OUT_OF_MEMORY
frame_map REVOKED
table_map OUT_OF_MEMORY
space_unmap_region OUT_OF_MEMORY
space_protect_region OUT_OF_MEMORY
space_clone OUT_OF_MEMORY
space_settle OUT_OF_MEMORY
reply_map ALREADY_MAPPED
reply_map BUSY
interrupt_bind REVOKED"

for test; do
  [ -e "$folder/$test" ] || { echo "1..0 # SKIP $test has not run in this build"; exit 0; }
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
"$manual" --errors | LC_ALL=C sort >"$work/listed" || exit 1
for test; do cat "$folder/$test"; done | LC_ALL=C sort -u >"$work/met"
{ cat "$work/met"; echo "$elsewhere"; } | LC_ALL=C sort -u >"$work/met-or-elsewhere"
echo 1..2
bad=0
unlisted=$(LC_ALL=C comm -13 "$work/listed" "$work/met")
[ -z "$unlisted" ] || { bad=1; echo "$unlisted" | sed 's/^/# not in call_errors.h: /'; printf 'not '; }
echo "ok 1 - every error that a call returned is listed"
unmet=$(LC_ALL=C comm -23 "$work/listed" "$work/met-or-elsewhere")
[ -z "$unmet" ] || { bad=1; echo "$unmet" | sed 's/^/# no test meets: /'; printf 'not '; }
echo "ok 2 - every error that is listed was returned ($(wc -l <"$work/met") pairs of call and error)"
exit $bad
