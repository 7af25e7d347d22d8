/*
 * Pins: who may pin and learns what, and that a device has stopped before memory that it had is free, whichever way it
 * comes free. Would miss: a device that goes on although its register says that it has stopped.
 */
#include "scene.h"

#include <kernel/dma.h>
#include <qy/framedb.h>

#define SYSTEM ((qy_handle_t)QY_SLOT_SYSTEM)
#define DEVICES ((qy_handle_t)QY_SLOT_UNTYPED + 1) /* device memory behind 64 MiB of RAM */
#define REGISTERS 0xfe000000ull
#define OFFSET 0x70u
#define STOP 0x5au

#define BIND(dma, frame, offset, width, value)                                                     \
    CALL(QY_CALL_dma_bind, dma, SYSTEM, frame, offset, width, value).error
#define PIN(frame, dma) CALL(QY_CALL_frame_pin, frame, dma, 0, 0, 0, 0)
#define UNPIN(frame) CALL(QY_CALL_frame_unpin, frame, 0, 0, 0, 0, 0).error

static qy_handle_t registers_at(qy_handle_t payer, uint64_t address)
{
    struct result result =
        CALL(QY_CALL_device_frame, DEVICES, payer, address, 1, ROOT_NODE, scene_slot);
    CHECK_EQ(result.error, QY_OK);
    scene_slot++;
    return result.x[1];
}

/* A device that stops `delay` looks after it was told to. */
static qy_handle_t device(qy_handle_t payer, unsigned delay)
{
    qy_handle_t dma = make(payer, QY_OBJ_DMA, 1);
    world_register = (struct world_register){.delay = delay};
    CHECK_EQ(BIND(dma, registers_at(payer, REGISTERS), OFFSET, 4, STOP), QY_OK);
    return dma;
}

static bool was_stopped(void)
{
    return world_register.stopped && world_register.address == REGISTERS + OFFSET &&
           world_register.width == 4 && world_register.written == STOP;
}

static bool is_pinned(qy_handle_t frame)
{
    const struct frame *object = object_of(frame);
    bool pinned = object->dma != NULL;
    CHECK_EQ(qy_frame_is_pinned(kernel_vm.db, object->first), pinned);
    return pinned;
}

static void binding_needs_authority_and_a_register(void)
{
    qy_handle_t dma = make(ROOT_UNTYPED, QY_OBJ_DMA, 1), ram = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    qy_handle_t registers = registers_at(ROOT_UNTYPED, REGISTERS);
    qy_handle_t looker = copy(SYSTEM, QY_RIGHT_READ, 0);
    static const uint64_t wrong[][3] = {{0, 0, 0},         {0, 3, 0},   {0, 8, 0},
                                        {1, 2, 0},         {2, 4, 0},   {4096, 1, 0},
                                        {~0ull - 3, 4, 0}, {0, 1, 256}, {0, 4, 1ull << 32}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK_EQ(BIND(dma, registers, wrong[i][0], wrong[i][1], wrong[i][2]), QY_INVALID_ARGUMENT);
    CHECK_EQ(BIND(dma, ram, OFFSET, 4, STOP),
             QY_INVALID_ARGUMENT); /* the kernel would write to it */
    CHECK_EQ(BIND(dma, copy(registers, QY_RIGHT_READ, 0), OFFSET, 4, STOP), QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_dma_bind, dma, looker, registers, OFFSET, 4, STOP).error, QY_NO_RIGHTS);
    CHECK_EQ(CALL(QY_CALL_dma_bind, dma, ROOT_UNTYPED, registers, OFFSET, 4, STOP).error,
             QY_WRONG_TYPE);
    CHECK_EQ(PIN(ram, dma).error, QY_NOT_FOUND);
    CHECK_EQ(BIND(dma, registers, 4092, 4, STOP), QY_OK);
    CHECK_EQ(BIND(dma, registers, OFFSET, 4, STOP), QY_BUSY);
    CHECK_EQ(erase(looker), QY_OK);
    scene_end();
}

