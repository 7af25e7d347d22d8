/*
 * Slots: words that stand for frames whose contents are elsewhere. See qy/swap.h.
 *
 *     area --> root | page | page | ...      512 x 512 x 512 words, pages of them made when first reserved
 *                      +--> | page | ...
 *                              +--> words: slot 512 n + i
 *     SWAPPED mark: frame of the page of words, i          frame's word: area, n
 *
 * So one look leads from an entry to the word, and from there to area and slot.
 */
#include "vm_impl.h"

#include <qy/swap.h>

#define FANOUT QY_PT_ENTRIES
#define STEP_ENTRIES                                                                               \
    1024u /* that one step takes slots away from, or that a return of contents looks at */
#define AREA_BITS 48u /* of the word of a page of words; n above */

_Static_assert(QY_SWAP_SLOTS_MAX / FANOUT <= 1u << (64 - AREA_BITS), "n fits");

static _Atomic uint64_t *page_at(uint64_t address)
{
    return (_Atomic uint64_t *)(uintptr_t)address;
}

/* The word of a slot; null: it is not reserved. */
static _Atomic uint64_t *find(struct qy_swap *swap, uint64_t slot)
{
    uint64_t page = slot < QY_SWAP_SLOTS_MAX ? atomic_load(&swap->root) : 0;
    for (unsigned shift = 18; page && shift; shift -= 9)
        page = atomic_load(&page_at(page)[slot >> shift & (FANOUT - 1)]);
    return page ? &page_at(page)[slot & (FANOUT - 1)] : NULL;
}

struct qy_binding qy_swap_place(const struct qy_vm *vm, uint64_t mark, uint64_t *slot)
{
    uint64_t word = qy_word_load(&vm->db->frames[mark & QY_MARK_OFFSET_MASK].word);
    uint64_t index = (mark & QY_MARK_BINDING_MASK) >> QY_MARK_BINDING_SHIFT;
    int64_t area = (int64_t)(word << (64 - AREA_BITS)) >> (64 - AREA_BITS);
    struct qy_swap *swap = (struct qy_swap *)(uintptr_t)area;
    *slot = (word >> AREA_BITS) * FANOUT + index;
    return (struct qy_binding){swap, swap->cookie};
}

static uint64_t mark_of(const _Atomic uint64_t *word, unsigned rights)
{
    uint64_t at = (uint64_t)(uintptr_t)word;
    pfn_t frame =
        paddr_to_pfn(qy_port_paddr((const void *)(uintptr_t)qy_align_down(at, QY_PAGE_BYTES)));
    return (uint64_t)QY_MARK_SWAPPED << QY_MARK_KIND_SHIFT |
           (uint64_t)rights << QY_MARK_RIGHTS_SHIFT |
           (at & QY_PAGE_MASK) / sizeof(*word) << QY_MARK_BINDING_SHIFT | frame.raw;
}

static bool names(const struct qy_pt_format *format, uint64_t entry, const _Atomic uint64_t *word)
{
    return qy_is_swapped(format, entry) && qy_swap_word(qy_entry_mark(format, entry)) == word;
}

void qy_swap_init(struct qy_swap *swap, struct qy_vm *vm, struct qy_budget *budget, uint64_t cookie)
{
    memset(swap, 0, sizeof(*swap));
    swap->vm = vm;
    swap->budget = budget;
    swap->cookie = cookie;
}

/* The pages on the way to a slot, and that of its word. The lock is held. */
static enum qy_error grow(struct qy_swap *swap, uint64_t slot)
{
    _Atomic uint64_t *at = &swap->root;
    for (unsigned shift = 18;; shift -= 9) {
        pfn_t frame;
        if (!atomic_load(at)) {
            enum qy_error error =
                qy_vm_frame_alloc_zeroed(swap->vm, swap->budget, QY_FRAME_METADATA, &frame);
            if (error != QY_OK)
                return error;
            if (!shift)
                qy_word_store(&swap->vm->db->frames[frame.raw].word,
                              slot / FANOUT << AREA_BITS |
                                  ((uint64_t)(uintptr_t)swap & ((1ull << AREA_BITS) - 1)));
            atomic_store(at, (uint64_t)(uintptr_t)qy_port_ram(pfn_to_paddr(frame)));
        }
        if (!shift)
            return QY_OK;
        at = &page_at(atomic_load(at))[slot >> shift & (FANOUT - 1)];
    }
}

