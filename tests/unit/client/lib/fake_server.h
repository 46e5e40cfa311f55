/* A server for the library's tests: a raw REP socket over mutual TLS whose answers a test scripts.
 * One thread; included by each test program. */
#ifndef TESTS_CLIENT_FAKE_SERVER_H
#define TESTS_CLIENT_FAKE_SERVER_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/supplemental/tls/tls.h>

#include <activity.h>

#include "proto/frame.h"
#include "proto/limits.h"

/* What a script does with a request. */
enum fake_action {
    FAKE_REPLY = 0,  /* *reply with its payload */
    FAKE_DROP = 1,   /* no answer */
    FAKE_CUT = 2,    /* the connection is closed */
    FAKE_RAW = 3,    /* reply->payload is sent as it is, instead of a frame */
    FAKE_TWICE = 4,  /* as FAKE_REPLY, two times */
    FAKE_HEADER = 5, /* as FAKE_REPLY, to an id that nobody has asked with */
    FAKE_PARK = 6,   /* asked again every few milliseconds, until it is something else */
};

/* Called for each request but the library's probes. `reply` is a success with an empty payload. */
typedef enum fake_action (*fake_script)(void *arg, const struct frame_request *request,
                                        struct frame_reply *reply);

struct fake_server {
    nng_socket socket;
    nng_listener listener;
    pthread_t thread;
    int port;
    fake_script script;
    void *arg;
    nng_pipe_cb on_pipe; /* NULL: every client is welcome */
    atomic_uint requests;
    atomic_uint probes;
    atomic_uint pipes;
    atomic_bool mute_probes;
    atomic_bool stopping;
    int readable; /* descriptor of the socket's receive queue */
    nng_msg *parked[64];
    size_t parked_count;
    bool again; /* for the script: the request was parked before */
};

/* --- Certificates: one development set per program --- */

static char fake_folder[64];

static inline const char *fake_file(const char *name)
{
    static _Thread_local char paths[8][128];
    static _Thread_local unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/tls/%s", fake_folder, name);
    return path;
}

static inline void fake_shell(const char *format, const char *argument)
{
    char command[256];
    snprintf(command, sizeof command, format, argument);
    assert_int_equal(system(command), 0);
}

static inline int fake_certificates(void **state)
{
    (void)state;
    strcpy(fake_folder, "/tmp/activity-client-XXXXXX");
    assert_non_null(mkdtemp(fake_folder));
    fake_shell(".make/devcerts.sh %s >/dev/null", fake_folder);
    fake_shell(".make/devcerts.sh ca %s/tls foreign", fake_folder);
    fake_shell(".make/devcerts.sh issue %s/tls stranger foreign clientAuth URI:spiffe://x/y",
               fake_folder);
    return 0;
}

static inline int fake_certificates_remove(void **state)
{
    (void)state;
    fake_shell("rm -rf %s", fake_folder);
    return 0;
}

static inline char *fake_read(const char *path)
{
    static _Thread_local char text[2][16384];
    static _Thread_local unsigned turn;
    char *to = text[turn++ % 2];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    to[fread(to, 1, sizeof text[0] - 1, file)] = '\0';
    fclose(file);
    return to;
}

static inline nng_tls_config *fake_tls(void)
{
    nng_tls_config *tls;
    assert_int_equal(nng_tls_config_alloc(&tls, NNG_TLS_MODE_SERVER), 0);
    assert_int_equal(nng_tls_config_auth_mode(tls, NNG_TLS_AUTH_MODE_REQUIRED), 0);
    assert_int_equal(nng_tls_config_ca_chain(tls, fake_read(fake_file("ca.crt")), NULL), 0);
    assert_int_equal(nng_tls_config_own_cert(tls, fake_read(fake_file("server.crt")),
                                             fake_read(fake_file("server.key")), NULL),
                     0);
    return tls;
}

/* --- Answers --- */

static inline nng_msg *fake_frame(const struct frame_reply *reply)
{
    nng_msg *message;
    size_t head = frame_reply_head_size(reply);
    assert_int_equal(nng_msg_alloc(&message, head + reply->payload.length), 0);
    uint8_t *to = frame_reply_encode_head(reply, nng_msg_body(message));
    if (reply->payload.length > 0) {
        memcpy(to, reply->payload.bytes, reply->payload.length);
    }
    return message;
}

static inline void fake_send(struct fake_server *server, nng_msg *answer, const nng_msg *request)
{
    nng_msg_header_append(answer, nng_msg_header((nng_msg *)request), nng_msg_header_len(request));
    if (nng_sendmsg(server->socket, answer, 0) != 0) {
        nng_msg_free(answer);
    }
}

