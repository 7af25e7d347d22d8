/*
 * Spans and blocks: see user/heap.h.
 */
#include <user/heap.h>

#define SPAN_MAGIC 0x6e617073u /* "span" */
#define PAGE 4096u

struct block {
    struct block *next;
};

struct span {
    uint32_t magic;
    uint32_t class; /* HEAP_CLASSES: large */
    size_t bytes;   /* of the span */
    size_t block_bytes;
    uint32_t blocks, live, used; /* it has room for; handed out; ever handed out */
    struct block *free;          /* those given back */
    struct span *next, *prev;    /* in its class's list */
};

#define HEAD_BYTES ((sizeof(struct span) + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1))

/* 16 to 128 in steps of 16, then four to a doubling. */
static unsigned class_of(size_t bytes)
{
    unsigned last = (unsigned)bytes - 1;

    if (last < 128)
        return last / 16;
    unsigned log = 31u - (unsigned)__builtin_clz(last);
    return (last >> (log - 2)) + 4 * (log - 6);
}

static size_t class_bytes(unsigned class)
{
    return class < 8 ? 16u * (class + 1) : (size_t)(class % 4 + 5) << (class / 4 + 3);
}

static struct span *span_of(const void *block)
{
    return (struct span *)((uintptr_t)block & ~(uintptr_t)(SPAN_BYTES - 1));
}

static struct block *block_at(const struct span *span, uint32_t i)
{
    return (struct block *)((uintptr_t)span + HEAD_BYTES + i * span->block_bytes);
}

static bool has_free(const struct span *span)
{
    return span->live < span->blocks;
}

static void list_insert(struct heap *heap, struct span *span)
{
    span->prev = NULL;
    span->next = heap->classes[span->class];
    if (span->next)
        span->next->prev = span;
    heap->classes[span->class] = span;
}

static void list_remove(struct heap *heap, struct span *span)
{
    if (span->prev)
        span->prev->next = span->next;
    else
        heap->classes[span->class] = span->next;
    if (span->next)
        span->next->prev = span->prev;
}

static struct span *span_make(struct heap *heap, unsigned class, size_t bytes, size_t block_bytes)
{
    struct span *span = heap->pages->take(heap->pages->context, bytes);

    if (!span)
        return NULL;
    *span = (struct span){.magic = SPAN_MAGIC,
                          .class = class,
                          .bytes = bytes,
                          .block_bytes = block_bytes,
                          .blocks = (uint32_t)((bytes - HEAD_BYTES) / block_bytes)};
    heap->page_bytes += bytes;
    return span;
}

static void span_give(struct heap *heap, struct span *span)
{
    size_t bytes = span->bytes;

    heap->page_bytes -= bytes;
    span->magic = 0;
    heap->pages->give(heap->pages->context, span, bytes);
}

static void *block_take(struct heap *heap, struct span *span)
{
    struct block *block = span->free;

    if (block)
        span->free = block->next;
    else
        block = block_at(span, span->used++);
    span->live++;
    heap->live_blocks++;
    heap->live_bytes += span->block_bytes;
    return block;
}

static void *take_large(struct heap *heap, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t all = (HEAD_BYTES + bytes + PAGE - 1) & ~(size_t)(PAGE - 1);
    struct span *span = span_make(heap, HEAP_CLASSES, all, all - HEAD_BYTES);
    return span ? block_take(heap, span) : NULL;
}

void *heap_take(struct heap *heap, size_t bytes)
{
    if (bytes > HEAP_BLOCK_MAX)
        return take_large(heap, bytes);
    unsigned class = class_of(bytes ? bytes : 1);
    struct span *span = heap->classes[class];
    if (!span) {
        span = span_make(heap, class, SPAN_BYTES, class_bytes(class));
        if (!span)
            return NULL;
        list_insert(heap, span);
    }
    void *block = block_take(heap, span);
    if (!has_free(span))
        list_remove(heap, span);
    return block;
}

bool heap_give(struct heap *heap, void *pointer)
{
    struct span *span = span_of(pointer);
    struct block *block = pointer;

    if (!pointer)
        return true;
    size_t offset = (uintptr_t)pointer - (uintptr_t)span - HEAD_BYTES;
    if (span->magic != SPAN_MAGIC || (uintptr_t)pointer < (uintptr_t)span + HEAD_BYTES ||
        offset % span->block_bytes || offset / span->block_bytes >= span->used || !span->live ||
        block == span->free)
        return false;
    heap->live_blocks--;
    heap->live_bytes -= span->block_bytes;
    if (span->class == HEAP_CLASSES) {
        span_give(heap, span);
        return true;
    }
    if (!has_free(span))
        list_insert(heap, span);
    block->next = span->free;
    span->free = block;
    span->live--;
    if (!span->live && (span->next || span->prev)) { /* not the last of its class */
        list_remove(heap, span);
        span_give(heap, span);
    }
    return true;
}

size_t heap_room(const void *block)
{
    return span_of(block)->block_bytes;
}

static const char *span_check(const struct span *span, unsigned class)
{
    uint32_t free = 0;

    if (span->magic != SPAN_MAGIC || span->class != class || !has_free(span))
        return "HEAP-LIST";
    for (const struct block *block = span->free; block; block = block->next, free++) {
        size_t offset = (uintptr_t)block - (uintptr_t)span - HEAD_BYTES;
        if (span_of(block) != span || offset % span->block_bytes ||
            offset / span->block_bytes >= span->used || free >= span->used)
            return "HEAP-FREE";
    }
    return span->live + free == span->used && span->used <= span->blocks ? NULL : "HEAP-COUNT";
}

const char *heap_check(const struct heap *heap)
{
    for (unsigned class = 0; class < HEAP_CLASSES; class ++) {
        const struct span *prev = NULL;
        for (const struct span *span = heap->classes[class]; span; span = span->next) {
            const char *broken = span->prev != prev ? "HEAP-LIST" : span_check(span, class);
            if (broken)
                return broken;
            prev = span;
        }
    }
    return NULL;
}
