/*
 * The root task's main: read the command line, do what it asks, switch the machine off.
 *
 * Exit codes: 0 all checks held; 3 one did not, and the last line of the root task names the first;
 * 4 the kernel speaks another version of the interface.
 */
#include "leaks.h"
#include <lib/string.h>
#include <user/secret.h>

#define CODE_FAILED 3u
#define CODE_VERSION 4u

/* Whether the command line has that word. */
static bool asked_for(const struct qy_root_info *info, const char *word)
{
    size_t length = strlen(word);
    const char *at = info->command_line;
    const char *end = at + sizeof(info->command_line);

    while (at < end && *at) {
        const char *stop = at;
        while (stop < end && *stop && *stop != ' ')
            stop++;
        if ((size_t)(stop - at) == length && memcmp(at, word, length) == 0)
            return true;
        at = stop < end && *stop ? stop + 1 : stop;
    }
    return false;
}

/* What stands behind the first word of the command line that begins so; null: there is no such word. */
static const char *value_of(const struct qy_root_info *info, const char *begin)
{
    const char *at = info->command_line;

    while (*at && strncmp(at, begin, strlen(begin)) != 0) {
        while (*at && *at != ' ')
            at++;
        while (*at == ' ')
            at++;
    }
    return *at ? at + strlen(begin) : NULL;
}

uint64_t root_word(const struct root *root, const char *begin, uint64_t otherwise)
{
    const char *at = value_of(root->info, begin);
    uint64_t number = 0;

    if (!at || *at < '0' || *at > '9')
        return otherwise;
    for (; *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (uint64_t)(*at - '0');
    return number;
}

#define RUN_WORDS 6u

/* The words of "run=NAME,WORD,..." in text, whose addresses end with null; false: there is no such word. */
static bool asked_to_run(const struct qy_root_info *info, char *text, size_t bytes,
                         const char *words[RUN_WORDS + 1])
{
    const char *at = value_of(info, "run=");
    unsigned count = 0;

    if (!at)
        return false;
    words[count++] = text;
    for (size_t i = 0; i + 1 < bytes && *at && *at != ' '; i++, at++, text++) {
        *text = *at;
        if (*at == ',' && count < RUN_WORDS) {
            *text = 0;
            words[count++] = text + 1;
        }
    }
    *text = 0;
    words[count] = NULL;
    return true;
}

static void demonstrate(struct root *root)
{
    print("Quarry: the root task runs in user mode.\n");
    greet(root);
    show_page(root);
    show_handler(root);
    show_regions(root);
    show_clone(root);
    show_summary(root);
}

_Noreturn static void switch_off(unsigned code)
{
    tracing_end();
    print_flush();
    for (;;)
        if (system_power_off(QY_SLOT_SYSTEM, code) != QY_OK)
            yield();
}

_Noreturn static void finish(const struct root *root)
{
    unsigned code = root->failures ? CODE_FAILED : 0;

    if (root->failures)
        print("\nroot: FAILED: %s\n", root->first_failure);
    else
        print("\nroot: all checks held; switching the machine off\n");
    switch_off(code);
}

int root_main(const struct qy_root_info *info)
{
    static struct root root;
    const char *words[RUN_WORDS + 1];
    char text[64];

    print_to_console(QY_SLOT_CONSOLE);
    root = (struct root){.info = info, .untyped = QY_SLOT_UNTYPED, .next_slot = info->free_slot};
    root.fixed = asked_for(info, "aslr=off");
    secret_begin(info->seed);
    if (info->version != QY_ABI_VERSION || info->bytes < sizeof(*info)) {
        print("root: FAILED: built for interface version %u, the kernel has %u\n", QY_ABI_VERSION,
              info->version);
        switch_off(CODE_VERSION);
    }
    if (asked_for(info, "tracing"))
        tracing_begin(&root);
    if (asked_to_run(info, text, sizeof(text), words)) {
        root_check(&root,
                   run_program(&root, words, asked_for(info, "swap") || asked_for(info, "disk")),
                   "the program did not end well");
    } else if (asked_for(info, "bench")) {
        bench_run(&root);
    } else if (asked_for(info, "attack")) {
        attack_run(&root);
    } else if (asked_for(info, "devices")) {
        devices_run(&root);
    } else if (asked_for(info, "memory")) {
        memory_run(&root);
    } else if (asked_for(info, "disk")) {
        disk_run(&root);
    } else if (asked_for(info, "seen")) {
        seen_run(&root);
    } else if (asked_for(info, "place")) {
        place_run(&root);
    } else if (asked_for(info, "large")) {
        large_run(&root);
    } else if (asked_for(info, "migrate")) {
        migrate_run(&root);
    } else if (asked_for(info, "storm") || value_of(info, "storm=")) {
        storm_run(&root);
    } else if (asked_for(info, "revoke")) {
        revoke_run(&root);
    } else if (asked_for(info, "ranges")) {
        ranges_run(&root);
    } else if (asked_for(info, "exhaust")) {
        exhaust_run(&root);
    } else if (asked_for(info, "view") || value_of(info, "view=")) {
        view_run(&root);
    } else if (asked_for(info, "leak")) {
        leak_run(&root, asked_for(info, "profile"));
    } else {
        demonstrate(&root);
        if (asked_for(info, "interactive"))
            prompt_run(&root);
    }
    if (asked_for(info, "calls"))
        show_calls(&root);
    if (asked_for(info, "profile"))
        show_profile_folded(&root);
    finish(&root);
}
