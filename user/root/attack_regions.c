/*
 * Attacks by calls on regions: ranges that may not be, kinds and rights that may not be, what stands in each other's
 * way, spaces and budgets that do not fit the call, and one frame writable here and executable there.
 */
#include "attack.h"

#define KERNEL_HALF 0xffff800000000000ull
#define KERNEL_TEXT 0xffffffff80010000ull
#define USER_END 0x0000800000000000ull
#define RW (QY_MAP_READ | QY_MAP_WRITE)
#define RX (QY_MAP_READ | QY_MAP_EXEC)
#define DATA (RW | QY_REGION(QY_REGION_DATA))
#define AT (ROOT_CHILD_ADDRESS + 0x4000000000ull)
#define BUDGET_PAGES 64u

/* Two spaces with a budget each. The first has a region of 8 pages at AT. */
struct pair {
    struct attack *attack;
    qy_handle_t space, other, budget;
    qy_handle_t all; /* all of it is made of this */
};

static enum qy_error map_at(qy_handle_t space, uint64_t address, uint64_t bytes, uint64_t flags,
                            uint64_t moves)
{
    return space_map_region(space, &address, bytes, flags, moves);
}

static enum qy_error clone_call(qy_handle_t to, qy_handle_t from, uint64_t address, uint64_t bytes)
{
    return qy_call(QY_CALL_space_clone, to, from, address, bytes, 0, 0).error;
}

static enum qy_error settle_call(qy_handle_t space, uint64_t address)
{
    return qy_call(QY_CALL_space_settle, space, address, 0, 0, 0, 0).error;
}

static void bad_ranges(const struct pair *pair)
{
    static const struct {
        const char *what;
        uint64_t address, bytes;
    } tries[] = {
        {"of no bytes", AT, 0},
        {"of one byte", AT, 1},
        {"of a page and a half", AT, 6144},
        {"of 2^63 bytes", AT, 1ull << 63},
        {"of 2^64 - 4096 bytes", AT, ~0xfffull},
        {"that begins inside a page", AT + 8, PAGE_BYTES},
        {"that ends where it wraps to 0", AT, 0 - AT},
        {"that wraps around all of the kernel", USER_END - PAGE_BYTES,
         ~0ull - USER_END + 3 * PAGE_BYTES},
        {"over the end of the user half", USER_END - PAGE_BYTES, 2 * PAGE_BYTES},
        {"from the last user page over the hole", USER_END - PAGE_BYTES, KERNEL_HALF - USER_END},
        {"at the first non-canonical page", USER_END, PAGE_BYTES},
        {"at the last non-canonical page", KERNEL_HALF - PAGE_BYTES, PAGE_BYTES},
        {"in the kernel's direct map", KERNEL_HALF, PAGE_BYTES},
        {"of the frame database", 0xffffc00000000000ull, PAGE_BYTES},
        {"of kernel stacks", 0xffffd00000000000ull, PAGE_BYTES},
        {"of the CPU areas", 0xffffff8000000000ull, PAGE_BYTES},
        {"of the kernel's text", KERNEL_TEXT, PAGE_BYTES},
        {"of the device registers", 0xffffffffc0000000ull, PAGE_BYTES},
        {"of the last page of all", ~0xfffull, PAGE_BYTES},
        {"that is all there is", PAGE_BYTES, ~0xfffull - PAGE_BYTES},
    };

    for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        uint64_t address = tries[i].address, bytes = tries[i].bytes;
        attack_expect(pair->attack, map_at(pair->space, address, bytes, DATA, 0),
                      QY_INVALID_ADDRESS, "map a region %s", tries[i].what);
        attack_expect(pair->attack, space_unmap_region(pair->space, address, bytes),
                      QY_INVALID_ADDRESS, "unmap a region %s", tries[i].what);
        attack_expect(pair->attack, space_protect_region(pair->space, address, bytes, QY_MAP_READ),
                      QY_INVALID_ADDRESS, "protect a region %s", tries[i].what);
        attack_expect(pair->attack, clone_call(pair->other, pair->space, address, bytes),
                      QY_INVALID_ADDRESS, "clone a range %s", tries[i].what);
    }
    attack_expect(pair->attack, space_unmap_region(pair->space, 0, PAGE_BYTES), QY_INVALID_ADDRESS,
                  "unmap page 0");
    attack_expect(pair->attack, space_protect_region(pair->space, 0, PAGE_BYTES, QY_MAP_READ),
                  QY_INVALID_ADDRESS, "protect page 0");
    attack_expect(pair->attack, clone_call(pair->other, pair->space, 0, PAGE_BYTES),
                  QY_INVALID_ADDRESS, "clone page 0");
    attack_expect(pair->attack, map_at(pair->space, 0, USER_END, DATA, 0), QY_INVALID_ADDRESS,
                  "a region anywhere, as large as the user half");
    attack_expect(pair->attack, settle_call(pair->space, USER_END), QY_INVALID_ADDRESS,
                  "settle from the first non-canonical address on");
    attack_expect(pair->attack, settle_call(pair->space, KERNEL_TEXT), QY_INVALID_ADDRESS,
                  "settle the kernel's text");
}

