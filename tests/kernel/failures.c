/*
 * Every call that takes memory, with its n-th inner allocation failing, for each n: once, and with all that follow. It
 * then returns OUT_OF_MEMORY and has changed nothing (ATOMIC), or it did without.
 *
 * What is compared: slots of the node, every translation and mark of both spaces, pages of the object, and the free memory
 * and objects of every untyped. Linked with --wrap for what takes memory out of an arena. The core's own functions are
 * in unit tests (mem_failures, pt_ranges) and tests/vm; faults have no call to fail (kernel-regions: a budget that ends
 * is named).
 */
#include "regions.h"

#include <string.h>

#define FAR (AT + (1ull << 40))
#define AREA 0x40000000ull
#define FIRST_SLOT 900u
#define RETYPED 100u       /* more than there is room for in slabs that there are */
#define OBJECT_PAGES 4096u /* more than a table's */

static unsigned fail_at, inner; /* the n-th fails, 0 = none; inner allocations so far */
static bool and_after;

static bool fails(void)
{
    if (!fail_at)
        return false;
    inner++;
    return inner == fail_at || (and_after && inner > fail_at);
}

#define ALLOC (struct qy_arena * from, unsigned order, enum qy_frame_state state, pfn_t *out)
enum qy_error __real_qy_arena_alloc ALLOC;
enum qy_error __wrap_qy_arena_alloc ALLOC;
enum qy_error __wrap_qy_arena_alloc ALLOC
{
    return fails() ? QY_OUT_OF_MEMORY : __real_qy_arena_alloc(from, order, state, out);
}

#define RUN (struct qy_arena * from, uint64_t pages, enum qy_frame_state state, pfn_t * out)
enum qy_error __real_qy_arena_alloc_pages RUN;
enum qy_error __wrap_qy_arena_alloc_pages RUN;
enum qy_error __wrap_qy_arena_alloc_pages RUN
{
    return fails() ? QY_OUT_OF_MEMORY : __real_qy_arena_alloc_pages(from, pages, state, out);
}

#define CARVE (struct qy_arena * parent, struct qy_arena * child, uint64_t pages, uint32_t id)
enum qy_error __real_qy_arena_carve CARVE;
enum qy_error __wrap_qy_arena_carve CARVE;
enum qy_error __wrap_qy_arena_carve CARVE
{
    return fails() ? QY_OUT_OF_MEMORY : __real_qy_arena_carve(parent, child, pages, id);
}

#if QY_CONFIG_FRAME_CACHES
#define BATCH (struct qy_arena * from, unsigned order, unsigned want, uint64_t *out)
unsigned __real_qy_batch_take BATCH;
unsigned __wrap_qy_batch_take BATCH;
unsigned __wrap_qy_batch_take BATCH
{
    return fails() ? 0 : __real_qy_batch_take(from, order, want, out);
}
#endif

/* ---- what there is ---- */

static qy_handle_t mem, other, twin_budget, object, frame, twin, table;
static enum qy_object_type type; /* of a retype */

static uint64_t mix(uint64_t digest, uint64_t value)
{
    digest = (digest ^ value) * 0x9fb21c651e98df25ull;
    return digest ^ digest >> 29;
}

static uint64_t space_digest(uint64_t digest, qy_handle_t which)
{
    const struct space *in = object_of(which);
    static const uint64_t bases[] = {AREA, AT, FAR};
    for (unsigned b = 0; b < 3; b++) {
        for (uint64_t page = 0; page < 64; page++) {
            paddr_t at = {0};
            unsigned flags = 0;
            if (qy_pt_translate(SPACE_PT(in), vaddr(bases[b] + PAGES(page)), &at, &flags, NULL) ==
                QY_OK)
                digest = mix(mix(digest, at.raw), flags & QY_MAP_ALL);
            struct result r =
                world_call(0, QY_CALL_space_query, which, bases[b] + PAGES(page), 0, 0, 0, 0);
            digest = mix(mix(mix(digest, r.error), r.x[1]), r.x[3]);
        }
    }
    return digest;
}

static uint64_t digest_now(void)
{
    const qy_handle_t untypeds[] = {ROOT_UNTYPED, mem, budget, twin_budget};
    uint64_t digest = 1;
    for (uint32_t i = 600; i < FIRST_SLOT + RETYPED; i++) {
        const struct slot *slot = &world_root_node()->slots[i];
        digest = mix(mix(digest, slot->type), slot->generation);
        if (slot->type == QY_OBJ_FRAME)
            digest = mix(digest, slot->space ? slot->address : 0);
    }
    digest = space_digest(space_digest(digest, space), other);
    for (unsigned i = 0; i < 4; i++) {
        struct result r = world_call(0, QY_CALL_untyped_info, untypeds[i], 0, 0, 0, 0, 0);
        digest = mix(mix(digest, r.x[2]), r.x[4]);
    }
    for (uint64_t page = 0; page < 16; page++) {
        struct result r = world_call(0, QY_CALL_memory_info, object, page, 0, 0, 0, 0);
        digest = mix(mix(digest, r.x[1]), r.x[3]);
    }
    return digest;
}

