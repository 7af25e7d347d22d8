/*
 * The simulated machine under the kernel's objects: architecture, console, shootdown. See world.h.
 */
#include "world.h"

#include "sim_tlb.h"

#include <arch/arch.h>
#include <hosted/hosted.h>
#include <kernel/check.h>
#include <kernel/cpus.h>
#include <kernel/dma.h>
#include <kernel/fault.h>
#include <kernel/heap.h>
#include <kernel/panic.h>
#include <kernel/print.h>
#include <kernel/shootdown.h>
#include <kernel/stats.h>
#include <lib/format.h>
#include <quarry/call_errors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define CONSOLE_BYTES 65536u

_Thread_local struct cpu *fake_cpu_current;
unsigned cpu_count = WORLD_CPUS;
struct kernel_arenas world_arenas;
uint64_t world_time_ns;
bool world_yields_at_exit, world_yields_at_load;
unsigned world_preemption_points;
void (*world_at_preemption)(void);
char world_console[CONSOLE_BYTES];
const char *world_broken;
jmp_buf *world_end;
unsigned world_exit_code;

static struct cpu cpus[WORLD_CPUS];
static struct hosted_machine machine;
static struct qy_arena root_arena;
struct qy_pt world_kernel_tables;
static size_t console_used;
static struct thread *root_thread;

/* A CPU in the kernel. */
struct running {
    ucontext_t context;
    bool busy;
    enum qy_invocation number;
    uint64_t x[6];
    struct result result;
    char stack[65536];
};

static struct running runs[WORLD_CPUS];
static ucontext_t driver;
static struct running *inside; /* the coroutine that runs; null = the test itself */

uint64_t fake_cpu_area(unsigned cpu)
{
    return (uint64_t)&cpus[cpu];
}

/* ---- the architecture ---- */

/* Each error of each call is noted once, for tests/kernel/errors.sh. */
void fake_call_returned(uint64_t call, enum qy_error error)
{
    static uint64_t seen[QY_CALL_COUNT];
    const char *file = getenv("QUARRY_CALL_ERRORS");
    if (error == QY_OK || call >= QY_CALL_COUNT || seen[call] & 1ull << error)
        return;
    seen[call] |= 1ull << error;
    if (file) {
        FILE *out = fopen(file, "a");
        if (!out ||
            fprintf(out, "%s %s\n", qy_call_name((enum qy_invocation)call), qy_error_name(error)) <
                0 ||
            fclose(out))
            abort();
    }
}

void arch_frame_init(struct arch_frame *frame, uint64_t instruction, uint64_t stack,
                     uint64_t argument)
{
    memset(frame, 0, sizeof(*frame));
    frame->instruction = instruction;
    frame->stack = stack;
    frame->arguments[0] = argument;
}

static void yield(void);

unsigned arch_tlb_tags(void)
{
    return SIM_TAGS;
}

/* A CPU may stop at any instruction: until the new tables are loaded it walks the old ones. */
void arch_tlb_load(paddr_t root, unsigned tag, bool keep)
{
    const struct cpu *cpu = fake_cpu_current;
    const struct space *old = cpu_space(cpu);
    if (old && !qy_tlb_is_active(&old->tlb, cpu->index))
        world_broken = "REVOKED: a CPU still runs on tables that it no longer says it has";
    sim_fill(cpu->index);
    sim_load(cpu->index, root, tag, keep);
    sim_fill(cpu->index);
    if (world_yields_at_load)
        yield();
}

static void fill_all(void)
{
    for (unsigned i = 0; i < WORLD_CPUS; i++)
        sim_fill(i);
}

/* What a preemption point lets in: what the test wants. */
void arch_take_interrupts(void)
{
    world_preemption_points++;
    if (world_at_preemption)
        world_at_preemption();
    yield();
}

/* The CPU that asks may be overtaken before each of its requests. */
void arch_ipi(struct cpu *cpu)
{
    cpu->arch.interrupts++;
    fill_all();
}

/* A CPU outside of the kernel only answers, and may be broken in that. */
static bool is_deaf(void)
{
    return sim_plant == PLANT_IDLE_CPU_DEAF && !inside;
}

void arch_tlb_flush_pages(unsigned tag, vaddr_t start, unsigned pages, unsigned level)
{
    if (!is_deaf())
        sim_flush_pages(fake_cpu_current->index, tag, start.raw, pages, level);
}

