/* What our engine speaks, against bare mbedTLS that is told to speak one thing only: each version,
 * cipher suite and group on either side; what is refused, and as what; whose server it believes. */
#include <errno.h>

#include "tests/unit/proto/tls/tls_raw.h"
#include "tests/unit/proto/tls/tls_scene.h"

static const struct {
    int id; /* mbedTLS's */
    unsigned version;
    const char *name;
} suites[TLS_SUITE_COUNT] = {
    {MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, 13, "TLS_CHACHA20_POLY1305_SHA256"},
    {MBEDTLS_TLS1_3_AES_256_GCM_SHA384, 13, "TLS_AES_256_GCM_SHA384"},
    {MBEDTLS_TLS1_3_AES_128_GCM_SHA256, 13, "TLS_AES_128_GCM_SHA256"},
    {MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 12,
     "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
    {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, 12,
     "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, 12,
     "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
};

/* What the other side has: P-256 alone; or X25519, with TLS 1.2 beside P-256, which certificates
 * need there (RFC 8422 5.1.1), but before it. The server chooses: ours P-256 where it can. */
static const uint16_t *groups_of(unsigned suite, bool x25519)
{
    static const uint16_t p256[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, 0};
    static const uint16_t both[] = {MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
                                    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, 0};
    static const uint16_t alone[] = {MBEDTLS_SSL_IANA_TLS_GROUP_X25519, 0};
    return !x25519 ? p256 : suites[suite].version == 13 ? alone : both;
}

static mbedtls_ssl_protocol_version version_of(unsigned suite)
{
    return suites[suite].version == 13 ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2;
}

/* --- A server of ours that echoes, and remembers who came --- */

struct echo {
    struct scene_domain scene;
    nng_socket socket;
    int port;
    pthread_t thread;
    atomic_uint pipes;
    struct tls_peer peer; /* of the last pipe; to be read once `pipes` has been seen */
    bool known;
};

static void note_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct echo *echo = arg;
    assert_int_equal(event, NNG_PIPE_EV_ADD_PRE);
    echo->known = tls_peer_of(pipe, &echo->peer);
    atomic_fetch_add(&echo->pipes, 1);
}

static void *run_echo(void *arg)
{
    struct echo *echo = arg;
    nng_msg *message;
    while (nng_recvmsg(echo->socket, &message, 0) == 0) {
        if (nng_sendmsg(echo->socket, message, 0) != 0) {
            nng_msg_free(message);
        }
    }
    return NULL;
}

static void echo_start(struct echo *echo)
{
    memset(echo, 0, sizeof *echo);
    scene_domain_open(&echo->scene);
    assert_int_equal(nng_rep0_open(&echo->socket), 0);
    assert_int_equal(nng_socket_set_size(echo->socket, NNG_OPT_RECVMAXSZ, SCENE_RECEIVE_BYTES), 0);
    assert_int_equal(nng_pipe_notify(echo->socket, NNG_PIPE_EV_ADD_PRE, note_pipe, echo), 0);
    echo->port = scene_listen(&echo->scene, echo->socket, SCENE_TCP);
    assert_int_equal(pthread_create(&echo->thread, NULL, run_echo, echo), 0);
}

static void echo_stop(struct echo *echo)
{
    nng_close(echo->socket);
    pthread_join(echo->thread, NULL);
    scene_domain_close(&echo->scene);
}

static void await_count(atomic_uint *count, unsigned least)
{
    uint64_t begun = scene_now_ms();
    while (atomic_load(count) < least && scene_now_ms() - begun < SCENE_WAIT_MS) {
        scene_sleep(1);
    }
    assert_int_equal(atomic_load(count), least);
}

static void assert_good(int code, const char *what)
{
    char text[128];
    if (code != 0) {
        mbedtls_strerror(code, text, sizeof text);
        fail_msg("%s: -0x%04x %s", what, (unsigned)-code, text);
    }
}

/* A whole visit: handshake, greeting, a request and its answer. */
static void visit(const struct echo *echo, const struct raw_options *options, struct raw *raw,
                  const char *what)
{
    raw_open(raw, raw_connect_tcp(echo->port), MBEDTLS_SSL_IS_CLIENT, options);
    assert_good(raw_handshake(raw), what);
    assert_good(raw_greet(raw, RAW_REQ, RAW_REP), what);
    assert_good(raw_ask(raw, 100), what);
}

static void test_server_speaks_each_suite(void **state)
{
    (void)state;
    struct echo echo;
    echo_start(&echo);
    unsigned pipes = 0;
    for (unsigned s = 0; s < TLS_SUITE_COUNT; s++) {
        for (int x25519 = 0; x25519 < 2; x25519++) {
            const int only[] = {suites[s].id, 0};
            const struct raw_options options = {.suites = only,
                                                .groups = groups_of(s, x25519),
                                                .min_version = version_of(s),
                                                .max_version = version_of(s),
                                                .certificate = "client",
                                                .server_name = "localhost"};
            struct raw raw;
            struct tls_domain_status before;
            struct tls_domain_status after;
            tls_domain_status(echo.scene.domain, &before);
            visit(&echo, &options, &raw, suites[s].name);
            await_count(&echo.pipes, ++pipes);
            assert_true(echo.known);
            assert_string_equal(echo.peer.principal, SCENE_CLIENT);
            assert_string_equal(tls_suite_name(echo.peer.suite), suites[s].name);
            assert_string_equal(tls_suite_version(echo.peer.suite),
                                suites[s].version == 13 ? "1.3" : "1.2");
            tls_domain_status(echo.scene.domain, &after);
            for (unsigned i = 0; i < TLS_SUITE_COUNT; i++) {
                assert_int_equal(after.finished[i] - before.finished[i], i == echo.peer.suite);
            }
            if (suites[s].version == 12) {
                assert_true(raw_exchanged(&raw, MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1));
            }
            raw_close(&raw);
        }
    }
    assert_int_equal(atomic_load(&echo.scene.refused), 0);
    echo_stop(&echo);
}

static void note_client_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    struct echo *echo = arg;
    echo->known = tls_peer_of(pipe, &echo->peer);
    atomic_fetch_add(&echo->pipes, 1);
}

