/* libactivity: the C client of activityd, the activity service.
 *
 * One client talks to one service over mutual TLS, through one server at a time of those it was
 * given. Calls come in two shapes: a function per method that waits for the answer, and
 * activity_submit_*() with activity_next() for many calls in flight. There are no callbacks.
 * What changes can be followed with <activity_feed.h>; what becomes of changes on their way into
 * the index is told by <activity_index.h>, and how a server proves who it is by <activity_admin.h>.
 *
 *     struct activity_options options = ACTIVITY_OPTIONS_INIT;
 *     const char *servers[] = {"tls+tcp://activity.example:7001"};
 *     options.servers = servers;
 *     options.server_count = 1;
 *     options.ca_file = "ca.crt";
 *     options.cert_file = "client.crt";
 *     options.key_file = "client.key";
 *     struct activity_error error;
 *     activity_client *client = activity_client_new(&options, &error);
 *     ...
 *     activity_client_free(client);
 *
 * Holds for every function unless it says otherwise:
 *   Errors.    What returns int returns ACTIVITY_OK (0) or an enum activity_code, and then fills
 *              *error; `error` may be NULL. After an error, outputs are zero or NULL.
 *   Ownership. Arguments are only read, and only during the call: the caller may free or reuse them
 *              at once, also after a submit. What a result points to lives until
 *              activity_result_free().
 *   Threads.   A client may be used by many threads at once. Windows, finders and results belong to
 *              one thread at a time.
 *   Deadlines. Every call ends within its timeout (struct activity_call_options), whatever the
 *              network does.
 *   Strings    are UTF-8 without control characters and end in NUL; NULL means absent. Limits on
 *              lengths are the service's; what exceeds one is INVALID_ARGUMENT with `field` set.
 *   Times      end in _ms: milliseconds since 1970-01-01T00:00:00Z, or a duration where it says so.
 *   Zero       is the default of every member: requests are made with `= {0}` (C++: `= {}`).
 *
 * The library prints nothing, never exits, installs no signal handlers, and has no threads of its
 * own beyond those of NNG. After fork() the child must not touch clients of its parent.
 *
 * Repeating. A call that is safe to repeat is repeated inside its deadline when its connection
 * breaks or when the server asks to come back later: with growing, random pauses, at most
 * `attempts_max` times, and upon refusals only within a budget of the whole client. While a server
 * is about to stop or not ready (UNAVAILABLE), calls wait for a better time as if there was no
 * connection. All typed calls are safe: percent is a maximum, the first end wins, and
 * activity_create() and activity_record_changes() carry a request_id that the server remembers.
 * When no answer comes in time the error is DEADLINE_EXCEEDED, OUTCOME_UNKNOWN: the request may
 * have been executed. The same request_id (error.request_id) may then be given again, and has its
 * effect once. */
#ifndef ACTIVITY_H
#define ACTIVITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library's version. Before 1.0 a minor version may change structures: compile against the
 * header of the library that is linked. */
#define ACTIVITY_VERSION_MAJOR 0
#define ACTIVITY_VERSION_MINOR 1
#define ACTIVITY_VERSION_PATCH 0
#define ACTIVITY_VERSION       "0.1.0"

/* The version of the library that is linked, as "0.1.0". Static. */
const char *activity_version(void);

typedef struct activity_client activity_client; /* a service, and the way to it */
typedef struct activity_window activity_window; /* calls in flight, and their completions */
typedef struct activity_finder activity_finder; /* walks the pages of a find */
typedef struct activity_result activity_result; /* owns the memory of one answer */

struct activity_bytes {
    const void *data; /* NULL only if size is 0 */
    size_t size;
};

/* --- Errors --------------------------------------------------------------------------------- */

/* gRPC's codes. */
enum activity_code {
    ACTIVITY_OK = 0,
    ACTIVITY_CANCELLED = 1,
    ACTIVITY_UNKNOWN = 2,
    ACTIVITY_INVALID_ARGUMENT = 3,
    ACTIVITY_DEADLINE_EXCEEDED = 4,
    ACTIVITY_NOT_FOUND = 5,
    ACTIVITY_ALREADY_EXISTS = 6,
    ACTIVITY_PERMISSION_DENIED = 7,
    ACTIVITY_RESOURCE_EXHAUSTED = 8,
    ACTIVITY_FAILED_PRECONDITION = 9,
    ACTIVITY_ABORTED = 10,
    ACTIVITY_OUT_OF_RANGE = 11,
    ACTIVITY_UNIMPLEMENTED = 12,
    ACTIVITY_INTERNAL = 13,
    ACTIVITY_UNAVAILABLE = 14,
    ACTIVITY_DATA_LOSS = 15,
    ACTIVITY_UNAUTHENTICATED = 16
};

