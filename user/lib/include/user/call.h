/*
 * The invocations as C functions, one each, in the order of quarry/invocations.h.
 *
 * A call without results returns its error; one with results returns struct call_result, whose
 * value[1..5] are the results in the table's order. A call that fails has changed nothing. The
 * functions take no lock and keep no state; any thread may use them. Cost: that of the call.
 */
#ifndef USER_CALL_H
#define USER_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <user_arch.h>

#define CALL_MUST_USE __attribute__((warn_unused_result))

static inline CALL_MUST_USE enum qy_error null_call(void)
{
    return qy_call(QY_CALL_null, 0, 0, 0, 0, 0, 0).error;
}

/*
 * Make `count` objects of `type` out of an untyped, `pages` 4 KiB pages each (1 where the type has
 * one size), named by the slots [slot, slot + count) of node. value[1]: handle of the first.
 */
static inline CALL_MUST_USE struct call_result untyped_retype(qy_handle_t untyped,
                                                              enum qy_object_type type,
                                                              uint64_t pages, qy_handle_t node,
                                                              uint64_t slot, uint64_t count)
{
    return qy_call(QY_CALL_untyped_retype, untyped, type, pages, node, slot, count);
}

struct untyped_state {
    uint64_t total_bytes, free_bytes, largest_order, objects;
    uint32_t node, zone;
    uint32_t fragmentation; /* of what is free, thousandths that are in no free block of 2 MiB */
};

static inline CALL_MUST_USE enum qy_error untyped_info(qy_handle_t untyped,
                                                       struct untyped_state *out)
{
    struct call_result r = qy_call(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0);
    *out = (struct untyped_state){.total_bytes = r.value[1],
                                  .free_bytes = r.value[2],
                                  .largest_order = r.value[3],
                                  .objects = r.value[4],
                                  .node = (uint32_t)(r.value[5] & 0xffff),
                                  .zone = (uint32_t)(r.value[5] >> 16 & 0xffff),
                                  .fragmentation = (uint32_t)(r.value[5] >> 32)};
    return r.error;
}

/* Live objects of a type made from the untyped, 0 = of any, and their bytes (headers and pages). */
struct untyped_count {
    uint64_t live, bytes;
};

static inline CALL_MUST_USE enum qy_error
untyped_objects(qy_handle_t untyped, enum qy_object_type type, struct untyped_count *out)
{
    struct call_result r = qy_call(QY_CALL_untyped_objects, untyped, type, 0, 0, 0, 0);
    *out = (struct untyped_count){r.value[1], r.value[2]};
    return r.error;
}

/* A copy of source in an empty slot of node, with at most those rights. value[1]: its handle. */
static inline CALL_MUST_USE struct call_result
cap_copy(qy_handle_t node, uint64_t slot, qy_handle_t source, uint64_t rights, uint64_t badge)
{
    return qy_call(QY_CALL_cap_copy, node, slot, source, rights, badge, 0);
}

/* Move source, with all that was derived from it, to an empty slot of node. value[1]: its handle. */
static inline CALL_MUST_USE struct call_result cap_move(qy_handle_t node, uint64_t slot,
                                                        qy_handle_t source)
{
    return qy_call(QY_CALL_cap_move, node, slot, source, 0, 0, 0);
}

static inline CALL_MUST_USE enum qy_error cap_delete(qy_handle_t capability)
{
    return qy_call(QY_CALL_cap_delete, capability, 0, 0, 0, 0, 0).error;
}

/* Destroy everything derived from the capability; it stays itself. BUSY: all is gone but memory that a device keeps. */
static inline CALL_MUST_USE enum qy_error cap_revoke(qy_handle_t capability)
{
    return qy_call(QY_CALL_cap_revoke, capability, 0, 0, 0, 0, 0).error;
}

struct cap_state {
    uint32_t type, rights;
    qy_handle_t handle;
    uint64_t object, badge, children;
};

/* What stands in a slot. NOT_FOUND: nothing. */
static inline CALL_MUST_USE enum qy_error cap_info(qy_handle_t node, uint64_t slot,
                                                   struct cap_state *out)
{
    struct call_result r = qy_call(QY_CALL_cap_info, node, slot, 0, 0, 0, 0);
    *out = (struct cap_state){.type = (uint32_t)(r.value[1] & 0xff),
                              .rights = (uint32_t)(r.value[1] >> 8 & 0xff),
                              .handle = r.value[2],
                              .object = r.value[3],
                              .badge = r.value[4],
                              .children = r.value[5]};
    return r.error;
}

