/*
 * Bytes that a running kernel takes beside its image, from the headers that decide them: per CPU, per frame, per object.
 */
#include "../mem/phys/framedb_impl.h"

#include <kernel/boot.h>
#include <kernel/layout.h>
#include <qy/slab.h>
#include <stdio.h>

static void row(const char *what, uint64_t bytes)
{
    printf("%-44s %9llu\n", what, (unsigned long long)bytes);
}

int main(void)
{
    uint64_t frame = sizeof(struct qy_frame), block = sizeof(struct qy_block);
    uint64_t section = sizeof(struct qy_section);
    printf("%-44s %9s\n", "tables", "bytes");
    row("  for each CPU: stacks", KERNEL_STACK_KINDS * KERNEL_STACK_BYTES);
    row("  for each CPU: area", KERNEL_CPU_AREA_BACKED_BYTES);
    row("  for each frame of 4 KiB", frame);
    row("  for each block of 2 MiB", block);
    row("  for each section of 128 MiB", section);
    row("  for each GiB of RAM, all of them", (frame << 18) + block * 512 + section * 8);
    row("  for each arena", sizeof(struct qy_arena));
    row("  for each slab cache", sizeof(struct qy_cache));
    return 0;
}
