/* What the calls about activities mean, one table after the other. */
#include "tests/unit/server/core/drive.h"

static const char *const app = "spiffe://test/app";

static struct drive *fresh(void)
{
    struct core_limits limits = drive_limits();
    return drive_new(&limits);
}

static void ids_are_new_and_small(void **state)
{
    (void)state;
    struct drive *d = fresh();
    struct command_caller anna = drive_caller("studio", app, "anna");
    uint64_t first = drive_create(d, &anna, "upload");
    assert_int_equal(first & 0xffffff, 1);
    assert_int_equal(first >> 24, 0x0abcdef);
    uint64_t second = drive_create(d, &anna, "upload");
    assert_int_equal(second, first + 1);
    (void)drive_destroy(d, &anna, first);
    drive_wait(d, 61000);
    assert_int_equal(drive_state(d, "studio", first), ACTIVITY_NONE);
    assert_int_equal(drive_create(d, &anna, "upload") & 0xffffff, 3); /* the free slot rests */
    drive_free(d);
}

/* A slot comes back when 65,536 are free, with its next generation. */
static void slots_rest(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 1;
    limits.ended_keep_ms = 0;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", app, "anna");
    uint64_t first = 0;
    for (uint32_t i = 0; i < 65536 + 3; i++) {
        uint64_t job = drive_create(d, &anna, "upload");
        assert_int_equal(drive_destroy(d, &anna, job).body.at[0], DISPOSITION_APPLIED);
        if (i == 0) {
            first = job;
        } else if (i < 65536) {
            assert_int_equal(job, first + i);
        } else {
            assert_int_equal(job, first + (i - 65536) + ((uint64_t)1 << 24));
        }
    }
    drive_verify(d);
    drive_free(d);
}

static void an_epoch_raises_generations(void **state)
{
    (void)state;
    struct drive *d = fresh();
    struct command_caller anna = drive_caller("studio", app, "anna");
    uint64_t old = drive_create(d, &anna, "upload");
    drive_epoch(d, 99, 70000);
    uint64_t next = drive_create(d, &anna, "upload");
    assert_int_equal(next, old + 1 + ((uint64_t)70000 << 24));
    assert_int_equal(drive_update(d, &anna, old, 5).disposition,
                     DISPOSITION_APPLIED); /* lives on */
    struct core_info info;
    core_info(d->core, &info);
    assert_true(info.epoch == 99);
    drive_free(d);
}

static void used_up_slots_retire(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 2;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", app, "anna");
    uint64_t last = drive_create(d, &anna, "upload");
    drive_epoch(d, 2,
                ((uint32_t)1 << 29) - 0x0abcdef - 1); /* one generation is left in a fresh slot */
    uint64_t job = drive_create(d, &anna, "upload");
    assert_int_equal(job >> 24, ((uint32_t)1 << 29) - 1);
    drive_epoch(d, 3, 1);
    (void)drive_destroy(d, &anna, last);
    (void)drive_destroy(d, &anna, job);
    struct command command = drive_create_command(d, &anna, "upload");
    struct effect reply = drive_one(d, &command);
    assert_int_equal(reply.reason, REASON_TOO_MANY_ACTIVITIES);
    drive_verify(d);
    drive_free(d);
}

