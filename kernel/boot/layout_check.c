/*
 * The live page tables against the layout that they were meant to have: the table of
 * kernel/layout.h, read backwards.
 *
 * It looks at every page that is mapped and at everything that has to be; it shares with the
 * builder only the table and the linker's symbols. It does not know where RAM is: that the direct
 * map holds all RAM and nothing else is the tests'. Invariants checked: WXOR for the kernel (text
 * and constants have no writable alias), ISOLATED, and those of qy_pt_check. Cost: O(pages mapped).
 */
#include <arch/arch.h>
#include <kernel/boot.h>
#include <kernel/image.h>
#include <kernel/layout.h>
#include <kernel/print.h>

struct window {
    const char *name;
    uint64_t first, last;
    unsigned rights; /* QY_PT_*: the most that a page in it may have */
    uint64_t pages[QY_PT_LARGEST_PAGE + 1], bytes; /* found: pages by level */
};

enum {
#define X(NAME, first, last, what, flags) WINDOW_##NAME,
    KERNEL_LAYOUT(X)
#undef X
        WINDOW_COUNT
};

struct check {
    const struct qy_pt *pt;
    const struct qy_topology *topology;
    uint64_t text, text_end, rodata, rodata_end, data, data_end; /* virtual */
    const char *broken;
    bool boot; /* nothing has been allocated from the heap window yet */
    struct window windows[WINDOW_COUNT];
};

static unsigned rights_of(const char *letters)
{
    unsigned rights = 0;
    for (; *letters; letters++)
        rights |= *letters == 'r'   ? QY_PT_READ
                  : *letters == 'w' ? QY_PT_WRITE
                  : *letters == 'x' ? QY_PT_EXEC
                  : *letters == 'u' ? QY_PT_UNCACHED
                                    : 0;
    return rights;
}

