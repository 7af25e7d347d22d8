/*
 * The calls on regions: what qy/vm.h does with a range of a space whose budget pays.
 *
 * Nothing in it needs the kernel's lock, so all of them run with the space pinned and the lock let go. One that has
 * much to do takes interrupts between its steps (qy_vm's pause), or stops after a while and says where it is; the
 * caller goes on from there (BOUNDED).
 */
#include <kernel/call.h>
#include <kernel/memory.h>

_Static_assert((int)QY_BACKED_ANONYMOUS == (int)QY_MARK_ANON &&
                   (int)QY_BACKED_REVOKED == (int)QY_MARK_REVOKED,
               "what is behind a region has the mark's number");

/* Bytes of one clone, steps of one settle. */
#define CLONE_BYTES (1ull << 30)
#define SETTLE_STEPS 64u

/* A call in the tree: between them the lock is let go. */
static struct space *begin(struct call *call, struct object *object) QY_RELEASES(qy_class_caps)
{
    object->pins++;
    caps_release();
    space_enter(call->cpu);
    return (struct space *)object;
}

static void end(const struct call *call, struct space *space) QY_ACQUIRES(qy_class_caps)
{
    space_leave(call->cpu);
    caps_acquire();
    space->object.pins--;
}

/* After OUT_OF_MEMORY: is there some now? Only then has it sense to try once more. */
static bool more(const struct call *call, struct space *space)
{
    space_leave(call->cpu);
    bool found = space_find_more(space);
    space_enter(call->cpu);
    return found;
}

enum qy_error call_space_bind(struct call *call)
{
    struct slot *slot;
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_UNTYPED, QY_RIGHT_WRITE, &slot);
    return error == QY_OK ? space_bind_budget((struct space *)call->slot->object,
                                              (struct untyped *)slot->object)
                          : error;
}

/* What the flags ask for, without the object. Errors: INVALID_FLAGS, INVALID_ARGUMENT. */
static enum qy_error mark_of(uint64_t what, uint64_t first, uint64_t object, struct qy_mark *mark)
{
    uint64_t backing = what & QY_REGION_BACKINGS, pages = what & QY_REGION_PAGES;
    if (what & ~(uint64_t)QY_REGION_FLAGS || (backing & (backing - 1)) || (pages & (pages - 1)) ||
        (pages && backing) || (what & QY_REGION_PRIVATE && backing != QY_REGION_OBJECT))
        return QY_INVALID_FLAGS;
    if ((first && !backing) || (object && backing != QY_REGION_OBJECT))
        return QY_INVALID_ARGUMENT;
    *mark = (struct qy_mark){.kind = backing == QY_REGION_GUARD    ? QY_MARK_GUARD
                                     : backing == QY_REGION_OBJECT ? QY_MARK_OBJECT
                                     : backing == QY_REGION_PAGER  ? QY_MARK_PAGER
                                                                   : QY_MARK_ANON,
                             .region = (enum qy_region_kind)(what >> 8 & 7),
                             .rights = (unsigned)what & 7,
                             .max = QY_PT_READ | QY_PT_WRITE | QY_PT_EXEC,
                             .shared = backing == QY_REGION_OBJECT && !(what & QY_REGION_PRIVATE),
                             .offset = backing                       ? first
                                       : pages == QY_REGION_GROW     ? QY_PAGES_GROW
                                       : pages == QY_REGION_PAGES_2M ? QY_PAGES_2M
                                       : pages == QY_REGION_PAGES_1G ? QY_PAGES_1G
                                                                     : QY_PAGES_SMALL};
    return QY_OK;
}

/*
 * The object that argument 5 names, and how far a region of it may go: its capability's rights, but that copies may
 * be written.
 */
static enum qy_error object_of(struct call *call, struct qy_mark *mark, struct memory **out)
    QY_REQUIRES(qy_class_caps)
{
    struct slot *slot;
    uint64_t pages = call->arguments[2] >> QY_PAGE_SHIFT;
    enum qy_error error =
        call_lookup(call, call->arguments[5], QY_OBJ_MEMORY, QY_RIGHT_READ, &slot);
    if (error != QY_OK)
        return error;
    *out = (struct memory *)slot->object;
    mark->max = (slot->rights & QY_PT_RIGHTS) | (mark->shared ? 0 : QY_PT_WRITE);
    if (mark->rights & ~mark->max)
        return QY_NO_RIGHTS;
    if (mark->offset > QY_MEMORY_PAGES_MAX || pages > QY_MEMORY_PAGES_MAX - mark->offset)
        return QY_INVALID_ARGUMENT;
    return QY_OK;
}

