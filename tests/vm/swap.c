/*
 * Pages in slots: what goes, what returns, and that nobody can tell but by waiting for it.
 *
 * After each step the validators of spaces, frames and the area run, and what CPUs remember is held against the tables;
 * the bytes of a page are looked at through a CPU that forgets nothing by itself. The last test does everything in any
 * order beside a model that is an array of bytes. It would miss what only two CPUs at once show (threads.c).
 */
#include "fixture.h"

#include <lib/random.h>
#include <qy/swap.h>

#define AT 0x10000000000ull
#define MIB (1ull << 20)
#define PAGE(n) ((n)*QY_PAGE_BYTES)
#define SLOTS 4096u

static struct vm_fixture f;
static struct qy_swap swap;
static uint8_t store[SLOTS][QY_PAGE_BYTES], buffer[QY_SWAP_BATCH][QY_PAGE_BYTES];

static void check(void)
{
    vm_check(&f);
    const char *broken = qy_swap_check(&swap);
    CHECK(broken == NULL);
    if (broken) {
        printf("# area: %s\n", broken);
        exit(1);
    }
}

/* The area is paid by budget 3. */
static void begin(const struct vm_format *kind)
{
    vm_make(&f, kind, 4096);
    vm_open(&f, 0);
    qy_swap_init(&swap, &f.vm, &f.budget[3], VM_OBJECT + 1);
    CHECK_EQ(qy_swap_reserve(&swap, 0, SLOTS), QY_OK);
    check();
}

static void destroy(void)
{
    for (unsigned steps = 0; steps < 1000 && qy_swap_destroy_step(&swap) == QY_BUSY; steps++)
        ;
    CHECK(atomic_load(&swap.root) == 0);
}

static void end(void)
{
    check();
    destroy();
    vm_done(&f);
}

static uint64_t used(unsigned n)
{
    qy_irq_is_off();
    qy_heap_reclaim(&f.heap[n]);
    qy_frame_reclaim(&f.arena[n]);
    return f.arena[n].total_pages - qy_arena_pages(&f.arena[n], QY_FRAME_FREE);
}

/* Up to 64 pages leave, to the slots from `first` on and into the store. */
static uint64_t evict(unsigned n, uint64_t address, unsigned pages, uint64_t first)
{
    uint64_t taken;
    CHECK_EQ(qy_space_evict(&f.space[n], address, pages, &swap, first, buffer, &taken), QY_OK);
    for (unsigned i = 0; i < pages; i++)
        if (taken >> i & 1)
            memcpy(store[first + i], buffer[i], QY_PAGE_BYTES);
    memset(buffer, 0xee, sizeof(buffer));
    return taken;
}

/* What a pager of the area does for a thread that touches a page. */
static enum qy_error touch(unsigned n, uint64_t address, enum qy_access access, uint8_t **out)
{
    enum qy_error error = vm_touch(&f, n, address, access, out);
    struct qy_fault fault;
    unsigned filled;
    if (error != QY_WOULD_WAIT)
        return error;
    CHECK_EQ(qy_space_fault(&f.space[n], address, access, &fault), QY_WOULD_WAIT);
    CHECK_EQ(fault.mark.kind, QY_MARK_SWAPPED);
    CHECK_EQ(fault.binding.cookie, VM_OBJECT + 1);
    CHECK(fault.binding.object == &swap);
    error = qy_swap_restore(&swap, fault.mark.offset, store[fault.mark.offset], &filled);
    CHECK(error != QY_OK || filled >= 1);
    return error == QY_OK ? vm_touch(&f, n, address, access, out) : error;
}

static int get(unsigned n, uint64_t address)
{
    uint8_t *at;
    enum qy_error error = touch(n, address, QY_ACCESS_READ, &at);
    return error == QY_OK ? *at : -(int)error;
}

static enum qy_error put(unsigned n, uint64_t address, uint8_t value)
{
    uint8_t *at;
    enum qy_error error = touch(n, address, QY_ACCESS_WRITE, &at);
    if (error == QY_OK)
        *at = value;
    return error;
}

