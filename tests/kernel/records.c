/*
 * Records of who has which memory, as a program reads them: runs of frames, untypeds, spaces and their regions. They are
 * held against what the kernel counts elsewhere, frame by frame, and page by page.
 *
 * It would miss what changes between two calls of a walk: that is told apart by nobody.
 */
#include "regions.h"

#include <quarry/records.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER 0x401000ull /* a writable page of the root task's image */
#define MIB 64u

static enum qy_error read_at(enum qy_record_kind kind, uint64_t index, uint64_t at, void *out,
                             size_t bytes)
{
    enum qy_error error =
        CALL(QY_CALL_system_record, QY_SLOT_SYSTEM, kind, index, BUFFER, bytes, at).error;
    if (error == QY_OK)
        CHECK(arch_copy_from_user(out, BUFFER, bytes));
    return error;
}

/* ---- runs ---- */

static uint64_t sums[64][QY_FRAME_STATE_COUNT]; /* pages of an untyped in a state */

/* Every frame of RAM is in one run, in order, and is what the frame database says. */
static void runs_tile_memory(void)
{
    struct qy_record_run run;
    const struct qy_framedb *db = world_arenas.roots[0].db;
    uint64_t index = 0, frame = 0;
    memset(sums, 0, sizeof(sums));
    do {
        CHECK_EQ(read_at(QY_RECORD_KIND_RUN, index, 0, &run, sizeof(run)), QY_OK);
        CHECK_EQ(run.frame, frame);
        CHECK(run.pages > 0 && run.state < QY_FRAME_STATE_COUNT);
        for (uint64_t i = 0; i < run.pages; i++)
            CHECK_EQ(qy_frame_state(db, pfn(frame + i)), run.state);
        if (run.owner && run.owner < 64)
            sums[run.owner][run.state] += run.pages;
        frame += run.pages;
        CHECK(run.next == 0 || run.next == frame);
        index = run.next;
    } while (index);
    CHECK_EQ(frame, (uint64_t)MIB << 8);
    CHECK_EQ(read_at(QY_RECORD_KIND_RUN, frame, 0, &run, sizeof(run)), QY_NOT_FOUND);
    CHECK_EQ(read_at(QY_RECORD_KIND_RUN, UINT64_MAX, 0, &run, sizeof(run)), QY_NOT_FOUND);
}

/* Each untyped is met once; its counts are those of its runs. */
static void untypeds_count_runs(unsigned expected)
{
    struct qy_record_untyped untyped;
    uint64_t index = 0, last = 0;
    unsigned met = 0;
    while (met < 100 &&
           read_at(QY_RECORD_KIND_UNTYPED, index, 0, &untyped, sizeof(untyped)) == QY_OK) {
        index = untyped.next;
        CHECK(untyped.untyped > last && untyped.untyped < 64);
        last = untyped.untyped;
        met++;
        const uint64_t *has = sums[untyped.untyped];
        CHECK_EQ(has[QY_FRAME_FREE] << 12, untyped.free_bytes);
        CHECK_EQ(has[QY_FRAME_CACHED] << 12, untyped.cache_bytes);
        CHECK_EQ(has[QY_FRAME_OBJECT] << 12, untyped.object_bytes);
        CHECK_EQ(has[QY_FRAME_SLAB] << 12, untyped.slab_bytes);
        CHECK_EQ(has[QY_FRAME_USER] << 12, untyped.frame_bytes);
        CHECK_EQ(has[QY_FRAME_TABLE] << 12, untyped.table_bytes);
        CHECK_EQ(has[QY_FRAME_METADATA] << 12, untyped.metadata_bytes);
    }
    CHECK_EQ(met, expected);
    CHECK_EQ(read_at(QY_RECORD_KIND_UNTYPED, last + 1, 0, &untyped, sizeof(untyped)), QY_NOT_FOUND);
}

