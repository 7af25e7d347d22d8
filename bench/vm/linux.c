/*
 * The host's address space as a subject.
 */
#define _GNU_SOURCE
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define AT 0x200000000000ull

static void need(bool condition, const char *what)
{
    if (!condition) {
        perror(what);
        exit(1);
    }
}

static void map(uint64_t bytes)
{
    void *at = mmap((void *)AT, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    need(at == (void *)AT, "bench: mmap");
}

static void touch(uint64_t offset)
{
    *(volatile uint64_t *)(AT + offset) = offset;
}

static void protect(uint64_t bytes, bool write)
{
    need(mprotect((void *)AT, bytes, write ? PROT_READ | PROT_WRITE : PROT_READ) == 0,
         "bench: mprotect");
}

static void unmap(uint64_t bytes)
{
    need(munmap((void *)AT, bytes) == 0, "bench: munmap");
}

const struct subject linux_own = {"linux", map, touch, protect, unmap};

void linux_open(void)
{
    need(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0, "bench: pages of 4 KiB only");
}
