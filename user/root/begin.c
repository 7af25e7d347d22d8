/*
 * The part of the root task's start that is C. Its parent is the kernel, so it gets the kernel's page and tells
 * nobody when it ends; other programs begin in user/lib/begin.c.
 */
#include "root.h"

_Noreturn void program_begin(const struct qy_root_info *info)
{
    int code = root_main(info);

    print_flush();
    thread_exit((uint64_t)code);
}
