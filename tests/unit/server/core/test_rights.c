/* Who sees and who changes: users x groups x owner x creator x tenant x every call, judged by rules
 * written down here a second time, in words as plain as CALLS has them. And no oracle: what may not
 * be seen is answered as what never existed. */
#include "tests/unit/server/core/drive.h"

/* ---- The cast ---- */

struct role {
    const char *tenant;
    const char *principal;
    const char *user;
    const char *groups[2];
    uint8_t rights;
};

#define APP   "spiffe://test/app"
#define OTHER "spiffe://test/other"

static const struct role roles[] = {
    {"studio", APP, "anna", {NULL}, 0},
    {"studio", OTHER, "anna", {NULL}, 0},
    {"studio", APP, "bert", {NULL}, 0},
    {"studio", APP, "bert", {"editors", NULL}, 0},
    {"studio", APP, "bert", {"editors", "cutters"}, 0},
    {"studio", OTHER, "bert", {"editors", NULL}, RIGHT_UPDATE_ANY},
    {"studio", APP, "nobody", {"*", "unheard"}, 0},
    {"studio", APP, NULL, {NULL}, 0},
    {"studio", OTHER, NULL, {NULL}, 0},
    {"studio", OTHER, NULL, {"editors", NULL}, 0},
    {"studio", OTHER, NULL, {NULL}, RIGHT_UPDATE_ANY},
    {"studio", OTHER, NULL, {NULL}, RIGHT_ADMIN},
    {"studio", APP, "nobody", {NULL}, RIGHT_ADMIN},
    {"other", APP, "anna", {"editors", NULL}, 0},
    {"other", APP, NULL, {NULL}, 0},
    {"other", APP, "anna", {"editors", NULL}, RIGHT_ADMIN | RIGHT_UPDATE_ANY},
    {"unknown", APP, "anna", {"editors", NULL}, RIGHT_ADMIN | RIGHT_UPDATE_ANY},
};
#define ROLES (sizeof roles / sizeof roles[0])

static struct command_caller caller_of(const struct role *role)
{
    struct command_caller caller = drive_caller(role->tenant, role->principal, role->user);
    caller.rights = role->rights;
    for (int i = 0; i < 2 && role->groups[i] != NULL; i++) {
        drive_in_group(&caller, role->groups[i]);
    }
    return caller;
}

/* Jobs: created by each of these, in each of these sets of groups. */
static const struct role makers[] = {
    {"studio", APP, "anna", {NULL}, 0}, {"studio", OTHER, "anna", {NULL}, 0},
    {"studio", APP, "bert", {NULL}, 0}, {"studio", APP, NULL, {NULL}, 0},
    {"studio", OTHER, NULL, {NULL}, 0}, {"other", APP, "anna", {NULL}, 0},
    {"other", APP, NULL, {NULL}, 0},
};
#define MAKERS (sizeof makers / sizeof makers[0])
static const char *const group_sets[][2] = {
    {NULL, NULL}, {"editors", NULL}, {"cutters", NULL}, {"editors", "cutters"}, {"*", NULL}};
#define GROUP_SETS (sizeof group_sets / sizeof group_sets[0])

struct job {
    const struct role *maker;
    const char *const *groups;
    uint64_t id;
};

/* ---- The rules again ---- */

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static bool changes_it(const struct role *who, const struct job *job)
{
    if (!same(who->tenant, job->maker->tenant)) {
        return false;
    }
    if (who->rights != 0) {
        return true;
    }
    return who->user != NULL ? same(who->user, job->maker->user)
                             : same(who->principal, job->maker->principal);
}

static bool sees_it(const struct role *who, const struct job *job)
{
    if (!same(who->tenant, job->maker->tenant)) {
        return false;
    }
    if ((who->rights & RIGHT_ADMIN) != 0) {
        return true;
    }
    if (who->user == NULL) {
        return same(who->principal, job->maker->principal);
    }
    bool shared = false;
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 2; k++) {
            shared = shared || same(who->groups[i], job->groups[k]);
        }
    }
    return shared || same(who->user, job->maker->user);
}

/* ---- The scene ---- */

static struct job jobs[MAKERS * GROUP_SETS];
#define JOBS (MAKERS * GROUP_SETS)

static struct drive *scene(void)
{
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    for (size_t m = 0; m < MAKERS; m++) {
        for (size_t g = 0; g < GROUP_SETS; g++) {
            struct command_caller caller = caller_of(&makers[m]);
            struct command command = drive_create_command(d, &caller, "upload");
            for (int i = 0; i < 2 && group_sets[g][i] != NULL; i++) {
                command.create.groups.names[command.create.groups.count++] =
                    drive_text(group_sets[g][i]);
            }
            struct effect reply = drive_one(d, &command);
            jobs[m * GROUP_SETS + g] =
                (struct job){&makers[m], group_sets[g], drive_created(&reply)};
        }
    }
    return d;
}

/* An id that was never issued: of a slot far away. */
static uint64_t never(void)
{
    return jobs[JOBS - 1].id + 0x400000;
}

