/* Events as they are sent (ChangeEvent in activity/v1/feed.proto): encoded once when they happen,
 * and looked into to decide who gets them. Any thread. */
#ifndef ACTIVITYD_SERVER_WIRE_EVENT_H
#define ACTIVITYD_SERVER_WIRE_EVENT_H

#include "server/core/effect.h"
#include "server/wire/query.h"
#include "server/wire/reply.h"

/* The longest encoded ChangeEvent: the core's form with tags and longer numbers. */
#define EVENT_WIRE_MAX (EVENT_BYTES_MAX + 512u)

/* What most events can be passed over by, without looking into them: thousands of readers wait for
 * the same event. Equal things have equal keys; different ones may, and the texts come from
 * anybody, but a collision costs no more than a look. */
#define EVENT_AUDIENCE_WORDS 4
struct event_key {
    /* One bit each for principal, user and groups of this tenant, in every word another one: an
     * event is looked into in vain only when bits collide in all of them. */
    uint64_t audience[EVENT_AUDIENCE_WORDS];
    uint32_t tenant;  /* hash, never 0 */
    uint32_t subject; /* hash of the job id, or of the document id */
    uint32_t model;   /* hash of the model, 0 for activities */
    uint8_t kind;     /* enum event_kind */
    uint8_t zero[3];
};

void event_key_make(const struct event *event, struct event_key *key);

/* Encodes an event to `to` (EVENT_WIRE_MAX) and makes its key. Returns the length. */
size_t event_put(const struct event *event, uint8_t *to, struct event_key *key);

/* A ReadChanges made ready for looking at many events: the texts are views into the query. What
 * event_may_pass looks at lives without them, so a reader that is parked needs no decoded query. */
struct event_filter {
    const struct command_caller *caller;
    const struct query_read *read;
    uint64_t audience[EVENT_AUDIENCE_WORDS];
    uint64_t subjects; /* one bit per hash of the ids asked for */
    uint64_t models;   /* the same */
    uint32_t tenant;   /* 0: all */
    uint32_t kinds;    /* bit 1 << enum event_kind */
};
void event_filter_init(struct event_filter *filter, const struct command_caller *caller,
                       const struct query_read *read);

/* Whether the event may pass, by its key alone: no false negatives. Inline, and with branches only
 * where they can be foretold, since it is the loop that every event and every parked reader go
 * through. */
static inline bool event_may_pass(const struct event_filter *filter, const struct event_key *key)
{
    if (filter->tenant != key->tenant && filter->tenant != 0) {
        return false;
    }
    bool near = ((filter->audience[0] & key->audience[0]) != 0) &
                ((filter->audience[1] & key->audience[1]) != 0);
    return near && (filter->audience[2] & key->audience[2]) != 0 &&
           (filter->audience[3] & key->audience[3]) != 0 &&
           (filter->kinds >> key->kind & filter->subjects >> (key->subject & 63) &
            filter->models >> (key->model & 63) & 1) != 0;
}

/* Whether the caller may see the event and asked for it: by CALLS' rules, the same as
 * core_activity_next and core_change_next. `encoded` is from event_put. */
bool event_passes(const struct event_filter *filter, struct bytes encoded);

/* ReadChangesResponse, from its parts. */
struct event_page {
    uint64_t epoch;
    uint64_t cursor;
    uint64_t oldest_sequence;
    uint64_t head_sequence;
    uint8_t reset;           /* 0, or a value of activity.v1.ResetReason */
    uint32_t retry_after_ms; /* beside an OK, 0 = no advice */
};
/* Puts one event into a response that is being written at `to`; returns the byte after it. */
#define EVENT_PAGE_ITEM_MAX (EVENT_WIRE_MAX + 8u)
uint8_t *event_page_put(struct bytes encoded, uint8_t *to);
/* Ends the response whose events stand from `events` to `end` and makes a frame of it in place:
 * EVENT_PAGE_HEAD_MAX bytes before and EVENT_PAGE_TAIL_MAX behind belong to it. */
#define EVENT_PAGE_HEAD_MAX (REPLY_HEAD_MAX + 16u)
#define EVENT_PAGE_TAIL_MAX 512u
struct bytes event_page_end(const struct event_page *page, uint8_t *events, uint8_t *end);

#endif
