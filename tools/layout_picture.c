/*
 * Writes docs/layout.md from the table in kernel/include/kernel/layout.h: a picture of an address
 * space, the table itself, and the distances inside its windows. A test compares the file with what
 * this prints.
 */
#include <kernel/boot.h>
#include <kernel/layout.h>
#include <lib/format.h>
#include <stdio.h>
#include <string.h>

#if QY_CONFIG_KASLR
struct kernel_base kernel_base = KERNEL_FIRST_BYTES; /* as without the boot option */
#endif

struct window {
    const char *name;
    uint64_t first, last;
    const char *what, *rights;
};

static const struct window windows[] = {
#define X(NAME, first, last, what, flags) {#NAME, first##ull, last##ull, (what), (flags)},
    KERNEL_LAYOUT(X)
#undef X
};
#define WINDOWS (sizeof(windows) / sizeof(windows[0]))

static const char *size(uint64_t first, uint64_t last)
{
    static char text[8][24];
    static unsigned turn;
    char *out = text[turn++ % 8];
    format_to(out, sizeof(text[0]), "%S", last - first + 1);
    return out;
}

static const char *rights(const char *letters)
{
    static char text[48];
    if (!letters[0])
        return "-";
    snprintf(text, sizeof(text), "%s%s%s%s", strchr(letters, 'r') ? "read" : "",
             strchr(letters, 'w') ? ", write" : "", strchr(letters, 'x') ? ", or execute" : "",
             strchr(letters, 'u') ? ", uncached" : "");
    return text;
}

static void line(uint64_t address, const char *fill)
{
    printf("    %016llx  +%.58s+\n", (unsigned long long)address, fill);
}

#define RULE "----------------------------------------------------------"

/* From the top of the address space down, as one draws it. */
static void picture(void)
{
    printf("    %16s  +%s+\n", "", RULE);
    for (size_t i = WINDOWS; i-- > 0;) {
        const struct window *w = &windows[i];
        char text[80];
        snprintf(text, sizeof(text), "%-10s %9s  %s", w->name, size(w->first, w->last), w->what);
        if (strlen(text) > 56) { /* in two lines, cut at a space */
            size_t cut = 56;
            while (text[cut] != ' ')
                cut--;
            printf("    %16s  | %-56.*s |\n", "", (int)cut, text);
            printf("    %16s  | %-22s%-34s |\n", "", "", text + cut + 1);
        } else {
            printf("    %16s  | %-56s |\n", "", text);
        }
        line(w->first, RULE);
        if (i > 0 && windows[i - 1].last + 1 != w->first) {
            bool canonical = windows[i - 1].first >> 63;
            snprintf(text, sizeof(text), "%-10s %9s  %s", "-",
                     size(windows[i - 1].last + 1, w->first - 1),
                     canonical ? "in no window: never mapped" : "not canonical: no address at all");
            printf("    %16s  : %-56s :\n", "", text);
            line(windows[i - 1].last + 1, RULE);
        }
    }
}

