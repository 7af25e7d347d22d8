/*
 * Regions by call: an untyped bound to a space pays for what faults bring, clones share it, and revoke takes it from all.
 *
 * It would miss what only two CPUs at once in one table show (tests/vm/threads.c) and what a real CPU caches.
 */
#include "regions.h"

#include <string.h>

static enum qy_error reserve(uint64_t address, uint64_t bytes, uint64_t flags, uint64_t moves)
{
    return CALL(QY_CALL_space_map_region, space, address, bytes, flags, moves, 0).error;
}

static void only_a_budget_pays(void)
{
    space = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1);
    CHECK_EQ(reserve(AT, PAGES(4), DATA, 0), QY_UNSUPPORTED);
    budget = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
    qy_handle_t reader = copy(budget, QY_RIGHT_READ, 0), narrow = copy(space, QY_RIGHT_READ, 0);
    CHECK_EQ(CALL(QY_CALL_space_bind, space, reader, 0, 0, 0, 0).error, QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_space_bind, narrow, budget, 0, 0, 0, 0).error, QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_space_bind, space, space, 0, 0, 0, 0).error, QY_WRONG_TYPE);
    CHECK_EQ(CALL(QY_CALL_space_bind, space, budget, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_space_bind, space, budget, 0, 0, 0, 0).error, QY_BUSY);
    uint64_t root = free_of(ROOT_UNTYPED), paid = free_of(budget);
    run_in(space, 1, 0);
    root = free_of(ROOT_UNTYPED);
    CHECK_EQ(reserve(AT, 1ull << 40, DATA, 0), QY_OK);
    for (unsigned i = 0; i < 5; i++) {
        uint8_t *at = touch(1, AT + PAGES(i) + i, QY_ACCESS_WRITE);
        CHECK(at && *at == 0);
    }
    CHECK_EQ(free_of(ROOT_UNTYPED), root);
    CHECK(free_of(budget) <= paid - PAGES(5));
    struct result info = CALL(QY_CALL_space_info, space, 0, 0, 0, 0, 0);
    CHECK_EQ(info.x[1], USER_END);
    CHECK_EQ(info.x[2], 5);
    CHECK_EQ(info.x[3], 5);
    scene_end();
}

