/*
 * Threads that wait in a line, first come first served, linked through themselves. Private to kernel/ipc.
 */
#ifndef KERNEL_IPC_QUEUE_H
#define KERNEL_IPC_QUEUE_H

#include <kernel/ipc.h>

static inline void queue_push(struct wait_queue *queue, struct thread *thread)
{
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
}

/* Null, or IPC-QUEUE: the links of a queue do not hang together. */
static inline const char *queue_check(const struct wait_queue *queue)
{
    const struct thread *before = NULL;
    for (const struct thread *thread = queue->first; thread; thread = thread->next) {
        if (thread->prev != before || thread->queue != queue)
            return "IPC-QUEUE";
        before = thread;
    }
    return queue->last == before ? NULL : "IPC-QUEUE";
}

#endif
