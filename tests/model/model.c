/*
 * The specification of physical memory: see model.h. Plain loops over an array of frames.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>

void model_make(struct model *m, uint64_t frames)
{
    memset(m, 0, sizeof(*m));
    m->count = frames;
    m->frames = calloc(frames, sizeof(*m->frames));
    m->free_in = calloc(frames + 8, 1);
}

void model_destroy(struct model *m)
{
    free(m->frames);
    free(m->free_in);
}

static bool is_handed_out(enum qy_frame_state state)
{
    return state == QY_FRAME_OBJECT || state == QY_FRAME_SLAB || state == QY_FRAME_TABLE ||
           state == QY_FRAME_USER || state == QY_FRAME_DEVICE || state == QY_FRAME_METADATA;
}

/* The first frame at or above `at` whose entry in free_in is not (or is, as asked) `arena`'s; at most
 * `end`. Eight at a time. */
static uint64_t next_frame(const struct model *m, uint64_t at, uint64_t end, unsigned arena,
                           bool free)
{
    const uint64_t each = 0x0101010101010101ull, mine = each * (arena + 1);
    for (uint64_t eight; at < end; at += 8) {
        memcpy(&eight, &m->free_in[at], 8);
        eight ^= mine;
        if (free ? ((eight - each) & ~eight & each << 7) != 0 : eight != 0)
            break;
    }
    while (at < end && (m->free_in[at] == arena + 1) != free)
        at++;
    return at < end ? at : end;
}

static bool is_free(const struct model *m, unsigned arena, uint64_t base, uint64_t end)
{
    return end <= m->count && next_frame(m, base, end, arena, false) == end;
}

static void fill(struct model *m, uint64_t base, uint64_t end, unsigned arena,
                 enum qy_frame_state state)
{
    for (uint64_t f = base; f < end; f++)
        m->frames[f] = (struct model_frame){.arena = (uint8_t)(arena + 1), .state = (uint8_t)state};
    memset(&m->free_in[base], state == QY_FRAME_FREE ? (int)arena + 1 : 0, end - base);
}

enum qy_error model_add(struct model *m, unsigned arena, uint64_t base, uint64_t end)
{
    struct model_arena *a = &m->arenas[arena];
    if (base == 0 || base >= end || end > m->count)
        return QY_INVALID_ARGUMENT;
    for (uint64_t f = base; f < end; f++)
        if (m->frames[f].arena)
            return QY_NOT_OWNED;
    fill(m, base, end, arena, QY_FRAME_FREE);
    a->base = a->exists && a->base < base ? a->base : base;
    a->end = a->exists && a->end > end ? a->end : end;
    a->exists = true;
    a->parent = -1;
    a->total += end - base;
    a->pages[QY_FRAME_FREE] += end - base;
    return QY_OK;
}

static void allocate(struct model *m, unsigned arena, uint64_t at, unsigned order,
                     enum qy_frame_state state)
{
    fill(m, at, at + (1ull << order), arena, state);
    m->frames[at].head = true;
    m->frames[at].order = (uint8_t)order;
    m->arenas[arena].pages[QY_FRAME_FREE] -= 1ull << order;
    m->arenas[arena].pages[state] += 1ull << order;
}

enum qy_error model_alloc_at(struct model *m, unsigned arena, uint64_t at, unsigned order,
                             enum qy_frame_state state)
{
    if (order > QY_MAX_ORDER || !is_handed_out(state) || at % (1ull << order))
        return QY_INVALID_ARGUMENT;
    if (at >= m->count || m->frames[at].arena != arena + 1)
        return QY_NOT_OWNED;
    if (!is_free(m, arena, at, at + (1ull << order)))
        return QY_BUSY;
    allocate(m, arena, at, order, state);
    return QY_OK;
}

