/* Certificates, revocations and rules are replaced while the server runs: by SIGHUP and by the
 * call, all or nothing, and without anybody noticing whom it does not concern. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <activity_admin.h>

#include "tests/e2e/harness.h"
#include "tests/e2e/harness_peer.h"

#define CLOSED_MS 1000 /* who has to go is gone within this time */
#define CROWD     300  /* more than are closed in one round */

static struct scene scene;
static struct server server;
static activity_client *root;
static struct activity_error error;
static const char *standard_policy;

/* ---- Files ---- */

/* The server's files, which the tests replace; clients have theirs in tls. */
static void install(const char *name, const char *text)
{
    char temporary[64];
    char live[64];
    (void)snprintf(temporary, sizeof temporary, "live/%s.new", name);
    (void)snprintf(live, sizeof live, "live/%s", name);
    scene_write(&scene, temporary, text);
    assert_int_equal(chmod(scene_path(&scene, temporary), 0600), 0);
    assert_int_equal(rename(scene_path(&scene, temporary), scene_path(&scene, live)), 0);
}

static void install_from(const char *name, const char *from)
{
    char *text = scene_read(scene_path(&scene, from));
    assert_non_null(text);
    install(name, text);
    free(text);
}

static void install_standard(void)
{
    install_from("ca.crt", "tls/ca.crt");
    install_from("ca.crl", "tls/nobody.crl");
    install_from("server.crt", "tls/server.crt");
    install_from("server.key", "tls/server.key");
    install("policy.conf", standard_policy);
}

/* The standing policy with one text in place of another. */
static void install_policy(const char *what, const char *instead)
{
    const char *at = strstr(standard_policy, what);
    assert_non_null(at);
    size_t room = strlen(standard_policy) + strlen(instead) + 1;
    char *text = malloc(room);
    assert_non_null(text);
    (void)snprintf(text, room, "%.*s%s%s", (int)(at - standard_policy), standard_policy, instead,
                   at + strlen(what));
    install("policy.conf", text);
    free(text);
}

static void make_list(const char *name, const char *authority, const char *days, const char *first,
                      const char *second)
{
    char made[64];
    scene_certificate(&scene, "crl", authority, days, first, second, NULL);
    (void)snprintf(made, sizeof made, "tls/%s.crl", authority);
    char *text = scene_read(scene_path(&scene, made));
    assert_non_null(text);
    (void)snprintf(made, sizeof made, "tls/%s.crl", name);
    scene_write(&scene, made, text);
    free(text);
}

/* ---- The server ---- */

static void start(const char *const *more)
{
    static char paths[5][SCENE_PATH_MAX];
    static const char *const files[] = {"ca.crt", "ca.crl", "server.crt", "server.key",
                                        "policy.conf"};
    static const char *const keys[] = {"--ca", "--crl", "--cert", "--key", "--policy"};
    const char *flags[40] = {
        "--connects-per-minute",       "1000000", "--connects-per-minute-per-address", "1000000",
        "--connections-per-principal", "1000"};
    size_t count = 6;
    for (size_t i = 0; i < 5; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%s/live/%s", scene.directory, files[i]);
        flags[count++] = keys[i];
        flags[count++] = paths[i];
    }
    for (; more != NULL && *more != NULL; more++) {
        flags[count++] = *more;
    }
    server_spawn(&server, &scene, flags);
}

static int start_server(void **state)
{
    (void)state;
    server = (struct server){0};
    install_standard();
    (void)unlink(scene_path(&scene, "data.log"));
    start(NULL);
    server_await(&server);
    root = client_of(&server, "root", NULL, NULL, NULL);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    activity_client_free(root);
    root = NULL;
    return server_stop(&server);
}

static void reload_ok(struct activity_reloaded *to)
{
    activity_result *result = NULL;
    if (activity_reload(root, NULL, &result, &error) != ACTIVITY_OK) {
        fail_msg("%s: %s", error.reason, error.message);
    }
    const struct activity_reloaded *reloaded = activity_result_reloaded(result);
    assert_non_null(reloaded);
    assert_int_equal(reloaded->certificate_count, 2);
    if (to != NULL) {
        *to = *reloaded;
    }
    activity_result_free(result);
}