static void check_init(struct check *check, const struct qy_pt *pt,
                       const struct qy_topology *topology)
{
    *check = (struct check){.pt = pt,
                            .topology = topology,
                            .text = (uint64_t)kernel_text_start,
                            .text_end = (uint64_t)kernel_text_end,
                            .rodata = (uint64_t)kernel_rodata_start,
                            .rodata_end = (uint64_t)kernel_rodata_end,
                            .data = (uint64_t)kernel_data_start,
                            .data_end = (uint64_t)kernel_data_end,
                            .windows = {
#define X(NAME, first, last, what, flags)                                                          \
    {#NAME, KERNEL_##NAME##_BASE, KERNEL_##NAME##_LAST, rights_of(flags), {0}, 0},
                                KERNEL_LAYOUT(X)
#undef X
                            }};
}

#define X(NAME, first, last, what, flags)                                                          \
    _Static_assert((first##ull & QY_PAGE_MASK) == 0 && (last##ull & QY_PAGE_MASK) == QY_PAGE_MASK, \
                   "a window is made of whole pages");                                             \
    _Static_assert(first##ull < last##ull && first##ull >> 47 == last##ull >> 47 &&                \
                       (last##ull >> 47 == 0 || last##ull >> 47 == 0x1ffff),                       \
                   "a window lies in one half, and its addresses are canonical");
KERNEL_LAYOUT(X)
#undef X

/* Windows that overlap do not compile: two cases would have the same value. */
static struct window *window_of(struct check *check, uint64_t address)
{
    switch (address) {
#define X(NAME, first, last, what, flags)                                                          \
    case first##ull... last##ull:                                                                  \
        return &check->windows[WINDOW_##NAME];
        KERNEL_LAYOUT(X)
#undef X
    default:
        return NULL;
    }
}

static uint64_t image_physical(uint64_t address)
{
    return address - kernel_base.image + arch_image_base.raw;
}

static bool overlaps(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
    return a < b_end && b < a_end;
}

/* Text is executable, data is writable, neither is both; each page lies in one part, at its place
 * in physical memory. */
static const char *check_image_page(const struct check *check, uint64_t address, uint64_t end,
                                    uint64_t physical, unsigned flags)
{
    unsigned rights = flags & (QY_PT_READ | QY_PT_WRITE | QY_PT_EXEC), wanted;
    if (address >= check->text && end <= check->text_end)
        wanted = QY_PT_READ | QY_PT_EXEC;
    else if (address >= check->rodata && end <= check->rodata_end)
        wanted = QY_PT_READ;
    else if (address >= check->data && end <= check->data_end)
        wanted = QY_PT_READ | QY_PT_WRITE;
    else
        return "a page of the image window is in no part of the kernel";
    if (physical != image_physical(address))
        return "a page of the kernel image maps the wrong frame";
    return rights == wanted ? NULL : "a page of the kernel image has the wrong rights";
}

/* In the heap window there are stacks, of CPUs that exist, and later guarded objects. */
static const char *check_heap_page(const struct check *check, uint64_t address, uint64_t end)
{
    if (overlaps(address, end, kernel_guard_base(), kernel_guard_base() + KERNEL_GUARD_BYTES))
        return check->boot ? "a page of the guarded allocations is mapped before there are any"
                           : NULL;
    uint64_t slot = (address - kernel_base.heap) / KERNEL_STACK_SLOT_BYTES;
    uint64_t top = kernel_base.heap + (slot + 1) * KERNEL_STACK_SLOT_BYTES;
    if (slot >= (uint64_t)check->topology->cpu_count * KERNEL_STACK_KINDS)
        return "a page of the heap window belongs to no CPU's stack";
    return address >= top - KERNEL_STACK_BYTES && end <= top ? NULL
                                                             : "a stack's guard page is mapped";
}

static const char *check_cpu_page(const struct check *check, uint64_t address, uint64_t end)
{
    uint64_t cpu = (address - kernel_base.cpu_areas) / KERNEL_CPU_AREA_BYTES;
    uint64_t area = kernel_cpu_area((unsigned)cpu);
    if (cpu >= check->topology->cpu_count)
        return "a page of the CPU areas belongs to no CPU";
    return end <= area + KERNEL_CPU_AREA_BACKED_BYTES ? NULL : "a page lies behind a CPU's area";
}

static const char *check_device_page(const struct check *check, uint64_t physical, uint64_t bytes)
{
    return qy_topology_keeps(check->topology, physical, bytes)
               ? NULL
               : "a page of the device window maps registers that a program may get too";
}

/* What holds for every page of the kernel, whichever window it is in. */
static const char *check_any_page(const struct check *check, const struct window *window,
                                  uint64_t last, uint64_t physical, uint64_t bytes, unsigned flags)
{
    if (!window)
        return "a page lies outside every window";
    if (window->first == KERNEL_USER_BASE)
        return "a page is mapped in the user half";
    if (last > window->last)
        return "a page reaches over the end of its window";
    if (flags & QY_PT_USER)
        return "a kernel page is reachable from user mode";
    if (!(flags & QY_PT_GLOBAL))
        return "a kernel page is not global";
    if (flags & QY_PT_WRITE && flags & QY_PT_EXEC)
        return "a kernel page is writable and executable";
    if (flags & QY_PT_MAPPABLE & ~(QY_PT_GLOBAL | window->rights))
        return window->rights ? "a page has more rights than its window"
                              : "a page lies where nothing may be";
    bool read_only = overlaps(physical, physical + bytes, image_physical(check->text),
                              image_physical(check->text_end)) ||
                     overlaps(physical, physical + bytes, image_physical(check->rodata),
                              image_physical(check->rodata_end));
    if (read_only && flags & QY_PT_WRITE)
        return "kernel text or constants have a writable alias";
    return NULL;
}

static bool check_page(void *context, vaddr_t address, uint64_t entry, unsigned level)
{
    struct check *check = context;
    uint64_t bytes = qy_pt_page_bytes(level), last = address.raw + (bytes - 1);
    uint64_t physical = qy_pt_entry_address(check->pt->format, entry).raw;
    unsigned flags = qy_pt_decode(check->pt->format, entry);
    struct window *window = window_of(check, address.raw);

    const char *broken = check_any_page(check, window, last, physical, bytes, flags);
    if (!broken && window->first == KERNEL_DIRECT_MAP_BASE &&
        physical != address.raw - kernel_base.direct_map)
        broken = "a page of the direct map does not map its own address";
    else if (!broken && window->first == KERNEL_IMAGE_BASE)
        broken = check_image_page(check, address.raw, last + 1, physical, flags);
    else if (!broken && window->first == KERNEL_HEAP_BASE)
        broken = check_heap_page(check, address.raw, last + 1);
    else if (!broken && window->first == KERNEL_CPU_AREAS_BASE)
        broken = check_cpu_page(check, address.raw, last + 1);
    else if (!broken && window->first == KERNEL_DEVICES_BASE)
        broken = check_device_page(check, physical, bytes);
    if (broken) {
        print("layout: %R -> %R, %S, flags %x: %s\n", address.raw, physical, bytes, flags, broken);
        check->broken = broken;
        return false;
    }
    window->pages[level]++;
    window->bytes += bytes;
    return true;
}

static bool is_mapped(const struct check *check, uint64_t base, uint64_t end)
{
    for (uint64_t at = base; at < end; at += QY_PAGE_BYTES)
        if (qy_pt_translate(check->pt, vaddr(at), NULL, NULL, NULL) != QY_OK) {
            print("layout: nothing is mapped at %R\n", at);
            return false;
        }
    return true;
}

/* What has to be there. */
static const char *check_presence(const struct check *check)
{
    if (!is_mapped(check, check->text, check->text_end) ||
        !is_mapped(check, check->rodata, check->rodata_end) ||
        !is_mapped(check, check->data, check->data_end))
        return "a part of the kernel image is not mapped";
    for (unsigned cpu = 0; cpu < check->topology->cpu_count; cpu++) {
        uint64_t area = kernel_cpu_area((unsigned)cpu);
        if (!is_mapped(check, area, area + KERNEL_CPU_AREA_BACKED_BYTES))
            return "a part of a CPU's area is not mapped";
        for (unsigned kind = 0; kind < KERNEL_STACK_KINDS; kind++) {
            uint64_t top = kernel_stack_top(cpu, (enum kernel_stack)kind);
            if (!is_mapped(check, top - KERNEL_STACK_BYTES, top))
                return "a part of a CPU's stack is not mapped";
        }
    }
    return NULL;
}

/* The lower half has no tables; the windows but the direct map have all that they can ever need in
 * the root. */
static const char *check_root(const struct check *check)
{
    for (unsigned i = 0; i < QY_PT_ENTRIES / 2; i++)
        if (atomic_load(qy_pt_slot(check->pt->root, i)))
            return "the user half of the kernel's own tables is not empty";
    for (unsigned w = 0; w < WINDOW_COUNT; w++) {
        const struct window *window = &check->windows[w];
        if (!window->rights || window->first == KERNEL_DIRECT_MAP_BASE)
            continue;
        for (unsigned i = qy_pt_index(vaddr(window->first), 4);
             i <= qy_pt_index(vaddr(window->last), 4); i++)
            if (!(atomic_load(qy_pt_slot(check->pt->root, i)) & check->pt->format->valid))
                return "a root entry of a window has no table: spaces would not see what is mapped "
                       "there later";
    }
    return NULL;
}

static void print_windows(const struct check *check)
{
    print(
        "layout: window                      pages of      4 KiB     2 MiB     1 GiB        all\n");
    for (unsigned i = 0; i < WINDOW_COUNT; i++) {
        const struct window *w = &check->windows[i];
        print("  %016llx-%016llx  %-10s  %8llu  %8llu  %8llu %10S\n", (unsigned long long)w->first,
              (unsigned long long)w->last, w->name, (unsigned long long)w->pages[1],
              (unsigned long long)w->pages[2], (unsigned long long)w->pages[3], w->bytes);
    }
}

/* Windows and stacks are those of the CPUs that the machine had at boot. */
static const struct qy_topology *boot_topology;

static const char *look(struct check *check, const struct qy_pt *pt, bool boot)
{
    check_init(check, pt, boot_topology);
    check->boot = boot;
    qy_pt_each(pt, check_page, check);
    if (!check->broken)
        check->broken = check_root(check);
    if (!check->broken)
        check->broken = check_presence(check);
    if (!check->broken)
        check->broken = qy_pt_check(pt);
    return check->broken;
}

const char *kernel_layout_check(const struct qy_pt *pt, const struct qy_topology *topology)
{
    struct check check;
    boot_topology = topology;
    if (!look(&check, pt, true))
        print_windows(&check);
    return check.broken;
}

const char *kernel_layout_check_again(const struct qy_pt *pt)
{
    struct check check;
    return look(&check, pt, false);
}
