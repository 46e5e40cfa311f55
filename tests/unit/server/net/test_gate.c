#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/log.h"
#include "server/net/gate.h"

static const struct gate_options small = {.connections_max = 3,
                                          .connections_per_address = 2,
                                          .connects_per_minute_per_address = 100,
                                          .handshakes_max = 100};
static FILE *written; /* the log */

static const struct sockaddr *host(uint8_t last)
{
    static struct sockaddr_in ring[4];
    struct sockaddr_in *address = &ring[last % 4];
    *address = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_port = htons(4711),
                                    .sin_addr.s_addr = htonl(0xC0000200u + last)};
    return (const struct sockaddr *)(const void *)address;
}

static uint64_t count_of(struct gate *gate, const char *reason)
{
    struct gate_status status;
    gate_status(gate, &status);
    for (size_t i = 0; i < GATE_REASONS; i++) {
        if (strcmp(status.refused[i].reason, reason) == 0) {
            return status.refused[i].count;
        }
    }
    fail_msg("no such reason: %s", reason);
    return 0;
}

static size_t lines_with(const char *text)
{
    char line[LOG_LINE_MAX];
    size_t count = 0;
    rewind(written);
    while (fgets(line, sizeof line, written) != NULL) {
        count += strstr(line, text) != NULL;
    }
    return count;
}

static int set_up(void **state)
{
    (void)state;
    written = tmpfile();
    if (written == NULL) {
        return -1;
    }
    log_init(fileno(written), LOG_LEVEL_INFO, true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_init(2, LOG_LEVEL_INFO, false);
    return fclose(written);
}

static void test_caps_hold_and_are_shown(void **state)
{
    (void)state;
    struct gate *gate = gate_new(&small);
    assert_non_null(gate);
    const struct tls_hooks hooks = gate_hooks(gate);
    struct gate_status status;
    assert_int_equal(hooks.arrive(hooks.context, host(1)), TLS_ACCEPTED);
    assert_int_equal(hooks.arrive(hooks.context, host(1)), TLS_ACCEPTED);
    assert_int_equal(hooks.arrive(hooks.context, host(1)), TLS_REFUSED_ADDRESS_FULL);
    hooks.finish(hooks.context, host(1));
    assert_int_equal(hooks.arrive(hooks.context, host(2)), TLS_ACCEPTED);
    assert_int_equal(hooks.arrive(hooks.context, host(3)), TLS_REFUSED_CONNECTIONS_FULL);
    gate_status(gate, &status);
    assert_int_equal(status.connections, 3);
    assert_int_equal(status.unfinished, 2);
    assert_int_equal(status.addresses, 2);
    hooks.leave(hooks.context, host(1), true);
    hooks.leave(hooks.context, host(1), false);
    hooks.leave(hooks.context, host(2), false);
    gate_status(gate, &status);
    assert_int_equal(status.connections, 0);
    assert_int_equal(status.unfinished, 0);
    assert_int_equal(status.addresses, 0);
    gate_free(gate);
    gate_free(NULL);
}

static void test_every_reason_has_a_text_of_its_own(void **state)
{
    (void)state;
    struct gate *gate = gate_new(&small);
    struct gate_status status;
    gate_status(gate, &status);
    for (size_t i = 0; i < GATE_REASONS; i++) {
        assert_true(strlen(status.refused[i].reason) > 4);
        assert_int_equal(status.refused[i].count, 0);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(status.refused[i].reason, status.refused[k].reason);
        }
    }
    assert_string_equal(gate_refusal_text(TLS_ACCEPTED), "");
    assert_string_equal(gate_refusal_text(TLS_REFUSED_EXPIRED), "a certificate has expired");
    assert_string_equal(gate_refusal_text(GATE_REFUSED_NO_RULE), "no rule");
    gate_free(gate);
}

static void test_refusals_are_counted_and_logged(void **state)
{
    (void)state;
    struct gate *gate = gate_new(&small);
    const struct tls_hooks hooks = gate_hooks(gate);
    hooks.refused(hooks.context, host(7), TLS_REFUSED_FOREIGN_TRUST_DOMAIN, "spiffe://x/y");
    gate_refuse(gate, GATE_REFUSED_NO_RULE, "192.0.2.9:1", "spiffe://t/z", "feed");
    assert_int_equal(
        lines_with("level=warning msg=\"peer refused\" reason=\"the SPIFFE ID is of another "
                   "trust domain\" detail=spiffe://x/y peer=192.0.2.7:4711\n"),
        1);
    assert_int_equal(lines_with("level=warning msg=\"peer refused\" reason=\"no rule\" "
                                "principal=spiffe://t/z peer=192.0.2.9:1 endpoint=feed\n"),
                     1);
    assert_int_equal(count_of(gate, "the SPIFFE ID is of another trust domain"), 1);
    assert_int_equal(count_of(gate, "no rule"), 1);
    assert_int_equal(count_of(gate, "a certificate has expired"), 0);
    gate_free(gate);
}

static void test_garbage_does_not_hide_certificates(void **state)
{
    (void)state;
    struct gate *gate = gate_new(&small);
    const struct tls_hooks hooks = gate_hooks(gate);
    for (int i = 0; i < 1000; i++) {
        hooks.refused(hooks.context, host(1), TLS_REFUSED_PROTOCOL, "");
        hooks.refused(hooks.context, host(1), TLS_REFUSED_DISCONNECTED, "");
        if (i == 999) {
            hooks.refused(hooks.context, host(2), TLS_REFUSED_EXPIRED, "");
        }
    }
    assert_int_equal(lines_with("no TLS"), 20);
    assert_int_equal(lines_with("went away"), 20);
    assert_int_equal(lines_with("has expired"), 1);
    assert_int_equal(count_of(gate, "no TLS, or not in order"), 1000);
    assert_int_equal(count_of(gate, "the peer went away in the handshake"), 1000);
    gate_free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_caps_hold_and_are_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_reason_has_a_text_of_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals_are_counted_and_logged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_garbage_does_not_hide_certificates, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