static void bad_kinds(const struct pair *pair)
{
    static const struct {
        const char *what;
        uint64_t flags, moves;
        enum qy_error wanted;
    } tries[] = {
        {"writable and executable", RW | QY_MAP_EXEC, 0, QY_INVALID_FLAGS},
        {"of a stack that is executable", RW | QY_MAP_EXEC | QY_REGION(QY_REGION_STACK), 0,
         QY_INVALID_FLAGS},
        {"writable and not readable", QY_MAP_WRITE, 0, QY_INVALID_FLAGS},
        {"executable and not readable", QY_MAP_EXEC, 0, QY_INVALID_FLAGS},
        {"of uncached RAM", RW | QY_MAP_UNCACHED, 0, QY_INVALID_FLAGS},
        {"of RAM that writes through", RW | QY_MAP_WRITE_THROUGH, 0, QY_INVALID_FLAGS},
        {"with a flag that does not exist", RW | 1ull << 40, 0, QY_INVALID_FLAGS},
        {"of a pager's that is a guard", DATA | QY_REGION_GUARD | QY_REGION_PAGER, 0,
         QY_INVALID_FLAGS},
        {"private, of no object", DATA | QY_REGION_PRIVATE, 0, QY_INVALID_FLAGS},
        {"of an object that the null handle names", DATA | QY_REGION_OBJECT, 0, QY_INVALID_HANDLE},
        {"with flag bit 63", RW | 1ull << 63, 0, QY_INVALID_FLAGS},
        {"of kind 5, which does not exist", RW | QY_REGION(5), 0, QY_INVALID_ARGUMENT},
        {"of kind 7, which does not exist", RW | QY_REGION(7), 0, QY_INVALID_ARGUMENT},
        {"that moves and is no guard", DATA, 1, QY_INVALID_ARGUMENT},
        {"that is a guard and moves 2^34 times", DATA | QY_REGION_GUARD, 1ull << 34,
         QY_INVALID_ARGUMENT},
        {"that is a guard and moves 2^64 - 1 times", DATA | QY_REGION_GUARD, ~0ull,
         QY_INVALID_ARGUMENT},
    };
    static const uint64_t rights[] = {RW | QY_MAP_EXEC,     QY_MAP_WRITE,
                                      QY_MAP_EXEC,          RW | 1ull << 3,
                                      RW | QY_MAP_UNCACHED, QY_MAP_READ | 1ull << 32,
                                      RW | 1ull << 63,      QY_MAP_WRITE | QY_MAP_EXEC};

    for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        attack_expect(
            pair->attack,
            map_at(pair->space, AT + 0x100000, PAGE_BYTES, tries[i].flags, tries[i].moves),
            tries[i].wanted, "a region %s", tries[i].what);
    for (unsigned i = 0; i < sizeof(rights) / sizeof(rights[0]); i++)
        attack_expect(pair->attack, space_protect_region(pair->space, AT, PAGE_BYTES, rights[i]),
                      QY_INVALID_FLAGS, "protect a region with rights 0x%llx",
                      (unsigned long long)rights[i]);
}

