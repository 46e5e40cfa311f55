/* What the library encodes by hand, read by protobuf-c; and the frame around it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "activity/v1/activity_service.pb-c.h"
#include "activity/v1/admin_service.pb-c.h"
#include "activity/v1/change_service.pb-c.h"
#include "client/lib/request.h"
#include "proto/frame.h"
#include "proto/limits.h"

static const unsigned char id_1[ACTIVITY_REQUEST_ID_SIZE] = {1, 2, 3, [15] = 16};

static void create(void **state)
{
    (void)state;
    struct payload payload = {0};
    const char *const groups[] = {"editors", ""};
    const struct activity_attribute attributes[] = {{"file", "a.mov"}, {"empty", NULL}};
    const struct activity_create_request request = {
        .type = "upload",
        .title = "T\xC3\xA4st",
        .groups = groups,
        .group_count = 2,
        .attributes = attributes,
        .attribute_count = 2,
        .parent_job_id = 1,
        .retry_of_job_id = UINT64_MAX,
    };
    assert_int_equal(request_create(&payload, &request, id_1, NULL), ACTIVITY_OK);
    Activity__V1__CreateActivityRequest *read =
        activity__v1__create_activity_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(read);
    assert_int_equal(read->request_id.len, 16);
    assert_memory_equal(read->request_id.data, id_1, 16);
    assert_string_equal(read->type, "upload");
    assert_string_equal(read->title, "T\xC3\xA4st");
    assert_int_equal(read->n_groups, 2);
    assert_string_equal(read->groups[0], "editors");
    assert_string_equal(read->groups[1], "");
    assert_int_equal(read->n_attributes, 2);
    assert_string_equal(read->attributes[0]->value, "a.mov");
    assert_string_equal(read->attributes[1]->name, "empty");
    assert_string_equal(read->attributes[1]->value, "");
    assert_int_equal(read->parent_job_id, 1);
    assert_true(read->retry_of_job_id == UINT64_MAX);
    activity__v1__create_activity_request__free_unpacked(read, NULL);
    payload_deinit(&payload);
}

static Activity__V1__UpdateActivityRequest *
update_read(const struct activity_update_request *request)
{
    struct payload payload = {0};
    assert_int_equal(request_update(&payload, request, NULL), ACTIVITY_OK);
    Activity__V1__UpdateActivityRequest *read =
        activity__v1__update_activity_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(read);
    payload_deinit(&payload);
    return read;
}

static void update_tells_absent_from_zero(void **state)
{
    (void)state;
    Activity__V1__UpdateActivityRequest *read =
        update_read(&(struct activity_update_request){.job_id = 300});
    assert_int_equal(read->job_id, 300);
    assert_int_equal(read->percent_change_case,
                     ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__PERCENT_CHANGE__NOT_SET);
    assert_int_equal(read->status_text_change_case,
                     ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__STATUS_TEXT_CHANGE__NOT_SET);
    assert_null(read->result);
    assert_null(read->failure);
    activity__v1__update_activity_request__free_unpacked(read, NULL);

    read = update_read(
        &(struct activity_update_request){.job_id = 1, .set_percent = true, .status_text = ""});
    assert_int_equal(read->percent_change_case,
                     ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__PERCENT_CHANGE_PERCENT);
    assert_int_equal(read->percent, 0);
    assert_int_equal(read->status_text_change_case,
                     ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__STATUS_TEXT_CHANGE_STATUS_TEXT);
    assert_string_equal(read->status_text, "");
    activity__v1__update_activity_request__free_unpacked(read, NULL);
}

static void update_with_result_and_failure(void **state)
{
    (void)state;
    const struct activity_result_item items[] = {{"one", NULL, NULL}, {"two", "GONE", "no file"}};
    const struct activity_job_result result = {
        .items = items, .item_count = 2, .content = {"{}", 2}, .content_type = "application/json"};
    const struct activity_failure failure = {"BROKEN", "by design"};
    Activity__V1__UpdateActivityRequest *read = update_read(&(struct activity_update_request){
        .set_percent = true, .percent = 100, .result = &result, .failure = &failure});
    assert_int_equal(read->percent, 100);
    assert_int_equal(read->result->n_items, 2);
    assert_string_equal(read->result->items[0]->id, "one");
    assert_string_equal(read->result->items[0]->error_code, "");
    assert_string_equal(read->result->items[1]->error_message, "no file");
    assert_int_equal(read->result->content.len, 2);
    assert_string_equal(read->result->content_type, "application/json");
    assert_string_equal(read->failure->code, "BROKEN");
    assert_string_equal(read->failure->message, "by design");
    activity__v1__update_activity_request__free_unpacked(read, NULL);
    /* An empty result is one. */
    read =
        update_read(&(struct activity_update_request){.result = &(struct activity_job_result){0}});
    assert_non_null(read->result);
    activity__v1__update_activity_request__free_unpacked(read, NULL);
}

