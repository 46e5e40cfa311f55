/* What long polls cost those who do not wait: the rate of commands with 2,000 polls of 40
 * principals parked, and without, in turn. Creates make events, each of which is compared with
 * every poll; updates and batch updates make none. SECONDS_PER_WINDOW and WINDOWS come from the
 * environment. */
#include "bench/harness_measure.h"
#include "tests/e2e/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRINCIPALS = 40, EACH = 50, JOBS = 10000, BATCH = 1000 };

static struct scene scene;
static struct server server;
static activity_client *client;
static uint64_t jobs[JOBS];
static struct {
    activity_client *client;
    activity_window *window;
} crowd[PRINCIPALS];

_Noreturn static void stop(const struct activity_error *error, const char *what)
{
    (void)fprintf(stderr, "%s: %s %s\n", what, error->reason, error->message);
    server_kill(&server);
    scene_end(&scene);
    exit(1);
}

/* ---- The crowd ---- */

static void make_crowd(void)
{
    for (unsigned i = 0; i < PRINCIPALS; i++) {
        char name[32];
        char sans[64];
        (void)snprintf(name, sizeof name, "many-%u", i);
        (void)snprintf(sans, sizeof sans, "URI:spiffe://test/many/%u", i);
        scene_certificate(&scene, "issue", name, "ca", "clientAuth", sans, NULL);
        crowd[i].client = client_of(&server, name, NULL, NULL, NULL);
    }
}

/* Each waits 30 s for an activity that there is not. */
static void park_crowd(void)
{
    static const uint8_t payload[] = {0x28, 0x01, 0x30, 0xb0, 0xea, 0x01};
    const struct activity_raw_request request = {"activity.v1.ChangeService/ReadChanges",
                                                 {payload, sizeof payload}};
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    struct activity_error error;
    call.timeout_ms = 60000;
    for (unsigned i = 0; i < PRINCIPALS; i++) {
        crowd[i].window = activity_window_new(crowd[i].client, EACH, &error);
        for (uint64_t n = 0; n < EACH; n++) {
            if (activity_submit_call(crowd[i].window, &request, &call, n, &error) != ACTIVITY_OK) {
                stop(&error, "poll");
            }
        }
    }
}

static uint64_t parked(void)
{
    activity_result *result;
    struct activity_error error;
    if (activity_get_server_info(client, NULL, &result, &error) != ACTIVITY_OK) {
        stop(&error, "server info");
    }
    uint64_t count = activity_result_server_info(result)->feed.parked;
    activity_result_free(result);
    return count;
}

static void await_parked(uint64_t count)
{
    for (unsigned i = 0; parked() != count; i++) {
        sleep_ms(10);
        if (i == 3000) {
            (void)fprintf(stderr, "%llu polls are parked\n", (unsigned long long)parked());
            exit(1);
        }
    }
}

/* Their connections are closed: the server finds out by itself. */
static void dismiss_crowd(void)
{
    for (unsigned i = 0; i < PRINCIPALS; i++) {
        activity_window_free(crowd[i].window);
        activity_client_free(crowd[i].client);
        char name[32];
        (void)snprintf(name, sizeof name, "many-%u", i);
        crowd[i].client = client_of(&server, name, NULL, NULL, NULL);
    }
    await_parked(0);
}

/* ---- The commands ---- */

enum work { WORK_BATCH, WORK_UPDATE, WORK_CREATE, WORK_COUNT };

static int submit(activity_window *window, enum work work, uint64_t n, struct activity_error *error)
{
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    static uint8_t percents[BATCH];
    call.timeout_ms = 30000;
    if (work == WORK_CREATE) {
        const struct activity_create_request request = {.type = "upload", .title = "bench"};
        return activity_submit_create(window, &request, &call, 0, error);
    }
    if (work == WORK_UPDATE) {
        const struct activity_update_request request = {
            .job_id = jobs[n % JOBS], .set_percent = true, .percent = (uint32_t)(n % 100)};
        return activity_submit_update(window, &request, &call, 0, error);
    }
    memset(percents, (int)(n % 100), sizeof percents);
    const struct activity_batch_request request = {&jobs[n % (JOBS / BATCH) * BATCH], percents,
                                                   BATCH};
    return activity_submit_batch_update(window, &request, &call, 0, error);
}

static double run(enum work work, uint32_t milliseconds, uint64_t most)
{
    struct activity_error error;
    size_t in_flight = work == WORK_BATCH ? 16 : 64;
    activity_window *window = activity_window_new(client, in_flight, &error);
    uint64_t began = measure_ns();
    uint64_t end = began + (uint64_t)milliseconds * 1000000u;
    uint64_t sent = 0;
    uint64_t answered = 0;
    while (answered < sent || (measure_ns() < end && sent < most)) {
        while (activity_window_used(window) < in_flight && measure_ns() < end && sent < most) {
            if (submit(window, work, sent, &error) != ACTIVITY_OK) {
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
        if (work == WORK_CREATE && answered < JOBS && most == JOBS) {
            jobs[answered] = activity_result_created(done.result)->job_id;
        }
        answered++;
        activity_result_free(done.result);
    }
    activity_window_free(window);
    return (double)answered / ((double)(measure_ns() - began) / 1e9);
}

int main(void)
{
    static const char *const names[WORK_COUNT] = {"durable batch updates, 1,000 each, 16 in flight",
                                                  "durable updates, 64 in flight",
                                                  "durable creates, 64 in flight"};
    static struct series alone[WORK_COUNT], beside[WORK_COUNT], ratio[WORK_COUNT];
    uint32_t milliseconds = bench_setting("SECONDS_PER_WINDOW", 2) * 1000;
    uint32_t windows = bench_setting("WINDOWS", 5);
    scene_make(&scene);
    server_start(&server, &scene, NULL);
    client = client_of(&server, "worker", NULL, NULL, NULL);
    (void)run(WORK_CREATE, 600000, JOBS);
    make_crowd();
    for (uint32_t i = 0; i < windows; i++) {
        for (unsigned work = 0; work < WORK_COUNT; work++) {
            double without = run((enum work)work, milliseconds, UINT64_MAX);
            park_crowd();
            await_parked((uint64_t)PRINCIPALS * EACH);
            double with = run((enum work)work, milliseconds, UINT64_MAX);
            dismiss_crowd();
            series_add(&alone[work], without);
            series_add(&beside[work], with);
            series_add(&ratio[work], with / without);
        }
    }
    (void)printf("2,000 parked polls of 40 principals; median [least..most] of %u pairs of %u s\n",
                 windows, milliseconds / 1000);
    for (unsigned work = 0; work < WORK_COUNT; work++) {
        (void)printf("%s\n", names[work]);
        series_print(&alone[work], "    without polls", "calls/s");
        series_print(&beside[work], "    with polls", "calls/s");
        series_print(&ratio[work], "    kept", "x");
    }
    for (unsigned i = 0; i < PRINCIPALS; i++) {
        activity_client_free(crowd[i].client);
    }
    activity_client_free(client);
    server_signal(&server, SIGTERM);
    int status = server_wait(&server);
    scene_end(&scene);
    return status;
}