static void test_client_speaks_each_suite(void **state)
{
    (void)state;
    for (unsigned s = 0; s < TLS_SUITE_COUNT; s++) {
        for (int x25519 = 0; x25519 < 2; x25519++) {
            const int only[] = {suites[s].id, 0};
            const struct raw_options options = {.suites = only,
                                                .groups = groups_of(s, x25519),
                                                .min_version = version_of(s),
                                                .max_version = version_of(s),
                                                .certificate = "server"};
            struct raw_server server;
            struct echo seen = {0};
            nng_socket client;
            nng_msg *message = scene_message(300, s);
            raw_server_start(&server, &options);
            assert_int_equal(nng_req0_open(&client), 0);
            scene_limits(client);
            assert_int_equal(nng_pipe_notify(client, NNG_PIPE_EV_ADD_PRE, note_client_pipe, &seen),
                             0);
            scene_connect(client, server.port);
            assert_int_equal(nng_sendmsg(client, message, 0), 0);
            assert_int_equal(nng_recvmsg(client, &message, 0), 0);
            assert_true(scene_is_message(message, 300, s));
            nng_msg_free(message);
            nng_close(client);
            raw_server_join(&server);
            assert_good(server.code, suites[s].name);
            assert_int_equal(server.suite, suites[s].id);
            assert_true(server.x25519 == x25519 || suites[s].version == 13);
            assert_int_equal(server.judged, 2); /* leaf and authority: it has shown a certificate */
            assert_true(seen.known);
            assert_string_equal(tls_suite_name(seen.peer.suite), suites[s].name);
            assert_string_equal(seen.peer.principal, "");
        }
    }
}

/* Whoever leaves it to us gets ChaCha20-Poly1305. */
static void test_preference(void **state)
{
    (void)state;
    static const mbedtls_ssl_protocol_version versions[] = {MBEDTLS_SSL_VERSION_TLS1_2,
                                                            MBEDTLS_SSL_VERSION_TLS1_3};
    struct echo echo;
    echo_start(&echo);
    for (unsigned i = 0; i < 2; i++) {
        const struct raw_options options = {.min_version = versions[i],
                                            .max_version = versions[i],
                                            .certificate = "client",
                                            .server_name = "localhost"};
        struct raw raw;
        visit(&echo, &options, &raw, "a free choice");
        await_count(&echo.pipes, i + 1);
        assert_non_null(strstr(tls_suite_name(echo.peer.suite), "CHACHA20_POLY1305"));
        raw_close(&raw);
    }
    echo_stop(&echo);
}

