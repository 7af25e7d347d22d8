/*
 * Memory of objects: headers from the slab caches of an untyped, pages from its arena.
 */
#include <kernel/device.h>
#include <kernel/dma.h>
#include <kernel/guard.h>
#include <kernel/heap.h>
#include <kernel/ipc.h>
#include <kernel/memory.h>
#include <kernel/preempt.h>
#include <kernel/print.h>
#include <kernel/space.h>
#include <kernel/timer.h>
#include <kernel/trace.h>
#include <lib/string.h>

#define HEADER_ALIGN 16u
#define ZERO_BYTES 0x10000u /* zeroed between two preemption points */

struct kind {
    struct qy_cache_type header; /* 0 bytes: cannot be made from an untyped */
    bool has_pages;              /* beside the header */
    bool any_order;              /* the caller says how many, a power of two; else one page */
    enum qy_frame_state state;   /* of those pages */
};

#define HEADER(name, type)                                                                         \
    {                                                                                              \
        name, sizeof(type), HEADER_ALIGN, NULL, 0                                                  \
    }

static const struct kind kinds[QY_OBJ_COUNT] = {
    [QY_OBJ_UNTYPED] = {HEADER("untyped", struct untyped), false, false, QY_FRAME_CHILD},
    [QY_OBJ_FRAME] = {HEADER("frame", struct frame), true, true, QY_FRAME_USER},
    [QY_OBJ_PAGE_TABLE] = {HEADER("page table", struct page_table), true, false, QY_FRAME_TABLE},
    [QY_OBJ_ADDRESS_SPACE] = {HEADER("address space", struct space), false, false, QY_FRAME_TABLE},
    [QY_OBJ_CAP_NODE] = {HEADER("capability node", struct cap_node), true, true, QY_FRAME_OBJECT},
    [QY_OBJ_THREAD] = {HEADER("thread", struct thread), false, false, QY_FRAME_OBJECT},
    [QY_OBJ_ENDPOINT] = {HEADER("endpoint", struct endpoint), false, false, QY_FRAME_OBJECT},
    [QY_OBJ_REPLY] = {HEADER("reply", struct reply), false, false, QY_FRAME_OBJECT},
    [QY_OBJ_TIMER] = {HEADER("timer", struct timer), false, false, QY_FRAME_OBJECT},
    [QY_OBJ_NOTIFICATION] = {HEADER("notification", struct notification), false, false,
                             QY_FRAME_OBJECT},
    [QY_OBJ_INTERRUPT] = {HEADER("interrupt", struct interrupt), false, false, QY_FRAME_OBJECT},
    [QY_OBJ_MEMORY] = {HEADER("memory object", struct memory), false, false, QY_FRAME_USER},
    [QY_OBJ_IO_PORTS] = {HEADER("port range", struct io_ports), false, false, QY_FRAME_OBJECT},
    [QY_OBJ_DMA] = {HEADER("DMA device", struct dma), false, false, QY_FRAME_OBJECT},
    /* Of device memory, and of the frames that are made of it. */
    [QY_OBJ_DEVICE_MEMORY] = {HEADER("device memory", struct device_frame), false, false,
                              QY_FRAME_OBJECT},
};
_Static_assert(sizeof(struct device_memory) <= sizeof(struct device_frame), "one cache for both");

/* Whose kind and cache an object's header is of. */
static unsigned kind_of(const struct object *object)
{
    return object->flags & OBJECT_DEVICE ? (unsigned)QY_OBJ_DEVICE_MEMORY : object->type;
}

/* Where headers are allocated: a site for each type. */
static const struct qy_site sites[QY_OBJ_COUNT] QY_SITES = {
#define X(NAME, value, name, retype) [value] = QY_SITE_HERE("object_reserve", name),
    QY_OBJECTS(X)
#undef X
};

static struct object_totals totals[QY_OBJ_COUNT] QY_GUARDED_BY(qy_class_caps);
static struct untyped *untypeds QY_GUARDED_BY(qy_class_caps);
static uint64_t last_id QY_GUARDED_BY(qy_class_caps);
static uint64_t secret_state QY_GUARDED_BY(qy_class_caps);

uint64_t object_new_id(void)
{
    return ++last_id;
}

struct object_totals object_totals(enum qy_object_type type)
{
    return totals[type];
}

struct untyped *untyped_first(void)
{
    return untypeds;
}

