/*
 * Table pages: their descriptors, the way down to them, and their end.
 *
 *     entry cleared -> CPUs flushed -> retired (epoch e) -> every CPU outside, or inside since later -> freed
 *
 * A CPU on its way down holds no lock, so it may read a table that has just left the tree. What it has
 * locked counts only if the entry that led it there still does: whoever changes an entry that points at a
 * table holds the locks of both. (CortenMM marks a table as stray; one that is shared may have left one
 * space and not another, so here the entry is asked.)
 */
#include "vm_impl.h"

#define LIMBO_BATCH 32u
#define GONE_ENTRIES 256u /* of a table that a step takes apart */

void qy_table_set(const struct qy_pt_format *format, struct qy_table *table, unsigned index,
                  uint64_t entry)
{
    _Atomic uint64_t *slot = qy_table_slots(table) + index;
    uint64_t old = atomic_load_explicit(slot, memory_order_relaxed);
    table->live = (uint16_t)(table->live + (entry != 0) - (old != 0));
    table->held = (uint16_t)(table->held + qy_entry_is_page(format, entry, table->level) -
                             qy_entry_is_page(format, old, table->level));
    qy_slot_put(slot, entry);
}

void qy_table_give_side(struct qy_table *table, pfn_t *side)
{
    table->side = qy_port_ram(pfn_to_paddr(*side));
    side->raw = 0;
    for (unsigned i = 0; i < QY_PT_ENTRIES; i++)
        table->side[i] = table->home;
}

enum qy_error qy_vm_frame_alloc(struct qy_vm *vm, struct qy_budget *budget,
                                enum qy_frame_state state, pfn_t *out)
{
    qy_irq_is_off();
    return qy_frame_try_alloc(qy_vm_objects(vm)->frames, budget->arena, 0, state, out);
}

/* A few stay with this CPU, for whoever is next; many would only push out what it has. */
void qy_gone_send(struct qy_vm *vm, struct qy_gone *gone)
{
    if (gone->count < QY_FREE_FRAMES_MAX / 2) {
        for (unsigned i = gone->count; i-- > 0;)
            qy_vm_frame_free(vm, pfn(gone->frames[i]), QY_FRAME_USER);
    } else if (qy_arena_free_frames(qy_tag_owner(gone->tag), gone->frames, gone->count,
                                    QY_FRAME_USER) != QY_OK) {
        qy_port_broken("EXCLUSIVE", "a frame of a space is not its own, one of", gone->frames[0]);
    }
    gone->count = 0;
}

void qy_vm_frame_free(struct qy_vm *vm, pfn_t frame, enum qy_frame_state state)
{
    qy_tag_t tag = qy_load(&vm->db->frames[frame.raw].tag);
    qy_irq_is_off();
    if (qy_frame_free(qy_vm_objects(vm)->frames, qy_tag_owner(tag), frame, qy_tag_order(tag),
                      state) != QY_OK)
        qy_port_broken("EXCLUSIVE", "a frame of a space is not its own, frame", frame.raw);
}

enum qy_error qy_vm_node_alloc(struct qy_vm *vm, struct qy_budget *budget,
                               struct qy_rmap_node **out)
{
    void *node;
    qy_irq_is_off();
    enum qy_error error = qy_cache_alloc(qy_vm_objects(vm), &budget->nodes, &node);
    if (error == QY_OK)
        *out = node;
    return error;
}

void qy_vm_node_free(struct qy_vm *vm, struct qy_budget *budget, struct qy_rmap_node *node)
{
    qy_irq_is_off();
    if (node && qy_cache_free(qy_vm_objects(vm), &budget->nodes, node) != QY_OK)
        qy_port_broken("VM-RMAP", "a node is not its budget's, at", (uint64_t)(uintptr_t)node);
}

enum qy_error qy_vm_nodes_add(struct qy_vm *vm, struct qy_budget *budget,
                              struct qy_rmap_node **list)
{
    struct qy_rmap_node *node;
    enum qy_error error = qy_vm_node_alloc(vm, budget, &node);
    if (error == QY_OK) {
        node->next = (uint64_t)(uintptr_t)*list;
        *list = node;
    }
    return error;
}

void qy_vm_nodes_free(struct qy_vm *vm, struct qy_budget *budget, struct qy_rmap_node **list)
{
    while (*list) {
        struct qy_rmap_node *node = *list;
        *list = (struct qy_rmap_node *)(uintptr_t)node->next;
        qy_vm_node_free(vm, budget, node);
    }
}

