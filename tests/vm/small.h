/*
 * A small world of two spaces and a few pages on both sides of a leaf table's end, beside a model that copies: for every
 * small state (exhaustive.c) and for any sequence of bytes (tests/fuzz/fuzz_vm.c).
 *
 *     pages   ... | 0 | 1 || 2 | 3 | ...        || = 1 GiB: two leaf tables, two tables above
 *
 * A call says what the model says, or OUT_OF_MEMORY, and then nothing has changed; a byte that is read is the one that was written.
 * Inner allocations fail when told so: link with --wrap=qy_arena_alloc.
 */
#ifndef TESTS_VM_SMALL_H
#define TESTS_VM_SMALL_H

#include "fixture.h"

#define SMALL_SPACES 2u
#define SMALL_PAGES_MAX 8u
#define SMALL_LEAF 0x40000000ull

enum small_kind { SMALL_EMPTY, SMALL_PRIVATE, SMALL_LENT, SMALL_GONE };

struct small_page {
    uint8_t kind, rights, byte;
};

/* X(NAME): the calls. first and count: pages; a: rights or access. */
#define SMALL_CALLS(X) X(MAP) X(UNMAP) X(PROTECT) X(TOUCH) X(CLONE) X(LEND) X(CLOSE) X(SETTLE) X(REVOKE)

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
}

static inline void small_map(struct small *s, unsigned n, unsigned first, unsigned count, unsigned rights)
{
    enum qy_error want = QY_OK;
    for (unsigned i = first; i < first + count; i++)
        if (s->page[n][i].kind != SMALL_EMPTY)
            want = QY_ALREADY_MAPPED;
    if (small_says(s, vm_map(&s->f, n, small_address(s, first), count * QY_PAGE_BYTES, rights), want, "map"))
        for (unsigned i = first; i < first + count; i++)
            s->page[n][i] = (struct small_page){SMALL_PRIVATE, (uint8_t)rights, 0};
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

/* Lent pages may be refused: what their aliases have been counts. */
static inline void small_protect(struct small *s, unsigned n, unsigned first, unsigned count, unsigned rights)
{
    enum qy_error want = QY_OK;
    bool lent = false;
    for (unsigned i = first; i < first + count; i++) {
        lent |= s->page[n][i].kind == SMALL_LENT;
        if (s->page[n][i].kind == SMALL_EMPTY)
            want = QY_NOT_MAPPED;
    }
    enum qy_error got =
        qy_space_protect_region(&s->f.space[n], small_address(s, first), count * QY_PAGE_BYTES, rights);
    if (!(lent && got == QY_INVALID_FLAGS) && small_says(s, got, want, "protect"))
        for (unsigned i = first; i < first + count; i++)
            s->page[n][i].rights = (uint8_t)rights;
}

static inline void small_touch(struct small *s, unsigned n, unsigned i, enum qy_access access, uint8_t value)
{
    static const unsigned need[] = {QY_PT_READ, QY_PT_WRITE, QY_PT_EXEC};
    struct small_page *page = &s->page[n][i];
    uint8_t *at, *expected = page->kind == SMALL_LENT ? &s->lent_byte : &page->byte;
    enum qy_error want = page->kind == SMALL_EMPTY        ? QY_NOT_MAPPED
                         : page->kind == SMALL_GONE       ? QY_REVOKED
                         : !(page->rights & need[access]) ? QY_NO_RIGHTS
                                                          : QY_OK;
    enum qy_error got = vm_touch(&s->f, n, small_address(s, i), access, &at);
    if ((page->kind == SMALL_LENT && got == QY_INVALID_FLAGS) || !small_says(s, got, want, "touch"))
        return;
    if (*at != *expected)
        s->wrong = "a byte";
    if (access == QY_ACCESS_WRITE)
        *at = *expected = value;
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
        s->page[n][i] = (struct small_page){SMALL_LENT, (uint8_t)rights, 0};
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
    for (uint64_t at = small_address(s, first); at < small_address(s, s->pages);)
        if (!small_says(s, qy_space_settle_step(&s->f.space[n], &at), QY_OK, "settle"))
            return;
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
    default:
        small_revoke(s);
    }
}

/* Regions are the model's, and validators agree. */
static inline void small_compare(struct small *s)
{
    static const enum qy_mark_kind kinds[] = {
        [SMALL_PRIVATE] = QY_MARK_ANON, [SMALL_LENT] = QY_MARK_NONE, [SMALL_GONE] = QY_MARK_REVOKED};
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
        }
    }
    s->f.checks++;
}

static inline void small_end(struct small *s)
{
    s->fail_at = 0;
    small_revoke(s);
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
