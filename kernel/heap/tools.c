/*
 * The kernel's heap tools: the boot option, owners, and reports. See kernel/heap.h.
 */
#include <arch/arch.h>
#include <kernel/arenas.h>
#include <kernel/heap.h>
#include <kernel/print.h>
#include <kernel/thread.h>
#include <lib/format.h>
#include <lib/string.h>
#include <platform/parse.h>

#define QUARANTINE_BYTES 0x10000ull
#define CACHE_LINE_BYTES 64u

static struct qy_debug tools;
static struct qy_quarantine quarantine;
static const struct qy_heap_hooks *guarded;
static void (*tools_drain)(struct qy_cpu_objects *cpu, struct qy_heap *heap);

static void site_describe(const struct qy_site *site, char *text, size_t bytes)
{
    if (site)
        format_to(text, bytes, "%s:%u, %s, %s", site->file, site->line, site->function, site->what);
    else
        format_to(text, bytes, "an unknown place");
}

static const char *call_name(uint64_t call)
{
    static const char *const names[QY_CALL_COUNT] = {
#define X(number, name, type, rights, arguments, results) [number] = #name,
        QY_INVOCATIONS(X)
#undef X
    };
    return call == 0 ? "boot" : call < QY_CALL_COUNT && names[call] ? names[call] : "?";
}

static void report(const struct qy_debug_report *r)
{
    const struct qy_allocation *a = &r->object;
    char taken[160], freed[160], byte[64] = "", owner[160] = "";
    site_describe(a->site, taken, sizeof(taken));
    site_describe(a->freed, freed, sizeof(freed));
    if (strcmp(r->invariant, "DOUBLE-FREE") != 0)
        format_to(byte, sizeof(byte), "\n  byte        %lld is %02x", (long long)r->offset,
                  r->found);
    if (a->owner.number)
        format_to(owner, sizeof(owner),
                  "\n  owner       object %llu of untyped %llu, thread %llu, call %s",
                  (unsigned long long)a->owner.number, (unsigned long long)a->owner.payer,
                  (unsigned long long)a->owner.thread, call_name(a->owner.call));
    kernel_panic("%s: %s\n  object      %R of cache %s, %u bytes%s%s\n"
                 "  allocated   at %s\n  freed       at %s",
                 r->invariant, r->what, (uint64_t)(uintptr_t)a->object, a->cache->type->name,
                 a->cache->type->bytes, byte, owner, taken, freed);
}

void heap_tools_init(const char *command_line)
{
    char kind[16];
    uint32_t flags = QY_CONFIG_DEBUG ? QY_CACHE_HOOKED : 0;
    if (qy_option(command_line, "heap", kind, sizeof(kind))) {
        if (strcmp(kind, "track") != 0)
            kernel_stop("heap=%s is none of track", kind);
        flags |= QY_CACHE_TRACKED;
    }
    qy_debug_init(&tools, flags, flags & QY_CACHE_QUARANTINED ? &quarantine : NULL,
                  QUARANTINE_BYTES);
    tools.report = report;
}

void heap_tools_count(struct kernel_arenas *arenas)
{
    uint64_t each = qy_align_up(qy_site_count() * sizeof(struct qy_site_counts), CACHE_LINE_BYTES);
    uint64_t pages = qy_align_up(cpu_count * each, QY_PAGE_BYTES) / QY_PAGE_BYTES;
    pfn_t first;
    if (!heap_is_tracked())
        return;
    if (qy_arena_alloc_pages(&arenas->kernel, pages, QY_FRAME_METADATA, &first) != QY_OK)
        kernel_stop("heap=track needs %S of the kernel's arena for counters; give the machine more "
                    "memory",
                    pages * QY_PAGE_BYTES);
    unsigned char *counts = qy_port_ram(pfn_to_paddr(first));
    memset(counts, 0, pages * QY_PAGE_BYTES);
    for (unsigned i = 0; i < cpu_count; i++)
        qy_sites_count(&cpu_at(i)->objects, (void *)(counts + i * each));
}

const struct qy_heap_hooks *heap_tools(void)
{
    return tools.hooks.flags ? &tools.hooks : NULL;
}

static void drain_both(struct qy_cpu_objects *cpu, struct qy_heap *heap)
{
    tools_drain(cpu, heap);
    guarded->drain(cpu, heap);
}

const struct qy_heap_hooks *heap_tools_with(const struct qy_heap_hooks *guard)
{
    if (!guard || !heap_tools())
        return guard ? guard : heap_tools();
    if (!guarded) { /* the first heap: nobody uses the hooks yet */
        guarded = guard;
        tools_drain = tools.hooks.drain;
        tools.hooks.drain = drain_both;
        tools.hooks.guard_alloc = guard->guard_alloc;
        tools.hooks.guard_free = guard->guard_free;
        tools.hooks.guard_size = guard->guard_size;
        tools.hooks.guard_trailer = guard->guard_trailer;
        tools.hooks.guard_each = guard->guard_each;
    }
    return &tools.hooks;
}

bool heap_is_tracked(void)
{
    return tools.hooks.flags & QY_CACHE_TRACKED;
}

void heap_object_made(struct qy_cache *cache, struct object *object, uint64_t bytes)
{
    struct qy_owner owner = {
        .payer = object->untyped->object.id, .number = object->id, .bytes = bytes};
    if (!heap_is_tracked())
        return;
    const struct thread *thread = cpu_this()->current;
    if (thread) {
        owner.thread = thread->object.id;
        owner.call = arch_call_number(&thread->frame);
    }
    owner.time = arch_clock();
    qy_irq_is_off();
    qy_origin_set(&cpu_this()->objects, cache, object, &owner);
}

void heap_refused(struct qy_cache *cache, void *header)
{
    qy_debug_refused(&tools, cache, header);
}
