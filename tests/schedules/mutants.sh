#!/bin/sh
# Plant one fault at a time in the arena, its frame caches or the lock: schedules.c has to find each, and its schedule string
# has to show it again. TAP. mutants.sh COMPILER ROOT
#
# A mutant is a file and a program for sed. One that does not change the source any more is an error here.
set -u
cc=$1 root=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cp -r "$root/mem" "$work/mem" || exit 1
phys=$(cd "$work/mem/phys" && printf "%s\n" arena*.c frame*.c | sed 's/\.c$//; /^arena_poison$/d')

# compile OBJECT SOURCE ARGUMENT...
compile() {
  compile_object=$1 compile_source=$2
  shift 2
  "$cc" -std=gnu17 -O1 -w -D_GNU_SOURCE "$@" -I"$root/include" -I"$work/mem/include" -I"$root/lib/include" \
    -I"$root/platform/include" -I"$root/hosted/include" -I"$root/hosted" -I"$root/tests" -c -o "$work/$compile_object.o" "$compile_source"
}

yielding() { # NAME...: sources of mem/phys
  for name; do
    compile "$name" "$work/mem/phys/$name.c" -include "$root/tests/schedules/yield.h" || return 1
  done
}

link() {
  compile explore "$root/tests/schedules/schedules.c" -include "$root/tests/schedules/yield.h" &&
    "$cc" -o "$work/explore" "$work"/*.o -Wl,--wrap=qy_port_relax -Wl,--wrap=qy_port_cpu -Wl,--wrap=qy_port_fence_cpu \
      -Wl,--wrap=qy_port_broken -lpthread
}

# shellcheck disable=SC2086 # a list of names
{
  compile schedule "$root/tests/schedules/schedule.c" && compile machine "$root/hosted/machine.c" &&
    compile port "$root/hosted/port.c" && compile rmap "$root/mem/vm/rmap.c" &&
    compile trace "$root/mem/obs/trace.c" && yielding $phys && link
} || { echo "Bail out! it does not compile"; exit 1; }

number=0 failed=0
say() { # OK NAME
  number=$((number + 1))
  echo "$1 $number - $2"
  [ "$1" = ok ] || failed=1
}

if TEST_RUNS=200 "$work/explore" >/dev/null; then say ok "nothing is found in what is there"; else say 'not ok' "nothing is found in what is there"; fi

mutant() { # NAME FILE SED-PROGRAM
  cp "$work/mem/$2" "$work/kept"
  sed -e "$3" "$work/kept" >"$work/mem/$2"
  if cmp -s "$work/kept" "$work/mem/$2"; then
    say 'not ok' "$1: the source has no such place any more"
    return
  fi
  case $2 in
  *.h) remade=$phys ;;
  *) remade=${2##*/} remade=${remade%.c} ;;
  esac
  # shellcheck disable=SC2086
  yielding $remade && link
  TEST_RUNS=3000 timeout 100 "$work/explore" >"$work/out" 2>&1
  schedule=$(sed -n "s/^# .*TEST_SCHEDULE='\(.*\)'$/\1/p" "$work/out" | head -n 1)
  if [ -n "$schedule" ] && ! TEST_SCHEDULE=$schedule timeout 100 "$work/explore" >"$work/again" && grep -q TEST_SCHEDULE "$work/again"; then
    say ok "found: $1"
    echo "# $schedule"
  else
    say 'not ok' "found: $1"
    sed 's/^/# /' "$work/out" | tail -n 5
  fi
  cp "$work/kept" "$work/mem/$2"
  # shellcheck disable=SC2086
  yielding $remade
}

mutant "a mapping is counted by a plain store" phys/frame_mappings.c \
  's/atomic_compare_exchange_weak(&head->word, &old, new)/(qy_word_store(\&head->word, new), 1)/'
mutant "a pin is counted by a plain store" phys/frame_mappings.c \
  's/atomic_compare_exchange_weak(&head->tag, &old, \(.*\)));/(qy_store(\&head->tag, \1), 1));/'
mutant "an arena hands out without its lock" phys/arena.c \
  '/^enum qy_error qy_arena_alloc(/,/^}/ { s/qy_arena_lock(arena);//; s/qy_arena_unlock(arena);// }'
mutant "a cache is taken away while its CPU is at it" include/qy/percpu.h \
  's/while (atomic_load_explicit(&own->busy, memory_order_acquire))/while (0)/'
mutant "a CPU does not say that it is at its cache" include/qy/frame_cache.h \
  '/qy_frame_cache_enter(struct/,/^}/ s/qy_percpu_enter(&cpu->own);//'
mutant "two take the same cache away" phys/frame_cache_slots.c 's/while (cache && cache->leaving)/while (0)/'
mutant "a CPU dismantles its cache although another does" phys/frame_cache_slots.c 's/if (!cache->leaving)/if (1)/'
mutant "a cache that goes stays in its slot" phys/frame_cache_slots.c 's/slot_empty(home, arena->cache_slot, cache);//'
mutant "a lock is taken without waiting" include/qy/lock.h 's/^    qy_lock_wait(lock, ticket);//'
mutant "a lock is not let go" phys/frame_cache_slots.c '/^static struct qy_frame_cache \*choose/,/^}/ s/qy_arena_unlock(arena);//'
echo "1..$number"
exit "$failed"
