/*
 * Bits of a page-table entry of RISC-V Sv48 (Privileged Architecture 1.12, sections 4.3.1 and 4.5.1; Svpbmt).
 *
 *     63  62..61  60..54    53 ........ 10   9..8  7  6  5  4  3  2  1  0
 *     N   PBMT    reserved  frame number     RSW   D  A  G  U  X  W  R  V
 *
 * A valid entry with R, W and X clear points at a table; D, A and U are reserved in it.
 */
#ifndef QY_FMT_SV48_H
#define QY_FMT_SV48_H

#define SV48_V (1ull << 0)
#define SV48_R (1ull << 1)
#define SV48_W (1ull << 2)
#define SV48_X (1ull << 3)
#define SV48_U (1ull << 4)
#define SV48_G (1ull << 5)
#define SV48_A (1ull << 6)
#define SV48_D (1ull << 7)
#define SV48_SOFT_0 (1ull << 8)
#define SV48_SOFT_1 (1ull << 9)
#define SV48_PBMT (3ull << 61)
#define SV48_PBMT_IO (2ull << 61)
#define SV48_FRAME 0x003ffffffffffc00ull
#define SV48_FRAME_2M 0x003ffffffff80000ull
#define SV48_FRAME_1G 0x003ffffff0000000ull

#endif
