/* Changed progress: told once, in turns, and no part of the state. */
#include "tests/unit/server/core/drive.h"

#include "server/core/state.h"

#define ALL UINT32_MAX

/* Takes one and expects it to be of this job; `text` NULL: not told. */
static void expect(struct drive *d, uint64_t job_id, uint8_t percent, const char *text)
{
    struct core_progress progress;
    uint32_t slots = ALL;
    assert_true(core_progress_next(d->core, &slots, &progress));
    assert_true(slots < ALL);
    assert_true(progress.job_id == job_id);
    assert_int_equal(progress.percent, percent);
    assert_true(bytes_equal(progress.tenant, drive_text("studio")));
    assert_int_equal(progress.has_text, text != NULL);
    assert_true(bytes_equal(progress.status_text, drive_text(text == NULL ? "" : text)));
}

static void expect_none(struct drive *d)
{
    struct core_progress progress;
    uint32_t slots = ALL;
    assert_false(core_progress_next(d->core, &slots, &progress));
    drive_verify(d);
}

static void say(struct drive *d, const struct command_caller *caller, uint64_t job_id,
                const char *text)
{
    struct command command = drive_update_command(caller, job_id, -1);
    command.update.has_status_text = true;
    command.update.status_text = drive_text(text);
    (void)drive_apply_update(d, &command);
}

static void what_changes_is_told_once(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    expect_none(d); /* not even a slot was used */
    uint64_t job = drive_create(d, &anna, "upload");
    expect_none(d); /* the event tells */
    (void)drive_update(d, &anna, job, 10);
    (void)drive_update(d, &anna, job, 20);
    expect(d, job, 20, NULL);
    expect_none(d);
    (void)drive_update(d, &anna, job, 20);
    (void)drive_update(d, &anna, job, 5);
    (void)drive_update(d, &anna, job, -1);
    expect_none(d); /* signs of life */
    say(d, &anna, job, "half way");
    expect(d, job, 20, "half way");
    say(d, &anna, job, "half way");
    expect_none(d);
    say(d, &anna, job, "");
    (void)drive_update(d, &anna, job, 21);
    expect(d, job, 21, "");
    char longest[LIMIT_STATUS_TEXT_LENGTH + 1];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    say(d, &anna, job, longest);
    expect(d, job, 21, longest);
    expect_none(d);
    drive_free(d);
}

static void a_batch_tells_as_well(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    uint64_t jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = drive_create(d, &anna, "upload");
    }
    (void)drive_update(d, &anna, jobs[1], 50);
    expect(d, jobs[1], 50, NULL);
    const struct drive_batch batch = {
        .count = 4, .job_ids = jobs, .percents = (const uint8_t[]){40, 50, 100, 1}};
    struct reply_batch reply;
    drive_batch(d, &anna, &batch, &reply);
    expect(d, jobs[3], 1, NULL); /* behind the one that was taken last */
    expect(d, jobs[0], 40, NULL);
    expect_none(d);
    drive_free(d);
}

static void what_has_ended_is_not_told(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 1;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    for (int way = 0; way < 3; way++) {
        uint64_t job = drive_create(d, &anna, "upload");
        expect_none(d); /* also when the slot was another's */
        (void)drive_update(d, &anna, job, 50);
        say(d, &anna, job, "half way");
        if (way == 0) {
            (void)drive_complete(d, &anna, job, drive_text("x"));
        } else if (way == 1) {
            (void)drive_destroy(d, &anna, job);
        } else {
            drive_wait(d, 92000);
            assert_int_equal(drive_state(d, "studio", job), ACTIVITY_KILLED);
        }
        expect_none(d);
    }
    drive_free(d);
}

/* Whoever changes all the time does not keep the others from being told. */
static void nobody_starves(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    uint64_t jobs[200];
    for (int i = 0; i < 200; i++) {
        jobs[i] = drive_create(d, &anna, "upload");
        (void)drive_update(d, &anna, jobs[i], 1);
    }
    for (int i = 0; i < 400; i++) {
        int percent = 2 + 2 * (i / 200);
        (void)drive_update(d, &anna, jobs[i % 200], percent);
        expect(d, jobs[i % 200], (uint8_t)percent, NULL);
        (void)drive_update(d, &anna, jobs[i % 200], percent + 1); /* has to wait for its turn */
    }
    drive_free(d);
}

