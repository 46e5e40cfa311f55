/* Long polls at the border: what is right arrives whole, through the query's own form. */
#include "tests/unit/server/wire/decoding.h"

#include "activity/v1/activity_service.pb-c.h"
#include "activity/v1/change_service.pb-c.h"
#include "server/core/effect.h"

static void pack(const ProtobufCMessage *request)
{
    payload.at = payload.bytes + protobuf_c_message_pack(request, payload.bytes);
}

/* ---- WaitActivity ---- */

static void wait_activity_arrives_whole(void **state)
{
    (void)state;
    Activity__V1__WaitActivityRequest request = ACTIVITY__V1__WAIT_ACTIVITY_REQUEST__INIT;
    request.job_id = (UINT64_C(1) << 53) - 1;
    request.percent = 37;
    request.children = 1;
    request.wait_ms = LIMIT_WAIT_MS;
    pack(&request.base);
    decode(METHOD_WAIT_ACTIVITY);
    assert_int_equal(decoded.outcome, 0);
    assert_caller(&decoded.query.caller);
    const struct query_wait *wait = &decoded.query.wait;
    assert_int_equal(wait->job_id, request.job_id);
    assert_int_equal(wait->percent, 37);
    assert_true(wait->children);
    assert_int_equal(decoded.wait_ms, LIMIT_WAIT_MS);
    assert_false(decoded.all_tenants);
}

static void wait_activity_is_for_the_end_by_default(void **state)
{
    (void)state;
    payload_start(&payload);
    put_number(&payload, 1, 42);
    decode(METHOD_WAIT_ACTIVITY);
    assert_int_equal(decoded.outcome, 0);
    assert_int_equal(decoded.query.wait.percent, 100);
    assert_false(decoded.query.wait.children);
    assert_int_equal(decoded.wait_ms, 0);
    put_number(&payload, 2, 100);
    decode(METHOD_WAIT_ACTIVITY);
    assert_int_equal(decoded.outcome, 0);
    assert_int_equal(decoded.query.wait.percent, 100);
}

/* ---- WaitVisible ---- */

static void wait_visible_arrives_whole(void **state)
{
    (void)state;
    Activity__V1__WaitVisibleRequest request = ACTIVITY__V1__WAIT_VISIBLE_REQUEST__INIT;
    request.ticket = UINT64_C(0x8877665544332211);
    request.stage = ACTIVITY__V1__VISIBLE_STAGE__VISIBLE_STAGE_SENT;
    request.wait_ms = 1;
    pack(&request.base);
    decode(METHOD_WAIT_VISIBLE);
    assert_int_equal(decoded.outcome, 0);
    assert_caller(&decoded.query.caller);
    assert_true(decoded.query.wait.ticket == request.ticket);
    assert_int_equal(decoded.query.wait.job_id, 0);
    assert_int_equal(decoded.query.wait.stage, VISIBLE_SENT);
    assert_int_equal(decoded.wait_ms, 1);

    request.ticket = 0;
    request.job_id = 99;
    request.stage = ACTIVITY__V1__VISIBLE_STAGE__VISIBLE_STAGE_SEARCHABLE;
    request.wait_ms = 0;
    pack(&request.base);
    decode(METHOD_WAIT_VISIBLE);
    assert_int_equal(decoded.outcome, 0);
    assert_int_equal(decoded.query.wait.ticket, 0);
    assert_int_equal(decoded.query.wait.job_id, 99);
    assert_int_equal(decoded.query.wait.stage, VISIBLE_SEARCHABLE);
    assert_int_equal(decoded.wait_ms, 0);
}

static void wait_visible_is_for_acked_by_default(void **state)
{
    (void)state;
    payload_start(&payload);
    put_fixed64(&payload, 1, 5);
    decode(METHOD_WAIT_VISIBLE);
    assert_int_equal(decoded.outcome, 0);
    assert_int_equal(decoded.query.wait.stage, VISIBLE_ACKED);
}

/* ---- ReadChanges ---- */

