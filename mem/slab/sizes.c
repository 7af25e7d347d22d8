/*
 * Size classes, and pieces of whole pages. See qy/heap.h.
 *
 * The word in the frame entry of a large piece's first frame says how many pages it has. Its pages are
 * blocks as the arena hands them out, in a row: a piece that grew in place has smaller ones behind, and a
 * piece that shrinks gives back those that lie behind its new end. Failures: nothing has changed.
 */
#include "../phys/arena_impl.h"
#include "slab_impl.h"

#include <lib/string.h>
#include <qy/frame_cache.h>
#include <qy/heap.h>

/* Bytes of the class before, its own, and its alignment: the largest power of two that divides them. */
#define CLASSES(CLASS)                                                                             \
    CLASS(0, 16, 16)                                                                               \
    CLASS(16, 32, 32)                                                                              \
    CLASS(32, 48, 16)                                                                              \
    CLASS(48, 64, 64)                                                                              \
    CLASS(64, 80, 16)                                                                              \
    CLASS(80, 96, 32)                                                                              \
    CLASS(96, 112, 16)                                                                             \
    CLASS(112, 128, 128)                                                                           \
    CLASS(128, 160, 32)                                                                            \
    CLASS(160, 192, 64)                                                                            \
    CLASS(192, 224, 32)                                                                            \
    CLASS(224, 256, 256)                                                                           \
    CLASS(256, 320, 64)                                                                            \
    CLASS(320, 384, 128)                                                                           \
    CLASS(384, 448, 64)                                                                            \
    CLASS(448, 512, 512)                                                                           \
    CLASS(512, 640, 128)                                                                           \
    CLASS(640, 768, 256)                                                                           \
    CLASS(768, 896, 128)                                                                           \
    CLASS(896, 1024, 1024)                                                                         \
    CLASS(1024, 1280, 256)                                                                         \
    CLASS(1280, 1536, 512)                                                                         \
    CLASS(1536, 1792, 256)                                                                         \
    CLASS(1792, 2048, 2048)                                                                        \
    CLASS(2048, 2560, 512)                                                                         \
    CLASS(2560, 3072, 1024)

#define NUMBER(before, bytes, align) SIZE_##bytes,
enum { CLASSES(NUMBER) SIZES };
_Static_assert(SIZES == QY_SIZE_CLASSES, "the header counts them");

#define TYPE(before, bytes, align) {"size-" #bytes, bytes, align, NULL, 0},
static const struct qy_cache_type types[] = {CLASSES(TYPE)};

#define STEPS(before, bytes, align) [(before) / 16 + 1 ...(bytes) / 16] = SIZE_##bytes,
const uint8_t qy_size_class_of[QY_SIZE_CLASS_MAX / 16 + 1] = {CLASSES(STEPS)};

static const struct qy_cache_type large_type = {"pages", sizeof(struct qy_large), 8, NULL, 0};

enum qy_error qy_sizes_init(struct qy_sizes *sizes, struct qy_heap *heap, uint32_t flags)
{
    sizes->heap = heap;
    for (unsigned i = 0; i < QY_SIZE_CLASSES; i++) {
        struct qy_cache *class = &sizes->classes[i];
        enum qy_error error = qy_cache_init(class, heap, &types[i]);
        if (error != QY_OK)
            return error;
        if (flags & QY_CACHE_UNZEROED) {
            class->flags |= QY_CACHE_UNZEROED;
            class->zero_bytes = 0;
        }
    }
    return qy_cache_init(&sizes->large, heap, &large_type);
}

static bool is_zeroed(const struct qy_sizes *sizes)
{
    return !(sizes->classes[0].flags & QY_CACHE_UNZEROED);
}

/* ---- pages ---- */

static void count_large(struct qy_heap *heap, uint64_t more, uint64_t less)
{
    atomic_fetch_add_explicit(&heap->large_pages, more - less, memory_order_relaxed);
}

/* The number of a large piece's pages, where its first frame's word says that they are. large: null if not tracked. */
static void set_pages(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, pfn_t first,
                      uint64_t pages, struct qy_large *large) QY_REQUIRES(qy_irq_off)
{
    struct qy_framedb *db = sizes->heap->arena->db;
    if (!large) {
        qy_frame_set_word(db, first, pages << QY_LARGE_SHIFT | QY_PLACE_LARGE);
        return;
    }
    large->pages = pages;
    qy_origin_resize(cpu, &sizes->large, large, pages * QY_PAGE_BYTES);
    qy_frame_set_word(db, first, (uint64_t)(uintptr_t)large | QY_LARGE_TRACKED | QY_PLACE_LARGE);
}

