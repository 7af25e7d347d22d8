/*
 * Endpoints and replies: delivery, capabilities that go over, answers. See kernel/ipc.h.
 */
#include <kernel/fault.h>
#include <kernel/sched.h>

#include "queue.h"

/* Derive the sender's capability into the slot that the receiver named, if all of it is there. */
static bool transfer(struct thread *sender, qy_handle_t capability, struct thread *receiver)
    QY_REQUIRES(qy_class_caps)
{
    struct slot *source, *node;
    if (!receiver->receive_slot || node_lookup(thread_node(sender), capability, &source) != QY_OK ||
        !(source->rights & QY_RIGHT_GRANT) || slot_may_derive(source, source->rights, 0) != QY_OK ||
        node_lookup_typed(thread_node(receiver), receiver->receive_node, QY_OBJ_CAP_NODE,
                          QY_RIGHT_WRITE, &node) != QY_OK)
        return false;
    const struct cap_node *array = (const struct cap_node *)node->object;
    struct slot *slot = &array->slots[receiver->receive_slot];
    if (receiver->receive_slot >= array->count || !slot_is_empty(slot))
        return false;
    slot_derive(slot, source, source->rights, 0);
    receiver->receive_slot = 0;
    return true;
}

/* What the receiver gets; a capability goes over. */
static void message_values(uint64_t values[5], uint64_t badge, struct thread *sender,
                           const struct message *message, struct thread *receiver)
    QY_REQUIRES(qy_class_caps)
{
    receiver->because = sender->entry;
    values[0] = badge;
    values[1] = message->label;
    if (message->capability && transfer(sender, message->capability, receiver))
        values[1] |= QY_LABEL_CAPABILITY;
    for (unsigned i = 0; i < 3; i++)
        values[2 + i] = message->words[i];
}

static void reply_bind(struct reply *reply, struct thread *caller)
{
    reply->caller = caller;
    caller->reply = reply;
}

/* Nobody can ever answer this caller. */
static void caller_lost(struct thread *caller, const char *why) QY_REQUIRES(qy_class_caps)
{
    if (caller->state == QY_THREAD_FAULTED)
        fault_lost(caller, why);
    else
        thread_complete(caller, QY_DEAD, NULL);
}

bool ipc_send(struct thread *sender, struct slot *by, const struct message *message,
              enum qy_thread_state kind, enum qy_error *error)
{
    struct endpoint *endpoint = (struct endpoint *)by->object;
    struct thread *receiver = endpoint->waiting.first;
    sender->entry = cpu_this()->cause;
    if (!receiver || !endpoint->receivers) {
        sender->message = *message;
        sender->badge = by->badge;
        endpoint->receivers = false;
        sched_block(sender, kind);
        queue_push(&endpoint->waiting, sender, by);
        return true;
    }
    struct reply *offered = receiver->reply;
    uint64_t values[5];
    message_values(values, by->badge, sender, message, receiver);
    queue_remove(receiver);
    receiver->reply = NULL;
    if (offered)
        offered->receiver = NULL;
    thread_result(receiver, QY_OK, values);
    if (kind == QY_THREAD_SENDING || !offered) {
        sched_ready(receiver);
        *error = kind == QY_THREAD_SENDING ? QY_OK : QY_DEAD;
        return false;
    }
    reply_bind(offered, sender);
    sched_hand_over(sender, kind, receiver);
    return true;
}

/* The receiver waits in the endpoint's queue, and offers the reply object. */
static void queue_receiver(struct thread *receiver, struct slot *by, struct reply *reply)
{
    struct endpoint *endpoint = (struct endpoint *)by->object;
    endpoint->receivers = true;
    endpoint->home = cpu_this();
    queue_push(&endpoint->waiting, receiver, by);
    receiver->reply = reply;
    if (reply) {
        reply->receiver = receiver;
        reply->home = endpoint->home;
    }
}

bool ipc_receive(struct thread *receiver, struct slot *by, struct reply *reply, uint64_t values[5])
{
    const struct endpoint *endpoint = (const struct endpoint *)by->object;
    struct thread *sender = endpoint->waiting.first;
    if (notification_take(receiver->notification, values))
        return false;
    if (!sender || endpoint->receivers) {
        sched_block(receiver, QY_THREAD_RECEIVING);
        queue_receiver(receiver, by, reply);
        return true;
    }
    message_values(values, sender->badge, sender, &sender->message, receiver);
    queue_remove(sender);
    if (sender->state == QY_THREAD_SENDING)
        thread_complete(sender, QY_OK, NULL);
    else if (reply)
        reply_bind(reply, sender);
    else
        caller_lost(sender, "its handler took the fault without a reply object");
    return false;
}

