/*
 * The calls that map.
 */
#include <arch/arch.h>
#include <kernel/call.h>
#include <kernel/ipc.h>
#include <kernel/space.h>

/*
 * What the call names, after the lock was released: anything may be gone, the calling thread too.
 */
static enum qy_error lookup_again(struct call *call, struct slot **space) QY_REQUIRES(qy_class_caps)
{
    if (call->cpu->current != call->thread)
        return QY_REVOKED;
    enum qy_error error = call_lookup(call, call->arguments[0], QY_OBJ_FRAME, 0, &call->slot);
    if (error != QY_OK)
        return error;
    return call_lookup(call, call->arguments[1], QY_OBJ_ADDRESS_SPACE, QY_RIGHT_WRITE, space);
}

/* CPUs that run the space forget what they fetched before, so that none of it runs from the new page. */
static enum qy_error fence_code(struct call *call, struct slot **space) QY_REQUIRES(qy_class_caps)
{
    struct teardown teardown = {0};
    teardown_flush(&teardown, (struct flush){.space = (struct space *)(*space)->object,
                                             .memory = call->slot->object,
                                             .code = true});
    teardown_run(&teardown);
    return lookup_again(call, space);
}

/*
 * A fresh mapping needs no shootdown: a CPU that remembers that nothing was there faults, and tries
 * again. But if one is under way in this space (it is pinned), a CPU may still have what was mapped
 * at that address before.
 */
static void map_finish(struct call *call, struct space *space) QY_REQUIRES(qy_class_caps)
{
    struct teardown teardown = {0};
    const struct slot *slot = call->slot;
    if (!space->object.pins)
        return;
    teardown_flush(&teardown,
                   (struct flush){.space = space,
                                  .memory = slot->object,
                                  .address = frame_address(slot),
                                  .entries = 1ull << (((const struct frame *)slot->object)->order -
                                                      9 * (slot->level - 1u)),
                                  .level = slot->level});
    teardown_run(&teardown);
}

enum qy_error call_frame_map(struct call *call)
{
    struct slot *slot;
    unsigned level = 0;
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_ADDRESS_SPACE, QY_RIGHT_WRITE, &slot);
    if (error == QY_OK && arch_fence_code && (call->arguments[3] & QY_MAP_EXEC))
        error = fence_code(call, &slot);
    if (error != QY_OK)
        return error;
    struct space *space = (struct space *)slot->object;
    error = frame_map(call->slot, space, call->arguments[2], call->arguments[3], &level);
    call->values[0] = level;
    if (error == QY_OK)
        map_finish(call, space);
    return error;
}

/* The mapping that the call names must be the one that the capability has. */
static enum qy_error mapping_check(struct call *call) QY_REQUIRES(qy_class_caps)
{
    struct slot *space;
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_ADDRESS_SPACE, QY_RIGHT_WRITE, &space);
    if (error != QY_OK)
        return error;
    const struct slot *slot = call->slot;
    if (!slot->table || table_space(slot->table) != (struct space *)space->object ||
        frame_address(slot).raw != call->arguments[2])
        return QY_NOT_MAPPED;
    return QY_OK;
}

enum qy_error call_frame_unmap(struct call *call)
{
    enum qy_error error = mapping_check(call);
    if (error != QY_OK)
        return error;
    struct teardown teardown = {0};
    frame_unmap(call->slot, &teardown);
    teardown_run(&teardown);
    return QY_OK;
}

enum qy_error call_frame_protect(struct call *call)
{
    struct slot *space;
    bool again = true;
    enum qy_error error = mapping_check(call);
    for (bool fenced = false; error == QY_OK && again; fenced = true) {
        struct teardown teardown = {0};
        error = frame_protect(call->slot, call->arguments[3], fenced, &teardown, &again);
        if (error != QY_OK || !again)
            break;
        teardown_run(&teardown);
        error = lookup_again(call, &space);
        if (error == QY_OK)
            error = mapping_check(call);
    }
    return error;
}

