#include "server/net/endpoint_state.h"

#include <nng/protocol/reqrep0/rep.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/limits.h"
#include "server/check.h"
#include "server/net/gate.h"

#define STOP_REPLY_MS 2000
#define STOP_SLOTS_MS 5000
#define WATCH_MS      100

/* The messages that a connection can hold besides its buffers: one being received, one on its way
 * to a slot, one reply being sent. */
#define CONNECTION_MESSAGES ((size_t)LIMIT_RECEIVE_BYTES + LIMIT_REPLY_BYTES)
/* What NNG 1.10.1 may lose with a connection that is reset: the reply of which it has just sent the
 * length or the header, since a send that goes on after the close is never called back. Measured
 * with replies of 210 KB on their way, 14 to 32 of 1,000 ends; in the handshake, and while a call
 * waits, none. So a part of the longest reply, on the average; that such a peer loses so many of
 * those, too, is inferred. */
#define ABRUPT_END_BYTES   (LIMIT_REPLY_BYTES / 32)
#define SLOT_LIBRARY_BYTES 1536 /* context and aio in NNG */

static const struct door_kind kind = {
    .name = "commands",
    .full = GATE_REFUSED_FULL,
    .receive_bytes = LIMIT_RECEIVE_BYTES,
    .open = nng_rep0_open,
};

static struct door_options door_options_of(const struct endpoint_options *options)
{
    return (struct door_options){
        .url = options->url,
        .border = options->border,
        .policy = options->policy,
        .limits = {.connections_max = options->connections_max,
                   .connections_per_principal = options->connections_per_principal,
                   .connects_per_minute = options->connects_per_minute,
                   .requests_max = options->slots},
    };
}

int endpoint_start(const struct endpoint_options *options, struct endpoint **endpoint, char *error,
                   size_t error_size)
{
    const struct door_options door = door_options_of(options);
    struct endpoint *made = calloc(1, sizeof *made);
    if (made == NULL) {
        (void)snprintf(error, error_size, "no memory for the endpoint");
        return -1;
    }
    made->admit = options->admit;
    made->waiting_bytes_max = options->waiting_bytes;
    int code = door_init(&made->door, &kind, &door);
    if (code == 0) {
        code = door_open(&made->door);
    }
    if (code == 0) {
        code = slots_start(made, options->slots);
    }
    if (code == 0) {
        code = door_watch(&made->door, WATCH_MS, slots_watch, made);
    }
    *endpoint = made; /* before the first request, whose answer may overtake our return */
    if (code == 0) {
        code = door_listen(&made->door, &door);
    }
    if (code != 0) {
        door_explain(&made->door, options->url, code, error, error_size);
        *endpoint = NULL;
        endpoint_stop(made);
        return -1;
    }
    return 0;
}

uint32_t endpoint_set_policy(struct endpoint *endpoint, struct policy *policy)
{
    return door_set_policy(&endpoint->door, policy);
}

/* Waits until *count is 0, at most so long. */
static void wait_for_none(struct endpoint *endpoint, const uint32_t *count, long milliseconds)
{
    struct door *door = &endpoint->door;
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    int code = 0;
    (void)pthread_mutex_lock(&door->lock);
    door->stopping = true; /* from here on the counts are told */
    while (*count > 0 && code == 0) {
        code = pthread_cond_timedwait(&door->changed, &door->lock, &until);
    }
    (void)pthread_mutex_unlock(&door->lock);
}

void endpoint_stop(struct endpoint *endpoint)
{
    if (endpoint == NULL) {
        return;
    }
    wait_for_none(endpoint, &endpoint->sending, STOP_REPLY_MS);
    door_close(&endpoint->door);
    wait_for_none(endpoint, &endpoint->nng_has, STOP_SLOTS_MS);
    slots_free(endpoint);
    door_deinit(&endpoint->door);
    free(endpoint);
}

/* ---- Memory ---- */

void endpoint_memory_parts(const struct endpoint_options *options,
                           void (*part)(void *context, const char *name, size_t bytes),
                           void *context)
{
    const struct pipes_limits limits = {.connections_max = options->connections_max,
                                        .requests_max = options->slots};
    part(context, "connections: TLS and buffers",
         options->connections_max * (size_t)DOOR_CONNECTION_BYTES + pipes_memory_bytes(&limits));
    part(context, "connections: messages", options->connections_max * CONNECTION_MESSAGES);
    part(context, "slots",
         options->slots * (sizeof(struct slot) + SLOT_LIBRARY_BYTES) +
             (size_t)RECEIVING_MAX * LIMIT_RECEIVE_BYTES);
    part(context, "replies waiting for NNG", options->waiting_bytes + options->waiting_bytes / 4);
}

uint64_t endpoint_leak_bytes_per_day(const struct endpoint_options *options)
{
    return (uint64_t)options->connects_per_minute * 60 * 24 * ABRUPT_END_BYTES;
}
