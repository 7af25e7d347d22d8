/*
 * Guarded objects in the kernel's heaps: the hooks of qy/hooks.h, on the one pool. See kernel/guard.h.
 */
#include <arch/arch.h>
#include <kernel/heap.h>
#include <qy/site.h>

#include "guard_impl.h"

static bool guard_hook_alloc(struct qy_cache *cache, size_t bytes, const struct qy_site *site,
                             void **out)
{
    const struct qy_guard_what what = {.arena = cache->heap->arena,
                                       .heap = cache->heap,
                                       .cache = cache,
                                       .name = cache->type->name,
                                       .site = site,
                                       .align = cache->type->align};
    return qy_guard_alloc(guard_pool(), &what, bytes, out) == QY_OK;
}

void guard_freeing(void *context, const void *cache, void *object)
{
    struct qy_cache *of = (struct qy_cache *)(uintptr_t)cache;
    (void)context;
    if (QY_CONFIG_HEAP_TOOLS && of && of->flags & QY_CACHE_TRACKED)
        qy_origin_given(&cpu_this()->objects, of, object, NULL);
}

static void *guard_hook_trailer(struct qy_cache *cache, void *object)
{
    (void)cache;
    return qy_guard_trailer(guard_pool(), object);
}

static void guard_hook_each(struct qy_heap *heap,
                            void (*visit)(void *context, struct qy_cache *cache, void *object),
                            void *context)
{
    const void *of, *cache;
    for (uint32_t i = 0; i < guard_pool()->config.slot_count; i++) {
        void *object = qy_guard_object(guard_pool(), i, &of, &cache);
        if (object && of == heap)
            visit(context, (struct qy_cache *)(uintptr_t)cache, object);
    }
}

static enum qy_error guard_hook_free(struct qy_heap *heap, struct qy_cache *cache, void *object)
{
    return qy_guard_free(guard_pool(), heap, cache, object);
}

static enum qy_error guard_hook_size(struct qy_heap *heap, void *object, size_t *bytes)
{
    return qy_guard_size(guard_pool(), heap, object, bytes);
}

static void guard_hook_drain(struct qy_cpu_objects *cpu, struct qy_heap *heap)
{
    (void)cpu, (void)heap;
    qy_guard_drain(guard_pool());
}

static const struct qy_heap_hooks hooks = {.guard_alloc = guard_hook_alloc,
                                           .guard_free = guard_hook_free,
                                           .guard_size = guard_hook_size,
                                           .guard_trailer = guard_hook_trailer,
                                           .guard_each = guard_hook_each,
                                           .drain = guard_hook_drain};

void guard_heap_init(struct qy_heap *heap, struct qy_arena *arena, uint64_t secret)
{
    qy_heap_init(heap, arena, heap_tools_with(guard_pool() ? &hooks : NULL), secret);
    qy_heap_guard_every(heap, guard_interval());
}

uint64_t guard_live(const struct qy_heap *heap)
{
    return guard_pool() ? qy_guard_live(guard_pool(), heap) : 0;
}
