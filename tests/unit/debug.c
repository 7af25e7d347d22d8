/*
 * Redzones, poison and quarantine, each with the bug that it is there for planted at every place where it
 * can be seen, and what the report says. Would miss: what other CPUs do meanwhile (debug_threads), bugs that
 * the kinds cannot see (qy/debug.h says which).
 */
#include "debug_fixture.h"

static const struct qy_cache_type thing = {.name = "thing", .bytes = 100, .align = 8};
static const struct qy_cache_type aligned = {.name = "aligned", .bytes = 64, .align = 64};

static const struct qy_site *here(void)
{
    return QY_SITE("a thing");
}

static const struct qy_site *there(void)
{
    return QY_SITE("the end of a thing");
}

static void *take(void)
{
    return take_from(&cache, here());
}

/* Free, and say where. */
static enum qy_error give(void *object) QY_UNCHECKED
{
    return qy_cache_free_from(&cpu, &cache, object, there());
}

static void give_action(void *object)
{
    CHECK_EQ(give(object), QY_OK);
}

static void take_action(void *out)
{
    *(void **)out = take();
}

static void refused_action(void *object)
{
    qy_debug_refused(&debug, &cache, object);
}

static void says(const char *invariant, const void *object, int64_t offset, uint8_t found)
{
    CHECK(report.invariant && strcmp(report.invariant, invariant) == 0);
    CHECK(report.object.cache == &cache && report.object.object == object);
    CHECK_EQ(report.offset, offset);
    CHECK_EQ(report.found, found);
    CHECK(report.object.site == here());
}

/* A live object with one wrong byte at `offset`: what the validator says, then the free. */
static void plant_around(const struct qy_cache_type *type, int64_t offset)
{
    make_heap(64, ALL_KINDS, 1 << 16);
    make_cache(type);
    unsigned char *object = take();
    object[offset] ^= 0x40;
    uint8_t found = object[offset];
    bool inside = offset >= 0 && offset < type->bytes;
    CHECK_EQ(qy_debug_check(&debug, &heap, &report), inside);
    if (!inside)
        says("REDZONE", object, offset, found);
    CHECK_EQ(reports(give_action, object), !inside);
    if (!inside) {
        says("REDZONE", object, offset, found);
        CHECK(report.object.freed == there());
    }
    hosted_machine_destroy(&machine); /* the report did not return, so the object is half freed */
}

static void overflow_and_underflow(void)
{
    static const struct qy_cache_type *const types[] = {&thing, &aligned};
    for (unsigned t = 0; t < 2; t++) {
        make_heap(64, ALL_KINDS, 1 << 16);
        make_cache(types[t]);
        int64_t front = (int64_t)qy_object_front_bytes(&cache), bytes = types[t]->bytes;
        int64_t back = (int64_t)qy_object_back_bytes(&cache);
        CHECK(front >= QY_REDZONE_BYTES && back >= QY_REDZONE_BYTES);
        CHECK((uintptr_t)take() % types[t]->align == 0);
        hosted_machine_destroy(&machine);
        for (int64_t offset = -front; offset < bytes + back; offset++)
            plant_around(types[t], offset);
    }
}

static void drain_action(void *of)
{
    drain_tools(of);
}

/*
 * A write to each byte of a freed object, in quarantine and after it: the validator sees it there, and
 * whoever hands it on. `others` live, so that the cache has slabs of its own, which stay.
 */
static void plant_after_free(unsigned offset, bool in_quarantine)
{
    make_heap(64, ALL_KINDS, 1 << 16);
    make_cache(&thing);
    for (unsigned others = 0; others < 60; others++)
        CHECK(take() != NULL);
    unsigned char *object = take();
    void *next = NULL;
    CHECK_EQ(give(object), QY_OK);
    CHECK(qy_debug_check(&debug, &heap, &report));
    if (!in_quarantine)
        drain_tools(&heap);
    object[offset] = 7;
    CHECK_EQ(qy_debug_check(&debug, &heap, &report), !in_quarantine);
    if (in_quarantine)
        CHECK(reports(drain_action, &heap));
    for (unsigned i = 0; i < 60 && !report.invariant; i++)
        (void)reports(take_action, &next);
    says("POISON", object, offset, 7);
    CHECK(report.object.freed == there());
    hosted_machine_destroy(&machine);
}

static void use_after_free(void)
{
    for (unsigned offset = 0; offset < thing.bytes; offset++) {
        plant_after_free(offset, true);
        plant_after_free(offset, false);
    }
}

