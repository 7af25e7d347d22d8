/*
 * Revoke of very much at once (word `revoke`): an untyped of 1 GiB with 100,000 descendants, some of them mapped, that also
 * pays for a region of the root task's space. Needs 2 GiB of RAM.
 *
 *     budget, 1 GiB --- 4 nodes full of frames of one page     100,000
 *                   |-- frames that the root task has mapped   MAPPED
 *                   '-- pages of a region                      TOUCHED
 *
 * Afterwards the budget is one free whole. What it prints is how long the revoke took, and the longest stretch of it that let no
 * interrupt in, in ticks of the clock: under an emulator that counts, instructions.
 */
#include "root.h"
#include <quarry/records.h>

#define BUDGET_PAGES (1u << 18)
#define DESCENDANTS 100000u
#define BATCH 250u
#define NODES 4u
#define NODE_PAGES 512u
#define NODE_FRAMES (DESCENDANTS / NODES)
#define MAPPED 256u
#define TOUCHED 8192u
#define REGION_BYTES (1ull << 30)

uint64_t longest_stretch(const struct root *root)
{
    uint64_t longest = 0;
    for (uint64_t cpu = 0; cpu < root->info->cpus; cpu++) {
        struct qy_record_cpu record = {0};
        enum qy_error error =
            system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_CPU, cpu, &record, sizeof(record));
        if (error == QY_OK && record.longest_stretch > longest)
            longest = record.longest_stretch;
    }
    return longest;
}

static bool fill_node(qy_handle_t budget, qy_handle_t node)
{
    enum qy_error error = QY_OK;
    for (uint64_t slot = 1; slot < NODE_FRAMES && error == QY_OK; slot += BATCH)
        error = untyped_retype(budget, QY_OBJ_FRAME, 1, node, slot, BATCH).error;
    return error == QY_OK;
}

static bool map_some(struct root *root, qy_handle_t budget)
{
    enum qy_error error = QY_OK;
    for (uint64_t i = 0; i < MAPPED && error == QY_OK; i++) {
        qy_handle_t frame;
        error = root_make(root, budget, QY_OBJ_FRAME, 1, &frame);
        if (error == QY_OK)
            error = root_map(root, budget, frame, ROOT_PAGE_ADDRESS + i * PAGE_BYTES,
                             QY_MAP_READ | QY_MAP_WRITE, false, NULL);
    }
    return error == QY_OK;
}

static bool touch_some(qy_handle_t budget)
{
    uint64_t at = 0;
    if (space_bind(QY_SLOT_SPACE, budget) != QY_OK ||
        space_map_region(QY_SLOT_SPACE, &at, REGION_BYTES, QY_MAP_READ | QY_MAP_WRITE, 0) != QY_OK)
        return false;
    for (uint64_t i = 0; i < TOUCHED; i++)
        *(volatile uint64_t *)(at + i * PAGE_BYTES) = i;
    return true;
}

static bool populate(struct root *root, qy_handle_t budget)
{
    bool ok = true;
    for (unsigned i = 0; i < NODES && ok; i++) {
        qy_handle_t node;
        ok = root_make(root, budget, QY_OBJ_CAP_NODE, NODE_PAGES, &node) == QY_OK &&
             fill_node(budget, node);
    }
    return ok && map_some(root, budget) && touch_some(budget);
}

void revoke_run(struct root *root)
{
    uint32_t mark = root_mark(root);
    struct untyped_state before, filled = {0}, after = {0};
    qy_handle_t budget;
    if (!root_check(root,
                    root_make(root, root->untyped, QY_OBJ_UNTYPED, BUDGET_PAGES, &budget) == QY_OK,
                    "no untyped of 1 GiB could be made: the machine is too small") ||
        !root_check(root, untyped_info(budget, &before) == QY_OK, "untyped_info failed"))
        return;
    bool ok = populate(root, budget) && untyped_info(budget, &filled) == QY_OK;
    uint64_t making = longest_stretch(root), start = clock_ticks();
    ok = cap_revoke(budget) == QY_OK && ok;
    uint64_t ticks = clock_ticks() - start, longest = longest_stretch(root);
    ok = ok && untyped_info(budget, &after) == QY_OK;
    if (root_check(root, ok && filled.objects >= DESCENDANTS, "a call failed"))
        root_check(root, after.free_bytes == before.free_bytes && after.objects == 0,
                   "the untyped is not one free whole after its revoke");
    print(
        "revoke: %llu objects, %u mappings, %u pages of a region: %llu %s\n"
        "revoke: longest stretch without interrupts %llu ticks; of the calls that made them %llu\n",
        (unsigned long long)filled.objects, MAPPED, TOUCHED, (unsigned long long)ticks, CLOCK_NAME,
        (unsigned long long)longest, (unsigned long long)making);
    root_check(root, cap_delete(budget) == QY_OK, "the untyped could not be deleted");
    root_release(root, mark);
}
