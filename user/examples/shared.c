/*
 * Shared memory between two processes: two pages, one for each direction, with the rights that each side needs.
 *
 *     this process         "question"  rw- | r--          the other: the same program, started as "shared answer"
 *                          "answer"    r-- | rw-
 *
 * The pages are this process's. The other holds copies of the capabilities, with fewer rights: more it cannot get.
 */
#include <lib/format.h>
#include <lib/string.h>
#include <user/print.h>
#include <user/process.h>
#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

#define QUESTION ((char *)0x500000000000)
#define ANSWER ((char *)0x500000001000)
#define RW (QY_MAP_READ | QY_MAP_WRITE)

static enum qy_error map(qy_handle_t frame, const char *at, uint64_t flags)
{
    struct tables tables;

    return space_map_frame(QY_SLOT_UNTYPED, QY_SLOT_SPACE, frame, (uintptr_t)at, flags, &tables);
}

/* The other process. Its code tells how it went. */
static int answer(void)
{
    if (map(PROGRAM_GIVEN(0), QUESTION, RW) != QY_NO_RIGHTS)
        return 1;
    if (map(PROGRAM_GIVEN(0), QUESTION, QY_MAP_READ) != QY_OK ||
        map(PROGRAM_GIVEN(1), ANSWER, RW) != QY_OK)
        return 2;
    size_t length = strlen(QUESTION);
    for (size_t i = 0; i < length; i++)
        ANSWER[i] = QUESTION[length - 1 - i];
    return 0;
}

/* Give both pages away, let the other run, and wait for its end. */
static enum qy_error ask(const qy_handle_t pages[2], struct process_event *event)
{
    static const char *const argv[] = {"shared", "answer", NULL};
    struct process other = {0};
    const char *why;
    qy_handle_t endpoint;
    enum qy_error error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_ENDPOINT, 1, &endpoint);

    if (error == QY_OK)
        error = process_spawn(argv, 256, endpoint, 1, &other, &why);
    if (error == QY_OK)
        error = process_give(&other, 0, pages[0], QY_RIGHT_READ, 0);
    if (error == QY_OK)
        error = process_give(&other, 1, pages[1], QY_RIGHT_READ | QY_RIGHT_WRITE, 0);
    if (error == QY_OK)
        error = process_start(&other, QY_CPU_ANY);
    if (error == QY_OK)
        error = process_wait(endpoint, 0, event);
    enum qy_error ended = process_destroy(&other);
    return error == QY_OK ? ended : error;
}

int main(int argc, char *argv[])
{
    struct process_event event = {0};
    qy_handle_t pages[2];

    if (argc > 1 && strcmp(argv[1], "answer") == 0)
        return answer();
    for (unsigned i = 0; i < 2; i++)
        if (slot_make(QY_SLOT_UNTYPED, QY_OBJ_FRAME, 1, &pages[i]) != QY_OK)
            return 3;
    if (map(pages[0], QUESTION, RW) != QY_OK || map(pages[1], ANSWER, QY_MAP_READ) != QY_OK)
        return 4;
    format_to(QUESTION, PAGE_BYTES, "%s", "stressed");
    enum qy_error error = ask(pages, &event);
    print("shared: wrote \"%s\", the other process answered \"%s\"\n", QUESTION, ANSWER);
    print("shared: the other process ended with code %d\n", event.code);
    return error == QY_OK && event.news == PROCESS_EXITED ? event.code : 5;
}
