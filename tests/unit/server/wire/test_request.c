/* Requests at the border: what is right arrives whole. */
#include "tests/unit/server/wire/decoding.h"

#include "activity/v1/activity_service.pb-c.h"
#include "activity/v1/change_service.pb-c.h"
#include "proto/batch.h"

/* ---- What is right, written by protobuf-c ---- */

static uint8_t id_bytes[16] = "0123456789abcdef";

static void create_arrives_whole(void **state)
{
    (void)state;
    Activity__V1__CreateActivityRequest request = ACTIVITY__V1__CREATE_ACTIVITY_REQUEST__INIT;
    Activity__V1__Attribute first = ACTIVITY__V1__ATTRIBUTE__INIT;
    Activity__V1__Attribute second = ACTIVITY__V1__ATTRIBUTE__INIT;
    Activity__V1__Attribute *attributes[] = {&first, &second};
    char *groups[] = {"editors", "Gruppe-\xc3\xa4"};
    first.name = "fileName";
    first.value = "clip.mov";
    second.name = "empty";
    request.request_id = (ProtobufCBinaryData){16, id_bytes};
    request.type = "upload";
    request.title = "Ein Film \xf0\x9f\x8e\xac";
    request.n_groups = 2;
    request.groups = groups;
    request.n_attributes = 2;
    request.attributes = attributes;
    request.parent_job_id = 7;
    request.retry_of_job_id = (UINT64_C(1) << 53) - 1;
    payload.at =
        payload.bytes + activity__v1__create_activity_request__pack(&request, payload.bytes);
    decode(METHOD_CREATE_ACTIVITY);
    assert_int_equal(decoded.outcome, 0);
    const struct command_create *create = &decoded.command.create;
    assert_int_equal(decoded.command.kind, COMMAND_CREATE);
    assert_caller(&create->caller);
    assert_memory_equal(create->request_id, id_bytes, 16);
    assert_bytes(create->type, "upload");
    assert_bytes(create->title, request.title);
    assert_int_equal(create->groups.count, 2);
    assert_bytes(create->groups.names[1], groups[1]);
    assert_int_equal(create->parent_job_id, 7);
    assert_int_equal(create->retry_of_job_id, request.retry_of_job_id);

    /* The attributes are the field of an Activity. */
    Activity__V1__Activity *activity =
        activity__v1__activity__unpack(NULL, create->attributes.length, create->attributes.at);
    assert_non_null(activity);
    assert_int_equal(activity->n_attributes, 2);
    assert_string_equal(activity->attributes[0]->name, "fileName");
    assert_string_equal(activity->attributes[0]->value, "clip.mov");
    assert_string_equal(activity->attributes[1]->value, "");
    activity__v1__activity__free_unpacked(activity, NULL);
}

static void update_tells_absent_from_zero(void **state)
{
    (void)state;
    payload_start(&payload);
    put_number(&payload, 1, 42);
    decode(METHOD_UPDATE_ACTIVITY);
    assert_int_equal(decoded.outcome, 0);
    assert_int_equal(decoded.command.update.job_id, 42);
    assert_false(decoded.command.update.has_percent);
    assert_false(decoded.command.update.has_status_text);
    assert_false(decoded.command.update.has_failure);

    put_number(&payload, 2, 0);
    put_text(&payload, 3, "");
    decode(METHOD_UPDATE_ACTIVITY);
    assert_int_equal(decoded.outcome, 0);
    assert_true(decoded.command.update.has_percent);
    assert_int_equal(decoded.command.update.percent, 0);
    assert_true(decoded.command.update.has_status_text);
    assert_int_equal(decoded.command.update.status_text.length, 0);
}

