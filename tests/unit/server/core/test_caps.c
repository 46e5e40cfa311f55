/* Every cap of activities, text, results, tombstones and names: what is refused, what leaves early
 * and whose it is. */
#include <stdio.h>

#include "tests/unit/server/core/drive.h"

#define APP "spiffe://test/app"

static struct core_info info_of(const struct drive *d)
{
    struct core_info info;
    core_info(d->core, &info);
    return info;
}

/* The reason of a CREATE's refusal, REASON_NONE when it was done. */
static enum status_reason try_create(struct drive *d, const struct command_caller *caller,
                                     struct bytes title, uint64_t *job_id)
{
    struct command command = drive_create_command(d, caller, "upload");
    command.create.title = title;
    struct effect reply = drive_one(d, &command);
    if (reply.code == STATUS_OK) {
        *job_id = drive_created(&reply);
        return REASON_NONE;
    }
    assert_int_equal(reply.code, STATUS_RESOURCE_EXHAUSTED);
    struct reply_refusal refusal;
    reply_refusal_read(reply.body, &refusal);
    assert_true(refusal.retry_after_ms > 0);
    return (enum status_reason)reply.reason;
}

static void running_ones_fill_the_table(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 20;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", APP, "anna");
    uint64_t jobs[20];
    for (int i = 0; i < 20; i++) {
        assert_int_equal(try_create(d, &anna, drive_text(""), &jobs[i]), REASON_NONE);
    }
    uint64_t job;
    assert_int_equal(try_create(d, &anna, drive_text(""), &job), REASON_TOO_MANY_ACTIVITIES);
    /* A refused request id may be used again: refusals are not remembered. */
    d->request--;
    (void)drive_update(d, &anna, jobs[7], 100);
    (void)drive_update(d, &anna, jobs[3], 100);
    assert_int_equal(try_create(d, &anna, drive_text(""), &job), REASON_NONE);
    assert_int_equal(drive_state(d, "studio", jobs[7]), ACTIVITY_NONE); /* the oldest end left */
    assert_int_equal(drive_state(d, "studio", jobs[3]), ACTIVITY_COMPLETED);
    assert_int_equal(drive_result(d, &anna, jobs[7], NULL).state, RESULT_EMPTY);
    assert_int_equal(info_of(d).activities, 20);
    drive_verify(d);
    drive_free(d);
}

/* A tenant with more than half loses its own before others lose theirs, and is refused when the
 * last sixteenth would go. */
static void a_heavy_tenant_pays_first(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 160;
    struct drive *d = drive_new(&limits);
    struct command_caller small = drive_caller("small", APP, "anna");
    struct command_caller heavy = drive_caller("heavy", APP, "anna");
    uint64_t job;
    uint64_t ended_small = drive_create(d, &small, "upload");
    (void)drive_update(d, &small, ended_small, 100);
    uint64_t ended_heavy = 0;
    for (int i = 0; i < 149; i++) {
        assert_int_equal(try_create(d, &heavy, drive_text(""), &job), REASON_NONE);
        ended_heavy = i == 100 ? job : ended_heavy;
    }
    /* 150 are used: the heavy tenant may not have the last ten. */
    assert_int_equal(try_create(d, &heavy, drive_text(""), &job), REASON_TOO_MANY_ACTIVITIES);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(try_create(d, &small, drive_text(""), &job), REASON_NONE);
    }
    (void)drive_update(d, &heavy, ended_heavy, 100);
    assert_int_equal(try_create(d, &small, drive_text(""), &job), REASON_NONE);
    assert_int_equal(drive_state(d, "heavy", ended_heavy), ACTIVITY_NONE);
    assert_int_equal(drive_state(d, "small", ended_small), ACTIVITY_COMPLETED);
    assert_int_equal(try_create(d, &heavy, drive_text(""), &job), REASON_TOO_MANY_ACTIVITIES);
    assert_int_equal(drive_state(d, "small", ended_small), ACTIVITY_COMPLETED);
    drive_verify(d);
    drive_free(d);
}

