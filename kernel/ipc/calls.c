/*
 * The calls that send, receive, signal and set timers.
 */
#include <arch/arch.h>
#include <kernel/call.h>
#include <kernel/timer.h>

/*
 * The message of a call. A capability may go with it if its holder may derive from it. Errors:
 * INVALID_ARGUMENT (bits of the label that are the kernel's), INVALID_HANDLE, NO_RIGHTS.
 */
static enum qy_error message_of(struct call *call, qy_handle_t capability, struct message *out)
    QY_REQUIRES(qy_class_caps)
{
    struct slot *slot;
    if (call->arguments[1] & (QY_LABEL_CAPABILITY | QY_LABEL_NOTIFIED))
        return QY_INVALID_ARGUMENT;
    *out = (struct message){call->arguments[1],
                            {call->arguments[2], call->arguments[3], call->arguments[4]},
                            capability};
    if (!capability)
        return QY_OK;
    enum qy_error error = node_lookup(thread_node(call->thread), capability, &slot);
    if (error == QY_OK && !(slot->rights & QY_RIGHT_GRANT))
        error = QY_NO_RIGHTS;
    return error;
}

static enum qy_error send(struct call *call, enum qy_thread_state kind) QY_REQUIRES(qy_class_caps)
{
    struct message message;
    enum qy_error error = message_of(call, call->arguments[5], &message);
    if (error == QY_OK && message.capability && !(call->slot->rights & QY_RIGHT_GRANT))
        error = QY_NO_RIGHTS;
    if (error != QY_OK)
        return error;
    call->waits = ipc_send(call->thread, call->slot, &message, kind, &error);
    return error;
}

enum qy_error call_endpoint_send(struct call *call)
{
    return send(call, QY_THREAD_SENDING);
}

enum qy_error call_endpoint_call(struct call *call)
{
    return send(call, QY_THREAD_CALLING);
}

static enum qy_error receive(struct call *call, struct reply *reply) QY_REQUIRES(qy_class_caps)
{
    if (reply && (reply->caller || reply->receiver))
        return QY_BUSY;
    call->waits = ipc_receive(call->thread, call->slot, reply, call->values);
    return QY_OK;
}

enum qy_error call_endpoint_receive(struct call *call)
{
    struct slot *slot = NULL;
    if (call->arguments[1]) {
        enum qy_error error =
            call_lookup(call, call->arguments[1], QY_OBJ_REPLY, QY_RIGHT_WRITE, &slot);
        if (error != QY_OK)
            return error;
    }
    return receive(call, slot ? (struct reply *)slot->object : NULL);
}

/* The answer and the next question in one call. A caller that has gone meanwhile needs no answer. */
enum qy_error call_endpoint_reply_receive(struct call *call)
{
    struct slot *slot;
    struct message message;
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_REPLY, QY_RIGHT_WRITE, &slot);
    if (error != QY_OK)
        return error;
    struct reply *reply = (struct reply *)slot->object;
    if (reply->receiver)
        return QY_BUSY;
    for (unsigned i = 1; i < 5; i++) /* the message stands one further on than in other calls */
        call->arguments[i] = call->arguments[i + 1];
    error = message_of(call, 0, &message);
    if (error == QY_OK)
        error = ipc_reply_receive(call->thread, call->slot, reply, &message, call->values,
                                  &call->waits);
    return error;
}

enum qy_error call_reply_send(struct call *call)
{
    struct message message;
    enum qy_error error = message_of(call, call->arguments[5], &message);
    if (error == QY_OK)
        error = ipc_reply(call->thread, (struct reply *)call->slot->object, &message);
    return error;
}

enum qy_error call_receive_slot(struct call *call)
{
    const struct cap_node *node = (const struct cap_node *)call->slot->object;
    if (call->arguments[1] >= node->count)
        return QY_INVALID_ARGUMENT;
    call->thread->receive_node = call->arguments[0];
    call->thread->receive_slot = call->arguments[1];
    return QY_OK;
}

static struct notification *notification_of(const struct call *call)
{
    return (struct notification *)call->slot->object;
}

enum qy_error call_notification_signal(struct call *call)
{
    notification_signal(notification_of(call), notification_bits(call->slot));
    return QY_OK;
}

enum qy_error call_notification_wait(struct call *call)
{
    call->waits = notification_wait(call->thread, call->slot, &call->values[0]);
    return QY_OK;
}

enum qy_error call_notification_poll(struct call *call)
{
    struct notification *notification = notification_of(call);
    call->values[0] = notification->word;
    notification->word = 0;
    return call->values[0] ? QY_OK : QY_WOULD_WAIT;
}

enum qy_error call_notification_bind(struct call *call)
{
    struct slot *slot;
    if (!call->arguments[1]) {
        notification_unbind(notification_of(call));
        return QY_OK;
    }
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_THREAD, QY_RIGHT_WRITE, &slot);
    return error == QY_OK ? notification_bind(call->slot, slot) : error;
}

enum qy_error call_timer_set(struct call *call)
{
    struct timer *timer = (struct timer *)call->slot->object;
    uint64_t delay_ns = call->arguments[2], period_ns = call->arguments[3];
    struct slot *slot;
    if (!call->arguments[1] && !delay_ns && !period_ns) {
        timer_disarm(timer);
        return QY_OK;
    }
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_NOTIFICATION, QY_RIGHT_WRITE, &slot);
    if (error == QY_OK && (delay_ns > TIMER_LONGEST_NS || period_ns > TIMER_LONGEST_NS))
        error = QY_INVALID_ARGUMENT;
    if (error == QY_OK)
        error = binding_may_be_made(call->slot, slot);
    if (error == QY_OK)
        timer_arm(call->slot, slot, delay_ns, period_ns);
    return error;
}

enum qy_error call_timer_info(struct call *call)
{
    const struct timer *timer = (const struct timer *)call->slot->object;
    call->values[0] = arch_time_ns();
    if (timer->notification) {
        call->values[1] = timer->due_ns;
        call->values[2] = timer->period_ns;
    }
    call->values[3] = timer->missed;
    return QY_OK;
}