void arch_tlb_flush_tag(unsigned tag)
{
    if (!is_deaf())
        sim_flush_tag(fake_cpu_current->index, tag);
}

void arch_flush_path(vaddr_t address)
{
    (void)address;
    if (sim_plant != PLANT_FAULT_KEEPS)
        sim_flush_tag(fake_cpu_current->index, fake_cpu_current->tlb.tag);
}

void arch_flush_everything(void)
{
    sim_flush_everything(fake_cpu_current->index);
}

static void fence_code(void)
{
    sim_fence_code(fake_cpu_current->index);
}

void (*const arch_fence_code)(void) = fence_code;

const struct qy_pt_format *arch_pt_format(void)
{
    return sim_format;
}

unsigned arch_max_page_level(void)
{
    return 3;
}

const struct qy_nodes *kernel_nodes(void)
{
    return &world_arenas.nodes;
}

uint64_t arch_time_ns(void)
{
    return world_time_ns;
}

uint64_t arch_physical_limit(void)
{
    return 1ull << 40;
}

/* ---- devices ---- */

struct world_line world_lines[ARCH_INTERRUPTS];
uint8_t world_ports[QY_PORTS];
static bool ports_taken[QY_PORTS];

enum qy_error arch_interrupt_enable(uint32_t number, struct cpu *cpu, bool *edge)
{
    if (number >= 32)
        return QY_INVALID_ARGUMENT;
    if (number == 31)
        return QY_UNSUPPORTED;
    world_lines[number] = (struct world_line){.enabled = true, .cpu = cpu->index};
    *edge = number < 16;
    return QY_OK;
}

void arch_interrupt_hold(uint32_t number)
{
    world_lines[number].held = true;
}

void arch_interrupt_let(uint32_t number)
{
    if (!world_lines[number].held)
        world_broken = "a line that is not held back is let through";
    world_lines[number].held = false;
}

void arch_interrupt_disable(uint32_t number)
{
    world_lines[number].enabled = false;
}

void world_line_set(uint32_t number, bool high)
{
    struct world_line *line = &world_lines[number];
    bool edge = high && !line->high;
    line->high = high;
    if (line->enabled && !line->held && (number < 16 ? edge : high))
        interrupt_raised(number);
    if (number >= 16 && line->high && line->enabled && !line->held)
        world_broken = "a line that is high is neither served nor held back";
}

enum qy_error arch_ports_take(uint32_t first, uint32_t count)
{
    for (uint32_t port = first; port < first + count; port++)
        if (ports_taken[port] || port / 8 == 0x3f8 / 8)
            return QY_BUSY;
    memset(ports_taken + first, true, count);
    return QY_OK;
}

void arch_ports_give(uint32_t first, uint32_t count)
{
    memset(ports_taken + first, false, count);
}

uint32_t arch_port_in(uint16_t port, unsigned width)
{
    uint32_t value = 0;
    memcpy(&value, world_ports + port, width);
    return value;
}

void arch_port_out(uint16_t port, unsigned width, uint32_t value)
{
    memcpy(world_ports + port, &value, width);
}

struct world_register world_register;

bool register_write(paddr_t address, unsigned width, uint32_t value)
{
    world_register.address = address.raw;
    world_register.width = width;
    world_register.written = value;
    world_register.writes++;
    world_register.looks = 0;
    return !world_register.gone;
}

bool register_read(paddr_t address, unsigned width, uint32_t *value)
{
    if (address.raw != world_register.address || width != world_register.width)
        world_broken = "a device is asked at another register than it was told to stop by";
    if (world_register.looks++ >= world_register.delay && !world_register.refuses) {
        world_register.value = world_register.written;
        world_register.stopped = true;
    }
    *value = world_register.value;
    return !world_register.gone;
}

bool arch_random(uint64_t *out)
{
    *out = 0x77;
    return true;
}

uint64_t arch_clock_hz(void)
{
    return 0;
}

int arch_console_get(void)
{
    return -1;
}