/* Half of a lowered limit may be held by a tenant that never was the largest. */
static void a_lowered_limit_makes_another_tenant_heavy(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 160;
    struct drive *d = drive_new(&limits);
    struct command_caller first = drive_caller("first", APP, "anna");
    struct command_caller second = drive_caller("second", APP, "anna");
    struct command_caller third = drive_caller("third", APP, "anna");
    uint64_t of_first[40];
    uint64_t of_second = 0;
    for (int i = 0; i < 40; i++) {
        of_first[i] = drive_create(d, &first, "upload");
    }
    for (int i = 0; i < 30; i++) {
        of_second = drive_create(d, &second, "upload");
    }
    for (int i = 0; i < 38; i++) {
        (void)drive_update(d, &first, of_first[i], 100);
    }
    drive_wait(d, 62000);
    assert_int_equal(info_of(d).activities, 32);
    uint64_t of_third = drive_create(d, &third, "upload");
    (void)drive_update(d, &third, of_third, 100);
    (void)drive_update(d, &second, of_second, 100);
    limits.activities_max = 33;
    drive_set_limits(d, &limits);
    (void)drive_create(d, &third, "upload");
    assert_int_equal(drive_state(d, "second", of_second), ACTIVITY_NONE);
    assert_int_equal(drive_state(d, "third", of_third), ACTIVITY_COMPLETED);
    drive_verify(d);
    drive_free(d);
}

static void one_tenant_alone_may_have_all(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 160;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", APP, "anna");
    uint64_t job;
    for (int i = 0; i < 160; i++) {
        assert_int_equal(try_create(d, &anna, drive_text(""), &job), REASON_NONE);
    }
    assert_int_equal(try_create(d, &anna, drive_text(""), &job), REASON_TOO_MANY_ACTIVITIES);
    drive_free(d);
}

