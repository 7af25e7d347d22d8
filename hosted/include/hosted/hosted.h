/*
 * The memory core inside a Linux process: simulated physical memory of any size, and port.h on top
 * of it.
 *
 *     base + 0            base + frames   base + blocks   base + sections
 *     | RAM, by address   | frame table   | block table   | section table |  one inaccessible reservation
 *
 * Only what hosted_ram_add makes RAM can be touched, and only the parts of the tables that
 * qy_framedb_spans names; everything else is PROT_NONE, so the core cannot read a hole unnoticed.
 * Pages cost real memory once written: a machine of 64 TiB is a reservation. One machine exists at
 * a time. Locking: none; make and destroy it while no other thread uses it.
 */
#ifndef HOSTED_HOSTED_H
#define HOSTED_HOSTED_H

#include <qy/arena.h>
#include <setjmp.h>

struct hosted_machine {
    struct qy_framedb db;
    uint64_t limit_bytes;    /* physical addresses are below it */
    unsigned char *base;     /* of the reservation */
    uint64_t reserved_bytes; /* its size */
    unsigned char *table[3]; /* frames, blocks, sections */
    bool *opened;            /* of each section: its parts of the tables are accessible */
    bool garbage;
};

/*
 * Reserve a machine of physical addresses [0, limit_bytes), no RAM in it yet. garbage: the tables
 * of frames and blocks are filled with garbage where they become accessible (costs real memory), and
 * in debug builds freed frames are poisoned; RAM and the section table are zero. False if the reservation is refused.
 */
bool hosted_machine_make(struct hosted_machine *machine, uint64_t limit_bytes, bool garbage);
void hosted_machine_destroy(struct hosted_machine *machine);

/* RAM appears at frames [base, end), with its part of the frame database's tables. */
void hosted_ram_add(struct hosted_machine *machine, pfn_t base, pfn_t end);

/* The CPU that the calling thread plays; 0 until it says otherwise. */
void hosted_cpu_set(unsigned cpu);

/*
 * While set, qy_port_broken of this thread notes what it was told in `hosted_broken` and jumps
 * there; otherwise it prints and aborts. Use: if (setjmp(*hosted_catch(&jump)) == 0) { ... }
 * hosted_catch(NULL);
 */
jmp_buf *hosted_catch(jmp_buf *jump);

struct hosted_broken {
    const char *invariant, *what;
    uint64_t number;
};
extern _Thread_local struct hosted_broken hosted_broken;

#endif
