/*
 * Services for programs. See services.h.
 */
#include "services.h"

#include "../files/files.h"
#include "../swap/service.h"

#include <lib/string.h>
#include <user/slots.h>
#include <user/space.h>

#define MEMORY_PAGES 256u
#define SWAPPER_PAGES 512u
#define FILES_PAGES 1536u
#define BUFFER (ROOT_CHILD_ADDRESS + 0x18000000)
#define REPORT (BUFFER + PAGE_BYTES)
#define SLOTS_KEPT 256u /* for what takes slots one after the other: root_make */
#define PROGRAM_NUMBER 1u
#define NODES_WATCHED 16u /* untypeds; the largest come first */

/* Of a job's budget: pool a part of it, slots a multiple. */
#define POOL_PART 8u
#define POOL_MIN 64u
#define SLOTS_TIMES 10u
#define LOW_PART 32u
#define LOW_MIN 8u

/* ---- disks ---- */

/* The first sector of a disk, by its driver. */
static enum disk_use use_of(const struct drive *drive, qy_handle_t frame)
{
    enum qy_error error =
        block_call(drive->given[BLOCK_ENDPOINT], BLOCK_READ, frame, 0, 0, VIRTIO_SECTOR);
    return error == QY_OK ? disk_use_of((const char *)BUFFER) : DISK_OTHER;
}

/* A driver for each disk that is for pages or files; the first of a kind counts. *found: its endpoint by use. */
static void find_disks(struct services *services, qy_handle_t found[DISK_FILES + 1])
{
    qy_handle_t frame = 0;
    enum qy_error error = slot_make(services->memory, QY_OBJ_FRAME, 1, &frame);
    if (error == QY_OK)
        error = drive_map(services->memory, frame, BUFFER, 0);
    for (unsigned n = 0; error == QY_OK && services->disk_count < SERVICES_DISKS; n++) {
        struct drive *drive = &services->disks[services->disk_count];
        *drive = (struct drive){.root = services->root, .memory = services->memory};
        error = bus_find(services->root, services->memory, n, &drive->place);
        if (error != QY_OK || drive_start(drive) != QY_OK) {
            (void)!process_destroy(&drive->process);
            continue;
        }
        enum disk_use use = use_of(drive, frame);
        if ((use != DISK_SWAP && use != DISK_FILES) || found[use]) {
            (void)!process_destroy(&drive->process);
            continue;
        }
        found[use] = drive->given[BLOCK_ENDPOINT];
        services->disk_count++;
        print("services: disk %u is for %s\n", n, use == DISK_SWAP ? "pages" : "files");
    }
}

/* ---- starting ---- */

/* A program of the boot archive with two or three capabilities. */
static enum qy_error start(struct services *services, const char *name, uint64_t pages,
                           const qy_handle_t *given, unsigned count, struct process *process)
{
    const struct qy_root_info *info = services->root->info;
    const char *const argv[] = {name, NULL};
    const char *why = "it is not in the boot archive";
    struct process_plan plan = {.argv = argv,
                                .untyped = services->root->untyped,
                                .budget_pages = pages,
                                .endpoint = services->ear,
                                .number = PROGRAM_NUMBER,
                                .console = QY_SLOT_CONSOLE,
                                .cpus = info->cpus,
                                .clock_hz = info->clock_hz};
    enum qy_error error = archive_find(boot_archive(info->archive_bytes), name, &plan.image);
    if (error == QY_OK)
        error = process_create(&plan, process, &why);
    for (unsigned i = 0; error == QY_OK && i < count; i++) {
        struct cap_state cap;
        if (given[i] && cap_info(QY_SLOT_NODE, QY_HANDLE_INDEX(given[i]), &cap) == QY_OK)
            error = process_give(process, i, given[i], cap.rights, 0);
    }
    if (error == QY_OK)
        error = process_start(process, QY_CPU_ANY);
    if (error == QY_OK)
        return QY_OK;
    print("services: %s does not start: %s\n", name, why ? why : qy_error_sentence(error));
    (void)!process_destroy(process);
    return error;
}

static void start_swapper(struct services *services, qy_handle_t disk)
{
    qy_handle_t given[] = {0, 0, disk};
    enum qy_error error = slot_make(services->memory, QY_OBJ_ENDPOINT, 1, &services->swap);
    given[SWAP_GIVEN_ENDPOINT] = services->swap;
    if (error == QY_OK)
        error = slot_make(services->memory, QY_OBJ_FRAME, 1, &given[SWAP_GIVEN_REPORT]);
    if (error == QY_OK)
        error = drive_map(services->memory, given[SWAP_GIVEN_REPORT], REPORT, 0);
    if (error == QY_OK)
        error = drive_copy(services->swap, QY_RIGHT_WRITE | QY_RIGHT_GRANT, SWAP_MANAGER,
                           &services->manager);
    if (error == QY_OK)
        error = start(services, "swapper", SWAPPER_PAGES, given, 3, &services->swapper);
    if (error != QY_OK)
        services->manager = 0;
}

