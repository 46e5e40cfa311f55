#include "tests/e2e/harness_crowd.h"

#include <activity_admin.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int crowd_connect(uint16_t port, uint8_t host)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1u + host)};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        fail_msg("no connection from 127.0.0.%u: %s", host, strerror(errno));
    }
    return fd;
}

void crowd_reset(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)close(fd);
}

enum crowd_end crowd_await_end(int fd, uint32_t milliseconds)
{
    uint64_t end = now_ms() + milliseconds;
    bool answered = false;
    for (uint64_t now = now_ms(); now < end; now = now_ms()) {
        char bytes[4096];
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        (void)poll(&poll_fd, 1, (int)(end - now));
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            return answered ? CROWD_ANSWERED : CROWD_CLOSED;
        }
        answered = answered || got > 0;
    }
    return CROWD_OPEN;
}

size_t crowd_closed(int *fds, size_t count)
{
    size_t closed = 0;
    for (size_t i = 0; i < count; i++) {
        char bytes[4096];
        ssize_t got = fds[i] < 0 ? 0 : 1;
        while (got > 0) {
            got = recv(fds[i], bytes, sizeof bytes, MSG_DONTWAIT);
        }
        if (fds[i] >= 0 && (got == 0 || errno != EAGAIN)) {
            (void)close(fds[i]);
            fds[i] = -1;
        }
        closed += fds[i] < 0;
    }
    return closed;
}

/* ---- Good clients ---- */

struct steady {
    const struct server *server;
    pthread_t threads[2];
    atomic_bool over;
    pthread_mutex_t lock;
    struct steady_count count;
};

static int call_once(activity_client *client, struct activity_error *error)
{
    struct activity_call_options options = ACTIVITY_CALL_OPTIONS_INIT;
    activity_result *result = NULL;
    options.timeout_ms = 20000;
    options.never_repeat = true;
    const struct activity_find_request find = {.activities = true};
    int code = activity_find(client, &find, &options, &result, error);
    activity_result_free(result);
    return code;
}

static void take(struct steady *steady, uint32_t *counter, int code, uint64_t since_ms,
                 const struct activity_error *error)
{
    (void)pthread_mutex_lock(&steady->lock);
    struct steady_count *count = &steady->count;
    uint64_t ms = now_ms() - since_ms;
    (*counter)++;
    count->worst_ms = ms > count->worst_ms ? ms : count->worst_ms;
    if (code != 0) {
        count->failed++;
        (void)snprintf(count->failure, sizeof count->failure, "%s %.60s: %.120s",
                       activity_code_name(code), error->reason, error->message);
    }
    (void)pthread_mutex_unlock(&steady->lock);
}

static void *call_steadily(void *context)
{
    struct steady *steady = context;
    struct activity_error error = {0};
    activity_client *client = client_of(steady->server, "worker", NULL, NULL, NULL);
    while (!atomic_load(&steady->over)) {
        uint64_t since_ms = now_ms();
        int code = call_once(client, &error);
        take(steady, &steady->count.calls, code, since_ms, &error);
        sleep_ms(10);
    }
    activity_client_free(client);
    return NULL;
}

static void *connect_steadily(void *context)
{
    struct steady *steady = context;
    struct activity_error error = {0};
    while (!atomic_load(&steady->over)) {
        activity_client *client = client_of(steady->server, "boss", NULL, NULL, NULL);
        uint64_t since_ms = now_ms();
        int code = call_once(client, &error);
        take(steady, &steady->count.connects, code, since_ms, &error);
        activity_client_free(client);
        sleep_ms(200);
    }
    return NULL;
}

struct steady *steady_start(const struct server *server)
{
    struct steady *steady = calloc(1, sizeof *steady);
    assert_non_null(steady);
    steady->server = server;
    (void)pthread_mutex_init(&steady->lock, NULL);
    assert_int_equal(pthread_create(&steady->threads[0], NULL, call_steadily, steady), 0);
    assert_int_equal(pthread_create(&steady->threads[1], NULL, connect_steadily, steady), 0);
    return steady;
}

void steady_stop(struct steady *steady, struct steady_count *count)
{
    atomic_store(&steady->over, true);
    for (size_t i = 0; i < 2; i++) {
        (void)pthread_join(steady->threads[i], NULL);
    }
    *count = steady->count;
    (void)pthread_mutex_destroy(&steady->lock);
    free(steady);
}

void steady_assert(struct steady *steady, uint64_t worst_ms)
{
    struct steady_count count;
    steady_stop(steady, &count);
    if (count.failed > 0) {
        fail_msg("%u of %u calls and %u connects failed: %s", count.failed, count.calls,
                 count.connects, count.failure);
    }
    print_message("%u calls, %u connects, the slowest %u ms\n", count.calls, count.connects,
                  (unsigned)count.worst_ms);
    assert_true(count.calls > 0 && count.connects > 0);
    assert_true(count.worst_ms <= worst_ms);
}

uint64_t refusals_of(const struct server *server, const char *reason)
{
    activity_result *result;
    struct activity_error error;
    uint64_t count = 0;
    activity_client *client = client_of(server, "root", NULL, NULL, NULL);
    assert_ok(activity_get_server_info(client, NULL, &result, &error), error);
    const struct activity_tls_info *tls = activity_result_server_info(result)->tls;
    assert_non_null(tls);
    for (size_t i = 0; i < tls->refusal_count; i++) {
        count += strcmp(tls->refusals[i].reason, reason) == 0 ? tls->refusals[i].count : 0;
    }
    activity_result_free(result);
    activity_client_free(client);
    return count;
}

void assert_descriptors(const struct server *server, size_t most, uint32_t milliseconds)
{
    uint64_t end = now_ms() + milliseconds;
    size_t open = server_descriptors(server);
    while (open > most && now_ms() < end) {
        sleep_ms(50);
        open = server_descriptors(server);
    }
    assert_in_range(open, 0, most);
}
