/* Long polls at admission: places to wait, until when, and what a feed allows. */
#include "tests/unit/server/rpc/admission.h"

#include <pthread.h>

#include "server/wire/encode.h"
#include "server/wire/query.h"

/* Peers with counters of their own, as connections of three principals have them. */
static struct principal {
    const char *name;
    _Atomic uint32_t waits;
    atomic_bool gone;
} principals[] = {
    {.name = "spiffe://t/worker"}, {.name = "spiffe://t/gateway"}, {.name = "spiffe://t/watcher"}};
enum { WORKER = 0, GATEWAY = 1, WATCHER = 2, PRINCIPALS = 3 };

static struct admit_peer waiting_peer(size_t which)
{
    struct admit_peer peer = peer_of(principals[which].name);
    peer.gone = &principals[which].gone;
    peer.waits = &principals[which].waits;
    return peer;
}

/* The three methods that wait: their payload without a wait, and the field that says how long. */
static const struct {
    const char *method;
    const char *payload;
    uint32_t field;
    enum given_to to;
} polls[] = {
    {WAIT_METHOD, JOB_7, 4, GIVEN_TO_ENGINE},
    {VISIBLE_METHOD, "\x10\x07", 4, GIVEN_TO_ENGINE},
    {READ_METHOD, "", 6, GIVEN_TO_FEED},
};
#define POLLS (sizeof polls / sizeof polls[0])

static struct frame_request poll_of(size_t which, uint32_t wait_ms)
{
    static _Thread_local uint8_t payload[64];
    uint8_t *end =
        encode_raw(payload, bytes_of(polls[which].payload, strlen(polls[which].payload)));
    end = encode_number(end, polls[which].field, wait_ms);
    struct frame_request frame = request(polls[which].method, "");
    frame.payload = (struct view){payload, (size_t)(end - payload)};
    return frame;
}

static bool admits_poll(size_t who, size_t which, uint32_t wait_ms)
{
    const struct admit_peer peer = waiting_peer(who);
    struct frame_request frame = poll_of(which, wait_ms);
    return admits_of(&peer, &frame);
}

static void answered(size_t who, const struct admit_call *of)
{
    const struct admit_peer peer = waiting_peer(who);
    admit_answered(admit, &peer, of);
}

static uint32_t waits_of(size_t who)
{
    return atomic_load(&principals[who].waits);
}

/* Whether all places are free, by filling them. */
static void assert_all_places_are_free(void)
{
    struct admit_call calls[5];
    static const size_t who[5] = {WORKER, WORKER, WORKER, GATEWAY, GATEWAY};
    for (size_t i = 0; i < PRINCIPALS; i++) {
        assert_int_equal(waits_of(i), 0);
    }
    for (size_t i = 0; i < 5; i++) {
        assert_false(admits_poll(who[i], i % POLLS, 100));
        assert_int_equal(call.wait_ms, 100);
        calls[i] = call;
    }
    for (size_t i = 0; i < 5; i++) {
        answered(who[i], &calls[i]);
    }
    for (size_t i = 0; i < PRINCIPALS; i++) {
        assert_int_equal(waits_of(i), 0);
    }
}

/* ---- Until when ---- */

static void who_does_not_wait_takes_no_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < POLLS; i++) {
        assert_false(admits_poll(WORKER, i, 0));
        assert_int_equal(pushed.to, polls[i].to);
        assert_int_equal(pushed.item.token, 42);
        assert_int_equal(pushed.item.deadline_ms, 35000);
        assert_int_equal(pushed.item.wait_until_ms, 0);
        assert_false(pushed.item.crowded);
        assert_null(pushed.item.gone);
        assert_int_equal(call.wait_ms, 0);
        assert_int_equal(waits_of(WORKER), 0);
        answered(WORKER, &call);
        assert_int_equal(waits_of(WORKER), 0);
    }
    assert_all_places_are_free();
}

