/*
 * Attacks on devices: lines, ports and addresses that are not the program's, and RAM by way of device memory.
 */
#include "attack.h"

#define RW (QY_MAP_READ | QY_MAP_WRITE)
#define UNCACHED (RW | QY_MAP_UNCACHED)
#if defined(__riscv)
#define HAS_PORTS false
#define KERNELS_REGISTERS 0x0c000000ull /* the PLIC */
#define MISSING_TYPE (RW | QY_MAP_WRITE_THROUGH)
#else
#define HAS_PORTS true
#define KERNELS_REGISTERS 0xfee00000ull /* the local APIC */
#define MISSING_TYPE (RW | QY_MAP_WRITE_THROUGH | QY_MAP_UNCACHED)
#endif
#define ROOT_LINE 1u /* a line that every machine here has, and nobody raises */

static enum qy_error bind_line(struct attack *attack, qy_handle_t interrupt, uint64_t number)
{
    return interrupt_bind(interrupt, QY_SLOT_SYSTEM, number, attack->object[QY_OBJ_NOTIFICATION]);
}

static void attack_lines(struct attack *attack)
{
    const qy_handle_t interrupt = attack->object[QY_OBJ_INTERRUPT];
    const uint64_t numbers[] = {1023, 1024, 1ull << 32 | ROOT_LINE, ~0ull};
    qy_handle_t other;
    enum qy_error error = root_make(attack->root, attack->budget, QY_OBJ_INTERRUPT, 1, &other);

    root_check(attack->root, error == QY_OK, "a second interrupt could not be made");
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        attack_expect(attack, bind_line(attack, interrupt, numbers[i]), QY_INVALID_ARGUMENT,
                      "bind to line %llu", (unsigned long long)numbers[i]);
    attack_expect(
        attack,
        interrupt_bind(interrupt, attack->budget, ROOT_LINE, attack->object[QY_OBJ_NOTIFICATION]),
        QY_WRONG_TYPE, "bind to a line without the system's capability");
    attack_expect(attack, interrupt_acknowledge(interrupt), QY_NOT_FOUND,
                  "acknowledge an interrupt that is bound to nothing");
    error = bind_line(attack, interrupt, ROOT_LINE);
    root_check(attack->root, error == QY_OK, "a line could not be bound");
    attack_expect(attack, bind_line(attack, other, ROOT_LINE), QY_BUSY,
                  "bind to a line that is bound");
    attack_expect(attack, bind_line(attack, interrupt, ROOT_LINE + 1), QY_BUSY,
                  "bind an interrupt to a second line");
    attack_expect(attack, interrupt_acknowledge(interrupt), QY_NOT_FOUND,
                  "acknowledge an interrupt that did not come");
    attack_expect(attack, interrupt_acknowledge(attack->stale), QY_INVALID_HANDLE,
                  "acknowledge by a stale handle");
}

static void attack_ports(struct attack *attack)
{
    static const struct {
        const char *what;
        uint64_t first, count;
        enum qy_error wanted;
    } tries[] = {
        {"of the old interrupt controller", 0x20, 2, QY_BUSY},
        {"of the second one, from below", 0x90, 0x11, QY_BUSY},
        {"of the interval timer", 0x43, 1, QY_BUSY},
        {"of the console", 0x3ff, 1, QY_BUSY},
        {"where the machine is switched off", 0xf0, 8, QY_BUSY},
        {"of all the machine", 0, 0x10000, QY_BUSY},
        {"none", 0x70, 0, QY_INVALID_ARGUMENT},
        {"beyond the last", 0xffff, 2, QY_INVALID_ARGUMENT},
        {"that wrap", 0x70, ~0ull, QY_INVALID_ARGUMENT},
    };
    const qy_handle_t ports = attack->object[QY_OBJ_IO_PORTS];

    for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        enum qy_error wanted =
            HAS_PORTS || tries[i].wanted != QY_BUSY ? tries[i].wanted : QY_UNSUPPORTED;
        attack_expect(attack, ports_bind(ports, QY_SLOT_SYSTEM, tries[i].first, tries[i].count),
                      wanted, "bind ports %s", tries[i].what);
    }
    attack_expect(attack, port_in(ports, 0x3f8, 1).error, QY_INVALID_ARGUMENT,
                  "read a port without having any");
    attack_expect(attack, port_out(ports, 0, 1, 0), QY_INVALID_ARGUMENT,
                  "write port 0 without having any");
    if (!HAS_PORTS)
        return;
    enum qy_error error = ports_bind(ports, QY_SLOT_SYSTEM, 0x70, 2);
    root_check(attack->root, error == QY_OK, "ports could not be bound");
    attack_expect(attack, port_in(ports, 0x71, 2).error, QY_INVALID_ARGUMENT,
                  "read over the end of a port range");
    attack_expect(attack, port_in(ports, 0x70, 3).error, QY_INVALID_ARGUMENT, "read 3 bytes");
    attack_expect(attack, port_out(ports, 0x10070, 1, 0), QY_INVALID_ARGUMENT,
                  "write port 2^16 + 0x70");
}

/* A frame of any device memory at that address; the last answer that is no wrong address, if there is one. */
static enum qy_error frame_at(struct attack *attack, uint64_t address, qy_handle_t *frame)
{
    enum qy_error error = QY_INVALID_ARGUMENT;
    for (uint32_t i = 0; i < attack->root->info->devices && error == QY_INVALID_ARGUMENT; i++) {
        struct call_result r =
            device_frame(QY_SLOT_UNTYPED + attack->root->info->untypeds + i, attack->budget,
                         address, 1, QY_SLOT_NODE, attack->root->next_slot);
        error = r.error;
        *frame = r.value[1];
    }
    attack->root->next_slot += error == QY_OK;
    return error;
}

