/*
 * Devices of programs: interrupts that are signalled once for each acknowledgement and never lost, ports that belong to
 * one, and frames of device memory that a revoke of either origin takes away.
 */
#include "scene.h"

#include <lib/random.h>
#include <string.h>

#define SYSTEM ((qy_handle_t)QY_SLOT_SYSTEM)
#define BELOW ((qy_handle_t)QY_SLOT_UNTYPED + 1) /* device memory: from RAM's end to WORLD_KEPT */
#define ABOVE ((qy_handle_t)QY_SLOT_UNTYPED + 2) /* from behind it to the physical limit */
#define RAM_END (64ull << 20)
#define UNCACHED (RW | QY_MAP_UNCACHED)
#define AT 0x0000200000000000ull

#define BIND(interrupt, number, notification)                                                      \
    CALL(QY_CALL_interrupt_bind, interrupt, SYSTEM, number, notification, 0, 0).error
#define ACKNOWLEDGE(interrupt) CALL(QY_CALL_interrupt_acknowledge, interrupt, 0, 0, 0, 0, 0).error
#define PORTS(ports, first, count) CALL(QY_CALL_ports_bind, ports, SYSTEM, first, count, 0, 0).error
#define IN(ports, port, width) CALL(QY_CALL_port_in, ports, port, width, 0, 0, 0)
#define OUT(ports, port, width, value) CALL(QY_CALL_port_out, ports, port, width, value, 0, 0).error

/* The word of a notification, which is then 0. */
static uint64_t word_of(qy_handle_t notification)
{
    return CALL(QY_CALL_notification_poll, notification, 0, 0, 0, 0, 0).x[1];
}

static void line(uint32_t number, bool high)
{
    world_line_set(number, high);
    scene_check(__FILE__, __LINE__);
}

static void pulse(uint32_t number)
{
    line(number, true);
    line(number, false);
}

static void a_level_is_held_back_until_it_is_acknowledged(void)
{
    qy_handle_t notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    qy_handle_t interrupt = make(ROOT_UNTYPED, QY_OBJ_INTERRUPT, 1);
    CHECK_EQ(BIND(interrupt, 20, copy(notification, QY_RIGHT_WRITE, 8)), QY_OK);
    CHECK_EQ(ACKNOWLEDGE(interrupt), QY_NOT_FOUND);
    line(20, true);
    CHECK(world_lines[20].held);
    CHECK_EQ(word_of(notification), 8);
    line(20, true);
    CHECK_EQ(word_of(notification), 0);
    CHECK_EQ(ACKNOWLEDGE(interrupt), QY_OK);
    CHECK_EQ(ACKNOWLEDGE(interrupt), QY_NOT_FOUND);
    line(20, true); /* the driver has not served it */
    CHECK_EQ(word_of(notification), 8);
    line(20, false);
    CHECK_EQ(ACKNOWLEDGE(interrupt), QY_OK);
    line(20, false);
    CHECK_EQ(word_of(notification), 0);
    scene_end();
    CHECK(!world_lines[20].enabled);
}

static void no_edge_is_lost(void)
{
    qy_handle_t notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    qy_handle_t interrupt = make(ROOT_UNTYPED, QY_OBJ_INTERRUPT, 1);
    CHECK_EQ(BIND(interrupt, 8, notification), QY_OK);
    pulse(8);
    CHECK_EQ(word_of(notification), 1);
    CHECK(!world_lines[8].held); /* what came now would be lost */
    for (unsigned i = 0; i < 5; i++)
        pulse(8);
    CHECK(world_lines[8].held); /* a device that goes on costs nothing more */
    CHECK_EQ(word_of(notification), 0);
    CHECK_EQ(ACKNOWLEDGE(interrupt), QY_OK);
    CHECK(!world_lines[8].held);
    CHECK_EQ(word_of(notification), 1);
    CHECK_EQ(ACKNOWLEDGE(interrupt), QY_OK);
    CHECK_EQ(word_of(notification), 0);
    pulse(8);
    CHECK_EQ(word_of(notification), 1);
    scene_end();
}

