/*
 * Page tables as objects: finding, installing, taking out, emptying. See kernel/space.h.
 */
#include <arch/arch.h>
#include <kernel/sched.h>
#include <kernel/shootdown.h>
#include <kernel/trace.h>

#include "space_impl.h"

static paddr_t kernel_root;

void space_setup(const struct qy_pt *kernel_tables)
{
    kernel_root = kernel_tables->root;
    shootdown_init(kernel_root);
}

void space_finish(struct space *space)
{
    for (unsigned i = QY_PT_ENTRIES / 2; i < QY_PT_ENTRIES; i++)
        entry_set(&space->root, i, atomic_load(qy_pt_slot(kernel_root, i)));
    space->pt.format = arch_pt_format();
    space->pt.root = pfn_to_paddr(space->root.frame);
    space->root.level = QY_PT_LEVELS;
    space->root.space = space;
    qy_tlb_space_init(&kernel_tlb, &space->tlb, space->pt.root);
}

struct space *table_space(const struct table *table)
{
    while (table->parent)
        table = table->parent;
    return table->space;
}

static struct table *table_child(const struct table *table, unsigned index)
{
    struct table *child = table->buckets[index % TABLE_BUCKETS];
    while (child && child->index != index)
        child = child->next;
    return child;
}

struct table *space_table(struct space *space, uint64_t address, unsigned level)
{
    struct table *table = &space->root;
    while (table->level > level) {
        struct table *child = table_child(table, table_index(table, address));
        if (!child)
            break;
        table = child;
    }
    return table;
}

static void table_attach(struct table *table, struct table *parent, unsigned index)
{
    struct table **bucket = &parent->buckets[index % TABLE_BUCKETS];
    table->parent = parent;
    table->index = (uint16_t)index;
    table->prev = NULL;
    table->next = *bucket;
    if (*bucket)
        (*bucket)->prev = table;
    *bucket = table;
    parent->tables++;
}

/* The parent's entry is cleared; CPUs may still have it. */
static void table_detach(struct table *table)
{
    struct table *parent = table->parent;
    entry_set(parent, table->index, 0);
    if (table->prev)
        table->prev->next = table->next;
    else
        parent->buckets[table->index % TABLE_BUCKETS] = table->next;
    if (table->next)
        table->next->prev = table->prev;
    table->parent = table->next = table->prev = NULL;
    parent->tables--;
}

enum qy_error table_map(struct page_table *object, struct space *space, uint64_t address,
                        unsigned level, unsigned *missing)
{
    struct table *table = &object->table;
    if (level < 1 || level >= QY_PT_LEVELS)
        return QY_INVALID_ARGUMENT;
    if (address >= USER_END)
        return QY_INVALID_ADDRESS;
    if (table->parent)
        return QY_ALREADY_MAPPED;
    if (object->object.pins) /* some CPU may still walk through it at its former place */
        return QY_BUSY;
    struct table *parent = space_table(space, address, level + 1);
    unsigned index = table_index(parent, address);
    if (entry_get(parent, index))
        return QY_ALREADY_MAPPED;
    if (parent->level != level + 1) {
        *missing = parent->level - 1u;
        return QY_MISSING_TABLE;
    }
    uint64_t base = qy_align_down(address, qy_pt_page_bytes(level + 1));
    enum qy_error error =
        qy_pt_install(&space->pt, vaddr(base), pfn_to_paddr(table->frame), level, true, missing);
    if (error != QY_OK)
        return error;
    table->level = (uint8_t)level;
    table->base = vaddr(base);
    table_attach(table, parent, index);
    return QY_OK;
}

enum qy_error table_unmap(struct page_table *object, struct teardown *teardown)
{
    struct table *table = &object->table;
    if (!table->parent)
        return QY_NOT_MAPPED;
    if (table->tables || table->leaves)
        return QY_BUSY;
    struct space *space = table_space(table);
    table_detach(table);
    if (space)
        teardown_flush(teardown,
                       (struct flush){.space = space, .memory = &object->object, .all = true});
    return QY_OK;
}

static struct table *any_child(const struct table *table)
{
    for (unsigned i = 0; i < TABLE_BUCKETS; i++) {
        if (table->buckets[i])
            return table->buckets[i];
    }
    return NULL;
}

/*
 * One step of emptying a table that no CPU walks any more: one mapping, or one table below it that
 * is empty already. False when it is empty itself.
 */
static bool table_empty_step(struct table *top) QY_REQUIRES(qy_class_caps)
{
    struct table *table = top;
    while (table->tables)
        table = any_child(table);
    if (table->mappings) {
        mapping_forget(table->mappings);
        return true;
    }
    if (table->leaves) { /* what the kernel mapped at boot */
        for (unsigned i = 0; i < QY_PT_ENTRIES; i++)
            entry_set(table, i, 0);
        table->leaves = 0;
        return true;
    }
    if (table == top)
        return false;
    table_detach(table);
    return true;
}

enum dismantle table_dismantle(struct page_table *object, struct teardown *teardown)
{
    struct table *table = &object->table;
    if (table->parent) {
        struct space *space = table_space(table);
        table_detach(table);
        if (space) {
            table->space = space;
            teardown_flush(teardown,
                           (struct flush){.space = space, .memory = &object->object, .all = true});
        }
    }
    if (object->object.pins)
        return DISMANTLE_WAIT;
    table->space = NULL;
    return table_empty_step(table) ? DISMANTLE_MORE : DISMANTLE_DONE;
}

enum dismantle space_dismantle(struct space *space, struct teardown *teardown)
{
    (void)teardown;
    if (sched_space_in_use(space))
        return DISMANTLE_WAIT;
    return table_empty_step(&space->root) ? DISMANTLE_MORE : DISMANTLE_DONE;
}
