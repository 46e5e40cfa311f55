#include "proto/tls/credentials.h"

#include <mbedtls/error.h>
#include <mbedtls/md.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crl.h>
#include <psa/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/tls/random.h"
#include "proto/tls/suite.h"

struct tls_credentials {
    atomic_uint references;
    enum tls_role role;
    enum tls_auth auth;
    mbedtls_ssl_protocol_version least;
    mbedtls_ssl_protocol_version most;
    mbedtls_x509_crt ca;
    mbedtls_x509_crl crl;
    mbedtls_x509_crt cert;
    mbedtls_pk_context key;
    bool has_ca;
    bool has_crl;
    bool has_cert;
    bool has_key;
    mbedtls_ssl_config config;
};

struct tls_credentials *tls_credentials_new(enum tls_role role)
{
    struct tls_credentials *made =
        psa_crypto_init() == PSA_SUCCESS ? calloc(1, sizeof *made) : NULL;
    if (made == NULL) {
        return NULL;
    }
    atomic_init(&made->references, 1);
    made->role = role;
    made->auth = TLS_AUTH_REQUIRED;
    made->least = MBEDTLS_SSL_VERSION_TLS1_2;
    made->most = MBEDTLS_SSL_VERSION_TLS1_3;
    mbedtls_x509_crt_init(&made->ca);
    mbedtls_x509_crl_init(&made->crl);
    mbedtls_x509_crt_init(&made->cert);
    mbedtls_pk_init(&made->key);
    mbedtls_ssl_config_init(&made->config);
    return made;
}

struct tls_credentials *tls_credentials_hold(struct tls_credentials *credentials)
{
    (void)atomic_fetch_add(&credentials->references, 1);
    return credentials;
}

/* mbedTLS wipes what it frees. */
void tls_credentials_release(struct tls_credentials *credentials)
{
    if (credentials == NULL || atomic_fetch_sub(&credentials->references, 1) != 1) {
        return;
    }
    mbedtls_ssl_config_free(&credentials->config);
    mbedtls_pk_free(&credentials->key);
    mbedtls_x509_crt_free(&credentials->cert);
    mbedtls_x509_crl_free(&credentials->crl);
    mbedtls_x509_crt_free(&credentials->ca);
    free(credentials);
}

/* ---- Filling ---- */

static int refuse(const char *what, int code, char *error, size_t size)
{
    char text[160];
    mbedtls_strerror(code, text, sizeof text);
    (void)snprintf(error, size, "%s (%s)", what, text);
    return -1;
}

/* How many blocks begin. One without its end, of a file that was cut, is nothing to mbedTLS, and
 * what stands before it is taken. */
static size_t count_blocks(const char *pem, const char *begin)
{
    size_t count = 0;
    for (const char *at = strstr(pem, begin); at != NULL; at = strstr(at + 1, begin)) {
        count++;
    }
    return count;
}

/* mbedTLS takes what it understands of several and counts the others. */
static int parse_certificates(const char *pem, mbedtls_x509_crt *to, char *error, size_t size)
{
    mbedtls_x509_crt_init(to);
    int code = mbedtls_x509_crt_parse(to, (const unsigned char *)pem, strlen(pem) + 1);
    size_t parsed = 0;
    for (const mbedtls_x509_crt *each = to; code == 0 && each != NULL; each = each->next) {
        parsed++;
    }
    if (code == 0 && parsed != count_blocks(pem, "-----BEGIN CERTIFICATE-----")) {
        code = MBEDTLS_ERR_X509_INVALID_FORMAT;
    }
    if (code != 0) {
        mbedtls_x509_crt_free(to);
        return refuse("holds no good certificate in PEM form",
                      code > 0 ? MBEDTLS_ERR_X509_INVALID_FORMAT : code, error, size);
    }
    return 0;
}

int tls_credentials_ca(struct tls_credentials *credentials, const char *ca, char *error,
                       size_t error_size)
{
    mbedtls_x509_crt parsed;
    if (parse_certificates(ca, &parsed, error, error_size) != 0) {
        return -1;
    }
    mbedtls_x509_crt_free(&credentials->ca);
    credentials->ca = parsed;
    credentials->has_ca = true;
    return 0;
}

/* mbedTLS checks a list's signature at each handshake and passes over a bad one silently, which
 * would revoke nobody. */
