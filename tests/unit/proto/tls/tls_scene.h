/* What the tests of our engine over NNG share: certificates, a server's domain with its hooks
 * counted, listeners and dialers of it. Included by each test program. */
#ifndef TESTS_PROTO_TLS_SCENE_H
#define TESTS_PROTO_TLS_SCENE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>

#include "proto/tls/domain.h"
#include "proto/tls/engine.h"

#define SCENE_TRUST  "test.example"
#define SCENE_CLIENT "spiffe://" SCENE_TRUST "/client"

enum { SCENE_WAIT_MS = 20000, SCENE_RECEIVE_BYTES = 2 << 20 };

static inline void scene_sleep(unsigned ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

static inline uint64_t scene_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* N in the environment multiplies what is counted. */
static inline unsigned scene_times(unsigned standing)
{
    const char *times = getenv("N");
    return standing * (times == NULL ? 1 : (unsigned)strtoul(times, NULL, 10));
}

static inline uint64_t scene_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* --- Certificates: one folder per program --- */

static char scene_folder[64];

/* Runs .make/devcerts.sh: "ca FOLDER NAME", "issue FOLDER NAME CA USAGE NAMES". */
__attribute__((format(printf, 2, 3))) static inline void scene_certify(const char *verb,
                                                                       const char *format, ...)
{
    char words[256];
    char command[512];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    snprintf(command, sizeof command, ".make/devcerts.sh %s %s %s", verb, scene_folder, words);
    assert_int_equal(system(command), 0);
}

/* An authority, a server that has the names localhost and 127.0.0.1, and SCENE_CLIENT; registers
 * our engine. A group's setup. */
static inline int scene_set_up(void **state)
{
    (void)state;
    strcpy(scene_folder, "/tmp/activity-tls-XXXXXX");
    assert_non_null(mkdtemp(scene_folder));
    scene_certify("ca", "ca");
    scene_certify("issue", "server ca serverAuth DNS:localhost,IP:127.0.0.1");
    scene_certify("issue", "client ca clientAuth URI:" SCENE_CLIENT);
    assert_int_equal(tls_engine_register(), 0);
    assert_true(tls_engine_is_ours());
    return 0;
}

/* A group's teardown. NNG is left as it is: 1.10.1 aborts when it ends while a connection that is
 * being closed calls back. */
static inline int scene_tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", scene_folder);
    return system(command);
}

static inline const char *scene_file(const char *name, const char *ending)
{
    static _Thread_local char paths[4][128];
    static _Thread_local unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s%s", scene_folder, name, ending);
    return path;
}

/* A file's text, in a ring of three. */
static inline char *scene_text(const char *name, const char *ending)
{
    static _Thread_local char texts[3][8192];
    static _Thread_local unsigned turn;
    char *text = texts[turn++ % 3];
    FILE *file = fopen(scene_file(name, ending), "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof texts[0] - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* Those of a server, ready; `crl` may be NULL. */
static inline struct tls_credentials *scene_credentials(const char *server, const char *crl)
{
    char error[256] = "";
    struct tls_credentials *made = tls_credentials_new(TLS_SERVER);
    assert_non_null(made);
    if (tls_credentials_ca(made, scene_text("ca", ".crt"), error, sizeof error) != 0 ||
        (crl != NULL &&
         tls_credentials_crl(made, scene_text(crl, ".crl"), error, sizeof error) != 0) ||
        tls_credentials_cert(made, scene_text(server, ".crt"), error, sizeof error) != 0 ||
        tls_credentials_key(made, scene_text(server, ".key"), error, sizeof error) != 0) {
        fail_msg("%s: %s", server, error);
    }
    assert_int_equal(tls_credentials_ready(made), 0);
    return made;
}

/* A client's configuration: certificate `who`, NULL for none; `server_name` NULL for none. */
static inline nng_tls_config *scene_client_config(const char *who, const char *server_name)
{
    nng_tls_config *config;
    assert_int_equal(nng_tls_config_alloc(&config, NNG_TLS_MODE_CLIENT), 0);
    assert_int_equal(nng_tls_config_ca_chain(config, scene_text("ca", ".crt"), NULL), 0);
    if (who != NULL) {
        assert_int_equal(
            nng_tls_config_own_cert(config, scene_text(who, ".crt"), scene_text(who, ".key"), NULL),
            0);
    }
    if (server_name != NULL) {
        assert_int_equal(nng_tls_config_server_name(config, server_name), 0);
    }
    return config;
}

/* --- A server's domain --- */

struct scene_domain {
    struct tls_domain *domain;
    atomic_uint arrived;
    atomic_uint finished;
    atomic_uint left;
    atomic_uint refused;
    atomic_int refusal; /* the last one */
    pthread_mutex_t lock;
    char detail[200]; /* of it; to be read once `refused` has been seen, and no other comes */
};

static inline enum tls_refusal scene_arrive(void *context, const struct sockaddr *peer)
{
    struct scene_domain *scene = context;
    assert_int_equal(peer->sa_family, AF_INET);
    atomic_fetch_add(&scene->arrived, 1);
    return TLS_ACCEPTED;
}

static inline void scene_finish(void *context, const struct sockaddr *peer)
{
    struct scene_domain *scene = context;
    (void)peer;
    atomic_fetch_add(&scene->finished, 1);
}

static inline void scene_leave(void *context, const struct sockaddr *peer, bool finished)
{
    struct scene_domain *scene = context;
    (void)peer;
    (void)finished;
    atomic_fetch_add(&scene->left, 1);
}

static inline void scene_refused(void *context, const struct sockaddr *peer,
                                 enum tls_refusal refusal, const char *detail)
{
    struct scene_domain *scene = context;
    (void)peer;
    pthread_mutex_lock(&scene->lock);
    atomic_store(&scene->refusal, (int)refusal);
    snprintf(scene->detail, sizeof scene->detail, "%s", detail);
    atomic_fetch_add(&scene->refused, 1);
    pthread_mutex_unlock(&scene->lock);
}

static inline void scene_domain_open(struct scene_domain *scene)
{
    const struct tls_domain_options options = {
        .hooks = {.context = scene,
                  .arrive = scene_arrive,
                  .finish = scene_finish,
                  .leave = scene_leave,
                  .refused = scene_refused},
        .trust_domain = SCENE_TRUST,
        .handshake_ms = 5000,
    };
    memset(scene, 0, sizeof *scene);
    assert_int_equal(pthread_mutex_init(&scene->lock, NULL), 0);
    scene->domain = tls_domain_new(&options);
    assert_non_null(scene->domain);
    struct tls_credentials *credentials = scene_credentials("server", NULL);
    tls_domain_put(scene->domain, credentials);
    tls_credentials_release(credentials);
}

/* Waits until all connections are gone. */
static inline void scene_domain_drain(struct scene_domain *scene)
{
    struct tls_domain_status status;
    uint64_t begun = scene_now_ms();
    do {
        tls_domain_sweep(scene->domain);
        tls_domain_status(scene->domain, &status);
        scene_sleep(2);
    } while (status.connections > 0 && scene_now_ms() - begun < SCENE_WAIT_MS);
    assert_int_equal(status.connections, 0);
    assert_int_equal(status.unfinished, 0);
}

/* Each connection that has come has been told as gone. */
static inline void scene_domain_close(struct scene_domain *scene)
{
    struct tls_domain_status status;
    scene_domain_drain(scene);
    tls_domain_status(scene->domain, &status);
    uint64_t negotiated = 0;
    for (unsigned i = 0; i < TLS_SUITE_COUNT; i++) {
        negotiated += status.finished[i];
    }
    assert_int_equal(negotiated, atomic_load(&scene->finished));
    tls_domain_free(scene->domain);
    assert_int_equal(atomic_load(&scene->arrived), atomic_load(&scene->left));
}

/* --- Sockets --- */

static inline void scene_limits(nng_socket socket)
{
    assert_int_equal(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, SCENE_RECEIVE_BYTES), 0);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, SCENE_WAIT_MS), 0);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, SCENE_WAIT_MS), 0);
}