/* First page and order of what an object has beside its header; false if that is nothing. */
static bool pages_of(const struct object *object, pfn_t *first, unsigned *order)
{
    *order = 0;
    if (object->flags & OBJECT_DEVICE) /* they are nobody's memory */
        return false;
    switch ((enum qy_object_type)object->type) {
    case QY_OBJ_FRAME:
        *first = ((const struct frame *)object)->first;
        *order = ((const struct frame *)object)->order;
        return true;
    case QY_OBJ_CAP_NODE:
        *first = ((const struct cap_node *)object)->first;
        *order = ((const struct cap_node *)object)->order;
        return true;
    case QY_OBJ_PAGE_TABLE:
        *first = ((const struct page_table *)object)->frame;
        return true;
    default:
        return false;
    }
}

uint64_t object_pages(const struct object *object)
{
    pfn_t first;
    unsigned order;
    if (object->type == QY_OBJ_UNTYPED) {
        const struct untyped *untyped = (const struct untyped *)object;
        return untyped->arena == &untyped->own ? untyped->own.total_pages : 0;
    }
    if (object->type == QY_OBJ_ADDRESS_SPACE || object->type == QY_OBJ_MEMORY)
        return 1; /* its root table */
    return pages_of(object, &first, &order) ? 1ull << order : 0;
}

static uint64_t object_bytes(const struct object *object)
{
    return kinds[kind_of(object)].header.bytes + object_pages(object) * QY_PAGE_BYTES;
}

static void set_pages(struct object *object, pfn_t first, unsigned order)
{
    switch ((enum qy_object_type)object->type) {
    case QY_OBJ_FRAME:
        ((struct frame *)object)->first = first;
        ((struct frame *)object)->order = (uint8_t)order;
        break;
    case QY_OBJ_CAP_NODE: {
        struct cap_node *node = (struct cap_node *)object;
        node->first = first;
        node->order = (uint8_t)order;
        node->slots = qy_port_ram(pfn_to_paddr(first));
        node->count = (uint32_t)(SLOTS_PER_PAGE << order);
        break;
    }
    default:
        ((struct page_table *)object)->frame = first;
        break;
    }
}

static void untyped_link(struct untyped *untyped) QY_REQUIRES(qy_class_caps)
{
    untyped->next = untypeds;
    untyped->prev = NULL;
    if (untypeds)
        untypeds->prev = untyped;
    untypeds = untyped;
}

static void untyped_unlink(struct untyped *untyped) QY_REQUIRES(qy_class_caps)
{
    if (untyped->prev)
        untyped->prev->next = untyped->next;
    else
        untypeds = untyped->next;
    if (untyped->next)
        untyped->next->prev = untyped->prev;
}

static enum qy_error header_alloc(struct untyped *from, enum qy_object_type type,
                                  struct object **out, struct shortage *shortage)
    QY_REQUIRES(qy_class_caps)
{
    struct qy_cache *cache = untyped_cache(from, type);
    if (!cache->heap) {
        enum qy_error error = qy_cache_init(cache, &from->heap, &kinds[type].header);
        if (error != QY_OK)
            return error;
    }
    void *memory;
    qy_irq_is_off();
    enum qy_error error = qy_cache_alloc_from(&cpu_this()->objects, cache, &sites[type], &memory);
    if (error != QY_OK) {
        shortage->pages = 1ull << cache->min_order;
        return error;
    }
    *out = memory;
    (*out)->type = (uint8_t)type;
    (*out)->untyped = from;
    (*out)->id = object_new_id();
    return QY_OK;
}

static void header_free(struct object *object)
{
    struct qy_cache *cache = untyped_cache(object->untyped, kind_of(object));
    qy_irq_is_off();
    enum qy_error error =
        qy_cache_free_from(&cpu_this()->objects, cache, object, QY_SITE("the header of an object"));
    if (error == QY_NOT_ALLOCATED)
        heap_refused(cache, object);
    if (error != QY_OK)
        kernel_panic("SLAB-FREE: the header of a %s cannot be freed: %s", cache->type->name,
                     qy_error_name(error));
}

