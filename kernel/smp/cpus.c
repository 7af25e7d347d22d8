/*
 * Bringing the CPUs up, and what the memory core asks of the kernel it lives in (qy/port.h).
 */
#include <arch/arch.h>
#include <kernel/cpus.h>
#include <kernel/entry.h>
#include <kernel/panic.h>
#include <kernel/print.h>
#include <kernel/sched.h>
#include <kernel/shootdown.h>
#include <lib/string.h>

unsigned cpu_count = 1;
static bool cpu_areas_exist;

void *qy_port_ram(paddr_t address)
{
    return (void *)(kernel_ram + address.raw);
}

paddr_t qy_port_paddr(const void *ram)
{
    return paddr((uint64_t)ram - kernel_ram);
}

unsigned qy_port_cpu(void)
{
    return cpu_areas_exist ? cpu_this()->index : 0;
}

void qy_port_relax(void)
{
    arch_relax();
    if (cpu_areas_exist)
        shootdown_answer(cpu_this());
}

static void cpu_prepare(unsigned index, const struct qy_topology_cpu *from)
{
    struct cpu *cpu = cpu_at(index);
    memset(cpu, 0, sizeof(*cpu));
    cpu->self = cpu;
    qy_cpu_frames_init(&cpu->frames, index);
    qy_cpu_objects_init(&cpu->objects, index, &cpu->frames);
    cpu->index = index;
    cpu->cause = (uint64_t)index << 48;
    cpu->kind = KIND_OTHER;
    cpu->tlb.index = index;
    cpu->hardware_id = from->hardware_id;
    cpu->node = from->node;
    cpu->stack_top = kernel_stack_top(index, KERNEL_STACK_MAIN);
    cpu->stats.cpu = index;
    cpu->stats.hardware_id = from->hardware_id;
    cpu->stats.node = from->node;
}

void cpus_prepare(const struct qy_topology *topology)
{
    for (unsigned i = 0; i < topology->cpu_count; i++)
        cpu_prepare(i, &topology->cpus[i]);
    arch_cpu_init(cpu_at(0));
    atomic_store(&cpu_at(0)->online, true);
    place_online(cpu_at(0));
    cpu_areas_exist = true;
    panic_cpus_are_set_up();
}

/*
 * CPUs are numbered without gaps: one that does not start is said and passed over, and the next
 * takes its number (its area and stacks have been made for any).
 */
void cpus_start(const struct qy_topology *topology, paddr_t trampoline, paddr_t root)
{
    for (unsigned i = 1; i < topology->cpu_count; i++) {
        struct cpu *cpu = cpu_at(cpu_count);
        cpu_prepare(cpu_count, &topology->cpus[i]);
        if (arch_cpu_start(cpu, trampoline, root) != QY_OK) {
            print("CPU with id %u does not start; going on without it\n",
                  (unsigned)topology->cpus[i].hardware_id);
            continue;
        }
        cpu_count++;
    }
}

void cpu_run(struct cpu *cpu, void (*work)(void))
{
    atomic_store(&cpu->work, work);
    arch_ipi(cpu);
}

bool cpu_is_working(const struct cpu *cpu)
{
    return atomic_load(&cpu->work) != NULL;
}

bool cpu_work(struct cpu *cpu)
{
    void (*work)(void) = atomic_load(&cpu->work);
    if (!work)
        return false;
    work();
    atomic_store(&cpu->work, NULL);
    return true;
}

/* It idles until somebody starts a thread on it. */
_Noreturn void cpu_main(struct cpu *cpu)
{
    cpu->stats.hardware_id = cpu->hardware_id;
    atomic_store(&cpu->online, true);
    place_online(cpu);
    arch_timer_start();
    arch_resume(cpu, entry_exit(cpu));
}