static void result_is_stored_as_protobuf_reads_it(void **state)
{
    (void)state;
    /* In two pieces with unknown fields: merged, as protobuf merges messages. */
    payload_start(&payload);
    put_number(&payload, 1, 42);
    put_number(&payload, 2, 100);
    payload_start(&inner);
    payload_start(&innermost);
    put_text(&innermost, 1, "item-1");
    put_text(&innermost, 9, "unknown");
    put_message(&inner, 1, &innermost);
    put_text(&inner, 2, "overwritten");
    put_message(&payload, 4, &inner);
    payload_start(&inner);
    payload_start(&innermost);
    put_text(&innermost, 1, "item-2");
    put_text(&innermost, 2, "BROKEN");
    put_text(&innermost, 3, "does not open");
    put_message(&inner, 1, &innermost);
    put_text(&inner, 2, "{}");
    put_text(&inner, 3, "application/json");
    put_message(&payload, 4, &inner);
    decode(METHOD_UPDATE_ACTIVITY);
    assert_int_equal(decoded.outcome, 0);
    struct bytes bytes = decoded.command.update.result;
    Activity__V1__JobResult *result =
        activity__v1__job_result__unpack(NULL, bytes.length, bytes.at);
    assert_non_null(result);
    assert_int_equal(result->n_items, 2);
    assert_string_equal(result->items[0]->id, "item-1");
    assert_int_equal(result->items[0]->base.n_unknown_fields, 0);
    assert_string_equal(result->items[1]->error_code, "BROKEN");
    assert_int_equal(result->content.len, 2);
    assert_string_equal(result->content_type, "application/json");
    assert_int_equal(activity__v1__job_result__get_packed_size(result), bytes.length);
    activity__v1__job_result__free_unpacked(result, NULL);
}

static void empty_result_is_none(void **state)
{
    (void)state;
    payload_start(&payload);
    put_number(&payload, 1, 42);
    put_number(&payload, 2, 100);
    payload_start(&inner);
    put_text(&inner, 2, "");
    put_message(&payload, 4, &inner);
    decode(METHOD_UPDATE_ACTIVITY);
    assert_int_equal(decoded.outcome, 0);
    assert_int_equal(decoded.command.update.result.length, 0);
}

static void largest_result_is_taken(void **state)
{
    (void)state;
    payload_start(&payload);
    put_number(&payload, 1, 42);
    put_number(&payload, 2, 100);
    payload_start(&inner);
    size_t around = 4 + 3; /* tag and length of content, and the content type */
    put_filled(&inner, 2, 'x', LIMIT_RESULT_BYTES - around);
    put_text(&inner, 3, "x");
    put_message(&payload, 4, &inner);
    decode(METHOD_UPDATE_ACTIVITY);
    assert_int_equal(decoded.outcome, 0);
    assert_int_equal(decoded.command.update.result.length, LIMIT_RESULT_BYTES);
}

static void batch_arrives_in_columns(void **state)
{
    (void)state;
    static uint64_t ids[LIMIT_BATCH_UPDATES];
    static uint8_t percents[LIMIT_BATCH_UPDATES];
    for (uint32_t i = 0; i < LIMIT_BATCH_UPDATES; i++) {
        ids[i] = i % 2 == 0 ? i : (UINT64_C(1) << 53) - i; /* far apart: the longest deltas */
        percents[i] = (uint8_t)(i % 101);
    }
    payload.at = batch_request_encode(ids, percents, LIMIT_BATCH_UPDATES, payload.bytes);
    decode(METHOD_BATCH_UPDATE_ACTIVITIES);
    assert_int_equal(decoded.outcome, 0);
    const struct command_batch *batch = &decoded.command.batch;
    assert_int_equal(batch->count, LIMIT_BATCH_UPDATES);
    assert_memory_equal(batch->percents.at, percents, LIMIT_BATCH_UPDATES);
    struct batch_cursor cursor;
    batch_cursor_init(&cursor, (struct view){batch->deltas.at, batch->deltas.length});
    static uint64_t read[LIMIT_BATCH_UPDATES];
    assert_int_equal(batch_cursor_next(&cursor, read, LIMIT_BATCH_UPDATES), LIMIT_BATCH_UPDATES);
    assert_memory_equal(read, ids, sizeof ids);
}

