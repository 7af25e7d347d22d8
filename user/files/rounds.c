/* What must be on a disk after so many rounds: see rounds.h. */
#include "rounds.h"

#include <lib/format.h>
#include <lib/random.h>
#include <lib/string.h>

#define PAGE 4096u

struct check {
    const struct rounds_files *files;
    uint64_t synced;
    struct rounds_report *report;
};

static uint8_t found[ROUNDS_PAGES * PAGE], wanted[ROUNDS_PAGES * PAGE];
_Static_assert(sizeof(found) >= ROUNDS_BYTES_MAX, "holds each file");

void rounds_made_path(uint64_t round, char path[ROUNDS_PATH_BYTES])
{
    format_to(path, ROUNDS_PATH_BYTES, "%s/Made in round %llu", ROUNDS_FOLDER,
              (unsigned long long)round);
}

size_t rounds_bytes(uint64_t round)
{
    return 1 + (size_t)(rounds_word(round, 0) % ROUNDS_BYTES_MAX);
}

uint64_t rounds_word(uint64_t round, uint64_t index)
{
    uint64_t state = round << 40 ^ index;
    return random_next(&state);
}

void rounds_fill(uint64_t round, uint8_t *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = rounds_word(round, i / 8);
        memcpy(to + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
}

static void say(const struct check *check, const char *path, const char *what)
{
    if (!check->report->wrong[0])
        format_to(check->report->wrong, sizeof(check->report->wrong), "%s %s", path, what);
}

/* Up to `bytes` of a file into found. False: it is not there, or cannot be read (*there: who knows). */
static bool read_file(const struct check *check, const char *path, size_t bytes, size_t *done,
                      bool *there)
{
    size_t part;
    enum file_error error = FILE_OK;

    *there = true;
    for (*done = 0; *done < bytes; *done += part) {
        error = check->files->read(check->files->context, path, *done, found + *done, bytes - *done,
                                   &part);
        if (error != FILE_OK || part == 0)
            break;
    }
    *there = error != FILE_NOT_FOUND && error != FILE_NOT_DIRECTORY;
    check->report->unreadable += *there && error != FILE_OK;
    if (error == FILE_CORRUPT)
        say(check, path, "breaks the rules");
    return error == FILE_OK;
}

static bool is_as_of(const struct check *check, uint64_t round, size_t bytes)
{
    rounds_fill(round, wanted, bytes);
    bool same = memcmp(found, wanted, bytes) == 0;

    check->report->right += same ? bytes : 0;
    return same;
}

/* The file that a round made; the round that removes it may be under way, and its own. */
static void check_made(const struct check *check, uint64_t round)
{
    const bool under_way = round == check->synced + 1;
    char path[ROUNDS_PATH_BYTES];
    size_t done, bytes = rounds_bytes(round);
    bool there;

    rounds_made_path(round, path);
    bool read = read_file(check, path, sizeof(found), &done, &there);
    if (!there) {
        if (!under_way && round + ROUNDS_KEPT > check->synced + 1)
            say(check, path, "is lost");
    } else if (read && round + ROUNDS_KEPT <= check->synced) {
        say(check, path, "was removed");
    } else if (read && !(done == bytes || (under_way && done < bytes))) {
        say(check, path, "has another size");
    } else if (read && !is_as_of(check, round, done)) {
        say(check, path, "has other bytes");
    }
}

static void check_grown(const struct check *check)
{
    const uint64_t next = check->synced + 1;
    size_t done, bytes = rounds_grown(check->synced), grown = rounds_grown(next);
    bool there;

    for (size_t at = 0; at < grown; at += ROUNDS_RECORD) {
        const char *path = ROUNDS_GROWN;
        enum file_error error =
            check->files->read(check->files->context, path, at, found, ROUNDS_RECORD, &done);
        there = error != FILE_NOT_FOUND && error != FILE_NOT_DIRECTORY;
        if (there && error != FILE_OK) {
            check->report->unreadable++;
            return;
        }
        done = error == FILE_OK ? done : 0;
        if (done == 0 && at >= bytes)
            return; /* the record that was not synced is not there */
        if (done != ROUNDS_RECORD) {
            say(check, path, there ? "is too short" : "is lost");
            return;
        }
        if (!is_as_of(check, at / ROUNDS_RECORD * 4 + 1, done)) {
            say(check, path, "has other bytes");
            return;
        }
    }
}

/* The last round up to that one that has written a page; 0: none has. */
static uint64_t writer_of(uint64_t page, uint64_t round)
{
    for (; round; round--)
        if (rounds_kind(round) == ROUNDS_MAP && rounds_writes_page(round, page))
            return round;
    return 0;
}

static uint64_t mapped_word(uint64_t round, uint64_t index)
{
    return round ? rounds_word(round, index) : 0;
}

static void check_mapped(const struct check *check)
{
    const bool begun = check->synced >= ROUNDS_MAP;
    size_t done;
    bool there;

    bool read = read_file(check, ROUNDS_MAPPED, sizeof(found), &done, &there);
    if (!there && begun)
        say(check, ROUNDS_MAPPED, "is lost");
    if (!read || !there)
        return;
    if (done != sizeof(found) && (begun || done))
        say(check, ROUNDS_MAPPED, "has another size");
    for (uint64_t i = 0; i < done / 8; i++) {
        const uint64_t page = i * 8 / PAGE;
        uint64_t word, before = mapped_word(writer_of(page, check->synced), i);
        memcpy(&word, found + i * 8, sizeof(word));
        if (word != before && word != mapped_word(writer_of(page, check->synced + 1), i)) {
            say(check, ROUNDS_MAPPED, "has other bytes");
            return;
        }
        check->report->right += sizeof(word);
    }
}

/* "new" is there only while the round goes on. */
static void check_replaced(const struct check *check)
{
    const bool under_way = rounds_kind(check->synced + 1) == ROUNDS_REPLACE;
    const uint64_t last =
        check->synced / 4 * 4 + 3 > check->synced ? check->synced / 4 * 4 - 1 : check->synced;
    size_t done;
    bool there, begun = check->synced >= ROUNDS_REPLACE;

    bool read = read_file(check, ROUNDS_REPLACED, sizeof(found), &done, &there);
    if (!there && begun)
        say(check, ROUNDS_REPLACED, "is lost");
    if (read && !begun && !under_way)
        say(check, ROUNDS_REPLACED, "is there too early");
    if (read) {
        bool old = begun && done == rounds_bytes(last) && is_as_of(check, last, done);
        bool new = under_way &&done == rounds_bytes(check->synced + 1) &&
                   is_as_of(check, check->synced + 1, done);
        if (!old && !new)
            say(check, ROUNDS_REPLACED, "has other bytes");
    }
    read = read_file(check, ROUNDS_NEW, sizeof(found), &done, &there);
    if (read && !under_way)
        say(check, ROUNDS_NEW, "was renamed");
    if (read && under_way && !is_as_of(check, check->synced + 1, done))
        say(check, ROUNDS_NEW, "has other bytes");
}

void rounds_check(const struct rounds_files *files, uint64_t synced, struct rounds_report *report)
{
    const struct check check = {files, synced, report};

    *report = (struct rounds_report){0};
    for (uint64_t round = 4; round <= synced + 1; round += 4)
        check_made(&check, round);
    check_grown(&check);
    check_mapped(&check);
    check_replaced(&check);
}
