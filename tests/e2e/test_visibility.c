/* P9 over the wire: users, groups, owners, creators and tenants, every call, the batch included.
 * What a caller may not see is answered exactly as what never existed. */
#include "tests/e2e/harness.h"

#include <stdio.h>
#include <string.h>

static struct scene scene;
static struct server server;
static struct activity_error error;

/* Who looks. The gateway names users; worker and boss are principals of acme. */
enum viewer { ANNA, BERT, CARL, OTHER_ANNA, WORKER, GATEWAY, BOSS, VIEWER_COUNT };
static const struct {
    const char *who;
    const char *tenant;
    const char *user;
    const char *groups[3];
} viewers[VIEWER_COUNT] = {
    [ANNA] = {"gateway", "acme", "anna", {"editors", NULL}},
    [BERT] = {"gateway", "acme", "bert", {"editors", "night", NULL}},
    [CARL] = {"gateway", "acme", "carl", {"night", NULL}},
    [OTHER_ANNA] = {"gateway",
                    "other",
                    "anna",
                    {"editors", NULL}}, /* the same names, another tenant */
    [WORKER] = {"worker", NULL, NULL, {NULL}},
    [GATEWAY] = {"gateway", "acme", NULL, {NULL}},
    [BOSS] = {"boss", NULL, NULL, {NULL}},
};
static activity_client *clients[VIEWER_COUNT];

/* What is looked at, who sees it and who may change it: bits of enum viewer. */
#define BIT(viewer) (1u << (viewer))
static const struct {
    enum viewer creator;
    const char *group;
    unsigned see;
    unsigned change;
} objects[] = {
    {ANNA, NULL, BIT(ANNA) | BIT(BOSS), BIT(ANNA) | BIT(BOSS)},
    {ANNA, "editors", BIT(ANNA) | BIT(BERT) | BIT(BOSS), BIT(ANNA) | BIT(BOSS)},
    {ANNA, "night", BIT(ANNA) | BIT(BERT) | BIT(CARL) | BIT(BOSS), BIT(ANNA) | BIT(BOSS)},
    {OTHER_ANNA, "editors", BIT(OTHER_ANNA), BIT(OTHER_ANNA)},
    {WORKER, NULL, BIT(WORKER) | BIT(BOSS), BIT(WORKER) | BIT(BOSS)},
    {WORKER, "night", BIT(WORKER) | BIT(BERT) | BIT(CARL) | BIT(BOSS), BIT(WORKER) | BIT(BOSS)},
};
enum { OBJECT_COUNT = sizeof objects / sizeof objects[0] };
/* Created for a user, a job is also seen and changed by its creator when that calls without a user.
 */
static bool with_creator(size_t object, enum viewer viewer, unsigned bits)
{
    bool by_gateway_in_acme = objects[object].creator == ANNA;
    return (bits & BIT(viewer)) != 0 || (viewer == GATEWAY && by_gateway_in_acme);
}
static bool sees(size_t object, enum viewer viewer)
{
    return with_creator(object, viewer, objects[object].see);
}
static bool changes(size_t object, enum viewer viewer)
{
    return with_creator(object, viewer, objects[object].change);
}

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    server_start(&server, &scene, NULL);
    for (size_t i = 0; i < VIEWER_COUNT; i++) {
        clients[i] = client_of(&server, viewers[i].who, viewers[i].tenant, viewers[i].user,
                               viewers[i].user == NULL ? NULL : viewers[i].groups);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < VIEWER_COUNT; i++) {
        activity_client_free(clients[i]);
    }
    assert_int_equal(server_stop(&server), 0);
    scene_end(&scene);
    return 0;
}

static uint64_t make(size_t object)
{
    const struct activity_create_request request = {.type = "upload",
                                                    .title = "secret",
                                                    .groups = &objects[object].group,
                                                    .group_count =
                                                        objects[object].group == NULL ? 0 : 1};
    struct activity_created created;
    assert_ok(activity_create(clients[objects[object].creator], &request, NULL, &created, &error),
              error);
    return created.job_id;
}

