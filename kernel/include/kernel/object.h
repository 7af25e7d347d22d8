/*
 * Kernel objects: what capabilities name, and the memory that they are made of.
 *
 *     untyped -- arena -- pages: frames, tables, capability nodes, child untypeds
 *            \-- a slab cache for each type: headers; every object begins with struct object
 *
 * An object lives as long as a capability names it. When the last one goes it is doomed:
 * kernel/teardown.h takes it apart and gives its memory back to the untyped that it came from.
 *
 * Invariants
 *   CONSERVE   an untyped's `objects` is the number of objects that hold memory of its arena
 *   PAID       headers and pages come from the untyped that the caller named, nothing else
 *   OBJ-COUNT  `capabilities` is the number of slots that name the object
 *
 * Locking: qy_class_caps. Cost: that of the arena and the cache; object_zero O(bytes).
 */
#ifndef KERNEL_OBJECT_H
#define KERNEL_OBJECT_H

#include <kernel/watch.h>
#include <qy/vm.h>

enum object_flags {
    OBJECT_DYING = 1,    /* no capability names it any more */
    OBJECT_REVOKING = 2, /* an untyped: its descendants are being destroyed */
    OBJECT_STATIC = 4,   /* part of the kernel: it has no memory to give back */
    OBJECT_ZEROED = 16,  /* reserved: its pages hold zeroes already */
    OBJECT_DEVICE = 32,  /* a frame of device memory: kernel/device.h */
    OBJECT_DETACHED = 8, /* a thread or table: the first step of taking it apart is done */
};

struct object {
    uint8_t type;  /* enum qy_object_type */
    uint8_t flags; /* enum object_flags */
    uint32_t
        pins; /* uses by calls that wait for other CPUs: its memory stays until they are gone */
    uint64_t capabilities;
    uint64_t id;             /* never used again, for messages and records */
    struct untyped *untyped; /* where its memory came from; null if static */
    struct object *link;     /* next in a list of a teardown or of a retype under way */
};

/* Is it an end of a binding? Threads hold capabilities of their own; other holders act for others. */
static inline bool slot_is_end(const struct slot *slot)
{
    return (slot->flags & SLOT_BOUND) && slot->holder->type != QY_OBJ_THREAD;
}

#define OBJECT_SMALL_TYPES (QY_OBJ_DEVICE_MEMORY + 1) /* types below it have a slab cache in an untyped */

struct device_frame;

/* Objects that exist, and their bytes (headers and pages). */
struct object_totals {
    uint64_t live, bytes;
};

/* Memory that objects are made of: the design's arena with a capability. */
struct untyped {
    struct object object;
    struct slot anchor;     /* parent of the capabilities of all objects made from it */
    struct qy_arena *arena; /* &own, or a root arena */
    struct qy_arena own;
    uint64_t objects;
    uint64_t stuck; /* of them, those that a device keeps which does not stop: nobody will free them */
    struct device_frame *device_frames;         /* whose headers it pays for, and which have a capability */
    struct watch watch;                         /* who is told when its memory becomes scarce */
    struct untyped *next, *prev;                /* of all untypeds */
    struct qy_heap heap;                        /* of the headers of objects made from it */
    struct qy_budget budget; /* of tables and mappings that it pays for; arena null = not used yet */
    struct space *spaces;    /* that it is bound to as their budget */
    bool lent;               /* its budget has been used: CPUs may have some of it in hand */
    bool delegated;          /* spaces may have frames and tables of it */
    struct qy_cache caches[OBJECT_SMALL_TYPES - 1]; /* by type, from 1; heap null = not used yet */
    struct object_totals totals[OBJECT_SMALL_TYPES - 1]; /* of the objects made from it */
};

static inline struct qy_cache *untyped_cache(struct untyped *untyped, unsigned type)
{
    return &untyped->caches[type - 1];
}

struct dma;

/* A power of two of pages that can be mapped. Its mappings are in the capability slots
 * (kernel/space.h). */
struct frame {
    struct object object;
    pfn_t first;
    uint8_t order;
    struct dma *dma; /* a device that has it pinned (kernel/dma.h) */
};

