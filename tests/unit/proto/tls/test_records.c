/* Our engine on both sides of NNG: one TLS record per message, and every byte of it. What passes is
 * counted on the way, by a relay. */
#include "tests/unit/proto/tls/tls_relay.h"
#include "tests/unit/proto/tls/tls_scene.h"

enum { RECORD = 16320, LENGTH = 8, REQUEST_ID = 4, RECORD_OVERHEAD_MAX = 32 };

/* The promise: what a message of so many bytes needs, the header of its protocol included. */
static unsigned records_of(size_t message)
{
    return (unsigned)((LENGTH + message + RECORD - 1) / RECORD);
}

/* A client and a server with a relay between them. */
struct wire {
    struct scene_domain scene;
    struct relay relay;
    nng_socket server;
    nng_socket client;
};

static void open_wire(struct wire *wire, nng_tls_version version)
{
    scene_domain_open(&wire->scene);
    scene_limits(wire->server);
    scene_limits(wire->client);
    relay_start(&wire->relay, scene_listen(&wire->scene, wire->server, SCENE_TCP));
    nng_tls_config *config = scene_client_config("client", "localhost");
    assert_int_equal(nng_tls_config_version(config, version, version), 0);
    assert_int_equal(scene_dial(wire->client, config, SCENE_TCP, wire->relay.port), 0);
}

static void close_wire(struct wire *wire)
{
    nng_close(wire->client);
    nng_close(wire->server);
    relay_stop(&wire->relay);
    scene_domain_close(&wire->scene);
}

static unsigned records(struct wire *wire, int direction)
{
    return atomic_load(&wire->relay.count[direction].records);
}

static void send_message(nng_socket socket, size_t length, uint64_t seed)
{
    assert_int_equal(nng_sendmsg(socket, scene_message(length, seed), 0), 0);
}

static void expect_message(nng_socket socket, size_t length, uint64_t seed)
{
    nng_msg *message;
    int code = nng_recvmsg(socket, &message, 0);
    if (code != 0) {
        fail_msg("a message of %zu bytes: %s", length, nng_strerror(code));
    }
    if (!scene_is_message(message, length, seed)) {
        fail_msg("%zu bytes came as %zu others", length, nng_msg_len(message));
    }
    nng_msg_free(message);
}

/* To the server and back, and exactly so many records in each direction. */
static void expect_records(struct wire *wire, size_t length, size_t header)
{
    static uint64_t seed;
    const unsigned expected = records_of(header + length);
    unsigned before[2] = {records(wire, 0), records(wire, 1)};
    seed++;
    send_message(wire->client, length, seed);
    expect_message(wire->server, length, seed);
    send_message(wire->server, length, seed + 1000000);
    expect_message(wire->client, length, seed + 1000000);
    for (int direction = 0; direction < 2; direction++) {
        unsigned counted = records(wire, direction) - before[direction];
        if (counted != expected) {
            fail_msg("%zu bytes, direction %d: %u records instead of %u", length, direction,
                     counted, expected);
        }
    }
}

/* A first exchange has everything of the handshake behind it, and both greetings. */
static void settle(struct wire *wire)
{
    send_message(wire->client, 1, 1);
    expect_message(wire->server, 1, 1);
    send_message(wire->server, 1, 2);
    expect_message(wire->client, 1, 2);
}

static void requests_of_all_sizes(nng_tls_version version)
{
    static const size_t sizes[] = {0,     1,     63,    64,    499,   500,    501,    512,
                                   513,   4096,  16307, 16308, 16309, 16320,  16384,  32627,
                                   32628, 32629, 65536, 65537, 99999, 163188, 163189, 1 << 20};
    struct wire wire;
    assert_int_equal(nng_rep0_open(&wire.server), 0);
    assert_int_equal(nng_req0_open(&wire.client), 0);
    assert_int_equal(nng_socket_set_ms(wire.client, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE),
                     0);
    open_wire(&wire, version);
    settle(&wire);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        expect_records(&wire, sizes[i], REQUEST_ID);
    }
    /* A record of ours is never a full one of TLS. */
    for (int direction = 0; direction < 2; direction++) {
        assert_in_range(atomic_load(&wire.relay.count[direction].largest), RECORD,
                        RECORD + RECORD_OVERHEAD_MAX);
    }
    close_wire(&wire);
}

