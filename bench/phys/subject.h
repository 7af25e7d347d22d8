/*
 * What is measured: whole frames taken and given back, as one machine-wide arena hands them out,
 * or as the calling CPU's cache in front of it does (-DSUBJECT_CACHE); or a peer's (-DSUBJECT_PEER, bench/peer/peer.h), through
 * pointers.
 *
 * The functions are inline, so that the instructions counted are those of the allocator and of a
 * plain call.
 */
#ifndef BENCH_PHYS_SUBJECT_H
#define BENCH_PHYS_SUBJECT_H

#include <hosted/hosted.h>
#include <qy/frame_cache.h>

#define SUBJECT_CPUS 2u

extern struct hosted_machine machine;
extern struct qy_arena arena;
extern struct qy_cpu_frames cpus[SUBJECT_CPUS]; /* a thread's; unused without caches */

#define SUBJECT_BASE (1ull << 18) /* the machine's first frame: the first GiB is a hole */

#if defined(SUBJECT_PEER)

struct peer_frames {
    bool (*open)(uint64_t frames);
    bool (*alloc)(unsigned cpu, unsigned order, uint64_t *first);
    bool (*free)(unsigned cpu, uint64_t first, unsigned order);
    void (*close)(void);
};
extern struct peer_frames peer;

/* The library's functions; a message and the end if it is no peer. */
void subject_open(const char *library);

static inline bool subject_alloc(struct qy_cpu_frames *cpu, unsigned order, uint64_t *at)
{
    bool ok = peer.alloc((unsigned)(cpu - cpus), order, at);
    *at += SUBJECT_BASE;
    return ok;
}

static inline bool subject_free(struct qy_cpu_frames *cpu, uint64_t at, unsigned order)
{
    return peer.free((unsigned)(cpu - cpus), at - SUBJECT_BASE, order);
}

#elif defined(SUBJECT_CACHE)

/* Nothing interrupts a thread here, so interrupts are as good as off. */
static inline __attribute__((always_inline)) bool
subject_alloc(struct qy_cpu_frames *cpu, unsigned order, uint64_t *at) QY_UNCHECKED
{
    pfn_t out = {0};
    enum qy_error error = qy_frame_try_alloc(cpu, &arena, order, QY_FRAME_USER, &out);
    *at = out.raw;
    return error == QY_OK;
}

static inline __attribute__((always_inline)) bool
subject_free(struct qy_cpu_frames *cpu, uint64_t at, unsigned order) QY_UNCHECKED
{
    return qy_frame_free(cpu, &arena, pfn(at), order, QY_FRAME_USER) == QY_OK;
}

#else

static inline bool subject_alloc(struct qy_cpu_frames *cpu, unsigned order, uint64_t *at)
{
    pfn_t out = {0};
    (void)cpu;
    enum qy_error error = qy_arena_alloc(&arena, order, QY_FRAME_USER, &out);
    *at = out.raw;
    return error == QY_OK;
}

static inline bool subject_free(struct qy_cpu_frames *cpu, uint64_t at, unsigned order)
{
    (void)cpu;
    return qy_arena_free(&arena, pfn(at), order, QY_FRAME_USER) == QY_OK;
}

#endif

/* Everything cached goes back to the arena. */
void subject_reclaim(void);

#endif
