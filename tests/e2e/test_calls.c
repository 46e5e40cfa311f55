/* Every call once or more against a real server over TLS, as one worker sees them. */
#include "tests/e2e/harness.h"

#include <activity_admin.h>
#include <string.h>

static struct scene scene;
static struct server server;
static activity_client *client;
static struct activity_error error;

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    static const char *const flags[] = {"--model", "orders kind=fragments", NULL};
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

static uint64_t create(const char *type, const char *title)
{
    struct activity_create_request request = {.type = type, .title = title};
    struct activity_created created;
    assert_ok(activity_create(client, &request, NULL, &created, &error), error);
    assert_int_equal(created.update_within_ms, 30000);
    assert_int_equal(created.kill_after_ms, 90000);
    assert_true(created.job_id > 0 && created.job_id < UINT64_C(1) << 53);
    return created.job_id;
}

static struct activity_updated update(const struct activity_update_request *request)
{
    struct activity_updated updated;
    assert_ok(activity_update(client, request, NULL, &updated, &error), error);
    assert_true(updated.job_id == request->job_id);
    return updated;
}

static void test_an_upload_from_create_to_result(void **state)
{
    (void)state;
    const struct activity_attribute attributes[] = {{"size", "12345"}, {"source", "camera 7"}};
    struct activity_create_request request = {.type = "upload",
                                              .title = "Sunset \xF0\x9F\x8C\x85",
                                              .attributes = attributes,
                                              .attribute_count = 2};
    struct activity_created created;
    assert_ok(activity_create(client, &request, NULL, &created, &error), error);

    struct activity_updated updated =
        update(&(struct activity_update_request){.job_id = created.job_id,
                                                 .set_percent = true,
                                                 .percent = 40,
                                                 .status_text = "40 of 100 MB"});
    assert_int_equal(updated.percent, 40);
    assert_int_equal(updated.disposition, ACTIVITY_APPLIED);
    updated = update(&(struct activity_update_request){
        .job_id = created.job_id, .set_percent = true, .percent = 39, .status_text = "late"});
    assert_int_equal(updated.percent, 40);
    assert_int_equal(updated.disposition, ACTIVITY_HEARTBEAT);

    activity_result *result;
    assert_ok(activity_get(client, created.job_id, NULL, &result, &error), error);
    const struct activity_info *info = activity_result_activity(result);
    assert_string_equal(info->type, "upload");
    assert_string_equal(info->title, "Sunset \xF0\x9F\x8C\x85");
    assert_string_equal(info->status_text, "40 of 100 MB");
    assert_string_equal(info->creator, "spiffe://test/worker");
    assert_string_equal(info->owner, "");
    assert_int_equal(info->state, ACTIVITY_STATE_RUNNING);
    assert_int_equal(info->attribute_count, 2);
    assert_string_equal(info->attributes[1].name, "source");
    assert_string_equal(info->attributes[1].value, "camera 7");
    activity_result_free(result);

    assert_ok(activity_get_result(client, created.job_id, NULL, &result, &error), error);
    assert_int_equal(activity_result_returned(result)->state, ACTIVITY_RESULT_PENDING);
    assert_int_equal(activity_result_returned(result)->outcome, ACTIVITY_STATE_RUNNING);
    activity_result_free(result);

    const struct activity_result_item items[] = {{"asset-1", NULL, NULL},
                                                 {"asset-2", "TOO_DARK", "cannot be seen"}};
    const struct activity_job_result job_result = {.items = items,
                                                   .item_count = 2,
                                                   .content = {"{\"ok\":1}", 8},
                                                   .content_type = "application/json"};
    const struct activity_update_request last = {
        .job_id = created.job_id, .set_percent = true, .percent = 100, .result = &job_result};
    updated = update(&last);
    assert_int_equal(updated.disposition, ACTIVITY_APPLIED);
    assert_int_equal(updated.percent, 100);
    assert_int_equal(update(&last).disposition,
                     ACTIVITY_APPLIED); /* the repetition of the one that ended it */
    updated = update(&(struct activity_update_request){
        .job_id = created.job_id, .set_percent = true, .percent = 50});
    assert_int_equal(updated.disposition, ACTIVITY_IGNORED_COMPLETED);
    assert_int_equal(updated.percent, 100);

    assert_ok(activity_get_result(client, created.job_id, NULL, &result, &error), error);
    const struct activity_returned *returned = activity_result_returned(result);
    assert_int_equal(returned->state, ACTIVITY_RESULT_READY);
    assert_int_equal(returned->outcome, ACTIVITY_STATE_COMPLETED);
    assert_int_equal(returned->result.item_count, 2);
    assert_string_equal(returned->result.items[1].error_code, "TOO_DARK");
    assert_string_equal(returned->result.content_type, "application/json");
    assert_int_equal(returned->result.content.size, 8);
    assert_memory_equal(returned->result.content.data, "{\"ok\":1}", 8);
    activity_result_free(result);
}

