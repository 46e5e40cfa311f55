/* Judging the other side's certificates in a handshake: mbedTLS's callback for one connection, and
 * what the handshake's failure means. */
#ifndef ACTIVITY_PROTO_TLS_VERIFY_H
#define ACTIVITY_PROTO_TLS_VERIFY_H

#include <mbedtls/x509_crt.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/limits.h"
#include "proto/tls/credentials.h"
#include "proto/tls/refusal.h"
#include "proto/view.h"

struct tls_verify {
    /* Given. */
    enum tls_role role; /* ours */
    enum tls_auth auth;
    const struct tls_credentials *credentials; /* ours, whose lists count; borrowed */
    bool spiffe;                               /* a client has to have a SPIFFE ID */
    struct view trust_domain;                  /* of it; empty: any */
    const char *server_name;                   /* that a server has to have; borrowed */
    /* Found. */
    char principal[LIMIT_PRINCIPAL_LENGTH + 1];
    enum tls_refusal refusal; /* of the certificates; TLS_ACCEPTED: none, or not looked at yet */
    char detail[160];         /* what about them, in one line */
    bool judged;              /* they have been looked at */
};

/* For mbedtls_ssl_set_verify, with a struct tls_verify as context. No certificate of the chain may
 * be on a list of the credentials', the leaf has a P-256 key and is what leaf.h asks; a client
 * without `spiffe` may be any. Of several reasons to refuse the most telling one is found. */
int tls_verify_step(void *context, mbedtls_x509_crt *certificate, int depth, uint32_t *flags);

/* What an error of mbedtls_ssl_handshake means, the certificates' refusal coming first. */
enum tls_refusal tls_verify_outcome(const struct tls_verify *verify, int code);

#endif