static bool user_copy(uint64_t user, void *kernel, size_t bytes, bool to_user)
{
    const unsigned cpu = fake_cpu_current->index;
    unsigned char *at = kernel;
    paddr_t page = paddr(0);
    for (size_t i = 0; i < bytes; i++, page.raw++) {
        if (user + i >= USER_END) /* here a real CPU would reach the kernel's own memory */
            world_broken = "ISOLATED: a copy outside the user half";
        bool same = i != 0 && (user + i) % QY_PAGE_BYTES != 0;
        while (!same && !sim_access(cpu, user + i, to_user ? QY_PT_WRITE : QY_PT_READ, &page))
            if (!fault_of_copy(fake_cpu_current, user + i,
                               to_user ? QY_ACCESS_WRITE : QY_ACCESS_READ))
                return false;
        unsigned char *byte = qy_port_ram(page);
        if (to_user)
            *byte = at[i];
        else
            at[i] = *byte;
    }
    return true;
}

bool arch_copy_from_user(void *out, uint64_t user, size_t bytes)
{
    return user_copy(user, out, bytes, false);
}

bool arch_copy_to_user(uint64_t user, const void *in, size_t bytes)
{
    return user_copy(user, (void *)(uintptr_t)in, bytes, true);
}

/* ---- waiting: others act ---- */

static void yield(void)
{
    struct running *run = inside;
    if (!run)
        return;
    inside = NULL;
    swapcontext(&run->context, &driver);
}

void __wrap_qy_port_relax(void);
void __wrap_qy_port_relax(void)
{
    yield();
    shootdown_answer(fake_cpu_current);
}

unsigned __wrap_qy_port_cpu(void);
unsigned __wrap_qy_port_cpu(void)
{
    return fake_cpu_current->index;
}

bool panic_in_progress(void)
{
    return false;
}

_Noreturn void panic_halt(void)
{
    abort();
}

/* The part of it that the world has. */
const char *machine_check(struct check_counts *out)
{
    const char *broken = system_check(&out->capabilities);
    return broken ? broken : qy_vm_check_frames(&kernel_vm, &root_arena);
}

_Noreturn void check_and_exit(unsigned code)
{
    kernel_exit(code);
}

/* CPUs yield nowhere with the lock: nothing moves anyway. */
void cpus_gather(void)
{
}

void cpus_go_on(void)
{
}

void __wrap_qy_port_fence_cpu(unsigned cpu);
void __wrap_qy_port_fence_cpu(unsigned cpu)
{
    (void)cpu;
    yield();
}

static void check_range_unreachable(pfn_t first, uint64_t pages)
{
    fill_all();
    for (unsigned i = 0; i < WORLD_CPUS; i++)
        if (sim_reaches(i, first, pages))
            world_broken = "REVOKED: memory has a new owner, and a CPU still reaches it";
}

/* Memory for a new owner: nobody may still reach it, as pages or as a table. */
static void check_unreachable(const struct object *object)
{
    pfn_t first = pfn(0);
    uint64_t pages = 1;
    if (object->type == QY_OBJ_FRAME) {
        first = ((const struct frame *)object)->first;
        pages = 1ull << ((const struct frame *)object)->order;
    } else if (object->type == QY_OBJ_PAGE_TABLE) {
        first = ((const struct page_table *)object)->frame;
    } else {
        return;
    }
    check_range_unreachable(first, pages);
    sim_written(first, pages);
}

void __real_object_zero(struct object *object);
void __wrap_object_zero(struct object *object);
void __wrap_object_zero(struct object *object)
{
    check_unreachable(object);
    yield();
    __real_object_zero(object);
    yield();
}

void __real_device_frame_forget(struct device_frame *frame);
void __wrap_device_frame_forget(struct device_frame *frame);
void __wrap_device_frame_forget(struct device_frame *frame)
{
    check_range_unreachable(frame->frame.first, 1ull << frame->frame.order);
    __real_device_frame_forget(frame);
}

/* ---- console and end ---- */

void console_write(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes && console_used + 1 < CONSOLE_BYTES; i++)
        world_console[console_used++] = text[i];
    world_console[console_used] = 0;
}

void print_v(const char *format, va_list arguments)
{
    char line[1024];
    format_to_v(line, sizeof(line), format, arguments);
    console_write(line, strlen(line));
}

void print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_v(format, arguments);
    va_end(arguments);
}

static _Noreturn void end(unsigned code)
{
    world_exit_code = code;
    if (world_end)
        longjmp(*world_end, 1);
    fprintf(stderr, "the kernel ended with code %u:\n%s\n", code, world_console);
    abort();
}

_Noreturn void kernel_exit(unsigned code)
{
    end(code);
}

_Noreturn void kernel_stop(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_v(format, arguments);
    va_end(arguments);
    end(1);
}

_Noreturn void kernel_panic(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_v(format, arguments);
    va_end(arguments);
    end(2);
}