void qy_vm_node_return(struct qy_vm *vm, struct qy_rmap_node *node)
{
    if (node)
        qy_vm_node_free(vm, qy_table_of(vm->db, qy_mapping_table(node->mapping))->budget, node);
}

enum qy_error qy_vm_table_alloc(struct qy_vm *vm, struct qy_budget *budget, struct qy_table **out)
{
    void *object;
    qy_irq_is_off();
    enum qy_error error = qy_cache_alloc(qy_vm_objects(vm), &budget->tables, &object);
    if (error == QY_OK)
        *out = object;
    return error;
}

void qy_vm_table_free(struct qy_vm *vm, struct qy_table *table)
{
    qy_irq_is_off();
    if (qy_cache_free(qy_vm_objects(vm), &table->budget->tables, table) != QY_OK)
        qy_port_broken("VM-TREE", "a table's descriptor is not one, frame", table->frame.raw);
}

enum qy_error qy_table_make(struct qy_vm *vm, struct qy_budget *budget, struct qy_table **out)
{
    struct qy_table *table;
    enum qy_error error = qy_vm_table_alloc(vm, budget, &table);
    if (error != QY_OK)
        return error;
    table->budget = budget;
    error = qy_vm_frame_alloc_zeroed(vm, budget, QY_FRAME_TABLE, &table->frame);
    if (error != QY_OK) {
        qy_vm_table_free(vm, table);
        return error;
    }
    qy_word_store(&vm->db->frames[table->frame.raw].word, (uint64_t)(uintptr_t)table);
    *out = table;
    return QY_OK;
}

enum qy_error qy_tables_reserve(struct qy_vm *vm, struct qy_budget *budget, unsigned count,
                                struct qy_table **list)
{
    for (*list = NULL; count > 0; count--) {
        struct qy_table *table;
        enum qy_error error = qy_table_make(vm, budget, &table);
        if (error != QY_OK) {
            qy_tables_release(vm, list);
            return error;
        }
        table->next = *list;
        *list = table;
    }
    return QY_OK;
}

void qy_tables_release(struct qy_vm *vm, struct qy_table **list)
{
    while (*list) {
        struct qy_table *table = *list;
        *list = table->next;
        qy_table_free(vm, table);
    }
}

void qy_table_fill(const struct qy_pt_format *format, struct qy_table *table, unsigned level,
                   uint64_t mark)
{
    _Atomic uint64_t *slots = qy_table_slots(table), *end = slots + QY_PT_ENTRIES;
    uint64_t step = qy_mark_advances(mark) ? qy_pt_page_bytes(level) >> QY_PAGE_SHIFT : 0;
    uint64_t entry = qy_mark_entry(format, mark);
    table->level = (uint8_t)level;
    table->live = mark ? QY_PT_ENTRIES : 0;
    for (; mark && slots < end; slots++) {
        atomic_store_explicit(slots, entry, memory_order_relaxed);
        if (step)
            entry = qy_mark_entry(format, mark += step);
    }
}

void qy_table_link(const struct qy_pt_format *format, struct qy_table *above, unsigned index,
                   struct qy_table *table)
{
    struct qy_rmap_node *none = NULL;
    if (qy_rmap_add(&table->parents, qy_mapping(above->frame, index), false, false, &none) != QY_OK)
        qy_port_broken("VM-TREE", "a new table has a parent, frame", table->frame.raw);
    qy_table_set(format, above, index, qy_table_entry(format, table->frame));
}

/*
 * All entries are 0, where the counts say so: a reserve that was not needed is as it came; a root's upper half is not
 * ours.
 */
static void frame_free_zeroed(struct qy_vm *vm, struct qy_table *table)
{
    struct qy_arena *arena = table->budget->arena;
    qy_irq_is_off();
    if (table->live || table->space) {
        qy_vm_frame_free(vm, table->frame, QY_FRAME_TABLE);
    } else if (qy_frame_free_zeroed(qy_vm_objects(vm)->frames, arena, table->frame,
                                    QY_FRAME_TABLE) != QY_OK) {
        qy_port_broken("EXCLUSIVE", "a table of a space is not its own, frame", table->frame.raw);
    }
}

void qy_table_free(struct qy_vm *vm, struct qy_table *table)
{
    if (table->side)
        qy_vm_frame_free(vm, paddr_to_pfn(qy_port_paddr(table->side)), QY_FRAME_METADATA);
    if (table->kept)
        qy_arena_unkeep(table->budget->arena, table->frame.raw, pfn(table->kept));
    qy_word_store(&vm->db->frames[table->frame.raw].word, 0);
    if (!table->given)
        frame_free_zeroed(vm, table);
    qy_vm_table_free(vm, table);
}

