/*
 * A space as a whole: its beginning and its end; and looks at its tree.
 */
#include "vm_impl.h"

static const struct qy_cache_type table_type = {
    .name = "page-table descriptors", .bytes = sizeof(struct qy_table), .align = 16};
static const struct qy_cache_type node_type = {
    .name = "reverse-map nodes", .bytes = sizeof(struct qy_rmap_node), .align = 16};

enum qy_error qy_budget_init(struct qy_budget *budget, struct qy_heap *heap)
{
    budget->arena = heap->arena;
    enum qy_error error = qy_cache_init(&budget->tables, heap, &table_type);
    return error == QY_OK ? qy_cache_init(&budget->nodes, heap, &node_type) : error;
}

bool qy_budget_reclaim(struct qy_vm *vm, struct qy_budget *budget)
{
    struct qy_heap *heap = budget->tables.heap;
    uint64_t before = qy_arena_pages(budget->arena, QY_FRAME_FREE);
    bool objects = qy_heap_is_cached(heap);
    (void)qy_vm_reclaim(vm);
    qy_heap_reclaim(heap);
    qy_frame_reclaim(budget->arena);
    return objects || qy_arena_pages(budget->arena, QY_FRAME_FREE) > before;
}

void qy_vm_init(struct qy_vm *vm, const struct qy_pt_format *format, struct qy_framedb *db,
                struct qy_vm_cpu *cpus, unsigned cpu_count,
                void (*flush)(void *, struct qy_space *, vaddr_t, uint64_t, unsigned),
                void *context)
{
    memset(vm, 0, sizeof(*vm));
    vm->format = format;
    vm->db = db;
    vm->cpus = cpus;
    vm->cpu_count = cpu_count;
    vm->flush = flush;
    vm->context = context;
    atomic_init(&vm->epoch, 1); /* 0 = outside */
}

enum qy_error qy_space_init(struct qy_space *space, struct qy_vm *vm, struct qy_budget *budget,
                            bool delegated)
{
    struct qy_table *root;
    enum qy_error error = qy_table_make(vm, budget, &root);
    if (error != QY_OK)
        return error;
    memset(space, 0, sizeof(*space));
    space->vm = vm;
    space->format = vm->format;
    space->budget = budget;
    space->delegated = delegated;
    qy_table_fill(vm->format, root, QY_PT_LEVELS, 0);
    root->space = space;
    space->root = pfn_to_paddr(root->frame);
    return QY_OK;
}

static struct qy_table *root_of(const struct qy_space *space)
{
    return qy_table_of(space->vm->db, paddr_to_pfn(space->root));
}

/* ---- looks at the tree ---- */

uint64_t qy_vm_peek(const struct qy_space *space, uint64_t address, unsigned *level, paddr_t *table)
{
    *table = space->root;
    for (*level = QY_PT_LEVELS;; --*level) {
        qy_walk_step(space->root, *level);
        uint64_t entry = qy_slot_get(qy_pt_slot(*table, qy_pt_index(vaddr(address), *level)));
        if (!qy_pt_is_table(space->format, entry, *level))
            return entry;
        *table = pfn_to_paddr(qy_entry_frame(space->format, entry));
    }
}

uint64_t qy_vm_next(const struct qy_space *space, uint64_t start, uint64_t end)
{
    unsigned level;
    paddr_t table;
    qy_vm_enter(space->vm);
    while (start < end && qy_vm_peek(space, start, &level, &table) == 0) {
        /* On through what is empty in the same table. */
        const _Atomic uint64_t *slots = qy_pt_slot(table, 0);
        unsigned from = qy_pt_index(vaddr(start), level), index = from + 1;
        while (index < QY_PT_ENTRIES && !atomic_load_explicit(&slots[index], memory_order_relaxed))
            index++;
        start = qy_span_base(vaddr(start), level).raw + (index - from) * qy_pt_page_bytes(level);
    }
    qy_vm_leave(space->vm);
    return start < end ? start : end;
}

struct counting {
    struct qy_space *space;
    struct qy_space_stats *out;
    uint64_t start, end, /* tables that begin there are counted */
        stop;            /* where to go on */
    unsigned left;       /* tables */
};

/*
 * A page's bytes, divided among its mappings, and those of a table that several spaces have. Of a block the mappings
 * count together, so what is shared in parts is divided by the mean.
 */
static uint64_t proportional(const struct qy_framedb *db, _Atomic uint64_t *word, pfn_t frame,
                             struct qy_table *table)
{
    uint64_t bytes = qy_pt_page_bytes(table->level);
    uint64_t count = qy_rmap_count(word), tables = qy_rmap_count(&table->parents);
    uint64_t block = QY_PAGE_BYTES << qy_framedb_find(db, frame.raw).order;
    uint64_t mapped = count * bytes;
    tables = tables ? tables : 1; /* a root has no parent */
    return (mapped > block ? bytes * block / mapped : bytes) / tables;
}

