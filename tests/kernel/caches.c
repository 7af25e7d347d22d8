/*
 * Frame caches and magazines under the kernel's objects: what CPUs cache of an untyped is never missed by whoever
 * asks for it, revokes it or uses it up, and a frame that was known to be zero is zero.
 */
#include "scene.h"

#include <kernel/ipc.h>
#include <string.h>

#define SLOT 700u

/* Objects by one call of a CPU's thread. */
static struct result take_of(unsigned cpu, enum qy_object_type type, qy_handle_t untyped,
                             uint64_t slot, uint64_t count)
{
    return CALL_ON(cpu, QY_CALL_untyped_retype, untyped, type, 1, ROOT_NODE, slot, count);
}

static struct result take(unsigned cpu, qy_handle_t untyped, uint64_t slot, uint64_t count)
{
    return take_of(cpu, QY_OBJ_FRAME, untyped, slot, count);
}

static qy_handle_t handle_in(uint32_t slot)
{
    return slot_handle(&world_root_node()->slots[slot], slot);
}

static void give_all(unsigned cpu, uint32_t slot, unsigned count)
{
    for (uint32_t i = slot; i < slot + count; i++)
        CHECK_EQ(CALL_ON(cpu, QY_CALL_cap_delete, handle_in(i), 0, 0, 0, 0, 0).error, QY_OK);
}

/* Let a CPU cache frames of the untyped. */
static void warm(unsigned cpu, qy_handle_t untyped)
{
    CHECK_EQ(take(cpu, untyped, SLOT, 16).error, QY_OK);
    give_all(cpu, SLOT, 16);
}

static struct qy_arena *arena_of(qy_handle_t untyped)
{
    return ((struct untyped *)world_object(QY_HANDLE_INDEX(untyped)))->arena;
}

/* Threads of the root task on the other CPUs, which make calls there. */
static void start_threads(void)
{
    world_make(64);
    for (unsigned cpu = 1; cpu < WORLD_CPUS; cpu++) {
        qy_handle_t thread = make(ROOT_UNTYPED, QY_OBJ_THREAD, 0);
        CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, ROOT_NODE, 0, 0, 0).error,
                 QY_OK);
        CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0x1000, 0, cpu, 0).error, QY_OK);
        CHECK(world_pick(cpu) != NULL);
    }
}

static void whoever_asks_sees_all(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 2000);
    struct result before = CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0);
    for (unsigned cpu = 0; cpu < WORLD_CPUS; cpu++)
        warm(cpu, untyped);
    CHECK(qy_arena_pages(arena_of(untyped), QY_FRAME_CACHED) > 0);
    struct result after = CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0);
    for (unsigned i = 1; i <= 5; i++)
        CHECK_EQ(after.x[i], before.x[i]); /* all of it free, the largest block as it was */
    CHECK_EQ(after.x[2], 2000 * QY_PAGE_BYTES);
    CHECK_EQ(CALL(QY_CALL_cap_delete, untyped, 0, 0, 0, 0, 0).error, QY_OK);
}

/* Objects one by one, into a node of their own, which goes afterwards; how many there were. */
static unsigned use_up(qy_handle_t untyped, enum qy_object_type type)
{
    qy_handle_t node = make(ROOT_UNTYPED, QY_OBJ_CAP_NODE, 128);
    for (unsigned n = 1;; n++) {
        struct result result = CALL(QY_CALL_untyped_retype, untyped, type, 1, node, n, 1);
        if (result.error == QY_OK)
            continue;
        CHECK_EQ(result.error, QY_OUT_OF_MEMORY);
        CHECK_EQ(CALL(QY_CALL_cap_delete, node, 0, 0, 0, 0, 0).error, QY_OK);
        return n;
    }
}

static void used_up_to_the_last_frame(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 520);
    struct result whole = CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0);
    unsigned first = use_up(untyped, QY_OBJ_FRAME);
    warm(1, untyped);
    warm(2, untyped);
    CHECK(qy_arena_is_cached(arena_of(untyped)));
    CHECK_EQ(use_up(untyped, QY_OBJ_FRAME), first); /* as many as without other CPUs */
    CHECK(first > 500);
    CHECK_EQ(CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[3], whole.x[3]);
    CHECK_EQ(CALL(QY_CALL_cap_delete, untyped, 0, 0, 0, 0, 0).error, QY_OK);
}

