/*
 * A reference for calls on ranges of page tables: a window of addresses cut into atoms.
 *
 *     window   | 4 KiB | rest of 2 MiB | 2 MiB | ... whole 2 MiB spans ... |   every call takes atoms [i, j)
 *     atom     nothing, pages (frame of the first byte, flags), or a mark
 *     tables   the set of spans that have one; a page is as large as the lowest table over it says
 *
 * No cut lies inside a 2 MiB span of an atom that has several, so all spans of an atom are alike, and one entry of the
 * set stands for them. The model predicts the result of a call, the tables that it takes, and every translation.
 * It shares nothing with mem/pt; translations are compared with the walker from the manuals too.
 */
#ifndef TESTS_PT_ATOMS_H
#define TESTS_PT_ATOMS_H

#include "pt_fixture.h"

#define ATOMS_MAX 16u
#define ATOM_TABLES 96u

enum atom_kind { ATOM_EMPTY, ATOM_PAGES, ATOM_MARK };

struct atom {
    enum atom_kind kind;
    unsigned flags;
    uint64_t frame; /* of its first byte; or the mark */
};

struct atom_table {
    unsigned level;
    uint64_t span; /* first address */
};

/* Comparable as a whole: what is not used is zero. */
struct atoms_state {
    struct atom atoms[ATOMS_MAX];
    struct atom_table tables[ATOM_TABLES]; /* sorted */
    unsigned table_count;
};

struct atoms {
    struct fixture f;
    const uint64_t *cuts; /* count + 1 addresses; the last may be 0: the end of the address space */
    unsigned count;
    struct atoms_state state;
    const char *wrong; /* the first difference */
};

static inline uint64_t atom_bytes(unsigned level)
{
    static const uint64_t bytes[] = {0, 4096, 2097152, 1073741824, 549755813888, 281474976710656};
    return bytes[level];
}

static inline void atoms_make(struct atoms *a, const struct pt_format_case *kind,
                              const uint64_t *cuts, unsigned count)
{
    memset(a, 0, sizeof(*a));
    fixture_make(&a->f, kind);
    a->cuts = cuts;
    a->count = count;
}

static inline bool atoms_user(const struct atoms *a)
{
    return !(a->cuts[0] >> 63);
}

static inline unsigned atoms_find_table(const struct atoms_state *s, unsigned level, uint64_t at)
{
    for (unsigned i = 0; i < s->table_count; i++)
        if (s->tables[i].level == level && s->tables[i].span == (at & -atom_bytes(level + 1)))
            return i;
    return ATOM_TABLES;
}

/* The lowest table over the atom's first address; its level. */
static inline unsigned atoms_level(const struct atoms *a, const struct atoms_state *s, unsigned i)
{
    unsigned level = 4;
    while (level > 1 && atoms_find_table(s, level - 1, a->cuts[i]) != ATOM_TABLES)
        level--;
    return level;
}

/* Tables of that level over the atom. */
static inline uint64_t atoms_weight(const struct atoms *a, unsigned i, unsigned level)
{
    uint64_t bytes = a->cuts[i + 1] - a->cuts[i];
    return bytes > atom_bytes(level + 1) ? bytes / atom_bytes(level + 1) : 1;
}

/* Add a table if it is not there; the number of new ones. */
static inline uint64_t atoms_add_table(const struct atoms *a, struct atoms_state *s, unsigned i,
                                       unsigned level)
{
    uint64_t span = a->cuts[i] & -atom_bytes(level + 1);
    if (atoms_find_table(s, level, span) != ATOM_TABLES)
        return 0;
    unsigned at = s->table_count++;
    if (at == ATOM_TABLES)
        abort();
    for (; at > 0 && (s->tables[at - 1].span > span ||
                      (s->tables[at - 1].span == span && s->tables[at - 1].level > level));
         at--)
        s->tables[at] = s->tables[at - 1];
    s->tables[at] = (struct atom_table){level, span};
    return atoms_weight(a, i, level);
}

static inline bool atoms_flags_good(const struct atoms *a, unsigned flags)
{
    unsigned types = flags & (QY_PT_WRITE_THROUGH | QY_PT_UNCACHED);
    if (flags & ~1663u || !(flags & QY_PT_READ) || (flags & QY_PT_WRITE && flags & QY_PT_EXEC))
        return false;
    if (types == (QY_PT_WRITE_THROUGH | QY_PT_UNCACHED) ||
        (types == QY_PT_WRITE_THROUGH && !a->f.kind->write_through) ||
        (types == QY_PT_UNCACHED && !a->f.kind->uncached))
        return false;
    return atoms_user(a) ? flags & QY_PT_USER && !(flags & QY_PT_GLOBAL) : !(flags & QY_PT_USER);
}

