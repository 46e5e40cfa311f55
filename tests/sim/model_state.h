/* The inside of the model, for its own files. */
#ifndef ACTIVITYD_TESTS_SIM_MODEL_STATE_H
#define ACTIVITYD_TESTS_SIM_MODEL_STATE_H

#include "tests/sim/model.h"

#define MODEL_VIEWS 2

/* Bytes of our own. */
struct model_text {
    uint8_t *at;
    uint32_t length;
};

struct model_groups {
    uint32_t count;
    uint32_t names[LIMIT_OBJECT_GROUPS];
};

struct model_caller {
    uint32_t tenant, principal, user; /* names; user 0: none */
    bool admin, update_any;
    uint32_t group_count;
    uint32_t groups[LIMIT_CALLER_GROUPS];
};

enum job_stage {
    JOB_HELD, /* among the activities, running or ended */
    JOB_LEFT  /* a tombstone */
};

struct model_job {
    uint64_t id, order, parent, retry_of;
    enum job_stage stage;
    uint8_t state, percent;
    uint32_t tenant, owner, creator;
    struct model_groups groups;
    struct model_text type, title, attributes, status, failure_code, failure_message;
    uint64_t create_ms, update_ms, end_ms;
    uint64_t update_or_ms; /* the contract allows this update_ms too; 0: it does not */
    uint64_t beat_service, end_service, result_service;
    uint64_t end_rank, left_rank, result_rank;
    bool had_result, has_result;
    bool new_percent, new_text; /* changed since its progress was taken */
    bool perhaps_forgotten; /* a tombstone that may have left, while its result is kept: nobody can
                               tell */
    bool forgotten;         /* it had */
    bool early;             /* left before its time in this entry: to be judged */
    struct model_text result;
    /* The update that ended it. */
    bool end_by_batch, end_has_percent, end_has_status;
    uint8_t end_percent;
    struct model_text end_status;
};

/* Who recorded a change. */
struct model_source {
    uint32_t principal, user;
    struct model_groups groups;
};

struct model_affected {
    struct model_text name;
    uint64_t first_ms, last_ms, updated_ms;
    uint64_t service;
    struct model_source source;
};

struct model_place {
    uint64_t rank; /* of the last update; 0: not in this window */
    struct model_affected *models;
    uint32_t count, room;
};

struct model_document {
    uint32_t tenant;
    struct model_text model, id;
    bool was_split;      /* what waits is the rest of a batch that was too small */
    uint64_t named_rank; /* when a record named it last, refused ones included */
    uint64_t used_index; /* of the entry in which it was recorded or sent last */
    struct model_place places[MODEL_VIEWS];
};

struct model_pending {
    struct model_document *document;
    struct model_text affected;
    uint64_t accept_ms, service, rank, ticket;
    struct model_source source;
    bool deleted;
    uint32_t bytes;
};

struct model_ticket {
    uint64_t id, job_id, done_service;
    uint32_t open, tenant, principal, user;
    uint32_t serial; /* in the order in which they were issued */
};

struct model_request {
    uint32_t tenant, principal, user;
    enum command_kind method;
    uint8_t id[LIMIT_REQUEST_ID_LENGTH];
    struct model_text payload;
    uint64_t answer, accept_ms, service;
    bool doubtful; /* may be gone */
};

struct model_beat {
    uint32_t tenant, user;
    uint64_t service, wall_ms, rank;
};

struct model_event {
    uint64_t sequence, service;
    uint8_t kind;
    struct model_text body;
};

/* A growing array. */
#define LIST(type)                                                                                 \
    struct {                                                                                       \
        type *at;                                                                                  \
        uint32_t count, room;                                                                      \
    }
void *model_grow(void *at, uint32_t count, uint32_t *room, size_t size);
#define LIST_ADD(list)                                                                             \
    ((list)->at = model_grow((list)->at, (list)->count, &(list)->room, sizeof *(list)->at),        \
     memset(&(list)->at[(list)->count], 0, sizeof *(list)->at), &(list)->at[(list)->count++])
/* Takes item i out, keeps the order. */
#define LIST_REMOVE(list, i)                                                                       \
    do {                                                                                           \
        memmove(&(list)->at[(i)], &(list)->at[(i) + 1],                                            \
                ((list)->count - (i)-1) * sizeof *(list)->at);                                     \
        (list)->count--;                                                                           \
    } while (0)

