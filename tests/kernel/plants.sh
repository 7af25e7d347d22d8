#!/bin/sh
# Break the simulated CPUs in one way after another (QY_PLANT, tests/kernel/sim_tlb.h): the tests of mapping must fail each
# time, so that an invalidation that does not happen is found. TAP. plants.sh PROGRAM

set -u
failed=0
echo 1..9
plant() { # NUMBER PROGRAM NAME
  if QY_PLANT=$1 timeout 60 "$2" >/dev/null 2>&1; then
    echo "not ok $1 - $3: not found"
    failed=1
  else
    echo "ok $1 - $3: found"
  fi
}

plant 1 "$1" "an invalidation of pages does nothing"
plant 2 "$1" "it leaves out the last page"
plant 3 "$1" "it takes large pages for small ones"
plant 4 "$1" "an invalidation of a tag does nothing"
plant 5 "$1" "it forgets pages, not the tables on the way"
plant 6 "$1" "loading keeps what a tag had before"
plant 7 "$1" "forgetting everything leaves what is global"
plant 8 "$1" "instructions that were fetched stay"
plant 9 "$1" "a CPU outside of the kernel answers without forgetting"
exit "$failed"