static void find_and_get(void **state)
{
    (void)state;
    struct drive *d = scene();
    for (size_t r = 0; r < ROLES; r++) {
        struct command_caller caller = caller_of(&roles[r]);
        uint64_t found[JOBS + 1];
        uint32_t count = drive_find(d, &caller, NULL, found, JOBS);
        uint32_t at = 0;
        struct core_find_activities by_id = {.job_id_count = 0};
        for (size_t j = 0; j < JOBS; j++) {
            struct core_activity activity;
            bool sees = sees_it(&roles[r], &jobs[j]);
            assert_int_equal(drive_get(d, &caller, jobs[j].id, &activity), sees);
            if (sees) {
                assert_true(at < count &&
                            found[at++] == jobs[j].id); /* in creation order, each once */
            }
            by_id.job_ids[by_id.job_id_count++] = jobs[j].id;
        }
        assert_int_equal(at, count);
        uint64_t named[JOBS + 1];
        assert_int_equal(drive_find(d, &caller, &by_id, named, JOBS), count);
        assert_memory_equal(named, found, count * sizeof found[0]);
        struct core_activity activity;
        assert_false(drive_get(d, &caller, never(), &activity));
    }
    drive_free(d);
}

static void update_and_batch(void **state)
{
    (void)state;
    struct drive *d = scene();
    uint64_t ids[JOBS];
    uint8_t stored[JOBS] = {0};
    for (size_t j = 0; j < JOBS; j++) {
        ids[j] = jobs[j].id;
    }
    for (size_t r = 0; r < ROLES; r++) {
        struct command_caller caller = caller_of(&roles[r]);
        for (size_t j = 0; j < JOBS; j++) {
            bool may = changes_it(&roles[r], &jobs[j]);
            stored[j] = (uint8_t)(stored[j] + (may ? 1 : 0));
            struct reply_update reply = drive_update(d, &caller, jobs[j].id, may ? stored[j] : 99);
            assert_int_equal(reply.disposition, may ? DISPOSITION_APPLIED : DISPOSITION_UNKNOWN);
            assert_int_equal(reply.percent, may ? stored[j] : 0);
        }
        uint8_t percents[JOBS];
        uint32_t ignored = 0;
        for (size_t j = 0; j < JOBS; j++) {
            percents[j] = changes_it(&roles[r], &jobs[j]) ? ++stored[j] : 100;
            ignored += !changes_it(&roles[r], &jobs[j]);
        }
        struct reply_batch batch;
        drive_batch(d, &caller, &(struct drive_batch){JOBS, ids, percents}, &batch);
        assert_int_equal(batch.ignored, ignored);
        for (uint32_t j = 0; j < JOBS; j++) {
            bool may = changes_it(&roles[r], &jobs[j]);
            assert_int_equal(drive_batch_disposition(&batch, j),
                             may ? DISPOSITION_APPLIED : DISPOSITION_UNKNOWN);
            assert_int_equal(batch.percents.at[j], may ? stored[j] : 0);
        }
        assert_int_equal(d->events, 0); /* nobody's 100 ended a job that is not theirs */
    }
    drive_verify(d);
    drive_free(d);
}

static void destroy(void **state)
{
    (void)state;
    for (int ended = 0; ended < 3; ended++) { /* running, ended, gone */
        for (size_t r = 0; r < ROLES; r++) {
            struct drive *d = scene();
            struct command_caller caller = caller_of(&roles[r]);
            for (size_t j = 0; ended != 0 && j < JOBS; j++) {
                struct command_caller maker = caller_of(jobs[j].maker);
                (void)drive_update(d, &maker, jobs[j].id, 100);
            }
            drive_wait(d, ended == 2 ? 61000 : 0);
            for (size_t j = 0; j < JOBS; j++) {
                struct effect reply = drive_destroy(d, &caller, jobs[j].id);
                if (changes_it(&roles[r], &jobs[j])) {
                    assert_int_equal(reply.code, STATUS_OK);
                    assert_int_equal(reply.body.at[0],
                                     ended ? DISPOSITION_COMPLETED : DISPOSITION_APPLIED);
                } else if (sees_it(&roles[r], &jobs[j])) {
                    assert_int_equal(reply.code, STATUS_PERMISSION_DENIED);
                    assert_int_equal(reply.reason, REASON_NOT_YOURS);
                } else {
                    assert_int_equal(reply.code, STATUS_OK);
                    assert_int_equal(reply.body.at[0], DISPOSITION_UNKNOWN);
                }
                if (ended == 0) {
                    assert_int_equal(drive_state(d, jobs[j].maker->tenant, jobs[j].id),
                                     changes_it(&roles[r], &jobs[j]) ? ACTIVITY_CANCELLED
                                                                     : ACTIVITY_RUNNING);
                }
            }
            drive_free(d);
        }
    }
}

