/* activityctl index at a server that writes to no index: everything is answered, nothing is made
 * up, and who may not look is told so. */
#include "tests/e2e/harness_ctl.h"

#include <activity_index.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static struct scene scene;
static struct server server;

/* Changes wait for their batch until 3 documents do. */
static const char *const flags[] = {"--set", "flush_delay_ms=1min", "--set", "flush_documents=3",
                                    NULL};

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    server_start(&server, &scene, flags);
    ctl_set_up(&scene, &server);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_kill(&server);
    scene_end(&scene);
    return 0;
}

static json_t *status_of(void)
{
    assert_shell("$bin --profile $dir/root.profile index status --json", 0);
    json_error_t error;
    json_t *object = json_loads(ctl_output, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        print_error("%s in %s\n", error.text, ctl_output);
    }
    assert_non_null(object);
    assert_string_equal(json_string_value(json_object_get(object, "state")), "NONE");
    return object;
}

static json_int_t number_of(const json_t *object, const char *name)
{
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

static void test_help_tells_all(void **state)
{
    (void)state;
    assert_shell("$bin index --help", 0);
    assert_says("Usage: activityctl index status | batches | parked | retry PARK_ID... | discard");
    assert_says("Examples:");
    assert_shell("$bin --help", 0);
    assert_says("  index ");
    assert_shell("$ctl index", 2);
    assert_shell("$ctl index retry", 2);
    assert_shell("$ctl index discard 7 --all --yes", 2);
}

static void test_no_index_no_batches_nothing_parked(void **state)
{
    (void)state;
    assert_shell("$bin --profile $dir/root.profile index status", 0);
    assert_says("NONE: the server writes to no index");
    assert_says("parked       0 changes of 0 documents\n");
    assert_shell("$bin --profile $dir/root.profile index batches", 0);
    assert_string_equal(ctl_output, "no batch was sent since the server started\n");
    assert_shell("$bin --profile $dir/root.profile index batches --json --limit 3", 0);
    assert_string_equal(ctl_output, "");
    assert_shell("$bin --profile $dir/boss.profile index parked", 0);
    assert_string_equal(ctl_output, "nothing is parked\n");
    assert_shell("$bin --profile $dir/boss.profile index parked --json", 0);
    assert_string_equal(ctl_output, "");
    assert_shell("$bin --profile $dir/root.profile --tenant other index parked", 0);
    assert_shell("$bin --profile $dir/boss.profile index retry --all", 0);
    assert_string_equal(ctl_output, "nothing is parked\n");
    assert_shell("$bin --profile $dir/boss.profile index discard --all --yes", 0);
    assert_string_equal(ctl_output, "nothing is parked\n");
}

static void test_unknown_ones_cannot_be_decided_about(void **state)
{
    (void)state;
    assert_shell("$bin --profile $dir/boss.profile index retry 1", 5);
    assert_says("1: NOT_FOUND UNKNOWN_PARKED");
    assert_shell("$bin --profile $dir/boss.profile index discard 1 18446744073709551615", 5);
    assert_says("1: NOT_FOUND UNKNOWN_PARKED");
    assert_says("18446744073709551615: NOT_FOUND UNKNOWN_PARKED");
    assert_shell("$bin --profile $dir/root.profile --tenant other index retry 1", 5);
}

static void test_who_may_look_and_decide(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "$ctl index status",
        "$ctl index batches",
        "$ctl index parked",
        "$ctl index retry 1",
        "$ctl index discard 1",
        "$ctl index retry --all",
        /* What all tenants have is not for the admin of one. */
        "$bin --profile $dir/boss.profile index status",
        "$bin --profile $dir/boss.profile index batches",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_shell(lines[i], 4);
        assert_says("PERMISSION_DENIED");
    }
    assert_shell("$bin --profile $dir/boss.profile --tenant other index parked", 4);
}

static void test_what_waits_is_counted(void **state)
{
    (void)state;
    assert_shell("$ctl record asset 1 Asset --group '*' && $ctl record asset 1 Asset && "
                 "$ctl record asset 2 Asset",
                 0);
    json_t *status = status_of();
    assert_int_equal(number_of(status, "waitingDocuments"), 2);
    assert_int_equal(number_of(status, "waitingChanges"), 3);
    assert_int_equal(number_of(status, "inFlightDocuments"), 0);
    assert_int_equal(number_of(status, "batches"), 0);
    assert_in_range(number_of(status, "lagMs"), 0, 60000);
    assert_true(number_of(status, "timeMs") > 1600000000000);
    json_decref(status);
    assert_shell("$bin --profile $dir/root.profile index status", 0);
    assert_says("waiting      3 changes of 2 documents\n");
    /* The third document makes it enough; without an index that is all there is to it. */
    assert_shell("ticket=$($ctl record asset 3 Asset --json | sed 's/.*\"ticket\":\"//; s/\".*//') "
                 "&& $ctl wait --visible $ticket --wait 10000",
                 0);
    status = status_of();
    assert_int_equal(number_of(status, "waitingDocuments"), 0);
    assert_int_equal(number_of(status, "waitingChanges"), 0);
    assert_int_equal(number_of(status, "pendingBytes"), 0);
    assert_int_equal(number_of(status, "lagMs"), 0);
    json_decref(status);
}

/* What the tool cannot show: names of the fields, and answers without any text. */
static void test_the_library(void **state)
{
    (void)state;
    activity_client *root = client_of(&server, "root", NULL, NULL, NULL);
    struct activity_error error;
    activity_result *result;
    assert_ok(activity_get_index_status(root, NULL, &result, &error), error);
    const struct activity_index_status *status = activity_result_index_status(result);
    assert_int_equal(status->state, ACTIVITY_INDEX_NONE);
    assert_string_equal(status->version, "");
    assert_null(status->why);
    assert_null(status->advice);
    activity_result_free(result);
    const struct activity_index_page large = {.page_size = 257};
    assert_int_equal(activity_list_index_batches(root, &large, NULL, &result, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "page_size");
    assert_null(result);
    const struct activity_index_page strange = {.page_token = {"no token", 8}};
    assert_int_equal(activity_list_parked_documents(root, &strange, NULL, &result, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "page_token");
    uint32_t changes = 1;
    assert_int_equal(activity_discard_parked(root, 0, NULL, &changes, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "park_id");
    assert_int_equal(changes, 0);
    activity_client_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_tells_all),
        cmocka_unit_test(test_no_index_no_batches_nothing_parked),
        cmocka_unit_test(test_unknown_ones_cannot_be_decided_about),
        cmocka_unit_test(test_who_may_look_and_decide),
        cmocka_unit_test(test_what_waits_is_counted),
        cmocka_unit_test(test_the_library),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