static void what_is_stored_is_found(void **state)
{
    (void)state;
    struct drive *d = fresh();
    struct command_caller anna = drive_caller("studio", app, "anna");
    uint64_t parent = drive_create(d, &anna, "upload");
    char attributes[3000];
    memset(attributes, 'x', sizeof attributes);
    struct command command = drive_create_command(d, &anna, "transcoding");
    command.create.title = drive_text("A film");
    command.create.attributes = bytes_of(attributes, sizeof attributes);
    command.create.groups.names[0] = drive_text("editors");
    command.create.groups.names[1] = drive_text("cutters");
    command.create.groups.count = 2;
    command.create.parent_job_id = parent;
    command.create.retry_of_job_id = parent;
    drive_wait(d, 1500);
    struct effect reply = drive_one(d, &command);
    uint64_t job = drive_created(&reply);
    struct command update = drive_update_command(&anna, job, 40);
    update.update.has_status_text = true;
    update.update.status_text = drive_text("copying");
    drive_wait(d, 500);
    (void)drive_apply_update(d, &update);
    struct core_activity a;
    assert_true(drive_get(d, &anna, job, &a));
    assert_int_equal(a.state, ACTIVITY_RUNNING);
    assert_int_equal(a.percent, 40);
    assert_int_equal(a.create_ms, DRIVE_CLOCK_MS + 1500);
    assert_int_equal(a.update_ms, DRIVE_CLOCK_MS + 2000);
    assert_int_equal(a.end_ms, 0);
    assert_int_equal(a.parent_job_id, parent);
    assert_int_equal(a.retry_of_job_id, parent);
    assert_true(bytes_equal(a.title, drive_text("A film")));
    assert_true(bytes_equal(a.type, drive_text("transcoding")));
    assert_true(bytes_equal(a.status_text, drive_text("copying")));
    assert_true(bytes_equal(a.owner, drive_text("anna")));
    assert_true(bytes_equal(a.creator, drive_text(app)));
    assert_true(bytes_equal(a.attributes, bytes_of(attributes, sizeof attributes)));
    assert_int_equal(a.groups.count, 2);
    assert_true(bytes_equal(a.groups.names[0], drive_text("editors")));
    assert_true(bytes_equal(a.groups.names[1], drive_text("cutters")));
    struct command failure = drive_update_command(&anna, job, -1);
    failure.update.has_failure = true;
    failure.update.failure_code = drive_text("DISK");
    failure.update.failure_message = drive_text("no space left");
    assert_int_equal(drive_apply_update(d, &failure).disposition, DISPOSITION_APPLIED);
    assert_true(drive_get(d, &anna, job, &a));
    assert_int_equal(a.state, ACTIVITY_FAILED);
    assert_int_equal(a.percent, 40); /* kept */
    assert_int_equal(a.end_ms, DRIVE_CLOCK_MS + 2000);
    assert_true(bytes_equal(a.failure_code, drive_text("DISK")));
    assert_true(bytes_equal(a.failure_message, drive_text("no space left")));
    drive_verify(d);
    drive_free(d);
}

struct step {
    int percent; /* -1: absent */
    const char *text;
    int want_percent;
    uint8_t want_disposition;
    const char *want_text;
    bool want_moved; /* the time of the last change */
};

static void percents_are_a_maximum(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {-1, NULL, 0, DISPOSITION_HEARTBEAT, "", false},
        {0, NULL, 0, DISPOSITION_APPLIED, "", false},
        {30, "thirty", 30, DISPOSITION_APPLIED, "thirty", true},
        {30, NULL, 30, DISPOSITION_APPLIED, "thirty", false},
        {30, "still", 30, DISPOSITION_APPLIED, "still", true},
        {-1, "text", 30, DISPOSITION_APPLIED, "text", true},
        {-1, "text", 30, DISPOSITION_APPLIED, "text", false},
        {29, "lower", 30, DISPOSITION_HEARTBEAT, "text", false},
        {31, NULL, 31, DISPOSITION_APPLIED, "text", true},
        {-1, "", 31, DISPOSITION_APPLIED, "", true},
        {0, NULL, 31, DISPOSITION_HEARTBEAT, "", false},
        {99, NULL, 99, DISPOSITION_APPLIED, "", true},
    };
    struct drive *d = fresh();
    struct command_caller anna = drive_caller("studio", app, "anna");
    uint64_t job = drive_create(d, &anna, "upload");
    struct core_activity a;
    assert_true(drive_get(d, &anna, job, &a));
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const struct step *step = &steps[i];
        uint64_t before_ms = a.update_ms;
        struct command command = drive_update_command(&anna, job, step->percent);
        command.update.has_status_text = step->text != NULL;
        command.update.status_text = drive_text(step->text == NULL ? "" : step->text);
        drive_wait(d, 10);
        struct reply_update reply = drive_apply_update(d, &command);
        assert_int_equal(reply.percent, step->want_percent);
        assert_int_equal(reply.disposition, step->want_disposition);
        assert_true(drive_get(d, &anna, job, &a));
        assert_int_equal(a.percent, step->want_percent);
        assert_true(bytes_equal(a.status_text, drive_text(step->want_text)));
        assert_int_equal(a.update_ms > before_ms, step->want_moved);
    }
    drive_verify(d);
    drive_free(d);
}

/* How a job can end, what later updates are told, and what is told once it has left. */
enum ending { BY_UPDATE, BY_RESULT, BY_BATCH, BY_FAILURE, BY_DESTROY, BY_SILENCE, ENDINGS };
static const enum activity_state end_states[ENDINGS] = {ACTIVITY_COMPLETED, ACTIVITY_COMPLETED,
                                                        ACTIVITY_COMPLETED, ACTIVITY_FAILED,
                                                        ACTIVITY_CANCELLED, ACTIVITY_KILLED};

