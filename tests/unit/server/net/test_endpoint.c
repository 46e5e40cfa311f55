/* The command endpoint over real TLS, with clients in this process and the engine's place taken at
 * link time. */
#include "tests/unit/server/net/scene.h"

#include <pthread.h>

#include <nng/protocol/reqrep0/req.h>

#include "proto/frame.h"
#include "server/net/endpoint.h"
#include "server/net/endpoint_state.h"

#define WAITS 4 /* of one principal */

static struct admit *admit;
static struct endpoint *endpoint;

/* ---- The engine ---- */

static struct {
    pthread_mutex_t lock;
    int count;          /* requests that came so far */
    size_t reply_bytes; /* answer at once with so many; 0: hold */
    struct inbox_item held[64];
    size_t held_count;
} engine = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void reply_to(uint64_t token, size_t length)
{
    static uint8_t zeros[LIMIT_REPLY_BYTES];
    endpoint_reply(endpoint, token, (struct view){zeros, length});
}

int inbox_push(struct inbox *inbox, const struct inbox_item *item)
{
    (void)inbox;
    (void)pthread_mutex_lock(&engine.lock);
    engine.count++;
    size_t length = engine.reply_bytes;
    if (length == 0 && engine.held_count < sizeof engine.held / sizeof engine.held[0]) {
        engine.held[engine.held_count++] = *item;
    }
    (void)pthread_mutex_unlock(&engine.lock);
    if (length > 0) {
        reply_to(item->token, length); /* before the admission has returned */
    }
    return 0;
}

static int engine_count(void)
{
    (void)pthread_mutex_lock(&engine.lock);
    int count = engine.count;
    (void)pthread_mutex_unlock(&engine.lock);
    return count;
}

static void engine_set(size_t reply_bytes)
{
    (void)pthread_mutex_lock(&engine.lock);
    engine.count = 0;
    engine.held_count = 0;
    engine.reply_bytes = reply_bytes;
    (void)pthread_mutex_unlock(&engine.lock);
}

static uint64_t read_clock(void *context)
{
    (void)context;
    return nng_clock();
}

static enum admit_health read_health(void *context)
{
    (void)context;
    return ADMIT_SERVING;
}

static void ignore_drain(void *context)
{
    (void)context;
}

/* ---- The scene ---- */

static struct endpoint_options standard(void)
{
    return (struct endpoint_options){.url = scene.url,
                                     .border = &scene.border,
                                     .policy = scene.policy,
                                     .admit = admit,
                                     .slots = 64,
                                     .connections_max = 16,
                                     .connections_per_principal = 8,
                                     .connects_per_minute = 1000,
                                     .waiting_bytes = 64 << 20};
}

static void start(const struct endpoint_options *options)
{
    char error[512];
    choose_url();
    engine_set(0);
    if (endpoint_start(options, &endpoint, error, sizeof error) != 0) {
        fail_msg("%s", error);
    }
}

static int stop(void **state)
{
    (void)state;
    endpoint_stop(endpoint);
    endpoint = NULL;
    return 0;
}

/* ---- Clients ---- */

/* Begins to connect in the background; `who` NULL: without a certificate. */
static nng_socket client_of(const char *who, bool raw)
{
    nng_socket client;
    assert_int_equal(raw ? nng_req0_open_raw(&client) : nng_req0_open(&client), 0);
    assert_int_equal(nng_socket_set_ms(client, NNG_OPT_RECVTIMEO, 5000), 0);
    assert_int_equal(nng_socket_set_ms(client, NNG_OPT_SENDTIMEO, 5000), 0);
    scene_dial(client, who);
    return client;
}

static size_t request_of(const char *method, const char *payload, uint8_t *to)
{
    const struct frame_request frame = {.method = view_of(method), .payload = view_of(payload)};
    uint8_t *end = frame_request_encode_head(&frame, to);
    memcpy(end, payload, frame.payload.length);
    return (size_t)(end - to) + frame.payload.length;
}