static void runs_and_untypeds(void)
{
    runs_tile_memory();
    untypeds_count_runs(2); /* the kernel's, and all the rest */
    qy_handle_t child = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 1000);
    qy_handle_t inner = make(child, QY_OBJ_UNTYPED, 77);
    for (unsigned i = 0; i < 20; i++)
        make(i & 1 ? child : inner, QY_OBJ_FRAME, i % 3 ? 1 : 4);
    make(inner, QY_OBJ_PAGE_TABLE, 1);
    make(inner, QY_OBJ_CAP_NODE, 2);
    runs_tile_memory();
    untypeds_count_runs(4);
    struct qy_record_untyped outer, record;
    uint64_t number = info(inner).x[3], of = info(child).x[3];
    CHECK_EQ(read_at(QY_RECORD_KIND_UNTYPED, number, 0, &record, sizeof(record)), QY_OK);
    CHECK_EQ(record.untyped, number);
    CHECK_EQ(record.parent, of);
    CHECK_EQ(record.end - record.first, 77);
    CHECK_EQ(read_at(QY_RECORD_KIND_UNTYPED, of, 0, &outer, sizeof(outer)), QY_OK);
    CHECK_EQ(outer.child_bytes, PAGES(77));
    CHECK_EQ(outer.total_bytes, PAGES(1000));
    scene_end();
}

/* ---- regions ---- */

/* All stretches of a space, and what they say together. */
static struct qy_record_region regions_of(uint64_t number, unsigned *regions)
{
    struct qy_record_region record, all = {0};
    uint64_t at = 0, end = 0;
    *regions = 0;
    for (unsigned steps = 0; at < USER_END && steps < 1000; steps++) {
        CHECK_EQ(read_at(QY_RECORD_KIND_REGION, number, at, &record, sizeof(record)), QY_OK);
        CHECK(record.next_at > at && record.next_at <= USER_END);
        CHECK(record.start == 0 || (record.start >= at && record.end == record.next_at));
        at = record.next_at;
        *regions += record.start != 0 && record.start != end;
        end = record.end;
#define F(field, meaning) all.field += record.field;
        QY_RECORD_REGION(F)
#undef F
    }
    CHECK_EQ(at, USER_END);
    CHECK_EQ(read_at(QY_RECORD_KIND_REGION, number, USER_END, &record, sizeof(record)),
             QY_NOT_FOUND);
    return all;
}

/* What space_info counts in its own way. */
static void same_as_info(qy_handle_t handle, const struct qy_record_region *all)
{
    uint64_t at = 0, sum[6] = {0};
    for (unsigned steps = 0; at < USER_END && steps < 100; steps++) {
        struct result r = CALL(QY_CALL_space_info, handle, at, 0, 0, 0, 0);
        at = r.x[1];
        for (unsigned i = 2; i < 6; i++)
            sum[i] += r.x[i];
    }
    CHECK_EQ(sum[2] << 12, all->resident);
    CHECK_EQ(sum[3] << 12, all->private_bytes);
    CHECK_EQ(sum[4] << 12, all->shared_bytes);
    CHECK_EQ(sum[5], all->tables | all->shared_tables << 32);
}

static void regions_say_what_is_there(void)
{
    unsigned regions;
    begin(128);
    uint64_t number = info(space).x[3];
    struct qy_record_region all = regions_of(number, &regions);
    CHECK_EQ(regions, 0);
    CHECK_EQ(all.tables, 1);
    run_in(space, 1, 0);
    CHECK_EQ(CALL(QY_CALL_space_map_region, space, AT, PAGES(2000), DATA, 0, 0).error, QY_OK);
    CHECK_EQ(
        CALL(QY_CALL_space_map_region, space, AT + PAGES(2001), PAGES(8), QY_MAP_READ, 0, 0).error,
        QY_OK);
    for (unsigned i = 0; i < 16; i++)
        CHECK(touch(1, AT + PAGES(i * 100), QY_ACCESS_WRITE));
    all = regions_of(number, &regions);
    CHECK_EQ(regions, 2);
    CHECK_EQ(all.resident, PAGES(16));
    CHECK_EQ(all.private_bytes, PAGES(16));
    CHECK_EQ(all.proportional, PAGES(16));
    same_as_info(space, &all);
    /* A clone shares tables: each page counts half for each. */
    qy_handle_t other = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1),
                payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 128);
    CHECK_EQ(CALL(QY_CALL_space_bind, other, payer, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_space_clone, other, space, AT, PAGES(2048), 0, 0).error, QY_OK);
    struct qy_record_region clone = regions_of(info(other).x[3], &regions);
    all = regions_of(number, &regions);
    CHECK_EQ(all.resident + clone.resident, PAGES(32));
    CHECK_EQ(all.shared_bytes, PAGES(16));
    CHECK_EQ(all.proportional, PAGES(8));
    CHECK_EQ(clone.proportional, PAGES(8));
    same_as_info(space, &all);
    same_as_info(other, &clone);
    /* A page that one writes is its own, the other's is the other's alone. */
    run_in(other, 2, 0);
    CHECK(touch(2, AT, QY_ACCESS_WRITE));
    clone = regions_of(info(other).x[3], &regions);
    all = regions_of(number, &regions);
    CHECK_EQ(all.proportional + clone.proportional, PAGES(17));
    CHECK(clone.private_bytes >= PAGES(1));
    same_as_info(other, &clone);
    scene_end();
}