/* Groups cost no places: with eight each the table holds as many activities as it says. */
static void many_groups(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 100;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", APP, "anna");
    static const char *const groups[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    int made = 0;
    for (;; made++) {
        struct command command = drive_create_command(d, &anna, "upload");
        command.create.groups.count = 8;
        for (int i = 0; i < 8; i++) {
            command.create.groups.names[i] = drive_text(groups[i]);
        }
        struct effect reply = drive_one(d, &command);
        if (reply.code != STATUS_OK) {
            assert_int_equal(reply.reason, REASON_TOO_MANY_ACTIVITIES);
            break;
        }
    }
    assert_int_equal(made, 100);
    drive_verify(d);
    drive_free(d);
}

static void text_is_bounded(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activity_text_bytes = MIB(1);
    limits.activities_max = 10000;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", APP, "anna");
    char title[256];
    memset(title, 't', sizeof title);
    uint64_t first;
    uint64_t job;
    assert_int_equal(try_create(d, &anna, bytes_of(title, 256), &first), REASON_NONE);
    for (int i = 1; i < 4096; i++) {
        assert_int_equal(try_create(d, &anna, bytes_of(title, 256), &job), REASON_NONE);
    }
    assert_int_equal(try_create(d, &anna, bytes_of(title, 1), &job), REASON_TOO_MUCH_TEXT);
    assert_int_equal(try_create(d, &anna, bytes_of(title, 0), &job), REASON_NONE);
    drive_wait(d, 80000);
    struct command update = drive_update_command(&anna, first, 5);
    update.update.has_status_text = true;
    update.update.status_text = drive_text("x");
    struct effect reply = drive_one(d, &update);
    assert_int_equal(reply.reason, REASON_TOO_MUCH_TEXT);
    struct core_activity activity;
    assert_true(drive_get(d, &anna, first, &activity));
    assert_int_equal(activity.percent, 0); /* refused as a whole */
    drive_wait(d, 80000);
    assert_int_equal(drive_state(d, "studio", first), ACTIVITY_RUNNING); /* but a sign of life */
    /* By now the others have been killed, and leave for text. */
    assert_int_equal(drive_one(d, &update).code, STATUS_OK);
    drive_verify(d);
    drive_free(d);
}

/* Ended ones leave early for text, the heaviest holder's first. */
static void text_of_ended_ones_leaves(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 10000;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", APP, "anna");
    struct command_caller other = drive_caller("other", APP, "anna");
    char title[256];
    memset(title, 't', sizeof title);
    uint64_t kept;
    uint64_t first = 0;
    uint64_t job;
    assert_int_equal(try_create(d, &other, bytes_of(title, 256), &kept), REASON_NONE);
    (void)drive_update(d, &other, kept, 100);
    for (int i = 0; i < 4095; i++) {
        if (try_create(d, &anna, bytes_of(title, 256), &job) != REASON_NONE) {
            break;
        }
        (void)drive_update(d, &anna, job, 100);
        first = first == 0 ? job : first;
    }
    for (int i = 0; i < 300; i++) {
        assert_int_equal(try_create(d, &other, bytes_of(title, 256), &job), REASON_NONE);
    }
    assert_int_equal(drive_state(d, "studio", first), ACTIVITY_NONE);
    assert_int_equal(drive_state(d, "other", kept), ACTIVITY_COMPLETED);
    drive_verify(d);
    drive_free(d);
}

static void results_leave_early(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.result_bytes = MIB(2);
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", APP, "anna");
    struct command_caller other = drive_caller("other", APP, "anna");
    static char result[LIMIT_RESULT_BYTES];
    memset(result, 'r', sizeof result);
    uint64_t jobs[4];
    uint64_t small = drive_create(d, &other, "upload");
    (void)drive_complete(d, &other, small, drive_text("small"));
    for (int i = 0; i < 4; i++) {
        jobs[i] = drive_create(d, &anna, "upload");
        (void)drive_complete(d, &anna, jobs[i], bytes_of(result, sizeof result));
    }
    /* Two fit; the first two have left, though the other tenant's is older. */
    assert_int_equal(drive_result(d, &anna, jobs[0], NULL).state, RESULT_EXPIRED);
    assert_int_equal(drive_result(d, &anna, jobs[0], NULL).outcome, ACTIVITY_COMPLETED);
    assert_int_equal(drive_result(d, &anna, jobs[1], NULL).state, RESULT_EXPIRED);
    assert_int_equal(drive_result(d, &other, small, NULL).state, RESULT_READY);
    uint8_t *got = malloc(LIMIT_RESULT_BYTES);
    assert_non_null(got);
    assert_int_equal(drive_result(d, &anna, jobs[3], got).state, RESULT_READY);
    assert_memory_equal(got, result, sizeof result);
    free(got);
    drive_verify(d);
    drive_free(d);
}

static void result_places_are_bounded(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.results_max = 5;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", APP, "anna");
    uint64_t jobs[7];
    for (int i = 0; i < 7; i++) {
        jobs[i] = drive_create(d, &anna, "upload");
        (void)drive_complete(d, &anna, jobs[i], drive_text("r"));
    }
    for (int i = 0; i < 7; i++) {
        assert_int_equal(drive_result(d, &anna, jobs[i], NULL).state,
                         i < 2 ? RESULT_EXPIRED : RESULT_READY);
    }
    assert_int_equal(info_of(d).results, 5);
    drive_free(d);
}

/* A tenant with more than half of the tombstones loses its own. */
static void tombstones_leave_by_share(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.tombstones_max = 10;
    limits.ended_keep_ms = 0;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", APP, "anna");
    struct command_caller other = drive_caller("other", APP, "anna");
    uint64_t old = drive_create(d, &other, "upload");
    (void)drive_destroy(d, &other, old);
    uint64_t first = 0;
    for (int i = 0; i < 30; i++) {
        uint64_t job = drive_create(d, &anna, "upload");
        (void)drive_destroy(d, &anna, job);
        first = i == 0 ? job : first;
    }
    assert_int_equal(info_of(d).tombstones, 10);
    assert_int_equal(drive_result(d, &other, old, NULL).outcome, ACTIVITY_CANCELLED);
    assert_int_equal(drive_result(d, &anna, first, NULL).state, RESULT_UNKNOWN);
    drive_verify(d);
    drive_free(d);
}

/* Names in use are bounded; tombstones, which only remember, leave for new ones. */
static void names_are_bounded(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.names_max = 1024;
    limits.ended_keep_ms = 0;
    limits.request_ids_max = 1024;
    limits.request_id_least_ms = 1000;
    limits.request_id_most_ms = 1000;
    limits.activities_max = 5000;
    struct drive *d = drive_new(&limits);
    uint64_t job;
    char user[32];
    for (int i = 0; i < 5000; i++) { /* tombstones of ever new users: none is refused */
        (void)snprintf(user, sizeof user, "user%d", i);
        struct command_caller caller = drive_caller("studio", APP, user);
        assert_int_equal(try_create(d, &caller, drive_text(""), &job), REASON_NONE);
        (void)drive_destroy(d, &caller, job);
        drive_wait(d, 10);
    }
    assert_in_range(info_of(d).tombstones, 500, 1000);
    int running = 0;
    for (;; running++) { /* users of running ones hold their names */
        (void)snprintf(user, sizeof user, "runner%d", running);
        struct command_caller caller = drive_caller("studio", APP, user);
        enum status_reason reason = try_create(d, &caller, drive_text(""), &job);
        drive_wait(d, 10);
        if (reason != REASON_NONE) {
            assert_int_equal(reason, REASON_TOO_MANY_NAMES);
            break;
        }
    }
    assert_int_equal(running, 1024 - 3); /* tenant, principal, type */
    struct command_caller known = drive_caller("studio", APP, "runner0");
    assert_int_equal(try_create(d, &known, drive_text(""), &job), REASON_NONE);
    drive_verify(d);
    drive_free(d);
}

static void tenants_are_bounded(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.tenants_max = 3;
    struct drive *d = drive_new(&limits);
    uint64_t job;
    char tenant[32];
    for (int i = 0; i < 4; i++) {
        (void)snprintf(tenant, sizeof tenant, "tenant%d", i);
        struct command_caller caller = drive_caller(tenant, APP, NULL);
        assert_int_equal(try_create(d, &caller, drive_text(""), &job),
                         i < 3 ? REASON_NONE : REASON_TOO_MANY_NAMES);
    }
    drive_verify(d);
    drive_free(d);
}

/* When everything is gone, nothing is left in use: no leak of names, text or places. */
static void nothing_stays_behind(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.tombstones_max = 1;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", APP, "anna");
    for (int i = 0; i < 50; i++) {
        uint64_t job = drive_create_in(d, &anna, "editors");
        (void)drive_complete(d, &anna, job, drive_text("result"));
        drive_beat(d, "studio", "bert");
    }
    drive_wait(d, 700000);
    for (int day = 0; day < 90; day++) {
        drive_wait_by(d, 1000000, 2000);
    }
    struct command_caller other = drive_caller("other", APP, NULL);
    (void)drive_destroy(d, &other, drive_create(d, &other, "upload"));
    drive_wait(d, 700000);
    struct core_info info = info_of(d);
    assert_int_equal(info.activities + info.results + info.present_users, 0);
    assert_int_equal(info.tombstones, 1);
    assert_int_equal(info.oldest_sequence, info.head_sequence + 1);
    assert_true(core_next_deadline(d->core) == UINT64_MAX);
    struct core_viewer viewer;
    core_viewer_init(d->core, &anna, &viewer);
    assert_int_equal(viewer.tenant, 0); /* its last name went with the last tombstone */
    drive_verify(d);
    drive_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_ones_fill_the_table),
        cmocka_unit_test(a_heavy_tenant_pays_first),
        cmocka_unit_test(a_lowered_limit_makes_another_tenant_heavy),
        cmocka_unit_test(one_tenant_alone_may_have_all),
        cmocka_unit_test(many_groups),
        cmocka_unit_test(text_is_bounded),
        cmocka_unit_test(text_of_ended_ones_leaves),
        cmocka_unit_test(results_leave_early),
        cmocka_unit_test(result_places_are_bounded),
        cmocka_unit_test(tombstones_leave_by_share),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(tenants_are_bounded),
        cmocka_unit_test(nothing_stays_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
