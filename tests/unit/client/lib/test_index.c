/* The calls about the way into the index: what is asked, with the eyes of protobuf-c, and what its
 * answers become; and against a scripted server. */
#include "tests/unit/client/lib/fake_server.h"

#include <activity_index.h>

#include "activity/v1/admin_service.pb-c.h"
#include "client/lib/request.h"
#include "client/lib/result.h"

/* --- Requests --- */

static void requests(void **state)
{
    (void)state;
    struct payload payload = {0};
    assert_int_equal(request_page(&payload, 17, (struct activity_bytes){"a\0b", 3}, NULL), 0);
    Activity__V1__ListIndexBatchesRequest *batches =
        activity__v1__list_index_batches_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(batches);
    assert_int_equal(batches->page_size, 17);
    assert_int_equal(batches->page_token.len, 3);
    assert_memory_equal(batches->page_token.data, "a\0b", 3);
    activity__v1__list_index_batches_request__free_unpacked(batches, NULL);
    Activity__V1__ListParkedDocumentsRequest *parked =
        activity__v1__list_parked_documents_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(parked);
    assert_int_equal(parked->page_size, 17);
    assert_memory_equal(parked->page_token.data, "a\0b", 3);
    activity__v1__list_parked_documents_request__free_unpacked(parked, NULL);
    payload_deinit(&payload);

    struct activity_error error;
    assert_int_equal(request_page(&payload, 0, (struct activity_bytes){NULL, 3}, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "page_token");
    payload_deinit(&payload);

    assert_int_equal(request_parked(&payload, UINT64_MAX - 1, NULL), ACTIVITY_OK);
    Activity__V1__RetryParkedRequest *retry =
        activity__v1__retry_parked_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(retry);
    assert_true(retry->park_id == UINT64_MAX - 1);
    activity__v1__retry_parked_request__free_unpacked(retry, NULL);
    Activity__V1__DiscardParkedRequest *discard =
        activity__v1__discard_parked_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(discard);
    assert_true(discard->park_id == UINT64_MAX - 1);
    activity__v1__discard_parked_request__free_unpacked(discard, NULL);
    payload_deinit(&payload);
}

/* --- Answers --- */

static int decode(enum activity_method method, struct view payload, activity_result **result)
{
    static const unsigned char no_id[ACTIVITY_REQUEST_ID_SIZE];
    const struct result_question question = {.method = method, .request_id = no_id};
    uint8_t *bytes = malloc(payload.length + 1);
    assert_non_null(bytes);
    if (payload.length > 0) {
        memcpy(bytes, payload.bytes, payload.length);
    }
    const struct frame_reply reply = {.payload = {bytes, payload.length}, .epoch = 3};
    return result_decode_take(&question, &reply, bytes, result, NULL);
}

static activity_result *decode_message(enum activity_method method, const void *message)
{
    const ProtobufCMessage *base = message;
    size_t size = protobuf_c_message_get_packed_size(base);
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    protobuf_c_message_pack(base, bytes);
    activity_result *result;
    assert_int_equal(decode(method, (struct view){bytes, size}, &result), ACTIVITY_OK);
    free(bytes);
    return result;
}

/* Every number is another, so that no two can have been swapped. */
static void status(void **state)
{
    (void)state;
    Activity__V1__IndexReason why = ACTIVITY__V1__INDEX_REASON__INIT;
    why.code = "no_answer";
    why.message = "connection refused";
    Activity__V1__IndexReason advice = ACTIVITY__V1__INDEX_REASON__INIT;
    advice.code = "gc_deletes";
    Activity__V1__GetIndexStatusResponse message = ACTIVITY__V1__GET_INDEX_STATUS_RESPONSE__INIT;
    message.state = ACTIVITY__V1__INDEX_STATE__INDEX_STATE_AWAY;
    message.version = "opensearch 2.19.4";
    message.why = &why;
    message.advice = &advice;
    message.away_since_ms = 105;
    message.failures = 106;
    message.waiting_documents = 107;
    message.waiting_changes = 108;
    message.in_flight_documents = 109;
    message.in_flight_changes = 110;
    message.parked_documents = 111;
    message.parked_changes = 112;
    message.pending_bytes = 113;
    message.lag_ms = 114;
    message.batches = 115;
    message.requests = 116;
    message.request_bytes = 117;
    message.changes = 118;
    message.acked_documents = 119;
    message.retried_documents = 120;
    message.refreshes = 121;
    message.parked_since_start = 122;
    message.resting_documents = 123;
    message.time_ms = UINT64_MAX;
    activity_result *result = decode_message(ACTIVITY_METHOD_GET_INDEX_STATUS, &message);
    const struct activity_index_status *read = activity_result_index_status(result);
    assert_non_null(read);
    assert_null(activity_result_index_batches(result));
    assert_null(activity_result_parked_documents(result));
    assert_int_equal(read->state, ACTIVITY_INDEX_AWAY);
    assert_string_equal(read->version, "opensearch 2.19.4");
    assert_string_equal(read->why->code, "no_answer");
    assert_string_equal(read->why->message, "connection refused");
    assert_string_equal(read->advice->code, "gc_deletes");
    assert_string_equal(read->advice->message, "");
    assert_int_equal(read->away_since_ms, 105);
    assert_int_equal(read->failures, 106);
    assert_int_equal(read->waiting_documents, 107);
    assert_int_equal(read->waiting_changes, 108);
    assert_int_equal(read->in_flight_documents, 109);
    assert_int_equal(read->in_flight_changes, 110);
    assert_int_equal(read->parked_documents, 111);
    assert_int_equal(read->parked_changes, 112);
    assert_int_equal(read->pending_bytes, 113);
    assert_int_equal(read->lag_ms, 114);
    assert_int_equal(read->batches, 115);
    assert_int_equal(read->requests, 116);
    assert_int_equal(read->request_bytes, 117);
    assert_int_equal(read->changes, 118);
    assert_int_equal(read->acked_documents, 119);
    assert_int_equal(read->retried_documents, 120);
    assert_int_equal(read->refreshes, 121);
    assert_int_equal(read->parked_since_start, 122);
    assert_int_equal(read->resting_documents, 123);
    assert_true(read->time_ms == UINT64_MAX);
    activity_result_free(result);

    /* A server without an index says little. */
    const uint8_t none[] = {0x08, 1};
    assert_int_equal(decode(ACTIVITY_METHOD_GET_INDEX_STATUS, (struct view){none, 2}, &result), 0);
    read = activity_result_index_status(result);
    assert_int_equal(read->state, ACTIVITY_INDEX_NONE);
    assert_string_equal(read->version, "");
    assert_null(read->why);
    assert_null(read->advice);
    activity_result_free(result);
}

static void batches(void **state)
{
    (void)state;
    Activity__V1__IndexReason fault = ACTIVITY__V1__INDEX_REASON__INIT;
    fault.code = "mapper_parsing_exception";
    fault.message = "failed to parse";
    uint64_t tickets[] = {5, UINT64_MAX};
    Activity__V1__IndexBatch one = ACTIVITY__V1__INDEX_BATCH__INIT;
    one.number = 201;
    one.sent_time_ms = 202;
    one.done = true;
    one.cause = ACTIVITY__V1__FLUSH_CAUSE__FLUSH_CAUSE_URGENT;
    one.lag_ms = 205;
    one.took_ms = 206;
    one.changes = 207;
    one.fragments = 208;
    one.documents = 209;
    one.bytes = 210;
    one.acked = 211;
    one.retried = 212;
    one.parked = 213;
    one.error = &fault;
    one.n_tickets = 2;
    one.tickets = tickets;
    Activity__V1__IndexBatch two = ACTIVITY__V1__INDEX_BATCH__INIT;
    two.number = 200;
    Activity__V1__IndexBatch *both[] = {&one, &two};
    Activity__V1__ListIndexBatchesResponse message =
        ACTIVITY__V1__LIST_INDEX_BATCHES_RESPONSE__INIT;
    message.n_batches = 2;
    message.batches = both;
    message.next_page_token = (ProtobufCBinaryData){3, (uint8_t *)"abc"};
    activity_result *result = decode_message(ACTIVITY_METHOD_LIST_INDEX_BATCHES, &message);
    const struct activity_index_batches *read = activity_result_index_batches(result);
    assert_non_null(read);
    assert_null(activity_result_index_status(result));
    assert_int_equal(read->batch_count, 2);
    assert_memory_equal(read->next_page_token.data, "abc", 3);
    const struct activity_index_batch *batch = &read->batches[0];
    assert_int_equal(batch->number, 201);
    assert_int_equal(batch->sent_time_ms, 202);
    assert_true(batch->done);
    assert_int_equal(batch->cause, ACTIVITY_FLUSH_URGENT);
    assert_int_equal(batch->lag_ms, 205);
    assert_int_equal(batch->took_ms, 206);
    assert_int_equal(batch->changes, 207);
    assert_int_equal(batch->fragments, 208);
    assert_int_equal(batch->documents, 209);
    assert_int_equal(batch->bytes, 210);
    assert_int_equal(batch->acked, 211);
    assert_int_equal(batch->retried, 212);
    assert_int_equal(batch->parked, 213);
    assert_string_equal(batch->error->code, "mapper_parsing_exception");
    assert_string_equal(batch->error->message, "failed to parse");
    assert_int_equal(batch->ticket_count, 2);
    assert_int_equal(batch->tickets[0], 5);
    assert_true(batch->tickets[1] == UINT64_MAX);
    assert_int_equal(read->batches[1].number, 200);
    assert_false(read->batches[1].done);
    assert_null(read->batches[1].error);
    assert_int_equal(read->batches[1].ticket_count, 0);
    activity_result_free(result);
}

static void parked(void **state)
{
    (void)state;
    Activity__V1__IndexReason reason = ACTIVITY__V1__INDEX_REASON__INIT;
    reason.code = "VERSION_AHEAD";
    uint64_t tickets[] = {305};
    Activity__V1__ParkedDocument one = ACTIVITY__V1__PARKED_DOCUMENT__INIT;
    one.park_id = 301;
    one.parked_time_ms = 302;
    one.model = "mediacontainer";
    one.document_id = "007";
    one.reason = &reason;
    one.changes = 306;
    one.behind = 307;
    one.fragments = true;
    one.oldest_time_ms = 309;
    one.n_tickets = 1;
    one.tickets = tickets;
    Activity__V1__ParkedDocument two = ACTIVITY__V1__PARKED_DOCUMENT__INIT;
    two.park_id = 302;
    Activity__V1__ParkedDocument *both[] = {&one, &two};
    Activity__V1__ListParkedDocumentsResponse message =
        ACTIVITY__V1__LIST_PARKED_DOCUMENTS_RESPONSE__INIT;
    message.n_documents = 2;
    message.documents = both;
    activity_result *result = decode_message(ACTIVITY_METHOD_LIST_PARKED, &message);
    const struct activity_parked_documents *read = activity_result_parked_documents(result);
    assert_non_null(read);
    assert_int_equal(read->document_count, 2);
    assert_int_equal(read->next_page_token.size, 0);
    const struct activity_parked_document *document = &read->documents[0];
    assert_int_equal(document->park_id, 301);
    assert_int_equal(document->parked_time_ms, 302);
    assert_string_equal(document->model, "mediacontainer");
    assert_string_equal(document->document_id, "007");
    assert_string_equal(document->reason->code, "VERSION_AHEAD");
    assert_int_equal(document->changes, 306);
    assert_int_equal(document->behind, 307);
    assert_true(document->fragments);
    assert_int_equal(document->oldest_time_ms, 309);
    assert_int_equal(document->ticket_count, 1);
    assert_int_equal(document->tickets[0], 305);
    assert_null(read->documents[1].reason);
    assert_false(read->documents[1].fragments);
    activity_result_free(result);
}

static void hostile_answers(void **state)
{
    (void)state;
    static const enum activity_method methods[] = {
        ACTIVITY_METHOD_GET_INDEX_STATUS, ACTIVITY_METHOD_LIST_INDEX_BATCHES,
        ACTIVITY_METHOD_LIST_PARKED, ACTIVITY_METHOD_RETRY_PARKED, ACTIVITY_METHOD_DISCARD_PARKED};
    /* A length beyond the end. */
    const uint8_t cut[] = {0x0A, 9, 1};
    activity_result *result;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        assert_int_equal(decode(methods[i], (struct view){cut, 3}, &result), ACTIVITY_INTERNAL);
        assert_null(result);
    }
    /* Half a million empty documents would become hundreds of megabytes. */
    size_t size = LIMIT_REPLY_BYTES & ~1U;
    uint8_t *bomb = malloc(size);
    assert_non_null(bomb);
    for (size_t i = 0; i < size; i += 2) {
        bomb[i] = 0x0A;
        bomb[i + 1] = 0;
    }
    assert_int_equal(decode(ACTIVITY_METHOD_LIST_INDEX_BATCHES, (struct view){bomb, size}, &result),
                     ACTIVITY_INTERNAL);
    assert_int_equal(decode(ACTIVITY_METHOD_LIST_PARKED, (struct view){bomb, size}, &result),
                     ACTIVITY_INTERNAL);
    free(bomb);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(activity_index_state_name(ACTIVITY_INDEX_NONE), "NONE");
    assert_string_equal(activity_index_state_name(ACTIVITY_INDEX_READY), "READY");
    assert_string_equal(activity_index_state_name(ACTIVITY_INDEX_AWAY), "AWAY");
    assert_string_equal(activity_index_state_name(ACTIVITY_INDEX_REFUSED), "REFUSED");
    assert_string_equal(activity_index_state_name(0), "UNKNOWN_VALUE");
    assert_string_equal(activity_index_state_name(5), "UNKNOWN_VALUE");
    assert_string_equal(activity_index_state_name(-1), "UNKNOWN_VALUE");
    assert_string_equal(activity_flush_cause_name(ACTIVITY_FLUSH_DELAY), "DELAY");
    assert_string_equal(activity_flush_cause_name(ACTIVITY_FLUSH_DOCUMENTS), "DOCUMENTS");
    assert_string_equal(activity_flush_cause_name(ACTIVITY_FLUSH_BYTES), "BYTES");
    assert_string_equal(activity_flush_cause_name(ACTIVITY_FLUSH_URGENT), "URGENT");
    assert_string_equal(activity_flush_cause_name(0), "UNKNOWN_VALUE");
    assert_string_equal(activity_flush_cause_name(ACTIVITY_FLUSH_RESTED), "RESTED");
    assert_string_equal(activity_flush_cause_name(6), "UNKNOWN_VALUE");
}