static void a_pin_tells_where_a_frame_lies(void)
{
    qy_handle_t dma = device(ROOT_UNTYPED, 0), other = make(ROOT_UNTYPED, QY_OBJ_DMA, 1);
    qy_handle_t frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 4);
    qy_handle_t registers = registers_at(ROOT_UNTYPED, REGISTERS + 0x1000);
    qy_handle_t second = copy(frame, QY_RIGHT_ALL, 0);
    CHECK_EQ(BIND(other, registers, 0, 1, 0), QY_OK);
    CHECK_EQ(PIN(copy(frame, QY_RIGHT_READ, 0), dma).error, QY_NO_RIGHTS);
    CHECK_EQ(PIN(copy(frame, QY_RIGHT_WRITE, 0), dma).error, QY_NO_RIGHTS);
    CHECK_EQ(PIN(frame, copy(dma, QY_RIGHT_READ, 0)).error, QY_NO_RIGHTS);
    CHECK_EQ(PIN(frame, SYSTEM).error, QY_WRONG_TYPE);
    CHECK_EQ(PIN(dma, dma).error, QY_WRONG_TYPE);
    CHECK_EQ(PIN(registers, dma).error, QY_INVALID_ARGUMENT);
    CHECK_EQ(UNPIN(frame), QY_NOT_FOUND);
    struct result result = PIN(frame, dma);
    CHECK_EQ(result.error, QY_OK);
    CHECK_EQ(result.x[1], pfn_to_paddr(((struct frame *)object_of(frame))->first).raw);
    CHECK_EQ(result.x[2], 4 * QY_PAGE_BYTES);
    CHECK_EQ(PIN(frame, dma).error, QY_BUSY);
    CHECK_EQ(PIN(frame, dma).x[1], 0);
    CHECK_EQ(PIN(second, other).error, QY_BUSY);
    CHECK_EQ(UNPIN(second), QY_NOT_FOUND); /* not by this capability */
    CHECK(is_pinned(frame));
    CHECK_EQ(UNPIN(frame), QY_OK);
    CHECK(!is_pinned(frame));
    CHECK_EQ(UNPIN(frame), QY_NOT_FOUND);
    CHECK_EQ(PIN(second, other).error, QY_OK);
    CHECK_EQ(UNPIN(second), QY_OK);
    CHECK_EQ(world_register.writes, 0); /* nobody had to be stopped */
    scene_end();
    CHECK_EQ(world_register.writes, 0);
}

static void a_device_has_so_many_pins(void)
{
    qy_handle_t dma = device(ROOT_UNTYPED, 0), frames[QY_DMA_PINS + 1];
    for (unsigned i = 0; i <= QY_DMA_PINS; i++) {
        frames[i] = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
        CHECK_EQ(PIN(frames[i], dma).error, i < QY_DMA_PINS ? QY_OK : QY_TOO_MANY);
    }
    CHECK_EQ(UNPIN(frames[7]), QY_OK);
    CHECK_EQ(PIN(frames[QY_DMA_PINS], dma).error, QY_OK);
    scene_end();
    CHECK(was_stopped());
}

static void deleting_what_pinned_stops_the_device(void)
{
    qy_handle_t dma = device(ROOT_UNTYPED, 5), frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    qy_handle_t derived = copy(frame, QY_RIGHT_ALL, 0), idle = copy(frame, QY_RIGHT_ALL, 0);
    qy_handle_t beside = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    CHECK_EQ(PIN(derived, dma).error, QY_OK);
    CHECK_EQ(PIN(beside, dma).error, QY_OK);
    CHECK_EQ(erase(idle), QY_OK);
    CHECK(is_pinned(frame) && world_register.writes == 0);
    CHECK_EQ(erase(derived), QY_OK);
    CHECK(was_stopped());
    CHECK(!is_pinned(frame) && !is_pinned(beside)); /* it uses nothing any more */
    CHECK_EQ(UNPIN(beside), QY_NOT_FOUND);
    world_register = (struct world_register){.delay = 5};
    CHECK_EQ(PIN(frame, dma).error, QY_OK); /* it may be started anew */
    CHECK_EQ(erase(frame), QY_OK);
    CHECK(was_stopped());
    scene_end();
}

