/*
 * Every call from every state of a small world (small.h): two spaces, three pages, two of them in one leaf table; then once
 * more with a memory object, and the calls that matter for it.
 *
 * States are told apart by what is in the tables: entries, their frames and how often these are mapped, which tables are
 * shared, what is remembered behind pages, and the bytes; frames and tables by the order in which they are met. A state is
 * reached again by the calls that led to it. Breadth first, so that every state that some so many calls lead to is tried; it is
 * bounded, as rights, sharing and bytes make far more states than a test has time for: TEST_STATES=n.
 */
#define VM_TLB 64u
#define VM_WAYS 8u
#include "small.h"

#define PAGES 3u
#define CALLS_MAX 200u
#define DEPTH_MAX 24u
#define TABLE_SIZE (1u << 20)

struct step {
    uint8_t call, n, first, count, a;
};

static struct step calls[CALLS_MAX];
static unsigned call_count;

/* How a state was reached. */
static struct node {
    uint32_t from;
    uint8_t by, depth;
} * nodes;
static uint32_t node_count;
static uint64_t *seen;

static void add(unsigned call, unsigned n, unsigned first, unsigned count, unsigned a)
{
    if (call_count < CALLS_MAX)
        calls[call_count++] =
            (struct step){(uint8_t)call, (uint8_t)n, (uint8_t)first, (uint8_t)count, (uint8_t)a};
}

static void all_calls(void)
{
    call_count = 0;
    for (unsigned n = 0; n < SMALL_SPACES; n++) {
        for (unsigned first = 0; first < PAGES; first++) {
            for (unsigned count = 1; count <= PAGES - first; count++) {
                add(SMALL_MAP, n, first, count, 0);
                add(SMALL_UNMAP, n, first, count, 0);
                add(SMALL_CLONE, n, first, count, 0);
                for (unsigned a = 0; a < 4; a++)
                    add(SMALL_PROTECT, n, first, count, a);
            }
            for (unsigned a = 0; a < 3; a++)
                add(SMALL_TOUCH, n, first, 1, a);
            add(SMALL_LEND, n, first, 1, 0);
            add(SMALL_LEND, n, first, 1, 2);
        }
        add(SMALL_CLOSE, n, 0, 1, 0);
        add(SMALL_SETTLE, n, 0, 1, 0);
    }
    add(SMALL_REVOKE, 0, 0, 1, 0);
}

