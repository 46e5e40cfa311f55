/* P6 against real servers, kills and cut connections: every event once and in order, whatever
 * happens on the way, and a subscriber that cannot be given all is told. N=10 makes it ten times as
 * long. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/e2e/harness_feed.h"
#include "tests/e2e/harness_proxy.h"

static struct scene scene;
static struct activity_error error;

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scene_end(&scene);
    return 0;
}

/* Small segments and snapshots, so that restarts meet them; a window that holds all of a test. */
static const char *const flags[] = {"--set", "segment_bytes=4MiB", "--set", "snapshot_bytes=1MiB",
                                    "--set", "feed_keep_ms=600s",  "--set", "ended_keep_ms=1s",
                                    NULL};

/* ---- What the events say ---- */

enum { SEEN_MAX = 64 };
struct seen {
    struct {
        enum activity_event_kind kind;
        uint64_t job_id;
        enum activity_state state;
        uint32_t percent;
        char title[64];
        char type[64];
        char status[64];
        char failure[64];
        char document[64];
        char model[64];
        char principal[64];
        char group[64];
        uint64_t first_ms, last_ms, updated_ms;
    } events[SEEN_MAX];
    size_t count;
};

static void copy(char to[64], const char *from)
{
    (void)snprintf(to, 64, "%s", from == NULL ? "" : from);
}

static void keep_event(void *context, const struct activity_event *event)
{
    struct seen *seen = context;
    if (event->kind > ACTIVITY_EVENT_INDEX_CHANGED || seen->count == SEEN_MAX) {
        return;
    }
    size_t at = seen->count++;
    seen->events[at].kind = event->kind;
    copy(seen->events[at].principal, event->principal);
    copy(seen->events[at].group, event->group_count == 0 ? "" : event->groups[0]);
    if (event->activity != NULL) {
        seen->events[at].job_id = event->activity->job_id;
        seen->events[at].state = event->activity->state;
        seen->events[at].percent = event->activity->percent;
        copy(seen->events[at].title, event->activity->title);
        copy(seen->events[at].type, event->activity->type);
        copy(seen->events[at].status, event->activity->status_text);
        copy(seen->events[at].failure,
             event->activity->failure == NULL ? "" : event->activity->failure->code);
    } else {
        const struct activity_affected_model *model = event->change->affected_models;
        copy(seen->events[at].document, event->change->document_id);
        copy(seen->events[at].model, event->change->model);
        seen->events[at].first_ms = model->first_ms;
        seen->events[at].last_ms = model->last_ms;
        seen->events[at].updated_ms = model->updated_ms;
    }
}

/* A little of everything. Returns the four jobs made. */
static void make_history(activity_client *client, uint64_t jobs[4])
{
    static const char *const group = "editors";
    for (size_t i = 0; i < 4; i++) {
        const struct activity_create_request create = {
            .type = "upload", .title = "history", .groups = &group, .group_count = 1};
        struct activity_created created;
        assert_ok(activity_create(client, &create, NULL, &created, &error), error);
        jobs[i] = created.job_id;
    }
    const struct activity_update_request half = {
        .job_id = jobs[0], .set_percent = true, .percent = 50};
    const struct activity_update_request whole = {
        .job_id = jobs[0], .set_percent = true, .percent = 100, .status_text = "all there"};
    const struct activity_failure failure = {.code = "NO_SPACE", .message = "the disk is full"};
    const struct activity_update_request fails = {.job_id = jobs[1], .failure = &failure};
    assert_ok(activity_update(client, &half, NULL, NULL, &error), error);
    assert_ok(activity_update(client, &whole, NULL, NULL, &error), error);
    assert_ok(activity_update(client, &fails, NULL, NULL, &error), error);
    assert_ok(activity_destroy(client, jobs[2], NULL, NULL, &error), error);
    const uint8_t percent = 100;
    const struct activity_batch_request batch = {&jobs[3], &percent, 1};
    assert_ok(activity_batch_update(client, &batch, NULL, NULL, &error), error);
    static const char *const all = "*";
    const struct activity_document_change change = {.model = "mediacontainer",
                                                    .document_id = "123",
                                                    .affected_model = "mediaContainer",
                                                    .groups = &all,
                                                    .group_count = 1};
    const struct activity_record_request record = {.changes = &change, .change_count = 1};
    struct activity_recorded recorded;
    assert_ok(activity_record_changes(client, &record, NULL, &recorded, &error), error);
    const struct activity_visible_request visible = {.ticket = recorded.ticket, .wait_ms = 10000};
    struct activity_visible reached;
    assert_ok(activity_wait_visible(client, &visible, NULL, &reached, &error), error);
    assert_true(reached.reached);
}

