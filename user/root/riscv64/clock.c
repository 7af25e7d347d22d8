/*
 * The real-time clock of QEMU's virt machine (Google Goldfish): registers in memory, nanoseconds, and an alarm whose
 * interrupt, source 11, is told by its level.
 */
#include "../root.h"

#define ADDRESS 0x101000ull

enum {
    TIME_LOW,
    TIME_HIGH,
    ALARM_LOW,
    ALARM_HIGH,
    INTERRUPT_ENABLED,
    CLEAR_ALARM,
    ALARM_STATUS,
    CLEAR_INTERRUPT
};

#define DELAY_NS 1000000u

static volatile uint32_t *const registers = (volatile uint32_t *)ROOT_PAGE_ADDRESS;

enum qy_error clock_open(struct root *root, struct clock *clock)
{
    clock->name = "Goldfish clock";
    clock->number = 11;
    struct call_result r = device_frame(device_memory_at(root, ADDRESS), clock->budget, ADDRESS, 1,
                                        QY_SLOT_NODE, root->next_slot++);
    clock->registers = r.value[1];
    if (r.error != QY_OK)
        return r.error;
    return root_map(root, clock->budget, clock->registers, ROOT_PAGE_ADDRESS,
                    QY_MAP_READ | QY_MAP_WRITE | QY_MAP_UNCACHED, false, NULL);
}

/* Reading the low half keeps the high half for the next read. */
uint64_t clock_time(struct clock *clock)
{
    (void)clock;
    uint64_t low = registers[TIME_LOW];
    return low | (uint64_t)registers[TIME_HIGH] << 32;
}

/* Writing the low half sets the alarm. */
enum qy_error clock_start(struct clock *clock)
{
    uint64_t due = clock_time(clock) + DELAY_NS;
    registers[INTERRUPT_ENABLED] = 1;
    registers[ALARM_HIGH] = (uint32_t)(due >> 32);
    registers[ALARM_LOW] = (uint32_t)due;
    return QY_OK;
}

enum qy_error clock_stop(struct clock *clock)
{
    (void)clock;
    registers[CLEAR_ALARM] = 1;
    registers[INTERRUPT_ENABLED] = 0;
    registers[CLEAR_INTERRUPT] = 1;
    return QY_OK;
}

/* An alarm that has gone off is not set any more. */
bool clock_serve(struct clock *clock)
{
    (void)clock;
    bool raised = registers[ALARM_STATUS] == 0;
    registers[CLEAR_INTERRUPT] = 1;
    return raised;
}
