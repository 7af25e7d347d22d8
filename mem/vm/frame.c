/*
 * Explicit mapping: frames and tables that their owners put in. revoke.c takes them away.
 */
#include "vm_impl.h"

static bool rights_exist(unsigned rights)
{
    return rights & QY_PT_READ && !(rights & QY_PT_WRITE && rights & QY_PT_EXEC);
}

/* What is to be mapped: `count` pages of `level`, of one block. */
struct pages {
    pfn_t frame;
    unsigned level, count, flags;
    bool raw; /* nobody's frames, which have no reverse map */
    /* Of their block: */
    _Atomic uint64_t *word;
    pfn_t start;
    unsigned order;
};

/* And finds their block. */
static enum qy_error map_check(const struct qy_space *space, uint64_t address, struct pages *pages)
{
    enum qy_frame_state state;
    if (pages->level < 1 || pages->level > QY_PT_LARGEST_PAGE || pages->count < 1 ||
        pages->count > QY_PT_ENTRIES)
        return QY_INVALID_ARGUMENT;
    uint64_t bytes = qy_pt_page_bytes(pages->level), frames = bytes >> QY_PAGE_SHIFT;
    unsigned first = qy_pt_index(vaddr(address), pages->level);
    enum qy_error error = qy_vm_range_check(space, address, bytes * pages->count);
    if (error != QY_OK)
        return error;
    if ((address & (bytes - 1)) || pages->frame.raw & (frames - 1) ||
        first + pages->count > QY_PT_ENTRIES)
        return QY_INVALID_ADDRESS;
    if (!rights_exist(pages->flags) || pages->flags & QY_PT_GLOBAL ||
        !qy_pt_supports(space->format, pages->flags | QY_PT_USER, pages->level))
        return QY_INVALID_FLAGS;
    if (pages->raw)
        return !qy_frame_is_raw(space->vm->db, pages->frame) ? QY_INVALID_ARGUMENT
               : pages->flags & QY_PT_EXEC                   ? QY_INVALID_FLAGS
                                                             : QY_OK;
    error = qy_frame_block(space->vm->db, pages->frame, &pages->start, &pages->order, &state);
    if (error != QY_OK || (state != QY_FRAME_USER && state != QY_FRAME_DEVICE) ||
        pages->frame.raw + frames * pages->count > pages->start.raw + (1ull << pages->order))
        return QY_NOT_ALLOCATED;
    pages->word = &space->vm->db->frames[pages->start.raw].word;
    bool typed = pages->flags & (QY_PT_WRITE_THROUGH | QY_PT_UNCACHED);
    return typed && state != QY_FRAME_DEVICE ? QY_INVALID_FLAGS : QY_OK;
}

/* May they go to this locked entry and those after it? MISSING_TABLE: *missing. */
static enum qy_error place_check(const struct qy_space *space, const struct qy_at *at,
                                 const struct pages *pages, bool supply, unsigned *missing)
{
    unsigned count = at->level == pages->level ? pages->count : 1;
    for (unsigned i = 0; i < count; i++) {
        uint64_t entry = qy_slot_get(at->slot + i);
        uint64_t mark =
            qy_is_present(space->format, entry) ? 0 : qy_entry_mark(space->format, entry);
        enum qy_mark_kind kind = qy_mark_kind(mark);
        if (kind == QY_MARK_MOVING)
            return QY_BUSY;
        if (supply ? kind < QY_MARK_ANON || kind > QY_MARK_PAGER
                   : entry != 0 && kind != QY_MARK_REVOKED)
            return supply && !entry ? QY_NOT_MAPPED : QY_ALREADY_MAPPED;
        if (supply && kind == QY_MARK_OBJECT && mark & QY_MARK_SHARED)
            return QY_ALREADY_MAPPED; /* its pages are the object's */
        if (supply && !qy_mark_may_have(mark, pages->flags & QY_PT_RIGHTS))
            return QY_NO_RIGHTS;
    }
    if (at->level == pages->level)
        return QY_OK;
    *missing = at->level - 1;
    return QY_MISSING_TABLE;
}

struct placing {
    struct qy_space *space;
    struct qy_at at;
    uint64_t origin;
    pfn_t side;
};

/* The mapping of the i-th page joins the reverse map of its block. */
static enum qy_error join(const struct placing *p, const struct pages *pages, unsigned i)
{
    _Atomic uint64_t *word = pages->word;
    struct qy_rmap_node *node = NULL;
    struct qy_vm *vm = p->space->vm;
    enum qy_error error = QY_OK;
    uint64_t step = qy_pt_page_bytes(pages->level) >> QY_PAGE_SHIFT;
    uint64_t mapping = qy_mapping(p->at.table->frame, p->at.index + i);
    if (pages->order > 0)
        mapping = qy_mapping_part(mapping, pages->frame.raw - pages->start.raw + i * step, step);
    if (qy_rmap_count(word) != 0)
        error = qy_vm_node_alloc(vm, p->at.table->budget, &node);
    while (error == QY_OK) {
        error = qy_rmap_add(word, mapping, pages->flags & QY_PT_WRITE, pages->flags & QY_PT_EXEC,
                            &node);
        if (error != QY_OUT_OF_MEMORY || node)
            break;
        error = qy_vm_node_alloc(vm, p->at.table->budget, &node); /* it takes one */
    }
    qy_vm_node_free(vm, p->at.table->budget, node);
    return error;
}

