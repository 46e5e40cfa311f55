#include "proto/tls/san.h"

#include <stdbool.h>

/* Tags of DER (X.690). */
#define TAG_BOOLEAN      0x01
#define TAG_OCTET_STRING 0x04
#define TAG_OID          0x06
#define TAG_SEQUENCE     0x30
#define CLASS_MASK       0xc0
#define CLASS_CONTEXT    0x80
#define NUMBER_MASK      0x1f

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
    if (element.tag == TAG_BOOLEAN && !take(&extension, &element)) {
        return false;
    }
    *value = element.content;
    return element.tag == TAG_OCTET_STRING && extension.length == 0;
}

enum tls_san_outcome tls_san_find(struct view extensions, struct view *names)
{
    const struct view wanted = {san_oid, sizeof san_oid};
    bool found = false;
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
        if (view_equal(id, wanted)) {
            if (found || !take_only(value, TAG_SEQUENCE, names)) {
                return TLS_SAN_MALFORMED;
            }
            found = true;
        }
    }
    return found ? TLS_SAN_READ : TLS_SAN_END;
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

enum tls_san_outcome tls_san_next(struct view *names, struct tls_san *san)
{
    struct element element;
    if (names->length == 0) {
        return TLS_SAN_END;
    }
    if (!take(names, &element) || (element.tag & CLASS_MASK) != CLASS_CONTEXT) {
        return TLS_SAN_MALFORMED;
    }
    san->kind = TLS_SAN_OTHER;
    san->value = element.content;
    switch (element.tag & ~CLASS_MASK) {
    case TLS_SAN_DNS:
    case TLS_SAN_URI:
        san->kind = (enum tls_san_kind)(element.tag & NUMBER_MASK);
        return is_visible(element.content) ? TLS_SAN_READ : TLS_SAN_MALFORMED;
    case TLS_SAN_IP:
        san->kind = TLS_SAN_IP;
        return element.content.length == 4 || element.content.length == 16 ? TLS_SAN_READ
                                                                           : TLS_SAN_MALFORMED;
    default:
        return TLS_SAN_READ;
    }
}
