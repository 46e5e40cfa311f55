#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "server/net/addresses.h"

static const struct addresses_limits small = {
    .connections = 12, .connections_per_address = 5, .connects_per_minute = 600, .unfinished = 8};

static const struct sockaddr *address_of(const char *text)
{
    static struct sockaddr_storage ring[4];
    static unsigned at;
    struct sockaddr_storage *address = &ring[at++ % 4];
    memset(address, 0, sizeof *address);
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)address;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)(1000 + at));
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)(1000 + at));
    }
    return (const struct sockaddr *)(const void *)address;
}

static const struct sockaddr *numbered(uint32_t number)
{
    struct in_addr in = {.s_addr = htonl(0x0A000000u + number)};
    char text[INET_ADDRSTRLEN];
    return address_of(inet_ntop(AF_INET, &in, text, sizeof text));
}

static enum tls_refusal arrive(struct addresses *addresses, const char *text)
{
    return addresses_arrive(addresses, address_of(text), 0);
}

/* Comes and has done its handshake. */
static enum tls_refusal connect_to(struct addresses *addresses, const char *text)
{
    enum tls_refusal refusal = arrive(addresses, text);
    if (refusal == TLS_ACCEPTED) {
        addresses_finish(addresses, address_of(text));
    }
    return refusal;
}

static void assert_count(const struct addresses *addresses, uint32_t connections,
                         uint32_t unfinished, uint32_t hosts)
{
    struct addresses_count count = addresses_count(addresses);
    assert_int_equal(count.connections, connections);
    assert_int_equal(count.unfinished, unfinished);
    assert_int_equal(count.addresses, hosts);
}

static void test_connections_of_an_address_and_in_all(void **state)
{
    (void)state;
    struct addresses *addresses = addresses_new(&small);
    assert_non_null(addresses);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(connect_to(addresses, "10.0.0.1"), TLS_ACCEPTED);
    }
    assert_int_equal(connect_to(addresses, "10.0.0.1"), TLS_REFUSED_ADDRESS_FULL);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(connect_to(addresses, i < 4 ? "10.0.0.2" : "10.0.0.3"), TLS_ACCEPTED);
    }
    assert_count(addresses, 12, 0, 3);
    assert_int_equal(connect_to(addresses, "10.0.0.4"), TLS_REFUSED_CONNECTIONS_FULL);
    assert_count(addresses, 12, 0, 3);
    addresses_leave(addresses, address_of("10.0.0.1"), true);
    assert_int_equal(connect_to(addresses, "10.0.0.4"), TLS_ACCEPTED);
    assert_int_equal(connect_to(addresses, "10.0.0.1"), TLS_REFUSED_CONNECTIONS_FULL);
    addresses_leave(addresses, address_of("10.0.0.4"), true);
    assert_count(addresses, 11, 0, 3);
    addresses_free(addresses);
    addresses_free(NULL);
}

static void test_unfinished_ones_of_an_address(void **state)
{
    (void)state;
    struct addresses *addresses = addresses_new(&small);
    assert_int_equal(arrive(addresses, "10.0.0.1"), TLS_ACCEPTED);
    assert_int_equal(arrive(addresses, "10.0.0.1"), TLS_ACCEPTED);
    assert_int_equal(arrive(addresses, "10.0.0.1"), TLS_REFUSED_HANDSHAKES_FULL);
    assert_count(addresses, 2, 2, 1);
    addresses_finish(addresses, address_of("10.0.0.1"));
    assert_int_equal(arrive(addresses, "10.0.0.1"), TLS_ACCEPTED);
    addresses_leave(addresses, address_of("10.0.0.1"), false);
    assert_count(addresses, 2, 1, 1);
    addresses_leave(addresses, address_of("10.0.0.1"), false);
    addresses_leave(addresses, address_of("10.0.0.1"), true);
    assert_count(addresses, 0, 0, 0);
    addresses_free(addresses);
}

/* However many addresses keep all they can get, one place is left for the next one, until they are
 * as many as places. */
