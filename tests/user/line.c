/*
 * The line editor of the prompt: keys in, text and echo out. It would miss a terminal that sends
 * other codes than 8 or 127 for backspace.
 */
#include <string.h>
#include <tap.h>
#include <user/line.h>

/* Feed keys; returns the last key's event. `echoed`, if not null, collects all echo. */
static enum line_event feed(struct line *line, const char *keys, char *echoed)
{
    enum line_event event = LINE_MORE;

    for (; *keys; keys++) {
        event = line_key(line, *keys);
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

    line_begin(&line);
    CHECK_EQ(feed(&line, "maps", echo), LINE_MORE);
    CHECK_EQ(feed(&line, "\r", echo), LINE_DONE);
    CHECK(strcmp(line.text, "maps") == 0);
    CHECK(strcmp(echo, "maps\r\n") == 0);
}

static void next_line_is_new(void)
{
    struct line line;

    line_begin(&line);
    feed(&line, "one\r\n", NULL);
    CHECK_EQ(feed(&line, "two\n", NULL), LINE_DONE);
    CHECK(strcmp(line.text, "two") == 0);
}

static void cr_lf_is_one_end(void)
{
    struct line line;

    line_begin(&line);
    CHECK_EQ(feed(&line, "a\r", NULL), LINE_DONE);
    CHECK_EQ(line_key(&line, '\n'), LINE_MORE);
    CHECK_EQ(line_key(&line, '\n'), LINE_DONE);
    CHECK_EQ(line.length, 0);
}

static void backspace_and_delete(void)
{
    struct line line;
    char echo[64] = "";

    line_begin(&line);
    feed(&line, "mex\b", echo);
    CHECK(strcmp(echo, "mex\b \b") == 0);
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

    line_begin(&line);
    feed(&line, "abc\025", NULL);
    CHECK_EQ(line.length, 0);
    CHECK(strcmp(line.echo, "\b \b\b \b\b \b") == 0);
    feed(&line, "help\r", NULL);
    CHECK(strcmp(line.text, "help") == 0);
}

static void ctrl_c_gives_up(void)
{
    struct line line;

    line_begin(&line);
    CHECK_EQ(feed(&line, "halt\003", NULL), LINE_GIVEN_UP);
    CHECK_EQ(feed(&line, "mem\r", NULL), LINE_DONE);
    CHECK(strcmp(line.text, "mem") == 0);
}

static void swallows_escapes(void)
{
    struct line line;
    char echo[64] = "";

    line_begin(&line);
    feed(&line, "m\033[A\033[1;5De\033OPm\033xs\t\001", echo);
    CHECK(strcmp(line.text, "mems") == 0);
    CHECK(strcmp(echo, "mems") == 0);
}

static void refuses_bytes_above_ascii(void)
{
    struct line line;

    line_begin(&line);
    for (int key = 128; key < 256; key++)
        CHECK_EQ(line_key(&line, (char)key), LINE_MORE);
    CHECK_EQ(line.length, 0);
}

static void full_line_rings(void)
{
    struct line line;

    line_begin(&line);
    for (unsigned i = 0; i < LINE_BYTES - 1; i++)
        CHECK_EQ(line_key(&line, 'x'), LINE_MORE);
    CHECK(strcmp(line.echo, "x") == 0);
    CHECK_EQ(line_key(&line, 'y'), LINE_MORE);
    CHECK(strcmp(line.echo, "\a") == 0);
    CHECK_EQ(line.length, LINE_BYTES - 1);
    CHECK_EQ(line.text[LINE_BYTES - 2], 'x');
    /* The longest echo there can be. */
    CHECK_EQ(line_key(&line, 21), LINE_MORE);
    CHECK_EQ(strlen(line.echo), 3 * (LINE_BYTES - 1));
}

static void any_keys_hold_invariants(void)
{
    struct line line;
    unsigned seed = 1;

    line_begin(&line);
    for (unsigned i = 0; i < 200000; i++) {
        seed = seed * 1664525 + 1013904223;
        line_key(&line, (char)(seed >> 24));
        CHECK(line.length < LINE_BYTES);
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
    {"any keys hold the invariants", any_keys_hold_invariants},
    {"splits words", splits_words},
};
TEST_MAIN(tests)
