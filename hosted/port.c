/*
 * port.h on Linux: physical address p is at the machine's base + p, a thread is a CPU, a broken
 * promise aborts.
 */
#include "machine_impl.h"

#include <inttypes.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local unsigned this_cpu;
static _Thread_local jmp_buf *catch_jump;
_Thread_local struct hosted_broken hosted_broken;

void *qy_port_ram(paddr_t address)
{
    return hosted_current->base + address.raw;
}

paddr_t qy_port_paddr(const void *ram)
{
    uint64_t offset = (uint64_t)((uintptr_t)ram - (uintptr_t)hosted_current->base);
    return paddr(offset < hosted_current->limit_bytes ? offset : UINT64_MAX);
}

void qy_port_relax(void)
{
    sched_yield();
}

unsigned qy_port_cpu(void)
{
    return this_cpu;
}

/* The kernel makes every thread of this process execute a barrier. */
void qy_port_fence_cpu(unsigned cpu)
{
    static atomic_bool registered;
    (void)cpu;
    if (!atomic_load(&registered)) {
        if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0) != 0)
            qy_port_broken("PORT", "this Linux has no membarrier(2); it needs 4.14 or later", 0);
        atomic_store(&registered, true);
    }
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) != 0)
        qy_port_broken("PORT", "membarrier(2) is refused", 0);
}

void hosted_cpu_set(unsigned cpu)
{
    this_cpu = cpu;
}

jmp_buf *hosted_catch(jmp_buf *jump)
{
    catch_jump = jump;
    return jump;
}

_Noreturn void qy_port_broken(const char *invariant, const char *what, uint64_t number)
{
    hosted_broken = (struct hosted_broken){invariant, what, number};
    if (catch_jump)
        longjmp(*catch_jump, 1);
    fprintf(stderr, "%s is broken: %s %" PRIu64 " (%#" PRIx64 ")\n", invariant, what, number,
            number);
    abort();
}
