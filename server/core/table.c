#include "server/core/table.h"

#include <string.h>

#include "server/check.h"
#include "server/core/stream.h"

static size_t words(uint64_t capacity)
{
    return (size_t)(capacity / 64 + 1);
}

void table_layout(struct table *table, struct region *region, uint64_t capacity,
                  size_t record_bytes)
{
    *table = (struct table){.record_bytes = (uint32_t)record_bytes, .capacity = (uint32_t)capacity};
    table->records = region_take(region, (size_t)capacity + 1, record_bytes);
    table->live = region_take(region, words(capacity), sizeof *table->live);
    table->claimed = region_take(region, words(capacity), sizeof *table->claimed);
}

static uint32_t next_free(const struct table *table, uint32_t id)
{
    uint32_t next;
    memcpy(&next, table_at(table, id), sizeof next);
    return next;
}

static void set_next_free(struct table *table, uint32_t id, uint32_t next)
{
    memcpy(table_at(table, id), &next, sizeof next);
}

static uint32_t take_fresh(struct table *table)
{
    CHECK(table->high < table->capacity);
    return ++table->high;
}

static uint32_t take_free(struct table *table)
{
    uint32_t id = table->free_first;
    table->free_first = next_free(table, id);
    if (table->free_first == 0) {
        table->free_last = 0;
    }
    set_next_free(table, id, 0);
    return id;
}

static uint32_t taken(struct table *table, uint32_t id)
{
    table->live[id / 64] |= (uint64_t)1 << (id % 64);
    table->used++;
    return id;
}

uint32_t table_take(struct table *table)
{
    return taken(table, table->free_first != 0 ? take_free(table) : take_fresh(table));
}

uint32_t table_take_rested(struct table *table, uint32_t rest, uint32_t room)
{
    uint32_t free = table->high - table->used;
    if (free > rest || (table->high >= room && table->free_first != 0)) {
        return taken(table, take_free(table));
    }
    return table->high < room ? taken(table, take_fresh(table)) : 0;
}

void table_give(struct table *table, uint32_t id)
{
    CHECK(id != 0 && table_live(table, id));
    memset(table_at(table, id), 0, table->record_bytes);
    table->live[id / 64] &= ~((uint64_t)1 << (id % 64));
    table->used--;
    if (table->free_last == 0) {
        table->free_first = id;
    } else {
        set_next_free(table, table->free_last, id);
    }
    table->free_last = id;
}

uint32_t table_next(const struct table *table, uint32_t id)
{
    uint32_t at = id + 1;
    while (at <= table->high) {
        uint64_t rest = table->live[at / 64] >> (at % 64);
        if (rest != 0) {
            at += (uint32_t)__builtin_ctzll(rest);
            return at <= table->high ? at : 0;
        }
        at = (at / 64 + 1) * 64;
    }
    return 0;
}

void table_save(const struct table *table, struct stream_out *out)
{
    stream_put_u64(out, table->record_bytes);
    stream_put_u64(out, table->high);
    stream_put_u64(out, table->used);
    stream_put_u64(out, table->free_first);
    stream_put_u64(out, table->free_last);
    if (table->high != 0) {
        stream_put(out, table_at(table, 1), (size_t)table->high * table->record_bytes);
    }
}

/* Whoever takes a free record relies on its being zero behind the link. */
static bool zeroed(const struct table *table, uint32_t id)
{
    const uint8_t *record = table_at(table, id);
    for (uint32_t i = sizeof(uint32_t); i < table->record_bytes; i++) {
        if (record[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Every record lives but those on the free list, which must be a chain without a loop. */
static bool load_free(struct table *table)
{
    for (uint32_t id = 1; id <= table->high; id++) {
        table->live[id / 64] |= (uint64_t)1 << (id % 64);
    }
    uint32_t count = 0;
    uint32_t last = 0;
    for (uint32_t id = table->free_first; id != 0; id = next_free(table, id)) {
        if (id > table->high || !table_live(table, id) || !zeroed(table, id)) {
            return false;
        }
        table->live[id / 64] &= ~((uint64_t)1 << (id % 64));
        last = id;
        count++;
    }
    return last == table->free_last && count == table->high - table->used;
}

void table_load(struct table *table, struct stream_in *in)
{
    if (stream_get_u64(in) != table->record_bytes) {
        stream_refuse(in, CORE_MALFORMED);
    }
    table->high = stream_get_count(in, table->capacity);
    table->used = stream_get_count(in, table->high);
    table->free_first = stream_get_count(in, table->high);
    table->free_last = stream_get_count(in, table->high);
    if (table->high != 0 &&
        stream_get(in, table_at(table, 1), (size_t)table->high * table->record_bytes) &&
        !load_free(table)) {
        stream_refuse(in, CORE_MALFORMED);
    }
}

void table_claim_begin(struct table *table)
{
    memset(table->claimed, 0, (size_t)(table->high / 64 + 1) * sizeof *table->claimed);
    table->claims = 0;
}

bool table_claim(struct table *table, uint32_t id)
{
    uint64_t bit = (uint64_t)1 << (id % 64);
    if (id == 0 || !table_live(table, id) || (table->claimed[id / 64] & bit) != 0) {
        return false;
    }
    table->claimed[id / 64] |= bit;
    table->claims++;
    return true;
}
