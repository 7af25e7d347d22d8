/*
 * Breadth-first search of every interleaving of mem/tlb's code on two CPUs: 3 spaces, 2 tags a CPU.
 *
 * The code that runs is the library's: each atomic operation of tlb.c is a place where the other CPU may go on. A CPU is a
 * coroutine that loads spaces, changes entries with a shootdown, or takes its interrupt. CPUs remember every
 * translation that they ever could have, from the moment when the tables say so: their TLBs grow at once, so that nothing
 * has to be searched for when.
 *
 * Promise: a CPU never has, under the tag in use, a frame that is not the loaded space's: a frame leaves its space when
 * the shootdown has returned. And no request is lost: a CPU that is waited for answers, or has an interrupt to take.
 *
 * A state is the world, and of each CPU what it has seen since its operation began. Bounds: the changes of entries
 * and each CPU's loads (`bounds`); all that lies within them is visited. It would miss what needs three CPUs, or memory
 * that is weaker than sequentially consistent.
 */
#include <qy/tlb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

static void step(void);
static uint64_t note(uint64_t value);

#undef atomic_load
#undef atomic_store
#undef atomic_fetch_add
#undef atomic_fetch_or
#undef atomic_fetch_and
#undef atomic_compare_exchange_strong
#define atomic_load(at) (step(), note(atomic_load_explicit(at, memory_order_seq_cst)))
#define atomic_store(at, value) (step(), atomic_store_explicit(at, value, memory_order_seq_cst))
#define atomic_fetch_add(at, by)                                                                   \
    (step(), note(atomic_fetch_add_explicit(at, by, memory_order_seq_cst)))
#define atomic_fetch_or(at, bits)                                                                  \
    (step(), (void)atomic_fetch_or_explicit(at, bits, memory_order_seq_cst))
#define atomic_fetch_and(at, bits)                                                                 \
    (step(), (void)atomic_fetch_and_explicit(at, bits, memory_order_seq_cst))
#define atomic_compare_exchange_strong(at, old, new)                                               \
    (step(), note((uint64_t)atomic_compare_exchange_strong_explicit(                               \
                 at, old, new, memory_order_seq_cst, memory_order_seq_cst)))
#include "../../mem/tlb/tlb.c"

#include "../../mem/tlb/gather.c"

#define CPUS 2u
#define SPACES 3u
#define FRAMES 8u
#define PAGE_ADDRESS 0x5000ull
#define NOBODY 0xffu
#define STACK_BYTES 4096u

static const struct bounds {
    unsigned changes, loads[CPUS];
} bounds[] = {{1, {2, 2}}, {1, {3, 1}}, {2, {1, 1}}, {2, {2, 0}}};
static const struct bounds *bound;

enum op { IDLE, LOAD, CHANGE = LOAD + SPACES + 1, ANSWER = CHANGE + SPACES, OPS };

/* All that there is but the coroutines' stacks. */
static struct world {
    struct qy_tlb tlb;
    struct qy_tlb_space spaces[SPACES];
    struct qy_tlb_cpu cpus[CPUS];
    uint8_t page[SPACES];  /* frame + 1 that the entry maps; 0 = none */
    uint8_t owner[FRAMES]; /* space that may use the frame */
    uint8_t loaded[CPUS];  /* what the hardware runs */
    uint8_t tag[CPUS];
    uint8_t known[CPUS][QY_TLB_TAGS + 1]; /* frames, by bit, that it translates to under a tag */
    uint8_t interrupted[CPUS];
    uint8_t op[CPUS], loads[CPUS], changes;
    uint64_t seen[CPUS];    /* hash of what the operation has read */
    uint64_t waiting[CPUS]; /* the same when it began to wait; 0 = it does not */
} world;

struct coroutine {
    ucontext_t context;
    unsigned char stack[STACK_BYTES] __attribute__((aligned(64)));
};
static struct coroutine coroutines[CPUS];
static ucontext_t scheduler;
static int inside = -1; /* CPU that runs; -1 = the search */
static const char *broken;

static void check(void)
{
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        unsigned space = world.loaded[cpu];
        if (space < SPACES && world.page[space])
            world.known[cpu][world.tag[cpu]] |= (uint8_t)(1u << (world.page[space] - 1));
        for (unsigned frame = 0; frame < FRAMES && space < SPACES; frame++)
            if (world.known[cpu][world.tag[cpu]] >> frame & 1 && world.owner[frame] != space)
                broken = world.owner[frame] == NOBODY ? "a CPU translates to a freed frame"
                                                      : "a CPU translates to another space's frame";
    }
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 29;
}

static void step(void)
{
    if (inside < 0)
        return;
    unsigned cpu = (unsigned)inside;
    world.seen[cpu] = mix(world.seen[cpu], 0); /* how far it is */
    check();
    inside = -1;
    swapcontext(&coroutines[cpu].context, &scheduler);
    inside = (int)cpu;
}

