/*
 * The adversarial CPUs. See sim_tlb.h.
 *
 * Pages are a hash table by (tag, address, level) that holds several entries for one key: a
 * CPU may have the old translation beside the new one, and use either.
 */
#include "sim_tlb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPUS 8u
#define SLOTS (1u << 14)
#define TABLES 2048u
#define GLOBAL (SIM_TAGS + 1) /* in place of a tag */

/* A page of a level, with its entry; or a table, with its address, and the addresses that it translates. */
struct line {
    uint64_t address, entry;
    uint32_t epoch; /* of its tag; another: forgotten */
    uint8_t tag, level;
    bool used;
};

/* A table, and which of its entries were not valid when the CPU looked. */
struct table_line {
    struct line line;
    uint64_t absent[QY_PT_ENTRIES / 64];
};

struct cpu_sim {
    paddr_t root;
    unsigned tag;
    unsigned count, table_count; /* used, forgotten ones included */
    uint32_t epochs[SIM_TAGS + 2];
    uint32_t
        *fetched; /* by frame: state of its contents when an instruction was fetched; 0 = never */
    struct line lines[SLOTS];         /* pages */
    struct table_line tables[TABLES]; /* the root, too */
};

enum sim_plant sim_plant;
const struct qy_pt_format *sim_format = &qy_pt_x86_64;
static bool
    keeps_absent; /* may its CPUs remember that an entry was not valid? RISC-V's may, x86-64's not */
static struct cpu_sim sims[CPUS];
static uint64_t frame_count;
static uint32_t *contents; /* by frame: counts changes, from 1 */
static bool *writable;     /* a CPU may have written to it since it was last fetched from */
static const char *broken;

void sim_reset(uint64_t frames)
{
    const char *plant = getenv("QY_PLANT");
    const char *name = getenv("QY_FORMAT");
    sim_plant = plant ? (enum sim_plant)atoi(plant) : PLANT_NONE;
    keeps_absent = name && strcmp(name, "sv48") == 0;
    sim_format = keeps_absent ? &qy_pt_sv48_pbmt : &qy_pt_x86_64;
    frame_count = frames;
    free(contents);
    free(writable);
    contents = calloc(frames, sizeof(*contents));
    writable = calloc(frames, sizeof(*writable));
    broken = NULL;
    for (uint64_t i = 0; i < frames; i++)
        contents[i] = 1;
    for (unsigned i = 0; i < CPUS; i++) {
        free(sims[i].fetched);
        memset(&sims[i], 0, sizeof(sims[i]));
        sims[i].fetched = calloc(frames, sizeof(*sims[i].fetched));
    }
}

/* ---- the table of what is remembered ---- */

static unsigned hash(uint64_t address, unsigned tag, unsigned level)
{
    uint64_t h = (address >> 12) * 0x9e3779b97f4a7c15ull + tag * 0xff51afd7ed558ccdull + level;
    return (unsigned)((h ^ h >> 29) * 0xbf58476d1ce4e5b9ull >> 40) % SLOTS;
}

static bool is_live(const struct cpu_sim *sim, const struct line *line)
{
    return line->used && line->epoch == sim->epochs[line->tag];
}

/* Is it of the tag in use, or global? */
static bool is_usable(const struct cpu_sim *sim, const struct line *line)
{
    return is_live(sim, line) && (line->tag == sim->tag || line->tag == GLOBAL);
}

static bool is_same(const struct line *a, const struct line *b)
{
    return a->address == b->address && a->entry == b->entry && a->tag == b->tag &&
           a->level == b->level;
}

static void too_small(void)
{
    printf("# the simulated TLB is too small\n");
    abort();
}

static void remember(struct cpu_sim *sim, struct line new)
{
    unsigned at = hash(new.address, new.tag, new.level);
    new.epoch = sim->epochs[new.tag];
    new.used = true;
    for (; sim->lines[at].used; at = (at + 1) % SLOTS) {
        if (is_same(&sim->lines[at], &new)) {
            sim->lines[at].epoch = new.epoch;
            return;
        }
    }
    if (++sim->count > SLOTS - SLOTS / 8)
        too_small();
    sim->lines[at] = new;
}

