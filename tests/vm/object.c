/*
 * Memory objects: shared and private regions, ends, what is taken away, who pays.
 *
 * After each step the validators run, and what CPUs remember is held against the tables (fixture.h); so a page taken away
 * without telling a mapper is found by its bytes and by EXACT. It would miss what only two CPUs at once show (threads.c).
 */
#include "fixture.h"

#define AT 0x10000000000ull
#define MIB (1ull << 20)
#define PAGE(n) ((n)*QY_PAGE_BYTES)

static struct vm_fixture f;
static struct qy_object object;

static void check(void)
{
    vm_check(&f);
    const char *broken = object.tree.root.raw ? qy_object_check(&object) : NULL;
    CHECK(broken == NULL);
    if (broken)
        printf("# object: %s\n", broken);
}

/* The object lives out of the budget of space 3, which no test opens. */
static void begin(const struct vm_format *kind, uint64_t pages)
{
    vm_make(&f, kind, 4096);
    vm_open(&f, 0);
    vm_open(&f, 1);
    CHECK_EQ(qy_object_init(&object, &f.vm, &f.budget[3], pages), QY_OK);
}

static void destroy(void)
{
    unsigned steps = 0;
    while (object.tree.root.raw && qy_object_destroy_step(&object) == QY_BUSY && steps < 100000)
        steps++;
    CHECK(object.tree.root.raw == 0);
}

static void end(void)
{
    check();
    destroy();
    vm_done(&f);
}

static enum qy_error map(unsigned n, uint64_t address, uint64_t pages, uint64_t first,
                         unsigned rights, bool shared)
{
    struct qy_mark mark = {.kind = QY_MARK_OBJECT,
                           .region = QY_REGION_MAPPED,
                           .rights = rights,
                           .max = QY_PT_RIGHTS,
                           .shared = shared,
                           .offset = first};
    enum qy_error error = qy_space_bind(&f.space[n], &object, VM_OBJECT, &mark.binding);
    return error == QY_OK ? qy_space_map_region(&f.space[n], &address, pages * QY_PAGE_BYTES, &mark)
                          : error;
}

static uint64_t used(unsigned n)
{
    qy_irq_is_off();
    qy_heap_reclaim(&f.heap[n]);
    qy_frame_reclaim(&f.arena[n]);
    return f.arena[n].total_pages - qy_arena_pages(&f.arena[n], QY_FRAME_FREE);
}

static void sharers_see_one_memory(const struct vm_format *kind)
{
    begin(kind, 1000);
    CHECK_EQ(map(0, AT, 1000, 0, RW, true), QY_OK);
    CHECK_EQ(map(1, AT + 3 * MIB, 500, 250, RO, true), QY_OK);
    uint64_t before = used(0), object_before = used(3);
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(300) + 7, 42), QY_OK);
    check();
    CHECK_EQ(vm_read(&f, 1, AT + 3 * MIB + PAGE(50) + 7), 42);
    CHECK_EQ(vm_read(&f, 1, AT + 3 * MIB + PAGE(51) + 7), 0);
    CHECK_EQ(vm_write(&f, 1, AT + 3 * MIB + PAGE(50) + 7, 1), QY_NO_RIGHTS);
    check();
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(301) + 7, 43), QY_OK);
    CHECK_EQ(vm_read(&f, 1, AT + 3 * MIB + PAGE(51) + 7), 43);
    /* The mapper pays for its tables, the object for its pages. */
    CHECK(used(3) >= object_before + 2);
    CHECK(used(0) <= before + 4);
    check();
    /* One region, however much of it is there. */
    struct qy_region region;
    CHECK_EQ(qy_space_query(&f.space[0], AT, &region), QY_OK);
    CHECK_EQ(region.end, AT + PAGE(1000));
    CHECK_EQ(region.mark.kind, QY_MARK_OBJECT);
    CHECK(!region.foreign);
    /* Unmapped by one, it is there for the other. */
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, PAGE(1000)), QY_OK);
    check();
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(300) + 7), -1);
    CHECK_EQ(vm_read(&f, 1, AT + 3 * MIB + PAGE(50) + 7), 42);
    end();
}

