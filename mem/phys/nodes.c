/*
 * NUMA nodes: placement by distance and zone. See qy/nodes.h.
 *
 * Orders of fallback are made once, by heap sort, since a machine has up to 64 nodes here and more
 * elsewhere, and no memory is at hand. Failures: a refused request has changed the counters only.
 */
#include <lib/string.h>
#include <qy/nodes.h>

size_t qy_nodes_bytes(unsigned count)
{
    size_t each = sizeof(struct qy_node) + count * (sizeof(uint16_t) + sizeof(uint8_t));
    return qy_align_up(count * each, sizeof(uint64_t));
}

/* What an order is sorted by: itself, then distance, then the number, counted from itself. */
static uint32_t key(const struct qy_nodes *nodes, unsigned node, unsigned other)
{
    unsigned steps = (other + nodes->count - node) % nodes->count;
    return steps == 0 ? 0 : (qy_nodes_distance(nodes, node, other) + 1) << 16 | steps;
}

static void sift(const struct qy_nodes *nodes, unsigned node, unsigned at, unsigned end)
{
    uint16_t *row = &nodes->order[node * nodes->count];
    for (unsigned child; (child = 2 * at + 1) < end; at = child) {
        if (child + 1 < end && key(nodes, node, row[child]) < key(nodes, node, row[child + 1]))
            child++;
        if (key(nodes, node, row[at]) >= key(nodes, node, row[child]))
            return;
        uint16_t other = row[at];
        row[at] = row[child];
        row[child] = other;
    }
}

static void sort_row(const struct qy_nodes *nodes, unsigned node)
{
    uint16_t *row = &nodes->order[node * nodes->count];
    for (unsigned i = 0; i < nodes->count; i++)
        row[i] = (uint16_t)i;
    for (unsigned i = nodes->count / 2; i-- > 0;)
        sift(nodes, node, i, nodes->count);
    for (unsigned end = nodes->count; end-- > 1;) {
        uint16_t largest = row[0];
        row[0] = row[end];
        row[end] = largest;
        sift(nodes, node, 0, end);
    }
}

void qy_nodes_init(struct qy_nodes *nodes, void *memory, unsigned count, const uint8_t *distance,
                   size_t row_bytes)
{
    memset(memory, 0, qy_nodes_bytes(count));
    nodes->count = count;
    nodes->db = NULL;
    nodes->nodes = memory;
    nodes->order = (uint16_t *)(void *)(nodes->nodes + count);
    nodes->distance = (uint8_t *)(nodes->order + (size_t)count * count);
    for (unsigned i = 0; i < count; i++)
        memcpy(&nodes->distance[i * count], distance + i * row_bytes, count);
    for (unsigned i = 0; i < count; i++)
        sort_row(nodes, i);
}

enum qy_error qy_nodes_enter(struct qy_nodes *nodes, struct qy_arena *arena)
{
    if (arena->node >= nodes->count)
        return QY_NUMA_NODE_NOT_FOUND;
    struct qy_arena **at = &nodes->nodes[arena->node].zones[arena->zone];
    if (*at && *at != arena)
        return QY_BUSY;
    *at = arena;
    nodes->db = arena->db;
    return QY_OK;
}

/* One look through the nodes. */
struct search {
    const struct qy_nodes *nodes;
    unsigned node, flags;
    unsigned pass; /* 0: what each node prefers; 1: DMA32 where that was NORMAL */
    unsigned i;    /* in the order */
};

/* What a node has to offer in this pass. */
static struct qy_arena *offer(const struct search *search, const struct qy_node *node)
{
    struct qy_arena *dma32 = node->zones[QY_ZONE_DMA32], *normal = node->zones[QY_ZONE_NORMAL];
    if (search->flags & QY_PLACE_DMA32)
        return search->pass == 0 ? dma32 : NULL;
    if (search->pass == 0)
        return normal ? normal : dma32;
    return normal ? dma32 : NULL;
}

/* The next arena that may serve, or null. */
static struct qy_arena *search_next(struct search *search)
{
    unsigned most = search->flags & QY_PLACE_PINNED ? 1 : search->nodes->count;
    for (; search->pass < 2; search->pass++, search->i = 0) {
        while (search->i < most) {
            unsigned at = qy_nodes_at(search->nodes, search->node, search->i++);
            struct qy_arena *arena = offer(search, &search->nodes->nodes[at]);
            if (arena)
                return arena;
        }
    }
    return NULL;
}