enum { ACTIVITY_REQUEST_ID_SIZE = 16 };

/* Why a call failed. `reason` is for programs; beside the server's reasons (PROTOCOL.md) the
 * library itself gives: OUTCOME_UNKNOWN  DEADLINE_EXCEEDED   no answer came in time; it may have
 * been executed NOT_CONNECTED    UNAVAILABLE         no server could be reached; it was not
 * executed BAD_FIELD        INVALID_ARGUMENT    an argument breaks its rule; `field` names it
 *   FRAME_TOO_LARGE  INVALID_ARGUMENT    the request would be above 960 KiB
 *   WINDOW_FULL      RESOURCE_EXHAUSTED  take a completion first
 *   OUT_OF_MEMORY    RESOURCE_EXHAUSTED
 *   MALFORMED_REPLY  INTERNAL            what the server sent is no answer to this call
 *   CLIENT_INTERNAL  INTERNAL            the messaging library failed; the message says how */
struct activity_error {
    enum activity_code code;
    char reason[72];         /* UPPER_SNAKE */
    char message[1032];      /* for people; without control characters */
    char field[136];         /* the field that breaks a rule, as in the .proto files; else "" */
    uint32_t retry_after_ms; /* duration; 0 = no advice */
    uint32_t attempts;       /* how often the request was given to a connection */
    /* Of activity_create() and activity_record_changes(): the one that was used, so that the call
     * can be repeated as the same; all zero for other calls. */
    unsigned char request_id[ACTIVITY_REQUEST_ID_SIZE];
};

/* Names for people and for JSON: "NOT_FOUND", "RUNNING", "APPLIED", "READY"; "UNKNOWN_VALUE" for a
 * number that is none. Static. */
const char *activity_code_name(int code);
const char *activity_state_name(int state);
const char *activity_disposition_name(int disposition);
const char *activity_result_state_name(int state);

/* --- A client ------------------------------------------------------------------------------- */

/* Everything is copied. Members that are zero have the default that is named. */
struct activity_options {
    size_t size; /* sizeof(struct activity_options), by ACTIVITY_OPTIONS_INIT */

    /* Required, 1 to 16, as "tls+tcp://host:port". The first that can be reached is used until it
     * fails, then the next. */
    const char *const *servers;
    size_t server_count;

    const char *ca_file;     /* required, PEM: whom to trust as a server */
    const char *cert_file;   /* required, PEM: this client's certificate, and its chain */
    const char *key_file;    /* required, PEM */
    const char *server_name; /* the name in the server's certificate; default: the URL's host */

    /* On whose behalf calls are made, unless a call says otherwise; default: the principal itself.
     * Needs the permission "delegate". A user needs a tenant, groups need a user. */
    const char *tenant;
    const char *user;
    const char *const *groups; /* at most 64 */
    size_t group_count;

    /* Durations. */
    uint32_t timeout_ms;         /* deadline of a call that names none; 10,000 */
    uint32_t connect_timeout_ms; /* how much of it a call waits for a connection; 5,000 */
    uint32_t reconnect_min_ms;   /* pauses between attempts to connect grow from; 50 */
    uint32_t reconnect_max_ms;   /* to; 2,000 */
    /* After this long without any answer the server is asked for a sign of life, and after as long
     * again the connection is given up for dead, and its calls are repeated on a new one; 2,000. */
    uint32_t silence_ms;

    uint32_t attempts_max; /* how often one call is tried; 1 = never repeated; 5 */
    /* How many repetitions upon refusals ("come back later") the client may have in stock; each
     * costs one, each success gives back a tenth. Keeps a crowd of clients from beating an
     * overloaded server; 100. */
    uint32_t retry_budget;

    uint32_t flags; /* enum activity_flags, or-ed */
};

enum activity_flags {
    /* Leaves NNG's own TLS in place.
     *
     * Without it activity_client_new() registers the library's TLS engine with NNG. An engine is
     * the whole process's: the library is linked statically, so there is one NNG, and every TLS
     * configuration that anybody in the program allocates from then on has that engine, while
     * those that are there stay as they are. Beside writing one record per message, where NNG's
     * writes three, it differs from NNG's in what it refuses: all but TLS 1.2 and 1.3 with
     * ECDHE-ECDSA and ChaCha20-Poly1305 or AES-GCM, own keys that are not on the curve P-256, have
     * a password or do not belong to their certificate, clients that name no server, servers whose
     * name is their common name only, and pre-shared keys.
     *
     * A program that needs those for connections of its own sets the flag in every client that it
     * makes: one without it is enough to register the engine, for clients with it, too. */
    ACTIVITY_TLS_STOCK = 1
};

