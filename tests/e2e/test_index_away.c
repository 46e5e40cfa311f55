/* The index down, hanging and refusing, under load: the rest of the service does not notice, what
 * waits is bounded, nothing that was accepted is lost, and in the end the index equals the model.
 * Each of the three lasts 3 s; make soak-index_away N=67 for ten minutes. */
#include "tests/e2e/harness_opensearch.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENTS    400u
#define RECORDERS    2u
#define PER_REQUEST  10u
#define AWAY_MS      3000u
#define PENDING_MOST 2000u
#define CALL_MS      20000u
#define BETWEEN_MS   5u
#define CHECK_PAGE   200u

static struct scene scene;
static struct opensearch node;
static struct server server;
static struct activity_error error;

static void make_index(void)
{
    int status = 0;
    json_decref(opensearch_ask(&node, "PUT", "/acme-products",
                               "{\"settings\":{\"number_of_replicas\":0,\"gc_deletes\":\"1h\"},"
                               "\"mappings\":{\"properties\":{\"n\":{\"type\":\"long\"}}}}",
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
    make_index();
    char pending[32];
    (void)snprintf(pending, sizeof pending, "%u", PENDING_MOST);
    const char *const flags[] = {"--index",
                                 "elasticsearch",
                                 "--index-nodes",
                                 node.url,
                                 "--pending-changes-max",
                                 pending,
                                 "--index-answer-ms",
                                 "1s",
                                 "--index-retry-first-ms",
                                 "50",
                                 "--index-item-retry-most-ms",
                                 "1s",
                                 "--index-retry-most-ms",
                                 "1s",
                                 NULL};
    server_start(&server, &scene, flags);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_kill(&server);
    opensearch_end(&node);
    scene_end(&scene);
    return 0;
}

/* ---- Load ---- */

static atomic_bool stopping;
static _Atomic uint64_t accepted_in_all;

/* Records its own documents, and knows what the last accepted number of each is. */
struct recorder {
    pthread_t thread;
    uint32_t first; /* document */
    uint64_t numbers[DOCUMENTS / RECORDERS];
    uint64_t tickets[DOCUMENTS / RECORDERS];
    uint64_t accepted;
    uint64_t refused;
    bool failed;
};

static int record(activity_client *client, struct recorder *recorder, uint32_t at, uint64_t number,
                  uint64_t *ticket, struct activity_error *why)
{
    struct activity_document_change changes[PER_REQUEST];
    char ids[PER_REQUEST][16];
    char texts[PER_REQUEST][64];
    for (uint32_t i = 0; i < PER_REQUEST; i++) {
        uint32_t document = recorder->first + (at + i) % (DOCUMENTS / RECORDERS);
        (void)snprintf(ids[i], sizeof ids[i], "%u", document);
        int length = snprintf(texts[i], sizeof texts[i], "{\"n\":%" PRIu64 "}", number + i);
        changes[i] = (struct activity_document_change){.model = "products",
                                                       .document_id = ids[i],
                                                       .affected_model = "Product",
                                                       .json = {texts[i], (size_t)length}};
    }
    const struct activity_record_request request = {.changes = changes,
                                                    .change_count = PER_REQUEST};
    struct activity_call_options options = ACTIVITY_CALL_OPTIONS_INIT;
    struct activity_recorded recorded = {.ticket = 0};
    options.timeout_ms = CALL_MS;
    options.never_repeat = true;
    int code = activity_record_changes(client, &request, &options, &recorded, why);
    *ticket = recorded.ticket;
    return code;
}

static void *run_recorder(void *context)
{
    struct recorder *recorder = context;
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    uint64_t number = 1;
    for (uint32_t at = 0; !atomic_load(&stopping) && !recorder->failed; at += PER_REQUEST) {
        struct activity_error why;
        uint64_t ticket;
        int code = record(client, recorder, at, number, &ticket, &why);
        if (code == 0) {
            for (uint32_t i = 0; i < PER_REQUEST; i++) {
                recorder->numbers[(at + i) % (DOCUMENTS / RECORDERS)] = number + i;
                recorder->tickets[(at + i) % (DOCUMENTS / RECORDERS)] = ticket;
            }
            recorder->accepted += PER_REQUEST;
            atomic_fetch_add(&accepted_in_all, PER_REQUEST);
        } else if (code == ACTIVITY_RESOURCE_EXHAUSTED &&
                   strcmp(why.reason, "TOO_MANY_PENDING_CHANGES") == 0) {
            recorder->refused += PER_REQUEST;
            sleep_ms(BETWEEN_MS);
        } else {
            print_error("record: %s %s\n", why.reason, why.message);
            recorder->failed = true;
        }
        number += PER_REQUEST;
        sleep_ms(BETWEEN_MS);
    }
    activity_client_free(client);
    return NULL;
}

/* Everything else that the service does, all the time. */
struct bystander {
    pthread_t thread;
    uint64_t calls;
    bool failed;
};

static void *run_bystander(void *context)
{
    struct bystander *bystander = context;
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    while (!atomic_load(&stopping) && !bystander->failed) {
        const struct activity_create_request create = {.type = "upload", .title = "beside"};
        struct activity_call_options options = ACTIVITY_CALL_OPTIONS_INIT;
        struct activity_created created = {.job_id = 0};
        struct activity_updated updated = {.job_id = 0};
        struct activity_error why;
        options.timeout_ms = CALL_MS;
        options.never_repeat = true;
        int code = activity_create(client, &create, &options, &created, &why);
        const struct activity_update_request update = {
            .job_id = created.job_id, .set_percent = true, .percent = 100};
        code = code == 0 ? activity_update(client, &update, &options, &updated, &why) : code;
        if (code != 0 || updated.disposition != ACTIVITY_APPLIED) {
            print_error("beside: %s %s\n", why.reason, why.message);
            bystander->failed = true;
        }
        bystander->calls += 2;
        sleep_ms(BETWEEN_MS);
    }
    activity_client_free(client);
    return NULL;
}

/* ---- Away ---- */

static void set_read_only(bool yes)
{
    int status = 0;
    json_decref(opensearch_ask(
        &node, "PUT", "/acme-products/_settings",
        yes ? "{\"index.blocks.write\":true}" : "{\"index.blocks.write\":null}", &status));
    assert_int_equal(status, 200);
}

/* What had waited has been written, since more has been accepted than may wait. */
static void await_recovery(void)
{
    uint64_t before = atomic_load(&accepted_in_all);
    uint64_t end = now_ms() + 60000;
    while (atomic_load(&accepted_in_all) < before + PENDING_MOST + 500 && now_ms() < end) {
        sleep_ms(20);
    }
    assert_true(atomic_load(&accepted_in_all) >= before + PENDING_MOST + 500);
}

static void be_away(void)
{
    uint32_t away_ms = AWAY_MS * test_count(1);
    static const struct opensearch_options options = {.settings = NULL};
    await_recovery();
    print_message("down\n");
    opensearch_kill(&node);
    sleep_ms(away_ms);
    assert_true(opensearch_start(&node, &scene, &options));
    await_recovery();
    print_message("hanging\n");
    opensearch_pause(&node);
    sleep_ms(away_ms);
    opensearch_resume(&node);
    await_recovery();
    print_message("refusing\n");
    set_read_only(true);
    sleep_ms(away_ms);
    set_read_only(false);
    await_recovery();
}

/* ---- The end ---- */

static void assert_documents(activity_client *client, const struct recorder *recorder)
{
    for (uint32_t i = 0; i < DOCUMENTS / RECORDERS; i++) {
        const struct activity_visible_request request = {
            .ticket = recorder->tickets[i], .stage = ACTIVITY_STAGE_SEARCHABLE, .wait_ms = 60000};
        struct activity_visible visible = {.reached = false};
        assert_ok(activity_wait_visible(client, &request, NULL, &visible, &error), error);
        assert_true(visible.reached);
        char path[64];
        (void)snprintf(path, sizeof path, "/acme-products/_doc/%u", recorder->first + i);
        json_t *document = opensearch_ask(&node, "GET", path, NULL, NULL);
        json_t *n = json_object_get(json_object_get(document, "_source"), "n");
        if ((uint64_t)json_integer_value(n) != recorder->numbers[i]) {
            fail_msg("%s has %" PRIu64 ", not %" PRIu64, path, (uint64_t)json_integer_value(n),
                     recorder->numbers[i]);
        }
        json_decref(document);
    }
}

static void an_index_that_is_away_is_lag_and_nothing_else(void **state)
{
    (void)state;
    opensearch_needed(&node);
    static struct recorder recorders[RECORDERS];
    struct bystander bystander = {.calls = 0};
    for (uint32_t i = 0; i < RECORDERS; i++) {
        recorders[i].first = i * (DOCUMENTS / RECORDERS);
        assert_int_equal(pthread_create(&recorders[i].thread, NULL, run_recorder, &recorders[i]),
                         0);
    }
    assert_int_equal(pthread_create(&bystander.thread, NULL, run_bystander, &bystander), 0);
    be_away();
    atomic_store(&stopping, true);
    uint64_t accepted = 0;
    uint64_t refused = 0;
    for (uint32_t i = 0; i < RECORDERS; i++) {
        assert_int_equal(pthread_join(recorders[i].thread, NULL), 0);
        assert_false(recorders[i].failed);
        accepted += recorders[i].accepted;
        refused += recorders[i].refused;
    }
    assert_int_equal(pthread_join(bystander.thread, NULL), 0);
    assert_false(bystander.failed);
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    for (uint32_t i = 0; i < RECORDERS; i++) {
        assert_documents(client, &recorders[i]);
    }
    activity_client_free(client);
    print_message("%" PRIu64 " changes accepted, %" PRIu64 " refused; %" PRIu64
                  " calls beside them\n",
                  accepted, refused, bystander.calls);
    assert_true(refused > 0 && accepted > 4 * PENDING_MOST && bystander.calls > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_that_is_away_is_lag_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
