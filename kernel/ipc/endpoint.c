/*
 * Endpoints and replies: queues, delivery, answers. See kernel/ipc.h.
 */
#include <kernel/fault.h>
#include <kernel/ipc.h>
#include <kernel/sched.h>

static void queue_push(struct endpoint *endpoint, struct thread *thread)
{
    thread->endpoint = endpoint;
    thread->next = NULL;
    thread->prev = endpoint->last;
    if (endpoint->last)
        endpoint->last->next = thread;
    else
        endpoint->first = thread;
    endpoint->last = thread;
}

static void queue_remove(struct thread *thread)
{
    struct endpoint *endpoint = thread->endpoint;
    if (thread->prev)
        thread->prev->next = thread->next;
    else
        endpoint->first = thread->next;
    if (thread->next)
        thread->next->prev = thread->prev;
    else
        endpoint->last = thread->prev;
    thread->next = thread->prev = NULL;
    thread->endpoint = NULL;
}

static void message_values(uint64_t values[5], uint64_t badge, const struct message *message)
{
    values[0] = badge;
    values[1] = message->label;
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

bool ipc_send(struct thread *sender, struct endpoint *endpoint, uint64_t badge,
              const struct message *message, enum qy_thread_state kind, enum qy_error *error)
{
    struct thread *receiver = endpoint->first;
    if (!receiver || !endpoint->receivers) {
        sender->message = *message;
        sender->badge = badge;
        endpoint->receivers = false;
        sched_block(sender, kind);
        queue_push(endpoint, sender);
        return true;
    }
    struct reply *offered = receiver->reply;
    uint64_t values[5];
    message_values(values, badge, message);
    queue_remove(receiver);
    receiver->reply = NULL;
    if (offered)
        offered->receiver = NULL;
    thread_complete(receiver, QY_OK, values);
    if (kind == QY_THREAD_SENDING || !offered) {
        *error = kind == QY_THREAD_SENDING ? QY_OK : QY_DEAD;
        return false;
    }
    reply_bind(offered, sender);
    sched_block(sender, kind);
    return true;
}

bool ipc_receive(struct thread *receiver, struct endpoint *endpoint, struct reply *reply,
                 uint64_t values[5])
{
    struct thread *sender = endpoint->first;
    if (!sender || endpoint->receivers) {
        endpoint->receivers = true;
        sched_block(receiver, QY_THREAD_RECEIVING);
        queue_push(endpoint, receiver);
        receiver->reply = reply;
        if (reply)
            reply->receiver = receiver;
        return true;
    }
    message_values(values, sender->badge, &sender->message);
    queue_remove(sender);
    if (sender->state == QY_THREAD_SENDING)
        thread_complete(sender, QY_OK, NULL);
    else if (reply)
        reply_bind(reply, sender);
    else
        caller_lost(sender, "its handler took the fault without a reply object");
    return false;
}

enum qy_error ipc_reply(struct reply *reply, const struct message *message)
{
    struct thread *caller = reply->caller;
    if (!caller)
        return QY_NOT_FOUND;
    bool fault = caller->state == QY_THREAD_FAULTED;
    if (fault && message->label != QY_FAULT_RESUME && message->label != QY_FAULT_KILL)
        return QY_INVALID_ARGUMENT;
    reply->caller = NULL;
    caller->reply = NULL;
    if (!fault) {
        uint64_t values[5];
        message_values(values, 0, message);
        thread_complete(caller, QY_OK, values);
    } else if (message->label == QY_FAULT_RESUME) {
        sched_ready(caller);
    } else {
        fault_lost(caller, "its fault handler ended it");
    }
    return QY_OK;
}

void ipc_cancel(struct thread *thread)
{
    struct reply *reply = thread->reply;
    if (thread->endpoint)
        queue_remove(thread);
    if (reply && reply->caller == thread)
        reply->caller = NULL;
    if (reply && reply->receiver == thread)
        reply->receiver = NULL;
    thread->reply = NULL;
}

enum dismantle endpoint_dismantle(struct endpoint *endpoint)
{
    struct thread *thread = endpoint->first;
    if (!thread)
        return DISMANTLE_DONE;
    ipc_cancel(thread);
    caller_lost(thread, "its fault handler has gone");
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
    const struct thread *before = NULL;
    for (const struct thread *thread = endpoint->first; thread; thread = thread->next) {
        if (thread->prev != before || thread->endpoint != endpoint)
            return "IPC-QUEUE";
        if ((thread->state == QY_THREAD_RECEIVING) != endpoint->receivers)
            return "IPC-QUEUE";
        if (thread->state != QY_THREAD_RECEIVING && thread->state != QY_THREAD_SENDING &&
            thread->state != QY_THREAD_CALLING && thread->state != QY_THREAD_FAULTED)
            return "THREAD-WAIT";
        if (thread->reply && thread->reply->receiver != thread)
            return "IPC-REPLY";
        before = thread;
    }
    return endpoint->last == before ? NULL : "IPC-QUEUE";
}
