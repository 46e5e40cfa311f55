/* The engine step by step: entries and their time, answers in order, ticks, refusals, restarts. */
#include "tests/unit/server/engine/scene.h"

static struct scene scene;
static struct command command;

static int open_scene(void **state)
{
    (void)state;
    scene_init(&scene);
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    scene_deinit(&scene);
    return 0;
}

static uint64_t create(const char *user)
{
    uint64_t token = call_create(&scene.calls, scene.engine, user);
    scene_run(&scene);
    return created_id(&scene.calls, token);
}

static Activity__V1__ActivityState state_of(uint64_t job_id)
{
    uint64_t token = call_get(&scene.calls, scene.engine, "alice", job_id);
    scene_run(&scene);
    return state_in(&scene.calls, token);
}

#define STATE(name) ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_##name

/* ---- Starting ---- */

static void first_entry_names_epoch_and_limits(void **state)
{
    (void)state;
    scene_run(&scene);
    assert_int_equal(scene.journal->durable, 1);
    struct entry_head head = scene_entry(&scene, 1, &command);
    assert_int_equal(head.flags, ENTRY_RESUME | ENTRY_JUMP);
    assert_int_equal(head.elapsed_ms, 0);
    assert_int_equal(head.clock_ms, SCENE_START_MS);
    assert_int_equal(head.count, 2);
    assert_int_equal(command.kind, COMMAND_EPOCH);
    assert_int_equal(command.epoch.epoch, 0xe90c);
    assert_int_equal(command.epoch.raise_generations, 0);
    struct core_info info = scene_info(&scene);
    assert_int_equal(info.epoch, 0xe90c);
    assert_memory_equal(&info.limits, &scene.options.limits, sizeof info.limits);
}

static void unchanged_limits_are_not_journaled_again(void **state)
{
    (void)state;
    scene_run(&scene);
    scene_crash(&scene, 1000);
    scene_run(&scene);
    assert_int_equal(scene.journal->durable, 1); /* nothing to say */
    scene.options.limits.kill_after_ms = 5000;
    scene_crash(&scene, 1000);
    scene_run(&scene);
    assert_int_equal(scene.journal->durable, 2);
    (void)scene_entry(&scene, 2, &command);
    assert_int_equal(command.kind, COMMAND_LIMITS);
    assert_int_equal(scene_info(&scene).limits.kill_after_ms, 5000);
}

static void another_epoch_raises_generations(void **state)
{
    (void)state;
    uint64_t before = create("alice");
    scene.journal->epoch = 0xbeef; /* a repair */
    scene_crash(&scene, 600000);
    scene_run(&scene);
    struct entry_head head = scene_entry(&scene, scene.journal->durable, &command);
    assert_true(head.flags & ENTRY_RESUME);
    assert_int_equal(command.kind, COMMAND_EPOCH);
    assert_int_equal(command.epoch.epoch, 0xbeef);
    assert_in_range(command.epoch.raise_generations, 65536 + 64 * 10, 65536 + 64 * 12);
    assert_int_not_equal(create("alice"), before);
    assert_int_equal(scene_info(&scene).epoch, 0xbeef);
}

static void bad_limit_does_not_start(void **state)
{
    (void)state;
    struct engine *engine;
    char text[640];
    scene.options.limits.tenants_max = 0;
    assert_int_equal(engine_open(&scene.options, scene.journal, &engine, text, sizeof text), 78);
    assert_non_null(strstr(text, "tenants_max"));
    scene_limits(&scene.options.limits);
}

/* ---- Entries ---- */

static void what_was_told_is_found(void **state)
{
    (void)state;
    uint64_t job_id = create("alice");
    assert_int_equal(state_of(job_id), STATE(RUNNING));
    uint64_t token = call_update(&scene.calls, scene.engine, "alice", job_id, 100);
    scene_run(&scene);
    Activity__V1__UpdateActivityResponse *response =
        call_response(&scene.calls, token, &activity__v1__update_activity_response__descriptor);
    assert_int_equal(response->percent, 100);
    assert_int_equal(response->disposition, ACTIVITY__V1__DISPOSITION__DISPOSITION_APPLIED);
    call_free(response);
    assert_int_equal(state_of(job_id), STATE(COMPLETED));
    assert_int_equal(call_envelope(&scene.calls, token).epoch, 0xe90c);
}

