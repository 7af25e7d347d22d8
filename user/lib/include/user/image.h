/*
 * Images that processes share: what no process may write, text and constants, is in memory once, however many run.
 *
 *     file --> checked --> memory object: pages of its segments that are not writable, one behind the other
 *                              '--> mapped in each process at the place that its image got
 *
 * Relocations are in writable segments only, so shared pages are the same wherever the image lies. Whoever has the table
 * pays for the pages. A process has a capability of its own of each object that it uses: a table may end before it.
 * Locking: one thread uses a table. Failure: an error and a sentence.
 */
#ifndef USER_IMAGE_H
#define USER_IMAGE_H

#include <platform/elf.h>
#include <user/call.h>

#define IMAGES_MAX 16u

/* A file of an archive. It is only read. */
struct file {
    const unsigned char *at;
    size_t bytes;
};

struct image {
    struct qy_elf elf;
    qy_handle_t object;
};

struct images {
    qy_handle_t untyped; /* the objects are made out of it */
    unsigned count;
    struct image image[IMAGES_MAX];
};

/* Check a file. Errors: CORRUPT, TRUNCATED, TOO_MANY; *why says what is wrong. */
enum qy_error image_check(struct file file, struct qy_elf *out, const char **why) CALL_MUST_USE;

/*
 * The image of a checked file, made when it is asked for first. Errors: TOO_MANY (images, slots), OUT_OF_MEMORY (the
 * untyped).
 */
enum qy_error images_find(struct images *images, const struct qy_elf *elf,
                          qy_handle_t *object) CALL_MUST_USE;

/* No new process can use them; those that run go on. */
void images_end(struct images *images);

/* Pages of a segment that have something of the file. */
uint64_t image_pages(const struct qy_elf_segment *segment);

/*
 * Put a segment's bytes into pages of an object, from number `first` on, relocated as parts[which]. Errors: OUT_OF_MEMORY
 * (what the object was made of).
 */
enum qy_error image_supply(qy_handle_t object, uint64_t first, const struct qy_elf_segment *segment,
                           const struct qy_elf_part *parts, unsigned count,
                           unsigned which) CALL_MUST_USE;

#endif
