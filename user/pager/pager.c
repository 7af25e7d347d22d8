/*
 * Serving faults, and what is decided when memory runs out: see pager.h.
 */
#include "pager.h"

#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

enum answer { ANSWER_GO_ON, ANSWER_OVER_QUOTA, ANSWER_WILD };

enum qy_error pager_begin(struct pager *pager, qy_handle_t pool)
{
    *pager = (struct pager){.pool = pool};
    enum qy_error error = slot_make(pool, QY_OBJ_ENDPOINT, 1, &pager->endpoint);
    return error == QY_OK ? slot_make(pool, QY_OBJ_REPLY, 1, &pager->reply) : error;
}

/* ---- admitting ---- */

static enum qy_error area_make(const struct pager *pager, const struct pager_process *paged,
                               unsigned number, unsigned area, uint64_t address, uint64_t pages,
                               uint64_t kind, struct pager_area *out)
{
    *out = (struct pager_area){.pages = pages, .lowest = pages, .grows = area == AREA_STACK};
    enum qy_error error = slot_make(pager->pool, QY_OBJ_MEMORY, pages, &out->object);
    if (error == QY_OK)
        error = memory_pager(out->object, pager->endpoint, BADGE_AREA | number << 1 | area);
    return error == QY_OK
               ? space_map_object(paged->process.space, &address, pages * PAGE_BYTES,
                                  QY_MAP_READ | QY_MAP_WRITE | QY_REGION(kind), out->object, 0)
               : error;
}

static enum qy_error prepare(struct pager *pager, struct pager_process *paged, unsigned number,
                             struct file file)
{
    const uint64_t stack = paged->process.places.stack - PAGED_STACK_PAGES * PAGE_BYTES;
    struct pager_image *image;
    enum qy_error error = pager_image_find(pager, file, &image);

    if (error == QY_OK)
        error = pager_image_map(image, &paged->process);
    if (error == QY_OK)
        error = area_make(pager, paged, number, AREA_HEAP, PAGED_HEAP, PAGED_HEAP_PAGES,
                          QY_REGION_HEAP, &paged->areas[AREA_HEAP]);
    return error == QY_OK ? area_make(pager, paged, number, AREA_STACK, stack, PAGED_STACK_PAGES,
                                      QY_REGION_STACK, &paged->areas[AREA_STACK])
                          : error;
}

/* Take back all that a process had: its own, and its pages of the pool. */
static enum qy_error release(struct pager_process *paged)
{
    enum qy_error error = process_destroy(&paged->process);

    for (unsigned i = 0; i < AREAS; i++) {
        slot_delete(paged->areas[i].object);
        paged->areas[i].object = 0;
    }
    return error;
}

enum qy_error pager_admit(struct pager *pager, const struct pager_terms *terms, unsigned *number,
                          const char **why)
{
    struct process_plan plan = {.argv = terms->argv,
                                .untyped = pager->pool,
                                .budget_pages = terms->budget_pages,
                                .endpoint = pager->endpoint,
                                .console = QY_SLOT_CONSOLE,
                                .cpus = program->cpus,
                                .clock_hz = program->clock_hz,
                                .paged = true};
    unsigned n = 0;

    *why = "there are too many processes";
    while (n < PAGER_PROCESSES && pager->processes[n].state != PAGED_NOT)
        n++;
    if (n == PAGER_PROCESSES)
        return QY_TOO_MANY;
    struct pager_process *paged = &pager->processes[n];
    plan.number = n + 1;
    *why = "it is not in the boot archive";
    enum qy_error error =
        archive_find(boot_archive(program->archive_bytes), terms->argv[0], &plan.image);
    if (error == QY_OK)
        error = process_create(&plan, &paged->process, why);
    if (error == QY_OK) {
        struct thread_status status;
        *why = "its memory could not be prepared";
        error = thread_info(paged->process.thread, &status);
        paged->thread = status.object;
        if (error == QY_OK)
            error = prepare(pager, paged, n, plan.image);
        if (error == QY_OK)
            error = process_start(&paged->process, terms->cpu);
        if (error != QY_OK && release(paged) != QY_OK)
            *why = "its memory could not be prepared, nor given back";
    }
    if (error != QY_OK)
        return error;
    paged->state = PAGED_RUNS;
    paged->policy = terms->policy;
    paged->quota = terms->quota;
    *number = n;
    return QY_OK;
}

/* ---- supplying ---- */

