/*
 * Commands on the serial console. Keys are read without waiting, and other threads run in between.
 */
#include "root.h"
#include <lib/string.h>
#include <user/line.h>

static void show_caps(struct root *root)
{
    static char text[16384];
    struct table table;

    table_begin(&table, text, sizeof(text), "><<>>>");
    table_cell(&table, "slot");
    table_cell(&table, "names");
    table_cell(&table, "rights");
    table_cell(&table, "object");
    table_cell(&table, "badge");
    table_cell(&table, "derived");
    for (uint64_t slot = 0; slot < root->info->node_slots; slot++) {
        struct cap_state cap;
        if (cap_info(QY_SLOT_NODE, slot, &cap) != QY_OK || cap.type == QY_OBJ_NONE)
            continue;
        char rights[] = "----";
#define X(NAME, bit, letter, meaning)                                                              \
    if (cap.rights & QY_RIGHT_##NAME)                                                              \
        rights[bit] = letter;
        QY_RIGHTS(X)
#undef X
        table_cell(&table, "%llu", (unsigned long long)slot);
        table_cell(&table, "%s", qy_object_name((enum qy_object_type)cap.type));
        table_cell(&table, "%s", rights);
        table_cell(&table, "%llu", (unsigned long long)cap.object);
        table_cell(&table, "%llu", (unsigned long long)cap.badge);
        table_cell(&table, "%llu", (unsigned long long)cap.children);
    }
    root_table(&table);
    print("   rights: ");
#define X(NAME, bit, letter, meaning) print("%s%c = %s", bit ? "; " : "", letter, meaning);
    QY_RIGHTS(X)
#undef X
    print("\n");
}

static void show_maps(struct root *root)
{
    struct space_region region;
    uint64_t address = 0;

    (void)root;
    print("   start               end                 flags  pages of\n");
    while (space_query(QY_SLOT_SPACE, address, &region) == QY_OK) {
        print("   %R  %R  %c%c%c    %S\n", region.start, region.end,
              region.flags & QY_MAP_READ ? 'r' : '-', region.flags & QY_MAP_WRITE ? 'w' : '-',
              region.flags & QY_MAP_EXEC ? 'x' : '-', region.page_bytes);
        if (region.end <= address)
            break;
        address = region.end;
    }
}

static void show_mem(struct root *root)
{
    show_memory(root);
    print("\n");
    show_untypeds(root);
    print("\n");
    show_objects(root);
}

static void show_help(struct root *root);

static const struct command {
    const char *name;
    void (*run)(struct root *root);
    const char *what;
} commands[] = {
    {"mem", show_mem, "where the RAM is, what is left to hand out, which objects exist"},
    {"caps", show_caps, "the capabilities that the root task holds"},
    {"maps", show_maps, "what is mapped in the root task's address space"},
    {"cpus", show_cpus, "what each CPU did"},
    {"help", show_help, "this list"},
    {"halt", NULL, "switch the machine off"},
};

static void show_help(struct root *root)
{
    (void)root;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        print("   %-5s %s\n", commands[i].name, commands[i].what);
}

/* False: the user wants to halt. */
static bool obey(struct root *root, char *text)
{
    char *words[2];
    size_t count = line_words(text, words, 2);

    if (!count)
        return true;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, words[0]) != 0)
            continue;
        if (count > 1) {
            print("   %s takes no arguments\n", words[0]);
            return true;
        }
        if (!commands[i].run)
            return false;
        commands[i].run(root);
        return true;
    }
    print("   there is no command \"%s\"; try: help\n", words[0]);
    return true;
}

static enum line_event read_line(struct line *line)
{
    for (;;) {
        enum line_event event;
        char key;

        if (console_read(QY_SLOT_CONSOLE, &key) != QY_OK) {
            yield();
            continue;
        }
        event = line_key(line, key);
        print_text(line->echo);
        print_flush();
        if (event != LINE_MORE)
            return event;
    }
}

void prompt_run(struct root *root)
{
    static struct line line;

    print("\nType a command; help lists them.\n");
    line_begin(&line);
    do {
        print_text("quarry> ");
        print_flush();
    } while (read_line(&line) != LINE_DONE || obey(root, line.text));
}
