/*
 * Building a topology: nodes are numbered as their domains come up, then put in the order of
 * their domains.
 */
#ifndef PLATFORM_TOPOLOGY_IMPL_H
#define PLATFORM_TOPOLOGY_IMPL_H

#include "bytes_impl.h"

/*
 * The node of a CPU or range that no table puts anywhere, until the nodes are ordered: node 0 then.
 */
#define QY_TOPOLOGY_NOWHERE UINT16_MAX

/* Nothing at all: no CPU, no node. */
void qy_topology_clear(struct qy_topology *out);

/* Say what is wrong; the first complaint stays. */
void qy_topology_complain(struct qy_topology *out, const char *complaint);

/*
 * Add a CPU, nowhere, unless it is there. One beyond the table is complained about and stays off.
 */
void qy_topology_add_cpu(struct qy_topology *out, uint32_t hardware_id);

/* The CPU with that id, or null. */
struct qy_topology_cpu *qy_topology_cpu(struct qy_topology *out, uint32_t hardware_id);

/* The node of a firmware domain, made if there is none. False: no room. */
bool qy_topology_node(struct qy_topology *out, uint32_t domain, uint16_t *node);

/* False: no room. */
bool qy_topology_add_range(struct qy_topology *out, uint64_t base, uint64_t end, uint16_t node,
                           bool hotplug);

/* True if memory ranges of two different nodes overlap. */
bool qy_topology_ranges_clash(const struct qy_topology *topology);

/*
 * Forget nodes and distances, for this reason: one node has everything. Hot-pluggable ranges stay
 * known, since they must not be taken for RAM.
 */
void qy_topology_one_node(struct qy_topology *out, const char *complaint);

/*
 * Order the nodes by domain; at least one node. Distances are the default ones after it: 10
 * local, 20 remote.
 */
void qy_topology_order_nodes(struct qy_topology *out);

/* The default distances between the nodes that there are. */
void qy_topology_default_distances(struct qy_topology *out);

/* Null, or what is wrong with the distances. */
const char *qy_topology_check_distances(const struct qy_topology *topology);

#endif
