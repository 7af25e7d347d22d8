/*
 * Heaps and caches, case by case: sizes, alignment, zeroing, constructors, colours, every wrong pointer,
 * damage to free objects, mixed slabs, magazines, what hooks see, and giving memory back. Would miss: long
 * sequences (slab_model), every small state (slab_exhaustive), other CPUs at once (slab_threads).
 */
#include "../../mem/slab/slab_impl.h"

#include <hosted/hosted.h>
#include <qy/frame_cache.h>
#include <string.h>
#include <tap.h>

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_heap heap;
static struct qy_cache cache, second;
static struct qy_cache_type type, second_type;
static struct qy_cpu_frames frames;
static struct qy_cpu_objects cpu, cpu_1;

static void make_heap(const struct qy_heap_hooks *hooks)
{
    qy_heap_init(&heap, &arena, hooks, 0x1234567890abcdef);
}

static void make_arena(uint64_t pages, const struct qy_heap_hooks *hooks)
{
    CHECK(hosted_machine_make(&machine, 1ull << 27, true));
    hosted_ram_add(&machine, pfn(3), pfn(3 + pages));
    memset(qy_port_ram(paddr(3 * 4096)), 0xee, pages * 4096);
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    CHECK_EQ(qy_arena_add(&arena, pfn(3), pfn(3 + pages)), QY_OK);
    qy_cpu_frames_init(&frames, 0);
    qy_cpu_objects_init(&cpu, 0, &frames);
    qy_cpu_objects_init(&cpu_1, 1, NULL);
    make_heap(hooks);
}

static enum qy_error make_cache(size_t bytes, size_t align)
{
    type = (struct qy_cache_type){"thing", (uint32_t)bytes, (uint32_t)align, NULL, 0};
    return qy_cache_init(&cache, &heap, &type);
}

static void make_second(size_t bytes)
{
    second_type = (struct qy_cache_type){"other", (uint32_t)bytes, 8, NULL, 0};
    CHECK_EQ(qy_cache_init(&second, &heap, &second_type), QY_OK);
}

static void make(uint64_t pages, size_t bytes, size_t align)
{
    make_arena(pages, NULL);
    CHECK_EQ(make_cache(bytes, align), QY_OK);
}

static void check(void)
{
    const char *broken = qy_heap_check(&heap);
    CHECK(broken == NULL);
    if (broken)
        printf("# %s\n", broken);
    CHECK(qy_arena_check(&arena) == NULL);
}

static void done(void)
{
    check();
    hosted_machine_destroy(&machine);
}

static void *take_of(struct qy_cpu_objects *by, struct qy_cache *of) QY_UNCHECKED
{
    void *object = NULL;
    CHECK_EQ(qy_cache_alloc(by, of, &object), QY_OK);
    return object;
}

static void *take(void)
{
    return take_of(&cpu, &cache);
}

static enum qy_error give(void *object) QY_UNCHECKED
{
    return qy_cache_free(&cpu, &cache, object);
}

static void drain(void) QY_UNCHECKED
{
    qy_heap_drain(&cpu, &heap);
    qy_frame_drain(&frames, NULL);
}

static struct qy_record_cache record(struct qy_cache *of)
{
    struct qy_record_cache r;
    qy_cache_record(of, &r);
    return r;
}

static bool all_zero(const unsigned char *at, size_t bytes)
{
    return bytes == 0 || (at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0);
}

/* Every size from 1 byte to what a slab holds: alignment, zeroing, no overlap, waste. */
static void sizes(void)
{
    make_arena(128, NULL);
    for (size_t bytes = 1; bytes <= QY_SLAB_OBJECT_MAX + 1; bytes += bytes < 300 ? 1 : 97) {
        for (size_t align = 1; align <= 4096; align *= 8) {
            make_heap(NULL);
            bool fits = qy_align_up(bytes, align) <= QY_SLAB_OBJECT_MAX;
            CHECK_EQ(make_cache(bytes, align), fits ? QY_OK : QY_INVALID_ARGUMENT);
            if (!fits)
                continue;
            unsigned char *a = take(), *b = take();
            if (!all_zero(a, bytes) || !all_zero(b, bytes) || (uintptr_t)a % align ||
                (uintptr_t)b % align)
                CHECK_EQ(bytes, align);
            memset(a, 0x11, bytes);
            memset(b, 0x22, bytes);
            for (size_t i = 0; i < bytes; i++)
                if (a[i] != 0x11)
                    CHECK_EQ(i, bytes);
            CHECK_EQ(give(a), QY_OK);
            CHECK_EQ(give(b), QY_OK);
            uint64_t slab = 4096ull << cache.order, count = slab / (cache.stride + 1);
            if (cache.stride <= 3000 && slab - count * cache.stride > slab / 8 + 64)
                CHECK_EQ(bytes, 0);
            drain();
            if (qy_heap_check(&heap) || qy_arena_pages(&arena, QY_FRAME_FREE) != 128)
                CHECK_EQ(bytes, 0);
        }
    }
    CHECK_EQ(make_cache(0, 8), QY_INVALID_ARGUMENT);
    CHECK_EQ(make_cache(8, 3), QY_INVALID_ARGUMENT);
    CHECK_EQ(make_cache(8, 0), QY_INVALID_ARGUMENT);
    CHECK_EQ(make_cache(8, 8192), QY_INVALID_ARGUMENT);
    CHECK_EQ(make_cache(UINT32_MAX, 8), QY_INVALID_ARGUMENT);
    make_heap(NULL);
    second_type = (struct qy_cache_type){"many", 64, 8, NULL, 0};
    static struct qy_cache many[QY_HEAP_CACHES_MAX + 1];
    for (unsigned i = 0; i < QY_HEAP_CACHES_MAX; i++)
        CHECK_EQ(qy_cache_init(&many[i], &heap, &second_type), QY_OK);
    CHECK_EQ(qy_cache_init(&many[QY_HEAP_CACHES_MAX], &heap, &second_type), QY_TOO_MANY);
    done();
}

