#include "server/net/endpoint_state.h"

#include <netinet/in.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/supplemental/tls/tls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/limits.h"
#include "server/check.h"
#include "server/log.h"

#define STOP_REPLY_MS 2000
#define LINGER_MS     300 /* nng_close does not wait for what is in its buffers */
#define STOP_SLOTS_MS 5000

/* A connection's TLS state and buffers in NNG and mbedTLS (measured: 60 KiB with TLS 1.3), and the
 * messages it can hold besides: one being received, one on its way to a slot, one reply being sent.
 */
#define CONNECTION_BYTES    (96 * 1024)
#define CONNECTION_MESSAGES ((size_t)LIMIT_RECEIVE_BYTES + LIMIT_REPLY_BYTES)
/* Measured: 2,300 connections that were reset at all moments of their lives cost 4.4 MiB. */
#define ABRUPT_END_BYTES   2048
#define SLOT_LIBRARY_BYTES 1536 /* context and aio in NNG */

uint64_t endpoint_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- The library ---- */

/* NNG tells of refused handshakes nowhere else. mbedTLS's text says why, but not of whom. */
static void take_diagnostics(nng_log_level level, nng_log_facility facility, const char *id,
                             const char *text)
{
    /* Of its own, so that those without a certificate do not hide those with one. */
    static struct log_rate handshake_rate = {.most = 20, .period_ms = 60000};
    (void)facility;
    if (strcmp(id, "NNG-TLS-HANDSHAKE") == 0) {
        log_write_rated(&handshake_rate, LOG_LEVEL_WARNING, "peer refused",
                        LOG_FIELDS(LOG_TEXT("reason", text)));
    } else if (level <= NNG_LOG_WARN && strcmp(id, "NNG-ACCEPT-FAIL") != 0) {
        static struct log_rate rate = {.most = 20, .period_ms = 60000};
        log_write_rated(&rate, level == NNG_LOG_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
                        "transport", LOG_FIELDS(LOG_TEXT("id", id), LOG_TEXT("text", text)));
    } else {
        log_debug("transport", LOG_TEXT("id", id), LOG_TEXT("text", text));
    }
}

void endpoint_init_library(void)
{
    /* Two were 10 to 35 % faster than the default of two per core, on two cores. */
    nng_init_set_parameter(NNG_INIT_NUM_TASK_THREADS, 2);
    nng_log_set_logger(take_diagnostics);
    nng_log_set_level(NNG_LOG_NOTICE);
}

void endpoint_fini_library(void)
{
    nng_fini();
}

/* ---- Who is let in ---- */

/* False when there is none any more: a peer that has reset the connection since. */
static bool read_address(nng_pipe pipe, char to[REMOTE_END_MAX])
{
    nng_sockaddr address = {.s_family = NNG_AF_UNSPEC};
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    (void)nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &address);
    switch (address.s_family) {
    case NNG_AF_INET:
        in.sin_addr.s_addr = address.s_in.sa_addr;
        in.sin_port = address.s_in.sa_port;
        remote_end_write((const struct sockaddr *)(const void *)&in, to);
        return true;
    case NNG_AF_INET6:
        memcpy(&in6.sin6_addr, address.s_in6.sa_addr, sizeof in6.sin6_addr);
        in6.sin6_port = address.s_in6.sa_port;
        remote_end_write((const struct sockaddr *)(const void *)&in6, to);
        return true;
    default:
        return false;
    }
}

/* The one subject alternative name of a verified certificate. Returns NULL, or why there is none.
 */
static const char *read_principal(nng_pipe pipe, char *to, size_t size)
{
    bool verified = false;
    void *list = NULL;
    if (nng_pipe_get_bool(pipe, NNG_OPT_TLS_VERIFIED, &verified) != 0 || !verified) {
        return "no verified certificate";
    }
    if (nng_pipe_get_ptr(pipe, NNG_OPT_TLS_PEER_ALT_NAMES, &list) != 0 || list == NULL) {
        return "the certificate has no subject alternative name";
    }
    char **names = list;
    size_t count = 0;
    for (; names[count] != NULL; count++) {
        if (count == 0) {
            (void)snprintf(to, size, "%s", names[0]);
        }
        free(names[count]); /* the engine's mallocs */
    }
    free(names);
    return count == 1 ? NULL : "the certificate has more than one subject alternative name";
}

