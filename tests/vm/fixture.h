/*
 * A machine for tests of address spaces: RAM, budgets, and CPUs with a TLB that forgets nothing until it is told to.
 *
 * The CPU walks the tables as the manuals say (manual_walk.h) and touches simulated RAM, so what a test reads and
 * writes went through the entries that the core made. A translation once used stays in the TLB: if the core leaves out a
 * flush, a later access goes to a frame that it should not reach, and the bytes tell.
 */
#ifndef TESTS_VM_FIXTURE_H
#define TESTS_VM_FIXTURE_H

#include <hosted/hosted.h>
#include <manual_walk.h>
#include <qy/vm.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define VM_SPACES 4u
#define VM_TLB 8192u
#define RW (QY_PT_READ | QY_PT_WRITE)
#define RX (QY_PT_READ | QY_PT_EXEC)
#define RO ((unsigned)QY_PT_READ)

struct vm_format {
    const struct qy_pt_format *format;
    enum manual_machine machine;
};

static const struct vm_format vm_formats[] = {{&qy_pt_x86_64, MANUAL_X86}, {&qy_pt_sv48, MANUAL_SV48}};

struct tlb_entry {
    uint64_t page, frame;
    unsigned rights; /* 0 = empty */
};

struct vm_fixture {
    const struct vm_format *kind;
    struct hosted_machine machine;
    struct qy_arena root, arena[VM_SPACES], foreign;
    struct qy_budget budget[VM_SPACES], foreign_budget;
    struct qy_heap heap[VM_SPACES], foreign_heap;
    struct qy_cpu_frames frames[4];
    struct qy_cpu_objects objects[4];
    struct qy_vm_cpu cpus[4];
    struct qy_vm vm;
    struct qy_space space[VM_SPACES];
    bool alive[VM_SPACES];
    struct tlb_entry *tlb[VM_SPACES];
    uint64_t flushes;
    bool no_tlb; /* several threads: the TLB is not theirs */
};

static inline void vm_flush_counted(void *context, struct qy_space *space, vaddr_t start, uint64_t end,
                                    bool tables)
{
    struct vm_fixture *f = context;
    (void)tables;
    unsigned n = (unsigned)(space - f->space);
    if (f->no_tlb)
        return;
    f->flushes++;
    for (unsigned i = 0; i < VM_TLB; i++)
        if (f->tlb[n][i].page >= start.raw && f->tlb[n][i].page < end)
            f->tlb[n][i].rights = 0;
}

static inline void vm_make(struct vm_fixture *f, const struct vm_format *kind, uint64_t budget_pages)
{
    const uint64_t frames = 65536;
    memset(f, 0, sizeof(*f));
    f->kind = kind;
    if (!hosted_machine_make(&f->machine, frames * QY_PAGE_BYTES, true))
        abort();
    hosted_ram_add(&f->machine, pfn(1), pfn(frames));
    qy_arena_init(&f->root, &f->machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&f->root, pfn(1), pfn(frames)), QY_OK);
    for (unsigned i = 0; i < 4; i++) {
        qy_cpu_frames_init(&f->frames[i], i);
        qy_cpu_objects_init(&f->objects[i], i, &f->frames[i]);
        f->cpus[i].objects = &f->objects[i];
    }
    qy_vm_init(&f->vm, kind->format, &f->machine.db, f->cpus, 4, vm_flush_counted, f);
    for (unsigned i = 0; i < VM_SPACES; i++) {
        CHECK_EQ(qy_arena_carve(&f->root, &f->arena[i], budget_pages, 10 + i), QY_OK);
        qy_heap_init(&f->heap[i], &f->arena[i], NULL, 0x9e3779b97f4a7c15ull);
        CHECK_EQ(qy_budget_init(&f->budget[i], &f->heap[i]), QY_OK);
        f->tlb[i] = calloc(VM_TLB, sizeof(struct tlb_entry));
    }
    CHECK_EQ(qy_arena_carve(&f->root, &f->foreign, 1600, 20), QY_OK);
    qy_heap_init(&f->foreign_heap, &f->foreign, NULL, 0x9e3779b97f4a7c15ull);
    CHECK_EQ(qy_budget_init(&f->foreign_budget, &f->foreign_heap), QY_OK);
}

static inline void vm_open(struct vm_fixture *f, unsigned n)
{
    CHECK_EQ(qy_space_init(&f->space[n], &f->vm, &f->budget[n], true), QY_OK);
    f->alive[n] = true;
}

static inline void vm_close(struct vm_fixture *f, unsigned n)
{
    unsigned steps = 0;
    while (qy_space_destroy_step(&f->space[n]) == QY_BUSY && steps < 100000)
        steps++;
    CHECK(steps < 100000);
    f->alive[n] = false;
    memset(f->tlb[n], 0, VM_TLB * sizeof(struct tlb_entry));
}