/* What stands for a large piece with that word; null if it is not tracked. */
static struct qy_large *word_large(uint64_t word)
{
    return word & QY_LARGE_TRACKED ? (void *)((uintptr_t)word & ~(uintptr_t)7) : NULL;
}

/* The block that a frame is in, if it is of this heap's arena and SLAB; in most cases its entry says so. */
static bool block_find(const struct qy_heap *heap, uint64_t frame, uint64_t *start, unsigned *order)
{
    const struct qy_framedb *db = heap->arena->db;
    qy_tag_t head = qy_framedb_head(db, frame);
    if (head) {
        *start = frame;
        *order = qy_tag_order(head);
        return qy_tag_owner(head) == heap->arena && qy_tag_state(head) == QY_FRAME_SLAB;
    }
    struct qy_found found = qy_framedb_find(db, frame);
    *start = found.start;
    *order = found.order;
    return found.level != QY_AT_NOTHING && found.owner == heap->arena &&
           found.state == QY_FRAME_SLAB;
}

/* First frame, pages and word of the large piece that begins there. Errors: as qy_sizes_free. */
static enum qy_error large_find(const struct qy_heap *heap, const void *piece, pfn_t *first,
                                uint64_t *pages, uint64_t *word)
{
    unsigned order;
    if (!block_find(heap, qy_heap_frame(heap, piece), &first->raw, &order))
        return QY_NOT_OWNED;
    *word = qy_word_load(&heap->arena->db->frames[first->raw].word);
    if (qy_word_kind(*word) != QY_PLACE_LARGE || piece != qy_port_ram(pfn_to_paddr(*first)))
        return QY_NOT_ALLOCATED; /* inside a piece, or a slab */
    const struct qy_large *large = word_large(*word);
    *pages = large ? large->pages : *word >> QY_LARGE_SHIFT;
    return QY_OK;
}

/* The same, for whoever is to free it: one of all who try. Who comes later finds no piece. */
static enum qy_error large_claim(struct qy_heap *heap, const void *piece, pfn_t *first,
                                 uint64_t *pages, struct qy_large **large)
{
    uint64_t word;
    enum qy_error error = large_find(heap, piece, first, pages, &word);
    if (error != QY_OK)
        return error;
    *large = word_large(word);
    if (!atomic_compare_exchange_strong(&heap->arena->db->frames[first->raw].word, &word, 0))
        return QY_NOT_ALLOCATED;
    count_large(heap, 0, *pages);
    return QY_OK;
}

static void large_drop(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, struct qy_large *large)
    QY_REQUIRES(qy_irq_off)
{
    if (large && qy_cache_free(cpu, &sizes->large, large) != QY_OK)
        qy_port_broken("SLAB-COUNT", "what stands for a large piece cannot be freed, at",
                       (uint64_t)(uintptr_t)large);
}

/* Blocks in a row, from `at` to `end` exactly. */
static void blocks_free(struct qy_cpu_objects *cpu, struct qy_heap *heap, uint64_t at, uint64_t end)
{
    while (at < end) {
        unsigned order;
        uint64_t start;
        block_find(heap, at, &start, &order);
        qy_slab_pages_free(cpu, heap->arena, pfn(at), order);
        at += 1ull << order;
    }
}

static enum qy_error large_alloc(struct qy_cpu_objects *cpu, struct qy_heap *heap, size_t bytes,
                                 size_t align, pfn_t *first, uint64_t *pages)
{
    struct qy_arena *arena = heap->arena;
    *pages = bytes / QY_PAGE_BYTES + (bytes % QY_PAGE_BYTES != 0);
    if (*pages > arena->total_pages || align / QY_PAGE_BYTES > arena->end.raw)
        return QY_OUT_OF_MEMORY;
    if (align > QY_PAGE_BYTES) {
        struct qy_bounds bounds = {arena->base, arena->end, qy_order_of(align / QY_PAGE_BYTES)};
        return qy_arena_alloc_in(arena, *pages, &bounds, QY_FRAME_SLAB, first);
    }
    if ((*pages & (*pages - 1)) == 0 && *pages <= QY_BLOCK_PAGES)
        return qy_slab_pages_alloc(cpu, arena, qy_order_of(*pages), first);
    return qy_arena_alloc_pages(arena, *pages, QY_FRAME_SLAB, first);
}

/* Take what lies behind a large piece; false, with nothing changed, if it is not free. */
static bool large_extend(struct qy_heap *heap, uint64_t at, uint64_t end)
{
    uint64_t start = at;
    while (at < end) {
        unsigned order = qy_range_order(at, end);
        order = order < QY_MAX_ORDER ? order : QY_MAX_ORDER;
        if (qy_arena_alloc_at(heap->arena, pfn(at), order, QY_FRAME_SLAB) != QY_OK)
            break;
        at += 1ull << order;
    }
    if (at < end)
        blocks_free(NULL, heap, start, at);
    return at >= end;
}

