/*
 * The calls on threads.
 */
#include <kernel/call.h>
#include <kernel/check.h>
#include <kernel/print.h>
#include <kernel/sched.h>
#include <kernel/space.h>

static struct thread *target(const struct call *call)
{
    return (struct thread *)call->slot->object;
}

enum qy_error call_thread_configure(struct call *call)
{
    struct slot *space, *node, *handler = NULL;
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_ADDRESS_SPACE, QY_RIGHT_WRITE, &space);
    if (error == QY_OK)
        error = call_lookup(call, call->arguments[2], QY_OBJ_CAP_NODE,
                            QY_RIGHT_READ | QY_RIGHT_WRITE, &node);
    if (error == QY_OK && call->arguments[3])
        error = call_lookup(call, call->arguments[3], QY_OBJ_ENDPOINT, QY_RIGHT_WRITE, &handler);
    if (error == QY_OK && !handler && call->arguments[4])
        error = QY_INVALID_ARGUMENT;
    if (error != QY_OK)
        return error;
    struct teardown teardown;
    teardown_init(&teardown);
    error = thread_configure(target(call), space, node, handler, call->arguments[4], &teardown);
    teardown_run(&teardown);
    return error;
}

enum qy_error call_thread_start(struct call *call)
{
    return thread_start(target(call), call->arguments[1], call->arguments[2], call->arguments[3],
                        call->arguments[4]);
}

/* When it returns, the thread runs no instruction any more: if another CPU ran it, that one has left it. */
enum qy_error call_thread_suspend(struct call *call)
{
    struct thread *thread = target(call);
    if (thread->state == QY_THREAD_NEW || thread->state == QY_THREAD_DEAD)
        return QY_INVALID_ARGUMENT;
    sched_suspend(thread, true);
    thread->object.pins++;
    while (sched_suspended_runs(thread)) {
        sched_let_go(call->cpu);
        caps_release();
        qy_port_relax();
        caps_acquire();
    }
    thread->object.pins--;
    return QY_OK;
}

enum qy_error call_thread_resume(struct call *call)
{
    struct thread *thread = target(call);
    if (thread->state == QY_THREAD_NEW || thread->state == QY_THREAD_DEAD ||
        thread->space.type == QY_OBJ_NONE || thread->node.type == QY_OBJ_NONE)
        return QY_INVALID_ARGUMENT;
    sched_suspend(thread, false);
    return QY_OK;
}

/* Nobody gives a priority above its own. */
enum qy_error call_thread_schedule(struct call *call)
{
    uint64_t priority = call->arguments[1], cpu = call->arguments[2];
    if (priority >= QY_PRIORITIES || (cpu >= cpu_count && cpu != QY_CPU_ANY))
        return QY_INVALID_ARGUMENT;
    if (priority > call->thread->priority)
        return QY_NO_RIGHTS;
    sched_schedule(target(call), (unsigned)priority, (unsigned)cpu);
    return QY_OK;
}

enum qy_error call_thread_info(struct call *call)
{
    const struct thread *thread = target(call);
    call->values[0] = thread_state(thread);
    call->values[1] = (thread->cpu ? thread->cpu->index : 0) | (uint64_t)thread->priority << 32;
    call->values[2] = thread->faults;
    call->values[3] = thread->calls;
    call->values[4] = thread->object.id;
    return QY_OK;
}

enum qy_error call_thread_exit(struct call *call)
{
    struct thread *thread = call->thread;
    thread->exit_code = call->arguments[1];
    call->waits = true;
    if (thread->is_root)
        check_and_exit((unsigned)thread->exit_code);
    thread_end(thread);
    return QY_OK;
}

/* Of the calling thread alone: no other CPU has it loaded. */
enum qy_error call_thread_pointer(struct call *call)
{
    struct thread *thread = call->thread;
    if (call->arguments[1] >= USER_END)
        return QY_INVALID_ADDRESS;
    thread->pointer = call->arguments[1];
    arch_pointer_set(call->cpu, &thread->frame, thread->pointer);
    return QY_OK;
}

enum qy_error call_yield(struct call *call)
{
    sched_tick(call->cpu);
    return QY_OK;
}
