/*
 * Capabilities and memory: handles, rights, derivation, retype, delete and revoke, each error by
 * name.
 *
 * It would miss what only happens when CPUs act at once (races.c) and long histories (model.c).
 */
#include "scene.h"

#include <string.h>

static void root_task_is_as_described(void)
{
    struct space *space = (struct space *)world_object(QY_SLOT_SPACE);
    paddr_t at;
    unsigned flags;
    CHECK_EQ(qy_pt_translate(SPACE_PT(space), vaddr(0x400000), &at, &flags, NULL), QY_OK);
    CHECK_EQ(flags & QY_MAP_ALL, QY_MAP_READ | QY_MAP_EXEC);
    CHECK_EQ(*(uint8_t *)qy_port_ram(at), 0x11);
    CHECK_EQ(qy_pt_translate(SPACE_PT(space), vaddr(0x401000), &at, &flags, NULL), QY_OK);
    CHECK_EQ(flags & QY_MAP_ALL, RW);
    CHECK_EQ(*(uint8_t *)qy_port_ram(at), 0x22);
    CHECK_EQ(*((uint8_t *)qy_port_ram(at) + 0x800), 0); /* the tail that is not in the file */
    CHECK_EQ(qy_pt_translate(SPACE_PT(space), vaddr(QY_ROOT_INFO_ADDRESS), &at, &flags, NULL),
             QY_OK);
    CHECK_EQ(flags & QY_MAP_ALL, QY_MAP_READ);
    const struct qy_root_info *root_info = qy_port_ram(at);
    CHECK_EQ(root_info->version, QY_ABI_VERSION);
    CHECK_EQ(root_info->untypeds, 1);
    CHECK_EQ(root_info->node_slots, world_root_node()->count);
    CHECK_EQ(world_root_node()->slots[root_info->free_slot].type, QY_OBJ_NONE);
    CHECK_EQ(world_root_node()->slots[root_info->free_slot - 1].type != QY_OBJ_NONE, 1);
    CHECK_EQ(qy_pt_translate(SPACE_PT(space), vaddr(QY_ROOT_ARCHIVE_ADDRESS), &at, &flags, NULL),
             QY_OK);
    CHECK_EQ(memcmp(qy_port_ram(at), "070701", 6), 0);
    CHECK_EQ(flags & QY_MAP_ALL, QY_MAP_READ);
    CHECK_EQ(qy_pt_translate(SPACE_PT(space), vaddr(QY_ROOT_STACK_TOP - 1), NULL, &flags, NULL),
             QY_OK);
    CHECK_EQ(qy_pt_translate(SPACE_PT(space), vaddr(QY_ROOT_STACK_TOP - 0x4001), NULL, NULL, NULL),
             QY_NOT_MAPPED);
    CHECK_EQ(world_root_thread()->frame.instruction, 0x400000);
    CHECK_EQ(world_root_thread()->frame.stack, QY_ROOT_STACK_TOP);
    CHECK(world_check() == NULL);
}

static void handles_name_what_they_were_made_for_or_nothing(void)
{
    const uint64_t bad[] = {
        0,     0xffffffff, world_root_node()->count, 1ull << 32 | QY_SLOT_UNTYPED, 700,
        ~0ull, 1ull << 63};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ(CALL(QY_CALL_untyped_info, bad[i], 0, 0, 0, 0, 0).error, QY_INVALID_HANDLE);
        CHECK_EQ(erase(bad[i]), QY_INVALID_HANDLE);
        CHECK_EQ(revoke_all(bad[i]), QY_INVALID_HANDLE);
    }
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    CHECK_EQ(CALL(QY_CALL_untyped_info, endpoint, 0, 0, 0, 0, 0).error, QY_WRONG_TYPE);
    CHECK_EQ(erase(endpoint), QY_OK);
    CHECK_EQ(erase(endpoint), QY_INVALID_HANDLE);
    scene_slot--;
    qy_handle_t again = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    CHECK_EQ(QY_HANDLE_INDEX(again), QY_HANDLE_INDEX(endpoint));
    CHECK_EQ(QY_HANDLE_GENERATION(again), QY_HANDLE_GENERATION(endpoint) + 1);
    CHECK_EQ(erase(endpoint), QY_INVALID_HANDLE);
    CHECK_EQ(CALL((enum qy_invocation)QY_CALL_COUNT, 0, 0, 0, 0, 0, 0).error, QY_UNKNOWN_CALL);
    CHECK_EQ(CALL((enum qy_invocation)0x7fffffff, 0, 0, 0, 0, 0, 0).error, QY_UNKNOWN_CALL);
    scene_end();
}

