#include "bench/harness_changes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PER_REQUEST_MAX = 100, REQUESTS_KEPT = 1024, LATENCIES_KEPT = 1 << 20 };

static _Atomic uint64_t sent_ns[REQUESTS_KEPT];

void changes_sink_init(struct changes_sink *sink)
{
    memset(sink, 0, sizeof *sink);
    sink->latencies = malloc(LATENCIES_KEPT * sizeof sink->latencies[0]);
}

void changes_sink_deinit(struct changes_sink *sink)
{
    free(sink->latencies);
    sink->latencies = NULL;
}

void changes_taken(void *context, const struct activity_event *event)
{
    struct changes_sink *sink = context;
    if (event->kind != ACTIVITY_EVENT_MODEL_CHANGED) {
        return;
    }
    if (atomic_load(&sink->keep) && sink->count < LATENCIES_KEPT) {
        unsigned long number = strtoul(event->change->document_id, NULL, 10);
        sink->latencies[sink->count++] =
            measure_ns() - atomic_load(&sent_ns[number / PER_REQUEST_MAX % REQUESTS_KEPT]);
    }
    atomic_fetch_add(&sink->changes, 1);
}

double changes_late_us(struct changes_sink *sinks, size_t count, double part)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += sinks[i].count;
    }
    uint64_t *all = malloc((total + 1) * sizeof all[0]);
    total = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(all + total, sinks[i].latencies, sinks[i].count * sizeof all[0]);
        total += sinks[i].count;
    }
    double value = total == 0 ? 0 : (double)latency_at(all, total, part) / 1000;
    free(all);
    return value;
}

uint64_t changes_slowest(struct changes_sink *sinks, size_t count)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        uint64_t changes = atomic_load(&sinks[i].changes);
        least = changes < least ? changes : least;
    }
    return least;
}

static void submit(activity_window *window, uint64_t number, size_t changes)
{
    static const char *const all = "*";
    static struct activity_document_change list[PER_REQUEST_MAX];
    static char ids[PER_REQUEST_MAX][24];
    struct activity_error error;
    for (size_t i = 0; i < changes; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "%llu",
                       (unsigned long long)(number % REQUESTS_KEPT * PER_REQUEST_MAX + i));
        list[i] = (struct activity_document_change){.model = "mediacontainer",
                                                    .document_id = ids[i],
                                                    .affected_model = "mediaContainer",
                                                    .groups = &all,
                                                    .group_count = 1};
    }
    const struct activity_record_request request = {.changes = list, .change_count = changes};
    atomic_store(&sent_ns[number % REQUESTS_KEPT], measure_ns());
    assert_ok(activity_submit_record_changes(window, &request, NULL, 0, &error), error);
}

uint64_t changes_record(activity_client *client, uint32_t milliseconds,
                        const struct changes_pace *pace)
{
    struct activity_error error;
    activity_window *window = activity_window_new(client, pace->in_flight, &error);
    static uint64_t number;
    uint64_t began = measure_ns();
    uint64_t end = began + (uint64_t)milliseconds * 1000000u;
    uint64_t sent = 0;
    uint64_t accepted = 0;
    while (measure_ns() < end || activity_window_used(window) > 0) {
        uint64_t now = measure_ns();
        uint64_t due =
            pace->per_second == 0 ? UINT64_MAX : (now - began) * pace->per_second / 1000000000u;
        while (now < end && activity_window_used(window) < pace->in_flight &&
               sent * pace->per_request < due) {
            submit(window, number++, pace->per_request);
            sent++;
        }
        struct activity_completion done;
        if (activity_next(window, 1, &done) == ACTIVITY_NEXT_DONE) {
            if (done.error.code != ACTIVITY_OK) {
                (void)fprintf(stderr, "%s %s\n", done.error.reason, done.error.message);
                exit(1);
            }
            accepted += pace->per_request;
            activity_result_free(done.result);
        } else if (activity_window_used(window) == 0) {
            sleep_ms(1);
        }
    }
    activity_window_free(window);
    return accepted;
}
