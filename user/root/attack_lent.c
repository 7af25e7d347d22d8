/*
 * Attacks on memory that a budget lends: touches by threads, pointers for the kernel to copy through, and all of that
 * while other CPUs unmap, protect, clone and revoke it.
 *
 * The root task's own space has a budget here; its threads share the regions.
 */
#include "attack.h"
#include <quarry/records.h>
#include <stdatomic.h>

#define RW (QY_MAP_READ | QY_MAP_WRITE)
#define DATA (RW | QY_REGION(QY_REGION_DATA))
#define AT (ROOT_CHILD_ADDRESS + 0x8000000000ull)
#define BUDGET_PAGES 64u
#define RACE_PAGES 8u
#define ROUNDS 200u

struct lent {
    struct attack *attack;
    qy_handle_t budget; /* of the root task's space */
};

static enum qy_error map_at(uint64_t address, uint64_t pages, uint64_t flags, uint64_t moves)
{
    return space_map_region(QY_SLOT_SPACE, &address, pages * PAGE_BYTES, flags, moves);
}

/* ---- threads that touch what they may not ---- */

static void touch(const struct lent *lent, const char *what, uint64_t address,
                  enum qy_access access, enum qy_fault_found found)
{
    struct fault fault;
    bool stopped = attack_touch(lent->attack, address, access, &fault) &&
                   fault.address == address && fault.access == access && fault.mark == found;
    attack_stopped(lent->attack, stopped, stopped ? fault_mark_name(found) : "NOT STOPPED", "%s %s",
                   fault_access_name(access), what);
}

static void touches(const struct lent *lent)
{
    /* a page of data, one that is read only, one without rights, a hole, a guard that does not move, a stack */
    enum qy_error error = map_at(AT, 3, DATA, 0);
    if (error == QY_OK)
        error = map_at(AT + 4 * PAGE_BYTES, 1, DATA | QY_REGION_GUARD, 0);
    if (error == QY_OK)
        error = map_at(AT + 5 * PAGE_BYTES, 1, RW | QY_REGION(QY_REGION_STACK), 0);
    *(volatile uint64_t *)AT = 1;
    *(volatile uint64_t *)(AT + PAGE_BYTES) = 1;
    *(volatile uint64_t *)(AT + 2 * PAGE_BYTES) = 1;
    if (error == QY_OK)
        error = space_protect_region(QY_SLOT_SPACE, AT + PAGE_BYTES, PAGE_BYTES, QY_MAP_READ);
    if (error == QY_OK)
        error = space_protect_region(QY_SLOT_SPACE, AT + 2 * PAGE_BYTES, PAGE_BYTES, 0);
    if (!root_check(lent->attack->root, error == QY_OK, "the regions to touch could not be made"))
        return;
    touch(lent, "a region as code", AT, QY_ACCESS_EXEC, QY_FOUND_PROTECTED);
    touch(lent, "a region that is read only", AT + PAGE_BYTES, QY_ACCESS_WRITE, QY_FOUND_PROTECTED);
    touch(lent, "a region without rights", AT + 2 * PAGE_BYTES, QY_ACCESS_READ, QY_FOUND_PROTECTED);
    touch(lent, "behind the end of a region", AT + 3 * PAGE_BYTES, QY_ACCESS_WRITE,
          QY_FOUND_NOTHING);
    touch(lent, "a guard", AT + 4 * PAGE_BYTES, QY_ACCESS_WRITE, QY_FOUND_GUARD);
    touch(lent, "a stack as code", AT + 5 * PAGE_BYTES, QY_ACCESS_EXEC, QY_FOUND_PROTECTED);
}

/* ---- pointers ---- */

static enum qy_error record_to(uint64_t address, uint64_t bytes)
{
    return qy_call(QY_CALL_system_record, QY_SLOT_SYSTEM, QY_RECORD_KIND_MACHINE, 0, address, bytes,
                   0)
        .error;
}

