/*
 * A small world of two spaces and a few pages on both sides of a leaf table's end, beside a model that copies: for every
 * small state (exhaustive.c) and for any sequence of bytes (tests/fuzz/fuzz_vm.c).
 *
 *     pages   ... | 0 | 1 || 2 | 3 | ...        || = 1 GiB: two leaf tables, two tables above
 *     object  | 0 | 1 | ... | end ...           a memory object, which both may map, shared and private
 *
 * A private page of the object's is the object's until the space has a copy. Who gets a copy by writing, or settling, is
 * told by the rules; an executable page may get one whenever it is touched, as others may write to the object's: there the
 * model looks whose frame it is. What the object has is the model's, too.
 *
 * A call says what the model says, or OUT_OF_MEMORY, and then nothing has changed; a byte that is read is the one that was written.
 * Inner allocations fail when told so: link with --wrap=qy_arena_alloc.
 */
#ifndef TESTS_VM_SMALL_H
#define TESTS_VM_SMALL_H

#include "fixture.h"

#include "../../mem/vm/object_impl.h"

#define SMALL_SPACES 2u
#define SMALL_PAGES_MAX 8u
#define SMALL_LEAF 0x40000000ull

#define SMALL_OBJECT_PAGES 6u /* at most */
#define SMALL_OBJECT_REACH (SMALL_OBJECT_PAGES + SMALL_PAGES_MAX) /* of regions, beyond its end */

/* SHARED and COPIED: of the object; COPIED: private. */
enum small_kind { SMALL_EMPTY, SMALL_PRIVATE, SMALL_LENT, SMALL_GONE, SMALL_SHARED, SMALL_COPIED };

struct small_page {
    uint8_t kind, rights, byte;
    uint8_t of;  /* SHARED, COPIED: page of the object */
    bool copied; /* COPIED: it has a copy, which holds byte */
};

/* X(NAME): the calls. first and count: pages; a: rights or access. */
#define SMALL_CALLS(X)                                                                             \
    X(MAP) X(UNMAP) X(PROTECT) X(TOUCH) X(CLONE) X(LEND) X(CLOSE) X(SETTLE) X(REVOKE)              \
    X(MAP_SHARED) X(MAP_COPIED) X(RESIZE) X(DISCARD) X(SUPPLY) X(PAGED) X(WRITTEN)

enum small_call {
#define X(NAME) SMALL_##NAME,
    SMALL_CALLS(X)
#undef X
        SMALL_CALL_COUNT
};

struct small {
    struct vm_fixture f;
    unsigned pages, below; /* so many, and so many of them below the leaf's end */
    struct small_page page[SMALL_SPACES][SMALL_PAGES_MAX];
    pfn_t lent; /* a frame of another owner */
    uint8_t lent_byte;
    bool lent_there;
    struct qy_object object;
    unsigned end; /* its pages */
    bool paged;
    bool notices; /* writes are told from reads */
    struct {
        bool there, written;
        uint8_t byte;
    } has[SMALL_OBJECT_REACH]; /* behind the end: nothing */
    const char *wrong; /* what was not as the model says */
    unsigned fail_at;  /* the n-th inner allocation fails; 0: none */
    uint64_t refused;
};

static const unsigned small_rights[] = {RW, RO, RX, 0};

static inline uint64_t small_address(const struct small *s, unsigned page)
{
    return SMALL_LEAF - s->below * QY_PAGE_BYTES + page * QY_PAGE_BYTES;
}

static inline bool small_says(struct small *s, enum qy_error got, enum qy_error want, const char *what)
{
    if (got == QY_OUT_OF_MEMORY)
        s->refused++;
    else if (got != want)
        s->wrong = what;
    return got == QY_OK;
}

static inline void small_open(struct small *s, unsigned n)
{
    vm_open(&s->f, n);
    memset(s->page[n], 0, sizeof(s->page[n]));
}

static inline void small_begin(struct small *s, unsigned kind, unsigned pages, unsigned below, uint64_t budget)
{
    memset(s, 0, sizeof(*s));
    vm_make(&s->f, &vm_formats[kind], budget);
    s->pages = pages;
    s->below = below;
    for (unsigned n = 0; n < SMALL_SPACES; n++)
        small_open(s, n);
    s->end = 2;
    CHECK_EQ(qy_object_init(&s->object, &s->f.vm, &s->f.budget[SMALL_SPACES], s->end), QY_OK);
}

