/* The functions that wait for their answer. */
#include <activity_admin.h>

#include "client/lib/error.h"
#include "client/lib/method.h"
#include "client/lib/result.h"

int activity_create(activity_client *client, const struct activity_create_request *request,
                    const struct activity_call_options *options, struct activity_created *created,
                    struct activity_error *error)
{
    struct draft draft;
    activity_result *result = NULL;
    int code = draft_create(&draft, request, error);
    if (code == ACTIVITY_OK) {
        code = draft_run_take(&draft, client, options, &result, error);
    }
    if (created != NULL) {
        *created =
            code == ACTIVITY_OK ? *activity_result_created(result) : (struct activity_created){0};
    }
    activity_result_free(result);
    return code;
}

int activity_update(activity_client *client, const struct activity_update_request *request,
                    const struct activity_call_options *options, struct activity_updated *updated,
                    struct activity_error *error)
{
    struct draft draft;
    activity_result *result = NULL;
    int code = draft_update(&draft, request, error);
    if (code == ACTIVITY_OK) {
        code = draft_run_take(&draft, client, options, &result, error);
    }
    if (updated != NULL) {
        *updated =
            code == ACTIVITY_OK ? *activity_result_updated(result) : (struct activity_updated){0};
    }
    activity_result_free(result);
    return code;
}

int activity_destroy(activity_client *client, uint64_t job_id,
                     const struct activity_call_options *options,
                     enum activity_disposition *disposition, struct activity_error *error)
{
    struct draft draft;
    activity_result *result = NULL;
    int code = draft_job(&draft, ACTIVITY_METHOD_DESTROY, job_id, error);
    if (code == ACTIVITY_OK) {
        code = draft_run_take(&draft, client, options, &result, error);
    }
    if (disposition != NULL) {
        *disposition =
            code == ACTIVITY_OK ? *activity_result_destroyed(result) : ACTIVITY_DISPOSITION_NONE;
    }
    activity_result_free(result);
    return code;
}

int activity_record_changes(activity_client *client, const struct activity_record_request *request,
                            const struct activity_call_options *options,
                            struct activity_recorded *recorded, struct activity_error *error)
{
    struct draft draft;
    activity_result *result = NULL;
    int code = draft_record(&draft, request, error);
    if (code == ACTIVITY_OK) {
        code = draft_run_take(&draft, client, options, &result, error);
    }
    if (recorded != NULL) {
        *recorded =
            code == ACTIVITY_OK ? *activity_result_recorded(result) : (struct activity_recorded){0};
    }
    activity_result_free(result);
    return code;
}

int activity_get_state_hash(activity_client *client, const struct activity_call_options *options,
                            struct activity_state_hash *hash, struct activity_error *error)
{
    struct draft draft;
    activity_result *result = NULL;
    int code = draft_empty(&draft, ACTIVITY_METHOD_GET_STATE_HASH, error);
    if (code == ACTIVITY_OK) {
        code = draft_run_take(&draft, client, options, &result, error);
    }
    if (hash != NULL) {
        *hash = code == ACTIVITY_OK ? *activity_result_state_hash(result)
                                    : (struct activity_state_hash){0};
    }
    activity_result_free(result);
    return code;
}

static int decide(activity_client *client, enum activity_method method, uint64_t park_id,
                  const struct activity_call_options *options, uint32_t *changes,
                  struct activity_error *error)
{
    struct draft draft;
    activity_result *result = NULL;
    int code = draft_parked(&draft, method, park_id, error);
    if (code == ACTIVITY_OK) {
        code = draft_run_take(&draft, client, options, &result, error);
    }
    if (changes != NULL) {
        *changes = code == ACTIVITY_OK ? result_decided_changes(result) : 0;
    }
    activity_result_free(result);
    return code;
}

int activity_retry_parked(activity_client *client, uint64_t park_id,
                          const struct activity_call_options *options, uint32_t *changes,
                          struct activity_error *error)
{
    return decide(client, ACTIVITY_METHOD_RETRY_PARKED, park_id, options, changes, error);
}

int activity_discard_parked(activity_client *client, uint64_t park_id,
                            const struct activity_call_options *options, uint32_t *changes,
                            struct activity_error *error)
{
    return decide(client, ACTIVITY_METHOD_DISCARD_PARKED, park_id, options, changes, error);
}