static const char *admit_pipe(struct endpoint *endpoint, nng_pipe pipe, char *principal,
                              size_t size, const char *address)
{
    const char *reason = read_principal(pipe, principal, size);
    if (reason != NULL) {
        return reason;
    }
    struct view name = view_of(principal);
    if (!policy_principal_valid(name)) {
        return "the subject alternative name is no SPIFFE ID";
    }
    const struct policy_rule *rule = policy_find(endpoint->policy, name);
    if (rule == NULL) {
        return "no rule";
    }
    (void)pthread_mutex_lock(&endpoint->lock);
    bool stopping = endpoint->stopping;
    enum pipes_verdict verdict = stopping ? PIPES_FULL
                                          : pipes_add(endpoint->pipes, (uint32_t)pipe.id, name,
                                                      rule, address, endpoint_now_ms());
    (void)pthread_mutex_unlock(&endpoint->lock);
    static const char *const reasons[] = {
        [PIPES_ADMITTED] = NULL,
        [PIPES_FULL] = "connections_max is reached",
        [PIPES_PRINCIPAL_FULL] = "connections_per_principal is reached",
        [PIPES_PRINCIPAL_TOO_FAST] = "connects_per_minute is reached",
    };
    return stopping ? "the server is about to stop" : reasons[verdict];
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *context)
{
    static struct log_rate refusal_rate = {.most = 20, .period_ms = 60000};
    struct endpoint *endpoint = context;
    if (event == NNG_PIPE_EV_REM_POST) {
        (void)pthread_mutex_lock(&endpoint->lock);
        pipes_remove(endpoint->pipes, (uint32_t)pipe.id);
        uint32_t left = pipes_count(endpoint->pipes);
        (void)pthread_mutex_unlock(&endpoint->lock);
        log_debug("peer gone", LOG_NUMBER("pipe", pipe.id), LOG_NUMBER("connections", left));
        return;
    }
    char address[REMOTE_END_MAX] = "?";
    char principal[LIMIT_PRINCIPAL_LENGTH + 2] = ""; /* one more: too long must not become valid */
    const char *reason = "the connection is dead";
    if (read_address(pipe, address)) {
        reason = admit_pipe(endpoint, pipe, principal, sizeof principal, address);
    }
    if (reason != NULL) {
        log_write_rated(&refusal_rate, LOG_LEVEL_WARNING, "peer refused",
                        LOG_FIELDS(LOG_TEXT("reason", reason), LOG_TEXT("principal", principal),
                                   LOG_TEXT("peer", address)));
        (void)nng_pipe_close(pipe);
        return;
    }
    log_debug("peer connected", LOG_NUMBER("pipe", pipe.id), LOG_TEXT("principal", principal),
              LOG_TEXT("peer", address));
}

/* ---- Start and stop ---- */

static int make_tls(const struct endpoint_options *options, nng_tls_config **tls)
{
    int code = nng_tls_config_alloc(tls, NNG_TLS_MODE_SERVER);
    if (code != 0) {
        return code;
    }
    code = nng_tls_config_auth_mode(*tls, NNG_TLS_AUTH_MODE_REQUIRED);
    if (code == 0) {
        code = nng_tls_config_version(*tls, NNG_TLS_1_2, NNG_TLS_1_3);
    }
    if (code == 0) {
        code = nng_tls_config_ca_chain(*tls, options->ca_pem, NULL);
    }
    if (code == 0) {
        code = nng_tls_config_own_cert(*tls, options->cert_pem, options->key_pem, NULL);
    }
    return code;
}

