#include "proto/tls/credentials.h"

#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <psa/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/tls/key.h"
#include "proto/tls/pem.h"
#include "proto/tls/random.h"
#include "proto/tls/revocation.h"
#include "proto/tls/suite.h"

struct tls_credentials {
    atomic_uint holders;
    enum tls_role role;
    enum tls_auth auth;
    mbedtls_ssl_protocol_version least;
    mbedtls_ssl_protocol_version most;
    /* NULL as long as it is not given. */
    mbedtls_x509_crt *ca;
    struct tls_revocations *revocations;
    mbedtls_x509_crt *cert;
    mbedtls_pk_context *key;
    mbedtls_ssl_config config;
};

static mbedtls_x509_crt *new_certificates(void)
{
    mbedtls_x509_crt *chain = malloc(sizeof *chain);
    if (chain != NULL) {
        mbedtls_x509_crt_init(chain);
    }
    return chain;
}

static void free_certificates(mbedtls_x509_crt *chain)
{
    if (chain != NULL) {
        mbedtls_x509_crt_free(chain);
        free(chain);
    }
}

/* mbedTLS wipes what it frees. */
static void free_key(mbedtls_pk_context *key)
{
    if (key != NULL) {
        mbedtls_pk_free(key);
        free(key);
    }
}

struct tls_credentials *tls_credentials_new(enum tls_role role)
{
    struct tls_credentials *made =
        psa_crypto_init() == PSA_SUCCESS ? calloc(1, sizeof *made) : NULL;
    if (made == NULL) {
        return NULL;
    }
    atomic_init(&made->holders, 1);
    made->role = role;
    made->auth = TLS_AUTH_REQUIRED;
    made->least = MBEDTLS_SSL_VERSION_TLS1_2;
    made->most = MBEDTLS_SSL_VERSION_TLS1_3;
    mbedtls_ssl_config_init(&made->config);
    return made;
}

struct tls_credentials *tls_credentials_hold(struct tls_credentials *credentials)
{
    (void)atomic_fetch_add_explicit(&credentials->holders, 1, memory_order_relaxed);
    return credentials;
}

void tls_credentials_release(struct tls_credentials *credentials)
{
    if (credentials == NULL || atomic_fetch_sub(&credentials->holders, 1) != 1) {
        return;
    }
    mbedtls_ssl_config_free(&credentials->config);
    free_key(credentials->key);
    free_certificates(credentials->cert);
    tls_revocations_free(credentials->revocations);
    free_certificates(credentials->ca);
    free(credentials);
}

/* ---- Filling ---- */

static int take_certificate(void *context, const unsigned char *der, size_t length)
{
    return mbedtls_x509_crt_parse_der(context, der, length);
}

static const struct tls_pem_kind certificates_in_pem = {.begin = "-----BEGIN CERTIFICATE-----",
                                                        .end = "-----END CERTIFICATE-----",
                                                        .take = take_certificate};

/* NULL with a sentence. */
static mbedtls_x509_crt *read_certificates(const char *text, char *error, size_t size)
{
    char why[160];
    unsigned count = 0;
    mbedtls_x509_crt *chain = new_certificates();
    int code = chain != NULL ? tls_pem_read(text, &certificates_in_pem, chain, &count)
                             : MBEDTLS_ERR_X509_ALLOC_FAILED;
    if (code == 0 && count > 0) {
        return chain;
    }
    if (code != 0) {
        mbedtls_strerror(code, why, sizeof why);
        (void)snprintf(error, size, "certificate number %u cannot be read (%s)", count, why);
    } else {
        (void)snprintf(error, size,
                       "holds no certificate in PEM form: a block that begins with "
                       "-----BEGIN CERTIFICATE-----");
    }
    free_certificates(chain);
    return NULL;
}

/* What does not fit is left out. */
static void write_name(const mbedtls_x509_name *name, char *to, size_t size)
{
    to[0] = '\0';
    (void)mbedtls_x509_dn_gets(to, size, name);
    if (to[0] == '\0') {
        (void)snprintf(to, size, "(no name)");
    }
}

