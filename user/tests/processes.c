/*
 * Processes at their limits: budgets of every size, images damaged in every field, ends of every kind. Whatever
 * happens, this program's budget is afterwards what it was before, to the byte and the object.
 *
 *     started as "processes exit|fault|forge|stack", or as one of `kills`, it is the other process
 *
 * It prints a line for each part, with counts; a count that is not right ends it with that line's number.
 */
#include <lib/string.h>
#include <user/malloc.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

#define BUDGET_PAGES 512u
#define ELF_HEAD_BYTES 64u
#define PROGRAM_HEADER_BYTES 56u
#define FORGED QY_FAULT_LABEL(QY_ACCESS_WRITE, QY_FOUND_NOTHING)
#define WILD ((volatile uint64_t *)0x123456789000)

static qy_handle_t endpoint, reply;
static struct untyped_state before;

static bool conserved(void)
{
    struct untyped_state now;

    return untyped_info(QY_SLOT_UNTYPED, &now) == QY_OK && now.free_bytes == before.free_bytes &&
           now.objects == before.objects;
}

/*
 * Half a page of stack for each level, which the one below reads, so that no compiler shares it among them; not inlined, so
 * that each touches the stack and none steps over a page.
 */
static __attribute__((noinline)) uint64_t use_stack(unsigned depth, const volatile char *above)
{
    volatile char room[PAGE_BYTES / 2];

    room[0] = above ? above[0] : 1;
    return depth ? use_stack(depth - 1, room) + (uint64_t)room[0] : 1;
}

/* What the other process does when it is killed. */
static const char *const kills[] = {"loop", "orphan", "receive", "wait", "call", "fault", "map"};

static int be_killed(const char *what)
{
    qy_handle_t own = 0;
    struct message message;
    uint64_t word, at;

    if (strcmp(what, "orphan") == 0 && cap_delete(QY_SLOT_SPACE) != QY_OK)
        return 10;
    if (strcmp(what, "receive") == 0 &&
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &own) == QY_OK)
        return endpoint_receive(own, 0, &message) == QY_OK ? 11 : 12;
    if (strcmp(what, "wait") == 0 &&
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_NOTIFICATION, 1, &own) == QY_OK)
        return notification_wait(own, &word) == QY_OK ? 13 : 14;
    if (strcmp(what, "call") == 0) /* nobody hears */
        return endpoint_call(PROGRAM_PARENT, 1, 2, 3, 4, &message) == QY_OK ? 15 : 16;
    for (uint64_t turn = 1;; turn++) {
        yield();
        if (strcmp(what, "map") != 0)
            continue;
        at = 0; /* long calls, one after the other */
        if (space_map_region(QY_SLOT_SPACE, &at, turn << 30, QY_MAP_READ | QY_MAP_WRITE, 0) !=
                QY_OK ||
            space_protect_region(QY_SLOT_SPACE, at + PAGE_BYTES, 1ull << 29, QY_MAP_READ) !=
                QY_OK ||
            space_unmap_region(QY_SLOT_SPACE, at, turn << 30) != QY_OK)
            return 17;
    }
}

/* The other process. */
static int other(const char *what)
{
    struct message answer;

    if (strcmp(what, "exit") == 0)
        return 7;
    if (strcmp(what, "fault") == 0)
        *WILD = 1;
    if (strcmp(what, "forge") ==
        0) /* a fault of its own making: only the kernel's badge makes one */
        return endpoint_call(PROGRAM_PARENT, FORGED, 1, 2, 3, &answer) == QY_OK ? 8 : 9;
    if (strcmp(what, "stack") == 0)
        return (int)(use_stack(1000, NULL) & 1);
    return be_killed(what);
}

static enum qy_error start(const char *what, uint64_t pages, struct process *out)
{
    const char *const argv[] = {"processes", what, NULL};
    const char *why;
    enum qy_error error = process_spawn(argv, pages, endpoint, 5, out, &why);

    return error == QY_OK ? process_start(out, QY_CPU_ANY) : error;
}

static uint64_t guard; /* of the stack of the last one */

/* Start, hear one thing, end it. */
static bool hears(const char *what, struct process_event *event)
{
    struct process process;

    if (start(what, BUDGET_PAGES, &process) != QY_OK)
        return false;
    guard = process.places.stack - PROCESS_STACK_BYTES - PAGE_BYTES;
    return process_wait(endpoint, reply, event) == QY_OK && event->number == 5 &&
           process_destroy(&process) == QY_OK && conserved();
}