static void check_history(const struct seen *seen, const uint64_t jobs[4])
{
    static const struct {
        enum activity_event_kind kind;
        size_t job;
        enum activity_state state;
    } wanted[] = {
        {ACTIVITY_EVENT_CREATED, 0, ACTIVITY_STATE_RUNNING},
        {ACTIVITY_EVENT_CREATED, 1, ACTIVITY_STATE_RUNNING},
        {ACTIVITY_EVENT_CREATED, 2, ACTIVITY_STATE_RUNNING},
        {ACTIVITY_EVENT_CREATED, 3, ACTIVITY_STATE_RUNNING},
        {ACTIVITY_EVENT_ENDED, 0, ACTIVITY_STATE_COMPLETED},
        {ACTIVITY_EVENT_ENDED, 1, ACTIVITY_STATE_FAILED},
        {ACTIVITY_EVENT_ENDED, 2, ACTIVITY_STATE_CANCELLED},
        {ACTIVITY_EVENT_ENDED, 3, ACTIVITY_STATE_COMPLETED},
        {ACTIVITY_EVENT_MODEL_CHANGED, 0, 0},
        {ACTIVITY_EVENT_INDEX_CHANGED, 0, 0},
    };
    assert_int_equal(seen->count, sizeof wanted / sizeof wanted[0]);
    for (size_t i = 0; i < seen->count; i++) {
        assert_int_equal(seen->events[i].kind, wanted[i].kind);
        assert_string_equal(seen->events[i].principal, "spiffe://test/worker");
        if (wanted[i].kind <= ACTIVITY_EVENT_ENDED) {
            assert_true(seen->events[i].job_id == jobs[wanted[i].job]);
            assert_int_equal(seen->events[i].state, wanted[i].state);
            assert_string_equal(seen->events[i].type, "upload");
            assert_string_equal(seen->events[i].group, "editors");
        } else {
            assert_string_equal(seen->events[i].document, "123");
            assert_string_equal(seen->events[i].group, "*");
        }
    }
    assert_string_equal(seen->events[0].title, "history");
    assert_string_equal(seen->events[4].status, "all there");
    assert_int_equal(seen->events[4].percent, 100);
    assert_string_equal(seen->events[5].failure, "NO_SPACE");
    assert_int_equal(seen->events[6].percent, 0);
    assert_string_equal(seen->events[8].model, "mediacontainer");
    assert_string_equal(seen->events[9].model, "es:mediacontainer");
    assert_true(seen->events[9].first_ms == seen->events[8].updated_ms);
    assert_true(seen->events[9].updated_ms >= seen->events[9].last_ms);
}

/* By the change-feed endpoint, by reads of everything, and by reads of one who may see it all. */
static void test_three_ways_tell_the_same(void **state)
{
    (void)state;
    struct server server = {0};
    server_start(&server, &scene, flags);
    static struct seen seen[3];
    struct follower followers[3] = {
        {.server = &server, .who = "watcher", .contiguous = true},
        {.server = &server, .who = "watcher", .contiguous = true, .options = {.reads = true}},
        {.server = &server, .who = "boss", .contiguous = true},
    };
    followers[2].options.scope = ACTIVITY_SCOPE_CALLER;
    for (size_t i = 0; i < 3; i++) {
        followers[i].on_event = keep_event;
        followers[i].context = &seen[i];
        follower_start(&followers[i]);
    }
    uint64_t jobs[4];
    activity_client *worker = client_of(&server, "worker", NULL, NULL, NULL);
    make_history(worker, jobs);
    uint64_t head = feed_head(worker).sequence;
    assert_int_equal(head, 10);
    for (size_t i = 0; i < 3; i++) {
        assert_true(follower_await(&followers[i], head, 10000));
        follower_stop(&followers[i]);
        check_history(&seen[i], jobs);
        assert_int_equal(followers[i].status.gaps, 0);
        assert_int_equal(atomic_load(&followers[i].resets), 0);
    }
    assert_true(followers[0].status.all && followers[0].status.pushed);
    assert_true(followers[1].status.all && !followers[1].status.pushed);
    assert_true(!followers[2].status.all && !followers[2].status.pushed);
    activity_client_free(worker);
    assert_int_equal(server_stop(&server), 0);
}

