/* The program with NNG's own TLS engine (make TLS=stock) stays usable: the same calls, the same
 * feed, the same refusals, for clients with our engine. */
#include "tests/e2e/harness_peer.h"

#include "proto/limits.h"

#include <string.h>

static struct scene scene;
static struct server server = {.stock = true};
static activity_client *worker;
static struct activity_error error;

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    server_start(&server, &scene, NULL);
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

static void test_it_says_which_engine_it_has(void **state)
{
    (void)state;
    assert_true(server_said(&server, "NNG's own TLS engine is used"));
    assert_false(server_said(&server, "msg=\"TLS engine\""));
    struct server ours = {.data = "ours"};
    server_start(&ours, &scene, NULL);
    assert_true(server_said(&ours, "msg=\"TLS engine\" engine=\"activity on mbedTLS\""));
    assert_int_equal(server_stop(&ours), 0);
}

static void test_calls(void **state)
{
    (void)state;
    static char text[1025];
    memset(text, 't', 1024);
    const struct activity_attribute attributes[] = {{"a", text}, {"b", text}, {"c", text}};
    const struct activity_create_request create = {
        .type = "upload", .title = "a film", .attributes = attributes, .attribute_count = 3};
    const struct activity_find_request find = {.activities = true};
    struct activity_created created;
    for (int i = 0; i < 300; i++) { /* so many that they fill many records */
        assert_ok(activity_create(worker, &create, NULL, &created, &error), error);
    }
    activity_finder *finder = activity_finder_new(worker, &find, NULL, &error);
    assert_non_null(finder);
    const struct activity_page *page = NULL;
    size_t found = 0;
    do {
        assert_ok(activity_finder_next(finder, &page, &error), error);
        for (size_t i = 0; page != NULL && i < page->activity_count; i++) {
            assert_string_equal(page->activities[i].title, "a film");
            found++;
        }
    } while (page != NULL);
    activity_finder_free(finder);
    assert_int_equal(found, 300);
}

/* None of them is answered, and where NNG tells the reason the log has it. */
static void test_refusals(void **state)
{
    (void)state;
    scene_certificate(&scene, "ca", "otherca", NULL);
    scene_certificate(&scene, "issue", "foreign", "otherca", "clientAuth",
                      "URI:spiffe://test/worker", NULL);
    scene_certificate(&scene, "issue", "twosans", "ca", "clientAuth",
                      "URI:spiffe://test/worker,URI:spiffe://test/root", NULL);
    scene_certificate(&scene, "issue", "dnsname", "ca", "clientAuth", "DNS:worker.test", NULL);
    scene_certificate(&scene, "issue", "nosan", "ca", "clientAuth", "-", NULL);
    static const struct {
        const char *who;
        const char *reason;
    } rows[] = {
        {NULL, "TLS handshake failed"},
        {"foreign", "TLS handshake failed"},
        {"twosans", "reason=\"the certificate has more than one URI\""},
        {"dnsname", "reason=\"the certificate's URI is no SPIFFE ID of a workload\""},
        {"nosan", "reason=\"the certificate has no SPIFFE ID\""},
        {"stranger", "reason=\"no rule\" principal=spiffe://test/stranger"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct peer *peer = peer_connect(&scene, server.port, rows[i].who, 3000);
        uint8_t reply[64];
        if (peer != NULL && peer_greet(peer)) {
            assert_int_equal(peer_call(peer, "x", 1, reply, sizeof reply), -1);
        }
        peer_close(peer);
        uint64_t end = now_ms() + 5000;
        while (!server_said(&server, rows[i].reason) && now_ms() < end) {
            sleep_ms(20);
        }
        if (!server_said(&server, rows[i].reason)) {
            fail_msg("the log does not say: %s", rows[i].reason);
        }
    }
}

static void test_the_feed(void **state)
{
    (void)state;
    static uint8_t message[LIMIT_FEED_MESSAGE_BYTES];
    struct peer *refused = peer_connect(&scene, server.feed_port, "worker", 3000);
    assert_false(refused != NULL && peer_greet_as(refused, PEER_SUB, PEER_PUB) &&
                 peer_receive(refused, message, sizeof message) > 0);
    peer_close(refused);
    assert_true(server_said(&server, "reason=\"feed is not allowed\""));
    struct peer *watcher = peer_connect(&scene, server.feed_port, "watcher", 10000);
    assert_non_null(watcher);
    assert_true(peer_greet_as(watcher, PEER_SUB, PEER_PUB));
    const struct activity_create_request create = {.type = "upload", .title = "told"};
    struct activity_created created;
    assert_ok(activity_create(worker, &create, NULL, &created, &error), error);
    bool told = false;
    uint64_t end = now_ms() + 10000;
    while (!told && now_ms() < end) {
        long length = peer_receive(watcher, message, sizeof message);
        assert_true(length > 2);
        told = memcmp(message, "c|", 2) == 0 && length > 40; /* and no heartbeat */
    }
    assert_true(told);
    peer_close(watcher);
}

/* Whoever has gone without NNG's knowing is noticed by looking at the kernel's connections. */
static void test_dead_peers_are_noticed(void **state)
{
    (void)state;
    (void)activity_client_connect(worker, 5000, &error);
    size_t before = server_descriptors(&server);
    for (int i = 0; i < 10; i++) {
        struct peer *peer = peer_connect(&scene, server.feed_port, "watcher", 5000);
        assert_non_null(peer);
        assert_true(peer_greet_as(peer, PEER_SUB, PEER_PUB));
        peer_reset(peer);
    }
    uint64_t end = now_ms() + 20000;
    while (server_descriptors(&server) > before + 2 && now_ms() < end) {
        sleep_ms(50);
    }
    assert_true(server_descriptors(&server) <= before + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_says_which_engine_it_has),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_the_feed),
        cmocka_unit_test(test_dead_peers_are_noticed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
