/*
 * Threads that wait in a line, first come first served, linked through themselves, and once more to the capability by
 * which they came, so that whoever deletes it finds them. Private to kernel/ipc.
 */
#ifndef KERNEL_IPC_QUEUE_H
#define KERNEL_IPC_QUEUE_H

#include <kernel/ipc.h>

static inline void queue_push(struct wait_queue *queue, struct thread *thread, struct slot *by)
{
    thread->by_next = by->waiters;
    thread->by_at = &by->waiters;
    if (by->waiters)
        by->waiters->by_at = &thread->by_next;
    by->waiters = thread;
    thread->queue = queue;
    thread->next = NULL;
    thread->prev = queue->last;
    if (queue->last)
        queue->last->next = thread;
    else
        queue->first = thread;
    queue->last = thread;
}

static inline void queue_remove(struct thread *thread)
{
    struct wait_queue *queue = thread->queue;
    if (thread->prev)
        thread->prev->next = thread->next;
    else
        queue->first = thread->next;
    if (thread->next)
        thread->next->prev = thread->prev;
    else
        queue->last = thread->prev;
    thread->next = thread->prev = NULL;
    thread->queue = NULL;
    *thread->by_at = thread->by_next;
    if (thread->by_next)
        thread->by_next->by_at = thread->by_at;
}

/* Null, or IPC-QUEUE: the links of a queue do not hang together; CAP-WAIT: nor do those to a capability. */
static inline const char *queue_check(const struct wait_queue *queue)
{
    const struct thread *before = NULL;
    for (const struct thread *thread = queue->first; thread; thread = thread->next) {
        if (thread->prev != before || thread->queue != queue)
            return "IPC-QUEUE";
        if (*thread->by_at != thread ||
            (thread->by_next && thread->by_next->by_at != &thread->by_next))
            return "CAP-WAIT";
        before = thread;
    }
    return queue->last == before ? NULL : "IPC-QUEUE";
}

#endif
