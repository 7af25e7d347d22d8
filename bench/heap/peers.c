/*
 * The host's allocators: glibc's malloc, and those of libraries that are opened beside it.
 *
 * RTLD_DEEPBIND makes a library call its own functions where it and glibc have the same names; RTLD_LOCAL keeps this
 * program on glibc's.
 */
#define _GNU_SOURCE
#include "peers.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static bool open_functions(const char *file, const char *alloc_name, const char *free_name,
                           struct subject *out)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    void *alloc = library ? dlsym(library, alloc_name) : NULL;
    void *release = library ? dlsym(library, free_name) : NULL;
    if (!alloc || !release)
        return false;
    __builtin_memcpy(&out->alloc, &alloc, sizeof(alloc));
    __builtin_memcpy(&out->free, &release, sizeof(release));
    return true;
}

void peers_open(struct subjects *subjects, const char *const (*libraries)[2])
{
    subjects->of[subjects->count++] = (struct subject){"glibc", malloc, free, false};
    for (; (*libraries)[0]; libraries++) {
        struct subject peer = {.name = (*libraries)[1]};
        if (open_functions((*libraries)[0], "malloc", "free", &peer))
            subjects->of[subjects->count++] = peer;
        else
            fprintf(stderr, "bench: left out: %s\n", (*libraries)[0]);
    }
}

static void (*peer_close)(void);

void peer_open(struct subjects *subjects, const char *file)
{
    struct subject peer = {.name = "peer"};
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    void *open = library ? dlsym(library, "peer_objects_open") : NULL;
    void *close = library ? dlsym(library, "peer_objects_close") : NULL;
    bool (*opens)(void);

    if (!open || !close ||
        !open_functions(file, "peer_objects_alloc", "peer_objects_free", &peer)) {
        fprintf(stderr, "bench: no peer of objects: %s\n", dlerror());
        exit(1);
    }
    __builtin_memcpy(&opens, &open, sizeof(open));
    __builtin_memcpy(&peer_close, &close, sizeof(close));
    if (!opens()) {
        fprintf(stderr, "bench: the peer cannot be opened\n");
        exit(1);
    }
    subjects->of[subjects->count++] = peer;
}

void peers_close(void)
{
    if (peer_close)
        peer_close();
}
