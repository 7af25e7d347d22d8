/*
 * Every sequence of calls in a small scope: 1 GiB in four atoms, so that pages of all sizes, splits and marks occur,
 * with every range, two alignments of frames, two sets of flags, marks, and the first table refused or not. States are
 * told apart by the reference (pt_atoms.h), which every translation is compared with; from each, every call is tried
 * once. The number of states is printed.
 *
 * What this would miss: anything that needs more than one 1 GiB span (pt_ranges has those).
 */
#include "pt_atoms.h"

#define GIB 0x40000000ull
#define ATOMS 4u
#define STATES_MAX 20000u
#define BUCKETS 32768u

static const uint64_t cuts[2][ATOMS + 1] = {
    {GIB, GIB + 0x1000, GIB + 0x200000, GIB + 0x400000, 2 * GIB},
    {-GIB, -0x400000ull, -0x200000ull, -0x1000ull, 0},
};

/* A state, how it was reached first, and the next one in its bucket. */
struct state {
    struct atoms_state model;
    unsigned from, call, next;
};

static struct state *states;
static unsigned state_count, buckets[BUCKETS];

static unsigned state_find(const struct atoms_state *model, unsigned from, unsigned call)
{
    uint64_t hash = 14695981039346656037ull, words[sizeof(*model) / 8];
    memcpy(words, model, sizeof(words));
    for (size_t i = 0; i < sizeof(words) / 8; i++)
        hash = (hash ^ words[i]) * 1099511628211ull;
    unsigned *bucket = &buckets[(hash >> 32) % BUCKETS];
    for (unsigned i = *bucket; i; i = states[i].next)
        if (memcmp(&states[i].model, model, sizeof(*model)) == 0)
            return i;
    if (state_count == STATES_MAX)
        abort();
    states[state_count] = (struct state){.from = from, .call = call, .next = *bucket};
    states[state_count].model = *model;
    return *bucket = state_count++;
}

#define CALLS 160u

/* Call number n on both. */
static void call(struct atoms *a, unsigned n)
{
    static const unsigned ranges[][2] = {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {0, 2},
                                         {1, 3}, {2, 4}, {0, 3}, {1, 4}, {0, 4}};
    unsigned half = atoms_user(a) ? QY_PT_USER : QY_PT_GLOBAL;
    unsigned flags = QY_PT_READ | half | (n & 1 ? QY_PT_WRITE : 0), left = n & 2 ? 1 : ~0u;
    const unsigned *range = ranges[(n >> 2) % 10];
    uint64_t bytes = a->cuts[range[1]] - a->cuts[range[0]];
    switch (n / 40) {
    case 0: /* pages as large as can be */
        (void)atoms_map(a, range[0], range[1], a->cuts[range[0]] & (GIB - 1), 3, flags, left);
        break;
    case 1: /* frames 2 MiB beside */
        (void)atoms_map(a, range[0], range[1], (a->cuts[range[0]] & (GIB - 1)) + 0x200000,
                        1 + (bytes > 0x400000), flags, left);
        break;
    case 2:
        (void)atoms_protect(a, range[0], range[1], flags, left);
        break;
    default:
        if (n & 1)
            (void)atoms_unmap(a, range[0], range[1], left);
        else if (range[1] == range[0] + 1 && n & 2)
            (void)atoms_mark(a, range[0], range[0]);
        else if (range[1] == range[0] + 1)
            atoms_replace_marks(a, range[0], false, 0);
        break;
    }
}

/* The tables of a state, by the calls that led to it. */
static void replay(struct atoms *a, unsigned state)
{
    unsigned path[64], count = 0;
    for (; state > 1; state = states[state].from)
        path[count++] = states[state].call;
    while (count)
        call(a, path[--count]);
}

static void explore(const struct pt_format_case *kind, unsigned half)
{
    static struct atoms a;
    static unsigned char image[16 * QY_PAGE_BYTES];
    unsigned calls = 0;
    memset(buckets, 0, sizeof(buckets));
    state_count = 1; /* 0 ends a bucket */
    atoms_make(&a, kind, cuts[half], ATOMS);
    (void)state_find(&a.state, 0, 0);
    paddr_t root = a.f.pt.root;
    void *ram = qy_port_ram(root);
    for (unsigned from = 1; from < state_count && !a.wrong; from++) {
        /* A machine as at the start; fixture_alloc zeroes all but the root. */
        memset(ram, 0, QY_PAGE_BYTES);
        memset(&a.state, 0, sizeof(a.state));
        a.f.next = root.raw + QY_PAGE_BYTES;
        a.f.free_count = 0;
        replay(&a, from);
        const struct fixture f = a.f;
        if (f.next - root.raw > sizeof(image))
            abort();
        memcpy(image, ram, f.next - root.raw);
        for (unsigned n = 0; n < CALLS && !a.wrong; n++, calls++) {
            memcpy(ram, image, f.next - root.raw);
            a.f.next = f.next;
            a.f.free_count = f.free_count;
            a.state = states[from].model;
            call(&a, n);
            unsigned before = state_count, to = state_find(&a.state, from, n);
            if (to == before || to == from || n % 8 == 0)
                atoms_check(&a, n * 4096ull);
            if (a.wrong)
                printf("# %s, state %u, call %u: %s\n", kind->format->name, from, n, a.wrong);
        }
    }
    printf("# %s, %s half: %u states, %u calls\n", kind->format->name, half ? "upper" : "lower",
           state_count - 1, calls);
    CHECK(!a.wrong);
    CHECK(state_count > 500);
    fixture_destroy(&a.f);
}

static void x86_64(void)
{
    explore(&pt_formats[0], 0);
}

static void sv48(void)
{
    explore(&pt_formats[2], 1);
}

int main(void)
{
    static const struct test tests[] = {{"x86-64", x86_64}, {"Sv48 with Svpbmt", sv48}};
    states = calloc(STATES_MAX, sizeof(*states));
    return states ? tap_run(tests, 2) : 1;
}
