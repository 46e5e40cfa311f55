/* What a real OpenSearch does, as far as writing to an index rests on it: versions, refusals, what
 * is searchable and what survives. */
#include "tests/e2e/harness_opensearch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTENT_MAX = 1024 * 1024, KEPT_AT_LEAST = 3000, KEPT_BULK = 100, KEPT_MAX = 400000 };

static struct scene scene;
static struct opensearch node;

static const char *const settings[] = {"http.max_content_length=1mb",
                                       "indexing_pressure.memory.limit=700kb",
                                       "action.auto_create_index=false", NULL};
static const struct opensearch_options options = {.settings = settings};

/* JSON in which ' stands for ", in a static ring: good for a few. */
static const char *quoted(const char *text)
{
    static char ring[4][16384];
    static unsigned at;
    char *copy = ring[at++ % 4];
    assert_true(strlen(text) < sizeof ring[0]);
    (void)strcpy(copy, text);
    for (char *c = copy; (c = strchr(c, '\'')) != NULL;) {
        *c = '"';
    }
    return copy;
}

static void make_index(const char *name, const char *index_settings, const char *mappings)
{
    char body[1024];
    char path[64];
    int status = 0;
    (void)snprintf(path, sizeof path, "/%s", name);
    (void)snprintf(body, sizeof body,
                   "{'settings':{'number_of_shards':1,'number_of_replicas':0%s},'mappings':{%s}}",
                   index_settings, mappings);
    json_decref(opensearch_ask(&node, "PUT", path, quoted(body), &status));
    assert_int_equal(status, 200);
}

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    if (opensearch_start(&node, &scene, &options)) {
        make_index("docs", ",'gc_deletes':'1h'",
                   "'properties':{'n':{'type':'integer'},'word':{'type':'keyword'}}");
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    opensearch_end(&node);
    scene_end(&scene);
    return 0;
}

/* "STATUS RESULT" or "STATUS ERROR-TYPE" of each item, a comma between them. */
static void describe(const json_t *reply, char *text, size_t size)
{
    const json_t *items = json_object_get(reply, "items");
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(items) && length < size; i++) {
        const json_t *item = json_object_iter_value(json_object_iter(json_array_get(items, i)));
        const char *word = json_string_value(json_object_get(item, "result"));
        const char *type =
            json_string_value(json_object_get(json_object_get(item, "error"), "type"));
        length += (size_t)snprintf(text + length, size - length, "%s%d %s", i == 0 ? "" : ", ",
                                   (int)json_integer_value(json_object_get(item, "status")),
                                   type != NULL   ? type
                                   : word != NULL ? word
                                                  : "");
    }
}

/* Sends a bulk that is accepted as a whole; what its items must come to, as describe() says. */
static void assert_bulk(const char *path, const char *lines, bool errors, const char *expected)
{
    int status = 0;
    char text[2048];
    json_t *reply = opensearch_ask(&node, "POST", path, quoted(lines), &status);
    assert_int_equal(status, 200);
    describe(reply, text, sizeof text);
    assert_string_equal(text, expected);
    assert_int_equal(json_is_true(json_object_get(reply, "errors")), errors);
    json_decref(reply);
}

/* Sends a bulk that is refused as a whole. */
static void assert_refused(const char *body, int expected, const char *type, const char *reason)
{
    int status = 0;
    json_t *reply = opensearch_ask(&node, "POST", "/docs/_bulk", body, &status);
    assert_int_equal(status, expected);
    const json_t *error = json_object_get(reply, "error");
    assert_string_equal(json_string_value(json_object_get(error, "type")), type);
    const char *said = json_string_value(json_object_get(error, "reason"));
    if (said == NULL || strstr(said, reason) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", said, reason);
    }
    json_decref(reply);
}

static int64_t version_of(const char *path)
{
    json_t *document = opensearch_ask(&node, "GET", path, NULL, NULL);
    int64_t version = json_is_true(json_object_get(document, "found"))
                          ? json_integer_value(json_object_get(document, "_version"))
                          : -1;
    json_decref(document);
    return version;
}

static int64_t count_of(const char *path)
{
    json_t *reply = opensearch_ask(&node, "GET", path, NULL, NULL);
    assert_true(json_is_integer(json_object_get(reply, "count")));
    int64_t count = json_integer_value(json_object_get(reply, "count"));
    json_decref(reply);
    return count;
}

