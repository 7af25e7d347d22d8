/*
 * Second part of the demonstration: a child thread touches an address where nothing is mapped, the
 * fault arrives here as a message, a page is mapped there, and the child goes on as if nothing had
 * happened. Everything is made out of a child untyped, the budget, and one revoke takes all of it
 * back.
 *
 *     child                     kernel                       root task
 *     writes to an address  ->  page fault  ->  message  ->  endpoint_receive
 *                                                            retype a frame, map it
 *     the write succeeds    <-  resume      <-  reply    <-  reply_send(RESUME)
 *     reads it back, endpoint_send  ------------------->     endpoint_receive
 */
#include "root.h"

/* An odd number of pages on purpose: an untyped need not be a power of two. */
#define BUDGET_PAGES 61u
#define STACK_PAGE (ROOT_CHILD_ADDRESS + 0x10000)
#define TOUCHED (ROOT_CHILD_ADDRESS + 0x200000 + 0x123 * 8)
#define VALUE 0x0123456789abcdefull
#define LABEL_REPORT 1u

/* What the child is told. It stays unchanged while the child runs. */
struct task {
    uint64_t address, value;
    qy_handle_t endpoint;
};

static void child_main(void *argument)
{
    const struct task *task = argument;
    volatile uint64_t *word = (volatile uint64_t *)task->address;

    *word = task->value;
    uint64_t read = *word;
    /* If nobody hears it, the root task will miss the report and say so. */
    if (endpoint_send(task->endpoint, LABEL_REPORT, read, task->address, 0) != QY_OK)
        thread_exit(1);
    thread_exit(0);
}

/* Nothing is printed between two readings of the clock: the console takes longer than what is
 * measured. */
static bool start_child(struct root *root, const struct child *child, const struct task *task)
{
    unsigned cpu = root->info->cpus > 1;
    struct message message = {0};
    struct fault fault;

    uint64_t start = clock_ticks();
    enum qy_error started = child_start(child, child_main, (void *)(uintptr_t)task, cpu);
    enum qy_error received =
        started == QY_OK ? endpoint_receive(child->endpoint, child->reply, &message) : started;
    root_cost(root, "start a thread, receive its fault", clock_ticks() - start);
    root_said(started, "start the child on CPU %u; it writes to %R", cpu, (uint64_t)TOUCHED);
    if (!root_check(root, started == QY_OK, "the child could not be started") ||
        !root_check(root, received == QY_OK, "no fault message arrived") ||
        !root_check(root, fault_from(&message, &fault), "the message was not a fault"))
        return false;
    print("   fault message: %s of %R\n      by the instruction at %R: %s\n",
          fault_access_name(fault.access), fault.address, fault.instruction,
          fault_mark_name(fault.mark));
    return root_check(root,
                      fault.address == TOUCHED && fault.access == QY_ACCESS_WRITE &&
                          fault.mark == QY_FOUND_NOTHING,
                      "the fault message does not say what the child did");
}

/* Answer the fault with a zeroed page where the child touched, and hear its report. */
static bool serve_fault(struct root *root, const struct child *child, struct message *report)
{
    const uint64_t page = TOUCHED & ~(PAGE_BYTES - 1);
    qy_handle_t frame;
    enum qy_error replied = QY_DEAD, received = QY_DEAD;

    uint64_t start = clock_ticks();
    enum qy_error mapped = root_make(root, child->budget, QY_OBJ_FRAME, 1, &frame);
    if (mapped == QY_OK)
        mapped =
            root_map(root, child->budget, frame, page, QY_MAP_READ | QY_MAP_WRITE, false, NULL);
    if (mapped == QY_OK)
        replied = reply_send(child->reply, QY_FAULT_RESUME, 0, 0, 0);
    if (replied == QY_OK)
        received = endpoint_receive(child->endpoint, child->reply, report);
    root_cost(root, "map a page for it, resume, receive its report", clock_ticks() - start);
    root_said(mapped, "retype a frame, map it at %R", page);
    root_said(replied, "reply to the fault: resume");
    return root_check(root, mapped == QY_OK && replied == QY_OK, "the fault could not be served") &&
           root_check(root, received == QY_OK && report->label == LABEL_REPORT,
                      "the child did not report");
}