/* Where the CPU remembers a table. */
static struct table_line *remember_table(struct cpu_sim *sim, struct line new)
{
    unsigned at = 0, dead = TABLES;
    new.epoch = sim->epochs[new.tag];
    new.used = true;
    for (; at < sim->table_count; at++) {
        if (!is_live(sim, &sim->tables[at].line))
            dead = at < dead ? at : dead;
        else if (is_same(&sim->tables[at].line, &new))
            return &sim->tables[at];
    }
    at = dead < at ? dead : at;
    if (at == sim->table_count && ++sim->table_count > TABLES)
        too_small();
    sim->tables[at] = (struct table_line){.line = new};
    return &sim->tables[at];
}

/* Slots of what was forgotten are used again. */
static void compact(struct cpu_sim *sim)
{
    static struct line old[SLOTS];
    if (sim->count < SLOTS / 2)
        return;
    memcpy(old, sim->lines, sizeof(old));
    memset(sim->lines, 0, sizeof(sim->lines));
    sim->count = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        if (is_live(sim, &old[i]))
            remember(sim, old[i]);
}

static void forget_page(struct cpu_sim *sim, unsigned tag, uint64_t address)
{
    for (unsigned level = 1; level <= QY_PT_LARGEST_PAGE; level++) {
        uint64_t base = qy_align_down(address, qy_pt_page_bytes(level));
        for (unsigned at = hash(base, tag, level); sim->lines[at].used; at = (at + 1) % SLOTS) {
            struct line *line = &sim->lines[at];
            if (line->address == base && line->tag == tag && line->level == level)
                line->epoch = sim->epochs[tag] - 1;
        }
    }
}

/* The bit of an address in what a table has absent; null if it does not translate it. */
static uint64_t *absent_word(struct table_line *table, uint64_t address, uint64_t *bit)
{
    unsigned level = table->line.level, index = qy_pt_index(vaddr(address), level);
    uint64_t span = level == QY_PT_LEVELS ? 0 : qy_align_down(address, qy_pt_page_bytes(level + 1));
    *bit = 1ull << index % 64;
    return span == table->line.address ? &table->absent[index / 64] : NULL;
}

/* That a page of the lowest level was absent; what was absent above is no page's. */
static void forget_absent(struct cpu_sim *sim, unsigned tag, uint64_t address)
{
    for (unsigned i = 0; i < sim->table_count; i++) {
        struct table_line *table = &sim->tables[i];
        uint64_t bit, *word = absent_word(table, address, &bit);
        if (word && table->line.level == 1 && table->line.tag == tag)
            *word &= ~bit;
    }
}

/* ---- what instructions do ---- */

void sim_load(unsigned cpu, paddr_t root, unsigned tag, bool keep)
{
    struct cpu_sim *sim = &sims[cpu];
    sim->root = root;
    sim->tag = tag;
    if (!keep && sim_plant != PLANT_LOAD_KEEPS)
        sim->epochs[tag]++;
}

void sim_flush_pages(unsigned cpu, unsigned tag, uint64_t start, unsigned pages, unsigned level)
{
    if (sim_plant == PLANT_PAGES_KEPT)
        return;
    if (sim_plant == PLANT_LAST_PAGE_KEPT)
        pages--;
    if (sim_plant == PLANT_LEVEL_IGNORED)
        level = 1;
    for (unsigned i = 0; i < pages; i++) {
        forget_page(&sims[cpu], tag, start + i * qy_pt_page_bytes(level));
        forget_absent(&sims[cpu], tag, start + i * qy_pt_page_bytes(level));
    }
}

void sim_flush_tag(unsigned cpu, unsigned tag)
{
    struct cpu_sim *sim = &sims[cpu];
    if (sim_plant == PLANT_TAG_KEPT)
        return;
    if (sim_plant != PLANT_TABLES_KEPT) {
        sim->epochs[tag]++;
        return;
    }
    for (unsigned i = 0; i < SLOTS; i++)
        if (sim->lines[i].used && sim->lines[i].tag == tag)
            sim->lines[i].epoch = sim->epochs[tag] - 1;
}

