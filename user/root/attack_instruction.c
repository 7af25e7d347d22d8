/*
 * Attacks by single instructions: what only a kernel may execute, and registers that the kernel
 * does not keep apart for each thread (floating point, vectors), so that no thread may have them.
 *
 * Each is executed by a child thread, which must be stopped by an exception.
 */
#include "attack.h"
#include <user_attack.h>

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
    struct attack_child child;
    struct fault fault;

    if (!attack_child_begin(attack, &child))
        return;
    deed = (struct deed){attempt->execute, child.child.endpoint};
    bool stopped = child_start(&child.child, child_main, &deed, cpu) == QY_OK &&
                   attack_child_stopped(&child, &fault) && fault.mark == QY_FOUND_EXCEPTION;
    attack_stopped(attack, stopped, stopped ? "exception, thread killed" : "NOT STOPPED",
                   "%s, on CPU %u", attempt->what, cpu);
    attack_child_end(&child);
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