static void pages_leave_and_return(const struct vm_format *kind)
{
    struct qy_region region;
    struct qy_space_stats stats;
    uint8_t *at;
    begin(kind);
    CHECK_EQ(vm_map(&f, 0, AT, 1000 * QY_PAGE_BYTES, RW), QY_OK);
    for (unsigned i = 0; i < 600; i++)
        CHECK_EQ(put(0, AT + PAGE(i) + i, (uint8_t)(i * 7 + 1)), QY_OK);
    uint64_t before = used(0);
    /* A batch over the edge of a table. */
    CHECK_EQ(evict(0, AT + PAGE(480), 64, 100), ~0ull);
    check();
    CHECK_EQ(used(0), before - 64);
    CHECK_EQ(qy_swap_used(&swap, 64), ~0ull << 36);
    CHECK_EQ(qy_swap_used(&swap, 128), (1ull << 36) - 1);
    CHECK_EQ(store[100 + 10][490], (uint8_t)(490 * 7 + 1));
    /* It is one region of memory, as before. */
    CHECK_EQ(qy_space_query(&f.space[0], AT, &region), QY_OK);
    CHECK_EQ(region.end, AT + PAGE(1000));
    CHECK_EQ(region.mark.kind, QY_MARK_ANON);
    qy_space_stats(&f.space[0], &stats);
    CHECK_EQ(stats.resident, 600 - 64);
    CHECK_EQ(vm_touch(&f, 0, AT + PAGE(490), QY_ACCESS_READ, &at), QY_WOULD_WAIT);
    check();
    CHECK_EQ(get(0, AT + PAGE(490) + 490), (uint8_t)(490 * 7 + 1));
    check();
    CHECK_EQ(used(0), before - 63);
    CHECK_EQ(qy_swap_used(&swap, 64), ~0ull << 36 & ~(1ull << (110 - 64)));
    /* Ahead of a touch, the same. */
    unsigned filled;
    CHECK_EQ(qy_swap_restore(&swap, 111, store[111], &filled), QY_OK);
    CHECK_EQ(filled, 1);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(491) + 491), (uint8_t)(491 * 7 + 1));
    CHECK_EQ(put(0, AT + PAGE(492), 99), QY_OK);
    for (unsigned i = 0; i < 600; i++)
        CHECK_EQ(get(0, AT + PAGE(i) + i), (uint8_t)(i * 7 + 1));
    CHECK_EQ(get(0, AT + PAGE(492)), 99);
    CHECK_EQ(used(0), before);
    CHECK_EQ(atomic_load(&swap.released), 0); /* none was dropped */
    end();
}

