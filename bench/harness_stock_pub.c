#include "bench/harness_stock_pub.h"

#include <fcntl.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/supplemental/tls/tls.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SUBSCRIBERS = 64,
    MESSAGE_BYTES = 160, /* about what an event of ours takes */
    AHEAD_MAX = 2000,    /* messages that the slowest subscriber may be behind */
    QUEUE = 8192,
    LATENCIES_KEPT = 1 << 20,
};

/* Shared by the publisher's process and ours. */
struct board {
    _Atomic uint32_t ready;     /* the publisher listens */
    _Atomic uint32_t run;       /* 1: as fast as it goes; 2: paced; 3: end */
    _Atomic uint64_t published; /* in this run */
    _Atomic uint64_t taken[SUBSCRIBERS];
};

struct subscriber {
    pthread_t thread;
    nng_socket socket;
    struct board *board;
    size_t number;
    uint64_t *latencies;
    size_t count;
    atomic_bool keep; /* latencies */
};

static void insist(int code, const char *what)
{
    if (code != 0) {
        (void)fprintf(stderr, "stock PUB: %s: %s\n", what, nng_strerror(code));
        exit(1);
    }
}

static nng_tls_config *tls_of(const char *directory, const char *who, bool server)
{
    char path[SCENE_PATH_MAX];
    nng_tls_config *config = NULL;
    insist(nng_tls_config_alloc(&config, server ? NNG_TLS_MODE_SERVER : NNG_TLS_MODE_CLIENT),
           "TLS");
    (void)snprintf(path, sizeof path, "%s/tls/ca.crt", directory);
    char *ca = scene_read(path);
    (void)snprintf(path, sizeof path, "%s/tls/%s.crt", directory, who);
    char *cert = scene_read(path);
    (void)snprintf(path, sizeof path, "%s/tls/%s.key", directory, who);
    char *key = scene_read(path);
    insist(nng_tls_config_ca_chain(config, ca, NULL), "CA");
    insist(nng_tls_config_own_cert(config, cert, key, NULL), "certificate");
    insist(nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED), "TLS");
    if (!server) {
        insist(nng_tls_config_server_name(config, "localhost"), "TLS");
    }
    free(ca);
    free(cert);
    free(key);
    return config;
}

static struct board *board_of(const char *path)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *at = MAP_FAILED;
    if (file >= 0 && ftruncate(file, sizeof(struct board)) == 0) {
        at = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    if (at == MAP_FAILED) {
        (void)fprintf(stderr, "stock PUB: %s cannot be mapped\n", path);
        exit(1);
    }
    (void)close(file);
    return at;
}

/* ---- The publisher ---- */

static uint64_t slowest(const struct board *board, size_t subscribers)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < subscribers; i++) {
        uint64_t taken = atomic_load(&board->taken[i]);
        least = taken < least ? taken : least;
    }
    return least;
}

static void publish(nng_socket socket)
{
    nng_msg *message = NULL;
    insist(nng_msg_alloc(&message, MESSAGE_BYTES), "message");
    uint64_t now = measure_ns();
    memcpy(nng_msg_body(message), &now, sizeof now);
    insist(nng_sendmsg(socket, message, 0), "send");
}

static void publish_run(struct board *board, nng_socket socket, size_t subscribers,
                        uint32_t per_second)
{
    uint32_t run = atomic_load(&board->run);
    uint64_t began = measure_ns();
    uint64_t published = 0;
    while (atomic_load(&board->run) == run) {
        uint64_t due = run == 2 ? (measure_ns() - began) * per_second / 1000000000u
                                : slowest(board, subscribers) + AHEAD_MAX;
        if (published >= due) {
            sleep_ms(run == 2 ? 1 : 0);
            continue;
        }
        publish(socket);
        atomic_store(&board->published, ++published);
    }
}

int stock_pub_child(int count, char **arguments)
{
    if (count != 6) {
        (void)fprintf(stderr,
                      "a publisher needs a scene, a URL, a board, subscribers and a pace\n");
        return 2;
    }
    struct board *board = board_of(arguments[3]);
    size_t subscribers = (size_t)atoi(arguments[4]);
    nng_tls_config *tls = tls_of(arguments[1], "server", true);
    nng_socket socket;
    nng_listener listener;
    insist(nng_pub0_open(&socket), "open");
    insist(nng_socket_set_int(socket, NNG_OPT_SENDBUF, QUEUE), "queue");
    insist(nng_listener_create(&listener, socket, arguments[2]), "listener");
    insist(nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, tls), "listener");
    insist(nng_listener_start(listener, 0), "listen");
    atomic_store(&board->ready, 1);
    for (uint32_t run = 0; run != 3; run = atomic_load(&board->run)) {
        if (run == 0) {
            sleep_ms(1);
        } else {
            publish_run(board, socket, subscribers, (uint32_t)atoi(arguments[5]));
        }
    }
    (void)nng_close(socket);
    return 0;
}