/* What magazines of other CPUs keep is taken back before a call fails for want of memory. */
static void used_up_to_the_last_object(void) QY_UNCHECKED
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 520);
    struct untyped *object = (struct untyped *)world_object(QY_HANDLE_INDEX(untyped));
    unsigned first = use_up(untyped, QY_OBJ_THREAD);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned cpu = 1; cpu < WORLD_CPUS; cpu++) {
            CHECK_EQ(take_of(cpu, QY_OBJ_THREAD, untyped, SLOT, 30).error, QY_OK);
            give_all(cpu, SLOT, 30);
        }
    }
    CHECK(qy_heap_is_cached(&object->heap));
    CHECK_EQ(use_up(untyped, QY_OBJ_THREAD), first);
    CHECK(first > 520 * 4);
    CHECK(untyped_check(object) == NULL);
    CHECK_EQ(CALL(QY_CALL_cap_delete, untyped, 0, 0, 0, 0, 0).error, QY_OK);
}

/* Revoke and delete, with frames in use and frames cached on three CPUs; interrupted at every step. */
static void gone_with_its_untyped(void)
{
    struct result before = CALL(QY_CALL_untyped_info, ROOT_UNTYPED, 0, 0, 0, 0, 0);
    for (unsigned turn = 0; turn < 4; turn++) {
        qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 3000);
        uint64_t free = CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[2];
        for (unsigned cpu = 0; cpu < WORLD_CPUS; cpu++)
            warm(cpu, untyped);
        CHECK_EQ(take(1, untyped, SLOT, 40).error, QY_OK);
        enum qy_invocation number = turn % 2 ? QY_CALL_cap_revoke : QY_CALL_cap_delete;
        world_begin(0, number, (uint64_t[6]){untyped});
        while (world_busy(0)) { /* meanwhile others go on */
            struct result other = take(1, untyped, SLOT + 100, 1);
            CHECK(other.error == QY_REVOKED || other.error == QY_INVALID_HANDLE);
            world_step(0);
        }
        CHECK_EQ(world_last(0).error, QY_OK);
        if (turn % 2) {
            CHECK(!qy_arena_is_cached(arena_of(untyped)));
            CHECK_EQ(qy_arena_pages(arena_of(untyped), QY_FRAME_FREE), 3000);
            CHECK_EQ(CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[2], free);
            CHECK_EQ(CALL(QY_CALL_cap_delete, untyped, 0, 0, 0, 0, 0).error, QY_OK);
        }
    }
    struct result after = CALL(QY_CALL_untyped_info, ROOT_UNTYPED, 0, 0, 0, 0, 0);
    for (unsigned i = 1; i <= 5; i++)
        CHECK_EQ(after.x[i], before.x[i]);
}

static unsigned char *frame_memory(uint32_t slot)
{
    return qy_port_ram(pfn_to_paddr(((struct frame *)world_object(slot))->first));
}

/* ZERO: all that a CPU cached was poisoned by its owner; whatever comes next is zero, and part of it
 * was zeroed while the CPU was idle. */
static void zeroed_when_idle(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 9000);
    for (unsigned round = 0; round < 6; round++) {
        unsigned idle = 0;
        CHECK_EQ(take(0, untyped, SLOT, 200).error, QY_OK);
        for (uint32_t slot = SLOT; slot < SLOT + 200; slot++) {
            const unsigned char *at = frame_memory(slot);
            CHECK(at[0] == 0 && memcmp(at, at + 1, QY_PAGE_BYTES - 1) == 0);
            memset(frame_memory(slot), 0x5a, QY_PAGE_BYTES);
        }
        give_all(0, SLOT, 200);
        while (round % 2 == 0 && world_idle(0))
            idle++;
        CHECK(round % 2 || idle > 0);
    }
    CHECK(!world_idle(1)); /* it has cached nothing of it */
    CHECK_EQ(CALL(QY_CALL_cap_delete, untyped, 0, 0, 0, 0, 0).error, QY_OK);
}

static const struct test tests[] = {
    {"a world of three CPUs", start_threads},
    {"whoever asks an untyped sees cached frames as free", whoever_asks_sees_all},
    {"an untyped is used up to its last frame", used_up_to_the_last_frame},
    {"an untyped is used up to its last object", used_up_to_the_last_object},
    {"revoke and delete leave nothing cached", gone_with_its_untyped},
    {"zeroed when idle is zero", zeroed_when_idle},
};
TEST_MAIN(tests)
