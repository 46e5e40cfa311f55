/* The writer and a real OpenSearch: what it tells is what the index has. */
#include "tests/e2e/harness_opensearch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/harness_writer.h"

static struct scene scene;
static struct opensearch node;
static struct writing *writing;

static int set_up(void **state)
{
    (void)state;

    static const struct opensearch_options options = {.settings = NULL};
    scene_make(&scene);
    (void)opensearch_start(&node, &scene, &options);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    opensearch_end(&node);
    scene_end(&scene);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    if (node.pid == 0) {
        return 0;
    }
    static const char *const indices[] = {"/acme-products", "/acme-orders"};
    for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) {
        int status = 0;
        json_decref(opensearch_ask(&node, "DELETE", indices[i], NULL, &status));
        json_decref(opensearch_ask(&node, "PUT", indices[i],
                                   "{\"settings\":{\"number_of_replicas\":0,\"gc_deletes\":\"1h\","
                                   "\"refresh_interval\":\"-1\"},\"mappings\":{\"properties\":"
                                   "{\"n\":{\"type\":\"integer\"}}}}",
                                   &status));
        assert_int_equal(status, 200);
    }
    const struct writing_options options = {.ports = {node.port}, .fragments = true, .gzip = true};
    writing = writing_open(&options);
    return 0;
}

static int end(void **state)
{
    (void)state;
    writing_close(writing);
    writing = NULL;
    return 0;
}

/* The source of a document, NULL when there is none. The caller's to decref. */
static json_t *source_of(const char *path)
{
    json_t *document = opensearch_ask(&node, "GET", path, NULL, NULL);
    json_t *source = json_incref(json_object_get(document, "_source"));
    json_decref(document);
    return source;
}

static void assert_source(const char *path, const char *wanted)
{
    json_t *source = source_of(path);
    json_t *expected = wanted == NULL ? NULL : json_loads(wanted, 0, NULL);
    if (wanted == NULL) {
        assert_null(source);
    } else if (source == NULL || !json_equal(source, expected)) {
        char *text = source == NULL ? NULL : json_dumps(source, JSON_COMPACT);
        fail_msg("%s is %s", path, text);
    }
    json_decref(source);
    json_decref(expected);
}

static void documents_and_deletions(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct index_batch *batch = writing_batch(writing, 4);
    writing_put(writing, batch, "a \"b\"\\\n\x01é", "{\n \"n\":\r\n 1}");
    writing_put(writing, batch, "gone", NULL); /* was never there */
    writing_put(writing, batch, "p", "{\"n\":2}");
    assert_int_equal(writing_write(writing, batch).acked, 3);
    assert_source("/acme-products/_doc/a%20%22b%22%5C%0A%01%C3%A9", "{\"n\":1}");
    batch = writing_batch(writing, 2);
    writing_put(writing, batch, "p", NULL);
    writing_put(writing, batch, "q", "{\"n\":3}");
    assert_int_equal(writing_write(writing, batch).acked, 2);
    assert_source("/acme-products/_doc/p", NULL);
    assert_source("/acme-products/_doc/q", "{\"n\":3}");
    struct told_status status = writing_status(writing);
    assert_string_equal(status.version, "opensearch 2.19.4");
    assert_string_equal(status.advice_code, "");
}

static void fragments(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct index_batch *batch = writing_batch(writing, 2);
    writing_put_fragment(writing, batch, "o", "{\"a\":{\"b\":1,\"c\":null},\"d\":[1]}");
    writing_put_fragment(writing, batch, "o", "{\"a\":{\"e\":2},\"d\":null}");
    writing_put_fragment(writing, batch, "x", "{\"n\":1}");
    assert_int_equal(writing_write(writing, batch).acked, 2);
    assert_source("/acme-orders/_doc/o", "{\"a\":{\"b\":1,\"e\":2},\"_seq\":1001}");
    batch = writing_batch(writing, 1);
    writing_put_fragment(writing, batch, "o", NULL);
    assert_int_equal(writing_write(writing, batch).acked, 1);
    assert_source("/acme-orders/_doc/o", "{\"_deleted\":true,\"_seq\":1003}");
}