/* One call. Returns NNG's code, or 0 with the reply's status code in *code. */
static int call_bytes(nng_socket client, const void *bytes, size_t length, uint32_t *code)
{
    static uint8_t reply[LIMIT_REPLY_BYTES];
    size_t room = sizeof reply;
    uint8_t request[1] = {0};
    int outcome = nng_send(client, length > 0 ? (void *)(uintptr_t)bytes : request, length, 0);
    if (outcome == 0) {
        outcome = nng_recv(client, reply, &room, 0);
    }
    if (outcome == 0) {
        struct frame_reply frame;
        struct frame_error error;
        assert_int_equal(frame_reply_decode((struct view){reply, room}, &frame, &error), 0);
        *code = frame.code;
    }
    return outcome;
}

static int check(nng_socket client)
{
    uint8_t request[128];
    uint32_t code = 99;
    size_t length = request_of("activity.v1.HealthService/Check", "", request);
    int outcome = call_bytes(client, request, length, &code);
    return outcome != 0 ? outcome : (int)code;
}

/* ---- Tests ---- */

static void test_who_is_let_in(void **state)
{
    (void)state;
    const struct endpoint_options options = standard();
    start(&options);
    engine_set(100);
    for (size_t i = 0; i < SCENE_PEERS; i++) {
        const struct scene_peer *peer = &scene_peers[i];
        nng_socket client = client_of(peer->who, false);
        if (peer->reason == NULL) {
            assert_int_equal(check(client), 0);
        } else {
            assert_int_equal(nng_socket_set_ms(client, NNG_OPT_SENDTIMEO, 300), 0);
            assert_int_equal(nng_socket_set_ms(client, NNG_OPT_RECVTIMEO, 300), 0);
            assert_int_not_equal(check(client), 0);
            await_log(peer->reason, 5);
        }
        assert_int_equal(nng_close(client), 0);
    }
    assert_int_equal(engine_count(), 0);
}

static void test_requests_of_all_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,
                                   1,
                                   100,
                                   LIMIT_REQUEST_BYTES - 1,
                                   LIMIT_REQUEST_BYTES,
                                   LIMIT_REQUEST_BYTES + 1,
                                   LIMIT_RECEIVE_BYTES - 4};
    static uint8_t bytes[LIMIT_RECEIVE_BYTES + 1];
    memset(bytes, 0xff, sizeof bytes);
    const struct endpoint_options options = standard();
    start(&options);
    nng_socket client = client_of("worker", false);
    assert_int_equal(check(client), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint32_t code = 99;
        assert_int_equal(call_bytes(client, bytes, sizes[i], &code), 0);
        assert_int_equal(code, STATUS_INVALID_ARGUMENT);
    }
    /* Longer ones close the connection; nothing is resent within this time. */
    uint32_t code = 99;
    assert_int_equal(nng_socket_set_ms(client, NNG_OPT_RECVTIMEO, 300), 0);
    assert_int_not_equal(call_bytes(client, bytes, sizeof bytes, &code), 0);
    assert_int_equal(nng_close(client), 0);
    client = client_of("worker", false);
    assert_int_equal(check(client), 0);
    assert_int_equal(nng_close(client), 0);
    assert_int_equal(engine_count(), 0);
}

static void test_caps(void **state)
{
    (void)state;
    struct endpoint_options options = standard();
    options.connections_max = 3;
    options.connections_per_principal = 2;
    start(&options);
    nng_socket clients[3];
    for (int i = 0; i < 2; i++) {
        clients[i] = client_of("worker", false);
        assert_int_equal(check(clients[i]), 0);
    }
    nng_socket refused = client_of("worker", false);
    await_log("connections_per_principal is reached", 5);
    clients[2] = client_of("other", false);
    assert_int_equal(check(clients[2]), 0);
    assert_int_equal(nng_close(refused), 0);
    refused = client_of("other", false);
    await_log("connections_max is reached", 5);
    /* A place that becomes free is taken by the one that goes on dialling. */
    assert_int_equal(nng_close(clients[2]), 0);
    assert_int_equal(check(refused), 0);
    assert_int_equal(nng_close(refused), 0);
    assert_int_equal(nng_close(clients[0]), 0);
    assert_int_equal(nng_close(clients[1]), 0);
}

static void test_connects_per_minute(void **state)
{
    (void)state;
    struct endpoint_options options = standard();
    options.connects_per_minute = 3;
    start(&options);
    for (int i = 0; i < 3; i++) {
        nng_socket client = client_of("worker", false);
        assert_int_equal(check(client), 0);
        assert_int_equal(nng_close(client), 0);
    }
    nng_socket refused = client_of("worker", false);
    nng_socket other = client_of("other", false);
    await_log("connects_per_minute is reached", 5);
    assert_int_equal(check(other), 0);
    assert_int_equal(nng_close(refused), 0);
    assert_int_equal(nng_close(other), 0);
}

