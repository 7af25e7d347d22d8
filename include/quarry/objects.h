/*
 * Object types and rights, written once: what a capability can name and what its holder may do.
 */
#ifndef QUARRY_OBJECTS_H
#define QUARRY_OBJECTS_H

/*
 * X(NAME, value, name, retype)
 * retype: PAGES  = a power of two of pages, straight from the untyped's buddy
 *         PAGE   = one page
 *         SMALL  = from the slab cache of that type in the untyped
 *         RANGE  = any whole number of pages, a child arena
 *         NEVER  = made by the kernel at boot only
 *
 * A memory object's pages come out of the same untyped when they are first touched or supplied.
 * Frames are made of device memory too, by device_frame; their headers are paid by an untyped.
 */
#define QY_OBJECTS(X)                                                                              \
    X(NONE, 0, "none", NEVER)                                                                      \
    X(UNTYPED, 1, "untyped", RANGE)                                                                \
    X(FRAME, 2, "frame", PAGES)                                                                    \
    X(PAGE_TABLE, 3, "page table", PAGE)                                                           \
    X(ADDRESS_SPACE, 4, "address space", SMALL)                                                    \
    X(CAP_NODE, 5, "capability node", PAGES)                                                       \
    X(THREAD, 6, "thread", SMALL)                                                                  \
    X(ENDPOINT, 7, "endpoint", SMALL)                                                              \
    X(REPLY, 8, "reply", SMALL)                                                                    \
    X(NOTIFICATION, 9, "notification", SMALL)                                                      \
    X(TIMER, 10, "timer", SMALL)                                                                   \
    X(INTERRUPT, 11, "interrupt", SMALL)                                                           \
    X(IO_PORTS, 12, "port range", SMALL)                                                           \
    X(DMA, 13, "DMA device", SMALL)                                                                \
    X(MEMORY, 14, "memory object", SMALL)                                                          \
    X(DEVICE_MEMORY, 15, "device memory", NEVER)                                                   \
    X(CONSOLE, 16, "console", NEVER)                                                               \
    X(SYSTEM, 17, "system", NEVER)

enum qy_object_type {
#define X(NAME, value, name, retype) QY_OBJ_##NAME = (value),
    QY_OBJECTS(X)
#undef X
        QY_OBJ_COUNT
};

/* X(NAME, bit, letter, meaning) */
#define QY_RIGHTS(X)                                                                               \
    X(READ, 0, 'r', "map readable, receive, look at")                                              \
    X(WRITE, 1, 'w', "map writable, send, signal, change")                                         \
    X(EXEC, 2, 'x', "map executable")                                                              \
    X(GRANT, 3, 'g', "derive copies from it; of an endpoint, send capabilities through it")

enum qy_rights {
#define X(NAME, bit, letter, meaning) QY_RIGHT_##NAME = 1 << (bit),
    QY_RIGHTS(X)
#undef X
        QY_RIGHT_ALL = 15
};

static inline const char *qy_object_name(enum qy_object_type type)
{
    switch (type) {
#define X(NAME, value, name, retype)                                                               \
    case QY_OBJ_##NAME:                                                                            \
        return name;
        QY_OBJECTS(X)
#undef X
    case QY_OBJ_COUNT:
        break;
    }
    return "?";
}

#endif
