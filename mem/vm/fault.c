/*
 * Faults: what an entry says is done, once, under its table's lock.
 *
 *     nothing, guard that cannot move     the thread's error
 *     anonymous                           a zeroed frame; tables first, where the mark is higher up; or a large page (huge.c)
 *     present, COW, written               sole: writable again; else a copy
 *     present, shared by an object, COW, written   writable, once the object has noticed it
 *     kept                                present again; a copy where its rights need one
 *     guard with pages left               it moves on, its page is anonymous
 *     object                              its page (object_fault.c); not there: its pager's
 *     pager                               the pager's
 *     swapped                             that of the area's; it is noted that somebody waits
 *     moving                              somebody is at it: wait
 *
 * Fresh pages and pages that gain rights need no flush: a CPU that has the older entry faults, and comes here. A copy
 * replaces: the entry is `moving` until no CPU has the shared frame any more, and only then copied and let go.
 */
#include "fault_impl.h"

static void copy_page(pfn_t to, pfn_t from)
{
    memcpy(qy_port_ram(pfn_to_paddr(to)), qy_port_ram(pfn_to_paddr(from)), QY_PAGE_BYTES);
}

void qy_vm_put_fresh(struct qy_space *space, struct qy_table *table, unsigned index, pfn_t frame,
                     unsigned rights)
{
    const struct qy_pt_format *format = space->format;
    uint64_t class = qy_word_class(rights & QY_PT_WRITE, rights & QY_PT_EXEC);
    qy_word_store(&space->vm->db->frames[frame.raw].word,
                  qy_mapping(table->frame, index) << QY_WORD_PLACE_SHIFT | class);
    qy_slot_put(qy_table_slots(table) + index,
                rights ? qy_page_entry(format, frame, 1, rights)
                       : qy_mark_entry(format, qy_held_mark(QY_MARK_KEPT, frame, 0, 0, false)));
}

static void put_fresh(struct qy_look *look, struct qy_table *table, unsigned index, pfn_t frame,
                      unsigned rights)
{
    look->code |= rights & QY_PT_EXEC;
    qy_vm_put_fresh(look->space, table, index, frame, rights);
}

enum qy_error qy_below_make(struct qy_space *space, vaddr_t page, const struct qy_at *at,
                            struct qy_below *below)
{
    const struct qy_pt_format *format = space->format;
    struct qy_table *list, *above = NULL;
    const uint64_t mark = qy_entry_mark(format, at->entry);
    const uint64_t base = qy_span_base(page, at->level).raw;
    *below = (struct qy_below){.leaf = at->table, .index = at->index};
    enum qy_error error = qy_tables_reserve(space->vm, space->budget, at->level - 1, &list);
    for (unsigned level = at->level - 1; error == QY_OK && level >= 1; level--) {
        struct qy_table *table = list;
        uint64_t offset = (qy_span_base(page, level + 1).raw - base) >> QY_PAGE_SHIFT;
        list = table->next;
        qy_table_fill(format, table, level, mark ? qy_mark_at(mark, offset) : 0);
        if (above)
            qy_table_link(format, above, qy_pt_index(page, level + 1), table);
        below->tables[below->count++] = above = below->leaf = table;
        below->index = qy_pt_index(page, 1);
    }
    return error;
}

void qy_below_link(struct qy_space *space, const struct qy_at *at, struct qy_below *below)
{
    if (below->count > 0)
        qy_table_link(space->format, at->table, at->index, below->tables[0]);
    below->count = 0;
}

void qy_below_drop(struct qy_space *space, struct qy_below *below)
{
    while (below->count > 0)
        qy_table_free(space->vm, below->tables[--below->count]);
}

/* A zeroed frame, for an entry of a table that is the space's. */
static enum qy_error alloc(const struct qy_look *look, struct qy_table *table, unsigned index,
                           pfn_t *out)
{
    enum qy_pages pages = qy_mark_pages(look->mark);
    struct qy_space *space = look->space;
    if (pages == QY_PAGES_GROW && qy_vm_frame_in_place(space, table, index, pages, out))
        return QY_OK;
    return qy_vm_frame_alloc_zeroed(space->vm, space->budget, QY_FRAME_USER, out);
}

