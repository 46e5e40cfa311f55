/* The cipher suites that we speak: ECDHE with ECDSA certificates, ChaCha20-Poly1305 before AES-GCM,
 * which is slower here. Any thread. */
#ifndef ACTIVITY_PROTO_TLS_SUITE_H
#define ACTIVITY_PROTO_TLS_SUITE_H

#define TLS_SUITE_COUNT 6

/* mbedTLS's numbers of all of them, the best first, then 0. */
extern const int tls_suite_ids[TLS_SUITE_COUNT + 1];

/* mbedTLS's number to an index below TLS_SUITE_COUNT; TLS_SUITE_COUNT for a foreign one. */
unsigned tls_suite_index(int ciphersuite_id);
/* As IANA spells it, for example TLS_CHACHA20_POLY1305_SHA256; "" for TLS_SUITE_COUNT. */
const char *tls_suite_name(unsigned index);
/* "1.2" or "1.3"; "" for TLS_SUITE_COUNT. */
const char *tls_suite_version(unsigned index);

#endif
