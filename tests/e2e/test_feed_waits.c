/* Long polls end to end: what they wait for, how long, how many may, and that they hold up nobody:
 * places are bounded, given back when the caller is gone, and everybody is answered when the server
 * stops. N=10 makes the crowd ten times as large. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <activity_feed.h>

#include "tests/e2e/harness.h"

static struct scene scene;
static struct server server;
static struct activity_error error;
static activity_client *worker;

static const char *const flags[] = {"--set", "kill_after_ms=5s",  "--set", "resume_grace_ms=0",
                                    "--set", "flush_delay_ms=1s", NULL};

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    server_start(&server, &scene, flags);
    worker = client_of(&server, "worker", NULL, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    activity_client_free(worker);
    server_kill(&server);
    scene_end(&scene);
    return 0;
}

static uint64_t create(uint64_t parent)
{
    const struct activity_create_request request = {
        .type = "transcoding", .title = "waited for", .parent_job_id = parent};
    struct activity_created created;
    assert_ok(activity_create(worker, &request, NULL, &created, &error), error);
    return created.job_id;
}

static void set_percent(uint64_t job, uint32_t percent)
{
    const struct activity_update_request request = {
        .job_id = job, .set_percent = true, .percent = percent};
    assert_ok(activity_update(worker, &request, NULL, NULL, &error), error);
}

/* A wait on a thread of its own. */
struct waiting {
    struct activity_wait_request request;
    struct activity_waited waited;
    struct activity_error error;
    int code;
    uint64_t ended_ms;
    atomic_bool done;
    pthread_t thread;
};

static void *wait_in_thread(void *context)
{
    struct waiting *waiting = context;
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    waiting->code =
        activity_wait(client, &waiting->request, NULL, &waiting->waited, &waiting->error);
    waiting->ended_ms = now_ms();
    atomic_store(&waiting->done, true);
    activity_client_free(client);
    return NULL;
}

static void begin_wait(struct waiting *waiting)
{
    assert_int_equal(pthread_create(&waiting->thread, NULL, wait_in_thread, waiting), 0);
}

static void end_wait(struct waiting *waiting)
{
    (void)pthread_join(waiting->thread, NULL);
    assert_ok(waiting->code, waiting->error);
}

static void await_parked(uint64_t count)
{
    for (unsigned i = 0; i < 1000 && feed_info(worker).parked != count; i++) {
        sleep_ms(10);
    }
    assert_int_equal(feed_info(worker).parked, count);
}

static void test_a_job_by_percent_and_by_end(void **state)
{
    (void)state;
    uint64_t job = create(0);
    struct waiting half = {.request = {.job_id = job, .percent = 50, .wait_ms = 20000}};
    struct waiting end = {.request = {.job_id = job, .wait_ms = 20000}};
    begin_wait(&half);
    begin_wait(&end);
    await_parked(2);
    set_percent(job, 49);
    sleep_ms(100);
    assert_false(atomic_load(&half.done));
    set_percent(job, 50);
    end_wait(&half);
    assert_true(half.waited.reached);
    assert_int_equal(half.waited.percent, 50);
    assert_int_equal(half.waited.state, ACTIVITY_STATE_RUNNING);
    assert_false(atomic_load(&end.done));
    set_percent(job, 100);
    end_wait(&end);
    assert_true(end.waited.reached);
    assert_int_equal(end.waited.state, ACTIVITY_STATE_COMPLETED);
    await_parked(0);
    /* One that has ended is answered at once, and so is one that ends below the percent. */
    const struct activity_wait_request again = {.job_id = job, .wait_ms = 20000};
    struct activity_waited waited;
    assert_ok(activity_wait(worker, &again, NULL, &waited, &error), error);
    assert_true(waited.reached);
    job = create(0);
    struct waiting lost = {.request = {.job_id = job, .percent = 90, .wait_ms = 20000}};
    begin_wait(&lost);
    await_parked(1);
    assert_ok(activity_destroy(worker, job, NULL, NULL, &error), error);
    end_wait(&lost);
    assert_true(lost.waited.reached);
    assert_int_equal(lost.waited.state, ACTIVITY_STATE_CANCELLED);
}

