/*
 * What operations on address spaces cost, in instructions, counted by callgrind: a run with many less a run with few, divided.
 *
 * Zeroing and copying are measured apart and taken off. The limits say when a change has made something dearer; the aims stand
 * beside them. Skipped where valgrind is absent, and in builds for
 * sanitizers or without optimisation.
 */
#include "fixture.h"

#include <counted.h>

static struct vm_fixture f;

#define AT 0x40000000ull
#define TABLE (2ull << 20)

static void end(unsigned n)
{
    while (qy_space_destroy_step(&f.space[n]) == QY_BUSY) {
    }
    f.alive[n] = false;
}

static void nothing(unsigned long n)
{
    (void)n;
}

/* Pages whose leaf table is there. */
static void faults(unsigned long n)
{
    struct qy_fault fault;
    CHECK_EQ(vm_map(&f, 0, AT, 18 * TABLE, RW), QY_OK);
    for (uint64_t i = 0; i < 18; i++)
        CHECK_EQ(qy_space_fault(&f.space[0], AT + i * TABLE, QY_ACCESS_WRITE, &fault), QY_OK);
    for (uint64_t i = 0; i < n; i++)
        if (i % 512)
            CHECK_EQ(qy_space_fault(&f.space[0], AT + i * QY_PAGE_BYTES, QY_ACCESS_WRITE, &fault),
                     QY_OK);
}

/* The same, and back. */
static void unmaps(unsigned long n)
{
    faults(n);
    CHECK_EQ(qy_space_unmap_region(&f.space[0], AT, n * QY_PAGE_BYTES), QY_OK);
}

static void protects(unsigned long n)
{
    faults(n);
    CHECK_EQ(qy_space_protect_region(&f.space[0], AT, n * QY_PAGE_BYTES, RO), QY_OK);
}

static void clones(unsigned long n)
{
    faults(4096);
    for (unsigned long i = 0; i < n; i++) {
        vm_open(&f, 1);
        CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], QY_PAGE_BYTES, QY_USER_END), QY_OK);
        end(1);
    }
}

static void clone_first(unsigned long n)
{
    faults(4096);
    if (n) {
        vm_open(&f, 1);
        CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], QY_PAGE_BYTES, QY_USER_END), QY_OK);
    }
}

/* Writes to pages of a table that is a copy already. */
static void breaks(unsigned long n)
{
    struct qy_fault fault;
    faults(1024);
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], QY_PAGE_BYTES, QY_USER_END), QY_OK);
    for (unsigned long i = 0; i < 1024; i += 512)
        CHECK_EQ(qy_space_fault(&f.space[1], AT + i * QY_PAGE_BYTES, QY_ACCESS_WRITE, &fault),
                 QY_OK);
    for (unsigned long i = 1; i <= n; i++)
        CHECK_EQ(qy_space_fault(&f.space[1], AT + (i + i / 512) * QY_PAGE_BYTES, QY_ACCESS_WRITE,
                                &fault),
                 QY_OK);
}

/* The first writes after a clone: each table of 512 pages becomes the clone's own. */
static void table_copies(unsigned long n)
{
    struct qy_fault fault;
    faults(4096);
    vm_open(&f, 1);
    CHECK_EQ(qy_space_clone(&f.space[1], &f.space[0], QY_PAGE_BYTES, QY_USER_END), QY_OK);
    for (unsigned long i = 0; i < n; i++)
        CHECK_EQ(qy_space_fault(&f.space[1], AT + i * TABLE, QY_ACCESS_WRITE, &fault), QY_OK);
}

static void reserves(unsigned long n)
{
    for (unsigned long i = 0; i < n; i++) {
        CHECK_EQ(vm_map(&f, 0, 1ull << 40, 1ull << 40, RW), QY_OK);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], 1ull << 40, 1ull << 40), QY_OK);
    }
}

static void reserves_small(unsigned long n)
{
    for (unsigned long i = 0; i < n; i++) {
        CHECK_EQ(vm_map(&f, 0, 1ull << 40, 1ull << 20, RW), QY_OK);
        CHECK_EQ(qy_space_unmap_region(&f.space[0], 1ull << 40, 1ull << 20), QY_OK);
    }
}

static void spaces(unsigned long n)
{
    for (unsigned long i = 0; i < n; i++) {
        vm_open(&f, 1);
        end(1);
    }
}

/* 4 KiB, as the compiler does it in the core, too. */
static void zeroes(unsigned long n)
{
    unsigned char *page = qy_port_ram(paddr(0x100000));
    for (unsigned long i = 0; i < n; i++) {
        memset(page, 0, QY_PAGE_BYTES);
        __asm__ volatile("" ::: "memory");
    }
}

static struct qy_object object;

