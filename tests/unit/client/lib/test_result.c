/* What protobuf-c packs, read as plain structures; and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <activity_admin.h>

#include "activity/v1/activity_service.pb-c.h"
#include "activity/v1/admin_service.pb-c.h"
#include "activity/v1/health_service.pb-c.h"
#include "client/lib/result.h"
#include "proto/limits.h"

static const unsigned char request_id[ACTIVITY_REQUEST_ID_SIZE] = {9};

/* Decodes a payload as the answer of a method. */
static int decode(enum activity_method method, uint32_t batch_count, struct view payload,
                  activity_result **result)
{
    const struct result_question question = {method, batch_count, request_id};
    uint8_t *bytes = malloc(payload.length + 1);
    assert_non_null(bytes);
    if (payload.length > 0) {
        memcpy(bytes, payload.bytes, payload.length);
    }
    const struct frame_reply reply = {.payload = {bytes, payload.length}, .epoch = 3};
    struct activity_error error;
    int code = result_decode_take(&question, &reply, bytes, result, &error);
    assert_int_equal(code, error.code);
    if (code != ACTIVITY_OK) {
        assert_string_equal(error.reason, "MALFORMED_REPLY");
        assert_null(*result);
    }
    return code;
}

static activity_result *decode_message(enum activity_method method, const void *message)
{
    const ProtobufCMessage *base = message;
    size_t size = protobuf_c_message_get_packed_size(base);
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    protobuf_c_message_pack(base, bytes);
    activity_result *result;
    assert_int_equal(decode(method, 0, (struct view){bytes, size}, &result), ACTIVITY_OK);
    free(bytes);
    return result;
}

static void page(void **state)
{
    (void)state;
    Activity__V1__Attribute attribute = ACTIVITY__V1__ATTRIBUTE__INIT;
    attribute.name = "file";
    attribute.value = "a.mov";
    Activity__V1__Attribute *attributes[] = {&attribute};
    Activity__V1__Failure failure = ACTIVITY__V1__FAILURE__INIT;
    failure.code = "BROKEN";
    char *groups[] = {"g1", "g2"};
    Activity__V1__Activity one = ACTIVITY__V1__ACTIVITY__INIT;
    one.job_id = 7;
    one.type = "upload";
    one.state = ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_FAILED;
    one.percent = 42;
    one.n_groups = 2;
    one.groups = groups;
    one.n_attributes = 1;
    one.attributes = attributes;
    one.failure = &failure;
    one.end_time_ms = 99;
    Activity__V1__Activity two = ACTIVITY__V1__ACTIVITY__INIT;
    Activity__V1__Activity *activities[] = {&one, &two};
    Activity__V1__TimeRange range = ACTIVITY__V1__TIME_RANGE__INIT;
    range.last_ms = 100;
    Activity__V1__AffectedModel model = ACTIVITY__V1__AFFECTED_MODEL__INIT;
    model.affected_model = "mediaContainer";
    model.time_range = &range;
    model.updated_ms = 200;
    Activity__V1__AffectedModel *models[] = {&model};
    Activity__V1__ModelChange change = ACTIVITY__V1__MODEL_CHANGE__INIT;
    change.model = "es:mediacontainer";
    change.document_id = "123";
    change.n_affected_models = 1;
    change.affected_models = models;
    change.updated_ms = 200;
    Activity__V1__ModelChange *changes[] = {&change};
    Activity__V1__Cursor cursor = ACTIVITY__V1__CURSOR__INIT;
    cursor.epoch = UINT64_MAX;
    cursor.sequence = 5;
    Activity__V1__FindActivitiesResponse message = ACTIVITY__V1__FIND_ACTIVITIES_RESPONSE__INIT;
    message.n_activities = 2;
    message.activities = activities;
    message.n_model_changes_es = 1;
    message.model_changes_es = changes;
    message.cursor = &cursor;
    message.next_page_token = (ProtobufCBinaryData){3, (uint8_t *)"abc"};

    activity_result *result = decode_message(ACTIVITY_METHOD_FIND, &message);
    const struct activity_page *read = activity_result_page(result);
    assert_non_null(read);
    assert_null(activity_result_activity(result));
    assert_int_equal(activity_result_epoch(result), 3);
    assert_int_equal(read->activity_count, 2);
    assert_int_equal(read->activities[0].job_id, 7);
    assert_int_equal(read->activities[0].state, ACTIVITY_STATE_FAILED);
    assert_int_equal(read->activities[0].percent, 42);
    assert_string_equal(read->activities[0].groups[1], "g2");
    assert_string_equal(read->activities[0].attributes[0].value, "a.mov");
    assert_string_equal(read->activities[0].failure->code, "BROKEN");
    assert_string_equal(read->activities[0].failure->message, "");
    assert_string_equal(read->activities[1].type, "");
    assert_null(read->activities[1].failure);
    assert_int_equal(read->model_change_count, 0);
    assert_int_equal(read->model_change_es_count, 1);
    assert_string_equal(read->model_changes_es[0].document_id, "123");
    assert_int_equal(read->model_changes_es[0].affected_models[0].first_ms, 0);
    assert_int_equal(read->model_changes_es[0].affected_models[0].last_ms, 100);
    assert_int_equal(read->model_changes_es[0].affected_models[0].updated_ms, 200);
    assert_true(read->cursor.epoch == UINT64_MAX);
    assert_memory_equal(read->next_page_token.data, "abc", 3);
    activity_result_free(result);
}