/* value[1] on MISSING_TABLE: the level of the table to map first. */
static inline CALL_MUST_USE struct call_result frame_map(qy_handle_t frame, qy_handle_t space,
                                                         uint64_t address, uint64_t flags)
{
    return qy_call(QY_CALL_frame_map, frame, space, address, flags, 0, 0);
}

static inline CALL_MUST_USE enum qy_error frame_unmap(qy_handle_t frame, qy_handle_t space,
                                                      uint64_t address)
{
    return qy_call(QY_CALL_frame_unmap, frame, space, address, 0, 0, 0).error;
}

static inline CALL_MUST_USE enum qy_error frame_protect(qy_handle_t frame, qy_handle_t space,
                                                        uint64_t address, uint64_t flags)
{
    return qy_call(QY_CALL_frame_protect, frame, space, address, flags, 0, 0).error;
}

/* Make a page table the one of `level` over address. value[1] on MISSING_TABLE: the level that is
 * missing above it. */
static inline CALL_MUST_USE struct call_result table_map(qy_handle_t table, qy_handle_t space,
                                                         uint64_t address, uint64_t level)
{
    return qy_call(QY_CALL_table_map, table, space, address, level, 0, 0);
}

static inline CALL_MUST_USE enum qy_error table_unmap(qy_handle_t table)
{
    return qy_call(QY_CALL_table_unmap, table, 0, 0, 0, 0, 0).error;
}

struct space_region {
    uint64_t start, end; /* [start, end); end 0 = the end of the address space */
    uint64_t flags;      /* QY_MAP_*, QY_QUERY_* */
    uint64_t page_bytes;
};

/*
 * The untyped pays for regions and faults of the space from now on; until it is revoked or destroyed. BUSY: another
 * does.
 */
static inline CALL_MUST_USE enum qy_error space_bind(qy_handle_t space, qy_handle_t untyped)
{
    return qy_call(QY_CALL_space_bind, space, untyped, 0, 0, 0, 0).error;
}

/* *address 0: the kernel chooses. flags: QY_MAP_* rights, QY_REGION(kind), QY_REGION_GUARD with `first` moves. */
static inline CALL_MUST_USE enum qy_error space_map_region(qy_handle_t space, uint64_t *address,
                                                           uint64_t bytes, uint64_t flags,
                                                           uint64_t first)
{
    struct call_result r =
        qy_call(QY_CALL_space_map_region, space, *address, bytes, flags, first, 0);
    if (r.error == QY_OK)
        *address = r.value[1];
    return r.error;
}

/* The pages of a memory object from `first` on. flags: QY_MAP_* rights, QY_REGION(kind), QY_REGION_PRIVATE. */
static inline CALL_MUST_USE enum qy_error space_map_object(qy_handle_t space, uint64_t *address,
                                                           uint64_t bytes, uint64_t flags,
                                                           qy_handle_t object, uint64_t first)
{
    struct call_result r = qy_call(QY_CALL_space_map_region, space, *address, bytes,
                                   flags | QY_REGION_OBJECT, first, object);
    if (r.error == QY_OK)
        *address = r.value[1];
    return r.error;
}

/* Of QY_REGION_PAGER regions, and of threads without a fault endpoint. 0: none. */
static inline CALL_MUST_USE enum qy_error space_handler(qy_handle_t space, qy_handle_t endpoint,
                                                        uint64_t badge)
{
    return qy_call(QY_CALL_space_handler, space, endpoint, badge, 0, 0, 0).error;
}

struct memory_state {
    uint64_t pages; /* the object has */
    uint64_t
        run; /* from the page on that are there, or are not, like it; 0: it lies behind the end */
    bool there, paged;
};

static inline CALL_MUST_USE enum qy_error memory_info(qy_handle_t memory, uint64_t page,
                                                      struct memory_state *out)
{
    struct call_result r = qy_call(QY_CALL_memory_info, memory, page, 0, 0, 0, 0);
    *out = (struct memory_state){r.value[1], r.value[2], r.value[3] & 1, r.value[3] >> 1 & 1};
    return r.error;
}

