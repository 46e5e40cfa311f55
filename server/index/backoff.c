#include "server/index/backoff.h"

#include "server/check.h"

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t backoff_ms(struct backoff *backoff, uint32_t failures)
{
    CHECK(failures > 0 && backoff->first_ms > 0 && backoff->most_ms >= backoff->first_ms);
    uint32_t doublings = failures - 1 < 31 ? failures - 1 : 31;
    uint64_t full = (uint64_t)backoff->first_ms << doublings;
    full = full < backoff->most_ms ? full : backoff->most_ms;
    return (uint32_t)(full - next_random(&backoff->random) % (full / 2 + 1));
}
