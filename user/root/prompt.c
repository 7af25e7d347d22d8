/*
 * Commands on the serial console, and the programs that they start: in the foreground, which the user waits for, or
 * behind the prompt.
 */
#include "leaks.h"
#include "snapshot.h"
#include <lib/format.h>
#include <lib/string.h>
#include <platform/parse.h>
#include <user/line.h>

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

/* The regions of a space, by the size of their first page. The root task's own say what the root task knows. */
static void show_maps(const struct root *root, qy_handle_t space)
{
    struct space_region region;
    struct space_pages pages;
    uint64_t address = 0;

    print("   start               end                 flags  pages of  what\n");
    while (space_query(space, address, &region) == QY_OK) {
        print("   %R  %R  %c%c%c    %-8S  %s\n", region.start, region.end,
              region.flags & QY_MAP_READ ? 'r' : '-', region.flags & QY_MAP_WRITE ? 'w' : '-',
              region.flags & QY_MAP_EXEC ? 'x' : '-', region.page_bytes,
              space == QY_SLOT_SPACE ? what_is_at(root, &region)
                                     : region_kind_name(QY_QUERY_KIND(region.flags)));
        if (region.end <= address)
            break;
        address = region.end;
    }
    if (space_pages(space, &pages) == QY_OK && (pages.reserved || pages.pages_2m || pages.pages_1g))
        print("   %lu pages of 2 MiB, %lu of 1 GiB; %lu promoted, %lu divided; %lu stretches "
              "reserved, "
              "%lu needed elsewhere, %lu pages kept\n",
              pages.pages_2m, pages.pages_1g, pages.promoted, pages.divided, pages.reserved,
              pages.broken, pages.kept);
}

static void show_mem(struct root *root)
{
    show_memory(root);
    print("\n");
    show_untypeds(root);
    print("\n");
    show_objects(root);
}

/* ---- commands on jobs ---- */

/* What commands share. */
struct prompt {
    struct root *root;
    struct jobs jobs;
    struct services services;
    struct line line;
    qy_handle_t tick;
    uint64_t period_ns;  /* of the timer */
    unsigned foreground; /* the job that the user waits for; 0: none */
};

static uint64_t number_of(const char *word, uint64_t otherwise)
{
    uint64_t number = 0;

    if (!word)
        return otherwise;
    for (; *word >= '0' && *word <= '9'; word++)
        number = number * 10 + (uint64_t)(*word - '0');
    return *word ? UINT64_MAX : number;
}

/* The job that a word names; null: it names none, which is said. */
static const struct job *job_of(const struct prompt *prompt, const char *word)
{
    uint64_t number = number_of(word, 0);
    const struct job *job = number <= JOBS_MAX ? jobs_find(&prompt->jobs, (unsigned)number) : NULL;

    if (!job)
        print(word ? "   there is no job %s; ps lists them\n" : "   which job? ps lists them\n",
              word);
    return job;
}

static void do_run(struct prompt *prompt, char *words[], size_t count)
{
    bool behind = count && strcmp(words[count - 1], "&") == 0, resident = false;
    uint64_t pages = 0;

    if (behind)
        words[--count] = NULL;
    if (count > 2 && strcmp(words[0], "-m") == 0) {
        pages = number_of(words[1], 0);
        pages = pages < 1u << 20 ? pages << 20 >> 12 : UINT64_MAX;
        words += 2;
        count -= 2;
    }
    if (count > 1 && strcmp(words[0], "-r") == 0) {
        resident = true;
        words++;
        count--;
    }
    if (!count || pages == UINT64_MAX) {
        print(
            "   run [-m MEBIBYTES] [-r] NAME [WORD ...] [&]\n"
            "   -m: its budget; what it has beside that goes to the swapper. -r: its pages stay\n");
        return;
    }
    unsigned number = jobs_start(&prompt->jobs, (const char *const *)words, pages, resident);
    if (!behind)
        prompt->foreground = number;
    else if (number)
        print("   job %u\n", number);
}

