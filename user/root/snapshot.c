/*
 * All records of the machine as JSON on the console. See snapshot.h.
 */
#include "snapshot.h"
#include "records.h"
#include <lib/format.h>
#include <lib/string.h>
#include <quarry/uses.h>

#define TEXT_BYTES 1024u /* what one call writes */

/* What is being written: whole lines, sent together. */
struct writer {
    struct root *root;
    size_t used, line; /* bytes; where the line under way begins */
    uint64_t rows;
    bool well;
    char text[TEXT_BYTES];
};

/* ---- text ---- */

static void send(struct writer *writer, size_t bytes)
{
    if (bytes && console_write(QY_SLOT_CONSOLE, writer->text, bytes) != QY_OK)
        writer->well = false;
    memmove(writer->text, writer->text + bytes, writer->used - bytes);
    writer->used -= bytes;
    writer->line -= bytes;
}

static void add(struct writer *writer, const char *format, ...)
{
    va_list arguments, again;

    va_start(arguments, format);
    va_copy(again, arguments);
    size_t room = sizeof(writer->text) - writer->used;
    size_t length = format_to_v(writer->text + writer->used, room, format, arguments);
    if (length >= room) {
        send(writer, writer->line); /* the lines before */
        room = sizeof(writer->text) - writer->used;
        length = format_to_v(writer->text + writer->used, room, format, again);
    }
    if (length < room)
        writer->used += length;
    else
        writer->well = false; /* a line that no call can write */
    va_end(again);
    va_end(arguments);
}

static void begin_line(struct writer *writer)
{
    writer->line = writer->used;
    add(writer, "\x1e");
}

static void end_line(struct writer *writer)
{
    add(writer, "\n");
    writer->line = writer->used;
}

/* A string; what JSON gives a meaning is replaced. */
static void add_string(struct writer *writer, const char *text)
{
    add(writer, "\"");
    for (; *text; text++) {
        bool plain = *text >= ' ' && *text < 127 && *text != '"' && *text != '\\';
        add(writer, plain ? "%c" : "\\u%04x", plain ? *text : (unsigned char)*text);
    }
    add(writer, "\"");
}

/* ---- lines ---- */

static void write_name(struct writer *writer, const char *of, uint64_t number, const char *name)
{
    begin_line(writer);
    add(writer, "{\"names\":\"%s\",\"number\":%llu,\"name\":", of, (unsigned long long)number);
    add_string(writer, name);
    add(writer, "}");
    end_line(writer);
}

/* What numbers in records mean. */
static void write_names(struct writer *writer)
{
    uint64_t i = 0;
#define X(NAME, name) write_name(writer, "states", i++, name);
    QY_FRAME_STATES(X)
#undef X
    i = 0;
#define X(NAME, name, owner) write_name(writer, "uses", i++, name);
    QY_MEM_USES(X)
#undef X
#define X(NAME, value, name, retype) write_name(writer, "objects", value, name);
    QY_OBJECTS(X)
#undef X
#define X(number, name, type, rights, arguments, results)                                          \
    write_name(writer, "calls", number, #name);
    QY_INVOCATIONS(X)
#undef X
}

/* A row of numbers, the first for regions the space's; it stays open. */
static void write_row(struct writer *writer, const uint64_t *values, unsigned count)
{
    begin_line(writer);
    add(writer, "[");
    for (unsigned i = 0; i < count; i++)
        add(writer, i ? ",%llu" : "%llu", (unsigned long long)values[i]);
    writer->rows++;
}

static void close_row(struct writer *writer)
{
    add(writer, "]");
    end_line(writer);
}

/* The head of a table; where a chain goes on is left out, a region names its space there. */
static unsigned write_head(struct writer *writer, enum qy_record_kind which)
{
    struct record_kind kind = record_kind(which);
    unsigned first = kind.order == RECORD_CHAINED;

    begin_line(writer);
    add(writer, "{\"record\":\"%s\",\"fields\":[", kind.name);
    for (unsigned i = first; i < kind.count; i++)
        add(writer, i > first ? ",\"%s\"" : "\"%s\"",
            kind.order == RECORD_OF_SPACES && i == 0 ? "space" : kind.fields[i]);
    if (which == QY_RECORD_KIND_SITE)
        add(writer, ",\"file\",\"function\",\"what\"");
    add(writer, "]}");
    end_line(writer);
    return first;
}

static void write_site_texts(struct writer *writer, uint64_t site)
{
    for (uint64_t part = 0; part < 3; part++) {
        char said[QY_SITE_TEXT_BYTES + 1] = {0};
        if (system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_SITE_TEXT, 3 * site + part, said,
                          QY_SITE_TEXT_BYTES) != QY_OK)
            writer->well = false;
        add(writer, ",");
        add_string(writer, said);
    }
}

