/* Any bytes as the extensions of a certificate, or (first byte odd) as a list of GeneralNames. What
 * is read is written again and must give the same bytes, since DER knows one form; and what mbedTLS
 * finds in a certificate with these extensions are the same names, if both find it good. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include "proto/tls/san.h"
#include "tests/unit/proto/tls/mint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NAMES_MAX = 256, INPUT_MAX = 4096 };

/* A certificate but for its extensions, and what stands before and after them. */
static struct der before;
static struct der after;

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

/* Of version 3 with one unknown extension, in whose place others are put. */
static void make_certificate(void)
{
    struct mint_key key;
    struct der extensions = {0};
    struct der whole;
    const struct mint_leaf leaf = {.authority = MINT_LEFT_OUT,
                                   .usage = MINT_LEFT_OUT,
                                   .purposes = MINT_LEFT_OUT,
                                   .unknown = 1};
    check(psa_crypto_init() == PSA_SUCCESS);
    mint_key_make(&key, MINT_RSA_1024); /* read faster than one of a curve */
    mint_leaf(&extensions, &leaf);
    const struct mint_order order = {.subject = "leaf",
                                     .issuer = "root",
                                     .key = &key,
                                     .issuer_key = &key,
                                     .extensions = &extensions};
    mint_certificate(&order, &whole);
    mbedtls_x509_crt parsed;
    mbedtls_x509_crt_init(&parsed);
    check(mbedtls_x509_crt_parse_der(&parsed, whole.bytes, whole.length) == 0);
    const uint8_t *body = parsed.tbs.p + 4; /* behind its tag and length */
    const uint8_t *end = parsed.v3_ext.p + parsed.v3_ext.len;
    const uint8_t *begin = parsed.v3_ext.p - 2; /* [3] and its length */
    der_put(&before, body, (size_t)(begin - body));
    der_put(&after, end, (size_t)(parsed.raw.p + parsed.raw.len - end));
    mbedtls_x509_crt_free(&parsed);
    mint_key_free(&key);
}

static void write_certificate(struct view extensions, struct der *der)
{
    der->length = 0;
    der_put(der, before.bytes, before.length);
    der_element(der, DER_EXTENSIONS, extensions.bytes, extensions.length);
    der_wrap(der, 0, DER_SEQUENCE);
    der_put(der, after.bytes, after.length);
    der_wrap(der, 0, DER_SEQUENCE);
}

/* Reads all; returns how many, or NAMES_MAX + 1: malformed. */
static size_t read_names(struct view names, struct tls_san *sans)
{
    static struct der again;
    size_t count = 0;
    for (;;) {
        const struct view rest = names;
        struct tls_san san;
        enum tls_san_outcome outcome = tls_san_next(&names, &san);
        if (outcome == TLS_SAN_MALFORMED) {
            return NAMES_MAX + 1;
        }
        if (outcome == TLS_SAN_END) {
            check(rest.length == 0);
            return count;
        }
        size_t taken = rest.length - names.length;
        check(names.bytes == rest.bytes + taken && taken >= 2);
        check(san.value.bytes + san.value.length == names.bytes);
        again.length = 0;
        der_element(&again, rest.bytes[0], san.value.bytes, san.value.length);
        check(again.length == taken && memcmp(again.bytes, rest.bytes, taken) == 0);
        if (san.kind == TLS_SAN_URI || san.kind == TLS_SAN_DNS) {
            check(san.value.length > 0 && memchr(san.value.bytes, 0, san.value.length) == NULL);
        }
        if (count < NAMES_MAX) {
            sans[count++] = san;
        }
    }
}

static void compare(const struct tls_san *sans, size_t count, const mbedtls_x509_sequence *theirs)
{
    size_t i = 0;
    for (; theirs != NULL && theirs->buf.p != NULL; theirs = theirs->next, i++) {
        check(i < count);
        unsigned kind = (unsigned)theirs->buf.tag & 0x1f;
        check(sans[i].kind == TLS_SAN_OTHER ? kind != 2 && kind != 6 && kind != 7
                                            : kind == sans[i].kind);
        check(sans[i].value.length == theirs->buf.len);
        check(memcmp(sans[i].value.bytes, theirs->buf.p, theirs->buf.len) == 0);
    }
    check(i == count);
}

static void judge_extensions(struct view extensions)
{
    static struct der der;
    static struct tls_san sans[NAMES_MAX];
    const struct view untouched = {extensions.bytes, SIZE_MAX};
    struct view names = untouched;
    mbedtls_x509_crt parsed;
    enum tls_san_outcome outcome = tls_san_find(extensions, &names);
    size_t count = outcome == TLS_SAN_READ ? read_names(names, sans) : 0;
    if (outcome == TLS_SAN_READ) {
        check(names.length > 0 && names.bytes > extensions.bytes);
        check(names.bytes + names.length <= extensions.bytes + extensions.length);
    } else {
        check(names.bytes == untouched.bytes && names.length == untouched.length);
    }
    write_certificate(extensions, &der);
    mbedtls_x509_crt_init(&parsed);
    if (outcome != TLS_SAN_MALFORMED && count < NAMES_MAX &&
        mbedtls_x509_crt_parse_der(&parsed, der.bytes, der.length) == 0) {
        compare(sans, count, &parsed.subject_alt_names);
    }
    mbedtls_x509_crt_free(&parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tls_san sans[NAMES_MAX];
    if (before.length == 0) {
        make_certificate();
    }
    if (size == 0 || size > INPUT_MAX) {
        return 0;
    }
    struct view bytes = {data + 1, size - 1};
    if (data[0] % 2 == 0) {
        judge_extensions(bytes);
    } else {
        (void)read_names(bytes, sans);
    }
    return 0;
}
