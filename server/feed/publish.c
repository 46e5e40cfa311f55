#include "server/feed/publish.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "proto/limits.h"
#include "server/check.h"
#include "server/feed/ring.h"
#include "server/wire/encode.h"
#include "server/wire/progress.h"

/* Field numbers of HistoryFrame and ProgressFrame (activity/v1/feed.proto). */
enum {
    HISTORY_EPOCH = 1,
    HISTORY_FIRST_SEQUENCE = 2,
    HISTORY_LAST_SEQUENCE = 3,
    HISTORY_EVENTS = 4,
    HISTORY_GOODBYE = 5,
};
enum { PROGRESS_EPOCH = 1, PROGRESS_NUMBER = 2 };

#define TOPIC_LENGTH 2
/* Topic, epoch and two numbers before the events. */
#define HEAD_BYTES_MAX (TOPIC_LENGTH + 9 + 2 * (1 + VARINT_BYTES_MAX))
#define TAIL_BYTES_MAX 2 /* goodbye */
/* How often is looked whether somebody has come. */
#define LOOK_MS 50

_Static_assert(HEAD_BYTES_MAX + LIMIT_FEED_FRAME_BYTES + TAIL_BYTES_MAX <= LIMIT_FEED_MESSAGE_BYTES,
               "a full frame fits a message");
_Static_assert(EVENT_WIRE_MAX + ENCODE_HEAD_MAX <= LIMIT_FEED_FRAME_BYTES, "an event fits a frame");
_Static_assert(HEAD_BYTES_MAX + PROGRESS_FIELDS_MAX <= LIMIT_FEED_MESSAGE_BYTES,
               "progress fits a message");

struct feed_publisher {
    struct feed_publisher_options options;
    struct feed_waiter waiter;
    pthread_t thread;
    atomic_bool stopping;
    atomic_uint_fast64_t frames;
    atomic_uint_fast64_t bytes;
    atomic_uint_fast64_t events;
    atomic_uint_fast64_t progress_frames;

    pthread_mutex_t lock; /* guards what follows */
    uint64_t collected;   /* number of the latest progress */
    size_t waiting_length;
    uint8_t waiting[PROGRESS_FIELDS_MAX]; /* not taken by the thread yet, when there is a length */

    /* The thread's. */
    uint64_t epoch;
    uint64_t position; /* of the last event published, or passed over while nobody listened */
    uint64_t number;   /* of the last progress published or passed over */
    uint32_t subscribers;
    int64_t published_ns; /* when events left last, CLOCK_MONOTONIC */
    uint64_t history_ms;  /* when the last message of each topic left */
    uint64_t progress_ms;
    uint8_t message[LIMIT_FEED_MESSAGE_BYTES];
    _Alignas(8) uint8_t copy[FEED_RING_COPY_MAX];
};

size_t feed_publisher_memory_bytes(void)
{
    return sizeof(struct feed_publisher);
}

static uint64_t now_of(const struct feed_publisher *publisher)
{
    return publisher->options.now_ms(publisher->options.context);
}

static void send_message(struct feed_publisher *publisher, const uint8_t *message, size_t length)
{
    CHECK(length <= LIMIT_FEED_MESSAGE_BYTES);
    publisher->options.send(publisher->options.context, message, length);
    (void)atomic_fetch_add_explicit(&publisher->frames, 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&publisher->bytes, length, memory_order_relaxed);
}

/* ---- History ---- */

/* A frame that grows: its events begin at HEAD_BYTES_MAX of the message, since only the last one
 * tells how long the head is. */
struct frame {
    uint64_t first;
    uint64_t last;
    uint8_t *end;
};

static void begin_frame(struct feed_publisher *publisher, struct frame *frame)
{
    *frame = (struct frame){publisher->position + 1, publisher->position,
                            publisher->message + HEAD_BYTES_MAX};
}

static size_t frame_bytes(const struct feed_publisher *publisher, const struct frame *frame)
{
    return (size_t)(frame->end - publisher->message) - HEAD_BYTES_MAX;
}

static void send_frame(struct feed_publisher *publisher, struct frame *frame, bool goodbye)
{
    uint8_t head[HEAD_BYTES_MAX] = {'c', '|'};
    uint8_t *head_end = encode_fixed64(head + TOPIC_LENGTH, HISTORY_EPOCH, publisher->epoch);
    head_end = encode_number(head_end, HISTORY_FIRST_SEQUENCE, frame->first);
    head_end = encode_number(head_end, HISTORY_LAST_SEQUENCE, frame->last);
    size_t head_length = (size_t)(head_end - head);
    uint8_t *begin = publisher->message + HEAD_BYTES_MAX - head_length;
    memcpy(begin, head, head_length);
    uint8_t *end = encode_number(frame->end, HISTORY_GOODBYE, goodbye ? 1 : 0);
    send_message(publisher, begin, (size_t)(end - begin));
    (void)atomic_fetch_add_explicit(&publisher->events, frame->last + 1 - frame->first,
                                    memory_order_relaxed);
    publisher->position = frame->last;
    publisher->history_ms = now_of(publisher);
}

