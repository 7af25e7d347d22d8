/*
 * Marks of free memory. See kernel/watch.h.
 */
#include <kernel/call.h>
#include <kernel/ipc.h>
#include <kernel/object.h>
#include <kernel/trace.h>

struct watch *_Atomic watch_crossed;

/* The arena's lock is held. */
static void crossed(struct qy_watch *marks) QY_UNCHECKED
{
    struct watch *watch = (struct watch *)((char *)marks - offsetof(struct watch, marks));
    QY_TRACE(PRESSURE, watch->untyped->object.id, marks->is_low,
             watch->untyped->arena->pages[QY_FRAME_FREE], marks->low, marks->high, watch->bits);
    if (atomic_exchange(&watch->is_listed, true))
        return;
    watch->next_crossed = atomic_load(&watch_crossed);
    while (!atomic_compare_exchange_weak(&watch_crossed, &watch->next_crossed, watch))
        ;
}

void watch_tell(void)
{
    struct watch *watch = atomic_exchange(&watch_crossed, NULL);
    while (watch) {
        struct watch *next = watch->next_crossed;
        atomic_store(&watch->is_listed, false);
        if (watch->notification)
            notification_signal(watch->notification, watch->bits);
        watch = next;
    }
}

void watch_begin(struct slot *by, struct slot *to, uint64_t low, uint64_t high)
{
    struct untyped *untyped = (struct untyped *)by->object;
    struct notification *notification = (struct notification *)to->object;
    struct watch *watch = &untyped->watch;
    watch_end(untyped);
    watch->marks = (struct qy_watch){.low = low, .high = high, .crossed = crossed};
    watch->untyped = untyped;
    watch->notification = notification;
    watch->bits = notification_bits(to);
    watch->prev = NULL;
    watch->next = notification->watches;
    if (watch->next)
        watch->next->prev = watch;
    notification->watches = watch;
    binding_make(&watch->binding, &untyped->object, by, to);
    qy_arena_watch(untyped->arena, &watch->marks);
}

void watch_end(struct untyped *untyped)
{
    struct watch *watch = &untyped->watch;
    if (!watch->notification)
        return;
    qy_arena_watch(untyped->arena, NULL);
    watch_tell(); /* it is in no list any more */
    binding_end(&watch->binding);
    if (watch->prev)
        watch->prev->next = watch->next;
    else
        watch->notification->watches = watch->next;
    if (watch->next)
        watch->next->prev = watch->prev;
    watch->notification = NULL;
}

const char *watch_check(struct untyped *untyped)
{
    const struct watch *watch = &untyped->watch;
    if (!watch->notification)
        return qy_arena_is_watched(untyped->arena, NULL) ? NULL : "WATCH";
    if (!qy_arena_is_watched(untyped->arena, &watch->marks) || watch->untyped != untyped ||
        (watch->prev ? watch->prev->next : watch->notification->watches) != watch)
        return "WATCH";
    return binding_check(&watch->binding, &untyped->object, &watch->notification->object);
}

enum qy_error call_untyped_watch(struct call *call)
{
    const struct untyped *untyped = (const struct untyped *)call->slot->object;
    uint64_t low = call->arguments[2], high = call->arguments[3];
    struct slot *slot;
    if (!call->arguments[1] && !low && !high) {
        watch_end((struct untyped *)call->slot->object);
        return QY_OK;
    }
    enum qy_error error =
        call_lookup(call, call->arguments[1], QY_OBJ_NOTIFICATION, QY_RIGHT_WRITE, &slot);
    if (error == QY_OK && (low > high || high > untyped->arena->total_pages))
        error = QY_INVALID_ARGUMENT;
    if (error == QY_OK)
        error = binding_may_be_made(call->slot, slot);
    if (error == QY_OK)
        watch_begin(call->slot, slot, low, high);
    return error;
}
