/*
 * What a loader does for a program: relocations, what is read-only after them, thread-local storage, arguments and
 * environment; images at fixed addresses and movable ones; what processes share of an image, by count of pages; libraries.
 *
 *     started as "loads self|relro|text|stack|hold" it is the other process
 *
 * It prints a line for each part; a part that is not right ends it with that part's number.
 */
#include <lib/string.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>
#include <user/thread.h>

#define BUDGET_PAGES 128u
#define IMAGES_PAGES 128u
#define THREADS 4u
#define TURNS 200u
#define TOGETHER 4u

static qy_handle_t endpoint, reply;
static bool fixed; /* pages are counted: how many tables there are depends on where things lie */

/* ---- what the other process looks at ---- */

static int plus(int number)
{
    return number + 1;
}

static int minus(int number)
{
    return number - 1;
}

static int (*const functions[])(int) = {plus, minus}; /* relocated, then read-only */
static const char *names[] = {"zero", "one", "two"};  /* relocated, writable */
static int *pointer_to_zeroes;
static int zeroes[5000];
static _Thread_local int number = 41;
static _Thread_local char text[40] = "each its own";
static _Thread_local uint64_t many[64] __attribute__((aligned(64)));

static bool is_relocated(void)
{
    int sum = 0;

    for (unsigned i = 0; i < sizeof(zeroes) / sizeof(zeroes[0]); i++)
        sum |= zeroes[i];
    names[0] = names[1];
    pointer_to_zeroes = zeroes + 2;
    *pointer_to_zeroes = 3;
    volatile unsigned first = 0;
    return functions[first](5) == 6 && functions[first + 1](5) == 4 &&
           strcmp(names[0], "one") == 0 && strcmp(names[2], "two") == 0 && sum == 0 &&
           zeroes[2] == 3;
}

/* What this thread finds is its own, as the image has it, and stays so while others run. */
static uint64_t is_thread_local(void *argument)
{
    uint64_t mine = (uint64_t)(uintptr_t)argument;

    if (number != 41 || strcmp(text, "each its own") != 0 || (uintptr_t)many % 64)
        return 1;
    for (unsigned i = 0; i < 64; i++)
        if (many[i])
            return 2;
    number = (int)mine;
    for (unsigned i = 0; i < TURNS; i++) {
        many[i % 64] = mine + i;
        yield();
        if (number != (int)mine || many[i % 64] != mine + i)
            return 3;
    }
    return 0;
}

static bool threads_have_their_own(void)
{
    struct thread threads[THREADS];
    bool right = is_thread_local((void *)7) == 0;

    for (unsigned i = 0; i < THREADS; i++)
        if (thread_create(&threads[i], is_thread_local, (void *)(uintptr_t)(i + 100), QY_CPU_ANY, 0,
                          0) != QY_OK)
            return false;
    for (unsigned i = 0; i < THREADS; i++) {
        uint64_t result = 9;
        right &= thread_join(&threads[i], &result) == QY_OK && result == 0;
    }
    return right && number == 7;
}

static bool has_its_words(int argc, char *argv[])
{
    const char *colour = program_variable("COLOUR");

    return argc == 2 && argv[2] == NULL && colour && strcmp(colour, "dark blue") == 0 &&
           !program_variable("COLOR") && !program_variable("COL") && program_variable("EMPTY") &&
           !*program_variable("EMPTY");
}

static int other(int argc, char *argv[])
{
    unsigned char code[16] = {0};

    if (strcmp(argv[1], "self") == 0)
        return !is_relocated()              ? 1
               : !threads_have_their_own()  ? 2
               : !has_its_words(argc, argv) ? 3
                                            : 4;
    if (strcmp(argv[1], "relro") == 0)
        *(volatile uintptr_t *)(uintptr_t)functions = 0;
    if (strcmp(argv[1], "text") == 0)
        *(volatile unsigned char *)(uintptr_t)thread_create = 0;
    if (strcmp(argv[1], "stack") == 0)
        ((void (*)(void))(uintptr_t)code)();
    for (;;)
        yield();
}

/* ---- the test ---- */

static enum qy_error create(const char *name, const char *what, struct images *images,
                            struct process *out, const char **why)
{
    const char *const argv[] = {name, what, NULL};
    static const char *const environment[] = {"COLOUR=dark blue", "EMPTY=", NULL};
    struct process_plan plan = {.argv = argv,
                                .environment = environment,
                                .libraries = boot_archive(program->archive_bytes),
                                .images = images,
                                .untyped = QY_SLOT_UNTYPED,
                                .budget_pages = BUDGET_PAGES,
                                .endpoint = endpoint,
                                .number = 5,
                                .console = QY_SLOT_CONSOLE,
                                .cpus = program->cpus,
                                .clock_hz = program->clock_hz,
                                .fixed = fixed || program->fixed};

    *why = "it is not in the boot archive";
    enum qy_error error = archive_find(plan.libraries, name, &plan.image);
    return error == QY_OK ? process_create(&plan, out, why) : error;
}

/* Start it, hear one thing, end it. */
static bool hears(const char *name, const char *what, struct process_event *event)
{
    struct process process;
    const char *why;

    if (create(name, what, NULL, &process, &why) != QY_OK) {
        print("loads: %s: %s\n", name, why);
        return false;
    }
    return process_start(&process, QY_CPU_ANY) == QY_OK &&
           process_wait(endpoint, reply, event) == QY_OK && process_destroy(&process) == QY_OK;
}

