/*
 * Checks of debug builds: nobody writes to free memory.
 *
 *     a free frame   | key | key | ... | key |     512 words; key = the database's seed, mixed with the frame's number
 *
 * Frames are filled when they come back to their arena and looked at when they leave it. What has not been filled since
 * boot is told from it by its first and its last word: one of them is the key, or the frame is not looked at; so no
 * single write hides. Frames in a CPU's cache count as handed out. Invariant FREE-UNTOUCHED. Locking: the arena's.
 * Cost: O(bytes). Failures: qy_port_broken with the address of the word.
 */
#include "arena_impl.h"

#define WORDS (QY_PAGE_BYTES / sizeof(uint64_t))

static uint64_t key_of(const struct qy_framedb *db, uint64_t frame)
{
    return (db->poison ^ frame) * 0x9e3779b97f4a7c15ull;
}

void qy_poison_fill(const struct qy_framedb *db, uint64_t start, unsigned order)
{
    for (uint64_t frame = start; db->poison && frame < start + (1ull << order); frame++) {
        uint64_t *words = qy_port_ram(pfn_to_paddr(pfn(frame))), key = key_of(db, frame);
        for (unsigned i = 0; i < WORDS; i++)
            words[i] = key;
    }
}

void qy_poison_check(const struct qy_framedb *db, uint64_t start, unsigned order)
{
    for (uint64_t frame = start; db->poison && frame < start + (1ull << order); frame++) {
        const uint64_t *words = qy_port_ram(pfn_to_paddr(pfn(frame)));
        uint64_t key = key_of(db, frame);
        if (words[0] != key && words[WORDS - 1] != key)
            continue;
        for (unsigned i = 0; i < WORDS; i++)
            if (words[i] != key)
                qy_port_broken("FREE-UNTOUCHED", "free memory was written to, at address",
                               pfn_to_paddr(pfn(frame)).raw + i * sizeof(*words));
    }
}