/* The rest hand the result on. One that failed to be drafted has none. */
static int run(struct draft *draft, int code, activity_client *client,
               const struct activity_call_options *options, activity_result **result,
               struct activity_error *error)
{
    if (code != ACTIVITY_OK) {
        if (result != NULL) {
            *result = NULL;
        }
        return code;
    }
    return draft_run_take(draft, client, options, result, error);
}

int activity_batch_update(activity_client *client, const struct activity_batch_request *request,
                          const struct activity_call_options *options, activity_result **result,
                          struct activity_error *error)
{
    struct draft draft;
    int code = draft_batch(&draft, request, error);
    return run(&draft, code, client, options, result, error);
}

int activity_get(activity_client *client, uint64_t job_id,
                 const struct activity_call_options *options, activity_result **result,
                 struct activity_error *error)
{
    struct draft draft;
    int code = draft_job(&draft, ACTIVITY_METHOD_GET, job_id, error);
    return run(&draft, code, client, options, result, error);
}

int activity_find(activity_client *client, const struct activity_find_request *request,
                  const struct activity_call_options *options, activity_result **result,
                  struct activity_error *error)
{
    struct draft draft;
    int code = draft_find(&draft, request, error);
    return run(&draft, code, client, options, result, error);
}

int activity_get_result(activity_client *client, uint64_t job_id,
                        const struct activity_call_options *options, activity_result **result,
                        struct activity_error *error)
{
    struct draft draft;
    int code = draft_job(&draft, ACTIVITY_METHOD_GET_RESULT, job_id, error);
    return run(&draft, code, client, options, result, error);
}

int activity_check_health(activity_client *client, const char *service,
                          const struct activity_call_options *options, activity_result **result,
                          struct activity_error *error)
{
    struct draft draft;
    int code = draft_health(&draft, service, error);
    return run(&draft, code, client, options, result, error);
}

int activity_get_server_info(activity_client *client, const struct activity_call_options *options,
                             activity_result **result, struct activity_error *error)
{
    struct draft draft;
    int code = draft_empty(&draft, ACTIVITY_METHOD_GET_SERVER_INFO, error);
    return run(&draft, code, client, options, result, error);
}

int activity_list_users(activity_client *client, const struct activity_users_request *request,
                        const struct activity_call_options *options, activity_result **result,
                        struct activity_error *error)
{
    struct draft draft;
    int code = draft_users(&draft, request, error);
    return run(&draft, code, client, options, result, error);
}

int activity_read_changes(activity_client *client, const struct activity_changes_request *request,
                          const struct activity_call_options *options, activity_result **result,
                          struct activity_error *error)
{
    struct draft draft;
    int code = draft_changes(&draft, request, error);
    return run(&draft, code, client, options, result, error);
}

int activity_get_index_status(activity_client *client, const struct activity_call_options *options,
                              activity_result **result, struct activity_error *error)
{
    struct draft draft;
    int code = draft_empty(&draft, ACTIVITY_METHOD_GET_INDEX_STATUS, error);
    return run(&draft, code, client, options, result, error);
}

int activity_list_index_batches(activity_client *client, const struct activity_index_page *page,
                                const struct activity_call_options *options,
                                activity_result **result, struct activity_error *error)
{
    struct draft draft;
    int code = draft_page(&draft, ACTIVITY_METHOD_LIST_INDEX_BATCHES, page, error);
    return run(&draft, code, client, options, result, error);
}

int activity_list_parked_documents(activity_client *client, const struct activity_index_page *page,
                                   const struct activity_call_options *options,
                                   activity_result **result, struct activity_error *error)
{
    struct draft draft;
    int code = draft_page(&draft, ACTIVITY_METHOD_LIST_PARKED, page, error);
    return run(&draft, code, client, options, result, error);
}

int activity_drain(activity_client *client, const struct activity_call_options *options,
                   struct activity_error *error)
{
    struct draft draft;
    int code = draft_empty(&draft, ACTIVITY_METHOD_DRAIN, error);
    return run(&draft, code, client, options, NULL, error);
}

int activity_reload(activity_client *client, const struct activity_call_options *options,
                    activity_result **result, struct activity_error *error)
{
    struct draft draft;
    int code = draft_empty(&draft, ACTIVITY_METHOD_RELOAD, error);
    return run(&draft, code, client, options, result, error);
}

int activity_call(activity_client *client, const char *method, struct activity_bytes payload,
                  const struct activity_call_options *options, activity_result **result,
                  struct activity_error *error)
{
    struct draft draft;
    const struct activity_raw_request request = {.method = method, .payload = payload};
    int code = draft_raw(&draft, &request, error);
    return run(&draft, code, client, options, result, error);
}
