/* P8: the caps that hold before a handshake, of an address, in all and a minute. Who is above them
 * is closed without a byte, others do not notice, and the log says who and why. */
#include "tests/e2e/harness_crowd.h"
#include "tests/e2e/harness_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOWEST_MS 10000
#define END_MS     3000 /* of those that are refused: at once, on a busy machine */

static struct scene scene;
static struct server server;
static uint8_t hello[2048];
static size_t hello_length;
static int fds[256];
static bool answered[256];

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    hello_length = peer_hello(&scene, hello, sizeof hello);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scene_end(&scene);
    return 0;
}

/* Of each test. */
static int end_server(void **state)
{
    (void)state;
    int status = server_stop(&server);
    (void)unlink(server.log);
    return status;
}

/* Connects and says hello, as a good client does: what is refused gets nothing for it. */
static int connect_from(uint8_t host)
{
    int fd = crowd_connect(server.port, host);
    (void)!send(fd, hello, hello_length, MSG_NOSIGNAL);
    return fd;
}

/* Whether it is closed without a byte; the server answers the others. */
static bool is_refused(size_t i)
{
    char bytes[4096];
    uint64_t end = now_ms() + END_MS;
    while (fds[i] >= 0 && !answered[i] && now_ms() < end) {
        ssize_t got = recv(fds[i], bytes, sizeof bytes, MSG_DONTWAIT);
        answered[i] = got > 0;
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            (void)close(fds[i]);
            fds[i] = -1;
        } else if (got < 0) {
            sleep_ms(1);
        }
    }
    assert_true(fds[i] < 0 || answered[i]);
    return fds[i] < 0;
}

static size_t refused_of(size_t count)
{
    size_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        refused += is_refused(i);
    }
    return refused;
}

static void close_all(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
            fds[i] = -1;
        }
        answered[i] = false;
    }
}

/* One address keeps a quarter of the unfinished handshakes, several ones share what there is and
 * leave a place: the good clients, who come from another one, get in all the time. */
static void test_unfinished_handshakes(void **state)
{
    (void)state;
    static const char *const flags[] = {"--set", "handshakes_max=64", "--set", "handshake_ms=20s",
                                        NULL};
    server_start(&server, &scene, flags);
    size_t before = server_descriptors(&server);
    for (size_t i = 0; i < 40; i++) {
        fds[i] = connect_from(2);
    }
    assert_int_equal(refused_of(40), 40 - 16);
    struct steady *steady = steady_start(&server);
    for (size_t i = 40; i < 240; i++) {
        fds[i] = connect_from((uint8_t)(3 + i % 10));
    }
    size_t refused = refused_of(240);
    assert_in_range(240 - refused, 32, 63);
    sleep_ms(1000);
    steady_assert(steady, SLOWEST_MS);
    close_all(240);
    assert_descriptors(&server, before + 2, 10000);
    assert_int_equal(refusals_of(&server, "too many unfinished handshakes"), refused);
    assert_true(server_said(&server, "level=warning msg=\"peer refused\" reason=\"too many "
                                     "unfinished handshakes\" peer=127.0.0.2:"));
}

static void test_connections_of_an_address(void **state)
{
    (void)state;
    static const char *const flags[] = {"--set", "connections_per_address=12", NULL};
    server_start(&server, &scene, flags);
    size_t before = server_descriptors(&server);
    struct peer *peers[6];
    for (size_t i = 0; i < 6; i++) { /* both endpoints count, and those that have been let in */
        bool feed = i % 2 == 0;
        peers[i] = peer_connect(&scene, feed ? server.feed_port : server.port, "watcher", 5000);
        assert_non_null(peers[i]);
        assert_true(feed ? peer_greet_as(peers[i], PEER_SUB, PEER_PUB) : peer_greet(peers[i]));
    }
    for (size_t i = 0; i < 10; i++) {
        fds[i] = connect_from(1);
    }
    size_t refused = refused_of(10);
    assert_in_range(refused, 3, 5); /* the harness's own client may still be there */
    assert_null(peer_connect(&scene, server.port, "worker", 1000));
    fds[10] = connect_from(2);
    assert_int_equal(refused_of(11), refused);
    for (size_t i = 0; i < 6; i++) {
        peer_close(peers[i]);
    }
    close_all(11);
    assert_descriptors(&server, before + 2, 10000);
    struct peer *late = peer_connect(&scene, server.port, "worker", 5000);
    assert_non_null(late);
    peer_close(late);
    assert_true(server_said(&server, "reason=\"too many connections of the address\" "
                                     "peer=127.0.0.1:"));
}

