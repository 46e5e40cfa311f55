/* Long polls in the engine: told when it happens, over when their time is, and never in the way. */
#include "tests/unit/server/engine/scene.h"

static struct scene scene;

static int open_scene(void **state)
{
    (void)state;
    scene_init(&scene);
    scene_run(&scene);
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    scene_deinit(&scene);
    return 0;
}

static uint64_t create_child(uint64_t parent_job_id)
{
    Activity__V1__CreateActivityRequest request = ACTIVITY__V1__CREATE_ACTIVITY_REQUEST__INIT;
    uint64_t id[2] = {++scene.calls.requests, 0x6964};
    request.request_id = (ProtobufCBinaryData){sizeof id, (uint8_t *)id};
    request.type = "upload";
    request.title = "a film";
    request.parent_job_id = parent_job_id;
    uint64_t token =
        call(&scene.calls, scene.engine, METHOD_CREATE_ACTIVITY, "alice", &request.base);
    scene_run(&scene);
    return created_id(&scene.calls, token);
}

static uint64_t create(void)
{
    return create_child(0);
}

static void update(uint64_t job_id, uint32_t percent)
{
    (void)call_update(&scene.calls, scene.engine, "alice", job_id, percent);
    scene_run(&scene);
}

static void destroy(uint64_t job_id)
{
    Activity__V1__DestroyActivityRequest request = ACTIVITY__V1__DESTROY_ACTIVITY_REQUEST__INIT;
    request.job_id = job_id;
    (void)call(&scene.calls, scene.engine, METHOD_DESTROY_ACTIVITY, "alice", &request.base);
    scene_run(&scene);
}

/* How long a call would wait, and for what. */
struct waiting {
    uint64_t job_id;
    uint32_t percent;
    bool children;
    uint32_t wait_ms;
};

static uint64_t push_wait(struct waiting waiting)
{
    Activity__V1__WaitActivityRequest request = ACTIVITY__V1__WAIT_ACTIVITY_REQUEST__INIT;
    request.job_id = waiting.job_id;
    request.percent = waiting.percent;
    request.children = waiting.children;
    request.wait_ms = waiting.wait_ms;
    return call(&scene.calls, scene.engine, METHOD_WAIT_ACTIVITY, "alice", &request.base);
}

static uint64_t wait_for(struct waiting waiting)
{
    uint64_t token = push_wait(waiting);
    scene_run(&scene);
    return token;
}

static uint64_t wait_for_end(uint64_t job_id)
{
    return wait_for((struct waiting){.job_id = job_id, .wait_ms = 30000});
}

static bool is_answered(uint64_t token)
{
    return call_answered(&scene.calls, token);
}

static uint64_t waiting_now(void)
{
    struct engine_status status;
    engine_status(scene.engine, &status);
    return status.waits;
}

#define STATE(name) ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_##name

static void assert_reached(uint64_t token, Activity__V1__ActivityState state, uint32_t percent)
{
    Activity__V1__WaitActivityResponse *response =
        call_response(&scene.calls, token, &activity__v1__wait_activity_response__descriptor);
    assert_true(response->reached);
    assert_int_equal(response->state, state);
    assert_int_equal(response->percent, percent);
    assert_int_equal(response->waiting_for_job_id, 0);
    assert_int_equal(call_envelope(&scene.calls, token).retry_after_ms, 0);
    call_free(response);
}

static void assert_over(uint64_t token, uint64_t waiting_for_job_id, uint32_t retry_after_ms)
{
    Activity__V1__WaitActivityResponse *response =
        call_response(&scene.calls, token, &activity__v1__wait_activity_response__descriptor);
    assert_false(response->reached);
    assert_int_equal(response->waiting_for_job_id, waiting_for_job_id);
    assert_int_equal(call_envelope(&scene.calls, token).retry_after_ms, retry_after_ms);
    call_free(response);
}

/* ---- It happens ---- */

static void what_has_happened_is_answered_at_once(void **state)
{
    (void)state;
    uint64_t job_id = create();
    update(job_id, 60);
    uint64_t token = wait_for((struct waiting){.job_id = job_id, .percent = 50, .wait_ms = 30000});
    assert_reached(token, STATE(RUNNING), 60);
    update(job_id, 100);
    assert_reached(wait_for_end(job_id), STATE(COMPLETED), 100);
    assert_int_equal(waiting_now(), 0);
    assert_int_equal(scene.engine->waits.count, 0);
}

