/* The request and reply envelope (activity/v1/envelope.proto), read and written in place.
 *
 * Reading is total: any bytes give a frame or an error, unknown fields are skipped, nothing is
 * allocated, and the payload and all strings are left where they are: views point into the caller's
 * bytes and live as long as those. The last occurrence of a scalar wins, as proto3 says
 * (https://protobuf.dev/programming-guides/encoding/), but each must obey its rule; repeated
 * on_behalf_of or status messages are refused, since merging them would need memory. No function
 * here blocks, allocates or keeps state; all may be called from any thread. */
#ifndef ACTIVITYD_PROTO_FRAME_H
#define ACTIVITYD_PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"
#include "proto/status.h"
#include "proto/view.h"

struct frame_metadata {
    struct view name;
    struct view value;
};

struct frame_request {
    struct view method;
    uint32_t timeout_ms; /* as sent; 0 = default */
    bool on_behalf_of;   /* whether tenant, user and groups were given */
    struct view tenant;
    struct view user;
    struct view groups[LIMIT_CALLER_GROUPS];
    size_t group_count;
    struct frame_metadata metadata[LIMIT_METADATA_COUNT];
    size_t metadata_count;
    struct view payload;
};

struct frame_reply {
    uint32_t code; /* as sent: may be outside enum status_code */
    struct view message;
    struct view reason;
    struct frame_metadata metadata[LIMIT_STATUS_METADATA_COUNT];
    size_t metadata_count;
    uint32_t retry_after_ms;
    struct view payload;
    uint64_t epoch;
};

/* What is wrong with bytes that are no frame; `field` and `rule` make a sentence. Both static. */
struct frame_error {
    enum status_reason reason; /* MALFORMED_FRAME, or BAD_FIELD for a message that breaks a rule */
    const char *field;         /* its path, as on_behalf_of.groups; "" if none can be named */
    const char *rule;          /* as "is longer than 64 bytes" */
};

/* Reads a request or reply envelope. Returns 0, or 1 with *error filled (the frame's contents are
 * then unspecified). Checks every rule that envelope.proto states for a field but does not look
 * into the payload, nor at the length of the whole. `method` and `payload` may be absent (empty
 * views): whether that matters is the caller's to say. A reply without a status is refused: it
 * must not pass for success. Of a status's metadata the first LIMIT_STATUS_METADATA_COUNT are kept,
 * the others checked and dropped. */
__attribute__((warn_unused_result)) int
frame_request_decode(struct view bytes, struct frame_request *frame, struct frame_error *error);
__attribute__((warn_unused_result)) int
frame_reply_decode(struct view bytes, struct frame_reply *frame, struct frame_error *error);

/* The encoded size of everything but the payload's own bytes; the payload comes last, so a frame is
 * `frame_*_encode_head` followed by the payload. */
size_t frame_request_head_size(const struct frame_request *frame);
size_t frame_reply_head_size(const struct frame_reply *frame);

/* Writes the envelope up to and including the payload's tag and length (nothing for an empty
 * payload) to `to`, which has room for the head size. Checks no rule: the reader does. Canonical:
 * fields by number, defaults left out, except that the status message of a reply is always present,
 * so no reply is ever empty. Returns the byte after the last one written. */
uint8_t *frame_request_encode_head(const struct frame_request *frame, uint8_t *to);
uint8_t *frame_reply_encode_head(const struct frame_reply *frame, uint8_t *to);

#endif