/* Which pages to bring for a touch of `page`: [*first, *first + *count); none if another thread was first. */
static enum answer choose(const struct pager_process *paged, const struct pager_area *area,
                          uint64_t page, uint64_t *first, uint64_t *count)
{
    uint64_t left = paged->quota - paged->pages, window = page - page % PAGER_BATCH;
    struct memory_state state;

    *count = 0;
    if (area->grows) {
        if (page >= area->lowest)
            return ANSWER_GO_ON;
        if (area->lowest - page > PAGED_STACK_REACH)
            return ANSWER_WILD;
        /* From the window's start up to what is there; with less quota fewer, from the top. */
        *first = area->lowest - window <= left ? window : area->lowest - left;
        *count = area->lowest - *first;
        return *first <= page && left ? ANSWER_GO_ON : ANSWER_OVER_QUOTA;
    }
    if (memory_info(area->object, page, &state) != QY_OK || !state.run)
        return ANSWER_WILD;
    if (state.there)
        return ANSWER_GO_ON;
    *first = page;
    *count = window + PAGER_BATCH - page;
    *count = *count < state.run ? *count : state.run;
    *count = *count < left ? *count : left;
    return left ? ANSWER_GO_ON : ANSWER_OVER_QUOTA;
}

static enum answer supply(struct pager_process *paged, struct pager_area *area, uint64_t page)
{
    uint64_t first, count;
    enum answer answer = choose(paged, area, page, &first, &count);

    if (answer != ANSWER_GO_ON || !count)
        return answer;
    /* The pool may have less than the quotas promise: then as if the quota were smaller. */
    uint64_t wanted = count;
    if (memory_supply(area->object, first, &count, NULL) != QY_OK)
        return ANSWER_OVER_QUOTA;
    if (first + count <= page || (area->grows && count < wanted)) {
        enum qy_error error = memory_discard(area->object, first, count);
        return error == QY_OK ? ANSWER_OVER_QUOTA : ANSWER_WILD;
    }
    paged->pages += count;
    if (area->grows)
        area->lowest = first;
    return ANSWER_GO_ON;
}

/* The same for one that may wait: with what others no longer need, as far as that goes. */
static enum answer supply_more(struct pager *pager, struct pager_process *paged, unsigned area,
                               uint64_t page)
{
    enum answer answer = supply(paged, &paged->areas[area], page);

    while (answer == ANSWER_OVER_QUOTA && paged->policy == PAGER_WAITS && pager->spare) {
        uint64_t more = pager->spare < PAGER_BATCH ? pager->spare : PAGER_BATCH;
        pager->spare -= more;
        paged->quota += more;
        answer = supply(paged, &paged->areas[area], page);
    }
    return answer;
}

/* ---- who goes on, waits, ends ---- */

static unsigned count_of(const struct pager *pager, enum pager_state state)
{
    unsigned count = 0;

    for (unsigned i = 0; i < PAGER_PROCESSES; i++)
        count += pager->processes[i].state == state;
    return count;
}

/* The one that waits and has most pages. */
static struct pager_process *largest_waiting(struct pager *pager)
{
    struct pager_process *largest = NULL;

    for (unsigned i = 0; i < PAGER_PROCESSES; i++) {
        struct pager_process *paged = &pager->processes[i];
        if (paged->state == PAGED_WAITS && (!largest || paged->pages > largest->pages))
            largest = paged;
    }
    return largest;
}

static void unpark(struct pager_parked *parked)
{
    slot_delete(parked->reply);
    *parked = (struct pager_parked){0};
}

static bool is_parked(const struct pager *pager, const struct pager_process *paged)
{
    for (unsigned i = 0; i < PAGER_PARKED; i++)
        if (pager->parked[i].paged == paged)
            return true;
    return false;
}

/* Memory has come back: try again for those that wait, in the order of the table. */
static enum qy_error wake(struct pager *pager)
{
    enum qy_error error = QY_OK;

    for (unsigned i = 0; error == QY_OK && i < PAGER_PARKED; i++) {
        struct pager_parked *parked = &pager->parked[i];
        struct pager_process *paged = parked->paged;
        if (!paged || supply_more(pager, paged, parked->area, parked->page) != ANSWER_GO_ON)
            continue;
        error = reply_send(parked->reply, QY_FAULT_RESUME, 0, 0, 0);
        unpark(parked);
        if (!is_parked(pager, paged))
            paged->state = PAGED_RUNS;
    }
    return error;
}

/* End a process: its pages and its quota are there for those that wait. */
static enum qy_error end(struct pager *pager, struct pager_process *paged, enum pager_end how,
                         int code)
{
    enum qy_error error = release(paged);

    for (unsigned i = 0; i < PAGER_PARKED; i++)
        if (pager->parked[i].paged == paged)
            unpark(&pager->parked[i]);
    paged->state = PAGED_ENDED;
    paged->end = how;
    paged->code = code;
    pager->spare += paged->quota;
    if (error == QY_OK)
        error = wake(pager);
    return error;
}

