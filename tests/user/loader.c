/*
 * The programs' loader in this process (loader.h): a good file, every call of the kernel that fails, every prefix, every byte
 * damaged; shared images and own ones. It would miss what a real kernel refuses and this one does not.
 */
#include "../unit/elf_file.h"
#include <tap.h>

#include "loader.h"

static uint8_t bytes[FILE_BYTES];

/* It needs nothing that is not there. */
static void good(void)
{
    make(bytes, X86);
    symbol(bytes, 2, 6, 2, 0, 0);
    tag(bytes, 11, 0, 0);
}

static void a_good_file(void)
{
    good();
    for (unsigned shared = 0; shared < 2; shared++)
        CHECK_EQ(loader_run((struct file){bytes, FILE_BYTES}, shared, 0), QY_OK);
}

static void each_call_that_fails(void)
{
    good();
    for (unsigned shared = 0; shared < 2; shared++) {
        unsigned n = 1;
        while (loader_run((struct file){bytes, FILE_BYTES}, shared, n) != QY_OK)
            n++;
        CHECK(n > 20);
    }
}

static void run(struct qy_bytes input)
{
    (void)loader_run((struct file){input.at, input.count}, input.count % 2, 0);
}

static void run_prefix(struct qy_bytes input)
{
    CHECK_EQ(loader_run((struct file){input.at, input.count}, true, 0),
             input.count < FILE_BYTES ? QY_TRUNCATED : QY_OK);
}

static void damage(void)
{
    good();
    each_prefix(bytes, FILE_BYTES, run_prefix);
    each_corruption(bytes, FILE_BYTES, run);
}

static const struct test tests[] = {
    {"a good file is loaded as it says", a_good_file},
    {"each call that fails leaves nothing", each_call_that_fails},
    {"every prefix, every byte damaged: nothing is left", damage},
};
TEST_MAIN(tests)
