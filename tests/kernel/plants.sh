#!/bin/sh
# Break the simulated CPUs in one way after another (QY_PLANT, tests/kernel/sim_tlb.h), on both formats: the tests of mapping
# must fail each time, so that an invalidation that does not happen is found. TAP. plants.sh MAPS REGIONS

set -u
failed=0
number=0
plant() { # PLANT FORMAT PROGRAM NAME
  number=$((number + 1))
  if QY_PLANT=$1 QY_FORMAT=$2 timeout 60 "$3" >/dev/null 2>&1; then
    echo "not ok $number - $2: $4: not found"
    failed=1
  else
    echo "ok $number - $2: $4: found"
  fi
}

for format in x86-64 sv48; do
  plant 1 $format "$1" "an invalidation of pages does nothing"
  plant 2 $format "$1" "it leaves out the last page"
  plant 3 $format "$1" "it takes large pages for small ones"
  plant 4 $format "$1" "an invalidation of a tag does nothing"
  plant 5 $format "$1" "it forgets pages, not the tables on the way"
  plant 6 $format "$1" "loading keeps what a tag had before"
  plant 7 $format "$1" "forgetting everything leaves what is global"
  plant 8 $format "$1" "instructions that were fetched stay"
  plant 9 $format "$1" "a CPU outside of the kernel answers without forgetting"
done
# x86-64's CPUs remember nothing of what was not there, and forget what they fault on by themselves.
plant 10 sv48 "$2" "after a fault nothing is forgotten"
echo "1..$number"
exit "$failed"
