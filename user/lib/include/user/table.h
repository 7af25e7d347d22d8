/*
 * Tables with aligned columns: cells are collected first, so that each column is as wide as its
 * widest cell.
 *
 *     char space[512];
 *     struct table table;
 *     table_begin(&table, space, sizeof(space), "<>>");       one letter a column: < left, > right
 *     table_cell(&table, "node"); table_cell(&table, "size"); table_cell(&table, "free");     the
 * head table_cell(&table, "%u", 0u); ...                                                       the
 * rows table_print(&table, "   ", put, context);
 *
 * Invariants: TABLE-CELLS (the buffer holds `cells` terminated texts, one after the other). A cell
 * that does not fit is remembered: table_print then says how many cells are missing instead of
 * leaving them out silently. Cost: O(characters). No allocation, no lock: a table belongs to its
 * caller.
 */
#ifndef USER_TABLE_H
#define USER_TABLE_H

#include <stddef.h>

#define TABLE_COLUMNS 24

struct table {
    char *buffer;
    size_t bytes, used;
    const char *align;
    size_t columns;
    size_t cells;
    size_t lost; /* cells for which the buffer had no room */
    size_t width[TABLE_COLUMNS];
};

/* align: a letter for each column, at most TABLE_COLUMNS; it and the buffer stay the caller's. */
void table_begin(struct table *table, char *buffer, size_t bytes, const char *align);

/* The next cell, row by row; the first row is the head. Formats as in lib/format.h. */
void table_cell(struct table *table, const char *format, ...);

/* Print: every line begins with indent; a line of dashes stands below the head. No blanks at the
 * ends of lines. */
void table_print(const struct table *table, const char *indent,
                 void (*put)(void *context, const char *text), void *context);

#endif