static void a_slot_whose_generations_are_used_up_stays_empty(void)
{
    struct slot *slot = &world_root_node()->slots[599];
    slot->generation = UINT32_MAX - 1;
    for (unsigned i = 0; i < 2; i++) {
        struct result result =
            CALL(QY_CALL_untyped_retype, ROOT_UNTYPED, QY_OBJ_REPLY, 1, ROOT_NODE, 599, 1);
        CHECK_EQ(result.error, QY_OK);
        CHECK_EQ(QY_HANDLE_GENERATION(result.x[1]), UINT32_MAX - 1 + i);
        CHECK_EQ(erase(result.x[1]), QY_OK);
        CHECK_EQ(erase(result.x[1]), QY_INVALID_HANDLE);
    }
    CHECK_EQ(CALL(QY_CALL_untyped_retype, ROOT_UNTYPED, QY_OBJ_REPLY, 1, ROOT_NODE, 599, 1).error,
             QY_SLOT_OCCUPIED);
    scene_end();
}

static void rights_only_shrink(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t reader = copy(endpoint, QY_RIGHT_READ | QY_RIGHT_GRANT, 0);
    qy_handle_t nothing = copy(endpoint, 0, 0);
    uint64_t slot = scene_slot;
    CHECK_EQ(CALL(QY_CALL_endpoint_send, reader, 0, 0, 0, 0, 0).error, QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_cap_copy, ROOT_NODE, slot, reader, QY_RIGHT_ALL, 0, 0).error,
             QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_cap_copy, ROOT_NODE, slot, nothing, 0, 0, 0).error, QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_cap_copy, ROOT_NODE, slot, endpoint, 16, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_cap_copy, ROOT_NODE, slot, endpoint, ~0ull, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_cap_copy, ROOT_NODE, 0, endpoint, 1, 0, 0).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_cap_copy, ROOT_NODE, 1ull << 32 | slot, endpoint, 1, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_cap_copy, ROOT_NODE, world_root_node()->count, endpoint, 1, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_cap_copy, ROOT_NODE, QY_SLOT_NODE, endpoint, 1, 0, 0).error,
             QY_SLOT_OCCUPIED);
    CHECK_EQ(CALL(QY_CALL_cap_copy, ROOT_NODE, slot, 0, 1, 0, 0).error, QY_INVALID_HANDLE);
    CHECK_EQ(CALL(QY_CALL_cap_copy, endpoint, slot, endpoint, 1, 0, 0).error, QY_WRONG_TYPE);
    CHECK_EQ(info(reader).x[1], QY_OBJ_ENDPOINT | (QY_RIGHT_READ | QY_RIGHT_GRANT) << 8);
    scene_end();
}

static void badges_are_set_once(void)
{
    qy_handle_t endpoint = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t reply = make(ROOT_UNTYPED, QY_OBJ_REPLY, 1);
    qy_handle_t badged = copy(endpoint, QY_RIGHT_ALL, 77);
    qy_handle_t inherited = copy(badged, QY_RIGHT_WRITE, 0);
    CHECK_EQ(info(endpoint).x[4], 0);
    CHECK_EQ(info(badged).x[4], 77);
    CHECK_EQ(info(inherited).x[4], 77);
    CHECK_EQ(CALL(QY_CALL_cap_copy, ROOT_NODE, scene_slot, badged, 1, 78, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_cap_copy, ROOT_NODE, scene_slot, reply, 1, 78, 0).error,
             QY_INVALID_ARGUMENT);
    scene_end();
}