/* False if the script parks the request. */
static inline bool fake_answer(struct fake_server *server, nng_msg *message)
{
    struct frame_request request;
    struct frame_error fault;
    struct frame_reply reply = {.epoch = 77};
    struct view bytes = {nng_msg_body(message), nng_msg_len(message)};
    assert_int_equal(frame_request_decode(bytes, &request, &fault), 0);
    /* A probe's id has no slot: the header is the pipe's id and then the request's. */
    const uint8_t *header = nng_msg_header(message);
    bool probe = header[7] == 0 && header[6] == 0 && (header[5] & 1) == 0;
    if (probe) {
        atomic_fetch_add(&server->probes, 1);
        if (!atomic_load(&server->mute_probes)) {
            fake_send(server, fake_frame(&reply), message);
        }
        return true;
    }
    atomic_fetch_add(&server->requests, !server->again);
    enum fake_action action = server->script(server->arg, &request, &reply);
    if (action == FAKE_PARK) {
        return false;
    }
    if (action == FAKE_CUT) {
        nng_pipe_close(nng_msg_get_pipe(message));
    } else if (action == FAKE_RAW) {
        nng_msg *raw;
        assert_int_equal(nng_msg_alloc(&raw, 0), 0);
        assert_int_equal(nng_msg_append(raw, reply.payload.bytes, reply.payload.length), 0);
        fake_send(server, raw, message);
    } else if (action != FAKE_DROP) {
        for (int i = action == FAKE_TWICE ? 2 : 1; i > 0; i--) {
            if (action == FAKE_HEADER) {
                ((uint8_t *)nng_msg_header(message))[5] ^= 0x10;
            }
            fake_send(server, fake_frame(&reply), message);
        }
    }
    return true;
}

/* Takes the message over. */
static inline void fake_receive(struct fake_server *server, nng_msg *message)
{
    if (fake_answer(server, message)) {
        nng_msg_free(message);
    } else {
        assert_true(server->parked_count < sizeof server->parked / sizeof server->parked[0]);
        server->parked[server->parked_count++] = message;
    }
}

static inline void fake_ask_again(struct fake_server *server)
{
    size_t count = server->parked_count;
    nng_msg *parked[sizeof server->parked / sizeof server->parked[0]];
    memcpy(parked, server->parked, sizeof parked);
    server->parked_count = 0;
    server->again = true;
    for (size_t i = 0; i < count; i++) {
        fake_receive(server, parked[i]);
    }
    server->again = false;
}

/* Polls: a blocking receive that begins just while a raw socket is closed never returns. */
static inline void *fake_run(void *arg)
{
    struct fake_server *server = arg;
    struct pollfd readable = {.fd = server->readable, .events = POLLIN};
    while (!atomic_load(&server->stopping)) {
        nng_msg *message;
        if (poll(&readable, 1, server->parked_count > 0 ? 5 : 20) > 0 &&
            nng_recvmsg(server->socket, &message, NNG_FLAG_NONBLOCK) == 0) {
            fake_receive(server, message);
        }
        fake_ask_again(server);
    }
    while (server->parked_count > 0) {
        nng_msg_free(server->parked[--server->parked_count]);
    }
    return NULL;
}

static inline void fake_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct fake_server *server = arg;
    atomic_fetch_add(&server->pipes, 1);
    if (server->on_pipe != NULL) {
        server->on_pipe(pipe, event, arg);
    }
}

/* Listens on server->port; 0 picks one. */
static inline void fake_start(struct fake_server *server)
{
    atomic_store(&server->stopping, false);
    assert_int_equal(nng_rep0_open_raw(&server->socket), 0);
    assert_int_equal(nng_socket_get_int(server->socket, NNG_OPT_RECVFD, &server->readable), 0);
    assert_int_equal(nng_socket_set_size(server->socket, NNG_OPT_RECVMAXSZ, LIMIT_RECEIVE_BYTES),
                     0);
    nng_pipe_notify(server->socket, NNG_PIPE_EV_ADD_PRE, fake_pipe, server);
    nng_tls_config *tls = fake_tls();
    char url[64];
    snprintf(url, sizeof url, "tls+tcp://127.0.0.1:%d", server->port);
    assert_int_equal(nng_listener_create(&server->listener, server->socket, url), 0);
    assert_int_equal(nng_listener_set_ptr(server->listener, NNG_OPT_TLS_CONFIG, tls), 0);
    assert_int_equal(nng_listener_start(server->listener, 0), 0);
    assert_int_equal(nng_listener_get_int(server->listener, NNG_OPT_TCP_BOUND_PORT, &server->port),
                     0);
    nng_tls_config_free(tls);
    assert_int_equal(pthread_create(&server->thread, NULL, fake_run, server), 0);
}

static inline void fake_stop(struct fake_server *server)
{
    atomic_store(&server->stopping, true);
    pthread_join(server->thread, NULL);
    nng_close(server->socket);
}

/* --- The client under test --- */

struct fake_servers {
    char urls[4][64];
    const char *list[4];
};

/* Options for a client of these ports (0 ends them). */
static inline struct activity_options fake_options(struct fake_servers *servers, const int *ports)
{
    struct activity_options options = ACTIVITY_OPTIONS_INIT;
    size_t count = 0;
    for (; count < 4 && ports[count] != 0; count++) {
        snprintf(servers->urls[count], sizeof servers->urls[0], "tls+tcp://127.0.0.1:%d",
                 ports[count]);
        servers->list[count] = servers->urls[count];
    }
    options.servers = servers->list;
    options.server_count = count;
    options.ca_file = fake_file("ca.crt");
    options.cert_file = fake_file("client.crt");
    options.key_file = fake_file("client.key");
    return options;
}

static inline activity_client *fake_client(const struct fake_server *server)
{
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){server->port, 0});
    struct activity_error error;
    activity_client *client = activity_client_new(&options, &error);
    if (client == NULL) {
        fail_msg("no client: %s", error.message);
    }
    return client;
}

#endif
