/*
 * Statistics records, written once: the console, JSON, the debugger and the pictures read these.
 *
 * A record is a flat structure of 64-bit counters. Sizes are in bytes, blocks in powers of two of 4 KiB pages.
 */
#ifndef QUARRY_RECORDS_H
#define QUARRY_RECORDS_H

#include <stdint.h>

/* F(field, what it counts) */
#define QY_RECORD_MACHINE(F)                                                                       \
    F(usable_bytes, "RAM of the firmware's map")                                                   \
    F(cpus, "CPUs that run")                                                                       \
    F(nodes, "NUMA nodes")                                                                         \
    F(arenas, "root arenas")                                                                       \
    F(sections_initialised, "128 MiB sections of the frame database in use")                       \
    F(sections_total, "128 MiB sections that hold RAM")                                            \
    F(calls, "kernel entries by call")                                                             \
    F(faults, "page faults of programs")                                                           \
    F(boot_ticks, "clock ticks from entry to the root task")

#define QY_RECORD_USE(F)                                                                           \
    F(use, "index into QY_MEM_USES")                                                               \
    F(bytes, "RAM of that use")

#define QY_RECORD_ARENA(F)                                                                         \
    F(node, "NUMA node")                                                                           \
    F(zone, "0 = DMA32, 1 = normal")                                                               \
    F(total_bytes, "all that the arena was given")                                                 \
    F(free_bytes, "free in the buddy")                                                             \
    F(large_bytes, "of it in free blocks of 2 MiB and more")                                       \
    F(largest_order, "order of the largest free block")                                            \
    F(cache_bytes, "free pages in CPUs' caches")                                                   \
    F(object_bytes, "pages of objects")                                                            \
    F(slab_bytes, "pages of slabs")                                                                \
    F(frame_bytes, "pages of frames handed out")                                                   \
    F(table_bytes, "pages of page tables")                                                         \
    F(child_bytes, "pages of child arenas")                                                        \
    F(metadata_bytes, "pages of the arena's own metadata")                                         \
    F(allocations, "blocks handed out since boot")                                                 \
    F(frees, "blocks given back since boot")                                                       \
    F(failures, "requests refused")

#define QY_RECORD_OBJECT(F)                                                                        \
    F(type, "index into QY_OBJECTS")                                                               \
    F(live, "objects that exist")                                                                  \
    F(bytes, "memory they take, their share of slabs included")

#define QY_RECORD_CACHE(F)                                                                         \
    F(object_bytes, "size of one object")                                                          \
    F(stride_bytes, "what one takes with all that belongs to it")                                  \
    F(live, "objects handed out")                                                                  \
    F(cached, "free ones in CPUs' magazines")                                                      \
    F(held, "freed ones that a tool keeps")                                                        \
    F(mixed, "handed out of slabs shared with other caches")                                       \
    F(capacity, "objects that its slabs hold, and those in shared ones")                           \
    F(slabs, "slabs of its own")                                                                   \
    F(slab_order, "order of a slab")                                                               \
    F(slab_bytes, "pages of its own slabs")                                                        \
    F(magazines, "CPUs that have a magazine of it")                                                \
    F(allocations, "objects handed out since the start")                                           \
    F(fetched, "objects that magazines took from slabs")                                           \
    F(returned, "objects that magazines gave back to slabs")

#define QY_RECORD_CPU(F)                                                                           \
    F(cpu, "index of the CPU")                                                                     \
    F(hardware_id, "APIC id or hart id")                                                           \
    F(node, "NUMA node")                                                                           \
    F(calls, "kernel entries by call")                                                             \
    F(faults, "page faults of programs")                                                           \
    F(interrupts, "interrupts taken")                                                              \
    F(shootdowns, "TLB invalidations asked of it")                                                 \
    F(switches, "thread switches")                                                                 \
    F(flushed_pages, "translations forgotten page by page")                                        \
    F(flushed_tags, "whole tags forgotten, at loads too")                                          \
    F(kept_tags, "loads of a space that forgot nothing")                                           \
    F(recycled_tags, "tags given to another space")                                                \
    F(longest_stretch, "clock ticks for which a call or fault let no interrupt in, at most")

