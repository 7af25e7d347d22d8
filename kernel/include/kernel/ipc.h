/*
 * Messages: synchronous endpoints, replies, and notifications.
 *
 * A message is a label, three words and at most one capability. An endpoint has one queue, of
 * threads that wait to send or of threads that wait to receive. A call binds the caller to the reply
 * object that the receiver offered; answering it completes the call. If the receiver offered none,
 * or the reply object goes, the caller gets DEAD.
 *
 * A capability that goes with a message is derived from the sender's into the slot that the
 * receiver has named beforehand, at the moment of delivery. If there is none, or it is not empty, or
 * the sender's capability is gone by then, the message arrives without it, and the receiver sees
 * that in its label. So it does not matter who comes first.
 *
 * Whoever waits in a queue does so by a capability. When that goes, so do they: nothing is delivered by authority that
 * has been revoked. A caller whose message has been taken waits for the reply object alone.
 *
 * A notification is a word of bits: a signal sets those of the badge of the capability it came by
 * (bit 0 without a badge), and whoever waits takes the word whole. It never waits for anybody.
 * Bound to a thread, it also ends that thread's receive.
 *
 * Invariants
 *   IPC-QUEUE     a queue holds senders or receivers, never both, and hangs together
 *   IPC-REPLY     reply.caller.reply == reply, and the reverse
 *   NOTIFY-WORD   nobody waits for a notification whose word is not 0
 *   NOTIFY-BOUND  notification.bound.notification == notification, and the reverse, and a binding goes with it
 * Locking: qy_class_caps. Cost: O(1); destroying an endpoint or a notification O(waiting threads)
 * in steps.
 */
#ifndef KERNEL_IPC_H
#define KERNEL_IPC_H

#include <kernel/thread.h>

struct interrupt;
struct timer;

struct endpoint {
    struct object object;
    struct wait_queue waiting;
    bool receivers; /* what the queue holds, if anything */
    struct cpu *home; /* whose fast path it is: where somebody received last */
};

struct reply {
    struct object object;
    struct thread *caller;   /* CALLING or FAULTED; null = nobody waits for this reply */
    struct thread *receiver; /* RECEIVING, and offers it; null = none */
    struct cpu *home;        /* whose fast path it is: where it was offered last */
};

struct notification {
    struct object object;
    struct wait_queue waiting;
    uint64_t word;
    struct thread *bound;  /* null = nobody's receive ends with a signal */
    struct binding binding; /* to that thread */
    struct timer *timers;  /* those armed for it */
    struct interrupt *interrupts; /* those bound to it */
    struct watch *watches;        /* of untypeds */
};

/*
 * The current thread sends by a capability of an endpoint. kind: QY_THREAD_SENDING (a send), CALLING or FAULTED (they
 * want a reply). If a receiver waits it is completed; a call or fault then waits for the reply. Returns true if the
 * thread waits now, false if its call is over with *error.
 */
bool ipc_send(struct thread *sender, struct slot *by, const struct message *message,
              enum qy_thread_state kind, enum qy_error *error) QY_REQUIRES(qy_class_caps);

/* The current thread receives by a capability of an endpoint; reply may be null. Returns true if it
 * waits, false if values hold the message. */
bool ipc_receive(struct thread *receiver, struct slot *by, struct reply *reply, uint64_t values[5]) QY_REQUIRES(qy_class_caps);

/* The sender answers. Errors: NOT_FOUND (nobody waits for it), INVALID_ARGUMENT (a fault is answered
 * RESUME or KILL). */
enum qy_error ipc_reply(struct thread *sender, struct reply *reply,
                        const struct message *message) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/*
 * Answer the caller of the reply object, if there is one, and receive with it: nobody else offers it. *waits: the
 * server waits, else values hold the message. Errors: INVALID_ARGUMENT as above; nothing has changed then.
 */
enum qy_error ipc_reply_receive(struct thread *server, struct slot *by, struct reply *reply,
                                const struct message *message, uint64_t values[5],
                                bool *waits) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* Try to do the call endpoint_call or endpoint_reply_receive of the current thread on the fast path. False: nothing has
 * been done. */
bool ipc_fast_call(struct cpu *cpu) QY_EXCLUDES(qy_class_caps);
bool ipc_fast_reply_receive(struct cpu *cpu) QY_EXCLUDES(qy_class_caps);

/* Set bits, and let go on who waits for them. */
void notification_signal(struct notification *notification, uint64_t bits)
    QY_REQUIRES(qy_class_caps);

/* The current thread waits for the word by a capability of a notification. Returns true if it waits, false if it has
 * it. */
bool notification_wait(struct thread *thread, struct slot *by, uint64_t *word)
    QY_REQUIRES(qy_class_caps);

/* If it (or null) has a word: take it, as what a receive returns. */
bool notification_take(struct notification *notification, uint64_t values[5])
    QY_REQUIRES(qy_class_caps);

/* What a signal by a capability sets: its badge, else bit 0. */
static inline uint64_t notification_bits(const struct slot *slot)
{
    return slot->badge ? slot->badge : 1;
}

/*
 * Bind the notification that `by` names to the thread of `to`, until either capability goes. Errors: BUSY (either is
 * bound already), REVOKED.
 */
enum qy_error notification_bind(struct slot *by, struct slot *to) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* Bound to nobody from now on. */
void notification_unbind(struct notification *notification) QY_REQUIRES(qy_class_caps);

/* The capability by which a thread waits in a queue has gone, or the object has: its call ends with DEAD, a fault ends
 * the thread. */
void ipc_lose(struct thread *thread) QY_REQUIRES(qy_class_caps);

/* The thread waits for no message any more. */
void ipc_cancel(struct thread *thread) QY_REQUIRES(qy_class_caps);

enum dismantle endpoint_dismantle(struct endpoint *endpoint) QY_REQUIRES(qy_class_caps);
enum dismantle reply_dismantle(struct reply *reply) QY_REQUIRES(qy_class_caps);
enum dismantle notification_dismantle(struct notification *notification)
    QY_REQUIRES(qy_class_caps);

const char *endpoint_check(const struct endpoint *endpoint) QY_REQUIRES(qy_class_caps);
const char *notification_check(const struct notification *notification)
    QY_REQUIRES(qy_class_caps);

#endif
