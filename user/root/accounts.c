/*
 * Tables with the columns that people know from other systems: buddyinfo, slabinfo, smaps, and what each process has.
 *
 * They come from the same records as snapshots (snapshot.h): tests hold the one against the other. What the columns can
 * mislead about stands in docs/view.md.
 */
#include "records.h"
#include "snapshot.h"
#include <lib/format.h>
#include <quarry/uses.h>

#define ORDERS 19u
#define TEXT_BYTES 16384u

static char text[TEXT_BYTES];

static void heads(struct table *table, const char *align, const char *const *names)
{
    table_begin(table, text, sizeof(text), align);
    for (; *names; names++)
        table_cell(table, "%s", *names);
}

static void number_cell(struct table *table, uint64_t number)
{
    table_cell(table, "%llu", (unsigned long long)number);
}

static void size_cell(struct table *table, uint64_t bytes)
{
    if (bytes)
        table_cell(table, "%S", bytes);
    else
        table_cell(table, "-");
}

/* ---- buddyinfo ---- */

/* Free blocks by order of an untyped's arena, those of untypeds carved out of it not among them. */
static void count_free(uint64_t untyped, uint64_t blocks[ORDERS], uint64_t *bytes)
{
    struct record_walk walk = {.kind = QY_RECORD_KIND_RUN};
    union record record;

    *bytes = 0;
    for (unsigned i = 0; i < ORDERS; i++)
        blocks[i] = 0;
    while (record_next(&walk, &record, NULL)) {
        const struct qy_record_run *run = &record.run;
        if (run->owner != untyped || run->state != QY_FRAME_FREE || run->order >= ORDERS)
            continue;
        blocks[run->order] += run->pages >> run->order;
        *bytes += run->pages * PAGE_BYTES;
    }
}

void show_buddyinfo(struct root *root)
{
    static const char *const names[] = {"node", "zone", "untyped", "free", "0",  "1",  "2",  "3",
                                        "4",    "5",    "6",       "7",    "8",  "9",  "10", "11",
                                        "12",   "13",   "14",      "15",   "16", "17", "18", NULL};
    struct record_walk walk = {.kind = QY_RECORD_KIND_UNTYPED};
    union record record;
    struct table table;

    heads(&table, "><>>>>>>>>>>>>>>>>>>>>>", names);
    while (record_next(&walk, &record, NULL)) {
        const struct qy_record_untyped *untyped = &record.untyped;
        uint64_t blocks[ORDERS], bytes;
        count_free(untyped->untyped, blocks, &bytes);
        number_cell(&table, untyped->node);
        table_cell(&table, "%s", untyped->zone ? "Normal" : "DMA32");
        number_cell(&table, untyped->untyped);
        size_cell(&table, bytes);
        for (unsigned i = 0; i < ORDERS; i++)
            number_cell(&table, blocks[i]);
        root_check(root, bytes == untyped->free_bytes,
                   "free blocks of an untyped are not what its arena counts");
    }
    root_table(&table);
}

/* ---- slabinfo ---- */

void show_slabinfo(struct root *root)
{
    static const char *const names[] = {"name",      "active_objs", "num_objs",
                                        "objsize",   "objperslab",  "pagesperslab",
                                        "num_slabs", "memory",      NULL};
    struct record_walk walk = {.kind = QY_RECORD_KIND_CACHE};
    union record record;
    struct table table;

    (void)root;
    heads(&table, "<>>>>>>>", names);
    for (uint64_t type = 0; record_next(&walk, &record, NULL); type++) {
        const struct qy_record_cache *cache = &record.cache;
        if (!cache->allocations)
            continue;
        table_cell(&table, "%s", qy_object_name((enum qy_object_type)type));
        number_cell(&table, cache->live);
        number_cell(&table, cache->capacity);
        number_cell(&table, cache->object_bytes);
        number_cell(&table,
                    cache->slabs ? (cache->capacity - cache->mixed) / cache->slabs : (uint64_t)0);
        number_cell(&table, 1ull << cache->slab_order);
        number_cell(&table, cache->slabs);
        size_cell(&table, cache->slab_bytes);
    }
    root_table(&table);
}