/* --- What the server refuses --- */

static void expect_refusal(struct echo *echo, const struct raw_options *options, const char *what,
                           enum tls_refusal refusal)
{
    struct raw raw;
    unsigned refused = atomic_load(&echo->scene.refused);
    raw_open(&raw, raw_connect_tcp(echo->port), MBEDTLS_SSL_IS_CLIENT, options);
    int code = raw_handshake(&raw);
    if (code == 0) { /* with TLS 1.3 a client learns of it when it reads */
        code = raw_greet(&raw, RAW_REQ, RAW_REP);
    }
    if (code == 0) {
        fail_msg("%s was let in", what);
    }
    await_count(&echo->scene.refused, refused + 1);
    if (atomic_load(&echo->scene.refusal) != (int)refusal) {
        fail_msg("%s was refused as: %s (%s)", what,
                 tls_refusal_text((enum tls_refusal)atomic_load(&echo->scene.refusal)),
                 echo->scene.detail);
    }
    raw_close(&raw);
}

static void test_foreign_suites_are_refused(void **state)
{
    (void)state;
    static const struct {
        int id;
        const char *name;
    } foreign[] = {
        {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "CBC"},
        {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "CBC with SHA-1"},
        {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CCM, "CCM"},
        {MBEDTLS_TLS_ECDHE_ECDSA_WITH_CAMELLIA_128_GCM_SHA256, "Camellia"},
        {MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE with RSA"},
        {MBEDTLS_TLS_RSA_WITH_AES_128_GCM_SHA256, "RSA key exchange"},
        {MBEDTLS_TLS_RSA_WITH_AES_128_CBC_SHA, "RSA key exchange with CBC"},
    };
    struct echo echo;
    echo_start(&echo);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        const int only[] = {foreign[i].id, 0};
        const struct raw_options options = {.suites = only,
                                            .min_version = MBEDTLS_SSL_VERSION_TLS1_2,
                                            .max_version = MBEDTLS_SSL_VERSION_TLS1_2,
                                            .certificate = "client",
                                            .server_name = "localhost"};
        expect_refusal(&echo, &options, foreign[i].name, TLS_REFUSED_NOT_COMMON);
    }
    const int ccm[] = {MBEDTLS_TLS1_3_AES_128_CCM_SHA256, 0};
    const struct raw_options options = {.suites = ccm,
                                        .min_version = MBEDTLS_SSL_VERSION_TLS1_3,
                                        .max_version = MBEDTLS_SSL_VERSION_TLS1_3,
                                        .certificate = "client",
                                        .server_name = "localhost"};
    expect_refusal(&echo, &options, "CCM with TLS 1.3", TLS_REFUSED_NOT_COMMON);
    echo_stop(&echo);
}

static void test_foreign_groups_are_refused(void **state)
{
    (void)state;
    static const uint16_t foreign[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
                                       MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1,
                                       MBEDTLS_SSL_IANA_TLS_GROUP_X448};
    struct echo echo;
    echo_start(&echo);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        const uint16_t group[] = {foreign[i], MBEDTLS_SSL_IANA_TLS_GROUP_NONE};
        struct raw_options options = {.groups = group,
                                      .min_version = MBEDTLS_SSL_VERSION_TLS1_3,
                                      .max_version = MBEDTLS_SSL_VERSION_TLS1_3,
                                      .certificate = "client",
                                      .server_name = "localhost"};
        expect_refusal(&echo, &options, "a foreign group with TLS 1.3", TLS_REFUSED_NOT_COMMON);
        options.min_version = options.max_version = MBEDTLS_SSL_VERSION_TLS1_2;
        expect_refusal(&echo, &options, "a foreign group with TLS 1.2", TLS_REFUSED_NOT_COMMON);
    }
    echo_stop(&echo);
}

static void test_clients_without_a_certificate_are_refused(void **state)
{
    (void)state;
    struct echo echo;
    echo_start(&echo);
    struct raw_options options = {.server_name = "localhost",
                                  .min_version = MBEDTLS_SSL_VERSION_TLS1_3,
                                  .max_version = MBEDTLS_SSL_VERSION_TLS1_3};
    expect_refusal(&echo, &options, "none with TLS 1.3", TLS_REFUSED_NO_CERTIFICATE);
    options.min_version = options.max_version = MBEDTLS_SSL_VERSION_TLS1_2;
    expect_refusal(&echo, &options, "none with TLS 1.2", TLS_REFUSED_NO_CERTIFICATE);
    assert_int_equal(atomic_load(&echo.pipes), 0);
    echo_stop(&echo);
}

