/* A listening socket behind mutual TLS, and who is let in: what the command endpoint and the
 * change-feed endpoint have in common.
 *
 * What comes here has passed the gate (net/gate.h) and its handshake, in which its certificate was
 * verified. It is let in when that is one of a principal with a rule (one with `feed` where that is
 * asked for) and no cap is reached; otherwise it is closed before its first message, and the log
 * says why. A watchdog closes connections that do not end by themselves. */
#ifndef ACTIVITYD_SERVER_NET_DOOR_H
#define ACTIVITYD_SERVER_NET_DOOR_H

#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/net/border.h"
#include "server/net/pipes.h"
#include "server/rpc/policy.h"

/* A connection's TLS state and buffers in NNG and mbedTLS: measured 55 KiB with TLS 1.3, 75 KiB
 * after messages of 9,000 bytes; while it sends, one record that is gathered and one of ciphertext
 * besides, 33 KiB. */
#define DOOR_CONNECTION_BYTES (112 * 1024)

/* What the endpoints differ in. Constant. */
struct door_kind {
    const char *name;     /* for diagnostics */
    unsigned full;        /* how it is refused that connections_max is reached */
    bool needs_feed;      /* the rule must have `feed` */
    size_t receive_bytes; /* a peer that sends a longer message is closed */
    int (*open)(nng_socket *socket);
};

struct door_options {
    const char *url;
    const struct border *border;
    struct policy *policy; /* the door takes a reference */
    struct pipes_limits limits;
};

struct door {
    const struct door_kind *kind;
    const struct border *border;
    nng_socket socket;
    const char *step; /* of its beginning, for an error's text */

    pthread_mutex_t lock; /* never held while NNG is called */
    pthread_cond_t changed;
    bool stopping;
    struct policy *policy; /* in force */
    struct pipes *pipes;
    atomic_uint connections; /* those that live and can be sent to, for readers without the lock */

    pthread_t watchdog;
    bool watchdog_runs;
    unsigned watch_ms;
    void (*look)(void *context);
    void *look_context;
};

/* Beginning, in this order; what fails leaves a door that can be closed and deinitialised. Return 0
 * or NNG's error, which door_explain puts into a sentence. The url is copied. */
__attribute__((warn_unused_result)) int door_init(struct door *door, const struct door_kind *kind,
                                                  const struct door_options *options);
__attribute__((warn_unused_result)) int door_open(struct door *door);
/* Starts the watchdog. It calls `look` (may be NULL) each watch_ms. */
__attribute__((warn_unused_result)) int door_watch(struct door *door, unsigned watch_ms,
                                                   void (*look)(void *context), void *context);
__attribute__((warn_unused_result)) int door_listen(struct door *door,
                                                    const struct door_options *options);
void door_explain(const struct door *door, const char *url, int code, char *error, size_t size);

/* Puts another policy in force: connections whose principals still may come in are judged by it
 * from their next request on, the others are closed. Returns how many those are. Not from a thread
 * of NNG's, and by one thread at a time. */
uint32_t door_set_policy(struct door *door, struct policy *policy);

/* Nobody is let in any more, the watchdog ends, what was sent gets a moment to leave, the socket is
 * closed and with it all connections. Also after a beginning that failed. */
void door_close(struct door *door);
void door_deinit(struct door *door);

/* Has a connection closed, once. Under the lock. What is returned, if it has an id, is then closed
 * by the caller without it. */
nng_pipe door_condemn(struct pipe *pipe, const char *reason);

/* CLOCK_MONOTONIC in ms: for what stays within the endpoints and the gate before them. */
uint64_t door_now_ms(void);

/* For door.c: the thread, in watchdog.c. */
int watchdog_start(struct door *door);
void watchdog_stop(struct door *door); /* also when it was never started */

#endif