static void delete_moves_what_was_derived_up(void)
{
    qy_handle_t a = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t b = copy(a, QY_RIGHT_ALL, 0);
    qy_handle_t b1 = copy(b, QY_RIGHT_ALL, 0), b2 = copy(b, QY_RIGHT_ALL, 0),
                b3 = copy(b, QY_RIGHT_ALL, 0);
    qy_handle_t c = copy(a, QY_RIGHT_ALL, 0);
    CHECK_EQ(info(a).x[5], 2);
    CHECK_EQ(info(b).x[5], 3);
    CHECK_EQ(erase(b), QY_OK);
    CHECK_EQ(info(a).x[5], 4); /* c, b1, b2, b3 */
    CHECK_EQ(erase(c), QY_OK);
    CHECK_EQ(erase(b2), QY_OK);
    CHECK_EQ(info(a).x[5], 2);
    CHECK_EQ(erase(a), QY_OK);
    /* The object lives on: b1 and b3 hang from the untyped now. */
    CHECK_EQ(info(b1).error, QY_OK);
    CHECK_EQ(revoke_all(b1), QY_OK);
    CHECK_EQ(info(b3).error, QY_OK);
    CHECK_EQ(erase(b1), QY_OK);
    CHECK_EQ(erase(b3), QY_OK);
    CHECK_EQ(CALL(QY_CALL_untyped_info, ROOT_UNTYPED, 0, 0, 0, 0, 0).x[4], 0);
    scene_end();
}

static void revoke_takes_exactly_what_was_derived(void)
{
    qy_handle_t a = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1),
                other = make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    qy_handle_t b = copy(a, QY_RIGHT_ALL, 0), sibling = copy(a, QY_RIGHT_ALL, 0), chain = b,
                first = 0;
    for (unsigned i = 0; i < 300; i++) { /* deeper than a batch */
        chain = copy(chain, QY_RIGHT_ALL, 0);
        first = first ? first : chain;
    }
    CHECK_EQ(revoke_all(b), QY_OK);
    CHECK_EQ(info(first).error, QY_NOT_FOUND);
    CHECK_EQ(info(chain).error, QY_NOT_FOUND);
    CHECK_EQ(info(b).x[5], 0);
    CHECK_EQ(info(sibling).error, QY_OK);
    CHECK_EQ(info(other).error, QY_OK);
    CHECK_EQ(copy(b, QY_RIGHT_ALL, 0) != 0, 1); /* it can be derived from again */
    CHECK_EQ(revoke_all(a), QY_OK);
    CHECK_EQ(info(sibling).error, QY_NOT_FOUND);
    CHECK_EQ(info(a).error, QY_OK);
    scene_end();
}

static void every_type_is_retyped_and_given_back(void)
{
    static const struct {
        enum qy_object_type type;
        uint64_t pages;
    } rows[] = {{QY_OBJ_UNTYPED, 1},    {QY_OBJ_UNTYPED, 700},     {QY_OBJ_FRAME, 1},
                {QY_OBJ_FRAME, 8},      {QY_OBJ_FRAME, 512},       {QY_OBJ_PAGE_TABLE, 1},
                {QY_OBJ_PAGE_TABLE, 0}, {QY_OBJ_ADDRESS_SPACE, 1}, {QY_OBJ_CAP_NODE, 1},
                {QY_OBJ_CAP_NODE, 4},   {QY_OBJ_THREAD, 1},        {QY_OBJ_ENDPOINT, 0},
                {QY_OBJ_REPLY, 1}};
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 2048);
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            qy_handle_t handle = make(untyped, rows[i].type, rows[i].pages);
            CHECK_EQ(info(handle).x[1], rows[i].type | QY_RIGHT_ALL << 8);
            CHECK_EQ(erase(handle), QY_OK);
        }
        CHECK_EQ(CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[4], 0);
        CHECK_EQ(revoke_all(untyped), QY_OK);
        struct result result = CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0);
        CHECK_EQ(result.x[1], 2048 * QY_PAGE_BYTES);
        CHECK_EQ(result.x[2], 2048 * QY_PAGE_BYTES);
    }
    scene_end();
}