static inline bool small_is_object(const struct small_page *page)
{
    return page->kind == SMALL_SHARED || page->kind == SMALL_COPIED;
}

/* The frame that a tree has at an address, by its entry; 0: none. */
static inline uint64_t small_frame(const struct qy_space *tree, uint64_t address)
{
    unsigned level;
    paddr_t table;
    pfn_t frame;
    bool foreign;
    uint64_t entry = qy_vm_peek(tree, address, &level, &table);
    return qy_entry_holds(tree->format, entry, level, &frame, &foreign) ? frame.raw : 0;
}

static inline uint64_t small_object_frame(const struct small *s, unsigned page)
{
    return small_frame(&s->object.tree, qy_object_address(page).raw);
}

/* Has a private page a copy, by the frames? */
static inline bool small_has_copy(const struct small *s, unsigned n, unsigned i)
{
    uint64_t here = small_frame(&s->f.space[n], small_address(s, i));
    return here && here != small_object_frame(s, s->page[n][i].of);
}

/* A page gets a copy of what the object has. */
static inline void small_copy(struct small *s, struct small_page *page)
{
    page->byte = s->has[page->of].byte;
    page->copied = true;
}

static inline void small_map(struct small *s, unsigned n, unsigned first, unsigned count, unsigned rights)
{
    enum qy_error want = QY_OK;
    for (unsigned i = first; i < first + count; i++)
        if (s->page[n][i].kind != SMALL_EMPTY)
            want = QY_ALREADY_MAPPED;
    if (small_says(s, vm_map(&s->f, n, small_address(s, first), count * QY_PAGE_BYTES, rights), want, "map"))
        for (unsigned i = first; i < first + count; i++)
            s->page[n][i] = (struct small_page){.kind = SMALL_PRIVATE, .rights = (uint8_t)rights};
}

static inline void small_unmap(struct small *s, unsigned n, unsigned first, unsigned count)
{
    enum qy_error want = QY_NOT_MAPPED;
    for (unsigned i = first; i < first + count; i++)
        if (s->page[n][i].kind != SMALL_EMPTY)
            want = QY_OK;
    if (small_says(s, qy_space_unmap_region(&s->f.space[n], small_address(s, first), count * QY_PAGE_BYTES), want,
                   "unmap"))
        memset(&s->page[n][first], 0, count * sizeof(struct small_page));
}

/* a: rights, and the object's first page. */
static inline void small_map_object(struct small *s, unsigned n, unsigned first, unsigned count, unsigned a, bool shared)
{
    struct qy_mark mark = {.kind = QY_MARK_OBJECT,
                           .rights = small_rights[a % 4],
                           .max = QY_PT_RIGHTS,
                           .shared = shared,
                           .offset = a / 4 % SMALL_OBJECT_PAGES};
    uint64_t at = small_address(s, first);
    enum qy_error want = QY_OK;
    for (unsigned i = first; i < first + count; i++)
        if (s->page[n][i].kind != SMALL_EMPTY)
            want = QY_ALREADY_MAPPED;
    enum qy_error got = qy_space_bind(&s->f.space[n], &s->object, VM_OBJECT, &mark.binding);
    if (got == QY_OK)
        got = qy_space_map_region(&s->f.space[n], &at, count * QY_PAGE_BYTES, &mark);
    if (small_says(s, got, want, "map an object"))
        for (unsigned i = first; i < first + count; i++)
            s->page[n][i] = (struct small_page){shared ? SMALL_SHARED : SMALL_COPIED, (uint8_t)mark.rights, 0,
                                                (uint8_t)(mark.offset + i - first), false};
}

/* Pages [first, end) of the object go, from everybody who has no copy. */
static inline void small_object_loses(struct small *s, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        s->has[i].there = s->has[i].written = false;
        s->has[i].byte = 0;
    }
}

