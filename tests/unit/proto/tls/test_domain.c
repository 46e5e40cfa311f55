/* A server's domain: whom it never lets begin, and whom it ends, because nobody else would. */
#include <dirent.h>
#include <errno.h>

#include "tests/unit/proto/tls/tls_raw.h"
#include "tests/unit/proto/tls/tls_scene.h"

enum { PATIENCE_MS = 300 };

/* A REP socket that takes requests and does not answer, and whoever was refused by it. */
struct site {
    struct tls_domain *domain;
    nng_socket socket;
    int port;
    atomic_uint arrived;
    atomic_uint left;
    atomic_uint refused[TLS_REFUSAL_COUNT];
    atomic_uint added;
    atomic_uint removed;
    atomic_uint closed_door; /* refuses whoever arrives */
    atomic_bool stopping;    /* those who sweep all the time */
};

static enum tls_refusal arrive(void *context, const struct sockaddr *peer)
{
    struct site *site = context;
    (void)peer;
    if (atomic_load(&site->closed_door) != 0) {
        return TLS_REFUSED_ADDRESS_FULL;
    }
    atomic_fetch_add(&site->arrived, 1);
    return TLS_ACCEPTED;
}

static void leave(void *context, const struct sockaddr *peer, bool finished)
{
    struct site *site = context;
    (void)peer;
    (void)finished;
    atomic_fetch_add(&site->left, 1);
}

static void refused(void *context, const struct sockaddr *peer, enum tls_refusal refusal,
                    const char *detail)
{
    struct site *site = context;
    (void)peer;
    (void)detail;
    atomic_fetch_add(&site->refused[refusal], 1);
}

static void note_pipe(nng_pipe pipe, nng_pipe_ev event, void *context)
{
    struct site *site = context;
    (void)pipe;
    atomic_fetch_add(event == NNG_PIPE_EV_ADD_POST ? &site->added : &site->removed, 1);
}

static void open_site(struct site *site, uint32_t handshake_ms)
{
    const struct tls_domain_options options = {
        .hooks = {.context = site, .arrive = arrive, .leave = leave, .refused = refused},
        .trust_domain = SCENE_TRUST,
        .handshake_ms = handshake_ms,
    };
    memset(site, 0, sizeof *site);
    struct scene_domain scene = {.domain = tls_domain_new(&options)};
    assert_non_null(scene.domain);
    site->domain = scene.domain;
    struct tls_credentials *credentials = scene_credentials("server", NULL);
    tls_domain_put(site->domain, credentials);
    tls_credentials_release(credentials);
    assert_int_equal(nng_rep0_open(&site->socket), 0);
    scene_limits(site->socket);
    assert_int_equal(nng_pipe_notify(site->socket, NNG_PIPE_EV_ADD_POST, note_pipe, site), 0);
    assert_int_equal(nng_pipe_notify(site->socket, NNG_PIPE_EV_REM_POST, note_pipe, site), 0);
    site->port = scene_listen(&scene, site->socket, SCENE_TCP);
}

static struct tls_domain_status status_of(struct site *site)
{
    struct tls_domain_status status;
    tls_domain_status(site->domain, &status);
    return status;
}

/* Sweeps as a server does, until there are so many connections. */
static void await_connections(struct site *site, uint32_t count)
{
    uint64_t begun = scene_now_ms();
    while (status_of(site).connections != count) {
        if (scene_now_ms() - begun > SCENE_WAIT_MS) {
            fail_msg("%u connections, not %u", status_of(site).connections, count);
        }
        tls_domain_sweep(site->domain);
        scene_sleep(5);
    }
}

static void await_at_least(atomic_uint *what, unsigned count)
{
    uint64_t begun = scene_now_ms();
    while (atomic_load(what) < count) {
        if (scene_now_ms() - begun > SCENE_WAIT_MS) {
            fail_msg("%u, not %u", atomic_load(what), count);
        }
        scene_sleep(2);
    }
}

static void close_site(struct site *site)
{
    assert_int_equal(nng_close(site->socket), 0);
    await_connections(site, 0);
    assert_int_equal(status_of(site).unfinished, 0);
    assert_int_equal(atomic_load(&site->arrived), atomic_load(&site->left));
    tls_domain_free(site->domain);
}

static size_t count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    assert_int_equal(closedir(folder), 0);
    return count;
}