/* A frame that is mapped twice counts half each time; what is swapped is told. */
static void frames_and_slots(void)
{
    unsigned regions;
    struct qy_record_region all;
    begin(128);
    run_in(space, 1, 0);
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1), again = copy(frame, 15, 0);
    CHECK_EQ(CALL(QY_CALL_space_map_region, space, AT, PAGES(4), DATA, 0, 0).error, QY_OK);
    CHECK(touch(1, AT, QY_ACCESS_WRITE) && touch(1, AT + PAGES(1), QY_ACCESS_WRITE));
    CHECK_EQ(map(frame, space, AT + PAGES(8), RW).error, QY_OK);
    CHECK_EQ(map(again, space, AT + PAGES(9), RW).error, QY_OK);
    all = regions_of(info(space).x[3], &regions);
    CHECK_EQ(all.resident, PAGES(4));
    CHECK_EQ(all.proportional, PAGES(3));
    CHECK_EQ(all.shared_bytes, PAGES(2));
    qy_handle_t area = make(ROOT_UNTYPED, QY_OBJ_MEMORY, 0),
                cluster = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    struct result r = CALL(QY_CALL_space_evict, space, AT, 1, area, 0, cluster);
    CHECK_EQ(r.error, QY_OK);
    CHECK_EQ(r.x[1], 1);
    all = regions_of(info(space).x[3], &regions);
    CHECK_EQ(all.swapped, PAGES(1));
    CHECK_EQ(all.resident, PAGES(3));
    scene_end();
}

static void spaces_are_met_once(void)
{
    struct qy_record_space record;
    uint64_t index = 0, last = 0;
    unsigned met = 0;
    begin(64);
    qy_handle_t others[5];
    for (unsigned i = 0; i < 5; i++)
        others[i] = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1);
    CHECK_EQ(erase(others[2]), QY_OK);
    for (;;) {
        enum qy_error error = read_at(QY_RECORD_KIND_SPACE, index, 0, &record, sizeof(record));
        if (error != QY_OK)
            break;
        CHECK(record.space > last);
        last = record.space;
        index = record.next;
        met++;
        CHECK_EQ(record.budget, record.space == info(space).x[3] ? info(budget).x[3] : 0);
    }
    CHECK_EQ(met, 6); /* the root task's, too */
    struct qy_record_region region;
    CHECK_EQ(read_at(QY_RECORD_KIND_REGION, last + 1, 0, &region, sizeof(region)), QY_NOT_FOUND);
    qy_handle_t weak = copy(QY_SLOT_SYSTEM, QY_RIGHT_WRITE, 0);
    for (unsigned kind = QY_RECORD_KIND_RUN; kind <= QY_RECORD_KIND_REGION; kind++)
        CHECK_EQ(CALL(QY_CALL_system_record, weak, kind, 0, BUFFER, 80, 0).error, QY_NO_RIGHTS);
    CHECK_EQ(erase(weak), QY_OK);
    scene_end();
}

static const struct test tests[] = {
    {"runs tile memory, and untypeds count what they say", runs_and_untypeds},
    {"regions say what is there, once", regions_say_what_is_there},
    {"frames mapped twice, and pages in slots", frames_and_slots},
    {"spaces are met once, by who may look", spaces_are_met_once},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