static inline CALL_MUST_USE enum qy_error memory_resize(qy_handle_t memory, uint64_t pages)
{
    struct call_result r = {.value = {0, pages + 1}};
    while (r.error == QY_OK && r.value[1] != pages)
        r = qy_call(QY_CALL_memory_resize, memory, pages, 0, 0, 0, 0);
    return r.error;
}

/* Copies of what stands at `from`, zeroes if it is null. *pages: in, at most QY_SUPPLY_MAX; out: that are there. */
static inline CALL_MUST_USE enum qy_error memory_supply(qy_handle_t memory, uint64_t page,
                                                        uint64_t *pages, const void *from)
{
    struct call_result r =
        qy_call(QY_CALL_memory_supply, memory, page, *pages, (uint64_t)(uintptr_t)from, 0, 0);
    *pages = r.value[1];
    return r.error;
}

static inline CALL_MUST_USE enum qy_error memory_discard(qy_handle_t memory, uint64_t page,
                                                         uint64_t pages)
{
    struct call_result r = {.value = {0, page}};
    for (uint64_t end = page + pages; r.error == QY_OK && r.value[1] < end;)
        r = qy_call(QY_CALL_memory_discard, memory, r.value[1], end - r.value[1], 0, 0, 0);
    return r.error;
}

/* Whoever touches a page that is not there sends a fault message there. 0: such pages are zeroes. */
static inline CALL_MUST_USE enum qy_error memory_pager(qy_handle_t memory, qy_handle_t endpoint,
                                                       uint64_t badge)
{
    return qy_call(QY_CALL_memory_pager, memory, endpoint, badge, 0, 0, 0).error;
}

/* *written: a bit for each of the pages, at most QY_WRITTEN_MAX, that was written to since the last such call. */
static inline CALL_MUST_USE enum qy_error memory_written(qy_handle_t memory, uint64_t page,
                                                         uint64_t pages, uint64_t *written)
{
    struct call_result r = qy_call(QY_CALL_memory_written, memory, page, pages, 0, 0, 0);
    *written = r.value[1];
    return r.error;
}

/* ---- what leaves spaces and returns; see the manual of each call ---- */

struct space_harvest {
    uint64_t address, pages, accessed, swapped, next;
};

static inline CALL_MUST_USE enum qy_error space_harvest(qy_handle_t space, uint64_t address,
                                                        uint64_t end, struct space_harvest *out)
{
    struct call_result r = qy_call(QY_CALL_space_harvest, space, address, end - address, 0, 0, 0);
    *out = (struct space_harvest){r.value[1], r.value[2], r.value[3], r.value[4], r.value[5]};
    return r.error;
}

/* Page i goes to slot first + i and to page i of the frame. *taken: bit i: it went. */
static inline CALL_MUST_USE enum qy_error space_evict(qy_handle_t space, uint64_t address,
                                                      uint64_t pages, qy_handle_t area,
                                                      uint64_t first, qy_handle_t frame,
                                                      uint64_t *taken)
{
    struct call_result r = qy_call(QY_CALL_space_evict, space, address, pages, area, first, frame);
    *taken = r.error == QY_OK ? r.value[1] : 0;
    return r.error;
}

/* Slots return from pages of the frame. *used: bit i: somebody names first + i still. */
static inline CALL_MUST_USE enum qy_error memory_restore(qy_handle_t area, uint64_t first,
                                                         uint64_t pages, qy_handle_t frame,
                                                         uint64_t index, uint64_t *used)
{
    struct call_result r = qy_call(QY_CALL_memory_restore, area, first, pages, frame, index, 0);
    *used = r.value[1];
    return r.error;
}

/* Which of 64 slots are named by a space, and how many have become free by themselves since the area was made. */
static inline CALL_MUST_USE enum qy_error memory_slots(qy_handle_t area, uint64_t first,
                                                       uint64_t *used, uint64_t *released)
{
    struct call_result r = qy_call(QY_CALL_memory_slots, area, first, 0, 0, 0, 0);
    *used = r.value[1];
    *released = r.value[2];
    return r.error;
}

