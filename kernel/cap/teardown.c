/*
 * The engine that takes doomed objects apart and revokes. See kernel/teardown.h.
 */
#include <arch/arch.h>
#include <kernel/device.h>
#include <kernel/dma.h>
#include <kernel/ipc.h>
#include <kernel/memory.h>
#include <kernel/preempt.h>
#include <kernel/print.h>
#include <kernel/sched.h>
#include <kernel/space.h>
#include <kernel/timer.h>
#include <kernel/trace.h>

static struct teardown *revokes QY_GUARDED_BY(qy_class_caps); /* under way on some CPU */

/* One use more or less of what a removal needs while the lock is let go. */
static void unmap_hold(const struct unmap *unmap, int change) QY_REQUIRES(qy_class_caps)
{
    struct object *const held[] = {unmap->space ? &unmap->space->object : NULL,
                                   unmap->dma ? &unmap->dma->object : NULL,
                                   unmap->frame ? &unmap->frame->object : NULL};
    for (unsigned i = 0; i < 3; i++)
        if (held[i])
            held[i]->pins += (uint32_t)change;
}

void teardown_unmap(struct teardown *teardown, struct unmap unmap)
{
    unmap_hold(&unmap, 1);
    teardown->unmaps[teardown->unmap_count++] = unmap;
}

void teardown_lose(struct teardown *teardown, struct thread *waiters)
{
    teardown->lost = waiters;
    waiters->by_at = &teardown->lost;
}

/* Something that objects are made from. */
static bool is_memory(const struct object *object)
{
    return object->type == QY_OBJ_UNTYPED || object->type == QY_OBJ_DEVICE_MEMORY;
}

/* A capability of what was made from it; null if there is none. */
static struct slot *first_made(const struct object *memory)
{
    const struct device_frame *frame;
    if (memory->type == QY_OBJ_DEVICE_MEMORY) {
        frame = ((const struct device_memory *)memory)->frames;
    } else {
        const struct untyped *untyped = (const struct untyped *)memory;
        if (untyped->anchor.child)
            return untyped->anchor.child;
        frame = untyped->device_frames;
    }
    return frame ? frame->anchor.child : NULL;
}

void teardown_doom(struct teardown *teardown, struct object *object)
{
    object->flags |= OBJECT_DYING;
    if (object->flags & OBJECT_STATIC)
        return;
    if (is_memory(object))
        teardown_forget_memory(object);
    if (object->flags & OBJECT_DEVICE)
        device_frame_doom((struct device_frame *)object);
    object->link = teardown->doomed;
    teardown->doomed = object;
}

void teardown_forget_slot(struct slot *slot)
{
    for (struct teardown *revoke = revokes; revoke; revoke = revoke->next) {
        if (revoke->root == slot) {
            revoke->root = NULL;
            revoke->overtaken = true;
        }
    }
}

void teardown_forget_memory(struct object *memory)
{
    for (struct teardown *revoke = revokes; revoke; revoke = revoke->next) {
        if (revoke->memory == memory) {
            revoke->memory = NULL;
            revoke->overtaken = true;
        }
    }
}

/*
 * Spaces that it is bound to stop drawing on it; what they have of it is taken back without the lock (gather), then
 * it may be drained.
 */
static bool may_drain(struct untyped *untyped) QY_REQUIRES(qy_class_caps)
{
    untyped_unbind(untyped);
    return !untyped->lent;
}

/* Is nothing out of it in anybody's use but what is stuck? If so, this CPU keeps nothing of it either. */
static bool is_left(struct object *memory) QY_REQUIRES(qy_class_caps)
{
    struct untyped *untyped = (struct untyped *)memory;
    if (memory->type == QY_OBJ_DEVICE_MEMORY)
        return ((const struct device_memory *)memory)->count == 0;
    if (untyped->objects != untyped->stuck || !may_drain(untyped) ||
        qy_heap_keeps_batches(&untyped->heap))
        return false;
    untyped_drain(untyped);
    return !untyped_is_cached(untyped); /* by other CPUs: see gather */
}

enum dismantle untyped_dismantle(struct untyped *untyped, struct teardown *teardown)
{
    struct slot *made = first_made(&untyped->object);
    watch_end(untyped);
    if (made) {
        slot_revoke(made, teardown);
        return DISMANTLE_MORE;
    }
    if (!is_left(&untyped->object))
        return DISMANTLE_WAIT;
    return untyped->stuck ? DISMANTLE_STUCK : DISMANTLE_DONE;
}

