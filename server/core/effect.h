/* Effects: what applying an entry did, as one contiguous run of canonical bytes. The digest covers
 * exactly these bytes, so nothing goes in that differs between nodes (handles, pointers, progress,
 * presence, padding).
 *
 * In order of happening: the events of a command come before its reply; expiry's events come last.
 * Each effect is a head of 8 bytes {u8 type, u8 kind, u8 code, u8 reason, u32 length} and `length`
 * body bytes. */
#ifndef ACTIVITYD_SERVER_CORE_EFFECT_H
#define ACTIVITYD_SERVER_CORE_EFFECT_H

#include "proto/status.h"
#include "server/core/bytes.h"
#include "server/core/command.h"

enum effect_type {
    EFFECT_REPLY = 1, /* exactly one per command, kind = enum command_kind */
    EFFECT_EVENT = 2  /* kind = enum event_kind */
};

enum event_kind {
    EVENT_ACTIVITY_CREATED = 1,
    EVENT_ACTIVITY_ENDED = 2,
    EVENT_MODEL_CHANGED = 3, /* in the database */
    EVENT_INDEX_CHANGED = 4  /* in Elasticsearch */
};

/* How a job stands; the values of activity.v1.ActivityState. */
enum activity_state {
    ACTIVITY_NONE = 0,
    ACTIVITY_RUNNING = 1,
    ACTIVITY_COMPLETED = 2,
    ACTIVITY_FAILED = 3,
    ACTIVITY_CANCELLED = 4,
    ACTIVITY_KILLED = 5
};

/* The values of activity.v1.Disposition. An ended job's disposition is its state + 2. */
enum disposition {
    DISPOSITION_APPLIED = 1,
    DISPOSITION_HEARTBEAT = 2,
    DISPOSITION_UNKNOWN = 3,
    DISPOSITION_COMPLETED = 4,
    DISPOSITION_FAILED = 5,
    DISPOSITION_CANCELLED = 6,
    DISPOSITION_KILLED = 7
};
_Static_assert((int)DISPOSITION_COMPLETED == (int)ACTIVITY_COMPLETED + 2 &&
                   (int)DISPOSITION_KILLED == (int)ACTIVITY_KILLED + 2,
               "an ended job's disposition is its state + 2");

struct effect {
    enum effect_type type;
    uint8_t kind;
    uint8_t code;   /* enum status_code; events: 0 */
    uint8_t reason; /* enum status_reason */
    struct bytes body;
};

/* Bodies of replies. A refusal (code != 0) of any kind: {u8 field, u32 retry_after_ms}, field =
 * enum effect_field. */
enum effect_field {
    FIELD_NONE = 0,
    FIELD_PARENT_JOB_ID = 1,
    FIELD_RETRY_OF_JOB_ID = 2,
    FIELD_JOB_ID = 3,
    FIELD_REQUEST_ID = 4
};
struct reply_refusal {
    enum effect_field field;
    uint32_t retry_after_ms;
};
struct reply_create { /* {u64 job_id} */
    uint64_t job_id;
};
struct reply_update { /* {u64 job_id, u8 percent, u8 disposition} */
    uint64_t job_id;
    uint8_t percent;
    uint8_t disposition;
};
struct reply_batch { /* {u32 count, u32 ignored, u8 all_applied, percents[count],
                        dispositions[count] unless all_applied} */
    uint32_t count;
    uint32_t ignored;
    struct bytes percents;
    struct bytes dispositions; /* empty when all were applied */
};
struct reply_destroy { /* {u8 disposition} */
    uint8_t disposition;
};
struct reply_record { /* {u64 ticket, u64 accept_ms} */
    uint64_t ticket;
    uint64_t accept_ms;
};

/* To TAKE: {u64 batch, u64 sent_ms, u8 cause, u32 changes, u32 document_count} and the documents.
 * Nothing due: all zeros. A document: {text tenant, text model, text document_id, u8 kind, u8
 * rests, u32 change_count} and its changes: {u64 version, u8 deleted, u64 accept_ms, u32 length,
 * json}. Of whole documents only the last change is carried; `changes` counts all that were taken.
 */
