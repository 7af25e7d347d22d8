/*
 * Which cache lines two CPUs write, and which locks they take, when each faults in a range of its own.
 *
 * The core is compiled for ThreadSanitizer, but linked with the functions here in the place of its runtime: they note the line
 * of each write and of each atomic read-modify-write, by CPU. Nothing runs at the same time; the counts are exact. Once each CPU has
 * its caches of the budget, two ranges of 2 MiB whose leaf tables are there share no line at all between two refills of a CPU's
 * frames; two of 1 GiB that nobody has touched, none between two refills of frames or of descriptors of tables, but for the first
 * page in 262,144: there the table above both gets an entry (eight lie in a line, as the hardware has it) under its lock.
 */
#include "fixture.h"

#include "../../mem/vm/vm_impl.h"

#define LINES (1u << 16) /* a set, open addressing */
#define CPUS 2u

static struct vm_fixture f;
static int now = -1; /* the CPU whose writes are noted */
static uint64_t writes[CPUS], locked[CPUS];
static struct lines {
    uintptr_t line[LINES];
    uint8_t locked[LINES]; /* by a read-modify-write */
    unsigned count;
} lines[CPUS];

static void note(const volatile void *address, bool rmw)
{
    if (now < 0)
        return;
    uintptr_t line = (uintptr_t)address / 64;
    struct lines *set = &lines[now];
    unsigned i = (unsigned)(line * 0x9e3779b97f4a7c15ull >> 40) % LINES;
    while (set->line[i] && set->line[i] != line)
        i = (i + 1) % LINES;
    set->count += !set->line[i];
    set->line[i] = line;
    set->locked[i] |= rmw;
    writes[now]++;
    locked[now] += rmw;
}

/* ---- the runtime's functions that the compiler calls ---- */

#define PLAIN(bits)                                                                                \
    void __tsan_read##bits(void *at);                                                              \
    void __tsan_write##bits(void *at);                                                             \
    void __tsan_unaligned_read##bits(void *at);                                                    \
    void __tsan_unaligned_write##bits(void *at);                                                   \
    void __tsan_read_write##bits(void *at);                                                        \
    void __tsan_read##bits(void *at)                                                               \
    {                                                                                              \
        (void)at;                                                                                  \
    }                                                                                              \
    void __tsan_unaligned_read##bits(void *at)                                                     \
    {                                                                                              \
        (void)at;                                                                                  \
    }                                                                                              \
    void __tsan_write##bits(void *at)                                                              \
    {                                                                                              \
        note(at, false);                                                                           \
    }                                                                                              \
    void __tsan_unaligned_write##bits(void *at)                                                    \
    {                                                                                              \
        note(at, false);                                                                           \
    }                                                                                              \
    void __tsan_read_write##bits(void *at)                                                         \
    {                                                                                              \
        note(at, false);                                                                           \
    }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