static void what_does_not_go(const struct vm_format *kind)
{
    unsigned missing;
    uint64_t taken;
    pfn_t frame;
    begin(kind);
    vm_open(&f, 1);
    CHECK_EQ(vm_map(&f, 0, AT, 16 * QY_PAGE_BYTES, RW), QY_OK);
    CHECK_EQ(qy_arena_alloc_pages(&f.foreign, 1, QY_FRAME_USER, &frame), QY_OK);
    CHECK_EQ(qy_space_map_frame(&f.space[0], AT + PAGE(20), frame, 1, RW, RW, false, &missing),
             QY_OK);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(put(0, AT + PAGE(i * 2), (uint8_t)(i + 1)), QY_OK);
    /* Holes, marks, other people's frames. */
    CHECK_EQ(evict(0, AT, 32, 0), 0x55);
    check();
    CHECK_EQ(evict(0, AT, 32, 64), 0); /* they are gone already */
    CHECK_EQ(get(0, AT + PAGE(2)), 2);
    CHECK_EQ(evict(0, AT + PAGE(2), 1, 0), 0);     /* the slot is in use */
    CHECK_EQ(evict(0, AT + PAGE(2), 1, SLOTS), 0); /* there is none */
    CHECK_EQ(get(0, AT + PAGE(2)), 2);
    check();
    /* A pinned frame, of a device that writes to it. */
    struct qy_pt pt = {f.kind->format, f.space[0].root};
    paddr_t place;
    unsigned flags, level;
    CHECK_EQ(qy_pt_translate(&pt, vaddr(AT + PAGE(2)), &place, &flags, &level), QY_OK);
    CHECK_EQ(qy_frame_pin(&f.machine.db, paddr_to_pfn(place)), QY_OK);
    CHECK_EQ(evict(0, AT + PAGE(2), 1, 8), 0);
    CHECK_EQ(qy_frame_unpin(&f.machine.db, paddr_to_pfn(place)), QY_OK);
    /* A table, then a page, that two spaces have; then one has it alone. */
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + PAGE(16)), QY_OK);
    CHECK_EQ(evict(0, AT, 16, 8), 0);
    CHECK_EQ(put(0, AT + PAGE(1), 9), QY_OK);
    check();
    CHECK_EQ(evict(0, AT, 16, 8), 2); /* page 2 is still in both */
    vm_close(&f, 1);
    CHECK_EQ(evict(0, AT, 16, 16), 4);
    CHECK_EQ(get(0, AT + PAGE(2)), 2);
    CHECK_EQ(get(0, AT + PAGE(1)), 9);
    CHECK_EQ(qy_space_evict(&f.space[0], AT, 0, &swap, 0, buffer, &taken), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_space_evict(&f.space[0], AT, 65, &swap, 0, buffer, &taken), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_space_evict(&f.space[0], AT + 1, 1, &swap, 0, buffer, &taken), QY_INVALID_ADDRESS);
    CHECK_EQ(qy_space_evict(&f.space[0], QY_USER_END - PAGE(1), 2, &swap, 0, buffer, &taken),
             QY_INVALID_ADDRESS);
    CHECK_EQ(qy_swap_reserve(&swap, QY_SWAP_SLOTS_MAX, 1), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_swap_reserve(&swap, 1, UINT64_MAX), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_swap_reserve(&swap, 1, 0), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT + PAGE(20), PAGE(1)), QY_OK);
    CHECK_EQ(qy_arena_free_pages(&f.foreign, frame, 1, QY_FRAME_USER), QY_OK);
    end();
}

static void clones_name_the_same_slot(const struct vm_format *kind)
{
    uint8_t *at;
    unsigned filled;
    begin(kind);
    vm_open(&f, 1);
    vm_open(&f, 2);
    CHECK_EQ(vm_map(&f, 0, AT, 8 * QY_PAGE_BYTES, RW), QY_OK);
    for (unsigned i = 0; i < 8; i++)
        CHECK_EQ(put(0, AT + PAGE(i), (uint8_t)(i + 1)), QY_OK);
    CHECK_EQ(evict(0, AT, 8, 0), 0xff);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + PAGE(8)), QY_OK);
    CHECK_EQ(qy_space_clone(&f.space[2], &f.space[1], AT, AT + PAGE(8)), QY_OK);
    check();
    /* Who touches it gets it; the others stay as they are. */
    CHECK_EQ(put(1, AT, 77), QY_OK);
    check();
    CHECK_EQ(vm_touch(&f, 0, AT + PAGE(7), QY_ACCESS_READ, &at), QY_WOULD_WAIT);
    CHECK_EQ(qy_swap_used(&swap, 0), 0xff);
    CHECK_EQ(get(0, AT), 1);
    CHECK_EQ(get(2, AT), 1);
    CHECK_EQ(get(1, AT), 77);
    check();
    CHECK_EQ(qy_swap_used(&swap, 0), 0xfe);
    /* Two wait for the same: one call serves both, the third is left. */
    CHECK_EQ(vm_touch(&f, 0, AT + PAGE(1), QY_ACCESS_READ, &at), QY_WOULD_WAIT);
    CHECK_EQ(vm_touch(&f, 2, AT + PAGE(1), QY_ACCESS_WRITE, &at), QY_WOULD_WAIT);
    CHECK_EQ(qy_swap_restore(&swap, 1, store[1], &filled), QY_OK);
    CHECK_EQ(filled, 2);
    check();
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(1), 5), QY_OK);
    CHECK_EQ(vm_read(&f, 2, AT + PAGE(1)), 2);
    CHECK_EQ(get(1, AT + PAGE(1)), 2);
    /* The clone settles, and the parent goes: what it has in slots stays. */
    for (uint64_t address = 0; address < QY_USER_END;)
        CHECK_EQ(qy_space_settle_step(&f.space[2], &address), QY_OK);
    check();
    vm_close(&f, 0);
    vm_close(&f, 1);
    check();
    CHECK_EQ(qy_swap_used(&swap, 0), 0xfc);
    for (unsigned i = 2; i < 8; i++)
        CHECK_EQ(get(2, AT + PAGE(i)), i + 1);
    CHECK_EQ(qy_swap_used(&swap, 0), 0);
    check();
    /* A page that comes back to a table that two have is written by neither without a copy. */
    CHECK_EQ(evict(2, AT, 1, 9), 1);
    vm_open(&f, 0);
    CHECK_EQ(vm_touch(&f, 2, AT, QY_ACCESS_READ, &at), QY_WOULD_WAIT);
    CHECK_EQ(qy_space_clone(&f.space[0], &f.space[2], AT, AT + 2 * MIB), QY_OK);
    CHECK_EQ(qy_swap_restore(&swap, 9, store[9], &filled), QY_OK);
    CHECK_EQ(filled, 1);
    check();
    CHECK_EQ(vm_write(&f, 0, AT, 200), QY_OK);
    CHECK_EQ(vm_read(&f, 2, AT), 1);
    end();
}

