/*
 * Who holds the kernel's memory: leaks and profile, out of the records of sites and allocations.
 *
 * All of it needs a boot with heap=track. An allocation is named by the untyped that pays, the thread
 * and the call that made it, and the place in the kernel. Numbers of objects only grow, so what was
 * made after a mark has a larger one than everything that lived then. Sums are kept in a table of
 * GROUPS rows; what does not fit is said, not left out. Cost: a call for each allocation, and one for
 * each stretch of memory without any.
 */
#include "leaks.h"
#include <lib/format.h>
#include <lib/string.h>

#define GROUPS 512
#define LONGEST 8 /* oldest allocations that are named one by one */
#define WHERE_BYTES 100

static struct qy_tally_row rows[GROUPS];
static char text[65536];
static uint64_t marked; /* the largest number when `leaks mark` was said */

/* ---- names ---- */

static bool site_text(uint64_t site, unsigned part, char out[QY_SITE_TEXT_BYTES + 1])
{
    out[QY_SITE_TEXT_BYTES] = '\0';
    return system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_SITE_TEXT, 3 * site + part, out,
                         QY_SITE_TEXT_BYTES) == QY_OK;
}

static bool site_read(uint64_t site, struct qy_record_site *out)
{
    return system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_SITE, site, out, sizeof(*out)) == QY_OK;
}

/* "retype.c:72 frame": where, and what. */
static void site_describe(uint64_t site, char *out, size_t bytes)
{
    struct qy_record_site record;
    char file[QY_SITE_TEXT_BYTES + 1], what[QY_SITE_TEXT_BYTES + 1];

    if (site_read(site, &record) && site_text(site, 0, file) && site_text(site, 2, what))
        format_to(out, bytes, "%s:%llu %s", file, (unsigned long long)record.line, what);
    else
        format_to(out, bytes, "site %llu", (unsigned long long)site);
}

static const char *call_name(uint64_t call)
{
    static const char *const names[QY_CALL_COUNT] = {
#define X(number, name, type, rights, arguments, results) [number] = #name,
        QY_INVOCATIONS(X)
#undef X
    };

    if (call == 0)
        return "boot";
    return call < QY_CALL_COUNT && names[call] ? names[call] : "?";
}

/* ---- reading ---- */

/* One look at every live allocation with a number above `since`. False: the kernel has no records. */
static bool each(uint64_t since, void (*visit)(void *context, const struct qy_record_allocation *a),
                 void *context)
{
    struct qy_record_allocation allocation;
    uint64_t index = 0;

    do {
        enum qy_error error = system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_ALLOCATION, index,
                                            &allocation, sizeof(allocation));
        if (error != QY_OK) {
            print("   the kernel keeps no record of allocations (%s); boot it with heap=track\n",
                  qy_error_name(error));
            return false;
        }
        if (allocation.object > since)
            visit(context, &allocation);
        index = allocation.next;
    } while (index);
    return true;
}

static void group_add(struct qy_tally *groups, const struct qy_record_allocation *a, uint64_t bytes)
{
    qy_tally_add(groups, &(struct qy_tally_row){.key = {[LEAK_UNTYPED] = a->untyped,
                                                        [LEAK_THREAD] = a->thread,
                                                        [LEAK_CALL] = a->call,
                                                        [LEAK_SITE] = a->site,
                                                        [LEAK_TYPE] = a->type},
                                                .count = 1,
                                                .bytes = bytes,
                                                .oldest = a->object});
}

static void add_whole(void *context, const struct qy_record_allocation *a)
{
    group_add(context, a, a->bytes);
}

bool leaks_collect(uint64_t since, struct qy_tally *out)
{
    qy_tally_begin(out, rows, GROUPS);
    if (!each(since, add_whole, out))
        return false;
    qy_tally_sort(out);
    return true;
}

static void take_largest(void *context, const struct qy_record_allocation *a)
{
    uint64_t *largest = context;
    *largest = a->object > *largest ? a->object : *largest;
}

