#include "server/engine/beats.h"

#include "server/check.h"
#include "server/core/siphash.h"

_Static_assert((BEATS_PLACES & (BEATS_PLACES - 1)) == 0, "a place is a hash cut by a mask");

/* Never 0. Two users of one hash: the second one's beat waits for its next call. */
static uint64_t hash_user(const struct beats *beats, struct bytes tenant, struct bytes user)
{
    struct siphash hash;
    siphash_init(&hash, beats->key);
    siphash_add(&hash, &tenant.length, sizeof tenant.length);
    siphash_add(&hash, tenant.at, tenant.length);
    siphash_add(&hash, user.at, user.length);
    return siphash_finish(&hash) | 1;
}

void beats_add(struct beats *beats, struct bytes tenant, struct bytes user, uint64_t now_ms)
{
    if (beats->count == COMMAND_TICK_BEATS_MAX) {
        return;
    }
    uint64_t hash = hash_user(beats, tenant, user);
    size_t place = (hash >> 32) & (BEATS_PLACES - 1);
    while (beats->seen[place] != 0) {
        if (beats->seen[place] == hash) {
            return;
        }
        place = (place + 1) & (BEATS_PLACES - 1);
    }
    beats->seen[place] = hash;
    struct writer writer =
        writer_of(beats->bytes + beats->length, sizeof beats->bytes - beats->length);
    command_beat_put(&writer, tenant, user);
    CHECK(!writer.failed);
    beats->length = (uint32_t)(writer.at - beats->bytes);
    beats->since_ms = beats->count == 0 ? now_ms : beats->since_ms;
    beats->count++;
}

void beats_clear(struct beats *beats)
{
    if (beats->count != 0) {
        beats->count = 0;
        beats->length = 0;
        memset(beats->seen, 0, sizeof beats->seen);
    }
}
