/* From the core's effects, and from refusals at admission, to reply frames. The one place where inner statuses become
 * wire statuses. */
#ifndef ACTIVITYD_SERVER_WIRE_REPLY_H
#define ACTIVITYD_SERVER_WIRE_REPLY_H

#include "proto/frame.h"
#include "server/core/effect.h"

struct refusal {
    enum status_reason reason;
    const char *field;       /* NULL or the field's path */
    const char *message;     /* NULL: the reason's own text */
    uint32_t retry_after_ms; /* 0 = no advice */
};

/* A reply frame that refuses. `to` has room for REPLY_REFUSAL_MAX; returns its length. Any thread. */
#define REPLY_REFUSAL_MAX 4096
size_t reply_refuse(uint64_t epoch, const struct refusal *refusal, uint8_t *to);

/* The reply frame for one reply effect. Returns its length, at most LIMIT_REPLY_BYTES; `to` has that much room. */
size_t reply_from_effect(uint64_t epoch, const struct effect *effect, uint8_t *to);

/* A reply frame with status OK around an encoded response. */
size_t reply_ok(uint64_t epoch, struct bytes response, uint8_t *to, size_t room);

#endif