static void double_free(void)
{
    make_heap(64, ALL_KINDS, 1 << 16);
    make_cache(&thing);
    void *object = take(), *other = take();
    CHECK_EQ(give(object), QY_OK);
    CHECK_EQ(give(other), QY_OK);
    CHECK_EQ(give(object), QY_NOT_ALLOCATED);
    CHECK_EQ(qy_quarantine_count(&quarantine), 2);
    CHECK(reports(refused_action, object));
    says("DOUBLE-FREE", object, 0, 0);
    CHECK(report.object.freed == there());
    CHECK(!reports(refused_action, (unsigned char *)object + 8));
    drain_tools(&heap);
    CHECK(!reports(refused_action, object));
    end_heap();
}

/* Objects leave in the order in which they came, when there are too many of them, or too much. */
static void first_in_first_out(void)
{
    static void *objects[QY_QUARANTINE_OBJECTS + 40];
    make_heap(256, ALL_KINDS, 1 << 20);
    make_cache(&thing);
    for (unsigned i = 0; i < QY_QUARANTINE_OBJECTS + 40; i++)
        objects[i] = take();
    for (unsigned i = 0; i < QY_QUARANTINE_OBJECTS + 40; i++) {
        CHECK_EQ(give(objects[i]), QY_OK);
        unsigned held = i + 1 < QY_QUARANTINE_OBJECTS ? i + 1 : QY_QUARANTINE_OBJECTS;
        CHECK_EQ(qy_quarantine_count(&quarantine), held);
        for (unsigned k = 0; k <= i; k++)
            if (reports(refused_action, objects[k]) != (k + held > i))
                CHECK_EQ(k, i);
    }
    end_heap();
    make_heap(256, ALL_KINDS, 1000);
    make_cache(&thing);
    for (unsigned i = 0; i < 20; i++) {
        CHECK_EQ(give(take()), QY_OK);
        CHECK(qy_quarantine_count(&quarantine) * cache.stride <= 1000);
    }
    CHECK_EQ(qy_quarantine_count(&quarantine), 1000 / cache.stride);
    end_heap();
    make_heap(256, ALL_KINDS, 100); /* no object fits */
    make_cache(&thing);
    CHECK_EQ(give(take()), QY_OK);
    CHECK_EQ(qy_quarantine_count(&quarantine), 0);
    end_heap();
}

/* As many objects as an arena holds: they can be had again at once, whatever waits in quarantine. */
static void never_in_the_way(void)
{
    static void *objects[2000];
    unsigned all = 0;
    make_heap(8, ALL_KINDS, 1 << 20);
    make_cache(&thing);
    while (all < 2000 && (objects[all] = take()))
        all++;
    CHECK(all > 20 && all < 2000);
    for (unsigned turn = 0; turn < 4; turn++) {
        for (unsigned i = 0; i < all; i++)
            CHECK_EQ(give(objects[i]), QY_OK);
        CHECK(qy_quarantine_count(&quarantine) > 0);
        for (unsigned i = 0; i < all; i++)
            CHECK((objects[i] = take()) != NULL);
        CHECK(take() == NULL);
    }
    for (unsigned i = 0; i < all; i += 7) { /* one alone, whose slab stays in use */
        CHECK_EQ(give(objects[i]), QY_OK);
        CHECK((objects[i] = take()) != NULL);
        if (!objects[i])
            return;
    }
    for (unsigned i = 0; i < all; i++)
        CHECK_EQ(give(objects[i]), QY_OK);
    end_heap();
}

/* Two heaps share the hooks: draining one leaves the other's objects where they are. */
static void two_heaps(void)
{
    static struct qy_heap second;
    static struct qy_cache seconds;
    make_heap(64, ALL_KINDS, 1 << 16);
    make_cache(&thing);
    qy_heap_init(&second, &arena, &debug.hooks, 78);
    CHECK_EQ(qy_cache_init(&seconds, &second, &aligned), QY_OK);
    void *a = take(), *b = take_from(&seconds, NULL);
    CHECK_EQ(give(a), QY_OK);
    CHECK_EQ(give_to(&seconds, b), QY_OK);
    CHECK_EQ(qy_quarantine_count(&quarantine), 2);
    drain_tools(&heap);
    CHECK_EQ(qy_quarantine_count(&quarantine), 1);
    CHECK(reports(refused_action, b));
    drain_tools(&second);
    CHECK_EQ(qy_quarantine_count(&quarantine), 0);
    reclaim(&second);
    end_heap();
}

/* Without somebody to tell, the port is told; without sites a report still says what and where. */
static void nobody_to_tell(void)
{
    jmp_buf jump;
    volatile bool told = false;
    make_heap(64, QY_CACHE_REDZONED, 0);
    debug.report = NULL;
    make_cache(&thing);
    unsigned char *object = take();
    object[thing.bytes] = 0;
    if (setjmp(*hosted_catch(&jump)) == 0)
        (void)give(object);
    else
        told = strcmp(hosted_broken.invariant, "REDZONE") == 0 &&
               hosted_broken.number == (uintptr_t)object;
    hosted_catch(NULL);
    CHECK(told);
    CHECK(!qy_debug_check(&debug, &heap, &report) || told);
    hosted_machine_destroy(&machine);
}

