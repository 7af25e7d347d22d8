/*
 * The file server's parts.
 *
 *     server.c   requests
 *     clients.c  who has a buffer, and what they have open
 *     pages.c    what of a file is in memory: supplied as it is touched, written back as it was written
 *     disk.c     the disk's driver as the disk of a FAT32
 */
#ifndef FILES_SERVER_H
#define FILES_SERVER_H

#include "files.h"

#include "../fat/fat.h"

#include <user/process.h>

#define BUFFERS 0x0000300000000000ull /* of clients, then that of the disk */
#define OPEN_MAX 16u
#define PAGER (1ull << 40) /* badge of faults: with the number of the file */

/* A file, once for all who have it open. */
struct open_file {
    unsigned users;                 /* 0: not in use */
    unsigned opened[FILES_CLIENTS]; /* by each of them */
    struct fat_file *file;          /* null: of the boot archive */
    struct file archive;
    qy_handle_t object, view; /* view: what clients get of it */
};

struct files_server {
    struct fat fat;
    struct fat_disk disk;
    qy_handle_t endpoint, driver, buffer, reply;
    bool mounted;
    qy_handle_t buffers[FILES_CLIENTS]; /* their frames; 0: not attached */
    struct open_file files[OPEN_MAX];
};
extern struct files_server server;

static inline char *buffer_of(uint64_t client)
{
    return (char *)(uintptr_t)(BUFFERS + client * FILES_BUFFER_BYTES);
}

static inline uint64_t bytes_of(const struct open_file *open)
{
    return open->file ? open->file->bytes : open->archive.bytes;
}

static inline uint64_t pages_of(const struct open_file *open)
{
    return (bytes_of(open) + 4095) / 4096;
}

/* A client gets its buffer, which stays the server's: nobody can take it away under the server. Errors: NO_MEMORY. */
enum file_error client_attach(uint64_t client);
/* One of the times that it has opened it; the last of all syncs it. */
enum file_error client_close(struct open_file *open, uint64_t client);
/* What clients had that have gone is let go of. */
void clients_look(void);

/* The driver's disk is mounted. Errors: those of fat_mount. */
enum file_error disk_mount(void);

/* The object of a file, made when it is first wanted; and its end: whoever maps it faults, REVOKED. */
enum file_error pages_map(struct open_file *open);
enum file_error pages_end(struct open_file *open);
/* Pages that were written through maps come to their files. */
enum file_error pages_write_back(const struct open_file *open);
/* Those that hold some of these bytes. */
enum file_error pages_write_back_part(const struct open_file *open, uint64_t offset, uint64_t bytes);
enum file_error pages_write_back_all(void);
/* The file has changed from that byte on, or its end has moved: pages come anew. */
enum file_error pages_refresh(const struct open_file *open, uint64_t from);
/* Pages of a file from one that was touched on. NO_MEMORY, those of the disk. */
enum file_error pages_supply(const struct open_file *open, uint64_t page);

#endif
