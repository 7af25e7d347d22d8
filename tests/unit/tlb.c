/*
 * mem/tlb by itself, one CPU at a time: what is gathered, which tags are kept, recycled and flushed, which CPUs are asked
 * on a machine of 512. Interleavings are tests/tlb/explore.c's.
 */
#include <qy/tlb.h>
#include <string.h>
#include <tap.h>

#define CPUS QY_CONFIG_MAX_CPUS
#define SPACES 80u

static struct qy_tlb tlb;
static struct qy_tlb_cpu cpus[CPUS];
static struct qy_tlb_space spaces[SPACES];
static struct qy_tlb_space *all[SPACES + 1];
static struct {
    unsigned loads, keeps, pages, tags, fences, interrupts, tag, level;
    uint64_t start;
    paddr_t root;
} did;

static void load(paddr_t root, unsigned tag, bool keep)
{
    did.loads++;
    did.keeps += keep;
    did.tag = tag;
    did.root = root;
}

static void flush_pages(unsigned tag, vaddr_t start, unsigned pages, unsigned level)
{
    did.tag = tag;
    did.start = start.raw;
    did.pages += pages;
    did.level = level;
}

static void flush_tag(unsigned tag)
{
    did.tag = tag;
    did.tags++;
}

static void fence_code(void)
{
    did.fences++;
}

/* The CPU answers at once. */
static void interrupt(struct qy_tlb_cpu *cpu)
{
    did.interrupts++;
    qy_tlb_answer(&tlb, cpu);
}

static struct qy_tlb_cpu *cpu_of(unsigned index)
{
    return &cpus[index];
}

static const struct qy_tlb_ops ops = {load, flush_pages, flush_tag, fence_code, interrupt, cpu_of};

static void begin(unsigned tags)
{
    memset(cpus, 0, sizeof(cpus));
    memset(&did, 0, sizeof(did));
    qy_tlb_init(&tlb, &ops, paddr(0x1000), tags);
    for (unsigned i = 0; i < CPUS; i++)
        cpus[i].index = i;
    for (unsigned i = 0; i < SPACES; i++) {
        qy_tlb_space_init(&tlb, &spaces[i], paddr((i + 2) * QY_PAGE_BYTES));
        all[i] = &spaces[i];
    }
}

static void run(unsigned cpu, struct qy_tlb_space *space)
{
    qy_tlb_load(&tlb, &cpus[cpu], space);
    CHECK(qy_tlb_check(&tlb, &cpus[cpu], all) == NULL);
}

static unsigned shoot(struct qy_tlb_gather *gather, unsigned self)
{
    unsigned asked = qy_tlb_shootdown(&tlb, &cpus[self], gather);
    CHECK(qy_tlb_gather_is_empty(gather));
    CHECK(qy_tlb_check(&tlb, &cpus[self], all) == NULL);
    return asked;
}

static void a_good_tag_is_kept(void)
{
    begin(4095);
    run(0, &spaces[0]);
    run(0, &spaces[1]);
    CHECK_EQ(did.keeps, 0);
    run(0, &spaces[0]);
    run(0, NULL);
    CHECK_EQ(did.tag, 0);
    CHECK_EQ(did.root.raw, 0x1000);
    run(0, &spaces[1]);
    CHECK_EQ(did.keeps, 3);
    CHECK_EQ(did.loads, 5);
    CHECK_EQ(cpus[0].counts.recycled, 0);
}

static void without_tags_every_load_forgets(void)
{
    begin(0);
    for (unsigned i = 0; i < 10; i++)
        run(0, i % 3 == 2 ? NULL : &spaces[i % 3]);
    CHECK_EQ(did.loads, 10);
    CHECK_EQ(did.keeps, 0);
    CHECK_EQ(did.tag, 0);
}

