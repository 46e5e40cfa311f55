/* The deterministic core: state and a dated entry in, effects out. It has no clock, no I/O, no
 * randomness and no allocator: time arrives in entries, memory is given once. Two cores that
 * applied the same entries are equal to the byte in their canonical snapshots, on every machine.
 *
 * Threads: one core is used by one thread at a time; several cores are independent. Nothing is
 * global. */
#ifndef ACTIVITYD_SERVER_CORE_CORE_H
#define ACTIVITYD_SERVER_CORE_CORE_H

#include "server/core/bytes.h"
#include "server/core/command.h"
#include "server/core/effect.h"
#include "server/core/limits.h"

#define CORE_VERSION 1u
/* Sum of command_effects_max over the commands of one entry, and what expiry may add. */
#define CORE_EFFECTS_COMMANDS_MAX (128u * 1024u * 1024u)
#define CORE_EFFECTS_EXPIRY_MAX   (32u * 1024u * 1024u)
#define CORE_EFFECTS_MAX          (CORE_EFFECTS_COMMANDS_MAX + CORE_EFFECTS_EXPIRY_MAX)

struct core;

/* Fills the standard values of the table in limits.h. */
void core_limits_standard(struct core_limits *limits);

/* NULL when every value lies between its least and most and they fit together, else the name of the
 * first bad one. */
const char *core_limits_check(const struct core_limits *limits);
/* The same without looking whether they fit together: for a maximum of several. */
const char *core_limits_check_each(const struct core_limits *limits);

/* Elementwise maximum: arenas are sized by the largest of snapshot, journal and configuration. */
void core_limits_raise(struct core_limits *to, const struct core_limits *by);

/* Bytes of memory that a core with room for `capacity` needs, effects buffer included. Largest:
 * what it can ever touch. */
size_t core_memory_bytes(const struct core_limits *capacity);

/* Lists the parts of that memory by name, for --print-limits: calls `part` for each. */
void core_memory_parts(const struct core_limits *capacity,
                       void (*part)(void *context, const char *name, size_t bytes), void *context);

/* Makes an empty core in zeroed memory of core_memory_bytes(capacity), 64-byte aligned (fresh
 * mmap'ed pages are left untouched until used). The memory stays the caller's and is simply given
 * back when the core is no longer needed. Until the first LIMITS command the standard limits, cut
 * to the capacity, are in force. */
struct core *core_init(void *memory, const struct core_limits *capacity);

enum core_outcome {
    CORE_OK = 0,
    CORE_MALFORMED = -1, /* the bytes are no entry: damage or a newer version */
    CORE_DIVERGED =
        -2, /* a tick's digest is not ours: somebody computed wrongly; the process must stop */
    CORE_TOO_LARGE =
        -3 /* the entry carries a limit above this core's capacity: open again with more */
};

/* Applies entry `index` (previous + 1): time advances, commands, then expiry. On CORE_OK *effects
 * views the effects, valid until the next call. On an error the state is undefined. */
__attribute__((warn_unused_result)) enum core_outcome
core_apply(struct core *core, uint64_t index, struct bytes entry, struct bytes *effects);

/* Service time at which expiry has something to do, UINT64_MAX when nothing can expire. Not after
 * the present service time: at once (a bounded part of the expiry is done per entry). */
uint64_t core_next_deadline(const struct core *core);

/* Where it stands. */
struct core_info {
    uint32_t version;
    uint64_t epoch; /* 0: no EPOCH command yet */
    uint64_t index;
    uint64_t digest; /* of the last entry applied */
    uint64_t service_ms;
    uint64_t wall_ms;
    uint64_t head_sequence;   /* of the last event */
    uint64_t oldest_sequence; /* still in the feed window; head + 1 when it is empty */
    uint64_t request_id_kept_ms;
    uint64_t running;
    uint64_t activities;
    uint64_t slots; /* that activities have ever been in: a round of progress goes over so many */
    uint64_t results;
    uint64_t tombstones;
    uint64_t pending_changes;
    uint64_t tickets;
    uint64_t present_users;
    struct core_limits limits; /* in force */
};
void core_info(const struct core *core, struct core_info *info);

/* ---- Questions. They change nothing and touch a bounded number of slots. ---- */

/* What a caller may see; made by core_viewer_init for one question. */
struct core_viewer {
    uint32_t tenant; /* 0: nothing of this tenant exists */
    uint32_t principal;
    uint32_t user; /* 0: none given, or nothing of it exists */
    bool has_user;
    bool admin;
    bool update_any;
    uint32_t group_count;       /* with "*", the whole tenant, by which changes are seen */
    uint32_t named_group_count; /* without it: those that the caller named */
    uint32_t groups[LIMIT_CALLER_GROUPS + 1];
};
void core_viewer_init(const struct core *core, const struct command_caller *caller,
                      struct core_viewer *viewer);

