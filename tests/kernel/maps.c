/*
 * Mapping: what the calls refuse, what a mapping is afterwards, and that nobody translates to what
 * went away.
 */
#include "scene.h"
#include "sim_tlb.h"

#include <kernel/kernel_flush.h>
#include <string.h>

#define AREA 0x40000000ull /* 1 GiB: apart from the image, with a level 3 table of its own */

static struct space *root_space(void)
{
    return (struct space *)world_object(QY_SLOT_SPACE);
}

static enum qy_error translate(struct space *space, uint64_t address, unsigned *flags)
{
    unsigned all = 0;
    enum qy_error error = qy_pt_translate(SPACE_PT(space), vaddr(address), NULL, &all, NULL);
    *flags = all & QY_MAP_ALL;
    return error;
}

static void missing_tables_are_named(void)
{
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    uint64_t address = 5ull << 39; /* no table at all below the root */
    for (unsigned level = 3; level >= 1; level--) {
        struct result result = map(frame, ROOT_SPACE, address, RW);
        CHECK_EQ(result.error, QY_MISSING_TABLE);
        CHECK_EQ(result.x[1], level);
        qy_handle_t table = make(ROOT_UNTYPED, QY_OBJ_PAGE_TABLE, 1);
        if (level == 2) {
            result = CALL(QY_CALL_table_map, table, ROOT_SPACE, address, 1, 0, 0);
            CHECK_EQ(result.error, QY_MISSING_TABLE);
            CHECK_EQ(result.x[1], 2);
        }
        CHECK_EQ(CALL(QY_CALL_table_map, table, ROOT_SPACE, address + 0x123, level, 0, 0).error,
                 QY_OK);
        CHECK_EQ(CALL(QY_CALL_table_map, table, ROOT_SPACE, address, level, 0, 0).error,
                 QY_ALREADY_MAPPED);
    }
    CHECK_EQ(map(frame, ROOT_SPACE, address, RW).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_frame_unmap, frame, ROOT_SPACE, address, 0, 0, 0).error, QY_OK);
    scene_end();
}

