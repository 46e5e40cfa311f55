/* The calls of one client over mutual TLS on loopback, client and server on the same machine:
 * durable batch updates (the hot path), durable single updates and reads, at 1 and at 64 in flight.
 * SECONDS_PER_WINDOW and WINDOWS come from the environment. */
#include "bench/harness_measure.h"
#include "tests/e2e/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIVE = 100000, BATCH = 1000, LATENCIES = 4000000 };

static struct scene scene;
static struct server server;
static activity_client *client;
static uint64_t jobs[LIVE];
static uint64_t *latencies;
static size_t latency_count;

_Noreturn static void stop(const struct activity_error *error, const char *what)
{
    (void)fprintf(stderr, "%s: %s %s\n", what, error->reason, error->message);
    server_kill(&server);
    scene_end(&scene);
    exit(1);
}

enum work { WORK_CREATE, WORK_BATCH, WORK_UPDATE, WORK_GET };

/* One request of its kind; `n` counts them. */
static int submit(activity_window *window, enum work work, uint64_t n, uint64_t *seed,
                  struct activity_error *error)
{
    static uint64_t ids[BATCH];
    static uint8_t percents[BATCH];
    uint64_t tag = measure_ns();
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    call.timeout_ms = 30000;
    switch (work) {
    case WORK_CREATE: {
        const struct activity_create_request request = {.type = "batchUpdate", .title = "bench"};
        return activity_submit_create(window, &request, &call, tag, error);
    }
    case WORK_BATCH: {
        uint64_t first = random_next(seed) % (LIVE - BATCH);
        for (size_t i = 0; i < BATCH; i++) {
            ids[i] = jobs[first + i];
            percents[i] = (uint8_t)(n % 100);
        }
        const struct activity_batch_request request = {ids, percents, BATCH};
        return activity_submit_batch_update(window, &request, &call, tag, error);
    }
    case WORK_UPDATE: {
        const struct activity_update_request request = {.job_id = jobs[random_next(seed) % LIVE],
                                                        .set_percent = true,
                                                        .percent = (uint32_t)(n % 100)};
        return activity_submit_update(window, &request, &call, tag, error);
    }
    case WORK_GET:
        return activity_submit_get(window, jobs[random_next(seed) % LIVE], &call, tag, error);
    }
    return -1;
}

/* Keeps `in_flight` requests under way for some seconds, or until `most` were answered. Returns
 * answers per second. */
static double run(enum work work, size_t in_flight, uint32_t milliseconds, uint64_t most)
{
    struct activity_error error;
    activity_window *window = activity_window_new(client, in_flight, &error);
    if (window == NULL) {
        stop(&error, "window");
    }
    uint64_t seed = 88172645463325252u;
    uint64_t began = measure_ns();
    uint64_t end = began + (uint64_t)milliseconds * 1000000u;
    uint64_t sent = 0;
    uint64_t answered = 0;
    latency_count = 0;
    while (answered < sent || (measure_ns() < end && sent < most)) {
        while (activity_window_used(window) < in_flight && measure_ns() < end && sent < most) {
            if (submit(window, work, sent, &seed, &error) != ACTIVITY_OK) {
                stop(&error, "submit");
            }
            sent++;
        }
        struct activity_completion done;
        if (activity_next(window, 1000, &done) != ACTIVITY_NEXT_DONE) {
            continue;
        }
        if (done.error.code != ACTIVITY_OK) {
            stop(&done.error, "answer");
        }
        if (work == WORK_CREATE && answered < LIVE) {
            jobs[answered] = activity_result_created(done.result)->job_id;
        }
        if (latency_count < LATENCIES) {
            latencies[latency_count++] = measure_ns() - done.tag;
        }
        answered++;
        activity_result_free(done.result);
    }
    double seconds = (double)(measure_ns() - began) / 1e9;
    activity_window_free(window);
    return (double)answered / seconds;
}

static void measure(const char *name, enum work work, size_t in_flight, double per_answer,
                    const char *unit)
{
    struct series rates = {.count = 0};
    struct series middle = {.count = 0};
    struct series slow = {.count = 0};
    uint32_t milliseconds = bench_setting("SECONDS_PER_WINDOW", 2) * 1000;
    (void)run(work, in_flight, milliseconds / 2, UINT64_MAX); /* warm-up */
    for (uint32_t i = 0; i < bench_setting("WINDOWS", 5); i++) {
        series_add(&rates, run(work, in_flight, milliseconds, UINT64_MAX) * per_answer);
        series_add(&middle, (double)latency_at(latencies, latency_count, 0.5) / 1000);
        series_add(&slow, (double)latency_at(latencies, latency_count, 0.99) / 1000);
    }
    series_print(&rates, name, unit);
    series_print(&middle, "    p50", "us");
    series_print(&slow, "    p99", "us");
}

int main(void)
{
    latencies = malloc(LATENCIES * sizeof latencies[0]);
    scene_make(&scene);
    server_start(&server, &scene, NULL);
    client = client_of(&server, "worker", NULL, NULL, NULL);
    (void)printf(
        "one client, one server, one machine; median [least..most] of %u windows of %u s\n",
        bench_setting("WINDOWS", 5), bench_setting("SECONDS_PER_WINDOW", 2));
    double creates = run(WORK_CREATE, 256, 600000, LIVE);
    (void)printf("%-44s %14.0f creates/s\n", "durable creates, 256 in flight, until 100,000",
                 creates);
    measure("durable batch updates, 1,000 each, 16 in flight", WORK_BATCH, 16, BATCH, "updates/s");
    measure("durable updates, 1 in flight", WORK_UPDATE, 1, 1, "calls/s");
    measure("durable updates, 64 in flight", WORK_UPDATE, 64, 1, "calls/s");
    measure("reads, 1 in flight", WORK_GET, 1, 1, "calls/s");
    measure("reads, 64 in flight", WORK_GET, 64, 1, "calls/s");
    activity_client_free(client);
    server_signal(&server, SIGTERM);
    int status = server_wait(&server);
    scene_end(&scene);
    free(latencies);
    return status;
}
