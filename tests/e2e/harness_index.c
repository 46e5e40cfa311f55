#define _GNU_SOURCE /* accept4, memmem */
#include "tests/e2e/harness_index.h"

#include "server/check.h"
#include "tests/e2e/harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PEERS_MAX = 64,
    ORDERS_MAX = 256,
    HEAD_MAX = 16384,
    BODY_MAX = 128 * 1024 * 1024,
    TICK_MS = 20, /* how soon a stop is noticed */
};

/* Bytes that grow. */
struct text {
    char *bytes; /* terminated when not NULL */
    size_t length;
    size_t room;
};

struct order {
    struct index_answer answer; /* its strings are the order's own */
    uint32_t left;
};

enum peer_state { PEER_CLOSED, PEER_READING, PEER_ANSWERING, PEER_HANGING };

struct peer {
    enum peer_state state;
    int fd;
    unsigned number;
    bool told_to_continue;
    struct text in;
    struct text out;
    size_t sent;
    size_t body_begin; /* where the body begins in `out` */
    size_t end;        /* where sending ends, before out.length when it is cut */
    size_t piece;      /* 0: all at once */
    uint32_t pause_ms;
    uint64_t due_ms; /* not before this */
    bool closes;
};

struct index_server {
    int listener;
    uint16_t port;
    pthread_t thread;
    atomic_bool stop;
    struct peer peers[PEERS_MAX]; /* the thread's own */

    pthread_mutex_t lock; /* of all below */
    struct order orders[ORDERS_MAX];
    size_t order_count;
    struct index_request **seen;
    size_t seen_count;
    unsigned connections;
};

/* ---- Bytes ---- */