/* Its objects are in no use to whoever could guess it; so an attacker must not. */
static uint64_t new_secret(void) QY_REQUIRES(qy_class_caps)
{
    secret_state += 0x9e3779b97f4a7c15ull;
    uint64_t x = secret_state;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static void heap_init(struct untyped *untyped, struct qy_arena *arena) QY_REQUIRES(qy_class_caps)
{
    guard_heap_init(&untyped->heap, arena, new_secret());
    untyped->heap.by_steps = true; /* see untyped_gather */
}

void object_seed(const void *entropy, size_t bytes)
{
    const unsigned char *at = entropy;
    for (size_t i = 0; i < bytes; i++) {
        secret_state = (secret_state ^ at[i]) * 0x100000001b3ull;
        secret_state ^= secret_state >> 29;
    }
}

static enum qy_error pages_alloc(struct untyped *from, struct object *object, uint64_t pages,
                                 struct shortage *shortage) QY_REQUIRES(qy_class_caps)
{
    const struct kind *kind = &kinds[object->type];
    enum qy_error error = QY_OK;
    shortage->pages = pages;
    if (object->type == QY_OBJ_UNTYPED) {
        struct untyped *child = (struct untyped *)object;
        error = qy_arena_carve(from->arena, &child->own, pages, (uint32_t)object->id);
        child->arena = &child->own;
        if (error == QY_OK)
            heap_init(child, &child->own);
    } else if (object->type == QY_OBJ_ADDRESS_SPACE) {
        shortage->pages = 1;
        error = space_make((struct space *)object);
    } else if (object->type == QY_OBJ_MEMORY) {
        shortage->pages = 1;
        error = memory_make((struct memory *)object, pages);
    } else if (kind->has_pages) {
        unsigned order = kind->any_order ? qy_order_of(pages) : 0;
        pfn_t first;
        shortage->pages = 1ull << order;
        bool zeroed;
        qy_irq_is_off();
        error = qy_frame_try_alloc_zeroed(&cpu_this()->frames, from->arena, order, kind->state,
                                          &first, &zeroed);
        if (error == QY_OK) {
            set_pages(object, first, order);
            object->flags |= zeroed ? OBJECT_ZEROED : 0;
        }
    }
    return error;
}

static bool pages_are_valid(enum qy_object_type type, uint64_t pages)
{
    if (type == QY_OBJ_UNTYPED)
        return pages != 0;
    if (type == QY_OBJ_MEMORY)
        return pages <= QY_MEMORY_PAGES_MAX;
    if (kinds[type].any_order)
        return pages - 1 < 1ull << QY_MAX_ORDER && 1ull << qy_order_of(pages) == pages;
    return pages <= 1;
}

static void account(const struct object *object, uint64_t live, uint64_t bytes)
    QY_REQUIRES(qy_class_caps)
{
    struct object_totals *all = &totals[object->type];
    struct object_totals *here = &object->untyped->totals[object->type - 1];
    all->live += live;
    all->bytes += bytes;
    here->live += live;
    here->bytes += bytes;
}

static enum qy_error object_alloc(struct untyped *from, enum qy_object_type type, uint64_t pages,
                                  struct object **out, struct shortage *shortage)
    QY_REQUIRES(qy_class_caps)
{
    enum qy_error error = header_alloc(from, type, out, shortage);
    if (error != QY_OK)
        return error;
    error = pages_alloc(from, *out, pages, shortage);
    if (error != QY_OK)
        header_free(*out);
    return error;
}

/* It has all its memory. */
static void object_made(struct untyped *from, struct object *object) QY_REQUIRES(qy_class_caps)
{
    from->objects++;
    uint64_t bytes = object_bytes(object);
    account(object, 1, bytes);
    heap_object_made(untyped_cache(from, kind_of(object)), object, bytes);
}

enum qy_error object_reserve(struct untyped *from, enum qy_object_type type, uint64_t pages,
                             struct object **out, struct shortage *shortage)
{
    if (type >= QY_OBJ_COUNT || kinds[type].header.bytes == 0 || !pages_are_valid(type, pages))
        return QY_INVALID_ARGUMENT;
    struct object *object;
    enum qy_error error = object_alloc(from, type, pages, &object, shortage);
    if (error != QY_OK) {
        shortage->largest_order = qy_arena_largest(from->arena);
        return error;
    }
    if (type == QY_OBJ_UNTYPED)
        untyped_link((struct untyped *)object);
    object_made(from, object);
    *out = object;
    return QY_OK;
}

enum qy_error object_reserve_device_frame(struct untyped *from, struct object **out,
                                          struct shortage *shortage)
{
    enum qy_error error = header_alloc(from, QY_OBJ_DEVICE_MEMORY, out, shortage);
    if (error != QY_OK) {
        shortage->largest_order = qy_arena_largest(from->arena);
        return error;
    }
    (*out)->type = QY_OBJ_FRAME;
    (*out)->flags = OBJECT_DEVICE;
    object_made(from, *out);
    return QY_OK;
}

/* Other CPUs are answered meanwhile, and interrupts taken: a frame may have a GiB. */
static void zero_answering(uint8_t *at, uint64_t bytes)
{
    for (; bytes > ZERO_BYTES; bytes -= ZERO_BYTES, at += ZERO_BYTES) {
        memset(at, 0, ZERO_BYTES);
        qy_port_relax();
        preempt_point(cpu_this());
    }
    memset(at, 0, bytes);
}

bool object_is_dirty(const struct object *object)
{
    pfn_t first;
    unsigned order;
    return !(object->flags & OBJECT_ZEROED) && pages_of(object, &first, &order);
}

void object_zero(struct object *object)
{
    pfn_t first;
    unsigned order;
    if (pages_of(object, &first, &order))
        zero_answering(qy_port_ram(pfn_to_paddr(first)), QY_PAGE_BYTES << order);
}

void object_finish(struct object *object)
{
    object->flags &= (uint8_t)~OBJECT_ZEROED;
    if (object->type == QY_OBJ_ADDRESS_SPACE)
        space_finish((struct space *)object);
    if (object->type == QY_OBJ_MEMORY)
        memory_finish((struct memory *)object);
    if (object->type == QY_OBJ_THREAD)
        thread_finish((struct thread *)object);
    QY_TRACE(OBJECT_RETYPED, object->untyped->object.id, object->id, object->type,
             object_bytes(object));
}

void object_free(struct object *object)
{
    struct untyped *from = object->untyped;
    pfn_t first;
    unsigned order;
    enum qy_error error = QY_OK;

    QY_TRACE(OBJECT_DELETED, from->object.id, object->id, object->type, object_bytes(object));
    account(object, -1ull, -object_bytes(object));
    if (object->type == QY_OBJ_UNTYPED) {
        struct untyped *untyped = (struct untyped *)object;
        untyped_drain(untyped);
        untyped_unlink(untyped);
        if (untyped->arena == &untyped->own)
            error = qy_arena_return(&untyped->own);
    } else if (object->flags & OBJECT_DEVICE) {
        device_frame_forget((struct device_frame *)object);
    } else if (object->type == QY_OBJ_ADDRESS_SPACE) {
        space_discard((struct space *)object);
    } else if (object->type == QY_OBJ_MEMORY) {
        memory_discard((struct memory *)object);
    } else if (pages_of(object, &first, &order)) {
        qy_irq_is_off();
        error = qy_frame_free(&cpu_this()->frames, from->arena, first, order,
                              kinds[object->type].state);
    }
    if (error != QY_OK)
        kernel_panic("CONSERVE: the memory of %s %u cannot be given back: %s",
                     qy_object_name((enum qy_object_type)object->type), (unsigned)object->id,
                     qy_error_name(error));
    header_free(object);
    from->objects--;
}

void untyped_init(struct untyped *untyped, struct qy_arena *arena)
{
    memset(untyped, 0, sizeof(*untyped));
    untyped->object.type = QY_OBJ_UNTYPED;
    untyped->object.flags = OBJECT_STATIC;
    untyped->object.id = object_new_id();
    untyped->arena = arena;
    heap_init(untyped, arena);
    untyped_link(untyped);
}

enum qy_error untyped_adopt(struct untyped *from, struct qy_arena *arena, struct untyped **out)
{
    struct object *object;
    struct shortage shortage;
    enum qy_error error = header_alloc(from, QY_OBJ_UNTYPED, &object, &shortage);
    if (error != QY_OK)
        return error;
    *out = (struct untyped *)object;
    (*out)->arena = arena;
    heap_init(*out, arena);
    untyped_link(*out);
    object_made(from, object);
    return QY_OK;
}

void untyped_drain(struct untyped *untyped)
{
    struct cpu *cpu = cpu_this();
    qy_irq_is_off();
    qy_heap_drain(&cpu->objects, &untyped->heap);
    qy_frame_drain(&cpu->frames, untyped->arena);
}

bool untyped_is_cached(struct untyped *untyped)
{
    return qy_heap_is_cached(&untyped->heap) || guard_holds_frames(untyped->arena) ||
           qy_arena_is_cached(untyped->arena);
}

void untyped_reclaim(struct untyped *untyped)
{
    struct cpu *cpu = cpu_this();
    space_enter(cpu);
    (void)qy_vm_reclaim(&kernel_vm); /* tables that spaces have given up */
    space_leave(cpu);
    do {
        preempt_point(cpu);
    } while (qy_heap_reclaim_step(&untyped->heap));
    qy_heap_reclaim(&untyped->heap);
    do {
        preempt_point(cpu);
    } while (qy_frame_reclaim_step(untyped->arena));
    guard_gather(untyped->arena);
    preempt_point(cpu);
}

void untyped_gather(struct untyped *untyped)
{
    if (qy_heap_keeps_batches(&untyped->heap) || untyped_is_cached(untyped) || untyped->lent) {
        untyped->object.pins++;
        caps_release();
        untyped_reclaim(untyped);
        caps_acquire();
        untyped->object.pins--;
    }
    untyped_drain(untyped);
}
