/*
 * Files on a disk whose power is cut, or that fails: a program that is given a disk's driver, finds out what must be on
 * the disk (rounds.h), starts the file server over it, looks whether it is there, and goes on with the next rounds.
 *
 *     witness: N rounds were synced --> mount --> every byte of them --> round N + 1, sync, witness, ...
 *
 * If a request fails, or a page of a file that is mapped cannot be had, it looks once more: what was synced may be
 * unreadable now, but no byte of it may be another. That is no failure of this program. A line for each step.
 */
#include "client.h"
#include "rounds.h"

#include "../drivers/block.h"

#include <lib/format.h>
#include <lib/string.h>
#include <user/fault.h>
#include <user/print.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>
#include <user/thread.h>

#define BUFFER 0x0000320000000000ull
#define WITNESS 0x0000320000100000ull
#define CLIENT 1u
#define SAYS_DONE 1u
#define WORDS (PAGE_BYTES / sizeof(uint64_t))

static struct files_client client;
static struct rounds_witness *const witness = (struct rounds_witness *)WITNESS;
static qy_handle_t frame; /* of the witness */

/* ---- the witness, past the file server ---- */

static bool witness_move(enum block_label label)
{
    return block_call(PROGRAM_GIVEN(0), label, frame, ROUNDS_SECTOR, 0, VIRTIO_SECTOR) == QY_OK;
}

static bool witness_read(void)
{
    struct tables made;

    return slot_make(QY_SLOT_UNTYPED, QY_OBJ_FRAME, 1, &frame) == QY_OK &&
           space_map_frame(QY_SLOT_UNTYPED, QY_SLOT_SPACE, frame, WITNESS,
                           QY_MAP_READ | QY_MAP_WRITE, &made) == QY_OK &&
           witness_move(BLOCK_READ) &&
           memcmp(witness->magic, ROUNDS_MAGIC, sizeof(witness->magic)) == 0;
}

/* ---- files ---- */

static const char *on_disk(const char *path)
{
    static char whole[ROUNDS_PATH_BYTES + 8];

    format_to(whole, sizeof(whole), "disk/%s", path);
    return whole;
}

static enum file_error close(uint64_t file)
{
    return files_call(client.server, FILES_CLOSE, file, 0, 0, NULL);
}

static enum file_error read_file(void *context, const char *path, uint64_t offset, void *to,
                                 size_t bytes, size_t *done)
{
    struct message answer;
    uint64_t file, size;
    enum file_error error = files_open(&client, on_disk(path), false, &file, &size);

    (void)context;
    *done = 0;
    if (error != FILE_OK)
        return error;
    bytes = bytes < FILES_BUFFER_BYTES ? bytes : FILES_BUFFER_BYTES;
    error = files_call(client.server, FILES_READ, file, offset, bytes, &answer);
    if (error == FILE_OK) {
        *done = answer.word[0];
        memcpy(to, client.buffer, *done);
    }
    enum file_error closed = close(file);
    return error == FILE_OK ? closed : error;
}

/* A file of that name holds those bytes of a round from an offset on; `fresh`: and nothing else. */
static enum file_error write_file(const char *path, uint64_t round, uint64_t offset, size_t bytes,
                                  bool fresh)
{
    uint64_t file, size;
    enum file_error error = files_open(&client, on_disk(path), true, &file, &size);

    if (error != FILE_OK)
        return error;
    if (fresh && size)
        error = files_call(client.server, FILES_RESIZE, file, 0, 0, NULL);
    rounds_fill(round, (uint8_t *)client.buffer, bytes);
    if (error == FILE_OK)
        error = files_call(client.server, FILES_WRITE, file, offset, bytes, NULL);
    enum file_error closed = close(file);
    return error == FILE_OK ? closed : error;
}

/* ---- a file that is mapped: touched by a thread whose faults are heard here ---- */

static struct {
    volatile uint64_t *at;
    uint64_t round;
    qy_handle_t ear, reply;
} touched;

static uint64_t touch(void *argument)
{
    (void)argument;
    for (uint64_t page = 0; page < ROUNDS_PAGES; page++)
        for (uint64_t i = page * WORDS;
             rounds_writes_page(touched.round, page) && i < (page + 1) * WORDS; i++)
            touched.at[i] = rounds_word(touched.round, i);
    return (uint64_t)endpoint_send(touched.ear, SAYS_DONE, 0, 0, 0);
}

/* IO: a page could not be had, and the thread was told by a fault. */
static enum file_error touch_apart(void)
{
    static struct thread thread;
    struct message message;
    struct fault fault;
    uint64_t result;

    if (!touched.ear && (slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &touched.ear) != QY_OK ||
                         slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &touched.reply) != QY_OK))
        return FILE_NO_MEMORY;
    if (thread_create(&thread, touch, NULL, QY_CPU_ANY, touched.ear, 7) != QY_OK ||
        endpoint_receive(touched.ear, touched.reply, &message) != QY_OK)
        return FILE_NO_MEMORY;
    if (!fault_from(&message, &fault))
        return thread_join(&thread, &result) == QY_OK ? FILE_OK : FILE_NO_MEMORY;
    print("cutting: a page of a file that is mapped cannot be had: its reader is told: %s\n",
          fault_mark_name(fault.mark));
    return reply_send(touched.reply, QY_FAULT_KILL, 0, 0, 0) == QY_OK &&
                   fault.mark == QY_FOUND_REVOKED
               ? FILE_IO
               : FILE_CORRUPT;
}