static void test_a_silent_job_is_told_when_it_is_killed(void **state)
{
    (void)state;
    struct waiting silent = {.request = {.job_id = create(0), .wait_ms = 20000}};
    begin_wait(&silent);
    end_wait(&silent);
    assert_true(silent.waited.reached);
    assert_int_equal(silent.waited.state, ACTIVITY_STATE_KILLED);
}

static void test_a_job_and_its_children(void **state)
{
    (void)state;
    uint64_t parent = create(0);
    uint64_t first = create(parent);
    uint64_t second = create(parent);
    struct waiting tree = {.request = {.job_id = parent, .children = true, .wait_ms = 20000}};
    begin_wait(&tree);
    await_parked(1);
    set_percent(parent, 100);
    set_percent(second, 100);
    uint64_t third = create(parent); /* known when the wait would end */
    const struct activity_wait_request look = {.job_id = parent, .children = true};
    struct activity_waited waited;
    assert_ok(activity_wait(worker, &look, NULL, &waited, &error), error);
    assert_false(waited.reached);
    assert_int_equal(waited.state, ACTIVITY_STATE_COMPLETED);
    assert_true(waited.waiting_for_job_id == first || waited.waiting_for_job_id == third);
    set_percent(first, 100);
    sleep_ms(100);
    assert_false(atomic_load(&tree.done));
    set_percent(third, 100);
    end_wait(&tree);
    assert_true(tree.waited.reached);
    assert_int_equal(tree.waited.waiting_for_job_id, 0);
}

static void test_the_time_is_over(void **state)
{
    (void)state;
    uint64_t job = create(0);
    const struct activity_wait_request wait = {.job_id = job, .percent = 1, .wait_ms = 700};
    struct activity_waited waited;
    uint64_t began = now_ms();
    assert_ok(activity_wait(worker, &wait, NULL, &waited, &error), error);
    assert_false(waited.reached);
    assert_true(now_ms() - began >= 600);
    assert_true(waited.waiting_for_job_id == job);
    const struct activity_changes_request read = {.wait_ms = 500};
    activity_result *result;
    began = now_ms();
    assert_ok(activity_read_changes(worker, &read, NULL, &result, &error), error);
    assert_true(now_ms() - began >= 400);
    assert_int_equal(activity_result_changes(result)->event_count, 0);
    activity_result_free(result);
    set_percent(job, 100);
}

static void test_changes_become_visible(void **state)
{
    (void)state;
    uint64_t job = create(0);
    const struct activity_document_change change = {
        .model = "asset", .document_id = "7", .affected_model = "Asset"};
    const struct activity_record_request record = {
        .changes = &change, .change_count = 1, .job_id = job};
    struct activity_recorded recorded;
    assert_ok(activity_record_changes(worker, &record, NULL, &recorded, &error), error);
    struct activity_visible_request visible = {.ticket = recorded.ticket};
    struct activity_visible reached;
    assert_ok(activity_wait_visible(worker, &visible, NULL, &reached, &error), error);
    assert_false(reached.reached); /* it waits 1 s for others of its document */
    assert_int_equal(reached.open_changes, 1);
    visible.wait_ms = 10000;
    visible.stage = ACTIVITY_STAGE_SENT;
    assert_ok(activity_wait_visible(worker, &visible, NULL, &reached, &error), error);
    assert_true(reached.reached);
    visible = (struct activity_visible_request){.job_id = job, .stage = ACTIVITY_STAGE_ACKED};
    assert_ok(activity_wait_visible(worker, &visible, NULL, &reached, &error), error);
    assert_true(reached.reached);
    assert_int_equal(reached.open_changes, 0);
    visible.stage = ACTIVITY_STAGE_SEARCHABLE;
    assert_int_equal(activity_wait_visible(worker, &visible, NULL, &reached, &error),
                     ACTIVITY_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "INDEX_NONE");
    visible = (struct activity_visible_request){.job_id = create(0)};
    assert_int_equal(activity_wait_visible(worker, &visible, NULL, &reached, &error),
                     ACTIVITY_NOT_FOUND);
    assert_string_equal(error.reason, "UNKNOWN_TICKET");
    set_percent(job, 100);
    set_percent(visible.job_id, 100);
}

/* ---- Places ---- */

