/* activityctl as people and scripts use it: output, JSON with the names of the service's users,
 * exit codes. */
#include "tests/e2e/harness_ctl.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static struct scene scene;
static struct server server;

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    static const char *const flags[] = {"--model", "orders kind=fragments", NULL};
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

static json_t *only_line(void)
{
    json_error_t error;
    json_t *object = json_loads(ctl_output, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        print_error("%s in %s\n", error.text, ctl_output);
    }
    assert_non_null(object);
    return object;
}

static void test_help_and_usage(void **state)
{
    (void)state;
    assert_shell("$bin --help", 0);
    assert_says("Exit codes: 0 ok");
    static const char *const commands[] = {
        "create", "update", "destroy", "get",   "find",   "result",      "record", "pipe",
        "watch",  "wait",   "changes", "batch", "health", "server-info", "users",  "reload"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "$bin %s --help", commands[i]);
        assert_shell(line, 0);
        assert_says("Examples:");
        assert_says(commands[i]);
    }
    assert_shell("$bin", 2);
    assert_shell("$bin nonsense", 2);
    assert_says("there is no command 'nonsense'");
    assert_shell("$ctl get twelve", 2);
    assert_shell("$ctl update 1 101", 2);
    assert_says("0 to 100");
    assert_shell("$ctl find --state asleep", 2);
    assert_shell("$bin --profile /nonexistent/profile find", 2);
    static const char *const wrong[] = {"watch twelve",
                                        "watch --sideways",
                                        "watch 12 --type upload",
                                        "wait",
                                        "wait 12 13",
                                        "wait 12 --percent 0",
                                        "wait 12 --percent 101",
                                        "wait 12 --stage sent",
                                        "wait --visible 12",
                                        "wait --job 0",
                                        "wait --job 12 --children",
                                        "wait --visible 0000000000000001 12",
                                        "wait --visible 0000000000000001 --job 12",
                                        "wait --job 12 --stage soon",
                                        "wait 12 --wait long",
                                        "changes 12",
                                        "changes --since yesterday",
                                        "changes --since 1:2",
                                        "changes --kind destroyed",
                                        "changes --job x",
                                        "changes --since 0000000000000001:-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char line[128];
        (void)snprintf(line, sizeof line, "$ctl %s", wrong[i]);
        assert_shell(line, 2);
        assert_says("--help tells more");
    }
}

static void test_one_job_from_the_command_line(void **state)
{
    (void)state;
    assert_shell("$ctl create upload 'Holiday pictures' --group editors --attribute size=12 "
                 ">$dir/job; cat $dir/job",
                 0);
    assert_shell("$ctl update $(cat $dir/job) 40 --status '40 of 100'", 0);
    assert_says("40 % APPLIED");
    assert_shell("$ctl get $(cat $dir/job) --json", 0);
    json_t *object = only_line();
    assert_string_equal(json_string_value(json_object_get(object, "title")), "Holiday pictures");
    assert_int_equal(json_integer_value(json_object_get(object, "percent")), 40);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(object, "attributes"), "size")), "12");
    assert_true(json_is_integer(json_object_get(object, "jobId")));
    assert_true(json_is_integer(json_object_get(object, "updated")));
    json_decref(object);
    assert_shell("$ctl result $(cat $dir/job)", 6);
    assert_says("PENDING");
    assert_shell("printf hello >$dir/content; $ctl update $(cat $dir/job) 100 --item a --item "
                 "b=BAD --content $dir/content "
                 "--content-type text/plain",
                 0);
    assert_shell("$ctl result $(cat $dir/job) --output $dir/out && cmp $dir/content $dir/out", 0);
    assert_shell("$ctl result $(cat $dir/job) --json", 0);
    object = only_line();
    assert_string_equal(json_string_value(json_object_get(object, "state")), "READY");
    assert_string_equal(json_string_value(json_object_get(object, "content")), "hello");
    assert_int_equal(json_array_size(json_object_get(object, "items")), 2);
    json_decref(object);
    assert_shell("$ctl update $(cat $dir/job) 3", 6);
    assert_shell("$ctl destroy $(cat $dir/job)", 6);
}

static void test_exit_codes_tell_what_happened(void **state)
{
    (void)state;
    assert_shell("$ctl get 4711", 5);
    assert_shell("$ctl update 4711 5", 5);
    assert_shell("$ctl users", 4);
    assert_says("NOT_ALLOWED");
    assert_shell("$bin --profile $dir/boss.profile users", 0);
    assert_shell("$ctl create 9lives", 1);
    assert_says("type");
    assert_shell("$ctl health", 0);
    assert_says("SERVING");
    assert_shell("$ctl health no.such.Service", 5);
    char line[256];
    (void)snprintf(line, sizeof line, "$ctl --server tls+tcp://127.0.0.1:%u --timeout 500 health",
                   free_port());
    assert_shell(line, 3);
    assert_shell("$bin --profile $dir/stranger.profile --timeout 1000 health", 3);
}