static void who_waits_is_woken_on_the_cpu_that_bound(void)
{
    qy_handle_t notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    qy_handle_t interrupt = make(ROOT_UNTYPED, QY_OBJ_INTERRUPT, 1);
    struct thread *thread = object_of(thread_on(ROOT_UNTYPED, 1, 0));
    CHECK_EQ(CALL_ON(1, QY_CALL_interrupt_bind, interrupt, SYSTEM, 16, notification, 0, 0).error,
             QY_OK);
    CHECK_EQ(world_lines[16].cpu, 1);
    CHECK(CALL_ON(1, QY_CALL_notification_wait, notification, 0, 0, 0, 0, 0).waits);
    line(16, true);
    CHECK_EQ(world_pick(1) == thread, 1);
    CHECK_EQ(world_result(thread).x[1], 1);
    scene_end();
}

static void wrong_bindings_are_refused(void)
{
    qy_handle_t notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    qy_handle_t interrupt = make(ROOT_UNTYPED, QY_OBJ_INTERRUPT, 1);
    qy_handle_t other = make(ROOT_UNTYPED, QY_OBJ_INTERRUPT, 1);
    qy_handle_t reader = copy(notification, QY_RIGHT_READ, 0),
                looker = copy(SYSTEM, QY_RIGHT_READ, 0);
    CHECK_EQ(BIND(interrupt, 32, notification), QY_INVALID_ARGUMENT);
    CHECK_EQ(BIND(interrupt, ARCH_INTERRUPTS, notification), QY_INVALID_ARGUMENT);
    CHECK_EQ(BIND(interrupt, UINT64_MAX, notification), QY_INVALID_ARGUMENT);
    CHECK_EQ(BIND(interrupt, 1ull << 32 | 8, notification), QY_INVALID_ARGUMENT);
    CHECK_EQ(BIND(interrupt, 31, notification), QY_UNSUPPORTED);
    CHECK_EQ(BIND(interrupt, 8, reader), QY_NO_RIGHTS);
    CHECK_EQ(BIND(interrupt, 8, interrupt), QY_WRONG_TYPE);
    CHECK_EQ(BIND(notification, 8, notification), QY_WRONG_TYPE);
    CHECK_EQ(CALL(QY_CALL_interrupt_bind, interrupt, looker, 8, notification, 0, 0).error,
             QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_interrupt_bind, interrupt, ROOT_UNTYPED, 8, notification, 0, 0).error,
             QY_WRONG_TYPE);
    CHECK(!world_lines[8].enabled);
    CHECK_EQ(BIND(interrupt, 8, notification), QY_OK);
    CHECK_EQ(BIND(interrupt, 9, notification), QY_BUSY);
    CHECK_EQ(BIND(other, 8, notification), QY_BUSY);
    CHECK_EQ(erase(interrupt), QY_OK);
    CHECK(!world_lines[8].enabled);
    CHECK_EQ(ACKNOWLEDGE(interrupt), QY_INVALID_HANDLE);
    CHECK_EQ(BIND(other, 8, notification), QY_OK);
    CHECK_EQ(CALL(QY_CALL_cap_delete, looker, 0, 0, 0, 0, 0).error, QY_OK);
    scene_end();
}

static void what_goes_takes_its_interrupts_along(void)
{
    qy_handle_t notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    qy_handle_t first = make(ROOT_UNTYPED, QY_OBJ_INTERRUPT, 1),
                second = make(ROOT_UNTYPED, QY_OBJ_INTERRUPT, 1);
    CHECK_EQ(BIND(first, 8, notification), QY_OK);
    CHECK_EQ(BIND(second, 18, notification), QY_OK);
    CHECK_EQ(erase(notification), QY_OK);
    CHECK(!world_lines[8].enabled && !world_lines[18].enabled);
    CHECK_EQ(ACKNOWLEDGE(first), QY_NOT_FOUND);
    interrupt_raised(18); /* it was on its way */
    notification = make(ROOT_UNTYPED, QY_OBJ_NOTIFICATION, 1);
    CHECK_EQ(BIND(first, 18, notification), QY_OK);
    line(18, true);
    CHECK_EQ(word_of(notification), 1);
    line(18, false);
    scene_end();
}

