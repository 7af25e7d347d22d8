/*
 * The calls that map frames and tables.
 *
 * What they change is in qy/vm.h and may wait for CPUs, so the lock is let go meanwhile: the objects are pinned, and
 * what the call named is looked up again afterwards.
 */
#include <arch/arch.h>
#include <kernel/call.h>
#include <kernel/ipc.h>
#include <kernel/preempt.h>
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
    if (error == QY_OUT_OF_MEMORY && space_find_more(work.space))
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
        preempt_point(work->cpu);
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
    struct page_table *table = (struct page_table *)call->slot->object;
    struct space *space = (struct space *)slot->object;
    struct qy_budget *payer;
    error = untyped_budget(table->object.untyped, &payer);
    if (error != QY_OK)
        return error;
    table->object
        .pins++; /* if its capability goes meanwhile, whoever takes it apart finds it installed */
    space->object.pins++;
    caps_release();
    error = table_map_in(space, table, call->arguments[2], (unsigned)call->arguments[3], payer,
                         &missing);
    if (error == QY_OUT_OF_MEMORY && untyped_find_more(table->object.untyped))
        error = table_map_in(space, table, call->arguments[2], (unsigned)call->arguments[3], payer,
                             &missing);
    caps_acquire();
    space->object.pins--;
    table->object.pins--;
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

/* What reply_map names: the frame of its capability goes where the thread that waits for the reply object faulted. */
struct answer {
    struct slot *frame;
    struct reply *reply;
    const struct thread *caller;
    uint64_t address;
    bool supply; /* a region's mark is there, which the page is to replace */
};

static enum qy_error answer_of(struct call *call, struct answer *answer, struct work *work)
    QY_REQUIRES(qy_class_caps)
{
    enum qy_error error =
        call_lookup(call, call->arguments[0], QY_OBJ_REPLY, QY_RIGHT_WRITE, &call->slot);
    if (error == QY_OK)
        error = call_lookup(call, call->arguments[1], QY_OBJ_FRAME, QY_RIGHT_READ, &answer->frame);
    if (error != QY_OK)
        return error;
    answer->reply = (struct reply *)call->slot->object;
    const struct thread *caller = answer->caller = answer->reply->caller;
    if (!caller)
        return QY_NOT_FOUND;
    unsigned found = QY_FAULT_FOUND(caller->message.label);
    if (caller->state != QY_THREAD_FAULTED || caller->space.type == QY_OBJ_NONE ||
        found == QY_FOUND_EXCEPTION)
        return QY_INVALID_ARGUMENT;
    struct frame *frame = (struct frame *)answer->frame->object;
    uint64_t bytes = QY_PAGE_BYTES << frame->order;
    answer->supply = found == QY_FOUND_PAGER;
    answer->address = caller->message.words[0];
    *work = (struct work){call->cpu, (struct space *)caller->space.object, frame,
                          qy_align_down(answer->address, bytes), bytes};
    return frame_map_check(answer->frame, work->address, call->arguments[2]);
}

/* Still the same, after the lock was released? */
static enum qy_error answer_again(struct call *call, struct answer *answer, const struct work *then)
    QY_REQUIRES(qy_class_caps)
{
    const struct answer was = *answer;
    struct work work;
    if (call->cpu->current != call->thread) /* the call's own thread may have gone meanwhile */
        return QY_REVOKED;
    enum qy_error error = answer_of(call, answer, &work);
    if (error == QY_OK && (answer->caller != was.caller || answer->address != was.address ||
                           work.space != then->space || work.frame != then->frame))
        error = QY_NOT_FOUND;
    return error;
}

static enum qy_error map_answer(const struct work *work, const struct answer *answer,
                                unsigned flags, unsigned rights, unsigned *level)
    QY_EXCLUDES(qy_class_caps)
{
    return answer->supply
               ? frame_supply_in(work->space, work->frame, work->address, flags, level)
               : frame_map_in(work->space, work->frame, work->address, flags, rights, level);
}

static void undo_answer(const struct work *work, const struct answer *answer)
    QY_REQUIRES(qy_class_caps)
{
    if (!answer->supply) {
        undo(work);
        return;
    }
    caps_release();
    space_enter(work->cpu);
    qy_space_take_frame(&work->space->vm, work->address, work->frame->first);
    space_leave(work->cpu);
    caps_acquire();
}

/* The answer to a page fault with memory: map the frame where the thread touched, and resume it. */
enum qy_error call_reply_map(struct call *call)
{
    struct answer answer;
    struct work work;
    unsigned level = 0, flags = (unsigned)call->arguments[2];
    enum qy_error error = answer_of(call, &answer, &work);
    if (error != QY_OK)
        return error;
    unsigned rights = answer.frame->rights;
    answer.frame->space = 0; /* an old claim is not to come true by this mapping */
    work.space->object.pins++;
    work.frame->object.pins++;
    caps_release();
    if (arch_fence_code && (flags & QY_MAP_EXEC))
        space_fence_code(work.space);
    error = map_answer(&work, &answer, flags, rights, &level);
    if (error == QY_OUT_OF_MEMORY && space_find_more(work.space))
        error = map_answer(&work, &answer, flags, rights, &level);
    caps_acquire();
    call->values[0] = level;
    if (error == QY_OK) {
        error = answer_again(call, &answer, &work);
        if (error != QY_OK) {
            undo_answer(&work, &answer);
        } else {
            answer.frame->space = work.space->object.id;
            answer.frame->address = work.address;
            error =
                ipc_reply(call->thread, answer.reply, &(struct message){.label = QY_FAULT_RESUME});
        }
    }
    end(&work);
    return error;
}
