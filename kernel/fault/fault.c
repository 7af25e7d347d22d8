/*
 * From a fault to a message or a report. See kernel/fault.h.
 */
#include <arch/arch.h>
#include <kernel/fault.h>
#include <kernel/ipc.h>
#include <kernel/print.h>
#include <kernel/space.h>
#include <kernel/trace.h>

/* A CPU that refuses again and again what the tables allow. */
#define REPEATS_MAX 64u

/* What the trace says became of a fault. */
enum resolution { FAULT_RESOLVED, FAULT_SENT, FAULT_FATAL };

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
    unsigned access = (unsigned)(fault->label >> 8 & 0xff),
             found = (unsigned)(fault->label >> 16 & 0xff);
    if (found == QY_FOUND_EXCEPTION)
        print("thread %llu died: exception %llu at instruction %R, stack %R; %s\n",
              (unsigned long long)thread->object.id, (unsigned long long)fault->words[0],
              fault->words[1], arch_frame_stack(&thread->frame), why);
    else
        print("thread %llu died: %s %R (%s there) at instruction %R, stack %R; %s\n",
              (unsigned long long)thread->object.id, access_words[access % 3], fault->words[0],
              qy_found_words((enum qy_fault_found)found), fault->words[1],
              arch_frame_stack(&thread->frame), why);
    end(thread);
}

/* Send the thread's message to its handler, or end it. */
static enum resolution deliver(struct thread *thread) QY_REQUIRES(qy_class_caps)
{
    enum qy_error error;
    if (thread->handler.type == QY_OBJ_NONE) {
        fault_lost(thread, "it has no fault handler");
        return FAULT_FATAL;
    }
    struct message message = thread->message;
    if (ipc_send(thread, &thread->handler, &message, QY_THREAD_FAULTED, &error))
        return FAULT_SENT;
    fault_lost(thread, "its handler took the fault without a reply object");
    return FAULT_FATAL;
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
        return kind == QY_MARK_GUARD ? QY_FOUND_GUARD : QY_FOUND_NOTHING;
    }
}

/* What other CPUs cache of the budget is free memory, too. */
static void gather_budget(const struct space *space) QY_EXCLUDES(qy_class_caps)
{
    caps_acquire();
    if (space->budget)
        untyped_gather(space->budget);
    caps_release();
}

enum qy_error fault_resolve(struct cpu *cpu, uint64_t address, enum qy_access access,
                            enum qy_fault_found *found)
{
    struct space *space = cpu_space(cpu);
    struct qy_fault fault = {0};
    enum qy_error error = QY_INVALID_ADDRESS;
    for (unsigned tries = 0; space && tries < 2; tries++) {
        space_enter(cpu);
        error = qy_space_fault(&space->vm, address, access, &fault);
        space_leave(cpu);
        if (error != QY_OUT_OF_MEMORY || tries)
            break;
        gather_budget(space);
    }
    if (error == QY_OK) { /* what the CPU remembered of it, nothing or too little, it forgets */
        if (fault.code && arch_fence_code)
            space_fence_code(space);
        arch_flush_path(vaddr(qy_align_down(address, QY_PAGE_BYTES)));
    } else {
        *found = found_of(error, fault.mark.kind);
    }
    return error;
}

bool fault_of_copy(struct cpu *cpu, uint64_t address, enum qy_access access)
{
    enum qy_fault_found found;
    uint64_t page = qy_align_down(address, QY_PAGE_BYTES);
    cpu->copy_fault[1] = cpu->copy_fault[0] == page ? cpu->copy_fault[1] + 1 : 0;
    cpu->copy_fault[0] = page;
    QY_COUNT(cpu->stats.faults, 1);
    return cpu->copy_fault[1] < REPEATS_MAX && fault_resolve(cpu, address, access, &found) == QY_OK;
}

/*
 * A fault that the tables do not explain is tried again, and not for ever. In a row means that the CPU was not in the
 * kernel in between: whoever changes the entry again interrupts it.
 */
static bool insists(const struct cpu *cpu, struct thread *thread, uint64_t address)
{
    uint64_t instruction = arch_frame_instruction(&thread->frame);
    bool again = thread->last_fault[0] == instruction && thread->last_fault[1] == address &&
                 thread->last_entry + 1 == cpu->entries;
    thread->repeats = again ? thread->repeats + 1 : 0;
    thread->last_fault[0] = instruction;
    thread->last_fault[1] = address;
    thread->last_entry = cpu->entries;
    return thread->repeats >= REPEATS_MAX;
}

/* The current thread, unless another CPU has ended it meanwhile. */
static struct thread *running(struct cpu *cpu) QY_REQUIRES(qy_class_caps)
{
    struct thread *thread = cpu->current;
    return thread && thread->state == QY_THREAD_RUNNING ? thread : NULL;
}

void fault_raise(struct cpu *cpu, uint64_t address, enum qy_access access)
{
    enum qy_fault_found found = QY_FOUND_PROTECTED;
    enum resolution resolution = FAULT_RESOLVED;
    uint64_t instruction = arch_frame_instruction(&cpu->current->frame);
    QY_COUNT(cpu->current->faults, 1);
    if (fault_resolve(cpu, address, access, &found) != QY_OK ||
        insists(cpu, cpu->current, address)) {
        caps_acquire();
        struct thread *thread = running(cpu);
        if (thread) {
            thread->message = (struct message){.label = QY_FAULT_LABEL(access, found),
                                               .words = {address, instruction, thread->object.id}};
            resolution = deliver(thread);
        }
        caps_release();
    }
    trace_fault(address, access, instruction, resolution);
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
        if (thread->handler.type == QY_OBJ_NONE)
            print("exception: %s\n", name);
        enum resolution resolution = deliver(thread);
        trace_fault(number, QY_ACCESS_EXEC, instruction, resolution);
    }
    caps_release();
}
