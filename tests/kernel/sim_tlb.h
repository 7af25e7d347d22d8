/*
 * Adversarial CPUs: each keeps every translation, every table on the way, global or tagged, and every
 * instruction that it may have fetched, until it is told to forget.
 *
 * A CPU fills its TLB from the tables that it has loaded, and from every table that it remembers,
 * whether or not that is still in the tree, whenever the world says so. Nothing is ever evicted.
 * Page invalidations forget pages and no tables on the way, which is the weaker of x86-64 and RISC-V.
 *
 * What differs is what a CPU may keep of nothing, and what a fault makes it forget. x86-64 (SDM 3A, 4.10.2.3, 4.10.4.1): no
 * entry that is not present; a page fault drops what it has for the address. RISC-V (Privileged Architecture 1.12, 4.2.1): also
 * that an entry of any level was not valid, until a fence; a fault drops nothing. QY_FORMAT=sv48 in the environment makes
 * these CPUs and their tables; an access fails as long as anything may make it fail.
 *
 * Under a plant (QY_PLANT in the environment) the CPUs are broken in one way, which a test must find.
 */
#ifndef TESTS_KERNEL_SIM_TLB_H
#define TESTS_KERNEL_SIM_TLB_H

#include <qy/pt.h>

#define SIM_TAGS 3u /* few, so that they are used again and again */

enum sim_plant {
    PLANT_NONE,
    PLANT_PAGES_KEPT,        /* an invalidation of pages does nothing */
    PLANT_LAST_PAGE_KEPT,    /* it leaves out the last page */
    PLANT_LEVEL_IGNORED,     /* it takes large pages for small ones */
    PLANT_TAG_KEPT,          /* an invalidation of a tag does nothing */
    PLANT_TABLES_KEPT,       /* it forgets pages, not the tables on the way */
    PLANT_LOAD_KEEPS,        /* loading keeps what a tag had for another space, or from before */
    PLANT_GLOBAL_KEPT,       /* forgetting everything leaves what is global */
    PLANT_CODE_KEPT,         /* instructions that were fetched stay */
    PLANT_IDLE_CPU_DEAF,     /* a CPU outside of the kernel answers without forgetting */
    PLANT_FAULT_KEEPS,       /* after a fault that was resolved nothing is forgotten: only sv48's CPUs mind */
    PLANT_COUNT
};
extern enum sim_plant sim_plant; /* from the environment, by sim_reset */

extern const struct qy_pt_format *sim_format; /* of its tables; from the environment, likewise */

/* A machine of so many frames, with CPUs that remember nothing. */
void sim_reset(uint64_t frames);

/* What an instruction of that CPU does. */
void sim_load(unsigned cpu, paddr_t root, unsigned tag, bool keep);
void sim_flush_pages(unsigned cpu, unsigned tag, uint64_t start, unsigned pages, unsigned level);
void sim_flush_tag(unsigned cpu, unsigned tag);
void sim_flush_everything(unsigned cpu);
void sim_fence_code(unsigned cpu);

/*
 * It reads, writes or executes (right: one QY_PT flag) at an address. False: it faults, and has forgotten what a fault makes it
 * forget. *page: where, if not.
 */
bool sim_access(unsigned cpu, uint64_t address, unsigned right, paddr_t *page);

/* It remembers all that it can reach. */
void sim_fill(unsigned cpu);

/* Frames [first, first + pages) have been written to by nobody's mapping: zeroed for a new owner. */
void sim_written(pfn_t first, uint64_t pages);

/* Null, or what a CPU could do now that the tables which it has loaded do not say. */
const char *sim_check(unsigned cpu);

/* May a CPU that runs now reach these frames, as pages or as tables? */
bool sim_reaches(unsigned cpu, pfn_t first, uint64_t pages);

/* Does the CPU remember the page at address, under the tag that it uses? */
bool sim_knows(unsigned cpu, uint64_t address);

#endif
