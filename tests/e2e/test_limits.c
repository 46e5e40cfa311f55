/* P8: each cap that a client can reach over the wire is reached, the promised answer given, and the
 * server stays below the memory that --print-limits shows. The caps that only the core can reach
 * have their tests in tests/unit/server/core. */
#include "tests/e2e/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct scene scene;
static struct server server;
static activity_client *client;
static struct activity_error error;

static const char *const flags[] = {
    "--set", "activities_max=2000",  "--set", "activity_text_bytes=1MiB",
    "--set", "result_bytes=2MiB",    "--set", "results_max=1000",
    "--set", "tombstones_max=1000",  "--set", "tickets_max=5",
    "--set", "request_ids_max=4096", "--set", "names_max=1024",
    "--set", "ended_keep_ms=1h",     "--set", "connections_per_principal=4",
    "--set", "memory_max=6GiB",      NULL};

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
    assert_int_equal(server_stop(&server), 0);
    scene_end(&scene);
    return 0;
}

static int create(const char *title, uint64_t *job_id)
{
    const struct activity_create_request request = {.type = "upload", .title = title};
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    struct activity_created created;
    call.never_repeat = true;
    int code = activity_create(client, &request, &call, &created, &error);
    if (code == ACTIVITY_OK && job_id != NULL) {
        *job_id = created.job_id;
    }
    return code;
}

static void complete(uint64_t job_id, const void *content, size_t size)
{
    const struct activity_job_result result = {.content = {content, size},
                                               .content_type = "application/octet-stream"};
    const struct activity_update_request request = {.job_id = job_id,
                                                    .set_percent = true,
                                                    .percent = 100,
                                                    .result = size == 0 ? NULL : &result};
    struct activity_updated updated;
    assert_ok(activity_update(client, &request, NULL, &updated, &error), error);
    assert_int_equal(updated.disposition, ACTIVITY_APPLIED);
}

static enum activity_result_state result_state(uint64_t job_id)
{
    activity_result *result;
    assert_ok(activity_get_result(client, job_id, NULL, &result, &error), error);
    enum activity_result_state state = activity_result_returned(result)->state;
    activity_result_free(result);
    return state;
}

static void test_the_oldest_result_leaves_early_and_says_so(void **state)
{
    (void)state;
    static uint8_t content[800 * 1024];
    uint64_t job[4];
    memset(content, 7, sizeof content);
    for (size_t i = 0; i < 4; i++) {
        assert_ok(create("with a result", &job[i]), error);
        complete(job[i], content, sizeof content);
        assert_int_equal(result_state(job[i]), ACTIVITY_RESULT_READY);
    }
    assert_int_equal(result_state(job[0]), ACTIVITY_RESULT_EXPIRED); /* 2 MiB hold two of them */
    assert_int_equal(result_state(job[3]), ACTIVITY_RESULT_READY);
}

static void test_text_is_bounded(void **state)
{
    (void)state;
    char title[257];
    memset(title, 'x', 256);
    title[256] = '\0';
    int code = ACTIVITY_OK;
    for (size_t i = 0; i < 8000 && code == ACTIVITY_OK; i++) {
        code = create(title, NULL);
    }
    assert_int_equal(code, ACTIVITY_RESOURCE_EXHAUSTED);
    assert_true(strcmp(error.reason, "TOO_MUCH_TEXT") == 0 ||
                strcmp(error.reason, "TOO_MANY_ACTIVITIES") == 0);
}

static void test_running_activities_are_bounded_and_ended_ones_make_room(void **state)
{
    (void)state;
    int code = ACTIVITY_OK;
    for (size_t i = 0; i < 3000 && code == ACTIVITY_OK; i++) {
        code = create(NULL, NULL);
    }
    assert_int_equal(code, ACTIVITY_RESOURCE_EXHAUSTED);
    assert_string_equal(error.reason, "TOO_MANY_ACTIVITIES");
    /* End one: the next create takes its place, though it would have been shown for an hour. */
    const enum activity_state running = ACTIVITY_STATE_RUNNING;
    const struct activity_find_request find = {
        .activities = true, .states = &running, .state_count = 1, .page_size = 1, .observe = true};
    activity_result *result;
    assert_ok(activity_find(client, &find, NULL, &result, &error), error);
    assert_int_equal(activity_result_page(result)->activity_count, 1);
    uint64_t job = activity_result_page(result)->activities[0].job_id;
    activity_result_free(result);
    complete(job, NULL, 0);
    assert_ok(create(NULL, NULL), error);
    assert_int_equal(activity_get(client, job, NULL, &result, &error), ACTIVITY_NOT_FOUND);
    assert_int_equal(result_state(job), ACTIVITY_RESULT_EMPTY); /* its tombstone knows */
}

static void test_tickets_are_bounded(void **state)
{
    (void)state;
    const struct activity_document_change change = {
        .model = "asset", .document_id = "1", .affected_model = "Asset", .json = {"{}", 2}};
    const struct activity_record_request request = {.changes = &change, .change_count = 1};
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    call.never_repeat = true;
    for (size_t i = 0; i < 5; i++) {
        assert_ok(activity_record_changes(client, &request, &call, NULL, &error), error);
    }
    assert_int_equal(activity_record_changes(client, &request, &call, NULL, &error),
                     ACTIVITY_RESOURCE_EXHAUSTED);
    assert_string_equal(error.reason, "TOO_MANY_TICKETS");
}

static void test_connections_of_one_principal_are_bounded(void **state)
{
    (void)state;
    activity_client *more[4];
    size_t connected = 0;
    for (size_t i = 0; i < 4; i++) {
        more[i] = client_of(&server, "worker", NULL, NULL, NULL);
        connected += activity_client_connect(more[i], 1500, &error) == ACTIVITY_OK;
    }
    assert_int_equal(connected, 3); /* the fourth is the one above the four of this principal */
    activity_client *other = client_of(&server, "boss", NULL, NULL, NULL);
    assert_ok(activity_client_connect(other, 30000, &error), error);
    activity_client_free(other);
    for (size_t i = 0; i < 4; i++) {
        activity_client_free(more[i]);
    }
    assert_true(server_said(&server, "connections_per_principal"));
}

static void test_memory_stays_below_the_printed_bound(void **state)
{
    (void)state;
    const char *binaries = getenv("ACTIVITY_BIN");
    char command[1024];
    (void)snprintf(command, sizeof command,
                   "%s/activityd --print-limits --dev --data-dir /nonexistent",
                   binaries == NULL ? "build" : binaries);
    for (size_t i = 0; flags[i] != NULL; i++) {
        (void)strncat(command, " ", sizeof command - strlen(command) - 1);
        (void)strncat(command, flags[i], sizeof command - strlen(command) - 1);
    }
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    double total = 0;
    char unit[8] = "";
    char line[256];
    while (fgets(line, sizeof line, pipe) != NULL) {
        (void)sscanf(line, "total %lf %7s", &total, unit);
    }
    assert_int_equal(pclose(pipe), 0);
    double bytes = total * (strcmp(unit, "GiB") == 0 ? 1073741824.0 : 1048576.0);
    assert_true(bytes > 1048576.0);
    assert_true((double)server_memory(&server) < bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_oldest_result_leaves_early_and_says_so),
        cmocka_unit_test(test_text_is_bounded),
        cmocka_unit_test(test_running_activities_are_bounded_and_ended_ones_make_room),
        cmocka_unit_test(test_tickets_are_bounded),
        cmocka_unit_test(test_connections_of_one_principal_are_bounded),
        cmocka_unit_test(test_memory_stays_below_the_printed_bound),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
