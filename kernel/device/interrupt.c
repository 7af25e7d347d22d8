/*
 * Interrupts of devices: from a line's number to the notification. See kernel/device.h.
 *
 * A line that tells its level is held back from the first signal on: it would raise again at once. One that tells
 * edges stays open, since the controller forgets an edge that comes while it is held back; a second one before the
 * acknowledgement is remembered and closes the line (INT-BOUND), so a device can cost a CPU two interrupts for each
 * acknowledgement, and none is lost.
 */
#include <arch/arch.h>
#include <kernel/device.h>
#include <kernel/ipc.h>

static struct interrupt *bound[ARCH_INTERRUPTS] QY_GUARDED_BY(qy_class_caps); /* by number */

static void note_link(struct interrupt *interrupt, struct notification *notification)
{
    interrupt->notification = notification;
    interrupt->prev = NULL;
    interrupt->next = notification->interrupts;
    if (interrupt->next)
        interrupt->next->prev = interrupt;
    notification->interrupts = interrupt;
}

static void note_unlink(struct interrupt *interrupt) QY_REQUIRES(qy_class_caps)
{
    binding_end(&interrupt->binding);
    if (interrupt->prev)
        interrupt->prev->next = interrupt->next;
    else
        interrupt->notification->interrupts = interrupt->next;
    if (interrupt->next)
        interrupt->next->prev = interrupt->prev;
    interrupt->notification = NULL;
}

enum qy_error interrupt_bind(struct slot *by, uint64_t number, struct slot *to)
{
    struct interrupt *interrupt = (struct interrupt *)by->object;
    if (number >= ARCH_INTERRUPTS)
        return QY_INVALID_ARGUMENT;
    if (interrupt->notification || bound[number])
        return QY_BUSY;
    enum qy_error error = binding_may_be_made(by, to);
    if (error == QY_OK)
        error = arch_interrupt_enable((uint32_t)number, cpu_this(), &interrupt->edge);
    if (error != QY_OK)
        return error;
    interrupt->number = (uint32_t)number;
    interrupt->bits = notification_bits(to);
    interrupt->taken = interrupt->again = false;
    note_link(interrupt, (struct notification *)to->object);
    binding_make(&interrupt->binding, &interrupt->object, by, to);
    bound[number] = interrupt;
    return QY_OK;
}

enum qy_error interrupt_acknowledge(struct interrupt *interrupt)
{
    if (!interrupt->notification || !interrupt->taken)
        return QY_NOT_FOUND;
    bool again = interrupt->again, held = !interrupt->edge || again;
    interrupt->taken = again;
    interrupt->again = false;
    if (held)
        arch_interrupt_let(interrupt->number);
    if (again)
        notification_signal(interrupt->notification, interrupt->bits);
    return QY_OK;
}

void interrupt_unbind(struct interrupt *interrupt)
{
    if (!interrupt->notification)
        return;
    arch_interrupt_disable(interrupt->number);
    bound[interrupt->number] = NULL;
    note_unlink(interrupt);
}

void interrupt_raised(uint32_t number)
{
    caps_acquire();
    struct interrupt *interrupt = bound[number];
    if (!interrupt) { /* it was on its way when it was unbound */
        arch_interrupt_disable(number);
    } else if (interrupt->taken) {
        interrupt->again = true;
        arch_interrupt_hold(number);
    } else {
        interrupt->taken = true;
        if (!interrupt->edge)
            arch_interrupt_hold(number);
        notification_signal(interrupt->notification, interrupt->bits);
    }
    caps_release();
}

const char *interrupt_check(const struct interrupt *interrupt)
{
    const struct notification *notification = interrupt->notification;
    if (!notification)
        return NULL;
    bool listed = interrupt->prev ? interrupt->prev->next == interrupt
                                  : notification->interrupts == interrupt;
    return listed && bound[interrupt->number] == interrupt && interrupt->taken >= interrupt->again
               ? binding_check(&interrupt->binding, &interrupt->object, &notification->object)
               : "INT-BOUND";
}
