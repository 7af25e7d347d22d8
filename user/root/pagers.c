/*
 * Pagers that misbehave: each is handled, whoever waits for one goes on or ends, and nothing is lost.
 *
 * The root task plays the pager. Where a pager's thread itself has to fault or to go, the second child does.
 */
#include "memory.h"

#define PAGE 7u
#define ADDRESS(page) (MEMORY_AT + (page)*PAGE_BYTES)
#define VALUE 0x5au

static bool touch(struct memory_test *test, struct child *child, struct job *job, uint64_t address)
{
    *job = (struct job){.number = MEMORY_TOUCH, .argument = {address}};
    return memory_start(test, child, job);
}

/* The first child touches a page, and the pager hears of it. */
static bool ask(struct memory_test *test, uint64_t page)
{
    if (!touch(test, &test->child, &test->job, ADDRESS(page)))
        return false;
    struct message message = memory_hear(test);
    return memory_is_fault(&message, MEMORY_BADGE, QY_FOUND_PAGER, page);
}

static bool supply(struct memory_test *test, uint64_t page, uint64_t pages, unsigned char value)
{
    const void *from = memory_page(value);
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t one = 1;
        if (memory_supply(test->object, page + i, &one, from) != QY_OK || one != 1)
            return false;
    }
    return true;
}

static bool resume(struct memory_test *test)
{
    return memory_answer(test, QY_FAULT_RESUME) == QY_OK;
}

/* A child's next word is its end, with what it read. */
static bool ends(struct memory_test *test, uint64_t value)
{
    struct message message = memory_hear(test);
    return memory_is_end(&message, value);
}

static bool says(struct memory_test *test, enum qy_fault_found found, uint64_t badge, uint64_t page)
{
    struct message message = memory_hear(test);
    return memory_is_fault(&message, badge, found, page);
}

static void answers(struct memory_test *test)
{
    bool ok = ask(test, PAGE) && supply(test, PAGE, 1, VALUE) && resume(test) && ends(test, VALUE);
    memory_expect(test, ok, "a pager that supplies a page: who waits reads it");
    ok = ask(test, PAGE + 1) && supply(test, PAGE + 1, 1, VALUE) && resume(test) &&
         ends(test, VALUE) && memory_answer(test, QY_FAULT_RESUME) == QY_NOT_FOUND;
    memory_expect(test, ok, "a pager that replies twice: the second finds nobody");
    ok = ask(test, PAGE + 2) && resume(test) &&
         says(test, QY_FOUND_PAGER, MEMORY_BADGE, PAGE + 2) && supply(test, PAGE + 3, 1, VALUE) &&
         resume(test) && says(test, QY_FOUND_PAGER, MEMORY_BADGE, PAGE + 2) &&
         supply(test, PAGE + 2, 1, VALUE) && resume(test) && ends(test, VALUE);
    memory_expect(test, ok,
                  "a pager that resumes with nothing, then with another page: asked again");
    ok = ask(test, PAGE + 4) && supply(test, PAGE + 4, 1, VALUE) && supply(test, PAGE + 4, 1, 1) &&
         resume(test) && ends(test, VALUE);
    memory_expect(test, ok, "a pager that supplies a page that is there: it stays as it was");
    ok = ask(test, PAGE + 5) && supply(test, PAGE + 5, 20, VALUE) && resume(test) &&
         ends(test, VALUE) && touch(test, &test->child, &test->job, ADDRESS(PAGE + 20)) &&
         ends(test, VALUE);
    memory_expect(test, ok, "a pager that supplies more than asked: nobody asks for the rest");
    uint64_t one = 1;
    ok = memory_supply(test->object, 64, &one, NULL) == QY_NOT_MAPPED;
    memory_expect(test, ok, "a pager that supplies behind the end is refused");
    ok = memory_discard(test->object, 0, 64) == QY_OK;
    root_check(test->root, ok, "pages could not be discarded");
}