/* In tables that do not exist yet. */
static enum qy_verdict fill_below(struct qy_look *look)
{
    struct qy_space *space = look->space;
    struct qy_below below;
    pfn_t frame;
    look->error = qy_below_make(space, look->page, &look->at, &below);
    if (look->error != QY_OK)
        return QY_LOOK_DONE;
    look->error = alloc(look, below.leaf, below.index, &frame);
    if (look->error != QY_OK) {
        qy_below_drop(space, &below);
        return QY_LOOK_DONE;
    }
    qy_table_lock(below.leaf); /* a revoke finds it by the frame */
    pfn_t none = {0};          /* an empty table needs no side page */
    qy_table_remember(below.leaf, below.index, look->mark, &none);
    put_fresh(look, below.leaf, below.index, frame, qy_mark_rights(look->mark));
    below.leaf->held++;
    qy_table_unlock(below.leaf);
    qy_below_link(space, &look->at, &below);
    return QY_LOOK_DONE;
}

/* An entry that is an anonymous mark gets its page. */
static enum qy_verdict fill(struct qy_look *look)
{
    struct qy_space *space = look->space;
    struct qy_vm *vm = space->vm;
    struct qy_table *table = look->at.table;
    pfn_t frame, side = {0};
    bool needs_side = look->at.level == 1 && qy_table_needs_side(table, look->mark);
    if (needs_side && qy_table_is_strange(space, table))
        return QY_LOOK_UNSHARE;
    if (look->at.level > 1)
        return qy_pages_level(qy_mark_pages(look->mark), look->at.level) > 1 ? QY_LOOK_LARGE
                                                                             : fill_below(look);
    look->error = alloc(look, table, look->at.index, &frame);
    if (look->error != QY_OK)
        return QY_LOOK_DONE;
    if (needs_side) {
        look->error = qy_vm_frame_alloc(vm, table->budget, QY_FRAME_METADATA, &side);
        if (look->error != QY_OK) {
            qy_vm_frame_free(vm, frame, QY_FRAME_USER);
            return QY_LOOK_DONE;
        }
    }
    qy_table_remember(table, look->at.index, look->mark, &side);
    put_fresh(look, table, look->at.index, frame, qy_mark_rights(look->mark));
    table->held++;
    look->full = table->kept && table->held == QY_PT_ENTRIES;
    return QY_LOOK_DONE;
}

bool qy_vm_replace(struct qy_space *space, vaddr_t page, struct qy_at *at, unsigned rights,
                   pfn_t fresh)
{
    pfn_t old = {0};
    bool foreign;
    struct qy_gone gone;
    qy_gone_begin(&gone);
    (void)qy_entry_holds(space->format, at->entry, 1, &old, &foreign);
    uint64_t moving = qy_mark_entry(
        space->format, qy_held_mark(QY_MARK_MOVING, old, rights, qy_port_cpu(), false));
    bool known = qy_is_present(space->format, at->entry);
    qy_table_set(space->format, at->table, at->index, moving);
    if (known) { /* to CPUs */
        qy_table_unlock(at->table);
        qy_vm_flush(space, page, page.raw + QY_PAGE_BYTES, 1);
        copy_page(fresh, old);
        qy_table_lock(at->table);
        if (qy_slot_get(at->slot) != moving) {
            qy_table_unlock(at->table);
            return false;
        }
    } else {
        copy_page(fresh, old);
    }
    qy_vm_let_go(space->vm, at->table, at->index, old, false, &gone);
    qy_vm_put_fresh(space, at->table, at->index, fresh, rights);
    qy_table_unlock(at->table);
    qy_gone_send(space->vm, &gone);
    return true;
}

/* A copy of the entry's frame takes its place; unlocks. */
static enum qy_verdict copy(struct qy_look *look, unsigned rights)
{
    struct qy_space *space = look->space;
    pfn_t fresh;
    look->error = qy_vm_frame_alloc(space->vm, space->budget, QY_FRAME_USER, &fresh);
    if (look->error != QY_OK) {
        qy_table_unlock(look->at.table);
        return QY_LOOK_DONE;
    }
    if (qy_vm_replace(space, look->page, &look->at, rights, fresh)) {
        look->code |= rights & QY_PT_EXEC;
        return QY_LOOK_DONE;
    }
    qy_vm_frame_free(space->vm, fresh, QY_FRAME_USER);
    return QY_LOOK_AGAIN;
}

