/* Credentials are replaced all the time, while clients come and go, talk, and one of them is
 * revoked: nobody who may come is turned away, who is revoked goes within a second, and nothing
 * stays behind. N makes it longer: N=20 is a minute. */
#include "tests/unit/proto/tls/tls_raw.h"
#include "tests/unit/proto/tls/tls_scene.h"

enum { ECHOES = 4, STANDING_MS = 3000, MESSAGE_MOST = 40000 };

struct churn {
    struct scene_domain scene;
    nng_socket server;
    int port;
    atomic_bool stopping;
    atomic_uint puts;
    atomic_uint visits;
    atomic_uint calls;
    atomic_uint wrong;
};

/* --- The server's side --- */

static void *echo(void *arg)
{
    const struct churn *churn = arg;
    nng_ctx context;
    nng_msg *message;
    assert_int_equal(nng_ctx_open(&context, churn->server), 0);
    while (nng_ctx_recvmsg(context, &message, 0) == 0) {
        if (nng_ctx_sendmsg(context, message, 0) != 0) {
            nng_msg_free(message);
        }
    }
    return NULL;
}

static void *reload(void *arg)
{
    static const char *const servers[] = {"server", "renewed"};
    struct churn *churn = arg;
    for (unsigned i = 0; !atomic_load(&churn->stopping); i++) {
        struct tls_credentials *credentials =
            scene_credentials(servers[i % 2], i % 3 == 0 ? "none" : NULL);
        tls_domain_put(churn->scene.domain, credentials);
        tls_credentials_release(credentials);
        atomic_fetch_add(&churn->puts, 1);
        scene_sleep(3);
    }
    return NULL;
}

static void *sweep(void *arg)
{
    struct churn *churn = arg;
    while (!atomic_load(&churn->stopping)) {
        struct tls_domain_status status;
        tls_domain_sweep(churn->scene.domain);
        tls_domain_status(churn->scene.domain, &status);
        scene_sleep(5);
    }
    return NULL;
}

/* --- Clients --- */

/* What went wrong is counted, and told with the time that it took. */
static bool went_well(struct churn *churn, const char *what, int code, uint64_t begun_ms)
{
    if (code != 0) {
        print_error("%s: %s after %llu ms\n", what, nng_strerror(code),
                    (unsigned long long)(scene_now_ms() - begun_ms));
        atomic_fetch_add(&churn->wrong, 1);
    }
    return code == 0;
}

static nng_socket come(struct churn *churn, const char *who)
{
    nng_socket socket;
    uint64_t begun = scene_now_ms();
    assert_int_equal(nng_req0_open(&socket), 0);
    scene_limits(socket);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), 0);
    int code = scene_dial(socket, scene_client_config(who, "localhost"), SCENE_TCP, churn->port);
    (void)went_well(churn, "dial", code, begun);
    return socket;
}

static int call(nng_socket socket, uint64_t *state)
{
    size_t length = (size_t)(scene_random(state) % MESSAGE_MOST);
    uint64_t seed = scene_random(state);
    nng_msg *message = scene_message(length, seed);
    int code = nng_sendmsg(socket, message, 0);
    if (code != 0) {
        nng_msg_free(message);
        return code;
    }
    code = nng_recvmsg(socket, &message, 0);
    if (code == 0) {
        code = scene_is_message(message, length, seed) ? 0 : NNG_EINTERNAL;
        nng_msg_free(message);
    }
    return code;
}

static void *talk(void *arg)
{
    struct churn *churn = arg;
    uint64_t state = (uint64_t)pthread_self() | 1;
    nng_socket socket = come(churn, "client");
    while (!atomic_load(&churn->stopping)) {
        uint64_t begun = scene_now_ms();
        atomic_fetch_add(&churn->calls, went_well(churn, "call", call(socket, &state), begun));
        scene_sleep(1);
    }
    nng_close(socket);
    return NULL;
}

/* One call each, so that the connection is surely up when it goes. */
static void *come_and_go(void *arg)
{
    struct churn *churn = arg;
    uint64_t state = (uint64_t)pthread_self() | 1;
    while (!atomic_load(&churn->stopping)) {
        nng_socket socket = come(churn, "client");
        uint64_t begun = scene_now_ms();
        atomic_fetch_add(&churn->visits,
                         went_well(churn, "first call", call(socket, &state), begun));
        nng_close(socket);
    }
    return NULL;
}

/* Resets the connection after some steps of the handshake, of which the last may be more than it
 * takes. */