static bool is_signed_by(const mbedtls_x509_crl *crl, mbedtls_x509_crt *ca)
{
    unsigned char hash[MBEDTLS_MD_MAX_SIZE];
    mbedtls_md_type_t kind = crl->MBEDTLS_PRIVATE(sig_md);
    const mbedtls_md_info_t *md = mbedtls_md_info_from_type(kind);
    const mbedtls_x509_buf *signature = &crl->MBEDTLS_PRIVATE(sig);
    return crl->issuer_raw.len == ca->subject_raw.len &&
           memcmp(crl->issuer_raw.p, ca->subject_raw.p, ca->subject_raw.len) == 0 &&
           mbedtls_x509_crt_check_key_usage(ca, MBEDTLS_X509_KU_CRL_SIGN) == 0 && md != NULL &&
           mbedtls_md(md, crl->tbs.p, crl->tbs.len, hash) == 0 &&
           mbedtls_pk_verify_ext(crl->MBEDTLS_PRIVATE(sig_pk), crl->MBEDTLS_PRIVATE(sig_opts),
                                 &ca->pk, kind, hash, mbedtls_md_get_size(md), signature->p,
                                 signature->len) == 0;
}

static int check_signer(const mbedtls_x509_crl *crl, mbedtls_x509_crt *ca, char *error, size_t size)
{
    char issuer[256] = "?";
    for (; ca != NULL; ca = ca->next) {
        if (is_signed_by(crl, ca)) {
            return 0;
        }
    }
    (void)mbedtls_x509_dn_gets(issuer, sizeof issuer, &crl->issuer);
    (void)snprintf(error, size,
                   "the list of revocations by %s is signed by none of the authorities (or by one "
                   "that may not sign lists)",
                   issuer);
    return -1;
}

int tls_credentials_crl(struct tls_credentials *credentials, const char *crl, char *error,
                        size_t error_size)
{
    mbedtls_x509_crl parsed;
    mbedtls_x509_crl_init(&parsed);
    int code = mbedtls_x509_crl_parse(&parsed, (const unsigned char *)crl, strlen(crl) + 1);
    size_t count = 0;
    for (const mbedtls_x509_crl *each = &parsed; code == 0 && each != NULL; each = each->next) {
        count++;
    }
    if (code == 0 && count != count_blocks(crl, "-----BEGIN X509 CRL-----")) {
        code = MBEDTLS_ERR_X509_INVALID_FORMAT;
    }
    if (code != 0) {
        mbedtls_x509_crl_free(&parsed);
        return refuse("holds no good list of revocations in PEM form", code, error, error_size);
    }
    for (const mbedtls_x509_crl *each = &parsed; each != NULL; each = each->next) {
        if (check_signer(each, credentials->has_ca ? &credentials->ca : NULL, error, error_size) !=
            0) {
            mbedtls_x509_crl_free(&parsed);
            return -1;
        }
    }
    mbedtls_x509_crl_free(&credentials->crl);
    credentials->crl = parsed;
    credentials->has_crl = true;
    return 0;
}

static bool is_p256(const mbedtls_pk_context *key)
{
    return mbedtls_pk_can_do(key, MBEDTLS_PK_ECDSA) &&
           mbedtls_ecp_keypair_get_group_id(mbedtls_pk_ec(*key)) == MBEDTLS_ECP_DP_SECP256R1;
}

int tls_credentials_cert(struct tls_credentials *credentials, const char *cert, char *error,
                         size_t error_size)
{
    mbedtls_x509_crt parsed;
    if (parse_certificates(cert, &parsed, error, error_size) != 0) {
        return -1;
    }
    if (!is_p256(&parsed.pk)) {
        (void)snprintf(error, error_size,
                       "the certificate's key is not on the curve P-256, which is all that we use: "
                       "have one issued for an ECDSA key on prime256v1");
        mbedtls_x509_crt_free(&parsed);
        return -1;
    }
    mbedtls_x509_crt_free(&credentials->cert);
    credentials->cert = parsed;
    credentials->has_cert = true;
    credentials->has_key = false;
    return 0;
}