static void private_regions_copy(const struct vm_format *kind)
{
    begin(kind, 8);
    CHECK_EQ(map(0, AT, 8, 0, RW, true), QY_OK);
    CHECK_EQ(map(1, AT, 8, 0, RW, false), QY_OK);
    CHECK_EQ(vm_write(&f, 0, AT, 1), QY_OK);
    CHECK_EQ(vm_read(&f, 1, AT), 1);
    check();
    CHECK_EQ(vm_write(&f, 1, AT, 2), QY_OK);           /* read before */
    CHECK_EQ(vm_write(&f, 1, AT + PAGE(1), 3), QY_OK); /* never touched */
    check();
    CHECK_EQ(vm_read(&f, 0, AT), 1);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(1)), 0);
    CHECK_EQ(vm_write(&f, 0, AT, 9), QY_OK);
    CHECK_EQ(vm_read(&f, 1, AT), 2);
    CHECK_EQ(vm_read(&f, 1, AT + PAGE(1)), 3);
    /* Clones: shared regions share, private ones copy. */
    vm_open(&f, 2);
    CHECK_EQ(qy_space_clone(&f.space[2], &f.space[1], AT, AT + PAGE(8)), QY_OK);
    check();
    CHECK_EQ(vm_read(&f, 2, AT), 2);
    CHECK_EQ(vm_write(&f, 2, AT, 5), QY_OK);
    CHECK_EQ(vm_read(&f, 1, AT), 2);
    CHECK_EQ(vm_write(&f, 2, AT + PAGE(3), 6), QY_OK);
    CHECK_EQ(vm_read(&f, 1, AT + PAGE(3)), 0);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(3)), 0);
    check();
    vm_close(&f, 2);
    vm_open(&f, 2);
    CHECK_EQ(qy_space_clone(&f.space[2], &f.space[0], AT, AT + PAGE(8)), QY_OK);
    CHECK_EQ(vm_write(&f, 2, AT + PAGE(4), 7), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(4)), 7);
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(5), 8), QY_OK);
    CHECK_EQ(vm_read(&f, 2, AT + PAGE(5)), 8);
    check();
    /* What has been copied survives the object, what has not is revoked. */
    CHECK_EQ(vm_read(&f, 1, AT + PAGE(5)), 8);
    destroy();
    check();
    CHECK_EQ(vm_read(&f, 1, AT), 2);
    uint8_t *at;
    CHECK_EQ(vm_touch(&f, 1, AT + PAGE(5), QY_ACCESS_READ, &at), QY_REVOKED);
    CHECK_EQ(vm_touch(&f, 0, AT, QY_ACCESS_READ, &at), QY_REVOKED);
    CHECK_EQ(vm_touch(&f, 2, AT + PAGE(4), QY_ACCESS_READ, &at), QY_REVOKED);
    end();
}

static void writable_and_executable(const struct vm_format *kind)
{
    uint8_t *at;
    begin(kind, 4);
    CHECK_EQ(map(0, AT, 4, 0, RW, true), QY_OK);
    CHECK_EQ(map(1, AT, 4, 0, RX, true), QY_OK);
    CHECK_EQ(map(1, AT + MIB, 4, 0, RX, false), QY_OK);
    CHECK_EQ(vm_write(&f, 0, AT, 1), QY_OK);
    CHECK_EQ(vm_touch(&f, 1, AT, QY_ACCESS_EXEC, &at), QY_INVALID_FLAGS);
    check();
    CHECK_EQ(vm_touch(&f, 1, AT + MIB, QY_ACCESS_EXEC, &at), QY_OK); /* a copy */
    CHECK_EQ(*at, 1);
    CHECK_EQ(vm_write(&f, 0, AT, 2), QY_OK);
    CHECK_EQ(*at, 1);
    check();
    CHECK_EQ(vm_touch(&f, 1, AT + PAGE(1), QY_ACCESS_EXEC, &at), QY_OK);
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(1), 2), QY_INVALID_FLAGS);
    check();
    end();
}