static void map_refuses(void)
{
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1),
                other = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    qy_handle_t large = make(ROOT_UNTYPED, QY_OBJ_FRAME, 512),
                eight = make(ROOT_UNTYPED, QY_OBJ_FRAME, 8);
    const struct {
        qy_handle_t frame, space;
        uint64_t address, flags;
        enum qy_error error;
    } rows[] = {
        {frame, ROOT_SPACE, AREA, 0, QY_INVALID_FLAGS},
        {frame, ROOT_SPACE, AREA, QY_MAP_WRITE, QY_INVALID_FLAGS},
        {frame, ROOT_SPACE, AREA, QY_MAP_EXEC, QY_INVALID_FLAGS},
        {frame, ROOT_SPACE, AREA, RW | QY_MAP_EXEC, QY_INVALID_FLAGS},
        {frame, ROOT_SPACE, AREA, RW | QY_MAP_UNCACHED, QY_INVALID_FLAGS},
        {frame, ROOT_SPACE, AREA, RW | QY_MAP_WRITE_THROUGH, QY_INVALID_FLAGS},
        {frame, ROOT_SPACE, AREA, RW | 32, QY_INVALID_FLAGS},
        {frame, ROOT_SPACE, AREA, RW | 1ull << 32, QY_INVALID_FLAGS},
        {frame, ROOT_SPACE, 0, RW, QY_INVALID_ADDRESS},
        {frame, ROOT_SPACE, 0xfff, RW, QY_INVALID_ADDRESS},
        {frame, ROOT_SPACE, AREA + 1, RW, QY_INVALID_ADDRESS},
        {frame, ROOT_SPACE, USER_END, RW, QY_INVALID_ADDRESS},
        {frame, ROOT_SPACE, 0xffff800000000000, RW, QY_INVALID_ADDRESS},
        {frame, ROOT_SPACE, 0xfffffffffffff000, RW, QY_INVALID_ADDRESS},
        {frame, ROOT_SPACE, 1ull << 50, RW, QY_INVALID_ADDRESS},
        {large, ROOT_SPACE, AREA + 0x1000, RW, QY_INVALID_ADDRESS},
        {large, ROOT_SPACE, AREA, RW, QY_ALREADY_MAPPED}, /* a table of small pages is there */
        {eight, ROOT_SPACE, AREA + 0x1000, RW, QY_INVALID_ADDRESS},
        {frame, ROOT_NODE, AREA, RW, QY_WRONG_TYPE},
        {frame, 0, AREA, RW, QY_INVALID_HANDLE},
        {ROOT_SPACE, ROOT_SPACE, AREA, RW, QY_WRONG_TYPE},
        {frame, ROOT_SPACE, 0x400000, RW, QY_ALREADY_MAPPED},
        {frame, ROOT_SPACE, QY_ROOT_ARCHIVE_ADDRESS, RW, QY_ALREADY_MAPPED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_EQ(map(rows[i].frame, rows[i].space, rows[i].address, rows[i].flags).error,
                 rows[i].error);
        CHECK_EQ(world_root_node()->slots[QY_HANDLE_INDEX(frame)].space, 0);
    }
    CHECK_EQ(map(frame, ROOT_SPACE, AREA + 0x3000, RW).error, QY_OK);
    CHECK_EQ(map(frame, ROOT_SPACE, AREA + 0x5000, RW).error, QY_ALREADY_MAPPED);
    CHECK_EQ(map(other, ROOT_SPACE, AREA + 0x3000, RW).error, QY_ALREADY_MAPPED);
    CHECK_EQ(map(eight, ROOT_SPACE, AREA, RW).error, QY_ALREADY_MAPPED); /* over part of it */
    CHECK_EQ(map(eight, ROOT_SPACE, AREA + 0x8000, RW).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_frame_unmap, other, ROOT_SPACE, AREA + 0x3000, 0, 0, 0).error,
             QY_NOT_MAPPED);
    CHECK_EQ(CALL(QY_CALL_frame_unmap, frame, ROOT_SPACE, AREA, 0, 0, 0).error, QY_NOT_MAPPED);
    CHECK_EQ(CALL(QY_CALL_frame_protect, other, ROOT_SPACE, AREA, QY_MAP_READ, 0, 0).error,
             QY_NOT_MAPPED);
    CHECK_EQ(CALL(QY_CALL_frame_unmap, frame, 0, AREA, 0, 0, 0).error, QY_INVALID_HANDLE);
    scene_end();
}

static void rights_limit_mappings(void)
{
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    qy_handle_t reader = copy(frame, QY_RIGHT_READ, 0), nothing = copy(frame, QY_RIGHT_WRITE, 0);
    qy_handle_t space = copy(ROOT_SPACE, QY_RIGHT_READ, 0);
    CHECK_EQ(map(reader, ROOT_SPACE, AREA, RW).error, QY_NO_RIGHTS);
    CHECK_EQ(map(reader, ROOT_SPACE, AREA, QY_MAP_READ | QY_MAP_EXEC).error, QY_NO_RIGHTS);
    CHECK_EQ(map(nothing, ROOT_SPACE, AREA, RW).error, QY_NO_RIGHTS);
    CHECK_EQ(map(frame, space, AREA, RW).error, QY_NO_RIGHTS);
    CHECK_EQ(erase(space), QY_OK);
    CHECK_EQ(map(reader, ROOT_SPACE, AREA, QY_MAP_READ).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_frame_protect, reader, ROOT_SPACE, AREA, RW, 0, 0).error, QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_frame_unmap, reader, ROOT_SPACE, AREA, 0, 0, 0).error, QY_OK);
    scene_end();
}

