/*
 * Memory objects: their pages, and how they are taken away again. See qy/object.h; object_fault.c brings them to regions.
 */
#include "object_impl.h"

#define RUN_STEPS 1024u           /* of qy_object_run */
#define PART (32 * QY_PAGE_BYTES) /* taken out together; each page is taken from whoever maps it */

enum qy_error qy_object_init(struct qy_object *object, struct qy_vm *vm, struct qy_budget *budget,
                             uint64_t pages)
{
    if (pages > QY_OBJECT_PAGES_MAX)
        return QY_INVALID_ARGUMENT;
    enum qy_error error = qy_space_init(&object->tree, vm, budget, false);
    object->tree.is_object = true;
    atomic_init(&object->pages, pages);
    atomic_init(&object->paged, false);
    atomic_init(&object->notices, false);
    atomic_init(&object->dead, false);
    return error;
}

/* ---- pages of an object ---- */

enum qy_error qy_object_frame(struct qy_object *object, bool zeroed, pfn_t *out)
{
    struct qy_space *tree = &object->tree;
    return zeroed ? qy_vm_frame_alloc_zeroed(tree->vm, tree->budget, QY_FRAME_USER, out)
                  : qy_vm_frame_alloc(tree->vm, tree->budget, QY_FRAME_USER, out);
}

void qy_object_frame_free(struct qy_object *object, pfn_t frame)
{
    qy_vm_frame_free(object->tree.vm, frame, QY_FRAME_USER);
}

void qy_object_own(struct qy_space *tree, struct qy_table *table, unsigned index, pfn_t frame)
{
    const struct qy_mark own = {
        .kind = QY_MARK_ANON, .region = QY_REGION_MAPPED, .max = QY_PT_READ | QY_PT_WRITE};
    pfn_t none = {0}; /* all pages of an object agree, so no table has a side page */
    qy_table_remember(table, index, qy_mark_pack(&own), &none);
    qy_word_store(&tree->vm->db->frames[frame.raw].word, qy_mapping(table->frame, index)
                                                             << QY_WORD_PLACE_SHIFT);
    qy_table_set(tree->format, table, index, qy_page_entry(tree->format, frame, 1, QY_PT_READ));
}

/* BUSY: the way to it is changing, look again. */
static enum qy_error try_put(struct qy_object *object, uint64_t page, pfn_t frame)
{
    struct qy_space *tree = &object->tree;
    struct qy_at at;
    enum qy_error error = QY_OK;
    qy_vm_enter(tree->vm);
    bool alive = qy_vm_lock_at(tree, qy_object_address(page), 1, &at);
    if (!alive)
        error = QY_REVOKED;
    else if (page >=
             qy_object_end(object)) /* whoever moved the end comes to this table afterwards */
        error = QY_NOT_MAPPED;
    else if (at.level > 1 || qy_is_moving(tree->format, at.entry))
        error = QY_BUSY;
    else if (at.entry)
        error = QY_ALREADY_MAPPED;
    else
        qy_object_own(tree, at.table, at.index, frame);
    if (alive)
        qy_table_unlock(at.table);
    qy_vm_leave(tree->vm);
    return error;
}

enum qy_error qy_object_put(struct qy_object *object, uint64_t page, pfn_t frame)
{
    enum qy_error error = page < qy_object_end(object) ? QY_BUSY : QY_NOT_MAPPED;
    while (error == QY_BUSY) {
        error = qy_vm_ensure(&object->tree, qy_object_address(page), 1);
        if (error == QY_OK)
            error = try_put(object, page, frame);
        if (error == QY_BUSY)
            qy_port_relax();
    }
    if (error == QY_NOT_MAPPED || error == QY_OUT_OF_MEMORY)
        qy_vm_prune(&object->tree, qy_object_address(page));
    return error;
}

/* ---- taking pages away ---- */

