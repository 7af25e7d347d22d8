/*
 * The specification of physical memory, executable: an owner map, one entry a frame, and nothing
 * clever.
 *
 * A test makes every call twice, to the allocator and here, and hands the allocator's answer in;
 * the model says whether that answer is allowed. Where the contract leaves a choice (which block,
 * which range), the model checks the chosen one; where it leaves none (frees, transitions,
 * refusals), it knows the answer. All costs are O(frames).
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include <qy/arena.h>

#define MODEL_ARENAS 32u

struct model_frame {
    uint8_t arena;             /* index + 1 of the owner; 0 = nobody's */
    uint8_t state;             /* enum qy_frame_state */
    uint8_t order;             /* of the allocated block that begins here */
    bool head;                 /* an allocated block begins here */
    bool writable, executable; /* class of the block that begins here */
    uint8_t pins;
    uint32_t mappings;
};

struct model_arena {
    bool exists;
    int parent;                /* index, -1 for a root */
    uint64_t base, end, total; /* pages */
    uint64_t pages[QY_FRAME_STATE_COUNT];
};

struct model {
    uint64_t count;
    struct model_frame *frames;
    uint8_t *free_in; /* index + 1 of the arena that the frame is free in, 0 if it is not free */
    struct model_arena arenas[MODEL_ARENAS];
};

void model_make(struct model *m, uint64_t frames);
void model_destroy(struct model *m);

/* What a call must answer; the map changes accordingly. `arena` and `child` are indices that the
 * test chooses. */
enum qy_error model_add(struct model *m, unsigned arena, uint64_t base, uint64_t end);
enum qy_error model_alloc_at(struct model *m, unsigned arena, uint64_t at, unsigned order,
                             enum qy_frame_state state);
enum qy_error model_free(struct model *m, unsigned arena, uint64_t at, unsigned order,
                         enum qy_frame_state state);
enum qy_error model_free_pages(struct model *m, unsigned arena, uint64_t at, uint64_t pages,
                               enum qy_frame_state state);
enum qy_error model_set_state(struct model *m, uint64_t at, enum qy_frame_state from,
                              enum qy_frame_state to);
enum qy_error model_map(struct model *m, uint64_t frame, bool writable, bool executable);
enum qy_error model_unmap(struct model *m, uint64_t frame);
enum qy_error model_remap(struct model *m, uint64_t frame, bool writable, bool executable);
enum qy_error model_pin(struct model *m, uint64_t at, int change);
enum qy_error model_return(struct model *m, unsigned child);

/* Whether the allocator's answer is allowed; if it is, the map follows it. */
bool model_alloc(struct model *m, unsigned arena, unsigned order, enum qy_frame_state state,
                 enum qy_error error, uint64_t at);
bool model_alloc_pages(struct model *m, unsigned arena, uint64_t pages, enum qy_frame_state state,
                       enum qy_error error, uint64_t at);
bool model_alloc_in(struct model *m, unsigned arena, uint64_t pages, const struct qy_bounds *bounds,
                    enum qy_frame_state state, enum qy_error error, uint64_t at);
bool model_carve(struct model *m, unsigned parent, unsigned child, uint64_t pages,
                 enum qy_error error, uint64_t base);

/* The order of the largest free aligned block of an arena, -1 if there is none. */
int model_largest(const struct model *m, unsigned arena);

/* Pages of an arena's 2 MiB blocks all of which is free. */
uint64_t model_large_pages(const struct model *m, unsigned arena);

/* The first frame of the allocated block that holds `frame`, or 0. */
uint64_t model_head(const struct model *m, uint64_t frame);

/* Null, or what the arena's counters say differently. No lock: no other thread works in it. */
const char *model_compare_counts(const struct model *m, unsigned arena,
                                 const struct qy_arena *real);

/* Null, or how the database differs; *where is the frame. real[i] is arena i. Looks at every frame.
 */
const char *model_compare_frames(const struct model *m, const struct qy_framedb *db,
                                 struct qy_arena *const *real, uint64_t *where);

#endif
