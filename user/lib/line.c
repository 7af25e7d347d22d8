/*
 * A line editor for a serial terminal: see user/line.h.
 */
#include <lib/string.h>
#include <stdbool.h>
#include <user/line.h>

#define CTRL(letter) ((letter) - '@')
#define KEY_ESCAPE 27
#define KEY_DELETE 127

_Static_assert(LINE_KEY_GIVE_UP == CTRL('C') && LINE_KEY_SUSPEND == CTRL('Z'), "control keys");

void line_begin(struct line *line)
{
    *line = (struct line){0};
}

/* Of one key comes at most: back over the old text, the new one, blanks over the rest, back to the cursor. */
static void echo(struct line *line, char c)
{
    if (line->echoed + 1 < sizeof(line->echo)) {
        line->echo[line->echoed++] = c;
        line->echo[line->echoed] = 0;
    }
}

static void back(struct line *line, size_t count)
{
    while (count--)
        echo(line, '\b');
}

static void move(struct line *line, size_t to)
{
    back(line, line->cursor > to ? line->cursor - to : 0);
    for (; line->cursor < to; line->cursor++)
        echo(line, line->text[line->cursor]);
    line->cursor = to;
}

/* Put `count` characters in the place of [from, to), and the cursor behind them. They fit. */
static void replace(struct line *line, size_t from, size_t to, const char *text, size_t count)
{
    size_t old = line->length, rest = old - to;

    move(line, from);
    memmove(line->text + from + count, line->text + to, rest);
    memcpy(line->text + from, text, count);
    line->length = from + count + rest;
    line->text[line->length] = 0;
    for (size_t i = from; i < line->length; i++)
        echo(line, line->text[i]);
    for (size_t i = line->length; i < old; i++)
        echo(line, ' ');
    line->cursor = from + count;
    back(line, (line->length > old ? line->length : old) - line->cursor);
}

void line_insert(struct line *line, const char *text)
{
    size_t count = strlen(text), room = LINE_BYTES - 1 - line->length;

    line->echoed = 0;
    line->echo[0] = 0;
    replace(line, line->cursor, line->cursor, text, count < room ? count : room);
}

void line_show(struct line *line)
{
    size_t cursor = line->cursor;

    line->echoed = 0;
    line->echo[0] = 0;
    if (line->last)
        return;
    line->cursor = 0;
    move(line, line->length);
    move(line, cursor);
}

static void insert(struct line *line, char key)
{
    if (line->length + 1 == LINE_BYTES)
        echo(line, '\a');
    else
        replace(line, line->cursor, line->cursor, &key, 1);
}

/* ---- history ---- */

static unsigned history_count(const struct line *line)
{
    return line->remembered < LINE_HISTORY ? line->remembered : LINE_HISTORY;
}

/* The line that is so many back: 1 = the latest. */
static char *remembered(struct line *line, unsigned steps)
{
    return line->history[(line->remembered - steps) % LINE_HISTORY];
}

static void remember(struct line *line)
{
    if (!line->length || (history_count(line) && strcmp(remembered(line, 1), line->text) == 0))
        return;
    line->remembered++;
    memcpy(remembered(line, 1), line->text, line->length + 1);
}

static void show_remembered(struct line *line, unsigned steps)
{
    if (steps > history_count(line) || steps == line->back) {
        echo(line, '\a');
        return;
    }
    if (line->back == 0)
        memcpy(line->draft, line->text, line->length + 1);
    line->back = steps;
    const char *text = steps ? remembered(line, steps) : line->draft;
    replace(line, 0, line->length, text, strlen(text));
}

/* ---- keys ---- */

static size_t word_begin(const struct line *line)
{
    size_t at = line->cursor;

    while (at && line->text[at - 1] == ' ')
        at--;
    while (at && line->text[at - 1] != ' ')
        at--;
    return at;
}

