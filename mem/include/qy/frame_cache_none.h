/*
 * The functions of qy/frame_cache.h in a build without frame caches: every block comes from its arena, and goes back to
 * it. Included by that header.
 */
#ifndef QY_FRAME_CACHE_NONE_H
#define QY_FRAME_CACHE_NONE_H

struct qy_cpu_frames {
    uint32_t cpu;
};

static inline void qy_cpu_frames_init(struct qy_cpu_frames *cpu, uint32_t number)
{
    cpu->cpu = number;
}

static inline QY_MUST_USE enum qy_error qy_frame_try_alloc(struct qy_cpu_frames *cpu,
                                                           struct qy_arena *arena, unsigned order,
                                                           enum qy_frame_state state, pfn_t *out)
    QY_REQUIRES(qy_irq_off)
{
    (void)cpu;
    return qy_arena_alloc(arena, order, state, out);
}

static inline QY_MUST_USE enum qy_error
qy_frame_try_alloc_zeroed(struct qy_cpu_frames *cpu, struct qy_arena *arena, unsigned order,
                          enum qy_frame_state state, pfn_t *out, bool *zeroed)
    QY_REQUIRES(qy_irq_off)
{
    *zeroed = false;
    return qy_frame_try_alloc(cpu, arena, order, state, out);
}

static inline QY_MUST_USE enum qy_error qy_frame_alloc(struct qy_cpu_frames *cpu,
                                                       struct qy_arena *arena, unsigned order,
                                                       enum qy_frame_state state, pfn_t *out)
    QY_REQUIRES(qy_irq_off)
{
    return qy_frame_try_alloc(cpu, arena, order, state, out);
}

static inline QY_MUST_USE enum qy_error qy_frame_free(struct qy_cpu_frames *cpu,
                                                      struct qy_arena *arena, pfn_t block,
                                                      unsigned order, enum qy_frame_state state)
    QY_REQUIRES(qy_irq_off)
{
    (void)cpu;
    return qy_arena_free(arena, block, order, state);
}

static inline QY_MUST_USE enum qy_error qy_frame_free_zeroed(struct qy_cpu_frames *cpu,
                                                             struct qy_arena *arena, pfn_t frame,
                                                             enum qy_frame_state state)
    QY_REQUIRES(qy_irq_off)
{
    (void)cpu;
    return qy_arena_free(arena, frame, 0, state);
}

static inline bool qy_frame_zero_one(struct qy_cpu_frames *cpu)
{
    (void)cpu;
    return false;
}

static inline void qy_frame_drain(struct qy_cpu_frames *cpu, const struct qy_arena *arena)
{
    (void)cpu, (void)arena;
}

static inline bool qy_arena_is_cached(struct qy_arena *arena)
{
    (void)arena;
    return false;
}

static inline void qy_frame_reclaim(struct qy_arena *arena)
{
    (void)arena;
}

static inline bool qy_frame_reclaim_step(struct qy_arena *arena)
{
    (void)arena;
    return false;
}

#endif