/* How one call is made; NULL stands for all defaults. */
struct activity_call_options {
    size_t size;         /* sizeof(struct activity_call_options), by ACTIVITY_CALL_OPTIONS_INIT */
    uint32_t timeout_ms; /* duration, from now; 0: the client's */

    /* On whose behalf; without a tenant: as the client's options say. */
    const char *tenant;
    const char *user;
    const char *const *groups;
    size_t group_count;

    /* At most 32, at most 8 KiB in all. traceparent reaches the server's diagnostics. */
    const struct activity_metadata *metadata;
    size_t metadata_count;

    bool never_repeat; /* one attempt only */
    bool repeat;       /* activity_call() only: the request is safe to repeat */
};

struct activity_metadata {
    const char *name; /* [a-z0-9_-]{1,64} */
    const char *value;
};

#ifdef __cplusplus
#define ACTIVITY_SIZED_(type)                                                                      \
    {                                                                                              \
        sizeof(type)                                                                               \
    }
#else
#define ACTIVITY_SIZED_(type)                                                                      \
    {                                                                                              \
        .size = sizeof(type)                                                                       \
    }
#endif
#define ACTIVITY_OPTIONS_INIT      ACTIVITY_SIZED_(struct activity_options)
#define ACTIVITY_CALL_OPTIONS_INIT ACTIVITY_SIZED_(struct activity_call_options)

/* Reads the certificates and begins to connect in the background; does not wait. NULL on error:
 * INVALID_ARGUMENT (an option; a file that cannot be read or is no PEM), OUT_OF_MEMORY,
 * CLIENT_INTERNAL. Owned by the caller, ended by activity_client_free(). */
activity_client *activity_client_new(const struct activity_options *options,
                                     struct activity_error *error);

/* Ends the client and its connections; may be NULL. All windows, finders and subscriptions of the
 * client must have been freed and no call may be under way. Results stay valid. */
void activity_client_free(activity_client *client);

/* Waits up to timeout_ms (duration, 0: look only) until a server is connected. Not needed before
 * calls, which wait themselves. UNAVAILABLE NOT_CONNECTED with the best explanation there is. */
int activity_client_connect(activity_client *client, uint32_t timeout_ms,
                            struct activity_error *error);

/* Where the client stands, for health pages and tests. Counters count since activity_client_new().
 */
struct activity_client_status {
    bool connected;
    char server[256];       /* the URL in use, else the one that is being tried */
    uint64_t connections;   /* made */
    uint64_t calls;         /* begun */
    uint64_t repeats;       /* attempts after the first one */
    uint64_t late_replies;  /* answers to calls that had given up */
    uint64_t bad_replies;   /* messages that were no answer to anything */
    uint64_t refused_calls; /* answered with a refusal that asked to come back */
};
void activity_client_status(activity_client *client, struct activity_client_status *status);

/* 16 random bytes for a request_id, for callers that keep it themselves before they call.
 * UNAVAILABLE if the system has no randomness. */
int activity_request_id_new(unsigned char request_id[ACTIVITY_REQUEST_ID_SIZE]);

/* --- Activities ----------------------------------------------------------------------------- */

enum activity_state {
    ACTIVITY_STATE_ANY = 0, /* in filters; as an outcome: none known */
    ACTIVITY_STATE_RUNNING = 1,
    ACTIVITY_STATE_COMPLETED = 2, /* reached 100 % */
    ACTIVITY_STATE_FAILED = 3,
    ACTIVITY_STATE_CANCELLED = 4, /* destroyed while it was running */
    ACTIVITY_STATE_KILLED = 5     /* was silent for more than 90 s */
};

/* What an update did to its job. */
enum activity_disposition {
    ACTIVITY_DISPOSITION_NONE = 0, /* never answered */
    ACTIVITY_APPLIED = 1,
    ACTIVITY_HEARTBEAT = 2,       /* the percent was below the stored one: a sign of life only */
    ACTIVITY_IGNORED_UNKNOWN = 3, /* no such job, or not the caller's to change */
    ACTIVITY_IGNORED_COMPLETED = 4,
    ACTIVITY_IGNORED_FAILED = 5,
    ACTIVITY_IGNORED_CANCELLED = 6, /* nobody waits for this job any more */
    ACTIVITY_IGNORED_KILLED = 7
};

struct activity_attribute {
    const char *name; /* [a-zA-Z][a-zA-Z0-9._-]{0,63} */
    const char *value;
};

struct activity_failure {
    const char *code;    /* required, UPPER_SNAKE by convention: for programs */
    const char *message; /* for people */
};