#define ATOMIC(bits, type)                                                                         \
    type __tsan_atomic##bits##_load(const volatile type *at, int order);                           \
    void __tsan_atomic##bits##_store(volatile type *at, type value, int order);                    \
    type __tsan_atomic##bits##_exchange(volatile type *at, type value, int order);                 \
    type __tsan_atomic##bits##_fetch_add(volatile type *at, type value, int order);                \
    type __tsan_atomic##bits##_fetch_sub(volatile type *at, type value, int order);                \
    type __tsan_atomic##bits##_fetch_or(volatile type *at, type value, int order);                 \
    type __tsan_atomic##bits##_fetch_and(volatile type *at, type value, int order);                \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile type *at, type *expected,           \
                                                      type value, int order, int failed);          \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile type *at, type *expected, type value, \
                                                    int order, int failed);                        \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type *at, type expected, type value,  \
                                                    int order, int failed);                        \
    type __tsan_atomic##bits##_load(const volatile type *at, int order)                            \
    {                                                                                              \
        (void)order;                                                                               \
        return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                              \
    }                                                                                              \
    void __tsan_atomic##bits##_store(volatile type *at, type value, int order)                     \
    {                                                                                              \
        (void)order;                                                                               \
        note(at, false);                                                                           \
        __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                             \
    }                                                                                              \
    type __tsan_atomic##bits##_exchange(volatile type *at, type value, int order)                  \
    {                                                                                              \
        (void)order;                                                                               \
        note(at, true);                                                                            \
        return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);                                   \
    }                                                                                              \
    type __tsan_atomic##bits##_fetch_add(volatile type *at, type value, int order)                 \
    {                                                                                              \
        (void)order;                                                                               \
        note(at, true);                                                                            \
        return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);                                    \
    }                                                                                              \
    type __tsan_atomic##bits##_fetch_sub(volatile type *at, type value, int order)                 \
    {                                                                                              \
        (void)order;                                                                               \
        note(at, true);                                                                            \
        return __atomic_fetch_sub(at, value, __ATOMIC_SEQ_CST);                                    \
    }                                                                                              \
    type __tsan_atomic##bits##_fetch_or(volatile type *at, type value, int order)                  \
    {                                                                                              \
        (void)order;                                                                               \
        note(at, true);                                                                            \
        return __atomic_fetch_or(at, value, __ATOMIC_SEQ_CST);                                     \
    }                                                                                              \
    type __tsan_atomic##bits##_fetch_and(volatile type *at, type value, int order)                 \
    {                                                                                              \
        (void)order;                                                                               \
        note(at, true);                                                                            \
        return __atomic_fetch_and(at, value, __ATOMIC_SEQ_CST);                                    \
    }                                                                                              \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile type *at, type *expected,           \
                                                      type value, int order, int failed)           \
    {                                                                                              \
        (void)order, (void)failed;                                                                 \
        note(at, true);                                                                            \
        return __atomic_compare_exchange_n(at, expected, value, 0, __ATOMIC_SEQ_CST,               \
                                           __ATOMIC_SEQ_CST);                                      \
    }                                                                                              \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type *at, type expected, type value,  \
                                                    int order, int failed)                         \
    {                                                                                              \
        (void)__tsan_atomic##bits##_compare_exchange_strong(at, &expected, value, order, failed);  \
        return expected;                                                                           \
    }                                                                                              \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile type *at, type *expected, type value, \
                                                    int order, int failed)                         \
    {                                                                                              \
        return __tsan_atomic##bits##_compare_exchange_strong(at, expected, value, order, failed);  \
    }
ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void __tsan_init(void);
void __tsan_func_entry(void *at);
void __tsan_func_exit(void);
void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);
void *__tsan_memset(void *at, int value, size_t bytes);
void __tsan_read_range(void *at, size_t bytes);
void __tsan_write_range(void *at, size_t bytes);
void *__tsan_memcpy(void *to, const void *from, size_t bytes);
void *__tsan_memmove(void *to, const void *from, size_t bytes);

void __tsan_init(void)
{
}

void __tsan_func_entry(void *at)
{
    (void)at;
}

void __tsan_func_exit(void)
{
}