static void ends_move(const struct vm_format *kind)
{
    uint8_t *at;
    begin(kind, 2000);
    CHECK_EQ(map(0, AT, 3000, 0, RW, true), QY_OK);
    CHECK_EQ(map(1, AT, 3000, 0, RW, false), QY_OK);
    CHECK_EQ(vm_touch(&f, 0, AT + PAGE(2000), QY_ACCESS_READ, &at), QY_NOT_MAPPED);
    for (unsigned i = 0; i < 2000; i += 3)
        CHECK_EQ(vm_write(&f, 0, AT + PAGE(i), (uint8_t)(i + 1)), QY_OK);
    for (unsigned i = 0; i < 2000; i += 9)
        CHECK_EQ(vm_read(&f, 1, AT + PAGE(i)), (uint8_t)(i + 1));
    check();
    unsigned steps = 1;
    while (qy_object_resize_step(&object, 1000) == QY_BUSY && steps < 100) {
        steps++;
        check();
    }
    CHECK_EQ(steps, 3); /* tables of 512 pages: to 1536, 1024, 1000 */
    check();
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(999)), (uint8_t)1000);
    CHECK_EQ(vm_touch(&f, 0, AT + PAGE(1002), QY_ACCESS_READ, &at), QY_NOT_MAPPED);
    CHECK_EQ(vm_touch(&f, 1, AT + PAGE(1008), QY_ACCESS_READ, &at), QY_NOT_MAPPED);
    CHECK_EQ(qy_object_resize_step(&object, 3000), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(1002)), 0); /* not what was there */
    CHECK_EQ(vm_read(&f, 1, AT + PAGE(2999)), 0);
    check();
    bool there;
    CHECK_EQ(qy_object_run(&object, 1002, &there), 1);
    CHECK(there);
    CHECK_EQ(qy_object_run(&object, 1003, &there), 2999 - 1003);
    CHECK(!there);
    CHECK_EQ(qy_object_run(&object, 3000, &there), 0);
    /* An object of any length is cheap to shrink where there is nothing. */
    CHECK_EQ(qy_object_resize_step(&object, QY_OBJECT_PAGES_MAX), QY_OK);
    CHECK_EQ(qy_object_resize_step(&object, QY_OBJECT_PAGES_MAX + 1), QY_INVALID_ARGUMENT);
    for (steps = 1; qy_object_resize_step(&object, 3) == QY_BUSY && steps < 2000; steps++)
        continue;
    CHECK(steps < 4 * QY_PT_ENTRIES);
    check();
    end();
}

static void discarded_pages_are_zeroes(const struct vm_format *kind)
{
    begin(kind, 2048);
    CHECK_EQ(map(0, AT, 2048, 0, RW, true), QY_OK);
    CHECK_EQ(map(1, AT, 2048, 0, RW, true), QY_OK);
    for (unsigned i = 0; i < 2048; i += 64) {
        CHECK_EQ(vm_write(&f, 0, AT + PAGE(i), 1), QY_OK);
        CHECK_EQ(vm_read(&f, 1, AT + PAGE(i)), 1);
    }
    qy_object_discard(&object, 64, 64);
    check();
    qy_object_discard(&object, 512, 1024); /* whole tables */
    check();
    CHECK_EQ(vm_read(&f, 1, AT), 1);
    CHECK_EQ(vm_read(&f, 1, AT + PAGE(64)), 0);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(128)), 1);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(512)), 0);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(1536)), 1);
    CHECK_EQ(vm_write(&f, 1, AT + PAGE(512), 3), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(512)), 3);
    qy_object_discard(&object, 2000, UINT64_MAX - 2000);
    qy_object_discard(&object, 5000, 1);
    check();
    end();
}