static void end_it(struct drive *d, const struct command_caller *caller, uint64_t job,
                   enum ending ending)
{
    struct reply_batch batch;
    switch (ending) {
    case BY_UPDATE:
        assert_int_equal(drive_update(d, caller, job, 100).disposition, DISPOSITION_APPLIED);
        break;
    case BY_RESULT:
        assert_int_equal(drive_complete(d, caller, job, drive_text("result")).disposition,
                         DISPOSITION_APPLIED);
        break;
    case BY_BATCH:
        drive_batch(d, caller, &(struct drive_batch){1, &job, (const uint8_t[]){100}}, &batch);
        assert_int_equal(batch.ignored, 0);
        assert_int_equal(batch.percents.at[0], 100);
        break;
    case BY_FAILURE:
        assert_int_equal(drive_fail(d, caller, job, "BROKEN").disposition, DISPOSITION_APPLIED);
        break;
    case BY_DESTROY:
        assert_int_equal(drive_destroy(d, caller, job).body.at[0], DISPOSITION_APPLIED);
        break;
    case BY_SILENCE:
        for (int i = 0; i < 180 && drive_state(d, "studio", job) == ACTIVITY_RUNNING; i++) {
            drive_wait(d, 1000);
        }
        break;
    case ENDINGS:
        break;
    }
    assert_int_equal(drive_state(d, "studio", job), end_states[ending]);
}

static void ended_jobs_ignore_updates(void **state)
{
    (void)state;
    for (int e = 0; e < ENDINGS; e++) {
        struct drive *d = fresh();
        struct command_caller anna = drive_caller("studio", app, "anna");
        uint64_t job = drive_create(d, &anna, "upload");
        (void)drive_update(d, &anna, job, 10);
        end_it(d, &anna, job, (enum ending)e);
        uint8_t percent = end_states[e] == ACTIVITY_COMPLETED ? 100 : 10;
        uint8_t told = (uint8_t)(end_states[e] + 2);
        /* Repetitions of what ended it, and only they, are APPLIED. */
        bool by_100 = e == BY_UPDATE || e == BY_BATCH;
        struct reply_update reply = drive_update(d, &anna, job, 100);
        assert_int_equal(reply.disposition, by_100 ? DISPOSITION_APPLIED : told);
        assert_int_equal(reply.percent, percent);
        assert_int_equal(drive_complete(d, &anna, job, drive_text("result")).disposition,
                         e == BY_RESULT ? DISPOSITION_APPLIED : told);
        assert_int_equal(drive_complete(d, &anna, job, drive_text("another")).disposition, told);
        assert_int_equal(drive_fail(d, &anna, job, "BROKEN").disposition,
                         e == BY_FAILURE ? DISPOSITION_APPLIED : told);
        assert_int_equal(drive_fail(d, &anna, job, "OTHER").disposition, told);
        assert_int_equal(drive_update(d, &anna, job, 50).disposition, told);
        assert_int_equal(drive_update(d, &anna, job, -1).disposition, told);
        struct reply_batch batch;
        uint64_t twice[] = {job, job};
        drive_batch(d, &anna, &(struct drive_batch){2, twice, (const uint8_t[]){100, 99}}, &batch);
        assert_int_equal(drive_batch_disposition(&batch, 0), by_100 ? DISPOSITION_APPLIED : told);
        assert_int_equal(drive_batch_disposition(&batch, 1), told);
        assert_int_equal(batch.ignored, by_100 ? 1 : 2);
        assert_int_equal(batch.percents.at[0], percent);
        assert_int_equal(drive_destroy(d, &anna, job).body.at[0], told);
        assert_int_equal(drive_state(d, "studio", job), end_states[e]);
        /* Gone from Find after 60 s; the tombstone still tells. */
        drive_wait(d, 61000);
        assert_int_equal(drive_state(d, "studio", job), ACTIVITY_NONE);
        assert_int_equal(drive_update(d, &anna, job, 50).disposition, told);
        drive_batch(d, &anna, &(struct drive_batch){1, &job, (const uint8_t[]){1}}, &batch);
        assert_int_equal(drive_batch_disposition(&batch, 0), told);
        assert_int_equal(drive_destroy(d, &anna, job).body.at[0], told);
        drive_verify(d);
        drive_free(d);
    }
}

