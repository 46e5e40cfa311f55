/* Requests of administrators at the border: pages of lists, decisions about what is parked. */
#include "tests/unit/server/wire/faults.h"

#include "activity/v1/admin_service.pb-c.h"
#include "server/wire/token.h"

static void pack(const ProtobufCMessage *request)
{
    payload.at = payload.bytes + protobuf_c_message_pack(request, payload.bytes);
}

static struct command_caller admin(void)
{
    struct command_caller caller = test_caller();
    caller.rights = RIGHT_ADMIN;
    return caller;
}

/* ---- Decisions ---- */

static void assert_decision(enum method_id method, uint64_t park_id, enum parked_action action)
{
    const struct command_caller caller = admin();
    decode_for(scratch, method, &caller, payload_view(&payload), &decoded);
    assert_int_equal(decoded.outcome, 0);
    assert_int_equal(decoded.command.kind, COMMAND_PARKED);
    assert_caller(&decoded.command.parked.caller);
    assert_int_equal(decoded.command.parked.caller.rights, RIGHT_ADMIN);
    assert_true(decoded.command.parked.park_id == park_id);
    assert_int_equal(decoded.command.parked.action, action);
    assert_int_equal(decoded.wait_ms, 0);
}

static void decisions_arrive_whole(void **state)
{
    (void)state;
    Activity__V1__RetryParkedRequest retry = ACTIVITY__V1__RETRY_PARKED_REQUEST__INIT;
    retry.park_id = UINT64_MAX;
    pack(&retry.base);
    assert_decision(METHOD_RETRY_PARKED, UINT64_MAX, PARKED_RETRY);
    Activity__V1__DiscardParkedRequest discard = ACTIVITY__V1__DISCARD_PARKED_REQUEST__INIT;
    discard.park_id = 1;
    pack(&discard.base);
    assert_decision(METHOD_DISCARD_PARKED, 1, PARKED_DISCARD);
}

/* ---- Pages ---- */

/* The lists with pages, as large as their largest one. */
static const struct {
    enum method_id method;
    uint64_t hash;
    uint32_t most;
} lists[] = {
    {METHOD_LIST_PRESENT_USERS, TOKEN_USERS_HASH, LIMIT_PAGE_SIZE},
    {METHOD_LIST_INDEX_BATCHES, TOKEN_BATCHES_HASH, LIMIT_INDEX_BATCHES},
    {METHOD_LIST_PARKED_DOCUMENTS, TOKEN_PARKED_HASH, LIMIT_PAGE_SIZE},
};
enum { LISTS = sizeof lists / sizeof lists[0] };

static void put_token(uint64_t hash, uint64_t position)
{
    uint8_t token[TOKEN_BYTES];
    token_encode(token, hash, (struct query_place){0, position});
    payload.at = encode_member(payload.at, 2, bytes_of(token, sizeof token));
}

static void assert_page(enum method_id method, uint32_t page_size, uint64_t position)
{
    decode(method);
    assert_int_equal(decoded.outcome, 0);
    assert_caller(&decoded.query.caller);
    assert_int_equal(decoded.query.page.page_size, page_size);
    assert_true(decoded.query.page.position == position);
}

static void pages_arrive_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < LISTS; i++) {
        payload_start(&payload);
        assert_page(lists[i].method, lists[i].most, 0);
        put_number(&payload, 1, 1);
        assert_page(lists[i].method, 1, 0);
        put_token(lists[i].hash, UINT64_MAX - 1);
        assert_page(lists[i].method, 1, UINT64_MAX - 1);
        put_number(&payload, 1, lists[i].most);
        assert_page(lists[i].method, lists[i].most, UINT64_MAX - 1);
        put_number(&payload, 1, lists[i].most + 1);
        decode(lists[i].method);
        assert_int_equal(decoded.outcome, 1);
        assert_string_equal(decoded.error.field, "page_size");
    }
}

static void a_token_belongs_to_its_list(void **state)
{
    (void)state;
    for (size_t i = 0; i < LISTS; i++) {
        for (size_t j = 0; j < LISTS; j++) {
            payload_start(&payload);
            put_token(lists[j].hash, 5);
            decode(lists[i].method);
            assert_int_equal(decoded.outcome, i != j);
            if (i != j) {
                assert_string_equal(decoded.error.field, "page_token");
            }
        }
    }
}

/* ---- Faults ---- */

static void nothing(void)
{
    payload_start(&payload);
}
static void park_id_zero(void)
{
    payload_start(&payload);
    put_number(&payload, 1, 7);
    put_number(&payload, 1, 0); /* the last one counts */
}
static void park_id_a_text(void)
{
    payload_start(&payload);
    put_text(&payload, 1, "7");
}
static void garbage(void)
{
    payload_start(&payload);
    put_filled(&payload, 1, 'x', 4);
    payload.at -= 1;
}
static void page_large(void)
{
    payload_start(&payload);
    put_number(&payload, 1, 257);
}
static void page_very_large(void)
{
    payload_start(&payload);
    put_number(&payload, 1, UINT32_MAX);
}
static void token_text(void)
{
    payload_start(&payload);
    put_text(&payload, 2, "88412");
}
static void token_a_number(void)
{
    payload_start(&payload);
    put_number(&payload, 2, 88412);
}

static const struct fault faults[] = {
    {"nothing to retry", METHOD_RETRY_PARKED, nothing, "park_id", "is required"},
    {"nothing to discard", METHOD_DISCARD_PARKED, nothing, "park_id", "is required"},
    {"zero to retry", METHOD_RETRY_PARKED, park_id_zero, "park_id", "is required"},
    {"a text to discard", METHOD_DISCARD_PARKED, park_id_a_text, NULL, "no message"},
    {"garbage", METHOD_RETRY_PARKED, garbage, NULL, "no message"},
    {"garbage", METHOD_DISCARD_PARKED, garbage, NULL, "no message"},
    {"garbage", METHOD_GET_INDEX_STATUS, garbage, NULL, "no message"},
    {"garbage", METHOD_LIST_INDEX_BATCHES, garbage, NULL, "no message"},
    {"garbage", METHOD_LIST_PARKED_DOCUMENTS, garbage, NULL, "no message"},
    {"257 batches", METHOD_LIST_INDEX_BATCHES, page_large, "page_size", "0 for 256, found 257"},
    {"large page", METHOD_LIST_PARKED_DOCUMENTS, page_very_large, "page_size",
     "0 for 1000, found 4294967295"},
    {"made-up token", METHOD_LIST_INDEX_BATCHES, token_text, "page_token", "5 other bytes"},
    {"made-up token", METHOD_LIST_PARKED_DOCUMENTS, token_text, "page_token", "5 other bytes"},
    {"token a number", METHOD_LIST_PARKED_DOCUMENTS, token_a_number, NULL, "no message"},
};

static void each_fault_is_told(void **state)
{
    (void)state;
    assert_told(faults, sizeof faults / sizeof faults[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions_arrive_whole),
        cmocka_unit_test(pages_arrive_whole),
        cmocka_unit_test(a_token_belongs_to_its_list),
        cmocka_unit_test(each_fault_is_told),
    };
    return cmocka_run_group_tests(tests, make_scratch, free_scratch);
}