static void supplied_pages(const struct vm_format *kind)
{
    uint8_t *at;
    pfn_t frame;
    struct qy_fault fault;
    begin(kind, 100);
    atomic_store(&object.paged, true);
    CHECK_EQ(map(0, AT, 50, 20, RW, true), QY_OK);
    CHECK_EQ(vm_touch(&f, 0, AT + PAGE(5), QY_ACCESS_WRITE, &at), QY_WOULD_WAIT);
    CHECK_EQ(qy_space_fault(&f.space[0], AT + PAGE(5), QY_ACCESS_READ, &fault), QY_WOULD_WAIT);
    CHECK_EQ(fault.mark.offset, 25);
    CHECK(fault.binding.object == &object);
    CHECK_EQ(map(0, AT + MIB, 50, 90, RW, true), QY_OK);
    CHECK_EQ(vm_touch(&f, 0, AT + MIB + PAGE(9), QY_ACCESS_READ, &at), QY_WOULD_WAIT);
    CHECK_EQ(vm_touch(&f, 0, AT + MIB + PAGE(10), QY_ACCESS_READ, &at), QY_NOT_MAPPED);
    CHECK_EQ(qy_object_frame(&object, false, &frame), QY_OK);
    memset(qy_port_ram(pfn_to_paddr(frame)), 77, QY_PAGE_BYTES);
    CHECK_EQ(qy_object_put(&object, 100, frame), QY_NOT_MAPPED);
    CHECK_EQ(qy_object_put(&object, 25, frame), QY_OK);
    check();
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(5) + 9), 77);
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(5) + 9, 78), QY_OK);
    CHECK_EQ(qy_object_frame(&object, true, &frame), QY_OK);
    CHECK_EQ(qy_object_put(&object, 25, frame), QY_ALREADY_MAPPED);
    qy_object_frame_free(&object, frame);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(5) + 9), 78);
    check();
    end();
}

/* Frames that a handler maps in place of marks, and takes back. */
static void handlers_map_frames(const struct vm_format *kind)
{
    pfn_t frame;
    unsigned missing;
    uint64_t at = AT;
    struct qy_region region;
    struct qy_mark mark = {.kind = QY_MARK_PAGER, .rights = RO, .max = RW, .offset = 500};
    begin(kind, 8);
    CHECK_EQ(qy_space_map_region(&f.space[0], &at, PAGE(8), &mark), QY_OK);
    CHECK_EQ(map(0, AT + MIB, 8, 0, RW, true), QY_OK);
    CHECK_EQ(qy_arena_alloc(&f.foreign, 0, QY_FRAME_USER, &frame), QY_OK);
    CHECK_EQ(qy_space_map_frame(&f.space[0], AT + PAGE(3), frame, 1, RX, RX, true, &missing),
             QY_NO_RIGHTS);
    CHECK_EQ(qy_space_map_frame(&f.space[0], AT + MIB, frame, 1, RW, RW, true, &missing),
             QY_ALREADY_MAPPED);
    CHECK_EQ(qy_space_map_frame(&f.space[0], AT + PAGE(3), frame, 1, RW, RW, true, &missing),
             QY_OK);
    check();
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(3), 6), QY_OK);
    qy_space_take_frame(&f.space[0], AT + PAGE(3), frame);
    check();
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(3), 6), QY_WOULD_WAIT);
    CHECK_EQ(qy_space_query(&f.space[0], AT + PAGE(3), &region), QY_OK);
    CHECK_EQ(region.mark.kind, QY_MARK_PAGER);
    CHECK_EQ(region.mark.offset, 503);
    qy_space_take_frame(&f.space[0], AT + PAGE(3), frame);
    CHECK_EQ(qy_arena_free(&f.foreign, frame, 0, QY_FRAME_USER), QY_OK);
    end();
}