/* Objects are zero, whatever the memory and the object's last owner left in them. */
static void zeroed(void)
{
    make(8, 200, 8);
    for (unsigned turn = 0; turn < 3; turn++) {
        void *objects[60];
        for (unsigned i = 0; i < 60; i++) {
            objects[i] = take();
            CHECK(all_zero(objects[i], 200));
            memset(objects[i], 0xff, 200);
        }
        for (unsigned i = 0; i < 60; i++)
            CHECK_EQ(give(objects[i]), QY_OK);
    }
    done();
}

static unsigned constructed;

static void construct(void *object)
{
    memset(object, 0x5a, 200);
    constructed++;
}

/* A constructor runs once for each place of a slab; objects come back as they were given. */
static void constructors(void)
{
    make_arena(16, NULL);
    second_type = (struct qy_cache_type){"made", 200, 8, construct, 0};
    CHECK_EQ(qy_cache_init(&cache, &heap, &second_type), QY_OK);
    constructed = 0;
    unsigned char *objects[100];
    unsigned runs[3];
    for (unsigned turn = 0; turn < 3; turn++) {
        for (unsigned i = 0; i < 100; i++) {
            objects[i] = take();
            for (unsigned k = 0; k < 200; k++)
                if (objects[i][k] != 0x5a)
                    CHECK_EQ(k, 200);
        }
        for (unsigned i = 100; i-- > 20;)
            CHECK_EQ(give(objects[i]), QY_OK);
        runs[turn] = constructed;
        for (unsigned i = 0; i < 20; i++)
            CHECK_EQ(give(objects[i]), QY_OK);
    }
    CHECK(runs[0] >= 100 && runs[0] < 140);
    drain();
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 16);
    done();
}

/* Slabs of one cache begin at different offsets, multiples of the alignment. */
static void colours(void)
{
    make(512, 900, 8);
    unsigned starts = 0;
    uint64_t seen[64] = {0};
    for (unsigned i = 0; i < 200; i++) {
        uintptr_t offset = (uintptr_t)take() & 4095;
        if (offset < 900 && !(seen[offset / 64] >> offset % 64 & 1)) {
            seen[offset / 64] |= 1ull << offset % 64;
            starts++;
        }
    }
    printf("# %u offsets of a first object\n", starts);
    CHECK(starts >= 8);
    done();
}

static void wrong_pointers(void) QY_UNCHECKED
{
    make(64, 96, 8);
    int local = 0;
    pfn_t page;
    make_second(96);
    for (unsigned turn = 0; turn < 2; turn++) { /* in mixed slabs; in their own */
        unsigned char *a = take(), *b = take();
        unsigned char *foreign = take_of(&cpu, &second);
        CHECK_EQ(qy_arena_alloc(&arena, 0, QY_FRAME_OBJECT, &page), QY_OK);
        CHECK_EQ(give(foreign), QY_NOT_OWNED);
        CHECK_EQ(give(foreign + 8), QY_NOT_OWNED);
        CHECK_EQ(give(NULL), QY_NOT_OWNED);
        CHECK_EQ(give(&local), QY_NOT_OWNED);
        CHECK_EQ(give(qy_port_ram(pfn_to_paddr(page))), QY_NOT_OWNED);
        CHECK_EQ(give(qy_port_ram(paddr(0))), QY_NOT_OWNED);
        uint64_t unused = 3;
        while (qy_frame_state(&machine.db, pfn(unused)) != QY_FRAME_FREE)
            unused++;
        CHECK_EQ(give(qy_port_ram(paddr(unused * 4096))), QY_NOT_OWNED);
        CHECK_EQ(give(a + 1), QY_NOT_ALLOCATED);
        CHECK_EQ(give(a + 48), QY_NOT_ALLOCATED);
        CHECK_EQ(give((void *)(((uintptr_t)a | 4095) - 10)),
                 QY_NOT_ALLOCATED); /* header, or free */
        CHECK_EQ(give((void *)((uintptr_t)a & ~4095ull)), turn ? QY_OK : QY_NOT_ALLOCATED);
        if (turn)
            CHECK(take() != NULL);
        CHECK_EQ(give(a), QY_OK);
        CHECK_EQ(give(a), QY_NOT_ALLOCATED); /* double */
        CHECK_EQ(give(b), QY_OK);
        CHECK_EQ(give(b), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_cache_free(&cpu, &second, foreign), QY_OK);
        check();
        for (unsigned i = 0; i < 62 && turn == 0; i++) /* fill what they may have in mixed slabs */
            CHECK(take() != NULL && take_of(&cpu, &second) != NULL);
    }
    done();
}

