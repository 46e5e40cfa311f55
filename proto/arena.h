/* A capped allocator for protobuf-c, which unpacks without any limit of its own: 900 KB of input
 * became 45 MB. Memory comes off one buffer of the caller's in order, nothing is given back before
 * the reset, and beyond the capacity an allocation fails, upon which protobuf-c gives up the whole
 * message. One thread per arena. */
#ifndef ACTIVITYD_PROTO_ARENA_H
#define ACTIVITYD_PROTO_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

struct arena {
    uint8_t *base; /* the caller's */
    size_t capacity;
    size_t used;
};

/* `buffer` of `capacity` bytes is not NULL, stays the caller's and must outlive the arena. Nothing
 * to deinit. */
void arena_init(struct arena *arena, void *buffer, size_t capacity);

/* `size` bytes, aligned for any type, or NULL when they do not fit. Valid until the reset. */
void *arena_allocate(struct arena *arena, size_t size);

/* For protobuf-c's unpack and free_unpacked. Its free does nothing, so a message need not be freed:
 * the reset ends it. The arena must outlive the allocator. */
ProtobufCAllocator arena_allocator(struct arena *arena);

/* Ends everything that was allocated. */
void arena_reset(struct arena *arena);

#endif
