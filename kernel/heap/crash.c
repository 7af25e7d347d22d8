/*
 * Bugs with objects of the kernel's heap, planted by the boot options crash=redzone, poison and double-free,
 * so that their reports are tested. They need a build with debug_checks.
 */
#include <arch/arch.h>
#include <kernel/arenas.h>
#include <kernel/heap.h>
#include <kernel/print.h>

#define VICTIM_BYTES 200u

static const struct qy_cache_type victim_type = {
    .name = "crash victim", .bytes = VICTIM_BYTES, .align = 8};
static struct qy_heap heap;
static struct qy_cache cache;

static __attribute__((noinline)) unsigned char *victim_allocate(struct kernel_arenas *arenas)
{
    void *victim;
    if (!QY_CONFIG_DEBUG)
        kernel_stop("this crash needs a kernel that is built with debug_checks");
    qy_irq_is_off();
    qy_heap_init(&heap, &arenas->kernel, heap_tools(), 1);
    if (qy_cache_init(&cache, &heap, &victim_type) != QY_OK ||
        qy_cache_alloc_from(&cpu_this()->objects, &cache, QY_SITE("a victim"), &victim) != QY_OK)
        kernel_panic("no victim can be allocated");
    return victim;
}

static __attribute__((noinline)) void victim_free(void *victim)
{
    qy_irq_is_off();
    if (qy_cache_free_from(&cpu_this()->objects, &cache, victim, QY_SITE("a victim's end")) !=
        QY_OK)
        heap_refused(&cache, victim);
}

void heap_crash_redzone(struct kernel_arenas *arenas)
{
    unsigned char *victim = victim_allocate(arenas);
    victim[VICTIM_BYTES] = 0x5a;
    victim_free(victim);
}

void heap_crash_poison(struct kernel_arenas *arenas)
{
    unsigned char *victim = victim_allocate(arenas);
    victim_free(victim);
    victim[17] = 0x5a;
    qy_irq_is_off();
    qy_heap_drain(&cpu_this()->objects, &heap);
}

void heap_crash_double_free(struct kernel_arenas *arenas)
{
    unsigned char *victim = victim_allocate(arenas);
    victim_free(victim);
    victim_free(victim);
}
