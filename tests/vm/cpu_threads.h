/*
 * Threads that each play a CPU on one fixture: how they touch pages, and how a flush waits for them.
 *
 * A flush waits until every CPU has left the access that it is in, as a shootdown does; an access walks the tables anew. So a
 * page or a table that is given up too early is written by its next owner while somebody is in it: ThreadSanitizer sees that,
 * and so does the tag, which every word that is written carries: the address of its page. TEST_OPS=n changes the length.
 */
#ifndef TESTS_VM_CPU_THREADS_H
#define TESTS_VM_CPU_THREADS_H

#include "fixture.h"

#include <lib/random.h>
#include <pthread.h>
#include <qy/swap.h>
#include <stdatomic.h>

#define CPUS 4u
#define SLOTS 256u /* of each CPU */

static struct vm_fixture f;
static struct qy_swap swap;
static uint8_t store[CPUS * SLOTS][QY_PAGE_BYTES]; /* what is in slots */
static _Alignas(64) struct {
    _Alignas(64) atomic_uint inside;
} cpu_state[CPUS];
static atomic_uint failures, joined, restored; /* pages of objects that came; pages that returned */
static uint64_t ops;

static void fail(const char *what, uint64_t number)
{
    if (atomic_fetch_add(&failures, 1) < 5)
        printf("# %s: %#llx\n", what, (unsigned long long)number);
}

/* Nobody is in an access that began before. */
static void wait_for_all(void *context, struct qy_space *space, vaddr_t start, uint64_t end,
                         unsigned level)
{
    (void)context, (void)space, (void)start, (void)end, (void)level;
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < CPUS; i++) {
        unsigned now = atomic_load(&cpu_state[i].inside);
        while (i != qy_port_cpu() && now % 2 && atomic_load(&cpu_state[i].inside) == now)
            qy_port_relax();
    }
}

/* One access: a word of the page, by CPU. False: it faults. */
static bool access_once(struct qy_space *space, uint64_t page, unsigned cpu, bool write,
                        uint64_t *value)
{
    atomic_fetch_add(&cpu_state[cpu].inside, 1);
    struct qy_pt pt = {space->format, space->root};
    struct qy_pt_walk walk = qy_pt_walk(&pt, vaddr(page));
    bool ok = walk.leaf && (!write || qy_pt_has(space->format, walk.entry, QY_PT_BIT_WRITE));
    if (ok) {
        uint64_t in = page & (qy_pt_page_bytes(walk.level) - 1);
        paddr_t first = qy_pt_entry_address(space->format, walk.entry);
        _Atomic uint64_t *at = qy_port_ram(paddr(first.raw + in));
        if (write)
            atomic_store_explicit(&at[cpu * 8], *value, memory_order_relaxed);
        else
            *value = atomic_load_explicit(&at[cpu * 8], memory_order_relaxed);
    }
    atomic_fetch_add(&cpu_state[cpu].inside, 1);
    return ok;
}

static enum qy_error touch(struct qy_space *space, uint64_t page, unsigned cpu, bool write,
                           uint64_t *value)
{
    struct qy_fault fault = {0};
    for (unsigned i = 0; i < 10000; i++) {
        if (access_once(space, page, cpu, write, value))
            return QY_OK;
        enum qy_error error =
            qy_space_fault(space, page, write ? QY_ACCESS_WRITE : QY_ACCESS_READ, &fault);
        if (error == QY_WOULD_WAIT && fault.mark.kind == QY_MARK_SWAPPED) {
            unsigned filled;
            error = qy_swap_restore(&swap, fault.mark.offset, store[fault.mark.offset], &filled);
            atomic_fetch_add_explicit(&restored, filled, memory_order_relaxed);
        }
        if (error != QY_OK)
            return error;
        if (fault.mark.kind == QY_MARK_OBJECT)
            atomic_fetch_add_explicit(&joined, 1, memory_order_relaxed);
    }
    fail("it faults for ever", page);
    return QY_BUSY;
}

/* A fixture of that format with so many frames, whose flushes wait, and an area of slots. */
static void cpu_threads_make(unsigned kind, uint64_t frames, uint64_t operations)
{
    const char *text = getenv("TEST_OPS");
    ops = text ? strtoull(text, NULL, 0) : operations;
    vm_make(&f, &vm_formats[kind], frames);
    f.no_tlb = true;
    f.vm.flush = wait_for_all;
    vm_open(&f, 0);
    qy_swap_init(&swap, &f.vm, &f.foreign_budget, VM_OBJECT + 1);
    CHECK_EQ(qy_swap_reserve(&swap, 0, CPUS * SLOTS), QY_OK);
}

/* body(CPU) on each of them, to the end. */
static void cpu_threads_run(void *(*body)(void *cpu))
{
    pthread_t threads[CPUS];
    for (uintptr_t i = 0; i < CPUS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, body, (void *)i), 0);
    for (unsigned i = 0; i < CPUS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    hosted_cpu_set(0);
    CHECK_EQ(atomic_load(&failures), 0);
}

#endif
