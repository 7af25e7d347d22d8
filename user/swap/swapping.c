/*
 * Swapping, shown: a process fills four times its memory and reads every byte back, through compression and a sealed
 * disk; another is made of it half-way, and both go on. Then once more with a disk that damages what it has.
 *
 *     program --> reserve: area, pool, slots, blocks          set aside before anything goes
 *             --> process `swapped`, its budget               marks: this program is told
 *             --> its twin, likewise                          space_clone, space_settle
 *
 *     swapping         the disk is memory of this program
 *     swapping disk    it is a driver's (user/drivers/block.h), whose endpoint it was given
 *
 * It prints a line for each part; a part that is not right ends it with that part's number.
 */
#include "swapping.h"
#include "blocks.h"
#include "swapper.h"

#include <lib/string.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/secret.h>
#include <user/slots.h>
#include <user/space.h>

#define BUDGET_PAGES 400u
#define DATA_PAGES (4 * BUDGET_PAGES)
#define POOL_PAGES 256u
#define BLOCKS 2048u
#define SLOTS 4096u
#define RESERVE_PAGES 512u
#define LOW_PAGES 24u
#define HIGH_PAGES 48u
#define WINDOW 0x310000000000ull
#define USER_END (1ull << 47)
#define NUMBER_FILL 1u
#define NUMBER_TWIN 2u

static struct {
    struct swapper swapper;
    struct swap_owner owner;
    struct seal seal;
    struct keep_disk disk;
    qy_handle_t reserve, endpoint, reply, bell;
    struct process fill;
    struct {
        qy_handle_t budget, space, thread;
    } twin;
    struct blocks blocks;     /* of a driver's disk */
    uint8_t *image;           /* memory in place of one */
    unsigned told, exhausted; /* by marks; when nothing was free */
    bool unwatched;           /* no marks: only when nothing is free */
    bool damages;             /* the disk turns bits over, after so many blocks */
    uint64_t window;
} s;

/* ---- memory as a disk ---- */

static bool memory_read(void *context, uint32_t block, uint32_t count)
{
    (void)context;
    memcpy(s.disk.buffer, s.image + (size_t)block * PAGE_BYTES, (size_t)count * PAGE_BYTES);
    if (s.damages)
        s.disk.buffer[block % PAGE_BYTES] ^= 4;
    return true;
}

static bool memory_write(void *context, uint32_t block, uint32_t count)
{
    (void)context;
    memcpy(s.image + (size_t)block * PAGE_BYTES, s.disk.buffer, (size_t)count * PAGE_BYTES);
    return true;
}

/* ---- what is set aside ---- */

/* Frames of an untyped, mapped here; pages: a power of two. */
static enum qy_error window(qy_handle_t untyped, uint64_t pages, qy_handle_t *frame, void **at)
{
    struct tables made;
    enum qy_error error = slot_make(untyped, QY_OBJ_FRAME, pages, frame);
    if (error == QY_OK)
        error = space_map_frame(untyped, QY_SLOT_SPACE, *frame, s.window,
                                QY_MAP_READ | QY_MAP_WRITE, &made);
    *at = (void *)(uintptr_t)s.window;
    s.window += pages * PAGE_BYTES;
    return error;
}

static uint64_t pages_for(uint64_t bytes)
{
    uint64_t pages = 1;
    while (pages * PAGE_BYTES < bytes)
        pages *= 2;
    return pages;
}

