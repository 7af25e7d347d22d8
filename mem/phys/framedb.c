/*
 * The frame database: setting up, looking up, and lazy initialisation.
 *
 * Locking: none here; qy_section_prepare and qy_block_prepare are called by the one owner of what
 * they initialise, or under db->lock. The release store of a tag that points further down publishes
 * what was initialised. Cost: a lookup reads at most 19 words; preparing writes 8 KiB, once a
 * section and once a block.
 */
#include "framedb_impl.h"

#include <lib/string.h>

void qy_framedb_spans(pfn_t base, pfn_t end, struct qy_framedb_span spans[3])
{
    uint64_t first = qy_align_down(base.raw, QY_SECTION_PAGES);
    uint64_t last = qy_align_up(end.raw, QY_SECTION_PAGES);
    spans[0] = (struct qy_framedb_span){0, first * sizeof(struct qy_frame),
                                        last * sizeof(struct qy_frame)};
    spans[1] = (struct qy_framedb_span){1, first / QY_BLOCK_PAGES * sizeof(struct qy_block),
                                        last / QY_BLOCK_PAGES * sizeof(struct qy_block)};
    spans[2] = (struct qy_framedb_span){2, 0, last / QY_SECTION_PAGES * sizeof(struct qy_section)};
}

void qy_framedb_init(struct qy_framedb *db, void *frames, void *blocks, void *sections, pfn_t limit)
{
    if (limit.raw > QY_FRAMES_MAX)
        qy_port_broken("EXCLUSIVE", "the frame database reaches 64 TiB, not this limit", limit.raw);
    memset(db, 0, sizeof(*db));
    db->frames = frames;
    db->blocks = blocks;
    db->sections = sections;
    db->limit = limit;
    db->section_count = qy_align_up(limit.raw, QY_SECTION_PAGES) / QY_SECTION_PAGES;
}

void qy_section_prepare(struct qy_framedb *db, uint64_t section)
{
    struct qy_section *s = &db->sections[section];
    if (s->blocks_ready)
        return;
    memset(&db->blocks[section * QY_SECTION_BLOCKS], 0,
           QY_SECTION_BLOCKS * sizeof(struct qy_block));
    s->blocks_ready = true;
    atomic_fetch_add_explicit(&db->sections_initialised, 1, memory_order_relaxed);
}

void qy_block_prepare(struct qy_framedb *db, uint64_t block)
{
    uint64_t first = block * QY_BLOCK_PAGES;
    if (qy_framedb_entry(db, first))
        return;
    memset(&db->frames[first], 0, QY_BLOCK_PAGES * sizeof(struct qy_frame));
    atomic_fetch_or_explicit(&db->sections[block / QY_SECTION_BLOCKS].entries_ready,
                             1ull << block % QY_SECTION_BLOCKS, memory_order_release);
}

static struct qy_found found(uint64_t start, qy_tag_t tag, enum qy_level level)
{
    return (struct qy_found){start, qy_tag_order(tag), level, qy_tag_state(tag), qy_tag_owner(tag)};
}

static struct qy_found nothing(uint64_t frame, unsigned order)
{
    return (struct qy_found){qy_align_down(frame, 1ull << order), order, QY_AT_NOTHING,
                             QY_FRAME_RESERVED, NULL};
}

static struct qy_found find_frame(const struct qy_framedb *db, uint64_t frame, qy_tag_t block_tag)
{
    const struct qy_block *b = &db->blocks[frame / QY_BLOCK_PAGES];
    unsigned index = frame % QY_BLOCK_PAGES;
    bool map = qy_tag_kind(block_tag) == QY_KIND_MAP;
    if (map && (qy_word_load(&b->map[index / 64]) >> index % 64 & 1)) {
        unsigned order = qy_block_map_order_at(b, index);
        return (struct qy_found){qy_align_down(frame, 1ull << order), order, QY_AT_MAP,
                                 QY_FRAME_FREE, qy_tag_owner(block_tag)};
    }
    for (unsigned order = 0; order < QY_BLOCK_ORDER; order++) {
        uint64_t start = qy_align_down(frame, 1ull << order);
        qy_tag_t tag = qy_load(&db->frames[start].tag);
        if (qy_tag_kind(tag) == QY_KIND_HEAD && qy_tag_order(tag) >= order)
            return found(start, tag, map ? QY_AT_MAP : QY_AT_FINE);
    }
    return nothing(frame, 0);
}