/* A counter that is behind the index, as after an older state was restored. */
static void versions_that_are_ahead_are_seen(void **state)
{
    (void)state;
    opensearch_needed(&node);
    writing_set_version(writing, 5000);
    struct index_batch *batch = writing_batch(writing, 2);
    writing_put(writing, batch, "]: version conflict, current version [9] x", "{\"n\":1}");
    writing_put_fragment(writing, batch, "o", "{\"a\":1}");
    assert_int_equal(writing_write(writing, batch).acked, 2);
    /* The same versions once more: it came twice, and is there. */
    writing_set_version(writing, 5000);
    batch = writing_batch(writing, 2);
    writing_put(writing, batch, "]: version conflict, current version [9] x", "{\"n\":1}");
    writing_put_fragment(writing, batch, "o", "{\"a\":1}");
    assert_int_equal(writing_write(writing, batch).acked, 2);
    for (int attempt = 1; attempt <= 2; attempt++) {
        writing_set_version(writing, 2000);
        batch = writing_batch(writing, 1);
        writing_put(writing, batch, "]: version conflict, current version [9] x", "{\"n\":2}");
        struct told_result told = writing_write(writing, batch);
        assert_int_equal(told.version_seen, 5000);
        assert_int_equal(told.outcomes[0], attempt == 1 ? TOLD_RETRY : TOLD_PARKED);
        batch = writing_batch(writing, 1);
        writing_put_fragment(writing, batch, "o", "{\"a\":2}");
        told = writing_write(writing, batch);
        assert_int_equal(told.version_seen, 5001);
        assert_int_equal(told.outcomes[0], attempt == 1 ? TOLD_RETRY : TOLD_PARKED);
        assert_string_equal(told.code, attempt == 1 ? "" : "version_ahead");
    }
    writing_set_version(writing, 6000);
    batch = writing_batch(writing, 2);
    writing_put(writing, batch, "]: version conflict, current version [9] x", "{\"n\":3}");
    writing_put_fragment(writing, batch, "o", "{\"a\":3}");
    assert_int_equal(writing_write(writing, batch).acked, 2);
    assert_source("/acme-orders/_doc/o", "{\"a\":3,\"_seq\":6001}");
}

static void poison_is_parked_alone(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct index_batch *batch = writing_batch(writing, 3);
    writing_put(writing, batch, "p1", "{\"n\":1}");
    writing_put(writing, batch, "p2", "{\"n\":\"abc\"}");
    writing_put(writing, batch, "p3", "{\"n\":3}");
    struct told_result told = writing_write(writing, batch);
    assert_int_equal(told.acked, 2);
    assert_int_equal(told.outcomes[1], TOLD_PARKED);
    assert_string_equal(told.code, "mapper_parsing_exception");
    assert_non_null(strstr(told.message, "failed to parse field [n]"));
}

static void put(const char *path, const char *body)
{
    int status = 0;
    json_decref(opensearch_ask(&node, "PUT", path, body, &status));
    assert_int_equal(status, 200);
}

static void post(const char *path)
{
    int status = 0;
    json_decref(opensearch_ask(&node, "POST", path, NULL, &status));
    assert_int_equal(status, 200);
}

/* One document for the index that is refused, and one for another; then both once more. */
static void assert_refused(const char *code)
{
    for (int attempt = 1; attempt <= 2; attempt++) {
        struct index_batch *batch = writing_batch(writing, 2);
        writing_put(writing, batch, "p", "{\"n\":1}");
        writing_put_fragment(writing, batch, "o", "{\"n\":1}");
        struct told_result told = writing_write(writing, batch);
        if (told.outcomes[0] != TOLD_RETRY) {
            fail_msg("parked: %s: %s", told.code, told.message);
        }
        assert_int_equal(told.outcomes[1], TOLD_ACKED);
        assert_int_equal(told.refused, 1);
        struct told_status status = writing_status(writing);
        assert_true(status.ready && status.refused);
        assert_string_equal(status.code, code);
        print_message("%s\n", status.message);
        assert_non_null(strstr(status.message, "acme-products"));
    }
}

static void assert_taken_again(void)
{
    struct index_batch *batch = writing_batch(writing, 1);
    writing_put(writing, batch, "p", "{\"n\":2}");
    assert_int_equal(writing_write(writing, batch).acked, 1);
    assert_source("/acme-products/_doc/p", "{\"n\":2}");
}

/* What is about the index parks no document, and is over when somebody has put it right. */
static void an_index_that_is_blocked(void **state)
{
    (void)state;
    opensearch_needed(&node);
    put("/acme-products/_settings", "{\"index.blocks.write\":true}");
    assert_refused("cluster_block_exception");
    put("/acme-products/_settings", "{\"index.blocks.write\":null}");
    assert_taken_again();
}

/* As when the disk is full. */
static void an_index_that_only_deletes(void **state)
{
    (void)state;
    opensearch_needed(&node);
    put("/acme-products/_settings", "{\"index.blocks.read_only_allow_delete\":true}");
    assert_refused("cluster_block_exception");
    put("/acme-products/_settings", "{\"index.blocks.read_only_allow_delete\":null}");
    assert_taken_again();
}

