/* What stands before the doors of a server: caps that hold before a handshake costs anything, and
 * one account of all who were refused, there, in the handshake and at a door (net/door.h).
 *
 * A peer that is refused here gets no byte. So many connections may stand in all; an address may
 * have so many of them, begin so many a minute, and of the unfinished handshakes that are allowed
 * take no more than are still free: so many addresses that share all of them between them still
 * leave a place for another one. IPv6 addresses count by their /64, which is what one host has. */
#ifndef ACTIVITYD_SERVER_NET_GATE_H
#define ACTIVITYD_SERVER_NET_GATE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/tls/domain.h"
#include "proto/tls/refusal.h"

/* Why a door refuses: X(NAME, "text for people and for counters"). */
#define GATE_REFUSALS(X)                                                                           \
    X(DEAD, "the connection is dead")                                                              \
    X(STOPPING, "the server is about to stop")                                                     \
    X(NO_RULE, "no rule")                                                                          \
    X(NO_FEED, "feed is not allowed")                                                              \
    X(FULL, "connections_max is reached")                                                          \
    X(FEED_FULL, "feed_connections_max is reached")                                                \
    X(PRINCIPAL_FULL, "connections_per_principal is reached")                                      \
    X(PRINCIPAL_TOO_FAST, "connects_per_minute is reached")

/* They follow those of enum tls_refusal: together they are one list. */
enum gate_refusal {
    GATE_BEFORE_FIRST = TLS_REFUSAL_COUNT - 1,
#define GATE_REFUSAL_NAME(name, text) GATE_REFUSED_##name,
    GATE_REFUSALS(GATE_REFUSAL_NAME)
#undef GATE_REFUSAL_NAME
        GATE_REFUSAL_COUNT
};

/* Of either list; a constant text, "" for TLS_ACCEPTED. Any thread. */
const char *gate_refusal_text(unsigned refusal);

struct gate_options {
    uint32_t connections_max;                 /* in all, unfinished ones included */
    uint32_t connections_per_address;         /* unfinished ones included */
    uint32_t connects_per_minute_per_address; /* the first ones as fast as they come */
    uint32_t handshakes_max;                  /* unfinished ones; a quarter for one address */
};

struct gate;

struct gate *gate_new(const struct gate_options *options); /* NULL: out of memory */
void gate_free(struct gate *gate);                         /* accepts NULL */
/* What it and those before it can need at most. */
void gate_memory_parts(const struct gate_options *options,
                       void (*part)(void *context, const char *name, size_t bytes), void *context);

/* For the domain of the server's listeners. The gate outlives it. */
struct tls_hooks gate_hooks(struct gate *gate);

/* Somebody was refused: counts it, and logs it as often as its reason may be logged, so that many
 * for one reason do not hide another. `detail` (a principal, mbedTLS's text) and `endpoint` may be
 * "". Any thread. */
void gate_refuse(struct gate *gate, unsigned refusal, const char *peer, const char *detail,
                 const char *endpoint);

struct gate_refused {
    const char *reason; /* constant */
    uint64_t count;     /* since the start */
};
#define GATE_REASONS (GATE_REFUSAL_COUNT - 1)

struct gate_status {
    uint32_t connections; /* now, unfinished ones included */
    uint32_t unfinished;
    uint32_t addresses;                        /* that have a connection */
    struct gate_refused refused[GATE_REASONS]; /* each reason, also those with 0 */
};
/* Any thread. */
void gate_status(struct gate *gate, struct gate_status *status);

#endif