static void results_while_running_ended_and_gone(void **state)
{
    (void)state;
    struct drive *d = scene();
    for (int phase = 0; phase < 3; phase++) {
        for (size_t r = 0; r < ROLES; r++) {
            struct command_caller caller = caller_of(&roles[r]);
            for (size_t j = 0; j < JOBS; j++) {
                struct core_result result = drive_result(d, &caller, jobs[j].id, NULL);
                enum core_result_state want = phase == 0   ? RESULT_PENDING
                                              : j % 2 == 0 ? RESULT_READY
                                                           : RESULT_EMPTY;
                bool sees = sees_it(&roles[r], &jobs[j]);
                assert_int_equal(result.state, sees ? want : RESULT_UNKNOWN);
                assert_int_equal(result.outcome, !sees        ? ACTIVITY_NONE
                                                 : phase == 0 ? ACTIVITY_RUNNING
                                                              : ACTIVITY_COMPLETED);
            }
        }
        for (size_t j = 0; phase == 0 && j < JOBS; j++) {
            struct command_caller maker = caller_of(jobs[j].maker);
            assert_int_equal(
                drive_complete(d, &maker, jobs[j].id, drive_text(j % 2 == 0 ? "r" : ""))
                    .disposition,
                DISPOSITION_APPLIED);
        }
        drive_wait(d, phase == 1 ? 61000 : 0);
    }
    drive_free(d);
}

/* Naming a job needs the right to change it, whether it runs, has ended or has left. */
static void parents_and_retries(void **state)
{
    (void)state;
    struct drive *d = scene();
    for (int phase = 0; phase < 3; phase++) {
        for (size_t r = 0; r < ROLES; r++) {
            struct command_caller caller = caller_of(&roles[r]);
            for (size_t j = 0; j <= JOBS; j++) {
                for (int field = 0; field < 2; field++) {
                    uint64_t id = j == JOBS ? never() : jobs[j].id;
                    struct command command = drive_create_command(d, &caller, "upload");
                    *(field == 0 ? &command.create.parent_job_id
                                 : &command.create.retry_of_job_id) = id;
                    struct effect reply = drive_one(d, &command);
                    if (j < JOBS && changes_it(&roles[r], &jobs[j])) {
                        uint64_t made = drive_created(&reply);
                        (void)drive_destroy(d, &caller, made);
                        continue;
                    }
                    struct reply_refusal refusal;
                    reply_refusal_read(reply.body, &refusal);
                    assert_int_equal(reply.code, STATUS_INVALID_ARGUMENT);
                    assert_int_equal(reply.reason, REASON_UNKNOWN_JOB);
                    assert_int_equal(refusal.field,
                                     field == 0 ? FIELD_PARENT_JOB_ID : FIELD_RETRY_OF_JOB_ID);
                }
            }
        }
        for (size_t j = 0; phase == 0 && j < JOBS; j++) {
            struct command_caller maker = caller_of(jobs[j].maker);
            (void)drive_update(d, &maker, jobs[j].id, 100);
        }
        drive_wait(d, 61000);
    }
    drive_verify(d);
    drive_free(d);
}

/* To whoever may not see them, jobs are answered to the byte as ones that never were. */
static void no_oracle(void **state)
{
    (void)state;
    struct drive *d = scene();
    for (int phase = 0; phase < 3; phase++) {
        for (size_t r = 0; r < ROLES; r++) {
            struct command_caller caller = caller_of(&roles[r]);
            for (size_t j = 0; j < JOBS; j++) {
                if (sees_it(&roles[r], &jobs[j]) || changes_it(&roles[r], &jobs[j])) {
                    continue;
                }
                uint8_t bytes[2][64];
                uint32_t length[2];
                for (int i = 0; i < 2; i++) {
                    uint64_t id = i == 0 ? jobs[j].id : never();
                    struct effect reply = drive_destroy(d, &caller, id);
                    uint32_t at = reply.body.length;
                    memcpy(bytes[i], reply.body.at, at);
                    struct command update = drive_update_command(&caller, id, 100);
                    update.update.result = drive_text("x");
                    reply = drive_one(d, &update);
                    memcpy(bytes[i] + at, reply.body.at + 8,
                           reply.body.length - 8); /* without the id itself */
                    at += reply.body.length - 8;
                    struct reply_batch batch;
                    drive_batch(d, &caller, &(struct drive_batch){1, &id, (const uint8_t[]){100}},
                                &batch);
                    memcpy(bytes[i] + at, d->reply.body.at, d->reply.body.length);
                    at += d->reply.body.length;
                    struct core_result result = drive_result(d, &caller, id, NULL);
                    memcpy(bytes[i] + at, &result, sizeof result);
                    length[i] = at + (uint32_t)sizeof result;
                }
                assert_int_equal(length[0], length[1]);
                assert_memory_equal(bytes[0], bytes[1], length[0]);
            }
        }
        for (size_t j = 0; phase == 0 && j < JOBS; j++) {
            struct command_caller maker = caller_of(jobs[j].maker);
            (void)drive_complete(d, &maker, jobs[j].id, drive_text("r"));
        }
        drive_wait(d, phase == 1 ? 61000 : 0);
    }
    drive_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(find_and_get),
        cmocka_unit_test(update_and_batch),
        cmocka_unit_test(destroy),
        cmocka_unit_test(results_while_running_ended_and_gone),
        cmocka_unit_test(parents_and_retries),
        cmocka_unit_test(no_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
