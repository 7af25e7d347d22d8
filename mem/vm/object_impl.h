/*
 * What object.c and object_fault.c share. Private to mem/vm.
 */
#ifndef QY_OBJECT_IMPL_H
#define QY_OBJECT_IMPL_H

#include "vm_impl.h"

#include <qy/object.h>

#define QY_OBJECT_BASE (1ull << 39) /* page 0 of a space is never mapped; a root entry loses nothing */

/* Where a page lies in the object's tree. */
static inline vaddr_t qy_object_address(uint64_t page)
{
    return vaddr(QY_OBJECT_BASE + (page << QY_PAGE_SHIFT));
}

static inline uint64_t qy_object_end(const struct qy_object *object)
{
    return atomic_load_explicit(&object->pages, memory_order_acquire);
}

/* A frame that nobody has yet becomes the object's page at an empty entry of level 1, whose table is locked. */
void qy_object_own(struct qy_space *tree, struct qy_table *table, unsigned index, pfn_t frame);

#endif