static void nobody_is_answered_before_the_commit(void **state)
{
    (void)state;
    scene_run(&scene);
    scene.journal->automatic = false;
    uint64_t first = call_create(&scene.calls, scene.engine, "alice");
    scene_run(&scene);
    assert_int_equal(scene.journal->proposal_count, 1);
    assert_false(call_answered(&scene.calls, first));
    /* While it syncs, the next entry grows. */
    uint64_t tokens[10];
    for (size_t i = 0; i < 10; i++) {
        tokens[i] = call_create(&scene.calls, scene.engine, "alice");
    }
    scene_run(&scene);
    assert_int_equal(scene.journal->proposal_count, 1);
    fake_commit_one(scene.journal);
    scene_run(&scene);
    assert_true(call_answered(&scene.calls, first));
    assert_false(call_answered(&scene.calls, tokens[0]));
    assert_int_equal(scene.journal->proposal_count, 1);
    uint64_t index = scene.journal->durable + 1;
    fake_commit_one(scene.journal);
    scene_run(&scene);
    assert_int_equal(scene_entry(&scene, index, &command).count, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_true(created_id(&scene.calls, tokens[i]) != 0);
    }
    scene.journal->automatic = true;
}

/* Commands as large as they come: entries are full, several are under way, the rest waits. */
static void full_entries_go_off_while_others_sync(void **state)
{
    (void)state;
    uint64_t job_id = create("alice");
    scene.journal->automatic = false;
    static uint8_t content[600 * 1024];
    Activity__V1__JobResult result = ACTIVITY__V1__JOB_RESULT__INIT;
    Activity__V1__UpdateActivityRequest request = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__INIT;
    result.content = (ProtobufCBinaryData){sizeof content, content};
    result.content_type = "application/octet-stream";
    request.job_id = job_id;
    request.percent_change_case = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__PERCENT_CHANGE_PERCENT;
    request.percent = 100;
    request.result = &result;
    uint64_t tokens[12];
    for (size_t i = 0; i < 12; i++) {
        tokens[i] =
            call(&scene.calls, scene.engine, METHOD_UPDATE_ACTIVITY, "alice", &request.base);
    }
    scene_run(&scene);
    assert_int_equal(scene.journal->proposal_count, LOOP_UNDER_WAY_MAX);
    for (int i = 0; i < 12; i++) {
        fake_commit_one(scene.journal);
        scene_run(&scene);
    }
    for (size_t i = 0; i < 12; i++) {
        Activity__V1__UpdateActivityResponse *response = call_response(
            &scene.calls, tokens[i], &activity__v1__update_activity_response__descriptor);
        assert_int_equal(response->disposition, ACTIVITY__V1__DISPOSITION__DISPOSITION_APPLIED);
        call_free(response);
    }
    assert_int_equal(scene.journal->proposal_most, LOOP_UNDER_WAY_MAX);
    scene.journal->automatic = true;
}

static void answers_keep_the_order_of_commands(void **state)
{
    (void)state;
    uint64_t jobs[100];
    uint64_t tokens[100];
    for (size_t i = 0; i < 100; i++) {
        jobs[i] = create("alice");
    }
    for (size_t i = 0; i < 100; i++) {
        tokens[i] = call_update(&scene.calls, scene.engine, "alice", jobs[i], (uint32_t)i);
    }
    scene_run(&scene);
    for (size_t i = 0; i < 100; i++) {
        Activity__V1__UpdateActivityResponse *response = call_response(
            &scene.calls, tokens[i], &activity__v1__update_activity_response__descriptor);
        assert_int_equal(response->job_id, jobs[i]);
        assert_int_equal(response->percent, i);
        call_free(response);
    }
    assert_true(scene.calls.event_count >= 100); /* in sequence: calls_on_events looks */
}

/* ---- Time ---- */

