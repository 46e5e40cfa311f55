/* The index that misbehaves on demand does what it is told: what a client sees of each fault, and
 * that what it was sent is kept. */
#include "tests/e2e/harness_index.h"
#include "tests/e2e/harness_opensearch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct index_server *server;
static struct opensearch client; /* asks; there is no process behind it */

static const char bulk[] = "{\"index\":{\"_index\":\"docs\",\"_id\":\"a\"}}\n{\"n\":1}\n"
                           "{\"delete\":{\"_index\":\"docs\",\"_id\":\"b\"}}\n"
                           "{\"update\":{\"_index\":\"docs\",\"_id\":\"c\"}}\n{\"doc\":{}}\n";

static int set_up(void **state)
{
    (void)state;
    server = index_start(0);
    client = (struct opensearch){.timeout_ms = 5000};
    (void)snprintf(client.url, sizeof client.url, "http://127.0.0.1:%u", index_port(server));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    opensearch_end(&client);
    index_stop(server);
    return 0;
}

static struct opensearch_reply send_bulk(void)
{
    struct opensearch_reply reply;
    opensearch_request(&client, "POST", "/_bulk", bulk, &reply);
    return reply;
}

static void assert_status(int expected)
{
    struct opensearch_reply reply = send_bulk();
    assert_int_equal(reply.status, expected);
    free(reply.body);
}

static int item_status(const json_t *reply, size_t at, const char *action)
{
    const json_t *item =
        json_object_get(json_array_get(json_object_get(reply, "items"), at), action);
    return (int)json_integer_value(json_object_get(item, "status"));
}

static void test_healthy(void **state)
{
    (void)state;
    int status = 0;
    json_t *reply = opensearch_ask(&client, "POST", "/_bulk?filter_path=errors", bulk, &status);
    assert_int_equal(status, 200);
    assert_true(json_is_false(json_object_get(reply, "errors")));
    assert_int_equal(json_array_size(json_object_get(reply, "items")), 3);
    assert_int_equal(item_status(reply, 0, "index"), 200);
    assert_int_equal(item_status(reply, 1, "delete"), 200);
    assert_int_equal(item_status(reply, 2, "update"), 200);
    json_decref(reply);
    json_decref(opensearch_ask(&client, "PUT", "/_scripts/x/update", "{}", &status));
    assert_int_equal(status, 200);

    assert_int_equal(index_seen(server), 2);
    const struct index_request *first = index_request(server, 0);
    assert_string_equal(first->method, "POST");
    assert_string_equal(first->path, "/_bulk?filter_path=errors");
    assert_string_equal(first->body, bulk);
    assert_int_equal(first->length, strlen(bulk));
    assert_non_null(strstr(first->head, "Content-Type: application/json\r\n"));
    assert_string_equal(index_request(server, 1)->path, "/_scripts/x/update");
    assert_int_equal(index_request(server, 1)->connection, 0); /* kept alive */
    assert_int_equal(index_connections(server), 1);
}

static void test_refused_whole(void **state)
{
    (void)state;
    static const struct index_answer orders[] = {
        {.status = 429, .body = "{\"error\":{\"type\":\"rejected_execution_exception\"}}"},
        {.status = 503,
         .body = "OpenSearch Security not initialized.",
         .content_type = "text/plain"},
        {.status = 413},
        {.status = 400, .body = "{\"error\":{\"type\":\"illegal_argument_exception\"}}"},
    };
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        index_order(server, &orders[i]);
    }
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        struct opensearch_reply reply = send_bulk();
        assert_int_equal(reply.status, orders[i].status);
        assert_string_equal(reply.body, orders[i].body != NULL ? orders[i].body : "");
        free(reply.body);
    }
    assert_status(200);
    assert_int_equal(index_connections(server), 1);
}

static void test_refused_items(void **state)
{
    (void)state;
    const struct index_item items[] = {
        {.position = 0, .status = 429, .type = "rejected_execution_exception", .reason = "full"},
        {.position = 1, .status = 404},
        {.position = 2, .status = 403, .type = "cluster_block_exception"},
    };
    index_order(server, &(struct index_answer){.items = items, .item_count = 3});
    json_t *reply = opensearch_ask(&client, "POST", "/_bulk", bulk, NULL);
    assert_true(json_is_true(json_object_get(reply, "errors")));
    assert_int_equal(item_status(reply, 0, "index"), 429);
    assert_int_equal(item_status(reply, 1, "delete"), 404);
    assert_int_equal(item_status(reply, 2, "update"), 403);
    const json_t *first =
        json_object_get(json_array_get(json_object_get(reply, "items"), 0), "index");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(first, "error"), "reason")), "full");
    assert_string_equal(json_string_value(json_object_get(first, "_id")), "a");
    json_decref(reply);
    /* Not found is a result. */
    index_order(server, &(struct index_answer){.items = &items[1], .item_count = 1});
    reply = opensearch_ask(&client, "POST", "/_bulk", bulk, NULL);
    assert_true(json_is_false(json_object_get(reply, "errors")));
    json_decref(reply);
}

