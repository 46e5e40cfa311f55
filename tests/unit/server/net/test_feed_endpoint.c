/* The change-feed endpoint over real TLS, with subscribers in this process. */
#include "tests/unit/server/net/scene.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/req.h>

#include "proto/limits.h"
#include "server/net/feed_endpoint.h"

static struct feed_endpoint *endpoint;

static struct feed_endpoint_options standard(void)
{
    return (struct feed_endpoint_options){.url = scene.url,
                                          .border = &scene.border,
                                          .policy = scene.policy,
                                          .connections_max = 16,
                                          .connections_per_principal = 8,
                                          .connects_per_minute = 1000,
                                          .queue_frames = 128};
}

static void start(const struct feed_endpoint_options *options)
{
    char error[512];
    choose_url();
    if (feed_endpoint_start(options, &endpoint, error, sizeof error) != 0) {
        fail_msg("%s", error);
    }
}

static int stop(void **state)
{
    (void)state;
    feed_endpoint_stop(endpoint);
    endpoint = NULL;
    return 0;
}

static nng_socket subscriber_of(const char *who, const char *topic)
{
    nng_socket socket;
    assert_int_equal(nng_sub0_open(&socket), 0);
    assert_int_equal(nng_socket_set(socket, NNG_OPT_SUB_SUBSCRIBE, topic, strlen(topic)), 0);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, 10000), 0);
    assert_int_equal(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, LIMIT_FEED_MESSAGE_BYTES), 0);
    scene_dial(socket, who);
    return socket;
}

static void await_subscribers(uint32_t count)
{
    for (int i = 0; i < 400 && feed_endpoint_subscribers(endpoint) != count; i++) {
        nng_msleep(25);
    }
    assert_int_equal(feed_endpoint_subscribers(endpoint), count);
}

/* A message is its topic, a number, and zeros. */
#define HEAD_BYTES 6
static void send_number(const char *topic, uint32_t number, size_t length)
{
    static uint8_t message[LIMIT_FEED_MESSAGE_BYTES];
    memcpy(message, topic, 2);
    memcpy(message + 2, &number, sizeof number);
    feed_endpoint_send(endpoint, message, length);
}

static uint32_t receive_number(nng_socket socket, const char *topic, size_t *length)
{
    nng_msg *message = NULL;
    uint32_t number = 0;
    assert_int_equal(nng_recvmsg(socket, &message, 0), 0);
    *length = nng_msg_len(message);
    assert_true(*length >= HEAD_BYTES);
    const uint8_t *bytes = nng_msg_body(message);
    assert_memory_equal(bytes, topic, 2);
    memcpy(&number, bytes + 2, sizeof number);
    for (size_t i = HEAD_BYTES; i < *length; i++) {
        assert_int_equal(bytes[i], 0);
    }
    nng_msg_free(message);
    return number;
}

/* ---- Who is let in ---- */

static void test_who_is_let_in(void **state)
{
    (void)state;
    const struct feed_endpoint_options options = standard();
    start(&options);
    for (size_t i = 0; i < SCENE_PEERS; i++) {
        const struct scene_peer *peer = &scene_peers[i];
        bool feeds = peer->who != NULL && strcmp(peer->who, "worker") == 0;
        nng_socket socket = subscriber_of(peer->who, "c|");
        if (feeds) {
            size_t length;
            await_subscribers(1);
            send_number("c|", 7, 100);
            assert_int_equal(receive_number(socket, "c|", &length), 7);
        } else {
            await_log(peer->reason != NULL
                          ? peer->reason
                          : "reason=\"feed is not allowed\" principal=spiffe://t/other",
                      5);
            assert_int_equal(feed_endpoint_subscribers(endpoint), 0);
            nng_msleep(200); /* NNG loses a connection that is closed while it is being made */
        }
        assert_int_equal(nng_close(socket), 0);
        await_subscribers(0);
    }
}

/* Who is let in, but speaks another protocol. */
static void test_another_protocol(void **state)
{
    (void)state;
    const struct feed_endpoint_options options = standard();
    start(&options);
    nng_socket socket;
    assert_int_equal(nng_req0_open(&socket), 0);
    scene_dial(socket, "worker");
    await_log("NNG-PEER-MISMATCH", 5);
    await_subscribers(0);
    nng_socket good = subscriber_of("worker", "c|");
    size_t length;
    await_subscribers(1);
    send_number("c|", 1, 100);
    assert_int_equal(receive_number(good, "c|", &length), 1);
    assert_int_equal(nng_close(socket), 0);
    assert_int_equal(nng_close(good), 0);
}

