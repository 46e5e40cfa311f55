/* The calls of one client over mutual TLS on loopback, client and server on the same machine:
 * durable batch updates (the hot path), durable single updates and reads, at 1 and at 64 in flight.
 * SECONDS_PER_WINDOW and WINDOWS come from the environment. */
#include "bench/harness_calls.h"
#include "bench/harness_measure.h"
#include "tests/e2e/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIVE = 100000, LATENCIES = 4000000 };

static struct scene scene;
static struct server server;
static uint64_t jobs[LIVE];
static struct calls calls = {.jobs = jobs, .jobs_max = LIVE};

/* Returns answers per second. */
static double run(enum calls_work work, size_t in_flight, uint32_t milliseconds, uint64_t most)
{
    struct activity_error error;
    uint64_t answered = 0;
    uint64_t began = measure_ns();
    if (calls_run(&calls, work, in_flight, milliseconds, most, &answered, &error) != 0) {
        (void)fprintf(stderr, "call: %s %s\n", error.reason, error.message);
        server_kill(&server);
        scene_end(&scene);
        exit(1);
    }
    return (double)answered / ((double)(measure_ns() - began) / 1e9);
}

static void measure(const char *name, enum calls_work work, size_t in_flight, double per_answer,
                    const char *unit)
{
    struct series rates = {.count = 0};
    struct series middle = {.count = 0};
    struct series slow = {.count = 0};
    uint32_t milliseconds = bench_setting("SECONDS_PER_WINDOW", 2) * 1000;
    (void)run(work, in_flight, milliseconds / 2, UINT64_MAX); /* warm-up */
    for (uint32_t i = 0; i < bench_setting("WINDOWS", 5); i++) {
        series_add(&rates, run(work, in_flight, milliseconds, UINT64_MAX) * per_answer);
        series_add(&middle, (double)latency_at(calls.latencies, calls.latency_count, 0.5) / 1000);
        series_add(&slow, (double)latency_at(calls.latencies, calls.latency_count, 0.99) / 1000);
    }
    series_print(&rates, name, unit);
    series_print(&middle, "    p50", "us");
    series_print(&slow, "    p99", "us");
}

int main(void)
{
    calls.latencies = malloc(LATENCIES * sizeof calls.latencies[0]);
    calls.latencies_max = LATENCIES;
    scene_make(&scene);
    server_start(&server, &scene, NULL);
    calls.client = client_of(&server, "worker", NULL, NULL, NULL);
    (void)printf(
        "one client, one server, one machine; median [least..most] of %u windows of %u s\n",
        bench_setting("WINDOWS", 5), bench_setting("SECONDS_PER_WINDOW", 2));
    double creates = run(CALLS_CREATE, 256, 600000, LIVE);
    (void)printf("%-44s %14.0f creates/s\n", "durable creates, 256 in flight, until 100,000",
                 creates);
    measure("durable batch updates, 1,000 each, 16 in flight", CALLS_BATCH_UPDATE, 16, CALLS_BATCH,
            "updates/s");
    measure("durable updates, 1 in flight", CALLS_UPDATE, 1, 1, "calls/s");
    measure("durable updates, 64 in flight", CALLS_UPDATE, 64, 1, "calls/s");
    measure("reads, 1 in flight", CALLS_GET, 1, 1, "calls/s");
    measure("reads, 64 in flight", CALLS_GET, 64, 1, "calls/s");
    activity_client_free(calls.client);
    server_signal(&server, SIGTERM);
    int status = server_wait(&server);
    scene_end(&scene);
    free(calls.latencies);
    return status;
}