/* A dropped index never means another object, here or in a clone. */
static void names_are_not_made_again(const struct vm_format *kind)
{
    uint8_t *at;
    int other;
    unsigned index;
    begin(kind, 8);
    CHECK_EQ(map(0, AT, 8, 0, RW, true), QY_OK);
    CHECK_EQ(vm_write(&f, 0, AT, 1), QY_OK);
    CHECK_EQ(qy_space_bind(&f.space[0], &object, VM_OBJECT, &index), QY_OK);
    CHECK_EQ(index, 0); /* as before */
    uint64_t before = used(0);
    qy_space_drop_bindings(&f.space[0]);
    CHECK_EQ(used(0), before - 1);
    check();
    CHECK_EQ(vm_touch(&f, 0, AT + PAGE(1), QY_ACCESS_READ, &at), QY_REVOKED);
    CHECK_EQ(qy_space_bind(&f.space[0], &other, 5, &index), QY_OK);
    CHECK_EQ(index, 1);
    CHECK_EQ(vm_touch(&f, 0, AT + PAGE(1), QY_ACCESS_READ, &at), QY_REVOKED);
    vm_open(&f, 2);
    CHECK_EQ(qy_space_clone(&f.space[2], &f.space[0], AT, AT + PAGE(8)), QY_OK);
    CHECK_EQ(qy_space_bind(&f.space[2], &object, VM_OBJECT, &index), QY_OK);
    CHECK_EQ(index, 2);
    CHECK_EQ(qy_space_clone(&f.space[2], &f.space[0], AT + MIB, AT + 2 * MIB), QY_OK);
    CHECK_EQ(qy_space_bind(&f.space[0], &other, 6, &index), QY_OK);
    CHECK_EQ(index, 2); /* means something else there, as long as a mark names it */
    CHECK_EQ(map(2, AT + MIB, 8, 0, RW, true), QY_OK);
    CHECK_EQ(qy_space_clone(&f.space[2], &f.space[0], AT + 2 * MIB, AT + 4 * MIB),
             QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_space_unmap_region(&f.space[2], AT + MIB, PAGE(8)), QY_OK);
    CHECK_EQ(qy_space_clone(&f.space[2], &f.space[0], AT + 2 * MIB, AT + 4 * MIB), QY_OK);
    CHECK(qy_space_binding(&f.space[2], 2).object == &other);
    check();
    end();
}

/* An object by its number: nothing but its name is looked at. */
static enum qy_error map_named(uint64_t at, uint64_t cookie)
{
    static int named;
    struct qy_mark mark = {.kind = QY_MARK_OBJECT, .rights = RW, .max = RW, .shared = true};
    return qy_space_map_object(&f.space[0], &named, cookie, &at, QY_PAGE_BYTES, &mark);
}

