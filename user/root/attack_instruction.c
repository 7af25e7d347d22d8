/*
 * Attacks by single instructions: what only a kernel may execute, and registers that the kernel
 * does not keep apart for each thread (floating point, vectors), so that no thread may have them.
 *
 * Each is executed by a child thread, which must be stopped by an exception.
 */
#include "attack.h"
#include <user_attack.h>

#define STACK_PAGE (ROOT_CHILD_ADDRESS + 0x10000)

struct deed {
    void (*execute)(void);
    qy_handle_t endpoint;
};

static void child_main(void *argument)
{
    const struct deed *deed = argument;

    deed->execute();
    thread_exit(endpoint_send(deed->endpoint, 0, 0, 0, 0));
}

/* One child executes it, takes an exception, is killed by its handler, and is dead. */
static void execute(struct attack *attack, const struct forbidden *attempt, unsigned cpu)
{
    static struct deed deed;
    struct root *root = attack->root;
    uint32_t mark = root_mark(root);
    struct message message = {0};
    struct fault fault;
    struct child child;
    qy_handle_t budget;

    if (!root_check(root, root_make(root, attack->budget, QY_OBJ_UNTYPED, 32, &budget) == QY_OK,
                    "no budget for a child could be made"))
        return;
    enum qy_error error = child_make(root, budget, STACK_PAGE, &child);
    if (error == QY_OK) {
        deed = (struct deed){attempt->execute, child.endpoint};
        error = child_start(&child, child_main, &deed, cpu);
    }
    if (error == QY_OK)
        error = endpoint_receive(child.endpoint, child.reply, &message);
    bool stopped =
        error == QY_OK && fault_from(&message, &fault) && fault.mark == QY_FOUND_EXCEPTION &&
        reply_send(child.reply, QY_FAULT_KILL, 0, 0, 0) == QY_OK && child_wait_dead(&child);
    attack_stopped(attack, stopped, stopped ? "exception, thread killed" : "NOT STOPPED",
                   "%s, on CPU %u", attempt->what, cpu);
    bool gone = cap_revoke(budget) == QY_OK && cap_delete(budget) == QY_OK;
    root_check(root, gone, "the budget of a child could not be taken back");
    root_release(root, mark);
}

void attack_instructions(struct attack *attack)
{
    struct root *root = attack->root;
    uint32_t mark = root_mark(root);
    unsigned last = root->info->cpus - 1;
    qy_handle_t frame;

    enum qy_error error = root_make(root, attack->budget, QY_OBJ_FRAME, 1, &frame);
    if (error == QY_OK)
        error = root_map(root, attack->budget, frame, FORBIDDEN_PAGE, QY_MAP_READ | QY_MAP_WRITE,
                         false, NULL);
    if (!root_check(root, error == QY_OK, "the page for forged descriptors could not be made"))
        return;
    forbidden_prepare();
    for (unsigned i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        execute(attack, &forbidden[i], 0);
        if (last) /* the boot CPU and the others come up by different ways */
            execute(attack, &forbidden[i], last);
    }
    root_check(root, cap_delete(frame) == QY_OK, "the page for forged descriptors does not go");
    root_release(root, mark);
}