static void no_more_slots_are_looked_at_than_allowed(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    uint64_t jobs[300];
    for (int i = 0; i < 300; i++) {
        jobs[i] = drive_create(d, &anna, "upload");
    }
    (void)drive_update(d, &anna, jobs[129], 1);
    (void)drive_update(d, &anna, jobs[299], 1);
    struct core_progress progress;
    uint32_t slots = 129; /* slot 130 is the next one */
    assert_false(core_progress_next(d->core, &slots, &progress));
    assert_int_equal(slots, 0);
    assert_false(core_progress_next(d->core, &slots, &progress));
    slots = 171;
    assert_true(core_progress_next(d->core, &slots, &progress));
    assert_true(progress.job_id == jobs[129]);
    assert_int_equal(slots, 170);
    assert_true(core_progress_next(d->core, &slots, &progress));
    assert_true(progress.job_id == jobs[299]);
    assert_int_equal(slots, 0);
    slots = 1000; /* once round is enough */
    assert_false(core_progress_next(d->core, &slots, &progress));
    assert_int_equal(slots, 700);
    drive_free(d);
}

static void reminding_goes_round(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    core_progress_remind(d->core, 10); /* nothing to remind of */
    uint64_t jobs[5];
    for (int i = 0; i < 5; i++) {
        jobs[i] = drive_create(d, &anna, "upload");
    }
    say(d, &anna, jobs[0], "at work");
    expect(d, jobs[0], 0, "at work");
    (void)drive_destroy(d, &anna, jobs[1]);
    core_progress_remind(d->core, 3);
    expect(d, jobs[2], 0, "");
    expect(d, jobs[0], 0, "at work");
    expect_none(d);
    core_progress_remind(d->core, 3);
    expect(d, jobs[3], 0, "");
    expect(d, jobs[4], 0, "");
    expect(d, jobs[0], 0, "at work");
    expect_none(d);
    core_progress_remind(d->core, ALL);
    for (int i = 0; i < 4; i++) {
        static const int order[] = {2, 3, 4, 0};
        expect(d, jobs[order[i]], 0, order[i] == 0 ? "at work" : "");
    }
    expect_none(d);
    drive_free(d);
}

/* Taking changes neither snapshot nor digest, and nothing of it is in a snapshot. */
static void it_is_no_state(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    uint64_t job = drive_create(d, &anna, "upload");
    (void)drive_update(d, &anna, job, 10);
    struct drive *other = drive_bare(&limits);
    drive_replay(other, d->journal, d->journal_bytes);
    expect(d, job, 10, NULL);
    core_progress_remind(d->core, 1);
    assert_true(core_state_hash(d->core) == core_state_hash(other->core));
    (void)drive_update(d, &anna, job, 20);
    (void)drive_update(other, &anna, job, 20);
    struct core_info info;
    struct core_info same;
    core_info(d->core, &info);
    core_info(other->core, &same);
    assert_true(info.digest == same.digest);
    struct drive_snapshot snapshot = drive_snapshot(d);
    struct drive *loaded = drive_load(&snapshot, &limits);
    expect_none(loaded);
    (void)drive_update(loaded, &anna, job, 30);
    expect(loaded, job, 30, NULL);
    drive_free(loaded);
    drive_free(other);
    drive_free(d);
    free(snapshot.at);
}

static void verification_sees_wrong_marks(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    uint64_t job = drive_create(d, &anna, "upload");
    (void)drive_destroy(d, &anna, job);
    assert_null(core_verify(d->core));
    progress_mark(d->core->progress.texts, 1);
    assert_non_null(core_verify(d->core));
    progress_forget(&d->core->progress, 1);
    progress_mark(d->core->progress.percents, 2);
    assert_non_null(core_verify(d->core));
    drive_free(d);
}

static void sum_part(void *context, const char *name, size_t bytes)
{
    size_t *sums = context;
    sums[0] += bytes;
    sums[1] +=
        strcmp(name, "running children") == 0 || strcmp(name, "changed progress") == 0 ? bytes : 0;
}

static void its_memory_is_counted(void **state)
{
    (void)state;
    struct core_limits limits;
    core_limits_standard(&limits);
    size_t sums[2] = {0, 0};
    core_memory_parts(&limits, sum_part, sums);
    assert_true(sums[0] == core_memory_bytes(&limits));
    /* Per activity a node, a family and its places in a hash; per slot a place and two bits. */
    assert_true(sums[1] > limits.activities_max * 60 && sums[1] < limits.activities_max * 72);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changes_is_told_once),
        cmocka_unit_test(a_batch_tells_as_well),
        cmocka_unit_test(what_has_ended_is_not_told),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(no_more_slots_are_looked_at_than_allowed),
        cmocka_unit_test(reminding_goes_round),
        cmocka_unit_test(it_is_no_state),
        cmocka_unit_test(verification_sees_wrong_marks),
        cmocka_unit_test(its_memory_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