/* A double free of memory that has gone back to the arena, or to another cache, or another place in it. */
static void stale_pointers(void) QY_UNCHECKED
{
    make(64, 1500, 8);
    make_second(1200);
    cache.granules = second.granules = 0; /* slabs of their own from the first */
    void *a = take();
    CHECK_EQ(give(a), QY_OK);
    drain();
    CHECK_EQ(give(a), QY_NOT_OWNED);
    unsigned char *b[40];
    for (unsigned i = 0; i < 40; i++)
        b[i] = take_of(&cpu, &second);
    CHECK_EQ(give(a), QY_NOT_OWNED);
    for (unsigned i = 0; i < 40; i++)
        CHECK_EQ(qy_cache_free(&cpu, &second, b[i]), QY_OK);
    done();
}

/* A write to a free object is found when the free list is used, and by the validator. */
static void use_after_free(void)
{
    jmp_buf jump;
    volatile bool reported = false;
    make(8, 64, 8);
    cache.granules = 0;
    unsigned char *a = take();
    CHECK_EQ(give(a), QY_OK);
    a[0] ^= 0x40;
    CHECK(strcmp(qy_cache_check(&cache), "SLAB-FREE") == 0);
    if (setjmp(*hosted_catch(&jump)) == 0)
        reported = take() == NULL;
    else
        reported = strcmp(hosted_broken.invariant, "SLAB-FREE") == 0 &&
                   hosted_broken.number == (uintptr_t)a;
    hosted_catch(NULL);
    CHECK(reported);
    hosted_machine_destroy(&machine);
}

/* ---- damage, and two CPUs that free at the same instant ---- */

static bool refused; /* by give_action */

/* A report has left the heap's lock taken. */
static void unlock(void)
{
    memset(&heap.lock, 0, sizeof(heap.lock));
}

/* Whether an action ends in a report of that invariant (null: of any). */
static bool breaks(const char *invariant, void (*action)(void *argument), void *argument)
{
    jmp_buf jump;
    volatile bool reported = false;
    if (setjmp(*hosted_catch(&jump)) == 0)
        action(argument);
    else
        reported = !invariant || strcmp(hosted_broken.invariant, invariant) == 0;
    hosted_catch(NULL);
    return reported;
}

/* Use the cache until its slabs have been used up and have come back; nobody is handed the live object, if it is one. */
static void use(void *live) QY_UNCHECKED
{
    static void *objects[60];
    for (unsigned i = 0; i < 60; i++) {
        if (qy_cache_alloc(&cpu_1, &cache, &objects[i]) != QY_OK)
            return;
        CHECK(!live || objects[i] != live);
    }
    for (unsigned i = 60; i-- > 0;)
        if (qy_cache_free(&cpu_1, &cache, objects[i]) != QY_OK)
            return;
}

static struct qy_slab *slab_of(const void *object)
{
    return (struct qy_slab *)(((uintptr_t)object | 4095) + 1) - 1;
}

/*
 * Any bit of a slab's numbers (first free object, first fresh one, how many, capacity, order), of its state bytes, and of the link of a
 * free object, flipped: what uses the slab reports it, or the validator is content too. Lists are below; the pointers to
 * the cache and to the first place lead out of the slab when they are flipped, and that is a fault.
 */
static void flipped_bits_of_a_slab(void) QY_UNCHECKED
{
    const size_t numbers = offsetof(struct qy_slab, span_bytes);
    unsigned reported = 0, harmless = 0;
    for (unsigned part = 0; part < 3; part++) {
        size_t bytes = part == 0   ? 8
                       : part == 1 ? 20
                                   : offsetof(struct qy_slab, order) + 1 - numbers;
        for (unsigned bit = 0; bit < bytes * 8; bit++) {
            make(8, 200, 8);
            cache.granules = 0;
            unsigned char *live = take(), *freed = take();
            CHECK_EQ(give(freed), QY_OK);
            struct qy_slab *slab = slab_of(live);
            CHECK_EQ(slab->capacity, 20);
            unsigned char *from = part == 0   ? freed
                                  : part == 1 ? (unsigned char *)(uintptr_t)qy_slab_state(slab, 19)
                                              : (unsigned char *)slab + numbers;
            from[bit / 8] ^= (unsigned char)(1u << bit % 8);
            const char *broken = qy_cache_check(&cache);
            bool found = breaks(NULL, use, NULL);
            refused = false;
            if (!found)
                refused = give(live) != QY_OK; /* its own state */
            reported += found || refused;
            harmless += !found && !refused && !broken;
            if (!found && !refused && broken) {
                printf("# part %u, bit %u: %s, but nothing is reported\n", part, bit, broken);
                CHECK(found);
            }
            hosted_machine_destroy(&machine);
        }
    }
    printf("# %u bits reported, %u harmless\n", reported, harmless);
    CHECK(reported > 200);
}

static void give_action(void *object)
{
    refused |= give(object) != QY_OK;
}

