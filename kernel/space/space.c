/*
 * Spaces as objects: made, found, paid for, taken apart. See kernel/space.h.
 */
#include <arch/arch.h>
#include <kernel/dma.h>
#include <kernel/guard.h>
#include <kernel/memory.h>
#include <kernel/preempt.h>
#include <kernel/sched.h>
#include <kernel/shootdown.h>
#include <kernel/space.h>
#include <kernel/trace.h>

#define BUCKETS 256u
/* Steps of destroying a space between two looks at the rest. */
#define DESTROY_STEPS 64u

struct qy_vm kernel_vm;
static struct qy_vm_cpu vm_cpus[QY_CONFIG_MAX_CPUS];
static paddr_t kernel_root;
static struct space *spaces[BUCKETS] QY_GUARDED_BY(qy_class_caps);

/* qy_vm's order to make CPUs forget a part of a space. */
static void flush(void *context, struct qy_space *vm, vaddr_t start, uint64_t end, unsigned level)
{
    struct space *space = (struct space *)((char *)vm - offsetof(struct space, vm));
    struct qy_tlb_gather gather;
    (void)context;
    qy_tlb_gather_init(&gather, &space->tlb);
    if (level == 0)
        qy_tlb_gather_all(&gather);
    else
        qy_tlb_gather_pages(&gather, start, (end - start.raw) / qy_pt_page_bytes(level), level);
    shootdown(space, &gather);
}

/* Pages that have become one where they lie, or that one has become. */
static void resized(void *context, struct qy_space *vm, vaddr_t base, unsigned from, unsigned to)
{
    const struct space *space = (const struct space *)((char *)vm - offsetof(struct space, vm));
    (void)context;
    if (to > from)
        QY_TRACE(PAGE_PROMOTED, space->object.untyped->object.id, space->object.id, base.raw, from,
                 to);
    else
        QY_TRACE(PAGE_DEMOTED, space->object.untyped->object.id, space->object.id, base.raw, from,
                 to);
}

/* qy_vm's pause: a section and a stretch without interrupts end, and others begin. */
static void pause(void *context)
{
    struct cpu *cpu = cpu_this();
    (void)context;
    space_leave(cpu);
    preempt_point(cpu);
    space_enter(cpu);
}

void space_fence_code(struct space *space)
{
    struct qy_tlb_gather gather;
    qy_tlb_gather_init(&gather, &space->tlb);
    qy_tlb_gather_code(&gather);
    shootdown(space, &gather);
}

void space_setup(const struct qy_pt *kernel_tables, struct qy_framedb *db)
{
    kernel_root = kernel_tables->root;
    shootdown_init(kernel_root);
    for (unsigned i = 0; i < cpu_count; i++)
        vm_cpus[i].objects = &cpu_at(i)->objects;
    qy_vm_init(&kernel_vm, arch_pt_format(), db, vm_cpus, cpu_count, flush, NULL);
    kernel_vm.pause = pause;
    kernel_vm.resized = resized;
    kernel_vm.object = memory_of_binding;
}

/* Every CPU has been outside of a section once. */
static void leave_all(void)
{
    const struct cpu *self = cpu_this();
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < cpu_count; i++) {
        const struct cpu *cpu = cpu_at(i);
        uint64_t section = atomic_load(&cpu->vm_section);
        while (cpu != self && section & 1 && atomic_load(&cpu->vm_section) == section)
            qy_port_relax();
    }
}

void space_quiesce(void)
{
    struct cpu *cpu = cpu_this();
    leave_all();
    space_enter(cpu);
    (void)qy_vm_reclaim(&kernel_vm);
    space_leave(cpu);
    leave_all(); /* another CPU may have had them in hand */
}

/* ---- making ---- */

enum qy_error untyped_budget(struct untyped *untyped, struct qy_budget **out)
{
    enum qy_error error = QY_OK;
    if (!untyped->budget.arena)
        error = qy_budget_init(&untyped->budget, &untyped->heap);
    if (error != QY_OK)
        untyped->budget.arena = NULL;
    else
        untyped->lent = true;
    *out = &untyped->budget;
    return error;
}

