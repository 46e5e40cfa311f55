/* The command endpoint: an NNG REP socket behind mutual TLS (net/door.h says who is let in).
 *
 * Requests are received into a fixed number of slots; each is RECEIVE (waiting for a request), WAIT
 * (somebody has it and will answer: a long poll in half a minute) or SEND (the reply waits for NNG
 * to take it). Callbacks hand the request to rpc/admit and do nothing else. NNG 1.10.1 may call
 * back twice or never when an operation is cancelled as it completes, so nothing is cancelled and
 * nothing has a timeout: a peer that does not read its replies is closed by the watchdog. */
#ifndef ACTIVITYD_SERVER_NET_ENDPOINT_H
#define ACTIVITYD_SERVER_NET_ENDPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "server/net/border.h"
#include "server/rpc/admit.h"
#include "server/rpc/policy.h"

struct endpoint_options {
    const char *url;
    const struct border *border; /* borrowed until it has stopped */
    struct policy *policy;       /* the endpoint takes a reference */
    struct admit *admit;
    uint32_t slots;
    uint32_t connections_max;
    uint32_t connections_per_principal;
    uint32_t connects_per_minute;
    uint64_t waiting_bytes; /* of replies that NNG has not taken */
};

struct endpoint;

/* Opens, listens and receives. The url is copied, admit is borrowed until
 * endpoint_stop. *endpoint is set before the first request can come in. Returns 0, or -1 with one
 * sentence. */
__attribute__((warn_unused_result)) int endpoint_start(const struct endpoint_options *options,
                                                       struct endpoint **endpoint, char *error,
                                                       size_t error_size);

/* The engine's answer to a request: exactly one per token. The bytes are copied. Any thread;
 * encrypts in the caller when the connection is idle, never blocks. */
void endpoint_reply(struct endpoint *endpoint, uint64_t token, struct view frame);

/* As door_set_policy. */
uint32_t endpoint_set_policy(struct endpoint *endpoint, struct policy *policy);

/* Lets the replies leave (2 s at most), closes everything, frees. All tokens have been answered.
 * Accepts NULL. */
void endpoint_stop(struct endpoint *endpoint);

/* The parts of the memory that an endpoint can need at most. */
void endpoint_memory_parts(const struct endpoint_options *options,
                           void (*part)(void *context, const char *name, size_t bytes),
                           void *context);

/* What NNG 1.10.1 may lose in a day when one principal resets its connections as often as it may
 * connect. */
uint64_t endpoint_leak_bytes_per_day(const struct endpoint_options *options);

#endif
