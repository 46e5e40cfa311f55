/* P8: peers that are gone all of a sudden, in the handshake and with work under way, leave nothing
 * behind, neither a connection nor a descriptor, and the listener lives on. */
#include "tests/e2e/harness_crowd.h"
#include "tests/e2e/harness_ctl.h"
#include "tests/e2e/harness_peer.h"

#include "proto/frame.h"
#include "proto/limits.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RESETS     1000
#define DEATHS     200
#define KILLED     10
#define SLOWEST_MS 10000

static struct scene scene;
static struct server server;
static activity_client *good;
static struct activity_error error;
static uint8_t hello[2048];
static size_t hello_length;

static int set_up(void **state)
{
    (void)state;
    static const char *const flags[] = {"--set", "connects_per_minute=1000000", NULL};
    scene_make(&scene);
    server_start(&server, &scene, flags);
    ctl_set_up(&scene, &server);
    good = client_of(&server, "worker", NULL, NULL, NULL);
    hello_length = peer_hello(&scene, hello, sizeof hello);
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

static uint64_t make_activity(void)
{
    static char text[1025];
    memset(text, 't', 1024);
    const struct activity_attribute attributes[] = {{"a", text}, {"b", text}};
    const struct activity_create_request request = {
        .type = "upload", .attributes = attributes, .attribute_count = 2};
    struct activity_created created;
    assert_ok(activity_create(good, &request, NULL, &created, &error), error);
    return created.job_id;
}

/* Both endpoints serve those who come anew. */
static void assert_both_listen(void)
{
    activity_client *late = client_of(&server, "worker", NULL, NULL, NULL);
    assert_ok(activity_client_connect(late, 10000, &error), error);
    activity_client_free(late);
    struct peer *peer = peer_connect(&scene, server.feed_port, "watcher", 10000);
    assert_non_null(peer);
    assert_true(peer_greet_as(peer, PEER_SUB, PEER_PUB));
    peer_close(peer);
}

/* At the stages of a handshake: before the first byte, in the first message, after it, and with
 * the server's answer on its way or there. */
static void reset_at(unsigned stage, int fd)
{
    if (stage > 0) {
        (void)!send(fd, hello, stage == 1 ? hello_length / 2 : hello_length, MSG_NOSIGNAL);
    }
    if (stage == 3) {
        char bytes[64];
        for (int i = 0; i < 200 && recv(fd, bytes, sizeof bytes, 0) < 0; i++) {
            sleep_ms(1);
        }
    }
    crowd_reset(fd);
}

static void test_resets_in_the_handshake(void **state)
{
    (void)state;
    (void)feed_info(good);
    size_t before = server_descriptors(&server);
    struct steady *steady = steady_start(&server);
    uint64_t seed = 6;
    for (unsigned i = 0; i < test_count(RESETS); i++) {
        uint16_t port = random_next(&seed) % 4 == 0 ? server.feed_port : server.port;
        reset_at((unsigned)(random_next(&seed) % 4), crowd_connect(port, (uint8_t)(2 + i % 16)));
    }
    steady_assert(steady, SLOWEST_MS);
    assert_descriptors(&server, before + 2, 15000);
    assert_both_listen();
    assert_true(server_said(&server, "reason=\"the peer went away in the handshake\""));
    uint64_t counted = refusals_of(&server, "the peer went away in the handshake");
    assert_in_range(counted, test_count(RESETS) / 2, test_count(RESETS));
}

/* ---- With work under way ---- */

static size_t envelope(const char *method, const uint8_t *payload, size_t length, uint8_t *to)
{
    struct frame_request frame = {
        .method = view_of(method), .timeout_ms = 30000, .payload = {payload, length}};
    memcpy(frame_request_encode_head(&frame, to), payload, length);
    return frame_request_head_size(&frame) + length;
}

/* Sends a request and does not wait for its reply. */
static void send_request(struct peer *peer, uint32_t id, const uint8_t *body, size_t length)
{
    uint8_t head[12] = {0};
    for (size_t i = 0; i < 4; i++) {
        head[4 + i] = (uint8_t)((length + 4) >> 8 * (3 - i));
        head[8 + i] = (uint8_t)((UINT32_C(0x80000000) | id) >> 8 * (3 - i));
    }
    (void)(peer_write(peer, head, sizeof head) && peer_write(peer, body, length));
}

static struct peer *arrive(uint16_t port, const char *who)
{
    struct peer *peer = peer_connect(&scene, port, who, 10000);
    assert_non_null(peer);
    return peer;
}

/* A long poll waits at the engine. */
static void die_waiting(uint64_t job_id)
{
    uint8_t payload[32] = {0x08};
    uint8_t body[256];
    size_t at = 1;
    for (uint64_t rest = job_id; rest > 0; rest >>= 7) {
        payload[at++] = (uint8_t)((rest & 0x7F) | (rest > 0x7F ? 0x80 : 0));
    }
    payload[at++] = 0x20;
    payload[at++] = 0xA0;
    payload[at++] = 0x9C;
    payload[at++] = 0x01;
    size_t length = envelope("activity.v1.ActivityService/WaitActivity", payload, at, body);
    struct peer *peer = arrive(server.port, "worker");
    assert_true(peer_greet(peer));
    send_request(peer, 1, body, length);
    send_request(peer, 2, body, length);
    sleep_ms(5);
    peer_reset(peer);
}

/* Long replies are on their way, more than all buffers hold. */
static void die_not_reading(void)
{
    static const uint8_t everything[] = {0x08, 0x01};
    uint8_t body[256];
    size_t length =
        envelope("activity.v1.ActivityService/FindActivities", everything, sizeof everything, body);
    struct peer *peer = arrive(server.port, "worker");
    assert_true(peer_greet(peer));
    for (uint32_t id = 1; id <= 20; id++) {
        send_request(peer, id, body, length);
    }
    sleep_ms(5);
    peer_reset(peer);
}

/* A subscriber is pushed to. */
static void die_subscribed(void)
{
    struct peer *peer = arrive(server.feed_port, "watcher");
    assert_true(peer_greet_as(peer, PEER_SUB, PEER_PUB));
    for (int i = 0; i < 4; i++) {
        (void)make_activity();
    }
    peer_reset(peer);
}

/* Verified, and gone before a word of the protocol above. */
static void die_ungreeted(void)
{
    peer_reset(arrive(server.port, "worker"));
    peer_reset(arrive(server.feed_port, "watcher"));
}

static void await_no_subscriber(void)
{
    uint64_t end = now_ms() + 15000;
    while (feed_info(good).subscribers > 0 && now_ms() < end) {
        sleep_ms(50);
    }
    assert_int_equal(feed_info(good).subscribers, 0);
}

static void test_deaths_under_load(void **state)
{
    (void)state;
    uint64_t job_id = 0;
    for (int i = 0; i < 100; i++) {
        job_id = make_activity();
    }
    size_t before = server_descriptors(&server);
    struct steady *steady = steady_start(&server);
    for (unsigned i = 0; i < test_count(DEATHS); i++) {
        switch (i % 4) {
        case 0:
            die_waiting(job_id);
            break;
        case 1:
            die_not_reading();
            break;
        case 2:
            die_subscribed();
            break;
        default:
            die_ungreeted();
        }
    }
    steady_assert(steady, SLOWEST_MS);
    await_no_subscriber();
    assert_descriptors(&server, before + 2, 15000);
    uint64_t end = now_ms() + 15000;
    while (feed_info(good).parked > 0 && now_ms() < end) {
        sleep_ms(50);
    }
    assert_int_equal(feed_info(good).parked, 0);
    assert_both_listen();
}

/* Real clients: a program that follows the feed, and one that waits, each killed in the middle. */
static void test_killed_clients(void **state)
{
    (void)state;
    (void)feed_info(good);
    size_t before = server_descriptors(&server);
    char wait[128];
    (void)snprintf(wait, sizeof wait, "exec $ctl wait %llu", (unsigned long long)make_activity());
    struct steady *steady = steady_start(&server);
    for (int round = 0; round < KILLED; round++) {
        pid_t pids[2] = {
            ctl_start("exec $bin --profile $dir/watcher.profile watch", "watch"),
            ctl_start(wait, "wait"),
        };
        uint64_t end = now_ms() + 20000;
        while ((feed_info(good).subscribers == 0 || feed_info(good).parked == 0) &&
               now_ms() < end) {
            sleep_ms(10);
        }
        assert_true(now_ms() < end);
        (void)make_activity();
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(ctl_end(pids[i], SIGKILL), 128 + SIGKILL);
        }
        await_no_subscriber();
    }
    steady_assert(steady, SLOWEST_MS);
    assert_descriptors(&server, before + 2, 15000);
    assert_both_listen();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resets_in_the_handshake),
        cmocka_unit_test(test_deaths_under_load),
        cmocka_unit_test(test_killed_clients),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