void qy_table_retire(struct qy_vm *vm, struct qy_table *table)
{
    qy_lock_acquire(&vm->limbo_lock);
    table->retired = atomic_fetch_add_explicit(&vm->epoch, 1, memory_order_seq_cst);
    table->next = vm->limbo;
    vm->limbo = table;
    bool many = ++vm->limbo_count >= LIMBO_BATCH;
    qy_lock_release(&vm->limbo_lock);
    if (many)
        (void)qy_vm_reclaim(vm);
}

bool qy_vm_reclaim(struct qy_vm *vm)
{
    uint64_t oldest = UINT64_MAX;
    struct qy_table *gone = NULL;
    atomic_thread_fence(memory_order_seq_cst);
    qy_lock_acquire(&vm->limbo_lock);
    for (unsigned i = 0; i < vm->cpu_count; i++) {
        uint64_t inside = atomic_load_explicit(&vm->cpus[i].inside, memory_order_seq_cst);
        if (inside && inside < oldest)
            oldest = inside;
    }
    for (struct qy_table **at = &vm->limbo; *at;) {
        struct qy_table *table = *at;
        if (table->retired < oldest) {
            *at = table->next;
            table->next = gone;
            gone = table;
            vm->limbo_count--;
        } else {
            at = &table->next;
        }
    }
    bool empty = !vm->limbo;
    qy_lock_release(&vm->limbo_lock);
    while (gone) {
        struct qy_table *table = gone;
        gone = table->next;
        qy_table_free(vm, table);
    }
    return empty;
}

/* As far down as there are tables, `level` at most. No lock. */
static inline pfn_t go_down(const struct qy_space *space, vaddr_t address, unsigned level,
                            struct qy_at *at)
{
    const struct qy_pt_format *format = space->format;
    paddr_t table = space->root;
    _Atomic uint64_t *slot;
    uint64_t entry, indices = address.raw << 16; /* the next one on top */
    unsigned now = QY_PT_LEVELS;
    at->link = NULL;
    for (;; now--, indices <<= 9) {
        qy_walk_step(space->root, now);
        slot = qy_pt_slot(table, (unsigned)(indices >> 55));
        entry = qy_slot_get(slot);
        if (now == level || !(entry & format->valid) || entry & format->page[now])
            break;
        at->link = slot;
        at->link_entry = entry;
        table = qy_pt_entry_address(format, entry);
    }
    at->slot = slot;
    at->entry = entry;
    at->level = now;
    at->index = (unsigned)(indices >> 55);
    return paddr_to_pfn(table);
}

bool qy_vm_lock_at(struct qy_space *space, vaddr_t address, unsigned level, struct qy_at *at)
{
    for (;;) {
        at->table = qy_table_of(space->vm->db, go_down(space, address, level, at));
        if (!at->table)
            return false;
        qy_table_lock(at->table);
        if (atomic_load_explicit(&space->dying, memory_order_relaxed)) {
            qy_table_unlock(at->table);
            return false;
        }
        at->entry = qy_slot_get(at->slot);
        bool led = !at->link || qy_slot_get(at->link) == at->link_entry;
        if (led && (at->level == level || !qy_pt_is_table(space->format, at->entry, at->level)))
            return true;
        qy_table_unlock(at->table);
    }
}

_Atomic uint64_t *qy_frame_rmap(const struct qy_framedb *db, pfn_t frame)
{
    qy_tag_t head = qy_framedb_head(db, frame.raw);
    struct qy_found f = {.start = frame.raw, .state = qy_tag_state(head)};
    if (!head)
        f = qy_framedb_find(db, frame.raw);
    return qy_state_has_mappings(f.state) ? &db->frames[f.start].word : NULL;
}

uint64_t qy_block_mapping(const struct qy_framedb *db, pfn_t table, unsigned index, pfn_t frame,
                          unsigned level)
{
    struct qy_found f = qy_framedb_find(db, frame.raw);
    uint64_t mapping = qy_mapping(table, index);
    return f.order == 0 ? mapping
                        : qy_mapping_part(mapping, frame.raw - f.start,
                                          qy_pt_page_bytes(level) >> QY_PAGE_SHIFT);
}

