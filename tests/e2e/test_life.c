/* P4 in real time, with a short rule: a silent activity is killed, a lively one is not, a pause of
 * the process kills nobody; and what ended leaves in its time, its outcome staying known. */
#include "tests/e2e/harness.h"

#include <signal.h>

static struct scene scene;
static struct server server;
static activity_client *client;
static struct activity_error error;

static const char *const flags[] = {"--set", "kill_after_ms=3s", "--set", "resume_grace_ms=0ms",
                                    "--set", "ended_keep_ms=1s", NULL};

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    server_start(&server, &scene, flags);
    client = client_of(&server, "worker", NULL, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    activity_client_free(client);
    server_kill(&server);
    scene_end(&scene);
    return 0;
}

static uint64_t create(void)
{
    const struct activity_create_request request = {.type = "upload", .title = "life"};
    struct activity_created created;
    assert_ok(activity_create(client, &request, NULL, &created, &error), error);
    assert_int_equal(created.kill_after_ms, 3000);
    return created.job_id;
}

static enum activity_state outcome(uint64_t job_id)
{
    activity_result *result;
    assert_ok(activity_get_result(client, job_id, NULL, &result, &error), error);
    enum activity_state state = activity_result_returned(result)->outcome;
    activity_result_free(result);
    return state;
}

static void beat(uint64_t job_id)
{
    const struct activity_update_request request = {.job_id = job_id};
    assert_ok(activity_update(client, &request, NULL, NULL, &error), error);
}

static void test_the_silent_one_is_killed_and_the_lively_one_is_not(void **state)
{
    (void)state;
    uint64_t silent = create();
    uint64_t lively = create();
    uint64_t created = now_ms();
    while (outcome(silent) == ACTIVITY_STATE_RUNNING) {
        beat(lively);
        assert_true(now_ms() - created < 20000);
        sleep_ms(20);
    }
    assert_true(now_ms() - created >= 2990); /* never before its time */
    assert_int_equal(outcome(silent), ACTIVITY_STATE_KILLED);
    assert_int_equal(outcome(lively), ACTIVITY_STATE_RUNNING);
    struct activity_updated updated;
    const struct activity_update_request late = {
        .job_id = silent, .set_percent = true, .percent = 50};
    assert_ok(activity_update(client, &late, NULL, &updated, &error), error);
    assert_int_equal(updated.disposition, ACTIVITY_IGNORED_KILLED);
    /* Ended activities leave the list after a second; the outcome stays known. */
    uint64_t end = now_ms() + 20000;
    for (size_t count = 1; count > 0;) {
        const struct activity_find_request find = {
            .activities = true, .job_ids = &silent, .job_id_count = 1};
        activity_result *result;
        assert_ok(activity_find(client, &find, NULL, &result, &error), error);
        count = activity_result_page(result)->activity_count;
        activity_result_free(result);
        beat(lively);
        assert_true(now_ms() < end);
        sleep_ms(20);
    }
    assert_int_equal(outcome(silent), ACTIVITY_STATE_KILLED);
    enum activity_disposition disposition;
    assert_ok(activity_destroy(client, lively, NULL, &disposition, &error), error);
}

static void test_a_pause_and_a_downtime_kill_nobody(void **state)
{
    (void)state;
    activity_client_free(client);
    assert_int_equal(server_stop(&server), 0);
    static const char *const graceful[] = {"--set", "kill_after_ms=4s", "--set",
                                           "resume_grace_ms=4s", NULL};
    server_start(&server, &scene, graceful);
    client = client_of(&server, "worker", NULL, NULL, NULL);
    const struct activity_create_request request = {.type = "upload"};
    struct activity_created created;
    assert_ok(activity_create(client, &request, NULL, &created, &error), error);
    server_signal(&server, SIGSTOP);
    sleep_ms(5500);
    server_signal(&server, SIGCONT);
    assert_int_equal(outcome(created.job_id), ACTIVITY_STATE_RUNNING);
    beat(created.job_id);
    server_kill(&server);
    sleep_ms(4500);
    server_start(&server, &scene, graceful);
    assert_int_equal(outcome(created.job_id), ACTIVITY_STATE_RUNNING);
    sleep_ms(1000);
    assert_int_equal(outcome(created.job_id), ACTIVITY_STATE_RUNNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_silent_one_is_killed_and_the_lively_one_is_not),
        cmocka_unit_test(test_a_pause_and_a_downtime_kill_nobody),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
