/*
 * The program `swapper`: the reclaimer and swapper of whoever registers. See service.h, owners.h.
 *
 * It is never swapped itself: its space is nobody's to give but its parent's, and all that it needs later it has from the
 * beginning. It calls nobody but the disk's driver, which calls nobody.
 */
#include "owners.h"

#include <lib/string.h>
#include <user/print.h>
#include <user/program.h>
#include <user/secret.h>
#include <user/slots.h>
#include <user/space.h>

#define FRAMES 0x4f0000000000ull
#define REPORT_AT (FRAMES + 3 * KEEP_CLUSTER * PAGE_BYTES)
#define BADGE_TIMER (1ull << 63)
#define BADGE_NODE (1ull << 62)
#define PATIENCE_NS 2000000ull /* that a pager has for giving memory back */
#define BATCH 64u              /* pages a turn */
#define TURNS 64u              /* until a budget has enough; then others have theirs */
#define RECLAIM_MAX 1024u

static qy_handle_t timer_bell, node_bell;

/* ---- taking pages ---- */

static bool is_scarce(const struct owner *owner)
{
    for (unsigned i = 0; i < SWAP_SPACES; i++) {
        const struct swap_space *space = &owner->swap.spaces[i];
        if (space->space && space->budget && swapper_scarce(space))
            return true;
    }
    return false;
}

/* Until its budgets have as much as they are to have. */
static void relieve(struct owner *owner)
{
    for (unsigned i = 0; i < TURNS && is_scarce(owner); i++)
        if (!swapper_reclaim(&service.swapper, &owner->swap, BATCH))
            return;
}

/* Its pager has a moment; whoever has none gives pages at once. */
static void hear_mark(unsigned number)
{
    struct owner *owner = owner_find(number);
    if (!owner || !is_scarce(owner))
        return;
    owner->told++;
    if (service.waiting >> (number - 1) & 1)
        return;
    /* The moment begins with the first who waits: nobody puts it off for the others. */
    if (owner->pager && notification_signal(owner->pager) == QY_OK &&
        (service.waiting || timer_set(service.timer, timer_bell, PATIENCE_NS, 0) == QY_OK))
        service.waiting |= 1ull << (number - 1);
    else
        relieve(owner);
}

static void hear_bell(uint64_t word)
{
    for (unsigned i = 0; i < SWAP_OWNERS; i++)
        if (word >> i & 1)
            hear_mark(i + 1);
    if (word & BADGE_NODE) {
        service.scarce++;
        for (unsigned i = 1; i <= SWAP_OWNERS; i++)
            if (owner_find(i) && owner_find(i)->pager)
                (void)!notification_signal(owner_find(i)->pager);
    }
    if (!(word & BADGE_TIMER))
        return;
    uint64_t waiting = service.waiting;
    service.waiting = 0;
    for (unsigned i = 0; i < SWAP_OWNERS; i++)
        if (waiting >> i & 1 && owner_find(i + 1))
            relieve(owner_find(i + 1));
}

/* A thread waits for a slot. If there is no place for the page, and none can be made, its owner is told that it is lost. */
static enum qy_error serve_fault(const struct message *message)
{
    struct owner *owner = owner_find(message->badge & ~SWAP_BADGE);
    uint32_t slot = (uint32_t)QY_FAULT_PAGE(message->label);
    if (owner && swapper_restore(&service.swapper, &owner->swap, slot) != SWAP_GO_ON) {
        keep_drop(&owner->swap.keep, slot);
        (void)!memory_lose(owner->swap.area, slot, 1);
    }
    return reply_send(service.reply, QY_FAULT_RESUME, 0, 0, 0);
}

/* ---- requests ---- */

/* Each returns OK if the capability that came is the owner's from now on. *result: the answer's word. */
static enum qy_error add_space(struct owner *owner, qy_handle_t came, uint64_t *result)
{
    struct space_harvest seen;
    enum qy_error error =
        came ? space_harvest(came, PAGE_BYTES, 2 * PAGE_BYTES, &seen) : QY_INVALID_HANDLE;
    if (error != QY_OK)
        return error;
    for (unsigned i = 0; i < SWAP_SPACES; i++) {
        struct swap_space *space = &owner->swap.spaces[i];
        if (space->space && space_harvest(space->space, PAGE_BYTES, 2 * PAGE_BYTES, &seen) != QY_OK)
            swapper_forget(space);
        if (space->space)
            continue;
        *space = (struct swap_space){.space = came};
        *result = i;
        return QY_OK;
    }
    return QY_TOO_MANY;
}

