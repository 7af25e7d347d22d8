/*
 * What the files of kernel/guard share.
 */
#ifndef KERNEL_GUARD_IMPL_H
#define KERNEL_GUARD_IMPL_H

#include <kernel/guard.h>

/* The panic that comes is about this object, whatever it says of addresses. */
void guard_report_keep(const struct qy_guard_report *report);

/* Of struct qy_guard_ops: what is known of the object's origin is counted off. */
void guard_freeing(void *context, const void *cache, void *object);

#endif