static void test_failure_and_cancel_tell_their_outcome(void **state)
{
    (void)state;
    uint64_t failing = create("transcoding", "to fail");
    (void)update(
        &(struct activity_update_request){.job_id = failing, .set_percent = true, .percent = 30});
    const struct activity_failure failure = {"CODEC_MISSING", "no such codec"};
    struct activity_updated updated =
        update(&(struct activity_update_request){.job_id = failing, .failure = &failure});
    assert_int_equal(updated.disposition, ACTIVITY_APPLIED);
    assert_int_equal(updated.percent, 30);
    activity_result *result;
    assert_ok(activity_get(client, failing, NULL, &result, &error), error);
    assert_int_equal(activity_result_activity(result)->state, ACTIVITY_STATE_FAILED);
    assert_string_equal(activity_result_activity(result)->failure->code, "CODEC_MISSING");
    assert_string_equal(activity_result_activity(result)->failure->message, "no such codec");
    activity_result_free(result);

    uint64_t unwanted = create("miscActivities", "to cancel");
    enum activity_disposition disposition;
    assert_ok(activity_destroy(client, unwanted, NULL, &disposition, &error), error);
    assert_int_equal(disposition, ACTIVITY_APPLIED);
    updated = update(
        &(struct activity_update_request){.job_id = unwanted, .set_percent = true, .percent = 1});
    assert_int_equal(updated.disposition, ACTIVITY_IGNORED_CANCELLED);

    const struct {
        uint64_t job_id;
        enum activity_state outcome;
    } ends[] = {{failing, ACTIVITY_STATE_FAILED}, {unwanted, ACTIVITY_STATE_CANCELLED}};
    for (size_t i = 0; i < 2; i++) {
        assert_ok(activity_get_result(client, ends[i].job_id, NULL, &result, &error), error);
        assert_int_equal(activity_result_returned(result)->state, ACTIVITY_RESULT_EMPTY);
        assert_int_equal(activity_result_returned(result)->outcome, ends[i].outcome);
        activity_result_free(result);
    }
}

static void test_unknown_jobs_are_no_error_where_the_contract_says_so(void **state)
{
    (void)state;
    const uint64_t nobody = 4711;
    struct activity_updated updated = update(
        &(struct activity_update_request){.job_id = nobody, .set_percent = true, .percent = 1});
    assert_int_equal(updated.disposition, ACTIVITY_IGNORED_UNKNOWN);
    assert_int_equal(updated.percent, 0);
    enum activity_disposition disposition;
    assert_ok(activity_destroy(client, nobody, NULL, &disposition, &error), error);
    assert_int_equal(disposition, ACTIVITY_IGNORED_UNKNOWN);
    activity_result *result;
    assert_ok(activity_get_result(client, nobody, NULL, &result, &error), error);
    assert_int_equal(activity_result_returned(result)->state, ACTIVITY_RESULT_UNKNOWN);
    activity_result_free(result);
    assert_int_equal(activity_get(client, nobody, NULL, &result, &error), ACTIVITY_NOT_FOUND);
    assert_string_equal(error.reason, "UNKNOWN_JOB");
}