static void leave(const struct placing *p, _Atomic uint64_t *word, unsigned index)
{
    struct qy_rmap_node *freed;
    if (!qy_rmap_remove(word, qy_mapping(p->at.table->frame, index), &freed, NULL))
        qy_port_broken("VM-RMAP", "a mapping has vanished, frame", p->at.table->frame.raw);
    qy_vm_node_return(p->space->vm, freed);
}

/* Reserve, then commit: the entries' table is locked. */
static enum qy_error place(struct placing *p, const struct pages *pages)
{
    struct qy_space *space = p->space;
    struct qy_table *table = p->at.table;
    enum qy_error error = QY_OK;
    unsigned joined = 0;
    if (qy_table_needs_side(table, p->origin))
        error = qy_vm_frame_alloc(space->vm, table->budget, QY_FRAME_METADATA, &p->side);
    /* The lowest address last: lists are searched from the newest on, and whoever unmaps begins there. */
    while (!pages->raw && error == QY_OK && joined < pages->count) {
        error = join(p, pages, pages->count - 1 - joined);
        joined += error == QY_OK;
    }
    if (error != QY_OK) {
        while (joined-- > 0)
            leave(p, pages->word, p->at.index + pages->count - 1 - joined);
        return error;
    }
    uint64_t frames = qy_pt_page_bytes(pages->level) >> QY_PAGE_SHIFT;
    for (unsigned i = 0; i < pages->count; i++) {
        qy_table_remember(table, p->at.index + i, p->origin, &p->side);
        qy_table_set(space->format, table, p->at.index + i,
                     qy_page_entry(space->format, pfn(pages->frame.raw + i * frames), pages->level,
                                   pages->flags) |
                         qy_bit_foreign(space->format));
    }
    return QY_OK;
}

static enum qy_error map_pages(struct qy_space *space, uint64_t address, struct pages *pages,
                               unsigned max, bool supply, unsigned *missing)
{
    struct qy_mark plain = {.region = QY_REGION_MAPPED, .max = max & QY_PT_RIGHTS, .shared = true};
    enum qy_error error = map_check(space, address, pages);
    while (error == QY_OK) {
        struct placing p = {.space = space, .origin = qy_mark_pack(&plain)};
        bool shared = false;
        qy_vm_enter(space->vm);
        bool alive = qy_vm_lock_at(space, vaddr(address), pages->level, &p.at);
        if (alive) {
            error = place_check(space, &p.at, pages, supply, missing);
            shared = error == QY_OK && p.at.level == 1 && qy_table_is_strange(space, p.at.table);
            if (supply)
                p.origin = qy_entry_mark(space->format, p.at.entry);
            if (error == QY_OK && !shared)
                error = place(&p, pages);
            qy_table_unlock(p.at.table);
        }
        if (p.side.raw)
            qy_vm_frame_free(space->vm, p.side, QY_FRAME_METADATA);
        qy_vm_leave(space->vm);
        if (!alive)
            return QY_REVOKED;
        if (shared)
            error = qy_vm_unshare(space, vaddr(address), true);
        else if (error == QY_MISSING_TABLE && supply)
            error = qy_vm_ensure(space, vaddr(address), pages->level);
        else if (error == QY_BUSY) { /* something is moving */
            qy_port_relax();
            error = QY_OK;
        } else
            return error;
    }
    return error;
}

enum qy_error qy_space_map_frame(struct qy_space *space, uint64_t address, pfn_t frame,
                                 unsigned level, unsigned flags, unsigned max, bool supply,
                                 unsigned *missing)
{
    struct pages pages = {.frame = frame, .level = level, .count = 1, .flags = flags, .raw = false};
    return map_pages(space, address, &pages, max, supply, missing);
}

enum qy_error qy_space_map_block(struct qy_space *space, uint64_t address, pfn_t frame,
                                 unsigned level, unsigned count, unsigned flags, unsigned max,
                                 unsigned *missing)
{
    struct pages pages = {
        .frame = frame, .level = level, .count = count, .flags = flags, .raw = false};
    return map_pages(space, address, &pages, max, false, missing);
}

enum qy_error qy_space_map_raw(struct qy_space *space, uint64_t address, pfn_t frame,
                               unsigned level, unsigned count, unsigned flags, unsigned max,
                               unsigned *missing)
{
    struct pages pages = {
        .frame = frame, .level = level, .count = count, .flags = flags, .raw = true};
    return map_pages(space, address, &pages, max & ~(unsigned)QY_PT_EXEC, false, missing);
}

