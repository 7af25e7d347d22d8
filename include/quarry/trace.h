/*
 * Trace records, written once.
 *
 * Every record begins with the same head. Its cause is the number of the kernel entry (call, fault,
 * interrupt) that made it happen: (CPU << 48) + a counter of that CPU, so chains can be followed.
 */
#ifndef QUARRY_TRACE_H
#define QUARRY_TRACE_H

#include <stdint.h>

/* F(field) are 64-bit; T(NAME, bit of the filter mask, name, F-list) */
#define QY_TRACE_EVENTS(T)                                                                         \
    T(BLOCK_ALLOCATED, 0, block_allocated, F(pfn) F(order) F(node) F(purpose))                     \
    T(BLOCK_FREED, 1, block_freed, F(pfn) F(order) F(node) F(purpose))                             \
    T(OBJECT_RETYPED, 2, object_retyped, F(object) F(type) F(bytes) F(untyped))                    \
    T(OBJECT_DELETED, 3, object_deleted, F(object) F(type) F(bytes) F(untyped))                    \
    T(PAGE_MAPPED, 4, page_mapped, F(space) F(address) F(entry) F(level))                          \
    T(PAGE_UNMAPPED, 5, page_unmapped, F(space) F(address) F(entry) F(level))                      \
    T(PAGE_PROTECTED, 6, page_protected, F(space) F(address) F(entry) F(level))                    \
    T(FAULT, 7, fault, F(address) F(access) F(instruction) F(resolution))                          \
    T(SHOOTDOWN, 8, shootdown, F(space) F(address) F(pages) F(cpus))                               \
    T(CALL, 9, call, F(number) F(handle) F(error) F(thread))                                       \
    T(ERROR, 10, error, F(number) F(error) F(wanted) F(found))                                     \
    T(PAGE_PROMOTED, 11, page_promoted, F(space) F(address) F(from_level) F(level))                \
    T(PAGE_DEMOTED, 12, page_demoted, F(space) F(address) F(from_level) F(level))

enum qy_trace_event {
#define F(field)
#define T(NAME, bit, name, fields) QY_TRACE_##NAME = (bit),
    QY_TRACE_EVENTS(T)
#undef T
#undef F
        QY_TRACE_COUNT
};

struct qy_trace_head {
    uint64_t time;   /* clock ticks */
    uint64_t cause;  /* kernel entry that caused it */
    uint64_t thread; /* object id, 0 = none */
    uint32_t cpu;
    uint32_t event; /* enum qy_trace_event */
};

#define F(field) uint64_t field;
#define T(NAME, bit, name, fields)                                                                 \
    struct qy_trace_##name {                                                                       \
        struct qy_trace_head head;                                                                 \
        fields                                                                                     \
    };
QY_TRACE_EVENTS(T)
#undef T
#undef F

#endif
