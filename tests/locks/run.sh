#!/bin/sh
# Check that clang's analysis of locks finds each planted fault in code on the real headers. TAP. run.sh SOURCE-FOLDER
set -u
cd "$1" || exit 1
clang=$(command -v clang-14 || command -v clang) || { echo "1..0 # SKIP clang is not installed"; exit 0; }
number=0 failed=0

# check PLANT WANTED NAME: WANTED is what the analysis must say; nothing for no fault.
check() {
  number=$((number + 1))
  said=$("$clang" -std=gnu17 -fsyntax-only -Wall -Wthread-safety -Wthread-safety-beta -DPLANT="$1" -Iinclude \
    -Imem/include -Ilib/include -Ikernel/include -Iarch/include -Itests/fake_arch tests/locks/planted.c 2>&1)
  verdict=ok
  if [ -z "$2" ]; then
    [ -z "$said" ] || verdict='not ok' failed=1
  else
    printf '%s\n' "$said" | grep -Eq "planted.c:.*$2.*\[-W(error,-W)?thread-safety" || verdict='not ok' failed=1
  fi
  echo "$verdict $number - $3"
  [ "$verdict" = ok ] || printf '%s\n' "$said" | sed 's/^/# /'
}

check 0 '' "no fault is found where there is none"
check 1 "requires holding lock 'qy_class_arena'" "found: an arena changed without its lock"
check 2 "'qy_class_arena' is not held on every path" "found: a lock kept on one way out"
check 3 "releasing lock 'qy_class_arena' that was not held" "found: a lock let go twice"
check 4 "acquiring lock 'qy_class_caps' that is already held" "found: a lock taken twice"
check 5 "'qy_class_caps' must be acquired before 'qy_class_arena'" "found: locks in the wrong order"
check 6 "writing variable 'counted' requires holding lock 'qy_class_caps'" "found: a guarded variable without its lock"
check 7 "requires holding lock 'qy_class_caps'" "found: a slot filled without the lock of the graph"
check 8 "requires holding lock 'qy_irq_off'" "found: objects of this CPU used with interrupts on"
echo "1..$number"
exit "$failed"