int tls_credentials_key(struct tls_credentials *credentials, const char *key, char *error,
                        size_t error_size)
{
    mbedtls_pk_context parsed;
    mbedtls_pk_init(&parsed);
    int code = mbedtls_pk_parse_key(&parsed, (const unsigned char *)key, strlen(key) + 1, NULL, 0,
                                    tls_random, NULL);
    if (code == MBEDTLS_ERR_PK_PASSWORD_REQUIRED) {
        (void)snprintf(error, error_size,
                       "the private key has a password, which is not supported: protect the file "
                       "by its mode instead");
        return -1;
    }
    if (code != 0) {
        return refuse("holds no private key in PEM form", code, error, error_size);
    }
    if (!credentials->has_cert ||
        mbedtls_pk_check_pair(&credentials->cert.pk, &parsed, tls_random, NULL) != 0) {
        mbedtls_pk_free(&parsed);
        (void)snprintf(error, error_size, "is not the key of the certificate");
        return -1;
    }
    mbedtls_pk_free(&credentials->key);
    credentials->key = parsed;
    credentials->has_key = true;
    return 0;
}

void tls_credentials_auth(struct tls_credentials *credentials, enum tls_auth auth)
{
    credentials->auth = auth;
}

void tls_credentials_versions(struct tls_credentials *credentials, mbedtls_ssl_protocol_version min,
                              mbedtls_ssl_protocol_version max)
{
    credentials->least = min;
    credentials->most = max;
}

/* ---- Making ready ---- */

/* What certificates may be: those of authorities may be signed by RSA or larger curves. */
static const mbedtls_x509_crt_profile profile = {
    .allowed_mds = MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA256) |
                   MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA384) |
                   MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA512),
    .allowed_pks = 0xfffffff,
    .allowed_curves = MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP256R1) |
                      MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP384R1) |
                      MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP521R1),
    .rsa_min_bitlen = 2048,
};

static const uint16_t groups[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
                                  MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
                                  MBEDTLS_SSL_IANA_TLS_GROUP_NONE};

/* The first is for handshakes, the others for the certificates of authorities. */
static const uint16_t signatures[] = {
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256, MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512, MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,       MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,       MBEDTLS_TLS1_3_SIG_NONE};