static void pointers(const struct lent *lent)
{
    const struct {
        const char *what;
        uint64_t address, bytes;
        enum qy_error wanted;
    } tries[] = {
        {"a region that is read only", AT + PAGE_BYTES, 8, QY_BAD_USER_POINTER},
        {"a region without rights", AT + 2 * PAGE_BYTES, 8, QY_BAD_USER_POINTER},
        {"the end of a region and on", AT + 2 * PAGE_BYTES - 8, 16, QY_BAD_USER_POINTER},
        {"a guard", AT + 4 * PAGE_BYTES, 8, QY_BAD_USER_POINTER},
        {"a guard's first byte from the page before", AT + 4 * PAGE_BYTES - 8, 16,
         QY_BAD_USER_POINTER},
        {"a page that has not been touched yet", AT + 5 * PAGE_BYTES + 8, 8, QY_OK},
    };

    for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        attack_expect(lent->attack, record_to(tries[i].address, tries[i].bytes), tries[i].wanted,
                      "system_record to %s", tries[i].what);
    attack_expect(
        lent->attack,
        qy_call(QY_CALL_console_write, QY_SLOT_CONSOLE, AT + 2 * PAGE_BYTES, 8, 0, 0, 0).error,
        QY_BAD_USER_POINTER, "console_write from a region without rights");
    attack_expect(
        lent->attack,
        qy_call(QY_CALL_console_write, QY_SLOT_CONSOLE, AT + 4 * PAGE_BYTES, 8, 0, 0, 0).error,
        QY_BAD_USER_POINTER, "console_write from a guard");
}

/* ---- races ---- */

static struct {
    qy_handle_t endpoint, reply;
    atomic_bool stop;
    atomic_ullong copies, refused, wrong, touched;
} race;

/* The kernel copies to the region again and again. */
static void copier_main(void *argument)
{
    uint64_t at = (uintptr_t)argument;

    for (unsigned i = 0; !atomic_load(&race.stop); i++) {
        enum qy_error error = record_to(at + i % RACE_PAGES * PAGE_BYTES - (i & 8), 72);
        atomic_fetch_add(error == QY_OK                 ? &race.copies
                         : error == QY_BAD_USER_POINTER ? &race.refused
                                                        : &race.wrong,
                         1);
    }
    thread_exit(0);
}

/* So does this thread, by itself; where it may not, its handler sends it back to try again. */
static void toucher_main(void *argument)
{
    uint64_t at = (uintptr_t)argument;

    for (unsigned i = 0; !atomic_load(&race.stop); i++) {
        *(volatile uint64_t *)(at + i % RACE_PAGES * PAGE_BYTES) = i;
        atomic_fetch_add(&race.touched, 1);
    }
    thread_exit(0);
}

static void handler_main(void *argument)
{
    struct message message;
    enum qy_error error = endpoint_receive(race.endpoint, race.reply, &message);

    (void)argument;
    while (error == QY_OK) {
        yield();
        error =
            endpoint_reply_receive(race.endpoint, race.reply, QY_FAULT_RESUME, 0, 0, 0, &message);
    }
    thread_exit(0);
}

/* What the root task does to the region while they are at it. */
static enum qy_error unmap(const struct lent *lent, qy_handle_t space)
{
    (void)lent, (void)space;
    enum qy_error error = space_unmap_region(QY_SLOT_SPACE, AT, RACE_PAGES * PAGE_BYTES);
    return error == QY_OK ? map_at(AT, RACE_PAGES, DATA, 0) : error;
}

static enum qy_error protect(const struct lent *lent, qy_handle_t space)
{
    const uint64_t half = RACE_PAGES / 2 * PAGE_BYTES;

