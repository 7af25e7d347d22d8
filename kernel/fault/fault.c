/*
 * From a fault to a message or a report. See kernel/fault.h.
 */
#include <arch/arch.h>
#include <kernel/fault.h>
#include <kernel/ipc.h>
#include <kernel/memory.h>
#include <kernel/print.h>
#include <kernel/space.h>
#include <kernel/trace.h>

/* A CPU that refuses again and again what the tables allow. */
#define REPEATS_MAX 64u

static const char *const access_words[] = {"read from", "write to", "execution at"};

/* A thread that ends by force; the machine ends with the root task. */
static void end(struct thread *thread) QY_REQUIRES(qy_class_caps)
{
    bool is_root = thread->is_root;
    thread_end(thread);
    if (is_root)
        kernel_stop("the root task's first thread has died; the report above says where");
}

void fault_lost(struct thread *thread, const char *why)
{
    const struct message *fault = &thread->message;
    enum qy_access access = QY_FAULT_ACCESS(fault->label);
    enum qy_fault_found found = QY_FAULT_FOUND(fault->label);
    if (found == QY_FOUND_EXCEPTION)
        print("thread %llu died: exception %llu at instruction %R, stack %R; %s\n",
              (unsigned long long)thread->object.id, (unsigned long long)fault->words[0],
              fault->words[1], arch_frame_stack(&thread->frame), why);
    else
        print("thread %llu died: %s %R (%s there) at instruction %R, stack %R; %s\n",
              (unsigned long long)thread->object.id, access_words[access % 3], fault->words[0],
              qy_found_words(found), fault->words[1], arch_frame_stack(&thread->frame), why);
    end(thread);
}

/* Who supplies a page: the object's pager, or the space's handler. Null: nobody. */
static struct slot *pager_of(const struct thread *thread, uint64_t memory_id)
    QY_REQUIRES(qy_class_caps)
{
    struct memory *memory = memory_id ? memory_find(memory_id) : NULL;
    struct space *space = (struct space *)thread->space.object;
    struct slot *slot = memory ? &memory->pager : !memory_id && space ? &space->handler : NULL;
    return slot && slot->type != QY_OBJ_NONE ? slot : NULL;
}

/* The thread's handler, else that of its space. Null: there is none. */
static struct slot *handler_of(struct thread *thread) QY_REQUIRES(qy_class_caps)
{
    return thread->handler.type != QY_OBJ_NONE ? &thread->handler : pager_of(thread, 0);
}

/* Send the thread's message to its handler, or end it. */
static enum qy_trace_resolution deliver(struct thread *thread, struct slot *handler)
    QY_REQUIRES(qy_class_caps)
{
    enum qy_error error;
    if (!handler) {
        fault_lost(thread, "it has no fault handler");
        return QY_TRACE_FATAL;
    }
    struct message message = thread->message;
    if (ipc_send(thread, handler, &message, QY_THREAD_FAULTED, &error))
        return QY_TRACE_SENT;
    fault_lost(thread, "its handler took the fault without a reply object");
    return QY_TRACE_FATAL;
}

static enum qy_fault_found found_of(enum qy_error error, enum qy_mark_kind kind)
{
    switch (error) {
    case QY_NO_RIGHTS:
    case QY_INVALID_FLAGS: /* executable here, writable through another mapping */
        return QY_FOUND_PROTECTED;
    case QY_REVOKED:
        return QY_FOUND_REVOKED;
    case QY_OUT_OF_MEMORY:
    case QY_MISSING_TABLE:
    case QY_TOO_MANY:
        return QY_FOUND_EXHAUSTED;
    case QY_WOULD_WAIT:
        return QY_FOUND_PAGER;
    default:
        return kind == QY_MARK_GUARD    ? QY_FOUND_GUARD
               : kind == QY_MARK_OBJECT ? QY_FOUND_BEHIND_END
                                        : QY_FOUND_NOTHING;
    }
}

/* What other CPUs cache of whoever pays is free memory, too. */
static bool find_more(struct space *space, uint64_t memory_id) QY_EXCLUDES(qy_class_caps)
{
    bool more = space_find_more(space);
    caps_acquire();
    struct memory *memory = memory_id ? memory_find(memory_id) : NULL;
    if (memory)
        memory->object.pins++;
    caps_release();
    if (!memory)
        return more;
    more |= untyped_find_more(memory->object.untyped);
    caps_acquire();
    memory->object.pins--;
    caps_release();
    return more;
}

/* One try. */
static enum qy_error resolve(struct cpu *cpu, struct space *space, const struct fault_cause *cause,
                             struct qy_fault *fault)
{
    space_enter(cpu);
    enum qy_error error =
        qy_space_fault(&space->vm, cause->address, (enum qy_access)cause->access, fault);
    space_leave(cpu);
    return error;
}

enum qy_error fault_resolve(struct cpu *cpu, struct fault_cause *cause)
{
    struct space *space = cpu_space(cpu);
    struct qy_fault fault = {0};
    enum qy_error error = space ? resolve(cpu, space, cause, &fault) : QY_INVALID_ADDRESS;
    if (error == QY_OUT_OF_MEMORY && find_more(space, fault.binding.cookie))
        error = resolve(cpu, space, cause, &fault);
    if (error == QY_OK) { /* what the CPU remembered of it, nothing or too little, it forgets */
        if (fault.code && arch_fence_code)
            space_fence_code(space);
        arch_flush_path(vaddr(qy_align_down(cause->address, QY_PAGE_BYTES)));
    } else {
        cause->found = (uint8_t)found_of(error, fault.mark.kind);
        cause->page = fault.mark.offset;
        cause->memory = fault.binding.cookie;
    }
    return error;
}

