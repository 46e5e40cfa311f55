#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/net/remote_ends.h"

/* A connected pair over loopback: the accepted end, and the address of the other one. */
struct pair {
    int client;
    int accepted;
    char address[REMOTE_END_MAX];
};

static void connect_pair(struct pair *pair)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    pair->client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(pair->client, (struct sockaddr *)&address, sizeof address), 0);
    pair->accepted = accept(listener, NULL, NULL);
    assert_true(pair->accepted >= 0);
    assert_int_equal(getsockname(pair->client, (struct sockaddr *)&address, &size), 0);
    remote_end_write((struct sockaddr *)&address, pair->address);
    assert_int_equal(close(listener), 0);
}

static void await_event(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 5000), 1);
}

static void test_only_established_ones(void **state)
{
    (void)state;
    struct remote_ends ends = {0};
    struct pair open_one;
    struct pair finished;
    struct pair reset;
    connect_pair(&open_one);
    connect_pair(&finished);
    connect_pair(&reset);
    assert_int_equal(remote_ends_read(&ends), 0);
    assert_true(remote_ends_hold(&ends, open_one.address));
    assert_true(remote_ends_hold(&ends, finished.address));
    assert_true(remote_ends_hold(&ends, reset.address));
    assert_false(remote_ends_hold(&ends, "127.0.0.1:0"));

    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(reset.client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(close(reset.client), 0);
    assert_int_equal(close(finished.client), 0);
    await_event(reset.accepted);
    await_event(finished.accepted);
    assert_int_equal(remote_ends_read(&ends), 0);
    assert_true(remote_ends_hold(&ends, open_one.address));
    assert_false(remote_ends_hold(&ends, finished.address));
    assert_false(remote_ends_hold(&ends, reset.address));

    assert_int_equal(close(reset.accepted), 0);
    assert_int_equal(close(finished.accepted), 0);
    assert_int_equal(close(open_one.accepted), 0);
    assert_int_equal(close(open_one.client), 0);
    assert_int_equal(remote_ends_read(&ends), 0);
    assert_false(remote_ends_hold(&ends, open_one.address));
    remote_ends_deinit(&ends);
    remote_ends_deinit(&ends);
}

static void test_addresses(void **state)
{
    (void)state;
    char text[REMOTE_END_MAX];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(4711)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(65535)};
    assert_int_equal(inet_pton(AF_INET, "10.1.2.3", &in.sin_addr), 1);
    assert_int_equal(inet_pton(AF_INET6, "fe80::1", &in6.sin6_addr), 1);
    remote_end_write((struct sockaddr *)&in, text);
    assert_string_equal(text, "10.1.2.3:4711");
    remote_end_write((struct sockaddr *)&in6, text);
    assert_string_equal(text, "[fe80::1]:65535");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_established_ones),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
