/*
 * Slab caches, case by case: sizes, alignment, zeroing, every wrong pointer, damage to free
 * objects, and giving memory back. Would miss: long sequences (slab_model), other CPUs
 * (mem_threads).
 */
#include <hosted/hosted.h>
#include <qy/slab.h>
#include <string.h>
#include <tap.h>

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_cache cache;

static void make_arena(uint64_t pages)
{
    CHECK(hosted_machine_make(&machine, 1ull << 27, true));
    hosted_ram_add(&machine, pfn(3), pfn(3 + pages));
    memset(qy_port_ram(paddr(3 * 4096)), 0xee, pages * 4096);
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(3), pfn(3 + pages)), QY_OK);
}

static void make(uint64_t pages, size_t bytes, size_t align)
{
    make_arena(pages);
    CHECK_EQ(qy_cache_init(&cache, &arena, "thing", bytes, align), QY_OK);
}

static void done(void)
{
    const char *broken = qy_cache_check(&cache);
    CHECK(broken == NULL);
    if (broken)
        printf("# %s\n", broken);
    CHECK(qy_arena_check(&arena) == NULL);
    hosted_machine_destroy(&machine);
}

static void *take(void)
{
    void *object = NULL;
    CHECK_EQ(qy_cache_alloc(&cache, &object), QY_OK);
    return object;
}

/* Every size from 1 byte to what a slab holds: capacity, alignment, no overlap, waste. */
static void sizes(void)
{
    make_arena(64);
    for (size_t bytes = 1; bytes <= QY_SLAB_OBJECT_MAX; bytes += bytes < 300 ? 1 : 97) {
        for (size_t align = 1; align <= 4096; align *= 8) {
            bool fits = qy_align_up(bytes, align) <= QY_SLAB_OBJECT_MAX;
            CHECK_EQ(qy_cache_init(&cache, &arena, "thing", bytes, align),
                     fits ? QY_OK : QY_INVALID_ARGUMENT);
            if (!fits)
                continue;
            void *a = take(), *b = take();
            CHECK((uintptr_t)a % align == 0 && (uintptr_t)b % align == 0);
            memset(a, 0x11, bytes);
            memset(b, 0x22, bytes);
            for (size_t i = 0; i < bytes; i++)
                if (((unsigned char *)a)[i] != 0x11)
                    CHECK_EQ(i, bytes);
            CHECK_EQ(qy_cache_free(&cache, a), QY_OK);
            CHECK_EQ(qy_cache_free(&cache, b), QY_OK);
            uint64_t slab = 4096ull << cache.slab_order,
                     waste = slab - (uint64_t)cache.per_slab * cache.object_bytes;
            if (cache.object_bytes <= 3000 && waste > slab / 8)
                CHECK_EQ(waste, bytes);
            qy_cache_drain(&cache);
            if (qy_cache_check(&cache))
                CHECK_EQ(bytes, 0);
        }
    }
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 64);
    CHECK_EQ(qy_cache_init(&cache, &arena, "none", 0, 8), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_cache_init(&cache, &arena, "odd", 8, 3), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_cache_init(&cache, &arena, "none", 8, 0), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_cache_init(&cache, &arena, "far", 8, 8192), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_cache_init(&cache, &arena, "huge", QY_SLAB_OBJECT_MAX + 1, 8), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_cache_init(&cache, &arena, "vast", SIZE_MAX, 8), QY_INVALID_ARGUMENT);
    CHECK_EQ(qy_cache_init(&cache, &arena, "thing", 64, 8), QY_OK);
    done();
}

/* Objects are zero, whatever the memory and the object's last owner left in them. */
static void zeroed(void)
{
    make(8, 200, 8);
    for (unsigned turn = 0; turn < 3; turn++) {
        void *objects[20];
        for (unsigned i = 0; i < 20; i++) {
            objects[i] = take();
            for (unsigned k = 0; k < 200; k++)
                if (((unsigned char *)objects[i])[k] != 0)
                    CHECK_EQ(k, 200);
            memset(objects[i], 0xff, cache.object_bytes);
        }
        for (unsigned i = 0; i < 20; i++)
            CHECK_EQ(qy_cache_free(&cache, objects[i]), QY_OK);
    }
    done();
}

