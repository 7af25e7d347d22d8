/*
 * Attacks on capabilities: handles that name nothing or the wrong thing, numbers that are no call,
 * rights that were not given, and retype with numbers at and beyond every limit.
 */
#include "attack.h"

static const struct invocation {
    unsigned number;
    const char *name;
    enum qy_object_type type;
    unsigned rights;
} invocations[] = {
#define X(number, name, type, rights, arguments, results) {number, #name, QY_OBJ_##type, rights},
    QY_INVOCATIONS(X)
#undef X
};

#define INVOCATIONS (sizeof(invocations) / sizeof(invocations[0]))

static enum qy_error call_on(uint64_t number, qy_handle_t handle)
{
    return qy_call(number, handle, 0, 0, 0, 0, 0).error;
}

static void bad_handles(struct attack *attack)
{
    const qy_handle_t beyond = attack->root->info->node_slots, far = 0xffffffffu,
                      old = attack->stale;

    for (unsigned i = 0; i < INVOCATIONS; i++) {
        const struct invocation *call = &invocations[i];
        if (call->type == QY_OBJ_NONE)
            continue;
        enum qy_object_type other = call->type == QY_OBJ_CONSOLE ? QY_OBJ_SYSTEM : QY_OBJ_CONSOLE;
        attack_expect(attack, call_on(call->number, 0), QY_INVALID_HANDLE, "%s on the null handle",
                      call->name);
        attack_expect(attack, call_on(call->number, beyond), QY_INVALID_HANDLE,
                      "%s on a handle out of range", call->name);
        attack_expect(attack, call_on(call->number, attack->object[other]), QY_WRONG_TYPE,
                      "%s on a %s", call->name, qy_object_name(other));
    }
    attack_expect(attack, cap_delete(0), QY_INVALID_HANDLE, "cap_delete on the null handle");
    attack_expect(attack, cap_delete(beyond), QY_INVALID_HANDLE,
                  "cap_delete on a handle out of range");
    attack_expect(attack, cap_revoke(far), QY_INVALID_HANDLE, "cap_revoke on slot 2^32 - 1");
    attack_expect(attack, cap_delete(old), QY_INVALID_HANDLE, "cap_delete on a stale handle");
    attack_expect(attack, cap_revoke(old), QY_INVALID_HANDLE, "cap_revoke on a stale handle");
    attack_expect(attack, frame_map(old, QY_SLOT_SPACE, ATTACK_ADDRESS, QY_MAP_READ).error,
                  QY_INVALID_HANDLE, "frame_map of a deleted frame whose slot names another");
    attack_expect(attack, cap_delete(QY_SLOT_CONSOLE | 1ull << 63), QY_INVALID_HANDLE,
                  "cap_delete with a generation that never was");
}

static void bad_numbers(struct attack *attack)
{
    const uint64_t numbers[] = {QY_CALL_COUNT,
                                255,
                                0x7fffffff,
                                0x80000000,
                                0xffffffff,
                                1ull << 32,
                                (1ull << 32) + QY_CALL_yield,
                                1ull << 63,
                                ~0ull};
    unsigned wrong = 0;

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        attack_expect(attack, call_on(numbers[i], QY_SLOT_NODE), QY_UNKNOWN_CALL,
                      "call number 0x%llx", (unsigned long long)numbers[i]);
    }
    for (uint64_t number = QY_CALL_COUNT; number < 4096; number++)
        wrong += call_on(number, QY_SLOT_NODE) != QY_UNKNOWN_CALL;
    attack_stopped(attack, wrong == 0, "error UNKNOWN_CALL each",
                   "every call number from %u to 4095", QY_CALL_COUNT);
}

/* Every call that needs a right, through a capability without it. */
static void missing_rights(struct attack *attack)
{
    const uint32_t slot = attack->empty_slot;

    for (unsigned i = 0; i < INVOCATIONS; i++) {
        const struct invocation *call = &invocations[i];
        if (call->type == QY_OBJ_NONE || !call->rights)
            continue;
        struct call_result copy = cap_copy(QY_SLOT_NODE, slot, attack->object[call->type],
                                           QY_RIGHT_ALL & ~call->rights, 0);
        if (copy.error != QY_OK) {
            attack_expect(attack, copy.error, QY_OK, "prepare %s without the right", call->name);
            continue;
        }
        attack_expect(attack, call_on(call->number, copy.value[1]), QY_NO_RIGHTS,
                      "%s without the right to it", call->name);
        if (cap_delete(copy.value[1]) != QY_OK)
            root_check(attack->root, false, "a copy could not be deleted");
    }
}

