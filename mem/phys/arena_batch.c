/*
 * Moving many small blocks between an arena's free memory and a CPU's cache, or their owner, under one lock.
 *
 *     map of a block    ..11 1101 1111 1111 | 0000 0000 ...      one word of it: 64 frames
 *                        taken at once: the word's bits, cut off at a multiple of 4 when fewer are wanted
 *
 * Four frame entries share a line of 64 bytes; cutting at multiples of four lets two CPUs that fetch
 * at the same time not write to one line. Giving back sorts the frames, so that a word changes once.
 * Invariants: those of arena.h and qy/frame_cache.h. Locking: the arena's. Cost: O(n), and O(log n) a
 * word.
 */
#include "arena_impl.h"

#define LINE_FRAMES 4u

static void tag(struct qy_arena *arena, uint64_t start, unsigned order) QY_REQUIRES(qy_class_arena)
{
    struct qy_framedb *db = arena->db;
    qy_tag_t cached = qy_tag(QY_KIND_HEAD, order, QY_FRAME_CACHED, arena);
    qy_word_store(&db->frames[start].word, 0);
    qy_store(&db->frames[start].tag, cached);
    if (order >= QY_BLOCK_ORDER)
        qy_store(&db->blocks[start / QY_BLOCK_PAGES].tag, cached);
}

/* The lowest bits of a word, at most `want`, whole lines as long as one fits. */
static uint64_t cut(uint64_t word, unsigned want)
{
    uint64_t out = 0;
    unsigned got = 0;
    for (unsigned at = 0; at < 64; at += LINE_FRAMES) {
        uint64_t line = word & (15ull << at);
        unsigned count = (unsigned)__builtin_popcountll(line);
        if (got + count > want)
            break;
        out |= line;
        got += count;
    }
    for (unsigned i = 0; got == 0 && i < want; i++, word &= word - 1)
        out |= word & -word; /* not even one line fits: some frames of it */
    return out;
}

/* From the map that holds a free block at `at`: what its word has. Returns how many. */
static unsigned take_word(struct qy_arena *arena, uint64_t at, unsigned want, uint64_t *out)
    QY_REQUIRES(qy_class_arena)
{
    uint32_t block = (uint32_t)(at / QY_BLOCK_PAGES);
    struct qy_block *b = &arena->db->blocks[block];
    unsigned w = (unsigned)(at % QY_BLOCK_PAGES / 64), got = 0;
    uint64_t bits = cut(qy_word_load(&b->map[w]), want);
    qy_block_map_take_bits(b, w, bits);
    qy_lists_place(arena, block);
    for (; bits; bits &= bits - 1)
        out[got++] = block * QY_BLOCK_PAGES + w * 64 + (unsigned)__builtin_ctzll(bits);
    return got;
}

unsigned qy_batch_take(struct qy_arena *arena, unsigned order, unsigned want, uint64_t *out)
{
    unsigned got = 0;
    struct qy_found free;
    uint64_t at;
    /* For the first one reservations end; for what is only fetched ahead they do not. */
    while (got < want && (got ? qy_range_fit : qy_range_fit_any)(arena, order, &free, &at)) {
        if (order == 0 && free.level == QY_AT_MAP) {
            got += take_word(arena, at, want - got, out + got);
            continue;
        }
        /* A piece of a larger block: as much of it as is wanted, in one piece. */
        unsigned most = order + 31 - (unsigned)__builtin_clz(want - got);
        unsigned piece = free.order < most ? free.order : most;
        piece = order < QY_BLOCK_ORDER && piece > 6 ? 6 : piece;
        piece = piece < order ? order : piece;
        qy_range_take(arena, &free, at, piece);
        for (uint64_t f = at; f < at + (1ull << piece); f += 1ull << order)
            out[got++] = f;
    }
    for (unsigned i = 0; i < got; i++) {
        qy_poison_check(arena->db, out[i], order);
        tag(arena, out[i], order);
    }
    qy_arena_count_free(arena, -((int64_t)got << order));
    arena->pages[QY_FRAME_CACHED] += (uint64_t)got << order;
    QY_TRACE(CACHE_REFILLED, arena->id, order, got, arena->pages[QY_FRAME_FREE]);
    return got;
}

static bool is_sorted(const uint64_t *at, unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        if (at[i - 1] > at[i])
            return false;
    return true;
}

/* Shell's method; there are at most 64, and what was taken together often comes back in order. */
static void sort(uint64_t *at, unsigned n)
{
    static const unsigned gaps[] = {23, 10, 4, 1};
    if (is_sorted(at, n))
        return;
    for (unsigned g = 0; g < 4; g++) {
        unsigned gap = gaps[g];
        for (unsigned i = gap; i < n; i++) {
            uint64_t value = at[i];
            unsigned j = i;
            for (; j >= gap && at[j - gap] > value; j -= gap)
                at[j] = at[j - gap];
            at[j] = value;
        }
    }
}

