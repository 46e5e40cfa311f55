#include "server/feed/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "server/check.h"

/* A ring of bytes with positions that only grow; modulo `bytes` they are places. Events lie in it
 * as in a copy, so copying is one or two memcpy, whatever is in between. Events are numbered
 * without holes: a sparse table of positions (every 16th sequence) finds any of them, and the last
 * one that fits a copy, in a few steps.
 *
 * What an entry brings is encoded outside the lock, in pieces, and then put in as it lies. */
#define STRIDE 16u
#define ALIGN  8u
/* One piece: what the lock is held for once. */
#define STAGE_BYTES (64u * 1024u)
#define SLEEP_MS    500u

_Static_assert(sizeof(struct feed_ring_event) % ALIGN == 0, "bodies and heads are aligned");
_Static_assert(STAGE_BYTES + FEED_RING_COPY_MIN <= FEED_RING_BYTES_MIN, "a piece fits the ring");

/* The shortest event: its sequence, its time, a tenant, a principal and an own part. */
#define EVENT_SPAN_MIN (sizeof(struct feed_ring_event) + 16)

struct feed_ring {
    struct feed_ring_options options;
    /* Of the appending thread. */
    uint8_t *stage;
    size_t staged;
    uint64_t next_sequence;

    pthread_mutex_t lock; /* guards what follows */
    uint8_t *places;
    uint64_t *anchors; /* positions of every 16th sequence */
    uint64_t bytes;
    uint64_t anchor_count;
    uint64_t head_sequence;
    uint64_t oldest_sequence; /* head + 1: empty */
    uint64_t head_at;         /* position behind the last event */
    uint64_t oldest_at;
    uint64_t appended_ms; /* the last time */
    struct feed_waiter *waiters[FEED_RING_WAITERS_MAX];
};

static uint64_t ring_bytes(const struct feed_ring_options *options)
{
    uint64_t bytes =
        options->bytes < FEED_RING_BYTES_MIN ? FEED_RING_BYTES_MIN : (uint64_t)options->bytes;
    return bytes / ALIGN * ALIGN;
}

static uint64_t anchors_for(uint64_t bytes)
{
    return bytes / EVENT_SPAN_MIN / STRIDE + 2;
}

size_t feed_ring_memory_bytes(const struct feed_ring_options *options)
{
    uint64_t bytes = ring_bytes(options);
    return sizeof(struct feed_ring) + STAGE_BYTES + FEED_RING_COPY_MIN + (size_t)bytes +
           (size_t)anchors_for(bytes) * sizeof(uint64_t);
}