static void returned(void **state)
{
    (void)state;
    Activity__V1__GetJobResultResponse message = ACTIVITY__V1__GET_JOB_RESULT_RESPONSE__INIT;
    message.state = ACTIVITY__V1__RESULT_STATE__RESULT_STATE_EMPTY;
    message.outcome = ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_KILLED;
    activity_result *result = decode_message(ACTIVITY_METHOD_GET_RESULT, &message);
    assert_int_equal(activity_result_returned(result)->state, ACTIVITY_RESULT_EMPTY);
    assert_int_equal(activity_result_returned(result)->outcome, ACTIVITY_STATE_KILLED);
    assert_string_equal(activity_result_returned(result)->result.content_type, "");
    activity_result_free(result);

    /* The most that a job may return. */
    static Activity__V1__ResultItem items[LIMIT_RESULT_ITEMS];
    static Activity__V1__ResultItem *pointers[LIMIT_RESULT_ITEMS];
    for (size_t i = 0; i < LIMIT_RESULT_ITEMS; i++) {
        items[i] = (Activity__V1__ResultItem)ACTIVITY__V1__RESULT_ITEM__INIT;
        items[i].id = "i";
        pointers[i] = &items[i];
    }
    Activity__V1__JobResult job = ACTIVITY__V1__JOB_RESULT__INIT;
    job.n_items = LIMIT_RESULT_ITEMS;
    job.items = pointers;
    message.state = ACTIVITY__V1__RESULT_STATE__RESULT_STATE_READY;
    message.result = &job;
    result = decode_message(ACTIVITY_METHOD_GET_RESULT, &message);
    assert_int_equal(activity_result_returned(result)->result.item_count, LIMIT_RESULT_ITEMS);
    assert_string_equal(activity_result_returned(result)->result.items[16383].id, "i");
    activity_result_free(result);
}

