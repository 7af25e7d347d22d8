/*
 * Every call that reads or writes the program's memory, with that memory in every state that a page can have.
 *
 *     | page in use | page in the state |       the call's memory begins in the first and ends in the second
 *               [pointer ...... )
 *
 * The calls come from the table of invocations: whoever has an argument `pointer` (the kernel reads there) or `out_pointer`
 * (it writes there). A call with an argument for which there is no value here fails the test, so a new one cannot be forgotten.
 */
#include "memory.h"
#include <lib/string.h>
#include <quarry/records.h>
#include <quarry/trace.h>

#define PAGES_NAMED 1u
#define BYTES_NAMED 32u
#define RECORDS_NAMED (2 * sizeof(struct qy_trace_record))
#define FILL '.'

static const struct {
    const char *name, *arguments;
    unsigned number;
    enum qy_object_type type;
} calls[] = {
#define X(number, name, type, rights, arguments, results) {#name, arguments, number, QY_OBJ_##type},
    QY_INVOCATIONS(X)
#undef X
};

/* X(NAME, error for input, error for output, faults heard, words) */
#define STATES(X)                                                                                  \
    X(ZERO, QY_OK, QY_OK, 0, "not touched yet")                                                    \
    X(READ, QY_OK, QY_OK, 0, "of zeroes that were read")                                           \
    X(COPY_ON_WRITE, QY_OK, QY_OK, 0, "to be copied when it is written")                           \
    X(OBJECT, QY_OK, QY_OK, 1, "for the object's pager to supply")                                 \
    X(PRIVATE, QY_OK, QY_OK, 1, "for the object's pager to supply, private")                       \
    X(PAGER, QY_OK, QY_OK, 1, "for the space's handler to map")                                    \
    X(SWAPPED, QY_OK, QY_OK, 1, "that was evicted")                                                \
    X(READ_ONLY, QY_OK, QY_BAD_USER_POINTER, 0, "read-only")                                       \
    X(GUARD, QY_BAD_USER_POINTER, QY_BAD_USER_POINTER, 0, "of a guard")                            \
    X(BEHIND_END, QY_BAD_USER_POINTER, QY_BAD_USER_POINTER, 0, "behind its object's end")          \
    X(REVOKED, QY_BAD_USER_POINTER, QY_BAD_USER_POINTER, 0, "revoked")                             \
    X(UNMAPPED, QY_BAD_USER_POINTER, QY_BAD_USER_POINTER, 0, "unmapped")

enum state {
#define X(NAME, input, output, faults, words) STATE_##NAME,
    STATES(X)
#undef X
        STATE_COUNT
};

static const struct {
    const char *words;
    enum qy_error input, output;
    unsigned faults;
} states[] = {
#define X(NAME, input, output, faults, words) {words, input, output, faults},
    STATES(X)
#undef X
};

#define SECOND (MEMORY_AT + PAGE_BYTES)
#define OBJECT_PAGE 5u

static enum qy_error map_object(uint64_t flags, qy_handle_t object, uint64_t page)
{
    uint64_t at = SECOND;
    return space_map_object(QY_SLOT_SPACE, &at, PAGE_BYTES, flags, object, page);
}

/* An object of its own goes while its page is mapped. */
static enum qy_error make_revoked(struct memory_test *test)
{
    uint32_t mark = root_mark(test->root);
    qy_handle_t object;
    enum qy_error error = root_make(test->root, test->budget, QY_OBJ_MEMORY, 1, &object);
    if (error == QY_OK)
        error = map_object(MEMORY_RW, object, 0);
    if (error == QY_OK)
        *(volatile unsigned char *)SECOND = FILL;
    if (error == QY_OK)
        error = cap_delete(object);
    root_release(test->root, mark);
    return error;
}

static qy_handle_t evicted; /* a frame: the contents of the page that was */

