/*
 * Marks as words, and back. See vm_impl.h for the layout.
 */
#include "vm_impl.h"

uint64_t qy_mark_pack(const struct qy_mark *mark)
{
    return (uint64_t)mark->kind << QY_MARK_KIND_SHIFT |
           (uint64_t)mark->rights << QY_MARK_RIGHTS_SHIFT |
           (uint64_t)mark->max << QY_MARK_MAX_SHIFT |
           (uint64_t)mark->region << QY_MARK_REGION_SHIFT | (mark->shared ? QY_MARK_SHARED : 0) |
           (uint64_t)mark->binding << QY_MARK_BINDING_SHIFT | mark->offset;
}

struct qy_mark qy_mark_unpack(uint64_t mark)
{
    return (struct qy_mark){
        .kind = qy_mark_kind(mark),
        .region = (enum qy_region_kind)(mark >> QY_MARK_REGION_SHIFT & 7),
        .rights = qy_mark_rights(mark),
        .max = (unsigned)(mark >> QY_MARK_MAX_SHIFT) & 7,
        .shared = mark & QY_MARK_SHARED,
        .binding = (unsigned)((mark & QY_MARK_BINDING_MASK) >> QY_MARK_BINDING_SHIFT),
        .offset = mark & QY_MARK_OFFSET_MASK,
    };
}
