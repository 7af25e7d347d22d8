/*
 * Every call that a program can make, written once.
 *
 * A call has a number, the handle that it is invoked on (x0) and up to five arguments (x1..x5). It returns
 * an error and up to five results (x1..x5). A result register that a call does not name is zero.
 *
 *             number   x0    x1    x2    x3    x4    x5    error
 *   x86-64    rax      rdi   rsi   rdx   r10   r8    r9    rax      instruction: syscall
 *   RISC-V    a7       a0    a1    a2    a3    a4    a5    a0       instruction: ecall
 *
 * An argument `pointer` is memory that the kernel reads, `out_pointer` memory that it writes; `length` or `pages` says how much.
 *
 * x86-64 loses rcx and r11 in a call, as the instruction does. A call that fails has changed nothing.
 * On OUT_OF_MEMORY x1 is the number of pages wanted and x2 the order of the largest free block of the
 * untyped; on MISSING_TABLE x1 is the level that is missing (1 = the table of 4 KiB pages). cap_revoke alone may fail
 * with work done: BUSY says that all is gone but memory which a device has that does not stop.
 */
#ifndef QUARRY_INVOCATIONS_H
#define QUARRY_INVOCATIONS_H

/* X(number, name, object type of x0 (NONE: not looked at, or any), rights needed, "arguments", "results") */
#define QY_INVOCATIONS(X)                                                                          \
    X(0, null, NONE, 0, "", "")                                                                    \
    X(1, untyped_retype, UNTYPED, QY_RIGHT_WRITE, "type, pages, node, slot, count", "handle")      \
    X(2, untyped_info, UNTYPED, QY_RIGHT_READ, "",                                                 \
      "total_bytes, free_bytes, largest_order, objects, node | zone << 16 | fragmentation << 32")  \
    X(3, cap_copy, CAP_NODE, QY_RIGHT_WRITE, "slot, source, rights, badge", "handle")              \
    X(4, cap_delete, NONE, 0, "", "")                                                              \
    X(5, cap_revoke, NONE, 0, "", "")                                                              \
    X(6, cap_info, CAP_NODE, QY_RIGHT_READ, "slot", "type | rights << 8, handle, object, badge, children") \
    X(7, frame_map, FRAME, QY_RIGHT_READ, "space, address, flags", "level")                        \
    X(8, frame_unmap, FRAME, 0, "space, address", "")                                              \
    X(9, frame_protect, FRAME, 0, "space, address, flags", "")                                     \
    X(10, table_map, PAGE_TABLE, QY_RIGHT_WRITE, "space, address, level", "level")                 \
    X(11, table_unmap, PAGE_TABLE, QY_RIGHT_WRITE, "", "")                                         \
    X(12, space_query, ADDRESS_SPACE, QY_RIGHT_READ, "address", "start, end, flags, page_bytes")   \
    X(13, thread_configure, THREAD, QY_RIGHT_WRITE, "space, node, fault_endpoint, badge", "")      \
    X(14, thread_start, THREAD, QY_RIGHT_WRITE, "instruction, stack, argument, cpu", "")           \
    X(15, thread_suspend, THREAD, QY_RIGHT_WRITE, "", "")                                          \
    X(16, thread_resume, THREAD, QY_RIGHT_WRITE, "", "")                                           \
    X(17, thread_info, THREAD, QY_RIGHT_READ, "", "state, cpu | priority << 32, faults, calls, object")             \
    X(18, thread_exit, NONE, 0, "code", "")                                                        \
    X(19, yield, NONE, 0, "", "")                                                                  \
    X(20, endpoint_send, ENDPOINT, QY_RIGHT_WRITE, "label, word0, word1, word2, capability", "")   \
    X(21, endpoint_call, ENDPOINT, QY_RIGHT_WRITE, "label, word0, word1, word2, capability",       \
      "0, label, word0, word1, word2")                                                             \
    X(22, endpoint_receive, ENDPOINT, QY_RIGHT_READ, "reply", "badge, label, word0, word1, word2") \
    X(23, reply_send, REPLY, QY_RIGHT_WRITE, "label, word0, word1, word2, capability", "")         \
    X(24, console_write, CONSOLE, QY_RIGHT_WRITE, "pointer, length", "")                           \
    X(25, console_read, CONSOLE, QY_RIGHT_READ, "", "character")                                   \
    X(26, system_record, SYSTEM, QY_RIGHT_READ, "kind, index, out_pointer, length, at", "length")      \
    X(27, system_power_off, SYSTEM, QY_RIGHT_WRITE, "code", "")                                    \
    X(28, endpoint_reply_receive, ENDPOINT, QY_RIGHT_READ, "reply, label, word0, word1, word2",    \
      "badge, label, word0, word1, word2")                                                         \
    X(29, receive_slot, CAP_NODE, QY_RIGHT_WRITE, "slot", "")                                      \
    X(30, notification_signal, NOTIFICATION, QY_RIGHT_WRITE, "", "")                               \
    X(31, notification_wait, NOTIFICATION, QY_RIGHT_READ, "", "word")                              \
    X(32, notification_poll, NOTIFICATION, QY_RIGHT_READ, "", "word")                              \
    X(33, notification_bind, NOTIFICATION, QY_RIGHT_READ, "thread", "")                            \
    X(34, cap_move, CAP_NODE, QY_RIGHT_WRITE, "slot, source", "handle")                            \
    X(35, timer_set, TIMER, QY_RIGHT_WRITE, "notification, delay_ns, period_ns", "")               \
    X(36, timer_info, TIMER, QY_RIGHT_READ, "", "now_ns, due_ns, period_ns, missed")               \
    X(37, thread_schedule, THREAD, QY_RIGHT_WRITE, "priority, cpu", "")                            \
    X(38, untyped_objects, UNTYPED, QY_RIGHT_READ, "type", "live, bytes")                          \
    X(39, system_check, SYSTEM, QY_RIGHT_READ, "", "invariant, ...")                               \
    X(40, reply_map, REPLY, QY_RIGHT_WRITE, "frame, flags", "level")                               \
    X(41, interrupt_bind, INTERRUPT, QY_RIGHT_WRITE, "system, number, notification", "")           \
    X(42, interrupt_acknowledge, INTERRUPT, QY_RIGHT_WRITE, "", "")                                \
    X(43, ports_bind, IO_PORTS, QY_RIGHT_WRITE, "system, first, count", "")                        \
    X(44, port_in, IO_PORTS, QY_RIGHT_READ, "port, width", "value")                                \
    X(45, port_out, IO_PORTS, QY_RIGHT_WRITE, "port, width, value", "")                            \
    X(46, device_frame, DEVICE_MEMORY, QY_RIGHT_WRITE, "untyped, address, pages, node, slot", "handle") \
    X(47, device_info, DEVICE_MEMORY, QY_RIGHT_READ, "", "address, bytes, frames")                 \
    X(48, space_bind, ADDRESS_SPACE, QY_RIGHT_WRITE, "untyped", "")                                \
    X(49, space_map_region, ADDRESS_SPACE, QY_RIGHT_WRITE, "address, bytes, flags, first, object", "address") \
    X(50, space_unmap_region, ADDRESS_SPACE, QY_RIGHT_WRITE, "address, bytes", "")                 \
    X(51, space_protect_region, ADDRESS_SPACE, QY_RIGHT_WRITE, "address, bytes, rights", "")       \
    X(52, space_clone, ADDRESS_SPACE, QY_RIGHT_WRITE, "from, address, bytes", "next_address")      \
    X(53, space_settle, ADDRESS_SPACE, QY_RIGHT_WRITE, "address, bytes, untyped", "next_address")  \
    X(54, space_info, ADDRESS_SPACE, QY_RIGHT_READ, "address",                                     \
      "next_address, resident, private, shared, tables | shared_tables << 32")                     \
    X(55, dma_bind, DMA, QY_RIGHT_WRITE, "system, registers, offset, width, value", "")            \
    X(56, frame_pin, FRAME, QY_RIGHT_READ | QY_RIGHT_WRITE, "dma", "address, bytes")               \
    X(57, frame_unpin, FRAME, 0, "", "")                                                           \
    X(58, space_handler, ADDRESS_SPACE, QY_RIGHT_WRITE, "endpoint, badge", "")                     \
    X(59, memory_info, MEMORY, QY_RIGHT_READ, "page", "pages, run, there | paged << 1")            \
    X(60, memory_resize, MEMORY, QY_RIGHT_WRITE, "pages", "pages")                                 \
    X(61, memory_supply, MEMORY, QY_RIGHT_WRITE, "page, pages, pointer", "pages")                  \
    X(62, memory_discard, MEMORY, QY_RIGHT_WRITE, "page, pages", "next_page")                      \
    X(63, memory_pager, MEMORY, QY_RIGHT_WRITE, "endpoint, badge", "")                             \
    X(64, space_pages, ADDRESS_SPACE, QY_RIGHT_READ, "address",                                    \
      "next_address, pages_2m | pages_1g << 32, promoted | divided << 32, reserved | broken << 32, kept_pages") \
    X(68, thread_pointer, NONE, 0, "address", "")                                                  \
    X(70, memory_written, MEMORY, QY_RIGHT_WRITE, "page, pages", "written")                        \
    X(72, space_harvest, ADDRESS_SPACE, QY_RIGHT_WRITE, "address, bytes",                          \
      "address, pages, accessed, swapped, next_address")                                           \
    X(73, space_evict, ADDRESS_SPACE, QY_RIGHT_WRITE, "address, pages, swap, first, frame", "taken") \
    X(74, memory_restore, MEMORY, QY_RIGHT_WRITE, "first, pages, frame, index", "used, filled")    \
    X(75, memory_slots, MEMORY, QY_RIGHT_READ, "first", "used, released")                          \
    X(76, memory_lose, MEMORY, QY_RIGHT_WRITE, "first, pages", "next_slot")                        \
    X(77, untyped_watch, UNTYPED, QY_RIGHT_WRITE, "notification, low_pages, high_pages", "")       \
    X(78, trace_read, SYSTEM, QY_RIGHT_READ, "cpu, position, out_pointer, length",                 \
      "records, position, lost, number")                                                           \
    X(79, system_trace, SYSTEM, QY_RIGHT_WRITE, "action, word0, word1, word2, word3", "word0, word1, word2")

enum qy_invocation {
#define X(number, name, type, rights, arguments, results) QY_CALL_##name = (number),
    QY_INVOCATIONS(X)
#undef X
        QY_CALL_COUNT
};

#endif