static void retype_refuses_and_changes_nothing(void)
{
    static const struct {
        uint64_t type, pages, node, slot, count;
        enum qy_error error;
    } rows[] = {
        {QY_OBJ_NONE, 1, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_CONSOLE, 1, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_SYSTEM, 1, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_COUNT, 1, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {1ull << 32 | QY_OBJ_FRAME, 1, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_FRAME, 0, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_FRAME, 3, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_FRAME, 1 << 19, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_FRAME, 1ull << 63, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_UNTYPED, 0, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_UNTYPED, ~0ull, QY_SLOT_NODE, 700, 1, QY_OUT_OF_MEMORY},
        {QY_OBJ_PAGE_TABLE, 2, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_CAP_NODE, 0, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_THREAD, 2, QY_SLOT_NODE, 700, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_FRAME, 1, QY_SLOT_NODE, 700, 0, QY_INVALID_ARGUMENT},
        {QY_OBJ_FRAME, 1, QY_SLOT_NODE, 700, 257, QY_INVALID_ARGUMENT},
        {QY_OBJ_FRAME, 1, QY_SLOT_NODE, 700, ~0ull, QY_INVALID_ARGUMENT},
        {QY_OBJ_FRAME, 1, QY_SLOT_NODE, 0, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_FRAME, 1, QY_SLOT_NODE, ~0ull, 1, QY_INVALID_ARGUMENT},
        {QY_OBJ_FRAME, 1, QY_SLOT_NODE, ~0ull - 1, 3, QY_INVALID_ARGUMENT},
        {QY_OBJ_FRAME, 1, QY_SLOT_NODE, QY_SLOT_UNTYPED, 1, QY_SLOT_OCCUPIED},
        {QY_OBJ_FRAME, 1, QY_SLOT_NODE, QY_SLOT_UNTYPED - 2, 3, QY_SLOT_OCCUPIED},
        {QY_OBJ_FRAME, 1, QY_SLOT_SPACE, 700, 1, QY_WRONG_TYPE},
        {QY_OBJ_FRAME, 1, 0, 700, 1, QY_INVALID_HANDLE},
        {QY_OBJ_FRAME, 1ull << QY_MAX_ORDER, QY_SLOT_NODE, 700, 1, QY_OUT_OF_MEMORY},
        {QY_OBJ_FRAME, 512, QY_SLOT_NODE, 700, 64, QY_OUT_OF_MEMORY},
    };
    struct result before = CALL(QY_CALL_untyped_info, ROOT_UNTYPED, 0, 0, 0, 0, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct result result = CALL(QY_CALL_untyped_retype, ROOT_UNTYPED, rows[i].type,
                                    rows[i].pages, rows[i].node, rows[i].slot, rows[i].count);
        CHECK_EQ(result.error, rows[i].error);
        if (rows[i].error == QY_OUT_OF_MEMORY) {
            CHECK_EQ(result.x[1], rows[i].pages);
            CHECK(result.x[2] <= 13);
        }
        CHECK_EQ(info(700).error, QY_NOT_FOUND);
    }
    struct result after = CALL(QY_CALL_untyped_info, ROOT_UNTYPED, 0, 0, 0, 0, 0);
    CHECK_EQ(after.x[2], before.x[2]);
    CHECK_EQ(after.x[4], before.x[4]);
    qy_handle_t poor = copy(ROOT_UNTYPED, QY_RIGHT_READ | QY_RIGHT_GRANT, 0);
    CHECK_EQ(CALL(QY_CALL_untyped_retype, poor, QY_OBJ_FRAME, 1, ROOT_NODE, 700, 1).error,
             QY_NO_RIGHTS);
    CHECK_EQ(revoke_all(poor), QY_NO_RIGHTS);
    CHECK_EQ(erase(poor), QY_OK);
    scene_end();
}

static void exhaustion_is_an_error_and_everything_comes_back(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 37);
    unsigned frames = 0;
    qy_handle_t last = 0;
    struct result result;
    while (
        (result = CALL(QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 1, ROOT_NODE, scene_slot, 1))
            .error == QY_OK) {
        last = result.x[1];
        scene_slot++;
        frames++;
    }
    CHECK_EQ(result.error, QY_OUT_OF_MEMORY);
    CHECK_EQ(result.x[1], 1);
    CHECK_EQ(result.x[2], ~0ull);
    CHECK_EQ(frames, 36); /* and one page of headers */
    CHECK_EQ(erase(last), QY_OK);
    make(untyped, QY_OBJ_FRAME, 1); /* what came back is usable at once */
    CHECK_EQ(revoke_all(untyped), QY_OK);
    CHECK_EQ(CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[2], 37 * QY_PAGE_BYTES);
    qy_handle_t whole = make(untyped, QY_OBJ_CAP_NODE, 32);
    CHECK_EQ(erase(whole), QY_OK);
    scene_end();
}