bool leaks_latest(uint64_t *out)
{
    *out = 0;
    return each(0, take_largest, out);
}

/* ---- leaks ---- */

static void show_groups(const struct qy_tally *groups)
{
    static const char *const names[] = {"untyped", "thread", "call",  "made at",
                                        "live",    "memory", "oldest"};
    struct table table;
    char where[WHERE_BYTES];

    table_begin(&table, text, sizeof(text), ">><<>>>");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        table_cell(&table, "%s", names[i]);
    for (size_t i = 0; i < groups->used; i++) {
        const struct qy_tally_row *row = &groups->rows[i];
        site_describe(row->key[LEAK_SITE], where, sizeof(where));
        table_cell(&table, "%llu", (unsigned long long)row->key[LEAK_UNTYPED]);
        table_cell(&table, "%llu", (unsigned long long)row->key[LEAK_THREAD]);
        table_cell(&table, "%s", call_name(row->key[LEAK_CALL]));
        table_cell(&table, "%s", where);
        table_cell(&table, "%llu", (unsigned long long)row->count);
        table_cell(&table, "%S", row->bytes);
        table_cell(&table, "%llu", (unsigned long long)row->oldest);
    }
    root_table(&table);
    if (groups->lost.count)
        print("   and %llu more, of %S, for which the table has no rows\n",
              (unsigned long long)groups->lost.count, groups->lost.bytes);
}

struct longest {
    unsigned count;
    struct qy_record_allocation oldest[LONGEST]; /* the smallest numbers, in order */
};

static void keep_oldest(void *context, const struct qy_record_allocation *a)
{
    struct longest *longest = context;
    unsigned at = longest->count;

    if (longest->count < LONGEST)
        longest->count++;
    else if (a->object > longest->oldest[--at].object)
        return;
    for (; at > 0 && longest->oldest[at - 1].object > a->object; at--)
        longest->oldest[at] = longest->oldest[at - 1];
    longest->oldest[at] = *a;
}

static void show_longest(void)
{
    static struct longest longest;
    char where[WHERE_BYTES];

    longest.count = 0;
    if (!each(0, keep_oldest, &longest))
        return;
    print("   live longest:\n");
    for (unsigned i = 0; i < longest.count; i++) {
        const struct qy_record_allocation *a = &longest.oldest[i];
        site_describe(a->site, where, sizeof(where));
        print("   object %llu of untyped %llu, %S, made at %s when the clock said %llu\n",
              (unsigned long long)a->object, (unsigned long long)a->untyped, a->bytes, where,
              (unsigned long long)a->time);
    }
}

void show_leaks(struct root *root)
{
    struct qy_tally groups;

    (void)root;
    if (!leaks_collect(0, &groups))
        return;
    show_groups(&groups);
    print("   thread 0: the kernel at boot; oldest: the smallest number of an object\n");
    show_longest();
}

void mark_leaks(struct root *root)
{
    (void)root;
    if (leaks_latest(&marked))
        print("   marked: the latest object is %llu\n", (unsigned long long)marked);
}

void show_leaks_since(struct root *root)
{
    struct qy_tally groups;

    (void)root;
    if (!leaks_collect(marked, &groups))
        return;
    if (groups.used == 0)
        print("   nothing that was made after object %llu lives\n", (unsigned long long)marked);
    else
        show_groups(&groups);
}

/* ---- profile ---- */

void show_profile(struct root *root)
{
    static const char *const names[] = {"made at", "live", "memory", "since boot", "memory"};
    struct qy_record_site site;
    struct table table;
    char where[WHERE_BYTES];

    (void)root;
    if (!site_read(0, &site)) {
        print("   the kernel keeps no record of sites; boot it with heap=track\n");
        return;
    }
    table_begin(&table, text, sizeof(text), "<>>>>");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        table_cell(&table, "%s", names[i]);
    for (uint64_t i = 0; site_read(i, &site); i++) {
        if (site.total == 0)
            continue;
        site_describe(i, where, sizeof(where));
        table_cell(&table, "%s", where);
        table_cell(&table, "%llu", (unsigned long long)site.live);
        table_cell(&table, "%S", site.live_bytes);
        table_cell(&table, "%llu", (unsigned long long)site.total);
        table_cell(&table, "%S", site.total_bytes);
    }
    root_table(&table);
}

