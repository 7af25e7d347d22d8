/*
 * Reverse maps of frames and tables. See qy/rmap.h.
 */
#include "../phys/frame_word.h"
#include "../phys/framedb_impl.h"

#include <qy/rmap.h>

#define TAIL 1ull

static uint64_t word_lock(_Atomic uint64_t *word)
{
    uint64_t old = qy_word_load(word);
    for (;;) {
        if (old & QY_WORD_LOCK) {
            qy_port_relax();
            old = qy_word_load(word);
        } else if (atomic_compare_exchange_weak_explicit(word, &old, old | QY_WORD_LOCK,
                                                         memory_order_acquire,
                                                         memory_order_relaxed)) {
            return old;
        }
    }
}

static void word_unlock(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static struct qy_rmap_node *node_at(uint64_t address)
{
    return (struct qy_rmap_node *)(uintptr_t)address;
}

/* The first node; addresses are 48 bits, sign-extended. */
static struct qy_rmap_node *first_of(uint64_t word)
{
    return node_at((uint64_t)((int64_t)((word & QY_WORD_NODE_MASK) << 16) >> 16));
}

static uint64_t place_of(uint64_t word)
{
    return (word & QY_WORD_PLACE_MASK) >> QY_WORD_PLACE_SHIFT;
}

static uint64_t in_place(uint64_t mapping, uint64_t class)
{
    return mapping << QY_WORD_PLACE_SHIFT | class;
}

static uint64_t list_word(const struct qy_rmap_node *first, uint64_t count, uint64_t class)
{
    return ((uint64_t)(uintptr_t)first & QY_WORD_NODE_MASK) | count << QY_WORD_LIST_SHIFT |
           QY_WORD_LIST | class;
}

static uint64_t count_of(uint64_t word)
{
    if (word & QY_WORD_LIST)
        return word >> QY_WORD_LIST_SHIFT;
    return qy_word_in_place(word);
}

enum qy_error qy_rmap_add(_Atomic uint64_t *word, uint64_t mapping, bool writable, bool executable,
                          struct qy_rmap_node **node)
{
    uint64_t old = word_lock(word), count = count_of(old), new = old;
    uint64_t class = (old & QY_WORD_CLASS) | qy_word_class(writable, executable);
    enum qy_error error = QY_OK;
    if (class == QY_WORD_CLASS)
        error = QY_INVALID_FLAGS;
    else if (count == 0 && old)
        error = QY_BUSY;
    else if (count == QY_RMAP_MAX)
        error = QY_TOO_MANY;
    else if (count == 0)
        new = in_place(mapping, class);
    else if (!*node)
        error = QY_OUT_OF_MEMORY;
    else {
        (*node)->mapping = mapping;
        (*node)->next = count == 1 ? place_of(old) << 1 | TAIL : (uint64_t)(uintptr_t)first_of(old);
        new = list_word(*node, count + 1, class);
        *node = NULL;
    }
    word_unlock(word, new);
    return error;
}

/*
 * Take `mapping` out of a list of `count`; the word that is left, or 0 if it is not there. When the one in place
 * goes, the last node's mapping takes the place, and that node goes.
 */
static uint64_t list_remove(uint64_t word, uint64_t count, uint64_t mapping,
                            struct qy_rmap_node **freed)
{
    uint64_t class = word & QY_WORD_CLASS;
    struct qy_rmap_node *node = first_of(word), *before = NULL;
    uint64_t put; /* what takes the place of the node that goes */
    for (;;) {
        if (node->mapping == mapping) {
            put = node->next;
            break;
        }
        if (node->next & TAIL) {
            if (node->next >> 1 != mapping)
                return 0;
            put = node->mapping << 1 | TAIL;
            break;
        }
        before = node;
        node = node_at(node->next);
    }
    *freed = node;
    if (before) {
        before->next = put;
        return list_word(first_of(word), count - 1, class);
    }
    return put & TAIL ? in_place(put >> 1, class) : list_word(node_at(put), count - 1, class);
}

bool qy_rmap_remove(_Atomic uint64_t *word, uint64_t mapping, struct qy_rmap_node **freed,
                    bool *last)
{
    uint64_t old = word_lock(word), new = old;
    bool found = true;
    *freed = NULL;
    if (old & QY_WORD_LIST) {
        new = list_remove(old, count_of(old), mapping, freed);
        found = new != 0;
        if (!found)
            new = old;
    } else if (qy_word_in_place(old) && place_of(old) == mapping) {
        new = 0;
    } else {
        found = false;
    }
    if (last)
        *last = found && new == 0;
    word_unlock(word, new);
    return found;
}

enum qy_error qy_rmap_class(_Atomic uint64_t *word, unsigned mappings, bool writable,
                            bool executable)
{
    uint64_t old = word_lock(word);
    uint64_t kept = count_of(old) > mappings ? old & QY_WORD_CLASS : 0;
    uint64_t class = kept | qy_word_class(writable, executable);
    bool ok = class != QY_WORD_CLASS;
    word_unlock(word, ok ? (old & ~QY_WORD_CLASS) | class : old);
    return ok ? QY_OK : QY_INVALID_FLAGS;
}

bool qy_rmap_allows(_Atomic uint64_t *word, unsigned mappings, bool writable, bool executable)
{
    uint64_t old = qy_word_load(word);
    uint64_t kept = count_of(old) > mappings ? old & QY_WORD_CLASS : 0;
    return (kept | qy_word_class(writable, executable)) != QY_WORD_CLASS;
}

bool qy_rmap_at(_Atomic uint64_t *word, unsigned n, uint64_t *mapping)
{
    uint64_t old = word_lock(word), count = count_of(old);
    bool there = n < count;
    if (there && !(old & QY_WORD_LIST)) {
        *mapping = place_of(old);
    } else if (there) {
        const struct qy_rmap_node *node = first_of(old);
        for (; n > 0 && !(node->next & TAIL); n--)
            node = node_at(node->next);
        *mapping = n ? node->next >> 1 : node->mapping;
    }
    word_unlock(word, old);
    return there;
}

unsigned qy_rmap_count(_Atomic uint64_t *word)
{
    return (unsigned)count_of(qy_word_load(word));
}
