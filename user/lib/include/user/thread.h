/*
 * Threads of a program, and how they wait for each other.
 *
 *     thread_create --> runs function(argument) on a stack of its own --> thread_join: its result, its memory back
 *
 *     stack:  | guard page, no access | pages on demand ... | top | thread-local storage (user/tls.h)
 *
 * A mutex or a condition is a word in memory and a notification; nobody who finds it free makes a call of the kernel.
 * All of it comes out of the program's budget, in slots of its own.
 *
 * Invariants: MUTEX-ONE (at most one thread is between lock and unlock), CONDITION-ALL (a signal that came while a
 * thread waited wakes it: signals that the notification holds as one are passed on). Cost: an uncontended lock is one
 * atomic operation. Failure: making any of them; the rest does not fail while the program keeps their objects.
 * Reference for the mutex: U. Drepper, Futexes Are Tricky (2011), section 6.
 */
#ifndef USER_THREAD_H
#define USER_THREAD_H

#include <stdatomic.h>
#include <user/call.h>

#define THREAD_STACK_BYTES 0x40000ull

struct thread {
    qy_handle_t handle, done; /* the thread; what it signals at its end */
    uint64_t stack;           /* where its guard page and stack begin */
    uint64_t pointer;         /* to its thread-local storage; 0: the program has none */
    uint64_t (*function)(void *argument);
    void *argument;
    uint64_t result;
};

/*
 * Start function(argument) on a CPU, or QY_CPU_ANY. Its faults go to `handler` with that badge (0: they end it).
 * *thread stays where it is until it is joined. Errors: OUT_OF_MEMORY, TOO_MANY (slots), and those of the calls that
 * make it.
 */
enum qy_error thread_create(struct thread *thread, uint64_t (*function)(void *argument),
                            void *argument, uint64_t cpu, qy_handle_t handler,
                            uint64_t badge) CALL_MUST_USE;

/* Wait until it has returned, and take back what it had. The caller knows that nothing has ended it before. */
enum qy_error thread_join(struct thread *thread, uint64_t *result) CALL_MUST_USE;

struct mutex {
    atomic_uint state; /* 0 free, 1 locked, 2 locked and somebody waits */
    qy_handle_t wakeup;
};

/* Errors: OUT_OF_MEMORY, TOO_MANY. */
enum qy_error mutex_make(struct mutex *mutex) CALL_MUST_USE;
void mutex_delete(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

/* Every field is guarded by the mutex that it is used with. */
struct condition {
    unsigned waiting,
        woken; /* threads in condition_wait; of them, those that were signalled and still sleep */
    qy_handle_t wakeup;
};

enum qy_error condition_make(struct condition *condition) CALL_MUST_USE;
void condition_delete(struct condition *condition);
/* Let the mutex go until somebody signals, and have it again. The caller holds it, and looks at its reason again. */
void condition_wait(struct condition *condition, struct mutex *mutex);
/* Wake one, or all, of those that wait. The caller holds the mutex. */
void condition_signal(struct condition *condition);
void condition_broadcast(struct condition *condition);

#endif