static void set_entry(struct qy_look *look, uint64_t entry)
{
    look->code |= qy_pt_has(look->space->format, entry, QY_PT_BIT_EXEC);
    qy_table_set(look->space->format, look->at.table, look->at.index, entry);
    qy_table_unlock(look->at.table);
}

static enum qy_verdict object(struct qy_look *look);

/* A page that is there. Unlocks. */
static enum qy_verdict present(struct qy_look *look)
{
    const struct qy_pt_format *format = look->space->format;
    struct qy_at *at = &look->at;
    unsigned rights = qy_entry_rights(format, at->entry);
    bool break_it = look->access == QY_ACCESS_WRITE && at->entry & qy_bit_cow(format);
    if (!(rights & qy_access_right(look->access)))
        look->error = QY_NO_RIGHTS;
    if (look->error != QY_OK || !break_it) {
        /* A CPU that does not note by itself that it uses a page faults for it after a harvest. */
        atomic_fetch_or_explicit(at->slot, format->flags[QY_PT_BIT_ACCESSED].value,
                                 memory_order_relaxed);
        qy_table_unlock(at->table);
        return QY_LOOK_DONE;
    }
    if (at->entry & qy_bit_foreign(format)) {
        look->mark = qy_table_origin(at->table, at->index);
        enum qy_verdict verdict = object(look);
        qy_table_unlock(at->table);
        return verdict;
    }
    if (qy_table_is_shared(at->table)) {
        qy_table_unlock(at->table);
        return QY_LOOK_UNSHARE;
    }
    pfn_t frame = qy_entry_frame(format, at->entry);
    _Atomic uint64_t *word = &look->space->vm->db->frames[frame.raw].word;
    if (qy_word_load(word) & QY_WORD_LIST)
        return copy(look, rights);
    if (qy_rmap_class(word, qy_mapping(at->table->frame, at->index), true, false) != QY_OK)
        qy_port_broken("WXOR", "a sole mapping cannot change its class, frame", frame.raw);
    set_entry(look, qy_page_entry(format, frame, at->level, rights));
    return QY_LOOK_DONE;
}

/* A frame without an entry that CPUs use. Unlocks. */
static enum qy_verdict kept(struct qy_look *look)
{
    struct qy_space *space = look->space;
    const struct qy_pt_format *format = space->format;
    struct qy_at *at = &look->at;
    unsigned rights = qy_mark_rights(look->mark);
    bool write = rights & QY_PT_WRITE, exec = rights & QY_PT_EXEC;
    pfn_t frame = pfn(look->mark & QY_MARK_OFFSET_MASK);
    _Atomic uint64_t *word = qy_frame_rmap(space->vm->db, frame);
    uint64_t mapping = qy_mapping(at->table->frame, at->index);
    if (look->mark & QY_HELD_FOREIGN) {
        rights |= (unsigned)((look->mark & QY_TYPE_MASK) >> QY_TYPE_SHIFT);
        look->error = word ? qy_rmap_class(word, mapping, write, exec) : QY_OK;
        if (look->error != QY_OK) {
            qy_table_unlock(at->table);
            return QY_LOOK_DONE;
        }
        uint64_t bits = qy_bit_foreign(format);
        bool noticed = write && qy_is_noticed(qy_table_origin(at->table, at->index));
        if (noticed) {
            rights &= ~(unsigned)QY_PT_WRITE;
            bits |= qy_bit_cow(format);
        }
        set_entry(look, qy_page_entry(format, frame, at->level, rights) | bits);
        return noticed ? QY_LOOK_AGAIN : QY_LOOK_DONE;
    }
    if (qy_word_load(word) & QY_WORD_LIST) {
        if (write) {
            set_entry(look, qy_page_entry(format, frame, 1, QY_PT_READ) | qy_bit_cow(format));
            return QY_LOOK_AGAIN;
        }
        if (qy_rmap_class(word, mapping, false, exec) != QY_OK)
            return copy(look, rights);
    } else if (qy_rmap_class(word, mapping, write, exec) != QY_OK) {
        qy_port_broken("WXOR", "a sole mapping cannot change its class, frame", frame.raw);
    }
    set_entry(look, qy_page_entry(format, frame, at->level, rights));
    return QY_LOOK_DONE;
}

