/*
 * Tags, generations and shootdowns. See qy/tlb.h.
 *
 * A word of a space's log says what the change of one generation was:
 *
 *     63            29 28       23 22   21 20             0
 *     | page number   | pages     | level | generation     |
 *
 * pages 0: all. The word is good for a generation if its low bits are in it. Whoever counts the
 * generation up writes the word, unless another has written to it since: one that was stopped for long
 * must not write over a later change's. No word, or another's: the whole tag is forgotten.
 */
#include <qy/tlb.h>

#define GENERATION_BITS 21u
#define LEVEL_SHIFT 21u
#define PAGES_SHIFT 23u
#define PAGE_NUMBER_SHIFT 29u
#define GENERATION_MASK ((1ull << GENERATION_BITS) - 1)

_Static_assert(QY_TLB_PAGES_MAX < 64, "six bits of a log word");
_Static_assert(QY_TLB_RANGES <= QY_TLB_LOG, "a gathering fits the log");

static _Atomic uint64_t *mask_word(struct qy_tlb_space *space, unsigned cpu)
{
    return &space->active[cpu / 64];
}

static uint64_t mask_bit(unsigned cpu)
{
    return 1ull << cpu % 64;
}

void qy_tlb_init(struct qy_tlb *tlb, const struct qy_tlb_ops *ops, paddr_t kernel_root,
                 unsigned tags)
{
    unsigned use = tags < QY_TLB_TAGS ? tags : QY_TLB_TAGS;
    *tlb = (struct qy_tlb){.ops = ops, .kernel_root = kernel_root};
    tlb->ways = use < QY_TLB_WAYS ? use : QY_TLB_WAYS;
    while (tlb->ways && tlb->sets * 2 * tlb->ways <= use)
        tlb->sets = tlb->sets ? tlb->sets * 2 : 1; /* a power of two */
}

void qy_tlb_space_init(struct qy_tlb *tlb, struct qy_tlb_space *space, paddr_t root)
{
    *space = (struct qy_tlb_space){.root = root};
    space->id = atomic_fetch_add(&tlb->last_id, 1) + 1;
}

bool qy_tlb_is_active(const struct qy_tlb_space *space, unsigned cpu)
{
    return atomic_load(&space->active[cpu / 64]) >> cpu % 64 & 1;
}

unsigned qy_tlb_next_active(const struct qy_tlb_space *space, unsigned cpu)
{
    for (unsigned word = cpu / 64; word < QY_TLB_MASK_WORDS; word++) {
        uint64_t mask = atomic_load(&space->active[word]);
        if (word == cpu / 64)
            mask &= ~0ull << cpu % 64;
        if (mask)
            return word * 64 + (unsigned)__builtin_ctzll(mask);
    }
    return QY_TLB_MASK_WORDS * 64;
}

/* ---- loading ---- */

/* The tag that the CPU knows the space by, or else the one of its set that was used longest ago. */
static unsigned tag_of(const struct qy_tlb *tlb, const struct qy_tlb_cpu *cpu, uint64_t id)
{
    unsigned first = 1 + (unsigned)(id & (tlb->sets - 1)) * tlb->ways, oldest = first;
    for (unsigned tag = first; tag < first + tlb->ways; tag++) {
        if (cpu->tags[tag].space == id)
            return tag;
        if (cpu->tags[tag].used < cpu->tags[oldest].used)
            oldest = tag;
    }
    return oldest;
}

/* Make a tag the space's, up to that generation. Returns whether what the CPU has under it is good. */
static bool tag_take(struct qy_tlb *tlb, struct qy_tlb_cpu *cpu, const struct qy_tlb_space *space,
                     uint64_t generation)
{
    unsigned number = tlb->sets ? tag_of(tlb, cpu, space->id) : 0;
    struct qy_tlb_tag *tag = &cpu->tags[number];
    bool keep = number && tag->space == space->id && tag->generation == generation;
    if (number && tag->space && tag->space != space->id)
        QY_COUNT(cpu->counts.recycled, 1);
    *tag = (struct qy_tlb_tag){space->id, generation, ++cpu->clock};
    cpu->tag = number;
    return keep;
}

static void code_catch_up(const struct qy_tlb *tlb, struct qy_tlb_cpu *cpu)
{
    uint64_t code = atomic_load(&tlb->code);
    if (!tlb->ops->fence_code || cpu->code == code)
        return;
    tlb->ops->fence_code();
    cpu->code = code;
}

/*
 * The order is the protocol: the bit is set before the generation is read, and that of the space
 * before is cleared when its tables are no longer loaded.
 */
void qy_tlb_load(struct qy_tlb *tlb, struct qy_tlb_cpu *cpu, struct qy_tlb_space *space)
{
    struct qy_tlb_space *before = cpu->space;
    bool keep = tlb->sets != 0;
    if (before == space)
        return;
    if (space) {
        atomic_fetch_or(mask_word(space, cpu->index), mask_bit(cpu->index));
        keep = tag_take(tlb, cpu, space, atomic_load(&space->generation));
    } else {
        cpu->tag = 0;
    }
    code_catch_up(tlb, cpu);
    tlb->ops->load(space ? space->root : tlb->kernel_root, cpu->tag, keep);
    cpu->space = space;
    if (keep)
        QY_COUNT(cpu->counts.kept, 1);
    else
        QY_COUNT(cpu->counts.flushes, 1);
    if (before)
        atomic_fetch_and(mask_word(before, cpu->index), ~mask_bit(cpu->index));
}

/* ---- answering ---- */