static enum qy_error set_aside(void)
{
    static struct store_page pages[POOL_PAGES];
    static uint64_t scratch[STORE_SCRATCH_BYTES / sizeof(uint64_t)];
    struct keep *keep = &s.owner.keep;
    qy_handle_t frame;
    void *pool, *slots, *blocks, *out, *in, *buffer;
    enum qy_error error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_UNTYPED, RESERVE_PAGES, &s.reserve);
    s.window = WINDOW;
    if (error == QY_OK)
        error = window(s.reserve, POOL_PAGES, &frame, &pool);
    if (error == QY_OK)
        error = window(s.reserve, pages_for(SLOTS * sizeof(struct keep_slot)), &frame, &slots);
    if (error == QY_OK)
        error = window(s.reserve, pages_for(BLOCKS * sizeof(struct keep_block)), &frame, &blocks);
    if (error == QY_OK)
        error = window(s.reserve, KEEP_CLUSTER, &s.swapper.out, &out);
    if (error == QY_OK)
        error = window(s.reserve, KEEP_CLUSTER, &s.swapper.in, &in);
    if (error == QY_OK)
        error = window(s.reserve, KEEP_CLUSTER, &s.blocks.frame, &buffer);
    if (error == QY_OK)
        error = slot_make(s.reserve, QY_OBJ_MEMORY, 0, &s.owner.area);
    if (error == QY_OK)
        error = memory_pager(s.owner.area, s.endpoint, SWAP_BADGE);
    if (error != QY_OK)
        return error;
    s.swapper.out_at = out;
    s.swapper.in_at = in;
    s.disk = (struct keep_disk){memory_read, memory_write, NULL, buffer, BLOCKS};
    if (s.blocks.driver)
        blocks_begin(&s.blocks, buffer, BLOCKS, &s.disk);
    *keep = (struct keep){.seal = &s.seal,
                          .owner = 1,
                          .disk = &s.disk,
                          .slots = slots,
                          .blocks = blocks,
                          .slot_count = SLOTS,
                          .block_count = s.disk.blocks};
    store_begin(&keep->store, pool, pages, POOL_PAGES, scratch);
    keep_begin(keep);
    return error;
}

/* Everything that this program begins with. */
static enum qy_error begin(void)
{
    static uint8_t image[BLOCKS * PAGE_BYTES];
    uint8_t key[SEAL_KEY_BYTES];
    s.image = image;
    secret_bytes(key, sizeof(key));
    seal_begin(&s.seal, key);
    enum qy_error error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &s.endpoint);
    if (error == QY_OK)
        error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &s.reply);
    if (error == QY_OK)
        error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_NOTIFICATION, 1, &s.bell);
    if (error == QY_OK)
        error = notification_bind(s.bell, QY_SLOT_THREAD);
    return error == QY_OK ? set_aside() : error;
}

/* Both processes, with all that they had. */
static bool end_processes(void)
{
    bool ended =
        process_destroy(&s.fill) == QY_OK && (!s.twin.budget || cap_revoke(s.twin.budget) == QY_OK);
    slot_forget(s.twin.space);
    slot_forget(s.twin.thread);
    slot_delete(s.twin.budget);
    memset(&s.twin, 0, sizeof(s.twin));
    return ended;
}

static void end(void)
{
    seal_end(&s.seal);
    if (!end_processes() || cap_revoke(s.reserve) != QY_OK)
        print("swapping: something could not be taken back\n");
    slot_delete(s.reserve);
    slot_delete(s.bell);
    slot_delete(s.reply);
    slot_delete(s.endpoint);
}

/* ---- processes ---- */

/* Its budget tells when it becomes scarce; its pages may go. */
static enum qy_error manage(unsigned number, qy_handle_t budget, qy_handle_t space)
{
    s.owner.spaces[number] = (struct swap_space){.space = space};
    return s.unwatched ? QY_OK : untyped_watch(budget, s.bell, LOW_PAGES, HIGH_PAGES);
}

static enum qy_error start(void)
{
    static const char *const argv[] = {"swapped", "1600", NULL};
    _Static_assert(DATA_PAGES == 1600, "as the argument says");
    const char *why;
    enum qy_error error = process_spawn(argv, BUDGET_PAGES, s.endpoint, NUMBER_FILL, &s.fill, &why);
    if (error == QY_OK)
        error = manage(NUMBER_FILL, s.fill.budget, s.fill.space);
    return error == QY_OK ? process_start(&s.fill, 1 % program->cpus) : error;
}

