/*
 * A bug with a guarded object, told in the panic's report: which bug, which object, who took it, who
 * gave it back.
 *
 *     use after free: byte 8 of "endpoint", 64 bytes at 0xffffd00040011fc0
 *       object 17 of the pool, paid by arena 3
 *       allocated at object.c:44, object_reserve, endpoint
 *       allocated on CPU 0 by 0xffffffff80012345  header_alloc+0x45
 *         0xffffffff80012867  object_reserve+0x67
 *         ...
 *       freed on CPU 1 by 0xffffffff80012999  header_free+0x33
 *         ...
 */
#include <kernel/panic.h>
#include <kernel/print.h>
#include <lib/string.h>
#include <qy/site.h>

#include "guard_impl.h"

#define NAME_BYTES 64

static struct qy_guard_report kept;
static bool is_kept;

void guard_report_keep(const struct qy_guard_report *report)
{
    kept = *report;
    is_kept = true;
}

/* A function of the memory core, or one of its hooks (heap.c). */
static bool is_inside(const char *name)
{
    return strncmp(name, "qy_", 3) == 0 || strncmp(name, "guard_hook_", 11) == 0;
}

/* Calls inside the allocator are left out: all up to its last one. */
static void print_stack(const struct qy_guard_stack *stack, const char *what)
{
    char name[NAME_BYTES];
    unsigned from = 0;
    for (unsigned i = 0; i < stack->depth; i++) {
        symbol_describe(stack->at[i] - 1, name, sizeof(name));
        if (is_inside(name))
            from = i + 1;
    }
    print("    %s on CPU %u by", what, stack->cpu);
    for (unsigned i = from < stack->depth ? from : 0; i < stack->depth; i++) {
        symbol_describe(stack->at[i] - 1, name, sizeof(name)); /* the call, not what follows */
        print(i == from ? " %R  %s\n" : "      %R  %s\n", (uint64_t)stack->at[i], name);
    }
}

static void print_report(const struct qy_guard_report *report)
{
    unsigned long long distance = report->distance;
    print("  %s: ", qy_guard_bug_words(report->bug));
    if (report->bug == QY_GUARD_OVERFLOW)
        print("%llu bytes past the end", distance);
    else if (report->address < report->object)
        print("%llu bytes before the start", distance);
    else
        print("byte %llu", distance);
    print(" of \"%s\", %llu bytes at %R\n", report->name, (unsigned long long)report->bytes,
          report->object);
    print("    object %llu of the pool, paid by arena %u\n", (unsigned long long)report->number,
          report->arena);
    if (report->site)
        print("    allocated at %s:%u, %s, %s\n", report->site->file, report->site->line,
              report->site->function, report->site->what);
    print_stack(&report->allocated, "allocated");
    if (report->is_freed)
        print_stack(&report->freed, "freed");
}

void guard_print_fault(uint64_t address)
{
    struct qy_guard_report report;
    if (is_kept)
        print_report(&kept);
    else if (guard_pool() && qy_guard_explain(guard_pool(), address, &report))
        print_report(&report);
}