/* One activity, its texts copied into `text`. */
struct core_activity {
    uint64_t job_id;
    uint64_t order; /* creation order, counts from 1: page tokens hold it */
    uint8_t state;
    uint8_t percent;
    uint64_t create_ms, update_ms, end_ms;
    uint64_t parent_job_id, retry_of_job_id;
    struct bytes type, title, status_text, owner, creator, attributes, failure_code,
        failure_message;
    struct command_groups groups;
    uint8_t text[12 * 1024];
};

struct core_find_activities {
    struct bytes types[LIMIT_FIND_TYPES];
    uint32_t type_count;
    uint32_t states; /* bit 1 << state; 0 = all */
    uint64_t job_ids[LIMIT_FIND_JOB_IDS];
    uint32_t job_id_count; /* 0 = all visible */
    uint64_t updated_since_ms;
    uint64_t after_order; /* 0, or where the previous page ended */
};

enum core_found {
    CORE_FOUND = 1, /* one item */
    CORE_END = 0,   /* no more */
    CORE_EXHAUSTED =
        2 /* LIMIT_FIND_TOUCHED slots were looked at: continue with the position in a new page */
};

/* A walk over the visible activities in creation order. The walk is valid as long as nothing is
 * applied. `position` is what after_order of the next page must be, whatever the last outcome was.
 */
struct core_activity_walk {
    const struct core *core;
    const struct core_viewer *viewer;
    const struct core_find_activities *filter;
    uint32_t touched;
    uint64_t position;
    uint32_t list_count;
    uint32_t roots[LIMIT_CALLER_GROUPS + 3]; /* names */
    uint32_t next[LIMIT_CALLER_GROUPS + 3];  /* of each name's set */
    uint32_t types[LIMIT_FIND_TYPES];        /* names */
    uint32_t type_count;
    uint32_t sorted_count; /* the jobs asked for, by creation */
    uint32_t sorted_at;
    struct {
        uint64_t order;
        uint32_t slot;
    } sorted[LIMIT_FIND_JOB_IDS];
};
void core_activity_walk_init(struct core_activity_walk *walk, const struct core *core,
                             const struct core_viewer *viewer,
                             const struct core_find_activities *filter);
enum core_found core_activity_next(struct core_activity_walk *walk, struct core_activity *activity);

/* One visible activity, by id. False: unknown or not visible. */
bool core_get_activity(const struct core *core, const struct core_viewer *viewer, uint64_t job_id,
                       struct core_activity *activity);

enum core_result_state { /* the values of activity.v1.ResultState */
                         RESULT_PENDING = 1,
                         RESULT_READY = 2,
                         RESULT_EMPTY = 3,
                         RESULT_EXPIRED = 4,
                         RESULT_UNKNOWN = 5
};
struct core_result {
    enum core_result_state state;
    uint8_t outcome; /* enum activity_state, ACTIVITY_NONE when unknown */
    uint32_t length; /* of the result, when READY */
};
/* Looks a result up, and copies it to `to` when READY and to != NULL (room for LIMIT_RESULT_BYTES).
 */
void core_get_result(const struct core *core, const struct core_viewer *viewer, uint64_t job_id,
                     struct core_result *result, uint8_t *to);

/* One changed document with the affected models that the viewer may see. */
struct core_change {
    uint64_t order; /* of its last update in this view: page tokens hold it */
    struct bytes model, document_id;
    uint64_t updated_ms;
    uint32_t affected_count;
    struct {
        struct bytes affected_model;
        uint64_t first_ms, last_ms, updated_ms;
    } affected[LIMIT_AFFECTED_MODELS];
    uint8_t text[1024 + LIMIT_AFFECTED_MODELS * (LIMIT_MODEL_LENGTH + 8)];
};
enum core_change_view { CHANGES_DATABASE = 0, CHANGES_INDEX = 1 };
struct core_change_walk {
    const struct core *core;
    const struct core_viewer *viewer;
    enum core_change_view view;
    uint64_t updated_since_ms;
    uint32_t touched;
    uint64_t position; /* as in core_activity_walk */
    uint32_t next;
};
void core_change_walk_init(struct core_change_walk *walk, const struct core *core,
                           const struct core_viewer *viewer, enum core_change_view view,
                           uint64_t after_order);
enum core_found core_change_next(struct core_change_walk *walk, struct core_change *change);
/* Since when the view is complete (a cap may have made older changes leave early). */
uint64_t core_changes_complete_since_ms(const struct core *core, enum core_change_view view);

/* Present users of the viewer's tenant, in no order that means something; `position` 0 at first.
 * Returns false at the end. */
