/* The writer against an index that does what no healthy one does. */
#include "tests/e2e/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/index/script.h"
#include "tests/e2e/harness_index.h"
#include "tests/e2e/harness_writer.h"

static struct index_server *server;
static struct writing *writing;
static struct writing_options options;

static int begin(void **state)
{
    (void)state;
    server = index_start(0);
    options = (struct writing_options){.ports = {index_port(server)}};
    return 0;
}

static int end(void **state)
{
    (void)state;
    writing_close(writing);
    writing = NULL;
    index_stop(server);
    return 0;
}

static uint32_t seen(const char *path)
{
    uint32_t count = 0;
    for (size_t i = 0; i < index_seen(server); i++) {
        count += strstr(index_request(server, i)->path, path) != NULL;
    }
    return count;
}

static struct index_batch *documents(uint32_t count)
{
    struct index_batch *batch = writing_batch(writing, count);
    for (uint32_t i = 0; i < count; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "p%u", i);
        writing_put(writing, batch, id, "{\"n\":1}");
    }
    return batch;
}

/* ---- What is healthy ---- */

static void a_batch_is_written(void **state)
{
    (void)state;
    writing = writing_open(&options);
    struct told_result told = writing_write(writing, documents(3));
    assert_int_equal(told.acked, 3);
    assert_int_equal(told.count, 3);
    assert_int_equal(seen("_bulk"), 1);
    const struct index_request *request = index_request(server, index_seen(server) - 1);
    assert_string_equal(request->method, "POST");
    assert_non_null(strstr(request->path, "/_bulk?timeout=1667ms&filter_path="));
    assert_non_null(strstr(request->head, "Content-Type: application/x-ndjson"));
    assert_null(strstr(request->head, "Expect"));
    assert_int_equal(request->body[request->length - 1], '\n');
    struct told_status status = writing_status(writing);
    assert_true(status.ready);
    assert_string_equal(status.version, "opensearch 2.19.4");
    assert_int_equal(status.acked, 3);
    assert_int_equal(status.batches, 0);
    assert_int_equal(index_connections(server), 1); /* kept */
}

static void large_batches_are_cut(void **state)
{
    (void)state;
    options.request_bytes_max = 1000; /* about nine documents */
    writing = writing_open(&options);
    assert_int_equal(writing_write(writing, documents(50)).acked, 50);
    assert_in_range(seen("_bulk"), 5, 8);
    for (size_t i = 0; i < index_seen(server); i++) {
        assert_in_range(index_request(server, i)->length, 0, 1000);
    }
}

static void several_batches_at_a_time(void **state)
{
    (void)state;
    index_order(server, &(struct index_answer){.path = "_bulk", .times = 4, .delay_ms = 300});
    writing = writing_open(&options);
    writing_await_room(writing);
    assert_int_equal(writing_room(writing), 4);
    for (int i = 0; i < 4; i++) {
        writing_submit(writing, documents(1));
    }
    assert_int_equal(writing_room(writing), 0);
    struct index_batch *fifth = documents(1);
    assert_int_equal(writing_submit_anyway(writing, fifth), 1);
    uint64_t from = now_ms();
    (void)writing_await(writing, 4);
    assert_in_range(now_ms() - from, 0, 900); /* one after the other: 1200 */
}

/* ---- What goes wrong ---- */

static void single_documents_are_retried_or_parked(void **state)
{
    (void)state;
    const struct index_item items[] = {
        {1, 429, "rejected_execution_exception", "full"},
        {2, 400, "mapper_parsing_exception", "failed to parse field [n]"},
        {4, 403, "security_exception", "no permissions"},
    };
    index_order(server, &(struct index_answer){.path = "_bulk", .items = items, .item_count = 3});
    writing = writing_open(&options);
    struct told_result told = writing_write(writing, documents(5));
    static const uint8_t wanted[] = {TOLD_ACKED, TOLD_RETRY, TOLD_PARKED, TOLD_ACKED, TOLD_RETRY};
    assert_memory_equal(told.outcomes, wanted, sizeof wanted);
    assert_int_equal(told.parked, 1);
    assert_string_equal(told.code, "mapper_parsing_exception");
    assert_string_equal(told.message, "failed to parse field [n]");
    /* Each rests for its own reason. */
    assert_in_range(told.rest_ms[1], 10, 40);
    assert_in_range(told.rest_ms[4], 50, 100);
    /* The rest grows with those before it. */
    for (uint8_t rests = 0; rests <= 5; rests++) {
        const struct index_item again = {1, 503, "unavailable_shards_exception", ""};
        index_order(server,
                    &(struct index_answer){.path = "_bulk", .items = &again, .item_count = 1});
        writing_set_rests(writing, rests);
        told = writing_write(writing, documents(2));
        uint32_t full = 20u << rests < 100 ? 20u << rests : 100;
        assert_in_range(told.rest_ms[1], full / 2, full);
        assert_int_equal(told.rest_ms[0], 0);
    }
}

