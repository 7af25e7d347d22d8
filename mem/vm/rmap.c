/*
 * Reverse maps of frames and tables. See qy/rmap.h.
 */
#include "../phys/frame_word.h"
#include "../phys/framedb_impl.h"

#include <qy/rmap.h>

/* A mapping as it is remembered: table and index, its class, and its part of the block. */
#define CLASS_SHIFT QY_MAPPING_BITS
#define CLASS_MASK (QY_WORD_CLASS << CLASS_SHIFT)
#define NAME_MASK ((1ull << QY_MAPPING_BITS) - 1)
_Static_assert(CLASS_SHIFT == QY_WORD_PLACE_BITS, "and stands above the mapping");
_Static_assert(CLASS_SHIFT + 2 == QY_MAPPING_PART_SHIFT, "a class fits in between");

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

static uint64_t class_of(uint64_t record)
{
    return (record & CLASS_MASK) >> CLASS_SHIFT;
}

static uint64_t in_place(uint64_t record)
{
    return (record & NAME_MASK) << QY_WORD_PLACE_SHIFT | class_of(record);
}

static uint64_t list_word(const struct qy_rmap_node *first, uint64_t count, uint64_t class)
{
    return qy_word_list((uint64_t)(uintptr_t)first, count, class);
}

static uint64_t count_of(uint64_t word)
{
    if (word & QY_WORD_LIST)
        return word >> QY_WORD_LIST_SHIFT;
    return qy_word_in_place(word);
}

/* ---- looks at all mappings of a locked word, the newest first ---- */

struct walk {
    const struct qy_rmap_node *node;
    uint64_t tail; /* a mapping that stands in no node, and QY_NODE_TAIL */
};

static struct walk walk_begin(uint64_t word)
{
    struct walk w = {NULL, 0};
    if (word & QY_WORD_LIST)
        w.node = first_of(word);
    else if (qy_word_in_place(word))
        w.tail = qy_word_record(word) << 1 | QY_NODE_TAIL;
    return w;
}

static bool walk_next(struct walk *w, uint64_t *record)
{
    if (w->node) {
        uint64_t next = w->node->next;
        *record = w->node->mapping;
        w->tail = next & QY_NODE_TAIL ? next : 0;
        w->node = next & QY_NODE_TAIL ? NULL : node_at(next);
        return true;
    }
    *record = w->tail >> 1;
    bool there = w->tail != 0;
    w->tail = 0;
    return there;
}

static bool is_named(uint64_t record, uint64_t mapping)
{
    return !((record ^ mapping) & NAME_MASK);
}

/* Have two mappings a page in common? A part is [part - pages, part + pages), in halves of pages. */
static bool overlap(uint64_t a, uint64_t b)
{
    uint64_t part = a >> QY_MAPPING_PART_SHIFT, other = b >> QY_MAPPING_PART_SHIFT;
    uint64_t pages = part & -part, others = other & -other;
    return !part || (part - pages < other + others && other - others < part + pages);
}

/* What is known of a mapping, and of the others. */
struct known {
    unsigned times;
    uint64_t record;      /* itself */
    uint64_t overlapping; /* classes of the others that have a page in common with it */
    uint64_t others;      /* of all of them */
};

static struct known know(uint64_t word, uint64_t mapping)
{
    struct known k = {0, mapping & ~CLASS_MASK, 0, 0};
    uint64_t record;
    for (struct walk w = walk_begin(word); walk_next(&w, &record);)
        if (is_named(record, mapping)) {
            k.record = record;
            k.times++;
        }
    for (struct walk w = walk_begin(word); walk_next(&w, &record);)
        if (!is_named(record, mapping)) {
            k.others |= class_of(record);
            k.overlapping |= overlap(record, k.record) ? class_of(record) : 0;
        }
    return k;
}

/*
 * May a mapping, there already or not, have that class? *all: the class of the word then. Where the word says no,
 * the mappings tell what is so.
 */
static bool may_have(uint64_t word, uint64_t mapping, uint64_t class, uint64_t *all)
{
    *all = (word & QY_WORD_CLASS) | class;
    if (*all != QY_WORD_CLASS)
        return true;
    const struct known k = know(word, mapping);
    *all = k.others | class;
    return !class || (k.overlapping | class) != QY_WORD_CLASS;
}

unsigned qy_rmap_find(_Atomic uint64_t *word, uint64_t mapping, unsigned *class,
                      unsigned *overlapping)
{
    uint64_t old = word_lock(word);
    const struct known k = know(old, mapping);
    word_unlock(word, old);
    *class = (unsigned)class_of(k.record);
    *overlapping = (unsigned)k.overlapping;
    return k.times;
}

/* ---- changes ---- */

enum qy_error qy_rmap_add(_Atomic uint64_t *word, uint64_t mapping, bool writable, bool executable,
                          struct qy_rmap_node **node)
{
    uint64_t old = word_lock(word), count = count_of(old), new = old;
    uint64_t class = qy_word_class(writable, executable), all;
    uint64_t record = mapping | class << CLASS_SHIFT;
    bool part = mapping >> QY_MAPPING_PART_SHIFT;
    enum qy_error error = QY_OK;
    if (count == 0 && old)
        error = QY_BUSY;
    else if (class == QY_WORD_CLASS || !may_have(old, mapping, class, &all))
        error = QY_INVALID_FLAGS;
    else if (count == QY_RMAP_MAX)
        error = QY_TOO_MANY;
    else if (count == 0 && !part)
        new = in_place(record);
    else if (!*node)
        error = QY_OUT_OF_MEMORY;
    else {
        (*node)->mapping = record;
        (*node)->next = old & QY_WORD_LIST ? (uint64_t)(uintptr_t)first_of(old)
                        : count            ? qy_word_record(old) << 1 | QY_NODE_TAIL
                                           : 0;
        new = list_word(*node, count + 1, all);
        *node = NULL;
    }
    word_unlock(word, new);
    return error;
}