static void ports_belong_to_one(void)
{
    qy_handle_t ports = make(ROOT_UNTYPED, QY_OBJ_IO_PORTS, 1);
    qy_handle_t other = make(ROOT_UNTYPED, QY_OBJ_IO_PORTS, 1);
    CHECK_EQ(PORTS(ports, 0x70, 0), QY_INVALID_ARGUMENT);
    CHECK_EQ(PORTS(ports, QY_PORTS, 1), QY_INVALID_ARGUMENT);
    CHECK_EQ(PORTS(ports, QY_PORTS - 1, 2), QY_INVALID_ARGUMENT);
    CHECK_EQ(PORTS(ports, 1, UINT64_MAX), QY_INVALID_ARGUMENT);
    CHECK_EQ(PORTS(ports, 0x3f0, 9), QY_BUSY); /* the console's first */
    CHECK_EQ(IN(ports, 0, 1).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(PORTS(ports, 0x70, 8), QY_OK);
    CHECK_EQ(PORTS(ports, 0x80, 8), QY_BUSY);
    CHECK_EQ(PORTS(other, 0x77, 2), QY_BUSY);
    CHECK_EQ(PORTS(other, 0x60, 0x20), QY_BUSY);
    CHECK_EQ(PORTS(other, 0x78, 8), QY_OK);
    CHECK_EQ(OUT(ports, 0x74, 4, 0x12345678), QY_OK);
    CHECK_EQ(IN(ports, 0x74, 4).x[1], 0x12345678);
    CHECK_EQ(IN(ports, 0x76, 2).x[1], 0x1234);
    CHECK_EQ(IN(ports, 0x77, 1).x[1], 0x12);
    static const struct {
        uint64_t port, width;
    } wrong[] = {{0x6f, 1},      {0x78, 1}, {0x77, 2}, {0x75, 4},
                 {0x70, 0},      {0x70, 3}, {0x70, 8}, {1ull << 32 | 0x70, 1},
                 {UINT64_MAX, 1}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CHECK_EQ(IN(ports, wrong[i].port, wrong[i].width).error, QY_INVALID_ARGUMENT);
        CHECK_EQ(OUT(ports, wrong[i].port, wrong[i].width, 0), QY_INVALID_ARGUMENT);
    }
    CHECK_EQ(OUT(ports, 0x70, 1, 256), QY_INVALID_ARGUMENT);
    CHECK_EQ(IN(copy(ports, QY_RIGHT_WRITE, 0), 0x70, 1).error, QY_NO_RIGHTS);
    CHECK_EQ(OUT(copy(ports, QY_RIGHT_READ, 0), 0x70, 1, 0), QY_NO_RIGHTS);
    CHECK_EQ(revoke_all(ports), QY_OK);
    CHECK_EQ(erase(ports), QY_OK);
    ports = make(ROOT_UNTYPED, QY_OBJ_IO_PORTS, 1);
    CHECK_EQ(PORTS(ports, 0x70, 8), QY_OK);
    scene_end();
}

static struct result device(qy_handle_t memory, qy_handle_t payer, uint64_t address, uint64_t pages)
{
    struct result result =
        CALL(QY_CALL_device_frame, memory, payer, address, pages, ROOT_NODE, scene_slot);
    scene_slot += result.error == QY_OK;
    return result;
}

static qy_handle_t frame_at(qy_handle_t payer, uint64_t address, uint64_t pages)
{
    struct result result = device(address < WORLD_KEPT ? BELOW : ABOVE, payer, address, pages);
    CHECK_EQ(result.error, QY_OK);
    return result.x[1];
}

static uint64_t frames_of(qy_handle_t memory)
{
    return CALL(QY_CALL_device_info, memory, 0, 0, 0, 0, 0).x[3];
}

static void device_memory_is_what_is_no_memory(void)
{
    struct result result = CALL(QY_CALL_device_info, BELOW, 0, 0, 0, 0, 0);
    CHECK_EQ(result.x[1], RAM_END);
    CHECK_EQ(result.x[2], WORLD_KEPT - RAM_END);
    result = CALL(QY_CALL_device_info, ABOVE, 0, 0, 0, 0, 0);
    CHECK_EQ(result.x[1], WORLD_KEPT + QY_PAGE_BYTES);
    CHECK_EQ(result.x[1] + result.x[2], 1ull << 40);
    static const struct {
        uint64_t address, pages;
    } wrong[] = {{RAM_END - 0x1000, 1}, {0, 1},           {RAM_END, 0},    {RAM_END, 3},
                 {RAM_END + 0x1000, 2}, {RAM_END + 1, 1}, {WORLD_KEPT, 1}, {WORLD_KEPT - 0x1000, 2},
                 {1ull << 40, 1},       {0, 1ull << 52},  {UINT64_MAX, 1}, {RAM_END, 1ull << 63}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK_EQ(device(BELOW, ROOT_UNTYPED, wrong[i].address, wrong[i].pages).error,
                 QY_INVALID_ARGUMENT);
    CHECK_EQ(device(BELOW, ROOT_SPACE, RAM_END, 1).error, QY_WRONG_TYPE);
    CHECK_EQ(device(ROOT_UNTYPED, ROOT_UNTYPED, RAM_END, 1).error, QY_WRONG_TYPE);
    CHECK_EQ(CALL(QY_CALL_untyped_retype, ROOT_UNTYPED, QY_OBJ_DEVICE_MEMORY, 1, ROOT_NODE,
                  scene_slot, 1)
                 .error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_device_frame, BELOW, ROOT_UNTYPED, RAM_END, 1, ROOT_NODE, 0).error,
             QY_INVALID_ARGUMENT);
    CHECK_EQ(CALL(QY_CALL_device_frame, BELOW, ROOT_UNTYPED, RAM_END, 1, ROOT_NODE, BELOW).error,
             QY_SLOT_OCCUPIED);
    CHECK_EQ(frames_of(BELOW), 0);
    scene_end();
}

static void device_memory_is_mapped_uncached_and_never_executable(void)
{
    tables(ROOT_UNTYPED, ROOT_SPACE, AT, 1);
    qy_handle_t frame = frame_at(ROOT_UNTYPED, 0xfed00000, 1),
                ram = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    CHECK_EQ(map(frame, ROOT_SPACE, AT, RW).error, QY_INVALID_FLAGS);
    CHECK_EQ(map(frame, ROOT_SPACE, AT, UNCACHED | QY_MAP_WRITE_THROUGH).error, QY_INVALID_FLAGS);
    CHECK_EQ(map(frame, ROOT_SPACE, AT, UNCACHED | 32).error, QY_INVALID_FLAGS);
    CHECK_EQ(map(frame, ROOT_SPACE, AT, QY_MAP_READ | QY_MAP_EXEC | QY_MAP_UNCACHED).error,
             QY_NO_RIGHTS);
    CHECK_EQ(map(ram, ROOT_SPACE, AT, UNCACHED).error, QY_INVALID_FLAGS);
    CHECK_EQ(map(ram, ROOT_SPACE, AT, RW | QY_MAP_WRITE_THROUGH).error, QY_INVALID_FLAGS);
    CHECK_EQ(map(frame, ROOT_SPACE, AT, UNCACHED).error, QY_OK);
    struct result query = CALL(QY_CALL_space_query, ROOT_SPACE, AT, 0, 0, 0, 0);
    CHECK_EQ(query.x[3] & QY_MAP_ALL, UNCACHED);
    paddr_t physical;
    struct space *space = object_of(ROOT_SPACE);
    CHECK_EQ(qy_pt_translate(SPACE_PT(space), vaddr(AT), &physical, NULL, NULL), QY_OK);
    CHECK_EQ(physical.raw, 0xfed00000);
    const uint64_t through = QY_MAP_READ | QY_MAP_WRITE_THROUGH;
    CHECK_EQ(CALL(QY_CALL_frame_protect, frame, ROOT_SPACE, AT, RW, 0, 0).error, QY_INVALID_FLAGS);
    CHECK_EQ(CALL(QY_CALL_frame_protect, frame, ROOT_SPACE, AT, through, 0, 0).error,
             QY_INVALID_FLAGS); /* the type stays */
    const uint64_t narrow = QY_MAP_READ | QY_MAP_UNCACHED;
    CHECK_EQ(CALL(QY_CALL_frame_protect, frame, ROOT_SPACE, AT, narrow, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_space_query, ROOT_SPACE, AT, 0, 0, 0, 0).x[3] & QY_MAP_ALL, narrow);
    CHECK_EQ(CALL(QY_CALL_frame_protect, frame, ROOT_SPACE, AT, UNCACHED, 0, 0).error, QY_OK);
    CHECK_EQ(CALL(QY_CALL_space_query, ROOT_SPACE, AT, 0, 0, 0, 0).x[3] & QY_MAP_ALL, UNCACHED);
    CHECK_EQ(CALL(QY_CALL_frame_unmap, frame, ROOT_SPACE, AT, 0, 0, 0).error, QY_OK);
    scene_end();
}

static void frames_of_device_memory_do_not_overlap(void)
{
    const uint64_t base = 1ull << 30;
    qy_handle_t middle = frame_at(ROOT_UNTYPED, base + 0x4000, 4);
    static const uint64_t wrong[][2] = {{0x4000, 1}, {0x7000, 1}, {0x6000, 2}, {0x4000, 4},
                                        {0, 8},      {0, 512},    {0, 0x40000}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK_EQ(device(BELOW, ROOT_UNTYPED, base + wrong[i][0], wrong[i][1]).error, QY_BUSY);
    qy_handle_t before = frame_at(ROOT_UNTYPED, base, 4),
                after = frame_at(ROOT_UNTYPED, base + 0x8000, 8);
    CHECK_EQ(frames_of(BELOW), 3);
    CHECK_EQ(erase(middle), QY_OK);
    CHECK_EQ(device(BELOW, ROOT_UNTYPED, base, 8).error, QY_BUSY);
    CHECK_EQ(erase(before), QY_OK);
    CHECK_EQ(erase(frame_at(ROOT_UNTYPED, base, 8)), QY_OK);
    CHECK_EQ(erase(after), QY_OK);
    CHECK_EQ(frames_of(BELOW), 0);
    scene_end();
}

#define PLACES 256u
#define STEPS 3000u

static uint64_t random_state;

/* Random frames over a few pages beside a plain array of owners. */
static void random_frames_agree_with_an_array(void)
{
    static qy_handle_t owner[PLACES];
    const uint64_t base = 0x1234500000ull;
    unsigned made = 0, refused = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t pages = 1ull << random_below(&random_state, 5),
                 first = random_below(&random_state, PLACES / pages) * pages;
        qy_handle_t there = 0;
        for (uint64_t i = first; i < first + pages; i++)
            there = there ? there : owner[i];
        if (there && random_below(&random_state, 2)) {
            CHECK_EQ(erase(there), QY_OK);
            for (unsigned i = 0; i < PLACES; i++)
                owner[i] = owner[i] == there ? 0 : owner[i];
            continue;
        }
        scene_slot = 600 + (there ? PLACES : (uint32_t)first);
        struct result result = device(ABOVE, ROOT_UNTYPED, base + first * QY_PAGE_BYTES, pages);
        CHECK_EQ(result.error, there ? QY_BUSY : QY_OK);
        made += result.error == QY_OK;
        refused += result.error == QY_BUSY;
        for (uint64_t i = first; i < first + pages && result.error == QY_OK; i++)
            owner[i] = result.x[1];
    }
    CHECK(made > STEPS / 10 && refused > STEPS / 10);
    scene_end();
    CHECK_EQ(frames_of(ABOVE), 0);
}

static void either_origin_takes_them_away(void)
{
    for (unsigned by_payer = 0; by_payer < 2; by_payer++) {
        qy_handle_t payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
        qy_handle_t other = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
        tables(ROOT_UNTYPED, ROOT_SPACE, AT, 1);
        qy_handle_t first = frame_at(payer, 0xfe000000, 1), second = frame_at(payer, 1ull << 32, 1);
        qy_handle_t third = frame_at(other, 0xfe001000, 1);
        CHECK_EQ(map(first, ROOT_SPACE, AT, UNCACHED).error, QY_OK);
        CHECK_EQ(
            map(copy(first, QY_RIGHT_ALL & ~QY_RIGHT_EXEC, 0), ROOT_SPACE, AT + 0x1000, UNCACHED)
                .error,
            QY_OK);
        CHECK_EQ(map(second, ROOT_SPACE, AT + 0x2000, UNCACHED).error, QY_OK);
        CHECK_EQ(map(third, ROOT_SPACE, AT + 0x3000, UNCACHED).error, QY_OK);
        CHECK_EQ(revoke_all(by_payer ? payer : BELOW), QY_OK);
        CHECK_EQ(info(first).error, QY_NOT_FOUND);
        CHECK_EQ(info(second).error, by_payer ? QY_NOT_FOUND : QY_OK);
        CHECK_EQ(info(third).error, by_payer ? QY_OK : QY_NOT_FOUND);
        CHECK_EQ(frames_of(BELOW), by_payer);
        CHECK_EQ(frames_of(ABOVE), !by_payer);
        struct result at = CALL(QY_CALL_space_query, ROOT_SPACE, AT, 0, 0, 0, 0);
        CHECK_EQ(at.x[1], AT); /* marks of what was there */
        CHECK_EQ(QY_QUERY_BACKING(at.x[3]), QY_BACKED_REVOKED);
        CHECK_EQ(at.x[2], by_payer ? AT + 0x3000 : AT + 0x2000);
        scene_end();
        CHECK_EQ(frames_of(BELOW) + frames_of(ABOVE), 0);
    }
}

static void authority_over_device_memory_shrinks(void)
{
    qy_handle_t looker = copy(BELOW, QY_RIGHT_READ, 0), maker = copy(BELOW, QY_RIGHT_WRITE, 0);
    CHECK_EQ(device(looker, ROOT_UNTYPED, RAM_END, 1).error, QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_device_info, maker, 0, 0, 0, 0, 0).error, QY_NO_RIGHTS);
    CHECK_EQ(device(maker, ROOT_UNTYPED, RAM_END, 1).error, QY_OK);
    CHECK_EQ(revoke_all(maker), QY_NO_RIGHTS);
    CHECK_EQ(frames_of(BELOW), 1);
    CHECK_EQ(revoke_all(BELOW), QY_OK); /* the copies too */
    CHECK_EQ(frames_of(BELOW), 0);
    CHECK_EQ(info(maker).error, QY_NOT_FOUND);
    scene_end();
}