static void await_descriptors(size_t count)
{
    uint64_t begun = scene_now_ms();
    while (count_descriptors() > count) {
        if (scene_now_ms() - begun > SCENE_WAIT_MS) {
            fail_msg("%zu descriptors, not %zu", count_descriptors(), count);
        }
        scene_sleep(5);
    }
}

/* Closes with a reset instead of an end. */
static void reset(int fd)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
}

static const struct raw_options good = {.certificate = "client", .server_name = "localhost"};

static void open_client(struct raw *raw, const struct site *site)
{
    raw_open(raw, raw_connect_tcp(site->port), MBEDTLS_SSL_IS_CLIENT, &good);
}

/* ---- Tests ---- */

/* Nothing, a few bytes that could become TLS, and a good client that does not greet: each has its
 * time, and is told of once; who has greeted may be silent for as long as it likes. */
static void cuts_who_does_not_finish(void **state)
{
    struct site site;
    struct raw mute;
    struct raw client;
    char byte;
    (void)state;
    open_site(&site, PATIENCE_MS);
    open_client(&client, &site);
    assert_int_equal(raw_handshake(&client), 0);
    assert_int_equal(raw_greet(&client, RAW_REQ, RAW_REP), 0);

    int silent = raw_connect_tcp(site.port);
    int half = raw_connect_tcp(site.port);
    assert_int_equal(write(half, "\x16\x03\x01\x02", 4), 4);
    open_client(&mute, &site);
    assert_int_equal(raw_handshake(&mute), 0);
    await_at_least(&site.arrived, 4);
    await_connections(&site, 1);
    assert_int_equal(atomic_load(&site.refused[TLS_REFUSED_TIMEOUT]), 3);
    assert_int_equal(read(silent, &byte, 1), 0);
    assert_int_equal(read(half, &byte, 1), 0);

    scene_sleep(2 * PATIENCE_MS);
    tls_domain_sweep(site.domain);
    assert_int_equal(status_of(&site).connections, 1);
    assert_int_equal(atomic_load(&site.refused[TLS_REFUSED_TIMEOUT]), 3);
    close(silent);
    close(half);
    raw_drop(&mute);
    raw_drop(&client);
    close_site(&site);
}

/* One byte each while now and then does not help. */
static void cuts_who_drips(void **state)
{
    static const uint8_t head[5] = {0x16, 3, 1, 2, 0}; /* of a record of 512 bytes */
    struct site site;
    (void)state;
    open_site(&site, PATIENCE_MS);
    int fd = raw_connect_tcp(site.port);
    uint64_t begun = scene_now_ms();
    ssize_t n = 1;
    for (size_t i = 0; n == 1 && scene_now_ms() - begun < SCENE_WAIT_MS; i++) {
        n = send(fd, &head[i < sizeof head ? i : 4], 1, MSG_NOSIGNAL);
        tls_domain_sweep(site.domain);
        scene_sleep(20);
    }
    assert_int_equal(n, -1);
    assert_int_equal(atomic_load(&site.refused[TLS_REFUSED_TIMEOUT]), 1);
    close(fd);
    close_site(&site);
}

/* Not even the beginning of TLS: what comes is an end. */
static void refuses_before_the_first_byte(void **state)
{
    enum { COUNT = 20 };
    struct site site;
    struct raw client;
    char byte;
    (void)state;
    open_site(&site, PATIENCE_MS);
    atomic_store(&site.closed_door, 1);
    for (int i = 0; i < COUNT; i++) {
        int fd = raw_connect_tcp(site.port);
        ssize_t n = read(fd, &byte, 1);
        assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
        close(fd);
    }
    await_at_least(&site.refused[TLS_REFUSED_ADDRESS_FULL], COUNT);
    assert_int_equal(atomic_load(&site.refused[TLS_REFUSED_ADDRESS_FULL]), COUNT);
    assert_int_equal(status_of(&site).connections, 0);

    atomic_store(&site.closed_door, 0);
    open_client(&client, &site);
    assert_int_equal(raw_handshake(&client), 0);
    assert_int_equal(raw_greet(&client, RAW_REQ, RAW_REP), 0);
    await_at_least(&site.added, 1);
    raw_close(&client);
    await_connections(&site, 0);
    close_site(&site);
}

/* NNG forgets an error that arrives while it neither sends nor receives: pipe and descriptor would
 * stay for ever. */
