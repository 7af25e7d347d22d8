/*
 * The part of a program's start and end that is C: see user/program.h. The root task has its own.
 */
#include <lib/string.h>
#include <user/call.h>
#include <user/print.h>
#include <user/program.h>
#include <user/secret.h>
#include <user/slots.h>
#include <user/tls.h>

#define CODE_NO_MEMORY 127

_Noreturn void program_exit(int code)
{
    print_flush();
    /* A parent that has gone cannot be told; the thread ends all the same. */
    enum qy_error error =
        endpoint_send(PROGRAM_PARENT, PROGRAM_SAYS_EXIT, (uint64_t)(int64_t)code, 0, 0);
    thread_exit(error == QY_OK ? (uint64_t)(int64_t)code : (uint64_t)error);
}

const char *const *program_environment(void)
{
    return (const char *const *)(uintptr_t)program->environment;
}

const char *program_variable(const char *name)
{
    size_t length = strlen(name);

    for (const char *const *at = program_environment(); *at; at++)
        if (strncmp(*at, name, length) == 0 && (*at)[length] == '=')
            return *at + length + 1;
    return NULL;
}

_Noreturn void program_begin(const struct program_info *info)
{
    program = info;
    print_to_console(QY_SLOT_CONSOLE);
    slots_begin(info->free_slot, info->node_slots - info->free_slot);
    secret_begin(info->seed);
    if (tls_begin() != QY_OK) {
        print("no memory for thread-local storage\n");
        program_exit(CODE_NO_MEMORY);
    }
    program_exit(main((int)info->argc, (char **)(uintptr_t)info->argv));
}