/* Not touched before it is used. */
static void *reserve(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void give_back(void *memory, size_t bytes)
{
    if (memory != NULL) {
        (void)munmap(memory, bytes);
    }
}

struct feed_ring *feed_ring_new(const struct feed_ring_options *options)
{
    struct feed_ring *ring = calloc(1, sizeof *ring);
    if (ring == NULL) {
        return NULL;
    }
    ring->options = *options;
    if (ring->options.keep_ms < FEED_RING_KEEP_MIN_MS) {
        ring->options.keep_ms = FEED_RING_KEEP_MIN_MS;
    }
    CHECK(ring->options.keep_ms < INT32_MAX); /* at_ms has only the low bits */
    ring->bytes = ring_bytes(options);
    ring->anchor_count = anchors_for(ring->bytes);
    ring->oldest_sequence = 1;
    ring->next_sequence = 1;
    CHECK(pthread_mutex_init(&ring->lock, NULL) == 0);
    ring->stage = malloc(STAGE_BYTES + FEED_RING_COPY_MIN);
    ring->places = reserve((size_t)ring->bytes);
    ring->anchors = reserve((size_t)ring->anchor_count * sizeof *ring->anchors);
    if (ring->stage == NULL || ring->places == NULL || ring->anchors == NULL) {
        feed_ring_free(ring);
        return NULL;
    }
    return ring;
}

void feed_ring_free(struct feed_ring *ring)
{
    if (ring == NULL) {
        return;
    }
    for (size_t i = 0; i < FEED_RING_WAITERS_MAX; i++) {
        CHECK(ring->waiters[i] == NULL);
    }
    give_back(ring->anchors, (size_t)ring->anchor_count * sizeof *ring->anchors);
    give_back(ring->places, (size_t)ring->bytes);
    free(ring->stage);
    (void)pthread_mutex_destroy(&ring->lock);
    free(ring);
}

static void lock(struct feed_ring *ring)
{
    CHECK(pthread_mutex_lock(&ring->lock) == 0);
}

static void unlock(struct feed_ring *ring)
{
    CHECK(pthread_mutex_unlock(&ring->lock) == 0);
}

void feed_ring_begin(struct feed_ring *ring, uint64_t head_sequence)
{
    lock(ring);
    CHECK(ring->head_at == 0 && ring->staged == 0);
    ring->head_sequence = head_sequence;
    ring->oldest_sequence = head_sequence + 1;
    ring->next_sequence = head_sequence + 1;
    unlock(ring);
}

/* ---- Places. Under the lock ---- */

static void ring_put(struct feed_ring *ring, uint64_t at, const uint8_t *from, size_t length)
{
    uint64_t place = at % ring->bytes;
    size_t first = length < ring->bytes - place ? length : (size_t)(ring->bytes - place);
    memcpy(ring->places + place, from, first);
    memcpy(ring->places, from + first, length - first);
}

static void ring_get(const struct feed_ring *ring, uint64_t at, void *to, size_t length)
{
    uint64_t place = at % ring->bytes;
    size_t first = length < ring->bytes - place ? length : (size_t)(ring->bytes - place);
    memcpy(to, ring->places + place, first);
    memcpy((uint8_t *)to + first, ring->places, length - first);
}

static uint64_t span_of(uint32_t length)
{
    return sizeof(struct feed_ring_event) + ((uint64_t)length + ALIGN - 1) / ALIGN * ALIGN;
}

static struct feed_ring_event head_of(const struct feed_ring *ring, uint64_t at)
{
    struct feed_ring_event event;
    ring_get(ring, at, &event, sizeof event);
    return event;
}

static uint64_t *anchor_of(const struct feed_ring *ring, uint64_t sequence)
{
    return &ring->anchors[sequence / STRIDE % ring->anchor_count];
}

static uint64_t next_of(const struct feed_ring *ring, uint64_t at)
{
    return at + span_of(head_of(ring, at).length);
}

static bool is_empty(const struct feed_ring *ring)
{
    return ring->oldest_sequence > ring->head_sequence;
}

static void drop_oldest(struct feed_ring *ring)
{
    ring->oldest_at = next_of(ring, ring->oldest_at);
    ring->oldest_sequence++;
}

/* The last anchored event after `first` of which `holds` says so, 0 when there is none. Of the
 * events in the ring it says so up to one of them, and of no later one. */
typedef bool holds_fn(const struct feed_ring *ring, uint64_t at, uint64_t what);

static uint64_t last_anchor(const struct feed_ring *ring, uint64_t first, holds_fn *holds,
                            uint64_t what)
{
    uint64_t low = first / STRIDE;
    uint64_t high = ring->head_sequence / STRIDE;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        if (holds(ring, *anchor_of(ring, middle * STRIDE), what)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low * STRIDE > first ? low * STRIDE : 0;
}

static bool lies_before(const struct feed_ring *ring, uint64_t at, uint64_t position)
{
    (void)ring;
    return at <= position;
}

static bool is_over(const struct feed_ring *ring, uint64_t at, uint64_t now_ms)
{
    return (uint32_t)((uint32_t)now_ms - head_of(ring, at).at_ms) >= ring->options.keep_ms;
}

/* Times have 32 bits. That is enough as long as the last event is young, since each append lets go
 * what is over: then no two events, and not now, are further apart than twice the time to keep. */
static void expire(struct feed_ring *ring, uint64_t now_ms)
{
    if (is_empty(ring) || now_ms <= ring->appended_ms) {
        return;
    }
    if (now_ms - ring->appended_ms >= ring->options.keep_ms) {
        ring->oldest_sequence = ring->head_sequence + 1;
        ring->oldest_at = ring->head_at;
        return;
    }
    if (!is_over(ring, ring->oldest_at, now_ms)) {
        return;
    }
    uint64_t anchored = last_anchor(ring, ring->oldest_sequence, is_over, now_ms);
    if (anchored != 0) {
        ring->oldest_sequence = anchored;
        ring->oldest_at = *anchor_of(ring, anchored);
    }
    while (is_over(ring, ring->oldest_at, now_ms)) { /* the last one is not */
        drop_oldest(ring);
    }
}

/* The position of an event that is in the ring. */
static uint64_t position_of(const struct feed_ring *ring, uint64_t sequence)
{
    uint64_t near = sequence - sequence % STRIDE;
    uint64_t at = ring->oldest_at;
    if (near > ring->oldest_sequence) {
        at = *anchor_of(ring, near);
    } else {
        near = ring->oldest_sequence;
    }
    for (; near < sequence; near++) {
        at = next_of(ring, at);
    }
    return at;
}

/* The position behind the last event that ends at or before `most`; the event `first` at `from`
 * does. */
static uint64_t end_within(const struct feed_ring *ring, uint64_t first, uint64_t from,
                           uint64_t most)
{
    if (ring->head_at <= most) {
        return ring->head_at;
    }
    uint64_t anchored = last_anchor(ring, first, lies_before, most);
    uint64_t at = anchored != 0 ? *anchor_of(ring, anchored) : from;
    for (uint64_t next = next_of(ring, at); next <= most; next = next_of(ring, at)) {
        at = next;
    }
    return at;
}

/* ---- Appending ---- */

static void wake_waiters(struct feed_ring *ring)
{
    for (size_t i = 0; i < FEED_RING_WAITERS_MAX; i++) {
        struct feed_waiter *waiter = ring->waiters[i];
        if (waiter != NULL && waiter->waits && waiter->after < ring->head_sequence) {
            (void)pthread_cond_signal(&waiter->woken);
        }
    }
}

/* Puts what is staged into the ring. */
static void commit_stage(struct feed_ring *ring)
{
    if (ring->staged == 0) {
        return;
    }
    lock(ring);
    uint64_t now_ms = ring->options.now_ms(ring->options.context);
    expire(ring, now_ms);
    while (ring->head_at - ring->oldest_at + ring->staged > ring->bytes) {
        drop_oldest(ring);
    }
    size_t at = 0;
    while (at < ring->staged) {
        struct feed_ring_event *event = (struct feed_ring_event *)(void *)(ring->stage + at);
        event->at_ms = (uint32_t)now_ms;
        ring->head_sequence = event->sequence;
        if (event->sequence % STRIDE == 0) {
            *anchor_of(ring, event->sequence) = ring->head_at + at;
        }
        at += span_of(event->length);
    }
    ring_put(ring, ring->head_at, ring->stage, ring->staged);
    ring->head_at += ring->staged;
    ring->appended_ms = now_ms;
    wake_waiters(ring);
    unlock(ring);
    ring->staged = 0;
}

static void stage_event(struct feed_ring *ring, const struct effect *effect)
{
    struct event event;
    CHECK(event_decode(effect->kind, effect->body, &event));
    CHECK(event.sequence == ring->next_sequence);
    ring->next_sequence++;
    struct feed_ring_event *head = (struct feed_ring_event *)(void *)(ring->stage + ring->staged);
    uint8_t *body = (uint8_t *)(head + 1);
    head->sequence = event.sequence;
    head->length = (uint32_t)event_put(&event, body, &head->key);
    uint64_t span = span_of(head->length);
    CHECK(span >= EVENT_SPAN_MIN && span <= FEED_RING_COPY_MIN);
    memset(body + head->length, 0, (size_t)span - sizeof *head - head->length);
    ring->staged += (size_t)span;
}

void feed_ring_append(struct feed_ring *ring, struct bytes effects)
{
    struct reader from = reader_of(effects);
    struct effect effect;
    while (effect_next(&from, &effect)) {
        if (effect.type != EFFECT_EVENT) {
            continue;
        }
        stage_event(ring, &effect);
        if (ring->staged >= STAGE_BYTES) {
            commit_stage(ring);
        }
    }
    commit_stage(ring);
}

/* ---- Reading ---- */

void feed_ring_state(struct feed_ring *ring, struct feed_ring_state *state)
{
    lock(ring);
    expire(ring, ring->options.now_ms(ring->options.context));
    *state = (struct feed_ring_state){.epoch = ring->options.epoch,
                                      .head_sequence = ring->head_sequence,
                                      .oldest_sequence = ring->oldest_sequence};
    unlock(ring);
}

size_t feed_ring_copy(struct feed_ring *ring, uint64_t after, uint8_t *to, size_t size)
{
    CHECK(size >= FEED_RING_COPY_MIN);
    size_t length = 0;
    lock(ring);
    expire(ring, ring->options.now_ms(ring->options.context));
    if (after < ring->head_sequence && after + 1 >= ring->oldest_sequence) {
        uint64_t from = position_of(ring, after + 1);
        length = (size_t)(end_within(ring, after + 1, from, from + size) - from);
        ring_get(ring, from, to, length);
    }
    unlock(ring);
    return length;
}

const struct feed_ring_event *feed_ring_next(const uint8_t *copy, size_t size, size_t *at)
{
    if (*at == size) {
        return NULL;
    }
    const struct feed_ring_event *event = (const void *)(copy + *at);
    *at += (size_t)span_of(event->length);
    CHECK(*at <= size);
    return event;
}

/* ---- Waiting ---- */

void feed_waiter_init(struct feed_waiter *waiter, struct feed_ring *ring)
{
    pthread_condattr_t attributes;
    *waiter = (struct feed_waiter){.ring = ring};
    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&waiter->woken, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
    lock(ring);
    size_t place = 0;
    while (place < FEED_RING_WAITERS_MAX && ring->waiters[place] != NULL) {
        place++;
    }
    CHECK(place < FEED_RING_WAITERS_MAX);
    ring->waiters[place] = waiter;
    unlock(ring);
}

void feed_waiter_deinit(struct feed_waiter *waiter)
{
    struct feed_ring *ring = waiter->ring;
    if (ring == NULL) {
        return;
    }
    lock(ring);
    for (size_t i = 0; i < FEED_RING_WAITERS_MAX; i++) {
        if (ring->waiters[i] == waiter) {
            ring->waiters[i] = NULL;
        }
    }
    unlock(ring);
    (void)pthread_cond_destroy(&waiter->woken);
    waiter->ring = NULL;
}

static struct timespec real_time_in(uint64_t ms)
{
    struct timespec until;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    uint64_t ns = (uint64_t)until.tv_nsec + ms * 1000000;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    return until;
}

/* The clock of condition variables stands still while the machine sleeps, and now_ms may be a
 * test's: so nobody sleeps long, and who was woken by time alone looks at the clock again. */
void feed_waiter_wait(struct feed_waiter *waiter, uint64_t after, uint64_t until_ms)
{
    struct feed_ring *ring = waiter->ring;
    lock(ring);
    uint64_t now_ms = ring->options.now_ms(ring->options.context);
    uint64_t rest_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    struct timespec until = real_time_in(rest_ms < SLEEP_MS ? rest_ms : SLEEP_MS);
    int outcome = rest_ms == 0 ? ETIMEDOUT : 0;
    waiter->after = after;
    waiter->waits = true;
    while (!waiter->rung && after >= ring->head_sequence && outcome != ETIMEDOUT) {
        outcome = pthread_cond_timedwait(&waiter->woken, &ring->lock, &until);
        CHECK(outcome == 0 || outcome == ETIMEDOUT);
    }
    waiter->waits = false;
    waiter->rung = false;
    unlock(ring);
}

void feed_waiter_ring(struct feed_waiter *waiter)
{
    lock(waiter->ring);
    waiter->rung = true;
    if (waiter->waits) {
        (void)pthread_cond_signal(&waiter->woken);
    }
    unlock(waiter->ring);
}
