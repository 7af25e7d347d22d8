/*
 * The boot option stress: all CPUs at once take and free objects of the same caches, and pieces of the same size
 * classes and pages, aligned and resized, a million times in all, and free what others took; then nothing is
 * left, and every validator is content.
 *
 *     CPU 0   take --> held --> free                 an object carries its cache's number, its size and a
 *                        \                           word that only its taker knew, at both its ends
 *                         v
 *             mailboxes | o | o |   | o | ...        put one in, take out and free what was there
 *                         ^
 *     CPU 1   take --> held ...
 *
 * With guard=N some of them are guarded ones. A kernel's arena of 2 MiB and more has magazines, so
 * that is what a machine of 2 GiB tests. Boot only, before the root task. What it would
 * miss: a race so rare that a million operations do not meet it; the hosted tests run under
 * ThreadSanitizer.
 */
#include <arch/arch.h>
#include <kernel/arenas.h>
#include <kernel/boot.h>
#include <kernel/cpus.h>
#include <kernel/guard.h>
#include <kernel/print.h>
#include <lib/random.h>
#include <lib/string.h>
#include <platform/parse.h>
#include <qy/heap.h>
#include <qy/port.h>

#define OPERATIONS 1000000u /* of all CPUs together */
#define HELD 48u            /* objects that a CPU keeps at most */
#define MAILBOXES 64u
#define ANSWER_EVERY 8u /* operations between two looks at what other CPUs ask */

#define KIND(bytes)                                                                                \
    {                                                                                              \
        "stress " #bytes, bytes, 8, NULL, 0                                                        \
    }
static const struct qy_cache_type kinds[] = {KIND(16),   KIND(32),  KIND(64),  KIND(96),
                                             KIND(128),  KIND(256), KIND(512), KIND(1000),
                                             KIND(2048), KIND(4096)};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define PIECE KINDS             /* the kind of what has no cache of its own */
#define PIECE_BYTES_MAX 20000u  /* of one in sixteen; the others are of classes */
#define PIECE_ALIGN_LOG_MAX 12u /* of one in four */

/* What an object begins with; its last word is `word` again. */
struct label {
    uint16_t kind;
    uint16_t taker;
    uint32_t bytes;
    uint64_t word;
};

static struct qy_arena *arena;
static struct qy_heap heap;
static struct qy_cache caches[KINDS];
static struct qy_sizes sizes;
static struct label *_Atomic mailboxes[MAILBOXES];
static _Atomic uint64_t failures, taken, guarded, resized, freed_elsewhere, out_of_memory, arrived;

struct worker {
    uint64_t random;
    uint32_t cpu, held_count;
    struct label *held[HELD];
    uint64_t taken, guarded, resized, freed_elsewhere, out_of_memory;
};

static void fail(const char *what, uint64_t number)
{
    if (atomic_fetch_add(&failures, 1) < 5)
        print("# CPU %u: %s %llx\n", cpu_this()->index, what, (unsigned long long)number);
}

static uint64_t below(struct worker *w, uint64_t limit)
{
    return random_below(&w->random, limit);
}

static uint64_t last_word(const struct label *label)
{
    uint64_t word;
    memcpy(&word, (const unsigned char *)label + label->bytes - sizeof(word), sizeof(word));
    return word;
}

static void stamp(struct worker *w, struct label *label, uint32_t kind, uint32_t bytes)
{
    *label = (struct label){(uint16_t)kind, (uint16_t)w->cpu, bytes, w->random | 1};
    memcpy((unsigned char *)label + bytes - sizeof(label->word), &label->word, sizeof(label->word));
}

static bool is_intact(const struct label *label)
{
    bool intact = label->kind <= PIECE && last_word(label) == label->word;
    if (!intact)
        fail("an object has changed while it was held, at", (uint64_t)label);
    return intact;
}

static uint32_t some_bytes(struct worker *w)
{
    return 16 + (uint32_t)below(w, below(w, 16) ? QY_SIZE_CLASS_MAX - 15 : PIECE_BYTES_MAX);
}

static struct label *take(struct worker *w)
{
    uint32_t kind = (uint32_t)below(w, 2 * KINDS), bytes;
    uint64_t align = 8;
    enum qy_error error;
    void *object;
    qy_irq_is_off();
    if (kind < KINDS) {
        bytes = kinds[kind].bytes;
        error = qy_cache_alloc(&cpu_this()->objects, &caches[kind], &object);
    } else {
        kind = PIECE;
        bytes = some_bytes(w);
        align = below(w, 4) ? 16 : 1ull << below(w, PIECE_ALIGN_LOG_MAX + 1);
        error = qy_sizes_alloc(&cpu_this()->objects, &sizes, bytes, align, &object);
    }
    if (error != QY_OK) {
        w->out_of_memory++;
        return NULL;
    }
    const unsigned char *byte = object;
    if ((uint64_t)object % align)
        fail("an object is not aligned, at", (uint64_t)object);
    for (uint32_t i = 0; i < bytes; i += i + 1) /* the ends, and some between */
        if (byte[i] || byte[bytes - 1 - i])
            fail("an object is not zeroed, at", (uint64_t)object);
    stamp(w, object, kind, bytes);
    w->taken++;
    w->guarded += guard_pool() && qy_guard_holds(guard_pool(), object);
    return object;
}

static void give(struct worker *w, struct label *label)
{
    if (!is_intact(label))
        return;
    w->freed_elsewhere += label->taker != w->cpu;
    qy_irq_is_off();
    struct qy_cpu_objects *cpu = &cpu_this()->objects;
    enum qy_error error = label->kind == PIECE ? qy_sizes_free(cpu, &sizes, label)
                                               : qy_cache_free(cpu, &caches[label->kind], label);
    if (error != QY_OK)
        fail("a free is refused, at", (uint64_t)label);
}

