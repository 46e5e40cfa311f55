/* Signs of life of users, collected for the next tick. Presence is soft: what does not fit, or is
 * lost in a crash, comes again with the user's next call. One thread. */
#ifndef ACTIVITYD_SERVER_ENGINE_BEATS_H
#define ACTIVITYD_SERVER_ENGINE_BEATS_H

#include "server/core/command.h"

/* One beat takes two lengths, a tenant and a user. */
#define BEATS_BYTES  (COMMAND_TICK_BEATS_MAX * (4 + LIMIT_TENANT_LENGTH + LIMIT_USER_LENGTH))
#define BEATS_PLACES (2 * COMMAND_TICK_BEATS_MAX) /* a power of two */

struct beats {
    uint8_t key[16]; /* random: names are foreign bytes, and could be chosen to collide */
    uint32_t count;
    uint32_t length;
    uint64_t since_ms;           /* when the oldest came */
    uint64_t seen[BEATS_PLACES]; /* hashes of who is in it; 0 = free */
    uint8_t bytes[BEATS_BYTES];
};

/* Adds a user unless it is in it or there is no place. */
void beats_add(struct beats *beats, struct bytes tenant, struct bytes user, uint64_t now_ms);
/* Empties it: they are in a tick. */
void beats_clear(struct beats *beats);

#endif
