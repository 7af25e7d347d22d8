/* The freestanding memory and string functions, under other names, against the C library's. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <tap.h>

void *qy_memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *qy_memmove(void *to, const void *from, size_t bytes);
void *qy_memset(void *at, int value, size_t bytes);
int qy_memcmp(const void *a, const void *b, size_t bytes);
size_t qy_strlen(const char *text);
int qy_strcmp(const char *a, const char *b);
int qy_strncmp(const char *a, const char *b, size_t bytes);

#define memcpy qy_memcpy
#define memmove qy_memmove
#define memset qy_memset
#define memcmp qy_memcmp
#define strlen qy_strlen
#define strcmp qy_strcmp
#define strncmp qy_strncmp
#include "../../lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strcmp
#undef strncmp

#define ROOM 160u

static void fill_with_pattern(unsigned char *at)
{
    for (unsigned i = 0; i < ROOM; i++)
        at[i] = (unsigned char)(i * 7 + 1);
}

/* Every length, alignment and overlap; what lies around must stay. */
static void moves(void)
{
    unsigned char ours[ROOM], theirs[ROOM];

    for (unsigned to = 0; to < 40; to++)
        for (unsigned from = 0; from < 40; from++)
            for (unsigned bytes = 0; bytes <= 80; bytes++) {
                fill_with_pattern(ours);
                fill_with_pattern(theirs);
                void *result = qy_memmove(ours + to, ours + from, bytes);
                memmove(theirs + to, theirs + from, bytes);
                CHECK(result == ours + to);
                if (memcmp(ours, theirs, ROOM) != 0)
                    CHECK_EQ(to << 16 | from << 8 | bytes, 0);
            }
}

static void copies(void)
{
    unsigned char source[ROOM], ours[ROOM], theirs[ROOM];

    fill_with_pattern(source);
    for (unsigned to = 0; to < 16; to++)
        for (unsigned from = 0; from < 16; from++)
            for (unsigned bytes = 0; bytes <= 100; bytes++) {
                memset(ours, 0xee, ROOM);
                memset(theirs, 0xee, ROOM);
                CHECK(qy_memcpy(ours + to, source + from, bytes) == ours + to);
                memcpy(theirs + to, source + from, bytes);
                CHECK(memcmp(ours, theirs, ROOM) == 0);
            }
}

static void fills(void)
{
    unsigned char ours[ROOM], theirs[ROOM];

    for (unsigned at = 0; at < 16; at++)
        for (unsigned bytes = 0; bytes <= 100; bytes++) {
            fill_with_pattern(ours);
            fill_with_pattern(theirs);
            CHECK(qy_memset(ours + at, (int)(bytes + 0x1c0), bytes) == ours + at);
            memset(theirs + at, (int)(bytes + 0x1c0), bytes);
            CHECK(memcmp(ours, theirs, ROOM) == 0);
        }
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void comparisons(void)
{
    unsigned char a[ROOM], b[ROOM];

    fill_with_pattern(a);
    for (unsigned shift = 0; shift < 9; shift++)
        for (unsigned bytes = 0; bytes <= 40; bytes++)
            for (unsigned differs = 0; differs <= bytes; differs++) {
                memcpy(b + shift, a, bytes + 1);
                b[shift + differs] ^= 0x80;
                CHECK_EQ(sign(qy_memcmp(a, b + shift, bytes)), sign(memcmp(a, b + shift, bytes)));
                CHECK_EQ(sign(qy_memcmp(b + shift, a, bytes)), sign(memcmp(b + shift, a, bytes)));
            }
}

static void strings(void)
{
    static const char *const words[] = {"",    "a",    "b",        "ab",      "abc",
                                        "abd", "\xff", "abcdefgh", "abcdefgi"};
    unsigned count = sizeof(words) / sizeof(words[0]);

    for (unsigned i = 0; i < count; i++) {
        CHECK_EQ(qy_strlen(words[i]), strlen(words[i]));
        for (unsigned k = 0; k < count; k++) {
            CHECK_EQ(sign(qy_strcmp(words[i], words[k])), sign(strcmp(words[i], words[k])));
            for (unsigned n = 0; n < 10; n++)
                CHECK_EQ(sign(qy_strncmp(words[i], words[k], n)),
                         sign(strncmp(words[i], words[k], n)));
        }
    }
}

static const struct test tests[] = {
    {"memmove at every length, alignment and overlap", moves},
    {"memcpy at every length and alignment", copies},
    {"memset at every length and alignment", fills},
    {"memcmp finds the first difference, unsigned", comparisons},
    {"strlen, strcmp and strncmp", strings},
};
TEST_MAIN(tests)
