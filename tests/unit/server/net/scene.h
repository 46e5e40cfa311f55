/* What the endpoints' tests have in common: certificates of all kinds, a policy, a free port, a log
 * that can be read, and clients over real TLS in this process. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_NET_SCENE_H
#define ACTIVITYD_TESTS_UNIT_SERVER_NET_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include <cmocka.h>

#include "proto/tls/domain.h"
#include "proto/tls/engine.h"
#include "server/log.h"
#include "server/net/border.h"
#include "server/net/gate.h"
#include "server/net/library.h"
#include "server/rpc/policy.h"
#include "server/text_file.h"
#include "server/tls_files.h"
#include "tests/unit/server/shell.h"

static struct scene {
    char folder[64];
    char url[64];
    struct policy *policy;
    struct tls_files tls;
    struct border border;
} scene;

static inline char *scene_text(const char *name, const char *suffix)
{
    char path[128];
    char error[256];
    (void)snprintf(path, sizeof path, "%s/%s%s", scene.folder, name, suffix);
    char *text = text_file_read(path, 0, error, sizeof error);
    if (text == NULL) {
        fail_msg("%s", error);
    }
    return text;
}

static inline bool log_says(const char *text)
{
    char *all = scene_text("log", "");
    bool says = strstr(all, text) != NULL;
    free(all);
    return says;
}

static inline void await_log(const char *text, int seconds)
{
    for (int i = 0; i < seconds * 20; i++) {
        if (log_says(text)) {
            return;
        }
        nng_msleep(50);
    }
    char *all = scene_text("log", "");
    print_error("%s\n", all);
    free(all);
    fail_msg("the log does not say: %s", text);
}

static inline uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(close(fd), 0);
    return ntohs(address.sin_port);
}

static inline void choose_url(void)
{
    (void)snprintf(scene.url, sizeof scene.url, "tls+tcp://127.0.0.1:%u", free_port());
}

/* Begins to connect in the background; `who` NULL: without a certificate. */
static inline void scene_dial(nng_socket socket, const char *who)
{
    nng_dialer dialer;
    nng_tls_config *tls;
    assert_int_equal(nng_tls_config_alloc(&tls, NNG_TLS_MODE_CLIENT), 0);
    assert_int_equal(nng_tls_config_ca_chain(tls, scene.tls.ca_pem, NULL), 0);
    assert_int_equal(nng_tls_config_server_name(tls, "localhost"), 0);
    if (who != NULL) {
        char *cert = scene_text(who, ".crt");
        char *key = scene_text(who, ".key");
        assert_int_equal(nng_tls_config_own_cert(tls, cert, key, NULL), 0);
        free(cert);
        free(key);
    }
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, 1000), 0);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT, 1000), 0);
    assert_int_equal(nng_dialer_create(&dialer, socket, scene.url), 0);
    assert_int_equal(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, tls), 0);
    nng_tls_config_free(tls);
    assert_int_equal(nng_dialer_start(dialer, NNG_FLAG_NONBLOCK), 0);
}

/* Who has which certificate, and whether it is a good one for a client. */
struct scene_peer {
    const char *who;
    const char *reason; /* NULL: has a rule */
};
static const struct scene_peer scene_peers[] = {
    {"worker", NULL},
    {"other", NULL},
    {"mixed", NULL}, /* a name of another kind beside its SPIFFE ID */
    {"stranger", "reason=\"no rule\" principal=spiffe://t/stranger peer=127.0.0.1:"},
    {"two", "reason=\"the certificate has more than one URI\""},
    {"none", "reason=\"the certificate has no SPIFFE ID\""},
    {"dns", "reason=\"the certificate has no SPIFFE ID\""},
    {"abroad", "reason=\"the SPIFFE ID is of another trust domain\" "
               "detail=\"certificate of CN=abroad, URI spiffe://u/worker\" peer=127.0.0.1:"},
    {"foreign", "reason=\"the certificate is not signed by an authority of ours\""},
    {"expired", "reason=\"a certificate has expired\""},
    {"server", "reason=\"the certificate is not made for this use\""},
    {NULL, "reason=\"no certificate\""},
};
#define SCENE_PEERS (sizeof scene_peers / sizeof scene_peers[0])