/* Forget page by page what changed after `from` up to `to`. False: the log does not say, or it is too much. */
static bool flush_by_log(const struct qy_tlb *tlb, struct qy_tlb_cpu *cpu,
                         const struct qy_tlb_space *space, uint64_t from, uint64_t to)
{
    uint64_t words[QY_TLB_LOG];
    unsigned count = 0, pages = 0;
    if (to - from > QY_TLB_LOG)
        return false;
    for (uint64_t g = from + 1; g <= to; g++) {
        uint64_t word = atomic_load(&space->log[g % QY_TLB_LOG]);
        unsigned of_word = (unsigned)(word >> PAGES_SHIFT) & 63;
        pages += of_word;
        if ((word & GENERATION_MASK) != (g & GENERATION_MASK) || of_word == 0 ||
            pages > QY_TLB_PAGES_MAX)
            return false;
        words[count++] = word;
    }
    for (unsigned i = 0; i < count; i++)
        tlb->ops->flush_pages(cpu->tag, vaddr(words[i] >> PAGE_NUMBER_SHIFT << QY_PAGE_SHIFT),
                              (unsigned)(words[i] >> PAGES_SHIFT) & 63,
                              (unsigned)(words[i] >> LEVEL_SHIFT) & 3);
    QY_COUNT(cpu->counts.pages, pages);
    return true;
}

/* Bring the tag in use up to date. */
static bool catch_up(const struct qy_tlb *tlb, struct qy_tlb_cpu *cpu)
{
    const struct qy_tlb_space *space = cpu->space;
    struct qy_tlb_tag *tag = &cpu->tags[cpu->tag];
    code_catch_up(tlb, cpu);
    if (!space)
        return false;
    uint64_t now = atomic_load(&space->generation);
    if (tag->generation == now)
        return false;
    if (!flush_by_log(tlb, cpu, space, tag->generation, now)) {
        tlb->ops->flush_tag(cpu->tag);
        QY_COUNT(cpu->counts.flushes, 1);
    }
    tag->generation = now;
    return true;
}

bool qy_tlb_answer(struct qy_tlb *tlb, struct qy_tlb_cpu *cpu)
{
    uint64_t wanted = atomic_load(&cpu->wanted);
    if (atomic_load(&cpu->done) == wanted)
        return false;
    if (catch_up(tlb, cpu))
        QY_COUNT(cpu->counts.answers, 1);
    atomic_store(&cpu->done, wanted);
    return true;
}

/* ---- asking ---- */

static void ask(const struct qy_tlb *tlb, struct qy_tlb_cpu *cpu)
{
    atomic_fetch_add(&cpu->wanted, 1);
    tlb->ops->interrupt(cpu);
}

/* Whatever it has answered at or after our request includes ours. */
static void wait(struct qy_tlb_cpu *cpu)
{
    uint64_t ticket = atomic_load(&cpu->wanted);
    while (atomic_load(&cpu->done) < ticket)
        qy_port_relax();
}

/* Count one generation up and say in the log what it was; pages 0: all. */
static void publish(struct qy_tlb_space *space, uint64_t start, unsigned pages, unsigned level)
{
    /* The slot is known only by the generation, which others may count up first: then it stays as it is. */
    uint64_t guess = atomic_load(&space->generation) + 1;
    uint64_t before = atomic_load(&space->log[guess % QY_TLB_LOG]);
    uint64_t generation = atomic_fetch_add(&space->generation, 1) + 1;
    uint64_t word = start >> QY_PAGE_SHIFT << PAGE_NUMBER_SHIFT | (uint64_t)pages << PAGES_SHIFT |
                    (uint64_t)level << LEVEL_SHIFT | (generation & GENERATION_MASK);
    if (generation == guess)
        atomic_compare_exchange_strong(&space->log[guess % QY_TLB_LOG], &before, word);
}

static void publish_all(const struct qy_tlb_gather *gather)
{
    if (gather->whole)
        publish(gather->space, 0, 0, 0);
    for (unsigned i = 0; i < gather->count; i++)
        publish(gather->space, gather->ranges[i].start, gather->ranges[i].pages,
                gather->ranges[i].level);
}

unsigned qy_tlb_shootdown(struct qy_tlb *tlb, struct qy_tlb_cpu *self, struct qy_tlb_gather *gather)
{
    uint64_t asked[QY_TLB_MASK_WORDS];
    unsigned count = 0;
    bool code = gather->code && tlb->ops->fence_code;

    if (!gather->whole && !gather->count && !code)
        return 0;
    publish_all(gather);
    if (code)
        atomic_fetch_add(&tlb->code, 1);
    for (unsigned word = 0; word < QY_TLB_MASK_WORDS; word++) {
        asked[word] = atomic_load(&gather->space->active[word]);
        if (word == self->index / 64)
            asked[word] &= ~mask_bit(self->index);
        for (uint64_t mask = asked[word]; mask; mask &= mask - 1, count++)
            ask(tlb, tlb->ops->cpu(word * 64 + (unsigned)__builtin_ctzll(mask)));
    }
    catch_up(tlb, self);
    for (unsigned word = 0; word < QY_TLB_MASK_WORDS; word++)
        for (uint64_t mask = asked[word]; mask; mask &= mask - 1)
            wait(tlb->ops->cpu(word * 64 + (unsigned)__builtin_ctzll(mask)));
    qy_tlb_gather_init(gather, gather->space);
    return count;
}

void qy_tlb_fence_cpu(struct qy_tlb *tlb, struct qy_tlb_cpu *cpu)
{
    ask(tlb, cpu);
    wait(cpu);
}
