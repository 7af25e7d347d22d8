/*
 * Fourth part of the demonstration: copy on write. Memory of the root task appears in a second address space, whose
 * thread runs the same program there; nothing is copied until one of them writes. What the clone still shares is
 * charged to the root task's budget: it is settled into the clone's own, or goes when that budget is revoked.
 *
 *     page     root task     clone
 *     first       11           31     the child wrote: its copy, paid by its budget
 *     second      22           12     the root task wrote: the old page is the child's, but not paid by it
 *     third       13           13     shared; settled: the child's own copy
 */
#include "root.h"

#define PAGES 3u
#define BUDGET_PAGES 64u
#define CLONE_PAGES 128u
#define STACK_TOP (ROOT_CHILD_ADDRESS + 0x100000)
#define STACK_MOVES 7u /* pages that the guard below the stack may yield */
#define RW (QY_MAP_READ | QY_MAP_WRITE)
#define LABEL_REPORT 1u

/* The child sees it too: the program's own frames are mapped in both spaces. */
struct family {
    struct root *root;
    qy_handle_t budget;
    uint64_t pages;
    struct child child; /* its budget pays for all of the second space */
    unsigned runs;
};

static volatile uint64_t *page(const struct family *family, unsigned i)
{
    return (volatile uint64_t *)(family->pages + i * PAGE_BYTES);
}

/* ---- what the child does ---- */

static void report(const struct family *family)
{
    if (endpoint_send(family->child.endpoint, LABEL_REPORT, *page(family, 0), *page(family, 1),
                      *page(family, 2)) != QY_OK)
        thread_exit(1);
}

static void child_writes(void *argument)
{
    const struct family *family = argument;

    report(family);
    *page(family, 0) = 31;
    report(family);
    thread_exit(0);
}

static uint64_t call_oneself(unsigned times)
{
    volatile uint64_t room[64];

    room[times % 64] = times;
    return times ? call_oneself(times - 1) + room[times % 64] : 0;
}

static void child_recurses(void *argument)
{
    const struct family *family = argument;

    if (call_oneself(1000))
        report(family);
    thread_exit(0);
}

static void child_reads(void *argument)
{
    const struct family *family = argument;
    uint64_t first = *page(family, 0), third = *page(family, 2);

    if (endpoint_send(family->child.endpoint, LABEL_REPORT, first, 0, third) == QY_OK)
        (void)*page(family, 1);
    report(family);
    thread_exit(0);
}

/* ---- what the root task does ---- */

/* The child's thread runs, or a new one when it has run before. */
static enum qy_error run(struct family *family, void (*entry)(void *))
{
    struct root *root = family->root;
    struct child *child = &family->child;
    enum qy_error error = QY_OK;

    if (family->runs++) {
        error = root_make(root, child->budget, QY_OBJ_THREAD, 1, &child->thread);
        if (error == QY_OK)
            error = thread_configure(child->thread, child->space, QY_SLOT_NODE, child->endpoint, 0);
    }
    return error == QY_OK ? child_start(child, entry, family, root->info->cpus > 1) : error;
}

static bool hear(const struct family *family, struct message *message)
{
    return endpoint_receive(family->child.endpoint, family->child.reply, message) == QY_OK;
}

/* A fault of the child is printed, must be this one, and is the child's end. */
static bool faults(const struct family *family, enum qy_access access, uint64_t at,
                   enum qy_fault_found found)
{
    struct message message;
    struct fault fault = {0};
    bool right = hear(family, &message) && fault_from(&message, &fault) && fault.access == access &&
                 fault.mark == found && (fault.address & ~(PAGE_BYTES - 1)) == at;

    print("      fault message: %s of %R: %s\n", fault_access_name(fault.access), fault.address,
          fault_mark_name(fault.mark));
    right &= cap_delete(family->child.thread) == QY_OK;
    return root_check(family->root, right, "a fault of the clone's thread is not as expected");
}

static enum qy_error make_pages(struct family *family)
{
    struct root *root = family->root;
    enum qy_error error =
        root_make(root, root->untyped, QY_OBJ_UNTYPED, BUDGET_PAGES, &family->budget);

    if (error == QY_OK)
        error = space_bind(QY_SLOT_SPACE, family->budget);
    if (error == QY_OK)
        error = space_map_region(QY_SLOT_SPACE, &family->pages, PAGES * PAGE_BYTES, RW, 0);
    for (unsigned i = 0; error == QY_OK && i < PAGES; i++)
        *page(family, i) = 11 + i;
    return error;
}

/* A thread in a space with a budget of its own. */
static enum qy_error make_space(struct family *family)
{
    struct root *root = family->root;
    qy_handle_t budget;
    enum qy_error error = root_make(root, root->untyped, QY_OBJ_UNTYPED, CLONE_PAGES, &budget);

