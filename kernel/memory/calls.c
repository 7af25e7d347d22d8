/*
 * The calls on memory objects. They work on pages with the object pinned and the lock let go; what has much to do
 * stops after a while and says where it is (BOUNDED).
 */
#include <arch/arch.h>
#include <kernel/call.h>
#include <kernel/memory.h>
#include <kernel/preempt.h>

/* Steps of one resize, of at most a table of pages each; pages of one discard. */
#define RESIZE_STEPS 64u
#define DISCARD_PAGES 512u

static struct memory *begin(const struct call *call) QY_RELEASES(qy_class_caps)
{
    struct memory *memory = (struct memory *)call->slot->object;
    memory->object.pins++;
    caps_release();
    return memory;
}

static void end(struct memory *memory) QY_ACQUIRES(qy_class_caps)
{
    caps_acquire();
    memory->object.pins--;
}

/* A capability with a badge is for those who map the object: what its pages are is not theirs to say. */
static bool manages(const struct call *call)
{
    return call->slot->badge == 0;
}

enum qy_error call_memory_info(struct call *call)
{
    bool there = false;
    struct memory *memory = begin(call);
    space_enter(call->cpu);
    call->values[1] = qy_object_run(&memory->vm, call->arguments[1], &there);
    space_leave(call->cpu);
    end(memory);
    call->values[0] = atomic_load(&memory->vm.pages);
    call->values[2] = there | (uint64_t)atomic_load(&memory->vm.paged) << 1;
    return QY_OK;
}

enum qy_error call_memory_resize(struct call *call)
{
    if (!manages(call))
        return QY_NO_RIGHTS;
    struct memory *memory = begin(call);
    enum qy_error error = QY_BUSY;
    for (unsigned i = 0; i < RESIZE_STEPS && error == QY_BUSY; i++) {
        space_enter(call->cpu);
        error = qy_object_resize_step(&memory->vm, call->arguments[1]);
        space_leave(call->cpu);
        preempt_point(call->cpu);
    }
    call->values[0] = atomic_load(&memory->vm.pages);
    end(memory);
    return error == QY_BUSY ? QY_OK : error;
}

enum qy_error call_memory_discard(struct call *call)
{
    uint64_t page = call->arguments[1], count = call->arguments[2];
    if (!manages(call))
        return QY_NO_RIGHTS;
    if (page > QY_MEMORY_PAGES_MAX || count > QY_MEMORY_PAGES_MAX - page)
        return QY_INVALID_ARGUMENT;
    count = count < DISCARD_PAGES ? count : DISCARD_PAGES;
    struct memory *memory = begin(call);
    space_enter(call->cpu);
    qy_object_discard(&memory->vm, page, count);
    space_leave(call->cpu);
    end(memory);
    call->values[0] = page + count;
    return QY_OK;
}

enum qy_error call_memory_written(struct call *call)
{
    uint64_t page = call->arguments[1], count = call->arguments[2];
    if (!manages(call))
        return QY_NO_RIGHTS;
    if (page > QY_MEMORY_PAGES_MAX || count > QY_WRITTEN_MAX)
        return QY_INVALID_ARGUMENT;
    struct memory *memory = begin(call);
    space_enter(call->cpu);
    call->values[0] = qy_object_take_written(&memory->vm, page, (unsigned)count);
    space_leave(call->cpu);
    end(memory);
    return QY_OK;
}

/* ---- supply ---- */

/* Frames on their way into an object. */
struct supply {
    struct memory *memory;
    struct cpu *cpu;
    uint64_t page, pointer; /* pointer 0: zeroes */
    unsigned count;         /* frames that there are */
    pfn_t frames[QY_SUPPLY_MAX];
};

static enum qy_error take_frames(struct supply *s, unsigned wanted)
{
    enum qy_error error = QY_OK;
    space_enter(s->cpu);
    while (s->count < wanted && error == QY_OK) {
        error = qy_object_frame(&s->memory->vm, s->pointer == 0, &s->frames[s->count]);
        s->count += error == QY_OK;
    }
    space_leave(s->cpu);
    return error;
}

