/*
 * The file server, tried: a program that starts it over the disk whose driver it was given, maps files, writes through
 * shared maps, syncs, and reads back. What it leaves on the disk is looked at from outside (tests/boot).
 *
 * A line for each part; a part that is not right ends it with that part's number.
 */
#include "client.h"

#include <lib/format.h>
#include <lib/string.h>
#include <user/fault.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>
#include <user/thread.h>

#define BUFFER 0x0000320000000000ull
#define CLIENT 1u
#define GUEST 2u
#define GUESTS 6u
#define GUEST_FILES 3u /* of each: together more than can be open */
#define PAGES 600u     /* of a file that is mapped */
#define BYTES (PAGES * PAGE_BYTES - 1000)

static struct files_client client;
static qy_handle_t endpoint; /* of the server */
static char *const buffer = (char *)BUFFER;

static uint64_t word_at(uint64_t page, uint64_t turn)
{
    return (page + 1) * 0x9e3779b97f4a7c15ull ^ turn;
}

/* Attached: before, the server refuses. */
static bool start_server(struct process *server)
{
    bool ok = files_start(server, PROGRAM_GIVEN(0), &endpoint);
    struct call_result copy =
        cap_copy(QY_SLOT_NODE, slot_take(), endpoint, QY_RIGHT_WRITE | QY_RIGHT_GRANT, CLIENT);

    client = (struct files_client){copy.value[1], (char *)BUFFER};
    return ok && copy.error == QY_OK &&
           files_call(client.server, FILES_SIZE, 0, 0, 0, NULL) == FILE_NO_MEMORY &&
           files_attach(&client);
}

static enum file_error by_path(enum files_request request, uint64_t word, const char *path,
                               const char *to, struct message *answer)
{
    return files_by_path(&client, request, word, path, to, answer);
}

static bool opens(const char *path, bool create, uint64_t *file, uint64_t *bytes)
{
    return files_open(&client, path, create, file, bytes) == FILE_OK;
}

static volatile uint64_t *map(uint64_t file, uint64_t pages, bool shared, bool write)
{
    return files_map(&client, file, pages, shared, write);
}

#define WORDS (PAGE_BYTES / sizeof(uint64_t))

/* ---- parts ---- */

/* A new file, filled through a shared map, synced, and read back by calls. */
static bool fills(volatile uint64_t **out, uint64_t *file)
{
    uint64_t bytes;
    struct message answer;
    bool ok = opens("disk/mapped file", true, file, &bytes) && bytes == 0 &&
              files_call(client.server, FILES_RESIZE, *file, BYTES, 0, NULL) == FILE_OK;
    volatile uint64_t *at = ok ? map(*file, PAGES, true, true) : NULL;

    for (uint64_t i = 0; at && i < PAGES; i++) {
        ok &= at[i * WORDS] == 0;
        at[i * WORDS] = word_at(i, 0);
    }
    ok = ok && at && files_call(client.server, FILES_SYNC, 0, 0, 0, NULL) == FILE_OK;
    for (uint64_t i = 0; ok && i < PAGES; i++)
        ok = files_call(client.server, FILES_READ, *file, i * PAGE_BYTES, 8, &answer) == FILE_OK &&
             answer.word[0] == 8 && *(uint64_t *)buffer == word_at(i, 0);
    *out = at;
    print("filing: %u pages written through a map, synced, read by calls: %s\n", PAGES,
          ok ? "as written" : "WRONG");
    return ok;
}

/* What is written by calls is in the map, and the reverse; a private map keeps its writes. */
static bool is_one_file(volatile uint64_t *at, uint64_t file)
{
    struct message answer;
    volatile uint64_t *own = map(file, PAGES, false, true);
    const uint64_t page = 77;
    bool ok = own && own[page * WORDS] == word_at(page, 0);

    own[page * WORDS] = 1;
    *(uint64_t *)buffer = word_at(page, 2);
    ok = ok &&
         files_call(client.server, FILES_WRITE, file, page * PAGE_BYTES, 8, NULL) == FILE_OK &&
         at[page * WORDS] == word_at(page, 2) && own[page * WORDS] == 1;
    at[page * WORDS] = word_at(page, 3);
    ok = ok &&
         files_call(client.server, FILES_READ, file, page * PAGE_BYTES, 8, &answer) == FILE_OK &&
         *(uint64_t *)buffer == word_at(page, 3);
    print("filing: calls and maps see one file, a private map keeps its own: %s\n",
          ok ? "yes" : "NO");
    return ok;
}

static uint64_t touch(void *argument)
{
    return *(volatile uint64_t *)argument;
}

