/*
 * The root task: the first program. It is handed all the memory that is left as untyped
 * capabilities, shows what can be done with them, gives everything back, and switches the machine
 * off.
 *
 *     main.c      reads the command line and chooses
 *     page.c      a page of memory, mapped by hand          \
 *     handler.c   a page fault, handled by a program         |
 *     region.c    memory that appears when it is touched     |  the demonstration
 *     clone.c     copy on write, and what a revoke takes     |
 *     summary.c   where the memory is, what it cost         /
 *     prompt.c    commands on the console                      (word `interactive`)
 *     bench.c     costs of single calls                        (word `bench`)
 *     attack*.c   what a hostile program would try             (word `attack`)
 *     memory.c    memory objects and pagers                (word `memory`; pointers.c, pagers.c)
 *     place.c     threads stay with their memory               (word `place`)
 *     large.c     frames of 4 KiB, 2 MiB, 1 GiB            (word `large`)
 *     migrate.c   memory moves between nodes               (word `migrate`)
 *     storm.c     calls of many threads at random              (words `storm`, `storm=CALLS`, `seed=N`)
 *     revoke.c    revoke of 100,000 objects                    (word `revoke`)
 *     ranges.c    calls on 64 MiB at once                      (word `ranges`)
 *     seen.c      pages for the emulator to look at        (word `seen`)
 *     exhaust.c   tasks that take all they can get             (word `exhaust`)
 *     leaks.c     who holds the kernel's memory                (prompt, word `profile`)
 *     devices.c   a clock, driven by a program             (word `devices`)
 *     disk.c      disks, their driver and a client of it       (word `disk`)
 *     view.c      programs to look at, and snapshots    (words `view`, `view=N`)
 *     snapshot.c, accounts.c, records.c   the kernel's records as JSON and as tables
 *     tracing.c   events, streamed to a disk                   (word `tracing`)
 *     leak.c      a leak, planted and found                    (word `leak`)
 *     jobs.c      programs of the boot archive                (word `run=NAME`, prompt)
 *
 * Slots of the capability node are taken in order and given back in the opposite order (root_mark,
 * root_release). One thread runs all of this; the children that it starts touch nothing of struct
 * root.
 */
#ifndef ROOT_H
#define ROOT_H

#include <stdbool.h>
#include <user/fault.h>
#include <user/print.h>
#include <user/space.h>
#include <user/table.h>

#define ROOT_COSTS 24

/* Addresses that the root task uses for what it maps; nothing else lies there. */
#define ROOT_PAGE_ADDRESS 0x0000100000000000ull
#define ROOT_CHILD_ADDRESS 0x0000200000000000ull

struct cost {
    const char *what;
    uint64_t times, ticks;
};

struct root {
    const struct qy_root_info *info;
    qy_handle_t untyped; /* the largest one: pays for everything here */
    uint32_t next_slot;
    qy_handle_t timer; /* of whoever waits for something; 0: nobody does */
    bool fixed; /* programs lie at the same addresses at each start: word aslr=off */
    unsigned failures;
    const char *first_failure;
    unsigned costs;
    struct cost cost[ROOT_COSTS];
};

/* Count a failed check; `what` (a static string) names it at the end. Returns ok. */
bool root_check(struct root *root, bool ok, const char *what);

/* Remember what a step cost; steps of the same name (a static string) are added up. */
void root_cost(struct root *root, const char *what, uint64_t ticks);

/* "   what ....... ERROR: sentence": a step and what the kernel answered. Formats as in
 * lib/format.h. */
void root_said(enum qy_error error, const char *format, ...);

/* Print a table on the console. */
void root_table(const struct table *table);

/*
 * Retype one object into the next slot. Errors: those of untyped_retype; TOO_MANY (no slot is
 * left). The slot is taken only when it succeeds.
 */
enum qy_error root_make(struct root *root, qy_handle_t untyped, enum qy_object_type type,
                        uint64_t pages, qy_handle_t *out) CALL_MUST_USE;

/* The slots taken since the mark are empty again. */
uint32_t root_mark(const struct root *root);
void root_release(struct root *root, uint32_t mark);

/* Revoke a budget, say so, see that it is one free whole, and delete it. */
bool root_take_back(struct root *root, qy_handle_t budget, const char *what);

/* Print and check that the root task's untyped has as much free, and as many objects, as before; else: what is wrong. */
void root_conserved(struct root *root, const struct untyped_state *before, const char *wrong);

/*
 * Map a frame into the root task's space, and make from `untyped` the tables that it lacks, level
 * by level. With `tell` each step is printed and its cost kept. *made (may be null) is what the
 * caller has to delete in the end. On an error the tables made so far stay, and are in *made.
 */
enum qy_error root_map(struct root *root, qy_handle_t untyped, qy_handle_t frame, uint64_t address,
                       uint64_t flags, bool tell, struct tables *made) CALL_MUST_USE;

/* A thread of the root task's own space, with what it needs to be watched. */
struct child {
    qy_handle_t budget, endpoint, reply, thread, stack;
    qy_handle_t space; /* its own; 0: the root task's */
    uint64_t stack_top;
};

