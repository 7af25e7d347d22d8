/*
 * The boot option translations: print every translation of the root task's space as the kernel sees it, kernel half
 * included, when the CPU is about to run it (translations=last: when the machine is to be switched off), and wait.
 * Beside it stands what the emulator's monitor sees (tests/boot/seen.sh).
 *
 *     translation ADDRESS PHYSICAL BYTES rwxugad TYPE        numbers in hexadecimal; one line a page
 */
#include <arch/arch.h>
#include <kernel/boot.h>
#include <kernel/cpu.h>
#include <kernel/print.h>
#include <kernel/space.h>
#include <kernel/thread.h>
#include <lib/string.h>
#include <platform/parse.h>
#include <qy/port.h>

static bool print_page(void *context, vaddr_t address, uint64_t entry, unsigned level)
{
    const struct qy_pt_format *format = context;
    unsigned flags = qy_pt_decode(format, entry);
    print("translation %016llx %016llx %llx %c%c%c%c%c%c%c %s\n", (unsigned long long)address.raw,
          (unsigned long long)qy_pt_entry_address(format, entry).raw,
          (unsigned long long)qy_pt_page_bytes(level), flags & QY_PT_READ ? 'r' : '-',
          flags & QY_PT_WRITE ? 'w' : '-', flags & QY_PT_EXEC ? 'x' : '-',
          flags & QY_PT_USER ? 'u' : '-', flags & QY_PT_GLOBAL ? 'g' : '-',
          flags & QY_PT_ACCESSED ? 'a' : '-', flags & QY_PT_DIRTY ? 'd' : '-',
          flags & QY_PT_UNCACHED        ? "uncached"
          : flags & QY_PT_WRITE_THROUGH ? "write-through"
                                        : "write-back");
    return true;
}

static bool last; /* not now but when the machine is to be switched off */

static void print_all(const struct cpu *cpu)
{
    struct qy_pt pt = {kernel_vm.format, cpu->current->run_space->vm.root};
    qy_pt_each(&pt, print_page, (void *)(uintptr_t)pt.format);
    print("translations: end\n");
    for (;;)
        qy_port_relax();
}

void kernel_translations_on_request(const char *command_line, const struct cpu *cpu)
{
    char value[8];
    if (!qy_option(command_line, "translations", value, sizeof(value)))
        return;
    last = strcmp(value, "last") == 0;
    if (!last)
        print_all(cpu);
}

void kernel_translations_at_last(const struct cpu *cpu)
{
    if (last)
        print_all(cpu);
}