static void regions_refuse(void)
{
    begin(64);
    const struct {
        uint64_t address, bytes, flags, moves;
        enum qy_error error;
    } rows[] = {
        {QY_PAGE_BYTES - 1, PAGES(1), DATA, 0, QY_INVALID_ADDRESS},
        {AT + 1, PAGES(1), DATA, 0, QY_INVALID_ADDRESS},
        {AT, 0, DATA, 0, QY_INVALID_ADDRESS},
        {AT, 1, DATA, 0, QY_INVALID_ADDRESS},
        {AT, 1ull << 63, DATA, 0, QY_INVALID_ADDRESS},
        {AT, 0 - AT, DATA, 0, QY_INVALID_ADDRESS},
        {USER_END - PAGES(1), PAGES(2), DATA, 0, QY_INVALID_ADDRESS},
        {USER_END, PAGES(1), DATA, 0, QY_INVALID_ADDRESS},
        {0xffff800000000000, PAGES(1), DATA, 0, QY_INVALID_ADDRESS},
        {1ull << 50, PAGES(1), DATA, 0, QY_INVALID_ADDRESS},
        {AT, PAGES(1), RW | QY_MAP_EXEC, 0, QY_INVALID_FLAGS},
        {AT, PAGES(1), QY_MAP_WRITE, 0, QY_INVALID_FLAGS},
        {AT, PAGES(1), RW | QY_MAP_UNCACHED, 0, QY_INVALID_FLAGS},
        {AT, PAGES(1), RW | 1ull << 40, 0, QY_INVALID_FLAGS},
        {AT, PAGES(1), RW | QY_REGION(7), 0, QY_INVALID_ARGUMENT},
        {AT, PAGES(1), DATA, 1, QY_INVALID_ARGUMENT},
        {AT, PAGES(1), DATA, 0, QY_OK},
        {AT, PAGES(1), DATA, 0, QY_ALREADY_MAPPED},
        {AT - PAGES(1), PAGES(2), DATA, 0, QY_ALREADY_MAPPED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_EQ(reserve(rows[i].address, rows[i].bytes, rows[i].flags, rows[i].moves),
                 rows[i].error);
    CHECK_EQ(CALL(QY_CALL_space_unmap_region, space, AT + PAGES(8), PAGES(1), 0, 0, 0).error,
             QY_NOT_MAPPED);
    CHECK_EQ(CALL(QY_CALL_space_protect_region, space, AT, PAGES(2), QY_MAP_READ, 0, 0).error,
             QY_NOT_MAPPED);
    CHECK_EQ(CALL(QY_CALL_space_protect_region, space, AT, PAGES(1), 7, 0, 0).error,
             QY_INVALID_FLAGS);
    CHECK_EQ(CALL(QY_CALL_space_protect_region, space, AT, PAGES(1), 1ull << 32 | 1, 0, 0).error,
             QY_INVALID_FLAGS);
    CHECK_EQ(CALL(QY_CALL_space_clone, space, space, AT, PAGES(1), 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_space_clone, space, ROOT_SPACE, AT, 0 - AT + 1, 0, 0).error,
             QY_INVALID_ADDRESS);
    CHECK_EQ(CALL(QY_CALL_space_settle, space, USER_END, 0, 0, 0, 0).error, QY_INVALID_ADDRESS);
    struct result query = CALL(QY_CALL_space_query, space, 0, 0, 0, 0, 0);
    CHECK_EQ(query.x[1], AT);
    CHECK_EQ(query.x[2], AT + PAGES(1));
    CHECK_EQ(QY_QUERY_BACKING(query.x[3]), QY_BACKED_ANONYMOUS);
    scene_end();
}

static void protect_and_unmap_reach_who_runs(void)
{
    begin(64);
    qy_handle_t thread = run_in(space, 1, 0);
    run_in(space, 2, 0);
    CHECK_EQ(reserve(AT, PAGES(8), DATA, 0), QY_OK);
    for (unsigned i = 0; i < 8; i++)
        *touch(1, AT + PAGES(i), QY_ACCESS_WRITE) = (uint8_t)(i + 1);
    uint64_t left = free_of(budget);
    CHECK_EQ(CALL(QY_CALL_space_protect_region, space, AT, PAGES(4), QY_MAP_READ, 0, 0).error,
             QY_OK);
    CHECK(!seen(2, AT, QY_PT_WRITE) && *seen(2, AT + PAGES(3), QY_PT_READ) == 4);
    CHECK_EQ(CALL(QY_CALL_space_unmap_region, space, AT + PAGES(2), PAGES(4), 0, 0, 0).error,
             QY_OK);
    CHECK(!seen(1, AT + PAGES(2), 0) && !seen(1, AT + PAGES(5), 0));
    CHECK_EQ(free_of(budget), left + PAGES(4));
    world_fault(1, AT, QY_ACCESS_WRITE, 0x400004);
    CHECK_EQ(CALL(QY_CALL_thread_info, thread, 0, 0, 0, 0, 0).x[1], QY_THREAD_DEAD);
    CHECK(strstr(world_console, "(protected there)") != NULL);
    scene_end();
}

static void clones_share_until_one_writes(void)
{
    begin(128);
    qy_handle_t other = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1),
                payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 128);
    CHECK_EQ(CALL(QY_CALL_space_clone, other, space, AT, PAGES(16), 0, 0).error, QY_UNSUPPORTED);
    CHECK_EQ(CALL(QY_CALL_space_bind, other, payer, 0, 0, 0, 0).error, QY_OK);
    run_in(space, 1, 0);
    CHECK_EQ(reserve(AT, PAGES(16), DATA, 0), QY_OK);
    for (unsigned i = 0; i < 16; i++)
        memset(touch(1, AT + PAGES(i), QY_ACCESS_WRITE), 0x10 + (int)i, 8);
    struct result r = CALL(QY_CALL_space_clone, other, space, AT, PAGES(16), 0, 0);
    CHECK_EQ(r.error, QY_OK);
    CHECK_EQ(r.x[1], AT + PAGES(16));
    run_in(other, 2, 0);
    CHECK(seen(1, AT, QY_PT_READ) == seen(2, AT, QY_PT_READ));
    CHECK(!seen(1, AT, QY_PT_WRITE) && !seen(2, AT, QY_PT_WRITE));
    *touch(2, AT + PAGES(3), QY_ACCESS_WRITE) = 0x99;
    CHECK_EQ(*seen(1, AT + PAGES(3), QY_PT_READ), 0x13);
    *touch(1, AT + PAGES(4), QY_ACCESS_WRITE) = 0x77;
    CHECK_EQ(*seen(2, AT + PAGES(4), QY_PT_READ), 0x14);
    /* What the clone still shares becomes its own, so that it outlives the budget of the first. */
    uint64_t at = 0;
    while (at < USER_END) {
        r = CALL(QY_CALL_space_settle, other, at, 0, 0, 0, 0);
        CHECK_EQ(r.error, QY_OK);
        at = r.x[1];
    }
    CHECK_EQ(revoke_all(budget), QY_OK);
    CHECK_EQ(free_of(budget), PAGES(128));
    CHECK(!seen(1, AT + PAGES(4), 0));
    for (unsigned i = 0; i < 16; i++)
        CHECK_EQ(*seen(2, AT + PAGES(i), QY_PT_READ), i == 3 ? 0x99 : 0x10 + i);
    scene_end();
}

