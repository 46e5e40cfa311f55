/* Lists of revoked certificates (RFC 5280, 5): judged once, when they are read, and then asked.
 *
 * mbedTLS is not given them. It would verify a list's signature for each certificate in each
 * handshake, which made one dearer by a third here; pass over a list that it cannot verify, which
 * revokes nobody; and refuse every peer once a list is out of date, or when an authority has two
 * keys and the list is signed by the other. */
#ifndef ACTIVITY_PROTO_TLS_REVOCATION_H
#define ACTIVITY_PROTO_TLS_REVOCATION_H

#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_revocations;

/* Reads every list in a PEM text. Each must be signed, with SHA-256 or better, by one of the
 * authorities that may sign lists; its dates do not matter. NULL with a sentence in `error`. */
struct tls_revocations *tls_revocations_read(const char *text, mbedtls_x509_crt *authorities,
                                             char *error, size_t error_size);
void tls_revocations_free(struct tls_revocations *revocations); /* accepts NULL */

/* Whether the certificate is on a list of its issuer's, names being alike in either case. NULL
 * holds nobody. Any thread; it takes as long for a list of a million. */
bool tls_revocations_hold(const struct tls_revocations *revocations,
                          const mbedtls_x509_crt *certificate);

/* Certificates on all of them; 0 for NULL. Any thread. */
uint32_t tls_revocations_entries(const struct tls_revocations *revocations);

/* The lists, in the order of the text, linked by `next`; NULL for NULL. */
const mbedtls_x509_crl *tls_revocations_lists(const struct tls_revocations *revocations);

#endif
