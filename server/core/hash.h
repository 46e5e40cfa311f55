/* A chained hash index over the ids of a table. It is no state: chains depend on the capacity, so
 * they lie outside of the records and are built anew when a snapshot is loaded, and nothing that is
 * decided depends on their order. */
#ifndef ACTIVITYD_SERVER_CORE_HASH_H
#define ACTIVITYD_SERVER_CORE_HASH_H

#include "server/check.h"
#include "server/core/region.h"

struct hash {
    uint32_t *buckets;
    uint32_t *next; /* by id */
    uint32_t mask;
};

static inline void hash_layout(struct hash *hash, struct region *region, uint64_t capacity)
{
    uint64_t buckets = 64;
    while (buckets < capacity) {
        buckets *= 2;
    }
    hash->mask = (uint32_t)(buckets - 1);
    hash->buckets = region_take(region, (size_t)buckets, sizeof *hash->buckets);
    hash->next = region_take(region, (size_t)capacity + 1, sizeof *hash->next);
}

/* Walk: for (id = hash_first(h, value); id != 0; id = hash_next(h, id)) compare. */
static inline uint32_t hash_first(const struct hash *hash, uint64_t value)
{
    return hash->buckets[value & hash->mask];
}
static inline uint32_t hash_next(const struct hash *hash, uint32_t id)
{
    return hash->next[id];
}

static inline void hash_insert(struct hash *hash, uint64_t value, uint32_t id)
{
    hash->next[id] = hash->buckets[value & hash->mask];
    hash->buckets[value & hash->mask] = id;
}

static inline void hash_remove(struct hash *hash, uint64_t value, uint32_t id)
{
    uint32_t *link = &hash->buckets[value & hash->mask];
    while (*link != id) {
        CHECK(*link != 0);
        link = &hash->next[*link];
    }
    *link = hash->next[id];
    hash->next[id] = 0;
}

/* For numbers that nobody chooses: sequences and ids of ours. */
static inline uint64_t hash_mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

#endif