/* Whoever touches one of these slots' pages is told that it is revoked. */
static inline CALL_MUST_USE enum qy_error memory_lose(qy_handle_t area, uint64_t first,
                                                      uint64_t pages)
{
    enum qy_error error = QY_OK;
    for (uint64_t end = first + pages; first < end && error == QY_OK;) {
        struct call_result r = qy_call(QY_CALL_memory_lose, area, first, end - first, 0, 0, 0);
        error = r.error;
        first = error == QY_OK ? r.value[1] : end;
    }
    return error;
}

/* Signalled when there are fewer than low free pages, then when there are high again. */
static inline CALL_MUST_USE enum qy_error untyped_watch(qy_handle_t untyped,
                                                        qy_handle_t notification,
                                                        uint64_t low_pages, uint64_t high_pages)
{
    return qy_call(QY_CALL_untyped_watch, untyped, notification, low_pages, high_pages, 0, 0).error;
}

static inline CALL_MUST_USE enum qy_error space_unmap_region(qy_handle_t space, uint64_t address,
                                                             uint64_t bytes)
{
    return qy_call(QY_CALL_space_unmap_region, space, address, bytes, 0, 0, 0).error;
}

static inline CALL_MUST_USE enum qy_error space_protect_region(qy_handle_t space, uint64_t address,
                                                               uint64_t bytes, uint64_t rights)
{
    return qy_call(QY_CALL_space_protect_region, space, address, bytes, rights, 0, 0).error;
}

/* Copy on write, at the same addresses. An error: what is below *address has been cloned. */
static inline CALL_MUST_USE enum qy_error space_clone(qy_handle_t to, qy_handle_t from,
                                                      uint64_t *address, uint64_t end)
{
    while (*address < end) {
        struct call_result r =
            qy_call(QY_CALL_space_clone, to, from, *address, end - *address, 0, 0);
        if (r.error != QY_OK)
            return r.error;
        *address = r.value[1];
    }
    return QY_OK;
}

/*
 * Pages of 4 KiB in [*address, end) move into frames that the untyped pays, while threads use them. An error: *address
 * says how far it came.
 */
static inline CALL_MUST_USE enum qy_error space_migrate(qy_handle_t space, qy_handle_t untyped,
                                                        uint64_t *address, uint64_t end)
{
    enum qy_error error = QY_OK;
    while (error == QY_OK && *address < end) {
        struct call_result r =
            qy_call(QY_CALL_space_settle, space, *address, end - *address, untyped, 0, 0);
        if (r.value[1])
            *address = r.value[1];
        error = r.error;
    }
    return error;
}

/* What the space shares with others becomes its own, paid by its budget, at and above *address. Errors likewise. */
static inline CALL_MUST_USE enum qy_error space_settle(qy_handle_t space, uint64_t *address)
{
    return space_migrate(space, 0, address, 0x0000800000000000ull);
}

struct space_state {
    uint64_t resident, private_pages, shared_pages, tables, shared_tables; /* pages of 4 KiB */
};

/* Counted in parts: what changes meanwhile is counted as it was or as it is. */
static inline CALL_MUST_USE enum qy_error space_info(qy_handle_t space, struct space_state *out)
{
    struct call_result r = {.error = QY_OK};
    *out = (struct space_state){0};
    while (r.error == QY_OK && r.value[1] < 0x0000800000000000ull) {
        r = qy_call(QY_CALL_space_info, space, r.value[1], 0, 0, 0, 0);
        out->resident += r.value[2];
        out->private_pages += r.value[3];
        out->shared_pages += r.value[4];
        out->tables += r.value[5] & 0xffffffffu;
        out->shared_tables += r.value[5] >> 32;
    }
    return r.error;
}

struct space_pages {
    uint64_t pages_2m, pages_1g; /* there now */
    uint64_t promoted,
        divided; /* 2 MiB put together, large pages divided; counted modulo 2^32, as those below */
    uint64_t reserved, broken; /* blocks of 2 MiB reserved, and found needed elsewhere */
    uint64_t kept;             /* pages of the budget that are reserved, not used, and free */
};

