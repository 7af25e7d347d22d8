/*
 * Pages that leave spaces and return, by call: who may do it, who pays, who is asked, and what others see meanwhile.
 *
 * What becomes of entries is the core's (tests/vm/swap.c). It would miss races of single instructions: CPUs change over
 * only where the kernel yields.
 */
#include "regions.h"

#include <kernel/memory.h>
#include <string.h>

static qy_handle_t area, frame; /* of the running test; the frame has 64 pages */

static void begin_swap(uint64_t pages)
{
    begin(pages);
    area = make(ROOT_UNTYPED, QY_OBJ_MEMORY, 0);
    frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 64);
    run_in(space, 1, 0);
    uint64_t at = AT;
    CHECK_EQ(CALL(QY_CALL_space_map_region, space, at, PAGES(200), DATA, 0, 0).error, QY_OK);
}

static uint8_t *contents(unsigned page)
{
    const struct frame *object = object_of(frame);
    return (uint8_t *)qy_port_ram(pfn_to_paddr(object->first)) + PAGES(page);
}

static struct result evict(uint64_t page, uint64_t pages, uint64_t first)
{
    return CALL(QY_CALL_space_evict, space, AT + PAGES(page), pages, area, first, frame);
}

static struct result restore(uint64_t first, uint64_t pages, uint64_t index)
{
    return CALL(QY_CALL_memory_restore, area, first, pages, frame, index, 0);
}