static void test_a_batch_answers_in_order(void **state)
{
    (void)state;
    uint64_t a = create("batchUpdate", "a");
    uint64_t b = create("batchUpdate", "b");
    const uint64_t ids[] = {b, a, 4711, b, b};
    const uint8_t percents[] = {10, 20, 30, 5, 100};
    const struct activity_batch_request request = {
        .job_ids = ids, .percents = percents, .count = 5};
    activity_result *result;
    assert_ok(activity_batch_update(client, &request, NULL, &result, &error), error);
    const struct activity_batch *batch = activity_result_batch(result);
    const uint8_t stored[] = {10, 20, 0, 10, 100};
    const uint8_t dispositions[] = {ACTIVITY_APPLIED, ACTIVITY_APPLIED, ACTIVITY_IGNORED_UNKNOWN,
                                    ACTIVITY_HEARTBEAT, ACTIVITY_APPLIED};
    assert_int_equal(batch->count, 5);
    assert_memory_equal(batch->percents, stored, 5);
    assert_memory_equal(batch->dispositions, dispositions, 5);
    assert_int_equal(batch->ignored_count, 1);
    activity_result_free(result);
    assert_ok(activity_get_result(client, b, NULL, &result, &error), error);
    assert_int_equal(activity_result_returned(result)->state, ACTIVITY_RESULT_EMPTY);
    assert_int_equal(activity_result_returned(result)->outcome, ACTIVITY_STATE_COMPLETED);
    activity_result_free(result);
}

static void test_find_pages_through_everything_in_order(void **state)
{
    (void)state;
    enum { COUNT = 2500 };
    static uint64_t made[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        made[i] = create("paged", "one of many");
    }
    const char *const types[] = {"paged"};
    const struct activity_find_request request = {
        .activities = true, .types = types, .type_count = 1, .page_size = 700};
    activity_finder *finder = activity_finder_new(client, &request, NULL, &error);
    assert_non_null(finder);
    const struct activity_page *page;
    size_t found = 0;
    size_t pages = 0;
    int code;
    while ((code = activity_finder_next(finder, &page, &error)) == ACTIVITY_OK && page != NULL) {
        assert_true(page->activity_count <= 700);
        assert_true((pages++ == 0) == (page->cursor.epoch != 0));
        for (size_t i = 0; i < page->activity_count; i++) {
            assert_true(found < COUNT && page->activities[i].job_id == made[found]);
            found++;
        }
    }
    assert_ok(code, error);
    activity_finder_free(finder);
    assert_int_equal(found, COUNT);
    assert_true(pages >= 4);
}

static void test_the_seeds_example(void **state)
{
    (void)state;
    /* Payloads at about 0, 50 and 100 ms become one batch 200 ms after the first. */
    const char *const everyone[] = {"*"};
    const struct activity_document_change change = {.model = "mediacontainer",
                                                    .document_id = "123",
                                                    .affected_model = "mediaContainer",
                                                    .json = {"{}", 2},
                                                    .groups = everyone,
                                                    .group_count = 1};
    const struct activity_record_request request = {.changes = &change, .change_count = 1};
    uint64_t accepted[3];
    for (size_t i = 0; i < 3; i++) {
        struct activity_recorded recorded;
        assert_ok(activity_record_changes(client, &request, NULL, &recorded, &error), error);
        assert_true(recorded.ticket != 0);
        accepted[i] = recorded.accept_time_ms;
        if (i < 2) {
            sleep_ms(50);
        }
    }
    const struct activity_find_request find = {
        .model_changes = true, .model_changes_es = true, .observe = true};
    uint64_t end = now_ms() + 10000;
    for (;;) {
        activity_result *result;
        assert_ok(activity_find(client, &find, NULL, &result, &error), error);
        const struct activity_page *page = activity_result_page(result);
        assert_int_equal(page->model_change_count, 1);
        const struct activity_model_change *seen = &page->model_changes[0];
        assert_string_equal(seen->model, "mediacontainer");
        assert_string_equal(seen->document_id, "123");
        assert_int_equal(seen->affected_model_count, 1);
        assert_string_equal(seen->affected_models[0].affected_model, "mediaContainer");
        assert_true(seen->affected_models[0].first_ms == accepted[0]);
        assert_true(seen->affected_models[0].last_ms == accepted[2]);
        assert_true(seen->updated_ms == accepted[2]);
        if (page->model_change_es_count == 1) {
            const struct activity_model_change *sent = &page->model_changes_es[0];
            assert_string_equal(sent->model, "es:mediacontainer");
            assert_int_equal(sent->affected_model_count, 1);
            const struct activity_affected_model *model = &sent->affected_models[0];
            assert_string_equal(model->affected_model, "mediaContainer");
            assert_true(sent->updated_ms == model->updated_ms);
            /* On a loaded machine the three may fall into two batches; then the last one is shown.
             */
            assert_true(model->last_ms <= model->updated_ms);
            if (model->last_ms == accepted[2]) {
                if (model->first_ms == accepted[0]) {
                    assert_true(model->updated_ms >= accepted[0] + 100);
                }
                activity_result_free(result);
                break;
            }
        }
        activity_result_free(result);
        assert_true(now_ms() < end);
        sleep_ms(20);
    }
}