/* A capability of the frame maps it there, with the tables that it lacks. */
static enum qy_error map_frame(const struct pair *pair, qy_handle_t space, qy_handle_t frame,
                               uint64_t address, uint64_t flags)
{
    struct call_result r;
    qy_handle_t table;
    enum qy_error error = QY_OK;

    while ((r = frame_map(frame, space, address, flags)).error == QY_MISSING_TABLE &&
           error == QY_OK) {
        error = root_make(pair->attack->root, pair->all, QY_OBJ_PAGE_TABLE, 1, &table);
        if (error == QY_OK)
            error = table_map(table, space, address, r.value[1]).error;
    }
    return error == QY_OK ? r.error : error;
}

static void bad_places(const struct pair *pair, qy_handle_t frame)
{
    struct attack *attack = pair->attack;
    const uint64_t text = (uintptr_t)attack_regions & ~(PAGE_BYTES - 1);
    const uint64_t mapped = AT + 0x200000;

    attack_expect(attack, map_at(pair->space, AT, PAGE_BYTES, DATA, 0), QY_ALREADY_MAPPED,
                  "a region over another one");
    attack_expect(attack, map_at(pair->space, AT - PAGE_BYTES, 2 * PAGE_BYTES, DATA, 0),
                  QY_ALREADY_MAPPED, "a region half over another one");
    attack_expect(attack, map_at(pair->space, AT & ~((1ull << 39) - 1), 1ull << 39, DATA, 0),
                  QY_ALREADY_MAPPED, "a region of 512 GiB with another one in it");
    attack_expect(attack, map_at(pair->space, AT, PAGE_BYTES, DATA | QY_REGION_GUARD, 1),
                  QY_ALREADY_MAPPED, "a guard over a region");
    attack_expect(attack, map_frame(pair, pair->space, frame, AT, RW), QY_ALREADY_MAPPED,
                  "a frame over a region");
    enum qy_error error = map_frame(pair, pair->space, frame, mapped, RW);
    root_check(attack->root, error == QY_OK, "a frame could not be mapped beside a region");
    attack_expect(attack, map_at(pair->space, mapped, PAGE_BYTES, DATA, 0), QY_ALREADY_MAPPED,
                  "a region over a frame");
    attack_expect(attack, map_at(QY_SLOT_SPACE, text, PAGE_BYTES, DATA, 0), QY_UNSUPPORTED,
                  "a region in a space without a budget");
    attack_expect(attack, space_unmap_region(pair->space, AT + 0x100000, 0x100000), QY_NOT_MAPPED,
                  "unmap where nothing is");
    attack_expect(attack, space_protect_region(pair->space, AT, 16 * PAGE_BYTES, QY_MAP_READ),
                  QY_NOT_MAPPED, "protect a range with a hole");
    attack_expect(attack,
                  space_protect_region(QY_SLOT_SPACE, QY_ROOT_ARCHIVE_ADDRESS, PAGE_BYTES, RW),
                  QY_NO_RIGHTS, "make the boot archive writable");
    attack_expect(attack,
                  space_protect_region(QY_SLOT_SPACE, QY_ROOT_ARCHIVE_ADDRESS, PAGE_BYTES, RX),
                  QY_NO_RIGHTS, "make the boot archive executable");
    error = frame_unmap(frame, pair->space, mapped);
    root_check(attack->root, error == QY_OK, "a frame could not be unmapped beside a region");
}

