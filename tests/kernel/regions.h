/*
 * What tests of regions share: a space with a budget, threads that run in it, and what they see.
 */
#ifndef TESTS_KERNEL_REGIONS_H
#define TESTS_KERNEL_REGIONS_H

#include "scene.h"
#include "sim_tlb.h"

#define AT 0x20000000000ull
#define PAGES(n) ((n)*QY_PAGE_BYTES)
#define DATA (RW | QY_REGION(QY_REGION_DATA))

static qy_handle_t budget, space; /* of the running test */

/* A space with a budget of that many pages, and a thread of CPU 1 that runs in it. */
static inline void begin(uint64_t pages)
{
    budget = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, pages);
    space = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1);
    CHECK_EQ(CALL(QY_CALL_space_bind, space, budget, 0, 0, 0, 0).error, QY_OK);
}

static inline qy_handle_t run_in(qy_handle_t where, unsigned cpu, qy_handle_t handler)
{
    qy_handle_t thread = make(ROOT_UNTYPED, QY_OBJ_THREAD, 1);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, where, ROOT_NODE, handler, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0x401ff0, 7, cpu, 0).error, QY_OK);
    world_pick(cpu);
    return thread;
}

/* What the tables say of an address of the space that CPU `cpu` runs; null: nothing that it may do so. */
static inline uint8_t *seen(unsigned cpu, uint64_t address, unsigned rights)
{
    paddr_t at;
    unsigned flags = 0;
    const struct space *there = cpu_space(cpu_at(cpu));
    if (!there || qy_pt_translate(SPACE_PT(there), vaddr(address), &at, &flags, NULL) != QY_OK ||
        rights & ~flags)
        return NULL;
    return qy_port_ram(at);
}

/* An access by the thread of a CPU: at most one fault. Null: it was not resolved. */
static inline uint8_t *touch(unsigned cpu, uint64_t address, enum qy_access access)
{
    unsigned right = access == QY_ACCESS_WRITE ? QY_PT_WRITE : QY_PT_READ;
    paddr_t at;
    if (sim_access(cpu, address, right, &at))
        return qy_port_ram(at);
    world_fault(cpu, address, access, 0x400000 + address % 1000);
    scene_check(__FILE__, __LINE__);
    return sim_access(cpu, address, right, &at) ? qy_port_ram(at) : NULL;
}

static inline uint64_t free_of(qy_handle_t untyped)
{
    return CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[2];
}

#endif
