#include "proto/tls/verify.h"

#include <mbedtls/asn1.h>
#include <mbedtls/bignum.h>
#include <mbedtls/ecp.h>
#include <mbedtls/md.h>
#include <mbedtls/rsa.h>
#include <mbedtls/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/tls/key.h"
#include "proto/tls/leaf.h"
#include "proto/tls/san.h"

/* What mbedTLS finds, the most telling first: what a foreign certificate says of itself does not
 * matter, and one that is revoked would not be mended by a later date. */
static const struct {
    uint32_t flags;
    enum tls_refusal refusal;
} meanings[] = {
    {MBEDTLS_X509_BADCERT_NOT_TRUSTED, TLS_REFUSED_UNTRUSTED},
    {MBEDTLS_X509_BADCERT_REVOKED, TLS_REFUSED_REVOKED},
    {MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY,
     TLS_REFUSED_BAD_KEY_OR_HASH},
    {MBEDTLS_X509_BADCERT_EXPIRED, TLS_REFUSED_EXPIRED},
    {MBEDTLS_X509_BADCERT_FUTURE, TLS_REFUSED_NOT_YET_VALID},
    {MBEDTLS_X509_BADCERT_CN_MISMATCH, TLS_REFUSED_WRONG_NAME},
};

enum { MEANINGS = sizeof meanings / sizeof meanings[0] };

/* How far down its place is. */
static size_t rank_of(enum tls_refusal refusal)
{
    size_t rank = 0;
    while (rank < MEANINGS && meanings[rank].refusal != refusal) {
        rank++;
    }
    return rank;
}

static enum tls_refusal meaning_of(uint32_t flags)
{
    for (size_t i = 0; i < MEANINGS; i++) {
        if ((flags & meanings[i].flags) != 0) {
            return meanings[i].refusal;
        }
    }
    return TLS_REFUSED_UNTRUSTED; /* for a reason that is not known here */
}

/* ---- Details ---- */

/* Cut where there is no place for more. */
__attribute__((format(printf, 2, 3))) static void add(struct tls_verify *verify, const char *format,
                                                      ...)
{
    size_t length = strlen(verify->detail);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(verify->detail + length, sizeof verify->detail - length, format, args);
    va_end(args);
}

static void add_name(struct tls_verify *verify, const char *before, const mbedtls_x509_name *name)
{
    char text[72] = "";
    int code = mbedtls_x509_dn_gets(text, sizeof text, name);
    add(verify, "%s%s%s", before, text[0] != '\0' ? text : "(no name)", code < 0 ? "..." : "");
}

static void add_day(struct tls_verify *verify, const char *before, const mbedtls_x509_time *time)
{
    add(verify, "%s%04d-%02d-%02d", before, time->year, time->mon, time->day);
}

/* Whether it comes next in what the peer has sent, as it should. */
static bool is_issuer(const mbedtls_x509_crt *next, const mbedtls_x509_crt *certificate)
{
    size_t length = certificate->issuer_raw.len;
    return next != NULL && length > 0 && next->subject_raw.len == length &&
           memcmp(next->subject_raw.p, certificate->issuer_raw.p, length) == 0;
}

/* mbedTLS blames a certificate for its issuer's key, too. */
static void add_key(struct tls_verify *verify, const mbedtls_x509_crt *certificate)
{
    char key[64];
    const mbedtls_md_info_t *digest =
        mbedtls_md_info_from_type(certificate->MBEDTLS_PRIVATE(sig_md));
    tls_key_name(&certificate->pk, key, sizeof key);
    add(verify, ": key %s, signed with %s", key,
        digest != NULL ? mbedtls_md_get_name(digest) : "an unknown hash");
    if (is_issuer(certificate->next, certificate)) {
        tls_key_name(&certificate->next->pk, key, sizeof key);
        add(verify, " by %s", key);
    }
}

/* They are visible ASCII. */
static void add_uris(struct tls_verify *verify, const mbedtls_x509_crt *certificate)
{
    struct tls_san san;
    struct view names;
    enum tls_san_outcome outcome =
        tls_san_find((struct view){certificate->v3_ext.p, certificate->v3_ext.len}, &names);
    while (outcome == TLS_SAN_READ && (outcome = tls_san_next(&names, &san)) == TLS_SAN_READ) {
        if (san.kind == TLS_SAN_URI) {
            add(verify, ", URI %.*s", (int)san.value.length, (const char *)san.value.bytes);
        }
    }
}

static void add_what(struct tls_verify *verify, const mbedtls_x509_crt *certificate)
{
    switch (verify->refusal) {
    case TLS_REFUSED_UNTRUSTED:
        add_name(verify, " by ", &certificate->issuer);
        break;
    case TLS_REFUSED_EXPIRED:
        add_day(verify, ", until ", &certificate->valid_to);
        break;
    case TLS_REFUSED_NOT_YET_VALID:
        add_day(verify, ", from ", &certificate->valid_from);
        break;
    case TLS_REFUSED_BAD_KEY_OR_HASH:
        add_key(verify, certificate);
        break;
    case TLS_REFUSED_SEVERAL_SPIFFE_IDS:
    case TLS_REFUSED_BAD_SPIFFE_ID:
    case TLS_REFUSED_FOREIGN_TRUST_DOMAIN:
        add_uris(verify, certificate);
        break;
    case TLS_REFUSED_WRONG_NAME:
        add(verify, ", for %s", verify->server_name[0] != '\0' ? verify->server_name : "no name");
        break;
    default:
        break;
    }
}

