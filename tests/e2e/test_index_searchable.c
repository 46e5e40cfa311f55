/* SEARCHABLE means that a search finds it: 1,000 times a change is recorded, waited for and looked
 * for, by several callers at a time, in indices that nothing refreshes but the service. N=10 makes
 * it ten times as often. */
#include "tests/e2e/harness_opensearch.h"

#include <activity_index.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLERS   8u
#define ROUNDS    (1000u / CALLERS) /* of each */
#define DOCUMENTS 40u               /* of each: most changes are not a document's first */
#define WAIT_MS   20000u

static struct scene scene;
static struct opensearch node;
static struct server server;
static struct activity_error error;
static const char *flags[3];

static void make_index(const char *model)
{
    char path[64];
    int status = 0;
    (void)snprintf(path, sizeof path, "/acme-%s", model);
    json_decref(opensearch_ask(&node, "PUT", path,
                               "{\"settings\":{\"number_of_replicas\":0,\"gc_deletes\":\"1h\","
                               "\"refresh_interval\":\"-1\"},\"mappings\":{\"dynamic\":false,"
                               "\"properties\":{\"word\":{\"type\":\"keyword\"}}}}",
                               &status));
    assert_int_equal(status, 200);
}

static int set_up(void **state)
{
    (void)state;
    static const struct opensearch_options options = {.settings = NULL};
    scene_make(&scene);
    if (!opensearch_start(&node, &scene, &options)) {
        return 0;
    }
    make_index("products");
    make_index("orders");
    char text[512];
    (void)snprintf(text, sizeof text,
                   "index = elasticsearch\n"
                   "index_nodes = \"%s\"\n"
                   "index_retry_first_ms = 20\n"
                   "index_retry_most_ms = 100\n"
                   "index_item_retry_most_ms = 100\n"
                   "model \"orders\" {\n    kind = fragments\n}\n",
                   node.url);
    scene_write(&scene, "index.conf", text);
    flags[0] = "--config";
    flags[1] = strdup(scene_path(&scene, "index.conf"));
    server_start(&server, &scene, flags);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_kill(&server);
    opensearch_end(&node);
    free((void *)(uintptr_t)flags[1]);
    scene_end(&scene);
    return 0;
}

/* ---- One document ---- */

struct document {
    const char *model;
    char id[32];
    char word[32]; /* which no other change has */
};

/* Whole documents and fragments by turns. */
static void choose(struct document *document, uint32_t caller, uint32_t round)
{
    document->model = round % 2 == 0 ? "products" : "orders";
    (void)snprintf(document->id, sizeof document->id, "%u-%u", caller, round % DOCUMENTS);
    (void)snprintf(document->word, sizeof document->word, "w%u-%u", caller, round);
}

static int record(activity_client *client, const struct document *document,
                  struct activity_recorded *recorded, struct activity_error *why)
{
    static const char *const groups[] = {"*"};
    bool fragment = strcmp(document->model, "orders") == 0;
    char text[64];
    int length = snprintf(text, sizeof text, "{\"word\":\"%s\"}", document->word);
    const struct activity_bytes json = {text, (size_t)length};
    const struct activity_bytes none = {NULL, 0};
    const struct activity_document_change change = {.model = document->model,
                                                    .document_id = document->id,
                                                    .affected_model = "Item",
                                                    .json = fragment ? none : json,
                                                    .merge_patch = fragment ? json : none,
                                                    .groups = groups,
                                                    .group_count = 1};
    const struct activity_record_request request = {
        .changes = &change, .change_count = 1, .urgent = true};
    return activity_record_changes(client, &request, NULL, recorded, why);
}

static int wait_for(activity_client *client, uint64_t ticket, enum activity_stage stage,
                    bool *reached, struct activity_error *why)
{
    const struct activity_visible_request request = {
        .ticket = ticket, .stage = stage, .wait_ms = WAIT_MS};
    struct activity_visible visible = {.reached = false};
    int code = activity_wait_visible(client, &request, NULL, &visible, why);
    *reached = visible.reached;
    return code;
}

/* How many documents a search for the word finds, -1 when it fails; and whether it is this one. */
static int64_t search(struct opensearch *index, const struct document *document, bool *is_it)
{
    char path[64];
    char query[128];
    (void)snprintf(path, sizeof path, "/acme-%s/_search", document->model);
    (void)snprintf(query, sizeof query, "{\"query\":{\"term\":{\"word\":\"%s\"}}}", document->word);
    int status = 0;
    json_t *answer = opensearch_ask(index, "POST", path, query, &status);
    const json_t *hits = json_object_get(json_object_get(answer, "hits"), "hits");
    int64_t count = status == 200 && json_is_array(hits) ? (int64_t)json_array_size(hits) : -1;
    const char *id = json_string_value(json_object_get(json_array_get(hits, 0), "_id"));
    *is_it = id != NULL && strcmp(id, document->id) == 0;
    json_decref(answer);
    return count;
}

