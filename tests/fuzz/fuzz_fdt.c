/* Any bytes as a device tree: memory and topology. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static struct qy_boot_info info;
    static struct qy_topology topology;
    struct qy_bytes tree = {data, count};

    boot_before(&info);
    check_boot(qy_parse_fdt(tree, paddr(0x1000), &info), &info);
    check_topology(qy_fdt_topology(tree, &topology), &topology);
    return 0;
}
