/* Bytes owned by somebody else, and what may be said of them as text.
 * No function here allocates, blocks or keeps state; all may be called from any thread. */
#ifndef ACTIVITYD_PROTO_VIEW_H
#define ACTIVITYD_PROTO_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Not terminated. An empty view may have a NULL pointer. Lives as long as the bytes it points into.
 */
struct view {
    const uint8_t *bytes;
    size_t length;
};

/* A view of a terminated string, without its terminator. */
struct view view_of(const char *text);

/* True when both have the same length and the same bytes. Not for secrets: it takes as long as the
 * bytes agree. */
bool view_equal(struct view a, struct view b);

/* The same, taking the letters A to Z for a to z. */
bool view_equal_any_case(struct view a, struct view b);

/* True when the bytes are well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing
 * above U+10FFFF) without NUL and without C0 (U+0000-U+001F) and C1 (U+0080-U+009F) control
 * characters. An empty view is text. */
bool view_is_text(struct view text);

/* How many bytes at the front can begin a name of a type, a model or an attribute:
 * [a-zA-Z][a-zA-Z0-9._-]*. Its length is another matter. */
size_t view_name_length(struct view text);

/* How many bytes at the front are well-formed UTF-8 (RFC 3629), control characters included: all of
 * them, or up to the first fault. */
size_t view_utf8_length(struct view text);

#endif
