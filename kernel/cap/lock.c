/*
 * The lock of the capability graph, and the gates by which messages pass it.
 *
 *     any call       the lock; then the gates of other CPUs that stand open are closed
 *     a message      the gate of its own CPU, if it is open: no line that another CPU writes
 *     if closed      the lock, just as long as it takes to open it
 *
 * A CPU that holds the lock holds the graph alone: nobody is behind a gate. Its own may stay open, since it is not in two
 * calls at once. So CPUs that only send messages to threads of their own share nothing, and a call pays for each gate that
 * it closes what opening it cost. What may change behind a gate: see kernel/ipc/fast.c.
 *
 * Locking: a gate counts as qy_class_caps; whoever is behind one waits for nobody but a holder of its CPU's
 * qy_class_sched. Cost: O(1); of a call, O(gates opened since the last one).
 */
#include <kernel/cap.h>
#include <kernel/cpu.h>

enum { GATE_CLOSED, GATE_OPEN, GATE_TAKEN };

static struct qy_lock caps_lock;
static struct cpu *
    open_gates QY_GUARDED_BY(caps_lock); /* whose gate may be open, linked by gate_next */

static void lock(struct cpu *cpu) QY_ACQUIRES(caps_lock)
{
    bool waited = qy_lock_acquire_waits(&caps_lock);
    QY_COUNT(cpu->counts[cpu->kind].locks, 1);
    QY_COUNT(cpu->counts[cpu->kind].waits, waited);
}

static void gate_close(struct cpu *cpu)
{
    unsigned state = GATE_OPEN;
    while (!atomic_compare_exchange_weak_explicit(&cpu->gate, &state, GATE_CLOSED,
                                                  memory_order_acquire, memory_order_relaxed)) {
        qy_port_relax();
        state = GATE_OPEN;
    }
}

/* All but its own. */
static QY_RARE void gates_close(struct cpu *self) QY_REQUIRES(caps_lock)
{
    struct cpu *own = NULL;
    for (struct cpu *cpu = open_gates, *next; cpu; cpu = next) {
        next = cpu->gate_next;
        if (cpu == self)
            own = cpu;
        else
            gate_close(cpu);
    }
    if (own)
        own->gate_next = NULL;
    open_gates = own;
}

void caps_acquire(void) QY_UNCHECKED
{
    struct cpu *cpu = cpu_this();
    lock(cpu);
    if (open_gates && (open_gates != cpu || cpu->gate_next))
        gates_close(cpu);
}

void caps_release(void) QY_UNCHECKED
{
    qy_lock_release(&caps_lock);
}

unsigned caps_waiters(void)
{
    return qy_lock_waiters(&caps_lock);
}

/* It was closed; now it is open, and this CPU behind it. */
static QY_RARE void gate_open(struct cpu *cpu)
{
    lock(cpu);
    atomic_store_explicit(&cpu->gate, GATE_TAKEN, memory_order_relaxed);
    cpu->gate_next = open_gates;
    open_gates = cpu;
    qy_lock_release(&caps_lock);
}

void gate_enter(struct cpu *cpu) QY_UNCHECKED
{
    unsigned state = GATE_OPEN;
    if (!atomic_compare_exchange_strong_explicit(&cpu->gate, &state, GATE_TAKEN,
                                                 memory_order_acquire, memory_order_relaxed))
        gate_open(cpu);
}

void gate_leave(struct cpu *cpu) QY_UNCHECKED
{
    atomic_store_explicit(&cpu->gate, GATE_OPEN, memory_order_release);
}
