/*
 * Programs of the boot archive, each run in a process of its own: word `run=NAME`, and at the prompt `run NAME ...`.
 *
 * Each gets a budget out of the largest untyped. When it has ended, by itself or by a fault, its budget is revoked, and
 * the untyped must be what it was, to the byte.
 */
#include "root.h"

#include <user/line.h>
#include <user/process.h>
#include <user/slots.h>
#include <user/space.h>

#define BUDGET_PAGES 4096u
#define WORDS_MAX 8u

/* Say how it ended. False: not well. */
static bool tell(const char *name, const struct process_event *event)
{
    switch (event->news) {
    case PROCESS_EXITED:
        print("run: %s ended with code %d\n", name, event->code);
        return event->code == 0;
    case PROCESS_FAULTED:
        print("run: %s died: %s of %R by the instruction at %R: %s\n", name,
              fault_access_name(event->fault.access), event->fault.address,
              event->fault.instruction, fault_mark_name(event->fault.mark));
        return false;
    default:
        print("run: %s said what nobody understands (label %llu)\n", name,
              (unsigned long long)event->message.label);
        return false;
    }
}

/* The boot archive as a memory object, for programs. It is copied once, out of the root task's untyped. */
static enum qy_error archive_make(const struct root *root, struct file archive, qy_handle_t *out)
{
    uint64_t pages = PAGE_ALIGN(archive.bytes) / PAGE_BYTES;
    enum qy_error error = slot_make(root->untyped, QY_OBJ_MEMORY, pages, out);

    for (uint64_t page = 0, some; error == QY_OK && page < pages; page += some) {
        some = pages - page < QY_SUPPLY_MAX ? pages - page : QY_SUPPLY_MAX;
        error = memory_supply(*out, page, &some, archive.at + page * PAGE_BYTES);
    }
    return error;
}

/* Make it, let it run, hear how it ends, take everything back. */
static bool run_process(struct root *root, const char *const *argv, struct file image,
                        struct file archive)
{
    struct images images = {.untyped = root->untyped};
    qy_handle_t archive_object = 0;
    qy_handle_t endpoint = 0, reply = 0;
    struct process process = {0};
    struct process_event event;
    const char *why = "no slot or no memory for its endpoint";
    enum qy_error error = slot_make(root->untyped, QY_OBJ_ENDPOINT, 1, &endpoint);

    if (error == QY_OK)
        error = slot_make(root->untyped, QY_OBJ_REPLY, 1, &reply);
    if (error == QY_OK)
        error = archive_make(root, archive, &archive_object);
    const struct process_plan plan = {.image = image,
                                      .libraries = archive,
                                      .images = &images,
                                      .fixed = root->fixed,
                                      .argv = argv,
                                      .untyped = root->untyped,
                                      .budget_pages = BUDGET_PAGES,
                                      .endpoint = endpoint,
                                      .number = 1,
                                      .console = QY_SLOT_CONSOLE,
                                      .archive = archive_object,
                                      .archive_bytes = archive.bytes,
                                      .cpus = root->info->cpus,
                                      .clock_hz = root->info->clock_hz};
    if (error == QY_OK)
        error = process_create(&plan, &process, &why);
    if (error != QY_OK)
        print("run: %s cannot be loaded: %s (%s)\n", argv[0], why, qy_error_name(error));
    print_flush(); /* before the program prints */
    if (error == QY_OK)
        error = process_start(&process, QY_CPU_ANY);
    if (error == QY_OK)
        error = process_wait(endpoint, reply, &event);
    bool well = error == QY_OK && tell(argv[0], &event);
    root_check(root, process_destroy(&process) == QY_OK, "a process could not be ended");
    images_end(&images);
    slot_delete(archive_object);
    slot_delete(reply);
    slot_delete(endpoint);
    return well;
}

bool run_program(struct root *root, const char *const *argv)
{
    struct file archive = boot_archive(root->info->archive_bytes), image;
    struct untyped_state before = {0}, after = {0};
    bool asked = untyped_info(root->untyped, &before) == QY_OK;

    slots_begin(root->next_slot, root->info->node_slots - root->next_slot);
    if (archive_find(archive, argv[0], &image) != QY_OK) {
        print("run: there is no program \"%s\" in the boot archive\n", argv[0]);
        return false;
    }
    bool well = run_process(root, argv, image, archive);
    asked = asked && untyped_info(root->untyped, &after) == QY_OK;
    bool same = asked && after.free_bytes == before.free_bytes && after.objects == before.objects;
    print("run: free in the untyped: %llu bytes before, %llu after: %s\n",
          (unsigned long long)before.free_bytes, (unsigned long long)after.free_bytes,
          same ? "conserved" : "NOT THE SAME");
    root_check(root, same, "a program's memory has not come back");
    return well;
}

void run_words(struct root *root, char *text)
{
    char *words[WORDS_MAX + 1] = {0};

    if (line_words(text, words, WORDS_MAX) == 0)
        print("   run NAME: a program of the boot archive\n");
    else
        (void)run_program(root, (const char *const *)words);
}