/* Large pages of a space. */
static inline CALL_MUST_USE enum qy_error space_pages(qy_handle_t space, struct space_pages *out)
{
    struct call_result r = {.error = QY_OK};
    *out = (struct space_pages){0};
    while (r.error == QY_OK && r.value[1] < 0x0000800000000000ull) {
        r = qy_call(QY_CALL_space_pages, space, r.value[1], 0, 0, 0, 0);
        out->pages_2m += r.value[2] & 0xffffffffu;
        out->pages_1g += r.value[2] >> 32;
    }
    out->promoted = r.value[3] & 0xffffffffu;
    out->divided = r.value[3] >> 32;
    out->reserved = r.value[4] & 0xffffffffu;
    out->broken = r.value[4] >> 32;
    out->kept = r.value[5];
    return r.error;
}

/* The first region at or above address. NOT_FOUND: there is none. */
static inline CALL_MUST_USE enum qy_error space_query(qy_handle_t space, uint64_t address,
                                                      struct space_region *out)
{
    struct call_result r = qy_call(QY_CALL_space_query, space, address, 0, 0, 0, 0);
    *out = (struct space_region){r.value[1], r.value[2], r.value[3], r.value[4]};
    while (r.error == QY_OK && out->flags & QY_QUERY_MORE) { /* a long one comes in parts */
        struct call_result next = qy_call(QY_CALL_space_query, space, out->end, 0, 0, 0, 0);
        out->flags &= ~QY_QUERY_MORE;
        if (next.error == QY_OK && next.value[1] == out->end &&
            (next.value[3] & ~QY_QUERY_MORE) == out->flags) {
            out->end = next.value[2];
            out->flags = next.value[3];
        }
    }
    return r.error;
}

/* fault_endpoint 0: a fault ends the thread. Fault messages carry the badge. */
static inline CALL_MUST_USE enum qy_error thread_configure(qy_handle_t thread, qy_handle_t space,
                                                           qy_handle_t node,
                                                           qy_handle_t fault_endpoint,
                                                           uint64_t badge)
{
    return qy_call(QY_CALL_thread_configure, thread, space, node, fault_endpoint, badge, 0).error;
}

static inline CALL_MUST_USE enum qy_error thread_start(qy_handle_t thread, uint64_t instruction,
                                                       uint64_t stack, uint64_t argument,
                                                       uint64_t cpu)
{
    return qy_call(QY_CALL_thread_start, thread, instruction, stack, argument, cpu, 0).error;
}

static inline CALL_MUST_USE enum qy_error thread_suspend(qy_handle_t thread)
{
    return qy_call(QY_CALL_thread_suspend, thread, 0, 0, 0, 0, 0).error;
}

static inline CALL_MUST_USE enum qy_error thread_resume(qy_handle_t thread)
{
    return qy_call(QY_CALL_thread_resume, thread, 0, 0, 0, 0, 0).error;
}

/* Priority below QY_PRIORITIES, not above the caller's; cpu may be QY_CPU_ANY. */
static inline CALL_MUST_USE enum qy_error thread_schedule(qy_handle_t thread, uint64_t priority,
                                                          uint64_t cpu)
{
    return qy_call(QY_CALL_thread_schedule, thread, priority, cpu, 0, 0, 0).error;
}

struct thread_status {
    uint64_t state; /* enum qy_thread_state */
    uint32_t cpu, priority;
    uint64_t faults, calls, object;
};

static inline CALL_MUST_USE enum qy_error thread_info(qy_handle_t thread, struct thread_status *out)
{
    struct call_result r = qy_call(QY_CALL_thread_info, thread, 0, 0, 0, 0, 0);
    *out = (struct thread_status){r.value[1], (uint32_t)r.value[2], (uint32_t)(r.value[2] >> 32),
                                  r.value[3], r.value[4],           r.value[5]};
    return r.error;
}

static inline __attribute__((noreturn)) void thread_exit(uint64_t code)
{
    for (;;)
        (void)qy_call(QY_CALL_thread_exit, 0, code, 0, 0, 0, 0);
}

/* The register by which this thread finds what it has of its own: fs, tp. */
static inline CALL_MUST_USE enum qy_error thread_pointer(uint64_t address)
{
    return qy_call(QY_CALL_thread_pointer, 0, address, 0, 0, 0, 0).error;
}

