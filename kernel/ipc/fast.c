/*
 * The fast path of call and reply-and-receive: the other side waits on this CPU and runs at once.
 *
 * It does what kernel/ipc/calls.c and endpoint.c do, for the case that matters, from registers to registers: no
 * capability goes with the message, nobody else is in line before the other side. Everything is looked at before
 * anything changes; whatever else is the case is left to the slow path.
 *
 * Locking: the gate of its CPU (kernel/cap/lock.c), then the lock of its CPU. Other CPUs may be on their own fast paths;
 * each changes only what is its own: the thread that runs; the endpoints and replies whose home it is, with their queues and
 * the lists of those who wait by a capability for such an endpoint; the links of all threads in such a queue, and the rest
 * of those that are on this CPU. Homes are changed by the slow path alone, which moves them to where a server receives.
 */
#include <arch/arch.h>
#include <kernel/call.h>
#include <kernel/ipc.h>
#include <kernel/sched.h>
#include <kernel/trace.h>

#include "queue.h"

/* The object that argument i names, if it is of that type and the capability has those rights; else null. */
static struct slot *named(const struct thread *thread, unsigned i, enum qy_object_type type,
                          unsigned rights) QY_REQUIRES(qy_class_caps)
{
    qy_handle_t handle = arch_call_argument(&thread->frame, i);
    const struct cap_node *node = thread_node(thread);
    uint32_t index = QY_HANDLE_INDEX(handle);
    if (!node || index >= node->count)
        return NULL;
    struct slot *slot = &node->slots[index];
    if (slot->generation != QY_HANDLE_GENERATION(handle) || slot->type != type ||
        (slot->rights & rights) != rights)
        return NULL;
    return slot;
}

/* The sender's arguments from `from` on, label and three words, become the receiver's message. */
static void message_pass(struct thread *receiver, uint64_t badge, const struct thread *sender,
                         unsigned from)
{
    arch_call_result(&receiver->frame, QY_OK);
    arch_call_value(&receiver->frame, 1, badge);
    for (unsigned i = 0; i < 4; i++)
        arch_call_value(&receiver->frame, 2 + i, arch_call_argument(&sender->frame, from + i));
}

static bool label_is_plain(const struct thread *sender, unsigned i)
{
    return !(arch_call_argument(&sender->frame, i) & (QY_LABEL_CAPABILITY | QY_LABEL_NOTIFIED));
}

static bool fast_call(struct cpu *cpu, struct thread *thread) QY_REQUIRES(qy_class_caps)
{
    const struct slot *slot = named(thread, 0, QY_OBJ_ENDPOINT, QY_RIGHT_WRITE);
    if (!slot)
        return false;
    const struct endpoint *endpoint = (const struct endpoint *)slot->object;
    uint64_t badge = slot->badge;
    if (endpoint->home != cpu)
        return false;
    struct thread *receiver = endpoint->waiting.first;
    if (!receiver || !endpoint->receivers || !label_is_plain(thread, 1) ||
        arch_call_argument(&thread->frame, 5))
        return false;
    struct reply *reply = receiver->reply;
    if (!reply || reply->home != cpu || !sched_switch_begin(cpu, receiver))
        return false;
    queue_remove(receiver);
    receiver->reply = NULL;
    reply->receiver = NULL;
    reply->caller = thread;
    thread->reply = reply;
    message_pass(receiver, badge, thread, 1);
    sched_switch_end(cpu, QY_THREAD_CALLING, receiver);
    return true;
}

static bool fast_reply_receive(struct cpu *cpu, struct thread *thread) QY_REQUIRES(qy_class_caps)
{
    struct slot *from = named(thread, 0, QY_OBJ_ENDPOINT, QY_RIGHT_READ);
    if (!from)
        return false;
    const struct slot *to = named(thread, 1, QY_OBJ_REPLY, QY_RIGHT_WRITE);
    if (!to)
        return false;
    struct endpoint *endpoint = (struct endpoint *)from->object;
    struct reply *reply = (struct reply *)to->object;
    if (endpoint->home != cpu || reply->home != cpu)
        return false;
    struct thread *caller = reply->caller;
    if (!caller || reply->receiver || !label_is_plain(thread, 2) ||
        (endpoint->waiting.first && !endpoint->receivers) ||
        (thread->notification && thread->notification->word))
        return false;
    bool fault = caller->state == QY_THREAD_FAULTED;
    if ((fault && arch_call_argument(&thread->frame, 2) != QY_FAULT_RESUME) ||
        !sched_switch_begin(cpu, caller))
        return false;
    caller->reply = NULL;
    reply->caller = NULL;
    reply->receiver = thread;
    thread->reply = reply;
    endpoint->receivers = true;
    queue_push(&endpoint->waiting, thread, from);
    if (!fault)
        message_pass(caller, 0, thread, 2);
    sched_switch_end(cpu, QY_THREAD_RECEIVING, caller);
    return true;
}

/* Each with a copy of its own: what the other needs costs it nothing. */
static inline __attribute__((always_inline)) bool
fast(struct cpu *cpu, bool (*do_it)(struct cpu *cpu, struct thread *thread)) QY_UNCHECKED
{
    struct thread *thread = cpu->current;
    gate_enter(cpu);
    bool done = thread->state == QY_THREAD_RUNNING && do_it(cpu, thread);
    if (done)
        QY_COUNT(thread->calls, 1);
    gate_leave(cpu);
    return done;
}

bool ipc_fast_call(struct cpu *cpu)
{
    return fast(cpu, fast_call);
}

bool ipc_fast_reply_receive(struct cpu *cpu)
{
    return fast(cpu, fast_reply_receive);
}