/* ---- The subscribers ---- */

static void *take(void *context)
{
    struct subscriber *subscriber = context;
    nng_msg *message;
    while (nng_recvmsg(subscriber->socket, &message, 0) == 0) {
        uint64_t sent;
        memcpy(&sent, nng_msg_body(message), sizeof sent);
        if (atomic_load(&subscriber->keep) && subscriber->count < LATENCIES_KEPT) {
            subscriber->latencies[subscriber->count++] = measure_ns() - sent;
        }
        nng_msg_free(message);
        atomic_fetch_add(&subscriber->board->taken[subscriber->number], 1);
    }
    return NULL;
}

static void subscribe(struct subscriber *subscriber, const struct scene *scene, const char *url)
{
    nng_dialer dialer;
    nng_tls_config *tls = tls_of(scene->directory, "watcher", false);
    insist(nng_sub0_open(&subscriber->socket), "open");
    insist(nng_socket_set(subscriber->socket, NNG_OPT_SUB_SUBSCRIBE, "", 0), "subscribe");
    insist(nng_socket_set_int(subscriber->socket, NNG_OPT_RECVBUF, QUEUE), "queue");
    insist(nng_dialer_create(&dialer, subscriber->socket, url), "dialer");
    insist(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, tls), "dialer");
    insist(nng_dialer_start(dialer, 0), "dial");
    nng_tls_config_free(tls);
    subscriber->latencies = malloc(LATENCIES_KEPT * sizeof subscriber->latencies[0]);
    if (pthread_create(&subscriber->thread, NULL, take, subscriber) != 0) {
        insist(NNG_ENOMEM, "thread");
    }
}

static void collect(struct subscriber *subscribers, size_t count, struct stock_pub_figures *figures)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += subscribers[i].count;
    }
    uint64_t *all = malloc((total + 1) * sizeof all[0]);
    total = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(all + total, subscribers[i].latencies, subscribers[i].count * sizeof all[0]);
        total += subscribers[i].count;
    }
    figures->p50_us = (double)latency_at(all, total, 0.5) / 1000;
    figures->p99_us = (double)latency_at(all, total, 0.99) / 1000;
    free(all);
}

void stock_pub_measure(const struct scene *scene, size_t subscribers, uint32_t milliseconds,
                       uint32_t per_second, struct stock_pub_figures *figures)
{
    char url[64];
    char number[16];
    char pace[16];
    static struct subscriber all[SUBSCRIBERS];
    const char *path = scene_path(scene, "stock-pub.board");
    (void)unlink(path);
    struct board *board = board_of(path);
    (void)snprintf(url, sizeof url, "tls+tcp://127.0.0.1:%u", free_port());
    (void)snprintf(number, sizeof number, "%zu", subscribers);
    (void)snprintf(pace, sizeof pace, "%u", per_second);
    pid_t child = fork();
    if (child == 0) {
        (void)execl("/proc/self/exe", "stock-pub", scene->directory, url, path, number, pace,
                    (char *)NULL);
        _exit(127);
    }
    while (atomic_load(&board->ready) == 0) {
        sleep_ms(5);
    }
    memset(all, 0, sizeof all);
    for (size_t i = 0; i < subscribers; i++) {
        all[i].board = board;
        all[i].number = i;
        subscribe(&all[i], scene, url);
    }
    sleep_ms(1000); /* all are connected */
    atomic_store(&board->run, 1);
    sleep_ms(milliseconds / 4); /* warm-up */
    uint64_t before = slowest(board, subscribers);
    uint64_t began = measure_ns();
    sleep_ms(milliseconds);
    figures->per_second =
        (double)(slowest(board, subscribers) - before) / ((double)(measure_ns() - began) / 1e9);
    atomic_store(&board->run, 2);
    sleep_ms(300);
    for (size_t i = 0; i < subscribers; i++) {
        atomic_store(&all[i].keep, true);
    }
    sleep_ms(milliseconds);
    atomic_store(&board->run, 3);
    (void)waitpid(child, NULL, 0);
    for (size_t i = 0; i < subscribers; i++) {
        (void)nng_close(all[i].socket);
        (void)pthread_join(all[i].thread, NULL);
    }
    collect(all, subscribers, figures);
    for (size_t i = 0; i < subscribers; i++) {
        free(all[i].latencies);
    }
    (void)munmap(board, sizeof *board);
}