static void test_requests_with_tls_1_2(void **state)
{
    (void)state;
    requests_of_all_sizes(NNG_TLS_1_2);
}

static void test_requests_with_tls_1_3(void **state)
{
    (void)state;
    requests_of_all_sizes(NNG_TLS_1_3);
}

static void around_every_boundary(nng_tls_version version)
{
    static const struct {
        size_t from;
        size_t to;
    } ranges[] = {{0, 20},          {500, 516},        {8150, 8200},   {16290, 16400},
                  {32600, 32700},   {48940, 48960},    {65270, 65290}, {65530, 65540},
                  {130540, 130560}, {1048570, 1048576}};
    struct wire wire;
    assert_int_equal(nng_pair0_open(&wire.server), 0);
    assert_int_equal(nng_pair0_open(&wire.client), 0);
    open_wire(&wire, version);
    settle(&wire);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        for (size_t length = ranges[i].from; length <= ranges[i].to; length++) {
            expect_records(&wire, length, 0);
        }
    }
    close_wire(&wire);
}

static void test_boundaries_with_tls_1_2(void **state)
{
    (void)state;
    around_every_boundary(NNG_TLS_1_2);
}

static void test_boundaries_with_tls_1_3(void **state)
{
    (void)state;
    around_every_boundary(NNG_TLS_1_3);
}

/* With TLS 1.2 records of the handshake are told apart: there is one with data, SP's greeting. */
static void test_greetings_have_a_record_each(void **state)
{
    (void)state;
    struct wire wire;
    assert_int_equal(nng_pair0_open(&wire.server), 0);
    assert_int_equal(nng_pair0_open(&wire.client), 0);
    open_wire(&wire, NNG_TLS_1_2);
    uint64_t begun = scene_now_ms();
    while ((records(&wire, 0) < 1 || records(&wire, 1) < 1) && scene_now_ms() - begun < 5000) {
        scene_sleep(1);
    }
    settle(&wire);
    assert_int_equal(records(&wire, 0), 2);
    assert_int_equal(records(&wire, 1), 2);
    close_wire(&wire);
}

static void test_published_messages(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 64, 511, 16312, 16313, 65536, 1 << 20};
    struct wire wire;
    assert_int_equal(nng_pub0_open(&wire.server), 0);
    assert_int_equal(nng_sub0_open(&wire.client), 0);
    assert_int_equal(nng_sub0_socket_subscribe(wire.client, "", 0), 0);
    open_wire(&wire, NNG_TLS_1_3);
    /* Until the subscriber has been added, nothing reaches it. */
    nng_msg *message = NULL;
    assert_int_equal(nng_socket_set_ms(wire.client, NNG_OPT_RECVTIMEO, 20), 0);
    for (int i = 0; i < 500 && message == NULL; i++) {
        send_message(wire.server, 3, 5);
        (void)nng_recvmsg(wire.client, &message, 0);
    }
    assert_non_null(message);
    nng_msg_free(message);
    while (nng_recvmsg(wire.client, &message, 0) == 0) {
        nng_msg_free(message);
    }
    assert_int_equal(nng_socket_set_ms(wire.client, NNG_OPT_RECVTIMEO, SCENE_WAIT_MS), 0);
    unsigned back = records(&wire, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned before = records(&wire, 1);
        send_message(wire.server, sizes[i], i);
        expect_message(wire.client, sizes[i], i);
        assert_int_equal(records(&wire, 1) - before, records_of(sizes[i]));
    }
    assert_int_equal(records(&wire, 0), back);
    close_wire(&wire);
}

/* --- A reader that cannot keep up: everything on the way is full, and nothing is lost --- */

enum { SLOW_LEAST = 4, SLOW_MOST = 70000, LONG_MOST = 1 << 20, LONG_MESSAGES = 150 };

static size_t slow_length(uint64_t *state)
{
    return SLOW_LEAST + (size_t)(scene_random(state) % (SLOW_MOST - SLOW_LEAST + 1));
}

static size_t long_length(uint64_t *state)
{
    return (size_t)(scene_random(state) % (LONG_MOST + 1));
}

struct writer {
    nng_socket socket;
    unsigned count;
    size_t (*length)(uint64_t *state);
};

