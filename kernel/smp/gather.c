/*
 * Gathering the CPUs: for a look at all that the kernel has, every other CPU comes to wait for the lock of
 * capabilities. Whoever waits for a lock answers what other CPUs ask, so nobody waits in a circle.
 */
#include <arch/arch.h>
#include <kernel/cpus.h>

static atomic_bool gathering;

void cpus_gather(void)
{
    atomic_store(&gathering, true);
    for (unsigned i = 0; i < cpu_count; i++)
        if (cpu_at(i) != cpu_this())
            arch_ipi(cpu_at(i));
    while (caps_waiters() < cpu_count - 1)
        qy_port_relax();
}

void cpus_go_on(void)
{
    atomic_store(&gathering, false);
}

void cpus_gather_here(void)
{
    if (!atomic_load_explicit(&gathering, memory_order_relaxed))
        return;
    caps_acquire();
    caps_release();
}
