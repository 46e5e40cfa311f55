#define _GNU_SOURCE /* accept4, memmem */
#include "tests/e2e/harness_faults.h"

#include "server/check.h"
#include "tests/e2e/harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CHANNELS_MAX = 64,
    HEAD_MAX = 16384,
    MESSAGE_MAX = 64 * 1024 * 1024,
};

/* A connection and the one of its own to the index. */
struct channel {
    struct faults *faults;
    pthread_t thread;
    bool used;  /* its thread is to be joined */
    bool ended; /* and does nothing more */
    int client; /* the two are closed, and shut down from outside, under the lock alone */
    int index;
};

struct faults {
    struct faults_options options;
    int listener;
    uint16_t port;
    pthread_t thread;

    pthread_mutex_t lock; /* of what follows */
    bool stopping;
    struct channel channels[CHANNELS_MAX];
    struct faults_count count;
    uint64_t random;
    uint32_t until_next;    /* bulk requests before the next fault */
    enum fault bag[FAULTS]; /* the kinds that come next, so that all come equally often */
    uint32_t in_bag;
};

const char *fault_name(enum fault fault)
{
    static const char *const names[FAULTS] = {"429",     "503",  "lost",     "unanswered",
                                              "partial", "late", "overtaken"};
    return names[fault];
}

static void lock(struct faults *faults)
{
    CHECK(pthread_mutex_lock(&faults->lock) == 0);
}

static void unlock(struct faults *faults)
{
    CHECK(pthread_mutex_unlock(&faults->lock) == 0);
}

/* ---- Which requests ---- */

/* From 1 to twice the average less 1. */
static void draw_distance(struct faults *faults)
{
    faults->until_next =
        1 + (uint32_t)(random_next(&faults->random) % (2 * faults->options.one_in - 1));
}

static enum fault draw_fault(struct faults *faults)
{
    if (faults->in_bag == 0) {
        for (int i = 0; i < FAULTS; i++) {
            faults->bag[faults->in_bag++] = (enum fault)i;
        }
    }
    uint32_t at = (uint32_t)(random_next(&faults->random) % faults->in_bag);
    enum fault fault = faults->bag[at];
    faults->bag[at] = faults->bag[--faults->in_bag];
    return fault;
}

struct plan {
    bool faulty;
    enum fault fault;
    bool resets; /* cut with a reset */
    uint32_t late_ms;
};

static struct plan plan_request(struct faults *faults, bool is_bulk)
{
    struct plan plan = {.faulty = false};
    lock(faults);
    faults->count.requests++;
    faults->count.bulks += is_bulk;
    if (is_bulk && --faults->until_next == 0) {
        draw_distance(faults);
        plan.faulty = true;
        plan.fault = draw_fault(faults);
        plan.resets = random_next(&faults->random) % 2 == 0;
        plan.late_ms = 1 + (uint32_t)(random_next(&faults->random) % (faults->options.late_ms + 1));
    }
    unlock(faults);
    return plan;
}

static void count_fault(struct faults *faults, enum fault fault)
{
    lock(faults);
    faults->count.injected++;
    faults->count.of[fault]++;
    unlock(faults);
}

static void count_one(struct faults *faults, uint64_t *counter)
{
    lock(faults);
    ++*counter;
    unlock(faults);
}

/* ---- Messages ---- */

struct message {
    char *bytes; /* terminated */
    size_t head; /* with the blank line */
    size_t length;
    size_t room;
};

static bool receive_some(int from, struct message *message)
{
    if (message->length + 1 >= message->room) {
        message->room = message->room == 0 ? 65536 : 2 * message->room;
        message->bytes = realloc(message->bytes, message->room);
        CHECK(message->bytes != NULL);
    }
    char *end = message->bytes + message->length;
    ssize_t count = recv(from, end, message->room - message->length - 1, 0);
    message->length += count > 0 ? (size_t)count : 0;
    message->bytes[message->length] = '\0';
    return count > 0;
}

static bool receive_head(int from, struct message *message)
{
    message->head = 0;
    message->length = 0;
    while (message->head == 0) {
        if (message->length > HEAD_MAX || !receive_some(from, message)) {
            return false;
        }
        const char *end = memmem(message->bytes, message->length, "\r\n\r\n", 4);
        message->head = end == NULL ? 0 : (size_t)(end - message->bytes) + 4;
    }
    return true;
}