static void do_ps(struct prompt *prompt, char *words[], size_t count)
{
    (void)words, (void)count;
    jobs_show(&prompt->jobs);
}

static void do_kill(struct prompt *prompt, char *words[], size_t count)
{
    (void)count;
    if (job_of(prompt, words[0]))
        jobs_kill(&prompt->jobs, (unsigned)number_of(words[0], 0));
}

static void do_maps(struct prompt *prompt, char *words[], size_t count)
{
    const struct job *job = count ? job_of(prompt, words[0]) : NULL;

    if (job || !count)
        show_maps(prompt->root, job ? job->process.space : QY_SLOT_SPACE);
}

static const char *job_name(void *context, unsigned number)
{
    const struct job *job = jobs_find(context, number);

    return job ? job->name : NULL;
}

static void do_swap(struct prompt *prompt, char *words[], size_t count)
{
    (void)words, (void)count;
    services_show_swap(&prompt->services, job_name, &prompt->jobs);
}

/* The number of the space of a job, or of the root task. */
static uint64_t space_of(const struct job *job)
{
    qy_handle_t space = job ? job->process.space : QY_SLOT_SPACE;
    struct cap_state cap;

    return cap_info(QY_SLOT_NODE, space & UINT32_MAX, &cap) == QY_OK ? cap.object : 0;
}

static void do_smaps(struct prompt *prompt, char *words[], size_t count)
{
    const struct job *job = count ? job_of(prompt, words[0]) : NULL;

    if (job || !count)
        show_smaps(prompt->root, space_of(job));
}

static void do_processes(struct prompt *prompt, char *words[], size_t count)
{
    (void)words, (void)count;
    show_processes(prompt->root, &prompt->jobs);
}

static void do_snapshot(struct prompt *prompt, char *words[], size_t count)
{
    snapshot_write(prompt->root, &prompt->jobs, count ? words[0] : "asked for at the prompt");
}

/* So many programs that use memory hard, each with seeds of its own. */
static void do_stress(struct prompt *prompt, char *words[], size_t count)
{
    uint64_t wanted = number_of(words[0], prompt->root->info->cpus);

    (void)count;
    if (!wanted || wanted == UINT64_MAX) {
        print("   stress [COUNT]\n");
        return;
    }
    if (wanted > JOBS_MAX)
        wanted = JOBS_MAX;
    for (uint64_t i = 0; i < wanted; i++) {
        char seed[] = {(char)('a' + i), 0};
        const char *const argv[] = {"stress", seed, NULL};
        if (!jobs_start(&prompt->jobs, argv, 0, false))
            return;
    }
    print("   %llu programs run\n", (unsigned long long)wanted);
}

/* ---- commands ---- */

static void show_help(struct root *root);

