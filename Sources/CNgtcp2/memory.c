#include "CNgtcp2.h"

#include <malloc.h>
#include <stdlib.h>

static void *counted(cngtcp2_memory *memory, void *block) {
    memory->used += malloc_usable_size(block);
    return block;
}

static void *allocate(size_t size, void *user) { return counted(user, malloc(size)); }

static void *allocate_clear(size_t count, size_t size, void *user) { return counted(user, calloc(count, size)); }

static void release(void *block, void *user) {
    cngtcp2_memory *memory = user;
    memory->used -= malloc_usable_size(block);
    free(block);
}

static void *resize(void *block, size_t size, void *user) {
    cngtcp2_memory *memory = user;
    size_t before = malloc_usable_size(block);
    void *resized = realloc(block, size);
    // A block that could not be resized stays as it is.
    if (resized == NULL && size > 0) return NULL;
    memory->used -= before;
    return counted(memory, resized);
}

void cngtcp2_memory_init(cngtcp2_memory *memory) {
    memory->functions = (ngtcp2_mem){memory, allocate, release, allocate_clear, resize};
    memory->used = 0;
}