static void play(struct root *root, const struct child *child)
{
    const struct task task = {TOUCHED, VALUE, child->endpoint};
    struct message report = {0};

    if (!start_child(root, child, &task) || !serve_fault(root, child, &report))
        return;
    bool right = report.word[0] == VALUE;
    print("   message from the child: it wrote %R\n      and read back   %R\n", (uint64_t)VALUE,
          report.word[0]);
    root_check(root, right, "the child did not read what it wrote");
    bool dead = child_wait_dead(child);
    print("   %-60s  %s\n", "the child ends", dead ? "ok" : "NO");
    root_check(root, dead, "the child did not end");
}

/* Nothing that was made of the budget can be reached: not by its handle, not at its addresses. */
static bool all_gone(const struct child *child)
{
    struct thread_status status;
    struct space_region region;
    uint64_t at = ROOT_CHILD_ADDRESS;

    while (space_query(QY_SLOT_SPACE, at, &region) == QY_OK &&
           region.start < TOUCHED + PAGE_BYTES) {
        if (QY_QUERY_BACKING(region.flags) != QY_BACKED_REVOKED)
            return false;
        at = region.end;
    }
    return thread_info(child->thread, &status) == QY_INVALID_HANDLE;
}

/* Revoke, and see that the budget is one free whole and the untyped what it was. */
static void give_back(struct root *root, qy_handle_t budget, const struct child *child,
                      const struct untyped_state *before)
{
    struct untyped_state now;

    print("\n4. Everything given back\n");
    if (untyped_info(budget, &now) == QY_OK)
        print("   the budget holds %llu objects; %S of its %S are free\n",
              (unsigned long long)now.objects, now.free_bytes, now.total_bytes);
    uint64_t start = clock_ticks();
    enum qy_error error = cap_revoke(budget);
    root_cost(root, "revoke the budget, with all in it", clock_ticks() - start);
    root_said(error, "revoke the budget: whatever was made of it is destroyed");
    root_check(root, error == QY_OK, "the budget could not be revoked");
    bool gone = all_gone(child);
    print("   %-60s  %s\n", "its handles name nothing, its pages are mapped nowhere",
          gone ? "ok" : "NO");
    root_check(root, gone, "something outlived the revoke");
    error = untyped_info(budget, &now);
    bool whole = error == QY_OK && now.free_bytes == now.total_bytes && now.objects == 0;
    print("   %-60s  %s\n", "the budget is one free whole", whole ? "ok" : "NO");
    root_check(root, whole, "the revoked budget is not whole");
    start = clock_ticks();
    error = cap_delete(budget);
    root_cost(root, "delete the budget", clock_ticks() - start);
    root_said(error, "delete the budget");
    root_check(root, error == QY_OK, "the budget could not be deleted");
    root_conserved(root, before, "memory was not conserved");
}

void show_handler(struct root *root)
{
    uint32_t mark = root_mark(root);
    struct untyped_state before;
    struct child child = {0};
    qy_handle_t budget;

    print("\n3. A page fault, handled by a program\n");
    if (!root_check(root, untyped_info(root->untyped, &before) == QY_OK,
                    "the untyped cannot be asked"))
        return;
    uint64_t start = clock_ticks();
    enum qy_error error = root_make(root, root->untyped, QY_OBJ_UNTYPED, BUDGET_PAGES, &budget);
    root_cost(root, "retype a budget of 61 pages", clock_ticks() - start);
    root_said(error, "retype a child untyped of %u pages: the budget", BUDGET_PAGES);
    if (!root_check(root, error == QY_OK, "no child untyped could be made"))
        return;
    error = child_make(root, budget, STACK_PAGE, &child);
    root_said(error, "out of it: endpoint, reply, thread, stack, page tables");
    if (root_check(root, error == QY_OK, "the child could not be made"))
        play(root, &child);
    give_back(root, budget, &child, &before);
    root_release(root, mark);
}