static void no_frame_is_writable_here_and_executable_there(void)
{
    const uint64_t rx = QY_MAP_READ | QY_MAP_EXEC;
    unsigned flags;
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    qy_handle_t a = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1), b = copy(a, QY_RIGHT_ALL, 0);
    CHECK_EQ(map(a, ROOT_SPACE, AREA, RW).error, QY_OK);
    CHECK_EQ(map(b, ROOT_SPACE, AREA + 0x1000, rx).error, QY_INVALID_FLAGS);
    CHECK_EQ(map(b, ROOT_SPACE, AREA + 0x1000, RW).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_frame_protect, b, ROOT_SPACE, AREA + 0x1000, rx, 0, 0).error,
             QY_INVALID_FLAGS);
    CHECK_EQ(translate(root_space(), AREA + 0x1000, &flags), QY_OK);
    CHECK_EQ(flags, RW);
    CHECK_EQ(CALL(QY_CALL_frame_unmap, a, ROOT_SPACE, AREA, 0, 0, 0).error, QY_OK);
    /* The only mapping left may change from one to the other. */
    CHECK_EQ(CALL(QY_CALL_frame_protect, b, ROOT_SPACE, AREA + 0x1000, rx, 0, 0).error, QY_OK);
    CHECK_EQ(map(a, ROOT_SPACE, AREA, RW).error, QY_INVALID_FLAGS);
    CHECK_EQ(
        CALL(QY_CALL_frame_protect, b, ROOT_SPACE, AREA + 0x1000, RW | QY_MAP_EXEC, 0, 0).error,
        QY_INVALID_FLAGS);
    CHECK_EQ(erase(b), QY_OK);
    CHECK_EQ(translate(root_space(), AREA + 0x1000, &flags), QY_NOT_MAPPED);
    CHECK_EQ(map(a, ROOT_SPACE, AREA, RW).error, QY_OK);
    scene_end();
}

static void every_size_maps_with_the_largest_pages(void)
{
    static const struct {
        uint64_t pages;
        unsigned down_to, level;
    } rows[] = {{1, 1, 1}, {2, 1, 1}, {256, 1, 1}, {512, 2, 2}, {1024, 2, 2}, {4096, 2, 2}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t bytes = rows[i].pages * QY_PAGE_BYTES;
        unsigned level = 0, flags;
        qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, rows[i].pages);
        uint64_t base = pfn_to_paddr(((struct frame *)object_of(frame))->first).raw;
        tables(ROOT_UNTYPED, ROOT_SPACE, AREA, rows[i].down_to);
        CHECK_EQ(map(frame, ROOT_SPACE, AREA, RW).error, QY_OK);
        for (uint64_t offset = 0; offset < bytes; offset += bytes / 2 ? bytes / 2 : 1) {
            paddr_t at;
            CHECK_EQ(
                qy_pt_translate(SPACE_PT(root_space()), vaddr(AREA + offset), &at, &flags, &level),
                QY_OK);
            CHECK_EQ(at.raw, base + offset);
            CHECK_EQ(level, rows[i].level);
        }
        CHECK_EQ(translate(root_space(), AREA + bytes, &flags), QY_NOT_MAPPED);
        CHECK_EQ(CALL(QY_CALL_frame_protect, frame, ROOT_SPACE, AREA, QY_MAP_READ, 0, 0).error,
                 QY_OK);
        CHECK_EQ(translate(root_space(), AREA + bytes - 1, &flags), QY_OK);
        CHECK_EQ(flags, QY_MAP_READ);
        struct result result = CALL(QY_CALL_space_query, ROOT_SPACE, AREA, 0, 0, 0, 0);
        CHECK_EQ(result.error, QY_OK);
        CHECK_EQ(result.x[1], AREA);
        CHECK_EQ(result.x[2], AREA + bytes);
        CHECK_EQ(result.x[3] & QY_MAP_ALL, QY_MAP_READ);
        CHECK_EQ(QY_QUERY_BACKING(result.x[3]), QY_BACKED_FRAMES);
        CHECK_EQ(result.x[4], qy_pt_page_bytes(rows[i].level));
        CHECK_EQ(CALL(QY_CALL_frame_unmap, frame, ROOT_SPACE, AREA, 0, 0, 0).error, QY_OK);
        CHECK_EQ(translate(root_space(), AREA, &flags), QY_NOT_MAPPED);
        scene_end();
    }
}