static void what_is_refused(void)
{
    begin_swap(64);
    qy_handle_t reader = copy(frame, QY_RIGHT_READ, 0), poor = copy(area, QY_RIGHT_READ, 0),
                code = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1),
                other = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1);
    tables(ROOT_UNTYPED, other, AT, 1);
    CHECK_EQ(map(code, other, AT, QY_MAP_READ | QY_MAP_EXEC).error, QY_OK);
    const struct {
        uint64_t address, pages, area, first, frame;
        enum qy_error error;
    } rows[] = {
        {AT, 1, 0, 0, frame, QY_INVALID_HANDLE},
        {AT, 1, frame, 0, frame, QY_WRONG_TYPE},
        {AT, 1, poor, 0, frame, QY_NO_RIGHTS},
        {AT, 1, area, 0, area, QY_WRONG_TYPE},
        {AT, 1, area, 0, reader, QY_NO_RIGHTS},
        {AT, 0, area, 0, frame, QY_INVALID_ARGUMENT},
        {AT, 65, area, 0, frame, QY_INVALID_ARGUMENT},
        {AT, ~0ull, area, 0, frame, QY_INVALID_ARGUMENT},
        {AT, 2, area, 0, code, QY_INVALID_ARGUMENT}, /* too small */
        {AT, 1, area, 0, code, QY_INVALID_ARGUMENT}, /* somebody executes it */
        {AT, 1, area, QY_SLOTS_MAX, frame, QY_INVALID_ARGUMENT},
        {AT, 2, area, QY_SLOTS_MAX - 1, frame, QY_INVALID_ARGUMENT},
        {AT, 2, area, ~0ull, frame, QY_INVALID_ARGUMENT},
        {AT + 1, 1, area, 0, frame, QY_INVALID_ADDRESS},
        {0, 1, area, 0, frame, QY_INVALID_ADDRESS},
        {USER_END, 1, area, 0, frame, QY_INVALID_ADDRESS},
        {AT, 64, area, 0, frame, QY_OK},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct result r = CALL(QY_CALL_space_evict, space, rows[i].address, rows[i].pages,
                               rows[i].area, rows[i].first, rows[i].frame);
        CHECK_EQ(r.error, rows[i].error);
        CHECK_EQ(r.x[1], 0); /* nothing is there */
    }
    CHECK_EQ(restore(0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(restore(0, 1, 64).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(restore(0, 64, 1).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(restore(QY_SLOTS_MAX, 1, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(restore(QY_SLOTS_MAX - 1, 1, 0).error, QY_OK); /* nobody waits for it */
    CHECK_EQ(CALL(QY_CALL_memory_slots, area, 1, 0, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_memory_slots, area, QY_SLOTS_MAX, 0, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_memory_lose, area, 0, QY_SLOTS_MAX + 1, 0, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_memory_lose, area, 1, ~0ull, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_memory_lose, area, 5, 1000, 0, 0, 0).x[1], 69);
    CHECK_EQ(CALL(QY_CALL_space_harvest, space, USER_END, 1, 0, 0, 0).error, QY_INVALID_ADDRESS);
    CHECK_EQ(CALL(QY_CALL_space_harvest, space, AT, 0, 0, 0, 0).error, QY_INVALID_ADDRESS);
    CHECK_EQ(CALL(QY_CALL_space_harvest, space, AT, USER_END, 0, 0, 0).error, QY_INVALID_ADDRESS);
    scene_end();
}

/* A budget of 32 pages holds more than it has room for, for whoever keeps the contents; all of it is given back. */
static void who_pays_and_who_is_asked(void)
{
    begin_swap(64);
    qy_handle_t pager = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1),
                words = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 32);
    area = make(words, QY_OBJ_MEMORY, 0);
    CHECK_EQ(CALL(QY_CALL_memory_pager, area, pager, 77, 0, 0, 0).error, QY_OK);
    for (unsigned i = 0; i < 20; i++)
        memset(touch(1, AT + PAGES(i), QY_ACCESS_WRITE), (int)(i + 1), QY_PAGE_BYTES);
    uint64_t before = free_of(budget), area_before = free_of(words);
    memset(contents(0), 0xee, PAGES(64));
    struct result r = evict(0, 64, 1000);
    CHECK_EQ(r.error, QY_OK);
    CHECK_EQ(r.x[1], (1ull << 20) - 1);
    CHECK_EQ(free_of(budget), before + PAGES(20));
    CHECK_EQ(free_of(words),
             area_before - PAGES(4)); /* 1000 to 1063 are in two pages, and two above */
    for (unsigned i = 0; i < 20; i++)
        CHECK_EQ(contents(i)[4095], i + 1);
    CHECK_EQ(contents(20)[0], 0xee);
    r = CALL(QY_CALL_space_harvest, space, 0, USER_END, 0, 0, 0);
    CHECK_EQ(r.x[1], AT);
    CHECK_EQ(r.x[2], 0);
    CHECK_EQ(r.x[4], (1ull << 20) - 1);
    CHECK_EQ(CALL(QY_CALL_memory_slots, area, 960, 0, 0, 0, 0).x[1], ((1ull << 20) - 1) << 40);
    /* The thread that touches one is told of by the area's pager, and goes on. */
    CHECK(touch(1, AT + PAGES(7), QY_ACCESS_READ) == NULL);
    r = CALL(QY_CALL_endpoint_receive, pager, reply, 0, 0, 0, 0);
    CHECK_EQ(r.x[1], 77);
    CHECK_EQ(r.x[2], QY_FAULT_LABEL(QY_ACCESS_READ, QY_FOUND_PAGER) | 1007ull << 24);
    r = restore(1006, 3, 6); /* its neighbours with it */
    CHECK_EQ(r.error, QY_OK);
    CHECK_EQ(r.x[1], 0);
    CHECK_EQ(r.x[2], 3);
    CHECK_EQ(CALL(QY_CALL_reply_send, reply, QY_FAULT_RESUME, 0, 0, 0, 0).error, QY_OK);
    world_pick(1);
    CHECK_EQ(*seen(1, AT + PAGES(6), QY_PT_WRITE), 7);
    CHECK_EQ(*seen(1, AT + PAGES(7), QY_PT_WRITE), 8);
    CHECK_EQ(free_of(budget), before + PAGES(17));
    /* Used, seen once; then not. */
    CHECK_EQ(CALL(QY_CALL_space_harvest, space, AT, PAGES(64), 0, 0, 0).x[3], 7ull << 6);
    r = CALL(QY_CALL_space_harvest, space, AT, PAGES(64), 0, 0, 0);
    CHECK_EQ(r.x[2], 7ull << 6);
    CHECK_EQ(r.x[3], 0);
    CHECK_EQ(r.x[5], AT + PAGES(64));
    /* No room to return to: an error to who restores, and the page waits. */
    while (CALL(QY_CALL_untyped_retype, budget, QY_OBJ_FRAME, 1, ROOT_NODE, scene_slot, 1).error ==
           QY_OK)
        scene_slot++;
    unsigned slot = 1000; /* a page that was kept for a header may still be there */
    while (slot < 1004 && restore(slot, 1, slot - 1000).error == QY_OK)
        slot++;
    CHECK_EQ(restore(slot, 1, 0).error, QY_OUT_OF_MEMORY);
    CHECK_EQ(revoke_all(budget), QY_OK);
    CHECK_EQ(free_of(budget), PAGES(64));
    CHECK_EQ(CALL(QY_CALL_memory_slots, area, 960, 0, 0, 0, 0).x[1], 0);
    CHECK_EQ(revoke_all(words), QY_OK);
    CHECK_EQ(free_of(words), PAGES(32));
    scene_end();
}

/* The words of an area run out; and it goes, or loses a slot, under who has something there. */
static void an_area_ends(void)
{
    begin_swap(64);
    qy_handle_t words = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 16),
                own = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    run_in(space, 2, own);
    area = make(words, QY_OBJ_MEMORY, 0);
    enum qy_error error = QY_OK;
    unsigned rounds = 0;
    for (unsigned i = 0; i < 40 && error == QY_OK; i++) {
        *touch(1, AT + PAGES(i), QY_ACCESS_WRITE) = (uint8_t)i;
        error = evict(i, 1, i * 512).error;
        rounds = i;
    }
    CHECK_EQ(error, QY_OUT_OF_MEMORY);
    CHECK(rounds > 4);
    CHECK_EQ(*seen(1, AT + PAGES(rounds), QY_PT_READ), rounds); /* where it was */
    CHECK_EQ(CALL(QY_CALL_memory_lose, area, 512, 1, 0, 0, 0).x[1], 513);
    CHECK(touch(2, AT + PAGES(1), QY_ACCESS_READ) == NULL);
    struct result r = CALL(QY_CALL_endpoint_receive, own, reply, 0, 0, 0, 0);
    CHECK_EQ(r.x[2], QY_FAULT_LABEL(QY_ACCESS_READ, QY_FOUND_REVOKED));
    CHECK_EQ(revoke_all(words), QY_OK);
    CHECK_EQ(free_of(words), PAGES(16));
    CHECK_EQ(CALL(QY_CALL_reply_send, reply, QY_FAULT_RESUME, 0, 0, 0, 0).error, QY_OK);
    world_pick(2);
    CHECK(touch(2, AT + PAGES(2), QY_ACCESS_READ) == NULL);
    r = CALL(QY_CALL_endpoint_receive, own, reply, 0, 0, 0, 0);
    CHECK_EQ(r.x[2], QY_FAULT_LABEL(QY_ACCESS_READ, QY_FOUND_REVOKED));
    scene_end();
}

/* Evictions while another CPU uses the pages and a third changes, clones or ends the space, at every step. */
static void others_are_at_it(void)
{
    for (unsigned run = 0; run < 5 * 16; run++) {
        unsigned what = run % 5, steps = run / 5;
        begin_swap(64);
        qy_handle_t words = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 32),
                    other = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1),
                    own = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                    twin = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
        area = make(words, QY_OBJ_MEMORY, 0);
        CHECK_EQ(CALL(QY_CALL_space_bind, other, twin, 0, 0, 0, 0).error, QY_OK);
        CHECK_EQ(CALL(QY_CALL_memory_pager, area, own, 0, 0, 0, 0).error, QY_OK);
        run_in(ROOT_SPACE, 2, own);
        for (unsigned i = 0; i < 8; i++)
            memset(touch(1, AT + PAGES(i), QY_ACCESS_WRITE), (int)(i + 1), QY_PAGE_BYTES);
        const uint64_t out[] = {space, AT, 8, area, 3, frame};
        const uint64_t calls[][6] = {{space, AT, PAGES(4)},
                                     {other, space, AT, PAGES(200)},
                                     {budget},
                                     {words},
                                     {space, AT + PAGES(2), PAGES(3), QY_MAP_READ}};
        const enum qy_invocation numbers[] = {QY_CALL_space_unmap_region, QY_CALL_space_clone,
                                              QY_CALL_cap_revoke, QY_CALL_cap_revoke,
                                              QY_CALL_space_protect_region};
        memset(contents(0), 0xee, PAGES(8));
        world_fill_tlbs();
        world_begin(0, QY_CALL_space_evict, out);
        for (unsigned i = 0; i < steps % 4 && world_busy(0); i++)
            world_step(0);
        world_begin(2, numbers[what], calls[what]);
        for (unsigned i = 0; i < steps / 4 && world_busy(2); i++)
            world_step(2);
        world_begin_fault(1, AT + PAGES(steps % 8), QY_ACCESS_WRITE, 0x400100);
        for (unsigned i = 0; (world_busy(0) || world_busy(1) || world_busy(2)) && i < 100000; i++)
            for (unsigned cpu = 0; cpu < 3; cpu++) {
                if (world_busy(cpu))
                    world_step(cpu);
                world_interrupts(cpu);
            }
        CHECK(!world_busy(0) && !world_busy(1) && !world_busy(2));
        scene_check(__FILE__, __LINE__);
        struct result r = world_last(0);
        CHECK(r.error == QY_OK || r.error == QY_OUT_OF_MEMORY);
        CHECK_EQ(world_last(2).error, QY_OK);
        /* What went is what was there, and nobody else's; what did not has written nothing. */
        for (unsigned i = 0; i < 8; i++)
            CHECK_EQ(contents(i)[9], r.error == QY_OK && r.x[1] >> i & 1 ? i + 1 : 0xee);
        scene_end();
    }
}

