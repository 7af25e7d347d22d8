/*
 * Programs of the boot archive, each in a process of its own: word `run=NAME`, and the prompt. See jobs.h.
 */
#include "jobs.h"

#include <lib/format.h>
#include <user/slots.h>

#define BUDGET_PAGES 4096u

enum qy_error jobs_archive(qy_handle_t untyped, struct file archive, qy_handle_t *out)
{
    uint64_t pages = PAGE_ALIGN(archive.bytes) / PAGE_BYTES;
    enum qy_error error = slot_make(untyped, QY_OBJ_MEMORY, pages, out);

    for (uint64_t page = 0, some; error == QY_OK && page < pages; page += some) {
        some = pages - page < QY_SUPPLY_MAX ? pages - page : QY_SUPPLY_MAX;
        error = memory_supply(*out, page, &some, archive.at + page * PAGE_BYTES);
    }
    return error;
}

/* What all jobs need, before the first. */
static enum qy_error open(struct jobs *jobs, struct file archive)
{
    struct root *root = jobs->root;
    enum qy_error error = untyped_info(root->untyped, &jobs->before);

    if (!jobs->given && !jobs->services)
        slots_begin(root->next_slot, root->info->node_slots - root->next_slot);
    jobs->images = (struct images){.untyped = root->untyped};
    if (error == QY_OK)
        error = slot_make(root->untyped, QY_OBJ_ENDPOINT, 1, &jobs->endpoint);
    if (error == QY_OK)
        error = slot_make(root->untyped, QY_OBJ_REPLY, 1, &jobs->reply);
    return error == QY_OK ? jobs_archive(root->untyped, archive, &jobs->archive) : error;
}

/* After the last job, or after `open` failed. */
static void close(struct jobs *jobs)
{
    struct untyped_state after = {0};

    images_end(&jobs->images);
    slot_delete(jobs->archive);
    slot_delete(jobs->reply);
    slot_delete(jobs->endpoint);
    jobs->archive = jobs->reply = jobs->endpoint = 0;
    bool same = untyped_info(jobs->root->untyped, &after) == QY_OK &&
                after.free_bytes == jobs->before.free_bytes &&
                after.objects == jobs->before.objects;
    print("run: free in the untyped: %llu bytes before, %llu after: %s\n",
          (unsigned long long)jobs->before.free_bytes, (unsigned long long)after.free_bytes,
          same ? "conserved" : "NOT THE SAME");
    root_check(jobs->root, same, "a program's memory has not come back");
}

static void end(struct jobs *jobs, struct job *job)
{
    root_check(jobs->root, process_destroy(&job->process) == QY_OK, "a process could not be ended");
    services_leave(jobs->services, (unsigned)(job - jobs->job) + 1);
    if (--jobs->running == 0)
        close(jobs);
}

unsigned jobs_start(struct jobs *jobs, const char *const *argv, uint64_t pages, bool resident)
{
    const struct root *root = jobs->root;
    struct file archive = boot_archive(root->info->archive_bytes), image;
    const char *why = "no memory or no slot for what it needs";
    unsigned free = 0;

    while (free < JOBS_MAX && jobs->job[free].process.budget)
        free++;
    struct job *job = &jobs->job[free];
    if (free == JOBS_MAX) {
        print("run: %u programs run, more do not at a time\n", JOBS_MAX);
        return 0;
    }
    if (archive_find(archive, argv[0], &image) != QY_OK) {
        print("run: there is no program \"%s\" in the boot archive\n", argv[0]);
        return 0;
    }
    enum qy_error error = jobs->running++ ? QY_OK : open(jobs, archive);
    const struct process_plan plan = {.image = image,
                                      .libraries = archive,
                                      .images = &jobs->images,
                                      .fixed = root->fixed,
                                      .argv = argv,
                                      .untyped = root->untyped,
                                      .budget_pages = pages ? pages : BUDGET_PAGES,
                                      .endpoint = jobs->endpoint,
                                      .number = free + 1,
                                      .console = QY_SLOT_CONSOLE,
                                      .archive = jobs->archive,
                                      .archive_bytes = archive.bytes,
                                      .cpus = root->info->cpus,
                                      .clock_hz = root->info->clock_hz};
    if (error == QY_OK)
        error = process_create(&plan, &job->process, &why);
    if (error == QY_OK && jobs->given)
        error = process_give(&job->process, 0, jobs->given, QY_RIGHT_WRITE | QY_RIGHT_GRANT, 0);
    if (error == QY_OK)
        services_join(jobs->services, free + 1, &job->process, plan.budget_pages, resident);
    print_flush(); /* before the program prints */
    if (error == QY_OK) {
        why = "it does not start";
        error = process_start(&job->process, QY_CPU_ANY);
    }
    format_to(job->name, sizeof(job->name), "%s", argv[0]);
    if (error == QY_OK)
        return free + 1;
    print("run: %s cannot be loaded: %s (%s)\n", argv[0], why, qy_error_name(error));
    end(jobs, job);
    return 0;
}