/* Let another thread of this CPU run. */
static inline void yield(void)
{
    (void)qy_call(QY_CALL_yield, 0, 0, 0, 0, 0, 0);
}

/* What passes through an endpoint. A capability beside it: see receive_slot and endpoint_grant. */
struct message {
    uint64_t badge; /* of the capability that the sender used; on receive only */
    uint64_t label; /* on receive with QY_LABEL_CAPABILITY or QY_LABEL_NOTIFIED, if so */
    uint64_t word[3];
};

static inline struct message message_of(struct call_result r)
{
    return (struct message){r.value[1], r.value[2], {r.value[3], r.value[4], r.value[5]}};
}

/* Wait for a receiver, and go on once it has the message. */
static inline CALL_MUST_USE enum qy_error
endpoint_send(qy_handle_t endpoint, uint64_t label, uint64_t word0, uint64_t word1, uint64_t word2)
{
    return qy_call(QY_CALL_endpoint_send, endpoint, label, word0, word1, word2, 0).error;
}

/* Send, and wait for the reply, which is left in *reply. */
static inline CALL_MUST_USE enum qy_error endpoint_call(qy_handle_t endpoint, uint64_t label,
                                                        uint64_t word0, uint64_t word1,
                                                        uint64_t word2, struct message *reply)
{
    struct call_result r = qy_call(QY_CALL_endpoint_call, endpoint, label, word0, word1, word2, 0);
    *reply = message_of(r);
    return r.error;
}

/* Wait for a message. If its sender waits for an answer, the reply object names the sender from now
 * on. */
static inline CALL_MUST_USE enum qy_error endpoint_receive(qy_handle_t endpoint, qy_handle_t reply,
                                                           struct message *out)
{
    struct call_result r = qy_call(QY_CALL_endpoint_receive, endpoint, reply, 0, 0, 0, 0);
    *out = message_of(r);
    return r.error;
}

static inline CALL_MUST_USE enum qy_error reply_send(qy_handle_t reply, uint64_t label,
                                                     uint64_t word0, uint64_t word1, uint64_t word2)
{
    return qy_call(QY_CALL_reply_send, reply, label, word0, word1, word2, 0).error;
}

/*
 * Answer a page fault with memory: the frame is mapped where the thread touched, and the thread resumes. value[1] as
 * for frame_map. BUSY: another CPU takes something out of that space; try again.
 */
static inline CALL_MUST_USE struct call_result reply_map(qy_handle_t reply, qy_handle_t frame,
                                                         uint64_t flags)
{
    return qy_call(QY_CALL_reply_map, reply, frame, flags, 0, 0, 0);
}

/* Answer and wait for the next message in one call; the reply object is used for both. */
static inline CALL_MUST_USE enum qy_error
endpoint_reply_receive(qy_handle_t endpoint, qy_handle_t reply, uint64_t label, uint64_t word0,
                       uint64_t word1, uint64_t word2, struct message *out)
{
    struct call_result r =
        qy_call(QY_CALL_endpoint_reply_receive, endpoint, reply, label, word0, word1, word2);
    *out = message_of(r);
    return r.error;
}

/* As endpoint_send, with a copy of a capability of this program, which both must have GRANT for. */
static inline CALL_MUST_USE enum qy_error endpoint_grant(qy_handle_t endpoint, uint64_t label,
                                                         qy_handle_t capability)
{
    return qy_call(QY_CALL_endpoint_send, endpoint, label, 0, 0, 0, capability).error;
}

/* The next capability that comes with a message to this thread goes into that empty slot. */
static inline CALL_MUST_USE enum qy_error receive_slot(qy_handle_t node, uint64_t slot)
{
    return qy_call(QY_CALL_receive_slot, node, slot, 0, 0, 0, 0).error;
}

static inline CALL_MUST_USE enum qy_error notification_signal(qy_handle_t notification)
{
    return qy_call(QY_CALL_notification_signal, notification, 0, 0, 0, 0, 0).error;
}

/* The bits that were signalled since the last time; waits until there are any. */
static inline CALL_MUST_USE enum qy_error notification_wait(qy_handle_t notification,
                                                            uint64_t *word)
{
    struct call_result r = qy_call(QY_CALL_notification_wait, notification, 0, 0, 0, 0, 0);
    *word = r.value[1];
    return r.error;
}

