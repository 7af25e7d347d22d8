/*
 * Any bytes as calls on arenas beside the model (tests/model), and on a slab cache and a CPU's frame
 * cache in front of an arena of their own, whose allocations are made to fail when the input says so.
 *
 *     input   | op | a | b | op | a | b | ...     op's high bits: the n-th inner allocation fails
 *
 * Linked with --wrap=qy_arena_alloc. Validators run after every call; at the end everything is given
 * back and both arenas are whole.
 */
#include "fuzz.h"

#include <model/pair.h>
#include <qy/frame_cache.h>
#include <qy/slab.h>

#define FRAMES 4096u
#define OWN_BASE 2048u /* of the arena behind the caches: 4 MiB, not in the model */
#define OWN_PAGES 1024u
#define CALLS_MAX 400u
#define HELD 64u

static struct pair pair;
static struct qy_arena own;
static struct qy_heap heap;
static struct qy_cache cache;
static struct qy_cpu_frames cpu;
static struct qy_cpu_objects slabs;
static unsigned fail_at; /* 0 = none, 1 = the next inner allocation, ... */

static struct held {
    uint64_t at[HELD];
    unsigned order[HELD], count;
} blocks, frames;
static void *objects[HELD];
static unsigned object_count;

enum qy_error __real_qy_arena_alloc(struct qy_arena *arena, unsigned order,
                                    enum qy_frame_state state, pfn_t *out);
enum qy_error __wrap_qy_arena_alloc(struct qy_arena *arena, unsigned order,
                                    enum qy_frame_state state, pfn_t *out);
enum qy_error __wrap_qy_arena_alloc(struct qy_arena *arena, unsigned order,
                                    enum qy_frame_state state, pfn_t *out)
{
    if (arena == &own && fail_at && --fail_at == 0)
        return QY_OUT_OF_MEMORY;
    return __real_qy_arena_alloc(arena, order, state, out);
}

static void begin(void)
{
    static const struct qy_cache_type type = {"fuzz", 200, 8, NULL, 0};
    pair_make(&pair, FRAMES);
    CHECK(pair_add(&pair, 0, 1, 1100) == QY_OK && pair_add(&pair, 1, 1100, 1777) == QY_OK);
    hosted_ram_add(&pair.machine, pfn(OWN_BASE), pfn(OWN_BASE + OWN_PAGES));
    qy_arena_init(&own, &pair.machine.db, 0, QY_ZONE_NORMAL, 99);
    CHECK(qy_arena_add(&own, pfn(OWN_BASE), pfn(OWN_BASE + OWN_PAGES)) == QY_OK);
    qy_heap_init(&heap, &own, NULL, 1);
    CHECK(qy_cache_init(&cache, &heap, &type) == QY_OK);
    qy_cpu_frames_init(&cpu, 0);
    qy_cpu_objects_init(&slabs, 0, &cpu);
    blocks.count = frames.count = object_count = fail_at = 0;
}

static void note(struct held *held, uint64_t at, unsigned order)
{
    held->at[held->count] = at;
    held->order[held->count++] = order;
}

static void on_arenas(unsigned op, unsigned a, unsigned b)
{
    unsigned arena = pair.model.arenas[a % 4].exists ? a % 4 : 0;
    enum qy_frame_state state = (enum qy_frame_state)(b % 16 < 12 ? QY_FRAME_USER : b % 16);
    uint64_t at = (a * 256u + b) % (FRAMES / 2), taken;
    struct qy_bounds bounds = {pfn(a * 7), pfn(a * 7 + b * 3), b % 6};
    if (op < 2 && blocks.count < HELD) {
        if (pair_alloc(&pair, arena, b % 11, state, &taken) == QY_OK)
            note(&blocks, taken, b % 11);
    } else if (op == 2) {
        if (blocks.count < HELD && pair_alloc_at(&pair, arena, at, b % 5, QY_FRAME_USER) == QY_OK)
            note(&blocks, at, b % 5);
    } else if (op == 3) {
        if (pair_alloc_pages(&pair, arena, a, QY_FRAME_SLAB, &taken) == QY_OK)
            CHECK(b % 2 || pair_free_pages(&pair, arena, taken, a, QY_FRAME_SLAB) == QY_OK);
    } else if (op == 4) {
        if (pair_alloc_in(&pair, arena, b, &bounds, QY_FRAME_SLAB, &taken) == QY_OK)
            CHECK(a % 2 || pair_free_pages(&pair, arena, taken, b, QY_FRAME_SLAB) == QY_OK);
    } else if (op == 5 && blocks.count) {
        unsigned i = a % blocks.count;
        struct model_frame *f = &pair.model.frames[blocks.at[i]];
        if (pair_free(&pair, f->arena - 1u, blocks.at[i], blocks.order[i],
                      (enum qy_frame_state)f->state) == QY_OK) {
            blocks.at[i] = blocks.at[--blocks.count];
            blocks.order[i] = blocks.order[blocks.count];
        }
    } else if (op == 6) {
        if (!pair.model.arenas[2 + b % 2].exists)
            pair_carve(&pair, arena, 2 + b % 2, a * 3);
        else
            pair_return(&pair, 2 + b % 2);
    } else if (at == 0 || !pair.model.frames[at].head) {
        pair_free(&pair, arena, at, b % 11, QY_FRAME_USER);
    }
}

