/*
 * Shared memory that is taken back while two processes map it: one may read it, one may write to it.
 *
 *     loan --retype--> memory object --(READ)--> "lent reads"           maps it r--, never rw-
 *                                    +--(READ, WRITE)--> "lent writes"  maps it rw-: both see one memory
 *     revoke of the loan: the object goes, whoever touches it faults, "revoked"; the loan is one free whole
 *
 *     frame --copy--> loan --(READ) ..., (READ, WRITE) ...
 *     revoke of the loan: the same, and the frame with its bytes stays its owner's
 *
 * An object before anybody has touched a page, while its pages are mapped, and while both run on it on other CPUs; then
 * the frame.
 */
#include <lib/string.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

#define PAGES 64u
#define WORDS (PAGE_BYTES / sizeof(uint64_t))
#define LOAN_PAGES 128u
#define PLACE 0x500000000000ull
#define RW (QY_MAP_READ | QY_MAP_WRITE)
#define SAYS_READY 1u

enum holder { READS, WRITES, HOLDERS };
enum way { UNTOUCHED, TOUCHED, RUNNING, FRAME, WAYS };

static const char *const names[HOLDERS] = {"reads", "writes"};
static const char *const words_of[WAYS] = {
    "an object that nobody has touched", "an object that both have mapped",
    "an object that both run on", "a frame, which stays with its bytes"};
static const char *const ways[WAYS] = {"untouched", "touched", "running", "frame"};

static struct tables tables; /* that mapping a frame took */

/* All of it, from an address of its own on: an object, or a frame. */
static enum qy_error map(qy_handle_t shared, bool frame, unsigned rights)
{
    uint64_t at = PLACE;

    return frame ? space_map_frame(QY_SLOT_UNTYPED, QY_SLOT_SPACE, shared, at, rights, &tables)
                 : space_map_object(QY_SLOT_SPACE, &at, PAGES * PAGE_BYTES,
                                    rights | QY_REGION(QY_REGION_MAPPED), shared, 0);
}

static volatile uint64_t *const words = (volatile uint64_t *)PLACE;

/* A holder: what it has done is told; then it goes on with the memory until that is taken away. */
static int hold(bool writes, const char *way)
{
    const bool frame = strcmp(way, ways[FRAME]) == 0;
    struct message answer;

    if (map(PROGRAM_GIVEN(0), frame, RW) != (writes ? QY_OK : QY_NO_RIGHTS) ||
        (!writes && map(PROGRAM_GIVEN(0), frame, QY_MAP_READ) != QY_OK))
        return 1;
    for (unsigned i = 0; strcmp(way, ways[UNTOUCHED]) != 0 && i < PAGES; i++) {
        if (writes)
            words[i * WORDS] = i + 1;
        else if (words[i * WORDS])
            return 2;
    }
    if (strcmp(way, ways[RUNNING]) == 0) {
        if (endpoint_send(PROGRAM_PARENT, SAYS_READY, 0, 0, 0) != QY_OK)
            return 3;
        for (;;)
            if (writes)
                words[1] = words[1] + 1;
            else
                (void)words[1];
    }
    if (endpoint_call(PROGRAM_PARENT, SAYS_READY, 0, 0, 0, &answer) != QY_OK)
        return 4;
    return writes ? (int)(words[WORDS] = 0)
                  : (int)words[WORDS]; /* not reached: it was taken back */
}

static enum qy_error start(struct process *process, enum holder holder, enum way way,
                           qy_handle_t shared, qy_handle_t endpoint)
{
    const char *const argv[] = {"lent", names[holder], ways[way], NULL};
    const unsigned rights = QY_RIGHT_READ | (holder == WRITES ? QY_RIGHT_WRITE : 0);
    const char *why;
    enum qy_error error = process_spawn(argv, 256, endpoint, holder + 1, process, &why);

    if (error == QY_OK)
        error = process_give(process, 0, shared, rights, 0);
    return error == QY_OK ? process_start(process, (holder + 1) % program->cpus) : error;
}

/* A touch of the pages that were taken back: a message that says so. */
static bool is_told(const struct process_event *event, enum holder holder)
{
    return event->news == PROCESS_FAULTED && event->number == holder + 1u &&
           event->fault.mark == QY_FOUND_REVOKED &&
           (holder == WRITES || event->fault.access == QY_ACCESS_READ);
}

