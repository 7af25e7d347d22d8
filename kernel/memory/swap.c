/*
 * The calls with which a program takes pages from spaces and gives them back: what qy/swap.h does, with a memory object
 * as the area and a frame of the caller's between the kernel and the program. What is cold, where contents are kept and
 * when they return is the program's policy (docs/adr/0031-pressure-and-swap.md).
 *
 * Contents go through a frame and not through a pointer: copying to it cannot fault, so that nothing has to be undone.
 * All run with their objects pinned and the lock let go.
 */
#include <kernel/call.h>
#include <kernel/memory.h>
#include <kernel/trace.h>

_Static_assert(QY_SLOTS_MAX == QY_SWAP_SLOTS_MAX && QY_EVICT_MAX == QY_SWAP_BATCH,
               "the ABI's limits are the core's");

/* Looks of one harvest at what is neither a page nor a slot; slots of one memory_lose. */
#define HARVEST_LOOKS 64u
#define LOSE_STEPS 64u

/* What a call holds while it works without the lock. */
struct held {
    struct object *objects[3];
    unsigned count;
};

static void begin(const struct call *call, struct held *held) QY_RELEASES(qy_class_caps)
{
    for (unsigned i = 0; i < held->count; i++)
        held->objects[i]->pins++;
    caps_release();
    space_enter(call->cpu);
}

static void end(const struct call *call, const struct held *held) QY_ACQUIRES(qy_class_caps)
{
    space_leave(call->cpu);
    caps_acquire();
    for (unsigned i = 0; i < held->count; i++)
        held->objects[i]->pins--;
}

enum qy_error call_space_harvest(struct call *call)
{
    uint64_t at = call->arguments[1], bytes = call->arguments[2];
    struct qy_harvest harvest = {.next = at};
    if (at >= USER_END || bytes == 0 || bytes > USER_END - at)
        return QY_INVALID_ADDRESS;
    struct held held = {{call->slot->object}, 1};
    struct space *space = (struct space *)call->slot->object;
    enum qy_error error = QY_OK;
    begin(call, &held);
    for (unsigned i = 0; i < HARVEST_LOOKS && error == QY_OK && harvest.next < at + bytes &&
                         !(harvest.pages | harvest.accessed | harvest.swapped);
         i++)
        error = qy_space_harvest(&space->vm, harvest.next, at + bytes, &harvest);
    end(call, &held);
    call->values[0] = harvest.address;
    call->values[1] = harvest.pages;
    call->values[2] = harvest.accessed;
    call->values[3] = harvest.swapped;
    call->values[4] = harvest.next;
    return error;
}

/*
 * Pages `index` to index + pages of the frame that an argument names. Errors: those of a look-up, INVALID_ARGUMENT (it
 * has not so many, is a device's, or somebody executes it: WXOR).
 */
static enum qy_error frame_of(struct call *call, qy_handle_t handle, uint64_t index, uint64_t pages,
                              unsigned rights, struct held *held, uint8_t **out)
    QY_REQUIRES(qy_class_caps)
{
    struct slot *slot;
    enum qy_error error = call_lookup(call, handle, QY_OBJ_FRAME, rights, &slot);
    if (error != QY_OK)
        return error;
    const struct frame *frame = (const struct frame *)slot->object;
    uint64_t there = 1ull << frame->order;
    if (frame->object.flags & OBJECT_DEVICE || pages == 0 || pages > QY_EVICT_MAX ||
        index > there || pages > there - index)
        return QY_INVALID_ARGUMENT;
    if (rights & QY_RIGHT_WRITE && !qy_vm_may_write(&kernel_vm, frame->first))
        return QY_INVALID_ARGUMENT;
    held->objects[held->count++] = slot->object;
    *out = (uint8_t *)qy_port_ram(pfn_to_paddr(frame->first)) + index * QY_PAGE_BYTES;
    return QY_OK;
}

