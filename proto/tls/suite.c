#include "proto/tls/suite.h"

#include <mbedtls/ssl_ciphersuites.h>

const int tls_suite_ids[TLS_SUITE_COUNT + 1] = {
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
    MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    0,
};

static const struct {
    const char *version;
    const char *name;
} suites[TLS_SUITE_COUNT + 1] = {
    {"1.3", "TLS_CHACHA20_POLY1305_SHA256"},
    {"1.3", "TLS_AES_128_GCM_SHA256"},
    {"1.3", "TLS_AES_256_GCM_SHA384"},
    {"1.2", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
    {"1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
    {"1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    {"", ""},
};

unsigned tls_suite_index(int ciphersuite_id)
{
    unsigned index = 0;
    while (index < TLS_SUITE_COUNT && tls_suite_ids[index] != ciphersuite_id) {
        index++;
    }
    return index;
}

const char *tls_suite_name(unsigned index)
{
    return suites[index].name;
}

const char *tls_suite_version(unsigned index)
{
    return suites[index].version;
}
