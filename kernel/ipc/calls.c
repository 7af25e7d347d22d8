/*
 * The calls that send and receive.
 */
#include <kernel/call.h>
#include <kernel/ipc.h>

static struct message message_of(const struct call *call)
{
    return (struct message){call->arguments[1],
                            {call->arguments[2], call->arguments[3], call->arguments[4]}};
}

static enum qy_error send(struct call *call, enum qy_thread_state kind) QY_REQUIRES(qy_class_caps)
{
    struct message message = message_of(call);
    enum qy_error error = QY_OK;
    call->waits = ipc_send(call->thread, (struct endpoint *)call->slot->object, call->slot->badge,
                           &message, kind, &error);
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

enum qy_error call_endpoint_receive(struct call *call)
{
    struct reply *reply = NULL;
    if (call->arguments[1]) {
        struct slot *slot;
        enum qy_error error =
            call_lookup(call, call->arguments[1], QY_OBJ_REPLY, QY_RIGHT_WRITE, &slot);
        if (error != QY_OK)
            return error;
        reply = (struct reply *)slot->object;
        if (reply->caller || reply->receiver)
            return QY_BUSY;
    }
    call->waits =
        ipc_receive(call->thread, (struct endpoint *)call->slot->object, reply, call->values);
    return QY_OK;
}

enum qy_error call_reply_send(struct call *call)
{
    struct message message = message_of(call);
    return ipc_reply((struct reply *)call->slot->object, &message);
}
