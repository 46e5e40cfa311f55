/* P8, the caps that test_limits.c leaves: places for documents, waiting changes, names, tenants,
 * request ids, tombstones, events and present users, each reached over the wire. At each either the
 * newest is refused with its reason and has no effect, or the oldest leaves early and it is told.
 */
#include "tests/e2e/harness.h"

#include <stdio.h>
#include <string.h>

static struct scene scene;
static struct activity_error error;

/* In the first server nothing is sent to the index in time, so what is recorded waits; in the
 * second everything is sent at once and leaves early. */
static struct server waiting = {.data = "waiting"};
static struct server quick = {.data = "quick"};
static const char *const waiting_flags[] = {
    "--set", "flush_delay_ms=1min",    "--set", "change_documents_max=30",
    "--set", "pending_changes_max=50", "--set", "names_max=1024",
    "--set", "tenants_max=1",          "--set", "request_ids_max=1024",
    "--set", "request_id_least_ms=1h", "--set", "request_id_most_ms=1h",
    NULL};
static const char *const quick_flags[] = {
    "--set", "flush_delay_ms=0ms",     "--set", "change_documents_max=10",
    "--set", "tombstones_max=5",       "--set", "ended_keep_ms=0ms",
    "--set", "feed_window_bytes=1MiB", "--set", "present_users_max=3",
    NULL};

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    server_start(&waiting, &scene, waiting_flags);
    server_start(&quick, &scene, quick_flags);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(server_stop(&waiting), 0);
    assert_int_equal(server_stop(&quick), 0);
    scene_end(&scene);
    return 0;
}

/* A refusal is looked at, not repeated. */
static const struct activity_call_options *once(void)
{
    static struct activity_call_options options = ACTIVITY_CALL_OPTIONS_INIT;
    options.never_repeat = true;
    return &options;
}

static int record(activity_client *client, const char *document_id)
{
    const struct activity_document_change change = {
        .model = "asset", .document_id = document_id, .affected_model = "Asset"};
    const struct activity_record_request request = {.changes = &change, .change_count = 1};
    return activity_record_changes(client, &request, once(), NULL, &error);
}

static int create(activity_client *client, const char *type, uint64_t *job_id)
{
    const struct activity_create_request request = {.type = type};
    struct activity_created created = {0};
    int code = activity_create(client, &request, once(), &created, &error);
    *job_id = created.job_id;
    return code;
}

static void assert_refused(int code, const char *reason)
{
    assert_int_equal(code, ACTIVITY_RESOURCE_EXHAUSTED);
    assert_string_equal(error.reason, reason);
    assert_true(error.retry_after_ms > 0);
}

struct counts {
    size_t activities, changes, es_changes;
    uint64_t complete_since_ms, oldest_shown_ms;
};

static struct counts count(activity_client *client)
{
    struct counts counts = {.oldest_shown_ms = UINT64_MAX};
    activity_result *result;
    const struct activity_find_request all = {.observe = true};
    assert_ok(activity_find(client, &all, NULL, &result, &error), error);
    const struct activity_page *page = activity_result_page(result);
    counts.activities = page->activity_count;
    counts.changes = page->model_change_count;
    counts.es_changes = page->model_change_es_count;
    counts.complete_since_ms = page->model_changes_complete_since_ms;
    for (size_t i = 0; i < page->model_change_count; i++) {
        if (page->model_changes[i].updated_ms < counts.oldest_shown_ms) {
            counts.oldest_shown_ms = page->model_changes[i].updated_ms;
        }
    }
    activity_result_free(result);
    return counts;
}

static void test_documents_and_changes_that_wait(void **state)
{
    (void)state;
    activity_client *client = client_of(&waiting, "worker", NULL, NULL, NULL);
    char id[16];
    for (int i = 0; i < 30; i++) {
        (void)snprintf(id, sizeof id, "%d", i);
        assert_ok(record(client, id), error);
    }
    assert_refused(record(client, "one more"), "TOO_MANY_DOCUMENTS"); /* all of them wait */
    for (int i = 0; i < 20; i++) {
        assert_ok(record(client, "7"), error); /* a known document needs no place */
    }
    assert_refused(record(client, "7"), "TOO_MANY_PENDING_CHANGES");
    assert_int_equal(count(client).changes, 30); /* the refused have left no trace */
    assert_int_equal(count(client).es_changes, 0);
    activity_client_free(client);
}

static void test_a_tenant_too_many(void **state)
{
    (void)state;
    static const char *const groups[] = {"editors", NULL};
    activity_client *here = client_of(&waiting, "gateway", "acme", "anna", groups);
    activity_client *there = client_of(&waiting, "gateway", "other", "anna", groups);
    uint64_t job;
    assert_ok(create(here, "upload", &job), error);
    assert_refused(create(there, "upload", &job), "TOO_MANY_NAMES");
    assert_int_equal(count(there).activities, 0); /* and may still ask */
    assert_int_equal(count(here).activities, 1);
    activity_client_free(here);
    activity_client_free(there);
}