static void *write_all(void *arg)
{
    const struct writer *writer = arg;
    uint64_t lengths = 77;
    for (unsigned i = 0; i < writer->count; i++) {
        send_message(writer->socket, writer->length(&lengths), i);
    }
    return NULL;
}

static void slow_reader(nng_tls_version version)
{
    struct wire wire;
    assert_int_equal(nng_pair0_open(&wire.server), 0);
    assert_int_equal(nng_pair0_open(&wire.client), 0);
    open_wire(&wire, version);
    settle(&wire);
    struct writer writer = {wire.client, scene_times(3000), slow_length};
    pthread_t thread;
    uint64_t lengths = 77;
    unsigned expected = records(&wire, 0);
    assert_int_equal(pthread_create(&thread, NULL, write_all, &writer), 0);
    for (unsigned i = 0; i < writer.count; i++) {
        size_t length = slow_length(&lengths);
        if (i % 300 == 0) {
            scene_sleep(100);
        }
        expect_message(wire.server, length, i);
        expected += records_of(length);
    }
    pthread_join(thread, NULL);
    assert_int_equal(records(&wire, 0), expected);
    close_wire(&wire);
}

static void test_slow_reader_with_tls_1_2(void **state)
{
    (void)state;
    slow_reader(NNG_TLS_1_2);
}

static void test_slow_reader_with_tls_1_3(void **state)
{
    (void)state;
    slow_reader(NNG_TLS_1_3);
}

/* --- Long messages: the connection is full in both directions --- */

static void *read_all(void *arg)
{
    const struct writer *reader = arg;
    uint64_t lengths = 77;
    for (unsigned i = 0; i < reader->count; i++) {
        expect_message(reader->socket, reader->length(&lengths), i);
    }
    return NULL;
}

static void test_long_messages_both_ways(void **state)
{
    (void)state;
    struct wire wire;
    pthread_t threads[4];
    assert_int_equal(nng_pair0_open(&wire.server), 0);
    assert_int_equal(nng_pair0_open(&wire.client), 0);
    open_wire(&wire, NNG_TLS_1_3);
    settle(&wire);
    struct writer sides[2] = {{wire.server, scene_times(LONG_MESSAGES), long_length},
                              {wire.client, scene_times(LONG_MESSAGES), long_length}};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < 2 ? write_all : read_all, &sides[i % 2]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    close_wire(&wire);
}

/* One operation of NNG's on the stream itself: how much of it was sent. */
static size_t send_piece(nng_stream *stream, nng_aio *aio, const void *bytes, size_t length)
{
    nng_iov piece = {.iov_buf = (void *)(uintptr_t)bytes, .iov_len = length};
    assert_int_equal(nng_aio_set_iov(aio, 1, &piece), 0);
    nng_stream_send(stream, aio);
    nng_aio_wait(aio);
    assert_int_equal(nng_aio_result(aio), 0);
    return nng_aio_count(aio);
}

/* A piece is sent as a whole: for the rest NNG would have to come with an operation of its own,
 * which it forgets, and the message with it, when the connection is closed just then. */
static void test_a_piece_is_one_operation(void **state)
{
    (void)state;
    enum { MESSAGE = 1000000 };
    static const uint8_t greeting[] = {0, 'S', 'P', 0, 0, 0x10, 0, 0};
    const uint8_t length[] = {
        0, 0, 0, 0, 0, MESSAGE >> 16, (uint8_t)(MESSAGE >> 8), (uint8_t)MESSAGE};
    static uint8_t body[MESSAGE];
    struct scene_domain scene;
    nng_socket server;
    nng_stream_dialer *dialer;
    nng_aio *aio;
    char url[80];
    scene_domain_open(&scene);
    assert_int_equal(nng_pair0_open(&server), 0);
    scene_limits(server);
    snprintf(url, sizeof url, SCENE_TCP, scene_listen(&scene, server, SCENE_TCP));
    nng_tls_config *config = scene_client_config("client", "localhost");
    assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), 0);
    assert_int_equal(nng_stream_dialer_alloc(&dialer, url), 0);
    assert_int_equal(nng_stream_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config), 0);
    nng_stream_dialer_dial(dialer, aio);
    nng_aio_wait(aio);
    assert_int_equal(nng_aio_result(aio), 0);
    nng_stream *stream = nng_aio_get_output(aio, 0);

    (void)scene_pattern(body, MESSAGE, 9, false);
    assert_int_equal(send_piece(stream, aio, greeting, sizeof greeting), sizeof greeting);
    assert_int_equal(send_piece(stream, aio, length, sizeof length), sizeof length);
    assert_int_equal(send_piece(stream, aio, body, MESSAGE), MESSAGE);
    expect_message(server, MESSAGE, 9);

    nng_stream_free(stream);
    nng_stream_dialer_free(dialer);
    nng_tls_config_free(config);
    nng_aio_free(aio);
    scene_domain_drain(&scene);
    nng_close(server);
    scene_domain_close(&scene);
}

