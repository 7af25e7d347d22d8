/*
 * The pool of guarded allocations in the kernel: its window, tables and slots, and what its
 * operations do to the live page tables. See kernel/guard.h.
 *
 * Each slot's entries are written only by the CPU that has the slot, and lie in tables that stay, so
 * mapping takes no lock. Cost: a store and an invalidation a page; a flush of all CPUs a batch.
 */
#include <arch/arch.h>
#include <kernel/guard.h>
#include <kernel/image.h>
#include <kernel/kernel_flush.h>
#include <kernel/layout.h>
#include <kernel/print.h>
#include <lib/string.h>
#include <platform/parse.h>
#include <qy/port.h>

#include "guard_impl.h"

#define BATCH 16u

static struct qy_guard pool;
static struct qy_pt tables; /* null root: there is no pool */
static uint32_t interval;

struct qy_guard *guard_pool(void)
{
    return tables.root.raw ? &pool : NULL;
}

uint32_t guard_interval(void)
{
    return interval;
}

/* ---- what the pool asks for ---- */

static void pool_map(void *context, void *at, pfn_t first, unsigned pages)
{
    (void)context;
    for (unsigned i = 0; i < pages; i++)
        if (qy_pt_map(&tables, vaddr((uint64_t)at + i * QY_PAGE_BYTES),
                      pfn_to_paddr(pfn(first.raw + i)), 1, QY_PT_READ | QY_PT_WRITE | QY_PT_GLOBAL,
                      NULL) != QY_OK)
            qy_port_broken("GUARD-MAP", "a page of the window cannot be mapped",
                           (uint64_t)at + i * QY_PAGE_BYTES);
    arch_flush_range(vaddr((uint64_t)at), pages); /* a CPU may remember that nothing was there */
}

static void pool_unmap(void *context, void *at, unsigned pages)
{
    (void)context;
    for (unsigned i = 0; i < pages; i++)
        if (qy_pt_unmap(&tables, vaddr((uint64_t)at + i * QY_PAGE_BYTES), 1, NULL) != QY_OK)
            qy_port_broken("GUARD-MAP", "a page of a guarded object is not mapped",
                           (uint64_t)at + i * QY_PAGE_BYTES);
    arch_flush_range(vaddr((uint64_t)at), pages);
}

static uint64_t pool_flush_begin(void *context)
{
    (void)context;
    return kernel_flush_begin();
}

static bool pool_flush_done(void *context, uint64_t ticket)
{
    (void)context;
    return kernel_flush_done(ticket);
}

/* By the chain of frame pointers, as long as it climbs inside one stack (kernel/console/panic.c). */
static unsigned pool_stack(void *context, uintptr_t *out, unsigned room)
{
    uint64_t frame = (uint64_t)__builtin_frame_address(0), before, address;
    unsigned depth = 0;
    (void)context;
    do {
        before = frame;
        bool more = arch_frame_walk(&frame, &address);
        if (address < (uint64_t)kernel_text_start || address >= (uint64_t)kernel_text_end)
            break;
        out[depth++] = address;
        if (!more)
            break;
    } while (depth < room && frame > before && frame - before <= KERNEL_STACK_BYTES);
    return depth;
}

static void pool_slack(void *context, const struct qy_guard_report *report)
{
    (void)context;
    guard_report_keep(report);
    kernel_panic("a guarded object's surroundings were written to, at %R", report->address);
}

static const struct qy_guard_ops operations = {.map = pool_map,
                                               .unmap = pool_unmap,
                                               .flush_begin = pool_flush_begin,
                                               .flush_done = pool_flush_done,
                                               .stack = pool_stack,
                                               .freeing = guard_freeing,
                                               .slack = pool_slack};

/* ---- boot ---- */

/* For struct qy_pt_tables. */
static enum qy_error table_alloc(void *context, paddr_t *out)
{
    pfn_t frame;
    enum qy_error error = qy_arena_alloc(context, 0, QY_FRAME_TABLE, &frame);
    if (error == QY_OK) {
        *out = pfn_to_paddr(frame);
        memset(qy_port_ram(*out), 0, QY_PAGE_BYTES);
    }
    return error;
}