/* ---- Many of them ---- */

struct caller {
    pthread_t thread;
    uint32_t number;
    uint32_t rounds;
    uint32_t found;
    struct opensearch node;
    char fault[512]; /* "": none */
};

static void work(struct caller *caller, activity_client *client, uint32_t round)
{
    struct document document;
    struct activity_recorded recorded = {.ticket = 0};
    struct activity_error why = {.code = ACTIVITY_OK};
    bool reached = false;
    bool is_it = false;
    choose(&document, caller->number, round);
    if (record(client, &document, &recorded, &why) != 0 ||
        wait_for(client, recorded.ticket, ACTIVITY_STAGE_SEARCHABLE, &reached, &why) != 0 ||
        !reached) {
        (void)snprintf(caller->fault, sizeof caller->fault, "%s of %s: %s %.300s", document.word,
                       document.id, why.reason, why.message);
        return;
    }
    int64_t count = search(&caller->node, &document, &is_it);
    if (count != 1 || !is_it) {
        (void)snprintf(caller->fault, sizeof caller->fault,
                       "%s of %s %s is searchable, and a search finds %lld", document.word,
                       document.model, document.id, (long long)count);
        return;
    }
    caller->found++;
}

static void *run_caller(void *context)
{
    struct caller *caller = context;
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    for (uint32_t round = 0; round < caller->rounds && caller->fault[0] == '\0'; round++) {
        work(caller, client, round);
    }
    activity_client_free(client);
    return NULL;
}

static uint64_t count_refreshes(void)
{
    activity_result *result = NULL;
    activity_client *root = client_of(&server, "root", NULL, NULL, NULL);
    assert_ok(activity_get_index_status(root, NULL, &result, &error), error);
    uint64_t refreshes = activity_result_index_status(result)->refreshes;
    activity_result_free(result);
    activity_client_free(root);
    return refreshes;
}

static void what_is_searchable_is_found(void **state)
{
    (void)state;
    opensearch_needed(&node);
    static struct caller callers[CALLERS];
    uint64_t before = count_refreshes();
    uint64_t began_ms = now_ms();
    for (uint32_t i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){
            .number = i, .rounds = test_count(ROUNDS), .node = opensearch_of(&node)};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, run_caller, &callers[i]), 0);
    }
    for (uint32_t i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        opensearch_hang_up(&callers[i].node);
    }
    uint64_t found = 0;
    for (uint32_t i = 0; i < CALLERS; i++) {
        if (callers[i].fault[0] != '\0') {
            fail_msg("%s", callers[i].fault);
        }
        found += callers[i].found;
    }
    uint64_t refreshes = count_refreshes() - before;
    print_message("%" PRIu64 " found, %" PRIu64 " refreshes, in %" PRIu64 " ms\n", found, refreshes,
                  now_ms() - began_ms);
    assert_int_equal(found, CALLERS * test_count(ROUNDS));
    assert_true(refreshes > 0 && refreshes < found);
}

/* ---- A restart ---- */

/* What the service knew of refreshes is gone, and it must not guess. */
static void after_a_kill_it_is_found_anew(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct document documents[2];
    struct activity_recorded recorded[2];
    bool reached = false;
    bool is_it = false;
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        choose(&documents[i], CALLERS, i);
        assert_ok(record(client, &documents[i], &recorded[i], &error), error);
        assert_ok(wait_for(client, recorded[i].ticket, ACTIVITY_STAGE_ACKED, &reached, &error),
                  error);
        assert_true(reached);
        assert_int_equal(search(&node, &documents[i], &is_it), 0); /* nobody has waited for it */
    }
    server_kill(&server);
    server_start(&server, &scene, flags);
    for (uint32_t i = 0; i < 2; i++) {
        assert_ok(wait_for(client, recorded[i].ticket, ACTIVITY_STAGE_SEARCHABLE, &reached, &error),
                  error);
        assert_true(reached);
        assert_int_equal(search(&node, &documents[i], &is_it), 1);
        assert_true(is_it);
    }
    activity_client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_searchable_is_found),
        cmocka_unit_test(after_a_kill_it_is_found_anew),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