/* A client that does not believe the server says so. */
static void test_clients_that_refuse_us_are_told(void **state)
{
    (void)state;
    struct echo echo;
    echo_start(&echo);
    struct raw_options options = {.certificate = "client",
                                  .server_name = "another.example",
                                  .min_version = MBEDTLS_SSL_VERSION_TLS1_3,
                                  .max_version = MBEDTLS_SSL_VERSION_TLS1_3};
    expect_refusal(&echo, &options, "with TLS 1.3", TLS_REFUSED_PEER_REFUSES);
    options.min_version = options.max_version = MBEDTLS_SSL_VERSION_TLS1_2;
    expect_refusal(&echo, &options, "with TLS 1.2", TLS_REFUSED_PEER_REFUSES);
    echo_stop(&echo);
}

/* --- Greetings of old times, by hand --- */

struct hello {
    uint8_t record_minor;
    uint8_t minor; /* 0: SSL 3, 1: TLS 1.0, 2: TLS 1.1, 3: TLS 1.2 */
    uint8_t compressions[4];
    uint8_t compression_count;
    uint16_t suite;
    bool extended; /* with supported_groups, signature_algorithms and the like */
};

static size_t put(uint8_t *to, const uint8_t *bytes, size_t length)
{
    memcpy(to, bytes, length);
    return length;
}

/* A ClientHello with nothing that old versions did not have, unless extended. */
static size_t write_hello(const struct hello *hello, uint8_t *to)
{
    static const uint8_t extensions[] = {
        0, 26,                      /* of all */
        0, 10, 0, 4, 0, 2, 0, 0x17, /* supported_groups: P-256 */
        0, 11, 0, 2, 1, 0,          /* ec_point_formats: uncompressed */
        0, 13, 0, 4, 0, 2, 4, 3,    /* signature_algorithms: ECDSA with SHA-256 */
        0, 23, 0, 0,                /* extended_master_secret */
    };
    uint8_t body[256];
    size_t n = 0;
    n += put(body + n, (uint8_t[]){3, hello->minor}, 2);
    memset(body + n, 7, 32); /* its random */
    n += 32;
    body[n++] = 0; /* no session */
    n += put(body + n, (uint8_t[]){0, 2, (uint8_t)(hello->suite >> 8), (uint8_t)hello->suite}, 4);
    body[n++] = hello->compression_count;
    n += put(body + n, hello->compressions, hello->compression_count);
    if (hello->extended) {
        n += put(body + n, extensions, sizeof extensions);
    }
    size_t length = 0;
    length += put(to, (uint8_t[]){22, 3, hello->record_minor, 0, (uint8_t)(n + 4)}, 5);
    length += put(to + length, (uint8_t[]){1, 0, 0, (uint8_t)n}, 4);
    return length + put(to + length, body, n);
}

/* The first bytes of what the server says; 0: it has closed without a word. */
static size_t answer_to(const struct echo *echo, const uint8_t *bytes, size_t length, uint8_t *to,
                        size_t size)
{
    int fd = raw_connect_tcp(echo->port);
    assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), length);
    ssize_t got = recv(fd, to, size, MSG_WAITALL);
    assert_true(got >= 0 || errno == ECONNRESET);
    close(fd);
    return got > 0 ? (size_t)got : 0;
}

static void expect_hello_refused(struct echo *echo, const struct hello *hello,
                                 enum tls_refusal refusal, const char *what)
{
    uint8_t bytes[300];
    uint8_t answer[7] = {0};
    unsigned refused = atomic_load(&echo->scene.refused);
    size_t got = answer_to(echo, bytes, write_hello(hello, bytes), answer, sizeof answer);
    if (got > 0 && answer[0] != 21) {
        fail_msg("%s was answered with a record of type %d", what, answer[0]);
    }
    await_count(&echo->scene.refused, refused + 1);
    if (atomic_load(&echo->scene.refusal) != (int)refusal) {
        fail_msg("%s was refused as: %s (%s)", what,
                 tls_refusal_text((enum tls_refusal)atomic_load(&echo->scene.refusal)),
                 echo->scene.detail);
    }
}