/* ---- pieces ---- */

/* The smallest class of at least so many bytes whose pieces are aligned so; null if none is. */
static struct qy_cache *class_for(struct qy_sizes *sizes, size_t bytes, size_t align)
{
    bytes = bytes < align ? align : bytes;
    if (bytes > QY_SIZE_CLASS_MAX)
        return NULL;
    for (unsigned i = qy_size_class(bytes); i < QY_SIZE_CLASSES; i++)
        if (types[i].align >= align)
            return &sizes->classes[i];
    return NULL;
}

enum qy_error qy_sizes_alloc_slow(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, size_t bytes,
                                  size_t align, const struct qy_site *site, void **out)
{
    struct qy_heap *heap = sizes->heap;
    pfn_t first;
    uint64_t pages;
    if (bytes == 0 || align == 0 || (align & (align - 1)))
        return QY_INVALID_ARGUMENT;
    struct qy_cache *class = class_for(sizes, bytes, align);
    if (class)
        return qy_cache_alloc_bytes(cpu, class, bytes, site, out);
    void *large = NULL;
    enum qy_error error = QY_OK;
    if (sizes->large.flags & QY_CACHE_TRACKED)
        error = qy_cache_alloc_from(cpu, &sizes->large, site, &large);
    if (error == QY_OK)
        error = large_alloc(cpu, heap, bytes, align, &first, &pages);
    if (error == QY_OUT_OF_MEMORY && (large || !(sizes->large.flags & QY_CACHE_TRACKED))) {
        qy_heap_drain(cpu, heap);
        if (cpu->frames) /* free frames there may be just those that a run or an alignment needs */
            qy_frame_drain(cpu->frames, heap->arena);
        error = large_alloc(cpu, heap, bytes, align, &first, &pages);
    }
    if (error != QY_OK) {
        large_drop(cpu, sizes, large);
        return error;
    }
    set_pages(cpu, sizes, first, pages, large);
    count_large(heap, pages, 0);
    void *piece = qy_port_ram(pfn_to_paddr(first));
    if (is_zeroed(sizes))
        memset(piece, 0, pages * QY_PAGE_BYTES);
    *out = piece;
    return QY_OK;
}

enum qy_error qy_sizes_free_other(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, void *piece,
                                  uint64_t word)
{
    struct qy_heap *heap = sizes->heap;
    pfn_t first;
    uint64_t pages;
    struct qy_large *large;
    enum qy_error error = QY_NOT_OWNED;
    if (qy_word_kind(word) != QY_PLACE_LARGE)
        error = qy_heap_free(cpu, heap, NULL, piece);
    if (error != QY_NOT_OWNED)
        return error;
    error = large_claim(heap, piece, &first, &pages, &large);
    if (error != QY_OK)
        return error;
    blocks_free(cpu, heap, first.raw, first.raw + pages);
    large_drop(cpu, sizes, large);
    return QY_OK;
}

/* What a piece of a class has room for. */
static size_t asked(const struct qy_cache *class, void *object)
{
#if QY_CONFIG_HEAP_TOOLS
    return qy_object_asked(class, object);
#else
    (void)object;
    return class->type->bytes;
#endif
}

/* Of any piece. pages: 0 for what is in a class, or guarded. */
static enum qy_error room(struct qy_sizes *sizes, void *piece, size_t *bytes, pfn_t *first,
                          uint64_t *pages)
{
    struct qy_heap *heap = sizes->heap;
    const struct qy_heap_hooks *hooks = heap->hooks;
    struct qy_cache *class;
    void *object;
    uint64_t word;
    *pages = 0;
    if (hooks && hooks->guard_size && qy_heap_is_guarded(heap, piece))
        return hooks->guard_size(heap, piece, bytes);
    enum qy_error error = qy_heap_find(heap, piece, &class, &object);
    if (error == QY_OK) {
        *bytes = asked(class, object);
        return object == piece ? QY_OK : QY_NOT_ALLOCATED;
    }
    if (error != QY_NOT_OWNED)
        return error;
    error = large_find(heap, piece, first, pages, &word);
    *bytes = *pages * QY_PAGE_BYTES;
    return error;
}

enum qy_error qy_sizes_room(struct qy_sizes *sizes, void *piece, size_t *bytes)
{
    pfn_t first;
    uint64_t pages;
    return room(sizes, piece, bytes, &first, &pages);
}

