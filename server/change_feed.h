/* The change feed as the process has it: the ring of recent events, the reader that answers calls
 * from it, and the publisher that pushes it to an endpoint of its own; made and ended in the right
 * order.
 *
 * Events come from the engine, which exists between change_feed_new and change_feed_free; answers
 * go to the command endpoint, which exists between change_feed_start and change_feed_free. */
#ifndef ACTIVITYD_SERVER_CHANGE_FEED_H
#define ACTIVITYD_SERVER_CHANGE_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/feed/reader.h"
#include "server/net/feed_endpoint.h"
#include "server/wire/answer.h"

struct change_feed_options {
    uint64_t epoch;
    size_t window_bytes; /* of the ring */
    uint64_t keep_ms;
    uint32_t slots; /* requests under way: polls among them */
    bool pushes;    /* there is an endpoint */
    struct feed_endpoint_options endpoint;
    void *context;
    uint64_t (*now_ms)(void *context); /* CLOCK_BOOTTIME */
    void (*reply)(void *context, uint64_t token, struct bytes frame);
    void (*want_progress)(void *context, bool wanted); /* when it changes */
};

struct change_feed;

/* The ring. The options are copied, what they point to is borrowed. NULL: out of memory. */
struct change_feed *change_feed_new(const struct change_feed_options *options);

/* What the engine tells (see struct engine_outlets). */
void change_feed_history(struct change_feed *feed, uint64_t sequence);
void change_feed_events(struct change_feed *feed, struct bytes effects);
void change_feed_progress(struct change_feed *feed, struct bytes fields);

/* Once the engine has started: reader, endpoint and publisher. Returns 0, or -1 with one sentence;
 * then it may be stopped and freed all the same. */
__attribute__((warn_unused_result)) int change_feed_start(struct change_feed *feed, char *error,
                                                          size_t error_size);
struct feed_reader *change_feed_reader(struct change_feed *feed);

/* How it stands, but for those who wait at the engine. Any thread. */
void change_feed_status(struct change_feed *feed, struct answer_feed *status);

/* As door_set_policy, for those who subscribe. */
uint32_t change_feed_set_policy(struct change_feed *feed, struct policy *policy);

/* Who waits is answered, and nobody waits any more. */
void change_feed_drain(struct change_feed *feed);
/* Once the engine has stopped: publishes the rest and a goodbye, closes the endpoint, answers what
 * is left. Accepts NULL. */
void change_feed_stop(struct change_feed *feed);
/* Once the command endpoint has stopped. Accepts NULL. */
void change_feed_free(struct change_feed *feed);

void change_feed_memory_parts(const struct change_feed_options *options,
                              void (*part)(void *context, const char *name, size_t bytes),
                              void *context);

#endif
