/*
 * Attacks on memory by calls: pointers that the program may not use itself, and mappings that must
 * not exist.
 */
#include "attack.h"
#include <quarry/records.h>

#define KERNEL_HALF 0xffff800000000000ull
#define KERNEL_TEXT 0xffffffff80010000ull
#define NON_CANONICAL 0x0000800000000000ull
#define LAST_USER_PAGE 0x00007ffffffff000ull
#define RW (QY_MAP_READ | QY_MAP_WRITE)
#define RX (QY_MAP_READ | QY_MAP_EXEC)

/* A page with nothing mapped after it: its last byte is where a pointer may begin and not go on. */
static const char *lonely_page(struct attack *attack)
{
    qy_handle_t frame;
    enum qy_error error = root_make(attack->root, attack->budget, QY_OBJ_FRAME, 1, &frame);

    if (error == QY_OK)
        error = root_map(attack->root, attack->budget, frame, ATTACK_ADDRESS + 0x100000, RW, false,
                         NULL);
    root_check(attack->root, error == QY_OK, "the page before a hole could not be mapped");
    return (const char *)(ATTACK_ADDRESS + 0x100000);
}

static enum qy_error write_from(uint64_t address, uint64_t bytes)
{
    return qy_call(QY_CALL_console_write, QY_SLOT_CONSOLE, address, bytes, 0, 0, 0).error;
}

static enum qy_error record_to(uint64_t address, uint64_t bytes)
{
    return qy_call(QY_CALL_system_record, QY_SLOT_SYSTEM, QY_RECORD_KIND_MACHINE, 0, address, bytes,
                   0)
        .error;
}

void attack_pointers(struct attack *attack)
{
    const uint64_t last = (uintptr_t)lonely_page(attack) + PAGE_BYTES - 1;
    const struct {
        const char *what;
        uint64_t address, bytes;
    } tries[] = {
        {"null", 0, 8},
        {"the kernel's direct map of RAM", KERNEL_HALF, 8},
        {"the kernel's text", KERNEL_TEXT, 8},
        {"the last 8 bytes of all", ~0ull - 7, 8},
        {"where nothing is mapped", ATTACK_ADDRESS + 0x180000, 8},
        {"a page's last byte and one more", last, 2},
        {"a non-canonical address", NON_CANONICAL, 8},
        {"the last user byte and one more", NON_CANONICAL - 1, 2},
    };
    const uint64_t lengths[] = {~0ull, ~0ull - 16, 1ull << 63, 1ull << 47};

    for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        attack_expect(attack, write_from(tries[i].address, tries[i].bytes), QY_BAD_USER_POINTER,
                      "console_write from %s", tries[i].what);
        attack_expect(attack, record_to(tries[i].address, tries[i].bytes), QY_BAD_USER_POINTER,
                      "system_record to %s", tries[i].what);
    }
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        attack_expect(attack, write_from(last, lengths[i]), QY_INVALID_ARGUMENT,
                      "console_write of 0x%llx bytes", (unsigned long long)lengths[i]);
        attack_expect(attack, record_to(last, lengths[i]), QY_BAD_USER_POINTER,
                      "system_record of 0x%llx bytes", (unsigned long long)lengths[i]);
    }
    attack_expect(attack, record_to(QY_ROOT_INFO_ADDRESS, 8), QY_BAD_USER_POINTER,
                  "system_record into the read-only information page");
    attack_expect(attack, record_to((uintptr_t)attack_pointers, 8), QY_BAD_USER_POINTER,
                  "system_record into the program's own text");
    static struct qy_record_cpu cpu;
    attack_expect(attack, system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_COUNT, 0, &cpu, sizeof(cpu)),
                  QY_INVALID_ARGUMENT, "system_record of a kind that does not exist");
    attack_expect(attack, system_record(QY_SLOT_SYSTEM, ~0ull, 0, &cpu, sizeof(cpu)),
                  QY_INVALID_ARGUMENT, "system_record of kind 2^64 - 1");
    attack_expect(attack,
                  system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_CPU, ~0ull, &cpu, sizeof(cpu)),
                  QY_NOT_FOUND, "system_record of CPU 2^64 - 1");
    attack_expect(attack,
                  system_record(QY_SLOT_SYSTEM, QY_RECORD_KIND_CPU, 1ull << 32, &cpu, sizeof(cpu)),
                  QY_NOT_FOUND, "system_record of CPU 2^32");
}

static void bad_addresses(struct attack *attack, qy_handle_t frame)
{
    const struct {
        const char *what;
        uint64_t address;
    } tries[] = {
        {"at page 0", 0},
        {"at an address that is not a page's", ATTACK_ADDRESS + 1},
        {"at the middle of a page", ATTACK_ADDRESS + 0x800},
        {"at a non-canonical address", NON_CANONICAL},
        {"at the highest non-canonical address", 0xffff7ffffffff000ull},
        {"in the kernel's direct map", KERNEL_HALF},
        {"over the kernel's text", KERNEL_TEXT},
        {"over the CPU areas", 0xffffff8000000000ull},
        {"at the last page of all", 0xfffffffffffff000ull},
    };

    for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        attack_expect(attack, frame_map(frame, QY_SLOT_SPACE, tries[i].address, RW).error,
                      QY_INVALID_ADDRESS, "map a frame %s", tries[i].what);
        attack_expect(attack, frame_unmap(frame, QY_SLOT_SPACE, tries[i].address), QY_NOT_MAPPED,
                      "unmap a frame %s", tries[i].what);
    }
}