/* Fills the table of names with types, and the request ids with what that takes. */
static void test_names_and_request_ids(void **state)
{
    (void)state;
    activity_client *worker = client_of(&waiting, "worker", NULL, NULL, NULL);
    activity_client *gateway = client_of(&waiting, "gateway", NULL, NULL, NULL);
    uint64_t job;
    int code = ACTIVITY_OK;
    size_t created = 0;
    for (; created < 2000 && code == ACTIVITY_OK; created++) {
        char type[16];
        (void)snprintf(type, sizeof type, "type%zu", created);
        code = create(worker, type, &job);
    }
    created--;
    /* A principal with more than half of the request ids is refused before the others are. */
    assert_refused(code, "TOO_MANY_REQUEST_IDS");
    assert_in_range(created, 512, 1023);
    size_t others = 0;
    for (code = ACTIVITY_OK; others < 2000 && code == ACTIVITY_OK; others++) {
        char type[16];
        (void)snprintf(type, sizeof type, "more%zu", others);
        code = create(gateway, type, &job);
    }
    others--;
    assert_int_equal(code, ACTIVITY_RESOURCE_EXHAUSTED);
    assert_true(strcmp(error.reason, "TOO_MANY_NAMES") == 0 ||
                strcmp(error.reason, "TOO_MANY_REQUEST_IDS") == 0);
    assert_true(others > 0);
    activity_result *result;
    assert_ok(activity_get_server_info(worker, NULL, &result, &error), error);
    assert_true(activity_result_server_info(result)->request_id_kept_ms == 3600000);
    assert_int_equal(activity_result_server_info(result)->running_activities, created + others + 1);
    activity_result_free(result);
    activity_client_free(worker);
    activity_client_free(gateway);
}

static void test_windows_that_are_too_small_say_from_when_they_are_complete(void **state)
{
    (void)state;
    activity_client *client = client_of(&quick, "worker", NULL, NULL, NULL);
    char id[16];
    for (int i = 0; i < 25; i++) {
        (void)snprintf(id, sizeof id, "%d", i);
        assert_ok(record(client, id), error);
        sleep_ms(3); /* so that their times differ */
    }
    struct counts counts = count(client);
    assert_true(counts.changes > 0 && counts.changes <= 10);
    assert_true(counts.complete_since_ms <= counts.oldest_shown_ms);
    activity_result *result;
    const struct activity_find_request since = {
        .model_changes = true, .updated_since_ms = counts.complete_since_ms, .observe = true};
    assert_ok(activity_find(client, &since, NULL, &result, &error), error);
    assert_int_equal(activity_result_page(result)->model_change_count, counts.changes);
    activity_result_free(result);
    activity_client_free(client);
}

static enum activity_result_state state_of(activity_client *client, uint64_t job_id)
{
    activity_result *result;
    assert_ok(activity_get_result(client, job_id, NULL, &result, &error), error);
    enum activity_result_state state = activity_result_returned(result)->state;
    activity_result_free(result);
    return state;
}

static void test_the_oldest_tombstone_leaves(void **state)
{
    (void)state;
    activity_client *client = client_of(&quick, "worker", NULL, NULL, NULL);
    uint64_t jobs[10];
    for (size_t i = 0; i < 10; i++) {
        assert_ok(create(client, "upload", &jobs[i]), error);
        assert_ok(activity_destroy(client, jobs[i], NULL, NULL, &error), error);
    }
    uint64_t end = now_ms() + 10000;
    while (count(client).activities > 0) { /* they leave at once, which is within a second */
        assert_true(now_ms() < end);
        sleep_ms(20);
    }
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(state_of(client, jobs[i]),
                         i < 5 ? ACTIVITY_RESULT_UNKNOWN : ACTIVITY_RESULT_EMPTY);
    }
    activity_client_free(client);
}

static void test_the_oldest_events_leave(void **state)
{
    (void)state;
    activity_client *client = client_of(&quick, "worker", NULL, NULL, NULL);
    static char value[1025];
    memset(value, 'v', 1024);
    const struct activity_attribute attributes[] = {{"a", value}, {"b", value}, {"c", value}};
    const struct activity_create_request request = {
        .type = "upload", .attributes = attributes, .attribute_count = 3};
    for (int i = 0; i < 500; i++) { /* of 3 KiB each, where 1 MiB are kept */
        assert_ok(activity_create(client, &request, NULL, NULL, &error), error);
    }
    activity_result *result;
    assert_ok(activity_get_server_info(client, NULL, &result, &error), error);
    const struct activity_server_info *info = activity_result_server_info(result);
    uint64_t kept = info->head_sequence - info->oldest_sequence + 1;
    assert_true(info->head_sequence >= 500);
    assert_in_range(kept, 100, 350);
    activity_result_free(result);
    activity_client_free(client);
}

static void test_the_users_longest_silent_are_forgotten(void **state)
{
    (void)state;
    activity_client *boss = client_of(&quick, "boss", NULL, NULL, NULL);
    activity_result *result;
    const struct activity_find_request find = {.activities = true};
    bool last_seen = false;
    uint64_t end = now_ms() + 20000;
    for (int i = 0; i < 8; i++) {
        char user[16];
        (void)snprintf(user, sizeof user, "user%d", i);
        activity_client *client = client_of(&quick, "gateway", "acme", user, NULL);
        assert_ok(activity_find(client, &find, NULL, &result, &error), error);
        activity_result_free(result);
        activity_client_free(client);
    }
    while (!last_seen) { /* the next tick carries them */
        assert_ok(activity_list_users(boss, NULL, NULL, &result, &error), error);
        const struct activity_users *users = activity_result_users(result);
        assert_true(users->user_count <= 3);
        for (size_t i = 0; i < users->user_count; i++) {
            last_seen = last_seen || strcmp(users->users[i].user, "user7") == 0;
        }
        activity_result_free(result);
        assert_true(now_ms() < end);
        sleep_ms(50);
    }
    activity_client_free(boss);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents_and_changes_that_wait),
        cmocka_unit_test(test_a_tenant_too_many),
        cmocka_unit_test(test_names_and_request_ids),
        cmocka_unit_test(test_windows_that_are_too_small_say_from_when_they_are_complete),
        cmocka_unit_test(test_the_oldest_tombstone_leaves),
        cmocka_unit_test(test_the_oldest_events_leave),
        cmocka_unit_test(test_the_users_longest_silent_are_forgotten),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
