/*
 * A complete embedding of the memory core: RAM, six port functions, an arena, a slab cache, a page table.
 *
 * The "machine" is 64 MiB of a Linux process at physical address 16 MiB. A kernel would give its direct map instead, and
 * its own lock, CPU number and panic. Build it against an installed library:
 *     cc embed.c $(pkg-config --cflags --libs quarry) -o embed
 */
#include <qy/arena.h>
#include <qy/pt.h>
#include <qy/slab.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM_BASE 0x1000000ull
#define RAM_BYTES 0x4000000ull
#define RAM_END (RAM_BASE + RAM_BYTES)

/* ---- the port: all that the library asks of whoever embeds it ---- */

static unsigned char *ram; /* what a kernel's direct map would show at RAM_BASE */

void *qy_port_ram(paddr_t address)
{
    return ram + (address.raw - RAM_BASE);
}

paddr_t qy_port_paddr(const void *pointer)
{
    uint64_t offset = (uint64_t)((uintptr_t)pointer - (uintptr_t)ram);
    return paddr(offset < RAM_BYTES ? RAM_BASE + offset : UINT64_MAX);
}

void qy_port_relax(void)
{
}

unsigned qy_port_cpu(void)
{
    return 0;
}

/* There is one CPU. */
void qy_port_fence_cpu(unsigned cpu)
{
    (void)cpu;
}

_Noreturn void qy_port_broken(const char *invariant, const char *what, uint64_t number)
{
    fprintf(stderr, "%s does not hold: %s (%llu)\n", invariant, what, (unsigned long long)number);
    abort();
}

static void must(enum qy_error error, const char *what)
{
    if (error != QY_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, qy_error_name(error), qy_error_sentence(error));
        exit(1);
    }
}

/* ---- the frame database's three tables: backed where the spans say, the section table zeroed ---- */

static struct qy_framedb db;

static void database_make(void)
{
    struct qy_framedb_span spans[3];
    void *tables[3];
    qy_framedb_spans(pfn(RAM_BASE / QY_PAGE_BYTES), pfn(RAM_END / QY_PAGE_BYTES), spans);
    for (unsigned i = 0; i < 3; i++) { /* a small machine: everything below the end, too */
        tables[i] = aligned_alloc(QY_PAGE_BYTES, qy_align_up(spans[i].end, QY_PAGE_BYTES));
        if (!tables[i])
            exit(1);
    }
    memset(tables[2], 0, spans[2].end);
    qy_framedb_init(&db, tables[0], tables[1], tables[2], pfn(RAM_END / QY_PAGE_BYTES));
}

/* ---- use ---- */

struct session { /* any object of a fixed size */
    uint64_t id;
    char user[56];
};

static enum qy_error table_frame(void *context, paddr_t *out)
{
    pfn_t frame;
    enum qy_error error = qy_arena_alloc(context, 0, QY_FRAME_TABLE, &frame);
    if (error == QY_OK) {
        *out = pfn_to_paddr(frame);
        memset(qy_port_ram(*out), 0, QY_PAGE_BYTES);
    }
    return error;
}

int main(void)
{
    static const struct qy_cache_type session_type = {"session", sizeof(struct session), 64, NULL,
                                                      0};
    struct qy_arena arena, budget;
    struct qy_heap heap;
    struct qy_cache sessions;
    struct qy_cpu_objects cpu; /* one for each CPU */
    struct qy_pt pt = {&qy_pt_x86_64, {0}};
    struct qy_pt_tables tables = {.alloc = table_frame, .context = &budget};
    pfn_t block;
    void *session;
    paddr_t found;

    ram = aligned_alloc(QY_PAGE_BYTES, RAM_BYTES);
    if (!ram)
        return 1;
    database_make();
    qy_arena_init(&arena, &db, 0, QY_ZONE_DMA32, 1);
    must(qy_arena_add(&arena, pfn(RAM_BASE / QY_PAGE_BYTES), pfn(RAM_END / QY_PAGE_BYTES)),
         "add RAM");

    must(qy_arena_alloc(&arena, 9, QY_FRAME_OBJECT, &block), "allocate 2 MiB");
    printf("2 MiB at physical address %#llx\n", (unsigned long long)pfn_to_paddr(block).raw);

    must(qy_arena_carve(&arena, &budget, 100, 2), "carve a budget of 100 pages");
    qy_heap_init(&heap, &budget, NULL, 0x5eed); /* something that others cannot guess */
    must(qy_cache_init(&sessions, &heap, &session_type), "make a cache");
    qy_cpu_objects_init(&cpu, 0, NULL);
    qy_irq_is_off(); /* nothing else plays this CPU */
    must(qy_cache_alloc(&cpu, &sessions, &session), "allocate a session");
    must(table_frame(&budget, &pt.root), "allocate a root table");
    must(qy_pt_map_range(&pt, vaddr(0x400000), pfn_to_paddr(block), 0x200000, 2,
                         QY_PT_READ | QY_PT_WRITE | QY_PT_USER, &tables),
         "map 2 MiB");
    must(qy_pt_translate(&pt, vaddr(0x412345), &found, NULL, NULL), "translate");
    printf("virtual 0x412345 is physical %#llx\n", (unsigned long long)found.raw);

    must(qy_cache_free(&cpu, &sessions, session), "free the session");
    qy_heap_drain(&cpu, &heap);
    printf("return the budget with tables out of it: %s\n",
           qy_error_name(qy_arena_return(&budget)));
    must(qy_arena_free(&arena, block, 9, QY_FRAME_OBJECT), "free the 2 MiB");
    printf("and again: %s\n", qy_error_name(qy_arena_free(&arena, block, 9, QY_FRAME_OBJECT)));
    const char *broken = qy_arena_check(&arena);
    printf("invariants of the arena: %s\n", broken ? broken : "all hold");
    return broken != NULL;
}
