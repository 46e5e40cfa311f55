/* P6: state and history are of one piece. What a Find shows, and then the events from its cursor
 * applied to it, is what a later Find shows; at random moments under load, for an admin, for a user
 * by groups, and for a subscriber of everything. N=10 makes it ten times as long. */
#include <stdio.h>
#include <string.h>

#include "tests/e2e/harness_feed.h"

#define KEEP_MS  2000u /* of ended activities and changes: the lists stay on one page */
#define SLACK_MS 300u  /* expiry runs on service time, which is not the clock that is shown */
#define MOMENTS  34u

static struct scene scene;
static struct server server;
static struct activity_error error;

static int set_up(void **state)
{
    (void)state;
    static const char *const flags[] = {"--set", "ended_keep_ms=2s", "--set", "change_keep_ms=2s",
                                        NULL};
    scene_make(&scene);
    server_start(&server, &scene, flags);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_kill(&server);
    scene_end(&scene);
    return 0;
}

/* ---- What a subscriber knows ---- */

enum { JOBS_MAX = 20000, CHANGES_MAX = 4000 };

struct job {
    uint64_t id;
    enum activity_state state;
    uint64_t end_ms;
    uint32_t percent; /* of an ended one */
    char fixed[512];  /* what never changes */
    char end[256];    /* what an ended one says */
};

struct change {
    bool of_index;
    char key[128];
    struct activity_affected_model times;
};

struct knowledge {
    struct job jobs[JOBS_MAX];
    size_t job_count;
    struct change changes[CHANGES_MAX];
    size_t change_count;
    struct activity_cursor cursor;
};

static struct job *job_of(struct knowledge *known, uint64_t id)
{
    for (size_t i = known->job_count; i-- > 0;) {
        if (known->jobs[i].id == id) {
            return &known->jobs[i];
        }
    }
    return NULL;
}

static struct change *change_of(struct knowledge *known, bool of_index, const char *key)
{
    for (size_t i = 0; i < known->change_count; i++) {
        if (known->changes[i].of_index == of_index && strcmp(known->changes[i].key, key) == 0) {
            return &known->changes[i];
        }
    }
    return NULL;
}

static void describe_end(struct job *job, const struct activity_info *activity)
{
    job->state = activity->state;
    job->end_ms = activity->end_time_ms;
    job->percent = activity->percent;
    (void)snprintf(job->end, sizeof job->end, "%s %s %s", activity->status_text,
                   activity->failure == NULL ? "" : activity->failure->code,
                   activity->failure == NULL ? "" : activity->failure->message);
}

static void describe(struct job *job, const struct activity_info *activity)
{
    *job = (struct job){.id = activity->job_id, .state = ACTIVITY_STATE_RUNNING};
    (void)snprintf(job->fixed, sizeof job->fixed, "%s %s %s %s %s %llu %llu %llu", activity->type,
                   activity->title, activity->owner, activity->creator,
                   activity->group_count == 0 ? "" : activity->groups[0],
                   (unsigned long long)activity->parent_job_id,
                   (unsigned long long)activity->retry_of_job_id,
                   (unsigned long long)activity->create_time_ms);
    if (activity->state != ACTIVITY_STATE_RUNNING) {
        describe_end(job, activity);
    }
}

static void know_job(struct knowledge *known, const struct activity_info *activity)
{
    struct job *job = job_of(known, activity->job_id);
    if (job == NULL) {
        assert_true(known->job_count < JOBS_MAX);
        job = &known->jobs[known->job_count++];
    }
    describe(job, activity);
}

static void know_change(struct knowledge *known, bool of_index,
                        const struct activity_model_change *change)
{
    for (size_t i = 0; i < change->affected_model_count; i++) {
        char key[128];
        (void)snprintf(key, sizeof key, "%s %s %s", change->model, change->document_id,
                       change->affected_models[i].affected_model);
        struct change *kept = change_of(known, of_index, key);
        if (kept == NULL) {
            assert_true(known->change_count < CHANGES_MAX);
            kept = &known->changes[known->change_count++];
            memcpy(kept->key, key, sizeof key);
            kept->of_index = of_index;
        }
        kept->times = change->affected_models[i];
    }
}