static void rights_change_meanwhile(const struct vm_format *kind)
{
    uint8_t *at;
    unsigned filled;
    begin(kind);
    CHECK_EQ(vm_map(&f, 0, AT, 4 * QY_PAGE_BYTES, RW), QY_OK);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(put(0, AT + PAGE(i), (uint8_t)(i + 1)), QY_OK);
    CHECK_EQ(evict(0, AT, 4, 0), 15);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, PAGE(1), RO), QY_OK);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT + PAGE(1), PAGE(1), 0), QY_OK);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT + PAGE(2), PAGE(1), RX), QY_OK);
    check();
    CHECK_EQ(vm_touch(&f, 0, AT, QY_ACCESS_WRITE, &at), QY_NO_RIGHTS);
    CHECK_EQ(get(0, AT), 1);
    CHECK_EQ(put(0, AT, 2), QY_NO_RIGHTS);
    CHECK_EQ(vm_touch(&f, 0, AT + PAGE(1), QY_ACCESS_READ, &at), QY_NO_RIGHTS);
    CHECK_EQ(qy_swap_restore(&swap, 1, store[1], &filled), QY_OK);
    check();
    CHECK_EQ(vm_touch(&f, 0, AT + PAGE(1), QY_ACCESS_READ, &at), QY_NO_RIGHTS);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT + PAGE(1), PAGE(1), RW), QY_OK);
    CHECK_EQ(get(0, AT + PAGE(1)), 2);
    CHECK_EQ(put(0, AT + PAGE(1), 3), QY_OK);
    CHECK_EQ(touch(0, AT + PAGE(2), QY_ACCESS_EXEC, &at), QY_OK);
    CHECK_EQ(*at, 3);
    CHECK_EQ(put(0, AT + PAGE(2), 3), QY_NO_RIGHTS);
    check();
    end();
}

static void slots_become_free_or_are_lost(const struct vm_format *kind)
{
    uint8_t *at;
    begin(kind);
    vm_open(&f, 1);
    CHECK_EQ(vm_map(&f, 0, AT, 64 * QY_PAGE_BYTES, RW), QY_OK);
    for (unsigned i = 0; i < 64; i++)
        CHECK_EQ(put(0, AT + PAGE(i), (uint8_t)(i + 1)), QY_OK);
    CHECK_EQ(evict(0, AT, 64, 0), ~0ull);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + PAGE(64)), QY_OK);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, PAGE(16)), QY_OK);
    check();
    CHECK_EQ(qy_swap_used(&swap, 0), ~0ull);
    CHECK_EQ(qy_space_unmap_region(&f.space[1], AT, PAGE(8)), QY_OK);
    check();
    CHECK_EQ(qy_swap_used(&swap, 0), ~0ull << 8);
    CHECK_EQ(atomic_load(&swap.released), 8);
    /* Lost: an error to whoever has it, for ever, and no wrong byte. */
    CHECK_EQ(qy_swap_discard_step(&swap, 20), QY_OK);
    check();
    CHECK_EQ(vm_touch(&f, 0, AT + PAGE(20), QY_ACCESS_READ, &at), QY_REVOKED);
    CHECK_EQ(vm_touch(&f, 1, AT + PAGE(20), QY_ACCESS_WRITE, &at), QY_REVOKED);
    CHECK_EQ(get(0, AT + PAGE(21)), 22);
    destroy();
    vm_check(&f);
    CHECK_EQ(vm_touch(&f, 0, AT + PAGE(22), QY_ACCESS_READ, &at), QY_REVOKED);
    CHECK_EQ(vm_touch(&f, 1, AT + PAGE(21), QY_ACCESS_READ, &at), QY_REVOKED);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(21)), 22);
    CHECK_EQ(used(3), 0);
    end();
}

