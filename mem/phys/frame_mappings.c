/*
 * What is counted on an allocated block: its mappings with their class (USER), its pins, its
 * owner's word.
 *
 *     word of a USER block   | count (18) | 0 ...                    | X | W |
 *
 * This is the word of an embedder that has reverse maps of its own; qy/rmap.h has the other kind.
 * W or X is set while the block may have a writable or executable mapping: set by the first one,
 * cleared with the last. So WXOR over all aliases is a look at one word. Address spaces that map
 * one frame hold different locks: the word changes by compare-and-swap. Invariant WXOR: never both
 * bits. Cost: O(log n) to find the block, then O(1).
 */
#include "frame_word.h"
#include "framedb_impl.h"

#include <qy/rmap.h>

#define COUNT_ONE (1ull << QY_WORD_COUNT_SHIFT)

/* Counted mappings; 0 for a word with a reverse map. */
static uint64_t count_of(uint64_t word)
{
    return word & QY_WORD_LIST || qy_word_in_place(word) ? 0 : word / COUNT_ONE;
}

static struct qy_frame *user_head(const struct qy_framedb *db, pfn_t frame)
{
    struct qy_found f = qy_framedb_find(db, frame.raw);
    return f.state == QY_FRAME_USER ? &db->frames[f.start] : NULL;
}

enum qy_error qy_frame_map(struct qy_framedb *db, pfn_t frame, bool writable, bool executable)
{
    struct qy_frame *head = user_head(db, frame);
    if (!head)
        return QY_NOT_ALLOCATED;
    uint64_t old = qy_word_load(&head->word), new;
    do {
        if (old && count_of(old) == 0)
            return QY_BUSY;
        new = (old | qy_word_class(writable, executable)) + COUNT_ONE;
        if ((new &QY_WORD_CLASS) == QY_WORD_CLASS)
            return QY_INVALID_FLAGS;
        if (count_of(old) >= QY_FRAME_MAPPINGS_MAX)
            return QY_TOO_MANY;
    } while (!atomic_compare_exchange_weak(&head->word, &old, new));
    return QY_OK;
}

void qy_frame_unmap(struct qy_framedb *db, pfn_t frame)
{
    struct qy_frame *head = user_head(db, frame);
    uint64_t old = head ? qy_word_load(&head->word) : 0, new;
    do {
        if (count_of(old) == 0)
            qy_port_broken("EXCLUSIVE", "a frame that is not mapped is unmapped, frame", frame.raw);
        new = count_of(old) == 1 ? 0 : old - COUNT_ONE;
    } while (!atomic_compare_exchange_weak(&head->word, &old, new));
}

enum qy_error qy_frame_remap(struct qy_framedb *db, pfn_t frame, bool writable, bool executable)
{
    struct qy_frame *head = user_head(db, frame);
    uint64_t old = head ? qy_word_load(&head->word) : 0, new;
    do {
        if (count_of(old) == 0)
            return QY_NOT_ALLOCATED;
        new = (count_of(old) == 1 ? COUNT_ONE : old) | qy_word_class(writable, executable);
        if ((new &QY_WORD_CLASS) == QY_WORD_CLASS)
            return QY_INVALID_FLAGS;
    } while (!atomic_compare_exchange_weak(&head->word, &old, new));
    return QY_OK;
}

uint32_t qy_frame_mappings(const struct qy_framedb *db, pfn_t frame)
{
    struct qy_frame *head = user_head(db, frame);
    uint64_t counted = head ? count_of(qy_word_load(&head->word)) : 0;
    return (uint32_t)(head && counted == 0 ? qy_rmap_count(&head->word) : counted);
}

/* The entry of an allocated block's first frame, or null. */
static struct qy_frame *allocated_head(const struct qy_framedb *db, pfn_t start)
{
    qy_tag_t head = qy_framedb_head(db, start.raw);
    if (head) {
        enum qy_frame_state state = qy_tag_state(head);
        return state != QY_FRAME_FREE && state != QY_FRAME_CACHED ? &db->frames[start.raw] : NULL;
    }
    struct qy_found f = qy_framedb_find(db, start.raw);
    bool allocated = f.level != QY_AT_NOTHING && f.state != QY_FRAME_FREE &&
                     f.state != QY_FRAME_CACHED && f.start == start.raw;
    return allocated ? &db->frames[start.raw] : NULL;
}

uint64_t qy_frame_word(const struct qy_framedb *db, pfn_t start)
{
    const struct qy_frame *head = allocated_head(db, start);
    return head ? qy_word_load(&head->word) : 0;
}

void qy_frame_set_word(struct qy_framedb *db, pfn_t start, uint64_t word)
{
    struct qy_frame *head = allocated_head(db, start);
    if (!head)
        qy_port_broken("EXCLUSIVE", "a word is set on what is not an allocated block, frame",
                       start.raw);
    qy_word_store(&head->word, word);
}

enum qy_error qy_frame_pin(struct qy_framedb *db, pfn_t start)
{
    struct qy_frame *head = allocated_head(db, start);
    if (!head)
        return QY_NOT_ALLOCATED;
    qy_tag_t old = qy_load(&head->tag);
    do {
        if (qy_tag_aux(old) >= QY_PINS_MAX)
            return QY_TOO_MANY;
    } while (
        !atomic_compare_exchange_weak(&head->tag, &old, qy_tag_with_aux(old, qy_tag_aux(old) + 1)));
    return QY_OK;
}

bool qy_frame_is_pinned(const struct qy_framedb *db, pfn_t start)
{
    const struct qy_frame *head = allocated_head(db, start);
    return head && qy_tag_aux(qy_load(&head->tag)) & QY_PINS_MAX;
}

enum qy_error qy_frame_unpin(struct qy_framedb *db, pfn_t start)
{
    struct qy_frame *head = allocated_head(db, start);
    if (!head)
        return QY_NOT_ALLOCATED;
    qy_tag_t old = qy_load(&head->tag);
    do {
        if (qy_tag_aux(old) == 0)
            return QY_NOT_ALLOCATED;
    } while (
        !atomic_compare_exchange_weak(&head->tag, &old, qy_tag_with_aux(old, qy_tag_aux(old) - 1)));
    return QY_OK;
}
