#include "proto/tls/san.h"

#include <stdbool.h>

/* Tags of DER (X.690). */
#define TAG_BOOLEAN      0x01
#define TAG_OCTET_STRING 0x04
#define TAG_OID          0x06
#define TAG_SEQUENCE     0x30
#define CLASS_MASK       0xc0
#define CLASS_CONTEXT    0x80
#define CONSTRUCTED      0x20
#define NUMBER_MASK      0x1f

/* Of the kinds of GeneralName, 0 to 8, otherName, x400Address, directoryName and ediPartyName are
 * made of elements. */
#define KIND_LAST    8
#define STRUCTURED   (1U << 0 | 1U << 3 | 1U << 4 | 1U << 5)
#define DNS_NAME_MAX 253 /* RFC 1035 2.3.4, as text */

static const uint8_t san_oid[] = {0x55, 0x1d, 0x11}; /* 2.5.29.17 */

struct element {
    uint8_t tag;
    struct view content;
};

/* The length octets: DER knows one way to write a length, the shortest. */
static bool take_length(struct view *from, size_t *length)
{
    if (from->length == 0) {
        return false;
    }
    uint8_t first = from->bytes[0];
    size_t octets = first & 0x7f;
    *from = (struct view){from->bytes + 1, from->length - 1};
    if (first < 0x80) {
        *length = first;
        return true;
    }
    if (octets == 0 || octets > 4 || octets > from->length || from->bytes[0] == 0) {
        return false;
    }
    size_t value = 0;
    for (size_t i = 0; i < octets; i++) {
        value = value << 8 | from->bytes[i];
    }
    *from = (struct view){from->bytes + octets, from->length - octets};
    *length = value;
    return value >= 0x80;
}

/* Takes one element of a tag of one octet, which is all that occurs here. */
static bool take(struct view *from, struct element *element)
{
    if (from->length == 0 || (from->bytes[0] & NUMBER_MASK) == NUMBER_MASK) {
        return false;
    }
    size_t length = 0;
    element->tag = from->bytes[0];
    *from = (struct view){from->bytes + 1, from->length - 1};
    if (!take_length(from, &length) || length > from->length) {
        return false;
    }
    element->content = (struct view){from->bytes, length};
    *from = (struct view){from->bytes + length, from->length - length};
    return true;
}

/* The one element that fills the bytes. */
static bool take_only(struct view from, uint8_t tag, struct view *content)
{
    struct element element;
    if (!take(&from, &element) || element.tag != tag || from.length != 0) {
        return false;
    }
    *content = element.content;
    return true;
}

/* Extension ::= SEQUENCE {extnID OID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING}
 * (RFC 5280 4.1). */
static bool read_extension(struct view extension, struct view *id, struct view *value)
{
    struct element element;
    if (!take(&extension, &element) || element.tag != TAG_OID) {
        return false;
    }
    *id = element.content;
    if (!take(&extension, &element)) {
        return false;
    }
    if (element.tag == TAG_BOOLEAN &&
        (element.content.length != 1 || !take(&extension, &element))) {
        return false;
    }
    *value = element.content;
    return element.tag == TAG_OCTET_STRING && extension.length == 0;
}

enum tls_san_outcome tls_san_find(struct view extensions, struct view *names)
{
    const struct view wanted = {san_oid, sizeof san_oid};
    struct view found = {NULL, 0};
    if (extensions.length == 0) {
        return TLS_SAN_END;
    }
    if (!take_only(extensions, TAG_SEQUENCE, &extensions)) {
        return TLS_SAN_MALFORMED;
    }
    while (extensions.length > 0) {
        struct element element;
        struct view id;
        struct view value;
        if (!take(&extensions, &element) || element.tag != TAG_SEQUENCE ||
            !read_extension(element.content, &id, &value)) {
            return TLS_SAN_MALFORMED;
        }
        if (view_equal(id, wanted) &&
            (found.length > 0 || !take_only(value, TAG_SEQUENCE, &found) || found.length == 0)) {
            return TLS_SAN_MALFORMED;
        }
    }
    if (found.length == 0) {
        return TLS_SAN_END;
    }
    *names = found;
    return TLS_SAN_READ;
}

static bool is_visible(struct view text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.bytes[i] <= 0x20 || text.bytes[i] >= 0x7f) {
            return false;
        }
    }
    return text.length > 0;
}

/* Whether the tag is one of GeneralName's, with its form. */
static bool is_name_tag(uint8_t tag)
{
    unsigned number = tag & NUMBER_MASK;
    bool structured = (tag & CONSTRUCTED) != 0;
    return (tag & CLASS_MASK) == CLASS_CONTEXT && number <= KIND_LAST &&
           structured == ((STRUCTURED >> number & 1) != 0);
}

static bool is_good(const struct tls_san *san)
{
    switch (san->kind) {
    case TLS_SAN_DNS:
        return is_visible(san->value) && san->value.length <= DNS_NAME_MAX;
    case TLS_SAN_URI:
        return is_visible(san->value);
    case TLS_SAN_IP:
        return san->value.length == 4 || san->value.length == 16;
    case TLS_SAN_OTHER:
        break;
    }
    return true;
}

enum tls_san_outcome tls_san_next(struct view *names, struct tls_san *san)
{
    struct element element;
    if (names->length == 0) {
        return TLS_SAN_END;
    }
    if (!take(names, &element) || !is_name_tag(element.tag)) {
        return TLS_SAN_MALFORMED;
    }
    unsigned kind = element.tag & NUMBER_MASK;
    bool known = kind == TLS_SAN_DNS || kind == TLS_SAN_URI || kind == TLS_SAN_IP;
    *san = (struct tls_san){known ? (enum tls_san_kind)kind : TLS_SAN_OTHER, element.content};
    return is_good(san) ? TLS_SAN_READ : TLS_SAN_MALFORMED;
}