/* ---- do leaks and profile say the same? ---- */

static void add_by_site(void *context, const struct qy_record_allocation *a)
{
    qy_tally_add(context, &(struct qy_tally_row){.key = {a->site}, .count = 1, .bytes = a->bytes});
}

/* Count and bytes of a site's row; zeroes if it has none. */
static struct qy_tally_row row_of(const struct qy_tally *sums, uint64_t site)
{
    for (size_t i = 0; i < sums->used; i++)
        if (sums->rows[i].key[0] == site)
            return sums->rows[i];
    return (struct qy_tally_row){.count = 0};
}

/* What lives is in two books, the objects' own and the counters of the sites: the sums by site are the same. */
static void check_profile(struct root *root)
{
    struct qy_record_site site;
    struct qy_tally sums;
    char where[WHERE_BYTES];
    uint64_t live = 0, bytes = 0, rows_seen = 0, wrong = 0;

    qy_tally_begin(&sums, rows, GROUPS);
    if (!each(0, add_by_site, &sums))
        return;
    for (uint64_t i = 0; site_read(i, &site); i++) {
        struct qy_tally_row row = row_of(&sums, i);
        live += row.count;
        bytes += row.bytes;
        rows_seen += row.count != 0;
        if (row.count == site.live && row.bytes == site.live_bytes)
            continue;
        site_describe(i, where, sizeof(where));
        print("profile: %s counts %llu objects of %llu bytes; %llu of %llu live\n", where,
              (unsigned long long)site.live, (unsigned long long)site.live_bytes,
              (unsigned long long)row.count, (unsigned long long)row.bytes);
        wrong++;
    }
    if (root_check(root, wrong == 0 && rows_seen == sums.used && sums.lost.count == 0,
                   "the counters of sites and the objects that live disagree"))
        print("profile: %llu objects of %llu bytes live, as the counters of their %llu sites say\n",
              (unsigned long long)live, (unsigned long long)bytes, (unsigned long long)rows_seen);
}

/* ---- stacks ---- */

/* The memory of an untyped is counted by what was made of it, so of itself only the header. */
static void add_once(void *context, const struct qy_record_allocation *a)
{
    group_add(context, a, a->type == QY_OBJ_UNTYPED ? a->header_bytes : a->bytes);
}

/* A line for each stack, outermost first: what flamegraph.pl and speedscope read. */
void show_profile_folded(struct root *root)
{
    struct qy_record_site site;
    struct qy_tally groups;
    char where[WHERE_BYTES], function[QY_SITE_TEXT_BYTES + 1];

    qy_tally_begin(&groups, rows, GROUPS);
    if (!each(0, add_once, &groups))
        return;
    qy_tally_sort(&groups);
    for (size_t i = 0; i < groups.used; i++) {
        const uint64_t *key = groups.rows[i].key;
        site_describe(key[LEAK_SITE], where, sizeof(where));
        print("profile live: untyped %llu;", (unsigned long long)key[LEAK_UNTYPED]);
        if (key[LEAK_THREAD])
            print("thread %llu;", (unsigned long long)key[LEAK_THREAD]);
        print("%s;%s %llu\n", call_name(key[LEAK_CALL]), where,
              (unsigned long long)groups.rows[i].bytes);
    }
    if (groups.lost.count)
        print("profile live: no row in the table %llu\n", (unsigned long long)groups.lost.bytes);
    for (uint64_t i = 0; site_read(i, &site); i++) {
        if (site.total == 0 || !site_text(i, 1, function))
            continue;
        site_describe(i, where, sizeof(where));
        print("profile total: %s;%s %llu\n", function, where, (unsigned long long)site.total_bytes);
    }
    check_profile(root);
}