enum qy_error qy_rmap_add_list(_Atomic uint64_t *word, struct qy_rmap_node *first,
                               struct qy_rmap_node *last, unsigned mappings)
{
    uint64_t old = word_lock(word), count = count_of(old);
    bool fits = count && count + mappings <= QY_RMAP_MAX;
    if (fits)
        last->next = old & QY_WORD_LIST ? (uint64_t)(uintptr_t)first_of(old)
                                        : qy_word_record(old) << 1 | QY_NODE_TAIL;
    word_unlock(word, fits ? list_word(first, count + mappings, old & QY_WORD_CLASS) : old);
    return fits ? QY_OK : count ? QY_TOO_MANY : QY_NOT_MAPPED;
}

/*
 * Take `mapping` out of a list of `count`; false: it is not there. When the one in no node goes, the last node's
 * mapping takes its place, and that node goes.
 */
static bool list_remove(uint64_t *word, uint64_t count, uint64_t mapping,
                        struct qy_rmap_node **freed)
{
    uint64_t class = *word & QY_WORD_CLASS;
    struct qy_rmap_node *node = first_of(*word), *before = NULL;
    uint64_t put; /* what takes the place of the node that goes */
    for (;;) {
        if (is_named(node->mapping, mapping)) {
            put = node->next;
            break;
        }
        if (node->next & QY_NODE_TAIL && is_named(node->next >> 1, mapping)) {
            put = node->mapping << 1 | QY_NODE_TAIL;
            break;
        }
        if (node->next & QY_NODE_TAIL || !node->next)
            return false;
        before = node;
        node = node_at(node->next);
    }
    *freed = node;
    if (before) {
        before->next = put;
        *word = list_word(first_of(*word), count - 1, class);
    } else if (put & QY_NODE_TAIL) {
        *word = in_place(put >> 1);
    } else {
        *word = put ? list_word(node_at(put), count - 1, class) : 0;
    }
    return true;
}

bool qy_rmap_remove(_Atomic uint64_t *word, uint64_t mapping, struct qy_rmap_node **freed,
                    bool *last)
{
    uint64_t old = word_lock(word), new = old;
    bool found = false;
    *freed = NULL;
    if (old & QY_WORD_LIST) {
        found = list_remove(&new, count_of(old), mapping, freed);
    } else if (qy_word_in_place(old) && is_named(qy_word_record(old), mapping)) {
        new = 0;
        found = true;
    }
    if (last)
        *last = found && new == 0;
    word_unlock(word, new);
    return found;
}

/* The mapping, which is there, gets another class. */
static void set_class(uint64_t word, uint64_t mapping, uint64_t class)
{
    struct qy_rmap_node *node = first_of(word);
    while (!is_named(node->mapping, mapping)) {
        if (node->next & QY_NODE_TAIL) {
            uint64_t record = node->next >> 1;
            node->next = ((record & ~CLASS_MASK) | class << CLASS_SHIFT) << 1 | QY_NODE_TAIL;
            return;
        }
        node = node_at(node->next);
    }
    node->mapping = (node->mapping & ~CLASS_MASK) | class << CLASS_SHIFT;
}

enum qy_error qy_rmap_class(_Atomic uint64_t *word, uint64_t mapping, bool writable,
                            bool executable)
{
    uint64_t old = word_lock(word), new = old, class = qy_word_class(writable, executable), all;
    bool ok = class != QY_WORD_CLASS && may_have(old, mapping, class, &all);
    if (ok && old & QY_WORD_LIST) {
        set_class(old, mapping, class);
        new = (old & ~QY_WORD_CLASS) | all;
    } else if (ok) {
        new = (old & ~QY_WORD_CLASS) | class;
    }
    word_unlock(word, new);
    return ok ? QY_OK : QY_INVALID_FLAGS;
}

bool qy_rmap_allows(_Atomic uint64_t *word, uint64_t mapping, bool writable, bool executable)
{
    uint64_t old = word_lock(word), class = qy_word_class(writable, executable), all;
    bool ok = class != QY_WORD_CLASS && may_have(old, mapping, class, &all);
    word_unlock(word, old);
    return ok;
}

bool qy_rmap_at(_Atomic uint64_t *word, unsigned n, uint64_t *mapping)
{
    uint64_t old = word_lock(word), record = 0;
    bool there = n < count_of(old);
    struct walk w = walk_begin(old);
    for (unsigned i = 0; there && i <= n; i++)
        (void)walk_next(&w, &record);
    word_unlock(word, old);
    if (there)
        *mapping = record & NAME_MASK;
    return there;
}

unsigned qy_rmap_count(_Atomic uint64_t *word)
{
    return (unsigned)count_of(qy_word_load(word));
}