/* Fragmentation is what remains when all large frames that there is room for have been made. */
static void fragmentation_is_told(void)
{
    enum { PAGES = 2048, LARGE = 512 };
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, PAGES);
    make(untyped, QY_OBJ_FRAME, 1);
    struct result fresh = CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0), now;
    uint64_t large = 0, free = fresh.x[2] / QY_PAGE_BYTES;
    while (CALL(QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, LARGE, ROOT_NODE, scene_slot, 1)
               .error == QY_OK) {
        scene_slot++;
        large += LARGE;
    }
    CHECK(large >= LARGE && large < free);
    CHECK_EQ(fresh.x[5] >> 32, (free - large) * 1000 / free);
    now = CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0);
    CHECK_EQ(now.x[2], (free - large) * QY_PAGE_BYTES);
    CHECK_EQ(now.x[5] >> 32, 1000);
    struct result counted = CALL(QY_CALL_untyped_objects, untyped, QY_OBJ_FRAME, 0, 0, 0, 0);
    CHECK_EQ(counted.x[1], large / LARGE + 1);
    qy_handle_t small = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 4);
    make(small, QY_OBJ_FRAME, 2);
    make(small, QY_OBJ_FRAME, 1);
    CHECK_EQ(CALL(QY_CALL_untyped_info, small, 0, 0, 0, 0, 0).x[5] >> 32, 0); /* nothing is free */
    scene_end();
}

/* An untyped of two pages holds a frame and headers of many types. What empty slabs keep is free memory too. */
static void kept_slabs_do_not_stand_in_the_way(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 2);
    make(untyped, QY_OBJ_ENDPOINT, 1);
    make(untyped, QY_OBJ_THREAD, 1);
    make(untyped, QY_OBJ_FRAME, 1);
    make(untyped, QY_OBJ_REPLY, 1);
    CHECK_EQ(CALL(QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 1, ROOT_NODE, 990, 1).error,
             QY_OUT_OF_MEMORY);
    scene_end();
    qy_handle_t three = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 3);
    qy_handle_t endpoints[70];
    for (unsigned i = 0; i < 70; i++)
        endpoints[i] = make(three, QY_OBJ_ENDPOINT, 1);
    struct untyped *object = (struct untyped *)object_of(three);
    CHECK_EQ(qy_heap_pages(&object->heap), 2); /* shared, and its own */
    for (unsigned i = 0; i < 70; i++)
        CHECK_EQ(erase(endpoints[i]), QY_OK);
    CHECK_EQ(qy_heap_pages(&object->heap), 2);
    make(three, QY_OBJ_FRAME, 1);
    make(three, QY_OBJ_FRAME, 1);
    scene_end();
}

