/*
 * What the kernel counted of each call (word `calls`, and at the prompt): how often it was made, for how long it let no
 * interrupt in at most, and how often it wanted the lock of capabilities and another CPU had it. Messages by the fast
 * path are not among them: they take no time to speak of, and not that lock.
 */
#include "root.h"
#include <quarry/call_errors.h>
#include <quarry/records.h>

static const char *kind_name(uint64_t kind)
{
    return kind < QY_CALL_COUNT    ? qy_call_name((enum qy_invocation)kind)
           : kind == QY_CALL_COUNT ? "page fault"
                                   : "interrupts, idle";
}

void show_calls(struct root *root)
{
    static const char *const names[] = {"call", "times", "longest stretch", "locks", "waits"};
    static char text[8192];
    struct table table;
    struct qy_record_call call, worst = {0};

    table_begin(&table, text, sizeof(text), "<>>>>");
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        table_cell(&table, "%s", names[i]);
    for (uint64_t i = 0;
         system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_CALL, i, &call, sizeof(call)) == QY_OK; i++) {
        if (call.longest_stretch > worst.longest_stretch)
            worst = call;
        if (!call.times && !call.locks)
            continue;
        const uint64_t cells[] = {call.times, call.longest_stretch, call.locks, call.waits};
        table_cell(&table, "%s", kind_name(i));
        for (unsigned j = 0; j < sizeof(cells) / sizeof(cells[0]); j++)
            table_cell(&table, "%llu", (unsigned long long)cells[j]);
    }
    root_table(&table);
    root_check(root, worst.longest_stretch != 0, "no call was counted");
    print("calls: longest stretch without interrupts %llu %s, in %s\n",
          (unsigned long long)worst.longest_stretch, CLOCK_NAME, kind_name(worst.call));
}