/* ---- what each call should do: to `s`, and the tables that it takes ---- */

/* Is the span of `level` over atom i inside [cuts[from], cuts[to])? */
static inline bool atoms_inside(const struct atoms *a, unsigned i, unsigned level, unsigned from,
                                unsigned to)
{
    uint64_t span = a->cuts[i] & -atom_bytes(level);
    return span >= a->cuts[from] && span + (atom_bytes(level) - 1) <= a->cuts[to] - 1;
}

static inline enum qy_error model_map(const struct atoms *a, struct atoms_state *s, unsigned from,
                                      unsigned to, uint64_t frame, unsigned max_level,
                                      unsigned flags, uint64_t *tables)
{
    const struct atoms_state before = *s;
    if (!atoms_flags_good(a, flags))
        return QY_INVALID_FLAGS;
    for (unsigned i = from; i < to; i++)
        if (s->atoms[i].kind != ATOM_EMPTY)
            return QY_ALREADY_MAPPED;
    uint64_t delta = frame - a->cuts[from];
    for (unsigned i = from; i < to; i++) {
        unsigned level = max_level;
        while (level > 1 && (delta % atom_bytes(level) || !atoms_inside(a, i, level, from, to) ||
                             atoms_level(a, &before, i) < level))
            level--;
        for (unsigned table = 3; table >= level; table--)
            *tables += atoms_add_table(a, s, i, table);
        s->atoms[i] = (struct atom){ATOM_PAGES, flags, a->cuts[i] + delta};
    }
    return QY_OK;
}

/* No page reaches over the first address of atom i any more. */
static inline uint64_t model_split(const struct atoms *a, struct atoms_state *s, unsigned i)
{
    uint64_t tables = 0;
    if (i == a->count || s->atoms[i].kind != ATOM_PAGES)
        return 0;
    for (unsigned level; (level = atoms_level(a, s, i)) > 1 && a->cuts[i] % atom_bytes(level);)
        tables += atoms_add_table(a, s, i, level - 1);
    return tables;
}

static inline enum qy_error model_change(const struct atoms *a, struct atoms_state *s,
                                         unsigned from, unsigned to, uint64_t *tables)
{
    for (unsigned i = from; i < to; i++)
        if (s->atoms[i].kind != ATOM_PAGES)
            return QY_NOT_MAPPED;
    *tables = model_split(a, s, from);
    *tables += model_split(a, s, to);
    return QY_OK;
}

static inline enum qy_error model_unmap(const struct atoms *a, struct atoms_state *s, unsigned from,
                                        unsigned to, uint64_t *tables)
{
    enum qy_error error = model_change(a, s, from, to, tables);
    for (unsigned i = from; error == QY_OK && i < to; i++)
        s->atoms[i] = (struct atom){.kind = ATOM_EMPTY};
    return error;
}

static inline enum qy_error model_protect(const struct atoms *a, struct atoms_state *s,
                                          unsigned from, unsigned to, unsigned flags,
                                          uint64_t *tables, enum qy_pt_change *change)
{
    const unsigned rights = QY_PT_WRITE | QY_PT_EXEC;
    const unsigned others = QY_PT_WRITE_THROUGH | QY_PT_UNCACHED | QY_PT_USER | QY_PT_GLOBAL;
    if (!atoms_flags_good(a, flags))
        return QY_INVALID_FLAGS;
    enum qy_error error = model_change(a, s, from, to, tables);
    *change = *tables ? QY_PT_REPLACE : QY_PT_UNCHANGED;
    for (unsigned i = from; error == QY_OK && i < to; i++) {
        unsigned old = s->atoms[i].flags;
        if ((old ^ flags) & others || old & rights & ~flags)
            *change = QY_PT_REPLACE;
        else if (flags & rights & ~old && *change == QY_PT_UNCHANGED)
            *change = QY_PT_WIDEN;
        s->atoms[i].flags = flags;
    }
    return error;
}

/* Marks of `level` over atom i, which is whole entries of one table. */
static inline enum qy_error model_mark(const struct atoms *a, struct atoms_state *s, unsigned i,
                                       unsigned level, uint64_t mark)
{
    unsigned lowest = atoms_level(a, s, i);
    if (lowest != level)
        return lowest < level || s->atoms[i].kind != ATOM_EMPTY ? QY_ALREADY_MAPPED
                                                                : QY_MISSING_TABLE;
    if (s->atoms[i].kind != ATOM_EMPTY)
        return QY_ALREADY_MAPPED;
    s->atoms[i] = (struct atom){ATOM_MARK, level, mark};
    return QY_OK;
}

