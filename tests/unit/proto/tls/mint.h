/* Certificates and lists of revoked ones as no authority would issue them: any extensions, dates,
 * keys and hashes, written in DER by ourselves, since mbedTLS writes no lists and openssl nothing
 * wrong. In process, and included by the test programs that want it.
 *
 *     struct mint_key key = ...;             mint_key_make(&key, MINT_P256)
 *     struct mint_order order = {...};       what the certificate is to say
 *     struct der der;                        mint_certificate(&order, &der)
 */
#ifndef TESTS_PROTO_TLS_MINT_H
#define TESTS_PROTO_TLS_MINT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <cmocka.h>
#include <mbedtls/asn1.h>
#include <mbedtls/ecp.h>
#include <mbedtls/md.h>
#include <mbedtls/oid.h>
#include <mbedtls/pem.h>
#include <mbedtls/pk.h>
#include <mbedtls/rsa.h>
#include <mbedtls/x509.h>

/* --- DER: elements are appended, and wrapped in others --- */

enum { DER_MAX = 8192, DER_HEAD_MAX = 4 };

struct der {
    size_t length;
    uint8_t bytes[DER_MAX];
};

static inline void der_put(struct der *der, const void *bytes, size_t length)
{
    assert_in_range(length, 0, sizeof der->bytes - der->length);
    memmove(der->bytes + der->length, bytes, length);
    der->length += length;
}

/* Puts the head of an element before what has been written since `from`. */
static inline void der_wrap(struct der *der, size_t from, uint8_t tag)
{
    size_t length = der->length - from;
    uint8_t head[DER_HEAD_MAX] = {tag};
    size_t size = length < 0x80 ? 2 : length < 0x100 ? 3 : 4;
    if (size == 2) {
        head[1] = (uint8_t)length;
    } else if (size == 3) {
        memcpy(head + 1, (uint8_t[]){0x81, (uint8_t)length}, 2);
    } else {
        memcpy(head + 1, (uint8_t[]){0x82, (uint8_t)(length >> 8), (uint8_t)length}, 3);
    }
    assert_in_range(size, 0, sizeof der->bytes - der->length);
    memmove(der->bytes + from + size, der->bytes + from, length);
    memcpy(der->bytes + from, head, size);
    der->length += size;
}

static inline void der_element(struct der *der, uint8_t tag, const void *bytes, size_t length)
{
    size_t from = der->length;
    der_put(der, bytes, length);
    der_wrap(der, from, tag);
}

static inline void der_text(struct der *der, uint8_t tag, const char *text)
{
    der_element(der, tag, text, strlen(text));
}

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BITS = 0x03,
    DER_OCTETS = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_UTF8 = 0x0c,
    DER_TIME = 0x18, /* GeneralizedTime */
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_EXTENSIONS = 0xa3,
    /* Kinds of GeneralName. */
    DER_EMAIL = 0x81,
    DER_DNS = 0x82,
    DER_URI = 0x86,
    DER_ADDRESS = 0x87
};

/* --- Keys --- */

enum mint_kind { MINT_P256, MINT_P384, MINT_RSA_1024, MINT_RSA_2048 };

struct mint_key {
    mbedtls_pk_context pk;
};

static inline int mint_random(void *context, unsigned char *to, size_t length)
{
    (void)context;
    return getrandom(to, length, 0) == (ssize_t)length ? 0 : -1;
}

static inline void mint_key_make(struct mint_key *key, enum mint_kind kind)
{
    bool rsa = kind == MINT_RSA_1024 || kind == MINT_RSA_2048;
    mbedtls_pk_init(&key->pk);
    assert_int_equal(mbedtls_pk_setup(&key->pk, mbedtls_pk_info_from_type(rsa ? MBEDTLS_PK_RSA
                                                                              : MBEDTLS_PK_ECKEY)),
                     0);
    if (rsa) {
        assert_int_equal(mbedtls_rsa_gen_key(mbedtls_pk_rsa(key->pk), mint_random, NULL,
                                             kind == MINT_RSA_1024 ? 1024 : 2048, 65537),
                         0);
    } else {
        assert_int_equal(mbedtls_ecp_gen_key(kind == MINT_P256 ? MBEDTLS_ECP_DP_SECP256R1
                                                               : MBEDTLS_ECP_DP_SECP384R1,
                                             mbedtls_pk_ec(key->pk), mint_random, NULL),
                         0);
    }
}

static inline void mint_key_free(struct mint_key *key)
{
    mbedtls_pk_free(&key->pk);
}

/* --- What both certificates and lists are made of --- */

