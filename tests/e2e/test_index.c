/* The whole service and a real OpenSearch: what is recorded comes to be in the index, and all that
 * is announced of it is so. */
#include "tests/e2e/harness_opensearch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/harness_ctl.h"

static struct scene scene;
static struct opensearch node;
static struct server server;
static activity_client *worker;
static activity_client *boss;
static struct activity_error error;
static const char *flags[8];

#define INDEX_PATH "/acme-"

static void make_index(const char *model, const char *mapping)
{
    char path[128];
    char body[512];
    int status = 0;
    (void)snprintf(path, sizeof path, INDEX_PATH "%s", model);
    (void)snprintf(body, sizeof body,
                   "{\"settings\":{\"number_of_replicas\":0,\"gc_deletes\":\"1h\","
                   "\"refresh_interval\":\"-1\"},\"mappings\":{\"properties\":{%s}}}",
                   mapping);
    json_decref(opensearch_ask(&node, "DELETE", path, NULL, NULL));
    json_decref(opensearch_ask(&node, "PUT", path, body, &status));
    assert_int_equal(status, 200);
}

static void write_configuration(void)
{
    char text[512];
    (void)snprintf(text, sizeof text,
                   "index = elasticsearch\n"
                   "index_nodes = \"%s\"\n"
                   "index_retry_first_ms = 50\n"
                   "index_retry_most_ms = 500\n"
                   "model \"orders\" {\n    kind = fragments\n}\n",
                   node.url);
    scene_write(&scene, "index.conf", text);
    flags[0] = "--config";
    flags[1] = strdup(scene_path(&scene, "index.conf"));
}

static int set_up(void **state)
{
    (void)state;
    static const struct opensearch_options options = {.settings = NULL};
    scene_make(&scene);
    if (!opensearch_start(&node, &scene, &options)) {
        return 0;
    }
    write_configuration();
    server_start(&server, &scene, flags);
    worker = client_of(&server, "worker", NULL, NULL, NULL);
    boss = client_of(&server, "boss", NULL, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    activity_client_free(worker);
    activity_client_free(boss);
    server_kill(&server);
    opensearch_end(&node);
    free((void *)(uintptr_t)flags[1]);
    scene_end(&scene);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    if (node.pid != 0) {
        make_index("mediacontainer",
                   "\"n\":{\"type\":\"integer\"},\"word\":{\"type\":\"keyword\"}");
        make_index("orders", "\"n\":{\"type\":\"integer\"},\"word\":{\"type\":\"keyword\"}");
    }
    return 0;
}

/* ---- Recording and asking ---- */

static struct activity_bytes text_bytes(const char *text)
{
    return (struct activity_bytes){text, text == NULL ? 0 : strlen(text)};
}

static struct activity_recorded record(const char *id, const char *json)
{
    static const char *const groups[] = {"*"};
    const struct activity_document_change change = {.model = "mediacontainer",
                                                    .document_id = id,
                                                    .affected_model = "mediaContainer",
                                                    .json = text_bytes(json),
                                                    .deleted = json == NULL,
                                                    .groups = groups,
                                                    .group_count = 1};
    const struct activity_record_request request = {.changes = &change, .change_count = 1};
    struct activity_recorded recorded;
    assert_ok(activity_record_changes(worker, &request, NULL, &recorded, &error), error);
    return recorded;
}

static int wait_for(uint64_t ticket, enum activity_stage stage, uint32_t wait_ms, bool *reached)
{
    const struct activity_visible_request request = {
        .ticket = ticket, .stage = stage, .wait_ms = wait_ms};
    struct activity_visible visible = {.reached = false};
    int code = activity_wait_visible(worker, &request, NULL, &visible, &error);
    *reached = visible.reached;
    return code;
}

static void await(uint64_t ticket, enum activity_stage stage)
{
    bool reached = false;
    assert_ok(wait_for(ticket, stage, 20000, &reached), error);
    assert_true(reached);
}

/* The source of a document, in one line; "" when there is none. The caller frees it. */
static char *source_of(const char *model, const char *id)
{
    char path[256];
    (void)snprintf(path, sizeof path, INDEX_PATH "%s/_doc/%s", model, id);
    json_t *document = opensearch_ask(&node, "GET", path, NULL, NULL);
    json_t *source = json_object_get(document, "_source");
    char *text = source == NULL ? strdup("") : json_dumps(source, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(document);
    return text;
}

static void assert_source(const char *model, const char *id, const char *wanted)
{
    char *text = source_of(model, id);
    assert_string_equal(text, wanted);
    free(text);
}

static uint64_t found_by_search(const char *model, const char *word)
{
    char path[256];
    (void)snprintf(path, sizeof path, INDEX_PATH "%s/_search?q=word:%s", model, word);
    json_t *answer = opensearch_ask(&node, "GET", path, NULL, NULL);
    json_t *total = json_object_get(json_object_get(answer, "hits"), "total");
    json_t *value = json_object_get(total, "value");
    assert_true(json_is_integer(value));
    uint64_t count = (uint64_t)json_integer_value(value);
    json_decref(answer);
    return count;
}

/* The entry of a document in one of the two windows, its numbers alone. */
struct entry {
    bool found;
    uint64_t updated_ms;
    uint64_t first_ms;
    uint64_t last_ms;
    uint64_t model_updated_ms;
};

static struct entry entry_of(const char *model, const char *id)
{
    const struct activity_find_request request = {.model_changes = strncmp(model, "es:", 3) != 0,
                                                  .model_changes_es = strncmp(model, "es:", 3) == 0,
                                                  .observe = true};
    activity_result *result = NULL;
    struct entry entry = {.found = false};
    assert_ok(activity_find(worker, &request, NULL, &result, &error), error);
    const struct activity_page *page = activity_result_page(result);
    const struct activity_model_change *changes =
        request.model_changes ? page->model_changes : page->model_changes_es;
    size_t count = request.model_changes ? page->model_change_count : page->model_change_es_count;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(changes[i].document_id, id) == 0 && strcmp(changes[i].model, model) == 0) {
            assert_int_equal(changes[i].affected_model_count, 1);
            entry = (struct entry){
                true, changes[i].updated_ms, changes[i].affected_models[0].first_ms,
                changes[i].affected_models[0].last_ms, changes[i].affected_models[0].updated_ms};
        }
    }
    activity_result_free(result);
    return entry;
}

