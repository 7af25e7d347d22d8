/*
 * Slab caches: O(1) allocation of equal objects, with every pointer that comes back checked. See
 * qy/slab.h.
 *
 * Which list a slab is on follows from how many of its objects are free: none = full, all = empty,
 * else partial. Allocation takes from a partial slab, then the empty one, then a new one. Failures:
 * a new slab that cannot be had changes nothing. Reference: J. Bonwick, The Slab Allocator (USENIX
 * 1994).
 */
#include "slab_impl.h"

#include <lib/string.h>

static void cache_lock(struct qy_cache *cache) QY_ACQUIRES(qy_class_slab) QY_UNCHECKED
{
    qy_lock_acquire(&cache->lock);
}

static void cache_unlock(struct qy_cache *cache) QY_RELEASES(qy_class_slab) QY_UNCHECKED
{
    qy_lock_release(&cache->lock);
}

/* The smallest order whose slabs waste at most an eighth; if none up to 3 does, the one that wastes
 * least. */
static unsigned order_for(uint32_t object, unsigned min)
{
    unsigned best = min;
    uint64_t least = UINT64_MAX;
    for (unsigned order = min; order <= QY_SLAB_MAX_ORDER; order++) {
        uint64_t waste = qy_slab_bytes(order) - (uint64_t)qy_slab_capacity(object, order) * object;
        uint64_t share = waste << (QY_SLAB_MAX_ORDER - order);
        if (waste <= qy_slab_bytes(order) / 8)
            return order;
        if (share < least) {
            least = share;
            best = order;
        }
    }
    return best;
}

enum qy_error qy_cache_init(struct qy_cache *cache, struct qy_arena *arena, const char *name,
                            size_t bytes, size_t align)
{
    if (bytes == 0 || bytes > QY_SLAB_OBJECT_MAX || align == 0 || (align & (align - 1)) ||
        align > QY_PAGE_BYTES)
        return QY_INVALID_ARGUMENT;
    align = align < QY_SLAB_OBJECT_MIN / 2 ? QY_SLAB_OBJECT_MIN / 2 : align;
    bytes = bytes < QY_SLAB_OBJECT_MIN ? QY_SLAB_OBJECT_MIN : bytes;
    uint32_t object = (uint32_t)qy_align_up(bytes, align);
    if (object > QY_SLAB_OBJECT_MAX)
        return QY_INVALID_ARGUMENT;
    unsigned min = 0;
    while (qy_slab_capacity(object, min) == 0)
        min++;
    memset(cache, 0, sizeof(*cache));
    cache->arena = arena;
    cache->name = name;
    cache->object_bytes = object;
    cache->slab_order = order_for(object, min);
    cache->min_order = min;
    cache->per_slab = qy_slab_capacity(object, cache->slab_order);
    cache->secret = ((uint64_t)(uintptr_t)cache ^ object) * 0xd6e8feb86659fd93ull;
    return QY_OK;
}

static struct qy_slab **list_head(struct qy_cache *cache, unsigned list) QY_REQUIRES(qy_class_slab)
{
    return list == QY_SLAB_PARTIAL ? &cache->partial
           : list == QY_SLAB_EMPTY ? &cache->empty
                                   : &cache->full;
}

static void list_push(struct qy_cache *cache, struct qy_slab *slab, unsigned list)
    QY_REQUIRES(qy_class_slab)
{
    struct qy_slab **head = list_head(cache, list);
    slab->list = (uint8_t)list;
    slab->prev = NULL;
    slab->next = *head;
    if (*head)
        (*head)->prev = slab;
    *head = slab;
}

static void list_remove(struct qy_cache *cache, struct qy_slab *slab) QY_REQUIRES(qy_class_slab)
{
    if (slab->next)
        slab->next->prev = slab->prev;
    if (slab->prev)
        slab->prev->next = slab->next;
    else
        *list_head(cache, slab->list) = slab->next;
}

static void slab_place(struct qy_cache *cache, struct qy_slab *slab) QY_REQUIRES(qy_class_slab)
{
    unsigned list = slab->free == 0                ? QY_SLAB_FULL
                    : slab->free == slab->capacity ? QY_SLAB_EMPTY
                                                   : QY_SLAB_PARTIAL;
    if (list == slab->list)
        return;
    list_remove(cache, slab);
    list_push(cache, slab, list);
}

static unsigned char *object_at(struct qy_slab *slab, unsigned index)
{
    return qy_slab_base(slab) + (size_t)index * slab->cache->object_bytes;
}

static void object_push(struct qy_slab *slab, unsigned index)
{
    unsigned char *object = object_at(slab, index);
    uint64_t link = qy_slab_encode(slab->cache, object, slab->first_free);
    memcpy(object, &link, sizeof(link));
    slab->first_free = (uint16_t)index;
    slab->free++;
    slab->used[index / 64] &= ~(1ull << index % 64);
}