/* A page of an object: of ours, or whoever bound it is asked. The table stays locked. */
static enum qy_verdict object(struct qy_look *look)
{
    struct qy_vm *vm = look->space->vm;
    struct qy_object *object;
    unsigned index = (unsigned)((look->mark & QY_MARK_BINDING_MASK) >> QY_MARK_BINDING_SHIFT);
    look->binding = qy_space_binding(look->space, index);
    look->error = !look->binding.object ? QY_REVOKED
                  : vm->object          ? vm->object(vm->context, &look->binding, &object)
                                        : QY_WOULD_WAIT;
    return look->error == QY_OK ? qy_object_join(object, look) : QY_LOOK_DONE;
}

/* A page in a slot: who restores it is to know that it is wanted here. The table stays locked. */
static enum qy_verdict swapped(struct qy_look *look)
{
    struct qy_space *space = look->space;
    struct qy_at *at = &look->at;
    uint64_t slot;
    if (qy_table_is_strange(space, at->table))
        return QY_LOOK_UNSHARE;
    look->binding = qy_swap_place(space->vm, look->mark, &slot);
    qy_table_set(space->format, at->table, at->index,
                 qy_mark_entry(space->format, look->mark | QY_MARK_SHARED));
    look->mark = (look->mark & ~(QY_MARK_OFFSET_MASK | QY_MARK_BINDING_MASK)) | slot;
    look->error = QY_WOULD_WAIT;
    return QY_LOOK_DONE;
}

/* An entry that is not present, of a kind that holds no frame. The table stays locked. */
static enum qy_verdict absent(struct qy_look *look, enum qy_mark_kind kind)
{
    struct qy_table *table = look->at.table;
    bool allowed = qy_mark_rights(look->mark) & qy_access_right(look->access);
    switch (kind) {
    case QY_MARK_ANON:
        if (allowed)
            return look->at.level == 1 && qy_table_is_shared(table) ? QY_LOOK_UNSHARE : fill(look);
        look->error = QY_NO_RIGHTS;
        return QY_LOOK_DONE;
    case QY_MARK_SWAPPED:
        if (allowed)
            return swapped(look);
        look->error = QY_NO_RIGHTS;
        return QY_LOOK_DONE;
    case QY_MARK_OBJECT:
        if (allowed)
            return object(look);
        look->error = QY_NO_RIGHTS;
        return QY_LOOK_DONE;
    case QY_MARK_PAGER:
        look->error = allowed ? QY_WOULD_WAIT : QY_NO_RIGHTS;
        return QY_LOOK_DONE;
    case QY_MARK_GUARD:
        if (look->mark & QY_MARK_OFFSET_MASK && look->at.level == 1)
            return QY_LOOK_GROW;
        look->error = QY_NOT_MAPPED;
        return QY_LOOK_DONE;
    default:
        look->error = kind == QY_MARK_REVOKED ? QY_REVOKED : QY_NOT_MAPPED;
        return QY_LOOK_DONE;
    }
}

/* One look at the entry, which is locked. Unlocks. */
static enum qy_verdict resolve(struct qy_look *look)
{
    struct qy_at *at = &look->at;
    if (qy_is_present(look->space->format, at->entry))
        return present(look);
    uint64_t mark = qy_entry_mark(look->space->format, at->entry);
    enum qy_mark_kind kind = qy_mark_kind(mark);
    enum qy_verdict verdict = QY_LOOK_AGAIN;
    if (at->level > 1)
        mark = qy_mark_at(mark, (look->page.raw - qy_span_base(look->page, at->level).raw) >>
                                    QY_PAGE_SHIFT);
    look->mark = mark;
    if (kind < QY_MARK_KEPT) {
        verdict = absent(look, kind);
    } else if (kind == QY_MARK_KEPT) {
        if (!(qy_mark_rights(mark) & qy_access_right(look->access)))
            look->error = QY_NO_RIGHTS;
        else if (at->level > 1 || !qy_table_is_shared(at->table))
            return kept(look);
        verdict = look->error == QY_OK ? QY_LOOK_UNSHARE : QY_LOOK_DONE;
    }
    qy_table_unlock(at->table);
    return verdict;
}

