/*
 * Memory that moves to another node while threads use it, follows a thread, and leaves whole blocks behind (word
 * `migrate`). On a machine of one node the two budgets are both of that node, and the same is to hold.
 *
 *     home, away    budgets out of untypeds of two nodes; home is the root task's space's
 *     workers       threads on several CPUs that count in the pages, so that an update that gets lost is missed
 */
#include "root.h"

#include <stdatomic.h>
#include <user/numa.h>
#include <user/slots.h>

#define HOME_PAGES 2048u
#define AWAY_PAGES 1024u
#define HOT_PAGES 64u
#define ROUNDS 4u
#define WORKERS_MAX 3u
#define WORKER_BUDGET_PAGES 32u
#define STACKS (ROOT_CHILD_ADDRESS + 0x10000)
#define WORDS_OF_PAGE (PAGE_BYTES / sizeof(uint64_t))
#define BLOCK_PAGES 512u
#define RW (QY_MAP_READ | QY_MAP_WRITE)
#define DATA (RW | QY_REGION(QY_REGION_DATA))

struct worker {
    struct child child;
    qy_handle_t budget;
    _Atomic uint64_t *pages;
    uint64_t rounds, wrong;
};

static atomic_bool stop;

struct scene {
    struct root *root;
    qy_handle_t home, away;
    uint64_t home_node, away_node;
    unsigned workers;
    struct worker worker[WORKERS_MAX];
};

static uint64_t used(qy_handle_t untyped)
{
    struct untyped_state state = {0};
    enum qy_error error = untyped_info(untyped, &state);
    return error == QY_OK ? (state.total_bytes - state.free_bytes) / PAGE_BYTES : UINT64_MAX;
}

/* Counts in the first word of each page; the last one must say which page it is. */
static void work(void *argument)
{
    struct worker *worker = argument;

    while (!atomic_load(&stop)) {
        for (unsigned i = 0; i < HOT_PAGES; i++) {
            _Atomic uint64_t *page = worker->pages + i * WORDS_OF_PAGE;
            atomic_fetch_add(&page[0], 1);
            worker->wrong += atomic_load(&page[WORDS_OF_PAGE - 1]) != i;
        }
        worker->rounds++;
    }
    thread_exit(0);
}

static bool start_workers(struct scene *scene, _Atomic uint64_t *pages)
{
    struct root *root = scene->root;
    unsigned wanted = root->info->cpus > 1 ? root->info->cpus - 1 : 1;

    atomic_store(&stop, false);
    for (scene->workers = 0; scene->workers < wanted && scene->workers < WORKERS_MAX;) {
        unsigned n = scene->workers;
        struct worker *worker = &scene->worker[n];
        *worker = (struct worker){.pages = pages};
        if (root_make(root, root->untyped, QY_OBJ_UNTYPED, WORKER_BUDGET_PAGES, &worker->budget) !=
                QY_OK ||
            child_make(root, worker->budget, STACKS + n * 4 * PAGE_BYTES, &worker->child) !=
                QY_OK ||
            child_start(&worker->child, work, worker, (n + 1) % root->info->cpus) != QY_OK)
            return false;
        scene->workers++;
    }
    return true;
}

/* How many rounds they made; none of them met a wrong page. */
static uint64_t stop_workers(struct scene *scene)
{
    uint64_t rounds = 0;

    atomic_store(&stop, true);
    for (unsigned n = 0; n < scene->workers; n++) {
        struct worker *worker = &scene->worker[n];
        bool ended = child_wait_dead(&worker->child) && cap_revoke(worker->budget) == QY_OK &&
                     cap_delete(worker->budget) == QY_OK;
        root_check(scene->root, ended && !worker->wrong, "a worker met a page that is not its own");
        rounds += worker->rounds;
    }
    return rounds;
}

static _Atomic uint64_t *hot_pages(struct scene *scene)
{
    uint64_t at = 0;
    enum qy_error error = space_map_region(QY_SLOT_SPACE, &at, HOT_PAGES * PAGE_BYTES, DATA, 0);
    _Atomic uint64_t *pages = (_Atomic uint64_t *)(uintptr_t)at;

    if (!root_check(scene->root, error == QY_OK, "no region for pages that move"))
        return NULL;
    for (unsigned i = 0; i < HOT_PAGES; i++)
        pages[(i + 1) * WORDS_OF_PAGE - 1] = i;
    return pages;
}

static enum qy_error move(const void *pages, uint64_t count, qy_handle_t to)
{
    uint64_t at = (uintptr_t)pages;
    return space_migrate(QY_SLOT_SPACE, to, &at, at + count * PAGE_BYTES);
}