static void changes_arrive_in_order(void **state)
{
    (void)state;
    Activity__V1__RecordModelChangesRequest request =
        ACTIVITY__V1__RECORD_MODEL_CHANGES_REQUEST__INIT;
    Activity__V1__DocumentChange one = ACTIVITY__V1__DOCUMENT_CHANGE__INIT;
    Activity__V1__DocumentChange two = ACTIVITY__V1__DOCUMENT_CHANGE__INIT;
    Activity__V1__DocumentChange *changes[] = {&one, &two};
    uint8_t json[] = "{\"a\":[1,2.5,{\"b\":\"\\u00e4\"}],\"big\":123456789012345678901234567890}";
    char *everybody[] = {"*"};
    one.model = "mediacontainer";
    one.document_id = "123";
    one.affected_model = "mediaContainer";
    one.json = (ProtobufCBinaryData){sizeof json - 1, json};
    one.n_groups = 1;
    one.groups = everybody;
    two.model = "asset";
    two.document_id = "a/b c";
    two.affected_model = "asset";
    two.deleted = 1;
    request.request_id = (ProtobufCBinaryData){16, id_bytes};
    request.n_changes = 2;
    request.changes = changes;
    request.job_id = 99;
    payload.at =
        payload.bytes + activity__v1__record_model_changes_request__pack(&request, payload.bytes);
    decode(METHOD_RECORD_MODEL_CHANGES);
    assert_int_equal(decoded.outcome, 0);
    const struct command_record *record = &decoded.command.record;
    assert_int_equal(record->change_count, 2);
    assert_int_equal(record->job_id, 99);
    struct reader reader = reader_of(record->changes);
    struct command_change change;
    assert_true(command_change_next(&reader, &change));
    assert_bytes(change.model, "mediacontainer");
    assert_bytes(change.json, (char *)json);
    assert_bytes(change.groups.names[0], "*");
    assert_true(command_change_next(&reader, &change));
    assert_bytes(change.document_id, "a/b c");
    assert_true(change.deleted);
    assert_false(command_change_next(&reader, &change));
}

static void find_reads_all_filters(void **state)
{
    (void)state;
    Activity__V1__FindActivitiesRequest request = ACTIVITY__V1__FIND_ACTIVITIES_REQUEST__INIT;
    char *types[] = {"upload", "transcoding"};
    Activity__V1__ActivityState states[] = {ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_RUNNING,
                                            ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_KILLED};
    uint64_t job_ids[] = {5, UINT64_MAX};
    request.model_changes = 1;
    request.n_types = 2;
    request.types = types;
    request.n_states = 2;
    request.states = states;
    request.n_job_ids = 2;
    request.job_ids = job_ids;
    request.updated_since_ms = 1234;
    request.page_size = 10;
    request.observe = 1;
    payload.at =
        payload.bytes + activity__v1__find_activities_request__pack(&request, payload.bytes);
    decode(METHOD_FIND_ACTIVITIES);
    assert_int_equal(decoded.outcome, 0);
    const struct query_find *find = &decoded.query.find;
    assert_caller(&decoded.query.caller);
    assert_false(find->lists[LIST_ACTIVITIES]);
    assert_true(find->lists[LIST_CHANGES]);
    assert_int_equal(find->filter.type_count, 2);
    assert_bytes(find->filter.types[1], "transcoding");
    assert_int_equal(find->filter.states, 1u << 1 | 1u << 5);
    assert_int_equal(find->filter.job_id_count, 2);
    assert_int_equal(find->filter.job_ids[1], UINT64_MAX);
    assert_int_equal(find->filter.updated_since_ms, 1234);
    assert_int_equal(find->page_size, 10);
    assert_true(find->observe);
    assert_true(find->first_page);
}

static void find_without_choice_lists_all(void **state)
{
    (void)state;
    payload_start(&payload);
    put_number(&payload, 5, 0); /* UNSPECIFIED: any state */
    put_number(&payload, 5, 2);
    decode(METHOD_FIND_ACTIVITIES);
    assert_int_equal(decoded.outcome, 0);
    for (size_t i = 0; i < LIST_COUNT; i++) {
        assert_true(decoded.query.find.lists[i]);
    }
    assert_int_equal(decoded.query.find.page_size, LIMIT_PAGE_SIZE);
    assert_int_equal(decoded.query.find.filter.states, 0);
}