/*
 * Make a thread out of the budget, with a one-page stack mapped at stack_page and the page below it
 * unmapped. Its faults go to its endpoint. On an error some of it may exist: revoke the budget.
 */
enum qy_error child_make(struct root *root, qy_handle_t budget, uint64_t stack_page,
                         struct child *out) CALL_MUST_USE;

/*
 * The same in an address space of its own, which the budget pays for, too: this program is cloned into it. Its stack
 * is one page that ends at stack_top, with a guard below it that moves so many times.
 */
enum qy_error child_make_apart(struct root *root, qy_handle_t budget, uint64_t stack_top,
                               uint64_t moves, struct child *out) CALL_MUST_USE;

/* Start it at entry(argument) on a CPU. The function must not return. */
enum qy_error child_start(const struct child *child, void (*entry)(void *argument), void *argument,
                          unsigned cpu) CALL_MUST_USE;

/* Let others run until the thread is dead. False: it did not die in a generous time. */
bool child_wait_dead(const struct child *child) CALL_MUST_USE;

/* The parts of the demonstration. */
void greet(struct root *root);
void show_page(struct root *root);
void show_handler(struct root *root);
void show_regions(struct root *root);
void show_clone(struct root *root);
void show_summary(struct root *root);

/* Tables that the summary and the prompt share. */
void show_memory(struct root *root);
void show_objects(struct root *root);
void show_caches(struct root *root);
void show_cpus(struct root *root);
void show_numa(struct root *root);
void show_untypeds(struct root *root);
void show_calls(struct root *root);
void show_buddyinfo(struct root *root);
void show_slabinfo(struct root *root);

/* What begin.c calls; returns the code of thread_exit. */
int root_main(const struct qy_root_info *info);
_Noreturn void program_begin(const struct qy_root_info *info);

void prompt_run(struct root *root);
void view_run(struct root *root);

/*
 * Run a program of the boot archive with these arguments, its name first; null ends them. serve: with services
 * (services.h). False: it could not be run, or did not end well. That its memory has come back is a check of the root task.
 */
bool run_program(struct root *root, const char *const *argv, bool serve);
/* The same for one that is given a capability (WRITE, GRANT; 0: none), by who has begun to hand out slots. */
bool run_given(struct root *root, const char *const *argv, qy_handle_t given);

void bench_run(struct root *root);
void memory_run(struct root *root);
void place_run(struct root *root);
void large_run(struct root *root);
void migrate_run(struct root *root);
void attack_run(struct root *root);
void storm_run(struct root *root);
void revoke_run(struct root *root);
void ranges_run(struct root *root);

/* The longest stretch of any CPU that let no interrupt in, in ticks, since it started. */
uint64_t longest_stretch(const struct root *root);
void seen_run(struct root *root);
void exhaust_run(struct root *root);

/* The NUMA node of a CPU; UINT64_MAX: there is no such CPU. */
uint64_t root_node_of_cpu(uint64_t cpu);

/* The number behind a word of the command line that begins so ("storm="), else what is given. */
uint64_t root_word(const struct root *root, const char *begin, uint64_t otherwise);
void devices_run(struct root *root);

void disk_run(struct root *root);

/*
 * Stream the events of this machine to the disk that begins with "quarry trace disk", from a snapshot now to one at
 * the end; what is asked for then, too (word `tracing`). End: when all of it is on the disk.
 */
void tracing_begin(struct root *root);
void tracing_end(void);

/*
 * The n-th block device of the machine (user/root/ARCH/bus.c), and what it is behind. Made out of the budget and left
 * there: whatever looking for it takes. Errors: NOT_FOUND, and virtio_pci_find's.
 */
struct virtio_place;
enum qy_error bus_find(struct root *root, qy_handle_t budget, unsigned n,
                       struct virtio_place *place) CALL_MUST_USE;

/* The capability of the device memory that holds a physical address; 0 = none does. */
qy_handle_t device_memory_at(const struct root *root, uint64_t address);

/*
 * The machine's clock as a device that interrupts, one for each architecture (user/root/ARCH/clock.c).
 */
struct clock {
    qy_handle_t budget, interrupt,
        registers; /* made out of the budget; registers: ports or a frame */
    const char *name;
    uint64_t number; /* of its line */
};

/* Get at its registers. Errors: what the kernel answered. */
enum qy_error clock_open(struct root *root, struct clock *clock) CALL_MUST_USE;

/* Let it interrupt in about a millisecond (once or periodically), and no more. */
enum qy_error clock_start(struct clock *clock) CALL_MUST_USE;
enum qy_error clock_stop(struct clock *clock) CALL_MUST_USE;

/* Serve its interrupt: true if the clock says that it has raised one. */
bool clock_serve(struct clock *clock) CALL_MUST_USE;

/* What it says the time is, in units of its own. */
uint64_t clock_time(struct clock *clock) CALL_MUST_USE;

#endif