/* --- Many threads on a few connections, both ways at once --- */

enum { THREADS = 32, CONNECTIONS = 6, ECHOES = 8, REQUESTS = 20, LARGEST = 1000000 };

static void *echo_all(void *arg)
{
    nng_socket *socket = arg;
    nng_ctx context;
    nng_msg *message;
    assert_int_equal(nng_ctx_open(&context, *socket), 0);
    while (nng_ctx_recvmsg(context, &message, 0) == 0) {
        if (nng_ctx_sendmsg(context, message, 0) != 0) {
            nng_msg_free(message);
        }
    }
    return NULL;
}

struct asker {
    nng_socket socket;
    uint64_t seed;
    unsigned wrong;
};

/* Small ones are as frequent as large ones. */
static void *ask_all(void *arg)
{
    struct asker *asker = arg;
    uint64_t state = asker->seed;
    nng_ctx context;
    assert_int_equal(nng_ctx_open(&context, asker->socket), 0);
    for (unsigned i = scene_times(REQUESTS); i > 0; i--) {
        uint64_t most = UINT64_C(1) << scene_random(&state) % 21;
        size_t length = (size_t)(scene_random(&state) % (most < LARGEST ? most : LARGEST));
        uint64_t seed = scene_random(&state);
        nng_msg *message = scene_message(length, seed);
        if (nng_ctx_sendmsg(context, message, 0) != 0) {
            nng_msg_free(message);
            asker->wrong++;
        } else if (nng_ctx_recvmsg(context, &message, 0) != 0) {
            asker->wrong++;
        } else {
            asker->wrong += !scene_is_message(message, length, seed);
            nng_msg_free(message);
        }
    }
    nng_ctx_close(context);
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    struct scene_domain scene;
    nng_socket server;
    nng_socket clients[CONNECTIONS];
    pthread_t echoes[ECHOES];
    pthread_t threads[THREADS];
    struct asker askers[THREADS];
    scene_domain_open(&scene);
    assert_int_equal(nng_rep0_open(&server), 0);
    assert_int_equal(nng_socket_set_size(server, NNG_OPT_RECVMAXSZ, SCENE_RECEIVE_BYTES), 0);
    int port = scene_listen(&scene, server, SCENE_TCP);
    for (int i = 0; i < ECHOES; i++) {
        assert_int_equal(pthread_create(&echoes[i], NULL, echo_all, &server), 0);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(nng_req0_open(&clients[i]), 0);
        scene_limits(clients[i]);
        assert_int_equal(
            nng_socket_set_ms(clients[i], NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), 0);
        scene_connect(clients[i], port);
    }
    for (int i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){clients[i % CONNECTIONS], (uint64_t)i + 1, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_all, &askers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(askers[i].wrong, 0);
    }
    assert_int_equal(atomic_load(&scene.finished), CONNECTIONS);
    for (int i = 0; i < CONNECTIONS; i++) {
        nng_close(clients[i]);
    }
    nng_close(server);
    for (int i = 0; i < ECHOES; i++) {
        pthread_join(echoes[i], NULL);
    }
    scene_domain_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_with_tls_1_2),
        cmocka_unit_test(test_requests_with_tls_1_3),
        cmocka_unit_test(test_boundaries_with_tls_1_2),
        cmocka_unit_test(test_boundaries_with_tls_1_3),
        cmocka_unit_test(test_greetings_have_a_record_each),
        cmocka_unit_test(test_published_messages),
        cmocka_unit_test(test_slow_reader_with_tls_1_2),
        cmocka_unit_test(test_slow_reader_with_tls_1_3),
        cmocka_unit_test(test_long_messages_both_ways),
        cmocka_unit_test(test_a_piece_is_one_operation),
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests(tests, scene_set_up, scene_tear_down);
}
