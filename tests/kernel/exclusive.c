/*
 * EXCLUSIVE against every trick that we know of: no byte of memory is two things at a time.
 *
 *     trick                                                     tried by
 *     objects made in memory that is mapped, and the reverse    here: memory changes hands with all its translations gone
 *     retyping memory that is in use                            here: what is in use is not to be had
 *     overlapping ranges: objects, headers, child untypeds      here: everything that one untyped holds is disjoint;
 *                                                               kernel-model, fuzz_caps; below it arena_exhaustive
 *     heap memory of the arena: slabs of headers as frames      here: the same; slab_exhaustive
 *     one thing taken for another: tables as frames, ...        here: a handle is taken for nothing else
 *     two CPUs that retype the last page                        here: one of them gets it
 *     clone, settle and supply while the budget is revoked      here: a revoke overtakes whatever copies
 *     a frame mapped while its untyped is revoked               here: the same
 *     revoking oneself                                          kernel-caps: a revoke may take its own capability
 *     revoking while a retype is preempted                      kernel-preempt: a retype is preempted and its untyped
 *                                                               revoked; kernel-races: revoke overtakes a retype
 *     a retype into a node that goes                            kernel-races: the destination goes during a retype
 *     reuse before every CPU has forgotten                      kernel-maps: revoke unmaps from everybody; kernel-races:
 *                                                               delete overtakes an unmap (every page zeroed for a new
 *                                                               owner is looked for in every TLB: world.c)
 *     a table in two places, or with entries in it              kernel-maps: tables refuse
 *     a frame below a table that goes                           kernel-races: a frame below a table that goes stays too
 *     frames that clones still have                             kernel-regions: frames go from clones too
 *     pins: memory that a device still has                      kernel-pins, all of it
 *     pages on their way to and from a slot                     kernel-swap: pages leave while others use, ... them
 *     device memory: overlapping frames, RAM as device memory   kernel-devices
 *     freeing twice, freeing what is another's                  unit tests of mem: framedb, frame_cache, arena_model
 *     all of it by a program on the real CPU                    words attack, storm, caps of the booted kernel
 *
 * It would miss what no capability and no table shows: a device that ignores its pins (docs/adr/0022-pins.md).
 */
#include "regions.h"

#include <kernel/dma.h>
#include <kernel/memory.h>
#include <kernel/timer.h>
#include <lib/random.h>
#include <qy/framedb.h>
#include <string.h>

#define AREA 0x40000000ull
#define THINGS 600u

/* ---- what there is ---- */

static struct thing {
    uint64_t base, end; /* physical */
    const char *name;
} things[THINGS];
static unsigned thing_count;

static void note(uint64_t base, uint64_t bytes, const char *name)
{
    CHECK(thing_count < THINGS);
    if (thing_count < THINGS)
        things[thing_count++] = (struct thing){base, base + bytes, name};
}

/* An object's header, and its pages. */
static void note_object(const struct object *object) QY_UNCHECKED
{
    static const size_t headers[QY_OBJ_COUNT] = {
        [QY_OBJ_UNTYPED] = sizeof(struct untyped),
        [QY_OBJ_FRAME] = sizeof(struct frame),
        [QY_OBJ_PAGE_TABLE] = sizeof(struct page_table),
        [QY_OBJ_ADDRESS_SPACE] = sizeof(struct space),
        [QY_OBJ_CAP_NODE] = sizeof(struct cap_node),
        [QY_OBJ_THREAD] = sizeof(struct thread),
        [QY_OBJ_ENDPOINT] = sizeof(struct endpoint),
        [QY_OBJ_REPLY] = sizeof(struct reply),
        [QY_OBJ_TIMER] = sizeof(struct timer),
        [QY_OBJ_NOTIFICATION] = sizeof(struct notification),
        [QY_OBJ_INTERRUPT] = sizeof(struct interrupt),
        [QY_OBJ_MEMORY] = sizeof(struct memory),
        [QY_OBJ_IO_PORTS] = sizeof(struct io_ports),
        [QY_OBJ_DMA] = sizeof(struct dma),
    };
    size_t header = headers[object->type];
    const char *name = qy_object_name((enum qy_object_type)object->type);
    note(qy_port_paddr(object).raw, header, "a header");
    if (object->type == QY_OBJ_FRAME)
        note(pfn_to_paddr(((const struct frame *)object)->first).raw,
             QY_PAGE_BYTES << ((const struct frame *)object)->order, name);
    if (object->type == QY_OBJ_CAP_NODE)
        note(pfn_to_paddr(((const struct cap_node *)object)->first).raw,
             object_pages(object) * QY_PAGE_BYTES, name);
    if (object->type == QY_OBJ_PAGE_TABLE)
        note(pfn_to_paddr(((const struct page_table *)object)->frame).raw, QY_PAGE_BYTES, name);
    if (object->type == QY_OBJ_ADDRESS_SPACE)
        note(((const struct space *)object)->vm.root.raw, QY_PAGE_BYTES, "a root table");
    if (object->type == QY_OBJ_UNTYPED)
        note(pfn_to_paddr(((const struct untyped *)object)->own.base).raw,
             object_pages(object) * QY_PAGE_BYTES, name);
}