enum qy_error call_table_map(struct call *call)
{
    struct slot *space;
    unsigned missing = 0;
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_ADDRESS_SPACE, QY_RIGHT_WRITE, &space);
    if (error != QY_OK)
        return error;
    if (call->arguments[3] >= QY_PT_LEVELS)
        return QY_INVALID_ARGUMENT;
    error = table_map((struct page_table *)call->slot->object, (struct space *)space->object,
                      call->arguments[2], (unsigned)call->arguments[3], &missing);
    call->values[0] = missing;
    return error;
}

enum qy_error call_table_unmap(struct call *call)
{
    struct teardown teardown = {0};
    enum qy_error error = table_unmap((struct page_table *)call->slot->object, &teardown);
    teardown_run(&teardown);
    return error;
}

enum qy_error call_space_query(struct call *call)
{
    const struct space *space = (const struct space *)call->slot->object;
    struct qy_pt_region region;
    if (call->arguments[1] >= USER_END)
        return QY_INVALID_ADDRESS;
    enum qy_error error = qy_pt_region(&space->pt, vaddr(call->arguments[1]), &region);
    if (error != QY_OK)
        return error;
    if (region.start.raw >= USER_END)
        return QY_NOT_FOUND;
    call->values[0] = region.start.raw;
    call->values[1] = region.end;
    call->values[2] = region.flags & QY_MAP_ALL;
    call->values[3] = qy_pt_page_bytes(region.level);
    return QY_OK;
}

/* The page fault that waits for a reply object: in which space and where. */
static enum qy_error fault_of(const struct call *call, struct space **space, uint64_t *address)
    QY_REQUIRES(qy_class_caps)
{
    const struct thread *caller = ((const struct reply *)call->slot->object)->caller;
    if (!caller)
        return QY_NOT_FOUND;
    if (caller->state != QY_THREAD_FAULTED || caller->space.type == QY_OBJ_NONE ||
        (caller->message.label >> 16 & 0xff) == QY_MARK_EXCEPTION)
        return QY_INVALID_ARGUMENT;
    *space = (struct space *)caller->space.object;
    *address = caller->message.words[0];
    return QY_OK;
}

/*
 * The answer to a page fault with memory: map the frame where the thread touched, and resume it. While another CPU
 * takes something out of that space, the thread might resume with what was there: BUSY.
 */
enum qy_error call_reply_map(struct call *call)
{
    const bool code = arch_fence_code && (call->arguments[2] & QY_MAP_EXEC);
    struct slot *frame;
    struct space *space;
    uint64_t address;
    unsigned level = 0;
    for (bool fenced = !code;; fenced = true) {
        enum qy_error error =
            call_lookup(call, call->arguments[0], QY_OBJ_REPLY, QY_RIGHT_WRITE, &call->slot);
        if (error == QY_OK)
            error = call_lookup(call, call->arguments[1], QY_OBJ_FRAME, QY_RIGHT_READ, &frame);
        if (error == QY_OK)
            error = fault_of(call, &space, &address);
        if (error == QY_OK && space->object.pins)
            error = QY_BUSY;
        if (error != QY_OK)
            return error;
        if (fenced)
            break;
        struct teardown teardown = {0};
        teardown_flush(&teardown,
                       (struct flush){.space = space, .memory = frame->object, .code = true});
        teardown_run(&teardown);
        if (call->cpu->current != call->thread) /* the call's own thread may have gone meanwhile */
            return QY_REVOKED;
    }
    uint64_t bytes = QY_PAGE_BYTES << ((const struct frame *)frame->object)->order;
    enum qy_error error =
        frame_map(frame, space, qy_align_down(address, bytes), call->arguments[2], &level);
    call->values[0] = level;
    if (error == QY_OK)
        error = ipc_reply(call->thread, (struct reply *)call->slot->object,
                          &(struct message){.label = QY_FAULT_RESUME});
    return error;
}