/* Frames of one word of a map, as bits. The one that would complete the block goes by itself: it merges. */
static void give_word(struct qy_arena *arena, uint64_t base, uint64_t bits)
    QY_REQUIRES(qy_class_arena)
{
    uint32_t block = (uint32_t)(base / QY_BLOCK_PAGES);
    struct qy_block *b = &arena->db->blocks[block];
    uint64_t last = 0;
    if (b->free + (unsigned)__builtin_popcountll(bits) == QY_BLOCK_PAGES)
        last = bits & -bits;
    if (bits != last) {
        qy_block_map_give_bits(b, (unsigned)(base % QY_BLOCK_PAGES / 64), bits & ~last);
        qy_lists_place(arena, block);
    }
    if (last)
        qy_range_give(arena, base + (unsigned)__builtin_ctzll(last), 0);
}

static void give_frames(struct qy_arena *arena, uint64_t *at, unsigned n)
    QY_REQUIRES(qy_class_arena)
{
    sort(at, n);
    for (unsigned i = 0; i < n;) {
        qy_tag_t owner = qy_load(&arena->db->blocks[at[i] / QY_BLOCK_PAGES].tag);
        if (qy_tag_kind(owner) != QY_KIND_MAP) {
            qy_range_give(arena, at[i++], 0);
            continue;
        }
        uint64_t base = qy_align_down(at[i], 64), bits = 0;
        unsigned first = i;
        for (; i < n && at[i] - base < 64; i++)
            bits |= 1ull << (at[i] - base);
        if (i - first == 1) /* alone: two orders change at most, not a word's counts */
            qy_range_give(arena, at[first], 0);
        else
            give_word(arena, base, bits);
    }
}

void qy_batch_give(struct qy_arena *arena, unsigned order, uint64_t *at, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (qy_load(&arena->db->frames[at[i]].tag) !=
            qy_tag(QY_KIND_HEAD, order, QY_FRAME_CACHED, arena))
            qy_port_broken("CACHE-COUNT", "a cached block is not, or is cached twice, frame",
                           at[i]);
        __builtin_prefetch(&arena->db->blocks[at[i] / QY_BLOCK_PAGES], 1);
        __builtin_prefetch(arena->db->blocks[at[i] / QY_BLOCK_PAGES].map, 1);
        qy_poison_fill(arena->db, at[i], order);
        qy_store(&arena->db->frames[at[i]].tag, 0);
    }
    if (order == 0)
        give_frames(arena, at, n);
    else
        for (unsigned i = 0; i < n; i++)
            qy_range_give(arena, at[i], order);
    arena->pages[QY_FRAME_CACHED] -= (uint64_t)n << order;
    qy_arena_count_free(arena, (int64_t)n << order);
    QY_TRACE(CACHE_DRAINED, arena->id, order, n, arena->pages[QY_FRAME_FREE]);
}

/* Clear the tags of so many frames in that state, the first of `at`; returns how many could be. */
static unsigned untag(struct qy_arena *arena, const uint64_t *at, unsigned n,
                      enum qy_frame_state state)
{
    const qy_tag_t claimed = qy_tag(QY_KIND_HEAD, 0, state, arena);
    struct qy_frame *entries = arena->db->frames;
    bool maps = qy_state_has_mappings(state);
    uint64_t ready = UINT64_MAX; /* the block whose entries are known to be there */
    for (unsigned i = 0; i < n; i++) {
        struct qy_frame *entry = &entries[at[i]];
        if (at[i] / QY_BLOCK_PAGES != ready && !qy_framedb_entry(arena->db, at[i]))
            return i;
        if (qy_load(&entry->tag) != claimed || (maps && qy_word_load(&entry->word)))
            return i;
        ready = at[i] / QY_BLOCK_PAGES;
        qy_store(&entry->tag, 0);
    }
    return n;
}

enum qy_error qy_arena_free_frames(struct qy_arena *arena, uint64_t *at, unsigned n,
                                   enum qy_frame_state state)
{
    enum qy_error error = QY_OK;
    if (n > QY_FREE_FRAMES_MAX || !qy_state_is_handed_out(state))
        return QY_INVALID_ARGUMENT;
    qy_arena_lock(arena);
    unsigned done = untag(arena, at, n, state);
    if (done < n) {
        error = qy_arena_claim(arena, at[done], 0, state);
        while (done-- > 0)
            qy_store(&arena->db->frames[at[done]].tag, qy_tag(QY_KIND_HEAD, 0, state, arena));
    } else {
        if (qy_traces(1ull << QY_TRACE_FRAME_FREED))
            for (unsigned i = 0; i < n; i++)
                qy_arena_trace(QY_TRACE_FRAME_FREED, arena, at[i], 0, state);
        for (unsigned i = 0; i < n; i++)
            qy_poison_fill(arena->db, at[i], 0);
        give_frames(arena, at, n);
        arena->pages[state] -= n;
        qy_arena_count_free(arena, (int64_t)n);
        QY_COUNT(arena->frees, n);
    }
    qy_arena_unlock(arena);
    return error;
}
