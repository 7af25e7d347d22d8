/*
 * The quarantine's side towards the debug hooks. Private to mem/slab.
 */
#ifndef QY_DEBUG_IMPL_H
#define QY_DEBUG_IMPL_H

#include <qy/debug.h>

/* A freed object is about to be somebody's: report it if its poison is not whole. */
void qy_debug_poisoned(struct qy_cache *cache, void *object);

/* Keep a HELD object, and let the oldest go that it takes the place of. False: it is too large. */
bool qy_quarantine_keep(struct qy_quarantine *quarantine, struct qy_cpu_objects *cpu,
                        struct qy_cache *cache, void *object) QY_REQUIRES(qy_irq_off);

/* All objects of the heap become free. */
void qy_quarantine_drain(struct qy_quarantine *quarantine, struct qy_cpu_objects *cpu,
                         const struct qy_heap *heap) QY_REQUIRES(qy_irq_off);

bool qy_quarantine_holds(struct qy_quarantine *quarantine, const void *object);

/* Call with each object of the heap, with the FIFO's lock held, until one returns false. */
bool qy_quarantine_each(struct qy_quarantine *quarantine, const struct qy_heap *heap,
                        bool (*visit)(void *context, struct qy_cache *cache, void *object),
                        void *context);

#endif