/* Outside of a section: what is copied may fault. */
static bool copy_in(const struct supply *s)
{
    bool copied = true;
    for (unsigned i = 0; s->pointer && i < s->count && copied; i++) {
        copied = arch_copy_from_user(qy_port_ram(pfn_to_paddr(s->frames[i])),
                                     s->pointer + i * QY_PAGE_BYTES, QY_PAGE_BYTES);
        preempt_point(s->cpu);
    }
    return copied;
}

/* The pages from the first one on that are in the object now, and of which this call brought those that were not. */
static enum qy_error put_frames(struct supply *s, bool copied, uint64_t *pages)
{
    enum qy_error error = copied ? QY_OK : QY_BAD_USER_POINTER;
    space_enter(s->cpu);
    for (unsigned i = 0; i < s->count; i++) {
        enum qy_error put =
            error == QY_OK ? qy_object_put(&s->memory->vm, s->page + i, s->frames[i]) : error;
        if (put != QY_OK)
            qy_object_frame_free(&s->memory->vm, s->frames[i]);
        if (put != QY_ALREADY_MAPPED)
            error = put;
        *pages += error == QY_OK;
    }
    space_leave(s->cpu);
    return error;
}

enum qy_error call_memory_supply(struct call *call)
{
    uint64_t count = call->arguments[2], pages = 0;
    struct supply s = {.cpu = call->cpu, .page = call->arguments[1], .pointer = call->arguments[3]};
    if (!manages(call))
        return QY_NO_RIGHTS;
    if (count == 0 || count > QY_SUPPLY_MAX)
        return QY_INVALID_ARGUMENT;
    if (!user_range((uptr_t){s.pointer}, count * QY_PAGE_BYTES))
        return QY_BAD_USER_POINTER;
    s.memory = begin(call);
    enum qy_error error = take_frames(&s, (unsigned)count);
    if (error == QY_OUT_OF_MEMORY && untyped_find_more(s.memory->object.untyped))
        error = take_frames(&s, (unsigned)count);
    if (s.count)
        error = put_frames(&s, copy_in(&s), &pages);
    end(s.memory);
    call->values[0] = pages;
    return pages ? QY_OK : error;
}

/* ---- handlers ---- */

/*
 * The slot gets a capability for the endpoint that argument 1 names; none if it is 0. What it had goes with the
 * teardown.
 */
static enum qy_error bind_handler(struct call *call, struct slot *slot, struct teardown *teardown)
    QY_REQUIRES(qy_class_caps)
{
    struct slot *endpoint = NULL;
    enum qy_error error = QY_OK;
    if (call->arguments[1])
        error = call_lookup(call, call->arguments[1], QY_OBJ_ENDPOINT, QY_RIGHT_WRITE, &endpoint);
    if (error == QY_OK && endpoint)
        error = slot_may_derive(endpoint, endpoint->rights, call->arguments[2]);
    if (error == QY_OK && !endpoint && call->arguments[2])
        error = QY_INVALID_ARGUMENT;
    if (error != QY_OK)
        return error;
    if (slot->type != QY_OBJ_NONE)
        slot_delete(slot, teardown);
    if (endpoint)
        slot_derive(slot, endpoint, endpoint->rights, call->arguments[2]);
    return QY_OK;
}

enum qy_error call_memory_pager(struct call *call)
{
    struct memory *memory = (struct memory *)call->slot->object;
    struct teardown teardown;
    if (!manages(call))
        return QY_NO_RIGHTS;
    teardown_init(&teardown);
    enum qy_error error = bind_handler(call, &memory->pager, &teardown);
    if (error == QY_OK)
        atomic_store(&memory->vm.paged, call->arguments[1] != 0);
    teardown_run(&teardown);
    return error;
}

enum qy_error call_space_handler(struct call *call)
{
    struct space *space = (struct space *)call->slot->object;
    struct teardown teardown;
    teardown_init(&teardown);
    enum qy_error error = bind_handler(call, &space->handler, &teardown);
    teardown_run(&teardown);
    return error;
}
