/* Calls from argument to answer: what the synchronous functions and the windows share. */
#ifndef ACTIVITY_LIB_METHOD_H
#define ACTIVITY_LIB_METHOD_H

#include <activity.h>
#include <activity_index.h>

#include "client/lib/client.h"
#include "client/lib/request.h"

/* A call that is about to be made: its method and, once encoded, its payload. */
struct draft {
    enum activity_method method;
    const char *name;     /* of a raw call; else NULL */
    uint32_t batch_count; /* of a batch update */
    /* How long the server may wait before it answers; the call's time counts beside it. Who waits
     * anyway also waits for a connection as long as the call's time. */
    uint32_t wait_ms;
    unsigned char request_id[ACTIVITY_REQUEST_ID_SIZE];
    struct payload payload; /* to be deinit'ed */
};

/* Encode the request of one method into *draft. ACTIVITY_OK, or a code with *error filled and
 * nothing in *draft. */
int draft_create(struct draft *draft, const struct activity_create_request *request,
                 struct activity_error *error);
int draft_update(struct draft *draft, const struct activity_update_request *request,
                 struct activity_error *error);
int draft_batch(struct draft *draft, const struct activity_batch_request *request,
                struct activity_error *error);
int draft_job(struct draft *draft, enum activity_method method, uint64_t job_id,
              struct activity_error *error);
int draft_find(struct draft *draft, const struct activity_find_request *request,
               struct activity_error *error);
int draft_record(struct draft *draft, const struct activity_record_request *request,
                 struct activity_error *error);
int draft_health(struct draft *draft, const char *service, struct activity_error *error);
int draft_users(struct draft *draft, const struct activity_users_request *request,
                struct activity_error *error);
int draft_page(struct draft *draft, enum activity_method method,
               const struct activity_index_page *page, struct activity_error *error);
int draft_parked(struct draft *draft, enum activity_method method, uint64_t park_id,
                 struct activity_error *error);
int draft_empty(struct draft *draft, enum activity_method method, struct activity_error *error);
int draft_wait(struct draft *draft, const struct activity_wait_request *request,
               struct activity_error *error);
int draft_visible(struct draft *draft, const struct activity_visible_request *request,
                  struct activity_error *error);
int draft_changes(struct draft *draft, const struct activity_changes_request *request,
                  struct activity_error *error);
int draft_raw(struct draft *draft, const struct activity_raw_request *request,
              struct activity_error *error);

/* Makes a call of a draft; NULL with *error filled. */
struct call *draft_call(const struct draft *draft, const struct envelope *envelope,
                        struct activity_error *error);

/* What came of a call; frees it. *result is NULL after an error. */
int call_conclude_take(struct activity_client *client, struct call *call, activity_result **result,
                       struct activity_error *error);

/* Makes the call and waits for its end. */
int call_run_take(struct activity_client *client, struct call *call, activity_result **result,
                  struct activity_error *error);

/* Makes the call, waits for its end and deinits the draft. `result` and `error` may be NULL. */
int draft_run_take(struct draft *draft, struct activity_client *client,
                   const struct activity_call_options *options, activity_result **result,
                   struct activity_error *error);

#endif
