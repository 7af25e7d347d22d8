/*
 * Mapping frames by hand, with the tables that are missing on the way.
 */
#ifndef USER_SPACE_H
#define USER_SPACE_H

#include <user/call.h>

#define PAGE_BYTES 4096ull
#define PAGE_ALIGN(bytes) (((bytes) + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1))

/* Tables that were made to map something, in slots of the caller's node; levels 3 to 1. */
struct tables {
    unsigned count;
    qy_handle_t handle[3];
    unsigned level[3];
};

/*
 * Map a frame, and make each table that is missing out of `untyped`. *made is what was added, on an error too: the
 * caller deletes it, or moves it to where it is to be. Errors: those of frame_map, untyped_retype, table_map.
 */
enum qy_error space_map_frame(qy_handle_t untyped, qy_handle_t space, qy_handle_t frame,
                              uint64_t address, uint64_t flags, struct tables *made) CALL_MUST_USE;

/* Delete the tables, which are empty, lowest level first. */
void tables_delete(struct tables *tables);

/* What a region is for, from QY_QUERY_KIND. */
const char *region_kind_name(unsigned kind);

#endif
