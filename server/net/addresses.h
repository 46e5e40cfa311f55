/* The addresses that have connections or had some lately, and the caps that hold for them; what of
 * it is not of one address is counted here, too. net/gate.h says what the caps are for.
 *
 * Fixed memory: addresses without a connection are remembered for their connects as long as there
 * is room, and the one that has been without for longest is forgotten first. Whoever has so many
 * addresses that this happens did not need to be forgotten. An attacker chooses addresses, so they
 * are found by a keyed hash. Not synchronised. */
#ifndef ACTIVITYD_SERVER_NET_ADDRESSES_H
#define ACTIVITYD_SERVER_NET_ADDRESSES_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "proto/tls/refusal.h"

struct addresses_limits {
    uint32_t connections;             /* in all */
    uint32_t connections_per_address; /* unfinished ones included, as above */
    uint32_t connects_per_minute;     /* of an address; so many at once after a minute's rest */
    uint32_t unfinished;              /* in all; a quarter of them for an address, at least one */
};

struct addresses;

struct addresses *addresses_new(const struct addresses_limits *limits); /* NULL: out of memory */
void addresses_free(struct addresses *addresses);                       /* accepts NULL */
size_t addresses_memory_bytes(const struct addresses_limits *limits);

/* A connection comes: TLS_ACCEPTED, and it is counted as unfinished; or the cap that is reached,
 * and nothing has changed. `now_ms` never goes back. */
__attribute__((warn_unused_result)) enum tls_refusal
addresses_arrive(struct addresses *addresses, const struct sockaddr *peer, uint64_t now_ms);
/* Of one that has come: its handshake is done; it goes, `finished` or not. */
void addresses_finish(struct addresses *addresses, const struct sockaddr *peer);
void addresses_leave(struct addresses *addresses, const struct sockaddr *peer, bool finished);

struct addresses_count {
    uint32_t connections;
    uint32_t unfinished;
    uint32_t addresses; /* with a connection */
};
struct addresses_count addresses_count(const struct addresses *addresses);

#endif
