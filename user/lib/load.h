/*
 * What a process is loaded from, and where it is put (load.c, place.c), for process.c.
 */
#ifndef USER_LIB_LOAD_H
#define USER_LIB_LOAD_H

#include <user/process.h>
#include <user/space.h>

#define LOAD_PARTS (1u + QY_ELF_NEEDED_MAX)

/* A program and the libraries that it needs, checked. */
struct load {
    unsigned count;
    struct qy_elf elf[LOAD_PARTS];
    struct qy_elf_part part[LOAD_PARTS];
    qy_handle_t shared[LOAD_PARTS]; /* the objects of plan->images; 0: its own */
    const char *name[LOAD_PARTS];
};

/*
 * A process without memory: its budget, space, node and thread, and what it finds in its node but images. On an error
 * some may be: the caller destroys it.
 */
enum qy_error process_make(const struct process_plan *plan, struct process *process) CALL_MUST_USE;

/*
 * Check everything before anything is made of the process. *why says what is wrong. Errors: CORRUPT, TRUNCATED,
 * TOO_MANY, NOT_FOUND (a library, or a symbol of one), OUT_OF_MEMORY (the untyped of the images).
 */
enum qy_error load_read(struct load *load, const struct process_plan *plan,
                        const char **why) CALL_MUST_USE;

/* Where everything is going to lie. */
void load_place(struct load *load, const struct process_plan *plan, struct process_places *out);

/* Pages of a process's own object for them. */
uint64_t load_pages(const struct load *load);

/* Fill pages of the object from `first` on, and map everything. On an error some may be: the caller destroys the process. */
enum qy_error load_map(const struct load *load, qy_handle_t space, qy_handle_t object,
                       uint64_t first) CALL_MUST_USE;

#endif
