/*
 * Trace records as lines of the console. See kernel/trace.h.
 *
 *     trace: 123456 cause 0:42 cpu 0 thread 7 page_mapped space=0x3 address=0x400000 entry=0x87 ...
 */
#include <kernel/cpu.h>
#include <kernel/print.h>
#include <kernel/thread.h>
#include <kernel/trace.h>
#include <lib/string.h>
#include <platform/parse.h>

uint32_t trace_mask;

struct event {
    const char *name;
    const char *fields[4];
};

static const struct event events[QY_TRACE_COUNT] = {
#define F(field) #field,
#define T(NAME, bit, name, fields) [bit] = {#name, {fields}},
    QY_TRACE_EVENTS(T)
#undef T
#undef F
};

static bool contains(const char *text, const char *word, size_t bytes)
{
    for (; strlen(text) >= bytes; text++) {
        if (strncmp(text, word, bytes) == 0)
            return true;
    }
    return false;
}

/* The events that a word selects. */
static uint32_t select(const char *word, size_t bytes)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < QY_TRACE_COUNT; i++) {
        if ((bytes == 3 && strncmp(word, "all", 3) == 0) || contains(events[i].name, word, bytes))
            mask |= 1u << i;
    }
    return mask;
}

void trace_init(const char *command_line)
{
    char words[128];
    if (!qy_option(command_line, "trace", words, sizeof(words)))
        return;
    for (const char *word = words; *word;) {
        size_t bytes = 0;
        while (word[bytes] && word[bytes] != ',')
            bytes++;
        uint32_t mask = bytes ? select(word, bytes) : 0;
        if (bytes && !mask)
            print("trace: no event has \"%.*s\" in its name\n", (int)bytes, word);
        trace_mask |= mask;
        word += bytes + (word[bytes] == ',');
    }
}

void trace_write(enum qy_trace_event event, const uint64_t fields[4])
{
    const struct cpu *cpu = cpu_this();
    const struct qy_trace_head head = {.time = arch_clock(),
                                       .cause = cpu->cause,
                                       .thread = cpu->current ? cpu->current->object.id : 0,
                                       .cpu = cpu->index,
                                       .event = event};
    const struct event *described = &events[event];
    print(
        "trace: %llu cause %u:%llu cpu %u thread %llu %s %s=0x%llx %s=0x%llx %s=0x%llx %s=0x%llx\n",
        (unsigned long long)head.time, (unsigned)(head.cause >> 48),
        (unsigned long long)(head.cause & 0xffffffffffffull), head.cpu,
        (unsigned long long)head.thread, described->name, described->fields[0],
        (unsigned long long)fields[0], described->fields[1], (unsigned long long)fields[1],
        described->fields[2], (unsigned long long)fields[2], described->fields[3],
        (unsigned long long)fields[3]);
}