static void query_stays_in_the_user_half(void)
{
    CHECK_EQ(CALL(QY_CALL_space_query, ROOT_SPACE, USER_END, 0, 0, 0, 0).error, QY_INVALID_ADDRESS);
    CHECK_EQ(CALL(QY_CALL_space_query, ROOT_SPACE, ~0ull, 0, 0, 0, 0).error, QY_INVALID_ADDRESS);
    CHECK_EQ(CALL(QY_CALL_space_query, ROOT_SPACE, QY_ROOT_STACK_TOP, 0, 0, 0, 0).error,
             QY_NOT_FOUND);
    CHECK_EQ(CALL(QY_CALL_space_query, ROOT_SPACE, 0, 0, 0, 0, 0).x[1], QY_ROOT_INFO_ADDRESS);
}

static void tables_refuse(void)
{
    qy_handle_t table = make(ROOT_UNTYPED, QY_OBJ_PAGE_TABLE, 1),
                frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    uint64_t address = 7ull << 39;
    CHECK_EQ(CALL(QY_CALL_table_map, table, ROOT_SPACE, address, 0, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_table_map, table, ROOT_SPACE, address, 4, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_table_map, table, ROOT_SPACE, address, 1ull << 32 | 1, 0, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_table_map, table, ROOT_SPACE, USER_END, 3, 0, 0).error,
             QY_INVALID_ADDRESS);
    CHECK_EQ(CALL(QY_CALL_table_map, table, ROOT_SPACE, ~0ull, 3, 0, 0).error, QY_INVALID_ADDRESS);
    CHECK_EQ(CALL(QY_CALL_table_map, table, ROOT_SPACE, 0x400000, 3, 0, 0).error,
             QY_ALREADY_MAPPED);
    CHECK_EQ(CALL(QY_CALL_table_unmap, table, 0, 0, 0, 0, 0).error, QY_NOT_MAPPED);
    CHECK_EQ(CALL(QY_CALL_table_map, frame, ROOT_SPACE, address, 3, 0, 0).error, QY_WRONG_TYPE);
    CHECK_EQ(CALL(QY_CALL_table_map, table, ROOT_SPACE, address, 3, 0, 0).error, QY_OK);
    qy_handle_t lower = make(ROOT_UNTYPED, QY_OBJ_PAGE_TABLE, 1);
    CHECK_EQ(CALL(QY_CALL_table_map, lower, ROOT_SPACE, address, 2, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_table_unmap, table, 0, 0, 0, 0, 0).error, QY_BUSY);
    CHECK_EQ(CALL(QY_CALL_table_unmap, lower, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_table_unmap, table, 0, 0, 0, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_table_map, lower, ROOT_SPACE, address, 3, 0, 0).error,
             QY_OK); /* any level */
    /* The table that maps the boot archive is in use, too. */
    unsigned busy = 0;
    for (uint32_t i = QY_SLOT_UNTYPED; i < 600; i++) {
        const struct slot *slot = &world_root_node()->slots[i];
        if (slot->type == QY_OBJ_PAGE_TABLE)
            busy += CALL(QY_CALL_table_unmap, slot_handle(slot, i), 0, 0, 0, 0, 0).error == QY_BUSY;
    }
    CHECK(busy >= 6);
    scene_end();
}

/* Deleting tables and spaces takes the mappings out and leaves frames and lower tables to their
 * owners. */