unsigned jobs_hear(struct jobs *jobs, const struct message *message, bool *well)
{
    struct process_event event;

    process_event_from(message, &event);
    if (!jobs_find(jobs, (unsigned)event.number))
        return 0;
    struct job *job = &jobs->job[event.number - 1];
    if (event.news == PROCESS_FAULTED && event.fault.mark == QY_FOUND_EXHAUSTED &&
        services_relieve(jobs->services, (unsigned)event.number) &&
        reply_send(jobs->reply, QY_FAULT_RESUME, 0, 0, 0) == QY_OK)
        return 0;
    *well = event.news == PROCESS_EXITED && event.code == 0;
    switch (event.news) {
    case PROCESS_EXITED:
        print("run: %s ended with code %d\n", job->name, event.code);
        break;
    case PROCESS_FAULTED:
        print("run: %s died: %s of %R by the instruction at %R: %s\n", job->name,
              fault_access_name(event.fault.access), event.fault.address, event.fault.instruction,
              fault_mark_name(event.fault.mark));
        /* Where that is in the file: the image lies elsewhere each time. */
        if (event.fault.instruction - job->process.places.image <
            job->process.places.image_end - job->process.places.image)
            print("run: that is %R behind the beginning of its image at %R\n",
                  event.fault.instruction - job->process.places.image, job->process.places.image);
        break;
    default:
        print("run: %s said what nobody understands (label %llu)\n", job->name,
              (unsigned long long)event.message.label);
    }
    end(jobs, job);
    return (unsigned)event.number;
}

const struct job *jobs_find(const struct jobs *jobs, unsigned number)
{
    bool is = number >= 1 && number <= JOBS_MAX && jobs->job[number - 1].process.budget;

    return is ? &jobs->job[number - 1] : NULL;
}

void jobs_kill(struct jobs *jobs, unsigned number)
{
    struct job *job = &jobs->job[number - 1];

    print("run: %s was killed\n", job->name);
    end(jobs, job);
}

static const char *state_name(uint64_t state)
{
    switch (state) {
#define X(NAME, value, name)                                                                       \
    case QY_THREAD_##NAME:                                                                         \
        return name;
        QY_THREAD_STATES(X)
#undef X
    }
    return "?";
}

void jobs_show(struct jobs *jobs)
{
    static const char *const names[] = {
        "job",    "program", "its first thread", "CPU",    "calls", "faults",
        "budget", "free",    "private",          "shared", "tables"};
    static char text[4096];
    struct table table;

    table_begin(&table, text, sizeof(text), "><<>>>>>>>>");
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        table_cell(&table, "%s", names[i]);
    for (unsigned i = 0; i < JOBS_MAX; i++) {
        const struct job *job = &jobs->job[i];
        struct thread_status thread;
        struct untyped_state budget;
        struct space_state space;
        if (!job->process.budget || thread_info(job->process.thread, &thread) != QY_OK ||
            untyped_info(job->process.budget, &budget) != QY_OK ||
            space_info(job->process.space, &space) != QY_OK)
            continue;
        table_cell(&table, "%u", i + 1);
        table_cell(&table, "%s", job->name);
        table_cell(&table, "%s", state_name(thread.state));
        table_cell(&table, "%u", thread.cpu);
        table_cell(&table, "%llu", (unsigned long long)thread.calls);
        table_cell(&table, "%llu", (unsigned long long)thread.faults);
        table_cell(&table, "%S", budget.total_bytes);
        table_cell(&table, "%S", budget.free_bytes);
        table_cell(&table, "%S", space.private_pages * PAGE_BYTES);
        table_cell(&table, "%S", space.shared_pages * PAGE_BYTES);
        table_cell(&table, "%S", space.tables * PAGE_BYTES);
    }
    root_table(&table);
}

static bool run(struct jobs *jobs, const char *const *argv)
{
    struct message message;
    bool well = false;
    unsigned number = jobs_start(jobs, argv, root_word(jobs->root, "budget=", 0), false);

    while (number && endpoint_receive(jobs->endpoint, jobs->reply, &message) == QY_OK &&
           jobs_hear(jobs, &message, &well) != number)
        ;
    return well;
}

bool run_given(struct root *root, const char *const *argv, qy_handle_t given)
{
    static struct jobs jobs;

    jobs = (struct jobs){.root = root, .given = given};
    return run(&jobs, argv);
}

bool run_program(struct root *root, const char *const *argv, bool serve)
{
    static struct jobs jobs;
    static struct services services;

    jobs = (struct jobs){.root = root, .services = serve ? &services : NULL};
    if (serve)
        services_begin(&services, root);
    bool well = run(&jobs, argv);
    if (serve)
        services_end(&services);
    return well;
}