static void add_events(struct feed_publisher *publisher, struct frame *frame, size_t copied)
{
    const struct feed_ring_event *event;
    for (size_t at = 0; (event = feed_ring_next(publisher->copy, copied, &at)) != NULL;) {
        if (frame_bytes(publisher, frame) + ENCODE_HEAD_MAX + event->length >
            LIMIT_FEED_FRAME_BYTES) {
            send_frame(publisher, frame, false);
            begin_frame(publisher, frame);
        }
        CHECK(event->sequence == frame->last + 1);
        frame->end = encode_member(frame->end, HISTORY_EVENTS, feed_ring_encoded(event));
        frame->last = event->sequence;
    }
}

static bool has_events(const struct frame *frame)
{
    return frame->last >= frame->first;
}

/* What the ring has now; what comes in meanwhile is for the next round, so that neither progress
 * nor heartbeats wait. If the ring was faster the next frame begins at its oldest event, and
 * subscribers see the hole. */
static bool publish_history(struct feed_publisher *publisher)
{
    struct feed_ring *ring = publisher->options.ring;
    struct feed_ring_state state;
    struct frame frame;
    bool published = false;
    feed_ring_state(ring, &state);
    uint64_t head = state.head_sequence;
    begin_frame(publisher, &frame);
    while (frame.last < head) {
        size_t copied = feed_ring_copy(ring, frame.last, publisher->copy, sizeof publisher->copy);
        if (copied > 0) {
            add_events(publisher, &frame, copied);
            published = true;
            continue;
        }
        if (has_events(&frame)) {
            send_frame(publisher, &frame, false);
        }
        feed_ring_state(ring, &state);
        publisher->position = state.oldest_sequence - 1;
        begin_frame(publisher, &frame);
    }
    if (has_events(&frame)) {
        send_frame(publisher, &frame, false);
    }
    return published;
}

static void send_empty(struct feed_publisher *publisher, bool goodbye)
{
    struct frame frame;
    begin_frame(publisher, &frame);
    send_frame(publisher, &frame, goodbye);
}

/* ---- Progress ---- */

void feed_publisher_progress(struct feed_publisher *publisher, struct bytes fields)
{
    CHECK(fields.length > 0 && fields.length <= PROGRESS_FIELDS_MAX);
    CHECK(pthread_mutex_lock(&publisher->lock) == 0);
    publisher->collected++;
    publisher->waiting_length = fields.length;
    memcpy(publisher->waiting, fields.at, fields.length);
    CHECK(pthread_mutex_unlock(&publisher->lock) == 0);
    feed_waiter_ring(&publisher->waiter);
}

/* Takes what waits, into the message behind its head. Returns its length, 0 when nothing waits. */
static size_t take_progress(struct feed_publisher *publisher)
{
    CHECK(pthread_mutex_lock(&publisher->lock) == 0);
    size_t length = publisher->waiting_length;
    memcpy(publisher->message + HEAD_BYTES_MAX, publisher->waiting, length);
    publisher->waiting_length = 0;
    publisher->number = publisher->collected;
    CHECK(pthread_mutex_unlock(&publisher->lock) == 0);
    return length;
}

/* The fields stand behind the head already. */
static void send_progress(struct feed_publisher *publisher, size_t length)
{
    uint8_t head[HEAD_BYTES_MAX] = {'p', '|'};
    uint8_t *head_end = encode_fixed64(head + TOPIC_LENGTH, PROGRESS_EPOCH, publisher->epoch);
    head_end = encode_number(head_end, PROGRESS_NUMBER, publisher->number);
    size_t head_length = (size_t)(head_end - head);
    uint8_t *begin = publisher->message + HEAD_BYTES_MAX - head_length;
    memcpy(begin, head, head_length);
    send_message(publisher, begin, head_length + length);
    (void)atomic_fetch_add_explicit(&publisher->progress_frames, 1, memory_order_relaxed);
    publisher->progress_ms = now_of(publisher);
}

/* ---- The thread ---- */

/* Nobody listens: the position follows the head, and the number what was collected for those who
 * are away for a moment. */
