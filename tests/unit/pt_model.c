/*
 * Random calls of the page-table code beside a reference: a flat list of what is mapped, address ->
 * (frame, flags), and of the tables that have been installed. After every call the results must be
 * equal, and every address of interest must translate in both, and in the walker from the manuals,
 * to the same.
 *
 * Arguments are drawn from few values, so that calls meet, and one in eight is nonsense. Arguments:
 * seed, steps. What this would miss: anything that needs two CPUs.
 */
#include "pt_fixture.h"
#include <lib/random.h>

/* The reference. */
struct page {
    uint64_t address, frame;
    unsigned level, flags;
};

struct table {
    uint64_t address, frame; /* of the first byte that it translates */
    unsigned level;
};

#define PAGES_MAX 4096u
#define TABLES_MAX 256u

static struct model {
    struct page pages[PAGES_MAX];
    struct table tables[TABLES_MAX];
    unsigned page_count, table_count;
} model;

static struct fixture fixture;
static uint64_t spare[TABLES_MAX]; /* frames for tables */
static unsigned spare_count;
static uint64_t random_state;
static unsigned mapped; /* calls that mapped something */

static uint64_t page_bytes(unsigned level)
{
    static const uint64_t bytes[] = {0, 4096, 2097152, 1073741824, 549755813888};
    return bytes[level];
}

static struct page *model_page(uint64_t address)
{
    for (unsigned i = 0; i < model.page_count; i++)
        if (address - model.pages[i].address < page_bytes(model.pages[i].level))
            return &model.pages[i];
    return NULL;
}

static struct table *model_table(uint64_t address, unsigned level)
{
    for (unsigned i = 0; i < model.table_count; i++)
        if (model.tables[i].level == level &&
            address - model.tables[i].address < page_bytes(level + 1))
            return &model.tables[i];
    return NULL;
}

/* Is anything, page or table, in [address, address + bytes)? */
static bool model_occupied(uint64_t address, uint64_t bytes)
{
    for (unsigned i = 0; i < model.page_count; i++)
        if (model.pages[i].address - address < bytes)
            return true;
    for (unsigned i = 0; i < model.table_count; i++)
        if (model.tables[i].address - address < bytes &&
            page_bytes(model.tables[i].level + 1) <= bytes)
            return true;
    return false;
}

/* A page above, or the highest missing table of those down to `level`. */
static enum qy_error model_path(uint64_t address, unsigned level, unsigned *missing)
{
    for (unsigned table = 3; table >= level; table--) {
        if (!model_table(address, table)) {
            struct page *page = model_page(address);
            if (page && page->level > table)
                return QY_ALREADY_MAPPED;
            *missing = table;
            return QY_MISSING_TABLE;
        }
    }
    return QY_OK;
}

static bool canonical(uint64_t address)
{
    return address < 0x800000000000ull || address >= 0xffff800000000000ull;
}

static bool flags_good(uint64_t address, unsigned flags)
{
    const struct pt_format_case *kind = fixture.kind;
    if (flags > 127 || !(flags & QY_PT_READ) || (flags & QY_PT_WRITE && flags & QY_PT_EXEC))
        return false;
    if ((flags & QY_PT_WRITE_THROUGH && flags & QY_PT_UNCACHED) ||
        (flags & QY_PT_WRITE_THROUGH && !kind->write_through) ||
        (flags & QY_PT_UNCACHED && !kind->uncached))
        return false;
    bool user = flags & QY_PT_USER;
    return !(user && flags & QY_PT_GLOBAL) && user == (address < 0x800000000000ull);
}

static enum qy_error run_good(uint64_t address, unsigned level, unsigned pages)
{
    if (level < 1 || level > 3)
        return QY_INVALID_ARGUMENT;
    if (!canonical(address) || address % page_bytes(level))
        return QY_INVALID_ADDRESS;
    uint64_t first = address / page_bytes(level + 1);
    if (pages == 0 || pages > 512 ||
        (address + (pages - 1) * page_bytes(level)) / page_bytes(level + 1) != first)
        return QY_INVALID_ARGUMENT;
    return QY_OK;
}

static enum qy_error model_map(uint64_t address, uint64_t frame, unsigned level, unsigned pages,
                               unsigned flags, unsigned *missing)
{
    enum qy_error error = run_good(address, level, pages);
    if (error != QY_OK)
        return error;
    if (address == 0 || frame % page_bytes(level) || frame >= 1ull << 52)
        return QY_INVALID_ADDRESS;
    if (!flags_good(address, flags))
        return QY_INVALID_FLAGS;
    error = model_path(address, level, missing);
    if (error != QY_OK)
        return error;
    if (model_occupied(address, pages * page_bytes(level)))
        return QY_ALREADY_MAPPED;
    for (unsigned i = 0; i < pages; i++)
        model.pages[model.page_count++] = (struct page){
            address + i * page_bytes(level), frame + i * page_bytes(level), level, flags};
    return QY_OK;
}