static uint64_t poll(qy_handle_t notification)
{
    struct result r = CALL(QY_CALL_notification_poll, notification, 0, 0, 0, 0, 0);
    return r.error == QY_OK ? r.x[1] : 0;
}

static enum qy_error watch(qy_handle_t untyped, qy_handle_t notification, uint64_t low,
                           uint64_t high)
{
    return CALL(QY_CALL_untyped_watch, untyped, notification, low, high, 0, 0).error;
}

/* Crossed by faults, calls and revokes; told once each way. */
static void who_is_told_of_pressure(void)
{
    begin_swap(64);
    qy_handle_t bell = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1),
                low = copy(bell, QY_RIGHT_ALL, 4), deaf = copy(bell, QY_RIGHT_READ, 0), child,
                copied = copy(budget, QY_RIGHT_WRITE, 0);
    CHECK_EQ(watch(budget, low, 30, 20), QY_INVALID_ARGUMENT);
    CHECK_EQ(watch(budget, low, 0, 65), QY_INVALID_ARGUMENT);
    CHECK_EQ(watch(budget, deaf, 0, 20), QY_NO_RIGHTS);
    CHECK_EQ(watch(budget, 0, 0, 20), QY_INVALID_HANDLE);
    CHECK_EQ(watch(copied, low, 40, 50), QY_OK);
    CHECK_EQ(poll(bell), 0);
    unsigned pages = 0;
    while (poll(bell) == 0 && pages < 64)
        CHECK(touch(1, AT + PAGES(pages++), QY_ACCESS_WRITE) != NULL);
    CHECK(pages > 2 && pages < 30);
    CHECK(free_of(budget) < PAGES(40 + 32)); /* some of it in the CPU's cache */
    CHECK(touch(1, AT + PAGES(pages), QY_ACCESS_WRITE) != NULL);
    CHECK_EQ(poll(bell), 0);
    CHECK_EQ(CALL(QY_CALL_space_unmap_region, space, AT, PAGES(200), 0, 0, 0).error, QY_OK);
    (void)free_of(budget); /* caches give back what they have */
    CHECK_EQ(poll(bell), 4);
    child = make(budget, QY_OBJ_UNTYPED, 40);
    CHECK_EQ(poll(bell), 4);
    CHECK_EQ(erase(child), QY_OK);
    CHECK_EQ(poll(bell), 4);
    /* New marks in place of the old; low at once. */
    CHECK_EQ(watch(budget, bell, 64, 64), QY_OK);
    CHECK_EQ(poll(bell), 1);
    CHECK_EQ(watch(budget, 0, 0, 0), QY_OK);
    child = make(budget, QY_OBJ_UNTYPED, 40);
    CHECK_EQ(poll(bell), 0);
    CHECK_EQ(erase(child), QY_OK);
    /* It is over with either capability that it was made by. */
    for (unsigned way = 0; way < 4; way++) {
        qy_handle_t by = copy(budget, QY_RIGHT_ALL, 0), to = copy(bell, QY_RIGHT_ALL, 8);
        CHECK_EQ(watch(by, to, 30, 40), QY_OK);
        CHECK_EQ(way & 1 ? revoke_all(way & 2 ? by : to) : revoke_all(way & 2 ? budget : bell),
                 QY_OK);
        if (way == 2)
            CHECK_EQ(CALL(QY_CALL_space_bind, space, budget, 0, 0, 0, 0).error, QY_OK);
        child = make(budget, QY_OBJ_UNTYPED, 40);
        CHECK_EQ(poll(bell), 0);
        CHECK_EQ(erase(child), QY_OK);
    }
    child = make(budget, QY_OBJ_UNTYPED, 40);
    CHECK_EQ(watch(child, bell, 30, 40), QY_OK);
    CHECK_EQ(erase(child), QY_OK); /* the untyped goes first */
    CHECK_EQ(watch(budget, bell, 30, 40), QY_OK);
    CHECK_EQ(erase(bell), QY_OK); /* the notification goes first */
    scene_end();
}

static const struct test tests[] = {
    {"evictions, returns and looks refuse what they cannot do", what_is_refused},
    {"spaces pay for pages, areas for words; the area's pager is asked", who_pays_and_who_is_asked},
    {"areas run out, lose slots and go: an error to whoever has something there", an_area_ends},
    {"a notification tells of scarce memory, once each way", who_is_told_of_pressure},
    {"pages leave while others use, change, clone and revoke them", others_are_at_it},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