/* ---- comparison ---- */

static inline void atoms_expect(struct atoms *a, bool good, const char *what)
{
    if (!good && !a->wrong)
        a->wrong = what;
}

static inline bool atoms_same_at(const struct atoms *a, unsigned i, uint64_t at)
{
    const struct atom *atom = &a->state.atoms[i];
    unsigned level = atoms_level(a, &a->state, i), flags = 0, found = 0;
    paddr_t out = paddr(0);
    enum qy_error error = qy_pt_translate(&a->f.pt, vaddr(at), &out, &flags, &found);
    if (atom->kind != ATOM_PAGES) {
        struct qy_pt_walk walk = qy_pt_walk(&a->f.pt, vaddr(at));
        bool mark = atom->kind == ATOM_MARK;
        return error == QY_NOT_MAPPED && fixture_sees(&a->f, at, 0, 1, 0) &&
               walk.level == level && qy_pt_is_mark(a->f.pt.format, walk.entry) == mark &&
               (mark ? qy_pt_mark_decode(a->f.pt.format, walk.entry) == atom->frame
                     : walk.entry == 0);
    }
    uint64_t physical = atom->frame + (at - a->cuts[i]);
    return error == QY_OK && out.raw == physical && found == level &&
           (flags & 1663u) == atom->flags &&
           fixture_sees(&a->f, at, physical, level, atom->flags);
}

/* Every atom at both ends and inside, and the validator. */
static inline void atoms_check(struct atoms *a, uint64_t random)
{
    for (unsigned i = 0; i < a->count; i++) {
        uint64_t bytes = a->cuts[i + 1] - a->cuts[i];
        atoms_expect(a,
                     atoms_same_at(a, i, a->cuts[i]) &&
                         atoms_same_at(a, i, a->cuts[i] + random % bytes) &&
                         atoms_same_at(a, i, a->cuts[i + 1] - 1),
                     "a translation");
    }
    const char *broken = qy_pt_check(&a->f.pt);
    atoms_expect(a, !broken, broken);
}

/* The cursor stops once everywhere, at what is there. */
static inline void atoms_check_cursor(struct atoms *a, unsigned from, unsigned to)
{
    struct qy_pt_cursor c;
    uint64_t at = a->cuts[from];
    unsigned i = from;
    qy_pt_cursor_begin(&c, &a->f.pt, vaddr(at), vaddr(a->cuts[to] - 1));
    do {
        while (a->cuts[i + 1] - 1 < at)
            i++;
        const struct atom *atom = &a->state.atoms[i];
        bool page = qy_pt_is_page(c.format, c.entry, c.level);
        atoms_expect(a, at - c.address.raw < atom_bytes(c.level), "where the cursor stops");
        atoms_expect(a, page == (atom->kind == ATOM_PAGES) &&
                            qy_pt_is_mark(c.format, c.entry) == (atom->kind == ATOM_MARK),
                     "what the cursor stops at");
        atoms_expect(a, !page || qy_pt_entry_address(c.format, c.entry).raw + (at - c.address.raw) ==
                                     atom->frame + (at - a->cuts[i]),
                     "the frame at the cursor");
        at = c.address.raw + atom_bytes(c.level);
    } while (qy_pt_cursor_next(&c) && !a->wrong);
    atoms_expect(a, at - 1 >= a->cuts[to] - 1, "the end of the cursor's way");
}

/* ---- calls on both; `left` tables may be taken ---- */

struct atoms_gone {
    const struct atoms *a;
    uint64_t bytes, next;
    bool good;
};

static inline void atoms_see_gone(void *context, vaddr_t address, uint64_t entry, unsigned level)
{
    struct atoms_gone *gone = context;
    unsigned i = 0;
    while (gone->a->cuts[i + 1] - 1 < address.raw)
        i++;
    const struct atom *atom = &gone->a->state.atoms[i];
    gone->good = gone->good && address.raw == gone->next &&
                 qy_pt_entry_address(gone->a->f.pt.format, entry).raw ==
                     atom->frame + (address.raw - gone->a->cuts[i]);
    gone->bytes += atom_bytes(level);
    gone->next = address.raw + atom_bytes(level);
}

/* The call took what the model says: all of it, or nothing. */
static inline enum qy_error atoms_settle(struct atoms *a, const struct atoms_state *after,
                                         enum qy_error got, enum qy_error expected, uint64_t tables,
                                         unsigned before, unsigned left)
{
    if (expected == QY_OK && tables > left)
        expected = QY_OUT_OF_MEMORY;
    atoms_expect(a, got == expected, "the result of a call");
    atoms_expect(a, a->f.tables - before == (expected == QY_OK ? tables : 0), "the tables taken");
    if (expected == QY_OK)
        a->state = *after;
    return got;
}

