#include "tests/unit/server/rpc/admission.h"

#include <limits.h>

#include "server/wire/query.h"

#define JOB_7_CHANGES "\x10\x07"

static void test_garbage_gets_one_answer(void **state)
{
    (void)state;
    const struct admit_peer peer = peer_of("spiffe://t/worker");
    static const char *const garbage[] = {"", "\xff", "GET / HTTP/1.0\r\n\r\n",
                                          ("\x0a\x05"
                                           "abc")};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        assert_true(admits_bytes(&peer, view_of(garbage[i])));
        assert_reply(STATUS_INVALID_ARGUMENT, "MALFORMED_FRAME");
        assert_true(reply.message.length > 0);
    }
    static uint8_t large[LIMIT_REQUEST_BYTES + 1];
    assert_true(admits_bytes(&peer, (struct view){large, sizeof large}));
    assert_reply(STATUS_INVALID_ARGUMENT, "FRAME_TOO_LARGE");
    assert_true(admits_bytes(&peer, (struct view){large, sizeof large - 1}));
    assert_reply(STATUS_INVALID_ARGUMENT, "MALFORMED_FRAME");
    assert_int_equal(pushed.count, 0);
}

static void test_methods(void **state)
{
    (void)state;
    struct frame_request frame = request("", JOB_7);
    assert_true(admits("spiffe://t/worker", &frame));
    assert_reply(STATUS_INVALID_ARGUMENT, "BAD_FIELD");
    frame = request("activity.v1.ActivityService/Explode", JOB_7);
    assert_true(admits("spiffe://t/worker", &frame));
    assert_reply(STATUS_UNIMPLEMENTED, "UNKNOWN_METHOD");
    assert_null(call.method);
    frame = request(GET_METHOD, "\xff");
    assert_true(admits("spiffe://t/worker", &frame));
    assert_reply(STATUS_INVALID_ARGUMENT, "MALFORMED_PAYLOAD");
    frame = request(GET_METHOD, "");
    assert_true(admits("spiffe://t/worker", &frame));
    assert_reply(STATUS_INVALID_ARGUMENT, "BAD_FIELD");
    assert_true(view_equal(reply.metadata[0].value, view_of("job_id")));
    assert_int_equal(pushed.count, 0);
}

/* The matrix of who may call what. */
static void test_rights_to_call(void **state)
{
    (void)state;
    static const char *const cast[] = {"spiffe://t/worker", "spiffe://t/gateway", "spiffe://t/boss",
                                       "spiffe://t/root", "spiffe://t/probe"};
    static const struct {
        const char *method;
        const char *payload;
        const char *allowed; /* one letter for each of the cast */
    } rows[] = {
        {CHECK_METHOD, "", "yyyyy"},
        {INFO_METHOD, "", "yyyyy"},
        {GET_METHOD, JOB_7, "yyyyn"},
        {WAIT_METHOD, JOB_7, "yyyyn"},
        {VISIBLE_METHOD, JOB_7_CHANGES, "yyyyn"},
        {READ_METHOD, "", "yyyyn"},
        {DESTROY_METHOD, JOB_7, "yyyyn"},
        {"activity.v1.AdminService/ListPresentUsers", "", "nnyyn"},
        {"activity.v1.AdminService/ListParkedDocuments", "", "nnyyn"},
        {"activity.v1.AdminService/RetryParked", JOB_7, "nnyyn"}, /* a park_id as well */
        {"activity.v1.AdminService/DiscardParked", JOB_7, "nnyyn"},
        {"activity.v1.AdminService/GetIndexStatus", "", "nnnyn"},
        {"activity.v1.AdminService/ListIndexBatches", "", "nnnyn"},
        {"activity.v1.AdminService/GetStateHash", "", "nnnyn"},
        {"activity.v1.AdminService/Drain", "", "nnnyn"},
        {RELOAD_METHOD, "", "nnnyn"},
    };
    drains = 0;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        for (size_t c = 0; c < sizeof cast / sizeof cast[0]; c++) {
            struct frame_request frame = request(rows[r].method, rows[r].payload);
            bool answered = admits(cast[c], &frame);
            bool denied = answered && reply.code == STATUS_PERMISSION_DENIED;
            if (denied != (rows[r].allowed[c] == 'n')) {
                fail_msg("%s by %s", rows[r].method, cast[c]);
            }
            if (denied) {
                assert_reply(STATUS_PERMISSION_DENIED, "NOT_ALLOWED");
                assert_int_equal(pushed.count, 0);
            }
        }
    }
    assert_int_equal(drains, 1);
}