static void idle_engine_writes_nothing(void **state)
{
    (void)state;
    scene_run(&scene);
    assert_int_equal(engine_wake_at(scene.engine), WAKE_NEVER);
    scene_pass(&scene, 24 * 3600000);
    assert_int_equal(scene.journal->durable, 1);
}

static void ticks_come_every_second_while_something_can_expire(void **state)
{
    (void)state;
    (void)create("alice");
    uint64_t before = scene.journal->durable;
    scene_pass(&scene, 30000);
    assert_in_range(scene.journal->durable - before, 29, 40);
    for (uint64_t i = before + 1; i <= scene.journal->durable; i++) {
        struct entry_head head = scene_entry(&scene, i, &command);
        assert_int_equal(head.flags, 0);
        assert_in_range(head.elapsed_ms, 0, 1000);
        assert_int_equal(command.kind, COMMAND_TICK);
        assert_int_equal(command.tick.index, i - 1);
    }
}

static void service_time_is_the_clocks_difference(void **state)
{
    (void)state;
    uint64_t job_id = create("alice");
    uint64_t service = scene_info(&scene).service_ms;
    uint64_t boot = scene.engine->timing.boot_ms;
    for (int i = 0; i < 5000; i++) { /* far more entries than milliseconds */
        if (scene_random(&scene) % 4 == 0) {
            scene_pass(&scene, scene_random(&scene) % 30);
        }
        (void)call_update(&scene.calls, scene.engine, "alice", job_id, 1);
        scene_run(&scene);
    }
    assert_int_equal(scene_info(&scene).service_ms - service, scene.engine->timing.boot_ms - boot);
    assert_int_equal(scene.engine->timing.boot_ms, scene.boot_ms);
}

static void silent_job_lives_at_90_s_and_not_at_91(void **state)
{
    (void)state;
    (void)create("bob"); /* so that time passes: the grace of the start is over */
    scene_pass(&scene, 61000);
    uint64_t job_id = create("alice");
    scene_pass(&scene, 90000);
    assert_int_equal(state_of(job_id), STATE(RUNNING));
    scene_pass(&scene, 999);
    assert_int_equal(state_of(job_id), STATE(KILLED));
}

static void updated_job_lives_on(void **state)
{
    (void)state;
    uint64_t job_id = create("alice");
    for (int i = 0; i < 20; i++) {
        scene_pass(&scene, 60000);
        (void)call_update(&scene.calls, scene.engine, "alice", job_id, 5);
    }
    assert_int_equal(state_of(job_id), STATE(RUNNING));
}

static void downtime_and_pauses_kill_nobody(void **state)
{
    (void)state;
    uint64_t job_id = create("alice");
    scene_pass(&scene, 89000);
    scene_crash(&scene, 600000); /* ten minutes down */
    scene_pass(&scene, 59900);
    assert_int_equal(state_of(job_id), STATE(RUNNING));
    /* And ten minutes stopped: SIGSTOP, a suspended laptop. */
    scene.boot_ms += 600000;
    scene.wall_ms += 600000;
    scene_pass(&scene, 59000);
    assert_int_equal(state_of(job_id), STATE(RUNNING));
    scene_pass(&scene, 3000);
    assert_int_equal(state_of(job_id), STATE(KILLED));
}

static void steps_of_the_wall_clock_kill_nobody(void **state)
{
    (void)state;
    const uint64_t ten_years = UINT64_C(10) * 365 * 86400 * 1000;
    (void)create("bob");
    scene_pass(&scene, 61000);
    uint64_t job_id = create("alice");
    uint64_t shown = scene_info(&scene).wall_ms;
    for (int i = 0; i < 4; i++) {
        scene.wall_ms += i % 2 == 0 ? ten_years : 0;
        scene.wall_ms -= i % 2 == 1 ? ten_years : 0;
        scene_pass(&scene, 20000);
        assert_int_equal(state_of(job_id), STATE(RUNNING));
        assert_true(scene_info(&scene).wall_ms > shown); /* never back, never still */
        shown = scene_info(&scene).wall_ms;
    }
    assert_true(shown < SCENE_START_MS + ten_years); /* no jump lasted a minute */
    scene_pass(&scene, 11000);
    assert_int_equal(state_of(job_id), STATE(KILLED));
}