/* The same without waiting. WOULD_WAIT: none. */
static inline CALL_MUST_USE enum qy_error notification_poll(qy_handle_t notification,
                                                            uint64_t *word)
{
    struct call_result r = qy_call(QY_CALL_notification_poll, notification, 0, 0, 0, 0, 0);
    *word = r.value[1];
    return r.error;
}

/* Signals end receives of that thread too; 0 = of no thread any more. */
static inline CALL_MUST_USE enum qy_error notification_bind(qy_handle_t notification,
                                                            qy_handle_t thread)
{
    return qy_call(QY_CALL_notification_bind, notification, thread, 0, 0, 0, 0).error;
}

/* Signal it in delay_ns nanoseconds and then each period_ns (0: once). All 0: not any more. */
static inline CALL_MUST_USE enum qy_error timer_set(qy_handle_t timer, qy_handle_t notification,
                                                    uint64_t delay_ns, uint64_t period_ns)
{
    return qy_call(QY_CALL_timer_set, timer, notification, delay_ns, period_ns, 0, 0).error;
}

struct timer_state {
    uint64_t now_ns;            /* since boot */
    uint64_t due_ns, period_ns; /* 0 = not armed; once */
    uint64_t missed;            /* periods that passed without a signal of their own */
};

static inline CALL_MUST_USE enum qy_error timer_info(qy_handle_t timer, struct timer_state *out)
{
    struct call_result r = qy_call(QY_CALL_timer_info, timer, 0, 0, 0, 0, 0);
    *out = (struct timer_state){r.value[1], r.value[2], r.value[3], r.value[4]};
    return r.error;
}

/* Connect it to line `number` of the machine (see docs/abi.md): it signals the notification with that badge. */
static inline CALL_MUST_USE enum qy_error interrupt_bind(qy_handle_t interrupt, qy_handle_t system,
                                                         uint64_t number, qy_handle_t notification)
{
    return qy_call(QY_CALL_interrupt_bind, interrupt, system, number, notification, 0, 0).error;
}

/* It was served: the next may come. */
static inline CALL_MUST_USE enum qy_error interrupt_acknowledge(qy_handle_t interrupt)
{
    return qy_call(QY_CALL_interrupt_acknowledge, interrupt, 0, 0, 0, 0, 0).error;
}

/* Make it the ports [first, first + count). x86-64 only. */
static inline CALL_MUST_USE enum qy_error ports_bind(qy_handle_t ports, qy_handle_t system,
                                                     uint64_t first, uint64_t count)
{
    return qy_call(QY_CALL_ports_bind, ports, system, first, count, 0, 0).error;
}

/* width: 1, 2 or 4 bytes. value[1]: what was read. */
static inline CALL_MUST_USE struct call_result port_in(qy_handle_t ports, uint64_t port,
                                                       uint64_t width)
{
    return qy_call(QY_CALL_port_in, ports, port, width, 0, 0, 0);
}

static inline CALL_MUST_USE enum qy_error port_out(qy_handle_t ports, uint64_t port, uint64_t width,
                                                   uint64_t value)
{
    return qy_call(QY_CALL_port_out, ports, port, width, value, 0, 0).error;
}

/* A frame of device memory at a physical address, its header paid by an untyped. value[1]: its handle. */
static inline CALL_MUST_USE struct call_result device_frame(qy_handle_t device, qy_handle_t untyped,
                                                            uint64_t address, uint64_t pages,
                                                            qy_handle_t node, uint64_t slot)
{
    return qy_call(QY_CALL_device_frame, device, untyped, address, pages, node, slot);
}

struct device_state {
    uint64_t address, bytes; /* physical */
    uint64_t frames;         /* made of it */
};

static inline CALL_MUST_USE enum qy_error device_info(qy_handle_t device, struct device_state *out)
{
    struct call_result r = qy_call(QY_CALL_device_info, device, 0, 0, 0, 0, 0);
    *out = (struct device_state){r.value[1], r.value[2], r.value[3]};
    return r.error;
}

/*
 * Connect it to the device that stops, for good or until it is started anew, when `value` is written to its register of
 * `width` bytes at an offset in a frame of device memory, and that shows the value there once it has stopped.
 */
