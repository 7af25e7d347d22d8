/*
 * Calls to the firmware in machine mode (RISC-V Supervisor Binary Interface 1.0).
 *
 * Used: console (the debug console extension, or the legacy calls where it is missing), timer, IPI,
 * hart start, system reset. Remote fences are not: the kernel's own shootdown protocol knows when
 * every CPU has answered.
 */
#include "riscv.h"

#include <arch/arch.h>
#include <lib/format.h>
#include <lib/string.h>

#define SBI_LEGACY_SET_TIMER 0
#define SBI_LEGACY_PUTCHAR 1
#define SBI_LEGACY_GETCHAR 2
#define SBI_LEGACY_SHUTDOWN 8
#define SBI_BASE 0x10
#define SBI_BASE_IMPLEMENTATION 1
#define SBI_BASE_VERSION 2
#define SBI_BASE_PROBE 3
#define SBI_TIME 0x54494d45
#define SBI_IPI 0x735049
#define SBI_HSM 0x48534d
#define SBI_RESET 0x53525354
#define SBI_CONSOLE 0x4442434e
#define SBI_CONSOLE_READ 1
#define SBI_CONSOLE_WRITE_BYTE 2

struct sbi_result {
    int64_t error;
    uint64_t value;
};

extern char kernel_text_start[];
static bool has_console, has_timer, has_hsm, has_reset;

static struct sbi_result sbi_call(uint64_t extension, uint64_t function, uint64_t x0, uint64_t x1,
                                  uint64_t x2)
{
    register uint64_t a0 __asm__("a0") = x0;
    register uint64_t a1 __asm__("a1") = x1;
    register uint64_t a2 __asm__("a2") = x2;
    register uint64_t a6 __asm__("a6") = function;
    register uint64_t a7 __asm__("a7") = extension;
    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
    return (struct sbi_result){(int64_t)a0, a1};
}

static bool has_extension(uint64_t extension)
{
    struct sbi_result result = sbi_call(SBI_BASE, SBI_BASE_PROBE, extension, 0, 0);
    return result.error == 0 && result.value != 0;
}

void riscv_sbi_init(void)
{
    has_console = has_extension(SBI_CONSOLE);
    has_timer = has_extension(SBI_TIME);
    has_hsm = has_extension(SBI_HSM);
    has_reset = has_extension(SBI_RESET);
}

void riscv_sbi_name(char *buffer, size_t bytes)
{
    uint64_t id = sbi_call(SBI_BASE, SBI_BASE_IMPLEMENTATION, 0, 0, 0).value;
    uint64_t version = sbi_call(SBI_BASE, SBI_BASE_VERSION, 0, 0, 0).value;
    if (id == 1)
        format_to(buffer, bytes, "OpenSBI %u.%u", (unsigned)(version >> 16 & 0xffff),
                  (unsigned)(version & 0xffff));
    else
        format_to(buffer, bytes, "SBI implementation %u", (unsigned)id);
}

void riscv_sbi_put(char c)
{
    if (has_console)
        sbi_call(SBI_CONSOLE, SBI_CONSOLE_WRITE_BYTE, (uint8_t)c, 0, 0);
    else
        sbi_call(SBI_LEGACY_PUTCHAR, 0, (uint8_t)c, 0, 0);
}

/* The debug console wants a physical address: a byte of the image, whose place in memory is known.
 */
static int read_debug_console(void)
{
    static uint8_t byte;
    uint64_t at = (uint64_t)&byte - (uint64_t)kernel_text_start + arch_image_base.raw;
    struct sbi_result result = sbi_call(SBI_CONSOLE, SBI_CONSOLE_READ, 1, at, 0);
    return result.error == 0 && result.value == 1 ? *(volatile uint8_t *)&byte : -1;
}

int riscv_sbi_get(void)
{
    if (has_console)
        return read_debug_console();
    return (int)sbi_call(SBI_LEGACY_GETCHAR, 0, 0, 0, 0).error;
}

void riscv_sbi_set_timer(uint64_t deadline)
{
    if (has_timer)
        sbi_call(SBI_TIME, 0, deadline, 0, 0);
    else
        sbi_call(SBI_LEGACY_SET_TIMER, 0, deadline, 0, 0);
}

void riscv_sbi_send_ipi(uint64_t hart)
{
    sbi_call(SBI_IPI, 0, 1, hart, 0); /* mask of one hart, from that number on */
}

bool riscv_sbi_hart_start(uint64_t hart, uint64_t entry, uint64_t argument)
{
    return has_hsm && sbi_call(SBI_HSM, 0, hart, entry, argument).error == 0;
}

void riscv_sbi_shutdown(bool failure)
{
    if (has_reset)
        sbi_call(SBI_RESET, 0, 0, failure, 0);
    sbi_call(SBI_LEGACY_SHUTDOWN, 0, 0, 0, 0);
}