static void test_reading(void **state)
{
    (void)state;
    uint64_t jobs[OBJECT_COUNT];
    for (size_t i = 0; i < OBJECT_COUNT; i++) {
        jobs[i] = make(i);
    }
    for (size_t v = 0; v < VIEWER_COUNT; v++) {
        struct activity_error unknown;
        activity_result *result = NULL;
        assert_int_equal(activity_get(clients[v], 4711, NULL, &result, &unknown),
                         ACTIVITY_NOT_FOUND);
        for (size_t i = 0; i < OBJECT_COUNT; i++) {
            bool visible = sees(i, (enum viewer)v);
            int code = activity_get(clients[v], jobs[i], NULL, &result, &error);
            assert_int_equal(code, visible ? ACTIVITY_OK : ACTIVITY_NOT_FOUND);
            if (!visible) { /* no oracle: the very same answer */
                assert_string_equal(error.reason, unknown.reason);
                assert_string_equal(error.message, unknown.message);
            }
            activity_result_free(result);
            assert_ok(activity_get_result(clients[v], jobs[i], NULL, &result, &error), error);
            assert_int_equal(activity_result_returned(result)->state,
                             visible ? ACTIVITY_RESULT_PENDING : ACTIVITY_RESULT_UNKNOWN);
            activity_result_free(result);
            const struct activity_find_request find = {
                .activities = true, .job_ids = &jobs[i], .job_id_count = 1, .observe = true};
            assert_ok(activity_find(clients[v], &find, NULL, &result, &error), error);
            assert_int_equal(activity_result_page(result)->activity_count, visible ? 1 : 0);
            activity_result_free(result);
        }
        const struct activity_find_request all = {.activities = true, .observe = true};
        assert_ok(activity_find(clients[v], &all, NULL, &result, &error), error);
        size_t expected = 0;
        for (size_t i = 0; i < OBJECT_COUNT; i++) {
            expected += sees(i, (enum viewer)v);
        }
        assert_int_equal(activity_result_page(result)->activity_count, expected);
        activity_result_free(result);
    }
}

static void test_changing(void **state)
{
    (void)state;
    for (size_t v = 0; v < VIEWER_COUNT; v++) {
        for (size_t i = 0; i < OBJECT_COUNT; i++) {
            uint64_t job = make(i);
            bool allowed = changes(i, (enum viewer)v);
            const struct activity_update_request update = {
                .job_id = job, .set_percent = true, .percent = 7};
            struct activity_updated updated;
            assert_ok(activity_update(clients[v], &update, NULL, &updated, &error), error);
            assert_int_equal(updated.disposition,
                             allowed ? ACTIVITY_APPLIED : ACTIVITY_IGNORED_UNKNOWN);
            assert_int_equal(updated.percent, allowed ? 7 : 0);

            const uint8_t percent = 9;
            const struct activity_batch_request batch = {
                .job_ids = &job, .percents = &percent, .count = 1};
            activity_result *result;
            assert_ok(activity_batch_update(clients[v], &batch, NULL, &result, &error), error);
            assert_int_equal(activity_result_batch(result)->percents[0], allowed ? 9 : 0);
            assert_int_equal(activity_result_batch(result)->dispositions[0],
                             allowed ? ACTIVITY_APPLIED : ACTIVITY_IGNORED_UNKNOWN);
            activity_result_free(result);

            const struct activity_create_request child = {.type = "upload", .parent_job_id = job};
            int code = activity_create(clients[v], &child, NULL, NULL, &error);
            assert_int_equal(code, allowed ? ACTIVITY_OK : ACTIVITY_INVALID_ARGUMENT);
            if (!allowed) {
                assert_string_equal(error.reason, "UNKNOWN_JOB");
                assert_string_equal(error.field, "parent_job_id");
            }
            const struct activity_document_change change = {
                .model = "asset", .document_id = "1", .affected_model = "Asset"};
            const struct activity_record_request record = {
                .changes = &change, .change_count = 1, .job_id = job};
            code = activity_record_changes(clients[v], &record, NULL, NULL, &error);
            assert_int_equal(code, allowed ? ACTIVITY_OK : ACTIVITY_INVALID_ARGUMENT);

            enum activity_disposition disposition;
            code = activity_destroy(clients[v], job, NULL, &disposition, &error);
            if (allowed) {
                assert_ok(code, error);
                assert_int_equal(disposition, ACTIVITY_APPLIED);
            } else if (sees(i, (enum viewer)v)) {
                assert_int_equal(code, ACTIVITY_PERMISSION_DENIED);
                assert_string_equal(error.reason, "NOT_YOURS");
            } else {
                assert_ok(code, error);
                assert_int_equal(disposition, ACTIVITY_IGNORED_UNKNOWN);
            }
        }
    }
}