/* Two CPUs revoke both origins of mapped frames at once; a third CPU keeps its translations as long as it may. */
static void both_origins_revoke_at_once(void)
{
    qy_handle_t payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
    tables(ROOT_UNTYPED, ROOT_SPACE, AT, 1);
    (void)thread_on(ROOT_UNTYPED, 1, 0);
    (void)thread_on(ROOT_UNTYPED, 2, 0);
    for (unsigned i = 0; i < 40; i++)
        CHECK_EQ(map(frame_at(payer, 0xfe000000 + i * QY_PAGE_BYTES, 1), ROOT_SPACE,
                     AT + i * QY_PAGE_BYTES, UNCACHED)
                     .error,
                 QY_OK);
    const uint64_t by_device[6] = {BELOW}, by_payer[6] = {payer};
    world_fill_tlbs();
    world_begin(0, QY_CALL_cap_revoke, by_device);
    world_begin(1, QY_CALL_cap_revoke, by_payer);
    for (unsigned turns = 0; (world_busy(0) || world_busy(1)) && turns < 100000; turns++) {
        world_step(turns & 1);
        for (unsigned cpu = 0; cpu < WORLD_CPUS; cpu++)
            world_interrupts(cpu);
    }
    scene_check(__FILE__, __LINE__);
    CHECK_EQ(world_last(0).error, QY_OK);
    CHECK_EQ(world_last(1).error, QY_OK);
    CHECK_EQ(frames_of(BELOW), 0);
    scene_end();
}

