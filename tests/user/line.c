/*
 * The line editor of the prompt: keys in, text and echo out, and a terminal that must show the same. It would miss a terminal that sends
 * other codes than 8 or 127 for backspace.
 */
#include <lib/random.h>
#include <string.h>
#include <tap.h>
#include <user/line.h>

/* A terminal that knows printable characters, backspace and line ends. */
static struct {
    char cell[4 * LINE_BYTES + 1];
    size_t cursor;
    unsigned bells;
} terminal;

static void show(const char *echo)
{
    for (; *echo; echo++) {
        if (*echo == '\b') {
            CHECK(terminal.cursor > 0);
            terminal.cursor -= terminal.cursor > 0;
        } else if (*echo == '\r' || *echo == '\n') {
            memset(&terminal, 0, sizeof(terminal));
        } else if (*echo == '\a') {
            terminal.bells++;
        } else {
            terminal.cell[terminal.cursor] = *echo;
            terminal.cursor += terminal.cursor < sizeof(terminal.cell) - 2;
        }
    }
}

/* It shows the line and blanks behind it, its cursor where the line's is. */
static bool is_shown(const struct line *line)
{
    size_t shown = strlen(terminal.cell);
    while (shown > line->length && terminal.cell[shown - 1] == ' ')
        shown--;
    return terminal.cursor == line->cursor &&
           memcmp(terminal.cell, line->text, line->length) == 0 && shown == line->length;
}

static void begin(struct line *line)
{
    memset(&terminal, 0, sizeof(terminal));
    line_begin(line);
}

/* Feed keys; returns the last key's event. `echoed`, if not null, collects all echo. */
static enum line_event feed(struct line *line, const char *keys, char *echoed)
{
    enum line_event event = LINE_MORE;

    for (; *keys; keys++) {
        event = line_key(line, *keys);
        show(line->echo);
        if (echoed)
            strcat(echoed, line->echo);
        CHECK(line->length < LINE_BYTES);
        CHECK_EQ(strlen(line->text), line->length);
    }
    return event;
}

static void takes_text(void)
{
    struct line line;
    char echo[64] = "";

    begin(&line);
    CHECK_EQ(feed(&line, "maps", echo), LINE_MORE);
    CHECK_EQ(feed(&line, "\r", echo), LINE_DONE);
    CHECK(strcmp(line.text, "maps") == 0);
    CHECK(strcmp(echo, "maps\r\n") == 0);
}

static void next_line_is_new(void)
{
    struct line line;

    begin(&line);
    feed(&line, "one\r\n", NULL);
    CHECK_EQ(feed(&line, "two\n", NULL), LINE_DONE);
    CHECK(strcmp(line.text, "two") == 0);
}

static void cr_lf_is_one_end(void)
{
    struct line line;

    begin(&line);
    CHECK_EQ(feed(&line, "a\r", NULL), LINE_DONE);
    CHECK_EQ(line_key(&line, '\n'), LINE_MORE);
    CHECK_EQ(line_key(&line, '\n'), LINE_DONE);
    CHECK_EQ(line.length, 0);
}

static void backspace_and_delete(void)
{
    struct line line;
    char echo[64] = "";

    begin(&line);
    feed(&line, "mex\b", echo);
    CHECK(strcmp(echo, "mex\b \b") == 0);
    CHECK(is_shown(&line));
    CHECK(strcmp(line.text, "me") == 0);
    feed(&line, "y\177m", NULL);
    CHECK(strcmp(line.text, "mem") == 0);
    feed(&line, "\b\b\b\b\b", NULL);
    CHECK_EQ(line.length, 0);
    CHECK_EQ(strlen(line.echo), 0);
}

static void ctrl_u_clears(void)
{
    struct line line;

    begin(&line);
    feed(&line, "abc\025", NULL);
    CHECK_EQ(line.length, 0);
    CHECK(is_shown(&line));
    feed(&line, "help\r", NULL);
    CHECK(strcmp(line.text, "help") == 0);
}

static void ctrl_c_gives_up(void)
{
    struct line line;

    begin(&line);
    CHECK_EQ(feed(&line, "halt\003", NULL), LINE_GIVEN_UP);
    CHECK_EQ(feed(&line, "mem\r", NULL), LINE_DONE);
    CHECK(strcmp(line.text, "mem") == 0);
}

static void swallows_escapes(void)
{
    struct line line;
    char echo[64] = "";

    begin(&line);
    feed(&line, "m\033[Z\033[5~e\033OPm\033xs\001\002", echo);
    CHECK(strcmp(line.text, "mems") == 0);
    CHECK_EQ(line.cursor, 0);
    CHECK(strcmp(echo, "mems\b\b\b\b") == 0);
}

static void refuses_bytes_above_ascii(void)
{
    struct line line;

    begin(&line);
    for (int key = 128; key < 256; key++)
        CHECK_EQ(line_key(&line, (char)key), LINE_MORE);
    CHECK_EQ(line.length, 0);
}

static void full_line_rings(void)
{
    struct line line;

    begin(&line);
    for (unsigned i = 0; i < LINE_BYTES - 1; i++)
        CHECK_EQ(line_key(&line, 'x'), LINE_MORE);
    CHECK(strcmp(line.echo, "x") == 0);
    CHECK_EQ(line_key(&line, 'y'), LINE_MORE);
    CHECK(strcmp(line.echo, "\a") == 0);
    CHECK_EQ(line.length, LINE_BYTES - 1);
    CHECK_EQ(line.text[LINE_BYTES - 2], 'x');
    CHECK_EQ(line_key(&line, 21), LINE_MORE);
    CHECK_EQ(line.length, 0);
}