/* All that the first has is the twin's, copied on write; then, page by page, in memory of its own. */
static enum qy_error copy(void)
{
    uint64_t address = PAGE_BYTES, at = PAGE_BYTES;
    enum qy_error error = QY_OK;
    while (error == QY_OK && address < USER_END) {
        error = space_clone(s.twin.space, s.fill.space, &address, USER_END);
        if (error == QY_OUT_OF_MEMORY && swapper_reclaim(&s.swapper, &s.owner, LOW_PAGES))
            error = QY_OK;
    }
    while (error == QY_OK && at < USER_END) {
        error = space_settle(s.twin.space, &at);
        if (error == QY_OUT_OF_MEMORY && swapper_reclaim(&s.swapper, &s.owner, LOW_PAGES))
            error = QY_OK;
    }
    return error;
}

static enum qy_error make_twin(const struct message *asked)
{
    enum qy_error error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_UNTYPED, BUDGET_PAGES, &s.twin.budget);
    if (error == QY_OK)
        error = slot_make(s.twin.budget, QY_OBJ_ADDRESS_SPACE, 1, &s.twin.space);
    if (error == QY_OK)
        error = slot_make(s.twin.budget, QY_OBJ_THREAD, 1, &s.twin.thread);
    if (error == QY_OK)
        error = space_bind(s.twin.space, s.twin.budget);
    /* What both have is nobody's to take: so as little of it as may be. */
    (void)swapper_reclaim(&s.swapper, &s.owner, DATA_PAGES);
    if (error == QY_OK)
        error = manage(NUMBER_TWIN, s.twin.budget, s.twin.space);
    if (error == QY_OK)
        error = copy();
    if (error == QY_OK)
        error = thread_configure(s.twin.thread, s.twin.space, s.fill.node, s.endpoint,
                                 NUMBER_TWIN | PROCESS_FAULTS);
    return error == QY_OK
               ? thread_start(s.twin.thread, asked->word[1], stack_for_entry(asked->word[2]),
                              asked->word[0], 2 % program->cpus)
               : error;
}

/* ---- serving ---- */

/* OUT_OF_MEMORY: there is no room for what the processes hold; the thread that waited has been ended. */
static enum qy_error answer(bool go_on)
{
    enum qy_error error = reply_send(s.reply, go_on ? QY_FAULT_RESUME : QY_FAULT_KILL, 0, 0, 0);
    return go_on ? error : QY_OUT_OF_MEMORY;
}

/* Serve until so many processes have ended. *codes: of each by its number; 100 + what it found: it died of a fault. */
static enum qy_error serve(unsigned processes, int codes[4])
{
    enum qy_error error = QY_OK;
    while (error == QY_OK && processes) {
        struct message message;
        struct process_event event;
        error = endpoint_receive(s.endpoint, s.reply, &message);
        if (error != QY_OK)
            break;
        if (message.label & QY_LABEL_NOTIFIED) {
            s.told++;
            (void)swapper_reclaim(&s.swapper, &s.owner, HIGH_PAGES);
            continue;
        }
        if (message.badge == SWAP_BADGE) {
            uint32_t slot = (uint32_t)QY_FAULT_PAGE(message.label);
            error = answer(swapper_restore(&s.swapper, &s.owner, slot) == SWAP_GO_ON);
            continue;
        }
        process_event_from(&message, &event);
        if (event.news == PROCESS_EXITED) {
            codes[event.number] = event.code;
            processes--;
        } else if (event.news == PROCESS_SAID && message.label == SWAPPED_TWIN_ENDS) {
            codes[NUMBER_TWIN] = (int)message.word[0];
            processes--;
        } else if (event.news == PROCESS_SAID) {
            error = make_twin(&message);
            if (error == QY_OK)
                error = reply_send(s.reply, 0, 0, 0, 0);
            processes++;
        } else if (event.fault.mark == QY_FOUND_EXHAUSTED) {
            s.exhausted++;
            error = answer(swapper_reclaim(&s.swapper, &s.owner, HIGH_PAGES) != 0);
        } else {
            codes[event.number] = 100 + (int)event.fault.mark;
            processes--;
        }
    }
    return error;
}