static size_t times_said(const char *text)
{
    char *said = scene_read(server.log);
    assert_non_null(said);
    size_t count = 0;
    for (const char *at = said; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    free(said);
    return count;
}

static void await_said(const char *text, size_t times)
{
    uint64_t end = now_ms() + 20000;
    while (times_said(text) < times) {
        if (now_ms() > end) {
            fail_msg("the log does not say %zu times: %s", times, text);
        }
        sleep_ms(10);
    }
}

static uint64_t loaded_ms(void)
{
    activity_result *result = NULL;
    if (activity_get_server_info(root, NULL, &result, &error) != ACTIVITY_OK) {
        fail_msg("%s: %s", error.reason, error.message);
    }
    uint64_t loaded = activity_result_server_info(result)->loaded_time_ms;
    activity_result_free(result);
    return loaded;
}

/* ---- Clients ---- */

static int call_as(activity_client *client)
{
    struct activity_call_options options = ACTIVITY_CALL_OPTIONS_INIT;
    activity_result *result = NULL;
    options.timeout_ms = 20000;
    int code = activity_get_server_info(client, &options, &result, &error);
    activity_result_free(result);
    return code;
}

static void assert_calls(activity_client *client)
{
    if (call_as(client) != ACTIVITY_OK) {
        fail_msg("%s: %s", error.reason, error.message);
    }
}

/* A client that knows the server by a name, with a certificate of its own. */
static activity_client *client_at(const char *who, const char *server_name)
{
    struct activity_options options;
    client_options(&options, &server, who);
    options.server_name = server_name;
    activity_client *client = activity_client_new(&options, &error);
    assert_non_null(client);
    return client;
}

/* Whether somebody who comes now may call. */
static bool may_come(const char *who, const char *server_name)
{
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    activity_client *client = client_at(who, server_name);
    activity_result *result = NULL;
    call.timeout_ms = 1500;
    int code = activity_get_server_info(client, &call, &result, &error);
    activity_result_free(result);
    activity_client_free(client);
    assert_true(code == ACTIVITY_OK || code == ACTIVITY_UNAVAILABLE ||
                code == ACTIVITY_DEADLINE_EXCEEDED);
    return code == ACTIVITY_OK;
}

static struct peer *connected(const char *who)
{
    struct peer *peer = peer_connect(&scene, server.port, who, 10000);
    assert_non_null(peer);
    assert_true(peer_greet(peer));
    return peer;
}

static struct peer *subscribed(const char *who)
{
    static uint8_t message[128 * 1024];
    struct peer *peer = peer_connect(&scene, server.feed_port, who, 10000);
    assert_non_null(peer);
    assert_true(peer_greet_as(peer, PEER_SUB, PEER_PUB));
    assert_true(peer_receive(peer, message, sizeof message) > 0);
    return peer;
}

/* It is closed, and soon after `since`. */
static void assert_closed(struct peer *peer, uint64_t since)
{
    uint8_t byte;
    peer_patience(peer, 5000);
    while (peer_read(peer, &byte, 1)) {
    }
    uint64_t took = now_ms() - since;
    peer_close(peer);
    if (took > CLOSED_MS) {
        fail_msg("closed after %llu ms", (unsigned long long)took);
    }
}

/* Nothing comes, and it is not closed either. */
static bool lives(struct peer *peer)
{
    uint8_t reply[2048];
    return peer_call(peer, "\xff", 1, reply, sizeof reply) > 0; /* a refusal is an answer */
}

/* Somebody who calls all the time, on one connection, and must never notice anything. */
struct caller {
    const char *who;
    pthread_t thread;
    atomic_bool stop;
    _Atomic uint64_t calls;
    char fault[1200];
};

static void *call_on(void *context)
{
    struct caller *caller = context;
    struct activity_error fault;
    activity_client *client = client_of(&server, caller->who, NULL, NULL, NULL);
    while (!atomic_load(&caller->stop)) {
        const struct activity_create_request create = {.type = "upload",
                                                       .title = "while reloading"};
        struct activity_created created;
        if (activity_create(client, &create, NULL, &created, &fault) != ACTIVITY_OK ||
            activity_destroy(client, created.job_id, NULL, NULL, &fault) != ACTIVITY_OK) {
            (void)snprintf(caller->fault, sizeof caller->fault, "%s %s", fault.reason,
                           fault.message);
            break;
        }
        (void)atomic_fetch_add(&caller->calls, 1);
    }
    activity_client_free(client);
    return NULL;
}

static void caller_start(struct caller *caller, const char *who)
{
    *caller = (struct caller){.who = who};
    assert_int_equal(pthread_create(&caller->thread, NULL, call_on, caller), 0);
    uint64_t end = now_ms() + 20000;
    while (atomic_load(&caller->calls) == 0 && now_ms() < end) {
        sleep_ms(1);
    }
}

static uint64_t caller_stop(struct caller *caller)
{
    atomic_store(&caller->stop, true);
    assert_int_equal(pthread_join(caller->thread, NULL), 0);
    if (caller->fault[0] != '\0') {
        fail_msg("%s: %s", caller->who, caller->fault);
    }
    assert_true(caller->calls > 0);
    return caller->calls;
}

/* ---- Certificates ---- */

/* The names tell which certificate somebody has been shown: who is connected cannot come back by
 * the old one. */
static void test_a_new_certificate_is_for_new_connections(void **state)
{
    (void)state;
    struct activity_reloaded reloaded;
    static struct caller caller;
    activity_client *old = client_of(&server, "worker", NULL, NULL, NULL);
    assert_calls(old);
    caller_start(&caller, "gateway");
    assert_false(may_come("watcher", "renamed.example"));
    install_from("server.crt", "tls/renamed.crt");
    install_from("server.key", "tls/renamed.key");
    reload_ok(&reloaded);
    assert_int_equal(reloaded.closed_revoked + reloaded.closed_by_policy, 0);
    assert_true(may_come("watcher", "renamed.example"));
    assert_false(may_come("watcher", "localhost"));
    assert_calls(old);
    assert_calls(root);
    (void)caller_stop(&caller);
    activity_client_free(old);
}

static void test_another_authority(void **state)
{
    (void)state;
    static struct caller caller;
    activity_client *old = client_of(&server, "worker", NULL, NULL, NULL);
    assert_calls(old);
    caller_start(&caller, "gateway");
    assert_false(may_come("elsewhere", "localhost"));
    install_from("ca.crt", "tls/other-ca.crt");
    install_from("ca.crl", "tls/other-ca.crl");
    reload_ok(NULL);
    assert_true(may_come("elsewhere", "localhost"));
    assert_false(may_come("worker", "localhost"));
    assert_calls(old);
    (void)caller_stop(&caller);
    activity_client_free(old);
    await_said("the certificate is not signed by an authority of ours", 1);
}

/* ---- Revocations ---- */

static void test_who_is_revoked_has_to_go(void **state)
{
    (void)state;
    struct activity_reloaded reloaded;
    static struct caller caller;
    struct peer *peer = connected("worker");
    struct peer *other = connected("boss");
    struct peer *subscriber = subscribed("watcher");
    activity_client *worker = client_of(&server, "worker", NULL, NULL, NULL);
    assert_calls(worker);
    caller_start(&caller, "gateway");
    install_from("ca.crl", "tls/two.crl"); /* worker and watcher */
    uint64_t since = now_ms();
    reload_ok(&reloaded);
    assert_int_equal(reloaded.closed_revoked, 3);
    assert_int_equal(reloaded.closed_by_policy, 0);
    assert_closed(peer, since);
    assert_closed(subscriber, since);
    peer = peer_connect(&scene, server.port, "worker", 5000);
    assert_true(peer == NULL || !peer_greet(peer)); /* with TLS 1.3 it learns of it only then */
    peer_close(peer);
    assert_false(may_come("worker", "localhost"));
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    activity_result *result = NULL;
    call.timeout_ms = 1500; /* the library tries to come back all the time */
    assert_int_not_equal(activity_get_server_info(worker, &call, &result, &error), ACTIVITY_OK);
    activity_client_free(worker);
    assert_true(lives(other));
    peer_close(other);
    (void)caller_stop(&caller);
    await_said("reason=\"a certificate is revoked\"", 1);

    install_from("ca.crl", "tls/nobody.crl"); /* and is forgiven */
    reload_ok(NULL);
    assert_true(may_come("worker", "localhost"));
}

static void test_an_old_list_is_honoured(void **state)
{
    (void)state;
    assert_int_equal(times_said("a list of revocations is out of date"), 0);
    install_from("ca.crl", "tls/stale.crl"); /* worker */
    struct peer *peer = connected("worker");
    uint64_t since = now_ms();
    server_signal(&server, SIGHUP);
    assert_closed(peer, since);
    await_said("a list of revocations is out of date", 1);
    assert_false(may_come("worker", "localhost"));
    assert_true(may_come("gateway", "localhost"));
    activity_result *result = NULL;
    assert_int_equal(activity_get_server_info(root, NULL, &result, &error), ACTIVITY_OK);
    const struct activity_revocations *list = activity_result_server_info(result)->revocations;
    assert_non_null(list);
    assert_int_equal(list->lists, 1);
    assert_int_equal(list->entries, 1);
    assert_true(list->expired);
    assert_true(strstr(list->issuer, "CN=ca") != NULL);
    assert_true(list->next_update_ms < activity_result_server_info(result)->time_ms);
    activity_result_free(result);

    /* The same at a start. */
    assert_int_equal(server_stop(&server), 0);
    start(NULL);
    activity_client_free(root);
    root = client_of(&server, "root", NULL, NULL, NULL);
    assert_calls(root);
    await_said("a list of revocations is out of date", 2);
    assert_false(may_come("worker", "localhost"));
}

/* ---- Rules ---- */

static void test_who_has_no_rule_any_more_has_to_go(void **state)
{
    (void)state;
    struct activity_reloaded reloaded;
    static struct caller caller;
    struct peer *peers[CROWD];
    struct peer *subscriber = subscribed("watcher");
    for (size_t i = 0; i < CROWD; i++) {
        peers[i] = connected("worker");
    }
    caller_start(&caller, "gateway");
    install_policy("rule \"spiffe://test/worker\"", "rule \"spiffe://test/nobody\"");
    uint64_t since = now_ms();
    reload_ok(&reloaded);
    assert_int_equal(reloaded.closed_revoked, 0);
    assert_int_equal(reloaded.closed_by_policy, CROWD);
    for (size_t i = 0; i < CROWD; i++) {
        assert_closed(peers[i], since);
    }
    assert_false(may_come("worker", "localhost"));
    (void)caller_stop(&caller);

    /* Without `feed` the one endpoint is closed to it, and the other one is not. */
    activity_client *watcher = client_of(&server, "watcher", NULL, NULL, NULL);
    assert_calls(watcher);
    install_policy("feed = true\n}\n# A crowd", "feed = false\n}\n# A crowd");
    since = now_ms();
    reload_ok(&reloaded);
    assert_int_equal(reloaded.closed_by_policy, 1);
    assert_closed(subscriber, since);
    activity_result *result = NULL;
    assert_int_equal(activity_get_server_info(watcher, NULL, &result, &error), ACTIVITY_OK);
    assert_false(activity_result_server_info(result)->feed_allowed);
    activity_result_free(result);
    activity_client_free(watcher);
    assert_true(may_come("worker", "localhost")); /* the standing rule is back */
}

static void test_the_next_call_is_judged_by_the_new_rule(void **state)
{
    (void)state;
    const struct activity_create_request create = {.type = "upload", .title = "t"};
    struct activity_created created;
    activity_client *worker = client_of(&server, "worker", NULL, NULL, NULL);
    assert_int_equal(activity_create(worker, &create, NULL, &created, &error), ACTIVITY_OK);
    install_policy("{\"read\", \"write\", \"health\"}\n    tenant = \"acme\"",
                   "{\"read\", \"health\"}\n    tenant = \"acme\"");
    reload_ok(NULL);
    assert_int_equal(activity_create(worker, &create, NULL, &created, &error),
                     ACTIVITY_PERMISSION_DENIED);
    assert_string_equal(error.reason, "NOT_ALLOWED");
    install("policy.conf", standard_policy);
    reload_ok(NULL);
    assert_int_equal(activity_create(worker, &create, NULL, &created, &error), ACTIVITY_OK);
    /* On the connection of the beginning: nobody came or went. */
    assert_int_equal(times_said("peer closed"), 0);
    activity_client_free(worker);
}

/* ---- What is refused ---- */

static void test_a_bad_file_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        const char *from; /* a file, */
        const char *text; /* or its text, */
        const char *says; /* beside the file's name */
    } rows[] = {
        {"server.crt", NULL, "garbage", ""},
        {"server.crt", "tls/cut.crt", NULL, ""},
        {"server.crt", "tls/server.key", NULL, ""},
        {"server.key", "tls/renamed.key", NULL, "key"},
        {"server.key", "tls/server.crt", NULL, ""},
        {"server.crt", "tls/renamed.crt", NULL, ""}, /* then the key is another one's */
        {"ca.crt", NULL, "", ""},
        {"ca.crt", "tls/cut.crt", NULL, ""},
        {"ca.crl", "tls/other-ca.crl", NULL, ""},
        {"ca.crl", NULL, "garbage", ""},
        {"ca.crl", NULL, NULL, "No such file"},
        {"policy.conf", NULL, "rule \"spiffe://test/root\" { methods = {dance} tenant = t }\n",
         "policy.conf:1: rule \"spiffe://test/root\": methods"},
        {"policy.conf", NULL, "# nobody\n", "has no rule"},
        {"policy.conf", NULL, NULL, "No such file"},
    };
    uint64_t loaded = loaded_ms();
    struct peer *worker = connected("worker");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[64];
        install_standard();
        /* Good, but not by itself. */
        if (strcmp(rows[i].file, "policy.conf") != 0) {
            install_policy("rule \"spiffe://test/worker\"", "rule \"spiffe://test/nobody\"");
        } else {
            install_from("ca.crl", "tls/two.crl");
        }
        (void)snprintf(path, sizeof path, "live/%s", rows[i].file);
        if (rows[i].from != NULL) {
            install_from(rows[i].file, rows[i].from);
        } else if (rows[i].text != NULL) {
            install(rows[i].file, rows[i].text);
        } else {
            assert_int_equal(unlink(scene_path(&scene, path)), 0);
        }
        activity_result *result = NULL;
        int code = activity_reload(root, NULL, &result, &error);
        activity_result_free(result);
        bool names = strstr(error.message, path) != NULL ||
                     (i == 5 && strstr(error.message, "live/server.key") != NULL);
        if (code != ACTIVITY_FAILED_PRECONDITION || strcmp(error.reason, "RELOAD_REFUSED") != 0 ||
            !names || strstr(error.message, rows[i].says) == NULL) {
            fail_msg("row %zu: %d %s: %s", i, code, error.reason, error.message);
        }
        assert_int_equal(times_said("nothing was reloaded, what was in force stays"), i + 1);
        assert_true(lives(worker));
        assert_true(may_come("worker", "localhost"));
    }
    assert_true(loaded_ms() == loaded);
    assert_int_equal(times_said("msg=reloaded"), 0);
    peer_close(worker);
    install_standard();
    reload_ok(NULL);
    assert_true(loaded_ms() > loaded);
}