static void unknown_fields_are_skipped_everywhere(void **state)
{
    (void)state;
    for (int id = METHOD_NONE + 1; id < METHOD_COUNT; id++) {
        if (id == METHOD_BATCH_UPDATE_ACTIVITIES) {
            continue; /* the batch's own tests say it */
        }
        payload_start(&payload);
        put_number(&payload, 1000, 1);
        bool has_job_id = id == METHOD_GET_ACTIVITY || id == METHOD_UPDATE_ACTIVITY ||
                          id == METHOD_DESTROY_ACTIVITY || id == METHOD_GET_JOB_RESULT ||
                          id == METHOD_WAIT_ACTIVITY;
        bool has_park_id = id == METHOD_RETRY_PARKED || id == METHOD_DISCARD_PARKED;
        if (has_job_id || has_park_id) {
            put_number(&payload, 1, 77);
        }
        if (id == METHOD_WAIT_VISIBLE) {
            put_fixed64(&payload, 1, 77);
        }
        if (id == METHOD_CREATE_ACTIVITY || id == METHOD_RECORD_MODEL_CHANGES) {
            put_request_id(&payload, 1);
        }
        if (id == METHOD_CREATE_ACTIVITY) {
            put_text(&payload, 2, "upload");
        }
        if (id == METHOD_RECORD_MODEL_CHANGES) {
            payload_start(&inner);
            put_text(&inner, 1, "m");
            put_text(&inner, 2, "1");
            put_text(&inner, 3, "m");
            put_text(&inner, 100, "unknown");
            put_message(&payload, 2, &inner);
        }
        put_text(&payload, 1001, "unknown");
        decode((enum method_id)id);
        assert_int_equal(decoded.outcome, 0);
    }
}

static void check_views_the_service(void **state)
{
    (void)state;
    payload_start(&payload);
    put_text(&payload, 1, "activity.v1.ActivityService");
    decode(METHOD_CHECK);
    assert_int_equal(decoded.outcome, 0);
    assert_bytes(decoded.body, "activity.v1.ActivityService");
}

/* ---- Odd but right ---- */

static void odd_json_is_taken(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "{}",
        " \t{\"a\":null}\n",
        "{\"a\":{\"a\":{}}}",
        "{\"n\":-0.5e10,\"s\":\"\\u0000\"}",
        "{\"deep\":[[[[[[[[[[]]]]]]]]]],\"brackets\":\"[[[[[[{{{{{{\\\"]\"}",
    };
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        changes_with((struct change_text){"m", "1", "m", documents[i]});
        decode(METHOD_RECORD_MODEL_CHANGES);
        assert_int_equal(decoded.outcome, 0);
    }
}

static void sixty_four_levels_are_taken(void **state)
{
    (void)state;
    char json[4096];
    size_t length = 0;
    for (int i = 0; i < LIMIT_JSON_DEPTH; i++) {
        memcpy(json + length, "{\"a\":", 5);
        length += 5;
    }
    json[length++] = '1';
    memset(json + length, '}', LIMIT_JSON_DEPTH);
    json[length + LIMIT_JSON_DEPTH] = '\0';
    changes_with((struct change_text){"m", "1", "m", json});
    decode(METHOD_RECORD_MODEL_CHANGES);
    assert_int_equal(decoded.outcome, 0);
}

