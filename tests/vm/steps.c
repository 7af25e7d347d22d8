/*
 * Calls on long ranges pause between steps of bounded length, over both entry formats. Everything is valid at each pause,
 * others act there, and a call that fails has changed nothing.
 *
 * The test acts at pauses only: two CPUs in one step are threads.c's, as is a clone that waits for a protect.
 */
#include "../../mem/vm/vm_impl.h"
#include "each_format.h"

/* Four tables of pages, the first and the last in part. */
#define START (AT + QY_PAGE_BYTES)
#define END (AT + 8 * MIB - QY_PAGE_BYTES)
#define TABLE (2 * MIB)

static unsigned pauses, act_at;
static void (*act)(void);

/* A page that another CPU has in hand, and what its entry was; null: none. */
static struct {
    _Atomic uint64_t *slot;
    uint64_t was, moving;
    unsigned since;
} hand;

#define LAST (END - QY_PAGE_BYTES)
#define OTHER_CPU 7u

/* Another CPU has put the last page's entry aside, and waits for all to forget it. */
static void take_in_hand(void)
{
    const struct qy_pt_format *format = f.vm.format;
    struct qy_at at;
    pfn_t frame;
    bool foreign;
    if (!qy_vm_lock_at(&f.space[0], vaddr(LAST), 1, &at))
        return;
    _Atomic uint64_t *slot = qy_table_slots(at.table) + qy_pt_index(vaddr(LAST), at.level);
    uint64_t entry = qy_slot_get(slot);
    if (at.level == 1 && qy_is_present(format, entry) &&
        qy_entry_holds(format, entry, 1, &frame, &foreign)) {
        uint64_t mark = qy_held_mark(QY_MARK_MOVING, frame, 0, OTHER_CPU, foreign);
        hand.slot = slot;
        hand.was = entry;
        hand.moving = qy_mark_entry(format, mark);
        hand.since = pauses;
        qy_slot_put(slot, hand.moving);
    }
    qy_table_unlock(at.table);
}

/* All have: nobody has touched the entry meanwhile. */
static void let_go(void)
{
    CHECK_EQ(qy_slot_get(hand.slot), hand.moving);
    qy_slot_put(hand.slot, hand.was);
    hand.slot = NULL;
}

static void at_pause(void *context)
{
    bool with_tlb = f.no_tlb;
    (void)context;
    f.no_tlb = true; /* a call that goes on has not made CPUs forget everything yet */
    if (!hand.since) /* else entries are moving, this call's own too once it has to begin again */
        vm_check(&f);
    f.no_tlb = with_tlb;
    if (++pauses == act_at && act)
        act();
    else if (hand.slot && pauses > hand.since + 2)
        let_go();
}

static void populate(void)
{
    f.vm.pause = at_pause;
    pauses = act_at = hand.since = 0;
    CHECK_EQ(vm_map(&f, 0, START, END - START, RW), QY_OK);
    for (uint64_t at = START; at < END; at += QY_PAGE_BYTES)
        CHECK_EQ(vm_write(&f, 0, at, (uint8_t)(at >> QY_PAGE_SHIFT)), QY_OK);
}

/* How often a call has paused, which has succeeded. */
static unsigned paused(enum qy_error error)
{
    unsigned count = pauses;
    CHECK_EQ(error, QY_OK);
    pauses = 0;
    return count;
}

static void pauses_body(void)
{
    struct qy_space *space = &f.space[0];
    populate();
    vm_open(&f, 1);
    pauses = 0;
    CHECK(paused(qy_space_protect_region(space, START, END - START, RO)) >= 8);
    vm_check(&f);
    CHECK(paused(qy_space_protect_region(space, START, END - START, RX)) >= 32);
    vm_check(&f);
    CHECK(paused(qy_space_protect_region(space, START, END - START, RW)) >= 8);
    vm_check(&f);
    CHECK(paused(qy_space_clone(&f.space[1], space, START, END)) >= 4);
    vm_check(&f);
    CHECK(paused(qy_space_protect_region(&f.space[1], START, END - START, RO)) >= 8);
    vm_check(&f);
    CHECK(paused(qy_space_unmap_region(space, START, END - START)) >= 4);
    vm_check(&f);
    for (uint64_t at = START; at < END; at += QY_PAGE_BYTES)
        CHECK_EQ(vm_read(&f, 1, at), (int)(uint8_t)(at >> QY_PAGE_SHIFT));
    CHECK_EQ(paused(qy_space_unmap_region(&f.space[1], START + TABLE, QY_PAGE_BYTES)), 0);
}

static void they_pause(void)
{
    each(pauses_body, 3000);
}

/* ---- others act at a pause ---- */

#define HOLE (AT + 5 * MIB)

static void unmap_some(void)
{
    CHECK_EQ(qy_space_unmap_region(&f.space[0], HOLE, 16 * QY_PAGE_BYTES), QY_OK);
}

/* Something takes its place that must not be written. */
static void replace_some(void)
{
    uint64_t at = HOLE;
    struct qy_mark mark = {.kind = QY_MARK_ANON, .rights = RO, .max = RO};
    unmap_some();
    CHECK_EQ(qy_space_map_region(&f.space[0], &at, 16 * QY_PAGE_BYTES, &mark), QY_OK);
    CHECK_EQ(vm_read(&f, 0, HOLE), 0);
}

