/*
 * A client's side of the file server, for programs that start it themselves: over the disk whose driver they were given.
 */
#ifndef FILES_CLIENT_H
#define FILES_CLIENT_H

#include "files.h"

#include <user/process.h>

/* Start the program `files` over a disk's driver. *endpoint: the server's, with all rights; clients get a copy of it with
 * a badge. False: it could not be started. */
bool files_start(struct process *server, qy_handle_t driver, qy_handle_t *endpoint) CALL_MUST_USE;

struct files_client {
    qy_handle_t server; /* a capability of its endpoint, with the client's badge */
    char *buffer;       /* FILES_BUFFER_BYTES, shared with it */
};

/* The buffer of *client is mapped at its place. False: the server does not answer so. */
bool files_attach(const struct files_client *client) CALL_MUST_USE;

/* A request with a path, or two (else ""), and a word. *answer may be null. */
enum file_error files_by_path(const struct files_client *client, enum files_request request,
                              uint64_t word, const char *path, const char *to,
                              struct message *answer) CALL_MUST_USE;

/* Errors of the server. */
enum file_error files_open(const struct files_client *client, const char *path, bool create,
                           uint64_t *file, uint64_t *bytes) CALL_MUST_USE;

/* The file's memory object, mapped at an address that nobody uses. Null: no. */
volatile uint64_t *files_map(const struct files_client *client, uint64_t file, uint64_t pages,
                             bool shared, bool write) CALL_MUST_USE;

#endif