static inline enum qy_error atoms_map(struct atoms *a, unsigned from, unsigned to, uint64_t frame,
                                      unsigned max_level, unsigned flags, unsigned left)
{
    struct atoms_state after = a->state;
    uint64_t tables = 0, bytes = a->cuts[to] - a->cuts[from];
    unsigned before = a->f.tables;
    enum qy_error expected = model_map(a, &after, from, to, frame, max_level, flags, &tables);
    a->f.tables_left = left;
    enum qy_error got = qy_pt_map_range(&a->f.pt, vaddr(a->cuts[from]), paddr(frame), bytes,
                                        max_level, flags, &a->f.tables_from);
    return atoms_settle(a, &after, got, expected, tables, before, left);
}

static inline enum qy_error atoms_unmap(struct atoms *a, unsigned from, unsigned to, unsigned left)
{
    struct atoms_state after = a->state;
    struct atoms_gone gone = {a, 0, a->cuts[from], true};
    uint64_t tables = 0, bytes = a->cuts[to] - a->cuts[from];
    unsigned before = a->f.tables;
    enum qy_error expected = model_unmap(a, &after, from, to, &tables);
    a->f.tables_left = left;
    enum qy_error got = qy_pt_unmap_range(&a->f.pt, vaddr(a->cuts[from]), bytes,
                                          &a->f.tables_from, atoms_see_gone, &gone);
    atoms_expect(a, gone.good && gone.bytes == (got == QY_OK ? bytes : 0), "the pages that went");
    return atoms_settle(a, &after, got, expected, tables, before, left);
}

static inline enum qy_error atoms_protect(struct atoms *a, unsigned from, unsigned to,
                                          unsigned flags, unsigned left)
{
    struct atoms_state after = a->state;
    uint64_t tables = 0;
    unsigned before = a->f.tables;
    enum qy_pt_change change = QY_PT_UNCHANGED, got_change = QY_PT_UNCHANGED;
    enum qy_error expected = model_protect(a, &after, from, to, flags, &tables, &change);
    a->f.tables_left = left;
    enum qy_error got = qy_pt_protect_range(&a->f.pt, vaddr(a->cuts[from]),
                                            a->cuts[to] - a->cuts[from], flags, &a->f.tables_from,
                                            &got_change);
    atoms_expect(a, got != QY_OK || got_change == change, "the kind of a change");
    return atoms_settle(a, &after, got, expected, tables, before, left);
}

/* Marks over atom i with the largest entries that it is whole ones of, at most of level 2. */
static inline enum qy_error atoms_mark(struct atoms *a, unsigned i, uint64_t mark)
{
    uint64_t bytes = a->cuts[i + 1] - a->cuts[i];
    unsigned level = (a->cuts[i] | bytes) % atom_bytes(2) ? 1 : 2, missing = 0;
    struct atoms_state after = a->state;
    enum qy_error expected = model_mark(a, &after, i, level, mark);
    enum qy_error got = qy_pt_mark_run(&a->f.pt, vaddr(a->cuts[i]), level,
                                       (unsigned)(bytes / atom_bytes(level)), mark, &missing);
    atoms_expect(a, got != QY_MISSING_TABLE || missing == atoms_level(a, &a->state, i) - 1,
                 "the missing table");
    return atoms_settle(a, &after, got, expected, 0, a->f.tables, 0);
}

/* All marks of atom i go: they become another mark, or nothing. */
static inline void atoms_replace_marks(struct atoms *a, unsigned i, bool other, uint64_t mark)
{
    struct atom *atom = &a->state.atoms[i];
    unsigned level = atom->kind == ATOM_MARK ? atom->flags : 1;
    uint64_t entry = other ? qy_pt_mark_encode(a->f.pt.format, mark) : 0;
    for (uint64_t at = a->cuts[i]; at - 1 != a->cuts[i + 1] - 1; at += atom_bytes(level)) {
        enum qy_error got =
            qy_pt_replace_mark(&a->f.pt, vaddr(at), level, atom->frame ^ 1, entry);
        atoms_expect(a, got == QY_NOT_MAPPED, "a mark that is not there is replaced");
        got = qy_pt_replace_mark(&a->f.pt, vaddr(at), level, atom->frame, entry);
        atoms_expect(a, got == (atom->kind == ATOM_MARK ? QY_OK : QY_NOT_MAPPED),
                     "replacing a mark");
        if (got != QY_OK)
            return;
    }
    *atom = other ? (struct atom){ATOM_MARK, level, mark} : (struct atom){.kind = ATOM_EMPTY};
}

#endif