/* Sends without ever receiving: a raw REQ socket takes few replies, then its buffers are full. */
static void send_calls(nng_socket raw, int count, const char *method, const char *payload)
{
    uint8_t request[128];
    size_t length = request_of(method, payload, request);
    for (int i = 0; i < count; i++) {
        nng_msg *message;
        assert_int_equal(nng_msg_alloc(&message, 0), 0);
        assert_int_equal(nng_msg_append(message, request, length), 0);
        assert_int_equal(nng_msg_header_append_u32(message, 0x80000000u + (uint32_t)i), 0);
        if (nng_sendmsg(raw, message, 0) != 0) {
            nng_msg_free(message);
            return; /* closed in between */
        }
    }
}

static void send_requests(nng_socket raw, int count)
{
    send_calls(raw, count, "activity.v1.ActivityService/GetActivity", "\x08\x07");
}

static void await_engine(int count)
{
    for (int i = 0; i < 200 && engine_count() < count; i++) {
        nng_msleep(25);
    }
    assert_true(engine_count() >= count);
}

static void test_replies_for_gone_connections(void **state)
{
    (void)state;
    struct endpoint_options options = standard();
    options.slots = 16;
    start(&options);
    for (int round = 0; round < 3; round++) {
        engine_set(0);
        nng_socket client = client_of("worker", true);
        send_requests(client, 16);
        await_engine(16);
        assert_int_equal(nng_close(client), 0);
        nng_msleep(100);
        for (size_t i = 0; i < 16; i++) {
            reply_to(engine.held[i].token, 100 + i);
        }
        /* All slots are back. */
        engine_set(200);
        client = client_of("other", true);
        send_requests(client, 16);
        await_engine(16);
        assert_int_equal(nng_close(client), 0);
    }
}

/* Waits for activity 7, 20 s. */
static void send_polls(nng_socket raw, int count)
{
    send_calls(raw, count, "activity.v1.ActivityService/WaitActivity", "\x08\x07\x20\xa0\x9c\x01");
}

static bool await_gone(const atomic_bool *gone)
{
    for (int i = 0; i < 200 && !atomic_load(gone); i++) {
        nng_msleep(25);
    }
    return atomic_load(gone);
}

/* Whoever has a long poll sees that its connection is gone, and however it is answered, the place
 * of its principal becomes free once. */
static void test_long_polls(void **state)
{
    (void)state;
    const struct endpoint_options options = standard();
    start(&options);
    for (int round = 0; round < 3; round++) {
        engine_set(0);
        nng_socket one = client_of("worker", true);
        nng_socket two = client_of("worker", true);
        nng_socket other = client_of("other", true);
        send_polls(one, 1);
        await_engine(1);
        send_polls(two, WAITS + 1);
        await_engine(WAITS + 2);
        send_polls(other, 1);
        await_engine(WAITS + 3);
        for (size_t i = 0; i < WAITS + 3; i++) {
            const struct inbox_item *item = &engine.held[i];
            bool waits = i < WAITS || i == WAITS + 2;
            assert_int_equal(item->crowded, !waits);
            assert_int_equal(item->wait_until_ms > item->deadline_ms - 30000, waits);
            assert_true(waits ? item->gone != NULL && !atomic_load(item->gone)
                              : item->gone == NULL);
        }
        assert_int_equal(nng_close(two), 0);
        assert_true(await_gone(engine.held[1].gone));
        assert_false(atomic_load(engine.held[0].gone));
        assert_false(atomic_load(engine.held[WAITS + 2].gone));
        for (size_t i = 0; i < WAITS + 3; i++) {
            reply_to(engine.held[i].token, 100);
        }
        assert_int_equal(nng_close(one), 0);
        assert_int_equal(nng_close(other), 0);
    }
}

static void test_too_many_bytes_wait(void **state)
{
    (void)state;
    struct endpoint_options options = standard();
    options.slots = 1024;
    options.waiting_bytes = 8 << 20;
    start(&options);
    nng_socket good = client_of("other", false);
    assert_int_equal(check(good), 0);
    engine_set(900000);
    nng_socket slow = client_of("worker", true);
    send_requests(slow, 60);
    await_log("too many bytes wait", 10);
    assert_int_equal(check(good), 0);
    assert_int_equal(nng_close(slow), 0);
    assert_int_equal(nng_close(good), 0);
}