/* Each kind by itself, and each with each: objects are zero, whole and separate, and all come back. */
static void every_combination(void)
{
    static const uint32_t kinds[] = {QY_CACHE_TRACKED, QY_CACHE_REDZONED, QY_CACHE_POISONED,
                                     QY_CACHE_QUARANTINED};
    for (unsigned set = 0; set < 16; set++) {
        uint32_t flags = 0;
        for (unsigned k = 0; k < 4; k++)
            flags |= set >> k & 1 ? kinds[k] : 0;
        make_heap(64, flags, 1 << 14);
        make_cache(&thing);
        for (unsigned turn = 0; turn < 3; turn++) {
            unsigned char *objects[50];
            for (unsigned i = 0; i < 50; i++) {
                objects[i] = take();
                for (unsigned k = 0; k < thing.bytes; k++)
                    CHECK_EQ(objects[i][k], 0);
                memset(objects[i], (int)i + 1, thing.bytes);
            }
            CHECK(qy_debug_check(&debug, &heap, &report));
            for (unsigned i = 0; i < 50; i++) {
                CHECK(objects[i][0] == i + 1 && objects[i][thing.bytes - 1] == i + 1);
                CHECK_EQ(give(objects[i]), QY_OK);
            }
            CHECK(qy_debug_check(&debug, &heap, &report));
        }
        end_heap();
    }
}

/* Without quarantine a write to a free object is seen when it is handed out again. */
static void handed_out_again(void)
{
    void *out;
    make_heap(64, QY_CACHE_TRACKED | QY_CACHE_POISONED, 0);
    make_cache(&thing);
    cache.granules = 0; /* shared pages are poisoned anew each time */
    unsigned char *object = take();
    CHECK_EQ(give(object), QY_OK);
    object[17] = 0x33;
    CHECK(reports(take_action, &out));
    says("POISON", object, 17, 0x33);
    hosted_machine_destroy(&machine);
}

/* In a size class the redzone begins behind what was asked for, not behind the class; zeroes in front of it. */
static struct qy_sizes sizes;

static void give_piece(void *piece) QY_UNCHECKED
{
    CHECK_EQ(qy_sizes_free(&cpu, &sizes, piece), QY_OK);
}

static void slack_of_a_class(void) QY_UNCHECKED
{
    static const size_t asked[] = {1, 100, 111, 112, 2049, 2560};
    for (unsigned i = 0; i < 6; i++) {
        unsigned char *piece;
        void *moved;
        size_t room;
        make_heap(64, ALL_KINDS, 1 << 14);
        CHECK_EQ(qy_sizes_init(&sizes, &heap, 0), QY_OK);
        CHECK_EQ(qy_sizes_alloc_from(&cpu, &sizes, asked[i], 1, here(), &moved), QY_OK);
        piece = moved;
        for (size_t k = 0; k < asked[i]; k++)
            CHECK(piece[k] == 0);
        CHECK(qy_sizes_room(&sizes, piece, &room) == QY_OK && room == asked[i]);
        memset(piece, 0xff, asked[i]);
        CHECK_EQ(qy_sizes_resize(&cpu, &sizes, &moved, asked[i] + 1), QY_OK);
        CHECK(moved != piece); /* who has the old address is found */
        piece = moved;
        CHECK(piece[asked[i] - 1] == 0xff && piece[asked[i]] == 0);
        CHECK(qy_debug_check(&debug, &heap, &report));
        piece[asked[i] + 1] = 0x11;
        CHECK(!qy_debug_check(&debug, &heap, &report));
        CHECK(reports(give_piece, piece));
        CHECK(strcmp(report.invariant, "REDZONE") == 0 && report.object.site == here());
        CHECK_EQ(report.offset, asked[i] + 1);
        hosted_machine_destroy(&machine);
    }
}

static const struct test tests[] = {
    {"overflow and underflow of one byte, at each place", overflow_and_underflow},
    {"a write after the free, at each place", use_after_free},
    {"a double free", double_free},
    {"the quarantine is first in, first out, and bounded", first_in_first_out},
    {"the quarantine makes no allocation fail", never_in_the_way},
    {"two heaps share a quarantine", two_heaps},
    {"nobody to tell", nobody_to_tell},
    {"every combination of kinds", every_combination},
    {"a free object is looked at when it is handed out", handed_out_again},
    {"the slack of a size class is redzone", slack_of_a_class},
};
TEST_MAIN(tests)