static enum dismantle device_dismantle(struct device_memory *device, struct teardown *teardown)
    QY_REQUIRES(qy_class_caps)
{
    struct slot *made = first_made(&device->object);
    if (made) {
        slot_revoke(made, teardown);
        return DISMANTLE_MORE;
    }
    return is_left(&device->object) ? DISMANTLE_DONE : DISMANTLE_WAIT;
}

static enum dismantle dismantle(struct object *object, struct teardown *teardown)
    QY_REQUIRES(qy_class_caps)
{
    switch ((enum qy_object_type)object->type) {
    case QY_OBJ_UNTYPED:
        return untyped_dismantle((struct untyped *)object, teardown);
    case QY_OBJ_PAGE_TABLE:
        return table_dismantle((struct page_table *)object);
    case QY_OBJ_ADDRESS_SPACE:
        return space_dismantle((struct space *)object, teardown);
    case QY_OBJ_MEMORY:
        return memory_dismantle((struct memory *)object, teardown);
    case QY_OBJ_CAP_NODE:
        return node_dismantle((struct cap_node *)object, teardown);
    case QY_OBJ_THREAD:
        return thread_dismantle((struct thread *)object, teardown);
    case QY_OBJ_ENDPOINT:
        return endpoint_dismantle((struct endpoint *)object);
    case QY_OBJ_REPLY:
        return reply_dismantle((struct reply *)object);
    case QY_OBJ_TIMER:
        timer_disarm((struct timer *)object);
        return DISMANTLE_DONE;
    case QY_OBJ_INTERRUPT:
        interrupt_unbind((struct interrupt *)object);
        return DISMANTLE_DONE;
    case QY_OBJ_IO_PORTS:
        ports_release((struct io_ports *)object);
        return DISMANTLE_DONE;
    case QY_OBJ_DMA:
        return dma_dismantle((struct dma *)object, teardown);
    case QY_OBJ_DEVICE_MEMORY:
        return device_dismantle((struct device_memory *)object, teardown);
    case QY_OBJ_NOTIFICATION:
        return notification_dismantle((struct notification *)object);
    case QY_OBJ_FRAME:
        return frame_dismantle((struct frame *)object);
    default:
        return DISMANTLE_DONE;
    }
}

/* One step on the first doomed object. Returns true if something can go on now that could not
 * before. */
static bool step_doomed(struct teardown *teardown) QY_REQUIRES(qy_class_caps)
{
    struct object *object = teardown->doomed;
    teardown->doomed = object->link;
    struct object *rest = teardown->doomed;
    teardown->doomed =
        NULL; /* what the step dooms comes before the rest, the object itself after it */
    enum dismantle left = dismantle(object, teardown);
    struct object **end = &teardown->doomed;
    while (*end)
        end = &(*end)->link;
    if (left == DISMANTLE_MORE) {
        object->link = rest;
        *end = object;
        return true;
    }
    *end = rest;
    if (left == DISMANTLE_DONE && object->pins == 0) {
        object_free(object);
        return true;
    }
    if (left == DISMANTLE_STUCK && object->pins == 0) {
        object->untyped->stuck++;
        return true;
    }
    object->link = teardown->waiting;
    teardown->waiting = object;
    return false;
}

/* One step of a revoke; false when there is nothing to do now. */
static bool step_revoke(struct teardown *teardown) QY_REQUIRES(qy_class_caps)
{
    struct object *memory = teardown->memory;
    struct slot *made = memory ? first_made(memory) : NULL;
    if (teardown->root && teardown->root->child) {
        slot_revoke(teardown->root->child, teardown);
        return true;
    }
    if (made) {
        slot_revoke(made, teardown);
        return true;
    }
    if (memory && is_left(memory)) {
        memory->flags &= (uint8_t)~OBJECT_REVOKING;
        teardown->stuck = memory->type == QY_OBJ_UNTYPED && ((struct untyped *)memory)->stuck;
        teardown->memory = NULL;
    }
    return false;
}

/*
 * Steps until there is nothing to do now, there is no room for another mapping to go, or *budget is used
 * up. Returns true if any made way for a waiting object.
 */
static bool step_many(struct teardown *teardown, unsigned *budget) QY_REQUIRES(qy_class_caps)
{
    bool progress = false;
    for (; *budget && teardown_has_room(teardown); --*budget) {
        if (teardown->lost)
            ipc_lose(teardown->lost);
        else if (teardown->doomed)
            progress |= step_doomed(teardown);
        else if (!step_revoke(teardown))
            break;
    }
    return progress;
}

static bool is_finished(const struct teardown *teardown)
{
    return !teardown->lost && !teardown->doomed && !teardown->waiting && !teardown->unmap_count &&
           !teardown->memory && !(teardown->root && teardown->root->child);
}