/* Answer; *goes_on is the caller if it is to run now, which is left to do. */
static enum qy_error answer(struct thread *sender, struct reply *reply,
                            const struct message *message, struct thread **goes_on)
    QY_REQUIRES(qy_class_caps)
{
    struct thread *caller = reply->caller;
    *goes_on = NULL;
    if (!caller)
        return QY_NOT_FOUND;
    bool fault = caller->state == QY_THREAD_FAULTED;
    if (fault && message->label != QY_FAULT_RESUME && message->label != QY_FAULT_KILL)
        return QY_INVALID_ARGUMENT;
    reply->caller = NULL;
    caller->reply = NULL;
    sender->entry = cpu_this()->cause;
    if (fault && message->label == QY_FAULT_KILL) {
        fault_lost(caller, "its fault handler ended it");
        return QY_OK;
    }
    if (!fault) {
        uint64_t values[5];
        message_values(values, 0, sender, message, caller);
        thread_result(caller, QY_OK, values);
    }
    *goes_on = caller;
    return QY_OK;
}

enum qy_error ipc_reply(struct thread *sender, struct reply *reply, const struct message *message)
{
    struct thread *caller;
    enum qy_error error = answer(sender, reply, message, &caller);
    if (caller)
        sched_ready(caller);
    return error;
}

enum qy_error ipc_reply_receive(struct thread *server, struct slot *by, struct reply *reply,
                                const struct message *message, uint64_t values[5], bool *waits)
{
    const struct endpoint *endpoint = (const struct endpoint *)by->object;
    struct thread *caller;
    enum qy_error error = answer(server, reply, message, &caller);
    if (error == QY_INVALID_ARGUMENT)
        return error;
    bool must_wait = (endpoint->receivers || !endpoint->waiting.first) &&
                     !(server->notification && server->notification->word);
    if (caller && must_wait) {
        queue_receiver(server, by, reply);
        sched_hand_over(server, QY_THREAD_RECEIVING, caller);
        *waits = true;
        return QY_OK;
    }
    if (caller)
        sched_ready(caller);
    *waits = ipc_receive(server, by, reply, values);
    return QY_OK;
}

void ipc_cancel(struct thread *thread)
{
    struct reply *reply = thread->reply;
    if (thread->queue)
        queue_remove(thread);
    if (reply && reply->caller == thread)
        reply->caller = NULL;
    if (reply && reply->receiver == thread)
        reply->receiver = NULL;
    thread->reply = NULL;
}

void ipc_lose(struct thread *thread)
{
    ipc_cancel(thread);
    caller_lost(thread, "its fault handler has gone");
}

enum dismantle endpoint_dismantle(struct endpoint *endpoint)
{
    struct thread *thread = endpoint->waiting.first;
    if (!thread)
        return DISMANTLE_DONE;
    ipc_lose(thread);
    return DISMANTLE_MORE;
}

enum dismantle reply_dismantle(struct reply *reply)
{
    struct thread *caller = reply->caller;
    if (reply->receiver)
        reply->receiver->reply = NULL;
    reply->receiver = NULL;
    if (caller) {
        ipc_cancel(caller);
        caller_lost(caller, "the reply object of its fault handler has gone");
    }
    return DISMANTLE_DONE;
}

const char *endpoint_check(const struct endpoint *endpoint)
{
    const char *broken = queue_check(&endpoint->waiting);
    if (broken)
        return broken;
    for (const struct thread *thread = endpoint->waiting.first; thread; thread = thread->next) {
        if ((thread->state == QY_THREAD_RECEIVING) != endpoint->receivers)
            return "IPC-QUEUE";
        if (thread->state != QY_THREAD_RECEIVING && thread->state != QY_THREAD_SENDING &&
            thread->state != QY_THREAD_CALLING && thread->state != QY_THREAD_FAULTED)
            return "THREAD-WAIT";
        if (thread->reply && thread->reply->receiver != thread)
            return "IPC-REPLY";
    }
    return NULL;
}