/* How often somebody was refused for this. */
static json_int_t refused(const json_t *tls, const char *reason)
{
    size_t i;
    json_t *each;
    json_array_foreach(json_object_get(tls, "refusals"), i, each)
    {
        assert_true(json_integer_value(json_object_get(each, "count")) > 0);
        if (strcmp(json_string_value(json_object_get(each, "reason")), reason) == 0) {
            return json_integer_value(json_object_get(each, "count"));
        }
    }
    return 0;
}

/* How TLS stands, and what a reload puts in force. */
static void test_certificates_and_reload(void **state)
{
    (void)state;
    assert_shell("$ctl server-info", 0);
    assert_says("tls          engine activity; you have TLS 1.3 with TLS_CHACHA20_POLY1305_SHA256");
    assert_says("handshakes   ");
    assert_says("certificate  ca CN=ca, valid until ");
    assert_says("revoked      no list");
    assert_says("rules        6, with the certificates in force since ");
    assert_shell("$bin --profile $dir/stranger.profile --timeout 1000 health", 3);
    assert_shell("$ctl server-info --json", 0);
    json_t *object = only_line();
    const json_t *tls = json_object_get(object, "tls");
    assert_string_equal(json_string_value(json_object_get(tls, "engine")), "activity");
    assert_string_equal(json_string_value(json_object_get(tls, "version")), "1.3");
    assert_true(json_integer_value(json_object_get(tls, "connections")) >= 1);
    const json_t *suite = json_array_get(json_object_get(tls, "suites"), 0);
    assert_true(json_integer_value(json_object_get(suite, "handshakes")) >= 1);
    assert_string_equal(json_string_value(json_object_get(suite, "cipherSuite")),
                        json_string_value(json_object_get(tls, "cipherSuite")));
    assert_true(refused(tls, "no rule") >= 1);
    assert_int_equal(refused(tls, "a certificate is revoked"), 0); /* what never was is not told */
    assert_int_equal(json_integer_value(json_object_get(object, "rules")), 6);
    json_int_t loaded = json_integer_value(json_object_get(object, "loaded"));
    assert_null(json_object_get(object, "revocations"));
    json_decref(object);

    assert_shell("$ctl reload", 4);
    assert_says("NOT_ALLOWED");
    assert_shell("$ctl reload now", 2);
    assert_shell("$bin --profile $dir/root.profile reload", 0);
    assert_says("certificate  server CN=server, valid until ");
    assert_says("closed       0 revoked, 0 not let in by the policy any more");
    assert_shell("$bin --profile $dir/root.profile --json reload", 0);
    object = only_line();
    assert_int_equal(json_array_size(json_object_get(object, "certificates")), 2);
    assert_int_equal(json_integer_value(json_object_get(object, "rules")), 6);
    assert_int_equal(json_integer_value(json_object_get(object, "closedByPolicy")), 0);
    json_decref(object);
    assert_shell("$ctl server-info --json", 0);
    object = only_line();
    assert_true(json_integer_value(json_object_get(object, "loaded")) > loaded);
    json_decref(object);

    assert_shell("mv $dir/policy.conf $dir/policy.away", 0);
    assert_shell("$bin --profile $dir/root.profile reload", 6);
    assert_says("policy.conf: No such file");
    assert_shell("mv $dir/policy.away $dir/policy.conf", 0);
}

static void test_batches_of_lines(void **state)
{
    (void)state;
    assert_shell("$ctl create batchUpdate many --count 2500 >$dir/jobs; wc -l <$dir/jobs; sort -u "
                 "$dir/jobs | wc -l",
                 0);
    assert_string_equal(ctl_output, "2500\n2500\n");
    assert_shell("sed 's/.*/{\"jobId\":&,\"percent\":50}/' $dir/jobs | $ctl batch -", 0);
    assert_says("2500 updates: 2500 applied, 0 heartbeats, 0 ignored");
    assert_shell("sed 's/.*/{\"jobId\":&,\"percent\":49}/' $dir/jobs | $ctl batch - --size 7", 0);
    assert_says("2500 updates: 0 applied, 2500 heartbeats, 0 ignored");
    assert_shell("echo '{\"jobId\":4711,\"percent\":1}' | $ctl batch - --json", 0);
    assert_says("\"disposition\":");
    assert_shell("echo '{\"jobId\":1}' | $ctl batch -", 2);
    assert_says("line 1: \"percent\"");
    assert_shell("$ctl find --activities --type batchUpdate --json | wc -l", 0);
    assert_string_equal(ctl_output, "2500\n");
}