/* Listens on a port of its own, which is returned. `format` has a %d for it. */
__attribute__((format(printf, 3, 0))) static inline int
scene_listen(struct scene_domain *scene, nng_socket socket, const char *format)
{
    char url[80];
    int port = 0;
    nng_listener listener;
    nng_tls_config *config;
    snprintf(url, sizeof url, format, 0);
    assert_int_equal(nng_tls_config_alloc(&config, NNG_TLS_MODE_SERVER), 0);
    assert_int_equal(tls_domain_bind(scene->domain, config), 0);
    assert_int_equal(nng_listener_create(&listener, socket, url), 0);
    assert_int_equal(nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, config), 0);
    assert_int_equal(nng_listener_start(listener, 0), 0);
    assert_int_equal(nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port), 0);
    nng_tls_config_free(config);
    return port;
}

/* Dials and waits for the handshake: NNG's code. Takes the configuration over. */
__attribute__((format(printf, 3, 0))) static inline int
scene_dial(nng_socket socket, nng_tls_config *config, const char *format, int port)
{
    char url[80];
    nng_dialer dialer;
    snprintf(url, sizeof url, format, port);
    assert_int_equal(nng_dialer_create(&dialer, socket, url), 0);
    assert_int_equal(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config), 0);
    nng_tls_config_free(config);
    int code = nng_dialer_start(dialer, 0);
    if (code != 0) {
        nng_dialer_close(dialer);
    }
    return code;
}

#define SCENE_TCP "tls+tcp://127.0.0.1:%d"

/* The name of the server that all listeners here have. */
static inline void scene_connect(nng_socket socket, int port)
{
    int code = scene_dial(socket, scene_client_config("client", "localhost"), SCENE_TCP, port);
    if (code != 0) {
        fail_msg("cannot dial: %s", nng_strerror(code));
    }
}

/* --- Messages whose every byte is known --- */

/* Fills with a pattern of the seed; returns false if a byte differs when `check`. */
static inline bool scene_pattern(uint8_t *bytes, size_t length, uint64_t seed, bool check)
{
    uint64_t state = seed * 2 + 1;
    for (size_t i = 0; i < length; i += sizeof state) {
        uint64_t word = scene_random(&state);
        size_t n = length - i < sizeof word ? length - i : sizeof word;
        if (!check) {
            memcpy(bytes + i, &word, n);
        } else if (memcmp(bytes + i, &word, n) != 0) {
            return false;
        }
    }
    return true;
}

static inline nng_msg *scene_message(size_t length, uint64_t seed)
{
    nng_msg *message;
    assert_int_equal(nng_msg_alloc(&message, length), 0);
    (void)scene_pattern(nng_msg_body(message), length, seed, false);
    return message;
}

static inline bool scene_is_message(nng_msg *message, size_t length, uint64_t seed)
{
    return nng_msg_len(message) == length &&
           scene_pattern(nng_msg_body(message), length, seed, true);
}

#endif
