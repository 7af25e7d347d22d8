/*
 * Size classes: memory of any size out of one heap, and freed by its address alone.
 *
 *     16 32 48 ... 128 | 160 192 224 256 | 320 ... 512 | 640 ... 1024 | 1280 ... 2048 | 2560 3072 | pages
 *
 * A class is a cache (qy/slab.h): four steps to a doubling, so that a piece is at most a quarter larger than
 * asked for, 8 % on average. What is larger than the largest class comes straight from the buddy, in
 * exactly the pages that it needs. A piece is aligned to the largest power of two that divides its class,
 * and to 16 at least; a larger alignment can be asked for, up to a page in classes and any beyond.
 *
 * Locking, cost and what is found when it comes back: as for caches; pages cost the arena's O(log n).
 * Failures: what cannot be had changes nothing. Why four steps: docs/adr/0017-object-caches.md.
 */
#ifndef QY_HEAP_H
#define QY_HEAP_H

#include <qy/site.h>

#define QY_SIZE_CLASSES 26u
#define QY_SIZE_CLASS_MAX 3072u /* bytes; larger pieces are pages */

struct qy_sizes {
    struct qy_cache classes[QY_SIZE_CLASSES];
    struct qy_heap *heap;
    struct qy_cache large; /* if tracked: an object for each piece of pages, which has the origin */
};

/*
 * Classes in a heap, which may have other caches too. flags: QY_CACHE_UNZEROED, or 0 for pieces that are
 * zeroed. Errors: TOO_MANY (caches in this heap), INVALID_ARGUMENT (the heap's hooks need more room than
 * there is).
 */
enum qy_error qy_sizes_init(struct qy_sizes *sizes, struct qy_heap *heap,
                            uint32_t flags) QY_MUST_USE;

extern const uint8_t qy_size_class_of[QY_SIZE_CLASS_MAX / 16 + 1]; /* by size in steps of 16 */

/* The class of that many bytes, 1 to QY_SIZE_CLASS_MAX. */
static inline unsigned qy_size_class(size_t bytes)
{
    return qy_size_class_of[(bytes + 15) / 16];
}

/* ---- behind the inline function ---- */
enum qy_error qy_sizes_alloc_slow(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, size_t bytes,
                                  size_t align, const struct qy_site *site, void **out) QY_MUST_USE
    QY_REQUIRES(qy_irq_off);

/*
 * A piece of at least so many bytes, aligned to at least `align`, a power of two (1: whatever fits). It is
 * zeroed unless the classes are UNZEROED; pages then are not either. Errors: INVALID_ARGUMENT (0 bytes;
 * an alignment that is no power of two), OUT_OF_MEMORY (more than there is, too; qy_heap_reclaim may
 * help), REVOKED.
 */
static inline QY_MUST_USE enum qy_error
qy_sizes_alloc_from(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, size_t bytes, size_t align,
                    const struct qy_site *site, void **out) QY_REQUIRES(qy_irq_off)
{
    if (bytes - 1 < QY_SIZE_CLASS_MAX && align <= 16 && align != 0 && (align & (align - 1)) == 0) {
        struct qy_cache *class = &sizes->classes[qy_size_class(bytes)];
        cpu->recent = class->slot;
        struct qy_magazine *magazine = qy_magazine_enter(cpu, class);
        void *object;
        bool popped = qy_magazine_try_pop(magazine, magazine->serves == class, &object);
        qy_percpu_leave(&cpu->own);
        if (popped) {
            qy_object_zero(object, class->zero_bytes);
            *out = object;
            return QY_OK;
        }
    }
    return qy_sizes_alloc_slow(cpu, sizes, bytes, align, site, out);
}

static inline QY_MUST_USE enum qy_error qy_sizes_alloc(struct qy_cpu_objects *cpu,
                                                       struct qy_sizes *sizes, size_t bytes,
                                                       size_t align, void **out)
    QY_REQUIRES(qy_irq_off)
{
    return qy_sizes_alloc_from(cpu, sizes, bytes, align, NULL, out);
}

/*
 * Give a piece back, on any CPU. Any pointer is safe to pass. Errors: NOT_OWNED (no piece of this heap:
 * another heap's, or of none), NOT_ALLOCATED (free already, or inside a piece); nothing changes then.
 */
enum qy_error qy_sizes_free(struct qy_cpu_objects *cpu, struct qy_sizes *sizes,
                            void *piece) QY_MUST_USE QY_REQUIRES(qy_irq_off);

/* Bytes that a piece has room for: what was asked for, or more. Errors: as qy_sizes_free. */
enum qy_error qy_sizes_room(struct qy_sizes *sizes, void *piece, size_t *bytes) QY_MUST_USE;

/* qy_origin_set of a piece, which is live: say who owns it. */
void qy_sizes_origin_set(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, void *piece,
                         const struct qy_owner *owner) QY_REQUIRES(qy_irq_off);

/*
 * Change a piece's size in place if its class allows it, or its pages do: pages shrink in place, and grow
 * where those behind them are free. Else a new piece gets what the old one holds, and *piece. What is new
 * holds zeroes, unless the classes are UNZEROED. A piece of a class whose end is watched (QY_CACHE_EXACT) always
 * moves, so that whoever kept the old address is found. Its origin stays. Errors: as the two above; *piece is as it
 * was then.
 */
enum qy_error qy_sizes_resize(struct qy_cpu_objects *cpu, struct qy_sizes *sizes, void **piece,
                              size_t bytes) QY_MUST_USE QY_REQUIRES(qy_irq_off);

#endif
