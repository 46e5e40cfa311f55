#include "bench/harness_acked.h"

#include <activity_index.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "activity/v1/change_service.pb-c.h"
#include "bench/harness_measure.h"

enum { WAIT_MS = 20000, CALL_MS = 30000, LATENCIES = 1 << 18 };

/* One request on its way: recorded, then waited for. Its number is the tag of both calls. */
struct slot {
    uint64_t sent_ns;
    uint64_t ticket;
    bool used;
};

struct run {
    const struct acked_options *options;
    activity_window *window;
    struct slot slots[ACKED_OPEN_MAX];
    uint32_t recording;
    uint64_t sent; /* changes */
    uint64_t acked;
    uint64_t *latencies;
    size_t latency_count;
};

static uint64_t numbers; /* of changes, over all runs */

static void succeed(int code, const struct activity_error *error, const char *what)
{
    if (code != ACTIVITY_OK) {
        (void)fprintf(stderr, "%s: %s %s\n", what, error->reason, error->message);
        exit(1);
    }
}

static struct activity_call_options call_options(void)
{
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    call.timeout_ms = CALL_MS;
    return call;
}

/* ---- Calls ---- */

static void record(struct run *run, struct documents_walk *walk)
{
    static const char *const all = "*";
    static struct activity_document_change changes[ACKED_CHANGES_MAX];
    static char ids[ACKED_CHANGES_MAX][DOCUMENT_ID_BYTES];
    static char texts[ACKED_CHANGES_MAX][DOCUMENT_BYTES_MAX];
    const struct acked_options *options = run->options;
    struct activity_error error;
    uint64_t place = 0;
    while (run->slots[place].used) {
        place++;
    }
    for (uint32_t i = 0; i < options->per_request; i++) {
        uint32_t document = documents_walk_next(walk);
        bool patch = options->fragments && !options->whole;
        (void)documents_id(document, ids[i]);
        struct activity_bytes text = {texts[i],
                                      patch ? documents_patch(document, ++numbers, texts[i])
                                            : documents_whole(document, ++numbers, texts[i])};
        changes[i] = (struct activity_document_change){.model = options->model,
                                                       .document_id = ids[i],
                                                       .affected_model = "document",
                                                       .groups = &all,
                                                       .group_count = 1};
        *(options->fragments ? &changes[i].merge_patch : &changes[i].json) = text;
    }
    const struct activity_record_request request = {.changes = changes,
                                                    .change_count = options->per_request};
    struct activity_call_options call = call_options();
    run->slots[place] = (struct slot){.sent_ns = measure_ns(), .used = true};
    succeed(activity_submit_record_changes(run->window, &request, &call, place, &error), &error,
            "record");
    run->recording++;
    run->sent += options->per_request;
}

static void wait_for(struct run *run, uint64_t place)
{
    Activity__V1__WaitVisibleRequest message = ACTIVITY__V1__WAIT_VISIBLE_REQUEST__INIT;
    uint8_t payload[64];
    struct activity_error error;
    message.ticket = run->slots[place].ticket;
    message.stage = ACTIVITY__V1__VISIBLE_STAGE__VISIBLE_STAGE_ACKED;
    message.wait_ms = WAIT_MS;
    assert_true(activity__v1__wait_visible_request__get_packed_size(&message) <= sizeof payload);
    const struct activity_raw_request request = {
        "activity.v1.ChangeService/WaitVisible",
        {payload, activity__v1__wait_visible_request__pack(&message, payload)}};
    struct activity_call_options call = call_options();
    succeed(activity_submit_call(run->window, &request, &call, place, &error), &error, "wait");
}

static bool is_reached(const activity_result *result)
{
    struct activity_bytes payload = activity_result_payload(result);
    Activity__V1__WaitVisibleResponse *message =
        activity__v1__wait_visible_response__unpack(NULL, payload.size, payload.data);
    bool reached = message != NULL && message->reached;
    activity__v1__wait_visible_response__free_unpacked(message, NULL);
    return reached;
}

static void take(struct run *run, const struct activity_completion *done)
{
    struct slot *slot = &run->slots[done->tag];
    succeed((int)done->error.code, &done->error, "answer");
    if (done->method == ACTIVITY_METHOD_RECORD_CHANGES) {
        run->recording--;
        slot->ticket = activity_result_recorded(done->result)->ticket;
        wait_for(run, done->tag);
    } else if (is_reached(done->result)) {
        run->acked += run->options->per_request;
        if (run->latency_count < LATENCIES) {
            run->latencies[run->latency_count++] = measure_ns() - slot->sent_ns;
        }
        slot->used = false;
    } else {
        wait_for(run, done->tag);
    }
    activity_result_free(done->result);
}

/* ---- A window ---- */

struct written {
    uint64_t documents;
    uint64_t batches;
};

static struct written written_so_far(activity_client *root)
{
    struct activity_error error;
    activity_result *result = NULL;
    succeed(activity_get_index_status(root, NULL, &result, &error), &error, "index status");
    const struct activity_index_status *status = activity_result_index_status(result);
    struct written written = {status->acked_documents, status->batches};
    activity_result_free(result);
    return written;
}

static bool may_send(const struct run *run, uint64_t began)
{
    const struct acked_options *options = run->options;
    return run->recording < options->in_flight &&
           activity_window_used(run->window) < ACKED_OPEN_MAX &&
           (options->per_second == 0 ||
            run->sent < (measure_ns() - began) * options->per_second / 1000000000u);
}

struct acked_result acked_run(const struct acked_options *options, struct documents_walk *walk,
                              uint32_t milliseconds, uint64_t most)
{
    struct activity_error error;
    struct run *run = calloc(1, sizeof *run);
    assert_non_null(run);
    assert_in_range(options->per_request, 1, ACKED_CHANGES_MAX);
    run->options = options;
    run->latencies = malloc(LATENCIES * sizeof run->latencies[0]);
    run->window = activity_window_new(options->client, ACKED_OPEN_MAX, &error);
    assert_true(run->latencies != NULL && run->window != NULL);
    struct written before = written_so_far(options->root);
    uint64_t began = measure_ns();
    uint64_t end = began + (uint64_t)milliseconds * 1000000u;
    bool more = true;
    while (more || activity_window_used(run->window) > 0) {
        while (more && may_send(run, began)) {
            record(run, walk);
            more = run->sent < most && measure_ns() < end;
        }
        more = more && measure_ns() < end;
        struct activity_completion done;
        if (activity_next(run->window, 1, &done) == ACTIVITY_NEXT_DONE) {
            take(run, &done);
        } else if (activity_window_used(run->window) == 0 && more) {
            sleep_ms(1);
        }
    }
    double seconds = (double)(measure_ns() - began) / 1e9;
    struct written after = written_so_far(options->root);
    struct acked_result result = {
        .changes = (double)run->acked / seconds,
        .documents = (double)(after.documents - before.documents) / seconds,
        .batches = (double)(after.batches - before.batches) / seconds,
        .p50_ms = (double)latency_at(run->latencies, run->latency_count, 0.5) / 1e6,
        .p99_ms = (double)latency_at(run->latencies, run->latency_count, 0.99) / 1e6};
    assert_true(run->acked == run->sent);
    activity_window_free(run->window);
    free(run->latencies);
    free(run);
    return result;
}