/* Common name alone; empty: a name of nothing. */
static inline void mint_subject(struct der *der, const char *name)
{
    size_t whole = der->length;
    if (name[0] != '\0') {
        der_element(der, DER_OID, MBEDTLS_OID_AT_CN, MBEDTLS_OID_SIZE(MBEDTLS_OID_AT_CN));
        der_text(der, DER_UTF8, name);
        der_wrap(der, whole, DER_SEQUENCE);
        der_wrap(der, whole, DER_SET);
    }
    der_wrap(der, whole, DER_SEQUENCE);
}

/* So many seconds from now. */
static inline void mint_time(struct der *der, long seconds)
{
    char text[32];
    struct tm parts;
    time_t when = time(NULL) + seconds;
    assert_non_null(gmtime_r(&when, &parts));
    assert_int_equal(strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &parts), 15);
    der_text(der, DER_TIME, text);
}

static inline void mint_algorithm(struct der *der, const struct mint_key *key,
                                  mbedtls_md_type_t hash)
{
    size_t whole = der->length;
    bool rsa = mbedtls_pk_get_type(&key->pk) == MBEDTLS_PK_RSA;
    const char *oid = NULL;
    size_t length = 0;
    assert_int_equal(mbedtls_oid_get_oid_by_sig_alg(rsa ? MBEDTLS_PK_RSA : MBEDTLS_PK_ECDSA, hash,
                                                    &oid, &length),
                     0);
    der_element(der, DER_OID, oid, length);
    if (rsa) {
        der_element(der, DER_NULL, "", 0);
    }
    der_wrap(der, whole, DER_SEQUENCE);
}

/* Whatever is signed: itself, how, and the signature (RFC 5280 4.1.1). All that `der` holds. */
static inline void mint_sign(struct der *der, struct mint_key *key, mbedtls_md_type_t hash)
{
    const mbedtls_md_info_t *info = mbedtls_md_info_from_type(hash);
    uint8_t digest[MBEDTLS_MD_MAX_SIZE];
    uint8_t signature[1 + MBEDTLS_PK_SIGNATURE_MAX_SIZE] = {0}; /* no bits are left over */
    size_t length = 0;
    assert_non_null(info);
    assert_int_equal(mbedtls_md(info, der->bytes, der->length, digest), 0);
    mint_algorithm(der, key, hash);
    assert_int_equal(mbedtls_pk_sign(&key->pk, hash, digest, mbedtls_md_get_size(info),
                                     signature + 1, sizeof signature - 1, &length, mint_random,
                                     NULL),
                     0);
    der_element(der, DER_BITS, signature, 1 + length);
    der_wrap(der, 0, DER_SEQUENCE);
}

static inline mbedtls_md_type_t mint_hash(mbedtls_md_type_t hash)
{
    return hash == MBEDTLS_MD_NONE ? MBEDTLS_MD_SHA256 : hash;
}

/* --- Certificates --- */

/* One: `oid` is its content, without tag and length. */
static inline void mint_extension(struct der *extensions, const char *oid, bool critical,
                                  const struct der *value)
{
    size_t from = extensions->length;
    der_text(extensions, DER_OID, oid);
    if (critical) {
        der_element(extensions, DER_BOOLEAN, "\xff", 1);
    }
    der_element(extensions, DER_OCTETS, value->bytes, value->length);
    der_wrap(extensions, from, DER_SEQUENCE);
}

#define MINT_CONSTRAINTS "\x55\x1d\x13"
#define MINT_KEY_USAGE   "\x55\x1d\x0f"
#define MINT_PURPOSES    "\x55\x1d\x25"
#define MINT_NAMES       "\x55\x1d\x11"

/* basicConstraints; `path` is one more than how many authorities may follow; 0: any number. */
static inline void mint_constraints(struct der *extensions, bool authority, int path)
{
    struct der value = {0};
    if (authority) {
        der_element(&value, DER_BOOLEAN, "\xff", 1);
    }
    if (path > 0) {
        uint8_t most = (uint8_t)(path - 1);
        der_element(&value, DER_INTEGER, &most, 1);
    }
    der_wrap(&value, 0, DER_SEQUENCE);
    mint_extension(extensions, MINT_CONSTRAINTS, true, &value);
}

/* keyUsage, of MBEDTLS_X509_KU_... that fit one byte. */
static inline void mint_key_usage(struct der *extensions, unsigned usage)
{
    struct der value = {0};
    uint8_t bits[2] = {0, (uint8_t)usage};
    while (usage != 0 && (bits[1] >> bits[0] & 1) == 0) {
        bits[0]++; /* zeroes at the end are left out */
    }
    der_element(&value, DER_BITS, bits, usage != 0 ? 2 : 1);
    mint_extension(extensions, MINT_KEY_USAGE, true, &value);
}