static void tls_and_reload(void **state)
{
    (void)state;
    Activity__V1__RevocationInfo list = ACTIVITY__V1__REVOCATION_INFO__INIT;
    list.lists = 1;
    list.entries = 9;
    list.issuer = "CN=i";
    list.next_update_ms = 77;
    list.expired = true;
    Activity__V1__TlsSuiteInfo suite = ACTIVITY__V1__TLS_SUITE_INFO__INIT;
    suite.version = "1.2";
    suite.cipher_suite = "TLS_X";
    suite.handshakes = 3;
    Activity__V1__TlsSuiteInfo *suites[] = {&suite};
    Activity__V1__TlsRefusalInfo refusal = ACTIVITY__V1__TLS_REFUSAL_INFO__INIT;
    refusal.reason = "no rule";
    refusal.count = 4;
    Activity__V1__TlsRefusalInfo *refusals[] = {&refusal};
    Activity__V1__TlsInfo tls = ACTIVITY__V1__TLS_INFO__INIT;
    tls.engine = "activity";
    tls.version = "1.3";
    tls.cipher_suite = "TLS_Y";
    tls.connections = 5;
    tls.unfinished = 1;
    tls.n_suites = 1;
    tls.suites = suites;
    tls.n_refusals = 1;
    tls.refusals = refusals;
    Activity__V1__GetServerInfoResponse info = ACTIVITY__V1__GET_SERVER_INFO_RESPONSE__INIT;
    info.tls = &tls;
    info.revocations = &list;
    info.rules = 12;
    info.loaded_time_ms = 13;
    activity_result *result = decode_message(ACTIVITY_METHOD_GET_SERVER_INFO, &info);
    const struct activity_server_info *read = activity_result_server_info(result);
    assert_string_equal(read->tls->engine, "activity");
    assert_string_equal(read->tls->version, "1.3");
    assert_string_equal(read->tls->cipher_suite, "TLS_Y");
    assert_int_equal(read->tls->connections, 5);
    assert_int_equal(read->tls->unfinished, 1);
    assert_int_equal(read->tls->suite_count, 1);
    assert_string_equal(read->tls->suites[0].version, "1.2");
    assert_string_equal(read->tls->suites[0].cipher_suite, "TLS_X");
    assert_int_equal(read->tls->suites[0].handshakes, 3);
    assert_int_equal(read->tls->refusal_count, 1);
    assert_string_equal(read->tls->refusals[0].reason, "no rule");
    assert_int_equal(read->tls->refusals[0].count, 4);
    assert_int_equal(read->revocations->entries, 9);
    assert_int_equal(read->rules, 12);
    assert_int_equal(read->loaded_time_ms, 13);
    assert_null(activity_result_reloaded(result));
    activity_result_free(result);

    info.tls = NULL; /* an older server */
    info.revocations = NULL;
    result = decode_message(ACTIVITY_METHOD_GET_SERVER_INFO, &info);
    assert_null(activity_result_server_info(result)->tls);
    assert_null(activity_result_server_info(result)->revocations);
    activity_result_free(result);

    Activity__V1__CertificateInfo certificate = ACTIVITY__V1__CERTIFICATE_INFO__INIT;
    certificate.name = "server";
    certificate.subject = "CN=s";
    certificate.not_after_ms = 5;
    Activity__V1__CertificateInfo *certificates[] = {&certificate};
    Activity__V1__ReloadResponse reload = ACTIVITY__V1__RELOAD_RESPONSE__INIT;
    reload.n_certificates = 1;
    reload.certificates = certificates;
    reload.revocations = &list;
    reload.rules = 2;
    reload.closed_revoked = 3;
    reload.closed_by_policy = 4;
    result = decode_message(ACTIVITY_METHOD_RELOAD, &reload);
    const struct activity_reloaded *reloaded = activity_result_reloaded(result);
    assert_int_equal(reloaded->certificate_count, 1);
    assert_string_equal(reloaded->certificates[0].subject, "CN=s");
    assert_int_equal(reloaded->revocations->lists, 1);
    assert_string_equal(reloaded->revocations->issuer, "CN=i");
    assert_int_equal(reloaded->revocations->next_update_ms, 77);
    assert_true(reloaded->revocations->expired);
    assert_int_equal(reloaded->rules, 2);
    assert_int_equal(reloaded->closed_revoked, 3);
    assert_int_equal(reloaded->closed_by_policy, 4);
    activity_result_free(result);
}

static void server_info_users_and_health(void **state)
{
    (void)state;
    Activity__V1__Limit limit = ACTIVITY__V1__LIMIT__INIT;
    limit.name = "activities_max";
    limit.value = 5;
    Activity__V1__Limit *limits[] = {&limit};
    Activity__V1__GetServerInfoResponse info = ACTIVITY__V1__GET_SERVER_INFO_RESPONSE__INIT;
    info.version = "0.1.0";
    info.n_limits = 1;
    info.limits = limits;
    info.feed_allowed = true;
    info.principal = "spiffe://x/y";
    activity_result *result = decode_message(ACTIVITY_METHOD_GET_SERVER_INFO, &info);
    const struct activity_server_info *read = activity_result_server_info(result);
    assert_string_equal(read->version, "0.1.0");
    assert_string_equal(read->limits[0].name, "activities_max");
    assert_int_equal(read->limits[0].value, 5);
    assert_true(read->feed_allowed);
    assert_string_equal(read->principal, "spiffe://x/y");
    assert_string_equal(read->feed_url, "");
    activity_result_free(result);

    Activity__V1__PresentUser user = ACTIVITY__V1__PRESENT_USER__INIT;
    user.user = "ann";
    user.last_seen_ms = 4;
    Activity__V1__PresentUser *users[] = {&user};
    Activity__V1__ListPresentUsersResponse list = ACTIVITY__V1__LIST_PRESENT_USERS_RESPONSE__INIT;
    list.n_users = 1;
    list.users = users;
    result = decode_message(ACTIVITY_METHOD_LIST_USERS, &list);
    assert_int_equal(activity_result_users(result)->user_count, 1);
    assert_string_equal(activity_result_users(result)->users[0].user, "ann");
    assert_int_equal(activity_result_users(result)->next_page_token.size, 0);
    activity_result_free(result);

    Activity__V1__CheckResponse check = ACTIVITY__V1__CHECK_RESPONSE__INIT;
    check.status = ACTIVITY__V1__SERVING_STATUS__SERVING_STATUS_NOT_SERVING;
    check.explanation = "disk full";
    result = decode_message(ACTIVITY_METHOD_CHECK_HEALTH, &check);
    assert_false(activity_result_health(result)->serving);
    assert_string_equal(activity_result_health(result)->explanation, "disk full");
    activity_result_free(result);
}