/* ---- Refusals ---- */

static void late_requests_are_not_executed(void **state)
{
    (void)state;
    scene_run(&scene);
    uint64_t command_token = call_create(&scene.calls, scene.engine, "alice");
    uint64_t query_token = call_get(&scene.calls, scene.engine, "alice", 1);
    scene.boot_ms += 30000; /* their time is over just now */
    scene.wall_ms += 30000;
    scene_run(&scene);
    assert_refused(&scene.calls, command_token, "EXPIRED_IN_QUEUE");
    assert_refused(&scene.calls, query_token, "EXPIRED_IN_QUEUE");
    assert_int_equal(scene_info(&scene).activities, 0);
}

static void full_inbox_refuses(void **state)
{
    (void)state;
    Activity__V1__GetServerInfoRequest request = ACTIVITY__V1__GET_SERVER_INFO_REQUEST__INIT;
    int outcome = 0;
    uint32_t taken = 0;
    for (; outcome == 0; taken++) {
        (void)call_push(&scene.calls, scene.engine, METHOD_GET_SERVER_INFO, "alice", &request.base,
                        &outcome);
    }
    assert_int_equal(outcome, 1);
    assert_int_equal(taken - 1, scene.options.inbox_places);
    scene_run(&scene);
    (void)call_push(&scene.calls, scene.engine, METHOD_GET_SERVER_INFO, "alice", &request.base,
                    &outcome);
    assert_int_equal(outcome, 0);
}

static void draining_refuses_commands_and_answers_the_rest(void **state)
{
    (void)state;
    scene_run(&scene);
    uint64_t before = call_create(&scene.calls, scene.engine, "alice");
    engine_drain(scene.engine);
    assert_int_equal(engine_health(scene.engine), ENGINE_DRAINING);
    Activity__V1__DestroyActivityRequest request = ACTIVITY__V1__DESTROY_ACTIVITY_REQUEST__INIT;
    request.job_id = 1;
    int outcome;
    (void)call_push(&scene.calls, scene.engine, METHOD_DESTROY_ACTIVITY, "alice", &request.base,
                    &outcome);
    assert_int_equal(outcome, 2);
    scene_run(&scene);
    uint64_t job_id = created_id(&scene.calls, before);
    assert_int_equal(state_of(job_id), STATE(RUNNING));
    assert_true(engine_idle(scene.engine));
}

static void full_disk_refuses_and_stops_time(void **state)
{
    (void)state;
    uint64_t job_id = create("alice");
    scene_pass(&scene, 61000);
    uint64_t waiting = call_create(&scene.calls, scene.engine, "alice");
    scene.journal->events.writable(scene.journal->events.context, false);
    scene_run(&scene);
    assert_refused(&scene.calls, waiting, "DISK_FULL");
    assert_int_equal(engine_health(scene.engine), ENGINE_DISK_FULL);
    Activity__V1__DestroyActivityRequest request = ACTIVITY__V1__DESTROY_ACTIVITY_REQUEST__INIT;
    request.job_id = job_id;
    int outcome;
    (void)call_push(&scene.calls, scene.engine, METHOD_DESTROY_ACTIVITY, "alice", &request.base,
                    &outcome);
    assert_int_equal(outcome, 3);
    /* The reserve is spent on the snapshot that frees space, tried again while there is none. */
    uint64_t durable = scene.journal->durable;
    assert_true(snapshot_maker_run(&scene.engine->maker));
    assert_int_equal(scene.journal->newest.head.index, durable);
    free(scene.journal->newest.bytes); /* as if it had not worked */
    scene.journal->newest = (struct fake_snapshot){.bytes = NULL};
    scene_pass(&scene, 10000);
    assert_true(snapshot_maker_run(&scene.engine->maker));
    assert_int_equal(scene.journal->newest.head.index, durable);
    scene_pass(&scene, 600000);
    assert_int_equal(scene.journal->durable, durable);
    assert_int_equal(state_of(job_id), STATE(RUNNING)); /* queries go on */

    scene.journal->events.writable(scene.journal->events.context, true);
    scene_run(&scene);
    assert_int_equal(engine_health(scene.engine), ENGINE_SERVING);
    assert_true(scene_entry(&scene, durable + 1, &command).flags & ENTRY_RESUME);
    scene_pass(&scene, 59000);
    assert_int_equal(state_of(job_id), STATE(RUNNING));
    scene_pass(&scene, 3000);
    assert_int_equal(state_of(job_id), STATE(KILLED));
}