static void memory_is_zeroed_for_the_next_owner(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
    for (unsigned round = 0; round < 3; round++) {
        qy_handle_t frame = make(untyped, QY_OBJ_FRAME, 16);
        struct frame *object = object_of(frame);
        uint8_t *bytes = qy_port_ram(pfn_to_paddr(object->first));
        unsigned wrong = 0;
        for (unsigned i = 0; i < 16 * QY_PAGE_BYTES; i++)
            wrong += bytes[i] != 0;
        CHECK_EQ(wrong, 0);
        memset(bytes, 0xee, 16 * QY_PAGE_BYTES);
        CHECK_EQ(erase(frame), QY_OK);
    }
    scene_end();
}

static void nested_untypeds_go_with_their_parent(void)
{
    qy_handle_t outer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 1000);
    qy_handle_t at = outer;
    for (unsigned i = 0; i < 6; i++) {
        make(at, QY_OBJ_ENDPOINT, 1);
        make(at, QY_OBJ_FRAME, 1);
        at = make(at, QY_OBJ_UNTYPED, 450 >> i);
    }
    qy_handle_t frame = make(at, QY_OBJ_FRAME, 2);
    CHECK_EQ(revoke_all(outer), QY_OK);
    CHECK_EQ(info(frame).error, QY_NOT_FOUND);
    CHECK_EQ(CALL(QY_CALL_untyped_info, outer, 0, 0, 0, 0, 0).x[2], 1000 * QY_PAGE_BYTES);
    /* Deleting the last capability of an untyped does the same, and returns it. */
    qy_handle_t inner = make(outer, QY_OBJ_UNTYPED, 100);
    qy_handle_t endpoint = make(inner, QY_OBJ_ENDPOINT, 1);
    qy_handle_t second = copy(inner, QY_RIGHT_ALL, 0);
    CHECK_EQ(erase(inner), QY_OK);
    CHECK_EQ(info(endpoint).error, QY_OK);
    CHECK_EQ(erase(second), QY_OK);
    CHECK_EQ(info(endpoint).error, QY_NOT_FOUND);
    CHECK_EQ(CALL(QY_CALL_untyped_info, outer, 0, 0, 0, 0, 0).x[4], 0);
    scene_end();
}

static void nodes_empty_their_slots(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 256);
    qy_handle_t node = make(untyped, QY_OBJ_CAP_NODE, 4);
    qy_handle_t endpoint = make(untyped, QY_OBJ_ENDPOINT, 1);
    for (unsigned i = 1; i < 256; i += 5)
        CHECK_EQ(CALL(QY_CALL_cap_copy, node, i, endpoint, QY_RIGHT_ALL, i, 0).error, QY_OK);
    /* Objects whose only capability lies in the node go with it; so does the node in itself. */
    CHECK_EQ(CALL(QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 1, node, 2, 3).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_untyped_retype, untyped, QY_OBJ_CAP_NODE, 1, node, 7, 1).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_cap_copy, node, 8, node, QY_RIGHT_ALL, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[4], 6);
    CHECK_EQ(info(endpoint).x[5], 51);
    CHECK_EQ(revoke_all(node), QY_OK); /* the copy inside it */
    CHECK_EQ(erase(node), QY_OK);
    CHECK_EQ(info(endpoint).x[5], 0);
    CHECK_EQ(CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[4], 1);
    scene_end();
}

