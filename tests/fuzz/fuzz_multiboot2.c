/* Any bytes as Multiboot2's information. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static struct qy_boot_info info;

    boot_before(&info);
    check_boot(qy_parse_multiboot2((struct qy_bytes){data, count}, paddr(0x9000), &info), &info);
    return 0;
}