/* Which pages were written to through shared mappings; before the first time all may be. */
static inline void small_written(struct small *s)
{
    uint64_t got = qy_object_take_written(&s->object, 0, SMALL_OBJECT_REACH);
    for (unsigned i = 0; i < SMALL_OBJECT_REACH; i++) {
        bool told = got >> i & 1;
        if ((s->has[i].written && !told) || (told && (s->notices ? !s->has[i].written : !s->has[i].there)))
            s->wrong = "a page that was written, or not";
        s->has[i].written = false;
    }
    s->notices = true;
}

static inline void small_resize(struct small *s, unsigned pages)
{
    while (qy_object_resize_step(&s->object, pages) == QY_BUSY)
        continue;
    small_object_loses(s, pages, SMALL_OBJECT_REACH);
    s->end = pages;
}

static inline void small_discard(struct small *s, unsigned first, unsigned count)
{
    unsigned end = first + count < s->end ? first + count : s->end;
    qy_object_discard(&s->object, first, count);
    if (first < end)
        small_object_loses(s, first, end);
}

static inline void small_supply(struct small *s, unsigned page, uint8_t value)
{
    pfn_t frame;
    enum qy_error got = qy_object_frame(&s->object, false, &frame);
    if (got == QY_OK) {
        memset(qy_port_ram(pfn_to_paddr(frame)), value, QY_PAGE_BYTES);
        got = qy_object_put(&s->object, page, frame);
        if (got != QY_OK)
            qy_object_frame_free(&s->object, frame);
    }
    if (small_says(s, got,
                   page >= s->end          ? QY_NOT_MAPPED
                   : s->has[page].there ? QY_ALREADY_MAPPED
                                           : QY_OK,
                   "supply")) {
        s->has[page].there = true;
        s->has[page].byte = value;
    }
}

/* Lent pages, and the object's, may be refused: what their aliases have been counts. */
static inline void small_protect(struct small *s, unsigned n, unsigned first, unsigned count, unsigned rights)
{
    enum qy_error want = QY_OK;
    bool lent = false;
    for (unsigned i = first; i < first + count; i++) {
        lent |= s->page[n][i].kind == SMALL_LENT || s->page[n][i].kind == SMALL_SHARED;
        if (s->page[n][i].kind == SMALL_EMPTY)
            want = QY_NOT_MAPPED;
    }
    enum qy_error got =
        qy_space_protect_region(&s->f.space[n], small_address(s, first), count * QY_PAGE_BYTES, rights);
    if (!(lent && got == QY_INVALID_FLAGS) && small_says(s, got, want, "protect"))
        for (unsigned i = first; i < first + count; i++)
            s->page[n][i].rights = (uint8_t)rights;
}

/* What a touch of a page of the object ends with; the page is there, and copied, if it has to be. */
static inline enum qy_error small_object_touch(struct small *s, struct small_page *page)
{
    if (page->copied)
        return QY_OK;
    if (page->of >= s->end)
        return QY_NOT_MAPPED;
    return s->paged && !s->has[page->of].there ? QY_WOULD_WAIT : QY_OK;
}

/* After a successful touch. */
static inline void small_object_touched(struct small *s, unsigned n, unsigned i, enum qy_access access)
{
    struct small_page *page = &s->page[n][i];
    bool copied = page->kind == SMALL_COPIED && small_has_copy(s, n, i);
    bool must = page->kind == SMALL_COPIED && (page->copied || access == QY_ACCESS_WRITE);
    if (!page->copied)
        s->has[page->of].there = true;
    if (must && !copied)
        s->wrong = "a private page that is written is the object's";
    else if (copied && !must && !(page->rights & QY_PT_EXEC))
        s->wrong = "a private page is copied that nobody wrote";
    if (copied && !page->copied)
        small_copy(s, page);
}

