/* The feed under load: a subscriber that stops reading holds up nobody and misses nothing, or is
 * told; progress is merged, bounded and arrives in the end. N=10 makes it ten times as long. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/e2e/harness_feed.h"
#include "tests/e2e/harness_proxy.h"

static struct scene scene;
static struct activity_error error;

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scene_end(&scene);
    return 0;
}

/* A process that is stopped for a while under full load, beside one that reads. */
static uint32_t stop_one_of_two(const char *data, const char *window)
{
    const char *const flags[] = {"--set", window,
                                 "--set", "feed_queue_frames=8",
                                 "--set", "feed_keep_ms=600s",
                                 "--set", "ended_keep_ms=1s",
                                 NULL};
    struct server server = {.data = data};
    server_start(&server, &scene, flags);
    activity_client *worker = client_of(&server, "worker", NULL, NULL, NULL);
    struct follower reading = {.server = &server, .who = "watcher", .contiguous = true};
    struct feed_load load = {.server = &server, .who = "worker", .in_flight = 64};
    const struct activity_cursor begin = {feed_head(worker).epoch, 0};
    char name[64];
    (void)snprintf(name, sizeof name, "%s.sequences", data);
    const char *path = scene_path(&scene, name);
    feed_record_begin(path, begin);
    follower_start(&reading);
    pid_t child = feed_child_start(&server, path);
    feed_load_start(&load);
    assert_true(feed_record_await(path, 100, 20000));
    (void)kill(child, SIGSTOP);
    sleep_ms(test_count(1000) > 10000 ? 10000 : test_count(1000) + 1000);
    uint64_t meanwhile = feed_head(worker).sequence;
    assert_true(follower_await(&reading, meanwhile, 10000)); /* nobody waited for the other */
    (void)kill(child, SIGCONT);
    sleep_ms(500);
    feed_load_stop(&load);
    uint64_t head = feed_head(worker).sequence;
    assert_true(feed_record_await(path, head, 60000));
    assert_true(follower_await(&reading, head, 20000));
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    follower_stop(&reading);
    assert_int_equal(atomic_load(&reading.resets), 0);
    assert_int_equal(atomic_load(&reading.events), head);
    assert_int_equal(atomic_load(&load.failed), 0);
    print_message("%llu events, %llu while one was stopped\n", (unsigned long long)head,
                  (unsigned long long)meanwhile);
    feed_load_free(&load);
    activity_client_free(worker);
    assert_int_equal(server_stop(&server), 0);
    return feed_record_check(path, begin);
}

static void test_a_stopped_subscriber_fills_its_gap(void **state)
{
    (void)state;
    assert_int_equal(stop_one_of_two("fills", "feed_window_bytes=256MiB"), 0);
}

/* The window is too small for what it missed: it is told, and goes on. The reason is in the record
 * of test_feed.c's resets; here it must not hang, repeat or leave out anything after it. */
