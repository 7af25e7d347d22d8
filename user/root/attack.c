/*
 * The hostile program's frame: it makes one object of each type, runs the attacks, and sees that no
 * memory is gone.
 */
#include "attack.h"
#include <lib/format.h>

#define BUDGET_PAGES 1200u

static void count(struct attack *attack, bool refused, const char *what, const char *answer)
{
    attack->attempts++;
    attack->refused += refused;
    print("attack: %s %02u %s -> %s\n", refused ? "ok" : "NOT OK", attack->attempts, what, answer);
    if (!refused)
        root_check(attack->root, false, "an attack was not refused as expected");
}

void attack_expect(struct attack *attack, enum qy_error got, enum qy_error wanted,
                   const char *format, ...)
{
    char what[96], answer[64];
    va_list arguments;

    va_start(arguments, format);
    (void)format_to_v(what, sizeof(what), format, arguments);
    va_end(arguments);
    if (got == wanted)
        (void)format_to(answer, sizeof(answer), "error %s", qy_error_name(got));
    else
        (void)format_to(answer, sizeof(answer), "error %s, expected %s", qy_error_name(got),
                        qy_error_name(wanted));
    count(attack, got == wanted, what, answer);
}

void attack_stopped(struct attack *attack, bool stopped, const char *how, const char *format, ...)
{
    char what[96];
    va_list arguments;

    va_start(arguments, format);
    (void)format_to_v(what, sizeof(what), format, arguments);
    va_end(arguments);
    count(attack, stopped, what, how);
}

unsigned attack_cpu(const struct attack *attack)
{
    return attack->attempts % attack->root->info->cpus;
}

void attack_all_holds(struct attack *attack, const char *when)
{
    char broken[SYSTEM_CHECK_NAME];
    bool asked = system_check(QY_SLOT_SYSTEM, broken) == QY_OK;

    if (broken[0])
        print("attack: after %s: %s does not hold\n", when, broken);
    root_check(attack->root, asked && !broken[0], "an invariant does not hold after attacks");
}

/* One object of each type out of the budget; the types made at boot stand in the root task's slots.
 */
static enum qy_error make_objects(struct attack *attack)
{
    static const enum qy_object_type types[] = {
        QY_OBJ_UNTYPED,   QY_OBJ_FRAME,    QY_OBJ_PAGE_TABLE, QY_OBJ_ADDRESS_SPACE, QY_OBJ_CAP_NODE,
        QY_OBJ_THREAD,    QY_OBJ_ENDPOINT, QY_OBJ_REPLY,      QY_OBJ_NOTIFICATION,  QY_OBJ_TIMER,
        QY_OBJ_INTERRUPT, QY_OBJ_IO_PORTS, QY_OBJ_DMA,        QY_OBJ_MEMORY};
    struct root *root = attack->root;
    qy_handle_t frame;
    enum qy_error error;

    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        error = root_make(root, attack->budget, types[i], 1, &attack->object[types[i]]);
        if (error != QY_OK)
            return error;
    }
    attack->object[QY_OBJ_DEVICE_MEMORY] = QY_SLOT_UNTYPED + root->info->untypeds;
    attack->object[QY_OBJ_CONSOLE] = QY_SLOT_CONSOLE;
    attack->object[QY_OBJ_SYSTEM] = QY_SLOT_SYSTEM;
    error = root_make(root, attack->budget, QY_OBJ_FRAME, 1, &attack->stale);
    if (error == QY_OK)
        error = cap_delete(attack->stale);
    if (error != QY_OK)
        return error;
    root->next_slot--;
    error = root_make(root, attack->budget, QY_OBJ_FRAME, 1, &frame);
    attack->empty_slot = root->info->node_slots - 1;
    return error;
}

void attack_run(struct root *root)
{
    static const struct {
        const char *what;
        void (*run)(struct attack *attack);
    } groups[] = {
        {"handles", attack_handles},           {"retype", attack_retype},
        {"pointers", attack_pointers},         {"mappings", attack_mappings},
        {"devices", attack_devices},           {"leftovers", attack_leftovers},
        {"threads", attack_threads},           {"touches", attack_touches},
        {"instructions", attack_instructions}, {"calls on regions", attack_regions},
        {"memory of regions", attack_lent},
    };
    static struct attack attack;
    struct untyped_state before, now;
    uint32_t mark = root_mark(root);

    print("attack: a program tries what it must not be able to do\n");
    attack = (struct attack){.root = root};
    enum qy_error error = untyped_info(root->untyped, &before);
    if (error == QY_OK)
        error = root_make(root, root->untyped, QY_OBJ_UNTYPED, BUDGET_PAGES, &attack.budget);
    if (error == QY_OK)
        error = make_objects(&attack);
    if (!root_check(root, error == QY_OK, "the objects to attack with could not be made"))
        return;
    for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        groups[i].run(&attack);
        attack_all_holds(&attack, groups[i].what);
    }
    bool gone = cap_revoke(attack.budget) == QY_OK && cap_delete(attack.budget) == QY_OK;
    root_check(root, gone, "the budget of the attacks could not be taken back");
    root_release(root, mark);
    bool same = untyped_info(root->untyped, &now) == QY_OK && now.free_bytes == before.free_bytes;
    root_check(root, same, "memory is missing after the attacks");
    print("attack: free memory before %llu bytes, after %llu\n",
          (unsigned long long)before.free_bytes, (unsigned long long)now.free_bytes);
    print("attack: %u attempts, %u refused\n", attack.attempts, attack.refused);
}
