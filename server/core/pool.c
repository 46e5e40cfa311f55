#include "server/core/pool.h"

#include "server/core/stream.h"

void pool_layout(struct pool *pool, struct region *region, uint64_t bytes, size_t block_bytes)
{
    table_layout(&pool->blocks, region, bytes / block_bytes, block_bytes);
    pool->next = region_take(region, (size_t)(bytes / block_bytes) + 1, sizeof *pool->next);
}

uint32_t pool_put(struct pool *pool, struct bytes bytes)
{
    uint32_t first = 0;
    uint32_t last = 0;
    for (uint32_t done = 0; done < bytes.length; done += pool->blocks.record_bytes) {
        uint32_t id = table_take(&pool->blocks);
        uint32_t left = bytes.length - done;
        memcpy(table_at(&pool->blocks, id), bytes.at + done,
               left < pool->blocks.record_bytes ? left : pool->blocks.record_bytes);
        pool->next[id] = 0;
        if (last == 0) {
            first = id;
        } else {
            pool->next[last] = id;
        }
        last = id;
    }
    return first;
}

void pool_get(const struct pool *pool, uint32_t first, uint32_t length, uint8_t *to)
{
    uint32_t block = pool->blocks.record_bytes;
    for (uint32_t id = first; length != 0; id = pool->next[id]) {
        uint32_t part = length < block ? length : block;
        memcpy(to, table_at(&pool->blocks, id), part);
        to += part;
        length -= part;
    }
}

bool pool_equal(const struct pool *pool, uint32_t first, struct bytes bytes)
{
    uint32_t block = pool->blocks.record_bytes;
    for (uint32_t id = first; bytes.length != 0; id = pool->next[id]) {
        uint32_t part = bytes.length < block ? bytes.length : block;
        if (memcmp(bytes.at, table_at(&pool->blocks, id), part) != 0) {
            return false;
        }
        bytes.at += part;
        bytes.length -= part;
    }
    return true;
}

void pool_free(struct pool *pool, uint32_t first)
{
    while (first != 0) {
        uint32_t next = pool->next[first];
        pool->next[first] = 0;
        table_give(&pool->blocks, first);
        first = next;
    }
}

void pool_save(const struct pool *pool, struct stream_out *out)
{
    table_save(&pool->blocks, out);
    stream_put(out, pool->next + 1, pool->blocks.high * sizeof *pool->next);
}

void pool_load(struct pool *pool, struct stream_in *in)
{
    table_load(&pool->blocks, in);
    (void)stream_get(in, pool->next + 1, pool->blocks.high * sizeof *pool->next);
    if (in->error == 0) {
        table_claim_begin(&pool->blocks);
    }
}

bool pool_claim(struct pool *pool, uint32_t first, uint32_t length)
{
    uint32_t block = pool->blocks.record_bytes;
    uint32_t id = first;
    for (uint32_t left = pool_blocks(pool, length); left != 0; left--) {
        if (!table_claim(&pool->blocks, id)) {
            return false;
        }
        if (left == 1 &&
            length % block !=
                0) { /* what lies behind the end is zero: equal states have equal bytes */
            const uint8_t *at = table_at(&pool->blocks, id);
            for (uint32_t i = length % block; i < block; i++) {
                if (at[i] != 0) {
                    return false;
                }
            }
        }
        id = pool->next[id];
    }
    return id == 0;
}