enum qy_error space_make(struct space *space)
{
    struct qy_budget *budget;
    struct cpu *cpu = cpu_this();
    enum qy_error error = untyped_budget(space->object.untyped, &budget);
    if (error != QY_OK)
        return error;
    space_enter(cpu);
    error = qy_space_init(&space->vm, &kernel_vm, budget, false);
    space_leave(cpu);
    return error;
}

void space_finish(struct space *space)
{
    struct space **bucket = &spaces[space->object.id % BUCKETS];
    for (unsigned i = QY_PT_ENTRIES / 2; i < QY_PT_ENTRIES; i++)
        atomic_store(qy_pt_slot(space->vm.root, i), atomic_load(qy_pt_slot(kernel_root, i)));
    qy_tlb_space_init(&kernel_tlb, &space->tlb, space->vm.root);
    space->prev = NULL;
    space->next = *bucket;
    if (*bucket)
        (*bucket)->prev = space;
    *bucket = space;
    QY_TRACE(SPACE_ROOT, space->object.untyped->object.id, space->object.id,
             paddr_to_pfn(space->vm.root).raw, QY_TRACE_TREE_SPACE);
}

static enum qy_error destroy_step(struct space *space)
{
    struct cpu *cpu = cpu_this();
    space_enter(cpu);
    enum qy_error error = qy_space_destroy_step(&space->vm);
    space_leave(cpu);
    if (error == QY_OK)
        QY_TRACE(SPACE_ROOT, space->object.untyped->object.id, space->object.id, 0,
                 QY_TRACE_TREE_GONE);
    return error;
}

void space_discard(struct space *space)
{
    space->vm.forgotten = true; /* no CPU has ever known it */
    while (space->vm.root.raw && destroy_step(space) != QY_OK)
        qy_port_relax();
}

struct space *space_find(uint64_t id)
{
    struct space *space = spaces[id % BUCKETS];
    while (space && space->object.id != id)
        space = space->next;
    return space;
}

struct space *space_from(uint64_t id)
{
    struct space *found = NULL;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct space *space = spaces[i]; space; space = space->next)
            if (space->object.id >= id && (!found || space->object.id < found->object.id))
                found = space;
    return found;
}

/* ---- budgets ---- */

enum qy_error space_bind_budget(struct space *space, struct untyped *untyped)
{
    struct qy_budget *budget;
    if (untyped->object.flags & (OBJECT_REVOKING | OBJECT_DYING))
        return QY_REVOKED;
    if (space->budget)
        return QY_BUSY;
    enum qy_error error = untyped_budget(untyped, &budget);
    if (error != QY_OK)
        return error;
    untyped->delegated = true;
    space->budget = untyped;
    space->bound_prev = NULL;
    space->bound_next = untyped->spaces;
    if (untyped->spaces)
        untyped->spaces->bound_prev = space;
    untyped->spaces = space;
    space->vm.budget = budget;
    space->vm.delegated = true;
    return QY_OK;
}

bool untyped_find_more(struct untyped *untyped)
{
    uint64_t before = qy_arena_pages(untyped->arena, QY_FRAME_FREE);
    bool objects = qy_heap_is_cached(&untyped->heap) || qy_heap_keeps_batches(&untyped->heap);
    untyped_reclaim(untyped);
    return objects || qy_arena_pages(untyped->arena, QY_FRAME_FREE) > before;
}

bool space_find_more(struct space *space)
{
    caps_acquire();
    struct untyped *untyped = space->budget ? space->budget : space->object.untyped;
    untyped->object.pins++;
    caps_release();
    bool more = untyped_find_more(untyped);
    caps_acquire();
    untyped->object.pins--;
    caps_release();
    return more;
}