static void read_arrives_whole(void **state)
{
    (void)state;
    Activity__V1__ReadChangesRequest request = ACTIVITY__V1__READ_CHANGES_REQUEST__INIT;
    Activity__V1__Cursor after = ACTIVITY__V1__CURSOR__INIT;
    Activity__V1__EventKind kinds[] = {ACTIVITY__V1__EVENT_KIND__EVENT_KIND_INDEX_CHANGED,
                                       ACTIVITY__V1__EVENT_KIND__EVENT_KIND_ACTIVITY_CREATED,
                                       ACTIVITY__V1__EVENT_KIND__EVENT_KIND_INDEX_CHANGED};
    char *models[] = {"mediacontainer", "asset"};
    char *documents[] = {"123", "a/b \xc3\xa4"};
    uint64_t jobs[] = {7, UINT64_MAX, 0};
    after.epoch = UINT64_C(0xfedcba9876543210);
    after.sequence = UINT64_MAX - 1;
    request.after = &after;
    request.n_kinds = 3;
    request.kinds = kinds;
    request.n_models = 2;
    request.models = models;
    request.n_document_ids = 2;
    request.document_ids = documents;
    request.n_job_ids = 3;
    request.job_ids = jobs;
    request.wait_ms = 20000;
    request.page_size = 17;
    request.subscription = UINT64_C(0x1122334455667788);
    pack(&request.base);
    decode(METHOD_READ_CHANGES);
    assert_int_equal(decoded.outcome, 0);
    assert_caller(&decoded.query.caller);
    const struct query_read *read = &decoded.query.read;
    assert_false(read->from_now);
    assert_true(read->epoch == after.epoch);
    assert_true(read->after == after.sequence);
    assert_int_equal(read->kinds, 1u << EVENT_INDEX_CHANGED | 1u << EVENT_ACTIVITY_CREATED);
    assert_int_equal(read->model_count, 2);
    assert_bytes(read->models[0], models[0]);
    assert_bytes(read->models[1], models[1]);
    assert_int_equal(read->document_id_count, 2);
    assert_bytes(read->document_ids[0], documents[0]);
    assert_bytes(read->document_ids[1], documents[1]);
    assert_int_equal(read->job_id_count, 3);
    assert_memory_equal(read->job_ids, jobs, sizeof jobs);
    assert_int_equal(read->page_size, 17);
    assert_true(read->subscription == request.subscription);
    assert_false(read->all_tenants);
    assert_false(decoded.all_tenants);
    assert_int_equal(decoded.wait_ms, 20000);
}

static void read_without_anything_is_from_now(void **state)
{
    (void)state;
    payload_start(&payload);
    decode(METHOD_READ_CHANGES);
    assert_int_equal(decoded.outcome, 0);
    const struct query_read *read = &decoded.query.read;
    assert_true(read->from_now);
    assert_int_equal(read->kinds, 0);
    assert_int_equal(read->model_count, 0);
    assert_int_equal(read->document_id_count, 0);
    assert_int_equal(read->job_id_count, 0);
    assert_int_equal(read->page_size, LIMIT_PAGE_SIZE);
    assert_int_equal(read->subscription, 0);
    assert_int_equal(decoded.wait_ms, 0);
}

/* The cursor of an empty history is one: all its numbers are left out of the bytes but the epoch's.
 */
static void cursor_at_the_beginning_is_a_cursor(void **state)
{
    (void)state;
    payload_start(&inner);
    put_fixed64(&inner, 1, 5);
    payload_start(&payload);
    put_message(&payload, 1, &inner);
    decode(METHOD_READ_CHANGES);
    assert_int_equal(decoded.outcome, 0);
    assert_false(decoded.query.read.from_now);
    assert_int_equal(decoded.query.read.epoch, 5);
    assert_int_equal(decoded.query.read.after, 0);
    /* In two pieces: merged. */
    payload_start(&innermost);
    put_number(&innermost, 2, 6);
    put_message(&payload, 1, &innermost);
    decode(METHOD_READ_CHANGES);
    assert_int_equal(decoded.outcome, 0);
    assert_int_equal(decoded.query.read.epoch, 5);
    assert_int_equal(decoded.query.read.after, 6);
    payload_start(&inner);
    payload_start(&payload);
    put_message(&payload, 1, &inner);
    decode(METHOD_READ_CHANGES);
    assert_int_equal(decoded.outcome, 0);
    assert_false(decoded.query.read.from_now); /* it belongs to no history: a reset will say so */
}

