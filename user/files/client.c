/* A client's side of the file server: see client.h. */
#include "client.h"

#include <lib/string.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

#define SERVER_PAGES 1536u

bool files_start(struct process *server, qy_handle_t driver, qy_handle_t *endpoint)
{
    static const char *const argv[] = {"files", NULL};
    qy_handle_t ear = 0;
    const char *why = "";

    return slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &ear) == QY_OK &&
           slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, endpoint) == QY_OK &&
           process_spawn(argv, SERVER_PAGES, ear, 1, server, &why) == QY_OK &&
           process_give(server, FILES_GIVEN_ENDPOINT, *endpoint,
                        QY_RIGHT_READ | QY_RIGHT_WRITE | QY_RIGHT_GRANT, 0) == QY_OK &&
           process_give(server, FILES_GIVEN_DISK, driver, QY_RIGHT_WRITE | QY_RIGHT_GRANT, 0) ==
               QY_OK &&
           process_start(server, QY_CPU_ANY) == QY_OK;
}

bool files_attach(const struct files_client *client)
{
    const uint32_t slot = slot_take();
    struct cap_state came;
    struct tables made;

    return slot && receive_slot(QY_SLOT_NODE, slot) == QY_OK &&
           files_call(client->server, FILES_ATTACH, 0, 0, 0, NULL) == FILE_OK &&
           cap_info(QY_SLOT_NODE, slot, &came) == QY_OK &&
           space_map_frame(QY_SLOT_UNTYPED, QY_SLOT_SPACE, came.handle, (uintptr_t)client->buffer,
                           QY_MAP_READ | QY_MAP_WRITE, &made) == QY_OK;
}

enum file_error files_by_path(const struct files_client *client, enum files_request request,
                              uint64_t word, const char *path, const char *to,
                              struct message *answer)
{
    size_t length = strlen(path) + 1;

    memcpy(client->buffer, path, length);
    memcpy(client->buffer + length, to, strlen(to) + 1);
    return files_call(client->server, request, word, 0, 0, answer);
}

enum file_error files_open(const struct files_client *client, const char *path, bool create,
                           uint64_t *file, uint64_t *bytes)
{
    struct message answer;
    enum file_error error = files_by_path(client, FILES_OPEN, create, path, "", &answer);

    *file = answer.word[0];
    *bytes = answer.word[1];
    return error;
}

volatile uint64_t *files_map(const struct files_client *client, uint64_t file, uint64_t pages,
                             bool shared, bool write)
{
    uint32_t slot = slot_take();
    struct cap_state came;
    uint64_t at = 0;
    uint64_t flags = QY_MAP_READ | QY_REGION(QY_REGION_MAPPED) | (write ? QY_MAP_WRITE : 0) |
                     (shared ? 0 : QY_REGION_PRIVATE);

    if (!slot || receive_slot(QY_SLOT_NODE, slot) != QY_OK ||
        files_call(client->server, FILES_MAP, file, 0, 0, NULL) != FILE_OK ||
        cap_info(QY_SLOT_NODE, slot, &came) != QY_OK ||
        space_map_object(QY_SLOT_SPACE, &at, pages * PAGE_BYTES, flags, came.handle, 0) != QY_OK)
        return NULL;
    return (volatile uint64_t *)(uintptr_t)at;
}
