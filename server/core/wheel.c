#include "server/core/wheel.h"

#include "server/core/stream.h"

void wheel_layout(struct wheel *wheel, struct region *region)
{
    *wheel = (struct wheel){.turn = 0};
    wheel->buckets = region_take(region, WHEEL_BUCKETS, sizeof *wheel->buckets);
    wheel->filled = region_take(region, WHEEL_BUCKETS / 64, sizeof *wheel->filled);
}

static void mark(struct wheel *wheel, uint32_t bucket)
{
    uint64_t bit = (uint64_t)1 << (bucket % 64);
    if (wheel->buckets[bucket].count != 0) {
        wheel->filled[bucket / 64] |= bit;
    } else {
        wheel->filled[bucket / 64] &= ~bit;
    }
}

uint32_t wheel_put(struct wheel *wheel, struct table *table, uint32_t id, uint64_t due_ms)
{
    uint64_t turn = due_ms / WHEEL_BUCKET_MS;
    uint32_t bucket = (uint32_t)((turn > wheel->turn ? turn : wheel->turn) % WHEEL_BUCKETS);
    list_append(&wheel->buckets[bucket], table, 0, id);
    mark(wheel, bucket);
    return bucket;
}

void wheel_remove(struct wheel *wheel, struct table *table, uint32_t id, uint32_t bucket)
{
    list_remove(&wheel->buckets[bucket], table, 0, id);
    mark(wheel, bucket);
}

/* How many buckets lie between the present turn and the next filled one; WHEEL_BUCKETS when none
 * is. */
static uint64_t empty_ahead(const struct wheel *wheel)
{
    for (uint64_t ahead = 0; ahead < WHEEL_BUCKETS;) {
        uint32_t bucket = (uint32_t)((wheel->turn + ahead) % WHEEL_BUCKETS);
        uint64_t rest = wheel->filled[bucket / 64] >> (bucket % 64);
        if (rest != 0) {
            uint64_t found = ahead + (uint64_t)__builtin_ctzll(rest);
            return found < WHEEL_BUCKETS ? found : WHEEL_BUCKETS;
        }
        ahead += 64 - bucket % 64;
    }
    return WHEEL_BUCKETS;
}

uint32_t wheel_first(struct wheel *wheel, uint64_t service_ms)
{
    uint64_t over = service_ms / WHEEL_BUCKET_MS; /* buckets before this one are over */
    if (wheel->turn >= over) {
        return 0;
    }
    uint64_t ahead = empty_ahead(wheel);
    if (ahead >= over - wheel->turn) {
        wheel->turn = over;
        return 0;
    }
    wheel->turn += ahead;
    return wheel->buckets[wheel->turn % WHEEL_BUCKETS].first;
}

uint64_t wheel_deadline(const struct wheel *wheel)
{
    uint64_t ahead = empty_ahead(wheel);
    return ahead == WHEEL_BUCKETS ? UINT64_MAX : (wheel->turn + ahead + 1) * WHEEL_BUCKET_MS;
}

/* Only filled buckets are written, as bucket and list. */
void wheel_save(const struct wheel *wheel, struct stream_out *out)
{
    uint64_t filled = 0;
    for (uint32_t i = 0; i < WHEEL_BUCKETS; i++) {
        filled += wheel->buckets[i].count != 0;
    }
    stream_put_u64(out, wheel->turn);
    stream_put_u64(out, filled);
    for (uint32_t i = 0; i < WHEEL_BUCKETS; i++) {
        if (wheel->buckets[i].count != 0) {
            stream_put_u64(out, i);
            stream_put(out, &wheel->buckets[i], sizeof wheel->buckets[i]);
        }
    }
}

void wheel_load(struct wheel *wheel, struct stream_in *in)
{
    wheel->turn = stream_get_u64(in);
    uint32_t filled = stream_get_count(in, WHEEL_BUCKETS);
    for (uint32_t i = 0; i < filled && in->error == 0; i++) {
        uint32_t bucket = stream_get_count(in, WHEEL_BUCKETS - 1);
        if (wheel->buckets[bucket].count != 0) {
            stream_refuse(in, CORE_MALFORMED);
        }
        (void)stream_get(in, &wheel->buckets[bucket], sizeof wheel->buckets[bucket]);
        mark(wheel, bucket);
    }
}