static bool ends(void)
{
    struct process_event event;

    if (!hears("exit", &event) || event.news != PROCESS_EXITED || event.code != 7)
        return false;
    if (!hears("fault", &event) || event.news != PROCESS_FAULTED ||
        event.fault.address != (uintptr_t)WILD || event.fault.access != QY_ACCESS_WRITE)
        return false;
    if (!hears("forge", &event) || event.news != PROCESS_SAID || event.message.label != FORGED)
        return false;
    /* Its guard page, directly below the stack. */
    if (!hears("stack", &event) || event.news != PROCESS_FAULTED ||
        event.fault.mark != QY_FOUND_GUARD || (event.fault.address & ~(PAGE_BYTES - 1)) != guard)
        return false;
    print("processes: exit, fault, forged fault, end of the stack: each heard as what it is\n");
    return true;
}

/* Killed at many moments of each; twice, since what has gone may be ended once more. */
static bool killed(void)
{
    struct process process;

    for (unsigned i = 0; i < sizeof(kills) / sizeof(kills[0]); i++)
        for (unsigned turns = 0; turns < 40; turns += 1 + turns / 2) {
            if (start(kills[i], BUDGET_PAGES, &process) != QY_OK)
                return false;
            for (unsigned turn = 0; turn < turns; turn++)
                yield();
            if (process_destroy(&process) != QY_OK || process_destroy(&process) != QY_OK ||
                !conserved()) {
                print("processes: %s: something is left\n", kills[i]);
                return false;
            }
        }
    print("processes: killed while they run, wait, call, fault and map: nothing is left\n");
    return true;
}

/* A budget of every size, up to one that is enough. */
static bool budgets(void)
{
    const char *const argv[] = {"processes", "exit", NULL};
    struct process process;
    unsigned refused = 0;
    const char *why;

    for (uint64_t pages = 1; pages <= BUDGET_PAGES; pages++) {
        enum qy_error error = process_spawn(argv, pages, endpoint, 5, &process, &why);
        if (error == QY_OK) {
            print("processes: %u budgets too small, each refused with nothing left; %llu pages are "
                  "enough\n",
                  refused, (unsigned long long)pages);
            return refused && process_destroy(&process) == QY_OK && conserved();
        }
        if (error != QY_OUT_OF_MEMORY || !why || !conserved())
            return false;
        refused++;
    }
    return false;
}

/* Make a process of an image, and unmake it. *refused counts those that could not be made. */
static bool tries(struct file image, unsigned *refused)
{
    const struct process_plan plan = {.image = image,
                                      .untyped = QY_SLOT_UNTYPED,
                                      .budget_pages = BUDGET_PAGES,
                                      .endpoint = endpoint,
                                      .number = 5};
    struct process process;
    const char *why;
    enum qy_error error = process_create(&plan, &process, &why);

    if (error == QY_OK)
        return process_destroy(&process) == QY_OK && conserved();
    (*refused)++;
    return why && conserved();
}

/* Each byte of the headers set to its extremes, and the file cut at many places. */
static bool images(void)
{
    struct file file;
    unsigned refused = 0, tried = 0;

    if (archive_find(boot_archive(program->archive_bytes), "hello", &file) != QY_OK)
        return false;
    unsigned char *copy = malloc(file.bytes);
    if (!copy)
        return false;
    memcpy(copy, file.at, file.bytes);
    if (untyped_info(QY_SLOT_UNTYPED, &before) != QY_OK)
        return false;
    for (unsigned i = 0; i < ELF_HEAD_BYTES + 3 * PROGRAM_HEADER_BYTES; i++)
        for (unsigned k = 0; k < 2; k++, tried++) {
            copy[i] = k ? 0xff : (unsigned char)(file.at[i] ^ 1);
            if (!tries((struct file){copy, file.bytes}, &refused))
                return false;
            copy[i] = file.at[i];
        }
    for (size_t bytes = 0; bytes < file.bytes; bytes += bytes < 256 ? 16 : 1009, tried++)
        if (!tries((struct file){copy, bytes}, &refused))
            return false;
    free(copy);
    print("processes: %u damaged images, %u refused, nothing left of any\n", tried, refused);
    return refused > tried / 4;
}

/* The first process has this program touch what it will always need: its loader's buffers, its stack. */
static bool begin(void)
{
    struct process_event event;

    (void)hears("exit", &event);
    return untyped_info(QY_SLOT_UNTYPED, &before) == QY_OK;
}

int main(int argc, char *argv[])
{
    if (argc > 1)
        return other(argv[1]);
    if (slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &endpoint) != QY_OK ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &reply) != QY_OK || !begin())
        return 1;
    return !ends() ? 2 : !killed() ? 3 : !budgets() ? 4 : !images() ? 5 : 0;
}
