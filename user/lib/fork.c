/*
 * Fork: see user/process.h. The registers that a C function keeps are saved first, into memory that is cloned with the
 * rest; the clone's first thread begins by loading them.
 *
 *     parent   save --> parts, capabilities --> clone, a part of the space a call --> start --> goes on
 *                '--------------------------------> child: load --> its own slots, seed, pointer --> goes on
 */
#include "load.h"

#include <user/print.h>
#include <user/program.h>
#include <user/secret.h>
#include <user/slots.h>

#define USER_END 0x0000800000000000ull
#define COPIED_STACK 256u /* of a thread that only loads registers */

/* ARCH/fork.S: save what a call keeps and return 0; begin a thread by loading it, and return 1. */
int fork_save(uint64_t saved[FORK_WORDS]) __attribute__((returns_twice));
_Noreturn void fork_load(const uint64_t saved[FORK_WORDS]);

static struct {
    uint64_t saved[FORK_WORDS];
    uint64_t pointer; /* to thread-local storage */
    uint8_t seed[SECRET_SEED_BYTES];
} state;

/* What this process was given and loaded from goes along; a capability that may not be copied does not. */
static enum qy_error give_along(const struct process *child)
{
    enum qy_error error = QY_OK;

    for (uint64_t slot = PROGRAM_ARCHIVE; slot < PROGRAM_FREE && error == QY_OK; slot++) {
        struct cap_state cap;
        if (slot > PROGRAM_ARCHIVE && slot < PROGRAM_GIVEN(0))
            continue;
        if (cap_info(QY_SLOT_NODE, slot, &cap) == QY_OK)
            error = cap_copy(child->node, slot, cap.handle, cap.rights, 0).error;
        if (error == QY_NO_RIGHTS)
            error = QY_OK;
    }
    return error;
}

static enum qy_error fork_parent(const struct process_plan *plan, struct process *child)
{
    uint64_t at = PAGE_BYTES;
    enum qy_error error = process_make(plan, child);

    if (error == QY_OK)
        error = give_along(child);
    if (error == QY_OK)
        error = space_clone(child->space, QY_SLOT_SPACE, &at, USER_END);
    if (error == QY_OK)
        error = thread_start(child->thread, (uintptr_t)fork_load,
                             stack_for_entry(state.saved[FORK_STACK] - COPIED_STACK),
                             (uintptr_t)state.saved, QY_CPU_ANY);
    for (unsigned i = 0; i < sizeof(state.seed); i++)
        ((volatile uint8_t *)state.seed)[i] = 0; /* the child's alone */
    if (error == QY_OK)
        return QY_OK;
    enum qy_error undone = process_destroy(child);
    return undone == QY_OK ? error : undone;
}

static enum qy_error fork_child(struct process *child)
{
    *child = (struct process){0};
    slots_begin(PROGRAM_FREE, program->node_slots - PROGRAM_FREE);
    secret_begin(state.seed);
    for (unsigned i = 0; i < sizeof(state.seed); i++)
        ((volatile uint8_t *)state.seed)[i] = 0;
    return program->tls_memory_bytes ? thread_pointer(state.pointer) : QY_OK;
}

enum qy_error process_fork(const struct process_plan *plan, struct process *child, bool *is_child)
{
    print_flush(); /* or both would print it */
    *child = (struct process){.number = plan->number};
    *is_child = false;
    state.pointer = program->tls_memory_bytes ? tls_pointer() : 0;
    secret_bytes(state.seed, sizeof(state.seed));
    if (fork_save(state.saved) == 0)
        return fork_parent(plan, child);
    *is_child = true;
    return fork_child(child);
}

/* Have a page of what the space reads of objects: one that is not there belongs to nobody yet. */
static enum qy_error touch(uint64_t from, uint64_t to)
{
    struct space_region region;
    enum qy_error error = QY_OK;

    for (uint64_t at = from; at < to && error == QY_OK; at = region.end) {
        error = space_query(QY_SLOT_SPACE, at, &region);
        if (error != QY_OK || region.start >= to)
            break;
        if (QY_QUERY_BACKING(region.flags) != QY_BACKED_OBJECT || !(region.flags & QY_MAP_READ))
            continue;
        for (uint64_t page = region.start < from ? from : region.start;
             page < region.end && page < to; page += PAGE_BYTES)
            (void)*(volatile unsigned char *)(uintptr_t)page;
    }
    return error == QY_NOT_FOUND ? QY_OK : error;
}

enum qy_error process_settle(void)
{
    uint64_t info = (uintptr_t)program, at = PAGE_BYTES;
    enum qy_error error = touch(program->image, program->image_end);

    if (error == QY_OK)
        error = touch(info, info + PAGE_BYTES);
    return error == QY_OK ? space_settle(QY_SLOT_SPACE, &at) : error;
}
