/* Messages of the change-feed endpoint: a topic of two bytes and a HistoryFrame or a ProgressFrame
 * (feed.proto).
 *
 * Decoded as a whole before any of it is used: any bytes give a frame or a refusal, and of a frame
 * the numbers add up, the events are all there and in order, and every text is text. Any thread. */
#ifndef ACTIVITY_LIB_FEED_FRAME_H
#define ACTIVITY_LIB_FEED_FRAME_H

#include <activity_feed.h>

#include "proto/arena.h"
#include "proto/view.h"

#define FEED_TOPIC_HISTORY  "c|"
#define FEED_TOPIC_PROGRESS "p|"
enum { FEED_TOPIC_LENGTH = 2 };

enum feed_frame_kind { FEED_HISTORY = 0, FEED_PROGRESS = 1 };

/* The latest of one job. */
struct feed_job {
    uint64_t job_id;
    const char *status_text; /* NULL: it has not changed */
    uint8_t percent;
    uint8_t tenant; /* index in tenants */
};

struct feed_frame {
    enum feed_frame_kind kind;
    uint64_t epoch;
    /* FEED_HISTORY. */
    uint64_t first; /* sequence; last + 1 when there are no events */
    uint64_t last;
    const struct activity_event *events; /* NONE: of a kind that is not known here */
    size_t event_count;
    bool goodbye;
    /* FEED_PROGRESS. */
    uint64_t number;
    uint64_t time_ms;
    const struct feed_job *jobs;
    size_t job_count;
    const char *const *tenants;
    size_t tenant_count;
};

/* What a frame points to is in the arena; more than any honest message of `length` bytes needs. */
#define FEED_FRAME_MEMORY(length) (4096 + (size_t)16 * (length))

/* True, or false for what is no message of the feed or does not fit the arena. */
bool feed_frame_decode(struct view message, struct arena *arena, struct feed_frame *frame);

#endif