void qy_vm_let_go(struct qy_vm *vm, struct qy_table *table, unsigned index, pfn_t frame,
                  bool foreign, struct qy_gone *gone)
{
    struct qy_rmap_node *freed;
    bool last;
    /* A private frame is a block of its own: its entry is there. */
    _Atomic uint64_t *word =
        foreign ? qy_frame_rmap(vm->db, frame) : &vm->db->frames[frame.raw].word;
    if (!word && foreign && qy_frame_is_raw(vm->db, frame))
        return;
    if (!word || !qy_rmap_remove(word, qy_mapping(table->frame, index), &freed, &last))
        qy_port_broken("VM-RMAP", "an entry's frame does not know it, frame", frame.raw);
    qy_vm_node_return(vm, freed);
    if (!foreign && table->level > 1) {
        qy_vm_frame_free(vm, frame, QY_FRAME_USER);
        qy_vm_drop_aside(vm, table);
    } else if (!foreign && last)
        qy_gone_add(vm, gone, frame, qy_load(&vm->db->frames[frame.raw].tag));
}

void qy_vm_let_go_entry(struct qy_vm *vm, struct qy_table *table, unsigned index, uint64_t entry,
                        struct qy_gone *gone)
{
    const struct qy_pt_format *format = vm->format;
    pfn_t frame;
    bool foreign;
    if (qy_pt_is_table(format, entry, table->level))
        qy_vm_let_go_table(vm, table, index, qy_entry_frame(format, entry), gone);
    else if (qy_is_swapped(format, entry))
        qy_swap_let_go(vm, table, index, entry);
    else if (!qy_entry_holds(format, entry, table->level, &frame, &foreign))
        return;
    else if (table->level > 1 && qy_frame_state(vm->db, frame) == QY_FRAME_TABLE)
        qy_vm_let_go_table(vm, table, index, frame, gone);
    else
        qy_vm_let_go(vm, table, index, frame, foreign, gone);
}

void qy_vm_let_go_table(struct qy_vm *vm, struct qy_table *above, unsigned index, pfn_t frame,
                        struct qy_gone *gone)
{
    struct qy_table *table = qy_table_of(vm->db, frame);
    struct qy_rmap_node *freed;
    qy_table_lock(table);
    if (!qy_rmap_remove(&table->parents, qy_mapping(above->frame, index), &freed, NULL))
        qy_port_broken("VM-TREE", "a table does not know its parent, frame", frame.raw);
    bool last = qy_word_load(&table->parents) == 0;
    qy_table_unlock(table);
    qy_vm_node_return(vm, freed);
    if (last) {
        table->next = gone->tables;
        gone->tables = table;
    }
}

/*
 * So many entries of a table let go of what they have. Whoever was inside has left it, or finds, once it is unlocked,
 * that nothing leads there: entries are 0 first.
 */
static void take_apart(struct qy_vm *vm, struct qy_table *table, unsigned most,
                       struct qy_gone *gone)
{
    _Atomic uint64_t *slots = qy_table_slots(table);
    const struct qy_leaf leaf = qy_leaf_of(vm, table->frame);
    bool lowest = table->level == 1;
    unsigned left = table->live < most ? table->live : most;
    table->live = (uint16_t)(table->live - left);
    for (unsigned i = 0; left > 0; i++) {
        uint64_t entry = atomic_load_explicit(&slots[i], memory_order_relaxed);
        if (!entry)
            continue;
        qy_slot_put(&slots[i], 0);
        if (lowest && qy_leaf_is_own(&leaf, entry))
            qy_vm_let_go_own(vm, &leaf, table, i, qy_leaf_frame(&leaf, entry), gone);
        else
            qy_vm_let_go_entry(vm, table, i, entry, gone);
        left--;
    }
}

bool qy_gone_step(struct qy_vm *vm, struct qy_gone *gone)
{
    struct qy_table *table = gone->tables;
    if (table) {
        gone->tables = table->next;
        qy_table_lock(table);
        take_apart(vm, table, GONE_ENTRIES, gone);
        bool empty = table->live == 0;
        qy_table_unlock(table);
        if (empty) {
            table->held = 0;
            qy_table_retire(vm, table);
        } else {
            table->next = gone->tables;
            gone->tables = table;
        }
    }
    qy_gone_send(vm, gone);
    return gone->tables != NULL;
}

void qy_gone_end(struct qy_vm *vm, struct qy_gone *gone)
{
    while (qy_gone_step(vm, gone))
        ;
}

struct qy_space *qy_table_place(const struct qy_vm *vm, struct qy_table *table, unsigned parent,
                                vaddr_t *base)
{
    uint64_t address = 0, mapping;
    while (table->level < QY_PT_LEVELS) {
        if (!qy_rmap_at(&table->parents, parent, &mapping))
            return NULL;
        parent = 0;
        table = qy_table_of(vm->db, qy_mapping_table(mapping));
        if (!table)
            return NULL;
        address += qy_mapping_index(mapping) * qy_pt_page_bytes(table->level);
    }
    *base = vaddr(address);
    return table->space;
}