/* A clock hand: what is used between two turns is seen by the second. */
static void hands_of_a_clock(const struct vm_format *kind)
{
    struct qy_harvest h;
    begin(kind);
    CHECK_EQ(vm_map(&f, 0, AT, 2048 * QY_PAGE_BYTES, RW), QY_OK);
    for (unsigned i = 0; i < 64; i++)
        CHECK_EQ(put(0, AT + PAGE(1024 + i), (uint8_t)i), QY_OK);
    CHECK_EQ(evict(0, AT + PAGE(1024 + 60), 4, 0), 15);
    for (unsigned turn = 0; turn < 3; turn++) {
        uint64_t at = 0, seen = 0;
        for (unsigned calls = 0; at < QY_USER_END && calls < 100; calls++, at = h.next) {
            CHECK_EQ(qy_space_harvest(&f.space[0], at, QY_USER_END, &h), QY_OK);
            CHECK(h.next > at);
            check();
            if (!h.pages)
                continue;
            seen++;
            CHECK_EQ(h.address, AT + PAGE(1024));
            CHECK_EQ(h.pages, ~0ull >> 4);
            CHECK_EQ(h.swapped, 15ull << 60);
            CHECK_EQ(h.accessed, turn == 0 ? ~0ull >> 4 : turn == 1 ? 0 : 1ull << 5 | 1ull << 9);
        }
        CHECK_EQ(seen, 1);
        if (turn == 1) {
            CHECK_EQ(get(0, AT + PAGE(1024 + 5)), 5);
            CHECK_EQ(put(0, AT + PAGE(1024 + 9), 9), QY_OK);
        }
    }
    CHECK_EQ(qy_space_harvest(&f.space[0], QY_USER_END, QY_USER_END, &h), QY_INVALID_ADDRESS);
    CHECK_EQ(qy_space_harvest(&f.space[0], 0, QY_USER_END + 1, &h), QY_INVALID_ADDRESS);
    end();
}

/* The n-th page that a budget has not got, for each n: nothing has changed, and the next try goes on. */
static void memory_runs_out(const struct vm_format *kind)
{
    static pfn_t taken[4096];
    begin(kind);
    vm_open(&f, 1);
    CHECK_EQ(vm_map(&f, 0, AT, 600 * QY_PAGE_BYTES, RW), QY_OK);
    for (unsigned i = 0; i < 600; i++)
        CHECK_EQ(put(0, AT + PAGE(i), (uint8_t)(i + 1)), QY_OK);
    for (unsigned i = 0; i < 576; i += 64)
        CHECK_EQ(evict(0, AT + PAGE(i), 64, i), ~0ull);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], AT, AT + PAGE(600)), QY_OK);
    for (unsigned what = 0; what < 3; what++) {
        struct qy_arena *arena = &f.arena[what == 2 ? 3 : 1];
        unsigned count = 0, failed = 0;
        enum qy_error error = QY_OUT_OF_MEMORY;
        (void)used(what == 2 ? 3 : 1);
        while (count < 4096 &&
               qy_arena_alloc_pages(arena, 1, QY_FRAME_OBJECT, &taken[count]) == QY_OK)
            count++;
        while (error != QY_OK) {
            error = what == 0 ? put(1, AT + PAGE(100), 200) /* a table of its own, nodes, a page */
                    : what == 1 ? (get(1, AT + PAGE(101)) == 102 ? QY_OK : QY_OUT_OF_MEMORY)
                                : qy_swap_reserve(&swap, 600000, 1);
            check();
            CHECK_EQ(get(0, AT + PAGE(300 + failed)), (uint8_t)(301 + failed));
            if (error == QY_OK)
                break;
            CHECK_EQ(error, QY_OUT_OF_MEMORY);
            failed++;
            CHECK(count > 0);
            if (!count)
                break;
            CHECK_EQ(qy_arena_free_pages(arena, taken[--count], 1, QY_FRAME_OBJECT), QY_OK);
            (void)used(what == 2 ? 3 : 1);
        }
        CHECK(failed > 0);
        while (count-- > 0)
            CHECK_EQ(qy_arena_free_pages(arena, taken[count], 1, QY_FRAME_OBJECT), QY_OK);
    }
    CHECK_EQ(get(1, AT + PAGE(100)), 200);
    CHECK_EQ(get(0, AT + PAGE(100)), 101);
    end();
}