static void answer_comes_before_the_caller_gives_up(void **state)
{
    (void)state;
    static const struct {
        uint32_t wait_ms;
        uint32_t timeout_ms;
        uint32_t waits_ms;
    } rows[] = {
        {30000, 0, 29000},
        {30000, 60000, 30000},
        {30000, UINT32_MAX, 30000},
        {30000, 31000, 30000},
        {30000, 30999, 29999},
        {30000, 4000, 3000},
        {30000, 3999, 3000},
        {30000, 2000, 1500},
        {30000, 4, 3},
        {30000, 3, 3},
        {30000, 1, 1},
        {500, 0, 500},
        {1, 0, 1},
        {1, 1, 1},
        {29000, 30000, 29000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t which = 0; which < POLLS; which++) {
            const struct admit_peer peer = waiting_peer(WORKER);
            struct frame_request frame = poll_of(which, rows[i].wait_ms);
            frame.timeout_ms = rows[i].timeout_ms;
            assert_false(admits_of(&peer, &frame));
            assert_int_equal(pushed.item.wait_until_ms, clock_ms + rows[i].waits_ms);
            assert_in_range(pushed.item.wait_until_ms, clock_ms + 1, pushed.item.deadline_ms);
            assert_int_equal(call.wait_ms, rows[i].waits_ms);
            assert_ptr_equal(pushed.item.gone, &principals[WORKER].gone);
            assert_false(pushed.item.crowded);
            assert_int_equal(waits_of(WORKER), 1);
            answered(WORKER, &call);
            assert_int_equal(waits_of(WORKER), 0);
        }
    }
    assert_all_places_are_free();
}

/* ---- Places ---- */

static void assert_crowded(size_t who, size_t which)
{
    uint32_t before = waits_of(who);
    assert_false(admits_poll(who, which, 30000));
    assert_int_equal(pushed.to, polls[which].to);
    assert_true(pushed.item.crowded);
    assert_int_equal(pushed.item.wait_until_ms, 0);
    assert_int_equal(call.wait_ms, 0);
    assert_int_equal(waits_of(who), before);
    answered(who, &call); /* it holds nothing to be given back */
    assert_int_equal(waits_of(who), before);
}

static void places_are_bounded(void **state)
{
    (void)state;
    struct admit_call worker[3];
    struct admit_call gateway[2];
    for (size_t i = 0; i < 3; i++) {
        assert_false(admits_poll(WORKER, i, 30000));
        assert_false(pushed.item.crowded);
        worker[i] = call;
    }
    assert_crowded(WORKER, 0); /* all of its own */
    assert_crowded(WORKER, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_false(admits_poll(GATEWAY, i, 30000));
        assert_false(pushed.item.crowded);
        gateway[i] = call;
    }
    assert_crowded(GATEWAY, 1); /* all of all */
    assert_crowded(WATCHER, 0);
    assert_int_equal(waits_of(WATCHER), 0);

    /* One that does not wait is not held up, and not told to come back. */
    assert_false(admits_poll(WORKER, 0, 0));
    assert_false(pushed.item.crowded);

    answered(WORKER, &worker[1]);
    assert_int_equal(waits_of(WORKER), 2);
    assert_false(admits_poll(WATCHER, 0, 30000));
    assert_false(pushed.item.crowded);
    struct admit_call watcher = call;
    assert_crowded(WORKER, 1);

    answered(WATCHER, &watcher);
    answered(GATEWAY, &gateway[0]);
    answered(GATEWAY, &gateway[1]);
    answered(WORKER, &worker[0]);
    answered(WORKER, &worker[2]);
    assert_all_places_are_free();
}

static void who_has_no_counter_may_not_wait(void **state)
{
    (void)state;
    const struct admit_peer peer = peer_of("spiffe://t/worker");
    struct frame_request frame = poll_of(0, 30000);
    assert_false(admits_of(&peer, &frame));
    assert_true(pushed.item.crowded);
    admit_answered(admit, &peer, &call);
    assert_all_places_are_free();
}

