/* NNG's REQ and REP without anything of ours but the TLS engine: the server sends back what comes.
 * Both sides prove who they are with the scene's certificates. */
#ifndef ACTIVITYD_BENCH_HARNESS_ECHO_H
#define ACTIVITYD_BENCH_HARNESS_ECHO_H

#include "bench/harness_side.h"
#include "tests/e2e/harness.h"

enum echo_engine { ECHO_STOCK, ECHO_OURS, ECHO_PLAIN /* TCP without TLS */, ECHO_ENGINES };

struct echo_place {
    const struct scene *scene;
    enum echo_engine engine;
    uint16_t port;
};

/* Their context is a struct echo_place. */
extern const struct side_role echo_server;
extern const struct side_role echo_client;

/* What the client does, and counts. */
enum echo_work {
    ECHO_CALLS, /* calls of `bytes`, `in_flight` at a time over one connection */
    ECHO_PROVE, /* the same, and compares every byte that comes back */
    /* `in_flight` threads that connect, call once and close, over and over. */
    ECHO_HANDSHAKES,
    /* Makes `in_flight` connections that stay until the side ends. */
    ECHO_HOLD,
    /* Calls of `bytes` over each of them, one after the other. */
    ECHO_USE
};

#endif