static void test_caps(void **state)
{
    (void)state;
    struct feed_endpoint_options options = standard();
    options.connections_max = 3;
    options.connections_per_principal = 2;
    start(&options);
    nng_socket sockets[3];
    sockets[0] = subscriber_of("worker", "c|");
    sockets[1] = subscriber_of("worker", "c|");
    await_subscribers(2);
    nng_socket refused = subscriber_of("worker", "c|");
    await_log("connections_per_principal is reached", 5);
    sockets[2] = subscriber_of("third", "c|");
    await_subscribers(3);
    assert_int_equal(nng_close(refused), 0);
    refused = subscriber_of("third", "c|");
    await_log("reason=\"feed_connections_max is reached\"", 5);
    assert_int_equal(feed_endpoint_subscribers(endpoint), 3);
    /* A place that becomes free is taken by the one that goes on dialling. */
    assert_int_equal(nng_close(sockets[2]), 0);
    size_t length;
    for (uint32_t i = 0; i < 100 && feed_endpoint_subscribers(endpoint) == 3; i++) {
        nng_msleep(10);
    }
    await_subscribers(3);
    send_number("c|", 5, 10);
    assert_int_equal(receive_number(refused, "c|", &length), 5);
    assert_int_equal(nng_close(refused), 0);
    assert_int_equal(nng_close(sockets[0]), 0);
    assert_int_equal(nng_close(sockets[1]), 0);
}

static void test_connects_per_minute(void **state)
{
    (void)state;
    struct feed_endpoint_options options = standard();
    options.connects_per_minute = 3;
    start(&options);
    for (int i = 0; i < 3; i++) {
        nng_socket socket = subscriber_of("worker", "c|");
        await_subscribers(1);
        assert_int_equal(nng_close(socket), 0);
        await_subscribers(0);
    }
    nng_socket refused = subscriber_of("worker", "c|");
    await_log("connects_per_minute is reached", 5);
    assert_int_equal(feed_endpoint_subscribers(endpoint), 0);
    assert_int_equal(nng_close(refused), 0);
}

/* ---- What they get ---- */

static void test_messages_of_all_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {HEAD_BYTES,
                                   100,
                                   16 * 1024 - 8,
                                   16 * 1024,
                                   LIMIT_FEED_FRAME_BYTES,
                                   LIMIT_FEED_MESSAGE_BYTES};
    const struct feed_endpoint_options options = standard();
    start(&options);
    nng_socket history = subscriber_of("worker", "c|");
    nng_socket progress = subscriber_of("worker", "p|");
    await_subscribers(2);
    for (uint32_t i = 0; i < 60; i++) {
        size_t wanted = sizes[i % (sizeof sizes / sizeof sizes[0])];
        size_t length;
        send_number("c|", i, wanted);
        send_number("p|", 1000 + i, wanted);
        assert_int_equal(receive_number(history, "c|", &length), i);
        assert_int_equal(length, wanted);
        assert_int_equal(receive_number(progress, "p|", &length), 1000 + i);
        assert_int_equal(length, wanted);
    }
    assert_int_equal(nng_close(history), 0);
    assert_int_equal(nng_close(progress), 0);
    await_subscribers(0);
    send_number("c|", 1, 100); /* to nobody */
}

/* The last message before the end arrives, behind all others. */
static void test_the_goodbye_arrives(void **state)
{
    (void)state;
    const struct feed_endpoint_options options = standard();
    for (int round = 0; round < 3; round++) {
        start(&options);
        nng_socket socket = subscriber_of("worker", "c|");
        await_subscribers(1);
        for (uint32_t i = 0; i < 40; i++) {
            send_number("c|", i, LIMIT_FEED_FRAME_BYTES);
        }
        feed_endpoint_stop(endpoint);
        endpoint = NULL;
        size_t length;
        for (uint32_t i = 0; i < 40; i++) {
            assert_int_equal(receive_number(socket, "c|", &length), i);
        }
        assert_int_equal(nng_close(socket), 0);
    }
}

/* ---- Those who do not read ---- */

/* One connection from `port` to the endpoint, which can be held up in the middle. */
struct passage {
    int listener;
    uint16_t port;
    atomic_bool held;
    atomic_bool ended;
    pthread_t thread;
};

