/*
 * The smallest peer that works (bench/peer/peer.h): a bitmap of frames that is searched from the start, and objects of power-of-two
 * sizes on lists behind glibc's malloc, one lock for each. It is to be copied and replaced, not to be fast.
 */
#include "peer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- frames: a byte each, 1 = taken ---- */

static unsigned char *taken;
static uint64_t frame_count, hint[10]; /* no free block of that order begins below it */

bool peer_frames_open(uint64_t frames)
{
    taken = calloc(frames, 1);
    frame_count = frames;
    memset(hint, 0, sizeof(hint));
    return taken != NULL;
}

bool peer_frames_alloc(unsigned cpu, unsigned order, uint64_t *first)
{
    const uint64_t count = 1ull << order;
    bool found = false;

    (void)cpu;
    pthread_mutex_lock(&lock);
    for (uint64_t at = hint[order]; !found && at + count <= frame_count; at += count) {
        found = !memchr(taken + at, 1, count);
        if (found) {
            memset(taken + at, 1, count);
            hint[order] = at + count;
            *first = at;
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

bool peer_frames_free(unsigned cpu, uint64_t first, unsigned order)
{
    const uint64_t count = 1ull << order;

    (void)cpu;
    if (order >= 10 || first % count || first >= frame_count || count > frame_count - first)
        return false;
    pthread_mutex_lock(&lock);
    bool held = !memchr(taken + first, 0, count);
    if (held)
        memset(taken + first, 0, count);
    for (unsigned i = 0; held && i < 10; i++) {
        uint64_t base = first >> i << i;
        hint[i] = base < hint[i] ? base : hint[i];
    }
    pthread_mutex_unlock(&lock);
    return held;
}

void peer_frames_close(void)
{
    free(taken);
    taken = NULL;
}

/* ---- objects: a word in front says which list ---- */

#define CLASSES 32u

struct piece {
    struct piece *next; /* while it is free */
    uint64_t class;
};

static struct piece *lists[CLASSES];

bool peer_objects_open(void)
{
    return true;
}

void *peer_objects_alloc(size_t bytes)
{
    uint64_t class = 5;

    while (class < CLASSES && (1ull << class) < bytes)
        class ++;
    if (class == CLASSES)
        return NULL;
    pthread_mutex_lock(&lock);
    struct piece *piece = lists[class];
    if (piece)
        lists[class] = piece->next;
    pthread_mutex_unlock(&lock);
    if (!piece)
        piece = malloc(sizeof(*piece) + (1ull << class));
    if (!piece)
        return NULL;
    piece->class = class;
    return piece + 1;
}

void peer_objects_free(void *object)
{
    struct piece *piece = (struct piece *)object - 1;

    pthread_mutex_lock(&lock);
    piece->next = lists[piece->class];
    lists[piece->class] = piece;
    pthread_mutex_unlock(&lock);
}

void peer_objects_close(void)
{
    for (unsigned i = 0; i < CLASSES; i++)
        for (struct piece *piece; (piece = lists[i]);) {
            lists[i] = piece->next;
            free(piece);
        }
}
