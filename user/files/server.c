/*
 * The program `files`: a file server over a disk's driver and the boot archive. See files.h, server.h.
 */
#include "server.h"

#include <lib/string.h>
#include <user/print.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

struct files_server server;

/* A thread waits for a page. If there is none to be had, the file is taken from all who map it: its handler is told. */
static enum qy_error serve_fault(const struct message *message)
{
    uint64_t number = message->badge & (OPEN_MAX - 1), page = message->label >> 24;
    struct open_file *open = &server.files[number];
    enum file_error error = FILE_OK;

    if (open->users && open->object && page < pages_of(open)) /* else the next touch says so */
        error = pages_supply(open, page);
    if (error != FILE_OK) {
        print("files: a page cannot be read: %s\n", file_error_sentence(error));
        (void)!pages_write_back(open); /* what can be */
        error = pages_end(open);
    }
    return reply_send(server.reply, error == FILE_OK ? QY_FAULT_RESUME : QY_FAULT_KILL, 0, 0, 0);
}

/* The client may change it meanwhile: what is used is a copy. Null: it is no path there. */
static const char *path_on(const char *path, const char *where)
{
    size_t length = strlen(where);

    return strncmp(path, where, length) == 0 && (path[length] == '/' || !path[length])
               ? path + length + (path[length] == '/')
               : NULL;
}

/* The entry of what was just opened: the one that it has, or a new one. */
static struct open_file *entry_of(const struct open_file *wanted)
{
    struct open_file *unused = NULL;

    for (unsigned i = 0; i < OPEN_MAX; i++) {
        struct open_file *open = &server.files[i];
        if (!open->users)
            unused = unused ? unused : open;
        else if (open->file == wanted->file && open->archive.at == wanted->archive.at)
            return open;
    }
    if (unused)
        *unused = *wanted;
    return unused;
}

static enum file_error open_file(uint64_t client, bool create, const char *path,
                                 struct message *answer)
{
    struct open_file wanted = {0};
    enum file_error error = FILE_NOT_FOUND;
    const char *in_archive = path_on(path, "boot"), *on_disk = path_on(path, "disk");

    if (in_archive &&
        archive_find(boot_archive(program->archive_bytes), in_archive, &wanted.archive) == QY_OK)
        error = FILE_OK;
    else if (on_disk)
        error = server.mounted ? fat_open(&server.fat, on_disk, create, &wanted.file) : FILE_IO;
    if (error != FILE_OK)
        return error;
    struct open_file *open = entry_of(&wanted);
    bool known = open && open->users;
    if ((!open || known) && wanted.file) /* it is open once */
        error = fat_close(&server.fat, wanted.file);
    if (!open)
        return FILE_TOO_MANY;
    open->users++;
    open->opened[client]++;
    answer->word[0] = (uint64_t)(open - server.files);
    answer->word[1] = bytes_of(open);
    return error;
}

static enum file_error read_file(const struct open_file *open, const struct message *message,
                                 struct message *answer)
{
    uint64_t offset = message->word[1];
    size_t bytes = message->word[2] < FILES_BUFFER_BYTES ? message->word[2] : FILES_BUFFER_BYTES,
           done = 0;
    enum file_error error = pages_write_back_part(open, offset, bytes);

    if (error == FILE_OK && open->file) {
        error = fat_read(&server.fat, open->file, offset, buffer_of(message->badge), bytes, &done);
    } else if (error == FILE_OK && offset < open->archive.bytes) {
        done = bytes < open->archive.bytes - offset ? bytes : open->archive.bytes - offset;
        memcpy(buffer_of(message->badge), open->archive.at + offset, done);
    }
    answer->word[0] = done;
    return error;
}

static enum file_error change_file(const struct open_file *open, const struct message *message)
{
    uint64_t offset = message->word[1], bytes = message->word[2], before = bytes_of(open);
    bool resize = message->label == FILES_RESIZE;

    if (!open->file)
        return FILE_READ_ONLY;
    if (!resize && bytes > FILES_BUFFER_BYTES)
        return FILE_OUTSIDE;
    enum file_error error = pages_write_back(open);
    if (error == FILE_OK)
        error = resize
                    ? fat_resize(&server.fat, open->file, offset)
                    : fat_write(&server.fat, open->file, offset, buffer_of(message->badge), bytes);
    return error == FILE_OK ? pages_refresh(open, offset < before ? offset : before) : error;
}

/* Of an open file. */
static enum file_error serve_file(const struct message *message, struct message *answer)
{
    struct open_file *open = message->word[0] < OPEN_MAX ? &server.files[message->word[0]] : NULL;

    if (!open || !open->users || !open->opened[message->badge])
        return FILE_NOT_FOUND;
    switch (message->label) {
    case FILES_CLOSE:
        return client_close(open, message->badge);
    case FILES_READ:
        return read_file(open, message, answer);
    case FILES_SIZE:
        answer->word[0] = bytes_of(open);
        return FILE_OK;
    case FILES_MAP:
        answer->word[0] = pages_of(open);
        return pages_map(open);
    default:
        return change_file(open, message);
    }
}