/* Of objects: what maps them, touches, copies, and changes them. */
static void object_calls(void)
{
    call_count = 0;
    for (unsigned n = 0; n < SMALL_SPACES; n++) {
        for (unsigned first = 0; first < PAGES; first++) {
            add(SMALL_UNMAP, n, first, 1, 0);
            for (unsigned a = 0; a < 3; a++)
                add(SMALL_TOUCH, n, first, 1, a);
            add(SMALL_PROTECT, n, first, 1, 1);
            add(SMALL_PROTECT, n, first, 1, 2);
        }
        for (unsigned a = 0; a < 3; a += 2) { /* RW, RX */
            add(SMALL_MAP_SHARED, n, 0, PAGES, a);
            add(SMALL_MAP_COPIED, n, 0, PAGES, a);
            add(SMALL_MAP_SHARED, n, 1, 1, a + 4);
            add(SMALL_MAP_COPIED, n, 1, 1, a + 4);
        }
        add(SMALL_CLONE, n, 0, PAGES, 0);
        add(SMALL_CLONE, n, 1, 1, 0);
        add(SMALL_CLOSE, n, 0, 1, 0);
        add(SMALL_SETTLE, n, 0, 1, 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        add(SMALL_RESIZE, 0, 0, 1, i);
        add(SMALL_DISCARD, 0, i, 1, 0);
        add(SMALL_SUPPLY, 0, i, 1, 6);
    }
    add(SMALL_WRITTEN, 0, 0, 1, 0);
    add(SMALL_PAGED, 0, 0, 1, 0);
    add(SMALL_PAGED, 0, 0, 1, 1);
}

static void mix(uint64_t *hash, uint64_t value)
{
    *hash = (*hash ^ value) * 0x9e3779b97f4a7c15ull;
    *hash ^= *hash >> 29;
}

/* The place of a frame among those met so far. */
static unsigned met(uint64_t *frames, unsigned *count, uint64_t frame)
{
    unsigned i = 0;
    while (i < *count && frames[i] != frame)
        i++;
    if (i == *count)
        frames[(*count)++] = frame;
    return i;
}

static void mix_page(uint64_t *hash, const struct qy_space *space, uint64_t address,
                     uint64_t *frames, unsigned *count)
{
    const struct qy_pt_format *format = space->format;
    unsigned level;
    paddr_t at;
    pfn_t frame;
    bool foreign;
    uint64_t entry = qy_vm_peek(space, address, &level, &at);
    struct qy_table *table = qy_table_of(space->vm->db, paddr_to_pfn(at));
    mix(hash, level);
    mix(hash, met(frames, count, table->frame.raw));
    mix(hash, level < QY_PT_LEVELS ? qy_rmap_count(&table->parents) : 0);
    mix(hash, table->side != NULL);
    if (!qy_entry_holds(format, entry, level, &frame, &foreign)) {
        mix(hash, entry);
        return;
    }
    _Atomic uint64_t *word = qy_frame_rmap(space->vm->db, frame);
    mix(hash, met(frames, count, frame.raw));
    mix(hash, qy_rmap_count(word) << 2 | (qy_word_load(word) & QY_WORD_CLASS));
    mix(hash, qy_table_origin(table, qy_pt_index(vaddr(address), level)));
    mix(hash, qy_is_present(format, entry) ? entry & ~format->address_mask
                                           : qy_entry_mark(format, entry) & ~QY_MARK_OFFSET_MASK);
    mix(hash, *(const uint8_t *)qy_port_ram(pfn_to_paddr(frame)));
}

static uint64_t signature(void)
{
    uint64_t hash = 1, frames[64];
    unsigned count = 0;
    for (unsigned n = 0; n < SMALL_SPACES; n++)
        for (unsigned i = 0; i < PAGES; i++)
            mix_page(&hash, &small.f.space[n], small_address(&small, i), frames, &count);
    for (unsigned i = 0; i < PAGES; i++)
        mix_page(&hash, &small.object.tree, qy_object_address(i).raw, frames, &count);
    mix(&hash, small.lent_there | small.paged << 1 | small.notices << 2 | small.end << 3);
    return hash ? hash : 1;
}

static bool is_new(uint64_t hash)
{
    uint32_t i = (uint32_t)(hash >> 40) % TABLE_SIZE;
    for (; seen[i]; i = (i + 1) % TABLE_SIZE)
        if (seen[i] == hash)
            return false;
    seen[i] = hash;
    return true;
}

static void step(unsigned call)
{
    const struct step *c = &calls[call];
    small_do(&small, (enum small_call)c->call, c->n, c->first, c->count, c->a);
}

/* From the empty world to a state: the calls that led there first. */
static void go_to(uint32_t state)
{
    unsigned way[DEPTH_MAX], depth = nodes[state].depth;
    for (uint32_t at = state; at != 0; at = nodes[at].from)
        way[nodes[at].depth - 1] = nodes[at].by;
    small_revoke(&small);
    for (unsigned n = 0; n < SMALL_SPACES; n++) {
        vm_close(&small.f, n);
        small_open(&small, n);
    }
    small_resize(&small, 0);
    small_resize(&small, 2);
    small_do(&small, SMALL_PAGED, 0, 0, 1, 0);
    atomic_store(&small.object.notices, false);
    small.notices = false;
    for (unsigned i = 0; i < depth; i++)
        step(way[i]);
}

static void explore(unsigned kind, void (*calls_of_world)(void))
{
    const char *text = getenv("TEST_STATES");
    uint32_t most = text ? (uint32_t)strtoul(text, NULL, 0) : 400, tried = 0;
    uint64_t transitions = 0;
    if (most > TABLE_SIZE / 4)
        most = TABLE_SIZE / 4;
    small_begin(&small, kind, PAGES, 2, 400);
    calls_of_world();
    nodes = calloc(TABLE_SIZE, sizeof(*nodes));
    seen = calloc(TABLE_SIZE, sizeof(*seen));
    node_count = 1;
    (void)is_new(signature());
    for (; tried < node_count && tried < most && nodes[tried].depth < DEPTH_MAX; tried++)
        for (unsigned call = 0; call < call_count; call++) {
            go_to(tried);
            step(call);
            small_compare(&small);
            transitions++;
            if (small.wrong) {
                printf("# state %u, call %u of %u, pages %u + %u, %u: %s\n", tried,
                       calls[call].call, calls[call].n, calls[call].first, calls[call].count,
                       calls[call].a, small.wrong);
                CHECK(!small.wrong);
                exit(1);
            }
            if (is_new(signature()) && node_count < TABLE_SIZE / 2)
                nodes[node_count++] =
                    (struct node){tried, (uint8_t)call, (uint8_t)(nodes[tried].depth + 1)};
        }
    printf("# %u calls, %u states tried, %u met, %llu transitions: %s up to %u calls deep\n",
           call_count, tried, node_count, (unsigned long long)transitions,
           tried == node_count ? "all there are," : "bounded; complete",
           nodes[tried - 1].depth - (tried != node_count));
    CHECK(node_count > 1000);
    small_end(&small);
    free(nodes);
    free(seen);
}

static void x86(void)
{
    explore(0, all_calls);
}

static void sv48(void)
{
    explore(1, all_calls);
}

static void objects_x86(void)
{
    explore(0, object_calls);
}

static void objects_sv48(void)
{
    explore(1, object_calls);
}

static const struct test tests[] = {{"x86-64", x86},
                                    {"Sv48", sv48},
                                    {"with an object, x86-64", objects_x86},
                                    {"with an object, Sv48", objects_sv48}};
TEST_MAIN(tests)
