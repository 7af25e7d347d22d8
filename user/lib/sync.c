/*
 * Mutexes and conditions over notifications: see user/thread.h.
 *
 * A notification remembers a signal that comes before its wait, and many signals as one. So a waiter that finds that it
 * was woken for nothing waits again, and one that took a signal meant for several passes it on.
 */
#include <user/slots.h>
#include <user/thread.h>

/* The program has the notification as long as it has the mutex: these do not fail. */
static void wake(qy_handle_t notification)
{
    enum qy_error error = notification_signal(notification);
    (void)error;
}

static void sleep_on(qy_handle_t notification)
{
    uint64_t word;

    if (notification_wait(notification, &word) != QY_OK)
        yield(); /* at least let others run */
}

enum qy_error mutex_make(struct mutex *mutex)
{
    *mutex = (struct mutex){.wakeup = 0};
    return slot_make(QY_SLOT_UNTYPED, QY_OBJ_NOTIFICATION, 1, &mutex->wakeup);
}

void mutex_delete(struct mutex *mutex)
{
    slot_delete(mutex->wakeup);
    mutex->wakeup = 0;
}

void mutex_lock(struct mutex *mutex)
{
    unsigned state = 0;

    if (atomic_compare_exchange_strong_explicit(&mutex->state, &state, 1, memory_order_acquire,
                                                memory_order_relaxed))
        return;
    /* Who has waited takes it as 2: there may be others who wait. */
    while (atomic_exchange_explicit(&mutex->state, 2, memory_order_acquire) != 0)
        sleep_on(mutex->wakeup);
}

void mutex_unlock(struct mutex *mutex)
{
    if (atomic_exchange_explicit(&mutex->state, 0, memory_order_release) == 2)
        wake(mutex->wakeup);
}

enum qy_error condition_make(struct condition *condition)
{
    *condition = (struct condition){.wakeup = 0};
    return slot_make(QY_SLOT_UNTYPED, QY_OBJ_NOTIFICATION, 1, &condition->wakeup);
}

void condition_delete(struct condition *condition)
{
    slot_delete(condition->wakeup);
    condition->wakeup = 0;
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
    condition->waiting++;
    do {
        mutex_unlock(mutex);
        sleep_on(condition->wakeup);
        mutex_lock(mutex);
    } while (!condition->woken);
    condition->woken--;
    condition->waiting--;
    if (condition->woken)
        wake(condition->wakeup);
}

void condition_signal(struct condition *condition)
{
    if (condition->woken < condition->waiting) {
        condition->woken++;
        wake(condition->wakeup);
    }
}

void condition_broadcast(struct condition *condition)
{
    if (condition->woken < condition->waiting) {
        condition->woken = condition->waiting;
        wake(condition->wakeup);
    }
}