/* A part of the index that is not there: the core lets its documents rest, and there is room for
 * others at once. */
static void those_that_rest_hold_up_no_others(void **state)
{
    (void)state;
    const struct index_item away = {0, 503, "unavailable_shards_exception", "shard 3"};
    index_order(server, &(struct index_answer){
                            .path = "_bulk", .times = 20, .items = &away, .item_count = 1});
    writing = writing_open(&options);
    writing_set_rests(writing, 20); /* 50 to 100 ms each */
    writing_await_room(writing);
    for (int i = 0; i < 20; i++) {
        struct index_batch *batch = documents(2);
        uint32_t told = writing_told(writing);
        assert_int_equal(writing_room(writing), 4);
        assert_int_equal(writing_submit_anyway(writing, batch), 0);
        struct told_result result = writing_await(writing, told + 1);
        assert_true(result.acked == 1 && result.retried == 1);
        assert_in_range(result.rest_ms[0], 50, 100);
    }
    struct told_status status = writing_status(writing);
    assert_true(status.ready && !status.refused);
    assert_string_equal(status.message, "shard 3");
}

/* A missing right or index parks nothing, and the status says what is the matter, as long as it
 * is. */
static void a_refused_index_is_said(void **state)
{
    (void)state;
    const struct index_item refused[] = {
        {0, 403, "security_exception", "no permissions for [indices:data/write/bulk[s]]"},
        {1, 429, "rejected_execution_exception", "full"},
    };
    index_order(server, &(struct index_answer){.path = "_bulk", .items = refused, .item_count = 2});
    options.answer_ms = 300;
    writing = writing_open(&options);
    struct told_result told = writing_write(writing, documents(3));
    assert_true(told.acked == 1 && told.retried == 2 && told.refused == 1);
    struct told_status status = writing_status(writing);
    assert_true(status.ready && status.refused);
    assert_string_equal(status.code, "security_exception");
    assert_string_equal(status.message,
                        "index acme-products: no permissions for [indices:data/write/bulk[s]]");
    /* Other troubles do not hide it. */
    index_order(server,
                &(struct index_answer){.path = "_bulk", .items = &refused[1], .item_count = 1});
    assert_int_equal(writing_write(writing, documents(3)).retried, 1);
    status = writing_status(writing);
    assert_true(status.refused);
    assert_string_equal(status.code, "security_exception");
    /* Not repeated, it is over. */
    uint64_t until = now_ms() + 5000;
    while (writing_status(writing).refused && now_ms() < until) {
        sleep_ms(10);
    }
    assert_false(writing_status(writing).refused);
    index_order(server,
                &(struct index_answer){.path = "_bulk", .items = &refused[1], .item_count = 1});
    assert_int_equal(writing_write(writing, documents(3)).retried, 1);
    assert_string_equal(writing_status(writing).code, "rejected_execution_exception");
}

static void a_foreign_version_parks_the_second_time(void **state)
{
    (void)state;
    const struct index_item conflict = {
        0, 409, "version_conflict_engine_exception",
        "[p0]: version conflict, current version [777777] is higher or equal to the one provided "
        "[1]"};
    index_order(server, &(struct index_answer){
                            .path = "_bulk", .times = 2, .items = &conflict, .item_count = 1});
    writing = writing_open(&options);
    struct told_result told = writing_write(writing, documents(2));
    assert_int_equal(told.outcomes[0], TOLD_RETRY);
    assert_int_equal(told.outcomes[1], TOLD_ACKED);
    assert_int_equal(told.version_seen, 777777);
    told = writing_write(writing, documents(1));
    assert_int_equal(told.outcomes[0], TOLD_PARKED);
    assert_string_equal(told.code, "version_ahead");
    assert_int_equal(told.version_seen, 777777);
    assert_int_equal(writing_write(writing, documents(1)).acked, 1);
}

