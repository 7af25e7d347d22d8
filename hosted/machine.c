/*
 * Simulated physical memory: one sparse reservation of address space, see hosted.h.
 *
 * Cost: a system call per range; real memory only for pages that are written.
 */
#include <hosted/hosted.h>

#include "machine_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HOST_PAGE 4096ull
#define GARBAGE                                                                                    \
    0x53 /* a tag made of it reads as the head of an allocated block of some huge order */

struct hosted_machine *hosted_current;

bool hosted_machine_make(struct hosted_machine *machine, uint64_t limit_bytes, bool garbage)
{
    struct qy_framedb_span spans[3];
    uint64_t at[3], bytes = qy_align_up(limit_bytes, HOST_PAGE);
    memset(machine, 0, sizeof(*machine));
    qy_framedb_spans(pfn(0), pfn(limit_bytes / QY_PAGE_BYTES), spans);
    for (unsigned i = 0; i < 3; i++) {
        at[i] = bytes;
        bytes += qy_align_up(spans[i].end, HOST_PAGE);
    }
    void *base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return false;
    machine->limit_bytes = limit_bytes;
    machine->opened =
        calloc(qy_align_up(limit_bytes, HOST_PAGE) / QY_PAGE_BYTES / QY_SECTION_PAGES + 1, 1);
    machine->base = base;
    machine->reserved_bytes = bytes;
    machine->garbage = garbage;
    for (unsigned i = 0; i < 3; i++)
        machine->table[i] = machine->base + at[i];
    qy_framedb_init(&machine->db, machine->table[0], machine->table[1], machine->table[2],
                    pfn(limit_bytes / QY_PAGE_BYTES));
    if (garbage)
        qy_framedb_poison(&machine->db, GARBAGE);
    if (!machine->opened || mprotect(machine->table[2], qy_align_up(spans[2].end, HOST_PAGE),
                                     PROT_READ | PROT_WRITE) != 0) {
        hosted_machine_destroy(machine);
        return false;
    }
    hosted_current = machine;
    return true;
}

void hosted_machine_destroy(struct hosted_machine *machine)
{
    munmap(machine->base, machine->reserved_bytes);
    free(machine->opened);
    machine->base = NULL;
    if (hosted_current == machine)
        hosted_current = NULL;
}

/* Make [from, to) accessible. */
static void open_range(unsigned char *from, unsigned char *to, bool garbage)
{
    from = (unsigned char *)qy_align_down((uintptr_t)from, HOST_PAGE);
    to = (unsigned char *)qy_align_up((uintptr_t)to, HOST_PAGE);
    if (mprotect(from, (size_t)(to - from), PROT_READ | PROT_WRITE) != 0) {
        perror("hosted machine: mprotect");
        abort();
    }
    if (garbage)
        memset(from, GARBAGE, (size_t)(to - from));
}

void hosted_ram_add(struct hosted_machine *machine, pfn_t base, pfn_t end)
{
    struct qy_framedb_span spans[3];
    open_range(machine->base + base.raw * QY_PAGE_BYTES, machine->base + end.raw * QY_PAGE_BYTES,
               false);
    for (uint64_t s = base.raw / QY_SECTION_PAGES; s <= (end.raw - 1) / QY_SECTION_PAGES; s++) {
        if (machine->opened[s])
            continue;
        machine->opened[s] = true;
        uint64_t first = s * QY_SECTION_PAGES;
        qy_framedb_spans(pfn(first), pfn(first + QY_SECTION_PAGES), spans);
        for (unsigned i = 0; i < 2; i++)
            open_range(machine->table[i] + spans[i].base, machine->table[i] + spans[i].end,
                       machine->garbage);
    }
}
