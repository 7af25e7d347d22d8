/*
 * Tags and shootdowns: which translations a CPU may keep, and how it is told to forget.
 *
 *     space                                CPU
 *       id          never used again         space   the one whose tables are loaded
 *       generation  counts changes           tags    [tag] = (space's id, generation that it has seen)
 *       log         the last changes         wanted, done   requests, answers
 *       active      CPUs that have it loaded
 *
 * Tags (PCID, ASID) belong to a CPU each: a CPU that loads a space takes the tag that it knows the
 * space by, or its least recently used one. What the CPU has under the tag is good if the tag's id
 * and generation are the space's; else loading forgets it. So nobody is asked to flush a tag, no
 * tag runs out, and a space that is not loaded is made stale by counting its generation up.
 *
 *     who changes entries                  a CPU that loads the space
 *       changes them                         sets its bit in active
 *       counts the generation up (fence)     (fence) reads the generation: flushes if it differs
 *       reads active, asks these CPUs        loads the tables
 *       waits until they have answered       clears its bit in the space that it had before
 *
 * Either the CPU is seen as active, or it sees the new generation. An answer brings the CPU's tag
 * up to the generation of whatever space it has loaded by then: the log says what has changed in
 * between, and where it does not reach back the whole tag goes. So a request carries nothing,
 * requests fold into one counter, and none can be lost.
 *
 * Only what may leave an older translation behind is gathered: QY_PT_REPLACE. A CPU that faults for want of a
 * FRESH or WIDENed entry looks at the tables again (kernel/fault). Kernel mappings are the same in
 * every space and global, and not this module's.
 *
 * Invariants
 *   TLB-ACTIVE  a CPU that has a space loaded is in its mask
 *   TLB-TAG     a CPU knows a space by one tag at most, and the one that is loaded by the tag in use
 *   TLB-AHEAD   no tag has seen more of a space than has happened
 *   EXACT       once qy_tlb_shootdown returns, no CPU uses a translation from before the change
 * Locking: none; a CPU's part is written by that CPU, with interrupts off. Nobody waits for another
 * CPU under a lock, and qy_port_relax answers, so two CPUs that ask each other both go on.
 * Cost: load O(1); shootdown an interrupt for each CPU that has the space loaded, and a look at
 * QY_TLB_MASK_WORDS words. References: Intel SDM volume 3A, 4.10; RISC-V Privileged Architecture
 * 1.12, 4.2.1; docs/adr/0015-tags-and-shootdown.md.
 */
#ifndef QY_TLB_H
#define QY_TLB_H

#include <qy/pt.h>
#include <stdatomic.h>

/* Tags that a CPU uses at most: sets of QY_TLB_WAYS, by the space's id. */
#ifndef QY_TLB_TAGS
#define QY_TLB_TAGS 64u
#endif
#define QY_TLB_WAYS 4u
/* Above this many pages, forgetting the tag is cheaper than single invalidations. */
#define QY_TLB_PAGES_MAX 33u
/* Ranges of one gathering; above it the whole tag goes. */
#define QY_TLB_RANGES 8u
/* Changes that a space remembers. */
#define QY_TLB_LOG 16u
#define QY_TLB_MASK_WORDS ((QY_CONFIG_MAX_CPUS + 63u) / 64u)

/* Part of an address space. */
struct qy_tlb_space {
    uint64_t id; /* from 1 */
    paddr_t root;
    _Atomic uint64_t generation;
    _Atomic uint64_t log[QY_TLB_LOG]; /* of generation modulo QY_TLB_LOG, see tlb.c */
    _Atomic uint64_t active[QY_TLB_MASK_WORDS];
};

struct qy_tlb_tag {
    uint64_t space;      /* its id; 0 = none yet */
    uint64_t generation; /* all changes up to it have been forgotten */
    uint64_t used;       /* when it was loaded last */
};

struct qy_tlb_counts {
    uint64_t answers;  /* requests that it answered with a flush */
    uint64_t pages;    /* pages that it forgot one by one */
    uint64_t flushes;  /* whole tags that it forgot */
    uint64_t kept;     /* loads that forgot nothing */
    uint64_t recycled; /* tags that went to another space */
};

/* Part of a CPU; all zero but `index` at first. Only that CPU writes it, but for `wanted`. */
struct qy_tlb_cpu {
    unsigned index;
    unsigned tag;                        /* in use; 0 = none */
    struct qy_tlb_space *_Atomic space;  /* loaded; null = the kernel's own tables */
    uint64_t clock;                      /* loads */
    _Atomic uint64_t code;               /* the last code fence that it made */
    _Alignas(64) _Atomic uint64_t wanted; /* requests */
    _Atomic uint64_t done;                /* how many of them it has answered */
    struct qy_tlb_counts counts;
    struct qy_tlb_tag tags[QY_TLB_TAGS + 1]; /* [0]: without tags, what is loaded */
};