static void write_records(struct writer *writer, enum qy_record_kind which)
{
    struct record_kind kind = record_kind(which);
    struct record_walk walk = {.kind = which};
    union record record;
    unsigned first = write_head(writer, which);

    for (uint64_t i = 0; record_next(&walk, &record, NULL); i++) {
        write_row(writer, record.values + first, kind.count - first);
        if (which == QY_RECORD_KIND_SITE)
            write_site_texts(writer, i);
        close_row(writer);
    }
}

static void write_regions(struct writer *writer)
{
    struct record_kind kind = record_kind(QY_RECORD_KIND_REGION);
    struct record_walk spaces = {.kind = QY_RECORD_KIND_SPACE};
    union record space, region;

    write_head(writer, QY_RECORD_KIND_REGION);
    while (record_next(&spaces, &space, NULL)) {
        struct record_walk walk = {.kind = QY_RECORD_KIND_REGION, .space = space.space.space};
        while (record_next(&walk, &region, NULL)) {
            region.values[0] = space.space.space;
            write_row(writer, region.values, kind.count);
            close_row(writer);
        }
    }
}

/* ---- who is who ---- */

static uint64_t number_of(qy_handle_t handle)
{
    struct cap_state cap;

    return cap_info(QY_SLOT_NODE, handle & UINT32_MAX, &cap) == QY_OK ? cap.object : 0;
}

static void write_process(struct writer *writer, const char *name, uint64_t job, qy_handle_t space,
                          qy_handle_t budget, const struct services *services)
{
    struct services_away away = {0};

    if (services)
        away = services_away(services, (unsigned)job);
    const uint64_t row[] = {job, number_of(space), number_of(budget), away.compressed,
                            away.on_disk};
    write_row(writer, row, sizeof(row) / sizeof(row[0]));
    add(writer, ",");
    add_string(writer, name);
    close_row(writer);
}

/* What the kernel does not know: names, and where the swapper keeps what is swapped. */
static void write_processes(struct writer *writer, const struct jobs *jobs)
{
    begin_line(writer);
    add(writer, "{\"record\":\"process\",\"fields\":[\"job\",\"space\",\"budget\","
                "\"compressed\",\"on_disk\",\"name\"]}");
    end_line(writer);
    write_process(writer, "root", 0, QY_SLOT_SPACE, writer->root->untyped, NULL);
    for (unsigned i = 1; jobs && i <= JOBS_MAX; i++) {
        const struct job *job = jobs_find(jobs, i);
        if (job)
            write_process(writer, job->name, i, job->process.space, job->process.budget,
                          jobs->services);
    }
}

/* Since the machine has a timer: nanoseconds; 0 before. */
static uint64_t now_ns(const struct root *root)
{
    struct timer_state timer;

    return root->timer && timer_info(root->timer, &timer) == QY_OK ? timer.now_ns : 0;
}

void snapshot_write(struct root *root, const struct jobs *jobs, const char *label)
{
    static struct writer writer;
    static uint64_t number;

    print_flush();
    writer = (struct writer){.root = root, .well = true};
    begin_line(&writer);
    add(&writer,
        "{\"snapshot\":%llu,\"version\":1,\"interface\":%u,\"now_ns\":%llu,\"clock\":%llu,",
        (unsigned long long)++number, QY_ABI_VERSION, (unsigned long long)now_ns(root),
        (unsigned long long)clock_ticks());
    add(&writer, "\"clock_hz\":%llu,\"label\":", (unsigned long long)root->info->clock_hz);
    add_string(&writer, label);
    add(&writer, ",\"machine\":");
    add_string(&writer, root->info->machine);
    add(&writer, "}");
    end_line(&writer);
    if (number == 1)
        write_names(&writer);
    write_processes(&writer, jobs);
    for (unsigned kind = 0; kind < QY_RECORD_KIND_COUNT; kind++) {
        if (kind == QY_RECORD_KIND_REGION)
            write_regions(&writer);
        else if (kind != QY_RECORD_KIND_SITE_TEXT)
            write_records(&writer, (enum qy_record_kind)kind);
    }
    begin_line(&writer);
    add(&writer, "{\"end\":%llu,\"rows\":%llu}", (unsigned long long)number,
        (unsigned long long)writer.rows);
    end_line(&writer);
    send(&writer, writer.used);
    root_check(root, writer.well, "a snapshot could not be written");
}
