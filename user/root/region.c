/*
 * Third part of the demonstration: memory on demand. A budget is bound to the root task's own space. Regions are
 * reserved, which costs the same whatever their size; a page appears when it is touched, out of the budget; parts
 * are protected and unmapped; and the kernel reads the regions back out of its page tables, neighbours merged.
 */
#include "root.h"

#include <quarry/records.h>

#define BUDGET_PAGES 256u
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)
#define TOUCHES 4u
#define RW (QY_MAP_READ | QY_MAP_WRITE)
/* Pages of the descriptors and lists that the kernel keeps for so few tables. */
#define RECORDS_PAGES_MAX 4u

struct scene {
    struct root *root;
    qy_handle_t budget;
    struct space_state before; /* the budget was bound */
    uint64_t small, large, heap;
};

bool root_take_back(struct root *root, qy_handle_t budget, const char *what)
{
    struct untyped_state now;
    enum qy_error error = cap_revoke(budget);
    bool whole = error == QY_OK && untyped_info(budget, &now) == QY_OK && now.objects == 0 &&
                 now.free_bytes == now.total_bytes && cap_delete(budget) == QY_OK;

    root_said(error, "revoke %s: all that came of it goes", what);
    return root_check(root, whole, "a revoked budget is not one free whole");
}

void root_conserved(struct root *root, const struct untyped_state *before, const char *wrong)
{
    struct untyped_state now;
    bool same = untyped_info(root->untyped, &now) == QY_OK &&
                now.free_bytes == before->free_bytes && now.objects == before->objects;
    print("   free in the untyped: %llu bytes at first, %llu now: %s\n",
          (unsigned long long)before->free_bytes, (unsigned long long)now.free_bytes,
          same ? "conserved" : "NOT THE SAME");
    root_check(root, same, wrong);
}

/* Regions of the range; returns how many. */
static unsigned list(uint64_t from, uint64_t end)
{
    struct space_region region;
    unsigned count = 0;

    for (; space_query(QY_SLOT_SPACE, from, &region) == QY_OK && region.start < end; count++) {
        print("      %R  %10S  %c%c%c  %s\n", region.start, region.end - region.start,
              region.flags & QY_MAP_READ ? 'r' : '-', region.flags & QY_MAP_WRITE ? 'w' : '-',
              region.flags & QY_MAP_EXEC ? 'x' : '-',
              region_kind_name(QY_QUERY_KIND(region.flags)));
        from = region.end;
    }
    return count;
}

/* Reserve memory anywhere; *took: bytes of the budget. */
static bool reserve(struct scene *scene, const char *cost, uint64_t bytes, enum qy_region_kind kind,
                    uint64_t *address, uint64_t *took)
{
    struct untyped_state before = {0}, after = {0};
    uint64_t at = 0;
    enum qy_error asked = untyped_info(scene->budget, &before);
    uint64_t start = clock_ticks();
    enum qy_error error = space_map_region(QY_SLOT_SPACE, &at, bytes, RW | QY_REGION(kind), 0);

    root_cost(scene->root, cost, clock_ticks() - start);
    root_said(error, "reserve %S, anywhere", bytes);
    if (asked == QY_OK)
        asked = untyped_info(scene->budget, &after);
    *address = at;
    *took = before.free_bytes - after.free_bytes;
    return root_check(scene->root, error == QY_OK && asked == QY_OK,
                      "a region could not be reserved");
}

/* Pages far apart are zero and hold what is written. */
static bool touch(struct scene *scene)
{
    bool zero = true, held = true;

    for (unsigned i = 0; i < TOUCHES; i++) {
        volatile uint64_t *word = (volatile uint64_t *)(scene->large + i * (TIB / TOUCHES));
        uint64_t start = clock_ticks();
        zero &= *word == 0;
        root_cost(scene->root, "touch a page, with the tables above it", clock_ticks() - start);
        *word = (uintptr_t)word;
    }
    for (unsigned i = 0; i < TOUCHES; i++) {
        uint64_t address = scene->large + i * (TIB / TOUCHES);
        held &= *(volatile uint64_t *)address == address;
    }
    print("   %-60s  %s\n", "touch a page in each quarter of the 1 TiB: zeroes appear",
          zero && held ? "ok" : "NO");
    return root_check(scene->root, zero && held, "a touched page is not what it should be");
}

