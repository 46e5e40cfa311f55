/* A client and a server of bare mbedTLS on a socket, which can be told what to speak, and a minimum
 * of SP over them: what does not come from our engine, for it to be tried against. Included by the
 * test programs that want it. */
#ifndef TESTS_PROTO_TLS_RAW_H
#define TESTS_PROTO_TLS_RAW_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include "tests/unit/proto/tls/tls_scene.h"

enum { RAW_REQ = 0x30, RAW_REP = 0x31, RAW_MESSAGE_MAX = 4096, RAW_HEARD_MAX = 4096 };

/* What it speaks; zero is mbedTLS's choice. */
struct raw_options {
    const int *suites;      /* ends in 0 */
    const uint16_t *groups; /* ends in 0 */
    mbedtls_ssl_protocol_version min_version;
    mbedtls_ssl_protocol_version max_version;
    const char *certificate; /* a name of the scene's folder */
    const char *server_name; /* of a client: what is asked for */
    unsigned char fragment;  /* of a client: MBEDTLS_SSL_MAX_FRAG_LEN_..., what it asks for */
    bool renegotiates;
    bool has_ticket; /* asks for one */
    bool trusting;   /* does not judge the other's certificate */
};

struct raw {
    int end; /* MBEDTLS_SSL_IS_CLIENT or ..._SERVER */
    mbedtls_net_context net;
    mbedtls_ssl_config config;
    mbedtls_ssl_context ssl;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt certificate;
    mbedtls_pk_context key;
    unsigned judged;              /* certificates that have come from the other side */
    uint8_t hello[RAW_HEARD_MAX]; /* the beginning of what the server has said, of either end */
    size_t hello_length;
};

static inline int raw_random(void *context, unsigned char *to, size_t length)
{
    (void)context;
    return getrandom(to, length, 0) == (ssize_t)length ? 0 : -1;
}

static inline int raw_judge(void *context, mbedtls_x509_crt *certificate, int depth,
                            uint32_t *flags)
{
    struct raw *raw = context;
    (void)certificate;
    (void)depth;
    (void)flags;
    raw->judged++;
    return 0;
}

static inline void raw_remember(struct raw *raw, int end, const unsigned char *bytes, int length)
{
    if (raw->end == end && length > 0) {
        size_t room = sizeof raw->hello - raw->hello_length;
        size_t n = (size_t)length < room ? (size_t)length : room;
        memcpy(raw->hello + raw->hello_length, bytes, n);
        raw->hello_length += n;
    }
}

static inline int raw_put(void *context, const unsigned char *bytes, size_t length)
{
    struct raw *raw = context;
    int n = mbedtls_net_send(&raw->net, bytes, length);
    raw_remember(raw, MBEDTLS_SSL_IS_SERVER, bytes, n);
    return n;
}

static inline int raw_get(void *context, unsigned char *to, size_t size)
{
    struct raw *raw = context;
    int n = mbedtls_net_recv(&raw->net, to, size);
    raw_remember(raw, MBEDTLS_SSL_IS_CLIENT, to, n);
    return n;
}

/* Whether the server's key exchange, with TLS 1.2 in clear, was of this group: its kind, number and
 * the length of the key (RFC 8422 5.4). */
static inline bool raw_exchanged(const struct raw *raw, uint16_t group)
{
    const uint8_t x25519[] = {3, 0, MBEDTLS_SSL_IANA_TLS_GROUP_X25519, 32};
    const uint8_t p256[] = {3, 0, MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, 65, 4};
    bool first = group == MBEDTLS_SSL_IANA_TLS_GROUP_X25519;
    const uint8_t *wanted = first ? x25519 : p256;
    size_t length = first ? sizeof x25519 : sizeof p256;
    for (size_t i = 0; i + length <= raw->hello_length; i++) {
        if (memcmp(raw->hello + i, wanted, length) == 0) {
            return true;
        }
    }
    return false;
}