static void test_filters(void **state)
{
    (void)state;
    struct server server = {.data = "filters"};
    server_start(&server, &scene, flags);
    static const enum activity_event_kind ends = ACTIVITY_EVENT_ENDED;
    static const char *const model = "mediacontainer";
    static const char *const document = "123";
    static const char *const elsewhere = "other";
    uint64_t nobody = 1;
    struct {
        struct activity_subscription_options options;
        uint64_t events;
    } rows[] = {
        {{.filter = {.kinds = &ends, .kind_count = 1}}, 4},
        {{.filter = {.models = &model, .model_count = 1}}, 2},
        {{.filter = {.document_ids = &document, .document_id_count = 1}}, 2},
        {{.filter = {.job_ids = &nobody, .job_id_count = 1}}, 0},
        {{.filter = {.kinds = &ends, .kind_count = 1, .models = &model, .model_count = 1}}, 0},
        {{.tenants = &elsewhere, .tenant_count = 1}, 0},
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct follower followers[2 * ROWS];
    memset(followers, 0, sizeof followers);
    for (size_t i = 0; i < 2 * ROWS; i++) {
        followers[i].server = &server;
        followers[i].who = "watcher";
        followers[i].options = rows[i / 2].options;
        followers[i].options.reads = i % 2 != 0;
        follower_start(&followers[i]);
    }
    uint64_t jobs[4];
    activity_client *worker = client_of(&server, "worker", NULL, NULL, NULL);
    make_history(worker, jobs);
    for (size_t i = 0; i < 2 * ROWS; i++) {
        uint64_t until = now_ms() + 10000;
        while (atomic_load(&followers[i].events) < rows[i / 2].events && now_ms() < until) {
            sleep_ms(5);
        }
    }
    sleep_ms(300); /* for what should not come */
    for (size_t i = 0; i < 2 * ROWS; i++) {
        follower_stop(&followers[i]);
        if (atomic_load(&followers[i].events) != rows[i / 2].events) {
            print_error("row %zu, %s\n", i / 2, i % 2 != 0 ? "reads" : "pushed");
        }
        assert_int_equal(atomic_load(&followers[i].events), rows[i / 2].events);
    }
    activity_client_free(worker);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- Losses ---- */

/* Until it has connected anew, and been told something: who is closed before that takes it for a
 * refusal, and becomes patient. */
static bool await_push(struct follower *follower, uint64_t connects)
{
    uint64_t until = now_ms() + 20000;
    while (atomic_load(&follower->connects) == connects && now_ms() < until) {
        sleep_ms(2);
    }
    uint64_t frames = atomic_load(&follower->frames);
    while (atomic_load(&follower->frames) == frames && now_ms() < until) {
        sleep_ms(2);
    }
    return atomic_load(&follower->frames) > frames;
}

static void test_cut_connections_leave_no_gap(void **state)
{
    (void)state;
    /* A cut that NNG does not notice is found by silence, after six seconds. */
    uint32_t all_cuts = test_count(4) < 20 ? test_count(4) : 20;
    uint16_t port = free_port();
    struct proxy *proxy = proxy_start(port);
    char advertise[64];
    (void)snprintf(advertise, sizeof advertise, "feed_url=tls+tcp://localhost:%u",
                   proxy_port(proxy));
    const char *const through[] = {"--set", advertise, "--set", "feed_keep_ms=600s", NULL};
    struct server server = {.data = "cut", .feed_port = port};
    server_start(&server, &scene, through);
    struct follower follower = {.server = &server, .who = "watcher", .contiguous = true};
    struct feed_load load = {.server = &server, .who = "worker", .per_second = test_count(1000)};
    follower_start(&follower);
    feed_load_start(&load);
    uint64_t events = test_count(10000);
    uint64_t seed = 20261125;
    uint64_t connects = 0;
    activity_client *worker = client_of(&server, "worker", NULL, NULL, NULL);
    for (unsigned cuts = 0; cuts < all_cuts; cuts++) {
        uint64_t until = now_ms() + 20000;
        uint64_t next = (cuts + 1) * events / (all_cuts + 1) + random_next(&seed) % (events / 42);
        assert_true(await_push(&follower, connects));
        while (feed_head(worker).sequence < next && now_ms() < until) {
            sleep_ms(5);
        }
        sleep_ms((unsigned)(random_next(&seed) % 100));
        connects = atomic_load(&follower.connects);
        proxy_cut(proxy);
    }
    while (feed_head(worker).sequence < events) {
        sleep_ms(10);
    }
    feed_load_stop(&load);
    uint64_t head = feed_head(worker).sequence;
    assert_true(follower_await(&follower, head, 20000));
    follower_stop(&follower);
    assert_int_equal(atomic_load(&follower.events), head);
    assert_int_equal(atomic_load(&follower.resets), 0);
    assert_true(proxy_accepted(proxy) >= all_cuts);
    assert_int_equal(atomic_load(&load.failed), 0);
    assert_int_equal(atomic_load(&follower.of_kind[ACTIVITY_EVENT_CREATED]), load.created);
    assert_int_equal(atomic_load(&follower.of_kind[ACTIVITY_EVENT_ENDED]), load.ended);
    assert_int_equal(atomic_load(&follower.of_kind[ACTIVITY_EVENT_MODEL_CHANGED]), load.changes);
    print_message("%llu events, %llu gaps, %llu fills, %llu connects\n", (unsigned long long)head,
                  (unsigned long long)follower.status.gaps,
                  (unsigned long long)follower.status.fills,
                  (unsigned long long)follower.status.connects);
    feed_load_free(&load);
    activity_client_free(worker);
    assert_int_equal(server_stop(&server), 0);
    proxy_stop(proxy);
}

/* What is published was durable: after a SIGKILL the history goes on where the subscriber stands,
 * in the same epoch, and every acknowledged create is in it once. */
static void test_server_killed_under_load(void **state)
{
    (void)state;
    struct server server = {.data = "killed"};
    server_start(&server, &scene, flags);
    struct follower followers[2] = {
        {.server = &server, .who = "watcher", .contiguous = true},
        {.server = &server, .who = "watcher", .contiguous = true, .options = {.reads = true}},
    };
    struct feed_load load = {.server = &server, .who = "worker", .in_flight = 32};
    activity_client *worker = client_of(&server, "worker", NULL, NULL, NULL);
    uint64_t epoch = feed_head(worker).epoch;
    follower_start(&followers[0]);
    follower_start(&followers[1]);
    feed_load_start(&load);
    uint64_t seed = 4711;
    for (uint32_t i = 0; i < test_count(2); i++) {
        /* Each life answers something: a call is given up that five of them have left open. */
        uint64_t answered = atomic_load(&load.changes);
        uint64_t until = now_ms() + 20000;
        while (atomic_load(&load.changes) < answered + 100 && now_ms() < until) {
            sleep_ms(5);
        }
        assert_true(atomic_load(&load.changes) >= answered + 100);
        sleep_ms((unsigned)(random_next(&seed) % 400));
        server_kill(&server);
        uint64_t before = atomic_load(&followers[0].last_sequence);
        server_start(&server, &scene, flags);
        struct activity_cursor head = feed_head(worker);
        assert_true(head.epoch == epoch);
        assert_true(head.sequence >= before);
    }
    sleep_ms(300);
    feed_load_stop(&load);
    uint64_t head = feed_head(worker).sequence;
    for (size_t i = 0; i < 2; i++) {
        assert_true(follower_await(&followers[i], head, 20000));
        follower_stop(&followers[i]);
        assert_int_equal(atomic_load(&followers[i].events), head);
        assert_int_equal(atomic_load(&followers[i].resets), 0);
        assert_int_equal(atomic_load(&followers[i].of_kind[ACTIVITY_EVENT_CREATED]), load.created);
        assert_int_equal(atomic_load(&followers[i].of_kind[ACTIVITY_EVENT_MODEL_CHANGED]),
                         load.changes);
    }
    assert_int_equal(atomic_load(&load.failed), 0);
    assert_false(server_said(&server, "DIVERGED"));
    print_message("%llu events, %llu gaps filled\n", (unsigned long long)head,
                  (unsigned long long)followers[0].status.fills);
    feed_load_free(&load);
    activity_client_free(worker);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- A subscriber that is killed ---- */

static void test_killed_subscriber_resumes(void **state)
{
    (void)state;
    struct server server = {.data = "resumes"};
    server_start(&server, &scene, flags);
    struct feed_load load = {.server = &server, .who = "worker", .per_second = 3000};
    const char *path = scene_path(&scene, "sequences");
    activity_client *worker = client_of(&server, "worker", NULL, NULL, NULL);
    const struct activity_cursor begin = {feed_head(worker).epoch, 0};
    feed_record_begin(path, begin);
    feed_load_start(&load);
    uint64_t seed = 99;
    for (uint32_t i = 0; i < test_count(5); i++) {
        pid_t child = feed_child_start(&server, path);
        sleep_ms(200 + (unsigned)(random_next(&seed) % 300));
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
    }
    feed_load_stop(&load);
    uint64_t head = feed_head(worker).sequence;
    pid_t child = feed_child_start(&server, path);
    assert_true(feed_record_await(path, head, 20000));
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    assert_int_equal(feed_record_check(path, begin), 0);
    assert_int_equal(atomic_load(&load.failed), 0);
    print_message("%llu events over %u lives of the subscriber\n", (unsigned long long)head,
                  test_count(5) + 1);
    feed_load_free(&load);
    activity_client_free(worker);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- Resets ---- */

static activity_subscription *open_at(activity_client *client, struct activity_cursor cursor,
                                      bool reads)
{
    struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
    options.start = ACTIVITY_START_CURSOR;
    options.cursor = cursor;
    options.reads = reads;
    activity_subscription *subscription = activity_subscription_open(client, &options, &error);
    assert_non_null(subscription);
    return subscription;
}

/* The first thing that comes is a reset with this reason, and then it goes on with what happens. */
static void expect_reset(activity_client *worker, activity_subscription *subscription,
                         enum activity_reset reason)
{
    struct activity_event event;
    assert_ok(activity_subscription_next(subscription, 10000, &event, &error), error);
    assert_int_equal(event.kind, ACTIVITY_EVENT_RESET);
    assert_int_equal(event.reset, reason);
    struct activity_cursor head = feed_head(worker);
    assert_true(event.cursor.epoch == head.epoch);
    assert_true(event.cursor.sequence <= head.sequence);
    const struct activity_create_request create = {.type = "upload", .title = "after the reset"};
    assert_ok(activity_create(worker, &create, NULL, NULL, &error), error);
    do {
        assert_ok(activity_subscription_next(subscription, 10000, &event, &error), error);
        assert_true(event.kind != ACTIVITY_EVENT_NONE && event.kind != ACTIVITY_EVENT_RESET);
    } while (event.cursor.sequence <= head.sequence);
    assert_int_equal(event.kind, ACTIVITY_EVENT_CREATED);
    assert_int_equal(event.cursor.sequence, head.sequence + 1);
    activity_subscription_free(subscription);
}

static void test_resets(void **state)
{
    (void)state;
    static const char *const brief[] = {"--set", "feed_keep_ms=1s", NULL};
    struct server server = {.data = "resets"};
    server_start(&server, &scene, brief);
    activity_client *worker = client_of(&server, "worker", NULL, NULL, NULL);
    activity_client *watcher = client_of(&server, "watcher", NULL, NULL, NULL);
    const struct activity_create_request create = {.type = "upload", .title = "old"};
    for (unsigned i = 0; i < 10; i++) {
        assert_ok(activity_create(worker, &create, NULL, NULL, &error), error);
    }
    struct activity_cursor head = feed_head(worker);
    const struct activity_cursor old = {head.epoch, 3};
    const struct activity_cursor ahead = {head.epoch, head.sequence + 1000000};
    const struct activity_cursor foreign = {head.epoch + 1, 3};
    sleep_ms(2500);
    for (unsigned reads = 0; reads < 2; reads++) {
        expect_reset(worker, open_at(watcher, old, reads != 0), ACTIVITY_RESET_EXPIRED);
        expect_reset(worker, open_at(watcher, ahead, reads != 0), ACTIVITY_RESET_AHEAD);
        expect_reset(worker, open_at(watcher, foreign, reads != 0), ACTIVITY_RESET_EPOCH);
    }
    /* Another history behind the same address: a subscriber that was level is told. */
    activity_subscription *level[2] = {open_at(watcher, feed_head(worker), false),
                                       open_at(watcher, feed_head(worker), true)};
    struct activity_event event;
    for (size_t i = 0; i < 2; i++) {
        assert_ok(activity_subscription_next(level[i], 200, &event, &error), error);
        assert_int_equal(event.kind, ACTIVITY_EVENT_NONE);
    }
    assert_int_equal(server_stop(&server), 0);
    server.data = "another";
    server_start(&server, &scene, brief);
    expect_reset(worker, level[0], ACTIVITY_RESET_EPOCH);
    expect_reset(worker, level[1], ACTIVITY_RESET_EPOCH);
    activity_client_free(watcher);
    activity_client_free(worker);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- Who may subscribe ---- */

static void test_without_feed_it_is_reads(void **state)
{
    (void)state;
    struct server server = {.data = "refused"};
    server_start(&server, &scene, flags);
    activity_client *worker = client_of(&server, "worker", NULL, NULL, NULL);
    struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
    options.scope = ACTIVITY_SCOPE_ALL;
    assert_null(activity_subscription_open(worker, &options, &error));
    assert_int_equal(error.code, ACTIVITY_PERMISSION_DENIED);
    assert_string_equal(error.reason, "NOT_ALLOWED");
    const struct activity_changes_request read = {.all_tenants = true};
    activity_result *result;
    assert_int_equal(activity_read_changes(worker, &read, NULL, &result, &error),
                     ACTIVITY_PERMISSION_DENIED);
    options.scope = ACTIVITY_SCOPE_WIDEST;
    activity_subscription *subscription = activity_subscription_open(worker, &options, &error);
    assert_non_null(subscription);
    const struct activity_create_request create = {.type = "upload", .title = "mine"};
    assert_ok(activity_create(worker, &create, NULL, NULL, &error), error);
    struct activity_event event;
    assert_ok(activity_subscription_next(subscription, 5000, &event, &error), error);
    assert_int_equal(event.kind, ACTIVITY_EVENT_CREATED);
    assert_string_equal(event.activity->title, "mine");
    struct activity_subscription_status status;
    activity_subscription_status(subscription, &status);
    assert_false(status.all || status.pushed);
    activity_subscription_free(subscription);
    /* A feed without its endpoint: the same events, by reads. */
    assert_int_equal(server_stop(&server), 0);
    static const char *const none[] = {"--set", "feed_listen=none", NULL};
    server_start(&server, &scene, none);
    struct follower follower = {.server = &server, .who = "watcher", .contiguous = true};
    follower_start(&follower);
    assert_ok(activity_create(worker, &create, NULL, NULL, &error), error);
    assert_true(follower_await(&follower, feed_head(worker).sequence, 5000));
    follower_stop(&follower);
    assert_true(follower.status.all && !follower.status.pushed);
    activity_client_free(worker);
    assert_int_equal(server_stop(&server), 0);
}

int main(int count, char **arguments)
{
    if (count > 1) {
        return feed_child_main(count, arguments);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_ways_tell_the_same),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_cut_connections_leave_no_gap),
        cmocka_unit_test(test_server_killed_under_load),
        cmocka_unit_test(test_killed_subscriber_resumes),
        cmocka_unit_test(test_resets),
        cmocka_unit_test(test_without_feed_it_is_reads),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
