/*
 * Faults of locking, one by PLANT, which clang's thread-safety analysis must find when it compiles the real headers; with
 * PLANT 0 there is none. run.sh compiles them; nothing here is ever run.
 */
#include "../../mem/phys/arena_impl.h"
#include "../../mem/slab/slab_impl.h"
#include <kernel/cap.h>
#include <kernel/cpu.h>
#include <kernel/sched.h>

void planted(struct qy_arena *arena, struct slot *slot, struct qy_heap *heap, void *object);

static uint64_t counted QY_GUARDED_BY(qy_class_caps);

void planted(struct qy_arena *arena, struct slot *slot, struct qy_heap *heap, void *object)
{
    (void)arena, (void)slot, (void)heap, (void)object;
#if PLANT == 0 /* no fault: outer before inner, and both let go */
    caps_acquire();
    counted++;
    qy_arena_lock(arena);
    qy_arena_count_free(arena, 1);
    qy_arena_unlock(arena);
    caps_release();
#elif PLANT == 1 /* a function that wants the arena's lock, without it */
    qy_arena_count_free(arena, 1);
#elif PLANT == 2 /* a lock that is kept on one way out */
    qy_arena_lock(arena);
    if (slot)
        return;
    qy_arena_unlock(arena);
#elif PLANT == 3 /* let go twice */
    qy_arena_lock(arena);
    qy_arena_unlock(arena);
    qy_arena_unlock(arena);
#elif PLANT == 4 /* taken twice */
    caps_acquire();
    caps_acquire();
    caps_release();
    caps_release();
#elif PLANT == 5 /* inner before outer */
    qy_arena_lock(arena);
    caps_acquire();
    caps_release();
    qy_arena_unlock(arena);
#elif PLANT == 6 /* a guarded variable, without its lock */
    counted++;
#elif PLANT == 7 /* a capability's slot changed without the lock of the graph */
    slot_fill(slot, slot->object, 0, slot);
#elif PLANT == 8 /* objects of this CPU, with interrupts on */
    (void)!qy_heap_free(NULL, heap, NULL, object);
#endif
}
