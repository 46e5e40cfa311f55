#include "server/feed/reader.h"

#include <stdlib.h>
#include <time.h>

#include "proto/limits.h"
#include "server/check.h"
#include "server/feed/parking.h"
#include "server/feed/ring.h"
#include "server/wire/encode.h"

/* All who are parked have seen the same events: those up to `level`. So each new event is copied
 * from the ring once, and those whom it may be for are found together (feed/parking.h). Whoever is
 * behind that level is in the queue and takes turns: a turn looks at a bounded piece of the
 * history, and nothing but its position is kept until the next one. A turn that has found something
 * ends with the answer, since there may be fewer events in it than there are.
 *
 * Nobody is held up by a slow one: between the turns of WORK_NS the level is brought to the head
 * and those who are parked are answered. */

/* What one answer looks at most. */
#define LOOKED_MAX 65536u
/* A turn: pieces from the ring, small at first, since most polls are near the head. */
#define TURN_PIECES       8
#define PIECE_BYTES_FIRST (32u * 1024u)
#define WORK_NS           2000000
/* After events came, so that many become one round. */
#define REST_MS 4
/* How often is looked who is gone. */
#define GONE_MS        100
#define RETRY_AFTER_MS 1000

/* Keys in one copy, at most: the shortest event has a sequence, a time, names and an own part. */
#define KEYS_MAX (FEED_RING_COPY_MAX / (sizeof(struct feed_ring_event) + 16))

#define PAGE_BYTES (EVENT_PAGE_HEAD_MAX + LIMIT_PAGE_BYTES + EVENT_PAGE_TAIL_MAX)

_Static_assert(EVENT_PAGE_ITEM_MAX <= LIMIT_PAGE_BYTES, "a page has room for an event");
_Static_assert(PAGE_BYTES <= LIMIT_REPLY_BYTES, "a page fits a reply");
_Static_assert(REPLY_REFUSAL_MAX <= PAGE_BYTES, "a refusal fits a page");
_Static_assert(PIECE_BYTES_FIRST >= FEED_RING_COPY_MIN, "a piece has room for an event");

/* Values of activity.v1.ResetReason. */
enum reset_reason { RESET_NONE = 0, RESET_EXPIRED = 1, RESET_EPOCH = 2, RESET_AHEAD = 3 };

struct feed_reader {
    struct feed_reader_options options;
    struct feed_waiter waiter;
    struct polls polls;
    pthread_t thread;
    atomic_uint_fast64_t parked;
    atomic_uint_fast64_t reads;
    atomic_uint_fast64_t fills;
    atomic_uint_fast64_t resets;

    /* The thread's. */
    struct polls_end end;
    uint64_t level;
    struct poll_list queue;
    struct parking parking;
    uint64_t due_ms;       /* not later than anybody who is parked is due */
    uint64_t gone_seen_ms; /* when it was looked who is gone */

    struct query query; /* of the poll that is worked on */
    struct query other;
    struct event_filter filter;
    uint32_t page_count;
    uint8_t *page_end;
    uint8_t page[PAGE_BYTES];
    uint32_t key_count;
    struct event_key keys[KEYS_MAX];
    const struct feed_ring_event *events[KEYS_MAX];
    _Alignas(8) uint8_t copy[FEED_RING_COPY_MAX];
};

static uint64_t now_of(const struct feed_reader *reader)
{
    return reader->options.now_ms(reader->options.context);
}