/* mbedTLS would take a certificate that is no authority's for a peer's that is to be believed as it
 * is, past signature and lists. */
static int check_authority(const mbedtls_x509_crt *authority, char *error, size_t size)
{
    char subject[160];
    char key[64];
    write_name(&authority->subject, subject, sizeof subject);
    if (mbedtls_x509_crt_get_ca_istrue(authority) != 1 ||
        mbedtls_x509_crt_check_key_usage(authority, MBEDTLS_X509_KU_KEY_CERT_SIGN) != 0) {
        (void)snprintf(error, size,
                       "the certificate of %s is no authority's (basicConstraints CA:TRUE, and "
                       "keyCertSign if there is a key usage): give that of who signs the peers'",
                       subject);
        return -1;
    }
    if (!tls_key_is_authoritys(&authority->pk)) {
        tls_key_name(&authority->pk, key, sizeof key);
        (void)snprintf(error, size,
                       "the authority %s has a key that is not accepted (%s): take P-256, P-384, "
                       "P-521, or RSA with 2048 bits or more",
                       subject, key);
        return -1;
    }
    return 0;
}

int tls_credentials_ca(struct tls_credentials *credentials, const char *ca, char *error,
                       size_t error_size)
{
    mbedtls_x509_crt *read = read_certificates(ca, error, error_size);
    for (const mbedtls_x509_crt *each = read; each != NULL; each = each->next) {
        if (check_authority(each, error, error_size) != 0) {
            free_certificates(read);
            return -1;
        }
    }
    if (read == NULL) {
        return -1;
    }
    free_certificates(credentials->ca);
    tls_revocations_free(credentials->revocations);
    credentials->ca = read;
    credentials->revocations = NULL;
    return 0;
}

int tls_credentials_crl(struct tls_credentials *credentials, const char *crl, char *error,
                        size_t error_size)
{
    struct tls_revocations *read = NULL;
    if (crl != NULL) {
        read = tls_revocations_read(crl, credentials->ca, error, error_size);
        if (read == NULL) {
            return -1;
        }
    }
    tls_revocations_free(credentials->revocations);
    credentials->revocations = read;
    return 0;
}

/* What mbedTLS asks of its own certificate in each handshake, where it could only fail. */
static bool may_serve(const mbedtls_x509_crt *cert)
{
    return mbedtls_x509_crt_check_key_usage(cert, MBEDTLS_X509_KU_DIGITAL_SIGNATURE) == 0 &&
           mbedtls_x509_crt_check_extended_key_usage(
               cert, MBEDTLS_OID_SERVER_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)) == 0;
}

static int check_own(const struct tls_credentials *credentials, const mbedtls_x509_crt *cert,
                     char *error, size_t size)
{
    char key[64];
    if (!tls_key_is_leafs(&cert->pk)) {
        tls_key_name(&cert->pk, key, sizeof key);
        (void)snprintf(error, size,
                       "the certificate's key (%s) is not for ECDSA on the curve P-256, which our "
                       "cipher suites want: have a certificate issued for a key made with openssl "
                       "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
                       key);
        return -1;
    }
    if (credentials->role == TLS_SERVER && !may_serve(cert)) {
        (void)snprintf(error, size,
                       "the certificate is not made for a server: have one issued whose key usage "
                       "has digitalSignature and whose extended key usage has serverAuth");
        return -1;
    }
    return 0;
}

int tls_credentials_cert(struct tls_credentials *credentials, const char *cert, char *error,
                         size_t error_size)
{
    mbedtls_x509_crt *read = read_certificates(cert, error, error_size);
    if (read == NULL || check_own(credentials, read, error, error_size) != 0) {
        free_certificates(read);
        return -1;
    }
    free_certificates(credentials->cert);
    free_key(credentials->key);
    credentials->cert = read;
    credentials->key = NULL;
    return 0;
}