/* In place or elsewhere; what it begins with stays. */
static struct label *resize(struct worker *w, struct label *label)
{
    uint32_t bytes = some_bytes(w);
    uint64_t word = label->word;
    void *piece = label;
    if (!is_intact(label))
        return label;
    qy_irq_is_off();
    if (qy_sizes_resize(&cpu_this()->objects, &sizes, &piece, bytes) != QY_OK) {
        w->out_of_memory++;
        return label;
    }
    label = piece;
    if (label->kind != PIECE || label->word != word)
        fail("a piece has lost what it held, at", (uint64_t)label);
    stamp(w, label, PIECE, bytes);
    w->resized++;
    return label;
}

/* Take one, or free one, or resize one, or swap one for what somebody put into a mailbox, and free that. */
static void operate(struct worker *w)
{
    uint64_t what = below(w, 4);
    if (w->held_count == 0 || (what < 2 && w->held_count < HELD)) {
        struct label *label = take(w);
        if (label)
            w->held[w->held_count++] = label;
        return;
    }
    uint32_t i = (uint32_t)below(w, w->held_count);
    struct label *label = w->held[i];
    if (label->kind == PIECE && below(w, 8) == 0) {
        w->held[i] = resize(w, label);
        return;
    }
    w->held[i] = w->held[--w->held_count];
    if (what == 3)
        label = atomic_exchange(&mailboxes[below(w, MAILBOXES)], label);
    if (label)
        give(w, label);
}

/* Each CPU's share; all begin together. */
static void work(void)
{
    struct worker w = {.random = cpu_this()->index + 1, .cpu = cpu_this()->index};
    atomic_fetch_add(&arrived, 1);
    while (atomic_load(&arrived) < cpu_count)
        qy_port_relax();
    for (uint64_t i = 0; i < OPERATIONS / cpu_count; i++) {
        operate(&w);
        if (i % ANSWER_EVERY == 0)
            qy_port_relax();
    }
    while (w.held_count)
        give(&w, w.held[--w.held_count]);
    atomic_fetch_add(&taken, w.taken);
    atomic_fetch_add(&guarded, w.guarded);
    atomic_fetch_add(&resized, w.resized);
    atomic_fetch_add(&freed_elsewhere, w.freed_elsewhere);
    atomic_fetch_add(&out_of_memory, w.out_of_memory);
}

static void run_on_all(void)
{
    for (unsigned i = 0; i < cpu_count; i++)
        if (cpu_at(i) != cpu_this())
            cpu_run(cpu_at(i), work);
    work();
    for (unsigned i = 0; i < cpu_count; i++)
        while (cpu_is_working(cpu_at(i)))
            qy_port_relax();
    struct worker last = {.cpu = cpu_count};
    for (unsigned i = 0; i < MAILBOXES; i++) {
        struct label *label = atomic_exchange(&mailboxes[i], NULL);
        if (label)
            give(&last, label);
    }
}

/* The other CPUs are idle: what is left, and what the validators say. */
static void check(uint64_t free_pages)
{
    const char *broken = qy_heap_check(&heap);
    broken = broken ? broken : guard_check();
    for (size_t i = 0; i < KINDS + QY_SIZE_CLASSES; i++) {
        struct qy_record_cache record;
        qy_cache_record(i < KINDS ? &caches[i] : &sizes.classes[i - KINDS], &record);
        if (record.live)
            fail("objects are left in a cache:", record.live);
    }
    if (guard_live(&heap))
        fail("guarded objects are left:", guard_live(&heap));
    qy_heap_reclaim(&heap);
    guard_gather(arena);
    qy_frame_reclaim(arena);
    broken = broken ? broken : qy_heap_check(&heap);
    broken = broken ? broken : guard_check();
    broken = broken ? broken : qy_arena_check(arena);
    if (broken)
        kernel_panic("stress: invariant %s does not hold", broken);
    if (qy_arena_pages(arena, QY_FRAME_FREE) != free_pages)
        fail("pages of the arena are free:", qy_arena_pages(arena, QY_FRAME_FREE));
}

void kernel_stress_on_request(const char *command_line, struct kernel_arenas *arenas)
{
    char value[8];
    if (!qy_option(command_line, "stress", value, sizeof(value)))
        return;
    arena = &arenas->kernel;
    guard_heap_init(&heap, arena, arch_clock());
    for (size_t i = 0; i < KINDS; i++)
        if (qy_cache_init(&caches[i], &heap, &kinds[i]) != QY_OK)
            kernel_panic("stress: a cache is refused");
    if (qy_sizes_init(&sizes, &heap, 0) != QY_OK)
        kernel_panic("stress: the size classes are refused");
    qy_frame_reclaim(arena); /* what tests before have left in caches */
    uint64_t free_pages = qy_arena_pages(arena, QY_FRAME_FREE);
    run_on_all();
    check(free_pages);
    if (atomic_load(&failures))
        kernel_panic("stress: %llu failures", (unsigned long long)atomic_load(&failures));
    print("stress: %u operations on %u CPUs: %llu objects taken, %llu resized, %llu freed by "
          "another CPU, "
          "%llu guarded, %llu refused for want of memory\n",
          OPERATIONS / cpu_count * cpu_count, cpu_count, (unsigned long long)taken,
          (unsigned long long)resized, (unsigned long long)freed_elsewhere,
          (unsigned long long)guarded, (unsigned long long)out_of_memory);
    print("stress: CONSERVE holds, no object and no page is left\n\n");
}
