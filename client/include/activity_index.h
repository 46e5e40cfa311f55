/* libactivity: the way of changes into the index, for operators. Continues <activity.h>, whose
 * rules on errors, ownership, threads, deadlines and strings hold here, too.
 *
 * A recorded change waits, then travels in a batch, and then it is in the index, waits again, or is
 * parked with its document: the index has refused it for a reason that does not go away by itself.
 * The later changes of a parked document wait until somebody has decided; those of other documents
 * go on.
 *
 * All of these calls need "admin", those that count what all tenants have "admin = all"; else they
 * are PERMISSION_DENIED. On a server that writes to no index they are answered all the same: the
 * state is NONE, and the lists are empty. */
#ifndef ACTIVITY_INDEX_H
#define ACTIVITY_INDEX_H

#include <activity.h>

#ifdef __cplusplus
extern "C" {
#endif

enum activity_index_state {
    ACTIVITY_INDEX_NONE = 1,   /* the server writes to no index */
    ACTIVITY_INDEX_READY = 2,  /* it answered when it was asked last */
    ACTIVITY_INDEX_AWAY = 3,   /* it cannot be reached or does not keep up; tried again and again */
    ACTIVITY_INDEX_REFUSED = 4 /* it, or one index of it, refuses the server, and somebody has to
                                  do something */
};

/* Why a batch was sent when it was. */
enum activity_flush_cause {
    ACTIVITY_FLUSH_DELAY = 1,     /* its oldest change had waited for flush_delay_ms */
    ACTIVITY_FLUSH_DOCUMENTS = 2, /* flush_documents documents waited */
    ACTIVITY_FLUSH_BYTES = 3,     /* flush_bytes of JSON waited */
    ACTIVITY_FLUSH_URGENT = 4,    /* a request was urgent */
    ACTIVITY_FLUSH_RESTED = 5     /* a document had rested, since the index had not taken it */
};

/* Names for people and for JSON: "READY", "DELAY"; "UNKNOWN_VALUE". Static. */
const char *activity_index_state_name(int state);
const char *activity_flush_cause_name(int cause);

/* What is the matter. Text of the index may be in it. */
struct activity_index_reason {
    const char *code;    /* for programs: the server's (no_answer) or the index's own word */
    const char *message; /* for people */
};

/* How the way into the index stands, over all tenants. */
struct activity_index_status {
    enum activity_index_state state;
    const char *version;                     /* what the index says it is; "": not reached */
    const struct activity_index_reason *why; /* what is the matter, or was lately; NULL: nothing */
    const struct activity_index_reason *advice; /* what should be set otherwise; NULL: nothing */
    uint64_t away_since_ms;                     /* 0: it is neither away nor does it refuse */
    uint32_t failures;                          /* attempts in a row that have failed */

    uint64_t waiting_documents; /* for their batch */
    uint64_t waiting_changes;   /* neither under way nor parked */
    uint64_t resting_documents; /* that rest before they are sent again */
    uint64_t in_flight_documents;
    uint64_t in_flight_changes;
    uint64_t parked_documents;
    uint64_t parked_changes; /* refused ones; not those that wait behind them */
    uint64_t pending_bytes;  /* JSON of all changes that the index has not accepted */
    uint64_t lag_ms;         /* duration: how long the oldest change that waits has waited */

    /* Counted since the server started. */
    uint64_t batches;           /* sent, and sent again */
    uint64_t requests;          /* a batch is one, or several */
    uint64_t request_bytes;     /* of their bodies */
    uint64_t changes;           /* in the batches */
    uint64_t acked_documents;   /* accepted by the index */
    uint64_t retried_documents; /* that had to be sent again */
    uint64_t parked_since_start;
    uint64_t refreshes; /* made because somebody waited, or by index_refresh_ms */

    uint64_t time_ms; /* the server's time, by which the others are to be read */
};

/* Asks how the way into the index stands: activity_result_index_status(). Needs admin = all. */
int activity_get_index_status(activity_client *client, const struct activity_call_options *options,
                              activity_result **result, struct activity_error *error);

/* Which page of a list. */
struct activity_index_page {
    uint32_t page_size; /* 0: as large as the list allows */
    struct activity_bytes page_token;
};

/* One attempt to write documents. */
struct activity_index_batch {
    uint64_t number; /* from 1 over the whole history */
    uint64_t sent_time_ms;
    bool done; /* false: it is under way */
    enum activity_flush_cause cause;
    uint64_t lag_ms;    /* duration: how long its oldest change had waited when it was sent */
    uint64_t took_ms;   /* duration: from sent to the last answer; so far, while it is under way */
    uint32_t changes;   /* that went in */
    uint32_t fragments; /* of these, changes of documents that are written as fragments */
    uint32_t documents; /* that came out: an item of a bulk request each */
    uint64_t bytes;     /* JSON of what was sent */
    uint32_t acked;     /* documents that the index has accepted */
    uint32_t retried;   /* documents that are sent again */
    uint32_t parked;    /* documents that it has refused */
    const struct activity_index_reason *error; /* what went wrong; NULL: nothing */
    const uint64_t *tickets;                   /* the first different ones of its changes */
    size_t ticket_count;                       /* at most 8 */
};

struct activity_index_batches {
    const struct activity_index_batch *batches; /* newest first */
    size_t batch_count;
    struct activity_bytes next_page_token; /* empty: this was the last page */
};

/* Lists the latest batches, those under way included: activity_result_index_batches(). The server
 * remembers 256, none of those before its start. `page` may be NULL; its size is at most 256. Needs
 * admin = all. */
int activity_list_index_batches(activity_client *client, const struct activity_index_page *page,
                                const struct activity_call_options *options,
                                activity_result **result, struct activity_error *error);

struct activity_parked_document {
    uint64_t park_id; /* names it below; never used twice */
    uint64_t parked_time_ms;
    const char *model;
    const char *document_id;
    const struct activity_index_reason *reason; /* why it was refused; NULL: it was not kept */
    uint32_t changes;                           /* that were refused together */
    uint32_t behind;                            /* that wait behind them */
    bool fragments;                             /* they are merge patches, not whole documents */
    uint64_t oldest_time_ms;                    /* when the first of them was recorded */
    const uint64_t *tickets; /* the first different ones of the refused changes */
    size_t ticket_count;     /* at most 8 */
};

struct activity_parked_documents {
    const struct activity_parked_document *documents; /* longest parked first */
    size_t document_count;                 /* a page may be short, even empty, and have a next */
    struct activity_bytes next_page_token; /* empty: this was the last page */
};

/* Lists the parked documents of the caller's tenant: activity_result_parked_documents(). `page` may
 * be NULL; its size is at most 1,000. Needs admin. */
int activity_list_parked_documents(activity_client *client, const struct activity_index_page *page,
                                   const struct activity_call_options *options,
                                   activity_result **result, struct activity_error *error);

/* Has the refused changes of a document of the caller's tenant written once more, before what waits
 * behind them. *changes (may be NULL) is how many. Refused again, the document is parked under
 * another park_id. Needs admin.
 *
 * NOT_FOUND UNKNOWN_PARKED: none is parked under this number, or somebody has decided already. With
 * error->attempts above 1 that may have been an attempt of this very call, whose answer was lost:
 * the call is safe to repeat, but only its first execution is told the count. */
int activity_retry_parked(activity_client *client, uint64_t park_id,
                          const struct activity_call_options *options, uint32_t *changes,
                          struct activity_error *error);

/* Gives the refused changes of a document of the caller's tenant up: they are never written, who
 * waits for their tickets is told CHANGE_PARKED, and what waits behind them goes on. What they
 * would have written is missing in the index until a later change writes it. Else as
 * activity_retry_parked(). */
int activity_discard_parked(activity_client *client, uint64_t park_id,
                            const struct activity_call_options *options, uint32_t *changes,
                            struct activity_error *error);

/* What a result holds: a pointer into it, or NULL if it is the answer of another method (or if
 * `result` is NULL). */
const struct activity_index_status *activity_result_index_status(const activity_result *result);
const struct activity_index_batches *activity_result_index_batches(const activity_result *result);
const struct activity_parked_documents *
activity_result_parked_documents(const activity_result *result);

#ifdef __cplusplus
}
#endif

#endif