/* Every number of tags that a CPU may have: tags stay within it, and more spaces than tags recycle. */
static void tags_are_recycled(void)
{
    for (unsigned tags = 1; tags <= 70; tags++) {
        begin(tags);
        for (unsigned turn = 0; turn < 2; turn++)
            for (unsigned i = 0; i < SPACES; i++) {
                run(0, &spaces[i]);
                CHECK(did.tag >= 1 && did.tag <= tags);
            }
        CHECK_EQ(did.keeps, 0); /* each comes back when its tag has been another's */
        CHECK(cpus[0].counts.recycled >= SPACES);
        run(0, &spaces[0]);
        unsigned keeps = did.keeps;
        run(0, NULL);
        run(0, &spaces[0]);
        CHECK_EQ(did.keeps, keeps + 2);
    }
}

static void an_inactive_space_is_stale_by_its_generation(void)
{
    struct qy_tlb_gather gather;
    begin(4095);
    run(3, &spaces[0]);
    run(3, &spaces[1]);
    qy_tlb_gather_init(&gather, &spaces[0]);
    qy_tlb_gather_pages(&gather, vaddr(0x5000), 1, 1);
    CHECK_EQ(shoot(&gather, 0), 0);
    CHECK_EQ(did.interrupts, 0);
    run(3, &spaces[0]);
    CHECK_EQ(did.keeps, 0);
    run(3, &spaces[1]);
    CHECK_EQ(did.keeps, 1); /* of whom nothing had changed */
}

static void only_cpus_that_run_the_space_are_asked(void)
{
    struct qy_tlb_gather gather;
    begin(4095);
    for (unsigned i = 0; i < CPUS; i++)
        run(i, &spaces[i % 3]);
    qy_tlb_gather_init(&gather, &spaces[1]);
    qy_tlb_gather_pages(&gather, vaddr(0x200000), 2, 2);
    CHECK_EQ(shoot(&gather, 1), (CPUS + 1) / 3 - 1);
    CHECK_EQ(did.level, 2);
    CHECK_EQ(did.start, 0x200000);
    CHECK_EQ(did.pages, 2 * ((CPUS + 1) / 3)); /* its own too */
    CHECK_EQ(did.tags, 0);
    unsigned found = 0;
    for (unsigned i = 0; (i = qy_tlb_next_active(&spaces[1], i)) < CPUS; i++)
        found += i % 3 == 1;
    CHECK_EQ(found, (CPUS + 1) / 3);
}

static void what_is_gathered(void)
{
    static const struct {
        uint64_t start[3], pages[3];
        unsigned level, count, sum;
        bool whole;
    } rows[] = {
        {{0x1000, 0x2000, 0x3000}, {1, 1, 1}, 1, 1, 3, false}, /* one range upwards */
        {{0x3000, 0x2000, 0x1000}, {1, 1, 1}, 1, 1, 3, false}, /* downwards */
        {{0x1000, 0x5000, 0x9000}, {1, 2, 3}, 1, 3, 6, false},
        {{0x1000, 0x100000, 0}, {33, 0, 0}, 1, 1, 33, false},
        {{0x1000, 0x100000, 0},
         {33, 1, 0},
         1,
         0,
         0,
         true}, /* more than single invalidations are worth */
        {{0x1000, 0, 0}, {34, 0, 0}, 1, 0, 0, true},
        {{0x1000, 0, 0}, {1ull << 40, 0, 0}, 1, 0, 0, true},
        {{0x200000, 0x400000, 0}, {1, 1, 0}, 2, 1, 2, false},
        {{0x7ffffffff000, 0, 0}, {1, 0, 0}, 1, 1, 1, false},
    };
    struct qy_tlb_gather gather;
    begin(4095);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        qy_tlb_gather_init(&gather, &spaces[0]);
        for (unsigned j = 0; j < 3; j++)
            qy_tlb_gather_pages(&gather, vaddr(rows[i].start[j]), rows[i].pages[j], rows[i].level);
        CHECK_EQ(gather.count, rows[i].count);
        CHECK_EQ(gather.pages, rows[i].sum);
        CHECK_EQ(gather.whole, rows[i].whole);
        run(1, &spaces[0]);
        memset(&did, 0, sizeof(did));
        CHECK_EQ(shoot(&gather, 0), 1);
        CHECK_EQ(did.pages, rows[i].sum);
        CHECK_EQ(did.tags, rows[i].whole);
        if (rows[i].count == 1)
            CHECK_EQ(did.start, rows[i].start[0] < rows[i].start[1] || !rows[i].pages[1]
                                    ? rows[i].start[0]
                                    : rows[i].start[2]);
    }
    qy_tlb_gather_init(&gather, &spaces[0]);
    for (unsigned i = 0; i <= QY_TLB_RANGES; i++) {
        CHECK(!gather.whole);
        qy_tlb_gather_pages(&gather, vaddr(0x1000 + i * 0x10000), 1, 1);
    }
    CHECK(gather.whole); /* one range too many */
}

