/*
 * Commands on the serial console. Keys are read without waiting, and other threads run in between.
 */
#include "leaks.h"
#include <lib/format.h>
#include <lib/string.h>
#include <platform/parse.h>
#include <user/line.h>
#include <user/process.h>

/* Slots in a row that hold capabilities of one kind, shown as one line. */
struct run {
    uint64_t first, last;
    struct cap_state cap; /* of the first */
};

static bool same_kind(const struct cap_state *a, const struct cap_state *b)
{
    return a->type == b->type && a->rights == b->rights && a->badge == b->badge &&
           a->children == b->children;
}

static void cap_cells(struct table *table, const struct run *run)
{
    char rights[] = "----";

    if (run->cap.type == QY_OBJ_NONE)
        return;
#define X(NAME, bit, letter, meaning)                                                              \
    if (run->cap.rights & QY_RIGHT_##NAME)                                                         \
        rights[bit] = letter;
    QY_RIGHTS(X)
#undef X
    if (run->first == run->last)
        table_cell(table, "%llu", (unsigned long long)run->first);
    else
        table_cell(table, "%llu..%llu", (unsigned long long)run->first,
                   (unsigned long long)run->last);
    table_cell(table, "%s", qy_object_name((enum qy_object_type)run->cap.type));
    table_cell(table, "%s", rights);
    table_cell(table, "%llu", (unsigned long long)run->cap.badge);
    table_cell(table, "%llu", (unsigned long long)run->cap.children);
}

static void show_caps(struct root *root)
{
    static const char *const names[] = {"slot", "names", "rights", "badge", "derived"};
    static char text[16384];
    struct table table;
    struct run run = {0};

    table_begin(&table, text, sizeof(text), "><<>>");
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        table_cell(&table, "%s", names[i]);
    for (uint64_t slot = 0; slot < root->info->node_slots; slot++) {
        struct cap_state cap = {0};
        if (cap_info(QY_SLOT_NODE, slot, &cap) != QY_OK)
            cap.type = QY_OBJ_NONE;
        if (run.cap.type != QY_OBJ_NONE && same_kind(&cap, &run.cap)) {
            run.last = slot;
            continue;
        }
        cap_cells(&table, &run);
        run = (struct run){slot, slot, cap};
    }
    cap_cells(&table, &run);
    root_table(&table);
#define X(NAME, bit, letter, meaning)                                                              \
    print("   %-8s%c = %s\n", bit ? "" : "rights:", letter, meaning);
    QY_RIGHTS(X)
#undef X
}

/* What the root task knows about an address of its own. */
static const char *what_is_at(const struct root *root, const struct space_region *region)
{
    const struct {
        uint64_t address;
        const char *what;
    } places[] = {
        {QY_ROOT_INFO_ADDRESS, "information page"},
        {(uintptr_t)what_is_at, "this program's text"},
        {(uintptr_t)CLOCK_NAME, "this program's constants"},
        {(uintptr_t)root, "this program's data"},
        {QY_ROOT_ARCHIVE_ADDRESS, "boot archive"},
        {QY_ROOT_STACK_TOP - 1, "stack"},
    };

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (places[i].address >= region->start && places[i].address < region->end)
            return places[i].what;
    return "";
}

static void show_maps(struct root *root)
{
    struct space_region region;
    uint64_t address = 0;

    print("   start               end                 flags  pages of  what\n");
    while (space_query(QY_SLOT_SPACE, address, &region) == QY_OK) {
        print("   %R  %R  %c%c%c    %-8S  %s\n", region.start, region.end,
              region.flags & QY_MAP_READ ? 'r' : '-', region.flags & QY_MAP_WRITE ? 'w' : '-',
              region.flags & QY_MAP_EXEC ? 'x' : '-', region.page_bytes, what_is_at(root, &region));
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
    {"caches", show_caches, "the kernel's caches of objects, and its guarded objects"},
    {"cpus", show_cpus, "what each CPU did"},
    {"numa", show_numa, "the NUMA nodes: their memory, and how far they are from each other"},
    {"leaks", show_leaks, "what lives, and who made it (boot with heap=track)"},
    {"leaks mark", mark_leaks, "remember this moment"},
    {"leaks since", show_leaks_since, "what was made since then and still lives"},
    {"leak", plant_leak, "run a program that forgets what it made"},
    {"profile", show_profile, "memory by the place that allocates, now and since boot"},
    {"profile folded", show_profile_folded, "the same as stacks, for flamegraph.pl or speedscope"},
    {"help", show_help, "this list (tab completes, up and down are the lines before)"},
    {"halt", NULL, "switch the machine off"},
};

static void show_help(struct root *root)
{
    (void)root;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        print("   %-14s %s\n", commands[i].name, commands[i].what);
    print("   %-14s %s\n", "run NAME ...", "a program of the boot archive, with arguments");
}

/* False: the user wants to halt. */
static bool obey(struct root *root, char *text)
{
    char *words[2] = {0}, said[LINE_BYTES];
    size_t count = line_words(text, words, 2);

    if (!count)
        return true;
    if (strcmp(words[0], "run") == 0) {
        run_words(root, count > 1 ? words[1] : words[0] + 3);
        return true;
    }
    format_to(said, sizeof(said), count > 1 ? "%s %s" : "%s", words[0], words[1]);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, said) != 0)
            continue;
        if (!commands[i].run)
            return false;
        commands[i].run(root);
        return true;
    }
    print("   there is no command \"%s\"; try: help\n", said);
    return true;
}

/* What a line may go on with: as much as all candidates that begin like it have in common. */
struct completion {
    const struct line *line;
    char common[LINE_BYTES];
    unsigned count;
};

static void offer(struct completion *completion, const char *format, const char *name)
{
    char text[LINE_BYTES];
    size_t same = 0;

    format_to(text, sizeof(text), format, name);
    if (strncmp(text, completion->line->text, completion->line->length) != 0)
        return;
    if (!completion->count++)
        memcpy(completion->common, text, sizeof(text));
    while (text[same] && text[same] == completion->common[same])
        same++;
    completion->common[same] = 0;
}

static void complete(const struct root *root, struct line *line)
{
    const struct file archive = boot_archive(root->info->archive_bytes);
    struct completion completion = {.line = line};
    struct qy_file program;
    size_t offset = 0;

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        offer(&completion, "%s", commands[i].name);
    while (qy_cpio_next((struct qy_bytes){archive.at, archive.bytes}, &offset, &program) == QY_OK)
        if (program.data.count >= 4 && memcmp(program.data.at, "\177ELF", 4) == 0)
            offer(&completion, "run %s", program.name);
    if (line->cursor == line->length && completion.common[0])
        line_insert(line, completion.common + line->length);
}

static enum line_event read_line(const struct root *root, struct line *line)
{
    for (;;) {
        enum line_event event;
        char key;

        if (console_read(QY_SLOT_CONSOLE, &key) != QY_OK) {
            yield();
            continue;
        }
        event = line_key(line, key);
        if (event == LINE_COMPLETE)
            complete(root, line);
        print_text(line->echo);
        print_flush();
        if (event == LINE_DONE || event == LINE_GIVEN_UP)
            return event;
    }
}

void prompt_run(struct root *root)
{
    static struct line keys;

    print("\nType a command; help lists them.\n");
    line_begin(&keys);
    do {
        print_text("quarry> ");
        print_flush();
    } while (read_line(root, &keys) != LINE_DONE || obey(root, keys.text));
}
