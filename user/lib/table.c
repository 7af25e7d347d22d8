/*
 * Tables with aligned columns: see user/table.h.
 */
#include <lib/format.h>
#include <lib/string.h>
#include <stdbool.h>
#include <user/table.h>

#define GAP "  "

void table_begin(struct table *table, char *buffer, size_t bytes, const char *align)
{
    *table = (struct table){.buffer = buffer, .bytes = bytes, .align = align};
    while (align[table->columns] && table->columns < TABLE_COLUMNS)
        table->columns++;
}

void table_cell(struct table *table, const char *format, ...)
{
    size_t room = table->bytes - table->used;
    size_t column = table->cells % table->columns;
    va_list arguments;

    va_start(arguments, format);
    size_t length = format_to_v(table->buffer + table->used, room, format, arguments);
    va_end(arguments);
    /* After one lost cell the rest would stand in wrong columns. */
    if (table->lost || length >= room) {
        table->lost++;
        return;
    }
    if (length > table->width[column])
        table->width[column] = length;
    table->used += length + 1;
    table->cells++;
}

typedef void put_text(void *context, const char *text);

static void repeat(put_text *put, void *context, const char *text, size_t count)
{
    while (count--)
        put(context, text);
}

static void print_rule(const struct table *table, const char *indent, put_text *put, void *context)
{
    put(context, indent);
    for (size_t column = 0; column < table->columns; column++) {
        put(context, column ? GAP : "");
        repeat(put, context, "-", table->width[column]);
    }
    put(context, "\n");
}

void table_print(const struct table *table, const char *indent, put_text *put, void *context)
{
    const char *cell = table->buffer;

    for (size_t i = 0; i < table->cells; i++) {
        size_t column = i % table->columns, length = strlen(cell);
        size_t padding = table->width[column] - length;
        bool last = column + 1 == table->columns || i + 1 == table->cells;
        bool right = table->align[column] == '>';

        put(context, column ? GAP : indent);
        repeat(put, context, " ", right ? padding : 0);
        put(context, cell);
        repeat(put, context, " ", right || last ? 0 : padding);
        if (last)
            put(context, "\n");
        if (i + 1 == table->columns)
            print_rule(table, indent, put, context);
        cell += length + 1;
    }
    if (table->lost) {
        char text[64];
        (void)format_to(text, sizeof(text), "(%zu more cells: the table's buffer is full)\n",
                        table->lost);
        put(context, indent);
        put(context, text);
    }
}
