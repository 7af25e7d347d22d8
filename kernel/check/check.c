/*
 * The check of the whole machine. See kernel/check.h.
 */
#include <kernel/boot.h>
#include <kernel/check.h>
#include <kernel/cpus.h>
#include <kernel/print.h>
#include <kernel/space.h>

static struct {
    struct qy_map *map;
    const struct qy_pt *tables;
    struct kernel_arenas *arenas;
} all;

void check_init(struct qy_map *map, const struct qy_pt *tables, struct kernel_arenas *arenas)
{
    all.map = map;
    all.tables = tables;
    all.arenas = arenas;
}

/* The uses of memory add up to what the firmware reported, and the arenas have what was made of it theirs. */
static const char *conserved(void)
{
    uint64_t uses[QY_USE_COUNT], used = 0, owned = all.arenas->header_bytes;
    qy_map_totals(all.map, uses);
    for (unsigned i = 0; i < QY_USE_COUNT; i++)
        used += uses[i];
    for (unsigned i = 0; i < all.arenas->count; i++) {
        struct qy_record_arena record;
        qy_arena_record(&all.arenas->roots[i], &record);
        owned += record.total_bytes;
    }
    if (used != all.map->usable_bytes)
        return "CONSERVE: uses of RAM";
    return owned == uses[QY_USE_UNTYPED] + uses[QY_USE_KERNEL_ARENA] ? NULL
                                                                     : "CONSERVE: root arenas";
}

const char *machine_check(struct check_counts *out)
{
    *out = (struct check_counts){.arenas = all.arenas->count + 1,
                                 .spaces = object_totals(QY_OBJ_ADDRESS_SPACE).live};
    const char *broken = qy_map_check(all.map);
    if (!broken)
        broken = conserved();
    if (!broken)
        broken = qy_nodes_check(&all.arenas->nodes);
    if (!broken)
        broken = qy_arena_check(&all.arenas->kernel);
    if (!broken) /* and the roots: each is an untyped's */
        broken = system_check(&out->capabilities);
    for (unsigned i = 0; i < all.arenas->count && !broken; i++)
        broken = qy_vm_check_frames(&kernel_vm, &all.arenas->roots[i]);
    return broken ? broken : kernel_layout_check_again(all.tables);
}

void check_report(const struct check_counts *counts)
{
    print("checked: %u arenas, %u capabilities, %u address spaces, every frame: all invariants "
          "hold\n",
          (unsigned)counts->arenas, (unsigned)counts->capabilities, (unsigned)counts->spaces);
}

_Noreturn void check_and_exit(unsigned code)
{
    struct check_counts counts;
    cpus_gather();
    check_plant(all.map, all.tables, all.arenas);
    const char *broken = machine_check(&counts);
    if (broken)
        kernel_panic("when the machine was to be switched off this did not hold: %s", broken);
    check_report(&counts);
    kernel_translations_at_last(cpu_this());
    kernel_exit(code);
}