static void test_bad_input_names_the_field(void **state)
{
    (void)state;
    const struct {
        struct activity_create_request request;
        const char *field;
    } bad[] = {
        {{.type = ""}, "type"},
        {{.type = "9lives"}, "type"},
        {{.type = "upload", .title = "bell \a"}, "title"},
        {{.type = "upload", .title = "\xC3\x28"}, "title"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(activity_create(client, &bad[i].request, NULL, NULL, &error),
                         ACTIVITY_INVALID_ARGUMENT);
        assert_string_equal(error.reason, "BAD_FIELD");
        assert_string_equal(error.field, bad[i].field);
        assert_true(strlen(error.message) > 10);
    }
    uint64_t job = create("upload", "strict");
    const struct activity_failure failure = {"X", NULL};
    const struct activity_update_request bad_updates[] = {
        {.job_id = job, .set_percent = true, .percent = 101},
        {.job_id = job, .set_percent = true, .percent = 100, .failure = &failure},
    };
    for (size_t i = 0; i < sizeof bad_updates / sizeof bad_updates[0]; i++) {
        assert_int_equal(activity_update(client, &bad_updates[i], NULL, NULL, &error),
                         ACTIVITY_INVALID_ARGUMENT);
    }
    const uint64_t ids[] = {job, job, job};
    const uint8_t percents[] = {1, 2, 101};
    const struct activity_batch_request batch = {.job_ids = ids, .percents = percents, .count = 3};
    assert_int_equal(activity_batch_update(client, &batch, NULL, NULL, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "percents[2]");
    activity_result *result;
    assert_ok(activity_get(client, job, NULL, &result, &error), error);
    assert_int_equal(activity_result_activity(result)->percent,
                     0); /* nothing of the refused batch was done */
    activity_result_free(result);
}

/* ---- What is recorded for an index ---- */

static struct activity_bytes text_bytes(const char *text)
{
    return (struct activity_bytes){text, text == NULL ? 0 : strlen(text)};
}

static struct activity_document_change change_of(const char *model, const char *json,
                                                 const char *merge_patch)
{
    return (struct activity_document_change){.model = model,
                                             .document_id = "border",
                                             .affected_model = "Border",
                                             .json = text_bytes(json),
                                             .merge_patch = text_bytes(merge_patch)};
}

/* A good change, and the one that is looked at. */
static int record_second(struct activity_document_change change)
{
    const struct activity_document_change changes[] = {change_of("assets", "{}", NULL), change};
    const struct activity_record_request request = {.changes = changes, .change_count = 2};
    return activity_record_changes(client, &request, NULL, NULL, &error);
}

static void assert_change_refused(struct activity_document_change change, const char *field,
                                  const char *words)
{
    assert_int_equal(record_second(change), ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "BAD_FIELD");
    assert_string_equal(error.field, field);
    if (strstr(error.message, words) == NULL) {
        fail_msg("%s", error.message);
    }
}

/* Of those two models. */
static size_t documents_recorded(void)
{
    const struct activity_find_request find = {.model_changes = true, .observe = true};
    activity_result *result;
    assert_ok(activity_find(client, &find, NULL, &result, &error), error);
    const struct activity_page *page = activity_result_page(result);
    size_t count = 0;
    for (size_t i = 0; i < page->model_change_count; i++) {
        const char *model = page->model_changes[i].model;
        count += strcmp(model, "assets") == 0 || strcmp(model, "orders") == 0;
    }
    activity_result_free(result);
    return count;
}

static void test_bad_documents_are_named_and_nothing_is_recorded(void **state)
{
    (void)state;
    assert_change_refused(change_of("orders", "{}", NULL), "changes[1].json",
                          "document \"border\" of orders; send merge_patch, or configure");
    assert_change_refused(change_of("assets", NULL, "{}"), "changes[1].merge_patch",
                          "document \"border\" of assets; send json, or configure");
    assert_change_refused(change_of("assets", "{}", "{}"), "changes[1].merge_patch", "send json");
    assert_change_refused(change_of("assets", "{\"a\":1,}", NULL), "changes[1].json",
                          "at position 8 in document \"border\" of assets");
    assert_change_refused(change_of("assets", "{\"a\":[1", NULL), "changes[1].json",
                          "premature EOF at position 8");
    assert_change_refused(change_of("orders", NULL, "{\"a\":1,\"\\u0061\":2}"),
                          "changes[1].merge_patch", "duplicate object key at position 15");
    assert_change_refused(change_of("orders", NULL, "[]"), "changes[1].merge_patch",
                          "another value at position 1");
    assert_change_refused(change_of("assets", "{\"a\":\"\xC3\x28\"}", NULL), "changes[1].json",
                          "no UTF-8 at position 7");
    struct activity_document_change change = change_of("orders", NULL, "{}");
    change.deleted = true;
    assert_change_refused(change, "changes[1].merge_patch", "beside deleted");
    static char text[512 * 1024 + 1]; /* one byte too long */
    memset(text, ' ', sizeof text);
    memcpy(text, "{}", 2);
    change = change_of("assets", NULL, NULL);
    change.json = (struct activity_bytes){text, sizeof text};
    assert_change_refused(change, "changes[1].json", "524288 bytes, found 524289");
    char deep[132];
    memcpy(deep, "{\"\":", 4);
    memset(deep + 4, '[', 64);
    memset(deep + 68, ']', 64);
    change = change_of("orders", NULL, NULL);
    change.merge_patch = (struct activity_bytes){deep, sizeof deep};
    assert_change_refused(change, "changes[1].merge_patch", "more than 64 levels at position 68");
    char id[514]; /* 513 bytes */
    memset(id, 'x', sizeof id - 1);
    id[513] = '\0';
    change = change_of("assets", "{}", NULL);
    change.document_id = id;
    assert_change_refused(change, "changes[1].document_id", "512");
    assert_int_equal(documents_recorded(), 0);

    id[512] = '\0';
    assert_ok(record_second(change), error);
    change.json.size = 0;
    change.deleted = true;
    change.model = "orders";
    assert_ok(record_second(change), error);
    change = change_of("assets", NULL, NULL); /* the good one may be the longest, too */
    change.json = (struct activity_bytes){text, sizeof text - 1};
    assert_ok(record_second(change), error);
    assert_ok(record_second(change_of("orders", NULL, "{\"a\":{\"b\":null}}")), error);
    assert_int_equal(documents_recorded(), 4);
}

/* A repetition is the same in all that is sent: another patch or urgency is another request. */
static void test_a_repeated_request_has_the_same_changes(void **state)
{
    (void)state;
    struct activity_document_change change = change_of("orders", NULL, "{\"a\":1}");
    struct activity_record_request request = {.changes = &change, .change_count = 1};
    struct activity_recorded first;
    struct activity_recorded again;
    assert_int_equal(activity_request_id_new(request.request_id), ACTIVITY_OK);
    assert_ok(activity_record_changes(client, &request, NULL, &first, &error), error);
    assert_ok(activity_record_changes(client, &request, NULL, &again, &error), error);
    assert_true(first.ticket == again.ticket);
    request.urgent = true;
    assert_int_equal(activity_record_changes(client, &request, NULL, NULL, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "REQUEST_ID_REUSED");
    request.urgent = false;
    change.merge_patch = text_bytes("{\"a\":2}");
    assert_int_equal(activity_record_changes(client, &request, NULL, NULL, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "REQUEST_ID_REUSED");
    assert_int_equal(activity_request_id_new(request.request_id), ACTIVITY_OK);
    request.urgent = true;
    assert_ok(activity_record_changes(client, &request, NULL, &again, &error), error);
    assert_true(first.ticket != again.ticket);
}

static void test_server_info_and_rights(void **state)
{
    (void)state;
    activity_result *result;
    assert_ok(activity_get_server_info(client, NULL, &result, &error), error);
    const struct activity_server_info *info = activity_result_server_info(result);
    assert_string_equal(info->principal, "spiffe://test/worker");
    assert_string_equal(info->index, "none");
    assert_string_equal(info->feed_url, server.feed_url);
    assert_true(info->epoch != 0 && info->epoch == activity_result_epoch(result));
    assert_true(info->limit_count > 20);
    assert_true(info->certificate_count >= 1 && info->certificates[0].not_after_ms > info->time_ms);
    assert_string_equal(info->tls->version, "1.3");
    assert_string_equal(info->tls->cipher_suite, "TLS_CHACHA20_POLY1305_SHA256");
    assert_true(info->tls->connections >= 1 && info->tls->suite_count >= 1);
    assert_null(info->revocations);
    assert_int_equal(info->rules, 6);
    assert_in_range(info->loaded_time_ms, info->start_time_ms - 60000, info->start_time_ms + 60000);
    activity_result_free(result);
    assert_int_equal(activity_list_users(client, NULL, NULL, &result, &error),
                     ACTIVITY_PERMISSION_DENIED);
    assert_int_equal(activity_drain(client, NULL, &error), ACTIVITY_PERMISSION_DENIED);
    assert_string_equal(error.reason, "NOT_ALLOWED");

    const char *const groups[] = {"editors", NULL};
    activity_client *anna = client_of(&server, "gateway", "acme", "anna", groups);
    assert_ok(activity_find(anna, &(struct activity_find_request){.activities = true}, NULL,
                            &result, &error),
              error);
    activity_result_free(result);
    activity_client_free(anna);
    activity_client *boss = client_of(&server, "boss", NULL, NULL, NULL);
    uint64_t end = now_ms() + 10000;
    for (bool seen = false; !seen;) { /* the beat arrives with the next tick */
        assert_ok(activity_list_users(boss, NULL, NULL, &result, &error), error);
        const struct activity_users *users = activity_result_users(result);
        for (size_t i = 0; i < users->user_count; i++) {
            seen = seen || strcmp(users->users[i].user, "anna") == 0;
        }
        activity_result_free(result);
        assert_true(now_ms() < end);
    }
    activity_client_free(boss);
}

static void test_state_hash_is_stable_while_nothing_happens(void **state)
{
    (void)state;
    activity_client *root = client_of(&server, "root", NULL, NULL, NULL);
    struct activity_state_hash a = {0};
    assert_ok(activity_get_state_hash(root, NULL, &a, &error), error);
    assert_true(a.state_hash != 0 && a.digest != 0 && a.journal_index != 0);
    activity_client_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_seeds_example),
        cmocka_unit_test(test_an_upload_from_create_to_result),
        cmocka_unit_test(test_failure_and_cancel_tell_their_outcome),
        cmocka_unit_test(test_unknown_jobs_are_no_error_where_the_contract_says_so),
        cmocka_unit_test(test_a_batch_answers_in_order),
        cmocka_unit_test(test_find_pages_through_everything_in_order),
        cmocka_unit_test(test_bad_input_names_the_field),
        cmocka_unit_test(test_bad_documents_are_named_and_nothing_is_recorded),
        cmocka_unit_test(test_a_repeated_request_has_the_same_changes),
        cmocka_unit_test(test_server_info_and_rights),
        cmocka_unit_test(test_state_hash_is_stable_while_nothing_happens),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
