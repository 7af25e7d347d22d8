/*
 * Threads: see user/thread.h. Mutexes and conditions: sync.c.
 */
#include <user/print.h>
#include <user/slots.h>
#include <user/space.h>
#include <user/thread.h>
#include <user/tls.h>

#define STACK_FLAGS (QY_MAP_READ | QY_MAP_WRITE | QY_REGION(QY_REGION_STACK))

_Noreturn static void begin(void *argument)
{
    struct thread *thread = argument;

    if (thread->pointer && thread_pointer(thread->pointer) != QY_OK)
        thread_exit(QY_INVALID_ADDRESS);
    thread->result = thread->function(thread->argument);
    enum qy_error error = notification_signal(thread->done);
    thread_exit((uint64_t)error);
}

/* Guard page, stack, thread-local storage. */
static uint64_t stack_bytes(void)
{
    return PAGE_BYTES + THREAD_STACK_BYTES + PAGE_ALIGN(tls_bytes());
}

/* What it has; the same whether it was made in part, ran, or ended. */
static enum qy_error take_back(struct thread *thread)
{
    /* First the thread: once its last capability is gone it is on no CPU, and on no stack. */
    slot_delete(thread->handle);
    slot_delete(thread->done);
    enum qy_error error =
        thread->stack ? space_unmap_region(QY_SLOT_SPACE, thread->stack, stack_bytes()) : QY_OK;
    *thread = (struct thread){.result = thread->result};
    return error;
}

enum qy_error thread_create(struct thread *thread, uint64_t (*function)(void *argument),
                            void *argument, uint64_t cpu, qy_handle_t handler, uint64_t badge)
{
    *thread = (struct thread){.function = function, .argument = argument};
    enum qy_error error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_THREAD, 1, &thread->handle);
    if (error == QY_OK)
        error = slot_make(QY_SLOT_UNTYPED, QY_OBJ_NOTIFICATION, 1, &thread->done);
    if (error == QY_OK)
        error = space_map_region(QY_SLOT_SPACE, &thread->stack, stack_bytes(), STACK_FLAGS, 0);
    if (error == QY_OK)
        error = space_protect_region(QY_SLOT_SPACE, thread->stack, PAGE_BYTES, 0);
    if (error == QY_OK)
        error = thread_configure(thread->handle, QY_SLOT_SPACE, QY_SLOT_NODE, handler, badge);
    uint64_t top = thread->stack + PAGE_BYTES + THREAD_STACK_BYTES;
    if (error == QY_OK && tls_bytes())
        thread->pointer = tls_make((unsigned char *)(uintptr_t)top);
    if (error == QY_OK)
        error = thread_start(thread->handle, (uintptr_t)begin, stack_for_entry(top),
                             (uintptr_t)thread, cpu);
    if (error != QY_OK && take_back(thread) != QY_OK)
        print("thread: a stack at %R could not be given back\n", thread->stack);
    return error;
}

enum qy_error thread_join(struct thread *thread, uint64_t *result)
{
    uint64_t word;
    enum qy_error error = notification_wait(thread->done, &word);

    if (error == QY_OK)
        error = take_back(thread);
    *result = thread->result;
    return error;
}