static enum qy_error search_begin(struct search *search, const struct qy_nodes *nodes,
                                  unsigned node, unsigned flags)
{
    if (node >= nodes->count)
        return QY_NUMA_NODE_NOT_FOUND;
    if (flags & ~(unsigned)(QY_PLACE_PINNED | QY_PLACE_DMA32))
        return QY_INVALID_ARGUMENT;
    *search = (struct search){.nodes = nodes, .node = node, .flags = flags};
    return QY_OK;
}

/* Whether another arena may be tried after that. */
static bool goes_on(enum qy_error error)
{
    return error == QY_OUT_OF_MEMORY || error == QY_REVOKED;
}

/* Count a request, and say what came of it. */
static enum qy_error done(const struct search *search, const struct qy_arena *served,
                          enum qy_error error)
{
    struct qy_node *node = &search->nodes->nodes[search->node];
    _Atomic uint64_t *counter = error != QY_OK                 ? &node->failed
                                : served->node == search->node ? &node->local
                                                               : &node->remote;
    if (QY_CONFIG_STATISTICS)
        atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return error;
}

enum qy_error qy_nodes_alloc(struct qy_nodes *nodes, struct qy_cpu_frames *cpu, unsigned node,
                             unsigned flags, unsigned order, enum qy_frame_state state, pfn_t *out)
{
    struct search search;
    struct qy_arena *arena = NULL;
    enum qy_error error = search_begin(&search, nodes, node, flags);
    if (error != QY_OK)
        return error;
    error = QY_OUT_OF_MEMORY;
    while (goes_on(error) && (arena = search_next(&search)) != NULL)
        error = cpu ? qy_frame_try_alloc(cpu, arena, order, state, out)
                    : qy_arena_alloc(arena, order, state, out);
    return done(&search, arena, goes_on(error) ? QY_OUT_OF_MEMORY : error);
}

enum qy_error qy_nodes_free(struct qy_nodes *nodes, struct qy_cpu_frames *cpu, pfn_t block,
                            unsigned order, enum qy_frame_state state)
{
    struct qy_arena *arena = nodes->db ? qy_arena_of(nodes->db, block) : NULL;
    if (arena && arena->node < nodes->count &&
        nodes->nodes[arena->node].zones[arena->zone] == arena)
        return cpu ? qy_frame_free(cpu, arena, block, order, state)
                   : qy_arena_free(arena, block, order, state);
    return QY_NOT_OWNED;
}

enum qy_error qy_nodes_carve(struct qy_nodes *nodes, unsigned node, unsigned flags,
                             struct qy_arena *child, uint64_t pages, uint32_t id)
{
    struct search search;
    struct qy_arena *arena = NULL;
    enum qy_error error = search_begin(&search, nodes, node, flags);
    if (error != QY_OK)
        return error;
    error = QY_OUT_OF_MEMORY;
    while (goes_on(error) && (arena = search_next(&search)) != NULL)
        error = qy_arena_carve(arena, child, pages, id);
    return done(&search, arena, goes_on(error) ? QY_OUT_OF_MEMORY : error);
}

enum qy_error qy_nodes_record(const struct qy_nodes *nodes, unsigned node,
                              struct qy_record_node *out)
{
    if (node >= nodes->count)
        return QY_NUMA_NODE_NOT_FOUND;
    const struct qy_node *from = &nodes->nodes[node];
    *out = (struct qy_record_node){
        .node = node,
        .local = atomic_load_explicit(&from->local, memory_order_relaxed),
        .remote = atomic_load_explicit(&from->remote, memory_order_relaxed),
        .failed = atomic_load_explicit(&from->failed, memory_order_relaxed)};
    for (unsigned zone = 0; zone < QY_ZONE_COUNT; zone++) {
        struct qy_record_arena arena;
        if (!from->zones[zone])
            continue;
        qy_arena_record(from->zones[zone], &arena);
        out->total_bytes += arena.total_bytes;
        out->free_bytes += arena.free_bytes + arena.cache_bytes;
    }
    return QY_OK;
}

const char *qy_nodes_check(const struct qy_nodes *nodes)
{
    for (unsigned node = 0; node < nodes->count; node++) {
        if (qy_nodes_at(nodes, node, 0) != node)
            return "NODE-ORDER";
        for (unsigned i = 1; i < nodes->count; i++) {
            unsigned before = qy_nodes_at(nodes, node, i - 1), at = qy_nodes_at(nodes, node, i);
            /* Keys rise strictly, so no node comes twice. */
            if (at >= nodes->count || key(nodes, node, before) >= key(nodes, node, at))
                return "NODE-ORDER";
        }
        for (unsigned zone = 0; zone < QY_ZONE_COUNT; zone++) {
            const struct qy_arena *arena = nodes->nodes[node].zones[zone];
            if (arena && (arena->node != node || arena->zone != zone))
                return "NODE-ROOT";
        }
    }
    return NULL;
}
