/*
 * Mapping with missing tables: see user/space.h.
 */
#include <user/slots.h>
#include <user/space.h>

enum qy_error space_map_frame(qy_handle_t untyped, qy_handle_t space, qy_handle_t frame,
                              uint64_t address, uint64_t flags, struct tables *made)
{
    *made = (struct tables){0};
    for (;;) {
        struct call_result r = frame_map(frame, space, address, flags);
        if (r.error != QY_MISSING_TABLE || made->count == 3)
            return r.error;
        qy_handle_t table;
        enum qy_error error = slot_make(untyped, QY_OBJ_PAGE_TABLE, 1, &table);
        if (error != QY_OK)
            return error;
        made->level[made->count] = (unsigned)r.value[1];
        made->handle[made->count++] = table;
        error = table_map(table, space, address, r.value[1]).error;
        /* Another thread was first: then the frame can be mapped, and this table is empty. */
        if (error != QY_OK && error != QY_ALREADY_MAPPED)
            return error;
    }
}

void tables_delete(struct tables *tables)
{
    while (tables->count)
        slot_delete(tables->handle[--tables->count]);
}

const char *region_kind_name(unsigned kind)
{
    static const char *const names[] = {"data", "code", "stack", "heap", "mapped"};

    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}