/* Every arena is one free whole again. */
static inline void vm_done(struct vm_fixture *f)
{
    qy_irq_is_off();
    for (unsigned i = 0; i < VM_SPACES; i++)
        if (f->alive[i])
            vm_close(f, i);
    CHECK(qy_vm_reclaim(&f->vm));
    for (unsigned i = 0; i < VM_SPACES; i++) {
        qy_heap_reclaim(&f->heap[i]);
        qy_frame_reclaim(&f->arena[i]);
        CHECK_EQ(qy_arena_return(&f->arena[i]), QY_OK);
        free(f->tlb[i]);
    }
    qy_heap_reclaim(&f->foreign_heap);
    qy_frame_reclaim(&f->foreign);
    CHECK_EQ(qy_arena_return(&f->foreign), QY_OK);
    CHECK(qy_arena_check(&f->root) == NULL);
    CHECK_EQ(qy_arena_pages(&f->root, QY_FRAME_FREE), f->root.total_pages);
    hosted_machine_destroy(&f->machine);
}

static inline void vm_check(struct vm_fixture *f)
{
    for (unsigned i = 0; i < VM_SPACES; i++) {
        const char *broken = f->alive[i] ? qy_space_check(&f->space[i]) : NULL;
        CHECK(broken == NULL);
        if (broken) {
            printf("# space %u: %s\n", i, broken);
            exit(1);
        }
    }
}

/* What the CPU would do: the byte at that address, or null after a fault. */
static inline uint8_t *vm_translate(struct vm_fixture *f, unsigned n, uint64_t address, enum qy_access access)
{
    unsigned need = access == QY_ACCESS_WRITE ? RW : access == QY_ACCESS_EXEC ? RX : RO;
    uint64_t page = address & ~QY_PAGE_MASK;
    struct tlb_entry *e = &f->tlb[n][(page >> QY_PAGE_SHIFT) % VM_TLB];
    if (f->no_tlb || e->page != page || (e->rights & need) != need) {
        static const enum manual_access how[] = {MANUAL_READ, MANUAL_WRITE, MANUAL_EXECUTE};
        uint64_t root = f->space[n].root.raw;
        struct manual_result r = manual_walk(f->kind->machine, root, address, how[access], true);
        if (!r.ok)
            return NULL;
        if (f->no_tlb)
            return (uint8_t *)qy_port_ram(paddr(r.physical));
        unsigned rights = RO;
        for (unsigned i = 1; i < 3; i++)
            if (manual_walk(f->kind->machine, root, address, how[i], true).ok)
                rights |= i == 1 ? QY_PT_WRITE : QY_PT_EXEC;
        *e = (struct tlb_entry){page, r.physical & ~QY_PAGE_MASK, rights};
    }
    return (uint8_t *)qy_port_ram(paddr(e->frame + (address & QY_PAGE_MASK)));
}

/* A thread's access, faults resolved: OK, or what the fault ended with. */
static inline enum qy_error vm_touch(struct vm_fixture *f, unsigned n, uint64_t address,
                                     enum qy_access access, uint8_t **out)
{
    struct qy_fault fault;
    for (unsigned i = 0; i < 4; i++) {
        *out = vm_translate(f, n, address, access);
        if (*out)
            return QY_OK;
        /* A CPU that faults drops what it had for the page. */
        f->tlb[n][(address >> QY_PAGE_SHIFT) % VM_TLB].rights = 0;
        enum qy_error error = qy_space_fault(&f->space[n], address, access, &fault);
        if (error != QY_OK)
            return error;
    }
    return QY_BUSY; /* it faults for ever */
}

static inline enum qy_error vm_write(struct vm_fixture *f, unsigned n, uint64_t address, uint8_t value)
{
    uint8_t *at;
    enum qy_error error = vm_touch(f, n, address, QY_ACCESS_WRITE, &at);
    if (error == QY_OK)
        *at = value;
    return error;
}

/* The byte, or -1 if there is none. */
static inline int vm_read(struct vm_fixture *f, unsigned n, uint64_t address)
{
    uint8_t *at;
    return vm_touch(f, n, address, QY_ACCESS_READ, &at) == QY_OK ? *at : -1;
}

static inline struct qy_mark vm_anon(unsigned rights)
{
    return (struct qy_mark){.kind = QY_MARK_ANON, .rights = rights, .max = QY_RIGHTS};
}

static inline enum qy_error vm_map(struct vm_fixture *f, unsigned n, uint64_t address, uint64_t bytes,
                                   unsigned rights)
{
    struct qy_mark mark = vm_anon(rights);
    return qy_space_map_region(&f->space[n], &address, bytes, &mark);
}

#endif
