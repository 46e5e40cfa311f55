/* P8 and P9: peers without the right certificate get nothing executed, and no bytes of a peer hurt
 * the server or its other peers. */
#include "tests/e2e/harness_peer.h"

#include "proto/frame.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct scene scene;
static struct server server;
static activity_client *good;
static struct activity_error error;

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    server_start(&server, &scene, NULL);
    good = client_of(&server, "worker", NULL, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    activity_client_free(good);
    assert_int_equal(server_stop(&server), 0);
    scene_end(&scene);
    return 0;
}

static void assert_serving(void)
{
    activity_result *result;
    assert_ok(activity_check_health(good, NULL, NULL, &result, &error), error);
    assert_true(activity_result_health(result)->serving);
    activity_result_free(result);
}

/* A valid request envelope around a payload; returns its length. */
static size_t envelope(const char *method, struct view payload, uint8_t *to, size_t room)
{
    struct frame_request frame = {
        .method = view_of(method), .timeout_ms = 1000, .payload = payload};
    size_t head = frame_request_head_size(&frame);
    assert_true(head + payload.length <= room);
    memcpy(frame_request_encode_head(&frame, to), payload.bytes, payload.length);
    return head + payload.length;
}

/* CreateActivityRequest with a request_id of sixteen 0x01 and the type given. */
static size_t create_payload(const char *type, uint8_t *to)
{
    size_t length = strlen(type);
    to[0] = 0x0A;
    to[1] = 16;
    memset(to + 2, 1, 16);
    to[18] = 0x12;
    to[19] = (uint8_t)length;
    memcpy(to + 20, type, length);
    return 20 + length;
}

static void test_refused_certificates_execute_nothing(void **state)
{
    (void)state;
    scene_certificate(&scene, "ca", "otherca", NULL);
    scene_certificate(&scene, "issue", "foreign", "otherca", "clientAuth",
                      "URI:spiffe://test/worker", NULL);
    scene_certificate(&scene, "issue", "expired", "ca", "clientAuth", "URI:spiffe://test/worker",
                      "-1", NULL);
    scene_certificate(&scene, "issue", "twosans", "ca", "clientAuth",
                      "URI:spiffe://test/worker,URI:spiffe://test/root", NULL);
    scene_certificate(&scene, "issue", "dnsname", "ca", "clientAuth", "DNS:worker.test", NULL);
    scene_certificate(&scene, "issue", "nosan", "ca", "clientAuth", "-", NULL);
    const char *const refused[] = {NULL,      "foreign", "expired", "twosans",
                                   "dnsname", "nosan",   "stranger"};
    uint8_t payload[128];
    uint8_t request[512];
    uint8_t reply[4096];
    size_t length = envelope("activity.v1.ActivityService/CreateActivity",
                             (struct view){payload, create_payload("intruder", payload)}, request,
                             sizeof request);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct peer *peer = peer_connect(&scene, server.port, refused[i], 3000);
        if (peer != NULL && peer_greet(peer)) {
            assert_int_equal(peer_call(peer, request, length, reply, sizeof reply), -1);
        }
        peer_close(peer);
    }
    const char *const types[] = {"intruder"};
    const struct activity_find_request find = {.activities = true, .types = types, .type_count = 1};
    activity_client *boss = client_of(&server, "boss", NULL, NULL, NULL);
    activity_result *result;
    assert_ok(activity_find(boss, &find, NULL, &result, &error), error);
    assert_int_equal(activity_result_page(result)->activity_count, 0);
    activity_result_free(result);
    activity_client_free(boss);
    /* The same bytes from the right peer are executed: the refusals were not for the bytes' sake.
     */
    struct peer *worker = peer_connect(&scene, server.port, "worker", 5000);
    assert_non_null(worker);
    assert_true(peer_greet(worker));
    assert_true(peer_call(worker, request, length, reply, sizeof reply) > 0);
    peer_close(worker);
    boss = client_of(&server, "boss", NULL, NULL, NULL);
    assert_ok(activity_find(boss, &find, NULL, &result, &error), error);
    assert_int_equal(activity_result_page(result)->activity_count, 1);
    activity_result_free(result);
    activity_client_free(boss);
    assert_true(server_said(&server, "refused"));
}

static void test_a_server_with_a_foreign_certificate_is_refused_by_the_client(void **state)
{
    (void)state;
    struct activity_options options;
    client_options(&options, &server, "worker");
    options.ca_file = scene_path(&scene, "tls/otherca.crt");
    activity_client *client = activity_client_new(&options, &error);
    assert_non_null(client);
    assert_int_equal(activity_client_connect(client, 1000, &error), ACTIVITY_UNAVAILABLE);
    assert_string_equal(error.reason, "NOT_CONNECTED");
    activity_client_free(client);
    client_options(&options, &server, "worker");
    options.server_name = "elsewhere.example";
    client = activity_client_new(&options, &error);
    assert_non_null(client);
    assert_int_equal(activity_client_connect(client, 1000, &error), ACTIVITY_UNAVAILABLE);
    activity_client_free(client);
    assert_serving();
}