static void unknown_job_is_refused_at_once(void **state)
{
    (void)state;
    assert_refused(&scene.calls, wait_for_end(123456), "UNKNOWN_JOB");
    assert_int_equal(waiting_now(), 0);
}

static void end_is_told_in_the_same_step(void **state)
{
    (void)state;
    uint64_t job_id = create();
    uint64_t token = wait_for_end(job_id);
    assert_int_equal(waiting_now(), 1);
    scene_pass(&scene, 1000);
    assert_false(is_answered(token));
    update(job_id, 99);
    assert_false(is_answered(token));
    scene_pass(&scene, 2 * WAITS_LOOK_MS);
    update(job_id, 100);
    assert_reached(token, STATE(COMPLETED), 100);
    assert_int_equal(waiting_now(), 0);
    assert_int_equal(scene.engine->waits.count, 0);
}

static void percent_is_told_when_it_is_reached(void **state)
{
    (void)state;
    uint64_t job_id = create();
    uint64_t token = wait_for((struct waiting){.job_id = job_id, .percent = 50, .wait_ms = 30000});
    update(job_id, 49);
    scene_pass(&scene, 100);
    assert_false(is_answered(token));
    update(job_id, 50);
    scene_pass(&scene, WAITS_LOOK_MS);
    assert_reached(token, STATE(RUNNING), 50);
}

/* Under load there are entries all the time: all are looked at every 10 ms, not at each. */
static void looks_are_spaced(void **state)
{
    (void)state;
    uint64_t first = create();
    uint64_t second = create();
    uint64_t first_token = wait_for_end(first);
    uint64_t second_token = wait_for_end(second);
    scene_pass(&scene, 1); /* what was left to do when they came */
    scene_pass(&scene, 50);
    update(first, 100);
    assert_true(is_answered(first_token)); /* the last look is long ago */
    scene_pass(&scene, 1);
    update(second, 100);
    assert_false(is_answered(second_token));
    assert_int_equal(engine_wake_at(scene.engine), scene.boot_ms + WAITS_LOOK_MS - 1);
    scene_pass(&scene, WAITS_LOOK_MS - 2);
    assert_false(is_answered(second_token));
    scene_pass(&scene, 1);
    assert_reached(second_token, STATE(COMPLETED), 100);
}

static void kill_is_told(void **state)
{
    (void)state;
    uint64_t job_id = create();
    scene_pass(&scene, 80000);
    uint64_t token = wait_for_end(job_id);
    scene_pass(&scene, 9000);
    assert_false(is_answered(token));
    scene_pass(&scene, 2000);
    assert_reached(token, STATE(KILLED), 0);
}

static void destruction_is_told(void **state)
{
    (void)state;
    uint64_t job_id = create();
    update(job_id, 30);
    uint64_t token = wait_for_end(job_id);
    scene_pass(&scene, 100);
    destroy(job_id);
    assert_reached(token, STATE(CANCELLED), 30);
}

static void children_are_waited_for(void **state)
{
    (void)state;
    uint64_t parent = create();
    uint64_t first = create_child(parent);
    uint64_t second = create_child(parent);
    uint64_t alone = wait_for_end(parent);
    uint64_t all = wait_for((struct waiting){.job_id = parent, .children = true, .wait_ms = 30000});
    scene_pass(&scene, 50);
    update(parent, 100);
    assert_true(is_answered(alone));
    assert_false(is_answered(all));
    scene_pass(&scene, 50);
    uint64_t third = create_child(parent); /* known before the wait ends: it counts */
    scene_pass(&scene, 50);
    update(second, 100);
    scene_pass(&scene, 50);
    destroy(first);
    scene_pass(&scene, 50);
    assert_false(is_answered(all));
    update(third, 100);
    scene_pass(&scene, WAITS_LOOK_MS);
    assert_reached(all, STATE(COMPLETED), 100);
}

/* More children than one look goes through: the rest is looked at although nothing happens any
 * more, be it that they had come so far before. */
