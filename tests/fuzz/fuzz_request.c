/* Any payload of any method: a body or an error, never a read outside. The first byte chooses the
 * method. A body is a command for the journal's decoder, and what is accepted is a message for
 * protobuf-c too. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "activity/v1/activity_service.pb-c.h"
#include "activity/v1/admin_service.pb-c.h"
#include "activity/v1/change_service.pb-c.h"
#include "activity/v1/health_service.pb-c.h"
#include "server/wire/query.h"
#include "server/wire/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
    if (!condition) {
        abort();
    }
}

static const ProtobufCMessageDescriptor *const types[METHOD_COUNT] = {
    [METHOD_FIND_ACTIVITIES] = &activity__v1__find_activities_request__descriptor,
    [METHOD_GET_ACTIVITY] = &activity__v1__get_activity_request__descriptor,
    [METHOD_CREATE_ACTIVITY] = &activity__v1__create_activity_request__descriptor,
    [METHOD_UPDATE_ACTIVITY] = &activity__v1__update_activity_request__descriptor,
    [METHOD_BATCH_UPDATE_ACTIVITIES] = &activity__v1__batch_update_activities_request__descriptor,
    [METHOD_DESTROY_ACTIVITY] = &activity__v1__destroy_activity_request__descriptor,
    [METHOD_GET_JOB_RESULT] = &activity__v1__get_job_result_request__descriptor,
    [METHOD_RECORD_MODEL_CHANGES] = &activity__v1__record_model_changes_request__descriptor,
    [METHOD_CHECK] = &activity__v1__check_request__descriptor,
    [METHOD_GET_SERVER_INFO] = &activity__v1__get_server_info_request__descriptor,
    [METHOD_LIST_PRESENT_USERS] = &activity__v1__list_present_users_request__descriptor,
    [METHOD_DRAIN] = &activity__v1__drain_request__descriptor,
    [METHOD_GET_STATE_HASH] = &activity__v1__get_state_hash_request__descriptor,
    [METHOD_WAIT_ACTIVITY] = &activity__v1__wait_activity_request__descriptor,
    [METHOD_READ_CHANGES] = &activity__v1__read_changes_request__descriptor,
    [METHOD_WAIT_VISIBLE] = &activity__v1__wait_visible_request__descriptor,
    [METHOD_GET_INDEX_STATUS] = &activity__v1__get_index_status_request__descriptor,
    [METHOD_LIST_INDEX_BATCHES] = &activity__v1__list_index_batches_request__descriptor,
    [METHOD_LIST_PARKED_DOCUMENTS] = &activity__v1__list_parked_documents_request__descriptor,
    [METHOD_RETRY_PARKED] = &activity__v1__retry_parked_request__descriptor,
    [METHOD_DISCARD_PARKED] = &activity__v1__discard_parked_request__descriptor,
    [METHOD_RELOAD] = &activity__v1__reload_request__descriptor,
};

static struct command_caller caller_of_all(void)
{
    static const uint8_t tenant[] = "acme";
    static const uint8_t principal[] = "spiffe://test/fuzz";
    return (struct command_caller){.tenant = bytes_of(tenant, 4),
                                   .principal = bytes_of(principal, sizeof principal - 1)};
}

static void expect_error(const struct request_error *error)
{
    bool malformed = error->reason == REASON_MALFORMED_PAYLOAD && error->field[0] == '\0';
    bool field = error->reason == REASON_BAD_FIELD && error->field[0] != '\0';
    expect((malformed || field) && error->rule[0] != '\0');
    expect(view_is_text(view_of(error->field)) && view_is_text(view_of(error->rule)));
}

/* A query says the same when it is written down again. */
static void expect_query(const struct method *method, struct bytes body)
{
    static struct query query;
    static uint8_t again[QUERY_BYTES_MAX];
    struct writer writer = writer_of(again, sizeof again);
    query_decode(body, &query);
    expect(query.method == method->id && query_method(body) == method->id);
    query_encode(&query, &writer);
    expect(!writer.failed && bytes_equal(bytes_of(again, (size_t)(writer.at - again)), body));
}

/* Each change is of its model's kind, and carries an object or nothing. */
static void expect_changes(const struct command_record *record)
{
    struct reader reader = reader_of(record->changes);
    struct command_change change;
    while (command_change_next(&reader, &change)) {
        expect(change.fragment == bytes_equal(change.model, bytes_of("f", 1)));
        expect(change.json.length == 0 ||
               (!change.deleted && memchr(change.json.at, '{', change.json.length) != NULL));
    }
    expect(!reader.failed);
}

static void expect_body(const struct method *method, struct bytes body)
{
    static struct command command;
    if (method->route == ROUTE_COMMAND) {
        struct reader reader = reader_of(body);
        expect(command_decode(&reader, &command) && reader.at == reader.end);
        expect(command_effects_max(body) > 0);
        if (command.kind == COMMAND_RECORD) {
            expect_changes(&command.record);
        }
    } else if (method->route != ROUTE_LOCAL) {
        expect_query(method, body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct request_scratch *scratch;
    static const struct model_kind models[] = {{"f", true}};
    static const struct model_kinds kinds = {models, 1, false};
    if (scratch == NULL) {
        scratch = request_scratch_new();
        expect(scratch != NULL);
        request_scratch_set_kinds(scratch, &kinds);
    }
    if (size == 0) {
        return 0;
    }
    const struct method *method = method_row((enum method_id)(1 + data[0] % (METHOD_COUNT - 1)));
    struct command_caller caller = caller_of_all();
    struct view payload = {data + 1, size - 1};
    struct request_body body = {.bytes = {NULL, 0}};
    struct request_error error = {.reason = REASON_NONE};
    if (request_decode(scratch, method, &caller, payload, &body, &error) != 0) {
        expect_error(&error);
        return 0;
    }
    expect(body.wait_ms <= LIMIT_WAIT_MS);
    expect(!body.all_tenants || method->id == METHOD_READ_CHANGES);
    expect_body(method, body.bytes);
    ProtobufCMessage *message =
        protobuf_c_message_unpack(types[method->id], NULL, payload.length, payload.bytes);
    expect(message != NULL);
    protobuf_c_message_free_unpacked(message, NULL);
    return 0;
}
