/*
 * A simulated machine for benchmarks: see machine.h.
 */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

struct hosted_machine machine;
struct qy_arena arena;

struct qy_cpu_frames cpus[SUBJECT_CPUS];

#define BASE SUBJECT_BASE

static void need(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "bench: %s\n", what);
        exit(1);
    }
}

void subject_reclaim(void) QY_UNCHECKED
{
#ifdef SUBJECT_CACHE
    qy_frame_reclaim(&arena);
#endif
}

void machine_make(uint64_t bytes)
{
    uint64_t end = BASE + bytes / QY_PAGE_BYTES;
    need(hosted_machine_make(&machine, end * QY_PAGE_BYTES, false), "no room for the machine");
    struct qy_framedb_span spans[3];
    qy_framedb_spans(pfn(BASE), pfn(end), spans);
    for (unsigned i = 0; i < 2; i++) /* a hint: refused, it costs only speed */
        (void)madvise(machine.table[i] + spans[i].base, spans[i].end - spans[i].base,
                      MADV_HUGEPAGE);
    hosted_ram_add(&machine, pfn(BASE), pfn(end));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    for (unsigned i = 0; i < SUBJECT_CPUS; i++)
        qy_cpu_frames_init(&cpus[i], i);
    need(qy_arena_add(&arena, pfn(BASE), pfn(end)) == QY_OK, "the arena refuses its RAM");
#ifdef SUBJECT_PEER
    need(peer.open(bytes / QY_PAGE_BYTES), "the peer cannot be opened");
#endif
}

void machine_destroy(void)
{
    subject_reclaim();
#ifdef SUBJECT_PEER
    peer.close();
#endif
    need(qy_arena_check(&arena) == NULL, "the arena's validator is not content");
    hosted_machine_destroy(&machine);
}

void held_make(struct held *held, unsigned cpu, uint64_t capacity)
{
    *held = (struct held){
        .capacity = capacity, .cpu = &cpus[cpu], .random = (cpu + 1) * 0x9e3779b97f4a7c15ull};
    size_t bytes = capacity * sizeof(*held->blocks);
    need(posix_memalign((void **)&held->blocks, 2ul << 20, bytes) == 0, "no memory");
    (void)madvise(held->blocks, bytes, MADV_HUGEPAGE); /* a hint: what is measured is not its TLB */
}

void held_destroy(struct held *held)
{
    while (held->count)
        held_free(held, held->count - 1);
    free(held->blocks);
}

unsigned random_order(uint64_t *random)
{
    uint64_t draw = random_below(random, 1024);
    return draw < 720 ? 0 : 1 + (unsigned)__builtin_ctzll(1ull << 8 | random_below(random, 256));
}

void held_fill(struct held *held, uint64_t pages, int order)
{
    while (held->pages < pages) {
        struct block b = {.order = order < 0 ? random_order(&held->random) : (unsigned)order};
        need(held->count < held->capacity && subject_alloc(held->cpu, b.order, &b.at),
             "memory ran out");
        held->blocks[held->count++] = b;
        held->pages += 1ull << b.order;
    }
}

void held_free(struct held *held, uint64_t index)
{
    struct block b = held->blocks[index];
    need(subject_free(held->cpu, b.at, b.order), "a free was refused");
    held->blocks[index] = held->blocks[--held->count];
    held->pages -= 1ull << b.order;
}

unsigned free_in_large_blocks(void)
{
    subject_reclaim();
    uint64_t large = 0, all = qy_arena_pages(&arena, QY_FRAME_FREE);
    for (uint64_t at = BASE; at < machine.db.limit.raw; at += QY_BLOCK_PAGES) {
        pfn_t out;
        if (qy_arena_alloc_at(&arena, pfn(at), QY_BLOCK_ORDER, QY_FRAME_USER) != QY_OK)
            continue;
        out = pfn(at);
        large += QY_BLOCK_PAGES;
        need(qy_arena_free(&arena, out, QY_BLOCK_ORDER, QY_FRAME_USER) == QY_OK, "a free");
    }
    return all ? (unsigned)(large * 100 / all) : 100;
}