static enum file_error write_mapped(uint64_t round)
{
    uint64_t file, size;
    enum file_error error = files_open(&client, on_disk(ROUNDS_MAPPED), true, &file, &size);

    if (error != FILE_OK)
        return error;
    if (size != ROUNDS_PAGES * PAGE_BYTES)
        error = files_call(client.server, FILES_RESIZE, file, ROUNDS_PAGES * PAGE_BYTES, 0, NULL);
    if (error == FILE_OK) {
        touched.round = round;
        touched.at = files_map(&client, file, ROUNDS_PAGES, true, true);
        error = touched.at ? touch_apart() : FILE_NO_MEMORY;
    }
    /* Unmapped after the file is synced: what was written is in its object. */
    enum file_error synced =
        error == FILE_OK ? files_call(client.server, FILES_SYNC, 0, 0, 0, NULL) : FILE_OK;
    if (touched.at && space_unmap_region(QY_SLOT_SPACE, (uintptr_t)touched.at,
                                         ROUNDS_PAGES * PAGE_BYTES) != QY_OK)
        error = FILE_NO_MEMORY;
    touched.at = NULL;
    enum file_error closed = close(file);
    return error != FILE_OK ? error : synced != FILE_OK ? synced : closed;
}

/* ---- rounds ---- */

static enum file_error ignore(enum file_error error, enum file_error ignored)
{
    return error == ignored ? FILE_OK : error;
}

static enum file_error make(uint64_t round)
{
    char path[ROUNDS_PATH_BYTES];

    rounds_made_path(round, path);
    enum file_error error = write_file(path, round, 0, rounds_bytes(round), true);
    if (error != FILE_OK || round <= ROUNDS_KEPT)
        return error;
    rounds_made_path(round - ROUNDS_KEPT, path);
    return ignore(files_by_path(&client, FILES_REMOVE, 0, on_disk(path), "", NULL), FILE_NOT_FOUND);
}

static enum file_error replace(uint64_t round)
{
    static char from[ROUNDS_PATH_BYTES + 8];
    enum file_error error = write_file(ROUNDS_NEW, round, 0, rounds_bytes(round), true);

    if (error == FILE_OK)
        error = files_call(client.server, FILES_SYNC, 0, 0, 0, NULL);
    format_to(from, sizeof(from), "disk/%s", ROUNDS_NEW);
    return error == FILE_OK
               ? files_by_path(&client, FILES_RENAME, 0, from, on_disk(ROUNDS_REPLACED), NULL)
               : error;
}

static enum file_error run_round(uint64_t round)
{
    enum file_error error = FILE_OK;

    switch (rounds_kind(round)) {
    case ROUNDS_MAKE:
        error = make(round);
        break;
    case ROUNDS_GROW:
        error = write_file(ROUNDS_GROWN, round, rounds_grown(round) - ROUNDS_RECORD, ROUNDS_RECORD,
                           false);
        break;
    case ROUNDS_MAP:
        error = write_mapped(round);
        break;
    case ROUNDS_REPLACE:
        error = replace(round);
        break;
    }
    return error == FILE_OK ? files_call(client.server, FILES_SYNC, 0, 0, 0, NULL) : error;
}

/* All rounds that are wanted; why it ended. */
static enum file_error run_rounds(void)
{
    enum file_error error = ignore(
        files_by_path(&client, FILES_DIRECTORY, 0, on_disk(ROUNDS_FOLDER), "", NULL), FILE_EXISTS);

    while (error == FILE_OK && witness->synced < witness->until) {
        error = run_round(witness->synced + 1);
        if (error != FILE_OK)
            break;
        witness->synced++;
        if (!witness_move(BLOCK_WRITE))
            error = FILE_IO;
        print("cutting: round %llu is synced\n", (unsigned long long)witness->synced);
        print_flush();
    }
    return error;
}

/* What was synced, compared. */
static bool look(void)
{
    const struct rounds_files files = {read_file, NULL};
    struct rounds_report report;

    rounds_check(&files, witness->synced, &report);
    print("cutting: after %llu rounds: %llu bytes are as they were, %llu files cannot be read: "
          "%s\n",
          (unsigned long long)witness->synced, (unsigned long long)report.right,
          (unsigned long long)report.unreadable, report.wrong[0] ? report.wrong : "none is wrong");
    return !report.wrong[0];
}

int main(int argc, char *argv[])
{
    static struct process server;
    qy_handle_t endpoint = 0;

    (void)argc, (void)argv;
    if (!witness_read()) {
        print("cutting: the disk has no witness of rounds, or cannot be read\n");
        return 1;
    }
    bool started = files_start(&server, PROGRAM_GIVEN(0), &endpoint);
    struct call_result copy =
        cap_copy(QY_SLOT_NODE, slot_take(), endpoint, QY_RIGHT_WRITE | QY_RIGHT_GRANT, CLIENT);
    client = (struct files_client){copy.value[1], (char *)BUFFER};
    if (!started || copy.error != QY_OK || !files_attach(&client)) {
        print("cutting: no server of files\n");
        return 2;
    }
    if (!look())
        return 3;
    enum file_error error = run_rounds();
    if (error != FILE_OK)
        print("cutting: round %llu: %s\n", (unsigned long long)witness->synced + 1,
              file_error_sentence(error));
    if (!look())
        return 4;
    return error != FILE_CORRUPT && process_destroy(&server) == QY_OK ? 0 : 5;
}
