/*
 * Forks: a whole tree of them; who writes pays, and the last owner of a page copies nothing; budgets of every size, with
 * nothing changed in who forks; a parent that is taken back first, under a child that has settled and under one that has
 * not.
 *
 *     started as "forks leave settled|shared" it is the parent that goes first
 *
 * It prints a line for each part; a part that is not right ends it with that part's number.
 */
#include <lib/string.h>
#include <user/malloc.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/secret.h>
#include <user/slots.h>
#include <user/space.h>

#define PAGES 32u
#define WORDS (PAGE_BYTES / sizeof(uint64_t))
#define DEPTH 3u
#define CHILDREN 2u
#define KEPT_MAX 16u /* for the next objects of each type, and by CPUs */
#define LABEL_READY 0x51u
#define OWN_BUDGET 1024u
#define MEASURED (64ull << 20)

static uint64_t cells[PAGES][WORDS] __attribute__((aligned(4096)));
static _Thread_local uint64_t mine = 5;

/* ---- what stands in the pages ---- */

static void stamp(unsigned from, unsigned to, uint64_t id)
{
    for (unsigned page = from; page < to; page++)
        for (unsigned i = 0; i < WORDS; i++)
            cells[page][i] = id << 32 | page << 16 | i;
}

static bool is_stamped(unsigned from, unsigned to, uint64_t id)
{
    for (unsigned page = from; page < to; page++)
        for (unsigned i = 0; i < WORDS; i++)
            if (cells[page][i] != (id << 32 | page << 16 | i))
                return false;
    return true;
}

static uint64_t free_pages(void)
{
    struct untyped_state state;

    return untyped_info(QY_SLOT_UNTYPED, &state) == QY_OK ? state.free_bytes / PAGE_BYTES : 0;
}

/* A budget is in one piece. */
static uint64_t half_of_the_largest(void)
{
    struct untyped_state state;

    return untyped_info(QY_SLOT_UNTYPED, &state) == QY_OK ? 1ull << state.largest_order >> 1 : 0;
}

/* What hears of the children of this process. */
struct ear {
    qy_handle_t endpoint, reply;
};

static bool ear_make(struct ear *ear)
{
    return slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &ear->endpoint) == QY_OK &&
           slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &ear->reply) == QY_OK;
}

static enum qy_error fork_out_of(const struct ear *ear, uint64_t pages, uint64_t number,
                                 struct process *child, bool *is_child)
{
    const struct process_plan plan = {.untyped = QY_SLOT_UNTYPED,
                                      .budget_pages = pages,
                                      .endpoint = ear->endpoint,
                                      .number = number,
                                      .console = QY_SLOT_CONSOLE};

    return process_fork(&plan, child, is_child);
}

/* The code of the child that ends next; 0: none ended well. */
static unsigned hear(const struct ear *ear)
{
    struct process_event event;

    if (process_wait(ear->endpoint, ear->reply, &event) != QY_OK)
        return 0;
    if (event.news == PROCESS_FAULTED)
        print("forks: a child died: %s of %R: %s\n", fault_access_name(event.fault.access),
              event.fault.address, fault_mark_name(event.fault.mark));
    return event.news == PROCESS_EXITED ? (unsigned)event.code : 0;
}

/* ---- a tree ---- */

/*
 * A process of the tree, and all below it: how many there were; 0: something was wrong. Child k of a parent sees what the
 * parent has stamped before it was made, and nothing of what came later.
 */
static unsigned grow(unsigned depth, uint64_t id, uint64_t parent, unsigned k)
{
    struct process child[CHILDREN];
    struct ear ear;
    unsigned count = 1;

    if (parent && (!is_stamped(0, PAGES / 2 + k, parent) ||
                   is_stamped(PAGES / 2 + k, PAGES / 2 + k + 1, parent) || mine != parent))
        return 0;
    mine = id;
    stamp(0, PAGES / 2, id);
    if (!ear_make(&ear))
        return 0;
    for (unsigned i = 0; depth && i < CHILDREN; i++) {
        bool is_child;
        if (fork_out_of(&ear, half_of_the_largest(), 1 + i, &child[i], &is_child) != QY_OK)
            return 0;
        if (is_child)
            return grow(depth - 1, CHILDREN * id + i, id, i);
        stamp(PAGES / 2 + i, PAGES / 2 + i + 1, id);
    }
    stamp(PAGES / 2, PAGES, id);
    for (unsigned i = 0; depth && i < CHILDREN; i++) {
        unsigned below = hear(&ear);
        if (!below)
            return 0;
        count += below;
    }
    for (unsigned i = 0; depth && i < CHILDREN; i++)
        if (process_destroy(&child[i]) != QY_OK)
            return 0;
    slot_delete(ear.reply);
    slot_delete(ear.endpoint);
    return is_stamped(0, PAGES, id) && mine == id ? count : 0;
}