struct activity_result_item {
    const char *id;            /* required: the item's id in the caller's world */
    const char *error_code;    /* NULL or "": the item went well */
    const char *error_message; /* only with an error_code */
};

/* What a job leaves behind at 100 %. At most 860 KiB encoded. */
struct activity_job_result {
    const struct activity_result_item *items; /* at most 16,384 */
    size_t item_count;
    struct activity_bytes content; /* opaque to the service */
    const char *content_type;      /* required with content */
};

/* An activity as it is answered. Strings are never NULL here, but may be "". */
struct activity_info {
    uint64_t job_id; /* below 2^53 */
    const char *type;
    const char *title;
    enum activity_state state;
    uint32_t percent;
    const char *status_text;
    const char *owner;   /* user; "": the creator acted for itself */
    const char *creator; /* principal */
    const char *const *groups;
    size_t group_count;
    const struct activity_attribute *attributes;
    size_t attribute_count;
    uint64_t parent_job_id;   /* 0 = none */
    uint64_t retry_of_job_id; /* 0 = none */
    uint64_t create_time_ms;
    uint64_t update_time_ms;                /* heartbeats do not count */
    uint64_t end_time_ms;                   /* 0 while it is running */
    const struct activity_failure *failure; /* NULL unless FAILED */
};

struct activity_create_request {
    /* All zero: the library makes one. */
    unsigned char request_id[ACTIVITY_REQUEST_ID_SIZE];
    const char *type; /* required: [a-zA-Z][a-zA-Z0-9._-]{0,63} */
    const char *title;
    const char *const *groups; /* at most 8: their members see it */
    size_t group_count;
    const struct activity_attribute *attributes; /* at most 16, 4 KiB in all */
    size_t attribute_count;
    uint64_t parent_job_id;   /* a job that the caller may change; 0 = none */
    uint64_t retry_of_job_id; /* the same; 0 = none */
};

struct activity_created {
    uint64_t job_id;
    uint32_t update_within_ms; /* duration: update at least this often */
    uint32_t kill_after_ms;    /* duration: after this long a silence it is killed */
    unsigned char request_id[ACTIVITY_REQUEST_ID_SIZE]; /* the one that was used */
};

/* Creates an activity in state RUNNING at 0 %. `created` may be NULL. Errors beside the general
 * ones: INVALID_ARGUMENT (UNKNOWN_JOB: a parent or retried job that may not be changed;
 * REQUEST_ID_REUSED), PERMISSION_DENIED, RESOURCE_EXHAUSTED. */
int activity_create(activity_client *client, const struct activity_create_request *request,
                    const struct activity_call_options *options, struct activity_created *created,
                    struct activity_error *error);

struct activity_update_request {
    uint64_t job_id;
    bool set_percent;        /* false: percent is left as it is */
    uint32_t percent;        /* 0 to 100; never lowers the stored one; 100 completes the job */
    const char *status_text; /* NULL: unchanged; "": emptied */
    const struct activity_job_result *result; /* only with percent 100; NULL: none */
    const struct activity_failure *failure;   /* ends the job as FAILED; NULL: none */
};

struct activity_updated {
    uint64_t job_id;
    uint32_t percent; /* stored; 0 if unknown */
    enum activity_disposition disposition;
};

/* Advances, annotates or ends a job. An unknown or ended job is no error: the disposition tells.
 * `updated` may be NULL. INVALID_ARGUMENT: percent above 100, result without 100, failure with
 * either. */
int activity_update(activity_client *client, const struct activity_update_request *request,
                    const struct activity_call_options *options, struct activity_updated *updated,
                    struct activity_error *error);

struct activity_batch_request {
    const uint64_t *job_ids; /* in any order, duplicates allowed; sorted ones travel smallest */
    const uint8_t *percents; /* 0 to 100 each */
    size_t count;            /* 1 to 65,536 */
};

struct activity_batch {
    size_t count;            /* as requested */
    const uint8_t *percents; /* stored, in the order of the request; 0 if unknown */
    /* enum activity_disposition each, in the order of the request. Never NULL. */
    const uint8_t *dispositions;
    uint32_t ignored_count; /* IGNORED_UNKNOWN to IGNORED_KILLED */
};

/* Advances many jobs, in order. One percent above 100 refuses the whole batch; `field` names it.
 * *result (may be NULL) answers activity_result_batch(). */
int activity_batch_update(activity_client *client, const struct activity_batch_request *request,
                          const struct activity_call_options *options, activity_result **result,
                          struct activity_error *error);

/* Cancels a running job. No error if it is unknown or has ended: *disposition (may be NULL) is
 * APPLIED or tells which. After a repetition an APPLIED may show as IGNORED_CANCELLED.
 * PERMISSION_DENIED: it may be seen but not changed. */