static inline void small_touch(struct small *s, unsigned n, unsigned i, enum qy_access access, uint8_t value)
{
    static const unsigned need[] = {QY_PT_READ, QY_PT_WRITE, QY_PT_EXEC};
    struct small_page *page = &s->page[n][i];
    uint8_t *at;
    enum qy_error want = page->kind == SMALL_EMPTY        ? QY_NOT_MAPPED
                         : page->kind == SMALL_GONE       ? QY_REVOKED
                         : !(page->rights & need[access]) ? QY_NO_RIGHTS
                         : small_is_object(page)          ? small_object_touch(s, page)
                                                          : QY_OK;
    enum qy_error got = vm_touch(&s->f, n, small_address(s, i), access, &at);
    bool aliased = page->kind == SMALL_LENT || page->kind == SMALL_SHARED;
    if ((aliased && got == QY_INVALID_FLAGS) || !small_says(s, got, want, "touch"))
        return;
    if (small_is_object(page))
        small_object_touched(s, n, i, access);
    uint8_t *expected = page->kind == SMALL_LENT                         ? &s->lent_byte
                        : small_is_object(page) && !page->copied ? &s->has[page->of].byte
                                                                         : &page->byte;
    if (*at != *expected)
        s->wrong = "a byte";
    if (access == QY_ACCESS_WRITE) {
        *at = *expected = value;
        s->has[page->of].written |= page->kind == SMALL_SHARED;
    }
}

static inline void small_clone(struct small *s, unsigned from, unsigned first, unsigned count)
{
    unsigned to = 1 - from, end = first + count;
    bool taken = false, beside = false;
    for (unsigned i = 0; i < s->pages; i++) {
        bool near = (first < s->below && i < s->below) || (end > s->below && i >= s->below);
        taken |= i >= first && i < end && s->page[to][i].kind != SMALL_EMPTY;
        beside |= near && s->page[to][i].kind != SMALL_EMPTY;
    }
    enum qy_error got = qy_space_clone(&s->f.space[to], &s->f.space[from], small_address(s, first),
                                       small_address(s, end));
    if (!taken && beside && got == QY_ALREADY_MAPPED)
        return;
    if (small_says(s, got, taken ? QY_ALREADY_MAPPED : QY_OK, "clone"))
        memcpy(&s->page[to][first], &s->page[from][first], count * sizeof(struct small_page));
}

static inline void small_lend(struct small *s, unsigned n, unsigned i, unsigned rights)
{
    unsigned missing;
    if (s->page[n][i].kind == SMALL_PRIVATE)
        return; /* it may be there or not */
    if (!s->lent_there) {
        if (qy_arena_alloc(&s->f.foreign, 0, QY_FRAME_USER, &s->lent) != QY_OK)
            return;
        memset(qy_port_ram(pfn_to_paddr(s->lent)), 0, QY_PAGE_BYTES);
        s->lent_byte = 0;
        s->lent_there = true;
    }
    enum qy_error got = qy_space_map_frame(&s->f.space[n], small_address(s, i), s->lent, 1, rights, QY_PT_RIGHTS, false,
                                           &missing);
    if (got != QY_INVALID_FLAGS && got != QY_MISSING_TABLE &&
        small_says(s, got,
                   s->page[n][i].kind == SMALL_EMPTY || s->page[n][i].kind == SMALL_GONE ? QY_OK : QY_ALREADY_MAPPED,
                   "lend"))
        s->page[n][i] = (struct small_page){.kind = SMALL_LENT, .rights = (uint8_t)rights};
}

static inline void small_revoke(struct small *s)
{
    if (!s->lent_there)
        return;
    if (qy_vm_revoke(&s->f.vm, s->lent) || qy_arena_free(&s->f.foreign, s->lent, 0, QY_FRAME_USER) != QY_OK)
        s->wrong = "revoke";
    s->lent_there = false;
    for (unsigned n = 0; n < SMALL_SPACES; n++)
        for (unsigned i = 0; i < s->pages; i++)
            if (s->page[n][i].kind == SMALL_LENT)
                s->page[n][i].kind = SMALL_GONE;
}

static inline void small_settle(struct small *s, unsigned n, unsigned first)
{
    bool going = true;
    for (uint64_t at = small_address(s, first); going && at < small_address(s, s->pages);)
        going = small_says(s, qy_space_settle_step(&s->f.space[n], &at), QY_OK, "settle");
    for (unsigned i = 0; i < s->pages; i++)
        if (s->page[n][i].kind == SMALL_COPIED && !s->page[n][i].copied && small_has_copy(s, n, i))
            small_copy(s, &s->page[n][i]);
}

