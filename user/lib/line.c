/*
 * A line editor for a serial terminal: see user/line.h.
 */
#include <stdbool.h>
#include <user/line.h>

#define KEY_CTRL_C 3
#define KEY_BELL "\a"
#define KEY_BACKSPACE 8
#define KEY_CTRL_U 21
#define KEY_ESCAPE 27
#define KEY_DELETE 127

void line_begin(struct line *line)
{
    *line = (struct line){0};
}

static void echo(struct line *line, const char *text)
{
    size_t used = 0;

    while (line->echo[used])
        used++;
    while (*text)
        line->echo[used++] = *text++;
    line->echo[used] = 0;
}

static void erase(struct line *line, size_t count)
{
    for (; count && line->length; count--) {
        line->text[--line->length] = 0;
        echo(line, "\b \b");
    }
}

/* ESC, then either one character or '[' with parameters up to a letter or '~'. True: the key is
 * part of it. */
static bool in_escape(struct line *line, char key)
{
    switch (line->escape) {
    case 0:
        line->escape = key == KEY_ESCAPE;
        return line->escape;
    case 1:
        line->escape = key == '[' || key == 'O' ? 2 : 0;
        return true;
    default:
        if (key >= '@' && key <= '~')
            line->escape = 0;
        return true;
    }
}

static void insert(struct line *line, char key)
{
    char text[2] = {key, 0};

    if (line->length + 1 == LINE_BYTES) {
        echo(line, KEY_BELL);
        return;
    }
    line->text[line->length++] = key;
    line->text[line->length] = 0;
    echo(line, text);
}

enum line_event line_key(struct line *line, char key)
{
    char previous = line->previous;

    if (previous == '\r' || previous == '\n' || previous == KEY_CTRL_C) {
        line->length = 0;
        line->text[0] = 0;
    }
    line->previous = key;
    line->echo[0] = 0;
    if (in_escape(line, key))
        return LINE_MORE;
    switch (key) {
    case '\n':
        if (previous == '\r')
            return LINE_MORE;
        __attribute__((fallthrough));
    case '\r':
        echo(line, "\r\n");
        return LINE_DONE;
    case KEY_CTRL_C:
        echo(line, "^C\r\n");
        return LINE_GIVEN_UP;
    case KEY_BACKSPACE:
    case KEY_DELETE:
        erase(line, 1);
        return LINE_MORE;
    case KEY_CTRL_U:
        erase(line, line->length);
        return LINE_MORE;
    default:
        if (key >= ' ' && key <= '~')
            insert(line, key);
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