    return error == QY_OK ? child_make_apart(root, budget, STACK_TOP, STACK_MOVES, &family->child)
                          : error;
}

/* The pages, at the same addresses. */
static bool clone(struct family *family)
{
    struct space_state state = {0};
    uint64_t at = family->pages;
    uint64_t start = clock_ticks();
    enum qy_error error =
        space_clone(family->child.space, QY_SLOT_SPACE, &at, at + PAGES * PAGE_BYTES);

    root_cost(family->root, "clone three pages", clock_ticks() - start);
    root_said(error, "clone the pages into the second space");
    if (error == QY_OK)
        error = space_info(family->child.space, &state);
    print("      it has %llu pages, the program's included; of its own: %llu\n",
          (unsigned long long)state.resident, (unsigned long long)state.private_pages);
    return root_check(family->root, error == QY_OK && state.private_pages == 0,
                      "the pages could not be cloned");
}

static bool sees(const struct family *family, const char *who, const uint64_t *words,
                 uint64_t first, uint64_t second, uint64_t third)
{
    print("      %-14s sees %llu, %llu, %llu\n", who, (unsigned long long)words[0],
          (unsigned long long)words[1], (unsigned long long)words[2]);
    return root_check(family->root, words[0] == first && words[1] == second && words[2] == third,
                      "a copy on write shows what another wrote");
}

static bool both_write(struct family *family)
{
    struct message message = {0};
    uint64_t start = clock_ticks();

    *page(family, 1) = 22;
    root_cost(family->root, "write to a shared page: a copy", clock_ticks() - start);
    print("   the root task writes 22 to the second page, the child 31 to the first\n");
    if (!root_check(family->root, run(family, child_writes) == QY_OK && hear(family, &message),
                    "the clone's thread does not report") ||
        !sees(family, "first the child", message.word, 11, 12, 13) || !hear(family, &message) ||
        !sees(family, "then the child", message.word, 31, 12, 13))
        return false;
    const uint64_t here[] = {*page(family, 0), *page(family, 1), *page(family, 2)};
    return sees(family, "the root task", here, 11, 22, 13) &&
           root_check(family->root, child_wait_dead(&family->child),
                      "the clone's thread does not end");
}

static bool stack_grows(struct family *family)
{
    print("   the child calls itself, on a stack of one page with a guard that moves %u times\n",
          STACK_MOVES);
    return root_check(family->root, run(family, child_recurses) == QY_OK,
                      "the clone's thread does not start") &&
           faults(family, QY_ACCESS_WRITE, STACK_TOP - (STACK_MOVES + 2) * PAGE_BYTES,
                  QY_FOUND_GUARD);
}

static bool settle_and_revoke(struct family *family)
{
    struct message message = {0};
    uint64_t at = family->pages + 2 * PAGE_BYTES;

    enum qy_error error = space_settle(family->child.space, &at);
    root_said(error, "settle from the third page on: it is the clone's now");
    if (!root_check(family->root, error == QY_OK, "the clone could not be settled") ||
        !root_take_back(family->root, family->budget, "the root task's budget") ||
        !root_check(family->root, run(family, child_reads) == QY_OK && hear(family, &message),
                    "the clone's thread does not report"))
        return false;
    print("   the child reads the first page: %llu, the third: %llu, the second:\n",
          (unsigned long long)message.word[0], (unsigned long long)message.word[2]);
    return root_check(family->root, message.word[0] == 31 && message.word[2] == 13,
                      "what the clone has of its own went with another's budget") &&
           faults(family, QY_ACCESS_READ, family->pages + PAGE_BYTES, QY_FOUND_REVOKED);
}

void show_clone(struct root *root)
{
    static struct family family;
    uint32_t mark = root_mark(root);
    struct untyped_state before;

    print("\n6. Copy on write\n");
    family = (struct family){.root = root};
    enum qy_error error = untyped_info(root->untyped, &before);
    if (error == QY_OK)
        error = make_pages(&family);
    root_said(error, "three pages hold 11, 12 and 13; a budget pays for them");
    if (error == QY_OK)
        error = make_space(&family);
    root_said(error, "a second address space, with this program, to be paid apart");
    if (!root_check(root, error == QY_OK, "the second space could not be made"))
        return;
    bool done =
        clone(&family) && both_write(&family) && stack_grows(&family) && settle_and_revoke(&family);
    root_check(root, done && root_take_back(root, family.child.budget, "the clone's budget"),
               "the demonstration of copy on write did not come to its end");
    root_release(root, mark);
    root_conserved(root, &before, "the two spaces did not give everything back");
}
