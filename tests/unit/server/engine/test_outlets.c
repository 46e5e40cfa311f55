/* What the engine tells those who listen: events before the replies that follow from them, the kept
 * events again after a restart, and the latest progress while somebody wants it. */
#include "tests/unit/server/engine/scene.h"

#include <xxhash.h>

static struct scene scene;

/* ---- What was told, by sequence ---- */

enum { EVENTS_MAX = 20000 };
static struct {
    uint64_t hash;
    uint64_t told; /* times */
} told[EVENTS_MAX];

static void note_event(uint8_t kind, struct bytes body)
{
    struct event event;
    assert_true(event_decode(kind, body, &event));
    assert_in_range(event.sequence, 1, EVENTS_MAX - 1);
    uint64_t hash = XXH3_64bits_withSeed(body.at, body.length, kind);
    assert_true(told[event.sequence].told == 0 || told[event.sequence].hash == hash);
    told[event.sequence].hash = hash;
    told[event.sequence].told++;
}

static int open_scene(void **state)
{
    (void)state;
    memset(told, 0, sizeof told);
    scene_init(&scene);
    scene.calls.on_event = note_event;
    scene_run(&scene);
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    scene_deinit(&scene);
    return 0;
}

static uint64_t create(void)
{
    uint64_t token = call_create(&scene.calls, scene.engine, "alice");
    scene_run(&scene);
    return created_id(&scene.calls, token);
}

static uint64_t push_update(uint64_t job_id, uint32_t percent)
{
    return call_update(&scene.calls, scene.engine, "alice", job_id, percent);
}

static void update(uint64_t job_id, uint32_t percent)
{
    (void)push_update(job_id, percent);
    scene_run(&scene);
}

static const struct call_reply *reply_to(uint64_t token)
{
    assert_true(call_answered(&scene.calls, token));
    return &scene.calls.replies[token % CALL_TOKENS];
}

/* ---- Events and replies ---- */

static void events_come_before_replies(void **state)
{
    (void)state;
    uint64_t tokens[50];
    uint64_t before = scene.calls.last_sequence;
    for (size_t i = 0; i < 50; i++) { /* one entry */
        tokens[i] = call_create(&scene.calls, scene.engine, "alice");
    }
    scene.journal->automatic = false;
    scene_run(&scene);
    assert_int_equal(scene.calls.last_sequence, before); /* not durable yet */
    fake_commit_all(scene.journal);
    scene_run(&scene);
    fake_commit_all(scene.journal);
    scene_run(&scene);
    scene.journal->automatic = true;
    assert_int_equal(scene.calls.last_sequence, before + 50);
    for (size_t i = 0; i < 50; i++) {
        /* Its own event, and it is the i-th. */
        assert_in_range(reply_to(tokens[i])->sequence, before + i + 1, before + 50);
    }
    uint64_t last = reply_to(tokens[49])->sequence;
    assert_int_equal(last, before + 50);
    uint64_t job_id = created_id(&scene.calls, tokens[7]);
    uint64_t wait_token;
    Activity__V1__WaitActivityRequest request = ACTIVITY__V1__WAIT_ACTIVITY_REQUEST__INIT;
    request.job_id = job_id;
    request.wait_ms = 1000;
    wait_token = call(&scene.calls, scene.engine, METHOD_WAIT_ACTIVITY, "alice", &request.base);
    scene_run(&scene);
    scene_pass(&scene, 100);
    uint64_t token = push_update(job_id, 100);
    scene_run(&scene);
    assert_int_equal(reply_to(token)->sequence, before + 51);
    assert_int_equal(reply_to(wait_token)->sequence, before + 51);
}

