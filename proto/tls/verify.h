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
    bool spiffe;              /* a client has to have a SPIFFE ID */
    struct view trust_domain; /* of it; empty: any */
    const char *server_name;  /* that a server has to have; borrowed */
    /* Found. */
    char principal[LIMIT_PRINCIPAL_LENGTH + 1];
    enum tls_refusal refusal; /* of the certificates; TLS_ACCEPTED: none, or not looked at yet */
    char detail[160];         /* what about them, in one line */
};

/* For mbedtls_ssl_set_verify, with a struct tls_verify as context. A list of revocations that is
 * out of date counts for its entries; the leaf has to be what leaf.h asks. */
int tls_verify_step(void *context, mbedtls_x509_crt *certificate, int depth, uint32_t *flags);

/* What an error of mbedtls_ssl_handshake means, the certificates' refusal coming first. */
enum tls_refusal tls_verify_outcome(const struct tls_verify *verify, int code);

#endif