static void refuse(struct tls_verify *verify, enum tls_refusal refusal,
                   const mbedtls_x509_crt *certificate)
{
    if (verify->refusal != TLS_ACCEPTED && rank_of(verify->refusal) <= rank_of(refusal)) {
        return;
    }
    verify->refusal = refusal;
    verify->detail[0] = '\0';
    add_name(verify, "certificate of ", &certificate->subject);
    add_what(verify, certificate);
}

/* ---- Judging ---- */

static enum tls_refusal judge_leaf(struct tls_verify *verify, const mbedtls_x509_crt *leaf)
{
    if (!tls_key_is_leafs(&leaf->pk)) {
        return TLS_REFUSED_BAD_KEY_OR_HASH;
    }
    if (verify->role == TLS_CLIENT) {
        return tls_leaf_server(leaf, verify->server_name);
    }
    return verify->spiffe ? tls_leaf_client(leaf, verify->trust_domain, verify->principal)
                          : TLS_ACCEPTED;
}

/* mbedTLS asks about the leaf last, and its `next` is what else the peer has sent. */
static void judge_chain(struct tls_verify *verify, const mbedtls_x509_crt *leaf, uint32_t *flags)
{
    const mbedtls_x509_crt *revoked = verify->refusal != TLS_REFUSED_UNTRUSTED
                                          ? tls_credentials_revoked(verify->credentials, leaf)
                                          : NULL;
    if (revoked != NULL) {
        *flags |= MBEDTLS_X509_BADCERT_REVOKED;
        refuse(verify, TLS_REFUSED_REVOKED, revoked);
    }
    verify->judged = true;
    enum tls_refusal refusal =
        verify->refusal == TLS_ACCEPTED ? judge_leaf(verify, leaf) : TLS_ACCEPTED;
    if (refusal != TLS_ACCEPTED) {
        *flags |= MBEDTLS_X509_BADCERT_OTHER;
        refuse(verify, refusal, leaf);
    }
}

int tls_verify_step(void *context, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
    struct tls_verify *verify = context;
    if (*flags != 0) {
        refuse(verify, meaning_of(*flags), certificate);
    }
    if (depth == 0) {
        judge_chain(verify, certificate, flags);
    }
    return 0;
}

/* ---- What an error means ---- */

/* mbedTLS adds a lower module's code (up to 0x7F) to one of its own. */
static int lower_of(int code)
{
    return -(-code & 0x7F);
}

static int without_lower(int code)
{
    return code - lower_of(code);
}

static bool is_no_memory(int code)
{
    if (lower_of(code) == MBEDTLS_ERR_MPI_ALLOC_FAILED ||
        lower_of(code) == MBEDTLS_ERR_ASN1_ALLOC_FAILED) {
        return true;
    }
    switch (without_lower(code)) {
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
    case MBEDTLS_ERR_X509_ALLOC_FAILED:
    case MBEDTLS_ERR_PK_ALLOC_FAILED:
    case MBEDTLS_ERR_ECP_ALLOC_FAILED:
    case MBEDTLS_ERR_MD_ALLOC_FAILED:
        return true;
    default:
        return false;
    }
}

/* Of the parsers of certificates and of the keys in them. */
static bool is_unreadable(int code)
{
    bool certificate =
        code <= MBEDTLS_ERR_X509_FEATURE_UNAVAILABLE && code > MBEDTLS_ERR_X509_FATAL_ERROR;
    bool key = code <= MBEDTLS_ERR_PK_BUFFER_TOO_SMALL && code >= MBEDTLS_ERR_PK_ALLOC_FAILED;
    return certificate || key;
}

enum tls_refusal tls_verify_outcome(const struct tls_verify *verify, int code)
{
    if (verify->refusal != TLS_ACCEPTED) {
        return verify->refusal;
    }
    if (is_no_memory(code)) {
        return TLS_REFUSED_NO_MEMORY;
    }
    switch (without_lower(code)) {
    case MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE:
        return TLS_REFUSED_NO_CERTIFICATE;
    case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
        return TLS_REFUSED_NOT_COMMON;
    case MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE: /* TLS 1.3 means the signature by it, too */
        return verify->judged ? TLS_REFUSED_NOT_ITS_KEY : TLS_REFUSED_NOT_COMMON;
    case MBEDTLS_ERR_ECP_VERIFY_FAILED:
    case MBEDTLS_ERR_RSA_VERIFY_FAILED:
        return TLS_REFUSED_NOT_ITS_KEY;
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
    case MBEDTLS_ERR_SSL_INVALID_MAC: /* TLS 1.3: mbedTLS's clients send that alert in the clear */
        return TLS_REFUSED_PEER_REFUSES;
    case MBEDTLS_ERR_SSL_CONN_EOF:
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        return TLS_REFUSED_DISCONNECTED;
    case MBEDTLS_ERR_SSL_CA_CHAIN_REQUIRED: /* we trust nobody */
    case MBEDTLS_ERR_X509_FATAL_ERROR:      /* a chain of more than ten */
        return TLS_REFUSED_UNTRUSTED;
    case MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG:
    case MBEDTLS_ERR_PK_UNKNOWN_PK_ALG:
    case MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE:
    case MBEDTLS_ERR_PK_INVALID_ALG:
        return TLS_REFUSED_BAD_KEY_OR_HASH;
    case MBEDTLS_ERR_SSL_BAD_CERTIFICATE: /* a client without `spiffe`: what mbedTLS asks, too */
        return TLS_REFUSED_BAD_USAGE;
    default:
        return is_unreadable(code) ? TLS_REFUSED_MALFORMED : TLS_REFUSED_PROTOCOL;
    }
}