static void batch(void **state)
{
    (void)state;
    struct payload payload = {0};
    const uint64_t ids[] = {5, 3, 3, 1ULL << 52};
    const uint8_t percents[] = {0, 50, 100, 7};
    const struct activity_batch_request request = {ids, percents, 4};
    assert_int_equal(request_batch(&payload, &request, NULL), ACTIVITY_OK);
    Activity__V1__BatchUpdateActivitiesRequest *read =
        activity__v1__batch_update_activities_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(read);
    assert_int_equal(read->n_job_id_deltas, 4);
    uint64_t id = 0;
    for (size_t i = 0; i < 4; i++) {
        id += (uint64_t)read->job_id_deltas[i];
        assert_true(id == ids[i]);
    }
    assert_memory_equal(read->percents.data, percents, 4);
    activity__v1__batch_update_activities_request__free_unpacked(read, NULL);
    payload_deinit(&payload);
    struct activity_error error;
    const struct activity_batch_request none = {ids, percents, 0};
    assert_int_equal(request_batch(&payload, &none, &error), ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "BAD_FIELD");
}

static void find_and_its_next_page(void **state)
{
    (void)state;
    struct payload payload = {0};
    const char *const types[] = {"upload"};
    const enum activity_state states[] = {ACTIVITY_STATE_RUNNING, ACTIVITY_STATE_FAILED};
    const uint64_t ids[] = {0, 9};
    const struct activity_find_request request = {
        .activities = true,
        .model_changes_es = true,
        .types = types,
        .type_count = 1,
        .states = states,
        .state_count = 2,
        .job_ids = ids,
        .job_id_count = 2,
        .updated_since_ms = 5,
        .page_size = 10,
        .page_token = {"first", 5},
        .observe = true,
    };
    assert_int_equal(request_find(&payload, &request, NULL), ACTIVITY_OK);
    assert_int_equal(request_find_token(&payload, (struct activity_bytes){"second", 6}, NULL),
                     ACTIVITY_OK);
    Activity__V1__FindActivitiesRequest *read =
        activity__v1__find_activities_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(read);
    assert_true(read->activities && !read->model_changes && read->model_changes_es);
    assert_int_equal(read->n_types, 1);
    assert_int_equal(read->n_states, 2);
    assert_int_equal(read->states[1], ACTIVITY_STATE_FAILED);
    assert_int_equal(read->n_job_ids, 2);
    assert_int_equal(read->job_ids[0], 0);
    assert_int_equal(read->job_ids[1], 9);
    assert_int_equal(read->updated_since_ms, 5);
    assert_int_equal(read->page_size, 10);
    assert_int_equal(read->page_token.len, 6);
    assert_memory_equal(read->page_token.data, "second", 6);
    assert_true(read->observe);
    activity__v1__find_activities_request__free_unpacked(read, NULL);
    payload_deinit(&payload);
}

static void record(void **state)
{
    (void)state;
    struct payload payload = {0};
    const char *const groups[] = {"*"};
    const struct activity_document_change changes[] = {
        {.model = "mediacontainer",
         .document_id = "123",
         .affected_model = "mediaContainer",
         .json = {"{\"a\":1}", 7},
         .groups = groups,
         .group_count = 1},
        {.model = "m", .document_id = "x", .affected_model = "y", .deleted = true},
        {.model = "m", .document_id = "z", .affected_model = "y", .merge_patch = {"{}", 2}},
    };
    const struct activity_record_request request = {
        .changes = changes, .change_count = 3, .job_id = 4, .urgent = true};
    assert_int_equal(request_record(&payload, &request, id_1, NULL), ACTIVITY_OK);
    Activity__V1__RecordModelChangesRequest *read =
        activity__v1__record_model_changes_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(read);
    assert_memory_equal(read->request_id.data, id_1, 16);
    assert_int_equal(read->n_changes, 3);
    assert_string_equal(read->changes[0]->model, "mediacontainer");
    assert_string_equal(read->changes[0]->document_id, "123");
    assert_string_equal(read->changes[0]->affected_model, "mediaContainer");
    assert_int_equal(read->changes[0]->json.len, 7);
    assert_string_equal(read->changes[0]->groups[0], "*");
    assert_false(read->changes[0]->deleted);
    assert_true(read->changes[1]->deleted);
    assert_int_equal(read->changes[1]->merge_patch.len, 0);
    assert_int_equal(read->changes[2]->merge_patch.len, 2);
    assert_int_equal(read->job_id, 4);
    assert_true(read->urgent);
    activity__v1__record_model_changes_request__free_unpacked(read, NULL);
    payload_deinit(&payload);
}

