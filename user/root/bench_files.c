/*
 * What the first touch of a page of a mapped file costs: warm, it is in the file's memory object; cold, the file server
 * is asked, and brings it with 15 behind it. No disk: the file is one of the boot archive, so that each run counts the
 * same.
 *
 *     touch --warm--> the object's frame, mapped
 *           --cold--> message to the server --> 16 pages copied into the object --> answer --> as above
 */
#include "../files/files.h"
#include "bench.h"
#include "jobs.h"

#include <lib/string.h>
#include <user/slots.h>

#define AHEAD 16u
#define BATCHES 3u
#define PAGES (BATCHES * AHEAD)
#define SERVER_PAGES 1536u
#define CLIENT 1u
#define BUFFER (BENCH_AT + (1ull << 30))

static struct process server;
static qy_handle_t files; /* the client's capability of its endpoint */

static enum qy_error start(const struct root *root, qy_handle_t budget)
{
    static const char *const argv[] = {"files", NULL};
    struct file archive = boot_archive(root->info->archive_bytes);
    struct process_plan plan = {.argv = argv,
                                .untyped = root->untyped,
                                .budget_pages = SERVER_PAGES,
                                .number = 1,
                                .fixed = true,
                                .console = QY_SLOT_CONSOLE,
                                .archive_bytes = archive.bytes,
                                .cpus = root->info->cpus,
                                .clock_hz = root->info->clock_hz};
    const char *why = "";
    qy_handle_t endpoint = 0;
    enum qy_error error = archive_find(archive, argv[0], &plan.image);

    if (error == QY_OK)
        error = slot_make(budget, QY_OBJ_ENDPOINT, 1, &plan.endpoint);
    if (error == QY_OK)
        error = slot_make(budget, QY_OBJ_ENDPOINT, 1, &endpoint);
    if (error == QY_OK)
        error = jobs_archive(budget, archive, &plan.archive);
    if (error == QY_OK)
        error = process_create(&plan, &server, &why);
    if (error == QY_OK)
        error = process_give(&server, FILES_GIVEN_ENDPOINT, endpoint,
                             QY_RIGHT_READ | QY_RIGHT_WRITE | QY_RIGHT_GRANT, 0);
    if (error == QY_OK)
        error = process_start(&server, 0);
    struct call_result copy =
        cap_copy(QY_SLOT_NODE, slot_take(), endpoint, QY_RIGHT_WRITE | QY_RIGHT_GRANT, CLIENT);
    files = copy.value[1];
    return error == QY_OK ? copy.error : error;
}

/* The capability that comes with the answer. 0: none. */
static qy_handle_t ask(enum files_request request, uint64_t file)
{
    uint32_t slot = slot_take();
    struct cap_state came = {0};
    bool ok = slot && receive_slot(QY_SLOT_NODE, slot) == QY_OK &&
              files_call(files, request, file, 0, 0, NULL) == FILE_OK &&
              cap_info(QY_SLOT_NODE, slot, &came) == QY_OK;

    return ok ? came.handle : 0;
}

/* A file of the archive, mapped; the server has read it before. */
static bool open_and_map(qy_handle_t budget)
{
    static const char path[] = "boot/root";
    uint64_t at = BENCH_AT;
    struct tables made;
    struct message file, answer;
    qy_handle_t frame = ask(FILES_ATTACH, 0);
    bool ok = frame && space_map_frame(budget, QY_SLOT_SPACE, frame, BUFFER,
                                       QY_MAP_READ | QY_MAP_WRITE, &made) == QY_OK;

    if (ok)
        memcpy((void *)BUFFER, path, sizeof(path));
    ok = ok && files_call(files, FILES_OPEN, 0, 0, 0, &file) == FILE_OK &&
         file.word[1] >= PAGES * PAGE_BYTES;
    for (uint64_t offset = 0; ok && offset < PAGES * PAGE_BYTES; offset += FILES_BUFFER_BYTES)
        ok = files_call(files, FILES_READ, file.word[0], offset, FILES_BUFFER_BYTES, &answer) ==
             FILE_OK;
    qy_handle_t object = ok ? ask(FILES_MAP, file.word[0]) : 0;
    return object &&
           space_map_object(QY_SLOT_SPACE, &at, PAGES * PAGE_BYTES,
                            QY_MAP_READ | QY_REGION(QY_REGION_MAPPED), object, 0) == QY_OK;
}

static void touching(struct root *root, qy_handle_t budget)
{
    uint64_t cold = 0, warm = 0;

    slots_begin(root->next_slot, root->info->node_slots - root->next_slot);
    bool ok = start(root, budget) == QY_OK && open_and_map(budget);
    for (unsigned i = 0; ok && i < PAGES; i++) {
        uint64_t begin = clock_ticks();
        (void)*(volatile uint64_t *)(BENCH_AT + i * PAGE_BYTES);
        *(i % AHEAD ? &warm : &cold) += clock_ticks() - begin;
    }
    ok &= process_destroy(&server) == QY_OK;
    if (!root_check(root, ok, "a file of the boot archive could not be mapped"))
        return;
    bench_row("file_fault_cold", cold, bench_clock(BATCHES), BATCHES);
    bench_row("file_fault_warm", warm, bench_clock(PAGES - BATCHES), PAGES - BATCHES);
}

void bench_files(struct root *root)
{
    bench_with_bound(root, 1024, touching);
}