static void a_revoke_may_take_its_own_capability(void)
{
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 256);
    qy_handle_t node = make(untyped, QY_OBJ_CAP_NODE, 1);
    qy_handle_t thread = make(untyped, QY_OBJ_THREAD, 1);
    make(untyped, QY_OBJ_FRAME, 8);
    CHECK_EQ(CALL(QY_CALL_cap_copy, node, 3, untyped, QY_RIGHT_ALL, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, node, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0, 0, 1, 0).error, QY_OK);
    world_pick(1);
    /* The thread revokes the memory that it, its node and the capability it uses are made of. */
    CHECK_EQ(CALL_ON(1, QY_CALL_cap_revoke, 3, 0, 0, 0, 0, 0).waits, true);
    CHECK(world_pick(1) == NULL);
    struct result result = CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0);
    CHECK_EQ(result.x[4], 0);
    CHECK_EQ(result.x[2], 256 * QY_PAGE_BYTES);
    /* The same when it holds the only capability. */
    node = make(untyped, QY_OBJ_CAP_NODE, 1);
    thread = make(untyped, QY_OBJ_THREAD, 1);
    CHECK_EQ(CALL(QY_CALL_cap_copy, node, 3, untyped, QY_RIGHT_ALL, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_configure, thread, ROOT_SPACE, node, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_thread_start, thread, 0x400000, 0, 0, 1, 0).error, QY_OK);
    world_pick(1);
    CHECK_EQ(erase(untyped), QY_OK);
    CHECK_EQ(CALL_ON(1, QY_CALL_cap_revoke, 3, 0, 0, 0, 0, 0).waits, true);
    CHECK_EQ(CALL(QY_CALL_untyped_info, ROOT_UNTYPED, 0, 0, 0, 0, 0).x[4], 0);
    scene_end();
}

static void info_reports_what_is_there(void)
{
    CHECK_EQ(CALL(QY_CALL_cap_info, ROOT_NODE, 0, 0, 0, 0, 0).error, QY_NOT_FOUND);
    CHECK_EQ(CALL(QY_CALL_cap_info, ROOT_NODE, world_root_node()->count, 0, 0, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_cap_info, ROOT_NODE, ~0ull, 0, 0, 0, 0).error, QY_INVALID_ARGUMENT);
    struct result result = info(ROOT_SPACE);
    CHECK_EQ(result.x[1], QY_OBJ_ADDRESS_SPACE | QY_RIGHT_ALL << 8);
    CHECK_EQ(result.x[2], ROOT_SPACE);
    CHECK_EQ(result.x[3], world_object(QY_SLOT_SPACE)->id);
    CHECK_EQ(result.x[5], 1); /* the thread's binding */
}

static const struct test tests[] = {
    {"root task is as described", root_task_is_as_described},
    {"handles name what they were made for, or nothing",
     handles_name_what_they_were_made_for_or_nothing},
    {"a slot whose generations are used up stays empty",
     a_slot_whose_generations_are_used_up_stays_empty},
    {"rights only shrink", rights_only_shrink},
    {"badges are set once", badges_are_set_once},
    {"delete moves what was derived up", delete_moves_what_was_derived_up},
    {"revoke takes exactly what was derived", revoke_takes_exactly_what_was_derived},
    {"every type is retyped and given back", every_type_is_retyped_and_given_back},
    {"retype refuses and changes nothing", retype_refuses_and_changes_nothing},
    {"exhaustion is an error, and everything comes back",
     exhaustion_is_an_error_and_everything_comes_back},
    {"fragmentation is told", fragmentation_is_told},
    {"kept slabs do not stand in the way", kept_slabs_do_not_stand_in_the_way},
    {"memory is zeroed for the next owner", memory_is_zeroed_for_the_next_owner},
    {"nested untypeds go with their parent", nested_untypeds_go_with_their_parent},
    {"nodes empty their slots", nodes_empty_their_slots},
    {"a revoke may take its own capability", a_revoke_may_take_its_own_capability},
    {"info reports what is there", info_reports_what_is_there},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
