/*
 * Each behaviour over both entry formats: a machine made, a space opened, everything checked at the end.
 */
#ifndef TESTS_VM_EACH_FORMAT_H
#define TESTS_VM_EACH_FORMAT_H

#include "fixture.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)
#define AT 0x40000000ull

static struct vm_fixture f;

static void each(void (*body)(void), uint64_t pages)
{
    for (unsigned i = 0; i < sizeof(vm_formats) / sizeof(vm_formats[0]); i++) {
        vm_make(&f, &vm_formats[i], pages);
        vm_open(&f, 0);
        body();
        vm_check(&f);
        vm_done(&f);
    }
}

#endif