enum take_cause { /* why the batch began */
                  TAKE_NONE = 0,
                  TAKE_DELAY = 1,     /* the oldest change has waited long enough */
                  TAKE_DOCUMENTS = 2, /* so many documents wait */
                  TAKE_BYTES = 3,     /* so much JSON waits */
                  TAKE_URGENT = 4,
                  TAKE_RESTED = 5 /* a document has rested, and is due once more */
};
struct reply_take {
    uint64_t batch; /* 0: nothing was due, or too many batches are in flight */
    uint64_t sent_ms;
    enum take_cause cause;
    uint32_t changes;
    uint32_t document_count;
    struct bytes documents; /* take_document_next */
};
enum take_kind { TAKE_WHOLE = 1, TAKE_FRAGMENTS = 2 };
struct take_document {
    struct bytes tenant;
    struct bytes model;
    struct bytes document_id;
    enum take_kind kind;
    uint8_t rests;         /* so often in a row it had to rest, UINT8_MAX: or more */
    uint32_t change_count; /* 1 of a whole document */
};
struct take_change {
    uint64_t version; /* above those of all earlier takes, below 2^63 */
    bool deleted;
    uint64_t accept_ms;
    struct bytes json;
};
#define BATCHES_MAX             16u    /* in flight */
#define BATCH_CHANGES_MAX       32768u /* in one */
#define TAKE_DOCUMENT_BYTES_MAX 656u   /* without its changes */
#define TAKE_CHANGE_HEAD_BYTES  21u

struct reply_result { /* {u8 stale, u32 acked, u32 retried, u32 parked} */
    bool stale;       /* there is no such batch (any more): nothing was done */
    uint32_t acked;
    uint32_t retried;
    uint32_t parked;
};
struct reply_index_start { /* {u32 documents} */
    uint32_t documents;    /* that came back */
};
struct reply_parked { /* {u8 found, u32 changes} */
    bool found;       /* else there is no such document, or not for this caller */
    uint32_t changes; /* that were put back, or discarded */
};

/* The body of every event: {u64 sequence, u64 time_ms, text tenant, text principal, text user, u8
 * group_count, text groups[]} and the kind's own part. principal and user are creator and owner of
 * an activity, recorder of a change; together with tenant and groups they decide who may see the
 * event. */
struct event {
    enum event_kind kind;
    uint64_t sequence;
    uint64_t time_ms; /* the entry's wall_ms */
    struct bytes tenant;
    struct bytes principal;
    struct bytes user;
    struct command_groups groups;
    union {
        struct { /* {u64 job_id, text type, text title, text attributes, u64 parent, u64 retry_of}
                  */
            uint64_t job_id;
            struct bytes type;
            struct bytes title;
            struct bytes attributes;
            uint64_t parent_job_id;
            uint64_t retry_of_job_id;
        } created;
        struct { /* {u64 job_id, text type, u8 state, u8 percent, text status_text, text
                    failure_code, text failure_message} */
            uint64_t job_id;
            struct bytes type;
            uint8_t state;
            uint8_t percent;
            struct bytes status_text;
            struct bytes failure_code;
            struct bytes failure_message;
        } ended;
        struct { /* {text model, text document_id, text affected_model, u8 deleted, u64 first_ms,
                    u64 last_ms, u64 updated_ms} */
            struct bytes model;
            struct bytes document_id;
            struct bytes affected_model;
            bool deleted;
            uint64_t first_ms;
            uint64_t last_ms;
            uint64_t updated_ms;
        } changed; /* both EVENT_MODEL_CHANGED and EVENT_INDEX_CHANGED (model without "es:") */
    };
};

/* The longest body of an event: eight groups, a title, attributes and the longest names. */
#define EVENT_BYTES_MAX 8192
/* The longest event about a change: names, eight groups, two models and a document id. */
#define EVENT_CHANGED_BYTES_MAX 2048
/* The longest event about the end of a job. */
#define EVENT_ENDED_BYTES_MAX 3072
/* The same for a job that did not fail: what a batch can make 65,536 times. */
#define EVENT_COMPLETED_BYTES_MAX 1792

/* Walks effects. False at the end. The bytes come from the core itself: damage is a bug and aborts.
 */
bool effect_next(struct reader *from, struct effect *effect);

void reply_refusal_read(struct bytes body, struct reply_refusal *reply);
void reply_create_read(struct bytes body, struct reply_create *reply);
void reply_update_read(struct bytes body, struct reply_update *reply);
void reply_batch_read(struct bytes body, struct reply_batch *reply);
void reply_destroy_read(struct bytes body, struct reply_destroy *reply);
void reply_record_read(struct bytes body, struct reply_record *reply);
void reply_take_read(struct bytes body, struct reply_take *reply);
void reply_result_read(struct bytes body, struct reply_result *reply);
void reply_index_start_read(struct bytes body, struct reply_index_start *reply);
void reply_parked_read(struct bytes body, struct reply_parked *reply);

/* Walk a TAKE's documents; each document's changes, all of them, before the next document. False at
 * the end. */
bool take_document_next(struct reader *from, struct take_document *document);
bool take_change_next(struct reader *from, struct take_document *document,
                      struct take_change *change);

/* Event bodies, written by the core and read by wire/ and feed/. Decoding is total (they also come
 * from a snapshot): false when malformed. */
void event_encode(const struct event *event, struct writer *to);
__attribute__((warn_unused_result)) bool event_decode(uint8_t kind, struct bytes body,
                                                      struct event *event);

#endif