/* Of all CPUs together. The fast path of messages and the null call are not among them. */
#define QY_RECORD_CALL(F)                                                                          \
    F(call, "number of the call; the last but one: page faults; the last: interrupts and the rest")\
    F(times, "how often")                                                                          \
    F(longest_stretch, "clock ticks for which one let no interrupt in, at most")                   \
    F(locks, "times that they took the lock of capabilities")                                      \
    F(waits, "of them, times that another CPU had it")

#define QY_RECORD_NODE(F)                                                                          \
    F(node, "number of the NUMA node")                                                             \
    F(cpus, "CPUs that run there")                                                                 \
    F(total_bytes, "RAM in its root arenas")                                                       \
    F(free_bytes, "of it free, CPUs' caches included")                                             \
    F(local, "kernel's requests that preferred it and got it")                                     \
    F(remote, "that got another node's memory")                                                    \
    F(failed, "that got none")

#define QY_RECORD_DISTANCE(F)                                                                      \
    F(from, "NUMA node; index = from * nodes + to")                                                \
    F(to, "NUMA node")                                                                             \
    F(distance, "10 = local, 20 = twice as far")                                                   \
    F(rank, "how many nodes are looked at before it, itself included")

/*
 * Stretches of frames that are alike, in the order of their addresses: ask for index 0, then for `next` until that is 0.
 * A call looks at a bounded number of blocks, so neighbours may be alike. RAM only; parts of pages are in no run.
 */
#define QY_RECORD_RUN(F)                                                                           \
    F(next, "index to ask for next; 0 = there is no more")                                         \
    F(frame, "number of the first frame: physical address / 4096")                                 \
    F(pages, "frames of the run; 0 = none on this stretch")                                        \
    F(state, "index into QY_FRAME_STATES")                                                           \
    F(use, "index into QY_MEM_USES")                                                               \
    F(order, "the run is blocks of 2^order frames; 0 for what is in no arena")                     \
    F(owner, "number of the untyped that has it; 0 = none")                                        \
    F(node, "NUMA node")

/* In the order of their numbers, which are those of objects: ask for index 0, then for `next` until NOT_FOUND. */
#define QY_RECORD_UNTYPED(F)                                                                       \
    F(next, "index to ask for next")                                                               \
    F(untyped, "its number")                                                                       \
    F(parent, "number of the untyped that it was carved out of; 0 = none")                         \
    F(payer, "number of the untyped that pays for its header; 0 = none")                           \
    F(objects, "objects that hold memory of it")                                                   \
    F(first, "number of its first frame")                                                          \
    F(end, "number behind its last frame")                                                         \
    QY_RECORD_ARENA(F)

#define QY_RECORD_SPACE(F)                                                                         \
    F(next, "index to ask for next")                                                               \
    F(space, "its number")                                                                         \
    F(untyped, "number of the untyped that it was made from")                                      \
    F(budget, "number of the untyped that pays for its regions; 0 = none")

/*
 * A space in stretches, which cover it without gaps: index = number of the space; ask for `at` 0, then for `next_at`
 * until that is the end of the user half. A call looks at a bounded number of entries, so neighbours may be one region.
 * A page of n mappings, or in a table of n spaces, counts for a nth; of blocks of several pages, the block's mean.
 */
#define QY_RECORD_REGION(F)                                                                        \
    F(next_at, "address to ask for next")                                                          \
    F(start, "first address; 0 = there is no region on this stretch")                              \
    F(end, "address behind the last one")                                                          \
    F(flags, "as space_query has them")                                                            \
    F(page_bytes, "size of its first page")                                                        \
    F(resident, "bytes that are there")                                                            \
    F(private_bytes, "of it, in nobody else's tables")                                             \
    F(shared_bytes, "of it, in others', too, or of a frame that somebody mapped")                  \
    F(proportional, "bytes that are there, each divided by the number of its mappings")            \
    F(large, "of what is there, in pages of 2 MiB")                                                \
    F(huge, "of what is there, in pages of 1 GiB")                                                 \
    F(swapped, "bytes in slots of swap areas")                                                     \
    F(tables, "page tables that begin on this stretch, the root with the first")                   \
    F(shared_tables, "of them, those that other spaces have, too")

/* Memory by allocation site and by allocation; UNSUPPORTED unless the kernel was booted with heap=track. */
#define QY_RECORD_SITE(F)                                                                          \
    F(line, "line of the site in its file")                                                        \
    F(live, "allocations made there that live")                                                    \
    F(live_bytes, "memory they take")                                                              \
    F(total, "allocations made there since boot")                                                  \
    F(total_bytes, "memory they took")

