/* activityctl changes and wait, as scripts use them: cursors that are shown and given back, every
 * event once over a SIGKILL of the server, exit codes. */
#include "tests/e2e/harness_ctl.h"

#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct scene scene;
static struct server server;
static const char *flags[4];

static int set_up(void **state)
{
    (void)state;
    static char feed[64];
    scene_make(&scene);
    (void)snprintf(feed, sizeof feed, "tls+tcp://127.0.0.1:%u", free_port());
    flags[0] = "--feed-listen";
    flags[1] = feed;
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

/* The lines of a file of the scene as JSON, one after the other; NULL after the last. */
struct objects {
    char *text;
    char *at;
};

static json_t *objects_next(struct objects *objects, const char *file)
{
    if (objects->text == NULL) {
        objects->at = objects->text = scene_read(scene_path(&scene, file));
        assert_non_null(objects->text);
    }
    char *end = strchr(objects->at, '\n');
    if (end == NULL) {
        free(objects->text);
        objects->text = NULL;
        return NULL;
    }
    json_error_t error;
    *end = '\0';
    json_t *object = objects->at[0] == '{' ? json_loads(objects->at, 0, &error) : json_object();
    if (object == NULL) {
        print_error("%s\n", objects->at);
    }
    assert_non_null(object);
    objects->at = end + 1;
    return object;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

struct tally {
    uint64_t created, ended, model, index, resets, positions;
    uint64_t first, last; /* sequences */
};

/* Counts the events of a file, and fails where one does not follow on the one before. */
static struct tally count_events(const char *file)
{
    struct tally tally = {0};
    struct objects objects = {0};
    for (json_t *object; (object = objects_next(&objects, file)) != NULL; json_decref(object)) {
        const char *event = text_of(object, "event");
        tally.created += strcmp(event, "ACTIVITY_CREATED") == 0 ? 1 : 0;
        tally.ended += strcmp(event, "ACTIVITY_ENDED") == 0 ? 1 : 0;
        tally.model += strcmp(event, "MODEL_CHANGED") == 0 ? 1 : 0;
        tally.index += strcmp(event, "INDEX_CHANGED") == 0 ? 1 : 0;
        tally.resets += strcmp(event, "RESET") == 0 ? 1 : 0;
        if (strcmp(event, "POSITION") == 0 || event[0] == '\0') {
            tally.positions += event[0] == '\0' ? 0 : 1;
            continue;
        }
        const char *colon = strchr(text_of(object, "cursor"), ':');
        assert_non_null(colon);
        uint64_t sequence = strtoull(colon + 1, NULL, 10);
        if (tally.first == 0) {
            tally.first = sequence;
        } else if (sequence != tally.last + 1) {
            fail_msg("%" PRIu64 " follows %" PRIu64, sequence, tally.last);
        }
        tally.last = sequence;
    }
    return tally;
}

static void test_what_there_is(void **state)
{
    (void)state;
    assert_shell("$ctl create upload 'Holiday pictures' --group editors --attribute size=12 "
                 ">$dir/job && $ctl update $(cat $dir/job) 100 --status done && "
                 "$ctl create transcoding other >$dir/other && "
                 "$ctl update $(cat $dir/other) --fail CODEC_MISSING:'no such codec' && "
                 "$ctl record mediacontainer 123 mediaContainer --group '*' && "
                 "$ctl record asset a/7 Asset --deleted",
                 0);
    assert_shell("$ctl changes --json >$dir/events", 0);
    struct objects objects = {0};
    json_t *created = objects_next(&objects, "events");
    assert_string_equal(text_of(created, "event"), "ACTIVITY_CREATED");
    assert_string_equal(text_of(created, "title"), "Holiday pictures");
    assert_string_equal(text_of(created, "tenant"), "acme");
    assert_string_equal(text_of(created, "principal"), "spiffe://test/worker");
    assert_string_equal(text_of(json_object_get(created, "attributes"), "size"), "12");
    assert_string_equal(json_string_value(json_array_get(json_object_get(created, "groups"), 0)),
                        "editors");
    assert_true(json_is_integer(json_object_get(created, "jobId")));
    assert_true(json_is_integer(json_object_get(created, "time")));
    json_t *ended = objects_next(&objects, "events");
    assert_string_equal(text_of(ended, "event"), "ACTIVITY_ENDED");
    assert_string_equal(text_of(ended, "state"), "COMPLETED");
    assert_string_equal(text_of(ended, "statusText"), "done");
    assert_true(json_equal(json_object_get(ended, "jobId"), json_object_get(created, "jobId")));
    assert_true(json_equal(json_object_get(ended, "ended"), json_object_get(ended, "time")));
    json_decref(created);
    json_decref(ended);
    json_decref(objects_next(&objects, "events"));
    json_t *failed = objects_next(&objects, "events");
    assert_string_equal(text_of(json_object_get(failed, "failure"), "code"), "CODEC_MISSING");
    json_decref(failed);
    free(objects.text);

    struct tally tally = count_events("events");
    assert_int_equal(tally.created, 2);
    assert_int_equal(tally.ended, 2);
    assert_int_equal(tally.model, 2);
    assert_int_equal(tally.positions, 1);
    assert_shell("grep MODEL_CHANGED $dir/events | head -1", 0);
    assert_says("\"model\":\"mediacontainer\",\"id\":123,\"affectedModels\":{\"mediaContainer\":"
                "{\"timeRange\":[");
    assert_says("\"deleted\":false");
    assert_shell("$ctl changes --document a/7 --kind model --json", 0);
    assert_says("\"deleted\":true");

    assert_shell("$ctl changes", 0);
    assert_says("created  ");
    assert_says("Holiday pictures");
    assert_says("FAILED      0 %  CODEC_MISSING: no such codec");
    assert_says("mediacontainer 123 mediaContainer");
    assert_says("asset a/7 Asset  deleted");
    assert_says("go on with --since ");
}

static void test_filters(void **state)
{
    (void)state;
    assert_shell("$ctl changes --kind ended --json | grep -v POSITION | sed "
                 "'s/.*\"event\":\"\\([A-Z_]*\\)\".*/\\1/' | sort -u",
                 0);
    assert_string_equal(ctl_output, "ACTIVITY_ENDED\n");
    assert_shell("$ctl changes --job $(cat $dir/other) --json | grep -c jobId", 0);
    assert_string_equal(ctl_output, "2\n");
    assert_shell("$ctl changes --job $(cat $dir/other) --kind created --kind model", 0);
    assert_says("created");
    assert_silent_about("FAILED");
    assert_silent_about("mediacontainer");
    assert_shell("$ctl changes --model asset --kind model", 0);
    assert_says("asset a/7");
    assert_silent_about("mediacontainer");
    assert_shell("$ctl changes --all-tenants", 4);
    assert_says("need feed");
    assert_shell("$bin --profile $dir/watcher.profile changes --all-tenants", 0);
    assert_says("acme         ");
    assert_says("Holiday pictures");
    /* Without it a caller sees what is for it: the watcher is in no group. */
    assert_shell("$bin --profile $dir/watcher.profile changes", 0);
    assert_silent_about("Holiday pictures");
    assert_says("mediacontainer");
}

static void test_cursors_come_back(void **state)
{
    (void)state;
    assert_shell("cursor=$($ctl changes --json | sed -n "
                 "'s/.*POSITION\",\"cursor\":\"\\([^\"]*\\)\".*/\\1/p') && echo $cursor | "
                 "grep -qx '[0-9a-f]\\{16\\}:[0-9]*' && $ctl create upload later >/dev/null && "
                 "$ctl changes --since $cursor",
                 0);
    assert_says("later");
    assert_silent_about("Holiday pictures");
    assert_shell("$ctl changes --since now", 0);
    assert_silent_about("later");
    assert_says("go on with --since ");
    /* The whole history, one run after each event, is the history. */
    assert_shell("at=$(sed -n '1s/.*\"cursor\":\"\\([^\"]*\\)\".*/\\1/p' $dir/events); "
                 "[ $($ctl changes --since $at --json | grep -c jobId) = "
                 "$(($($ctl changes --json | grep -c jobId) - 1)) ]",
                 0);
}

static void test_holes_are_told(void **state)
{
    (void)state;
    assert_shell("$ctl changes --since 00000000000000ff:3", 11);
    assert_says("RESET EPOCH");
    assert_says("Holiday pictures"); /* what is left is shown all the same */
    assert_shell("$ctl changes --since 00000000000000ff:3 --json", 11);
    assert_says("\"event\":\"RESET\"");
    assert_says("\"reason\":\"EPOCH\"");
    assert_shell(
        "epoch=$($ctl server-info --json | sed 's/.*\"epoch\":\"\\([0-9a-f]*\\)\".*/\\1/'); "
        "$ctl changes --since $epoch:1000000",
        11);
    assert_says("RESET AHEAD");
}

/* Two followers, one of everything and one by rights, over a SIGKILL: no event is missing, none
 * comes twice. */
static void test_following_over_a_kill(void **state)
{
    (void)state;
    pid_t all =
        ctl_start("exec $bin --profile $dir/watcher.profile changes --follow --since oldest "
                  "--all-tenants --json",
                  "all");
    pid_t own = ctl_start("exec $ctl changes --follow --since oldest --json", "own");
    assert_shell("$ctl create batchUpdate before --count 300 >$dir/before && "
                 "sed 's/.*/{\"jobId\":&,\"percent\":100}/' $dir/before | $ctl batch -",
                 0);
    assert_true(ctl_await("[ $(grep -c ACTIVITY_ENDED $dir/all) -ge 300 ]", 20000));
    server_kill(&server);
    server_start(&server, &scene, flags);
    assert_shell("$ctl create batchUpdate after --count 200 >$dir/after && "
                 "sed 's/.*/{\"jobId\":&,\"percent\":100}/' $dir/after | $ctl batch - && "
                 "$ctl record mediacontainer 124 mediaContainer",
                 0);
    assert_true(ctl_await("grep -q '\"id\":124' $dir/all && grep -q '\"id\":124' $dir/own", 20000));
    assert_int_equal(ctl_end(all, SIGTERM), 128 + SIGTERM);
    assert_int_equal(ctl_end(own, SIGTERM), 128 + SIGTERM);
    /* The worker has made everything here, so both have seen the same. */
    struct tally of_all = count_events("all");
    struct tally of_own = count_events("own");
    assert_int_equal(of_all.first, of_own.first);
    assert_int_equal(of_all.created, 500 + 3);
    assert_int_equal(of_own.created, 500 + 3);
    assert_int_equal(of_all.ended, 500 + 2);
    assert_int_equal(of_own.ended, 500 + 2);
    assert_int_equal(of_all.model, 3);
    assert_int_equal(of_all.resets + of_own.resets, 0);
    assert_int_equal(of_all.positions, 1);
}

static void test_a_reader_that_goes_away(void **state)
{
    (void)state;
    pid_t pid = ctl_start("$ctl changes --follow --since oldest --json | head -n 3; true", "head");
    assert_true(ctl_await("[ $(wc -l <$dir/head) -ge 3 ]", 10000));
    assert_shell("$ctl create upload poke", 0); /* writing is what tells that nobody reads */
    assert_int_equal(ctl_end(pid, 0), 0);
}

static void test_waiting_for_a_job(void **state)
{
    (void)state;
    assert_shell("$ctl create transcoding film >$dir/job; $ctl wait $(cat $dir/job) --wait 0", 10);
    assert_says("RUNNING 0 %");
    assert_shell("$ctl wait $(cat $dir/job) --wait 300 --json", 10);
    assert_says("\"reached\":false");
    assert_shell("$ctl update $(cat $dir/job) 50; $ctl wait $(cat $dir/job) --percent 50 --json",
                 0);
    assert_says("\"reached\":true,\"state\":\"RUNNING\",\"percent\":50");
    pid_t waits = ctl_start("exec $ctl wait $(cat $dir/job)", "waited");
    sleep_ms(300);
    assert_shell("$ctl update $(cat $dir/job) 100", 0);
    assert_int_equal(ctl_end(waits, 0), 0);
    assert_shell("cat $dir/waited", 0);
    assert_string_equal(ctl_output, "COMPLETED 100 %\n");

    assert_shell("$ctl create transcoding film >$dir/job; "
                 "$ctl create transcoding part --parent $(cat $dir/job) >$dir/part; "
                 "$ctl update $(cat $dir/job) 100; $ctl wait $(cat $dir/job) && "
                 "$ctl wait $(cat $dir/job) --children --wait 200",
                 10);
    assert_says("waiting for job ");
    assert_shell("$ctl update $(cat $dir/part) --fail GONE; "
                 "$ctl wait $(cat $dir/job) --children && $ctl wait $(cat $dir/part)",
                 9);
    assert_says("FAILED 0 %");
    assert_shell("$ctl wait 4711", 5);
}

/* A server that is restarted while somebody waits is waited for. */
static void test_waiting_over_a_kill(void **state)
{
    (void)state;
    assert_shell("$ctl create transcoding film >$dir/job", 0);
    pid_t waits = ctl_start("exec $ctl wait $(cat $dir/job)", "waited");
    sleep_ms(300);
    server_kill(&server);
    server_start(&server, &scene, flags);
    assert_shell("$ctl update $(cat $dir/job) --fail GONE", 0);
    assert_int_equal(ctl_end(waits, 0), 9);
    assert_shell("tail -n 1 $dir/waited", 0);
    assert_string_equal(ctl_output, "FAILED 0 %\n");
}

static void test_waiting_for_documents(void **state)
{
    (void)state;
    assert_shell(
        "$ctl record mediacontainer 125 mediaContainer | sed 's/.*ticket //' >$dir/ticket; "
        "$ctl wait --visible $(cat $dir/ticket)",
        0);
    assert_says("visible");
    assert_shell("$ctl wait --visible $(cat $dir/ticket) --stage sent --json", 0);
    assert_says("\"reached\":true,\"openChanges\":0");
    assert_shell("$ctl wait --visible $(cat $dir/ticket) --stage searchable", 6);
    assert_says("INDEX_NONE");
    assert_shell("$ctl wait --visible 00000000000000aa", 5);
    assert_shell(
        "$ctl create import films >$dir/job; $ctl record mediacontainer 126 mediaContainer "
        "--job $(cat $dir/job) && $ctl wait --job $(cat $dir/job) --stage acked",
        0);
    assert_shell("$ctl wait --job 4711", 5);
}

/* client/examples/subscribe: what it has printed over two lives is the history from where it began,
 * each event once. */
static void test_the_example_goes_on_where_it_was_stopped(void **state)
{
    (void)state;
    assert_shell("mkdir $dir/watcher && cp $dir/tls/ca.crt $dir/watcher && "
                 "cp $dir/tls/watcher.crt $dir/watcher/client.crt && "
                 "cp $dir/tls/watcher.key $dir/watcher/client.key",
                 0);
    static const char line[] =
        "exec $examples/subscribe $(echo $url | sed s/127.0.0.1/localhost/) $dir/watcher $dir/at";
    pid_t pid = ctl_start(line, "life1");
    assert_true(ctl_await("grep -q FOUND_ALL $dir/life1", 10000));
    assert_shell("$ctl create upload first --count 20 >/dev/null", 0);
    assert_true(ctl_await("[ $(grep -c ACTIVITY_CREATED $dir/life1) = 20 ]", 10000));
    assert_int_equal(ctl_end(pid, SIGTERM), 0);
    assert_shell("grep -qx '[0-9a-f]\\{16\\}:[0-9]*' $dir/at", 0);
    assert_shell("$ctl create upload second --count 30 >/dev/null", 0);
    pid = ctl_start(line, "life2");
    assert_true(ctl_await("[ $(grep -c ACTIVITY_CREATED $dir/life2) = 30 ]", 10000));
    assert_shell("$ctl create upload third --count 5 >/dev/null", 0);
    assert_true(ctl_await("[ $(grep -c ACTIVITY_CREATED $dir/life2) = 35 ]", 10000));
    assert_int_equal(ctl_end(pid, SIGTERM), 0);
    assert_shell("grep -h ACTIVITY_CREATED $dir/life1 $dir/life2 | sort -u | wc -l", 0);
    assert_string_equal(ctl_output, "55\n");
    assert_shell("grep FOUND $dir/life2", 1);
    /* A cursor of another history: it is told, and begins anew with what there is. */
    assert_shell("echo 00000000000000ff:3 >$dir/at", 0);
    pid = ctl_start(line, "life3");
    assert_true(ctl_await("grep -q FOUND_ALL $dir/life3", 10000));
    assert_int_equal(ctl_end(pid, SIGTERM), 0);
    assert_shell("head -n 1 $dir/life3; grep -qx '00000000000000ff:3' $dir/at", 1);
    assert_string_equal(ctl_output, "RESET\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_there_is),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_cursors_come_back),
        cmocka_unit_test(test_holes_are_told),
        cmocka_unit_test(test_following_over_a_kill),
        cmocka_unit_test(test_a_reader_that_goes_away),
        cmocka_unit_test(test_waiting_for_a_job),
        cmocka_unit_test(test_waiting_over_a_kill),
        cmocka_unit_test(test_waiting_for_documents),
        cmocka_unit_test(test_the_example_goes_on_where_it_was_stopped),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