/* --- Calls --- */

struct asked {
    char method[LIMIT_METHOD_LENGTH + 1];
    uint8_t payload[64];
    size_t length;
    struct frame_reply reply;
    bool cut; /* the connection, at the next request, once */
};

static enum fake_action answer(void *arg, const struct frame_request *request,
                               struct frame_reply *reply)
{
    struct asked *asked = arg;
    snprintf(asked->method, sizeof asked->method, "%.*s", (int)request->method.length,
             (const char *)request->method.bytes);
    assert_in_range(request->payload.length, 0, sizeof asked->payload);
    asked->length = request->payload.length;
    if (asked->length > 0) {
        memcpy(asked->payload, request->payload.bytes, asked->length);
    }
    if (asked->cut) {
        asked->cut = false;
        return FAKE_CUT;
    }
    *reply = asked->reply;
    return FAKE_REPLY;
}

static void calls(void **state)
{
    (void)state;
    static struct asked asked;
    struct fake_server server = {.script = answer, .arg = &asked};
    fake_start(&server);
    activity_client *client = fake_client(&server);
    struct activity_error error;
    activity_result *result;

    assert_int_equal(activity_get_index_status(client, NULL, &result, &error), ACTIVITY_OK);
    assert_string_equal(asked.method, "activity.v1.AdminService/GetIndexStatus");
    assert_int_equal(asked.length, 0);
    assert_non_null(activity_result_index_status(result));
    activity_result_free(result);

    const struct activity_index_page page = {5, {"xy", 2}};
    const uint8_t encoded[] = {0x08, 5, 0x12, 2, 'x', 'y'};
    assert_int_equal(activity_list_index_batches(client, &page, NULL, &result, &error), 0);
    assert_string_equal(asked.method, "activity.v1.AdminService/ListIndexBatches");
    assert_int_equal(asked.length, sizeof encoded);
    assert_memory_equal(asked.payload, encoded, sizeof encoded);
    assert_int_equal(activity_result_index_batches(result)->batch_count, 0);
    activity_result_free(result);

    assert_int_equal(activity_list_parked_documents(client, NULL, NULL, &result, &error), 0);
    assert_string_equal(asked.method, "activity.v1.AdminService/ListParkedDocuments");
    assert_int_equal(asked.length, 0);
    assert_int_equal(activity_result_parked_documents(result)->document_count, 0);
    activity_result_free(result);
    const struct activity_index_page bad = {5, {NULL, 2}};
    assert_int_equal(activity_list_parked_documents(client, &bad, NULL, &result, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_null(result);

    const uint8_t two_changes[] = {0x08, 2};
    asked.reply.payload = (struct view){two_changes, sizeof two_changes};
    uint32_t changes = 99;
    assert_int_equal(activity_retry_parked(client, 7, NULL, &changes, &error), ACTIVITY_OK);
    assert_string_equal(asked.method, "activity.v1.AdminService/RetryParked");
    assert_int_equal(asked.length, 2);
    assert_memory_equal(asked.payload, "\x08\x07", 2);
    assert_int_equal(changes, 2);
    changes = 99;
    assert_int_equal(activity_discard_parked(client, 8, NULL, &changes, &error), ACTIVITY_OK);
    assert_string_equal(asked.method, "activity.v1.AdminService/DiscardParked");
    assert_memory_equal(asked.payload, "\x08\x08", 2);
    assert_int_equal(changes, 2);
    assert_int_equal(activity_discard_parked(client, 8, NULL, NULL, NULL), ACTIVITY_OK);

    /* The answer to the first attempt is lost; the second one is told that all is done. */
    asked.reply = (struct frame_reply){.code = ACTIVITY_NOT_FOUND,
                                       .reason = view_of("UNKNOWN_PARKED"),
                                       .message = view_of("no document is parked under this"),
                                       .epoch = 77};
    asked.cut = true;
    changes = 99;
    assert_int_equal(activity_retry_parked(client, 7, NULL, &changes, &error), ACTIVITY_NOT_FOUND);
    assert_string_equal(error.reason, "UNKNOWN_PARKED");
    assert_int_equal(error.attempts, 2);
    assert_int_equal(changes, 0);
    activity_client_free(client);
    fake_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),        cmocka_unit_test(status), cmocka_unit_test(batches),
        cmocka_unit_test(parked),          cmocka_unit_test(names),  cmocka_unit_test(calls),
        cmocka_unit_test(hostile_answers),
    };
    return cmocka_run_group_tests(tests, fake_certificates, fake_certificates_remove);
}
