/*
 * The calls on the console and on the machine as a whole. They copy user memory without the lock.
 */
#include <arch/arch.h>
#include <kernel/call.h>
#include <kernel/check.h>
#include <kernel/cpus.h>
#include <kernel/preempt.h>
#include <kernel/print.h>
#include <kernel/stats.h>

/* Text of one call: it is copied in whole before any is written, on the kernel's stack. */
#define CONSOLE_WRITE_MAX 1024u

enum qy_error call_console_write(struct call *call)
{
    char text[CONSOLE_WRITE_MAX];
    uptr_t pointer = {call->arguments[1]};
    uint64_t bytes = call->arguments[2];
    if (bytes > sizeof(text))
        return QY_INVALID_ARGUMENT;
    if (!user_range(pointer, bytes))
        return QY_BAD_USER_POINTER;
    caps_release();
    bool copied = arch_copy_from_user(text, pointer.raw, bytes);
    if (copied)
        console_write(text, bytes);
    caps_acquire();
    return copied ? QY_OK : QY_BAD_USER_POINTER;
}

enum qy_error call_console_read(struct call *call)
{
    int c = arch_console_get();
    if (c < 0)
        return QY_WOULD_WAIT;
    call->values[0] = (uint64_t)c;
    return QY_OK;
}

enum qy_error call_system_record(struct call *call)
{
    union stats_record record;
    size_t bytes = 0;
    uptr_t pointer = {call->arguments[3]};
    uint64_t room = call->arguments[4];
    if (!user_range(pointer, room))
        return QY_BAD_USER_POINTER;
    caps_release();
    enum qy_error error =
        stats_record(call->arguments[1], call->arguments[2], call->arguments[5], &record, &bytes);
    if (error == QY_OK && !arch_copy_to_user(pointer.raw, &record, bytes < room ? bytes : room))
        error = QY_BAD_USER_POINTER;
    caps_acquire();
    if (error == QY_OK)
        call->values[0] = bytes;
    return error;
}

enum qy_error call_system_power_off(struct call *call)
{
    check_and_exit((unsigned)call->arguments[1]);
}

/* The name of the first invariant that does not hold comes as text in the results; none does if all hold. */
enum qy_error call_system_check(struct call *call)
{
    struct check_counts counts;
    cpus_gather();
    const char *broken = machine_check(&counts);
    cpus_go_on();
    preempt_forgive(call->cpu);
    for (unsigned i = 0; broken && broken[i] && i + 1 < sizeof(call->values); i++)
        call->values[i / 8] |= (uint64_t)(unsigned char)broken[i] << i % 8 * 8;
    return QY_OK;
}