static void text_add(struct text *text, const char *bytes, size_t length)
{
    if (text->length + length + 1 > text->room) {
        text->room = 2 * text->room + length + 1024;
        text->bytes = realloc(text->bytes, text->room);
        CHECK(text->bytes != NULL);
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

static void text_drop(struct text *text, size_t length)
{
    memmove(text->bytes, text->bytes + length, text->length - length + 1);
    text->length -= length;
}

static void text_clear(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}

static char *copy(const char *text)
{
    char *other = text == NULL ? NULL : strdup(text);
    CHECK(text == NULL || other != NULL);
    return other;
}

/* ---- Orders ---- */

static void order_copy(struct order *order, const struct index_answer *answer)
{
    order->answer = *answer;
    order->left = answer->times == 0 ? 1 : answer->times;
    order->answer.path = copy(answer->path);
    order->answer.body = copy(answer->body);
    order->answer.content_type = copy(answer->content_type);
    order->answer.header = copy(answer->header);
    struct index_item *items = calloc(answer->item_count + 1, sizeof *items);
    CHECK(items != NULL);
    for (size_t i = 0; i < answer->item_count; i++) {
        items[i] = answer->items[i];
        items[i].type = copy(items[i].type);
        items[i].reason = copy(items[i].reason);
    }
    order->answer.items = items;
}

static void order_clear(struct order *order)
{
    for (size_t i = 0; i < order->answer.item_count; i++) {
        free((char *)order->answer.items[i].type);
        free((char *)order->answer.items[i].reason);
    }
    free((void *)order->answer.items);
    free((char *)order->answer.path);
    free((char *)order->answer.body);
    free((char *)order->answer.content_type);
    free((char *)order->answer.header);
    memset(order, 0, sizeof *order);
}

void index_order(struct index_server *server, const struct index_answer *answer)
{
    (void)pthread_mutex_lock(&server->lock);
    size_t kept = 0;
    for (size_t i = 0; i < server->order_count; i++) {
        if (server->orders[i].left > 0) {
            server->orders[kept++] = server->orders[i];
        } else {
            order_clear(&server->orders[i]);
        }
    }
    server->order_count = kept;
    CHECK(server->order_count < ORDERS_MAX);
    order_copy(&server->orders[server->order_count++], answer);
    (void)pthread_mutex_unlock(&server->lock);
}

void index_heal(struct index_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->order_count; i++) {
        order_clear(&server->orders[i]);
    }
    server->order_count = 0;
    (void)pthread_mutex_unlock(&server->lock);
}

/* The order for a request, or NULL; the caller holds the lock. */
static const struct index_answer *order_for(struct index_server *server, const char *path)
{
    for (size_t i = 0; i < server->order_count; i++) {
        struct order *order = &server->orders[i];
        if (order->left > 0 &&
            (order->answer.path == NULL || strstr(path, order->answer.path) != NULL)) {
            order->left -= order->left == UINT32_MAX ? 0 : 1;
            return &order->answer;
        }
    }
    return NULL;
}

/* ---- What a healthy index says ---- */

static const struct index_item *item_at(const struct index_answer *answer, size_t position)
{
    for (size_t i = 0; answer != NULL && i < answer->item_count; i++) {
        if (answer->items[i].position == position) {
            return &answer->items[i];
        }
    }
    return NULL;
}

static json_t *bulk_item(const char *action, json_t *meta, const struct index_item *fate)
{
    int status = fate != NULL ? fate->status : 200;
    json_t *result = json_pack("{s:O?,s:O?,s:i}", "_index", json_object_get(meta, "_index"), "_id",
                               json_object_get(meta, "_id"), "status", status);
    if (fate != NULL && fate->type != NULL) {
        (void)json_object_set_new(result, "error",
                                  json_pack("{s:s,s:s}", "type", fate->type, "reason",
                                            fate->reason != NULL ? fate->reason : ""));
    } else {
        const char *word = strcmp(action, "delete") == 0 ? "deleted" : "updated";
        (void)json_object_set_new(result, "result",
                                  json_string(status == 404 ? "not_found" : word));
    }
    return json_pack("{s:o}", action, result);
}

static char *bulk_body(const struct index_request *request, const struct index_answer *answer)
{
    json_t *items = json_array();
    bool errors = false;
    const char *at = request->body;
    for (const char *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        json_t *line = json_loadb(at, (size_t)(end - at), 0, NULL);
        const char *action = json_object_iter_key(json_object_iter(line));
        if (action == NULL) {
            json_decref(line);
            continue;
        }
        const struct index_item *fate = item_at(answer, json_array_size(items));
        errors = errors || (fate != NULL && fate->type != NULL);
        json_array_append_new(items, bulk_item(action, json_object_get(line, action), fate));
        if (strcmp(action, "delete") != 0) { /* the line of its source follows */
            const char *next = strchr(end + 1, '\n');
            end = next != NULL ? next : end;
        }
        json_decref(line);
    }
    json_t *reply = json_pack("{s:i,s:b,s:o}", "took", 1, "errors", errors, "items", items);
    char *text = json_dumps(reply, JSON_COMPACT);
    json_decref(reply);
    return text;
}

static char *healthy_body(const struct index_request *request, const struct index_answer *answer)
{
    if (strstr(request->path, "_bulk") != NULL) {
        return bulk_body(request, answer);
    }
    if (strstr(request->path, "_refresh") != NULL) {
        return copy("{\"_shards\":{\"total\":1,\"successful\":1,\"failed\":0}}");
    }
    if (strcmp(request->path, "/") == 0) {
        return copy("{\"version\":{\"distribution\":\"opensearch\",\"number\":\"2.19.4\"}}");
    }
    return copy("{\"acknowledged\":true}");
}

/* ---- Answers ---- */

static void add_body(struct peer *peer, const char *body, size_t length, bool chunked)
{
    if (!chunked) {
        text_add(&peer->out, body, length);
        return;
    }
    size_t piece = peer->piece != 0 ? peer->piece : length;
    for (size_t at = 0; at < length; at += piece) {
        size_t part = length - at < piece ? length - at : piece;
        char size[32];
        int digits = snprintf(size, sizeof size, "%zx\r\n", part);
        text_add(&peer->out, size, (size_t)digits);
        text_add(&peer->out, body + at, part);
        text_add(&peer->out, "\r\n", 2);
    }
    text_add(&peer->out, "0\r\n\r\n", 5);
}

static void answer_with(struct peer *peer, const struct index_request *request,
                        const struct index_answer *answer)
{
    static const struct index_answer healthy;
    answer = answer != NULL ? answer : &healthy;
    int status = answer->status != 0 ? answer->status : 200;
    struct text body = {0};
    char *text = answer->body != NULL ? copy(answer->body)
                 : status == 200      ? healthy_body(request, answer)
                                      : copy("");
    text_add(&body, text, strlen(text));
    free(text);
    while (body.length < answer->padded_to) {
        text_add(&body, " ", 1);
    }

    char head[1024];
    char size[64];
    (void)snprintf(size, sizeof size, "content-length: %zu", body.length);
    int length = snprintf(head, sizeof head, "HTTP/1.1 %d Ordered\r\n%s%s%s%s%s%s\r\n\r\n", status,
                          body.length == 0 ? "" : "content-type: ",
                          body.length == 0               ? ""
                          : answer->content_type != NULL ? answer->content_type
                                                         : "application/json; charset=UTF-8",
                          body.length == 0 ? "" : "\r\n",
                          answer->header != NULL ? answer->header : "x-order: none",
                          answer->closes ? "\r\nconnection: close\r\n" : "\r\n",
                          answer->chunked ? "transfer-encoding: chunked" : size);
    CHECK(length > 0 && (size_t)length < sizeof head);

    peer->piece = answer->piece;
    peer->pause_ms = answer->pause_ms;
    peer->due_ms = now_ms() + answer->delay_ms;
    peer->closes = answer->closes || answer->cut;
    peer->sent = 0;
    text_add(&peer->out, head, (size_t)length);
    peer->body_begin = peer->out.length;
    if (strcmp(request->method, "HEAD") != 0) {
        add_body(peer, body.bytes, body.length, answer->chunked);
    }
    peer->end = peer->out.length;
    if (answer->cut && peer->body_begin + answer->cut_at < peer->end) {
        peer->end = peer->body_begin + answer->cut_at;
    }
    text_clear(&body);
}

/* ---- Connections ---- */

static void close_peer(struct peer *peer, bool reset)
{
    if (reset) {
        const struct linger linger = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    (void)close(peer->fd);
    text_clear(&peer->in);
    text_clear(&peer->out);
    *peer = (struct peer){0};
}

/* A header's value, up to the end of its line; NULL when there is none. */
static const char *header_of(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = head; (line = strstr(line, "\r\n")) != NULL;) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            line += length + 1;
            return line + strspn(line, " ");
        }
    }
    return NULL;
}