/* ---- the boot archive ---- */

static void put(unsigned char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

/* An ELF executable with a page of text and one of data, whose last half is not in the file. */
size_t world_program(unsigned char *at)
{
    memset(at, 0, 0x3000);
    memcpy(at,
           "\x7f"
           "ELF\2\1\1",
           7);
    put(at + 16, 2, 2);
    put(at + 18, 62, 2);
    put(at + 20, 1, 4);
    put(at + 24, 0x400000, 8);
    put(at + 32, 64, 8);
    put(at + 52, 64, 2);
    put(at + 54, 56, 2);
    put(at + 56, 2, 2);
    static const uint64_t headers[2][5] = {{5, 0x1000, 0x400000, 0x1000, 0x1000},
                                           {6, 0x2000, 0x401000, 0x800, 0x1000}};
    for (unsigned i = 0; i < 2; i++) {
        unsigned char *header = at + 64 + 56 * i;
        put(header, 1, 4);
        put(header + 4, headers[i][0], 4);
        put(header + 8, headers[i][1], 8);
        put(header + 16, headers[i][2], 8);
        put(header + 24, headers[i][2], 8);
        put(header + 32, headers[i][3], 8);
        put(header + 40, headers[i][4], 8);
        put(header + 48, 0x1000, 8);
    }
    memset(at + 0x1000, 0x11, 0x1000);
    memset(at + 0x2000, 0x22, 0x800);
    return 0x2800;
}

static unsigned char *cpio_entry(unsigned char *at, const char *name, const void *data,
                                 size_t bytes)
{
    size_t name_bytes = strlen(name) + 1;
    int header = sprintf((char *)at, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
                         1, 0100644, 0, 0, 1, 0, bytes, 0, 0, 0, 0, name_bytes, 0);
    unsigned char *next = at + header;
    memcpy(next, name, name_bytes);
    next += name_bytes;
    while ((next - at) % 4)
        *next++ = 0;
    if (bytes)
        memcpy(next, data, bytes);
    next += bytes;
    while ((next - at) % 4)
        *next++ = 0;
    return next;
}

struct qy_bytes world_archive(uint64_t physical, const char *name, const void *data, size_t bytes)
{
    unsigned char *at = qy_port_ram(paddr(physical));
    unsigned char *next = cpio_entry(at, name, data, bytes);
    next = cpio_entry(next, "TRAILER!!!", NULL, 0);
    return (struct qy_bytes){at, (size_t)(next - at)};
}

/* ---- booting ---- */

#define ARCHIVE_BASE 0x100000ull
#define ROOT_TABLE 0x180000ull
#define ARENA_BASE 0x200000ull

void world_make(unsigned mib)
{
    const char *errors = getenv("QUARRY_CALL_ERRORS"); /* of this run, and no other */
    FILE *file = errors ? fopen(errors, "w") : NULL;
    if (errors && (!file || fclose(file)))
        abort();
    static struct qy_boot_info info;
    static struct qy_map map;
    static struct qy_topology topology = {.node_count = 1};
    if (!hosted_machine_make(&machine, (uint64_t)mib << 20, true))
        abort();
    hosted_ram_add(&machine, pfn(1), pfn((uint64_t)mib << 8));
    qy_arena_init(&root_arena, &machine.db, 0, QY_ZONE_DMA32, 1);
    if (qy_arena_add(&root_arena, pfn(ARENA_BASE >> 12), pfn((uint64_t)mib << 8)) != QY_OK)
        abort();
    world_arenas = (struct kernel_arenas){.count = 1, .roots = &root_arena};
    static uint64_t nodes_memory[8];
    static const uint8_t distance = QY_DISTANCE_LOCAL;
    qy_nodes_init(&world_arenas.nodes, nodes_memory, 1, &distance, 1);
    if (qy_nodes_enter(&world_arenas.nodes, &root_arena) != QY_OK)
        abort();
    if (qy_arena_carve(&root_arena, &world_arenas.kernel, 512, 2) != QY_OK)
        abort();
    sim_reset((uint64_t)mib << 8);
    world_kernel_tables = (struct qy_pt){sim_format, paddr(ROOT_TABLE)};
    memset(qy_port_ram(paddr(ROOT_TABLE)), 0, 5 * QY_PAGE_BYTES);
    for (unsigned level = 3; level >= 1; level--)
        if (qy_pt_install(&world_kernel_tables, vaddr(WORLD_KERNEL_PAGE),
                          paddr(ROOT_TABLE + level * QY_PAGE_BYTES), level, false, NULL) != QY_OK)
            abort();
    if (qy_pt_map(&world_kernel_tables, vaddr(WORLD_KERNEL_PAGE),
                  paddr(ROOT_TABLE + 4 * QY_PAGE_BYTES), 1, QY_PT_READ | QY_PT_WRITE | QY_PT_GLOBAL,
                  NULL) != QY_OK)
        abort();
    memset(cpus, 0, sizeof(cpus));
    for (unsigned i = 0; i < WORLD_CPUS; i++) {
        cpus[i].index = i;
        cpus[i].tlb.index = i;
        qy_cpu_frames_init(&cpus[i].frames, i);
        qy_cpu_objects_init(&cpus[i].objects, i, &cpus[i].frames);
    }
    heap_tools_count(&world_arenas);
    fake_cpu_current = &cpus[0];
    console_used = 0;
    world_console[0] = 0;
    static struct qy_segment segments[] = {
        {.end = ARENA_BASE, .type = QY_MEM_USABLE, .use = QY_USE_KERNEL_DATA},
        {.base = ARENA_BASE, .type = QY_MEM_USABLE, .use = QY_USE_UNTYPED}};
    segments[1].end = (uint64_t)mib << 20;
    map = (struct qy_map){.segments = segments, .count = 2, .usable_bytes = segments[1].end};
    stats_init(&map, &machine.db, &topology, &world_arenas, 0);
    static unsigned char program[0x3000];
    size_t bytes = world_program(program);
    info.range_count = 1;
    info.ranges[0] = (struct qy_range){0, (uint64_t)mib << 20, QY_MEM_USABLE, 0};
    topology.kept_count = 1;
    topology.kept[0] = (struct qy_topology_kept){WORLD_KEPT, WORLD_KEPT + QY_PAGE_BYTES};
    root_task_create(&info, world_archive(ARCHIVE_BASE, "root", program, bytes),
                     &world_kernel_tables, &topology, &world_arenas);
    world_pick(0);
}

bool world_idle(unsigned cpu)
{
    qy_irq_is_off();
    return qy_frame_zero_one(&cpus[cpu].frames);
}

struct object *world_object(uint32_t slot)
{
    return world_root_node()->slots[slot].object;
}

struct thread *world_root_thread(void)
{
    return root_thread;
}

struct cap_node *world_root_node(void)
{
    return thread_node(root_thread);
}

/* ---- acting ---- */

struct thread *world_pick(unsigned cpu)
{
    struct cpu *before = fake_cpu_current;
    fake_cpu_current = &cpus[cpu];
    sched_pick(&cpus[cpu]);
    struct thread *thread = cpus[cpu].current;
    if (thread && thread->is_root)
        root_thread = thread;
    fake_cpu_current = before;
    return thread;
}

struct result world_result(const struct thread *thread)
{
    struct result result = {.error = (enum qy_error)thread->frame.number};
    for (unsigned i = 1; i < 6; i++)
        result.x[i] = thread->frame.arguments[i];
    return result;
}

/* The end of every entry. */
static void leave(struct running *run)
{
    if (world_yields_at_exit)
        yield();
    world_pick((unsigned)(run - runs));
    run->busy = false;
}

static void run_fault(void)
{
    struct running *run = inside;
    struct cpu *cpu = &cpus[run - runs];
    cpu->current->frame.instruction = run->x[2];
    cpu->cause++;
    fault_raise(cpu, run->x[0], (enum qy_access)run->x[1]);
    leave(run);
}

static void run_call(void)
{
    struct running *run = inside;
    struct cpu *cpu = &cpus[run - runs];
    struct thread *thread = cpu->current;
    thread->frame.number = run->number;
    thread->frame.call = run->number;
    memcpy(thread->frame.arguments, run->x, sizeof(run->x));
    cpu->cause++;
    run->result = (struct result){.waits = true};
    call_dispatch(cpu);
    if (cpu->current == thread && thread->state == QY_THREAD_RUNNING)
        run->result = world_result(thread);
    leave(run);
}

static void resume(struct running *run)
{
    struct cpu *before = fake_cpu_current;
    fake_cpu_current = &cpus[run - runs];
    inside = run;
    swapcontext(&driver, &run->context);
    inside = NULL;
    fake_cpu_current = before;
}

static void enter(unsigned cpu, void (*body)(void), const uint64_t *x, size_t count)
{
    struct running *run = &runs[cpu];
    if (run->busy)
        abort();
    getcontext(&run->context);
    run->context.uc_stack.ss_sp = run->stack;
    run->context.uc_stack.ss_size = sizeof(run->stack);
    run->context.uc_link = &driver;
    memcpy(run->x, x, count * sizeof(x[0]));
    run->busy = true;
    makecontext(&run->context, body, 0);
    resume(run);
}

void world_begin(unsigned cpu, enum qy_invocation number, const uint64_t x[6])
{
    runs[cpu].number = number;
    enter(cpu, run_call, x, 6);
}

void world_begin_fault(unsigned cpu, uint64_t address, enum qy_access access, uint64_t instruction)
{
    enter(cpu, run_fault, (const uint64_t[]){address, access, instruction}, 3);
}

bool world_busy(unsigned cpu)
{
    return runs[cpu].busy;
}

void world_step(unsigned cpu)
{
    if (runs[cpu].busy)
        resume(&runs[cpu]);
}

void world_interrupts(unsigned cpu)
{
    if (!runs[cpu].busy && cpus[cpu].arch.interrupts) {
        struct cpu *before = fake_cpu_current;
        cpus[cpu].arch.interrupts = 0;
        fake_cpu_current = &cpus[cpu];
        shootdown_answer(&cpus[cpu]);
        fake_cpu_current = before;
        world_pick(cpu);
    }
}

struct result world_last(unsigned cpu)
{
    return runs[cpu].result;
}

/* Until this CPU's entry is over; the others take their interrupts. */
static void finish(unsigned cpu)
{
    for (unsigned turns = 0; world_busy(cpu); turns++) {
        for (unsigned i = 0; i < WORLD_CPUS; i++) {
            if (world_busy(i))
                world_step(i);
            world_interrupts(i);
        }
        if (turns > 1000000) {
            fprintf(stderr, "call %u or a fault does not end\n", runs[cpu].number);
            abort();
        }
    }
    for (unsigned i = 0; i < WORLD_CPUS; i++)
        world_interrupts(i);
}

struct result world_call(unsigned cpu, enum qy_invocation number, uint64_t x0, uint64_t x1,
                         uint64_t x2, uint64_t x3, uint64_t x4, uint64_t x5)
{
    const uint64_t x[6] = {x0, x1, x2, x3, x4, x5};
    world_begin(cpu, number, x);
    finish(cpu);
    return world_last(cpu);
}

void world_fault(unsigned cpu, uint64_t address, enum qy_access access, uint64_t instruction)
{
    world_begin_fault(cpu, address, access, instruction);
    finish(cpu);
}

/* ---- checking ---- */

void world_fill_tlbs(void)
{
    fill_all();
}

void world_load(unsigned cpu, struct space *space)
{
    struct cpu *before = fake_cpu_current;
    fake_cpu_current = &cpus[cpu];
    qy_tlb_load(&kernel_tlb, &cpus[cpu].tlb, space ? &space->tlb : NULL);
    fake_cpu_current = before;
}

static const char *tlbs_check(void)
{
    for (unsigned i = 0; i < WORLD_CPUS; i++) {
        const struct space *space = cpu_space(&cpus[i]);
        struct qy_tlb_space *const spaces[] = {
            space ? (struct qy_tlb_space *)&cpu_space(&cpus[i])->tlb : NULL, NULL};
        if (space && (space->object.type != QY_OBJ_ADDRESS_SPACE || !space->object.capabilities))
            return "REVOKED: a CPU has a space loaded that is gone";
        const char *broken = qy_tlb_check(&kernel_tlb, &cpus[i].tlb, spaces);
        if (!broken)
            broken = sim_check(i);
        if (broken)
            return broken;
    }
    return NULL;
}

const char *world_check(void) QY_UNCHECKED
{
    uint64_t counted = 0;
    struct check_counts counts;
    const char *broken = machine_check(&counts);
    for (struct untyped *untyped = untyped_first(); untyped; untyped = untyped->next)
        counted += untyped->object.pins;
    if (broken)
        return broken;
    for (unsigned i = 0; i < WORLD_CPUS; i++)
        counted = runs[i].busy ? 0 : counted; /* who waits for other CPUs pins */
    if (counted)
        return "a pin was forgotten";
    return tlbs_check();
}
