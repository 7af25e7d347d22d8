/* Any bytes as a UEFI memory map; the first says how long a descriptor is. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static struct qy_boot_info info;

    if (!count)
        return 0;
    boot_before(&info);
    check_boot(qy_parse_uefi_map((struct qy_bytes){data + 1, count - 1}, data[0], &info), &info);
    return 0;
}