/* Refuses each request that has the document. */
static void the_bad_one_is_found(void **state)
{
    (void)state;
    options.requests_max = 1;
    writing = writing_open(&options);
    writing_await_room(writing);
    /* 64 documents and one bad: refused are the 64, then halves: the answers are in the order in
     * which they are asked, one at a time. */
    static const int statuses[] = {400, 200, 400, 200, 400, 200, 400, 200, 400, 200, 400, 200, 400};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        index_order(server,
                    &(struct index_answer){.path = "_bulk",
                                           .status = statuses[i],
                                           .body = statuses[i] == 200
                                                       ? NULL
                                                       : "{\"error\":{\"type\":\"illegal_argument_"
                                                         "exception\",\"reason\":\"bad line\"}}"});
    }
    struct told_result told = writing_write(writing, documents(64));
    assert_int_equal(told.acked, 63);
    assert_int_equal(told.parked, 1);
    assert_string_equal(told.code, "illegal_argument_exception");
    assert_string_equal(told.message, "bad line");
    assert_int_equal(seen("_bulk"), 13);
}

static void an_index_that_refuses_everything_parks_nothing(void **state)
{
    (void)state;
    index_order(server,
                &(struct index_answer){.path = "_bulk", .times = UINT32_MAX, .status = 400});
    writing = writing_open(&options);
    struct told_result told = writing_write(writing, documents(16));
    assert_int_equal(told.retried, 16);
    assert_in_range(seen("_bulk"), 16, 2 * 16);
    struct told_status status = writing_status(writing);
    assert_string_equal(status.code, "status_400");
    /* A few are parked, each with its reason: they would stand in the way of others. */
    told = writing_write(writing, documents(2));
    assert_int_equal(told.parked, 2);
    index_heal(server);
    assert_int_equal(writing_write(writing, documents(16)).acked, 16);
}

static void too_large_is_halved(void **state)
{
    (void)state;
    index_order(server, &(struct index_answer){.path = "_bulk", .status = 413});
    writing = writing_open(&options);
    assert_int_equal(writing_write(writing, documents(4)).acked, 4);
    assert_int_equal(seen("_bulk"), 3);
}

struct whole_row {
    struct index_answer answer;
    const char *code;
    const char *said;
    bool refused;
};

static void the_whole_comes_back(void **state)
{
    (void)state;
    static const struct whole_row rows[] = {
        {{.status = 429,
          .body = "{\"error\":{\"type\":\"circuit_breaking_exception\",\"reason\":\"too much\"}}"},
         "circuit_breaking_exception",
         "too much",
         false},
        {{.status = 503,
          .body = "OpenSearch Security not initialized.",
          .content_type = "text/plain"},
         "status_503",
         "not initialized",
         false},
        {{.status = 401, .body = "Unauthorized", .content_type = "text/plain"},
         "status_401",
         "Unauthorized",
         true},
        {{.status = 403}, "status_403", "403", true},
        {{.status = 404, .body = "<html>no</html>", .content_type = "text/html"},
         "status_404",
         "<html>",
         true},
        {{.status = 406, .body = "{\"error\":\"Content-Type\",\"status\":406}"},
         "status_406",
         "Content-Type",
         true},
        {{.reset = true}, "unreachable", "http://127.0.0.1:", false},
        {{.cut = true, .cut_at = 20}, "unreachable", "http://127.0.0.1:", false},
        {{.cut = true, .cut_at = 20, .chunked = true}, "unreachable", "http://127.0.0.1:", false},
        {{.body = "{\"items\":[]}"}, "answer_unreadable", "another number", false},
        {{.body = "OK", .content_type = "text/plain"}, "answer_unreadable", "no JSON", false},
        {{.hangs = true}, "unreachable", "overloaded, stopped", false},
        {{.piece = 10, .pause_ms = 400}, "unreachable", "overloaded, stopped", false},
    };
    options.answer_ms = 1500;
    writing = writing_open(&options);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct index_answer answer = rows[i].answer;
        answer.path = "_bulk";
        /* A kept connection may have died meanwhile, so its end is tried once more on a new one. */
        answer.times = answer.reset ? 2 : 1;
        index_order(server, &answer);
        struct told_result told = writing_write(writing, documents(3));
        if (told.retried != 3) {
            fail_msg("%s: %u retried", rows[i].code, told.retried);
        }
        struct told_status status = writing_status(writing);
        assert_string_equal(status.code, rows[i].code);
        assert_non_null(strstr(status.message, rows[i].said));
        assert_int_equal(writing_write(writing, documents(3)).acked, 3);
    }
}