/* Its slot is one of the test's object, so the object's pager hears of a touch. */
static enum qy_error make_swapped(struct memory_test *test)
{
    uint64_t at = SECOND, taken = 0;
    enum qy_error error = space_map_region(QY_SLOT_SPACE, &at, PAGE_BYTES, MEMORY_RW, 0);
    if (error == QY_OK)
        *(volatile unsigned char *)SECOND = FILL;
    if (error == QY_OK)
        error = space_evict(QY_SLOT_SPACE, SECOND, 1, test->object, OBJECT_PAGE, evicted, &taken);
    return error == QY_OK && taken != 1 ? QY_CORRUPT : error;
}

/* Bring the second page into a state. */
static enum qy_error prepare(struct memory_test *test, enum state state)
{
    uint64_t at = SECOND, one = 1;
    volatile unsigned char *byte = (volatile unsigned char *)SECOND;
    enum qy_error error = QY_OK;
    switch (state) {
    case STATE_ZERO:
    case STATE_READ:
    case STATE_READ_ONLY:
        error = space_map_region(QY_SLOT_SPACE, &at, PAGE_BYTES,
                                 state == STATE_READ_ONLY ? QY_MAP_READ : MEMORY_RW, 0);
        return error == QY_OK && state == STATE_READ && *byte ? QY_CORRUPT : error;
    case STATE_COPY_ON_WRITE:
        error = memory_supply(test->object, OBJECT_PAGE, &one, memory_page(FILL));
        if (error == QY_OK)
            error = map_object(MEMORY_RW | QY_REGION_PRIVATE, test->object, OBJECT_PAGE);
        return error == QY_OK && *byte != FILL ? QY_CORRUPT : error;
    case STATE_OBJECT:
        return map_object(MEMORY_RW, test->object, OBJECT_PAGE);
    case STATE_PRIVATE:
        return map_object(MEMORY_RW | QY_REGION_PRIVATE, test->object, OBJECT_PAGE);
    case STATE_PAGER:
        return space_map_region(QY_SLOT_SPACE, &at, PAGE_BYTES, MEMORY_RW | QY_REGION_PAGER,
                                OBJECT_PAGE);
    case STATE_GUARD:
        return space_map_region(QY_SLOT_SPACE, &at, PAGE_BYTES, MEMORY_RW | QY_REGION_GUARD, 0);
    case STATE_BEHIND_END:
        return map_object(MEMORY_RW, test->object, 1u << 20);
    case STATE_REVOKED:
        return make_revoked(test);
    case STATE_SWAPPED:
        return make_swapped(test);
    default:
        return QY_OK;
    }
}

/* As before, whatever became of it. */
static void clear(struct memory_test *test)
{
    enum qy_error error = space_unmap_region(QY_SLOT_SPACE, SECOND, PAGE_BYTES);
    if (error == QY_OK || error == QY_NOT_MAPPED)
        error = memory_discard(test->object, OBJECT_PAGE, 1);
    root_check(test->root, error == QY_OK, "a page could not be cleared");
}

/* The next word of a list; its length. */
static size_t word_of(const char **list)
{
    while (**list == ',' || **list == ' ')
        ++*list;
    const char *at = *list;
    while (*at && *at != ',')
        at++;
    return (size_t)(at - *list);
}