/* An entry with more events than one message holds, and an outbox that is smaller than them. */
static void large_entries_are_told_in_pieces(void **state)
{
    (void)state;
    enum { JOBS = 3000 };
    static uint64_t jobs[JOBS];
    static uint64_t tokens[JOBS];
    scene.options.outbox_bytes = 0; /* the least */
    scene_crash(&scene, 10);
    for (size_t i = 0; i < JOBS;) {
        for (size_t k = 0; k < 500; k++) {
            tokens[i + k] = call_create(&scene.calls, scene.engine, "alice");
        }
        scene_run(&scene);
        for (size_t k = 0; k < 500; k++) {
            jobs[i + k] = created_id(&scene.calls, tokens[i + k]);
        }
        i += 500;
    }
    uint64_t before = scene.calls.last_sequence;
    static uint8_t percents[JOBS];
    static int64_t deltas[JOBS];
    Activity__V1__BatchUpdateActivitiesRequest request =
        ACTIVITY__V1__BATCH_UPDATE_ACTIVITIES_REQUEST__INIT;
    memset(percents, 100, sizeof percents);
    for (size_t i = 0; i < JOBS; i++) {
        deltas[i] = (int64_t)jobs[i] - (int64_t)(i == 0 ? 0 : jobs[i - 1]);
    }
    request.job_id_deltas = deltas;
    request.n_job_id_deltas = JOBS;
    request.percents = (ProtobufCBinaryData){JOBS, percents};
    uint64_t token =
        call(&scene.calls, scene.engine, METHOD_BATCH_UPDATE_ACTIVITIES, "alice", &request.base);
    scene_run(&scene);
    assert_int_equal(call_envelope(&scene.calls, token).code, 0);
    assert_int_equal(scene.calls.last_sequence, before + JOBS);
    assert_int_equal(reply_to(token)->sequence, before + JOBS);
}

/* ---- The window of an earlier life ---- */

/* What the window holds was told again, once, as it was told before; nothing else was. */
static void assert_window_told(uint64_t head)
{
    struct core_info info = scene_info(&scene);
    assert_int_equal(info.head_sequence, head);
    assert_true(scene.calls.history_told);
    assert_int_equal(scene.calls.history, info.oldest_sequence - 1);
    assert_int_equal(scene.calls.last_sequence, head);
    for (uint64_t i = 1; i <= head; i++) {
        assert_int_equal(told[i].told, i >= info.oldest_sequence ? 2 : 1);
    }
    for (uint64_t i = 1; i <= head; i++) {
        told[i].told = 1;
    }
}

static void first_start_has_no_history(void **state)
{
    (void)state;
    assert_true(scene.calls.history_told);
    assert_int_equal(scene.calls.history, 0);
    assert_int_equal(scene.calls.event_count, 0);
}

static void window_is_told_after_replay(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++) { /* more than one chunk */
        update(create(), i % 2 == 0 ? 100 : 5);
    }
    uint64_t head = scene.calls.last_sequence;
    assert_int_equal(head, 4500);
    scene_crash(&scene, 1000);
    assert_true(scene.engine->state.entries > 3000);
    assert_window_told(head); /* by engine_open itself: nothing has run yet */
    scene_run(&scene);
    assert_int_equal(scene.calls.last_sequence, head);
    (void)create();
    assert_int_equal(scene.calls.last_sequence, head + 1);
}

static void window_is_told_after_a_snapshot(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        (void)create();
    }
    engine_save(scene.engine);
    uint64_t head = scene.calls.last_sequence;
    scene_crash(&scene, 1000);
    assert_int_equal(scene.engine->state.entries, 0);
    assert_window_told(head);
    for (int i = 0; i < 200; i++) {
        (void)create();
        scene_pass(&scene, 1);
    }
    head = scene.calls.last_sequence;
    scene_crash(&scene, 1000); /* the snapshot, and a tail behind it */
    assert_true(scene.engine->state.entries >= 200);
    assert_window_told(head);
}

/* Half of the events have left the window, or all. */
static void what_has_left_is_not_told(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)create();
    }
    scene_pass(&scene, 40000);
    for (int i = 0; i < 100; i++) {
        (void)create();
    }
    scene_pass(&scene, 30000);
    struct core_info info = scene_info(&scene);
    assert_int_equal(info.oldest_sequence, 101);
    scene_crash(&scene, 1000);
    assert_window_told(scene.calls.last_sequence);
    scene_pass(&scene, 24 * 3600000); /* all are killed, and forgotten */
    uint64_t head = scene.calls.last_sequence;
    assert_int_equal(head, 400);
    scene_crash(&scene, 1000);
    assert_window_told(head);
    assert_int_equal(scene.calls.history, head);
    (void)create();
    assert_int_equal(told[head + 1].told, 1);
}