/* Every mapping of a frame but the object's own goes. */
static void withdraw_frame(struct qy_object *object, pfn_t frame)
{
    struct qy_vm *vm = object->tree.vm;
    _Atomic uint64_t *word = &vm->db->frames[frame.raw].word;
    bool own = false, revoked = atomic_load(&object->dead);
    while (qy_rmap_count(word) > 1) {
        uint64_t mapping;
        if (!qy_rmap_at(word, 0, &mapping) || !qy_vm_take_mapping(vm, word, mapping, revoked, &own))
            qy_port_relax(); /* it is on its way out already */
    }
}

/* Below a table, which may be moving as a whole. */
static void withdraw_below(struct qy_object *object, struct qy_table *table, uint64_t start,
                           uint64_t end)
{
    const struct qy_space *tree = &object->tree;
    uint64_t bytes = qy_pt_page_bytes(table->level);
    for (uint64_t at = start, next; at < end; at = next) {
        uint64_t entry = qy_slot_get(qy_table_slots(table) + qy_pt_index(vaddr(at), table->level));
        pfn_t frame = {0};
        bool foreign;
        next = qy_align_down(at, bytes) + bytes;
        next = next < end ? next : end;
        if (qy_pt_is_table(tree->format, entry, table->level))
            frame = qy_entry_frame(tree->format, entry);
        else if (!qy_entry_holds(tree->format, entry, table->level, &frame, &foreign))
            continue;
        if (table->level > 1)
            withdraw_below(object, qy_table_of(tree->vm->db, frame), at, next);
        else
            withdraw_frame(object, frame);
    }
}

void qy_object_withdraw(struct qy_space *tree, uint64_t start, uint64_t end)
{
    qy_vm_enter(tree->vm);
    struct qy_table *root = qy_table_of(tree->vm->db, paddr_to_pfn(tree->root));
    withdraw_below((struct qy_object *)tree, root, start, end);
    qy_vm_leave(tree->vm);
}

/* Was the page written to? It is not any more, and nobody writes to it before that is noticed. */
static bool take_written(struct qy_object *object, uint64_t page)
{
    struct qy_space *tree = &object->tree;
    const struct qy_pt_format *format = tree->format;
    struct qy_at at;
    if (!qy_vm_lock_at(tree, qy_object_address(page), 1, &at))
        return false;
    uint64_t entry = at.entry, cow = qy_bit_cow(format);
    if (!qy_pt_is_page(format, entry, at.level) || !(entry & cow)) {
        qy_table_unlock(at.table);
        return false;
    }
    pfn_t frame = qy_entry_frame(format, entry);
    uint64_t moving = qy_mark_entry(
        format, qy_held_mark(QY_MARK_MOVING, frame, QY_PT_READ, qy_port_cpu(), false));
    qy_table_set(format, at.table, at.index, moving);
    qy_table_unlock(at.table);
    withdraw_frame(object, frame);
    qy_table_lock(at.table);
    if (qy_slot_get(at.slot) == moving)
        qy_table_set(format, at.table, at.index, entry & ~cow);
    qy_table_unlock(at.table);
    return true;
}

uint64_t qy_object_take_written(struct qy_object *object, uint64_t page, unsigned count)
{
    uint64_t end = qy_object_end(object), written = 0;
    atomic_store(&object->notices, true);
    for (unsigned i = 0; i < count && page + i < end; i++) {
        qy_vm_enter(object->tree.vm);
        bool taken = take_written(object, page + i);
        qy_vm_leave(object->tree.vm);
        written |= (uint64_t)taken << i;
        if (taken)
            qy_vm_pause(object->tree.vm);
    }
    return written;
}

/* All errors but these mean that the tree is broken: nothing has to be split, so nothing is needed. */
static void remove_pages(struct qy_object *object, uint64_t from, uint64_t to)
{
    struct qy_space *tree = &object->tree;
    uint64_t at = qy_object_address(from).raw, end = qy_object_address(to).raw, next;
    while (from < to && (at = qy_vm_next(tree, at, end)) < end) {
        next = qy_align_down(at, PART) + PART;
        next = next < end ? next : end;
        enum qy_error error = qy_space_unmap_region(tree, at, next - at);
        if (error != QY_OK && error != QY_NOT_MAPPED && error != QY_REVOKED)
            qy_port_broken("ATOMIC", "pages of an object cannot be taken out, from", from);
        qy_vm_pause(tree->vm);
        at = next;
    }
}

