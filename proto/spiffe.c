#include "proto/spiffe.h"

#include <string.h>

#include "proto/limits.h"

#define TRUST_DOMAIN_MAX 255

static const char scheme[] = "spiffe://";

static bool is_small(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool spiffe_trust_domain_valid(struct view text)
{
    if (text.length == 0 || text.length > TRUST_DOMAIN_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.length; i++) {
        if (!is_small(text.bytes[i])) {
            return false;
        }
    }
    return true;
}

static bool segment_valid(const uint8_t *bytes, size_t length)
{
    if (length == 0 || (length == 1 && bytes[0] == '.') ||
        (length == 2 && bytes[0] == '.' && bytes[1] == '.')) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_small(bytes[i]) && !(bytes[i] >= 'A' && bytes[i] <= 'Z')) {
            return false;
        }
    }
    return true;
}

/* A slash and a segment, once or several times. */
static bool path_valid(struct view path)
{
    size_t at = 0;
    while (at < path.length) {
        size_t end = at + 1;
        while (end < path.length && path.bytes[end] != '/') {
            end++;
        }
        if (!segment_valid(path.bytes + at + 1, end - at - 1)) {
            return false;
        }
        at = end;
    }
    return path.length > 0;
}

bool spiffe_id_read(struct view text, struct spiffe_id *id)
{
    const size_t head = sizeof scheme - 1;
    if (text.length > LIMIT_PRINCIPAL_LENGTH || text.length < head ||
        memcmp(text.bytes, scheme, head) != 0) {
        return false;
    }
    struct view trust_domain = {text.bytes + head, 0};
    while (head + trust_domain.length < text.length &&
           trust_domain.bytes[trust_domain.length] != '/') {
        trust_domain.length++;
    }
    struct view path = {trust_domain.bytes + trust_domain.length,
                        text.length - head - trust_domain.length};
    if (!spiffe_trust_domain_valid(trust_domain) || !path_valid(path)) {
        return false;
    }
    *id = (struct spiffe_id){trust_domain, path};
    return true;
}
