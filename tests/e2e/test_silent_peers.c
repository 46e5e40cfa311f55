/* P8: peers that begin and never come to an end, at every stage before they are let in, are cut
 * after handshake_ms, and good clients do not notice them meanwhile. */
#include "tests/e2e/harness_crowd.h"
#include "tests/e2e/harness_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CROWD        500
#define DRIPPING     100
#define HANDSHAKE_MS 5000
#define QUICK_MS     1000
#define SLOWEST_MS   10000 /* of a good call, with a sanitizer on a busy machine */

/* The first with the standard time, the second with a short one. Both would take all at once. */
static struct scene scene;
static struct server standard = {.data = "standard"};
static struct server quick = {.data = "quick"};
static uint8_t hello[2048];
static size_t hello_length;
static int fds[CROWD + DRIPPING];

static int set_up(void **state)
{
    (void)state;
    static const char *const standard_flags[] = {"--set", "handshakes_max=2048", "--set",
                                                 "memory_max=10GiB", NULL};
    static const char *const quick_flags[] = {
        "--set", "handshakes_max=2048", "--set", "memory_max=10GiB",
        "--set", "handshake_ms=1s",     NULL};
    scene_make(&scene);
    server_start(&standard, &scene, standard_flags);
    server_start(&quick, &scene, quick_flags);
    hello_length = peer_hello(&scene, hello, sizeof hello);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(server_stop(&standard), 0);
    assert_int_equal(server_stop(&quick), 0);
    scene_end(&scene);
    return 0;
}

/* So many connections of `fds` from `at` on, from eight addresses. */
static void connect_crowd(const struct server *server, size_t at, size_t count)
{
    for (size_t i = at; i < at + count; i++) {
        fds[i] = crowd_connect(server->port, (uint8_t)(2 + i % 8));
    }
}

static void send_to(size_t i, const uint8_t *bytes, size_t length)
{
    if (fds[i] >= 0) {
        (void)!send(fds[i], bytes, length, MSG_NOSIGNAL);
    }
}

static void await_closed(size_t count, uint64_t until_ms)
{
    while (crowd_closed(fds, count) < count && now_ms() < until_ms) {
        sleep_ms(20);
    }
    assert_int_equal(crowd_closed(fds, count), count);
}

/* 500 that say nothing, and 100 that say their first message a byte each half second: neither can
 * stay for longer than the time of a handshake. */
static void test_silent_and_dripping_peers(void **state)
{
    (void)state;
    size_t before = server_descriptors(&standard);
    struct steady *steady = steady_start(&standard);
    uint64_t first_ms = now_ms();
    connect_crowd(&standard, 0, CROWD + DRIPPING);
    uint64_t last_ms = now_ms();
    size_t at = 0;
    uint64_t next_ms = first_ms;
    while (crowd_closed(fds, CROWD + DRIPPING) < CROWD + DRIPPING &&
           now_ms() < last_ms + HANDSHAKE_MS + SLOWEST_MS) {
        if (now_ms() >= next_ms) {
            for (size_t i = CROWD; i < CROWD + DRIPPING; i++) {
                send_to(i, hello + at, 1);
            }
            at++;
            next_ms += 500;
        }
        if (now_ms() < first_ms + HANDSHAKE_MS - 100) {
            assert_int_equal(crowd_closed(fds, CROWD + DRIPPING), 0);
        }
        sleep_ms(20);
    }
    assert_int_equal(crowd_closed(fds, CROWD + DRIPPING), CROWD + DRIPPING);
    print_message("the last one was cut after %u ms\n", (unsigned)(now_ms() - last_ms));
    assert_true(at >= 8);
    steady_assert(steady, SLOWEST_MS);
    assert_descriptors(&standard, before + 2, 10000);
    assert_true(server_said(&standard, "reason=\"the handshake took too long\" peer=127.0.0."));
    assert_int_equal(refusals_of(&standard, "the handshake took too long"), CROWD + DRIPPING);
}

/* They have had the server's answer, which cost it a signature each, and leave it at that. */
static void test_half_handshakes(void **state)
{
    (void)state;
    size_t before = server_descriptors(&quick);
    struct steady *steady = steady_start(&quick);
    connect_crowd(&quick, 0, CROWD);
    for (size_t i = 0; i < CROWD; i++) {
        send_to(i, hello, hello_length);
    }
    await_closed(CROWD, now_ms() + QUICK_MS + 2 * SLOWEST_MS);
    steady_assert(steady, SLOWEST_MS);
    assert_descriptors(&quick, before + 2, 10000);
    assert_true(server_said(&quick, "reason=\"the handshake took too long\" peer=127.0.0."));
    assert_int_equal(refusals_of(&quick, "the handshake took too long"), CROWD);
}

/* Verified, and then without a word of the protocol above. */
static void test_peers_that_do_not_greet(void **state)
{
    (void)state;
    size_t before = server_descriptors(&quick);
    struct peer *peers[20];
    uint8_t byte[9];
    uint64_t begin_ms = now_ms();
    for (size_t i = 0; i < 20; i++) {
        peers[i] = peer_connect(&scene, quick.port, "worker", QUICK_MS + SLOWEST_MS);
        assert_non_null(peers[i]);
    }
    for (size_t i = 0; i < 20; i++) {
        /* The server's greeting, and then the end, without having to be waited for. */
        assert_false(peer_read(peers[i], byte, sizeof byte));
        peer_close(peers[i]);
    }
    assert_true(now_ms() - begin_ms < QUICK_MS + SLOWEST_MS);
    assert_descriptors(&quick, before + 2, 10000);
}

/* Bytes of every kind that is no TLS: closed at once, not after a time. */
static void test_what_is_no_tls(void **state)
{
    (void)state;
    static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                        "SSH-2.0-OpenSSH_9.2\r\n",
                                        "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
                                        "\x80\x2e\x01\x00\x02\x00\x15\x00\x00",
                                        "\x15\x03\x03\x00\x02\x02\x28",
                                        "\xff\xff\xff\xff\xff\xff\xff\xff"};
    static const size_t lengths[] = {27, 21, 10, 9, 7, 8};
    size_t before = server_descriptors(&standard);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int fd = crowd_connect(standard.port, 9);
        (void)!send(fd, texts[i], lengths[i], MSG_NOSIGNAL);
        assert_int_not_equal(crowd_await_end(fd, HANDSHAKE_MS - 1000), CROWD_OPEN);
        (void)close(fd);
    }
    assert_descriptors(&standard, before + 2, 10000);
    assert_true(server_said(&standard, "reason=\"no TLS, or not in order\""));
    assert_true(refusals_of(&standard, "no TLS, or not in order") >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_and_dripping_peers),
        cmocka_unit_test(test_half_handshakes),
        cmocka_unit_test(test_peers_that_do_not_greet),
        cmocka_unit_test(test_what_is_no_tls),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