enum qy_error qy_object_resize_step(struct qy_object *object, uint64_t pages)
{
    uint64_t old = qy_object_end(object), start;
    unsigned level;
    paddr_t table;
    if (pages > QY_OBJECT_PAGES_MAX)
        return QY_INVALID_ARGUMENT;
    if (pages >= old)
        return atomic_compare_exchange_strong(&object->pages, &old, pages) ? QY_OK : QY_BUSY;
    /* One table of pages, or as far as there is none. */
    qy_vm_enter(object->tree.vm);
    (void)qy_vm_peek(&object->tree, qy_object_address(old - 1).raw, &level, &table);
    qy_vm_leave(object->tree.vm);
    start = qy_align_down(old - 1, qy_pt_page_bytes(level > 1 ? level : 2) >> QY_PAGE_SHIFT);
    start = start > pages ? start : pages;
    if (!atomic_compare_exchange_strong(&object->pages, &old, start))
        return QY_BUSY;
    remove_pages(object, start, old);
    return start == pages ? QY_OK : QY_BUSY;
}

void qy_object_discard(struct qy_object *object, uint64_t page, uint64_t count)
{
    uint64_t end = qy_object_end(object);
    page = page < end ? page : end;
    remove_pages(object, page, count < end - page ? page + count : end);
}

enum qy_error qy_object_destroy_step(struct qy_object *object)
{
    atomic_store(&object->dead, true);
    if (qy_object_resize_step(object, 0) == QY_BUSY)
        return QY_BUSY;
    return qy_space_destroy_step(&object->tree);
}

/* ---- looks ---- */

uint64_t qy_object_run(struct qy_object *object, uint64_t page, bool *there)
{
    struct qy_space *tree = &object->tree;
    uint64_t end = qy_object_end(object), at = page;
    qy_vm_enter(tree->vm);
    for (unsigned i = 0; i < RUN_STEPS && at < end; i++) {
        unsigned level;
        paddr_t table;
        bool now = qy_vm_peek(tree, qy_object_address(at).raw, &level, &table) != 0;
        if (i == 0)
            *there = now;
        if (now != *there)
            break;
        uint64_t span = qy_pt_page_bytes(level) >> QY_PAGE_SHIFT;
        at = qy_align_down(at, span) + span;
    }
    qy_vm_leave(tree->vm);
    return page < end ? (at < end ? at : end) - page : 0;
}

const char *qy_object_check(struct qy_object *object)
{
    struct qy_space *tree = &object->tree;
    uint64_t at = qy_object_address(0).raw, end = qy_object_address(qy_object_end(object)).raw;
    const char *broken = qy_space_check(tree);
    if (!broken &&
        (qy_vm_next(tree, 0, at) != at || qy_vm_next(tree, end, QY_USER_END) != QY_USER_END))
        broken = "OBJECT-END";
    for (; !broken && (at = qy_vm_next(tree, at, end)) < end; at += QY_PAGE_BYTES) {
        unsigned level;
        paddr_t table;
        uint64_t entry = qy_vm_peek(tree, at, &level, &table), oldest = 0, next;
        if (!qy_pt_is_page(tree->format, entry, level) ||
            qy_entry_rights(tree->format, entry & ~qy_bit_cow(tree->format)) != QY_PT_READ)
            return "OBJECT-OWN";
        _Atomic uint64_t *word =
            &tree->vm->db->frames[qy_entry_frame(tree->format, entry).raw].word;
        for (unsigned n = 0; qy_rmap_at(word, n, &next); n++)
            oldest = next;
        if (oldest != qy_mapping(paddr_to_pfn(table), qy_pt_index(vaddr(at), 1)))
            broken = "OBJECT-OWN";
    }
    return broken;
}