static void ends_who_resets_before_the_greeting(void **state)
{
    const unsigned count = scene_times(40);
    struct site site;
    (void)state;
    open_site(&site, 60000); /* not by their slowness */
    struct raw first;
    open_client(&first, &site);
    assert_int_equal(raw_handshake(&first), 0);
    assert_int_equal(raw_greet(&first, RAW_REQ, RAW_REP), 0);
    size_t before = count_descriptors();
    for (unsigned i = 0; i < count; i++) {
        struct raw client;
        open_client(&client, &site);
        assert_int_equal(raw_handshake(&client), 0);
        reset(client.net.fd);
        raw_drop(&client);
    }
    await_at_least(&site.arrived, count + 1);
    await_connections(&site, 1);
    await_descriptors(before);
    raw_drop(&first);
    close_site(&site);
}

/* A pipe receives nothing while a request of it waits for somebody to take it, and so does not
 * notice its end. It is gone once that request has been taken. */
static void ends_who_dies_while_its_request_waits(void **state)
{
    const unsigned count = scene_times(10);
    const uint8_t request[8] = {0x80, 0, 0, 1};
    struct site site;
    (void)state;
    open_site(&site, 60000);
    size_t before = count_descriptors();
    for (unsigned i = 0; i < count; i++) {
        struct raw client;
        open_client(&client, &site);
        assert_int_equal(raw_handshake(&client), 0);
        assert_int_equal(raw_greet(&client, RAW_REQ, RAW_REP), 0);
        assert_int_equal(raw_send(&client, request, sizeof request), 0);
        assert_int_equal(raw_send(&client, request, sizeof request), 0);
        await_at_least(&site.added, i + 1);
        reset(client.net.fd);
        raw_drop(&client);
    }
    for (unsigned i = 0; i < count; i++) {
        nng_msg *message;
        tls_domain_sweep(site.domain);
        if (nng_recvmsg(site.socket, &message, NNG_FLAG_NONBLOCK) == 0) {
            nng_msg_free(message);
        }
    }
    await_connections(&site, 0);
    await_at_least(&site.removed, count);
    await_descriptors(before);
    close_site(&site);
}

/* The peer's end in mid-handshake is told as what it is. */
static void tells_of_who_goes_away(void **state)
{
    enum { COUNT = 10 };
    struct site site;
    (void)state;
    open_site(&site, 60000);
    for (int i = 0; i < COUNT; i++) {
        close(raw_connect_tcp(site.port));
    }
    await_at_least(&site.refused[TLS_REFUSED_DISCONNECTED], COUNT);
    await_connections(&site, 0);
    assert_int_equal(atomic_load(&site.refused[TLS_REFUSED_DISCONNECTED]), COUNT);
    close_site(&site);
}

static void *sweep_all_the_time(void *arg)
{
    struct site *site = arg;
    while (!atomic_load(&site->stopping)) {
        tls_domain_sweep(site->domain);
    }
    return NULL;
}

/* Who comes while a sweep waits for its turn is younger than that sweep, and not older than all. */
static void spares_who_comes_during_a_sweep(void **state)
{
    enum { SWEEPERS = 6, AT_ONCE = 20 };
    const unsigned count = scene_times(1000);
    int sockets[AT_ONCE];
    pthread_t threads[SWEEPERS];
    struct site site;
    (void)state;
    open_site(&site, 60000);
    for (int i = 0; i < SWEEPERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, sweep_all_the_time, &site), 0);
    }
    for (unsigned i = 0; i < count + AT_ONCE; i++) {
        if (i >= AT_ONCE) {
            await_at_least(&site.arrived, i + 1 - AT_ONCE);
            reset(sockets[i % AT_ONCE]);
            close(sockets[i % AT_ONCE]);
        }
        if (i < count) {
            sockets[i % AT_ONCE] = raw_connect_tcp(site.port);
        }
    }
    await_connections(&site, 0);
    atomic_store(&site.stopping, true);
    for (int i = 0; i < SWEEPERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&site.refused[TLS_REFUSED_TIMEOUT]), 0);
    close_site(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_who_does_not_finish),
        cmocka_unit_test(cuts_who_drips),
        cmocka_unit_test(refuses_before_the_first_byte),
        cmocka_unit_test(ends_who_resets_before_the_greeting),
        cmocka_unit_test(ends_who_dies_while_its_request_waits),
        cmocka_unit_test(tells_of_who_goes_away),
        cmocka_unit_test(spares_who_comes_during_a_sweep),
    };
    return cmocka_run_group_tests(tests, scene_set_up, scene_tear_down);
}