static void pass_over(struct feed_publisher *publisher)
{
    struct feed_ring_state state;
    feed_ring_state(publisher->options.ring, &state);
    publisher->position = state.head_sequence;
    (void)take_progress(publisher);
}

/* When the thread has to look around, at the latest. */
static uint64_t next_look_ms(const struct feed_publisher *publisher)
{
    uint64_t look_ms = now_of(publisher) + LOOK_MS;
    uint64_t beat_ms = LIMIT_FEED_HEARTBEAT_MS + (publisher->history_ms < publisher->progress_ms
                                                      ? publisher->history_ms
                                                      : publisher->progress_ms);
    return publisher->subscribers == 0 || look_ms < beat_ms ? look_ms : beat_ms;
}

static bool is_due(const struct feed_publisher *publisher, uint64_t last_ms)
{
    return now_of(publisher) - last_ms >= LIMIT_FEED_HEARTBEAT_MS;
}

static int64_t real_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Whoever has just come learns at once where the history stands. */
static void publish(struct feed_publisher *publisher, bool somebody_came)
{
    bool told = publish_history(publisher);
    if (told) {
        publisher->published_ns = real_ns();
    } else if (somebody_came || is_due(publisher, publisher->history_ms)) {
        send_empty(publisher, false);
    }
    size_t length = take_progress(publisher);
    if (length > 0 || somebody_came || is_due(publisher, publisher->progress_ms)) {
        send_progress(publisher, length);
    }
}

/* Lets more events come to the one that is there, but not longer than since the last message: the
 * first event after a pause leaves at once, and a stream of them is cut every PUBLISH_DELAY_MS. */
static void gather(const struct feed_publisher *publisher)
{
    int64_t rest_ns = publisher->published_ns + PUBLISH_DELAY_MS * INT64_C(1000000) - real_ns();
    if (rest_ns > 0) {
        struct timespec delay = {.tv_nsec = (long)rest_ns};
        (void)nanosleep(&delay, NULL);
    }
}

static bool is_behind(const struct feed_publisher *publisher)
{
    struct feed_ring_state state;
    feed_ring_state(publisher->options.ring, &state);
    return state.head_sequence > publisher->position;
}

static void *run(void *context)
{
    struct feed_publisher *publisher = context;
    for (;;) {
        bool stopping = atomic_load(&publisher->stopping);
        uint32_t subscribers = publisher->options.subscribers(publisher->options.context);
        if (subscribers == 0) {
            pass_over(publisher);
        } else {
            publish(publisher, subscribers > publisher->subscribers);
        }
        publisher->subscribers = subscribers;
        if (stopping) {
            break;
        }
        feed_waiter_wait(&publisher->waiter, subscribers == 0 ? UINT64_MAX : publisher->position,
                         next_look_ms(publisher));
        if (subscribers != 0 && is_behind(publisher)) {
            gather(publisher);
        }
    }
    if (publisher->subscribers != 0) {
        send_empty(publisher, true);
    }
    return NULL;
}

struct feed_publisher *feed_publisher_start(const struct feed_publisher_options *options)
{
    struct feed_publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL) {
        return NULL;
    }
    struct feed_ring_state state;
    feed_ring_state(options->ring, &state);
    publisher->options = *options;
    publisher->epoch = state.epoch;
    publisher->position = state.head_sequence;
    atomic_init(&publisher->stopping, false);
    CHECK(pthread_mutex_init(&publisher->lock, NULL) == 0);
    feed_waiter_init(&publisher->waiter, options->ring);
    if (pthread_create(&publisher->thread, NULL, run, publisher) != 0) {
        feed_waiter_deinit(&publisher->waiter);
        (void)pthread_mutex_destroy(&publisher->lock);
        free(publisher);
        return NULL;
    }
    return publisher;
}

void feed_publisher_stop(struct feed_publisher *publisher)
{
    if (publisher == NULL) {
        return;
    }
    atomic_store(&publisher->stopping, true);
    feed_waiter_ring(&publisher->waiter);
    CHECK(pthread_join(publisher->thread, NULL) == 0);
    feed_waiter_deinit(&publisher->waiter);
    (void)pthread_mutex_destroy(&publisher->lock);
    free(publisher);
}

void feed_publisher_status(struct feed_publisher *publisher, struct feed_publisher_status *status)
{
    *status = (struct feed_publisher_status){
        .frames = atomic_load_explicit(&publisher->frames, memory_order_relaxed),
        .bytes = atomic_load_explicit(&publisher->bytes, memory_order_relaxed),
        .events = atomic_load_explicit(&publisher->events, memory_order_relaxed),
        .progress_frames = atomic_load_explicit(&publisher->progress_frames, memory_order_relaxed),
    };
}