static void test_a_stopped_subscriber_is_told(void **state)
{
    (void)state;
    const char *const flags[] = {"--set", "feed_keep_ms=600s", "--set", "feed_window_bytes=1MiB",
                                 NULL};
    struct server server = {.data = "told"};
    server_start(&server, &scene, flags);
    activity_client *worker = client_of(&server, "worker", NULL, NULL, NULL);
    struct follower follower = {.server = &server, .who = "watcher"};
    struct feed_load load = {.server = &server, .who = "worker", .in_flight = 64};
    follower_start(&follower);
    feed_load_start(&load);
    assert_true(follower_await(&follower, 100, 20000));
    atomic_store(&follower.paused, true);
    uint64_t from = feed_head(worker).sequence;
    /* Far more than the window and all that waits on the way can hold. */
    for (unsigned i = 0; i < 3000 && feed_head(worker).sequence < from + 60000; i++) {
        sleep_ms(20);
    }
    atomic_store(&follower.paused, false);
    sleep_ms(500);
    feed_load_stop(&load);
    assert_true(follower_await(&follower, feed_head(worker).sequence, 30000));
    follower_stop(&follower);
    assert_true(atomic_load(&follower.resets) > 0);
    assert_int_equal(follower.last_reset, ACTIVITY_RESET_EXPIRED);
    feed_load_free(&load);
    activity_client_free(worker);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- Progress ---- */

enum { JOBS = 10000 };
static uint64_t jobs[JOBS];
static _Atomic uint8_t seen[JOBS]; /* the percent of each, by the thread of the follower */

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void note_progress(void *context, const struct activity_event *event)
{
    _Atomic uint64_t *text = context;
    if (event->kind != ACTIVITY_EVENT_PROGRESS) {
        return;
    }
    const uint64_t *job = bsearch(&event->activity->job_id, jobs, JOBS, sizeof jobs[0], by_number);
    if (job == NULL) {
        return;
    }
    atomic_store(&seen[job - jobs], (uint8_t)event->activity->percent);
    if (event->activity->status_text != NULL &&
        strcmp(event->activity->status_text, "the last word") == 0) {
        atomic_fetch_add(text, 1);
    }
}

static void create_jobs(activity_client *client)
{
    activity_window *window = activity_window_new(client, 256, &error);
    assert_non_null(window);
    size_t sent = 0;
    size_t made = 0;
    while (made < JOBS) {
        while (sent < JOBS && activity_window_used(window) < 256) {
            const struct activity_create_request request = {.type = "batchUpdate", .title = "many"};
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
    qsort(jobs, JOBS, sizeof jobs[0], by_number);
}

/* All jobs to one percent after the other. Returns the updates made. */
static uint64_t drive(activity_client *client, uint32_t milliseconds)
{
    enum { BATCH = 1000, WINDOW = 8 };
    uint64_t until = now_ms() + milliseconds;
    uint64_t updates = 0;
    static uint8_t percents[BATCH];
    activity_window *window = activity_window_new(client, WINDOW, &error);
    for (uint64_t turn = 0; now_ms() < until || activity_window_used(window) > 0; turn++) {
        if (now_ms() < until) {
            uint64_t percent = 1 + turn * 97 / (JOBS / BATCH * 3000);
            memset(percents, percent > 98 ? 98 : (int)percent, sizeof percents);
            const struct activity_batch_request request = {&jobs[turn % (JOBS / BATCH) * BATCH],
                                                           percents, BATCH};
            assert_ok(activity_submit_batch_update(window, &request, NULL, 0, &error), error);
        }
        struct activity_completion done;
        while (activity_window_used(window) == WINDOW || now_ms() >= until) {
            if (activity_next(window, 1000, &done) != ACTIVITY_NEXT_DONE) {
                break;
            }
            assert_ok(done.error.code, done.error);
            activity_result_free(done.result);
            updates += BATCH;
        }
    }
    activity_window_free(window);
    /* The last word on each. */
    activity_result *result;
    memset(percents, 99, sizeof percents);
    for (size_t i = 0; i < JOBS; i += BATCH) {
        const struct activity_batch_request request = {&jobs[i], percents, BATCH};
        assert_ok(activity_batch_update(client, &request, NULL, &result, &error), error);
        activity_result_free(result);
    }
    const struct activity_update_request text = {.job_id = jobs[7], .status_text = "the last word"};
    assert_ok(activity_update(client, &text, NULL, NULL, &error), error);
    return updates;
}

static void test_progress_is_merged_and_arrives(void **state)
{
    (void)state;
    uint16_t port = free_port();
    struct proxy *proxy = proxy_start(port);
    char advertise[64];
    (void)snprintf(advertise, sizeof advertise, "feed_url=tls+tcp://localhost:%u",
                   proxy_port(proxy));
    const char *const flags[] = {"--set", advertise, "--set", "feed_queue_frames=8", NULL};
    struct server server = {.data = "progress", .feed_port = port};
    server_start(&server, &scene, flags);
    activity_client *worker = client_of(&server, "worker", NULL, NULL, NULL);
    create_jobs(worker);
    static _Atomic uint64_t texts;
    struct follower follower = {.server = &server,
                                .who = "root",
                                .contiguous = true,
                                .options = {.progress = true},
                                .on_event = note_progress,
                                .context = &texts};
    struct feed_load load = {.server = &server, .who = "worker", .per_second = 200};
    follower_start(&follower);
    feed_load_start(&load);
    uint64_t began = now_ms();
    const struct activity_feed_info before = feed_info(worker);
    uint64_t updates = drive(worker, test_count(1000));
    proxy_hold(proxy, true); /* frames are lost on purpose */
    updates += drive(worker, test_count(1000));
    proxy_cut(proxy);
    proxy_hold(proxy, false);
    const struct activity_feed_info after = feed_info(worker);
    uint64_t elapsed = now_ms() - began;
    feed_load_stop(&load);
    assert_true(follower_await(&follower, feed_head(worker).sequence, 20000));
    size_t late = JOBS;
    for (unsigned i = 0; i < 1000 && (late > 0 || atomic_load(&texts) == 0); i++) {
        sleep_ms(20);
        late = 0;
        for (size_t k = 0; k < JOBS; k++) {
            late += atomic_load(&seen[k]) != 99;
        }
    }
    follower_stop(&follower);
    assert_int_equal(late, 0);
    assert_true(atomic_load(&texts) > 0);
    assert_int_equal(atomic_load(&follower.resets), 0);
    assert_int_equal(atomic_load(&load.failed), 0);
    assert_int_equal(atomic_load(&follower.of_kind[ACTIVITY_EVENT_CREATED]), load.created);
    /* A message each 100 ms and one heartbeat a second at most, each of 64 KiB at most. */
    uint64_t frames = after.progress_frames - before.progress_frames;
    assert_true(frames <= elapsed / 100 + elapsed / 1000 + 5);
    assert_true(updates > 10 * frames);
    print_message("%llu updates in %llu messages of progress\n", (unsigned long long)updates,
                  (unsigned long long)frames);
    feed_load_free(&load);
    activity_client_free(worker);
    assert_int_equal(server_stop(&server), 0);
    proxy_stop(proxy);
}

int main(int count, char **arguments)
{
    if (count > 1) {
        return feed_child_main(count, arguments);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stopped_subscriber_fills_its_gap),
        cmocka_unit_test(test_a_stopped_subscriber_is_told),
        cmocka_unit_test(test_progress_is_merged_and_arrives),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