/* Leave it with its fault; the next message gets a new reply object. */
static enum qy_error park(struct pager *pager, struct pager_process *paged, unsigned area,
                          uint64_t page)
{
    unsigned i = 0;

    while (i < PAGER_PARKED && pager->parked[i].paged)
        i++;
    if (i == PAGER_PARKED) /* it has many threads, and all of them want more */
        return end(pager, paged, PAGED_OVER_QUOTA, 0);
    pager->parked[i] = (struct pager_parked){paged, area, page, pager->reply};
    paged->state = PAGED_WAITS;
    pager->reply = 0;
    return slot_make(pager->pool, QY_OBJ_REPLY, 1, &pager->reply);
}

static enum qy_error serve_area(struct pager *pager, const struct message *message)
{
    unsigned n = (unsigned)(message->badge >> 1) % PAGER_PROCESSES, area = message->badge & 1;
    struct pager_process *paged = &pager->processes[n];
    uint64_t page = QY_FAULT_PAGE(message->label);

    if (paged->state == PAGED_ENDED) /* nobody waits for an answer */
        return QY_OK;
    uint64_t quota = paged->quota;
    paged->faults++;
    enum answer answer = supply_more(pager, paged, area, page);
    paged->beyond += paged->quota > quota || answer == ANSWER_OVER_QUOTA;
    switch (answer) {
    case ANSWER_GO_ON:
        return reply_send(pager->reply, QY_FAULT_RESUME, 0, 0, 0);
    case ANSWER_OVER_QUOTA:
        return paged->policy == PAGER_WAITS ? park(pager, paged, area, page)
                                            : end(pager, paged, PAGED_OVER_QUOTA, 0);
    default:
        return end(pager, paged, PAGED_WILD, 0);
    }
}

static enum qy_error serve_image(struct pager *pager, const struct message *message)
{
    unsigned which = (unsigned)message->badge % (PAGER_IMAGES * PAGER_SEGMENTS);
    struct pager_image *image = &pager->images[which / PAGER_SEGMENTS];
    uint64_t page = QY_FAULT_PAGE(message->label);

    if (pager_image_supply(pager, &image->segment[which % PAGER_SEGMENTS], page))
        return reply_send(pager->reply, QY_FAULT_RESUME, 0, 0, 0);
    /* No page for an image: whoever asked cannot go on. */
    for (unsigned i = 0; i < PAGER_PROCESSES; i++)
        if (pager->processes[i].thread == message->word[2])
            return end(pager, &pager->processes[i], PAGED_OVER_QUOTA, 0);
    return reply_send(pager->reply, QY_FAULT_KILL, 0, 0, 0);
}

static enum qy_error serve_process(struct pager *pager, const struct message *message)
{
    struct process_event event;

    process_event_from(message, &event);
    if (!event.number || event.number > PAGER_PROCESSES)
        return QY_OK;
    struct pager_process *paged = &pager->processes[event.number - 1];
    if (paged->state == PAGED_NOT || paged->state == PAGED_ENDED)
        return QY_OK;
    if (event.news == PROCESS_SAID) /* nobody here talks with them; a call is not left waiting */
        return reply_send(pager->reply, 0, 0, 0, 0);
    if (event.news == PROCESS_EXITED)
        return end(pager, paged, PAGED_EXITED, event.code);
    return end(pager, paged, event.fault.mark == QY_FOUND_EXHAUSTED ? PAGED_OVER_QUOTA : PAGED_WILD,
               0);
}

enum qy_error pager_serve(struct pager *pager)
{
    enum qy_error error = QY_OK;

    while (error == QY_OK && count_of(pager, PAGED_RUNS) + count_of(pager, PAGED_WAITS)) {
        struct message message;
        if (!count_of(pager, PAGED_RUNS)) { /* nobody is left who could give memory back */
            error = end(pager, largest_waiting(pager), PAGED_CHOSEN, 0);
            continue;
        }
        error = endpoint_receive(pager->endpoint, pager->reply, &message);
        if (error != QY_OK)
            break;
        if (message.badge & BADGE_AREA)
            error = serve_area(pager, &message);
        else if (message.badge & BADGE_IMAGE)
            error = serve_image(pager, &message);
        else
            error = serve_process(pager, &message);
        /* Whoever asked may have ended, by others' hands: then nobody waits for the answer. */
        if (error == QY_NOT_FOUND)
            error = QY_OK;
    }
    return error;
}

void pager_end(struct pager *pager)
{
    pager_images_end(pager);
    slot_delete(pager->reply);
    slot_delete(pager->endpoint);
    *pager = (struct pager){0};
}
