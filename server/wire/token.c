#include "server/wire/token.h"

#include <string.h>

#define TOKEN_VERSION 1

void token_encode(uint8_t *to, uint64_t filter_hash, struct query_place next)
{
    struct writer writer = writer_of(to, TOKEN_BYTES);
    writer_u8(&writer, TOKEN_VERSION);
    writer_u8(&writer, next.list);
    writer_u64(&writer, next.position);
    writer_u64(&writer, filter_hash);
}

enum token_outcome token_decode(struct view token, uint64_t filter_hash, struct query_place *next)
{
    if (token.length != TOKEN_BYTES) {
        return TOKEN_MALFORMED;
    }
    struct reader reader = reader_of(bytes_of(token.bytes, token.length));
    uint8_t version = reader_u8(&reader);
    next->list = reader_u8(&reader);
    next->position = reader_u64(&reader);
    if (version != TOKEN_VERSION || next->list >= LIST_COUNT) {
        return TOKEN_MALFORMED;
    }
    return reader_u64(&reader) == filter_hash ? TOKEN_OK : TOKEN_OTHER_FILTERS;
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t hash_number(uint64_t hash, uint64_t number)
{
    return hash_bytes(hash, &number, sizeof number);
}

uint64_t token_filter_hash(const struct query_find *find)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < LIST_COUNT; i++) {
        hash = hash_number(hash, find->lists[i]);
    }
    const struct core_find_activities *filter = &find->filter;
    hash = hash_number(hash, filter->states);
    hash = hash_number(hash, filter->updated_since_ms);
    for (size_t i = 0; i < filter->type_count; i++) {
        hash = hash_number(hash, filter->types[i].length);
        hash = hash_bytes(hash, filter->types[i].at, filter->types[i].length);
    }
    hash = hash_number(hash, filter->type_count);
    for (size_t i = 0; i < filter->job_id_count; i++) {
        hash = hash_number(hash, filter->job_ids[i]);
    }
    return hash_number(hash, filter->job_id_count);
}
