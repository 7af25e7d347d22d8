/*
 * The entry format of RISC-V Sv48 as data, without and with Svpbmt.
 *
 * Sv48 has pages of 512 GiB too (a leaf in the root); Quarry makes none, so such an entry is taken
 * for a page when tables are walked and refused by the validator.
 */
#include "fmt_sv48.h"
#include "pt_impl.h"

#define SV48_RIGHTS (SV48_R | SV48_W | SV48_X)
#define SV48_PAGE                                                                                  \
    (SV48_V | SV48_RIGHTS | SV48_U | SV48_G | SV48_A | SV48_D | SV48_SOFT_0 | SV48_SOFT_1)

/* Without memory types. */
#define SV48_LEAF(f)                                                                               \
    (!QY_PT_SANE(f) || (QY_PT_WRITE_THROUGH | QY_PT_UNCACHED) & (f)                                \
         ? 0                                                                                       \
         : SV48_V | SV48_R | SV48_A | (QY_PT_WRITE & (f) ? SV48_W | SV48_D : 0) |                  \
               (QY_PT_EXEC & (f) ? SV48_X : 0) | (QY_PT_USER & (f) ? SV48_U : 0) |                 \
               (QY_PT_GLOBAL & (f) ? SV48_G : 0))

#define SV48_PBMT_LEAF(f)                                                                          \
    (QY_PT_UNCACHED & (f) && SV48_LEAF(~QY_PT_UNCACHED & (f))                                      \
         ? SV48_LEAF(~QY_PT_UNCACHED & (f)) | SV48_PBMT_IO                                         \
         : SV48_LEAF(f))

/* The variants differ in UNCACHED alone. A flag whose mask is 0 and whose value is 1 is never on.
 */
#define SV48_FORMAT(NAME, TYPES, UNCACHED_MASK, UNCACHED_VALUE, LEAF)                              \
    {                                                                                              \
        .name = (NAME), .valid = SV48_V, .table_kernel = SV48_V, .table_user = SV48_V,             \
        .table_allowed = SV48_V | SV48_FRAME, .address_mask = SV48_FRAME, .address_shift = 10,     \
        .page = {0, SV48_RIGHTS, SV48_RIGHTS, SV48_RIGHTS, SV48_RIGHTS},                           \
        .page_base = {0, 0, 0, 0, 0},                                                              \
        .page_allowed = {0, SV48_PAGE | (TYPES) | SV48_FRAME, SV48_PAGE | (TYPES) | SV48_FRAME_2M, \
                         SV48_PAGE | (TYPES) | SV48_FRAME_1G, 0},                                  \
        .accessed_dirty = SV48_A | SV48_D, .mark_ones = QY_PT_MARK_ONES,                           \
        .flags =                                                                                   \
            {                                                                                      \
                [QY_PT_BIT_READ] = {SV48_R, SV48_R},                                               \
                [QY_PT_BIT_WRITE] = {SV48_W, SV48_W},                                              \
                [QY_PT_BIT_EXEC] = {SV48_X, SV48_X},                                               \
                [QY_PT_BIT_WRITE_THROUGH] = {0, 1},                                                \
                [QY_PT_BIT_UNCACHED] = {(UNCACHED_MASK), (UNCACHED_VALUE)},                        \
                [QY_PT_BIT_USER] = {SV48_U, SV48_U},                                               \
                [QY_PT_BIT_GLOBAL] = {SV48_G, SV48_G},                                             \
                [QY_PT_BIT_ACCESSED] = {SV48_A, SV48_A},                                           \
                [QY_PT_BIT_DIRTY] = {SV48_D, SV48_D},                                              \
                [QY_PT_BIT_SOFT_0] = {SV48_SOFT_0, SV48_SOFT_0},                                   \
                [QY_PT_BIT_SOFT_1] = {SV48_SOFT_1, SV48_SOFT_1},                                   \
            },                                                                                     \
        .leaf = {QY_PT_EACH_FLAGS(LEAF)},                                                          \
    }

const struct qy_pt_format qy_pt_sv48 = SV48_FORMAT("Sv48", 0, 0, 1, SV48_LEAF);

const struct qy_pt_format qy_pt_sv48_pbmt =
    SV48_FORMAT("Sv48 with Svpbmt", SV48_PBMT_IO, SV48_PBMT, SV48_PBMT_IO, SV48_PBMT_LEAF);
