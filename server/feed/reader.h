/* Answers ReadChanges from the ring, and keeps those who wait parked until there is an event for
 * them, their time is over, their connection is gone, a newer poll of the same subscription has
 * come, or the server stops. One thread of its own; nothing here can hold up the engine.
 *
 * Who may wait is decided at admission (rpc/admit.h), which also bounds how many do. */
#ifndef ACTIVITYD_SERVER_FEED_READER_H
#define ACTIVITYD_SERVER_FEED_READER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/wire/query.h"

struct feed_ring;
struct feed_reader;

struct feed_reader_options {
    struct feed_ring *ring; /* borrowed */
    uint32_t polls_max;     /* under way and parked together: as many as there are slots */
    size_t bytes;           /* of the queries that wait to be looked at or are parked */
    uint64_t (*now_ms)(void *context); /* CLOCK_BOOTTIME, the ring's clock */
    void *context;
    /* A reply frame, valid during the call. The reader's thread. */
    void (*reply)(void *context, uint64_t token, struct bytes frame);
};

/* Makes it and starts its thread. Returns NULL when there is no memory or no thread. */
struct feed_reader *feed_reader_start(const struct feed_reader_options *options);
size_t feed_reader_memory_bytes(const struct feed_reader_options *options);

/* A ReadChanges on its way. The query is copied. */
struct feed_reader_poll {
    uint64_t token;
    uint64_t deadline_ms;   /* past it the request is answered EXPIRED_IN_QUEUE, not executed */
    uint64_t wait_until_ms; /* 0: answered at once */
    bool crowded; /* there was no place to wait: an empty answer says to come back later */
    const atomic_bool *gone; /* as in engine/inbox.h; NULL: never */
    struct bytes query;      /* wire/query.h, METHOD_READ_CHANGES */
};
/* Returns 0: it will be answered under its token, perhaps before this returns; 1 when there is no
 * place (answer INBOX_FULL); 2 when the server stops (answer DRAINING). Any thread. */
__attribute__((warn_unused_result)) int feed_reader_submit(struct feed_reader *reader,
                                                           const struct feed_reader_poll *poll);

/* Answers all who wait, and from now on everybody at once. Any thread. */
void feed_reader_drain(struct feed_reader *reader);

/* Answers what is left and ends the thread; from now on feed_reader_submit refuses (2). Two steps,
 * since requests still come in until the endpoint is closed, which needs all of them answered.
 * Accepts NULL. */
void feed_reader_stop(struct feed_reader *reader);
void feed_reader_free(struct feed_reader *reader); /* stopped; accepts NULL */

struct feed_reader_status {
    uint64_t parked;
    uint64_t reads; /* answered */
    uint64_t fills; /* with events that were there when they came */
    uint64_t resets;
};
void feed_reader_status(struct feed_reader *reader, struct feed_reader_status *status);

#endif
