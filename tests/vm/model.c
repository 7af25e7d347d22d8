/*
 * Random operations on up to four spaces beside a model: for each page its kind, its rights and its byte.
 *
 * Bytes are written and read through a CPU that walks the tables by the manuals and forgets nothing unless told, so
 * copies, zeroes, sharing, revocation and missing flushes show as wrong bytes. Budgets are small: calls fail in the middle all the time,
 * and then nothing may have changed. Validators after each step; at the end every arena is one free whole. TEST_OPS=n, TEST_SEED=n.
 */
#include "fixture.h"

#include <inttypes.h>
#include <lib/random.h>

/* The window: three leaf tables and a half, across a boundary of 1 GiB. */
#define BASE 0x3fe00000ull
#define PAGES 1800u
#define FOREIGN 6u

enum kind { EMPTY, PRIVATE, MAPPED, GONE, OBJECT };

struct page {
    uint8_t kind, rights, max, byte;
    uint8_t frame;   /* MAPPED */
    uint32_t offset; /* OBJECT */
};

static struct vm_fixture f;
static struct page model[VM_SPACES][PAGES];
static pfn_t foreign[FOREIGN];
static uint8_t foreign_byte[FOREIGN];
static bool foreign_there[FOREIGN];
static uint64_t seed, refused, done;
static unsigned bound[VM_SPACES];

static uint64_t address(unsigned page)
{
    return BASE + page * QY_PAGE_BYTES;
}

static unsigned some_rights(void)
{
    static const unsigned all[] = {RW, RW, RW, RO, RX, 0};
    return all[random_below(&seed, 6)];
}

/* A range: mostly short, now and then whole tables. */
static void range(unsigned *first, unsigned *count)
{
    *first = (unsigned)random_below(&seed, PAGES);
    *count = 1 + (unsigned)(random_below(&seed, 4) ? random_below(&seed, 40)
                                                   : random_below(&seed, 1200));
    if (random_below(&seed, 4) == 0)
        *first &= ~511u;
    if (*count > PAGES - *first)
        *count = PAGES - *first;
}

static unsigned alive(void)
{
    unsigned n = (unsigned)random_below(&seed, VM_SPACES);
    while (!f.alive[n])
        n = (n + 1) % VM_SPACES;
    return n;
}

static void expect(enum qy_error got, enum qy_error want, const char *what)
{
    if (got == QY_OUT_OF_MEMORY)
        refused++;
    else if (got == QY_OK)
        done++;
    /* A shared table may have to be copied before anything is known of the rest. */
    if (got == want || got == QY_OUT_OF_MEMORY)
        return;
    printf("# %s: got %s, expected %s\n", what, qy_error_name(got), qy_error_name(want));
    CHECK_EQ(got, want);
    exit(1);
}

static void op_map(unsigned n)
{
    unsigned first, count, rights = some_rights();
    range(&first, &count);
    bool object = random_below(&seed, 6) == 0;
    struct qy_mark mark = vm_anon(rights);
    if (object)
        mark = (struct qy_mark){.kind = QY_MARK_OBJECT,
                                .rights = rights,
                                .max = QY_PT_RIGHTS,
                                .binding = bound[n],
                                .offset = first * 3};
    enum qy_error want = QY_OK;
    for (unsigned i = 0; i < count; i++)
        if (model[n][first + i].kind != EMPTY)
            want = QY_ALREADY_MAPPED;
    uint64_t at = address(first);
    enum qy_error got = qy_space_map_region(&f.space[n], &at, count * QY_PAGE_BYTES, &mark);
    expect(got, want, "map");
    for (unsigned i = 0; i < count && got == QY_OK; i++)
        model[n][first + i] =
            (struct page){object ? OBJECT : PRIVATE, (uint8_t)rights, QY_PT_RIGHTS, 0, 0,
                          object ? first * 3 + i : 0};
}

static void op_unmap(unsigned n)
{
    unsigned first, count;
    range(&first, &count);
    enum qy_error want = QY_NOT_MAPPED;
    for (unsigned i = 0; i < count; i++)
        if (model[n][first + i].kind != EMPTY)
            want = QY_OK;
    enum qy_error got = qy_space_unmap_region(&f.space[n], address(first), count * QY_PAGE_BYTES);
    expect(got, want, "unmap");
    for (unsigned i = 0; i < count && got == QY_OK; i++)
        model[n][first + i] = (struct page){0};
}

/* Some mapping of the frame, other than those pages of this space, is writable or executable, or may have been. */
static bool op_protect_is_open(unsigned n, unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (model[n][first + i].kind == MAPPED)
            return true;
    return false;
}

