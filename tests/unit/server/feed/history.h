/* A history of events for the feed's tests: effects as the core writes them, told to a ring whose
 * clock the test can move. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_FEED_HISTORY_H
#define ACTIVITYD_TESTS_UNIT_SERVER_FEED_HISTORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "server/feed/ring.h"
#include "server/wire/encode.h"

#define HISTORY_EPOCH     UINT64_C(0x0123456789abcdef)
#define HISTORY_ROOM      (4u * 1024u * 1024u)
#define HISTORY_KEEP_MS   60000u
#define HISTORY_EXTRA_MAX (LIMIT_ATTRIBUTES_BYTES - 32u)
/* Soon the low 32 bits begin anew. */
#define HISTORY_FRESH_MS ((UINT64_C(233) << 32) - 500000)

struct history {
    struct feed_ring *ring;
    atomic_bool frozen;             /* the clock moves only by history_pass */
    atomic_uint_fast64_t passed_ms; /* beside real time */
    uint64_t sequence;              /* of the last event */
    uint8_t *effects;
    size_t length;
};

static inline uint64_t real_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &now), 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline uint64_t history_now(void *context)
{
    struct history *history = context;
    uint64_t passed = HISTORY_FRESH_MS + atomic_load(&history->passed_ms);
    return atomic_load(&history->frozen) ? passed : passed + real_ms();
}

static inline void history_pass(struct history *history, uint64_t ms)
{
    (void)atomic_fetch_add(&history->passed_ms, ms);
}

static inline void sleep_ms(uint64_t ms)
{
    struct timespec delay = {(time_t)(ms / 1000), (long)(ms % 1000 * 1000000)};
    (void)nanosleep(&delay, NULL);
}

static inline void history_open(struct history *history, size_t bytes, uint64_t head)
{
    *history = (struct history){.sequence = head};
    atomic_init(&history->passed_ms, 0);
    history->effects = malloc(HISTORY_ROOM);
    assert_non_null(history->effects);
    const struct feed_ring_options options = {.bytes = bytes,
                                              .keep_ms = HISTORY_KEEP_MS,
                                              .epoch = HISTORY_EPOCH,
                                              .now_ms = history_now,
                                              .context = history};
    history->ring = feed_ring_new(&options);
    assert_non_null(history->ring);
    feed_ring_begin(history->ring, head);
}

static inline void history_close(struct history *history)
{
    feed_ring_free(history->ring);
    free(history->effects);
}

static inline struct bytes history_text(const char *text)
{
    return bytes_of(text == NULL ? "" : text, text == NULL ? 0 : strlen(text));
}

/* Adds an effect to the entry that is being made. */
static inline void history_effect(struct history *history, uint8_t type, uint8_t kind,
                                  struct bytes body)
{
    struct writer to =
        writer_of(history->effects + history->length, HISTORY_ROOM - history->length);
    writer_u8(&to, type);
    writer_u8(&to, kind);
    writer_u16(&to, 0);
    writer_u32(&to, body.length);
    writer_bytes(&to, body);
    assert_false(to.failed);
    history->length += to.wanted;
}

static inline void history_add(struct history *history, struct event *event)
{
    uint8_t body[EVENT_BYTES_MAX];
    struct writer to = writer_of(body, sizeof body);
    event->sequence = ++history->sequence;
    event->time_ms = 1700000000000 + event->sequence;
    event_encode(event, &to);
    assert_false(to.failed);
    history_effect(history, EFFECT_EVENT, (uint8_t)event->kind, bytes_of(body, to.wanted));
}

/* Tells the entry. */
static inline void history_tell(struct history *history)
{
    feed_ring_append(history->ring, bytes_of(history->effects, history->length));
    history->length = 0;
}

/* A change of a document, or (document NULL) the creation of a job. */
struct told {
    const char *tenant; /* NULL: acme */
    const char *user;
    const char *group;
    const char *document;
    uint64_t job_id;
    uint32_t extra; /* an attribute of so many bytes */
};
static inline void history_add_told(struct history *history, struct told told)
{
    static const uint8_t value[HISTORY_EXTRA_MAX];
    uint8_t attribute[HISTORY_EXTRA_MAX + 16];
    uint8_t attributes[HISTORY_EXTRA_MAX + 32];
    struct event event = {.kind =
                              told.document != NULL ? EVENT_MODEL_CHANGED : EVENT_ACTIVITY_CREATED,
                          .tenant = history_text(told.tenant != NULL ? told.tenant : "acme"),
                          .principal = history_text("spiffe://test/gateway"),
                          .user = history_text(told.user)};
    if (told.group != NULL) {
        event.groups.names[event.groups.count++] = history_text(told.group);
    }
    if (told.document != NULL) {
        event.changed.model = history_text("asset");
        event.changed.document_id = history_text(told.document);
        event.changed.affected_model = history_text("Asset");
        event.changed.updated_ms = 5;
    } else {
        event.created.job_id = told.job_id;
        event.created.type = history_text("upload");
        if (told.extra != 0) {
            uint8_t *end = encode_bytes(attribute, 1, history_text("extra"));
            end = encode_bytes(end, 2, bytes_of(value, told.extra));
            end = encode_member(attributes, 10, encoded_since(attribute, end));
            event.created.attributes = encoded_since(attributes, end);
        }
    }
    history_add(history, &event);
}

static inline void history_told(struct history *history, struct told told)
{
    history_add_told(history, told);
    history_tell(history);
}

/* Events that nobody asks for, told in entries of 64. */
static inline void history_fill(struct history *history, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        history_add_told(history, (struct told){.tenant = "nobody", .document = "x"});
        if (i % 64 == 63 || i + 1 == count) {
            history_tell(history);
        }
    }
}

static inline struct feed_ring_state history_state(const struct history *history)
{
    struct feed_ring_state state;
    feed_ring_state(history->ring, &state);
    return state;
}

#endif
