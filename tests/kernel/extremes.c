/*
 * Capabilities in numbers: many copies of one, a long chain of derived ones; and memory by type.
 *
 * Only the ends are checked by the validators, which look at every capability. A CPU of the simulated machine has a
 * stack of 64 KiB: an engine that went down a chain by calling itself would not come back.
 */
#include "scene.h"

#include <string.h>

#define NODE_PAGES 1024u
#define NODE_SLOTS (NODE_PAGES * SLOTS_PER_PAGE)

/* A thread on CPU 1 whose own node has that many pages; slot 1 of it names the node, slot 2 the endpoint. */
static void wide_thread(uint64_t pages, qy_handle_t endpoint)
{
    qy_handle_t node = make(ROOT_UNTYPED, QY_OBJ_CAP_NODE, pages);
    qy_handle_t thread = make(ROOT_UNTYPED, QY_OBJ_THREAD, 1);
    CHECK_EQ(CALL(QY_CALL_cap_copy, node, 1, node, QY_RIGHT_ALL, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_cap_copy, node, 2, endpoint, QY_RIGHT_ALL, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, node, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0x401ff0, 7, 1, 0).error, QY_OK);
    world_pick(1);
}

/* The capability in slot 2 and all that is derived from it, counted by the object. */
static uint64_t capabilities(qy_handle_t endpoint)
{
    return ((struct object *)object_of(endpoint))->capabilities;
}

static void a_million_copies_go_with_one_revoke(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    for (unsigned n = 0; n < 16; n++) {
        qy_handle_t node = make(ROOT_UNTYPED, QY_OBJ_CAP_NODE, NODE_PAGES);
        for (uint64_t slot = 1; slot < NODE_SLOTS; slot++)
            if (world_call(0, QY_CALL_cap_copy, node, slot, endpoint, QY_RIGHT_ALL, 0, 0).error)
                CHECK(!"copied");
    }
    CHECK_EQ(capabilities(endpoint), 1 + 16 * (NODE_SLOTS - 1));
    scene_check(__FILE__, __LINE__);
    CHECK_EQ(revoke_all(endpoint), QY_OK);
    CHECK_EQ(capabilities(endpoint), 1);
    scene_end();
}

#define DEPTH 100000u

static void a_chain_is_taken_apart_whatever_its_depth(void)
{
    for (unsigned whole = 0; whole < 2; whole++) {
        qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
        wide_thread(2 * NODE_PAGES, endpoint);
        for (uint64_t slot = 2; slot < DEPTH; slot++)
            if (world_call(1, QY_CALL_cap_copy, 1, slot + 1, slot, QY_RIGHT_ALL, 0, 0).error)
                CHECK(!"copied");
        CHECK_EQ(capabilities(endpoint), DEPTH);
        scene_check(__FILE__, __LINE__);
        if (!whole) {
            /* Cut out of the middle: what hangs below moves up, and all below the cut goes with one revoke. */
            CHECK_EQ(CALL_ON(1, QY_CALL_cap_delete, DEPTH / 2, 0, 0, 0, 0, 0).error, QY_OK);
            CHECK_EQ(CALL_ON(1, QY_CALL_cap_revoke, DEPTH / 2 - 1, 0, 0, 0, 0, 0).error, QY_OK);
            CHECK_EQ(capabilities(endpoint), DEPTH / 2 - 1);
            CHECK_EQ(revoke_all(endpoint), QY_OK);
            CHECK_EQ(capabilities(endpoint), 1);
        }
        scene_end(); /* else all of it with the untyped: node, thread and chain */
    }
}

/* A thread that waits with a capability under way, or for one, is deleted; so is the slot's node. */
static void a_capability_under_way_stays_if_either_side_dies(void)
{
    for (unsigned sender_dies = 0; sender_dies < 2; sender_dies++) {
        qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
        qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
        qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
        CHECK_EQ(CALL_ON(1, QY_CALL_receive_slot, ROOT_NODE, 950, 0, 0, 0, 0).error, QY_OK);
        if (sender_dies)
            CHECK(CALL_ON(1, QY_CALL_endpoint_send, endpoint, 1, 2, 3, 4, frame).waits);
        else
            CHECK(CALL_ON(1, QY_CALL_endpoint_receive, endpoint, 0, 0, 0, 0, 0).waits);
        CHECK_EQ(erase(thread), QY_OK);
        thread_on(ROOT_UNTYPED, 2, 0);
        CHECK(CALL_ON(2, sender_dies ? QY_CALL_endpoint_receive : QY_CALL_endpoint_send, endpoint,
                      0, 0, 0, 0, sender_dies ? 0 : frame)
                  .waits);
        CHECK_EQ(info(950).error, QY_NOT_FOUND);
        CHECK_EQ(((struct object *)object_of(frame))->capabilities, 1);
        scene_end();
    }
}

