/* A real OpenSearch behind TLS, client certificates and users: who is let in, and what a user
 * without a right is told. */
#include "tests/e2e/harness_opensearch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITER "writer:writer of the tests"

static struct scene scene;
static struct opensearch node;

static int set_up(void **state)
{
    (void)state;
    static const struct opensearch_options options = {.secure = true};
    scene_make(&scene);
    if (opensearch_start(&node, &scene, &options)) {
        static const char *const indices[] = {"/docs-acme", "/other"};
        for (size_t i = 0; i < sizeof indices / sizeof indices[0]; i++) {
            int status = 0;
            json_decref(opensearch_ask(&node, "PUT", indices[i],
                                       "{\"settings\":{\"number_of_replicas\":0}}", &status));
            assert_int_equal(status, 200);
        }
        /* A second authority, and a certificate of its own. */
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

static void assert_no_answer(const char *certificate)
{
    struct opensearch_reply reply;
    node.certificate = certificate;
    opensearch_request(&node, "GET", "/", NULL, &reply);
    node.certificate = "client";
    assert_int_equal(reply.status, 0);
    assert_true(reply.why[0] != '\0');
    print_message("certificate %s: %s\n", certificate != NULL ? certificate : "none", reply.why);
    free(reply.body);
}

static void test_certificates(void **state)
{
    (void)state;
    opensearch_needed(&node);
    node.user = WRITER;
    int status = 0;
    json_decref(opensearch_ask(&node, "GET", "/", NULL, &status));
    assert_int_equal(status, 200);
    assert_no_answer(NULL);
    assert_no_answer("foreign");
    json_decref(opensearch_ask(&node, "GET", "/", NULL, &status)); /* others are not disturbed */
    assert_int_equal(status, 200);
}

static void test_plain_text(void **state)
{
    (void)state;
    opensearch_needed(&node);
    struct opensearch plain = {.timeout_ms = 3000};
    struct opensearch_reply reply;
    (void)snprintf(plain.url, sizeof plain.url, "http://127.0.0.1:%u", node.port);
    opensearch_request(&plain, "GET", "/", NULL, &reply);
    assert_int_equal(reply.status, 0);
    free(reply.body);
    opensearch_end(&plain);
}

static void test_users(void **state)
{
    (void)state;
    opensearch_needed(&node);
    static const struct {
        const char *user;
        int status;
    } rows[] = {
        {NULL, 401}, {"writer:wrong", 401}, {"nobody:writer of the tests", 401}, {WRITER, 200}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct opensearch_reply reply;
        node.user = rows[i].user;
        opensearch_request(&node, "GET", "/_cluster/health", NULL, &reply);
        assert_int_equal(reply.status, rows[i].status);
        /* A refusal is a line of text, not JSON. */
        json_t *json = json_loads(reply.body, 0, NULL);
        assert_int_equal(json != NULL, rows[i].status == 200);
        json_decref(json);
        free(reply.body);
    }
}

static void test_rights_are_per_item(void **state)
{
    (void)state;
    opensearch_needed(&node);
    int status = 0;
    node.user = WRITER;
    json_t *reply = opensearch_ask(
        &node, "POST", "/_bulk",
        "{\"index\":{\"_index\":\"docs-acme\",\"_id\":\"1\",\"version\":7,\"version_type\":"
        "\"external\"}}\n{\"a\":1}\n"
        "{\"index\":{\"_index\":\"other\",\"_id\":\"1\"}}\n{\"a\":1}\n"
        "{\"delete\":{\"_index\":\"docs-acme\",\"_id\":\"2\",\"version\":7,\"version_type\":"
        "\"external\"}}\n",
        &status);
    assert_int_equal(status, 200);
    assert_true(json_is_true(json_object_get(reply, "errors")));
    const json_t *items = json_object_get(reply, "items");
    static const char *const actions[] = {"index", "index", "delete"};
    static const int expected[] = {201, 403, 404};
    for (size_t i = 0; i < 3; i++) {
        const json_t *item = json_object_get(json_array_get(items, i), actions[i]);
        assert_int_equal(json_integer_value(json_object_get(item, "status")), expected[i]);
        const json_t *error = json_object_get(item, "error");
        assert_int_equal(error != NULL, expected[i] == 403);
        if (error != NULL) {
            assert_string_equal(json_string_value(json_object_get(error, "type")),
                                "security_exception");
            assert_non_null(strstr(json_string_value(json_object_get(error, "reason")),
                                   "no permissions for [indices:data/write/"));
        }
    }
    json_decref(reply);
}

/* What else a user needs to be written for: the script, a refresh, the settings of its indices. */
static void test_rights_besides_writing(void **state)
{
    (void)state;
    opensearch_needed(&node);
    static const struct {
        const char *method, *path, *body;
        int status;
    } rows[] = {
        {"PUT", "/_scripts/s/update",
         "{\"script\":{\"lang\":\"painless\",\"source\":\"ctx.op = 'none'\"}}", 200},
        {"POST", "/docs-acme/_refresh", NULL, 200},
        {"POST", "/other/_refresh", NULL, 403},
        {"GET", "/docs-acme/_settings", NULL, 200},
        {"GET", "/other/_settings", NULL, 403},
        {"PUT", "/docs-new", "{\"settings\":{\"number_of_replicas\":0}}", 200},
        {"PUT", "/new", "{}", 403},
        {"DELETE", "/docs-acme", NULL, 403},
    };
    node.user = WRITER;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int status = 0;
        json_decref(opensearch_ask(&node, rows[i].method, rows[i].path, rows[i].body, &status));
        if (status != rows[i].status) {
            fail_msg("%s %s: %d, where %d was expected", rows[i].method, rows[i].path, status,
                     rows[i].status);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_plain_text),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_rights_are_per_item),
        cmocka_unit_test(test_rights_besides_writing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
