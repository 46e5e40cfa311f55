#define _GNU_SOURCE /* accept4 */
#include "tests/e2e/harness_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAIRS_MAX = 64, CHUNK = 64 * 1024 };

/* One direction: what was read and not written yet. */
struct lane {
    int from;
    int to;
    size_t begin;
    size_t end;
    uint8_t bytes[CHUNK];
};

struct pair {
    bool open;
    struct lane up;   /* client to server */
    struct lane down; /* server to client */
};

struct proxy {
    int listener;
    uint16_t port;
    uint16_t target;
    pthread_t thread;
    atomic_bool stop;
    atomic_bool cut;
    atomic_bool held;
    _Atomic uint32_t open;
    _Atomic uint32_t accepted;
    struct pair pairs[PAIRS_MAX];
};

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void close_pair(struct proxy *proxy, struct pair *pair)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(pair->up.from, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    (void)setsockopt(pair->up.to, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    (void)close(pair->up.from);
    (void)close(pair->up.to);
    pair->open = false;
    atomic_fetch_sub(&proxy->open, 1);
}

static void take_connection(struct proxy *proxy)
{
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) {
        return;
    }
    struct sockaddr_in address = loopback(proxy->target);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pair *pair = NULL;
    for (size_t i = 0; i < PAIRS_MAX && pair == NULL; i++) {
        pair = proxy->pairs[i].open ? NULL : &proxy->pairs[i];
    }
    if (pair == NULL || connect(server, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(client);
        (void)close(server);
        return;
    }
    pair->open = true;
    pair->up.from = pair->down.to = client;
    pair->up.to = pair->down.from = server;
    pair->up.begin = pair->up.end = pair->down.begin = pair->down.end = 0;
    atomic_fetch_add(&proxy->open, 1);
    atomic_fetch_add(&proxy->accepted, 1);
}

/* False: the connection is over. */
static bool pump(struct lane *lane)
{
    if (lane->begin == lane->end) {
        ssize_t count = recv(lane->from, lane->bytes, sizeof lane->bytes, MSG_DONTWAIT);
        if (count <= 0) {
            return count < 0;
        }
        lane->begin = 0;
        lane->end = (size_t)count;
    }
    ssize_t count = send(lane->to, lane->bytes + lane->begin, lane->end - lane->begin,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
    lane->begin += count > 0 ? (size_t)count : 0;
    return true;
}

/* What poll() shall tell about one direction: room to write what is there, or something to read. */
static void watch(struct lane *lane, bool held, struct pollfd *from, struct pollfd *to)
{
    if (lane->begin < lane->end) {
        to->events |= POLLOUT;
    } else if (!held) {
        from->events |= POLLIN;
    }
}

static void round_of(struct proxy *proxy)
{
    struct pollfd polls[1 + 2 * PAIRS_MAX];
    struct pair *of[PAIRS_MAX];
    size_t count = 0;
    bool held = atomic_load(&proxy->held);
    polls[0] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        struct pair *pair = &proxy->pairs[i];
        if (pair->open) {
            polls[1 + 2 * count] = (struct pollfd){.fd = pair->up.from};
            polls[2 + 2 * count] = (struct pollfd){.fd = pair->up.to};
            watch(&pair->up, false, &polls[1 + 2 * count], &polls[2 + 2 * count]);
            watch(&pair->down, held, &polls[2 + 2 * count], &polls[1 + 2 * count]);
            of[count++] = pair;
        }
    }
    (void)poll(polls, 1 + 2 * count, 20);
    for (size_t i = 0; i < count; i++) {
        short any = polls[1 + 2 * i].revents | polls[2 + 2 * i].revents;
        bool goes_on = (any & (POLLERR | POLLNVAL)) == 0;
        if (goes_on && any != 0) {
            goes_on = pump(&of[i]->up) && (held || pump(&of[i]->down));
        }
        if (!goes_on) {
            close_pair(proxy, of[i]);
        }
    }
    if ((polls[0].revents & POLLIN) != 0) {
        take_connection(proxy);
    }
}

static void *run(void *context)
{
    struct proxy *proxy = context;
    while (!atomic_load(&proxy->stop)) {
        round_of(proxy);
        if (atomic_exchange(&proxy->cut, false)) {
            for (size_t i = 0; i < PAIRS_MAX; i++) {
                if (proxy->pairs[i].open) {
                    close_pair(proxy, &proxy->pairs[i]);
                }
            }
        }
    }
    return NULL;
}

struct proxy *proxy_start(uint16_t target)
{
    struct proxy *proxy = calloc(1, sizeof *proxy);
    assert_non_null(proxy);
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    proxy->target = target;
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(proxy->listener >= 0);
    assert_int_equal(bind(proxy->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(proxy->listener, PAIRS_MAX), 0);
    assert_int_equal(getsockname(proxy->listener, (struct sockaddr *)&address, &length), 0);
    proxy->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&proxy->thread, NULL, run, proxy), 0);
    return proxy;
}

uint16_t proxy_port(const struct proxy *proxy)
{
    return proxy->port;
}

void proxy_cut(struct proxy *proxy)
{
    atomic_store(&proxy->cut, true);
    while (atomic_load(&proxy->cut)) {
        sleep_ms(1);
    }
}

void proxy_hold(struct proxy *proxy, bool held)
{
    atomic_store(&proxy->held, held);
}

uint32_t proxy_open(struct proxy *proxy)
{
    return atomic_load(&proxy->open);
}

uint32_t proxy_accepted(struct proxy *proxy)
{
    return atomic_load(&proxy->accepted);
}

void proxy_stop(struct proxy *proxy)
{
    if (proxy == NULL) {
        return;
    }
    atomic_store(&proxy->stop, true);
    (void)pthread_join(proxy->thread, NULL);
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        if (proxy->pairs[i].open) {
            close_pair(proxy, &proxy->pairs[i]);
        }
    }
    (void)close(proxy->listener);
    free(proxy);
}
