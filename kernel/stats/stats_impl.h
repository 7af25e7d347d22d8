/*
 * Where the numbers of records come from, for the files of kernel/stats. Private.
 */
#ifndef KERNEL_STATS_IMPL_H
#define KERNEL_STATS_IMPL_H

#include <kernel/arenas.h>
#include <kernel/stats.h>

struct stats_sources {
    const struct qy_map *map;
    const struct qy_framedb *db;
    struct kernel_arenas *arenas;
    uint32_t nodes;
    uint64_t boot_ticks;
};

extern struct stats_sources stats_from; /* written once, by stats_init */

/* Who has what (holders.c): see the records' comments. Of a region next_at says from where on. */
enum qy_error fill_run(uint64_t index, struct qy_record_run *out) QY_MUST_USE;
enum qy_error fill_untyped(uint64_t index, struct qy_record_untyped *out) QY_MUST_USE;
enum qy_error fill_space(uint64_t index, struct qy_record_space *out) QY_MUST_USE;
enum qy_error fill_region(uint64_t index, struct qy_record_region *out) QY_MUST_USE;

#endif