static void test_who_may_reload(void **state)
{
    (void)state;
    static const char *const cast[] = {"worker", "boss", "watcher"};
    for (size_t i = 0; i < sizeof cast / sizeof cast[0]; i++) {
        activity_client *client = client_of(&server, cast[i], NULL, NULL, NULL);
        activity_result *result = NULL;
        assert_int_equal(activity_reload(client, NULL, &result, &error),
                         ACTIVITY_PERMISSION_DENIED);
        assert_string_equal(error.reason, "NOT_ALLOWED");
        assert_null(activity_result_reloaded(result));
        activity_client_free(client);
    }
    assert_int_equal(times_said("msg=reloaded"), 0);
    reload_ok(NULL);
    await_said("msg=reloaded", 1);
}

/* NNG's own engine keeps what it was given. */
static void test_the_stock_engine_refuses(void **state)
{
    (void)state;
    assert_int_equal(server_stop(&server), 0);
    server.stock = true;
    start(NULL);
    activity_client_free(root);
    root = client_of(&server, "root", NULL, NULL, NULL);
    assert_calls(root);
    struct peer *worker = connected("worker");
    install_policy("rule \"spiffe://test/worker\"", "rule \"spiffe://test/nobody\"");
    activity_result *result = NULL;
    assert_int_equal(activity_reload(root, NULL, &result, &error), ACTIVITY_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "RELOAD_REFUSED");
    assert_non_null(strstr(error.message, "restart the server"));
    server_signal(&server, SIGHUP);
    await_said("nothing was reloaded, what was in force stays", 2);
    assert_true(lives(worker));
    peer_close(worker);
    assert_int_equal(activity_get_server_info(root, NULL, &result, &error), ACTIVITY_OK);
    const struct activity_tls_info *tls = activity_result_server_info(result)->tls;
    assert_string_equal(tls->engine, "nng");
    assert_string_equal(tls->version, "");
    assert_string_equal(tls->cipher_suite, "");
    assert_int_equal(tls->suite_count, 0);
    activity_result_free(result);
}