/* Both begin; each says that it holds it. */
static bool lend(struct process processes[HOLDERS], qy_handle_t reply[HOLDERS], qy_handle_t shared,
                 qy_handle_t endpoint, enum way way)
{
    struct process_event event;
    bool ok = true;

    for (unsigned i = 0; ok && i < HOLDERS; i++)
        ok = slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &reply[i]) == QY_OK &&
             start(&processes[i], (enum holder)i, way, shared, endpoint) == QY_OK &&
             process_wait(endpoint, reply[i], &event) == QY_OK && event.news == PROCESS_SAID;
    return ok;
}

/* The loan is taken back: both are told, and end. */
static bool take_back(struct process processes[HOLDERS], const qy_handle_t reply[HOLDERS],
                      qy_handle_t loan, qy_handle_t endpoint, enum way way)
{
    struct process_event event;
    bool told[HOLDERS] = {false}, ok = cap_revoke(loan) == QY_OK;

    for (unsigned i = 0; ok && i < HOLDERS && way != RUNNING; i++)
        ok = reply_send(reply[i], 0, 0, 0, 0) == QY_OK;
    for (unsigned i = 0; ok && i < HOLDERS; i++) {
        ok = process_wait(endpoint, 0, &event) == QY_OK && event.number - 1 < HOLDERS &&
             is_told(&event, (enum holder)(event.number - 1));
        if (ok)
            told[event.number - 1] = true;
    }
    for (unsigned i = 0; i < HOLDERS; i++) {
        ok &= process_destroy(&processes[i]) == QY_OK && told[i];
        slot_delete(reply[i]);
    }
    return ok;
}

static bool run(enum way way, qy_handle_t endpoint)
{
    static struct process processes[HOLDERS];
    struct untyped_state state = {0};
    qy_handle_t reply[HOLDERS] = {0}, source, loan, shared;
    struct call_result copy = {0};
    bool ok;

    if (way == FRAME) {
        ok = slot_make(QY_SLOT_UNTYPED, QY_OBJ_FRAME, PAGES, &source) == QY_OK;
        copy = cap_copy(QY_SLOT_NODE, slot_take(), source, QY_RIGHT_ALL, 0);
        loan = shared = copy.value[1];
        ok = ok && copy.error == QY_OK;
    } else {
        ok = slot_make(QY_SLOT_UNTYPED, QY_OBJ_UNTYPED, LOAN_PAGES, &source) == QY_OK &&
             slot_make(source, QY_OBJ_MEMORY, PAGES, &shared) == QY_OK;
        loan = source;
    }
    ok = ok && lend(processes, reply, shared, endpoint, way) &&
         take_back(processes, reply, loan, endpoint, way);
    if (ok && way == FRAME) { /* what the writer wrote is there */
        ok = map(source, true, QY_MAP_READ) == QY_OK;
        for (unsigned i = 0; ok && i < PAGES; i++)
            ok = words[i * WORDS] == i + 1;
        ok = ok && frame_unmap(source, QY_SLOT_SPACE, PLACE) == QY_OK;
        tables_delete(&tables);
        slot_delete(loan);
    } else if (ok) {
        ok = untyped_info(loan, &state) == QY_OK && state.free_bytes == state.total_bytes;
        slot_forget(shared);
    }
    slot_delete(source);
    print("lent: a reader and a writer of %s: %s\n", words_of[way],
          ok ? "taken back, both are told: revoked" : "NOT so");
    return ok;
}

int main(int argc, char *argv[])
{
    struct untyped_state before, after;
    qy_handle_t endpoint;

    if (argc > 2)
        return hold(strcmp(argv[1], names[WRITES]) == 0, argv[2]);
    if (slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &endpoint) != QY_OK ||
        untyped_info(QY_SLOT_UNTYPED, &before) != QY_OK)
        return 10;
    for (unsigned way = 0; way < WAYS; way++)
        if (!run((enum way)way, endpoint))
            return 11;
    bool same = untyped_info(QY_SLOT_UNTYPED, &after) == QY_OK && after.objects == before.objects;
    print("lent: %s\n", same ? "no object is left" : "objects are LEFT");
    return same ? 0 : 12;
}
