/*
 * See user/tls.h.
 */
#include <lib/string.h>
#include <user/program.h>
#include <user/space.h>
#include <user/tls.h>

size_t tls_bytes(void)
{
    const struct program_info *info = program;

    if (!info || !info->tls_memory_bytes)
        return 0;
    /* To be aligned whatever it begins at, and to be as far from a multiple as the template is. */
    uint64_t bytes = info->tls_memory_bytes + 2 * (info->tls_align + sizeof(uint64_t));
    return (bytes + 15) & ~15ull;
}

uint64_t tls_make(unsigned char *at)
{
    const struct program_info *info = program;
    uint64_t mask = info->tls_align - 1, start = (uintptr_t)at, pointer;

    if (TLS_BELOW) {
        uint64_t below = info->tls_memory_bytes + ((0 - info->tls - info->tls_memory_bytes) & mask);
        pointer = (start + below + (mask | 7)) & ~(mask | 7);
        start = pointer - below;
        *(uint64_t *)pointer = pointer;
    } else {
        pointer = (start + mask) & ~mask;
        start = pointer + (info->tls & mask);
    }
    memcpy((void *)start, (const void *)(uintptr_t)info->tls, info->tls_bytes);
    return pointer;
}

enum qy_error tls_begin(void)
{
    uint64_t at = 0;
    size_t bytes = tls_bytes();

    if (!bytes)
        return QY_OK;
    enum qy_error error =
        space_map_region(QY_SLOT_SPACE, &at, PAGE_ALIGN(bytes),
                         QY_MAP_READ | QY_MAP_WRITE | QY_REGION(QY_REGION_MAPPED), 0);
    return error == QY_OK ? thread_pointer(tls_make((unsigned char *)(uintptr_t)at)) : error;
}
