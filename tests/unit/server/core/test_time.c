/* The kill rule and the clock under simulated time. */
#include "tests/unit/server/core/drive.h"

static struct core_info info_of(const struct drive *d)
{
    struct core_info info;
    core_info(d->core, &info);
    return info;
}

static const char *principal = "spiffe://test/app";

static void alive_at_90_s_dead_before_91(void **state)
{
    (void)state;
    for (uint16_t step = 1; step <= 1000; step = (uint16_t)(step * 7 + 3)) {
        struct core_limits limits = drive_limits();
        struct drive *d = drive_new(&limits);
        struct command_caller anna = drive_caller("studio", principal, "anna");
        drive_wait(d, 60000 + step);
        uint64_t job = drive_create(d, &anna, "upload");
        drive_wait_by(d, 90000, step);
        assert_int_equal(drive_state(d, "studio", job), ACTIVITY_RUNNING);
        uint64_t alive_ms = info_of(d).service_ms;
        while (drive_state(d, "studio", job) == ACTIVITY_RUNNING) {
            drive_wait_by(d, 1, 1);
        }
        assert_int_equal(drive_state(d, "studio", job), ACTIVITY_KILLED);
        assert_in_range(info_of(d).service_ms - alive_ms, 1, 999);
        drive_verify(d);
        drive_free(d);
    }
}

/* Ticks at deadlines only, as the engine makes them: at least one a second, and when something is
 * due. */
static void deadlines_are_enough(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", principal, "anna");
    drive_wait(d, 61234);
    uint64_t job = drive_create(d, &anna, "upload");
    uint64_t begin_ms = info_of(d).service_ms;
    while (drive_state(d, "studio", job) == ACTIVITY_RUNNING) {
        uint64_t now = info_of(d).service_ms;
        uint64_t due = core_next_deadline(d->core);
        assert_true(due != UINT64_MAX);
        drive_tick(d, (uint16_t)(due <= now ? 0 : due - now > 1000 ? 1000 : due - now), 0);
        assert_true(info_of(d).service_ms - begin_ms < 91000);
    }
    assert_true(info_of(d).service_ms - begin_ms > 90000);
    drive_free(d);
}

static void a_sign_of_life_starts_anew(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", principal, "anna");
    uint64_t job = drive_create(d, &anna, "upload");
    uint64_t silent = drive_create(d, &anna, "upload");
    struct reply_batch reply;
    for (int i = 0; i < 4; i++) { /* a heartbeat, a lower percent, a batch: each of them counts */
        drive_wait(d, 80000);
        assert_int_equal(drive_update(d, &anna, job, -1).disposition, DISPOSITION_HEARTBEAT);
        drive_wait(d, 80000);
        (void)drive_update(d, &anna, job, 0);
        drive_wait(d, 80000);
        drive_batch(d, &anna, &(struct drive_batch){1, &job, (const uint8_t[]){0}}, &reply);
    }
    assert_int_equal(drive_state(d, "studio", job), ACTIVITY_RUNNING);
    assert_int_equal(drive_state(d, "studio", silent), ACTIVITY_NONE); /* killed, and gone */
    drive_wait(d, 90000);
    assert_int_equal(drive_state(d, "studio", job), ACTIVITY_RUNNING);
    drive_wait(d, 999);
    assert_int_equal(drive_state(d, "studio", job), ACTIVITY_KILLED);
    drive_free(d);
}

/* Ten minutes off are not in service time, and the start gives 60 s. */
static void downtime_kills_nobody(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", principal, "anna");
    drive_wait(d, 70000);
    uint64_t job = drive_create(d, &anna, "upload");
    drive_wait(d, 89000);
    for (int start = 0; start < 5; start++) {
        d->clock_ms += 600000;
        drive_tick(d, 0, ENTRY_RESUME | ENTRY_JUMP);
        drive_wait(d, 59999);
        assert_int_equal(drive_state(d, "studio", job), ACTIVITY_RUNNING);
    }
    drive_wait(d, 1000);
    assert_int_equal(drive_state(d, "studio", job), ACTIVITY_KILLED);
    drive_verify(d);
    drive_free(d);
}

static void nobody_is_killed_in_the_first_minute_after_a_stall(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", principal, "anna");
    uint64_t job = drive_create(d, &anna, "upload");
    drive_wait(d, 85000);
    d->clock_ms += 100000;
    drive_tick(d, 2000, ENTRY_RESUME);
    uint64_t resumed_ms = info_of(d).service_ms;
    while (drive_state(d, "studio", job) == ACTIVITY_RUNNING) {
        drive_wait_by(d, 1, 1);
    }
    assert_in_range(info_of(d).service_ms - resumed_ms, 60000, 60999);
    drive_free(d);
}

static void clock_steps_change_nothing(void **state)
{
    (void)state;
    const int64_t ten_years_ms = (int64_t)10 * 365 * 86400 * 1000;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", principal, "anna");
    drive_wait(d, 61000);
    uint64_t job = drive_create(d, &anna, "upload");
    uint64_t wall = info_of(d).wall_ms;
    for (int i = 0; i < 90; i++) {
        d->clock_ms =
            (uint64_t)((int64_t)d->clock_ms + (i % 2 == 0 ? ten_years_ms : -ten_years_ms));
        drive_wait(d, 1000);
        assert_true(info_of(d).wall_ms > wall);
        wall = info_of(d).wall_ms;
        assert_int_equal(drive_state(d, "studio", job), ACTIVITY_RUNNING);
    }
    drive_wait(d, 999);
    assert_int_equal(drive_state(d, "studio", job), ACTIVITY_KILLED);
    drive_free(d);
}