/* A list's pointer that leads to another slab than it should: found when a slab leaves the list. */
static void broken_lists(void) QY_UNCHECKED
{
    for (unsigned turn = 0; turn < 3; turn++) {
        void *objects[60];
        make(8, 200, 8);
        cache.granules = 0;
        for (unsigned i = 0; i < 60; i++)
            objects[i] = take();
        struct qy_slab *last = cache.full, *middle = last->next;
        if (turn == 0)
            last->next = middle->next;
        else if (turn == 1)
            middle->prev = NULL;
        else
            middle->cache = &second;
        CHECK(strcmp(qy_cache_check(&cache), "SLAB-COUNT") == 0);
        bool found = refused = false;
        for (unsigned i = 0; i < 60 && !found; i++)
            found = breaks("SLAB-FREE", give_action, objects[i]) || (turn == 2 && refused);
        CHECK(found);
        hosted_machine_destroy(&machine);
    }
}

/* The map of free granules and what lies where: any bit. */
static void flipped_bits_of_a_mixed_slab(void) QY_UNCHECKED
{
    for (unsigned bit = 0; bit < 128; bit++) {
        make(1, 200, 8);
        unsigned char *live = take(), *freed = take();
        CHECK_EQ(give(freed), QY_OK);
        struct qy_mixed *mixed = heap.mixed;
        uint64_t *word = bit < 64 ? &mixed->free : &mixed->used;
        *word ^= 1ull << bit % 64;
        CHECK(qy_heap_check(&heap) != NULL);
        if (!breaks("SLAB-MIXED", use, NULL))
            CHECK_EQ(bit, 128);
        *word ^= 1ull << bit % 64;
        unlock();
        CHECK_EQ(give(live), QY_OK);
        done();
    }
    make(1, 200, 8);
    unsigned char *first = take(), *second_one = take();
    heap.mixed->owner[((uintptr_t)first & 4095) / 64] = 77; /* no such cache */
    CHECK(breaks("SLAB-MIXED", give_action, first));
    unlock();
    heap.mixed->owner[((uintptr_t)first & 4095) / 64] = cache.id;
    heap.mixed->owner[((uintptr_t)second_one & 4095) / 64] = 0; /* its granules are nobody's */
    CHECK(breaks("SLAB-MIXED", give_action, second_one));
    hosted_machine_destroy(&machine);
}

/* Both CPUs have seen LIVE before either said that it is not: what each does afterwards, one after the other. */
static void free_again_as_if_live(struct qy_cpu_objects *by, unsigned char *object) QY_UNCHECKED
{
    _Atomic uint8_t *state = NULL;
    for (unsigned i = 0; i < slab_of(object)->capacity; i++)
        if (slab_of(object)->places + i * cache.stride == object)
            state = qy_slab_state(slab_of(object), i);
    CHECK_EQ(qy_cache_free(&cpu, &cache, object), QY_OK);
    atomic_store(state, QY_OBJECT_LIVE);
    CHECK_EQ(qy_cache_free(by, &cache, object), QY_OK);
}

/* The second free ends when the first has put the object into its slab. */
static void give_again(void *argument) QY_REQUIRES(qy_class_slab)
{
    qy_slab_give(&cpu_1, (struct qy_item){argument, qy_slab_state(slab_of(argument), 0)});
}

static void warm(struct qy_cpu_objects *by);

static void forge(unsigned char *from, const unsigned char *to)
{
    uint64_t index = (uint64_t)(to - slab_of(to)->places) / cache.stride;
    uint64_t word = qy_slab_encode(&heap, from + cache.link, index);
    memcpy(from + cache.link, &word, sizeof(word));
}

/*
 * A link that decodes to an object of the slab, but one that is not free: whoever knew the secret. It is found before
 * that object is handed out, where objects are taken one at a time and where a magazine takes several.
 */
static void forged_link(void)
{
    for (unsigned turn = 0; turn < 2; turn++) {
        unsigned char *objects[100], *freed[6];
        unsigned count = 0, n = 0;
        make(turn ? 1024 : 8, 200, 8);
        cache.granules = 0;
        if (turn)
            warm(&cpu_1); /* with a magazine, which is empty when it is used again */
        while (count < 12 || record(&cache).cached)
            objects[count++] = take_of(&cpu_1, &cache);
        unsigned char *live = objects[--count];
        while (count-- && n < 6)
            if (slab_of(objects[count]) == slab_of(live))
                freed[n++] = objects[count];
        for (unsigned i = 0; i < n; i++)
            CHECK_EQ(give(freed[i]), QY_OK); /* by a CPU without one */
        CHECK_EQ(n, 6);
        forge(freed[3],
              live); /* and on behind the one that is left out, so that the list has its length */
        forge(live, freed[1]);
        CHECK(breaks("SLAB-FREE", use, live));
        hosted_machine_destroy(&machine);
    }
}

static void reclaim_all(void *argument) QY_UNCHECKED
{
    (void)argument;
    qy_heap_reclaim(&heap);
}

static void take_all(void *argument) QY_UNCHECKED
{
    void *object;
    (void)argument;
    for (unsigned i = 0; i < 200; i++)
        if (qy_cache_alloc(i % 2 ? &cpu : &cpu_1, &cache, &object) != QY_OK)
            return;
}

/* An object that two CPUs free at the same instant is in two magazines or twice in its slab: found at once, when the
 * second is handed out, and when magazines go back. */