/* Tables in which a tenant may hold more than half, by count. */
enum model_table { TABLE_ACTIVITIES, TABLE_TOMBSTONES, TABLE_RESULTS, TABLE_COUNT };

struct model {
    char complaint[4096];
    uint64_t met[MET_COUNT];
    struct core_limits limits;
    struct core_info before; /* the core's own account before this entry */
    struct core_info after;
    uint64_t index, service, resumed, wall, rank, creations;
    uint64_t clock_before;           /* what the real clock showed in the entry before */
    uint64_t lead_ms, lead_service;  /* what of the real clock is not believed, and since when */
    uint64_t rank_before;            /* at the end of the entry before */
    uint64_t presence_doubt_service; /* when somebody's presence may have been dropped */
    bool overfull[TABLE_COUNT];      /* a limit was lowered below what was there */
    uint64_t limits_service;         /* of the last LIMITS */
    uint64_t service_before; /* at the end of the entry before: what was not over then is there for
                                this one's commands */
    uint64_t head_sequence;

    LIST(struct model_text) names;
    LIST(struct model_job *) jobs;
    LIST(uint64_t) issued; /* every job id ever */
    LIST(struct model_document *) documents;
    LIST(struct model_pending) pending;
    LIST(struct model_pending) flight; /* taken in this entry, their events are still to come */
    LIST(struct model_ticket) tickets;
    LIST(uint64_t) issued_tickets;
    LIST(struct model_request) requests;
    LIST(struct model_beat) beats;
    LIST(struct model_event) events;
    LIST(struct event) seen; /* events since the last reply */

    /* Of the present entry: */
    bool text_pressure, list_pressure, name_pressure, result_pressure, result_bytes_pressure,
        change_pressure, presence_pressure;
    uint32_t remembered; /* request ids */
    uint32_t attempts;   /* to create something new, refused ones included: these may cost something
                            its place too */
    uint64_t batch_documents, batch_bytes; /* of the batch that is being sent */
    bool split_batch;                      /* a document was too large for one */
    uint64_t left_ms[MODEL_VIEWS]; /* the newest change that left a window before its time, and in
                                      `expired_ms` in time */
    uint64_t expired_ms[MODEL_VIEWS];
};

/* model.c */
__attribute__((format(printf, 2, 3))) bool model_complain(struct model *model, const char *format,
                                                          ...); /* always false */
uint32_t model_name(struct model *model, struct bytes text);    /* 0 for the empty one */
struct bytes model_name_text(const struct model *model, uint32_t name);
void model_text_set(struct model_text *text, struct bytes from);
bool model_text_is(const struct model_text *text, struct bytes other);
static inline struct bytes model_text_view(const struct model_text *text)
{
    return bytes_of(text->at, text->length);
}
void model_groups_set(struct model *model, struct model_groups *groups,
                      const struct command_groups *from);
bool model_groups_are(const struct model *model, const struct model_groups *groups,
                      const struct command_groups *other);
void model_caller_set(struct model *model, struct model_caller *caller,
                      const struct command_caller *from);
/* Whether something that began at `since` and lasts `keep` must be over, or may be, at this time.
 */
static inline bool model_over(const struct model *model, uint64_t since, uint64_t keep)
{
    return model->service - since > keep + MODEL_SLACK_MS;
}
static inline bool model_may_be_over(const struct model *model, uint64_t since, uint64_t keep)
{
    return model->service - since >= keep;
}
/* False shortly after a change of limits: more may leave than usual, and what should may take a
 * moment. */
static inline bool model_settled(const struct model *model)
{
    return model->service - model->limits_service > MODEL_SLACK_MS;
}
static inline uint64_t model_table_limit(const struct model *model, enum model_table table)
{
    return table == TABLE_ACTIVITIES   ? model->limits.activities_max
           : table == TABLE_TOMBSTONES ? model->limits.tombstones_max
                                       : model->limits.results_max;
}
/* Checks sequence, time and rights of one event. */
bool model_event_is(struct model *model, const struct event *event, enum event_kind kind,
                    uint32_t tenant, const struct model_source *source);

