/* Words of a command line. */
#include "memory.h"
#include <tap.h>

static char value[8];

static bool has(const char *line, const char *name, const char *wanted)
{
    memset(value, '#', sizeof(value));
    return qy_option(line, name, value, sizeof(value)) && strcmp(value, wanted) == 0;
}

static bool lacks(const char *line, const char *name)
{
    memset(value, '#', sizeof(value));
    return !qy_option(line, name, value, sizeof(value)) && value[0] == '\0';
}

static void words(void)
{
    CHECK(has("quiet", "quiet", ""));
    CHECK(has("a=1 quiet b=2", "quiet", ""));
    CHECK(has("a=1 quiet b=2", "a", "1"));
    CHECK(has("a=1\tquiet\n b=2", "b", "2"));
    CHECK(has("  a=1  ", "a", "1"));
    CHECK(has("a=", "a", ""));
    CHECK(has("a=b=c", "a", "b=c"));
    CHECK(has("a=1 a=2 aa=3", "a", "2")); /* the last one */
    CHECK(has("a=1 a", "a", ""));
}

static void words_that_are_not_there(void)
{
    CHECK(lacks("", "a"));
    CHECK(lacks("   ", "a"));
    CHECK(lacks("aa ba a-b", "a"));
    CHECK(lacks("b=a", "a"));
    CHECK(lacks("a", "aa"));
    CHECK(lacks("a=1 =2", ""));
}

static void values_are_cut_to_fit(void)
{
    CHECK(has("a=1234567", "a", "1234567"));
    CHECK(has("a=12345678 b", "a", "1234567"));
    value[0] = 'x';
    CHECK(qy_option("a=1", "a", value, 1));
    CHECK_EQ(value[0], 0);
    CHECK(qy_option("a=1", "a", NULL, 0));
}

static const struct test tests[] = {
    {"words with and without a value", words},
    {"words that are not there", words_that_are_not_there},
    {"values are cut to fit", values_are_cut_to_fit},
};
TEST_MAIN(tests)
