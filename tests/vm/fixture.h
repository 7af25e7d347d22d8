/*
 * A machine for tests of address spaces: RAM, budgets, and CPUs with a TLB that forgets nothing until it is told to.
 *
 * The CPU walks the tables as the manuals say (manual_walk.h) and touches simulated RAM, so what a test reads and
 * writes went through the entries that the core made. A translation once used stays in the TLB: if the core leaves out a
 * flush, a later access goes to a frame that it should not reach, and the bytes tell. Sv48's CPUs may also remember that an
 * entry of any level was not valid, and a fault makes them forget nothing (Privileged Architecture 1.12, 4.2.1): whoever
 * resolved the fault has to. x86-64's forget what they fault on, and remember nothing that is absent (SDM 3A, 4.10.4.1).
 */
#ifndef TESTS_VM_FIXTURE_H
#define TESTS_VM_FIXTURE_H

#include <hosted/hosted.h>
#include <manual_walk.h>
#include <qy/object.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

#define VM_SPACES 4u
#ifndef VM_TLB
#define VM_TLB 8192u
#define VM_WAYS 64u
#endif
/* Cookie of bindings whose object is a qy_object. */
#define VM_OBJECT 0x0b1ec7ull
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
    unsigned rights; /* 0 = empty, */
    bool absent;     /* or known not to be there */
};

#define VM_ABSENT 1ull /* in place of a table */

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
    pfn_t own_tables; /* the test's, for vm_walk */
    bool alive[VM_SPACES];
    unsigned cpu; /* 0 or 1: which of two CPUs touches pages now */
    struct tlb_entry *tlb[VM_SPACES * 2];
    /* Tables that the CPU remembers on its way, by what they translate: x86-64 and RISC-V both may. */
    struct way {
        uint64_t base, table; /* table 0 = empty, VM_ABSENT = known not to be there */
    } way[VM_SPACES * 2][QY_PT_LEVELS][VM_WAYS]; /* levels 1 to 3 */
    unsigned tlb_every, checks; /* the TLB is held against the tables at every so manieth check; 0: at each */
    uint64_t flushes;
    bool no_tlb; /* several threads: the TLB is not theirs */
    bool fault_keeps; /* planted: who has resolved a fault does not make the CPU forget */
};

static inline void vm_flush_counted(void *context, struct qy_space *space, vaddr_t start, uint64_t end,
                                    unsigned level)
{
    struct vm_fixture *f = context;
    unsigned n = (unsigned)(space - f->space);
    if (f->no_tlb)
        return;
    f->flushes++;
    for (unsigned c = n * 2; c < n * 2 + 2; c++) {
        for (unsigned i = 0; i < VM_TLB; i++)
            if (f->tlb[c][i].page >= start.raw && f->tlb[c][i].page < end)
                f->tlb[c][i] = (struct tlb_entry){0};
        for (unsigned above = 1; level == 0 && above < QY_PT_LEVELS; above++)
            for (unsigned i = 0; i < VM_WAYS; i++) {
                struct way *way = &f->way[c][above][i];
                if (way->base + qy_pt_page_bytes(above + 1) > start.raw && way->base < end)
                    way->table = 0;
            }
    }
}

/* Bindings are qy_objects, or somebody else's. */
static inline enum qy_error vm_object(void *context, const struct qy_binding *binding, struct qy_object **out)
{
    (void)context;
    *out = binding->object;
    return binding->cookie == VM_OBJECT ? QY_OK : QY_WOULD_WAIT;
}

static inline void vm_make_frames(struct vm_fixture *f, const struct vm_format *kind, uint64_t budget_pages,
                                  uint64_t frames)
{
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
    f->vm.object = vm_object;
    for (unsigned i = 0; i < VM_SPACES; i++) {
        CHECK_EQ(qy_arena_carve(&f->root, &f->arena[i], budget_pages, 10 + i), QY_OK);
        qy_heap_init(&f->heap[i], &f->arena[i], NULL, 0x9e3779b97f4a7c15ull);
        CHECK_EQ(qy_budget_init(&f->budget[i], &f->heap[i]), QY_OK);
        for (unsigned c = i * 2; c < i * 2 + 2; c++)
            f->tlb[c] = calloc(VM_TLB, sizeof(struct tlb_entry));
    }
    CHECK_EQ(qy_arena_carve(&f->root, &f->foreign, 1600, 20), QY_OK);
    CHECK_EQ(qy_arena_alloc_pages(&f->root, 3, QY_FRAME_OBJECT, &f->own_tables), QY_OK);
    qy_heap_init(&f->foreign_heap, &f->foreign, NULL, 0x9e3779b97f4a7c15ull);
    CHECK_EQ(qy_budget_init(&f->foreign_budget, &f->foreign_heap), QY_OK);
}