static void test_too_many_replies_wait(void **state)
{
    (void)state;
    struct endpoint_options options = standard();
    options.slots = 1024;
    start(&options);
    nng_socket good = client_of("other", false);
    assert_int_equal(check(good), 0);
    engine_set(15000);
    nng_socket slow = client_of("worker", true);
    send_requests(slow, 900);
    await_log("does not read its replies", 10);
    assert_int_equal(check(good), 0);
    assert_int_equal(nng_close(slow), 0);
    assert_int_equal(nng_close(good), 0);
}

/* A few replies that are never taken: the watchdog waits its ten seconds. */
static void test_the_watchdog(void **state)
{
    (void)state;
    const struct endpoint_options options = standard();
    start(&options);
    engine_set(LIMIT_REPLY_BYTES);
    nng_socket slow = client_of("worker", true);
    send_requests(slow, 20);
    await_log("does not read its replies", 15);
    assert_int_equal(nng_close(slow), 0);
}

static void *watch_all_the_time(void *arg)
{
    const atomic_bool *stopping = arg;
    while (!atomic_load(stopping)) {
        slots_watch(endpoint);
    }
    return NULL;
}

/* A reply that begins to wait while the watchdog does is younger than its look at the clock. */
static void test_the_watchdog_spares_who_reads(void **state)
{
    enum { ROUNDS = 400, IN_FLIGHT = 32, WATCHERS = 4 };
    (void)state;
    pthread_t threads[WATCHERS];
    atomic_bool stopping = false;
    const struct endpoint_options options = standard();
    start(&options);
    engine_set(100);
    for (int i = 0; i < WATCHERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, watch_all_the_time, &stopping), 0);
    }
    nng_socket client = client_of("worker", true);
    for (int i = 0; i < ROUNDS; i++) {
        send_requests(client, IN_FLIGHT);
        for (int j = 0; j < IN_FLIGHT; j++) {
            nng_msg *message;
            assert_int_equal(nng_recvmsg(client, &message, 0), 0);
            nng_msg_free(message);
        }
    }
    assert_int_equal(nng_close(client), 0);
    atomic_store(&stopping, true);
    for (int i = 0; i < WATCHERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_false(log_says("does not read its replies"));
}

static void test_start_errors(void **state)
{
    (void)state;
    char error[512];
    struct endpoint_options options = standard();
    start(&options);
    struct endpoint *second = NULL;
    assert_int_equal(endpoint_start(&options, &second, error, sizeof error), -1);
    assert_null(second);
    assert_non_null(strstr(error, "listening"));
    /* With NNG's own way of giving certificates. */
    struct border broken = {.gate = scene.border.gate,
                            .ca_pem = scene.tls.ca_pem,
                            .cert_pem = scene.tls.cert_pem,
                            .key_pem = scene.tls.key_pem};
    broken.cert_pem = "nonsense";
    options.border = &broken;
    assert_int_equal(endpoint_start(&options, &second, error, sizeof error), -1);
    assert_non_null(strstr(error, "TLS"));
}

/* ---- Before and after ---- */

static int setup(void **state)
{
    (void)state;
    const struct admit_options options = {.epoch = 1,
                                          .slow_call_ms = 100000,
                                          .waits_max = 100,
                                          .waits_per_principal = WAITS,
                                          .boot_ms = read_clock,
                                          .health = read_health,
                                          .drain = ignore_drain};
    admit = admit_new(&options);
    return admit == NULL
               ? -1
               : scene_make("rule \"spiffe://t/worker\" { methods = {read} tenant = acme }\n"
                            "rule \"spiffe://t/other\" { methods = {read} tenant = acme }\n");
}

static int teardown(void **state)
{
    (void)state;
    admit_free(admit);
    scene_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_is_let_in, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_requests_of_all_sizes, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_caps, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_connects_per_minute, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_replies_for_gone_connections, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_long_polls, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_too_many_bytes_wait, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_too_many_replies_wait, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_the_watchdog, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_the_watchdog_spares_who_reads, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_start_errors, fresh_log, stop),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