static void many_children_are_looked_at_to_the_end(void **state)
{
    (void)state;
    enum { CHILDREN = 2 * LIMIT_FIND_TOUCHED + 100 };
    struct waiting waiting = {.percent = 50, .children = true, .wait_ms = 900};
    scene.options.limits.activities_max = CHILDREN + 100;
    scene_crash(&scene, 10);
    scene_run(&scene);
    waiting.job_id = create();
    uint64_t first = create_child(waiting.job_id);
    for (uint32_t i = 1; i < CHILDREN; i++) {
        update(create_child(waiting.job_id), 50);
    }
    update(waiting.job_id, 50);
    uint64_t before = wait_for(waiting);
    update(first, 50);
    scene_pass(&scene, 3 * WAITS_LOOK_MS);
    assert_reached(before, STATE(RUNNING), 50);
    uint64_t after = wait_for(waiting);
    scene_pass(&scene, 3 * WAITS_LOOK_MS);
    assert_reached(after, STATE(RUNNING), 50);
    assert_int_equal(scene.engine->waits.count, 0);
}

/* A crowd that has much to look at does not hold up the engine: some of them at a time. */
static void long_looks_are_bounded_in_a_round(void **state)
{
    (void)state;
    enum { CHILDREN = LIMIT_FIND_TOUCHED + 100, CROWD = 3 * WAITS_LONG_LOOKS };
    struct waiting waiting = {.percent = 50, .children = true, .wait_ms = 30000};
    uint64_t tokens[CROWD];
    scene.options.limits.activities_max = CHILDREN + 100;
    scene_crash(&scene, 10);
    scene_run(&scene);
    waiting.job_id = create();
    uint64_t first = create_child(waiting.job_id);
    for (uint32_t i = 1; i < CHILDREN; i++) {
        update(create_child(waiting.job_id), 50);
    }
    update(waiting.job_id, 50);
    for (size_t i = 0; i < CROWD; i++) {
        tokens[i] = wait_for(waiting);
    }
    update(first, 50);
    scene_pass(&scene, WAITS_LOOK_MS);
    assert_in_range(scene.engine->waits.count, CROWD - WAITS_LONG_LOOKS, CROWD);
    /* Each has two looks to make: so many rounds, and one more for who was not there. */
    scene_pass(&scene, (2 * CROWD / WAITS_LONG_LOOKS + 2) * WAITS_LOOK_MS);
    for (size_t i = 0; i < CROWD; i++) {
        assert_reached(tokens[i], STATE(RUNNING), 50);
    }
    assert_int_equal(scene.engine->waits.count, 0);
}

static uint64_t record(void)
{
    Activity__V1__RecordModelChangesRequest request =
        ACTIVITY__V1__RECORD_MODEL_CHANGES_REQUEST__INIT;
    Activity__V1__DocumentChange change = ACTIVITY__V1__DOCUMENT_CHANGE__INIT;
    Activity__V1__DocumentChange *changes[] = {&change};
    uint64_t id[2] = {++scene.calls.requests, 0x7265};
    request.request_id = (ProtobufCBinaryData){sizeof id, (uint8_t *)id};
    change.model = "mediacontainer";
    change.document_id = "123";
    change.affected_model = "mediaContainer";
    request.changes = changes;
    request.n_changes = 1;
    uint64_t token =
        call(&scene.calls, scene.engine, METHOD_RECORD_MODEL_CHANGES, "alice", &request.base);
    scene_run(&scene);
    Activity__V1__RecordModelChangesResponse *response = call_response(
        &scene.calls, token, &activity__v1__record_model_changes_response__descriptor);
    uint64_t ticket = response->ticket;
    call_free(response);
    return ticket;
}

static uint64_t wait_visible(uint64_t ticket)
{
    Activity__V1__WaitVisibleRequest request = ACTIVITY__V1__WAIT_VISIBLE_REQUEST__INIT;
    request.ticket = ticket;
    request.wait_ms = 30000;
    uint64_t token = call(&scene.calls, scene.engine, METHOD_WAIT_VISIBLE, "alice", &request.base);
    scene_run(&scene);
    return token;
}

static void changes_are_told_when_the_index_has_them(void **state)
{
    (void)state;
    uint64_t ticket = record();
    uint64_t token = wait_visible(ticket);
    scene_pass(&scene, 2000); /* without an index the tick accepts them */
    Activity__V1__WaitVisibleResponse *response =
        call_response(&scene.calls, token, &activity__v1__wait_visible_response__descriptor);
    assert_true(response->reached);
    assert_int_equal(response->open_changes, 0);
    call_free(response);
    assert_refused(&scene.calls, wait_visible(ticket + 1), "UNKNOWN_TICKET");
}

/* ---- It does not happen ---- */