/* A file that becomes shorter: who touches what was behind its end faults, to its own handler. */
static bool becomes_shorter(volatile uint64_t *at, uint64_t file)
{
    static struct thread thread;
    struct message message;
    struct fault fault = {0};
    qy_handle_t ear = 0, reply = 0;
    bool ok = files_call(client.server, FILES_RESIZE, file, 10 * PAGE_BYTES, 0, NULL) == FILE_OK &&
              at[9 * WORDS] == word_at(9, 0) &&
              slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &ear) == QY_OK &&
              slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &reply) == QY_OK &&
              thread_create(&thread, touch, (void *)(uintptr_t)&at[10 * WORDS], QY_CPU_ANY, ear,
                            7) == QY_OK &&
              endpoint_receive(ear, reply, &message) == QY_OK && fault_from(&message, &fault) &&
              fault.mark == QY_FOUND_BEHIND_END &&
              reply_send(reply, QY_FAULT_KILL, 0, 0, 0) == QY_OK;

    print("filing: a page behind the end of a file that became shorter: %s\n",
          ok ? "a fault message" : "WRONG");
    return ok;
}

/* Files of the boot archive: read by pages, written to privately only. */
static bool reads_the_archive(void)
{
    uint64_t file, bytes;
    struct file hello;
    bool ok = archive_find(boot_archive(program->archive_bytes), "hello", &hello) == QY_OK &&
              opens("boot/hello", false, &file, &bytes) && bytes == hello.bytes;
    volatile uint64_t *at = ok ? map(file, PAGE_ALIGN(bytes) / PAGE_BYTES, false, true) : NULL;

    ok = at && memcmp((const void *)(uintptr_t)at, hello.at, hello.bytes) == 0;
    if (at)
        at[0] = 1;
    ok = ok && !map(file, 1, true, true) &&
         files_call(client.server, FILES_RESIZE, file, 0, 0, NULL) == FILE_READ_ONLY;
    print("filing: a file of the boot archive, mapped: %s\n",
          ok ? "its bytes, and no others" : "WRONG");
    return ok;
}

/* What the first touch of a page costs, cold (the server brings it, with 15 behind it) and warm (it is in the object). */
static bool costs(void)
{
    const uint64_t batch = 16, batches = 3;
    uint64_t file, bytes, cold = 0, warm = 0;
    bool ok = opens("boot/root", false, &file, &bytes) && bytes >= batches * batch * PAGE_BYTES;
    volatile uint64_t *at = ok ? map(file, batches * batch, true, false) : NULL;

    for (uint64_t i = 0; at && i < batches * batch; i++) {
        uint64_t before = clock_ticks();
        (void)at[i * WORDS];
        *(i % batch ? &warm : &cold) += clock_ticks() - before;
    }
    if (at)
        print("filing: first touch of a file's page: %llu ticks warm, %llu cold, with 15 more\n",
              (unsigned long long)(warm / (batches * (batch - 1))),
              (unsigned long long)(cold / batches));
    return !ok || at;
}

/* Names, and what was on the disk before us. */
static bool names(void)
{
    struct message answer;
    uint64_t file, bytes, position = 0;
    unsigned listed = 0;
    bool ok = by_path(FILES_DIRECTORY, 0, "disk/folder", "", NULL) == FILE_OK &&
              opens("disk/folder/a", true, &file, &bytes);

    memcpy(buffer, "written\n", 8);
    ok =
        ok && files_call(client.server, FILES_WRITE, file, 0, 8, NULL) == FILE_OK &&
        by_path(FILES_REMOVE, 0, "disk/folder/a", "", NULL) == FILE_BUSY &&
        files_call(client.server, FILES_CLOSE, file, 0, 0, NULL) == FILE_OK &&
        files_call(client.server, FILES_SIZE, file, 0, 0, NULL) == FILE_NOT_FOUND &&
        by_path(FILES_RENAME, 0, "disk/folder/a", "disk/folder/of another name", NULL) == FILE_OK &&
        by_path(FILES_REMOVE, 0, "disk/folder", "", NULL) == FILE_NOT_EMPTY &&
        by_path(FILES_REMOVE, 0, "disk/gone.txt", "", NULL) == FILE_OK &&
        by_path(FILES_REMOVE, 0, "disk/gone.txt", "", NULL) == FILE_NOT_FOUND;
    while (ok && by_path(FILES_LIST, position, "disk", "", &answer) == FILE_OK) {
        position = answer.word[0];
        listed++;
    }
    ok = ok && listed == 3 && files_call(client.server, FILES_SPACE, 0, 0, 0, &answer) == FILE_OK &&
         answer.word[0] > 0;
    print("filing: made, renamed, removed, listed: %s\n", ok ? "yes" : "NO");
    return ok;
}

