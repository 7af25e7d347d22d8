#!/bin/sh
# Leave out or reorder one step of mem/tlb at a time: the search of tests/tlb/explore.c has to find each. TAP.
# mutants.sh COMPILER ROOT
#
# A mutant is a name and a program for sed. One that does not change the source any more is an error here. What takes
# three CPUs to show is tests/spin's.

set -u
cc=$1 root=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

build() { # SOURCE
  sed "s,\.\./\.\./mem/tlb/tlb.c,$1,; s,\.\./\.\./mem/tlb/gather.c,$root/mem/tlb/gather.c," \
    "$root/tests/tlb/explore.c" >"$work/explore.c"
  "$cc" -std=gnu17 -O2 -w -D_GNU_SOURCE -DQY_TLB_TAGS=2 -DQY_CONFIG_MAX_CPUS=2 -DQY_CONFIG_STATISTICS=0 \
    -I"$root/include" -I"$root/mem/include" -I"$root/lib/include" -o "$work/explore" "$work/explore.c"
}

number=0 failed=0
say() { # OK NAME
  number=$((number + 1))
  echo "$1 $number - $2"
  [ "$1" = ok ] || failed=1
}

mutant() { # NAME SED-PROGRAM
  sed -e "$2" "$root/mem/tlb/tlb.c" >"$work/tlb.c"
  if cmp -s "$root/mem/tlb/tlb.c" "$work/tlb.c"; then
    say "not ok" "$1: the source has no such place any more"
  elif ! build "$work/tlb.c"; then
    say "not ok" "$1: does not compile"
  elif timeout 60 "$work/explore" >"$work/out"; then
    say "not ok" "$1: not found"
  else
    say ok "$1: found"
    sed -n 's/^# .*bounds.*//; s/^# \(.*: .*\)/# \1/p' "$work/out"
  fi
}

mutant "the generation is counted up after the mask was read" \
  '/^    publish_all(gather);/d; s/^    catch_up(tlb, self);/    publish_all(gather);\n&/'
mutant "a tag goes to another space without a flush" \
  's/tag->space == space->id && tag->generation == generation;/(!tag->space || tag->generation == generation);/'
mutant "a stale tag is taken for a good one" 's/ && tag->generation == generation;/;/'
mutant "the generation is read before the bit is set" \
  's/^        atomic_fetch_or(mask_word(space, cpu->index).*/        uint64_t early = atomic_load(\&space->generation);\n&/; s/tag_take(tlb, cpu, space, atomic_load(&space->generation))/tag_take(tlb, cpu, space, early)/'
mutant "the bit of the space before is cleared before the tables are loaded" \
  's/^    tlb->ops->load(space/    if (before) atomic_fetch_and(mask_word(before, cpu->index), ~mask_bit(cpu->index));\n&/'
mutant "the asker does not wait" 's/^            wait(tlb->ops->cpu(.*/            ;/'
mutant "the asker does not forget itself" 's/^    catch_up(tlb, self);//'
mutant "an answer is given before the flush" \
  's/^    if (catch_up(tlb, cpu))/    atomic_store(\&cpu->done, wanted);\n&/'
mutant "the log is believed without its generation" 's/(word & GENERATION_MASK) != (g & GENERATION_MASK) ||/0 \&\&/'
mutant "an answer looks at no space" 's/^    if (tag->generation == now)/    if (tag->generation <= now)/'
mutant "a CPU that is asked is not interrupted" 's/^    tlb->ops->interrupt(cpu);//'
echo "1..$number"
exit "$failed"