static inline void vm_make(struct vm_fixture *f, const struct vm_format *kind, uint64_t budget_pages)
{
    vm_make_frames(f, kind, budget_pages, 65536);
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
    for (unsigned c = n * 2; c < n * 2 + 2; c++) {
        memset(f->tlb[c], 0, VM_TLB * sizeof(struct tlb_entry));
        memset(f->way[c], 0, sizeof(f->way[c]));
    }
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
        free(f->tlb[i * 2]);
        free(f->tlb[i * 2 + 1]);
    }
    qy_heap_reclaim(&f->foreign_heap);
    qy_frame_reclaim(&f->foreign);
    CHECK_EQ(qy_arena_return(&f->foreign), QY_OK);
    CHECK_EQ(qy_arena_free_pages(&f->root, f->own_tables, 3, QY_FRAME_OBJECT), QY_OK);
    CHECK(qy_arena_check(&f->root) == NULL);
    CHECK_EQ(qy_arena_pages(&f->root, QY_FRAME_FREE), f->root.total_pages);
    hosted_machine_destroy(&f->machine);
}

/* Where a CPU remembers the table of that level over address. */
static inline struct way *vm_way(struct vm_fixture *f, unsigned tlb, unsigned level, uint64_t address)
{
    uint64_t bytes = qy_pt_page_bytes(level + 1);
    return &f->way[tlb][level][address / bytes % VM_WAYS];
}

/* EXACT: what CPUs remember, tables and pages, is what the tables say now; pages with these rights or more. */
static inline bool vm_is_exact(struct vm_fixture *f, unsigned n)
{
    struct qy_pt pt = {f->kind->format, f->space[n].root};
    bool pages = f->checks % (f->tlb_every ? f->tlb_every : 1) == 0;
    for (unsigned c = n * 2; c < n * 2 + 2; c++) {
        for (unsigned level = 1; level < QY_PT_LEVELS; level++)
            for (unsigned i = 0; i < VM_WAYS; i++) {
                struct way *way = &f->way[c][level][i];
                if (!way->table || way->table == VM_ABSENT)
                    continue;
                paddr_t table = pt.root;
                for (unsigned l = QY_PT_LEVELS; l > level; l--)
                    table = qy_pt_entry_address(pt.format,
                                                *qy_pt_slot(table, qy_pt_index(vaddr(way->base), l)));
                if (table.raw != way->table)
                    return false;
            }
        for (unsigned i = 0; pages && i < VM_TLB; i++) {
            const struct tlb_entry *e = &f->tlb[c][i];
            paddr_t frame;
            unsigned flags, level;
            if (e->rights && (qy_pt_translate(&pt, vaddr(e->page), &frame, &flags, &level) != QY_OK ||
                              (frame.raw & ~QY_PAGE_MASK) != e->frame || e->rights & ~flags))
                return false;
        }
    }
    return true;
}

static inline void vm_check(struct vm_fixture *f)
{
    for (unsigned i = 0; i < VM_SPACES; i++) {
        const char *broken = f->alive[i] ? qy_space_check(&f->space[i]) : NULL;
        if (f->alive[i] && !broken && !f->no_tlb && !vm_is_exact(f, i))
            broken = "EXACT";
        CHECK(broken == NULL);
        if (broken) {
            printf("# space %u: %s\n", i, broken);
            exit(1);
        }
    }
    const char *broken = qy_vm_check_frames(&f->vm, &f->root);
    CHECK(broken == NULL);
    if (broken) {
        printf("# frames: %s\n", broken);
        exit(1);
    }
    f->checks++;
}

static inline bool vm_keeps_absent(const struct vm_fixture *f)
{
    return f->kind->machine == MANUAL_SV48;
}

/* The level of the lowest table over address that a CPU remembers; 0: it remembers that one is not there. */
static inline unsigned vm_remembered(struct vm_fixture *f, unsigned tlb, uint64_t address, uint64_t *table)
{
    unsigned lowest = QY_PT_LEVELS;
    for (unsigned level = QY_PT_LEVELS - 1; level >= 1; level--) {
        const struct way *way = vm_way(f, tlb, level, address);
        if (!way->table || way->base != qy_align_down(address, qy_pt_page_bytes(level + 1)))
            continue;
        if (way->table == VM_ABSENT)
            return 0;
        *table = way->table;
        lowest = level;
    }
    return lowest;
}

/*
 * The tables as the CPU walks them for a page: from the lowest table that it remembers, which it then sees through a root and
 * tables of the test's own. It remembers what it comes by.
 */