static void test_changes_of_documents(void **state)
{
    (void)state;
    const struct {
        enum viewer recorder;
        const char *group;
        unsigned see;
    } rows[] = {
        {ANNA, NULL, BIT(ANNA) | BIT(BOSS)},
        {ANNA, "night", BIT(ANNA) | BIT(BERT) | BIT(CARL) | BIT(BOSS)},
        {ANNA, "*", BIT(ANNA) | BIT(BERT) | BIT(CARL) | BIT(WORKER) | BIT(GATEWAY) | BIT(BOSS)},
        {OTHER_ANNA, "*", BIT(OTHER_ANNA)},
        {WORKER, NULL, BIT(WORKER) | BIT(BOSS)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "doc-%zu", i);
        const struct activity_document_change change = {.model = "visible",
                                                        .document_id = id,
                                                        .affected_model = "Visible",
                                                        .groups = &rows[i].group,
                                                        .group_count =
                                                            rows[i].group == NULL ? 0 : 1};
        const struct activity_record_request record = {.changes = &change, .change_count = 1};
        assert_ok(activity_record_changes(clients[rows[i].recorder], &record, NULL, NULL, &error),
                  error);
    }
    sleep_ms(600); /* the index view follows after 200 ms */
    for (size_t v = 0; v < VIEWER_COUNT; v++) {
        activity_result *result;
        const struct activity_find_request find = {
            .model_changes = true, .model_changes_es = true, .observe = true};
        assert_ok(activity_find(clients[v], &find, NULL, &result, &error), error);
        const struct activity_page *page = activity_result_page(result);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            char id[16];
            (void)snprintf(id, sizeof id, "doc-%zu", i);
            bool found[2] = {false, false};
            for (size_t k = 0; k < page->model_change_count; k++) {
                found[0] |= strcmp(page->model_changes[k].document_id, id) == 0;
            }
            for (size_t k = 0; k < page->model_change_es_count; k++) {
                found[1] |= strcmp(page->model_changes_es[k].document_id, id) == 0;
            }
            /* A principal that recorded for a user sees it when it calls without one. */
            bool wanted = (rows[i].see & BIT(v)) != 0 || (v == GATEWAY && rows[i].recorder == ANNA);
            if (found[0] != wanted || found[1] != wanted) {
                print_error("viewer %zu, change %zu: wanted %d, found %d and %d\n", v, i, wanted,
                            found[0], found[1]);
            }
            assert_true(found[0] == wanted && found[1] == wanted);
        }
        activity_result_free(result);
    }
}

static void test_delegation_has_its_bounds(void **state)
{
    (void)state;
    const struct {
        const char *who;
        const char *tenant;
        const char *user;
        int code;
    } rows[] = {{"gateway", "acme", "anna", ACTIVITY_OK},
                {"gateway", "other", "anna", ACTIVITY_OK},
                {"gateway", "third", "anna", ACTIVITY_PERMISSION_DENIED},
                {"worker", "other", "anna", ACTIVITY_PERMISSION_DENIED},
                {"worker", "acme", "anna", ACTIVITY_PERMISSION_DENIED},
                {"root", "third", "anna", ACTIVITY_OK}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        activity_client *client =
            client_of(&server, rows[i].who, rows[i].tenant, rows[i].user, NULL);
        activity_result *result;
        const struct activity_find_request find = {.activities = true};
        int code = activity_find(client, &find, NULL, &result, &error);
        if (code != rows[i].code) {
            print_error("%s for %s/%s: %s\n", rows[i].who, rows[i].tenant, rows[i].user,
                        error.message);
        }
        assert_int_equal(code, rows[i].code);
        activity_result_free(result);
        activity_client_free(client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_changing),
        cmocka_unit_test(test_changes_of_documents),
        cmocka_unit_test(test_delegation_has_its_bounds),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
