#include "proto/arena.h"

#include <stdalign.h>

void arena_init(struct arena *arena, void *buffer, size_t capacity)
{
    *arena = (struct arena){.base = buffer, .capacity = capacity};
}

void *arena_allocate(struct arena *arena, size_t size)
{
    /* The address is aligned, not the offset: the buffer may begin anywhere. */
    size_t beyond = ((uintptr_t)arena->base + arena->used) % alignof(max_align_t);
    size_t padding = beyond == 0 ? 0 : alignof(max_align_t) - beyond;
    size_t left = arena->capacity - arena->used;
    if (padding > left || size > left - padding) {
        return NULL;
    }
    void *allocated = arena->base + arena->used + padding;
    arena->used += padding + size;
    return allocated;
}

static void *allocate(void *arena, size_t size)
{
    return arena_allocate(arena, size);
}

static void free_nothing(void *arena, void *allocated)
{
    (void)arena;
    (void)allocated;
}

ProtobufCAllocator arena_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){allocate, free_nothing, arena};
}

void arena_reset(struct arena *arena)
{
    arena->used = 0;
}
