/*
 * The program `disk`: the driver of one virtio block device, which it has been given. See block.h.
 */
#include "block.h"

#include <user/program.h>
#include <user/slots.h>
#include <user/space.h>

#define REGISTERS 0x0000200000000000ull
#define PAGE 0x0000200000400000ull /* behind the largest set of registers, with a gap */

/* Tables come out of the program's own memory and stay. */
static enum qy_error map(qy_handle_t frame, uint64_t address, uint64_t flags)
{
    struct tables made;
    return space_map_frame(QY_SLOT_UNTYPED, QY_SLOT_SPACE, frame, address,
                           QY_MAP_READ | QY_MAP_WRITE | flags, &made);
}

int main(int argc, char *argv[])
{
    static struct block_driver driver;
    (void)argc, (void)argv;
    for (unsigned i = 0; i < BLOCK_GIVEN_COUNT; i++)
        driver.given[i] = PROGRAM_GIVEN(i);
    driver.registers = (volatile uint8_t *)REGISTERS;
    driver.page = (volatile struct virtio_blk_memory *)PAGE;
    driver.slot = slot_take();
    enum qy_error error = driver.slot ? QY_OK : QY_TOO_MANY;
    if (error == QY_OK)
        error = map(driver.given[BLOCK_REGISTERS], REGISTERS, QY_MAP_UNCACHED);
    if (error == QY_OK)
        error = map(driver.given[BLOCK_PAGE], PAGE, 0);
    if (error == QY_OK)
        error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_REPLY, 1, &driver.reply);
    if (error == QY_OK)
        error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_TIMER, 1, &driver.timer);
    if (error == QY_OK) {
        driver.place = *(const struct virtio_place *)PAGE;
        error = block_serve(&driver);
    }
    return (int)error;
}