static void count(atomic_uint_fast64_t *counter)
{
    (void)atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- Answers ---- */

static uint8_t *page_begin(struct feed_reader *reader)
{
    return reader->page + EVENT_PAGE_HEAD_MAX;
}

static void start_page(struct feed_reader *reader)
{
    reader->page_count = 0;
    reader->page_end = page_begin(reader);
}

/* False: it does not fit any more. */
static bool add_to_page(struct feed_reader *reader, const struct feed_ring_event *event)
{
    size_t used = (size_t)(reader->page_end - page_begin(reader));
    if (used + ENCODE_HEAD_MAX + event->length > LIMIT_PAGE_BYTES) {
        return false;
    }
    reader->page_end = event_page_put(feed_ring_encoded(event), reader->page_end);
    reader->page_count++;
    return true;
}

static void reply(struct feed_reader *reader, struct poll *poll, struct bytes frame)
{
    uint64_t token = poll->token;
    polls_give_back(&reader->polls, poll);
    count(&reader->reads);
    reader->options.reply(reader->options.context, token, frame);
}

/* With what is on the page, and the poll's position as the cursor. */
static void answer(struct feed_reader *reader, struct poll *poll)
{
    struct feed_ring_state state;
    feed_ring_state(reader->options.ring, &state);
    bool in_vain = poll->crowded || (reader->end.draining && poll->wait_until_ms != 0);
    struct event_page page = {
        .epoch = state.epoch,
        .cursor = poll->position,
        .oldest_sequence = state.oldest_sequence,
        .head_sequence = state.head_sequence,
        .retry_after_ms = in_vain && reader->page_count == 0 ? RETRY_AFTER_MS : 0,
    };
    reply(reader, poll, event_page_end(&page, page_begin(reader), reader->page_end));
}

static void answer_empty(struct feed_reader *reader, struct poll *poll)
{
    start_page(reader);
    answer(reader, poll);
}

static void answer_reset(struct feed_reader *reader, struct poll *poll, enum reset_reason reason)
{
    struct feed_ring_state state;
    feed_ring_state(reader->options.ring, &state);
    struct event_page page = {
        .epoch = state.epoch,
        .cursor = state.head_sequence,
        .oldest_sequence = state.oldest_sequence,
        .head_sequence = state.head_sequence,
        .reset = (uint8_t)reason,
    };
    count(&reader->resets);
    reply(reader, poll, event_page_end(&page, page_begin(reader), page_begin(reader)));
}

static void refuse(struct feed_reader *reader, struct poll *poll, enum status_reason reason)
{
    struct feed_ring_state state;
    feed_ring_state(reader->options.ring, &state);
    struct refusal refusal = {.reason = reason};
    reply(reader, poll, bytes_of(reader->page, reply_refuse(state.epoch, &refusal, reader->page)));
}

/* ---- Looking ---- */

static void decode(struct feed_reader *reader, const struct poll *poll)
{
    query_decode(poll->query, &reader->query);
    CHECK(reader->query.method == METHOD_READ_CHANGES);
    event_filter_init(&reader->filter, &reader->query.caller, &reader->query.read);
}

/* A piece of history, with its keys side by side. False: there is none, see the ring's state. */
static bool copy_piece(struct feed_reader *reader, uint64_t after, size_t size)
{
    size_t copied = feed_ring_copy(reader->options.ring, after, reader->copy, size);
    const struct feed_ring_event *event;
    reader->key_count = 0;
    for (size_t at = 0; (event = feed_ring_next(reader->copy, copied, &at)) != NULL;) {
        CHECK(reader->key_count < KEYS_MAX);
        reader->keys[reader->key_count] = event->key;
        reader->events[reader->key_count++] = event;
    }
    return copied > 0;
}

static uint32_t next_that_may_pass(const struct feed_reader *reader, uint32_t from, uint32_t to)
{
    while (from < to && !event_may_pass(&reader->filter, &reader->keys[from])) {
        from++;
    }
    return from;
}

static uint64_t sequence_before(const struct feed_reader *reader, uint32_t index)
{
    return reader->events[0]->sequence - 1 + index;
}

/* Puts on the page what passes of the piece's events `from` to `to`, and moves the poll's position.
 * True: the page is full. */
static bool fill_page(struct feed_reader *reader, struct poll *poll, uint32_t from, uint32_t to)
{
    uint32_t at = from;
    while (reader->page_count < reader->query.read.page_size) {
        at = next_that_may_pass(reader, at, to);
        poll->position = sequence_before(reader, at);
        if (at == to) {
            return false;
        }
        if (event_passes(&reader->filter, feed_ring_encoded(reader->events[at])) &&
            !add_to_page(reader, reader->events[at])) {
            return true;
        }
        at++;
        poll->position = sequence_before(reader, at);
    }
    return true;
}

/* ---- Those who are parked ---- */

static void park(struct feed_reader *reader, struct poll *poll)
{
    CHECK(poll->position == reader->level);
    parking_enter(&reader->parking, poll, &reader->filter);
    if (poll->wait_until_ms < reader->due_ms) {
        reader->due_ms = poll->wait_until_ms;
    }
}

/* Of those who are parked no position is kept: it is the level. */
static void answer_parked_empty(struct feed_reader *reader, struct poll *poll)
{
    parking_leave(&reader->parking, poll);
    poll->position = reader->level;
    answer_empty(reader, poll);
}

/* Answers those for whom there is something in the piece, with all of it. Whoever was looked at in
 * vain is not looked at again. */
static void match_piece(struct feed_reader *reader)
{
    uint64_t last = sequence_before(reader, reader->key_count);
    for (uint32_t at = 0; at < reader->key_count && reader->parking.count > 0; at++) {
        struct poll *poll;
        uint32_t spot = 0;
        parking_find(&reader->parking, &reader->keys[at]);
        while ((poll = parking_found(&reader->parking, &reader->keys[at], &spot)) != NULL) {
            if (poll->position == last) {
                continue;
            }
            decode(reader, poll);
            start_page(reader);
            (void)fill_page(reader, poll, at, reader->key_count);
            if (reader->page_count > 0) {
                parking_leave(&reader->parking, poll);
                answer(reader, poll);
            }
        }
    }
}

/* Brings the level to the head that the ring has now. True: there was something new. */
static bool advance(struct feed_reader *reader)
{
    struct feed_ring_state state;
    feed_ring_state(reader->options.ring, &state);
    bool news = reader->parking.count > 0 && reader->level < state.head_sequence;
    while (reader->parking.count > 0 && reader->level < state.head_sequence) {
        if (copy_piece(reader, reader->level, sizeof reader->copy)) {
            match_piece(reader);
            reader->level = sequence_before(reader, reader->key_count);
            continue;
        }
        struct poll *poll; /* the ring was faster than this thread */
        for (uint32_t spot = 0; (poll = parking_next(&reader->parking, &spot)) != NULL;) {
            parking_leave(&reader->parking, poll);
            answer_reset(reader, poll, RESET_EXPIRED);
        }
    }
    if (reader->level < state.head_sequence) {
        reader->level = state.head_sequence;
    }
    return news;
}

static bool is_gone(const struct poll *poll)
{
    return poll->gone != NULL && atomic_load(poll->gone);
}

static void answer_due(struct feed_reader *reader)
{
    uint64_t now_ms = now_of(reader);
    if (!reader->end.draining && now_ms < reader->due_ms &&
        now_ms - reader->gone_seen_ms < GONE_MS) {
        return;
    }
    reader->gone_seen_ms = now_ms;
    reader->due_ms = UINT64_MAX;
    struct poll *poll;
    for (uint32_t spot = 0; (poll = parking_next(&reader->parking, &spot)) != NULL;) {
        if (reader->end.draining || poll->wait_until_ms <= now_ms || is_gone(poll)) {
            answer_parked_empty(reader, poll);
        } else if (poll->wait_until_ms < reader->due_ms) {
            reader->due_ms = poll->wait_until_ms;
        }
    }
}

/* ---- Those who are behind ---- */

/* Looks at a poll for the first time. False: it is answered. */
static bool start(struct feed_reader *reader, struct poll *poll)
{
    if (poll->deadline_ms <= now_of(reader)) {
        refuse(reader, poll, REASON_EXPIRED_IN_QUEUE);
        return false;
    }
    decode(reader, poll);
    poll->started = true;
    struct poll *older = polls_replace(&reader->polls, poll, &reader->query, &reader->other);
    if (older != NULL && older->parked) {
        answer_parked_empty(reader, older);
    } else if (older != NULL) {
        older->wait_until_ms = 0;
    }
    const struct query_read *read = &reader->query.read;
    if (read->from_now) {
        poll->position = reader->level;
        return true;
    }
    struct feed_ring_state state;
    feed_ring_state(reader->options.ring, &state);
    poll->position = read->after;
    enum reset_reason reset = RESET_NONE;
    if (read->epoch != state.epoch) {
        reset = RESET_EPOCH;
    } else if (read->after > state.head_sequence) {
        reset = RESET_AHEAD;
    } else if (read->after + 1 < state.oldest_sequence) {
        reset = RESET_EXPIRED;
    }
    if (reset != RESET_NONE) {
        answer_reset(reader, poll, reset);
        return false;
    }
    return true;
}

static bool may_wait(const struct feed_reader *reader, const struct poll *poll)
{
    return !reader->end.draining && poll->wait_until_ms > now_of(reader) && !is_gone(poll);
}

/* The poll has looked at everything up to the level. */
static void end_turn(struct feed_reader *reader, struct poll *poll)
{
    if (reader->page_count == 0 && may_wait(reader, poll)) {
        park(reader, poll);
        return;
    }
    if (reader->page_count > 0) {
        count(&reader->fills);
    }
    answer(reader, poll);
}

/* So many of the piece's events may still be looked at. */
static uint32_t events_to_look_at(const struct feed_reader *reader, const struct poll *poll)
{
    uint64_t most = reader->level - poll->position;
    if (most > LOOKED_MAX - poll->looked) {
        most = LOOKED_MAX - poll->looked;
    }
    return most < reader->key_count ? (uint32_t)most : reader->key_count;
}

/* The events after the poll's position have left the ring. */
static void end_overtaken(struct feed_reader *reader, struct poll *poll)
{
    if (reader->page_count > 0) {
        count(&reader->fills);
        answer(reader, poll);
    } else {
        answer_reset(reader, poll, RESET_EXPIRED);
    }
}

static void take_turn(struct feed_reader *reader, struct poll *poll)
{
    size_t size = PIECE_BYTES_FIRST;
    start_page(reader);
    for (int piece = 0; piece < TURN_PIECES && poll->position < reader->level; piece++) {
        if (!copy_piece(reader, poll->position, size)) {
            end_overtaken(reader, poll);
            return;
        }
        uint64_t before = poll->position;
        bool full = fill_page(reader, poll, 0, events_to_look_at(reader, poll));
        poll->looked += (uint32_t)(poll->position - before);
        if (full || poll->looked == LOOKED_MAX) {
            if (reader->page_count > 0) {
                count(&reader->fills);
            }
            answer(reader, poll);
            return;
        }
        size = size * 4 < sizeof reader->copy ? size * 4 : sizeof reader->copy;
    }
    if (poll->position == reader->level || reader->page_count > 0) {
        end_turn(reader, poll);
    } else {
        poll_list_add(&reader->queue, poll); /* also one whose cursor is above the level */
    }
}

static int64_t real_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Turns, until nobody is behind or the time is over. The last in the queue at the beginning is the
 * last to be worked on: others come after the level was brought to the head. */
static void work(struct feed_reader *reader)
{
    int64_t until = real_ns() + WORK_NS;
    struct poll_list round;
    poll_list_init(&round);
    poll_list_join(&round, &reader->queue);
    while (round.first != NULL && real_ns() < until) {
        struct poll *poll = poll_list_take(&round);
        if (poll->started) {
            decode(reader, poll);
            take_turn(reader, poll);
        } else if (start(reader, poll)) {
            take_turn(reader, poll);
        }
    }
    /* Who had no turn goes before those who had one. */
    poll_list_join(&round, &reader->queue);
    poll_list_join(&reader->queue, &round);
}

/* ---- The thread ---- */

static void rest(struct feed_reader *reader, bool news)
{
    if (reader->queue.first != NULL) {
        return;
    }
    uint64_t now_ms = now_of(reader);
    if (news) {
        feed_waiter_wait(&reader->waiter, UINT64_MAX, now_ms + REST_MS);
        return;
    }
    uint64_t until_ms = UINT64_MAX;
    uint64_t after = UINT64_MAX;
    if (reader->parking.count > 0) {
        after = reader->level;
        until_ms = reader->gone_seen_ms + GONE_MS;
        until_ms = reader->due_ms < until_ms ? reader->due_ms : until_ms;
    }
    feed_waiter_wait(&reader->waiter, after, until_ms);
}

static void *run(void *context)
{
    struct feed_reader *reader = context;
    for (;;) {
        /* Who comes after an event finds it: first they are taken, then the level rises. */
        reader->end = polls_take(&reader->polls, &reader->queue);
        bool news = advance(reader);
        work(reader);
        answer_due(reader);
        atomic_store_explicit(&reader->parked, reader->parking.count, memory_order_relaxed);
        if (reader->end.closed && reader->queue.first == NULL) {
            break;
        }
        rest(reader, news);
    }
    CHECK(reader->parking.count == 0);
    return NULL;
}

size_t feed_reader_memory_bytes(const struct feed_reader_options *options)
{
    return sizeof(struct feed_reader) + polls_memory_bytes(options->polls_max, options->bytes) +
           parking_memory_bytes(options->polls_max);
}

static void free_reader(struct feed_reader *reader)
{
    polls_deinit(&reader->polls);
    parking_deinit(&reader->parking);
    free(reader);
}

struct feed_reader *feed_reader_start(const struct feed_reader_options *options)
{
    struct feed_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return NULL;
    }
    reader->options = *options;
    reader->due_ms = UINT64_MAX;
    poll_list_init(&reader->queue);
    if (polls_init(&reader->polls, options->polls_max, options->bytes) != 0 ||
        parking_init(&reader->parking, options->polls_max) != 0) {
        free_reader(reader);
        return NULL;
    }
    feed_waiter_init(&reader->waiter, options->ring);
    if (pthread_create(&reader->thread, NULL, run, reader) != 0) {
        feed_waiter_deinit(&reader->waiter);
        free_reader(reader);
        return NULL;
    }
    return reader;
}

int feed_reader_submit(struct feed_reader *reader, const struct feed_reader_poll *poll)
{
    int outcome = polls_submit(&reader->polls, poll);
    if (outcome == 0) {
        feed_waiter_ring(&reader->waiter);
    }
    return outcome;
}

void feed_reader_drain(struct feed_reader *reader)
{
    polls_drain(&reader->polls, false);
    feed_waiter_ring(&reader->waiter);
}

void feed_reader_stop(struct feed_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    polls_drain(&reader->polls, true);
    feed_waiter_ring(&reader->waiter);
    CHECK(pthread_join(reader->thread, NULL) == 0);
}

void feed_reader_free(struct feed_reader *reader)
{
    if (reader != NULL) {
        feed_waiter_deinit(&reader->waiter);
        free_reader(reader);
    }
}

void feed_reader_status(struct feed_reader *reader, struct feed_reader_status *status)
{
    *status = (struct feed_reader_status){
        .parked = atomic_load_explicit(&reader->parked, memory_order_relaxed),
        .reads = atomic_load_explicit(&reader->reads, memory_order_relaxed),
        .fills = atomic_load_explicit(&reader->fills, memory_order_relaxed),
        .resets = atomic_load_explicit(&reader->resets, memory_order_relaxed),
    };
}
