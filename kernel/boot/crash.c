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
#include <qy/site.h>

static struct kernel_arenas *arenas;
static paddr_t kernel_root;

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
        paddr((uint64_t)kernel_text_start - kernel_base.image + arch_image_base.raw)));
}

static void crash_promise(void)
{
    qy_port_broken("NOTHING", "a broken promise was asked for", 1);
}

static void crash_cpu_area(void)
{
    touch(kernel_cpu_area(cpu_count - 1) + KERNEL_CPU_AREA_BACKED_BYTES);
}

/* ---- guarded objects, out of a heap and a cache like those of untypeds ---- */

#define VICTIM_BYTES 200u
#define VICTIM_TRIES 10000u /* objects, of which one in N of guard=N is guarded */

static struct qy_heap victims;
static struct qy_cache victim_cache;
static unsigned char *victim;

static void victims_init(void)
{
    static const struct qy_cache_type type = {"crash victim", VICTIM_BYTES, 8, NULL, 0};
    if (!guard_pool())
        kernel_stop("this crash is that of a guarded object: say guard=1 too");
    guard_heap_init(&victims, &arenas->kernel, arch_clock());
    if (qy_cache_init(&victim_cache, &victims, &type) != QY_OK)
        kernel_panic("the victims' cache is refused");
}

static __attribute__((noinline)) void victim_allocate(void)
{
    void *object = NULL;
    qy_irq_is_off();
    if (!victims.arena)
        victims_init();
    for (unsigned i = 0; i < VICTIM_TRIES && !qy_guard_holds(guard_pool(), object); i++)
        if (qy_cache_alloc_from(&cpu_this()->objects, &victim_cache, QY_SITE("a victim"),
                                &object) != QY_OK)
            kernel_panic("a victim cannot be allocated");
    if (!qy_guard_holds(guard_pool(), object))
        kernel_stop("of %u victims none is guarded: say guard=1", VICTIM_TRIES);
    victim = object;
}

static __attribute__((noinline)) void victim_free(void)
{
    qy_irq_is_off();
    if (qy_cache_free(&cpu_this()->objects, &victim_cache, victim) != QY_OK)
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

/* ---- a program's memory, which the kernel touches in its copy routines only ---- */

#define USER_PAGE 0x400000ull

static enum qy_error table_take(void *context, paddr_t *out)
{
    pfn_t frame;
    (void)context;
    enum qy_error error = qy_arena_alloc(&arenas->kernel, 0, QY_FRAME_TABLE, &frame);
    if (error == QY_OK) {
        *out = pfn_to_paddr(frame);
        memset(qy_port_ram(*out), 0, QY_PAGE_BYTES);
    }
    return error;
}

/* Load tables in which a program's page stands, with a return instruction at its start. */
static void user_page(unsigned rights)
{
    const struct qy_pt_tables tables = {.alloc = table_take};
    struct qy_pt pt = {.format = arch_pt_format()};
    paddr_t page;
    if (table_take(NULL, &pt.root) != QY_OK || table_take(NULL, &page) != QY_OK)
        kernel_panic("no memory for a program's page");
    memcpy((uint64_t *)qy_port_ram(pt.root) + QY_PT_ENTRIES / 2,
           (uint64_t *)qy_port_ram(kernel_root) + QY_PT_ENTRIES / 2, QY_PAGE_BYTES / 2);
    memcpy(qy_port_ram(page), arch_return_instruction, sizeof(arch_return_instruction));
    if (qy_pt_map_range(&pt, vaddr(USER_PAGE), page, QY_PAGE_BYTES, 1, rights | QY_PT_USER,
                        &tables) != QY_OK)
        kernel_panic("a program's page cannot be mapped");
    arch_tlb_load(pt.root, 0, false);
}

static void crash_user_write(void)
{
    user_page(QY_PT_READ | QY_PT_WRITE);
    touch(USER_PAGE);
}

static void crash_user_read(void)
{
    user_page(QY_PT_READ);
    print("%u\n", *(volatile unsigned char *)hidden(USER_PAGE));
}

static void crash_user_execute(void)
{
    user_page(QY_PT_READ | QY_PT_EXEC);
    ((void (*)(void))hidden(USER_PAGE))();
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
    X("user-read", crash_user_read)                                                                \
    X("user-write", crash_user_write)                                                              \
    X("user-execute", crash_user_execute)                                                          \
    X("overflow", crash_overflow)                                                                  \
    X("underflow", crash_underflow)                                                                \
    X("slack", crash_slack)                                                                        \
    X("use-after-free", crash_use_after_free)                                                      \
    X("redzone", crash_redzone)                                                                    \
    X("poison", crash_poison)                                                                      \
    X("double-free", crash_double_free)

void kernel_crash_on_request(const char *command_line, const struct qy_pt *kernel_tables,
                             struct kernel_arenas *kernel_arenas)
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
    kernel_root = kernel_tables->root;
    for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
        if (strcmp(kind, crashes[i].name) == 0) {
            crashes[i].crash();
            kernel_stop("crash=%s: nothing has stopped the kernel", kind);
        }
#define X(name, function) " " name
    kernel_stop("crash=%s is none of" CRASHES(X), kind);
#undef X
}