static bool loads_both_kinds(void)
{
    struct process_event event;

    for (unsigned kind = 0; kind < 2; kind++)
        if (!hears(kind ? "loads_fixed" : "loads", "self", &event) ||
            event.news != PROCESS_EXITED || event.code != 4) {
            print("loads: %s: code %d\n", kind ? "fixed" : "movable", event.code);
            return false;
        }
    print("loads: movable and at fixed addresses: relocations, thread-local storage of %u threads, "
          "arguments, environment\n",
          THREADS);
    return true;
}

static bool protects(void)
{
    static const struct {
        const char *what;
        enum qy_access access;
    } rows[] = {{"relro", QY_ACCESS_WRITE}, {"text", QY_ACCESS_WRITE}, {"stack", QY_ACCESS_EXEC}};
    struct process_event event;

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (!hears("loads", rows[i].what, &event) || event.news != PROCESS_FAULTED ||
            event.fault.access != rows[i].access || event.fault.mark != QY_FOUND_PROTECTED)
            return false;
    print("loads: a write to what is relocated, a write to text, a call of the stack: each a "
          "fault\n");
    return true;
}

static uint64_t used_pages(qy_handle_t untyped)
{
    struct untyped_state state;

    return untyped_info(untyped, &state) == QY_OK
               ? (state.total_bytes - state.free_bytes) / PAGE_BYTES
               : 0;
}

/* Several processes of a program at once; *images_pages and *own_pages: what they take in all, and one alone. */
static bool together(const char *name, struct images *images, uint64_t *images_pages,
                     uint64_t *own_pages)
{
    struct process process[TOGETHER];
    struct process_event event;
    const char *why;
    uint64_t first = 0;
    unsigned right = 0;

    for (unsigned i = 0; i < TOGETHER; i++) {
        if (create(name, "hold", images, &process[i], &why) != QY_OK) {
            print("loads: %s: %s\n", name, why);
            return false;
        }
        *own_pages = used_pages(process[i].budget);
        *images_pages = images ? used_pages(images->untyped) : 0;
        first = i ? first : *images_pages;
    }
    for (unsigned i = 0; i < TOGETHER; i++)
        if (process_start(&process[i], QY_CPU_ANY) != QY_OK)
            return false;
    if (strcmp(name, "counts") == 0)
        for (unsigned i = 0; i < TOGETHER; i++)
            right += process_wait(endpoint, reply, &event) == QY_OK &&
                     event.news == PROCESS_EXITED && event.code == 42;
    for (unsigned i = 0; i < TOGETHER; i++)
        if (process_destroy(&process[i]) != QY_OK)
            return false;
    return first == *images_pages && (right == TOGETHER || strcmp(name, "counts") != 0);
}

/* Pages of a file's segments that may not be written. */
static uint64_t constant_pages(const char *name)
{
    struct qy_elf elf;
    struct file file;
    uint64_t pages = 0;
    const char *why;

    if (archive_find(boot_archive(program->archive_bytes), name, &file) != QY_OK ||
        image_check(file, &elf, &why) != QY_OK)
        return 0;
    for (unsigned i = 0; i < elf.segments; i++) {
        struct qy_elf_segment segment = qy_elf_segment(elf.file, i);
        pages += segment.flags & QY_MAP_WRITE ? 0 : image_pages(&segment);
    }
    return pages;
}

static bool shares(const char *name, uint64_t constants)
{
    struct images images = {0};
    uint64_t shared_own = 0, alone_own = 0, shared = 0, none;

    if (slot_make(QY_SLOT_UNTYPED, QY_OBJ_UNTYPED, IMAGES_PAGES, &images.untyped) != QY_OK)
        return false;
    uint64_t empty = used_pages(images.untyped);
    fixed = true;
    bool right =
        together(name, &images, &shared, &shared_own) && together(name, NULL, &none, &alone_own);
    images_end(&images);
    slot_delete(images.untyped);
    print("loads: %u processes of %s: %llu pages of text and constants, in memory once (%llu pages "
          "with "
          "their tables); each has %llu pages of its own, not %llu\n",
          TOGETHER, name, (unsigned long long)constants, (unsigned long long)(shared - empty),
          (unsigned long long)shared_own, (unsigned long long)alone_own);
    return right && constants && shared - empty >= constants && alone_own >= shared_own + constants;
}

static bool refuses(void)
{
    const char *const argv[] = {"counts", NULL};
    struct process_plan plan = {.argv = argv,
                                .untyped = QY_SLOT_UNTYPED,
                                .budget_pages = BUDGET_PAGES,
                                .endpoint = endpoint,
                                .number = 5};
    struct process process;
    const char *why = NULL;

    if (archive_find(boot_archive(program->archive_bytes), "counts", &plan.image) != QY_OK ||
        process_create(&plan, &process, &why) != QY_NOT_FOUND || !why)
        return false;
    print("loads: a program without its library: %s\n", why);
    if (archive_find(boot_archive(program->archive_bytes), "libcount.so", &plan.image) != QY_OK)
        return false;
    return process_create(&plan, &process, &why) == QY_CORRUPT;
}

int main(int argc, char *argv[])
{
    if (argc > 1)
        return other(argc, argv);
    if (slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &endpoint) != QY_OK ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &reply) != QY_OK)
        return 1;
    return !loads_both_kinds()                                                           ? 2
           : !protects()                                                                 ? 3
           : !shares("loads", constant_pages("loads"))                                   ? 4
           : !shares("counts", constant_pages("counts") + constant_pages("libcount.so")) ? 5
           : !refuses()                                                                  ? 6
                                                                                         : 0;
}
