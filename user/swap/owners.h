/*
 * The swapper's owners: what each was admitted with, and where it lies.
 *
 *     its untyped --> memory object, mapped here:  | pool | its pages' state | slots | blocks |     all there from the beginning
 *                 --> area                         whose pager is the swapper
 *     the disk    --> a range of blocks            the owner's alone, as long as it is admitted
 *
 * Locking: one thread. Failure: an error, and nothing of it is left.
 */
#ifndef SWAP_OWNERS_H
#define SWAP_OWNERS_H

#include "blocks.h"
#include "service.h"
#include "swapper.h"

struct owner {
    struct swap_owner swap;
    qy_handle_t untyped, object;
    qy_handle_t bell, pager; /* the bell with the owner's badge; pager: 0 = none */
    uint64_t mapped;         /* bytes of the object; 0: there is no such owner */
    uint64_t told, asked;
};

/* The program. */
struct service {
    struct swapper swapper;
    struct seal seal;
    struct keep_disk disk;
    struct blocks blocks;
    qy_handle_t endpoint, reply, bell, timer;
    struct owner owner[SWAP_OWNERS];
    uint64_t waiting; /* owners whose pagers have been asked, a bit each */
    uint64_t scarce;
};
extern struct service service;

/* Errors: INVALID_ARGUMENT, ALREADY_MAPPED (there is one), those of the calls. The untyped's capability is the owner's then. */
enum qy_error owner_admit(unsigned number, uint64_t pool, uint64_t slots,
                          qy_handle_t untyped) CALL_MUST_USE;

/* Its untyped is not touched any more, its pages are lost. NOT_FOUND: there is none. */
enum qy_error owner_dismiss(unsigned number) CALL_MUST_USE;

/* Null: there is no such owner. */
struct owner *owner_find(uint64_t number);

/* Everything about all of them. */
void owners_report(struct swap_report *report);

#endif
