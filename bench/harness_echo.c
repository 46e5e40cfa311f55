#include "bench/harness_echo.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness_measure.h"
#include "proto/tls/engine.h"

enum { CALLERS_MAX = 64, HELD_MAX = 4096, BYTES_MAX = 1 << 20 };

static void insist(int code, const char *what)
{
    side_insist(code == 0, what, nng_strerror(code));
}

/* ---- Both sides ---- */

static void choose_engine(enum echo_engine engine)
{
    /* Two as activityd has. */
    nng_init_set_parameter(NNG_INIT_NUM_TASK_THREADS, bench_setting("TASK_THREADS", 2));
    if (engine == ECHO_OURS) {
        side_insist(tls_engine_register() == 0, "TLS", "our engine is not taken");
    } else {
        side_insist(!tls_engine_is_ours(), "TLS", "NNG's own engine is not there");
    }
}

static nng_tls_config *tls_of(const struct echo_place *place, const char *who, nng_tls_mode mode)
{
    char name[64];
    nng_tls_config *config = NULL;
    char *ca = scene_read(scene_path(place->scene, "tls/ca.crt"));
    (void)snprintf(name, sizeof name, "tls/%s.crt", who);
    char *cert = scene_read(scene_path(place->scene, name));
    (void)snprintf(name, sizeof name, "tls/%s.key", who);
    char *key = scene_read(scene_path(place->scene, name));
    insist(nng_tls_config_alloc(&config, mode), "TLS");
    insist(nng_tls_config_ca_chain(config, ca, NULL), "CA");
    insist(nng_tls_config_own_cert(config, cert, key, NULL), "certificate");
    insist(nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED), "TLS");
    if (mode == NNG_TLS_MODE_CLIENT) {
        insist(nng_tls_config_server_name(config, "localhost"), "server name");
    }
    free(ca);
    free(cert);
    free(key);
    return config;
}

static void write_url(const struct echo_place *place, char *url, size_t size)
{
    (void)snprintf(url, size, "%stcp://127.0.0.1:%u", place->engine == ECHO_PLAIN ? "" : "tls+",
                   place->port);
}

/* ---- The server ---- */

struct answerer {
    nng_ctx context;
    nng_aio *aio;
    bool sending;
};

static void answer(void *argument)
{
    struct answerer *answerer = argument;
    if (nng_aio_result(answerer->aio) != 0) {
        /* A caller that has gone: its reply has nowhere to go. */
        nng_msg_free(nng_aio_get_msg(answerer->aio));
        nng_aio_set_msg(answerer->aio, NULL);
        answerer->sending = true;
    }
    answerer->sending = !answerer->sending;
    if (answerer->sending) {
        nng_ctx_send(answerer->context, answerer->aio); /* what has just come */
    } else {
        nng_ctx_recv(answerer->context, answerer->aio);
    }
}

static void server_prepare(void *context)
{
    static struct answerer answerers[2 * CALLERS_MAX];
    const struct echo_place *place = context;
    char url[64];
    nng_socket socket;
    nng_listener listener;
    choose_engine(place->engine);
    insist(nng_rep0_open(&socket), "open");
    write_url(place, url, sizeof url);
    insist(nng_listener_create(&listener, socket, url), "listener");
    if (place->engine != ECHO_PLAIN) {
        insist(nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG,
                                    tls_of(place, "server", NNG_TLS_MODE_SERVER)),
               "listener");
    }
    insist(nng_listener_start(listener, 0), "listen");
    for (size_t i = 0; i < sizeof answerers / sizeof answerers[0]; i++) {
        insist(nng_ctx_open(&answerers[i].context, socket), "context");
        insist(nng_aio_alloc(&answerers[i].aio, answer, &answerers[i]), "aio");
        nng_ctx_recv(answerers[i].context, answerers[i].aio);
    }
}

const struct side_role echo_server = {.prepare = server_prepare};

/* ---- The client ---- */

static char url[64];
static nng_tls_config *tls; /* NULL: plain TCP */
static nng_socket sockets[HELD_MAX];
static size_t socket_count; /* the first is for calls, and always there */
static uint8_t pattern[BYTES_MAX];

static nng_dialer dial(nng_socket socket)
{
    nng_dialer dialer;
    insist(nng_dialer_create(&dialer, socket, url), "dialer");
    if (tls != NULL) {
        insist(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, tls), "dialer");
    }
    insist(nng_dialer_start(dialer, 0), "dial");
    return dialer;
}

static void client_prepare(void *context)
{
    const struct echo_place *place = context;
    choose_engine(place->engine);
    write_url(place, url, sizeof url);
    if (place->engine != ECHO_PLAIN) {
        tls = tls_of(place, "worker", NNG_TLS_MODE_CLIENT);
    }
    uint64_t seed = 88172645463325252u;
    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = (uint8_t)random_next(&seed);
    }
    insist(nng_req0_open(&sockets[0]), "open");
    socket_count = 1;
    (void)dial(sockets[0]);
}

/* Several calls at a time. */

struct caller {
    nng_ctx context;
    nng_aio *aio;
    struct crowd *crowd;
    uint64_t tag; /* the first bytes of the message: no reply is another's */
    bool sent;
};

struct crowd {
    const struct side_order *order;
    uint64_t end;
    _Atomic uint64_t answered;
    pthread_mutex_t lock;
    pthread_cond_t left;
    size_t active;
    struct caller callers[CALLERS_MAX];
};

static void leave(struct crowd *crowd)
{
    (void)pthread_mutex_lock(&crowd->lock);
    if (--crowd->active == 0) {
        (void)pthread_cond_signal(&crowd->left);
    }
    (void)pthread_mutex_unlock(&crowd->lock);
}

