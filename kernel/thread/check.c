/*
 * The validator of run queues and threads. Takes no lock: nothing moves meanwhile.
 */
#include <kernel/ipc.h>
#include <kernel/sched.h>

static const char *queue_check(const struct cpu *cpu, unsigned priority)
{
    const struct run_queue *queue = &cpu->queue;
    const struct thread *before = NULL, *thread = queue->first[priority];
    if ((thread != NULL) != (queue->nonempty >> priority & 1))
        return "SCHED-QUEUE";
    for (; thread; before = thread, thread = thread->next) {
        if (thread->prev != before || !thread->queued || thread->priority != priority ||
            thread->cpu != cpu || thread->state != QY_THREAD_READY || thread->suspended)
            return "SCHED-QUEUE";
    }
    return queue->last[priority] == before ? NULL : "SCHED-QUEUE";
}

const char *sched_check(void)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        const struct cpu *cpu = cpu_at(i);
        if (cpu->current && cpu->current->cpu != cpu)
            return "SCHED-CURRENT";
        for (unsigned priority = 0; priority < QY_PRIORITIES; priority++) {
            const char *broken = queue_check(cpu, priority);
            if (broken)
                return broken;
        }
    }
    return NULL;
}

/* What a waiting thread waits in, and whether that knows it. */
static bool waits_rightly(const struct thread *thread)
{
    switch ((enum qy_thread_state)thread->state) {
    case QY_THREAD_SENDING:
    case QY_THREAD_WAITING:
        return thread->queue && !thread->reply;
    case QY_THREAD_RECEIVING:
        return thread->queue && (!thread->reply || thread->reply->receiver == thread);
    case QY_THREAD_CALLING:
    case QY_THREAD_FAULTED:
        return thread->queue ? !thread->reply : thread->reply && thread->reply->caller == thread;
    default:
        return !thread->queue && !thread->reply;
    }
}

const char *thread_check(const struct thread *thread)
{
    bool ready = thread->state == QY_THREAD_READY && !thread->suspended;
    if (thread->queued != ready)
        return "THREAD-QUEUE";
    if (thread->state == QY_THREAD_RUNNING && (!thread->cpu || thread->cpu->current != thread))
        return "SCHED-CURRENT";
    if (!waits_rightly(thread))
        return "THREAD-WAIT";
    if (thread->notification && thread->notification->bound != thread)
        return "NOTIFY-BOUND";
    return NULL;
}