/* What the CPUs of a machine can do. All but `interrupt` and `cpu` act on the CPU that calls. */
struct qy_tlb_ops {
    /*
     * Load the tables at root, under the tag. keep: what the CPU has under it is good; else it is forgotten, tables
     * on the way included, before the CPU uses any of it. The kernel's own tables have tag 0.
     */
    void (*load)(paddr_t root, unsigned tag, bool keep);
    /* Forget `pages` neighbouring pages of `level` from `start` of the loaded space; pages, not tables on the way. */
    void (*flush_pages)(unsigned tag, vaddr_t start, unsigned pages, unsigned level);
    /* Forget all of the loaded space, tables on the way included. */
    void (*flush_tag)(unsigned tag);
    /* Forget instructions fetched before now. Null: the CPU does by itself. */
    void (*fence_code)(void);
    void (*interrupt)(struct qy_tlb_cpu *cpu); /* it answers */
    struct qy_tlb_cpu *(*cpu)(unsigned index);
};

/* What the spaces of a machine share. */
struct qy_tlb {
    const struct qy_tlb_ops *ops;
    paddr_t kernel_root;
    unsigned sets, ways; /* sets * ways tags in use; 0: the CPU has none, and every load forgets */
    _Atomic uint64_t last_id;
    _Atomic uint64_t code; /* times that executable pages appeared */
};

/* tags: that the CPUs have beside 0; 0 = none. */
void qy_tlb_init(struct qy_tlb *tlb, const struct qy_tlb_ops *ops, paddr_t kernel_root, unsigned tags);

void qy_tlb_space_init(struct qy_tlb *tlb, struct qy_tlb_space *space, paddr_t root);

/* Load the tables of a space (null: the kernel's own) on this CPU. Interrupts are off. */
void qy_tlb_load(struct qy_tlb *tlb, struct qy_tlb_cpu *cpu, struct qy_tlb_space *space);

/* May that CPU walk the tables of the space? */
bool qy_tlb_is_active(const struct qy_tlb_space *space, unsigned cpu);

/* The first CPU from `cpu` on that may; QY_CONFIG_MAX_CPUS or more: there is none. O(words). */
unsigned qy_tlb_next_active(const struct qy_tlb_space *space, unsigned cpu);

/*
 * What CPUs have to forget of one space, gathered while its entries are changed, under locks; the
 * shootdown comes after, without.
 */
struct qy_tlb_gather {
    struct qy_tlb_space *space;
    bool whole; /* more than fits below */
    bool code;
    unsigned count;
    unsigned pages; /* of all ranges */
    struct qy_tlb_range {
        uint64_t start;
        unsigned pages, level;
    } ranges[QY_TLB_RANGES];
};

void qy_tlb_gather_init(struct qy_tlb_gather *gather, struct qy_tlb_space *space);

static inline bool qy_tlb_gather_is_empty(const struct qy_tlb_gather *gather)
{
    return !gather->whole && !gather->code && gather->count == 0;
}

/* Entries of `pages` pages of `level` (1 to 3) from start have been replaced. start is in the lower half. */
void qy_tlb_gather_pages(struct qy_tlb_gather *gather, vaddr_t start, uint64_t pages, unsigned level);

/* An entry that pointed at a table has been replaced, or more has changed than is worth naming. */
void qy_tlb_gather_all(struct qy_tlb_gather *gather);

/* Executable pages have appeared: what their frames held before must not run. */
void qy_tlb_gather_code(struct qy_tlb_gather *gather);

/*
 * The change of `pages` entries of `level`, all pages before, if they were anything, and now: gathered if CPUs have
 * to be told.
 */
static inline void qy_tlb_gather_change(struct qy_tlb_gather *gather, enum qy_pt_change change, vaddr_t start,
                                        uint64_t pages, unsigned level)
{
    if (change == QY_PT_REPLACE)
        qy_tlb_gather_pages(gather, start, pages, level);
}

/*
 * No CPU uses what was gathered once this returns; the gathering is empty again. The entries have
 * been changed before. self: this CPU, with interrupts off, and no lock held; the caller sees to it
 * that the space stays. Returns the number of CPUs that were asked.
 */
unsigned qy_tlb_shootdown(struct qy_tlb *tlb, struct qy_tlb_cpu *self, struct qy_tlb_gather *gather);

/* Do what was asked of this CPU. True: there was something. Inside none of these functions but qy_tlb_shootdown. */
bool qy_tlb_answer(struct qy_tlb *tlb, struct qy_tlb_cpu *cpu);

/* Returns once that CPU, another one, has answered a request made now, which is a full barrier (qy_port_fence_cpu). */
void qy_tlb_fence_cpu(struct qy_tlb *tlb, struct qy_tlb_cpu *cpu);

/*
 * Null, or the id of the first invariant that does not hold for a CPU that is in none of these functions; the spaces'
 * list ends with null.
 */
const char *qy_tlb_check(const struct qy_tlb *tlb, const struct qy_tlb_cpu *cpu, struct qy_tlb_space *const *spaces);

#endif