/* A piece of `room` ends at `bytes`: what lies behind is zero when it grows again. */
static void cut(const struct qy_sizes *sizes, void *piece, size_t bytes, size_t room)
{
    if (is_zeroed(sizes))
        memset((unsigned char *)piece + bytes, 0, room - bytes);
}

/* A large piece gets `wanted` pages, or a few more, where it is: *count changes; false if it cannot. */
static bool large_resize(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, pfn_t first,
                         uint64_t *count, uint64_t wanted) QY_REQUIRES(qy_irq_off)
{
    struct qy_heap *heap = sizes->heap;
    uint64_t pages = *count;
    if (wanted > pages) {
        if (wanted > heap->arena->total_pages ||
            !large_extend(heap, first.raw + pages, first.raw + wanted))
            return false;
        if (is_zeroed(sizes))
            memset(qy_port_ram(pfn_to_paddr(pfn(first.raw + pages))), 0,
                   (wanted - pages) * QY_PAGE_BYTES);
    } else {
        uint64_t kept = 0; /* blocks that hold what stays */
        while (kept < wanted)
            kept += 1ull << qy_framedb_find(heap->arena->db, first.raw + kept).order;
        if (kept > wanted + wanted / 2)
            return false;
        blocks_free(cpu, heap, first.raw + kept, first.raw + pages);
        wanted = kept;
    }
    set_pages(cpu, sizes, first, wanted, word_large(qy_frame_word(heap->arena->db, first)));
    count_large(heap, wanted, pages);
    *count = wanted;
    return true;
}

/* The object that has the origin of a live piece, and its cache; null if the heap is not tracked. */
static void *origin_object(struct qy_sizes *sizes, void *piece, struct qy_cache **cache)
{
    pfn_t first;
    uint64_t pages, word;
    void *object = NULL;
    if (!(sizes->large.flags & QY_CACHE_TRACKED))
        return NULL;
    if (qy_heap_find(sizes->heap, piece, cache, &object) == QY_OK)
        return object;
    *cache = &sizes->large;
    if (large_find(sizes->heap, piece, &first, &pages, &word) == QY_OK)
        return word_large(word);
    return qy_heap_is_guarded(sizes->heap, piece) ? piece
                                                  : NULL; /* its pool knows, whichever the cache */
}

static const struct qy_site *site_of(struct qy_sizes *sizes, void *piece)
{
#if QY_CONFIG_HEAP_TOOLS
    struct qy_allocation allocation;
    struct qy_cache *cache;
    void *object = origin_object(sizes, piece, &cache);
    return object && qy_allocation_read(cache, object, &allocation) ? allocation.site : NULL;
#else
    (void)sizes, (void)piece;
    return NULL;
#endif
}

static void origin_resize(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, void *piece,
                          size_t bytes) QY_REQUIRES(qy_irq_off)
{
    struct qy_cache *cache;
    void *object = origin_object(sizes, piece, &cache);
    if (object)
        qy_origin_resize(cpu, cache, object, bytes);
}

void qy_sizes_origin_set(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, void *piece,
                         const struct qy_owner *owner)
{
    struct qy_cache *cache;
    void *object = origin_object(sizes, piece, &cache);
    if (object)
        qy_origin_set(cpu, cache, object, owner);
}

enum qy_error qy_sizes_resize(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, void **piece,
                              size_t bytes)
{
    size_t have;
    pfn_t first;
    uint64_t pages;
    void *moved;
    if (bytes == 0)
        return QY_INVALID_ARGUMENT;
    enum qy_error error = room(sizes, *piece, &have, &first, &pages);
    if (error != QY_OK)
        return error;
    bool is_watched = (sizes->classes[0].flags & QY_CACHE_EXACT) == QY_CACHE_EXACT;
    if (pages == 0 && !is_watched && bytes <= have && bytes > have / 2) {
        cut(sizes, *piece, bytes, have);
        origin_resize(cpu, sizes, *piece, bytes);
        return QY_OK;
    }
    uint64_t wanted = bytes / QY_PAGE_BYTES + (bytes % QY_PAGE_BYTES != 0);
    if (pages && bytes > QY_SIZE_CLASS_MAX && large_resize(cpu, sizes, first, &pages, wanted)) {
        cut(sizes, *piece, bytes, pages * QY_PAGE_BYTES);
        return QY_OK;
    }
    error = qy_sizes_alloc_from(cpu, sizes, bytes, 1, site_of(sizes, *piece), &moved);
    if (error != QY_OK)
        return bytes <= have ? QY_OK : error; /* what is too large will do */
    memcpy(moved, *piece, bytes < have ? bytes : have);
    error = qy_sizes_free(cpu, sizes, *piece);
    *piece = moved;
    return error;
}
