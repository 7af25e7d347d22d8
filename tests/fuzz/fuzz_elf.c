/* Any bytes as an executable or a library of either machine: what is accepted keeps what qy_elf_read promises. */
#include "fuzz.h"

#include "../unit/elf_promises.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    struct qy_bytes file = {data, count};
    const unsigned machines[] = {62, 243};

    for (unsigned i = 0; i < 2; i++)
        (void)promises_check(file, machines[i]);
    return 0;
}
