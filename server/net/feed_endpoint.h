/* The change-feed endpoint: an NNG PUB socket behind mutual TLS. Only principals whose rule has
 * `feed` are let in; the others are closed before their first message.
 *
 * A subscriber that does not read loses messages, the oldest first, once its queue is full (NNG's
 * PUB), and nobody waits for it: the sequences in the messages tell it what it has missed. */
#ifndef ACTIVITYD_SERVER_NET_FEED_ENDPOINT_H
#define ACTIVITYD_SERVER_NET_FEED_ENDPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "server/net/border.h"
#include "server/rpc/policy.h"

struct feed_endpoint_options {
    const char *url;
    const struct border *border; /* borrowed until it has stopped */
    struct policy *policy;       /* the endpoint takes a reference */
    uint32_t connections_max;
    uint32_t connections_per_principal;
    uint32_t connects_per_minute;
    uint32_t queue_frames; /* messages that wait for one subscriber */
};

struct feed_endpoint;

/* Opens and listens. The url is copied. Returns 0,
 * or -1 with one sentence. */
__attribute__((warn_unused_result)) int
feed_endpoint_start(const struct feed_endpoint_options *options, struct feed_endpoint **endpoint,
                    char *error, size_t error_size);

/* Sends a message to all subscribers. The bytes are copied. Encrypts in the caller for those that
 * are idle; never waits. One thread at a time. */
void feed_endpoint_send(struct feed_endpoint *endpoint, const uint8_t *message, size_t length);

uint32_t feed_endpoint_subscribers(const struct feed_endpoint *endpoint); /* any thread */

/* As door_set_policy. */
uint32_t feed_endpoint_set_policy(struct feed_endpoint *endpoint, struct policy *policy);

/* Lets the last messages leave (300 ms), closes, frees. Accepts NULL. */
void feed_endpoint_stop(struct feed_endpoint *endpoint);

void feed_endpoint_memory_parts(const struct feed_endpoint_options *options,
                                void (*part)(void *context, const char *name, size_t bytes),
                                void *context);

/* As endpoint_leak_bytes_per_day. */
uint64_t feed_endpoint_leak_bytes_per_day(const struct feed_endpoint_options *options);

#endif
