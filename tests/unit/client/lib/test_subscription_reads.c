/* A subscription by reads: long polls, snapshots, progress by finds, filters, scopes, errors. */
#include "tests/unit/client/lib/fake_feed.h"

static struct activity_subscription_options by(enum activity_scope scope)
{
    struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
    options.scope = scope;
    return options;
}

struct scene {
    struct fake_feed *feed;
    activity_client *client;
};

static struct scene scene_open(uint64_t head)
{
    struct scene scene = {.feed = fake_feed_new()};
    fake_grow(scene.feed, head);
    scene.client = fake_client(&scene.feed->server);
    return scene;
}

static void scene_close(struct scene *scene, activity_subscription *subscription)
{
    fake_unsubscribe(subscription);
    activity_client_free(scene->client);
    fake_feed_free(scene->feed);
}

/* --- Long polls --- */

static void one_poll_in_flight(void **state)
{
    (void)state;
    struct scene scene = scene_open(10);
    const struct activity_subscription_options options = by(ACTIVITY_SCOPE_CALLER);
    activity_subscription *subscription = fake_subscribe(scene.client, &options);
    for (int i = 0; i < 50; i++) {
        fake_expect_nothing(subscription, 2);
    }
    /* One for the head at the beginning, and one that waits. */
    assert_int_equal(fake_count(scene.feed, &scene.feed->reads), 2);
    assert_int_equal(fake_count(scene.feed, &scene.feed->waiting_reads), 1);
    assert_int_not_equal(scene.feed->subscription, 0);
    /* It is answered while nobody looks; looking finds it without waiting. */
    fake_grow(scene.feed, 20);
    fake_sleep_ms(200);
    for (uint64_t i = 11; i <= 20; i++) {
        struct activity_event event;
        assert_int_equal(activity_subscription_next(subscription, 0, &event, NULL), ACTIVITY_OK);
        assert_is_event(&event, i);
    }
    struct activity_subscription_status status = fake_status(subscription);
    assert_true(!status.all && !status.pushed);
    assert_int_equal(status.events, 10);
    assert_int_equal(status.frames + status.connects + status.fills, 0);
    assert_int_equal(atomic_load(&scene.feed->subscribers), 0);
    scene_close(&scene, subscription);
}

static void many_pages(void **state)
{
    (void)state;
    struct scene scene = scene_open(5500);
    struct activity_subscription_options options = by(ACTIVITY_SCOPE_ALL);
    options.reads = true;
    options.start = ACTIVITY_START_CURSOR;
    options.cursor = (struct activity_cursor){FAKE_EPOCH, 0};
    activity_subscription *subscription = fake_subscribe(scene.client, &options);
    fake_expect(subscription, 1, 5500);
    assert_true(fake_status(subscription).all);
    assert_int_equal(atomic_load(&scene.feed->subscribers), 0);
    struct activity_cursor cursor;
    activity_subscription_cursor(subscription, &cursor);
    assert_int_equal(cursor.sequence, 5500);
    scene_close(&scene, subscription);
}

static void no_place_to_wait(void **state)
{
    (void)state;
    struct scene scene = scene_open(0);
    const struct activity_subscription_options options = by(ACTIVITY_SCOPE_CALLER);
    activity_subscription *subscription = fake_subscribe(scene.client, &options);
    scene.feed->crowded_ms = 200;
    fake_expect_nothing(subscription, 1000);
    assert_in_range(fake_count(scene.feed, &scene.feed->waiting_reads), 4, 6);
    fake_grow(scene.feed, 5);
    fake_expect(subscription, 1, 5);
    scene_close(&scene, subscription);
}

static void restart_during_a_poll(void **state)
{
    (void)state;
    struct scene scene = scene_open(0);
    const struct activity_subscription_options options = by(ACTIVITY_SCOPE_CALLER);
    activity_subscription *subscription = fake_subscribe(scene.client, &options);
    for (uint64_t i = 1; i < 6; i++) {
        fake_expect_nothing(subscription, 100);
        fake_stop(&scene.feed->server);
        fake_expect_nothing(subscription, 300);
        fake_start(&scene.feed->server);
        fake_grow(scene.feed, i);
        fake_expect(subscription, i, i);
    }
    scene_close(&scene, subscription);
}

