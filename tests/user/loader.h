/*
 * The loader (user/lib/process.c, load.c, image.c) on a kernel that only remembers: objects, their pages, regions. Whatever
 * file it is given: if a process comes of it, its memory is what the file says, and if none does, nothing is left. For the
 * unit test and the fuzzer.
 */
#ifndef TESTS_USER_LOADER_H
#define TESTS_USER_LOADER_H

#include <platform/parse.h>
#include <stdlib.h>
#include <string.h>
#include <user/process.h>
#include <user/slots.h>
#include <user/space.h>

#define FIRST_SLOT 16u
#define SLOTS 64u
#define REGIONS_MAX 2048u
#define PAGES_MAX 512u /* of an object; a larger one is refused, as by a budget */
#define UNTYPED 8u
#define ENDPOINT 9u
#define CLONED (LIBRARY_USER_END / 4)
#define LIBRARY_USER_END 0x800000000000ull

struct fake_object {
    bool live, copied; /* copied: it stays when its slot is emptied */
    qy_handle_t from;  /* the untyped that it was made out of */
    uint64_t pages;
    unsigned char *page[PAGES_MAX];
};

struct fake_region {
    uint64_t start, end, flags, first;
    qy_handle_t object;
};

static struct fake_object objects[FIRST_SLOT + SLOTS];
static struct fake_region regions[REGIONS_MAX];
static unsigned region_count, calls_left; /* until one fails; 0: none does */
static unsigned threads_started;
static bool broken;                       /* the loader asked for what a kernel refuses */

static void object_end(struct fake_object *object)
{
    for (unsigned i = 0; i < PAGES_MAX; i++)
        free(object->page[i]);
    *object = (struct fake_object){0};
}

static enum qy_error fake_retype(uint64_t untyped, uint64_t pages, uint64_t slot)
{
    if (slot < FIRST_SLOT || slot >= FIRST_SLOT + SLOTS || objects[slot].live)
        return broken = true, QY_SLOT_OCCUPIED;
    if (pages > PAGES_MAX && untyped != UNTYPED)
        return QY_OUT_OF_MEMORY;
    object_end(&objects[slot]);
    objects[slot] = (struct fake_object){.live = true, .from = untyped, .pages = pages};
    return QY_OK;
}

/* All that was made of it, but not it. */
static void fake_revoke(uint64_t untyped)
{
    for (unsigned i = FIRST_SLOT; i < FIRST_SLOT + SLOTS; i++)
        if (objects[i].from == untyped)
            object_end(&objects[i]);
    region_count = 0; /* there is one process at a time */
}

static enum qy_error fake_supply(uint64_t handle, uint64_t first, uint64_t pages, uint64_t from)
{
    struct fake_object *object = &objects[handle];

    if (!object->live || first > object->pages || pages > object->pages - first ||
        pages > QY_SUPPLY_MAX)
        return broken = true, QY_INVALID_ARGUMENT;
    for (uint64_t i = 0; i < pages; i++) {
        if (object->page[first + i])
            return broken = true, QY_INVALID_ARGUMENT;
        object->page[first + i] = malloc(PAGE_BYTES);
        memcpy(object->page[first + i], (const unsigned char *)(uintptr_t)from + i * PAGE_BYTES,
               PAGE_BYTES);
    }
    return QY_OK;
}

static enum qy_error fake_map(uint64_t at, uint64_t bytes, uint64_t flags, uint64_t first,
                              uint64_t object)
{
    if (at < PAGE_BYTES || at >= LIBRARY_USER_END || !bytes || bytes > LIBRARY_USER_END - at ||
        (at | bytes) % PAGE_BYTES)
        return QY_INVALID_ADDRESS;
    if ((flags & QY_MAP_WRITE && flags & QY_MAP_EXEC) || !(flags & QY_MAP_READ) ||
        region_count == REGIONS_MAX)
        return broken = true, QY_INVALID_FLAGS;
    if (flags & QY_REGION_OBJECT &&
        (!objects[object].live || first + bytes / PAGE_BYTES > objects[object].pages))
        return broken = true, QY_INVALID_ARGUMENT;
    for (unsigned i = 0; i < region_count; i++)
        if (at < regions[i].end && regions[i].start < at + bytes)
            return QY_ALREADY_MAPPED;
    regions[region_count++] = (struct fake_region){at, at + bytes, flags, first, object};
    return QY_OK;
}

/* A part of one region, which is split. */
static enum qy_error fake_protect(uint64_t at, uint64_t bytes, uint64_t rights)
{
    for (unsigned i = 0; i < region_count; i++) {
        struct fake_region *r = &regions[i], whole = *r;
        if (at + bytes <= r->start || at >= r->end)
            continue;
        uint64_t from = at > whole.start ? at : whole.start;
        uint64_t to = at + bytes < whole.end ? at + bytes : whole.end;
        if (from == whole.start && to == whole.end) {
            r->flags = (whole.flags & ~7ull) | rights;
            continue;
        }
        if (region_count + 2 > REGIONS_MAX)
            return QY_OUT_OF_MEMORY;
        *r = (struct fake_region){from, to, (whole.flags & ~7ull) | rights,
                                  whole.first + (from - whole.start) / PAGE_BYTES, whole.object};
        if (from > whole.start)
            regions[region_count++] =
                (struct fake_region){whole.start, from, whole.flags, whole.first, whole.object};
        if (to < whole.end)
            regions[region_count++] =
                (struct fake_region){to, whole.end, whole.flags,
                                     whole.first + (to - whole.start) / PAGE_BYTES, whole.object};
    }
    return QY_OK;
}

