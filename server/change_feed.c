#include "server/change_feed.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/feed/publish.h"
#include "server/feed/ring.h"

/* Half of the slots may be polls that wait. A query has some hundred bytes, at most 25 KiB. */
#define QUERY_BYTES_PER_SLOT (8u * 1024u)

struct change_feed {
    struct change_feed_options options;
    struct feed_ring *ring;
    struct feed_reader *reader;
    struct feed_endpoint *endpoint;
    /* Of the outbox thread's looks at it one may come before change_feed_start is done. */
    _Atomic(struct feed_publisher *) publisher;
    bool wants_progress; /* the publisher's thread */
};

static struct feed_ring_options ring_options_of(const struct change_feed_options *options)
{
    return (struct feed_ring_options){.bytes = options->window_bytes,
                                      .keep_ms = options->keep_ms,
                                      .epoch = options->epoch,
                                      .now_ms = options->now_ms,
                                      .context = options->context};
}

static struct feed_reader_options reader_options_of(const struct change_feed_options *options,
                                                    struct feed_ring *ring)
{
    return (struct feed_reader_options){.ring = ring,
                                        .polls_max = options->slots,
                                        .bytes = (size_t)options->slots * QUERY_BYTES_PER_SLOT,
                                        .now_ms = options->now_ms,
                                        .context = options->context,
                                        .reply = options->reply};
}

struct change_feed *change_feed_new(const struct change_feed_options *options)
{
    const struct feed_ring_options ring = ring_options_of(options);
    struct change_feed *feed = calloc(1, sizeof *feed);
    if (feed == NULL) {
        return NULL;
    }
    feed->options = *options;
    feed->ring = feed_ring_new(&ring);
    if (feed->ring == NULL) {
        change_feed_free(feed);
        return NULL;
    }
    return feed;
}

void change_feed_history(struct change_feed *feed, uint64_t sequence)
{
    feed_ring_begin(feed->ring, sequence);
}

void change_feed_events(struct change_feed *feed, struct bytes effects)
{
    feed_ring_append(feed->ring, effects);
}

void change_feed_progress(struct change_feed *feed, struct bytes fields)
{
    struct feed_publisher *publisher = atomic_load(&feed->publisher);
    if (publisher != NULL) {
        feed_publisher_progress(publisher, fields);
    }
}

/* ---- What the publisher needs ---- */

static uint64_t now_ms(void *context)
{
    const struct change_feed *feed = context;
    return feed->options.now_ms(feed->options.context);
}

static void send_message(void *context, const uint8_t *message, size_t length)
{
    struct change_feed *feed = context;
    feed_endpoint_send(feed->endpoint, message, length);
}

/* Progress is collected for those who listen, which is noticed here as well. */
static uint32_t count_subscribers(void *context)
{
    struct change_feed *feed = context;
    uint32_t count = feed_endpoint_subscribers(feed->endpoint);
    if (feed->wants_progress != (count > 0)) {
        feed->wants_progress = count > 0;
        feed->options.want_progress(feed->options.context, count > 0);
    }
    return count;
}

static int start_publisher(struct change_feed *feed, char *error, size_t error_size)
{
    const struct feed_publisher_options options = {.ring = feed->ring,
                                                   .context = feed,
                                                   .now_ms = now_ms,
                                                   .send = send_message,
                                                   .subscribers = count_subscribers};
    if (feed_endpoint_start(&feed->options.endpoint, &feed->endpoint, error, error_size) != 0) {
        return -1;
    }
    struct feed_publisher *publisher = feed_publisher_start(&options);
    atomic_store(&feed->publisher, publisher);
    if (publisher == NULL) {
        (void)snprintf(error, error_size, "no memory or no thread for the publisher");
        return -1;
    }
    return 0;
}

int change_feed_start(struct change_feed *feed, char *error, size_t error_size)
{
    const struct feed_reader_options options = reader_options_of(&feed->options, feed->ring);
    feed->reader = feed_reader_start(&options);
    if (feed->reader == NULL) {
        (void)snprintf(error, error_size, "no memory or no thread for those who read changes");
        return -1;
    }
    return feed->options.pushes ? start_publisher(feed, error, error_size) : 0;
}

struct feed_reader *change_feed_reader(struct change_feed *feed)
{
    return feed->reader;
}

void change_feed_status(struct change_feed *feed, struct answer_feed *status)
{
    struct feed_ring_state ring;
    struct feed_reader_status reader;
    struct feed_publisher_status pushed = {0};
    struct feed_publisher *publisher = atomic_load(&feed->publisher);
    feed_ring_state(feed->ring, &ring);
    feed_reader_status(feed->reader, &reader);
    if (publisher != NULL) {
        feed_publisher_status(publisher, &pushed);
    }
    *status = (struct answer_feed){
        .head_sequence = ring.head_sequence,
        .oldest_sequence = ring.oldest_sequence,
        .subscribers = publisher != NULL ? feed_endpoint_subscribers(feed->endpoint) : 0,
        .parked = reader.parked,
        .frames = pushed.frames,
        .bytes = pushed.bytes,
        .events = pushed.events,
        .progress_frames = pushed.progress_frames,
        .reads = reader.reads,
        .fills = reader.fills,
        .resets = reader.resets,
    };
}

uint32_t change_feed_set_policy(struct change_feed *feed, struct policy *policy)
{
    return feed->endpoint != NULL ? feed_endpoint_set_policy(feed->endpoint, policy) : 0;
}

/* ---- The end ---- */

void change_feed_drain(struct change_feed *feed)
{
    feed_reader_drain(feed->reader);
}

void change_feed_stop(struct change_feed *feed)
{
    if (feed == NULL) {
        return;
    }
    feed_publisher_stop(atomic_exchange(&feed->publisher, NULL));
    feed_endpoint_stop(feed->endpoint);
    feed->endpoint = NULL;
    feed_reader_stop(feed->reader);
}

void change_feed_free(struct change_feed *feed)
{
    if (feed == NULL) {
        return;
    }
    feed_reader_free(feed->reader);
    feed_ring_free(feed->ring);
    free(feed);
}

/* ---- Memory ---- */

void change_feed_memory_parts(const struct change_feed_options *options,
                              void (*part)(void *context, const char *name, size_t bytes),
                              void *context)
{
    const struct feed_ring_options ring = ring_options_of(options);
    const struct feed_reader_options reader = reader_options_of(options, NULL);
    part(context, "feed: recent events", feed_ring_memory_bytes(&ring));
    part(context, "feed: those who read it by calls", feed_reader_memory_bytes(&reader));
    if (options->pushes) {
        part(context, "feed: publisher", feed_publisher_memory_bytes());
        feed_endpoint_memory_parts(&options->endpoint, part, context);
    }
}
