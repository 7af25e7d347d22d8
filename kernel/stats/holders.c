/*
 * Records of who has which memory: runs of frames, untypeds, spaces and their regions.
 *
 *     map's segment  | kernel text |  untyped ...                                     | page tables |
 *     frames         |  one run    |  free o9 | user o0, of 17 | free o3 | slab, of 17 |  one run   |
 *
 * Each call looks at a bounded part and says where to go on, so whoever reads a machine that works sees each part as it
 * was at some time between the first call and the last, not all of it at one. Locking: qy_class_caps where an
 * untyped or a space must stay; a region's entries are read without it.
 */
#include "stats_impl.h"

#include <kernel/entry.h>
#include <kernel/object.h>
#include <kernel/space.h>
#include <lib/string.h>

/* ---- runs ---- */

/* The number of the untyped whose arena that is; 0: nobody's. Those carved out hold theirs, the others are few. */
static uint64_t number_of(const struct qy_arena *arena) QY_REQUIRES(qy_class_caps)
{
    if (!arena)
        return 0;
    if (arena->parent && arena != &stats_from.arenas->kernel)
        return ((const struct untyped *)(const void *)((const char *)arena -
                                                       offsetof(struct untyped, own)))
            ->object.id;
    for (const struct untyped *untyped = untyped_first(); untyped; untyped = untyped->next)
        if (untyped->arena == arena)
            return untyped->object.id;
    return 0;
}

/* The first RAM whose whole pages end behind a frame; null: there is none. */
static const struct qy_segment *segment_at(uint64_t frame)
{
    const struct qy_map *map = stats_from.map;
    for (uint32_t i = 0; i < map->count; i++) {
        const struct qy_segment *segment = &map->segments[i];
        if (segment->type == QY_MEM_USABLE && segment->end >> QY_PAGE_SHIFT > frame &&
            segment->use != QY_USE_ROUNDED)
            return segment;
    }
    return NULL;
}

enum qy_error fill_run(uint64_t index, struct qy_record_run *out)
{
    const struct qy_segment *segment = segment_at(index);
    memset(out, 0, sizeof(*out));
    if (!segment)
        return index ? QY_NOT_FOUND : QY_OK;
    uint64_t end = segment->end >> QY_PAGE_SHIFT, base = segment->base >> QY_PAGE_SHIFT;
    out->frame = index > base ? index : base;
    out->use = segment->use;
    out->node = segment->node;
    caps_acquire();
    struct qy_run run = qy_framedb_run(stats_from.db, out->frame, end);
    out->pages = run.pages;
    out->state = run.state;
    out->order = run.order;
    out->owner = number_of(run.owner);
    caps_release();
    out->next = segment_at(out->frame + out->pages) ? out->frame + out->pages : 0;
    return QY_OK;
}

/* ---- untypeds and spaces ---- */

enum qy_error fill_untyped(uint64_t index, struct qy_record_untyped *out)
{
    struct untyped *found = NULL;
    memset(out, 0, sizeof(*out));
    caps_acquire();
    for (struct untyped *untyped = untyped_first(); untyped; untyped = untyped->next) {
        uint64_t id = untyped->object.id;
        if (id < index)
            continue;
        if (!found || id < found->object.id)
            found = untyped;
    }
    if (found) {
        struct qy_record_arena arena;
        qy_arena_record(found->arena, &arena);
        out->untyped = found->object.id;
        out->next = out->untyped + 1;
        out->parent = number_of(found->arena->parent);
        out->payer = found->object.untyped ? found->object.untyped->object.id : 0;
        out->objects = found->objects;
        out->first = found->arena->base.raw;
        out->end = found->arena->end.raw;
#define F(field, meaning) out->field = arena.field;
        QY_RECORD_ARENA(F)
#undef F
    }
    caps_release();
    return found ? QY_OK : QY_NOT_FOUND;
}

enum qy_error fill_space(uint64_t index, struct qy_record_space *out)
{
    memset(out, 0, sizeof(*out));
    caps_acquire();
    const struct space *found = space_from(index);
    if (found) {
        out->space = found->object.id;
        out->next = out->space + 1;
        out->untyped = found->object.untyped ? found->object.untyped->object.id : 0;
        out->budget = found->budget ? found->budget->object.id : 0;
    }
    caps_release();
    return found ? QY_OK : QY_NOT_FOUND;
}

/* ---- regions ---- */

static void region_describe(const struct qy_region *region, struct qy_record_region *out)
{
    out->start = region->start;
    out->end = region->end;
    out->flags = region_flags(region);
    out->page_bytes = qy_pt_page_bytes(region->level);
}

enum qy_error fill_region(uint64_t index, struct qy_record_region *out)
{
    struct qy_space_stats stats = {0};
    struct qy_region region;
    struct cpu *cpu = cpu_this();
    uint64_t at = out->next_at, next = at;
    memset(out, 0, sizeof(*out));
    if (at >= USER_END)
        return QY_NOT_FOUND;
    caps_acquire();
    struct space *space = space_find(index);
    if (space)
        space->object.pins++;
    caps_release();
    if (!space)
        return QY_NOT_FOUND;
    space_enter(cpu);
    bool is = qy_space_query(&space->vm, at, &region) == QY_OK;
    qy_space_stats_step(&space->vm, &next, is ? region.end : USER_END, &stats);
    space_leave(cpu);
    caps_acquire();
    space->object.pins--;
    caps_release();
    out->next_at = next;
    if (is && region.start < next) {
        region.start = region.start > at ? region.start : at;
        region.end = next;
        region_describe(&region, out);
    }
    out->resident = stats.resident << QY_PAGE_SHIFT;
    out->private_bytes = stats.private_pages << QY_PAGE_SHIFT;
    out->shared_bytes = stats.shared_pages << QY_PAGE_SHIFT;
    out->proportional = stats.proportional_bytes;
    out->large = stats.level[1] << QY_PAGE_SHIFT;
    out->huge = stats.level[2] << QY_PAGE_SHIFT;
    out->swapped = stats.swapped << QY_PAGE_SHIFT;
    out->tables = stats.tables;
    out->shared_tables = stats.shared_tables;
    return QY_OK;
}