    (void)lent, (void)space;
    enum qy_error error = space_protect_region(QY_SLOT_SPACE, AT, half, QY_MAP_READ);
    if (error == QY_OK)
        error = space_protect_region(QY_SLOT_SPACE, AT + half, half, 0);
    return error == QY_OK ? space_protect_region(QY_SLOT_SPACE, AT, 2 * half, RW) : error;
}

/* Tables that other CPUs may still read are no free memory yet: a budget that has no other says so, and may be asked again. */
static enum qy_error clone(const struct lent *lent, qy_handle_t space)
{
    enum qy_error error = QY_OUT_OF_MEMORY;

    (void)lent;
    for (unsigned tries = 0; tries < 100 && error == QY_OUT_OF_MEMORY; tries++) {
        uint64_t at = AT;
        if (tries)
            yield();
        error = space_clone(space, QY_SLOT_SPACE, &at, AT + RACE_PAGES * PAGE_BYTES);
    }
    return error == QY_OK ? space_unmap_region(space, AT, RACE_PAGES * PAGE_BYTES) : error;
}

static enum qy_error revoke(const struct lent *lent, qy_handle_t space)
{
    (void)space;
    enum qy_error error = cap_revoke(lent->budget);
    if (error == QY_OK) /* what it paid is `revoked` now; nothing, if nothing was touched */
        error = space_unmap_region(QY_SLOT_SPACE, AT & ~((1ull << 39) - 1), 1ull << 39);
    if (error == QY_OK || error == QY_NOT_MAPPED)
        error = space_bind(QY_SLOT_SPACE, lent->budget);
    return error == QY_OK ? map_at(AT, RACE_PAGES, DATA, 0) : error;
}

/* A thread of the race; its stack is a frame of its own. */
static enum qy_error join(const struct attack_child *child, unsigned number, void (*entry)(void *),
                          bool handled)
{
    struct root *root = child->root;
    const uint64_t stack = ATTACK_STACK_PAGE + (2 + number * 2) * PAGE_BYTES;
    qy_handle_t thread, frame;
    enum qy_error error = root_make(root, child->budget, QY_OBJ_THREAD, 1, &thread);

    if (error == QY_OK)
        error = root_make(root, child->budget, QY_OBJ_FRAME, 1, &frame);
    if (error == QY_OK)
        error = root_map(root, child->budget, frame, stack, RW, false, NULL);
    if (error == QY_OK)
        error =
            thread_configure(thread, QY_SLOT_SPACE, QY_SLOT_NODE, handled ? race.endpoint : 0, 0);
    return error == QY_OK
               ? thread_start(thread, (uintptr_t)entry, stack_for_entry(stack + PAGE_BYTES), AT,
                              (1 + number) % root->info->cpus)
               : error;
}

static void run_race(const struct lent *lent, const char *what,
                     enum qy_error (*disturb)(const struct lent *, qy_handle_t))
{
    struct attack *attack = lent->attack;
    struct attack_child child;
    qy_handle_t payer = 0, space = 0;

    if (!attack_child_begin(attack, &child))
        return;
    struct root *root = attack->root;
    race.endpoint = child.child.endpoint;
    race.reply = child.child.reply;
    atomic_store(&race.stop, false);
    atomic_store(&race.copies, 0);
    atomic_store(&race.refused, 0);
    atomic_store(&race.wrong, 0);
    atomic_store(&race.touched, 0);
    enum qy_error error = root_make(root, child.budget, QY_OBJ_UNTYPED, 24, &payer);
    if (error == QY_OK)
        error = root_make(root, child.budget, QY_OBJ_ADDRESS_SPACE, 1, &space);
    if (error == QY_OK)
        error = space_bind(space, payer);
    if (error == QY_OK)
        error = join(&child, 0, handler_main, false);
    if (error == QY_OK)
        error = join(&child, 1, copier_main, false);
    if (error == QY_OK)
        error = join(&child, 2, toucher_main, true);
    for (unsigned i = 0; error == QY_OK && i < ROUNDS; i++) {
        error = disturb(lent, space);
        for (unsigned j = 0; j < i % 4; j++)
            yield();
    }
    for (unsigned i = 0; i < 1000000 && (!atomic_load(&race.copies) || !atomic_load(&race.touched));
         i++)
        yield();
    atomic_store(&race.stop, true);
    bool ok = error == QY_OK && !atomic_load(&race.wrong) && atomic_load(&race.copies) &&
              atomic_load(&race.touched);
    attack_child_end(&child);
    attack_stopped(attack, ok, ok ? "each copy done or refused" : qy_error_name(error),
                   "%s a region %u times while others copy and write to it", what, ROUNDS);
    attack_all_holds(attack, what);
}