/* What came before it was looked at is refused, and then nothing has changed; later it is left as it is. */
static void act_body(void (*what)(void), bool there)
{
    unsigned refused = 0;
    for (unsigned n = 1, all = n; n <= all; n++) {
        populate();
        act = what;
        act_at = n;
        enum qy_error error = qy_space_protect_region(&f.space[0], START, END - START, RO);
        all = n == 1 ? 16 : all;
        act = NULL;
        refused += error != QY_OK;
        CHECK(error == QY_OK || (!there && error == QY_NOT_MAPPED));
        CHECK_EQ(vm_write(&f, 0, START, 1), error == QY_OK ? QY_NO_RIGHTS : QY_OK);
        CHECK_EQ(vm_write(&f, 0, END - 1, 1), error == QY_OK ? QY_NO_RIGHTS : QY_OK);
        if (n <= pauses)
            CHECK_EQ(vm_write(&f, 0, HOLE + QY_PAGE_BYTES, 1),
                     there ? QY_NO_RIGHTS : QY_NOT_MAPPED);
        vm_check(&f);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], START, END - START), QY_OK);
    }
    CHECK((refused > 0 && refused < 8) || there);
}

static void hole_body(void)
{
    act_body(unmap_some, false);
}

static void replaced_body(void)
{
    act_body(replace_some, true);
}

/* A change waits for it, whenever it comes up, and for no longer. */
static void in_hand_body(void)
{
    unsigned met = 0;
    for (unsigned n = 1; n <= 24; n++) {
        populate();
        act = take_in_hand;
        act_at = n;
        if (n % 2)
            CHECK_EQ(qy_space_protect_region(&f.space[0], START, END - START, 0), QY_OK);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], START, END - START), QY_OK);
        met += hand.since == n;
        CHECK_EQ(hand.slot, NULL);
        act = NULL;
        vm_check(&f);
    }
    CHECK(met >= 4);
}

static void a_page_is_in_hand(void)
{
    each(in_hand_body, 3000);
}

static void a_hole_comes_up(void)
{
    each(hole_body, 3000);
}

static void something_takes_its_place(void)
{
    each(replaced_body, 3000);
}

/* Never more rights than what came may have: by a protect that had looked before. */
static void raise_body(void)
{
    unsigned refused = 0;
    for (unsigned n = 1; n <= 8; n++) {
        populate();
        CHECK_EQ(qy_space_protect_region(&f.space[0], START, END - START, RO), QY_OK);
        act = replace_some;
        pauses = 0;
        act_at = n;
        enum qy_error error = qy_space_protect_region(&f.space[0], START, END - START, RW);
        act = NULL;
        refused += error != QY_OK;
        CHECK(error == QY_OK || error == QY_NO_RIGHTS);
        CHECK(n <= pauses || error == QY_NO_RIGHTS);
        CHECK_EQ(vm_write(&f, 0, HOLE, 1), QY_NO_RIGHTS);
        CHECK_EQ(vm_write(&f, 0, START, 1), error);
        CHECK_EQ(vm_write(&f, 0, END - 1, 1), error);
        vm_check(&f);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], START, END - START), QY_OK);
    }
    CHECK(refused > 0 && refused < 8);
}

static void rights_do_not_grow(void)
{
    each(raise_body, 3000);
}

#define FAR (AT + 12 * MIB + QY_PAGE_BYTES) /* inside of what one mark stands for */

/* Tables that a clone shares are copied, and marks split, before anything changes: with k pages left for that, for every k. */
static void memory_body(void)
{
    unsigned refused = 0;
    enum qy_error error = QY_OUT_OF_MEMORY;
    struct qy_region region;
    populate();
    vm_open(&f, 1);
    CHECK_EQ(vm_map(&f, 0, END, AT + 16 * MIB - END, RW), QY_OK);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], START, AT + 16 * MIB), QY_OK);
    for (uint64_t left = 0; error != QY_OK && left < 100; left++) {
        pfn_t frames[3000];
        unsigned taken = 0;
        qy_irq_is_off();
        qy_heap_reclaim(&f.heap[1]);
        qy_frame_reclaim(&f.arena[1]);
        while (qy_arena_pages(&f.arena[1], QY_FRAME_FREE) > left &&
               qy_arena_alloc(&f.arena[1], 0, QY_FRAME_OBJECT, &frames[taken]) == QY_OK)
            taken++;
        error = qy_space_protect_region(&f.space[1], START, FAR - START, RO);
        vm_check(&f);
        CHECK(error == QY_OK || error == QY_OUT_OF_MEMORY);
        CHECK_EQ(qy_space_query(&f.space[1], START, &region), QY_OK);
        if (error != QY_OK) {
            refused++;
            CHECK_EQ(region.mark.rights, RW);
            CHECK_EQ(region.start, START);
            CHECK_EQ(region.end, AT + 16 * MIB);
        }
        while (taken-- > 0)
            CHECK_EQ(qy_arena_free(&f.arena[1], frames[taken], 0, QY_FRAME_OBJECT), QY_OK);
    }
    CHECK(refused >= 3); /* tables that were copied before it ran out stay */
    CHECK_EQ(error, QY_OK);
    CHECK_EQ(region.mark.rights, RO);
    CHECK_EQ(region.end, FAR);
}

static void memory_runs_out(void)
{
    each(memory_body, 3000);
}

static const struct test tests[] = {
    {"calls on long ranges pause, and everything is valid", they_pause},
    {"a page that another CPU has in hand is waited for", a_page_is_in_hand},
    {"a hole comes up in the middle of a protect", a_hole_comes_up},
    {"something else takes the place of what a protect has seen", something_takes_its_place},
    {"rights do not grow by a protect that has looked before", rights_do_not_grow},
    {"memory runs out: nothing has changed", memory_runs_out},
};

int main(void)
{
    return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
