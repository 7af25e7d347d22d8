/*
 * Attacks by threads: starts that must be refused, replies that nobody waits for, and loads, stores
 * and jumps to where a program may not go. Each of those is made by a child thread, whose fault
 * must arrive as a message that names it.
 */
#include "attack.h"

#define NON_CANONICAL 0x0000800000000000ull
#define KERNEL_HALF 0xffff800000000000ull

/* The fault must name the address and the access; a non-canonical address may be another exception
 * on x86-64. */
static bool names(const struct fault *fault, uint64_t address, enum qy_access access)
{
    bool canonical = address < NON_CANONICAL || address >= KERNEL_HALF;

    if (!canonical && fault->mark == QY_FOUND_EXCEPTION)
        return true;
    return fault->address == address && fault->access == access &&
           fault->mark != QY_FOUND_EXCEPTION;
}

static void touch(struct attack *attack, const char *what, uint64_t address, enum qy_access access)
{
    struct fault fault;
    bool stopped = attack_touch(attack, address, access, &fault) && names(&fault, address, access);

    attack_stopped(attack, stopped, stopped ? "fault, thread killed" : "NOT STOPPED", "%s %s",
                   fault_access_name(access), what);
}

/* A frame whose last bytes are a call, executable at the last page of the user half. */
static enum qy_error map_last_call(struct attack *attack, qy_handle_t budget)
{
    const uint64_t draft = ATTACK_ADDRESS + 0x40000;
    volatile unsigned char *end = (volatile unsigned char *)draft + PAGE_BYTES;
    qy_handle_t frame;
    enum qy_error error = root_make(attack->root, budget, QY_OBJ_FRAME, 1, &frame);

    if (error == QY_OK)
        error =
            root_map(attack->root, budget, frame, draft, QY_MAP_READ | QY_MAP_WRITE, false, NULL);
    if (error != QY_OK)
        return error;
    for (unsigned i = 0; i < sizeof(call_instruction); i++)
        end[(int)i - (int)sizeof(call_instruction)] = call_instruction[i];
    error = frame_unmap(frame, QY_SLOT_SPACE, draft);
    if (error == QY_OK)
        error = root_map(attack->root, budget, frame, NON_CANONICAL - PAGE_BYTES,
                         QY_MAP_READ | QY_MAP_EXEC, false, NULL);
    return error;
}

/*
 * A call from the last instruction of the user half returns to an address that is not canonical. On
 * x86-64 a careless sysret would fault inside the kernel, on the program's stack.
 */
static void call_at_the_edge(struct attack *attack)
{
    const char *what = "return from a call to the first non-canonical address";
    struct attack_child child;
    struct fault fault;

    if (!attack_child_begin(attack, &child))
        return;
    enum qy_error error = map_last_call(attack, child.budget);
    if (error == QY_INVALID_ADDRESS) {
        attack_expect(attack, error, QY_INVALID_ADDRESS, "%s: map the page before it", what);
    } else {
        if (error == QY_OK)
            error = thread_start(child.child.thread, NON_CANONICAL - sizeof(call_instruction),
                                 child.child.stack_top, 0, 0);
        bool stopped = error == QY_OK && attack_child_stopped(&child, &fault);
        attack_stopped(attack, stopped, stopped ? "fault, thread killed" : "NOT STOPPED", "%s",
                       what);
    }
    attack_child_end(&child);
}