/* Three for each site: index = 3 * site + 0 (file), 1 (function), 2 (what is allocated). */
#define QY_SITE_TEXT_BYTES 64
#define QY_RECORD_SITE_TEXT(F)                                                                     \
    F(text0, "64 characters, zeroes behind them: the first eight")                                 \
    F(text1, "the next eight")                                                                     \
    F(text2, "the next eight")                                                                     \
    F(text3, "the next eight")                                                                     \
    F(text4, "the next eight")                                                                     \
    F(text5, "the next eight")                                                                     \
    F(text6, "the next eight")                                                                     \
    F(text7, "the last eight")

/* Live allocations in the order of their addresses: ask for index 0, then for `next` until that is 0. */
#define QY_RECORD_ALLOCATION(F)                                                                    \
    F(next, "index to ask for next; 0 = there is no more")                                         \
    F(object, "number of the object; 0 = none on this stretch of memory")                          \
    F(type, "index into QY_OBJECTS")                                                               \
    F(bytes, "memory that it takes of its untyped")                                                \
    F(header_bytes, "of it in a slab")                                                             \
    F(site, "index of its SITE record")                                                            \
    F(untyped, "number of the untyped that pays")                                                  \
    F(thread, "number of the thread whose call made it; 0 = the kernel, at boot")                  \
    F(call, "number of that call; 0 = the kernel, at boot")                                        \
    F(time, "clock of the CPU when it was made")

/* Guarded allocations; UNSUPPORTED unless the kernel was booted with guard=N. */
#define QY_RECORD_GUARD(F)                                                                         \
    F(interval, "N: about one object in so many is guarded")                                       \
    F(slots, "objects that can be guarded at a time")                                              \
    F(slot_bytes, "largest object")                                                                \
    F(sampled, "objects guarded since boot")                                                       \
    F(live, "of them, now")                                                                        \
    F(held, "freed ones whose memory has not gone back")                                           \
    F(no_slot, "allocations not guarded for want of a slot")                                       \
    F(no_frames, "allocations not guarded for want of memory of who pays")                         \
    F(refused_frees, "frees refused: twice, or of what is no object")                              \
    F(flushes, "flushes of all CPUs")

/* R(NAME, value, name, table) */
#define QY_RECORDS(R)                                                                              \
    R(MACHINE, 0, machine, QY_RECORD_MACHINE)                                                      \
    R(USE, 1, use, QY_RECORD_USE)                                                                  \
    R(ARENA, 2, arena, QY_RECORD_ARENA)                                                            \
    R(OBJECT, 3, object, QY_RECORD_OBJECT)                                                         \
    R(CACHE, 4, cache, QY_RECORD_CACHE)                                                            \
    R(CPU, 5, cpu, QY_RECORD_CPU)                                                                  \
    R(NODE, 6, node, QY_RECORD_NODE)                                                               \
    R(DISTANCE, 7, distance, QY_RECORD_DISTANCE)                                                   \
    R(SITE, 8, site, QY_RECORD_SITE)                                                               \
    R(SITE_TEXT, 9, site_text, QY_RECORD_SITE_TEXT)                                                \
    R(ALLOCATION, 10, allocation, QY_RECORD_ALLOCATION)                                            \
    R(GUARD, 11, guard, QY_RECORD_GUARD)                                                           \
    R(CALL, 12, call, QY_RECORD_CALL)                                                              \
    R(RUN, 13, run, QY_RECORD_RUN)                                                                 \
    R(UNTYPED, 14, untyped, QY_RECORD_UNTYPED)                                                     \
    R(SPACE, 15, space, QY_RECORD_SPACE)                                                           \
    R(REGION, 16, region, QY_RECORD_REGION)

enum qy_record_kind {
#define R(NAME, value, name, table) QY_RECORD_KIND_##NAME = (value),
    QY_RECORDS(R)
#undef R
        QY_RECORD_KIND_COUNT
};

#define F(field, meaning) uint64_t field;
#define R(NAME, value, name, table)                                                                \
    struct qy_record_##name {                                                                      \
        table(F)                                                                                   \
    };
QY_RECORDS(R)
#undef R
#undef F

#endif