static void errors_and_going_on(void **state)
{
    (void)state;
    struct scene scene = scene_open(0);
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    call.timeout_ms = 1000;
    struct activity_subscription_options options = by(ACTIVITY_SCOPE_CALLER);
    options.call = &call;
    activity_subscription *subscription = fake_subscribe(scene.client, &options);
    call.timeout_ms = 1; /* it has been copied */
    fake_expect_nothing(subscription, 100);
    fake_stop(&scene.feed->server);
    struct activity_event event;
    struct activity_error error;
    uint64_t begun = fake_now_ms();
    int code;
    do {
        code = activity_subscription_next(subscription, 100, &event, &error);
    } while (code == ACTIVITY_OK);
    assert_in_range(fake_now_ms() - begun, 700, 2500);
    assert_int_equal(code, ACTIVITY_DEADLINE_EXCEEDED); /* the poll was under way */
    assert_int_equal(event.kind, ACTIVITY_EVENT_NONE);
    do {
        code = activity_subscription_next(subscription, 100, &event, &error);
    } while (code == ACTIVITY_OK);
    assert_int_equal(code, ACTIVITY_UNAVAILABLE);
    assert_string_equal(error.reason, "NOT_CONNECTED");
    fake_grow(scene.feed, 5);
    fake_start(&scene.feed->server);
    do {
        code = activity_subscription_next(subscription, 100, &event, &error);
    } while (code != ACTIVITY_OK || event.kind == ACTIVITY_EVENT_NONE);
    assert_is_event(&event, 1);
    fake_expect(subscription, 2, 5);
    scene_close(&scene, subscription);
}

/* A server that says no again and again is not asked in a loop. */
static void refusals_are_told_with_pauses(void **state)
{
    (void)state;
    struct scene scene = scene_open(0);
    const struct activity_subscription_options options = by(ACTIVITY_SCOPE_ALL);
    activity_subscription *subscription = fake_subscribe(scene.client, &options);
    pthread_mutex_lock(&scene.feed->lock);
    scene.feed->allowed = false; /* the policy was changed */
    unsigned before = scene.feed->reads;
    pthread_mutex_unlock(&scene.feed->lock);
    fake_stop(&scene.feed->server);
    fake_start(&scene.feed->server);
    uint64_t until = fake_now_ms() + 1000;
    unsigned told = 0;
    while (fake_now_ms() < until) {
        struct activity_event event;
        struct activity_error error;
        int code = activity_subscription_next(subscription, 50, &event, &error);
        assert_true(code == ACTIVITY_OK || code == ACTIVITY_PERMISSION_DENIED);
        told += code != ACTIVITY_OK;
    }
    assert_in_range(told, 1, 10);
    assert_in_range(fake_count(scene.feed, &scene.feed->reads) - before, 1, 11);
    scene_close(&scene, subscription);
}

/* --- Scopes --- */

static void scope_is_chosen(void **state)
{
    (void)state;
    struct scene scene = scene_open(5);
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    call.tenant = "acme";
    call.user = "ann";
    struct activity_subscription_options options = by(ACTIVITY_SCOPE_WIDEST);
    activity_subscription *subscription = fake_subscribe(scene.client, &options);
    assert_true(fake_status(subscription).all);
    fake_unsubscribe(subscription);
    options.call = &call; /* a user sees its own */
    subscription = fake_subscribe(scene.client, &options);
    assert_false(fake_status(subscription).all);
    fake_unsubscribe(subscription);
    struct activity_error error;
    options.scope = ACTIVITY_SCOPE_ALL;
    assert_null(activity_subscription_open(scene.client, &options, &error));
    assert_int_equal(error.code, ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "scope");
    options.call = NULL;

    /* A server without an endpoint may allow it nevertheless. */
    fake_tell_url(scene.feed, "");
    options.scope = ACTIVITY_SCOPE_WIDEST;
    subscription = fake_subscribe(scene.client, &options);
    assert_true(fake_status(subscription).all);
    fake_grow(scene.feed, 9);
    fake_expect(subscription, 6, 9);
    fake_unsubscribe(subscription);

    /* Nobody is allowed any more: with and without an endpoint. */
    pthread_mutex_lock(&scene.feed->lock);
    scene.feed->allowed = false;
    pthread_mutex_unlock(&scene.feed->lock);
    for (int i = 0; i < 2; i++) {
        options.scope = ACTIVITY_SCOPE_WIDEST;
        subscription = fake_subscribe(scene.client, &options);
        assert_false(fake_status(subscription).all);
        fake_unsubscribe(subscription);
        options.scope = ACTIVITY_SCOPE_ALL;
        assert_null(activity_subscription_open(scene.client, &options, &error));
        assert_int_equal(error.code, ACTIVITY_PERMISSION_DENIED);
        assert_string_equal(error.reason, "NOT_ALLOWED");
        fake_tell_url(scene.feed, NULL);
    }
    scene_close(&scene, NULL);
}