/* ---- spaces ---- */

static bool is_space(qy_handle_t handle, uint64_t space)
{
    struct cap_state cap;

    return cap_info(QY_SLOT_NODE, handle & UINT32_MAX, &cap) == QY_OK && cap.object == space;
}

/* The job whose space that is; 0: the root task's, or nobody's that is known. */
static unsigned job_of(const struct jobs *jobs, uint64_t space)
{
    for (unsigned i = 1; jobs && i <= JOBS_MAX; i++) {
        const struct job *job = jobs_find(jobs, i);
        if (job && is_space(job->process.space, space))
            return i;
    }
    return 0;
}

void show_processes(struct root *root, const struct jobs *jobs)
{
    static const char *const names[] = {"space",   "process", "budget", "Rss",        "Pss",
                                        "Private", "Shared",  "Swap",   "compressed", "on disk",
                                        "2 MiB",   "1 GiB",   "tables", NULL};
    struct record_walk walk = {.kind = QY_RECORD_KIND_SPACE};
    union record record;
    struct table table;

    heads(&table, "><>>>>>>>>>>>", names);
    while (record_next(&walk, &record, NULL)) {
        struct qy_record_region sum;
        struct services_away away = {0};
        unsigned job = job_of(jobs, record.space.space);
        record_space_sum(record.space.space, &sum);
        if (job && jobs->services)
            away = services_away(jobs->services, job);
        const uint64_t sizes[] = {sum.resident,           sum.proportional, sum.private_bytes,
                                  sum.shared_bytes,       sum.swapped,      away.compressed,
                                  away.on_disk,           sum.large,        sum.huge,
                                  sum.tables * PAGE_BYTES};
        number_cell(&table, record.space.space);
        table_cell(&table, "%s",
                   job                                           ? jobs_find(jobs, job)->name
                   : is_space(QY_SLOT_SPACE, record.space.space) ? "root"
                                                                 : "");
        number_cell(&table, record.space.budget);
        for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            size_cell(&table, sizes[i]);
        root_check(root, sum.private_bytes + sum.shared_bytes == sum.resident,
                   "what a process has is neither private nor shared");
    }
    root_table(&table);
}

void show_smaps(struct root *root, uint64_t space)
{
    static const char *const names[] = {"start",  "end",  "flags",   "page",   "Size",
                                        "Rss",    "Pss",  "Private", "Shared", "Swap",
                                        "tables", "kind", NULL};
    struct record_walk walk = {.kind = QY_RECORD_KIND_REGION, .space = space};
    union record record;
    struct table table;

    (void)root;
    heads(&table, "<<<>>>>>>>><", names);
    while (record_next(&walk, &record, NULL)) {
        const struct qy_record_region *region = &record.region;
        uint64_t flags = region->flags;
        table_cell(&table, region->start ? "%R" : "(tables)", region->start);
        table_cell(&table, region->start ? "%R" : "", region->end);
        table_cell(&table, "%c%c%c", flags & QY_MAP_READ ? 'r' : '-',
                   flags & QY_MAP_WRITE ? 'w' : '-', flags & QY_MAP_EXEC ? 'x' : '-');
        size_cell(&table, region->page_bytes);
        size_cell(&table, region->end - region->start);
        size_cell(&table, region->resident);
        size_cell(&table, region->proportional);
        size_cell(&table, region->private_bytes);
        size_cell(&table, region->shared_bytes);
        size_cell(&table, region->swapped);
        size_cell(&table, region->tables * PAGE_BYTES);
        table_cell(&table, "%s", region->start ? region_kind_name(QY_QUERY_KIND(flags)) : "");
    }
    root_table(&table);
}
