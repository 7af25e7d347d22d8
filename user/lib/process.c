/*
 * Processes: what they are made of, their start and their end. Their images: load.c. See user/process.h.
 */
#include "load.h"

#include <lib/string.h>
#include <user/program.h>
#include <user/secret.h>
#include <user/slots.h>

/* Rights of the budget that a process has of itself: to make objects, not to take away what the loader made. */
#define BUDGET_RIGHTS (QY_RIGHT_READ | QY_RIGHT_WRITE)

_Static_assert(PROGRAM_GIVEN(PROCESS_GIVEN_FILES) == PROGRAM_FILES &&
                   PROGRAM_GIVEN(PROCESS_GIVEN_SWAP) == PROGRAM_SWAP,
               "services are found where they are given");

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

enum qy_error process_make(const struct process_plan *plan, struct process *process)
{
    enum qy_error error = make_parts(plan, process);

    if (error == QY_OK)
        error = give_parts(plan, process);
    return error == QY_OK ? thread_configure(process->thread, process->space, process->node,
                                             plan->endpoint, plan->number | PROCESS_FAULTS)
                          : error;
}

/* A stack whose pages appear when they are touched, and a page below it that never does. */
static enum qy_error reserve_stack(const struct process_plan *plan, const struct process *process)
{
    uint64_t bytes = PAGE_ALIGN(plan->stack_bytes ? plan->stack_bytes : PROCESS_STACK_BYTES);
    uint64_t stack = process->places.stack - bytes, guard = stack - PAGE_BYTES;
    const uint64_t flags = QY_MAP_READ | QY_MAP_WRITE | QY_REGION(QY_REGION_STACK);

    if (plan->paged)
        return QY_OK;
    enum qy_error error = space_map_region(process->space, &stack, bytes, flags, 0);
    return error == QY_OK
               ? space_map_region(process->space, &guard, PAGE_BYTES, flags | QY_REGION_GUARD, 0)
               : error;
}

/* ---- the information page ---- */

/* A page as the process sees it, at `address`; what stands in it so far. */
struct page {
    unsigned char *bytes;
    uint64_t address;
    size_t used;
};

/* Copy texts behind what is there, and their addresses to `list`; its end is 0. False: they do not fit. */
static bool put_texts(struct page *page, const char *const *texts, uint32_t count, uint64_t *list)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = strlen(texts[i]) + 1;
        if (bytes > PAGE_BYTES - page->used)
            return false;
        list[i] = page->address + page->used;
        memcpy(page->bytes + page->used, texts[i], bytes);
        page->used += bytes;
    }
    list[count] = 0;
    return true;
}

static uint32_t count_of(const char *const *texts)
{
    uint32_t count = 0;

    while (texts && texts[count])
        count++;
    return count;
}

/* Head, addresses, text. TOO_MANY: it does not fit. */
static enum qy_error info_make(const struct process_plan *plan, const struct process *process,
                               const struct qy_elf *elf, unsigned char bytes[PAGE_BYTES])
{
    const struct process_places *places = &process->places;
    struct program_info *info = (struct program_info *)bytes;
    uint32_t argc = count_of(plan->argv), variables = count_of(plan->environment);
    uint64_t bias = places->image - elf->start;
    size_t used = sizeof(*info) + ((uint64_t)argc + variables + 2) * sizeof(info->argv[0]);
    struct page page = {bytes, places->map, used};

    if (used > PAGE_BYTES)
        return QY_TOO_MANY;
    *info = (struct program_info){.version = PROGRAM_VERSION,
                                  .cpus = (uint32_t)plan->cpus,
                                  .node_slots = PROCESS_NODE_PAGES * (uint32_t)(PAGE_BYTES / 64),
                                  .free_slot = PROGRAM_FREE,
                                  .argc = argc,
                                  .fixed = plan->fixed,
                                  .clock_hz = plan->clock_hz,
                                  .archive = plan->archive ? places->map + PAGE_BYTES : 0,
                                  .archive_bytes = plan->archive ? plan->archive_bytes : 0,
                                  .image = places->image,
                                  .image_end = places->image_end,
                                  .heap = places->heap,
                                  .tls = elf->tls.address + bias,
                                  .tls_bytes = elf->tls.bytes,
                                  .tls_memory_bytes = elf->tls.memory_bytes,
                                  .tls_align = elf->tls.align};
    secret_bytes(info->seed, sizeof(info->seed));
    info->environment = page.address + sizeof(*info) + (argc + 1) * sizeof(info->argv[0]);
    if (!put_texts(&page, plan->argv, argc, info->argv) ||
        !put_texts(&page, plan->environment, variables, info->argv + argc + 1))
        return QY_TOO_MANY;
    info->bytes = (uint32_t)page.used;
    return QY_OK;
}