static void op_protect(unsigned n)
{
    unsigned first, count, rights = some_rights();
    range(&first, &count);
    enum qy_error want = QY_OK;
    for (unsigned i = 0; i < count; i++)
        if (model[n][first + i].kind == EMPTY)
            want = QY_NOT_MAPPED;
    enum qy_error got =
        qy_space_protect_region(&f.space[n], address(first), count * QY_PAGE_BYTES, rights);
    /* Whether aliases of a frame allow it depends on what they have been: either is right, if nothing changes. */
    if (!(got == QY_INVALID_FLAGS && op_protect_is_open(n, first, count)))
        expect(got, want, "protect");
    for (unsigned i = 0; i < count && got == QY_OK; i++)
        model[n][first + i].rights = (uint8_t)rights;
}

static void op_touch(unsigned n)
{
    static const unsigned need[] = {QY_PT_READ, QY_PT_WRITE, QY_PT_EXEC};
    unsigned i = (unsigned)random_below(&seed, PAGES);
    if (random_below(&seed, 2)) /* where something is */
        for (unsigned tries = 0; tries < PAGES && model[n][i].kind == EMPTY; tries++)
            i = (i + 1) % PAGES;
    struct page *page = &model[n][i];
    f.cpu = (unsigned)random_below(&seed, 2);
    enum qy_access access = (enum qy_access)random_below(&seed, 3);
    uint8_t *at = NULL;
    enum qy_error want = page->kind == EMPTY              ? QY_NOT_MAPPED
                         : page->kind == GONE             ? QY_REVOKED
                         : !(page->rights & need[access]) ? QY_NO_RIGHTS
                         : page->kind == OBJECT           ? QY_WOULD_WAIT
                                                          : QY_OK;
    enum qy_error got = vm_touch(&f, n, address(i) + random_below(&seed, 4096), access, &at);
    if (page->kind == MAPPED && got == QY_INVALID_FLAGS && access != QY_ACCESS_WRITE)
        return; /* an alias has taken the other class meanwhile */
    if (page->kind == MAPPED && got == QY_INVALID_FLAGS)
        return;
    expect(got, want, "touch");
    if (got != QY_OK)
        return;
    uint8_t *byte = (uint8_t *)((uintptr_t)at & ~(uintptr_t)4095);
    uint8_t *expected = page->kind == MAPPED ? &foreign_byte[page->frame] : &page->byte;
    if (*byte != *expected) {
        printf("# space %u page %u: %u instead of %u\n", n, i, *byte, *expected);
        CHECK_EQ(*byte, *expected);
        exit(1);
    }
    if (access == QY_ACCESS_WRITE)
        *byte = *expected = (uint8_t)random_below(&seed, 256);
}

/* Is a range of `to` empty, with the leaf tables that it touches? 2: yes, 1: the range alone, 0: no. */
static unsigned emptiness(unsigned to, unsigned first, unsigned count)
{
    unsigned whole_first = first & ~511u, whole_end = (first + count + 511) & ~511u, empty = 2;
    for (unsigned i = whole_first; i < whole_end && i < PAGES; i++)
        if (model[to][i].kind != EMPTY)
            empty = i >= first && i < first + count ? 0 : empty ? 1 : 0;
    return empty;
}

static void op_clone(unsigned from)
{
    unsigned to = (unsigned)random_below(&seed, VM_SPACES), first = 0, count = PAGES;
    if (to == from)
        return;
    if (!f.alive[to]) {
        if (qy_space_init(&f.space[to], &f.vm, &f.budget[to], true) != QY_OK)
            return;
        f.alive[to] = true;
        int thing;
        if (qy_space_bind(&f.space[to], &thing, 1, &bound[to]) != QY_OK) {
            vm_close(&f, to);
            return;
        }
        memcpy(f.space[to].bindings[0], f.space[from].bindings[0], QY_PAGE_BYTES);
        memset(model[to], 0, sizeof(model[to]));
    }
    if (random_below(&seed, 2))
        range(&first, &count);
    unsigned empty = emptiness(to, first, count);
    enum qy_error got =
        qy_space_clone(&f.space[to], &f.space[from], address(first), address(first + count));
    if (empty != 1)
        expect(got, empty ? QY_OK : QY_ALREADY_MAPPED, "clone");
    else if (got != QY_OK && got != QY_OUT_OF_MEMORY)
        expect(got, QY_ALREADY_MAPPED, "clone beside something");
    for (unsigned i = 0; i < count && got == QY_OK; i++)
        if (model[from][first + i].kind != EMPTY)
            model[to][first + i] = model[from][first + i];
}