/* Pages go to another untyped while CPUs use them; who pays for them is who can take them back. */
static void pages_move_to_another_payer(void)
{
    begin(128);
    qy_handle_t payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64),
                reader = copy(payer, QY_RIGHT_READ, 0),
                small = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 2);
    const struct {
        uint64_t address, bytes, untyped;
        enum qy_error error;
    } refused[] = {
        {AT, PAGES(1), reader, QY_NO_RIGHTS},
        {AT, PAGES(1), space, QY_WRONG_TYPE},
        {AT, PAGES(1), 1234, QY_INVALID_HANDLE},
        {AT, 1, payer, QY_INVALID_ADDRESS},
        {AT, 0 - AT, payer, QY_INVALID_ADDRESS},
        {AT, 0 - PAGES(1), payer, QY_INVALID_ADDRESS},
        {USER_END, PAGES(1), payer, QY_INVALID_ADDRESS},
        {AT, USER_END, payer, QY_INVALID_ADDRESS},
    };
    run_in(space, 1, 0);
    CHECK_EQ(reserve(AT, PAGES(16), DATA, 0), QY_OK);
    for (unsigned i = 0; i < 16; i++)
        memset(touch(1, AT + PAGES(i), QY_ACCESS_WRITE), 0x10 + (int)i, 8);
    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        CHECK_EQ(CALL(QY_CALL_space_settle, space, refused[i].address, refused[i].bytes,
                      refused[i].untyped, 0, 0)
                     .error,
                 refused[i].error);
    uint64_t own = free_of(budget), others = free_of(payer);
    struct result r = {.x = {0, AT}};
    while (r.error == QY_OK && r.x[1] < AT + PAGES(12))
        r = CALL(QY_CALL_space_settle, space, r.x[1], AT + PAGES(12) - r.x[1], payer, 0, 0);
    CHECK_EQ(r.error, QY_OK);
    CHECK_EQ(r.x[1], AT + PAGES(12));
    CHECK_EQ(free_of(budget), own + PAGES(12));
    CHECK(free_of(payer) <= others - PAGES(12));
    while (r.error == QY_OK && r.x[1] < AT + PAGES(16))
        r = CALL(QY_CALL_space_settle, space, r.x[1], AT + PAGES(16) - r.x[1], small, 0, 0);
    CHECK_EQ(r.error, QY_OUT_OF_MEMORY);
    CHECK(r.x[1] > AT + PAGES(12) && r.x[1] < AT + PAGES(16));
    for (unsigned i = 0; i < 16; i++)
        CHECK_EQ(*seen(1, AT + PAGES(i), QY_PT_READ), 0x10 + i);
    CHECK_EQ(revoke_all(small), QY_OK);
    CHECK_EQ(revoke_all(payer), QY_OK);
    CHECK(!seen(1, AT, 0) && !seen(1, AT + PAGES(11), 0) && !seen(1, AT + PAGES(12), 0));
    CHECK_EQ(*seen(1, AT + PAGES(15), QY_PT_READ), 0x1f);
    CHECK_EQ(free_of(payer), PAGES(64));
    scene_end();
}