enum qy_error call_space_evict(struct call *call)
{
    uint64_t address = call->arguments[1], pages = call->arguments[2], first = call->arguments[4];
    struct slot *slot;
    struct held held = {{call->slot->object}, 1};
    uint8_t *into;
    uint64_t taken = 0;
    enum qy_error error =
        call_lookup(call, call->arguments[3], QY_OBJ_MEMORY, QY_RIGHT_WRITE, &slot);
    if (error == QY_OK)
        error = frame_of(call, call->arguments[5], 0, pages, QY_RIGHT_READ | QY_RIGHT_WRITE, &held,
                         &into);
    if (error != QY_OK)
        return error;
    held.objects[held.count++] = slot->object;
    struct space *space = (struct space *)call->slot->object;
    struct memory *memory = (struct memory *)slot->object;
    begin(call, &held);
    error = qy_swap_reserve(&memory->swap, first, pages);
    if (error == QY_OUT_OF_MEMORY) {
        space_leave(call->cpu);
        bool more = untyped_find_more(memory->object.untyped);
        space_enter(call->cpu);
        error = more ? qy_swap_reserve(&memory->swap, first, pages) : error;
    }
    if (error == QY_OK)
        error = qy_space_evict(&space->vm, address, (unsigned)pages, &memory->swap, first, into,
                               &taken);
    if (taken)
        QY_TRACE(PAGE_EVICTED, memory->object.untyped->object.id, space->object.id, address, taken,
                 memory->object.id, first);
    end(call, &held);
    call->values[0] = taken;
    return error;
}

/* Slots beyond the last there can be are none. */
static bool slots_exist(uint64_t first, uint64_t slots)
{
    return first < QY_SLOTS_MAX && slots <= QY_SLOTS_MAX - first;
}

enum qy_error call_memory_restore(struct call *call)
{
    uint64_t first = call->arguments[1], pages = call->arguments[2], used = 0, all = 0;
    struct held held = {{call->slot->object}, 1};
    uint8_t *from;
    enum qy_error error =
        frame_of(call, call->arguments[3], call->arguments[4], pages, QY_RIGHT_READ, &held, &from);
    if (error == QY_OK && !slots_exist(first, pages))
        error = QY_INVALID_ARGUMENT;
    if (error != QY_OK)
        return error;
    struct qy_swap *swap = &((struct memory *)call->slot->object)->swap;
    begin(call, &held);
    for (unsigned i = 0; i < pages; i++) {
        unsigned filled;
        enum qy_error one = qy_swap_restore(swap, first + i, from + i * QY_PAGE_BYTES, &filled);
        all += filled;
        error = one == QY_OK ? error : one;
        used |= (qy_swap_used(swap, qy_align_down(first + i, 64)) >> (first + i) % 64 & 1) << i;
    }
    if (all)
        QY_TRACE(PAGE_RESTORED, held.objects[0]->untyped->object.id, held.objects[0]->id, first,
                 pages, all);
    end(call, &held);
    call->values[0] = used;
    call->values[1] = all;
    return all ? QY_OK : error;
}

enum qy_error call_memory_slots(struct call *call)
{
    uint64_t first = call->arguments[1];
    struct held held = {{call->slot->object}, 1};
    struct qy_swap *swap = &((struct memory *)call->slot->object)->swap;
    if (!slots_exist(first, 1) || first % 64)
        return QY_INVALID_ARGUMENT;
    begin(call, &held);
    call->values[0] = qy_swap_used(swap, first);
    call->values[1] = atomic_load_explicit(&swap->released, memory_order_relaxed);
    end(call, &held);
    return QY_OK;
}

enum qy_error call_memory_lose(struct call *call)
{
    uint64_t slot = call->arguments[1], stop = slot + call->arguments[2];
    struct held held = {{call->slot->object}, 1};
    struct qy_swap *swap = &((struct memory *)call->slot->object)->swap;
    if (!slots_exist(slot, call->arguments[2]))
        return QY_INVALID_ARGUMENT;
    begin(call, &held);
    for (unsigned i = 0; i < LOSE_STEPS && slot < stop; i++)
        slot += qy_swap_discard_step(swap, slot) == QY_OK;
    end(call, &held);
    call->values[0] = slot;
    return QY_OK;
}