static void failed_journal_ends_the_process(void **state)
{
    (void)state;
    scene_run(&scene);
    scene.journal->automatic = false;
    uint64_t token = call_create(&scene.calls, scene.engine, "alice");
    scene_run(&scene);
    struct journal_error error = {JOURNAL_IO, "the disk burns"};
    scene.journal->events.failed(scene.journal->events.context, &error);
    assert_int_equal(scene.calls.fatal_status, 74);
    assert_string_equal(scene.calls.fatal_text, "the disk burns");
    fake_commit_all(scene.journal); /* cannot be, must not acknowledge */
    scene_run(&scene);
    assert_false(call_answered(&scene.calls, token));
}

/* ---- Presence ---- */

static uint64_t find(const char *user, bool observe)
{
    Activity__V1__FindActivitiesRequest request = ACTIVITY__V1__FIND_ACTIVITIES_REQUEST__INIT;
    request.observe = observe;
    uint64_t token = call(&scene.calls, scene.engine, METHOD_FIND_ACTIVITIES, user, &request.base);
    scene_run(&scene);
    return token;
}

static size_t present_users(void)
{
    Activity__V1__ListPresentUsersRequest request = ACTIVITY__V1__LIST_PRESENT_USERS_REQUEST__INIT;
    uint64_t token =
        call(&scene.calls, scene.engine, METHOD_LIST_PRESENT_USERS, "alice", &request.base);
    scene_run(&scene);
    Activity__V1__ListPresentUsersResponse *response =
        call_response(&scene.calls, token, &activity__v1__list_present_users_response__descriptor);
    size_t count = response->n_users;
    call_free(response);
    return count;
}

static void beats_go_with_the_next_tick(void **state)
{
    (void)state;
    scene_run(&scene);
    uint64_t durable = scene.journal->durable;
    (void)find("watcher", true);
    (void)find("", false);
    scene_pass(&scene, 1000);
    assert_int_equal(scene.journal->durable, durable); /* neither is a sign of life */
    (void)find("alice", false);
    (void)find("alice", false);
    (void)find("bob", false);
    assert_int_equal(present_users(), 0); /* Find has not waited for the journal */
    scene_pass(&scene, 200);
    assert_int_equal(scene.journal->durable, durable + 1);
    (void)scene_entry(&scene, durable + 1, &command);
    assert_int_equal(command.tick.beat_count, 2);
    assert_int_equal(present_users(), 2);
    (void)find("alice", false); /* within 30 s: nothing new to say */
    assert_int_equal(scene.engine->beats->count, 0);
    scene_pass(&scene, 31000);
    (void)find("alice", false);
    assert_int_equal(scene.engine->beats->count, 1);
    scene_pass(&scene, 65000);
    assert_int_equal(present_users(), 1);
    scene_pass(&scene, 30000);
    assert_int_equal(present_users(), 0);
}

static void beats_ride_along_under_load(void **state)
{
    (void)state;
    uint64_t job_id = create("alice");
    (void)find("alice", false);
    for (int i = 0; i < 300; i++) { /* an entry each millisecond: it is never quiet */
        scene.boot_ms++;
        scene.wall_ms++;
        (void)call_update(&scene.calls, scene.engine, "alice", job_id, 1);
        scene_run(&scene);
    }
    assert_int_equal(present_users(), 1);
}

/* ---- Restarts ---- */

static void restart_comes_to_the_same_state(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        uint64_t job_id = create(i % 2 == 0 ? "alice" : "bob");
        (void)call_update(&scene.calls, scene.engine, i % 2 == 0 ? "alice" : "bob", job_id,
                          i % 3 == 0 ? 100 : 7);
        scene_pass(&scene, 500);
    }
    struct core_info before = scene_info(&scene);
    uint64_t hash = core_state_hash(scene.engine->state.core);
    scene_crash(&scene, 5000);
    struct core_info after = scene_info(&scene);
    assert_int_equal(after.index, before.index);
    assert_int_equal(after.digest, before.digest);
    assert_int_equal(core_state_hash(scene.engine->state.core), hash);
    assert_null(core_verify(scene.engine->state.core));
}