static enum qy_error model_find_run(uint64_t address, unsigned level, unsigned pages)
{
    enum qy_error error = run_good(address, level, pages);
    if (error != QY_OK)
        return error;
    for (unsigned i = 0; i < pages; i++) {
        struct page *page = model_page(address + i * page_bytes(level));
        if (!page || page->level != level)
            return QY_NOT_MAPPED;
    }
    return QY_OK;
}

static enum qy_error model_unmap(uint64_t address, unsigned level, unsigned pages)
{
    enum qy_error error = model_find_run(address, level, pages);
    if (error != QY_OK)
        return error;
    for (unsigned i = 0; i < pages; i++) {
        struct page *page = model_page(address + i * page_bytes(level));
        *page = model.pages[--model.page_count];
    }
    return QY_OK;
}

static enum qy_error model_protect(uint64_t address, unsigned level, unsigned pages, unsigned flags)
{
    enum qy_error error = model_find_run(address, level, pages);
    if (error != QY_OK)
        return error;
    if (!flags_good(address, flags))
        return QY_INVALID_FLAGS;
    for (unsigned i = 0; i < pages; i++)
        model_page(address + i * page_bytes(level))->flags = flags;
    return QY_OK;
}

static enum qy_error model_install(uint64_t address, uint64_t frame, unsigned level,
                                   unsigned *missing)
{
    if (level < 1 || level > 3)
        return QY_INVALID_ARGUMENT;
    if (!canonical(address))
        return QY_INVALID_ADDRESS;
    enum qy_error error = level == 3 ? QY_OK : model_path(address, level + 1, missing);
    if (error != QY_OK)
        return error;
    struct page *page = model_page(address);
    if (model_table(address, level) || (page && page->level == level + 1))
        return QY_ALREADY_MAPPED;
    model.tables[model.table_count++] =
        (struct table){address & ~(page_bytes(level + 1) - 1), frame, level};
    return QY_OK;
}

static enum qy_error model_remove(uint64_t address, unsigned level, uint64_t *frame)
{
    if (level < 1 || level > 3)
        return QY_INVALID_ARGUMENT;
    if (!canonical(address))
        return QY_INVALID_ADDRESS;
    struct table *table = model_table(address, level);
    if (!table)
        return QY_NOT_MAPPED;
    uint64_t base = table->address, bytes = page_bytes(level + 1);
    for (unsigned i = 0; i < model.page_count; i++)
        if (model.pages[i].address - base < bytes)
            return QY_BUSY;
    for (unsigned i = 0; i < model.table_count; i++)
        if (model.tables[i].level < level && model.tables[i].address - base < bytes)
            return QY_BUSY;
    *frame = table->frame;
    *table = model.tables[--model.table_count];
    return QY_OK;
}

/* ---- comparison ---- */

static bool same_at(uint64_t address)
{
    struct page *page = model_page(address);
    paddr_t out = paddr(0);
    unsigned flags = 0, level = 0;
    enum qy_error error = qy_pt_translate(&fixture.pt, vaddr(address), &out, &flags, &level);
    if (!page)
        return error == QY_NOT_MAPPED && fixture_sees(&fixture, address, 0, 1, 0);
    uint64_t physical = page->frame + (address - page->address);
    return error == QY_OK && out.raw == physical && level == page->level &&
           (flags & QY_PT_MAPPABLE) == page->flags &&
           fixture_sees(&fixture, address, physical, page->level, page->flags);
}

static const uint64_t roots[] = {0, 255, 256, 511};
static const uint64_t indices[] = {0, 1, 2, 511};

static uint64_t address_of(uint64_t root, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t address = root << 39 | a << 30 | b << 21 | c << 12;
    return root >= 256 ? address | 0xffff000000000000ull : address;
}

static bool same_everywhere(void)
{
    for (unsigned r = 0; r < 4; r++)
        for (unsigned a = 0; a < 4; a++)
            for (unsigned b = 0; b < 4; b++)
                for (unsigned c = 0; c < 4; c++) {
                    uint64_t at = address_of(roots[r], indices[a], indices[b], indices[c]);
                    if (!same_at(at + random_below(&random_state, 4096)))
                        return false;
                }
    return true;
}