/* It is none of the engine's, and answered by whoever reads the files. */
static void test_reload(void **state)
{
    (void)state;
    struct frame_request frame = request(RELOAD_METHOD, "");
    frame.timeout_ms = 700;
    assert_false(admits("spiffe://t/root", &frame));
    assert_int_equal(pushed.to, GIVEN_TO_RELOAD);
    assert_int_equal(pushed.item.token, 42);
    assert_int_equal(pushed.item.deadline_ms, clock_ms + 700);
    assert_int_equal(call.method->id, METHOD_RELOAD);
    assert_int_equal(call.wait_ms, 0);

    frame.payload = view_of("\x0a\x01x"); /* a field of later */
    assert_false(admits("spiffe://t/root", &frame));
    frame.payload = view_of("\x0a\x7f");
    assert_true(admits("spiffe://t/root", &frame));
    assert_reply(STATUS_INVALID_ARGUMENT, "MALFORMED_PAYLOAD");
    assert_int_equal(pushed.count, 0);

    frame.payload = view_of("");
    pushed.outcome = 1;
    assert_true(admits("spiffe://t/root", &frame));
    assert_reply(STATUS_UNAVAILABLE, "DRAINING");
    pushed.outcome = 0;
}

/* What was negotiated with the caller goes with its question. */
static void test_suite_of_the_connection(void **state)
{
    (void)state;
    static const struct {
        unsigned suite;
        unsigned told;
    } rows[] = {{0, 0}, {5, 5}, {UINT8_MAX, UINT8_MAX}, {UINT_MAX, UINT8_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query query;
        struct admit_peer peer = peer_of("spiffe://t/probe");
        const struct frame_request frame = request(INFO_METHOD, "");
        peer.suite = rows[i].suite;
        assert_false(admits_of(&peer, &frame));
        query_decode(pushed.item.body, &query);
        assert_int_equal(query.suite, rows[i].told);
    }
}

static struct frame_request on_behalf(const char *tenant, const char *user)
{
    struct frame_request frame = request(DESTROY_METHOD, JOB_7);
    frame.on_behalf_of = true;
    frame.tenant = view_of(tenant);
    frame.user = view_of(user);
    return frame;
}

/* The caller of the command that was pushed. */
static const struct command_caller *pushed_caller(void)
{
    static struct command command;
    assert_int_equal(pushed.item.kind, INBOX_COMMAND);
    struct reader reader = reader_of(pushed.item.body);
    assert_true(command_decode(&reader, &command));
    assert_int_equal(command.kind, COMMAND_DESTROY);
    assert_true(command.destroy.job_id == 7);
    return &command.destroy.caller;
}

static void assert_text(struct bytes text, const char *expected)
{
    assert_true(bytes_equal(text, bytes_of(expected, strlen(expected))));
}

static void test_who_is_called_for(void **state)
{
    (void)state;
    struct frame_request frame = request(DESTROY_METHOD, JOB_7);
    assert_false(admits("spiffe://t/worker", &frame));
    const struct command_caller *caller = pushed_caller();
    assert_text(caller->tenant, "acme");
    assert_text(caller->principal, "spiffe://t/worker");
    assert_text(caller->user, "");
    assert_int_equal(caller->rights, 0);
    assert_int_equal(caller->group_count, 0);

    /* The own tenant may be named, a user in it only with delegate. */
    frame = on_behalf("acme", "");
    assert_false(admits("spiffe://t/worker", &frame));
    frame = on_behalf("acme", "bob");
    assert_true(admits("spiffe://t/worker", &frame));
    assert_reply(STATUS_PERMISSION_DENIED, "NOT_ALLOWED");
    assert_true(admits("spiffe://t/gateway", &frame));
    assert_reply(STATUS_PERMISSION_DENIED, "NOT_ALLOWED");

    frame = on_behalf("other", "bob");
    frame.groups[0] = view_of("staff");
    frame.groups[1] = view_of("night");
    frame.group_count = 2;
    assert_false(admits("spiffe://t/gateway", &frame));
    caller = pushed_caller();
    assert_text(caller->tenant, "other");
    assert_text(caller->user, "bob");
    assert_int_equal(caller->rights, RIGHT_UPDATE_ANY);
    assert_int_equal(caller->group_count, 2);
    assert_text(caller->groups[1], "night");
    frame = on_behalf("third", "bob");
    assert_true(admits("spiffe://t/gateway", &frame));

    /* Admin of the own tenant is none elsewhere; admin = all is everywhere. */
    frame = on_behalf("other", "");
    assert_false(admits("spiffe://t/boss", &frame));
    assert_int_equal(pushed_caller()->rights, 0);
    frame = request(DESTROY_METHOD, JOB_7);
    assert_false(admits("spiffe://t/boss", &frame));
    assert_int_equal(pushed_caller()->rights, RIGHT_ADMIN);
    frame = on_behalf("third", "bob");
    assert_false(admits("spiffe://t/root", &frame));
    assert_int_equal(pushed_caller()->rights, RIGHT_ADMIN); /* feed is for queries only */
    frame = on_behalf("other", "");
    frame.method = view_of("activity.v1.AdminService/ListPresentUsers");
    frame.payload = view_of("");
    assert_true(admits("spiffe://t/boss", &frame));
    assert_reply(STATUS_PERMISSION_DENIED, "NOT_ALLOWED");
}

/* Who decides about what is parked is admin there, and the command says so. */
static void test_decisions_are_an_admin_s(void **state)
{
    (void)state;
    static struct command command;
    struct frame_request frame = request("activity.v1.AdminService/DiscardParked", JOB_7);
    assert_false(admits("spiffe://t/boss", &frame));
    assert_int_equal(pushed.item.kind, INBOX_COMMAND);
    struct reader reader = reader_of(pushed.item.body);
    assert_true(command_decode(&reader, &command));
    assert_int_equal(command.kind, COMMAND_PARKED);
    assert_true(command.parked.park_id == 7);
    assert_int_equal(command.parked.action, PARKED_DISCARD);
    assert_int_equal(command.parked.caller.rights, RIGHT_ADMIN);
    assert_text(command.parked.caller.tenant, "acme");

    pushed.count = 0;
    frame = on_behalf("other", "bob"); /* where it is a delegate and no admin */
    frame.method = view_of("activity.v1.AdminService/DiscardParked");
    assert_true(admits("spiffe://t/boss", &frame));
    assert_reply(STATUS_PERMISSION_DENIED, "NOT_ALLOWED");
    assert_int_equal(pushed.count, 0);
}

static void test_deadlines_and_tokens(void **state)
{
    (void)state;
    static const struct {
        uint32_t timeout_ms;
        uint64_t deadline_ms;
    } rows[] = {{0, 35000}, {1, 5001}, {60000, 65000}, {60001, 65000}, {UINT32_MAX, 65000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct frame_request frame = request(GET_METHOD, JOB_7);
        frame.timeout_ms = rows[i].timeout_ms;
        assert_false(admits("spiffe://t/worker", &frame));
        assert_int_equal(pushed.item.kind, INBOX_QUERY);
        assert_int_equal(pushed.item.token, 42);
        assert_int_equal(pushed.item.deadline_ms, rows[i].deadline_ms);
    }
}

static void test_overload(void **state)
{
    (void)state;
    static const struct {
        int outcome;
        enum status_code code;
        const char *reason;
    } rows[] = {{1, STATUS_RESOURCE_EXHAUSTED, "INBOX_FULL"},
                {2, STATUS_UNAVAILABLE, "DRAINING"},
                {3, STATUS_RESOURCE_EXHAUSTED, "DISK_FULL"}};
    struct frame_request frame = request(DESTROY_METHOD, JOB_7);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pushed.outcome = rows[i].outcome;
        assert_true(admits("spiffe://t/worker", &frame));
        assert_reply(rows[i].code, rows[i].reason);
        assert_true(reply.retry_after_ms > 0);
    }
    pushed.outcome = 0;
}

static void test_check(void **state)
{
    (void)state;
    static const struct {
        enum admit_health health;
        const char *payload;
        const char *response; /* NULL: UNKNOWN_SERVICE */
    } rows[] = {
        {ADMIT_SERVING, "", "\x08\x01"},
        {ADMIT_SERVING,
         "\x0a\x1b"
         "activity.v1.ActivityService",
         "\x08\x01"},
        {ADMIT_SERVING,
         "\x0a\x19"
         "activity.v1.ChangeService",
         "\x08\x01"},
        {ADMIT_SERVING,
         "\x0a\x0b"
         "activity.v1",
         NULL},
        {ADMIT_SERVING,
         "\x0a\x04"
         "nope",
         NULL},
        {ADMIT_SERVING, "\x10\x05\x0a\x00", NULL}, /* ends at the NUL: a cut field */
        {ADMIT_DRAINING, "",
         "\x08\x02\x12\x1b"
         "the server is about to stop"},
        {ADMIT_DISK_FULL, "",
         "\x08\x02\x12\x29"
         "the journal cannot grow: its disk is full"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct frame_request frame = request(CHECK_METHOD, rows[i].payload);
        health_now = rows[i].health;
        assert_true(admits("spiffe://t/probe", &frame));
        assert_int_equal(pushed.count, 0);
        if (rows[i].response != NULL) {
            assert_reply(STATUS_OK, "");
            assert_true(view_equal(reply.payload, view_of(rows[i].response)));
        } else {
            assert_true(reply.code == STATUS_NOT_FOUND || reply.code == STATUS_INVALID_ARGUMENT);
        }
    }
    health_now = ADMIT_SERVING;
    struct frame_request frame = request(CHECK_METHOD, "\x08\x01");
    assert_true(admits("spiffe://t/probe", &frame));
    assert_reply(STATUS_INVALID_ARGUMENT, "MALFORMED_PAYLOAD");
    frame = request(CHECK_METHOD, "\x10\x05"); /* a field of a later version */
    assert_true(admits("spiffe://t/probe", &frame));
    assert_reply(STATUS_OK, "");
}

static void test_diagnostics(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    log_init(ends[1], LOG_LEVEL_INFO, true);
    struct frame_request frame = request(DESTROY_METHOD, JOB_7);
    frame.metadata[0] = (struct frame_metadata){view_of("traceparent"), view_of("00-ab-cd-01")};
    frame.metadata_count = 1;
    assert_true(admits("spiffe://t/probe", &frame));
    const char *line = logged(ends[0]);
    assert_non_null(strstr(line, "msg=\"call refused\" reason=NOT_ALLOWED"));
    assert_non_null(strstr(line, "principal=spiffe://t/probe"));
    assert_non_null(strstr(line, "traceparent=00-ab-cd-01"));

    assert_false(admits("spiffe://t/worker", &frame));
    const struct admit_peer peer = peer_of("spiffe://t/worker");
    clock_ms += 999;
    admit_answered(admit, &peer, &call);
    clock_ms += 1;
    admit_answered(admit, &peer, &call);
    line = logged(ends[0]);
    assert_non_null(strstr(line, "msg=\"slow call\" method=" DESTROY_METHOD " elapsed_ms=1000 "));
    assert_non_null(strstr(line, "traceparent=00-ab-cd-01"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    clock_ms = 5000;
    log_init(2, LOG_LEVEL_FATAL, false);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_garbage_gets_one_answer),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_rights_to_call),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_suite_of_the_connection),
        cmocka_unit_test(test_who_is_called_for),
        cmocka_unit_test(test_decisions_are_an_admin_s),
        cmocka_unit_test(test_deadlines_and_tokens),
        cmocka_unit_test(test_overload),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_diagnostics),
    };
    return cmocka_run_group_tests(tests, open_admission, close_admission);
}
