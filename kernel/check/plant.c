/*
 * Damage on purpose, asked for by the boot option plant=..., after everything else: the check before the machine is
 * switched off has to find each kind.
 */
#include <kernel/check.h>
#include <kernel/cpu.h>
#include <kernel/image.h>
#include <kernel/print.h>
#include <kernel/space.h>
#include <kernel/thread.h>
#include <lib/string.h>
#include <platform/parse.h>

static char kind[16];

struct machine {
    struct qy_map *map;
    struct qy_pt kernel, user; /* tables: the kernel's own, those of the program that runs */
    struct kernel_arenas *arenas;
};

/* The entry of the page over an address, which is mapped. */
static _Atomic uint64_t *entry_of(const struct qy_pt *pt, vaddr_t address)
{
    paddr_t table = pt->root;
    for (unsigned level = QY_PT_LEVELS;; level--) {
        _Atomic uint64_t *slot = qy_pt_slot(table, qy_pt_index(address, level));
        uint64_t entry = atomic_load(slot);
        if (!qy_pt_is_table(pt->format, entry, level))
            return slot;
        table = qy_pt_entry_address(pt->format, entry);
    }
}

struct search {
    const struct qy_pt *pt;
    unsigned rights;
    _Atomic uint64_t *slot;
};

static bool has_rights(void *context, vaddr_t address, uint64_t entry, unsigned level)
{
    struct search *search = context;
    (void)level;
    if ((qy_pt_decode(search->pt->format, entry) & (QY_PT_USER | QY_PT_WRITE | QY_PT_EXEC)) !=
        (QY_PT_USER | search->rights))
        return true;
    search->slot = entry_of(search->pt, address);
    return false;
}

/* A page of the program that has WRITE or EXEC. */
static _Atomic uint64_t *user_page(const struct machine *m, unsigned rights)
{
    struct search search = {&m->user, rights, NULL};
    qy_pt_each(search.pt, has_rights, &search);
    if (!search.slot)
        kernel_panic("plant: the program has no page with rights %u", rights);
    return search.slot;
}

static pfn_t frame_at(const struct machine *m, _Atomic uint64_t *slot)
{
    return paddr_to_pfn(qy_pt_entry_address(m->user.format, atomic_load(slot)));
}

static void turn_on(const struct qy_pt_format *format, _Atomic uint64_t *slot,
                    enum qy_pt_flag_bit flag)
{
    const struct qy_pt_bits *bits = &format->flags[flag];
    atomic_store(slot, (atomic_load(slot) & ~bits->mask) | bits->value);
}

static void plant_wx(const struct machine *m)
{
    turn_on(m->user.format, user_page(m, QY_PT_EXEC), QY_PT_BIT_WRITE);
}

/* Executable, while the frame's entry says that it is writable somewhere. */
static void plant_alias(const struct machine *m)
{
    _Atomic uint64_t *slot = user_page(m, QY_PT_WRITE);
    unsigned flags = qy_pt_decode(m->user.format, atomic_load(slot)) & QY_PT_RIGHTS_AND_TYPES;
    atomic_store(slot, qy_pt_encode(m->user.format, pfn_to_paddr(frame_at(m, slot)), 1,
                                    (flags & ~(unsigned)QY_PT_WRITE) | QY_PT_EXEC));
}

static void plant_kernel_wx(const struct machine *m)
{
    turn_on(m->kernel.format, entry_of(&m->kernel, vaddr((uint64_t)kernel_data_start)),
            QY_PT_BIT_EXEC);
}

/* A page whose frame does not know of it. */
static void plant_page(const struct machine *m)
{
    qy_frame_set_word(kernel_vm.db, frame_at(m, user_page(m, QY_PT_WRITE)), 0);
}

/* A frame that says it is mapped where another one is. */
static void plant_frame(const struct machine *m)
{
    pfn_t frame;
    if (qy_arena_alloc(&m->arenas->kernel, 0, QY_FRAME_USER, &frame) != QY_OK)
        kernel_panic("plant: no frame is left");
    qy_frame_set_word(kernel_vm.db, frame,
                      qy_frame_word(kernel_vm.db, frame_at(m, user_page(m, QY_PT_WRITE))));
}

/* A page more than there is. */
static void plant_arena(const struct machine *m) QY_UNCHECKED
{
    m->arenas->roots[0].pages[QY_FRAME_FREE]++;
}

/* A page of the programs' that the map gives to the kernel. */
static void plant_use(const struct machine *m)
{
    uint64_t base = pfn_to_paddr(m->arenas->roots[0].base).raw;
    if (qy_map_change(m->map, base, base + QY_PAGE_BYTES, QY_USE_UNTYPED, QY_USE_KERNEL_DATA) !=
        QY_OK)
        kernel_panic("plant: the map cannot be changed");
}

/* X(name, function) */
#define PLANTS(X)                                                                                  \
    X("wx", plant_wx)                                                                              \
    X("alias", plant_alias)                                                                        \
    X("kernel-wx", plant_kernel_wx)                                                                \
    X("page", plant_page)                                                                          \
    X("frame", plant_frame)                                                                        \
    X("arena", plant_arena)                                                                        \
    X("use", plant_use)

static const struct {
    const char *name;
    void (*plant)(const struct machine *m);
} plants[] = {
#define X(name, function) {(name), (function)},
    PLANTS(X)
#undef X
};

#define PLANT_COUNT (sizeof(plants) / sizeof(plants[0]))

static size_t asked_for(void)
{
    size_t i = 0;
    while (i < PLANT_COUNT && strcmp(kind, plants[i].name) != 0)
        i++;
    return i;
}

void check_plant_on_request(const char *command_line)
{
    if (qy_option(command_line, "plant", kind, sizeof(kind)) && asked_for() == PLANT_COUNT)
#define X(name, function) " " name
        kernel_stop("plant=%s is none of" PLANTS(X), kind);
#undef X
}

void check_plant(struct qy_map *map, const struct qy_pt *tables, struct kernel_arenas *arenas)
{
    size_t i = asked_for();
    if (i == PLANT_COUNT)
        return;
    struct machine m = {map, *tables, *tables, arenas};
    m.user.root = cpu_this()->current->run_space->vm.root;
    print("planted on request: %s\n", kind);
    plants[i].plant(&m);
}