static void without_time_the_answer_comes_at_once(void **state)
{
    (void)state;
    uint64_t job_id = create();
    uint64_t token = wait_for((struct waiting){.job_id = job_id});
    assert_over(token, job_id, 0);
    assert_int_equal(waiting_now(), 0);
}

static void wait_is_over_to_the_millisecond(void **state)
{
    (void)state;
    uint64_t job_id = create();
    uint64_t first = wait_for((struct waiting){.job_id = job_id, .wait_ms = 777});
    uint64_t second = wait_for((struct waiting){.job_id = job_id, .wait_ms = 1234});
    scene_pass(&scene, 776);
    assert_false(is_answered(first));
    scene_pass(&scene, 1);
    assert_over(first, job_id, 0);
    scene_pass(&scene, 1234 - 777 - 1);
    assert_false(is_answered(second));
    scene_pass(&scene, 1);
    assert_over(second, job_id, 0);
    assert_int_equal(scene.engine->waits.count, 0);
}

/* What happened just before is not missed because the next look would come later. */
static void last_moment_counts(void **state)
{
    (void)state;
    uint64_t job_id = create();
    uint64_t token = wait_for((struct waiting){.job_id = job_id, .wait_ms = 500});
    scene_pass(&scene, 495);
    update(job_id, 10); /* all are looked at now */
    scene_pass(&scene, 2);
    update(job_id, 100);
    assert_false(is_answered(token));
    scene_pass(&scene, 3);
    assert_reached(token, STATE(COMPLETED), 100);
}

static void crowded_calls_come_back_later(void **state)
{
    (void)state;
    uint64_t job_id = create();
    scene.calls.crowded = true;
    assert_over(wait_for_end(job_id), job_id, 1000);
    update(job_id, 100);
    assert_reached(wait_for_end(job_id), STATE(COMPLETED), 100);
    scene.calls.crowded = false;
}

static void places_are_bounded_and_used_again(void **state)
{
    (void)state;
    uint64_t jobs[3];
    uint64_t tokens[3];
    scene.options.waits_max = 2;
    scene_crash(&scene, 10);
    for (size_t round = 0; round < 5; round++) {
        for (size_t i = 0; i < 3; i++) {
            jobs[i] = create();
            tokens[i] = wait_for_end(jobs[i]);
        }
        assert_int_equal(waiting_now(), 2);
        assert_over(tokens[2], jobs[2], 1000);
        scene_pass(&scene, 100);
        update(jobs[round % 2], 100); /* the first or the last of them leaves */
        assert_true(is_answered(tokens[round % 2]));
        assert_int_equal(waiting_now(), 1);
        scene_pass(&scene, 100);
        update(jobs[1 - round % 2], 100);
        assert_reached(tokens[1 - round % 2], STATE(COMPLETED), 100);
    }
    scene.options.waits_max = 0;
    scene_crash(&scene, 10);
    uint64_t job_id = create();
    assert_over(wait_for_end(job_id), job_id, 1000);
}

static void nobody_waits_for_the_dead(void **state)
{
    (void)state;
    static atomic_bool gone;
    static atomic_bool here;
    uint64_t job_id = create();
    scene.calls.gone = &gone;
    uint64_t first = wait_for_end(job_id);
    scene.calls.gone = &here;
    uint64_t second = wait_for_end(job_id);
    scene.calls.gone = NULL;
    uint64_t third = wait_for_end(job_id);
    scene_pass(&scene, 1000);
    assert_false(is_answered(first));
    atomic_store(&gone, true);
    scene_pass(&scene, WAITS_GONE_MS);
    assert_over(first, job_id, 0); /* so that its slot is free */
    assert_false(is_answered(second));
    assert_false(is_answered(third));
    assert_int_equal(waiting_now(), 2);
}

static void draining_answers_all(void **state)
{
    (void)state;
    uint64_t job_id = create();
    uint64_t tokens[100];
    for (size_t i = 0; i < 100; i++) {
        tokens[i] = wait_for_end(job_id);
    }
    uint64_t in_the_queue = push_wait((struct waiting){.job_id = job_id, .wait_ms = 30000});
    engine_drain(scene.engine);
    assert_false(engine_idle(scene.engine));
    scene_run(&scene);
    for (size_t i = 0; i < 100; i++) {
        assert_over(tokens[i], job_id, 1000);
    }
    assert_over(in_the_queue, job_id, 1000);
    assert_over(wait_for_end(job_id), job_id, 1000); /* and later ones */
    assert_true(engine_idle(scene.engine));
    assert_int_equal(waiting_now(), 0);
}

