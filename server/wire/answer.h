/* Answers to queries, from applied state, as whole reply frames. Nothing is allocated; the time
 * taken is bounded by LIMIT_FIND_TOUCHED and LIMIT_PAGE_SIZE. One thread per core. */
#ifndef ACTIVITYD_SERVER_WIRE_ANSWER_H
#define ACTIVITYD_SERVER_WIRE_ANSWER_H

#include "server/core/core.h"
#include "server/wire/answer_index.h"
#include "server/wire/answer_tls.h"
#include "server/wire/query.h"
#include "server/wire/reply.h"

/* How the feed stands: FeedInfo, and what can be read. */
struct answer_feed {
    uint64_t head_sequence;
    uint64_t oldest_sequence;
    uint64_t subscribers;
    uint64_t parked;
    uint64_t frames;
    uint64_t bytes;
    uint64_t events;
    uint64_t progress_frames;
    uint64_t reads;
    uint64_t fills;
    uint64_t resets;
};

/* What GetServerInfo says beside the core's own state. Borrowed. */
struct answer_facts {
    uint64_t epoch; /* of the journal: every reply carries it */
    const char *version;
    uint64_t start_ms;
    const char *durability;
    const char *index;
    const char *feed_url;
    void (*feed)(void *context, struct answer_feed *feed); /* NULL: there is none */
    void *feed_context;
    const struct answer_index_source *index_source; /* NULL: the server writes to no index */
    /* Fills how TLS stands, and which files are in force; NULL: nothing is told. */
    void (*tls)(void *context, struct answer_tls *tls, struct answer_files *files);
    void *tls_context;
};

struct answer {
    struct bytes frame; /* inside the room given */
    /* A user's sign of life that the next tick should carry: views into the query. */
    bool has_beat;
    struct bytes tenant;
    struct bytes user;
};

/* Answers anything but GetStateHash, which is computed beside the engine, and the long polls below.
 * `to` has room for LIMIT_REPLY_BYTES. */
void query_answer(const struct core *core, struct bytes query, const struct answer_facts *facts,
                  uint8_t *to, struct answer *answer);

/* WaitActivity and WaitVisible. Looks whether it has happened; if so, or if it never will, writes
 * the answer to `to` (ANSWER_WAIT_MAX) and returns its length. Returns 0 when it has not happened
 * yet: then answer_wait_over says so, and *wait keeps where the look stands, so that the next one
 * is short. What the index accepted before searchable_before_ms of service time is known to be
 * searchable. */
#define ANSWER_WAIT_MAX REPLY_REFUSAL_MAX
struct answer_look {
    const struct core *core;
    uint64_t epoch;
    uint64_t searchable_before_ms;
};
struct answer_wait {
    enum method_id method;
    bool unrefreshed; /* the index has accepted everything, but nobody knows whether it shows it */
    union {
        struct core_wait_activity activity;
        struct core_wait_visible visible;
    };
};
/* From the query, with zero places to stand at. The query may go; a look needs its caller. */
void answer_wait_init(const struct query *query, struct answer_wait *wait);
size_t answer_wait_look(const struct answer_look *look, const struct command_caller *caller,
                        struct answer_wait *wait, uint8_t *to);
/* Whether the last look returned 0 only because there was too much to look at in one go: the next
 * one may find that it has happened although nothing has changed meanwhile. */
bool answer_wait_goes_on(const struct answer_wait *wait);
/* Whether a look may be long at all: at many children or tickets. The others are a few steps. */
bool answer_wait_may_be_long(const struct answer_wait *wait);
/* That it has not happened, and how things stood at the last look. retry_after_ms: 0, or when to
 * come back although the status is OK. */
size_t answer_wait_over(uint64_t epoch, const struct answer_wait *wait, uint32_t retry_after_ms,
                        uint8_t *to);

/* The answer to GetStateHash. `to` has room for ANSWER_STATE_HASH_MAX; returns the length. */
#define ANSWER_STATE_HASH_MAX 128
size_t answer_state_hash(uint64_t epoch, uint64_t index, uint64_t state_hash, uint64_t digest,
                         uint8_t *to);

/* For answer.c: the response's fields are written to `to`; returns the byte after the last. */
uint8_t *answer_find(const struct core *core, const struct core_viewer *viewer,
                     const struct query_find *find, uint64_t epoch, uint8_t *to);
/* An Activity's fields: at most ANSWER_ITEM_MAX bytes. */
#define ANSWER_ITEM_MAX (16u * 1024u)
uint8_t *answer_put_activity(const struct core_activity *activity, uint8_t *to);

#endif