static void freed_by_two(void) QY_UNCHECKED
{
    make(64, 200, 8); /* no magazines */
    cache.granules = 0;
    unsigned char *first = take();
    CHECK(take() != NULL && qy_slab_state(slab_of(first), 0) != NULL);
    CHECK_EQ(give(first), QY_OK);
    CHECK(breaks("SLAB-FREE", give_again, first));
    hosted_machine_destroy(&machine);
    for (unsigned turn = 0; turn < 2; turn++) {
        make(1024, 200, 8);
        cache.granules = 0;
        warm(&cpu);
        warm(&cpu_1);
        CHECK(take() != NULL);
        free_again_as_if_live(&cpu_1, take());
        CHECK(strcmp(qy_cache_check(&cache), "SLAB-CACHED") == 0 ||
              strcmp(qy_cache_check(&cache), "SLAB-COUNT") == 0);
        CHECK(breaks("SLAB-CACHED", turn ? take_all : reclaim_all, NULL));
        hosted_machine_destroy(&machine);
    }
}

static void memory_goes_back(void)
{
    make(64, 512, 8);
    void *objects[100];
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_SLAB), 0);
    for (unsigned i = 0; i < 100; i++)
        objects[i] = take();
    struct qy_record_cache r = record(&cache);
    CHECK_EQ(r.live, 100);
    CHECK_EQ(r.allocations, 100);
    CHECK_EQ(r.mixed, 7);
    CHECK(r.capacity >= 100 && r.slabs == (100 - 7 + 6) / 7);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_SLAB), qy_heap_pages(&heap));
    for (unsigned i = 0; i < 100; i++)
        CHECK_EQ(give(objects[i]), QY_OK);
    CHECK_EQ(qy_heap_pages(&heap), (1u << cache.order) + 1); /* one of each kind is kept */
    void *kept = take();
    drain();
    CHECK_EQ(qy_heap_pages(&heap), 1u << cache.order); /* it is in use */
    CHECK_EQ(give(kept), QY_OK);
    drain();
    CHECK_EQ(qy_heap_pages(&heap), 0);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 64);
    done();
}

/* An arena that runs out: an error, nothing lost, small slabs when large ones are not to be had, and
 * what other caches keep without need is used. */
static void runs_out(void) QY_UNCHECKED
{
    make(7, 1400, 8); /* frames 3..9: free blocks of 1, 4 and 2 pages */
    make_second(64);
    void *objects[64], *more = NULL;
    unsigned count = 0;
    CHECK_EQ(cache.order, 0); /* of so few pages no slab takes four */
    cache.order = 2;          /* 11 objects; a page holds 2, a mixed one 2 */
    void *first = take_of(&cpu, &second);
    CHECK_EQ(qy_cache_free(&cpu, &second, first), QY_OK);
    while (count < 64 && qy_cache_alloc(&cpu, &cache, &objects[count]) == QY_OK)
        count++;
    CHECK_EQ(count, 11 + 3 * 2);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 0);
    CHECK_EQ(qy_cache_alloc(&cpu, &cache, &more), QY_OUT_OF_MEMORY);
    CHECK(more == NULL);
    CHECK(take_of(&cpu, &second) != NULL); /* beside the mixed ones there is room */
    check();
    CHECK_EQ(give(objects[0]), QY_OK);
    CHECK_EQ(give(objects[1]), QY_OK);
    for (unsigned i = 2; i < count; i++)
        CHECK_EQ(give(objects[i]), QY_OK);
    done();
}

/* No page is left for a slab of its own, but a shared one has room. */
static void shared_room(void) QY_UNCHECKED
{
    void *others[62], *object;
    make(2, 64, 8);
    make_second(64);
    for (unsigned i = 0; i < 62; i++)
        others[i] = take_of(&cpu, &second);
    for (unsigned i = 0; i < 62; i++) /* as many as go there: a page is full of them */
        CHECK(take() != NULL);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 0);
    CHECK_EQ(qy_cache_alloc(&cpu, &cache, &object), QY_OUT_OF_MEMORY);
    CHECK_EQ(qy_cache_free(&cpu, &second, others[7]), QY_OK);
    CHECK(take() == others[7]);
    done();
}

/* One page holds objects of many types, each where none other is; the page goes when they have gone. */
static void one_page(void)
{
    static struct qy_cache caches[9];
    static struct qy_cache_type types[9];
    unsigned char *objects[9];
    make_arena(1, NULL);
    for (unsigned i = 0; i < 9; i++) {
        types[i] = (struct qy_cache_type){"small", 24 + 85 * i, 16, NULL, 0};
        CHECK_EQ(qy_cache_init(&caches[i], &heap, &types[i]), QY_OK);
        objects[i] = take_of(&cpu, &caches[i]);
        CHECK(all_zero(objects[i], types[i].bytes));
        memset(objects[i], (int)i + 1, types[i].bytes);
        check();
    }
    CHECK_EQ(qy_heap_pages(&heap), 1);
    qy_irq_is_off();
    for (unsigned i = 0; i < 9; i++) {
        for (unsigned k = 0; k < types[i].bytes; k++)
            CHECK(objects[i][k] == i + 1);
        CHECK_EQ(qy_cache_free(&cpu, &caches[(i + 1) % 9], objects[i]), QY_NOT_OWNED);
        CHECK_EQ(qy_cache_free(&cpu, &caches[i], objects[i] + 16), QY_NOT_ALLOCATED);
        CHECK_EQ(qy_cache_free(&cpu, &caches[i], objects[i]), QY_OK);
        CHECK_EQ(qy_cache_free(&cpu, &caches[i], objects[i]), QY_NOT_ALLOCATED);
        check();
    }
    drain();
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 1);
    done();
}