static void test_old_versions_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"SSL 3", "TLS 1.0", "TLS 1.1"};
    struct echo echo;
    echo_start(&echo);
    for (uint8_t minor = 0; minor < 3; minor++) {
        for (int extended = 0; extended < 2; extended++) {
            const struct hello hello = {.record_minor = minor,
                                        .minor = minor,
                                        .compression_count = 1,
                                        .suite = MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
                                        .extended = extended != 0};
            expect_hello_refused(&echo, &hello, TLS_REFUSED_NOT_COMMON, names[minor]);
        }
    }
    echo_stop(&echo);
}

static void test_what_is_no_tls_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                        "\x80\x2e\x01\x03\x00" /* SSL 2's greeting of SSL 3 */
                                        "\x00\x15\x00\x00\x00\x10\x01\x00\x80\x03\x00\x80\x07\x00"
                                        "\xc0\x06\x00\x40\x02\x00\x80\x04\x00\x80\x00\x00\x04"};
    static const size_t lengths[] = {35, 32};
    struct echo echo;
    echo_start(&echo);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t answer[8];
        (void)answer_to(&echo, (const uint8_t *)texts[i], lengths[i], answer, sizeof answer);
        await_count(&echo.scene.refused, i + 1);
        assert_int_equal(atomic_load(&echo.scene.refusal), TLS_REFUSED_PROTOCOL);
    }
    echo_stop(&echo);
}

/* --- What TLS 1.2 could do beside, and does not --- */

/* Who offers DEFLATE gets none, also who offers nothing else (RFC 5246 does not allow that):
 * mbedTLS has no compression and does not read the list. */
static void test_compression_is_off(void **state)
{
    (void)state;
    struct echo echo;
    struct hello hello = {.record_minor = 1,
                          .minor = 3,
                          .compressions = {1, 0},
                          .compression_count = 2,
                          .suite = MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                          .extended = true};
    echo_start(&echo);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t bytes[300];
        uint8_t answer[5 + 4 + 2 + 32 + 1 + 32 + 2 + 1] = {0};
        hello.compression_count = (uint8_t)(2 - i);
        size_t got = answer_to(&echo, bytes, write_hello(&hello, bytes), answer, sizeof answer);
        assert_int_equal(got, sizeof answer);
        assert_int_equal(answer[0], 22); /* a ServerHello, */
        assert_int_equal(answer[5], 2);
        assert_in_range(answer[43], 0, 32);               /* perhaps with a session's name, */
        assert_int_equal(answer[44 + answer[43] + 2], 0); /* after the suite: no compression */
        await_count(&echo.scene.refused, i + 1);
        assert_int_equal(atomic_load(&echo.scene.refusal), TLS_REFUSED_DISCONNECTED);
    }
    echo_stop(&echo);
}

static void test_renegotiation_is_off(void **state)
{
    (void)state;
    struct echo echo;
    struct raw raw;
    const struct raw_options options = {.min_version = MBEDTLS_SSL_VERSION_TLS1_2,
                                        .max_version = MBEDTLS_SSL_VERSION_TLS1_2,
                                        .certificate = "client",
                                        .server_name = "localhost",
                                        .renegotiates = true};
    echo_start(&echo);
    visit(&echo, &options, &raw, "a first handshake");
    unsigned judged = raw.judged;
    assert_int_not_equal(mbedtls_ssl_renegotiate(&raw.ssl), 0);
    assert_int_equal(raw.judged, judged); /* the server has not shown its certificate again */
    assert_int_equal(atomic_load(&echo.scene.finished), 1);
    raw_close(&raw);
    /* The connection was its alone: others go on. */
    visit(&echo, &options, &raw, "another client");
    raw_close(&raw);
    echo_stop(&echo);
}

/* mbedTLS's own, which its headers do not tell of. */
int mbedtls_ssl_write_record(mbedtls_ssl_context *ssl, int force_flush);

/* A record full of hellos of 4 bytes. mbedTLS refuses each with an alert of 23 or 31. */
static int ask_anew(struct raw *raw)
{
    enum { HELLO = 4, HELLOS = 4000 };
    static const uint8_t hello[HELLO] = {MBEDTLS_SSL_HS_CLIENT_HELLO};
    for (size_t i = 0; i < HELLOS; i++) {
        memcpy(raw->ssl.MBEDTLS_PRIVATE(out_msg) + i * HELLO, hello, HELLO);
    }
    raw->ssl.MBEDTLS_PRIVATE(out_msgtype) = MBEDTLS_SSL_MSG_HANDSHAKE;
    raw->ssl.MBEDTLS_PRIVATE(out_msglen) = (size_t)HELLOS * HELLO;
    return mbedtls_ssl_write_record(&raw->ssl, 1);
}