static void is_late(struct memory_test *test)
{
    bool ok = ask(test, PAGE) && memory_answer(test, QY_FAULT_KILL) == QY_OK &&
              child_wait_dead(&test->child);
    memory_expect(test, ok, "a pager that says kill: who waits is dead");
    ok = ask(test, PAGE) && thread_suspend(test->child.thread) == QY_OK &&
         supply(test, PAGE, 1, VALUE) && resume(test) &&
         thread_resume(test->child.thread) == QY_OK && ends(test, VALUE);
    memory_expect(test, ok, "a reply to a thread that is suspended meanwhile: it goes on later");
    ok = memory_discard(test->object, 0, 64) == QY_OK && ask(test, PAGE) &&
         memory_resize(test->object, PAGE) == QY_OK && resume(test) &&
         says(test, QY_FOUND_BEHIND_END, 0, PAGE) && memory_resize(test->object, 64) == QY_OK &&
         resume(test) && says(test, QY_FOUND_PAGER, MEMORY_BADGE, PAGE) &&
         supply(test, PAGE, 1, VALUE) && resume(test) && ends(test, VALUE);
    memory_expect(test, ok, "an object cut off before the reply: a fault behind its end");
    ok = memory_discard(test->object, 0, 64) == QY_OK;
    root_check(test->root, ok, "pages could not be discarded");
}

/* The thread is deleted while it waits: the reply comes too late. A new one takes its place. */
static void who_waits_goes(struct memory_test *test)
{
    struct root *root = test->root;
    uint32_t mark = root_mark(root);
    struct child gone;
    struct job job;
    bool ok = root_make(root, test->budget, QY_OBJ_THREAD, 1, &gone.thread) == QY_OK;
    gone.stack_top = test->other.stack_top;
    ok = ok &&
         thread_configure(gone.thread, QY_SLOT_SPACE, QY_SLOT_NODE, test->child.endpoint, 0) ==
             QY_OK &&
         touch(test, &gone, &job, ADDRESS(PAGE)) &&
         says(test, QY_FOUND_PAGER, MEMORY_BADGE, PAGE) && cap_delete(gone.thread) == QY_OK &&
         supply(test, PAGE, 1, VALUE) && memory_answer(test, QY_FAULT_RESUME) == QY_NOT_FOUND;
    memory_expect(test, ok, "a reply after the thread has gone finds nobody");
    ok = memory_discard(test->object, 0, 64) == QY_OK;
    root_check(root, ok, "pages could not be discarded");
    root_release(root, mark);
}

/* The second child is the pager's thread, and faults itself. */
static void faults_itself(struct memory_test *test)
{
    const uint64_t nothing = MEMORY_AT - PAGE_BYTES;
    struct root *root = test->root;
    uint32_t mark = root_mark(root);
    qy_handle_t reply;
    struct message message;
    bool ok = root_make(root, test->budget, QY_OBJ_REPLY, 1, &reply) == QY_OK && ask(test, PAGE) &&
              touch(test, &test->other, &test->other_job, nothing) &&
              endpoint_receive(test->child.endpoint, reply, &message) == QY_OK &&
              memory_is_fault(&message, 0, QY_FOUND_NOTHING, 0) &&
              reply_send(reply, QY_FAULT_KILL, 0, 0, 0) == QY_OK && child_wait_dead(&test->other) &&
              supply(test, PAGE, 1, VALUE) && resume(test) && ends(test, VALUE);
    memory_expect(test, ok, "a pager's thread that faults: it ends, another answers in its place");
    ok = ask(test, PAGE + 1) && touch(test, &test->other, &test->other_job, ADDRESS(PAGE + 1)) &&
         endpoint_receive(test->child.endpoint, reply, &message) == QY_OK &&
         memory_is_fault(&message, MEMORY_BADGE, QY_FOUND_PAGER, PAGE + 1) &&
         supply(test, PAGE + 1, 1, VALUE) && reply_send(reply, QY_FAULT_RESUME, 0, 0, 0) == QY_OK &&
         endpoint_receive(test->child.endpoint, reply, &message) == QY_OK &&
         memory_is_end(&message, VALUE) && resume(test) && ends(test, VALUE);
    memory_expect(test, ok, "a pager's thread that touches the page that it serves: it waits, too");
    ok = memory_discard(test->object, 0, 64) == QY_OK && cap_delete(reply) == QY_OK;
    root_check(root, ok, "a reply object could not be deleted");
    root_release(root, mark);
}