static void op_close(unsigned n)
{
    unsigned others = 0;
    for (unsigned i = 0; i < VM_SPACES; i++)
        others += i != n && f.alive[i];
    if (!others || random_below(&seed, 8))
        return;
    vm_close(&f, n);
    memset(model[n], 0, sizeof(model[n]));
}

/* Into the space's own budget, or into anybody's. */
static void op_settle(unsigned n)
{
    uint64_t at =
        random_below(&seed, 3) ? address((unsigned)random_below(&seed, PAGES)) : address(0);
    unsigned steps = (unsigned)random_below(&seed, 60);
    struct qy_budget *payer =
        random_below(&seed, 2) ? f.space[n].budget : &f.budget[random_below(&seed, VM_SPACES)];
    while (steps-- > 0 && at < address(PAGES)) {
        enum qy_error got = qy_space_migrate_step(&f.space[n], payer, &at, address(PAGES));
        expect(got, QY_OK, "settle");
        if (got != QY_OK)
            break;
    }
}

static void op_frame(unsigned n)
{
    unsigned i = (unsigned)random_below(&seed, PAGES), k = (unsigned)random_below(&seed, FOREIGN),
             rights = random_below(&seed, 3) ? RW : RO, missing;
    if (!foreign_there[k]) {
        if (qy_arena_alloc(&f.foreign, 0, QY_FRAME_USER, &foreign[k]) != QY_OK)
            return;
        foreign_there[k] = true;
        foreign_byte[k] = 0;
        memset(qy_port_ram(pfn_to_paddr(foreign[k])), 0, QY_PAGE_BYTES);
    }
    if (random_below(&seed, 4) == 0)
        rights = RX;
    bool supply =
        model[n][i].kind == OBJECT || (model[n][i].kind == PRIVATE && random_below(&seed, 2));
    if (model[n][i].kind == PRIVATE)
        return; /* it may be there or not */
    enum qy_error got = qy_space_map_frame(&f.space[n], address(i), foreign[k], 1, rights,
                                           QY_PT_RIGHTS, supply, &missing);
    if (got == QY_INVALID_FLAGS || got == QY_MISSING_TABLE)
        return;
    expect(got,
           model[n][i].kind == EMPTY || model[n][i].kind == GONE || supply ? QY_OK
                                                                           : QY_ALREADY_MAPPED,
           "map a frame");
    if (got == QY_OK)
        model[n][i] = (struct page){MAPPED, (uint8_t)rights, QY_PT_RIGHTS, 0, (uint8_t)k, 0};
}

static void op_revoke(void)
{
    unsigned k = (unsigned)random_below(&seed, FOREIGN);
    if (!foreign_there[k] || random_below(&seed, 3))
        return;
    CHECK(!qy_vm_revoke(&f.vm, foreign[k]));
    CHECK_EQ(qy_arena_free(&f.foreign, foreign[k], 0, QY_FRAME_USER), QY_OK);
    foreign_there[k] = false;
    for (unsigned n = 0; n < VM_SPACES; n++)
        for (unsigned i = 0; i < PAGES; i++)
            if (model[n][i].kind == MAPPED && model[n][i].frame == k)
                model[n][i].kind = GONE;
}

/* A space's frames that others have, and it itself, are taken away. */
static void op_revoke_arena(unsigned n)
{
    uint64_t cursor = 0;
    if (random_below(&seed, 20))
        return;
    /* Who wants to keep what it shares with others settles first. */
    for (unsigned i = 0; i < VM_SPACES; i++) {
        uint64_t at = address(0);
        while (i != n && f.alive[i] && at < address(PAGES))
            if (qy_space_settle_step(&f.space[i], &at) != QY_OK)
                return;
    }
    vm_close(&f, n);
    memset(model[n], 0, sizeof(model[n]));
    while (!qy_vm_revoke_arena_step(&f.vm, &f.arena[n], &cursor)) {
    }
    CHECK(qy_vm_reclaim(&f.vm));
    qy_heap_reclaim(&f.heap[n]);
    qy_irq_is_off();
    qy_frame_reclaim(&f.arena[n]);
    CHECK_EQ(qy_arena_pages(&f.arena[n], QY_FRAME_FREE), f.arena[n].total_pages);
    bool any = false;
    for (unsigned i = 0; i < VM_SPACES; i++)
        any |= f.alive[i];
    if (!any && qy_space_init(&f.space[n], &f.vm, &f.budget[n], true) == QY_OK) {
        static int thing;
        f.alive[n] = true;
        CHECK_EQ(qy_space_bind(&f.space[n], &thing, 1, &bound[n]), QY_OK);
    }
}

