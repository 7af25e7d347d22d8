/*
 * Everything that whoever embeds the memory core supplies: six functions.
 *
 * The core calls nothing else from outside except the freestanding C library's memcpy, memset, memmove and
 * memcmp, which the compiler may call in any program.
 */
#ifndef QY_PORT_H
#define QY_PORT_H

#include <qy/types.h>

/* The address at which this program reaches the RAM at that physical address. Never fails for RAM. */
void *qy_port_ram(paddr_t address);

/*
 * The inverse: the physical address of what qy_port_ram gave. For any other address, one that is no RAM (all ones,
 * say): the core asks this of pointers that callers claim to own.
 */
paddr_t qy_port_paddr(const void *ram);

/* One turn of waiting for another CPU: lets it go on, and answers what it asks of this one. */
void qy_port_relax(void);

/* Index of the CPU that runs this, below the number of CPUs; it does not change while a lock is held. */
unsigned qy_port_cpu(void);

/*
 * Returns once that CPU, whatever it runs, has executed a full memory barrier after the call began; at once if it is
 * this one. Only qy_frame_reclaim (qy/frame_cache.h) calls it, without locks. By an interrupt that the CPU answers, or
 * by what the system has for it (membarrier on Linux); with one CPU, or if no frame caches are used, it is empty.
 */
void qy_port_fence_cpu(unsigned cpu);

/*
 * The core has found its own memory broken: a promise named by `invariant` does not hold, `what` says where,
 * with one number. Does not return.
 */
_Noreturn void qy_port_broken(const char *invariant, const char *what, uint64_t number);

#endif