static void all_tenants_are_asked_for_by_a_principal(void **state)
{
    (void)state;
    struct command_caller caller = test_caller();
    caller.user = bytes_of(NULL, 0);
    caller.rights = RIGHT_FEED;
    payload_start(&payload);
    put_number(&payload, 8, 1);
    decode_for(scratch, METHOD_READ_CHANGES, &caller, payload_view(&payload), &decoded);
    assert_int_equal(decoded.outcome, 0);
    assert_true(decoded.all_tenants);
    assert_true(decoded.query.read.all_tenants);
    assert_int_equal(decoded.query.caller.rights, RIGHT_FEED);
    /* What one request said is not left over for the next. */
    payload_start(&payload);
    put_number(&payload, 1, 42);
    decode(METHOD_GET_ACTIVITY);
    assert_int_equal(decoded.outcome, 0);
    assert_false(decoded.all_tenants);
}

/* Every filter used up, for the longest caller. */
static void largest_read_fits_a_query(void **state)
{
    (void)state;
    static char name[LIMIT_PRINCIPAL_LENGTH];
    static struct command_caller caller;
    memset(name, 'n', sizeof name);
    caller.tenant = bytes_of(name, LIMIT_TENANT_LENGTH);
    caller.principal = bytes_of(name, LIMIT_PRINCIPAL_LENGTH);
    caller.user = bytes_of(name, LIMIT_USER_LENGTH);
    caller.group_count = LIMIT_CALLER_GROUPS;
    for (size_t i = 0; i < LIMIT_CALLER_GROUPS; i++) {
        caller.groups[i] = bytes_of(name, LIMIT_GROUP_LENGTH);
    }
    payload_start(&payload);
    for (int i = 0; i < LIMIT_READ_KINDS; i++) {
        put_number(&payload, 2, 1 + (uint64_t)i % 4);
    }
    for (int i = 0; i < LIMIT_READ_MODELS; i++) {
        put_filled(&payload, 3, 'm', LIMIT_MODEL_LENGTH);
    }
    for (int i = 0; i < LIMIT_READ_DOCUMENT_IDS; i++) {
        put_filled(&payload, 4, 'd', LIMIT_READ_DOCUMENTS_BYTES / LIMIT_READ_DOCUMENT_IDS);
    }
    for (int i = 0; i < LIMIT_READ_JOB_IDS; i++) {
        put_number(&payload, 5, UINT64_MAX - (uint64_t)i);
    }
    put_number(&payload, 6, LIMIT_WAIT_MS);
    decode_for(scratch, METHOD_READ_CHANGES, &caller, payload_view(&payload), &decoded);
    assert_int_equal(decoded.outcome, 0);
    assert_in_range(decoded.body.length, QUERY_BYTES_MAX / 2, QUERY_BYTES_MAX);
    const struct query_read *read = &decoded.query.read;
    assert_int_equal(read->kinds, 0x1e);
    assert_int_equal(read->document_id_count, LIMIT_READ_DOCUMENT_IDS);
    assert_int_equal(read->document_ids[LIMIT_READ_DOCUMENT_IDS - 1].length,
                     LIMIT_READ_DOCUMENTS_BYTES / LIMIT_READ_DOCUMENT_IDS);
    assert_true(read->job_ids[LIMIT_READ_JOB_IDS - 1] == UINT64_MAX - (LIMIT_READ_JOB_IDS - 1));
    assert_int_equal(decoded.query.caller.group_count, LIMIT_CALLER_GROUPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wait_activity_arrives_whole),
        cmocka_unit_test(wait_activity_is_for_the_end_by_default),
        cmocka_unit_test(wait_visible_arrives_whole),
        cmocka_unit_test(wait_visible_is_for_acked_by_default),
        cmocka_unit_test(read_arrives_whole),
        cmocka_unit_test(read_without_anything_is_from_now),
        cmocka_unit_test(cursor_at_the_beginning_is_a_cursor),
        cmocka_unit_test(all_tenants_are_asked_for_by_a_principal),
        cmocka_unit_test(largest_read_fits_a_query),
    };
    return cmocka_run_group_tests(tests, make_scratch, free_scratch);
}