/* An index that has very much to say about each document: fewer are sent at once. */
static void an_answer_that_is_too_long_is_asked_for_in_parts(void **state)
{
    (void)state;
    index_order(server, &(struct index_answer){.path = "_bulk", .padded_to = 9u * 1024 * 1024});
    writing = writing_open(&options);
    assert_int_equal(writing_write(writing, documents(4)).acked, 4);
    assert_int_equal(seen("_bulk"), 3);
    index_order(server, &(struct index_answer){.path = "_bulk", .padded_to = 9u * 1024 * 1024});
    struct told_result told = writing_write(writing, documents(1));
    assert_int_equal(told.parked, 1);
    assert_string_equal(told.code, "answer_too_long");
    assert_non_null(strstr(told.message, "longer than 8388608 bytes"));
}

static void slow_is_not_lost(void **state)
{
    (void)state;
    index_order(server, &(struct index_answer){.path = "_bulk", .piece = 16, .pause_ms = 20});
    writing = writing_open(&options);
    assert_int_equal(writing_write(writing, documents(3)).acked, 3);
}

static void away_there_is_no_room_and_pauses_grow(void **state)
{
    (void)state;
    index_order(server, &(struct index_answer){.times = UINT32_MAX, .status = 503});
    writing = writing_open(&options);
    struct told_status status = writing_await_trouble(writing, "status_503");
    assert_false(status.ready);
    assert_false(status.refused);
    sleep_ms(1500);
    assert_int_equal(writing_room(writing), 0);
    /* 20, 40, 80, 160, 200, 200 ...: with half of it by chance, 8 to 17 times in 1.5 s. */
    assert_in_range(index_seen(server), 5, 20);
    /* What comes nevertheless comes back. */
    struct index_batch *batch = documents(2);
    assert_int_equal(writing_submit_anyway(writing, batch), 0);
    assert_int_equal(writing_await(writing, 1).retried, 2);
    assert_int_equal(seen("_bulk"), 0);
    index_heal(server);
    assert_int_equal(writing_write(writing, documents(2)).acked, 2);
    status = writing_status(writing);
    assert_true(status.ready);
    assert_int_equal(status.away_since_ms, 0);
}

static void a_second_node_takes_over(void **state)
{
    (void)state;
    struct index_server *second = index_start(0);
    options.ports[1] = index_port(second);
    uint16_t port = index_port(server);
    writing = writing_open(&options);
    assert_int_equal(writing_write(writing, documents(2)).acked, 2);
    assert_int_equal(index_seen(second), 0);
    index_stop(server);
    /* The kept connection is dead, which the first request may find out. */
    uint32_t acked = writing_write(writing, documents(2)).acked;
    acked = acked == 2 ? acked : writing_write(writing, documents(2)).acked;
    assert_int_equal(acked, 2);
    assert_in_range(index_seen(second), 1, 20);
    /* And back, when the second one is gone. */
    server = index_start(port);
    index_stop(second);
    acked = 0;
    for (int i = 0; i < 5 && acked == 0; i++) {
        acked = writing_write(writing, documents(2)).acked;
    }
    assert_int_equal(acked, 2);
    assert_in_range(seen("_bulk"), 1, 5);
}

/* ---- Refreshes ---- */

