/*
 * Notifications: words of signals, and those who wait for them. See kernel/ipc.h.
 */
#include <kernel/device.h>
#include <kernel/sched.h>
#include <kernel/timer.h>

#include "queue.h"

void notification_signal(struct notification *notification, uint64_t bits)
{
    struct thread *thread = notification->bound;
    notification->word |= bits;
    if (thread && thread->state == QY_THREAD_RECEIVING) {
        uint64_t values[5];
        ipc_cancel(thread);
        notification_take(notification, values);
        thread_complete(thread, QY_OK, values);
    } else if (notification->waiting.first) {
        thread = notification->waiting.first;
        queue_remove(thread);
        thread_complete(thread, QY_OK, (uint64_t[5]){notification->word});
        notification->word = 0;
    }
}

bool notification_wait(struct thread *thread, struct slot *by, uint64_t *word)
{
    struct notification *notification = (struct notification *)by->object;
    if (notification->word == 0) {
        sched_block(thread, QY_THREAD_WAITING);
        queue_push(&notification->waiting, thread, by);
        return true;
    }
    *word = notification->word;
    notification->word = 0;
    return false;
}

bool notification_take(struct notification *notification, uint64_t values[5])
{
    if (!notification || notification->word == 0)
        return false;
    values[0] = notification->word;
    values[1] = QY_LABEL_NOTIFIED;
    values[2] = values[3] = values[4] = 0;
    notification->word = 0;
    return true;
}

enum qy_error notification_bind(struct slot *by, struct slot *to)
{
    struct notification *notification = (struct notification *)by->object;
    struct thread *thread = (struct thread *)to->object;
    if (notification->bound || thread->notification)
        return QY_BUSY;
    enum qy_error error = binding_may_be_made(by, to);
    if (error != QY_OK)
        return error;
    notification->bound = thread;
    thread->notification = notification;
    binding_make(&notification->binding, &notification->object, by, to);
    return QY_OK;
}

void notification_unbind(struct notification *notification)
{
    if (!notification->bound)
        return;
    notification->bound->notification = NULL;
    notification->bound = NULL;
    binding_end(&notification->binding);
}

enum dismantle notification_dismantle(struct notification *notification)
{
    struct thread *thread = notification->waiting.first;
    notification_unbind(notification);
    if (notification->timers) {
        timer_disarm(notification->timers);
        return DISMANTLE_MORE;
    }
    if (notification->interrupts) {
        interrupt_unbind(notification->interrupts);
        return DISMANTLE_MORE;
    }
    if (notification->watches) {
        watch_end(notification->watches->untyped);
        return DISMANTLE_MORE;
    }
    if (!thread)
        return DISMANTLE_DONE;
    ipc_lose(thread);
    return DISMANTLE_MORE;
}

const char *notification_check(const struct notification *notification)
{
    const char *broken = queue_check(&notification->waiting);
    if (broken)
        return broken;
    for (const struct thread *thread = notification->waiting.first; thread; thread = thread->next)
        if (thread->state != QY_THREAD_WAITING)
            return "THREAD-WAIT";
    if (notification->word && notification->waiting.first)
        return "NOTIFY-WORD";
    if (!notification->bound)
        return notification->binding.by.type == QY_OBJ_NONE ? NULL : "NOTIFY-BOUND";
    if (notification->bound->notification != notification)
        return "NOTIFY-BOUND";
    return binding_check(&notification->binding, &notification->object,
                         &notification->bound->object);
}
