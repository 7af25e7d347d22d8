/*
 * Simulated RAM for page tables, and the formats with the machines of the manuals that they are
 * for.
 */
#ifndef TESTS_PT_FIXTURE_H
#define TESTS_PT_FIXTURE_H

#include <hosted/hosted.h>
#include <manual_walk.h>
#include <qy/pt.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

struct pt_format_case {
    const struct qy_pt_format *format;
    enum manual_machine machine;
    bool write_through, uncached; /* which memory types it has */
};

static const struct pt_format_case pt_formats[] = {
    {&qy_pt_x86_64, MANUAL_X86, true, true},
    {&qy_pt_sv48, MANUAL_SV48, false, false},
    {&qy_pt_sv48_pbmt, MANUAL_SV48_PBMT, false, true},
};
#define PT_FORMATS (sizeof(pt_formats) / sizeof(pt_formats[0]))

#define FIXTURE_RAM 0x100000ull
#define FIXTURE_FREE 4096u
#define FIXTURE_RAM_END 0x2000000ull

struct fixture {
    struct hosted_machine machine;
    const struct pt_format_case *kind;
    struct qy_pt pt;
    uint64_t next;        /* RAM not handed out yet */
    unsigned tables;      /* handed out for tables */
    unsigned tables_left; /* fixture_alloc gives that many more */
    uint64_t free[FIXTURE_FREE]; /* tables that were given back */
    unsigned free_count;
    struct qy_pt_tables tables_from;
};

static inline paddr_t fixture_frame(struct fixture *f)
{
    paddr_t frame = paddr(f->next);
    if (f->next >= FIXTURE_RAM_END)
        abort();
    f->next += QY_PAGE_BYTES;
    memset(qy_port_ram(frame), 0, QY_PAGE_BYTES);
    return frame;
}

/* For struct qy_pt_tables: a frame that was given back, or a new one. */
static inline enum qy_error fixture_alloc(void *context, paddr_t *out)
{
    struct fixture *f = context;
    if (f->tables_left == 0)
        return QY_OUT_OF_MEMORY;
    f->tables_left--;
    f->tables++;
    if (f->free_count)
        *out = paddr(f->free[--f->free_count]);
    else
        *out = fixture_frame(f);
    memset(qy_port_ram(*out), 0, QY_PAGE_BYTES);
    return QY_OK;
}

static inline void fixture_free(void *context, paddr_t table)
{
    struct fixture *f = context;
    const uint64_t *words = qy_port_ram(table);
    for (unsigned i = 0; i < QY_PT_ENTRIES; i++)
        if (words[i] || f->free_count == FIXTURE_FREE)
            abort();
    f->tables--;
    f->free[f->free_count++] = table.raw;
}

static inline void fixture_make(struct fixture *f, const struct pt_format_case *kind)
{
    memset(f, 0, sizeof(*f));
    if (!hosted_machine_make(&f->machine, FIXTURE_RAM_END, false))
        abort();
    hosted_ram_add(&f->machine, pfn(FIXTURE_RAM >> 12), pfn(FIXTURE_RAM_END >> 12));
    f->kind = kind;
    f->next = FIXTURE_RAM;
    f->pt = (struct qy_pt){kind->format, fixture_frame(f)};
    f->tables_left = ~0u;
    f->tables_from = (struct qy_pt_tables){fixture_alloc, fixture_free, f};
}

static inline void fixture_destroy(struct fixture *f)
{
    hosted_machine_destroy(&f->machine);
}

/* The CPU of the manuals sees exactly this mapping at address; flags 0 = nothing. */
static inline bool fixture_sees(const struct fixture *f, uint64_t address, uint64_t physical,
                                unsigned level, unsigned flags)
{
    struct manual_result want = {.ok = flags != 0,
                                 .physical = physical,
                                 .page_bits = 3 + 9 * level,
                                 .global = flags & QY_PT_GLOBAL,
                                 .type = flags & QY_PT_UNCACHED        ? MANUAL_UNCACHED
                                         : flags & QY_PT_WRITE_THROUGH ? MANUAL_WRITE_THROUGH
                                                                       : MANUAL_WRITE_BACK};
    return manual_agrees(f->kind->machine, f->pt.root.raw, address, want, flags & QY_PT_WRITE,
                         flags & QY_PT_EXEC, flags & QY_PT_USER);
}

#endif
