#include "client/lib/method.h"

#include <stdlib.h>
#include <string.h>

#include "client/lib/clock.h"
#include "client/lib/error.h"
#include "client/lib/result.h"
#include "proto/frame.h"
#include "proto/limits.h"

/* Every one of these may be executed twice with the effect of once, so all are repeated. */
static const char *const method_names[] = {
    [ACTIVITY_METHOD_CREATE] = "activity.v1.ActivityService/CreateActivity",
    [ACTIVITY_METHOD_UPDATE] = "activity.v1.ActivityService/UpdateActivity",
    [ACTIVITY_METHOD_BATCH_UPDATE] = "activity.v1.ActivityService/BatchUpdateActivities",
    [ACTIVITY_METHOD_DESTROY] = "activity.v1.ActivityService/DestroyActivity",
    [ACTIVITY_METHOD_GET] = "activity.v1.ActivityService/GetActivity",
    [ACTIVITY_METHOD_FIND] = "activity.v1.ActivityService/FindActivities",
    [ACTIVITY_METHOD_GET_RESULT] = "activity.v1.ActivityService/GetJobResult",
    [ACTIVITY_METHOD_RECORD_CHANGES] = "activity.v1.ChangeService/RecordModelChanges",
    [ACTIVITY_METHOD_CHECK_HEALTH] = "activity.v1.HealthService/Check",
    [ACTIVITY_METHOD_GET_SERVER_INFO] = "activity.v1.AdminService/GetServerInfo",
    [ACTIVITY_METHOD_LIST_USERS] = "activity.v1.AdminService/ListPresentUsers",
    [ACTIVITY_METHOD_DRAIN] = "activity.v1.AdminService/Drain",
    [ACTIVITY_METHOD_GET_STATE_HASH] = "activity.v1.AdminService/GetStateHash",
    [ACTIVITY_METHOD_WAIT] = "activity.v1.ActivityService/WaitActivity",
    [ACTIVITY_METHOD_WAIT_VISIBLE] = "activity.v1.ChangeService/WaitVisible",
    [ACTIVITY_METHOD_READ_CHANGES] = "activity.v1.ChangeService/ReadChanges",
    [ACTIVITY_METHOD_GET_INDEX_STATUS] = "activity.v1.AdminService/GetIndexStatus",
    [ACTIVITY_METHOD_LIST_INDEX_BATCHES] = "activity.v1.AdminService/ListIndexBatches",
    [ACTIVITY_METHOD_LIST_PARKED] = "activity.v1.AdminService/ListParkedDocuments",
    [ACTIVITY_METHOD_RETRY_PARKED] = "activity.v1.AdminService/RetryParked",
    [ACTIVITY_METHOD_DISCARD_PARKED] = "activity.v1.AdminService/DiscardParked",
    [ACTIVITY_METHOD_RELOAD] = "activity.v1.AdminService/Reload",
};

/* --- Drafts --- */

/* A draft that failed holds nothing. */
static int drafted(struct draft *draft, int code)
{
    if (code != ACTIVITY_OK) {
        payload_deinit(&draft->payload);
    }
    return code;
}

/* The caller's request_id, or a new one. */
static int choose_request_id(struct draft *draft, const unsigned char *given,
                             struct activity_error *error)
{
    static const unsigned char none[ACTIVITY_REQUEST_ID_SIZE];
    if (given != NULL && memcmp(given, none, sizeof none) != 0) {
        memcpy(draft->request_id, given, sizeof draft->request_id);
        return ACTIVITY_OK;
    }
    if (activity_request_id_new(draft->request_id) != ACTIVITY_OK) {
        return error_set(error, ACTIVITY_UNAVAILABLE, "CLIENT_INTERNAL",
                         "the system gives no random numbers");
    }
    return ACTIVITY_OK;
}

int draft_create(struct draft *draft, const struct activity_create_request *request,
                 struct activity_error *error)
{
    *draft = (struct draft){.method = ACTIVITY_METHOD_CREATE};
    int code = choose_request_id(draft, request == NULL ? NULL : request->request_id, error);
    if (code == ACTIVITY_OK) {
        code = request_create(&draft->payload, request, draft->request_id, error);
    }
    return drafted(draft, code);
}

int draft_update(struct draft *draft, const struct activity_update_request *request,
                 struct activity_error *error)
{
    *draft = (struct draft){.method = ACTIVITY_METHOD_UPDATE};
    return drafted(draft, request_update(&draft->payload, request, error));
}