static void bad_budgets(const struct pair *pair)
{
    struct attack *attack = pair->attack;
    const qy_handle_t unbound = attack->object[QY_OBJ_ADDRESS_SPACE];
    const uint32_t slot = attack->empty_slot;
    struct call_result reader = cap_copy(QY_SLOT_NODE, slot, pair->budget, QY_RIGHT_READ, 0);
    struct call_result blind =
        cap_copy(QY_SLOT_NODE, slot - 1, pair->space, QY_RIGHT_ALL & ~QY_RIGHT_READ, 0);
    struct space_state state;

    attack_expect(attack, space_bind(unbound, reader.value[1]), QY_NO_RIGHTS,
                  "bind a budget that may only be looked at");
    attack_expect(attack, space_bind(unbound, pair->space), QY_WRONG_TYPE,
                  "bind a space as a budget");
    attack_expect(attack, space_bind(unbound, attack->object[QY_OBJ_FRAME]), QY_WRONG_TYPE,
                  "bind a frame as a budget");
    attack_expect(attack, space_bind(unbound, attack->object[QY_OBJ_DEVICE_MEMORY]), QY_WRONG_TYPE,
                  "bind device memory as a budget");
    attack_expect(attack, space_bind(unbound, 0), QY_INVALID_HANDLE, "bind the null handle");
    attack_expect(attack, space_bind(unbound, attack->stale), QY_INVALID_HANDLE,
                  "bind a stale handle");
    attack_expect(attack, space_bind(pair->space, attack->budget), QY_BUSY, "bind a second budget");
    attack_expect(attack, map_at(unbound, AT, PAGE_BYTES, DATA, 0), QY_UNSUPPORTED,
                  "a region that nobody pays");
    attack_expect(attack, clone_call(unbound, pair->space, AT, PAGE_BYTES), QY_UNSUPPORTED,
                  "clone into a space without a budget");
    attack_expect(attack, clone_call(pair->space, pair->space, AT, PAGE_BYTES), QY_INVALID_ARGUMENT,
                  "clone a space into itself");
    attack_expect(attack, clone_call(pair->other, blind.value[1], AT, PAGE_BYTES), QY_NO_RIGHTS,
                  "clone a space that may not be looked at");
    attack_expect(attack, space_info(blind.value[1], &state), QY_NO_RIGHTS,
                  "ask what a space has that may not be looked at");
    attack_expect(attack, clone_call(pair->other, QY_SLOT_NODE, AT, PAGE_BYTES), QY_WRONG_TYPE,
                  "clone a capability node");
    attack_expect(attack, clone_call(pair->other, attack->stale, AT, PAGE_BYTES), QY_INVALID_HANDLE,
                  "clone a stale handle");
    attack_expect(attack,
                  clone_call(pair->other, QY_SLOT_SPACE, QY_ROOT_ARCHIVE_ADDRESS, PAGE_BYTES),
                  QY_UNSUPPORTED, "clone memory that no capability covers");
    attack_expect(attack, map_at(pair->other, AT + 4 * PAGE_BYTES, PAGE_BYTES, DATA, 0), QY_OK,
                  "(a page in the way of the next)");
    attack_expect(attack, clone_call(pair->other, pair->space, AT, 8 * PAGE_BYTES),
                  QY_ALREADY_MAPPED, "clone over a region");
    if (cap_delete(reader.value[1]) != QY_OK || cap_delete(blind.value[1]) != QY_OK)
        root_check(attack->root, false, "a copy could not be deleted");
}

