/* Our engine under NNG's WebSocket transport, whose streams begin with HTTP and not with SP: they
 * pass as they are.
 *
 * No socket with WebSocket on it is closed here, on either side: NNG 1.10.1 uses freed memory then,
 * about once in 200 times, with its own engine as with ours. They end with the process. */
#include "tests/unit/proto/tls/tls_raw.h"
#include "tests/unit/proto/tls/tls_relay.h"
#include "tests/unit/proto/tls/tls_scene.h"

#define WSS "wss://127.0.0.1:%d/path"

static const size_t sizes[] = {0,     1,     64,    125,   126,   127,    511,    512,
                               16300, 16320, 16321, 65535, 65536, 200000, 1 << 20};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static struct scene_domain scene; /* of all servers */
static struct relay relays[2];
static atomic_uint known; /* pipes whose peer the server knew before it took them */

static void note_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct tls_peer peer;
    (void)event;
    (void)arg;
    if (tls_peer_of(pipe, &peer) && strcmp(peer.principal, SCENE_CLIENT) == 0) {
        atomic_fetch_add(&known, 1);
    }
}

static void expect(nng_socket socket, size_t length, uint64_t seed)
{
    nng_msg *message;
    int code = nng_recvmsg(socket, &message, 0);
    if (code != 0) {
        fail_msg("%zu bytes: %s", length, nng_strerror(code));
    }
    if (!scene_is_message(message, length, seed)) {
        fail_msg("%zu bytes came as %zu others", length, nng_msg_len(message));
    }
    nng_msg_free(message);
}

static nng_socket requester(int port, const char *format, nng_tls_version version)
{
    nng_socket socket;
    nng_tls_config *config = scene_client_config("client", "localhost");
    assert_int_equal(nng_tls_config_version(config, version, version), 0);
    assert_int_equal(nng_req0_open(&socket), 0);
    scene_limits(socket);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), 0);
    int code = scene_dial(socket, config, format, port);
    if (code != 0) {
        fail_msg("%s: %s", format, nng_strerror(code));
    }
    return socket;
}

/* To the server and back. */
static void exchange(nng_socket client, nng_socket server, size_t length)
{
    static uint64_t seed;
    seed++;
    assert_int_equal(nng_sendmsg(client, scene_message(length, seed), 0), 0);
    expect(server, length, seed);
    assert_int_equal(nng_sendmsg(server, scene_message(length, seed + 1000), 0), 0);
    expect(client, length, seed + 1000);
}

/* Both transports on one socket; the records of tls+tcp are gathered all the same. */
static void requests(nng_tls_version version, struct relay *relay)
{
    nng_socket server;
    atomic_store(&known, 0);
    assert_int_equal(nng_rep0_open(&server), 0);
    scene_limits(server);
    assert_int_equal(nng_pipe_notify(server, NNG_PIPE_EV_ADD_PRE, note_pipe, NULL), 0);
    int wss = scene_listen(&scene, server, WSS);
    relay_start(relay, scene_listen(&scene, server, SCENE_TCP));
    nng_socket clients[] = {requester(wss, WSS, version),
                            requester(relay->port, SCENE_TCP, version)};
    exchange(clients[1], server, 1);
    for (unsigned i = 0; i < SIZES; i++) {
        exchange(clients[0], server, sizes[i]);
        unsigned before = atomic_load(&relay->count[0].records);
        exchange(clients[1], server, sizes[i]);
        assert_int_equal(atomic_load(&relay->count[0].records) - before,
                         (8 + 4 + sizes[i] + 16319) / 16320);
    }
    assert_int_equal(atomic_load(&known), 2);
    assert_int_equal(atomic_load(&scene.refused), 0);
    nng_close(clients[1]);
    relay_stop(relay);
}

static void test_requests_with_tls_1_2(void **state)
{
    (void)state;
    requests(NNG_TLS_1_2, &relays[0]);
}