/* Revoke of a budget: everybody loses what came of it, sharers too; the space may have another afterwards. */
static void a_revoked_budget_takes_everything_back(void)
{
    begin(128);
    qy_handle_t other = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1),
                payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 128);
    CHECK_EQ(CALL(QY_CALL_space_bind, other, payer, 0, 0, 0, 0).error, QY_OK);
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    run_in(space, 1, endpoint);
    CHECK_EQ(reserve(AT, PAGES(16), DATA, 0), QY_OK);
    for (unsigned i = 0; i < 16; i++)
        *touch(1, AT + PAGES(i), QY_ACCESS_WRITE) = 1;
    CHECK_EQ(CALL(QY_CALL_space_clone, other, space, AT, PAGES(16), 0, 0).error, QY_OK);
    run_in(other, 2, endpoint);
    *touch(2, AT, QY_ACCESS_WRITE) = 2;
    CHECK_EQ(revoke_all(budget), QY_OK);
    CHECK_EQ(free_of(budget), PAGES(128));
    CHECK(!seen(1, AT, 0) && !seen(2, AT + PAGES(1), 0));
    CHECK(seen(2, AT, QY_PT_READ) && *seen(2, AT, QY_PT_READ) == 2); /* its own copy */
    world_fault(2, AT + PAGES(1), QY_ACCESS_READ, 0x400008);
    struct result fault = CALL(QY_CALL_endpoint_receive, endpoint, reply, 0, 0, 0, 0);
    CHECK_EQ(fault.error, QY_OK);
    CHECK_EQ(fault.x[2], QY_FAULT_LABEL(QY_ACCESS_READ, QY_FOUND_REVOKED));
    CHECK_EQ(fault.x[3], AT + PAGES(1));
    CHECK_EQ(reserve(AT + PAGES(64), PAGES(1), DATA, 0), QY_UNSUPPORTED);
    CHECK_EQ(CALL(QY_CALL_space_bind, space, budget, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(reserve(AT + (1ull << 40), PAGES(1), DATA, 0), QY_OK);
    CHECK(touch(1, AT + (1ull << 40), QY_ACCESS_WRITE) != NULL);
    CHECK_EQ(erase(budget), QY_OK); /* destroying it does the same */
    CHECK(!seen(1, AT + (1ull << 40), 0));
    scene_end();
}

static void stacks_grow_down_to_their_limit(void)
{
    begin(64);
    qy_handle_t thread = run_in(space, 1, 0);
    CHECK_EQ(reserve(AT, PAGES(1), DATA | QY_REGION(QY_REGION_STACK), 0), QY_OK);
    CHECK_EQ(reserve(AT - PAGES(1), PAGES(1), RW | QY_REGION(QY_REGION_STACK) | QY_REGION_GUARD, 3),
             QY_OK);
    for (unsigned i = 0; i <= 3; i++)
        CHECK(touch(1, AT - PAGES(i), QY_ACCESS_WRITE) != NULL || i > 0);
    for (unsigned i = 1; i <= 3; i++)
        CHECK(touch(1, AT - PAGES(i), QY_ACCESS_WRITE) != NULL);
    CHECK_EQ(CALL(QY_CALL_thread_info, thread, 0, 0, 0, 0, 0).x[1], QY_THREAD_RUNNING);
    CHECK(touch(1, AT - PAGES(4), QY_ACCESS_WRITE) == NULL);
    CHECK_EQ(CALL(QY_CALL_thread_info, thread, 0, 0, 0, 0, 0).x[1], QY_THREAD_DEAD);
    CHECK(strstr(world_console, "(guard there)") != NULL);
    scene_end();
}

/* A small budget ends: the thread is told so, and nothing else has changed. */
static void a_budget_that_ends_is_named(void)
{
    begin(8);
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    run_in(space, 1, endpoint);
    CHECK_EQ(reserve(AT, PAGES(16), DATA, 0), QY_OK);
    unsigned pages = 0;
    while (pages < 16 && touch(1, AT + PAGES(pages), QY_ACCESS_WRITE))
        pages++;
    CHECK(pages > 0 && pages < 8);
    struct result fault = CALL(QY_CALL_endpoint_receive, endpoint, reply, 0, 0, 0, 0);
    CHECK_EQ(fault.x[2], QY_FAULT_LABEL(QY_ACCESS_WRITE, QY_FOUND_EXHAUSTED));
    scene_end();
}

/* A copy inside a call faults as the program would. */
static void calls_bring_what_they_copy(void)
{
    begin(64);
    qy_handle_t system = QY_SLOT_SYSTEM;
    run_in(space, 1, 0);
    CHECK_EQ(reserve(AT, PAGES(2), DATA, 0), QY_OK);
    uint64_t across = AT + PAGES(1) - 8;
    CHECK_EQ(CALL_ON(1, QY_CALL_system_record, system, 1, 0, across, 64, 0).error, QY_OK);
    CHECK(seen(1, AT, QY_PT_WRITE) && seen(1, AT + PAGES(1), QY_PT_WRITE));
    CHECK_EQ(CALL_ON(1, QY_CALL_system_record, system, 1, 0, AT + PAGES(2) - 8, 64, 0).error,
             QY_BAD_USER_POINTER);
    scene_end();
}

static unsigned points_of(enum qy_invocation number, uint64_t x0, uint64_t x1, uint64_t x2,
                          uint64_t x3)
{
    world_preemption_points = 0;
    CHECK_EQ(CALL(number, x0, x1, x2, x3, 0, 0).error, QY_OK);
    scene_check(__FILE__, __LINE__);
    return world_preemption_points;
}

/* Two tables of pages and a half: interrupts come in between; not in a short call. */
static void long_calls_have_preemption_points(void)
{
    const uint64_t bytes = PAGES(1280);
    begin(1400);
    run_in(space, 1, 0);
    qy_handle_t other = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1);
    qy_handle_t payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
    CHECK_EQ(CALL(QY_CALL_space_bind, other, payer, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(reserve(AT, bytes, DATA, 0), QY_OK);
    for (uint64_t at = 0; at < bytes; at += QY_PAGE_BYTES)
        world_fault(1, AT + at, QY_ACCESS_WRITE, 0x400000);
    CHECK(seen(1, AT + bytes - 1, RW) != NULL);
    CHECK(points_of(QY_CALL_space_protect_region, space, AT, bytes, QY_MAP_READ) >= 6);
    CHECK(points_of(QY_CALL_space_clone, other, space, AT, bytes) >= 3);
    CHECK(points_of(QY_CALL_space_unmap_region, space, AT, bytes, 0) >= 3);
    CHECK_EQ(points_of(QY_CALL_space_unmap_region, other, AT, PAGES(1), 0), 0);
    scene_end();
}

/* A frame that a capability maps in a delegated space goes with the frame, clones included. */
static void frames_go_from_clones_too(void)
{
    begin(64);
    qy_handle_t other = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1),
                payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64),
                frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    CHECK_EQ(CALL(QY_CALL_space_bind, other, payer, 0, 0, 0, 0).error, QY_OK);
    run_in(space, 1, 0);
    CHECK_EQ(reserve(AT, PAGES(2), DATA, 0), QY_OK);
    CHECK(touch(1, AT, QY_ACCESS_WRITE) != NULL);
    CHECK_EQ(map(frame, space, AT + PAGES(4), RW).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_space_clone, other, space, AT, PAGES(8), 0, 0).error, QY_OK);
    run_in(other, 2, 0);
    CHECK(seen(2, AT + PAGES(4), QY_PT_READ) != NULL);
    CHECK_EQ(erase(frame), QY_OK); /* the zeroing of its next owner's pages looks into every TLB */
    CHECK(!seen(1, AT + PAGES(4), 0) && !seen(2, AT + PAGES(4), 0));
    make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    scene_end();
}