/* What the page shows, in the shape of knowledge. */
static void know_page(struct knowledge *known, const struct activity_page *page)
{
    known->job_count = known->change_count = 0;
    known->cursor = page->cursor;
    assert_int_equal(page->next_page_token.size, 0);
    for (size_t i = 0; i < page->activity_count; i++) {
        know_job(known, &page->activities[i]);
    }
    for (size_t i = 0; i < page->model_change_count; i++) {
        know_change(known, false, &page->model_changes[i]);
    }
    for (size_t i = 0; i < page->model_change_es_count; i++) {
        know_change(known, true, &page->model_changes_es[i]);
    }
}

static void apply(struct knowledge *known, const struct activity_event *event)
{
    assert_true(event->cursor.epoch == known->cursor.epoch);
    assert_true(event->cursor.sequence > known->cursor.sequence);
    struct job *job;
    switch (event->kind) {
    case ACTIVITY_EVENT_CREATED:
        assert_null(job_of(known, event->activity->job_id));
        know_job(known, event->activity);
        break;
    case ACTIVITY_EVENT_ENDED:
        job = job_of(known, event->activity->job_id);
        assert_non_null(job);
        assert_int_equal(job->state, ACTIVITY_STATE_RUNNING);
        describe_end(job, event->activity);
        break;
    case ACTIVITY_EVENT_MODEL_CHANGED:
        know_change(known, false, event->change);
        break;
    case ACTIVITY_EVENT_INDEX_CHANGED:
        know_change(known, true, event->change);
        break;
    default:
        fail_msg("%s instead of history", activity_event_kind_name((int)event->kind));
    }
    known->cursor = event->cursor;
}

/* ---- Comparison ---- */

static bool is_past(uint64_t ms, uint64_t now)
{
    return ms + KEEP_MS <= now + SLACK_MS;
}

static void compare(struct knowledge *known, struct knowledge *found, uint64_t now)
{
    for (size_t i = 0; i < found->job_count; i++) {
        const struct job *is = &found->jobs[i];
        const struct job *thought = job_of(known, is->id);
        if (thought == NULL) {
            fail_msg("job %llu is not known by events", (unsigned long long)is->id);
        }
        assert_string_equal(thought->fixed, is->fixed);
        assert_int_equal(thought->state, is->state);
        assert_string_equal(thought->end, is->end);
        assert_int_equal(thought->percent, is->percent);
        assert_int_equal(thought->end_ms, is->end_ms);
    }
    for (size_t i = 0; i < known->job_count; i++) {
        const struct job *thought = &known->jobs[i];
        assert_true(job_of(found, thought->id) != NULL ||
                    (thought->state != ACTIVITY_STATE_RUNNING && is_past(thought->end_ms, now)));
    }
    for (size_t i = 0; i < found->change_count; i++) {
        const struct change *is = &found->changes[i];
        const struct change *thought = change_of(known, is->of_index, is->key);
        if (thought == NULL) {
            fail_msg("%s is not known by events", is->key);
        }
        assert_int_equal(thought->times.first_ms, is->times.first_ms);
        assert_int_equal(thought->times.last_ms, is->times.last_ms);
        assert_int_equal(thought->times.updated_ms, is->times.updated_ms);
    }
    for (size_t i = 0; i < known->change_count; i++) {
        const struct change *thought = &known->changes[i];
        assert_true(change_of(found, thought->of_index, thought->key) != NULL ||
                    is_past(thought->times.updated_ms, now));
    }
}

/* ---- The two ways from one state to the other ---- */

static uint64_t find(activity_client *client, struct knowledge *known)
{
    const struct activity_find_request request = {.observe = true};
    activity_result *result;
    assert_ok(activity_find(client, &request, NULL, &result, &error), error);
    know_page(known, activity_result_page(result));
    uint64_t now = activity_result_page(result)->time_ms;
    activity_result_free(result);
    return now;
}

static void read_up_to(activity_client *client, struct knowledge *known, uint64_t sequence)
{
    while (known->cursor.sequence < sequence) {
        const struct activity_changes_request request = {.after = known->cursor, .page_size = 100};
        activity_result *result;
        assert_ok(activity_read_changes(client, &request, NULL, &result, &error), error);
        const struct activity_changes *changes = activity_result_changes(result);
        assert_int_equal(changes->reset, ACTIVITY_RESET_NONE);
        assert_true(changes->cursor.sequence >= known->cursor.sequence);
        assert_true(changes->cursor.sequence > known->cursor.sequence || sequence == 0);
        for (size_t i = 0; i < changes->event_count; i++) {
            if (changes->events[i].cursor.sequence <= sequence) {
                apply(known, &changes->events[i]);
            }
        }
        known->cursor.sequence =
            changes->cursor.sequence < sequence ? changes->cursor.sequence : sequence;
        activity_result_free(result);
    }
}