/* ---- beside a model ---- */

#define PAGES 1100u /* three tables */

static struct {
    int value[PAGES]; /* -1: nothing mapped */
    unsigned rights[PAGES];
} model[3];
static bool lost[3][PAGES];
static uint64_t seed;

static unsigned pick(unsigned below)
{
    return (unsigned)random_below(&seed, below);
}

static void model_access(unsigned n, unsigned page)
{
    uint64_t address = AT + PAGE(page) + page % 4096;
    bool write = pick(2);
    uint8_t value = (uint8_t)pick(256);
    int expected = model[n].value[page];
    unsigned rights = model[n].rights[page];
    if (lost[n][page]) {
        CHECK_EQ(write ? -(int)put(n, address, value) : get(n, address), -(int)QY_REVOKED);
    } else if (expected < 0) {
        CHECK_EQ(get(n, address), -(int)QY_NOT_MAPPED);
    } else if (write) {
        CHECK_EQ(put(n, address, value), rights & QY_PT_WRITE ? QY_OK : QY_NO_RIGHTS);
        if (rights & QY_PT_WRITE)
            model[n].value[page] = value;
    } else {
        CHECK_EQ(get(n, address), rights ? expected : -(int)QY_NO_RIGHTS);
    }
}

static void model_range(unsigned n, unsigned page, unsigned pages)
{
    static const unsigned choices[] = {0, RO, RW, RW};
    uint64_t address = AT + PAGE(page);
    unsigned what = pick(3), rights = choices[pick(4)];
    bool holes = false, empty = true;
    for (unsigned i = page; i < page + pages; i++) {
        holes |= model[n].value[i] < 0;
        empty &= model[n].value[i] < 0;
    }
    enum qy_error error;
    if (what == 0)
        error = vm_map(&f, n, address, pages * QY_PAGE_BYTES, rights);
    else if (what == 1)
        error = qy_space_unmap_region(&f.space[n], address, pages * QY_PAGE_BYTES);
    else
        error = qy_space_protect_region(&f.space[n], address, pages * QY_PAGE_BYTES, rights);
    CHECK_EQ(error, what == 0   ? (empty ? QY_OK : QY_ALREADY_MAPPED)
                    : what == 1 ? (empty ? QY_NOT_MAPPED : QY_OK)
                                : (holes ? QY_NOT_MAPPED : QY_OK));
    for (unsigned i = page; i < page + pages && error == QY_OK; i++) {
        if (what != 2)
            lost[n][i] = false;
        if (what != 2)
            model[n].value[i] = what == 0 ? 0 : -1;
        if (what != 1)
            model[n].rights[i] = rights;
    }
}

static void model_evict(unsigned n, unsigned page, unsigned pages)
{
    unsigned first = pick(SLOTS - 64);
    pages = pages < 64 ? pages : 64;
    (void)evict(n, AT + PAGE(page), pages, first);
}