int draft_batch(struct draft *draft, const struct activity_batch_request *request,
                struct activity_error *error)
{
    *draft = (struct draft){.method = ACTIVITY_METHOD_BATCH_UPDATE};
    int code = request_batch(&draft->payload, request, error);
    if (code == ACTIVITY_OK) {
        draft->batch_count = (uint32_t)request->count;
    }
    return drafted(draft, code);
}

int draft_job(struct draft *draft, enum activity_method method, uint64_t job_id,
              struct activity_error *error)
{
    *draft = (struct draft){.method = method};
    return drafted(draft, request_job(&draft->payload, job_id, error));
}

int draft_find(struct draft *draft, const struct activity_find_request *request,
               struct activity_error *error)
{
    *draft = (struct draft){.method = ACTIVITY_METHOD_FIND};
    return drafted(draft, request_find(&draft->payload, request, error));
}

int draft_record(struct draft *draft, const struct activity_record_request *request,
                 struct activity_error *error)
{
    *draft = (struct draft){.method = ACTIVITY_METHOD_RECORD_CHANGES};
    int code = choose_request_id(draft, request == NULL ? NULL : request->request_id, error);
    if (code == ACTIVITY_OK) {
        code = request_record(&draft->payload, request, draft->request_id, error);
    }
    return drafted(draft, code);
}

int draft_health(struct draft *draft, const char *service, struct activity_error *error)
{
    *draft = (struct draft){.method = ACTIVITY_METHOD_CHECK_HEALTH};
    return drafted(draft, request_health(&draft->payload, service, error));
}

int draft_users(struct draft *draft, const struct activity_users_request *request,
                struct activity_error *error)
{
    *draft = (struct draft){.method = ACTIVITY_METHOD_LIST_USERS};
    return drafted(draft, request_users(&draft->payload, request, error));
}

int draft_page(struct draft *draft, enum activity_method method,
               const struct activity_index_page *page, struct activity_error *error)
{
    static const struct activity_index_page first = {0};
    page = page == NULL ? &first : page;
    *draft = (struct draft){.method = method};
    return drafted(draft, request_page(&draft->payload, page->page_size, page->page_token, error));
}

int draft_parked(struct draft *draft, enum activity_method method, uint64_t park_id,
                 struct activity_error *error)
{
    *draft = (struct draft){.method = method};
    return drafted(draft, request_parked(&draft->payload, park_id, error));
}

int draft_empty(struct draft *draft, enum activity_method method, struct activity_error *error)
{
    *draft = (struct draft){.method = method};
    return error_clear(error);
}

/* What a server may wait at most: one that refuses a longer wait does so at once. */
static uint32_t bounded_wait_ms(uint32_t wait_ms)
{
    return wait_ms < LIMIT_WAIT_MS ? wait_ms : LIMIT_WAIT_MS;
}

int draft_wait(struct draft *draft, const struct activity_wait_request *request,
               struct activity_error *error)
{
    *draft = (struct draft){.method = ACTIVITY_METHOD_WAIT};
    int code = request_wait(&draft->payload, request, error);
    if (code == ACTIVITY_OK) {
        draft->wait_ms = bounded_wait_ms(request->wait_ms);
    }
    return drafted(draft, code);
}

int draft_visible(struct draft *draft, const struct activity_visible_request *request,
                  struct activity_error *error)
{
    *draft = (struct draft){.method = ACTIVITY_METHOD_WAIT_VISIBLE};
    int code = request_visible(&draft->payload, request, error);
    if (code == ACTIVITY_OK) {
        draft->wait_ms = bounded_wait_ms(request->wait_ms);
    }
    return drafted(draft, code);
}

int draft_changes(struct draft *draft, const struct activity_changes_request *request,
                  struct activity_error *error)
{
    *draft = (struct draft){.method = ACTIVITY_METHOD_READ_CHANGES};
    int code = request_changes(&draft->payload, request, error);
    if (code == ACTIVITY_OK) {
        draft->wait_ms = bounded_wait_ms(request->wait_ms);
    }
    return drafted(draft, code);
}

int draft_raw(struct draft *draft, const struct activity_raw_request *request,
              struct activity_error *error)
{
    *draft = (struct draft){.method = ACTIVITY_METHOD_CALL};
    if (request == NULL || request->method == NULL) {
        return error_bad_field(error, "method", "is missing");
    }
    draft->name = request->method;
    return drafted(draft, request_raw(&draft->payload, request->payload, error));
}