/* GetJobResult in every state of the job, for every outcome. */
static void results_in_every_state(void **state)
{
    (void)state;
    for (int e = 0; e < ENDINGS; e++) {
        struct core_limits limits = drive_limits();
        limits.tombstones_max = 3;
        struct drive *d = drive_new(&limits);
        struct command_caller anna = drive_caller("studio", app, "anna");
        uint64_t job = drive_create(d, &anna, "upload");
        uint8_t bytes[LIMIT_RESULT_BYTES];
        assert_int_equal(drive_result(d, &anna, job, bytes).state, RESULT_PENDING);
        assert_int_equal(drive_result(d, &anna, job, bytes).outcome, ACTIVITY_RUNNING);
        (void)drive_update(d, &anna, job, 99);
        assert_int_equal(drive_result(d, &anna, job, bytes).state, RESULT_PENDING);
        end_it(d, &anna, job, (enum ending)e);
        for (int gone = 0; gone < 2; gone++) { /* as activity, then as tombstone */
            struct core_result result = drive_result(d, &anna, job, bytes);
            assert_int_equal(result.state, e == BY_RESULT ? RESULT_READY : RESULT_EMPTY);
            assert_int_equal(result.outcome, end_states[e]);
            assert_int_equal(result.length, e == BY_RESULT ? 6 : 0);
            assert_true(e != BY_RESULT || memcmp(bytes, "result", 6) == 0);
            drive_wait(d, 61000);
            assert_int_equal(drive_state(d, "studio", job), ACTIVITY_NONE);
        }
        drive_wait(d, limits.result_keep_ms - 122000);
        assert_int_equal(drive_result(d, &anna, job, bytes).state,
                         e == BY_RESULT ? RESULT_EXPIRED : RESULT_EMPTY);
        assert_int_equal(drive_result(d, &anna, job, bytes).outcome, end_states[e]);
        for (int i = 0; i < 3; i++) { /* others push the tombstone out */
            (void)drive_destroy(d, &anna, drive_create(d, &anna, "upload"));
        }
        drive_wait(d, 61000);
        assert_int_equal(drive_result(d, &anna, job, bytes).state, RESULT_UNKNOWN);
        assert_int_equal(drive_result(d, &anna, job, bytes).outcome, ACTIVITY_NONE);
        assert_int_equal(drive_update(d, &anna, job, 50).disposition, DISPOSITION_UNKNOWN);
        drive_verify(d);
        drive_free(d);
    }
}

static void a_result_outlives_its_tombstone(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.tombstones_max = 1;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", app, "anna");
    struct command_caller bert = drive_caller("studio", app, "bert");
    uint64_t job = drive_create(d, &anna, "upload");
    (void)drive_complete(d, &anna, job, drive_text("kept"));
    uint64_t other = drive_create(d, &anna, "upload");
    drive_wait(d, 1000);
    (void)drive_destroy(d, &anna, other);
    drive_wait(d, 61000);
    assert_int_equal(drive_result(d, &anna, job, NULL).state, RESULT_READY);
    assert_int_equal(drive_result(d, &bert, job, NULL).state, RESULT_UNKNOWN);
    drive_free(d);
}

static void repeated_creates_make_one(void **state)
{
    (void)state;
    struct drive *d = fresh();
    struct command_caller anna = drive_caller("studio", app, "anna");
    struct command command = drive_create_command(d, &anna, "upload");
    struct effect reply = drive_one(d, &command);
    uint64_t job = drive_created(&reply);
    for (int i = 0; i < 4; i++) {
        drive_wait(d, 20000);
        reply = drive_one(d, &command);
        assert_int_equal(drive_created(&reply), job);
        assert_int_equal(d->events, 0);
    }
    struct command other = command; /* another payload */
    other.create.title = drive_text("other");
    reply = drive_one(d, &other);
    assert_int_equal(reply.code, STATUS_INVALID_ARGUMENT);
    assert_int_equal(reply.reason, REASON_REQUEST_ID_REUSED);
    struct reply_refusal refusal;
    reply_refusal_read(reply.body, &refusal);
    assert_int_equal(refusal.field, FIELD_REQUEST_ID);
    const struct command_caller others[] = {
        drive_caller("studio", app, "bert"), drive_caller("studio", app, NULL),
        drive_caller("studio", "spiffe://test/other", "anna"), drive_caller("other", app, "anna")};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) { /* another scope: another job */
        command.create.caller = others[i];
        reply = drive_one(d, &command);
        assert_true(drive_created(&reply) != job);
    }
    drive_verify(d);
    drive_free(d);
}