/* A stop is one of these; nobody is left without an answer. */
static void stop_answers_all(void **state)
{
    (void)state;
    uint64_t job_id = create();
    uint64_t token = wait_for_end(job_id);
    engine_drain(scene.engine);
    queue_close(&scene.engine->inbox.queue);
    scene_run(&scene);
    assert_over(token, job_id, 1000);
}

static void full_disk_does_not_hold_them_up(void **state)
{
    (void)state;
    uint64_t job_id = create();
    uint64_t token = wait_for((struct waiting){.job_id = job_id, .wait_ms = 3000});
    scene.journal->events.writable(scene.journal->events.context, false);
    scene_pass(&scene, 3000);
    assert_over(token, job_id, 0);
}

/* ---- What they cost ---- */

static void idle_engine_sleeps_on(void **state)
{
    (void)state;
    assert_int_equal(engine_wake_at(scene.engine), WAKE_NEVER);
    uint64_t job_id = create();
    uint64_t token = wait_for_end(job_id);
    destroy(job_id);
    scene_pass(&scene, 1);
    assert_true(is_answered(token));
    uint64_t steps = 0;
    while (engine_step(scene.engine)) { /* nothing is due at this moment */
        assert_true(++steps < 2);
    }
    scene_pass(&scene, 24 * 3600000); /* everything has expired */
    assert_int_equal(engine_wake_at(scene.engine), WAKE_NEVER);
}

/* The largest caller there can be, and its names are still whole at the second look. */
static void largest_caller_fits(void **state)
{
    (void)state;
    static char text[LIMIT_CALLER_GROUPS][LIMIT_GROUP_LENGTH + 1];
    static char user[LIMIT_USER_LENGTH + 1];
    static char principal[LIMIT_PRINCIPAL_LENGTH + 1];
    static struct query query;
    static uint8_t bytes[QUERY_BYTES_MAX];
    memset(user, 'u', LIMIT_USER_LENGTH);
    memset(principal, 'p', LIMIT_PRINCIPAL_LENGTH);
    query.method = METHOD_WAIT_ACTIVITY;
    query.caller = (struct command_caller){.tenant = bytes_of("acme", 4),
                                           .principal = bytes_of(principal, sizeof principal - 1),
                                           .user = bytes_of(user, sizeof user - 1),
                                           .rights = RIGHT_ADMIN,
                                           .group_count = LIMIT_CALLER_GROUPS};
    for (size_t i = 0; i < LIMIT_CALLER_GROUPS; i++) {
        memset(text[i], (int)('A' + i % 26), LIMIT_GROUP_LENGTH);
        query.caller.groups[i] = bytes_of(text[i], LIMIT_GROUP_LENGTH);
    }
    uint64_t job_id = create();
    query.wait = (struct query_wait){.job_id = job_id, .percent = 100, .children = true};
    struct writer writer = writer_of(bytes, sizeof bytes);
    query_encode(&query, &writer);
    assert_false(writer.failed);
    struct inbox_item item = {.kind = INBOX_QUERY,
                              .token = 60000,
                              .deadline_ms = UINT64_MAX,
                              .body = bytes_of(bytes, (size_t)(writer.at - bytes)),
                              .wait_until_ms = scene.boot_ms + 30000};
    assert_int_equal(inbox_push(engine_inbox(scene.engine), &item), 0);
    memset(bytes, 0, sizeof bytes); /* the inbox has copied them, and the table has again */
    scene_run(&scene);
    assert_false(is_answered(60000));
    scene_pass(&scene, 50);
    uint64_t child = create_child(job_id); /* asks for the caller's rights again */
    scene_pass(&scene, 50);
    update(job_id, 100);
    scene_pass(&scene, 50);
    assert_false(is_answered(60000));
    update(child, 100);
    assert_reached(60000, STATE(COMPLETED), 100);
}

/* ---- Many at random ---- */

enum { MANY_JOBS = 4096, MANY_AT_A_TIME = 40, MANY_WAITS = 2000 };
/* What callers expect. */
static struct {
    size_t job_count;
    uint64_t jobs[MANY_JOBS];
    uint32_t percents[MANY_JOBS];
    size_t live[MANY_AT_A_TIME]; /* those that run */
    size_t wait_count;
    struct expected {
        uint64_t token;
        size_t job;
        uint32_t percent;
        uint64_t until_ms;
        uint64_t reached_ms; /* 0: not yet */
        bool done;
    } waits[MANY_WAITS];
    size_t reached;
    size_t over;
} many;

