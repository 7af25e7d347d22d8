/*
 * A pager: another process runs in memory that this one supplies, page by page, as it is touched.
 *
 *     the other                  kernel                      this process
 *     touches AREA + n      ->   no page: message       ->   process_wait: FAULTED
 *                                                            inside the area, and within its budget?
 *     goes on               <-   mapped, resumed        <-       yes: retype a page, reply_map
 *     is ended              <-   revoked                <-       no: process_destroy
 *
 * Which addresses are good, what a page holds, and who may have how many: all of it is decided here. user/pager/ is
 * the one for real use.
 */
#include <lib/string.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

#define AREA 0x500000000000ull
#define AREA_PAGES 1024u
#define MOST_PAGES 64u /* that one process gets */

/* What is known of the process that is served. */
struct served {
    struct process process;
    qy_handle_t endpoint, reply;
    unsigned pages;
};

/* The other process: write to so many pages, in a scattered order, and read them back. */
static int touch(unsigned pages)
{
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < pages; i++) {
            volatile uint64_t *word =
                (volatile uint64_t *)(AREA + i * 37ull % AREA_PAGES * PAGE_BYTES);
            if (pass == 0 && *word != 0)
                return 1; /* not a page of zeroes */
            if (pass == 1 && *word != i + 1)
                return 2; /* not what was written */
            *word = i + 1;
        }
    return 0;
}

/* One page for the fault, and the tables that lead to it; all of it the process's own to pay. */
static enum qy_error supply(struct served *served, const struct fault *fault)
{
    qy_handle_t budget = served->process.budget, frame, table;
    enum qy_error error = slot_make(budget, QY_OBJ_FRAME, 1, &frame);

    while (error == QY_OK) {
        struct call_result r = reply_map(served->reply, frame, QY_MAP_READ | QY_MAP_WRITE);
        if (r.error == QY_BUSY)
            continue;
        if (r.error != QY_MISSING_TABLE)
            return r.error;
        error = slot_make(budget, QY_OBJ_PAGE_TABLE, 1, &table);
        if (error == QY_OK)
            error = table_map(table, served->process.space, fault->address, r.value[1]).error;
    }
    return error;
}

/* The policy. False: the process is not to go on. */
static bool serve(struct served *served, const struct fault *fault)
{
    bool good = fault->mark == QY_FOUND_NOTHING && fault->address >= AREA &&
                fault->address < AREA + AREA_PAGES * PAGE_BYTES;

    if (!good) {
        print("pager: no memory is meant to be at %R\n", fault->address);
        return false;
    }
    if (served->pages == MOST_PAGES) {
        print("pager: it has its %u pages and wants another: ended\n", MOST_PAGES);
        return false;
    }
    if (supply(served, fault) != QY_OK)
        return false;
    served->pages++;
    return true;
}

/* Run "pager touch PAGES" until it ends or is ended. Its code, or -1. */
static int run(const char *pages)
{
    const char *const argv[] = {"pager", "touch", pages, NULL};
    struct served served = {0};
    struct process_event event = {.news = PROCESS_FAULTED};
    const char *why;

    if (slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &served.endpoint) != QY_OK ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &served.reply) != QY_OK ||
        process_spawn(argv, 512, served.endpoint, 1, &served.process, &why) != QY_OK ||
        process_start(&served.process, QY_CPU_ANY) != QY_OK)
        return -1;
    do
        if (process_wait(served.endpoint, served.reply, &event) != QY_OK)
            return -1;
    while (event.news == PROCESS_FAULTED && serve(&served, &event.fault));
    print("pager: %u pages supplied, %s\n", served.pages,
          event.news == PROCESS_EXITED ? "it ended by itself" : "it was ended");
    if (process_destroy(&served.process) != QY_OK)
        return -1;
    return event.news == PROCESS_EXITED ? event.code : -1;
}

int main(int argc, char *argv[])
{
    if (argc > 2 && strcmp(argv[1], "touch") == 0) {
        unsigned pages = 0;
        for (const char *digit = argv[2]; *digit; digit++)
            pages = 10 * pages + (unsigned)(*digit - '0');
        return touch(pages);
    }
    /* The first stays within what it may have; the second does not. */
    return run("50") == 0 && run("100") == -1 ? 0 : 1;
}