static void bad_flags(struct attack *attack, qy_handle_t frame)
{
    const struct {
        const char *what;
        uint64_t flags;
    } tries[] = {
        {"writable and executable", RW | QY_MAP_EXEC},
        {"writable and not readable", QY_MAP_WRITE},
        {"with no rights at all", 0},
        {"with a flag that does not exist", QY_MAP_READ | (QY_MAP_ALL + 1)},
        {"with flag bit 63", QY_MAP_READ | 1ull << 63},
        {"with flag bit 32", QY_MAP_READ | 1ull << 32},
        {"of RAM as uncached", RW | QY_MAP_UNCACHED},
        {"of RAM as write-through", RW | QY_MAP_WRITE_THROUGH},
    };

    for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        attack_expect(attack, frame_map(frame, QY_SLOT_SPACE, ATTACK_ADDRESS, tries[i].flags).error,
                      QY_INVALID_FLAGS, "map a frame %s", tries[i].what);
}

/* The frame is mapped writable at ATTACK_ADDRESS and its tables exist; alias is a copy of its
 * capability. */
static void bad_aliases(struct attack *attack, qy_handle_t frame, qy_handle_t alias)
{
    const uint64_t here = ATTACK_ADDRESS, there = ATTACK_ADDRESS + PAGE_BYTES;
    const uint64_t text = (uintptr_t)attack_mappings & ~(PAGE_BYTES - 1);

    attack_expect(attack, frame_map(frame, QY_SLOT_SPACE, there, RW).error, QY_ALREADY_MAPPED,
                  "map at a second address through the same capability");
    attack_expect(attack, frame_map(alias, QY_SLOT_SPACE, there, RX).error, QY_INVALID_FLAGS,
                  "map a writable frame executable at a second address");
    attack_expect(attack, frame_protect(frame, QY_SLOT_SPACE, here, RW | QY_MAP_EXEC),
                  QY_INVALID_FLAGS, "make a mapping writable and executable");
    attack_expect(attack, frame_protect(frame, QY_SLOT_SPACE, here, RW | 1ull << 40),
                  QY_INVALID_FLAGS, "protect with a flag that does not exist");
    attack_expect(attack, frame_protect(frame, QY_SLOT_SPACE, there, QY_MAP_READ), QY_NOT_MAPPED,
                  "protect where the frame is not mapped");
    attack_expect(attack, frame_unmap(frame, QY_SLOT_SPACE, there), QY_NOT_MAPPED,
                  "unmap where the frame is not mapped");
    attack_expect(attack, frame_unmap(alias, QY_SLOT_SPACE, here), QY_NOT_MAPPED,
                  "unmap another capability's mapping");
    attack_expect(attack, frame_protect(alias, QY_SLOT_SPACE, here, QY_MAP_READ), QY_NOT_MAPPED,
                  "protect another capability's mapping");
    attack_expect(attack, frame_unmap(frame, QY_SLOT_SPACE, text), QY_NOT_MAPPED,
                  "unmap the program's text through a frame of one's own");
    attack_expect(attack, frame_unmap(frame, attack->object[QY_OBJ_ADDRESS_SPACE], here),
                  QY_NOT_MAPPED, "unmap in an address space where it is not mapped");
    bool ready = frame_protect(frame, QY_SLOT_SPACE, here, RX) == QY_OK;
    root_check(attack->root, ready, "a mapping could not be made executable");
    attack_expect(attack, frame_map(alias, QY_SLOT_SPACE, there, RW).error, QY_INVALID_FLAGS,
                  "map an executable frame writable at a second address");
    ready = frame_map(alias, QY_SLOT_SPACE, there, RX).error == QY_OK;
    root_check(attack->root, ready, "a second executable mapping could not be made");
    attack_expect(attack, frame_protect(frame, QY_SLOT_SPACE, here, RW), QY_INVALID_FLAGS,
                  "make one of two executable mappings writable");
}

/* The place is taken by the mapping of bad_aliases. */
static void bad_places(struct attack *attack)
{
    qy_handle_t other = attack->object[QY_OBJ_FRAME];

    attack_expect(attack, frame_map(other, QY_SLOT_SPACE, ATTACK_ADDRESS, RW).error,
                  QY_ALREADY_MAPPED, "map a frame over another one");
    attack_expect(attack,
                  frame_map(other, attack->object[QY_OBJ_ADDRESS_SPACE], ATTACK_ADDRESS, RW).error,
                  QY_MISSING_TABLE, "map into an address space without tables");
    attack_expect(attack, frame_map(other, QY_SLOT_SPACE, QY_ROOT_INFO_ADDRESS, RW).error,
                  QY_ALREADY_MAPPED, "map a frame over the information page");
    attack_expect(
        attack,
        frame_map(other, QY_SLOT_SPACE, (uintptr_t)attack_mappings & ~(PAGE_BYTES - 1), RW).error,
        QY_ALREADY_MAPPED, "map a frame over the program's text");
}

