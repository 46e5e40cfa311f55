#include "server/net/feed_endpoint.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "server/check.h"
#include "server/log.h"
#include "server/net/door.h"
#include "server/net/gate.h"

/* Subscribers send nothing: NNG closes one that does, and reads no longer message than this before
 * it (0 would be any length). */
#define RECEIVE_BYTES 64
#define WATCH_MS      250
/* NNG 1.10.1 loses the message that it is about to send when the connection ends just then.
 * Measured: 400 subscribers that were cut off with 60 messages of 64 KiB on their way cost 1.3 MiB.
 */
#define ABRUPT_END_BYTES 4096
#define MESSAGE_BYTES    (LIMIT_FEED_MESSAGE_BYTES + 256) /* with NNG's head of it */

/* NNG's PUB shares a message between all connections. Each has at most one that it is sending, and
 * a queue of those that came since; the queues are ends of the same row of messages, of which the
 * oldest is dropped. So there are never more than a queue of them and one for each connection. */
struct feed_endpoint {
    struct door door;
};

static const struct door_kind kind = {
    .name = "feed",
    .full = GATE_REFUSED_FEED_FULL,
    .needs_feed = true,
    .receive_bytes = RECEIVE_BYTES,
    .open = nng_pub0_open,
};

static struct pipes_limits limits_of(const struct feed_endpoint_options *options)
{
    return (struct pipes_limits){
        .connections_max = options->connections_max,
        .connections_per_principal = options->connections_per_principal,
        .connects_per_minute = options->connects_per_minute,
    };
}

int feed_endpoint_start(const struct feed_endpoint_options *options,
                        struct feed_endpoint **endpoint, char *error, size_t error_size)
{
    const struct door_options door = {
        .url = options->url,
        .border = options->border,
        .policy = options->policy,
        .limits = limits_of(options),
    };
    struct feed_endpoint *made = calloc(1, sizeof *made);
    if (made == NULL) {
        (void)snprintf(error, error_size, "no memory for the endpoint");
        return -1;
    }
    int code = door_init(&made->door, &kind, &door);
    if (code == 0) {
        code = door_open(&made->door);
    }
    if (code == 0) { /* before any listener: a connection has the length of its birth */
        code = nng_socket_set_int(made->door.socket, NNG_OPT_SENDBUF, (int)options->queue_frames);
    }
    if (code == 0) {
        code = door_watch(&made->door, WATCH_MS, NULL, NULL);
    }
    if (code == 0) {
        code = door_listen(&made->door, &door);
    }
    if (code != 0) {
        door_explain(&made->door, options->url, code, error, error_size);
        feed_endpoint_stop(made);
        return -1;
    }
    *endpoint = made;
    return 0;
}

void feed_endpoint_send(struct feed_endpoint *endpoint, const uint8_t *message, size_t length)
{
    static struct log_rate rate = {.most = 1, .period_ms = 10000};
    CHECK(length > 0 && length <= LIMIT_FEED_MESSAGE_BYTES);
    nng_msg *copy = NULL;
    int code = nng_msg_alloc(&copy, length);
    if (code == 0) {
        memcpy(nng_msg_body(copy), message, length);
        /* PUB takes it or drops it in this call: there is no waiting for a timeout to end. */
        code = nng_sendmsg(endpoint->door.socket, copy, NNG_FLAG_NONBLOCK);
    }
    if (code != 0) { /* subscribers see the gap */
        nng_msg_free(copy);
        log_write_rated(&rate, LOG_LEVEL_ERROR, "a message of the feed was not sent",
                        LOG_FIELDS(LOG_TEXT("error", nng_strerror(code))));
    }
}

uint32_t feed_endpoint_subscribers(const struct feed_endpoint *endpoint)
{
    return atomic_load(&endpoint->door.connections);
}

uint32_t feed_endpoint_set_policy(struct feed_endpoint *endpoint, struct policy *policy)
{
    return door_set_policy(&endpoint->door, policy);
}

void feed_endpoint_stop(struct feed_endpoint *endpoint)
{
    if (endpoint == NULL) {
        return;
    }
    door_close(&endpoint->door);
    door_deinit(&endpoint->door);
    free(endpoint);
}

/* The pointers of a connection's queue: NNG takes a power of two. */
static size_t queue_bytes(uint32_t frames)
{
    size_t places = 2;
    while (places < frames) {
        places *= 2;
    }
    return places * sizeof(nng_msg *);
}

void feed_endpoint_memory_parts(const struct feed_endpoint_options *options,
                                void (*part)(void *context, const char *name, size_t bytes),
                                void *context)
{
    const struct pipes_limits limits = limits_of(options);
    size_t each =
        (size_t)DOOR_CONNECTION_BYTES + RECEIVE_BYTES + queue_bytes(options->queue_frames);
    part(context, "feed: connections, TLS and buffers",
         options->connections_max * each + pipes_memory_bytes(&limits));
    part(context, "feed: messages for connections",
         ((size_t)options->queue_frames + options->connections_max) * MESSAGE_BYTES);
}

uint64_t feed_endpoint_leak_bytes_per_day(const struct feed_endpoint_options *options)
{
    return (uint64_t)options->connects_per_minute * 60 * 24 * ABRUPT_END_BYTES;
}
