/*
 * The tests of memory objects: what they stand on. See memory.h.
 */
#include "memory.h"
#include <lib/format.h>
#include <lib/string.h>

#define BUDGET_PAGES 600u
#define OBJECT_PAGES 64u
#define STACK_PAGE (ROOT_CHILD_ADDRESS + 0x10000)
#define PATIENCE 100000u

void memory_expect(struct memory_test *test, bool ok, const char *format, ...)
{
    char what[120];
    va_list arguments;

    va_start(arguments, format);
    (void)format_to_v(what, sizeof(what), format, arguments);
    va_end(arguments);
    test->done++;
    test->held += ok;
    print("memory: %s %02u %s\n", ok ? "ok" : "NOT OK", test->done, what);
    if (!ok)
        root_check(test->root, false, "a memory object, or a pager, did not do as expected");
}

static void child_main(void *argument)
{
    const struct job *job = argument;
    const uint64_t *x = job->argument;
    struct call_result r = {.error = QY_OK};
    volatile unsigned char *byte = (volatile unsigned char *)x[0];

    if (job->number != MEMORY_TOUCH)
        r = qy_call(job->number, x[0], x[1], x[2], x[3], x[4], x[5]);
    else if (job->write)
        *byte = (unsigned char)x[1];
    else
        r.error = (enum qy_error) * byte;
    thread_exit(endpoint_send(job->ear, 0, r.error, r.value[1], 0));
}

bool memory_start(struct memory_test *test, struct child *child, struct job *job)
{
    enum qy_error error = QY_BUSY;
    job->ear = test->child.endpoint;
    unsigned cpu = test->root->info->cpus > 1 ? test->done % test->root->info->cpus : 0;
    for (unsigned i = 0; error == QY_BUSY && i < PATIENCE; i++) {
        error = child_start(child, child_main, job, cpu);
        if (error == QY_BUSY)
            yield();
    }
    return root_check(test->root, error == QY_OK, "a child could not be started");
}

struct message memory_hear(const struct memory_test *test)
{
    struct message message = {.label = ~0ull};
    enum qy_error error = endpoint_receive(test->child.endpoint, test->child.reply, &message);
    if (error != QY_OK)
        message.label = ~0ull;
    return message;
}

bool memory_is_end(const struct message *message, uint64_t value)
{
    return message->label == 0 && message->word[0] == value;
}

bool memory_is_fault(const struct message *message, uint64_t badge, enum qy_fault_found found,
                     uint64_t page)
{
    struct fault fault;
    return fault_from(message, &fault) && message->badge == badge && fault.mark == found &&
           QY_FAULT_PAGE(message->label) == page;
}

enum qy_error memory_answer(const struct memory_test *test, uint64_t label)
{
    return reply_send(test->child.reply, label, 0, 0, 0);
}

const void *memory_page(unsigned char value)
{
    static unsigned char page[PAGE_BYTES] __attribute__((aligned(4096)));
    for (unsigned i = 0; i < PAGE_BYTES; i++)
        page[i] = value;
    return page;
}

static enum qy_error make(struct memory_test *test)
{
    struct root *root = test->root;
    enum qy_error error =
        root_make(root, root->untyped, QY_OBJ_UNTYPED, BUDGET_PAGES, &test->budget);
    if (error == QY_OK)
        error = child_make(root, test->budget, STACK_PAGE, &test->child);
    if (error == QY_OK)
        error = child_make(root, test->budget, STACK_PAGE + 2 * PAGE_BYTES, &test->other);
    if (error == QY_OK)
        error = thread_configure(test->other.thread, QY_SLOT_SPACE, QY_SLOT_NODE,
                                 test->child.endpoint, 0);
    if (error == QY_OK)
        error = space_bind(QY_SLOT_SPACE, test->budget);
    if (error == QY_OK)
        error = space_handler(QY_SLOT_SPACE, test->child.endpoint, MEMORY_BADGE_SPACE);
    if (error == QY_OK)
        error = root_make(root, test->budget, QY_OBJ_MEMORY, OBJECT_PAGES, &test->object);
    if (error == QY_OK)
        error = memory_pager(test->object, test->child.endpoint, MEMORY_BADGE);
    return error;
}

void memory_run(struct root *root)
{
    static struct memory_test test;
    struct untyped_state before = {0}, now = {0};
    uint32_t mark = root_mark(root);

    print("memory: pages of memory objects, their pagers, and calls that meet them\n");
    test = (struct memory_test){.root = root};
    enum qy_error error = untyped_info(root->untyped, &before);
    if (error == QY_OK)
        error = make(&test);
    if (root_check(root, error == QY_OK, "the objects to test with could not be made")) {
        memory_pointers(&test);
        memory_pagers(&test);
    }
    root_take_back(root, test.budget, "the budget of the tests");
    root_release(root, mark);
    bool same = untyped_info(root->untyped, &now) == QY_OK && now.free_bytes == before.free_bytes;
    root_check(root, same, "memory is missing after the tests of memory objects");
    print("memory: %u checks, %u held\n", test.done, test.held);
}