static int before(const void *a, const void *b)
{
    const struct thing *x = a, *y = b;
    return x->base < y->base ? -1 : x->base > y->base;
}

/* All of [base, end) of an untyped at most once. */
static void all_disjoint(uint64_t base, uint64_t end)
{
    qsort(things, thing_count, sizeof(things[0]), before);
    for (unsigned i = 0; i < thing_count; i++) {
        CHECK(things[i].base >= base && things[i].end <= end);
        bool apart = i == 0 || things[i - 1].end <= things[i].base;
        CHECK(apart);
        if (!apart)
            printf("# %s and %s overlap\n", things[i - 1].name, things[i].name);
    }
}

/* Made, deleted and made again at random until nothing fits; then what there is is looked at, byte by byte. */
static void everything_that_one_untyped_holds_is_disjoint(void)
{
    qy_handle_t mem = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 300);
    const struct untyped *untyped = object_of(mem);
    const uint64_t base = pfn_to_paddr(untyped->own.base).raw,
                   end = pfn_to_paddr(untyped->own.end).raw;
    const uint32_t first = scene_slot, slots = 250;
    uint64_t state = 3;
    for (unsigned i = 0; i < 3000; i++) {
        uint32_t slot = first + (uint32_t)random_below(&state, slots);
        enum qy_object_type type =
            (enum qy_object_type)(1 + random_below(&state, QY_OBJ_DEVICE_MEMORY - 1));
        bool any_order = type == QY_OBJ_FRAME || type == QY_OBJ_CAP_NODE;
        uint64_t pages = type == QY_OBJ_UNTYPED ? 1 + random_below(&state, 9)
                         : any_order            ? 1ull << random_below(&state, 3)
                                                : 1;
        const struct slot *there = &world_root_node()->slots[slot];
        if (there->type != QY_OBJ_NONE) {
            if (i < 2000 || random_below(&state, 4) == 0)
                CHECK_EQ(erase(slot_handle(there, slot)), QY_OK);
        } else {
            enum qy_error error =
                world_call(0, QY_CALL_untyped_retype, mem, type, pages, ROOT_NODE, slot, 1).error;
            CHECK(error == QY_OK || error == QY_OUT_OF_MEMORY);
        }
        if (i % 500 != 499)
            continue;
        thing_count = 0;
        for (slot = first; slot < first + slots; slot++)
            if (world_root_node()->slots[slot].type != QY_OBJ_NONE)
                note_object(world_object(slot));
        CHECK(thing_count > 100);
        all_disjoint(base, end);
    }
    scene_end();
}

/* ---- one thing after the other ---- */

static const enum qy_object_type page_types[] = {QY_OBJ_FRAME, QY_OBJ_CAP_NODE, QY_OBJ_PAGE_TABLE};