/* Pages of an object. */
static void object_pages(unsigned long n)
{
    pfn_t frame;
    CHECK_EQ(qy_object_init(&object, &f.vm, &f.budget[0], 10000), QY_OK);
    for (uint64_t i = 0; i < n; i++) {
        CHECK_EQ(qy_object_frame(&object, true, &frame), QY_OK);
        CHECK_EQ(qy_object_put(&object, i, frame), QY_OK);
    }
}

/* They are touched in a region. */
static void object_faults(unsigned long n)
{
    uint64_t at = AT;
    struct qy_fault fault;
    struct qy_mark mark = {.kind = QY_MARK_OBJECT, .rights = RW, .max = RW, .shared = true};
    object_pages(n);
    CHECK_EQ(qy_space_bind(&f.space[0], &object, VM_OBJECT, &mark.binding), QY_OK);
    CHECK_EQ(qy_space_map_region(&f.space[0], &at, 18 * TABLE, &mark), QY_OK);
    for (uint64_t i = 0; i < n; i++) {
        at = AT + i * QY_PAGE_BYTES;
        CHECK_EQ(qy_space_fault(&f.space[0], at, QY_ACCESS_WRITE, &fault), QY_OK);
    }
}

/* And taken away. */
static void object_discards(unsigned long n)
{
    object_faults(n);
    qy_object_discard(&object, 0, n);
}

static void copies(unsigned long n)
{
    unsigned char *page = qy_port_ram(paddr(0x100000));
    for (unsigned long i = 0; i < n; i++) {
        memcpy(page, page + QY_PAGE_BYTES, QY_PAGE_BYTES);
        __asm__ volatile("" ::: "memory");
    }
}

static const struct row {
    const char *name;
    void (*run)(unsigned long n);
    unsigned long few, many;
    double aim, limit;
    void (*less)(unsigned long n); /* taken off: what else such a run does for each */
} rows[] = {
    {"zero 4 KiB", zeroes, 100, 1100, 0, 0, NULL},
    {"copy 4 KiB", copies, 100, 1100, 0, 0, NULL},
    {"anonymous fault, zeroing apart", faults, 1024, 9216, 450, 620, zeroes},
    {"copy-on-write fault, copying apart", breaks, 100, 900, 700, 1150, copies},
    {"unmap, per page of 8192", unmaps, 1024, 9216, 40, 140, faults},
    {"protect, per page of 8192", protects, 1024, 9216, 40, 75, faults},
    {"clone 16 MiB populated, the first", clone_first, 0, 1, 20000, 150000, NULL},
    {"clone 16 MiB again, and destroy", clones, 2, 22, 0, 170000, NULL},
    {"reserve and unmap 1 TiB", reserves, 10, 110, 0, 4500, NULL},
    {"reserve and unmap 1 MiB", reserves_small, 10, 110, 0, 11000, NULL},
    {"create and destroy a space", spaces, 10, 110, 0, 14000, NULL},
    {"a page of an object, zeroing apart", object_pages, 1024, 9216, 0, 900, zeroes},
    {"fault on an object's page", object_faults, 1024, 9216, 0, 1600, object_pages},
    {"fault on it, and discard", object_discards, 1024, 9216, 0, 2800, object_pages},
    {"first write to 512 shared pages", table_copies, 0, 8, 0, 160000, NULL},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static int run_one(unsigned long row, unsigned long n)
{
    vm_make(&f, &vm_formats[0], 14000);
    f.no_tlb = true;
    vm_open(&f, 0);
    (row < ROWS ? rows[row].run : nothing)(n);
    return tap_failures != 0;
}

static void table(void)
{
    COUNT_OR_SKIP();
    double each[ROWS];
    for (unsigned long i = 0; i < ROWS; i++) {
        unsigned long few = counted(i, rows[i].few), many = counted(i, rows[i].many);
        CHECK(few != 0 && many > few);
        each[i] = (double)(many - few) / (double)(rows[i].many - rows[i].few);
        double less = 0;
        for (unsigned long j = 0; j < i; j++)
            if (rows[i].less == rows[j].run)
                less = j < 2 ? each[j] : each[j] + each[0];
        each[i] -= less;
        printf("# %-36s %9.0f", rows[i].name, each[i]);
        printf(rows[i].aim > 0 ? "   aim %.0f\n" : "\n", rows[i].aim);
        CHECK(rows[i].limit == 0 || each[i] <= rows[i].limit);
    }
    CHECK(each[8] <= 2 * each[9]); /* a terabyte is no dearer than a megabyte */
}

static const struct test tests[] = {{"instructions of each operation", table}};

int main(int count, char **words)
{
    if (count == 3)
        return run_one(strtoul(words[1], NULL, 10), strtoul(words[2], NULL, 10));
    counted_program = words[0];
    return tap_run(tests, 1);
}