struct listing {
    unsigned count;
    uint64_t last;
    bool good;
};

static bool list_page(void *context, vaddr_t address, uint64_t entry, unsigned level)
{
    struct listing *listing = context;
    struct page *page = model_page(address.raw);
    listing->good = listing->good && page && page->address == address.raw && page->level == level &&
                    page->frame == qy_pt_entry_address(fixture.pt.format, entry).raw &&
                    (listing->count == 0 || address.raw > listing->last);
    listing->last = address.raw;
    listing->count++;
    return listing->good;
}

/* All pages in order, and nothing else; and the regions read back cover each of them once. */
static bool same_listing(void)
{
    struct listing listing = {0, 0, true};
    qy_pt_each(&fixture.pt, list_page, &listing);
    if (!listing.good || listing.count != model.page_count)
        return false;
    unsigned in_regions = 0;
    struct qy_pt_region region;
    for (uint64_t at = 0;; at = canonical(region.end) ? region.end : 0xffff800000000000ull) {
        if (qy_pt_region(&fixture.pt, vaddr(at), &region) != QY_OK)
            break;
        for (uint64_t in = region.start.raw; in != region.end;
             in += page_bytes(region.level), in_regions++) {
            struct page *page = model_page(in);
            if (!page || page->flags != region.flags || page->level != region.level)
                return false;
        }
        struct page *next = model_page(region.end);
        if (region.end && canonical(region.end) && next && next->flags == region.flags &&
            next->level == region.level)
            return false; /* not merged */
        if (region.end == 0)
            break;
    }
    return in_regions == model.page_count;
}

/* ---- steps ---- */

static uint64_t random_address(unsigned level)
{
    uint64_t root = roots[random_below(&random_state, 4)],
             a = indices[random_below(&random_state, 4)];
    uint64_t b = indices[random_below(&random_state, 4)],
             c = indices[random_below(&random_state, 4)];
    uint64_t at = address_of(root, a, level >= 3 ? 0 : b, level >= 2 ? 0 : c);
    switch (random_below(&random_state, 32)) {
    case 0:
        return at ^ 1ull << 62;
    case 1:
        return at + 0x1800;
    case 2:
        return at ^ 1ull << 47;
    default:
        return at;
    }
}

static unsigned random_flags(uint64_t address)
{
    static const unsigned good[] = {QY_PT_READ, QY_PT_READ | QY_PT_WRITE, QY_PT_READ | QY_PT_EXEC};
    if (random_below(&random_state, 8) == 0)
        return (unsigned)random_below(&random_state, 512);
    unsigned rights = good[random_below(&random_state, 3)],
             uncached = random_below(&random_state, 4) ? 0 : QY_PT_UNCACHED;
    unsigned global = random_below(&random_state, 2) ? QY_PT_GLOBAL : 0;
    return rights | uncached | (address >> 63 ? global : QY_PT_USER);
}

static unsigned random_pages(void)
{
    static const unsigned pages[] = {1, 1, 1, 2, 3, 0, 513, 511};
    return pages[random_below(&random_state, random_below(&random_state, 4) ? 5 : 8)];
}

#define CALLS_DIFFER (-1)

static int install_both(uint64_t address, unsigned level)
{
    unsigned missing = 0, expected_missing = 0;
    uint64_t frame = spare[spare_count - 1];
    enum qy_error got =
        qy_pt_install(&fixture.pt, vaddr(address), paddr(frame), level, !(address >> 63), &missing);
    enum qy_error expected = model_install(address, frame, level, &expected_missing);
    if (got == QY_OK)
        spare_count--;
    bool same = got == expected && (got != QY_MISSING_TABLE || missing == expected_missing);
    return same ? (int)got : CALLS_DIFFER;
}

/* Take out a page that is there. */
static bool unmap_both(const struct page *at)
{
    struct page page = *at;
    uint64_t old = 0;
    return qy_pt_unmap(&fixture.pt, vaddr(page.address), page.level, &old) == QY_OK &&
           model_unmap(page.address, page.level, 1) == QY_OK &&
           qy_pt_entry_address(fixture.pt.format, old).raw == page.frame;
}