/* The value of a header line and what follows; NULL: there is none. */
static const char *header(const struct message *message, const char *name)
{
    size_t length = strlen(name);
    const char *line = memmem(message->bytes, message->head, "\r\n", 2);
    while (line != NULL && line + 4 < message->bytes + message->head) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            line += length + 1;
            return line + strspn(line, " ");
        }
        line = memmem(line, (size_t)(message->bytes + message->head - line), "\r\n", 2);
    }
    return NULL;
}

enum received { RECEIVED, RECEIVED_NOTHING, RECEIVED_STRANGE };

/* A whole message with a Content-Length, or without a body. */
static enum received receive_message(int from, struct message *message)
{
    if (!receive_head(from, message)) {
        return message->length > HEAD_MAX ? RECEIVED_STRANGE : RECEIVED_NOTHING;
    }
    const char *text = header(message, "content-length");
    size_t body = text == NULL ? 0 : strtoul(text, NULL, 10);
    if (header(message, "transfer-encoding") != NULL || body > MESSAGE_MAX ||
        message->length > message->head + body) {
        return RECEIVED_STRANGE;
    }
    while (message->length < message->head + body) {
        if (!receive_some(from, message)) {
            return RECEIVED_NOTHING;
        }
    }
    return RECEIVED;
}

static bool send_bytes(int to, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t count = send(to, bytes, length, MSG_NOSIGNAL);
        if (count <= 0) {
            return false;
        }
        bytes += count;
        length -= (size_t)count;
    }
    return true;
}

