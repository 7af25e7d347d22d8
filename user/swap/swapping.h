/*
 * What the workload `swapped` and the program `swapping`, which swaps its pages, agree on.
 */
#ifndef SWAP_SWAPPING_H
#define SWAP_SWAPPING_H

#include <user/call.h>

#define SWAPPED_HEAP 0x300000000000ull
#define SWAPPED_SAYS_FILLED                                                                        \
    100u /* a call: a twin may be made of it, to start at word 1 on the stack that ends at word 2 */
#define SWAPPED_TWIN_ENDS 101u /* with its code */

#endif