static int read_key(const char *text, mbedtls_pk_context *key, char *error, size_t size)
{
    char why[160];
    int code = mbedtls_pk_parse_key(key, (const unsigned char *)text, strlen(text) + 1, NULL, 0,
                                    tls_random, NULL);
    if (code == 0) {
        return 0;
    }
    if (code == MBEDTLS_ERR_PK_PASSWORD_REQUIRED) {
        (void)snprintf(error, size,
                       "the private key is encrypted, and passwords are not supported: decrypt it "
                       "with openssl pkey -in FILE -out NEW, and let its file's mode protect it");
    } else if (strstr(text, "-----BEGIN ") == NULL) {
        (void)snprintf(error, size, "holds no private key in PEM form");
    } else {
        mbedtls_strerror(code, why, sizeof why);
        (void)snprintf(error, size, "holds no private key in PEM form that can be read (%s)", why);
    }
    return -1;
}

int tls_credentials_key(struct tls_credentials *credentials, const char *key, char *error,
                        size_t error_size)
{
    mbedtls_pk_context *read = malloc(sizeof *read);
    if (read == NULL) {
        (void)snprintf(error, error_size, "no memory for the private key");
        return -1;
    }
    mbedtls_pk_init(read);
    if (read_key(key, read, error, error_size) != 0) {
        free_key(read);
        return -1;
    }
    if (credentials->cert == NULL ||
        mbedtls_pk_check_pair(&credentials->cert->pk, read, tls_random, NULL) != 0) {
        free_key(read);
        (void)snprintf(error, error_size,
                       "is not the key of the certificate: the two were made apart, or the "
                       "certificate is not the first in its file");
        return -1;
    }
    free_key(credentials->key);
    credentials->key = read;
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

/* P-256 comes first: here a handshake with TLS 1.3 takes each side 0.17 ms less of 3 than with
 * X25519; with TLS 1.2 they are alike. */
static const uint16_t groups[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
                                  MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
                                  MBEDTLS_SSL_IANA_TLS_GROUP_NONE};

/* The first is what handshakes are signed with. The others are for the certificates of authorities:
 * some clients (Java's) hold back their certificate if its issuer's signature is not named here. */
static const uint16_t signatures[] = {
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256, MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512, MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,       MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,       MBEDTLS_TLS1_3_SIG_NONE};

static const int auth_modes[] = {[TLS_AUTH_NONE] = MBEDTLS_SSL_VERIFY_NONE,
                                 [TLS_AUTH_OPTIONAL] = MBEDTLS_SSL_VERIFY_OPTIONAL,
                                 [TLS_AUTH_REQUIRED] = MBEDTLS_SSL_VERIFY_REQUIRED};

static void configure(struct tls_credentials *credentials)
{
    mbedtls_ssl_config *config = &credentials->config;
    mbedtls_ssl_conf_rng(config, tls_random, NULL);
    mbedtls_ssl_conf_min_tls_version(config, credentials->least);
    mbedtls_ssl_conf_max_tls_version(config, credentials->most);
    mbedtls_ssl_conf_authmode(config, auth_modes[credentials->auth]);
    mbedtls_ssl_conf_ca_chain(config, credentials->ca, NULL);
    mbedtls_ssl_conf_cert_profile(config, &tls_key_profile);
    mbedtls_ssl_conf_ciphersuites(config, tls_suite_ids);
    mbedtls_ssl_conf_groups(config, groups);
    mbedtls_ssl_conf_sig_algs(config, signatures);
    mbedtls_ssl_conf_tls13_key_exchange_modes(config,
                                              MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL);
    mbedtls_ssl_conf_renegotiation(config, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    mbedtls_ssl_conf_session_tickets(config, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    if (credentials->role == TLS_SERVER) {
        mbedtls_ssl_conf_new_session_tickets(config, 0);
        /* With TLS 1.3 mbedTLS 3.6 follows the client's order. */
        mbedtls_ssl_conf_preference_order(config, MBEDTLS_SSL_SRV_CIPHERSUITE_ORDER_SERVER);
        /* Told whom we trust, a client without one of theirs sends no certificate, and we could not
         * say whose was refused. */
        mbedtls_ssl_conf_cert_req_ca_list(config, MBEDTLS_SSL_CERT_REQ_CA_LIST_DISABLED);
    }
}

/* An authority that is given as such although another one has revoked it is none: mbedTLS does not
 * look past the first that is given. The roots stay, there is nobody above them. */
static bool is_revoked_authority(const struct tls_credentials *credentials,
                                 const mbedtls_x509_crt *authority)
{
    bool is_root =
        authority->issuer_raw.len == authority->subject_raw.len &&
        memcmp(authority->issuer_raw.p, authority->subject_raw.p, authority->issuer_raw.len) == 0;
    return !is_root && tls_revocations_hold(credentials->revocations, authority);
}

static int drop_revoked_authorities(struct tls_credentials *credentials)
{
    mbedtls_x509_crt *kept = NULL;
    for (const mbedtls_x509_crt *each = credentials->ca; each != NULL; each = each->next) {
        if (is_revoked_authority(credentials, each)) {
            continue;
        }
        if ((kept == NULL && (kept = new_certificates()) == NULL) ||
            mbedtls_x509_crt_parse_der(kept, each->raw.p, each->raw.len) != 0) {
            free_certificates(kept);
            return -1;
        }
    }
    free_certificates(credentials->ca);
    credentials->ca = kept;
    return 0;
}

/* Keys are shared by all threads. mbedTLS 2.28 kept a table in a curve at its first use without a
 * lock. 3.6 has constant tables and locks what RSA keeps (the thread sanitizer, with mbedTLS built
 * for it, finds nothing but counters of its self-test); should a build do otherwise again, the
 * first use has been here. */
static int use_keys_once(struct tls_credentials *credentials)
{
    static const unsigned char hash[32] = {1};
    unsigned char signature[MBEDTLS_PK_SIGNATURE_MAX_SIZE] = {0};
    size_t length = 0;
    if (credentials->key != NULL &&
        (mbedtls_pk_sign(credentials->key, MBEDTLS_MD_SHA256, hash, sizeof hash, signature,
                         sizeof signature, &length, tls_random, NULL) != 0 ||
         mbedtls_pk_verify(&credentials->cert->pk, MBEDTLS_MD_SHA256, hash, sizeof hash, signature,
                           length) != 0)) {
        return -1;
    }
    for (mbedtls_x509_crt *each = credentials->ca; each != NULL; each = each->next) {
        bool rsa = mbedtls_pk_can_do(&each->pk, MBEDTLS_PK_RSA) != 0;
        /* It does not verify, and is computed nevertheless. */
        (void)mbedtls_pk_verify(&each->pk, MBEDTLS_MD_SHA256, hash, sizeof hash, signature,
                                rsa ? mbedtls_pk_get_len(&each->pk) : length);
    }
    return 0;
}

int tls_credentials_ready(struct tls_credentials *credentials)
{
    int endpoint = credentials->role == TLS_SERVER ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;
    if (drop_revoked_authorities(credentials) != 0 ||
        mbedtls_ssl_config_defaults(&credentials->config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
        return -1;
    }
    configure(credentials);
    if (credentials->key != NULL &&
        mbedtls_ssl_conf_own_cert(&credentials->config, credentials->cert, credentials->key) != 0) {
        return -1;
    }
    return use_keys_once(credentials);
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

const mbedtls_x509_crt *tls_credentials_revoked(const struct tls_credentials *credentials,
                                                const mbedtls_x509_crt *chain)
{
    while (chain != NULL && !tls_revocations_hold(credentials->revocations, chain)) {
        chain = chain->next;
    }
    return chain;
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

static void describe_lists(const mbedtls_x509_crl *crl, struct tls_description *description)
{
    for (; crl != NULL; crl = crl->next) {
        uint64_t next_ms = milliseconds_of(&crl->next_update);
        uint64_t first_ms = description->crl_next_update_ms;
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
    if (credentials->cert != NULL) {
        describe_chain(credentials->cert, &description->own);
    }
    if (credentials->ca != NULL) {
        describe_chain(credentials->ca, &description->ca);
    }
    describe_lists(tls_revocations_lists(credentials->revocations), description);
    description->crl_entries = tls_revocations_entries(credentials->revocations);
}
