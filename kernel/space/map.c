/*
 * Frames and tables, mapped by whoever has a capability for them. See kernel/space.h.
 */
#include <arch/arch.h>
#include <kernel/space.h>
#include <kernel/trace.h>

/* QY_MAP_* and QY_PT_* agree in these bits, so nothing is translated. */
_Static_assert(QY_PT_READ == QY_MAP_READ && QY_PT_WRITE == QY_MAP_WRITE &&
                   QY_PT_EXEC == QY_MAP_EXEC && QY_PT_WRITE_THROUGH == QY_MAP_WRITE_THROUGH &&
                   QY_PT_UNCACHED == QY_MAP_UNCACHED,
               "flags of the ABI are those of the page tables");
_Static_assert((QY_RIGHT_READ | QY_RIGHT_WRITE << 8 | QY_RIGHT_EXEC << 16) ==
                   (QY_MAP_READ | QY_MAP_WRITE << 8 | QY_MAP_EXEC << 16),
               "and those of a frame's capability");

#define MEMORY_TYPES (QY_MAP_WRITE_THROUGH | QY_MAP_UNCACHED)

static bool is_device(const struct frame *frame)
{
    return frame->object.flags & OBJECT_DEVICE;
}

/* RAM is cached; of device memory the caller says how it is to be read and written, and not both ways. */
static bool memory_type_fits(const struct frame *frame, uint64_t flags)
{
    uint64_t type = flags & MEMORY_TYPES;
    return is_device(frame) ? type && type != MEMORY_TYPES : !type;
}

/* Where the format has no uncached pages, physical addresses have a type of their own, and device memory's is uncached
 * (RISC-V without Svpbmt). */
static unsigned pt_flags(uint64_t flags)
{
    unsigned wanted = (unsigned)flags | QY_PT_USER;
    return qy_pt_supports(kernel_vm.format, QY_PT_READ | QY_PT_USER | QY_PT_UNCACHED, 1)
               ? wanted
               : wanted & ~(unsigned)QY_PT_UNCACHED;
}

bool frame_type_stays(unsigned had, uint64_t flags)
{
    return ((had ^ pt_flags(flags)) & MEMORY_TYPES) == 0;
}

enum qy_error frame_flags_check(const struct slot *slot, uint64_t flags)
{
    if ((flags & ~(uint64_t)QY_MAP_ALL) ||
        !memory_type_fits((const struct frame *)slot->object, flags) || !(flags & QY_MAP_READ) ||
        ((flags & QY_MAP_WRITE) && (flags & QY_MAP_EXEC)))
        return QY_INVALID_FLAGS;
    if (!qy_pt_supports(kernel_vm.format, pt_flags(flags), 1)) /* a type that this CPU has not */
        return QY_INVALID_FLAGS;
    return flags & QY_PT_RIGHTS & ~(uint64_t)slot->rights ? QY_NO_RIGHTS : QY_OK;
}

unsigned frame_pages(const struct frame *frame, unsigned flags, unsigned *count)
{
    unsigned level = 1 + frame->order / 9u;
    while (level > 1 && (level > arch_max_page_level() ||
                         !qy_pt_supports(kernel_vm.format, pt_flags(flags), level)))
        level--;
    unsigned order = frame->order - 9 * (level - 1);
    *count = 1u << order;
    return order <= 9 && qy_pt_supports(kernel_vm.format, pt_flags(flags), level) ? level : 0;
}

bool frame_is_mapped(const struct slot *slot, struct space **space, unsigned *rights)
{
    *space = slot->space ? space_find(slot->space) : NULL;
    return *space && qy_space_holds_frame(&(*space)->vm, slot->address,
                                          ((const struct frame *)slot->object)->first, rights);
}

enum qy_error frame_map_check(const struct slot *slot, uint64_t address, uint64_t flags)
{
    const struct frame *frame = (const struct frame *)slot->object;
    struct space *space;
    unsigned rights;
    enum qy_error error = frame_flags_check(slot, flags);
    if (error != QY_OK)
        return error;
    if (address % (QY_PAGE_BYTES << frame->order))
        return QY_INVALID_ADDRESS;
    return frame_is_mapped(slot, &space, &rights) ? QY_ALREADY_MAPPED : QY_OK;
}

enum qy_error frame_map_in(struct space *space, const struct frame *frame, uint64_t address,
                           unsigned flags, unsigned rights, unsigned *level)
{
    struct cpu *cpu = cpu_this();
    unsigned count, page = frame_pages(frame, flags, &count);
    if (page == 0)
        return QY_UNSUPPORTED;
    space_enter(cpu);
    enum qy_error error = is_device(frame)
                              ? qy_space_map_raw(&space->vm, address, frame->first, page, count,
                                                 pt_flags(flags), rights & QY_PT_RIGHTS, level)
                              : qy_space_map_block(&space->vm, address, frame->first, page, count,
                                                   flags, rights & QY_PT_RIGHTS, level);
    space_leave(cpu);
    return error;
}

enum qy_error frame_supply_in(struct space *space, const struct frame *frame, uint64_t address,
                              unsigned flags, unsigned *level)
{
    struct cpu *cpu = cpu_this();
    unsigned count, page = frame_pages(frame, flags, &count);
    if (page == 0 || count != 1 || is_device(frame))
        return QY_UNSUPPORTED;
    space_enter(cpu);
    enum qy_error error = qy_space_map_frame(&space->vm, address, frame->first, page, flags,
                                             flags & QY_PT_RIGHTS, true, level);
    space_leave(cpu);
    return error;
}

enum qy_error frame_map_now(struct slot *slot, struct space *space, uint64_t address,
                            uint64_t flags, unsigned *level)
{
    enum qy_error error = frame_map_check(slot, address, flags);
    if (error == QY_OK)
        error = frame_map_in(space, (const struct frame *)slot->object, address, (unsigned)flags,
                             slot->rights, level);
    if (error == QY_OK) {
        slot->space = space->object.id;
        slot->address = address;
    }
    return error;
}

enum qy_error space_map_reserved(struct space *space, uint64_t address, paddr_t page,
                                 unsigned *level)
{
    struct cpu *cpu = cpu_this();
    space_enter(cpu);
    enum qy_error error = qy_space_map_raw(&space->vm, address, paddr_to_pfn(page), 1, 1,
                                           QY_MAP_READ, QY_MAP_READ, level);
    space_leave(cpu);
    return error;
}

enum qy_error table_map_in(struct space *space, const struct page_table *table, uint64_t address,
                           unsigned level, struct qy_budget *payer, unsigned *missing)
{
    struct cpu *cpu = cpu_this();
    space_enter(cpu);
    enum qy_error error =
        qy_space_install_table(&space->vm, address, level, table->frame, payer, missing);
    space_leave(cpu);
    return error;
}