static void wrong_pointers(void)
{
    make(64, 96, 8);
    static struct qy_cache other;
    int local = 0;
    pfn_t page;
    CHECK_EQ(qy_cache_init(&other, &arena, "other", 96, 8), QY_OK);
    unsigned char *a = take(), *b = take();
    void *foreign = NULL;
    CHECK_EQ(qy_cache_alloc(&other, &foreign), QY_OK);
    CHECK_EQ(qy_arena_alloc(&arena, 0, QY_FRAME_OBJECT, &page), QY_OK);
    CHECK_EQ(qy_cache_free(&cache, foreign), QY_NOT_OWNED);
    CHECK_EQ(qy_cache_free(&cache, NULL), QY_NOT_OWNED);
    CHECK_EQ(qy_cache_free(&cache, &local), QY_NOT_OWNED);
    CHECK_EQ(qy_cache_free(&cache, qy_port_ram(pfn_to_paddr(page))), QY_NOT_OWNED);
    CHECK_EQ(qy_cache_free(&cache, qy_port_ram(paddr(0))), QY_NOT_OWNED);
    uint64_t unused = 3;
    while (qy_frame_state(&machine.db, pfn(unused)) != QY_FRAME_FREE)
        unused++;
    CHECK_EQ(qy_cache_free(&cache, qy_port_ram(paddr(unused * 4096))), QY_NOT_OWNED);
    CHECK_EQ(qy_cache_free(&cache, a + 1), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_cache_free(&cache, a + 48), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_cache_free(&cache, b + (cache.per_slab - 2) * 96),
             QY_NOT_ALLOCATED); /* never handed out */
    CHECK_EQ(qy_cache_free(&cache, (void *)(((uintptr_t)a | 4095) - 10)),
             QY_NOT_ALLOCATED); /* header */
    CHECK_EQ(qy_cache_free(&cache, a), QY_OK);
    CHECK_EQ(qy_cache_free(&cache, a), QY_NOT_ALLOCATED); /* double */
    CHECK_EQ(qy_cache_free(&cache, b), QY_OK);
    CHECK_EQ(qy_cache_free(&cache, b), QY_NOT_ALLOCATED); /* double, slab empty */
    qy_cache_drain(&cache);
    CHECK_EQ(qy_cache_free(&cache, b), QY_NOT_OWNED); /* double, slab gone */
    done();
}

/* A write to a free object is found when the free list is used, and by the validator. */
static void use_after_free(void)
{
    jmp_buf jump;
    volatile bool reported = false;
    make(8, 64, 8);
    unsigned char *a = take();
    CHECK_EQ(qy_cache_free(&cache, a), QY_OK);
    a[0] ^= 0x40;
    CHECK(strcmp(qy_cache_check(&cache), "SLAB-FREE") == 0);
    if (setjmp(*hosted_catch(&jump)) == 0) {
        void *object;
        if (qy_cache_alloc(&cache, &object) != QY_OK)
            reported = false;
    } else {
        reported = strcmp(hosted_broken.invariant, "SLAB-FREE") == 0 &&
                   hosted_broken.number == (uintptr_t)a;
    }
    hosted_catch(NULL);
    CHECK(reported);
    hosted_machine_destroy(&machine);
}

static void memory_goes_back(void)
{
    make(64, 512, 8);
    void *objects[100];
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_SLAB), 0);
    for (unsigned i = 0; i < 100; i++)
        objects[i] = take();
    struct qy_record_cache r;
    qy_cache_record(&cache, &r);
    CHECK_EQ(r.live, 100);
    CHECK(r.capacity >= 100 && r.slabs == (100 + cache.per_slab - 1) / cache.per_slab);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_SLAB), qy_cache_pages(&cache));
    for (unsigned i = 0; i < 100; i++)
        CHECK_EQ(qy_cache_free(&cache, objects[i]), QY_OK);
    CHECK_EQ(qy_cache_pages(&cache), 1u << cache.slab_order); /* one is kept */
    CHECK_EQ(take() != NULL, 1);
    qy_cache_drain(&cache);
    CHECK_EQ(qy_cache_pages(&cache), 1u << cache.slab_order); /* it is in use */
    done();
}

/* An arena that runs out: an error, nothing lost, and small slabs when large ones are not to be
 * had. */
static void runs_out(void)
{
    make(7, 1400, 8); /* frames 3..9: free blocks of 1, 4 and 2 pages */
    void *objects[32], *more = NULL;
    unsigned count = 0;
    CHECK_EQ(cache.slab_order, 2); /* 11 objects; a page holds 2 */
    while (count < 32 && qy_cache_alloc(&cache, &objects[count]) == QY_OK)
        count++;
    CHECK_EQ(count, 11 + 3 * 2);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 0);
    CHECK_EQ(qy_cache_alloc(&cache, &more), QY_OUT_OF_MEMORY);
    CHECK(more == NULL && qy_cache_check(&cache) == NULL);
    for (unsigned i = 0; i < count; i++)
        CHECK_EQ(qy_cache_free(&cache, objects[i]), QY_OK);
    qy_cache_drain(&cache);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 7);
    done();
}

static const struct test tests[] = {
    {"all sizes and alignments", sizes},
    {"objects are zero", zeroed},
    {"every wrong pointer is refused by name", wrong_pointers},
    {"a write to a free object is found", use_after_free},
    {"slabs go back to the arena", memory_goes_back},
    {"an arena that runs out", runs_out},
};
TEST_MAIN(tests)
