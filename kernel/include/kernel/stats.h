/*
 * Statistics: filling the records of include/quarry/records.h from where the numbers are.
 */
#ifndef KERNEL_STATS_H
#define KERNEL_STATS_H

#include <kernel/cpu.h>
#include <quarry/records.h>
#include <qy/framedb.h>
#include <qy/map.h>

struct qy_topology;
struct kernel_arenas;

/* Where the numbers come from; all of it stays the kernel's and lives for ever. boot_clock: the
 * clock at entry. */
void stats_init(const struct qy_map *map, const struct qy_framedb *db,
                const struct qy_topology *topology, struct kernel_arenas *arenas,
                uint64_t boot_clock);

union stats_record {
#define R(NAME, value, name, table) struct qy_record_##name name;
    QY_RECORDS(R)
#undef R
};

/*
 * Fill the index-th record of that kind, of regions the one from address `at` on; *bytes is its size. Errors:
 * INVALID_ARGUMENT (kind), NOT_FOUND (index, at), UNSUPPORTED (nobody counts that in this boot).
 */
enum qy_error stats_record(uint64_t kind, uint64_t index, uint64_t at, union stats_record *out,
                           size_t *bytes) QY_MUST_USE QY_EXCLUDES(qy_class_caps);

#endif