void sim_flush_everything(unsigned cpu)
{
    for (unsigned tag = 0; tag <= SIM_TAGS; tag++)
        sims[cpu].epochs[tag]++;
    if (sim_plant != PLANT_GLOBAL_KEPT)
        sims[cpu].epochs[GLOBAL]++;
}

void sim_fence_code(unsigned cpu)
{
    if (sim_plant != PLANT_CODE_KEPT)
        memset(sims[cpu].fetched, 0, frame_count * sizeof(*sims[cpu].fetched));
}

/* ---- filling ---- */

void sim_written(pfn_t first, uint64_t pages)
{
    for (uint64_t i = first.raw; i < first.raw + pages; i++)
        contents[i]++;
}

/* Pages that it may write to, it writes to; from those that it may execute, it fetches. */
static void use_frames(struct cpu_sim *sim, uint64_t entry, unsigned level)
{
    uint64_t first = qy_pt_entry_address(sim_format, entry).raw >> QY_PAGE_SHIFT;
    unsigned flags = qy_pt_decode(sim_format, entry);
    for (uint64_t i = first;
         i < first + (qy_pt_page_bytes(level) >> QY_PAGE_SHIFT) && i < frame_count; i++) {
        if (flags & QY_PT_WRITE)
            writable[i] = true;
        if (!(flags & QY_PT_EXEC))
            continue;
        contents[i] += writable[i];
        writable[i] = false;
        if (sim->fetched[i] && sim->fetched[i] != contents[i])
            broken = "ZERO: a CPU may execute what a frame held before";
        sim->fetched[i] = contents[i];
    }
}

static void fill_from(struct cpu_sim *sim, struct table_line *from)
{
    const paddr_t table = paddr(from->line.entry);
    const unsigned level = from->line.level;
    for (unsigned i = 0; i < QY_PT_ENTRIES; i++) {
        uint64_t entry = atomic_load(qy_pt_slot(table, i));
        uint64_t address = from->line.address + i * qy_pt_page_bytes(level);
        if (level == QY_PT_LEVELS && i >= QY_PT_ENTRIES / 2)
            address |= 0xffff000000000000ull;
        if (!(entry & sim_format->valid)) {
            from->absent[i / 64] |= (uint64_t)keeps_absent << i % 64;
            continue;
        }
        if (qy_pt_is_page(sim_format, entry, level)) {
            bool global = qy_pt_decode(sim_format, entry) & QY_PT_GLOBAL;
            remember(sim, (struct line){.address = address,
                                        .entry = entry,
                                        .tag = (uint8_t)(global ? GLOBAL : sim->tag),
                                        .level = (uint8_t)level});
            if (!global)
                use_frames(sim, entry, level);
        } else if (level > 1) {
            (void)remember_table(sim,
                                 (struct line){.address = address,
                                               .entry = qy_pt_entry_address(sim_format, entry).raw,
                                               .tag = (uint8_t)sim->tag,
                                               .level = (uint8_t)(level - 1)});
        }
    }
}

/* From the root, then from every table that is remembered, highest level first. */
void sim_fill(unsigned cpu)
{
    struct cpu_sim *sim = &sims[cpu];
    if (!sim->root.raw)
        return;
    compact(sim);
    (void)remember_table(
        sim,
        (struct line){.entry = sim->root.raw, .tag = (uint8_t)sim->tag, .level = QY_PT_LEVELS});
    for (unsigned level = QY_PT_LEVELS; level >= 1; level--)
        for (unsigned i = 0; i < sim->table_count; i++)
            if (sim->tables[i].line.level == level && is_usable(sim, &sim->tables[i].line))
                fill_from(sim, &sim->tables[i]);
}

/* ---- accesses ---- */

/* Is there anything that the CPU remembers, and that refuses? */
static bool may_refuse(struct cpu_sim *sim, uint64_t address, unsigned right)
{
    for (unsigned i = 0; i < sim->table_count; i++) {
        uint64_t bit, *word = absent_word(&sim->tables[i], address, &bit);
        if (word && *word & bit && is_usable(sim, &sim->tables[i].line))
            return true;
    }
    for (unsigned i = 0; i < SLOTS; i++)
        if (is_usable(sim, &sim->lines[i]) &&
            address - sim->lines[i].address < qy_pt_page_bytes(sim->lines[i].level) &&
            !(qy_pt_decode(sim_format, sim->lines[i].entry) & right))
            return true;
    return false;
}

