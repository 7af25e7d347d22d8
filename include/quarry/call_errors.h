/*
 * Which errors each call can return, written once.
 *
 * From its row in QY_INVOCATIONS follow those of x0: INVALID_HANDLE and WRONG_TYPE if it names an object, NO_RIGHTS if
 * rights are needed. Here stands what comes beside. The manual page lists both, and the kernel's tests hold them
 * against what calls return: an error that is not listed fails the test that met it, a listed one that no test meets
 * fails tests/kernel/errors.sh.
 */
#ifndef QUARRY_CALL_ERRORS_H
#define QUARRY_CALL_ERRORS_H

#include <quarry/abi.h>

/* E(call, L(error) L(error) ...), in the order of QY_INVOCATIONS */
#define QY_CALL_ERRORS(E)                                                                            \
    E(null, )                                                                                      \
    E(untyped_retype, L(OUT_OF_MEMORY) L(INVALID_ARGUMENT) L(SLOT_OCCUPIED) L(REVOKED))            \
    E(untyped_info, )                                                                              \
    E(cap_copy, L(INVALID_ARGUMENT) L(SLOT_OCCUPIED) L(REVOKED))                                   \
    E(cap_delete, L(INVALID_HANDLE))                                                               \
    E(cap_revoke, L(INVALID_HANDLE) L(NO_RIGHTS) L(REVOKED) L(BUSY))                               \
    E(cap_info, L(INVALID_ARGUMENT) L(NOT_FOUND))                                                  \
    E(frame_map, L(OUT_OF_MEMORY) L(INVALID_ADDRESS) L(ALREADY_MAPPED) L(INVALID_FLAGS) L(MISSING_TABLE) L(REVOKED))\
    E(frame_unmap, L(NOT_MAPPED))                                                                  \
    E(frame_protect, L(NOT_MAPPED) L(INVALID_FLAGS) L(NO_RIGHTS))                                  \
    E(table_map, L(OUT_OF_MEMORY) L(INVALID_ADDRESS) L(ALREADY_MAPPED) L(INVALID_ARGUMENT) L(MISSING_TABLE) L(BUSY))\
    E(table_unmap, L(NOT_MAPPED) L(BUSY))                                                          \
    E(space_query, L(INVALID_ADDRESS) L(NOT_FOUND))                                                \
    E(thread_configure, L(INVALID_ARGUMENT) L(BUSY))                                               \
    E(thread_start, L(INVALID_ADDRESS) L(INVALID_ARGUMENT) L(BUSY))                                \
    E(thread_suspend, L(INVALID_ARGUMENT))                                                         \
    E(thread_resume, L(INVALID_ARGUMENT))                                                          \
    E(thread_info, )                                                                               \
    E(thread_exit, )                                                                               \
    E(yield, )                                                                                     \
    E(endpoint_send, L(INVALID_ARGUMENT) L(DEAD))                                                  \
    E(endpoint_call, L(INVALID_ARGUMENT) L(DEAD))                                                  \
    E(endpoint_receive, L(BUSY) L(DEAD))                                                           \
    E(reply_send, L(INVALID_ARGUMENT) L(NOT_FOUND))                                                \
    E(console_write, L(INVALID_ARGUMENT) L(BAD_USER_POINTER))                                      \
    E(console_read, L(WOULD_WAIT))                                                                 \
    E(system_record, L(BAD_USER_POINTER) L(INVALID_ARGUMENT) L(NOT_FOUND))                         \
    E(system_power_off, )                                                                          \
    E(endpoint_reply_receive, L(INVALID_ARGUMENT) L(BUSY) L(DEAD))                                 \
    E(receive_slot, L(INVALID_ARGUMENT))                                                           \
    E(notification_signal, )                                                                       \
    E(notification_wait, L(DEAD))                                                                  \
    E(notification_poll, L(WOULD_WAIT))                                                            \
    E(notification_bind, L(REVOKED) L(BUSY))                                                       \
    E(cap_move, L(INVALID_ARGUMENT) L(SLOT_OCCUPIED) L(REVOKED))                                   \
    E(timer_set, L(INVALID_ARGUMENT) L(REVOKED))                                                   \
    E(timer_info, )                                                                                \
    E(thread_schedule, L(INVALID_ARGUMENT))                                                        \
    E(untyped_objects, L(INVALID_ARGUMENT))                                                        \
    E(system_check, )                                                                              \
    E(reply_map, L(ALREADY_MAPPED) L(INVALID_FLAGS) L(INVALID_ARGUMENT) L(MISSING_TABLE) L(BUSY) L(NOT_FOUND))\
    E(interrupt_bind, L(INVALID_ARGUMENT) L(REVOKED) L(BUSY) L(UNSUPPORTED))                       \
    E(interrupt_acknowledge, L(NOT_FOUND))                                                         \
    E(ports_bind, L(INVALID_ARGUMENT) L(BUSY) L(UNSUPPORTED))                                      \
    E(port_in, L(INVALID_ARGUMENT))                                                                \
    E(port_out, L(INVALID_ARGUMENT))                                                               \
    E(device_frame, L(OUT_OF_MEMORY) L(INVALID_ARGUMENT) L(SLOT_OCCUPIED) L(BUSY))                 \
    E(device_info, )                                                                               \
    E(space_bind, L(BUSY))                                                                         \
    E(space_map_region, L(OUT_OF_MEMORY) L(INVALID_ADDRESS) L(ALREADY_MAPPED) L(INVALID_FLAGS) L(INVALID_ARGUMENT) L(UNSUPPORTED))\
    E(space_unmap_region, L(OUT_OF_MEMORY) L(INVALID_ADDRESS) L(NOT_MAPPED))                       \
    E(space_protect_region, L(OUT_OF_MEMORY) L(INVALID_ADDRESS) L(NOT_MAPPED) L(INVALID_FLAGS))    \
    E(space_clone, L(OUT_OF_MEMORY) L(INVALID_ADDRESS) L(ALREADY_MAPPED) L(INVALID_ARGUMENT) L(UNSUPPORTED))\
    E(space_settle, L(OUT_OF_MEMORY) L(INVALID_ADDRESS))                                           \
    E(space_info, )                                                                                \
    E(dma_bind, L(INVALID_ARGUMENT) L(BUSY))                                                       \
    E(frame_pin, L(INVALID_ARGUMENT) L(BUSY) L(DEAD) L(TOO_MANY) L(NOT_FOUND))                     \
    E(frame_unpin, L(NOT_FOUND))                                                                   \
    E(space_handler, L(INVALID_ARGUMENT))                                                          \
    E(memory_info, )                                                                               \
    E(memory_resize, L(INVALID_ARGUMENT))                                                          \
    E(memory_supply, L(OUT_OF_MEMORY) L(NOT_MAPPED) L(INVALID_ARGUMENT) L(BAD_USER_POINTER))       \
    E(memory_discard, L(INVALID_ARGUMENT))                                                         \
    E(memory_pager, L(INVALID_ARGUMENT))                                                           \
    E(thread_pointer, L(INVALID_ADDRESS))                                                          \
    E(memory_written, L(INVALID_ARGUMENT))                                                         \
    E(space_harvest, L(INVALID_ADDRESS))                                                           \
    E(space_evict, L(OUT_OF_MEMORY) L(INVALID_ADDRESS) L(INVALID_ARGUMENT))                        \
    E(memory_restore, L(OUT_OF_MEMORY) L(INVALID_ARGUMENT))                                        \
    E(memory_slots, L(INVALID_ARGUMENT))                                                           \
    E(memory_lose, L(INVALID_ARGUMENT))                                                            \
    E(untyped_watch, L(INVALID_ARGUMENT) L(REVOKED))                                               \
    E(trace_read, L(INVALID_ARGUMENT) L(BAD_USER_POINTER) L(UNSUPPORTED))                          \
    E(system_trace, L(INVALID_ARGUMENT) L(NOT_FOUND) L(UNSUPPORTED))

