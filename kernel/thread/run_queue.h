/*
 * A CPU's run queue: a line of threads for each priority. Private to kernel/thread; all under the CPU's lock.
 */
#ifndef KERNEL_RUN_QUEUE_H
#define KERNEL_RUN_QUEUE_H

#include <kernel/thread.h>

/* The highest priority with threads in line; -1: none has. */
static inline int run_queue_top(const struct run_queue *queue)
{
    return queue->nonempty ? 63 - __builtin_clzll(queue->nonempty) : -1;
}

static inline void run_queue_insert(struct run_queue *queue, struct thread *thread, bool first)
{
    struct thread **head = &queue->first[thread->priority], **tail = &queue->last[thread->priority];
    thread->prev = first ? NULL : *tail;
    thread->next = first ? *head : NULL;
    *(thread->prev ? &thread->prev->next : head) = thread;
    *(thread->next ? &thread->next->prev : tail) = thread;
    queue->nonempty |= 1ull << thread->priority;
    thread->queued = true;
}

static inline void run_queue_remove(struct run_queue *queue, struct thread *thread)
{
    struct thread **head = &queue->first[thread->priority], **tail = &queue->last[thread->priority];
    *(thread->prev ? &thread->prev->next : head) = thread->next;
    *(thread->next ? &thread->next->prev : tail) = thread->prev;
    thread->next = thread->prev = NULL;
    if (!*head)
        queue->nonempty &= ~(1ull << thread->priority);
    thread->queued = false;
}

#endif
