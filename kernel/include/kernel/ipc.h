/*
 * Messages: synchronous endpoints and replies.
 *
 * A message is a label and three words. An endpoint has one queue, of threads that wait to send or
 * of threads that wait to receive. A call binds the caller to the reply object that the receiver
 * offered; answering it completes the call. If the receiver offered none, or the reply object goes,
 * the caller gets DEAD.
 *
 * Invariants
 *   IPC-QUEUE   a queue holds senders or receivers, never both
 *   IPC-REPLY   reply.caller.reply == reply, and the reverse
 * Locking: qy_class_caps. Cost: O(1); destroying an endpoint O(waiting threads) in steps.
 */
#ifndef KERNEL_IPC_H
#define KERNEL_IPC_H

#include <kernel/thread.h>

struct endpoint {
    struct object object;
    struct thread *first, *last;
    bool receivers; /* what the queue holds, if anything */
};

struct reply {
    struct object object;
    struct thread *caller;   /* CALLING or FAULTED; null = nobody waits for this reply */
    struct thread *receiver; /* RECEIVING, and offers it; null = none */
};

/*
 * The current thread sends. kind: QY_THREAD_SENDING (a send), CALLING or FAULTED (they want a
 * reply). If a receiver waits it is completed; a call or fault then waits for the reply. Returns
 * true if the thread waits now, false if its call is over with *error.
 */
bool ipc_send(struct thread *sender, struct endpoint *endpoint, uint64_t badge,
              const struct message *message, enum qy_thread_state kind, enum qy_error *error)
    QY_REQUIRES(qy_class_caps);

/* The current thread receives; reply may be null. Returns true if it waits, false if values hold
 * the message. */
bool ipc_receive(struct thread *receiver, struct endpoint *endpoint, struct reply *reply,
                 uint64_t values[5]) QY_REQUIRES(qy_class_caps);

/* Answer. Errors: NOT_FOUND (nobody waits for it), INVALID_ARGUMENT (a fault is answered RESUME or
 * KILL). */
enum qy_error ipc_reply(struct reply *reply, const struct message *message) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* The thread waits for no message any more. */
void ipc_cancel(struct thread *thread) QY_REQUIRES(qy_class_caps);

enum dismantle endpoint_dismantle(struct endpoint *endpoint) QY_REQUIRES(qy_class_caps);
enum dismantle reply_dismantle(struct reply *reply) QY_REQUIRES(qy_class_caps);

const char *endpoint_check(const struct endpoint *endpoint) QY_REQUIRES(qy_class_caps);

#endif
