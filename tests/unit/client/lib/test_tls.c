/* Whose TLS a client has: the library's, or with ACTIVITY_TLS_STOCK NNG's own, as long as nobody
 * has registered another. The order of the tests is part of them: a process registers once. */
#include "tests/unit/client/lib/fake_server.h"

#include "proto/tls/engine.h"

static enum fake_action answer(void *arg, const struct frame_request *request,
                               struct frame_reply *reply)
{
    (void)arg;
    (void)request;
    (void)reply;
    return FAKE_REPLY;
}

static void start(struct fake_server *server)
{
    memset(server, 0, sizeof *server);
    server->script = answer;
    fake_start(server);
}

/* Connected means that a request was answered. */
static int connect_with(const struct fake_server *server, uint32_t flags,
                        struct activity_error *error)
{
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){server->port, 0});
    options.flags = flags;
    activity_client *client = activity_client_new(&options, error);
    if (client == NULL) {
        return (int)error->code;
    }
    int code = activity_client_connect(client, 5000, error);
    activity_client_free(client);
    return code;
}

static void expect_connected(uint32_t flags)
{
    struct fake_server server;
    struct activity_error error;
    start(&server);
    if (connect_with(&server, flags, &error) != ACTIVITY_OK) {
        fail_msg("flags %u: %s", flags, error.message);
    }
    assert_true(atomic_load(&server.probes) > 0);
    fake_stop(&server);
}

static void stock_leaves_nng_as_it_is(void **state)
{
    (void)state;
    char before[64];
    snprintf(before, sizeof before, "%s", nng_tls_engine_name());
    assert_false(tls_engine_is_ours());
    expect_connected(ACTIVITY_TLS_STOCK);
    assert_string_equal(nng_tls_engine_name(), before);
    assert_false(tls_engine_is_ours());
}

/* That key and certificate do not belong together is known to our engine alone. */
static enum activity_code open_with_foreign_key(uint32_t flags, struct activity_error *error)
{
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){1, 0});
    options.key_file = fake_file("stranger.key");
    options.flags = flags;
    activity_client *client = activity_client_new(&options, error);
    activity_client_free(client);
    return client == NULL ? error->code : ACTIVITY_OK;
}

static void stock_tells_a_foreign_key_late(void **state)
{
    (void)state;
    struct activity_error error;
    assert_int_equal(open_with_foreign_key(ACTIVITY_TLS_STOCK, &error), ACTIVITY_OK);
    assert_false(tls_engine_is_ours());
}

/* The server's side is NNG's still, and of the same program. */
static void ours_is_registered_by_a_client(void **state)
{
    (void)state;
    struct fake_server server;
    struct activity_error error;
    start(&server);
    assert_false(tls_engine_is_ours());
    assert_int_equal(connect_with(&server, 0, &error), ACTIVITY_OK);
    assert_true(tls_engine_is_ours());
    fake_stop(&server);
}

static void ours_on_both_sides(void **state)
{
    (void)state;
    assert_true(tls_engine_is_ours());
    expect_connected(0);
}

/* One client without the flag is enough. */
static void stock_comes_too_late(void **state)
{
    (void)state;
    expect_connected(ACTIVITY_TLS_STOCK);
    assert_true(tls_engine_is_ours());
}

static void ours_tells_a_foreign_key_at_once(void **state)
{
    (void)state;
    struct activity_error error;
    assert_int_equal(open_with_foreign_key(0, &error), ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "key_file");
    assert_non_null(strstr(error.message, "the key is not the certificate's"));
}

static void bad_files_are_named(void **state)
{
    (void)state;
    const struct {
        const char *ca;
        const char *cert;
        const char *key;
        const char *field;
    } cases[] = {
        {"server.key", "client.crt", "client.key", "ca_file"}, /* PEM, but no certificate */
        {"policy", "client.crt", "client.key", "ca_file"},     /* is not there */
        {"half.crt", "client.crt", "client.key", "ca_file"},   /* a good one, and a cut one */
        {"ca.crt", "policy", "client.key", "cert_file"},
        {"ca.crt", "client.key", "client.key", "key_file"},
        {"ca.crt", "half.crt", "client.key", "key_file"},
        {"ca.crt", "client.crt", "policy", "key_file"},
        {"ca.crt", "client.crt", "client.crt", "key_file"},
    };
    fake_shell("cd %s/tls && { cat ca.crt; head -c 300 ca.crt; echo; } >half.crt", fake_folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake_servers servers;
        struct activity_error error;
        struct activity_options options = fake_options(&servers, (int[]){1, 0});
        options.ca_file = fake_file(cases[i].ca);
        options.cert_file = fake_file(cases[i].cert);
        options.key_file = fake_file(cases[i].key);
        activity_client *client = activity_client_new(&options, &error);
        if (client != NULL || strcmp(error.field, cases[i].field) != 0) {
            fail_msg("case %zu: %s", i, client != NULL ? "taken" : error.field);
        }
        assert_int_equal(error.code, ACTIVITY_INVALID_ARGUMENT);
    }
}

static void unknown_flags_are_refused(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct activity_error error;
    struct activity_options options = fake_options(&servers, (int[]){1, 0});
    options.flags = ACTIVITY_TLS_STOCK | 1U << 7;
    assert_null(activity_client_new(&options, &error));
    assert_int_equal(error.code, ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "flags");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stock_leaves_nng_as_it_is),
        cmocka_unit_test(stock_tells_a_foreign_key_late),
        cmocka_unit_test(unknown_flags_are_refused),
        cmocka_unit_test(ours_is_registered_by_a_client),
        cmocka_unit_test(ours_on_both_sides),
        cmocka_unit_test(stock_comes_too_late),
        cmocka_unit_test(ours_tells_a_foreign_key_at_once),
        cmocka_unit_test(bad_files_are_named),
    };
    return cmocka_run_group_tests(tests, fake_certificates, fake_certificates_remove);
}