static void edits_inside(void)
{
    struct line line;

    begin(&line);
    feed(&line, "rn hello\001\033[Cu", NULL); /* home, right */
    CHECK(strcmp(line.text, "run hello") == 0);
    CHECK(is_shown(&line));
    feed(&line, "\033[F!\033[D\033[D\033[3~", NULL); /* end, left twice, delete */
    CHECK(strcmp(line.text, "run hell!") == 0);
    feed(&line, "\027", NULL); /* the word before the cursor */
    CHECK(strcmp(line.text, "run !") == 0);
    CHECK(is_shown(&line));
    feed(&line, "\002\013x\r", NULL); /* back over the blank; what stands from there on goes */
    CHECK(strcmp(line.text, "runx") == 0);
}

static void remembers_lines(void)
{
    struct line line;
    char text[8];

    begin(&line);
    feed(&line, "\033[A", NULL);
    CHECK_EQ(terminal.bells, 1);
    feed(&line, "mem\rmaps\rmaps\r\rcpu", NULL); /* neither twice nor the empty one */
    feed(&line, "\033[A", NULL);
    CHECK(strcmp(line.text, "maps") == 0);
    feed(&line, "\033[A\033[A", NULL);
    CHECK(strcmp(line.text, "mem") == 0);
    CHECK(is_shown(&line));
    feed(&line, "\033[B\033[B", NULL);
    CHECK(strcmp(line.text, "cpu") == 0); /* the line that was not done */
    CHECK(is_shown(&line));
    feed(&line, "\020\020x\r", NULL);
    CHECK(strcmp(line.text, "memx") == 0);
    feed(&line, "\020\020\020", NULL); /* what was changed is a line of its own */
    CHECK(strcmp(line.text, "mem") == 0);
    for (unsigned i = 0; i < 3 * LINE_HISTORY; i++) {
        snprintf(text, sizeof(text), "\025%u\r", i);
        feed(&line, text, NULL);
    }
    for (unsigned i = 0; i < LINE_HISTORY + 2; i++)
        feed(&line, "\020", NULL);
    snprintf(text, sizeof(text), "%u", 2 * LINE_HISTORY);
    CHECK(strcmp(line.text, text) == 0);
}

static void completes(void)
{
    struct line line;

    begin(&line);
    CHECK_EQ(feed(&line, "run h\t", NULL), LINE_COMPLETE);
    CHECK_EQ(strlen(line.echo), 0);
    line_insert(&line, "ello ");
    show(line.echo);
    CHECK(strcmp(line.text, "run hello ") == 0);
    CHECK(is_shown(&line));
    for (unsigned i = 0; i < 20; i++) { /* what does not fit is left out */
        line_insert(&line, "0123456789");
        show(line.echo);
    }
    CHECK_EQ(line.length, LINE_BYTES - 1);
    CHECK(is_shown(&line));
    feed(&line, "\001", NULL);
    show("\r\n"); /* somebody prints; the line stands on the next row again */
    line_show(&line);
    show(line.echo);
    CHECK(is_shown(&line));
}

static void any_keys_hold_invariants(void)
{
    struct line line;
    uint64_t random = 1;

    begin(&line);
    for (unsigned i = 0; i < 200000; i++) {
        char key = (char)random_next(&random);
        enum line_event event = line_key(&line, random_below(&random, 40) ? key : "ABCDEF"[i % 6]);
        show(line.echo);
        CHECK(line.length < LINE_BYTES && line.cursor <= line.length);
        CHECK(event == LINE_DONE || event == LINE_GIVEN_UP || is_shown(&line));
        CHECK_EQ(strlen(line.text), line.length);
        CHECK(strlen(line.echo) < sizeof(line.echo));
        for (size_t j = 0; j < line.length; j++)
            CHECK(line.text[j] >= ' ' && line.text[j] <= '~');
    }
}

static void splits_words(void)
{
    char text[] = "  mem  all the rest ", empty[] = "   ";
    char *words[2];

    CHECK_EQ(line_words(text, words, 2), 2);
    CHECK(strcmp(words[0], "mem") == 0);
    CHECK(strcmp(words[1], "all the rest ") == 0);
    CHECK_EQ(line_words(empty, words, 2), 0);
    CHECK_EQ(line_words(empty, words, 2), 0);
}

static const struct test tests[] = {
    {"takes text", takes_text},
    {"the next line is new", next_line_is_new},
    {"CR LF is one end of a line", cr_lf_is_one_end},
    {"backspace and delete", backspace_and_delete},
    {"ctrl-u clears the line", ctrl_u_clears},
    {"ctrl-c gives the line up", ctrl_c_gives_up},
    {"swallows escape sequences", swallows_escapes},
    {"refuses bytes above ASCII", refuses_bytes_above_ascii},
    {"a full line rings the bell", full_line_rings},
    {"edits inside of the line", edits_inside},
    {"remembers lines", remembers_lines},
    {"completes and shows again", completes},
    {"any keys hold the invariants", any_keys_hold_invariants},
    {"splits words", splits_words},
};
TEST_MAIN(tests)