static void what_is_answered_here_holds_no_place(void **state)
{
    (void)state;
    static const struct {
        int outcome;
        enum status_code code;
        const char *reason;
    } rows[] = {{1, STATUS_RESOURCE_EXHAUSTED, "INBOX_FULL"}, {2, STATUS_UNAVAILABLE, "DRAINING"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t which = 0; which < POLLS; which++) {
            pushed.outcome = rows[i].outcome;
            assert_true(admits_poll(WORKER, which, 30000));
            assert_reply(rows[i].code, rows[i].reason);
            assert_true(reply.retry_after_ms > 0);
            assert_int_equal(waits_of(WORKER), 0);
            assert_int_equal(call.wait_ms, 0);
        }
    }
    pushed.outcome = 0;
    for (size_t which = 0; which < POLLS; which++) {
        assert_true(admits_poll(WORKER, which, 30001));
        assert_reply(STATUS_INVALID_ARGUMENT, "BAD_FIELD");
        assert_true(view_equal(reply.metadata[0].value, view_of("wait_ms")));
        assert_int_equal(call.wait_ms, 0);
    }
    const struct admit_peer peer = waiting_peer(WORKER);
    struct frame_request frame = request(READ_METHOD, "\x30\x64\x40\x01"); /* waits, all tenants */
    assert_true(admits_of(&peer, &frame));
    assert_reply(STATUS_PERMISSION_DENIED, "NOT_ALLOWED");
    frame = request(WAIT_METHOD, "\x20\x64"); /* no job */
    assert_true(admits_of(&peer, &frame));
    assert_reply(STATUS_INVALID_ARGUMENT, "BAD_FIELD");
    frame = request(WAIT_METHOD, "\x20");
    assert_true(admits_of(&peer, &frame));
    assert_reply(STATUS_INVALID_ARGUMENT, "MALFORMED_PAYLOAD");
    assert_all_places_are_free();
}

/* ---- Many at a time ---- */

static _Atomic uint32_t in_use;
static _Atomic uint32_t most_in_use;
static _Atomic uint32_t crowds;

static void *poll_often(void *context)
{
    size_t who = (size_t)(uintptr_t)context % PRINCIPALS;
    const struct admit_peer peer = waiting_peer(who);
    for (size_t i = 0; i < 5000; i++) {
        struct frame_request frame = poll_of(i % POLLS, 1000);
        pushed.outcome = i % 7 == 0 ? 1 : 0;
        if (admits_of(&peer, &frame)) {
            continue;
        }
        struct admit_call mine = call;
        if (mine.wait_ms == 0) {
            atomic_fetch_add(&crowds, 1);
        } else {
            uint32_t now = atomic_fetch_add(&in_use, 1) + 1;
            uint32_t most = atomic_load(&most_in_use);
            while (now > most && !atomic_compare_exchange_weak(&most_in_use, &most, now)) {
            }
            if (i % 16 == 0) {
                (void)usleep(100);
            }
            atomic_fetch_sub(&in_use, 1);
        }
        admit_answered(admit, &peer, &mine);
    }
    return NULL;
}

static void places_are_counted_by_many_threads(void **state)
{
    (void)state;
    pthread_t threads[9];
    for (uintptr_t i = 0; i < 9; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, poll_often, (void *)i), 0);
    }
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_in_range(atomic_load(&most_in_use), 1, 5);
    assert_int_equal(atomic_load(&in_use), 0);
    print_message("%u at a time, %u of 45000 without a place\n", atomic_load(&most_in_use),
                  atomic_load(&crowds));
    assert_all_places_are_free();
}

/* ---- Rights ---- */

static uint8_t rights_of_query(const char *who, const char *method, const char *payload)
{
    static struct query query;
    struct frame_request frame = request(method, payload);
    assert_false(admits(who, &frame));
    query_decode(pushed.item.body, &query);
    return query.caller.rights;
}

static void feed_is_a_right_of_queries(void **state)
{
    (void)state;
    assert_int_equal(rights_of_query("spiffe://t/worker", INFO_METHOD, ""), 0);
    assert_int_equal(rights_of_query("spiffe://t/watcher", INFO_METHOD, ""), RIGHT_FEED);
    assert_int_equal(rights_of_query("spiffe://t/watcher", READ_METHOD, ""), RIGHT_FEED);
    assert_int_equal(rights_of_query("spiffe://t/watcher", WAIT_METHOD, JOB_7), RIGHT_FEED);
    assert_int_equal(rights_of_query("spiffe://t/root", INFO_METHOD, ""), RIGHT_FEED | RIGHT_ADMIN);
    assert_int_equal(rights_of_query("spiffe://t/boss", READ_METHOD, ""), RIGHT_ADMIN);

    static struct command command;
    struct frame_request frame = request(DESTROY_METHOD, JOB_7);
    assert_false(admits("spiffe://t/watcher", &frame));
    struct reader reader = reader_of(pushed.item.body);
    assert_true(command_decode(&reader, &command));
    assert_int_equal(command.destroy.caller.rights, 0);
}

#define ALL_TENANTS "\x40\x01"

