#include "proto/tls/frame.h"

#define GREETING_BYTES 8
#define LENGTH_BYTES   8

static size_t smaller(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

static size_t take_greeting(struct tls_frame *frame, size_t length, bool *ends)
{
    size_t taken = smaller(GREETING_BYTES - frame->have, length);
    frame->have += (unsigned)taken;
    if (frame->have == GREETING_BYTES) {
        frame->phase = TLS_FRAME_LENGTH;
        frame->have = 0;
        *ends = true;
    }
    return taken;
}

/* The length and, when all of it is there, what follows in the same piece. */
static size_t take_length(struct tls_frame *frame, const uint8_t *bytes, size_t length)
{
    size_t taken = smaller(LENGTH_BYTES - frame->have, length);
    for (size_t i = 0; i < taken; i++) {
        frame->length = frame->length << 8 | bytes[i];
    }
    frame->have += (unsigned)taken;
    if (frame->have == LENGTH_BYTES) {
        frame->phase = TLS_FRAME_BODY;
        frame->left = frame->length;
        frame->length = 0;
        frame->have = 0;
    }
    return taken;
}

static size_t take_body(struct tls_frame *frame, size_t length, bool *ends)
{
    size_t taken = smaller(frame->left, length);
    frame->left -= taken;
    if (frame->left == 0) {
        frame->phase = TLS_FRAME_LENGTH;
        *ends = true;
    }
    return taken;
}

size_t tls_frame_take(struct tls_frame *frame, const uint8_t *bytes, size_t length, bool *ends)
{
    size_t taken = 0;
    *ends = false;
    if (frame->phase == TLS_FRAME_START) {
        frame->phase = bytes[0] == 0 ? TLS_FRAME_GREETING : TLS_FRAME_FOREIGN;
    }
    switch (frame->phase) {
    case TLS_FRAME_START:
    case TLS_FRAME_GREETING:
        return take_greeting(frame, length, ends);
    case TLS_FRAME_LENGTH:
        taken = take_length(frame, bytes, length);
        /* An empty message ends with its length. */
        return frame->phase == TLS_FRAME_BODY ? taken + take_body(frame, length - taken, ends)
                                              : taken;
    case TLS_FRAME_BODY:
        return take_body(frame, length, ends);
    case TLS_FRAME_FOREIGN:
        break;
    }
    *ends = true;
    return length;
}

uint64_t tls_frame_left(const struct tls_frame *frame)
{
    switch (frame->phase) {
    case TLS_FRAME_GREETING:
        return GREETING_BYTES - frame->have;
    case TLS_FRAME_LENGTH:
        return frame->have == 0 ? 0 : LENGTH_BYTES - frame->have;
    case TLS_FRAME_BODY:
        return frame->left;
    case TLS_FRAME_START:
    case TLS_FRAME_FOREIGN:
        break;
    }
    return 0;
}