static bool carry(int from, int to)
{
    char bytes[16384];
    ssize_t length = recv(from, bytes, sizeof bytes, 0);
    for (ssize_t sent = 0; sent < length;) {
        ssize_t n = send(to, bytes + sent, (size_t)(length - sent), MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        sent += n;
    }
    return length > 0;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

static void *pass(void *context)
{
    struct passage *passage = context;
    int client = accept(passage->listener, NULL, NULL);
    int server = connect_to(passage->port);
    bool open = client >= 0 && server >= 0;
    while (open && !atomic_load(&passage->ended)) {
        struct pollfd wait[2] = {{.fd = client, .events = POLLIN},
                                 {.fd = server, .events = POLLIN}};
        if (atomic_load(&passage->held) || poll(wait, 2, 20) == 0) {
            nng_msleep(5);
            continue;
        }
        open = (wait[0].revents == 0 || carry(client, server)) &&
               (wait[1].revents == 0 || carry(server, client));
    }
    (void)close(client);
    (void)close(server);
    return NULL;
}

/* Has the next one who dials scene.url go through it. */
static void passage_open(struct passage *passage)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    passage->port = (uint16_t)strtoul(strrchr(scene.url, ':') + 1, NULL, 10);
    passage->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(passage->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(passage->listener, 1), 0);
    assert_int_equal(getsockname(passage->listener, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(scene.url, sizeof scene.url, "tls+tcp://127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&passage->thread, NULL, pass, passage), 0);
}

static void passage_close(struct passage *passage)
{
    atomic_store(&passage->ended, true);
    assert_int_equal(pthread_join(passage->thread, NULL), 0);
    assert_int_equal(close(passage->listener), 0);
}

/* One that does not read loses messages, the oldest first, and nobody else notices. */
static void test_one_that_does_not_read(void **state)
{
    (void)state;
    enum { QUEUE = 8, COUNT = 400 };
    struct feed_endpoint_options options = standard();
    options.queue_frames = QUEUE;
    start(&options);
    nng_socket good = subscriber_of("worker", "c|");
    await_subscribers(1);
    struct passage passage = {.held = false};
    passage_open(&passage);
    nng_socket slow = subscriber_of("worker", "c|");
    await_subscribers(2);
    atomic_store(&passage.held, true);
    uint64_t slowest_ms = 0;
    size_t length;
    for (uint32_t i = 0; i < COUNT; i++) {
        uint64_t from_ms = nng_clock();
        send_number("c|", i, LIMIT_FEED_FRAME_BYTES);
        uint64_t took_ms = nng_clock() - from_ms;
        slowest_ms = took_ms > slowest_ms ? took_ms : slowest_ms;
        assert_int_equal(receive_number(good, "c|", &length), i);
    }
    assert_true(slowest_ms < 2000);
    assert_int_equal(feed_endpoint_subscribers(endpoint), 2);
    atomic_store(&passage.held, false);
    /* What was under way, then a gap, then the last ones of the queue. */
    uint32_t next = 0;
    uint32_t number = receive_number(slow, "c|", &length);
    for (; number == next; next++) {
        number = receive_number(slow, "c|", &length);
    }
    assert_int_equal(number, COUNT - QUEUE);
    assert_true(next < COUNT - QUEUE);
    for (; number < COUNT - 1; number++) {
        assert_int_equal(receive_number(slow, "c|", &length), number + 1);
    }
    send_number("c|", COUNT, 100);
    assert_int_equal(receive_number(slow, "c|", &length), COUNT);
    assert_int_equal(nng_close(slow), 0);
    assert_int_equal(nng_close(good), 0);
    passage_close(&passage);
}

/* The end does not wait for it either. */
static void test_the_end_with_one_that_does_not_read(void **state)
{
    (void)state;
    const struct feed_endpoint_options options = standard();
    start(&options);
    struct passage passage = {.held = false};
    passage_open(&passage);
    nng_socket slow = subscriber_of("worker", "c|");
    await_subscribers(1);
    atomic_store(&passage.held, true);
    for (uint32_t i = 0; i < 300; i++) {
        send_number("c|", i, LIMIT_FEED_FRAME_BYTES);
    }
    uint64_t from_ms = nng_clock();
    feed_endpoint_stop(endpoint);
    endpoint = NULL;
    uint64_t took_ms = nng_clock() - from_ms;
    assert_true(took_ms >= 300);
    assert_true(took_ms < 3000);
    passage_close(&passage);
    assert_int_equal(nng_close(slow), 0);
}

/* What the bound of the memory rests on: a message that waits for many is there once. */
static void test_what_waits_is_shared(void **state)
{
    (void)state;
    enum { COUNT = 6, QUEUE = 64 };
    struct feed_endpoint_options options = standard();
    options.queue_frames = QUEUE;
    start(&options);
    char url[sizeof scene.url];
    memcpy(url, scene.url, sizeof url);
    struct passage passages[COUNT] = {0};
    nng_socket slow[COUNT];
    for (int i = 0; i < COUNT; i++) {
        passage_open(&passages[i]);
        slow[i] = subscriber_of("worker", "c|");
        await_subscribers((uint32_t)i + 1);
        atomic_store(&passages[i].held, true);
        memcpy(scene.url, url, sizeof url);
    }
    struct mallinfo2 before = mallinfo2();
    for (uint32_t i = 0; i < 8 * QUEUE; i++) {
        send_number("c|", i, LIMIT_FEED_MESSAGE_BYTES);
        if (i % QUEUE == 0) {
            nng_msleep(100); /* until their sockets are full, too */
        }
    }
    struct mallinfo2 after = mallinfo2();
    size_t grown = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
    if (before.uordblks > 0) { /* no sanitizer in malloc's place */
        assert_in_range(grown, QUEUE * LIMIT_FEED_MESSAGE_BYTES,
                        (QUEUE + COUNT) * (LIMIT_FEED_MESSAGE_BYTES + 256) + (1 << 20));
    }
    for (int i = 0; i < COUNT; i++) {
        passage_close(&passages[i]);
        assert_int_equal(nng_close(slow[i]), 0);
    }
}

static void test_connections_that_break(void **state)
{
    (void)state;
    const struct feed_endpoint_options options = standard();
    start(&options);
    char url[sizeof scene.url];
    memcpy(url, scene.url, sizeof url);
    for (int round = 0; round < 3; round++) {
        struct passage passage = {.held = false};
        passage_open(&passage);
        nng_socket slow = subscriber_of("worker", "c|");
        await_subscribers(1);
        atomic_store(&passage.held, true);
        for (uint32_t i = 0; i < 100; i++) {
            send_number("c|", i, LIMIT_FEED_FRAME_BYTES);
        }
        passage_close(&passage);
        await_subscribers(0);
        assert_int_equal(nng_close(slow), 0);
        memcpy(scene.url, url, sizeof url);
    }
    nng_socket good = subscriber_of("worker", "c|");
    await_subscribers(1);
    assert_int_equal(nng_close(good), 0);
}

/* ---- The rest ---- */

static void test_start_errors(void **state)
{
    (void)state;
    char error[512];
    struct feed_endpoint_options options = standard();
    start(&options);
    struct feed_endpoint *second = NULL;
    assert_int_equal(feed_endpoint_start(&options, &second, error, sizeof error), -1);
    assert_null(second);
    assert_non_null(strstr(error, "listening"));
    /* With NNG's own way of giving certificates. */
    struct border broken = {.gate = scene.border.gate,
                            .ca_pem = scene.tls.ca_pem,
                            .cert_pem = scene.tls.cert_pem,
                            .key_pem = scene.tls.key_pem};
    broken.key_pem = "nonsense";
    options.border = &broken;
    assert_int_equal(feed_endpoint_start(&options, &second, error, sizeof error), -1);
    assert_non_null(strstr(error, "TLS"));
    feed_endpoint_stop(NULL);
}

static void add_part(void *context, const char *name, size_t bytes)
{
    assert_memory_equal(name, "feed: ", 6);
    *(size_t *)context += bytes;
}

static void test_memory(void **state)
{
    (void)state;
    struct feed_endpoint_options options = standard();
    options.connections_max = 100;
    size_t bytes = 0;
    feed_endpoint_memory_parts(&options, add_part, &bytes);
    assert_in_range(bytes, 228 * LIMIT_FEED_MESSAGE_BYTES + 100 * 96 * 1024, 32 << 20);
    /* A message that waits for all is there once; a queue's place is a pointer of each. */
    size_t more = 0;
    options.queue_frames += 1;
    feed_endpoint_memory_parts(&options, add_part, &more);
    assert_in_range(more - bytes, LIMIT_FEED_MESSAGE_BYTES,
                    LIMIT_FEED_MESSAGE_BYTES + 1024 + 100 * 128 * sizeof(void *));
    assert_in_range(feed_endpoint_leak_bytes_per_day(&options), 1000 * 1440 * 1000ull,
                    1000 * 1440 * 8192ull);
}

static int setup(void **state)
{
    (void)state;
    return scene_make("rule \"spiffe://t/worker\" { methods = {read} tenant = acme feed = true }\n"
                      "rule \"spiffe://t/third\" { methods = {read} tenant = acme feed = true }\n"
                      "rule \"spiffe://t/other\" { methods = {read} tenant = acme }\n");
}

static int teardown(void **state)
{
    (void)state;
    scene_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_is_let_in, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_another_protocol, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_caps, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_connects_per_minute, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_messages_of_all_sizes, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_the_goodbye_arrives, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_one_that_does_not_read, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_the_end_with_one_that_does_not_read, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_what_waits_is_shared, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_connections_that_break, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_start_errors, fresh_log, stop),
        cmocka_unit_test_setup_teardown(test_memory, fresh_log, stop),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