/* ---- magazines ---- */

static void warm(struct qy_cpu_objects *by) QY_UNCHECKED
{
    for (unsigned i = 0; i < 16; i++) {
        void *object = take_of(by, &cache);
        CHECK_EQ(qy_cache_free(by, &cache, object), QY_OK);
    }
}

/* A CPU takes a magazine after repeated use; what goes back there is refused like any free object. */
static void magazines(void) QY_UNCHECKED
{
    make(1024, 64, 8);
    void *first = take();
    CHECK(!qy_heap_is_cached(&heap)); /* once is not repeatedly */
    CHECK_EQ(give(first), QY_OK);
    warm(&cpu);
    CHECK(qy_heap_is_cached(&heap));
    unsigned char *a = take();
    CHECK_EQ(give(a + 8), QY_NOT_ALLOCATED);
    CHECK_EQ(give(a), QY_OK);
    CHECK_EQ(give(a), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_cache_free(&cpu_1, &cache, a), QY_NOT_ALLOCATED);
    CHECK(take() == a); /* freed last, used first */
    check();
    unsigned char *b[300];
    for (unsigned i = 0; i < 300; i++) {
        b[i] = take();
        CHECK(all_zero(b[i], 64));
        memset(b[i], 0xff, 64);
    }
    CHECK_EQ(record(&cache).live, 301);
    warm(&cpu_1);
    CHECK_EQ(record(&cache).magazines, 2);
    for (unsigned i = 0; i < 300; i++) { /* allocated there, freed here */
        CHECK_EQ(qy_cache_free(&cpu_1, &cache, b[i]), QY_OK);
        CHECK_EQ(give(b[i]), QY_NOT_ALLOCATED);
        if (i % 10 == 0)
            check();
    }
    struct qy_record_cache r = record(&cache);
    CHECK_EQ(r.live, 1);
    CHECK(r.cached <= 301 + 2 * QY_MAGAZINE_OBJECTS); /* most of them in the depot */
    CHECK(r.fetched > 300 && r.returned > 200);
    CHECK_EQ(give(a), QY_OK);
    qy_heap_reclaim(&heap);
    CHECK(!qy_heap_is_cached(&heap));
    CHECK_EQ(record(&cache).allocations, r.allocations); /* none is forgotten */
    CHECK(record(&cache).fetched == r.fetched && record(&cache).returned > r.returned);
    CHECK_EQ(qy_heap_pages(&heap), 0);
    qy_frame_drain(&frames, NULL);
    CHECK_EQ(qy_arena_pages(&arena, QY_FRAME_FREE), 1024);
    done();
}

static void small_arenas_have_none(void)
{
    make(QY_MAGAZINE_MIN_PAGES - 1, 64, 8);
    warm(&cpu);
    CHECK(!qy_heap_is_cached(&heap));
    done();
}

/*
 * What a magazine remembers of an object is not believed once its slab may be somebody else's: an object
 * popped here and freed there, whose slab went back and came again with another colour.
 */
static void remembered_object(void) QY_UNCHECKED
{
    make(1024, 1000, 8);
    warm(&cpu);
    void *objects[64];
    for (unsigned i = 0; i < 8; i++)
        objects[i] = take();
    for (unsigned i = 0; i < 8; i++)
        CHECK_EQ(qy_cache_free(&cpu_1, &cache, objects[i]), QY_OK);
    while (take() != objects[0] && record(&cache).live < 60) {
    }
    qy_heap_reclaim(&heap);
    CHECK(qy_cache_free(&cpu, &cache, (char *)objects[0] + 8) != QY_OK);
    check();
    hosted_machine_destroy(&machine);
    make(1024, 64, 8);
    make_second(64);
    warm(&cpu);
    void *last = take(); /* above the top: this one */
    CHECK_EQ(qy_cache_free(&cpu_1, &cache, last), QY_OK);
    CHECK_EQ(give(last), QY_NOT_ALLOCATED);
    done();
}

/* The slab has gone, and where the object's state was now lies what would read as LIVE. */
static void forged_state(void) QY_UNCHECKED
{
    void *objects[64];
    unsigned count = 0;
    pfn_t page;
    make(1024, 1000, 8);
    cache.granules = 0;
    warm(&cpu);
    do
        objects[count++] = take();
    while (record(&cache).cached);
    while (count > 1)
        CHECK_EQ(qy_cache_free(&cpu_1, &cache, objects[--count - 1]), QY_OK); /* all but the last */
    objects[0] = atomic_load(&cpu.slots[cache.slot])->loaded->items[1].object; /* popped last */
    CHECK_EQ(qy_cache_free(&cpu_1, &cache, objects[0]), QY_OK);
    CHECK_EQ(record(&cache).live, 0);
    qy_heap_drain(&cpu_1, &heap);
    while (qy_arena_alloc(&arena, 0, QY_FRAME_OBJECT, &page) == QY_OK)
        memset(qy_port_ram(pfn_to_paddr(page)), QY_OBJECT_LIVE, QY_PAGE_BYTES);
    CHECK(give(objects[0]) != QY_OK);
    CHECK(qy_heap_check(&heap) == NULL);
    hosted_machine_destroy(&machine);
}

