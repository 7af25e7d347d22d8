/*
 * Where a thread without a CPU of its own runs: on the node that its memory is on. See kernel/sched.h.
 *
 * Each node has a set of its CPUs and one of those that idle; a CPU enters itself. Locking: none, the sets are
 * atomic words, and a wrong guess costs only time. Cost: O(CPUs / 64 + 64).
 */
#include <kernel/arenas.h>
#include <kernel/sched.h>

#define WORDS ((KERNEL_CPUS_MAX + 63) / 64)

typedef _Atomic uint64_t cpu_set_t[WORDS];

static cpu_set_t all[QY_CONFIG_MAX_NODES], idlers[QY_CONFIG_MAX_NODES];

static bool set_has(const cpu_set_t set, unsigned cpu)
{
    return atomic_load_explicit(&set[cpu / 64], memory_order_relaxed) >> cpu % 64 & 1;
}

/* The member with n mod members before it; null: the set is empty. */
static struct cpu *set_at(const cpu_set_t set, uint64_t n)
{
    unsigned members = 0;
    for (unsigned i = 0; i < WORDS; i++)
        members += (unsigned)__builtin_popcountll(atomic_load(&set[i]));
    n = members ? n % members : 0;
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t bits = atomic_load(&set[i]);
        for (; bits; bits &= bits - 1)
            if (n-- == 0)
                return cpu_at(i * 64 + (unsigned)__builtin_ctzll(bits));
    }
    return NULL;
}

void place_online(const struct cpu *cpu)
{
    atomic_fetch_or(&all[cpu->node][cpu->index / 64], 1ull << cpu->index % 64);
}

void place_idle(const struct cpu *cpu, bool idle)
{
    _Atomic uint64_t *word = &idlers[cpu->node][cpu->index / 64];
    uint64_t bit = 1ull << cpu->index % 64;
    if (idle)
        atomic_fetch_or(word, bit);
    else
        atomic_fetch_and(word, ~bit);
}

/* The node of the thread's memory, or the nearest to it that has CPUs. */
static unsigned home_of(const struct thread *thread)
{
    const struct qy_nodes *nodes = kernel_nodes();
    unsigned home = thread->object.untyped->arena->node;
    for (unsigned i = 0; i < nodes->count; i++) {
        unsigned node = qy_nodes_at(nodes, home, i);
        if (set_at(all[node], 0))
            return node;
    }
    return cpu_this()->node;
}

struct cpu *place_choose(const struct thread *thread)
{
    uint16_t affinity = atomic_load_explicit(&thread->affinity, memory_order_relaxed);
    if (affinity != QY_CPU_ANY)
        return cpu_at(affinity);
    unsigned home = home_of(thread);
    struct cpu *last = thread->cpu && thread->cpu->node == home ? thread->cpu : NULL;
    if (last && set_has(idlers[home], last->index))
        return last;
    struct cpu *idle = set_at(idlers[home], 0);
    if (idle)
        return idle;
    if (last)
        return last;
    struct cpu *any = set_at(all[home], thread->object.id);
    return any ? any : cpu_this();
}
