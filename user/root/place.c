/*
 * Where threads run on a machine of several nodes (word `place`): each thread is made of memory of one node, with no
 * CPU of its own. It starts on a CPU of that node, is sent to another node's, and comes back when it is let go.
 */
#include "root.h"
#include <quarry/records.h>

#define BUDGET_PAGES 64u
#define STACK_PAGE (ROOT_CHILD_ADDRESS + 0x10000)

/* Waits for messages until its endpoint is gone. */
static void waiter_main(void *argument)
{
    const struct child *self = argument;
    struct message message;
    while (endpoint_receive(self->endpoint, 0, &message) == QY_OK)
        ;
    thread_exit(0);
}

static uint64_t cpus_of_node(uint64_t node)
{
    struct qy_record_node record = {0};
    enum qy_error error =
        system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_NODE, node, &record, sizeof(record));
    return error == QY_OK ? record.cpus : 0;
}

/* The CPU on which the thread has gone to sleep after its last message. */
static uint64_t sleeps_on(const struct child *child)
{
    struct thread_status status;
    while (thread_info(child->thread, &status) == QY_OK) {
        if (status.state == QY_THREAD_RECEIVING)
            return status.cpu;
        yield();
    }
    return UINT64_MAX;
}

static uint64_t woken_on(const struct child *child)
{
    return endpoint_send(child->endpoint, 0, 0, 0, 0) == QY_OK ? sleeps_on(child) : UINT64_MAX;
}

/* Some CPU of another node, or of this one if there is no other. */
static uint64_t cpu_elsewhere(const struct root *root, uint64_t node)
{
    for (uint64_t cpu = 0; cpu < root->info->cpus; cpu++)
        if (root_node_of_cpu(cpu) != node)
            return cpu;
    return 0;
}

static void place_one(struct root *root, qy_handle_t untyped, uint64_t node)
{
    static struct child child;
    uint32_t mark = root_mark(root);
    qy_handle_t budget;
    if (root_make(root, untyped, QY_OBJ_UNTYPED, BUDGET_PAGES, &budget) != QY_OK)
        return; /* too small to matter */
    bool made = child_make(root, budget, STACK_PAGE, &child) == QY_OK &&
                child_start(&child, waiter_main, &child, QY_CPU_ANY) == QY_OK;
    if (root_check(root, made, "a thread without a CPU could not be started")) {
        uint64_t home = sleeps_on(&child), away = cpu_elsewhere(root, node);
        bool sent = thread_schedule(child.thread, QY_PRIORITY_DEFAULT, away) == QY_OK;
        uint64_t there = woken_on(&child);
        bool freed = thread_schedule(child.thread, QY_PRIORITY_DEFAULT, QY_CPU_ANY) == QY_OK;
        uint64_t back = woken_on(&child);
        print("place: memory of node %llu: starts on CPU %llu (node %llu), sent to CPU %llu "
              "(node %llu), comes back to CPU %llu (node %llu)\n",
              (unsigned long long)node, (unsigned long long)home,
              (unsigned long long)root_node_of_cpu(home), (unsigned long long)there,
              (unsigned long long)root_node_of_cpu(there), (unsigned long long)back,
              (unsigned long long)root_node_of_cpu(back));
        root_check(root, root_node_of_cpu(home) == node, "a thread starts far from its memory");
        root_check(root, sent && there == away, "a thread does not go where it is sent");
        root_check(root, freed && root_node_of_cpu(back) == node, "a thread does not come back");
    }
    bool gone = cap_revoke(budget) == QY_OK && cap_delete(budget) == QY_OK;
    root_check(root, gone, "the budget of a thread could not be taken back");
    root_release(root, mark);
}

void place_run(struct root *root)
{
    for (uint64_t i = 0; i < root->info->untypeds; i++) {
        struct untyped_state state;
        qy_handle_t untyped = QY_SLOT_UNTYPED + i;
        if (untyped_info(untyped, &state) == QY_OK && cpus_of_node(state.node))
            place_one(root, untyped, state.node);
    }
}