/* An object is named by its number: it may be gone by the time the region is touched. */
static enum qy_error map_region(struct space *space, void *memory, uint64_t id, uint64_t *address,
                                uint64_t bytes, struct qy_mark *mark)
{
    if (!space->vm.delegated)
        return QY_UNSUPPORTED;
    return memory ? qy_space_map_object(&space->vm, memory, id, address, bytes, mark)
                  : qy_space_map_region(&space->vm, address, bytes, mark);
}

enum qy_error call_space_map_region(struct call *call)
{
    uint64_t address = call->arguments[1], bytes = call->arguments[2];
    struct memory *memory = NULL;
    struct qy_mark mark;
    enum qy_error error =
        mark_of(call->arguments[3], call->arguments[4], call->arguments[5], &mark);
    if (error == QY_OK && mark.kind == QY_MARK_OBJECT)
        error = object_of(call, &mark, &memory);
    if (error != QY_OK)
        return error;
    uint64_t id = memory ? memory->object.id : 0;
    struct space *space = begin(call, call->slot->object);
    if (call->arguments[3] & QY_REGION_ABOVE) {
        atomic_store_explicit(&space->vm.hint, address, memory_order_relaxed);
        address = 0;
    }
    error = map_region(space, memory, id, &address, bytes, &mark);
    if (error == QY_OUT_OF_MEMORY && more(call, space))
        error = map_region(space, memory, id, &address, bytes, &mark);
    end(call, space);
    if (error == QY_OK)
        call->values[0] = address;
    return error;
}

enum qy_error call_space_unmap_region(struct call *call)
{
    struct space *space = begin(call, call->slot->object);
    enum qy_error error = qy_space_unmap_region(&space->vm, call->arguments[1], call->arguments[2]);
    if (error == QY_OUT_OF_MEMORY && more(call, space))
        error = qy_space_unmap_region(&space->vm, call->arguments[1], call->arguments[2]);
    end(call, space);
    return error;
}

enum qy_error call_space_protect_region(struct call *call)
{
    uint64_t rights = call->arguments[3];
    if (rights & ~(uint64_t)QY_MAP_ALL)
        return QY_INVALID_FLAGS;
    struct space *space = begin(call, call->slot->object);
    enum qy_error error = qy_space_protect_region(&space->vm, call->arguments[1],
                                                  call->arguments[2], (unsigned)rights);
    if (error == QY_OUT_OF_MEMORY && more(call, space))
        error = qy_space_protect_region(&space->vm, call->arguments[1], call->arguments[2],
                                        (unsigned)rights);
    end(call, space);
    return error;
}

enum qy_error call_space_clone(struct call *call)
{
    struct slot *slot;
    uint64_t start = call->arguments[2], bytes = call->arguments[3], end_of = start + bytes;
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_ADDRESS_SPACE, QY_RIGHT_READ, &slot);
    if (error != QY_OK)
        return error;
    if (bytes == 0 || end_of < start || end_of > USER_END || start < QY_PAGE_BYTES ||
        (start | bytes) & QY_PAGE_MASK)
        return QY_INVALID_ADDRESS;
    struct object *from = slot->object;
    from->pins++;
    struct space *space = begin(call, call->slot->object);
    start = qy_vm_next(&((struct space *)from)->vm, start, qy_vm_next(&space->vm, start, end_of));
    uint64_t stop = qy_align_down(start, CLONE_BYTES) + CLONE_BYTES;
    stop = stop < end_of ? stop : end_of;
    error = !space->vm.delegated ? QY_UNSUPPORTED
            : start == end_of
                ? QY_OK
                : qy_space_clone(&space->vm, &((struct space *)from)->vm, start, stop);
    if (error == QY_OUT_OF_MEMORY && more(call, space))
        error = qy_space_clone(&space->vm, &((struct space *)from)->vm, start, stop);
    end(call, space);
    from->pins--;
    if (error == QY_OK)
        call->values[0] = stop;
    return error;
}

/*
 * One page or table, paid by another untyped: a revoke of that must find the frame, or that none is taken. So the
 * section begins under the lock: who revokes waits for it before it looks.
 */