static uint64_t note(uint64_t value)
{
    if (inside >= 0)
        world.seen[inside] = mix(world.seen[inside], value + 1);
    return value;
}

void qy_port_relax(void)
{
    unsigned cpu = (unsigned)inside;
    if (!world.waiting[cpu])
        world.waiting[cpu] = world.seen[cpu];
    qy_tlb_answer(&world.tlb, &world.cpus[cpu]);
    world.seen[cpu] = world.waiting[cpu]; /* what it polled does not matter */
}

/* ---- the hardware ---- */

static void hardware_load(paddr_t root, unsigned tag, bool keep)
{
    step(); /* a CPU may stop here, for long */
    world.loaded[inside] = (uint8_t)root.raw;
    world.tag[inside] = (uint8_t)tag;
    if (!keep)
        world.known[inside][tag] = 0;
    check();
}

static void hardware_flush_pages(unsigned tag, vaddr_t start, unsigned pages, unsigned level)
{
    if (PAGE_ADDRESS - start.raw < pages * qy_pt_page_bytes(level))
        world.known[inside][tag] = 0;
}

static void hardware_flush_tag(unsigned tag)
{
    world.known[inside][tag] = 0;
}

static void hardware_interrupt(struct qy_tlb_cpu *cpu)
{
    world.interrupted[cpu->index] = 1;
}

static struct qy_tlb_cpu *hardware_cpu(unsigned index)
{
    return &world.cpus[index];
}

static const struct qy_tlb_ops ops = {.load = hardware_load,
                                      .flush_pages = hardware_flush_pages,
                                      .flush_tag = hardware_flush_tag,
                                      .interrupt = hardware_interrupt,
                                      .cpu = hardware_cpu};

/* ---- what CPUs do ---- */

static unsigned free_frame(void)
{
    for (unsigned frame = 0; frame < FRAMES; frame++)
        if (world.owner[frame] == NOBODY)
            return frame;
    abort();
}

/* Take the space's page away, and give it another one. Space 0 is told to forget everything. */
static void change(unsigned cpu, unsigned space)
{
    struct qy_tlb_gather gather;
    unsigned frame = world.page[space] - 1u;
    world.page[space] = 0;
    qy_tlb_gather_init(&gather, &world.spaces[space]);
    if (space == 0)
        qy_tlb_gather_all(&gather);
    else
        qy_tlb_gather_pages(&gather, vaddr(PAGE_ADDRESS), 1, 1);
    step();
    qy_tlb_shootdown(&world.tlb, &world.cpus[cpu], &gather);
    unsigned next = free_frame();
    world.owner[frame] = NOBODY;
    check();
    world.owner[next] = (uint8_t)space;
    world.page[space] = (uint8_t)(next + 1);
}

static void run_op(void)
{
    unsigned cpu = (unsigned)inside, op = world.op[cpu];
    if (op >= ANSWER) {
        qy_tlb_answer(&world.tlb, &world.cpus[cpu]);
    } else if (op >= CHANGE) {
        change(cpu, op - CHANGE);
    } else {
        unsigned space = op - LOAD;
        qy_tlb_load(&world.tlb, &world.cpus[cpu], space < SPACES ? &world.spaces[space] : NULL);
    }
    check();
    world.op[cpu] = IDLE;
    world.seen[cpu] = world.waiting[cpu] = 0;
    inside = -1;
    setcontext(&scheduler); /* the search goes on behind its swapcontext */
}

static bool can_begin(unsigned cpu, unsigned op)
{
    if (op >= ANSWER)
        return world.interrupted[cpu];
    if (op >= CHANGE)
        return world.changes < bound->changes && world.page[op - CHANGE];
    return world.loads[cpu] < bound->loads[cpu] && world.loaded[cpu] != op - LOAD;
}

static void go_on(unsigned cpu)
{
    inside = (int)cpu;
    swapcontext(&scheduler, &coroutines[cpu].context);
    inside = -1;
}

/* One step of a CPU: it begins `op` if it is idle, else it goes on. False: it cannot. */
static bool advance(unsigned cpu, unsigned op)
{
    if (world.op[cpu] != IDLE) {
        if (op != OPS)
            return false;
        go_on(cpu);
        return true;
    }
    if (op == OPS || !can_begin(cpu, op))
        return false;
    world.op[cpu] = (uint8_t)op;
    if (op >= ANSWER)
        world.interrupted[cpu] = 0;
    else if (op >= CHANGE)
        world.changes++;
    else
        world.loads[cpu]++;
    /* What it reads of its own without an atomic operation depends on this. */
    world.seen[cpu] = 1;
    const unsigned char *own = (const unsigned char *)&world.cpus[cpu];
    for (size_t i = 0; i < sizeof(world.cpus[cpu]); i++)
        world.seen[cpu] = mix(world.seen[cpu], own[i]);
    struct coroutine *coroutine = &coroutines[cpu];
    memset(coroutine->stack, 0, sizeof(coroutine->stack));
    getcontext(&coroutine->context);
    coroutine->context.uc_stack.ss_sp = coroutine->stack;
    coroutine->context.uc_stack.ss_size = sizeof(coroutine->stack);
    makecontext(&coroutine->context, run_op, 0);
    go_on(cpu);
    return true;
}