static void batches(void **state)
{
    (void)state;
    activity_result *result;
    const uint8_t applied[] = {0x0A, 2, 10, 20};
    assert_int_equal(decode(ACTIVITY_METHOD_BATCH_UPDATE, 2, (struct view){applied, 4}, &result),
                     0);
    const struct activity_batch *batch = activity_result_batch(result);
    assert_int_equal(batch->count, 2);
    assert_int_equal(batch->percents[1], 20);
    assert_int_equal(batch->dispositions[0], ACTIVITY_APPLIED);
    assert_int_equal(batch->dispositions[1], ACTIVITY_APPLIED);
    assert_int_equal(batch->ignored_count, 0);
    activity_result_free(result);
    const uint8_t mixed[] = {0x0A, 2, 10, 0, 0x10, 1, 0x1A, 2, 1, 3};
    assert_int_equal(decode(ACTIVITY_METHOD_BATCH_UPDATE, 2, (struct view){mixed, 10}, &result), 0);
    assert_int_equal(activity_result_batch(result)->dispositions[1], ACTIVITY_IGNORED_UNKNOWN);
    assert_int_equal(activity_result_batch(result)->ignored_count, 1);
    activity_result_free(result);
    /* Fewer or more than were asked for. */
    assert_int_equal(decode(ACTIVITY_METHOD_BATCH_UPDATE, 3, (struct view){mixed, 10}, &result),
                     ACTIVITY_INTERNAL);
    assert_int_equal(decode(ACTIVITY_METHOD_BATCH_UPDATE, 1, (struct view){mixed, 10}, &result),
                     ACTIVITY_INTERNAL);
}

static void created_carries_its_request_id(void **state)
{
    (void)state;
    activity_result *result;
    const uint8_t bytes[] = {0x08, 5};
    assert_int_equal(decode(ACTIVITY_METHOD_CREATE, 0, (struct view){bytes, 2}, &result), 0);
    assert_int_equal(activity_result_created(result)->job_id, 5);
    assert_memory_equal(activity_result_created(result)->request_id, request_id, 16);
    assert_int_equal(activity_result_payload(result).size, 2);
    activity_result_free(result);
    assert_null(activity_result_created(NULL));
    assert_int_equal(activity_result_payload(NULL).size, 0);
}

static void refused(void **state)
{
    (void)state;
    activity_result *result;
    const uint8_t cut[] = {0x0A, 9, 1};
    assert_int_equal(decode(ACTIVITY_METHOD_FIND, 0, (struct view){cut, 3}, &result),
                     ACTIVITY_INTERNAL);
    /* An answer to Get without an activity. */
    assert_int_equal(decode(ACTIVITY_METHOD_GET, 0, (struct view){cut, 0}, &result),
                     ACTIVITY_INTERNAL);
    /* A million empty activities would become some 400 MB. */
    size_t size = LIMIT_REPLY_BYTES & ~1U;
    uint8_t *bomb = malloc(size);
    assert_non_null(bomb);
    for (size_t i = 0; i < size; i += 2) {
        bomb[i] = 0x0A;
        bomb[i + 1] = 0;
    }
    assert_int_equal(decode(ACTIVITY_METHOD_FIND, 0, (struct view){bomb, size}, &result),
                     ACTIVITY_INTERNAL);
    free(bomb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page),
        cmocka_unit_test(returned),
        cmocka_unit_test(server_info_users_and_health),
        cmocka_unit_test(tls_and_reload),
        cmocka_unit_test(batches),
        cmocka_unit_test(created_carries_its_request_id),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