/* ---- Signals ---- */

static int notify_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 20};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", scene_path(&scene, "notify"));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return fd;
}

static const char *notified(int fd)
{
    static char text[256];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

static void test_a_service_manager_is_told(void **state)
{
    (void)state;
    assert_int_equal(server_stop(&server), 0);
    int fd = notify_socket();
    assert_int_equal(setenv("NOTIFY_SOCKET", scene_path(&scene, "notify"), 1), 0);
    start(NULL);
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    assert_string_equal(notified(fd), "READY=1");
    for (int i = 0; i < 2; i++) { /* a bad one ends, too */
        struct timespec now;
        unsigned long long at_us = 0;
        char more;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        server_signal(&server, SIGHUP);
        const char *text = notified(fd);
        assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu%c", &at_us, &more), 1);
        uint64_t began_us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
        assert_in_range(at_us, began_us, began_us + 20000000u);
        assert_string_equal(notified(fd), "READY=1");
        install("server.key", "garbage");
    }
    server_signal(&server, SIGTERM);
    assert_string_equal(notified(fd), "STOPPING=1");
    assert_int_equal(server_wait(&server), 0);
    assert_int_equal(close(fd), 0);
    install_standard();
    start(NULL);
    server_await(&server);
}

/* ---- All of it at once ---- */

/* Comes, calls once, goes. */
static void *come_and_go(void *context)
{
    struct caller *caller = context;
    struct activity_error fault;
    while (!atomic_load(&caller->stop)) {
        activity_client *client = client_of(&server, caller->who, NULL, NULL, NULL);
        activity_result *result = NULL;
        int code = activity_get_server_info(client, NULL, &result, &fault);
        activity_result_free(result);
        activity_client_free(client);
        if (code != ACTIVITY_OK) {
            (void)snprintf(caller->fault, sizeof caller->fault, "%s %s", fault.reason,
                           fault.message);
            break;
        }
        (void)atomic_fetch_add(&caller->calls, 1);
    }
    return NULL;
}

static void test_nobody_notices_a_hundred_reloads(void **state)
{
    (void)state;
    static struct caller callers[2];
    static struct caller comers[2] = {{.who = "watcher"}, {.who = "root"}};
    caller_start(&callers[0], "gateway");
    caller_start(&callers[1], "boss");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&comers[i].thread, NULL, come_and_go, &comers[i]), 0);
    }
    uint32_t rounds = test_count(100);
    uint32_t closed = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        struct activity_reloaded reloaded;
        struct peer *worker = i % 10 == 0 ? connected("worker") : NULL;
        install_from("server.crt", i % 2 == 0 ? "tls/second.crt" : "tls/server.crt");
        install_from("server.key", i % 2 == 0 ? "tls/second.key" : "tls/server.key");
        install_from("ca.crl", i % 3 == 0 ? "tls/two-of-none.crl" : "tls/nobody.crl");
        if (i % 4 == 0) {
            install_policy("rule \"spiffe://test/worker\"", "rule \"spiffe://test/nobody\"");
        } else {
            install("policy.conf", standard_policy);
        }
        uint64_t since = now_ms();
        reload_ok(&reloaded);
        closed += reloaded.closed_by_policy;
        assert_int_equal(reloaded.closed_revoked, 0);
        if (worker != NULL && i % 4 == 0) {
            assert_closed(worker, since);
        } else {
            peer_close(worker);
        }
    }
    uint64_t calls = 0;
    uint64_t comes = 0;
    for (size_t i = 0; i < 2; i++) {
        calls += caller_stop(&callers[i]);
        comes += caller_stop(&comers[i]);
    }
    print_message("%u reloads under %llu calls and %llu connects\n", rounds,
                  (unsigned long long)calls, (unsigned long long)comes);
    /* One that closed itself a moment ago may still be there to be closed. */
    assert_in_range(closed, (rounds + 19) / 20, (rounds + 9) / 10);
    assert_int_equal(times_said("msg=reloaded"), rounds);
}

