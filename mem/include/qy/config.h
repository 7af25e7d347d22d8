/*
 * How large a machine is built for, and what it can do without. Decided at build time: meson_options.txt has the same
 * names, with the profiles `default` and `minimal`; docs/footprint.md shows what each is worth.
 *
 * These are the values of a build that says nothing.
 */
#ifndef QY_CONFIG_H
#define QY_CONFIG_H

/* Order of the largest block of a buddy arena, 15 (128 MiB) to 18 (1 GiB). */
#ifndef QY_CONFIG_MAX_ORDER
#define QY_CONFIG_MAX_ORDER 18
#endif

/* CPUs, 1 to 512; further ones stay off, and the console says so. */
#ifndef QY_CONFIG_MAX_CPUS
#define QY_CONFIG_MAX_CPUS 512
#endif

/* NUMA nodes, 1 to 64; a machine with more is taken as one node, and the console says so. */
#ifndef QY_CONFIG_MAX_NODES
#define QY_CONFIG_MAX_NODES 64
#endif

/* A zone of its own for memory below 4 GiB, which devices with 32-bit addresses need. */
#ifndef QY_CONFIG_DMA32_ZONE
#define QY_CONFIG_DMA32_ZONE 1
#endif

/* Ranges that the firmware's memory map may have; more is a loud stop. The kernel's own map has four times as many. */
#ifndef QY_CONFIG_MAP_RANGES
#define QY_CONFIG_MAP_RANGES 1024
#endif

/*
 * Frames that each CPU keeps of the arenas it uses (qy/frame_cache.h); without them every frame comes from its arena.
 */
#ifndef QY_CONFIG_FRAME_CACHES
#define QY_CONFIG_FRAME_CACHES 1
#endif

/* Counters that nothing but reports reads; without them they are 0 there. */
#ifndef QY_CONFIG_STATISTICS
#define QY_CONFIG_STATISTICS 1
#endif

/* Guarded allocations in the kernel (boot option guard=N). */
#ifndef QY_CONFIG_GUARD
#define QY_CONFIG_GUARD 1
#endif

/* Trace records (boot option trace=...). */
#ifndef QY_CONFIG_TRACE
#define QY_CONFIG_TRACE 1
#endif

/* Faults on purpose (boot option crash=...), and the reports of the memory map and of the layout at boot. */
#ifndef QY_CONFIG_BOOT_REPORTS
#define QY_CONFIG_BOOT_REPORTS 1
#endif

/* The kernel's windows and image can be moved at boot (boot option kaslr=on); without it their places are constants. */
#ifndef QY_CONFIG_KASLR
#define QY_CONFIG_KASLR 1
#endif

/* Allocation sites and owners, and the debug kinds of object caches: what the boot option heap=track needs. */
#ifndef QY_CONFIG_HEAP_TOOLS
#define QY_CONFIG_HEAP_TOOLS 1
#endif

/* Checks that cost as much as the work they check: a violated invariant is found where it happens. */
#ifndef QY_CONFIG_DEBUG
#define QY_CONFIG_DEBUG 0
#endif

_Static_assert(QY_CONFIG_MAX_ORDER >= 15 && QY_CONFIG_MAX_ORDER <= 18, "max_order: 15 to 18");
_Static_assert(QY_CONFIG_MAX_CPUS >= 1 && QY_CONFIG_MAX_CPUS <= 512, "max_cpus: 1 to 512");
_Static_assert(QY_CONFIG_MAX_NODES >= 1 && QY_CONFIG_MAX_NODES <= 64, "max_nodes: 1 to 64");
_Static_assert(QY_CONFIG_MAP_RANGES >= 16, "map_ranges: 16 or more");

#endif