static void change(struct scene *scene)
{
    struct root *root = scene->root;
    volatile uint64_t *word = (volatile uint64_t *)scene->large;

    uint64_t start = clock_ticks();
    enum qy_error error = space_protect_region(QY_SLOT_SPACE, scene->large, MIB, QY_MAP_READ);
    root_cost(root, "protect 1 MiB, one page of it present", clock_ticks() - start);
    root_said(error, "its first 1 MiB: read only");
    root_check(root, error == QY_OK && *word == scene->large, "a region could not be protected");
    start = clock_ticks();
    error = space_unmap_region(QY_SLOT_SPACE, scene->large + TIB / 2, GIB);
    root_cost(root, "unmap 1 GiB, one page of it present", clock_ticks() - start);
    root_said(error, "1 GiB in its middle: unmapped");
    root_check(root, error == QY_OK, "a part of a region could not be unmapped");
    root_check(root, list(scene->large, scene->large + TIB) == 3,
               "the regions are not what was made of them");
}

static void grow_heap(struct scene *scene)
{
    uint64_t next = scene->heap + MIB;
    enum qy_error error =
        space_map_region(QY_SLOT_SPACE, &next, MIB, RW | QY_REGION(QY_REGION_HEAP), 0);

    root_said(error, "1 MiB more behind the heap");
    *(volatile uint64_t *)(next - 8) = 1;
    *(volatile uint64_t *)next = 1;
    root_check(scene->root, error == QY_OK && list(scene->heap, scene->heap + 2 * MIB) == 1,
               "a heap that has grown is not one region");
}

/* Records that the kernel guards (guard=N) have a page each; 0 without. */
static uint64_t guarded(void)
{
    struct qy_record_guard guard;
    return system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_GUARD, 0, &guard, sizeof(guard)) == QY_OK
               ? guard.live
               : 0;
}

/* What the budget gave, by what it was given for. */
static void account(struct scene *scene)
{
    struct untyped_state budget = {0};
    struct space_state now = {0};
    enum qy_error error = untyped_info(scene->budget, &budget);

    if (error == QY_OK)
        error = space_info(QY_SLOT_SPACE, &now);
    uint64_t pages = now.private_pages - scene->before.private_pages;
    uint64_t tables = now.tables - scene->before.tables;
    uint64_t taken = (budget.total_bytes - budget.free_bytes) / PAGE_BYTES;
    uint64_t records = taken - pages - tables;
    print(
        "   of the budget's %llu pages: %llu touched, %llu tables, %llu for the kernel's records, "
        "%llu free\n",
        (unsigned long long)(budget.total_bytes / PAGE_BYTES), (unsigned long long)pages,
        (unsigned long long)tables, (unsigned long long)records,
        (unsigned long long)(budget.free_bytes / PAGE_BYTES));
    root_check(scene->root,
               error == QY_OK && pages == TOUCHES + 1 && records <= RECORDS_PAGES_MAX + guarded(),
               "what the budget gave is not what the space has");
}

static void play(struct scene *scene)
{
    uint64_t small = 0, large = 0, heap;

    if (!reserve(scene, "reserve 1 MiB", MIB, QY_REGION_DATA, &scene->small, &small) ||
        !reserve(scene, "reserve 1 TiB", TIB, QY_REGION_DATA, &scene->large, &large))
        return;
    print("      which took %S of the budget for 1 MiB, %S for 1 TiB\n", small, large);
    root_check(scene->root, large <= 2 * small, "reserving much takes more than reserving little");
    if (!touch(scene))
        return;
    change(scene);
    if (!reserve(scene, "reserve 1 MiB", MIB, QY_REGION_HEAP, &scene->heap, &heap))
        return;
    grow_heap(scene);
    account(scene);
}

void show_regions(struct root *root)
{
    struct scene scene = {.root = root};
    uint32_t mark = root_mark(root);
    struct untyped_state before;

    print("\n5. Memory on demand\n");
    enum qy_error error = untyped_info(root->untyped, &before);
    if (error == QY_OK)
        error = root_make(root, root->untyped, QY_OBJ_UNTYPED, BUDGET_PAGES, &scene.budget);
    if (error == QY_OK)
        error = space_info(QY_SLOT_SPACE, &scene.before);
    if (error == QY_OK)
        error = space_bind(QY_SLOT_SPACE, scene.budget);
    root_said(error, "bind a budget of %u pages to this address space", BUDGET_PAGES);
    if (!root_check(root, error == QY_OK, "no budget could be bound"))
        return;
    play(&scene);
    root_take_back(root, scene.budget, "the budget");
    root_release(root, mark);
    root_conserved(root, &before, "memory on demand was not given back whole");
}
