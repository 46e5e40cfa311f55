/* A relay of bytes between a client and a server, which counts the TLS records that pass through
 * it, by direction. One thread; included by the test programs that want it. */
#ifndef TESTS_PROTO_TLS_RELAY_H
#define TESTS_PROTO_TLS_RELAY_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "tests/unit/proto/tls/tls_scene.h"

enum {
    RELAY_CONNECTIONS = 8,
    RELAY_BUFFER = 1 << 16,
    RELAY_HEAD = 5,  /* type, version, length of what follows */
    RELAY_DATA = 23, /* the type of a record with data; with TLS 1.3 of any record once encrypted */
};

/* One direction of one connection. */
struct relay_way {
    int from;
    int to;
    size_t begin;
    size_t end;
    uint8_t head[RELAY_HEAD];
    size_t have;
    size_t left; /* of the record under way */
    uint8_t bytes[RELAY_BUFFER];
};

struct relay_count {
    atomic_uint records; /* of type 23, begun */
    atomic_uint other;
    atomic_size_t largest; /* of type 23, with what encryption adds, but without the head */
};

struct relay {
    int listener;
    int port;
    uint16_t target;
    pthread_t thread;
    atomic_bool stopping;
    struct relay_count count[2]; /* from the client, from the server */
    struct relay_way *ways[RELAY_CONNECTIONS][2];
};

static inline void relay_parse(struct relay_way *way, struct relay_count *count,
                               const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        if (way->left > 0) {
            size_t n = way->left < length ? way->left : length;
            way->left -= n;
            bytes += n;
            length -= n;
            continue;
        }
        way->head[way->have++] = *bytes++;
        length--;
        if (way->have == RELAY_HEAD) {
            bool data = way->head[0] == RELAY_DATA;
            way->have = 0;
            way->left = (size_t)way->head[3] << 8 | way->head[4];
            atomic_fetch_add(data ? &count->records : &count->other, 1);
            if (data && way->left > atomic_load(&count->largest)) {
                atomic_store(&count->largest, way->left);
            }
        }
    }
}

/* False when this direction has ended. Counts before it passes on: who has got a message finds all
 * of its records counted. */
static inline bool relay_move(struct relay *relay, struct relay_way *way, int direction)
{
    if (way->begin == way->end) {
        ssize_t got = read(way->from, way->bytes, sizeof way->bytes);
        if (got <= 0) {
            return false;
        }
        relay_parse(way, &relay->count[direction], way->bytes, (size_t)got);
        way->begin = 0;
        way->end = (size_t)got;
    }
    ssize_t put =
        send(way->to, way->bytes + way->begin, way->end - way->begin, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put > 0) {
        way->begin += (size_t)put;
    }
    return put > 0 || errno == EAGAIN;
}

static inline int relay_socket(uint16_t port, bool listens)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (listens) {
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(fd, 64), 0);
    } else if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

static inline void relay_accept(struct relay *relay)
{
    int client = accept(relay->listener, NULL, NULL);
    assert_true(client >= 0);
    int server = relay_socket(relay->target, false);
    for (unsigned i = 0; i < RELAY_CONNECTIONS && server >= 0; i++) {
        if (relay->ways[i][0] == NULL) {
            for (int direction = 0; direction < 2; direction++) {
                struct relay_way *way = calloc(1, sizeof *way);
                assert_non_null(way);
                way->from = direction == 0 ? client : server;
                way->to = direction == 0 ? server : client;
                relay->ways[i][direction] = way;
            }
            return;
        }
    }
    close(client);
    if (server >= 0) {
        close(server);
    }
}

static inline void relay_end(struct relay *relay, unsigned i)
{
    close(relay->ways[i][0]->from);
    close(relay->ways[i][0]->to);
    for (int direction = 0; direction < 2; direction++) {
        free(relay->ways[i][direction]);
        relay->ways[i][direction] = NULL;
    }
}

/* What a way waits for: bytes, or room for those that it has. */
static inline struct pollfd relay_want(const struct relay_way *way)
{
    bool empty = way == NULL || way->begin == way->end;
    return (struct pollfd){.fd = way == NULL ? -1
                                 : empty     ? way->from
                                             : way->to,
                           .events = empty ? POLLIN : POLLOUT};
}

static inline void *relay_run(void *arg)
{
    struct relay *relay = arg;
    struct pollfd want[1 + RELAY_CONNECTIONS * 2];
    while (!atomic_load(&relay->stopping)) {
        want[0] = (struct pollfd){.fd = relay->listener, .events = POLLIN};
        for (unsigned i = 0; i < RELAY_CONNECTIONS * 2; i++) {
            want[1 + i] = relay_want(relay->ways[i / 2][i % 2]);
        }
        if (poll(want, sizeof want / sizeof want[0], 20) <= 0) {
            continue;
        }
        for (unsigned i = 0; i < RELAY_CONNECTIONS * 2; i++) {
            struct relay_way *way = relay->ways[i / 2][i % 2];
            if (way != NULL && want[1 + i].revents != 0 && !relay_move(relay, way, (int)i % 2)) {
                relay_end(relay, i / 2);
            }
        }
        if (want[0].revents != 0) {
            relay_accept(relay);
        }
    }
    return NULL;
}

static inline void relay_start(struct relay *relay, int target)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    memset(relay, 0, sizeof *relay);
    relay->target = (uint16_t)target;
    relay->listener = relay_socket(0, true);
    assert_int_equal(getsockname(relay->listener, (struct sockaddr *)&address, &size), 0);
    relay->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&relay->thread, NULL, relay_run, relay), 0);
}

static inline void relay_stop(struct relay *relay)
{
    atomic_store(&relay->stopping, true);
    pthread_join(relay->thread, NULL);
    for (unsigned i = 0; i < RELAY_CONNECTIONS; i++) {
        if (relay->ways[i][0] != NULL) {
            relay_end(relay, i);
        }
    }
    close(relay->listener);
}

#endif