/*
 * A guard moves one page on, down from a stack and up from a heap, and its page becomes anonymous. A guard that
 * something is behind stays.
 */
static enum qy_error grow(const struct qy_look *look)
{
    struct qy_space *space = look->space;
    bool down = (look->mark >> QY_MARK_REGION_SHIFT & 7) == QY_REGION_STACK;
    uint64_t next = down ? look->page.raw - QY_PAGE_BYTES : look->page.raw + QY_PAGE_BYTES;
    enum qy_error error = qy_vm_range_check(space, next, QY_PAGE_BYTES);
    if (error == QY_OK)
        error = qy_vm_put(space, next, next + QY_PAGE_BYTES, look->mark - 1);
    if (error == QY_OUT_OF_MEMORY || error == QY_REVOKED)
        return error;
    struct qy_at at;
    uint64_t anon = (look->mark & ~(QY_MARK_OFFSET_MASK | 15ull << QY_MARK_KIND_SHIFT)) |
                    (uint64_t)QY_MARK_ANON << QY_MARK_KIND_SHIFT;
    bool put = error == QY_OK;
    qy_vm_enter(space->vm);
    bool alive = qy_vm_lock_at(space, look->page, 1, &at);
    bool same = alive && at.entry == qy_mark_entry(space->format, look->mark);
    bool shared = same && qy_table_is_shared(at.table);
    if (same && put && !shared)
        qy_table_set(space->format, at.table, at.index, qy_mark_entry(space->format, anon));
    if (alive)
        qy_table_unlock(at.table);
    qy_vm_leave(space->vm);
    if (same && put && !shared)
        return QY_OK;
    if (put) { /* somebody was faster, or the page is in a shared table: take the new guard back */
        error = qy_space_unmap_region(space, next, QY_PAGE_BYTES);
        return error == QY_OK && shared ? qy_vm_unshare(space, look->page, false) : error;
    }
    return same ? QY_NOT_MAPPED : QY_OK;
}

/* The entry was an anonymous mark of large pages. */
static enum qy_error fill_large(struct qy_look *look)
{
    unsigned level = qy_pages_level(qy_mark_pages(look->mark), look->at.level);
    look->code |= qy_mark_rights(look->mark) & QY_PT_EXEC;
    return qy_vm_fill_large(look->space, look->page, level);
}

/* For whoever moves the entry; where that is a large page that is being zeroed it takes a while. */
static void wait(const struct qy_space *space)
{
    qy_port_relax();
    qy_vm_pause(space->vm);
}

enum qy_error qy_space_fault(struct qy_space *space, uint64_t address, enum qy_access access,
                             struct qy_fault *out)
{
    struct qy_look look;
    if (address >= QY_USER_END)
        return QY_INVALID_ADDRESS;
    look.space = space;
    look.page = vaddr(qy_align_down(address, QY_PAGE_BYTES));
    look.access = access;
    look.code = look.full = false;
    for (;;) {
        enum qy_verdict verdict = QY_LOOK_DONE;
        look.error = QY_REVOKED;
        look.mark = 0;
        look.binding = (struct qy_binding){0};
        qy_vm_enter(space->vm);
        if (qy_vm_lock_at(space, look.page, 1, &look.at)) {
            look.error = QY_OK;
            verdict = resolve(&look);
        }
        qy_vm_leave(space->vm);
        if (verdict == QY_LOOK_UNSHARE)
            look.error = qy_vm_unshare(space, look.page, true);
        else if (verdict == QY_LOOK_GROW)
            look.error = grow(&look);
        else if (verdict == QY_LOOK_LARGE)
            look.error = fill_large(&look);
        else if (verdict == QY_LOOK_AGAIN)
            wait(space);
        if (verdict == QY_LOOK_DONE || look.error != QY_OK)
            break;
    }
    if (look.full)
        qy_vm_promote(space, look.page);
    out->code = look.error == QY_OK && look.code;
    if (look.error != QY_OK || look.binding.object) {
        out->mark = qy_mark_unpack(look.mark);
        out->binding = look.binding;
    }
    return look.error;
}