int activity_destroy(activity_client *client, uint64_t job_id,
                     const struct activity_call_options *options,
                     enum activity_disposition *disposition, struct activity_error *error);

/* Reads one activity: activity_result_activity(). NOT_FOUND UNKNOWN_JOB. */
int activity_get(activity_client *client, uint64_t job_id,
                 const struct activity_call_options *options, activity_result **result,
                 struct activity_error *error);

struct activity_find_request {
    bool activities; /* which of the three lists; none chosen: all */
    bool model_changes;
    bool model_changes_es;
    const char *const *types; /* at most 16; none: any */
    size_t type_count;
    const enum activity_state *states; /* at most 8; none: any */
    size_t state_count;
    const uint64_t *job_ids; /* at most 256; none: any */
    size_t job_id_count;
    uint64_t updated_since_ms;        /* 0: any */
    uint32_t page_size;               /* 1 to 1,000; 0: 1,000. Pages may be shorter */
    struct activity_bytes page_token; /* of the previous page, with the same filters */
    bool observe;                     /* do not count this call as a sign of life of the user */
};

struct activity_affected_model {
    const char *affected_model;
    uint64_t first_ms; /* timeRange */
    uint64_t last_ms;
    uint64_t updated_ms;
};

struct activity_model_change {
    const char *model;       /* "es:" + model in the Elasticsearch list */
    const char *document_id; /* numbers are given in decimal */
    const struct activity_affected_model *affected_models;
    size_t affected_model_count;
    uint64_t updated_ms;
};

/* A place in the history of events. */
struct activity_cursor {
    uint64_t epoch;
    uint64_t sequence;
};

struct activity_page {
    const struct activity_info *activities; /* in creation order */
    size_t activity_count;
    const struct activity_model_change *model_changes; /* in order of last update */
    size_t model_change_count;
    const struct activity_model_change *model_changes_es;
    size_t model_change_es_count;
    struct activity_bytes next_page_token; /* empty: this was the last page */
    struct activity_cursor cursor;         /* first page only: the feed continues here */
    uint64_t time_ms;                      /* the service's time */
    uint64_t model_changes_complete_since_ms;
    uint64_t model_changes_es_complete_since_ms;
};

/* One page of what the caller may see: activity_result_page(). */
int activity_find(activity_client *client, const struct activity_find_request *request,
                  const struct activity_call_options *options, activity_result **result,
                  struct activity_error *error);

/* Walks all pages of a find, from request->page_token on. The deadline of `options` holds for each
 * page. NULL on error. Ended by activity_finder_free(), before its client.
 *
 *     const struct activity_page *page;
 *     while ((code = activity_finder_next(finder, &page, &error)) == ACTIVITY_OK && page != NULL)
 */
activity_finder *activity_finder_new(activity_client *client,
                                     const struct activity_find_request *request,
                                     const struct activity_call_options *options,
                                     struct activity_error *error);

/* *page is the next page, valid until the next call or the end of the finder, or NULL after the
 * last one. After an error the same page is asked for again by the next call. */
int activity_finder_next(activity_finder *finder, const struct activity_page **page,
                         struct activity_error *error);
void activity_finder_free(activity_finder *finder); /* may be NULL */

enum activity_result_state {
    ACTIVITY_RESULT_NONE = 0,    /* never answered */
    ACTIVITY_RESULT_PENDING = 1, /* the job is running */
    ACTIVITY_RESULT_READY = 2,
    ACTIVITY_RESULT_EMPTY = 3,   /* it ended without a result */
    ACTIVITY_RESULT_EXPIRED = 4, /* there was one */
    ACTIVITY_RESULT_UNKNOWN = 5  /* no such job, or not visible */
};

struct activity_returned {
    enum activity_result_state state;
    enum activity_state outcome;       /* the state that the job ended in, RUNNING, or ANY */
    struct activity_job_result result; /* empty unless READY */
};

/* Reads what a job returned: activity_result_returned(). An unknown job is a state, no error. */
int activity_get_result(activity_client *client, uint64_t job_id,
                        const struct activity_call_options *options, activity_result **result,
                        struct activity_error *error);

struct activity_wait_request {
    uint64_t job_id;
    uint32_t percent; /* 1 to 100; 0: 100. A job that ends has come as far as it will, and counts */
    bool children;    /* and all jobs that name it as their parent */
    uint32_t
        wait_ms; /* duration of any length; 0: look only. The options' timeout counts beside it */
};

struct activity_waited {
    bool reached;              /* false: wait_ms is over before */
    enum activity_state state; /* of the job itself */
    uint32_t percent;
    uint64_t waiting_for_job_id; /* one that is still waited for; 0 when reached */
};