static void test_changes_carry_the_names_of_the_seed(void **state)
{
    (void)state;
    assert_shell("$ctl record mediacontainer 123 mediaContainer --group '*'", 0);
    assert_shell("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do $ctl find "
                 "--changes-es --json | grep . && "
                 "exit 0; sleep 0.1; done; exit 1",
                 0);
    json_t *object = only_line();
    assert_string_equal(json_string_value(json_object_get(object, "model")), "es:mediacontainer");
    assert_int_equal(json_integer_value(json_object_get(object, "id")), 123);
    json_t *model = json_object_get(json_object_get(object, "affectedModels"), "mediaContainer");
    json_t *range = json_object_get(model, "timeRange");
    assert_int_equal(json_array_size(range), 2);
    assert_true(json_equal(json_array_get(range, 0), json_array_get(range, 1)));
    assert_true(json_equal(json_object_get(model, "updated"), json_object_get(object, "updated")));
    json_decref(object);
    assert_shell("echo "
                 "'{\"model\":\"asset\",\"id\":\"007\",\"affectedModel\":\"Asset\",\"groups\":[\"*"
                 "\"],\"json\":{\"a\":1}}' |"
                 " $ctl record - && $ctl find --changes --json | grep asset",
                 0);
    assert_says("\"id\":\"007\"");
    assert_shell("echo '{\"model\":\"asset\"}' | $ctl record -", 2);
    assert_says("line 1: \"affectedModel\"");
}

static void test_documents_and_patches_for_an_index(void **state)
{
    (void)state;
    assert_shell("echo '{\"a\":null}' >$dir/patch; $ctl record orders 7 Order --patch $dir/patch "
                 "--urgent",
                 0);
    assert_says("1 change recorded in 1 request, ticket ");
    assert_shell("$ctl record orders 7 Order --body $dir/patch", 1);
    assert_says("changes[0].json");
    assert_says("document \"7\" of orders; send merge_patch");
    assert_shell("$ctl record assets 7 Asset --patch $dir/patch", 1);
    assert_says("changes[0].merge_patch");
    assert_shell("echo '{\"a\":1,}' | $ctl record assets 7 Asset --body -", 1);
    assert_says("at position 8 in document \"7\" of assets");
    assert_shell("$ctl record orders 7 Order --deleted --urgent", 0);
    assert_shell("$ctl record orders 7 Order --patch $dir/patch --body $dir/patch", 2);
    assert_says("one of both, once");
    assert_shell("$ctl record orders 7 Order --patch $dir/nothing", 1);
    assert_shell("(echo '{\"model\":\"orders\",\"id\":8,\"affectedModel\":\"Order\",\"mergePatch\":"
                 "{\"a\":{\"b\":null}}}'; echo '{\"model\":\"assets\",\"id\":8,\"affectedModel\":"
                 "\"Asset\",\"json\":{}}') | $ctl record - --urgent",
                 0);
    assert_says("2 changes recorded in 1 request");
    assert_shell("echo '{\"model\":\"orders\",\"id\":8,\"affectedModel\":\"Order\",\"mergePatch\":"
                 "[]}' | $ctl record -",
                 2);
    assert_says("line 1: \"mergePatch\": an object");
    assert_shell(
        "echo '{\"model\":\"orders\",\"id\":8,\"affectedModel\":\"Order\",\"mergePatch\":{},"
        "\"json\":{}}' | $ctl record -",
        2);
    assert_says("only without json");
}

static void test_pipe_copies_and_tells(void **state)
{
    (void)state;
    assert_shell("head -c 3000000 /dev/urandom >$dir/in; $ctl pipe $dir/in >$dir/out && cmp "
                 "$dir/in $dir/out",
                 0);
    assert_shell(
        "$ctl find --activities --type upload --state completed --json | grep '\"title\":\"in\"'",
        0);
    json_t *object = only_line();
    char line[256];
    (void)snprintf(line, sizeof line, "$ctl result %lld",
                   (long long)json_integer_value(json_object_get(object, "jobId")));
    json_decref(object);
    assert_shell(line, 0);
    assert_says("READY");
    assert_shell("$ctl pipe --title broken </dev/null >/dev/full", 0);
    assert_shell("head -c 100000 /dev/zero | $ctl pipe --title broken >/dev/full", 1);
    assert_shell("$ctl find --activities --state failed --json | grep broken", 0);
    assert_says("WRITE_FAILED");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_and_usage),
        cmocka_unit_test(test_one_job_from_the_command_line),
        cmocka_unit_test(test_exit_codes_tell_what_happened),
        cmocka_unit_test(test_certificates_and_reload),
        cmocka_unit_test(test_batches_of_lines),
        cmocka_unit_test(test_changes_carry_the_names_of_the_seed),
        cmocka_unit_test(test_documents_and_patches_for_an_index),
        cmocka_unit_test(test_pipe_copies_and_tells),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
