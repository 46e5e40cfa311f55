/* Which keys and signatures certificates may have: those of peers and our own are ECDSA on P-256,
 * as the cipher suites want; those of authorities also on P-384 and P-521, or RSA from 2,048 bits;
 * all are signed with SHA-256 or better. Any thread. */
#ifndef ACTIVITY_PROTO_TLS_KEY_H
#define ACTIVITY_PROTO_TLS_KEY_H

#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <stdbool.h>
#include <stddef.h>

/* For a whole chain, as mbedTLS wants it; leaves have to be checked on their own. */
extern const mbedtls_x509_crt_profile tls_key_profile;

bool tls_key_is_leafs(const mbedtls_pk_context *key);
bool tls_key_is_authoritys(const mbedtls_pk_context *key);

/* Writes its kind for people: "RSA, 1024 bits" or "EC, secp384r1". */
void tls_key_name(const mbedtls_pk_context *key, char *to, size_t size);

#endif