enum qy_error qy_swap_reserve(struct qy_swap *swap, uint64_t first, uint64_t slots)
{
    enum qy_error error = QY_OK;
    if (slots == 0 || first >= QY_SWAP_SLOTS_MAX || slots > QY_SWAP_SLOTS_MAX - first)
        return QY_INVALID_ARGUMENT;
    qy_lock_acquire(&swap->lock);
    for (uint64_t at = qy_align_down(first, FANOUT); at < first + slots && error == QY_OK;
         at += FANOUT)
        error = find(swap, at) ? QY_OK : grow(swap, at);
    qy_lock_release(&swap->lock);
    return error;
}

/* ---- out ---- */

struct evicting {
    struct qy_space *space;
    struct qy_swap *swap;
    uint64_t address, first; /* of bit 0 */
    unsigned pages;
    uint8_t *into;
    uint64_t taken;
    struct qy_gone gone;
};

/* May a page at an entry of a locked table be evicted? A frame's one mapping is in its word. */
static bool is_alone(const struct qy_vm *vm, const struct qy_leaf *leaf, uint64_t entry)
{
    if (!qy_leaf_is_own(leaf, entry))
        return false;
    pfn_t frame = qy_leaf_frame(leaf, entry);
    return !(qy_word_load(&leaf->frames[frame.raw].word) & QY_WORD_LIST) &&
           !qy_frame_is_pinned(vm->db, frame);
}

static uint64_t moving_entry(const struct qy_pt_format *format, pfn_t frame, unsigned rights)
{
    return qy_mark_entry(format, qy_held_mark(QY_MARK_MOVING, frame, rights, qy_port_cpu(), false));
}

/* Those that may go become `moving`. True: there are some, to be forgotten by CPUs. */
static bool plan(struct evicting *e, struct qy_table *table)
{
    const struct qy_pt_format *format = e->space->format;
    const struct qy_leaf leaf = qy_leaf_of(e->space->vm, table->frame);
    if (qy_table_is_shared(table))
        return false;
    for (unsigned i = 0; i < e->pages; i++) {
        unsigned index = qy_pt_index(vaddr(e->address), 1) + i;
        uint64_t entry = qy_slot_get(qy_table_slots(table) + index);
        _Atomic uint64_t *word = find(e->swap, e->first + i);
        if (!is_alone(e->space->vm, &leaf, entry) || !word || qy_word_load(word))
            continue;
        qy_table_set(
            format, table, index,
            moving_entry(format, qy_leaf_frame(&leaf, entry), qy_entry_rights(format, entry)));
        e->taken |= 1ull << i;
    }
    return e->taken != 0;
}

/*
 * One page: no CPU has it, and the entry is still as `plan` left it, so the frame is the space's. A slot that somebody
 * has filled meanwhile leaves the page where it was.
 */
