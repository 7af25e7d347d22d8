/*
 * Tables of the root task: columns aligned to their widest cell, nothing left out silently.
 */
#include <string.h>
#include <tap.h>
#include <user/table.h>

static char output[1024];

static void put(void *context, const char *text)
{
    (void)context;
    strcat(output, text);
}

static void aligns_columns(void)
{
    char space[256];
    struct table table;

    output[0] = 0;
    table_begin(&table, space, sizeof(space), "<>");
    table_cell(&table, "use");
    table_cell(&table, "bytes");
    table_cell(&table, "kernel text");
    table_cell(&table, "%u", 7u);
    table_cell(&table, "x");
    table_cell(&table, "%u", 1234567u);
    table_print(&table, "  ", put, NULL);
    CHECK(strcmp(output, "  use            bytes\n"
                         "  -----------  -------\n"
                         "  kernel text        7\n"
                         "  x            1234567\n") == 0);
}

static void no_blanks_at_line_ends(void)
{
    char space[256];
    struct table table;

    output[0] = 0;
    table_begin(&table, space, sizeof(space), "><");
    table_cell(&table, "n");
    table_cell(&table, "a long head");
    table_cell(&table, "12");
    table_cell(&table, "b");
    table_print(&table, "", put, NULL);
    CHECK(strcmp(output, " n  a long head\n"
                         "--  -----------\n"
                         "12  b\n") == 0);
}

static void says_what_is_lost(void)
{
    char space[12];
    struct table table;

    output[0] = 0;
    table_begin(&table, space, sizeof(space), "<<");
    table_cell(&table, "a");
    table_cell(&table, "b");
    table_cell(&table, "123456");
    table_cell(&table, "7");
    table_cell(&table, "8");
    CHECK_EQ(table.cells, 3);
    CHECK_EQ(table.lost, 2);
    table_print(&table, "", put, NULL);
    CHECK(strstr(output, "123456\n(2 more cells: the table's buffer is full)\n") != NULL);
}

static void exact_fit(void)
{
    char space[4];
    struct table table;

    table_begin(&table, space, sizeof(space), "<<");
    table_cell(&table, "a");
    table_cell(&table, "b");
    CHECK_EQ(table.lost, 0);
    CHECK_EQ(table.used, sizeof(space));
    table_cell(&table, "%s", "");
    CHECK_EQ(table.lost, 1);
}

static void empty_table(void)
{
    char space[4];
    struct table table;

    output[0] = 0;
    table_begin(&table, space, sizeof(space), "<");
    table_print(&table, "", put, NULL);
    CHECK_EQ(strlen(output), 0);
}

static const struct test tests[] = {
    {"aligns columns", aligns_columns},
    {"no blanks at the ends of lines", no_blanks_at_line_ends},
    {"says what is lost", says_what_is_lost},
    {"an exact fit loses nothing", exact_fit},
    {"an empty table prints nothing", empty_table},
};
TEST_MAIN(tests)