/* Puts chunks together. Returns the bytes that they take, 0 while they are incomplete. */
static size_t unchunk(const struct text *in, size_t at, struct text *body)
{
    for (;;) {
        char *data = memmem(in->bytes + at, in->length - at, "\r\n", 2);
        if (data == NULL) {
            return 0;
        }
        size_t length = strtoul(in->bytes + at, NULL, 16);
        size_t begin = (size_t)(data - in->bytes) + 2;
        CHECK(length < BODY_MAX);
        if (begin + length + 2 > in->length) {
            return 0;
        }
        text_add(body, in->bytes + begin, length);
        at = begin + length + 2;
        if (length == 0) {
            return at;
        }
    }
}

static void keep_request(struct index_server *server, struct index_request *request)
{
    struct index_request **seen =
        realloc(server->seen, (server->seen_count + 1) * sizeof(struct index_request *));
    CHECK(seen != NULL);
    server->seen = seen;
    seen[server->seen_count++] = request;
}

static void act(struct index_server *server, struct peer *peer, struct index_request *request)
{
    (void)pthread_mutex_lock(&server->lock);
    const struct index_answer *answer = order_for(server, request->path);
    bool reset = answer != NULL && answer->reset;
    if (answer != NULL && answer->hangs) {
        peer->state = PEER_HANGING;
    } else if (!reset) {
        answer_with(peer, request, answer);
        peer->state = PEER_ANSWERING;
    }
    keep_request(server, request);
    (void)pthread_mutex_unlock(&server->lock);
    if (reset) {
        close_peer(peer, true);
    }
}

/* Takes one whole request out of what was received, if there is one. */
static void parse(struct index_server *server, struct peer *peer)
{
    char *end = peer->in.length == 0 ? NULL : strstr(peer->in.bytes, "\r\n\r\n");
    if (end == NULL) {
        if (peer->in.length > HEAD_MAX) {
            close_peer(peer, true);
        }
        return;
    }
    size_t begin = (size_t)(end - peer->in.bytes) + 4;
    char *head = strndup(peer->in.bytes, begin - 2);
    CHECK(head != NULL);
    const char *length = header_of(head, "content-length");
    const char *coding = header_of(head, "transfer-encoding");
    struct text body = {0};
    size_t whole = 0;
    text_add(&body, "", 0);
    if (coding != NULL && strncasecmp(coding, "chunked", 7) == 0) {
        whole = unchunk(&peer->in, begin, &body);
    } else {
        size_t size = length == NULL ? 0 : strtoul(length, NULL, 10);
        if (begin + size <= peer->in.length) {
            text_add(&body, peer->in.bytes + begin, size);
            whole = begin + size;
        }
    }
    if (whole == 0) {
        if (header_of(head, "expect") != NULL && !peer->told_to_continue) {
            const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
            (void)send(peer->fd, go_on, sizeof go_on - 1, MSG_NOSIGNAL);
            peer->told_to_continue = true;
        }
        text_clear(&body);
        free(head);
        return;
    }
    struct index_request *request = calloc(1, sizeof *request);
    CHECK(request != NULL);
    int words = sscanf(head, "%15s %1023s", request->method, request->path);
    CHECK(words == 2);
    request->head = head;
    request->body = body.bytes;
    request->length = body.length;
    request->connection = peer->number;
    request->at_ms = now_ms();
    peer->told_to_continue = false;
    text_drop(&peer->in, whole);
    act(server, peer, request);
}

static void receive(struct index_server *server, struct peer *peer)
{
    char bytes[65536];
    ssize_t count = recv(peer->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
        close_peer(peer, false);
        return;
    }
    if (count > 0 && peer->state == PEER_READING) {
        text_add(&peer->in, bytes, (size_t)count);
        parse(server, peer);
    }
}

