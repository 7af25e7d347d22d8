/*
 * Bindings: which object an index in a space's marks means.
 *
 *     mark OBJECT, 5 --> bindings[5] = object, cookie
 *
 * Marks are many, and go with unmaps, faults and whole tables, so nobody counts them. When no index is free, the tree is
 * looked through: an index that no mark names, in an entry or behind a page, means nothing and is free. So a space
 * names up to QY_BINDING_MAX + 1 objects at a time, and any number in its life. `left`: indices of bindings that were
 * dropped, whose marks are still about and must not come to mean another object.
 *
 * Whoever brings marks with an index into a space claims it from the binding on until they are there (a clone, and
 * qy_space_map_object), and so does who looks through it: what is bound and not named yet is not taken for free. All
 * others, faults too, only move marks about within a table or into one below it, in one step under its lock.
 * Cost: a bind O(indices); a look O(entries of the space), a table a step.
 */
#include "vm_impl.h"

_Static_assert(QY_BINDING_PAGES *QY_BINDINGS_A_PAGE == QY_BINDING_MAX + 1,
               "every index has a place");

static bool has(const uint64_t *set, unsigned index)
{
    return set[index / 64] >> index % 64 & 1;
}

static struct qy_binding *binding_page(const struct qy_space *space, unsigned page)
{
    return atomic_load_explicit(&space->bindings[page], memory_order_acquire);
}

/* The binding's place, if its page is there; else null. */
static struct qy_binding *find(const struct qy_space *space, unsigned index)
{
    struct qy_binding *page =
        index <= QY_BINDING_MAX ? binding_page(space, index / QY_BINDINGS_A_PAGE) : NULL;
    return page ? &page[index % QY_BINDINGS_A_PAGE] : NULL;
}

/*
 * The place of a binding, in memory of the budget, which is the space's as long as it is delegated. The lock is held.
 */
static enum qy_error binding_at(struct qy_space *space, unsigned index, struct qy_binding **out)
{
    if (!find(space, index)) {
        pfn_t frame;
        if (!space->delegated)
            return QY_UNSUPPORTED;
        enum qy_error error =
            qy_vm_frame_alloc_zeroed(space->vm, space->budget, QY_FRAME_METADATA, &frame);
        if (error != QY_OK)
            return error;
        atomic_store_explicit(&space->bindings[index / QY_BINDINGS_A_PAGE],
                              qy_port_ram(pfn_to_paddr(frame)), memory_order_release);
    }
    *out = find(space, index);
    return QY_OK;
}

/* Where the same is bound already. */
static bool is_bound(const struct qy_space *space, const void *object, uint64_t cookie,
                     unsigned *index)
{
    for (*index = 0; *index <= QY_BINDING_MAX; ++*index) {
        const struct qy_binding *at = find(space, *index);
        if (!at)
            *index |= QY_BINDINGS_A_PAGE - 1;
        else if (at->object == object && at->cookie == cookie)
            return true;
    }
    return false;
}

/* *made: it was not bound before. */
static enum qy_error bind_locked(struct qy_space *space, void *object, uint64_t cookie,
                                 unsigned *index, bool *made)
{
    *made = !is_bound(space, object, cookie, index);
    if (!*made)
        return QY_OK;
    for (*index = 0; *index <= QY_BINDING_MAX; ++*index) {
        struct qy_binding *at;
        enum qy_error error = has(space->left, *index) ? QY_BUSY : binding_at(space, *index, &at);
        if (error == QY_BUSY)
            continue;
        if (error != QY_OK)
            return error;
        if (!at->object) {
            *at = (struct qy_binding){object, cookie};
            return QY_OK;
        }
    }
    return QY_TOO_MANY;
}

static enum qy_error bind(struct qy_space *space, void *object, uint64_t cookie, unsigned *index,
                          bool *made)
{
    if (!object)
        return QY_INVALID_ARGUMENT;
    qy_lock_acquire(&space->bindings_lock);
    enum qy_error error = bind_locked(space, object, cookie, index, made);
    qy_lock_release(&space->bindings_lock);
    return error;
}

enum qy_error qy_space_bind(struct qy_space *space, void *object, uint64_t cookie, unsigned *index)
{
    bool made;
    return bind(space, object, cookie, index, &made);
}

/* A page without bindings goes back to the budget. The lock is held. */
static void page_free_if_empty(struct qy_space *space, unsigned n)
{
    struct qy_binding *page = binding_page(space, n);
    for (unsigned i = 0; i < QY_BINDINGS_A_PAGE; i++)
        if (page[i].object)
            return;
    atomic_store_explicit(&space->bindings[n], NULL, memory_order_relaxed);
    qy_vm_frame_free(space->vm, paddr_to_pfn(qy_port_paddr(page)), QY_FRAME_METADATA);
}

void qy_space_unbind(struct qy_space *space, unsigned index)
{
    qy_lock_acquire(&space->bindings_lock);
    struct qy_binding *at = find(space, index);
    if (at) {
        *at = (struct qy_binding){0};
        page_free_if_empty(space, index / QY_BINDINGS_A_PAGE);
    }
    qy_lock_release(&space->bindings_lock);
}

void qy_space_drop_bindings(struct qy_space *space)
{
    qy_lock_acquire(&space->bindings_lock);
    for (unsigned n = 0; n < QY_BINDING_PAGES; n++) {
        struct qy_binding *page = binding_page(space, n);
        if (!page)
            continue;
        for (unsigned i = 0, index = n * QY_BINDINGS_A_PAGE; i < QY_BINDINGS_A_PAGE; i++, index++)
            if (page[i].object)
                space->left[index / 64] |= 1ull << index % 64;
        atomic_store_explicit(&space->bindings[n], NULL, memory_order_relaxed);
        qy_vm_frame_free(space->vm, paddr_to_pfn(qy_port_paddr(page)), QY_FRAME_METADATA);
    }
    qy_lock_release(&space->bindings_lock);
}

