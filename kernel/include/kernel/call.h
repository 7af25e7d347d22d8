/*
 * Calls of programs: from registers to the handler of the invocation and back.
 *
 * The table of include/quarry/invocations.h says of each call which object it is invoked on and
 * which rights it needs; that much is checked here, and a handler begins with a capability that
 * passes. Handlers decode everything, then reserve, then commit (ATOMIC).
 */
#ifndef KERNEL_CALL_H
#define KERNEL_CALL_H

#include <kernel/thread.h>

struct call {
    struct cpu *cpu;
    struct thread *thread;
    struct slot *slot;     /* that x0 names; null if the call looks at none */
    uint64_t arguments[6]; /* x0..x5 */
    uint64_t values[5];    /* x1..x5, zero at first; those of an error are returned too */
    bool waits;            /* the thread waits: whoever completes it writes its registers */
};

/* The current thread made a call; its registers are in its frame. */
void call_dispatch(struct cpu *cpu);

/* call_NAME for each invocation */
#define X(number, name, type, rights, arguments, results)                                          \
    enum qy_error call_##name(struct call *call) QY_MUST_USE QY_REQUIRES(qy_class_caps);
QY_INVOCATIONS(X)
#undef X

/* A capability of the calling thread's node. Errors: INVALID_HANDLE, WRONG_TYPE, NO_RIGHTS. */
enum qy_error call_lookup(struct call *call, qy_handle_t handle, enum qy_object_type type,
                          unsigned rights, struct slot **out) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* Is [pointer, pointer + bytes) inside the user half? */
bool user_range(uptr_t pointer, uint64_t bytes);

#endif