/* There and back while the workers count. */
static void show_move(struct scene *scene)
{
    struct root *root = scene->root;
    uint32_t mark = root_mark(root);
    _Atomic uint64_t *pages = hot_pages(scene);
    bool moved = pages && start_workers(scene, pages);

    for (unsigned i = 0; moved && i < ROUNDS; i++) {
        uint64_t home = used(scene->home), away = used(scene->away);
        moved = move(pages, HOT_PAGES, scene->away) == QY_OK &&
                used(scene->home) + HOT_PAGES <= home && used(scene->away) >= away + HOT_PAGES &&
                move(pages, HOT_PAGES, scene->home) == QY_OK && used(scene->away) <= away + 4;
    }
    root_check(root, moved, "pages did not move to who was to pay for them");
    uint64_t rounds = stop_workers(scene), lost = 0;
    for (unsigned i = 0; pages && i < HOT_PAGES; i++)
        lost += pages[i * WORDS_OF_PAGE] != rounds;
    print("migrate: %u pages moved from node %llu to node %llu and back %u times, %s\n", HOT_PAGES,
          (unsigned long long)scene->home_node, (unsigned long long)scene->away_node, ROUNDS,
          rounds && !lost ? "no update was lost" : "UPDATES WERE LOST");
    root_check(root, rounds && !lost, "an update was lost while pages moved");
    if (pages)
        root_check(root,
                   space_unmap_region(QY_SLOT_SPACE, (uintptr_t)pages, HOT_PAGES * PAGE_BYTES) ==
                       QY_OK,
                   "pages that moved could not be unmapped");
    root_release(root, mark);
}

/* The balancer: the pages go where the thread is. Returns the node that they are on now. */
static uint64_t balance(const struct scene *scene, const struct child *child, const void *pages,
                        uint64_t node)
{
    struct thread_status status;

    if (thread_info(child->thread, &status) != QY_OK || root_node_of_cpu(status.cpu) == node)
        return node;
    uint64_t to = root_node_of_cpu(status.cpu);
    qy_handle_t payer = to == scene->home_node ? scene->home : scene->away;
    if (move(pages, HOT_PAGES, payer) != QY_OK)
        return UINT64_MAX;
    print("migrate: the thread is on CPU %u of node %llu: its %u pages followed\n", status.cpu,
          (unsigned long long)to, HOT_PAGES);
    return to;
}

static uint64_t cpu_of(const struct root *root, uint64_t node)
{
    uint64_t cpu = 0;
    while (cpu + 1 < root->info->cpus && root_node_of_cpu(cpu) != node)
        cpu++;
    return cpu;
}

static void show_balance(struct scene *scene)
{
    struct root *root = scene->root;
    uint32_t mark = root_mark(root);
    _Atomic uint64_t *pages = hot_pages(scene);
    uint64_t node = scene->home_node, away = used(scene->away);

    if (!pages || !root_check(root, start_workers(scene, pages), "no thread to follow"))
        return;
    const struct child *child = &scene->worker[0].child;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t to = i % 2 ? scene->home_node : scene->away_node;
        struct thread_status status = {.cpu = UINT32_MAX};
        enum qy_error error = thread_schedule(child->thread, QY_PRIORITY_DEFAULT, cpu_of(root, to));
        while (error == QY_OK && root_node_of_cpu(status.cpu) != to) {
            error = thread_info(child->thread, &status);
            yield();
        }
        node = error == QY_OK ? balance(scene, child, pages, node) : UINT64_MAX;
        root_check(root, node == to, "the pages did not follow the thread");
        bool there = used(scene->away) >= away + HOT_PAGES;
        root_check(root, there == (to != scene->home_node),
                   "the pages are not where they are to be");
    }
    (void)stop_workers(scene);
    root_check(root,
               space_unmap_region(QY_SLOT_SPACE, (uintptr_t)pages, HOT_PAGES * PAGE_BYTES) == QY_OK,
               "pages that followed could not be unmapped");
    root_release(root, mark);
}

/* A frame of 2 MiB out of home: is there one? */
static bool has_block(struct root *root, qy_handle_t home)
{
    uint32_t mark = root_mark(root);
    qy_handle_t frame;
    bool has = root_make(root, home, QY_OBJ_FRAME, BLOCK_PAGES, &frame) == QY_OK;

    if (has)
        root_check(root, cap_delete(frame) == QY_OK, "a frame could not be deleted");
    root_release(root, mark);
    return has;
}

