/*
 * The real-time clock of a PC (Motorola MC146818A): two ports, an index and a value. Its periodic interrupt is line 8,
 * which tells edges: reading register C makes the line low again.
 */
#include "../root.h"

#define INDEX_PORT 0x70u
#define VALUE_PORT 0x71u

#define SECONDS 0u
#define REGISTER_A 0x0au
#define REGISTER_B 0x0bu
#define REGISTER_C 0x0cu
#define RATE_1024_HZ 6u
#define PERIODIC 0x40u /* in B: enable; in C: it was this one */

static enum qy_error reg_read(const struct clock *clock, uint64_t index, uint64_t *value)
{
    enum qy_error error = port_out(clock->registers, INDEX_PORT, 1, index);
    if (error != QY_OK)
        return error;
    struct call_result r = port_in(clock->registers, VALUE_PORT, 1);
    *value = r.value[1];
    return r.error;
}

static enum qy_error reg_change(const struct clock *clock, uint64_t index, uint64_t clear,
                                uint64_t set)
{
    uint64_t value;
    enum qy_error error = reg_read(clock, index, &value);
    if (error == QY_OK)
        error = port_out(clock->registers, INDEX_PORT, 1, index);
    if (error == QY_OK)
        error = port_out(clock->registers, VALUE_PORT, 1, (value & ~clear) | set);
    return error;
}

enum qy_error clock_open(struct root *root, struct clock *clock)
{
    clock->name = "real-time clock";
    clock->number = 8;
    enum qy_error error = root_make(root, clock->budget, QY_OBJ_IO_PORTS, 1, &clock->registers);
    if (error == QY_OK)
        error = ports_bind(clock->registers, QY_SLOT_SYSTEM, INDEX_PORT, 2);
    if (error == QY_OK)
        error = reg_change(clock, REGISTER_A, 0x0f, RATE_1024_HZ);
    return error;
}

enum qy_error clock_start(struct clock *clock)
{
    return reg_change(clock, REGISTER_B, 0, PERIODIC);
}

enum qy_error clock_stop(struct clock *clock)
{
    uint64_t cause; /* one may have come just before */
    enum qy_error error = reg_change(clock, REGISTER_B, PERIODIC, 0);
    return error == QY_OK ? reg_read(clock, REGISTER_C, &cause) : error;
}

bool clock_serve(struct clock *clock)
{
    uint64_t cause;
    return reg_read(clock, REGISTER_C, &cause) == QY_OK && cause & PERIODIC;
}

uint64_t clock_time(struct clock *clock)
{
    uint64_t seconds;
    return reg_read(clock, SECONDS, &seconds) == QY_OK ? seconds : 0;
}
