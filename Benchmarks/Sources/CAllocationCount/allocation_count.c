// The program's own malloc: a definition in the executable comes before libc's for every library in the process. Each
// call is counted and handed on to glibc under its second name.

#include "allocation_count.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

static _Atomic uint64_t calls;
static _Atomic int64_t live;

uint64_t allocation_count(void) { return atomic_load_explicit(&calls, memory_order_relaxed); }

int64_t allocation_live_bytes(void) { return atomic_load_explicit(&live, memory_order_relaxed); }

static int64_t usable(void *memory) { return memory ? (int64_t)malloc_usable_size(memory) : 0; }

static void *counted(void *memory) {
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&live, usable(memory), memory_order_relaxed);
    return memory;
}

void *malloc(size_t size) { return counted(__libc_malloc(size)); }

void *calloc(size_t count, size_t size) { return counted(__libc_calloc(count, size)); }

void *realloc(void *memory, size_t size) {
    atomic_fetch_sub_explicit(&live, usable(memory), memory_order_relaxed);
    void *moved = __libc_realloc(memory, size);
    // Where it fails the old memory stays.
    if (!moved && size != 0) atomic_fetch_add_explicit(&live, usable(memory), memory_order_relaxed);
    return counted(moved);
}

void *memalign(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size)); }

void *aligned_alloc(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size)); }

int posix_memalign(void **result, size_t alignment, size_t size) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
    void *memory = counted(__libc_memalign(alignment, size));
    if (!memory) return ENOMEM;
    *result = memory;
    return 0;
}

void free(void *memory) {
    atomic_fetch_sub_explicit(&live, usable(memory), memory_order_relaxed);
    __libc_free(memory);
}
