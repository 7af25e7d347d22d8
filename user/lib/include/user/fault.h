/*
 * Fault messages (docs/abi.md), taken apart and put into words.
 */
#ifndef USER_FAULT_H
#define USER_FAULT_H

#include <stdbool.h>
#include <user/call.h>

struct fault {
    uint64_t address; /* of an exception: its number */
    uint64_t instruction, thread;
    enum qy_access access;
    enum qy_fault_found mark; /* what stood at the address */
};

/* False: the message is no fault. */
bool fault_from(const struct message *message, struct fault *out) CALL_MUST_USE;

/* "write", and "nothing is mapped there". */
const char *fault_access_name(enum qy_access access);
const char *fault_mark_name(enum qy_fault_found mark);

#endif