static struct qy_found find_block(const struct qy_framedb *db, uint64_t frame)
{
    uint64_t block = frame / QY_BLOCK_PAGES;
    for (unsigned order = QY_BLOCK_ORDER; order < QY_SECTION_ORDER; order++) {
        uint64_t start = qy_align_down(block, 1ull << (order - QY_BLOCK_ORDER));
        qy_tag_t tag = qy_load(&db->blocks[start].tag);
        enum qy_kind kind = qy_tag_kind(tag);
        if (order == QY_BLOCK_ORDER && (kind == QY_KIND_MAP || kind == QY_KIND_FINE))
            return find_frame(db, frame, tag);
        if (kind == QY_KIND_HEAD && qy_tag_order(tag) >= order)
            return found(start * QY_BLOCK_PAGES, tag, QY_AT_BLOCK);
    }
    return nothing(frame, QY_BLOCK_ORDER);
}

struct qy_found qy_framedb_find(const struct qy_framedb *db, uint64_t frame)
{
    if (frame >= db->limit.raw)
        return nothing(frame, 0);
    uint64_t section = frame / QY_SECTION_PAGES;
    for (unsigned order = QY_SECTION_ORDER; order <= QY_MAX_ORDER; order++) {
        uint64_t start = qy_align_down(section, 1ull << (order - QY_SECTION_ORDER));
        qy_tag_t tag = qy_load(&db->sections[start].tag);
        enum qy_kind kind = qy_tag_kind(tag);
        if (order == QY_SECTION_ORDER && kind == QY_KIND_SPLIT)
            return find_block(db, frame);
        if (kind == QY_KIND_HEAD && qy_tag_order(tag) >= order)
            return found(start * QY_SECTION_PAGES, tag, QY_AT_SECTION);
    }
    return nothing(frame, QY_SECTION_ORDER);
}

enum qy_frame_state qy_frame_state(const struct qy_framedb *db, pfn_t frame)
{
    qy_tag_t head = qy_framedb_head(db, frame.raw);
    return head ? qy_tag_state(head) : qy_framedb_find(db, frame.raw).state;
}

const char *qy_frame_state_name(enum qy_frame_state state)
{
    static const char *const names[] = {
#define X(NAME, name) name,
        QY_FRAME_STATES(X)
#undef X
    };
    return (unsigned)state < QY_FRAME_STATE_COUNT ? names[state] : "?";
}

enum qy_error qy_frame_block(const struct qy_framedb *db, pfn_t frame, pfn_t *start,
                             unsigned *order, enum qy_frame_state *state)
{
    qy_tag_t head = qy_framedb_head(db, frame.raw);
    struct qy_found f = {.start = frame.raw,
                         .order = qy_tag_order(head),
                         .level = QY_AT_MAP,
                         .state = qy_tag_state(head)};
    if (!head)
        f = qy_framedb_find(db, frame.raw);
    if (f.level == QY_AT_NOTHING || f.state == QY_FRAME_FREE || f.state == QY_FRAME_CACHED)
        return QY_NOT_ALLOCATED;
    if (start)
        *start = pfn(f.start);
    if (order)
        *order = f.order;
    if (state)
        *state = f.state;
    return QY_OK;
}

struct qy_arena *qy_arena_of(const struct qy_framedb *db, pfn_t frame)
{
    return qy_framedb_find(db, frame.raw).owner;
}

uint64_t qy_framedb_sections_initialised(const struct qy_framedb *db)
{
    return qy_word_load(&db->sections_initialised);
}

uint64_t qy_framedb_sections_total(const struct qy_framedb *db)
{
    return qy_word_load(&db->sections_total);
}
