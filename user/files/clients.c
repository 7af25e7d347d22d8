/*
 * Who has a buffer, and what they have open. See server.h.
 *
 *     server's capability of a buffer --> the client's copy: goes with the client, however that ends
 *
 * Nobody tells the server that a client has ended. It looks whether its buffer still has another holder, whenever
 * somebody wants what a client that has gone could hold: a buffer, a place for an open file, a name, memory.
 */
#include "server.h"

#include <user/slots.h>
#include <user/space.h>

enum file_error client_attach(uint64_t client)
{
    qy_handle_t *frame = &server.buffers[client];
    struct tables made;

    if (*frame)
        return FILE_OK;
    enum qy_error error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_FRAME, FILES_BUFFER_PAGES, frame);
    if (error != QY_OK)
        return FILE_NO_MEMORY;
    error = space_map_frame(QY_SLOT_UNTYPED, QY_SLOT_SPACE, *frame, (uintptr_t)buffer_of(client),
                            QY_MAP_READ | QY_MAP_WRITE, &made);
    if (error == QY_OK)
        return FILE_OK;
    slot_delete(*frame);
    *frame = 0;
    return FILE_NO_MEMORY;
}

enum file_error client_close(struct open_file *open, uint64_t client)
{
    open->opened[client]--;
    if (open->users > 1) {
        open->users--;
        return FILE_OK;
    }
    enum file_error error = pages_write_back(open);
    if (pages_end(open) != FILE_OK)
        error = FILE_IO;
    if (open->file && fat_close(&server.fat, open->file) != FILE_OK)
        error = FILE_IO;
    open->users = 0;
    return error;
}

/* All that it had open is closed, its buffer is free memory. An error of the disk is heard by the next sync. */
static void client_end(uint64_t client)
{
    for (unsigned i = 0; i < OPEN_MAX; i++)
        while (server.files[i].users && server.files[i].opened[client])
            (void)!client_close(&server.files[i], client);
    slot_delete(server.buffers[client]);
    server.buffers[client] = 0;
}

void clients_look(void)
{
    struct cap_state buffer;

    for (uint64_t client = 1; client < FILES_CLIENTS; client++)
        if (server.buffers[client] &&
            cap_info(QY_SLOT_NODE, QY_HANDLE_INDEX(server.buffers[client]), &buffer) == QY_OK &&
            buffer.children == 0)
            client_end(client);
}
