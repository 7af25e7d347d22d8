/*
 * The root arenas: what the map has free becomes one arena per node and zone; see qy/roots.h.
 */
#include <qy/roots.h>

const char *qy_zone_name(enum qy_zone zone)
{
    switch (zone) {
    case QY_ZONE_DMA32:
        return "DMA32";
    case QY_ZONE_NORMAL:
        return "normal";
    case QY_ZONE_COUNT:
        break;
    }
    return "?";
}

enum qy_zone qy_zone_of(uint64_t address)
{
    return QY_CONFIG_DMA32_ZONE && address < QY_DMA32_END ? QY_ZONE_DMA32 : QY_ZONE_NORMAL;
}

/* The root of that node and zone, made if there is none. Null: no room for it. */
static struct qy_arena *root_for(struct qy_roots *roots, uint16_t node, enum qy_zone zone)
{
    for (unsigned i = 0; i < roots->count; i++)
        if (roots->arenas[i].node == node && roots->arenas[i].zone == zone)
            return &roots->arenas[i];
    if (roots->count == roots->capacity)
        return NULL;
    struct qy_arena *arena = &roots->arenas[roots->count];
    qy_arena_init(arena, roots->db, node, zone, ++roots->count);
    return arena;
}

static enum qy_error add(struct qy_roots *roots, uint64_t base, uint64_t end, uint16_t node)
{
    struct qy_arena *arena = root_for(roots, node, qy_zone_of(base));
    if (!arena)
        return QY_TOO_MANY;
    return qy_arena_add(arena, pfn(base >> QY_PAGE_SHIFT), pfn(end >> QY_PAGE_SHIFT));
}

enum qy_error qy_roots_give(struct qy_roots *roots, struct qy_map *map, enum qy_mem_use from,
                            uint64_t *bytes, struct qy_segment *fault)
{
    *bytes = 0;
    for (uint32_t i = 0; i < map->count;) {
        struct qy_segment s = map->segments[i++];
        if (s.use != from)
            continue;
        bool two_zones =
            qy_zone_of(s.base) != qy_zone_of(s.end - 1); /* they meet at QY_DMA32_END */
        uint64_t border = two_zones ? QY_DMA32_END : s.end;
        enum qy_error error = add(roots, s.base, border, s.node);
        if (error == QY_OK && two_zones)
            error = add(roots, border, s.end, s.node);
        if (error == QY_OK)
            error = qy_map_change(map, s.base, s.end, from, QY_USE_UNTYPED);
        if (error != QY_OK) {
            if (fault)
                *fault = s;
            return error;
        }
        *bytes += s.end - s.base;
        i = 0; /* segments may have merged: look from the start again */
    }
    return QY_OK;
}