static void test_orders_fit_paths_and_end(void **state)
{
    (void)state;
    index_order(server, &(struct index_answer){.path = "_refresh", .status = 503});
    index_order(server, &(struct index_answer){.path = "_bulk", .status = 429, .times = 2});
    assert_status(429);
    assert_status(429);
    assert_status(200);
    int status = 0;
    json_decref(opensearch_ask(&client, "POST", "/docs/_refresh", NULL, &status));
    assert_int_equal(status, 503);
    json_decref(opensearch_ask(&client, "POST", "/docs/_refresh", NULL, &status));
    assert_int_equal(status, 200);
    index_order(server, &(struct index_answer){.status = 500, .times = UINT32_MAX});
    assert_status(500);
    assert_status(500);
    index_heal(server);
    assert_status(200);
    for (int i = 0; i < 1000; i++) { /* orders that are used up make room */
        index_order(server, &(struct index_answer){.status = 500});
        assert_status(500);
    }
}

static void test_slow(void **state)
{
    (void)state;
    uint64_t begin = now_ms();
    index_order(server, &(struct index_answer){.delay_ms = 150});
    assert_status(200);
    assert_true(now_ms() - begin >= 150);

    begin = now_ms();
    index_order(server, &(struct index_answer){.body = "0123456789", .piece = 2, .pause_ms = 40});
    struct opensearch_reply reply = send_bulk();
    assert_string_equal(reply.body, "0123456789");
    assert_true(now_ms() - begin >= 4 * 40);
    free(reply.body);

    begin = now_ms();
    index_order(server, &(struct index_answer){
                            .body = "0123456789", .piece = 3, .pause_ms = 20, .chunked = true});
    reply = send_bulk();
    assert_string_equal(reply.body, "0123456789");
    assert_true(now_ms() - begin >= 4 * 20);
    free(reply.body);

    client.timeout_ms = 200;
    index_order(server, &(struct index_answer){.hangs = true});
    assert_status(0);
    client.timeout_ms = 5000;
    assert_status(200);
    assert_int_equal(index_connections(server), 2);
}

static void test_cut(void **state)
{
    (void)state;
    static const struct index_answer orders[] = {
        {.cut = true, .cut_at = 7},
        {.cut = true, .cut_at = 0, .status = 503, .body = "never seen"},
        {.cut = true, .cut_at = 20, .chunked = true, .piece = 10},
        {.reset = true},
    };
    static const size_t arrived[] = {7, 0, 12, 0}; /* of the third one chunk and half of another */
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        index_order(server, &orders[i]);
        struct opensearch_reply reply = send_bulk();
        assert_int_equal(reply.status, 0);
        assert_int_equal(reply.length, arrived[i]);
        free(reply.body);
        assert_int_equal(index_connections(server), i + 1);
    }
    assert_status(200);
    index_order(server, &(struct index_answer){.closes = true});
    assert_status(200);
    unsigned connections = index_connections(server);
    assert_status(200);
    assert_int_equal(index_connections(server), connections + 1);
}

static void test_huge_error(void **state)
{
    (void)state;
    enum { HUGE = 8 * 1024 * 1024 };
    index_order(server, &(struct index_answer){.status = 400,
                                               .body = "{\"error\":\"long\"}",
                                               .header = "retry-after: 3",
                                               .padded_to = HUGE});
    struct opensearch_reply reply = send_bulk();
    assert_int_equal(reply.status, 400);
    assert_int_equal(reply.length, HUGE);
    assert_memory_equal(reply.body, "{\"error\":\"long\"}    ", 20);
    free(reply.body);
}

/* A connection of our own, for what libcurl would not send. */
static int connect_plainly(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(index_port(server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads until a text has come. */
static void hear(int fd, const char *text)
{
    char heard[4096];
    size_t length = 0;
    heard[0] = '\0';
    while (strstr(heard, text) == NULL) {
        ssize_t count = recv(fd, heard + length, sizeof heard - 1 - length, 0);
        assert_true(count > 0);
        length += (size_t)count;
        heard[length] = '\0';
    }
}

static void test_requests_in_every_form(void **state)
{
    (void)state;
    int fd = connect_plainly();
    /* In pieces, chunked, told to go on, and two at once. */
    say(fd, "POST /_bulk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"in");
    sleep_ms(30);
    say(fd, "d\r\n4;note=1\r\nex\"\n\r\n0\r\n\r\n");
    hear(fd, "HTTP/1.1 200");
    say(fd, "PUT /x HTTP/1.1\r\ncontent-length:3\r\nExpect: 100-continue\r\n\r\n");
    hear(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "abcGET /one HTTP/1.1\r\n\r\nGET /two HTTP/1.1\r\n\r\n");
    assert_true(index_await(server, 4, 5000));
    assert_false(index_await(server, 5, 20));
    assert_string_equal(index_request(server, 0)->body, "{\"index\"\n");
    assert_int_equal(index_request(server, 0)->length, 9);
    assert_string_equal(index_request(server, 1)->body, "abc");
    assert_string_equal(index_request(server, 2)->path, "/one");
    assert_string_equal(index_request(server, 3)->path, "/two");
    assert_true(index_request(server, 3)->at_ms >= index_request(server, 0)->at_ms);
    (void)close(fd);
}

/* It can go away and come back in the same place. */
static void test_same_port_again(void **state)
{
    (void)state;
    uint16_t port = index_port(server);
    assert_status(200);
    index_stop(server);
    assert_status(0);
    server = index_start(port);
    assert_status(200);
    assert_int_equal(index_seen(server), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_healthy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_items, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_orders_fit_paths_and_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_huge_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_requests_in_every_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_same_port_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