/* --- Snapshots --- */

static void expect_snapshot(activity_subscription *subscription, unsigned activities, bool changes,
                            uint64_t sequence)
{
    struct activity_event event;
    struct activity_cursor cursor;
    for (unsigned i = 1; i <= activities; i++) {
        fake_next(subscription, &event);
        assert_int_equal(event.kind, ACTIVITY_EVENT_FOUND_ACTIVITY);
        assert_int_equal(event.activity->job_id, i);
        assert_string_equal(event.activity->status_text, "busy");
        assert_string_equal(event.tenant, "");
        if (i == 2 && changes) {
            fake_next(subscription, &event);
            assert_int_equal(event.kind, ACTIVITY_EVENT_FOUND_CHANGE);
            assert_string_equal(event.change->document_id, "doc-1");
        }
        activity_subscription_cursor(subscription, &cursor);
        assert_int_equal(cursor.epoch, 0); /* not complete */
    }
    fake_next(subscription, &event);
    assert_int_equal(event.kind, ACTIVITY_EVENT_FOUND_ALL);
    assert_int_equal(event.cursor.sequence, sequence);
    activity_subscription_cursor(subscription, &cursor);
    assert_int_equal(cursor.sequence, sequence);
}

static void snapshot_and_on(void **state)
{
    (void)state;
    const enum activity_scope scopes[] = {ACTIVITY_SCOPE_CALLER, ACTIVITY_SCOPE_ALL};
    for (int i = 0; i < 2; i++) {
        struct scene scene = scene_open(100);
        scene.feed->found = 5;
        struct activity_subscription_options options = by(scopes[i]);
        options.start = ACTIVITY_START_SNAPSHOT;
        activity_subscription *subscription = fake_subscribe(scene.client, &options);
        struct activity_event event;
        fake_next(subscription, &event);
        assert_int_equal(event.activity->job_id, 1);
        fake_unsubscribe(subscription); /* in the middle */
        subscription = fake_subscribe(scene.client, &options);
        expect_snapshot(subscription, 5, true, 100);
        assert_true(scene.feed->observe);
        fake_grow(scene.feed, 120);
        fake_expect(subscription, 101, 120);
        /* After a hole it begins again. */
        fake_become(scene.feed, 78, 1, 7);
        fake_stop(&scene.feed->server); /* a parked poll does not look at its epoch again */
        fake_start(&scene.feed->server);
        fake_next(subscription, &event);
        assert_int_equal(event.kind, ACTIVITY_EVENT_RESET);
        assert_int_equal(event.reset, ACTIVITY_RESET_EPOCH);
        expect_snapshot(subscription, 5, true, 7);
        fake_grow(scene.feed, 9);
        fake_expect(subscription, 8, 9);
        scene_close(&scene, subscription);
    }
}

/* --- Filters --- */