/* The kernel's choice begins where it was told to, and goes on there; in a clone, too. */
static void the_kernel_chooses_from_a_place_on(void)
{
    const uint64_t place = 0x420000123000;
    begin(64);
    struct result first =
        CALL(QY_CALL_space_map_region, space, place, PAGES(3), DATA | QY_REGION_ABOVE, 0, 0);
    CHECK(first.error == QY_OK && first.x[1] == place);
    CHECK_EQ(CALL(QY_CALL_space_map_region, space, 0, PAGES(1), DATA, 0, 0).x[1], place + PAGES(3));
    CHECK_EQ(
        CALL(QY_CALL_space_map_region, space, place + 1, PAGES(1), DATA | QY_REGION_ABOVE, 0, 0)
            .x[1],
        place + PAGES(4));
    CHECK_EQ(CALL(QY_CALL_space_map_region, space, place, PAGES(1), DATA, 0, 0).error,
             QY_ALREADY_MAPPED);
    /* No room above: as if nothing had been said. */
    struct result low =
        CALL(QY_CALL_space_map_region, space, USER_END, PAGES(1), DATA | QY_REGION_ABOVE, 0, 0);
    CHECK(low.error == QY_OK && low.x[1] < place);
    CHECK_EQ(
        CALL(QY_CALL_space_map_region, space, place, PAGES(1), DATA | QY_REGION_ABOVE, 0, 0).error,
        QY_OK);
    qy_handle_t other = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1),
                payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
    CHECK_EQ(CALL(QY_CALL_space_bind, other, payer, 0, 0, 0, 0).error, QY_OK);
    struct result clone = CALL(QY_CALL_space_clone, other, space, place, PAGES(16), 0, 0);
    CHECK(clone.error == QY_OK && clone.x[1] == place + PAGES(16));
    CHECK_EQ(CALL(QY_CALL_space_map_region, other, 0, PAGES(1), DATA, 0, 0).x[1], place + PAGES(6));
    /* What is empty takes no calls, however long. */
    clone = CALL(QY_CALL_space_clone, other, space, place + PAGES(16), USER_END - place - PAGES(16),
                 0, 0);
    CHECK(clone.error == QY_OK && clone.x[1] == USER_END);
    CHECK_EQ(CALL(QY_CALL_space_clone, other, space, PAGES(1), 1ull << 39, 0, 0).x[1],
             PAGES(1) + (1ull << 39));
    scene_end();
}

static const struct test tests[] = {
    {"the kernel chooses from a place on", the_kernel_chooses_from_a_place_on},
    {"only a budget pays", only_a_budget_pays},
    {"regions refuse", regions_refuse},
    {"protect and unmap reach who runs", protect_and_unmap_reach_who_runs},
    {"clones share until one writes", clones_share_until_one_writes},
    {"pages move to another payer", pages_move_to_another_payer},
    {"a revoked budget takes everything back", a_revoked_budget_takes_everything_back},
    {"stacks grow down to their limit", stacks_grow_down_to_their_limit},
    {"a budget that ends is named", a_budget_that_ends_is_named},
    {"calls bring what they copy", calls_bring_what_they_copy},
    {"frames go from clones too", frames_go_from_clones_too},
    {"long calls have preemption points", long_calls_have_preemption_points},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