static bool take(struct evicting *e, struct qy_table *table, unsigned i)
{
    const struct qy_pt_format *format = e->space->format;
    const struct qy_leaf leaf = qy_leaf_of(e->space->vm, table->frame);
    unsigned index = qy_pt_index(vaddr(e->address), 1) + i;
    uint64_t entry = qy_slot_get(qy_table_slots(table) + index);
    struct qy_rmap_node *none = NULL;
    _Atomic uint64_t *word = find(e->swap, e->first + i);
    if (!qy_is_mine(format, entry))
        return false;
    uint64_t mark = qy_entry_mark(format, entry);
    pfn_t frame = pfn(mark & QY_MARK_OFFSET_MASK);
    unsigned rights = qy_mark_rights(mark);
    if (qy_rmap_add(word, qy_mapping(table->frame, index), false, false, &none) != QY_OK) {
        qy_table_set(format, table, index, qy_page_entry(format, frame, 1, rights));
        return false;
    }
    memcpy(e->into + i * QY_PAGE_BYTES, qy_port_ram(pfn_to_paddr(frame)), QY_PAGE_BYTES);
    qy_vm_let_go_own(e->space->vm, &leaf, table, index, frame, &e->gone);
    qy_table_set(format, table, index, qy_mark_entry(format, mark_of(word, rights)));
    return true;
}

/* As qy_vm_lock_at of level 1; a large page of the space's own is divided, if that takes no memory that is not there. */
static bool lock_small(struct qy_space *space, vaddr_t address, struct qy_at *at)
{
    enum qy_error error = QY_OK;
    while (qy_vm_lock_at(space, address, 1, at)) {
        if (error == QY_OUT_OF_MEMORY || !qy_is_own_large(space, at->entry, at->level))
            return true;
        error = qy_vm_divide(space, address, at);
    }
    return false;
}

/* A range within one table. */
static enum qy_error evict_some(struct evicting *e)
{
    struct qy_space *space = e->space;
    struct qy_at at;
    enum qy_error error = QY_OK;
    qy_vm_enter(space->vm);
    bool alive = lock_small(space, vaddr(e->address), &at);
    if (!alive) {
        error = QY_REVOKED;
    } else {
        bool some = at.level == 1 && plan(e, at.table);
        qy_table_unlock(at.table);
        if (some)
            qy_vm_flush(space, vaddr(e->address), e->address + e->pages * QY_PAGE_BYTES, 1);
        for (uint64_t left = e->taken; some && left; left &= left - 1) {
            unsigned i = (unsigned)__builtin_ctzll(left);
            qy_table_lock(at.table); /* for a page at a time: others have work there, too */
            if (!take(e, at.table, i))
                e->taken &= ~(1ull << i);
            qy_table_unlock(at.table);
        }
    }
    qy_vm_leave(space->vm);
    return error;
}

enum qy_error qy_space_evict(struct qy_space *space, uint64_t address, unsigned pages,
                             struct qy_swap *swap, uint64_t first, void *into, uint64_t *taken)
{
    *taken = 0;
    if (pages == 0 || pages > QY_SWAP_BATCH)
        return QY_INVALID_ARGUMENT;
    enum qy_error error = qy_vm_range_check(space, address, pages * QY_PAGE_BYTES);
    for (unsigned done = 0, now; done < pages && error == QY_OK; done += now) {
        struct evicting e = {.space = space,
                             .swap = swap,
                             .address = address + done * QY_PAGE_BYTES,
                             .first = first + done,
                             .into = (uint8_t *)into + done * QY_PAGE_BYTES};
        unsigned room = QY_PT_ENTRIES - qy_pt_index(vaddr(e.address), 1);
        e.pages = now = pages - done < room ? pages - done : room;
        qy_gone_begin(&e.gone);
        error = evict_some(&e);
        qy_gone_send(space->vm, &e.gone);
        *taken |= e.taken << done;
    }
    return error;
}

/* ---- and back ---- */

/*
 * A page takes the place of a locked entry that names the slot, whose contents it gets. What is to be executed waits
 * for its first fetch, as what may not be touched at all: the fault sees to the rest.
 */
