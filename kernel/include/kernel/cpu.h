/*
 * One CPU: what stands at the start of its 16 MiB area. The first fields are known to assembler by their offsets
 * (static asserts in arch/<arch>/offsets.c).
 */
#ifndef KERNEL_CPU_H
#define KERNEL_CPU_H

#include <arch_types.h>
#include <kernel/layout.h>
#include <qy/slab.h>
#include <qy/frame_cache.h>
#include <qy/lock.h>
#include <qy/tlb.h>
#include <quarry/abi.h>
#include <quarry/records.h>

struct thread;
struct space;

/* A fault that the kernel could not resolve, and why. */
struct fault_cause {
    uint64_t address;
    uint8_t access, found; /* enum qy_access, qy_found */
    uint64_t page;         /* PAGER, BEHIND_END: its number */
    uint64_t memory;       /* of which memory object, by its id; 0 = the region's own count */
};

/* Run queue of a CPU: a line for each priority. */
struct run_queue {
    struct thread *first[QY_PRIORITIES], *last[QY_PRIORITIES];
    uint64_t nonempty; /* bit p: somebody is in line with priority p */
};

/* What entries of one kind did (kernel/preempt.h). */
struct call_count {
    uint64_t times, longest_stretch;
    uint64_t locks, waits; /* times that the lock of capabilities was taken; and another CPU had it */
};

/* Kinds of entries: the numbers of calls, and */
enum { KIND_FAULT = QY_CALL_COUNT, KIND_OTHER, COUNTED_KINDS };

struct cpu {
    struct cpu *self;
    struct arch_frame *frame;   /* where the next entry from user mode saves registers: of the current thread */
    uint64_t stack_top;         /* of this CPU's kernel stack */
    uint64_t scratch;           /* for the entry code */
    struct thread *current;     /* the thread that runs or ran last; null when idle */
    uint32_t index;
    uint32_t hardware_id;       /* APIC id or hart id */
    uint16_t node;
    atomic_bool online;
    uint64_t cause;             /* number of the entry being handled: (index << 48) + entries so far */
    uint64_t stretch;           /* when the stretch without interrupts that is measured began; 0: none is */
    unsigned kind;              /* of the entry that it is in: whose count in `counts` */
    struct qy_record_cpu stats;
    _Atomic uint64_t kernel_flushed; /* the last flush of the kernel's half that it has done, kernel/smp/kernel_flush.c */
    void (*_Atomic work)(void); /* what it was asked to run before threads are there (kernel/cpus.h); null: nothing */
    _Alignas(64) struct qy_lock sched_lock; /* of class qy_class_sched */
    struct run_queue queue;     /* guarded by qy_class_sched */
    atomic_bool reschedule;     /* what runs may have to change: sched_pick is to be asked */
    bool let_go;                /* it asks sched_pick before it runs any thread (qy_class_sched) */
    bool idle;                  /* the node knows it as idle (kernel/thread/place.c) */
    struct qy_cpu_frames frames; /* its frame caches */
    struct qy_cpu_objects objects; /* its magazines of small objects */
    struct arch_cpu arch;
    _Alignas(64) _Atomic uint64_t vm_section; /* odd: it is in qy/vm.h (kernel/space.h) */
    uint64_t copy_fault[2];     /* address that a copy of user memory faulted at last, and how often in a row */
    struct fault_cause unresolved; /* the fault that ended a copy of this call; found NOTHING: none */
    struct qy_tlb_cpu tlb; /* the space that is loaded, tags, requests to forget translations */
    _Alignas(64) atomic_uint gate; /* past the lock of capabilities, for messages (kernel/cap/lock.c) */
    struct cpu *gate_next;         /* among those that may be open (the lock of capabilities) */
    struct call_count counts[COUNTED_KINDS];
};

/* The CPU that runs this (arch). */
static inline struct cpu *cpu_this(void);
#include <arch_cpu.h>

extern unsigned cpu_count; /* CPUs that run; fixed after boot */

static inline struct cpu *cpu_at(unsigned index)
{
    return (struct cpu *)kernel_cpu_area(index);
}

#endif