static void a_refresh_covers_what_was_told(void **state)
{
    (void)state;
    writing = writing_open(&options);
    assert_int_equal(writing_refresh(writing).results, 0);
    const struct index_request *request = index_request(server, index_seen(server) - 1);
    assert_non_null(strstr(request->path, "/*-products,*-*/_refresh?")); /* of a life before */
    (void)writing_write(writing, documents(2));
    (void)writing_write(writing, documents(2));
    uint64_t before = writing_now_ms();
    struct told_refresh refreshed = writing_refresh(writing);
    assert_int_equal(refreshed.results, 2);
    assert_in_range(refreshed.sent_ms, before, writing_now_ms());
    request = index_request(server, index_seen(server) - 1);
    assert_non_null(strstr(request->path, "/acme-products/_refresh?"));
    /* Nothing new: no request. */
    assert_int_equal(writing_refresh(writing).results, 2);
    assert_int_equal(seen("_refresh"), 2);
}

static void those_who_wait_share_a_refresh(void **state)
{
    (void)state;
    writing = writing_open(&options);
    (void)writing_refresh(writing);
    (void)writing_write(writing, documents(1));
    index_order(server, &(struct index_answer){.path = "_refresh", .delay_ms = 200});
    for (int i = 0; i < 50; i++) {
        writing_ask_refresh(writing);
    }
    sleep_ms(50);
    (void)writing_write(writing, documents(1)); /* too late for the one under way */
    struct told_refresh refreshed = writing_refresh(writing);
    while (refreshed.results < 2) {
        assert_int_equal(refreshed.results, 1);
        refreshed = writing_refresh(writing);
    }
    assert_in_range(seen("_refresh"), 3, 4);
}

static void a_refresh_that_fails_is_tried_again(void **state)
{
    (void)state;
    index_order(server, &(struct index_answer){.path = "_refresh",
                                               .body = "{\"_shards\":{\"total\":2,\"failed\":1}}"});
    index_order(server, &(struct index_answer){.path = "_refresh", .status = 503});
    index_order(server, &(struct index_answer){.path = "_refresh", .body = "{}"});
    index_order(server, &(struct index_answer){.path = "_refresh", .reset = true});
    writing = writing_open(&options);
    (void)writing_write(writing, documents(1));
    assert_int_equal(writing_refresh(writing).results, 1);
    assert_int_equal(seen("_refresh"), 5);
    assert_int_equal(writing_refreshes(writing), 1);
}

static void refreshes_come_by_themselves(void **state)
{
    (void)state;
    options.refresh_ms = 100;
    writing = writing_open(&options);
    (void)writing_write(writing, documents(1));
    uint64_t until = now_ms() + 5000;
    while (seen("_refresh") < 2 && now_ms() < until) {
        sleep_ms(10);
    }
    sleep_ms(300); /* nothing new, no more of them */
    assert_in_range(seen("_refresh"), 1, 2);
}

/* ---- Before anything is written ---- */

static void the_script_is_stored_and_read_back(void **state)
{
    (void)state;
    char stored[8400];
    char quoted[8192] = "";
    for (const char *at = index_script_source; *at != '\0'; at++) {
        size_t length = strlen(quoted);
        (void)snprintf(quoted + length, sizeof quoted - length, *at == '\n' ? "\\n" : "%c", *at);
    }
    (void)snprintf(stored, sizeof stored,
                   "{\"_id\":\"x\",\"found\":true,\"script\":{\"lang\":\"painless\",\"source\":\"%s"
                   "\"}}",
                   quoted);
    options.fragments = true;
    index_order(server, &(struct index_answer){.path = "/_scripts/" INDEX_SCRIPT_NAME,
                                               .status = 404,
                                               .body = "{\"found\":false}"});
    index_order(server, &(struct index_answer){.path = "/update"});
    index_order(server, &(struct index_answer){.path = "_scripts", .body = stored});
    writing = writing_open(&options);
    writing_await_room(writing);
    assert_int_equal(index_seen(server), 5);
    const struct index_request *request = index_request(server, 2);
    assert_string_equal(request->method, "PUT");
    assert_string_equal(request->path, "/_scripts/" INDEX_SCRIPT_NAME "/update");
    /* Line breaks are escaped in another way here, and it is the same text. */
    assert_non_null(
        strstr(request->body, "\"source\":\"void merge(Map target, Map patch) {\\u000a"));
    struct index_batch *batch = writing_batch(writing, 1);
    writing_put_fragment(writing, batch, "o1", "{\"a\":1}");
    assert_int_equal(writing_write(writing, batch).acked, 1);
    assert_non_null(
        strstr(index_request(server, index_seen(server) - 1)->body, "\"id\":\"" INDEX_SCRIPT_NAME));
}

