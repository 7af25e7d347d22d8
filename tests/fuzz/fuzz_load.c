/* Any bytes as a program for the loader, on a kernel that only remembers: tests/user/loader.h says what must hold. */
#include "fuzz.h"

#include "../user/loader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    for (unsigned shared = 0; shared < 2; shared++)
        (void)loader_run((struct file){data, count}, shared, 0);
    if (count)
        (void)loader_run((struct file){data, count}, data[0] & 1, 1 + data[count - 1] % 64);
    return 0;
}
