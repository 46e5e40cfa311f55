/* A configuration of NNG's with our engine: bound to a domain, or filled by NNG's functions. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proto/tls/conn.h"
#include "proto/tls/member.h"

struct nng_tls_engine_config {
    struct tls_domain *domain;
    struct tls_credentials *credentials; /* of its own */
    char *server_name;                   /* NULL: none */
    /* NNG changes nothing any more after the first connection; that one makes them ready. */
    pthread_mutex_t lock;
    bool ready;
};

/* The way past NNG: what nng_tls_config_own_cert, called by this thread, is to bind. */
static _Thread_local struct tls_domain *binding;

static int config_init(nng_tls_engine_config *config, nng_tls_mode mode)
{
    bool client = mode == NNG_TLS_MODE_CLIENT;
    config->credentials = tls_credentials_new(client ? TLS_CLIENT : TLS_SERVER);
    if (config->credentials == NULL) {
        return NNG_ENOMEM;
    }
    /* NNG's defaults. */
    tls_credentials_auth(config->credentials, client ? TLS_AUTH_REQUIRED : TLS_AUTH_NONE);
    (void)pthread_mutex_init(&config->lock, NULL);
    return 0;
}

/* NNG calls it only for those whose init was good. */
static void config_fini(nng_tls_engine_config *config)
{
    tls_credentials_release(config->credentials);
    free(config->server_name);
    (void)pthread_mutex_destroy(&config->lock);
}

static int config_server(nng_tls_engine_config *config, const char *name)
{
    char *copy = name != NULL ? strdup(name) : NULL;
    if (name != NULL && copy == NULL) {
        return NNG_ENOMEM;
    }
    free(config->server_name);
    config->server_name = copy;
    return 0;
}

static int config_auth(nng_tls_engine_config *config, nng_tls_auth_mode mode)
{
    switch (mode) {
    case NNG_TLS_AUTH_MODE_NONE:
        tls_credentials_auth(config->credentials, TLS_AUTH_NONE);
        return 0;
    case NNG_TLS_AUTH_MODE_OPTIONAL:
        tls_credentials_auth(config->credentials, TLS_AUTH_OPTIONAL);
        return 0;
    case NNG_TLS_AUTH_MODE_REQUIRED:
        tls_credentials_auth(config->credentials, TLS_AUTH_REQUIRED);
        return 0;
    }
    return NNG_EINVAL;
}

static int config_ca_chain(nng_tls_engine_config *config, const char *certs, const char *crl)
{
    char error[256];
    if (tls_credentials_ca(config->credentials, certs, error, sizeof error) != 0 ||
        (crl != NULL && tls_credentials_crl(config->credentials, crl, error, sizeof error) != 0)) {
        return NNG_ECRYPTO;
    }
    return 0;
}

static int config_own_cert(nng_tls_engine_config *config, const char *cert, const char *key,
                           const char *password)
{
    char error[256];
    if (binding != NULL) {
        config->domain = binding;
        return 0;
    }
    if (password != NULL) {
        return NNG_ENOTSUP;
    }
    if (tls_credentials_cert(config->credentials, cert, error, sizeof error) != 0 ||
        tls_credentials_key(config->credentials, key, error, sizeof error) != 0) {
        return NNG_ECRYPTO;
    }
    return 0;
}

static int config_psk(nng_tls_engine_config *config, const char *identity, const uint8_t *key,
                      size_t length)
{
    (void)config;
    (void)identity;
    (void)key;
    (void)length;
    return NNG_ENOTSUP;
}

static int config_version(nng_tls_engine_config *config, nng_tls_version least,
                          nng_tls_version most)
{
    if (least > most || most < NNG_TLS_1_2 || least > NNG_TLS_1_3) {
        return NNG_ENOTSUP;
    }
    tls_credentials_versions(
        config->credentials,
        least == NNG_TLS_1_3 ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2,
        most == NNG_TLS_1_2 ? MBEDTLS_SSL_VERSION_TLS1_2 : MBEDTLS_SSL_VERSION_TLS1_3);
    return 0;
}

nng_tls_engine_config_ops tls_config_ops = {
    .size = sizeof(struct nng_tls_engine_config),
    .init = config_init,
    .fini = config_fini,
    .server = config_server,
    .auth = config_auth,
    .ca_chain = config_ca_chain,
    .own_cert = config_own_cert,
    .psk = config_psk,
    .version = config_version,
};

int tls_config_bind(nng_tls_config *config, struct tls_domain *domain)
{
    binding = domain;
    int code = nng_tls_config_own_cert(config, "", "", NULL);
    binding = NULL;
    return code;
}

struct tls_domain *tls_config_domain(const nng_tls_engine_config *config)
{
    return config->domain;
}

struct tls_credentials *tls_config_credentials(nng_tls_engine_config *config)
{
    struct tls_credentials *credentials = NULL;
    (void)pthread_mutex_lock(&config->lock);
    config->ready = config->ready || tls_credentials_ready(config->credentials) == 0;
    if (config->ready) {
        credentials = tls_credentials_hold(config->credentials);
    }
    (void)pthread_mutex_unlock(&config->lock);
    return credentials;
}

const char *tls_config_server_name(const nng_tls_engine_config *config)
{
    return config->server_name != NULL ? config->server_name : "";
}