static enum qy_error fill(struct qy_vm *vm, struct qy_table *table, unsigned index,
                          const void *from)
{
    const struct qy_pt_format *format = vm->format;
    unsigned rights =
        qy_mark_rights(qy_entry_mark(format, qy_slot_get(qy_table_slots(table) + index)));
    bool write = rights & QY_PT_WRITE, shared = qy_table_is_shared(table);
    bool keep = !rights || rights & QY_PT_EXEC;
    pfn_t frame;
    enum qy_error error = qy_vm_frame_alloc(vm, table->budget, QY_FRAME_USER, &frame);
    if (error != QY_OK)
        return error;
    memcpy(qy_port_ram(pfn_to_paddr(frame)), from, QY_PAGE_BYTES);
    qy_word_store(&vm->db->frames[frame.raw].word, qy_mapping(table->frame, index)
                                                           << QY_WORD_PLACE_SHIFT |
                                                       qy_word_class(write && !shared, false));
    uint64_t entry =
        keep ? qy_mark_entry(format, qy_held_mark(QY_MARK_KEPT, frame, rights, 0, false))
        : shared && write ? qy_page_entry(format, frame, 1, QY_PT_READ) | qy_bit_cow(format)
                          : qy_page_entry(format, frame, 1, rights);
    qy_table_set(format, table, index, entry);
    return QY_OK;
}

static void leave(struct qy_vm *vm, _Atomic uint64_t *word, uint64_t mapping, bool *last)
{
    struct qy_rmap_node *freed;
    if (!qy_rmap_remove(word, mapping, &freed, last))
        qy_port_broken("SWAP-WORD", "a slot does not know its entry, of table",
                       qy_mapping_table(mapping).raw);
    qy_vm_node_return(vm, freed);
}

enum qy_error qy_swap_restore(struct qy_swap *swap, uint64_t slot, const void *from,
                              unsigned *filled)
{
    struct qy_vm *vm = swap->vm;
    _Atomic uint64_t *word = find(swap, slot);
    enum qy_error worst = QY_OK;
    uint64_t mapping;
    *filled = 0;
    qy_vm_enter(vm);
    /* More share it than are looked at: those who are not asked for are filled, too, to come by those who are. */
    bool all = word && (qy_rmap_count(word) == 1 || qy_rmap_count(word) > STEP_ENTRIES);
    unsigned looks = 0;
    for (unsigned n = 0; word && looks++ < STEP_ENTRIES && qy_rmap_at(word, n, &mapping);) {
        struct qy_table *table = qy_table_of(vm->db, qy_mapping_table(mapping));
        unsigned index = qy_mapping_index(mapping);
        bool gone = false;
        qy_table_lock(table);
        uint64_t entry = qy_slot_get(qy_table_slots(table) + index);
        if (names(vm->format, entry, word) &&
            (all || qy_entry_mark(vm->format, entry) & QY_MARK_SHARED)) {
            enum qy_error error = fill(vm, table, index, from);
            gone = error == QY_OK;
            worst = gone ? worst : error;
        }
        if (gone)
            leave(vm, word, mapping, NULL);
        qy_table_unlock(table);
        *filled += gone;
        n += !gone;
    }
    qy_vm_leave(vm);
    return worst;
}

void qy_swap_let_go(struct qy_vm *vm, struct qy_table *table, unsigned index, uint64_t entry)
{
    uint64_t mark = qy_entry_mark(vm->format, entry), slot;
    struct qy_swap *swap = qy_swap_place(vm, mark, &slot).object;
    bool last;
    leave(vm, qy_swap_word(mark), qy_mapping(table->frame, index), &last);
    if (last)
        atomic_fetch_add_explicit(&swap->released, 1, memory_order_relaxed);
}

/* ---- slots that are lost ---- */

/* True: the entry that a mapping names was one of this word, and is `revoked`. */
static bool revoke(struct qy_vm *vm, const _Atomic uint64_t *word, uint64_t mapping)
{
    const struct qy_pt_format *format = vm->format;
    struct qy_table *table = qy_table_of(vm->db, qy_mapping_table(mapping));
    unsigned index = qy_mapping_index(mapping);
    qy_table_lock(table);
    uint64_t entry = qy_slot_get(qy_table_slots(table) + index);
    bool named = names(format, entry, word);
    if (named) {
        uint64_t mark = qy_table_origin(table, index) & ~(15ull << QY_MARK_KIND_SHIFT);
        mark |= (uint64_t)QY_MARK_REVOKED << QY_MARK_KIND_SHIFT;
        unsigned rights = qy_mark_rights(qy_entry_mark(format, entry));
        qy_table_set(format, table, index,
                     qy_mark_entry(format, qy_mark_with_rights(mark, rights)));
    }
    qy_table_unlock(table);
    return named;
}

