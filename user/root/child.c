/*
 * Threads that the root task starts in its own address space, and the faults that they report.
 */
#include "root.h"

/* Turns of waiting for another thread before it is called stuck. */
#define PATIENCE 2000000u

enum qy_error child_make(struct root *root, qy_handle_t budget, uint64_t stack_page,
                         struct child *out)
{
    struct child child = {.budget = budget, .stack_top = stack_page + PAGE_BYTES};
    const struct {
        enum qy_object_type type;
        qy_handle_t *handle;
    } parts[] = {
        {QY_OBJ_ENDPOINT, &child.endpoint},
        {QY_OBJ_REPLY, &child.reply},
        {QY_OBJ_THREAD, &child.thread},
        {QY_OBJ_FRAME, &child.stack},
    };
    enum qy_error error;

    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        error = root_make(root, budget, parts[i].type, 1, parts[i].handle);
        if (error != QY_OK)
            return error;
    }
    error =
        root_map(root, budget, child.stack, stack_page, QY_MAP_READ | QY_MAP_WRITE, false, NULL);
    if (error != QY_OK)
        return error;
    *out = child;
    return thread_configure(child.thread, QY_SLOT_SPACE, QY_SLOT_NODE, child.endpoint, 0);
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

bool fault_from(const struct message *message, struct fault *out)
{
    *out = (struct fault){.address = message->word[0],
                          .instruction = message->word[1],
                          .access = (enum qy_access)(message->label >> 8 & 0xff),
                          .mark = (enum qy_fault_found)(message->label >> 16 & 0xff)};
    return (message->label & 0xff) == QY_LABEL_FAULT;
}

const char *fault_access_name(enum qy_access access)
{
    switch (access) {
    case QY_ACCESS_READ:
        return "read";
    case QY_ACCESS_WRITE:
        return "write";
    case QY_ACCESS_EXEC:
        return "execute";
    }
    return "unknown access";
}

const char *fault_mark_name(enum qy_fault_found mark)
{
    switch (mark) {
    case QY_FOUND_NOTHING:
        return "nothing is mapped there";
    case QY_FOUND_PROTECTED:
        return "the mapping does not allow it";
    case QY_FOUND_EXCEPTION:
        return "not a page fault but another exception";
    default:
        return qy_found_words(mark);
    }
}