/* N of guard=N: 1 and more; 0 if it is no such number. */
static uint32_t parse_interval(const char *text)
{
    uint64_t value = 0;
    for (; *text >= '0' && *text <= '9' && value <= UINT32_MAX; text++)
        value = value * 10 + (uint64_t)(*text - '0');
    return *text == '\0' && value <= INT32_MAX ? (uint32_t)value : 0;
}

void guard_init(const char *command_line, struct kernel_arenas *arenas, const struct qy_pt *live)
{
    char value[16];
    struct qy_pt pt = *live;
    struct qy_guard_config config = {.window = (unsigned char *)kernel_guard_base(),
                                     .slot_count = KERNEL_GUARD_SLOTS,
                                     .slot_pages = KERNEL_GUARD_SLOT_PAGES,
                                     .batch = BATCH,
                                     .ops = &operations};
    if (!qy_option(command_line, "guard", value, sizeof(value)))
        return;
    interval = parse_interval(value);
    if (interval == 0)
        kernel_stop("guard=%s is no number from 1 on: about one in so many objects is guarded",
                    value);
    uint64_t bytes = KERNEL_GUARD_SLOTS * sizeof(struct qy_guard_slot);
    uint64_t step = qy_pt_page_bytes(2), last = kernel_guard_base() + KERNEL_GUARD_BYTES - 1;
    pfn_t slots;
    struct qy_pt_tables from = {.alloc = table_alloc, .context = &arenas->kernel};
    enum qy_error error =
        qy_arena_alloc_pages(&arenas->kernel, qy_align_up(bytes, QY_PAGE_BYTES) / QY_PAGE_BYTES,
                             QY_FRAME_METADATA, &slots);
    for (uint64_t at = qy_align_down(kernel_guard_base(), step); at <= last && error == QY_OK;
         at += step)
        error = qy_pt_ensure(&pt, vaddr(at), 1, &from);
    if (error != QY_OK)
        kernel_stop("guard=%s needs %S of the kernel's arena for slots and tables; give the "
                    "machine more memory",
                    value, bytes);
    config.slots = qy_port_ram(pfn_to_paddr(slots));
    if (qy_guard_init(&pool, &config) != QY_OK)
        kernel_panic("the pool of guarded allocations is refused");
    tables = pt;
    print("guarded allocations: about one in %u, %u slots of %S at %R\n", interval,
          KERNEL_GUARD_SLOTS, KERNEL_GUARD_SLOT_PAGES * QY_PAGE_BYTES, kernel_guard_base());
}

/* ---- every day ---- */

bool guard_holds_frames(const struct qy_arena *arena)
{
    return guard_pool() && qy_guard_freed_pages(&pool, arena) != 0;
}

void guard_gather(const struct qy_arena *arena)
{
    if (guard_pool())
        qy_guard_gather(&pool, arena);
}

bool guard_fault_is_stale(uint64_t address)
{
    uint64_t page = (address - kernel_guard_base()) / QY_PAGE_BYTES;
    pfn_t frame;
    if (!guard_pool() || address - kernel_guard_base() >= KERNEL_GUARD_BYTES ||
        !qy_guard_page(&pool, page, &frame))
        return false;
    arch_flush_range(vaddr(qy_align_down(address, QY_PAGE_BYTES)), 1);
    return true;
}

const char *guard_check(void)
{
    const char *broken = guard_pool() ? qy_guard_check(&pool) : NULL;
    for (uint64_t page = 0; guard_pool() && !broken; page++) {
        vaddr_t at = vaddr(kernel_guard_base() + page * QY_PAGE_BYTES);
        pfn_t wanted;
        paddr_t mapped;
        unsigned flags;
        if (at.raw >= kernel_guard_base() + KERNEL_GUARD_BYTES)
            break;
        bool live = qy_guard_page(&pool, page, &wanted);
        bool present = qy_pt_translate(&tables, at, &mapped, &flags, NULL) == QY_OK;
        if (live != present || (present && (mapped.raw != pfn_to_paddr(wanted).raw ||
                                            flags & (QY_PT_EXEC | QY_PT_USER))))
            broken = "GUARD-MAP";
    }
    return broken;
}