static pfn_t page_of(qy_handle_t handle)
{
    const struct object *object = object_of(handle);
    return object->type == QY_OBJ_FRAME      ? ((const struct frame *)object)->first
           : object->type == QY_OBJ_CAP_NODE ? ((const struct cap_node *)object)->first
                                             : ((const struct page_table *)object)->frame;
}

/*
 * In an untyped with room for one page beside headers: a frame is mapped, deleted, and the page becomes something else
 * and a frame again. scene_check looks at all tables and TLBs; whatever is zeroed is looked for in every TLB.
 */
static void memory_changes_hands_with_all_its_translations_gone(void)
{
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    for (unsigned i = 0; i < 3; i++) {
        qy_handle_t mem = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 8), kept[8];
        unsigned count = 0;
        erase(make(mem, QY_OBJ_CAP_NODE, 1)); /* headers of all three have their slabs */
        erase(make(mem, QY_OBJ_PAGE_TABLE, 1));
        qy_handle_t frame = make(mem, QY_OBJ_FRAME, 1), stale = frame;
        pfn_t page = page_of(frame);
        memset(qy_port_ram(pfn_to_paddr(page)), 0xa5, QY_PAGE_BYTES);
        CHECK_EQ(map(frame, ROOT_SPACE, AREA, RW).error, QY_OK);
        world_fill_tlbs();
        CHECK_EQ(erase(frame), QY_OK);
        bool met = false;
        while (!met && count < 8) { /* until the page has its next owner */
            struct result r =
                CALL(QY_CALL_untyped_retype, mem, page_types[i], 1, ROOT_NODE, scene_slot, 1);
            if (r.error != QY_OK)
                break;
            scene_slot++;
            kept[count++] = r.x[1];
            met = page_of(r.x[1]).raw == page.raw;
        }
        CHECK(met);
        const uint8_t *bytes = qy_port_ram(pfn_to_paddr(page));
        CHECK(bytes[0] == 0 && memcmp(bytes, bytes + 1, QY_PAGE_BYTES - 1) == 0);
        CHECK_EQ(map(stale, ROOT_SPACE, AREA, RW).error, QY_INVALID_HANDLE);
        CHECK_EQ(CALL(QY_CALL_frame_unmap, stale, ROOT_SPACE, AREA, 0, 0, 0).error,
                 QY_INVALID_HANDLE);
        if (i > 0)
            CHECK_EQ(map(kept[count - 1], ROOT_SPACE, AREA, RW).error, QY_WRONG_TYPE);
        while (count)
            CHECK_EQ(erase(kept[--count]), QY_OK);
        CHECK_EQ(revoke_all(mem), QY_OK);
        CHECK_EQ(free_of(mem), PAGES(8));
    }
    scene_end();
}

/* A mapped frame is not free, whatever is asked for; nor is what a copy still names. */
static void what_is_in_use_is_not_to_be_had(void)
{
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    qy_handle_t mem = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 16), frames[16];
    unsigned count = 0;
    for (; count < 16; count++) {
        struct result r =
            CALL(QY_CALL_untyped_retype, mem, QY_OBJ_FRAME, 1, ROOT_NODE, scene_slot, 1);
        if (r.error != QY_OK)
            break;
        scene_slot++;
        frames[count] = r.x[1];
        CHECK_EQ(map(r.x[1], ROOT_SPACE, AREA + PAGES(count), RW).error, QY_OK);
    }
    CHECK(count >= 12);
    qy_handle_t twin = copy(frames[0], QY_RIGHT_READ, 0);
    static const enum qy_object_type need_a_page[] = {QY_OBJ_FRAME,         QY_OBJ_UNTYPED,
                                                      QY_OBJ_CAP_NODE,      QY_OBJ_PAGE_TABLE,
                                                      QY_OBJ_ADDRESS_SPACE, QY_OBJ_MEMORY};
    for (unsigned i = 0; i < sizeof(need_a_page) / sizeof(need_a_page[0]); i++)
        CHECK_EQ(CALL(QY_CALL_untyped_retype, mem, need_a_page[i], 1, ROOT_NODE, 950, 1).error,
                 QY_OUT_OF_MEMORY);
    CHECK_EQ(erase(frames[0]), QY_OK); /* the mapping goes, the memory stays its copy's */
    CHECK_EQ(CALL(QY_CALL_untyped_retype, mem, QY_OBJ_FRAME, 1, ROOT_NODE, 951, 1).error,
             QY_OUT_OF_MEMORY);
    CHECK_EQ(erase(twin), QY_OK);
    CHECK_EQ(CALL(QY_CALL_untyped_retype, mem, QY_OBJ_FRAME, 1, ROOT_NODE, 951, 1).error, QY_OK);
    scene_end();
}

