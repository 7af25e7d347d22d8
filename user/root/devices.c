/*
 * A driver in user mode: the machine's clock, by interrupts.
 *
 * The device differs (x86-64: the MC146818 behind two ports; RISC-V: Goldfish's, in memory); the objects and this program
 * do not. Each interrupt is waited for, served at the device, and acknowledged; then both the notification and the line
 * have to be silent until the next.
 */
#include "root.h"

#define BUDGET_PAGES 32u
#define INTERRUPTS 8u
#define SIGNALS_MAX (8 * INTERRUPTS)
#define BADGE 0x40u

qy_handle_t device_memory_at(const struct root *root, uint64_t address)
{
    for (uint32_t i = 0; i < root->info->devices; i++) {
        struct device_state state;
        qy_handle_t device = QY_SLOT_UNTYPED + root->info->untypeds + i;
        if (device_info(device, &state) == QY_OK && address - state.address < state.bytes)
            return device;
    }
    return 0;
}

static void show_device_memory(struct root *root)
{
    print("devices: %u stretches of device memory\n", root->info->devices);
    for (uint32_t i = 0; i < root->info->devices; i++) {
        struct device_state state;
        qy_handle_t device = QY_SLOT_UNTYPED + root->info->untypeds + i;
        bool told = device_info(device, &state) == QY_OK && state.bytes && state.frames == 0;
        root_check(root, told, "device memory cannot be told of");
        print("devices:   %016llx to %016llx\n", (unsigned long long)state.address,
              (unsigned long long)(state.address + state.bytes));
    }
    root_check(root, root->info->devices != 0, "there is no device memory");
}

/*
 * Wait for interrupts one after the other. The number of those that came from the clock: one that was raised anew while
 * the last was being served finds nothing left to do, as every driver must expect.
 */
static unsigned take_interrupts(struct root *root, struct clock *clock, qy_handle_t notification)
{
    unsigned served = 0;
    for (unsigned i = 0; i < SIGNALS_MAX && served < INTERRUPTS; i++) {
        uint64_t word;
        enum qy_error error = clock_start(clock);
        if (error == QY_OK)
            error = notification_wait(notification, &word);
        if (!root_check(root, error == QY_OK && word == BADGE, "the interrupt's signal is wrong"))
            break;
        served += clock_serve(clock);
        error = interrupt_acknowledge(clock->interrupt);
        root_check(root, error == QY_OK, "an interrupt cannot be acknowledged");
    }
    return served;
}

static enum qy_error set_up(struct root *root, struct clock *clock, qy_handle_t *notification)
{
    qy_handle_t badged;
    enum qy_error error =
        root_make(root, root->untyped, QY_OBJ_UNTYPED, BUDGET_PAGES, &clock->budget);
    if (error == QY_OK)
        error = root_make(root, clock->budget, QY_OBJ_INTERRUPT, 1, &clock->interrupt);
    if (error == QY_OK)
        error = root_make(root, clock->budget, QY_OBJ_NOTIFICATION, 1, notification);
    if (error == QY_OK)
        error = clock_open(root, clock);
    if (error != QY_OK)
        return error;
    struct call_result r =
        cap_copy(QY_SLOT_NODE, root->next_slot++, *notification, QY_RIGHT_WRITE, BADGE);
    badged = r.value[1];
    if (r.error == QY_OK)
        r.error = interrupt_bind(clock->interrupt, QY_SLOT_SYSTEM, clock->number, badged);
    return r.error;
}