/* What passes is the same whether the server has looked or, with messages, only the library. */
static void filters(void **state)
{
    (void)state;
    static const enum activity_event_kind kinds[] = {ACTIVITY_EVENT_ENDED,
                                                     ACTIVITY_EVENT_INDEX_CHANGED};
    static const char *const models[] = {"other", "mediacontainer"};
    static const char *const documents[] = {"doc-7", "doc-10", "doc-2"};
    static const char *const tenants[] = {"other"};
    static const uint64_t jobs[] = {5, 2};
    const struct activity_event_filter given[] = {
        {.kinds = kinds, .kind_count = 2},
        {.models = models, .model_count = 2},
        {.models = models, .model_count = 1},
        {.document_ids = documents, .document_id_count = 3},
        {.job_ids = jobs, .job_id_count = 2},
        {.job_ids = jobs, .job_id_count = 1, .document_ids = documents, .document_id_count = 1},
        {.kinds = kinds, .kind_count = 1, .document_ids = documents, .document_id_count = 3},
        {0},
    };
    /* Of events 1 to 24; event n is of kind 1 + n % 4, of job n / 4 or document doc-n. */
    static const uint64_t expected[][25] = {
        {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23},
        {2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23},
        {0},
        {2, 7, 10},
        {8, 9, 20, 21},
        {7, 20, 21},
        {0},
        {3, 6, 9, 12, 15, 18, 21, 24},
    };
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        struct scene scene = scene_open(0);
        for (int pushed = 0; pushed < 2; pushed++) {
            struct activity_subscription_options options = by(ACTIVITY_SCOPE_ALL);
            options.filter = given[i];
            options.reads = !pushed;
            options.tenants = tenants;
            options.tenant_count = i == 7;
            activity_subscription *subscription = fake_subscribe(scene.client, &options);
            if (pushed) {
                fake_settle(scene.feed, subscription);
            }
            uint64_t base = scene.feed->head;
            fake_grow(scene.feed, base + 24);
            if (pushed) {
                fake_publish(scene.feed, 1, 24);
            }
            struct activity_event event;
            for (size_t n = 0; expected[i][n] != 0; n++) {
                fake_next(subscription, &event);
                assert_is_event(&event, expected[i][n]);
            }
            fake_expect_nothing(subscription, 50);
            fake_unsubscribe(subscription);
            fake_grow(scene.feed, 0);
        }
        scene_close(&scene, NULL);
    }
}

static void filters_are_checked(void **state)
{
    (void)state;
    struct scene scene = scene_open(0);
    static const enum activity_event_kind progress[] = {ACTIVITY_EVENT_PROGRESS};
    static const char *const with_null[] = {NULL};
    static uint64_t jobs[300];
    const struct {
        struct activity_event_filter filter;
        const char *field;
    } bad[] = {
        {{.kinds = progress, .kind_count = 1}, "kinds"},
        {{.kind_count = 1}, "kinds"},
        {{.models = with_null, .model_count = 1}, "models"},
        {{.document_id_count = 1}, "document_ids"},
        {{.job_ids = jobs, .job_id_count = 257}, "job_ids"},
    };
    struct activity_error error;
    struct activity_subscription_options options = by(ACTIVITY_SCOPE_CALLER);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        options.filter = bad[i].filter;
        assert_null(activity_subscription_open(scene.client, &options, &error));
        assert_int_equal(error.code, ACTIVITY_INVALID_ARGUMENT);
        assert_string_equal(error.field, bad[i].field);
    }
    options = by(ACTIVITY_SCOPE_CALLER);
    options.start = ACTIVITY_START_CURSOR;
    assert_null(activity_subscription_open(scene.client, &options, &error));
    assert_string_equal(error.field, "cursor");
    options.size = 3;
    assert_null(activity_subscription_open(scene.client, &options, &error));
    assert_string_equal(error.field, "size");
    assert_null(activity_subscription_open(scene.client, NULL, &error));
    scene_close(&scene, NULL);
}

/* --- Progress --- */

static void expect_progress(activity_subscription *subscription, uint64_t job_id, uint32_t percent,
                            const char *text)
{
    struct activity_event event;
    fake_next(subscription, &event);
    assert_int_equal(event.kind, ACTIVITY_EVENT_PROGRESS);
    assert_int_equal(event.cursor.sequence, 0);
    assert_int_equal(event.activity->job_id, job_id);
    assert_int_equal(event.activity->percent, percent);
    if (text == NULL) {
        assert_null(event.activity->status_text);
    } else {
        assert_string_equal(event.activity->status_text, text);
    }
}

static void progress_by_finds(void **state)
{
    (void)state;
    struct scene scene = scene_open(0);
    scene.feed->found = 3;
    scene.feed->percent = 10;
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    call.tenant = "acme";
    struct activity_subscription_options options = by(ACTIVITY_SCOPE_CALLER);
    options.call = &call;
    options.progress = true;
    activity_subscription *subscription = fake_subscribe(scene.client, &options);
    uint64_t begun = fake_now_ms();
    for (unsigned turn = 0; turn < 3; turn++) {
        expect_progress(subscription, 1, 10, "busy");
        expect_progress(subscription, 3, 10, "busy");
    }
    assert_in_range(fake_now_ms() - begun, 1900, 3500); /* at most once a second */
    /* What has changed since the find before, two pages each. */
    assert_int_equal(fake_count(scene.feed, &scene.feed->finds), 6);
    assert_int_equal(scene.feed->updated_since_ms, FAKE_TIME_MS + 3);
    assert_true(scene.feed->observe);
    scene_close(&scene, subscription);
}