/* A thousandth of a second holds five entries: most carry 0 ms, and the sum is right. */
static void many_entries_do_not_slow_time(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", principal, "anna");
    drive_wait(d, 61000);
    uint64_t job = drive_create(d, &anna, "upload");
    uint64_t begin_ms = info_of(d).service_ms;
    uint64_t boot_us = 0;
    uint64_t before_ms = 0;
    struct command tick = {.kind = COMMAND_TICK};
    uint32_t entries = 0;
    while (drive_state(d, "studio", job) == ACTIVITY_RUNNING) {
        boot_us += 200;
        drive_begin(d, (uint16_t)(boot_us / 1000 - before_ms), 0);
        before_ms = boot_us / 1000;
        drive_add(d, &tick);
        drive_commit(d);
        entries++;
    }
    assert_in_range(entries, 450000, 455000);
    assert_int_equal(info_of(d).service_ms - begin_ms, boot_us / 1000);
    drive_free(d);
}

static void the_wall_clock_never_goes_back_and_comes_home(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    assert_int_equal(info_of(d).wall_ms, DRIVE_CLOCK_MS);
    d->clock_ms += 60000; /* a step of a minute is followed */
    drive_tick(d, 1, 0);
    assert_int_equal(info_of(d).wall_ms, d->clock_ms);
    d->clock_ms -= 60000; /* and taken back at half speed, to the half millisecond */
    uint64_t wall = info_of(d).wall_ms;
    for (int i = 0; i < 1000; i++) {
        drive_tick(d, 1, 0);
    }
    assert_int_equal(info_of(d).wall_ms, wall + 500);
    drive_wait(d, 118000);
    assert_true(info_of(d).wall_ms > d->clock_ms);
    drive_wait(d, 2000);
    assert_int_equal(info_of(d).wall_ms, d->clock_ms);
    drive_free(d);
}

static void a_jump_of_hours_is_followed_after_a_minute(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    uint64_t begin = d->clock_ms;
    drive_wait(d, 5000);
    d->clock_ms += 2 * 3600 * 1000;
    drive_wait(d, 59000);
    assert_int_equal(info_of(d).wall_ms, begin + 64000);
    drive_wait(d, 2000);
    assert_int_equal(info_of(d).wall_ms, d->clock_ms);
    /* One that is put right in time leaves no trace. */
    d->clock_ms += 5 * 3600 * 1000;
    drive_wait(d, 30000);
    d->clock_ms -= 5 * 3600 * 1000;
    drive_wait(d, 60000);
    assert_int_equal(info_of(d).wall_ms, d->clock_ms);
    /* The first entry of a start follows at once. */
    d->clock_ms += 24 * 3600 * 1000;
    drive_tick(d, 0, ENTRY_RESUME | ENTRY_JUMP);
    assert_int_equal(info_of(d).wall_ms, d->clock_ms);
    drive_free(d);
}

static void a_shorter_silence_counts_at_once(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", principal, "anna");
    drive_wait(d, 61000);
    uint64_t job = drive_create(d, &anna, "upload");
    struct core_limits shorter = limits;
    shorter.kill_after_ms = 5000;
    drive_set_limits(d, &shorter);
    drive_wait(d, 5000);
    assert_int_equal(drive_state(d, "studio", job), ACTIVITY_RUNNING);
    drive_wait(d, 999);
    assert_int_equal(drive_state(d, "studio", job), ACTIVITY_KILLED);
    uint64_t second = drive_create(d, &anna, "upload");
    drive_set_limits(d, &limits);
    drive_wait(d, 90000);
    assert_int_equal(drive_state(d, "studio", second), ACTIVITY_RUNNING);
    drive_verify(d);
    drive_free(d);
}

/* More kills than one entry does: all within the second. */
static void many_die_together(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 20000;
    limits.tombstones_max = 20000;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", principal, "anna");
    drive_wait(d, 61000);
    for (int i = 0; i < 10000; i++) {
        (void)drive_create(d, &anna, "upload");
    }
    drive_wait(d, 90000);
    assert_int_equal(info_of(d).running, 10000);
    drive_wait_by(d, 257, 257);
    assert_int_equal(info_of(d).running, 10000 - 4096);
    assert_true(core_next_deadline(d->core) <= info_of(d).service_ms);
    drive_tick(d, 0, 0);
    drive_tick(d, 0, 0);
    assert_int_equal(info_of(d).running, 0);
    drive_verify(d);
    drive_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alive_at_90_s_dead_before_91),
        cmocka_unit_test(deadlines_are_enough),
        cmocka_unit_test(a_sign_of_life_starts_anew),
        cmocka_unit_test(downtime_kills_nobody),
        cmocka_unit_test(nobody_is_killed_in_the_first_minute_after_a_stall),
        cmocka_unit_test(clock_steps_change_nothing),
        cmocka_unit_test(many_entries_do_not_slow_time),
        cmocka_unit_test(the_wall_clock_never_goes_back_and_comes_home),
        cmocka_unit_test(a_jump_of_hours_is_followed_after_a_minute),
        cmocka_unit_test(a_shorter_silence_counts_at_once),
        cmocka_unit_test(many_die_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
