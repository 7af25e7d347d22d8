/*
 * Processes: what they are made of, their start and their end. Their images: load.c. See user/process.h.
 */
#include "load.h"

#include <lib/string.h>
#include <user/program.h>
#include <user/slots.h>

/* Slots of a process's node behind those that have a fixed use. */
#define FIRST_SLOT PROGRAM_GIVEN(PROGRAM_GIVEN_MAX)

/* Rights of the budget that a process has of itself: to make objects, not to take away what the loader made. */
#define BUDGET_RIGHTS (QY_RIGHT_READ | QY_RIGHT_WRITE)

static enum qy_error give(const struct process *process, uint64_t slot, qy_handle_t source,
                          uint64_t rights, uint64_t badge)
{
    return source ? cap_copy(process->node, slot, source, rights, badge).error : QY_OK;
}

enum qy_error process_give(const struct process *process, unsigned i, qy_handle_t source,
                           uint64_t rights, uint64_t badge)
{
    return i < PROGRAM_GIVEN_MAX ? give(process, PROGRAM_GIVEN(i), source, rights, badge)
                                 : QY_INVALID_ARGUMENT;
}

/* Budget, space, node, thread. */
static enum qy_error make_parts(const struct process_plan *plan, struct process *process)
{
    enum qy_error error =
        slot_make(plan->untyped, QY_OBJ_UNTYPED, plan->budget_pages, &process->budget);
    if (error == QY_OK)
        error = slot_make(process->budget, QY_OBJ_ADDRESS_SPACE, 1, &process->space);
    if (error == QY_OK)
        error = slot_make(process->budget, QY_OBJ_CAP_NODE, PROCESS_NODE_PAGES, &process->node);
    if (error == QY_OK)
        error = slot_make(process->budget, QY_OBJ_THREAD, 1, &process->thread);
    if (error == QY_OK)
        error = space_bind(process->space, process->budget);
    return error;
}

/* What the process finds in its node. */
static enum qy_error give_parts(const struct process_plan *plan, const struct process *process)
{
    const struct {
        uint64_t slot;
        qy_handle_t source;
        uint64_t rights, badge;
    } gifts[] = {
        {QY_SLOT_NODE, process->node, QY_RIGHT_ALL, 0},
        {QY_SLOT_SPACE, process->space, QY_RIGHT_ALL, 0},
        {QY_SLOT_THREAD, process->thread, QY_RIGHT_ALL, 0},
        {QY_SLOT_CONSOLE, plan->console, QY_RIGHT_WRITE | QY_RIGHT_GRANT, 0},
        {PROGRAM_PARENT, plan->endpoint, QY_RIGHT_WRITE | QY_RIGHT_GRANT, plan->number},
        {QY_SLOT_UNTYPED, process->budget, BUDGET_RIGHTS, 0},
    };
    enum qy_error error = QY_OK;

    for (unsigned i = 0; error == QY_OK && i < sizeof(gifts) / sizeof(gifts[0]); i++)
        error = give(process, gifts[i].slot, gifts[i].source, gifts[i].rights, gifts[i].badge);
    return error;
}

/* A stack whose pages appear when they are touched, and a page below it that never does. */
static enum qy_error reserve_stack(const struct process_plan *plan, const struct process *process)
{
    uint64_t bytes = PAGE_ALIGN(plan->stack_bytes ? plan->stack_bytes : PROCESS_STACK_BYTES);
    uint64_t stack = PROGRAM_STACK_TOP - bytes, guard = stack - PAGE_BYTES;
    const uint64_t flags = QY_MAP_READ | QY_MAP_WRITE | QY_REGION(QY_REGION_STACK);

    if (plan->paged)
        return QY_OK;
    enum qy_error error = space_map_region(process->space, &stack, bytes, flags, 0);
    return error == QY_OK
               ? space_map_region(process->space, &guard, PAGE_BYTES, flags | QY_REGION_GUARD, 0)
               : error;
}

/* The information page, as the process sees it: head, addresses, text. TOO_MANY: it does not fit. */
static enum qy_error info_make(const struct process_plan *plan, unsigned char page[PAGE_BYTES])
{
    struct program_info *info = (struct program_info *)page;
    uint32_t argc = 0;

