/*
 * Delegate and revoke: memory is lent to another process, which does with it what it likes; one call takes it back.
 *
 *     budget --> loan --(a copy without GRANT)--> the other: retypes pages out of it, maps them, writes
 *                 |
 *                 revoke: the pages are mapped nowhere, their capabilities name nothing, the loan is one free whole
 *
 * The other process then touches a page that it had: that is a fault, never zeroes or somebody else's data.
 */
#include <lib/string.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

#define LOAN_PAGES 64u
#define BORROWED_PAGES 16u
#define PLACE 0x500000000000ull
#define SAYS_READY 1u

/* The other process: borrow, use, say so; then go on using it. */
static int borrow(void)
{
    volatile uint64_t *word = (volatile uint64_t *)PLACE;
    struct message reply;
    struct tables tables;
    qy_handle_t frame;

    if (slot_make(PROGRAM_GIVEN(0), QY_OBJ_FRAME, BORROWED_PAGES, &frame) != QY_OK ||
        space_map_frame(QY_SLOT_UNTYPED, QY_SLOT_SPACE, frame, PLACE, QY_MAP_READ | QY_MAP_WRITE,
                        &tables) != QY_OK)
        return 1;
    *word = 42;
    if (cap_revoke(PROGRAM_GIVEN(0)) != QY_NO_RIGHTS) /* what is lent is not its to take apart */
        return 2;
    if (endpoint_call(PROGRAM_PARENT, SAYS_READY, *word, 0, 0, &reply) != QY_OK)
        return 3;
    return (int)*word; /* not reached: the page has gone */
}

/* Lend, hear that it is in use, take back, hear what came of that. */
static enum qy_error lend(struct process *other, qy_handle_t loan, qy_handle_t endpoint,
                          qy_handle_t reply, struct process_event *event)
{
    struct untyped_state state = {0};
    enum qy_error error = process_give(other, 0, loan, QY_RIGHT_READ | QY_RIGHT_WRITE, 0);

    if (error == QY_OK)
        error = process_start(other, QY_CPU_ANY);
    if (error == QY_OK)
        error = process_wait(endpoint, reply, event);
    if (error != QY_OK || event->news != PROCESS_SAID || untyped_info(loan, &state) != QY_OK)
        return error;
    print("revoke: the other process wrote %llu; %S of the loan of %S are free\n",
          (unsigned long long)event->message.word[0], state.free_bytes, state.total_bytes);
    error = cap_revoke(loan);
    if (error == QY_OK)
        error = untyped_info(loan, &state);
    print("revoke: taken back: %S of %S are free, largest block 2^%llu pages\n", state.free_bytes,
          state.total_bytes, (unsigned long long)state.largest_order);
    if (error == QY_OK)
        error = reply_send(reply, 0, 0, 0, 0);
    return error == QY_OK ? process_wait(endpoint, reply, event) : error;
}

int main(int argc, char *argv[])
{
    static const char *const other_argv[] = {"revoke", "borrow", NULL};
    struct process_event event = {0};
    struct process other;
    qy_handle_t loan, endpoint, reply;
    const char *why;

    if (argc > 1 && strcmp(argv[1], "borrow") == 0)
        return borrow();
    if (slot_make(QY_SLOT_UNTYPED, QY_OBJ_UNTYPED, LOAN_PAGES, &loan) != QY_OK ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &endpoint) != QY_OK ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &reply) != QY_OK ||
        process_spawn(other_argv, 256, endpoint, 1, &other, &why) != QY_OK)
        return 3;
    enum qy_error error = lend(&other, loan, endpoint, reply, &event);
    bool heard = error == QY_OK && event.news == PROCESS_FAULTED && event.fault.address == PLACE &&
                 event.fault.mark == QY_FOUND_REVOKED;
    print("revoke: the other process touched the page again: %s\n",
          heard ? "a fault" : "NOT a fault");
    return process_destroy(&other) == QY_OK && heard ? 0 : 4;
}
