/*
 * Trace: a record of what happened, why, where and for whom, from the table in quarry/trace.h.
 *
 * trace_NAME(...) costs one test of a mask when its event is not traced. The mask comes from the
 * boot option trace=WORD,WORD...: a word selects every event whose name contains it; "all" selects
 * all. Each record becomes one line of the console.
 */
#ifndef KERNEL_TRACE_H
#define KERNEL_TRACE_H

#include <qy/config.h>
#include <quarry/trace.h>
#include <stdint.h>

#if QY_CONFIG_TRACE
extern uint32_t trace_mask; /* bit = enum qy_trace_event; set at boot */

void trace_init(const char *command_line);

/* Write a record with these four fields. */
void trace_write(enum qy_trace_event event, const uint64_t fields[4]);
#else
enum { trace_mask = 0 };

static inline void trace_init(const char *command_line)
{
    (void)command_line;
}

static inline void trace_write(enum qy_trace_event event, const uint64_t fields[4])
{
    (void)event, (void)fields;
}
#endif

#define T(NAME, bit, name, fields)                                                                 \
    static inline void trace_##name(uint64_t first, uint64_t second, uint64_t third,               \
                                    uint64_t fourth)                                               \
    {                                                                                              \
        if (__builtin_expect(trace_mask >> QY_TRACE_##NAME & 1, 0))                                \
            trace_write(QY_TRACE_##NAME, (const uint64_t[4]){first, second, third, fourth});       \
    }
QY_TRACE_EVENTS(T)
#undef T

#define T(NAME, bit, name, fields)                                                                 \
    _Static_assert(sizeof(struct qy_trace_##name) == sizeof(struct qy_trace_head) + 4 * 8,         \
                   "an event has four fields");
QY_TRACE_EVENTS(T)
#undef T

#endif
