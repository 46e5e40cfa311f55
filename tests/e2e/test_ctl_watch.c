/* activityctl watch: what a script gets from it, and what a person sees on a terminal. */
#include "tests/e2e/harness_ctl.h"
#include "tests/e2e/harness_screen.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct scene scene;
static struct server server;
static const char *flags[] = {"--feed-listen", NULL, "--ended-keep-ms", "3s", NULL};
static struct screen screen;

static int set_up(void **state)
{
    (void)state;
    static char feed[64];
    scene_make(&scene);
    (void)snprintf(feed, sizeof feed, "tls+tcp://127.0.0.1:%u", free_port());
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

/* By somebody who reads, and by somebody who has the feed. */
static void test_a_job_to_its_end(void **state)
{
    (void)state;
    static const char *const profiles[] = {"worker", "root"};
    for (size_t i = 0; i < 2; i++) {
        char line[256];
        assert_shell("$ctl create upload 'Holiday pictures' >$dir/job", 0);
        (void)snprintf(line, sizeof line,
                       "exec $bin --profile $dir/%s.profile watch $(cat $dir/job)", profiles[i]);
        pid_t pid = ctl_start(line, "watched");
        assert_true(ctl_await("grep -q 'RUNNING     0 %' $dir/watched", 10000));
        assert_shell("$ctl update $(cat $dir/job) 40 --status '40 of 100 MB'; "
                     "$ctl create upload 'none of its business'",
                     0);
        assert_true(ctl_await("grep -q 'RUNNING    40 %' $dir/watched", 10000));
        assert_shell("$ctl update $(cat $dir/job) 100", 0);
        assert_int_equal(ctl_end(pid, 0), 0);
        assert_shell("cat $dir/watched", 0);
        assert_says("Holiday pictures  (40 of 100 MB)");
        assert_says("COMPLETED 100 %");
        assert_silent_about("business");
        assert_silent_about("\033");
    }
}

static void test_outcomes(void **state)
{
    (void)state;
    assert_shell("for job in failed cancelled completed; do $ctl create upload $job >$dir/$job; "
                 "done; $ctl destroy $(cat $dir/cancelled); $ctl update $(cat $dir/completed) 100; "
                 "$ctl update $(cat $dir/failed) 30 --fail DISK_FULL:'no room'",
                 0);
    assert_shell("$ctl watch $(cat $dir/failed)", 9);
    assert_says("FAILED     30 %  failed  (DISK_FULL: no room)");
    /* When only their tombstones are left, the outcome is still known. */
    assert_true(ctl_await("! $ctl get $(cat $dir/failed)", 20000));
    assert_shell("$ctl watch $(cat $dir/completed)", 0);
    assert_says("COMPLETED 100 %");
    assert_shell("$ctl watch $(cat $dir/failed)", 9);
    assert_says("FAILED     30 %");
    assert_silent_about("DISK_FULL");
    assert_shell("$ctl watch $(cat $dir/cancelled) $(cat $dir/completed) --json", 9);
    assert_says("\"state\":\"CANCELLED\"");
    assert_says("\"state\":\"COMPLETED\"");
    assert_shell("$ctl watch 4711", 5);
    assert_says("UNKNOWN_JOB");
    assert_shell("$ctl watch $(cat $dir/completed) 4711", 5);
    /* What is not the caller's to see is unknown. */
    assert_shell("$ctl create upload mine >$dir/mine; "
                 "$bin --profile $dir/root.profile --tenant other watch $(cat $dir/mine)",
                 5);
    assert_shell("$ctl --server tls+tcp://127.0.0.1:1 --timeout 500 watch", 3);
}

/* Everything, by somebody who has the feed and by somebody who reads. */
static void test_everything(void **state)
{
    (void)state;
    static const char *const profiles[] = {"worker", "root"};
    for (size_t i = 0; i < 2; i++) {
        char line[256];
        assert_shell("$ctl create upload earlier >$dir/job", 0);
        (void)snprintf(line, sizeof line, "exec $bin --profile $dir/%s.profile watch --json",
                       profiles[i]);
        pid_t pid = ctl_start(line, "watched");
        assert_true(ctl_await("grep -q FOUND_ALL $dir/watched", 10000));
        assert_shell("$ctl create upload new --count 10 >$dir/new && "
                     "$ctl update $(head -n 1 $dir/new) 55 && "
                     "$ctl update $(cat $dir/job) 100",
                     0);
        assert_true(ctl_await("[ $(grep -c ACTIVITY_CREATED $dir/watched) = 10 ] && "
                              "grep -q \"ACTIVITY_ENDED.*$(cat $dir/job)\" $dir/watched && "
                              "grep -q 'PROGRESS.*\"percent\":55' $dir/watched",
                              10000));
        assert_int_equal(ctl_end(pid, SIGTERM), 128 + SIGTERM);
        assert_shell("grep -c \"FOUND_ACTIVITY.*earlier\" $dir/watched; "
                     "sed 's/.*/{\"jobId\":&,\"percent\":100}/' $dir/new | $ctl batch -",
                     0);
    }
    pid_t pid = ctl_start("exec $ctl watch --type transcoding", "watched");
    assert_true(ctl_await("$ctl create transcoding film >$dir/job; $ctl create upload other "
                          ">$dir/other; sleep 0.3; grep -q film $dir/watched",
                          10000));
    assert_int_equal(ctl_end(pid, SIGTERM), 128 + SIGTERM);
    assert_shell("grep other $dir/watched", 1);
}

static void open_screen(unsigned rows, unsigned columns, const char *jobs)
{
    static char profile[512];
    static char program[512];
    const char *binaries = getenv("ACTIVITY_BIN");
    (void)snprintf(profile, sizeof profile, "%s", scene_path(&scene, "worker.profile"));
    (void)snprintf(program, sizeof program, "%s/activityctl",
                   binaries == NULL ? "build/plain" : binaries);
    char *words[300] = {program, (char *)"--profile", profile, (char *)"watch"};
    static char list[8192];
    (void)snprintf(list, sizeof list, "%s", jobs);
    size_t count = 4;
    for (char *word = strtok(list, " \n"); word != NULL; word = strtok(NULL, " \n")) {
        words[count++] = word;
    }
    screen_open(&screen, rows, columns, words);
}

/* Waits until nothing is drawn any more. */
static void settle(void)
{
    screen_settle(&screen, 400);
    assert_string_equal(screen.unknown, "");
    assert_true(screen.wraps);
    assert_true(screen.at_rest);
    assert_int_equal(screen.column, 0);
}

static void test_bars_on_a_terminal(void **state)
{
    (void)state;
    assert_shell("for i in 1 2 3; do $ctl create upload bar$i; done >$dir/jobs; cat $dir/jobs", 0);
    open_screen(24, 80, ctl_output);
    assert_true(screen_watch(&screen, "3 running", 10000));
    assert_shell("$ctl update $(sed -n 2p $dir/jobs) 70 --status half", 0);
    assert_true(screen_watch(&screen, "[#######---]  70 %", 10000));
    for (int percent = 1; percent < 40; percent += 4) {
        char line[128];
        (void)snprintf(line, sizeof line, "$ctl update $(sed -n 1p $dir/jobs) %d", percent);
        assert_shell(line, 0);
    }
    assert_true(screen_watch(&screen, "  37 %", 10000));
    settle();
    /* In place: one row each and a summary, nothing else. */
    assert_int_equal(screen_count(&screen, "bar1"), 1);
    assert_int_equal(screen_count(&screen, "bar2  (half)"), 1);
    assert_int_equal(screen_count(&screen, "bar3"), 1);
    assert_int_equal(screen.row, 4);
    assert_shell("$ctl update $(sed -n 3p $dir/jobs) --fail DISK_FULL", 0);
    assert_true(screen_watch(&screen, "2 running, 1 failed", 10000));
    assert_non_null(strstr(screen.cells[0], "FAILED 0 %"));
    assert_non_null(strstr(screen.cells[0], "bar3  (DISK_FULL)"));
    assert_int_equal(screen_count(&screen, "bar3"), 1);
    assert_shell("for i in 1 2; do $ctl update $(sed -n ${i}p $dir/jobs) 100; done", 0);
    assert_int_equal(screen_close(&screen), 9);
    /* What stays is how they ended; the summary has gone. */
    assert_int_equal(screen_count(&screen, "COMPLETED"), 2);
    assert_int_equal(screen_count(&screen, "running"), 0);
    assert_int_equal(screen.row, 3);
}

static void test_interrupting_leaves_the_terminal_clean(void **state)
{
    (void)state;
    assert_shell("$ctl create upload going >$dir/jobs; $ctl update $(cat $dir/jobs) 25; "
                 "cat $dir/jobs",
                 0);
    open_screen(24, 80, strstr(ctl_output, "APPLIED\n") + 8);
    assert_true(screen_watch(&screen, "25 %", 10000));
    screen_type(&screen, "\003");
    assert_int_equal(screen_close(&screen), 128 + SIGINT);
    assert_true(screen.wraps);
    assert_int_equal(screen.column, 0);
    assert_int_equal(screen_count(&screen, "going"), 1); /* the last picture stays */
    assert_int_equal(screen_count(&screen, "1 running"), 1);
    assert_int_equal(screen_count(&screen, "^C"), 0);
    assert_shell("$ctl destroy $(cat $dir/jobs)", 0);
}

static void test_more_jobs_than_rows(void **state)
{
    (void)state;
    assert_shell("$ctl create upload crowd --count 200 >$dir/jobs; cat $dir/jobs", 0);
    open_screen(24, 80, ctl_output);
    assert_true(screen_watch(&screen, "200 running (22 shown)", 10000));
    settle();
    assert_int_equal(screen_count(&screen, "crowd"), 22);
    assert_int_equal(screen.scrolled, 0);
    screen_resize(&screen, 12, 110);
    assert_shell("$ctl update $(tail -n 1 $dir/jobs) 40", 0);
    assert_true(screen_watch(&screen, "200 running (10 shown)", 10000));
    settle();
    assert_int_equal(screen_count(&screen, "crowd"), 10);
    assert_int_equal(screen_count(&screen, "running"), 1);
    assert_shell("head -n 150 $dir/jobs | sed 's/.*/{\"jobId\":&,\"percent\":100}/' | $ctl batch -",
                 0);
    assert_true(screen_watch(&screen, "50 running", 10000));
    settle();
    assert_int_equal(screen_count(&screen, "50 running (8 shown), 150 completed"), 1);
    assert_shell("tail -n 50 $dir/jobs | sed 's/.*/{\"jobId\":&,\"percent\":100}/' | $ctl batch -",
                 0);
    assert_int_equal(screen_close(&screen), 0);
    assert_int_equal(screen_count(&screen, "COMPLETED"), 11);
}

/* Narrow, and with characters that are wide: nothing breaks into a second row. */
static void test_a_narrow_terminal(void **state)
{
    (void)state;
    assert_shell("for i in 1 2 3; do $ctl create upload \"$i 文件上传 你好世界\"; "
                 "done >$dir/jobs; cat $dir/jobs",
                 0);
    for (unsigned columns = 10; columns <= 70; columns += 20) {
        open_screen(10, columns, ctl_output);
        assert_true(screen_watch(&screen, "3 runni", 10000));
        settle();
        assert_int_equal(screen.row, 4);
        assert_int_equal(screen_count(&screen, "0 %"), 3);
        screen_type(&screen, "\003");
        assert_int_equal(screen_close(&screen), 128 + SIGINT);
    }
    assert_shell("for job in $(cat $dir/jobs); do $ctl destroy $job; done", 0);
}

/* The server goes and comes back: that is said, and then all goes on. */
static void test_a_restart_while_watching(void **state)
{
    (void)state;
    assert_shell("$ctl create upload lasting >$dir/jobs; cat $dir/jobs", 0);
    open_screen(24, 100, ctl_output);
    assert_true(screen_watch(&screen, "1 running", 10000));
    server_kill(&server);
    assert_true(screen_watch(&screen, "no connection for", 10000));
    server_start(&server, &scene, flags);
    assert_shell("$ctl update $(cat $dir/jobs) 66", 0);
    assert_true(screen_watch(&screen, " 66 %", 20000));
    settle();
    assert_int_equal(screen_count(&screen, "no connection"), 0);
    assert_int_equal(screen_count(&screen, "the connection is lost"), 1);
    assert_int_equal(screen_count(&screen, "lasting"), 1);
    assert_shell("$ctl update $(cat $dir/jobs) 100", 0);
    assert_int_equal(screen_close(&screen), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_to_its_end),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_bars_on_a_terminal),
        cmocka_unit_test(test_interrupting_leaves_the_terminal_clean),
        cmocka_unit_test(test_more_jobs_than_rows),
        cmocka_unit_test(test_a_narrow_terminal),
        cmocka_unit_test(test_a_restart_while_watching),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