static void attack_device_memory(struct attack *attack)
{
    const qy_handle_t device = attack->object[QY_OBJ_DEVICE_MEMORY];
    const uint64_t at = ATTACK_ADDRESS + 0x140000;
    struct device_state state;
    qy_handle_t frame;
    const struct {
        const char *what;
        uint64_t address;
    } tries[] = {
        {"on the kernel's image", HAS_PORTS ? 0x1000000ull : 0x80200000ull},
        {"on RAM", HAS_PORTS ? 0x2000000ull : 0x84000000ull},
        {"on the firmware's memory", HAS_PORTS ? 0xf0000ull : 0x80000000ull},
        {"on the interrupt controller", KERNELS_REGISTERS},
        {"beyond the physical addresses", 1ull << 52},
        {"at an address that is no page's", 0xfed00001ull},
    };

    for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        attack_expect(attack, frame_at(attack, tries[i].address, &frame), QY_INVALID_ARGUMENT,
                      "a frame of device memory %s", tries[i].what);
    enum qy_error error = device_info(device, &state);
    if (error == QY_OK)
        error = frame_at(attack, state.address, &frame);
    if (!root_check(attack->root, error == QY_OK, "no frame of device memory could be made"))
        return;
    qy_handle_t second;
    attack_expect(attack, frame_at(attack, state.address, &second), QY_BUSY,
                  "the same device memory a second time");
    attack_expect(attack, frame_map(frame, QY_SLOT_SPACE, at, RW).error, QY_INVALID_FLAGS,
                  "map device memory cached");
    attack_expect(
        attack,
        frame_map(frame, QY_SLOT_SPACE, at, QY_MAP_READ | QY_MAP_EXEC | QY_MAP_UNCACHED).error,
        QY_NO_RIGHTS, "map device memory executable");
    attack_expect(attack, frame_map(frame, QY_SLOT_SPACE, at, MISSING_TYPE).error, QY_INVALID_FLAGS,
                  "map device memory with a type that this CPU lacks");
    attack_expect(attack,
                  frame_map(attack->object[QY_OBJ_FRAME], QY_SLOT_SPACE, at, UNCACHED).error,
                  QY_INVALID_FLAGS, "map RAM uncached");
    error = cap_delete(frame);
    root_check(attack->root, error == QY_OK, "a frame of device memory could not be deleted");
    attack_expect(attack, frame_map(frame, QY_SLOT_SPACE, at, UNCACHED).error, QY_INVALID_HANDLE,
                  "map device memory by a stale handle");
}

/* The stop register that the pins are attacked with: memory that no device answers to, so that nothing is ever stopped. */
static void attack_pins(struct attack *attack)
{
    const qy_handle_t dma = attack->object[QY_OBJ_DMA], ram = attack->object[QY_OBJ_FRAME];
    qy_handle_t registers, reader = 0, frame;
    struct device_state state;
    enum qy_error error = device_info(attack->object[QY_OBJ_DEVICE_MEMORY], &state);
    if (error == QY_OK)
        error = frame_at(attack, state.address, &registers);
    if (error == QY_OK)
        error = root_make(attack->root, attack->budget, QY_OBJ_FRAME, 1, &frame);
    if (error == QY_OK) {
        struct call_result r =
            cap_copy(QY_SLOT_NODE, attack->root->next_slot++, frame, QY_RIGHT_READ, 0);
        reader = r.value[1];
        error = r.error;
    }
    if (!root_check(attack->root, error == QY_OK, "there is nothing to be pinned"))
        return;
    attack_expect(attack, frame_pin(frame, dma).error, QY_NOT_FOUND,
                  "learn where a frame lies by a DMA device that is none");
    attack_expect(attack, dma_bind(dma, attack->budget, registers, 0, 4, 0), QY_WRONG_TYPE,
                  "bind a DMA device without the system's capability");
    attack_expect(attack, dma_bind(dma, QY_SLOT_SYSTEM, ram, 0, 4, 0), QY_INVALID_ARGUMENT,
                  "have the kernel stop a device by writing to RAM");
    attack_expect(attack, dma_bind(dma, QY_SLOT_SYSTEM, registers, PAGE_BYTES, 4, 0),
                  QY_INVALID_ARGUMENT, "have it write behind the device's registers");
    error = dma_bind(dma, QY_SLOT_SYSTEM, registers, 0, 4, 0);
    root_check(attack->root, error == QY_OK, "a DMA device could not be bound");
    attack_expect(attack, dma_bind(dma, QY_SLOT_SYSTEM, registers, 4, 4, 0), QY_BUSY,
                  "bind a DMA device to a second register");
    attack_expect(attack, frame_pin(reader, dma).error, QY_NO_RIGHTS,
                  "pin a frame that may only be read");
    attack_expect(attack, frame_pin(registers, dma).error, QY_INVALID_ARGUMENT,
                  "pin device memory");
    attack_expect(attack, frame_pin(frame, QY_SLOT_SYSTEM).error, QY_WRONG_TYPE,
                  "pin a frame for the system");
    attack_expect(attack, frame_unpin(frame), QY_NOT_FOUND, "unpin what is not pinned");
    error = frame_pin(frame, dma).error;
    root_check(attack->root, error == QY_OK, "a frame could not be pinned");
    attack_expect(attack, frame_pin(frame, dma).error, QY_BUSY, "pin a frame twice");
    attack_expect(attack, frame_unpin(reader), QY_NOT_FOUND, "unpin by another capability");
    error = frame_unpin(frame);
    root_check(attack->root, error == QY_OK, "a frame could not be unpinned");
}

void attack_devices(struct attack *attack)
{
    attack_lines(attack);
    attack_ports(attack);
    attack_device_memory(attack);
    attack_pins(attack);
}