static void deleting_the_device_stops_it(void)
{
    qy_handle_t dma = device(ROOT_UNTYPED, 5), frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    qy_handle_t second = copy(dma, QY_RIGHT_ALL, 0);
    CHECK_EQ(PIN(frame, dma).error, QY_OK);
    CHECK_EQ(erase(dma), QY_OK);
    CHECK(world_register.writes == 0 && is_pinned(frame)); /* somebody has it still */
    CHECK_EQ(erase(second), QY_OK);
    CHECK(was_stopped() && !is_pinned(frame));
    CHECK_EQ(UNPIN(frame), QY_NOT_FOUND);
    scene_end();
}

static void a_pin_moves_with_its_capability(void)
{
    qy_handle_t dma = device(ROOT_UNTYPED, 0), frame = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    CHECK_EQ(PIN(frame, dma).error, QY_OK);
    struct result result = CALL(QY_CALL_cap_move, ROOT_NODE, scene_slot++, frame, 0, 0, 0);
    CHECK_EQ(result.error, QY_OK);
    CHECK_EQ(UNPIN(frame), QY_INVALID_HANDLE);
    CHECK_EQ(UNPIN(result.x[1]), QY_OK);
    CHECK_EQ(PIN(result.x[1], dma).error, QY_OK);
    result = CALL(QY_CALL_cap_move, ROOT_NODE, scene_slot++, result.x[1], 0, 0, 0);
    CHECK_EQ(erase(result.x[1]), QY_OK);
    CHECK(was_stopped());
    scene_end();
}

/* Whoever takes memory back from a driver, by revoking what it lent or the memory itself, need not ask it. */
static void revoke_returns_when_the_device_has_stopped(void)
{
    for (unsigned of_memory = 0; of_memory < 2; of_memory++) {
        qy_handle_t client = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
        qy_handle_t dma = device(ROOT_UNTYPED, 20), frame = make(client, QY_OBJ_FRAME, 1);
        qy_handle_t again = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
        CHECK_EQ(PIN(copy(frame, QY_RIGHT_ALL, 0), dma).error, QY_OK);
        const struct frame *object = object_of(frame);
        pfn_t first = object->first;
        (void)thread_on(ROOT_UNTYPED, 1, 0);
        const uint64_t revoke[6] = {of_memory ? client : frame};
        world_begin(0, QY_CALL_cap_revoke, revoke);
        for (unsigned i = 0; i < 10; i++)
            world_step(0);
        CHECK(world_busy(0) && !world_register.stopped && world_register.writes == 1);
        CHECK(qy_frame_is_pinned(kernel_vm.db, first));
        CHECK_EQ(CALL_ON(1, QY_CALL_frame_pin, again, dma, 0, 0, 0, 0).error, QY_BUSY);
        while (world_busy(0))
            world_step(0);
        CHECK_EQ(world_last(0).error, QY_OK);
        CHECK(was_stopped() && world_register.looks == 21);
        struct result state = CALL(QY_CALL_untyped_info, client, 0, 0, 0, 0, 0);
        CHECK_EQ(state.x[4], !of_memory);
        scene_end();
    }
}

static void a_driver_that_dies_leaves_its_device_stopped(void)
{
    qy_handle_t driver = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
    qy_handle_t dma = device(driver, 3), lent = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    qy_handle_t own = make(driver, QY_OBJ_FRAME, 1);
    CHECK_EQ(PIN(lent, dma).error, QY_OK);
    CHECK_EQ(PIN(own, dma).error, QY_OK);
    CHECK_EQ(revoke_all(driver), QY_OK);
    CHECK(was_stopped() && !is_pinned(lent));
    CHECK_EQ(info(dma).error, QY_NOT_FOUND);
    CHECK_EQ(CALL(QY_CALL_untyped_info, driver, 0, 0, 0, 0, 0).x[4], 0);
    CHECK_EQ(UNPIN(lent), QY_NOT_FOUND);
    scene_end();
}