bool qy_space_holds_frame(struct qy_space *space, uint64_t address, pfn_t frame, unsigned *flags)
{
    struct qy_at at;
    pfn_t there = {0};
    bool foreign = false, holds = false;
    if (address >= QY_USER_END)
        return false;
    qy_vm_enter(space->vm);
    if (qy_vm_lock_at(space, vaddr(address), 1, &at)) {
        const struct qy_pt_format *format = space->format;
        holds = !qy_is_moving(format, at.entry) &&
                qy_entry_holds(format, at.entry, at.level, &there, &foreign);
        *flags = qy_is_present(format, at.entry) ? qy_entry_rights(format, at.entry)
                                                 : qy_mark_rights(qy_entry_mark(format, at.entry));
        *flags |= holds && foreign ? qy_held_type(format, at.entry) : 0;
        qy_table_unlock(at.table);
    }
    qy_vm_leave(space->vm);
    return holds && foreign && there.raw == frame.raw;
}

void qy_space_take_frame(struct qy_space *space, uint64_t address, pfn_t frame)
{
    bool there = true, done = false, own = false;
    while (there && !done) {
        struct qy_at at;
        pfn_t held;
        bool foreign = false, alive;
        qy_vm_enter(space->vm);
        alive = qy_vm_lock_at(space, vaddr(address), 1, &at);
        there = alive && qy_entry_holds(space->format, at.entry, at.level, &held, &foreign) &&
                foreign && held.raw == frame.raw;
        if (alive)
            qy_table_unlock(at.table);
        if (there)
            done = qy_vm_take_mapping(space->vm, qy_frame_rmap(space->vm->db, frame),
                                      qy_mapping(at.table->frame, at.index), false, &own);
        qy_vm_leave(space->vm);
        if (there && !done)
            qy_port_relax();
    }
}

static bool is_revoked(const struct qy_space *space, uint64_t entry)
{
    return !qy_is_present(space->format, entry) &&
           qy_mark_kind(qy_entry_mark(space->format, entry)) == QY_MARK_REVOKED;
}

enum qy_error qy_space_install_table(struct qy_space *space, uint64_t address, unsigned level,
                                     pfn_t frame, struct qy_budget *payer, unsigned *missing)
{
    struct qy_table *table;
    struct qy_at at;
    pfn_t start;
    unsigned order;
    enum qy_frame_state state;
    if (level < 1 || level >= QY_PT_LEVELS)
        return QY_INVALID_ARGUMENT;
    if (address >= QY_USER_END)
        return QY_INVALID_ADDRESS;
    if (qy_frame_block(space->vm->db, frame, &start, &order, &state) != QY_OK ||
        state != QY_FRAME_TABLE || order != 0)
        return QY_NOT_ALLOCATED;
    if (qy_table_is_installed(space->vm, frame))
        return QY_ALREADY_MAPPED;
    enum qy_error error = qy_vm_table_alloc(space->vm, payer, &table);
    if (error != QY_OK)
        return error;
    table->frame = frame;
    table->budget = payer;
    table->given = true;
    qy_vm_enter(space->vm);
    bool alive = qy_vm_lock_at(space, vaddr(address), level + 1, &at);
    if (!alive)
        error = QY_REVOKED;
    else if (at.entry && !is_revoked(space, at.entry))
        error = QY_ALREADY_MAPPED;
    else if (at.level != level + 1) {
        *missing = at.level - 1;
        error = QY_MISSING_TABLE;
    } else {
        qy_word_store(&space->vm->db->frames[frame.raw].word, (uint64_t)(uintptr_t)table);
        memset(qy_port_ram(pfn_to_paddr(frame)), 0, QY_PAGE_BYTES);
        qy_table_fill(space->format, table, level, 0);
        qy_table_link(space->format, at.table, at.index, table);
    }
    if (alive)
        qy_table_unlock(at.table);
    qy_vm_leave(space->vm);
    if (error != QY_OK)
        qy_vm_table_free(space->vm, table);
    return error;
}

enum qy_error qy_space_remove_table(struct qy_space *space, uint64_t address, unsigned level)
{
    struct qy_at at;
    if (level < 1 || level >= QY_PT_LEVELS || address >= QY_USER_END)
        return QY_INVALID_ADDRESS;
    qy_vm_enter(space->vm);
    bool alive = qy_vm_lock_at(space, vaddr(address), level + 1, &at);
    bool there =
        alive && at.level == level + 1 && qy_pt_is_table(space->format, at.entry, at.level);
    if (alive)
        qy_table_unlock(at.table);
    qy_vm_leave(space->vm);
    if (!there)
        return alive ? QY_NOT_MAPPED : QY_REVOKED;
    return qy_vm_remove_table(space->vm, qy_entry_frame(space->format, at.entry));
}

bool qy_vm_is_mapped(const struct qy_vm *vm, pfn_t frame)
{
    _Atomic uint64_t *word = qy_frame_rmap(vm->db, frame);
    return word && qy_rmap_count(word) != 0;
}

bool qy_vm_may_write(const struct qy_vm *vm, pfn_t frame)
{
    _Atomic uint64_t *word = qy_frame_rmap(vm->db, frame);
    return word && !(qy_word_load(word) & QY_WORD_X);
}

bool qy_table_is_installed(const struct qy_vm *vm, pfn_t frame)
{
    return qy_frame_state(vm->db, frame) == QY_FRAME_TABLE && qy_table_of(vm->db, frame);
}
