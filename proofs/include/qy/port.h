/*
 * The port for Frama-C: physical memory is an array of words, and the frames of tables lie in it one after the other.
 */
#ifndef QY_PORT_H
#define QY_PORT_H

#include <qy/types.h>

#define PROOF_FRAMES 1024u
extern uint64_t ram[PROOF_FRAMES * 512u];

// clang-format off
/*@ requires address.raw / 4096 < PROOF_FRAMES && address.raw % 4096 == 0;
    assigns \result \from address;
    ensures \result == &ram[address.raw / 4096 * 512]; */
uint64_t *qy_port_ram(paddr_t address);
// clang-format on
paddr_t qy_port_paddr(const void *ram);
void qy_port_relax(void);
unsigned qy_port_cpu(void);
void qy_port_fence_cpu(unsigned cpu);
_Noreturn void qy_port_broken(const char *invariant, const char *what, uint64_t number);

#endif
