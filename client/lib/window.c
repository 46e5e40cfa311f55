/* Many calls in flight. */
#include <stdlib.h>

#include "client/lib/clock.h"
#include "client/lib/error.h"
#include "client/lib/method.h"

struct activity_window {
    activity_client *client;
    size_t size;
    size_t used;
    struct waiter waiter;
};

enum { WINDOW_MAX = 65536 };

activity_window *activity_window_new(activity_client *client, size_t size,
                                     struct activity_error *error)
{
    if (size == 0 || size > WINDOW_MAX) {
        error_bad_field(error, "size", "is not 1 to 65,536");
        return NULL;
    }
    activity_window *window = calloc(1, sizeof *window);
    if (window == NULL) {
        error_no_memory(error);
        return NULL;
    }
    window->client = client;
    window->size = size;
    waiter_init(&window->waiter);
    error_clear(error);
    return window;
}

void activity_window_free(activity_window *window)
{
    if (window != NULL) {
        client_abandon(window->client, &window->waiter);
        waiter_deinit(&window->waiter);
        free(window);
    }
}

size_t activity_window_used(const activity_window *window)
{
    return window->used;
}

/* Begins a call and deinits its draft. */
static int submit(activity_window *window, struct draft *draft,
                  const struct activity_call_options *options, uint64_t tag,
                  struct activity_error *error)
{
    struct activity_error local;
    error = error == NULL ? &local : error;
    struct envelope envelope;
    int code = envelope_init(&envelope, window->client, options, error);
    struct call *call = code == ACTIVITY_OK ? draft_call(draft, &envelope, error) : NULL;
    envelope_deinit(&envelope);
    payload_deinit(&draft->payload);
    if (call == NULL) {
        return (int)error->code;
    }
    call->tag = tag;
    window->used++;
    client_begin_take(window->client, &window->waiter, call);
    return error_clear(error);
}

/* Looked at before anything is encoded. */
static int check_room(const activity_window *window, struct activity_error *error)
{
    return window->used < window->size
               ? ACTIVITY_OK
               : error_set(error, ACTIVITY_RESOURCE_EXHAUSTED, "WINDOW_FULL",
                           "%zu calls are in flight: take a completion first", window->used);
}

int activity_submit_create(activity_window *window, const struct activity_create_request *request,
                           const struct activity_call_options *options, uint64_t tag,
                           struct activity_error *error)
{
    struct draft draft;
    int code = check_room(window, error);
    if (code == ACTIVITY_OK) {
        code = draft_create(&draft, request, error);
    }
    return code != ACTIVITY_OK ? code : submit(window, &draft, options, tag, error);
}

int activity_submit_update(activity_window *window, const struct activity_update_request *request,
                           const struct activity_call_options *options, uint64_t tag,
                           struct activity_error *error)
{
    struct draft draft;
    int code = check_room(window, error);
    if (code == ACTIVITY_OK) {
        code = draft_update(&draft, request, error);
    }
    return code != ACTIVITY_OK ? code : submit(window, &draft, options, tag, error);
}

int activity_submit_batch_update(activity_window *window,
                                 const struct activity_batch_request *request,
                                 const struct activity_call_options *options, uint64_t tag,
                                 struct activity_error *error)
{
    struct draft draft;
    int code = check_room(window, error);
    if (code == ACTIVITY_OK) {
        code = draft_batch(&draft, request, error);
    }
    return code != ACTIVITY_OK ? code : submit(window, &draft, options, tag, error);
}

struct job_call {
    enum activity_method method;
    uint64_t job_id;
    uint64_t tag;
};

static int submit_job(activity_window *window, const struct job_call *job,
                      const struct activity_call_options *options, struct activity_error *error)
{
    struct draft draft;
    int code = check_room(window, error);
    if (code == ACTIVITY_OK) {
        code = draft_job(&draft, job->method, job->job_id, error);
    }
    return code != ACTIVITY_OK ? code : submit(window, &draft, options, job->tag, error);
}

int activity_submit_destroy(activity_window *window, uint64_t job_id,
                            const struct activity_call_options *options, uint64_t tag,
                            struct activity_error *error)
{
    const struct job_call job = {ACTIVITY_METHOD_DESTROY, job_id, tag};
    return submit_job(window, &job, options, error);
}

int activity_submit_get(activity_window *window, uint64_t job_id,
                        const struct activity_call_options *options, uint64_t tag,
                        struct activity_error *error)
{
    const struct job_call job = {ACTIVITY_METHOD_GET, job_id, tag};
    return submit_job(window, &job, options, error);
}

int activity_submit_get_result(activity_window *window, uint64_t job_id,
                               const struct activity_call_options *options, uint64_t tag,
                               struct activity_error *error)
{
    const struct job_call job = {ACTIVITY_METHOD_GET_RESULT, job_id, tag};
    return submit_job(window, &job, options, error);
}

int activity_submit_find(activity_window *window, const struct activity_find_request *request,
                         const struct activity_call_options *options, uint64_t tag,
                         struct activity_error *error)
{
    struct draft draft;
    int code = check_room(window, error);
    if (code == ACTIVITY_OK) {
        code = draft_find(&draft, request, error);
    }
    return code != ACTIVITY_OK ? code : submit(window, &draft, options, tag, error);
}

int activity_submit_record_changes(activity_window *window,
                                   const struct activity_record_request *request,
                                   const struct activity_call_options *options, uint64_t tag,
                                   struct activity_error *error)
{
    struct draft draft;
    int code = check_room(window, error);
    if (code == ACTIVITY_OK) {
        code = draft_record(&draft, request, error);
    }
    return code != ACTIVITY_OK ? code : submit(window, &draft, options, tag, error);
}

int activity_submit_check_health(activity_window *window, const char *service,
                                 const struct activity_call_options *options, uint64_t tag,
                                 struct activity_error *error)
{
    struct draft draft;
    int code = check_room(window, error);
    if (code == ACTIVITY_OK) {
        code = draft_health(&draft, service, error);
    }
    return code != ACTIVITY_OK ? code : submit(window, &draft, options, tag, error);
}

int activity_submit_call(activity_window *window, const struct activity_raw_request *request,
                         const struct activity_call_options *options, uint64_t tag,
                         struct activity_error *error)
{
    struct draft draft;
    int code = check_room(window, error);
    if (code == ACTIVITY_OK) {
        code = draft_raw(&draft, request, error);
    }
    return code != ACTIVITY_OK ? code : submit(window, &draft, options, tag, error);
}

enum activity_next_outcome activity_next(activity_window *window, uint32_t timeout_ms,
                                         struct activity_completion *completion)
{
    *completion = (struct activity_completion){0};
    if (window->used == 0) {
        return ACTIVITY_NEXT_IDLE;
    }
    struct call *call = client_wait(window->client, &window->waiter, clock_now_ms() + timeout_ms);
    if (call == NULL) {
        return ACTIVITY_NEXT_TIMEOUT;
    }
    window->used--;
    completion->tag = call->tag;
    completion->method = call->method;
    call_conclude_take(window->client, call, &completion->result, &completion->error);
    return ACTIVITY_NEXT_DONE;
}
