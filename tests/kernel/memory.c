/*
 * Memory objects by call: who may map them and how far, who is asked for their pages, and what is left when they go.
 *
 * Pages themselves are the core's (tests/vm/object.c); what a real CPU does with them is seen in the booted kernel (word
 * `memory`). It would miss races of single instructions: CPUs change over only where the kernel yields.
 */
#include "regions.h"

#include <kernel/memory.h>
#include <string.h>

#define OBJECT (DATA | QY_REGION_OBJECT)

static enum qy_error map_object(qy_handle_t where, uint64_t address, uint64_t pages, uint64_t flags,
                                uint64_t first, qy_handle_t object)
{
    return CALL(QY_CALL_space_map_region, where, address, PAGES(pages), flags, first, object).error;
}

static struct result supply(qy_handle_t object, uint64_t page, uint64_t pages, uint64_t pointer)
{
    return CALL(QY_CALL_memory_supply, object, page, pages, pointer, 0, 0);
}

static void regions_of_objects_refuse(void)
{
    begin(64);
    qy_handle_t object = make(ROOT_UNTYPED, QY_OBJ_MEMORY, 16),
                reader = copy(object, QY_RIGHT_READ, 0), writer = copy(object, QY_RIGHT_WRITE, 0),
                poor = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1);
    const uint64_t far = QY_MEMORY_PAGES_MAX;
    const struct {
        uint64_t pages, flags, first;
        qy_handle_t object;
        enum qy_error error;
    } rows[] = {
        {4, OBJECT, 0, 0, QY_INVALID_HANDLE},
        {4, OBJECT, 0, space, QY_WRONG_TYPE},
        {4, OBJECT, 0, writer, QY_NO_RIGHTS},
        {4, OBJECT, 0, reader, QY_NO_RIGHTS},
        {4, DATA, 0, object, QY_INVALID_ARGUMENT},
        {4, DATA, 1, 0, QY_INVALID_ARGUMENT},
        {4, DATA | QY_REGION_PRIVATE, 0, 0, QY_INVALID_FLAGS},
        {4, OBJECT | QY_REGION_GUARD, 0, object, QY_INVALID_FLAGS},
        {4, OBJECT | QY_REGION_PAGER, 0, object, QY_INVALID_FLAGS},
        {4, DATA | QY_REGION_PAGER, 0, object, QY_INVALID_ARGUMENT},
        {4, DATA | QY_REGION_PAGER | QY_REGION_PRIVATE, 0, 0, QY_INVALID_FLAGS},
        {4, OBJECT | QY_MAP_EXEC, 0, object, QY_INVALID_FLAGS},
        {4, OBJECT, far - 3, object, QY_INVALID_ARGUMENT},
        {4, OBJECT, ~0ull, object, QY_INVALID_ARGUMENT},
        {4, DATA | QY_REGION_PAGER, far, 0, QY_INVALID_ARGUMENT},
        {4, OBJECT, far - 4, object, QY_OK},
        {4, OBJECT, 0, object, QY_ALREADY_MAPPED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_EQ(map_object(space, AT, rows[i].pages, rows[i].flags, rows[i].first, rows[i].object),
                 rows[i].error);
    CHECK_EQ(map_object(poor, AT, 4, OBJECT, 0, object), QY_UNSUPPORTED);
    /* The capability bounds what a region may become; of a private one, but for writing. */
    CHECK_EQ(map_object(space, AT + PAGES(16), 4, QY_REGION_OBJECT | QY_MAP_READ, 0, reader),
             QY_OK);
    CHECK_EQ(map_object(space, AT + PAGES(32), 4, OBJECT | QY_REGION_PRIVATE, 0, reader), QY_OK);
    CHECK_EQ(CALL(QY_CALL_space_protect_region, space, AT + PAGES(16), PAGES(4), RW, 0, 0).error,
             QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_space_protect_region, space, AT + PAGES(32), PAGES(4),
                  QY_MAP_READ | QY_MAP_EXEC, 0, 0)
                 .error,
             QY_NO_RIGHTS);
    CHECK_EQ(
        CALL(QY_CALL_untyped_retype, ROOT_UNTYPED, QY_OBJ_MEMORY, far + 1, ROOT_NODE, 900, 1).error,
        QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_memory_resize, object, far + 1, 0, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_memory_discard, object, far, 1, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(supply(object, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(supply(object, 0, QY_SUPPLY_MAX + 1, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(supply(object, 0, 2, USER_END - PAGES(1)).error, QY_BAD_USER_POINTER);
    CHECK_EQ(supply(object, 16, 1, 0).error, QY_NOT_MAPPED);
    CHECK_EQ(supply(object, far, 1, 0).error, QY_NOT_MAPPED);
    CHECK_EQ(CALL(QY_CALL_memory_pager, object, 0, 5, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_memory_pager, object, space, 0, 0, 0, 0).error, QY_WRONG_TYPE);
    scene_end();
}

/* Its pages come out of the untyped that it was made of, whoever maps it; and go back, however it goes. */
static void the_object_pays_for_its_pages(void)
{
    begin(64);
    qy_handle_t payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64),
                object = make(payer, QY_OBJ_MEMORY, 1000);
    run_in(space, 1, 0);
    CHECK_EQ(map_object(space, AT, 1000, OBJECT, 0, object), QY_OK);
    CHECK(touch(1, AT, QY_ACCESS_WRITE) != NULL);
    uint64_t left = free_of(payer), mine = free_of(budget);
    for (unsigned i = 1; i < 20; i++)
        *touch(1, AT + PAGES(i), QY_ACCESS_WRITE) = (uint8_t)i;
    CHECK_EQ(free_of(payer), left - PAGES(19));
    CHECK(free_of(budget) + PAGES(2) >= mine); /* a side page, and nodes */
    CHECK_EQ(supply(object, 20, 10, 0).x[1], 10);
    CHECK_EQ(free_of(payer), left - PAGES(29));
    struct result looks = CALL(QY_CALL_memory_info, object, 5, 0, 0, 0, 0);
    CHECK_EQ(looks.x[1], 1000);
    CHECK_EQ(looks.x[2], 25);
    CHECK_EQ(looks.x[3], 1);
    CHECK_EQ(CALL(QY_CALL_memory_resize, object, 10, 0, 0, 0, 0).x[1], 10);
    CHECK_EQ(free_of(payer), left - PAGES(9));
    CHECK(!seen(1, AT + PAGES(10), 0) && *seen(1, AT + PAGES(9), QY_PT_READ) == 9);
    CHECK_EQ(CALL(QY_CALL_memory_discard, object, 5, 2, 0, 0, 0).x[1], 7);
    CHECK_EQ(*touch(1, AT + PAGES(5), QY_ACCESS_READ), 0);
    /* It runs out: as many as there is room for, and an error once there is none. */
    CHECK_EQ(CALL(QY_CALL_memory_resize, object, 1000, 0, 0, 0, 0).error, QY_OK);
    struct result last = supply(object, 100, 64, 0);
    CHECK(last.error == QY_OK && last.x[1] > 20 && last.x[1] < 64);
    CHECK_EQ(supply(object, 100 + last.x[1], 1, 0).error, QY_OUT_OF_MEMORY);
    CHECK_EQ(revoke_all(payer), QY_OK);
    CHECK_EQ(free_of(payer), PAGES(64));
    CHECK(!seen(1, AT, 0));
    CHECK_EQ(revoke_all(budget), QY_OK); /* with what named the object */
    CHECK_EQ(free_of(budget), PAGES(64));
    scene_end();
}

/* What was written is told, by page; who has a badge only maps. */
static void writes_are_told(void)
{
    begin(64);
    qy_handle_t object = make(ROOT_UNTYPED, QY_OBJ_MEMORY, 100),
                view = copy(copy(object, QY_RIGHT_ALL, 7), QY_RIGHT_ALL, 0);
    run_in(space, 1, 0);
    CHECK_EQ(map_object(space, AT, 100, OBJECT, 0, view), QY_OK);
    CHECK_EQ(CALL(QY_CALL_memory_written, object, 0, 64, 0, 0, 0).x[1], 0);
    CHECK(touch(1, AT + PAGES(70), QY_ACCESS_READ) && touch(1, AT + PAGES(72), QY_ACCESS_READ));
    CHECK(!seen(1, AT + PAGES(70), QY_PT_WRITE));
    CHECK(touch(1, AT + PAGES(70), QY_ACCESS_WRITE) && touch(1, AT + PAGES(71), QY_ACCESS_WRITE));
    CHECK_EQ(CALL(QY_CALL_memory_written, object, 65, 35, 0, 0, 0).x[1], 3 << 5);
    CHECK(!seen(1, AT + PAGES(70), QY_PT_READ));
    CHECK_EQ(CALL(QY_CALL_memory_written, object, 65, 64, 0, 0, 0).x[1], 0);
    CHECK_EQ(CALL(QY_CALL_memory_written, object, 65, 65, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_memory_written, object, ~0ull, 1, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_memory_info, view, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_memory_written, view, 0, 1, 0, 0, 0).error, QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_memory_resize, view, 5, 0, 0, 0, 0).error, QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_memory_discard, view, 0, 1, 0, 0, 0).error, QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_memory_pager, view, 0, 0, 0, 0, 0).error, QY_NO_RIGHTS);
    CHECK_EQ(supply(view, 0, 1, 0).error, QY_NO_RIGHTS);
    scene_end();
}

/* An object's pager, then the space's handler, then the thread's own; what they are told. */
static void who_is_asked(void)
{
    begin(64);
    qy_handle_t object = make(ROOT_UNTYPED, QY_OBJ_MEMORY, 100),
                pager = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                handler = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                own = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    run_in(space, 1, own);
    CHECK_EQ(map_object(space, AT, 50, OBJECT, 30, object), QY_OK);
    CHECK_EQ(map_object(space, AT + PAGES(64), 8, DATA | QY_REGION_PAGER, 7000, 0), QY_OK);
    CHECK_EQ(CALL(QY_CALL_memory_pager, object, pager, 11, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_space_handler, space, handler, 12, 0, 0, 0).error, QY_OK);
    const struct {
        uint64_t page;
        qy_handle_t hears;
        uint64_t badge, number;
        enum qy_fault_found found;
    } rows[] = {
        {5, pager, 11, 35, QY_FOUND_PAGER},
        {66, handler, 12, 7002, QY_FOUND_PAGER},
        {200, own, 0, 0, QY_FOUND_NOTHING},
    };
    for (unsigned i = 0; i < 3; i++) {
        CHECK(touch(1, AT + PAGES(rows[i].page) + 3, QY_ACCESS_WRITE) == NULL);
        struct result r = CALL(QY_CALL_endpoint_receive, rows[i].hears, reply, 0, 0, 0, 0);
        CHECK_EQ(r.x[1], rows[i].badge);
        CHECK_EQ(r.x[2], QY_FAULT_LABEL(QY_ACCESS_WRITE, rows[i].found) | rows[i].number << 24);
        CHECK_EQ(r.x[3], AT + PAGES(rows[i].page) + 3);
        CHECK_EQ(CALL(QY_CALL_reply_send, reply, QY_FAULT_RESUME, 0, 0, 0, 0).error, QY_OK);
        world_pick(1);
    }
    /* A pager that is revoked is asked no more, but the threads' own handlers are. */
    CHECK_EQ(revoke_all(pager), QY_OK);
    CHECK_EQ(CALL(QY_CALL_space_handler, space, 0, 0, 0, 0, 0).error, QY_OK);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(touch(1, AT + PAGES(rows[i].page), QY_ACCESS_READ) == NULL);
        struct result r = CALL(QY_CALL_endpoint_receive, own, reply, 0, 0, 0, 0);
        CHECK_EQ(r.x[2], QY_FAULT_LABEL(QY_ACCESS_READ, QY_FOUND_PAGER) | rows[i].number << 24);
        CHECK_EQ(CALL(QY_CALL_reply_send, reply, QY_FAULT_RESUME, 0, 0, 0, 0).error, QY_OK);
        world_pick(1);
    }
    /* Without one its pages are zeroes again. */
    CHECK_EQ(CALL(QY_CALL_memory_pager, object, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK(touch(1, AT, QY_ACCESS_READ) != NULL);
    scene_end();
}

/* A thread without a handler of its own has its space's. */
static void a_space_handles_for_its_threads(void)
{
    begin(64);
    qy_handle_t handler = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    qy_handle_t thread = run_in(space, 1, 0);
    CHECK_EQ(CALL(QY_CALL_space_handler, space, handler, 3, 0, 0, 0).error, QY_OK);
    CHECK(touch(1, AT, QY_ACCESS_READ) == NULL);
    struct result r = CALL(QY_CALL_endpoint_receive, handler, reply, 0, 0, 0, 0);
    CHECK_EQ(r.x[1], 3);
    CHECK_EQ(r.x[2], QY_FAULT_LABEL(QY_ACCESS_READ, QY_FOUND_NOTHING));
    CHECK_EQ(CALL(QY_CALL_reply_send, reply, QY_FAULT_RESUME, 0, 0, 0, 0).error, QY_OK);
    world_pick(1);
    CHECK(touch(1, AT, QY_ACCESS_READ) == NULL); /* in line */
    CHECK_EQ(revoke_all(handler), QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_info, thread, 0, 0, 0, 0, 0).x[1], QY_THREAD_DEAD);
    scene_end();
}

/* A call gives up at a page that a pager supplies, and is made again: nothing of it happened the first time. */
static void a_call_starts_again(void)
{
    begin(64);
    qy_handle_t object = make(ROOT_UNTYPED, QY_OBJ_MEMORY, 8),
                other = make(ROOT_UNTYPED, QY_OBJ_MEMORY, 8),
                pager = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    struct thread *thread = object_of(run_in(space, 1, 0));
    CHECK_EQ(CALL(QY_CALL_memory_pager, object, pager, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(map_object(space, AT, 8, OBJECT, 0, object), QY_OK);
    uint64_t before = free_of(ROOT_UNTYPED), instruction = thread->frame.instruction;
    CALL_ON(1, QY_CALL_memory_supply, other, 2, 2, AT, 0, 0);
    CHECK_EQ(thread->state, QY_THREAD_FAULTED);
    CHECK_EQ(thread->frame.instruction, instruction - 1); /* back at the instruction that calls */
    CHECK_EQ(thread->frame.number, QY_CALL_memory_supply);
    CHECK_EQ(thread->frame.arguments[3], AT);
    CHECK_EQ(free_of(ROOT_UNTYPED), before);
    CHECK_EQ(CALL(QY_CALL_memory_info, other, 0, 0, 0, 0, 0).x[2], 8); /* none there */
    for (unsigned page = 0; page < 2; page++) {
        struct result r = CALL(QY_CALL_endpoint_receive, pager, reply, 0, 0, 0, 0);
        CHECK_EQ(r.x[2], QY_FAULT_LABEL(QY_ACCESS_READ, QY_FOUND_PAGER) | (uint64_t)page << 24);
        CHECK_EQ(supply(object, page, 1, 0).x[1], 1);
        CHECK_EQ(CALL(QY_CALL_reply_send, reply, QY_FAULT_RESUME, 0, 0, 0, 0).error, QY_OK);
        CHECK(world_pick(1) == thread);
        struct result again = CALL_ON(1, QY_CALL_memory_supply, other, 2, 2, AT, 0, 0);
        if (page == 1) {
            CHECK_EQ(again.error, QY_OK);
            CHECK_EQ(again.x[1], 2);
        }
    }
    CHECK_EQ(CALL(QY_CALL_memory_info, other, 0, 0, 0, 0, 0).x[2], 2);
    scene_end();
}

/* The object goes while other CPUs are in a fault on it, in a call on it, or wait for it. */
static void an_object_goes_under_others(void)
{
    for (unsigned steps = 0; steps < 12; steps++) {
        begin(64);
        qy_handle_t payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 300),
                    object = make(payer, QY_OBJ_MEMORY, 200),
                    own = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                    reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
        run_in(space, 1, own);
        run_in(space, 2, own);
        CHECK_EQ(map_object(space, AT, 200, OBJECT, 0, object), QY_OK);
        for (unsigned i = 0; i < 8; i++) {
            CHECK(touch(1, AT + PAGES(i), QY_ACCESS_WRITE) != NULL);
            CHECK(touch(2, AT + PAGES(i), QY_ACCESS_READ) != NULL);
        }
        const uint64_t gone[] = {steps % 2 ? payer : object, 0, 0, 0, 0, 0};
        const uint64_t resize[] = {object, 3, 0, 0, 0, 0};
        world_fill_tlbs();
        world_begin(2, QY_CALL_memory_resize, resize);
        for (unsigned i = 0; i < steps / 3 && world_busy(2); i++)
            world_step(2);
        world_begin(0, steps % 2 ? QY_CALL_cap_revoke : QY_CALL_cap_delete, gone);
        for (unsigned i = 0; i < steps && world_busy(0); i++)
            world_step(0);
        world_begin_fault(1, AT + PAGES(steps % 4), QY_ACCESS_WRITE, 0x400100);
        for (unsigned i = 0; (world_busy(0) || world_busy(1) || world_busy(2)) && i < 100000; i++)
            for (unsigned cpu = 0; cpu < 3; cpu++) {
                if (world_busy(cpu))
                    world_step(cpu);
                world_interrupts(cpu);
            }
        CHECK(!world_busy(0) && !world_busy(1) && !world_busy(2));
        scene_check(__FILE__, __LINE__);
        CHECK_EQ(world_last(0).error, QY_OK);
        for (unsigned i = 0; i < 8; i++)
            CHECK(!seen(2, AT + PAGES(i), 0));
        CHECK_EQ(free_of(payer), PAGES(300));
        /* The same number will not come again: a new object is not what the region names. */
        object = make(payer, QY_OBJ_MEMORY, 200);
        CHECK(touch(2, AT + PAGES(9), QY_ACCESS_READ) == NULL);
        struct result r;
        do
            r = CALL(QY_CALL_endpoint_receive, own, reply, 0, 0, 0, 0);
        while (r.error == QY_OK && r.x[3] != AT + PAGES(9) && erase(reply) == QY_OK &&
               (reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1)));
        CHECK_EQ(QY_FAULT_FOUND(r.x[2]), QY_FOUND_REVOKED);
        scene_end();
    }
}

/* More than a space has names for, one after the other. */
static void many_objects_in_a_life(void)
{
    begin(64);
    run_in(space, 1, 0);
    for (unsigned i = 0; i < 1100; i++) {
        const uint64_t at =
            AT + PAGES(i % 2); /* who faults at one place again and again is ended */
        qy_handle_t object = make(ROOT_UNTYPED, QY_OBJ_MEMORY, 1);
        CHECK_EQ(map_object(space, at, 1, OBJECT, 0, object), QY_OK);
        if (i % 64 == 0 || i > 1020)
            CHECK(touch(1, at, QY_ACCESS_WRITE) != NULL);
        CHECK_EQ(CALL(QY_CALL_space_unmap_region, space, at, PAGES(1), 0, 0, 0).error, QY_OK);
        CHECK_EQ(erase(object), QY_OK);
        scene_slot--;
    }
    scene_end();
}

static const struct test tests[] = {
    {"regions of objects refuse", regions_of_objects_refuse},
    {"the object pays for its pages", the_object_pays_for_its_pages},
    {"writes are told", writes_are_told},
    {"who is asked for a page", who_is_asked},
    {"a space handles for its threads", a_space_handles_for_its_threads},
    {"a call starts again", a_call_starts_again},
    {"an object goes under others", an_object_goes_under_others},
    {"a space maps more than 1,024 objects in its life", many_objects_in_a_life},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