static void on_caches(unsigned op, unsigned a, unsigned b) QY_UNCHECKED
{
    pfn_t out;
    if (op < 2 && object_count < HELD) {
        uint64_t before = qy_arena_pages(&own, QY_FRAME_SLAB);
        if (qy_cache_alloc(&slabs, &cache, &objects[object_count]) == QY_OK)
            object_count++;
        else
            CHECK(qy_arena_pages(&own, QY_FRAME_SLAB) <= before);
    } else if (op == 2 && object_count) {
        void *object = objects[a % object_count];
        objects[a % object_count] = objects[object_count - 1];
        object_count--;
        CHECK(qy_cache_free(&slabs, &cache, object) == QY_OK);
        CHECK(qy_cache_free(&slabs, &cache, object) != QY_OK);
    } else if (op < 5) {
        unsigned order = b % 16 < 4 ? b % 16 : 0;
        if (frames.count < HELD &&
            qy_frame_try_alloc(&cpu, &own, order, QY_FRAME_USER, &out) == QY_OK)
            note(&frames, out.raw, order);
    } else if (op < 7 && frames.count) {
        unsigned i = a % frames.count;
        uint64_t at = frames.at[i];
        unsigned order = frames.order[i];
        frames.at[i] = frames.at[--frames.count];
        frames.order[i] = frames.order[frames.count];
        CHECK(qy_frame_free(&cpu, &own, pfn(at), order, QY_FRAME_USER) == QY_OK);
        CHECK(qy_frame_free(&cpu, &own, pfn(at), order, QY_FRAME_USER) != QY_OK);
    } else {
        qy_frame_drain(&cpu, &own);
    }
    for (unsigned i = 0; i < frames.count; i++)
        for (unsigned j = 0; j < i; j++)
            CHECK(frames.at[i] + (1u << frames.order[i]) <= frames.at[j] ||
                  frames.at[j] + (1u << frames.order[j]) <= frames.at[i]);
}

static void finish(void) QY_UNCHECKED
{
    fail_at = 0;
    pair_check(&pair, false);
    while (object_count)
        CHECK(qy_cache_free(&slabs, &cache, objects[--object_count]) == QY_OK);
    qy_heap_reclaim(&heap);
    while (frames.count--)
        CHECK(qy_frame_free(&cpu, &own, pfn(frames.at[frames.count]), frames.order[frames.count],
                            QY_FRAME_USER) == QY_OK);
    qy_frame_reclaim(&own);
    CHECK(qy_arena_check(&own) == NULL);
    CHECK(qy_arena_pages(&own, QY_FRAME_FREE) == OWN_PAGES && qy_arena_largest(&own) == 10);
    CHECK(pair.wrong == NULL);
    pair_destroy(&pair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    begin();
    for (unsigned i = 0; i < CALLS_MAX && count >= 3; i++, data += 3, count -= 3) {
        fail_at = data[0] >> 4 & 3;
        if (data[0] & 8)
            on_caches(data[0] & 7, data[1], data[2]);
        else
            on_arenas(data[0] & 7, data[1], data[2]);
        CHECK(qy_arena_check(&own) == NULL && qy_heap_check(&heap) == NULL);
        if (i % 16 == 0)
            pair_check(&pair, false);
        CHECK(pair.wrong == NULL);
    }
    finish();
    return 0;
}
