/*
 * The calls that map frames and tables.
 *
 * What they change is in qy/vm.h and may wait for CPUs, so the lock is let go meanwhile: the objects are pinned, and
 * what the call named is looked up again afterwards.
 */
#include <arch/arch.h>
#include <kernel/call.h>
#include <kernel/ipc.h>
#include <kernel/space.h>
#include <kernel/trace.h>

/* A frame's mapping, while the lock is let go. */
struct work {
    struct cpu *cpu;
    struct space *space;
    struct frame *frame;
    uint64_t address, bytes;
};

static struct work begin(struct call *call, struct slot *space) QY_REQUIRES(qy_class_caps)
{
    struct frame *frame = (struct frame *)call->slot->object;
    struct work work = {call->cpu, (struct space *)space->object, frame, call->arguments[2],
                        QY_PAGE_BYTES << frame->order};
    work.space->object.pins++;
    frame->object.pins++;
    return work;
}

static void end(const struct work *work) QY_REQUIRES(qy_class_caps)
{
    work->space->object.pins--;
    work->frame->object.pins--;
}

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

/* Take a mapping away that nobody may have any more. */
static void undo(const struct work *work) QY_REQUIRES(qy_class_caps)
{
    struct teardown teardown;
    teardown_init(&teardown);
    teardown_unmap(
        &teardown,
        (struct unmap){.space = work->space, .frame = work->frame, .address = work->address});
    teardown_run(&teardown);
}

enum qy_error call_frame_map(struct call *call)
{
    struct slot *slot;
    struct space *space;
    unsigned level = 0, rights;
    uint64_t flags = call->arguments[3];
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_ADDRESS_SPACE, QY_RIGHT_WRITE, &slot);
    if (error == QY_OK)
        error = frame_map_check(call->slot, call->arguments[2], flags);
    if (error != QY_OK)
        return error;
    struct work work = begin(call, slot);
    rights = call->slot->rights;
    call->slot->space = 0; /* an old claim is not to come true by this mapping */
    caps_release();
    if (arch_fence_code && (flags & QY_MAP_EXEC))
        space_fence_code(work.space);
    error = frame_map_in(work.space, work.frame, work.address, (unsigned)flags, rights, &level);
    caps_acquire();
    call->values[0] = level;
    if (error == QY_OK) {
        error = lookup_again(call, &slot);
        if (error == QY_OK && frame_is_mapped(call->slot, &space, &rights))
            error = QY_ALREADY_MAPPED; /* by another thread, elsewhere */
        if (error != QY_OK)
            undo(&work);
        else {
            call->slot->space = work.space->object.id;
            call->slot->address = work.address;
        }
    }
    end(&work);
    return error;
}

/* The mapping that the call names must be the one that the capability claims. Whether it has it the tables tell. */
static enum qy_error claim_check(struct call *call, struct slot **slot) QY_REQUIRES(qy_class_caps)
{
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_ADDRESS_SPACE, QY_RIGHT_WRITE, slot);
    if (error != QY_OK)
        return error;
    return call->slot->space == (*slot)->object->id && call->slot->address == call->arguments[2]
               ? QY_OK
               : QY_NOT_MAPPED;
}

enum qy_error call_frame_unmap(struct call *call)
{
    struct slot *slot;
    enum qy_error error = claim_check(call, &slot);
    if (error != QY_OK)
        return error;
    struct work work = begin(call, slot);
    caps_release();
    space_enter(work.cpu);
    error = qy_space_unmap_frame(&work.space->vm, work.address, work.bytes, work.frame->first);
    space_leave(work.cpu);
    caps_acquire();
    if (error == QY_OK) {
        trace_page_unmapped(work.space->object.id, work.address, work.frame->first.raw, 1);
        if (lookup_again(call, &slot) == QY_OK && call->slot->space == work.space->object.id &&
            call->slot->address == work.address)
            call->slot->space = 0; /* nobody has to look whether it is true */
    }
    end(&work);
    return error;
}

/* Pages that become executable appear when they are touched: done here, so that later aliases are refused. */
static enum qy_error touch(const struct work *work) QY_EXCLUDES(qy_class_caps)
{
    unsigned count, page = frame_pages(work->frame, QY_MAP_READ, &count);
    enum qy_error error = QY_OK;
    struct qy_fault fault;
    if (arch_fence_code)
        space_fence_code(work->space);
    for (unsigned i = 0; i < count && error == QY_OK; i++) {
        space_enter(work->cpu);
        error = qy_space_fault(&work->space->vm, work->address + i * qy_pt_page_bytes(page),
                               QY_ACCESS_EXEC, &fault);
        space_leave(work->cpu);
    }
    return error;
}

