/*
 * Threads: registers, what they run in, and what they wait for.
 *
 *     NEW --start--> READY <--pick, expire--> RUNNING --send, receive, call, fault--+
 *                      ^                         |                                  v
 *                      |                        exit    SENDING, RECEIVING, CALLING, FAULTED
 *                      |                         v               |                  |
 *                      |                       DEAD <--- kill ---+                  |
 *                      +------------------- the other side completes ---------------+
 *
 * `suspended` is a mark beside the state: a thread that has it is in no run queue.
 *
 * A thread's space, capability node and fault handler are capabilities in slots of the thread
 * itself, derived from those with which it was configured: revoking one of those takes it from the
 * thread too, and the thread stops.
 *
 * Invariants
 *   THREAD-QUEUE  a READY thread that is not suspended is in the run queue of its CPU, once; no
 *                 other is
 *   THREAD-WAIT   a SENDING or RECEIVING thread is in the queue of an endpoint, a WAITING one in
 *                 that of a notification; a CALLING or FAULTED one is bound to `reply` or in the
 *                 queue of an endpoint
 *
 * Locking: all is guarded by qy_class_caps; state, suspended, run_space and the links of a run
 * queue also by the lock of the thread's CPU (qy_class_sched).
 */
#ifndef KERNEL_THREAD_H
#define KERNEL_THREAD_H

#include <kernel/cpu.h>
#include <kernel/teardown.h>

struct notification;
struct reply;

struct message {
    uint64_t label;
    uint64_t words[3];
    qy_handle_t capability; /* of the sender's node, that goes with it; 0 = none */
};

/* Threads that wait, linked through `next` and `prev`. */
struct wait_queue {
    struct thread *first, *last;
};

struct thread {
    struct object object;
    struct arch_frame frame __attribute__((aligned(16)));
    uint8_t state;  /* enum qy_thread_state, never SUSPENDED; also qy_class_sched */
    bool suspended; /* also qy_class_sched */
    bool expired;   /* it gives way to the next one of its priority; only its CPU looks */
    bool queued;    /* it is in a run queue (qy_class_sched) */
    uint8_t priority;  /* below QY_PRIORITIES, higher runs first (qy_class_sched) */
    _Atomic uint16_t affinity; /* the CPU it runs on, or QY_CPU_ANY: of its home node (qy_class_sched) */
    bool is_root;   /* the root task's first thread: the machine ends with it */
    struct cpu *_Atomic cpu;    /* where it runs or ran last; null = not started yet (qy_class_sched) */
    struct thread *next, *prev; /* in a run queue (qy_class_sched) or in `queue` */
    struct space *run_space;    /* what sched_pick loads (qy_class_sched); null: cannot run */
    struct slot space, node, handler;
    struct wait_queue *queue;  /* in which it waits, of an endpoint or a notification ... */
    struct thread *by_next, **by_at; /* ... and among those who do by the same capability; what points here */
    struct reply *reply;       /* whose answer it waits for, or that it offers while it receives */
    struct message message;    /* while it is in the queue of senders */
    struct notification *notification; /* whose signal ends its receive */
    qy_handle_t receive_node;          /* where the next capability that comes is put ... */
    uint64_t receive_slot;             /* ... and in which slot; 0 = nowhere */
    uint64_t badge;
    uint64_t pointer; /* to what the thread has of its own; 0 = it said nothing (thread_pointer) */
    uint64_t faults, calls;
    uint64_t exit_code;
    uint64_t last_fault[2]; /* instruction and address of the last fault that the kernel resolved */
    uint64_t last_entry;    /* which entry of its CPU that was */
    unsigned repeats;       /* how often in a row it was the same */
    uint64_t entry;         /* the kernel entry in which it sent its last message ... */
    uint64_t because;       /* ... and that in which what it has received last was sent, or it was started */
};

static inline bool thread_may_run_on(const struct thread *thread, const struct cpu *cpu)
{
    uint16_t affinity = atomic_load_explicit(&thread->affinity, memory_order_relaxed);
    return affinity == QY_CPU_ANY || affinity == cpu->index;
}

static inline struct cap_node *thread_node(const struct thread *thread)
{
    return (struct cap_node *)thread->node.object;
}

void thread_finish(struct thread *thread);

/*
 * Bind what a thread runs in; handler may be null. The sources have been checked. Errors: those of
 * slot_may_derive; nothing has changed then. The old bindings are deleted through the teardown,
 * which has room.
 */
enum qy_error thread_configure(struct thread *thread, struct slot *space, struct slot *node,
                               struct slot *handler, uint64_t badge,
                               struct teardown *teardown) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* A binding of the thread is going: it stops if it cannot run without. */
void thread_unbound(struct thread *thread, struct slot *slot) QY_REQUIRES(qy_class_caps);

/*
 * Start a thread that is NEW or DEAD. Errors: BUSY (it runs already), INVALID_ADDRESS (instruction
 * or stack outside the user half), INVALID_ARGUMENT (no such CPU, or no space or node bound).
 */
enum qy_error thread_start(struct thread *thread, uint64_t instruction, uint64_t stack,
                           uint64_t argument, uint64_t cpu) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* End a thread: it waits for nothing and runs no more. Its object stays. */
void thread_end(struct thread *thread) QY_REQUIRES(qy_class_caps);

/* What its call returns: error and values (null: all zero). */
void thread_result(struct thread *thread, enum qy_error error, const uint64_t values[5]);

/* What it waited for has come: its call returns that, and it is ready. */
void thread_complete(struct thread *thread, enum qy_error error, const uint64_t values[5])
    QY_REQUIRES(qy_class_caps);

enum dismantle thread_dismantle(struct thread *thread, struct teardown *teardown)
    QY_REQUIRES(qy_class_caps);

/* Null, or the id of the first invariant that a thread breaks. No CPU changes anything meanwhile. */
const char *thread_check(const struct thread *thread);

/* What thread_info reports. */
enum qy_thread_state thread_state(const struct thread *thread) QY_REQUIRES(qy_class_caps);

#endif
