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

static bool open_library(const char *file, struct subject *out)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    void *alloc = library ? dlsym(library, "malloc") : NULL;
    void *release = library ? dlsym(library, "free") : NULL;
    if (!alloc || !release) {
        fprintf(stderr, "bench: left out: %s\n", library ? file : dlerror());
        return false;
    }
    __builtin_memcpy(&out->alloc, &alloc, sizeof(alloc));
    __builtin_memcpy(&out->free, &release, sizeof(release));
    return true;
}

void peers_open(struct subjects *subjects, const char *const (*libraries)[2])
{
    subjects->of[subjects->count++] = (struct subject){"glibc", malloc, free, false};
    for (; (*libraries)[0]; libraries++) {
        struct subject peer = {.name = (*libraries)[1]};
        if (open_library((*libraries)[0], &peer))
            subjects->of[subjects->count++] = peer;
    }
}
