/*
 * Slots in a bit map: see user/slots.h.
 */
#include <user/lock.h>
#include <user/slots.h>

static struct spin_lock lock;
static uint32_t base, total;
static uint64_t taken[SLOTS_MAX / 64];

void slots_begin(uint32_t first, uint32_t count)
{
    spin_acquire(&lock);
    base = first;
    total = count < SLOTS_MAX ? count : SLOTS_MAX;
    for (uint32_t i = 0; i < SLOTS_MAX / 64; i++)
        taken[i] = 0;
    spin_release(&lock);
}

uint32_t slot_take(void)
{
    uint32_t found = 0;

    spin_acquire(&lock);
    for (uint32_t i = 0; i < total && !found; i += 64) {
        uint32_t bit = taken[i / 64] == UINT64_MAX ? 64 : (uint32_t)__builtin_ctzll(~taken[i / 64]);
        if (bit < 64 && i + bit < total) {
            taken[i / 64] |= 1ull << bit;
            found = base + i + bit;
        }
    }
    spin_release(&lock);
    return found;
}

void slot_give(uint32_t slot)
{
    spin_acquire(&lock);
    taken[(slot - base) / 64] &= ~(1ull << (slot - base) % 64);
    spin_release(&lock);
}

enum qy_error slot_make(qy_handle_t untyped, enum qy_object_type type, uint64_t pages,
                        qy_handle_t *out)
{
    uint32_t slot = slot_take();

    if (!slot)
        return QY_TOO_MANY;
    struct call_result r = untyped_retype(untyped, type, pages, QY_SLOT_NODE, slot, 1);
    if (r.error != QY_OK)
        slot_give(slot);
    else
        *out = r.value[1];
    return r.error;
}

void slot_delete(qy_handle_t handle)
{
    if (!handle)
        return;
    enum qy_error error = cap_delete(handle);
    (void)error; /* what has gone already left its slot empty, too */
    slot_give(QY_HANDLE_INDEX(handle));
}