static void snapshot_and_tail_come_to_the_same_state(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        (void)create("alice");
        scene_pass(&scene, 300);
        if (i == 20) {
            engine_save(scene.engine);
            assert_int_equal(scene.journal->newest.head.index, scene_info(&scene).index);
        }
    }
    struct core_info before = scene_info(&scene);
    uint64_t hash = core_state_hash(scene.engine->state.core);
    scene_crash(&scene, 5000);
    assert_true(scene.engine->state.entries < before.index); /* not from the first entry */
    assert_int_equal(scene_info(&scene).digest, before.digest);
    assert_int_equal(core_state_hash(scene.engine->state.core), hash);
}

static void second_core_makes_the_next_snapshot(void **state)
{
    (void)state;
    scene.options.snapshot_bytes = 4000;
    scene_crash(&scene, 0);
    Activity__V1__GetStateHashRequest request = ACTIVITY__V1__GET_STATE_HASH_REQUEST__INIT;
    uint32_t made = 0;
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 8; k++) {
            (void)create("alice");
        }
        scene_pass(&scene, 1100);
        uint64_t index = scene_info(&scene).index;
        uint64_t token =
            call(&scene.calls, scene.engine, METHOD_GET_STATE_HASH, "alice", &request.base);
        scene_run(&scene);
        uint64_t newest = scene.journal->newest.head.index;
        assert_true(snapshot_maker_run(&scene.engine->maker));
        made += scene.journal->newest.head.index != newest;
        scene_run(&scene);
        Activity__V1__GetStateHashResponse *response =
            call_response(&scene.calls, token, &activity__v1__get_state_hash_response__descriptor);
        assert_int_equal(response->journal_index, index);
        assert_int_equal(response->digest, scene_info(&scene).digest);
        assert_int_equal(response->state_hash, core_state_hash(scene.engine->state.core));
        call_free(response);
    }
    assert_in_range(made, 2, 50);
    struct core_info before = scene_info(&scene);
    scene_crash(&scene, 10);
    assert_int_equal(scene_info(&scene).digest, before.digest);
    assert_int_equal(scene.calls.fatal_status, 0);
}

static void snapshot_with_larger_tables_raises_the_capacity(void **state)
{
    (void)state;
    uint64_t job_id = create("alice");
    engine_save(scene.engine);
    uint64_t was = scene.options.limits.activities_max;
    scene.options.limits.activities_max = 16;
    scene_crash(&scene, 10);
    scene_run(&scene);
    assert_int_equal(scene.engine->state.capacity.activities_max, was);
    assert_int_equal(scene_info(&scene).limits.activities_max, 16);
    assert_int_equal(state_of(job_id), STATE(RUNNING));
    /* And from the journal: a larger limit than configuration and snapshot know. */
    scene.options.limits.activities_max = was * 2;
    scene_crash(&scene, 10);
    scene_run(&scene);
    scene.options.limits.activities_max = 16;
    scene_crash(&scene, 10);
    assert_int_equal(scene.engine->state.capacity.activities_max, was * 2);
}

static void false_digest_is_named(void **state)
{
    (void)state;
    (void)create("alice");
    scene_pass(&scene, 3000);
    uint64_t index = scene.journal->durable;
    (void)scene_entry(&scene, index, &command);
    assert_int_equal(command.kind, COMMAND_TICK);
    struct fake_entry *entry = &scene.journal->entries[index - 1];
    entry->body[ENTRY_HEAD_BYTES + 5 + 8] ^= 1; /* the digest: behind kind, length and index */
    engine_close(scene.engine);
    char text[640];
    assert_int_equal(engine_open(&scene.options, scene.journal, &scene.engine, text, sizeof text),
                     70);
    char named[32];
    (void)snprintf(named, sizeof named, "entry %llu", (unsigned long long)index);
    assert_non_null(strstr(text, named));
    assert_non_null(strstr(text, "DIVERGED"));
    assert_true(scene.journal->mark_expected); /* a repair can name the entry */
    entry->body[ENTRY_HEAD_BYTES + 5 + 8] ^= 1;
    scene.journal->mark_expected = false;
    scene_open(&scene);
}