/* Its reply object goes, then its endpoint with the fault in line, then no pager is left, then not even the object. */
static void dies(struct memory_test *test)
{
    struct root *root = test->root;
    uint32_t mark = root_mark(root);
    qy_handle_t reply, ear;
    struct message message;
    struct thread_status status = {0};
    bool ok = root_make(root, test->budget, QY_OBJ_REPLY, 1, &reply) == QY_OK &&
              touch(test, &test->child, &test->job, ADDRESS(PAGE)) &&
              endpoint_receive(test->child.endpoint, reply, &message) == QY_OK &&
              cap_delete(reply) == QY_OK && child_wait_dead(&test->child);
    memory_expect(test, ok, "a pager that dies with a fault in hand: who waits is dead");
    root_release(root, mark);
    ok = root_make(root, test->budget, QY_OBJ_ENDPOINT, 1, &ear) == QY_OK &&
         memory_pager(test->object, ear, MEMORY_BADGE) == QY_OK &&
         touch(test, &test->child, &test->job, ADDRESS(PAGE));
    while (ok && status.state != QY_THREAD_FAULTED &&
           thread_info(test->child.thread, &status) == QY_OK)
        yield();
    ok =
        ok && cap_revoke(ear) == QY_OK && cap_delete(ear) == QY_OK && child_wait_dead(&test->child);
    memory_expect(test, ok, "a pager that dies with a fault in line: who waits is dead");
    root_release(root, mark);
    ok = touch(test, &test->child, &test->job, ADDRESS(PAGE)) &&
         says(test, QY_FOUND_PAGER, 0, PAGE) && supply(test, PAGE, 1, VALUE) && resume(test) &&
         ends(test, VALUE);
    memory_expect(test, ok, "an object whose pager has gone: the thread's own handler is asked");
    ok = touch(test, &test->child, &test->job, ADDRESS(PAGE + 1)) &&
         says(test, QY_FOUND_PAGER, 0, PAGE + 1) && cap_revoke(test->object) == QY_OK &&
         cap_delete(test->object) == QY_OK && resume(test) && says(test, QY_FOUND_REVOKED, 0, 0) &&
         memory_answer(test, QY_FAULT_KILL) == QY_OK && child_wait_dead(&test->child) &&
         touch(test, &test->child, &test->job, ADDRESS(PAGE)) &&
         says(test, QY_FOUND_REVOKED, 0, 0) && memory_answer(test, QY_FAULT_KILL) == QY_OK &&
         child_wait_dead(&test->child);
    memory_expect(test, ok, "an object that goes: its pages are revoked, there or not");
}

void memory_pagers(struct memory_test *test)
{
    uint64_t at = MEMORY_AT;
    enum qy_error error =
        space_map_object(QY_SLOT_SPACE, &at, 64 * PAGE_BYTES, MEMORY_RW, test->object, 0);
    if (!root_check(test->root, error == QY_OK, "the object of the tests could not be mapped"))
        return;
    answers(test);
    is_late(test);
    who_waits_goes(test);
    faults_itself(test);
    dies(test);
    error = space_unmap_region(QY_SLOT_SPACE, MEMORY_AT, 64 * PAGE_BYTES);
    root_check(test->root, error == QY_OK, "the object of the tests could not be unmapped");
}
