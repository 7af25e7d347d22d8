/*
 * Fork (user/lib/fork.c) on a kernel that only remembers (loader.h): each of its calls fails once, those in the middle of
 * the clone included; the child is gone then, with every slot and object, and the parent goes on. What a clone that
 * fails leaves in spaces is a question for the kernel (kernel-failures). It would miss what a real kernel refuses.
 */
#include <tap.h>

#include "loader.h"
#include <user/print.h>
#include <user/program.h>

/* ARCH/fork.S */
int fork_save(uint64_t saved[FORK_WORDS]);
_Noreturn void fork_load(const uint64_t saved[FORK_WORDS]);

int fork_save(uint64_t saved[FORK_WORDS])
{
    (void)saved;
    return 0; /* the parent */
}

_Noreturn void fork_load(const uint64_t saved[FORK_WORDS])
{
    (void)saved;
    abort(); /* no thread runs here */
}

void print_flush(void)
{
}

/* With the n-th call failing, 0: none. */
static enum qy_error forks(unsigned fails)
{
    static const struct program_info info = {.version = PROGRAM_VERSION};
    const struct process_plan plan = {
        .untyped = UNTYPED, .budget_pages = 64, .endpoint = ENDPOINT, .number = 3};
    struct process child;
    bool is_child = true;

    program = &info;
    slots_begin(FIRST_SLOT, SLOTS);
    broken = false;
    calls_left = fails;
    enum qy_error error = process_fork(&plan, &child, &is_child);
    calls_left = 0;
    CHECK(!broken && !is_child);
    if (error == QY_OK)
        CHECK(child.budget && child.number == 3 && process_destroy(&child) == QY_OK);
    else
        CHECK(!child.budget);
    nothing_is_left();
    return error;
}

static void each_call_that_fails(void)
{
    unsigned n = 1;

    for (; forks(n) != QY_OK; n++)
        CHECK_EQ(threads_started, 0);
    CHECK_EQ(threads_started, 1);
    CHECK(n > 20);
    CHECK_EQ(forks(0), QY_OK);
    printf("# %u calls\n", n - 1);
}

static const struct test tests[] = {
    {"each call of a fork that fails leaves no child", each_call_that_fails},
};

int main(int argc, char *argv[]) /* as programs have it */
{
    (void)argc, (void)argv;
    return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
