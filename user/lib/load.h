/*
 * Images of processes (load.c), for process.c and for pagers.
 */
#ifndef USER_LIB_LOAD_H
#define USER_LIB_LOAD_H

#include <user/process.h>
#include <user/space.h>

/* Check an image before anything is made for it. Errors: CORRUPT, TRUNCATED, TOO_MANY; *why says what is wrong. */
enum qy_error load_check(struct file image, uint64_t *entry, const char **why) CALL_MUST_USE;

/* Map all segments of a checked image. On an error some may be: the caller destroys the process. */
enum qy_error load_image(struct process *process, struct file image) CALL_MUST_USE;

/*
 * Map [address, address + bytes) with what the file holds, zeroes behind; address + file.bytes may end anywhere. Pages
 * beyond the file are only reserved. Errors as load_image.
 */
enum qy_error load_bytes(struct process *process, uint64_t address, struct file file,
                         uint64_t bytes, uint64_t flags) CALL_MUST_USE;

#endif