struct core_user {
    struct bytes user;
    uint64_t last_seen_ms;
    uint8_t text[LIMIT_USER_LENGTH];
};
bool core_present_user_next(const struct core *core, const struct core_viewer *viewer,
                            uint64_t *position, struct core_user *user);
/* Whether a beat of this user should go into the next tick: none journaled within 30 s. */
bool core_beat_due(const struct core *core, const struct core_viewer *viewer);

/* ---- Waiting: looks that are short when they are repeated ---- */

enum core_wait_outcome {
    CORE_WAIT_UNKNOWN = 0, /* there is no such job or ticket, or it is not the caller's to see */
    CORE_WAIT_PENDING = 1,
    CORE_WAIT_REACHED = 2,
    CORE_WAIT_PARKED = 3 /* tickets: a change was refused by the index and waits for an admin, or
                            was discarded */
};

/* A job, and with `children` all that name it as their parent, are known and visible, until each
 * has ended or reached the percent. The second part is zero at first and belongs to the core: where
 * the look stands. A job that is done stays done, so a repeated look goes on from there; the caller
 * is asked for their rights only about jobs that were not seen before. */
struct core_wait_activity {
    uint64_t job_id;
    uint8_t percent; /* 1 to 100 */
    bool children;
    /* The core's own. */
    bool seen;         /* the job itself is visible */
    uint64_t pending;  /* the job that is waited for; 0 with PENDING: not all children could be
                          looked at in one go, the next look goes on */
    uint64_t after;    /* children up to this creation order are done */
    uint8_t own_state; /* of the job itself, at the last look: enum activity_state */
    uint8_t own_percent;
};
enum core_wait_outcome core_wait_activity(const struct core *core,
                                          const struct command_caller *caller,
                                          struct core_wait_activity *wait);

enum core_visible_stage { VISIBLE_SENT = 1, VISIBLE_ACKED = 2, VISIBLE_SEARCHABLE = 3 };
/* A ticket, or all kept tickets of a job, until each of their changes is in a batch under way or
 * done with (SENT), or all are done with (ACKED). SEARCHABLE is ACKED here, and done_ms says since
 * when: what the index shows is found out elsewhere. A batch may come back and have to be sent
 * again. While nothing is written to an index SENT and ACKED are the same. Of a job those tickets
 * count that are the caller's own, or all when the caller may see the job or is admin; without any
 * (among the first LIMIT_FIND_TOUCHED): UNKNOWN. Tickets that a job gets while it is waited for
 * need not count. */
struct core_wait_visible {
    uint64_t ticket; /* or 0 and */
    uint64_t job_id;
    enum core_visible_stage stage;
    /* The core's own. */
    bool seen;
    bool all;         /* of a job: others' tickets count, too */
    uint64_t pending; /* the ticket that is waited for; 0 with PENDING: as above */
    uint64_t after;   /* of a job: the ticket that was looked at last, and is done */
    uint64_t open;    /* of the pending ticket, at the last look */
    bool lost;        /* of a job: the one that was looked at last has left */
    uint64_t done_ms; /* when the last of those that are done was done with, by service time; not
                         before, if that is not known any more */
};
enum core_wait_outcome core_wait_visible(const struct core *core,
                                         const struct command_caller *caller,
                                         struct core_wait_visible *wait);

/* ---- The index ---- */

/* Service time at which a TAKE takes something: not after the present one: now. UINT64_MAX: nothing
 * waits or rests, as many batches as can be are in flight, or there is no index. */
uint64_t core_batch_due(const struct core *core);

struct core_index_batch {
    uint64_t number;
    uint64_t sent_ms;
    uint32_t documents;
    uint32_t changes;
};
struct core_index_status {
    uint64_t waiting_documents; /* that could be taken, when they are due */
    uint64_t resting_documents; /* that the index did not take, and that have to wait for a while or
                                   are due once more; they are not counted as waiting */
    uint64_t waiting_changes; /* all that are neither in flight nor parked, also behind such ones */
    uint64_t flying_documents;
    uint64_t flying_changes;
    uint64_t parked_documents;
    uint64_t parked_changes;
    uint64_t waiting_bytes; /* JSON of what can be taken, or waits behind what is in flight */
    uint64_t pending_bytes; /* blocks of JSON in use, as pending_bytes limits them */
    uint64_t oldest_ms; /* accept time of the change that waits longest in a queue or rests; 0: none
                           does */
    uint64_t last_batch;
    uint64_t last_version;
    uint32_t batch_count;
    struct core_index_batch batches[BATCHES_MAX]; /* in flight, oldest first */
};
void core_index_status(const struct core *core, struct core_index_status *status);

