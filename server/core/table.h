/* A table of records of one size, named by ids from 1 on; 0 is none.
 *
 * Which id a new record gets is a function of what was taken and given back before, never of the
 * capacity: the oldest free record first, else the next one never used. So tables are state to the
 * byte, and two machines agree on them. */
#ifndef ACTIVITYD_SERVER_CORE_TABLE_H
#define ACTIVITYD_SERVER_CORE_TABLE_H

#include <stdbool.h>

#include "server/core/region.h"

struct stream_out;
struct stream_in;

struct table {
    uint8_t *records;  /* capacity + 1 of them; a free one is zero but for its first u32, the next
                          free one */
    uint64_t *live;    /* a bit for each record in use */
    uint64_t *claimed; /* table_claim's */
    uint32_t record_bytes;
    uint32_t capacity;
    uint32_t high; /* ids up to this one have been used */
    uint32_t used;
    uint32_t free_first;
    uint32_t free_last;
    uint32_t claims;
};

/* `record_bytes` at least 4; a power of two keeps records within cache lines. */
void table_layout(struct table *table, struct region *region, uint64_t capacity,
                  size_t record_bytes);

static inline void *table_at(const struct table *table, uint32_t id)
{
    return table->records + (size_t)id * table->record_bytes;
}

static inline bool table_live(const struct table *table, uint32_t id)
{
    return id <= table->high && (table->live[id / 64] >> (id % 64) & 1) != 0;
}

/* Takes a zeroed record. The caller has compared table->used with a limit at or below the capacity:
 * no room is a bug. */
uint32_t table_take(struct table *table);

/* The same, but a free record rests until `rest` younger ones are free, as long as fewer than
 * `room` were ever used. 0 when there is none. */
uint32_t table_take_rested(struct table *table, uint32_t rest, uint32_t room);

/* Gives a record back; it is zeroed. */
void table_give(struct table *table, uint32_t id);

/* The next record in use after `id` (0: the first), 0 at the end. */
uint32_t table_next(const struct table *table, uint32_t id);

/* Snapshots: counters and the records up to the highest one used. Loading checks the free list;
 * what the records say is for the owner to check. */
void table_save(const struct table *table, struct stream_out *out);
void table_load(struct table *table, struct stream_in *in);

/* Verification: every record in use belongs to exactly one owner. Each owner claims its records:
 * false when the id is none, not in use, or claimed before. table_claimed_all: nothing in use was
 * left out. */
void table_claim_begin(struct table *table);
bool table_claim(struct table *table, uint32_t id);
static inline bool table_claimed_all(const struct table *table)
{
    return table->claims == table->used;
}

#endif
