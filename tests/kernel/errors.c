/*
 * Errors that follow from the table of invocations, for every call: a handle that is none, one of another type, one with
 * too few rights. And a few that no other test meets. tests/kernel/errors.sh compares all that calls returned, in all
 * tests of the kernel, with quarry/call_errors.h.
 */
#include "scene.h"

#include <quarry/records.h>

#define BUDGET_PAGES 64u

/* A capability with all rights of each type; 0: there is none here. */
static qy_handle_t of_type[QY_OBJ_COUNT];
static qy_handle_t budget;

static void make_all(void)
{
    budget = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, BUDGET_PAGES);
    for (unsigned type = QY_OBJ_UNTYPED; type < QY_OBJ_DEVICE_MEMORY; type++)
        of_type[type] = make(budget, (enum qy_object_type)type, 1);
    of_type[QY_OBJ_CONSOLE] = QY_SLOT_CONSOLE;
    of_type[QY_OBJ_SYSTEM] = QY_SLOT_SYSTEM;
    for (uint64_t slot = QY_SLOT_UNTYPED; slot < QY_SLOT_UNTYPED + 64; slot++) {
        struct result r = CALL(QY_CALL_cap_info, ROOT_NODE, slot, 0, 0, 0, 0);
        if (r.error == QY_OK && (r.x[1] & 0xff) == QY_OBJ_DEVICE_MEMORY)
            of_type[QY_OBJ_DEVICE_MEMORY] = r.x[2];
    }
}

static const struct {
    enum qy_invocation number;
    enum qy_object_type type;
    unsigned rights;
} calls[] = {
#define X(number, name, type, rights, arguments, results) {QY_CALL_##name, QY_OBJ_##type, rights},
    QY_INVOCATIONS(X)
#undef X
};

static void first_argument(void)
{
    make_all();
    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (calls[i].type == QY_OBJ_NONE)
            continue;
        qy_handle_t good = of_type[calls[i].type];
        CHECK(good);
        CHECK_EQ(CALL(calls[i].number, 0, 0, 0, 0, 0, 0).error, QY_INVALID_HANDLE);
        CHECK_EQ(CALL(calls[i].number, good | 7ull << 32, 0, 0, 0, 0, 0).error, QY_INVALID_HANDLE);
        for (unsigned type = 1; type < QY_OBJ_COUNT; type++)
            if (type != calls[i].type && of_type[type])
                CHECK_EQ(CALL(calls[i].number, of_type[type], 0, 0, 0, 0, 0).error, QY_WRONG_TYPE);
        for (unsigned bit = 0; bit < 4; bit++) /* each right that is needed, missing */
            if (calls[i].rights & 1u << bit) {
                qy_handle_t weak = copy(good, QY_RIGHT_ALL & ~(1u << bit), 0);
                CHECK_EQ(CALL(calls[i].number, weak, 0, 0, 0, 0, 0).error, QY_NO_RIGHTS);
                CHECK_EQ(erase(weak), QY_OK);
                scene_slot--;
            }
    }
    CHECK_EQ(CALL(QY_CALL_COUNT, 0, 0, 0, 0, 0, 0).error, QY_UNKNOWN_CALL);
    scene_end();
}

#define EXPECT(error_wanted, ...) CHECK_EQ(CALL(__VA_ARGS__).error, error_wanted)

/* What no other test of the kernel meets. */
static void others(void)
{
    const uint64_t far = USER_END, kept_bits = QY_LABEL_NOTIFIED;

    make_all();
    qy_handle_t thread = of_type[QY_OBJ_THREAD], space = of_type[QY_OBJ_ADDRESS_SPACE];
    qy_handle_t other = make(budget, QY_OBJ_ADDRESS_SPACE, 1),
                from = make(budget, QY_OBJ_ADDRESS_SPACE, 1);
    qy_handle_t purse = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
    EXPECT(QY_INVALID_ARGUMENT, QY_CALL_thread_configure, thread, ROOT_SPACE, ROOT_NODE, 0, 5, 0);
    EXPECT(QY_OK, QY_CALL_thread_configure, thread, ROOT_SPACE, ROOT_NODE, 0, 0, 0);
    EXPECT(QY_INVALID_ADDRESS, QY_CALL_thread_start, thread, far, 0x401000, 0, 0, 0);
    EXPECT(QY_INVALID_ARGUMENT, QY_CALL_console_write, QY_SLOT_CONSOLE, 0x401000, 1025, 0, 0, 0);
    EXPECT(QY_BAD_USER_POINTER, QY_CALL_console_write, QY_SLOT_CONSOLE, far, 1, 0, 0, 0);
    EXPECT(QY_WOULD_WAIT, QY_CALL_console_read, QY_SLOT_CONSOLE, 0, 0, 0, 0, 0);
    EXPECT(QY_NOT_FOUND, QY_CALL_system_record, QY_SLOT_SYSTEM, QY_RECORD_KIND_MACHINE, 5, 0x401000,
           8, 0);
    EXPECT(QY_INVALID_ARGUMENT, QY_CALL_endpoint_reply_receive, of_type[QY_OBJ_ENDPOINT],
           of_type[QY_OBJ_REPLY], kept_bits, 0, 0, 0);
    EXPECT(QY_INVALID_ADDRESS, QY_CALL_space_unmap_region, space, far, 4096, 0, 0, 0);
    EXPECT(QY_INVALID_ADDRESS, QY_CALL_space_protect_region, space, far, 4096, RW, 0, 0);
    EXPECT(QY_INVALID_ARGUMENT, QY_CALL_space_handler, space, 0, 5, 0, 0, 0);
    /* The same range in both. */
    EXPECT(QY_OK, QY_CALL_space_bind, other, purse, 0, 0, 0, 0);
    EXPECT(QY_OK, QY_CALL_space_bind, from, purse, 0, 0, 0, 0);
    EXPECT(QY_OK, QY_CALL_space_map_region, other, 0x10000, 4096, RW, 0, 0);
    EXPECT(QY_OK, QY_CALL_space_map_region, from, 0x10000, 4096, RW, 0, 0);
    EXPECT(QY_ALREADY_MAPPED, QY_CALL_space_clone, other, from, 0x10000, 4096, 0, 0);
    /* A region somewhere else needs tables. */
    enum qy_error error = QY_OK;
    for (uint64_t i = 1; i < 128 && error == QY_OK; i++)
        error = CALL(QY_CALL_space_map_region, other, i << 39, 4096, RW, 0, 0).error;
    CHECK_EQ(error, QY_OUT_OF_MEMORY);
    scene_end();
}

static const struct test tests[] = {
    {"the first argument of every call", first_argument},
    {"what no other test meets", others},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
