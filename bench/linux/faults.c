/*
 * Faults that a program resolves: by a signal handler of the thread that faults, and by another thread over userfaultfd.
 *
 * fault_round_trip: nothing is mapped, the instruction faults again. fault_mapped_round_trip: a page of a file that
 * is in memory is mapped, and the thread goes on to the next.
 */
#define _GNU_SOURCE
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 201u

static int file; /* of PAGES pages, all in memory */
static volatile unsigned turns;
static volatile uint64_t first, last;

static void *at(uint64_t page)
{
    return (void *)(BENCH_AT + page * PAGE_BYTES);
}

static void touch_all(void)
{
    for (unsigned i = 0; i < PAGES; i++)
        *(volatile uint64_t *)at(i) = 1;
}

/* ---- SIGSEGV ---- */

static void handle_again(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    if (turns++ == 0)
        first = clock_ticks();
    last = clock_ticks();
    if (turns > BENCH_COUNT)
        MUST(mprotect(at(0), PAGE_BYTES, RW) == 0);
}

static void handle_map(int signal, siginfo_t *info, void *context)
{
    uint64_t page = ((uint64_t)info->si_addr - BENCH_AT) / PAGE_BYTES;

    (void)signal, (void)context;
    MUST(page < PAGES);
    MUST(mmap(at(page), PAGE_BYTES, RW, MAP_SHARED | MAP_FIXED | MAP_POPULATE, file,
              (off_t)(page * PAGE_BYTES)) == at(page));
}

static void handle(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    MUST(sigaction(SIGSEGV, &action, NULL) == 0);
}

static void by_signal(void)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

    MUST(mmap(at(0), PAGES * PAGE_BYTES, PROT_NONE, flags, -1, 0) == at(0));
    handle(handle_again);
    *(volatile uint64_t *)at(0) = 1;
    bench_row_of(last - first, 0, BENCH_COUNT, "fault_round_trip.sigsegv");

    MUST(mmap(at(0), PAGES * PAGE_BYTES, PROT_NONE, flags, -1, 0) == at(0));
    handle(handle_map);
    *(volatile uint64_t *)at(0) = 1;
    uint64_t start = clock_ticks();
    touch_all();
    bench_row_of(clock_ticks() - start, 0, PAGES - 1, "fault_mapped_round_trip.sigsegv");
    MUST(signal(SIGSEGV, SIG_DFL) != SIG_ERR && munmap(at(0), PAGES * PAGE_BYTES) == 0);
}

/* ---- userfaultfd ---- */

static int fault_open(void)
{
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_MINOR_SHMEM};
    int faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

    MUST(faults >= 0 && ioctl(faults, UFFDIO_API, &api) == 0);
    MUST(mmap(at(0), PAGES * PAGE_BYTES, RW, MAP_SHARED | MAP_FIXED, file, 0) == at(0));
    struct uffdio_register range = {.range = {BENCH_AT, PAGES * PAGE_BYTES},
                                    .mode = UFFDIO_REGISTER_MODE_MINOR};
    MUST(ioctl(faults, UFFDIO_REGISTER, &range) == 0);
    return faults;
}

static uint64_t hear(int faults)
{
    struct uffd_msg message;

    MUST(read(faults, &message, sizeof(message)) == (ssize_t)sizeof(message));
    MUST(message.event == UFFD_EVENT_PAGEFAULT);
    return message.arg.pagefault.address & ~(PAGE_BYTES - 1);
}

static void supply(int faults, uint64_t address)
{
    struct uffdio_continue page = {.range = {address, PAGE_BYTES}};
    MUST(ioctl(faults, UFFDIO_CONTINUE, &page) == 0);
}

static void *toucher(void *argument)
{
    (void)argument;
    touch_all();
    return NULL;
}

static void by_descriptor(bool maps, const char *name)
{
    const unsigned count = maps ? PAGES - 1 : BENCH_COUNT;
    int faults = fault_open();
    pthread_t thread;

    MUST(pthread_create(&thread, NULL, toucher, NULL) == 0);
    uint64_t address = hear(faults), start = clock_ticks();
    for (unsigned i = 0; i < count; i++) {
        struct uffdio_range range = {address, PAGE_BYTES};
        if (maps)
            supply(faults, address);
        else
            MUST(ioctl(faults, UFFDIO_WAKE, &range) == 0);
        address = hear(faults);
    }
    bench_row_of(clock_ticks() - start, 0, count, "%s.userfaultfd", name);
    for (; address < BENCH_AT + PAGES * PAGE_BYTES; address += PAGE_BYTES) {
        supply(faults, address);
        if (address + PAGE_BYTES < BENCH_AT + PAGES * PAGE_BYTES)
            MUST(hear(faults) == address + PAGE_BYTES);
    }
    MUST(pthread_join(thread, NULL) == 0 && close(faults) == 0);
    MUST(munmap(at(0), PAGES * PAGE_BYTES) == 0);
}

void bench_faults(void)
{
    static const char zeroes[PAGE_BYTES];

    file = memfd_create("pages", 0);
    MUST(file >= 0);
    for (unsigned i = 0; i < PAGES; i++)
        MUST(write(file, zeroes, sizeof(zeroes)) == (ssize_t)sizeof(zeroes));
    by_signal();
    by_descriptor(false, "fault_round_trip");
    by_descriptor(true, "fault_mapped_round_trip");
    MUST(close(file) == 0);
}
