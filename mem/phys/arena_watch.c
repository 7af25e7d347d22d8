/*
 * Marks of free memory: who crosses one is told once. See qy/arena.h.
 *
 *     free    ------\              /-------- high: crossed, and not low any more
 *                    \            /
 *                     \--\   /---/            low: crossed
 *                         \-/
 *
 * Locking: the arena's lock. Cost: two comparisons where free memory changes, and a look at a null pointer for others.
 */
#include "arena_impl.h"

void qy_watch_look(struct qy_arena *arena)
{
    struct qy_watch *watch = arena->watch;
    uint64_t free = arena->pages[QY_FRAME_FREE];
    if (watch->is_low ? free < watch->high : free >= watch->low)
        return;
    watch->is_low = !watch->is_low;
    watch->crossed(watch);
}

void qy_arena_watch(struct qy_arena *arena, struct qy_watch *watch)
{
    qy_arena_lock(arena);
    arena->watch = watch;
    if (watch) {
        watch->is_low = false;
        qy_watch_look(arena);
    }
    qy_arena_unlock(arena);
}

bool qy_arena_is_watched(struct qy_arena *arena, const struct qy_watch *watch)
{
    qy_arena_lock(arena);
    bool same = arena->watch == watch;
    qy_arena_unlock(arena);
    return same;
}
