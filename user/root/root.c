/*
 * What the parts of the root task share: slots, mapping with missing tables, costs and checks.
 */
#include "root.h"
#include <lib/format.h>
#include <lib/string.h>
#include <quarry/records.h>

bool root_check(struct root *root, bool ok, const char *what)
{
    if (ok)
        return true;
    if (!root->failures++)
        root->first_failure = what;
    print("   ** check failed: %s\n", what);
    return false;
}

void root_cost(struct root *root, const char *what, uint64_t ticks)
{
    for (unsigned i = 0; i < root->costs; i++) {
        if (strcmp(root->cost[i].what, what) == 0) {
            root->cost[i].times++;
            root->cost[i].ticks += ticks;
            return;
        }
    }
    if (root_check(root, root->costs < ROOT_COSTS, "the table of costs is full"))
        root->cost[root->costs++] = (struct cost){what, 1, ticks};
}

void root_said(enum qy_error error, const char *format, ...)
{
    char text[128];
    va_list arguments;

    va_start(arguments, format);
    (void)format_to_v(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (error == QY_OK)
        print("   %-60s  ok\n", text);
    else
        print("   %-60s  %s\n      (%s)\n", text, qy_error_name(error), qy_error_sentence(error));
}

static void put_text(void *context, const char *text)
{
    (void)context;
    print_text(text);
}

void root_table(const struct table *table)
{
    table_print(table, "   ", put_text, NULL);
}

enum qy_error root_make(struct root *root, qy_handle_t untyped, enum qy_object_type type,
                        uint64_t pages, qy_handle_t *out)
{
    if (root->next_slot >= root->info->node_slots)
        return QY_TOO_MANY;
    struct call_result r = untyped_retype(untyped, type, pages, QY_SLOT_NODE, root->next_slot, 1);
    if (r.error != QY_OK)
        return r.error;
    root->next_slot++;
    *out = r.value[1];
    return QY_OK;
}

uint32_t root_mark(const struct root *root)
{
    return root->next_slot;
}

void root_release(struct root *root, uint32_t mark)
{
    root->next_slot = mark;
}

/* Make and map the one table whose absence the kernel reported. */
static enum qy_error add_table(struct root *root, qy_handle_t untyped, uint64_t address,
                               unsigned level, bool tell, struct tables *made)
{
    qy_handle_t table;

    if (made->count == 3)
        return QY_TOO_MANY;
    uint64_t start = clock_ticks();
    enum qy_error error = root_make(root, untyped, QY_OBJ_PAGE_TABLE, 1, &table);
    uint64_t ticks = clock_ticks() - start;
    if (error != QY_OK)
        return error;
    made->level[made->count] = level;
    made->handle[made->count++] = table;
    start = clock_ticks();
    error = table_map(table, QY_SLOT_SPACE, address, level).error;
    if (tell) {
        root_cost(root, "retype a page table", ticks);
        root_cost(root, "map a page table", clock_ticks() - start);
        root_said(error, "retype a page table and map it as level %u", level);
    }
    return error;
}

enum qy_error root_map(struct root *root, qy_handle_t untyped, qy_handle_t frame, uint64_t address,
                       uint64_t flags, bool tell, struct tables *made)
{
    struct tables tables = {0};
    enum qy_error error;

    for (;;) {
        uint64_t start = clock_ticks();
        struct call_result r = frame_map(frame, QY_SLOT_SPACE, address, flags);
        uint64_t ticks = clock_ticks() - start;
        error = r.error;
        if (tell) {
            root_cost(root, error == QY_OK ? "map a frame" : "map a frame, refused", ticks);
            if (error == QY_MISSING_TABLE)
                print("   %-60s  %s, level %u\n", "map the frame, read and write",
                      qy_error_name(error), (unsigned)r.value[1]);
            else
                root_said(error, "map the frame, read and write");
        }
        if (error != QY_MISSING_TABLE)
            break;
        error = add_table(root, untyped, address, (unsigned)r.value[1], tell, &tables);
        if (error != QY_OK)
            break;
    }
    if (made)
        *made = tables;
    return error;
}

uint64_t root_node_of_cpu(uint64_t cpu)
{
    struct qy_record_cpu record = {0};
    enum qy_error error =
        system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_CPU, cpu, &record, sizeof(record));
    return error == QY_OK ? record.node : UINT64_MAX;
}
