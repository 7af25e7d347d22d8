/*
 * Spaces under threads: each is a CPU that touches pages, maps, unmaps, protects, clones, settles, revokes and destroys, some in
  * a range of its own, all in one range together, where pages of a memory object come and go, too, and any page may go to a slot.
 *
 * What a page that is given up too early does is said in cpu_threads.h. Run under ThreadSanitizer too; TEST_OPS=n.
 */
#include "cpu_threads.h"

#define OWN(cpu) (0x80000000ull + (cpu) * (2ull << 20))
#define OWN_PAGES 24u
#define CHAOS 0x3ff00000ull
#define CHAOS_PAGES 1000u

static atomic_uint evicted;
static struct qy_object object; /* its page n is mapped at CHAOS + n * 4096, if anywhere */
static atomic_uint done;

/* A word that was read at a page is 0 or was written there. */
static void chaos_touch(struct qy_space *space, unsigned cpu, uint64_t *r)
{
    uint64_t page = CHAOS + random_below(r, CHAOS_PAGES) * QY_PAGE_BYTES, value = page | (cpu + 1);
    bool write = random_below(r, 2);
    enum qy_error error = touch(space, page, cpu, write, &value);
    if (error == QY_OK)
        atomic_fetch_add_explicit(&done, 1, memory_order_relaxed);
    if (error == QY_OK && !write && value && value != (page | (cpu + 1)))
        fail("a word of another page", value);
}

static void chaos_change(struct qy_space *space, unsigned cpu, uint64_t *r)
{
    uint64_t first = random_below(r, CHAOS_PAGES),
             pages = 1 + random_below(r, random_below(r, 4) ? 30 : CHAOS_PAGES);
    if (pages > CHAOS_PAGES - first)
        pages = CHAOS_PAGES - first;
    uint64_t at = CHAOS + first * QY_PAGE_BYTES, bytes = pages * QY_PAGE_BYTES;
    struct qy_mark mark = vm_anon(RW);
    enum qy_error error = QY_OK;
    if (random_below(r, 2)) {
        mark.kind = QY_MARK_OBJECT;
        mark.shared = random_below(r, 2);
        mark.offset = first;
        error = qy_space_bind(space, &object, VM_OBJECT, &mark.binding);
        if (error != QY_OK)
            fail("an object is not bound", error);
    }
    switch (random_below(r, 5)) {
    case 0:
    case 1:
    case 2:
        error = qy_space_map_region(space, &at, bytes, &mark);
        break;
    case 3:
        error = qy_space_unmap_region(space, at, bytes);
        break;
    default:
        error = qy_space_protect_region(space, at, bytes, random_below(r, 3) ? RW : RO);
    }
    (void)cpu;
    if (error != QY_OK && error != QY_ALREADY_MAPPED && error != QY_NOT_MAPPED &&
        error != QY_NO_RIGHTS) /* lent frames are read-only */
        fail("a change is refused", error);
}

/* Where the core puts page 0 of an object in its tree. */
#define OBJECT_BASE (1ull << 39)

/* Pages of the object go. One CPU moves its end, there and back: behind it there is nothing, whoever touches pages meanwhile. */
static void object_change(unsigned cpu, uint64_t *r)
{
    uint64_t end = random_below(r, CHAOS_PAGES);
    struct qy_region region;
    if (random_below(r, 3) == 0) { /* whoever writes to them has to come back */
        (void)!qy_object_take_written(&object, end, 64);
        return;
    }
    if (cpu || random_below(r, 3)) {
        qy_object_discard(&object, end, 1 + random_below(r, 40));
        return;
    }
    while (qy_object_resize_step(&object, end) == QY_BUSY)
        continue;
    if (qy_space_query(&object.tree, OBJECT_BASE + end * QY_PAGE_BYTES, &region) != QY_NOT_FOUND)
        fail("a page behind the end", end);
    if (qy_object_resize_step(&object, CHAOS_PAGES) != QY_OK)
        fail("an object does not grow", end);
}

/* Nobody else uses this range: everything is as expected. */
static void own_range(struct qy_space *space, unsigned cpu, uint64_t *r, uint64_t *expected)
{
    uint64_t at = OWN(cpu), i = random_below(r, OWN_PAGES), page = at + i * QY_PAGE_BYTES,
             value = 0;
    if (random_below(r, 40) == 0) {
        if (qy_space_unmap_region(space, at, OWN_PAGES * QY_PAGE_BYTES) != QY_OK)
            fail("an own range cannot be unmapped", at);
        struct qy_mark mark = vm_anon(RW);
        if (qy_space_map_region(space, &at, OWN_PAGES * QY_PAGE_BYTES, &mark) != QY_OK)
            fail("an own range cannot be mapped", at);
        memset(expected, 0, OWN_PAGES * sizeof(*expected));
    }
    if (touch(space, page, cpu, false, &value) != QY_OK || value != expected[i])
        fail("a page of its own has changed", page);
    expected[i] = value = page | random_below(r, 4096);
    if (touch(space, page, cpu, true, &value) != QY_OK)
        fail("a page of its own is refused", page);
}