/* More caches of one slot than one: the busier one has it. */
static void slots_are_displaced(void) QY_UNCHECKED
{
    static struct qy_cache caches[QY_OBJECT_SLOTS + 1];
    make_arena(4096, NULL);
    second_type = (struct qy_cache_type){"many", 64, 8, NULL, 0};
    for (unsigned i = 0; i <= QY_OBJECT_SLOTS; i++)
        CHECK_EQ(qy_cache_init(&caches[i], &heap, &second_type), QY_OK);
    CHECK_EQ(caches[0].slot, caches[QY_OBJECT_SLOTS].slot);
    void *object;
    for (unsigned turn = 0; turn < 400; turn++) {
        struct qy_cache *of = &caches[turn < 100 ? 0 : QY_OBJECT_SLOTS];
        object = take_of(&cpu, of);
        CHECK_EQ(qy_cache_free(&cpu, of, object), QY_OK);
    }
    CHECK_EQ(record(&caches[0]).magazines, 0);
    CHECK_EQ(record(&caches[QY_OBJECT_SLOTS]).magazines, 1);
    qy_heap_drain(&cpu, &heap);
    CHECK_EQ(qy_heap_pages(&heap), 0);
    done();
}

/* ---- hooks ---- */

static struct {
    unsigned taken, given, fresh, guarded;
    void *kept;
} seen;
static unsigned char not_ram[128];

static void hook_taken(struct qy_cache *of, void *object, size_t bytes)
{
    unsigned char *at = object;
    CHECK_EQ(bytes, of->type->bytes);
    for (unsigned i = 0; i < of->type->bytes; i++)
        CHECK(at[i] == 0xab); /* poison, not zeroed yet */
    memset(at - qy_object_front_bytes(of), 0xf0, qy_object_front_bytes(of));
    memset(at + of->type->bytes, 0xf1, qy_object_back_bytes(of));
    seen.taken++;
}

static bool hook_given(struct qy_cpu_objects *by, struct qy_cache *of, void *object)
{
    unsigned char *at = object;
    CHECK(by == &cpu);
    for (size_t i = 1; i <= qy_object_front_bytes(of); i++)
        CHECK(at[-(ptrdiff_t)i] == 0xf0);
    for (size_t i = 0; i < qy_object_back_bytes(of); i++)
        CHECK(at[of->type->bytes + i] == 0xf1);
    memset(at, 0xab, of->type->bytes);
    seen.given++;
    if (seen.given % 3)
        return false;
    seen.kept = object;
    return true;
}

static void hook_fresh(struct qy_cache *of, void *object)
{
    memset(object, 0xab, of->type->bytes);
    seen.fresh++;
}

static bool hook_guard_alloc(struct qy_cache *of, size_t bytes, const struct qy_site *site,
                             void **out)
{
    CHECK(of == &cache && bytes == 100 && site == NULL);
    memset(not_ram, 0xcd, sizeof(not_ram));
    *out = not_ram;
    return seen.guarded++ % 2 == 0;
}

static enum qy_error hook_guard_free(struct qy_heap *of, struct qy_cache *claimed, void *object)
{
    CHECK(of == &heap && claimed == &cache);
    return object == not_ram ? QY_OK : QY_NOT_OWNED;
}

/* Redzones, poison and quarantine lie where hooks.h says, in both kinds of slabs and in
 * magazines; a kept object is nobody's until it is released. */
static void hooks_see(void) QY_UNCHECKED
{
    static const struct qy_heap_hooks hooks = {
        .flags = QY_CACHE_HOOKED, .taken = hook_taken, .given = hook_given, .fresh = hook_fresh};
    static const unsigned sizes[] = {1, 24, 100, 500, 3000};
    for (unsigned s = 0; s < 5; s++) {
        make_arena(1024, &hooks);
        CHECK_EQ(make_cache(sizes[s], 8), QY_OK);
        memset(&seen, 0, sizeof(seen));
        void *objects[120];
        for (unsigned turn = 0; turn < 3; turn++) {
            for (unsigned i = 0; i < 120; i++) {
                CHECK_EQ(qy_cache_alloc(&cpu, &cache, &objects[i]), QY_OK);
                CHECK(all_zero(objects[i], sizes[s]));
            }
            check();
            for (unsigned i = 0; i < 120; i++) {
                CHECK_EQ(give(objects[i]), QY_OK);
                CHECK_EQ(give(objects[i]), QY_NOT_ALLOCATED);
                if (seen.kept) {
                    CHECK_EQ(record(&cache).held, 1);
                    CHECK_EQ(record(&cache).live, 119 - i);
                    check();
                    CHECK_EQ(qy_cache_release(&cpu, &cache, objects[i]), QY_OK);
                    CHECK_EQ(qy_cache_release(&cpu, &cache, objects[i]), QY_NOT_ALLOCATED);
                    seen.kept = NULL;
                }
            }
        }
        CHECK_EQ(seen.taken, 360);
        CHECK_EQ(seen.given, 360);
        CHECK(seen.fresh >= 120);
        qy_heap_reclaim(&heap);
        CHECK_EQ(qy_heap_pages(&heap), 0);
        done();
    }
}

