/*
 * What is there when nobody records events: see qy/trace.h. All are weak, and an embedder's take their place.
 */
#include <qy/trace.h>

__attribute__((weak)) _Atomic uint64_t qy_trace_mask;

__attribute__((weak)) void qy_trace_write(enum qy_trace_event event, uint64_t untyped,
                                          const uint64_t fields[QY_TRACE_FIELDS])
{
    (void)event, (void)untyped, (void)fields;
}

__attribute__((weak)) void qy_trace_entry(const _Atomic uint64_t *slot, uint64_t before,
                                          uint64_t entry)
{
    (void)slot, (void)before, (void)entry;
}