/* Who asks for it all the time and does not read the answers is cut: they would fill our memory. */
static void test_endless_renegotiation_is_cut(void **state)
{
    (void)state;
    enum { RECORDS_MOST = 1000 };
    struct echo echo;
    struct raw raw;
    const struct raw_options options = {.min_version = MBEDTLS_SSL_VERSION_TLS1_2,
                                        .max_version = MBEDTLS_SSL_VERSION_TLS1_2,
                                        .certificate = "client",
                                        .server_name = "localhost"};
    echo_start(&echo);
    visit(&echo, &options, &raw, "a first handshake");
    unsigned sent = 0;
    while (sent < RECORDS_MOST && ask_anew(&raw) == 0) {
        sent++;
    }
    assert_in_range(sent, 1, RECORDS_MOST - 1);
    raw_drop(&raw);
    visit(&echo, &options, &raw, "another client");
    raw_close(&raw);
    echo_stop(&echo);
}

/* No tickets, and no session that the server remembers: each handshake is a whole one. */
static void tickets_and_sessions(mbedtls_ssl_protocol_version version)
{
    struct echo echo;
    struct raw raw;
    mbedtls_ssl_session session;
    const struct raw_options options = {.min_version = version,
                                        .max_version = version,
                                        .certificate = "client",
                                        .server_name = "localhost",
                                        .has_ticket = true};
    echo_start(&echo);
    visit(&echo, &options, &raw,
          "a first handshake"); /* a ticket would have been told as an error */
    mbedtls_ssl_session_init(&session);
    int code = mbedtls_ssl_get_session(&raw.ssl, &session);
    assert_int_equal(session.MBEDTLS_PRIVATE(ticket_len), 0);
    raw_close(&raw);
    if (code == 0) { /* TLS 1.3 has nothing to resume without a ticket */
        raw_open(&raw, raw_connect_tcp(echo.port), MBEDTLS_SSL_IS_CLIENT, &options);
        assert_int_equal(mbedtls_ssl_set_session(&raw.ssl, &session), 0);
        assert_good(raw_handshake(&raw), "resumption");
        assert_int_equal(raw.judged, 2);
        assert_good(raw_greet(&raw, RAW_REQ, RAW_REP), "resumption");
        assert_good(raw_ask(&raw, 10), "resumption");
        raw_close(&raw);
    }
    assert_true(code == 0 || version == MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_session_free(&session);
    echo_stop(&echo);
}

static void test_no_tickets_with_tls_1_2(void **state)
{
    (void)state;
    tickets_and_sessions(MBEDTLS_SSL_VERSION_TLS1_2);
}

static void test_no_tickets_with_tls_1_3(void **state)
{
    (void)state;
    tickets_and_sessions(MBEDTLS_SSL_VERSION_TLS1_3);
}

/* Who asks for small records gets them, and whole messages still. */
static void test_small_fragments(void **state)
{
    (void)state;
    struct echo echo;
    struct raw raw;
    const struct raw_options options = {.min_version = MBEDTLS_SSL_VERSION_TLS1_2,
                                        .max_version = MBEDTLS_SSL_VERSION_TLS1_2,
                                        .certificate = "client",
                                        .server_name = "localhost",
                                        .fragment = MBEDTLS_SSL_MAX_FRAG_LEN_512};
    static const size_t lengths[] = {4, 500, 503, 504, 505, 512, 1016, 1017, 4096};
    echo_start(&echo);
    visit(&echo, &options, &raw, "512 bytes");
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        assert_good(raw_ask(&raw, lengths[i]), "512 bytes");
    }
    raw_close(&raw);
    echo_stop(&echo);
}

/* --- Whose server our client believes --- */

/* NNG's code of the dial; the server's end of it in *server_code. */
static int dial_to(const char *certificate, const char *server_name, int *server_code)
{
    const struct raw_options options = {.certificate = certificate};
    struct raw_server server;
    nng_socket client;
    raw_server_start(&server, &options);
    assert_int_equal(nng_req0_open(&client), 0);
    int code =
        scene_dial(client, scene_client_config("client", server_name), SCENE_TCP, server.port);
    nng_close(client);
    raw_server_join(&server);
    *server_code = server.code;
    return code;
}