/* One of `show` and `act`; a name of two words is one that only shows. None: the end. */
static const struct command {
    const char *name;
    void (*show)(struct root *root);
    void (*act)(struct prompt *prompt, char *words[], size_t count);
    const char *usage, *what;
} commands[] = {
    {"run", NULL, do_run, " [-m MIB] [-r] NAME [&]",
     "a program of the boot archive; ctrl-c ends it, ctrl-z leaves it behind"},
    {"ps", NULL, do_ps, "", "the programs that run, and what they have"},
    {"kill", NULL, do_kill, " JOB", "end one, whatever it does"},
    {"maps", NULL, do_maps, " [JOB]", "the regions of its address space, or of the root task's"},
    {"swap", NULL, do_swap, "",
     "pages that are compressed or on the disk, for whom, and what was done"},
    {"smaps", NULL, do_smaps, " [JOB]", "its regions: what is there, shared, swapped, in tables"},
    {"processes", NULL, do_processes, "", "what each address space has, shared memory divided"},
    {"snapshot", NULL, do_snapshot, " [LABEL]", "all records as JSON, for ./quarry view"},
    {"stress", NULL, do_stress, " [COUNT]", "programs that use memory hard; one for each CPU"},
    {"mem", show_mem, NULL, "", "where the RAM is, what is left to hand out, which objects exist"},
    {"untyped", show_untypeds, NULL, "", "what is left to hand out"},
    {"caps", show_caps, NULL, "", "the capabilities that the root task holds"},
    {"buddyinfo", show_buddyinfo, NULL, "", "free blocks of each untyped, by order"},
    {"slabinfo", show_slabinfo, NULL, "", "the kernel's caches, with Linux' columns"},
    {"slab", show_caches, NULL, "", "the kernel's caches of objects, and its guarded objects"},
    {"cpus", show_cpus, NULL, "", "what each CPU did"},
    {"calls", show_calls, NULL, "",
     "what each call cost others: interrupts held off, waits for a lock"},
    {"numa", show_numa, NULL, "", "the NUMA nodes: their memory, and how far they are apart"},
    {"leaks", show_leaks, NULL, "", "what lives, and who made it (boot with heap=track)"},
    {"leaks mark", mark_leaks, NULL, "", "remember this moment"},
    {"leaks since", show_leaks_since, NULL, "", "what was made since then and still lives"},
    {"leak", plant_leak, NULL, "", "run a program that forgets what it made"},
    {"profile", show_profile, NULL, "", "memory by the place that allocates, now and since boot"},
    {"profile folded", show_profile_folded, NULL, "",
     "the same as stacks, for flamegraph.pl or speedscope"},
    {"help", show_help, NULL, "", "this list; tab completes, up and down are the lines before"},
    {"halt", NULL, NULL, "", "switch the machine off"},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void show_help(struct root *root)
{
    char left[40];

    (void)root;
    for (size_t i = 0; i < COMMANDS; i++) {
        format_to(left, sizeof(left), "%s%s", commands[i].name, commands[i].usage);
        print("   %-26s  %s\n", left, commands[i].what);
    }
}

#define WORDS_MAX 10u

/* False: the user wants to halt. */
static bool obey(struct prompt *prompt)
{
    char *words[WORDS_MAX + 1] = {0}, text[LINE_BYTES], said[LINE_BYTES];
    const struct command *found = NULL;

    memcpy(text, prompt->line.text, sizeof(text));
    size_t count = line_words(text, words, WORDS_MAX);
    if (!count)
        return true;
    format_to(said, sizeof(said), count > 1 ? "%s %s" : "%s", words[0], words[1]);
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, commands[i].act ? words[0] : said) == 0)
            found = &commands[i];
    if (!found)
        print("   there is no command \"%s\"; try: help\n", said);
    else if (found->act)
        found->act(prompt, words + 1, count - 1);
    else if (found->show)
        found->show(prompt->root);
    return !found || found->act || found->show;
}

/* ---- keys ---- */

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

    for (size_t i = 0; i < COMMANDS; i++)
        offer(&completion, "%s", commands[i].name);
    while (qy_cpio_next((struct qy_bytes){archive.at, archive.bytes}, &offset, &program) == QY_OK)
        if (program.data.count >= 4 && memcmp(program.data.at, "\177ELF", 4) == 0)
            offer(&completion, "run %s", program.name);
    if (line->cursor == line->length && completion.common[0])
        line_insert(line, completion.common + line->length);
}

/* The prompt sleeps until a job ends, or for this long: the console does not tell that a key has come. */
#define TICK_NS 30000000ull
#define TICK_BEHIND_NS 100000000ull /* while the user waits for a job */

static void watch_keys(struct prompt *prompt)
{
    struct root *root = prompt->root;
    enum qy_error error = root_make(root, root->untyped, QY_OBJ_NOTIFICATION, 1, &prompt->tick);

    if (error == QY_OK)
        error = root_make(root, root->untyped, QY_OBJ_TIMER, 1, &prompt->root->timer);
    if (error == QY_OK)
        error = notification_bind(prompt->tick, QY_SLOT_THREAD);
    root_check(root, error == QY_OK, "the prompt has no timer");
}