static void progress_by_messages(void **state)
{
    (void)state;
    struct scene scene = scene_open(0);
    const uint64_t jobs[] = {5, 3, 900};
    struct activity_subscription_options options = by(ACTIVITY_SCOPE_ALL);
    options.progress = true;
    activity_subscription *subscription = fake_subscribe(scene.client, &options);
    fake_settle(scene.feed, subscription);
    fake_progress(scene.feed, 0, 0, NULL, 0, 0);
    fake_expect_nothing(subscription,
                        1200); /* a find, once: of what was before the first message */
    unsigned finds = fake_count(scene.feed, &scene.feed->finds);
    fake_progress(scene.feed, 1, FAKE_TIME_MS + 500, jobs, 3, 20);
    fake_progress(scene.feed, 2, FAKE_TIME_MS + 600, jobs, 1, 30);
    fake_progress(scene.feed, 2, 0, NULL, 0, 0);
    expect_progress(subscription, 5, 20, "half way");
    expect_progress(subscription, 3, 20, NULL);
    expect_progress(subscription, 900, 20, NULL);
    expect_progress(subscription, 5, 30, "half way");
    fake_expect_nothing(subscription, 50);
    assert_int_equal(fake_count(scene.feed, &scene.feed->finds), finds);
    /* One is lost: what has changed since the last is asked. */
    scene.feed->found = 1;
    fake_heartbeat(scene.feed);
    fake_progress(scene.feed, 4, FAKE_TIME_MS + 900, jobs, 1, 40);
    expect_progress(subscription, 5, 40, "half way");
    expect_progress(subscription, 1, 0, "busy");
    assert_int_equal(fake_count(scene.feed, &scene.feed->finds), finds + 1);
    assert_int_equal(scene.feed->updated_since_ms, FAKE_TIME_MS + 600);
    fake_expect_nothing(subscription, 100);
    /* Of another history: dropped. */
    struct fake_feed *feed = scene.feed;
    feed->epoch = 1;
    fake_progress(feed, 5, FAKE_TIME_MS + 950, jobs, 1, 50);
    feed->epoch = FAKE_EPOCH;
    fake_expect_nothing(subscription, 100);
    assert_int_equal(fake_status(subscription).bad, 0);
    fake_unsubscribe(subscription);

    /* Of one job only, and of one tenant only. */
    options.filter.job_ids = &jobs[1];
    options.filter.job_id_count = 1;
    subscription = fake_subscribe(scene.client, &options);
    fake_settle(scene.feed, subscription);
    fake_progress(scene.feed, 1, FAKE_TIME_MS, jobs, 3, 20);
    expect_progress(subscription, 3, 20, NULL);
    fake_expect_nothing(subscription, 50);
    fake_unsubscribe(subscription);
    const char *const tenants[] = {"other"};
    options.filter.job_id_count = 0;
    options.tenants = tenants;
    options.tenant_count = 1;
    scene.feed->found = 0;
    subscription = fake_subscribe(scene.client, &options);
    fake_settle(scene.feed, subscription);
    fake_progress(scene.feed, 1, FAKE_TIME_MS, jobs, 3, 20);
    fake_expect_nothing(subscription, 100);
    scene_close(&scene, subscription);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_poll_in_flight),
        cmocka_unit_test(many_pages),
        cmocka_unit_test(no_place_to_wait),
        cmocka_unit_test(restart_during_a_poll),
        cmocka_unit_test(errors_and_going_on),
        cmocka_unit_test(refusals_are_told_with_pauses),
        cmocka_unit_test(scope_is_chosen),
        cmocka_unit_test(snapshot_and_on),
        cmocka_unit_test(filters),
        cmocka_unit_test(filters_are_checked),
        cmocka_unit_test(progress_by_finds),
        cmocka_unit_test(progress_by_messages),
    };
    return cmocka_run_group_tests(tests, fake_certificates, fake_certificates_remove);
}
