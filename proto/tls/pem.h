/* Texts in PEM form (RFC 7468) that hold blocks of one kind, of which mbedTLS would skip bad ones:
 * here each must be good. */
#ifndef ACTIVITY_PROTO_TLS_PEM_H
#define ACTIVITY_PROTO_TLS_PEM_H

#include <stddef.h>

struct tls_pem_kind {
    const char *begin; /* "-----BEGIN X509 CRL-----" */
    const char *end;
    /* Takes one block's content, borrowed. Returns 0 or mbedTLS's error. */
    int (*take)(void *context, const unsigned char *der, size_t length);
};

/* Gives every block of the kind to its `take`; what else stands in the text does not matter.
 * Returns 0 with their number in *count (also 0), or mbedTLS's error for block *count, the first
 * being 1: of `take`, or since it is not whole. Any thread. */
__attribute__((warn_unused_result)) int
tls_pem_read(const char *text, const struct tls_pem_kind *kind, void *context, unsigned *count);

#endif
