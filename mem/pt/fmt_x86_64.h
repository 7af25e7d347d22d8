/*
 * Bits of a page-table entry on x86-64 with 4 levels (Intel SDM volume 3A, tables 4-15 to 4-20).
 *
 *     63  62..59 58..52   51 ........ 12   11..9  8   7    6   5   4    3    2    1    0
 *     NX  key    ignored  frame number     ign.   G   PS   D   A   PCD  PWT  US   RW   P
 *                                                     PAT in a level-1 entry; bit 12 in a large one
 */
#ifndef QY_FMT_X86_64_H
#define QY_FMT_X86_64_H

#define X86_P (1ull << 0)
#define X86_RW (1ull << 1)
#define X86_US (1ull << 2)
#define X86_PWT (1ull << 3)
#define X86_PCD (1ull << 4)
#define X86_A (1ull << 5)
#define X86_D (1ull << 6)
#define X86_PS (1ull << 7)
#define X86_G (1ull << 8)
#define X86_SOFT_0 (1ull << 9)
#define X86_SOFT_1 (1ull << 10)
#define X86_NX (1ull << 63)
#define X86_FRAME 0x000ffffffffff000ull
#define X86_FRAME_2M 0x000fffffffe00000ull
#define X86_FRAME_1G 0x000fffffc0000000ull

#endif