/* The errors of a call as bits, 1 << error. */
static inline uint64_t qy_call_errors(enum qy_invocation call)
{
    static const uint64_t beside[] = {
#define L(error) | 1ull << QY_##error
#define E(call, errors) [QY_CALL_##call] = 0 errors,
        QY_CALL_ERRORS(E)
#undef E
#undef L
    };
    static const uint64_t of_x0[] = {
#define X(number, name, type, rights, arguments, results)                                          \
    [number] = (QY_OBJ_##type != QY_OBJ_NONE ? 1ull << QY_INVALID_HANDLE | 1ull << QY_WRONG_TYPE   \
                                             : 0) |                                                \
               ((rights) ? 1ull << QY_NO_RIGHTS : 0),
        QY_INVOCATIONS(X)
#undef X
    };
    _Static_assert(sizeof(beside) == sizeof(of_x0), "a row for each call");
    return call < QY_CALL_COUNT ? beside[call] | of_x0[call] : 0;
}

static inline const char *qy_call_name(enum qy_invocation call)
{
    switch (call) {
#define X(number, name, type, rights, arguments, results)                                          \
    case QY_CALL_##name:                                                                           \
        return #name;
        QY_INVOCATIONS(X)
#undef X
    case QY_CALL_COUNT:
        break;
    }
    return "?";
}

#endif