static void configure(struct tls_credentials *credentials)
{
    mbedtls_ssl_config *config = &credentials->config;
    mbedtls_ssl_conf_rng(config, tls_random, NULL);
    mbedtls_ssl_conf_min_tls_version(config, credentials->least);
    mbedtls_ssl_conf_max_tls_version(config, credentials->most);
    mbedtls_ssl_conf_ciphersuites(config, tls_suite_ids);
    mbedtls_ssl_conf_groups(config, groups);
    mbedtls_ssl_conf_sig_algs(config, signatures);
    mbedtls_ssl_conf_cert_profile(config, &profile);
    mbedtls_ssl_conf_renegotiation(config, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    mbedtls_ssl_conf_session_tickets(config, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    if (credentials->role == TLS_SERVER) {
        mbedtls_ssl_conf_new_session_tickets(config, 0);
        mbedtls_ssl_conf_preference_order(config, MBEDTLS_SSL_SRV_CIPHERSUITE_ORDER_SERVER);
    }
    static const int modes[] = {[TLS_AUTH_NONE] = MBEDTLS_SSL_VERIFY_NONE,
                                [TLS_AUTH_OPTIONAL] = MBEDTLS_SSL_VERIFY_OPTIONAL,
                                [TLS_AUTH_REQUIRED] = MBEDTLS_SSL_VERIFY_REQUIRED};
    mbedtls_ssl_conf_authmode(config, modes[credentials->auth]);
    if (credentials->has_ca) {
        mbedtls_ssl_conf_ca_chain(config, &credentials->ca,
                                  credentials->has_crl ? &credentials->crl : NULL);
    }
}

/* What a key computes at its first use it keeps, without a lock: elliptic curves in mbedTLS 2.28,
 * RSA's helpers still in 3.6. */
static int warm(struct tls_credentials *credentials)
{
    static const unsigned char hash[32] = {1};
    unsigned char signature[MBEDTLS_PK_SIGNATURE_MAX_SIZE] = {0};
    size_t length = 0;
    if (credentials->has_key &&
        (mbedtls_pk_sign(&credentials->key, MBEDTLS_MD_SHA256, hash, sizeof hash, signature,
                         sizeof signature, &length, tls_random, NULL) != 0 ||
         mbedtls_pk_verify(&credentials->cert.pk, MBEDTLS_MD_SHA256, hash, sizeof hash, signature,
                           length) != 0)) {
        return -1;
    }
    for (mbedtls_x509_crt *ca = credentials->has_ca ? &credentials->ca : NULL; ca != NULL;
         ca = ca->next) {
        bool rsa = mbedtls_pk_can_do(&ca->pk, MBEDTLS_PK_RSA) != 0;
        (void)mbedtls_pk_verify(&ca->pk, MBEDTLS_MD_SHA256, hash, sizeof hash, signature,
                                rsa ? mbedtls_pk_get_len(&ca->pk) : length);
    }
    return 0;
}

int tls_credentials_ready(struct tls_credentials *credentials)
{
    int endpoint = credentials->role == TLS_SERVER ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;
    if (mbedtls_ssl_config_defaults(&credentials->config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
        return -1;
    }
    configure(credentials);
    if (credentials->has_key && mbedtls_ssl_conf_own_cert(&credentials->config, &credentials->cert,
                                                          &credentials->key) != 0) {
        return -1;
    }
    return warm(credentials);
}

/* ---- Ready ones ---- */

const mbedtls_ssl_config *tls_credentials_config(const struct tls_credentials *credentials)
{
    return &credentials->config;
}

enum tls_role tls_credentials_role(const struct tls_credentials *credentials)
{
    return credentials->role;
}

enum tls_auth tls_credentials_required(const struct tls_credentials *credentials)
{
    return credentials->auth;
}

static bool is_listed(const mbedtls_x509_crl *crl, const mbedtls_x509_crt *certificate)
{
    return crl->issuer_raw.len == certificate->issuer_raw.len &&
           memcmp(crl->issuer_raw.p, certificate->issuer_raw.p, crl->issuer_raw.len) == 0 &&
           mbedtls_x509_crt_is_revoked(certificate, crl) != 0;
}

bool tls_credentials_revoked(const struct tls_credentials *credentials,
                             const mbedtls_x509_crt *chain)
{
    for (; chain != NULL && credentials->has_crl; chain = chain->next) {
        for (const mbedtls_x509_crl *crl = &credentials->crl; crl != NULL; crl = crl->next) {
            if (is_listed(crl, chain)) {
                return true;
            }
        }
    }
    return false;
}

/* 0: there is none. */
static uint64_t milliseconds_of(const mbedtls_x509_time *time)
{
    struct tm parts = {.tm_year = time->year - 1900,
                       .tm_mon = time->mon - 1,
                       .tm_mday = time->day,
                       .tm_hour = time->hour,
                       .tm_min = time->min,
                       .tm_sec = time->sec};
    time_t seconds = time->year == 0 ? 0 : timegm(&parts);
    return seconds > 0 ? (uint64_t)seconds * 1000 : 0;
}

static void write_name(const mbedtls_x509_name *name, char *to, size_t size)
{
    if (mbedtls_x509_dn_gets(to, size, name) < 0) {
        to[0] = '\0'; /* longer than that */
    }
}

static void describe_chain(const mbedtls_x509_crt *chain, struct tls_certificate *certificate)
{
    const mbedtls_x509_crt *first = chain;
    for (const mbedtls_x509_crt *each = chain; each != NULL; each = each->next) {
        if (milliseconds_of(&each->valid_to) < milliseconds_of(&first->valid_to)) {
            first = each;
        }
    }
    write_name(&first->subject, certificate->subject, sizeof certificate->subject);
    certificate->not_after_ms = milliseconds_of(&first->valid_to);
}

static uint32_t count_entries(const mbedtls_x509_crl *crl)
{
    uint32_t count = 0;
    /* The first entry is part of the list, and empty when there is none. */
    for (const mbedtls_x509_crl_entry *each = &crl->entry; each != NULL && each->raw.len > 0;
         each = each->next) {
        count++;
    }
    return count;
}

static void describe_lists(const mbedtls_x509_crl *crl, struct tls_description *description)
{
    for (; crl != NULL; crl = crl->next) {
        uint64_t next_ms = milliseconds_of(&crl->next_update);
        uint64_t first_ms = description->crl_next_update_ms;
        description->crl_entries += count_entries(crl);
        if (description->crl_count++ == 0 ||
            (next_ms != 0 && (first_ms == 0 || next_ms < first_ms))) {
            description->crl_next_update_ms = next_ms;
            write_name(&crl->issuer, description->crl_issuer, sizeof description->crl_issuer);
        }
    }
}

void tls_credentials_describe(const struct tls_credentials *credentials,
                              struct tls_description *description)
{
    memset(description, 0, sizeof *description);
    if (credentials->has_cert) {
        describe_chain(&credentials->cert, &description->own);
    }
    if (credentials->has_ca) {
        describe_chain(&credentials->ca, &description->ca);
    }
    if (credentials->has_crl) {
        describe_lists(&credentials->crl, description);
    }
}