/* Waits until a job, or it and its children, reach a percent or an end. `waited` may be NULL.
 * NOT_FOUND UNKNOWN_JOB. */
int activity_wait(activity_client *client, const struct activity_wait_request *request,
                  const struct activity_call_options *options, struct activity_waited *waited,
                  struct activity_error *error);

/* --- Changed documents ---------------------------------------------------------------------- */

struct activity_document_change {
    const char *model;          /* required: [a-zA-Z][a-zA-Z0-9._-]{0,63} */
    const char *document_id;    /* required, at most 512 bytes; numbers in decimal */
    const char *affected_model; /* required, as model */
    struct activity_bytes json; /* the document for the index: one JSON object, at most 512 KiB */
    const char *const *groups;  /* at most 8; "*": the whole tenant; none: recorder and admins */
    size_t group_count;
    bool deleted; /* without json and merge_patch */
    /* Instead of json, of models that are written as fragments: a JSON merge patch (RFC 7396), of
     * one object as json is. */
    struct activity_bytes merge_patch;
};

struct activity_record_request {
    /* All zero: the library makes one. */
    unsigned char request_id[ACTIVITY_REQUEST_ID_SIZE];
    const struct activity_document_change *changes; /* in the order in which they happened */
    size_t change_count;                            /* 1 to 4,096, 860 KiB in all */
    uint64_t job_id;                                /* a job that the caller may change; 0 = none */
    bool urgent; /* these documents leave for the index at once */
};

struct activity_recorded {
    uint64_t ticket; /* names these changes */
    uint64_t accept_time_ms;
    unsigned char request_id[ACTIVITY_REQUEST_ID_SIZE]; /* the one that was used */
};

/* Records changes; an answer means that they are durable. `recorded` may be NULL. Errors as
 * activity_create(). */
int activity_record_changes(activity_client *client, const struct activity_record_request *request,
                            const struct activity_call_options *options,
                            struct activity_recorded *recorded, struct activity_error *error);

/* How far changes have come on their way to the index. */
enum activity_stage {
    ACTIVITY_STAGE_DEFAULT = 0, /* ACKED */
    ACTIVITY_STAGE_SENT = 1,
    ACTIVITY_STAGE_ACKED = 2, /* accepted by the index */
    ACTIVITY_STAGE_SEARCHABLE = 3
};

struct activity_visible_request {
    uint64_t ticket; /* of activity_record_changes(), or 0 and */
    uint64_t job_id; /* all changes recorded with this job */
    enum activity_stage stage;
    uint32_t
        wait_ms; /* duration of any length; 0: look only. The options' timeout counts beside it */
};

struct activity_visible {
    bool reached;          /* false: wait_ms is over before */
    uint64_t open_changes; /* that have not come so far */
};

/* Waits until recorded changes have come so far. `visible` may be NULL. NOT_FOUND UNKNOWN_TICKET
 * (also for a job without tickets), ABORTED CHANGE_PARKED (the index refused one),
 * FAILED_PRECONDITION INDEX_NONE (SEARCHABLE, and the server writes to no index). */
int activity_wait_visible(activity_client *client, const struct activity_visible_request *request,
                          const struct activity_call_options *options,
                          struct activity_visible *visible, struct activity_error *error);

/* --- The server ----------------------------------------------------------------------------- */

struct activity_health {
    bool serving;
    const char *explanation; /* why not, for people; or "" */
};

/* Asks whether calls are served: activity_result_health(). `service` is NULL or "" for the whole
 * server, else as "activity.v1.ActivityService"; an unknown one is NOT_FOUND. */
int activity_check_health(activity_client *client, const char *service,
                          const struct activity_call_options *options, activity_result **result,
                          struct activity_error *error);

struct activity_limit {
    const char *name;
    uint64_t value;
};

struct activity_certificate {
    const char *name;    /* server or ca */
    const char *subject; /* for people */
    uint64_t not_after_ms;
};

/* The change feed, counted since the process started. */
struct activity_feed_info {
    uint64_t subscribers; /* connections to the change-feed endpoint */
    uint64_t parked;      /* long polls that wait */
    uint64_t frames;      /* messages published, heartbeats included */
    uint64_t bytes;       /* of them, each counted once */
    uint64_t events;      /* published */
    uint64_t progress_frames;
    uint64_t reads;  /* activity_read_changes() answered */
    uint64_t fills;  /* of them at once, with events of the past */
    uint64_t resets; /* of them with a reset */
};