static void races(const struct lent *lent)
{
    enum qy_error error = space_unmap_region(QY_SLOT_SPACE, AT, RACE_PAGES * PAGE_BYTES);
    if (error == QY_OK)
        error = map_at(AT, RACE_PAGES, DATA, 0);
    if (!root_check(lent->attack->root, error == QY_OK,
                    "the region of the races could not be made"))
        return;
    run_race(lent, "unmap", unmap);
    run_race(lent, "protect", protect);
    run_race(lent, "clone", clone);
    run_race(lent, "revoke", revoke);
}

/* ---- budgets that end, or go ---- */

static void exhaust(const struct lent *lent)
{
    struct untyped_state state = {0};
    uint64_t at = AT + 0x40000000;
    enum qy_error error = map_at(at, 4 * BUDGET_PAGES, DATA, 0);

    if (error == QY_OK)
        error = untyped_info(lent->budget, &state);
    for (; error == QY_OK && state.free_bytes; at += PAGE_BYTES) {
        *(volatile uint64_t *)at = 1;
        error = untyped_info(lent->budget, &state);
    }
    if (!root_check(lent->attack->root, error == QY_OK, "a budget could not be used up"))
        return;
    touch(lent, "a page that the budget cannot pay", at, QY_ACCESS_WRITE, QY_FOUND_EXHAUSTED);
    attack_expect(lent->attack, record_to(at, 8), QY_BAD_USER_POINTER,
                  "system_record to a page that the budget cannot pay");
    attack_expect(lent->attack, map_at(AT + 0x80000000, 1, DATA, 0), QY_OUT_OF_MEMORY,
                  "a region whose tables the budget cannot pay");
    bool gone = cap_revoke(lent->budget) == QY_OK;
    root_check(lent->attack->root, gone, "a budget in use could not be revoked");
    touch(lent, "what a revoked budget paid", at - PAGE_BYTES, QY_ACCESS_READ, QY_FOUND_REVOKED);
    attack_expect(lent->attack, record_to(at - PAGE_BYTES, 8), QY_BAD_USER_POINTER,
                  "system_record to what a revoked budget paid");
    attack_expect(lent->attack, map_at(AT + 0x80000000, 1, DATA, 0), QY_UNSUPPORTED,
                  "a region out of the revoked budget");
}

void attack_lent(struct attack *attack)
{
    struct root *root = attack->root;
    uint32_t mark = root_mark(root);
    struct lent lent = {.attack = attack};
    struct untyped_state state;
    enum qy_error error =
        root_make(root, attack->budget, QY_OBJ_UNTYPED, BUDGET_PAGES, &lent.budget);

    if (error == QY_OK)
        error = space_bind(QY_SLOT_SPACE, lent.budget);
    if (!root_check(root, error == QY_OK, "the root task's space could not get a budget"))
        return;
    touches(&lent);
    pointers(&lent);
    races(&lent);
    exhaust(&lent);
    bool whole = untyped_info(lent.budget, &state) == QY_OK &&
                 state.free_bytes == state.total_bytes && cap_delete(lent.budget) == QY_OK;
    root_check(root, whole, "the budget of the root task's space is not one whole");
    root_release(root, mark);
}
