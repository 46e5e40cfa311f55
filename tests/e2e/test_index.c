/* The whole service and a real OpenSearch: what is recorded comes to be in the index, and all that
 * is announced of it is so. */
#include "tests/e2e/harness_opensearch.h"

#include <activity_index.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct scene scene;
static struct opensearch node;
static struct server server;
static activity_client *worker;
static activity_client *boss; /* admin of the tenant */
static activity_client *root; /* of the server */
static struct activity_error error;
static activity_result *status_result;
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
    /* The delay runs on service time, and what is shown is the wall's, both in whole milliseconds:
     * with one more, 200 and above are shown. */
    (void)snprintf(text, sizeof text,
                   "index = elasticsearch\n"
                   "flush_delay_ms = 201\n"
                   "index_nodes = \"%s\"\n"
                   "index_answer_ms = 6000\n"
                   "index_retry_first_ms = 50\n"
                   "index_retry_most_ms = 500\n"
                   "index_item_retry_most_ms = 500\n"
                   "model \"orders\" {\n    kind = fragments\n}\n",
                   node.url);
    scene_write(&scene, "index.conf", text);
    flags[0] = "--config";
    flags[1] = strdup(scene_path(&scene, "index.conf"));
}

static int set_up(void **state)
{
    (void)state;
    static const char *const settings[] = {"action.auto_create_index=false", NULL};
    static const struct opensearch_options options = {.settings = settings};
    scene_make(&scene);
    if (!opensearch_start(&node, &scene, &options)) {
        return 0;
    }
    write_configuration();
    server_start(&server, &scene, flags);
    worker = client_of(&server, "worker", NULL, NULL, NULL);
    boss = client_of(&server, "boss", NULL, NULL, NULL);
    root = client_of(&server, "root", NULL, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    activity_result_free(status_result);
    activity_client_free(worker);
    activity_client_free(boss);
    activity_client_free(root);
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

static struct activity_recorded record_all(const struct activity_document_change *changes,
                                           size_t count, bool urgent)
{
    const struct activity_record_request request = {
        .changes = changes, .change_count = count, .urgent = urgent};
    struct activity_recorded recorded;
    assert_ok(activity_record_changes(worker, &request, NULL, &recorded, &error), error);
    return recorded;
}

/* Everybody in the tenant sees it. json NULL: a deletion. */
static struct activity_document_change whole(const char *id, const char *json)
{
    static const char *const groups[] = {"*"};
    return (struct activity_document_change){.model = "mediacontainer",
                                             .document_id = id,
                                             .affected_model = "mediaContainer",
                                             .json = text_bytes(json),
                                             .deleted = json == NULL,
                                             .groups = groups,
                                             .group_count = 1};
}

static struct activity_document_change fragment(const char *id, const char *patch)
{
    struct activity_document_change change = whole(id, NULL);
    change.model = "orders";
    change.affected_model = "Order";
    change.deleted = patch == NULL;
    change.merge_patch = text_bytes(patch);
    return change;
}

static struct activity_recorded record(const char *id, const char *json)
{
    const struct activity_document_change change = whole(id, json);
    return record_all(&change, 1, false);
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

/* Of an order, without the field that is ours (script.h). */
static void assert_source_fields(const char *id, const char *wanted)
{
    char *text = source_of("orders", id);
    json_t *source = json_loads(text, 0, NULL);
    assert_non_null(source);
    assert_int_equal(json_object_del(source, "_seq"), 0);
    char *fields = json_dumps(source, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(fields, wanted);
    free(fields);
    json_decref(source);
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

static const struct activity_index_status *index_status(void)
{
    activity_result_free(status_result);
    status_result = NULL;
    assert_ok(activity_get_index_status(root, NULL, &status_result, &error), error);
    return activity_result_index_status(status_result);
}

static void an_index_that_is_there_is_told(void **state)
{
    (void)state;
    opensearch_needed(&node);
    uint64_t end = now_ms() + 20000;
    while (index_status()->state != ACTIVITY_INDEX_READY && now_ms() < end) {
        sleep_ms(20);
    }
    assert_int_equal(index_status()->state, ACTIVITY_INDEX_READY);
    assert_string_equal(index_status()->version, "opensearch 2.19.4");
    assert_null(index_status()->why);
    activity_result *result = NULL;
    assert_ok(activity_get_server_info(worker, NULL, &result, &error), error);
    assert_string_equal(activity_result_server_info(result)->index, "elasticsearch");
    activity_result_free(result);
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

/* ---- Batches ---- */

static struct activity_index_batch newest_batch(void)
{
    activity_result *result = NULL;
    const struct activity_index_page page = {.page_size = 1};
    assert_ok(activity_list_index_batches(root, &page, NULL, &result, &error), error);
    const struct activity_index_batches *batches = activity_result_index_batches(result);
    assert_int_equal(batches->batch_count, 1);
    struct activity_index_batch batch = batches->batches[0];
    batch.tickets = NULL; /* they go with the result */
    batch.error = NULL;
    activity_result_free(result);
    return batch;
}

/* Patches do not compose: a null removes, an object is merged, anything else replaces. */
static void fragments_travel_as_one_item_in_order(void **state)
{
    (void)state;
    opensearch_needed(&node);
    const struct activity_document_change changes[] = {
        fragment("o-1", "{\"word\":\"first\",\"tree\":{\"a\":1,\"b\":2}}"),
        fragment("o-1", "{\"word\":null,\"tree\":{\"a\":null,\"c\":3}}"),
        fragment("o-1", "{\"n\":7,\"tree\":{\"b\":{\"x\":null,\"y\":1}}}")};
    struct activity_recorded recorded = record_all(changes, 3, false);
    await(recorded.ticket, ACTIVITY_STAGE_ACKED);
    assert_source_fields("o-1", "{\"n\":7,\"tree\":{\"b\":{\"y\":1},\"c\":3}}");
    struct activity_index_batch batch = newest_batch();
    assert_true(batch.done);
    assert_int_equal(batch.cause, ACTIVITY_FLUSH_DELAY);
    assert_int_equal(batch.changes, 3);
    assert_int_equal(batch.fragments, 3);
    assert_int_equal(batch.documents, 1);
    assert_int_equal(batch.acked, 1);
    assert_int_equal(batch.ticket_count, 1);
    assert_true(batch.lag_ms >= 200);
    assert_true(entry_of("es:orders", "o-1").updated_ms == batch.sent_time_ms);

    const struct activity_document_change gone = fragment("o-1", NULL);
    await(record_all(&gone, 1, true).ticket, ACTIVITY_STAGE_ACKED);
    assert_source_fields("o-1", "{\"_deleted\":true}");
}

static void what_is_urgent_does_not_wait(void **state)
{
    (void)state;
    opensearch_needed(&node);
    const struct activity_document_change change = whole("now", "{\"n\":1}");
    await(record_all(&change, 1, true).ticket, ACTIVITY_STAGE_ACKED);
    assert_int_equal(newest_batch().cause, ACTIVITY_FLUSH_URGENT);
    const struct activity_document_change deleted = whole("now", NULL);
    await(record_all(&deleted, 1, true).ticket, ACTIVITY_STAGE_ACKED);
    assert_source("mediacontainer", "now", "");
}

/* ---- Parked ---- */

/* The one parked document of the tenant. */
static uint64_t parked_document(const char *id, uint32_t behind)
{
    activity_result *result = NULL;
    assert_ok(activity_list_parked_documents(boss, NULL, NULL, &result, &error), error);
    const struct activity_parked_documents *parked = activity_result_parked_documents(result);
    assert_int_equal(parked->document_count, 1);
    assert_string_equal(parked->documents[0].document_id, id);
    assert_string_equal(parked->documents[0].model, "mediacontainer");
    assert_string_equal(parked->documents[0].reason->code, "mapper_parsing_exception");
    assert_non_null(strstr(parked->documents[0].reason->message, "[n]"));
    assert_int_equal(parked->documents[0].changes, 1);
    assert_int_equal(parked->documents[0].behind, behind);
    assert_int_equal(parked->documents[0].ticket_count, 1);
    uint64_t park_id = parked->documents[0].park_id;
    activity_result_free(result);
    return park_id;
}

static void assert_none_parked(void)
{
    activity_result *result = NULL;
    assert_ok(activity_list_parked_documents(boss, NULL, NULL, &result, &error), error);
    assert_int_equal(activity_result_parked_documents(result)->document_count, 0);
    activity_result_free(result);
}

static void assert_aborted(uint64_t ticket)
{
    bool reached;
    assert_int_equal(wait_for(ticket, ACTIVITY_STAGE_ACKED, 20000, &reached), ACTIVITY_ABORTED);
    assert_string_equal(error.reason, "CHANGE_PARKED");
}

/* n is an integer there. */
static void a_refused_document_holds_back_itself_alone(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct activity_recorded bad = record("bad", "{\"n\":\"no number\"}");
    assert_aborted(bad.ticket);
    assert_non_null(strstr(error.message, "document \"bad\" of mediacontainer"));
    assert_non_null(strstr(error.message, "mapper_parsing_exception"));
    struct activity_recorded behind = record("bad", "{\"n\":2}");
    await(record("good", "{\"n\":3}").ticket, ACTIVITY_STAGE_ACKED);
    bool reached = true;
    assert_ok(wait_for(behind.ticket, ACTIVITY_STAGE_ACKED, 0, &reached), error);
    assert_false(reached);
    assert_false(entry_of("es:mediacontainer", "bad").found);
    uint64_t park_id = parked_document("bad", 1);

    uint32_t changes = 0;
    assert_int_equal(activity_discard_parked(worker, park_id, NULL, &changes, &error),
                     ACTIVITY_PERMISSION_DENIED);
    assert_ok(activity_discard_parked(boss, park_id, NULL, &changes, &error), error);
    assert_int_equal(changes, 1);
    await(behind.ticket, ACTIVITY_STAGE_ACKED);
    assert_source("mediacontainer", "bad", "{\"n\":2}");
    assert_aborted(bad.ticket); /* it was never written */
    assert_none_parked();
    assert_int_equal(activity_discard_parked(boss, park_id, NULL, &changes, &error),
                     ACTIVITY_NOT_FOUND);
    assert_string_equal(error.reason, "UNKNOWN_PARKED");
}

static void what_was_refused_is_written_once_the_cause_is_gone(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct activity_recorded recorded = record("later", "{\"n\":\"no number\"}");
    assert_aborted(recorded.ticket);
    uint32_t changes = 0;
    uint64_t first = parked_document("later", 0);
    assert_ok(activity_retry_parked(boss, first, NULL, &changes, &error), error);
    assert_aborted(recorded.ticket); /* nothing was changed: it is refused once more */
    uint64_t second = parked_document("later", 0);
    assert_true(second > first);
    make_index("mediacontainer", "\"n\":{\"type\":\"keyword\"}");
    assert_ok(activity_retry_parked(boss, second, NULL, &changes, &error), error);
    assert_int_equal(changes, 1);
    await(recorded.ticket, ACTIVITY_STAGE_ACKED);
    assert_source("mediacontainer", "later", "{\"n\":\"no number\"}");
    assert_none_parked();
}

/* ---- The border ---- */

static void a_change_of_the_other_kind_is_refused(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct activity_document_change changes[] = {whole("1", "{}"), fragment("2", "{}")};
    struct activity_record_request request = {.changes = changes, .change_count = 2};
    changes[1].model = "mediacontainer";
    assert_int_equal(activity_record_changes(worker, &request, NULL, NULL, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "changes[1].merge_patch");
    changes[1] = whole("2", "{}");
    changes[1].json = text_bytes("");
    assert_int_equal(activity_record_changes(worker, &request, NULL, NULL, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "changes[1].json");
    assert_non_null(strstr(error.message, "document \"2\" of mediacontainer"));
}

/* ---- Missing, and back ---- */

static void a_missing_index_is_told_and_waited_for(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct activity_document_change change = whole("1", "{\"n\":1}");
    change.model = "nowhere";
    struct activity_recorded recorded = record_all(&change, 1, true);
    uint64_t end = now_ms() + 20000;
    while (index_status()->state != ACTIVITY_INDEX_REFUSED && now_ms() < end) {
        sleep_ms(20);
    }
    const struct activity_index_status *status = index_status();
    assert_int_equal(status->state, ACTIVITY_INDEX_REFUSED);
    assert_string_equal(status->why->code, "index_not_found_exception");
    assert_non_null(strstr(status->why->message, "acme-nowhere"));
    bool reached = true;
    assert_ok(wait_for(recorded.ticket, ACTIVITY_STAGE_ACKED, 0, &reached), error);
    assert_false(reached);
    await(record("others", "{\"n\":1}").ticket, ACTIVITY_STAGE_ACKED); /* go on */
    make_index("nowhere", "\"n\":{\"type\":\"integer\"}");
    await(recorded.ticket, ACTIVITY_STAGE_ACKED);
    assert_source("nowhere", "1", "{\"n\":1}");
}

/* One that is refused a shard (it wants two copies, and there is one) rests, the others do not. */
static void a_shard_that_cannot_be_written_is_waited_for(void **state)
{
    (void)state;
    opensearch_needed(&node);
    int status = 0;
    make_index("lonely", "\"n\":{\"type\":\"integer\"}");
    json_decref(opensearch_ask(&node, "PUT", "/acme-lonely/_settings",
                               "{\"index.number_of_replicas\":1,"
                               "\"index.write.wait_for_active_shards\":\"2\"}",
                               &status));
    assert_int_equal(status, 200);
    struct activity_document_change change = whole("1", "{\"n\":1}");
    change.model = "lonely";
    struct activity_recorded recorded = record_all(&change, 1, true);
    uint64_t end = now_ms() + 20000;
    while (index_status()->resting_documents == 0 && now_ms() < end) {
        sleep_ms(20);
    }
    const struct activity_index_status *told = index_status();
    assert_int_equal(told->resting_documents, 1);
    assert_int_equal(told->state, ACTIVITY_INDEX_READY);
    assert_string_equal(told->why->code, "unavailable_shards_exception");
    await(record("beside", "{\"n\":1}").ticket, ACTIVITY_STAGE_ACKED);
    bool reached = true;
    assert_ok(wait_for(recorded.ticket, ACTIVITY_STAGE_ACKED, 0, &reached), error);
    assert_false(reached);
    json_decref(opensearch_ask(&node, "PUT", "/acme-lonely/_settings",
                               "{\"index.write.wait_for_active_shards\":\"1\"}", &status));
    assert_int_equal(status, 200);
    await(recorded.ticket, ACTIVITY_STAGE_ACKED);
    assert_source("lonely", "1", "{\"n\":1}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_index_that_is_there_is_told, begin),
        cmocka_unit_test_setup(the_seeds_example_end_to_end, begin),
        cmocka_unit_test_setup(fragments_travel_as_one_item_in_order, begin),
        cmocka_unit_test_setup(what_is_urgent_does_not_wait, begin),
        cmocka_unit_test_setup(a_refused_document_holds_back_itself_alone, begin),
        cmocka_unit_test_setup(what_was_refused_is_written_once_the_cause_is_gone, begin),
        cmocka_unit_test_setup(a_change_of_the_other_kind_is_refused, begin),
        cmocka_unit_test_setup(a_shard_that_cannot_be_written_is_waited_for, begin),
        cmocka_unit_test_setup(a_missing_index_is_told_and_waited_for, begin),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