static void wider_rights(struct attack *attack)
{
    const uint32_t slot = attack->empty_slot;
    struct call_result narrow = cap_copy(QY_SLOT_NODE, slot, attack->object[QY_OBJ_FRAME],
                                         QY_RIGHT_READ | QY_RIGHT_GRANT, 0);
    struct call_result wide = cap_copy(QY_SLOT_NODE, slot - 1, narrow.value[1], QY_RIGHT_ALL, 0);

    attack_expect(attack, wide.error, QY_NO_RIGHTS, "a copy with more rights than its original");
    attack_expect(
        attack,
        frame_map(narrow.value[1], QY_SLOT_SPACE, ATTACK_ADDRESS, QY_MAP_READ | QY_MAP_WRITE).error,
        QY_NO_RIGHTS, "a writable mapping through a read-only capability");
    attack_expect(
        attack,
        frame_map(narrow.value[1], QY_SLOT_SPACE, ATTACK_ADDRESS, QY_MAP_READ | QY_MAP_EXEC).error,
        QY_NO_RIGHTS, "an executable mapping through a read-only capability");
    if (cap_delete(narrow.value[1]) != QY_OK)
        root_check(attack->root, false, "a copy could not be deleted");
    struct call_result sterile =
        cap_copy(QY_SLOT_NODE, slot, attack->object[QY_OBJ_FRAME], QY_RIGHT_READ, 0);
    wide = cap_copy(QY_SLOT_NODE, slot - 1, sterile.value[1], QY_RIGHT_READ, 0);
    attack_expect(attack, wide.error, QY_NO_RIGHTS,
                  "a copy of a capability that may not be copied");
    if (cap_delete(sterile.value[1]) != QY_OK)
        root_check(attack->root, false, "a copy could not be deleted");
    wide = cap_copy(QY_SLOT_NODE, QY_SLOT_CONSOLE, attack->object[QY_OBJ_FRAME], QY_RIGHT_READ, 0);
    attack_expect(attack, wide.error, QY_SLOT_OCCUPIED, "a copy into a slot in use");
    wide = cap_copy(QY_SLOT_NODE, attack->root->info->node_slots, attack->object[QY_OBJ_FRAME],
                    QY_RIGHT_READ, 0);
    attack_expect(attack, wide.error, QY_INVALID_ARGUMENT, "a copy into a slot beyond the node");
    wide =
        cap_copy(QY_SLOT_NODE, 1ull << 32 | slot, attack->object[QY_OBJ_FRAME], QY_RIGHT_READ, 0);
    attack_expect(attack, wide.error, QY_INVALID_ARGUMENT,
                  "a copy into slot number 2^32 + an empty one");
    wide = cap_copy(QY_SLOT_NODE, 0, attack->object[QY_OBJ_FRAME], QY_RIGHT_READ, 0);
    attack_expect(attack, wide.error, QY_INVALID_ARGUMENT, "a copy into slot 0, the null handle");
    wide = cap_copy(QY_SLOT_NODE, slot, attack->object[QY_OBJ_FRAME], 1ull << 40, 0);
    attack_expect(attack, wide.error, QY_INVALID_ARGUMENT,
                  "a copy with a right that does not exist");
}

void attack_handles(struct attack *attack)
{
    bad_handles(attack);
    bad_numbers(attack);
    missing_rights(attack);
    wider_rights(attack);
}

