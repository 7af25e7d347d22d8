/*
 * Large pages under threads: each is a CPU that fills stretches until they are one page, while others fill the same ones, unmap and
 * protect parts of them, clone and destroy the space, move pages to another budget, have them evicted, take what is reserved, and
 * fill regions of 2 MiB pages in the same place.
 *
 * As in threads.c (cpu_threads.h) every word carries the address of its page: a page that is put
 * together or divided while somebody is in it, or given up too early, shows as a word of another page. At the end the validators
 * hold and the arenas are whole. TEST_OPS=n.
 */
#include "cpu_threads.h"

#define AT 0x40000000ull
#define PAGES 512u
#define STRETCHES 3u
#define STRETCH (PAGES * QY_PAGE_BYTES)

/* A word that is read at a page is 0, or was written there. */
static void use(struct qy_space *space, unsigned cpu, uint64_t page, bool write)
{
    uint64_t value = page | (cpu + 1);
    enum qy_error error = touch(space, page, cpu, write, &value);
    if (error == QY_OK && !write && value && value != (page | (cpu + 1)))
        fail("a word of another page", value);
    if (error != QY_OK && error != QY_NOT_MAPPED && error != QY_NO_RIGHTS &&
        error != QY_OUT_OF_MEMORY)
        fail("a page is refused", error);
}

static uint64_t some_page(uint64_t *r)
{
    return AT + random_below(r, STRETCHES * PAGES) * QY_PAGE_BYTES;
}

static void fill(struct qy_space *space, unsigned cpu, uint64_t *r)
{
    uint64_t at = AT + random_below(r, STRETCHES) * STRETCH;
    for (unsigned i = 0; i < PAGES; i++)
        use(space, cpu, at + i * QY_PAGE_BYTES, random_below(r, 2));
}

static void change(struct qy_space *space, uint64_t *r)
{
    uint64_t at = some_page(r), pages = 1 + random_below(r, random_below(r, 4) ? 8 : 700);
    struct qy_mark mark = vm_anon(RW);
    mark.offset = QY_PAGES_GROW;
    if (pages > (AT + STRETCHES * STRETCH - at) / QY_PAGE_BYTES)
        pages = (AT + STRETCHES * STRETCH - at) / QY_PAGE_BYTES;
    enum qy_error error = QY_OK;
    switch (random_below(r, 4)) {
    case 0:
        error = qy_space_unmap_region(space, at, pages * QY_PAGE_BYTES);
        break;
    case 1:
        error =
            qy_space_protect_region(space, at, pages * QY_PAGE_BYTES, random_below(r, 2) ? RW : RO);
        break;
    case 2: /* all of a stretch, and back */
        at = qy_align_down(at, STRETCH);
        error = qy_space_unmap_region(space, at, STRETCH);
        mark.offset = random_below(r, 3) ? QY_PAGES_GROW : QY_PAGES_2M;
        if (error == QY_OK || error == QY_NOT_MAPPED)
            error = qy_space_map_region(space, &at, STRETCH, &mark);
        break;
    default:
        error = qy_space_map_region(space, &at, pages * QY_PAGE_BYTES, &mark);
        if (error == QY_ALREADY_MAPPED)
            error = qy_space_protect_region(space, AT, STRETCHES * STRETCH, RW);
    }
    if (error != QY_OK && error != QY_ALREADY_MAPPED && error != QY_NOT_MAPPED &&
        error != QY_OUT_OF_MEMORY)
        fail("a change is refused", error);
}

static void fork_and_die(unsigned cpu, uint64_t *r)
{
    struct qy_space *space = &f.space[cpu];
    if (cpu == 0 || qy_space_init(space, &f.vm, &f.budget[cpu], true) != QY_OK)
        return;
    enum qy_error error = qy_space_clone(space, &f.space[0], QY_PAGE_BYTES, QY_USER_END);
    if (error != QY_OK && error != QY_OUT_OF_MEMORY)
        fail("a clone is refused", error);
    for (unsigned i = 0; i < 20; i++)
        use(space, cpu, some_page(r), random_below(r, 2));
    change(space, r);
    while (qy_space_destroy_step(space) == QY_BUSY)
        qy_port_relax();
}