static void damaged_entry_is_named(void **state)
{
    (void)state;
    (void)create("alice");
    uint64_t index = scene.journal->durable;
    struct fake_entry *entry = &scene.journal->entries[index - 1];
    entry->length -= 1;
    engine_close(scene.engine);
    char text[640];
    assert_int_equal(engine_open(&scene.options, scene.journal, &scene.engine, text, sizeof text),
                     70);
    assert_non_null(strstr(text, "entry 2"));
    assert_true(scene.journal->mark_expected);
    entry->length += 1;
    scene.journal->mark_expected = false;
    scene_open(&scene);
}

/* One run answers all who ask for a hash; who comes when the list is full is told why. */
static void many_may_wait_for_a_hash(void **state)
{
    (void)state;
    static uint64_t tokens[SNAPSHOT_MAKER_HASHES_MAX + 1];
    (void)create("alice");
    Activity__V1__GetStateHashRequest request = ACTIVITY__V1__GET_STATE_HASH_REQUEST__INIT;
    for (size_t i = 0; i <= SNAPSHOT_MAKER_HASHES_MAX; i++) {
        tokens[i] = call(&scene.calls, scene.engine, METHOD_GET_STATE_HASH, "alice", &request.base);
        if (i % 512 == 0) {
            scene_run(&scene);
        }
    }
    scene_run(&scene);
    uint64_t last = tokens[SNAPSHOT_MAKER_HASHES_MAX];
    assert_refused(&scene.calls, last, "INBOX_FULL");
    struct frame_reply refusal = call_envelope(&scene.calls, last);
    static const char text[] = "too many callers wait for the state's hash";
    assert_int_equal(refusal.message.length, sizeof text - 1);
    assert_memory_equal(refusal.message.bytes, text, sizeof text - 1);
    assert_true(refusal.retry_after_ms > 0);
    assert_true(snapshot_maker_run(&scene.engine->maker));
    scene_run(&scene);
    uint64_t hash = core_state_hash(scene.engine->state.core);
    for (size_t i = 0; i < SNAPSHOT_MAKER_HASHES_MAX; i++) {
        Activity__V1__GetStateHashResponse *response = call_response(
            &scene.calls, tokens[i], &activity__v1__get_state_hash_response__descriptor);
        assert_int_equal(response->state_hash, hash);
        call_free(response);
    }
}

static uint64_t feed_asked;
static void fill_feed(void *context, struct answer_feed *feed)
{
    assert_ptr_equal(context, &feed_asked);
    feed_asked++;
    *feed = (struct answer_feed){.head_sequence = 77, .oldest_sequence = 33, .subscribers = 5};
}

static void server_info_says_how_the_feed_stands(void **state)
{
    (void)state;
    scene.facts.feed_url = "tls+tcp://media:5556";
    scene.facts.feed = fill_feed;
    scene.facts.feed_context = &feed_asked;
    scene_crash(&scene, 10);
    Activity__V1__GetServerInfoRequest request = ACTIVITY__V1__GET_SERVER_INFO_REQUEST__INIT;
    uint64_t token =
        call(&scene.calls, scene.engine, METHOD_GET_SERVER_INFO, "alice", &request.base);
    scene_run(&scene);
    Activity__V1__GetServerInfoResponse *response =
        call_response(&scene.calls, token, &activity__v1__get_server_info_response__descriptor);
    assert_string_equal(response->feed_url, "tls+tcp://media:5556");
    assert_int_equal(response->head_sequence, 77);
    assert_int_equal(response->oldest_sequence, 33);
    assert_int_equal(response->feed->subscribers, 5);
    assert_int_equal(feed_asked, 1);
    call_free(response);
}