struct activity_server_info {
    const char *version;
    uint64_t epoch;
    uint64_t time_ms;       /* the service's time */
    uint64_t start_time_ms; /* of the process */
    const struct activity_limit *limits;
    size_t limit_count;
    const char *feed_url; /* "": none */
    bool feed_allowed;
    const char *durability; /* what an acknowledgement promises, for people */
    const struct activity_certificate *certificates;
    size_t certificate_count;
    uint64_t journal_index;
    uint64_t head_sequence;
    uint64_t oldest_sequence;
    uint64_t request_id_kept_ms; /* duration */
    uint64_t running_activities; /* of all tenants */
    const char *index;           /* none or elasticsearch */
    const char *principal;       /* whom the server recognised in this client's certificate */
    struct activity_feed_info feed;
    /* See <activity_admin.h>; NULL: the server does not tell, or has no lists. */
    const struct activity_tls_info *tls;
    const struct activity_revocations *revocations;
    uint32_t rules;          /* of the policy in force */
    uint64_t loaded_time_ms; /* since when certificates, revocations and rules are in force */
};

/* Describes the server: activity_result_server_info(). */
int activity_get_server_info(activity_client *client, const struct activity_call_options *options,
                             activity_result **result, struct activity_error *error);

struct activity_users_request {
    uint32_t page_size; /* 1 to 1,000; 0: 1,000 */
    struct activity_bytes page_token;
};

struct activity_user {
    const char *user;
    uint64_t last_seen_ms; /* at most 30 s older than the latest sign of life */
};

struct activity_users {
    const struct activity_user *users;
    size_t user_count;
    struct activity_bytes next_page_token; /* empty: this was the last page */
};

/* Lists the users of the tenant that were present in the last 90 s: activity_result_users().
 * `request` may be NULL. Needs admin. */
int activity_list_users(activity_client *client, const struct activity_users_request *request,
                        const struct activity_call_options *options, activity_result **result,
                        struct activity_error *error);

/* Makes the server refuse new commands, answer what is under way, and stop. Needs admin = all. */
int activity_drain(activity_client *client, const struct activity_call_options *options,
                   struct activity_error *error);

struct activity_state_hash {
    uint64_t journal_index; /* the entry up to which the state was hashed */
    uint64_t state_hash;
    uint64_t digest; /* of the entry */
};

/* Hashes the whole state. `hash` may be NULL. Needs admin = all. */
int activity_get_state_hash(activity_client *client, const struct activity_call_options *options,
                            struct activity_state_hash *hash, struct activity_error *error);

/* Any method by its full name ("activity.v1.ActivityService/GetActivity") with an encoded protobuf
 * request; activity_result_payload() is the encoded response. For methods that this library does
 * not know yet. Repeated only if options->repeat. */
int activity_call(activity_client *client, const char *method, struct activity_bytes payload,
                  const struct activity_call_options *options, activity_result **result,
                  struct activity_error *error);

/* --- Results -------------------------------------------------------------------------------- */

enum activity_method {
    ACTIVITY_METHOD_NONE = 0,
    ACTIVITY_METHOD_CREATE = 1,
    ACTIVITY_METHOD_UPDATE = 2,
    ACTIVITY_METHOD_BATCH_UPDATE = 3,
    ACTIVITY_METHOD_DESTROY = 4,
    ACTIVITY_METHOD_GET = 5,
    ACTIVITY_METHOD_FIND = 6,
    ACTIVITY_METHOD_GET_RESULT = 7,
    ACTIVITY_METHOD_RECORD_CHANGES = 8,
    ACTIVITY_METHOD_CHECK_HEALTH = 9,
    ACTIVITY_METHOD_GET_SERVER_INFO = 10,
    ACTIVITY_METHOD_LIST_USERS = 11,
    ACTIVITY_METHOD_DRAIN = 12,
    ACTIVITY_METHOD_GET_STATE_HASH = 13,
    ACTIVITY_METHOD_CALL = 14,
    ACTIVITY_METHOD_WAIT = 15,
    ACTIVITY_METHOD_WAIT_VISIBLE = 16,
    ACTIVITY_METHOD_READ_CHANGES = 17,
    ACTIVITY_METHOD_GET_INDEX_STATUS = 18,
    ACTIVITY_METHOD_LIST_INDEX_BATCHES = 19,
    ACTIVITY_METHOD_LIST_PARKED = 20,
    ACTIVITY_METHOD_RETRY_PARKED = 21,
    ACTIVITY_METHOD_DISCARD_PARKED = 22,
    ACTIVITY_METHOD_RELOAD = 23
};

/* What a result holds: a pointer into it, or NULL if it is the answer of another method (or if
 * `result` is NULL). */