/* At the beginning of what it maps anywhere; what comes later comes behind. */
static enum qy_error map_info(const struct process *process, qy_handle_t object)
{
    uint64_t at = process->places.map;
    enum qy_error error = space_map_object(process->space, &at, PAGE_BYTES,
                                           QY_MAP_READ | QY_MAP_WRITE | QY_REGION_ABOVE |
                                               QY_REGION_PRIVATE | QY_REGION(QY_REGION_MAPPED),
                                           object, 0);
    return error == QY_OK && at != process->places.map ? QY_ALREADY_MAPPED : error;
}

static enum qy_error map_archive(const struct process_plan *plan, const struct process *process)
{
    uint64_t at = process->places.map + PAGE_BYTES;

    return plan->archive
               ? space_map_object(process->space, &at, PAGE_ALIGN(plan->archive_bytes),
                                  QY_MAP_READ | QY_REGION(QY_REGION_MAPPED), plan->archive, 0)
               : QY_OK;
}

/* ---- loading ---- */

/* Its own object, with the information page as page 0, and everything in its place. */
static enum qy_error fill(const struct process_plan *plan, struct process *process,
                          const struct load *load, qy_handle_t object, const char **why)
{
    static unsigned char page[PAGE_BYTES] __attribute__((aligned(16)));
    uint64_t pages = 1;

    memset(page, 0, sizeof(page));
    enum qy_error error = info_make(plan, process, &load->elf[0], page);
    if (error != QY_OK) {
        *why = "its arguments do not fit a page";
        return error;
    }
    error = memory_supply(object, 0, &pages, page);
    memset(page, 0, sizeof(page)); /* the seed is the process's alone */
    if (error == QY_OK && !plan->paged)
        error = load_map(load, process->space, object, 1);
    if (error == QY_OK)
        error = map_info(process, object);
    if (error == QY_OK)
        error = map_archive(plan, process);
    return error == QY_OK ? reserve_stack(plan, process) : error;
}

/* What it was loaded from stays as long as it does: it has capabilities of it, by which it can change nothing. */
static enum qy_error give_loaded(const struct process_plan *plan, const struct process *process,
                                 const struct load *load, qy_handle_t object)
{
    enum qy_error error = give(process, PROGRAM_LOADED, object, QY_RIGHT_READ, 0);

    for (unsigned i = 0; error == QY_OK && i < load->count; i++)
        error = give(process, PROGRAM_LOADED + 1 + i, load->shared[i], QY_RIGHT_READ, 0);
    return error == QY_OK
               ? give(process, PROGRAM_ARCHIVE, plan->archive, QY_RIGHT_READ | QY_RIGHT_GRANT, 0)
               : error;
}

static enum qy_error load_all(const struct process_plan *plan, struct process *process,
                              const struct load *load, const char **why)
{
    qy_handle_t object = 0;
    uint64_t pages = 1 + (plan->paged ? 0 : load_pages(load));
    enum qy_error error = slot_make(process->budget, QY_OBJ_MEMORY, pages, &object);

    if (error == QY_OK)
        error = fill(plan, process, load, object, why);
    if (error == QY_OK)
        error = give_loaded(plan, process, load, object);
    slot_delete(object);
    return error;
}

enum qy_error process_create(const struct process_plan *plan, struct process *out, const char **why)
{
    struct process process = {.number = plan->number};
    struct load load;

    *why = NULL;
    enum qy_error error = load_read(&load, plan, why);
    if (error != QY_OK)
        return error;
    load_place(&load, plan, &process.places);
    *why = "it could not be made";
    error = process_make(plan, &process);
    if (error == QY_OK)
        error = load_all(plan, &process, &load, why);
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
    const struct process_places *places = &process->places;

    return thread_start(process->thread, places->entry, places->stack, places->map, cpu);
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