static bool agrees(const struct page *page, const struct qy_region *region, unsigned pages_on)
{
    static const enum qy_mark_kind kinds[] = {
        [PRIVATE] = QY_MARK_ANON, [GONE] = QY_MARK_REVOKED, [OBJECT] = QY_MARK_OBJECT};
    return page->kind != EMPTY && region->mark.rights == page->rights &&
           region->foreign == (page->kind == MAPPED) &&
           (page->kind == MAPPED || region->mark.kind == kinds[page->kind]) &&
           (page->kind != OBJECT || region->mark.offset + pages_on == page->offset);
}

/* The regions of a space are the model's, page by page. */
static void compare(unsigned n)
{
    for (unsigned i = 0; i < PAGES;) {
        struct qy_region region = {.start = address(PAGES), .end = address(PAGES)};
        enum qy_error error = qy_space_query(&f.space[n], address(i), &region);
        CHECK(error == QY_OK || error == QY_NOT_FOUND);
        unsigned start = (unsigned)((region.start - BASE) / QY_PAGE_BYTES), first = start;
        unsigned end = (unsigned)((region.end - BASE) / QY_PAGE_BYTES);
        for (; i < end; i++) {
            bool right =
                i < start ? model[n][i].kind == EMPTY : agrees(&model[n][i], &region, i - first);
            if (right)
                continue;
            printf("# space %u page %u: kind %u rights %u, in region %u to %u, %u %u\n", n, i,
                   model[n][i].kind, model[n][i].rights, start, end, region.mark.kind,
                   region.mark.rights);
            CHECK(right);
            return;
        }
    }
}

static void step(uint64_t i)
{
    unsigned n = alive();
    switch (random_below(&seed, 24)) {
    case 0:
    case 1:
    case 2:
        op_map(n);
        break;
    case 3:
        op_unmap(n);
        break;
    case 4:
    case 5:
        op_protect(n);
        break;
    case 6:
        op_clone(n);
        break;
    case 7:
        op_close(n);
        break;
    case 8:
        op_settle(n);
        break;
    case 9:
        op_frame(n);
        break;
    case 10:
        op_revoke();
        op_revoke_arena(n);
        break;
    default:
        op_touch(n);
    }
    vm_check(&f);
    if (i % 32 == 0 && f.alive[n])
        compare(n);
    if (tap_failures) {
        printf("# at step %" PRIu64 "\n", i);
        exit(1);
    }
}

static void run(unsigned kind, uint64_t budget)
{
    const char *ops = getenv("TEST_OPS"), *first = getenv("TEST_SEED");
    static int thing;
    seed = first ? strtoull(first, NULL, 0) : 1;
    refused = done = 0;
    vm_make(&f, &vm_formats[kind], budget);
    f.tlb_every = 16;
    vm_open(&f, 0);
    memset(model, 0, sizeof(model));
    memset(foreign_there, 0, sizeof(foreign_there));
    CHECK_EQ(qy_space_bind(&f.space[0], &thing, 1, &bound[0]), QY_OK);
    for (uint64_t i = 0, count = ops ? strtoull(ops, NULL, 0) : 20000; i < count; i++)
        step(i);
    for (unsigned k = 0; k < FOREIGN; k++)
        if (foreign_there[k]) {
            CHECK(!qy_vm_revoke(&f.vm, foreign[k]));
            CHECK_EQ(qy_arena_free(&f.foreign, foreign[k], 0, QY_FRAME_USER), QY_OK);
        }
    vm_check(&f);
    vm_done(&f);
    printf("# %" PRIu64 " done, %" PRIu64 " refused for want of memory\n", done, refused);
    CHECK(done > 100);
}

static void plenty_x86(void)
{
    run(0, 8000);
}

static void plenty_sv48(void)
{
    run(1, 8000);
}

static void never_enough_x86(void)
{
    run(0, 28);
    CHECK(refused > 100);
}

static void never_enough_sv48(void)
{
    run(1, 28);
    CHECK(refused > 100);
}

static const struct test tests[] = {
    {"x86-64, large budgets", plenty_x86},
    {"Sv48, large budgets", plenty_sv48},
    {"x86-64, budgets of 28 pages", never_enough_x86},
    {"Sv48, budgets of 28 pages", never_enough_sv48},
};
TEST_MAIN(tests)