/* Every call that maps, installs, binds or pins, on every type but its own. */
static void a_handle_is_taken_for_nothing_else(void)
{
    qy_handle_t of[QY_OBJ_DEVICE_MEMORY];
    for (unsigned type = 1; type < QY_OBJ_DEVICE_MEMORY; type++)
        of[type] = make(ROOT_UNTYPED, (enum qy_object_type)type, type == QY_OBJ_UNTYPED ? 8 : 1);
    for (unsigned type = 1; type < QY_OBJ_DEVICE_MEMORY; type++) {
        const struct {
            enum qy_object_type own;
            enum qy_invocation call;
            uint64_t x[5];
        } rows[] = {
            {QY_OBJ_FRAME, QY_CALL_frame_map, {of[type], ROOT_SPACE, AREA, RW}},
            {QY_OBJ_ADDRESS_SPACE, QY_CALL_frame_map, {of[QY_OBJ_FRAME], of[type], AREA, RW}},
            {QY_OBJ_PAGE_TABLE, QY_CALL_table_map, {of[type], ROOT_SPACE, AREA, 1}},
            {QY_OBJ_ADDRESS_SPACE, QY_CALL_table_map, {of[QY_OBJ_PAGE_TABLE], of[type], AREA, 1}},
            {QY_OBJ_UNTYPED, QY_CALL_untyped_retype, {of[type], QY_OBJ_FRAME, 1, ROOT_NODE, 950}},
            {QY_OBJ_CAP_NODE, QY_CALL_untyped_retype, {ROOT_UNTYPED, QY_OBJ_FRAME, 1, of[type], 5}},
            {QY_OBJ_UNTYPED, QY_CALL_space_bind, {of[QY_OBJ_ADDRESS_SPACE], of[type]}},
            {QY_OBJ_FRAME, QY_CALL_frame_pin, {of[type], of[QY_OBJ_DMA]}},
            {QY_OBJ_DMA, QY_CALL_frame_pin, {of[QY_OBJ_FRAME], of[type]}},
            {QY_OBJ_MEMORY, QY_CALL_memory_supply, {of[type], 0, 1, 0}},
            {QY_OBJ_CAP_NODE, QY_CALL_cap_copy, {of[type], 3, of[QY_OBJ_FRAME], QY_RIGHT_ALL}},
        };
        for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
            if (rows[i].own != type)
                CHECK_EQ(CALL(rows[i].call, rows[i].x[0], rows[i].x[1], rows[i].x[2], rows[i].x[3],
                              rows[i].x[4], 1)
                             .error,
                         QY_WRONG_TYPE);
    }
    scene_end();
}

/* ---- two at a time ---- */

static void begin_on(unsigned cpu, enum qy_invocation number, uint64_t x0, uint64_t x1, uint64_t x2,
                     uint64_t x3, uint64_t x4, uint64_t x5)
{
    const uint64_t x[6] = {x0, x1, x2, x3, x4, x5};
    world_begin(cpu, number, x);
}

static void finish_all(void)
{
    bool busy = true;
    for (unsigned turns = 0; busy && turns < 1000000; turns++) {
        busy = false;
        for (unsigned cpu = 0; cpu < WORLD_CPUS; cpu++) {
            busy |= world_busy(cpu);
            world_step(cpu);
            world_interrupts(cpu);
        }
    }
    CHECK(!busy);
    scene_check(__FILE__, __LINE__);
}