static int open_socket(struct endpoint *endpoint)
{
    int code = nng_rep0_open(&endpoint->socket);
    if (code != 0) {
        return code;
    }
    /* Before any listener: a pipe has the limit of its birth, and the standard one is none. */
    code = nng_socket_set_size(endpoint->socket, NNG_OPT_RECVMAXSZ, LIMIT_RECEIVE_BYTES);
    if (code == 0) {
        code = nng_pipe_notify(endpoint->socket, NNG_PIPE_EV_ADD_PRE, on_pipe, endpoint);
    }
    if (code == 0) {
        code = nng_pipe_notify(endpoint->socket, NNG_PIPE_EV_REM_POST, on_pipe, endpoint);
    }
    return code;
}

static int start_listener(struct endpoint *endpoint, const char *url, nng_tls_config *tls)
{
    nng_listener listener;
    int code = nng_listener_create(&listener, endpoint->socket, url);
    if (code == 0) {
        code = nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, tls);
    }
    if (code == 0) {
        code = nng_listener_set_bool(listener, NNG_OPT_TCP_KEEPALIVE, true);
    }
    return code == 0 ? nng_listener_start(listener, 0) : code;
}

static struct endpoint *make_endpoint(const struct endpoint_options *options)
{
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    if (endpoint == NULL) {
        return NULL;
    }
    const struct pipes_limits limits = {
        .connections_max = options->connections_max,
        .connections_per_principal = options->connections_per_principal,
        .connects_per_minute = options->connects_per_minute,
        .requests_max = options->slots,
    };
    endpoint->admit = options->admit;
    endpoint->policy = options->policy;
    endpoint->waiting_bytes_max = options->waiting_bytes;
    endpoint->pipes = pipes_new(&limits);
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&endpoint->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&endpoint->lock, NULL);
    return endpoint;
}

int endpoint_start(const struct endpoint_options *options, struct endpoint **endpoint, char *error,
                   size_t error_size)
{
    struct endpoint *made = make_endpoint(options);
    if (made == NULL || made->pipes == NULL) {
        endpoint_stop(made);
        (void)snprintf(error, error_size, "no memory for the endpoint");
        return -1;
    }
    const char *what = "TLS";
    nng_tls_config *tls = NULL;
    int code = make_tls(options, &tls);
    if (code == 0) {
        what = "opening the endpoint";
        code = open_socket(made);
    }
    if (code == 0) {
        code = slots_start(made, options->slots);
    }
    if (code == 0) {
        code = watchdog_start(made);
    }
    *endpoint = made; /* before the first request, whose answer may overtake our return */
    if (code == 0) {
        what = "listening";
        code = start_listener(made, options->url, tls);
    }
    if (tls != NULL) {
        nng_tls_config_free(tls);
    }
    if (code != 0) {
        (void)snprintf(error, error_size, "%s: %s: %s", options->url, what, nng_strerror(code));
        *endpoint = NULL;
        endpoint_stop(made);
        return -1;
    }
    return 0;
}

/* Waits until *count is 0, at most so long. Under the lock. */
static void wait_for_none(struct endpoint *endpoint, const uint32_t *count, long milliseconds)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    int code = 0;
    while (*count > 0 && code == 0) {
        code = pthread_cond_timedwait(&endpoint->changed, &endpoint->lock, &until);
    }
}

void endpoint_stop(struct endpoint *endpoint)
{
    if (endpoint == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&endpoint->lock);
    endpoint->stopping = true;
    bool served = endpoint->pipes != NULL && pipes_count(endpoint->pipes) > 0;
    wait_for_none(endpoint, &endpoint->sending, STOP_REPLY_MS);
    (void)pthread_mutex_unlock(&endpoint->lock);
    watchdog_stop(endpoint);
    if (nng_socket_id(endpoint->socket) > 0) {
        if (served) {
            nng_msleep(LINGER_MS);
        }
        (void)nng_close(endpoint->socket);
        (void)pthread_mutex_lock(&endpoint->lock);
        wait_for_none(endpoint, &endpoint->nng_has, STOP_SLOTS_MS);
        (void)pthread_mutex_unlock(&endpoint->lock);
    }
    slots_free(endpoint);
    pipes_free(endpoint->pipes);
    (void)pthread_cond_destroy(&endpoint->changed);
    (void)pthread_mutex_destroy(&endpoint->lock);
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
         options->connections_max * (size_t)CONNECTION_BYTES + pipes_memory_bytes(&limits));
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
