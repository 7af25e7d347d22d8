/*
 * Empty slots of the program's capability node: who makes or receives a capability takes one first.
 *
 *     own node:  | fixed | given at the start | ... [first, first + count) handed out here ... |
 *
 * Invariant SLOTS-ONCE: a slot is out to one taker at most; its bit is set as long. Locking: one lock inside; any
 * thread may call. Cost: O(count / 64). Failure: no slot is left, which the caller hears as TOO_MANY.
 */
#ifndef USER_SLOTS_H
#define USER_SLOTS_H

#include <user/call.h>

#define SLOTS_MAX 4096u /* handed out at most; of a larger node the rest stays unused */

/* From here on the slots [first, first + count) of the node are handed out. Programs that a loader started need not
 * call it. */
void slots_begin(uint32_t first, uint32_t count);

/* An empty slot; 0 = there is none. */
uint32_t slot_take(void) CALL_MUST_USE;

/* Give it back: it is empty again, and was taken before. */
void slot_give(uint32_t slot);

/* Retype one object into a slot of its own. Errors: those of untyped_retype; TOO_MANY (no slot is left). */
enum qy_error slot_make(qy_handle_t untyped, enum qy_object_type type, uint64_t pages,
                        qy_handle_t *out) CALL_MUST_USE;

/* Delete a capability that stands in a slot taken here, and give the slot back. 0 is let pass. */
void slot_delete(qy_handle_t handle);

/* The same, once its object has been destroyed by others: by a revoke of what it was made from. */
static inline void slot_forget(qy_handle_t handle)
{
    if (handle)
        slot_give(QY_HANDLE_INDEX(handle));
}

#endif
