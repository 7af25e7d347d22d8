/*
 * The entry format of x86-64 as data.
 *
 * Entries that point at tables allow all that the pages below may have; the pages decide. Their
 * accessed bit is set from the start, so that the CPU does not write to them. Protection keys and the
 * PAT bit are in no entry of ours.
 */
#include "fmt_x86_64.h"
#include "pt_impl.h"

#define X86_PAGE                                                                                   \
    (X86_P | X86_RW | X86_US | X86_PWT | X86_PCD | X86_A | X86_D | X86_G | X86_SOFT_0 |            \
     X86_SOFT_1 | X86_NX)

#define X86_LEAF(f)                                                                                \
    (!QY_PT_SANE(f) ? 0                                                                            \
                    : X86_P | X86_A | (QY_PT_WRITE & (f) ? X86_RW | X86_D : 0) |                   \
                          (QY_PT_EXEC & (f) ? 0 : X86_NX) |                                        \
                          ((QY_PT_WRITE_THROUGH | QY_PT_UNCACHED) & (f) ? X86_PWT : 0) |           \
                          (QY_PT_UNCACHED & (f) ? X86_PCD : 0) | (QY_PT_USER & (f) ? X86_US : 0) | \
                          (QY_PT_GLOBAL & (f) ? X86_G : 0))

const struct qy_pt_format qy_pt_x86_64 = {
    .name = "x86-64, 4 levels",
    .valid = X86_P,
    .table_kernel = X86_P | X86_RW | X86_A,
    .table_user = X86_P | X86_RW | X86_US | X86_A,
    .table_allowed = X86_P | X86_RW | X86_US | X86_A | X86_FRAME,
    .address_mask = X86_FRAME,
    .address_shift = 12,
    .page = {0, X86_P, X86_PS, X86_PS, 0},
    .page_base = {0, 0, X86_PS, X86_PS, 0},
    .page_allowed = {0, X86_PAGE | X86_FRAME, X86_PAGE | X86_PS | X86_FRAME_2M,
                     X86_PAGE | X86_PS | X86_FRAME_1G, 0},
    .accessed_dirty = X86_A | X86_D,
    .mark_ones = QY_PT_MARK_ONES,
    .flags =
        {
            [QY_PT_BIT_READ] = {X86_P, X86_P},
            [QY_PT_BIT_WRITE] = {X86_RW, X86_RW},
            [QY_PT_BIT_EXEC] = {X86_NX, 0},
            [QY_PT_BIT_WRITE_THROUGH] = {X86_PWT | X86_PCD, X86_PWT},
            [QY_PT_BIT_UNCACHED] = {X86_PCD, X86_PCD},
            [QY_PT_BIT_USER] = {X86_US, X86_US},
            [QY_PT_BIT_GLOBAL] = {X86_G, X86_G},
            [QY_PT_BIT_ACCESSED] = {X86_A, X86_A},
            [QY_PT_BIT_DIRTY] = {X86_D, X86_D},
            [QY_PT_BIT_SOFT_0] = {X86_SOFT_0, X86_SOFT_0},
            [QY_PT_BIT_SOFT_1] = {X86_SOFT_1, X86_SOFT_1},
        },
    .leaf = {QY_PT_EACH_FLAGS(X86_LEAF)},
};
