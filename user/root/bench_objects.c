/*
 * What objects cost: retype and delete of each type, revoke per descendant.
 */
#include "bench.h"

#define DESCENDANTS 256u

/* One object at a time. */
static void retype_and_delete(struct root *root, qy_handle_t budget, enum qy_object_type type)
{
    uint64_t made = 0, deleted = 0;
    bool ok = true;

    for (unsigned i = 0; ok && i < BENCH_COUNT; i++) {
        uint64_t start = clock_ticks();
        struct call_result r = untyped_retype(budget, type, 1, QY_SLOT_NODE, root->next_slot, 1);
        uint64_t middle = clock_ticks();
        enum qy_error error = cap_delete(r.value[1]);
        deleted += clock_ticks() - middle;
        made += middle - start;
        ok = r.error == QY_OK && error == QY_OK;
    }
    if (!root_check(root, ok, "an object could not be made and deleted"))
        return;
    char name[32];
    const char *words = qy_object_name(type);
    unsigned at = 0;
    for (; words[at] && at + 1 < sizeof(name); at++)
        name[at] = words[at] == ' ' ? '_' : words[at];
    name[at] = 0;
    bench_row_of(made, bench_clock(BENCH_COUNT), BENCH_COUNT, "retype_%s", name);
    bench_row_of(deleted, bench_clock(BENCH_COUNT), BENCH_COUNT, "delete_%s", name);
}

static void each_type(struct root *root, qy_handle_t budget)
{
    static const enum qy_object_type types[] = {
        QY_OBJ_FRAME,     QY_OBJ_PAGE_TABLE, QY_OBJ_UNTYPED, QY_OBJ_ADDRESS_SPACE, QY_OBJ_CAP_NODE,
        QY_OBJ_THREAD,    QY_OBJ_ENDPOINT,   QY_OBJ_REPLY,   QY_OBJ_NOTIFICATION,  QY_OBJ_TIMER,
        QY_OBJ_INTERRUPT, QY_OBJ_IO_PORTS,   QY_OBJ_MEMORY};

    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        retype_and_delete(root, budget, types[i]);
}

/* Frames in one call, which zeroes them. */
static void retype_many(struct root *root, qy_handle_t budget)
{
    uint64_t start = clock_ticks();
    struct call_result r =
        untyped_retype(budget, QY_OBJ_FRAME, 1, QY_SLOT_NODE, root->next_slot, DESCENDANTS);
    uint64_t ticks = clock_ticks() - start;

    if (!root_check(root, r.error == QY_OK, "frames could not be made together"))
        return;
    bench_row("retype_frame_of_256", ticks, bench_clock(1), DESCENDANTS);
    start = clock_ticks();
    enum qy_error error = cap_revoke(budget);
    ticks = clock_ticks() - start;
    if (root_check(root, error == QY_OK, "frames could not be revoked"))
        bench_row("revoke_frame", ticks, bench_clock(1), DESCENDANTS);
}

/* The same, each of them mapped. */
static void revoke_mapped(struct root *root, qy_handle_t budget)
{
    const uint64_t flags = QY_MAP_READ | QY_MAP_WRITE;
    uint32_t slot = root->next_slot;
    qy_handle_t frames;
    bool ok = root_make(root, budget, QY_OBJ_UNTYPED, DESCENDANTS + 40, &frames) == QY_OK;
    struct call_result r =
        untyped_retype(frames, QY_OBJ_FRAME, 1, QY_SLOT_NODE, slot + 8, DESCENDANTS);

    for (unsigned i = 0; ok && r.error == QY_OK && i < DESCENDANTS; i++) {
        struct cap_state cap;
        ok = cap_info(QY_SLOT_NODE, slot + 8 + i, &cap) == QY_OK &&
             root_map(root, budget, cap.handle, BENCH_AT + i * PAGE_BYTES, flags, false, NULL) ==
                 QY_OK;
    }
    uint64_t start = clock_ticks();
    enum qy_error error = cap_revoke(frames);
    uint64_t ticks = clock_ticks() - start;
    if (root_check(root, ok && r.error == QY_OK && error == QY_OK,
                   "mapped frames could not be revoked"))
        bench_row("revoke_mapped_frame", ticks, bench_clock(1), DESCENDANTS);
}

static void revoke_copies(struct root *root, qy_handle_t budget)
{
    qy_handle_t frame;
    bool ok = root_make(root, budget, QY_OBJ_FRAME, 1, &frame) == QY_OK;

    for (unsigned i = 0; ok && i < DESCENDANTS; i++)
        ok = cap_copy(QY_SLOT_NODE, root->next_slot + i, frame, QY_RIGHT_ALL, 0).error == QY_OK;
    uint64_t start = clock_ticks();
    enum qy_error error = cap_revoke(frame);
    uint64_t ticks = clock_ticks() - start;
    if (root_check(root, ok && error == QY_OK, "copies could not be revoked"))
        bench_row("revoke_copy", ticks, bench_clock(1), DESCENDANTS);
}

void bench_objects(struct root *root)
{
    bench_with_budget(root, 64, each_type);
    bench_with_budget(root, DESCENDANTS + 64, retype_many);
    bench_with_budget(root, DESCENDANTS + 96, revoke_mapped);
    bench_with_budget(root, 64, revoke_copies);
}