bool fault_of_copy(struct cpu *cpu, uint64_t address, enum qy_access access)
{
    struct fault_cause cause = {.address = address, .access = (uint8_t)access};
    uint64_t page = qy_align_down(address, QY_PAGE_BYTES);
    cpu->copy_fault[1] = cpu->copy_fault[0] == page ? cpu->copy_fault[1] + 1 : 0;
    cpu->copy_fault[0] = page;
    QY_COUNT(cpu->stats.faults, 1);
    if (cpu->copy_fault[1] >= REPEATS_MAX)
        return false;
    bool resolved = fault_resolve(cpu, &cause) == QY_OK;
    if (!resolved)
        cpu->unresolved = cause;
    return resolved;
}

/*
 * A fault that the tables do not explain is tried again, and not for ever. In a row means that the CPU was not in the
 * kernel in between: whoever changes the entry again interrupts it.
 */
static bool insists(const struct cpu *cpu, struct thread *thread, uint64_t address)
{
    uint64_t instruction = arch_frame_instruction(&thread->frame);
    bool again = thread->last_fault[0] == instruction && thread->last_fault[1] == address &&
                 thread->last_entry + 1 == cpu->cause;
    thread->repeats = again ? thread->repeats + 1 : 0;
    thread->last_fault[0] = instruction;
    thread->last_fault[1] = address;
    thread->last_entry = cpu->cause;
    return thread->repeats >= REPEATS_MAX;
}

/* The current thread, unless another CPU has ended it meanwhile. */
static struct thread *running(struct cpu *cpu) QY_REQUIRES(qy_class_caps)
{
    struct thread *thread = cpu->current;
    return thread && thread->state == QY_THREAD_RUNNING ? thread : NULL;
}

/* The running thread waits for whoever is to answer its fault, or ends. */
static enum qy_trace_resolution send(struct thread *thread, const struct fault_cause *cause)
    QY_REQUIRES(qy_class_caps)
{
    bool pager = cause->found == QY_FOUND_PAGER;
    bool counted = pager || cause->found == QY_FOUND_BEHIND_END;
    struct slot *handler = pager ? pager_of(thread, cause->memory) : NULL;
    thread->message = (struct message){
        .label = QY_FAULT_LABEL(cause->access, cause->found) | (counted ? cause->page << 24 : 0),
        .words = {cause->address, arch_frame_instruction(&thread->frame), thread->object.id}};
    return deliver(thread, handler ? handler : handler_of(thread));
}

static inline __attribute__((always_inline)) enum qy_trace_resolution
raise(struct cpu *cpu, uint64_t address, enum qy_access access) QY_EXCLUDES(qy_class_caps)
{
    struct fault_cause cause = {
        .address = address, .access = (uint8_t)access, .found = QY_FOUND_PROTECTED};
    enum qy_trace_resolution resolution = QY_TRACE_RESOLVED;
    QY_COUNT(cpu->current->faults, 1);
    if (fault_resolve(cpu, &cause) != QY_OK || insists(cpu, cpu->current, address)) {
        caps_acquire();
        struct thread *thread = running(cpu);
        if (thread)
            resolution = send(thread, &cause);
        caps_release();
    }
    if (watch_has_news()) {
        caps_acquire();
        watch_tell();
        caps_release();
    }
    return resolution;
}

/* What the record says is looked at first: the thread may be gone afterwards. */
static __attribute__((noinline)) void raise_traced(struct cpu *cpu, uint64_t address,
                                                   enum qy_access access)
{
    uint64_t begun = arch_clock(), because = cpu->current->because;
    uint64_t instruction = arch_frame_instruction(&cpu->current->frame);
    enum qy_trace_resolution resolution = raise(cpu, address, access);
    QY_TRACE(FAULT, 0, address, access, instruction, resolution, arch_clock() - begun, because);
}

void fault_raise(struct cpu *cpu, uint64_t address, enum qy_access access)
{
    if (qy_traces(1ull << QY_TRACE_FAULT))
        raise_traced(cpu, address, access);
    else
        (void)raise(cpu, address, access);
}

bool fault_restarts_call(struct cpu *cpu, struct thread *thread)
{
    const struct fault_cause cause = cpu->unresolved;
    if (cause.found != QY_FOUND_PAGER || running(cpu) != thread)
        return false;
    arch_call_restart(&thread->frame);
    QY_COUNT(thread->faults, 1);
    uint64_t instruction = arch_frame_instruction(&thread->frame);
    uint64_t because = thread->because;
    enum qy_trace_resolution resolution = send(thread, &cause);
    QY_TRACE(FAULT, 0, cause.address, cause.access, instruction, resolution, 0, because);
    return true;
}

void fault_exception(struct cpu *cpu, const char *name, uint64_t number)
{
    caps_acquire();
    struct thread *thread = running(cpu);
    if (thread) {
        uint64_t instruction = arch_frame_instruction(&thread->frame);
        QY_COUNT(thread->faults, 1);
        thread->message =
            (struct message){.label = QY_FAULT_LABEL(QY_ACCESS_EXEC, QY_FOUND_EXCEPTION),
                             .words = {number, instruction, thread->object.id}};
        if (!handler_of(thread))
            print("exception: %s\n", name);
        uint64_t because = thread->because;
        enum qy_trace_resolution resolution = deliver(thread, handler_of(thread));
        QY_TRACE(FAULT, 0, number, QY_ACCESS_EXEC, instruction, resolution, 0, because);
    }
    caps_release();
}
