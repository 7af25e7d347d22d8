/*
 * The validator of a slab cache: walks its slabs and their free lists, and compares with bits and
 * counters.
 *
 * It cannot tell whether an object that is handed out is still in use. Locking: the cache's, then
 * (through lookups only) none. Cost: O(objects).
 */
#include "slab_impl.h"

#include <lib/string.h>

struct sums {
    uint64_t live, slabs, capacity, pages;
};

static const char *check_free_list(struct qy_slab *slab)
{
    uint64_t seen[QY_SLAB_WORDS] = {0};
    unsigned count = 0, index = slab->first_free;
    for (; index != QY_SLAB_NIL; count++) {
        if (index >= slab->capacity || qy_slab_used(slab, index) ||
            (seen[index / 64] >> index % 64 & 1))
            return "SLAB-FREE";
        seen[index / 64] |= 1ull << index % 64;
        const unsigned char *object =
            qy_slab_base(slab) + (size_t)index * slab->cache->object_bytes;
        uint64_t link;
        memcpy(&link, object, sizeof(link));
        link = qy_slab_encode(slab->cache, object, link);
        index = link <= QY_SLAB_NIL ? (unsigned)link : QY_SLAB_OBJECTS_MAX + 1;
    }
    return count == slab->free ? NULL : "SLAB-FREE";
}

static const char *check_slab(struct qy_cache *cache, struct qy_slab *slab, unsigned list,
                              struct sums *sums)
{
    const struct qy_framedb *db = cache->arena->db;
    enum qy_frame_state state;
    pfn_t block;
    unsigned order, used = 0;
    if (slab->cache != cache || slab->list != list ||
        slab->capacity != qy_slab_capacity(cache->object_bytes, slab->order))
        return "SLAB-COUNT";
    if (qy_frame_block(db, qy_slab_pfn(slab), &block, &order, &state) != QY_OK ||
        state != QY_FRAME_SLAB || block.raw != qy_slab_pfn(slab).raw || order != slab->order ||
        qy_arena_of(db, block) != cache->arena ||
        qy_frame_word(db, block) != (uint64_t)(uintptr_t)cache)
        return "EXCLUSIVE";
    for (unsigned w = 0; w < QY_SLAB_WORDS; w++)
        used += (unsigned)__builtin_popcountll(slab->used[w]);
    if (used + slab->free != slab->capacity || (list == QY_SLAB_FULL && slab->free != 0) ||
        (list == QY_SLAB_EMPTY && used != 0) ||
        (list == QY_SLAB_PARTIAL && (used == 0 || slab->free == 0)))
        return "SLAB-COUNT";
    sums->live += used;
    sums->capacity += slab->capacity;
    sums->slabs++;
    sums->pages += 1ull << slab->order;
    return check_free_list(slab);
}

static const char *check_list(struct qy_cache *cache, struct qy_slab *first, unsigned list,
                              struct sums *sums)
{
    struct qy_slab *before = NULL;
    for (struct qy_slab *slab = first; slab; before = slab, slab = slab->next) {
        const char *broken =
            slab->prev != before ? "SLAB-COUNT" : check_slab(cache, slab, list, sums);
        if (broken)
            return broken;
    }
    return NULL;
}

const char *qy_cache_check(struct qy_cache *cache) QY_UNCHECKED
{
    struct sums sums = {0};
    qy_lock_acquire(&cache->lock);
    const char *broken = check_list(cache, cache->partial, QY_SLAB_PARTIAL, &sums);
    if (!broken)
        broken = check_list(cache, cache->empty, QY_SLAB_EMPTY, &sums);
    if (!broken)
        broken = check_list(cache, cache->full, QY_SLAB_FULL, &sums);
    if (!broken && (sums.live != cache->live || sums.capacity != cache->capacity ||
                    sums.slabs != cache->slabs || sums.pages != cache->pages ||
                    (cache->empty && cache->empty->next)))
        broken = "SLAB-COUNT";
    qy_lock_release(&cache->lock);
    return broken;
}
