/* What the tests of the core's modules share: memory for a module by its layout function, a
 * snapshot stream in memory, a repeatable source of numbers. Included by each of them. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_CORE_PARTS_H
#define ACTIVITYD_TESTS_UNIT_SERVER_CORE_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/core/command.h"
#include "server/core/names.h"
#include "server/core/shares.h"
#include "server/core/stream.h"

#define TEXT(literal) bytes_of("" literal, sizeof literal - 1)

/* Limits small enough to be reached. */
static inline struct core_limits parts_limits(void)
{
    struct core_limits limits;
    core_limits_standard(&limits);
    limits.names_max = 4096;
    limits.names_bytes = MIB(1);
    limits.tenants_max = 16;
    limits.request_ids_max = 1024;
    limits.tickets_max = 256;
    limits.feed_window_bytes = MIB(1);
    limits.change_documents_max = 64;
    limits.change_models_max = 128;
    limits.change_text_bytes = MIB(1);
    limits.pending_changes_max = 512;
    limits.pending_bytes = MIB(2);
    return limits;
}

/* Measures, takes zeroed memory, lays out. The world is the first thing in it; free() ends it. */
static inline void *parts_new(size_t world_bytes,
                              void (*layout)(void *world, struct region *region,
                                             const struct core_limits *capacity),
                              const struct core_limits *capacity)
{
    struct region region = {.base = NULL};
    void *measured = calloc(1, world_bytes);
    assert_non_null(measured);
    (void)region_take(&region, 1, world_bytes);
    layout(measured, &region, capacity);
    free(measured);
    void *memory = aligned_alloc(64, region.used);
    assert_non_null(memory);
    memset(memory, 0, region.used);
    struct region real = {.base = memory};
    void *world = region_take(&real, 1, world_bytes);
    layout(world, &real, capacity);
    assert_int_equal(real.used, region.used);
    return world;
}

/* A snapshot in memory. */
struct parts_memory {
    uint8_t *at;
    size_t length;
    size_t room;
    size_t position;
};

static inline int parts_write(void *context, const void *bytes, size_t length)
{
    struct parts_memory *memory = context;
    if (memory->length + length > memory->room) {
        memory->room = 2 * (memory->length + length);
        memory->at = realloc(memory->at, memory->room);
        assert_non_null(memory->at);
    }
    memcpy(memory->at + memory->length, bytes, length);
    memory->length += length;
    return 0;
}

static inline int parts_read(void *context, void *bytes, size_t length)
{
    struct parts_memory *memory = context;
    if (memory->length - memory->position < length) {
        return -100;
    }
    memcpy(bytes, memory->at + memory->position, length);
    memory->position += length;
    return 0;
}

static inline void parts_save(struct parts_memory *memory,
                              void (*save)(const void *world, struct stream_out *out),
                              const void *world)
{
    struct digest_stream digest;
    digest_stream_init(&digest);
    struct core_stream stream = {.context = memory, .write = parts_write, .read = parts_read};
    struct stream_out out = {.to = &stream, .hash = &digest};
    memory->length = 0;
    save(world, &out);
    assert_int_equal(out.error, 0);
}

static inline int parts_load(struct parts_memory *memory,
                             void (*load)(void *world, struct stream_in *in), void *world)
{
    struct digest_stream digest;
    digest_stream_init(&digest);
    struct core_stream stream = {.context = memory, .write = parts_write, .read = parts_read};
    struct stream_in in = {.from = &stream, .hash = &digest};
    memory->position = 0;
    load(world, &in);
    return in.error;
}

/* xorshift64*: repeatable on every machine. */
static inline uint64_t parts_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

#endif