/* An array of slots. */
struct cap_node {
    struct object object;
    struct slot *slots; /* slot 0 stays empty: the null handle */
    uint32_t count;
    uint32_t cursor; /* slots below are empty already, when it is taken apart */
    pfn_t first;
    uint8_t order;
};

/* What a failed allocation wanted and what there was. */
struct shortage {
    uint64_t pages;
    int largest_order; /* -1: nothing is free */
};

/*
 * Take memory for one object of that type out of an untyped: a header, which is zeroed, and its
 * pages, which are not. The object has no capability yet. pages: a power of two for FRAME and
 * CAP_NODE, any number for UNTYPED, else 0 or 1. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY (*shortage
 * says of what); nothing has changed then.
 */
enum qy_error object_reserve(struct untyped *from, enum qy_object_type type, uint64_t pages,
                             struct object **out, struct shortage *shortage) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* The header of a frame of device memory, which brings no pages from the untyped. Errors: OUT_OF_MEMORY. */
enum qy_error object_reserve_device_frame(struct untyped *from, struct object **out,
                                          struct shortage *shortage) QY_MUST_USE
    QY_REQUIRES(qy_class_caps);

/* Has a reserved object pages that may hold what an earlier owner left? If so they are to be zeroed (ZERO), with preemption
 * points, which needs no lock: nobody else knows the object yet. */
bool object_is_dirty(const struct object *object);
void object_zero(struct object *object) QY_EXCLUDES(qy_class_caps);

/* The reserved, zeroed object is complete: what its type needs beside zeroes. */
void object_finish(struct object *object) QY_REQUIRES(qy_class_caps);

/* Give the memory of an object without capabilities and pins back. */
void object_free(struct object *object) QY_REQUIRES(qy_class_caps);

/* What firmware and processor know that nobody else does, for the secrets of heaps. Before the first untyped. */
void object_seed(const void *entropy, size_t bytes) QY_REQUIRES(qy_class_caps);

/* Make the kernel's own untyped, which has no capability, of an arena. Boot. */
void untyped_init(struct untyped *untyped, struct qy_arena *arena) QY_REQUIRES(qy_class_caps);

/* An untyped, with its header from `from`, that names a root arena. Boot. Errors: OUT_OF_MEMORY. */
enum qy_error untyped_adopt(struct untyped *from, struct qy_arena *arena,
                            struct untyped **out) QY_MUST_USE QY_REQUIRES(qy_class_caps);

/* All untypeds, in no order. */
struct untyped *untyped_first(void) QY_REQUIRES(qy_class_caps);

/*
 * What this CPU's magazines and frame cache keep of it goes back to the arena, and empty slabs. Of bounded length if the
 * heap keeps no batches.
 */
void untyped_drain(struct untyped *untyped) QY_REQUIRES(qy_class_caps);

/*
 * What all CPUs and spaces keep of it without need goes back: before a call fails for want of memory, or tells how much
 * is free. Lets the lock go meanwhile, with preemption points: afterwards the untyped is still there, but may be dying.
 */
void untyped_gather(struct untyped *untyped) QY_REQUIRES(qy_class_caps);

/* Whether some CPU has a magazine or a frame cache of the untyped, or the guarded allocations have frames of it. */
bool untyped_is_cached(struct untyped *untyped);

/* What all CPUs have of it goes back. Waits for them; the caller sees to it that the untyped stays. */
void untyped_reclaim(struct untyped *untyped) QY_EXCLUDES(qy_class_caps);

/* A number for an object; never given twice. */
uint64_t object_new_id(void) QY_REQUIRES(qy_class_caps);

/* Pages of memory that an object takes beside its header. */
uint64_t object_pages(const struct object *object);

/* All objects of a type. */
struct object_totals object_totals(enum qy_object_type type) QY_REQUIRES(qy_class_caps);

/* Null, or the id of the first invariant that does not hold for an untyped and its caches. Walks
 * its arena. */
const char *untyped_check(struct untyped *untyped) QY_REQUIRES(qy_class_caps);

/*
 * Null, or the id of the first invariant that does not hold in the whole capability graph: trees, objects, memory,
 * threads, timers, run queues. *slots counts capabilities. No CPU changes anything meanwhile.
 */
const char *system_check(uint64_t *slots) QY_REQUIRES(qy_class_caps);

#endif
