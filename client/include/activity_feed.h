/* libactivity: following what changes. Continues <activity.h>, whose rules on errors, ownership,
 * threads, deadlines and strings hold here, too.
 *
 *     struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
 *     activity_subscription *subscription = activity_subscription_open(client, &options, &error);
 *     struct activity_event event;
 *     while (activity_subscription_next(subscription, 1000, &event, &error) == ACTIVITY_OK) {
 *         if (event.kind == ACTIVITY_EVENT_ENDED) ...
 *     }
 *     activity_subscription_free(subscription);
 *
 * Every created and ended activity, every change of a document in the database and in Elasticsearch
 * comes once and in order, or the subscriber is told (RESET): nothing is skipped silently. */
#ifndef ACTIVITY_FEED_H
#define ACTIVITY_FEED_H

#include <activity.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct activity_subscription activity_subscription; /* follows what changes */

enum activity_event_kind {
    ACTIVITY_EVENT_NONE = 0, /* nothing within the time */
    /* History: every one, once and in order. */
    ACTIVITY_EVENT_CREATED = 1,       /* `activity`: as it was created */
    ACTIVITY_EVENT_ENDED = 2,         /* `activity`: job_id, type, state, percent, status_text,
                                         end_time_ms, failure, and who may see it */
    ACTIVITY_EVENT_MODEL_CHANGED = 3, /* `change`: one affected model, in the database */
    ACTIVITY_EVENT_INDEX_CHANGED = 4, /* `change`: one affected model, in Elasticsearch */
    /* State. */
    ACTIVITY_EVENT_PROGRESS = 5, /* `activity`: job_id, percent, and status_text if it has changed
                                    (else NULL): the latest, some in between may be left out. Not
                                    ordered with history: a late one may follow the job's end */
    /* What a subscription begins with that was opened with a snapshot, in this order: what the
     * caller finds, so it is of the caller's tenant, whatever the scope and options.tenants. */
    ACTIVITY_EVENT_FOUND_ACTIVITY = 6,     /* `activity` as it stands */
    ACTIVITY_EVENT_FOUND_CHANGE = 7,       /* `change` */
    ACTIVITY_EVENT_FOUND_INDEX_CHANGE = 8, /* `change` */
    ACTIVITY_EVENT_FOUND_ALL = 9,          /* that was all; history follows from the cursor */
    /* The history has a hole: what the subscriber knows is out of date. The subscription goes on
     * after the hole: with a snapshot if it was opened with one, else from `cursor` on. */
    ACTIVITY_EVENT_RESET = 10
};

enum activity_reset {
    ACTIVITY_RESET_NONE = 0,
    ACTIVITY_RESET_EXPIRED = 1, /* the events after the cursor have left the window */
    ACTIVITY_RESET_EPOCH = 2,   /* the server serves another history: restored, repaired or new */
    ACTIVITY_RESET_AHEAD = 3    /* the cursor lies beyond the history's head */
};

/* Names for people and for JSON: "ACTIVITY_CREATED", "EXPIRED"; "UNKNOWN_VALUE". Static. */
const char *activity_event_kind_name(int kind);
const char *activity_reset_name(int reset);

/* What the pointers show is valid until the next activity_subscription_next() on the subscription;
 * in an activity_result of activity_read_changes() as long as that. */
struct activity_event {
    enum activity_event_kind kind;
    /* Of history: where the subscription stands after this event; of FOUND_ALL and RESET: where it
     * goes on. Store it with what the event did, and a restart continues behind it. Else zero. */
    struct activity_cursor cursor;
    uint64_t time_ms;   /* when it happened */
    const char *tenant; /* of history and of pushed PROGRESS; of other PROGRESS the one that the
                           calls are made for, if it is named; else "" */
    const char
        *principal;   /* of history: creator of the activity, recorder of the change; else "" */
    const char *user; /* of history: owner, recording user; or "" */
    const char *const *groups; /* of history: whose members see it */
    size_t group_count;
    const struct activity_info *activity;       /* NULL if it is about a document */
    const struct activity_model_change *change; /* NULL if it is about an activity */
    bool deleted;                               /* of MODEL_CHANGED and INDEX_CHANGED */
    enum activity_reset reset;
};

/* Which events. One passes when it is of one of the kinds (CREATED to INDEX_CHANGED) and, if any of
 * models, document_ids and job_ids is given, when it is about one of the job_ids, or about a
 * document of one of the models and one of the document_ids. */
struct activity_event_filter {
    const enum activity_event_kind *kinds; /* at most 8; none: all */
    size_t kind_count;
    const char *const *models; /* at most 16, without "es:" */
    size_t model_count;
    const char *const *document_ids; /* at most 256, 16 KiB in all */
    size_t document_id_count;
    const uint64_t *job_ids; /* at most 256 */
    size_t job_id_count;
};

