/* The split virtqueue, from the driver's side. See virtio.h. */
#include "virtio.h"

#define DESC_NEXT 1u
#define DESC_DEVICE_WRITES 2u

/* What came before is seen by whoever sees what comes after: other CPUs and devices. */
static void fence(void)
{
#if defined(__riscv)
    __asm__ volatile("fence iorw, iorw" ::: "memory");
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

void virtq_init(struct virtq *queue, volatile struct virtq_memory *memory, uint16_t size)
{
    *queue = (struct virtq){.memory = memory, .size = size, .free_count = size};
    for (uint16_t i = 0; i < size; i++)
        queue->next[i] = (uint16_t)(i + 1);
    memory->avail.flags = memory->avail.index = 0;
    memory->used.flags = memory->used.index = 0;
    fence();
}

enum qy_error virtq_add(struct virtq *queue, const struct virtq_part *parts, unsigned count,
                        uint16_t *head)
{
    if (count == 0 || count > queue->free_count)
        return QY_TOO_MANY;
    uint16_t at = queue->free;
    *head = at;
    queue->chain[at] = (uint16_t)count;
    queue->writable[at] = 0;
    for (unsigned i = 0; i < count; i++, at = queue->next[at]) {
        queue->memory->desc[at].address = parts[i].address;
        queue->memory->desc[at].bytes = parts[i].bytes;
        queue->memory->desc[at].flags =
            (uint16_t)((i + 1 < count ? DESC_NEXT : 0) |
                       (parts[i].device_writes ? DESC_DEVICE_WRITES : 0));
        queue->memory->desc[at].next = queue->next[at];
        queue->writable[*head] += parts[i].device_writes ? parts[i].bytes : 0;
    }
    queue->free = at;
    queue->free_count = (uint16_t)(queue->free_count - count);
    queue->in_flight++;
    queue->memory->avail.ring[queue->avail % queue->size] = *head;
    fence();
    queue->memory->avail.index = ++queue->avail;
    fence();
    return QY_OK;
}

static void chain_free(struct virtq *queue, uint16_t head)
{
    uint16_t last = head;
    for (unsigned i = 1; i < queue->chain[head]; i++)
        last = queue->next[last];
    queue->next[last] = queue->free;
    queue->free = head;
    queue->free_count = (uint16_t)(queue->free_count + queue->chain[head]);
    queue->in_flight--;
    queue->chain[head] = 0;
}

enum qy_error virtq_take(struct virtq *queue, uint16_t *head, uint32_t *bytes)
{
    uint16_t done = (uint16_t)(queue->memory->used.index - queue->used);
    fence();
    if (done == 0)
        return QY_WOULD_WAIT;
    uint32_t id = queue->memory->used.ring[queue->used % queue->size].id;
    *bytes = queue->memory->used.ring[queue->used % queue->size].bytes;
    if (done > queue->in_flight || id >= queue->size || !queue->chain[id] ||
        *bytes > queue->writable[id])
        return QY_CORRUPT;
    *head = (uint16_t)id;
    queue->used++;
    chain_free(queue, *head);
    return QY_OK;
}