static void count_page(struct counting *c, struct qy_table *table, uint64_t entry)
{
    struct qy_space *space = c->space;
    uint64_t pages = qy_pt_page_bytes(table->level) >> QY_PAGE_SHIFT;
    pfn_t frame;
    bool foreign;
    c->out->swapped += qy_is_swapped(space->format, entry);
    if (!qy_entry_holds(space->format, entry, table->level, &frame, &foreign))
        return;
    _Atomic uint64_t *word = qy_frame_rmap(space->vm->db, frame);
    bool alone =
        word && !foreign && !qy_table_is_shared(table) && !(qy_word_load(word) & QY_WORD_LIST);
    c->out->resident += pages;
    c->out->level[table->level - 1] += pages;
    *(alone ? &c->out->private_pages : &c->out->shared_pages) += pages;
    c->out->proportional_bytes += alone  ? pages << QY_PAGE_SHIFT
                                  : word ? proportional(space->vm->db, word, frame, table)
                                         : 0;
}

/*
 * A table and those below it, from c->start on; the first of each table is entered whatever is left, so that none is
 * counted twice.
 */
static void count_table(struct counting *c, struct qy_table *table, uint64_t base)
{
    const struct qy_pt_format *format = c->space->format;
    uint64_t bytes = qy_pt_page_bytes(table->level);
    unsigned end = table->level == QY_PT_LEVELS ? QY_PT_ENTRIES / 2 : QY_PT_ENTRIES;
    unsigned first = c->start > base ? qy_pt_index(vaddr(c->start), table->level) : 0;
    if (c->start <= base) {
        c->out->tables++;
        c->out->shared_tables += qy_table_is_shared(table);
        for (const struct qy_table *t = table->aside; t; t = t->next)
            c->out->tables++;
    }
    c->left -= c->left > 0;
    for (unsigned i = first; i < end && c->stop == c->end && base + i * bytes < c->end; i++) {
        uint64_t entry = qy_slot_get(qy_table_slots(table) + i);
        if (!qy_pt_is_table(format, entry, table->level))
            count_page(c, table, entry);
        else if (i > first && c->left == 0)
            c->stop = base + i * bytes;
        else
            count_table(c, qy_table_of(c->space->vm->db, qy_entry_frame(format, entry)),
                        base + i * bytes);
    }
}

void qy_space_stats_step(struct qy_space *space, uint64_t *address, uint64_t end,
                         struct qy_space_stats *out)
{
    struct counting c = {space, out, *address, end, end, QY_STATS_TABLES};
    qy_vm_enter(space->vm);
    if (*address < end)
        count_table(&c, root_of(space), 0);
    qy_vm_leave(space->vm);
    *address = c.stop;
}

void qy_space_stats(struct qy_space *space, struct qy_space_stats *out)
{
    *out = (struct qy_space_stats){0};
    for (uint64_t address = 0; address < QY_USER_END;)
        qy_space_stats_step(space, &address, QY_USER_END, out);
}

/* ---- tables come and go ---- */

enum qy_error qy_vm_ensure(struct qy_space *space, vaddr_t address, unsigned level)
{
    struct qy_at at;
    enum qy_error error = QY_OK;
    while (error == QY_OK) {
        struct qy_table *table;
        qy_vm_enter(space->vm);
        bool alive = qy_vm_lock_at(space, address, level, &at);
        if (!alive) {
            error = QY_REVOKED;
        } else {
            bool done = at.level == level, moving = qy_is_moving(space->format, at.entry);
            if (!done && !moving && at.entry &&
                (qy_is_present(space->format, at.entry) || qy_entry_kind(at.entry) == QY_MARK_KEPT))
                error = QY_ALREADY_MAPPED;
            else if (!done && !moving)
                error = qy_table_make(space->vm, space->budget, &table);
            if (error == QY_OK && !done && !moving) {
                qy_table_fill(space->format, table, at.level - 1,
                              qy_entry_mark(space->format, at.entry));
                qy_table_link(space->format, at.table, at.index, table);
            }
            qy_table_unlock(at.table);
            if (done) {
                qy_vm_leave(space->vm);
                return QY_OK;
            }
        }
        qy_vm_leave(space->vm);
    }
    return error;
}

