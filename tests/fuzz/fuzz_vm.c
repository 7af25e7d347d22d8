/*
 * Any bytes as calls on two address spaces beside the model of tests/vm/small.h, whose n-th inner allocation fails when the
 * input says so.
 *
 *     input   | format, pages below | call | pages | a | call | pages | a | ...
 *
 *     call    | allocation that fails (3) | space | call (4) |
 *
 * Budgets are too small for frame caches, so every page is an inner allocation. Regions and validators after each call; at
 * the end every arena is one free whole.
 */
#define VM_TLB 64u
#define VM_WAYS 8u
#include "fuzz.h"

#include "../vm/small.h"

#define CALLS_MAX 200u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count < 1)
        return 0;
    small_begin(&small, data[0] & 1, SMALL_PAGES_MAX, (data[0] >> 1) % (SMALL_PAGES_MAX + 1), 48);
    data++;
    count--;
    for (unsigned i = 0; i < CALLS_MAX && count >= 3; i++, data += 3, count -= 3) {
        unsigned call = (data[0] & 15) % SMALL_CALL_COUNT, first = data[1] % SMALL_PAGES_MAX;
        small.fail_at = data[0] >> 5;
        small.f.cpu = data[2] >> 7;
        small_do(&small, (enum small_call)call, data[0] >> 4 & 1, first,
                 1 + (data[1] >> 3) % (SMALL_PAGES_MAX - first), data[2]);
        small.fail_at = 0;
        small_compare(&small);
        if (small.wrong)
            fprintf(stderr, "call %u: %s\n", i, small.wrong);
        CHECK(!small.wrong);
    }
    small_end(&small);
    return 0;
}