static void check(const struct caller *caller, nng_msg *reply)
{
    const struct side_order *order = caller->crowd->order;
    bool same = nng_msg_len(reply) == order->bytes &&
                memcmp(nng_msg_body(reply), &caller->tag, sizeof caller->tag) == 0;
    if (same && order->work == ECHO_PROVE) {
        same = memcmp((uint8_t *)nng_msg_body(reply) + sizeof caller->tag,
                      pattern + sizeof caller->tag, order->bytes - sizeof caller->tag) == 0;
    }
    side_insist(same, "call", "the reply is not what was sent");
}

static void call_again(struct caller *caller, nng_msg *message)
{
    caller->tag += CALLERS_MAX;
    caller->sent = false;
    memcpy(nng_msg_body(message), &caller->tag, sizeof caller->tag);
    nng_aio_set_msg(caller->aio, message);
    nng_ctx_send(caller->context, caller->aio);
}

static void go_on(void *argument)
{
    struct caller *caller = argument;
    insist(nng_aio_result(caller->aio), "call");
    if (!caller->sent) {
        caller->sent = true;
        nng_ctx_recv(caller->context, caller->aio);
        return;
    }
    nng_msg *reply = nng_aio_get_msg(caller->aio);
    check(caller, reply);
    atomic_fetch_add_explicit(&caller->crowd->answered, 1, memory_order_relaxed);
    if (measure_ns() < caller->crowd->end) {
        call_again(caller, reply);
    } else {
        nng_msg_free(reply);
        leave(caller->crowd);
    }
}

static nng_msg *new_message(size_t bytes)
{
    nng_msg *message = NULL;
    insist(nng_msg_alloc(&message, bytes), "message");
    memcpy(nng_msg_body(message), pattern, bytes);
    return message;
}

static uint64_t many_calls(const struct side_order *order)
{
    static struct crowd crowd;
    crowd = (struct crowd){.order = order,
                           .end = measure_ns() + (uint64_t)order->milliseconds * 1000000u,
                           .active = order->in_flight,
                           .lock = PTHREAD_MUTEX_INITIALIZER,
                           .left = PTHREAD_COND_INITIALIZER};
    for (size_t i = 0; i < order->in_flight; i++) {
        struct caller *caller = &crowd.callers[i];
        caller->crowd = &crowd;
        caller->tag = i;
        insist(nng_ctx_open(&caller->context, sockets[0]), "context");
        insist(nng_aio_alloc(&caller->aio, go_on, caller), "aio");
        call_again(caller, new_message(order->bytes));
    }
    (void)pthread_mutex_lock(&crowd.lock);
    while (crowd.active > 0) {
        (void)pthread_cond_wait(&crowd.left, &crowd.lock);
    }
    (void)pthread_mutex_unlock(&crowd.lock);
    for (size_t i = 0; i < order->in_flight; i++) {
        nng_aio_free(crowd.callers[i].aio);
        (void)nng_ctx_close(crowd.callers[i].context);
    }
    return crowd.answered;
}

/* One call, and one connection after the other. */

static void call_once(nng_socket socket, size_t bytes)
{
    nng_msg *message = new_message(bytes);
    insist(nng_sendmsg(socket, message, 0), "send");
    insist(nng_recvmsg(socket, &message, 0), "receive");
    side_insist(nng_msg_len(message) == bytes && memcmp(nng_msg_body(message), pattern, bytes) == 0,
                "call", "the reply is not what was sent");
    nng_msg_free(message);
}

struct visitor {
    pthread_t thread;
    uint64_t end;
    uint64_t visits;
    uint32_t bytes;
};

static void *visit(void *argument)
{
    struct visitor *visitor = argument;
    nng_socket socket;
    insist(nng_req0_open(&socket), "open");
    while (measure_ns() < visitor->end) {
        nng_dialer dialer = dial(socket);
        call_once(socket, visitor->bytes);
        (void)nng_dialer_close(dialer);
        visitor->visits++;
    }
    (void)nng_close(socket);
    return NULL;
}

static uint64_t handshakes(const struct side_order *order)
{
    struct visitor visitors[CALLERS_MAX];
    uint64_t visits = 0;
    for (size_t i = 0; i < order->in_flight; i++) {
        visitors[i] = (struct visitor){
            .bytes = order->bytes, .end = measure_ns() + (uint64_t)order->milliseconds * 1000000u};
        side_insist(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]) == 0, "thread",
                    "cannot be made");
    }
    for (size_t i = 0; i < order->in_flight; i++) {
        (void)pthread_join(visitors[i].thread, NULL);
        visits += visitors[i].visits;
    }
    return visits;
}

/* A socket for each connection: REQ alone decides over which of several it calls. */
static uint64_t hold(const struct side_order *order)
{
    uint64_t made = 0;
    while (made < order->in_flight && socket_count < HELD_MAX) {
        insist(nng_req0_open(&sockets[socket_count]), "open");
        (void)dial(sockets[socket_count]);
        socket_count++;
        made++;
    }
    return made;
}

static uint64_t use_all(const struct side_order *order)
{
    uint64_t calls = 0;
    for (size_t i = 0; i < socket_count; i++) {
        call_once(sockets[i], order->bytes);
        calls++;
    }
    return calls;
}

static uint64_t client_carry_out(void *context, const struct side_order *order)
{
    (void)context;
    switch ((enum echo_work)order->work) {
    case ECHO_CALLS:
    case ECHO_PROVE:
        return many_calls(order);
    case ECHO_HANDSHAKES:
        return handshakes(order);
    case ECHO_HOLD:
        return hold(order);
    case ECHO_USE:
        return use_all(order);
    }
    return 0;
}

const struct side_role echo_client = {.prepare = client_prepare, .carry_out = client_carry_out};