static void a_payer_without_memory_changes_nothing(void)
{
    qy_handle_t payer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 1);
    uint64_t made = 0;
    struct result result;
    while ((result = device(BELOW, payer, RAM_END + made * QY_PAGE_BYTES, 1)).error == QY_OK)
        made++;
    CHECK_EQ(result.error, QY_OUT_OF_MEMORY);
    CHECK(made > 0);
    CHECK_EQ(frames_of(BELOW), made);
    CHECK_EQ(erase(payer), QY_OK); /* and its last capability takes them along */
    CHECK_EQ(frames_of(BELOW), 0);
    scene_end();
}

static const struct test tests[] = {
    {"a level is held back until it is acknowledged",
     a_level_is_held_back_until_it_is_acknowledged},
    {"no edge is lost", no_edge_is_lost},
    {"who waits is woken, on the CPU that bound", who_waits_is_woken_on_the_cpu_that_bound},
    {"wrong bindings are refused", wrong_bindings_are_refused},
    {"what goes takes its interrupts along", what_goes_takes_its_interrupts_along},
    {"ports belong to one", ports_belong_to_one},
    {"device memory is what is no memory", device_memory_is_what_is_no_memory},
    {"device memory is mapped uncached and never executable",
     device_memory_is_mapped_uncached_and_never_executable},
    {"frames of device memory do not overlap", frames_of_device_memory_do_not_overlap},
    {"random frames agree with an array", random_frames_agree_with_an_array},
    {"either origin takes them away", either_origin_takes_them_away},
    {"authority over device memory shrinks", authority_over_device_memory_shrinks},
    {"both origins revoke at once", both_origins_revoke_at_once},
    {"a payer without memory changes nothing", a_payer_without_memory_changes_nothing},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