static void an_untyped_tells_its_objects_by_type(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 300), one;
    CHECK_EQ(CALL(QY_CALL_untyped_objects, untyped, 0, 0, 0, 0, 0).x[1], 0);
    make(untyped, QY_OBJ_FRAME, 4);
    one = make(untyped, QY_OBJ_FRAME, 8);
    make(untyped, QY_OBJ_ENDPOINT, 1);
    make(make(untyped, QY_OBJ_UNTYPED, 20), QY_OBJ_ENDPOINT, 1); /* not its own */
    struct result frames = CALL(QY_CALL_untyped_objects, untyped, QY_OBJ_FRAME, 0, 0, 0, 0);
    CHECK_EQ(frames.x[1], 2);
    CHECK_EQ(frames.x[2], 12 * QY_PAGE_BYTES + 2 * sizeof(struct frame));
    CHECK_EQ(CALL(QY_CALL_untyped_objects, untyped, QY_OBJ_ENDPOINT, 0, 0, 0, 0).x[1], 1);
    CHECK_EQ(CALL(QY_CALL_untyped_objects, untyped, 0, 0, 0, 0, 0).x[1],
             CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[4]);
    CHECK_EQ(erase(one), QY_OK);
    CHECK_EQ(CALL(QY_CALL_untyped_objects, untyped, QY_OBJ_FRAME, 0, 0, 0, 0).x[1], 1);
    CHECK_EQ(CALL(QY_CALL_untyped_objects, untyped, QY_OBJ_COUNT, 0, 0, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(revoke_all(untyped), QY_OK);
    CHECK_EQ(CALL(QY_CALL_untyped_objects, untyped, 0, 0, 0, 0, 0).x[2], 0);
    scene_end();
}

/* Validators are asked from user mode too; nothing is broken here, and a planted fault is named. */
static void a_check_names_what_is_broken(void)
{
    struct result good = CALL(QY_CALL_system_check, QY_SLOT_SYSTEM, 0, 0, 0, 0, 0);
    CHECK_EQ(good.error, QY_OK);
    CHECK_EQ(good.x[1], 0);
    struct endpoint *endpoint = object_of(make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1));
    endpoint->object.capabilities++;
    struct result bad = world_call(0, QY_CALL_system_check, QY_SLOT_SYSTEM, 0, 0, 0, 0, 0);
    endpoint->object.capabilities--;
    CHECK_EQ(bad.error, QY_OK);
    endpoint->object.capabilities = 0;
    bad = world_call(0, QY_CALL_system_check, QY_SLOT_SYSTEM, 0, 0, 0, 0, 0);
    endpoint->object.capabilities = 1;
    CHECK(memcmp(&bad.x[1], "OBJ-COUNT", 10) == 0);
    scene_end();
}

static void a_fault_is_answered_with_a_frame(void)
{
    const uint64_t address = (9ull << 39) + 0x3000;
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    qy_handle_t four = make(ROOT_UNTYPED, QY_OBJ_FRAME, 4);
    struct thread *thread = object_of(thread_on(ROOT_UNTYPED, 1, endpoint));
#define REPLY_MAP(frame, flags) CALL(QY_CALL_reply_map, reply, frame, flags, 0, 0, 0)
    CHECK_EQ(REPLY_MAP(frame, RW).error, QY_NOT_FOUND); /* nobody waits */
    world_fault(1, address + 0x123, QY_ACCESS_WRITE, 0x400000);
    CHECK_EQ(CALL(QY_CALL_endpoint_receive, endpoint, reply, 0, 0, 0, 0).error, QY_OK);
    struct result missing = REPLY_MAP(frame, RW);
    CHECK_EQ(missing.error, QY_MISSING_TABLE);
    CHECK_EQ(missing.x[1], 3);
    tables(ROOT_UNTYPED, ROOT_SPACE, address, 1);
    CHECK_EQ(REPLY_MAP(copy(frame, QY_RIGHT_READ, 0), RW).error, QY_NO_RIGHTS);
    CHECK_EQ(REPLY_MAP(reply, RW).error, QY_WRONG_TYPE);
    CHECK_EQ(REPLY_MAP(frame, RW | QY_MAP_EXEC).error, QY_INVALID_FLAGS);
    CHECK_EQ(thread->state, QY_THREAD_FAULTED); /* it waits on */
    CHECK_EQ(REPLY_MAP(frame, RW).error, QY_OK);
    CHECK(world_pick(1) == thread);
    CHECK_EQ(CALL(QY_CALL_space_query, ROOT_SPACE, address, 0, 0, 0, 0).x[1], address);
    CHECK_EQ(REPLY_MAP(frame, RW).error, QY_NOT_FOUND);
    /* More than a page: the frame lies where its size says. */
    world_fault(1, address + 0x12000, QY_ACCESS_WRITE, 0x400000);
    CHECK_EQ(CALL(QY_CALL_endpoint_receive, endpoint, reply, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(REPLY_MAP(four, RW).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_space_query, ROOT_SPACE, address + 0x2000, 0, 0, 0, 0).x[1],
             (address + 0x12000) & ~0x3fffull);
    /* A call is no fault. */
    world_pick(1);
    CHECK(CALL_ON(1, QY_CALL_endpoint_call, endpoint, 1, 0, 0, 0, 0).waits);
    CHECK_EQ(CALL(QY_CALL_endpoint_receive, endpoint, reply, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(REPLY_MAP(make(ROOT_UNTYPED, QY_OBJ_FRAME, 1), RW).error, QY_INVALID_ARGUMENT);
    scene_end();
}

static const struct test tests[] = {
    {"a million copies go with one revoke", a_million_copies_go_with_one_revoke},
    {"a chain is taken apart whatever its depth", a_chain_is_taken_apart_whatever_its_depth},
    {"a capability under way stays if either side dies",
     a_capability_under_way_stays_if_either_side_dies},
    {"an untyped tells its objects by type", an_untyped_tells_its_objects_by_type},
    {"a check names what is broken", a_check_names_what_is_broken},
    {"a fault is answered with a frame", a_fault_is_answered_with_a_frame},
};

int main(void)
{
    world_make(192);
    return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
