/*
 * A page of 1 GiB of a space's own: filled in steps, with what comes between them; divided into 2 MiB and those into 4 KiB. It
 * touches 1 GiB of memory, so it runs with the long tests.
 */
#include "fixture.h"

#define GIB (1ull << 30)
#define MIB (1ull << 20)
#define PLACE (4 * GIB)

static struct vm_fixture f;
static struct qy_heap heap;
static struct qy_budget budget;
static unsigned pauses, unmap_at;

/* A part of what is being filled is wanted gone: whoever unmaps waits, so here it is the table above that goes as a whole. */
static void pause(void *context)
{
    (void)context;
    if (++pauses == unmap_at)
        CHECK_EQ(qy_space_unmap_region(&f.space[0], 0x8000000000ull, 0x8000000000ull), QY_OK);
}

static uint64_t level(unsigned n)
{
    struct qy_space_stats stats;
    qy_space_stats(&f.space[0], &stats);
    return stats.level[n - 1];
}

static void one(unsigned kind)
{
    struct qy_mark mark = vm_anon(RW);
    uint64_t at = PLACE, far = 0x8000000000ull;
    mark.offset = QY_PAGES_1G;
    vm_make_frames(&f, &vm_formats[kind], 600, 3ull << 18);
    qy_heap_init(&heap, &f.root, NULL, 0x9e3779b97f4a7c15ull);
    CHECK_EQ(qy_budget_init(&budget, &heap), QY_OK);
    CHECK_EQ(qy_space_init(&f.space[0], &f.vm, &budget, true), QY_OK);
    f.alive[0] = true;
    f.vm.pause = pause;
    CHECK_EQ(qy_space_map_region(&f.space[0], &at, GIB + 2 * MIB, &mark), QY_INVALID_ADDRESS);
    CHECK_EQ(qy_space_map_region(&f.space[0], &at, GIB, &mark), QY_OK);
    pauses = unmap_at = 0;
    CHECK_EQ(vm_write(&f, 0, PLACE + 77 * MIB + 5, 9), QY_OK);
    CHECK_EQ(pauses, GIB / (64 << 10));
    CHECK_EQ(level(3), GIB / QY_PAGE_BYTES);
    vm_check(&f);
    CHECK(qy_arena_check(&f.root) == NULL);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], PLACE + 76 * MIB, QY_PAGE_BYTES), QY_OK);
    vm_check(&f);
    CHECK(qy_arena_check(&f.root) == NULL);
    CHECK_EQ(level(2), 511 * 512);
    CHECK_EQ(level(1), 511);
    CHECK_EQ(vm_read(&f, 0, PLACE + 77 * MIB + 5), 9);
    CHECK_EQ(vm_read(&f, 0, PLACE + 76 * MIB), -1);
    CHECK_EQ(vm_read(&f, 0, PLACE + GIB - 1), 0);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], PLACE, GIB), QY_OK);
    vm_check(&f);
    /* All that is around it goes while it is being filled: the block is nobody's any more, and the fault finds nothing. */
    CHECK_EQ(qy_space_map_region(&f.space[0], &far, GIB, &mark), QY_OK);
    pauses = 0;
    unmap_at = 100;
    uint8_t *byte;
    CHECK_EQ(vm_touch(&f, 0, far, QY_ACCESS_READ, &byte), QY_NOT_MAPPED);
    vm_check(&f);
    vm_close(&f, 0);
    CHECK(qy_vm_reclaim(&f.vm));
    qy_heap_reclaim(&heap);
    qy_frame_reclaim(&f.root);
    CHECK(qy_arena_check(&f.root) == NULL);
    vm_done(&f);
}

static void x86(void)
{
    one(0);
}

static void sv48(void)
{
    one(1);
}

static const struct test tests[] = {
    {"x86-64: a page of 1 GiB, filled, divided, taken away", x86},
    {"Sv48: a page of 1 GiB, filled, divided, taken away", sv48},
};
TEST_MAIN(tests)