/*
 * A part of a table that a clone shares has to be copied before it can change. If there is no memory for that, the
 * frame is taken from everybody.
 */
static void unmap_all(const struct teardown *teardown) QY_EXCLUDES(qy_class_caps)
{
    struct cpu *cpu = cpu_this();
    for (unsigned i = 0; i < teardown->unmap_count; i++) {
        const struct unmap *unmap = &teardown->unmaps[i];
        if (unmap->dma)
            dma_stop(unmap->dma);
        if (!unmap->space)
            continue;
        pfn_t first = unmap->frame->first;
        space_enter(cpu);
        enum qy_error error = (unmap->revoked ? qy_space_revoke_frame : qy_space_unmap_frame)(
            &unmap->space->vm, unmap->address, QY_PAGE_BYTES << unmap->frame->order, first);
        space_leave(cpu);
        if (error != QY_OK && error != QY_NOT_MAPPED && error != QY_REVOKED)
            frame_take_from_all(first);
    }
}

static void unpin(struct teardown *teardown) QY_REQUIRES(qy_class_caps)
{
    for (unsigned i = 0; i < teardown->unmap_count; i++)
        unmap_hold(&teardown->unmaps[i], -1);
    teardown->unmap_count = 0;
}

/* The untyped whose memory this revoke still waits for, pinned; null if there is none. */
static struct untyped *pin_memory(struct teardown *teardown) QY_REQUIRES(qy_class_caps)
{
    struct untyped *memory = (struct untyped *)teardown->memory;
    if (!memory || memory->object.type != QY_OBJ_UNTYPED || memory->objects != memory->stuck)
        return NULL;
    memory->object.pins++;
    return memory;
}

/* What spaces and other CPUs have of an untyped without objects that go. */
static void take_back(struct untyped *untyped) QY_EXCLUDES(qy_class_caps)
{
    untyped_take_back(untyped);
    untyped_reclaim(untyped);
}

/* What objects wait for that is not under the lock. */
static void gather(const struct teardown *teardown, struct untyped *memory)
    QY_EXCLUDES(qy_class_caps)
{
    struct cpu *cpu = cpu_this();
    preempt_point(cpu);
    if (memory)
        take_back(memory);
    for (struct object *object = teardown->waiting; object; object = object->link) {
        if (object->type == QY_OBJ_MEMORY)
            memory_dismantle_rest((struct memory *)object);
        else if (object->type != QY_OBJ_UNTYPED)
            space_dismantle_rest(object);
        else if (((struct untyped *)object)->objects == ((struct untyped *)object)->stuck)
            take_back((struct untyped *)object);
        preempt_point(cpu);
    }
}

static void retry_waiting(struct teardown *teardown)
{
    while (teardown->waiting) {
        struct object *object = teardown->waiting;
        teardown->waiting = object->link;
        object->link = teardown->doomed;
        teardown->doomed = object;
    }
}

void teardown_run(struct teardown *teardown)
{
    for (;;) {
        unsigned budget = TEARDOWN_BATCH;
        while (step_many(teardown, &budget) && budget && !teardown->unmap_count)
            retry_waiting(teardown);
        if (is_finished(teardown))
            break;
        sched_let_go(cpu_this());
        struct untyped *memory = pin_memory(teardown);
        caps_release();
        unmap_all(teardown);
        gather(teardown, memory);
        qy_port_relax();
        caps_acquire();
        if (memory)
            memory->object.pins--;
        unpin(teardown);
        retry_waiting(teardown);
    }
}

static void revoke_unlink(struct teardown *teardown) QY_REQUIRES(qy_class_caps)
{
    struct teardown **at = &revokes;
    while (*at != teardown)
        at = &(*at)->next;
    *at = teardown->next;
}

enum qy_error teardown_revoke(struct slot *slot)
{
    struct object *memory = is_memory(slot->object) ? slot->object : NULL;
    if ((slot->flags & SLOT_REVOKING) || (memory && (memory->flags & OBJECT_REVOKING)))
        return QY_REVOKED;
    struct teardown teardown;
    teardown_init(&teardown);
    teardown.root = slot;
    teardown.memory = memory;
    teardown.next = revokes;
    slot->flags |= SLOT_REVOKING;
    if (memory)
        memory->flags |= OBJECT_REVOKING;
    revokes = &teardown;
    teardown_run(&teardown);
    revoke_unlink(&teardown);
    if (teardown.root)
        teardown.root->flags &= ~(unsigned)SLOT_REVOKING & 15;
    if (teardown.overtaken)
        return QY_REVOKED;
    return teardown.stuck ? QY_BUSY : QY_OK;
}