static void *run_away(void *arg)
{
    struct churn *churn = arg;
    const struct raw_options options = {.certificate = "client", .server_name = "localhost"};
    const struct linger none = {.l_onoff = 1};
    for (int steps = 0; !atomic_load(&churn->stopping); steps = (steps + 1) % 25) {
        struct raw raw;
        raw_open(&raw, raw_connect_tcp(churn->port), MBEDTLS_SSL_IS_CLIENT, &options);
        for (int i = 0; i < steps && !mbedtls_ssl_is_handshake_over(&raw.ssl); i++) {
            (void)mbedtls_ssl_handshake_step(&raw.ssl);
        }
        (void)setsockopt(raw.net.fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        raw_drop(&raw);
    }
    return NULL;
}

static void start(struct churn *churn)
{
    memset(churn, 0, sizeof *churn);
    scene_domain_open(&churn->scene);
    assert_int_equal(nng_rep0_open(&churn->server), 0);
    assert_int_equal(nng_socket_set_size(churn->server, NNG_OPT_RECVMAXSZ, SCENE_RECEIVE_BYTES), 0);
    churn->port = scene_listen(&churn->scene, churn->server, SCENE_TCP);
}

static void test_reload_under_churn(void **state)
{
    (void)state;
    static void *(*const roles[])(void *) = {reload, sweep, run_away,    talk,        talk,
                                             talk,   talk,  come_and_go, come_and_go, come_and_go};
    enum { ROLES = sizeof roles / sizeof roles[0] };
    struct churn churn;
    pthread_t threads[ROLES];
    pthread_t echoes[ECHOES];
    start(&churn);
    for (int i = 0; i < ECHOES; i++) {
        assert_int_equal(pthread_create(&echoes[i], NULL, echo, &churn), 0);
    }
    for (int i = 0; i < ROLES; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, roles[i], &churn), 0);
    }
    scene_sleep(scene_times(STANDING_MS));
    atomic_store(&churn.stopping, true);
    for (int i = 0; i < ROLES; i++) {
        pthread_join(threads[i], NULL);
    }
    /* Before the socket is closed, since NNG 1.10.1 loses a connection whose negotiation is under
     * way then; and nothing may stay behind as long as a server lives. */
    scene_domain_drain(&churn.scene);
    nng_close(churn.server);
    for (int i = 0; i < ECHOES; i++) {
        pthread_join(echoes[i], NULL);
    }
    print_message("%u generations, %u visits, %u calls beside them\n", atomic_load(&churn.puts),
                  atomic_load(&churn.visits), atomic_load(&churn.calls));
    assert_int_equal(atomic_load(&churn.wrong), 0);
    assert_true(atomic_load(&churn.puts) > 10);
    assert_true(atomic_load(&churn.visits) > 10);
    assert_true(atomic_load(&churn.calls) > 10);
    scene_domain_close(&churn.scene);
}

static atomic_uint gone;

static void count_gone(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)pipe;
    (void)event;
    (void)arg;
    atomic_fetch_add(&gone, 1);
}

/* A put is for new connections, but for those whose certificate it revokes. */
static void test_revoked_ones_go(void **state)
{
    (void)state;
    struct churn churn;
    uint64_t chance = 5;
    pthread_t echoes[ECHOES];
    start(&churn);
    for (int i = 0; i < ECHOES; i++) {
        assert_int_equal(pthread_create(&echoes[i], NULL, echo, &churn), 0);
    }
    nng_socket good = come(&churn, "client");
    nng_socket doomed = come(&churn, "doomed");
    assert_int_equal(nng_pipe_notify(doomed, NNG_PIPE_EV_REM_POST, count_gone, NULL), 0);
    assert_int_equal(call(good, &chance), 0);
    assert_int_equal(call(doomed, &chance), 0);

    struct tls_credentials *credentials = scene_credentials("renewed", "none");
    tls_domain_put(churn.scene.domain, credentials);
    tls_credentials_release(credentials);
    tls_domain_sweep(churn.scene.domain);
    assert_int_equal(call(good, &chance), 0);
    assert_int_equal(call(doomed, &chance), 0);
    assert_int_equal(atomic_load(&churn.scene.refused), 0);

    credentials = scene_credentials("renewed", "doomed");
    tls_domain_put(churn.scene.domain, credentials);
    tls_credentials_release(credentials);
    uint64_t begun = scene_now_ms();
    tls_domain_sweep(churn.scene.domain);
    while (atomic_load(&gone) == 0 && scene_now_ms() - begun < SCENE_WAIT_MS) {
        scene_sleep(1);
    }
    assert_in_range(scene_now_ms() - begun, 0, 1000);
    assert_int_equal(atomic_load(&churn.scene.refusal), TLS_REFUSED_REVOKED);
    assert_int_equal(call(good, &chance), 0);
    /* And it does not come back. */
    nng_close(doomed);
    assert_int_equal(nng_req0_open(&doomed), 0);
    (void)scene_dial(doomed, scene_client_config("doomed", "localhost"), SCENE_TCP, churn.port);
    while (atomic_load(&churn.scene.refused) < 2 && scene_now_ms() - begun < SCENE_WAIT_MS) {
        scene_sleep(1);
    }
    assert_int_equal(atomic_load(&churn.scene.refusal), TLS_REFUSED_REVOKED);
    nng_close(doomed);
    nng_close(good);
    nng_close(churn.server);
    for (int i = 0; i < ECHOES; i++) {
        pthread_join(echoes[i], NULL);
    }
    assert_int_equal(atomic_load(&churn.wrong), 0);
    scene_domain_close(&churn.scene);
}

/* A list of the authority's: FOLDER/NAME.crl, with FOLDER/REVOKED.crt or with nothing. */
static void list_revocations(const char *name, const char *revoked)
{
    char command[1024];
    char revoke[256] = "true";
    if (revoked != NULL) {
        snprintf(revoke, sizeof revoke, "openssl ca -config conf -revoke %s.crt 2>err", revoked);
    }
    snprintf(command, sizeof command,
             "cd %s && printf '%%s\\n' '[ca]' 'default_ca = this' '[this]' 'database = index' "
             "'default_md = sha256' 'certificate = ca.crt' 'private_key = ca.key' >conf && "
             "rm -f index && touch index && %s && "
             "openssl ca -config conf -gencrl -crldays 30 -out %s.crl 2>err",
             scene_folder, revoke, name);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
    int code = scene_set_up(state);
    scene_certify("issue", "renewed ca serverAuth DNS:localhost");
    scene_certify("issue", "doomed ca clientAuth URI:spiffe://" SCENE_TRUST "/doomed");
    list_revocations("none", NULL);
    list_revocations("doomed", "doomed");
    return code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revoked_ones_go),
        cmocka_unit_test(test_reload_under_churn),
    };
    return cmocka_run_group_tests(tests, set_up, scene_tear_down);
}
