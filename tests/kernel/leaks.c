/*
 * Who made what, as a program reads it: every object of the kernel's heaps is met once, with its owner; the
 * sums are those that the kernel keeps elsewhere; objects that come and go during a walk do not disturb
 * it; only the capability gives access. Would miss: what the root task makes of the records (the boots
 * with `leak`).
 */
#include "scene.h"

#include <kernel/heap.h>
#include <lib/string.h>
#include <quarry/records.h>
#include <string.h>

#define AT 0x401000ull /* a writable page of the root task's image */
#define RECORDS_MAX 2000u

static struct qy_record_allocation records[RECORDS_MAX];
static unsigned count;

static enum qy_error read_record(enum qy_record_kind kind, uint64_t index, void *out, size_t bytes)
{
    enum qy_error error =
        CALL(QY_CALL_system_record, QY_SLOT_SYSTEM, kind, index, AT, bytes, 0).error;
    if (error == QY_OK)
        CHECK(arch_copy_from_user(out, AT, bytes));
    return error;
}

/* Read all allocations; between two calls `meanwhile` may do anything. */
static void walk(void (*meanwhile)(void))
{
    uint64_t index = 0;
    count = 0;
    do {
        struct qy_record_allocation record;
        CHECK_EQ(read_record(QY_RECORD_KIND_ALLOCATION, index, &record, sizeof(record)), QY_OK);
        CHECK(record.next == 0 || record.next > index);
        if (record.object && count < RECORDS_MAX)
            records[count++] = record;
        index = record.next;
        if (meanwhile)
            meanwhile();
    } while (index);
    CHECK(count < RECORDS_MAX);
}

static unsigned times_met(uint64_t object)
{
    unsigned times = 0;
    for (unsigned i = 0; i < count; i++)
        times += records[i].object == object;
    return times;
}

/* Records against the kernel's own sums, by type. */
static void sums_agree(void)
{
    for (unsigned type = 1; type < OBJECT_SMALL_TYPES; type++) {
        struct qy_record_object totals;
        uint64_t live = 0, bytes = 0;
        CHECK_EQ(read_record(QY_RECORD_KIND_OBJECT, type, &totals, sizeof(totals)), QY_OK);
        walk(NULL);
        for (unsigned i = 0; i < count; i++) {
            live += records[i].type == type;
            bytes += records[i].type == type ? records[i].bytes : 0;
        }
        CHECK_EQ(totals.live, live);
        CHECK_EQ(totals.bytes, bytes);
    }
}

static void every_object_once(void)
{
    sums_agree();
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 300);
    for (unsigned type = 1; type < OBJECT_SMALL_TYPES; type++)
        for (unsigned i = 0; type < QY_OBJ_DEVICE_MEMORY && i < type * 3; i++)
            make(untyped, (enum qy_object_type)type, 1);
    sums_agree();
    for (unsigned i = 0; i < count; i++)
        CHECK_EQ(times_met(records[i].object), 1);
    scene_end();
    sums_agree();
}

static void by_whom(void)
{
    qy_handle_t thread = thread_on(ROOT_UNTYPED, 1, 0);
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
    uint64_t payer = info(untyped).x[3], actor = info(thread).x[3];
    CHECK_EQ(CALL_ON(1, QY_CALL_untyped_retype, untyped, QY_OBJ_FRAME, 2, ROOT_NODE, 900, 3).error,
             QY_OK);
    unsigned found = 0;
    walk(NULL);
    for (unsigned i = 0; i < count; i++) {
        const struct qy_record_allocation *a = &records[i];
        char what[QY_SITE_TEXT_BYTES + 1] = "", file[QY_SITE_TEXT_BYTES + 1] = "";
        if (a->untyped != payer)
            continue;
        found++;
        CHECK(a->thread == actor && a->call == QY_CALL_untyped_retype && a->type == QY_OBJ_FRAME);
        CHECK_EQ(a->bytes, 2 * QY_PAGE_BYTES + sizeof(struct frame));
        CHECK_EQ(a->header_bytes, sizeof(struct frame));
        CHECK_EQ(read_record(QY_RECORD_KIND_SITE_TEXT, a->site * 3, file, 64), QY_OK);
        CHECK_EQ(read_record(QY_RECORD_KIND_SITE_TEXT, a->site * 3 + 2, what, 64), QY_OK);
        CHECK(strcmp(file, "object.c") == 0 && strcmp(what, "frame") == 0);
    }
    CHECK_EQ(found, 3);
    scene_end();
}

