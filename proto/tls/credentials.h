/* What one side of TLS needs to prove who it is and to judge the other: own certificate and key,
 * authorities, revocations, and mbedTLS's settings made of them.
 *
 * Filled by its maker, then made ready, and immutable from then on: any number of connections use
 * it at the same time, each holding a reference, so that a reload can put another in its place. */
#ifndef ACTIVITY_PROTO_TLS_CREDENTIALS_H
#define ACTIVITY_PROTO_TLS_CREDENTIALS_H

#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tls_role { TLS_SERVER = 0, TLS_CLIENT = 1 };
enum tls_auth { TLS_AUTH_NONE = 0, TLS_AUTH_OPTIONAL = 1, TLS_AUTH_REQUIRED = 2 };

struct tls_credentials; /* counted: each holder releases */

/* With one reference, TLS 1.2 to 1.3, peers' certificates required. NULL: no memory, or mbedTLS
 * cannot be initialised. Any thread. */
struct tls_credentials *tls_credentials_new(enum tls_role role);
struct tls_credentials *tls_credentials_hold(struct tls_credentials *credentials); /* the same */
void tls_credentials_release(struct tls_credentials *credentials); /* accepts NULL; wipes the key */

/* Filling: on one thread, before tls_credentials_ready. Each replaces what was there, and what came
 * after it: lists depend on the authorities, the key on the certificate. All return 0, or -1 with
 * one sentence that does not name a file (the caller knows it), nothing changed then.
 *
 * The texts are PEM, terminated, any number of certificates each, of which every one must be good.
 * The authorities' say that they are one. */
__attribute__((warn_unused_result)) int tls_credentials_ca(struct tls_credentials *credentials,
                                                           const char *ca, char *error,
                                                           size_t error_size);
/* After the authorities: each list must be signed by one of them. One that is out of date counts
 * for its entries. NULL: no lists. */
__attribute__((warn_unused_result)) int tls_credentials_crl(struct tls_credentials *credentials,
                                                            const char *crl, char *error,
                                                            size_t error_size);
/* The certificate comes first in its text, with a P-256 key and, for a server, made for one; then
 * its intermediates. */
__attribute__((warn_unused_result)) int tls_credentials_cert(struct tls_credentials *credentials,
                                                             const char *cert, char *error,
                                                             size_t error_size);
/* After the certificate, whose key it must be; without a password. */
__attribute__((warn_unused_result)) int tls_credentials_key(struct tls_credentials *credentials,
                                                            const char *key, char *error,
                                                            size_t error_size);
void tls_credentials_auth(struct tls_credentials *credentials, enum tls_auth auth);
/* MBEDTLS_SSL_VERSION_TLS1_2 or ..._TLS1_3. */
void tls_credentials_versions(struct tls_credentials *credentials, mbedtls_ssl_protocol_version min,
                              mbedtls_ssl_protocol_version max);

/* Makes mbedTLS's settings, drops authorities that are revoked themselves, and uses each key once
 * before it is shared. Returns 0, or -1: no memory, or the kernel has no randomness. */
__attribute__((warn_unused_result)) int tls_credentials_ready(struct tls_credentials *credentials);

/* ---- Ready ones: any thread ---- */

const mbedtls_ssl_config *tls_credentials_config(const struct tls_credentials *credentials);
enum tls_role tls_credentials_role(const struct tls_credentials *credentials);
enum tls_auth tls_credentials_required(const struct tls_credentials *credentials);

/* The first certificate of the chain that is on a list of its issuer's, or NULL. */
const mbedtls_x509_crt *tls_credentials_revoked(const struct tls_credentials *credentials,
                                                const mbedtls_x509_crt *chain);

struct tls_certificate {
    char subject[256];
    uint64_t not_after_ms; /* since the epoch; of several the earliest end, and its subject */
};

struct tls_description {
    struct tls_certificate own; /* subject "" when there is none */
    struct tls_certificate ca;
    uint32_t crl_count;          /* lists */
    uint32_t crl_entries;        /* revoked certificates in all of them */
    uint64_t crl_next_update_ms; /* the earliest; 0: no list says one */
    char crl_issuer[256];        /* of that list */
};
void tls_credentials_describe(const struct tls_credentials *credentials,
                              struct tls_description *description);

#endif