static void ask_ok(const char *method, const char *path, const char *body)
{
    int status = 0;
    json_decref(opensearch_ask(&node, method, path, body == NULL ? NULL : quoted(body), &status));
    assert_int_equal(status, 200);
}

/* ---- Versions ---- */

#define INDEX(id, version)                                                                         \
    "{'index':{'_id':'" id "','version':" version ",'version_type':'external'}}\n{'n':1}\n"
#define DELETE(id, version)                                                                        \
    "{'delete':{'_id':'" id "','version':" version ",'version_type':'external'}}\n"
#define CONFLICT "409 version_conflict_engine_exception"

static void test_external_versions(void **state)
{
    (void)state;
    opensearch_needed(&node);
    assert_bulk("/docs/_bulk", INDEX("e", "5") INDEX("e", "5") INDEX("e", "4"), true,
                "201 created, " CONFLICT ", " CONFLICT);
    assert_bulk("/docs/_bulk", INDEX("e", "9"), false, "200 updated");
    assert_int_equal(version_of("/docs/_doc/e"), 9);
    /* One id three times in one bulk: in order. */
    assert_bulk("/docs/_bulk", INDEX("o", "3") INDEX("o", "2") INDEX("o", "4"), true,
                "201 created, " CONFLICT ", 200 updated");
    assert_bulk("/docs/_bulk", INDEX("z", "0") INDEX("m", "9223372036854775807"), false,
                "201 created, 201 created");
    assert_refused(quoted(INDEX("ok", "1") INDEX("neg", "-1")), 400,
                   "action_request_validation_exception", "illegal version value [-1]");
    assert_int_equal(version_of("/docs/_doc/ok"), -1);
}

static void test_deletions_keep_their_version(void **state)
{
    (void)state;
    opensearch_needed(&node);
    assert_bulk("/docs/_bulk", INDEX("d", "9") DELETE("d", "12"), false,
                "201 created, 200 deleted");
    assert_bulk("/docs/_bulk", INDEX("d", "11") DELETE("d", "12") INDEX("d", "13"), true,
                CONFLICT ", " CONFLICT ", 201 created");
    /* Not found is no error, and leaves a tombstone, too. */
    assert_bulk("/docs/_bulk", DELETE("never", "3"), false, "404 not_found");
    assert_bulk("/docs/_bulk", INDEX("never", "2"), true, CONFLICT);
}

/* A tombstone lives gc_deletes long; then what comes late brings the document back. */
static void test_tombstones_end(void **state)
{
    (void)state;
    opensearch_needed(&node);
    make_index("short", ",'gc_deletes':'200ms'", "");
    int status = 0;
    json_t *known = opensearch_ask(
        &node, "GET", "/docs,short/_settings?flat_settings=true&filter_path=*.settings", NULL,
        &status);
    assert_int_equal(status, 200);
    assert_string_equal(
        json_string_value(json_object_get(
            json_object_get(json_object_get(known, "docs"), "settings"), "index.gc_deletes")),
        "1h");
    json_decref(known);
    uint64_t end = now_ms() + 20000;
    char text[64] = "";
    assert_bulk("/short/_bulk", INDEX("t", "5") DELETE("t", "9"), false,
                "201 created, 200 deleted");
    while (strcmp(text, "201 created") != 0 && now_ms() < end) {
        json_t *reply =
            opensearch_ask(&node, "POST", "/short/_bulk", quoted(INDEX("t", "7")), NULL);
        describe(reply, text, sizeof text);
        json_decref(reply);
        sleep_ms(100);
    }
    assert_string_equal(text, "201 created");
    assert_int_equal(version_of("/short/_doc/t"), 7);
}

static void test_versions_and_updates_do_not_mix(void **state)
{
    (void)state;
    opensearch_needed(&node);
    assert_refused(quoted(INDEX("ok", "1") "{'update':{'_id':'e','version':14,'version_type':"
                                           "'external'}}\n{'doc':{'n':2}}\n"),
                   400, "illegal_argument_exception", "do not support versioning");
    assert_refused(quoted("{'create':{'_id':'c','version':1,'version_type':'external'}}\n{}\n"),
                   400, "action_request_validation_exception", "only support internal versioning");
    assert_int_equal(version_of("/docs/_doc/ok"), -1);
    /* An update counts the version up by itself, into that of the next one from outside. */
    assert_bulk("/docs/_bulk",
                INDEX("u", "100") "{'update':{'_id':'u'}}\n{'doc':{'n':2}}\n" INDEX("u", "101"),
                true, "201 created, 200 updated, " CONFLICT);
}