static void unbind(struct space *space) QY_REQUIRES(qy_class_caps)
{
    struct untyped *untyped = space->budget;
    if (!untyped)
        return;
    if (space->bound_prev)
        space->bound_prev->bound_next = space->bound_next;
    else
        untyped->spaces = space->bound_next;
    if (space->bound_next)
        space->bound_next->bound_prev = space->bound_prev;
    space->budget = NULL;
    space->bound_next = space->bound_prev = NULL;
    space->vm.delegated = false;
    qy_space_drop_bindings(
        &space->vm); /* who makes one asks whether it is delegated under their lock */
    space->vm.budget = &space->object.untyped->budget;
}

void untyped_unbind(struct untyped *untyped)
{
    while (untyped->spaces)
        unbind(untyped->spaces);
}

void untyped_take_back(struct untyped *untyped)
{
    uint64_t cursor = 0;
    struct cpu *cpu = cpu_this();
    if (!untyped->lent)
        return;
    space_quiesce(); /* nobody takes more of it */
    while (untyped->delegated) {
        space_enter(cpu);
        untyped->delegated = !qy_vm_revoke_arena_step(&kernel_vm, untyped->arena, &cursor);
        space_leave(cpu);
        qy_port_relax();
        preempt_point(cpu);
    }
    space_quiesce(); /* nobody is still giving some of it back */
    untyped->lent = false;
}

/* ---- taking apart ---- */

enum dismantle space_dismantle(struct space *space, struct teardown *teardown)
{
    if (space->handler.type != QY_OBJ_NONE)
        slot_delete(&space->handler, teardown);
    if (space->object.pins || sched_space_in_use(space))
        return DISMANTLE_WAIT;
    if (!(space->object.flags & OBJECT_DETACHED)) {
        struct space **bucket = &spaces[space->object.id % BUCKETS];
        *(space->prev ? &space->prev->next : bucket) = space->next;
        if (space->next)
            space->next->prev = space->prev;
        unbind(space);
        space->object.flags |= OBJECT_DETACHED;
    }
    return space->vm.root.raw ? DISMANTLE_WAIT : DISMANTLE_DONE;
}

enum dismantle table_dismantle(const struct page_table *table)
{
    return qy_table_is_installed(&kernel_vm, table->frame) ? DISMANTLE_WAIT : DISMANTLE_DONE;
}

enum dismantle frame_dismantle(const struct frame *frame)
{
    if (qy_vm_is_mapped(&kernel_vm, frame->first))
        return DISMANTLE_WAIT;
    return frame->dma ? dma_left(frame->dma) : DISMANTLE_DONE;
}

void frame_take_from_all(pfn_t frame)
{
    struct cpu *cpu = cpu_this();
    for (bool own = false, done = false; !done;) {
        space_enter(cpu);
        done = qy_vm_revoke_step(&kernel_vm, frame, &own);
        space_leave(cpu);
        qy_port_relax();
        preempt_point(cpu);
    }
}

void space_dismantle_rest(struct object *object)
{
    struct space *space = (struct space *)object;
    if (object->type == QY_OBJ_FRAME)
        frame_take_from_all(((struct frame *)object)->first);
    if (object->type == QY_OBJ_PAGE_TABLE)
        frame_take_from_all(((struct page_table *)object)->frame);
    if (object->type == QY_OBJ_ADDRESS_SPACE && (object->flags & OBJECT_DETACHED))
        for (unsigned i = 0; i < DESTROY_STEPS && destroy_step(space) != QY_OK; i++) {
            qy_port_relax();
            preempt_point(cpu_this());
        }
}

const char *space_check(struct space *space)
{
    const struct space *at = space->budget ? space->budget->spaces : NULL;
    while (at && at != space)
        at = at->bound_next;
    if ((at != NULL) != space->vm.delegated || (space->budget && !at))
        return "SPACE-BOUND";
    for (unsigned i = QY_PT_ENTRIES / 2; i < QY_PT_ENTRIES; i++)
        if (atomic_load(qy_pt_slot(space->vm.root, i)) != atomic_load(qy_pt_slot(kernel_root, i)))
            return "ISOLATED";
    return qy_space_check(&space->vm);
}
