#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "server/net/pipes.h"

static const struct policy_rule rule = {.tenant = "t"};
static const struct pipes_limits small = {.connections_max = 4,
                                          .connections_per_principal = 2,
                                          .connects_per_minute = 5,
                                          .requests_max = 3};

static enum pipes_verdict add(struct pipes *pipes, uint32_t id, const char *principal,
                              uint64_t now_ms)
{
    const struct pipes_arrival arrival = {.id = id,
                                          .principal = view_of(principal),
                                          .rule = &rule,
                                          .suite = 3,
                                          .address = "127.0.0.1:1"};
    return pipes_add(pipes, &arrival, now_ms);
}

static void test_peer_is_kept(void **state)
{
    (void)state;
    struct pipes *pipes = pipes_new(&small);
    assert_non_null(pipes);
    assert_int_equal(add(pipes, 7, "spiffe://a/b", 0), PIPES_ADMITTED);
    struct pipe *pipe = pipes_acquire(pipes, 7);
    assert_non_null(pipe);
    assert_true(view_equal(pipe->peer.principal, view_of("spiffe://a/b")));
    assert_ptr_equal(pipe->peer.rule, &rule);
    assert_int_equal(pipe->peer.suite, 3);
    assert_string_equal(pipe->peer.address, "127.0.0.1:1");
    assert_null(pipes_acquire(pipes, 8));
    pipes_release(pipes, pipe);
    pipes_free(pipes);
    pipes_free(NULL);
}

static void take_rule(void *context, struct pipe *pipe)
{
    (void)context;
    pipe->peer.rule = NULL;
}

/* Between losing its rule and being closed, nothing of it is taken. */
static void test_without_rule_no_request(void **state)
{
    (void)state;
    struct pipes *pipes = pipes_new(&small);
    assert_int_equal(add(pipes, 7, "spiffe://a/b", 0), PIPES_ADMITTED);
    struct pipe *before = pipes_acquire(pipes, 7);
    assert_non_null(before);
    pipes_each(pipes, take_rule, NULL);
    assert_null(pipes_acquire(pipes, 7));
    pipes_remove(pipes, 7);
    pipes_release(pipes, before);
    assert_int_equal(pipes_count(pipes), 0);
    pipes_free(pipes);
}

static void test_caps(void **state)
{
    (void)state;
    struct pipes *pipes = pipes_new(&small);
    assert_int_equal(add(pipes, 1, "spiffe://a/b", 0), PIPES_ADMITTED);
    assert_int_equal(add(pipes, 2, "spiffe://a/b", 0), PIPES_ADMITTED);
    assert_int_equal(add(pipes, 3, "spiffe://a/b", 0), PIPES_PRINCIPAL_FULL);
    assert_null(pipes_acquire(pipes, 3));
    assert_int_equal(add(pipes, 4, "spiffe://a/c", 0), PIPES_ADMITTED);
    assert_int_equal(add(pipes, 5, "spiffe://a/c", 0), PIPES_ADMITTED);
    assert_int_equal(add(pipes, 6, "spiffe://a/d", 0), PIPES_FULL);
    assert_int_equal(pipes_count(pipes), 4);
    pipes_remove(pipes, 3); /* a refused one is removed, too */
    pipes_remove(pipes, 1);
    assert_int_equal(pipes_count(pipes), 3);
    assert_int_equal(add(pipes, 8, "spiffe://a/d", 0), PIPES_ADMITTED);
    assert_int_equal(add(pipes, 9, "spiffe://a/b", 0), PIPES_FULL);
    pipes_free(pipes);
}

static void test_connects_per_minute(void **state)
{
    (void)state;
    struct pipes *pipes = pipes_new(&small);
    for (uint32_t id = 1; id <= 5; id++) {
        assert_int_equal(add(pipes, id, "spiffe://a/b", 1000 * id), PIPES_ADMITTED);
        pipes_remove(pipes, id);
    }
    assert_int_equal(add(pipes, 6, "spiffe://a/b", 10000), PIPES_PRINCIPAL_TOO_FAST);
    assert_int_equal(add(pipes, 7, "spiffe://a/c", 10000), PIPES_ADMITTED);
    assert_int_equal(add(pipes, 8, "spiffe://a/b", 60999), PIPES_PRINCIPAL_TOO_FAST);
    assert_int_equal(add(pipes, 9, "spiffe://a/b", 61000), PIPES_ADMITTED);
    pipes_free(pipes);
}

