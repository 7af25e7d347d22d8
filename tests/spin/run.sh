#!/bin/sh
# Check the Promela model of tags and shootdown, and that each planted bug is found. TAP. run.sh COMPILER FOLDER

set -u
cc=$1 folder=$2
if ! command -v spin >/dev/null 2>&1; then
  echo "1..0 # SKIP spin is not installed"
  exit 0
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
number=0 failed=0

# check WANTED NAME BUG LOADS CHANGERS: WANTED is what the search's report must say.
check() {
  number=$((number + 1))
  spin -a -DBUG="$3" -DLOADS="$4" -DCHANGERS="$5" "$folder/shootdown.pml" >spin.out 2>&1 &&
    "$cc" -O1 -w -DSAFETY -DVECTORSZ=2048 -o pan pan.c && timeout 120 ./pan -m1000000 -n >pan.out 2>&1
  verdict=ok
  grep -Eq "$1" pan.out || verdict='not ok' failed=1
  ! grep -q 'max search depth too small' pan.out || verdict='not ok' failed=1
  echo "$verdict $number - $2"
  sed -n 's/^ *\([0-9.e+]*\) states, stored.*/# \1 states/p; s/^pan:1: \([a-z ]*\).*/# \1/p' pan.out
}

check 'errors: 0' "a CPU that loads and leaves spaces while another changes entries" 0 3 1
check 'errors: 0' "two CPUs that change entries of a space that a third runs" 0 1 2
check '^pan:1: assertion violated' "found: the generation is counted up after the mask was read" 1 3 1
check '^pan:1: assertion violated' "found: a space goes untagged when tags are exhausted" 2 3 1
check '^pan:1: invalid end state' "found: the lock is held while waiting" 3 1 2
check '^pan:1: invalid end state' "found: a CPU that waits does not answer" 4 1 2
check '^pan:1: assertion violated' "found: requests are read after the flush" 5 1 2
check '^pan:1: assertion violated' "found: a tag counts as newer than what was flushed" 6 1 2
check '^pan:1: assertion violated' "found: an inactive tag is good whatever has changed" 7 3 1
echo "1..$number"
exit "$failed"
