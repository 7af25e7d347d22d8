/*
 * Statistics records. See kernel/stats.h.
 */
#include "stats_impl.h"

#include <arch/arch.h>
#include <kernel/guard.h>
#include <kernel/heap.h>
#include <kernel/object.h>
#include <lib/string.h>
#include <platform/topology.h>

struct stats_sources stats_from;

void stats_init(const struct qy_map *map, const struct qy_framedb *db,
                const struct qy_topology *topology, struct kernel_arenas *arenas,
                uint64_t boot_clock)
{
    stats_from.map = map;
    stats_from.db = db;
    stats_from.arenas = arenas;
    stats_from.nodes = topology->node_count;
    stats_from.boot_ticks = arch_clock() - boot_clock;
}

static enum qy_error fill_machine(uint64_t index, struct qy_record_machine *out)
{
    if (index)
        return QY_NOT_FOUND;
    *out = (struct qy_record_machine){.usable_bytes = stats_from.map->usable_bytes,
                                      .cpus = cpu_count,
                                      .nodes = stats_from.nodes,
                                      .arenas = stats_from.arenas->count,
                                      .sections_initialised =
                                          qy_framedb_sections_initialised(stats_from.db),
                                      .sections_total = qy_framedb_sections_total(stats_from.db),
                                      .boot_ticks = stats_from.boot_ticks};
    for (unsigned i = 0; i < cpu_count; i++) {
        out->calls += cpu_at(i)->stats.calls;
        out->faults += cpu_at(i)->stats.faults;
    }
    return QY_OK;
}

static enum qy_error fill_use(uint64_t index, struct qy_record_use *out)
{
    uint64_t bytes[QY_USE_COUNT];
    if (index >= QY_USE_COUNT)
        return QY_NOT_FOUND;
    qy_map_totals(stats_from.map, bytes);
    *out = (struct qy_record_use){.use = index, .bytes = bytes[index]};
    return QY_OK;
}

/* The root arenas, then the kernel's own. */
static enum qy_error fill_arena(uint64_t index, struct qy_record_arena *out)
{
    if (index > stats_from.arenas->count)
        return QY_NOT_FOUND;
    qy_arena_record(index < stats_from.arenas->count ? &stats_from.arenas->roots[index]
                                                     : &stats_from.arenas->kernel,
                    out);
    return QY_OK;
}

static enum qy_error fill_object(uint64_t index, struct qy_record_object *out)
{
    if (index >= QY_OBJ_COUNT)
        return QY_NOT_FOUND;
    caps_acquire();
    struct object_totals totals = object_totals((enum qy_object_type)index);
    caps_release();
    *out = (struct qy_record_object){.type = index, .live = totals.live, .bytes = totals.bytes};
    return QY_OK;
}

/* Add up what adds up; sizes are those of any, all the same. */
static void cache_add(struct qy_record_cache *sum, const struct qy_record_cache *one)
{
#define F(field, meaning) sum->field += one->field;
    QY_RECORD_CACHE(F)
#undef F
    sum->object_bytes = one->object_bytes;
    sum->stride_bytes = one->stride_bytes;
    sum->slab_order = one->slab_order;
}

/* The caches of headers, by object type, summed over all untypeds. */
static enum qy_error fill_cache(uint64_t index, struct qy_record_cache *out)
{
    if (index >= OBJECT_SMALL_TYPES)
        return QY_NOT_FOUND;
    memset(out, 0, sizeof(*out));
    caps_acquire();
    for (struct untyped *untyped = untyped_first(); untyped; untyped = untyped->next) {
        struct qy_record_cache one;
        struct qy_cache *cache = index ? untyped_cache(untyped, (unsigned)index) : NULL;
        if (!cache || !cache->heap) /* there are no objects of type 0, or none were made of this */
            continue;
        qy_cache_record(cache, &one);
        cache_add(out, &one);
    }
    caps_release();
    return QY_OK;
}

static enum qy_error fill_cpu(uint64_t index, struct qy_record_cpu *out)
{
    if (index >= cpu_count)
        return QY_NOT_FOUND;
    const struct cpu *cpu = cpu_at((unsigned)index);
    *out = cpu->stats;
    for (unsigned i = 0; i < COUNTED_KINDS; i++)
        if (cpu->counts[i].longest_stretch > out->longest_stretch)
            out->longest_stretch = cpu->counts[i].longest_stretch;
    out->flushed_pages = cpu->tlb.counts.pages;
    out->flushed_tags = cpu->tlb.counts.flushes;
    out->kept_tags = cpu->tlb.counts.kept;
    out->recycled_tags = cpu->tlb.counts.recycled;
    return QY_OK;
}

static enum qy_error fill_call(uint64_t index, struct qy_record_call *out)
{
    if (index >= COUNTED_KINDS)
        return QY_NOT_FOUND;
    *out = (struct qy_record_call){.call = index};
    for (unsigned i = 0; i < cpu_count; i++) {
        const struct call_count *count = &cpu_at(i)->counts[index];
        out->times += count->times;
        out->locks += count->locks;
        out->waits += count->waits;
        if (count->longest_stretch > out->longest_stretch)
            out->longest_stretch = count->longest_stretch;
    }
    return QY_OK;
}

static enum qy_error fill_node(uint64_t index, struct qy_record_node *out)
{
    if (index >= stats_from.arenas->nodes.count)
        return QY_NOT_FOUND;
    enum qy_error error = qy_nodes_record(&stats_from.arenas->nodes, (unsigned)index, out);
    for (unsigned i = 0; i < cpu_count && error == QY_OK; i++)
        out->cpus += cpu_at(i)->node == index;
    return error;
}