static void largest_record_fits_a_body(void **state)
{
    (void)state;
    start_changes();
    for (int i = 0; i < LIMIT_CHANGES; i++) {
        payload_start(&inner);
        put_text(&inner, 1, "m");
        put_filled(&inner, 2, 'd', 192);
        put_text(&inner, 3, "m");
        put_text(&inner, 4, "{}");
        put_text(&inner, 5, "g");
        put_text(&inner, 5, "h");
        put_message(&payload, 2, &inner);
    }
    assert_in_range(payload_view(&payload).length, LIMIT_CHANGES_BYTES - 8192, LIMIT_CHANGES_BYTES);
    decode(METHOD_RECORD_MODEL_CHANGES);
    assert_int_equal(decoded.outcome, 0);
    assert_int_equal(decoded.command.record.change_count, LIMIT_CHANGES);
    assert_true(decoded.body.length <= REQUEST_BODY_MAX);
}

static void token_belongs_to_its_filters(void **state)
{
    (void)state;
    payload_start(&payload);
    put_text(&payload, 4, "upload");
    decode(METHOD_FIND_ACTIVITIES);
    assert_int_equal(decoded.outcome, 0);
    uint8_t token[18];
    uint64_t hash = decoded.query.find.filter_hash;
    struct writer writer = writer_of(token, sizeof token);
    writer_u8(&writer, 1);
    writer_u8(&writer, LIST_CHANGES);
    writer_u64(&writer, 77);
    writer_u64(&writer, hash);
    payload.at = encode_member(payload.at, 9, bytes_of(token, sizeof token));
    put_number(&payload, 8, 5); /* a page may have another size */
    decode(METHOD_FIND_ACTIVITIES);
    assert_int_equal(decoded.outcome, 0);
    assert_int_equal(decoded.query.find.from.list, LIST_CHANGES);
    assert_int_equal(decoded.query.find.from.position, 77);
    assert_false(decoded.query.find.first_page);

    put_text(&payload, 4, "transcoding");
    decode(METHOD_FIND_ACTIVITIES);
    assert_int_equal(decoded.outcome, 1);
    assert_string_equal(decoded.error.field, "page_token");
    assert_non_null(strstr(decoded.error.rule, "filters"));

    token[0] = 2; /* another version */
    payload_start(&payload);
    put_text(&payload, 4, "upload");
    payload.at = encode_member(payload.at, 9, bytes_of(token, sizeof token));
    decode(METHOD_FIND_ACTIVITIES);
    assert_int_equal(decoded.outcome, 1);
    assert_string_equal(decoded.error.field, "page_token");
    token[0] = 1;
    token[1] = LIST_COUNT; /* no such list */
    payload_start(&payload);
    put_text(&payload, 4, "upload");
    payload.at = encode_member(payload.at, 9, bytes_of(token, sizeof token));
    decode(METHOD_FIND_ACTIVITIES);
    assert_int_equal(decoded.outcome, 1);
}

static void methods_are_found_by_name(void **state)
{
    (void)state;
    for (int id = METHOD_NONE + 1; id < METHOD_COUNT; id++) {
        const struct method *row = method_row((enum method_id)id);
        assert_int_equal(row->id, id);
        assert_ptr_equal(method_find(view_of(row->name)), row);
    }
    assert_null(method_find(view_of("activity.v1.ActivityService/Create")));
    assert_null(method_find(view_of("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_are_found_by_name),
        cmocka_unit_test(create_arrives_whole),
        cmocka_unit_test(update_tells_absent_from_zero),
        cmocka_unit_test(result_is_stored_as_protobuf_reads_it),
        cmocka_unit_test(empty_result_is_none),
        cmocka_unit_test(largest_result_is_taken),
        cmocka_unit_test(batch_arrives_in_columns),
        cmocka_unit_test(changes_arrive_in_order),
        cmocka_unit_test(find_reads_all_filters),
        cmocka_unit_test(find_without_choice_lists_all),
        cmocka_unit_test(unknown_fields_are_skipped_everywhere),
        cmocka_unit_test(check_views_the_service),
        cmocka_unit_test(odd_json_is_taken),
        cmocka_unit_test(sixty_four_levels_are_taken),
        cmocka_unit_test(largest_record_fits_a_body),
        cmocka_unit_test(token_belongs_to_its_filters),
    };
    return cmocka_run_group_tests(tests, make_scratch, free_scratch);
}
