/*
 * The host's allocators as subjects of the benchmark.
 */
#ifndef BENCH_HEAP_PEERS_H
#define BENCH_HEAP_PEERS_H

#include "subject.h"

/* Append glibc and each of the libraries that can be opened; a line on standard error for one that cannot. */
void peers_open(struct subjects *subjects, const char *const (*libraries)[2]);

/* Append the peer of bench/peer/peer.h in that file; a message and the end if it is none. */
void peer_open(struct subjects *subjects, const char *file);
void peers_close(void);

#endif
