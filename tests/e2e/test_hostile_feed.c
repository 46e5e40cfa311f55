/* P8 and P9 at the change-feed endpoint: who is not allowed to subscribe gets no byte of it, and no
 * bytes of a peer, no silence and no sudden end hurt the server or its other subscribers. */
#include "tests/e2e/harness_peer.h"

#include "proto/limits.h"

#include <string.h>

static struct scene scene;
static struct server server;
static activity_client *worker;
static struct activity_error error;
static uint8_t message[LIMIT_FEED_MESSAGE_BYTES];

static int set_up(void **state)
{
    (void)state;
    /* One principal comes as often as N says, within a minute. */
    static const char *const flags[] = {"--set", "connects_per_minute=1000000", NULL};
    scene_make(&scene);
    server_start(&server, &scene, flags);
    worker = client_of(&server, "worker", NULL, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    activity_client_free(worker);
    assert_int_equal(server_stop(&server), 0);
    scene_end(&scene);
    return 0;
}

static void await_subscribers(uint64_t count)
{
    uint64_t end = now_ms() + 20000;
    while (feed_info(worker).subscribers != count && now_ms() < end) {
        sleep_ms(50);
    }
    assert_int_equal(feed_info(worker).subscribers, count);
}

static struct peer *subscribe(const char *who)
{
    struct peer *peer = peer_connect(&scene, server.feed_port, who, 5000);
    if (peer != NULL && !peer_greet_as(peer, PEER_SUB, PEER_PUB)) {
        peer_close(peer);
        peer = NULL;
    }
    return peer;
}

/* A message of the feed comes, whole: an event, or the heartbeat of this second. */
static void assert_told(struct peer *peer)
{
    long length = peer_receive(peer, message, sizeof message);
    assert_true(length > 2);
    assert_true(memcmp(message, "c|", 2) == 0 || memcmp(message, "p|", 2) == 0);
}

static void make_event(void)
{
    const struct activity_create_request activity = {.type = "upload", .title = "secret"};
    struct activity_created created;
    assert_ok(activity_create(worker, &activity, NULL, &created, &error), error);
}

static void test_refused_peers_get_no_byte(void **state)
{
    (void)state;
    static const char *const refused[] = {NULL, "foreign", "stranger", "worker", "boss"};
    scene_certificate(&scene, "ca", "otherca", NULL);
    scene_certificate(&scene, "issue", "foreign", "otherca", "clientAuth",
                      "URI:spiffe://test/watcher", NULL);
    struct peer *watcher = subscribe("watcher");
    assert_non_null(watcher);
    await_subscribers(1);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct peer *peer = subscribe(refused[i]);
        make_event();
        uint8_t byte;
        assert_false(peer != NULL && peer_read(peer, &byte, 1));
        assert_int_equal(feed_info(worker).subscribers, 1);
        assert_told(watcher);
        peer_close(peer);
    }
    assert_true(server_said(&server, "reason=\"feed is not allowed\" "
                                     "principal=spiffe://test/worker"));
    peer_close(watcher);
    await_subscribers(0);
}

/* Each endpoint is left by those who take it for the other one. */
static void test_another_protocol_is_closed(void **state)
{
    (void)state;
    static const uint8_t protocols[] = {0x10, PEER_PUB, PEER_REQ, PEER_REP, 0x50, 0xff};
    for (size_t i = 0; i < sizeof protocols; i++) {
        struct peer *peer = peer_connect(&scene, server.feed_port, "watcher", 5000);
        assert_non_null(peer);
        uint8_t byte;
        (void)peer_greet_as(peer, protocols[i], PEER_PUB);
        assert_false(peer_read(peer, &byte, 1));
        peer_close(peer);
    }
    struct peer *peer = peer_connect(&scene, server.port, "watcher", 5000);
    assert_non_null(peer);
    uint8_t byte;
    (void)peer_greet_as(peer, PEER_SUB, PEER_REP);
    assert_false(peer_read(peer, &byte, 1));
    peer_close(peer);
    await_subscribers(0);
}

/* Whatever length it announces, and whatever follows. */
static void test_a_subscriber_that_speaks_is_closed(void **state)
{
    (void)state;
    struct peer *watcher = subscribe("watcher");
    assert_non_null(watcher);
    await_subscribers(1);
    for (unsigned bits = 0; bits <= 64; bits++) {
        uint64_t claim = bits == 64 ? UINT64_MAX : UINT64_C(1) << bits;
        uint8_t bytes[8 + 64] = {0};
        for (size_t i = 0; i < 8; i++) {
            bytes[i] = (uint8_t)(claim >> 8 * (7 - i));
        }
        struct peer *peer = subscribe("watcher");
        assert_non_null(peer);
        (void)peer_write(peer, bytes, sizeof bytes);
        uint64_t end = now_ms() + 5000;
        while (peer_receive(peer, message, sizeof message) > 0) { /* what it was told before */
            assert_true(now_ms() < end);
        }
        peer_close(peer);
    }
    await_subscribers(1);
    assert_told(watcher);
    peer_close(watcher);
    await_subscribers(0);
    assert_true(server_memory(&server) < (size_t)1 << 30);
}

/* Before they have greeted, as soon as they have, or later. */
static void test_sudden_ends_leave_nothing_behind(void **state)
{
    (void)state;
    size_t before = server_descriptors(&server);
    for (uint32_t i = 0; i < test_count(80); i++) {
        struct peer *peer = peer_connect(&scene, server.feed_port, "watcher", 5000);
        assert_non_null(peer);
        if (i % 4 > 0) {
            assert_true(peer_greet_as(peer, PEER_SUB, PEER_PUB));
        }
        if (i % 4 > 1) {
            make_event();
        }
        if (i % 4 > 2) {
            assert_told(peer);
        }
        peer_reset(peer);
    }
    await_subscribers(0);
    uint64_t end = now_ms() + 20000;
    while (server_descriptors(&server) > before + 2 && now_ms() < end) {
        sleep_ms(50);
    }
    assert_true(server_descriptors(&server) <= before + 2);
}

/* A subscriber that never reads does not hold up one that does. */
static void test_a_silent_subscriber(void **state)
{
    (void)state;
    struct peer *silent = subscribe("watcher");
    struct peer *watcher = subscribe("watcher");
    assert_non_null(silent);
    assert_non_null(watcher);
    await_subscribers(2);
    for (int i = 0; i < 200; i++) {
        make_event();
        assert_told(watcher);
    }
    assert_int_equal(feed_info(worker).subscribers, 2);
    peer_close(watcher);
    peer_reset(silent);
    await_subscribers(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_peers_get_no_byte),
        cmocka_unit_test(test_another_protocol_is_closed),
        cmocka_unit_test(test_a_subscriber_that_speaks_is_closed),
        cmocka_unit_test(test_sudden_ends_leave_nothing_behind),
        cmocka_unit_test(test_a_silent_subscriber),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