/* Each node's memory is watched. */
static void watch_nodes(const struct services *services)
{
    const struct qy_root_info *info = services->root->info;
    for (uint32_t i = 0; services->manager && i < info->untypeds && i < NODES_WATCHED; i++) {
        struct untyped_state state;
        qy_handle_t untyped = QY_SLOT_UNTYPED + i;
        if (untyped_info(untyped, &state) == QY_OK && state.total_bytes)
            (void)!swap_call(services->manager, SWAP_WATCH, state.total_bytes / PAGE_BYTES / 64,
                             state.total_bytes / PAGE_BYTES / 32, 0, untyped, NULL);
    }
}

static void start_files(struct services *services, qy_handle_t disk)
{
    qy_handle_t given[] = {0, disk};
    enum qy_error error = slot_make(services->memory, QY_OBJ_ENDPOINT, 1, &given[0]);
    if (error == QY_OK)
        error = start(services, "files", FILES_PAGES, given, 2, &services->files);
    services->serving = error == QY_OK ? given[0] : 0;
}

void services_begin(struct services *services, struct root *root)
{
    qy_handle_t found[DISK_FILES + 1] = {0};
    *services = (struct services){.root = root};
    slots_begin(root->next_slot + SLOTS_KEPT,
                root->info->node_slots - root->next_slot - SLOTS_KEPT);
    enum qy_error error = untyped_info(root->untyped, &services->before);
    if (error == QY_OK)
        error = slot_make(root->untyped, QY_OBJ_UNTYPED, MEMORY_PAGES, &services->memory);
    if (error == QY_OK)
        error = slot_make(services->memory, QY_OBJ_ENDPOINT, 1, &services->ear);
    if (error != QY_OK) {
        print("services: none, there is not enough memory\n");
        slot_delete(services->memory);
        services->memory = 0;
        return;
    }
    find_disks(services, found);
    start_swapper(services, found[DISK_SWAP]);
    watch_nodes(services);
    if (found[DISK_FILES])
        start_files(services, found[DISK_FILES]);
}

void services_end(struct services *services)
{
    struct untyped_state after = {0};
    if (!services->memory)
        return;
    bool gone = process_destroy(&services->swapper) == QY_OK;
    gone = process_destroy(&services->files) == QY_OK && gone;
    for (unsigned i = 0; i < services->disk_count; i++)
        gone = process_destroy(&services->disks[i].process) == QY_OK && gone;
    gone = cap_revoke(services->memory) == QY_OK && gone;
    slot_delete(services->memory);
    gone = gone && untyped_info(services->root->untyped, &after) == QY_OK;
    /* With objects of others in it (the command `leak`), what the untyped's heap keeps is not told from what is missing. */
    if (gone && after.objects == services->before.objects)
        gone = after.free_bytes == services->before.free_bytes;
    root_check(services->root, gone, "memory is missing after the services");
    services->memory = services->manager = services->serving = 0;
}

/* ---- jobs ---- */

/* Its reserve goes to the swapper; its space and budget follow, in its own name. */
static enum qy_error join_swapper(struct services *services, unsigned number,
                                  const struct process *process, uint64_t pages)
{
    const uint64_t pool = root_word(services->root, "pool=",
                                    pages / POOL_PART > POOL_MIN ? pages / POOL_PART : POOL_MIN),
                   slots = (root_word(services->root, "slots=", pages * SLOTS_TIMES) + 63) & ~63ull,
                   low = pages / LOW_PART > LOW_MIN ? pages / LOW_PART : LOW_MIN;
    qy_handle_t *reserve = &services->reserves[number], own = 0;
    enum qy_error error = slot_make(services->root->untyped, QY_OBJ_UNTYPED,
                                    swap_reserve_pages(pool, slots), reserve);
    if (error == QY_OK)
        error = swap_call(services->manager, SWAP_ADMIT, number, pool, slots, *reserve, NULL);
    if (error == QY_OK)
        error = drive_copy(services->swap, QY_RIGHT_WRITE | QY_RIGHT_GRANT, number, &own);
    if (error == QY_OK)
        error = swap_join(own, process->space, process->budget, low, 2 * low);
    slot_delete(own);
    if (error == QY_OK)
        error = process_give(process, PROCESS_GIVEN_SWAP, services->swap,
                             QY_RIGHT_WRITE | QY_RIGHT_GRANT, number);
    return error;
}

void services_join(struct services *services, unsigned number, const struct process *process,
                   uint64_t pages, bool resident)
{
    if (!services || !services->memory)
        return;
    enum qy_error error = QY_OK;
    if (services->serving && number < FILES_CLIENTS)
        error = process_give(process, PROCESS_GIVEN_FILES, services->serving,
                             QY_RIGHT_WRITE | QY_RIGHT_GRANT, number);
    if (error == QY_OK && services->manager && !resident)
        error = join_swapper(services, number, process, pages);
    if (error == QY_OK)
        return;
    print("services: its pages stay in memory: %s\n", qy_error_sentence(error));
    services_leave(services, number);
}