static void batches_go_in_order(void **state)
{
    (void)state;
    struct drive *d = fresh();
    struct command_caller anna = drive_caller("studio", app, "anna");
    struct command_caller bert = drive_caller("studio", app, "bert");
    uint64_t a = drive_create(d, &anna, "upload");
    uint64_t b = drive_create(d, &bert, "upload");
    uint64_t c = drive_create(d, &anna, "upload");
    uint64_t ids[] = {a, b, a, c, 0, c, UINT64_MAX, a + ((uint64_t)1 << 24), c, 12345, a};
    uint8_t percents[] = {10, 20, 5, 100, 1, 100, 2, 3, 99, 4, 60};
    uint8_t want_percents[] = {10, 0, 10, 100, 0, 100, 0, 0, 100, 0, 60};
    uint8_t want[] = {DISPOSITION_APPLIED, DISPOSITION_UNKNOWN, DISPOSITION_HEARTBEAT,
                      DISPOSITION_APPLIED, DISPOSITION_UNKNOWN, DISPOSITION_APPLIED,
                      DISPOSITION_UNKNOWN, DISPOSITION_UNKNOWN, DISPOSITION_COMPLETED,
                      DISPOSITION_UNKNOWN, DISPOSITION_APPLIED};
    struct reply_batch reply;
    drive_batch(d, &anna, &(struct drive_batch){11, ids, percents}, &reply);
    assert_int_equal(d->events, 1);
    assert_int_equal(reply.ignored, 6);
    assert_memory_equal(reply.percents.at, want_percents, sizeof want_percents);
    assert_int_equal(reply.dispositions.length, 11);
    assert_memory_equal(reply.dispositions.at, want, sizeof want);
    drive_batch(d, &anna, &(struct drive_batch){1, &a, (const uint8_t[]){60}}, &reply);
    assert_int_equal(reply.dispositions.length, 0); /* all applied */
    drive_verify(d);
    drive_free(d);
}

/* A batch as large as can be, all of it ending jobs: the effects have room. */
static void the_largest_batch(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 70000;
    limits.activity_text_bytes = MIB(64);
    limits.tombstones_max = 70000;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", app, "anna");
    uint64_t *ids = malloc(LIMIT_BATCH_UPDATES * sizeof *ids);
    uint8_t *percents = malloc(LIMIT_BATCH_UPDATES);
    assert_true(ids != NULL && percents != NULL);
    for (uint32_t i = 0; i < LIMIT_BATCH_UPDATES; i++) {
        ids[i] = drive_create(d, &anna, "upload");
        percents[i] = 100;
    }
    struct reply_batch reply;
    drive_batch(d, &anna, &(struct drive_batch){LIMIT_BATCH_UPDATES, ids, percents}, &reply);
    assert_int_equal(reply.ignored, 0);
    assert_int_equal(d->events, LIMIT_BATCH_UPDATES);
    drive_wait(d, 60000);
    for (int i = 0; i < 16; i++) {
        drive_tick(d, 0, 0);
    }
    struct core_info info;
    core_info(d->core, &info);
    assert_int_equal(info.activities, 0);
    assert_int_equal(info.tombstones, LIMIT_BATCH_UPDATES);
    drive_verify(d);
    free(ids);
    free(percents);
    drive_free(d);
}

static void present_users(void **state)
{
    (void)state;
    struct drive *d = fresh();
    struct command_caller anna = drive_caller("studio", app, "anna");
    struct core_viewer viewer;
    struct core_user user;
    uint64_t position = 0;
    core_viewer_init(d->core, &anna, &viewer);
    assert_true(core_beat_due(d->core, &viewer));
    drive_wait(d, 1000);
    drive_beat(d, "studio", "anna");
    drive_beat(d, "other", "carla");
    core_viewer_init(d->core, &anna, &viewer);
    assert_false(core_beat_due(d->core, &viewer));
    assert_true(core_present_user_next(d->core, &viewer, &position, &user));
    assert_true(bytes_equal(user.user, drive_text("anna")));
    assert_int_equal(user.last_seen_ms, DRIVE_CLOCK_MS + 1000);
    assert_false(core_present_user_next(d->core, &viewer, &position, &user));
    drive_wait(d, 30000);
    assert_true(core_beat_due(d->core, &viewer));
    drive_beat(d, "studio", "anna");
    drive_wait(d, 89999);
    position = 0;
    assert_true(core_present_user_next(d->core, &viewer, &position, &user));
    drive_wait(d, 1);
    core_viewer_init(d->core, &anna, &viewer);
    position = 0;
    assert_false(core_present_user_next(d->core, &viewer, &position, &user));
    for (int i = 0; i < 150; i++) { /* the cap: the one longest silent leaves */
        char name[16] = {'u', (char)('0' + i / 100), (char)('0' + i / 10 % 10),
                         (char)('0' + i % 10)};
        drive_beat(d, "studio", name);
    }
    struct core_info info;
    core_info(d->core, &info);
    assert_int_equal(info.present_users, 100);
    drive_verify(d);
    drive_free(d);
}