/* --- The frame --- */

static size_t join(const struct call *call, uint8_t *to)
{
    memcpy(to, call->head.bytes, call->head.length);
    memcpy(to + call->head.length, call->tail.bytes, call->tail.length);
    return call->head.length + call->tail.length;
}

static void frame_carries_the_caller(void **state)
{
    (void)state;
    char *client_groups[] = {"g1"};
    struct activity_client client = {
        .caller = {.tenant = "acme", .user = "ann", .groups = client_groups, .group_count = 1},
        .timeout_ms = 1000};
    struct payload payload = {.bytes = (uint8_t *)"payload", .length = 7};
    struct call call = {.begun_ms = 50};
    struct envelope envelope;
    struct frame_request frame;
    struct frame_error fault;
    uint8_t bytes[512];
    assert_int_equal(envelope_init(&envelope, &client, NULL, NULL), ACTIVITY_OK);
    assert_int_equal(envelope_frame(&envelope, "s/M", &payload, &call, NULL), ACTIVITY_OK);
    assert_int_equal(frame_request_decode((struct view){bytes, join(&call, bytes)}, &frame, &fault),
                     0);
    assert_true(view_equal(frame.method, view_of("s/M")));
    assert_true(view_equal(frame.tenant, view_of("acme")));
    assert_true(view_equal(frame.user, view_of("ann")));
    assert_int_equal(frame.group_count, 1);
    assert_true(view_equal(frame.payload, view_of("payload")));
    assert_int_equal(call.deadline_ms, 1050);
    envelope_deinit(&envelope);
    free(call.bytes);

    /* A call's own words replace the client's altogether. */
    struct activity_call_options options = ACTIVITY_CALL_OPTIONS_INIT;
    const struct activity_metadata metadata[] = {{"traceparent", "00-1"}};
    options.tenant = "other";
    options.metadata = metadata;
    options.metadata_count = 1;
    options.timeout_ms = 7;
    assert_int_equal(envelope_init(&envelope, &client, &options, NULL), ACTIVITY_OK);
    assert_int_equal(envelope_frame(&envelope, "s/M", &payload, &call, NULL), ACTIVITY_OK);
    assert_int_equal(frame_request_decode((struct view){bytes, join(&call, bytes)}, &frame, &fault),
                     0);
    assert_true(view_equal(frame.tenant, view_of("other")));
    assert_int_equal(frame.user.length, 0);
    assert_int_equal(frame.group_count, 0);
    assert_int_equal(frame.metadata_count, 1);
    assert_true(view_equal(frame.metadata[0].value, view_of("00-1")));
    assert_int_equal(call.deadline_ms, 57);
    envelope_deinit(&envelope);
    free(call.bytes);
}

static void frame_refuses_what_makes_no_sense(void **state)
{
    (void)state;
    struct activity_client client = {.timeout_ms = 1000};
    struct envelope envelope;
    struct activity_error error;
    struct activity_call_options options = ACTIVITY_CALL_OPTIONS_INIT;
    options.user = "ann";
    assert_int_equal(envelope_init(&envelope, &client, &options, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "tenant");
    const char *const groups[] = {"g"};
    options = (struct activity_call_options){.size = sizeof options, .tenant = "t"};
    options.groups = groups;
    options.group_count = 1;
    assert_int_equal(envelope_init(&envelope, &client, &options, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "user");
    options = (struct activity_call_options){.size = 1};
    assert_int_equal(envelope_init(&envelope, &client, &options, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "size");
    struct call call = {0};
    struct payload payload = {0};
    char method[LIMIT_METHOD_LENGTH + 2];
    memset(method, 'm', sizeof method);
    method[sizeof method - 1] = '\0';
    assert_int_equal(envelope_init(&envelope, &client, NULL, &error), ACTIVITY_OK);
    assert_int_equal(envelope_frame(&envelope, method, &payload, &call, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "method");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create),
        cmocka_unit_test(update_tells_absent_from_zero),
        cmocka_unit_test(update_with_result_and_failure),
        cmocka_unit_test(batch),
        cmocka_unit_test(find_and_its_next_page),
        cmocka_unit_test(record),
        cmocka_unit_test(frame_carries_the_caller),
        cmocka_unit_test(frame_refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