/* On the CPU that this thread runs on: the line is bound to it. */
static void drive(struct root *root, uint64_t cpu)
{
    struct clock clock = {0};
    qy_handle_t notification;
    uint64_t word;
    uint32_t mark = root_mark(root);

    enum qy_error error = set_up(root, &clock, &notification);
    if (cpu == 0 || error != QY_OK)
        root_said(error, "bind line %u to the clock's driver", (unsigned)clock.number);
    if (!root_check(root, error == QY_OK, "the clock cannot be driven"))
        return;
    uint64_t begin = clock_time(&clock);
    unsigned served = take_interrupts(root, &clock, notification);
    error = clock_stop(&clock);
    print("devices: CPU %u: %u interrupts of the %s, line %u; its time went from %llu to %llu\n",
          (unsigned)cpu, served, clock.name, (unsigned)clock.number, (unsigned long long)begin,
          (unsigned long long)clock_time(&clock));
    root_check(root, error == QY_OK && served == INTERRUPTS, "interrupts were not the clock's");
    unsigned late = 0; /* one may have been signalled before it stopped, and one remembered */
    while (late < 3 && notification_poll(notification, &word) == QY_OK) {
        error = interrupt_acknowledge(clock.interrupt);
        root_check(root, error == QY_OK, "a late interrupt cannot be acknowledged");
        late++;
    }
    root_check(root, late < 3, "a clock that was stopped interrupts");
    bool gone = cap_revoke(clock.budget) == QY_OK && cap_delete(clock.budget) == QY_OK;
    root_check(root, gone, "the driver could not be taken back");
    root_release(root, mark);
}

#define LOST_PAGES 16u
#define STOPPED 0x5au /* what no device is there to say */

/*
 * A frame is pinned for a device that never says that it has stopped: at the highest address, where nothing answers. Its
 * memory cannot come back, and all must know that.
 */
static void show_stuck(struct root *root)
{
    struct device_state state = {0};
    struct untyped_state left = {0};
    qy_handle_t lost, dma, frame, registers = 0;
    char broken[SYSTEM_CHECK_NAME];
    qy_handle_t device = QY_SLOT_UNTYPED + root->info->untypeds + root->info->devices - 1;
    enum qy_error error = device_info(device, &state);
    if (error == QY_OK)
        error = root_make(root, root->untyped, QY_OBJ_UNTYPED, LOST_PAGES, &lost);
    if (error == QY_OK)
        error = root_make(root, lost, QY_OBJ_DMA, 1, &dma);
    if (error == QY_OK)
        error = root_make(root, lost, QY_OBJ_FRAME, 1, &frame);
    if (error == QY_OK) {
        struct call_result r = device_frame(device, lost, state.address + state.bytes - PAGE_BYTES,
                                            1, QY_SLOT_NODE, root->next_slot++);
        registers = r.value[1];
        error = r.error;
    }
    if (error == QY_OK)
        error = dma_bind(dma, QY_SLOT_SYSTEM, registers, 0, 4, STOPPED);
    if (error == QY_OK)
        error = frame_pin(frame, dma).error;
    if (!root_check(root, error == QY_OK, "a frame could not be pinned for nobody"))
        return;
    error = cap_revoke(lost);
    bool kept = error == QY_BUSY && untyped_info(lost, &left) == QY_OK && left.objects == 2 &&
                frame_unpin(frame) == QY_INVALID_HANDLE;
    print("devices: one does not stop: revoke says %s, %S stay allocated\n", qy_error_name(error),
          left.total_bytes - left.free_bytes);
    root_check(root, kept, "memory that a device has came back");
    root_check(root, system_check(QY_SLOT_SYSTEM, broken) == QY_OK && !broken[0],
               "an invariant does not hold");
}

void devices_run(struct root *root)
{
    struct untyped_state before, now;

    print("devices: a program drives the machine's clock\n");
    show_device_memory(root);
    enum qy_error error = untyped_info(root->untyped, &before);
    for (uint64_t cpu = 0; cpu < root->info->cpus && error == QY_OK; cpu++) {
        error = thread_schedule(QY_SLOT_THREAD, QY_PRIORITY_DEFAULT, cpu);
        if (error == QY_OK)
            drive(root, cpu);
    }
    if (error == QY_OK)
        error = thread_schedule(QY_SLOT_THREAD, QY_PRIORITY_DEFAULT, QY_CPU_ANY);
    root_check(root, error == QY_OK, "the driver cannot go from CPU to CPU");
    root_check(root,
               untyped_info(root->untyped, &now) == QY_OK && now.free_bytes == before.free_bytes,
               "memory is missing after the driver");
    print("devices: the driver is gone, with its line, its registers and its memory\n");
    show_stuck(root);
}