/* At most *left entries. True: none names it any more. */
static bool empty(struct qy_vm *vm, _Atomic uint64_t *word, unsigned *left)
{
    uint64_t mapping;
    for (; qy_rmap_at(word, 0, &mapping); --*left) {
        if (!*left)
            return false;
        qy_vm_enter(vm);
        if (revoke(vm, word, mapping))
            leave(vm, word, mapping, NULL);
        else
            qy_port_relax(); /* it is on its way out already */
        qy_vm_leave(vm);
    }
    return true;
}

enum qy_error qy_swap_discard_step(struct qy_swap *swap, uint64_t slot)
{
    _Atomic uint64_t *word = find(swap, slot);
    unsigned left = STEP_ENTRIES;
    return !word || empty(swap->vm, word, &left) ? QY_OK : QY_BUSY;
}

/*
 * One page of words, or what lies above it when there are none left, or a part. True: the page that `at` leads to is
 * gone.
 */
static bool drop(struct qy_swap *swap, _Atomic uint64_t *at, unsigned level)
{
    uint64_t address = atomic_load(at);
    _Atomic uint64_t *page = page_at(address);
    unsigned left = STEP_ENTRIES;
    for (unsigned i = 0; page && i < FANOUT; i++) {
        if (level == 0) {
            if (!empty(swap->vm, &page[i], &left))
                return false;
        } else if (atomic_load(&page[i])) {
            (void)drop(swap, &page[i], level - 1);
            return false;
        }
    }
    atomic_store(at, 0);
    if (page) {
        pfn_t frame = paddr_to_pfn(qy_port_paddr((const void *)(uintptr_t)address));
        qy_word_store(&swap->vm->db->frames[frame.raw].word, 0);
        qy_vm_frame_free(swap->vm, frame, QY_FRAME_METADATA);
    }
    return true;
}

enum qy_error qy_swap_destroy_step(struct qy_swap *swap)
{
    return drop(swap, &swap->root, 2) ? QY_OK : QY_BUSY;
}

/* ---- looks ---- */

uint64_t qy_swap_used(struct qy_swap *swap, uint64_t first)
{
    _Atomic uint64_t *word = find(swap, first);
    uint64_t used = 0;
    for (unsigned i = 0; word && i < QY_SWAP_BATCH; i++)
        used |= (uint64_t)(qy_word_load(&word[i]) != 0) << i;
    return used;
}

/* Has a CPU used the large page at a locked entry since the last look? Then it stays one, else it is divided, to be looked at. */
static bool is_used(const struct qy_space *space, const struct qy_at *at)
{
    const uint64_t accessed = space->format->flags[QY_PT_BIT_ACCESSED].value;
    return !qy_is_present(space->format, at->entry) ||
           atomic_fetch_and_explicit(at->slot, ~accessed, memory_order_relaxed) & accessed;
}