static void test_silent_addresses_leave_a_place(void **state)
{
    (void)state;
    const struct addresses_limits limits = {.connections = 1000,
                                            .connections_per_address = 1000,
                                            .connects_per_minute = 1000000,
                                            .unfinished = 256};
    for (uint32_t hosts = 1; hosts < 256; hosts++) {
        struct addresses *addresses = addresses_new(&limits);
        uint32_t let_in = 1;
        while (let_in > 0) {
            let_in = 0;
            for (uint32_t host = 0; host < hosts; host++) {
                let_in += addresses_arrive(addresses, numbered(host), 0) == TLS_ACCEPTED;
            }
        }
        uint32_t unfinished = addresses_count(addresses).unfinished;
        uint32_t expected = hosts * (256 / (hosts + 1)) < 64 * hosts ? 0 : 64 * hosts;
        assert_true(unfinished < 256);
        assert_true(expected == 0 || unfinished == expected);
        assert_int_equal(addresses_arrive(addresses, numbered(hosts), 0), TLS_ACCEPTED);
        addresses_free(addresses);
    }
}

static void test_connects_per_minute(void **state)
{
    (void)state;
    struct addresses_limits limits = small;
    limits.connects_per_minute = 60;
    struct addresses *addresses = addresses_new(&limits);
    const struct sockaddr *peer = address_of("10.0.0.1");
    uint64_t now_ms = 1000000;
    uint32_t counts[3] = {0, 0, 0};
    for (uint64_t second = 0; second < 180; second++) {
        for (int i = 0; i < 10; i++) {
            enum tls_refusal refusal = addresses_arrive(addresses, peer, now_ms + second * 1000);
            if (refusal == TLS_ACCEPTED) {
                counts[second / 60]++;
                addresses_leave(addresses, peer, false);
            } else {
                assert_int_equal(refusal, TLS_REFUSED_ADDRESS_TOO_FAST);
            }
        }
    }
    /* So many at once, and from then on one a second: also for a host where one of many runs wild.
     */
    assert_int_equal(counts[0], 60 + 59);
    assert_int_equal(counts[1], 60);
    assert_int_equal(counts[2], 60);
    assert_int_equal(addresses_arrive(addresses, address_of("10.0.0.2"), now_ms), TLS_ACCEPTED);
    /* After a minute's rest all are there again. */
    now_ms += 180000 + 60000;
    for (int i = 0; i < 60; i++) {
        assert_int_equal(addresses_arrive(addresses, peer, now_ms), TLS_ACCEPTED);
        addresses_leave(addresses, peer, false);
    }
    assert_int_equal(addresses_arrive(addresses, peer, now_ms), TLS_REFUSED_ADDRESS_TOO_FAST);
    addresses_free(addresses);
}