/* ---- Refusals ---- */

static void test_whole_refusals(void **state)
{
    (void)state;
    opensearch_needed(&node);
    const char *good = "{'index':{'_id':'good'}}\n{'n':1}\n";
    char body[2048];
    char id[514];
    static const struct {
        const char *rest;
        const char *type, *reason;
    } rows[] = {
        {"{'index':{'_id':'x'}}\n{'n':1}", "illegal_argument_exception",
         "must be terminated by a newline"},
        {"{'foo':{'_id':'x'}}\n{'n':1}\n", "illegal_argument_exception", "but found [foo]"},
        {"{'index':{'_id':'x','foo':1}}\n{'n':1}\n", "illegal_argument_exception",
         "unknown parameter [foo]"},
        {"{'index':{'_id':\n{'n':1}\n", "json_e_o_f_exception", "Unexpected end-of-input"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(body, sizeof body, "%s%s", good, rows[i].rest);
        assert_refused(quoted(body), 400, rows[i].type, rows[i].reason);
    }
    memset(id, 'i', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    (void)snprintf(body, sizeof body, "%s{'index':{'_id':'%s'}}\n{'n':1}\n", good, id);
    assert_refused(quoted(body), 400, "action_request_validation_exception",
                   "must be no longer than 512 bytes but was: 513");
    assert_refused("", 400, "parse_exception", "request body is required");
    assert_int_equal(version_of("/docs/_doc/good"), -1); /* of none of them anything was written */

    int status = 0;
    node.content_type = "text/plain";
    json_t *reply = opensearch_ask(&node, "POST", "/docs/_bulk", quoted(good), &status);
    node.content_type = NULL;
    assert_int_equal(status, 406);
    assert_true(json_is_string(json_object_get(reply, "error"))); /* here it is no object */
    json_decref(reply);
}

/* A bulk of one document of about so many bytes. */
static char *large_bulk(size_t bytes)
{
    char *body = malloc(bytes + 64);
    assert_non_null(body);
    int head = sprintf(body, "{\"index\":{\"_id\":\"big\"}}\n{\"text\":\"");
    memset(body + head, 'x', bytes);
    (void)strcpy(body + head + bytes, "\"}\n");
    return body;
}

static void test_too_much(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct opensearch_reply reply;
    char *body = large_bulk(CONTENT_MAX);
    opensearch_request(&node, "POST", "/docs/_bulk", body, &reply);
    assert_int_equal(reply.status, 413);
    assert_int_equal(reply.length, 0);
    free(reply.body);
    free(body);

    body = large_bulk(800 * 1024); /* above what may be indexed at a time */
    assert_refused(body, 429, "rejected_execution_exception", "rejected execution");
    free(body);

    body = large_bulk(30 * 1024);
    ask_ok("PUT", "/_cluster/settings",
           "{'transient':{'network.breaker.inflight_requests.limit':'20kb'}}");
    assert_refused(body, 429, "circuit_breaking_exception", "Data too large");
    ask_ok("PUT", "/_cluster/settings",
           "{'transient':{'network.breaker.inflight_requests.limit':null}}");
    free(body);
    assert_int_equal(version_of("/docs/_doc/big"), -1);
}

static void test_refused_items(void **state)
{
    (void)state;
    opensearch_needed(&node);
    make_index("strict", "", "'dynamic':'strict','properties':{'n':{'type':'integer'}}");
    assert_bulk("/docs/_bulk",
                "{'index':{'_id':'i1'}}\n{'n':1}\n"
                "{'index':{'_id':'i2'}}\n{'n':'abc'}\n"
                "{'index':{'_id':'i3'}}\n{'n':\n"
                "{'index':{'_id':'i4','_index':'missing'}}\n{'n':1}\n"
                "{'index':{'_id':'i5','_index':'Bad'}}\n{'n':1}\n"
                "{'index':{'_id':'i6','_index':'strict'}}\n{'other':1}\n"
                "{'create':{'_id':'i1'}}\n{'n':1}\n"
                "{'update':{'_id':'i8'}}\n{'doc':{'n':1}}\n"
                "{'index':{'_id':'i9'}}\n{'n':9}\n",
                true,
                "201 created, 400 mapper_parsing_exception, 400 mapper_parsing_exception, "
                "404 index_not_found_exception, 404 index_not_found_exception, "
                "400 strict_dynamic_mapping_exception, " CONFLICT
                ", 404 document_missing_exception, 201 created");
    assert_int_equal(version_of("/docs/_doc/i9"), 1);
    assert_int_equal(version_of("/docs/_doc/i2"), -1);
}

static void test_blocked_index(void **state)
{
    (void)state;
    opensearch_needed(&node);
    static const struct {
        const char *block, *expected;
    } rows[] = {
        {"index.blocks.write", "201 created, 403 cluster_block_exception"},
        /* What a node sets itself when its disk is full. */
        {"index.blocks.read_only_allow_delete", "201 created, 429 cluster_block_exception"},
    };
    make_index("blocked", "", "");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char body[128];
        char lines[256];
        (void)snprintf(body, sizeof body, "{'%s':true}", rows[i].block);
        ask_ok("PUT", "/blocked/_settings", body);
        (void)snprintf(lines, sizeof lines,
                       "{'index':{'_id':'b%zu'}}\n{'n':1}\n"
                       "{'index':{'_id':'b','_index':'blocked'}}\n{'n':1}\n",
                       i);
        assert_bulk("/docs/_bulk", lines, true, rows[i].expected);
        (void)snprintf(body, sizeof body, "{'%s':null}", rows[i].block);
        ask_ok("PUT", "/blocked/_settings", body);
    }
    ask_ok("POST", "/blocked/_close", NULL);
    assert_bulk("/blocked/_bulk", "{'index':{'_id':'b'}}\n{'n':1}\n", true,
                "400 index_closed_exception");
}

/* A filter that leaves nothing of an item drops the item: positions would shift. */
static void test_filtered_replies(void **state)
{
    (void)state;
    opensearch_needed(&node);
    const char *lines = "{'index':{'_id':'f1'}}\n{'n':1}\n{'index':{'_id':'f2'}}\n{'n':'abc'}\n";
    static const struct {
        const char *filter;
        size_t items;
    } rows[] = {{"errors,items.*.error.type", 1},
                {"errors,items.*.status,items.*.error.type", 2},
                {"errors", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "/docs/_bulk?filter_path=%s", rows[i].filter);
        json_t *reply = opensearch_ask(&node, "POST", path, quoted(lines), NULL);
        assert_true(json_is_true(json_object_get(reply, "errors")));
        assert_int_equal(json_array_size(json_object_get(reply, "items")), rows[i].items);
        json_decref(reply);
    }
}

/* ---- Searchable ---- */

static void test_refresh_makes_searchable(void **state)
{
    (void)state;
    opensearch_needed(&node);
    make_index("calm", ",'refresh_interval':-1", "'properties':{'n':{'type':'integer'}}");
    assert_bulk("/calm/_bulk", INDEX("s", "1"), false, "201 created");
    assert_int_equal(version_of("/calm/_doc/s"), 1); /* by its id it is there at once */
    assert_int_equal(count_of("/calm/_count?q=n:1"), 0);
    ask_ok("POST", "/calm/_refresh", NULL);
    assert_int_equal(count_of("/calm/_count?q=n:1"), 1);
    assert_bulk("/calm/_bulk", DELETE("s", "2"), false, "200 deleted");
    assert_int_equal(count_of("/calm/_count?q=n:1"), 1);
    ask_ok("POST", "/calm/_refresh", NULL);
    assert_int_equal(count_of("/calm/_count?q=n:1"), 0);

    assert_bulk("/docs/_bulk?refresh=wait_for", "{'index':{'_id':'w'}}\n{'word':'waited'}\n", false,
                "201 created");
    assert_int_equal(count_of("/docs/_count?q=word:waited"), 1);
}

/* ---- Away ---- */

static void test_paused(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct opensearch_reply reply;
    opensearch_pause(&node);
    node.timeout_ms = 300;
    opensearch_request(&node, "GET", "/", NULL, &reply);
    node.timeout_ms = 0;
    opensearch_resume(&node);
    assert_int_equal(reply.status, 0);
    assert_non_null(strstr(reply.why, "Timeout"));
    free(reply.body);
    ask_ok("GET", "/", NULL);
}

struct writer {
    struct opensearch client; /* a connection of its own */
    _Atomic uint32_t acknowledged;
};

static void bulk_from(uint32_t first, char *body, size_t size)
{
    size_t length = 0;
    for (uint32_t i = first; i < first + KEPT_BULK; i++) {
        length += (size_t)snprintf(body + length, size - length,
                                   "{\"index\":{\"_id\":\"%u\",\"version\":%u,\"version_type\":"
                                   "\"external\"}}\n{\"n\":%u}\n",
                                   i, i + 1, i);
    }
    assert_true(length < size);
}

static void *write_until_it_fails(void *context)
{
    struct writer *writer = context;
    char body[KEPT_BULK * 128];
    for (uint32_t first = 0; first < KEPT_MAX; first += KEPT_BULK) {
        struct opensearch_reply reply;
        bulk_from(first, body, sizeof body);
        opensearch_request(&writer->client, "POST", "/kept/_bulk?filter_path=errors", body, &reply);
        bool good = reply.status == 200 && strstr(reply.body, "\"errors\":false") != NULL;
        free(reply.body);
        if (!good) {
            break;
        }
        atomic_store(&writer->acknowledged, first + KEPT_BULK);
    }
    return NULL;
}

/* Every document up to `count` is there, as acknowledged. */
static void assert_kept(uint32_t count)
{
    enum { PER_REQUEST = 2000 };
    char *body = malloc(PER_REQUEST * 12 + 32);
    assert_non_null(body);
    for (uint32_t first = 0; first < count; first += PER_REQUEST) {
        uint32_t end = first + PER_REQUEST < count ? first + PER_REQUEST : count;
        int length = sprintf(body, "{\"ids\":[");
        for (uint32_t i = first; i < end; i++) {
            length += sprintf(body + length, "%s\"%u\"", i == first ? "" : ",", i);
        }
        (void)strcpy(body + length, "]}");
        json_t *reply = opensearch_ask(&node, "POST", "/kept/_mget?_source=false", body, NULL);
        const json_t *documents = json_object_get(reply, "docs");
        assert_int_equal(json_array_size(documents), end - first);
        for (uint32_t i = first; i < end; i++) {
            const json_t *document = json_array_get(documents, i - first);
            assert_true(json_is_true(json_object_get(document, "found")));
            assert_int_equal(json_integer_value(json_object_get(document, "_version")), i + 1);
        }
        json_decref(reply);
    }
    free(body);
}

static void test_killed(void **state)
{
    (void)state;
    opensearch_needed(&node);
    make_index("kept", "", "'properties':{'n':{'type':'integer'}}");
    static struct writer writer;
    (void)snprintf(writer.client.url, sizeof writer.client.url, "%s", node.url);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_until_it_fails, &writer), 0);
    uint64_t end = now_ms() + 30000;
    while (atomic_load(&writer.acknowledged) < KEPT_AT_LEAST && now_ms() < end) {
        sleep_ms(5);
    }
    opensearch_kill(&node);
    (void)pthread_join(thread, NULL);
    opensearch_end(&writer.client);
    uint32_t acknowledged = atomic_load(&writer.acknowledged);
    assert_true(acknowledged >= KEPT_AT_LEAST && acknowledged < KEPT_MAX);

    uint16_t port = node.port;
    assert_true(opensearch_start(&node, &scene, &options));
    assert_int_equal(node.port, port);
    assert_kept(acknowledged);
    /* What was under way may be there or not: sending it again settles it, and harms nothing. */
    char body[KEPT_BULK * 128];
    bulk_from(acknowledged, body, sizeof body);
    int status = 0;
    json_decref(opensearch_ask(&node, "POST", "/kept/_bulk", body, &status));
    assert_int_equal(status, 200);
    assert_kept(acknowledged + KEPT_BULK);
    print_message("%u documents were acknowledged before the kill\n", acknowledged);
}

static void test_stopped(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct opensearch_reply reply;
    opensearch_stop(&node);
    opensearch_request(&node, "GET", "/", NULL, &reply);
    assert_int_equal(reply.status, 0);
    assert_non_null(strstr(reply.why, "connect"));
    free(reply.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_external_versions),
        cmocka_unit_test(test_deletions_keep_their_version),
        cmocka_unit_test(test_tombstones_end),
        cmocka_unit_test(test_versions_and_updates_do_not_mix),
        cmocka_unit_test(test_whole_refusals),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_refused_items),
        cmocka_unit_test(test_blocked_index),
        cmocka_unit_test(test_filtered_replies),
        cmocka_unit_test(test_refresh_makes_searchable),
        cmocka_unit_test(test_paused),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
