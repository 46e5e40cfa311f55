/* All of the core's state in one structure, and how applying commands speaks: replies, refusals,
 * events. */
#ifndef ACTIVITYD_SERVER_CORE_STATE_H
#define ACTIVITYD_SERVER_CORE_STATE_H

#include "server/core/activities.h"
#include "server/core/batches.h"
#include "server/core/changes.h"
#include "server/core/children.h"
#include "server/core/core.h"
#include "server/core/feed_window.h"
#include "server/core/names.h"
#include "server/core/parked.h"
#include "server/core/pending.h"
#include "server/core/presence.h"
#include "server/core/progress.h"
#include "server/core/requests.h"
#include "server/core/results.h"
#include "server/core/shares.h"
#include "server/core/tickets.h"
#include "server/core/time.h"
#include "server/core/tombstones.h"

#define CORE_DIGESTS 64u
/* Advice for who is refused because a table is full. */
#define RETRY_AFTER_MS 1000u
/* What one entry's expiry may do of each kind, so that none becomes long; the rest follows in the
 * next. */
#define EXPIRE_MOST 4096u

/* The longest body of a reply: to a batch. */
#define BATCH_REPLY_BYTES (9u + 2u * LIMIT_BATCH_UPDATES)

struct core {
    /* State. */
    struct core_limits limits; /* in force */
    struct core_limits peak;   /* the largest ever in force: what the tables may hold */
    uint64_t limits_given;     /* 0 until the first LIMITS command */
    uint64_t version;
    uint64_t epoch;
    uint64_t index;
    uint64_t digests[CORE_DIGESTS]; /* of the last entries, by index */
    struct core_time time;
    struct names names;
    struct activities activities;
    struct results results;
    struct tombstones tombstones;
    struct presence presence;
    struct requests requests;
    struct changes changes;
    struct tickets tickets;
    struct pending pending;
    struct batches batches;
    struct parked_documents parked;
    struct feed_window feed;

    /* Not state. */
    struct children children;
    struct progress progress;
    struct core_limits capacity;
    struct command command; /* the one being applied */
    struct writer effects;
    uint8_t *effects_buffer;
    uint8_t
        *columns; /* a batch's percents and dispositions until its events are out, and its reply */
    enum core_outcome error; /* found while applying */
};

/* The reply to the command being applied, kind = enum command_kind: exactly one of these. */
void emit_reply(struct core *core, struct bytes body);
struct refusal_of {
    enum status_code code;
    enum status_reason reason;
    enum effect_field field;
    uint32_t retry_after_ms;
};
void emit_refusal(struct core *core, const struct refusal_of *refusal);
/* RESOURCE_EXHAUSTED with the usual advice. */
void emit_exhausted(struct core *core, enum status_reason reason);
/* Answers a request that is not to be executed: what was executed before by `again`, else with the
 * refusal. False: it is new, and nothing was emitted. */
bool emit_known_request(struct core *core, const struct request_identity *identity,
                        void (*again)(struct core *core, const struct request_answer *answer));

/* A long reply, written in place: what is written to core->effects between the two is its body. */
uint8_t *emit_reply_begin(struct core *core);
void emit_reply_end(struct core *core, uint8_t *begun);

/* An event: gets its sequence and time, goes into the effects and into the feed window. */
void emit_event(struct core *core, struct event *event);

/* The texts of an event's names, all in one tenant; the views point into `text`. */
struct event_texts {
    uint8_t at[(3 + LIMIT_OBJECT_GROUPS) * NAME_LENGTH_MAX];
};
struct event_source {
    uint32_t tenant;
    uint32_t principal;
    uint32_t user;
    uint32_t group_count;
    const uint32_t *groups;
};
void event_source_fill(const struct names *names, const struct event_source *source,
                       struct event *event, struct event_texts *texts);

/* The state that is in no module's own hands, in one piece for snapshots. */
struct core_scalars {
    struct core_limits limits;
    uint64_t limits_given;
    uint64_t version;
    uint64_t epoch;
    uint64_t index;
    uint64_t digests[CORE_DIGESTS];
    struct core_time time;
};

/* Every invariant of what a snapshot holds: NULL, or what is wrong. Total on any bytes that were
 * loaded; core_verify looks at the indexes that are built of it, too. */
const char *state_verify(struct core *core);

/* ---- apply_<noun>.c: a command's whole effect, its reply included ---- */
void apply_epoch(struct core *core, const struct command *command);
void apply_limits(struct core *core, const struct command *command);
void apply_upgrade(struct core *core, const struct command *command);
void apply_tick(struct core *core, const struct command *command);
void apply_create(struct core *core, const struct command *command);
void apply_update(struct core *core, const struct command *command);
void apply_batch(struct core *core, const struct command *command);
void apply_destroy(struct core *core, const struct command *command);
void apply_record(struct core *core, const struct command *command);

void apply_take(struct core *core, const struct command *command);
void apply_result(struct core *core, const struct command *command);
void apply_index_start(struct core *core, const struct command *command);
void apply_parked(struct core *core, const struct command *command);

/* What becomes due of the changes that wait for the index, when there is none: sent and accepted in
 * one step, within one entry. */
void flush_pending(struct core *core);

/* What was taken of a document is in the index now, since a batch that was sent at this time: the
 * window is told, and what waits no more leaves. What is left goes `behind` the others, or before
 * them. */
void accept_document(struct core *core, uint32_t document, uint64_t sent_ms, bool behind);

/* There is no index any more: nothing is in flight or parked, all waits again. */
void index_leave(struct core *core);

#endif
