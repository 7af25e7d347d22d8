/*
 * Threads that the root task starts in its own address space.
 */
#include "root.h"

/* Turns of waiting for another thread before it is called stuck. */
#define PATIENCE 2000000u

/* A thread, and what it needs to be heard. */
static enum qy_error make_thread(struct root *root, struct child *child)
{
    enum qy_error error = root_make(root, child->budget, QY_OBJ_ENDPOINT, 1, &child->endpoint);
    if (error == QY_OK)
        error = root_make(root, child->budget, QY_OBJ_REPLY, 1, &child->reply);
    if (error == QY_OK)
        error = root_make(root, child->budget, QY_OBJ_THREAD, 1, &child->thread);
    return error;
}

enum qy_error child_make(struct root *root, qy_handle_t budget, uint64_t stack_page,
                         struct child *out)
{
    struct child child = {.budget = budget, .stack_top = stack_page + PAGE_BYTES};
    enum qy_error error = make_thread(root, &child);
    if (error == QY_OK)
        error = root_make(root, budget, QY_OBJ_FRAME, 1, &child.stack);
    if (error != QY_OK)
        return error;
    error =
        root_map(root, budget, child.stack, stack_page, QY_MAP_READ | QY_MAP_WRITE, false, NULL);
    if (error != QY_OK)
        return error;
    *out = child;
    return thread_configure(child.thread, QY_SLOT_SPACE, QY_SLOT_NODE, child.endpoint, 0);
}

/* A page of stack, its guard, and the program in the child's space. */
static enum qy_error furnish(const struct child *child, uint64_t moves)
{
    const uint64_t flags = QY_MAP_READ | QY_MAP_WRITE | QY_REGION(QY_REGION_STACK);
    uint64_t stack = child->stack_top - PAGE_BYTES, guard = stack - PAGE_BYTES;
    uint64_t program = QY_ROOT_INFO_ADDRESS;
    enum qy_error error = space_bind(child->space, child->budget);

    if (error == QY_OK)
        error = space_map_region(child->space, &stack, PAGE_BYTES, flags, 0);
    if (error == QY_OK)
        error = space_map_region(child->space, &guard, PAGE_BYTES, flags | QY_REGION_GUARD, moves);
    if (error == QY_OK)
        error = space_clone(child->space, QY_SLOT_SPACE, &program, QY_ROOT_ARCHIVE_ADDRESS);
    return error;
}

enum qy_error child_make_apart(struct root *root, qy_handle_t budget, uint64_t stack_top,
                               uint64_t moves, struct child *out)
{
    struct child child = {.budget = budget, .stack_top = stack_top};
    enum qy_error error = make_thread(root, &child);
    if (error == QY_OK)
        error = root_make(root, budget, QY_OBJ_ADDRESS_SPACE, 1, &child.space);
    if (error == QY_OK)
        error = furnish(&child, moves);
    if (error != QY_OK)
        return error;
    *out = child;
    return thread_configure(child.thread, child.space, QY_SLOT_NODE, child.endpoint, 0);
}

enum qy_error child_start(const struct child *child, void (*entry)(void *argument), void *argument,
                          unsigned cpu)
{
    return thread_start(child->thread, (uintptr_t)entry, stack_for_entry(child->stack_top),
                        (uintptr_t)argument, cpu);
}

bool child_wait_dead(const struct child *child)
{
    struct thread_status status;

    for (unsigned turn = 0; turn < PATIENCE; turn++) {
        if (thread_info(child->thread, &status) != QY_OK)
            return false;
        if (status.state == QY_THREAD_DEAD)
            return true;
        yield();
    }
    return false;
}
