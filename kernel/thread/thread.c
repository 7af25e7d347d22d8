/*
 * Threads: binding what they run in, starting, ending, taking apart. See kernel/thread.h.
 */
#include <arch/arch.h>
#include <kernel/ipc.h>
#include <kernel/print.h>
#include <kernel/sched.h>
#include <kernel/space.h>

void thread_finish(struct thread *thread)
{
    thread->state = QY_THREAD_NEW;
    thread->priority = QY_PRIORITY_DEFAULT;
    thread->affinity = QY_CPU_ANY;
}

/* slot_fill has cleared the field that says whose slot it is. */
static void bind(struct thread *thread, struct slot *slot, struct slot *source, uint64_t badge)
    QY_REQUIRES(qy_class_caps)
{
    slot_derive(slot, source, source->rights, badge);
    slot->flags |= SLOT_BOUND;
    slot->holder = &thread->object;
}

static void unbind(struct slot *slot, struct teardown *teardown) QY_REQUIRES(qy_class_caps)
{
    if (slot->type != QY_OBJ_NONE)
        slot_delete(slot, teardown);
}

enum qy_error thread_configure(struct thread *thread, struct slot *space, struct slot *node,
                               struct slot *handler, uint64_t badge, struct teardown *teardown)
{
    enum qy_error error = slot_may_derive(space, space->rights, 0);
    if (error == QY_OK)
        error = slot_may_derive(node, node->rights, 0);
    if (error == QY_OK && handler)
        error = slot_may_derive(handler, handler->rights, badge);
    if (error != QY_OK)
        return error;
    if (thread->state != QY_THREAD_NEW && thread->state != QY_THREAD_DEAD)
        return QY_BUSY;
    unbind(&thread->space, teardown);
    unbind(&thread->node, teardown);
    unbind(&thread->handler, teardown);
    bind(thread, &thread->space, space, 0);
    bind(thread, &thread->node, node, 0);
    if (handler)
        bind(thread, &thread->handler, handler, badge);
    sched_set_space(thread, (struct space *)space->object);
    return QY_OK;
}

void thread_unbound(struct thread *thread, struct slot *slot)
{
    if (slot == &thread->handler)
        return;
    bool may_run = thread->state != QY_THREAD_NEW && thread->state != QY_THREAD_DEAD;
    if (may_run && thread->is_root)
        kernel_stop("the root task's first thread cannot go on: its %s was deleted or revoked",
                    qy_object_name((enum qy_object_type)slot->type));
    /* First: no CPU may choose a thread that has no space any more. */
    if (may_run)
        sched_suspend(thread, true);
    if (slot == &thread->space)
        sched_set_space(thread, NULL);
}

enum qy_error thread_start(struct thread *thread, uint64_t instruction, uint64_t stack,
                           uint64_t argument, uint64_t cpu)
{
    if (thread->state != QY_THREAD_NEW && thread->state != QY_THREAD_DEAD)
        return QY_BUSY;
    if (instruction >= USER_END || stack > USER_END)
        return QY_INVALID_ADDRESS;
    if ((cpu >= cpu_count && cpu != QY_CPU_ANY) || thread->space.type == QY_OBJ_NONE ||
        thread->node.type == QY_OBJ_NONE)
        return QY_INVALID_ARGUMENT;
    /* The CPU on which it just ended may not have left it yet. */
    if (thread->cpu && sched_is_current(thread) &&
        (cpu == QY_CPU_ANY || thread->cpu != cpu_at((unsigned)cpu)))
        return QY_BUSY;
    thread->affinity = (uint16_t)cpu;
    sched_set_cpu(thread, place_choose(thread));
    sched_suspend(thread, false);
    thread->pointer = 0;
    thread->because = cpu_this()->cause;
    arch_frame_init(&thread->frame, instruction, stack, argument);
    sched_ready(thread);
    return QY_OK;
}

void thread_end(struct thread *thread)
{
    ipc_cancel(thread);
    sched_block(thread, QY_THREAD_DEAD);
}

void thread_result(struct thread *thread, enum qy_error error, const uint64_t values[5])
{
    arch_call_result(&thread->frame, error);
    for (unsigned i = 0; i < 5; i++)
        arch_call_value(&thread->frame, i + 1, values ? values[i] : 0);
}

void thread_complete(struct thread *thread, enum qy_error error, const uint64_t values[5])
{
    thread_result(thread, error, values);
    sched_ready(thread);
}

enum dismantle thread_dismantle(struct thread *thread, struct teardown *teardown)
{
    if (!(thread->object.flags & OBJECT_DETACHED)) {
        thread->object.flags |= OBJECT_DETACHED;
        thread_end(thread);
        if (thread->notification)
            notification_unbind(thread->notification);
    }
    unbind(&thread->space, teardown);
    unbind(&thread->node, teardown);
    unbind(&thread->handler, teardown);
    return sched_is_current(thread) ? DISMANTLE_WAIT : DISMANTLE_DONE;
}

enum qy_thread_state thread_state(const struct thread *thread)
{
    enum qy_thread_state state = (enum qy_thread_state)thread->state;
    if (thread->suspended && (state == QY_THREAD_READY || state == QY_THREAD_RUNNING))
        return QY_THREAD_SUSPENDED;
    return state;
}