/* The call's arguments, its memory at `pointer - bytes / 2`; returns the bytes there: 0 = it has none, or what is not known. */
static uint64_t arguments_of(struct memory_test *test, unsigned i, uint64_t middle, bool *output)
{
    static const struct {
        const char *name;
        uint64_t value;
    } known[] = {
        {"kind", QY_RECORD_KIND_DISTANCE},
        {"index", 0},
        {"page", 9},
        {"pages", PAGES_NAMED},
        {"length", 0},
        /* below */ {"at", 0},
        {"cpu", 0},
        {"position", 0},
    };
    qy_handle_t objects[QY_OBJ_COUNT] = {[QY_OBJ_CONSOLE] = QY_SLOT_CONSOLE,
                                         [QY_OBJ_SYSTEM] = QY_SLOT_SYSTEM,
                                         [QY_OBJ_MEMORY] = test->object};
    const char *list = calls[i].arguments;
    uint64_t *x = test->job.argument, bytes = 0, pointer = 0;
    x[0] = objects[calls[i].type];
    for (unsigned n = 1; n < 6; n++)
        x[n] = 0;
    for (unsigned n = 1; n < 6; n++) {
        size_t length = word_of(&list), k = 0;
        bool in = length == 7 && memcmp(list, "pointer", 7) == 0;
        bool out = length == 11 && memcmp(list, "out_pointer", 11) == 0;
        while (k < sizeof(known) / sizeof(known[0]) &&
               (strlen(known[k].name) != length || memcmp(known[k].name, list, length) != 0))
            k++;
        if (in || out)
            pointer = n;
        else if (length && k == sizeof(known) / sizeof(known[0]))
            return 0;
        else if (length)
            x[n] = known[k].value;
        *output |= out;
        if (length == 6 && memcmp(list, "length", 6) == 0)
            x[n] = bytes = calls[i].number == QY_CALL_trace_read ? RECORDS_NAMED : BYTES_NAMED;
        if (length == 5 && memcmp(list, "pages", 5) == 0)
            bytes = PAGES_NAMED * PAGE_BYTES;
        list += length;
    }
    if (!pointer || !x[0])
        return 0;
    x[pointer] = middle - bytes / 2;
    return bytes;
}

/* Hear the child until its end; *faults counts those that were about the page and that were answered with it. */
static struct message serve(struct memory_test *test, enum state state, unsigned *faults)
{
    for (;;) {
        struct message message = memory_hear(test);
        uint64_t badge = state == STATE_PAGER ? MEMORY_BADGE_SPACE : MEMORY_BADGE, one = 1;
        uint32_t mark = root_mark(test->root);
        qy_handle_t frame;
        enum qy_error error = QY_DEAD;
        if (message.label == 0 || !memory_is_fault(&message, badge, QY_FOUND_PAGER, OBJECT_PAGE))
            return message;
        ++*faults;
        if (state == STATE_PAGER) {
            error = root_make(test->root, test->budget, QY_OBJ_FRAME, 1, &frame);
            if (error == QY_OK)
                error = reply_map(test->child.reply, frame, MEMORY_RW).error;
            root_release(test->root, mark + 1); /* it stays until the budget goes */
        } else {
            error = state == STATE_SWAPPED
                        ? memory_restore(test->object, OBJECT_PAGE, 1, evicted, 0, &one)
                        : memory_supply(test->object, OBJECT_PAGE, &one, memory_page(FILL));
            if (error == QY_OK)
                error = memory_answer(test, QY_FAULT_RESUME);
        }
        if (error != QY_OK)
            return (struct message){.label = ~0ull};
    }
}

/* Is what the call wrote at `at` what it wrote to memory in use? */
static bool same_output(struct memory_test *test, unsigned i, uint64_t at, uint64_t bytes)
{
    static unsigned char plain[2 * PAGE_BYTES];
    struct job job = test->job;
    bool output = false;
    (void)arguments_of(test, i, (uintptr_t)plain + PAGE_BYTES, &output);
    const uint64_t *x = test->job.argument;
    enum qy_error error = qy_call(calls[i].number, x[0], x[1], x[2], x[3], x[4], x[5]).error;
    test->job = job;
    return error == QY_OK && memcmp((const void *)at, plain + PAGE_BYTES - bytes / 2, bytes) == 0;
}