void attack_touches(struct attack *attack)
{
    static uint64_t data;
    const struct {
        const char *what;
        uint64_t address;
    } places[] = {
        {"page 0", 8},
        {"the direct map of RAM", KERNEL_HALF + SOME_RAM},
        {"the frame database", 0xffffc00000000000ull + SOME_RAM / PAGE_BYTES * 16},
        {"the kernel's heap window", 0xffffd00000000000ull},
        {"a kernel stack", 0xffffd0000000ff00ull},
        {"the CPU areas", 0xffffff8000000000ull},
        {"the kernel's text", 0xffffffff80010000ull},
        {"the hole above the kernel", 0xffffffffa0000000ull},
        {"the device registers", 0xffffffffc0000000ull},
        {"the last word of all", 0xfffffffffffffff8ull},
        {"a non-canonical address", NON_CANONICAL},
    };

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        for (enum qy_access access = QY_ACCESS_READ; access <= QY_ACCESS_EXEC; access++)
            touch(attack, places[i].what, places[i].address, access);
    touch(attack, "the program's own text", (uintptr_t)attack_touches & ~7ull, QY_ACCESS_WRITE);
    touch(attack, "the information page", QY_ROOT_INFO_ADDRESS, QY_ACCESS_WRITE);
    touch(attack, "the information page as code", QY_ROOT_INFO_ADDRESS, QY_ACCESS_EXEC);
    touch(attack, "the boot archive", QY_ROOT_ARCHIVE_ADDRESS, QY_ACCESS_WRITE);
    touch(attack, "the program's data as code", (uintptr_t)&data, QY_ACCESS_EXEC);
    touch(attack, "the thread's own stack as code", ATTACK_STACK_PAGE + PAGE_BYTES - 64,
          QY_ACCESS_EXEC);
    touch(attack, "the page below the stack", ATTACK_STACK_PAGE - 8, QY_ACCESS_WRITE);
    call_at_the_edge(attack);
}

static void bad_starts(struct attack *attack, const struct child *child)
{
    const uint64_t code = (uintptr_t)bad_starts, stack = child->stack_top;
    const struct {
        const char *what;
        uint64_t instruction, stack, cpu;
        enum qy_error wanted;
    } tries[] = {
        {"in the kernel's text", 0xffffffff80010000ull, stack, 0, QY_INVALID_ADDRESS},
        {"in the direct map of RAM", KERNEL_HALF, stack, 0, QY_INVALID_ADDRESS},
        {"at a non-canonical address", NON_CANONICAL, stack, 0, QY_INVALID_ADDRESS},
        {"with a stack in the kernel's half", code, 0xffffd00000010000ull, 0, QY_INVALID_ADDRESS},
        {"with a non-canonical stack", code, NON_CANONICAL + 16, 0, QY_INVALID_ADDRESS},
        {"on a CPU that does not exist", code, stack, attack->root->info->cpus,
         QY_INVALID_ARGUMENT},
        {"on CPU 2^32", code, stack, 1ull << 32, QY_INVALID_ARGUMENT},
        {"on CPU 2^64 - 1", code, stack, ~0ull, QY_INVALID_ARGUMENT},
    };

    for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        attack_expect(
            attack,
            thread_start(child->thread, tries[i].instruction, tries[i].stack, 0, tries[i].cpu),
            tries[i].wanted, "start a thread %s", tries[i].what);
    attack_expect(attack, thread_start(attack->object[QY_OBJ_THREAD], code, stack, 0, 0),
                  QY_INVALID_ARGUMENT, "start a thread that has no address space");
    attack_expect(attack, thread_start(QY_SLOT_THREAD, code, stack, 0, 0), QY_BUSY,
                  "start the thread that runs");
    attack_expect(attack, thread_configure(QY_SLOT_THREAD, QY_SLOT_SPACE, QY_SLOT_NODE, 0, 0),
                  QY_BUSY, "configure the thread that runs");
    attack_expect(attack, thread_configure(child->thread, QY_SLOT_NODE, QY_SLOT_NODE, 0, 0),
                  QY_WRONG_TYPE, "give a thread a capability node as address space");
    attack_expect(attack, thread_configure(child->thread, QY_SLOT_SPACE, QY_SLOT_SPACE, 0, 0),
                  QY_WRONG_TYPE, "give a thread an address space as capability node");
    attack_expect(attack,
                  thread_configure(child->thread, QY_SLOT_SPACE, QY_SLOT_NODE, QY_SLOT_CONSOLE, 0),
                  QY_WRONG_TYPE, "give a thread a console as fault handler");
    attack_expect(attack, reply_send(child->reply, 0, 0, 0, 0), QY_NOT_FOUND, "reply to nobody");
    attack_expect(attack, endpoint_receive(child->endpoint, QY_SLOT_CONSOLE, &(struct message){0}),
                  QY_WRONG_TYPE, "receive with a console as reply object");
}

void attack_threads(struct attack *attack)
{
    struct attack_child child;

    if (!attack_child_begin(attack, &child))
        return;
    bad_starts(attack, &child.child);
    attack_child_end(&child);
}
