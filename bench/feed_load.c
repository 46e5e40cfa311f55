/* What the feed's subscribers feel of others: how late history comes to one that reads while
 * another is stopped (in turn with one that is not), and while a million percents a second are
 * merged into progress beside it. SECONDS_PER_WINDOW and WINDOWS come from the environment. */
#include "bench/harness_changes.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { JOBS = 100000, BATCH = 1000, UPDATES_PER_SECOND = 1000000 };

static struct scene scene;
static struct server server;
static activity_client *client;
static uint64_t jobs[JOBS];

static void follow(struct follower *follower, struct changes_sink *sink, const char *who)
{
    memset(follower, 0, sizeof *follower);
    changes_sink_init(sink);
    follower->server = &server;
    follower->who = who;
    follower->on_event = changes_taken;
    follower->context = sink;
}

/* ---- One that is stopped ---- */

static double late_beside(bool stopped, uint32_t milliseconds, double *per_second)
{
    static const struct changes_pace fast = {.per_request = 100, .in_flight = 8};
    static struct follower follower;
    static struct changes_sink sink;
    const char *path = scene_path(&scene, "sequences");
    feed_record_begin(path, feed_head(client));
    pid_t child = feed_child_start(&server, path);
    follow(&follower, &sink, "watcher");
    follower_start(&follower);
    sleep_ms(1200);
    if (stopped) {
        (void)kill(child, SIGSTOP);
    }
    atomic_store(&sink.keep, true);
    *per_second = (double)changes_record(client, milliseconds, &fast) * 1000 / milliseconds;
    sleep_ms(300);
    (void)kill(child, SIGCONT);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    follower_stop(&follower);
    double late = changes_late_us(&sink, 1, 0.99);
    changes_sink_deinit(&sink);
    return late;
}

static void measure_stopped(uint32_t milliseconds, uint32_t windows)
{
    static struct series beside_reading, beside_stopped, ratio, rate;
    for (uint32_t i = 0; i < windows; i++) {
        double per_second;
        double reading = late_beside(false, milliseconds, &per_second);
        double stopped = late_beside(true, milliseconds, &per_second);
        series_add(&beside_reading, reading);
        series_add(&beside_stopped, stopped);
        series_add(&rate, per_second);
        series_add(&ratio, stopped / reading);
    }
    (void)printf("as many changes as are accepted, two subscribers, one of them a process\n");
    series_print(&rate, "  accepted, one stopped", "changes/s");
    series_print(&beside_reading, "  sent to delivered, p99, both read", "us");
    series_print(&beside_stopped, "  the same while one is stopped", "us");
    series_print(&ratio, "  stopped to reading", "x");
}

/* ---- Progress beside it ---- */

static void create_jobs(void)
{
    struct activity_error error;
    activity_window *window = activity_window_new(client, 256, &error);
    size_t sent = 0;
    size_t made = 0;
    while (made < JOBS) {
        while (sent < JOBS && activity_window_used(window) < 256) {
            const struct activity_create_request request = {.type = "batchUpdate",
                                                            .title = "bench"};
            assert_ok(activity_submit_create(window, &request, NULL, 0, &error), error);
            sent++;
        }
        struct activity_completion done;
        if (activity_next(window, 1000, &done) == ACTIVITY_NEXT_DONE) {
            assert_ok(done.error.code, done.error);
            jobs[made++] = activity_result_created(done.result)->job_id;
            activity_result_free(done.result);
        }
    }
    activity_window_free(window);
}

struct drive {
    atomic_bool stop;
    uint64_t updates;
};