static void who_wants_no_events_is_told_none(void **state)
{
    (void)state;
    (void)create();
    scene.options.outlets.events = NULL;
    scene.options.outlets.history = NULL;
    scene.options.outlets.progress = NULL;
    scene_crash(&scene, 1000);
    uint64_t count = scene.calls.event_count;
    engine_want_progress(scene.engine, true);
    update(create(), 50);
    scene_pass(&scene, 1000);
    assert_int_equal(scene.calls.event_count, count);
    assert_int_equal(scene.calls.progress.messages, 0);
}

/* ---- Progress ---- */

static const struct call_progress *progress(void)
{
    return &scene.calls.progress;
}

static uint32_t percent_in_last(uint64_t job_id)
{
    for (uint32_t i = 0; i < progress()->last_count; i++) {
        if (progress()->last[i].job_id == job_id) {
            return progress()->last[i].percent;
        }
    }
    fail_msg("the job is not in the message");
    return 0;
}

static void unwanted_progress_is_not_collected(void **state)
{
    (void)state;
    uint64_t job_id = create();
    uint64_t durable = scene.journal->durable;
    for (uint32_t i = 1; i < 10; i++) {
        update(job_id, i);
        scene_pass(&scene, 500);
    }
    assert_int_equal(progress()->messages, 0);
    assert_in_range(scene.journal->durable - durable, 9, 20);
}

static void latest_values_are_told(void **state)
{
    (void)state;
    uint64_t first = create();
    uint64_t second = create();
    engine_want_progress(scene.engine, true);
    scene_pass(&scene, 1000);
    uint64_t messages = progress()->messages;
    for (uint32_t i = 1; i <= 50; i++) { /* 50 updates each in 25 ms */
        update(first, i);
        update(second, i / 2);
        if (i % 2 == 0) {
            scene_pass(&scene, 1);
        }
    }
    scene_pass(&scene, LIMIT_PROGRESS_PERIOD_MS);
    assert_in_range(progress()->messages - messages, 1, 2);
    assert_int_equal(percent_in_last(first), 50);
    assert_int_equal(percent_in_last(second), 25);
    messages = progress()->messages;
    update(first, 51);
    scene_pass(&scene, LIMIT_PROGRESS_PERIOD_MS);
    assert_in_range(progress()->messages - messages, 1, 2);
    assert_int_equal(percent_in_last(first), 51);
    engine_want_progress(scene.engine, false);
    messages = progress()->messages;
    update(first, 52);
    scene_pass(&scene, 10000);
    assert_int_equal(progress()->messages, messages);
    engine_want_progress(scene.engine, true); /* what has changed meanwhile is told */
    scene_pass(&scene, 1);
    assert_int_equal(percent_in_last(first), 52);
}

static void ended_jobs_are_history(void **state)
{
    (void)state;
    uint64_t job_id = create();
    engine_want_progress(scene.engine, true);
    scene_pass(&scene, 1000);
    uint64_t messages = progress()->messages;
    update(job_id, 100);
    scene_pass(&scene, 100);
    assert_int_equal(progress()->messages, messages);
}

/* Nothing runs: who listens costs nothing. */
static void engine_sleeps_while_nothing_runs(void **state)
{
    (void)state;
    engine_want_progress(scene.engine, true);
    scene_run(&scene);
    assert_int_equal(engine_wake_at(scene.engine), WAKE_NEVER);
    uint64_t job_id = create();
    assert_in_range(engine_wake_at(scene.engine), scene.boot_ms,
                    scene.boot_ms + LIMIT_PROGRESS_PERIOD_MS);
    update(job_id, 100);
    scene_pass(&scene, 24 * 3600000);
    assert_int_equal(engine_wake_at(scene.engine), WAKE_NEVER);
}

