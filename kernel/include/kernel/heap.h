/*
 * Tools on the kernel's heaps: who made an object, and the debug kinds. A build without heap_tools has none.
 *
 * Decided at boot, before the first heap, and the same for all: heap=track records the site and owner of
 * every object's header (qy/site.h), a build with debug_checks adds redzones, poison and quarantine
 * (qy/debug.h) and records sites too, so that its reports can name them. An object's owner is the untyped
 * that pays, the thread whose call made it and that call; its number is the object's.
 *
 * Locking: qy_class_caps for whatever names an object. Cost without tools: a test of a flag.
 */
#ifndef KERNEL_HEAP_H
#define KERNEL_HEAP_H

#include <kernel/object.h>
#include <qy/debug.h>

struct kernel_arenas;

#if QY_CONFIG_HEAP_TOOLS
/* Read the boot option heap=..., before any heap is made. Stops if it is none that there is. */
void heap_tools_init(const char *command_line);

/*
 * Give every CPU its counters of sites, out of the kernel's arena, if origins are recorded. When all CPUs run, before
 * the first heap is used. Stops if there is no memory for them.
 */
void heap_tools_count(struct kernel_arenas *arenas);

/* The hooks of every heap of the kernel; null: none. */
const struct qy_heap_hooks *heap_tools(void);

/* The same with those of guarded allocations (may be null) beside them; always the same ones. */
const struct qy_heap_hooks *heap_tools_with(const struct qy_heap_hooks *guard);

/* Is the origin of objects recorded? */
bool heap_is_tracked(void);

/* The object's header is complete and its pages are taken: say who made it. */
void heap_object_made(struct qy_cache *cache, struct object *object, uint64_t bytes)
    QY_REQUIRES(qy_class_caps);

/* A free was refused: report it if it was the second one of that header. */
void heap_refused(struct qy_cache *cache, void *header);
#else
static inline void heap_tools_init(const char *command_line)
{
    (void)command_line;
}

static inline void heap_tools_count(struct kernel_arenas *arenas)
{
    (void)arenas;
}

static inline const struct qy_heap_hooks *heap_tools(void)
{
    return NULL;
}

static inline const struct qy_heap_hooks *heap_tools_with(const struct qy_heap_hooks *guard)
{
    return guard;
}

static inline bool heap_is_tracked(void)
{
    return false;
}

static inline void heap_object_made(struct qy_cache *cache, struct object *object, uint64_t bytes)
{
    (void)cache, (void)object, (void)bytes;
}

static inline void heap_refused(struct qy_cache *cache, void *header)
{
    (void)cache, (void)header;
}
#endif

/*
 * The boot options crash=redzone, poison and double-free: they do not return in a build with debug_checks and
 * heap_tools.
 */
#if QY_CONFIG_HEAP_TOOLS
void heap_crash_redzone(struct kernel_arenas *arenas);
void heap_crash_poison(struct kernel_arenas *arenas);
void heap_crash_double_free(struct kernel_arenas *arenas);
#else
static inline void heap_crash_redzone(struct kernel_arenas *arenas)
{
    (void)arenas;
}

static inline void heap_crash_poison(struct kernel_arenas *arenas)
{
    (void)arenas;
}

static inline void heap_crash_double_free(struct kernel_arenas *arenas)
{
    (void)arenas;
}
#endif

#endif