/* Whose changes a batch in flight holds, and since when they wait. */
#define CORE_TICKETS_SHOWN 8u
struct core_batch_origin {
    uint32_t ticket_count; /* of those shown: the first different ones */
    uint64_t tickets[CORE_TICKETS_SHOWN];
    uint64_t oldest_ms; /* accept time of its oldest change */
    uint32_t fragments; /* changes of documents that are written as fragments */
};
/* False: no such batch is in flight. */
bool core_batch_origin(const struct core *core, uint64_t number, struct core_batch_origin *origin);

/* One document that the index refused, its texts copied into `text`. */
struct core_parked {
    uint64_t park_id;
    uint64_t since_ms;
    struct bytes tenant, model, document_id;
    struct bytes code, message; /* empty when there was no room for them */
    uint32_t changes;           /* parked */
    uint32_t behind;            /* that wait for them */
    bool fragments;             /* else whole documents */
    uint64_t oldest_ms;         /* accept time of the first parked change */
    uint32_t ticket_count;      /* of those shown: the first different ones of the parked changes */
    uint64_t tickets[CORE_TICKETS_SHOWN];
    uint8_t text[LIMIT_TENANT_LENGTH + LIMIT_MODEL_LENGTH + LIMIT_DOCUMENT_ID_LENGTH +
                 COMMAND_REASON_CODE_LENGTH + COMMAND_REASON_MESSAGE_LENGTH];
};
/* A walk over parked documents, longest parked first: of one tenant, or of all when `tenant` is
 * empty. `after`: 0, or the park_id where the previous page ended, which may be gone by now. Valid
 * as long as nothing is applied; whether the caller may see this is decided outside. */
struct core_parked_walk {
    const struct core *core;
    uint32_t tenant; /* name, 0 = all */
    bool none;       /* nothing of this tenant exists */
    uint32_t touched;
    uint64_t position; /* as in core_activity_walk */
    uint32_t next;
};
void core_parked_walk_init(struct core_parked_walk *walk, const struct core *core,
                           struct bytes tenant, uint64_t after);
enum core_found core_parked_next(struct core_parked_walk *walk, struct core_parked *parked);
/* Why a ticket is said to be parked: the first parked document with a change of it. False: none
 * among the first LIMIT_FIND_TOUCHED parked changes. */
bool core_parked_of_ticket(const struct core *core, uint64_t ticket, struct core_parked *parked);

/* ---- Progress: which running activities have changed. No state, no effect, in no digest. ---- */

struct core_progress {
    uint64_t job_id;
    uint8_t percent;
    struct bytes tenant;
    bool has_text; /* the status text has changed, too */
    struct bytes status_text;
    uint8_t text[LIMIT_TENANT_LENGTH + LIMIT_STATUS_TEXT_LENGTH];
};
/* Takes the next running activity whose percent or status text has changed since it was taken last,
 * in a round over the slots that goes on where the last call ended, so that none starves. At most
 * `*slots` slots are looked at, which is lowered by as many. False: none was found. */
bool core_progress_next(struct core *core, uint32_t *slots, struct core_progress *progress);
/* Has the next `slots` slots of another round taken again although nothing has changed. */
void core_progress_remind(struct core *core, uint32_t slots);

/* A kept event by its sequence: kind and encoded body (copied to `to`, EVENT_BYTES_MAX). False: not
 * in the window. */
bool core_event_read(const struct core *core, uint64_t sequence, uint8_t *kind, uint8_t *to,
                     uint32_t *length);

/* ---- Snapshots ---- */

/* Where a snapshot goes to or comes from. Returns 0 or negative to stop (a write error, too few
 * bytes). */
struct core_stream {
    void *context;
    int (*write)(void *context, const void *bytes, size_t length);
    int (*read)(void *context, void *bytes, size_t length);
};

/* Writes the canonical snapshot. Returns 0, or the stream's error. */
__attribute__((warn_unused_result)) int core_snapshot_write(const struct core *core,
                                                            const struct core_stream *stream);

/* Reads the limits that a snapshot needs as capacity, from its first bytes; the stream must then be
 * opened anew. */
__attribute__((warn_unused_result)) int core_snapshot_limits(const struct core_stream *stream,
                                                             struct core_limits *limits);

/* Loads a snapshot into a fresh core (core_init) and verifies it. Returns 0, the stream's error, or
 * CORE_MALFORMED / CORE_TOO_LARGE. Damaged bytes never do more than that. */
__attribute__((warn_unused_result)) int core_snapshot_read(struct core *core,
                                                           const struct core_stream *stream);

/* XXH3-64 over the canonical snapshot. */
uint64_t core_state_hash(const struct core *core);

/* Checks every invariant of the state: NULL, or what is wrong (static text). Slow: touches
 * everything in use. */
const char *core_verify(const struct core *core);

#endif
