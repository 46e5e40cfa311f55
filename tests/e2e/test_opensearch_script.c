/* The script that applies fragments, run by a real OpenSearch: what it does to one document, and
 * that random fragments, sent again from the middle, come to what RFC 7396 says. */
#include "server/index/script.h"
#include "tests/e2e/harness_opensearch.h"
#include "tests/e2e/harness_patch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DOCUMENTS = 320,
    FRAGMENTS = 24, /* of each */
    LIST_MAX = 6,   /* fragments that travel together */
    PER_BULK = 80,
    DEPTH = 3,
};

static struct scene scene;
static struct opensearch node;

static int store(const char *path, const char *source)
{
    int status = 0;
    json_t *body = json_pack("{s:{s:s,s:s}}", "script", "lang", "painless", "source", source);
    char *text = json_dumps(body, 0);
    json_decref(opensearch_ask(&node, "PUT", path, text, &status));
    free(text);
    json_decref(body);
    return status;
}

static int set_up(void **state)
{
    (void)state;
    static const struct opensearch_options options = {0};
    scene_make(&scene);
    if (opensearch_start(&node, &scene, &options)) {
        int status = 0;
        json_decref(opensearch_ask(
            &node, "PUT", "/parts",
            "{\"settings\":{\"number_of_replicas\":0},\"mappings\":{\"dynamic\":false,"
            "\"properties\":{\"" INDEX_FIELD_SEQUENCE "\":{\"type\":\"long\"},"
            "\"" INDEX_FIELD_DELETED "\":{\"type\":\"boolean\"}}}}",
            &status));
        assert_int_equal(status, 200);
        assert_int_equal(store("/_scripts/" INDEX_SCRIPT_NAME "/update", index_script_source), 200);
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

/* Two lines of a bulk: an update that sends a list of fragments (taken) to a document. The caller
 * frees them. */
static char *update_lines(const char *id, json_t *list, const char *script)
{
    json_t *action = json_pack("{s:{s:s}}", "update", "_id", id);
    json_t *update = json_pack("{s:b,s:{},s:{s:s,s:{s:o}}}", "scripted_upsert", 1, "upsert",
                               "script", "id", script, "params", "list", list);
    char *first = json_dumps(action, JSON_COMPACT);
    char *second = json_dumps(update, JSON_COMPACT);
    char *lines = malloc(strlen(first) + strlen(second) + 3);
    assert_non_null(lines);
    (void)sprintf(lines, "%s\n%s\n", first, second);
    free(first);
    free(second);
    json_decref(action);
    json_decref(update);
    return lines;
}

/* The result of the only item of a bulk, "STATUS RESULT" or "STATUS ERROR-TYPE". */
static const char *send_list(const char *id, const char *list, const char *script)
{
    static char text[256];
    json_t *fragments = json_loads(list, 0, NULL);
    assert_non_null(fragments);
    char *lines = update_lines(id, fragments, script);
    json_t *reply = opensearch_ask(&node, "POST", "/parts/_bulk", lines, NULL);
    const json_t *item =
        json_object_get(json_array_get(json_object_get(reply, "items"), 0), "update");
    const char *type = json_string_value(json_object_get(json_object_get(item, "error"), "type"));
    const char *result = json_string_value(json_object_get(item, "result"));
    (void)snprintf(text, sizeof text, "%d %s",
                   (int)json_integer_value(json_object_get(item, "status")),
                   type != NULL     ? type
                   : result != NULL ? result
                                    : "");
    json_decref(reply);
    free(lines);
    return text;
}

static const char *fragments(const char *id, const char *list)
{
    return send_list(id, list, INDEX_SCRIPT_NAME);
}

static void assert_source(const char *id, const char *expected)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/parts/_doc/%s", id);
    json_t *document = opensearch_ask(&node, "GET", path, NULL, NULL);
    json_t *wanted = json_loads(expected, 0, NULL);
    assert_non_null(wanted);
    if (!json_equal(json_object_get(document, "_source"), wanted)) {
        char *found = json_dumps(document, JSON_COMPACT);
        fail_msg("%s is not %s", found, expected);
    }
    json_decref(wanted);
    json_decref(document);
}

static void test_sequence_guards(void **state)
{
    (void)state;
    opensearch_needed(&node);
    const char *list = "[{\"seq\":10,\"patch\":{\"u\":{\"x\":1},\"k\":1}}]";
    assert_string_equal(fragments("g", list), "201 created");
    assert_source("g", "{\"u\":{\"x\":1},\"k\":1,\"_seq\":10}");
    assert_string_equal(fragments("g", list), "200 noop");
    assert_string_equal(fragments("g", "[{\"seq\":9,\"patch\":{\"k\":2}}]"), "200 noop");
    /* Of a list only what is new. */
    assert_string_equal(fragments("g", "[{\"seq\":9,\"patch\":{\"k\":9}},"
                                       "{\"seq\":10,\"patch\":{\"k\":10}},"
                                       "{\"seq\":11,\"patch\":{\"k\":null}},"
                                       "{\"seq\":15,\"patch\":{\"u\":{\"y\":2}}}]"),
                        "200 updated");
    assert_source("g", "{\"u\":{\"x\":1,\"y\":2},\"_seq\":15}");
    /* Merge patches do not compose: these two are not the one that has both fields. */
    assert_string_equal(fragments("g", "[{\"seq\":16,\"patch\":{\"u\":null}},"
                                       "{\"seq\":17,\"patch\":{\"u\":{\"z\":3}}}]"),
                        "200 updated");
    assert_source("g", "{\"u\":{\"z\":3},\"_seq\":17}");
    /* The largest sequence, and one that fits no double. */
    assert_string_equal(fragments("g", "[{\"seq\":9223372036854775806,\"patch\":{}}]"),
                        "200 updated");
    assert_string_equal(fragments("g", "[{\"seq\":9223372036854775807,\"patch\":{}}]"),
                        "200 updated");
    assert_source("g", "{\"u\":{\"z\":3},\"_seq\":9223372036854775807}");
    assert_string_equal(fragments("g", "[{\"seq\":9223372036854775807,\"patch\":{}}]"), "200 noop");
}

static void test_nulls_never_stay(void **state)
{
    (void)state;
    opensearch_needed(&node);
    assert_string_equal(fragments("n", "[{\"seq\":1,\"patch\":{\"a\":{\"b\":null,\"c\":{}},"
                                       "\"d\":null,\"e\":[null,{\"f\":null}]}}]"),
                        "201 created");
    assert_source("n", "{\"a\":{\"c\":{}},\"e\":[null,{\"f\":null}],\"_seq\":1}");
    /* An object takes the place of anything else, begun from nothing. */
    assert_string_equal(fragments("n", "[{\"seq\":2,\"patch\":{\"a\":5}},"
                                       "{\"seq\":3,\"patch\":{\"a\":{\"x\":{\"y\":null}}}},"
                                       "{\"seq\":4,\"patch\":{\"e\":{\"g\":1}}}]"),
                        "200 updated");
    assert_source("n", "{\"a\":{\"x\":{}},\"e\":{\"g\":1},\"_seq\":4}");
}

static void test_deletions_are_remembered(void **state)
{
    (void)state;
    opensearch_needed(&node);
    assert_string_equal(fragments("d", "[{\"seq\":5,\"deleted\":true}]"), "201 created");
    assert_source("d", "{\"_deleted\":true,\"_seq\":5}");
    assert_string_equal(fragments("d", "[{\"seq\":4,\"patch\":{\"late\":1}}]"), "200 noop");
    assert_string_equal(fragments("d", "[{\"seq\":6,\"patch\":{\"a\":1}},"
                                       "{\"seq\":7,\"deleted\":true},"
                                       "{\"seq\":8,\"patch\":{\"b\":2}}]"),
                        "200 updated");
    assert_source("d", "{\"b\":2,\"_seq\":8}");
}

static void test_own_fields_are_kept_from_patches(void **state)
{
    (void)state;
    opensearch_needed(&node);
    assert_string_equal(
        fragments("o", "[{\"seq\":5,\"patch\":{\"_seq\":99,\"_deleted\":true,\"a\":1}}]"),
        "201 created");
    assert_source("o", "{\"a\":1,\"_seq\":5}");
    assert_string_equal(fragments("o", "[{\"seq\":6,\"patch\":{\"_seq\":null}}]"), "200 updated");
    assert_source("o", "{\"a\":1,\"_seq\":6}");
}

/* A list is applied whole or not at all, and a script that is wrong is noticed when it is stored
 * with its context only. */
static void test_failures(void **state)
{
    (void)state;
    opensearch_needed(&node);
    assert_string_equal(fragments("f", "[{\"seq\":1,\"patch\":{\"a\":1}}]"), "201 created");
    assert_string_equal(fragments("f", "[{\"seq\":2,\"patch\":{\"a\":2}},{\"seq\":3}]"),
                        "400 illegal_argument_exception");
    assert_source("f", "{\"a\":1,\"_seq\":1}");
    assert_string_equal(send_list("f", "[]", "missing"), "400 illegal_argument_exception");
    assert_int_equal(store("/_scripts/broken/update", "int i = ;"), 400);
    assert_int_equal(store("/_scripts/broken", "int i = ;"), 200);
    assert_string_equal(send_list("f", "[]", "broken"), "400 illegal_argument_exception");
}

/* ---- Random fragments ---- */

struct document {
    char id[16];
    int64_t sequences[FRAGMENTS];
    json_t *patches[FRAGMENTS]; /* NULL: a deletion */
    json_t *models[FRAGMENTS];  /* what the document is after each; NULL: deleted */
};

static struct document documents[DOCUMENTS];

static void make_document(struct document *document, size_t number, uint64_t *random)
{
    (void)snprintf(document->id, sizeof document->id, "r%zu", number);
    /* Half of them with sequences as the server makes them, from the time. */
    int64_t sequence = number % 2 == 0 ? 0 : INT64_C(1764036000000) << 20;
    const json_t *model = NULL;
    for (size_t i = 0; i < FRAGMENTS; i++) {
        sequence += 1 + (int64_t)(random_next(random) % 1000);
        document->sequences[i] = sequence;
        if (random_next(random) % 12 != 0) {
            document->patches[i] = patch_random(random, DEPTH);
            document->models[i] = patch_apply(model, document->patches[i]);
        }
        model = document->models[i];
    }
}

static json_t *list_of(const struct document *document, size_t begin, size_t end)
{
    json_t *list = json_array();
    for (size_t i = begin; i < end; i++) {
        json_t *fragment = json_pack("{s:I}", "seq", (json_int_t)document->sequences[i]);
        if (document->patches[i] != NULL) {
            (void)json_object_set(fragment, "patch", document->patches[i]);
        } else {
            (void)json_object_set_new(fragment, "deleted", json_true());
        }
        (void)json_array_append_new(list, fragment);
    }
    return list;
}

/* Sends the next fragments, in lists of random length, of all documents that have some left before
 * `end`. Returns how many documents were changed. */
static size_t send_some(size_t *next, size_t end, uint64_t *random)
{
    size_t changed = 0;
    for (size_t first = 0; first < DOCUMENTS; first += PER_BULK) {
        char *body = calloc(1, 1);
        size_t length = 0;
        size_t sent = 0;
        for (size_t d = first; d < first + PER_BULK && d < DOCUMENTS; d++) {
            size_t until = next[d] + 1 + random_next(random) % LIST_MAX;
            until = until < end ? until : end;
            if (next[d] >= until) {
                continue;
            }
            char *lines = update_lines(documents[d].id, list_of(&documents[d], next[d], until),
                                       INDEX_SCRIPT_NAME);
            body = realloc(body, length + strlen(lines) + 1);
            assert_non_null(body);
            (void)strcpy(body + length, lines);
            length += strlen(lines);
            free(lines);
            next[d] = until;
            sent++;
        }
        if (sent > 0) {
            json_t *reply = opensearch_ask(&node, "POST", "/parts/_bulk", body, NULL);
            assert_true(json_is_false(json_object_get(reply, "errors")));
            const json_t *items = json_object_get(reply, "items");
            assert_int_equal(json_array_size(items), sent);
            for (size_t i = 0; i < sent; i++) {
                const json_t *item = json_object_get(json_array_get(items, i), "update");
                changed += strcmp(json_string_value(json_object_get(item, "result")), "noop") != 0;
            }
            json_decref(reply);
        }
        free(body);
    }
    return changed;
}

/* All documents are what the first `count` fragments make of them. */
static void assert_models(size_t count)
{
    json_t *ids = json_array();
    for (size_t d = 0; d < DOCUMENTS; d++) {
        (void)json_array_append_new(ids, json_string(documents[d].id));
    }
    json_t *query = json_pack("{s:o}", "ids", ids);
    char *body = json_dumps(query, 0);
    json_t *reply = opensearch_ask(&node, "POST", "/parts/_mget", body, NULL);
    const json_t *found = json_object_get(reply, "docs");
    assert_int_equal(json_array_size(found), DOCUMENTS);
    for (size_t d = 0; d < DOCUMENTS; d++) {
        const json_t *model = documents[d].models[count - 1];
        json_t *wanted = model != NULL ? json_deep_copy(model) : json_object();
        if (model == NULL) {
            (void)json_object_set_new(wanted, INDEX_FIELD_DELETED, json_true());
        }
        (void)json_object_set_new(wanted, INDEX_FIELD_SEQUENCE,
                                  json_integer((json_int_t)documents[d].sequences[count - 1]));
        const json_t *source = json_object_get(json_array_get(found, d), "_source");
        if (!json_equal(source, wanted)) {
            char *is = source != NULL ? json_dumps(source, JSON_COMPACT) : NULL;
            char *should = json_dumps(wanted, JSON_COMPACT);
            fail_msg("%s after %zu fragments is %s, and should be %s", documents[d].id, count,
                     is != NULL ? is : "missing", should);
        }
        json_decref(wanted);
    }
    json_decref(reply);
    json_decref(query);
    free(body);
}

/* Sends the fragments from `begin` to `end` of every document; how many documents were changed by
 * any of it. */
static size_t send_all(size_t begin, size_t end, uint64_t *random)
{
    static size_t next[DOCUMENTS];
    size_t changed = 0;
    for (size_t d = 0; d < DOCUMENTS; d++) {
        next[d] = begin;
    }
    for (size_t round = begin; round < end; round++) {
        changed += send_some(next, end, random);
    }
    return changed;
}

static void test_random_fragments(void **state)
{
    (void)state;
    opensearch_needed(&node);
    uint64_t random = now_ms() | 1;
    const char *seed = getenv("SEED");
    random = seed != NULL ? strtoull(seed, NULL, 10) : random;
    print_message("SEED=%" PRIu64 "\n", random);
    for (size_t d = 0; d < DOCUMENTS; d++) {
        make_document(&documents[d], d, &random);
    }
    assert_true(send_all(0, FRAGMENTS * 2 / 3, &random) >= DOCUMENTS);
    assert_models(FRAGMENTS * 2 / 3);
    /* Once more from the middle, in other lists: what is known is skipped, the rest is applied. */
    assert_true(send_all(FRAGMENTS / 3, FRAGMENTS, &random) >= DOCUMENTS);
    assert_models(FRAGMENTS);
    assert_int_equal(send_all(FRAGMENTS / 2, FRAGMENTS, &random), 0);
    assert_int_equal(send_all(0, FRAGMENTS / 2, &random), 0);
    assert_models(FRAGMENTS);

    /* A search leaves out the deleted ones by their field. */
    size_t alive = 0;
    json_t *ids = json_array();
    for (size_t d = 0; d < DOCUMENTS; d++) {
        alive += documents[d].models[FRAGMENTS - 1] != NULL;
        (void)json_array_append_new(ids, json_string(documents[d].id));
        for (size_t i = 0; i < FRAGMENTS; i++) {
            json_decref(documents[d].patches[i]);
            json_decref(documents[d].models[i]);
        }
    }
    json_t *query = json_pack("{s:{s:{s:{s:{s:o}},s:{s:{s:b}}}}}", "query", "bool", "filter", "ids",
                              "values", ids, "must_not", "term", INDEX_FIELD_DELETED, 1);
    char *body = json_dumps(query, 0);
    json_decref(opensearch_ask(&node, "POST", "/parts/_refresh", NULL, NULL));
    json_t *reply = opensearch_ask(&node, "POST", "/parts/_count", body, NULL);
    assert_true(json_is_integer(json_object_get(reply, "count")));
    assert_int_equal(json_integer_value(json_object_get(reply, "count")), alive);
    json_decref(reply);
    json_decref(query);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequence_guards),
        cmocka_unit_test(test_nulls_never_stay),
        cmocka_unit_test(test_deletions_are_remembered),
        cmocka_unit_test(test_own_fields_are_kept_from_patches),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_random_fragments),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