struct activity_changes_request {
    struct activity_cursor after; /* all zero: from now on */
    struct activity_event_filter filter;
    uint32_t wait_ms;   /* how long the server waits for an event, at most 30,000; 0: not at all */
    uint32_t page_size; /* 1 to 1,000; 0: 1,000 */
    bool all_tenants;   /* needs the permission "feed"; not on behalf of a user */
    uint64_t subscription; /* a number: a newer call with it ends the wait of this one; 0: none */
};

struct activity_changes {
    const struct activity_event *events; /* CREATED to INDEX_CHANGED */
    size_t event_count;
    struct activity_cursor cursor; /* the last event looked at: continue from here */
    uint64_t oldest_sequence;      /* that can still be read */
    uint64_t head_sequence;
    enum activity_reset reset; /* not NONE: these events cannot be given any more */
    uint32_t retry_after_ms;   /* the server had no place to wait: come back after this; or 0 */
};

/* Events after a cursor, one page: activity_result_changes(). What subscriptions are made of. */
int activity_read_changes(activity_client *client, const struct activity_changes_request *request,
                          const struct activity_call_options *options, activity_result **result,
                          struct activity_error *error);
const struct activity_changes *activity_result_changes(const activity_result *result);

enum activity_start {
    ACTIVITY_START_NOW = 0,     /* events from now on */
    ACTIVITY_START_CURSOR = 1,  /* events after options.cursor */
    ACTIVITY_START_SNAPSHOT = 2 /* what there is (FOUND_...), then events from there on */
};

/* Whose events. */
enum activity_scope {
    ACTIVITY_SCOPE_WIDEST = 0, /* ALL if the server allows it and no user is named, else CALLER */
    ACTIVITY_SCOPE_CALLER = 1, /* what the caller may see */
    ACTIVITY_SCOPE_ALL = 2     /* all tenants; PERMISSION_DENIED without the permission "feed" */
};

struct activity_subscription_options {
    size_t size; /* by ACTIVITY_SUBSCRIPTION_OPTIONS_INIT */
    enum activity_start start;
    struct activity_cursor cursor; /* for ACTIVITY_START_CURSOR */
    enum activity_scope scope;
    struct activity_event_filter filter; /* of history, PROGRESS (by job_ids) and FOUND_... */
    const char *const *tenants;          /* only these; none: all of the scope */
    size_t tenant_count;
    bool progress; /* PROGRESS events, too */
    bool reads;    /* never subscribe at the change-feed endpoint; only ask the command endpoint */
    /* As whom, and the timeout of each call; copied. */
    const struct activity_call_options *call;
};
#define ACTIVITY_SUBSCRIPTION_OPTIONS_INIT ACTIVITY_SIZED_(struct activity_subscription_options)

/* Begins to follow what changes, over the change-feed endpoint where the server has one and allows
 * it (scope ALL), else by activity_read_changes(); which of the two shows in nothing but speed.
 * Messages that are lost on the way are noticed and read after, connections are made anew. NULL on
 * error. Owned by the caller, belongs to one thread at a time, and is ended by
 * activity_subscription_free() before its client. */
activity_subscription *
activity_subscription_open(activity_client *client,
                           const struct activity_subscription_options *options,
                           struct activity_error *error);

/* Takes the next event, waiting up to timeout_ms (duration; 0: look only). ACTIVITY_OK with
 * event->kind NONE: nothing has come within the time. Errors are those of calls that were not
 * answered for as long as a call's timeout; the subscription stays where it is, and goes on with
 * the next call. */
int activity_subscription_next(activity_subscription *subscription, uint32_t timeout_ms,
                               struct activity_event *event, struct activity_error *error);

/* Where the subscription stands: all events up to here have been taken. */
void activity_subscription_cursor(const activity_subscription *subscription,
                                  struct activity_cursor *cursor);

struct activity_subscription_status {
    bool all;        /* the scope in use: all tenants */
    bool pushed;     /* by the change-feed endpoint at present, else by reads */
    bool refused;    /* the endpoint closes each connection at once: its diagnostics say why */
    uint64_t events; /* of history, taken */
    uint64_t frames; /* messages received */
    uint64_t bad;    /* messages that were none */
    uint64_t gaps;   /* holes between messages, or before the first */
    uint64_t fills;  /* reads that filled them */
    uint64_t resets;
    uint64_t connects; /* to the change-feed endpoint */
};
void activity_subscription_status(const activity_subscription *subscription,
                                  struct activity_subscription_status *status);

void activity_subscription_free(activity_subscription *subscription); /* may be NULL */

#ifdef __cplusplus
}
#endif

#endif