/* --- Calls --- */

struct call *draft_call(const struct draft *draft, const struct envelope *envelope,
                        struct activity_error *error)
{
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        error_no_memory(error);
        return NULL;
    }
    bool raw = draft->method == ACTIVITY_METHOD_CALL;
    call->method = draft->method;
    call->batch_count = draft->batch_count;
    call->begun_ms = clock_now_ms();
    call->repeatable = !envelope->never_repeat && (!raw || envelope->repeat);
    memcpy(call->request_id, draft->request_id, sizeof call->request_id);
    const char *name = raw ? draft->name : method_names[draft->method];
    if (envelope_frame(envelope, name, &draft->payload, call, error) != ACTIVITY_OK) {
        call_free(call);
        return NULL;
    }
    if (draft->wait_ms > 0) {
        call->connect_timeout_ms = envelope->timeout_ms;
        call->deadline_ms += draft->wait_ms;
    }
    return call;
}

static int conclude_reply(struct call *call, activity_result **result, struct activity_error *error)
{
    struct frame_reply reply;
    struct frame_error fault;
    struct view bytes = {call->reply, call->reply_length};
    if (frame_reply_decode(bytes, &reply, &fault) != 0) {
        return error_set(error, ACTIVITY_INTERNAL, "MALFORMED_REPLY",
                         "the server's answer is not understood: %s %s", fault.field, fault.rule);
    }
    int code = error_from_reply(error, &reply);
    if (code != ACTIVITY_OK) {
        return code;
    }
    const struct result_question question = {
        .method = call->method, .batch_count = call->batch_count, .request_id = call->request_id};
    uint8_t *taken = call->reply;
    call->reply = NULL;
    return result_decode_take(&question, &reply, taken, result, error);
}

static int conclude_failure(struct activity_client *client, const struct call *call,
                            struct activity_error *error)
{
    char reason[900] = "";
    switch (call->verdict) {
    case VERDICT_REPLY: /* handled by conclude_reply() */
    case VERDICT_NO_MEMORY:
        return error_no_memory(error);
    case VERDICT_NOT_CONNECTED:
        client_explain(client, reason, sizeof reason);
        return error_set(error, ACTIVITY_UNAVAILABLE, "NOT_CONNECTED",
                         "no server can be reached: %s", reason);
    case VERDICT_EXPIRED:
        return error_set(error, ACTIVITY_DEADLINE_EXCEEDED, "EXPIRED_IN_QUEUE",
                         "the call's time was over before it could be sent; it was not executed");
    case VERDICT_UNKNOWN:
        break;
    }
    return error_set(error, ACTIVITY_DEADLINE_EXCEEDED, "OUTCOME_UNKNOWN",
                     call->unanswered
                         ? "the connection was lost before an answer came; the request may have "
                           "been executed"
                         : "no answer came in time; the request may have been executed");
}

int call_conclude_take(struct activity_client *client, struct call *call, activity_result **result,
                       struct activity_error *error)
{
    *result = NULL;
    int code = call->verdict == VERDICT_REPLY ? conclude_reply(call, result, error)
                                              : conclude_failure(client, call, error);
    if (error != NULL) {
        error->attempts = call->attempts;
        memcpy(error->request_id, call->request_id, sizeof error->request_id);
    }
    call_free(call);
    return code;
}

int call_run_take(struct activity_client *client, struct call *call, activity_result **result,
                  struct activity_error *error)
{
    struct waiter waiter;
    waiter_init(&waiter);
    client_begin_take(client, &waiter, call);
    call = client_wait(client, &waiter, UINT64_MAX);
    waiter_deinit(&waiter);
    return call_conclude_take(client, call, result, error);
}

int draft_run_take(struct draft *draft, struct activity_client *client,
                   const struct activity_call_options *options, activity_result **result,
                   struct activity_error *error)
{
    struct activity_error ignored;
    error = error == NULL ? &ignored : error;
    activity_result *unwanted = NULL;
    activity_result **to = result == NULL ? &unwanted : result;
    *to = NULL;
    struct envelope envelope;
    int code = envelope_init(&envelope, client, options, error);
    struct call *call = code == ACTIVITY_OK ? draft_call(draft, &envelope, error) : NULL;
    envelope_deinit(&envelope);
    payload_deinit(&draft->payload);
    if (call == NULL) {
        return (int)error->code;
    }
    code = call_run_take(client, call, to, error);
    activity_result_free(unwanted);
    return code;
}