enum {
    MINT_FOR_CLIENT = 1,
    MINT_FOR_SERVER = 2,
    MINT_FOR_MAIL = 4,
    MINT_FOR_ANY = 8,
};

/* extKeyUsage, of MINT_FOR_... */
static inline void mint_purposes(struct der *extensions, int purposes)
{
    struct der value = {0};
    if ((purposes & MINT_FOR_CLIENT) != 0) {
        der_text(&value, DER_OID, MBEDTLS_OID_CLIENT_AUTH);
    }
    if ((purposes & MINT_FOR_SERVER) != 0) {
        der_text(&value, DER_OID, MBEDTLS_OID_SERVER_AUTH);
    }
    if ((purposes & MINT_FOR_MAIL) != 0) {
        der_text(&value, DER_OID, MBEDTLS_OID_EMAIL_PROTECTION);
    }
    if ((purposes & MINT_FOR_ANY) != 0) { /* ends in a NUL */
        der_element(&value, DER_OID, MBEDTLS_OID_ANY_EXTENDED_KEY_USAGE,
                    MBEDTLS_OID_SIZE(MBEDTLS_OID_ANY_EXTENDED_KEY_USAGE));
    }
    der_wrap(&value, 0, DER_SEQUENCE);
    mint_extension(extensions, MINT_PURPOSES, false, &value);
}

/* A GeneralName. */
struct mint_name {
    uint8_t tag;
    const char *bytes;
    size_t length; /* 0: the text's */
};

/* What is wrong with a leaf, or at least unusual: all zero is a good one without names. */
enum { MINT_LEFT_OUT = -1, MINT_NAME_MAX = 4 };

struct mint_leaf {
    struct mint_name names[MINT_NAME_MAX]; /* up to the first without a tag */
    const char *names_value;               /* the value of the extension instead */
    size_t names_length;
    bool names_are_critical;
    bool names_come_twice;
    int authority; /* 1: CA:TRUE; 2, 3...: path length 0, 1...; MINT_LEFT_OUT: not said */
    int usage;     /* of MBEDTLS_X509_KU_...; 0: digitalSignature; MINT_LEFT_OUT */
    int purposes;  /* of MINT_FOR_...; 0: clientAuth; MINT_LEFT_OUT */
    int unknown;   /* an extension that nobody knows: 1; critical: 2 */
};

/* subjectAltName: with a value or with names. */
static inline void mint_names(struct der *extensions, const struct mint_leaf *leaf)
{
    struct der value = {0};
    if (leaf->names_value != NULL) {
        der_put(&value, leaf->names_value, leaf->names_length);
    } else {
        for (size_t i = 0; i < MINT_NAME_MAX && leaf->names[i].tag != 0; i++) {
            const struct mint_name *name = &leaf->names[i];
            der_element(&value, name->tag, name->bytes,
                        name->length != 0 ? name->length : strlen(name->bytes));
        }
        der_wrap(&value, 0, DER_SEQUENCE);
    }
    mint_extension(extensions, MINT_NAMES, leaf->names_are_critical, &value);
}