/* cmocka's setup of each test: the log begins anew. */
static inline int fresh_log(void **state)
{
    (void)state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/log", scene.folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -1;
    }
    static int previous = -1;
    log_init(fd, LOG_LEVEL_INFO, true);
    if (previous >= 0) {
        (void)close(previous);
    }
    previous = fd;
    return 0;
}

/* As main.c does. */
static inline int scene_make_border(void)
{
    const struct gate_options gate = {.connections_max = 1000,
                                      .connections_per_address = 1000,
                                      .connects_per_minute_per_address = 100000,
                                      .handshakes_max = 1000};
    scene.border.gate = gate_new(&gate);
    if (scene.border.gate == NULL || !tls_engine_is_ours()) {
        return -1;
    }
    const struct tls_domain_options domain = {
        .hooks = gate_hooks(scene.border.gate), .trust_domain = "t", .handshake_ms = 5000};
    scene.border.domain = tls_domain_new(&domain);
    if (scene.border.domain != NULL) {
        tls_domain_put(scene.border.domain, scene.tls.credentials);
    }
    return scene.border.domain != NULL ? 0 : -1;
}

/* Makes the certificates and reads a policy, given as its text. Returns 0 or -1. */
static inline int scene_make(const char *policy)
{
    static const char *const files[3][2] = {{"ca", ".crt"}, {"server", ".crt"}, {"server", ".key"}};
    char path[3][128];
    char error[512];
    (void)snprintf(scene.folder, sizeof scene.folder, "/tmp/activityd-endpoint-XXXXXX");
    if (mkdtemp(scene.folder) == NULL) {
        return -1;
    }
    shell_in(scene.folder,
             "c=.make/devcerts.sh; $c ca $1 ca && $c ca $1 foreign-ca && "
             "$c issue $1 server ca serverAuth DNS:localhost,IP:127.0.0.1 && "
             "for n in worker other third stranger; do "
             "$c issue $1 $n ca clientAuth URI:spiffe://t/$n || exit 1; done && "
             "$c issue $1 two ca clientAuth URI:spiffe://t/worker,URI:spiffe://t/other && "
             "$c issue $1 mixed ca clientAuth URI:spiffe://t/worker,DNS:worker && "
             "$c issue $1 none ca clientAuth - && "
             "$c issue $1 abroad ca clientAuth URI:spiffe://u/worker && "
             "$c issue $1 dns ca clientAuth DNS:worker && "
             "$c issue $1 foreign foreign-ca clientAuth URI:spiffe://t/worker && "
             "$c issue $1 expired ca clientAuth URI:spiffe://t/worker 0");
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path[i], sizeof path[i], "%s/%s%s", scene.folder, files[i][0], files[i][1]);
    }
    const struct tls_files_paths paths = {path[0], "", path[1], path[2]};
    int outcome = tls_files_load(&paths, &scene.tls, error, sizeof error);
    (void)snprintf(path[0], sizeof path[0], "%s/policy", scene.folder);
    FILE *file = fopen(path[0], "w");
    if (outcome != 0 || file == NULL || fputs(policy, file) < 0 || fclose(file) != 0 ||
        policy_load(path[0], &scene.policy, error, sizeof error) != 0) {
        print_error("%s\n", error);
        return -1;
    }
    library_init();
    return scene_make_border();
}

static inline void scene_end(void)
{
    policy_release(scene.policy);
    tls_files_deinit(&scene.tls);
    log_init(2, LOG_LEVEL_INFO, false);
    library_fini();
    tls_domain_free(scene.border.domain);
    gate_free(scene.border.gate);
    shell_in(scene.folder, "rm -rf $1");
}

#endif