/* The control key that does what an escape sequence ends in; 0: none does. */
static char sequence_key(char last, unsigned parameter)
{
    switch (last) {
    case 'A':
        return CTRL('P');
    case 'B':
        return CTRL('N');
    case 'C':
        return CTRL('F');
    case 'D':
        return CTRL('B');
    case 'H':
        return CTRL('A');
    case 'F':
        return CTRL('E');
    case '~':
        return parameter == 3                     ? CTRL('D')
               : parameter == 1 || parameter == 7 ? CTRL('A')
               : parameter == 4 || parameter == 8 ? CTRL('E')
                                                  : 0;
    default:
        return 0;
    }
}

/* ESC, then either one character or '[' with a number up to a letter or '~'. True: the key is part of it, and *key is
 * what it comes to, 0 for nothing yet. */
static bool in_escape(struct line *line, char *key)
{
    char last = *key;

    if (line->escape == 0) {
        line->escape = last == KEY_ESCAPE;
        line->parameter = 0;
        *key = line->escape ? 0 : last;
        return line->escape;
    }
    *key = 0;
    if (line->escape == 1) {
        line->escape = last == '[' || last == 'O' ? 2 : 0;
    } else if (last >= '0' && last <= '9') {
        line->parameter = (line->parameter * 10 + (unsigned)(last - '0')) % 1000;
    } else if (last >= '@' && last <= '~') {
        line->escape = 0;
        *key = sequence_key(last, line->parameter);
    }
    return true;
}

static void edit(struct line *line, char key)
{
    size_t at = line->cursor, end = line->length;

    switch (key) {
    case CTRL('A'):
        move(line, 0);
        break;
    case CTRL('E'):
        move(line, end);
        break;
    case CTRL('B'):
        move(line, at ? at - 1 : 0);
        break;
    case CTRL('F'):
        move(line, at < end ? at + 1 : end);
        break;
    case CTRL('H'):
    case KEY_DELETE:
        replace(line, at ? at - 1 : 0, at, "", 0);
        break;
    case CTRL('D'):
        replace(line, at, at < end ? at + 1 : end, "", 0);
        break;
    case CTRL('U'):
        replace(line, 0, at, "", 0);
        break;
    case CTRL('K'):
        replace(line, at, end, "", 0);
        break;
    case CTRL('W'):
        replace(line, word_begin(line), at, "", 0);
        break;
    case CTRL('P'):
        show_remembered(line, line->back + 1);
        break;
    case CTRL('N'):
        show_remembered(line, line->back ? line->back - 1 : 0);
        break;
    default:
        if (key >= ' ' && key <= '~')
            insert(line, key);
    }
}

enum line_event line_key(struct line *line, char key)
{
    bool after_cr = line->last == '\r';

    if (line->last) {
        line->length = line->cursor = 0;
        line->text[0] = 0;
        line->back = 0;
    }
    line->last = 0;
    line->echoed = 0;
    line->echo[0] = 0;
    if (in_escape(line, &key) && !key)
        return LINE_MORE;
    switch (key) {
    case '\t':
        return LINE_COMPLETE;
    case '\n':
        if (after_cr)
            return LINE_MORE;
        __attribute__((fallthrough));
    case '\r':
        line->last = key;
        move(line, line->length);
        echo(line, '\r');
        echo(line, '\n');
        remember(line);
        return LINE_DONE;
    case LINE_KEY_GIVE_UP:
        line->last = key;
        for (const char *at = "^C\r\n"; *at; at++)
            echo(line, *at);
        return LINE_GIVEN_UP;
    default:
        edit(line, key);
        return LINE_MORE;
    }
}

size_t line_words(char *text, char *words[], size_t most)
{
    size_t count = 0;

    while (*text) {
        while (*text == ' ')
            *text++ = 0;
        if (!*text || count == most)
            break;
        words[count++] = text;
        while (*text && (*text != ' ' || count == most))
            text++;
    }
    return count;
}