/* A space names 1,024 objects at a time, and any number after the other; marks decide, wherever they are. */
static void names_are_used_again(const struct vm_format *kind)
{
    struct qy_fault fault;
    begin(kind, 2048);
    CHECK_EQ(map(0, AT - 4 * MIB, 512, 0, RW, false), QY_OK); /* object 0 in a mark of 2 MiB, */
    CHECK_EQ(vm_write(&f, 0, AT - 4 * MIB, 7), QY_OK); /* and behind a page of the space's own */
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT - 4 * MIB + QY_PAGE_BYTES, PAGE(511)), QY_OK);
    for (uint64_t i = 1; i <= 3000; i++) {
        CHECK_EQ(map_named(AT, i), QY_OK);
        CHECK_EQ(qy_space_fault(&f.space[0], AT, QY_ACCESS_READ, &fault), QY_WOULD_WAIT);
        CHECK_EQ(fault.binding.cookie, i);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, QY_PAGE_BYTES), QY_OK);
    }
    CHECK_EQ(vm_read(&f, 0, AT - 4 * MIB), 7);
    CHECK(qy_space_binding(&f.space[0], 0).object == &object); /* a revoke would bring it back */
    check();
    /* All at once. */
    for (uint64_t i = 1; i <= QY_BINDING_MAX; i++)
        CHECK_EQ(map_named(AT + PAGE(2 * i), 5000 + i), QY_OK);
    CHECK_EQ(map_named(AT, 7000), QY_TOO_MANY);
    for (uint64_t i = 1; i <= QY_BINDING_MAX; i++) {
        CHECK_EQ(qy_space_fault(&f.space[0], AT + PAGE(2 * i), QY_ACCESS_READ, &fault),
                 QY_WOULD_WAIT);
        CHECK_EQ(fault.binding.cookie, 5000 + i);
    }
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT + PAGE(600), QY_PAGE_BYTES), QY_OK);
    CHECK_EQ(map_named(AT, 7000), QY_OK);
    CHECK_EQ(map_named(AT + PAGE(1), 7001), QY_TOO_MANY);
    /* What was dropped is named by marks that are left, until they go. */
    qy_space_drop_bindings(&f.space[0]);
    CHECK_EQ(map_named(AT + PAGE(1), 7001), QY_TOO_MANY);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, 4 * MIB + PAGE(1)), QY_OK);
    CHECK_EQ(map_named(AT, 7001), QY_OK);
    CHECK_EQ(qy_space_fault(&f.space[0], AT, QY_ACCESS_READ, &fault), QY_WOULD_WAIT);
    CHECK_EQ(fault.binding.cookie, 7001);
    check();
    end();
}

/* Every allocation of a fault fails once: nothing has changed, and the next try succeeds. */
static void memory_runs_out(const struct vm_format *kind)
{
    begin(kind, 100000);
    CHECK_EQ(map(0, AT, 100000, 0, RW, true), QY_OK);
    CHECK_EQ(map(1, AT, 100000, 0, RW, false), QY_OK);
    for (unsigned who = 0; who < 2; who++)
        for (unsigned from = 0; from < 2; from++) {
            /* from 0: the mapper's budget is empty, 1: the object's */
            struct qy_arena *arena = &f.arena[from ? 3 : who];
            static pfn_t taken[4096];
            unsigned count = 0, done = 0;
            uint64_t page = 5000 * (1 + who * 2 + from);
            qy_irq_is_off();
            qy_heap_reclaim(&f.heap[from ? 3 : who]);
            qy_frame_reclaim(arena);
            while (count < 4096 &&
                   qy_arena_alloc_pages(arena, 1, QY_FRAME_OBJECT, &taken[count]) == QY_OK)
                count++;
            for (unsigned i = 0; i < 40; i++) {
                enum qy_error error = vm_write(&f, who, AT + PAGE(page), 1);
                check();
                if (error == QY_OK)
                    break;
                CHECK_EQ(error, QY_OUT_OF_MEMORY);
                CHECK(count > 0);
                done++;
                count--;
                CHECK_EQ(qy_arena_free_pages(arena, taken[count], 1, QY_FRAME_OBJECT), QY_OK);
                qy_irq_is_off();
            }
            CHECK_EQ(vm_read(&f, who, AT + PAGE(page)), 1);
            CHECK(done > 0);
            while (count-- > 0)
                CHECK_EQ(qy_arena_free_pages(arena, taken[count], 1, QY_FRAME_OBJECT), QY_OK);
        }
    end();
}

/* Which of the object's first 64 pages were written to. */
static uint64_t written(void)
{
    qy_irq_is_off();
    uint64_t pages = qy_object_take_written(&object, 0, 64);
    check();
    return pages;
}

