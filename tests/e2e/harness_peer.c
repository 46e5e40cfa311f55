#include "tests/e2e/harness_peer.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct peer {
    mbedtls_net_context net;
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt certificate;
    mbedtls_pk_context key;
    uint32_t request;
};

static struct peer *peer_new(void)
{
    struct peer *peer = calloc(1, sizeof *peer);
    assert_non_null(peer);
    mbedtls_net_init(&peer->net);
    mbedtls_ssl_init(&peer->ssl);
    mbedtls_ssl_config_init(&peer->config);
    mbedtls_entropy_init(&peer->entropy);
    mbedtls_ctr_drbg_init(&peer->random);
    mbedtls_x509_crt_init(&peer->ca);
    mbedtls_x509_crt_init(&peer->certificate);
    mbedtls_pk_init(&peer->key);
    return peer;
}

static void peer_free(struct peer *peer)
{
    mbedtls_ssl_free(&peer->ssl);
    mbedtls_net_free(&peer->net);
    mbedtls_ssl_config_free(&peer->config);
    mbedtls_pk_free(&peer->key);
    mbedtls_x509_crt_free(&peer->certificate);
    mbedtls_x509_crt_free(&peer->ca);
    mbedtls_ctr_drbg_free(&peer->random);
    mbedtls_entropy_free(&peer->entropy);
    free(peer);
}