const struct activity_created *activity_result_created(const activity_result *result);
const struct activity_updated *activity_result_updated(const activity_result *result);
const struct activity_batch *activity_result_batch(const activity_result *result);
const enum activity_disposition *activity_result_destroyed(const activity_result *result);
const struct activity_info *activity_result_activity(const activity_result *result);
const struct activity_page *activity_result_page(const activity_result *result);
const struct activity_returned *activity_result_returned(const activity_result *result);
const struct activity_recorded *activity_result_recorded(const activity_result *result);
const struct activity_health *activity_result_health(const activity_result *result);
const struct activity_server_info *activity_result_server_info(const activity_result *result);
const struct activity_users *activity_result_users(const activity_result *result);
const struct activity_state_hash *activity_result_state_hash(const activity_result *result);
const struct activity_waited *activity_result_waited(const activity_result *result);
const struct activity_visible *activity_result_visible(const activity_result *result);

/* Of any result: the encoded response message, and the history (epoch) that its server serves. */
struct activity_bytes activity_result_payload(const activity_result *result);
uint64_t activity_result_epoch(const activity_result *result);

void activity_result_free(activity_result *result); /* may be NULL */

/* --- Many calls in flight ------------------------------------------------------------------- */

/* Calls in flight are executed in no promised order: what must come after another is submitted
 * after the other's completion (a batch update keeps its own order).
 *
 * A window of up to `size` (1 to 65,536) calls that have been submitted and not yet taken by
 * activity_next(). Each keeps its encoded request until then. A client may have several windows;
 * one per thread is the usual way. NULL on error. */
activity_window *activity_window_new(activity_client *client, size_t size,
                                     struct activity_error *error);

/* Gives up what is in flight (it may still be executed); may be NULL. */
void activity_window_free(activity_window *window);

/* How many calls have been submitted and not been taken. */
size_t activity_window_used(const activity_window *window);

/* Begin a call and return at once; `tag` comes back in its completion. The deadline runs from here.
 * An error here means that nothing was begun and no completion will come: an argument that breaks a
 * rule, or RESOURCE_EXHAUSTED WINDOW_FULL. Everything else is told by the completion. */
int activity_submit_create(activity_window *window, const struct activity_create_request *request,
                           const struct activity_call_options *options, uint64_t tag,
                           struct activity_error *error);
int activity_submit_update(activity_window *window, const struct activity_update_request *request,
                           const struct activity_call_options *options, uint64_t tag,
                           struct activity_error *error);
int activity_submit_batch_update(activity_window *window,
                                 const struct activity_batch_request *request,
                                 const struct activity_call_options *options, uint64_t tag,
                                 struct activity_error *error);
int activity_submit_destroy(activity_window *window, uint64_t job_id,
                            const struct activity_call_options *options, uint64_t tag,
                            struct activity_error *error);
int activity_submit_get(activity_window *window, uint64_t job_id,
                        const struct activity_call_options *options, uint64_t tag,
                        struct activity_error *error);
int activity_submit_find(activity_window *window, const struct activity_find_request *request,
                         const struct activity_call_options *options, uint64_t tag,
                         struct activity_error *error);
int activity_submit_get_result(activity_window *window, uint64_t job_id,
                               const struct activity_call_options *options, uint64_t tag,
                               struct activity_error *error);
int activity_submit_record_changes(activity_window *window,
                                   const struct activity_record_request *request,
                                   const struct activity_call_options *options, uint64_t tag,
                                   struct activity_error *error);
int activity_submit_check_health(activity_window *window, const char *service,
                                 const struct activity_call_options *options, uint64_t tag,
                                 struct activity_error *error);

/* A method by name and an encoded request, for activity_submit_call(). */
struct activity_raw_request {
    const char *method;
    struct activity_bytes payload;
};
int activity_submit_call(activity_window *window, const struct activity_raw_request *request,
                         const struct activity_call_options *options, uint64_t tag,
                         struct activity_error *error);

/* How a submitted call ended. */
struct activity_completion {
    uint64_t tag;
    enum activity_method method;
    activity_result *result;     /* the caller's, to be freed; NULL if error.code is not OK */
    struct activity_error error; /* code ACTIVITY_OK: it succeeded */
};

enum activity_next_outcome {
    ACTIVITY_NEXT_DONE = 0,    /* *completion is one */
    ACTIVITY_NEXT_TIMEOUT = 1, /* none within timeout_ms */
    ACTIVITY_NEXT_IDLE = 2     /* nothing is in flight */
};

/* Takes the next completion, in the order in which calls end, waiting up to timeout_ms (duration;
 * 0: look only). *completion is zero unless DONE. Deadlines and repetitions of the window's calls
 * are looked after while a thread is in here, so a caller that submits should come here regularly.
 */
enum activity_next_outcome activity_next(activity_window *window, uint32_t timeout_ms,
                                         struct activity_completion *completion);

#ifdef __cplusplus
}
#endif

#endif