static void table(void)
{
    printf("| start | last byte | size | name | what stands there | rights at most "
           "|\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < WINDOWS; i++)
        printf("| `0x%016llx` | `0x%016llx` | %s | %s | %s | %s |\n",
               (unsigned long long)windows[i].first, (unsigned long long)windows[i].last,
               size(windows[i].first, windows[i].last), windows[i].name, windows[i].what,
               rights(windows[i].rights));
}

static void inside(void)
{
    uint64_t top = kernel_stack_top(0, KERNEL_STACK_MAIN);
    printf("CPU *n* has its area at `0x%016llx` + *n* x %s; the first %s of it have memory, the "
           "rest is "
           "unmapped: no CPU reaches the next one's by running on.\n\n",
           (unsigned long long)kernel_cpu_area(0), size(1, KERNEL_CPU_AREA_BYTES),
           size(1, KERNEL_CPU_AREA_BACKED_BYTES));
    printf("Its kernel stack ends at `0x%016llx` + *n* x %s, its fault stack %s higher; each has "
           "%s, and the %s below it "
           "are unmapped: an overflow faults.\n\n",
           (unsigned long long)top, size(1, KERNEL_STACK_KINDS * KERNEL_STACK_SLOT_BYTES),
           size(1, KERNEL_STACK_SLOT_BYTES), size(1, KERNEL_STACK_BYTES),
           size(1, KERNEL_STACK_SLOT_BYTES - KERNEL_STACK_BYTES));
    printf(
        "Guarded allocations (boot option `guard=N`) begin at `0x%016llx`: %u slots of %s, with an "
        "unmapped page before, between and after them. An object lies against an edge of its slot, "
        "and only its own pages are mapped, while it lives: these are the only pages of the "
        "kernel's half that change after boot. Both ends of the window are unmapped.\n\n",
        (unsigned long long)kernel_guard_base(), KERNEL_GUARD_SLOTS,
        size(1, KERNEL_GUARD_SLOT_PAGES * 4096ull));
    printf("The frame database has three tables, each indexed by physical address and backed only "
           "where there is RAM:\n\n");
    printf("| table | starts at | room |\n|---|---|---|\n");
    printf("| frames | `0x%016llx` | %s |\n", (unsigned long long)kernel_frames_base(),
           size(kernel_frames_base(), kernel_blocks_base() - 1));
    printf("| blocks of 2 MiB | `0x%016llx` | %s |\n", (unsigned long long)kernel_blocks_base(),
           size(kernel_blocks_base(), kernel_sections_base() - 1));
    printf("| sections of 128 MiB | `0x%016llx` | %s |\n",
           (unsigned long long)kernel_sections_base(),
           size(kernel_sections_base(), KERNEL_FRAME_DB_LAST));
}

/* How many places there are when so many bytes have to fit, and the whole bits of that. */
static void place(const char *what, const char *window, uint64_t room, uint64_t unit,
                  uint64_t bytes)
{
    uint64_t count = (room - bytes) / unit + 1;
    printf("| %s | %s | %s | %s | %llu | %u |\n", what, window, size(1, unit), size(1, bytes),
           (unsigned long long)count, 63 - (unsigned)__builtin_clzll(count));
}

static void places(void)
{
    const struct kernel_base bytes = {
        .direct_map = 8ull << 30,
        .frame_db = KERNEL_FRAME_DB_BYTES,
        .heap = KERNEL_GUARD_OFFSET + KERNEL_GUARD_BYTES,
        .cpu_areas = 4 * KERNEL_CPU_AREA_BYTES,
        .image = 4ull << 20,
        .devices = KERNEL_DEVICES_BYTES,
    };
    printf(
        "With `kaslr=on` on the kernel's command line, what stands in a window begins some units "
        "behind the window's first byte: at random, each place as likely as any other, all "
        "independent of each other, as far as there is room (`kernel/boot/kaslr.c`). The windows, "
        "and the rights in them, stay. The kernel tells at boot how many bits that makes, and out "
        "of what; `kaslr=show` prints the places as well, and the report of a panic does. Without "
        "entropy of the processor or of firmware nothing is moved, and that is told.\n\n"
        "On a machine of 4 CPUs whose RAM ends at 8 GiB:\n\n"
        "| what | window | unit | has to fit | places | bits |\n|---|---|---|---|---|---|\n");
#define X(name, window, unit, what)                                                                \
    place(what, #window, KERNEL_##window##_LAST - KERNEL_##window##_BASE + 1, unit, bytes.name);
    KERNEL_PLACES(X)
#undef X
    printf(
        "\nThe image is moved early in the boot, if the boot archive has this kernel's "
        "`kernel.relocations` (`kernel/boot/kaslr_image.c`): it is 2 MiB at most, and is not put "
        "into the window's first 2 MiB, where the linker has it. A debugger has to know how far it "
        "went: `kaslr=show` tells, for gdb's `symbol-file build/x86_64/kernel/quarry.elf -o "
        "DISTANCE`. Names in the report of a panic are right as they are.\n");
}

int main(void)
{
    printf(
        "# The kernel's address space\n\n"
        "This page is made by `tools/layout_picture.c` from the table in "
        "`kernel/include/kernel/layout.h`; a test "
        "compares the two. Change the table, not this page. The same table makes the constants, "
        "and the kernel "
        "compares it with its live page tables at each boot (`kernel/boot/layout_check.c`).\n\n"
        "It is the same on x86-64 (4 levels) and RISC-V (Sv48), and at each boot, unless the boot "
        "option `kaslr=on` asks for [places at random](#places-at-random).\n\n");
    picture();
    printf("\n");
    table();
    printf("\nNo page is writable and executable. All pages above the user half are global and out "
           "of reach of programs. "
           "The direct map leaves out frame 0, so that a physical address of 0 that is followed by "
           "mistake faults; the "
           "frames of kernel text and constants are read-only in it.\n\n## Inside the windows\n\n");
    inside();
    printf("\n## Places at random\n\n");
    places();
    return 0;
}