static bool peer_prepare(struct peer *peer, const struct scene *scene, const char *who,
                         uint32_t milliseconds)
{
    if (psa_crypto_init() != PSA_SUCCESS ||
        mbedtls_ctr_drbg_seed(&peer->random, mbedtls_entropy_func, &peer->entropy, NULL, 0) != 0 ||
        mbedtls_ssl_config_defaults(&peer->config, MBEDTLS_SSL_IS_CLIENT,
                                    MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0 ||
        mbedtls_x509_crt_parse_file(&peer->ca, scene_path(scene, "tls/ca.crt")) != 0) {
        return false;
    }
    mbedtls_ssl_conf_rng(&peer->config, mbedtls_ctr_drbg_random, &peer->random);
    mbedtls_ssl_conf_ca_chain(&peer->config, &peer->ca, NULL);
    mbedtls_ssl_conf_read_timeout(&peer->config, milliseconds);
    if (who != NULL) {
        char name[64];
        (void)snprintf(name, sizeof name, "tls/%s.crt", who);
        if (mbedtls_x509_crt_parse_file(&peer->certificate, scene_path(scene, name)) != 0) {
            return false;
        }
        (void)snprintf(name, sizeof name, "tls/%s.key", who);
        if (mbedtls_pk_parse_keyfile(&peer->key, scene_path(scene, name), NULL,
                                     mbedtls_ctr_drbg_random, &peer->random) != 0 ||
            mbedtls_ssl_conf_own_cert(&peer->config, &peer->certificate, &peer->key) != 0) {
            return false;
        }
    }
    return mbedtls_ssl_setup(&peer->ssl, &peer->config) == 0 &&
           mbedtls_ssl_set_hostname(&peer->ssl, "localhost") == 0;
}

struct peer *peer_connect(const struct scene *scene, uint16_t port, const char *who,
                          uint32_t milliseconds)
{
    struct peer *peer = peer_new();
    if (!peer_prepare(peer, scene, who, milliseconds)) {
        peer_free(peer);
        fail_msg("the peer's certificates cannot be used");
    }
    char service[16];
    (void)snprintf(service, sizeof service, "%u", port);
    int code = mbedtls_net_connect(&peer->net, "127.0.0.1", service, MBEDTLS_NET_PROTO_TCP);
    if (code == 0) {
        const int yes = 1; /* or every small write waits for the other side's delayed ACK */
        (void)setsockopt(peer->net.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        mbedtls_ssl_set_bio(&peer->ssl, &peer->net, mbedtls_net_send, NULL,
                            mbedtls_net_recv_timeout);
        do {
            code = mbedtls_ssl_handshake(&peer->ssl);
        } while (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE);
    }
    if (code != 0) {
        peer_free(peer);
        return NULL;
    }
    return peer;
}

struct written {
    uint8_t *to;
    size_t length;
    size_t room;
};

static int keep_written(void *context, const unsigned char *bytes, size_t length)
{
    struct written *written = context;
    assert_true(length <= written->room - written->length);
    memcpy(written->to + written->length, bytes, length);
    written->length += length;
    return (int)length;
}

static int nothing_comes(void *context, unsigned char *to, size_t room)
{
    (void)context;
    (void)to;
    (void)room;
    return MBEDTLS_ERR_SSL_WANT_READ;
}

size_t peer_hello(const struct scene *scene, uint8_t *to, size_t room)
{
    struct written written = {.to = to, .room = room};
    struct peer *peer = peer_new();
    if (!peer_prepare(peer, scene, NULL, 1)) {
        peer_free(peer);
        fail_msg("the peer cannot be prepared");
    }
    mbedtls_ssl_set_bio(&peer->ssl, &written, keep_written, nothing_comes, NULL);
    assert_int_equal(mbedtls_ssl_handshake(&peer->ssl), MBEDTLS_ERR_SSL_WANT_READ);
    peer_free(peer);
    assert_true(written.length > 64);
    return written.length;
}

void peer_patience(struct peer *peer, uint32_t milliseconds)
{
    mbedtls_ssl_conf_read_timeout(&peer->config, milliseconds);
}

void peer_close(struct peer *peer)
{
    if (peer != NULL) {
        (void)mbedtls_ssl_close_notify(&peer->ssl);
        peer_free(peer);
    }
}

void peer_reset(struct peer *peer)
{
    if (peer != NULL) {
        const struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(peer->net.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        peer_free(peer);
    }
}

bool peer_write(struct peer *peer, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;
    while (length > 0) {
        int code = mbedtls_ssl_write(&peer->ssl, from, length);
        if (code <= 0 && code != MBEDTLS_ERR_SSL_WANT_WRITE && code != MBEDTLS_ERR_SSL_WANT_READ) {
            return false;
        }
        if (code > 0) {
            from += code;
            length -= (size_t)code;
        }
    }
    return true;
}

bool peer_read(struct peer *peer, void *bytes, size_t length)
{
    uint8_t *to = bytes;
    while (length > 0) {
        int code = mbedtls_ssl_read(&peer->ssl, to, length);
        if (code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET ||
            code == MBEDTLS_ERR_SSL_WANT_READ) {
            continue;
        }
        if (code <= 0) {
            return false;
        }
        to += code;
        length -= (size_t)code;
    }
    return true;
}

bool peer_greet_as(struct peer *peer, uint8_t own, uint8_t other)
{
    const uint8_t hello[8] = {0, 'S', 'P', 0, 0, own, 0, 0};
    const uint8_t wanted[8] = {0, 'S', 'P', 0, 0, other, 0, 0};
    uint8_t answer[8];
    return peer_write(peer, hello, sizeof hello) && peer_read(peer, answer, sizeof answer) &&
           memcmp(answer, wanted, sizeof wanted) == 0;
}

bool peer_greet(struct peer *peer)
{
    return peer_greet_as(peer, PEER_REQ, PEER_REP);
}

static void put_be(uint8_t *to, uint64_t value, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        to[i] = (uint8_t)(value >> 8 * (length - 1 - i));
    }
}

static uint64_t get_be(const uint8_t *from, size_t length)
{
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        value = value << 8 | from[i];
    }
    return value;
}

long peer_call(struct peer *peer, const void *body, size_t length, uint8_t *reply, size_t room)
{
    uint8_t head[12];
    put_be(head, length + 4, 8);
    put_be(head + 8, UINT32_C(0x80000000) | ++peer->request, 4);
    if (!peer_write(peer, head, sizeof head) || !peer_write(peer, body, length)) {
        return -1;
    }
    uint8_t answer[12];
    if (!peer_read(peer, answer, sizeof answer) || memcmp(answer + 8, head + 8, 4) != 0) {
        return -1;
    }
    uint64_t size = get_be(answer, 8);
    if (size < 4 || size - 4 > room || !peer_read(peer, reply, (size_t)size - 4)) {
        return -1;
    }
    return (long)size - 4;
}

long peer_receive(struct peer *peer, uint8_t *message, size_t room)
{
    uint8_t head[8];
    if (!peer_read(peer, head, sizeof head)) {
        return -1;
    }
    uint64_t size = get_be(head, sizeof head);
    return size <= room && peer_read(peer, message, (size_t)size) ? (long)size : -1;
}