static struct knowledge known;
static struct knowledge found;
static const char *const groups[] = {"editors", "night", "*"};

static void start_load(struct feed_load *load)
{
    *load = (struct feed_load){.server = &server,
                               .who = "worker",
                               .per_second = 400,
                               .groups = groups,
                               .group_count = sizeof groups / sizeof groups[0]};
    feed_load_start(load);
    sleep_ms(2500); /* the windows are full, and things leave them */
}

static void stop_load(struct feed_load *load)
{
    feed_load_stop(load);
    assert_int_equal(atomic_load(&load->failed), 0);
    assert_true(load->created > 0 && load->ended > 0 && load->changes > 1);
    feed_load_free(load);
}

static void by_reads(activity_client *client)
{
    struct feed_load load;
    uint64_t seed = 7;
    start_load(&load);
    for (uint32_t i = 0; i < test_count(MOMENTS); i++) {
        (void)find(client, &known);
        uint64_t first = known.cursor.sequence;
        sleep_ms((unsigned)(random_next(&seed) % 300));
        uint64_t now = find(client, &found);
        read_up_to(client, &known, found.cursor.sequence);
        assert_true(found.cursor.sequence >= first);
        compare(&known, &found, now);
    }
    stop_load(&load);
}

static void test_an_admin_by_reads(void **state)
{
    (void)state;
    activity_client *client = client_of(&server, "boss", NULL, NULL, NULL);
    by_reads(client);
    activity_client_free(client);
}

static void test_a_user_by_groups(void **state)
{
    (void)state;
    static const char *const of_anna[] = {"editors", NULL};
    activity_client *client = client_of(&server, "gateway", "acme", "anna", of_anna);
    by_reads(client);
    assert_true(found.job_count > 0 && found.change_count > 0);
    activity_client_free(client);
}

/* A snapshot and what follows it, pushed. */
static void test_a_subscriber_with_snapshot(void **state)
{
    (void)state;
    static const char *const acme = "acme";
    activity_client *client = client_of(&server, "root", NULL, NULL, NULL);
    struct feed_load load;
    uint64_t seed = 11;
    start_load(&load);
    struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
    options.start = ACTIVITY_START_SNAPSHOT;
    options.tenants = &acme;
    options.tenant_count = 1;
    activity_subscription *subscription = activity_subscription_open(client, &options, &error);
    assert_non_null(subscription);
    known.job_count = known.change_count = 0;
    struct activity_event event;
    do {
        assert_ok(activity_subscription_next(subscription, 10000, &event, &error), error);
        if (event.kind == ACTIVITY_EVENT_FOUND_ACTIVITY) {
            know_job(&known, event.activity);
        } else if (event.kind == ACTIVITY_EVENT_FOUND_CHANGE ||
                   event.kind == ACTIVITY_EVENT_FOUND_INDEX_CHANGE) {
            know_change(&known, event.kind == ACTIVITY_EVENT_FOUND_INDEX_CHANGE, event.change);
        }
    } while (event.kind != ACTIVITY_EVENT_FOUND_ALL && event.kind != ACTIVITY_EVENT_NONE);
    assert_int_equal(event.kind, ACTIVITY_EVENT_FOUND_ALL);
    activity_subscription_cursor(subscription, &known.cursor);
    for (uint32_t i = 0; i < test_count(MOMENTS); i++) {
        sleep_ms((unsigned)(random_next(&seed) % 300));
        uint64_t now = find(client, &found);
        while (known.cursor.sequence < found.cursor.sequence) {
            assert_ok(activity_subscription_next(subscription, 10000, &event, &error), error);
            assert_true(event.kind != ACTIVITY_EVENT_NONE);
            apply(&known, &event);
        }
        compare(&known, &found, now);
    }
    struct activity_subscription_status status;
    activity_subscription_status(subscription, &status);
    assert_true(status.all && status.frames > 0);
    activity_subscription_free(subscription);
    stop_load(&load);
    activity_client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_admin_by_reads),
        cmocka_unit_test(test_a_user_by_groups),
        cmocka_unit_test(test_a_subscriber_with_snapshot),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