void attack_retype(struct attack *attack)
{
    const uint64_t slot = attack->empty_slot, slots = attack->root->info->node_slots;
    const struct {
        const char *what;
        uint64_t type, pages, slot, count;
        enum qy_error wanted;
    } tries[] = {
        {"no objects", QY_OBJ_FRAME, 1, slot, 0, QY_INVALID_ARGUMENT},
        {"a frame of 0 pages", QY_OBJ_FRAME, 0, slot, 1, QY_INVALID_ARGUMENT},
        {"a frame of 3 pages", QY_OBJ_FRAME, 3, slot, 1, QY_INVALID_ARGUMENT},
        {"a page table of 2 pages", QY_OBJ_PAGE_TABLE, 2, slot, 1, QY_INVALID_ARGUMENT},
        {"a frame of 2^52 pages", QY_OBJ_FRAME, 1ull << 52, slot, 1, QY_INVALID_ARGUMENT},
        {"a frame of 2^63 pages", QY_OBJ_FRAME, 1ull << 63, slot, 1, QY_INVALID_ARGUMENT},
        {"an untyped of 2^52 + 1 pages", QY_OBJ_UNTYPED, (1ull << 52) + 1, slot, 1,
         QY_OUT_OF_MEMORY},
        {"an untyped of 2^64 - 1 pages", QY_OBJ_UNTYPED, ~0ull, slot, 1, QY_OUT_OF_MEMORY},
        {"more pages than there are", QY_OBJ_FRAME, 2048, slot, 1, QY_OUT_OF_MEMORY},
        {"the kind \"none\"", QY_OBJ_NONE, 1, slot, 1, QY_INVALID_ARGUMENT},
        {"device memory", QY_OBJ_DEVICE_MEMORY, 1, slot, 1, QY_INVALID_ARGUMENT},
        {"a console", QY_OBJ_CONSOLE, 1, slot, 1, QY_INVALID_ARGUMENT},
        {"the right to switch off", QY_OBJ_SYSTEM, 1, slot, 1, QY_INVALID_ARGUMENT},
        {"a type beyond the last", QY_OBJ_COUNT, 1, slot, 1, QY_INVALID_ARGUMENT},
        {"type 2^32 + frame", (1ull << 32) + QY_OBJ_FRAME, 1, slot, 1, QY_INVALID_ARGUMENT},
        {"type 2^64 - 1", ~0ull, 1, slot, 1, QY_INVALID_ARGUMENT},
        {"into the null slot", QY_OBJ_FRAME, 1, 0, 1, QY_INVALID_ARGUMENT},
        {"into a slot in use", QY_OBJ_FRAME, 1, QY_SLOT_CONSOLE, 1, QY_SLOT_OCCUPIED},
        {"into two slots, the second beyond the node", QY_OBJ_FRAME, 1, slot, 2,
         QY_INVALID_ARGUMENT},
        {"into a slot beyond the node", QY_OBJ_FRAME, 1, slots, 1, QY_INVALID_ARGUMENT},
        {"into slot 2^64 - 1", QY_OBJ_FRAME, 1, ~0ull, 1, QY_INVALID_ARGUMENT},
        {"into slots that wrap", QY_OBJ_FRAME, 1, ~0ull, 2, QY_INVALID_ARGUMENT},
        {"2^32 + 1 objects", QY_OBJ_ENDPOINT, 1, slot, (1ull << 32) + 1, QY_INVALID_ARGUMENT},
        {"2^64 - 1 objects", QY_OBJ_ENDPOINT, 1, slot, ~0ull, QY_INVALID_ARGUMENT},
        {"count times size = 2^64", QY_OBJ_FRAME, 1ull << 40, slot - 1, 1ull << 12,
         QY_INVALID_ARGUMENT},
    };

    for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        struct call_result r = qy_call(QY_CALL_untyped_retype, attack->budget, tries[i].type,
                                       tries[i].pages, QY_SLOT_NODE, tries[i].slot, tries[i].count);
        attack_expect(attack, r.error, tries[i].wanted, "retype %s", tries[i].what);
    }
    struct call_result r =
        untyped_retype(attack->budget, QY_OBJ_FRAME, 1, QY_SLOT_CONSOLE, slot, 1);
    attack_expect(attack, r.error, QY_WRONG_TYPE,
                  "retype into a console instead of a capability node");
    r = untyped_retype(attack->budget, QY_OBJ_FRAME, 1, attack->stale, slot, 1);
    attack_expect(attack, r.error, QY_INVALID_HANDLE, "retype into a stale handle");
}