static inline struct manual_result vm_walk(struct vm_fixture *f, unsigned n, uint64_t address, enum manual_access how)
{
    unsigned tlb = n * 2 + f->cpu;
    const struct qy_pt_format *format = f->kind->format;
    uint64_t table = f->space[n].root.raw;
    unsigned level = vm_remembered(f, tlb, address, &table);
    if (level == 0)
        return (struct manual_result){0};
    while (level > 1) {
        uint64_t entry = *qy_pt_slot(paddr(table), qy_pt_index(vaddr(address), level));
        bool absent = !(entry & format->valid);
        if (qy_pt_is_page(format, entry, level) || (absent && !vm_keeps_absent(f)))
            break;
        struct way *way = vm_way(f, tlb, level - 1, address);
        way->base = qy_align_down(address, qy_pt_page_bytes(level));
        way->table = absent ? VM_ABSENT : qy_pt_entry_address(format, entry).raw;
        if (absent)
            return (struct manual_result){0};
        table = way->table;
        level--;
    }
    for (; level < QY_PT_LEVELS; level++) {
        uint64_t *above = qy_port_ram(pfn_to_paddr(pfn(f->own_tables.raw + level - 1)));
        memset(above, 0, QY_PAGE_BYTES);
        above[qy_pt_index(vaddr(address), level + 1)] =
            table >> QY_PAGE_SHIFT << format->address_shift | format->table_user;
        table = pfn_to_paddr(pfn(f->own_tables.raw + level - 1)).raw;
    }
    return manual_walk(f->kind->machine, table, address, how, true);
}

/* What it knows of a page and of the tables on the way. */
static inline void vm_forget_path(struct vm_fixture *f, unsigned n, uint64_t address)
{
    unsigned tlb = n * 2 + f->cpu;
    f->tlb[tlb][(address >> QY_PAGE_SHIFT) % VM_TLB] = (struct tlb_entry){0};
    for (unsigned level = 1; level < QY_PT_LEVELS; level++)
        vm_way(f, tlb, level, address)->table = 0;
}

/* x86-64 notes that it has used a page when it reads the entry; the Sv48 of these tests faults instead. */
static inline void vm_note_use(struct vm_fixture *f, unsigned n, uint64_t address)
{
    const struct qy_pt_format *format = f->kind->format;
    paddr_t table = f->space[n].root;
    for (unsigned level = QY_PT_LEVELS; f->kind->machine == MANUAL_X86; level--) {
        _Atomic uint64_t *slot = qy_pt_slot(table, qy_pt_index(vaddr(address), level));
        if (!(*slot & format->valid))
            return;
        if (qy_pt_is_page(format, *slot, level)) {
            *slot |= format->flags[QY_PT_BIT_ACCESSED].value;
            return;
        }
        table = qy_pt_entry_address(format, *slot);
    }
}

/* What the CPU would do: the byte at that address, or null after a fault. */
static inline uint8_t *vm_translate(struct vm_fixture *f, unsigned n, uint64_t address, enum qy_access access)
{
    static const enum manual_access how[] = {MANUAL_READ, MANUAL_WRITE, MANUAL_EXECUTE};
    unsigned need = access == QY_ACCESS_WRITE ? RW : access == QY_ACCESS_EXEC ? RX : RO;
    uint64_t page = address & ~QY_PAGE_MASK;
    struct tlb_entry *e = &f->tlb[n * 2 + f->cpu][(page >> QY_PAGE_SHIFT) % VM_TLB];
    if (e->page != page || (!e->rights && !e->absent)) {
        unsigned rights = 0;
        struct manual_result r = vm_walk(f, n, address, MANUAL_READ);
        if (r.ok)
            vm_note_use(f, n, address);
        for (unsigned i = 0; r.ok && i < 3; i++)
            if (vm_walk(f, n, address, how[i]).ok)
                rights |= i == 0 ? RO : i == 1 ? QY_PT_WRITE : QY_PT_EXEC;
        *e = (struct tlb_entry){page, r.physical & ~QY_PAGE_MASK, rights, !r.ok && vm_keeps_absent(f)};
    }
    if ((e->rights & need) == need)
        return (uint8_t *)qy_port_ram(paddr(e->frame + (address & QY_PAGE_MASK)));
    if (!vm_keeps_absent(f))
        vm_forget_path(f, n, address);
    return NULL;
}

/* A thread's access, faults resolved: OK, or what the fault ended with; BUSY: it faults for ever. */
static inline enum qy_error vm_touch(struct vm_fixture *f, unsigned n, uint64_t address,
                                     enum qy_access access, uint8_t **out)
{
    struct qy_fault fault;
    for (unsigned i = 0; i < 4; i++) {
        *out = vm_translate(f, n, address, access);
        if (*out)
            return QY_OK;
        enum qy_error error = qy_space_fault(&f->space[n], address, access, &fault);
        if (error != QY_OK)
            return error;
        if (!f->fault_keeps)
            vm_forget_path(f, n, address);
    }
    return QY_BUSY;
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
    return (struct qy_mark){.kind = QY_MARK_ANON, .rights = rights, .max = QY_PT_RIGHTS};
}

static inline enum qy_error vm_map(struct vm_fixture *f, unsigned n, uint64_t address, uint64_t bytes,
                                   unsigned rights)
{
    struct qy_mark mark = vm_anon(rights);
    return qy_space_map_region(&f->space[n], &address, bytes, &mark);
}

#endif