/* Home is full but for holes; what is left goes away, and whole blocks are there again. */
static void show_compaction(struct scene *scene)
{
    struct root *root = scene->root;
    uint64_t at = 0, pages = HOME_PAGES - used(scene->home) - 32, kept = 0;
    struct untyped_state before = {0}, after = {0};
    bool holes = space_map_region(QY_SLOT_SPACE, &at, pages * PAGE_BYTES, DATA, 0) == QY_OK;

    for (uint64_t i = 0; holes && i < pages; i++)
        *(volatile uint64_t *)(at + i * PAGE_BYTES) = i;
    for (uint64_t i = 0; holes && i < pages; i++) {
        if (i % 16 == 0)
            kept++;
        else
            holes = space_unmap_region(QY_SLOT_SPACE, at + i * PAGE_BYTES, PAGE_BYTES) == QY_OK;
    }
    holes = holes && untyped_info(scene->home, &before) == QY_OK;
    root_check(root, holes && !has_block(root, scene->home), "the budget has no holes");
    enum qy_error error = move((const void *)(uintptr_t)at, pages, scene->away);
    bool whole = error == QY_OK && untyped_info(scene->home, &after) == QY_OK &&
                 has_block(root, scene->home);
    for (uint64_t i = 0; i < pages; i += 16)
        whole = whole && *(volatile uint64_t *)(at + i * PAGE_BYTES) == i;
    print("migrate: %llu pages moved out of the way: fragmented %u.%u %% before, %u.%u %% after; a "
          "block of 2 MiB is %s\n",
          (unsigned long long)kept, before.fragmentation / 10, before.fragmentation % 10,
          after.fragmentation / 10, after.fragmentation % 10, whole ? "there" : "NOT there");
    root_check(root, whole, "moving pages has made no block of 2 MiB");
    error = space_unmap_region(QY_SLOT_SPACE, at, pages * PAGE_BYTES);
    root_check(root, error == QY_OK, "the pages could not be unmapped");
}

/* Which budget pays for how many pages of a region of 64, by policy. */
static void show_policies(struct scene *scene)
{
    static const struct {
        enum numa_policy policy;
        unsigned first;
        uint64_t pages, home, away; /* touched, and out of which */
        const char *name;
    } rows[] = {{NUMA_BIND, 0, 64, 64, 0, "bound to the first node"},
                {NUMA_BIND, 1, 64, 0, 64, "bound to the second node"},
                {NUMA_INTERLEAVE, 0, 64, 32, 32, "interleaved"},
                {NUMA_PREFERRED, 1, 64, 0, 64, "preferred on the second node, which has room"},
                {NUMA_PREFERRED, 1, 1200, 1200, 0, "preferred on the second node, which has none"}};
    const struct numa numa = {2, {scene->home, scene->away}};
    struct root *root = scene->root;

    slots_begin(root->next_slot, root->info->node_slots - root->next_slot);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct numa_region region;
        uint64_t home = used(scene->home), away = used(scene->away), pages = rows[i].pages;
        enum qy_error error =
            numa_map(&numa, rows[i].policy, rows[i].first, pages * PAGE_BYTES, RW, &region);
        if (!root_check(root, error == QY_OK, "a region with a policy could not be mapped"))
            continue;
        for (uint64_t k = 0; k < pages; k++)
            *(volatile uint64_t *)(region.address + k * PAGE_BYTES) = k;
        uint64_t of_home = used(scene->home) - home, of_away = used(scene->away) - away;
        uint64_t beside = 16 + pages / 64; /* objects, and page tables of the space */
        bool right = of_home >= rows[i].home && of_home <= rows[i].home + beside &&
                     of_away >= rows[i].away && of_away <= rows[i].away + beside;
        print("migrate: %llu pages %s: %llu and %llu\n", (unsigned long long)pages, rows[i].name,
              (unsigned long long)of_home, (unsigned long long)of_away);
        root_check(root, right, "a region's pages are not of the nodes that its policy says");
        root_check(root, numa_unmap(&region) == QY_OK, "a region could not be given back");
    }
}

/* The largest untyped of another node than the root task's own; else its own. */
static qy_handle_t untyped_away(const struct root *root, uint64_t home, uint64_t *node)
{
    struct untyped_state state;

    for (unsigned i = 0; i < root->info->untypeds; i++)
        if (untyped_info(QY_SLOT_UNTYPED + i, &state) == QY_OK && state.node != home &&
            state.total_bytes >= 2 * AWAY_PAGES * PAGE_BYTES) {
            *node = state.node;
            return QY_SLOT_UNTYPED + i;
        }
    *node = home;
    return root->untyped;
}

void migrate_run(struct root *root)
{
    static struct scene scene;
    struct untyped_state before = {0};
    enum qy_error error = untyped_info(root->untyped, &before);

    scene = (struct scene){.root = root, .home_node = before.node};
    qy_handle_t far = untyped_away(root, before.node, &scene.away_node);
    if (error == QY_OK)
        error = root_make(root, root->untyped, QY_OBJ_UNTYPED, HOME_PAGES, &scene.home);
    if (error == QY_OK)
        error = root_make(root, far, QY_OBJ_UNTYPED, AWAY_PAGES, &scene.away);
    if (error == QY_OK)
        error = space_bind(QY_SLOT_SPACE, scene.home);
    if (!root_check(root, error == QY_OK, "no budgets to move pages between"))
        return;
    show_move(&scene);
    if (scene.away_node != scene.home_node)
        show_balance(&scene);
    show_compaction(&scene);
    show_policies(&scene);
    root_take_back(root, scene.away, "the budget on the other node");
    root_take_back(root, scene.home, "the budget at home");
    root_conserved(root, &before, "pages that moved were not given back whole");
}
