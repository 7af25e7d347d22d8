/*
 * The program's heap: regions of its own space, paid by the budget that is bound to it. See user/malloc.h.
 */
#include <lib/string.h>
#include <user/lock.h>
#include <user/malloc.h>
#include <user/print.h>
#include <user/program.h>
#include <user/space.h>

#define FLAGS (QY_MAP_READ | QY_MAP_WRITE | QY_REGION(QY_REGION_HEAP))
#define CODE_ABORTED 134
/* What growing may need beside the pages: tables and their descriptors, for each 2 MiB and above. */
#define SPARE_BYTES (16 * PAGE_BYTES)

static void unmap(uint64_t from, uint64_t to)
{
    if (from < to && space_unmap_region(QY_SLOT_SPACE, from, to - from) != QY_OK)
        print("malloc: %R..%R could not be given back\n", from, to);
}

/* Where the heap ends; it begins where the loader has said. 0: not known yet. */
static uint64_t top;

/* Behind what was taken last; where something else lies, anywhere. */
static bool place_take(uint64_t bytes, uint64_t *at)
{
    if (!top && program)
        top = program->heap;
    *at = top;
    if (!top || space_map_region(QY_SLOT_SPACE, at, bytes, FLAGS, 0) != QY_OK) {
        *at = 0;
        return space_map_region(QY_SLOT_SPACE, at, bytes, FLAGS, 0) == QY_OK;
    }
    top += bytes;
    return true;
}

/* A range that begins at a span: one that is longer, without its ends. */
static void *pages_take(void *context, size_t bytes)
{
    struct untyped_state budget;
    uint64_t at = 0;

    (void)context;
    if (untyped_info(QY_SLOT_UNTYPED, &budget) != QY_OK ||
        budget.free_bytes < bytes + bytes / 512 + SPARE_BYTES ||
        !place_take(bytes + SPAN_BYTES, &at))
        return NULL;
    uint64_t start = (at + SPAN_BYTES - 1) & ~(uint64_t)(SPAN_BYTES - 1);
    unmap(at, start);
    unmap(start + bytes, at + bytes + SPAN_BYTES);
    for (uint64_t page = start; page < start + bytes; page += PAGE_BYTES)
        *(volatile unsigned char *)page = 0;
    return (void *)start;
}

static void pages_give(void *context, void *pages, size_t bytes)
{
    (void)context;
    unmap((uintptr_t)pages, (uintptr_t)pages + bytes);
}

static const struct heap_pages pages = {pages_take, pages_give, NULL};
static struct heap heap = {.pages = &pages};
static struct spin_lock lock;

void *malloc(size_t bytes)
{
    spin_acquire(&lock);
    void *block = heap_take(&heap, bytes);
    spin_release(&lock);
    return block;
}

void free(void *block)
{
    spin_acquire(&lock);
    bool freed = heap_give(&heap, block);
    spin_release(&lock);
    if (!freed) {
        print("free: %R is no block of the heap, or was freed before\n",
              (uint64_t)(uintptr_t)block);
        program_exit(CODE_ABORTED);
    }
}

void *calloc(size_t count, size_t bytes)
{
    size_t all;

    if (__builtin_mul_overflow(count, bytes, &all))
        return NULL;
    void *block = malloc(all);
    if (block)
        memset(block, 0, all);
    return block;
}

void *realloc(void *block, size_t bytes)
{
    if (!block)
        return malloc(bytes);
    size_t room = heap_room(block);
    /* It stays if it fits, and does not keep more than twice of what is asked for. */
    if (bytes <= room && bytes >= room / 2)
        return block;
    void *moved = malloc(bytes);
    if (!moved)
        return bytes <= room ? block : NULL;
    memcpy(moved, block, bytes < room ? bytes : room);
    free(block);
    return moved;
}

struct heap malloc_state(void)
{
    spin_acquire(&lock);
    struct heap state = heap;
    spin_release(&lock);
    return state;
}

const char *malloc_check(void)
{
    spin_acquire(&lock);
    const char *broken = heap_check(&heap);
    spin_release(&lock);
    return broken;
}
