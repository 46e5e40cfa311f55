#include "proto/tls/leaf.h"

#include <arpa/inet.h>
#include <mbedtls/oid.h>
#include <stdbool.h>
#include <string.h>

#include "proto/spiffe.h"
#include "proto/tls/san.h"

#define LABEL_END '.'

/* ---- What a leaf must not and may be ---- */

static bool is_authority(const mbedtls_x509_crt *leaf)
{
    return mbedtls_x509_crt_get_ca_istrue(leaf) == 1 ||
           (mbedtls_x509_crt_has_ext_type(leaf, MBEDTLS_X509_EXT_KEY_USAGE) &&
            (mbedtls_x509_crt_check_key_usage(leaf, MBEDTLS_X509_KU_KEY_CERT_SIGN) == 0 ||
             mbedtls_x509_crt_check_key_usage(leaf, MBEDTLS_X509_KU_CRL_SIGN) == 0));
}

/* Both mean "for everything" where they are left out. */
static bool is_for(const mbedtls_x509_crt *leaf, const char *purpose, size_t purpose_length)
{
    return mbedtls_x509_crt_check_key_usage(leaf, MBEDTLS_X509_KU_DIGITAL_SIGNATURE) == 0 &&
           mbedtls_x509_crt_check_extended_key_usage(leaf, purpose, purpose_length) == 0;
}

static enum tls_refusal judge_use(const mbedtls_x509_crt *leaf, const char *purpose,
                                  size_t purpose_length)
{
    if (is_authority(leaf)) {
        return TLS_REFUSED_IS_AUTHORITY;
    }
    return is_for(leaf, purpose, purpose_length) ? TLS_ACCEPTED : TLS_REFUSED_BAD_USAGE;
}

static enum tls_san_outcome find_names(const mbedtls_x509_crt *leaf, struct view *names)
{
    return tls_san_find((struct view){leaf->v3_ext.p, leaf->v3_ext.len}, names);
}

/* ---- A client ---- */

enum tls_refusal tls_leaf_client(const mbedtls_x509_crt *leaf, struct view trust_domain,
                                 char principal[LIMIT_PRINCIPAL_LENGTH + 1])
{
    enum tls_refusal refusal =
        judge_use(leaf, MBEDTLS_OID_CLIENT_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH));
    struct view names = {NULL, 0};
    struct view uri = {NULL, 0};
    struct spiffe_id id;
    struct tls_san san;
    if (refusal != TLS_ACCEPTED) {
        return refusal;
    }
    enum tls_san_outcome outcome = find_names(leaf, &names);
    bool several = false;
    while (outcome == TLS_SAN_READ && (outcome = tls_san_next(&names, &san)) == TLS_SAN_READ) {
        if (san.kind == TLS_SAN_URI) {
            several = several || uri.length > 0;
            uri = san.value;
        }
    }
    if (outcome == TLS_SAN_MALFORMED) {
        return TLS_REFUSED_MALFORMED_NAMES;
    }
    if (uri.length == 0) {
        return TLS_REFUSED_NO_SPIFFE_ID;
    }
    if (several) {
        return TLS_REFUSED_SEVERAL_SPIFFE_IDS;
    }
    if (!spiffe_id_read(uri, &id)) {
        return TLS_REFUSED_BAD_SPIFFE_ID;
    }
    if (trust_domain.length > 0 && !view_equal(id.trust_domain, trust_domain)) {
        return TLS_REFUSED_FOREIGN_TRUST_DOMAIN;
    }
    memcpy(principal, uri.bytes, uri.length);
    principal[uri.length] = '\0';
    return TLS_ACCEPTED;
}

/* ---- A server ---- */

/* Returns the address's length, 4 or 16; 0: it is a name. */
static size_t read_address(const char *name, uint8_t address[16])
{
    char bare[INET6_ADDRSTRLEN];
    size_t length = strlen(name);
    bool brackets = length > 2 && name[0] == '[' && name[length - 1] == ']';
    size_t from = brackets ? 1 : 0;
    length -= 2 * from;
    if (inet_pton(AF_INET, name, address) == 1) {
        return 4;
    }
    if (length >= sizeof bare) {
        return 0;
    }
    memcpy(bare, name + from, length);
    bare[length] = '\0';
    return inet_pton(AF_INET6, bare, address) == 1 ? 16 : 0;
}

bool tls_name_is_address(const char *server_name)
{
    uint8_t address[16];
    return read_address(server_name, address) != 0;
}

static size_t first_label(struct view name)
{
    size_t length = 0;
    while (length < name.length && name.bytes[length] != LABEL_END) {
        length++;
    }
    return length;
}

static struct view without(struct view name, size_t length)
{
    return (struct view){name.bytes + length, name.length - length};
}

/* "*.example.org" holds for one label before ".example.org". */
static bool holds(struct view pattern, struct view name)
{
    if (pattern.length < 2 || pattern.bytes[0] != '*' || pattern.bytes[1] != LABEL_END) {
        return view_equal_any_case(pattern, name);
    }
    struct view domain = without(pattern, 2);
    size_t top = first_label(domain) + 1; /* where its second label begins */
    bool two_labels = top > 1 && top < domain.length && domain.bytes[top] != LABEL_END;
    size_t label = first_label(name);
    return two_labels && label > 0 &&
           view_equal_any_case(without(pattern, 1), without(name, label));
}

enum tls_refusal tls_leaf_server(const mbedtls_x509_crt *leaf, const char *server_name)
{
    enum tls_refusal refusal =
        judge_use(leaf, MBEDTLS_OID_SERVER_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH));
    uint8_t bytes[16];
    struct view address = {bytes, read_address(server_name, bytes)};
    struct view names = {NULL, 0};
    struct tls_san san;
    bool held = false;
    if (refusal != TLS_ACCEPTED) {
        return refusal;
    }
    enum tls_san_outcome outcome = find_names(leaf, &names);
    while (outcome == TLS_SAN_READ && (outcome = tls_san_next(&names, &san)) == TLS_SAN_READ) {
        bool fits = address.length > 0
                        ? san.kind == TLS_SAN_IP && view_equal(san.value, address)
                        : san.kind == TLS_SAN_DNS && holds(san.value, view_of(server_name));
        held = held || fits;
    }
    if (outcome == TLS_SAN_MALFORMED) {
        return TLS_REFUSED_MALFORMED_NAMES;
    }
    return held ? TLS_ACCEPTED : TLS_REFUSED_WRONG_NAME;
}