static enum qy_error fill_distance(uint64_t index, struct qy_record_distance *out)
{
    const struct qy_nodes *nodes = &stats_from.arenas->nodes;
    uint64_t count = nodes->count;
    if (count == 0 || index >= count * count)
        return QY_NOT_FOUND;
    unsigned node = (unsigned)(index / count), to = (unsigned)(index % count), rank = 0;
    while (qy_nodes_at(nodes, node, rank) != to)
        rank++;
    *out = (struct qy_record_distance){
        .from = node, .to = to, .distance = qy_nodes_distance(nodes, node, to), .rank = rank + 1};
    return QY_OK;
}

#if QY_CONFIG_HEAP_TOOLS
static enum qy_error fill_site(uint64_t index, struct qy_record_site *out)
{
    const struct qy_site *site = qy_site_at(index);
    if (!heap_is_tracked())
        return QY_UNSUPPORTED;
    if (!site)
        return QY_NOT_FOUND;
    struct qy_site_sums sums = {0};
    for (unsigned i = 0; i < cpu_count; i++)
        qy_site_read(site, &cpu_at(i)->objects, &sums);
    *out = (struct qy_record_site){.line = site->line,
                                   .live = sums.live,
                                   .live_bytes = sums.live_bytes,
                                   .total = sums.total,
                                   .total_bytes = sums.total_bytes};
    return QY_OK;
}

static enum qy_error fill_site_text(uint64_t index, struct qy_record_site_text *out)
{
    const struct qy_site *site = qy_site_at(index / 3);
    if (!heap_is_tracked())
        return QY_UNSUPPORTED;
    if (!site)
        return QY_NOT_FOUND;
    const char *const texts[] = {site->file, site->function, site->what};
    size_t length = strlen(texts[index % 3]);
    memset(out, 0, sizeof(*out));
    memcpy(out, texts[index % 3], length < sizeof(*out) ? length : sizeof(*out));
    return QY_OK;
}

/* Places and blocks that one call looks at. */
#define ALLOCATION_STEPS 256u

/*
 * The next tracked object from index on: the physical address to go on from; behind the last of RAM, slots of
 * guarded objects.
 */
static bool allocation_next(uint64_t *index, struct qy_allocation *out)
{
    uint64_t ram = pfn_to_paddr(stats_from.db->limit).raw, slot = *index - ram;
    const void *heap, *cache;
    bool found = false;
    if (*index < ram) {
        found = qy_allocation_next(stats_from.db, index, ALLOCATION_STEPS, out);
        *index = *index == 0 && guard_pool() ? ram : *index;
        return found;
    }
    for (; guard_pool() && slot < guard_pool()->config.slot_count && !found; slot++) {
        void *object = qy_guard_object(guard_pool(), (uint32_t)slot, &heap, &cache);
        found = object && qy_allocation_read((struct qy_cache *)(uintptr_t)cache, object, out);
    }
    *index = guard_pool() && slot < guard_pool()->config.slot_count ? ram + slot : 0;
    return found;
}

/* index: as allocation_next takes it. Every tracked object of the kernel's heaps is the header of an object. */
static enum qy_error fill_allocation(uint64_t index, struct qy_record_allocation *out)
{
    struct qy_allocation found;
    if (!heap_is_tracked())
        return QY_UNSUPPORTED;
    memset(out, 0, sizeof(*out));
    caps_acquire();
    out->next = index;
    if (allocation_next(&out->next, &found) && found.owner.number) {
        out->object = found.owner.number;
        out->type = ((const struct object *)found.object)->type;
        out->bytes = found.owner.bytes;
        out->header_bytes = found.cache->type->bytes;
        out->site = found.site ? qy_site_number(found.site) : UINT64_MAX;
        out->untyped = found.owner.payer;
        out->thread = found.owner.thread;
        out->call = found.owner.call;
        out->time = found.owner.time;
    }
    caps_release();
    return QY_OK;
}
#else
static enum qy_error fill_site(uint64_t index, struct qy_record_site *out)
{
    (void)index, (void)out;
    return QY_UNSUPPORTED;
}

static enum qy_error fill_site_text(uint64_t index, struct qy_record_site_text *out)
{
    (void)index, (void)out;
    return QY_UNSUPPORTED;
}

static enum qy_error fill_allocation(uint64_t index, struct qy_record_allocation *out)
{
    (void)index, (void)out;
    return QY_UNSUPPORTED;
}
#endif

static enum qy_error fill_guard(uint64_t index, struct qy_record_guard *out)
{
    struct qy_guard_counters counters;
    if (index)
        return QY_NOT_FOUND;
    if (!guard_pool())
        return QY_UNSUPPORTED;
    qy_guard_count(guard_pool(), &counters);
    *out = (struct qy_record_guard){.interval = guard_interval(),
                                    .slots = guard_pool()->config.slot_count,
                                    .slot_bytes = guard_pool()->config.slot_pages * QY_PAGE_BYTES,
                                    .sampled = counters.sampled,
                                    .live = counters.live,
                                    .held = counters.held,
                                    .no_slot = counters.no_slot,
                                    .no_frames = counters.no_frames,
                                    .refused_frees = counters.refused_frees,
                                    .flushes = counters.flushes};
    return QY_OK;
}

enum qy_error stats_record(uint64_t kind, uint64_t index, uint64_t at, union stats_record *out,
                           size_t *bytes)
{
    if (kind == QY_RECORD_KIND_REGION)
        out->region.next_at = at;
    switch (kind) {
#define R(NAME, value, name, table)                                                                \
    case QY_RECORD_KIND_##NAME:                                                                    \
        *bytes = sizeof(out->name);                                                                \
        return fill_##name(index, &out->name);
        QY_RECORDS(R)
#undef R
    default:
        return QY_INVALID_ARGUMENT;
    }
}
