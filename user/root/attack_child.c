/*
 * A child thread that does one forbidden thing, and the fault that must stop it.
 */
#include "attack.h"

bool attack_child_begin(struct attack *attack, struct attack_child *out)
{
    struct root *root = attack->root;

    *out = (struct attack_child){.root = root, .mark = root_mark(root)};
    enum qy_error error =
        root_make(root, attack->budget, QY_OBJ_UNTYPED, ATTACK_CHILD_PAGES, &out->budget);
    if (!root_check(root, error == QY_OK, "no budget for a child could be made"))
        return false;
    error = child_make(root, out->budget, ATTACK_STACK_PAGE, &out->child);
    if (root_check(root, error == QY_OK, "a child could not be made"))
        return true;
    attack_child_end(out);
    return false;
}

bool attack_child_stopped(const struct attack_child *child, struct fault *fault)
{
    struct message message = {0};

    return endpoint_receive(child->child.endpoint, child->child.reply, &message) == QY_OK &&
           fault_from(&message, fault) &&
           reply_send(child->child.reply, QY_FAULT_KILL, 0, 0, 0) == QY_OK &&
           child_wait_dead(&child->child);
}

void attack_child_end(const struct attack_child *child)
{
    bool gone = cap_revoke(child->budget) == QY_OK && cap_delete(child->budget) == QY_OK;

    root_check(child->root, gone, "the budget of a child could not be taken back");
    root_release(child->root, child->mark);
}

/* What a child is told to touch. */
struct deed {
    uint64_t address;
    enum qy_access access;
    qy_handle_t endpoint;
};

static void child_main(void *argument)
{
    const struct deed *deed = argument;
    volatile uint64_t *word = (volatile uint64_t *)deed->address;

    if (deed->access == QY_ACCESS_READ)
        (void)*word;
    else if (deed->access == QY_ACCESS_WRITE)
        *word = 0;
    else
        ((void (*)(void))deed->address)();
    thread_exit(endpoint_send(deed->endpoint, 0, 0, 0, 0));
}

bool attack_touch(struct attack *attack, uint64_t address, enum qy_access access,
                  struct fault *fault)
{
    static struct deed deed;
    struct attack_child child;

    *fault = (struct fault){0};
    if (!attack_child_begin(attack, &child))
        return false;
    deed = (struct deed){address, access, child.child.endpoint};
    bool stopped = child_start(&child.child, child_main, &deed, attack_cpu(attack)) == QY_OK &&
                   attack_child_stopped(&child, fault);
    attack_child_end(&child);
    return stopped;
}
