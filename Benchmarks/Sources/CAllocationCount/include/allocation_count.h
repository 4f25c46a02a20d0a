#ifndef PENSTOCK_ALLOCATION_COUNT_H
#define PENSTOCK_ALLOCATION_COUNT_H

#include <stdint.h>

// Calls of malloc, calloc, realloc and their aligned relatives since the program began, in all threads.
uint64_t allocation_count(void);

// Bytes that are allocated now, as the allocator rounds them up.
int64_t allocation_live_bytes(void);

#endif