/* ---- the search ---- */

struct snapshot {
    struct world world;
    struct coroutine coroutines[CPUS];
};

struct level {
    struct snapshot *states;
    size_t count, room;
};

static uint64_t *visited;
static size_t visited_mask, visited_count, transitions;

static uint64_t state_hash(void)
{
    uint64_t hash = 1, words[sizeof(world) / 8];
    memcpy(words, &world, sizeof(words));
    for (size_t i = 0; i < sizeof(world) / 8; i++)
        hash = mix(hash, words[i]);
    return hash | 1;
}

/* True: it is new. Two states with one hash of 64 bits would be taken for one. */
static bool visit(uint64_t hash)
{
    size_t at = hash >> 3 & visited_mask;
    for (; visited[at]; at = (at + 1) & visited_mask)
        if (visited[at] == hash)
            return false;
    visited[at] = hash;
    visited_count++;
    return true;
}

static void keep(struct level *level)
{
    if (level->count == level->room) {
        level->room = level->room ? level->room * 2 : 1024;
        level->states = realloc(level->states, level->room * sizeof(*level->states));
        if (!level->states)
            abort();
    }
    level->states[level->count].world = world;
    memcpy(level->states[level->count++].coroutines, coroutines, sizeof(coroutines));
}

static void restore(const struct snapshot *snapshot)
{
    world = snapshot->world;
    memcpy(coroutines, snapshot->coroutines, sizeof(coroutines));
}

static void begin(void)
{
    memset(&world, 0, sizeof(world));
    qy_tlb_init(&world.tlb, &ops, paddr(SPACES), QY_TLB_TAGS);
    memset(world.owner, NOBODY, sizeof(world.owner));
    for (unsigned i = 0; i < SPACES; i++) {
        qy_tlb_space_init(&world.tlb, &world.spaces[i], paddr(i));
        world.page[i] = (uint8_t)(i + 1);
        world.owner[i] = (uint8_t)i;
    }
    for (unsigned i = 0; i < CPUS; i++) {
        world.cpus[i].index = i;
        world.loaded[i] = SPACES;
    }
}

/* Who waits is waited for by nobody outside of the kernel, or that one has an interrupt to take. */
static void check_requests(void)
{
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        if (world.op[cpu] == IDLE && world.waiting[1 - cpu] && !world.interrupted[cpu] &&
            atomic_load(&world.cpus[cpu].done) != atomic_load(&world.cpus[cpu].wanted))
            broken = "a request was lost: a CPU waits for ever";
}

/* All successors of a state. */
static void expand(const struct snapshot *from, struct level *next)
{
    for (unsigned cpu = 0; cpu < CPUS && !broken; cpu++) {
        for (unsigned op = LOAD; op <= OPS && !broken; op++) {
            restore(from);
            if (!advance(cpu, op))
                continue;
            transitions++;
            check_requests();
            if (visit(state_hash()))
                keep(next);
        }
    }
}

/* Everything within the bounds; prints the test's line. */
static void search(unsigned number)
{
    struct level now = {0}, next = {0};
    unsigned depth = 0;
    memset(visited, 0, (visited_mask + 1) * sizeof(*visited));
    visited_count = transitions = 0;
    begin();
    keep(&now);
    visit(state_hash());
    for (; now.count && !broken && visited_count < visited_mask / 2; depth++) {
        for (size_t i = 0; i < now.count && !broken; i++)
            expand(&now.states[i], &next);
        struct level done = now;
        now = next;
        next = (struct level){done.states, 0, done.room};
    }
    if (now.count && !broken)
        broken = "the search does not end within its memory";
    free(now.states);
    free(next.states);
    printf("%sok %u - 2 CPUs, 3 spaces, 2 tags: %u changes, %u and %u loads\n",
           broken ? "not " : "", number + 1, bound->changes, bound->loads[0], bound->loads[1]);
    printf("# %zu states, %zu transitions, %u steps deep%s%s\n", visited_count, transitions, depth,
           broken ? ": " : ", complete within these bounds", broken ? broken : "");
}

int main(void)
{
    const unsigned count = sizeof(bounds) / sizeof(bounds[0]);
    visited_mask = (1u << 22) - 1;
    visited = malloc((visited_mask + 1) * sizeof(*visited));
    if (!visited)
        abort();
    printf("1..%u\n", count);
    for (unsigned i = 0; i < count && !broken; i++) {
        bound = &bounds[i];
        search(i);
        fflush(stdout);
    }
    return broken != NULL;
}