static void an_index_that_is_closed(void **state)
{
    (void)state;
    opensearch_needed(&node);
    post("/acme-products/_close");
    assert_refused("index_closed_exception");
    post("/acme-products/_open?wait_for_active_shards=1");
    assert_taken_again();
}

static void an_index_that_is_missing(void **state)
{
    (void)state;
    opensearch_needed(&node);
    int status = 0;
    put("/_cluster/settings", "{\"persistent\":{\"action.auto_create_index\":\"false\"}}");
    json_decref(opensearch_ask(&node, "DELETE", "/acme-products", NULL, &status));
    assert_int_equal(status, 200);
    assert_refused("index_not_found_exception");
    put("/acme-products", "{\"settings\":{\"number_of_replicas\":0}}");
    put("/_cluster/settings", "{\"persistent\":{\"action.auto_create_index\":null}}");
    assert_taken_again();
}

static void an_index_that_cannot_be_made(void **state)
{
    (void)state;
    opensearch_needed(&node);
    int status = 0;
    put("/_cluster/settings", "{\"persistent\":{\"cluster.max_shards_per_node\":\"1\"}}");
    json_decref(opensearch_ask(&node, "DELETE", "/acme-products", NULL, &status));
    assert_refused("validation_exception");
    put("/_cluster/settings", "{\"persistent\":{\"cluster.max_shards_per_node\":null}}");
    assert_taken_again();
}

/* One document that makes the index refuse the whole request: found among 100. */
static void a_refused_bulk_is_halved(void **state)
{
    (void)state;
    opensearch_needed(&node);
    char longest[600];
    memset(longest, 'x', 513);
    longest[513] = '\0';
    struct index_batch *batch = writing_batch(writing, 100);
    for (int i = 0; i < 100; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "p%d", i);
        writing_put(writing, batch, i == 61 ? longest : id, "{\"n\":1}");
    }
    struct told_result told = writing_write(writing, batch);
    assert_int_equal(told.acked, 99);
    assert_int_equal(told.outcomes[61], TOLD_PARKED);
    assert_non_null(strstr(told.message, "is too long"));
}

static size_t hits(void)
{
    json_t *found = opensearch_ask(&node, "GET", "/acme-products/_count", NULL, NULL);
    size_t count = (size_t)json_integer_value(json_object_get(found, "count"));
    json_decref(found);
    return count;
}

static void refreshed_is_searchable(void **state)
{
    (void)state;
    opensearch_needed(&node);
    (void)writing_refresh(writing);
    for (uint32_t i = 0; i < 20; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "p%u", i);
        struct index_batch *batch = writing_batch(writing, 1);
        writing_put(writing, batch, id, "{\"n\":1}");
        assert_int_equal(writing_write(writing, batch).acked, 1);
        assert_int_equal(hits(), i); /* not yet */
        assert_int_equal(writing_refresh(writing).results, i + 1);
        assert_int_equal(hits(), i + 1);
    }
}

/* Killed amid writing: what was acknowledged is there, what came back is written by the next. */
static void killed_and_back(void **state)
{
    (void)state;
    opensearch_needed(&node);
    uint32_t acked = 0;
    for (uint32_t i = 0; i < 60; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "p%u", i);
        if (i == 20) {
            opensearch_kill(&node);
        }
        if (i == 22) {
            static const struct opensearch_options options = {.settings = NULL};
            assert_true(opensearch_spawn(&node, &scene, &options));
        }
        struct index_batch *batch = writing_batch(writing, 1);
        writing_put(writing, batch, id, "{\"n\":1}");
        if (i == 20 || i == 21) { /* nobody is there */
            uint32_t told = writing_told(writing);
            assert_int_equal(writing_submit_anyway(writing, batch), 0);
            assert_int_equal(writing_await(writing, told + 1).acked, 0);
            continue;
        }
        uint64_t until = now_ms() + 60000;
        while (writing_room(writing) == 0 && now_ms() < until) {
            sleep_ms(10);
        }
        acked += writing_write(writing, batch).acked;
    }
    opensearch_await(&node);
    (void)writing_refresh(writing);
    assert_int_equal(hits(), acked);
    assert_in_range(acked, 50, 58);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(documents_and_deletions),          TEST(fragments),
        TEST(versions_that_are_ahead_are_seen), TEST(poison_is_parked_alone),
        TEST(an_index_that_is_blocked),         TEST(an_index_that_only_deletes),
        TEST(an_index_that_is_closed),          TEST(an_index_that_is_missing),
        TEST(an_index_that_cannot_be_made),     TEST(a_refused_bulk_is_halved),
        TEST(refreshed_is_searchable),          TEST(killed_and_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
