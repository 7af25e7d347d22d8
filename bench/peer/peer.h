/*
 * What a shared library defines to be measured beside Quarry: ./quarry bench phys --peer LIB.so takes the four functions of
 * frames, ./quarry bench heap --peer LIB.so the four of objects. A library may have both.
 *
 *     cc -shared -fPIC -O2 -I bench/peer -o mine.so mine.c        (bench/peer/example.c is one)
 *
 * Functions may be called by two threads at once, with `cpu` 0 and 1. Those that take, give back or open say whether they
 * could; a refusal where the benchmark has a right to memory ends it with a message.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A machine of that many frames of 4 KiB, all free, numbered from 0. Called anew for each scene. */
bool peer_frames_open(uint64_t frames);
/* 1 << order frames from *first on, a multiple of that; orders 0 to 9. */
bool peer_frames_alloc(unsigned cpu, unsigned order, uint64_t *first);
bool peer_frames_free(unsigned cpu, uint64_t first, unsigned order);
void peer_frames_close(void);

bool peer_objects_open(void);
void *peer_objects_alloc(size_t bytes); /* aligned to 16; null: no memory */
void peer_objects_free(void *object);
void peer_objects_close(void);

#endif