static void test_what_is_one_address(void **state)
{
    (void)state;
    static const struct {
        const char *one;
        const char *other;
        bool same;
    } rows[] = {
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.1", "::ffff:10.0.0.1", true},
        {"::ffff:10.0.0.1", "::ffff:10.0.0.2", false},
        {"2001:db8::1", "2001:db8::2", true},
        {"2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true},
        {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
        {"::1", "127.0.0.1", false},
    };
    struct addresses_limits limits = small;
    limits.connections_per_address = 1;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct addresses *addresses = addresses_new(&limits);
        assert_int_equal(connect_to(addresses, rows[i].one), TLS_ACCEPTED);
        assert_int_equal(connect_to(addresses, rows[i].other),
                         rows[i].same ? TLS_REFUSED_ADDRESS_FULL : TLS_ACCEPTED);
        addresses_leave(addresses, address_of(rows[i].one), true);
        assert_count(addresses, rows[i].same ? 0 : 1, 0, rows[i].same ? 0 : 1);
        addresses_free(addresses);
    }
}

/* More addresses than there is room for: those with connections are never forgotten, of the others
 * those that were without for longest. */
static void test_many_addresses(void **state)
{
    (void)state;
    struct addresses_limits limits = small;
    limits.connects_per_minute = 1;
    struct addresses *addresses = addresses_new(&limits);
    assert_int_equal(connect_to(addresses, "192.0.2.1"), TLS_ACCEPTED);
    uint32_t room = small.connections + 4096 - 1;
    for (uint32_t i = 0; i < room; i++) {
        assert_int_equal(addresses_arrive(addresses, numbered(i), 0), TLS_ACCEPTED);
        addresses_leave(addresses, numbered(i), false);
    }
    assert_int_equal(addresses_arrive(addresses, numbered(0), 0), TLS_REFUSED_ADDRESS_TOO_FAST);
    assert_int_equal(addresses_arrive(addresses, numbered(room), 0), TLS_ACCEPTED);
    assert_int_equal(addresses_arrive(addresses, numbered(1), 0), TLS_REFUSED_ADDRESS_TOO_FAST);
    assert_int_equal(addresses_arrive(addresses, numbered(0), 0), TLS_ACCEPTED);
    assert_int_equal(addresses_arrive(addresses, numbered(2), 0), TLS_REFUSED_ADDRESS_TOO_FAST);
    for (uint32_t i = 100000; i < 120000; i++) {
        assert_int_equal(addresses_arrive(addresses, numbered(i), 0), TLS_ACCEPTED);
        addresses_leave(addresses, numbered(i), false);
    }
    assert_count(addresses, 3, 2, 3);
    assert_int_equal(arrive(addresses, "192.0.2.1"), TLS_REFUSED_ADDRESS_TOO_FAST);
    addresses_leave(addresses, address_of("192.0.2.1"), true);
    addresses_leave(addresses, numbered(0), false);
    addresses_leave(addresses, numbered(room), false);
    assert_count(addresses, 0, 0, 0);
    assert_true(addresses_memory_bytes(&limits) < 512 * 1024);
    addresses_free(addresses);
}

/* Beside a count of each address that is kept simply: 20,000 steps at random. */
static void test_at_random(void **state)
{
    (void)state;
    enum { HOSTS = 7 };
    struct addresses *addresses = addresses_new(&small);
    uint32_t unfinished[HOSTS] = {0};
    uint32_t finished[HOSTS] = {0};
    uint32_t let_in = 0;
    srand(7);
    for (uint64_t step = 0; step < 20000; step++) {
        unsigned host = (unsigned)rand() % HOSTS;
        uint32_t all[2] = {0, 0};
        uint32_t hosts = 0;
        switch (rand() % 4) {
        case 0:
            if (unfinished[host] > 0) {
                addresses_finish(addresses, numbered(host));
                unfinished[host]--;
                finished[host]++;
            }
            break;
        case 1:
            if (unfinished[host] > 0) {
                addresses_leave(addresses, numbered(host), false);
                unfinished[host]--;
            } else if (finished[host] > 0) {
                addresses_leave(addresses, numbered(host), true);
                finished[host]--;
            }
            break;
        default:
            if (addresses_arrive(addresses, numbered(host), step * 1000) == TLS_ACCEPTED) {
                unfinished[host]++;
                let_in++;
            }
        }
        for (unsigned i = 0; i < HOSTS; i++) {
            all[0] += unfinished[i];
            all[1] += finished[i];
            hosts += unfinished[i] + finished[i] > 0;
            assert_in_range(unfinished[i], 0, 2);
            assert_in_range(unfinished[i] + finished[i], 0, 5);
        }
        assert_count(addresses, all[0] + all[1], all[0], hosts);
        assert_in_range(all[0], 0, 8);
        assert_in_range(all[0] + all[1], 0, 12);
    }
    assert_true(let_in > 1000);
    addresses_free(addresses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_of_an_address_and_in_all),
        cmocka_unit_test(test_unfinished_ones_of_an_address),
        cmocka_unit_test(test_silent_addresses_leave_a_place),
        cmocka_unit_test(test_connects_per_minute),
        cmocka_unit_test(test_what_is_one_address),
        cmocka_unit_test(test_many_addresses),
        cmocka_unit_test(test_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