/* ---- Beginning and end ---- */

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    standard_policy = scene_read("tests/e2e/policy.conf");
    if (standard_policy == NULL || mkdir(scene_path(&scene, "live"), 0700) != 0) {
        return -1;
    }
    scene_certificate(&scene, "issue", "renamed", "ca", "serverAuth", "DNS:renamed.example", NULL);
    scene_certificate(&scene, "issue", "second", "ca", "serverAuth",
                      "DNS:localhost,DNS:second.example,IP:127.0.0.1", NULL);
    scene_certificate(&scene, "ca", "other-ca", NULL);
    scene_certificate(&scene, "issue", "elsewhere", "other-ca", "clientAuth",
                      "URI:spiffe://test/worker", NULL);
    make_list("other-ca", "other-ca", "30", NULL, NULL);
    make_list("nobody", "ca", "30", NULL, NULL);
    make_list("two-of-none", "ca", "30", "renamed", "stranger");
    make_list("two", "ca", "30", "worker", "watcher");
    make_list("stale", "ca", "-2", "worker", NULL);
    char *cut = scene_read(scene_path(&scene, "tls/server.crt"));
    cut[strlen(cut) / 2] = '\0';
    scene_write(&scene, "tls/cut.crt", cut);
    free(cut);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_kill(&server);
    free((void *)(uintptr_t)standard_policy);
    scene_end(&scene);
    return 0;
}

#define RELOAD_TEST(name) cmocka_unit_test_setup_teardown(name, start_server, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELOAD_TEST(test_a_new_certificate_is_for_new_connections),
        RELOAD_TEST(test_another_authority),
        RELOAD_TEST(test_who_is_revoked_has_to_go),
        RELOAD_TEST(test_an_old_list_is_honoured),
        RELOAD_TEST(test_who_has_no_rule_any_more_has_to_go),
        RELOAD_TEST(test_the_next_call_is_judged_by_the_new_rule),
        RELOAD_TEST(test_a_bad_file_changes_nothing),
        RELOAD_TEST(test_who_may_reload),
        RELOAD_TEST(test_the_stock_engine_refuses),
        RELOAD_TEST(test_a_service_manager_is_told),
        RELOAD_TEST(test_nobody_notices_a_hundred_reloads),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
