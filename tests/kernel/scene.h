/*
 * What the tests of the kernel's objects share: short calls by the root task, and a check after
 * each.
 */
#ifndef TESTS_KERNEL_SCENE_H
#define TESTS_KERNEL_SCENE_H

#include "world.h"

#include <arch/arch.h>

#include <stdio.h>
#include <stdlib.h>
#include <tap.h>

#define ROOT_UNTYPED ((qy_handle_t)QY_SLOT_UNTYPED)
#define ROOT_SPACE ((qy_handle_t)QY_SLOT_SPACE)
#define ROOT_NODE ((qy_handle_t)QY_SLOT_NODE)
#define ROOT_THREAD ((qy_handle_t)QY_SLOT_THREAD)
#define RW ((uint64_t)(QY_MAP_READ | QY_MAP_WRITE))

static uint32_t scene_slot =
    600; /* the next slot that tests use; those below belong to the image */

static inline void scene_check(const char *file, int line)
{
    const char *broken = world_broken ? world_broken : world_check();
    if (broken) {
        printf("# %s:%d: %s\n", file, line, broken);
        fflush(stdout);
        abort(); /* nothing that comes after a broken invariant means anything */
    }
    world_fill_tlbs();
}

/* A call of CPU 0's thread, checked before and after. */
#define CALL(...) scene_call(__FILE__, __LINE__, 0, __VA_ARGS__)
#define CALL_ON(cpu, ...) scene_call(__FILE__, __LINE__, cpu, __VA_ARGS__)

static inline struct result scene_call(const char *file, int line, unsigned cpu,
                                       enum qy_invocation number, uint64_t x0, uint64_t x1,
                                       uint64_t x2, uint64_t x3, uint64_t x4, uint64_t x5)
{
    world_fill_tlbs();
    struct result result = world_call(cpu, number, x0, x1, x2, x3, x4, x5);
    scene_check(file, line);
    return result;
}

/* Retype one object into a new slot; its handle. */
static inline qy_handle_t make(qy_handle_t untyped, enum qy_object_type type, uint64_t pages)
{
    struct result result =
        CALL(QY_CALL_untyped_retype, untyped, type, pages, ROOT_NODE, scene_slot, 1);
    CHECK_EQ(result.error, QY_OK);
    scene_slot++;
    return result.x[1];
}

static inline qy_handle_t copy(qy_handle_t source, unsigned rights, uint64_t badge)
{
    struct result result = CALL(QY_CALL_cap_copy, ROOT_NODE, scene_slot, source, rights, badge, 0);
    CHECK_EQ(result.error, QY_OK);
    scene_slot++;
    return result.x[1];
}

static inline enum qy_error erase(qy_handle_t handle)
{
    return CALL(QY_CALL_cap_delete, handle, 0, 0, 0, 0, 0).error;
}

static inline enum qy_error revoke_all(qy_handle_t handle)
{
    return CALL(QY_CALL_cap_revoke, handle, 0, 0, 0, 0, 0).error;
}

static inline struct result info(qy_handle_t handle)
{
    return CALL(QY_CALL_cap_info, ROOT_NODE, QY_HANDLE_INDEX(handle), 0, 0, 0, 0);
}

static inline struct result map(qy_handle_t frame, qy_handle_t space, uint64_t address,
                                uint64_t flags)
{
    return CALL(QY_CALL_frame_map, frame, space, address, flags, 0, 0);
}

/* Install every table that a mapping of a page at that level of address lacks. */
static inline void tables(qy_handle_t untyped, qy_handle_t space, uint64_t address,
                          unsigned down_to)
{
    for (unsigned level = 3; level >= down_to; level--) {
        qy_handle_t table = make(untyped, QY_OBJ_PAGE_TABLE, 1);
        enum qy_error error = CALL(QY_CALL_table_map, table, space, address, level, 0, 0).error;
        if (error == QY_ALREADY_MAPPED)
            CHECK_EQ(erase(table), QY_OK);
        else
            CHECK_EQ(error, QY_OK);
    }
}

/* The object that a handle of the root task's node names. */
static inline void *object_of(qy_handle_t handle)
{
    return world_object(QY_HANDLE_INDEX(handle));
}

/* A thread of the root task on that CPU; it runs there when this returns. */
static inline qy_handle_t thread_on(qy_handle_t untyped, unsigned cpu, qy_handle_t handler)
{
    qy_handle_t thread = make(untyped, QY_OBJ_THREAD, 1);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, ROOT_NODE, handler, 0, 0).error,
             QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0x401ff0, 7, cpu, 0).error, QY_OK);
    world_pick(cpu);
    return thread;
}

/* All that tests made goes; the root untyped is one free whole again. */
static inline void scene_end(void)
{
    CHECK_EQ(revoke_all(ROOT_UNTYPED), QY_OK);
    struct result result = CALL(QY_CALL_untyped_info, ROOT_UNTYPED, 0, 0, 0, 0, 0);
    CHECK_EQ(result.x[4], 0);
    CHECK_EQ(result.x[2] + world_arenas.kernel.total_pages * QY_PAGE_BYTES, result.x[1]);
    scene_slot = 600;
}

static inline int scene_run(const struct test *tests, size_t count)
{
    world_make(64);
    return tap_run(tests, count);
}

#endif