enum qy_error call_frame_protect(struct call *call)
{
    struct slot *slot;
    struct space *space;
    unsigned had;
    uint64_t flags = call->arguments[3];
    enum qy_error error = claim_check(call, &slot);
    if (error == QY_OK && !frame_is_mapped(call->slot, &space, &had))
        error = QY_NOT_MAPPED;
    if (error == QY_OK)
        error = frame_flags_check(call->slot, flags);
    if (error == QY_OK && !frame_type_stays(had, flags))
        error = QY_INVALID_FLAGS;
    if (error != QY_OK)
        return error;
    struct work work = begin(call, slot);
    caps_release();
    space_enter(work.cpu);
    error = qy_space_protect_frame(&work.space->vm, work.address, work.bytes, work.frame->first,
                                   flags & QY_PT_RIGHTS);
    space_leave(work.cpu);
    if (error == QY_OK && (flags & ~(uint64_t)had & QY_MAP_EXEC))
        error = touch(&work);
    caps_acquire();
    if (error == QY_OK)
        trace_page_protected(work.space->object.id, work.address, flags, 1);
    end(&work);
    return error;
}

enum qy_error call_table_map(struct call *call)
{
    struct slot *slot;
    unsigned missing = 0;
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_ADDRESS_SPACE, QY_RIGHT_WRITE, &slot);
    if (error != QY_OK)
        return error;
    if (call->arguments[3] >= QY_PT_LEVELS)
        return QY_INVALID_ARGUMENT;
    if (call->slot->object->pins) /* it is on its way out */
        return QY_BUSY;
    error = table_map_now((struct page_table *)call->slot->object, (struct space *)slot->object,
                          call->arguments[2], (unsigned)call->arguments[3], &missing);
    call->values[0] = missing;
    return error;
}

enum qy_error call_table_unmap(struct call *call)
{
    struct page_table *table = (struct page_table *)call->slot->object;
    struct cpu *cpu = call->cpu;
    table->object.pins++;
    caps_release();
    space_enter(cpu);
    enum qy_error error = qy_vm_remove_table(&kernel_vm, table->frame);
    space_leave(cpu);
    while (error == QY_OK && qy_table_is_installed(&kernel_vm, table->frame)) {
        qy_port_relax();
        space_quiesce(); /* CPUs on their way down have passed it */
    }
    caps_acquire();
    table->object.pins--;
    return error;
}

/* The page fault that waits for a reply object: in which space and where. */
static enum qy_error fault_of(const struct call *call, struct space **space, uint64_t *address)
    QY_REQUIRES(qy_class_caps)
{
    const struct thread *caller = ((const struct reply *)call->slot->object)->caller;
    if (!caller)
        return QY_NOT_FOUND;
    if (caller->state != QY_THREAD_FAULTED || caller->space.type == QY_OBJ_NONE ||
        (caller->message.label >> 16 & 0xff) == QY_FOUND_EXCEPTION)
        return QY_INVALID_ARGUMENT;
    *space = (struct space *)caller->space.object;
    *address = caller->message.words[0];
    return QY_OK;
}

/* What reply_map names: all that it needs but the memory. */
static enum qy_error answer_of(struct call *call, struct slot **frame, struct space **space,
                               uint64_t *address) QY_REQUIRES(qy_class_caps)
{
    enum qy_error error =
        call_lookup(call, call->arguments[0], QY_OBJ_REPLY, QY_RIGHT_WRITE, &call->slot);
    if (error == QY_OK)
        error = call_lookup(call, call->arguments[1], QY_OBJ_FRAME, QY_RIGHT_READ, frame);
    return error == QY_OK ? fault_of(call, space, address) : error;
}

/* The answer to a page fault with memory: map the frame where the thread touched, and resume it. */
enum qy_error call_reply_map(struct call *call)
{
    struct slot *frame;
    struct space *space;
    uint64_t address;
    unsigned level = 0;
    enum qy_error error = answer_of(call, &frame, &space, &address);
    if (error == QY_OK &&
        space->object.pins) /* another CPU changes it: nobody waits under the lock */
        error = QY_BUSY;
    if (error == QY_OK && arch_fence_code && (call->arguments[2] & QY_MAP_EXEC)) {
        struct space *pinned = space;
        pinned->object.pins++;
        caps_release();
        space_fence_code(pinned);
        caps_acquire();
        pinned->object.pins--;
        if (call->cpu->current != call->thread) /* the call's own thread may have gone meanwhile */
            return QY_REVOKED;
        error = answer_of(call, &frame, &space, &address);
        if (error == QY_OK && space != pinned)
            error = QY_BUSY;
    }
    if (error != QY_OK)
        return error;
    uint64_t bytes = QY_PAGE_BYTES << ((const struct frame *)frame->object)->order;
    error = frame_map_now(frame, space, qy_align_down(address, bytes), call->arguments[2], &level);
    call->values[0] = level;
    if (error == QY_OK)
        error = ipc_reply(call->thread, (struct reply *)call->slot->object,
                          &(struct message){.label = QY_FAULT_RESUME});
    return error;
}
