/*
 * A peer's frames: the functions of bench/peer/peer.h, looked up in the library that was named.
 */
#define _GNU_SOURCE
#include "subject.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

struct peer_frames peer;

static void *function(void *library, const char *name)
{
    void *found = library ? dlsym(library, name) : NULL;
    if (!found) {
        fprintf(stderr, "bench: no peer of frames: %s\n", dlerror());
        exit(1);
    }
    return found;
}

void subject_open(const char *file)
{
    static const char *const names[] = {"peer_frames_open", "peer_frames_alloc", "peer_frames_free",
                                        "peer_frames_close"};
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND), *found[4];

    for (unsigned i = 0; i < 4; i++)
        found[i] = function(library, names[i]);
    __builtin_memcpy(&peer, found, sizeof(peer));
}
