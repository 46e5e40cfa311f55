/* The functions that wait for something to happen, as long as the caller wishes: the server is
 * asked again and again, since it waits 30 s at most. */
#include <time.h>

#include "client/lib/clock.h"
#include "client/lib/error.h"
#include "client/lib/method.h"
#include "client/lib/result.h"
#include "proto/limits.h"

enum {
    EARLY_MS = 100, /* an answer that comes this much before its time comes early */
    EARLY_PAUSE_MS = 100,
};

/* One kind of waiting. */
struct long_poll {
    const void *request;
    int (*draft)(struct draft *draft, const void *request, uint32_t wait_ms,
                 struct activity_error *error);
    bool (*reached)(const activity_result *result);
};

static void sleep_ms(uint64_t ms)
{
    nanosleep(
        &(struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000},
        NULL);
}

static uint64_t left_ms(uint64_t until_ms)
{
    uint64_t now = clock_now_ms();
    return now < until_ms ? until_ms - now : 0;
}

/* How long to stay away before the server is asked again: as long as it says when it had no place
 * to wait, a moment when it has answered for another reason before the time (it may be about to
 * stop), else not at all. */
static uint64_t pause_ms(uint64_t answer_due_ms, uint32_t retry_after_ms)
{
    if (retry_after_ms > 0) {
        return retry_after_ms;
    }
    return left_ms(answer_due_ms) > EARLY_MS ? EARLY_PAUSE_MS : 0;
}

/* Asks until it is reached, fails, or until_ms has come: then *result says how far it is. */
static int poll_until(activity_client *client, const struct long_poll *poll, uint64_t until_ms,
                      const struct activity_call_options *options, activity_result **result,
                      struct activity_error *error)
{
    for (;;) {
        uint64_t left = left_ms(until_ms);
        uint32_t wait_ms = left < LIMIT_WAIT_MS ? (uint32_t)left : LIMIT_WAIT_MS;
        uint64_t answer_due_ms = clock_now_ms() + wait_ms;
        struct draft draft;
        int code = poll->draft(&draft, poll->request, wait_ms, error);
        if (code == ACTIVITY_OK) {
            code = draft_run_take(&draft, client, options, result, error);
        }
        if (code != ACTIVITY_OK || wait_ms == 0 || poll->reached(*result)) {
            return code;
        }
        uint32_t retry_after_ms = result_retry_after_ms(*result);
        uint64_t pause = pause_ms(answer_due_ms, retry_after_ms);
        left = left_ms(until_ms);
        if (left == 0 && retry_after_ms == 0) {
            return code;
        }
        activity_result_free(*result);
        *result = NULL;
        sleep_ms(pause < left ? pause : left);
    }
}

static int draft_one_wait(struct draft *draft, const void *request, uint32_t wait_ms,
                          struct activity_error *error)
{
    struct activity_wait_request one = *(const struct activity_wait_request *)request;
    one.wait_ms = wait_ms;
    return draft_wait(draft, &one, error);
}

static bool is_waited(const activity_result *result)
{
    return activity_result_waited(result)->reached;
}

static int draft_one_visible(struct draft *draft, const void *request, uint32_t wait_ms,
                             struct activity_error *error)
{
    struct activity_visible_request one = *(const struct activity_visible_request *)request;
    one.wait_ms = wait_ms;
    return draft_visible(draft, &one, error);
}

static bool is_visible(const activity_result *result)
{
    return activity_result_visible(result)->reached;
}

int activity_wait(activity_client *client, const struct activity_wait_request *request,
                  const struct activity_call_options *options, struct activity_waited *waited,
                  struct activity_error *error)
{
    activity_result *result = NULL;
    int code = ACTIVITY_INVALID_ARGUMENT;
    if (request == NULL) {
        error_bad_field(error, "request", "is NULL");
    } else {
        const struct long_poll poll = {request, draft_one_wait, is_waited};
        code =
            poll_until(client, &poll, clock_now_ms() + request->wait_ms, options, &result, error);
    }
    if (waited != NULL) {
        *waited =
            code == ACTIVITY_OK ? *activity_result_waited(result) : (struct activity_waited){0};
    }
    activity_result_free(result);
    return code;
}

int activity_wait_visible(activity_client *client, const struct activity_visible_request *request,
                          const struct activity_call_options *options,
                          struct activity_visible *visible, struct activity_error *error)
{
    activity_result *result = NULL;
    int code = ACTIVITY_INVALID_ARGUMENT;
    if (request == NULL) {
        error_bad_field(error, "request", "is NULL");
    } else {
        const struct long_poll poll = {request, draft_one_visible, is_visible};
        code =
            poll_until(client, &poll, clock_now_ms() + request->wait_ms, options, &result, error);
    }
    if (visible != NULL) {
        *visible =
            code == ACTIVITY_OK ? *activity_result_visible(result) : (struct activity_visible){0};
    }
    activity_result_free(result);
    return code;
}
