/*
 * CPUs, nodes and distances of a machine, as ACPI (MADT, SRAT, SLIT) or a device tree describe them.
 */
#ifndef PLATFORM_TOPOLOGY_H
#define PLATFORM_TOPOLOGY_H

#include <qy/map.h>

#define QY_TOPOLOGY_CPUS ((unsigned)QY_CONFIG_MAX_CPUS)
#define QY_TOPOLOGY_NODES ((unsigned)QY_CONFIG_MAX_NODES)
#define QY_TOPOLOGY_RANGES (4 * QY_TOPOLOGY_NODES + 28)

#define QY_TOPOLOGY_NO_CONTEXT UINT16_MAX

struct qy_topology_cpu {
    uint32_t hardware_id; /* APIC id or hart id */
    uint16_t node;        /* index 0..nodes-1 */
    uint16_t plic_context; /* RISC-V: of its supervisor mode; QY_TOPOLOGY_NO_CONTEXT = none */
};

struct qy_topology_range {
    uint64_t base, end; /* bytes */
    uint16_t node;
    bool hotplug; /* hot-pluggable or non-volatile: never counted as RAM */
};

/* Registers of devices that the kernel or the firmware drives, in whole pages: no program gets them. */
#define QY_TOPOLOGY_KEPT 48u
struct qy_topology_kept {
    uint64_t base, end;
};

/* An I/O APIC: its first line is global system interrupt number `first`. */
#define QY_TOPOLOGY_IOAPICS 16u
struct qy_topology_ioapic {
    paddr_t base;
    uint32_t first;
};

/* A line that differs from what its number says: an old bus's, or one of NMIs. */
#define QY_TOPOLOGY_LINES 32u
struct qy_topology_line {
    uint32_t number; /* global system interrupt */
    bool level, low; /* told by its level; active low */
    bool nmi;
};

struct qy_topology {
    uint32_t cpu_count;
    uint32_t node_count; /* at least 1 */
    uint32_t range_count;
    bool distances_known;
    const char *complaint; /* null, or what was wrong with the tables and what was assumed instead */
    paddr_t local_apic;    /* x86-64 */
    uint32_t kept_count, ioapic_count, line_count;
    bool kept_full;        /* there were more: nothing is known to be free for programs then */
    paddr_t plic;          /* RISC-V, 0 if there is none */
    uint64_t plic_bytes;
    uint32_t plic_sources; /* numbers 1 .. plic_sources */
    bool aplic;            /* the controller is an APLIC */
    paddr_t uart;          /* 16550-compatible registers, 0 if unknown (RISC-V) */
    paddr_t test_finisher; /* sifive,test, 0 if there is none (RISC-V) */
    uint64_t timebase_hz;  /* RISC-V */
    uint16_t pm1a_control; /* x86-64: ACPI power-off port, 0 if unknown */
    uint16_t sleep_type;   /* value of SLP_TYP for S5 */
    uint32_t domain_of[QY_TOPOLOGY_NODES]; /* the firmware's number of each node */
    struct qy_topology_kept kept[QY_TOPOLOGY_KEPT];
    struct qy_topology_ioapic ioapics[QY_TOPOLOGY_IOAPICS]; /* x86-64 */
    struct qy_topology_line lines[QY_TOPOLOGY_LINES];
    struct qy_topology_cpu cpus[QY_TOPOLOGY_CPUS];
    struct qy_topology_range ranges[QY_TOPOLOGY_RANGES];
    uint8_t distance[QY_TOPOLOGY_NODES][QY_TOPOLOGY_NODES]; /* 10 = local */
};

/* One node, one CPU with that hardware id, distance 10: what is assumed when there is no table. */
void qy_topology_default(struct qy_topology *out, uint32_t hardware_id);

/* Registers that no program gets. */
void qy_topology_keep(struct qy_topology *out, uint64_t base, uint64_t bytes);

/* The local APIC's page, and what follows it up to the next MiB: a write there is a message to any CPU's (x86-64). */
void qy_topology_keep_local_apic(struct qy_topology *out);

/* Are all of these among them? */
bool qy_topology_keeps(const struct qy_topology *topology, uint64_t base, uint64_t bytes);

/*
 * Put the RAM of the map on its nodes, and withhold what is hot-pluggable or non-volatile of what is free in it (use
 * HOTPLUG), were it all of it; not if use_pluggable says that somebody knows better. Errors: TOO_MANY.
 */
enum qy_error qy_topology_apply(const struct qy_topology *topology, struct qy_map *map,
                                bool use_pluggable) QY_MUST_USE;

#endif