    while (plan->argv && plan->argv[argc])
        argc++;
    size_t used = sizeof(*info) + (argc + 1ull) * sizeof(info->argv[0]);
    if (used > PAGE_BYTES)
        return QY_TOO_MANY;
    *info = (struct program_info){.version = PROGRAM_VERSION,
                                  .cpus = (uint32_t)plan->cpus,
                                  .node_slots = PROCESS_NODE_PAGES * (uint32_t)(PAGE_BYTES / 64),
                                  .argc = argc,
                                  .clock_hz = plan->clock_hz,
                                  .archive_bytes = plan->archive.bytes};
    for (uint32_t i = 0; i < argc; i++) {
        size_t bytes = strlen(plan->argv[i]) + 1;
        if (bytes > PAGE_BYTES - used)
            return QY_TOO_MANY;
        info->argv[i] = PROGRAM_INFO_ADDRESS + used;
        memcpy(page + used, plan->argv[i], bytes);
        used += bytes;
    }
    info->bytes = (uint32_t)used;
    return QY_OK;
}

static enum qy_error fill(const struct process_plan *plan, struct process *process,
                          const char **why)
{
    static unsigned char page[PAGE_BYTES] __attribute__((aligned(16)));
    const uint64_t rw = QY_MAP_READ | QY_MAP_WRITE;

    memset(page, 0, sizeof(page));
    enum qy_error error = info_make(plan, page);
    if (error != QY_OK) {
        *why = "its arguments do not fit a page";
        return error;
    }
    if (!plan->paged)
        error = load_image(process, plan->image);
    if (error == QY_OK && plan->archive.bytes)
        error = load_bytes(process, QY_ROOT_ARCHIVE_ADDRESS, plan->archive, plan->archive.bytes,
                           QY_MAP_READ);
    /* The last: its own frame and tables take slots, too, at most four. */
    ((struct program_info *)page)->free_slot = process->next_slot + 4;
    if (error == QY_OK)
        error = load_bytes(process, PROGRAM_INFO_ADDRESS, (struct file){page, sizeof(page)},
                           PAGE_BYTES, rw);
    return error;
}

enum qy_error process_create(const struct process_plan *plan, struct process *out, const char **why)
{
    struct process process = {.number = plan->number, .next_slot = FIRST_SLOT};

    *why = NULL;
    enum qy_error error = load_check(plan->image, &process.entry, why);
    if (error != QY_OK)
        return error;
    *why = "it could not be made";
    error = make_parts(plan, &process);
    if (error == QY_OK)
        error = give_parts(plan, &process);
    if (error == QY_OK)
        error = fill(plan, &process, why);
    if (error == QY_OK)
        error = reserve_stack(plan, &process);
    if (error == QY_OK)
        error = thread_configure(process.thread, process.space, process.node, plan->endpoint,
                                 plan->number | PROCESS_FAULTS);
    if (error == QY_OK) {
        *why = NULL;
        *out = process;
        return QY_OK;
    }
    if (error == QY_OUT_OF_MEMORY)
        *why = process.budget ? "its budget is too small" : "no memory is left for its budget";
    enum qy_error undone = process_destroy(&process);
    return undone == QY_OK ? error : undone;
}

enum qy_error process_start(const struct process *process, uint64_t cpu)
{
    return thread_start(process->thread, process->entry, PROGRAM_STACK_TOP, PROGRAM_INFO_ADDRESS,
                        cpu);
}

enum qy_error process_destroy(struct process *process)
{
    if (!process->budget)
        return QY_OK;
    enum qy_error error = cap_revoke(process->budget);
    if (error == QY_OK)
        error = cap_delete(process->budget);
    if (error != QY_OK)
        return error;
    slot_forget(process->thread);
    slot_forget(process->node);
    slot_forget(process->space);
    slot_forget(process->budget);
    *process = (struct process){0};
    return QY_OK;
}

void process_event_from(const struct message *message, struct process_event *out)
{
    *out = (struct process_event){
        .news = PROCESS_SAID, .number = message->badge & ~PROCESS_FAULTS, .message = *message};
    /* The kernel's word by its badge: who is told to send with another cannot make up a fault. */
    if ((message->badge & PROCESS_FAULTS) && fault_from(message, &out->fault))
        out->news = PROCESS_FAULTED;
    else if (message->label == PROGRAM_SAYS_EXIT) {
        out->news = PROCESS_EXITED;
        out->code = (int)message->word[0];
    }
}

enum qy_error process_wait(qy_handle_t endpoint, qy_handle_t reply, struct process_event *out)
{
    struct message message;
    enum qy_error error = endpoint_receive(endpoint, reply, &message);

    if (error == QY_OK)
        process_event_from(&message, out);
    return error;
}