/* SITE-COUNT through the records. */
static void sites(void)
{
    struct qy_record_site site;
    char text[QY_SITE_TEXT_BYTES + 1] = "";
    uint64_t live = 0, bytes = 0, index = 0, seen = 0, seen_bytes = 0;
    make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    for (; read_record(QY_RECORD_KIND_SITE, index, &site, sizeof(site)) == QY_OK; index++) {
        live += site.live;
        bytes += site.live_bytes;
        CHECK(site.total >= site.live && site.total_bytes >= site.live_bytes && site.line > 0);
    }
    walk(NULL);
    for (unsigned i = 0; i < count; i++) {
        seen++;
        seen_bytes += records[i].bytes;
    }
    CHECK_EQ(live, seen);
    CHECK_EQ(bytes, seen_bytes);
    CHECK_EQ(read_record(QY_RECORD_KIND_SITE, index, &site, sizeof(site)), QY_NOT_FOUND);
    CHECK_EQ(read_record(QY_RECORD_KIND_SITE_TEXT, index * 3, text, 64), QY_NOT_FOUND);
    CHECK_EQ(read_record(QY_RECORD_KIND_SITE_TEXT, index * 3 - 1, text, 64), QY_OK);
    CHECK(text[0] != 0);
    scene_end();
}

static qy_handle_t guest_untyped, guest;

/* An object goes and another comes, often where it was. */
static void come_and_go(void)
{
    if (guest)
        CHECK_EQ(erase(guest), QY_OK);
    struct result result =
        CALL(QY_CALL_untyped_retype, guest_untyped, QY_OBJ_THREAD, 1, ROOT_NODE, 1000, 1);
    CHECK_EQ(result.error, QY_OK);
    guest = result.x[1];
}

static void others_come_and_go(void)
{
    qy_handle_t kept[40];
    guest_untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
    guest = 0;
    for (unsigned i = 0; i < 40; i++)
        kept[i] = make(guest_untyped, i % 2 ? QY_OBJ_ENDPOINT : QY_OBJ_THREAD, 1);
    walk(come_and_go);
    for (unsigned i = 0; i < 40; i++)
        CHECK_EQ(times_met(info(kept[i]).x[3]), 1);
    scene_end();
}

/* Any index may be asked for; what it gives is an object behind it, or the way on. */
static void any_index(void)
{
    struct qy_record_allocation record;
    make(ROOT_UNTYPED, QY_OBJ_ENDPOINT, 1);
    walk(NULL);
    for (uint64_t index = 1; index < 66ull << 20; index = index * 5 / 4 + 7)
        CHECK_EQ(read_record(QY_RECORD_KIND_ALLOCATION, index, &record, sizeof(record)), QY_OK);
    for (unsigned bit = 30; bit < 64; bit++) {
        CHECK_EQ(read_record(QY_RECORD_KIND_ALLOCATION, 1ull << bit, &record, sizeof(record)),
                 QY_OK);
        CHECK(record.object == 0 && record.next == 0);
    }
    CHECK_EQ(read_record(QY_RECORD_KIND_ALLOCATION, ~0ull, &record, sizeof(record)), QY_OK);
    CHECK(record.object == 0 && record.next == 0);
    scene_end();
}

static void only_with_the_capability(void)
{
    qy_handle_t weak = copy(QY_SLOT_SYSTEM, QY_RIGHT_WRITE, 0);
    for (unsigned kind = QY_RECORD_KIND_SITE; kind <= QY_RECORD_KIND_ALLOCATION; kind++) {
        CHECK_EQ(CALL(QY_CALL_system_record, weak, kind, 0, AT, 80, 0).error, QY_NO_RIGHTS);
        CHECK_EQ(CALL(QY_CALL_system_record, ROOT_NODE, kind, 0, AT, 80, 0).error, QY_WRONG_TYPE);
        CHECK_EQ(CALL(QY_CALL_system_record, 0, kind, 0, AT, 80, 0).error, QY_INVALID_HANDLE);
    }
    CHECK_EQ(erase(weak), QY_OK);
    scene_end();
}

static const struct test tests[] = {
    {"every object is met once, and the sums agree", every_object_once},
    {"by whom", by_whom},
    {"sites count what lives", sites},
    {"others come and go during a walk", others_come_and_go},
    {"any index may be asked for", any_index},
    {"only with the capability", only_with_the_capability},
};

int main(void)
{
    heap_tools_init("heap=track");
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