struct qy_binding qy_space_binding(struct qy_space *space, unsigned index)
{
    qy_lock_acquire(&space->bindings_lock);
    const struct qy_binding *at = find(space, index);
    const struct qy_binding found = at ? *at : (struct qy_binding){0};
    qy_lock_release(&space->bindings_lock);
    return found;
}

/* ---- which are named ---- */

/*
 * The indices that the marks of a locked table name, from an entry on, up to the next table below. BUSY: at an entry
 * that is moving. *end: where it stopped.
 */
static enum qy_error note(const struct qy_space *space, const struct qy_at *at, uint64_t *named,
                          unsigned *end)
{
    const struct qy_pt_format *format = space->format;
    for (*end = at->index; *end < QY_PT_ENTRIES; ++*end) {
        uint64_t entry = qy_slot_get(qy_table_slots(at->table) + *end);
        if (qy_pt_is_table(format, entry, at->level))
            break;
        if (at->level > 1 && qy_is_moving(format, entry)) /* it may be a table */
            return QY_BUSY;
        if (!entry)
            continue;
        uint64_t mark = qy_entry_is_page(format, entry, at->level)
                            ? qy_table_origin(at->table, *end)
                            : qy_entry_mark(format, entry);
        enum qy_mark_kind kind = qy_mark_kind(mark);
        unsigned index = (unsigned)((mark & QY_MARK_BINDING_MASK) >> QY_MARK_BINDING_SHIFT);
        if (kind == QY_MARK_OBJECT || kind == QY_MARK_PAGER)
            named[index / 64] |= 1ull << index % 64;
    }
    return QY_OK;
}

static enum qy_error note_all(struct qy_space *space, uint64_t *named)
{
    for (uint64_t address = 0; (address = qy_vm_next(space, address, QY_USER_END)) < QY_USER_END;) {
        struct qy_at at;
        unsigned end;
        qy_vm_enter(space->vm);
        bool alive = qy_vm_lock_at(space, vaddr(address), 1, &at);
        if (alive) {
            if (note(space, &at, named, &end) == QY_BUSY)
                qy_port_relax();
            qy_table_unlock(at.table);
            address = qy_span_base(vaddr(address), at.level).raw +
                      (end - at.index) * qy_pt_page_bytes(at.level);
        }
        qy_vm_leave(space->vm);
        if (!alive)
            return QY_REVOKED;
        qy_vm_pause(space->vm);
    }
    return QY_OK;
}

enum qy_error qy_bindings_sweep(struct qy_space *space)
{
    uint64_t named[QY_BINDING_WORDS] = {0};
    enum qy_error error = note_all(space, named);
    if (error != QY_OK)
        return error;
    error = QY_TOO_MANY;
    qy_lock_acquire(&space->bindings_lock);
    for (unsigned i = 0; i <= QY_BINDING_MAX; i++) {
        struct qy_binding *at = find(space, i);
        if (has(named, i))
            continue;
        if ((at && at->object) || has(space->left, i))
            error = QY_OK;
        if (at)
            *at = (struct qy_binding){0};
        space->left[i / 64] &= ~(1ull << i % 64);
    }
    qy_lock_release(&space->bindings_lock);
    return error;
}

enum qy_error qy_space_map_object(struct qy_space *space, void *object, uint64_t cookie,
                                  uint64_t *address, uint64_t bytes, struct qy_mark *mark)
{
    bool made = false;
    qy_space_claim(space);
    enum qy_error error = bind(space, object, cookie, &mark->binding, &made);
    if (error == QY_TOO_MANY) {
        error = qy_bindings_sweep(space);
        if (error == QY_OK)
            error = bind(space, object, cookie, &mark->binding, &made);
    }
    if (error == QY_OK) {
        error = qy_space_map_region(space, address, bytes, mark);
        if (error != QY_OK && made) /* nobody else has seen it: the space is claimed */
            qy_space_unbind(space, mark->binding);
    }
    qy_space_disclaim(space);
    return error;
}

/* ---- the same in another space ---- */

/* The lock is held. INVALID_ARGUMENT: an index means something else there, or has. */
static enum qy_error copy_one(struct qy_space *to, unsigned index, const struct qy_binding *binding,
                              bool left)
{
    struct qy_binding *at = find(to, index);
    if (left ? at && at->object : has(to->left, index))
        return QY_INVALID_ARGUMENT;
    if (left) {
        to->left[index / 64] |= 1ull << index % 64;
        return QY_OK;
    }
    enum qy_error error = binding_at(to, index, &at);
    if (error == QY_OK && !at->object)
        *at = *binding;
    else if (error == QY_OK && (at->object != binding->object || at->cookie != binding->cookie))
        error = QY_INVALID_ARGUMENT;
    return error;
}

enum qy_error qy_bindings_copy(struct qy_space *to, struct qy_space *from)
{
    enum qy_error error = QY_OK;
    for (unsigned i = 0; i <= QY_BINDING_MAX && error == QY_OK; i++) {
        if (i % 64 == 0 && !find(from, i) &&
            !from->left[i / 64]) { /* most spaces name no objects */
            i += 63;
            continue;
        }
        const struct qy_binding binding = qy_space_binding(from, i);
        bool left = has(from->left, i);
        if (!binding.object && !left)
            continue;
        qy_lock_acquire(&to->bindings_lock);
        error = copy_one(to, i, &binding, left);
        qy_lock_release(&to->bindings_lock);
    }
    return error;
}