/* One object in so many is guarded, zeroed as any, and freed through the hook; if it cannot be, the cache
 * serves. */
static void guarded_objects(void) QY_UNCHECKED
{
    static const struct qy_heap_hooks hooks = {.guard_alloc = hook_guard_alloc,
                                               .guard_free = hook_guard_free};
    static const uint64_t arenas[] = {64, 1024};
    int local;
    for (unsigned a = 0; a < 2; a++) {
        make_arena(arenas[a], &hooks);
        CHECK_EQ(make_cache(100, 8), QY_OK);
        qy_heap_guard_every(&heap, 100);
        memset(&seen, 0, sizeof(seen));
        static void *objects[1000];
        unsigned guarded = 0;
        for (unsigned i = 0; i < 1000; i++) {
            objects[i] = take();
            guarded += objects[i] == not_ram;
            CHECK(all_zero(objects[i], 100));
        }
        printf("# %llu pages: %u of 1000 guarded\n", (unsigned long long)arenas[a], guarded);
        CHECK(seen.guarded >= 9 && seen.guarded <= 11 && guarded == (seen.guarded + 1) / 2);
        CHECK_EQ(give(&local), QY_NOT_OWNED);
        for (unsigned i = 0; i < 1000; i++)
            CHECK_EQ(give(objects[i]), QY_OK);
        done();
    }
}

/* Which object is the first guarded one is drawn by lot. */
static void first_by_lot(void) QY_UNCHECKED
{
    static const struct qy_heap_hooks hooks = {.guard_alloc = hook_guard_alloc};
    bool seen_at[101] = {false};
    unsigned different = 0;
    make_arena(64, NULL);
    for (uint64_t i = 1; i <= 50; i++) {
        qy_heap_init(&heap, &arena, &hooks, i * 0x9e3779b97f4a7c15ull);
        qy_heap_guard_every(&heap, 100);
        CHECK(heap.guard_left >= 1 && heap.guard_left <= 100);
        different += !seen_at[heap.guard_left];
        seen_at[heap.guard_left] = true;
    }
    CHECK(different > 20);
    hosted_machine_destroy(&machine);
}

/* ---- who is alive ---- */

static void count_live(void *context, struct qy_cache *of, void *object)
{
    unsigned *counts = context;
    counts[of == &second]++;
    CHECK(((unsigned char *)object)[0] == (of == &second ? 2 : 1));
}

static void live_objects(void) QY_UNCHECKED
{
    make(1024, 72, 8);
    make_second(300);
    void *objects[200], *found;
    struct qy_cache *of;
    for (unsigned i = 0; i < 200; i++) {
        objects[i] = take_of(&cpu, i % 2 ? &second : &cache);
        memset(objects[i], i % 2 ? 2 : 1, 72);
    }
    for (unsigned i = 0; i < 50; i++)
        CHECK_EQ(qy_cache_free(&cpu, i % 2 ? &second : &cache, objects[i]), QY_OK);
    unsigned counts[2] = {0, 0};
    qy_heap_each(&heap, count_live, counts);
    CHECK_EQ(counts[0], 75);
    CHECK_EQ(counts[1], 75);
    for (unsigned i = 50; i < 200; i++) {
        CHECK_EQ(qy_heap_find(&heap, (char *)objects[i] + 71, &of, &found), QY_OK);
        CHECK(found == objects[i] && of == (i % 2 ? &second : &cache));
    }
    CHECK_EQ(qy_heap_find(&heap, objects[49], &of, &found), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_heap_find(&heap, &of, &of, &found), QY_NOT_OWNED);
    done();
}

static const struct test tests[] = {
    {"all sizes and alignments", sizes},
    {"objects are zero", zeroed},
    {"constructors run once a place", constructors},
    {"slabs are coloured", colours},
    {"every wrong pointer is refused by name", wrong_pointers},
    {"a pointer whose memory has gone is refused", stale_pointers},
    {"a write to a free object is found", use_after_free},
    {"any flipped bit of a slab is found", flipped_bits_of_a_slab},
    {"a forged link is found", forged_link},
    {"a broken list of slabs is found", broken_lists},
    {"any flipped bit of a mixed slab's map is found", flipped_bits_of_a_mixed_slab},
    {"an object that two CPUs free at once is found", freed_by_two},
    {"slabs go back to the arena", memory_goes_back},
    {"an arena that runs out", runs_out},
    {"a shared slab has room when no page is left", shared_room},
    {"one page for nine types", one_page},
    {"magazines are taken on repeated use, and taken away", magazines},
    {"small arenas have no magazines", small_arenas_have_none},
    {"what a magazine remembers is not believed blindly", remembered_object},
    {"a slab that has gone vouches for nothing", forged_state},
    {"the busier cache has the slot", slots_are_displaced},
    {"hooks see every object", hooks_see},
    {"guarded objects are sampled", guarded_objects},
    {"the first guarded object is drawn by lot", first_by_lot},
    {"live objects are listed and found", live_objects},
};
TEST_MAIN(tests)
