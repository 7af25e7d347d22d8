/*
 * A client of the swapper that means no good: it says everything that can be said, with every kind of capability, and takes
 * back what it gave in the middle. The swapper answers each with an error, and serves whoever asks properly.
 *
 *     hostile      ends with code 0 if every wrong request was refused, and a right one works afterwards
 */
#include "../swap/service.h"

#include <user/print.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>
#include <user/thread.h>

#define LABELS 16u
#define PAGES 512u
#define NOWHERE 0x10ull /* never mapped */

static unsigned requests, accepted;

/* Requests that only a manager may make, that do not exist, or that have another type of capability, or none. */
static void say_everything(const qy_handle_t *capabilities, unsigned count, qy_handle_t space,
                           qy_handle_t untyped, qy_handle_t notification)
{
    static const uint64_t words[] = {0, 1, 7, 15, 16, 1ull << 31, 1ull << 62, ~0ull};
    for (unsigned label = 0; label < LABELS; label++)
        for (unsigned i = 0; i < count; i++)
            for (unsigned j = 0; j < sizeof(words) / sizeof(words[0]); j++) {
                const qy_handle_t with = capabilities[i];
                bool right = (label == SWAP_SPACE && with == space) ||
                             (label == SWAP_BUDGET && with == untyped) ||
                             (label == SWAP_PAGER && with == notification) ||
                             label == SWAP_RECLAIM || label == SWAP_STATE;
                enum qy_error error =
                    swap_call(PROGRAM_SWAP, (enum swap_request)label, words[j], words[(j + i) % 8],
                              words[(j + label) % 8], with, NULL);
                requests++;
                accepted += error == QY_OK && !right;
            }
}

/* A space and its budget are given, and taken back while the swapper uses them. */
static bool take_back(void)
{
    for (unsigned turn = 0; turn < 8; turn++) {
        qy_handle_t budget, space;
        if (slot_make(QY_SLOT_UNTYPED, QY_OBJ_UNTYPED, PAGES / 4, &budget) != QY_OK ||
            slot_make(budget, QY_OBJ_ADDRESS_SPACE, 1, &space) != QY_OK ||
            space_bind(space, budget) != QY_OK ||
            swap_join(PROGRAM_SWAP, space, budget, PAGES / 16, PAGES / 8) != QY_OK)
            return false;
        if (turn % 2 && cap_revoke(budget) != QY_OK)
            return false;
        (void)!swap_reclaim(PROGRAM_SWAP, 64);
        if (turn % 2)
            slot_forget(space);
        else
            slot_delete(space);
        slot_delete(budget);
    }
    return true;
}

/* More spaces than there is room for; then they go, and there is room again. */
static bool crowd(void)
{
    qy_handle_t spaces[64];
    unsigned given = 0, made = 0;
    for (; made < 64 && slot_make(QY_SLOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1, &spaces[made]) == QY_OK;
         made++)
        given += swap_call(PROGRAM_SWAP, SWAP_SPACE, 0, 0, 0, spaces[made], NULL) == QY_OK;
    for (unsigned i = 0; i < made; i++) {
        if (cap_revoke(spaces[i]) != QY_OK)
            return false;
        slot_delete(spaces[i]);
    }
    return given && given < made;
}

static uint64_t touch_nothing(void *argument)
{
    *(volatile uint64_t *)argument = 1;
    return 0;
}

/* The swapper is named as the handler of a thread that faults: the thread ends, and the swapper goes on. */
static bool fault_at_it(void)
{
    static struct thread thread;
    struct thread_status status;
    if (thread_create(&thread, touch_nothing, (void *)NOWHERE, QY_CPU_ANY, PROGRAM_SWAP, 0) !=
        QY_OK)
        return false;
    while (thread_info(thread.handle, &status) == QY_OK && status.state != QY_THREAD_DEAD)
        yield();
    return status.state == QY_THREAD_DEAD;
}

/* What was filled is what is read, though it has been away. */
static bool still_served(void)
{
    uint64_t at = 0;
    if (space_map_region(QY_SLOT_SPACE, &at, PAGES * PAGE_BYTES, QY_MAP_READ | QY_MAP_WRITE, 0) !=
        QY_OK)
        return false;
    for (uint64_t page = 0; page < PAGES; page++)
        *(volatile uint64_t *)(uintptr_t)(at + page * PAGE_BYTES) = page * 0x9e3779b97f4a7c15ull;
    bool right = swap_reclaim(PROGRAM_SWAP, PAGES);
    for (uint64_t page = 0; page < PAGES; page++)
        right &= *(volatile uint64_t *)(uintptr_t)(at + page * PAGE_BYTES) ==
                 page * 0x9e3779b97f4a7c15ull;
    return right;
}

int main(int argc, char *argv[])
{
    struct cap_state cap;
    qy_handle_t space, untyped, notification, endpoint, frame;
    (void)argc, (void)argv;
    if (cap_info(QY_SLOT_NODE, PROGRAM_SWAP, &cap) != QY_OK) {
        print("hostile: there is no swapper\n");
        return 1;
    }
    if (slot_make(QY_SLOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1, &space) != QY_OK ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_UNTYPED, 64, &untyped) != QY_OK ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_NOTIFICATION, 1, &notification) != QY_OK ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &endpoint) != QY_OK ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_FRAME, 1, &frame) != QY_OK)
        return 2;
    const qy_handle_t capabilities[] = {0,        space, untyped,       notification,
                                        endpoint, frame, QY_SLOT_THREAD};
    say_everything(capabilities, sizeof(capabilities) / sizeof(capabilities[0]), space, untyped,
                   notification);
    print("hostile: %u requests, %u of them wrong and not refused\n", requests, accepted);
    bool room = crowd(), back = take_back(), ended = fault_at_it();
    uint64_t word = 0;
    (void)!notification_poll(notification, &word);
    bool served = still_served(), asked = notification_poll(notification, &word) == QY_OK;
    print("hostile: a crowd of spaces: %s; given and taken back: %s; served after that: %s\n",
          room ? "refused in the end" : "NOT REFUSED", back ? "yes" : "NO", served ? "yes" : "NO");
    print("hostile: a thread whose faults go to the swapper: %s\n", ended ? "ended" : "NOT ENDED");
    print("hostile: its pager was asked before pages went: %s\n", asked ? "yes" : "NO");
    return !accepted && room && back && ended && served && asked ? 0 : 3;
}