static enum qy_error add_budget(struct owner *owner, const struct message *message,
                                qy_handle_t came)
{
    if (message->word[0] >= SWAP_SPACES || !owner->swap.spaces[message->word[0]].space)
        return QY_INVALID_ARGUMENT;
    struct swap_space *space = &owner->swap.spaces[message->word[0]];
    enum qy_error error = came
                              ? untyped_watch(came, owner->bell, message->word[1], message->word[2])
                              : QY_INVALID_HANDLE;
    if (error != QY_OK)
        return error;
    slot_delete(space->budget);
    space->budget = came;
    space->low = message->word[1];
    space->high = message->word[2];
    return QY_OK;
}

static enum qy_error add_pager(struct owner *owner, qy_handle_t came)
{
    enum qy_error error = came ? notification_signal(came) : QY_INVALID_HANDLE;
    if (error != QY_OK)
        return error;
    slot_delete(owner->pager);
    owner->pager = came;
    return QY_OK;
}

static uint64_t reclaim(struct owner *owner, uint64_t pages)
{
    owner->asked++;
    if (owner->pager)
        (void)!notification_signal(owner->pager);
    return swapper_reclaim(&service.swapper, &owner->swap,
                           pages < RECLAIM_MAX ? pages : RECLAIM_MAX);
}

/* Of the manager. */
static enum qy_error manage(const struct message *message, qy_handle_t came)
{
    const uint64_t *word = message->word;
    const unsigned number = word[0] <= SWAP_OWNERS ? (unsigned)word[0] : 0;
    switch (message->label & ~QY_LABEL_CAPABILITY) {
    case SWAP_ADMIT:
        return came ? owner_admit(number, word[1], word[2], came) : QY_INVALID_HANDLE;
    case SWAP_DISMISS:
        return owner_dismiss(number);
    case SWAP_REPORT:
        owners_report((struct swap_report *)REPORT_AT);
        return QY_OK;
    case SWAP_WATCH:
        return came ? untyped_watch(came, node_bell, word[0], word[1]) : QY_INVALID_HANDLE;
    default:
        return QY_INVALID_ARGUMENT;
    }
}

/* result: the answer's words. *kept: the capability that came stays. */
static enum qy_error serve(const struct message *message, qy_handle_t came, uint64_t result[3],
                           bool *kept)
{
    const uint64_t label = message->label & ~QY_LABEL_CAPABILITY;
    struct owner *owner = owner_find(message->badge);
    enum qy_error error;
    if (message->badge == SWAP_MANAGER) {
        error = manage(message, came);
        *kept = error == QY_OK && (label == SWAP_ADMIT || label == SWAP_WATCH);
        return error;
    }
    if (!owner)
        return QY_NO_RIGHTS;
    switch (label) {
    case SWAP_SPACE:
        error = add_space(owner, came, result);
        break;
    case SWAP_BUDGET:
        error = add_budget(owner, message, came);
        break;
    case SWAP_PAGER:
        error = add_pager(owner, came);
        break;
    case SWAP_RECLAIM:
        result[0] = reclaim(owner, message->word[0]);
        return QY_OK;
    case SWAP_STATE:
        result[0] = owner->swap.evicted;
        result[1] = owner->swap.restored;
        result[2] = owner->asked;
        return QY_OK;
    default:
        return QY_INVALID_ARGUMENT;
    }
    *kept = error == QY_OK;
    return error;
}

/* Answer a request; the slot for capabilities is empty again, or another. */
static enum qy_error serve_request(const struct message *message, uint32_t *slot)
{
    struct cap_state came = {0};
    uint64_t result[3] = {0};
    bool kept = false;
    bool there =
        message->label & QY_LABEL_CAPABILITY && cap_info(QY_SLOT_NODE, *slot, &came) == QY_OK;
    enum qy_error answer = serve(message, there ? came.handle : 0, result, &kept);
    if (kept)
        *slot = slot_take(); /* 0: what comes next is refused */
    else if (there)
        (void)!cap_delete(came.handle);
    enum qy_error error = reply_send(service.reply, answer, result[0], result[1], result[2]);
    /* It was no call but a fault, of a client that made this its handler: nobody mends that. */
    return error == QY_INVALID_ARGUMENT ? reply_send(service.reply, QY_FAULT_KILL, 0, 0, 0) : error;
}