/* A frame that is both mapped and pinned, and more of them than a teardown has room for. */
static void many_pins_end_together(void)
{
    qy_handle_t budget = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 256);
    qy_handle_t dma = device(ROOT_UNTYPED, 2);
    const uint64_t at = 0x0000200000000000ull;
    tables(ROOT_UNTYPED, ROOT_SPACE, at, 1);
    for (unsigned i = 0; i < QY_DMA_PINS; i++) {
        qy_handle_t frame = make(budget, QY_OBJ_FRAME, 1);
        CHECK_EQ(map(frame, ROOT_SPACE, at + i * QY_PAGE_BYTES, RW).error, QY_OK);
        CHECK_EQ(PIN(frame, dma).error, QY_OK);
    }
    CHECK_EQ(revoke_all(budget), QY_OK);
    CHECK(was_stopped());
    CHECK_EQ(CALL(QY_CALL_untyped_info, budget, 0, 0, 0, 0, 0).x[4], 0);
    scene_end();
}

/* Retype by another CPU than the first. */
static qy_handle_t make_on(unsigned cpu, qy_handle_t untyped, enum qy_object_type type)
{
    const uint64_t x[6] = {untyped, type, 1, ROOT_NODE, scene_slot++, 1};
    world_begin(cpu, QY_CALL_untyped_retype, x);
    while (world_busy(cpu))
        world_step(cpu);
    CHECK_EQ(world_last(cpu).error, QY_OK);
    return world_last(cpu).x[1];
}

/* Memory and driver are revoked at once, by two CPUs, at every distance of the two, one of them far ahead or not. */
static void both_sides_revoke_at_once(void)
{
    for (unsigned round = 0; round < 24; round++) {
        unsigned lead = round / 2, alone = round % 2 * 100;
        qy_handle_t driver = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
        qy_handle_t client = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
        qy_handle_t dma = device(driver, 4);
        CHECK_EQ(PIN(make(client, QY_OBJ_FRAME, 1), dma).error, QY_OK);
        CHECK_EQ(PIN(make(client, QY_OBJ_FRAME, 2), dma).error, QY_OK);
        (void)thread_on(ROOT_UNTYPED, 1, 0);
        const uint64_t of_client[6] = {client}, of_driver[6] = {driver};
        world_begin(0, QY_CALL_cap_revoke, of_client);
        for (unsigned i = 0; i < lead && world_busy(0); i++)
            world_step(0);
        world_begin(1, QY_CALL_cap_revoke, of_driver);
        qy_handle_t next = 0; /* has the memory of the old one, which nobody may touch any more */
        for (unsigned turn = 0; (world_busy(0) || world_busy(1)) && turn < 1000; turn++) {
            unsigned cpu = turn < alone ? 1 : turn & 1;
            if (world_busy(cpu))
                world_step(cpu);
            if (world_busy(0) && !world_busy(1) && !next)
                next = make_on(1, driver, QY_OBJ_DMA);
        }
        scene_check(__FILE__, __LINE__);
        CHECK(!next || ((const struct dma *)object_of(next))->stops == 0);
        CHECK(!next || erase(next) == QY_OK);
        CHECK(!world_busy(0) && !world_busy(1) && was_stopped());
        CHECK_EQ(world_last(0).error, QY_OK);
        CHECK_EQ(world_last(1).error, QY_OK);
        CHECK_EQ(CALL(QY_CALL_untyped_info, client, 0, 0, 0, 0, 0).x[4], 0);
        CHECK_EQ(CALL(QY_CALL_untyped_info, driver, 0, 0, 0, 0, 0).x[4], 0);
        scene_end();
    }
}

static uint64_t objects_of(qy_handle_t untyped)
{
    return CALL(QY_CALL_untyped_info, untyped, 0, 0, 0, 0, 0).x[4];
}

