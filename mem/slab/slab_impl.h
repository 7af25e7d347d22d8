/*
 * A slab's header and the arithmetic on it. Private to mem/slab.
 */
#ifndef QY_SLAB_IMPL_H
#define QY_SLAB_IMPL_H

#include <qy/slab.h>

#define QY_SLAB_OBJECT_MIN 16u
#define QY_SLAB_OBJECTS_MAX                                                                        \
    256u /* a page of the smallest; larger objects need larger slabs, but fewer fit */
#define QY_SLAB_WORDS (QY_SLAB_OBJECTS_MAX / 64)
#define QY_SLAB_NIL 0xffffu

enum qy_slab_list { QY_SLAB_PARTIAL, QY_SLAB_EMPTY, QY_SLAB_FULL };

struct qy_slab {
    struct qy_cache *cache;
    struct qy_slab *next, *prev; /* list of the cache; null ends it */
    uint16_t first_free;         /* index, QY_SLAB_NIL if none */
    uint16_t free;               /* free objects */
    uint16_t capacity;
    uint8_t order;
    uint8_t list;                 /* enum qy_slab_list */
    uint64_t used[QY_SLAB_WORDS]; /* bit set: object handed out */
};

_Static_assert((QY_PAGE_BYTES << QY_SLAB_MAX_ORDER) - sizeof(struct qy_slab) == QY_SLAB_OBJECT_MAX,
               "the public limit is what fits");

static inline uint64_t qy_slab_bytes(unsigned order)
{
    return QY_PAGE_BYTES << order;
}

/* The header of the slab whose first byte is `base`. */
static inline struct qy_slab *qy_slab_at(unsigned char *base, unsigned order)
{
    return (struct qy_slab *)(void *)(base + qy_slab_bytes(order) - sizeof(struct qy_slab));
}

static inline unsigned char *qy_slab_base(struct qy_slab *slab)
{
    return (unsigned char *)(slab + 1) - qy_slab_bytes(slab->order);
}

static inline unsigned qy_slab_capacity(uint32_t object_bytes, unsigned order)
{
    uint64_t count = (qy_slab_bytes(order) - sizeof(struct qy_slab)) / object_bytes;
    return count < QY_SLAB_OBJECTS_MAX ? (unsigned)count : QY_SLAB_OBJECTS_MAX;
}

static inline bool qy_slab_used(const struct qy_slab *slab, unsigned index)
{
    return slab->used[index / 64] >> index % 64 & 1;
}

/* What a free object at that address holds instead of the index of the next one; its own inverse.
 */
static inline uint64_t qy_slab_encode(const struct qy_cache *cache, const void *object,
                                      uint64_t next)
{
    return next ^ cache->secret ^ (uint64_t)(uintptr_t)object * 0x9e3779b97f4a7c15ull;
}

static inline pfn_t qy_slab_pfn(struct qy_slab *slab)
{
    return paddr_to_pfn(qy_port_paddr(qy_slab_base(slab)));
}

#endif
