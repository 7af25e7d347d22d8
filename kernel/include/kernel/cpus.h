/*
 * Bringing the CPUs up at boot.
 */
#ifndef KERNEL_CPUS_H
#define KERNEL_CPUS_H

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

#endif
