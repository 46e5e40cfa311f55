/* Where the messages in an outgoing SP stream end, so that one TLS record can hold one of them: the
 * greeting of 8 bytes, then for each message 8 bytes of length, most significant first, and the
 * message (proto/PROTOCOL.md, section 3).
 *
 * A stream that does not begin with the 0 of an SP greeting is something else, WebSocket's HTTP,
 * and each piece of it is on its own. */
#ifndef ACTIVITY_PROTO_TLS_FRAME_H
#define ACTIVITY_PROTO_TLS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tls_frame_phase {
    TLS_FRAME_START = 0,
    TLS_FRAME_GREETING,
    TLS_FRAME_LENGTH,
    TLS_FRAME_BODY,
    TLS_FRAME_FOREIGN
};

struct tls_frame { /* zeroed at the beginning of a stream */
    enum tls_frame_phase phase;
    unsigned have;   /* bytes of the greeting or of the length */
    uint64_t length; /* as far as it is known */
    uint64_t left;   /* bytes of the message, in TLS_FRAME_BODY */
};

/* Takes bytes up to the end of the message that they belong to, at most `length` (not 0). Returns
 * how many, and whether the last of them ends a message (*ends). */
size_t tls_frame_take(struct tls_frame *frame, const uint8_t *bytes, size_t length, bool *ends);

/* How many bytes are still to come of the message under way, as far as is known; 0: between two. */
uint64_t tls_frame_left(const struct tls_frame *frame);

#endif