/* One look at 64 pages of a table. True: a CPU may remember that it has used some. */
static bool look(const struct qy_space *space, struct qy_table *table, unsigned first,
                 struct qy_harvest *out)
{
    const struct qy_pt_format *format = space->format;
    const struct qy_leaf leaf = qy_leaf_of(space->vm, table->frame);
    const uint64_t accessed = format->flags[QY_PT_BIT_ACCESSED].value;
    bool shared = qy_table_is_shared(table);
    for (unsigned i = 0; i < QY_SWAP_BATCH; i++) {
        _Atomic uint64_t *slot = qy_table_slots(table) + first + i;
        uint64_t entry = qy_slot_get(slot), bit = 1ull << i;
        if (qy_is_swapped(format, entry))
            out->swapped |= bit;
        if (!qy_is_present(format, entry))
            continue;
        if (!shared && is_alone(space->vm, &leaf, entry))
            out->pages |= bit;
        if (entry & accessed) { /* the CPU may set it meanwhile */
            atomic_fetch_and_explicit(slot, ~accessed, memory_order_relaxed);
            out->accessed |= bit;
        }
    }
    return out->accessed != 0;
}

enum qy_error qy_space_harvest(struct qy_space *space, uint64_t address, uint64_t end,
                               struct qy_harvest *out)
{
    const uint64_t window = QY_SWAP_BATCH * QY_PAGE_BYTES;
    struct qy_at at;
    *out = (struct qy_harvest){.next = end};
    if (address >= end || end > QY_USER_END)
        return QY_INVALID_ADDRESS;
    if (atomic_load_explicit(&space->dying, memory_order_relaxed))
        return QY_REVOKED;
    address = qy_vm_next(space, address, end);
    if (address >= end)
        return QY_OK;
    out->address = qy_align_down(address, window);
    bool flush = false, large = false;
    qy_vm_enter(space->vm);
    bool alive = qy_vm_lock_at(space, vaddr(out->address), 1, &at);
    if (alive && qy_is_own_large(space, at.entry, at.level)) {
        large = flush = is_used(space, &at);
        if (!large) {
            qy_table_unlock(at.table);
            alive = lock_small(space, vaddr(out->address), &at);
        }
    }
    if (alive) {
        /* A mark, or a large page, is passed over as a whole. */
        out->next = at.level == 1
                        ? out->address + window
                        : qy_span_base(vaddr(address), at.level).raw + qy_pt_page_bytes(at.level);
        flush |= at.level == 1 && look(space, at.table, at.index, out);
        qy_table_unlock(at.table);
    }
    qy_vm_leave(space->vm);
    if (flush && large)
        qy_vm_flush(space, qy_span_base(vaddr(out->address), at.level), out->next, at.level);
    else if (flush)
        qy_vm_flush(space, vaddr(out->address), out->address + window, 1);
    out->next = out->next < end ? out->next : end;
    return alive ? QY_OK : QY_REVOKED;
}

/* Every entry that a word names is one of a table, and names it; the validator of spaces looks the other way. */
static const char *check_word(struct qy_vm *vm, _Atomic uint64_t *word)
{
    uint64_t mapping;
    for (unsigned n = 0; qy_rmap_at(word, n, &mapping); n++) {
        pfn_t frame = qy_mapping_table(mapping);
        const struct qy_table *table =
            qy_frame_state(vm->db, frame) == QY_FRAME_TABLE ? qy_table_of(vm->db, frame) : NULL;
        if (!table || table->level != 1 || qy_mapping_index(mapping) >= QY_PT_ENTRIES ||
            !names(vm->format, qy_slot_get(qy_table_slots(table) + qy_mapping_index(mapping)),
                   word))
            return "SWAP-WORD";
    }
    return qy_word_load(word) & QY_WORD_CLASS ? "SWAP-WORD" : NULL;
}

const char *qy_swap_check(struct qy_swap *swap)
{
    const char *broken = NULL;
    for (uint64_t slot = 0; slot < QY_SWAP_SLOTS_MAX && !broken; slot += FANOUT) {
        _Atomic uint64_t *words = find(swap, slot);
        for (unsigned i = 0; words && i < FANOUT && !broken; i++) {
            uint64_t mark = mark_of(&words[i], 0), is;
            if (qy_swap_place(swap->vm, mark, &is).object != swap || is != slot + i)
                broken = "SWAP-WORD";
            else
                broken = check_word(swap->vm, &words[i]);
        }
    }
    return broken;
}
