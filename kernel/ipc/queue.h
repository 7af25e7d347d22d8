/*
 * Threads that wait in a line, first come first served, linked through themselves, and once more to the capability by
 * which they came, so that whoever deletes it finds them. Private to kernel/ipc.
 */
#ifndef KERNEL_IPC_QUEUE_H
#define KERNEL_IPC_QUEUE_H

#include <kernel/ipc.h>

/* Local copies: the compiler cannot know which of the structures are the same. */
static inline void queue_push(struct wait_queue *queue, struct thread *thread, struct slot *by)
{
    struct thread *last = queue->last, *other = by->waiters;
    thread->queue = queue;
    thread->next = NULL;
    thread->prev = last;
    queue->last = thread;
    *(last ? &last->next : &queue->first) = thread;
    thread->by_next = other;
    thread->by_at = &by->waiters;
    by->waiters = thread;
    if (other)
        other->by_at = &thread->by_next;
}

static inline void queue_remove(struct thread *thread)
{
    struct wait_queue *queue = thread->queue;
    struct thread *next = thread->next, *prev = thread->prev;
    struct thread *other = thread->by_next, **at = thread->by_at;
    thread->queue = NULL;
    *(prev ? &prev->next : &queue->first) = next;
    *(next ? &next->prev : &queue->last) = prev;
    *at = other;
    if (other)
        other->by_at = at;
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
