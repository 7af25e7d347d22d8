/*
 * The part of a program's start and end that is C: see user/program.h. The root task has its own.
 */
#include <user/call.h>
#include <user/print.h>
#include <user/program.h>
#include <user/slots.h>

const struct program_info *program;

_Noreturn void program_exit(int code)
{
    print_flush();
    /* A parent that has gone cannot be told; the thread ends all the same. */
    enum qy_error error =
        endpoint_send(PROGRAM_PARENT, PROGRAM_SAYS_EXIT, (uint64_t)(int64_t)code, 0, 0);
    thread_exit(error == QY_OK ? (uint64_t)(int64_t)code : (uint64_t)error);
}

_Noreturn void program_begin(const struct program_info *info)
{
    program = info;
    print_to_console(QY_SLOT_CONSOLE);
    slots_begin(info->free_slot, info->node_slots - info->free_slot);
    program_exit(main((int)info->argc, (char **)(uintptr_t)info->argv));
}