static void writes_are_noticed(const struct vm_format *kind)
{
    begin(kind, 60);
    CHECK_EQ(map(0, AT, 60, 0, RW, true), QY_OK);
    CHECK_EQ(map(1, AT, 60, 0, RW, true), QY_OK);
    /* Before the first look whoever could write has written. */
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(3)), 0);
    CHECK_EQ(written(), 1 << 3);
    CHECK_EQ(written(), 0);
    /* Reads are none, writes are, of either. */
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(3)), 0);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(4)), 0);
    check();
    CHECK_EQ(written(), 0);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(4)), 0);
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(4), 44), QY_OK);
    check();
    CHECK_EQ(vm_write(&f, 1, AT + PAGE(59), 45), QY_OK);
    CHECK_EQ(vm_read(&f, 1, AT + PAGE(4)), 44);
    CHECK_EQ(written(), 1ull << 4 | 1ull << 59);
    CHECK_EQ(written(), 0);
    /* Nobody goes on writing to what was taken, and nothing is lost. */
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(4) + 8, 46), QY_OK);
    CHECK_EQ(vm_read(&f, 1, AT + PAGE(4)), 44);
    CHECK_EQ(written(), 1 << 4);
    /* Rights that come and go do not hide a write. */
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(5)), 0);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, PAGE(60), RO), QY_OK);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, PAGE(60), RW), QY_OK);
    check();
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(5), 5), QY_OK);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, PAGE(60), 0), QY_OK);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, PAGE(60), RW), QY_OK);
    CHECK_EQ(written(), 1 << 5);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(6)), 0);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, PAGE(60), 0), QY_OK);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, PAGE(60), RW), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(6)), 0);
    CHECK_EQ(written(), 0);
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(6), 6), QY_OK);
    /* Unmapped, it was written all the same; discarded, it was not. */
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(7), 7), QY_OK);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, PAGE(60)), QY_OK);
    qy_object_discard(&object, 7, 1);
    CHECK_EQ(written(), 1 << 6);
    /* A clone's write, and one to a copy. */
    CHECK_EQ(map(0, AT, 60, 0, RW, false), QY_OK);
    CHECK_EQ(vm_read(&f, 0, AT + PAGE(6)), 6);
    CHECK_EQ(vm_write(&f, 0, AT + PAGE(6), 66), QY_OK);
    CHECK_EQ(written(), 0);
    CHECK_EQ(vm_read(&f, 1, AT + PAGE(8)), 0);
    vm_open(&f, 2);
    CHECK_EQ(qy_space_clone(&f.space[2], &f.space[1], AT, AT + 2 * MIB), QY_OK);
    check();
    CHECK_EQ(vm_write(&f, 2, AT + PAGE(8), 8), QY_OK);
    check();
    CHECK_EQ(vm_read(&f, 1, AT + PAGE(8)), 8);
    CHECK_EQ(written(), 1 << 8);
    CHECK_EQ(vm_write(&f, 1, AT + PAGE(8), 9), QY_OK);
    CHECK_EQ(vm_read(&f, 2, AT + PAGE(8)), 9);
    CHECK_EQ(written(), 1 << 8);
    end();
}

/* Each on both machines. */
static void on_both(void (*run)(const struct vm_format *kind))
{
    for (unsigned k = 0; k < 2; k++)
        run(&vm_formats[k]);
}
#define ON_BOTH(X)                                                                                 \
    X(sharers_see_one_memory, "who shares an object sees one memory; the object pays for it")      \
    X(private_regions_copy, "private regions copy what is written; clones of both kinds")          \
    X(writable_and_executable, "no page of an object is writable and executable")                  \
    X(ends_move, "an object's end moves: what is behind it is taken from everybody")               \
    X(discarded_pages_are_zeroes, "discarded pages are taken from everybody, and are zeroes")      \
    X(supplied_pages, "pages of a paged object are asked for and supplied, once")                  \
    X(writes_are_noticed, "writes to shared pages are noticed, by page, once taken")               \
    X(handlers_map_frames, "a frame takes the place of a pager's mark, and the mark its place")    \
    X(names_are_not_made_again, "an index that marks name never comes to name another object")     \
    X(names_are_used_again, "a space names 1,024 objects at a time, and any number in its life")   \
    X(memory_runs_out, "a budget that runs out changes nothing, whoever pays")
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