/* A space with a populated region, a clone of half of it, an object, a frame that is mapped once, and a table. */
static void set_up(void)
{
    begin(128);
    mem = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 1000);
    twin_budget = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 128);
    other = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1);
    object = make(mem, QY_OBJ_MEMORY, OBJECT_PAGES);
    CHECK_EQ(CALL(QY_CALL_space_bind, other, twin_budget, 0, 0, 0, 0).error, QY_OK);
    run_in(space, 1, 0);
    CHECK_EQ(CALL(QY_CALL_space_map_region, space, AT, PAGES(4096), DATA, 0, 0).error, QY_OK);
    for (unsigned i = 0; i < 8; i++)
        CHECK(touch(1, AT + PAGES(i), QY_ACCESS_WRITE) != NULL);
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    frame = make(mem, QY_OBJ_FRAME, 1);
    twin = copy(frame, QY_RIGHT_ALL, 0);
    table = make(mem, QY_OBJ_PAGE_TABLE, 1);
    CHECK_EQ(map(frame, ROOT_SPACE, AREA, RW).error, QY_OK);
}

static struct result do_retype(void)
{
    return world_call(0, QY_CALL_untyped_retype, mem, type, type == QY_OBJ_UNTYPED ? 8 : 1,
                      ROOT_NODE, FIRST_SLOT, RETYPED);
}

static struct result do_map_again(void)
{
    return world_call(0, QY_CALL_frame_map, twin, ROOT_SPACE, AREA + PAGES(1), RW, 0, 0);
}

static struct result do_table(void)
{
    return world_call(0, QY_CALL_table_map, table, ROOT_SPACE, AT, 3, 0, 0);
}

static struct result do_region(void)
{
    return world_call(0, QY_CALL_space_map_region, space, FAR, PAGES(3), DATA, 0, 0);
}

static struct result do_object_region(void)
{
    return world_call(0, QY_CALL_space_map_region, space, FAR, PAGES(3), DATA | QY_REGION_OBJECT, 0,
                      object);
}

static struct result do_unmap(void)
{
    return world_call(0, QY_CALL_space_unmap_region, space, AT + PAGES(1001), PAGES(7), 0, 0, 0);
}

static struct result do_protect(void)
{
    return world_call(0, QY_CALL_space_protect_region, space, AT + PAGES(2003), PAGES(5),
                      QY_MAP_READ, 0, 0);
}

static struct result do_clone(void)
{
    return world_call(0, QY_CALL_space_clone, other, space, AT, PAGES(4096), 0, 0);
}

static struct result do_supply(void)
{
    return world_call(0, QY_CALL_memory_supply, object, 3, 1, 0, 0, 0);
}

static struct result do_grow(void)
{
    return world_call(0, QY_CALL_memory_resize, object, QY_MEMORY_PAGES_MAX, 0, 0, 0, 0);
}

static struct result do_device_frame(void)
{
    return world_call(0, QY_CALL_device_frame, QY_SLOT_UNTYPED + 1, twin_budget, 0xfe000000, 1,
                      ROOT_NODE, FIRST_SLOT);
}

static void clone_first(void)
{
    CHECK_EQ(do_clone().error, QY_OK);
}

static struct result do_unmap_shared(void)
{
    return world_call(0, QY_CALL_space_unmap_region, other, AT + PAGES(3), PAGES(1), 0, 0, 0);
}

/* Returns how often the call found no memory. */
static unsigned sweep(const char *name, struct result (*call)(void), void (*prepare)(void))
{
    unsigned refused = 0, before = tap_failures;
    for (unsigned n = 1; n < 60; n++) {
        bool reached = false;
        for (unsigned after = 0; after < 2; after++) {
            set_up();
            if (prepare)
                prepare();
            uint64_t digest = digest_now();
            inner = 0;
            fail_at = n;
            and_after = after;
            struct result r = call();
            fail_at = 0;
            reached |= inner >= n;
            scene_check(__FILE__, __LINE__);
            CHECK(r.error == QY_OK || r.error == QY_OUT_OF_MEMORY);
            if (r.error != QY_OK) {
                refused++;
                CHECK(inner >= n);
                CHECK_EQ(digest_now(), digest);
            }
            scene_end();
            if (tap_failures != before) {
                printf("# %s: allocation %u%s fails\n", name, n, after ? " and what follows" : "");
                return refused;
            }
        }
        if (!reached)
            return refused;
    }
    return refused;
}

static void a_retype_that_fails_changes_nothing(void)
{
    for (type = QY_OBJ_UNTYPED; type < QY_OBJ_DEVICE_MEMORY; type++)
        CHECK(sweep(qy_object_name(type), do_retype, NULL) != 0);
}

static void a_call_that_fails_changes_nothing(void)
{
    static const struct {
        const char *name;
        struct result (*call)(void);
        bool takes; /* memory: some failure reaches the caller */
        void (*prepare)(void);
    } rows[] = {
        {"frame_map of a frame that is mapped", do_map_again, false, NULL},
        {"table_map", do_table, false, NULL},
        {"space_map_region", do_region, true, NULL},
        {"space_map_region of an object", do_object_region, true, NULL},
        {"space_unmap_region in a large mark", do_unmap, true, NULL},
        {"space_protect_region in a large mark", do_protect, true, NULL},
        {"space_clone", do_clone, true, NULL},
        {"space_unmap_region of what is shared", do_unmap_shared, true, clone_first},
        {"memory_supply", do_supply, true, NULL},
        {"memory_resize", do_grow, false, NULL},
        {"device_frame", do_device_frame, true, NULL},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned refused = sweep(rows[i].name, rows[i].call, rows[i].prepare);
        printf("# %s: refused %u times\n", rows[i].name, refused);
        CHECK(refused || !rows[i].takes);
    }
}

static const struct test tests[] = {
    {"a retype that fails changes nothing", a_retype_that_fails_changes_nothing},
    {"a call that fails changes nothing", a_call_that_fails_changes_nothing},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
