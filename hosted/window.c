/*
 * The window of guarded allocations on Linux, see hosted/window.h. A refused system call ends the
 * process: the pool's operations cannot fail.
 */
#define _GNU_SOURCE /* memfd_create */

#include <hosted/window.h>

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *map_or_abort(void *at, uint64_t bytes, int protection, int flags, int file,
                          uint64_t offset)
{
    void *got = mmap(at, bytes, protection, flags | MAP_FIXED | MAP_NORESERVE, file, (off_t)offset);
    if (got == MAP_FAILED) {
        perror("hosted window: mmap");
        abort();
    }
    return got;
}

bool hosted_window_make(struct hosted_window *window, struct hosted_machine *machine,
                        uint64_t bytes)
{
    *window = (struct hosted_window){.machine = machine, .pages = bytes / QY_PAGE_BYTES};
    window->file = memfd_create("ram", MFD_CLOEXEC);
    window->frames = calloc(window->pages, sizeof(*window->frames));
    void *base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    window->base = base == MAP_FAILED ? NULL : base;
    if (window->file < 0 || !window->frames || !window->base ||
        ftruncate(window->file, (off_t)machine->limit_bytes) != 0) {
        hosted_window_destroy(window);
        return false;
    }
    map_or_abort(machine->base, machine->limit_bytes, PROT_NONE, MAP_SHARED, window->file, 0);
    return true;
}

void hosted_window_destroy(struct hosted_window *window)
{
    if (window->base)
        munmap(window->base, window->pages * QY_PAGE_BYTES);
    if (window->file >= 0)
        close(window->file);
    free((void *)(uintptr_t)window->frames);
    window->base = NULL;
}

static uint64_t page_of(const struct hosted_window *window, const void *at)
{
    return (uint64_t)((const unsigned char *)at - window->base) / QY_PAGE_BYTES;
}

static void window_map(void *context, void *at, pfn_t first, unsigned pages)
{
    struct hosted_window *window = context;
    for (unsigned i = 0; i < pages; i++)
        if (atomic_exchange(&window->frames[page_of(window, at) + i], first.raw + i) != 0)
            qy_port_broken("GUARD-MAP", "a page of the window is mapped twice",
                           page_of(window, at) + i);
    map_or_abort(at, pages * QY_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, window->file,
                 pfn_to_paddr(first).raw);
}

static void window_unmap(void *context, void *at, unsigned pages)
{
    struct hosted_window *window = context;
    for (unsigned i = 0; i < pages; i++)
        if (atomic_exchange(&window->frames[page_of(window, at) + i], 0) == 0)
            qy_port_broken("GUARD-MAP", "a page of the window is unmapped twice",
                           page_of(window, at) + i);
    map_or_abort(at, pages * QY_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static uint64_t window_flush_begin(void *context)
{
    struct hosted_window *window = context;
    return atomic_fetch_add(&window->flushes, 1);
}

static bool window_flush_done(void *context, uint64_t ticket)
{
    const struct hosted_window *window = context;
    return ticket < atomic_load(&window->flushes) && !atomic_load(&window->hold);
}

static unsigned window_stack(void *context, uintptr_t *out, unsigned room)
{
    void *found[QY_GUARD_STACK + 1];
    (void)context;
    int depth = backtrace(found, (int)(room < QY_GUARD_STACK ? room : QY_GUARD_STACK) + 1);
    for (int i = 1; i < depth; i++) /* the first is here */
        out[i - 1] = (uintptr_t)found[i];
    return depth > 1 ? (unsigned)depth - 1 : 0;
}

const struct qy_guard_ops hosted_guard_ops = {.map = window_map,
                                              .unmap = window_unmap,
                                              .flush_begin = window_flush_begin,
                                              .flush_done = window_flush_done,
                                              .stack = window_stack};

const char *hosted_window_check(const struct hosted_window *window, const struct qy_guard *guard)
{
    for (uint64_t page = 0; page < window->pages; page++) {
        pfn_t frame = pfn(0);
        if (!qy_guard_page(guard, page, &frame))
            frame = pfn(0);
        if (atomic_load(&window->frames[page]) != frame.raw)
            return "GUARD-MAP";
    }
    return NULL;
}