/* Appends all of a leaf's extensions. */
static inline void mint_leaf(struct der *extensions, const struct mint_leaf *leaf)
{
    bool named = leaf->names_value != NULL || leaf->names[0].tag != 0;
    if (leaf->authority != MINT_LEFT_OUT) {
        mint_constraints(extensions, leaf->authority > 0, leaf->authority - 1);
    }
    if (leaf->usage != MINT_LEFT_OUT) {
        mint_key_usage(extensions, leaf->usage != 0 ? (unsigned)leaf->usage
                                                    : MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    }
    if (leaf->purposes != MINT_LEFT_OUT) {
        mint_purposes(extensions, leaf->purposes != 0 ? leaf->purposes : MINT_FOR_CLIENT);
    }
    for (int i = 0; named && i < (leaf->names_come_twice ? 2 : 1); i++) {
        mint_names(extensions, leaf);
    }
    if (leaf->unknown != 0) {
        const struct der nothing = {2, {DER_NULL, 0}};
        mint_extension(extensions, "\x2a\x03\x04", leaf->unknown == 2, &nothing);
    }
}

struct mint_order {
    const char *subject;
    const char *issuer;
    struct mint_key *key;        /* whose certificate it is */
    struct mint_key *issuer_key; /* who signs */
    mbedtls_md_type_t hash;      /* none: SHA-256 */
    uint32_t serial;             /* 0: 1 */
    long from_s;                 /* of now; both 0: from an hour ago until tomorrow */
    long until_s;
    const struct der *extensions; /* one after the other; NULL: none, and version 1 */
};

static inline void mint_serial(struct der *der, uint32_t serial)
{
    uint8_t bytes[5] = {0, (uint8_t)(serial >> 24), (uint8_t)(serial >> 16), (uint8_t)(serial >> 8),
                        (uint8_t)serial};
    size_t from = 0;
    while (from < 4 && bytes[from] == 0 && bytes[from + 1] < 0x80) {
        from++;
    }
    der_element(der, DER_INTEGER, bytes + from, sizeof bytes - from);
}

/* The certificate alone; `der` is filled anew. */
static inline void mint_certificate(const struct mint_order *order, struct der *der)
{
    uint8_t key[MBEDTLS_PK_SIGNATURE_MAX_SIZE + 512];
    mbedtls_md_type_t hash = mint_hash(order->hash);
    bool dated = order->from_s != 0 || order->until_s != 0;
    der->length = 0;
    if (order->extensions != NULL) {
        der_put(der, "\xa0\x03\x02\x01\x02", 5);
    }
    mint_serial(der, order->serial == 0 ? 1 : order->serial);
    mint_algorithm(der, order->issuer_key, hash);
    mint_subject(der, order->issuer);
    size_t dates = der->length;
    mint_time(der, dated ? order->from_s : -3600);
    mint_time(der, dated ? order->until_s : 86400);
    der_wrap(der, dates, DER_SEQUENCE);
    mint_subject(der, order->subject);
    int length = mbedtls_pk_write_pubkey_der(&order->key->pk, key, sizeof key);
    assert_true(length > 0);
    der_put(der, key + sizeof key - length, (size_t)length);
    if (order->extensions != NULL) {
        size_t from = der->length;
        der_put(der, order->extensions->bytes, order->extensions->length);
        der_wrap(der, from, DER_SEQUENCE);
        der_wrap(der, from, DER_EXTENSIONS);
    }
    der_wrap(der, 0, DER_SEQUENCE);
    mint_sign(der, order->issuer_key, hash);
}

/* --- Lists of revoked ones --- */

struct mint_list {
    const char *issuer;
    struct mint_key *issuer_key;
    mbedtls_md_type_t hash; /* none: SHA-256 */
    long from_s;            /* of now; both 0: from an hour ago until tomorrow */
    long until_s;
    const uint32_t *serials;
    size_t count;
};

static inline void mint_revocations(const struct mint_list *list, struct der *der)
{
    mbedtls_md_type_t hash = mint_hash(list->hash);
    bool dated = list->from_s != 0 || list->until_s != 0;
    der->length = 0;
    der_element(der, DER_INTEGER, "\x01", 1); /* version 2 */
    mint_algorithm(der, list->issuer_key, hash);
    mint_subject(der, list->issuer);
    mint_time(der, dated ? list->from_s : -3600);
    mint_time(der, dated ? list->until_s : 86400);
    size_t all = der->length;
    for (size_t i = 0; i < list->count; i++) {
        size_t one = der->length;
        mint_serial(der, list->serials[i]);
        mint_time(der, -60);
        der_wrap(der, one, DER_SEQUENCE);
    }
    if (list->count > 0) { /* RFC 5280 5.1.2.6: otherwise it is left out */
        der_wrap(der, all, DER_SEQUENCE);
    }
    der_wrap(der, 0, DER_SEQUENCE);
    mint_sign(der, list->issuer_key, hash);
}

/* --- As text --- */

enum { MINT_TEXT_MAX = DER_MAX * 3 / 2 };

/* Appends a block to a text of MINT_TEXT_MAX. */
static inline void mint_pem(char *text, const char *kind, const struct der *der)
{
    char begin[64];
    char end[64];
    size_t used = strlen(text);
    size_t written = 0;
    snprintf(begin, sizeof begin, "-----BEGIN %s-----\n", kind);
    snprintf(end, sizeof end, "-----END %s-----\n", kind);
    assert_int_equal(mbedtls_pem_write_buffer(begin, end, der->bytes, der->length,
                                              (unsigned char *)text + used, MINT_TEXT_MAX - used,
                                              &written),
                     0);
}

static inline void mint_key_pem(char *text, struct mint_key *key)
{
    assert_int_equal(mbedtls_pk_write_key_pem(&key->pk, (unsigned char *)text, MINT_TEXT_MAX), 0);
}

#endif