static void pages_continue(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 20000;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", app, "anna");
    struct command_caller bert = drive_caller("studio", app, "bert");
    drive_in_group(&bert, "g1");
    drive_in_group(&bert, "g2");
    drive_in_group(&bert, "g2");
    static uint64_t mine[12000];
    for (uint32_t i = 0; i < 12000; i++) {
        struct command command = drive_create_command(d, i % 3 == 0 ? &bert : &anna,
                                                      i % 5 == 0 ? "transcoding" : "upload");
        command.create.groups.names[0] = drive_text("g1");
        command.create.groups.names[1] = drive_text("g2");
        command.create.groups.count = 2;
        struct effect reply = drive_one(d, &command);
        mine[i] = drive_created(&reply);
    }
    static uint64_t found[20000];
    assert_int_equal(drive_find(d, &bert, NULL, found, 20000), 12000);
    assert_memory_equal(found, mine, sizeof mine);
    assert_int_equal(drive_find(d, &anna, NULL, found, 20000), 8000);
    struct core_find_activities by_type = {
        .types = {drive_text("transcoding"), drive_text("nothing")}, .type_count = 2};
    assert_int_equal(drive_find(d, &bert, &by_type, found, 20000), 2400);
    struct core_find_activities nothing = {.types = {drive_text("nothing")}, .type_count = 1};
    assert_int_equal(drive_find(d, &bert, &nothing, found, 20000), 0);
    /* One page looks at 4,096 slots. */
    struct core_viewer viewer;
    struct core_activity_walk walk;
    struct core_activity activity;
    core_viewer_init(d->core, &bert, &viewer);
    core_activity_walk_init(&walk, d->core, &viewer, &nothing);
    assert_int_equal(core_activity_next(&walk, &activity), CORE_EXHAUSTED);
    assert_int_equal(walk.position, 4096);
    struct core_find_activities by_id = {.job_ids = {mine[9], mine[3], mine[9], 77, mine[4]},
                                         .job_id_count = 5};
    assert_int_equal(drive_find(d, &bert, &by_id, found, 20000), 3);
    assert_true(found[0] == mine[3] && found[1] == mine[4] && found[2] == mine[9]);
    drive_wait(d, 1000);
    (void)drive_update(d, &bert, mine[6], 3);
    (void)drive_update(d, &bert, mine[9], -1);
    struct core_find_activities since = {.updated_since_ms = DRIVE_CLOCK_MS + 1};
    assert_int_equal(drive_find(d, &bert, &since, found, 20000), 1);
    assert_true(found[0] == mine[6]);
    (void)drive_destroy(d, &bert, mine[0]);
    struct core_find_activities ended = {.states =
                                             1u << ACTIVITY_CANCELLED | 1u << ACTIVITY_FAILED};
    assert_int_equal(drive_find(d, &bert, &ended, found, 20000), 1);
    assert_true(found[0] == mine[0]);
    drive_verify(d);
    drive_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_new_and_small),
        cmocka_unit_test(slots_rest),
        cmocka_unit_test(an_epoch_raises_generations),
        cmocka_unit_test(used_up_slots_retire),
        cmocka_unit_test(what_is_stored_is_found),
        cmocka_unit_test(percents_are_a_maximum),
        cmocka_unit_test(ended_jobs_ignore_updates),
        cmocka_unit_test(results_in_every_state),
        cmocka_unit_test(a_result_outlives_its_tombstone),
        cmocka_unit_test(repeated_creates_make_one),
        cmocka_unit_test(batches_go_in_order),
        cmocka_unit_test(the_largest_batch),
        cmocka_unit_test(present_users),
        cmocka_unit_test(pages_continue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
