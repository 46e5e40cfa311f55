/* Polls of ReadChanges as admission hands them to the reader, and their answers as a client reads
 * them. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_FEED_READERS_H
#define ACTIVITYD_TESTS_UNIT_SERVER_FEED_READERS_H

#include <pthread.h>

#include "activity/v1/change_service.pb-c.h"
#include "proto/frame.h"
#include "server/feed/reader.h"
#include "tests/unit/server/feed/history.h"

#define TOKENS 32768u

struct answered {
    uint8_t *bytes;
    uint32_t length;
    uint32_t times;
    uint64_t at_ms; /* real */
};

struct readers {
    struct history history;
    struct feed_reader *reader;
    uint64_t next_token;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t count; /* of answers */
    struct answered answers[TOKENS];
};

static inline void readers_on_reply(void *context, uint64_t token, struct bytes frame)
{
    struct readers *readers = context;
    uint8_t *bytes = malloc(frame.length);
    memcpy(bytes, frame.at, frame.length);
    (void)pthread_mutex_lock(&readers->lock);
    struct answered *answered = &readers->answers[token];
    if (answered->times == 0) {
        answered->bytes = bytes;
    } else {
        free(bytes);
    }
    answered->length = frame.length;
    answered->times++;
    answered->at_ms = real_ms();
    readers->count++;
    (void)pthread_cond_broadcast(&readers->changed);
    (void)pthread_mutex_unlock(&readers->lock);
}

static inline uint64_t readers_now(void *context)
{
    return history_now(&((struct readers *)context)->history);
}

static inline void readers_open(struct readers *readers, size_t ring_bytes, uint64_t head,
                                uint32_t polls_max)
{
    memset(readers, 0, sizeof *readers);
    (void)pthread_mutex_init(&readers->lock, NULL);
    (void)pthread_cond_init(&readers->changed, NULL);
    history_open(&readers->history, ring_bytes, head);
    const struct feed_reader_options options = {.ring = readers->history.ring,
                                                .polls_max = polls_max,
                                                .bytes = 1024u * 1024u,
                                                .now_ms = readers_now,
                                                .context = readers,
                                                .reply = readers_on_reply};
    readers->reader = feed_reader_start(&options);
    assert_non_null(readers->reader);
}

/* Every token was answered once. */
static inline void readers_close(struct readers *readers)
{
    feed_reader_stop(readers->reader);
    for (uint64_t token = 1; token <= readers->next_token; token++) {
        assert_int_equal(readers->answers[token].times, 1);
        free(readers->answers[token].bytes);
    }
    feed_reader_free(readers->reader);
    history_close(&readers->history);
}

static inline bool is_answered(struct readers *readers, uint64_t token)
{
    (void)pthread_mutex_lock(&readers->lock);
    bool answered = readers->answers[token].times > 0;
    (void)pthread_mutex_unlock(&readers->lock);
    return answered;
}

/* Waits until there are so many answers in all. */
static inline void await_count(struct readers *readers, uint64_t wanted)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    int outcome = 0;
    (void)pthread_mutex_lock(&readers->lock);
    while (readers->count < wanted && outcome == 0) {
        outcome = pthread_cond_timedwait(&readers->changed, &readers->lock, &until);
    }
    uint64_t found = readers->count;
    (void)pthread_mutex_unlock(&readers->lock);
    assert_in_range(found, wanted, UINT64_MAX);
}

/* ---- Asking ---- */

struct asked {
    const char *tenant; /* NULL: acme */
    const char *principal;
    const char *user;
    const char *group;
    uint8_t rights;
    uint64_t wait_ms; /* 0: not at all */
    bool expired;
    bool crowded;
    const atomic_bool *gone;
    struct query_read read;
};

/* A cursor in this history. */
static inline struct asked asked_after(uint64_t after)
{
    return (struct asked){.read = {.epoch = HISTORY_EPOCH, .after = after, .page_size = 1000}};
}
static inline struct asked asked_from_now(uint64_t wait_ms)
{
    return (struct asked){.wait_ms = wait_ms, .read = {.from_now = true, .page_size = 1000}};
}