static void only_replaced_entries_are_gathered(void)
{
    struct qy_tlb_gather gather;
    begin(4095);
    run(1, &spaces[0]);
    qy_tlb_gather_init(&gather, &spaces[0]);
    qy_tlb_gather_change(&gather, QY_PT_UNCHANGED, vaddr(0x1000), 1, 1);
    qy_tlb_gather_change(&gather, QY_PT_FRESH, vaddr(0x1000), 1, 1);
    qy_tlb_gather_change(&gather, QY_PT_WIDEN, vaddr(0x1000), 1, 1);
    CHECK(qy_tlb_gather_is_empty(&gather));
    CHECK_EQ(shoot(&gather, 0), 0);
    CHECK_EQ(atomic_load(&spaces[0].generation), 0);
    qy_tlb_gather_change(&gather, QY_PT_REPLACE, vaddr(0x1000), 1, 1);
    CHECK_EQ(shoot(&gather, 0), 1);
}

/* A CPU that missed more changes than the log holds forgets the tag; one that missed few, those pages. */
static void the_log_reaches_back_so_far(void)
{
    begin(4095);
    for (unsigned missed = 1; missed <= QY_TLB_LOG + 2; missed++) {
        struct qy_tlb_cpu *cpu = &cpus[5];
        run(5, &spaces[7]);
        struct qy_tlb_tag before = cpu->tags[cpu->tag];
        struct qy_tlb_gather gather;
        qy_tlb_gather_init(&gather, &spaces[7]);
        for (unsigned i = 0; i < missed; i++) {
            qy_tlb_gather_pages(&gather, vaddr(0x1000 + i * 0x3000), 1, 1);
            shoot(&gather, 0);
        }
        cpu->tags[cpu->tag] = before; /* as if it had not answered yet */
        memset(&did, 0, sizeof(did));
        interrupt(cpu);
        CHECK_EQ(did.tags, 0); /* nothing was asked */
        atomic_fetch_add(&cpu->wanted, 1);
        interrupt(cpu);
        CHECK_EQ(did.pages, missed <= QY_TLB_LOG ? missed : 0);
        CHECK_EQ(did.tags, missed > QY_TLB_LOG);
        run(5, NULL);
    }
}

static void code_is_fenced_where_it_may_run(void)
{
    struct qy_tlb_gather gather;
    begin(4095);
    run(1, &spaces[0]);
    run(2, &spaces[1]);
    run(3, NULL);
    memset(&did, 0, sizeof(did));
    qy_tlb_gather_init(&gather, &spaces[0]);
    qy_tlb_gather_code(&gather);
    CHECK_EQ(shoot(&gather, 0), 1);
    CHECK_EQ(did.fences, 2); /* CPU 1 and its own */
    run(3, &spaces[0]);
    CHECK_EQ(did.fences, 3); /* when it comes to a space */
    run(3, &spaces[1]);
    CHECK_EQ(did.fences, 3);
}

static const struct test tests[] = {
    {"a good tag is kept", a_good_tag_is_kept},
    {"without tags every load forgets", without_tags_every_load_forgets},
    {"tags are recycled", tags_are_recycled},
    {"an inactive space is stale by its generation", an_inactive_space_is_stale_by_its_generation},
    {"only CPUs that run the space are asked", only_cpus_that_run_the_space_are_asked},
    {"what is gathered", what_is_gathered},
    {"only replaced entries are gathered", only_replaced_entries_are_gathered},
    {"the log reaches back so far", the_log_reaches_back_so_far},
    {"code is fenced where it may run", code_is_fenced_where_it_may_run},
};

int main(void)
{
    return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
