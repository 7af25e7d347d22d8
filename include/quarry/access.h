/*
 * How memory is touched, and what regions are for: words that the ABI and the memory core share.
 */
#ifndef QUARRY_ACCESS_H
#define QUARRY_ACCESS_H

enum qy_access { QY_ACCESS_READ, QY_ACCESS_WRITE, QY_ACCESS_EXEC };

enum qy_region_kind { QY_REGION_DATA, QY_REGION_CODE, QY_REGION_STACK, QY_REGION_HEAP, QY_REGION_MAPPED };

#endif