void __tsan_atomic_thread_fence(int order)
{
    (void)order;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void __tsan_atomic_signal_fence(int order)
{
    (void)order;
}

static void note_all(void *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        note((char *)at + i, false);
    if (bytes)
        note((char *)at + bytes - 1, false);
}

void __tsan_read_range(void *at, size_t bytes)
{
    (void)at, (void)bytes;
}

void __tsan_write_range(void *at, size_t bytes)
{
    note_all(at, bytes);
}

void *__tsan_memset(void *at, int value, size_t bytes)
{
    note_all(at, bytes);
    return memset(at, value, bytes);
}

void *__tsan_memcpy(void *to, const void *from, size_t bytes)
{
    note_all(to, bytes);
    return memcpy(to, from, bytes);
}

void *__tsan_memmove(void *to, const void *from, size_t bytes)
{
    note_all(to, bytes);
    return memmove(to, from, bytes);
}

/* ---- the test ---- */

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define STACK_BYTES                                                                                \
    (64u << 10) /* what a call has on its stack is its own: one stack serves both CPUs here */

static void fault_on(unsigned cpu, uint64_t from, unsigned pages)
{
    struct qy_fault fault;
    hosted_cpu_set(cpu);
    now = (int)cpu;
    for (unsigned i = 0; i < pages; i++)
        CHECK_EQ(qy_space_fault(&f.space[0], from + i * QY_PAGE_BYTES, QY_ACCESS_WRITE, &fault),
                 QY_OK);
    now = -1;
    hosted_cpu_set(0);
}

static bool is_written(const struct lines *set, uintptr_t line)
{
    unsigned i = (unsigned)(line * 0x9e3779b97f4a7c15ull >> 40) % LINES;
    while (set->line[i] && set->line[i] != line)
        i = (i + 1) % LINES;
    return set->line[i] == line;
}

/* The entries of the table of level 3 over an address that lie in one line with that address's, and the lock of that table. */
static bool is_of_upper_table(uintptr_t line, uint64_t address)
{
    paddr_t table = f.space[0].root;
    unsigned index = qy_pt_index(vaddr(address), 3);
    table = qy_pt_entry_address(f.vm.format, *qy_pt_slot(table, qy_pt_index(vaddr(address), 4)));
    const struct qy_table *descriptor = qy_table_of(&f.machine.db, paddr_to_pfn(table));
    return line == (uintptr_t)qy_pt_slot(table, index) / 64 ||
           line == (uintptr_t)&descriptor->lock / 64;
}

struct common {
    unsigned lines, locks; /* written by both; taken by both */
    unsigned upper;        /* lines of the table of level 3 */
};

/* upper: an address under the table of level 3 whose lines are told apart. */
static struct common count_common(uint64_t upper)
{
    struct common common = {0};
    uintptr_t stack = (uintptr_t)&common / 64;
    for (unsigned i = 0; i < LINES; i++) {
        uintptr_t line = lines[0].line[i];
        bool own = line > stack - STACK_BYTES / 64 && line < stack + STACK_BYTES / 64;
        if (!line || own || !is_written(&lines[1], line))
            continue;
        common.lines++;
        common.upper += is_of_upper_table(line, upper);
        common.locks += lines[0].locked[i];
    }
    return common;
}

static void forget(void)
{
    memset(lines, 0, sizeof(lines));
    memset(writes, 0, sizeof(writes));
    memset(locked, 0, sizeof(locked));
}

static void begin(unsigned kind)
{
    vm_make(&f, &vm_formats[kind], 14000);
    f.no_tlb = true;
    vm_open(&f, 0);
    CHECK_EQ(vm_map(&f, 0, 4 * GIB, 8 * GIB, RW), QY_OK);
    /* Each CPU has its caches, of frames and of descriptors. */
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        for (unsigned i = 0; i < 40; i++)
            fault_on(cpu, 10 * GIB + cpu * GIB + i * 2 * MIB, 10);
    forget();
}

/* Faults until a refill, 24 pages before the next. */
static void in_tables(unsigned kind)
{
    begin(kind);
    uint64_t at[CPUS] = {4 * GIB, 4 * GIB + 2 * MIB};
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        fault_on(cpu, at[cpu], 1);
    /* Without refills nothing is common; there is one refill in 64 pages. */
    unsigned quiet = 0, refills = 0;
    for (unsigned i = 1; i + 8 <= 505; i += 8) {
        forget();
        for (unsigned cpu = 0; cpu < CPUS; cpu++)
            fault_on(cpu, at[cpu] + i * QY_PAGE_BYTES, 8);
        struct common common = count_common(4 * GIB);
        CHECK(lines[0].count > 8 && lines[1].count > 8);
        quiet += common.lines == 0;
        refills += common.lines != 0;
    }
    printf("# 2 MiB each, leaf tables there: of %u steps of 8 pages, %u write no common line and "
           "take no common lock\n",
           quiet + refills, quiet);
    CHECK(refills * 32 <= 505); /* a refill in 32 pages at most */
    vm_done(&f);
}

/* A page in every 2 MiB of a range of 1 GiB each: a table, its descriptor and a frame at every step. */
static void first_touch(unsigned kind)
{
    const unsigned steps = 200;
    begin(kind);
    uint64_t at[CPUS] = {4 * GIB, 6 * GIB};
    unsigned quiet = 0, upper = 0;
    for (unsigned i = 0; i < steps; i++) {
        forget();
        for (unsigned cpu = 0; cpu < CPUS; cpu++)
            fault_on(cpu, at[cpu] + i * 2 * MIB, 1);
        struct common common = count_common(at[0]);
        CHECK(lines[0].count > 64 && lines[1].count > 64); /* a table was filled */
        CHECK(i == 0 ? common.upper == 2 : common.upper == 0);
        upper += common.upper;
        quiet += common.lines == common.upper;
    }
    unsigned refills = steps - quiet, pages = steps * 2;
    printf("# 1 GiB each, from the first touch: of %u steps of a page and its table, %u write no "
           "common line and take "
           "no common lock; %u lines are the table's above both, at the first\n",
           steps, quiet, upper);
    CHECK(refills * 32 <= pages * CPUS); /* frames and descriptors of both */
    vm_done(&f);
}

static void x86(void)
{
    in_tables(0);
    first_touch(0);
}

static void sv48(void)
{
    in_tables(1);
    first_touch(1);
}

static const struct test tests[] = {
    {"x86-64: ranges of their own", x86},
    {"Sv48: ranges of their own", sv48},
};
TEST_MAIN(tests)
