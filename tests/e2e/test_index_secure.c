/* The whole service and an index behind TLS, client certificates and users: what is wrong there is
 * told, and what is recorded meanwhile is written once it is right. */
#include "tests/e2e/harness_opensearch.h"

#include <activity_index.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITER "writer:writer of the tests\n"

static struct scene scene;
static struct opensearch node;
static struct server server;
static activity_client *worker;
static activity_client *root;
static struct activity_error error;

static int set_up(void **state)
{
    (void)state;
    static const struct opensearch_options secure = {.secure = true};
    scene_make(&scene);
    if (opensearch_start(&node, &scene, &secure)) {
        char command[2048];
        const char *config = scene_path(&scene, "opensearch/config");
        (void)snprintf(command, sizeof command,
                       ".make/devcerts.sh ca '%s' elsewhere && "
                       ".make/devcerts.sh issue '%s' foreign elsewhere clientAuth -",
                       config, config);
        assert_int_equal(system(command), 0);
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

/* A server whose certificate to the index is NAME.crt. */
static void start(const char *name)
{
    char text[4096];
    char file[64];
    char config[SCENE_PATH_MAX];
    (void)snprintf(config, sizeof config, "%s", scene_path(&scene, "opensearch/config"));
    (void)snprintf(
        text, sizeof text,
        "index = elasticsearch\nindex_nodes = \"https://localhost:%u\"\n"
        "index_name = \"docs-{tenant}-{model}\"\n"
        "index_ca = \"%s/ca.crt\"\nindex_cert = \"%s/%s.crt\"\nindex_key = \"%s/%s.key\"\n"
        "index_user_file = \"%s\"\n"
        "index_retry_first_ms = 50\nindex_retry_most_ms = 200\n"
        "model \"orders\" { kind = fragments }\n",
        node.port, config, config, name, config, name, scene_path(&scene, "password"));
    (void)snprintf(file, sizeof file, "%s.conf", name);
    scene_write(&scene, file, text);
    const char *const flags[] = {"--config", scene_path(&scene, file), NULL};
    server_start(&server, &scene, flags);
    worker = client_of(&server, "worker", NULL, NULL, NULL);
    root = client_of(&server, "root", NULL, NULL, NULL);
}

static int end(void **state)
{
    (void)state;
    activity_client_free(worker);
    activity_client_free(root);
    worker = root = NULL;
    server_kill(&server);
    return 0;
}

/* One whole document and one fragment. */
static uint64_t record(void)
{
    const struct activity_document_change changes[] = {{.model = "products",
                                                        .document_id = "p",
                                                        .affected_model = "Product",
                                                        .json = {"{\"n\":1}", 7}},
                                                       {.model = "orders",
                                                        .document_id = "o",
                                                        .affected_model = "Order",
                                                        .merge_patch = {"{\"n\":2}", 7}}};
    const struct activity_record_request request = {.changes = changes, .change_count = 2};
    struct activity_recorded recorded;
    assert_ok(activity_record_changes(worker, &request, NULL, &recorded, &error), error);
    return recorded.ticket;
}

static bool is_acked(uint64_t ticket, uint32_t wait_ms)
{
    const struct activity_visible_request request = {
        .ticket = ticket, .stage = ACTIVITY_STAGE_ACKED, .wait_ms = wait_ms};
    struct activity_visible visible = {.reached = false};
    assert_ok(activity_wait_visible(worker, &request, NULL, &visible, &error), error);
    return visible.reached;
}

static void assert_trouble(enum activity_index_state state, const char *said)
{
    uint64_t until = now_ms() + 20000;
    activity_result *result = NULL;
    bool told = false;
    while (!told && now_ms() < until) {
        activity_result_free(result);
        result = NULL;
        assert_ok(activity_get_index_status(root, NULL, &result, &error), error);
        const struct activity_index_status *status = activity_result_index_status(result);
        told = status->state == state && status->why != NULL &&
               strstr(status->why->message, said) != NULL;
        sleep_ms(20);
    }
    const struct activity_index_status *status = activity_result_index_status(result);
    print_message("%s: %s\n", activity_index_state_name((int)status->state),
                  status->why == NULL ? "" : status->why->message);
    assert_true(told);
    assert_true(status->away_since_ms != 0);
    activity_result_free(result);
}

/* The file is read again: no restart. */
static void a_wrong_password_until_it_is_right(void **state)
{
    (void)state;
    opensearch_needed(&node);
    scene_write(&scene, "password", "writer:wrong\n");
    start("client");
    uint64_t ticket = record();
    assert_trouble(ACTIVITY_INDEX_REFUSED, "index_user_file");
    assert_false(is_acked(ticket, 500));
    scene_write(&scene, "password", WRITER);
    assert_true(is_acked(ticket, 20000));
}

static void a_foreign_certificate_until_the_next_start(void **state)
{
    (void)state;
    opensearch_needed(&node);
    scene_write(&scene, "password", WRITER);
    start("foreign");
    uint64_t ticket = record();
    assert_trouble(ACTIVITY_INDEX_AWAY, "trust our certificate");
    assert_false(is_acked(ticket, 500));
    (void)end(state);
    start("client");
    assert_true(is_acked(ticket, 20000)); /* nothing was lost over a SIGKILL */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_wrong_password_until_it_is_right, end),
        cmocka_unit_test_teardown(a_foreign_certificate_until_the_next_start, end),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
