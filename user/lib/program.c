/*
 * The part of a program's start that is C.
 */
#include <user/call.h>
#include <user/print.h>
#include <user/program.h>

_Noreturn void program_begin(const struct qy_root_info *info)
{
    int code = main(info);

    print_flush();
    thread_exit((uint64_t)code);
}
