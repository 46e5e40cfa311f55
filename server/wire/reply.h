/* From the core's effects, and from refusals at admission, to reply frames. The one place where
 * inner statuses become wire statuses. Any thread. */
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

/* A text as it may stand in a reply: at most `most` bytes, cut before a character that does not
 * fit, and nothing at all if it is NULL or no text. */
struct view reply_sayable(const char *text, size_t most);

/* A reply frame that refuses. `to` has room for REPLY_REFUSAL_MAX; returns its length. */
#define REPLY_REFUSAL_MAX 4096
size_t reply_refuse(uint64_t epoch, const struct refusal *refusal, uint8_t *to);

/* What replies say beside what has happened. */
struct reply_facts {
    uint64_t epoch;
    uint64_t kill_after_ms; /* the limit in force */
};

/* The length of a frame of reply_from_effect at most, so that its room can be made. */
size_t reply_room(const struct effect *effect);

/* The reply frame for one reply effect. Returns its length; `to` has room for reply_room. */
size_t reply_from_effect(const struct reply_facts *facts, const struct effect *effect, uint8_t *to);

/* A reply frame with status OK around an encoded response. `room` is enough, or the program stops.
 */
size_t reply_ok(uint64_t epoch, struct bytes response, uint8_t *to, size_t room);

/* The same with advice when to ask again, although all is well. */
size_t reply_ok_later(uint64_t epoch, struct bytes response, uint32_t retry_after_ms, uint8_t *to,
                      size_t room);

/* The head of a reply with status OK, for a payload of `length` bytes that stands at `payload`
 * already: written so that it ends there. Returns the frame's first byte, at most REPLY_HEAD_MAX
 * before the payload. */
#define REPLY_HEAD_MAX 32
uint8_t *reply_head_before(uint64_t epoch, uint8_t *payload, size_t length);

#endif
