/*
 * The kernel's objects on a simulated machine: hosted RAM, CPUs that are coroutines, and TLBs that
 * keep everything that they are allowed to keep.
 *
 * The world is booted by root_task_create from an archive made in memory. CPU 0 runs the root
 * task's thread; calls go through call_dispatch. Wherever the kernel works without its lock
 * (shootdown, zeroing, waiting), a CPU yields: the test says which one goes on, so interleavings
 * are explored, and repeated from a seed.
 *
 * TLBs are sim_tlb.h's, with few tags: they remember every translation and every table of each space, and
 * forget only what an instruction names. world_check then compares: a CPU that knows, under the tag in use,
 * what the tables no longer say is a broken REVOKED or EXACT. And when memory is zeroed for a new owner,
 * no CPU may still reach it.
 */
#ifndef TESTS_KERNEL_WORLD_H
#define TESTS_KERNEL_WORLD_H

#include <kernel/arenas.h>
#include <kernel/call.h>
#include <kernel/device.h>
#include <kernel/ipc.h>
#include <kernel/object.h>
#include <kernel/root_task.h>
#include <kernel/sched.h>
#include <kernel/space.h>
#include <setjmp.h>

/* The tables of a space, to be walked by qy/pt.h. */
#define SPACE_PT(space) (&(struct qy_pt){(space)->vm.format, (space)->vm.root})

#define WORLD_CPUS 3u
#define WORLD_KERNEL_PAGE 0xffffd00000000000ull /* mapped, global, in every space */
_Static_assert(WORLD_CPUS <= QY_CONFIG_MAX_CPUS, "the CPUs of the world fit the build");

/* What a call returned; waits = the thread waits for somebody. */
struct result {
    enum qy_error error;
    bool waits;
    uint64_t x[6]; /* x[1]..x[5] */
};

extern struct kernel_arenas world_arenas;
extern uint64_t world_time_ns; /* what arch_time_ns tells */
/* Where a CPU yields beside: after a call, before it chooses what to run; and while it loads tables, with its lock. */
extern bool world_yields_at_exit, world_yields_at_load;
/* Preemption points passed; what is to happen at each (null: nothing). */
extern unsigned world_preemption_points;
extern void (*world_at_preemption)(void);
extern char world_console[]; /* what was printed since world_make */

/*
 * Lines of devices: below 16 they tell edges, below 31 their level, 31 is not for us to drive, and there are no more. As
 * the manuals allow, an edge is lost while the line is held back, and a level raises as long as it is high.
 */
struct world_line {
    bool enabled, held, high;
    unsigned cpu;
};
extern struct world_line world_lines[ARCH_INTERRUPTS];
/* The device raises or lowers its line. */
void world_line_set(uint32_t number, bool high);

/* Registers in the middle of the device memory that no program gets: one page. */
#define WORLD_KEPT 0xfee00000ull

/* What stands behind each I/O port. 0x3f8 to 0x3ff are the kernel's. */
extern uint8_t world_ports[QY_PORTS];

/*
 * A register of a device, wherever it is in device memory: what is written there is read back after `delay` looks;
 * never, if the device refuses.
 */
struct world_register {
    uint64_t address; /* of the last access */
    uint32_t written, value;
    unsigned width, writes, delay, looks;
    bool refuses, stopped, gone; /* gone: no device answers, and what is read says nothing */
};
extern struct world_register world_register;

/* Boot a machine of that many MiB, with RAM full of garbage. Once in a process. */
void world_make(unsigned mib);

/* The program of the boot archive (at most 0x3000 bytes), an archive with one file in RAM, and what else the root task is
 * made from. */
size_t world_program(unsigned char *at);
struct qy_bytes world_archive(uint64_t physical, const char *name, const void *data, size_t bytes);
extern struct qy_pt world_kernel_tables;

/* The current thread of a CPU makes a call; it runs to its end, CPUs that wait meanwhile too. */
struct result world_call(unsigned cpu, enum qy_invocation number, uint64_t x0, uint64_t x1,
                         uint64_t x2, uint64_t x3, uint64_t x4, uint64_t x5);

/* The same, but it runs to the first yield only. */
void world_begin(unsigned cpu, enum qy_invocation number, const uint64_t x[6]);
/* Has a call of this CPU begun and not ended? If so, world_step lets it run to the next yield. */
bool world_busy(unsigned cpu);
void world_step(unsigned cpu);
/* A CPU that is not in the kernel takes its interrupts. */
void world_interrupts(unsigned cpu);
/* The result of the last call of this CPU. */
struct result world_last(unsigned cpu);

/* Results of the last call of a thread that has been completed meanwhile. */
struct result world_result(const struct thread *thread);

/* What CPU `cpu` runs now, after choosing as at the end of an entry. */
struct thread *world_pick(unsigned cpu);

/* A CPU with nothing to run does one step of its work for later; false if there is none. */
bool world_idle(unsigned cpu);

/* The current thread of a CPU faults; the same to the first yield only. */
void world_fault(unsigned cpu, uint64_t address, enum qy_access access, uint64_t instruction);
void world_begin_fault(unsigned cpu, uint64_t address, enum qy_access access, uint64_t instruction);

/* The root task's thread, node and space. */
struct thread *world_root_thread(void);
struct cap_node *world_root_node(void);
/* The object in a slot of the root task's node. */
struct object *world_object(uint32_t slot);

/* All CPUs remember all that they can reach. */
void world_fill_tlbs(void);

/* That CPU, which is not in the kernel, loads the tables of a space (null: the kernel's own). */
void world_load(unsigned cpu, struct space *space);

/* Null, or what is broken: every untyped, every tree, every space, every TLB. */
const char *world_check(void);

/* Promises found broken at once, as they were; null = none. */
extern const char *world_broken;

/* Where the kernel goes when it ends: kernel_exit, kernel_stop, kernel_panic jump here if it is
 * set, else abort. */
extern jmp_buf *world_end;
extern unsigned world_exit_code;

#endif
