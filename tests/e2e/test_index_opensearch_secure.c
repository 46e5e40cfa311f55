/* The writer and a real OpenSearch behind TLS, client certificates and users: what is wrong is said
 * clearly, and nothing is lost or parked meanwhile. */
#include "tests/e2e/harness_opensearch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/harness_writer.h"

#define WRITER "writer:writer of the tests"

static struct scene scene;
static struct opensearch node;
static struct writing *writing;
static struct writing_options options;
static char files[6][SCENE_PATH_MAX];

static const char *in_config(int at, const char *name)
{
    (void)snprintf(files[at], sizeof files[at], "%s/%s", scene_path(&scene, "opensearch/config"),
                   name);
    return files[at];
}

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
        scene_write(&scene, "password", WRITER "\n");
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

static int begin(void **state)
{
    (void)state;
    (void)snprintf(files[5], sizeof files[5], "%s", scene_path(&scene, "password"));
    options = (struct writing_options){.ports = {node.port},
                                       .secure = true,
                                       .fragments = true,
                                       .index = "docs-{tenant}-{model}",
                                       .ca = in_config(0, "ca.crt"),
                                       .cert = in_config(1, "client.crt"),
                                       .key = in_config(2, "client.key"),
                                       .basic_file = files[5]};
    scene_write(&scene, "password", WRITER "\n");
    return 0;
}

static int end(void **state)
{
    (void)state;
    writing_close(writing);
    writing = NULL;
    return 0;
}

static struct index_batch *one(void)
{
    struct index_batch *batch = writing_batch(writing, 2);
    writing_put(writing, batch, "p", "{\"n\":1}");
    writing_put_fragment(writing, batch, "o", "{\"n\":1}");
    return batch;
}

static void written_and_refreshed(void **state)
{
    (void)state;
    opensearch_needed(&node);
    writing = writing_open(&options);
    assert_int_equal(writing_write(writing, one()).acked, 2);
    assert_int_equal(writing_refresh(writing).results, 1);
}

static void assert_refused(const char *code, const char *said)
{
    writing = writing_open(&options);
    struct told_status status = writing_await_trouble(writing, code);
    if (strstr(status.message, said) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", status.message, said);
    }
    print_message("%s\n", status.message);
    assert_false(status.ready);
    assert_int_equal(writing_room(writing), 0);
    assert_int_equal(writing_submit_anyway(writing, one()), 0);
    assert_int_equal(writing_await(writing, 1).retried, 2);
}

static void another_authority(void **state)
{
    (void)state;
    opensearch_needed(&node);
    options.ca = in_config(0, "elsewhere.crt");
    assert_refused("unreachable", "index_ca");
}

static void another_certificate(void **state)
{
    (void)state;
    opensearch_needed(&node);
    options.cert = in_config(1, "foreign.crt");
    options.key = in_config(2, "foreign.key");
    assert_refused("unreachable", "trust our certificate");
}

static void no_certificate(void **state)
{
    (void)state;
    opensearch_needed(&node);
    options.cert = options.key = NULL;
    assert_refused("unreachable", "trust our certificate");
}

/* The file is read again, so that a new password needs no restart. */
static void a_wrong_password_and_a_new_one(void **state)
{
    (void)state;
    opensearch_needed(&node);
    scene_write(&scene, "password", "writer:wrong\n");
    assert_refused("credentials", "index_user_file");
    assert_true(writing_status(writing).refused);
    scene_write(&scene, "password", WRITER "\n");
    assert_int_equal(writing_write(writing, one()).acked, 2);
}

/* Nothing is parked for a right that is missing: what it is about rests, and is named. */
static void no_right_on_the_index(void **state)
{
    (void)state;
    opensearch_needed(&node);
    options.index = "other-{tenant}-{model}";
    writing = writing_open(&options);
    struct told_result told = writing_write(writing, one());
    assert_true(told.parked == 0 && told.retried == 2 && told.refused == 2);
    assert_in_range(told.rest_ms[0], 50, 100);
    struct told_status status = writing_status(writing);
    assert_true(status.ready && status.refused);
    assert_string_equal(status.code, "security_exception");
    print_message("%s\n", status.message);
    assert_non_null(strstr(status.message, "index other-acme-"));
    assert_non_null(strstr(status.message, "no permissions"));
    assert_int_equal(writing_room(writing), 4); /* for documents of other indices */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(written_and_refreshed),
        TEST(another_authority),
        TEST(another_certificate),
        TEST(no_certificate),
        TEST(a_wrong_password_and_a_new_one),
        TEST(no_right_on_the_index),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
