/* The feed window: the last events as encoded bytes, so that readers who come late or reconnect can
 * fetch what they missed.
 *
 * A ring of bytes. Events are numbered without holes, so a sparse table of positions (every 16th
 * sequence) finds any of them in a few steps. Positions are no state: only the events, their times
 * and the numbers are. An event leaves after feed_keep_ms, or earlier when a newer one needs its
 * room; the oldest sequence always tells from where the window is complete. */
#ifndef ACTIVITYD_SERVER_CORE_FEED_WINDOW_H
#define ACTIVITYD_SERVER_CORE_FEED_WINDOW_H

#include "server/core/bytes.h"
#include "server/core/limits.h"
#include "server/core/region.h"

struct stream_out;
struct stream_in;

struct feed_window {
    uint8_t *ring;
    uint64_t *anchors; /* positions of every 16th sequence */
    uint64_t ring_bytes;
    uint64_t anchor_count;
    uint64_t head_sequence;   /* of the last event; 0 before the first */
    uint64_t oldest_sequence; /* head + 1 when the window is empty */
    uint64_t head_at;         /* bytes ever written; modulo ring_bytes it is a place in the ring */
    uint64_t oldest_at;
};

void feed_window_layout(struct feed_window *feed, struct region *region,
                        const struct core_limits *capacity);

/* Keeps the next event; `body` is at most EVENT_BYTES_MAX, its sequence is what head_sequence
 * becomes: one more. */
void feed_window_append(struct feed_window *feed, const struct core_limits *limits,
                        uint64_t service_ms, uint8_t kind, struct bytes body);

/* Copies a kept event to `to` (EVENT_BYTES_MAX). False: not in the window. */
bool feed_window_read(const struct feed_window *feed, uint64_t sequence, uint8_t *kind, uint8_t *to,
                      uint32_t *length);

/* Service time at which something has to leave, UINT64_MAX for never. */
uint64_t feed_window_deadline(const struct feed_window *feed, const struct core_limits *limits);

/* Lets what is over leave, at most *budget events, which is lowered by as many. */
void feed_window_expire(struct feed_window *feed, const struct core_limits *limits,
                        uint64_t service_ms, uint32_t *budget);

void feed_window_save(const struct feed_window *feed, struct stream_out *out);
void feed_window_load(struct feed_window *feed, struct stream_in *in);
/* NULL, or what is wrong. */
const char *feed_window_verify(const struct feed_window *feed, uint64_t service_ms);

#endif
