/*
 * Device memory and the frames made of it. See kernel/device.h.
 */
#include <kernel/device.h>
#include <kernel/trace.h>
#include <lib/string.h>

#define PFN_BITS (64 - QY_PAGE_SHIFT)

static uint64_t end_of(const struct device_frame *frame)
{
    return frame->frame.first.raw + (1ull << frame->frame.order);
}

/*
 * Where a block is to be linked into the tree; null if a frame overlaps it. What stands at depth d agrees with the path
 * in d bits: a block that contains the new one stands on its path, and whatever stands at its own depth or below lies
 * inside it.
 */
static struct device_frame **place_find(struct device_memory *device, uint64_t first,
                                        unsigned order)
{
    struct device_frame **at = &device->tree;
    for (unsigned bit = PFN_BITS; *at; at = &(*at)->below[first >> bit & 1]) {
        if (first < end_of(*at) && (*at)->frame.first.raw < first + (1ull << order))
            return NULL;
        bit--;
    }
    return at;
}

/* A leaf from below takes its place: it agrees with the path in more bits than are needed there. */
void device_frame_forget(struct device_frame *frame)
{
    struct device_frame **at = &frame->device->tree;
    for (unsigned bit = PFN_BITS; *at != frame;
         at = &(*at)->below[frame->frame.first.raw >> bit & 1])
        bit--;
    struct device_frame **end = at;
    while ((*end)->below[0] || (*end)->below[1])
        end = &(*end)->below[(*end)->below[0] == NULL];
    struct device_frame *leaf = *end;
    *end = NULL;
    if (leaf != frame) {
        leaf->below[0] = frame->below[0];
        leaf->below[1] = frame->below[1];
        *at = leaf;
    }
    frame->device->count--;
}

static void list_add(struct device_frame *frame, enum device_origin origin,
                     struct device_frame **list)
{
    frame->next[origin] = *list;
    if (*list)
        (*list)->at[origin] = &frame->next[origin];
    frame->at[origin] = list;
    *list = frame;
}

void device_frame_doom(struct device_frame *frame)
{
    for (unsigned origin = 0; origin < DEVICE_ORIGINS; origin++) {
        *frame->at[origin] = frame->next[origin];
        if (frame->next[origin])
            frame->next[origin]->at[origin] = frame->at[origin];
    }
}

/* An uncached instruction fetch has no use: nobody gets EXEC, so nobody can map it executable. */
#define FRAME_RIGHTS (QY_RIGHT_READ | QY_RIGHT_WRITE | QY_RIGHT_GRANT)

enum qy_error device_frame_make(struct device_memory *device, struct untyped *payer,
                                uint64_t address, uint64_t pages, struct slot *slot,
                                struct shortage *shortage)
{
    uint64_t first = address >> QY_PAGE_SHIFT, from = device->first.raw;
    if (pages == 0 || pages & (pages - 1) || pages > 1ull << QY_MAX_ORDER ||
        address & (pages * QY_PAGE_BYTES - 1) || first < from || first - from > device->pages ||
        pages > device->pages - (first - from))
        return QY_INVALID_ARGUMENT;
    unsigned order = qy_order_of(pages);
    struct device_frame **at = place_find(device, first, order);
    if (!at)
        return QY_BUSY;
    struct object *object;
    enum qy_error error = object_reserve_device_frame(payer, &object, shortage);
    if (error != QY_OK)
        return error;
    struct device_frame *frame = (struct device_frame *)object;
    frame->frame.first = pfn(first);
    frame->frame.order = (uint8_t)order;
    frame->device = device;
    *at = frame;
    device->count++;
    list_add(frame, DEVICE_PAYER, &payer->device_frames);
    list_add(frame, DEVICE_MEMORY, &device->frames);
    slot_fill(slot, object, FRAME_RIGHTS, &frame->anchor);
    object_finish(object);
    return QY_OK;
}

enum qy_error device_memory_make(struct untyped *from, uint64_t base, uint64_t end,
                                 struct slot *slot)
{
    struct object *object;
    struct shortage shortage;
    enum qy_error error = object_reserve(from, QY_OBJ_DEVICE_MEMORY, 0, &object, &shortage);
    if (error != QY_OK)
        return error;
    struct device_memory *device = (struct device_memory *)object;
    device->first = pfn(base >> QY_PAGE_SHIFT);
    device->pages = (end - base) >> QY_PAGE_SHIFT;
    slot_fill(slot, object, QY_RIGHT_ALL, &cap_root);
    return QY_OK;
}

/*
 * The frames at and below a place of the tree: each agrees with its path in the bits above `bit`, lies inside the
 * device, and overlaps none above it. Recurses at most PFN_BITS deep.
 */
static const char *tree_check(const struct device_memory *device, const struct device_frame *frame,
                              unsigned bit, uint64_t *count)
{
    if (!frame)
        return NULL;
    uint64_t first = frame->frame.first.raw;
    if (frame->device != device || first < device->first.raw ||
        end_of(frame) > device->first.raw + device->pages || frame->frame.order > bit)
        return "DEV-FRAMES";
    const struct device_frame *above = device->tree;
    for (unsigned at = PFN_BITS; above != frame; above = above->below[first >> at & 1]) {
        if (!above || at == bit ||
            (first < end_of(above) && above->frame.first.raw < end_of(frame)))
            return "DEV-FRAMES";
        at--;
    }
    ++*count;
    const char *broken = tree_check(device, frame->below[0], bit - 1, count);
    return broken ? broken : tree_check(device, frame->below[1], bit - 1, count);
}

const char *device_memory_check(const struct device_memory *device)
{
    uint64_t count = 0, listed = 0, named = 0;
    const char *broken = tree_check(device, device->tree, PFN_BITS, &count);
    if (broken || count != device->count)
        return "DEV-FRAMES";
    for (const struct device_frame *frame = device->frames; frame;
         frame = frame->next[DEVICE_MEMORY]) {
        listed++;
        named += *frame->at[DEVICE_MEMORY] == frame && *frame->at[DEVICE_PAYER] == frame &&
                 frame->anchor.child && frame->frame.object.capabilities;
    }
    return listed <= count && named == listed ? NULL : "DEV-FRAMES";
}