/* What a refusal may or must say, as a set of reasons. */
struct model_refusals {
    uint64_t may;       /* bit 1 << reason */
    uint64_t must;      /* not empty: a refusal is due, with any reason of either set */
    uint8_t job_fields; /* fields that REASON_UNKNOWN_JOB may name, bit 1 << field */
};
enum model_verdict { VERDICT_WRONG, VERDICT_REFUSED, VERDICT_DONE };
enum model_verdict model_refusal(struct model *model, const struct effect *reply,
                                 const struct model_refusals *refusals);
/* Adds a reason for a table in which `least` to `most` are in use, `held` of them by the tenant,
 * and `more` are wanted. */
struct model_room {
    uint64_t least, most, held, more_least, more_most, limit;
};
void model_room(struct model_refusals *refusals, enum status_reason reason,
                const struct model_room *room);
/* The reasons that TOO_MANY_NAMES could have. */
void model_room_names(struct model *model, struct model_refusals *refusals,
                      const struct command_caller *caller);

uint32_t model_tenants_seen(const struct model *model, uint32_t tenant);

/* model_requests.c */
enum model_seen { SEEN_NO, SEEN_YES, SEEN_PERHAPS };
enum model_seen model_request_find(struct model *model, const struct model_caller *caller,
                                   enum command_kind method, const uint8_t *id,
                                   struct model_request **request);
void model_request_room(struct model *model, const struct model_caller *caller,
                        struct model_refusals *refusals);
void model_request_add(struct model *model, const struct model_caller *caller,
                       enum command_kind method, const uint8_t *id, const struct buffer *payload,
                       uint64_t answer);
/* A command whose request id was met before. */
struct model_again {
    enum model_seen seen;
    const struct model_request *first;
    struct bytes payload; /* of this time */
    /* Whether a reply with status OK is the first one's again. */
    bool (*answers)(const struct effect *reply, const struct model_request *first);
};
/* What it must be answered. VERDICT_DONE: it is to be judged as a new one after all. */
enum model_verdict model_request_again(struct model *model, const struct effect *reply,
                                       const struct model_again *again);
/* What is too old, or had to go, may be forgotten. */
void model_request_age(struct model *model);

/* model_jobs.c */
struct model_job *model_find(const struct model *model, uint64_t job_id);
bool model_sees(const struct model_job *job, const struct model_caller *caller);
bool model_changes(const struct model_job *job, const struct model_caller *caller);
void model_job_free(struct model_job *job);
/* Whether a job that has ended may be unknown by now: it, or its tombstone, may have had to go in
 * this entry. */
bool model_perhaps_gone(const struct model *model, const struct model_job *job);
/* Whether `more` bytes of text, or a result, find room. */
void model_room_text(struct model *model, uint32_t tenant, uint64_t more,
                     struct model_refusals *refusals);
void model_room_result(struct model *model, uint64_t length, struct model_refusals *refusals);
bool model_create(struct model *model, const struct command_create *create,
                  const struct effect *reply);
/* Whether a reference to a job is due to be refused, or may be. */
void model_reference(struct model *model, const struct model_caller *caller, uint64_t job_id,
                     uint8_t field, struct model_refusals *refusals);

/* model_update.c */
bool model_update(struct model *model, const struct command_update *update,
                  const struct effect *reply);
bool model_batch(struct model *model, const struct command_batch *batch,
                 const struct effect *reply);
bool model_destroy(struct model *model, const struct command_destroy *destroy,
                   const struct effect *reply);
bool model_kill(struct model *model, const struct event *event);
bool model_kills_done(struct model *model);

/* model_changes.c */
void model_document_free(struct model_document *document);
bool model_record(struct model *model, const struct command_record *record,
                  const struct effect *reply);
bool model_indexed(struct model *model, const struct event *event);
bool model_take_done(struct model *model, bool ticked);
void model_affected_remove(struct model_place *place, uint32_t i);

/* model_leave.c: after the effects, what has left by time or at a cap. */
bool model_leave(struct model *model, const struct core *core);
void model_limits_changed(struct model *model);
/* A viewer who sees everything of the tenant. */
void model_probe(const struct core *core, struct bytes tenant, struct core_viewer *viewer);

/* model_windows.c: the same for the windows of changes, which is dear. */
bool model_leave_changes(struct model *model, const struct core *core);

#endif