static void test_connections_in_all(void **state)
{
    (void)state;
    static const char *const flags[] = {
        "--set", "connections_max=4",      "--set", "connections_per_principal=4",
        "--set", "feed_connections_max=4", "--set", "handshakes_max=32",
        "--set", "handshake_ms=20s",       NULL};
    server_start(&server, &scene, flags);
    size_t before = server_descriptors(&server);
    /* Let in as far as the endpoint has places, and then unfinished ones up to the total. */
    struct peer *peers[4];
    for (size_t i = 0; i < 4; i++) {
        peers[i] = peer_connect(&scene, server.feed_port, "watcher", 5000);
        assert_non_null(peers[i]);
        assert_true(peer_greet_as(peers[i], PEER_SUB, PEER_PUB));
    }
    struct peer *above = peer_connect(&scene, server.feed_port, "watcher", 5000);
    uint8_t byte;
    assert_false(above != NULL && peer_greet_as(above, PEER_SUB, PEER_PUB) &&
                 peer_read(above, &byte, 1));
    peer_close(above);
    for (size_t i = 0; i < 60; i++) {
        fds[i] = connect_from((uint8_t)(2 + i));
    }
    assert_in_range(60 - refused_of(60), 30, 32);
    close_all(60);
    for (size_t i = 0; i < 4; i++) {
        peer_close(peers[i]);
    }
    assert_descriptors(&server, before + 2, 10000);
    assert_true(server_said(&server, "reason=\"feed_connections_max is reached\" "
                                     "principal=spiffe://test/watcher peer=127.0.0.1:"));
}

/* So many at once, and then at that pace; another address is not concerned. */
static void test_connects_per_minute(void **state)
{
    (void)state;
    static const char *const flags[] = {"--set", "connects_per_minute_per_address=60", NULL};
    server_start(&server, &scene, flags);
    size_t before = server_descriptors(&server);
    struct steady *steady = steady_start(&server);
    uint64_t begin_ms = now_ms();
    size_t accepted = 0;
    for (size_t i = 0; i < 100; i++) {
        fds[0] = connect_from(2);
        accepted += refused_of(1) == 0;
        close_all(1);
    }
    uint64_t seconds = (now_ms() - begin_ms) / 1000;
    assert_in_range(accepted, 60, 60 + seconds + 1);
    sleep_ms(2100);
    fds[0] = connect_from(2);
    assert_int_equal(refused_of(1), 0);
    close_all(1);
    steady_assert(steady, SLOWEST_MS);
    assert_descriptors(&server, before + 2, 10000);
    assert_true(server_said(&server, "reason=\"the address connects too often\" peer=127.0.0.2:"));
    assert_int_equal(refusals_of(&server, "the address connects too often"), 100 - accepted);
}

/* Garbage in numbers does not hide what somebody has to repair. */
static void test_what_the_log_says_under_garbage(void **state)
{
    (void)state;
    scene_certificate(&scene, "issue", "expired", "ca", "clientAuth", "URI:spiffe://test/worker",
                      "-1", NULL);
    server_start(&server, &scene, NULL);
    for (size_t i = 0; i < 100; i++) {
        int fd = crowd_connect(server.port, 2);
        (void)!send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL);
        assert_int_not_equal(crowd_await_end(fd, END_MS), CROWD_OPEN);
        (void)close(fd);
    }
    struct peer *peer = peer_connect(&scene, server.port, "expired", 3000);
    if (peer != NULL) { /* with TLS 1.3 it learns it only by its first read */
        uint8_t byte;
        assert_false(peer_read(peer, &byte, 1));
        peer_close(peer);
    }
    uint64_t end = now_ms() + 5000;
    while (!server_said(&server, "reason=\"a certificate has expired\"") && now_ms() < end) {
        sleep_ms(20);
    }
    assert_true(server_said(&server, "reason=\"a certificate has expired\""));
    char *said = scene_read(server.log);
    size_t lines = 0;
    for (const char *at = said; (at = strstr(at, "no TLS, or not in order")) != NULL; at++) {
        lines++;
    }
    free(said);
    assert_int_equal(lines, 20);
    assert_int_equal(refusals_of(&server, "no TLS, or not in order"), 100);
    assert_int_equal(refusals_of(&server, "a certificate has expired"), 1);
}

/* Rules for another trust domain are a mistake that the start names; peers of another one have a
 * good certificate and are refused for it. */
static void test_the_trust_domain(void **state)
{
    (void)state;
    static const char *const elsewhere[] = {"--set", "trust_domain=example.org", NULL};
    static const char *const here[] = {"--set", "trust_domain=test", NULL};
    server_spawn(&server, &scene, elsewhere);
    assert_int_equal(server_wait(&server), 78);
    assert_true(server_said(&server, "policy.conf: rule \\\"spiffe://test/"));
    assert_true(server_said(&server, "is outside of trust_domain \\\"example.org\\\""));
    scene_certificate(&scene, "issue", "abroad", "ca", "clientAuth",
                      "URI:spiffe://example.org/worker", NULL);
    server_start(&server, &scene, here);
    struct peer *peer = peer_connect(&scene, server.port, "abroad", 3000);
    uint8_t byte;
    assert_false(peer != NULL && peer_read(peer, &byte, 1));
    peer_close(peer);
    peer = peer_connect(&scene, server.port, "worker", 5000);
    assert_true(peer != NULL && peer_greet(peer));
    peer_close(peer);
    assert_true(server_said(&server, "reason=\"the SPIFFE ID is of another trust domain\" "
                                     "detail=\"certificate of CN=abroad, URI "
                                     "spiffe://example.org/worker\" peer=127.0.0.1:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_unfinished_handshakes, end_server),
        cmocka_unit_test_teardown(test_connections_of_an_address, end_server),
        cmocka_unit_test_teardown(test_connections_in_all, end_server),
        cmocka_unit_test_teardown(test_connects_per_minute, end_server),
        cmocka_unit_test_teardown(test_what_the_log_says_under_garbage, end_server),
        cmocka_unit_test_teardown(test_the_trust_domain, end_server),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