static enum qy_error migrate(struct call *call, uint64_t *address, uint64_t end_address)
    QY_REQUIRES(qy_class_caps)
{
    struct space *space = (struct space *)call->slot->object;
    struct slot *slot;
    struct qy_budget *payer;
    enum qy_error error =
        call_lookup(call, call->arguments[3], QY_OBJ_UNTYPED, QY_RIGHT_WRITE, &slot);
    if (error != QY_OK)
        return error;
    struct untyped *untyped = (struct untyped *)slot->object;
    if (untyped->object.flags & (OBJECT_REVOKING | OBJECT_DYING))
        return QY_REVOKED;
    error = untyped_budget(untyped, &payer);
    if (error != QY_OK)
        return error;
    untyped->delegated = true;
    space->object.pins++;
    untyped->object.pins++;
    space_enter(call->cpu);
    caps_release();
    error = qy_space_migrate_step(&space->vm, payer, address, end_address);
    if (error == QY_OUT_OF_MEMORY) {
        space_leave(call->cpu);
        if (untyped_find_more(untyped) || space_find_more(space))
            error = QY_OK; /* and the address is what it was: the caller tries once more */
        space_enter(call->cpu);
    }
    space_fence_code(space);
    end(call, space);
    untyped->object.pins--;
    return error;
}

enum qy_error call_space_settle(struct call *call)
{
    uint64_t address = call->arguments[1], bytes = call->arguments[2];
    uint64_t stop = bytes ? address + bytes : USER_END;
    enum qy_error error = QY_OK;
    if (stop <= address || stop > USER_END || bytes % QY_PAGE_BYTES)
        return QY_INVALID_ADDRESS;
    if (call->arguments[3]) {
        error = migrate(call, &address, stop);
        call->values[0] = address;
        return error;
    }
    struct space *space = begin(call, call->slot->object);
    for (unsigned i = 0; i < SETTLE_STEPS && error == QY_OK && address < stop; i++) {
        error = qy_space_migrate_step(&space->vm, space->vm.budget, &address, stop);
        if (error == QY_OUT_OF_MEMORY && more(call, space))
            error = qy_space_migrate_step(&space->vm, space->vm.budget, &address, stop);
    }
    space_fence_code(space); /* some of it may be code, in other frames now */
    end(call, space);
    call->values[0] = address;
    return error;
}

/* A region's pages as space_map_region was asked for them. */
static uint64_t pages_of(const struct qy_mark *mark)
{
    static const uint64_t flags[QY_PAGES_COUNT] = {0, QY_REGION_GROW, QY_REGION_PAGES_2M,
                                                   QY_REGION_PAGES_1G};
    return mark->kind == QY_MARK_ANON ? flags[mark->offset] : 0;
}

uint64_t region_flags(const struct qy_region *region)
{
    return region->mark.rights | region->type | QY_REGION(region->mark.region) |
           (uint64_t)(region->foreign ? QY_BACKED_FRAMES : (unsigned)region->mark.kind) << 16 |
           pages_of(&region->mark) | (uint64_t)region->mark.max << 24 |
           (region->more ? QY_QUERY_MORE : 0);
}

enum qy_error call_space_query(struct call *call)
{
    struct qy_region region;
    struct space *space = begin(call, call->slot->object);
    enum qy_error error = qy_space_query(&space->vm, call->arguments[1], &region);
    end(call, space);
    if (error != QY_OK)
        return error;
    call->values[0] = region.start;
    call->values[1] = region.end;
    call->values[2] = region_flags(&region);
    call->values[3] = qy_pt_page_bytes(region.level);
    return QY_OK;
}

static uint64_t low_half(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed) & 0xffffffffu;
}

enum qy_error call_space_info(struct call *call)
{
    struct qy_space_stats stats = {0};
    uint64_t address = call->arguments[1];
    struct space *space = begin(call, call->slot->object);
    qy_space_stats_step(&space->vm, &address, USER_END, &stats);
    end(call, space);
    call->values[0] = address;
    call->values[1] = stats.resident;
    call->values[2] = stats.private_pages;
    call->values[3] = stats.shared_pages;
    call->values[4] = stats.tables | stats.shared_tables << 32;
    return QY_OK;
}

enum qy_error call_space_pages(struct call *call)
{
    struct qy_space_stats stats = {0};
    uint64_t address = call->arguments[1];
    struct space *space = begin(call, call->slot->object);
    const struct qy_space *vm = &space->vm;
    qy_space_stats_step(&space->vm, &address, USER_END, &stats);
    call->values[0] = address;
    call->values[1] = stats.level[1] / QY_BLOCK_PAGES | stats.level[2] >> 18 << 32;
    call->values[2] = low_half(&vm->promoted) | low_half(&vm->demoted) << 32;
    call->values[3] = low_half(&vm->kept_made) | low_half(&vm->kept_broken) << 32;
    call->values[4] = qy_arena_kept(vm->budget->arena);
    end(call, space);
    return QY_OK;
}
