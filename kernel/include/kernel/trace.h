/*
 * Trace: what happened, why, where and for whom, as records of the table in quarry/trace.h.
 *
 *     QY_TRACE(...) in mem and kernel --> filter --> ring of this CPU --> trace_read: a program, to a disk (word `tracing`)
 *                                                                    \--> the last ones, in the report of a panic
 *
 * Off, an event costs the test of one word. Rings are made at boot, if the command line asks for them, out of the
 * kernel's arena, which is larger by as much:
 *
 *     trace=WORD,WORD...   record from the start every event whose name contains a word; "all": all; "console": print
 *                          them as lines, too
 *     trace_ring=KIB       memory of each CPU's ring, rounded down to a power of two of records; 64 if only `trace` or
 *                          `tracing` is there
 *
 * The rings can be found from outside by the symbols trace_rings, trace_ring_count (struct qy_ring, qy/ring.h).
 * Locking: none; each CPU writes its own ring, with interrupts off. A number is drawn for each record from one counter,
 * the only line that CPUs share.
 */
#ifndef KERNEL_TRACE_H
#define KERNEL_TRACE_H

#include <kernel/cpu.h>
#include <qy/arena.h>
#include <qy/ring.h>
#include <qy/trace.h>

#if QY_CONFIG_TRACE
extern struct qy_ring *trace_rings; /* one a CPU; null: none was asked for */
extern unsigned trace_ring_count;

/* Read the command line; nothing is recorded yet. */
void trace_init(const char *command_line);

/* Memory that rings for so many CPUs and so many frames take. */
uint64_t trace_bytes(unsigned cpus, uint64_t frames);

/* Make the rings out of the arena, and record from here on what the command line said. */
void trace_start(struct qy_arena *arena, unsigned cpus, uint64_t frames);

/* The number that the next record gets. */
uint64_t trace_number(void);

/* The newest records of all CPUs, oldest first, on the console: the end of a panic. Nothing is recorded any more. */
void trace_print_last(void);

/* What snapshots are taken of. */
void trace_use(const struct qy_framedb *db);
#else
static inline void trace_init(const char *command_line)
{
    (void)command_line;
}

static inline uint64_t trace_bytes(unsigned cpus, uint64_t frames)
{
    (void)cpus, (void)frames;
    return 0;
}

static inline void trace_start(struct qy_arena *arena, unsigned cpus, uint64_t frames)
{
    (void)arena, (void)cpus, (void)frames;
}

static inline void trace_print_last(void)
{
}

static inline void trace_use(const struct qy_framedb *db)
{
    (void)db;
}
#endif

#endif