/* The table below a locked entry, taken out of the tree if it is empty and ours. */
static struct qy_table *take_out_empty(struct qy_space *space, const struct qy_at *at)
{
    struct qy_rmap_node *freed;
    if (!qy_pt_is_table(space->format, at->entry, at->level))
        return NULL;
    struct qy_table *table = qy_table_of(space->vm->db, qy_entry_frame(space->format, at->entry));
    qy_table_lock(table);
    bool take = qy_table_may_go(table) && !qy_table_is_shared(table);
    if (take) {
        qy_table_set(space->format, at->table, at->index, 0);
        if (!qy_rmap_remove(&table->parents, qy_mapping(at->table->frame, at->index), &freed, NULL))
            qy_port_broken("VM-TREE", "a table does not know its parent, frame", table->frame.raw);
        qy_vm_node_return(space->vm, freed);
    }
    qy_table_unlock(table);
    return take ? table : NULL;
}

/* The level of the lowest table over address, if it is empty and ours; else 0. */
static unsigned empty_level(struct qy_space *space, vaddr_t address)
{
    struct qy_at at;
    if (!qy_vm_lock_at(space, address, 1, &at))
        return 0;
    unsigned level = qy_table_may_go(at.table) ? at.level : 0;
    qy_table_unlock(at.table);
    return level;
}

void qy_vm_prune(struct qy_space *space, vaddr_t address)
{
    struct qy_table *table;
    do {
        struct qy_at at;
        table = NULL;
        qy_vm_enter(space->vm);
        unsigned level = empty_level(space, address);
        if (level && qy_vm_lock_at(space, address, level + 1, &at)) {
            table = at.level == level + 1 ? take_out_empty(space, &at) : NULL;
            qy_table_unlock(at.table);
        }
        qy_vm_leave(space->vm);
        if (table) {
            vaddr_t base = qy_span_base(address, level + 1);
            qy_vm_flush(space, base, base.raw + qy_pt_page_bytes(level + 1), 0);
            qy_table_retire(space->vm, table);
        }
    } while (table);
}

/*
 * Go down from the root by the first entries that are there, to an entry of level 2 or to an empty table, and let that
 * go. No CPU has the tree in use or in its caches. True: the user half is empty.
 */
static bool destroy_some(struct qy_space *space)
{
    const struct qy_pt_format *format = space->format;
    struct qy_vm *vm = space->vm;
    struct qy_table *table = root_of(space), *above = NULL;
    unsigned index = 0, at = 0;
    struct qy_gone gone;
    qy_gone_begin(&gone);
    qy_table_lock(table);
    for (;;) {
        uint64_t entry = 0;
        unsigned end = table->level == QY_PT_LEVELS ? QY_PT_ENTRIES / 2 : QY_PT_ENTRIES;
        for (index = 0; index < end; index++) {
            entry = qy_slot_get(qy_table_slots(table) + index);
            if (qy_pt_is_table(format, entry, table->level))
                break;
            if (!entry)
                continue;
            qy_vm_let_go_entry(vm, table, index, entry, &gone);
            qy_table_set(format, table, index, 0);
        }
        if (index == end || table->level == 2)
            break;
        if (above)
            qy_table_unlock(above);
        above = table;
        at = index;
        table = qy_table_of(vm->db, qy_entry_frame(format, entry));
        qy_table_lock(table);
    }
    bool empty = table->level == QY_PT_LEVELS && index == QY_PT_ENTRIES / 2;
    bool hollow = table->live == 0;
    if (!hollow && !empty) { /* level 2, a table of level 1 */
        pfn_t frame = qy_entry_frame(format, qy_slot_get(qy_table_slots(table) + index));
        qy_vm_let_go_table(vm, table, index, frame, &gone);
        qy_table_set(format, table, index, 0);
    }
    qy_table_unlock(table);
    if (hollow && above) {
        qy_vm_let_go_table(vm, above, at, table->frame, &gone);
        qy_table_set(format, above, at, 0);
    }
    if (above)
        qy_table_unlock(above);
    qy_gone_end(vm, &gone);
    return empty;
}

enum qy_error qy_space_destroy_step(struct qy_space *space)
{
    struct qy_vm *vm = space->vm;
    struct qy_table *root = root_of(space);
    if (!root)
        return QY_OK;
    atomic_store(&space->dying, true);
    if (!space->forgotten) {
        qy_vm_flush(space, vaddr(0), QY_USER_END, 0);
        space->forgotten = true;
    }
    qy_vm_enter(vm);
    bool empty = destroy_some(space);
    qy_vm_leave(vm);
    if (!empty || !qy_vm_reclaim(vm))
        return QY_BUSY;
    qy_space_drop_bindings(space);
    qy_table_free(vm, root);
    space->root = paddr(0);
    return QY_OK;
}