static size_t many_create(void)
{
    many.jobs[many.job_count] = create();
    return many.job_count++;
}

static void many_wait(size_t job)
{
    struct expected *wait = &many.waits[many.wait_count++];
    uint32_t wait_ms = 1 + (uint32_t)(scene_random(&scene) % 3000);
    wait->job = job;
    wait->percent = 1 + (uint32_t)(scene_random(&scene) % 100);
    wait->until_ms = scene.boot_ms + wait_ms;
    wait->token = wait_for((struct waiting){many.jobs[job], wait->percent, false, wait_ms});
}

static void many_update(size_t *live)
{
    uint32_t *percent = &many.percents[*live];
    *percent += (uint32_t)(scene_random(&scene) % 8);
    *percent = *percent > 100 ? 100 : *percent;
    update(many.jobs[*live], *percent);
}

/* Told within 10 ms of what it waits for, over at its time otherwise. */
static void many_check(struct expected *wait)
{
    if (wait->reached_ms == 0 && many.percents[wait->job] >= wait->percent) {
        wait->reached_ms = scene.boot_ms;
    }
    bool reached = wait->reached_ms != 0;
    if (!is_answered(wait->token)) {
        assert_true(scene.boot_ms < wait->until_ms);
        assert_true(!reached || scene.boot_ms < wait->reached_ms + WAITS_LOOK_MS);
        return;
    }
    Activity__V1__WaitActivityResponse *response =
        call_response(&scene.calls, wait->token, &activity__v1__wait_activity_response__descriptor);
    assert_true(response->reached == reached);
    assert_true(reached || scene.boot_ms >= wait->until_ms);
    call_free(response);
    wait->done = true;
    many.reached += reached;
    many.over += !reached;
}

static void random_waits_are_told_in_time(void **state)
{
    (void)state;
    scene.options.waits_max = MANY_WAITS;
    scene_crash(&scene, 10);
    for (size_t i = 0; i < MANY_AT_A_TIME; i++) {
        many.live[i] = many_create();
    }
    while (many.reached + many.over < MANY_WAITS) {
        scene_pass(&scene, scene_random(&scene) % 4);
        if (many.wait_count < MANY_WAITS) {
            many_wait(many.live[scene_random(&scene) % MANY_AT_A_TIME]);
        }
        size_t *live = &many.live[scene_random(&scene) % MANY_AT_A_TIME];
        many_update(live);
        for (size_t i = 0; i < many.wait_count; i++) {
            if (!many.waits[i].done) {
                many_check(&many.waits[i]);
            }
        }
        *live = many.percents[*live] == 100 ? many_create() : *live;
    }
    assert_true(many.reached > MANY_WAITS / 10 && many.over > MANY_WAITS / 10);
    assert_int_equal(waiting_now(), 0);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(what_has_happened_is_answered_at_once),
        SCENE_TEST(unknown_job_is_refused_at_once),
        SCENE_TEST(end_is_told_in_the_same_step),
        SCENE_TEST(percent_is_told_when_it_is_reached),
        SCENE_TEST(looks_are_spaced),
        SCENE_TEST(kill_is_told),
        SCENE_TEST(destruction_is_told),
        SCENE_TEST(children_are_waited_for),
        SCENE_TEST(many_children_are_looked_at_to_the_end),
        SCENE_TEST(long_looks_are_bounded_in_a_round),
        SCENE_TEST(changes_are_told_when_the_index_has_them),
        SCENE_TEST(without_time_the_answer_comes_at_once),
        SCENE_TEST(wait_is_over_to_the_millisecond),
        SCENE_TEST(last_moment_counts),
        SCENE_TEST(crowded_calls_come_back_later),
        SCENE_TEST(places_are_bounded_and_used_again),
        SCENE_TEST(nobody_waits_for_the_dead),
        SCENE_TEST(draining_answers_all),
        SCENE_TEST(stop_answers_all),
        SCENE_TEST(full_disk_does_not_hold_them_up),
        SCENE_TEST(idle_engine_sleeps_on),
        SCENE_TEST(largest_caller_fits),
        SCENE_TEST(random_waits_are_told_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