void services_leave(struct services *services, unsigned number)
{
    if (!services || !services->memory || !services->reserves[number])
        return;
    enum qy_error error = swap_call(services->manager, SWAP_DISMISS, number, 0, 0, 0, NULL);
    bool gone = error == QY_OK || error == QY_NOT_FOUND;
    gone = cap_revoke(services->reserves[number]) == QY_OK && gone;
    slot_delete(services->reserves[number]);
    services->reserves[number] = 0;
    root_check(services->root, gone, "the swapper does not let a program go");
}

bool services_relieve(const struct services *services, unsigned number)
{
    qy_handle_t own = 0;
    if (!services || !services->memory || !services->reserves[number] ||
        drive_copy(services->swap, QY_RIGHT_WRITE | QY_RIGHT_GRANT, number, &own) != QY_OK)
        return false;
    bool gone = swap_reclaim(own, 32);
    slot_delete(own);
    return gone;
}

/* ---- the table ---- */

static void report_row(struct table *table, unsigned number, const char *name,
                       const struct swap_report_owner *owner)
{
    const uint64_t stored = owner->compressed_bytes ? owner->compressed_bytes : 1;
    table_cell(table, "%u", number);
    table_cell(table, "%s", name ? name : "?");
    table_cell(table, "%llu", (unsigned long long)owner->resident);
    table_cell(table, "%llu", (unsigned long long)owner->compressed);
    table_cell(table, "%llu.%llu", (unsigned long long)(owner->compressed * PAGE_BYTES / stored),
               (unsigned long long)(owner->compressed * PAGE_BYTES * 10 / stored % 10));
    table_cell(table, "%llu", (unsigned long long)owner->filled);
    table_cell(table, "%llu", (unsigned long long)owner->on_disk);
    table_cell(table, "%llu of %llu", (unsigned long long)(owner->pool - owner->pool_free),
               (unsigned long long)owner->pool);
    table_cell(table, "%llu of %llu", (unsigned long long)owner->slots_used,
               (unsigned long long)owner->slots);
}

static void report_traffic(struct table *table, unsigned number,
                           const struct swap_report_owner *owner)
{
    const uint64_t cells[] = {number,         owner->evicted,  owner->restored, owner->faults,
                              owner->written, owner->clusters, owner->read,     owner->ahead,
                              owner->told,    owner->asked,    owner->refused,  owner->damaged};
    for (unsigned i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
        table_cell(table, "%llu", (unsigned long long)cells[i]);
}

struct services_away services_away(const struct services *services, unsigned number)
{
    const struct swap_report *report = (const struct swap_report *)REPORT;

    if (!services->manager || !number || number > SWAP_OWNERS ||
        swap_call(services->manager, SWAP_REPORT, 0, 0, 0, 0, NULL) != QY_OK)
        return (struct services_away){0};
    const struct swap_report_owner *owner = &report->owner[number - 1];
    return (struct services_away){(owner->compressed + owner->filled) * PAGE_BYTES,
                                  owner->on_disk * PAGE_BYTES};
}

void services_show_swap(struct services *services,
                        const char *(*name)(void *context, unsigned number), void *context)
{
    static const char *const has[] = {"job",      "program",     "resident", "compressed", "ratio",
                                      "one word", "on the disk", "pool",     "slots"};
    static const char *const did[] = {"job",  "went",  "returned", "faults", "written", "in runs",
                                      "read", "ahead", "told",     "asked",  "refused", "damaged"};
    static char text[4096], more[4096];
    const struct swap_report *report = (const struct swap_report *)REPORT;
    struct table now, since;
    unsigned owners = 0;
    if (!services->manager ||
        swap_call(services->manager, SWAP_REPORT, 0, 0, 0, 0, NULL) != QY_OK) {
        print("   there is no swapper\n");
        return;
    }
    table_begin(&now, text, sizeof(text), "><>>>>>>>");
    table_begin(&since, more, sizeof(more), ">>>>>>>>>>>>");
    for (unsigned i = 0; i < sizeof(has) / sizeof(has[0]); i++)
        table_cell(&now, "%s", has[i]);
    for (unsigned i = 0; i < sizeof(did) / sizeof(did[0]); i++)
        table_cell(&since, "%s", did[i]);
    for (unsigned i = 1; i <= SWAP_OWNERS; i++) {
        const struct swap_report_owner *owner = &report->owner[i - 1];
        if (!owner->slots)
            continue;
        owners++;
        report_row(&now, i, name(context, i), owner);
        report_traffic(&since, i, owner);
        root_check(services->root, !owner->broken, "what the swapper keeps is not whole");
    }
    if (owners) {
        root_table(&now);
        print("\n");
        root_table(&since);
        print("   pages; told: a budget was below its mark; asked: with nothing free; refused: for "
              "want of\n"
              "   room; damaged: who touches such a page is told that it is lost\n");
    } else {
        print("   no program has pages that may go\n");
    }
    print(
        "   disk: %S for pages, %S of it not promised to anybody, %llu transfers failed; a node's "
        "memory\n   was scarce, or enough again, %llu times\n",
        report->disk_blocks * PAGE_BYTES, report->disk_free * PAGE_BYTES,
        (unsigned long long)report->disk_failed, (unsigned long long)report->scarce);
}