/* ---- a client that ends as it is ---- */

static const char *const guest_paths[GUEST_FILES] = {"disk/guest", "boot/hello", "boot/root"};

/* It has files open and mapped, and a page that it has not synced, when it dies of a fault, or just ends. */
static int guest(bool dies)
{
    uint64_t file, bytes;
    bool ok;

    client = (struct files_client){PROGRAM_GIVEN(0), (char *)BUFFER};
    ok = files_attach(&client) &&
         files_call(client.server, FILES_SIZE, 0, 0, 0, NULL) == FILE_NOT_FOUND;
    for (unsigned i = 1; ok && i < GUEST_FILES; i++)
        ok = opens(guest_paths[i], false, &file, &bytes) && map(file, 1, false, false);
    ok = ok && opens(guest_paths[0], true, &file, &bytes) && bytes == 0 &&
         files_call(client.server, FILES_RESIZE, file, PAGE_BYTES, 0, NULL) == FILE_OK;
    volatile uint64_t *at = ok ? map(file, 1, true, true) : NULL;
    if (!at)
        return 1;
    at[5] = word_at(0, 5);
    return dies ? (int)*(volatile uint64_t *)PAGE_BYTES : 0;
}

static bool invites(unsigned n, qy_handle_t ear)
{
    static const char *const dying[] = {"filing", "dies", NULL}, *const ending[] = {"filing",
                                                                                    "ends", NULL};
    static struct process process;
    struct process_event event = {0};
    uint64_t file, bytes;
    const char *why;
    struct message answer;
    bool ok =
        process_spawn(n % 2 ? dying : ending, 256, ear, 1, &process, &why) == QY_OK &&
        process_give(&process, 0, endpoint, QY_RIGHT_WRITE | QY_RIGHT_GRANT, GUEST) == QY_OK &&
        process_start(&process, QY_CPU_ANY) == QY_OK && process_wait(ear, 0, &event) == QY_OK &&
        event.news == (n % 2 ? PROCESS_FAULTED : PROCESS_EXITED) && event.code == 0 &&
        by_path(FILES_REMOVE, 0, guest_paths[0], "", NULL) == FILE_BUSY;

    /* What it wrote came to the file when the server found that it had gone; nobody has the file open. */
    ok &= process_destroy(&process) == QY_OK;
    ok = ok && opens(guest_paths[0], false, &file, &bytes) &&
         files_call(client.server, FILES_READ, file, 0, bytes, &answer) == FILE_OK &&
         ((uint64_t *)buffer)[5] == word_at(0, 5) &&
         files_call(client.server, FILES_CLOSE, file, 0, 0, NULL) == FILE_OK;
    return ok && by_path(FILES_REMOVE, 0, guest_paths[0], "", NULL) == FILE_OK;
}

static bool lets_go(void)
{
    qy_handle_t ear = 0;
    bool ok = slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &ear) == QY_OK;

    for (unsigned n = 0; ok && n < GUESTS; n++)
        ok = invites(n, ear);
    print("filing: %u clients ended with files open and mapped: %s\n", GUESTS,
          ok ? "nothing of them is open" : "NOT let go of");
    return ok;
}

int main(int argc, char *argv[])
{
    static struct process server;
    volatile uint64_t *at = NULL;
    uint64_t file = 0;

    if (argc > 1)
        return guest(strcmp(argv[1], "dies") == 0);
    if (!start_server(&server)) {
        print("filing: no server of files: it needs a disk, which the word disk brings\n");
        return 1;
    }
    if (!fills(&at, &file))
        return 2;
    if (!is_one_file(at, file))
        return 3;
    if (!becomes_shorter(at, file))
        return 4;
    if (!reads_the_archive())
        return 5;
    if (!costs())
        return 6;
    if (!names())
        return 7;
    if (!lets_go())
        return 9;
    /* The last words: written through the map, synced, and then no more than power off. */
    at[0] = word_at(0, 9);
    memcpy((void *)(uintptr_t)&at[WORDS], "synced by quarry", 16);
    bool ok = files_call(client.server, FILES_SYNC, 0, 0, 0, NULL) == FILE_OK;
    at[2 * WORDS] = 0; /* not synced */
    print("filing: synced; the server is taken away as it is: %s\n", ok ? "yes" : "NO");
    return ok && process_destroy(&server) == QY_OK ? 0 : 8;
}