static void another_script_is_said(void **state)
{
    (void)state;
    options.fragments = true;
    index_order(server, &(struct index_answer){
                            .path = "_scripts",
                            .times = UINT32_MAX,
                            .body = "{\"found\":true,\"script\":{\"source\":\"ctx.op='none'\"}}"});
    writing = writing_open(&options);
    assert_true(writing_await_trouble(writing, "script_differs").refused);
    assert_int_equal(writing_room(writing), 0);
}

static void no_rights_are_said(void **state)
{
    (void)state;
    options.fragments = true;
    index_order(server,
                &(struct index_answer){.path = "_scripts",
                                       .times = UINT32_MAX,
                                       .status = 403,
                                       .body = "{\"error\":{\"type\":\"security_exception\","
                                               "\"reason\":\"no permissions\"}}"});
    writing = writing_open(&options);
    struct told_status status = writing_await_trouble(writing, "script_denied");
    assert_true(status.refused);
    assert_non_null(strstr(status.message, "cluster:admin/script/put"));
}

static void short_memory_is_said(void **state)
{
    (void)state;
    index_order(server, &(struct index_answer){
                            .path = "gc_deletes",
                            .body = "{\"acme-products\":{\"settings\":{},\"defaults\":{\"index.gc_"
                                    "deletes\":\"10s\"}},\"b\":{\"settings\":{\"index.gc_deletes\":"
                                    "\"1h\"}}}"});
    writing = writing_open(&options);
    assert_int_equal(writing_write(writing, documents(1)).acked, 1);
    struct told_status status = writing_status(writing);
    assert_string_equal(status.advice_code, "deletions_forgotten");
    assert_non_null(strstr(status.advice, "acme-products is 10s, but a write may come 30"));
}

static void something_else_is_said(void **state)
{
    (void)state;
    index_order(server, &(struct index_answer){
                            .times = UINT32_MAX, .body = "<html>", .content_type = "text/html"});
    writing = writing_open(&options);
    assert_true(writing_await_trouble(writing, "no_index").refused);
    index_heal(server);
    assert_int_equal(writing_write(writing, documents(1)).acked, 1);
}

static void stopped_amid_everything(void **state)
{
    (void)state;
    index_order(server, &(struct index_answer){.path = "_bulk", .times = 8, .hangs = true});
    writing = writing_open(&options);
    for (int i = 0; i < 4; i++) {
        writing_submit(writing, documents(4));
    }
    writing_ask_refresh(writing);
    uint64_t from = now_ms();
    writing_stop(writing);
    assert_in_range(now_ms() - from, 0, 1000);
    assert_int_equal(writing_told(writing), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_is_written),
        TEST(large_batches_are_cut),
        TEST(several_batches_at_a_time),
        TEST(single_documents_are_retried_or_parked),
        TEST(those_that_rest_hold_up_no_others),
        TEST(a_refused_index_is_said),
        TEST(a_foreign_version_parks_the_second_time),
        TEST(the_bad_one_is_found),
        TEST(an_index_that_refuses_everything_parks_nothing),
        TEST(too_large_is_halved),
        TEST(the_whole_comes_back),
        TEST(an_answer_that_is_too_long_is_asked_for_in_parts),
        TEST(slow_is_not_lost),
        TEST(away_there_is_no_room_and_pauses_grow),
        TEST(a_second_node_takes_over),
        TEST(a_refresh_covers_what_was_told),
        TEST(those_who_wait_share_a_refresh),
        TEST(a_refresh_that_fails_is_tried_again),
        TEST(refreshes_come_by_themselves),
        TEST(the_script_is_stored_and_read_back),
        TEST(another_script_is_said),
        TEST(no_rights_are_said),
        TEST(short_memory_is_said),
        TEST(something_else_is_said),
        TEST(stopped_amid_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
