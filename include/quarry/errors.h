/*
 * Every error that Quarry reports, written once.
 *
 * The first seven are the results that a memory call can have in Ferrous' design; the rest are what
 * capabilities, messages and booting add. The table makes the enum, the names, the sentences shown to
 * people, the manual page and the tests.
 */
#ifndef QUARRY_ERRORS_H
#define QUARRY_ERRORS_H

/* X(name, value, sentence) */
#define QY_ERRORS(X)                                                                               \
    X(OK, 0, "done")                                                                               \
    X(OUT_OF_MEMORY, 1, "the memory named by the caller has no free block of that size")           \
    X(INVALID_ADDRESS, 2, "not canonical, not aligned, page 0, or outside the user half")          \
    X(ALREADY_MAPPED, 3, "something is mapped there already")                                      \
    X(NOT_MAPPED, 4, "nothing is mapped there")                                                    \
    X(INVALID_FLAGS, 5, "writable and executable, a memory type that does not fit, or a flag that does not exist")                  \
    X(NUMA_NODE_NOT_FOUND, 6, "the machine has no such node")                                      \
    X(INVALID_HANDLE, 7, "null, stale, or outside the capability node")                            \
    X(WRONG_TYPE, 8, "the capability names an object of another type")                             \
    X(NO_RIGHTS, 9, "the capability lacks a right that the call needs")                            \
    X(INVALID_ARGUMENT, 10, "an argument is outside its range")                                    \
    X(SLOT_OCCUPIED, 11, "the destination slot holds a capability")                                \
    X(MISSING_TABLE, 12, "the page table of the level named in the result is missing")             \
    X(REVOKED, 13, "the object is being destroyed")                                                \
    X(BUSY, 14, "the object is in use")                                                            \
    X(UNKNOWN_CALL, 15, "no such invocation")                                                      \
    X(DEAD, 16, "the other side has gone")                                                         \
    X(WOULD_WAIT, 17, "nothing is there yet")                                                      \
    X(BAD_USER_POINTER, 18, "the memory at that user address cannot be read or written")           \
    X(CORRUPT, 19, "the input breaks its format's rules")                                          \
    X(TRUNCATED, 20, "the input ends too early")                                                   \
    X(TOO_MANY, 21, "more entries than the table can hold")                                        \
    X(NOT_FOUND, 22, "no such entry")                                                              \
    X(UNSUPPORTED, 23, "this machine cannot do that")                                              \
    X(NOT_OWNED, 24, "the memory belongs to another arena")                                        \
    X(NOT_ALLOCATED, 25, "the memory is free already, or this is not the start of a block")        \
    X(IO_ERROR, 26, "the device says that it failed")

enum qy_error {
#define X(name, value, sentence) QY_##name = (value),
    QY_ERRORS(X)
#undef X
};

/* Name and sentence of an error; "?" for a number that is none. */
static inline const char *qy_error_name(enum qy_error error)
{
    switch (error) {
#define X(name, value, sentence)                                                                   \
    case QY_##name:                                                                                \
        return #name;
        QY_ERRORS(X)
#undef X
    }
    return "?";
}

static inline const char *qy_error_sentence(enum qy_error error)
{
    switch (error) {
#define X(name, value, sentence)                                                                   \
    case QY_##name:                                                                                \
        return sentence;
        QY_ERRORS(X)
#undef X
    }
    return "?";
}

#endif
