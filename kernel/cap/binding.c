/*
 * Bindings: whose they are, and that they hang together. See kernel/cap.h.
 *
 *     capability of a timer            capability of a notification
 *          | derived                        | derived
 *          by  <------ the timer ------>    to
 *
 * Whoever revokes either capability finds the end among what was derived from it, and so takes the binding back. An
 * object whose last capability goes ends its bindings when it is taken apart: its ends do not keep it.
 */
#include <kernel/device.h>
#include <kernel/ipc.h>
#include <kernel/timer.h>

void binding_over(const struct slot *end)
{
    switch ((enum qy_object_type)end->holder->type) {
    case QY_OBJ_TIMER:
        timer_disarm((struct timer *)end->holder);
        break;
    case QY_OBJ_UNTYPED:
        watch_end((struct untyped *)end->holder);
        break;
    case QY_OBJ_INTERRUPT:
        interrupt_unbind((struct interrupt *)end->holder);
        break;
    default:
        notification_unbind((struct notification *)end->holder);
    }
}

static bool is_end(const struct slot *slot, const struct object *object)
{
    return slot->object == object && slot->type == object->type && slot_is_end(slot);
}

const char *binding_check(const struct binding *binding, const struct object *by,
                          const struct object *to)
{
    return is_end(&binding->by, by) && is_end(&binding->to, to) ? NULL : "CAP-BINDING";
}
