/* Bytes of any length in chains of blocks of one size: never fragments, and what is used is a
 * counter. The owner keeps the first block and the length. */
#ifndef ACTIVITYD_SERVER_CORE_POOL_H
#define ACTIVITYD_SERVER_CORE_POOL_H

#include "server/core/bytes.h"
#include "server/core/table.h"

struct pool {
    struct table blocks;
    uint32_t *next; /* of a block in use, 0 at the end of its chain */
};

/* `bytes` are compared with whole blocks: what a limit of so many bytes admits. */
void pool_layout(struct pool *pool, struct region *region, uint64_t bytes, size_t block_bytes);

static inline uint32_t pool_blocks(const struct pool *pool, uint64_t length)
{
    return (uint32_t)((length + pool->blocks.record_bytes - 1) / pool->blocks.record_bytes);
}
static inline uint64_t pool_used_bytes(const struct pool *pool)
{
    return (uint64_t)pool->blocks.used * pool->blocks.record_bytes;
}
/* Whether `blocks` more stay within `limit` bytes. */
static inline bool pool_room(const struct pool *pool, uint64_t limit, uint64_t blocks)
{
    return pool_used_bytes(pool) + blocks * pool->blocks.record_bytes <= limit;
}

/* Copies in; returns the first block, 0 for no bytes. The caller has asked pool_room. */
uint32_t pool_put(struct pool *pool, struct bytes bytes);
void pool_get(const struct pool *pool, uint32_t first, uint32_t length, uint8_t *to);
bool pool_equal(const struct pool *pool, uint32_t first, struct bytes bytes);
void pool_free(struct pool *pool, uint32_t first);

void pool_save(const struct pool *pool, struct stream_out *out);
void pool_load(struct pool *pool, struct stream_in *in);
/* Claims a chain (see table_claim): false unless it holds exactly `length` bytes in unclaimed
 * blocks. Total. */
bool pool_claim(struct pool *pool, uint32_t first, uint32_t length);

#endif