/* Everybody is told again within half a minute, at a steady pace, though nothing has changed. */
static void lost_messages_heal(void **state)
{
    (void)state;
    enum { JOBS = 600 };
    for (int i = 0; i < JOBS; i++) {
        (void)create();
    }
    engine_want_progress(scene.engine, true);
    scene_pass(&scene, 35000); /* what was new is told, and a round has begun */
    uint64_t jobs = progress()->jobs;
    uint64_t messages = progress()->messages;
    scene_pass(&scene, 30000);
    assert_in_range(progress()->jobs - jobs, JOBS, JOBS + JOBS / 2);
    assert_in_range(progress()->messages - messages, 150, 300);
}

static uint64_t push_text(uint64_t job_id, uint32_t percent, const char *text)
{
    Activity__V1__UpdateActivityRequest request = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__INIT;
    request.job_id = job_id;
    request.percent_change_case = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__PERCENT_CHANGE_PERCENT;
    request.percent = percent;
    request.status_text_change_case =
        ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__STATUS_TEXT_CHANGE_STATUS_TEXT;
    request.status_text = (char *)(uintptr_t)text;
    return call(&scene.calls, scene.engine, METHOD_UPDATE_ACTIVITY, "alice", &request.base);
}

/* More than a message holds: the rest waits its turn, and all of it comes. */
static void messages_are_bounded(void **state)
{
    (void)state;
    enum { JOBS = 1000 };
    static uint64_t jobs[JOBS];
    static bool seen[JOBS];
    static char text[LIMIT_STATUS_TEXT_LENGTH + 1];
    memset(text, 's', LIMIT_STATUS_TEXT_LENGTH);
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i] = create();
        (void)push_text(jobs[i], 77, text);
    }
    scene_run(&scene);
    memset(seen, 0, sizeof seen);
    engine_want_progress(scene.engine, true);
    for (int step = 0; step < 40; step++) {
        uint64_t messages = progress()->messages;
        scene_pass(&scene, LIMIT_PROGRESS_PERIOD_MS / 2);
        assert_in_range(progress()->messages - messages, 0, 1);
        for (uint32_t i = 0; i < progress()->last_count; i++) {
            for (size_t k = 0; k < JOBS; k++) {
                seen[k] = seen[k] || (jobs[k] == progress()->last[i].job_id &&
                                      progress()->last[i].percent == 77);
            }
        }
    }
    for (size_t i = 0; i < JOBS; i++) {
        assert_true(seen[i]);
    }
    assert_in_range(progress()->bytes_most, LIMIT_FEED_FRAME_BYTES / 2, PROGRESS_FIELDS_MAX);
    assert_true(progress()->messages >= JOBS * LIMIT_STATUS_TEXT_LENGTH / LIMIT_FEED_FRAME_BYTES);
}

/* Who takes messages slowly finds one waiting, not a queue of old values. */
static void one_message_waits(void **state)
{
    (void)state;
    uint64_t job_id = create();
    engine_want_progress(scene.engine, true);
    scene_pass(&scene, 1000);
    uint64_t messages = progress()->messages;
    for (uint32_t i = 1; i <= 50; i++) {
        (void)push_update(job_id, i);
        scene.boot_ms += 30;
        scene.wall_ms += 30;
        while (engine_step(scene.engine)) {
        }
        assert_in_range(atomic_load(&scene.engine->outbox.progress_waiting), 0, 1);
    }
    (void)outbox_deliver(&scene.engine->outbox);
    assert_int_equal(progress()->messages, messages + 1);
    scene_pass(&scene, LIMIT_PROGRESS_PERIOD_MS);
    assert_int_equal(percent_in_last(job_id), 50);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(events_come_before_replies),
        SCENE_TEST(large_entries_are_told_in_pieces),
        SCENE_TEST(first_start_has_no_history),
        SCENE_TEST(window_is_told_after_replay),
        SCENE_TEST(window_is_told_after_a_snapshot),
        SCENE_TEST(what_has_left_is_not_told),
        SCENE_TEST(who_wants_no_events_is_told_none),
        SCENE_TEST(unwanted_progress_is_not_collected),
        SCENE_TEST(latest_values_are_told),
        SCENE_TEST(ended_jobs_are_history),
        SCENE_TEST(engine_sleeps_while_nothing_runs),
        SCENE_TEST(lost_messages_heal),
        SCENE_TEST(messages_are_bounded),
        SCENE_TEST(one_message_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
