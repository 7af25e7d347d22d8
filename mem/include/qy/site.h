/*
 * Where memory was allocated, by whom, and what of it still lives.
 *
 *     struct qy_site     one for each place in the program that allocates: static, in the section qy_sites,
 *                        so all of them are listed without registration and found without hashing
 *     qy_site_counts     one a site and CPU: a CPU adds to its own, without atomics; who reads them sums up
 *     struct qy_origin   in the trailer of each object of a tracked cache: its site's number and its owner
 *
 * An allocation names its site by a pointer, and so may a free. A cache without QY_CACHE_TRACKED never gets
 * to see it: tracked ones are not served by the fast path, so off costs nothing. One that is tracked and nothing
 * else has a short path of its own, without hooks: it writes the trailer, once, and adds to two counters; a free adds
 * to two more. What an owner is, the embedder says (in the kernel: the untyped that pays, the thread and the call); it
 * is told with the allocation (qy_cache_alloc_for) or after it (qy_origin_set).
 *
 *     leaks     qy_leaks sums up what lives by site and owner; with `since` only what was made after that
 *               number, so a mark and a second look compare two points in time. qy_allocation_next visits
 *               a bounded stretch of memory a call, for whoever may not look at a whole heap at once
 *     profile   the counters of the sites, live and since the beginning, and the sums of qy_leaks
 *
 * Invariants
 *   SITE-COUNT   total - freed of a site, summed over all CPUs, is the number of live objects of tracked caches whose
 *                trailer names it; total_bytes - freed_bytes is the sum of their bytes
 * Locking: counters and trailers are written with single stores of words, so anyone may look meanwhile; what
 * was seen is exact for objects that lived throughout. Cost: O(1) each; a look at a heap O(objects).
 */
#ifndef QY_SITE_H
#define QY_SITE_H

#include <quarry/tally.h>
#include <qy/slab.h>
#include <stdatomic.h>

/* What one CPU has counted of a site; it may have freed what another allocated. */
struct qy_site_counts {
    _Atomic uint64_t total, total_bytes; /* allocations, since the beginning, and their memory */
    _Atomic uint64_t freed, freed_bytes; /* of these */
};

/* As large as it is aligned, so that the section of sites is an array. */
struct qy_site {
    _Alignas(32) const char *file;
    const char *function, *what;
    uint32_t line;
};

_Static_assert(sizeof(struct qy_site) == 32, "sites are an array");

/* Allocations made at a site and their memory: those that live, and all since the beginning. */
struct qy_site_sums {
    uint64_t live, live_bytes, total, total_bytes;
};

#if QY_CONFIG_HEAP_TOOLS
#define QY_SITES __attribute__((section("qy_sites"), used))
#define QY_SITE_IF_ANY(site) (site)
#else
#define QY_SITES __attribute__((unused))
#define QY_SITE_IF_ANY(site) ((const struct qy_site *)0)
#endif

#if defined(__FILE_NAME__)
#define QY_SITE_FILE __FILE_NAME__
#else
#define QY_SITE_FILE __FILE__
#endif

/* The fields of a site; for tables of sites, which are declared QY_SITES. */
#define QY_SITE_HERE(name, what_)                                                                  \
    {                                                                                              \
        .file = QY_SITE_FILE, .function = (name), .what = (what_), .line = __LINE__                \
    }

/* Here: a pointer to a static site. what: a string that says what is allocated. */
#define QY_SITE(what_)                                                                             \
    (__extension__({                                                                               \
        static const struct qy_site site_ QY_SITES = QY_SITE_HERE(__func__, what_);                \
        QY_SITE_IF_ANY(&site_);                                                                    \
    }))

/* The linker sets these at the ends of the section; both null in a program without sites. */
extern const struct qy_site qy_sites_begin[] __asm__("__start_qy_sites") __attribute__((weak));
extern const struct qy_site qy_sites_end[] __asm__("__stop_qy_sites") __attribute__((weak));

static inline uint64_t qy_site_count(void)
{
    return ((uintptr_t)qy_sites_end - (uintptr_t)qy_sites_begin) / sizeof(struct qy_site);
}

/* The site of that number, from 0; null: there are not so many. */
static inline const struct qy_site *qy_site_at(uint64_t number)
{
    return number < qy_site_count() ? &qy_sites_begin[number] : NULL;
}

static inline uint64_t qy_site_number(const struct qy_site *site)
{
    return ((uintptr_t)site - (uintptr_t)qy_sites_begin) / sizeof(*site);
}

