/*
 * A fork bomb in a budget: each process forks as long as it can, out of its own budget, and so do its forks. It ends by
 * itself, with errors, and all that it took comes back.
 *
 *     forkbomb      this process, budget B --> forks of B / 2, B / 4, ...        each of these likewise
 *
 * What a fork cannot have it is refused: memory of the budget, or slots. Each process tells its parent how many there are
 * below it and what the last error was; the first prints the sum, and how much of its budget is free after all have gone.
 */
#include <lib/string.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

#define FORKS_MAX 64u      /* of one process */
#define SMALLEST_PAGES 24u /* a budget in which a fork can say that it has none */
#define TOLD 0x10000       /* an exit code: of how many processes */

static struct process forks[FORKS_MAX];
static unsigned depth;
static enum qy_error refused; /* why the last fork of this process failed */

/* Fork until it fails; how many there are. In a fork: where it begins, with nothing. */
static unsigned fork_all(qy_handle_t ear, bool *is_child)
{
    unsigned count = 0;
    *is_child = false;
    while (count < FORKS_MAX) {
        struct untyped_state budget;
        if (untyped_info(QY_SLOT_UNTYPED, &budget) != QY_OK)
            break;
        const struct process_plan plan = {.untyped = QY_SLOT_UNTYPED,
                                          .budget_pages = budget.free_bytes / PAGE_BYTES / 2,
                                          .endpoint = ear,
                                          .number = count + 1,
                                          .console = QY_SLOT_CONSOLE};
        enum qy_error error = plan.budget_pages < SMALLEST_PAGES
                                  ? QY_OUT_OF_MEMORY
                                  : process_fork(&plan, &forks[count], is_child);
        if (*is_child)
            return 0;
        if (error != QY_OK) {
            refused = error;
            break;
        }
        count++;
    }
    return count;
}

/* Wait until all have ended; how many processes they were. One that died by a fault, for want of memory, counts as one. */
static uint64_t hear_all(qy_handle_t ear, qy_handle_t reply, unsigned count, uint64_t *died)
{
    uint64_t processes = 0;
    for (unsigned left = count; left;) {
        struct process_event event;
        if (process_wait(ear, reply, &event) != QY_OK)
            return 0;
        if (event.number < 1 || event.number > count || event.news == PROCESS_SAID)
            continue;
        processes += event.news == PROCESS_EXITED ? (uint64_t)(event.code & (TOLD - 1)) : 1;
        *died += event.news == PROCESS_EXITED ? (uint64_t)(event.code / TOLD) : 1;
        left--;
        if (process_destroy(&forks[event.number - 1]) != QY_OK)
            return 0;
    }
    return processes;
}

int main(int argc, char *argv[])
{
    struct untyped_state before = {0}, after = {0};
    uint64_t processes = 1, died = 0;
    bool is_child = true, asked = untyped_info(QY_SLOT_UNTYPED, &before) == QY_OK;
    (void)argc, (void)argv;
    while (is_child) { /* a fork begins here anew */
        qy_handle_t ear = 0, reply = 0;
        memset(forks, 0, sizeof(forks));
        enum qy_error error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &ear);
        if (error == QY_OK)
            error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &reply);
        unsigned count = error == QY_OK ? fork_all(ear, &is_child) : 0;
        if (is_child && error == QY_OK) {
            depth++;
            continue;
        }
        is_child = false;
        processes += hear_all(ear, reply, count, &died);
        slot_delete(reply);
        slot_delete(ear);
    }
    if (depth) /* what it knows fits a code; its parent adds it up */
        program_exit((int)(processes + died * TOLD));
    asked = asked && untyped_info(QY_SLOT_UNTYPED, &after) == QY_OK;
    print("forkbomb: %llu processes, %llu of them died of a fault; refused in the end: %s\n",
          (unsigned long long)processes, (unsigned long long)died, qy_error_sentence(refused));
    print("forkbomb: free of its budget of %S: %S before, %S after\n", before.total_bytes,
          before.free_bytes, after.free_bytes);
    return asked && processes > 4 && before.free_bytes - after.free_bytes < 64 * PAGE_BYTES ? 0 : 1;
}