static inline void small_do(struct small *s, enum small_call call, unsigned n, unsigned first, unsigned count, unsigned a)
{
    switch (call) {
    case SMALL_MAP:
        small_map(s, n, first, count, small_rights[a % 4]);
        break;
    case SMALL_UNMAP:
        small_unmap(s, n, first, count);
        break;
    case SMALL_PROTECT:
        small_protect(s, n, first, count, small_rights[a % 4]);
        break;
    case SMALL_TOUCH:
        small_touch(s, n, first, (enum qy_access)(a % 3), (uint8_t)(n + 1));
        break;
    case SMALL_CLONE:
        small_clone(s, n, first, count);
        break;
    case SMALL_LEND:
        small_lend(s, n, first, small_rights[a % 3]);
        break;
    case SMALL_CLOSE:
        vm_close(&s->f, n);
        s->fail_at = 0;
        small_open(s, n);
        break;
    case SMALL_SETTLE:
        small_settle(s, n, first);
        break;
    case SMALL_MAP_SHARED:
    case SMALL_MAP_COPIED:
        small_map_object(s, n, first, count, a, call == SMALL_MAP_SHARED);
        break;
    case SMALL_RESIZE:
        small_resize(s, a % (SMALL_OBJECT_PAGES + 1));
        break;
    case SMALL_DISCARD:
        small_discard(s, first, count);
        break;
    case SMALL_SUPPLY:
        small_supply(s, first, (uint8_t)(a + 1));
        break;
    case SMALL_WRITTEN:
        small_written(s);
        break;
    case SMALL_PAGED:
        s->paged = a & 1;
        atomic_store(&s->object.paged, s->paged);
        break;
    default:
        small_revoke(s);
    }
}

/* Regions are the model's, and validators agree. */
static inline void small_compare(struct small *s)
{
    static const enum qy_mark_kind kinds[] = {
        [SMALL_PRIVATE] = QY_MARK_ANON, [SMALL_LENT] = QY_MARK_NONE, [SMALL_GONE] = QY_MARK_REVOKED,
        [SMALL_SHARED] = QY_MARK_OBJECT, [SMALL_COPIED] = QY_MARK_OBJECT};
    if (qy_object_check(&s->object))
        s->wrong = "the object's validator";
    for (unsigned i = 0; i < SMALL_OBJECT_REACH; i++)
        if (s->has[i].there != (small_object_frame(s, i) != 0))
            s->wrong = "a page of the object";
    for (unsigned n = 0; n < SMALL_SPACES; n++) {
        if (qy_space_check(&s->f.space[n]) || !vm_is_exact(&s->f, n))
            s->wrong = "a validator";
        for (unsigned i = 0; i < s->pages; i++) {
            const struct small_page *page = &s->page[n][i];
            struct qy_region region;
            bool there = qy_space_query(&s->f.space[n], small_address(s, i), &region) == QY_OK &&
                         region.start <= small_address(s, i);
            if (there != (page->kind != SMALL_EMPTY) ||
                (there && (region.mark.rights != page->rights || region.foreign != (page->kind == SMALL_LENT) ||
                           region.mark.kind != kinds[page->kind])))
                s->wrong = "a region";
            else if (small_is_object(page) &&
                     (region.mark.shared != (page->kind == SMALL_SHARED) ||
                      region.mark.offset + (small_address(s, i) - region.start) / QY_PAGE_BYTES != page->of))
                s->wrong = "a region of an object";
        }
    }
    s->f.checks++;
}

static inline void small_end(struct small *s)
{
    s->fail_at = 0;
    small_revoke(s);
    while (qy_object_destroy_step(&s->object) == QY_BUSY)
        continue;
    vm_done(&s->f);
}

static struct small small;

enum qy_error __real_qy_arena_alloc(struct qy_arena *arena, unsigned order, enum qy_frame_state state, pfn_t *out);
enum qy_error __wrap_qy_arena_alloc(struct qy_arena *arena, unsigned order, enum qy_frame_state state, pfn_t *out);
enum qy_error __wrap_qy_arena_alloc(struct qy_arena *arena, unsigned order, enum qy_frame_state state, pfn_t *out)
{
    if (small.fail_at && arena != &small.f.foreign && arena != &small.f.root && --small.fail_at == 0)
        return QY_OUT_OF_MEMORY;
    return __real_qy_arena_alloc(arena, order, state, out);
}

#endif
