#include "proto/tls/verify.h"

#include <mbedtls/ssl.h>
#include <stdio.h>
#include <string.h>

#include "proto/tls/leaf.h"

/* What mbedTLS finds, the most telling first. */
static const struct {
    uint32_t flags;
    enum tls_refusal refusal;
} meanings[] = {
    {MBEDTLS_X509_BADCERT_REVOKED, TLS_REFUSED_REVOKED},
    {MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY,
     TLS_REFUSED_BAD_KEY_OR_HASH},
    {MBEDTLS_X509_BADCERT_NOT_TRUSTED, TLS_REFUSED_UNTRUSTED},
    {MBEDTLS_X509_BADCERT_EXPIRED, TLS_REFUSED_EXPIRED},
    {MBEDTLS_X509_BADCERT_FUTURE, TLS_REFUSED_NOT_YET_VALID},
    {MBEDTLS_X509_BADCERT_MISSING | MBEDTLS_X509_BADCERT_SKIP_VERIFY, TLS_REFUSED_NO_CERTIFICATE},
    {MBEDTLS_X509_BADCERT_CN_MISMATCH, TLS_REFUSED_WRONG_NAME},
    {MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE |
         MBEDTLS_X509_BADCERT_NS_CERT_TYPE,
     TLS_REFUSED_BAD_USAGE},
};

static enum tls_refusal meaning_of(uint32_t flags)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if ((flags & meanings[i].flags) != 0) {
            return meanings[i].refusal;
        }
    }
    return TLS_REFUSED_UNTRUSTED;
}

/* The subject, since a refused peer is not known otherwise. */
static void note(struct tls_verify *verify, enum tls_refusal refusal,
                 const mbedtls_x509_crt *certificate)
{
    char subject[128];
    if (verify->refusal != TLS_ACCEPTED) {
        return;
    }
    verify->refusal = refusal;
    if (mbedtls_x509_dn_gets(subject, sizeof subject, &certificate->subject) < 0) {
        (void)snprintf(subject, sizeof subject, "?");
    }
    (void)snprintf(verify->detail, sizeof verify->detail, "certificate of %s",
                   subject[0] != '\0' ? subject : "nobody");
}

static enum tls_refusal judge_leaf(struct tls_verify *verify, const mbedtls_x509_crt *leaf)
{
    if (verify->role == TLS_CLIENT) {
        return tls_leaf_server(leaf, verify->server_name);
    }
    return verify->spiffe ? tls_leaf_client(leaf, verify->trust_domain, verify->principal)
                          : TLS_ACCEPTED;
}

int tls_verify_step(void *context, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
    struct tls_verify *verify = context;
    *flags &= ~(uint32_t)(MBEDTLS_X509_BADCRL_EXPIRED | MBEDTLS_X509_BADCRL_FUTURE);
    if (*flags != 0) {
        note(verify, meaning_of(*flags), certificate);
        return 0;
    }
    if (depth == 0 && verify->refusal == TLS_ACCEPTED) {
        enum tls_refusal refusal = judge_leaf(verify, certificate);
        if (refusal != TLS_ACCEPTED) {
            note(verify, refusal, certificate);
            *flags |= MBEDTLS_X509_BADCERT_OTHER;
        }
    }
    return 0;
}

enum tls_refusal tls_verify_outcome(const struct tls_verify *verify, int code)
{
    if (verify->refusal != TLS_ACCEPTED) {
        return verify->refusal;
    }
    switch (code) {
    case MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE:
        return TLS_REFUSED_NO_CERTIFICATE;
    case MBEDTLS_ERR_SSL_CERTIFICATE_VERIFICATION_WITHOUT_HOSTNAME:
        return TLS_REFUSED_WRONG_NAME;
    case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
    case MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE:
    case MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL:
        return TLS_REFUSED_NOT_COMMON;
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
    /* A client on mbedTLS 3.6 that does not believe us says so under a key that is not yet in use
     * with TLS 1.3. */
    case MBEDTLS_ERR_SSL_INVALID_MAC:
        return TLS_REFUSED_PEER_REFUSES;
    case MBEDTLS_ERR_SSL_CONN_EOF:
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        return TLS_REFUSED_DISCONNECTED;
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
        return TLS_REFUSED_NO_MEMORY;
    case MBEDTLS_ERR_SSL_BAD_CERTIFICATE:
        return TLS_REFUSED_UNTRUSTED;
    default:
        return TLS_REFUSED_PROTOCOL;
    }
}
