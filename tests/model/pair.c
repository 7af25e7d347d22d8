/*
 * Allocator and model side by side: see pair.h.
 */
#include "pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void differ(struct pair *p, const char *what, uint64_t detail)
{
    if (!p->wrong) {
        p->wrong = what;
        p->detail = detail;
        printf("# allocator and model differ: %s (%llu)\n", what, (unsigned long long)detail);
    }
}

void pair_make(struct pair *p, uint64_t frames)
{
    memset(p, 0, sizeof(*p));
    model_make(&p->model, frames);
    if (!hosted_machine_make(&p->machine, frames * QY_PAGE_BYTES, true)) {
        perror("hosted machine");
        abort();
    }
}

void pair_destroy(struct pair *p)
{
    for (unsigned i = 0; i < MODEL_ARENAS; i++)
        free(p->arenas[i]);
    model_destroy(&p->model);
    hosted_machine_destroy(&p->machine);
}

static void counts(struct pair *p, unsigned arena)
{
    const char *what = p->model.arenas[arena].exists
                           ? model_compare_counts(&p->model, arena, p->arenas[arena])
                           : NULL;
    if (what)
        differ(p, what, arena);
}

static struct qy_arena *header(struct pair *p, unsigned arena)
{
    if (!p->arenas[arena])
        p->arenas[arena] = aligned_alloc(64, (sizeof(struct qy_arena) + 63) / 64 * 64);
    return p->arenas[arena];
}

static enum qy_error same(struct pair *p, enum qy_error error, enum qy_error expected,
                          const char *call)
{
    if (error != expected)
        differ(p, call, error);
    p->refused += error != QY_OK;
    return error;
}

enum qy_error pair_add(struct pair *p, unsigned arena, uint64_t base, uint64_t end)
{
    if (!p->arenas[arena])
        qy_arena_init(header(p, arena), &p->machine.db, 0, QY_ZONE_NORMAL, arena);
    enum qy_error expected = model_add(&p->model, arena, base, end);
    if (expected == QY_OK)
        hosted_ram_add(&p->machine, pfn(base), pfn(end));
    enum qy_error error = qy_arena_add(p->arenas[arena], pfn(base), pfn(end));
    counts(p, arena);
    return same(p, error, expected, "add");
}

enum qy_error pair_alloc(struct pair *p, unsigned arena, unsigned order, enum qy_frame_state state,
                         uint64_t *at)
{
    pfn_t out = {0};
    enum qy_error error = qy_arena_alloc(p->arenas[arena], order, state, &out);
    if (!model_alloc(&p->model, arena, order, state, error, out.raw))
        differ(p, "alloc", out.raw);
    counts(p, arena);
    p->refused += error != QY_OK;
    p->done[0] += error == QY_OK;
    *at = out.raw;
    return error;
}

enum qy_error pair_alloc_at(struct pair *p, unsigned arena, uint64_t at, unsigned order,
                            enum qy_frame_state state)
{
    enum qy_error expected = model_alloc_at(&p->model, arena, at, order, state);
    enum qy_error error = qy_arena_alloc_at(p->arenas[arena], pfn(at), order, state);
    counts(p, arena);
    p->done[0] += error == QY_OK;
    return same(p, error, expected, "alloc_at");
}

enum qy_error pair_free(struct pair *p, unsigned arena, uint64_t at, unsigned order,
                        enum qy_frame_state state)
{
    enum qy_error expected = model_free(&p->model, arena, at, order, state);
    enum qy_error error = qy_arena_free(p->arenas[arena], pfn(at), order, state);
    counts(p, arena);
    p->done[1] += error == QY_OK;
    return same(p, error, expected, "free");
}

enum qy_error pair_alloc_pages(struct pair *p, unsigned arena, uint64_t pages,
                               enum qy_frame_state state, uint64_t *at)
{
    pfn_t out = {0};
    enum qy_error error = qy_arena_alloc_pages(p->arenas[arena], pages, state, &out);
    if (!model_alloc_pages(&p->model, arena, pages, state, error, out.raw))
        differ(p, "alloc_pages", pages);
    counts(p, arena);
    p->refused += error != QY_OK;
    p->done[0] += error == QY_OK;
    *at = out.raw;
    return error;
}