static void one_of_two_gets_the_last_page(void)
{
    for (unsigned steps = 0; steps < 4; steps++) {
        qy_handle_t mem = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 2); /* one for the slab of headers */
        thread_on(ROOT_UNTYPED, 1, 0);
        begin_on(1, QY_CALL_untyped_retype, mem, QY_OBJ_FRAME, 1, ROOT_NODE, 960, 1);
        for (unsigned i = 0; i < steps && world_busy(1); i++)
            world_step(1);
        begin_on(0, QY_CALL_untyped_retype, mem, QY_OBJ_FRAME, 1, ROOT_NODE, 961, 1);
        finish_all();
        CHECK_EQ(world_last(1).error, QY_OK);
        CHECK_EQ(world_last(0).error, QY_OUT_OF_MEMORY);
        scene_end();
    }
}

/* What takes memory while its payer, or the memory itself, is revoked: clone, settle, map, supply. */
static void a_revoke_overtakes_whatever_copies(void)
{
    enum { CLONE, SETTLE, SUPPLY, MAP, KINDS };
    for (unsigned run = 0; run < KINDS * 12; run++) {
        unsigned kind = run % KINDS, steps = run / KINDS;
        begin(64);
        qy_handle_t payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64),
                    other = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1),
                    object = make(payer, QY_OBJ_MEMORY, 64), frame = make(payer, QY_OBJ_FRAME, 8);
        CHECK_EQ(CALL(QY_CALL_space_bind, other, payer, 0, 0, 0, 0).error, QY_OK);
        run_in(space, 1, 0);
        CHECK_EQ(CALL(QY_CALL_space_map_region, space, AT, PAGES(16), DATA, 0, 0).error, QY_OK);
        for (unsigned i = 0; i < 8; i++)
            CHECK(touch(1, AT + PAGES(i), QY_ACCESS_WRITE) != NULL);
        if (kind == SETTLE)
            CHECK_EQ(CALL(QY_CALL_space_clone, other, space, AT, PAGES(16), 0, 0).error, QY_OK);
        thread_on(ROOT_UNTYPED, 2, 0);
        world_fill_tlbs();
        if (kind == CLONE)
            begin_on(2, QY_CALL_space_clone, other, space, AT, PAGES(16), 0, 0);
        else if (kind == SETTLE)
            begin_on(2, QY_CALL_space_settle, other, AT, 0, 0, 0, 0);
        else if (kind == SUPPLY)
            begin_on(2, QY_CALL_memory_supply, object, 0, 16, 0, 0, 0);
        else
            begin_on(2, QY_CALL_frame_map, frame, space, AT + PAGES(32), RW, 0, 0);
        for (unsigned i = 0; i < steps % 4 && world_busy(2); i++)
            world_step(2);
        begin_on(0, QY_CALL_cap_revoke,
                 run & 16                        ? payer
                 : kind == SUPPLY || kind == MAP ? payer
                                                 : budget,
                 0, 0, 0, 0, 0);
        for (unsigned i = 0; i < steps / 4 && world_busy(0); i++)
            world_step(0);
        finish_all();
        CHECK_EQ(world_last(0).error, QY_OK);
        CHECK_EQ(revoke_all(payer), QY_OK);
        CHECK_EQ(revoke_all(budget), QY_OK);
        CHECK_EQ(free_of(payer), PAGES(64));
        CHECK_EQ(free_of(budget), PAGES(64));
        CHECK(!seen(1, AT, 0) && !seen(1, AT + PAGES(32), 0));
        scene_end();
    }
}

static const struct test tests[] = {
    {"everything that one untyped holds is disjoint",
     everything_that_one_untyped_holds_is_disjoint},
    {"memory changes hands with all its translations gone",
     memory_changes_hands_with_all_its_translations_gone},
    {"what is in use is not to be had", what_is_in_use_is_not_to_be_had},
    {"a handle is taken for nothing else", a_handle_is_taken_for_nothing_else},
    {"one of two gets the last page", one_of_two_gets_the_last_page},
    {"a revoke overtakes whatever copies", a_revoke_overtakes_whatever_copies},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
