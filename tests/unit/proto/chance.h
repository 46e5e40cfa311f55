/* Chance and exact copies for tests that judge an encoding against protobuf-c. Included by them. */
#ifndef ACTIVITYD_TESTS_UNIT_PROTO_CHANCE_H
#define ACTIVITYD_TESTS_UNIT_PROTO_CHANCE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/view.h"

/* Not 0. A test may begin with another one. */
static uint64_t seed = 0x9e3779b97f4a7c15;

static inline uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static inline size_t below(size_t bound)
{
    return (size_t)(next_random() % bound);
}

/* N in the environment multiplies the rounds. */
static inline size_t rounds(size_t count)
{
    const char *times = getenv("N");
    return count * (times == NULL ? 1 : (size_t)strtoul(times, NULL, 10));
}

/* A copy on the heap of exactly these bytes, so that a sanitizer sees a read outside. The caller
 * frees it. */
static inline struct view copy_of(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length + (length == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    return (struct view){copy, length};
}

#endif
