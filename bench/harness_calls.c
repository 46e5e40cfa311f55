#include "bench/harness_calls.h"

#include "bench/harness_measure.h"
#include "tests/e2e/harness.h"

/* One request of its kind; `n` counts them. */
static int submit(const struct calls *calls, activity_window *window, enum calls_work work,
                  uint64_t n, uint64_t *seed, struct activity_error *error)
{
    static uint64_t ids[CALLS_BATCH];
    static uint8_t percents[CALLS_BATCH];
    uint64_t tag = measure_ns();
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    call.timeout_ms = 30000;
    switch (work) {
    case CALLS_CREATE: {
        const struct activity_create_request request = {.type = "batchUpdate", .title = "bench"};
        return activity_submit_create(window, &request, &call, tag, error);
    }
    case CALLS_BATCH_UPDATE: {
        uint64_t first = random_next(seed) % (calls->job_count - CALLS_BATCH);
        for (size_t i = 0; i < CALLS_BATCH; i++) {
            ids[i] = calls->jobs[first + i];
            percents[i] = (uint8_t)(n % 100);
        }
        const struct activity_batch_request request = {ids, percents, CALLS_BATCH};
        return activity_submit_batch_update(window, &request, &call, tag, error);
    }
    case CALLS_UPDATE: {
        const struct activity_update_request request = {
            .job_id = calls->jobs[random_next(seed) % calls->job_count],
            .set_percent = true,
            .percent = (uint32_t)(n % 100)};
        return activity_submit_update(window, &request, &call, tag, error);
    }
    case CALLS_GET:
        return activity_submit_get(window, calls->jobs[random_next(seed) % calls->job_count], &call,
                                   tag, error);
    }
    return -1;
}

/* Returns 1 when an answer was taken, 0 when none came, -1 with the error. */
static int take(struct calls *calls, activity_window *window, enum calls_work work,
                struct activity_error *error)
{
    struct activity_completion done;
    if (activity_next(window, 1000, &done) != ACTIVITY_NEXT_DONE) {
        return 0;
    }
    if (done.error.code != ACTIVITY_OK) {
        *error = done.error;
        return -1;
    }
    if (work == CALLS_CREATE && calls->job_count < calls->jobs_max) {
        calls->jobs[calls->job_count++] = activity_result_created(done.result)->job_id;
    }
    if (calls->latencies != NULL && calls->latency_count < calls->latencies_max) {
        calls->latencies[calls->latency_count++] = measure_ns() - done.tag;
    }
    activity_result_free(done.result);
    return 1;
}

int calls_run(struct calls *calls, enum calls_work work, size_t in_flight, uint32_t milliseconds,
              uint64_t most, uint64_t *answered, struct activity_error *error)
{
    activity_window *window = activity_window_new(calls->client, in_flight, error);
    int code = window == NULL ? -1 : 0;
    uint64_t seed = 88172645463325252u;
    uint64_t end = measure_ns() + (uint64_t)milliseconds * 1000000u;
    uint64_t sent = 0;
    *answered = 0;
    calls->latency_count = 0;
    while (code >= 0 && (*answered < sent || (measure_ns() < end && sent < most))) {
        while (activity_window_used(window) < in_flight && measure_ns() < end && sent < most) {
            if (submit(calls, window, work, sent, &seed, error) != ACTIVITY_OK) {
                activity_window_free(window);
                return -1;
            }
            sent++;
        }
        code = take(calls, window, work, error);
        *answered += code > 0;
    }
    activity_window_free(window);
    return code < 0 ? -1 : 0;
}