static void test_names_of_servers(void **state)
{
    (void)state;
    static const struct {
        const char *certificate;
        const char *asked;
        bool good;
    } cases[] = {
        {"server", "localhost", true},
        {"server", "LOCALHOST", true},
        {"server", "127.0.0.1", true},
        {"server", "another.example", false},
        {"server", "127.0.0.2", false},
        {"server", "server", false}, /* its common name */
        {"server", NULL, false},     /* a client has to know whom it wants */
        {"bare", "bare", false},     /* nothing but a common name */
        {"bare", "localhost", false},
        {"addressed", "127.0.0.1", true},
        {"addressed", "::1", true},
        {"addressed", "[::1]", true},
        {"addressed", "localhost", false},
        {"named", "127.0.0.1", false}, /* a dNSName that looks like an address */
        {"wild", "a.example.com", true},
        {"wild", "a.b.example.com", false},
        {"wild", "example.com", false},
        {"spiffe", "localhost", false}, /* a client's name is no server's */
        {"spiffe", SCENE_CLIENT, false},
        {"foreign", "localhost", false},
    };
    scene_certify("issue", "bare ca serverAuth -");
    scene_certify("issue", "addressed ca serverAuth IP:127.0.0.1,IP:::1");
    scene_certify("issue", "named ca serverAuth DNS:127.0.0.1");
    scene_certify("issue", "wild ca serverAuth 'DNS:*.example.com'");
    scene_certify("issue", "spiffe ca serverAuth URI:" SCENE_CLIENT);
    scene_certify("ca", "other");
    scene_certify("issue", "foreign other serverAuth DNS:localhost");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int server_code = 0;
        int code = dial_to(cases[i].certificate, cases[i].asked, &server_code);
        if (cases[i].good ? code != 0 : code != NNG_EPEERAUTH) {
            fail_msg("%s asked for as %s: %s", cases[i].certificate,
                     cases[i].asked == NULL ? "nothing" : cases[i].asked, nng_strerror(code));
        }
    }
}

/* An RSA server has no suite in common with us, and no group but ours will do. */
static void test_client_refuses_foreign_suites(void **state)
{
    (void)state;
    static const int cbc[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
                              MBEDTLS_TLS_RSA_WITH_AES_128_GCM_SHA256, 0};
    static const uint16_t p384[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
                                    MBEDTLS_SSL_IANA_TLS_GROUP_NONE};
    const struct raw_options both[] = {{.suites = cbc,
                                        .min_version = MBEDTLS_SSL_VERSION_TLS1_2,
                                        .max_version = MBEDTLS_SSL_VERSION_TLS1_2,
                                        .certificate = "server"},
                                       {.groups = p384, .certificate = "server"}};
    for (unsigned i = 0; i < 2; i++) {
        struct raw_server server;
        nng_socket client;
        raw_server_start(&server, &both[i]);
        assert_int_equal(nng_req0_open(&client), 0);
        assert_int_not_equal(
            scene_dial(client, scene_client_config("client", "localhost"), SCENE_TCP, server.port),
            0);
        nng_close(client);
        raw_server_join(&server);
        assert_int_not_equal(server.code, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_speaks_each_suite),
        cmocka_unit_test(test_client_speaks_each_suite),
        cmocka_unit_test(test_preference),
        cmocka_unit_test(test_foreign_suites_are_refused),
        cmocka_unit_test(test_foreign_groups_are_refused),
        cmocka_unit_test(test_clients_without_a_certificate_are_refused),
        cmocka_unit_test(test_clients_that_refuse_us_are_told),
        cmocka_unit_test(test_old_versions_are_refused),
        cmocka_unit_test(test_what_is_no_tls_is_refused),
        cmocka_unit_test(test_compression_is_off),
        cmocka_unit_test(test_renegotiation_is_off),
        cmocka_unit_test(test_endless_renegotiation_is_cut),
        cmocka_unit_test(test_no_tickets_with_tls_1_2),
        cmocka_unit_test(test_no_tickets_with_tls_1_3),
        cmocka_unit_test(test_small_fragments),
        cmocka_unit_test(test_names_of_servers),
        cmocka_unit_test(test_client_refuses_foreign_suites),
    };
    return cmocka_run_group_tests(tests, scene_set_up, scene_tear_down);
}
