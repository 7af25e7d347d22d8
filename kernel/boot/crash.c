/*
 * Faults on purpose, asked for by the boot option crash=..., so that the kernel's report of its own
 * end is tested.
 */
#include <arch/arch.h>
#include <kernel/arenas.h>
#include <kernel/boot.h>
#include <kernel/cpus.h>
#include <kernel/guard.h>
#include <kernel/heap.h>
#include <kernel/image.h>
#include <kernel/print.h>
#include <lib/string.h>
#include <platform/parse.h>
#include <qy/port.h>

static struct kernel_arenas *arenas;

/* Uses up the kernel stack: far more frames than fit, each of which is looked at after the call. */
static __attribute__((noinline)) uint64_t overflow_stack(unsigned depth)
{
    volatile uint64_t frame[64];
    frame[0] = depth;
    return depth ? overflow_stack(depth - 1) + frame[0] : 0;
}

static void crash_stack(void)
{
    print("%u\n", (unsigned)overflow_stack(1000000));
}

static void overflow_other_stack(void *unused)
{
    (void)unused;
    crash_stack();
}

static void crash_fault_stack(void)
{
    arch_switch_stack(kernel_stack_top(cpu_this()->index, KERNEL_STACK_FAULT), overflow_other_stack,
                      NULL);
}

/* A number that the compiler knows nothing about: it would refuse the null pointer. */
static uint64_t hidden(uint64_t number)
{
    volatile uint64_t copy = number;
    return copy;
}

static void touch(uint64_t address)
{
    *(volatile char *)hidden(address) = 1;
}

static void crash_null(void)
{
    touch(8);
}

static void crash_text(void)
{
    touch((uint64_t)kernel_text_start);
}

static void crash_execute(void)
{
    ((void (*)(void))(uint64_t)kernel_data_start)();
}

static void crash_alias(void)
{
    touch((uint64_t)qy_port_ram(
        paddr((uint64_t)kernel_text_start - KERNEL_IMAGE_BASE + arch_image_base.raw)));
}

static void crash_promise(void)
{
    qy_port_broken("NOTHING", "a broken promise was asked for", 1);
}

static void crash_cpu_area(void)
{
    touch(kernel_cpu_area(cpu_count - 1) + KERNEL_CPU_AREA_BACKED_BYTES);
}

/* ---- guarded objects ---- */

#define VICTIM_BYTES 200u

static unsigned char *victim;

static __attribute__((noinline)) void victim_allocate(void)
{
    void *object;
    const struct qy_guard_what what = {
        .arena = &arenas->kernel, .heap = arenas, .name = "crash victim", .align = 8};
    if (!guard_pool())
        kernel_stop("this crash is that of a guarded object: say guard=1 too");
    if (qy_guard_alloc(guard_pool(), &what, VICTIM_BYTES, &object) != QY_OK)
        kernel_panic("an object cannot be guarded");
    victim = object;
}

static __attribute__((noinline)) void victim_free(void)
{
    if (qy_guard_free(guard_pool(), arenas, NULL, victim) != QY_OK)
        kernel_panic("a guarded object cannot be freed");
}

/* Objects lie against the two edges by turns. */
static void victim_at_edge(bool upper)
{
    victim_allocate();
    if (((uint64_t)victim % QY_PAGE_BYTES == 0) == upper)
        victim_allocate();
}

static void crash_overflow(void)
{
    victim_at_edge(true);
    touch((uint64_t)victim + VICTIM_BYTES);
}

static void crash_underflow(void)
{
    victim_at_edge(false);
    touch((uint64_t)victim - 1);
}

static void crash_slack(void)
{
    victim_at_edge(false);
    touch((uint64_t)victim + VICTIM_BYTES);
    victim_free();
}

static void victim_use(void)
{
    touch((uint64_t)victim + 16);
}

static void run_on_last(void (*work)(void))
{
    struct cpu *last = cpu_at(cpu_count - 1);
    if (last == cpu_this()) {
        work();
        return;
    }
    cpu_run(last, work);
    while (cpu_is_working(last))
        qy_port_relax();
}

/* The last CPU uses the object while it lives, and remembers its page; then another one frees it. */
static void crash_use_after_free(void)
{
    victim_allocate();
    run_on_last(victim_use);
    victim_free();
    guard_gather(NULL);
    run_on_last(victim_use);
}

static void crash_redzone(void)
{
    heap_crash_redzone(arenas);
}

static void crash_poison(void)
{
    heap_crash_poison(arenas);
}

static void crash_double_free(void)
{
    heap_crash_double_free(arenas);
}

/* X(name, function) */
#define CRASHES(X)                                                                                 \
    X("stack", crash_stack)                                                                        \
    X("fault-stack", crash_fault_stack)                                                            \
    X("null", crash_null)                                                                          \
    X("text", crash_text)                                                                          \
    X("execute", crash_execute)                                                                    \
    X("alias", crash_alias)                                                                        \
    X("promise", crash_promise)                                                                    \
    X("cpu-area", crash_cpu_area)                                                                  \
    X("overflow", crash_overflow)                                                                  \
    X("underflow", crash_underflow)                                                                \
    X("slack", crash_slack)                                                                        \
    X("use-after-free", crash_use_after_free)                                                      \
    X("redzone", crash_redzone)                                                                    \
    X("poison", crash_poison)                                                                      \
    X("double-free", crash_double_free)

void kernel_crash_on_request(const char *command_line, struct kernel_arenas *kernel_arenas)
{
    static const struct {
        const char *name;
        void (*crash)(void);
    } crashes[] = {
#define X(name, function) {(name), (function)},
        CRASHES(X)
#undef X
    };
    char kind[16];
    if (!qy_option(command_line, "crash", kind, sizeof(kind)))
        return;
    print("crash on request: %s\n", kind);
    arenas = kernel_arenas;
    for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
        if (strcmp(kind, crashes[i].name) == 0)
            crashes[i].crash();
#define X(name, function) " " name
    kernel_stop("crash=%s is none of" CRASHES(X), kind);
#undef X
}