bool model_alloc(struct model *m, unsigned arena, unsigned order, enum qy_frame_state state,
                 enum qy_error error, uint64_t at)
{
    if (order > QY_MAX_ORDER || !is_handed_out(state))
        return error == QY_INVALID_ARGUMENT;
    if (error == QY_OK)
        return model_alloc_at(m, arena, at, order, state) == QY_OK;
    if (error != QY_OUT_OF_MEMORY)
        return false;
    return model_largest(m, arena) < (int)order;
}

static enum qy_error free_error(const struct model *m, unsigned arena, uint64_t at, unsigned order,
                                enum qy_frame_state state)
{
    if (order > QY_MAX_ORDER || !is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    if (at >= m->count || m->frames[at].arena != arena + 1)
        return QY_NOT_OWNED;
    const struct model_frame *f = &m->frames[at];
    if (!f->head || f->order != order || f->state != state)
        return QY_NOT_ALLOCATED;
    return f->mappings || f->pins ? QY_BUSY : QY_OK;
}

enum qy_error model_free(struct model *m, unsigned arena, uint64_t at, unsigned order,
                         enum qy_frame_state state)
{
    enum qy_error error = free_error(m, arena, at, order, state);
    if (error == QY_OK) {
        fill(m, at, at + (1ull << order), arena, QY_FRAME_FREE);
        m->arenas[arena].pages[QY_FRAME_FREE] += 1ull << order;
        m->arenas[arena].pages[state] -= 1ull << order;
    }
    return error;
}

uint64_t model_head(const struct model *m, uint64_t frame)
{
    if (frame >= m->count || m->frames[frame].state == QY_FRAME_FREE || !m->frames[frame].arena)
        return 0;
    while (!m->frames[frame].head)
        frame--;
    return frame;
}

enum qy_error model_set_state(struct model *m, uint64_t at, enum qy_frame_state from,
                              enum qy_frame_state to)
{
    if (!is_handed_out(from) || !is_handed_out(to))
        return QY_INVALID_ARGUMENT;
    if (at >= m->count || !m->frames[at].head || m->frames[at].state != from)
        return QY_NOT_ALLOCATED;
    if (m->frames[at].mappings || m->frames[at].pins)
        return QY_BUSY;
    unsigned arena = m->frames[at].arena - 1u, order = m->frames[at].order;
    enum qy_error error = model_free(m, arena, at, order, from);
    return error == QY_OK ? model_alloc_at(m, arena, at, order, to) : error;
}

/* The block of a USER frame, or null. */
static struct model_frame *user_block(struct model *m, uint64_t frame)
{
    uint64_t head = model_head(m, frame);
    return head && m->frames[head].state == QY_FRAME_USER ? &m->frames[head] : NULL;
}

enum qy_error model_map(struct model *m, uint64_t frame, bool writable, bool executable)
{
    struct model_frame *f = user_block(m, frame);
    if (!f)
        return QY_NOT_ALLOCATED;
    if ((writable || f->writable) && (executable || f->executable))
        return QY_INVALID_FLAGS;
    if (f->mappings == QY_FRAME_MAPPINGS_MAX)
        return QY_TOO_MANY;
    f->mappings++;
    f->writable |= writable;
    f->executable |= executable;
    return QY_OK;
}

enum qy_error model_unmap(struct model *m, uint64_t frame)
{
    struct model_frame *f = user_block(m, frame);
    if (!f || !f->mappings)
        return QY_NOT_ALLOCATED;
    if (--f->mappings == 0)
        f->writable = f->executable = false;
    return QY_OK;
}

enum qy_error model_remap(struct model *m, uint64_t frame, bool writable, bool executable)
{
    struct model_frame *f = user_block(m, frame);
    if (!f || !f->mappings)
        return QY_NOT_ALLOCATED;
    bool w = writable || (f->writable && f->mappings > 1),
         x = executable || (f->executable && f->mappings > 1);
    if (w && x)
        return QY_INVALID_FLAGS;
    f->writable = w;
    f->executable = x;
    return QY_OK;
}

enum qy_error model_pin(struct model *m, uint64_t at, int change)
{
    if (at >= m->count || !m->frames[at].head || (change < 0 && m->frames[at].pins == 0))
        return QY_NOT_ALLOCATED;
    if (change > 0 && m->frames[at].pins == 127)
        return QY_TOO_MANY;
    m->frames[at].pins = (uint8_t)(m->frames[at].pins + change);
    return QY_OK;
}

int model_largest(const struct model *m, unsigned arena)
{
    const struct model_arena *a = &m->arenas[arena];
    int largest = -1;
    for (uint64_t at = a->base, end; at < a->end; at = end) {
        at = next_frame(m, at, a->end, arena, true);
        end = next_frame(m, at, a->end, arena, false);
        while (largest < (int)QY_MAX_ORDER &&
               qy_align_up(at, 1ull << (largest + 1)) + (1ull << (largest + 1)) <= end)
            largest++;
    }
    return largest;
}

uint64_t model_large_pages(const struct model *m, unsigned arena)
{
    uint64_t large = 0;
    for (uint64_t at = 0; at + QY_BLOCK_PAGES <= m->count; at += QY_BLOCK_PAGES)
        if (next_frame(m, at, at + QY_BLOCK_PAGES, arena, false) == at + QY_BLOCK_PAGES)
            large += QY_BLOCK_PAGES;
    return large;
}

/* Whether there is no place for so many pages in one piece. */
static bool may_fail(const struct model *m, unsigned arena, uint64_t pages)
{
    const struct model_arena *a = &m->arenas[arena];
    uint64_t longest = 0;
    for (uint64_t at = a->base, end; at < a->end; at = end) {
        at = next_frame(m, at, a->end, arena, true);
        end = next_frame(m, at, a->end, arena, false);
        longest = end - at > longest ? end - at : longest;
    }
    return longest < pages;
}

/* The order of the first of the fewest aligned blocks that make up [at, end). */
static unsigned first_order(uint64_t at, uint64_t end)
{
    unsigned order = 0;
    while (order < QY_MAX_ORDER && at % (2ull << order) == 0 && at + (2ull << order) <= end)
        order++;
    return order;
}

static bool take_run(struct model *m, unsigned arena, uint64_t at, uint64_t pages,
                     enum qy_frame_state state)
{
    uint64_t end = at + pages;
    if (!is_free(m, arena, at, end))
        return false;
    while (at < end) {
        unsigned order = first_order(at, end);
        allocate(m, arena, at, order, state);
        at += 1ull << order;
    }
    return true;
}

bool model_alloc_pages(struct model *m, unsigned arena, uint64_t pages, enum qy_frame_state state,
                       enum qy_error error, uint64_t at)
{
    if (pages == 0 || !is_handed_out(state))
        return error == QY_INVALID_ARGUMENT;
    if (error == QY_OUT_OF_MEMORY)
        return may_fail(m, arena, pages);
    return error == QY_OK && take_run(m, arena, at, pages, state);
}

bool model_alloc_in(struct model *m, unsigned arena, uint64_t pages, const struct qy_bounds *bounds,
                    enum qy_frame_state state, enum qy_error error, uint64_t at)
{
    uint64_t base = bounds->base.raw, end = bounds->end.raw;
    if (pages == 0 || !is_handed_out(state) || base >= end || bounds->align_order > 34)
        return error == QY_INVALID_ARGUMENT;
    uint64_t align = 1ull << bounds->align_order;
    if (error == QY_OK)
        return at >= base && at < end && pages <= end - at && at % align == 0 &&
               take_run(m, arena, at, pages, state);
    if (error != QY_OUT_OF_MEMORY)
        return false;
    end = end < m->arenas[arena].end ? end : m->arenas[arena].end;
    base = base > m->arenas[arena].base ? base : m->arenas[arena].base;
    for (uint64_t stop; base < end; base = stop) { /* there must be none */
        base = next_frame(m, base, end, arena, true);
        stop = next_frame(m, base, end, arena, false);
        uint64_t start = qy_align_up(base, align);
        if (start < stop && stop - start >= pages)
            return false;
    }
    return true;
}

enum qy_error model_free_pages(struct model *m, unsigned arena, uint64_t at, uint64_t pages,
                               enum qy_frame_state state)
{
    if (pages == 0 || pages > 1ull << 34 || !is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    enum qy_error error = at < m->count ? QY_OK : QY_NOT_OWNED;
    for (uint64_t f = at; f < at + pages && error == QY_OK;) {
        unsigned order = first_order(f, at + pages);
        error = free_error(m, arena, f, order, state);
        f += 1ull << order;
    }
    for (uint64_t f = at; f < at + pages && error == QY_OK;) {
        unsigned order = first_order(f, at + pages);
        error = model_free(m, arena, f, order, state);
        f += 1ull << order;
    }
    return error;
}

bool model_carve(struct model *m, unsigned parent, unsigned child, uint64_t pages,
                 enum qy_error error, uint64_t base)
{
    struct model_arena *p = &m->arenas[parent], *c = &m->arenas[child];
    if (pages == 0)
        return error == QY_INVALID_ARGUMENT;
    if (error == QY_OUT_OF_MEMORY)
        return may_fail(m, parent, pages);
    if (error != QY_OK || !is_free(m, parent, base, base + pages))
        return false;
    fill(m, base, base + pages, child, QY_FRAME_FREE);
    p->pages[QY_FRAME_FREE] -= pages;
    p->pages[QY_FRAME_CHILD] += pages;
    *c = (struct model_arena){
        .exists = true, .parent = (int)parent, .base = base, .end = base + pages, .total = pages};
    c->pages[QY_FRAME_FREE] = pages;
    return true;
}

enum qy_error model_return(struct model *m, unsigned child)
{
    struct model_arena *c = &m->arenas[child];
    if (c->parent < 0)
        return QY_INVALID_ARGUMENT;
    if (c->pages[QY_FRAME_FREE] != c->total)
        return QY_BUSY;
    struct model_arena *p = &m->arenas[c->parent];
    fill(m, c->base, c->end, (unsigned)c->parent, QY_FRAME_FREE);
    p->pages[QY_FRAME_FREE] += c->total;
    p->pages[QY_FRAME_CHILD] -= c->total;
    c->exists = false;
    return QY_OK;
}

const char *model_compare_counts(const struct model *m, unsigned arena,
                                 const struct qy_arena *real) QY_UNCHECKED
{
    static const char *const names[] = {
#define X(NAME, name) name,
        QY_FRAME_STATES(X)
#undef X
    };
    const struct model_arena *a = &m->arenas[arena];
    for (unsigned s = 0; s < QY_FRAME_STATE_COUNT; s++)
        if (real->pages[s] != a->pages[s])
            return names[s];
    if (real->total_pages != a->total || real->base.raw != a->base || real->end.raw != a->end)
        return "extent";
    return NULL;
}

const char *model_compare_frames(const struct model *m, const struct qy_framedb *db,
                                 struct qy_arena *const *real, uint64_t *where)
{
    uint64_t head = 0;
    for (uint64_t f = 0; f < m->count; f++) {
        const struct model_frame *want = &m->frames[f];
        *where = f;
        if (qy_frame_state(db, pfn(f)) != (enum qy_frame_state)want->state)
            return "state";
        if (qy_arena_of(db, pfn(f)) != (want->arena ? real[want->arena - 1] : NULL))
            return "owner";
        if (want->state == QY_FRAME_FREE || !want->arena)
            continue;
        head = want->head ? f : head;
        pfn_t start;
        unsigned order;
        if (qy_frame_block(db, pfn(f), &start, &order, NULL) != QY_OK || start.raw != head ||
            order != m->frames[head].order)
            return "block";
        if (qy_frame_mappings(db, pfn(f)) != m->frames[head].mappings)
            return "mappings";
    }
    return NULL;
}
