/*
 * A line editor for a serial terminal, as a pure function of the keys.
 *
 *     key --> line_key() --> line->echo: what to send to the terminal
 *                        --> LINE_DONE: line->text is the line
 *
 * Backspace and delete take one character, ctrl-u all of them, ctrl-c gives the line up, enter (CR
 * or LF) ends it. Escape sequences (arrow keys) and other control characters are swallowed. A key
 * for which there is no room rings the bell and changes nothing.
 *
 * Invariants: LINE-END (text is terminated, length < LINE_BYTES), LINE-PRINT (it holds only
 * printable ASCII). Cost: O(1) a key, ctrl-u O(length). No allocation, no lock: a line belongs to
 * its caller.
 */
#ifndef USER_LINE_H
#define USER_LINE_H

#include <stddef.h>

#define LINE_BYTES 80

enum line_event { LINE_MORE, LINE_DONE, LINE_GIVEN_UP };

struct line {
    size_t length;
    unsigned escape; /* 0 = none, 1 = after ESC, 2 = inside ESC [ ... */
    char previous;   /* the key before, so that CR LF is one end of a line */
    char text[LINE_BYTES];
    char echo[3 * LINE_BYTES + 1]; /* of the latest key; terminated */
};

/* An empty line. */
void line_begin(struct line *line);

/* Take a key. After LINE_DONE and LINE_GIVEN_UP the next key begins a new line; text stays until
 * then. */
enum line_event line_key(struct line *line, char key);

/*
 * Split text into words at blanks, in place. Returns the number of words, at most `most`; the rest
 * of a line with more stays in the last word.
 */
size_t line_words(char *text, char *words[], size_t most);

#endif