/* One frame, writable in one space: nowhere executable, by no call. */
static void bad_aliases(const struct pair *pair, qy_handle_t frame)
{
    struct attack *attack = pair->attack;
    const uint64_t here = AT + 0x200000, there = AT + 0x400000;
    struct call_result alias = cap_copy(QY_SLOT_NODE, attack->empty_slot, frame, QY_RIGHT_ALL, 0);
    enum qy_error error = map_frame(pair, pair->space, frame, here, RW);

    root_check(attack->root, alias.error == QY_OK && error == QY_OK, "a frame could not be mapped");
    attack_expect(attack, map_frame(pair, pair->other, alias.value[1], there, RX), QY_INVALID_FLAGS,
                  "a frame writable in one space, executable in another");
    attack_expect(attack, space_protect_region(pair->space, here, PAGE_BYTES, RW | QY_MAP_EXEC),
                  QY_INVALID_FLAGS, "a frame writable and executable by protecting its range");
    error = map_frame(pair, pair->other, alias.value[1], there, QY_MAP_READ);
    root_check(attack->root, error == QY_OK, "a frame could not be mapped a second time");
    attack_expect(attack, space_protect_region(pair->other, there, PAGE_BYTES, RX),
                  QY_INVALID_FLAGS, "the second mapping executable, by protecting its range");
    attack_expect(attack, frame_protect(alias.value[1], pair->other, there, RX), QY_INVALID_FLAGS,
                  "the second mapping executable, by protecting the frame");
    error = frame_protect(alias.value[1], pair->other, there, RW);
    root_check(attack->root, error == QY_OK, "the second mapping could not be made writable");
    error = space_protect_region(pair->space, here, PAGE_BYTES, RX);
    attack_expect(attack, error, QY_INVALID_FLAGS,
                  "the first one executable while the second is writable");
    if (cap_delete(alias.value[1]) != QY_OK)
        root_check(attack->root, false, "a copy could not be deleted");
    error = frame_protect(frame, pair->space, here, RX);
    root_check(attack->root, error == QY_OK, "the only mapping could not be made executable");
    attack_expect(attack, space_protect_region(pair->space, here, PAGE_BYTES, RW | QY_MAP_EXEC),
                  QY_INVALID_FLAGS, "the only mapping writable, too");
    alias = cap_copy(QY_SLOT_NODE, attack->empty_slot, frame, QY_RIGHT_ALL, 0);
    attack_expect(attack, map_frame(pair, pair->other, alias.value[1], there, RW), QY_INVALID_FLAGS,
                  "a frame executable in one space, writable in another");
    if (cap_delete(alias.value[1]) != QY_OK)
        root_check(attack->root, false, "a copy could not be deleted");
}

void attack_regions(struct attack *attack)
{
    struct root *root = attack->root;
    uint32_t mark = root_mark(root);
    struct pair pair = {.attack = attack};
    qy_handle_t frame, other_budget;
    enum qy_error error =
        root_make(root, attack->budget, QY_OBJ_UNTYPED, 4 * BUDGET_PAGES, &pair.all);

    if (error == QY_OK)
        error = root_make(root, pair.all, QY_OBJ_UNTYPED, BUDGET_PAGES, &pair.budget);
    if (error == QY_OK)
        error = root_make(root, pair.all, QY_OBJ_UNTYPED, BUDGET_PAGES, &other_budget);
    if (error == QY_OK)
        error = root_make(root, pair.all, QY_OBJ_ADDRESS_SPACE, 1, &pair.space);
    if (error == QY_OK)
        error = root_make(root, pair.all, QY_OBJ_ADDRESS_SPACE, 1, &pair.other);
    if (error == QY_OK)
        error = root_make(root, pair.all, QY_OBJ_FRAME, 1, &frame);
    if (error == QY_OK)
        error = space_bind(pair.space, pair.budget);
    if (error == QY_OK)
        error = space_bind(pair.other, other_budget);
    if (error == QY_OK)
        error = map_at(pair.space, AT, 8 * PAGE_BYTES, DATA, 0);
    if (root_check(root, error == QY_OK, "the spaces to attack could not be made")) {
        bad_ranges(&pair);
        bad_kinds(&pair);
        bad_places(&pair, frame);
        bad_budgets(&pair);
        bad_aliases(&pair, frame);
        bool dead = cap_revoke(pair.budget) == QY_OK;
        root_check(root, dead, "a budget could not be revoked");
        attack_expect(attack, map_at(pair.space, AT + 0x800000, PAGE_BYTES, DATA, 0),
                      QY_UNSUPPORTED, "a region out of a budget that was revoked");
        qy_handle_t gone = pair.other;
        dead = cap_delete(gone) == QY_OK;
        root_check(root, dead, "a space could not be deleted");
        attack_expect(attack, map_at(gone, AT, PAGE_BYTES, DATA, 0), QY_INVALID_HANDLE,
                      "a region in a space that was deleted");
        attack_expect(attack, clone_call(pair.space, gone, AT, PAGE_BYTES), QY_INVALID_HANDLE,
                      "clone a space that was deleted");
    }
    bool back = cap_revoke(pair.all) == QY_OK && cap_delete(pair.all) == QY_OK;
    root_check(root, back, "the budgets of two spaces could not be taken back");
    root_release(root, mark);
}