/* A slot is lost: whoever has it sees that. */
static void model_lose(void)
{
    static bool there[3][PAGES];
    unsigned slot = pick(SLOTS);
    struct qy_fault fault;
    if (!(qy_swap_used(&swap, slot / 64 * 64) >> slot % 64 & 1))
        return;
    for (unsigned n = 0; n < 3; n++)
        for (unsigned i = 0; i < PAGES; i++) {
            uint64_t address = AT + PAGE(i);
            unsigned rights = model[n].rights[i];
            there[n][i] =
                f.alive[n] && model[n].value[i] >= 0 && !lost[n][i] && rights &&
                !vm_translate(&f, n, address, QY_ACCESS_READ) &&
                qy_space_fault(&f.space[n], address, QY_ACCESS_READ, &fault) == QY_WOULD_WAIT &&
                fault.mark.offset == slot;
        }
    CHECK_EQ(qy_swap_discard_step(&swap, slot), QY_OK);
    for (unsigned n = 0; n < 3; n++)
        for (unsigned i = 0; i < PAGES; i++)
            lost[n][i] |= there[n][i];
}

static void model_clone(unsigned n)
{
    unsigned from = pick(3);
    if (from == n)
        return;
    vm_close(&f, n);
    vm_open(&f, n);
    CHECK_EQ(qy_space_clone(&f.space[n], &f.space[from], AT, AT + PAGE(PAGES)), QY_OK);
    model[n] = model[from];
    memcpy(lost[n], lost[from], sizeof(lost[n]));
}

static void anything_beside_a_model(const struct vm_format *kind)
{
    begin(kind);
    f.tlb_every = 16;
    seed = 42;
    for (unsigned n = 0; n < 3; n++) {
        if (n)
            vm_open(&f, n);
        for (unsigned i = 0; i < PAGES; i++)
            model[n].value[i] = -1;
    }
    memset(lost, 0, sizeof(lost));
    CHECK_EQ(vm_map(&f, 0, AT, PAGE(PAGES), RW), QY_OK);
    for (unsigned i = 0; i < PAGES; i++) {
        model[0].value[i] = 0;
        model[0].rights[i] = RW;
    }
    for (unsigned step = 0; step < 12000; step++) {
        unsigned n = pick(3), page = pick(PAGES), most = PAGES - page < 80 ? PAGES - page : 80;
        unsigned what = pick(100);
        struct qy_harvest h;
        if (what < 50)
            model_access(n, page);
        else if (what < 78)
            model_evict(n, page, 1 + pick(most));
        else if (what < 90)
            model_range(n, page, 1 + pick(most));
        else if (what < 96)
            CHECK_EQ(qy_space_harvest(&f.space[n], AT + PAGE(page), QY_USER_END, &h), QY_OK);
        else if (what < 98)
            model_clone(n);
        else if (what < 99)
            model_lose();
        else
            for (uint64_t address = 0; address < QY_USER_END;)
                CHECK_EQ(qy_space_settle_step(&f.space[n], &address), QY_OK);
        if (step % 8 == 0)
            check();
    }
    for (unsigned n = 0; n < 3; n++)
        for (unsigned i = 0; i < PAGES; i++)
            model_access(n, i);
    end();
}

/* Each on both machines. */
static void on_both(void (*run)(const struct vm_format *kind))
{
    for (unsigned k = 0; k < 2; k++)
        run(&vm_formats[k]);
}
#define ON_BOTH(X)                                                                                 \
    X(pages_leave_and_return, "pages leave for slots and return; their region is what it was")     \
    X(what_does_not_go, "what is shared, pinned, others' or not there stays")                      \
    X(clones_name_the_same_slot, "clones name the same slot; who touches it gets it")              \
    X(rights_change_meanwhile, "rights change while a page is away")                               \
    X(slots_become_free_or_are_lost, "slots that nobody names are free; lost ones are revoked")    \
    X(hands_of_a_clock, "a harvest sees what was used since the last one")                         \
    X(memory_runs_out, "a budget that runs out changes nothing")                                   \
    X(anything_beside_a_model, "12,000 steps of any kind beside a model")
#define X(name, words)                                                                             \
    static void name##_on_both(void)                                                               \
    {                                                                                              \
        on_both(name);                                                                             \
    }
ON_BOTH(X)
#undef X

static const struct test tests[] = {
#define X(name, words) {words, name##_on_both},
    ON_BOTH(X)
#undef X
};
TEST_MAIN(tests)
