/* Any bytes as the memory from 4 KiB on, with PVH's start info at its start. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static struct qy_boot_info info;
    struct memory memory = {.count = 0};
    struct qy_reader reader = {memory_read, &memory};

    memory_add(&memory, 0x1000, data, count);
    boot_before(&info);
    check_boot(qy_parse_pvh(&reader, paddr(0x1000), &info), &info);
    memory_free(&memory);
    return 0;
}
