/*
 * The end, told readably: a stop for what a user can mend, a panic for a broken promise of ours.
 *
 * Exit codes: 1 = stop, 2 = panic. The first CPU to get here reports; the others halt at their next
 * entry or wait.
 */
#include <arch/arch.h>
#include <kernel/boot.h>
#include <kernel/entry.h>
#include <kernel/guard.h>
#include <kernel/image.h>
#include <kernel/kaslr.h>
#include <kernel/panic.h>
#include <kernel/print.h>
#include <kernel/trace.h>
#include <lib/format.h>

static atomic_uint reporters; /* CPUs that have tried to report */
static atomic_bool cpus_are_set_up;

void panic_cpus_are_set_up(void)
{
    atomic_store(&cpus_are_set_up, true);
}

bool panic_in_progress(void)
{
    return atomic_load(&reporters) != 0;
}

_Noreturn void panic_halt(void)
{
    for (;;)
        arch_relax();
}

/* The right to report, once; whoever comes second waits for the end, and a panic inside a report
 * ends it. */
static void report_begin(void)
{
    static atomic_uint owner;
    unsigned me = atomic_load(&cpus_are_set_up) ? cpu_this()->index + 1 : 1;
    if (atomic_fetch_add(&reporters, 1) != 0) {
        if (atomic_load(&owner) == me)
            arch_power_off(2);
        panic_halt();
    }
    atomic_store(&owner, me);
    if (atomic_load(&cpus_are_set_up))
        for (unsigned i = 0; i < cpu_count; i++)
            if (cpu_at(i) != cpu_this() && atomic_load(&cpu_at(i)->online))
                arch_ipi(cpu_at(i));
    console_break_lock();
}

_Noreturn void kernel_stop(const char *format, ...)
{
    va_list arguments;
    report_begin();
    va_start(arguments, format);
    print("quarry: stop: ");
    print_v(format, arguments);
    print("\n");
    va_end(arguments);
    kernel_exit(1);
}

size_t address_describe(uint64_t address, char *text, size_t bytes)
{
    static const char *const stack_names[] = {"kernel stack", "fault stack"};
    uint64_t heap = address - kernel_base.heap;
    uint64_t slot = heap / KERNEL_STACK_SLOT_BYTES;
    if (slot < (uint64_t)KERNEL_CPUS_MAX * KERNEL_STACK_KINDS) {
        unsigned cpu = (unsigned)(slot / KERNEL_STACK_KINDS);
        bool guard = heap % KERNEL_STACK_SLOT_BYTES < KERNEL_STACK_SLOT_BYTES - KERNEL_STACK_BYTES;
        return format_to(text, bytes, guard ? "the guard pages below CPU %u's %s" : "CPU %u's %s",
                         cpu, stack_names[slot % KERNEL_STACK_KINDS]);
    }
    if (address - kernel_guard_base() < KERNEL_GUARD_BYTES)
        return format_to(text, bytes, "the window of guarded allocations");
    uint64_t cpu_areas = address - kernel_base.cpu_areas;
    if (cpu_areas < KERNEL_CPUS_MAX * KERNEL_CPU_AREA_BYTES)
        return format_to(text, bytes, "%sCPU %u's area",
                         cpu_areas % KERNEL_CPU_AREA_BYTES < KERNEL_CPU_AREA_BACKED_BYTES
                             ? ""
                             : "the guard pages after ",
                         (unsigned)(cpu_areas / KERNEL_CPU_AREA_BYTES));
    if (address < QY_PAGE_BYTES)
        return format_to(text, bytes, "page 0, which is never mapped");
    if (address >= (uint64_t)kernel_text_start && address < (uint64_t)kernel_text_end) {
        char name[64];
        symbol_describe(address, name, sizeof(name));
        return format_to(text, bytes, "kernel text, %s", name);
    }
    if (address >= (uint64_t)kernel_rodata_start && address < (uint64_t)kernel_rodata_end)
        return format_to(text, bytes, "kernel constants");
    if (address >= (uint64_t)kernel_data_start && address < (uint64_t)kernel_data_end)
        return format_to(text, bytes, "kernel data");
    if (kernel_window_of(address) == KERNEL_WINDOW_DIRECT_MAP)
        return format_to(text, bytes, "direct map of physical address %R", address - kernel_ram);
    if (!vaddr_is_canonical(address))
        return format_to(text, bytes, "not a canonical address");
    return format_to(text, bytes, "%s", kernel_window_what(kernel_window_of(address)));
}

#define BACKTRACE_LINES 32u
#define BACKTRACE_FRAMES 4096u

/*
 * Return addresses by the chain of frame pointers, as long as it climbs inside one stack. A
 * function that calls itself over and over takes one line, so that the one which began it is seen.
 */
static void backtrace(uint64_t frame_pointer)
{
    uint64_t return_address, last = 0;
    unsigned lines = 0, repeated = 0;
    char name[64];
    print("  called from\n");
    for (unsigned depth = 0; depth < BACKTRACE_FRAMES && lines < BACKTRACE_LINES; depth++) {
        uint64_t before = frame_pointer;
        if (before < KERNEL_DIRECT_MAP_BASE || before & 7 ||
            !arch_frame_walk(&frame_pointer, &return_address) ||
            return_address < (uint64_t)kernel_text_start ||
            return_address >= (uint64_t)kernel_text_end)
            break;
        if (return_address == last) {
            repeated++;
        } else {
            if (repeated)
                print("    ... %u times more\n", repeated);
            repeated = 0;
            symbol_describe(return_address - 1, name,
                            sizeof(name)); /* the call, not what follows */
            print("    %R  %s\n", return_address, name);
            lines++;
        }
        last = return_address;
        if (frame_pointer <= before || frame_pointer - before > KERNEL_STACK_BYTES)
            break;
    }
}

static void print_where(void)
{
    kaslr_print();
    if (!atomic_load(&cpus_are_set_up))
        return;
    struct cpu *cpu = cpu_this();
    print("  on CPU %u, kernel entry %llx, thread %s\n", cpu->index, (unsigned long long)cpu->cause,
          cpu->current ? "running" : "none");
}

_Noreturn void kernel_panic(const char *format, ...)
{
    va_list arguments;
    report_begin();
    va_start(arguments, format);
    print("\nquarry: panic: ");
    print_v(format, arguments);
    print("\n");
    va_end(arguments);
    guard_print_fault(0);
    print_where();
    backtrace((uint64_t)__builtin_frame_address(0));
    trace_print_last();
    kernel_exit(2);
}

_Noreturn void kernel_panic_trap(const char *name, uint64_t number, uint64_t address,
                                 const struct arch_frame *frame)
{
    char what[96], where[96];
    report_begin();
    address_describe(address, what, sizeof(what));
    address_describe(arch_frame_instruction(frame), where, sizeof(where));
    print("\nquarry: panic: %s (%llu) in the kernel\n", name, (unsigned long long)number);
    print("  address     %R  %s\n", address, what);
    print("  instruction %R  %s\n", arch_frame_instruction(frame), where);
    guard_print_fault(address);
    print_where();
    arch_frame_print(frame);
    backtrace(arch_frame_base(frame));
    trace_print_last();
    kernel_exit(2);
}

_Noreturn void qy_port_broken(const char *invariant, const char *what, uint64_t number)
{
    kernel_panic("invariant %s does not hold: %s (%llx)", invariant, what,
                 (unsigned long long)number);
}
