/*
 * Records into CTF: the streams of CPUs, written by the tracer that barectf generates from config.c's output.
 *
 *     words of quarry_trace.py -> head (records, clock, lost, CPUs) | records by CPU, each CPU's in order -> OUT/cpu_N
 *
 * usage: ctf WORDS OUT. Exit code 1: it cannot be read or written.
 */
#include "barectf.h"
#include <quarry/trace.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_BYTES 65536u

struct stream {
    struct barectf_cpu_ctx context;
    FILE *file;
    uint8_t packet[PACKET_BYTES];
    uint64_t time, cpu;
    bool failed;
};

/* The fields of each event, by name. */
#define F(field) uint64_t field;
#define T(NAME, bit, name, list)                                                                   \
    struct fields_of_##name {                                                                      \
        list                                                                                       \
    };
QY_TRACE_EVENTS(T)
#undef T
#undef F

static uint64_t clock_value(void *data)
{
    return ((struct stream *)data)->time;
}

static int is_full(void *data)
{
    (void)data;
    return 0;
}

static void packet_open(void *data)
{
    struct stream *stream = data;
    barectf_cpu_open_packet(&stream->context, stream->cpu);
}

static void packet_close(void *data)
{
    struct stream *stream = data;
    barectf_cpu_close_packet(&stream->context);
    stream->failed |= fwrite(stream->packet, 1, PACKET_BYTES, stream->file) != PACKET_BYTES;
}

static void event_write(struct stream *stream, const struct qy_trace_record *r)
{
    stream->time = r->time;
    switch ((enum qy_trace_event)r->event) {
#define F(field) , event.field
#define T(NAME, bit, name, list)                                                                   \
    case QY_TRACE_##NAME: {                                                                        \
        struct fields_of_##name event;                                                             \
        memcpy(&event, r->fields, sizeof(event));                                                  \
        barectf_cpu_trace_##name(&stream->context, r->number, r->cause, r->thread, r->process,     \
                                 r->untyped list);                                                 \
        break;                                                                                     \
    }
        QY_TRACE_EVENTS(T)
#undef T
#undef F
    case QY_TRACE_COUNT:
        break;
    }
}

static bool stream_write(const char *folder, const struct qy_trace_record *records, size_t count,
                         uint64_t lost)
{
    static struct stream stream;
    char path[4096];
    const struct barectf_platform_callbacks callbacks = {.ticks_clock_get_value = clock_value,
                                                         .is_backend_full = is_full,
                                                         .open_packet = packet_open,
                                                         .close_packet = packet_close};
    memset(&stream, 0, sizeof(stream));
    stream.cpu = records->cpu;
    stream.time = records->time;
    snprintf(path, sizeof(path), "%s/cpu_%llu", folder, (unsigned long long)stream.cpu);
    stream.file = fopen(path, "wb");
    if (!stream.file)
        return false;
    barectf_init(&stream.context, stream.packet, PACKET_BYTES, callbacks, &stream);
    packet_open(&stream);
    if (lost)
        barectf_cpu_trace_events_lost(&stream.context, 0, 0, 0, 0, 0, lost);
    for (size_t i = 0; i < count; i++)
        event_write(&stream, &records[i]);
    if (barectf_packet_is_open(&stream.context) && !barectf_packet_is_empty(&stream.context))
        packet_close(&stream);
    return fclose(stream.file) == 0 && !stream.failed;
}

int main(int count, char **words)
{
    uint64_t head[4];
    FILE *file = count == 3 ? fopen(words[1], "rb") : NULL;
    if (!file || fread(head, sizeof(head), 1, file) != 1)
        return 1;
    struct qy_trace_record *records = calloc(head[0] + 1, sizeof(*records));
    if (!records || fread(records, sizeof(*records), head[0], file) != head[0])
        return 1;
    for (size_t at = 0, end; at < head[0]; at = end) {
        for (end = at; end < head[0] && records[end].cpu == records[at].cpu;)
            end++;
        if (!stream_write(words[2], &records[at], end - at, at ? 0 : head[2]))
            return 1;
    }
    free(records);
    return fclose(file) != 0;
}