/* Run something in a child, so that this process stays as it is; its code. */
static bool tree(void)
{
    uint64_t before;
    unsigned count;

    stamp(0, PAGES, 0); /* nobody's */
    before = free_pages();
    count = grow(DEPTH, 1, 0, 0);
    if (mine != 1) /* this is one of the tree, whose parent hears it */
        program_exit((int)count);
    uint64_t after = free_pages(), kept = before > after ? before - after : 0;
    print("forks: a tree of %u processes, each with what its parent had when it was made; %llu "
          "pages are kept\n",
          count, (unsigned long long)kept);
    return count == (1u << (DEPTH + 1)) - 1 && kept <= KEPT_MAX;
}

/* ---- who pays ---- */

/* A child that writes some pages when it is told to, and says what its budget had before and has now. */
_Noreturn static void write_when_told(unsigned pages)
{
    struct message answer;
    uint64_t before = free_pages();

    if (endpoint_call(PROGRAM_PARENT, LABEL_READY, before, 0, 0, &answer) != QY_OK)
        program_exit(1);
    before = free_pages();
    stamp(0, pages, 9);
    uint64_t after = free_pages();
    if (endpoint_call(PROGRAM_PARENT, LABEL_READY, before - after, 0, 0, &answer) != QY_OK)
        program_exit(2);
    program_exit(is_stamped(0, pages, 9) && is_stamped(pages, PAGES, 7) ? 3 : 4);
}

static bool hears_ready(const struct ear *ear, uint64_t *word)
{
    struct process_event event;
    bool right = process_wait(ear->endpoint, ear->reply, &event) == QY_OK &&
                 event.news == PROCESS_SAID && event.message.label == LABEL_READY;

    *word = event.message.word[0];
    return right;
}

static bool who_writes_pays(void)
{
    const unsigned by_child = 10, by_parent = 10;
    struct process child;
    struct ear ear;
    uint64_t left, child_paid;
    bool is_child;

    stamp(0, PAGES, 7);
    if (!ear_make(&ear) || fork_out_of(&ear, OWN_BUDGET, 1, &child, &is_child) != QY_OK)
        return false;
    if (is_child)
        write_when_told(by_child);
    if (!hears_ready(&ear, &left))
        return false;
    uint64_t before = free_pages();
    if (reply_send(ear.reply, 0, 0, 0, 0) != QY_OK || !hears_ready(&ear, &child_paid))
        return false;
    uint64_t meanwhile = free_pages();
    stamp(PAGES - by_parent, PAGES, 7);
    uint64_t parent_paid = meanwhile - free_pages();
    if (reply_send(ear.reply, 0, 0, 0, 0) != QY_OK || hear(&ear) != 3 ||
        process_destroy(&child) != QY_OK)
        return false;
    uint64_t alone = free_pages();
    stamp(0, PAGES, 7); /* each page has one owner again */
    uint64_t last_paid = alone - free_pages();
    slot_delete(ear.reply);
    slot_delete(ear.endpoint);
    print("forks: the child wrote %u pages and paid %llu, the parent %u and %llu; alone again it "
          "wrote "
          "%u and paid %llu\n",
          by_child, (unsigned long long)child_paid, by_parent, (unsigned long long)parent_paid,
          PAGES, (unsigned long long)last_paid);
    return meanwhile == before && child_paid >= by_child && child_paid <= by_child + 4 &&
           parent_paid >= by_parent && parent_paid <= by_parent + 4 && last_paid == 0;
}

/* ---- a budget that ends half-way ---- */

static bool every_budget(void)
{
    struct process child;
    struct ear ear;
    bool is_child;
    unsigned refused = 0;

    stamp(0, PAGES, 7);
    if (!ear_make(&ear))
        return false;
    for (uint64_t pages = 1; pages < OWN_BUDGET; pages++) {
        uint64_t before = free_pages();
        enum qy_error error = fork_out_of(&ear, pages, 1, &child, &is_child);
        if (is_child)
            program_exit(5);
        if (error == QY_OK) {
            /* It lives on what is left, or is ended by a fault that says so. */
            struct process_event event;
            bool right = process_wait(ear.endpoint, ear.reply, &event) == QY_OK &&
                         (event.news == PROCESS_EXITED ? event.code == 5
                                                       : event.fault.mark == QY_FOUND_EXHAUSTED);
            if (!right || process_destroy(&child) != QY_OK)
                return false;
            if (event.news != PROCESS_EXITED)
                continue;
            print("forks: %u budgets too small, the parent as it was each time; %llu pages are "
                  "enough\n",
                  refused, (unsigned long long)pages);
            slot_delete(ear.reply);
            slot_delete(ear.endpoint);
            return refused && is_stamped(0, PAGES, 7);
        }
        /* Tables that stopped being shared may have been this one's already; nothing else changes. */
        if (error != QY_OUT_OF_MEMORY || !is_stamped(0, PAGES, 7) || free_pages() + 8 < before)
            return false;
        refused++;
    }
    return false;
}

/* ---- a parent that goes first ---- */

static const char *const relocated[] = {"a", "b", "c"};