/* What it has stays allocated; all else is free again, and revoke says so. Last: that memory does not come back. */
static void a_device_that_does_not_stop_keeps_its_memory(void)
{
    qy_handle_t outer = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 256);
    qy_handle_t inner = make(outer, QY_OBJ_UNTYPED, 128);
    qy_handle_t dma = device(ROOT_UNTYPED, 0), frame = make(inner, QY_OBJ_FRAME, 1);
    qy_handle_t other = make(inner, QY_OBJ_FRAME, 1), live = make(ROOT_UNTYPED, QY_OBJ_FRAME, 1);
    pfn_t first = ((const struct frame *)object_of(frame))->first;
    world_register.refuses = true;
    CHECK_EQ(PIN(frame, dma).error, QY_OK);
    CHECK_EQ(PIN(live, dma).error, QY_OK);
    CHECK_EQ(revoke_all(inner), QY_BUSY);
    CHECK_EQ(info(frame).error, QY_NOT_FOUND);
    CHECK_EQ(info(other).error, QY_NOT_FOUND);
    CHECK_EQ(objects_of(inner), 1);
    CHECK(qy_frame_is_pinned(kernel_vm.db, first));
    CHECK_EQ(PIN(make(ROOT_UNTYPED, QY_OBJ_FRAME, 1), dma).error, QY_DEAD);
    other = make(inner, QY_OBJ_FRAME, 1); /* the rest can be used */
    CHECK(((const struct frame *)object_of(other))->first.raw != first.raw);
    CHECK_EQ(revoke_all(inner), QY_BUSY);
    CHECK_EQ(revoke_all(outer), QY_BUSY); /* and what it is part of is stuck with it */
    CHECK_EQ(objects_of(outer), 1);
    CHECK_EQ(info(inner).error, QY_NOT_FOUND);
    CHECK_EQ(erase(outer), QY_OK);
    CHECK_EQ(erase(dma), QY_OK); /* the kernel still knows who has it */
    CHECK(is_pinned(live));
    CHECK_EQ(erase(live), QY_OK);
    CHECK_EQ(revoke_all(ROOT_UNTYPED), QY_BUSY);
    CHECK_EQ(objects_of(ROOT_UNTYPED), 3); /* outer, the device, and `live` */
    CHECK(qy_frame_is_pinned(kernel_vm.db, first));
}

/* A device that has been unplugged says nothing: nobody knows what it still does. After the last test, which leaves less. */
static void a_device_that_has_gone_keeps_its_memory(void)
{
    qy_handle_t budget = make(ROOT_UNTYPED, QY_OBJ_UNTYPED, 64);
    qy_handle_t dma = device(ROOT_UNTYPED, 0), frame = make(budget, QY_OBJ_FRAME, 1);
    CHECK_EQ(PIN(frame, dma).error, QY_OK);
    world_register.gone = true;
    world_register.value = STOP; /* what a read that nobody answers may leave behind */
    CHECK_EQ(revoke_all(budget), QY_BUSY);
    CHECK_EQ(objects_of(budget), 1);
    CHECK_EQ(world_register.looks, 1);
}

static const struct test tests[] = {
    {"binding needs authority and a register", binding_needs_authority_and_a_register},
    {"a pin tells where a frame lies", a_pin_tells_where_a_frame_lies},
    {"a device has so many pins", a_device_has_so_many_pins},
    {"deleting what pinned stops the device", deleting_what_pinned_stops_the_device},
    {"deleting the device stops it", deleting_the_device_stops_it},
    {"a pin moves with its capability", a_pin_moves_with_its_capability},
    {"revoke returns when the device has stopped", revoke_returns_when_the_device_has_stopped},
    {"a driver that dies leaves its device stopped", a_driver_that_dies_leaves_its_device_stopped},
    {"many pins end together", many_pins_end_together},
    {"both sides revoke at once", both_sides_revoke_at_once},
    {"a device that does not stop keeps its memory", a_device_that_does_not_stop_keeps_its_memory},
    {"a device that has gone keeps its memory", a_device_that_has_gone_keeps_its_memory},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