static void test_requests_with_tls_1_3(void **state)
{
    (void)state;
    requests(NNG_TLS_1_3, &relays[1]);
}

static void test_published_messages(void **state)
{
    (void)state;
    nng_socket server;
    nng_socket clients[2];
    nng_msg *message;
    assert_int_equal(nng_pub0_open(&server), 0);
    int ports[] = {scene_listen(&scene, server, WSS), scene_listen(&scene, server, SCENE_TCP)};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(nng_sub0_open(&clients[i]), 0);
        scene_limits(clients[i]);
        assert_int_equal(nng_sub0_socket_subscribe(clients[i], "", 0), 0);
        assert_int_equal(scene_dial(clients[i], scene_client_config("client", "localhost"),
                                    i == 0 ? WSS : SCENE_TCP, ports[i]),
                         0);
    }
    /* Until a subscriber has been added, nothing reaches it. */
    for (int i = 0; i < 2; i++) {
        int code = NNG_ETIMEDOUT;
        assert_int_equal(nng_socket_set_ms(clients[i], NNG_OPT_RECVTIMEO, 50), 0);
        for (int tries = 0; tries < 200 && code != 0; tries++) {
            assert_int_equal(nng_sendmsg(server, scene_message(7, 7), 0), 0);
            code = nng_recvmsg(clients[i], &message, 0);
        }
        assert_int_equal(code, 0);
        nng_msg_free(message);
    }
    for (int i = 0; i < 2; i++) {
        while (nng_recvmsg(clients[i], &message, 0) == 0) {
            nng_msg_free(message);
        }
        assert_int_equal(nng_socket_set_ms(clients[i], NNG_OPT_RECVTIMEO, SCENE_WAIT_MS), 0);
    }
    for (unsigned i = 0; i < SIZES; i++) {
        assert_int_equal(nng_sendmsg(server, scene_message(sizes[i], i), 0), 0);
        expect(clients[0], sizes[i], i);
        expect(clients[1], sizes[i], i);
    }
    nng_close(clients[1]);
}

/* The rules are the same: who has no certificate does not get as far as HTTP. */
static void test_strangers_are_refused(void **state)
{
    (void)state;
    static const mbedtls_ssl_protocol_version versions[] = {MBEDTLS_SSL_VERSION_TLS1_2,
                                                            MBEDTLS_SSL_VERSION_TLS1_3};
    nng_socket server;
    assert_int_equal(nng_rep0_open(&server), 0);
    scene_limits(server);
    int port = scene_listen(&scene, server, WSS);
    for (unsigned i = 0; i < 2; i++) {
        const struct raw_options options = {
            .server_name = "localhost", .min_version = versions[i], .max_version = versions[i]};
        struct raw raw;
        uint8_t byte;
        raw_open(&raw, raw_connect_tcp(port), MBEDTLS_SSL_IS_CLIENT, &options);
        assert_true(raw_handshake(&raw) != 0 || raw_read(&raw, &byte, 1) != 0);
        raw_close(&raw);
        uint64_t begun = scene_now_ms();
        while (atomic_load(&scene.refused) <= i && scene_now_ms() - begun < SCENE_WAIT_MS) {
            scene_sleep(1);
        }
        assert_int_equal(atomic_load(&scene.refused), i + 1);
        assert_int_equal(atomic_load(&scene.refusal), TLS_REFUSED_NO_CERTIFICATE);
    }
    exchange(requester(port, WSS, NNG_TLS_1_3), server, 10);
    assert_int_equal(atomic_load(&scene.refused), 2);
}

static int set_up(void **state)
{
    int code = scene_set_up(state);
    scene_domain_open(&scene);
    return code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_with_tls_1_2),
        cmocka_unit_test(test_requests_with_tls_1_3),
        cmocka_unit_test(test_published_messages),
        cmocka_unit_test(test_strangers_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, scene_tear_down);
}