static bool send_refusal(int to, enum fault fault)
{
    static const char busy[] = "{\"error\":{\"type\":\"rejected_execution_exception\","
                               "\"reason\":\"rejected by the proxy\"},\"status\":429}";
    char answer[512];
    int length = fault == FAULT_BUSY
                     ? snprintf(answer, sizeof answer,
                                "HTTP/1.1 429 Too Many Requests\r\ncontent-type: "
                                "application/json\r\ncontent-length: %zu\r\n\r\n%s",
                                sizeof busy - 1, busy)
                     : snprintf(answer, sizeof answer,
                                "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    return send_bytes(to, answer, (size_t)length);
}

/* ---- A connection ---- */

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    int yes = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

/* Until a request begins. False: one of the two has gone. */
static bool await_request(const struct channel *channel)
{
    struct pollfd polls[2] = {{.fd = channel->client, .events = POLLIN},
                              {.fd = channel->index, .events = POLLIN}};
    CHECK(poll(polls, 2, -1) > 0);
    return polls[1].revents == 0;
}

static void cut_with_reset(int fd)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

/* Asks the index, and hands its answer on, as far as planned. Whether the connection stays. */
static bool forward(struct channel *channel, const struct message *request, const struct plan *plan,
                    struct message *answer)
{
    struct faults *faults = channel->faults;
    enum received received = RECEIVED_NOTHING;
    if (plan->faulty && plan->fault == FAULT_OVERTAKEN) {
        sleep_ms(plan->late_ms); /* the client may have given it up meanwhile */
    }
    if (send_bytes(channel->index, request->bytes, request->length)) {
        received = receive_message(channel->index, answer);
    }
    if (received != RECEIVED) {
        count_one(faults,
                  received == RECEIVED_STRANGE ? &faults->count.strange : &faults->count.away);
        return false;
    }
    size_t length = answer->length;
    if (plan->faulty) {
        count_fault(faults, plan->fault);
        length = plan->fault == FAULT_UNANSWERED        ? 0
                 : plan->fault == FAULT_ANSWERED_PARTLY ? (answer->head + length) / 2
                                                        : length;
        if (plan->fault == FAULT_LATE) {
            sleep_ms(plan->late_ms);
        }
    }
    return send_bytes(channel->client, answer->bytes, length) && length == answer->length;
}

/* One request. Whether the connection stays. */
static bool serve_one(struct channel *channel, struct message *request, struct message *answer)
{
    struct faults *faults = channel->faults;
    if (!await_request(channel)) {
        return false;
    }
    enum received received = receive_message(channel->client, request);
    if (received != RECEIVED) {
        if (received == RECEIVED_STRANGE) {
            count_one(faults, &faults->count.strange);
        }
        return false;
    }
    bool is_bulk = memmem(request->bytes, strcspn(request->bytes, "\r"), "/_bulk", 6) != NULL;
    struct plan plan = plan_request(faults, is_bulk);
    bool stays = true;
    if (!plan.faulty || plan.fault >= FAULT_UNANSWERED) {
        stays = forward(channel, request, &plan, answer);
    } else {
        count_fault(faults, plan.fault);
        stays = plan.fault != FAULT_LOST && send_refusal(channel->client, plan.fault);
    }
    if (!stays && plan.faulty && plan.resets) {
        cut_with_reset(channel->client);
    }
    return stays;
}

static void *serve(void *context)
{
    struct channel *channel = context;
    struct faults *faults = channel->faults;
    struct message request = {.bytes = NULL};
    struct message answer = {.bytes = NULL};
    int index = connect_to(faults->options.target);
    lock(faults);
    channel->index = index;
    bool goes_on = index >= 0 && !faults->stopping;
    faults->count.away += index < 0;
    unlock(faults);
    while (goes_on) {
        goes_on = serve_one(channel, &request, &answer);
    }
    lock(faults);
    (void)close(channel->client);
    if (channel->index >= 0) {
        (void)close(channel->index);
    }
    channel->ended = true;
    unlock(faults);
    free(request.bytes);
    free(answer.bytes);
    return NULL;
}

/* ---- The listener ---- */

/* A place for a connection, of threads that have ended if need be; under the lock. */
static struct channel *free_channel(struct faults *faults)
{
    for (uint32_t i = 0; i < CHANNELS_MAX; i++) {
        struct channel *channel = &faults->channels[i];
        if (channel->used && channel->ended) {
            CHECK(pthread_join(channel->thread, NULL) == 0);
            channel->used = false;
        }
        if (!channel->used) {
            return channel;
        }
    }
    return NULL;
}

static void take_connection(struct faults *faults, int fd)
{
    int yes = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    lock(faults);
    faults->count.connections++;
    struct channel *channel = free_channel(faults);
    CHECK(channel != NULL);
    *channel = (struct channel){.faults = faults, .used = true, .client = fd, .index = -1};
    CHECK(pthread_create(&channel->thread, NULL, serve, channel) == 0);
    unlock(faults);
}

static void *listen_on(void *context)
{
    struct faults *faults = context;
    for (;;) {
        int fd = accept4(faults->listener, NULL, NULL, SOCK_CLOEXEC);
        lock(faults);
        bool stopping = faults->stopping;
        unlock(faults);
        if (stopping) {
            if (fd >= 0) {
                (void)close(fd);
            }
            return NULL;
        }
        if (fd >= 0) {
            take_connection(faults, fd);
        }
    }
}

struct faults *faults_start(const struct faults_options *options)
{
    struct faults *faults = calloc(1, sizeof *faults);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_non_null(faults);
    assert_true(options->one_in > 0 && options->seed != 0);
    faults->options = *options;
    faults->random = options->seed;
    draw_distance(faults);
    assert_int_equal(pthread_mutex_init(&faults->lock, NULL), 0);
    faults->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(faults->listener >= 0);
    assert_int_equal(bind(faults->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(faults->listener, CHANNELS_MAX), 0);
    assert_int_equal(getsockname(faults->listener, (struct sockaddr *)&address, &length), 0);
    faults->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&faults->thread, NULL, listen_on, faults), 0);
    return faults;
}

uint16_t faults_port(const struct faults *faults)
{
    return faults->port;
}

void faults_count(struct faults *faults, struct faults_count *count)
{
    lock(faults);
    *count = faults->count;
    unlock(faults);
}

void faults_stop(struct faults *faults)
{
    if (faults == NULL) {
        return;
    }
    lock(faults);
    faults->stopping = true;
    (void)shutdown(faults->listener, SHUT_RDWR);
    for (uint32_t i = 0; i < CHANNELS_MAX; i++) {
        struct channel *channel = &faults->channels[i];
        if (channel->used && !channel->ended) {
            (void)shutdown(channel->client, SHUT_RDWR);
            (void)shutdown(channel->index, SHUT_RDWR);
        }
    }
    unlock(faults);
    (void)pthread_join(faults->thread, NULL);
    for (uint32_t i = 0; i < CHANNELS_MAX; i++) {
        if (faults->channels[i].used) {
            (void)pthread_join(faults->channels[i].thread, NULL);
        }
    }
    (void)close(faults->listener);
    (void)pthread_mutex_destroy(&faults->lock);
    free(faults);
}