static void containers_let_go_of_what_is_mapped(void)
{
    unsigned flags;
    qy_handle_t space = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1);
    qy_handle_t table[4], frames[40];
    for (unsigned level = 3; level >= 1; level--) {
        table[level] = make(ROOT_UNTYPED, QY_OBJ_PAGE_TABLE, 1);
        CHECK_EQ(CALL(QY_CALL_table_map, table[level], space, AREA, level, 0, 0).error, QY_OK);
    }
    for (unsigned i = 0; i < 40; i++) {
        frames[i] = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
        CHECK_EQ(map(frames[i], space, AREA + i * QY_PAGE_BYTES, RW).error, QY_OK);
    }
    /* A middle table: what is below it is not reachable any more, but whole. */
    CHECK_EQ(erase(table[2]), QY_OK);
    CHECK_EQ(translate(object_of(space), AREA, &flags), QY_NOT_MAPPED);
    CHECK_EQ(CALL(QY_CALL_frame_unmap, frames[0], space, AREA, 0, 0, 0).error, QY_NOT_MAPPED);
    CHECK_EQ(CALL(QY_CALL_table_unmap, table[1], 0, 0, 0, 0, 0).error, QY_NOT_MAPPED);
    table[2] = make(ROOT_UNTYPED, QY_OBJ_PAGE_TABLE, 1);
    CHECK_EQ(CALL(QY_CALL_table_map, table[2], space, AREA, 2, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_table_map, table[1], space, AREA, 1, 0, 0).error, QY_OK);
    CHECK_EQ(translate(object_of(space), AREA, &flags), QY_NOT_MAPPED); /* it came back empty */
    for (unsigned i = 0; i < 40; i++)
        CHECK_EQ(map(frames[i], space, AREA + i * QY_PAGE_BYTES, QY_MAP_READ | QY_MAP_EXEC).error,
                 QY_OK);
    CHECK_EQ(erase(space), QY_OK);
    space = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1);
    for (unsigned level = 3; level >= 1; level--)
        CHECK_EQ(CALL(QY_CALL_table_map, table[level], space, AREA, level, 0, 0).error, QY_OK);
    for (unsigned i = 0; i < 40; i++)
        CHECK_EQ(map(frames[i], space, AREA + i * QY_PAGE_BYTES, RW).error, QY_OK);
    scene_end();
}

/* What a read fault at an address of the root task's space ends with. */
static enum qy_error found_at(uint64_t address)
{
    struct qy_fault fault;
    space_enter(cpu_at(0));
    enum qy_error error = qy_space_fault(&root_space()->vm, address, QY_ACCESS_READ, &fault);
    space_leave(cpu_at(0));
    return error;
}

static void revoke_unmaps_from_everybody(void)
{
    unsigned flags;
    qy_handle_t untyped = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 1024);
    qy_handle_t other = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1);
    thread_on(ROOT_UNTYPED, 1, 0);
    thread_on(ROOT_UNTYPED, 2, 0);
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    tables(ROOT_UNTYPED, other, AREA, 1);
    for (unsigned i = 0; i < 50; i++) {
        qy_handle_t frame = make(untyped, QY_OBJ_FRAME, 1);
        CHECK_EQ(map(frame, ROOT_SPACE, AREA + i * 0x2000, RW).error, QY_OK);
        CHECK_EQ(
            map(copy(frame, QY_RIGHT_ALL, 0), ROOT_SPACE, AREA + 0x1000 + i * 0x2000, RW).error,
            QY_OK);
        CHECK_EQ(map(copy(frame, QY_RIGHT_ALL, 0), other, AREA + i * 0x1000, QY_MAP_READ).error,
                 QY_OK);
    }
    CHECK_EQ(revoke_all(untyped), QY_OK); /* the check after it looks into all TLBs */
    for (unsigned i = 0; i < 100; i++)
        CHECK_EQ(translate(root_space(), AREA + i * 0x1000, &flags), QY_NOT_MAPPED);
    CHECK_EQ(translate(object_of(other), AREA, &flags), QY_NOT_MAPPED);
    /* The touch names what happened; what its holder gives up by himself is nothing. */
    qy_handle_t mine = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1), lent = copy(mine, QY_RIGHT_ALL, 0);
    CHECK_EQ(map(lent, ROOT_SPACE, AREA + 0x100000, RW).error, QY_OK);
    CHECK_EQ(found_at(AREA + 0x2000), QY_REVOKED);
    CHECK_EQ(found_at(AREA + 0x3000), QY_REVOKED);
    CHECK_EQ(revoke_all(mine), QY_OK);
    CHECK_EQ(found_at(AREA + 0x100000), QY_REVOKED);
    CHECK_EQ(map(mine, ROOT_SPACE, AREA + 0x100000, RW).error, QY_OK);
    CHECK_EQ(erase(mine), QY_OK);
    CHECK_EQ(found_at(AREA + 0x100000), QY_NOT_MAPPED);
    CHECK_EQ(CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[2], 1024 * QY_PAGE_BYTES);
    scene_end();
}

