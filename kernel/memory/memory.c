/*
 * Memory objects as objects: made, found, touched, taken apart. See kernel/memory.h.
 */
#include <kernel/memory.h>
#include <kernel/preempt.h>

#define BUCKETS 256u
/* Steps of destroying an object between two looks at the rest. */
#define DESTROY_STEPS 64u

_Static_assert(QY_MEMORY_PAGES_MAX == QY_OBJECT_PAGES_MAX, "the ABI's limit is the core's");

static struct memory *_Atomic memories[BUCKETS];

enum qy_error memory_make(struct memory *memory, uint64_t pages)
{
    struct qy_budget *budget;
    struct cpu *cpu = cpu_this();
    enum qy_error error = untyped_budget(memory->object.untyped, &budget);
    if (error != QY_OK)
        return error;
    space_enter(cpu);
    error = qy_object_init(&memory->vm, &kernel_vm, budget, pages);
    qy_swap_init(&memory->swap, &kernel_vm, budget, 0);
    space_leave(cpu);
    return error;
}

void memory_finish(struct memory *memory)
{
    struct memory *_Atomic *bucket = &memories[memory->object.id % BUCKETS];
    memory->swap.cookie = memory->object.id;
    atomic_store_explicit(&memory->next, atomic_load_explicit(bucket, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(bucket, memory, memory_order_release);
}

struct memory *memory_find(uint64_t id)
{
    struct memory *at = atomic_load_explicit(&memories[id % BUCKETS], memory_order_acquire);
    while (at && at->object.id != id)
        at = atomic_load_explicit(&at->next, memory_order_acquire);
    return at;
}

/* Readers on their way through it go on to the next. */
static void forget(const struct memory *memory) QY_REQUIRES(qy_class_caps)
{
    struct memory *_Atomic *at = &memories[memory->object.id % BUCKETS];
    while (atomic_load_explicit(at, memory_order_relaxed) != memory)
        at = &atomic_load_explicit(at, memory_order_relaxed)->next;
    atomic_store_explicit(at, atomic_load_explicit(&memory->next, memory_order_relaxed),
                          memory_order_release);
}

enum qy_error memory_of_binding(void *context, const struct qy_binding *binding,
                                struct qy_object **out)
{
    (void)context;
    struct memory *memory = memory_find(binding->cookie);
    if (!memory)
        return QY_REVOKED;
    *out = &memory->vm;
    return QY_OK;
}

/* ---- taking apart ---- */

static enum qy_error destroy_step(struct memory *memory)
{
    struct cpu *cpu = cpu_this();
    space_enter(cpu);
    enum qy_error error = qy_swap_destroy_step(&memory->swap);
    if (error == QY_OK)
        error = qy_object_destroy_step(&memory->vm);
    space_leave(cpu);
    return error;
}

void memory_discard(struct memory *memory)
{
    while (memory->vm.tree.root.raw && destroy_step(memory) != QY_OK)
        qy_port_relax();
}

enum dismantle memory_dismantle(struct memory *memory, struct teardown *teardown)
{
    if (memory->pager.type != QY_OBJ_NONE)
        slot_delete(&memory->pager, teardown);
    if (memory->object.pins)
        return DISMANTLE_WAIT;
    if (!(memory->object.flags & OBJECT_DETACHED)) {
        forget(memory);
        memory->object.flags |= OBJECT_DETACHED;
    }
    return memory->vm.tree.root.raw ? DISMANTLE_WAIT : DISMANTLE_DONE;
}

void memory_dismantle_rest(struct memory *memory)
{
    if (!(memory->object.flags & OBJECT_DETACHED))
        return;
    if (!memory->unreachable) {
        space_quiesce();
        memory->unreachable = true;
    }
    for (unsigned i = 0; i < DESTROY_STEPS && destroy_step(memory) != QY_OK; i++) {
        qy_port_relax();
        preempt_point(cpu_this());
    }
}

const char *memory_check(struct memory *memory)
{
    if (!(memory->object.flags & OBJECT_DETACHED) && memory_find(memory->object.id) != memory)
        return "OBJ-COUNT";
    const char *broken = qy_swap_check(&memory->swap);
    return broken ? broken : qy_object_check(&memory->vm);
}
