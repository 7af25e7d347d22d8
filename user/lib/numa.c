/*
 * Regions of several nodes' memory: see user/numa.h.
 */
#include <user/numa.h>
#include <user/slots.h>
#include <user/space.h>

static enum qy_error add_object(struct numa_region *region, qy_handle_t untyped, uint64_t bytes)
{
    enum qy_error error =
        slot_make(untyped, QY_OBJ_MEMORY, bytes / PAGE_BYTES, &region->object[region->count]);

    region->count += error == QY_OK;
    return error;
}

/* Whether the untyped has so much now. What others take before it is touched is a fault, as with all memory on demand. */
static bool has(qy_handle_t untyped, uint64_t bytes)
{
    struct untyped_state state;

    return untyped_info(untyped, &state) == QY_OK && state.free_bytes >= bytes;
}

static enum qy_error make_objects(const struct numa *numa, enum numa_policy policy, unsigned first,
                                  struct numa_region *region)
{
    enum qy_error error = QY_OK;

    if (policy == NUMA_INTERLEAVE) {
        for (unsigned i = 0; i < numa->count && error == QY_OK; i++)
            error = add_object(region, numa->untyped[i], region->bytes);
        return error;
    }
    for (unsigned i = 0; i < (policy == NUMA_BIND ? 1 : numa->count); i++) {
        qy_handle_t untyped = numa->untyped[(first + i) % numa->count];
        if (has(untyped, region->bytes))
            return add_object(region, untyped, region->bytes);
    }
    return QY_OUT_OF_MEMORY;
}

/* Each stripe of the region is the same stripe of the object whose turn it is. */
static enum qy_error map_stripes(struct numa_region *region, uint64_t rights)
{
    uint64_t flags = rights | QY_REGION(QY_REGION_DATA), done = 0;
    uint64_t stripe = region->count > 1 ? NUMA_STRIPE_BYTES : region->bytes;
    enum qy_error error = QY_OK;

    region->address = 0;
    /* The kernel chooses a place for all of it; then the stripes take it in parts. */
    error = space_map_region(QY_SLOT_SPACE, &region->address, region->bytes,
                             flags | QY_REGION_PAGER, 0);
    if (error == QY_OK)
        error = space_unmap_region(QY_SLOT_SPACE, region->address, region->bytes);
    for (unsigned turn = 0; error == QY_OK && done < region->bytes; turn++) {
        uint64_t at = region->address + done;
        uint64_t bytes = region->bytes - done < stripe ? region->bytes - done : stripe;
        error = space_map_object(QY_SLOT_SPACE, &at, bytes, flags,
                                 region->object[turn % region->count], done / PAGE_BYTES);
        done += bytes;
    }
    return error;
}

enum qy_error numa_map(const struct numa *numa, enum numa_policy policy, unsigned first,
                       uint64_t bytes, uint64_t rights, struct numa_region *out)
{
    *out = (struct numa_region){.bytes = bytes};
    if (!numa->count || numa->count > NUMA_NODES_MAX || first >= numa->count || !bytes ||
        bytes % PAGE_BYTES)
        return QY_INVALID_ARGUMENT;
    enum qy_error error = make_objects(numa, policy, first, out);
    if (error == QY_OK)
        error = map_stripes(out, rights);
    if (error != QY_OK) {
        enum qy_error undone = numa_unmap(out);
        (void)undone; /* NOT_MAPPED, if nothing was */
    }
    return error;
}

enum qy_error numa_unmap(struct numa_region *region)
{
    enum qy_error error = region->address
                              ? space_unmap_region(QY_SLOT_SPACE, region->address, region->bytes)
                              : QY_NOT_MAPPED;

    while (region->count)
        slot_delete(region->object[--region->count]);
    *region = (struct numa_region){0};
    return error;
}
