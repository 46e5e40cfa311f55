/* The publisher: history from the ring in contiguous messages, latest progress beside it, a
 * heartbeat each second, a goodbye at the end. One thread of its own. What it publishes was durable
 * before it came into the ring.
 *
 * A message is cut at LIMIT_FEED_FRAME_BYTES, or PUBLISH_DELAY_MS after the one before: an event
 * after a pause leaves at once. While
 * nobody subscribes nothing is encoded. */
#ifndef ACTIVITYD_SERVER_FEED_PUBLISH_H
#define ACTIVITYD_SERVER_FEED_PUBLISH_H

#include <stddef.h>
#include <stdint.h>

#include "server/core/bytes.h"

#define PUBLISH_DELAY_MS 2

struct feed_ring;
struct feed_publisher;

struct feed_publisher_options {
    struct feed_ring *ring; /* borrowed */
    void *context;
    uint64_t (*now_ms)(void *context); /* the ring's clock */
    /* A whole message, topic included; valid during the call. The publisher's thread, which
     * encrypts there for those who are ready; it must not wait for anybody. */
    void (*send)(void *context, const uint8_t *message, size_t length);
    uint32_t (*subscribers)(void *context); /* now; the publisher's thread, 20 times a second */
};

/* Makes it and starts its thread, which publishes what comes into the ring from now on. NULL when
 * there is no memory or no thread. */
struct feed_publisher *feed_publisher_start(const struct feed_publisher_options *options);
size_t feed_publisher_memory_bytes(void);

/* Latest progress: the fields of a ProgressFrame from time_ms on, at most PROGRESS_FIELDS_MAX.
 * Published at once; when the last one is still waiting it takes its place (then a number is left
 * out, which subscribers see). Any thread; does not wait. */
void feed_publisher_progress(struct feed_publisher *publisher, struct bytes fields);

/* Publishes the rest and a goodbye, ends the thread, frees. The ring gets no more events. Accepts
 * NULL. */
void feed_publisher_stop(struct feed_publisher *publisher);

struct feed_publisher_status {
    uint64_t frames; /* all messages */
    uint64_t bytes;
    uint64_t events;
    uint64_t progress_frames;
};
void feed_publisher_status(struct feed_publisher *publisher, struct feed_publisher_status *status);

#endif