enum qy_error pair_alloc_in(struct pair *p, unsigned arena, uint64_t pages,
                            const struct qy_bounds *bounds, enum qy_frame_state state, uint64_t *at)
{
    pfn_t out = {0};
    enum qy_error error = qy_arena_alloc_in(p->arenas[arena], pages, bounds, state, &out);
    if (!model_alloc_in(&p->model, arena, pages, bounds, state, error, out.raw))
        differ(p, "alloc_in", pages);
    counts(p, arena);
    p->refused += error != QY_OK;
    p->done[0] += error == QY_OK;
    *at = out.raw;
    return error;
}

enum qy_error pair_free_pages(struct pair *p, unsigned arena, uint64_t at, uint64_t pages,
                              enum qy_frame_state state)
{
    enum qy_error expected = model_free_pages(&p->model, arena, at, pages, state);
    enum qy_error error = qy_arena_free_pages(p->arenas[arena], pfn(at), pages, state);
    counts(p, arena);
    p->done[1] += error == QY_OK;
    return same(p, error, expected, "free_pages");
}

enum qy_error pair_set_state(struct pair *p, uint64_t at, enum qy_frame_state from,
                             enum qy_frame_state to)
{
    unsigned owner = at < p->model.count ? p->model.frames[at].arena : 0;
    enum qy_error expected = model_set_state(&p->model, at, from, to);
    enum qy_error error = qy_frame_set_state(&p->machine.db, pfn(at), from, to);
    if (owner)
        counts(p, owner - 1);
    return same(p, error, expected, "set_state");
}

enum qy_error pair_map(struct pair *p, uint64_t frame, bool writable, bool executable)
{
    enum qy_error expected = model_map(&p->model, frame, writable, executable);
    return same(p, qy_frame_map(&p->machine.db, pfn(frame), writable, executable), expected, "map");
}

enum qy_error pair_remap(struct pair *p, uint64_t frame, bool writable, bool executable)
{
    enum qy_error expected = model_remap(&p->model, frame, writable, executable);
    return same(p, qy_frame_remap(&p->machine.db, pfn(frame), writable, executable), expected,
                "remap");
}

enum qy_error pair_unmap(struct pair *p, uint64_t frame)
{
    enum qy_error expected = model_unmap(&p->model, frame);
    if (expected == QY_OK)
        qy_frame_unmap(&p->machine.db, pfn(frame));
    return expected;
}

enum qy_error pair_pin(struct pair *p, uint64_t at, int change)
{
    enum qy_error expected = model_pin(&p->model, at, change);
    enum qy_error error = change > 0 ? qy_frame_pin(&p->machine.db, pfn(at))
                                     : qy_frame_unpin(&p->machine.db, pfn(at));
    return same(p, error, expected, "pin");
}

enum qy_error pair_carve(struct pair *p, unsigned parent, unsigned child, uint64_t pages)
{
    struct qy_arena *c = header(p, child);
    enum qy_error error = qy_arena_carve(p->arenas[parent], c, pages, child);
    if (!model_carve(&p->model, parent, child, pages, error, error == QY_OK ? c->base.raw : 0))
        differ(p, "carve", pages);
    counts(p, parent);
    counts(p, child);
    p->refused += error != QY_OK;
    p->done[2] += error == QY_OK;
    return error;
}

enum qy_error pair_return(struct pair *p, unsigned child)
{
    int parent = p->model.arenas[child].parent;
    enum qy_error expected = model_return(&p->model, child);
    enum qy_error error = qy_arena_return(p->arenas[child]);
    counts(p, child);
    if (parent >= 0)
        counts(p, (unsigned)parent);
    p->done[3] += error == QY_OK;
    return same(p, error, expected, "return");
}

void pair_check_counts(struct pair *p)
{
    for (unsigned i = 0; i < MODEL_ARENAS; i++)
        counts(p, i);
}

void pair_check(struct pair *p, bool frames)
{
    for (unsigned i = 0; i < MODEL_ARENAS; i++) {
        if (!p->model.arenas[i].exists)
            continue;
        const char *broken = qy_arena_check(p->arenas[i]);
        if (broken)
            differ(p, broken, i);
        if (qy_arena_largest(p->arenas[i]) != model_largest(&p->model, i))
            differ(p, "largest", i);
        struct qy_record_arena record;
        qy_arena_record(p->arenas[i], &record);
        if (record.large_bytes != model_large_pages(&p->model, i) * QY_PAGE_BYTES)
            differ(p, "large", i);
        counts(p, i);
    }
    uint64_t where = 0;
    const char *what =
        frames ? model_compare_frames(&p->model, &p->machine.db, p->arenas, &where) : NULL;
    if (what)
        differ(p, what, where);
}