/* Killed at any moment: what was acknowledged is there, and the state is what it was. */
static void random_crashes_lose_nothing_acknowledged(void **state)
{
    (void)state;
    static uint64_t jobs[4000];
    static uint64_t tokens[4000];
    size_t known = 0;
    scene.options.snapshot_bytes = 20000;
    scene_crash(&scene, 0);
    for (int round = 0; round < 40; round++) {
        scene.journal->automatic = false;
        size_t asked = 0;
        for (int i = 0; i < 60; i++) {
            for (uint64_t n = scene_random(&scene) % 4; n > 0; n--) {
                tokens[asked++] = call_create(&scene.calls, scene.engine, "alice");
            }
            if (known > 0) {
                uint64_t job_id = jobs[scene_random(&scene) % known];
                (void)call_update(&scene.calls, scene.engine, "alice", job_id,
                                  (uint32_t)(scene_random(&scene) % 100));
            }
            (void)engine_step(scene.engine);
            while (scene.journal->proposal_count > 0 && scene_random(&scene) % 3 != 0) {
                fake_commit_one(scene.journal);
                (void)engine_step(scene.engine);
            }
            (void)outbox_deliver(&scene.engine->outbox);
            (void)snapshot_maker_run(&scene.engine->maker);
            scene.boot_ms += scene_random(&scene) % 100;
            scene.wall_ms += scene_random(&scene) % 100;
        }
        struct core_info before = scene_info(&scene);
        for (size_t i = 0; i < asked; i++) {
            if (call_answered(&scene.calls, tokens[i])) {
                jobs[known++] = created_id(&scene.calls, tokens[i]);
            }
        }
        scene_crash(&scene, scene_random(&scene) % 1000);
        assert_true(scene_info(&scene).index >= before.index);
        scene.journal->automatic = true;
        scene_run(&scene);
        for (size_t i = 0; i < known; i++) {
            uint64_t token = call_get(&scene.calls, scene.engine, "alice", jobs[i]);
            scene_run(&scene);
            call_free(call_response(&scene.calls, token,
                                    &activity__v1__get_activity_response__descriptor));
        }
        assert_null(core_verify(scene.engine->state.core));
    }
    assert_true(known > 1000);
    assert_int_equal(scene.calls.fatal_status, 0);
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(first_entry_names_epoch_and_limits),
        SCENE_TEST(unchanged_limits_are_not_journaled_again),
        SCENE_TEST(another_epoch_raises_generations),
        SCENE_TEST(bad_limit_does_not_start),
        SCENE_TEST(what_was_told_is_found),
        SCENE_TEST(nobody_is_answered_before_the_commit),
        SCENE_TEST(full_entries_go_off_while_others_sync),
        SCENE_TEST(answers_keep_the_order_of_commands),
        SCENE_TEST(idle_engine_writes_nothing),
        SCENE_TEST(ticks_come_every_second_while_something_can_expire),
        SCENE_TEST(service_time_is_the_clocks_difference),
        SCENE_TEST(silent_job_lives_at_90_s_and_not_at_91),
        SCENE_TEST(updated_job_lives_on),
        SCENE_TEST(downtime_and_pauses_kill_nobody),
        SCENE_TEST(steps_of_the_wall_clock_kill_nobody),
        SCENE_TEST(late_requests_are_not_executed),
        SCENE_TEST(full_inbox_refuses),
        SCENE_TEST(draining_refuses_commands_and_answers_the_rest),
        SCENE_TEST(full_disk_refuses_and_stops_time),
        SCENE_TEST(failed_journal_ends_the_process),
        SCENE_TEST(beats_go_with_the_next_tick),
        SCENE_TEST(beats_ride_along_under_load),
        SCENE_TEST(restart_comes_to_the_same_state),
        SCENE_TEST(snapshot_and_tail_come_to_the_same_state),
        SCENE_TEST(second_core_makes_the_next_snapshot),
        SCENE_TEST(snapshot_with_larger_tables_raises_the_capacity),
        SCENE_TEST(false_digest_is_named),
        SCENE_TEST(damaged_entry_is_named),
        SCENE_TEST(many_may_wait_for_a_hash),
        SCENE_TEST(server_info_says_how_the_feed_stands),
        SCENE_TEST(random_crashes_lose_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
