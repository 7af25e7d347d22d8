/*
 * Words of a kernel command line.
 */
#include <lib/string.h>
#include <platform/parse.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool qy_option(const char *command_line, const char *name, char *value, size_t bytes)
{
    size_t length = strlen(name);
    bool found = false;

    if (bytes)
        value[0] = '\0';
    for (const char *word = command_line; *word;) {
        const char *end = word;
        while (*end && !is_blank(*end))
            end++;
        size_t word_bytes = (size_t)(end - word);
        if (length && word_bytes >= length && strncmp(word, name, length) == 0 &&
            (word_bytes == length || word[length] == '=')) {
            found = true;
            const char *from = word_bytes == length ? end : word + length + 1;
            size_t copied = 0;
            for (; from < end && copied + 1 < bytes; copied++)
                value[copied] = *from++;
            if (bytes)
                value[copied] = '\0';
        }
        for (word = end; is_blank(*word);)
            word++;
    }
    return found;
}
