/*
 * A line editor for a serial terminal, as a pure function of the keys.
 *
 *     key --> line_key() --> line->echo: what to send to the terminal
 *                        --> LINE_DONE: line->text is the line
 *                        --> LINE_COMPLETE: whoever knows the words may put in more: line_insert()
 *
 *     left, right, home, end, ctrl-b f a e   move            backspace, delete, ctrl-d   take a character
 *     up, down, ctrl-p n                     older, newer    ctrl-u, ctrl-k, ctrl-w      to the begin, to the end, a word
 *     tab                                    complete        ctrl-c                      give the line up
 *
 * The echo moves with blanks and backspaces alone, so any terminal will do, if prompt and line fit its width. Other
 * escape sequences and control characters are swallowed. A key for which there is no room rings the bell and changes
 * nothing. Enter is CR, LF or both.
 *
 * Invariants: LINE-END (text is terminated, cursor <= length < LINE_BYTES), LINE-PRINT (it holds only printable ASCII),
 * LINE-ECHO (a terminal that got every echo shows the text, its cursor where the line's is). Cost: O(length) a key. No
 * allocation, no lock: a line belongs to its caller.
 */
#ifndef USER_LINE_H
#define USER_LINE_H

#include <stddef.h>

#define LINE_BYTES 72       /* with a short prompt it fits 80 columns */
#define LINE_HISTORY 16u    /* lines that are remembered */
#define LINE_KEY_GIVE_UP 3  /* ctrl-c */
#define LINE_KEY_SUSPEND 26 /* ctrl-z; nothing to a line */

enum line_event { LINE_MORE, LINE_DONE, LINE_GIVEN_UP, LINE_COMPLETE };

struct line {
    size_t length, cursor;
    unsigned escape, parameter; /* 0 = none, 1 = after ESC, 2 = inside ESC [ ...; its number */
    char
        last; /* the key that ended the line before, so that CR LF is one end; 0 = inside of a line */
    char text[LINE_BYTES];
    char echo[4 * LINE_BYTES]; /* of the latest key; terminated */
    size_t echoed;
    unsigned remembered,
        back; /* lines ever remembered; how many back the text comes from, 0 = it is new */
    char history[LINE_HISTORY][LINE_BYTES];
    char draft[LINE_BYTES]; /* the new line while an old one is shown */
};

/* An empty line, and no history. */
void line_begin(struct line *line);

/* Take a key. After LINE_DONE and LINE_GIVEN_UP the next key begins a new line; text stays until then. */
enum line_event line_key(struct line *line, char key);

/* As if this text were typed, instead of the latest key; echo is its. What does not fit is left out. */
void line_insert(struct line *line, const char *text);

/* The line once more, for a new row of the terminal: its text, and the cursor back to its place, as the latest echo.
 * Nothing after its end. */
void line_show(struct line *line);

/*
 * Split text into words at blanks, in place. Returns the number of words, at most `most`; the rest
 * of a line with more stays in the last word.
 */
size_t line_words(char *text, char *words[], size_t most);

#endif