/* A request outlives its connection, and then neither id nor places are mixed up. */
static void test_requests_of_gone_connections(void **state)
{
    (void)state;
    struct pipes *pipes = pipes_new(&small);
    struct pipe *held[3];
    for (uint32_t id = 1; id <= 3; id++) {
        char name[32];
        (void)snprintf(name, sizeof name, "spiffe://a/%u", id);
        assert_int_equal(add(pipes, id, name, 0), PIPES_ADMITTED);
        held[id - 1] = pipes_acquire(pipes, id);
        pipes_remove(pipes, id);
        assert_true(atomic_load(held[id - 1]->peer.gone));
        assert_null(pipes_acquire(pipes, id));
    }
    assert_int_equal(pipes_count(pipes), 0);
    for (uint32_t id = 10; id < 14; id++) {
        assert_int_equal(add(pipes, id, id < 12 ? "spiffe://a/x" : "spiffe://a/y", 0),
                         PIPES_ADMITTED);
    }
    assert_true(view_equal(held[1]->peer.principal, view_of("spiffe://a/2")));
    for (int i = 0; i < 3; i++) {
        pipes_release(pipes, held[i]);
    }
    for (uint32_t id = 10; id < 14; id++) {
        struct pipe *pipe = pipes_acquire(pipes, id);
        assert_non_null(pipe);
        assert_false(atomic_load(pipe->peer.gone));
        pipes_release(pipes, pipe);
    }
    pipes_free(pipes);
}

/* What admission counts and looks at while it has a request: the waits of a principal over all its
 * connections, and whether this one is gone. */
static void test_what_admission_gets(void **state)
{
    (void)state;
    struct pipes *pipes = pipes_new(&small);
    assert_int_equal(add(pipes, 1, "spiffe://a/b", 0), PIPES_ADMITTED);
    assert_int_equal(add(pipes, 2, "spiffe://a/b", 0), PIPES_ADMITTED);
    assert_int_equal(add(pipes, 3, "spiffe://a/c", 0), PIPES_ADMITTED);
    struct pipe *one = pipes_acquire(pipes, 1);
    struct pipe *two = pipes_acquire(pipes, 2);
    struct pipe *other = pipes_acquire(pipes, 3);
    assert_ptr_equal(one->peer.waits, two->peer.waits);
    assert_ptr_not_equal(one->peer.waits, other->peer.waits);
    assert_int_equal(atomic_load(one->peer.waits), 0);
    (void)atomic_fetch_add(one->peer.waits, 1);
    assert_ptr_not_equal(one->peer.gone, two->peer.gone);
    pipes_remove(pipes, 1);
    assert_true(atomic_load(one->peer.gone));
    assert_false(atomic_load(two->peer.gone));
    assert_int_equal(atomic_load(two->peer.waits), 1);
    (void)atomic_fetch_sub(one->peer.waits, 1);
    pipes_release(pipes, one);
    /* The place of the one that went is used again, and begins anew. */
    assert_int_equal(add(pipes, 4, "spiffe://a/b", 0), PIPES_ADMITTED);
    struct pipe *again = pipes_acquire(pipes, 4);
    assert_ptr_equal(again, one);
    assert_false(atomic_load(again->peer.gone));
    assert_ptr_equal(again->peer.waits, two->peer.waits);
    pipes_release(pipes, again);
    pipes_release(pipes, two);
    pipes_release(pipes, other);
    pipes_free(pipes);
}

static void test_slowest(void **state)
{
    (void)state;
    struct pipes *pipes = pipes_new(&small);
    assert_null(pipes_slowest(pipes));
    assert_int_equal(add(pipes, 1, "spiffe://a/b", 0), PIPES_ADMITTED);
    assert_int_equal(add(pipes, 2, "spiffe://a/b", 0), PIPES_ADMITTED);
    assert_null(pipes_slowest(pipes));
    struct pipe *one = pipes_acquire(pipes, 1);
    struct pipe *two = pipes_acquire(pipes, 2);
    one->waiting_bytes = 10;
    two->waiting_bytes = 20;
    assert_ptr_equal(pipes_slowest(pipes), two);
    two->condemned = true;
    assert_ptr_equal(pipes_slowest(pipes), one);
    pipes_release(pipes, one);
    pipes_release(pipes, two);
    pipes_free(pipes);
}

/* More principals than there are places: idle ones make room after a minute, not before. */
static void test_principals_come_and_go(void **state)
{
    (void)state;
    struct pipes *pipes = pipes_new(&small);
    uint32_t id = 1;
    char name[32];
    enum pipes_verdict verdict = PIPES_ADMITTED;
    uint32_t admitted = 0;
    while (admitted < 5000 && verdict == PIPES_ADMITTED) {
        (void)snprintf(name, sizeof name, "spiffe://a/%u", id);
        verdict = add(pipes, id, name, 1000);
        admitted += verdict == PIPES_ADMITTED;
        pipes_remove(pipes, id);
        id++;
    }
    assert_int_equal(admitted, 4 + 1024);
    assert_int_equal(verdict, PIPES_FULL);
    assert_int_equal(add(pipes, id, name, 60999), PIPES_FULL);
    assert_int_equal(add(pipes, id, name, 61000), PIPES_ADMITTED);
    assert_true(pipes_memory_bytes(&small) > 1000);
    pipes_free(pipes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_is_kept),
        cmocka_unit_test(test_without_rule_no_request),
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_connects_per_minute),
        cmocka_unit_test(test_requests_of_gone_connections),
        cmocka_unit_test(test_what_admission_gets),
        cmocka_unit_test(test_slowest),
        cmocka_unit_test(test_principals_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