static void protect_and_unmap_reach_other_cpus(void)
{
    thread_on(ROOT_UNTYPED, 1, 0);
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    CHECK_EQ(map(frame, ROOT_SPACE, AREA, RW).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_frame_protect, frame, ROOT_SPACE, AREA, QY_MAP_READ, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_frame_protect, frame, ROOT_SPACE, AREA, RW, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_frame_unmap, frame, ROOT_SPACE, AREA, 0, 0, 0).error, QY_OK);
    CHECK_EQ(map(frame, ROOT_SPACE, AREA + 0x7000, RW).error, QY_OK);
    CHECK_EQ(erase(frame), QY_OK);
    scene_end();
}

/* CPU 1 runs another space and comes back: what it kept under the first one's tag is stale by then. */
static void a_space_is_stale_where_it_does_not_run(void)
{
    thread_on(ROOT_UNTYPED, 1, 0);
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    CHECK_EQ(map(frame, ROOT_SPACE, AREA, RW).error, QY_OK);
    world_fill_tlbs();
    CHECK(sim_knows(1, AREA));
    struct cpu *cpu = cpu_at(1);
    world_load(1, NULL);
    CHECK(!sim_knows(1, AREA));
    uint64_t asked = atomic_load(&cpu->tlb.wanted), kept = cpu->tlb.counts.kept;
    world_load(1, root_space());
    CHECK(sim_knows(1, AREA)); /* nothing had changed */
    CHECK_EQ(cpu->tlb.counts.kept, kept + 1);
    world_load(1, NULL);
    CHECK_EQ(CALL(QY_CALL_frame_unmap, frame, ROOT_SPACE, AREA, 0, 0, 0).error, QY_OK);
    CHECK_EQ(atomic_load(&cpu->tlb.wanted), asked); /* it is not interrupted */
    world_load(1, root_space());
    CHECK(!sim_knows(1, AREA));
    scene_end();
}

/* More spaces than tags, one after another on one CPU, with the same address in each. */
static void tags_are_used_again(void)
{
    struct space *spaces[2 * SIM_TAGS];
    for (unsigned i = 0; i < 2 * SIM_TAGS; i++) {
        qy_handle_t space = make(ROOT_UNTYPED, QY_OBJ_ADDRESS_SPACE, 1);
        tables(ROOT_UNTYPED, space, AREA, 1);
        CHECK_EQ(map(make(ROOT_UNTYPED, QY_OBJ_FRAME, 1), space, AREA, RW).error, QY_OK);
        spaces[i] = object_of(space);
    }
    for (unsigned turn = 0; turn < 20; turn++) {
        world_load(1, spaces[turn * 5 % (2 * SIM_TAGS)]);
        world_fill_tlbs();
        CHECK(world_check() == NULL);
    }
    CHECK(cpu_at(1)->tlb.counts.recycled > 0 || !QY_CONFIG_STATISTICS);
    world_load(1, NULL);
    scene_end();
}

/* New code at the address of old: neither what was written nor what the frame held before may be missed. */
static void new_code_is_fetched(void)
{
    const uint64_t rx = QY_MAP_READ | QY_MAP_EXEC;
    thread_on(ROOT_UNTYPED, 1, 0);
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    CHECK_EQ(map(frame, ROOT_SPACE, AREA, rx).error, QY_OK);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(CALL(QY_CALL_frame_protect, frame, ROOT_SPACE, AREA, RW, 0, 0).error, QY_OK);
        CHECK_EQ(CALL(QY_CALL_frame_protect, frame, ROOT_SPACE, AREA, rx, 0, 0).error, QY_OK);
    }
    CHECK_EQ(CALL(QY_CALL_frame_unmap, frame, ROOT_SPACE, AREA, 0, 0, 0).error, QY_OK);
    CHECK_EQ(map(frame, ROOT_SPACE, AREA, RW).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_frame_unmap, frame, ROOT_SPACE, AREA, 0, 0, 0).error, QY_OK);
    CHECK_EQ(map(frame, ROOT_SPACE, AREA, rx).error, QY_OK);
    scene_end();
}