/* The other process: memory of every kind, a fork out of the untyped that it was given, and then nothing. */
_Noreturn static void leave(const char *how)
{
    const struct process_plan plan = {.untyped = PROGRAM_GIVEN(0),
                                      .budget_pages = OWN_BUDGET,
                                      .endpoint = PROGRAM_GIVEN(1),
                                      .number = 9,
                                      .console = QY_SLOT_CONSOLE};
    struct process child;
    struct message answer;
    struct cap_state cap;
    qy_handle_t made;
    bool is_child, settle = strcmp(how, "settled") == 0;
    char *block = malloc(100);

    stamp(0, PAGES, 3);
    mine = 77;
    if (!block || slot_make(QY_SLOT_UNTYPED, QY_OBJ_NOTIFICATION, 1, &made) != QY_OK ||
        notification_signal(made) != QY_OK || process_fork(&plan, &child, &is_child) != QY_OK)
        program_exit(1);
    if (!is_child)
        for (;;)
            yield();
    /* What the parent was given is here, what it made is not, and its handle is an error. */
    if (notification_signal(made) != QY_INVALID_HANDLE ||
        cap_info(QY_SLOT_NODE, PROGRAM_GIVEN(1), &cap) != QY_OK || cap.type != QY_OBJ_ENDPOINT)
        program_exit(5);
    if (settle && process_settle() != QY_OK)
        program_exit(2);
    if (endpoint_call(PROGRAM_PARENT, LABEL_READY, 0, 0, 0, &answer) != QY_OK)
        program_exit(3);
    volatile unsigned last = 2;
    block[99] = 'x';
    bool right = is_stamped(0, PAGES, 3) && mine == 77 && strcmp(relocated[last], "c") == 0;
    program_exit(right ? 6 : 4);
}

/* How the child ends whose parent has gone. */
static bool orphaned(const char *how, struct process_event *event)
{
    const char *const argv[] = {"forks", "leave", how, NULL};
    struct process parent;
    struct ear ear;
    qy_handle_t given;
    uint64_t word;
    const char *why;

    if (!ear_make(&ear) ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_UNTYPED, 2 * OWN_BUDGET, &given) != QY_OK ||
        process_spawn(argv, OWN_BUDGET, ear.endpoint, 5, &parent, &why) != QY_OK ||
        process_give(&parent, 0, given, QY_RIGHT_READ | QY_RIGHT_WRITE, 0) != QY_OK ||
        process_give(&parent, 1, ear.endpoint, QY_RIGHT_WRITE | QY_RIGHT_GRANT, 0) != QY_OK ||
        process_start(&parent, QY_CPU_ANY) != QY_OK || !hears_ready(&ear, &word) ||
        process_destroy(&parent) != QY_OK || reply_send(ear.reply, 0, 0, 0, 0) != QY_OK ||
        process_wait(ear.endpoint, ear.reply, event) != QY_OK)
        return false;
    bool right = cap_revoke(given) == QY_OK;
    slot_delete(given);
    slot_delete(ear.reply);
    slot_delete(ear.endpoint);
    return right;
}

static bool parents_go_first(void)
{
    struct process_event event;

    if (!orphaned("settled", &event) || event.news != PROCESS_EXITED || event.code != 6) {
        print("forks: settled: news %u code %d at %R\n", event.news, event.code,
              event.fault.address);
        return false;
    }
    if (!orphaned("shared", &event) || event.news != PROCESS_FAULTED ||
        event.fault.mark != QY_FOUND_REVOKED)
        return false;
    print("forks: parents taken back first: the child that settled has every byte, the other "
          "faults: %s\n",
          fault_mark_name(event.fault.mark));
    return true;
}

/* ---- cost ---- */

static bool measure(void)
{
    struct process child;
    struct ear ear;
    uint64_t at = 0;
    bool is_child;

    if (free_pages() < 3 * MEASURED / PAGE_BYTES / 2) /* started with a budget too small for it */
        return true;
    if (!ear_make(&ear) ||
        space_map_region(QY_SLOT_SPACE, &at, MEASURED, QY_MAP_READ | QY_MAP_WRITE, 0) != QY_OK)
        return false;
    for (uint64_t page = at; page < at + MEASURED; page += PAGE_BYTES)
        *(volatile uint64_t *)page = page;
    uint64_t start = clock_ticks();
    if (fork_out_of(&ear, OWN_BUDGET, 1, &child, &is_child) != QY_OK)
        return false;
    if (is_child)
        program_exit(7);
    bool right = hear(&ear) == 7 && process_destroy(&child) == QY_OK;
    print("forks: fork, exit and destroy with 64 MiB populated: %llu %s\n",
          (unsigned long long)(clock_ticks() - start), CLOCK_NAME);
    return right;
}

int main(int argc, char *argv[])
{
    if (argc > 2)
        leave(argv[2]);
    stamp(0, PAGES, 7);
    return !who_writes_pays()    ? 2
           : !every_budget()     ? 3
           : !parents_go_first() ? 4
           : !measure()          ? 5
           : !tree()             ? 6
                                 : 0;
}