static inline void raw_limit_time(int fd)
{
    struct timeval limit = {.tv_sec = 10};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static inline void raw_load(struct raw *raw, const char *name)
{
    assert_int_equal(mbedtls_x509_crt_parse_file(&raw->ca, scene_file("ca", ".crt")), 0);
    mbedtls_ssl_conf_ca_chain(&raw->config, &raw->ca, NULL);
    if (name != NULL) {
        assert_int_equal(mbedtls_x509_crt_parse_file(&raw->certificate, scene_file(name, ".crt")),
                         0);
        assert_int_equal(
            mbedtls_pk_parse_keyfile(&raw->key, scene_file(name, ".key"), NULL, raw_random, NULL),
            0);
        assert_int_equal(mbedtls_ssl_conf_own_cert(&raw->config, &raw->certificate, &raw->key), 0);
    }
}

/* On a connected socket, which it takes over. */
static inline void raw_open(struct raw *raw, int fd, int end, const struct raw_options *options)
{
    memset(raw, 0, sizeof *raw);
    assert_int_equal(psa_crypto_init(), PSA_SUCCESS);
    (void)signal(SIGPIPE, SIG_IGN);
    raw->end = end;
    raw->net.fd = fd;
    raw_limit_time(fd);
    mbedtls_ssl_init(&raw->ssl);
    mbedtls_ssl_config_init(&raw->config);
    mbedtls_x509_crt_init(&raw->ca);
    mbedtls_x509_crt_init(&raw->certificate);
    mbedtls_pk_init(&raw->key);
    assert_int_equal(mbedtls_ssl_config_defaults(&raw->config, end, MBEDTLS_SSL_TRANSPORT_STREAM,
                                                 MBEDTLS_SSL_PRESET_DEFAULT),
                     0);
    mbedtls_ssl_conf_rng(&raw->config, raw_random, NULL);
    mbedtls_ssl_conf_authmode(&raw->config, options->trusting ? MBEDTLS_SSL_VERIFY_NONE
                                                              : MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_verify(&raw->config, raw_judge, raw);
    raw_load(raw, options->certificate);
    if (options->suites != NULL) {
        mbedtls_ssl_conf_ciphersuites(&raw->config, options->suites);
    }
    if (options->groups != NULL) {
        mbedtls_ssl_conf_groups(&raw->config, options->groups);
    }
    if (options->min_version != 0) {
        mbedtls_ssl_conf_min_tls_version(&raw->config, options->min_version);
        mbedtls_ssl_conf_max_tls_version(&raw->config, options->max_version);
    }
    mbedtls_ssl_conf_renegotiation(&raw->config, options->renegotiates
                                                     ? MBEDTLS_SSL_RENEGOTIATION_ENABLED
                                                     : MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    assert_int_equal(mbedtls_ssl_conf_max_frag_len(&raw->config, options->fragment), 0);
    if (end == MBEDTLS_SSL_IS_CLIENT) {
        mbedtls_ssl_conf_session_tickets(&raw->config, options->has_ticket
                                                           ? MBEDTLS_SSL_SESSION_TICKETS_ENABLED
                                                           : MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    }
    assert_int_equal(mbedtls_ssl_setup(&raw->ssl, &raw->config), 0);
    assert_int_equal(mbedtls_ssl_set_hostname(&raw->ssl, options->server_name), 0);
    mbedtls_ssl_set_bio(&raw->ssl, raw, raw_put, raw_get, NULL);
}

/* Without a word to the other side. */
static inline void raw_drop(struct raw *raw)
{
    mbedtls_ssl_free(&raw->ssl);
    mbedtls_ssl_config_free(&raw->config);
    mbedtls_x509_crt_free(&raw->ca);
    mbedtls_x509_crt_free(&raw->certificate);
    mbedtls_pk_free(&raw->key);
    mbedtls_net_free(&raw->net);
}

static inline void raw_close(struct raw *raw)
{
    (void)mbedtls_ssl_close_notify(&raw->ssl);
    raw_drop(raw);
}

static inline int raw_connect_tcp(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    raw_limit_time(fd);
    return fd;
}

static inline int raw_handshake(struct raw *raw)
{
    int code;
    do {
        code = mbedtls_ssl_handshake(&raw->ssl);
    } while (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE);
    return code;
}

/* --- SP over it: mbedTLS's code, 0 for good --- */

static inline int raw_write(struct raw *raw, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        int n = mbedtls_ssl_write(&raw->ssl, bytes, length);
        if (n <= 0) {
            return n == 0 ? -1 : n;
        }
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

/* A ticket that comes is told by MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET. */
static inline int raw_read(struct raw *raw, uint8_t *bytes, size_t length)
{
    while (length > 0) {
        int n = mbedtls_ssl_read(&raw->ssl, bytes, length);
        if (n <= 0) {
            return n == 0 ? -1 : n;
        }
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

static inline int raw_greet(struct raw *raw, uint8_t own, uint8_t other)
{
    const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, own};
    const uint8_t expected[8] = {0, 'S', 'P', 0, 0, other};
    uint8_t got[8];
    int code = raw_write(raw, greeting, sizeof greeting);
    code = code == 0 ? raw_read(raw, got, sizeof got) : code;
    return code == 0 && memcmp(got, expected, sizeof got) != 0 ? -2 : code;
}

static inline int raw_send(struct raw *raw, const uint8_t *message, size_t length)
{
    uint8_t frame[8 + RAW_MESSAGE_MAX] = {0};
    for (int i = 0; i < 4; i++) {
        frame[7 - i] = (uint8_t)(length >> 8 * i);
    }
    memcpy(frame + 8, message, length);
    return raw_write(raw, frame, 8 + length);
}

static inline int raw_receive(struct raw *raw, uint8_t *message, size_t *length)
{
    uint8_t head[8];
    int code = raw_read(raw, head, sizeof head);
    *length = (size_t)head[6] << 8 | head[7];
    if (code == 0 && *length > RAW_MESSAGE_MAX) {
        return -3;
    }
    return code == 0 ? raw_read(raw, message, *length) : code;
}

/* A request of REQ, after the greeting; its answer must be the same bytes. */
static inline int raw_ask(struct raw *raw, size_t length)
{
    uint8_t request[RAW_MESSAGE_MAX];
    uint8_t reply[RAW_MESSAGE_MAX];
    size_t got = 0;
    assert_in_range(length, 4, sizeof request);
    (void)scene_pattern(request, length, length, false);
    memcpy(request, (uint8_t[]){0x80, 0, 0, 1}, 4); /* its id */
    int code = raw_send(raw, request, length);
    code = code == 0 ? raw_receive(raw, reply, &got) : code;
    return code == 0 && (got != length || memcmp(reply, request, length) != 0) ? -4 : code;
}

/* --- A server of it that takes one connection, in a thread --- */

struct raw_server {
    struct raw_options options;
    int listener;
    int port;
    pthread_t thread;
    int code;        /* of the handshake */
    int suite;       /* mbedTLS's number */
    bool x25519;     /* that was the group (TLS 1.2 only) */
    int exchanged;   /* of what came after */
    unsigned judged; /* certificates of the client */
};

static inline void *raw_serve(void *arg)
{
    struct raw_server *server = arg;
    struct raw raw;
    uint8_t message[RAW_MESSAGE_MAX];
    size_t length = 0;
    raw_limit_time(server->listener);
    int fd = accept(server->listener, NULL, NULL);
    assert_true(fd >= 0);
    raw_open(&raw, fd, MBEDTLS_SSL_IS_SERVER, &server->options);
    server->code = raw_handshake(&raw);
    if (server->code == 0) {
        server->suite = mbedtls_ssl_get_ciphersuite_id_from_ssl(&raw.ssl);
        server->exchanged = raw_greet(&raw, RAW_REP, RAW_REQ);
        if (server->exchanged == 0) {
            server->exchanged = raw_receive(&raw, message, &length);
        }
        if (server->exchanged == 0) {
            server->exchanged = raw_send(&raw, message, length);
        }
    }
    server->judged = raw.judged;
    server->x25519 = raw_exchanged(&raw, MBEDTLS_SSL_IANA_TLS_GROUP_X25519);
    /* The client takes its answer, and goes. */
    (void)mbedtls_ssl_read(&raw.ssl, message, sizeof message);
    raw_close(&raw);
    return NULL;
}

static inline void raw_server_start(struct raw_server *server, const struct raw_options *options)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    memset(server, 0, sizeof *server);
    server->options = *options;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(server->listener >= 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 8), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, raw_serve, server), 0);
}

static inline void raw_server_join(struct raw_server *server)
{
    pthread_join(server->thread, NULL);
    close(server->listener);
}

#endif