static void one(struct memory_test *test, unsigned i, enum state state)
{
    bool output = false;
    unsigned faults = 0;
    uint64_t bytes = arguments_of(test, i, SECOND, &output);
    test->job.number = calls[i].number;
    if (!bytes) {
        memory_expect(test, false, "%s: no values for its arguments are known here", calls[i].name);
        return;
    }
    enum qy_error wanted = output ? states[state].output : states[state].input;
    bool ok = prepare(test, state) == QY_OK && memory_start(test, &test->child, &test->job);
    if (ok) {
        struct message end = serve(test, state, &faults);
        ok = memory_is_end(&end, wanted) && faults == states[state].faults;
        if (ok && output && wanted == QY_OK)
            ok = same_output(test, i, SECOND - bytes / 2, bytes);
        if (!ok)
            print("memory: label 0x%llx, error %s, %u faults\n", (unsigned long long)end.label,
                  qy_error_name((enum qy_error)end.word[0]), faults);
    }
    memory_expect(test, ok, "%s, memory at its %s in a page %s", calls[i].name,
                  output ? "out_pointer" : "pointer", states[state].words);
    (void)!memory_discard(test->object, 9, PAGES_NAMED);
    clear(test);
}

/* What a supply of a page that crosses into one which is to be supplied itself has put into the object. */
static void supplied_bytes(struct memory_test *test)
{
    const volatile unsigned char *got;
    uint64_t at = 0, one_page = 1;
    for (unsigned i = 0; i < PAGE_BYTES; i++)
        ((volatile unsigned char *)MEMORY_AT)[i] = 'a';
    bool ok = prepare(test, STATE_OBJECT) == QY_OK;
    test->job = (struct job){.number = QY_CALL_memory_supply,
                             .argument = {test->object, 9, one_page, SECOND - 1000}};
    unsigned faults = 0;
    ok &= memory_start(test, &test->child, &test->job);
    struct message end = serve(test, STATE_OBJECT, &faults);
    ok &= memory_is_end(&end, QY_OK) && end.word[1] == 1;
    ok &= space_map_object(QY_SLOT_SPACE, &at, PAGE_BYTES, QY_MAP_READ, test->object, 9) == QY_OK;
    got = (const volatile unsigned char *)at;
    for (unsigned i = 0; ok && i < PAGE_BYTES; i++)
        ok = got[i] == (i < 1000 ? 'a' : FILL);
    memory_expect(test, ok, "a page copied out of two, one of them supplied in between, is whole");
    ok = space_unmap_region(QY_SLOT_SPACE, at, PAGE_BYTES) == QY_OK &&
         memory_discard(test->object, 9, 1) == QY_OK;
    root_check(test->root, ok, "a page could not be given back");
    clear(test);
}

static bool are_rings(void)
{
    return qy_call(QY_CALL_trace_read, QY_SLOT_SYSTEM, 0, 0, 0, 0, 0).error != QY_UNSUPPORTED;
}

void memory_pointers(struct memory_test *test)
{
    uint64_t at = MEMORY_AT;
    unsigned found = 0;
    uint32_t mark = root_mark(test->root);
    enum qy_error error = space_map_region(QY_SLOT_SPACE, &at, PAGE_BYTES, MEMORY_RW, 0);
    if (error == QY_OK)
        error = root_make(test->root, test->budget, QY_OBJ_FRAME, 1, &evicted);
    if (!root_check(test->root, error == QY_OK, "no page for the tests of pointers"))
        return;
    for (unsigned i = 0; i < PAGE_BYTES; i++)
        ((volatile unsigned char *)at)[i] = FILL;
    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        const char *text = calls[i].arguments;
        bool has = false;
        for (; *text; text++)
            has |= memcmp(text, "pointer", strlen(text) < 7 ? strlen(text) : 7) == 0 &&
                   strlen(text) >= 7;
        if (calls[i].number == QY_CALL_trace_read && !are_rings()) {
            print("memory: %s is left out, no ring was asked for\n", calls[i].name);
            continue;
        }
        for (unsigned state = 0; has && state < STATE_COUNT; state++)
            one(test, i, (enum state)state);
        found += has;
    }
    memory_expect(test, found >= 3, "%u calls have pointers", found);
    supplied_bytes(test);
    error = space_unmap_region(QY_SLOT_SPACE, MEMORY_AT, PAGE_BYTES);
    if (error == QY_OK)
        error = cap_delete(evicted);
    root_check(test->root, error == QY_OK, "the page of the tests of pointers is not there");
    root_release(test->root, mark);
}