/* Empty a table and take it out, so that larger pages get their turn. */
static bool clear_both(const struct table *at)
{
    struct table table = *at;
    uint64_t bytes = page_bytes(table.level + 1);
    for (unsigned i = model.page_count; i-- > 0;)
        if (model.pages[i].address - table.address < bytes && !unmap_both(&model.pages[i]))
            return false;
    for (unsigned level = 1; level <= table.level; level++)
        for (unsigned i = model.table_count; i-- > 0;) {
            struct table inner = model.tables[i];
            paddr_t out;
            uint64_t frame;
            if (inner.level != level || inner.address - table.address >= bytes)
                continue;
            if (qy_pt_remove(&fixture.pt, vaddr(inner.address), level, &out) != QY_OK ||
                model_remove(inner.address, level, &frame) != QY_OK || out.raw != frame)
                return false;
            spare[spare_count++] = out.raw;
        }
    return true;
}

/* One call on both; false if they differ. */
static bool step(void)
{
    unsigned level = random_below(&random_state, 16) ? 1 + (unsigned)random_below(&random_state, 3)
                                                     : (unsigned)random_below(&random_state, 6);
    uint64_t address = random_address(level),
             frame = random_below(&random_state, 64) * page_bytes(level <= 4 ? level : 1);
    unsigned flags = random_flags(address), pages = random_pages(), missing = 0,
             expected_missing = 0;
    struct qy_pt *pt = &fixture.pt;
    enum qy_error got, expected;
    paddr_t out = paddr(0);
    uint64_t removed = 0;
    if (model.page_count > PAGES_MAX - 512)
        pages = 1;
    switch (random_below(&random_state, 16)) {
    case 0:
        return qy_pt_unmap_run(pt, vaddr(address), level, pages, NULL) ==
               model_unmap(address, level, pages);
    case 1:
    case 2:
        return qy_pt_protect_run(pt, vaddr(address), level, pages, flags, NULL, NULL) ==
               model_protect(address, level, pages, flags);
    case 3:
        got = qy_pt_remove(pt, vaddr(address), level, &out);
        expected = model_remove(address, level, &removed);
        if (got == QY_OK)
            spare[spare_count++] = out.raw;
        return got == expected && out.raw == removed;
    case 4:
        return model.page_count == 0 ||
               unmap_both(&model.pages[random_below(&random_state, model.page_count)]);
    case 5:
        return random_below(&random_state, 8) || model.table_count == 0 ||
               clear_both(&model.tables[random_below(&random_state, model.table_count)]);
    case 6:
    case 7:
    case 8:
        return install_both(address, level) != CALLS_DIFFER;
    default:
        do { /* mostly as a kernel does: supply the tables that are missing, and try again */
            got = qy_pt_map_run(pt, vaddr(address), paddr(frame), level, pages, flags, &missing);
            expected = model_map(address, frame, level, pages, flags, &expected_missing);
            if (got != expected || (got == QY_MISSING_TABLE && missing != expected_missing))
                return false;
            mapped += got == QY_OK;
        } while (got == QY_MISSING_TABLE && random_below(&random_state, 8) &&
                 install_both(address, missing) == QY_OK);
        return true;
    }
}

static uint64_t seed = 1;
static unsigned steps = 3000;

static void run(const struct pt_format_case *kind)
{
    fixture_make(&fixture, kind);
    memset(&model, 0, sizeof(model));
    random_state = seed * 0x9e3779b97f4a7c15ull + 1;
    spare_count = mapped = 0;
    while (spare_count < TABLES_MAX)
        spare[spare_count++] = fixture_frame(&fixture).raw;
    for (unsigned i = 0; i < steps; i++) {
        const char *broken = NULL, *what = NULL;
        if (!step())
            what = "the results of a call";
        else if (!same_everywhere())
            what = "a translation";
        else if ((broken = qy_pt_check(&fixture.pt)))
            what = broken;
        else if (i % 16 == 0 && !same_listing())
            what = "the listing of pages or regions";
        if (what) {
            printf("# %s, seed %llu, step %u: %s differs\n", kind->format->name,
                   (unsigned long long)seed, i, what);
            tap_failures++;
            break;
        }
    }
    printf("# %s: seed %llu, %u calls, %u of them mapped something\n", kind->format->name,
           (unsigned long long)seed, steps, mapped);
    CHECK(mapped > steps / 25); /* or the run means little */
    fixture_destroy(&fixture);
}

static void x86_64(void)
{
    run(&pt_formats[0]);
}

static void sv48(void)
{
    run(&pt_formats[1]);
}

static void sv48_pbmt(void)
{
    run(&pt_formats[2]);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"x86-64", x86_64}, {"Sv48", sv48}, {"Sv48 with Svpbmt", sv48_pbmt}};
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    if (argc > 2)
        steps = (unsigned)strtoull(argv[2], NULL, 0);
    return tap_run(tests, 3);
}