/* Sleep until the next tick, or until a job says something: true, and *message is it. */
static bool sleep(struct prompt *prompt, struct message *message)
{
    uint64_t period = prompt->foreground ? TICK_BEHIND_NS : TICK_NS, word;
    enum qy_error error = QY_OK;

    if (period != prompt->period_ns)
        error = timer_set(prompt->root->timer, prompt->tick, period, period);
    prompt->period_ns = period;
    *message = (struct message){.label = QY_LABEL_NOTIFIED};
    if (error == QY_OK)
        error = prompt->jobs.running
                    ? endpoint_receive(prompt->jobs.endpoint, prompt->jobs.reply, message)
                    : notification_wait(prompt->tick, &word);
    if (!root_check(prompt->root, error == QY_OK, "the prompt cannot wait for keys"))
        yield();
    return error == QY_OK && !(message->label & QY_LABEL_NOTIFIED);
}

/* Wait for a key. False: something was printed meanwhile, because a job has ended. */
static bool next_key(struct prompt *prompt, char *key)
{
    struct message message;
    bool well;

    while (console_read(QY_SLOT_CONSOLE, key) != QY_OK) {
        if (!sleep(prompt, &message))
            continue;
        if (!prompt->foreground)
            print("\n");
        if (jobs_hear(&prompt->jobs, &message, &well) == prompt->foreground)
            prompt->foreground = 0;
        return false;
    }
    return true;
}

static void ask(struct prompt *prompt)
{
    line_show(&prompt->line);
    print_text("quarry> ");
    print_text(prompt->line.echo);
    print_flush();
}

/* A key while the user waits for a job: the job gets none. */
static void interrupt(struct prompt *prompt, char key)
{
    if (key == LINE_KEY_GIVE_UP)
        jobs_kill(&prompt->jobs, prompt->foreground);
    else if (key == LINE_KEY_SUSPEND)
        print("   job %u goes on\n", prompt->foreground);
    else
        return;
    prompt->foreground = 0;
    ask(prompt);
}

/* A key of a line. False: the user wants to halt. */
static bool edit(struct prompt *prompt, char key)
{
    enum line_event event = line_key(&prompt->line, key);

    if (event == LINE_COMPLETE)
        complete(prompt->root, &prompt->line);
    print_text(prompt->line.echo);
    print_flush();
    if (event == LINE_DONE && !obey(prompt))
        return false;
    if ((event == LINE_DONE || event == LINE_GIVEN_UP) && !prompt->foreground)
        ask(prompt);
    return true;
}

void prompt_run(struct root *root)
{
    static struct prompt prompt;
    uint32_t mark = root_mark(root);
    bool goes_on = true;
    char key;

    print("\nType a command; help lists them.\n");
    prompt = (struct prompt){.root = root, .jobs.root = root};
    line_begin(&prompt.line);
    watch_keys(&prompt);
    services_begin(&prompt.services, root);
    if (prompt.services.memory)
        prompt.jobs.services = &prompt.services;
    ask(&prompt);
    while (goes_on) {
        if (!next_key(&prompt, &key)) {
            if (!prompt.foreground)
                ask(&prompt);
        } else if (prompt.foreground) {
            interrupt(&prompt, key);
        } else {
            goes_on = edit(&prompt, key);
        }
    }
    for (unsigned i = 1; i <= JOBS_MAX; i++)
        if (jobs_find(&prompt.jobs, i))
            jobs_kill(&prompt.jobs, i);
    services_end(&prompt.services);
    enum qy_error error = cap_delete(root->timer);
    if (error == QY_OK)
        error = cap_delete(prompt.tick);
    root_check(root, error == QY_OK, "the prompt's timer could not be deleted");
    root_release(root, mark);
}
