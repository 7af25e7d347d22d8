/*
 * Dispatch: generated from the table of invocations. See kernel/call.h.
 */
#include <arch/arch.h>
#include <kernel/call.h>
#include <kernel/fault.h>
#include <kernel/ipc.h>
#include <kernel/preempt.h>
#include <kernel/space.h>
#include <kernel/trace.h>

struct invocation {
    enum qy_error (*handler)(struct call *call);
    uint8_t type;   /* of the object that x0 names; NONE: x0 is not looked at here */
    uint8_t rights; /* that the capability needs */
};

static const struct invocation invocations[QY_CALL_COUNT] = {
#define X(number, name, type, rights, arguments, results)                                          \
    [number] = {call_##name, QY_OBJ_##type, rights},
    QY_INVOCATIONS(X)
#undef X
};

enum qy_error call_lookup(struct call *call, qy_handle_t handle, enum qy_object_type type,
                          unsigned rights, struct slot **out)
{
    return node_lookup_typed(thread_node(call->thread), handle, type, rights, out);
}

bool user_range(uptr_t pointer, uint64_t bytes)
{
    return pointer.raw < USER_END && bytes <= USER_END - pointer.raw;
}

enum qy_error call_null(struct call *call)
{
    (void)call;
    return QY_OK;
}

static enum qy_error invoke(struct call *call, uint64_t number) QY_REQUIRES(qy_class_caps)
{
    if (number >= QY_CALL_COUNT || !invocations[number].handler)
        return QY_UNKNOWN_CALL;
    const struct invocation *invocation = &invocations[number];
    if (invocation->type != QY_OBJ_NONE) {
        enum qy_error error =
            call_lookup(call, call->arguments[0], (enum qy_object_type)invocation->type,
                        invocation->rights, &call->slot);
        if (error != QY_OK)
            return error;
    }
    return invocation->handler(call);
}

/* Not inlined: what every call does comes without its stack frame. */
static __attribute__((noinline)) void dispatch(struct cpu *cpu, struct thread *thread,
                                               uint64_t number)
{
    struct call call = {.cpu = cpu, .thread = thread};
    for (unsigned i = 0; i < 6; i++)
        call.arguments[i] = arch_call_argument(&thread->frame, i);

    caps_acquire();
    if (thread->state != QY_THREAD_RUNNING) { /* another CPU ended it while this one waited */
        caps_release();
        return;
    }
    uint64_t because = thread->because;
    QY_COUNT(thread->calls, 1);
    cpu->unresolved.found = QY_FOUND_NOTHING;
    enum qy_error error = invoke(&call, number);
    if (error == QY_BAD_USER_POINTER && fault_restarts_call(cpu, thread)) {
        caps_release();
        return;
    }
    /* If this CPU let go of the thread, its memory may be somebody else's by now. */
    if (!call.waits && cpu->current == thread)
        thread_result(thread, error, call.values);
    if (watch_has_news())
        watch_tell();
    caps_release();
    if (qy_traces(1ull << QY_TRACE_CALL) &&
        number != QY_CALL_yield) /* whoever waits so does nothing */
        QY_TRACE(CALL, 0, number, call.arguments[0], error, because);
    if (error != QY_OK)
        QY_TRACE(ERROR, 0, number, error, call.values[0], call.values[1]);
}

/* Done, from registers to registers? */
static inline bool done_fast(struct cpu *cpu, uint64_t number)
{
    if (number == QY_CALL_endpoint_call)
        return !qy_traces(~0ull) && ipc_fast_call(cpu);
    if (number == QY_CALL_endpoint_reply_receive)
        return !qy_traces(~0ull) && ipc_fast_reply_receive(cpu);
    if (number != QY_CALL_null)
        return false;
    thread_result(cpu->current, QY_OK,
                  NULL); /* the floor that other calls are measured against: no lock */
    return true;
}

void call_dispatch(struct cpu *cpu)
{
    struct thread *thread = cpu->current;
    uint64_t number = arch_call_number(&thread->frame);
    if (done_fast(cpu, number))
        return;
    preempt_begin(cpu, number < QY_CALL_COUNT ? (unsigned)number : KIND_OTHER);
    dispatch(cpu, thread, number);
    preempt_end(cpu);
}
