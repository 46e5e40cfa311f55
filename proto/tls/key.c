#include "proto/tls/key.h"

#include <mbedtls/ecp.h>
#include <stdio.h>

#define BIT(id) MBEDTLS_X509_ID_FLAG(id)

enum { RSA_BITS_MIN = 2048 };

const mbedtls_x509_crt_profile tls_key_profile = {
    .allowed_mds = BIT(MBEDTLS_MD_SHA256) | BIT(MBEDTLS_MD_SHA384) | BIT(MBEDTLS_MD_SHA512),
    .allowed_pks = BIT(MBEDTLS_PK_ECKEY) | BIT(MBEDTLS_PK_ECDSA) | BIT(MBEDTLS_PK_RSA) |
                   BIT(MBEDTLS_PK_RSASSA_PSS),
    .allowed_curves = BIT(MBEDTLS_ECP_DP_SECP256R1) | BIT(MBEDTLS_ECP_DP_SECP384R1) |
                      BIT(MBEDTLS_ECP_DP_SECP521R1),
    .rsa_min_bitlen = RSA_BITS_MIN,
};

static mbedtls_ecp_group_id curve_of(const mbedtls_pk_context *key)
{
    return mbedtls_pk_can_do(key, MBEDTLS_PK_ECDSA)
               ? mbedtls_ecp_keypair_get_group_id(mbedtls_pk_ec(*key))
               : MBEDTLS_ECP_DP_NONE;
}

bool tls_key_is_leafs(const mbedtls_pk_context *key)
{
    return curve_of(key) == MBEDTLS_ECP_DP_SECP256R1;
}

bool tls_key_is_authoritys(const mbedtls_pk_context *key)
{
    switch (curve_of(key)) {
    case MBEDTLS_ECP_DP_SECP256R1:
    case MBEDTLS_ECP_DP_SECP384R1:
    case MBEDTLS_ECP_DP_SECP521R1:
        return true;
    default:
        return mbedtls_pk_can_do(key, MBEDTLS_PK_RSA) != 0 &&
               mbedtls_pk_get_bitlen(key) >= RSA_BITS_MIN;
    }
}

void tls_key_name(const mbedtls_pk_context *key, char *to, size_t size)
{
    const mbedtls_ecp_curve_info *curve = mbedtls_ecp_curve_info_from_grp_id(curve_of(key));
    if (curve != NULL) {
        (void)snprintf(to, size, "EC, %s", curve->name);
    } else {
        (void)snprintf(to, size, "%s, %zu bits", mbedtls_pk_get_name(key),
                       mbedtls_pk_get_bitlen(key));
    }
}