/* Many polls of one client that nothing ends, all with a far deadline. */
static activity_window *crowd_of(activity_client *client, uint32_t count)
{
    /* ReadChangesRequest {wait_ms = 30000, job_ids = [1]}: by hand, since a submit of the typed
     * call is not there. */
    static const uint8_t payload[] = {0x28, 0x01, 0x30, 0xb0, 0xea, 0x01};
    const struct activity_raw_request request = {"activity.v1.ChangeService/ReadChanges",
                                                 {payload, sizeof payload}};
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    call.timeout_ms = 60000;
    activity_window *window = activity_window_new(client, count, &error);
    assert_non_null(window);
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(activity_submit_call(window, &request, &call, i, &error), error);
    }
    return window;
}

static void test_one_too_many_is_answered_at_once(void **state)
{
    (void)state;
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    activity_window *window = crowd_of(client, 64);
    await_parked(64);
    const struct activity_changes_request read = {.wait_ms = 30000};
    activity_result *result;
    uint64_t began = now_ms();
    assert_ok(activity_read_changes(worker, &read, NULL, &result, &error), error);
    assert_true(now_ms() - began < 15000);
    assert_int_equal(activity_result_changes(result)->event_count, 0);
    assert_true(activity_result_changes(result)->retry_after_ms > 0);
    activity_result_free(result);
    /* Another principal has places of its own, and commands are not held up. */
    activity_client *boss = client_of(&server, "boss", NULL, NULL, NULL);
    activity_window *other = crowd_of(boss, 1);
    await_parked(65);
    set_percent(create(0), 100);
    /* A caller that is gone gives its places back. */
    activity_window_free(window);
    activity_client_free(client);
    await_parked(1);
    activity_window_free(other);
    activity_client_free(boss);
    await_parked(0);
}

/* Two thousand polls (a tenth of them here) of forty principals, and the commands go on. */
static void test_a_crowd_does_not_starve_commands(void **state)
{
    (void)state;
    enum { PRINCIPALS = 40 };
    uint32_t each = test_count(5) > 50 ? 50 : test_count(5);
    activity_client *clients[PRINCIPALS];
    activity_window *windows[PRINCIPALS];
    for (unsigned i = 0; i < PRINCIPALS; i++) {
        char name[32];
        char sans[64];
        (void)snprintf(name, sizeof name, "many-%u", i);
        (void)snprintf(sans, sizeof sans, "URI:spiffe://test/many/%u", i);
        scene_certificate(&scene, "issue", name, "ca", "clientAuth", sans, NULL);
        clients[i] = client_of(&server, name, NULL, NULL, NULL);
    }
    for (unsigned i = 0; i < PRINCIPALS; i++) { /* at once: each waits for 30 s only */
        windows[i] = crowd_of(clients[i], each);
    }
    await_parked((uint64_t)PRINCIPALS * each);
    uint64_t job = create(0);
    for (uint32_t percent = 1; percent <= 100; percent++) {
        set_percent(job, percent);
    }
    assert_int_equal(feed_info(worker).parked, (uint64_t)PRINCIPALS * each);
    /* The server stops: everybody is answered, and it does not wait for their time. */
    uint64_t began = now_ms();
    assert_int_equal(server_stop(&server), 0);
    assert_true(now_ms() - began < 20000);
    for (unsigned i = 0; i < PRINCIPALS; i++) {
        uint32_t answers = 0;
        struct activity_completion done;
        while (answers < each && activity_next(windows[i], 10000, &done) == ACTIVITY_NEXT_DONE) {
            assert_ok(done.error.code, done.error);
            activity_result_free(done.result);
            answers++;
        }
        assert_int_equal(answers, each);
        activity_window_free(windows[i]);
        activity_client_free(clients[i]);
    }
    server_start(&server, &scene, flags);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_by_percent_and_by_end),
        cmocka_unit_test(test_a_silent_job_is_told_when_it_is_killed),
        cmocka_unit_test(test_a_job_and_its_children),
        cmocka_unit_test(test_the_time_is_over),
        cmocka_unit_test(test_changes_become_visible),
        cmocka_unit_test(test_one_too_many_is_answered_at_once),
        cmocka_unit_test(test_a_crowd_does_not_starve_commands),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