static void answer_on(struct index_server *server, struct peer *peer)
{
    size_t until = peer->end;
    if (peer->piece != 0) {
        size_t next = peer->sent < peer->body_begin ? peer->body_begin : peer->sent + peer->piece;
        until = next < until ? next : until;
    }
    ssize_t count = send(peer->fd, peer->out.bytes + peer->sent, until - peer->sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN && errno != EINTR) {
        close_peer(peer, false);
        return;
    }
    peer->sent += count > 0 ? (size_t)count : 0;
    if (peer->sent < peer->end) {
        peer->due_ms = peer->sent == until ? now_ms() + peer->pause_ms : 0;
        return;
    }
    if (peer->closes) {
        close_peer(peer, false);
        return;
    }
    text_clear(&peer->out);
    peer->state = PEER_READING;
    parse(server, peer); /* the next request may have come already */
}

static void take_connection(struct index_server *server)
{
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (server->peers[i].state == PEER_CLOSED) {
            (void)pthread_mutex_lock(&server->lock);
            unsigned number = server->connections++;
            (void)pthread_mutex_unlock(&server->lock);
            server->peers[i] = (struct peer){.state = PEER_READING, .fd = fd, .number = number};
            return;
        }
    }
    (void)close(fd);
}

/* How long nothing will be due, at most a tick. */
static int watch(struct peer *peer, struct pollfd *of, int patience)
{
    *of = (struct pollfd){.fd = peer->fd, .events = POLLIN};
    if (peer->state != PEER_ANSWERING) {
        return patience;
    }
    /* What comes meanwhile waits in the socket: requests are answered one after another. */
    of->events = 0;
    uint64_t now = now_ms();
    if (peer->due_ms > now) {
        return peer->due_ms - now < (uint64_t)patience ? (int)(peer->due_ms - now) : patience;
    }
    of->events = POLLOUT;
    return patience;
}

static void round_of(struct index_server *server)
{
    struct pollfd polls[1 + PEERS_MAX];
    struct peer *of[PEERS_MAX];
    size_t count = 0;
    int patience = TICK_MS;
    polls[0] = (struct pollfd){.fd = server->listener, .events = POLLIN};
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (server->peers[i].state != PEER_CLOSED) {
            of[count] = &server->peers[i];
            patience = watch(of[count], &polls[1 + count], patience);
            count++;
        }
    }
    if (poll(polls, (nfds_t)(1 + count), patience) < 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        short any = polls[1 + i].revents;
        if ((any & POLLIN) != 0 || ((any & (POLLERR | POLLHUP)) != 0)) {
            receive(server, of[i]);
        } else if ((any & POLLOUT) != 0) {
            answer_on(server, of[i]);
        }
    }
    if ((polls[0].revents & POLLIN) != 0) {
        take_connection(server);
    }
}

static void *run(void *context)
{
    struct index_server *server = context;
    while (!atomic_load(&server->stop)) {
        round_of(server);
    }
    return NULL;
}

/* ---- Its life ---- */

struct index_server *index_start(uint16_t port)
{
    struct index_server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    const int on = 1;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(server->listener >= 0);
    (void)setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server->listener, PEERS_MAX), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &length), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_mutex_init(&server->lock, NULL), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
    return server;
}

uint16_t index_port(const struct index_server *server)
{
    return server->port;
}

size_t index_seen(struct index_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    size_t count = server->seen_count;
    (void)pthread_mutex_unlock(&server->lock);
    return count;
}

const struct index_request *index_request(struct index_server *server, size_t at)
{
    (void)pthread_mutex_lock(&server->lock);
    const struct index_request *request = at < server->seen_count ? server->seen[at] : NULL;
    (void)pthread_mutex_unlock(&server->lock);
    assert_non_null(request);
    return request;
}

bool index_await(struct index_server *server, size_t count, uint32_t milliseconds)
{
    uint64_t end = now_ms() + milliseconds;
    while (index_seen(server) < count) {
        if (now_ms() >= end) {
            return false;
        }
        sleep_ms(2);
    }
    return true;
}

unsigned index_connections(struct index_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    unsigned count = server->connections;
    (void)pthread_mutex_unlock(&server->lock);
    return count;
}

void index_stop(struct index_server *server)
{
    if (server == NULL) {
        return;
    }
    atomic_store(&server->stop, true);
    (void)pthread_join(server->thread, NULL);
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (server->peers[i].state != PEER_CLOSED) {
            close_peer(&server->peers[i], false);
        }
    }
    (void)close(server->listener);
    index_heal(server);
    for (size_t i = 0; i < server->seen_count; i++) {
        free(server->seen[i]->head);
        free(server->seen[i]->body);
        free(server->seen[i]);
    }
    free(server->seen);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}