static inline int try_ask(struct readers *readers, const struct asked *asked, uint64_t token)
{
    static struct query query; /* large */
    uint8_t bytes[QUERY_BYTES_MAX];
    const char *principal = asked->principal != NULL ? asked->principal : "spiffe://test/gateway";
    query.method = METHOD_READ_CHANGES;
    query.caller =
        (struct command_caller){.tenant = history_text(asked->tenant ? asked->tenant : "acme"),
                                .principal = history_text(principal),
                                .user = history_text(asked->user),
                                .rights = asked->rights};
    if (asked->group != NULL) {
        query.caller.groups[query.caller.group_count++] = history_text(asked->group);
    }
    query.read = asked->read;
    struct writer to = writer_of(bytes, sizeof bytes);
    query_encode(&query, &to);
    assert_false(to.failed);
    uint64_t now_ms = readers_now(readers);
    struct feed_reader_poll poll = {.token = token,
                                    .deadline_ms = asked->expired ? now_ms : now_ms + 60000,
                                    .wait_until_ms =
                                        asked->wait_ms == 0 ? 0 : now_ms + asked->wait_ms,
                                    .crowded = asked->crowded,
                                    .gone = asked->gone,
                                    .query = bytes_of(bytes, to.wanted)};
    return feed_reader_submit(readers->reader, &poll);
}

static inline uint64_t ask(struct readers *readers, struct asked asked)
{
    uint64_t token = ++readers->next_token;
    assert_true(token < TOKENS);
    assert_int_equal(try_ask(readers, &asked, token), 0);
    return token;
}

/* ---- Answers ---- */

static inline struct frame_reply envelope(struct readers *readers, uint64_t token)
{
    uint64_t began = real_ms();
    while (!is_answered(readers, token)) {
        assert_in_range(real_ms() - began, 0, 60000);
        (void)pthread_mutex_lock(&readers->lock);
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        if (readers->answers[token].times == 0) {
            (void)pthread_cond_timedwait(&readers->changed, &readers->lock, &until);
        }
        (void)pthread_mutex_unlock(&readers->lock);
    }
    struct frame_reply frame;
    struct frame_error error;
    const struct answered *answered = &readers->answers[token];
    assert_int_equal(
        frame_reply_decode((struct view){answered->bytes, answered->length}, &frame, &error), 0);
    assert_int_equal(frame.epoch, HISTORY_EPOCH);
    return frame;
}

typedef Activity__V1__ReadChangesResponse Response;

/* Free with free_response. */
static inline Response *response(struct readers *readers, uint64_t token)
{
    struct frame_reply frame = envelope(readers, token);
    assert_int_equal(frame.code, STATUS_OK);
    Response *read = activity__v1__read_changes_response__unpack(NULL, frame.payload.length,
                                                                 frame.payload.bytes);
    assert_non_null(read);
    assert_int_equal(read->cursor->epoch, HISTORY_EPOCH);
    assert_in_range(read->cursor->sequence, 0, read->head_sequence);
    return read;
}

static inline void free_response(Response *read)
{
    activity__v1__read_changes_response__free_unpacked(read, NULL);
}

static inline Response *read_once(struct readers *readers, struct asked asked)
{
    return response(readers, ask(readers, asked));
}

static inline void assert_empty(struct readers *readers, uint64_t token, uint64_t cursor)
{
    Response *read = response(readers, token);
    assert_int_equal(read->n_events, 0);
    assert_null(read->reset);
    assert_int_equal(read->cursor->sequence, cursor);
    free_response(read);
}

static inline void assert_events(struct readers *readers, uint64_t token, const uint64_t *sequences,
                                 size_t count)
{
    Response *read = response(readers, token);
    assert_int_equal(read->n_events, count);
    assert_null(read->reset);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(read->events[i]->sequence, sequences[i]);
    }
    assert_true(count == 0 || read->cursor->sequence >= sequences[count - 1]);
    free_response(read);
}

static inline void assert_one(struct readers *readers, uint64_t token, uint64_t sequence)
{
    assert_events(readers, token, &sequence, 1);
}

static inline void assert_reset(struct readers *readers, uint64_t token,
                                Activity__V1__ResetReason reason)
{
    Response *read = response(readers, token);
    assert_int_equal(read->n_events, 0);
    assert_non_null(read->reset);
    assert_int_equal(read->reset->reason, reason);
    assert_int_equal(read->cursor->sequence, read->head_sequence);
    free_response(read);
}

/* Until so many polls are parked. */
static inline void await_parked(struct readers *readers, uint64_t wanted)
{
    struct feed_reader_status status;
    uint64_t began = real_ms();
    do {
        feed_reader_status(readers->reader, &status);
        assert_in_range(real_ms() - began, 0, 60000);
        if (status.parked != wanted) {
            sleep_ms(1);
        }
    } while (status.parked != wanted);
}

#endif