/* ---- beginning ---- */

static enum qy_error map_frame(qy_handle_t frame, uint64_t at)
{
    struct tables made;
    return space_map_frame(QY_SLOT_UNTYPED, QY_SLOT_SPACE, frame, at, QY_MAP_READ | QY_MAP_WRITE,
                           &made);
}

/* The frames by which pages go, return, and come to the disk. */
static enum qy_error begin_frames(void)
{
    qy_handle_t *frames[] = {&service.swapper.out, &service.swapper.in, &service.blocks.frame};
    enum qy_error error = QY_OK;
    for (unsigned i = 0; i < 3 && error == QY_OK; i++) {
        error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_FRAME, KEEP_CLUSTER, frames[i]);
        if (error == QY_OK)
            error = map_frame(*frames[i], FRAMES + i * KEEP_CLUSTER * PAGE_BYTES);
    }
    if (error == QY_OK)
        error = map_frame(PROGRAM_GIVEN(SWAP_GIVEN_REPORT), REPORT_AT);
    service.swapper.out_at = (uint8_t *)FRAMES;
    service.swapper.in_at = service.swapper.out_at + KEEP_CLUSTER * PAGE_BYTES;
    return error;
}

/* A copy of the bell that rings with that bit. */
static enum qy_error bell_of(uint64_t badge, qy_handle_t *out)
{
    struct call_result r = cap_copy(QY_SLOT_NODE, slot_take(), service.bell, QY_RIGHT_WRITE, badge);
    *out = r.value[1];
    return r.error;
}

static enum qy_error begin(void)
{
    const struct {
        enum qy_object_type type;
        qy_handle_t *out;
    } parts[] = {{QY_OBJ_REPLY, &service.reply},
                 {QY_OBJ_NOTIFICATION, &service.bell},
                 {QY_OBJ_TIMER, &service.timer}};
    struct cap_state given;
    uint8_t key[SEAL_KEY_BYTES];
    enum qy_error error = begin_frames();
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]) && error == QY_OK; i++)
        error = slot_make(QY_SLOT_UNTYPED, parts[i].type, 1, parts[i].out);
    if (error == QY_OK)
        error = notification_bind(service.bell, QY_SLOT_THREAD);
    if (error == QY_OK)
        error = bell_of(BADGE_TIMER, &timer_bell);
    if (error == QY_OK)
        error = bell_of(BADGE_NODE, &node_bell);
    secret_bytes(key, sizeof(key));
    seal_begin(&service.seal, key);
    service.endpoint = PROGRAM_GIVEN(SWAP_GIVEN_ENDPOINT);
    if (cap_info(QY_SLOT_NODE, PROGRAM_GIVEN(SWAP_GIVEN_DISK), &given) == QY_OK)
        service.blocks.driver = PROGRAM_GIVEN(SWAP_GIVEN_DISK);
    blocks_begin(&service.blocks, service.swapper.in_at + KEEP_CLUSTER * PAGE_BYTES, UINT32_MAX,
                 &service.disk);
    return error;
}

int main(int argc, char *argv[])
{
    struct message message;
    uint32_t slot = slot_take();
    enum qy_error error = begin();
    (void)argc, (void)argv;
    while (error == QY_OK) {
        slot = slot ? slot : slot_take();
        error = receive_slot(QY_SLOT_NODE, slot);
        if (error == QY_OK)
            error = endpoint_receive(service.endpoint, service.reply, &message);
        if (error != QY_OK)
            break;
        if (message.label & QY_LABEL_NOTIFIED)
            hear_bell(message.badge);
        else if (message.badge & SWAP_BADGE)
            error = serve_fault(&message);
        else
            error = serve_request(&message, &slot);
        if (error == QY_NOT_FOUND) /* whoever asked has gone */
            error = QY_OK;
    }
    seal_end(&service.seal);
    print("swapper: it ends: %s\n", qy_error_sentence(error));
    return (int)error;
}