enum outcome { SURVIVED, TOLD, WRONG };

/* Four times its memory, twice. TOLD: not all could be kept, and who had it was told so. */
static enum outcome fill_and_read(void)
{
    int codes[4] = {-1, -1, -1, -1};
    enum qy_error error = begin();
    const struct keep *keep = &s.owner.keep;
    if (error == QY_OK)
        error = start();
    if (error == QY_OK)
        error = serve(1, codes);
    bool whole = keep_check(keep) == NULL;
    print("swapping: %u pages in %u of memory, twice: codes %d and %d%s%s\n", DATA_PAGES,
          BUDGET_PAGES, codes[1], codes[2], error == QY_OK ? "" : "; ",
          error == QY_OK ? "" : qy_error_name(error));
    print("swapping: %llu pages went, %llu faults; %llu blocks written, %llu of them from the "
          "pool, %llu read, %llu "
          "ahead; told %u times\n",
          (unsigned long long)s.owner.evicted, (unsigned long long)s.owner.faults,
          (unsigned long long)keep->written, (unsigned long long)keep->spilled,
          (unsigned long long)keep->read, (unsigned long long)keep->ahead, s.told);
    whole = end_processes() && whole;
    swapper_collect(&s.owner);
    print("swapping: the processes have ended: %u slots in use, %s\n", (unsigned)keep->used,
          whole && !keep_check(keep) ? "every validator content" : "NOT WHOLE");
    whole = whole && keep->used == 0 && keep->store.free_pages == POOL_PAGES;
    end();
    if (!whole)
        return WRONG;
    if (error == QY_OK && codes[1] == 0 && codes[2] == 0)
        return s.owner.evicted > 2 * DATA_PAGES && keep->read > 100 ? SURVIVED : WRONG;
    const int lost = 100 + QY_FOUND_REVOKED;
    bool right = (codes[1] <= 0 || codes[1] == lost) && (codes[2] <= 0 || codes[2] == lost);
    bool told =
        error == QY_OUT_OF_MEMORY || (error == QY_OK && (codes[1] == lost || codes[2] == lost));
    return right && told ? TOLD : WRONG;
}

/* A disk that turns over bits: the process ends at a fault that says so, and has read no wrong byte. */
static bool tells(void)
{
    int codes[4] = {-1, -1, -1, -1};
    memset(&s, 0, sizeof(s));
    enum qy_error error = begin();
    s.damages = s.unwatched = true;
    if (error == QY_OK)
        error = start();
    if (error == QY_OK)
        error = serve(1, codes);
    bool found = codes[1] == 100 + QY_FOUND_REVOKED && s.owner.keep.damaged > 0 && s.exhausted > 0;
    print("swapping: without marks: %llu pages went, %u times with nothing free\n",
          (unsigned long long)s.owner.evicted, s.exhausted);
    print("swapping: a disk that damages what it has: the process %s\n",
          found ? "was told, at the page" : "was NOT told");
    end();
    return error == QY_OK && found;
}

int main(int argc, char *argv[])
{
    struct untyped_state before, after;
    const bool on_disk = argc > 1 && strcmp(argv[1], "disk") == 0;
    if (on_disk)
        s.blocks.driver = PROGRAM_GIVEN(0);
    if (untyped_info(QY_SLOT_UNTYPED, &before) != QY_OK)
        return 1;
    const enum outcome outcome = fill_and_read();
    if (outcome == WRONG || (outcome == TOLD && !on_disk))
        return 2;
    if (!on_disk && !tells())
        return 3;
    if (on_disk)
        print("swapping: a driver's disk of %u blocks, %llu transfers failed: %s\n",
              (unsigned)s.disk.blocks, (unsigned long long)s.blocks.failed,
              outcome == SURVIVED ? "every byte is as it was"
                                  : "who had what could not be kept was told");
    bool same = untyped_info(QY_SLOT_UNTYPED, &after) == QY_OK && after.objects == before.objects;
    print("swapping: %s\n", same ? "no object is left" : "objects are LEFT");
    return same ? 0 : 4;
}
