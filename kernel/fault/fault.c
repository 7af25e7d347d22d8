/*
 * From a fault to a message or a report. See kernel/fault.h.
 */
#include <arch/arch.h>
#include <kernel/fault.h>
#include <kernel/ipc.h>
#include <kernel/print.h>
#include <kernel/space.h>
#include <kernel/trace.h>

/* What the trace says became of a fault. */
enum resolution { FAULT_STALE, FAULT_SENT, FAULT_FATAL };

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
             mark = (unsigned)(fault->label >> 16 & 0xff);
    if (mark == QY_MARK_EXCEPTION)
        print("thread %llu died: exception %llu at instruction %R, stack %R; %s\n",
              (unsigned long long)thread->object.id, (unsigned long long)fault->words[0],
              fault->words[1], arch_frame_stack(&thread->frame), why);
    else
        print("thread %llu died: %s %R (%s there) at instruction %R, stack %R; %s\n",
              (unsigned long long)thread->object.id, access_words[access % 3], fault->words[0],
              mark == QY_MARK_PROTECTED ? "protected" : "nothing mapped", fault->words[1],
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
    if (ipc_send(thread, (struct endpoint *)thread->handler.object, thread->handler.badge, &message,
                 QY_THREAD_FAULTED, &error))
        return FAULT_SENT;
    fault_lost(thread, "its handler took the fault without a reply object");
    return FAULT_FATAL;
}

/*
 * Do the tables allow the access by now? Then another CPU has mapped or widened it since, or this
 * CPU remembered that nothing was there (RISC-V allows that), and forgetting is all that it takes.
 * Never twice in a row for one access: by then the CPU refuses what the tables allow. In a row means
 * that its CPU was not in the kernel in between; whoever changes the entry again interrupts it.
 */
static bool is_stale(const struct cpu *cpu, struct thread *thread, uint64_t address,
                     enum qy_fault_access access, enum qy_fault_mark *mark)
    QY_REQUIRES(qy_class_caps)
{
    static const unsigned needed[] = {QY_PT_READ, QY_PT_WRITE, QY_PT_EXEC};
    const struct space *space = (const struct space *)thread->space.object;
    unsigned flags = 0;
    *mark = QY_MARK_NOTHING;
    if (!space || address >= USER_END ||
        qy_pt_translate(&space->pt, vaddr(address), NULL, &flags, NULL) != QY_OK)
        return false;
    *mark = QY_MARK_PROTECTED;
    uint64_t instruction = arch_frame_instruction(&thread->frame);
    bool again = thread->stale_fault[0] == instruction && thread->stale_fault[1] == address &&
                 thread->stale_entry + 1 == cpu->entries;
    if (!(flags & QY_PT_USER) || !(flags & needed[access]) || again)
        return false;
    thread->stale_fault[0] = instruction;
    thread->stale_fault[1] = address;
    thread->stale_entry = cpu->entries;
    return true;
}

/* The current thread, unless another CPU has ended it meanwhile. */
static struct thread *running(struct cpu *cpu) QY_REQUIRES(qy_class_caps)
{
    struct thread *thread = cpu->current;
    return thread && thread->state == QY_THREAD_RUNNING ? thread : NULL;
}

void fault_raise(struct cpu *cpu, uint64_t address, enum qy_fault_access access)
{
    enum qy_fault_mark mark;
    enum resolution resolution = FAULT_STALE;
    caps_acquire();
    struct thread *thread = running(cpu);
    if (!thread) {
        caps_release();
        return;
    }
    uint64_t instruction = arch_frame_instruction(&thread->frame);
    QY_COUNT(thread->faults, 1);
    if (is_stale(cpu, thread, address, access, &mark)) {
        arch_flush_path(vaddr(qy_align_down(address, QY_PAGE_BYTES)));
    } else {
        thread->stale_fault[0] = thread->stale_fault[1] = 0;
        thread->message = (struct message){.label = QY_FAULT_LABEL(access, mark),
                                           .words = {address, instruction, thread->object.id}};
        resolution = deliver(thread);
    }
    caps_release();
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
            (struct message){.label = QY_FAULT_LABEL(QY_ACCESS_EXEC, QY_MARK_EXCEPTION),
                             .words = {number, instruction, thread->object.id}};
        if (thread->handler.type == QY_OBJ_NONE)
            print("exception: %s\n", name);
        enum resolution resolution = deliver(thread);
        trace_fault(number, QY_ACCESS_EXEC, instruction, resolution);
    }
    caps_release();
}
