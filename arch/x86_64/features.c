/*
 * What this CPU offers, and turning on what protects the kernel.
 *
 * A CR4 bit is set only if CPUID lists its feature: an emulator may accept a bit that the CPU
 * denies, or loop on it. References: Intel SDM volume 2A, CPUID; volume 3A, section 2.5.
 */
#include "x86.h"

#include <arch/arch.h>
#include <lib/format.h>
#include <lib/string.h>

struct x86_features x86_features;

void x86_features_read(void)
{
    uint32_t basic = x86_cpuid(0, 0).a;
    uint32_t extended = x86_cpuid(0x80000000, 0).a;
    struct x86_cpuid one = x86_cpuid(1, 0);
    struct x86_cpuid seven = basic >= 7 ? x86_cpuid(7, 0) : (struct x86_cpuid){0, 0, 0, 0};
    struct x86_cpuid ext1 = x86_cpuid(0x80000001, 0);
    x86_features = (struct x86_features){
        .nx = ext1.d >> 20 & 1,
        .page_1g = ext1.d >> 26 & 1,
        .syscall = ext1.d >> 11 & 1,
        .mce = one.d >> 7 & 1,
        .pge = one.d >> 13 & 1,
        .x2apic = one.c >> 21 & 1,
        .pcid = one.c >> 17 & 1,
        .smep = seven.b >> 7 & 1,
        .smap = seven.b >> 20 & 1,
        .invpcid = seven.b >> 10 & 1,
        .umip = seven.c >> 2 & 1,
        .physical_bits = extended >= 0x80000008 ? x86_cpuid(0x80000008, 0).a & 0xff : 36,
    };
}

uint32_t x86_initial_apic_id(void)
{
    return x86_features.x2apic && x86_cpuid(0, 0).a >= 0xb ? x86_cpuid(0xb, 0).d
                                                           : x86_cpuid(1, 0).b >> 24;
}

uint64_t arch_physical_limit(void)
{
    unsigned bits = x86_features.physical_bits;
    return 1ull << (bits < 46 ? bits : 46);
}

unsigned arch_max_page_level(void)
{
    return x86_features.page_1g ? 3 : 2;
}

const char *arch_missing_feature(void)
{
    if (!x86_features.nx)
        return "no-execute pages (NX); turn XD/NX on in the firmware's set-up, or use another CPU "
               "model";
    if (!x86_features.syscall)
        return "the syscall instruction";
    return NULL;
}

/*
 * CR4 is written as a whole: what firmware left on (FSGSBASE, OSFXSR, PCIDE ...) would hold on the
 * boot CPU only. No thread has floating-point, MMX or vector registers (EM, TS, no OSFXSR): the
 * kernel saves none, so what one left in them another could read.
 */
void arch_protect(void)
{
    uint64_t cr4 = X86_CR4_PAE;
    x86_write_msr(X86_MSR_EFER, x86_read_msr(X86_MSR_EFER) | X86_EFER_NXE | X86_EFER_SCE);
    if (x86_features.mce)
        cr4 |= X86_CR4_MCE;
    if (x86_features.pge)
        cr4 |= X86_CR4_PGE;
    if (x86_features.smep)
        cr4 |= X86_CR4_SMEP;
    if (x86_features.smap)
        cr4 |= X86_CR4_SMAP;
    if (x86_features.umip)
        cr4 |= X86_CR4_UMIP;
    if (x86_has_tags())
        cr4 |= X86_CR4_PCIDE; /* the tag in CR3 is 0 */
    x86_write_cr4(cr4);
    x86_write_cr0((x86_read_cr0() & ~(uint64_t)X86_CR0_AM) | X86_CR0_WP | X86_CR0_EM | X86_CR0_TS);
}

void arch_protection_names(char *buffer, size_t bytes)
{
    const struct {
        const char *name;
        bool have;
    } list[] = {{"NX", x86_features.nx},     {"WP", true},
                {"SMEP", x86_features.smep}, {"SMAP", x86_features.smap},
                {"UMIP", x86_features.umip}, {"PGE", x86_features.pge},
                {"PCID", x86_has_tags()},    {"1 GiB pages", x86_features.page_1g}};
    char have[96] = "", lack[96] = "";
    size_t have_at = 0, lack_at = 0;
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        if (list[i].have)
            have_at +=
                format_to(have + have_at, sizeof(have) - have_at, "%s%s%s", have_at ? ", " : "",
                          list[i].name, strcmp(list[i].name, "PCID") == 0 ? " on" : "");
        else
            lack_at += format_to(lack + lack_at, sizeof(lack) - lack_at, "%s%s",
                                 lack_at ? ", " : "", list[i].name);
    }
    format_to(buffer, bytes, "%s%s%s", have, lack_at ? "; no " : "", lack);
}

/*
 * RDSEED, or RDRAND where it has nothing to give just now; ten tries are what the vendor advises (Intel SDM volume 1,
 * section 7.3.17).
 */
bool arch_random(uint64_t *out)
{
    bool seeds = x86_cpuid(0, 0).a >= 7 && x86_cpuid(7, 0).b >> 18 & 1, got = false;
    bool has = x86_cpuid(1, 0).c >> 30 & 1;
    for (unsigned i = 0; i < 10 && seeds && !got; i++)
        __asm__ volatile("rdseed %0" : "=r"(*out), "=@ccc"(got));
    for (unsigned i = 0; i < 10 && has && !got; i++)
        __asm__ volatile("rdrand %0" : "=r"(*out), "=@ccc"(got));
    return got;
}
