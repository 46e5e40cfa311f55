/* Certificates of a small world, and both ends of a handshake in memory, without NNG: what the
 * tests of credentials and of verification share. Included by each test program. */
#ifndef TESTS_PROTO_TLS_MEMORY_H
#define TESTS_PROTO_TLS_MEMORY_H

#include <stdlib.h>

#include <mbedtls/error.h>
#include <mbedtls/ssl.h>

#include "proto/tls/credentials.h"
#include "proto/tls/verify.h"
#include "tests/unit/proto/tls/mint.h"

#define MEMORY_TRUST  "test.example"
#define MEMORY_CLIENT "spiffe://" MEMORY_TRUST "/client"

enum { MEMORY_DAY = 86400 };

/* --- Certificates --- */

/* `purposes` as in mint.h; `uri` and `dns` may be NULL. */
static inline void memory_leaf(struct der *extensions, int purposes, const char *uri,
                               const char *dns)
{
    struct mint_leaf leaf = {.purposes = purposes};
    size_t count = 0;
    extensions->length = 0;
    if (uri != NULL) {
        leaf.names[count++] = (struct mint_name){.tag = DER_URI, .bytes = uri};
    }
    if (dns != NULL) {
        leaf.names[count++] = (struct mint_name){.tag = DER_DNS, .bytes = dns};
    }
    mint_leaf(extensions, &leaf);
}

static inline void memory_authority(struct der *extensions)
{
    extensions->length = 0;
    mint_constraints(extensions, true, 0);
    mint_key_usage(extensions, MBEDTLS_X509_KU_KEY_CERT_SIGN | MBEDTLS_X509_KU_CRL_SIGN);
}

/* Appends the certificate to a text of MINT_TEXT_MAX. */
static inline void memory_issue(char *text, const struct mint_order *order)
{
    static _Thread_local struct der der;
    mint_certificate(order, &der);
    mint_pem(text, "CERTIFICATE", &der);
}

static inline void memory_list(char *text, const struct mint_list *list)
{
    static _Thread_local struct der der;
    mint_revocations(list, &der);
    mint_pem(text, "X509 CRL", &der);
}

/* The setters in their order; `crl`, `cert` and `key` may be NULL. Not yet ready. */
static inline struct tls_credentials *
memory_fill(enum tls_role role, const char *ca, const char *crl, const char *cert, const char *key)
{
    char error[512] = "";
    struct tls_credentials *made = tls_credentials_new(role);
    assert_non_null(made);
    if (tls_credentials_ca(made, ca, error, sizeof error) != 0 ||
        tls_credentials_crl(made, crl, error, sizeof error) != 0 ||
        (cert != NULL && tls_credentials_cert(made, cert, error, sizeof error) != 0) ||
        (key != NULL && tls_credentials_key(made, key, error, sizeof error) != 0)) {
        fail_msg("%s", error);
    }
    return made;
}

static inline struct tls_credentials *memory_credentials(enum tls_role role, const char *ca,
                                                         const char *crl, const char *cert,
                                                         const char *key)
{
    struct tls_credentials *made = memory_fill(role, ca, crl, cert, key);
    assert_int_equal(tls_credentials_ready(made), 0);
    return made;
}

/* --- A handshake --- */

enum { MEMORY_WIRE_MAX = 65536 };

struct memory_wire { /* one direction */
    uint8_t bytes[MEMORY_WIRE_MAX];
    size_t length;
    bool closed;
    void (*tamper)(struct memory_wire *wire); /* after each write; NULL: nobody does */
};

struct memory_end {
    struct tls_verify verify;
    mbedtls_ssl_context ssl;
    struct memory_wire *in;
    struct memory_wire *out;
    int code; /* of its handshake */
};

struct memory_pair {
    struct memory_wire wires[2];
    struct memory_end client;
    struct memory_end server;
};

static inline int memory_put(void *context, const unsigned char *bytes, size_t length)
{
    const struct memory_end *end = context;
    struct memory_wire *wire = end->out;
    assert_in_range(length, 0, sizeof wire->bytes - wire->length);
    memcpy(wire->bytes + wire->length, bytes, length);
    wire->length += length;
    if (wire->tamper != NULL) {
        wire->tamper(wire);
    }
    return (int)length;
}

static inline int memory_get(void *context, unsigned char *to, size_t size)
{
    const struct memory_end *end = context;
    struct memory_wire *wire = end->in;
    size_t n = size < wire->length ? size : wire->length;
    if (n == 0) {
        return wire->closed ? MBEDTLS_ERR_SSL_CONN_EOF : MBEDTLS_ERR_SSL_WANT_READ;
    }
    memcpy(to, wire->bytes, n);
    memmove(wire->bytes, wire->bytes + n, wire->length - n);
    wire->length -= n;
    return (int)n;
}

static inline void memory_set_up(struct memory_end *end, const struct tls_credentials *credentials)
{
    end->verify = (struct tls_verify){.role = tls_credentials_role(credentials),
                                      .auth = tls_credentials_required(credentials),
                                      .credentials = credentials,
                                      .spiffe = true,
                                      .trust_domain = view_of(MEMORY_TRUST),
                                      .server_name = "localhost"};
    mbedtls_ssl_init(&end->ssl);
    assert_int_equal(mbedtls_ssl_setup(&end->ssl, tls_credentials_config(credentials)), 0);
    mbedtls_ssl_set_bio(&end->ssl, end, memory_put, memory_get, NULL);
    mbedtls_ssl_set_verify(&end->ssl, tls_verify_step, &end->verify);
    if (end->verify.role == TLS_CLIENT) {
        assert_int_equal(mbedtls_ssl_set_hostname(&end->ssl, "localhost"), 0);
    }
    end->code = MBEDTLS_ERR_SSL_WANT_READ;
}

static inline struct memory_pair *memory_open(const struct tls_credentials *client,
                                              const struct tls_credentials *server)
{
    struct memory_pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    pair->client.out = pair->server.in = &pair->wires[0];
    pair->server.out = pair->client.in = &pair->wires[1];
    memory_set_up(&pair->client, client);
    memory_set_up(&pair->server, server);
    return pair;
}

static inline void memory_close(struct memory_pair *pair)
{
    mbedtls_ssl_free(&pair->client.ssl);
    mbedtls_ssl_free(&pair->server.ssl);
    free(pair);
}

/* Goes on as far as it can: who fails closes. */
static inline void memory_step(struct memory_end *end)
{
    if (end->code == MBEDTLS_ERR_SSL_WANT_READ) {
        end->code = mbedtls_ssl_handshake(&end->ssl);
        end->out->closed =
            end->out->closed || (end->code != 0 && end->code != MBEDTLS_ERR_SSL_WANT_READ);
    }
}

/* Until nothing moves any more; both codes are there to be read. */
static inline void memory_shake(struct memory_pair *pair)
{
    for (unsigned i = 0; i < 20; i++) {
        memory_step(&pair->client);
        memory_step(&pair->server);
    }
}

/* What the end makes of its handshake: TLS_ACCEPTED when it is done. */
static inline enum tls_refusal memory_outcome(const struct memory_end *end)
{
    assert_int_not_equal(end->code, MBEDTLS_ERR_SSL_WANT_READ);
    return end->code == 0 ? TLS_ACCEPTED : tls_verify_outcome(&end->verify, end->code);
}

static inline const char *memory_error(int code)
{
    static _Thread_local char texts[2][160]; /* for both ends */
    static _Thread_local unsigned turn;
    char *text = texts[turn++ % 2];
    mbedtls_strerror(code, text, sizeof texts[0]);
    return text;
}

#endif