/* As long as CPU 1 may still write, nobody may map the frame executable. */
static void a_frame_is_writable_until_every_cpu_has_forgotten(void)
{
    const uint64_t rx = QY_MAP_READ | QY_MAP_EXEC;
    unsigned flags;
    thread_on(ROOT_UNTYPED, 1, 0);
    tables(ROOT_UNTYPED, ROOT_SPACE, AREA, 1);
    qy_handle_t a = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    CHECK_EQ(map(a, ROOT_SPACE, AREA, RW).error, QY_OK);
    world_fill_tlbs();
    const uint64_t x[6] = {a, ROOT_SPACE, AREA, rx, 0, 0};
    world_begin(0, QY_CALL_frame_protect, x);
    CHECK(world_busy(0)); /* CPU 1 has not answered */
    CHECK_EQ(translate(root_space(), AREA, &flags), QY_NOT_MAPPED);
    unsigned level;
    fake_cpu_current = cpu_at(2);
    CHECK_EQ(frame_map_in(root_space(), object_of(a), AREA + QY_PAGE_BYTES, (unsigned)rx,
                          QY_RIGHT_ALL, &level),
             QY_INVALID_FLAGS);
    fake_cpu_current = cpu_at(0);
    while (world_busy(0)) {
        world_interrupts(1);
        world_step(0);
    }
    CHECK_EQ(world_last(0).error, QY_OK);
    CHECK_EQ(translate(root_space(), AREA, &flags), QY_OK);
    CHECK_EQ(flags, rx);
    scene_end();
}

/* A page of the kernel's half is global: every CPU has it, whatever it runs. Last, since it takes the page away. */
static void a_kernel_page_is_forgotten_by_all(void)
{
    thread_on(ROOT_UNTYPED, 1, 0);
    world_fill_tlbs();
    CHECK(sim_knows(0, WORLD_KERNEL_PAGE) && sim_knows(1, WORLD_KERNEL_PAGE));
    CHECK(qy_pt_unmap(&world_kernel_tables, vaddr(WORLD_KERNEL_PAGE), 1, NULL) == QY_OK);
    uint64_t ticket = kernel_flush_begin();
    CHECK(!kernel_flush_done(ticket));
    for (unsigned cpu = 1; cpu < WORLD_CPUS; cpu++)
        world_interrupts(cpu);
    CHECK(kernel_flush_done(ticket));
    CHECK(!sim_knows(0, WORLD_KERNEL_PAGE) && !sim_knows(1, WORLD_KERNEL_PAGE));
    scene_end();
}

static const struct test tests[] = {
    {"a space is stale where it does not run", a_space_is_stale_where_it_does_not_run},
    {"tags are used again", tags_are_used_again},
    {"new code is fetched", new_code_is_fetched},
    {"a frame is writable until every CPU has forgotten",
     a_frame_is_writable_until_every_cpu_has_forgotten},
    {"missing tables are named", missing_tables_are_named},
    {"map refuses", map_refuses},
    {"rights limit mappings", rights_limit_mappings},
    {"no frame is writable here and executable there",
     no_frame_is_writable_here_and_executable_there},
    {"every size maps with the largest pages", every_size_maps_with_the_largest_pages},
    {"query stays in the user half", query_stays_in_the_user_half},
    {"tables refuse", tables_refuse},
    {"containers let go of what is mapped", containers_let_go_of_what_is_mapped},
    {"revoke unmaps from everybody", revoke_unmaps_from_everybody},
    {"protect and unmap reach other CPUs", protect_and_unmap_reach_other_cpus},
    {"a kernel page is forgotten by all", a_kernel_page_is_forgotten_by_all},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