/* ---- The seed's example ---- */

/* Payloads at 0, 50 and 100 ms leave as one batch 200 ms after the first. */
static void the_seeds_example_end_to_end(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct activity_recorded recorded[3];
    recorded[0] = record("123", "{\"n\":0,\"word\":\"seed\"}");
    assert_false(entry_of("es:mediacontainer", "123").found);
    sleep_ms(50);
    recorded[1] = record("123", "{\"n\":50,\"word\":\"seed\"}");
    sleep_ms(50);
    recorded[2] = record("123", "{\"n\":100,\"word\":\"seed\"}");
    struct entry database = entry_of("mediacontainer", "123");
    await(recorded[2].ticket, ACTIVITY_STAGE_ACKED);
    struct entry es = entry_of("es:mediacontainer", "123");
    assert_true(database.found && es.found);
    assert_true(es.first_ms == recorded[0].accept_time_ms);
    assert_true(es.last_ms == recorded[2].accept_time_ms);
    assert_true(es.updated_ms >= es.first_ms + 200 && es.updated_ms == es.model_updated_ms);
    assert_true(database.updated_ms == recorded[2].accept_time_ms);
    bool reached = false;
    for (size_t i = 0; i < 3; i++) { /* one batch: all of them are done */
        assert_ok(wait_for(recorded[i].ticket, ACTIVITY_STAGE_ACKED, 0, &reached), error);
        assert_true(reached);
    }
    assert_source("mediacontainer", "123", "{\"n\":100,\"word\":\"seed\"}");
    assert_int_equal(found_by_search("mediacontainer", "seed"), 0); /* nobody has waited for it */
    await(recorded[2].ticket, ACTIVITY_STAGE_SEARCHABLE);
    assert_int_equal(found_by_search("mediacontainer", "seed"), 1);
    assert_true(entry_of("es:mediacontainer", "123").updated_ms == es.updated_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_seeds_example_end_to_end, begin),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
