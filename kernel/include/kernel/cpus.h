/*
 * Bringing the CPUs up at boot.
 */
#ifndef KERNEL_CPUS_H
#define KERNEL_CPUS_H

#include <kernel/cap.h>
#include <kernel/cpu.h>
#include <platform/topology.h>

/* Fill the CPUs' areas and set the boot CPU up; cpu_this() works afterwards. The final tables are loaded. */
void cpus_prepare(const struct qy_topology *topology);

/* Start all others; cpu_count is then the number that run. They idle. */
void cpus_start(const struct qy_topology *topology, paddr_t trampoline, paddr_t root);

/* Have an idle CPU run a function; it has returned when cpu_is_working says no. For tests at boot. */
void cpu_run(struct cpu *cpu, void (*work)(void));
bool cpu_is_working(const struct cpu *cpu);

/* By an idle CPU: run what it was given. False: there is nothing. */
bool cpu_work(struct cpu *cpu);

/*
 * Have every other CPU wait for the lock of capabilities, which this one has: none changes anything until it is
 * released, after cpus_go_on. Waits for them, and answers them meanwhile.
 */
void cpus_gather(void) QY_REQUIRES(qy_class_caps);
void cpus_go_on(void) QY_REQUIRES(qy_class_caps);

/* Wait if somebody gathers. Called without locks where a CPU would be away from that lock for long. */
void cpus_gather_here(void) QY_EXCLUDES(qy_class_caps);

#endif
