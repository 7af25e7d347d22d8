/*
 * Memory objects: their pages, how they come to regions, and how they are taken away again. See qy/object.h.
 */
#include "vm_impl.h"

#include <qy/object.h>

#define BASE (1ull << 39) /* page 0 of a space is never mapped; a root entry loses nothing */
#define RUN_STEPS 1024u   /* of qy_object_run */
#define PART (32 * QY_PAGE_BYTES) /* taken out together; each page is taken from whoever maps it */

static vaddr_t address_of(uint64_t page)
{
    return vaddr(BASE + (page << QY_PAGE_SHIFT));
}

static uint64_t end_of(const struct qy_object *object)
{
    return atomic_load_explicit(&object->pages, memory_order_acquire);
}

enum qy_error qy_object_init(struct qy_object *object, struct qy_vm *vm, struct qy_budget *budget,
                             uint64_t pages)
{
    if (pages > QY_OBJECT_PAGES_MAX)
        return QY_INVALID_ARGUMENT;
    enum qy_error error = qy_space_init(&object->tree, vm, budget, false);
    object->tree.is_object = true;
    atomic_init(&object->pages, pages);
    atomic_init(&object->paged, false);
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

/* A frame that nobody has yet becomes the page at an empty entry, whose table is locked. */
static void put_at(struct qy_space *tree, const struct qy_at *at, pfn_t frame)
{
    const struct qy_mark own = {
        .kind = QY_MARK_ANON, .region = QY_REGION_MAPPED, .max = QY_PT_READ};
    pfn_t none = {0}; /* all pages of an object agree, so no table has a side page */
    qy_table_remember(at->table, at->index, qy_mark_pack(&own), &none);
    qy_word_store(&tree->vm->db->frames[frame.raw].word, qy_mapping(at->table->frame, at->index)
                                                             << QY_WORD_PLACE_SHIFT);
    qy_table_set(tree->format, at->table, at->index,
                 qy_page_entry(tree->format, frame, 1, QY_PT_READ));
}

/* BUSY: the way to it is changing, look again. */
static enum qy_error try_put(struct qy_object *object, uint64_t page, pfn_t frame)
{
    struct qy_space *tree = &object->tree;
    struct qy_at at;
    enum qy_error error = QY_OK;
    qy_vm_enter(tree->vm);
    bool alive = qy_vm_lock_at(tree, address_of(page), 1, &at);
    if (!alive)
        error = QY_REVOKED;
    else if (page >= end_of(object)) /* whoever moved the end comes to this table afterwards */
        error = QY_NOT_MAPPED;
    else if (at.level > 1 || qy_is_moving(tree->format, at.entry))
        error = QY_BUSY;
    else if (at.entry)
        error = QY_ALREADY_MAPPED;
    else
        put_at(tree, &at, frame);
    if (alive)
        qy_table_unlock(at.table);
    qy_vm_leave(tree->vm);
    return error;
}

enum qy_error qy_object_put(struct qy_object *object, uint64_t page, pfn_t frame)
{
    enum qy_error error = page < end_of(object) ? QY_BUSY : QY_NOT_MAPPED;
    while (error == QY_BUSY) {
        error = qy_vm_ensure(&object->tree, address_of(page), 1);
        if (error == QY_OK)
            error = try_put(object, page, frame);
        if (error == QY_BUSY)
            qy_port_relax();
    }
    if (error == QY_NOT_MAPPED || error == QY_OUT_OF_MEMORY)
        qy_vm_prune(&object->tree, address_of(page));
    return error;
}

static enum qy_error fill(struct qy_object *object, uint64_t page)
{
    pfn_t frame;
    enum qy_error error = qy_object_frame(object, true, &frame);
    if (error != QY_OK)
        return error;
    error = qy_object_put(object, page, frame);
    if (error != QY_OK)
        qy_object_frame_free(object, frame);
    return error == QY_ALREADY_MAPPED ? QY_OK : error;
}

/* ---- a region's page gets its frame ---- */

struct join {
    struct qy_object *object;
    struct qy_space *space;
    vaddr_t page;
    enum qy_access access;
    struct qy_at at; /* the region's entry */
    uint64_t mark;
    pfn_t side;
    bool code; /* an executable page has appeared */
};

enum verdict { DONE, AGAIN, ENSURE, UNSHARE, FILL };

static void put_page(struct join *j, pfn_t frame, unsigned rights, uint64_t bits)
{
    const struct qy_pt_format *format = j->space->format;
    qy_table_remember(j->at.table, j->at.index, qy_entry_mark(format, j->at.entry), &j->side);
    qy_table_set(format, j->at.table, j->at.index, qy_page_entry(format, frame, 1, rights) | bits);
    j->code = rights & QY_PT_EXEC;
}

/* A copy, the region's own: what is written, or executed while others write. */
static enum qy_error put_copy(struct join *j, pfn_t frame, unsigned rights)
{
    struct qy_vm *vm = j->space->vm;
    pfn_t fresh;
    enum qy_error error = qy_vm_frame_alloc(vm, j->space->budget, QY_FRAME_USER, &fresh);
    if (error != QY_OK)
        return error;
    memcpy(qy_port_ram(pfn_to_paddr(fresh)), qy_port_ram(pfn_to_paddr(frame)), QY_PAGE_BYTES);
    qy_word_store(&vm->db->frames[fresh.raw].word,
                  qy_mapping(j->at.table->frame, j->at.index) << QY_WORD_PLACE_SHIFT |
                      qy_word_class(rights & QY_PT_WRITE, rights & QY_PT_EXEC));
    put_page(j, fresh, rights, 0);
    return QY_OK;
}

/* The object's frame, in both trees' locked entries. */
static enum qy_error put_frame(struct join *j, pfn_t frame)
{
    const struct qy_pt_format *format = j->space->format;
    struct qy_vm *vm = j->space->vm;
    struct qy_table *table = j->at.table;
    unsigned rights = qy_mark_rights(j->mark);
    bool private = !(j->mark & QY_MARK_SHARED), write = rights & QY_PT_WRITE;
    struct qy_rmap_node *node;
    if (private && j->access == QY_ACCESS_WRITE)
        return put_copy(j, frame, rights);
    enum qy_error error = qy_vm_node_alloc(vm, table->budget, &node);
    if (error != QY_OK)
        return error;
    error = qy_rmap_add(&vm->db->frames[frame.raw].word, qy_mapping(table->frame, j->at.index),
                        write && !private, rights & QY_PT_EXEC, &node);
    qy_vm_node_free(vm, table->budget, node);
    if (error == QY_INVALID_FLAGS && private)
        return put_copy(j, frame, rights);
    if (error == QY_OK && private)
        put_page(j, frame, rights & ~(unsigned)QY_PT_WRITE, write ? qy_bit_cow(format) : 0);
    else if (error == QY_OK)
        put_page(j, frame, rights, qy_bit_foreign(format));
    return error;
}

/* The region's entry is locked, of level 1 and the space's own. */
static enum verdict join_locked(struct join *j, enum qy_error *error)
{
    struct qy_object *object = j->object;
    struct qy_space *tree = &object->tree;
    uint64_t page = j->mark & QY_MARK_OFFSET_MASK;
    struct qy_at at;
    enum verdict verdict = DONE;
    if (!qy_vm_lock_at(tree, address_of(page), 1, &at)) {
        *error = QY_REVOKED;
        return DONE;
    }
    if (page >= end_of(object))
        *error = QY_NOT_MAPPED;
    else if (qy_is_moving(tree->format, at.entry))
        verdict = AGAIN;
    else if (at.entry)
        *error = put_frame(j, qy_entry_frame(tree->format, at.entry));
    else if (atomic_load(&object->paged))
        *error = QY_WOULD_WAIT;
    else
        verdict = FILL;
    qy_table_unlock(at.table);
    return verdict;
}

/* One look at the region's entry, which is locked. */
static enum verdict look(struct join *j, enum qy_error *error)
{
    const struct qy_pt_format *format = j->space->format;
    const struct qy_at *at = &j->at;
    if (!at->entry || qy_is_present(format, at->entry) ||
        qy_entry_kind(at->entry) != QY_MARK_OBJECT)
        return DONE; /* it has changed: whoever touches it again is told */
    j->mark = qy_mark_at(qy_entry_mark(format, at->entry),
                         (j->page.raw - qy_span_base(j->page, at->level).raw) >> QY_PAGE_SHIFT);
    if (!(qy_mark_rights(j->mark) & qy_access_right(j->access)))
        *error = QY_NO_RIGHTS;
    else if (at->level > 1)
        return ENSURE;
    else if (qy_table_is_strange(j->space, at->table))
        return UNSHARE;
    else if (qy_table_needs_side(at->table, qy_entry_mark(format, at->entry)) && !j->side.raw)
        *error = qy_vm_frame_alloc(j->space->vm, at->table->budget, QY_FRAME_METADATA, &j->side);
    return *error == QY_OK ? join_locked(j, error) : DONE;
}

/* A frame is there before the tables that lead to it, so that what cannot succeed leaves none. */
static enum qy_error go_on(struct join *j, enum verdict verdict)
{
    switch (verdict) {
    case ENSURE:
        return qy_vm_ensure(j->space, j->page, 1);
    case UNSHARE:
        return qy_vm_unshare(j->space, j->page, true);
    case FILL:
        return fill(j->object, j->mark & QY_MARK_OFFSET_MASK);
    default:
        qy_port_relax();
        return QY_OK;
    }
}

enum qy_error qy_object_fault(struct qy_object *object, struct qy_space *space, uint64_t address,
                              enum qy_access access, struct qy_fault *out)
{
    struct join j = {.object = object,
                     .space = space,
                     .page = vaddr(qy_align_down(address, QY_PAGE_BYTES)),
                     .access = access};
    enum verdict verdict = AGAIN;
    enum qy_error error = QY_OK;
    while (verdict != DONE && error == QY_OK) {
        qy_vm_enter(space->vm);
        if (qy_vm_lock_at(space, j.page, 1, &j.at)) {
            verdict = look(&j, &error);
            qy_table_unlock(j.at.table);
        } else {
            error = QY_REVOKED;
        }
        if (j.side.raw)
            qy_vm_frame_free(space->vm, j.side, QY_FRAME_METADATA);
        j.side.raw = 0;
        qy_vm_leave(space->vm);
        if (verdict != DONE && error == QY_OK)
            error = go_on(&j, verdict);
    }
    out->mark = qy_mark_unpack(j.mark);
    out->code = error == QY_OK && j.code;
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

/* All errors but these mean that the tree is broken: nothing has to be split, so nothing is needed. */
static void remove_pages(struct qy_object *object, uint64_t from, uint64_t to)
{
    struct qy_space *tree = &object->tree;
    uint64_t at = address_of(from).raw, end = address_of(to).raw, next;
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
    uint64_t old = end_of(object), start;
    unsigned level;
    paddr_t table;
    if (pages > QY_OBJECT_PAGES_MAX)
        return QY_INVALID_ARGUMENT;
    if (pages >= old)
        return atomic_compare_exchange_strong(&object->pages, &old, pages) ? QY_OK : QY_BUSY;
    /* One table of pages, or as far as there is none. */
    qy_vm_enter(object->tree.vm);
    (void)qy_vm_peek(&object->tree, address_of(old - 1).raw, &level, &table);
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
    uint64_t end = end_of(object);
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
    uint64_t end = end_of(object), at = page;
    qy_vm_enter(tree->vm);
    for (unsigned i = 0; i < RUN_STEPS && at < end; i++) {
        unsigned level;
        paddr_t table;
        bool now = qy_vm_peek(tree, address_of(at).raw, &level, &table) != 0;
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
    uint64_t at = address_of(0).raw, end = address_of(end_of(object)).raw;
    const char *broken = qy_space_check(tree);
    if (!broken &&
        (qy_vm_next(tree, 0, at) != at || qy_vm_next(tree, end, QY_USER_END) != QY_USER_END))
        broken = "OBJECT-END";
    for (; !broken && (at = qy_vm_next(tree, at, end)) < end; at += QY_PAGE_BYTES) {
        unsigned level;
        paddr_t table;
        uint64_t entry = qy_vm_peek(tree, at, &level, &table), oldest = 0, next;
        if (!qy_pt_is_page(tree->format, entry, level) ||
            qy_entry_rights(tree->format, entry) != QY_PT_READ)
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