/* A million updates a second, each a new percent of its job as long as that can rise. */
static void *drive(void *context)
{
    struct drive *drive = context;
    struct activity_error error;
    activity_client *own = client_of(&server, "worker", NULL, NULL, NULL);
    activity_window *window = activity_window_new(own, 16, &error);
    static uint8_t percents[BATCH];
    uint64_t began = measure_ns();
    uint64_t batches = 0;
    while (!atomic_load(&drive->stop) || activity_window_used(window) > 0) {
        uint64_t due = (measure_ns() - began) * (UPDATES_PER_SECOND / BATCH) / 1000000000u;
        while (!atomic_load(&drive->stop) && batches < due && activity_window_used(window) < 16) {
            uint64_t round = batches / (JOBS / BATCH);
            memset(percents, (int)(round < 99 ? round : 99), sizeof percents);
            const struct activity_batch_request request = {&jobs[batches % (JOBS / BATCH) * BATCH],
                                                           percents, BATCH};
            assert_ok(activity_submit_batch_update(window, &request, NULL, 0, &error), error);
            batches++;
        }
        struct activity_completion done;
        if (activity_next(window, 1, &done) == ACTIVITY_NEXT_DONE) {
            assert_ok(done.error.code, done.error);
            activity_result_free(done.result);
            drive->updates += BATCH;
        }
    }
    activity_window_free(window);
    activity_client_free(own);
    return NULL;
}

static void measure_progress(uint32_t milliseconds, uint32_t windows)
{
    static const struct changes_pace paced = {
        .per_request = 10, .in_flight = 4, .per_second = 2000};
    static struct series updates, middle, late, told, frames;
    for (uint32_t i = 0; i < windows; i++) {
        static struct follower follower;
        static struct changes_sink sink;
        static struct drive driving;
        pthread_t thread;
        memset(&driving, 0, sizeof driving);
        create_jobs(); /* whose percents can rise */
        follow(&follower, &sink, "root");
        follower.options.progress = true;
        follower_start(&follower);
        sleep_ms(1200);
        assert_int_equal(pthread_create(&thread, NULL, drive, &driving), 0);
        struct activity_feed_info before = feed_info(client);
        uint64_t began = measure_ns();
        atomic_store(&sink.keep, true);
        (void)changes_record(client, milliseconds, &paced);
        double seconds = (double)(measure_ns() - began) / 1e9;
        struct activity_feed_info after = feed_info(client);
        atomic_store(&driving.stop, true);
        (void)pthread_join(thread, NULL);
        follower_stop(&follower);
        series_add(&updates, (double)driving.updates / seconds);
        series_add(&middle, changes_late_us(&sink, 1, 0.5));
        series_add(&late, changes_late_us(&sink, 1, 0.99));
        series_add(&told,
                   (double)atomic_load(&follower.of_kind[ACTIVITY_EVENT_PROGRESS]) / seconds);
        series_add(&frames, (double)(after.progress_frames - before.progress_frames) / seconds);
        changes_sink_deinit(&sink);
        static uint8_t percents[BATCH];
        memset(percents, 100, sizeof percents);
        for (size_t k = 0; k < JOBS; k += BATCH) { /* make room */
            struct activity_error error;
            const struct activity_batch_request request = {&jobs[k], percents, BATCH};
            assert_ok(activity_batch_update(client, &request, NULL, NULL, &error), error);
        }
    }
    (void)printf("100,000 jobs, batch updates beside 2,000 changes/s\n");
    series_print(&updates, "  updates", "updates/s");
    series_print(&frames, "  messages of progress, 64 KiB at most", "messages/s");
    series_print(&told, "  percents told to the subscriber", "percents/s");
    series_print(&middle, "  changes, sent to delivered, p50", "us");
    series_print(&late, "  changes, sent to delivered, p99", "us");
}

int main(int count, char **arguments)
{
    if (count > 1) {
        return feed_child_main(count, arguments);
    }
    static const char *const flags[] = {"--set", "feed_keep_ms=600s", "--set", "change_keep_ms=2s",
                                        "--set", "ended_keep_ms=1s",  NULL};
    uint32_t milliseconds = bench_setting("SECONDS_PER_WINDOW", 2) * 1000;
    uint32_t windows = bench_setting("WINDOWS", 5);
    scene_make(&scene);
    server_start(&server, &scene, flags);
    client = client_of(&server, "worker", NULL, NULL, NULL);
    (void)printf("median [least..most] of %u windows of %u s\n", windows, milliseconds / 1000);
    measure_stopped(milliseconds, windows);
    measure_progress(milliseconds, windows);
    activity_client_free(client);
    server_signal(&server, SIGTERM);
    int status = server_wait(&server);
    scene_end(&scene);
    return status;
}