/* Take the first free object, after a look at what it says of the next. */
static void *object_pop(struct qy_slab *slab)
{
    unsigned index = slab->first_free;
    if (index >= slab->capacity || qy_slab_used(slab, index))
        qy_port_broken("SLAB-FREE", "a slab's header is overwritten, at",
                       (uint64_t)(uintptr_t)slab);
    unsigned char *object = object_at(slab, index);
    uint64_t link;
    memcpy(&link, object, sizeof(link));
    uint64_t next = qy_slab_encode(slab->cache, object, link);
    bool last = slab->free == 1;
    if (last ? next != QY_SLAB_NIL
             : next >= slab->capacity || next == index || qy_slab_used(slab, (unsigned)next))
        qy_port_broken("SLAB-FREE", "a free object was written to, at",
                       (uint64_t)(uintptr_t)object);
    slab->first_free = (uint16_t)next;
    slab->free--;
    slab->used[index / 64] |= 1ull << index % 64;
    return object;
}

/* A new slab, on the list of empty ones. */
static enum qy_error slab_add(struct qy_cache *cache) QY_REQUIRES(qy_class_slab)
{
    pfn_t block;
    unsigned order = cache->slab_order;
    enum qy_error error = qy_arena_alloc(cache->arena, order, QY_FRAME_SLAB, &block);
    if (error == QY_OUT_OF_MEMORY && cache->min_order < order) {
        order = cache->min_order;
        error = qy_arena_alloc(cache->arena, order, QY_FRAME_SLAB, &block);
    }
    if (error != QY_OK)
        return error;
    qy_frame_set_word(cache->arena->db, block, (uint64_t)(uintptr_t)cache);
    struct qy_slab *slab = qy_slab_at(qy_port_ram(pfn_to_paddr(block)), order);
    memset(slab, 0, sizeof(*slab));
    slab->cache = cache;
    slab->order = (uint8_t)order;
    slab->capacity = (uint16_t)qy_slab_capacity(cache->object_bytes, order);
    slab->first_free = QY_SLAB_NIL;
    for (unsigned i = slab->capacity; i-- > 0;)
        object_push(slab, i);
    list_push(cache, slab, QY_SLAB_EMPTY);
    cache->slabs++;
    cache->capacity += slab->capacity;
    cache->pages += 1ull << order;
    return QY_OK;
}

/* An empty slab goes back to the arena. */
static void slab_return(struct qy_cache *cache, struct qy_slab *slab) QY_REQUIRES(qy_class_slab)
{
    unsigned order = slab->order;
    pfn_t block = qy_slab_pfn(slab);
    list_remove(cache, slab);
    cache->slabs--;
    cache->capacity -= slab->capacity;
    cache->pages -= 1ull << order;
    slab->cache = NULL;
    if (qy_arena_free(cache->arena, block, order, QY_FRAME_SLAB) != QY_OK)
        qy_port_broken("EXCLUSIVE", "the arena does not know a slab of its own, frame", block.raw);
}

enum qy_error qy_cache_alloc(struct qy_cache *cache, void **out)
{
    void *object = NULL;
    cache_lock(cache);
    enum qy_error error = cache->partial || cache->empty ? QY_OK : slab_add(cache);
    if (error == QY_OK) {
        struct qy_slab *slab = cache->partial ? cache->partial : cache->empty;
        object = object_pop(slab);
        slab_place(cache, slab);
        cache->live++;
    }
    cache_unlock(cache);
    if (error == QY_OK) {
        memset(object, 0, cache->object_bytes);
        *out = object;
    }
    return error;
}

/* The slab of this cache that `object` points into, or null. Reads nothing but the frame database.
 */
static struct qy_slab *slab_of(const struct qy_cache *cache, const void *object)
    QY_REQUIRES(qy_class_slab)
{
    pfn_t frame = paddr_to_pfn(qy_port_paddr(object)), block;
    const struct qy_framedb *db = cache->arena->db;
    enum qy_frame_state state;
    unsigned order;
    if (qy_frame_block(db, frame, &block, &order, &state) != QY_OK || state != QY_FRAME_SLAB ||
        qy_frame_word(db, block) != (uint64_t)(uintptr_t)cache)
        return NULL;
    return qy_slab_at(qy_port_ram(pfn_to_paddr(block)), order);
}

enum qy_error qy_cache_free(struct qy_cache *cache, void *object)
{
    enum qy_error error = QY_NOT_OWNED;
    cache_lock(cache);
    struct qy_slab *slab = slab_of(cache, object);
    if (slab) {
        size_t offset = (size_t)((unsigned char *)object - qy_slab_base(slab));
        size_t index = offset / cache->object_bytes;
        error = QY_NOT_ALLOCATED;
        if (offset % cache->object_bytes == 0 && index < slab->capacity &&
            qy_slab_used(slab, (unsigned)index)) {
            object_push(slab, (unsigned)index);
            cache->live--;
            error = QY_OK;
            if (slab->free == slab->capacity && cache->empty)
                slab_return(cache, slab);
            else
                slab_place(cache, slab);
        }
    }
    cache_unlock(cache);
    return error;
}

void qy_cache_drain(struct qy_cache *cache)
{
    cache_lock(cache);
    while (cache->empty)
        slab_return(cache, cache->empty);
    cache_unlock(cache);
}

uint64_t qy_cache_pages(struct qy_cache *cache)
{
    cache_lock(cache);
    uint64_t pages = cache->pages;
    cache_unlock(cache);
    return pages;
}

void qy_cache_record(struct qy_cache *cache, struct qy_record_cache *out)
{
    cache_lock(cache);
    out->object_bytes = cache->object_bytes;
    out->live = cache->live;
    out->capacity = cache->capacity;
    out->slabs = cache->slabs;
    out->slab_order = cache->slab_order;
    cache_unlock(cache);
}