static void bad_large(struct attack *attack)
{
    qy_handle_t large;
    bool made = root_make(attack->root, attack->budget, QY_OBJ_FRAME, 512, &large) == QY_OK;

    root_check(attack->root, made, "no frame of 2 MiB could be made");
    attack_expect(attack, frame_map(large, QY_SLOT_SPACE, ATTACK_ADDRESS + PAGE_BYTES, RW).error,
                  QY_INVALID_ADDRESS,
                  "map a 2 MiB frame at an address that is not a multiple of 2 MiB");
    attack_expect(attack, frame_map(large, QY_SLOT_SPACE, ATTACK_ADDRESS, RW).error,
                  QY_ALREADY_MAPPED, "map a 2 MiB frame over a table in use");
}

static void bad_tables(struct attack *attack)
{
    qy_handle_t table = attack->object[QY_OBJ_PAGE_TABLE];
    const struct {
        const char *what;
        uint64_t address, level;
        enum qy_error wanted;
    } tries[] = {
        {"of level 0", ATTACK_ADDRESS, 0, QY_INVALID_ARGUMENT},
        {"of level 4, the root", ATTACK_ADDRESS, 4, QY_INVALID_ARGUMENT},
        {"of level 2^32 + 1", ATTACK_ADDRESS, (1ull << 32) + 1, QY_INVALID_ARGUMENT},
        {"over the kernel's half", KERNEL_HALF, 3, QY_INVALID_ADDRESS},
        {"over the kernel's text", KERNEL_TEXT, 1, QY_INVALID_ADDRESS},
        {"at a non-canonical address", NON_CANONICAL, 3, QY_INVALID_ADDRESS},
        {"where one is already", ATTACK_ADDRESS, 1, QY_ALREADY_MAPPED},
        {"where a higher one is missing", 0x0000300000000000ull, 1, QY_MISSING_TABLE},
    };

    for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        attack_expect(attack,
                      table_map(table, QY_SLOT_SPACE, tries[i].address, tries[i].level).error,
                      tries[i].wanted, "map a page table %s", tries[i].what);
    attack_expect(attack, table_unmap(table), QY_NOT_MAPPED, "unmap a page table that is nowhere");
    attack_expect(attack, frame_map(table, QY_SLOT_SPACE, ATTACK_ADDRESS, RW).error, QY_WRONG_TYPE,
                  "map a page table as memory");
    attack_expect(attack,
                  frame_map(attack->object[QY_OBJ_THREAD], QY_SLOT_SPACE, ATTACK_ADDRESS, RW).error,
                  QY_WRONG_TYPE, "map a thread as memory");
    attack_expect(
        attack, frame_map(attack->object[QY_OBJ_CAP_NODE], QY_SLOT_SPACE, ATTACK_ADDRESS, RW).error,
        QY_WRONG_TYPE, "map a capability node as memory");
    attack_expect(attack, frame_map(attack->budget, QY_SLOT_SPACE, ATTACK_ADDRESS, RW).error,
                  QY_WRONG_TYPE, "map an untyped as memory");
    attack_expect(attack,
                  frame_map(attack->object[QY_OBJ_FRAME], QY_SLOT_NODE, ATTACK_ADDRESS, RW).error,
                  QY_WRONG_TYPE, "map into a capability node");
}

void attack_mappings(struct attack *attack)
{
    struct tables tables;
    struct space_region region;
    qy_handle_t frame;
    bool made = root_make(attack->root, attack->budget, QY_OBJ_FRAME, 1, &frame) == QY_OK;
    struct call_result alias =
        cap_copy(QY_SLOT_NODE, attack->empty_slot - 2, frame, QY_RIGHT_ALL, 0);

    root_check(attack->root, made && alias.error == QY_OK, "no frame could be made and copied");
    bad_addresses(attack, frame);
    bad_flags(attack, frame);
    made =
        root_map(attack->root, attack->budget, frame, ATTACK_ADDRESS, RW, false, &tables) == QY_OK;
    root_check(attack->root, made, "the frame could not be mapped");
    bad_aliases(attack, frame, alias.value[1]);
    bad_places(attack);
    bad_large(attack);
    bad_tables(attack);
    attack_expect(attack, space_query(QY_SLOT_SPACE, KERNEL_HALF, &region), QY_INVALID_ADDRESS,
                  "ask what the kernel maps");
    attack_expect(attack, space_query(QY_SLOT_SPACE, NON_CANONICAL, &region), QY_INVALID_ADDRESS,
                  "ask what is mapped at a non-canonical address");
}