static void move_some(struct qy_space *space, unsigned cpu, uint64_t *r)
{
    uint64_t at = some_page(r), end = at + 40 * QY_PAGE_BYTES;
    struct qy_budget *payer = &f.budget[random_below(r, 2) ? 0 : cpu];
    for (unsigned i = 0; i < 20 && at < end; i++)
        if (qy_space_migrate_step(space, payer, &at, end) != QY_OK)
            break;
}

static void swap_some(struct qy_space *space, unsigned cpu, uint64_t *r)
{
    uint64_t first = cpu * SLOTS + random_below(r, SLOTS - QY_SWAP_BATCH), taken = 0,
             at = some_page(r);
    struct qy_harvest seen;
    if (qy_space_harvest(space, at, QY_USER_END, &seen) != QY_OK)
        fail("a harvest is refused", at);
    if (qy_space_evict(space, at, 1 + (unsigned)random_below(r, QY_SWAP_BATCH), &swap, first,
                       store[first], &taken) != QY_OK)
        fail("an eviction is refused", at);
}

/* Somebody needs what is reserved, for a while. */
static void press(uint64_t *r)
{
    pfn_t taken[64];
    unsigned n = 0, order = 6 + (unsigned)random_below(r, 3);
    while (n < 64 && qy_arena_alloc(&f.arena[0], order, QY_FRAME_OBJECT, &taken[n]) == QY_OK)
        n++;
    while (n > 0)
        if (qy_arena_free(&f.arena[0], taken[--n], order, QY_FRAME_OBJECT) != QY_OK)
            fail("a block cannot be given back", taken[n].raw);
}

static void *body(void *argument)
{
    unsigned cpu = (unsigned)(uintptr_t)argument;
    struct qy_space *space = &f.space[0];
    uint64_t r = cpu + 77;
    hosted_cpu_set(cpu);
    for (uint64_t i = 0; i < ops; i++) {
        unsigned what = (unsigned)random_below(&r, 100);
        if (what < 40)
            fill(space, cpu, &r);
        else if (what < 70)
            use(space, cpu, some_page(&r), true);
        else if (what < 88)
            change(space, &r);
        else if (what < 91)
            move_some(space, cpu, &r);
        else if (what < 94)
            swap_some(space, cpu, &r);
        else if (what < 97)
            press(&r);
        else
            fork_and_die(cpu, &r);
    }
    return NULL;
}

static void together(unsigned kind)
{
    uint64_t at = AT;
    struct qy_mark mark = vm_anon(RW);
    mark.offset = QY_PAGES_GROW;
    cpu_threads_make(kind, 8000, 400);
    CHECK_EQ(qy_space_map_region(&f.space[0], &at, STRETCHES * STRETCH, &mark), QY_OK);
    cpu_threads_run(body);
    printf("# %lu promoted, %lu divided, %lu reserved, %lu needed elsewhere\n",
           (unsigned long)f.space[0].promoted, (unsigned long)f.space[0].demoted,
           (unsigned long)f.space[0].kept_made, (unsigned long)f.space[0].kept_broken);
    CHECK(f.space[0].promoted > 0 && f.space[0].demoted > 0);
    vm_check(&f);
    CHECK(qy_swap_check(&swap) == NULL);
    for (unsigned i = 0; i < VM_SPACES; i++)
        CHECK(qy_arena_check(&f.arena[i]) == NULL);
    while (qy_swap_destroy_step(&swap) == QY_BUSY)
        continue;
    vm_check(&f);
    vm_done(&f);
}

static void x86(void)
{
    together(0);
}

static void sv48(void)
{
    together(1);
}

static const struct test tests[] = {
    {"x86-64: large pages put together and divided in use", x86},
    {"Sv48: large pages put together and divided in use", sv48},
};
TEST_MAIN(tests)