struct call_result qy_call(uint64_t number, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3,
                           uint64_t x4, uint64_t x5)
{
    struct call_result r = {.error = QY_OK};
    /* What gives memory back, or takes none. */
    bool certain = number == QY_CALL_cap_revoke || number == QY_CALL_cap_delete ||
                   number == QY_CALL_cap_info;

    if (!certain && calls_left && --calls_left == 0)
        return (struct call_result){.error = QY_OUT_OF_MEMORY};
    switch (number) {
    case QY_CALL_untyped_retype:
        r.error = fake_retype(x0, x2, x4);
        r.value[1] = x4;
        break;
    case QY_CALL_cap_delete:
        broken |= !objects[x0].live;
        objects[x0].live = false;
        if (!objects[x0].copied)
            object_end(&objects[x0]);
        break;
    case QY_CALL_cap_copy:
        if (x2 >= FIRST_SLOT)
            objects[x2].copied = true;
        break;
    case QY_CALL_cap_revoke:
        fake_revoke(x0);
        break;
    case QY_CALL_memory_supply:
        r.error = fake_supply(x0, x1, x2, x3);
        r.value[1] = x2;
        break;
    case QY_CALL_space_map_region:
        r.error = fake_map(x1, x2, x3, x4, x5);
        r.value[1] = x1;
        break;
    case QY_CALL_space_protect_region:
        r.error = fake_protect(x1, x2, x3);
        break;
    case QY_CALL_space_clone: /* a part a call */
        r.value[1] = x2 + (x3 < CLONED ? x3 : CLONED);
        break;
    case QY_CALL_thread_start:
        threads_started++;
        break;
    default: /* thread_configure, space_bind */
        break;
    }
    return r;
}

/* ---- what must hold ---- */

static inline const struct fake_region *region_at(uint64_t address)
{
    for (unsigned i = 0; i < region_count; i++)
        if (address >= regions[i].start && address < regions[i].end)
            return &regions[i];
    return NULL;
}

/* A byte as the process would read it; -1: it cannot. */
static inline int byte_at(uint64_t address)
{
    const struct fake_region *r = region_at(address);

    if (!r || !(r->flags & QY_REGION_OBJECT))
        return r ? 0 : -1;
    const unsigned char *page =
        objects[r->object].page[r->first + (address - r->start) / PAGE_BYTES];
    return page ? page[address % PAGE_BYTES] : -1;
}

/* A segment is where it belongs, with its rights, relocated; what the file does not have is zero. */
static inline void segment_check(const struct qy_elf_part *part, const struct qy_elf_segment *s)
{
    uint64_t from = s->address & ~7ull, skip = s->address - from, bias = part->bias;
    size_t bytes = (skip + s->data.count + 7) & ~(size_t)7;
    uint8_t *wanted = calloc(bytes + 1, 1);

    memcpy(wanted + skip, s->data.at, s->data.count);
    qy_elf_relocate(part, 1, 0, from, wanted, bytes);
    for (size_t i = 0; i < s->data.count; i++)
        CHECK(byte_at(s->address + bias + i) == wanted[skip + i]);
    for (uint64_t at = s->address + s->data.count;
         at % PAGE_BYTES && at < s->address + s->memory_bytes; at++)
        CHECK(byte_at(at + bias) == 0);
    CHECK(byte_at(s->address + s->memory_bytes - 1 + bias) >= 0);
    for (uint64_t at = s->address; at < s->address + bytes; at += PAGE_BYTES) {
        const struct fake_region *r = region_at(at + bias);
        bool relro = at >= part->elf->relro.start && at < part->elf->relro.end;
        CHECK(r && (r->flags & 7) == (relro ? QY_MAP_READ : s->flags | QY_MAP_READ));
    }
    free(wanted);
}

/* Every slot is empty, every object gone. */
static inline void nothing_is_left(void)
{
    uint32_t taken = 0, slot;

    for (unsigned i = FIRST_SLOT; i < FIRST_SLOT + SLOTS; i++)
        CHECK(!objects[i].live);
    while ((slot = slot_take()) != 0)
        CHECK(slot == FIRST_SLOT + taken++);
    CHECK(taken == SLOTS);
    while (taken)
        slot_give(FIRST_SLOT + --taken);
}

/* Make a process of a file, with the n-th call failing (0: none), and unmake it. */
static inline enum qy_error loader_run(struct file file, bool shared, unsigned fails)
{
    static const char *const argv[] = {"file", "one", NULL};
    struct images images = {.untyped = UNTYPED};
    const struct process_plan plan = {.image = file,
                                      .images = shared ? &images : NULL,
                                      .argv = argv,
                                      .untyped = UNTYPED,
                                      .budget_pages = 64,
                                      .endpoint = ENDPOINT,
                                      .number = 1};
    struct process process = {0};
    struct qy_elf elf;
    const char *why = NULL;

    slots_begin(FIRST_SLOT, SLOTS);
    broken = false;
    calls_left = fails;
    enum qy_error error = process_create(&plan, &process, &why);
    calls_left = 0;
    CHECK(!broken && (error == QY_OK) == (why == NULL));
    if (error == QY_OK) {
        CHECK(image_check(file, &elf, &why) == QY_OK);
        const struct qy_elf_part part = {&elf, process.places.image - elf.start};
        for (unsigned i = 0; i < elf.segments; i++) {
            struct qy_elf_segment s = qy_elf_segment(elf.file, i);
            segment_check(&part, &s);
        }
        CHECK(process.places.entry == elf.entry + part.bias && region_at(process.places.stack - 1));
        CHECK(process_destroy(&process) == QY_OK);
    }
    images_end(&images);
    fake_revoke(UNTYPED);
    nothing_is_left();
    return error;
}

#endif