static void all_tenants_need_feed(void **state)
{
    (void)state;
    static struct query query;
    static const char *const without[] = {"spiffe://t/worker", "spiffe://t/gateway",
                                          "spiffe://t/boss"};
    struct frame_request frame = request(READ_METHOD, ALL_TENANTS);
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        assert_true(admits(without[i], &frame));
        assert_reply(STATUS_PERMISSION_DENIED, "NOT_ALLOWED");
        assert_int_equal(reply.metadata_count, 1);
        assert_true(view_equal(reply.metadata[0].name, view_of("field")));
        assert_true(view_equal(reply.metadata[0].value, view_of("all_tenants")));
        assert_int_equal(pushed.count, 0);
    }
    assert_false(admits("spiffe://t/watcher", &frame));
    query_decode(pushed.item.body, &query);
    assert_true(query.read.all_tenants);

    /* A principal may name a tenant and call for itself; a user never sees all. */
    frame.on_behalf_of = true;
    frame.tenant = view_of("other");
    assert_false(admits("spiffe://t/root", &frame));
    frame.user = view_of("bob");
    assert_true(admits("spiffe://t/root", &frame));
    assert_reply(STATUS_INVALID_ARGUMENT, "BAD_FIELD");
    assert_true(view_equal(reply.metadata[0].value, view_of("all_tenants")));
    assert_int_equal(pushed.count, 0);
}

static void without_a_reader_there_is_no_such_method(void **state)
{
    (void)state;
    struct admit_options options = admission_options();
    struct admit *with = admit;
    options.reader = NULL;
    admit = admit_new(&options);
    assert_non_null(admit);
    assert_true(admits_poll(WORKER, 2, 100));
    assert_reply(STATUS_UNIMPLEMENTED, "UNKNOWN_METHOD");
    assert_int_equal(waits_of(WORKER), 0);
    assert_false(admits_poll(WORKER, 0, 0)); /* the others do not need one */
    admit_free(admit);
    admit = with;
}

/* ---- Diagnostics ---- */

static void waiting_is_not_slowness(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    log_init(ends[1], LOG_LEVEL_WARNING, true);
    assert_false(admits_poll(WORKER, 0, 20000));
    struct admit_call waited = call;
    assert_false(admits_poll(WORKER, 1, 0));
    struct admit_call asked = call;
    clock_ms += 20999;
    answered(WORKER, &waited); /* in time */
    answered(WORKER, &asked);
    const char *line = logged(ends[0]);
    assert_non_null(strstr(line, "msg=\"slow call\" method=" VISIBLE_METHOD));
    assert_null(strstr(line, WAIT_METHOD));

    clock_ms = 5000;
    assert_false(admits_poll(WORKER, 0, 20000));
    clock_ms += 21000;
    answered(WORKER, &call);
    line = logged(ends[0]);
    assert_non_null(strstr(line, "msg=\"slow call\" method=" WAIT_METHOD " elapsed_ms=21000 "));
    clock_ms = 5000;
    log_init(2, LOG_LEVEL_FATAL, false);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    assert_all_places_are_free();
}

static void who_finds_no_place_is_logged(void **state)
{
    (void)state;
    struct admit_call calls[3];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_false(admits_poll(WORKER, 0, 100));
        calls[i] = call;
    }
    log_init(ends[1], LOG_LEVEL_INFO, true);
    assert_crowded(WORKER, 2);
    log_init(2, LOG_LEVEL_FATAL, false);
    const char *line = logged(ends[0]);
    assert_non_null(strstr(line, "msg=\"no place to wait\" method=" READ_METHOD));
    assert_non_null(strstr(line, "principal=spiffe://t/worker"));
    for (size_t i = 0; i < 3; i++) {
        answered(WORKER, &calls[i]);
    }
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    assert_all_places_are_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_finds_no_place_is_logged), /* first: such lines are few a minute */
        cmocka_unit_test(who_does_not_wait_takes_no_place),
        cmocka_unit_test(answer_comes_before_the_caller_gives_up),
        cmocka_unit_test(places_are_bounded),
        cmocka_unit_test(who_has_no_counter_may_not_wait),
        cmocka_unit_test(what_is_answered_here_holds_no_place),
        cmocka_unit_test(places_are_counted_by_many_threads),
        cmocka_unit_test(feed_is_a_right_of_queries),
        cmocka_unit_test(all_tenants_need_feed),
        cmocka_unit_test(without_a_reader_there_is_no_such_method),
        cmocka_unit_test(waiting_is_not_slowness),
    };
    return cmocka_run_group_tests(tests, open_admission, close_admission);
}
