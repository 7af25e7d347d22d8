/*
 * Files as a service: what a program says to the file server, and its side of it.
 *
 *     client                           files                             disk's driver
 *     endpoint_call(READ, file, ...) -> FAT32 (fat/fat.h), boot archive -> block_call
 *     buffer: paths, bytes           <- buffer
 *     endpoint_call(MAP, file)       -> a memory object's capability
 *     touches a page                 ->   (kernel) -> page n of the file, 16 at a time
 *     SYNC                           -> pages that were written (memory_written) -> the file -> the disk
 *
 * A path is "disk/..." or "boot/..."; the boot archive can only be read. Clients are told apart by the badges of their
 * endpoint capabilities, 1 to FILES_CLIENTS - 1, and share no buffer. A file that is mapped is the same file for READ and WRITE, at
 * once. A region of the object may be shared, or private: then its writes never come to the file. Pages behind the end of
 * a file that became shorter are no memory: who touches them faults, to its own handler (QY_FOUND_BEHIND_END). The
 * object lives as long as the file is open. If a page of it cannot be read the object goes with all that nobody has
 * synced: who touches a page of it faults, to its own handler (QY_FOUND_REVOKED), and may map the file again.
 *
 * A client that ends, in whatever way, has nothing open any more: it is taken for gone when nobody but the server has a
 * capability of its buffer.
 *
 * One thread serves. When its memory is used up, pages of all files are written back and taken away.
 */
#ifndef FILES_FILES_H
#define FILES_FILES_H

#include "../fat/file_error.h"
#include <user/call.h>

#define FILES_CLIENTS 8u
#define FILES_BUFFER_PAGES 16u
#define FILES_BUFFER_BYTES (FILES_BUFFER_PAGES * 4096u)

/*
 * X(NAME, words: results). Labels of requests; the answer's label is an enum file_error. A path, or two, each with its
 * 0, stands at the beginning of the buffer.
 */
#define FILES_REQUESTS(X)                                                                          \
    X(ATTACH)    /* : with the capability of a frame of FILES_BUFFER_PAGES, the client's buffer */ \
    X(OPEN)      /* make it if it is not there; path: file, bytes */                               \
    X(CLOSE)     /* file */                                                                        \
    X(READ)      /* file, offset, bytes: bytes, in the buffer */                                   \
    X(WRITE)     /* file, offset, bytes in the buffer */                                           \
    X(SIZE)      /* file: bytes */                                                                 \
    X(RESIZE)    /* file, bytes */                                                                 \
    X(MAP)       /* file: pages, with the capability of a memory object */                         \
    X(LIST)      /* position, path: position, bytes, is it a directory; its name in the buffer */ \
    X(DIRECTORY) /* path */                                                                        \
    X(REMOVE)    /* path */                                                                        \
    X(RENAME)    /* two paths */                                                                   \
    X(SYNC)                                                                                        \
    X(SPACE)     /* : bytes that are free on the disk */

enum files_request {
    FILES_NOTHING,
#define X(NAME) FILES_##NAME,
    FILES_REQUESTS(X)
#undef X
};

/* What whoever starts the program `files` gives it, as PROGRAM_GIVEN(i). DISK: of a disk's driver, to write
 * to; without it there is the boot archive only. */
enum files_given { FILES_GIVEN_ENDPOINT, FILES_GIVEN_DISK };

/* A request; *answer may be null. Errors: the server's; IO if it has gone. */
static inline CALL_MUST_USE enum file_error files_call(qy_handle_t endpoint, enum files_request request, uint64_t a,
                                                       uint64_t b, uint64_t c, struct message *answer)
{
    struct message message;
    enum qy_error error = endpoint_call(endpoint, request, a, b, c, &message);
    if (answer)
        *answer = message;
    return error == QY_OK ? (enum file_error)(message.label & ~QY_LABEL_CAPABILITY) : FILE_IO;
}

#endif
