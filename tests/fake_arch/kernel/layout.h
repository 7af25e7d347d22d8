/*
 * The kernel's layout, but CPUs' areas are where the test says.
 */
#ifndef FAKE_LAYOUT_H
#define FAKE_LAYOUT_H

#include_next <kernel/layout.h>

uint64_t fake_cpu_area(unsigned cpu);
#define kernel_cpu_area fake_cpu_area

#endif