/* A child of the common space: cloned, used, settled in part, destroyed, while the others go on. */
static void fork_and_die(unsigned cpu, uint64_t *r)
{
    struct qy_space *space = &f.space[1 + cpu % 3];
    if (cpu == 0 || qy_space_init(space, &f.vm, &f.budget[1 + cpu % 3], true) != QY_OK)
        return;
    enum qy_error error = qy_space_clone(space, &f.space[0], QY_PAGE_BYTES, QY_USER_END);
    if (error != QY_OK && error != QY_OUT_OF_MEMORY)
        fail("a clone is refused", error);
    for (unsigned i = 0; i < 30; i++)
        chaos_touch(space, cpu, r);
    uint64_t at = CHAOS;
    for (unsigned i = 0; i < 50 && at < CHAOS + CHAOS_PAGES * QY_PAGE_BYTES; i++)
        if (qy_space_settle_step(space, &at) != QY_OK)
            break;
    for (unsigned i = 0; i < 20; i++) {
        chaos_change(space, cpu, r);
        chaos_touch(space, cpu, r);
    }
    while (qy_space_destroy_step(space) == QY_BUSY)
        qy_port_relax();
}

/* Pages of anybody go to slots of this CPU, and its own with those; some return before they are asked for. */
static void swap_some(struct qy_space *space, unsigned cpu, uint64_t *r)
{
    uint64_t first = cpu * SLOTS + random_below(r, SLOTS - QY_SWAP_BATCH), taken = 0;
    uint64_t at = random_below(r, 3) ? CHAOS + random_below(r, CHAOS_PAGES) * QY_PAGE_BYTES
                                     : OWN(random_below(r, CPUS));
    struct qy_harvest seen;
    if (qy_space_harvest(space, at, QY_USER_END, &seen) != QY_OK)
        fail("a harvest is refused", at);
    enum qy_error error = qy_space_evict(space, at, 1 + (unsigned)random_below(r, QY_SWAP_BATCH),
                                         &swap, first, store[first], &taken);
    if (error != QY_OK)
        fail("an eviction is refused", error);
    atomic_fetch_add_explicit(&evicted, (unsigned)__builtin_popcountll(taken),
                              memory_order_relaxed);
    for (unsigned i = 0; i < 8; i++) {
        unsigned filled;
        uint64_t slot = random_below(r, CPUS * SLOTS);
        error = qy_swap_restore(&swap, slot, store[slot], &filled);
        if (error != QY_OK && error != QY_OUT_OF_MEMORY)
            fail("a return is refused", error);
    }
}

static void lend_and_revoke(struct qy_space *space, unsigned cpu, uint64_t *r)
{
    pfn_t frame;
    unsigned missing;
    if (qy_arena_alloc(&f.foreign, 0, QY_FRAME_USER, &frame) != QY_OK)
        return;
    memset(qy_port_ram(pfn_to_paddr(frame)), 0, QY_PAGE_BYTES);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t at = CHAOS + random_below(r, CHAOS_PAGES) * QY_PAGE_BYTES;
        enum qy_error error = qy_space_map_frame(space, at, frame, 1, RO, RO, false, &missing);
        if (error != QY_OK && error != QY_ALREADY_MAPPED && error != QY_MISSING_TABLE)
            fail("a frame is refused", error);
    }
    for (unsigned i = 0; i < 5; i++)
        chaos_touch(space, cpu, r);
    (void)!qy_vm_revoke(&f.vm, frame);
    if (qy_arena_free(&f.foreign, frame, 0, QY_FRAME_USER) != QY_OK)
        fail("a revoked frame is in use", frame.raw);
}

static void *body(void *argument)
{
    unsigned cpu = (unsigned)(uintptr_t)argument;
    struct qy_space *space = &f.space[0];
    uint64_t r = cpu + 77, expected[OWN_PAGES] = {0};
    hosted_cpu_set(cpu);
    for (uint64_t i = 0; i < ops; i++) {
        unsigned what = (unsigned)random_below(&r, 300);
        if (what < 90)
            own_range(space, cpu, &r, expected);
        else if (what < 270)
            chaos_touch(space, cpu, &r);
        else if (what < 287)
            chaos_change(space, cpu, &r);
        else if (what < 290)
            object_change(cpu, &r);
        else if (what < 293)
            swap_some(space, cpu, &r);
        else if (what < 296)
            lend_and_revoke(space, cpu, &r);
        else
            fork_and_die(cpu, &r);
    }
    return NULL;
}

static void together(unsigned kind)
{
    cpu_threads_make(kind, 6000, 6000);
    CHECK_EQ(qy_object_init(&object, &f.vm, &f.foreign_budget, CHAOS_PAGES), QY_OK);
    for (unsigned i = 0; i < CPUS; i++)
        CHECK_EQ(vm_map(&f, 0, OWN(i), OWN_PAGES * QY_PAGE_BYTES, RW), QY_OK);
    cpu_threads_run(body);
    CHECK(atomic_load(&done) > ops / 10);
    CHECK(atomic_load(&joined) > ops / 100);
    CHECK(atomic_load(&evicted) > ops / 20);
    CHECK(atomic_load(&restored) > ops / 50);
    vm_check(&f);
    CHECK(qy_swap_check(&swap) == NULL);
    CHECK(qy_object_check(&object) == NULL);
    while (qy_swap_destroy_step(&swap) == QY_BUSY)
        continue;
    while (qy_object_destroy_step(&object) == QY_BUSY)
        qy_port_relax();
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
    {"x86-64: faults against everything else", x86},
    {"Sv48: faults against everything else", sv48},
};
TEST_MAIN(tests)