static void test_mutated_frames_get_an_answer_each(void **state)
{
    (void)state;
    uint32_t count = test_count(10000);
    uint64_t seed = 4242;
    uint8_t payload[128];
    uint8_t original[512];
    uint8_t request[1024];
    static uint8_t reply[LIMIT_REPLY_BYTES];
    size_t length = envelope("activity.v1.ActivityService/CreateActivity",
                             (struct view){payload, create_payload("mutant", payload)}, original,
                             sizeof original);
    struct peer *peer = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (peer == NULL) {
            peer = peer_connect(&scene, server.port, "worker", 10000);
            assert_non_null(peer);
            assert_true(peer_greet(peer));
        }
        size_t size = length;
        memcpy(request, original, length);
        switch (random_next(&seed) % 4) {
        case 0:
            size = (size_t)(random_next(&seed) % length);
            break;
        case 1: /* a longer one */
            size = length + (size_t)(random_next(&seed) % 256);
            for (size_t k = length; k < size; k++) {
                request[k] = (uint8_t)random_next(&seed);
            }
            break;
        default:
            break;
        }
        for (uint64_t flips = random_next(&seed) % 8; flips > 0 && size > 0; flips--) {
            request[random_next(&seed) % size] ^= (uint8_t)(1u << (random_next(&seed) % 8));
        }
        long got = peer_call(peer, request, size, reply, sizeof reply);
        assert_true(got > 0);
        struct frame_reply frame;
        struct frame_error bad;
        assert_int_equal(frame_reply_decode((struct view){reply, (size_t)got}, &frame, &bad), 0);
        assert_true(frame.code <= 16);
        if (i % 500 == 0) {
            assert_serving();
        }
    }
    peer_close(peer);
    assert_serving();
}

static void test_any_length_claim_closes_the_connection_only(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= 64; bits++) {
        uint64_t claim = bits == 64 ? UINT64_MAX : UINT64_C(1) << bits;
        uint8_t head[8];
        for (size_t i = 0; i < 8; i++) {
            head[i] = (uint8_t)(claim >> 8 * (7 - i));
        }
        struct peer *peer = peer_connect(&scene, server.port, "worker", 10000);
        assert_non_null(peer);
        assert_true(peer_greet(peer));
        peer_patience(peer, 50);
        (void)peer_write(peer, head, sizeof head);
        uint8_t byte;
        assert_false(peer_read(peer, &byte, 1)); /* closed, or waiting for what was promised */
        peer_close(peer);
    }
    struct peer *peer = peer_connect(&scene, server.port, "worker", 3000);
    assert_non_null(peer);
    assert_true(peer_greet(peer));
    const uint8_t nothing[8] = {0};
    (void)peer_write(peer, nothing, sizeof nothing);
    peer_close(peer);
    assert_true(server_memory(&server) < (size_t)2 << 30);
    assert_serving();
}

static void test_a_request_that_is_too_large_is_told_so(void **state)
{
    (void)state;
    static uint8_t request[LIMIT_RECEIVE_BYTES + 64];
    uint8_t reply[4096];
    struct peer *peer = peer_connect(&scene, server.port, "worker", 10000);
    assert_non_null(peer);
    assert_true(peer_greet(peer));
    long got = peer_call(peer, request, LIMIT_REQUEST_BYTES + 1, reply, sizeof reply);
    assert_true(got > 0);
    struct frame_reply frame;
    struct frame_error bad;
    assert_int_equal(frame_reply_decode((struct view){reply, (size_t)got}, &frame, &bad), 0);
    assert_int_equal(frame.code, STATUS_INVALID_ARGUMENT);
    assert_true(view_equal(frame.reason, view_of("FRAME_TOO_LARGE")));
    /* Above the receive limit there is no answer, but also no harm. */
    assert_int_equal(peer_call(peer, request, LIMIT_RECEIVE_BYTES + 32, reply, sizeof reply), -1);
    peer_close(peer);
    assert_serving();
}

static void test_plain_bytes_and_resets_leave_nothing_behind(void **state)
{
    (void)state;
    assert_serving();
    size_t before = server_descriptors(&server);
    for (unsigned i = 0; i < 100; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(server.port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        if (i % 2 == 0) {
            (void)!write(fd, "GET / HTTP/1.1\r\n\r\n", 18);
        }
        if (i % 3 == 0) { /* reset instead of an orderly end */
            const struct linger now = {.l_onoff = 1, .l_linger = 0};
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        (void)close(fd);
    }
    /* They are accepted in order: once this one is served the server knows of all of them. */
    activity_client *late = client_of(&server, "worker", NULL, NULL, NULL);
    assert_ok(activity_client_connect(late, 10000, &error), error);
    activity_client_free(late);
    uint64_t end = now_ms() + 20000;
    size_t open = server_descriptors(&server);
    while (open > before + 2 && now_ms() < end) {
        sleep_ms(50);
        open = server_descriptors(&server);
    }
    assert_in_range(open, 0, before + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_certificates_execute_nothing),
        cmocka_unit_test(test_a_server_with_a_foreign_certificate_is_refused_by_the_client),
        cmocka_unit_test(test_mutated_frames_get_an_answer_each),
        cmocka_unit_test(test_any_length_claim_closes_the_connection_only),
        cmocka_unit_test(test_a_request_that_is_too_large_is_told_so),
        cmocka_unit_test(test_plain_bytes_and_resets_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
