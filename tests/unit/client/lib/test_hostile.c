/* A server that speaks TLS well and everything above it badly: absurd lengths, headers without an
 * end, silence. The client lives on and works as soon as a good server is there. */
#include "tests/unit/client/lib/fake_server.h"

#include <time.h>

struct attack {
    const char *bytes; /* after the TLS handshake */
    size_t size;
};

#define ATTACK(text)                                                                               \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define HELLO "\0SP\0\0\x31\0\0"

/* The length claims 0 to 2^64-1, then what a length may announce. */
static const struct attack attacks[] = {
    ATTACK(""),
    ATTACK("\0"),
    ATTACK("HTTP/1.1 400 Bad Request\r\n\r\n"),
    ATTACK("\0SP\0\0\x20\0\0"),
    ATTACK(HELLO),
    ATTACK(HELLO "\0\0\0\0\0\0\0\0"),
    ATTACK(HELLO "\0\0\0\0\0\0\0\x01"
                 "a"),
    ATTACK(HELLO "\0\0\0\0\0\0\0\x03"
                 "\x80"
                 "bc"),
    ATTACK(HELLO "\0\0\0\0\0\0\0\x04"
                 "\x80\0\0\0"),
    ATTACK(HELLO "\0\0\0\0\0\0\0\x04"
                 "\xFF\xFF\xFF\xFF"),
    ATTACK(HELLO "\0\0\0\0\0\0\0\x08"
                 "\0\0\0\x01\x80\0\0\x01"),
    ATTACK(HELLO "\0\0\0\0\0\0\0\x28"
                 "0123012301230123012301230123012301230123"),
    ATTACK(HELLO "\0\0\0\0\0\x10\0\x01"
                 "data"),
    ATTACK(HELLO "\0\0\0\0\x7F\xFF\xFF\xFF"
                 "data"),
    ATTACK(HELLO "\0\0\0\0\xFF\xFF\xFF\xFF"
                 "data"),
    ATTACK(HELLO "\0\0\0\x01\0\0\0\0"
                 "data"),
    ATTACK(HELLO "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                 "data"),
    ATTACK(HELLO "\x80\0\0\0\0\0\0\0"
                 "data"),
    ATTACK(HELLO "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xF0"
                 "data"),
    ATTACK(HELLO "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                 "data"),
};

enum { ATTACKS = sizeof attacks / sizeof attacks[0] };

/* Serves one connection; false when the client did not come. */
static bool serve(nng_stream_listener *listener, const struct attack *attack)
{
    nng_aio *aio;
    assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), 0);
    nng_aio_set_timeout(aio, 5000);
    nng_stream_listener_accept(listener, aio);
    nng_aio_wait(aio);
    bool came = nng_aio_result(aio) == 0;
    if (came) {
        nng_stream *stream = nng_aio_get_output(aio, 0);
        if (attack->size > 0) {
            nng_iov part = {.iov_buf = (void *)attack->bytes, .iov_len = attack->size};
            nng_aio_set_iov(aio, 1, &part);
            nng_stream_send(stream, aio);
            nng_aio_wait(aio);
        }
        nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
        nng_stream_close(stream);
        nng_stream_free(stream);
    }
    nng_aio_free(aio);
    return came;
}

static enum fake_action create_5(void *arg, const struct frame_request *request,
                                 struct frame_reply *reply)
{
    (void)arg;
    (void)request;
    static const uint8_t created[] = {0x08, 5};
    reply->payload = (struct view){created, sizeof created};
    return FAKE_REPLY;
}

static void length_claims(void **state)
{
    (void)state;
    nng_stream_listener *listener;
    nng_tls_config *tls = fake_tls();
    assert_int_equal(nng_stream_listener_alloc(&listener, "tls+tcp://127.0.0.1:0"), 0);
    assert_int_equal(nng_stream_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, tls), 0);
    assert_int_equal(nng_stream_listener_listen(listener), 0);
    struct fake_server good = {.script = create_5};
    assert_int_equal(nng_stream_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &good.port), 0);

    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){good.port, 0});
    options.reconnect_max_ms = 50;
    activity_client *client = activity_client_new(&options, NULL);
    assert_non_null(client);
    for (int i = 0; i < ATTACKS; i++) {
        if (!serve(listener, &attacks[i])) {
            fail_msg("the client did not come back before attack %d", i);
        }
    }
    struct activity_client_status status;
    activity_client_status(client, &status);
    nng_stream_listener_close(listener);
    nng_stream_listener_free(listener);
    nng_tls_config_free(tls);

    fake_start(&good);
    struct activity_created created;
    const struct activity_create_request request = {.type = "upload"};
    assert_int_equal(activity_create(client, &request, NULL, &created, NULL), ACTIVITY_OK);
    assert_int_equal(created.job_id, 5);
    activity_client_free(client);
    fake_stop(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(length_claims)};
    return cmocka_run_group_tests(tests, fake_certificates, fake_certificates_remove);
}
