/*
 * Compressed pages. See store.h.
 */
#include "store.h"

#include <lib/string.h>
#include <lz4.h>

/* Bytes of a piece: the largest multiples of 16 of which so many fit into a page. */
static const uint16_t class_bytes[STORE_CLASSES] = {64,  128, 192,  256,  288,  304,
                                                    336, 368, 400,  448,  512,  576,
                                                    672, 816, 1024, 1360, 2048, STORE_PAGE_BYTES};

static unsigned class_of(unsigned bytes)
{
    unsigned class = 0;
    while (class < STORE_CLASSES && class_bytes[class] < bytes)
        class += 1;
    return class;
}

static unsigned pieces_of(unsigned class)
{
    return STORE_PAGE_BYTES / class_bytes[class];
}

static uint64_t all_of(unsigned class)
{
    return ~0ull >> (64 - pieces_of(class));
}

static uint8_t *piece_at(const struct store *store, const struct store_ref *ref)
{
    unsigned class = store->pages[ref->page].class;
    return store->pool + (size_t)ref->page * STORE_PAGE_BYTES +
           (size_t)ref->piece * class_bytes[class];
}

static void list_push(struct store *store, uint32_t *list, uint32_t number)
{
    struct store_page *page = &store->pages[number];
    page->prev = 0;
    page->next = *list;
    if (*list)
        store->pages[*list - 1].prev = number + 1;
    *list = number + 1;
}

static void list_remove(struct store *store, uint32_t *list, uint32_t number)
{
    struct store_page *page = &store->pages[number];
    if (page->prev)
        store->pages[page->prev - 1].next = page->next;
    else
        *list = page->next;
    if (page->next)
        store->pages[page->next - 1].prev = page->prev;
}

void store_begin(struct store *store, void *pool, struct store_page *pages, uint32_t count,
                 void *scratch)
{
    memset(store, 0, sizeof(*store));
    store->pool = pool;
    store->pages = pages;
    store->count = count;
    store->scratch = scratch;
    store->free_pages = count;
    for (uint32_t i = count; i-- > 0;) {
        pages[i] = (struct store_page){.class = STORE_CLASSES};
        list_push(store, &store->free, i);
    }
}

static bool is_filled(const void *page, uint64_t *fill)
{
    const uint64_t *words = page;
    *fill = words[0];
    for (unsigned i = 1; i < STORE_PAGE_BYTES / sizeof(*words); i++)
        if (words[i] != words[0])
            return false;
    return true;
}

/* A piece of a class. False: the pool is full. */
static bool take_piece(struct store *store, unsigned class, struct store_ref *out)
{
    uint32_t *open = &store->open[class];
    if (!*open) {
        if (!store->free)
            return false;
        uint32_t number = store->free - 1;
        list_remove(store, &store->free, number);
        store->free_pages--;
        store->pages[number].class = (uint8_t) class;
        list_push(store, open, number);
    }
    out->page = *open - 1;
    struct store_page *page = &store->pages[out->page];
    out->piece = (uint8_t)__builtin_ctzll(~page->live);
    page->live |= 1ull << out->piece;
    if (page->live == all_of(class))
        list_remove(store, open, out->page);
    return true;
}

enum store_result store_put(struct store *store, const void *page, bool raw, struct store_ref *out)
{
    static char packed[STORE_PAGE_BYTES]; /* one at a time, as with the rest */
    struct store_ref ref = {.kind = STORE_FILL};
    if (is_filled(page, &ref.fill)) {
        *out = ref;
        return STORE_OK;
    }
    int bytes = LZ4_compress_fast_extState(store->scratch, page, packed, STORE_PAGE_BYTES,
                                           class_bytes[STORE_CLASSES - 2], 1);
    const void *from = bytes > 0 ? packed : page;
    if (bytes <= 0 && !raw)
        return STORE_POOR;
    if (bytes <= 0)
        bytes = STORE_PAGE_BYTES;
    ref = (struct store_ref){.kind = STORE_PIECE, .bytes = (uint16_t)bytes};
    bool kept = take_piece(store, class_of((unsigned)bytes), &ref);
    if (kept) {
        memcpy(piece_at(store, &ref), from, (size_t)bytes);
        store->live++;
        store->live_bytes += (unsigned)bytes;
        *out = ref;
    }
    memset(packed, 0, sizeof(packed)); /* it was somebody's */
    return kept ? STORE_OK : STORE_FULL;
}

bool store_get(const struct store *store, const struct store_ref *ref, void *page)
{
    if (ref->kind == STORE_FILL) {
        for (unsigned i = 0; i < STORE_PAGE_BYTES / sizeof(uint64_t); i++)
            ((uint64_t *)page)[i] = ref->fill;
        return true;
    }
    if (ref->kind == STORE_PIECE && ref->bytes == STORE_PAGE_BYTES) {
        memcpy(page, piece_at(store, ref), STORE_PAGE_BYTES);
        return true;
    }
    return ref->kind == STORE_PIECE &&
           LZ4_decompress_safe((const char *)piece_at(store, ref), page, ref->bytes,
                               STORE_PAGE_BYTES) == (int)STORE_PAGE_BYTES;
}

void store_drop(struct store *store, struct store_ref *ref)
{
    if (ref->kind == STORE_PIECE) {
        struct store_page *page = &store->pages[ref->page];
        unsigned class = page->class;
        memset(piece_at(store, ref), 0, ref->bytes);
        if (page->live == all_of(class))
            list_push(store, &store->open[class], ref->page);
        page->live &= ~(1ull << ref->piece);
        store->live--;
        store->live_bytes -= ref->bytes;
        if (!page->live) {
            list_remove(store, &store->open[class], ref->page);
            page->class = STORE_CLASSES;
            list_push(store, &store->free, ref->page);
            store->free_pages++;
        }
    }
    ref->kind = STORE_NOT;
}

const char *store_check(const struct store *store)
{
    uint64_t live = 0, listed = 0, free = 0, open = 0;
    for (uint32_t i = 0; i < store->count; i++) {
        const struct store_page *page = &store->pages[i];
        bool is_free = page->class == STORE_CLASSES;
        if (page->class > STORE_CLASSES || is_free != (page->live == 0) ||
            (!is_free && page->live & ~all_of(page->class)))
            return "STORE-PIECE";
        live += (unsigned)__builtin_popcountll(page->live);
        free += is_free;
        open += !is_free && page->live != all_of(page->class);
    }
    if (live != store->live || free != store->free_pages)
        return "STORE-PIECE";
    for (unsigned class = 0; class <= STORE_CLASSES; class ++) {
        uint32_t before = 0, at = class < STORE_CLASSES ? store->open[class] : store->free;
        for (; at; at = store->pages[at - 1].next) {
            const struct store_page *page = &store->pages[at - 1];
            if (page->class != class || page->prev != before || listed++ > store->count ||
                (class < STORE_CLASSES && page->live == all_of(class)))
                return "STORE-LIST";
            before = at;
        }
    }
    return listed == free + open ? NULL : "STORE-LIST";
}
