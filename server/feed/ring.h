/* The ring of recent events, as they are sent: encoded once (wire/event.h), read by the publisher
 * and by the readers, each at its own pace. Bounded in bytes; the oldest leave for the newest, and
 * after the time for which events are kept. One writer, any number of readers. */
#ifndef ACTIVITYD_SERVER_FEED_RING_H
#define ACTIVITYD_SERVER_FEED_RING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/wire/event.h"

struct feed_ring;

struct feed_ring_options {
    size_t bytes;     /* of the ring: feed_window_bytes; at least FEED_RING_BYTES_MIN */
    uint64_t keep_ms; /* feed_keep_ms; FEED_RING_KEEP_MIN_MS if it is less, so that those who follow
                         the head get what happens even when nothing is kept for others */
    uint64_t epoch;   /* of the history */
    uint64_t (*now_ms)(void *context); /* a clock that does not jump */
    void *context;
};
#define FEED_RING_BYTES_MIN   (1024u * 1024u)
#define FEED_RING_KEEP_MIN_MS 1000u

/* NULL: out of memory (nothing is touched before it is used). */
struct feed_ring *feed_ring_new(const struct feed_ring_options *options);
void feed_ring_free(struct feed_ring *ring); /* accepts NULL */
size_t feed_ring_memory_bytes(const struct feed_ring_options *options);

/* Where the history stands, once the state is restored: the first event appended is the next one.
 * Called once, before the first append. Until then the head is 0. */
void feed_ring_begin(struct feed_ring *ring, uint64_t head_sequence);

/* Appends the events among the effects of applied entries, in order and without holes, and wakes
 * those who wait. One thread at a time. */
void feed_ring_append(struct feed_ring *ring, struct bytes effects);

/* Where the ring stands. Any thread. */
struct feed_ring_state {
    uint64_t epoch;
    uint64_t head_sequence;
    uint64_t oldest_sequence; /* head + 1: it is empty */
};
void feed_ring_state(struct feed_ring *ring, struct feed_ring_state *state);

/* Events as they lie in the ring and in a copy: this head, then `length` bytes of an encoded
 * ChangeEvent; the next one follows, aligned to 8. */
struct feed_ring_event {
    uint64_t sequence;
    struct event_key key; /* for filters that need not look into the event */
    uint32_t length;
    uint32_t at_ms; /* when it was appended: the low bits */
};

/* Copies whole events after `after` to `to`, as many as there are and fit. Returns the bytes
 * copied; 0 when there are none or the event after `after` has left the ring (compare with
 * feed_ring_state). `size` is at least FEED_RING_COPY_MIN; the ring is locked while they are
 * copied, so it should be no more than FEED_RING_COPY_MAX. Any thread. */
#define FEED_RING_COPY_MIN (EVENT_WIRE_MAX + sizeof(struct feed_ring_event) + 8)
#define FEED_RING_COPY_MAX (256u * 1024u)
size_t feed_ring_copy(struct feed_ring *ring, uint64_t after, uint8_t *to, size_t size);

/* The next event of a copy, NULL at the end; *at begins at 0. The copy is aligned to 8. */
const struct feed_ring_event *feed_ring_next(const uint8_t *copy, size_t size, size_t *at);
/* Its encoded ChangeEvent. */
static inline struct bytes feed_ring_encoded(const struct feed_ring_event *event)
{
    return bytes_of(event + 1, event->length);
}

/* A thread that waits at the ring: its own, and bound to the ring from feed_waiter_init to
 * feed_waiter_deinit. At most FEED_RING_WAITERS_MAX. */
struct feed_waiter {
    struct feed_ring *ring;
    pthread_cond_t woken;
    uint64_t after; /* while it waits: for an event after this one */
    bool waits;
    bool rung;
};
#define FEED_RING_WAITERS_MAX 8
void feed_waiter_init(struct feed_waiter *waiter, struct feed_ring *ring);
void feed_waiter_deinit(struct feed_waiter *waiter);

/* Waits until there is an event after `after` (UINT64_MAX: not for events), until_ms has come (of
 * now_ms) or the waiter was rung since it last returned; but not longer than 500 ms of real time,
 * so look at the clock again. The waiter's thread. */
void feed_waiter_wait(struct feed_waiter *waiter, uint64_t after, uint64_t until_ms);
/* A ring is never lost. Any thread. */
void feed_waiter_ring(struct feed_waiter *waiter);

#endif