/* By a path on the disk. */
static enum file_error serve_path(const struct message *message, char *paths,
                                  struct message *answer)
{
    static struct fat_info info;
    const char *path = path_on(paths, "disk"), *to = path_on(paths + strlen(paths) + 1, "disk");
    uint32_t position = (uint32_t)message->word[0];

    if (!path)
        return FILE_NOT_FOUND;
    if (!server.mounted)
        return FILE_IO;
    switch (message->label) {
    case FILES_DIRECTORY:
        return fat_make_directory(&server.fat, path);
    case FILES_REMOVE:
        return fat_remove(&server.fat, path);
    case FILES_RENAME:
        return to ? fat_rename(&server.fat, path, to) : FILE_UNSUPPORTED;
    default:
        break;
    }
    enum file_error error = fat_list(&server.fat, path, &position, &info);
    if (error == FILE_OK)
        memcpy(buffer_of(message->badge), info.name, sizeof(info.name));
    *answer = (struct message){.word = {position, info.bytes, info.directory}};
    return error;
}

static enum file_error serve(const struct message *message, struct message *answer)
{
    static char paths[2 * 4096 + 1]; /* ends with a 0 that no client has written */

    if (message->badge == 0 || message->badge >= FILES_CLIENTS)
        return FILE_UNSUPPORTED;
    if (message->label == FILES_ATTACH || message->label == FILES_OPEN ||
        message->label == FILES_REMOVE || message->label == FILES_RENAME)
        clients_look();
    if (message->label == FILES_ATTACH)
        return client_attach(message->badge);
    if (!server.buffers[message->badge])
        return FILE_NO_MEMORY;
    memcpy(paths, buffer_of(message->badge), sizeof(paths) - 1);
    switch (message->label) {
    case FILES_OPEN:
        return open_file(message->badge, message->word[0] & 1, paths, answer);
    case FILES_CLOSE:
    case FILES_READ:
    case FILES_WRITE:
    case FILES_SIZE:
    case FILES_RESIZE:
    case FILES_MAP:
        return serve_file(message, answer);
    case FILES_LIST:
    case FILES_DIRECTORY:
    case FILES_REMOVE:
    case FILES_RENAME:
        return serve_path(message, paths, answer);
    case FILES_SYNC: {
        enum file_error error = pages_write_back_all();
        return error == FILE_OK && server.mounted ? fat_sync(&server.fat) : error;
    }
    case FILES_SPACE:
        answer->word[0] = server.mounted ? fat_free_bytes(&server.fat) : 0;
        return FILE_OK;
    default:
        return FILE_UNSUPPORTED;
    }
}

static enum qy_error serve_request(const struct message *message)
{
    struct message answer = {0};
    enum file_error error = serve(message, &answer);
    qy_handle_t given = 0;

    if (error == FILE_OK && message->label == FILES_ATTACH)
        given = server.buffers[message->badge];
    else if (error == FILE_OK && message->label == FILES_MAP)
        given = server.files[message->word[0]].view;
    enum qy_error sent = qy_call(QY_CALL_reply_send, server.reply, error, answer.word[0],
                                 answer.word[1], answer.word[2], given)
                             .error;
    /* It was no call but a fault, of a client that made this its handler: nobody mends that. */
    return sent == QY_INVALID_ARGUMENT ? reply_send(server.reply, QY_FAULT_KILL, 0, 0, 0) : sent;
}

static enum qy_error begin(void)
{
    struct tables made;

    server.endpoint = PROGRAM_GIVEN(FILES_GIVEN_ENDPOINT);
    server.driver = PROGRAM_GIVEN(FILES_GIVEN_DISK);
    enum qy_error error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &server.reply);
    if (error == QY_OK)
        error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_FRAME, FILES_BUFFER_PAGES, &server.buffer);
    if (error == QY_OK)
        error =
            space_map_frame(QY_SLOT_UNTYPED, QY_SLOT_SPACE, server.buffer,
                            (uintptr_t)buffer_of(FILES_CLIENTS), QY_MAP_READ | QY_MAP_WRITE, &made);
    return error;
}

int main(int argc, char *argv[])
{
    struct message message;
    struct cap_state disk;
    enum qy_error error = begin();

    (void)argc, (void)argv;
    if (error == QY_OK && cap_info(QY_SLOT_NODE, PROGRAM_GIVEN(FILES_GIVEN_DISK), &disk) == QY_OK) {
        enum file_error mounted = disk_mount();
        server.mounted = mounted == FILE_OK;
        if (!server.mounted)
            print("files: the disk: %s\n", file_error_sentence(mounted));
    }
    while (error == QY_OK) {
        error = endpoint_receive(server.endpoint, server.reply, &message);
        if (error == QY_OK && message.badge & PAGER)
            error = serve_fault(&message);
        else if (error == QY_OK)
            error = serve_request(&message);
        if (error == QY_NOT_FOUND) /* whoever asked has gone */
            error = QY_OK;
    }
    return (int)error;
}