/*
 * Where the CPU counts: qy_site_count() of them, zero, the caller's, which stay. Before it uses a tracked cache: one
 * that has none counts nothing and writes no sites.
 */
static inline void qy_sites_count(struct qy_cpu_objects *cpu, struct qy_site_counts *counts)
{
    cpu->counts = counts;
    cpu->sites = qy_site_count();
}

/* Add what that CPU has counted of a site. Over all CPUs it is exact for what none is about to count. */
void qy_site_read(const struct qy_site *site, const struct qy_cpu_objects *cpu,
                  struct qy_site_sums *sums);

/* Who allocated, and how much. */
struct qy_owner {
    uint64_t payer, thread, call; /* numbers, as the embedder gives them */
    uint64_t number;              /* from 1 on, grows from one allocation to the next */
    uint64_t bytes;               /* that it stands for: the object, and what came with it */
    uint64_t time;                /* of the embedder's clock */
};

/* The trailer of a tracked object; of a guarded one, it lies in the pool's table. */
struct qy_origin {
    _Atomic uint64_t
        sites; /* a site's number + 1, or 0: where it was allocated; above bit 32, freed */
    _Atomic uint64_t bytes;  /* of memory, as it is counted */
    _Atomic uint64_t number; /* 0: nobody has said whose it is, and what follows says nothing */
    _Atomic uint64_t payer, thread, time;
    _Atomic uint32_t call;
    _Atomic uint32_t
        asked; /* by an EXACT cache's caller: the object's bytes, or fewer in a size class */
};

_Static_assert(sizeof(struct qy_origin) == QY_TRAILER_BYTES, "an origin is the trailer");

/* What an object says of itself. */
struct qy_allocation {
    struct qy_cache *cache;
    void *object;
    const struct qy_site *site, *freed; /* null: unknown */
    struct qy_owner owner;
};

/* False: its cache is not tracked; site and owner are unknown then. */
bool qy_allocation_read(struct qy_cache *cache, void *object, struct qy_allocation *out);

/* For the hooks of guarded objects: one is given back by this CPU. */
void qy_origin_given(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object,
                     const struct qy_site *freed);

/* Bytes that were asked for, where that is known (QY_CACHE_EXACT); else those of the type. */
size_t qy_object_asked(const struct qy_cache *cache, void *object);

void qy_origin_set_tracked(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object,
                           const struct qy_owner *owner);
void qy_origin_resize_tracked(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object,
                              uint64_t bytes);

/* Say who owns an object that the caller has just been given. A cache that is not tracked pays for the
 * test of its flags. */
static inline void qy_origin_set(struct qy_cpu_objects *cpu, struct qy_cache *cache, void *object,
                                 const struct qy_owner *owner) QY_REQUIRES(qy_irq_off)
{
    if (QY_CONFIG_HEAP_TOOLS && cache->flags & QY_CACHE_TRACKED)
        qy_origin_set_tracked(cpu, cache, object, owner);
}

/* An object stands for another number of bytes. */
static inline void qy_origin_resize(struct qy_cpu_objects *cpu, struct qy_cache *cache,
                                    void *object, uint64_t bytes) QY_REQUIRES(qy_irq_off)
{
    if (QY_CONFIG_HEAP_TOOLS && cache->flags & QY_CACHE_TRACKED)
        qy_origin_resize_tracked(cpu, cache, object, bytes);
}

/* What the allocations of a row of qy_leaks have in common; `oldest` is their smallest number. */
enum qy_leak_key { QY_LEAK_PAYER, QY_LEAK_THREAD, QY_LEAK_CALL, QY_LEAK_SITE, QY_LEAK_TYPE };

/*
 * Add what lives in the tracked caches of the heap, and was made after the number `since` (0: all), to a tally. SITE
 * is the number of the site, or ~0; TYPE the address of the cache's type. Takes the heap's lock.
 */
void qy_leaks(struct qy_heap *heap, uint64_t since, struct qy_tally *tally);

/*
 * Look for the next live object of a tracked cache from the physical address *cursor on, over at most
 * `steps` blocks of memory and places in slabs. True: *out is one. *cursor is where to go on, 0 at the end.
 * Restartable at any address; the caller sees to it that no heap of the database goes away, and nobody
 * frees what is looked at, meanwhile.
 */
bool qy_allocation_next(const struct qy_framedb *db, uint64_t *cursor, unsigned steps,
                        struct qy_allocation *out);

#endif