bool sim_access(unsigned cpu, uint64_t address, unsigned right, paddr_t *page)
{
    struct cpu_sim *sim = &sims[cpu];
    const struct qy_pt pt = {sim_format, sim->root};
    unsigned flags;
    sim_fill(cpu);
    if (sim->root.raw && !may_refuse(sim, address, right) &&
        qy_pt_translate(&pt, vaddr(address), page, &flags, NULL) == QY_OK && flags & right)
        return true;
    if (!keeps_absent) {
        forget_page(sim, sim->tag, address);
        forget_page(sim, GLOBAL, address);
    }
    return false;
}

/* ---- judging ---- */

static const char *check_page(const struct qy_pt *pt, const struct line *line)
{
    paddr_t page;
    unsigned flags;
    if (qy_pt_translate(pt, vaddr(line->address), &page, &flags, NULL) != QY_OK)
        return "REVOKED: a CPU translates what is not mapped";
    if (page.raw != qy_pt_entry_address(sim_format, line->entry).raw)
        return "EXACT: a CPU translates to another frame";
    if (qy_pt_decode(sim_format, line->entry) & ~flags & (QY_PT_WRITE | QY_PT_EXEC))
        return "EXACT: a CPU has rights that were taken away";
    return NULL;
}

static const char *check_table(const struct qy_pt *pt, const struct line *line)
{
    paddr_t table = pt->root;
    for (unsigned level = QY_PT_LEVELS; level > line->level; level--) {
        uint64_t entry = atomic_load(qy_pt_slot(table, qy_pt_index(vaddr(line->address), level)));
        if (!(entry & sim_format->valid) || qy_pt_is_page(sim_format, entry, level))
            return "REVOKED: a CPU walks through a table that is gone";
        table = qy_pt_entry_address(sim_format, entry);
    }
    return table.raw == line->entry ? NULL
                                    : "REVOKED: a CPU walks through a table that was replaced";
}

const char *sim_check(unsigned cpu)
{
    const struct cpu_sim *sim = &sims[cpu];
    const struct qy_pt pt = {sim_format, sim->root};
    const char *why = broken;
    if (!sim->root.raw)
        return why;
    for (unsigned i = 0; i < SLOTS && !why; i++)
        if (is_usable(sim, &sim->lines[i]))
            why = check_page(&pt, &sim->lines[i]);
    for (unsigned i = 0; i < sim->table_count && !why; i++)
        if (is_usable(sim, &sim->tables[i].line))
            why = check_table(&pt, &sim->tables[i].line);
    return why;
}

bool sim_reaches(unsigned cpu, pfn_t first, uint64_t pages)
{
    const struct cpu_sim *sim = &sims[cpu];
    uint64_t end = first.raw + pages;
    for (unsigned i = 0; i < SLOTS; i++) {
        const struct line *line = &sim->lines[i];
        uint64_t page = qy_pt_entry_address(sim_format, line->entry).raw >> QY_PAGE_SHIFT;
        if (is_usable(sim, line) && page < end &&
            first.raw < page + (qy_pt_page_bytes(line->level) >> QY_PAGE_SHIFT))
            return true;
    }
    for (unsigned i = 0; i < sim->table_count; i++)
        if (is_usable(sim, &sim->tables[i].line) &&
            sim->tables[i].line.entry >> QY_PAGE_SHIFT >= first.raw &&
            sim->tables[i].line.entry >> QY_PAGE_SHIFT < end)
            return true;
    return false;
}

bool sim_knows(unsigned cpu, uint64_t address)
{
    const struct cpu_sim *sim = &sims[cpu];
    for (unsigned i = 0; i < SLOTS; i++)
        if (is_usable(sim, &sim->lines[i]) &&
            address - sim->lines[i].address < qy_pt_page_bytes(sim->lines[i].level))
            return true;
    return false;
}