static inline CALL_MUST_USE enum qy_error dma_bind(qy_handle_t dma, qy_handle_t system,
                                                   qy_handle_t registers, uint64_t offset,
                                                   uint64_t width, uint64_t value)
{
    return qy_call(QY_CALL_dma_bind, dma, system, registers, offset, width, value).error;
}

/*
 * Where the frame lies, for the device: value[1], and its bytes: value[2]. The frame keeps its place until
 * frame_unpin; if the capability or the DMA device goes before that, the kernel stops the device. BUSY: pinned
 * already, or the device is being stopped.
 */
static inline CALL_MUST_USE struct call_result frame_pin(qy_handle_t frame, qy_handle_t dma)
{
    return qy_call(QY_CALL_frame_pin, frame, dma, 0, 0, 0, 0);
}

/* The device does not use the frame any more: nobody but the caller knows. */
static inline CALL_MUST_USE enum qy_error frame_unpin(qy_handle_t frame)
{
    return qy_call(QY_CALL_frame_unpin, frame, 0, 0, 0, 0, 0).error;
}

static inline CALL_MUST_USE enum qy_error console_write(qy_handle_t console, const void *text,
                                                        size_t bytes)
{
    return qy_call(QY_CALL_console_write, console, (uintptr_t)text, bytes, 0, 0, 0).error;
}

/* WOULD_WAIT: nothing was typed. */
static inline CALL_MUST_USE enum qy_error console_read(qy_handle_t console, char *out)
{
    struct call_result r = qy_call(QY_CALL_console_read, console, 0, 0, 0, 0, 0);
    *out = (char)r.value[1];
    return r.error;
}

/* One record of quarry/records.h into *out, at most `bytes` of it. NOT_FOUND: there is no record of
 * that index. */
static inline CALL_MUST_USE enum qy_error system_record(qy_handle_t system, uint64_t kind,
                                                        uint64_t index, void *out, size_t bytes)
{
    return qy_call(QY_CALL_system_record, system, kind, index, (uintptr_t)out, bytes, 0).error;
}

/* A record of regions, of which an address in the space is asked, too. */
static inline CALL_MUST_USE enum qy_error system_record_at(qy_handle_t system, uint64_t kind,
                                                           uint64_t index, uint64_t at, void *out,
                                                           size_t bytes)
{
    return qy_call(QY_CALL_system_record, system, kind, index, (uintptr_t)out, bytes, at).error;
}

/* What trace_read has read: records, where to go on, how many were gone already, the number of the next record. */
struct trace_progress {
    uint64_t records, position, lost, number;
};

/* Records of the ring of a CPU from a position on, as many as fit. UNSUPPORTED: the machine has no rings. */
static inline CALL_MUST_USE enum qy_error trace_read(qy_handle_t system, uint64_t cpu, uint64_t position,
                                                     void *out, size_t bytes, struct trace_progress *progress)
{
    struct call_result r =
        qy_call(QY_CALL_trace_read, system, cpu, position, (uintptr_t)out, bytes, 0);
    *progress = (struct trace_progress){r.value[1], r.value[2], r.value[3], r.value[4]};
    return r.error;
}

/* One of QY_TRACE_ACTIONS. */
static inline CALL_MUST_USE struct call_result system_trace(qy_handle_t system, uint64_t action, uint64_t word0,
                                                            uint64_t word1)
{
    return qy_call(QY_CALL_system_trace, system, action, word0, word1, 0, 0);
}

static inline CALL_MUST_USE enum qy_error system_power_off(qy_handle_t system, uint64_t code)
{
    return qy_call(QY_CALL_system_power_off, system, code, 0, 0, 0, 0).error;
}

/*
 * Run every validator, while all other CPUs stand still. name: of the first invariant that does not hold; "" = all
 * do.
 */
#define SYSTEM_CHECK_NAME 41
static inline CALL_MUST_USE enum qy_error system_check(qy_handle_t system,
                                                       char name[SYSTEM_CHECK_NAME])
{
    struct call_result r = qy_call(QY_CALL_system_check, system, 0, 0, 0, 0, 0);
    for (unsigned i = 0; i < 40; i++)
        name[i] = (char)(r.value[1 + i / 8] >> i % 8 * 8);
    name[40] = 0;
    return r.error;
}

#endif
