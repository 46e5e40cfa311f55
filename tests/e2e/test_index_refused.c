/* The whole service and a real OpenSearch of which one index is refused: thousands of its documents
 * rest and come back, those of another index are written as if nothing were, and the status says
 * what is the matter, until somebody has put it right. */
#include "tests/e2e/harness_opensearch.h"

#include <activity_index.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/harness_ctl.h"

#define REFUSED_DOCUMENTS 3000u
#define OTHERS            25u

static struct scene scene;
static struct opensearch node;
static struct server server;
static activity_client *worker;
static activity_client *root;
static struct activity_error error;
static const char *flags[4];

static void put(const char *path, const char *body)
{
    int status = 0;
    json_decref(opensearch_ask(&node, "PUT", path, body, &status));
    assert_int_equal(status, 200);
}

static int set_up(void **state)
{
    (void)state;
    static const struct opensearch_options options = {.settings = NULL};
    char text[512];
    scene_make(&scene);
    if (!opensearch_start(&node, &scene, &options)) {
        return 0;
    }
    static const char *const indices[] = {"/acme-refused", "/acme-other"};
    for (size_t i = 0; i < 2; i++) {
        put(indices[i], "{\"settings\":{\"number_of_replicas\":0,\"gc_deletes\":\"1h\"}}");
    }
    (void)snprintf(text, sizeof text,
                   "index = elasticsearch\nindex_nodes = \"%s\"\nindex_retry_first_ms = 50\n"
                   "index_item_retry_most_ms = 1000\nindex_answer_ms = 2000\n",
                   node.url);
    scene_write(&scene, "index.conf", text);
    flags[0] = "--config";
    flags[1] = strdup(scene_path(&scene, "index.conf"));
    server_start(&server, &scene, flags);
    worker = client_of(&server, "worker", NULL, NULL, NULL);
    root = client_of(&server, "root", NULL, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    activity_client_free(worker);
    activity_client_free(root);
    server_kill(&server);
    opensearch_end(&node);
    free((void *)(uintptr_t)flags[1]);
    scene_end(&scene);
    return 0;
}

static uint64_t record(const char *model, uint32_t first, uint32_t count)
{
    static const char json[] = "{\"n\":1}";
    static struct activity_document_change changes[1000];
    static char ids[1000][16];
    assert_in_range(count, 1, 1000);
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "d%u", first + i);
        changes[i] = (struct activity_document_change){.model = model,
                                                       .document_id = ids[i],
                                                       .affected_model = model,
                                                       .json = {json, sizeof json - 1}};
    }
    const struct activity_record_request request = {.changes = changes, .change_count = count};
    struct activity_recorded recorded;
    assert_ok(activity_record_changes(worker, &request, NULL, &recorded, &error), error);
    return recorded.ticket;
}

static void await(uint64_t ticket)
{
    const struct activity_visible_request request = {
        .ticket = ticket, .stage = ACTIVITY_STAGE_ACKED, .wait_ms = 20000};
    struct activity_visible visible = {.reached = false};
    assert_ok(activity_wait_visible(worker, &request, NULL, &visible, &error), error);
    assert_true(visible.reached);
}

/* The caller's to free. */
static activity_result *ask(const struct activity_index_status **status)
{
    activity_result *result = NULL;
    assert_ok(activity_get_index_status(root, NULL, &result, &error), error);
    *status = activity_result_index_status(result);
    return result;
}

static void await_state(enum activity_index_state state)
{
    uint64_t until = now_ms() + 20000;
    for (;;) {
        const struct activity_index_status *status;
        activity_result *result = ask(&status);
        enum activity_index_state is = status->state;
        activity_result_free(result);
        if (is == state) {
            return;
        }
        assert_true(now_ms() < until);
        sleep_ms(20);
    }
}

static void assert_said(void)
{
    const struct activity_index_status *status;
    activity_result *result = ask(&status);
    assert_int_equal(status->state, ACTIVITY_INDEX_REFUSED);
    assert_non_null(status->why);
    assert_string_equal(status->why->code, "cluster_block_exception");
    assert_non_null(strstr(status->why->message, "acme-refused"));
    assert_int_equal(status->parked_documents, 0);
    assert_int_equal(status->parked_since_start, 0);
    assert_int_equal(status->away_since_ms, 0);
    assert_in_range(status->resting_documents + status->in_flight_documents, REFUSED_DOCUMENTS / 2,
                    REFUSED_DOCUMENTS);
    assert_in_range(status->lag_ms, 1000, 60000); /* what rests is late, too */
    print_message("%" PRIu64 " rest, %" PRIu64 " retried: %s\n", status->resting_documents,
                  status->retried_documents, status->why->message);
    activity_result_free(result);
}

static uint64_t documents_of(const char *index)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/%s/_refresh", index);
    json_decref(opensearch_ask(&node, "POST", path, NULL, NULL));
    (void)snprintf(path, sizeof path, "/%s/_count", index);
    json_t *answer = opensearch_ask(&node, "GET", path, NULL, NULL);
    uint64_t count = (uint64_t)json_integer_value(json_object_get(answer, "count"));
    json_decref(answer);
    return count;
}

static void others_go_on(void **state)
{
    (void)state;
    opensearch_needed(&node);
    await_state(ACTIVITY_INDEX_READY);
    await(record("other", 0, 1)); /* warm */
    put("/acme-refused/_settings", "{\"index.blocks.write\":true}");
    uint64_t tickets[REFUSED_DOCUMENTS / 1000];
    for (uint32_t i = 0; i < REFUSED_DOCUMENTS / 1000; i++) {
        tickets[i] = record("refused", 1000 * i, 1000);
    }
    await_state(ACTIVITY_INDEX_REFUSED);
    uint64_t slowest = 0;
    uint64_t sum = 0;
    for (uint32_t i = 1; i < OTHERS; i++) {
        uint64_t from = now_ms();
        await(record("other", i, 1));
        uint64_t took = now_ms() - from;
        slowest = took > slowest ? took : slowest;
        sum += took;
    }
    print_message("of another index, recorded until acknowledged: %" PRIu64 " ms, at most %" PRIu64
                  "\n",
                  sum / (OTHERS - 1), slowest);
    assert_in_range(slowest, 0, 5000); /* flush_delay_ms is 200 of it */
    assert_int_equal(documents_of("acme-other"), OTHERS);
    assert_said();
    put("/acme-refused/_settings", "{\"index.blocks.write\":null}");
    for (uint32_t i = 0; i < REFUSED_DOCUMENTS / 1000; i++) {
        await(tickets[i]);
    }
    assert_int_equal(documents_of("acme-refused"), REFUSED_DOCUMENTS);
    await_state(ACTIVITY_INDEX_READY); /* once nothing was refused for a while */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(others_go_on)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
