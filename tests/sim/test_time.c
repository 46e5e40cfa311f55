/* The kill rule and the two clocks under simulated time, entirely through entries: a small engine
 * forms them as the real one does (from a boot clock, at the core's deadlines), and the model
 * judges every one of them besides. */
#include "tests/sim/random.h"
#include "tests/sim/script.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND    1000u
#define MINUTE    (60u * SECOND)
#define HOUR      (60u * MINUTE)
#define TEN_YEARS ((int64_t)3652 * 24 * HOUR)

/* One service over its lives: the clocks of its machine, and what became of its jobs. */
struct stage {
    struct rig rig;
    struct model *model;
    struct script script;
    struct core_limits limits;
    uint64_t boot_ms;  /* CLOCK_BOOTTIME */
    int64_t wall_off;  /* CLOCK_REALTIME minus CLOCK_BOOTTIME minus SCRIPT_CLOCK_MS */
    uint64_t entry_ms; /* boot time of the last entry */
    bool started;      /* no entry since the start of the process */
    uint64_t entries;
    uint64_t shown_ms; /* wall_ms after the last entry */
    struct {
        uint64_t job_id, boot_ms;
    } kills[1024];
    uint32_t kill_count;
};

static void take_effects(struct stage *stage, struct bytes effects)
{
    struct reader reader = reader_of(effects);
    struct effect effect;
    while (effect_next(&reader, &effect)) {
        struct event event;
        if (effect.type == EFFECT_EVENT && effect.kind == EVENT_ACTIVITY_ENDED) {
            assert_true(event_decode(effect.kind, effect.body, &event));
            if (event.ended.state == ACTIVITY_KILLED) {
                stage->kills[stage->kill_count].job_id = event.ended.job_id;
                stage->kills[stage->kill_count++].boot_ms = stage->boot_ms;
            }
        }
    }
}

/* Forms an entry now, with the commands of the text (script.h; NULL: a tick). */
static void enter(struct stage *stage, const char *commands)
{
    static char text[65536];
    uint64_t passed = stage->boot_ms - stage->entry_ms;
    const char *flags = stage->started                  ? " resume jump"
                        : passed > ENTRY_ELAPSED_MAX_MS ? " resume"
                                                        : "";
    uint64_t elapsed = stage->started                  ? 0
                       : passed > ENTRY_ELAPSED_MAX_MS ? ENTRY_ELAPSED_MAX_MS
                                                       : passed;
    int length = snprintf(text, sizeof text, "entry elapsed=%" PRIu64 " clock=%" PRId64 "%s\n%s\n",
                          elapsed, (int64_t)stage->boot_ms + stage->wall_off, flags,
                          commands == NULL ? "tick digest=now" : commands);
    assert_in_range(length, 1, sizeof text - 1);
    stage->entry_ms = stage->boot_ms;
    stage->started = false;
    script_more(&stage->script, text);
    if (script_next(&stage->script) != 1) {
        fail_msg("%s", stage->script.error);
    }
    struct buffer entry = {0};
    entry_encode(&stage->script.entry, &entry);
    struct bytes effects;
    assert_int_equal(rig_apply(&stage->rig, buffer_bytes(&entry), &effects), CORE_OK);
    buffer_free(&entry);
    if (!model_apply(stage->model, stage->rig.core, &stage->script.entry, effects)) {
        script_print_entry(stdout, &stage->script.entry);
        fail_msg("%s", model_complaint(stage->model));
    }
    struct core_info info = rig_info(&stage->rig);
    script_answered(&stage->script, effects, &info);
    assert_true(info.wall_ms >= stage->shown_ms);
    stage->shown_ms = info.wall_ms;
    stage->entries++;
    take_effects(stage, effects);
}

/* Time goes by: ticks when something is due, and at least every second while anything can expire.
 */
static void pass(struct stage *stage, uint64_t ms)
{
    uint64_t until = stage->boot_ms + ms;
    for (;;) {
        uint64_t deadline = core_next_deadline(stage->rig.core),
                 service = rig_info(&stage->rig).service_ms;
        uint64_t next = deadline == UINT64_MAX ? until
                        : deadline > service   ? stage->entry_ms + (deadline - service)
                                               : stage->entry_ms + 1;
        if (deadline != UINT64_MAX && next > stage->entry_ms + SECOND) {
            next = stage->entry_ms + SECOND;
        }
        next = next < stage->boot_ms ? stage->boot_ms : next;
        if (next >= until) {
            stage->boot_ms = until;
            return;
        }
        stage->boot_ms = next;
        enter(stage, NULL);
    }
}

static void open_stage(struct stage *stage, const struct core_limits *limits)
{
    *stage = (struct stage){
        .model = model_new(), .started = true, .boot_ms = 5 * HOUR, .limits = *limits};
    rig_open(&stage->rig, limits);
    script_open(&stage->script, "");
    struct command limits_command = {.kind = COMMAND_LIMITS};
    memcpy(limits_command.limits.values, limits->values, sizeof limits->values);
    char text[8192];
    FILE *to = fmemopen(text, sizeof text, "w");
    assert_non_null(to);
    fputs("epoch value=0x5eed key=0x000102030405060708090a0b0c0d0e0f generation=9 raise=0 "
          "ticket=77\n",
          to);
    script_print_command(to, &limits_command);
    fclose(to); /* terminates the text */
    enter(stage, text);
}

static void close_stage(struct stage *stage)
{
    model_free(stage->model);
    rig_close(&stage->rig);
    script_close(&stage->script);
}

/* The process ends and another one starts `ms` later, from a snapshot of the first. */
static void restart_after(struct stage *stage, uint64_t ms)
{
    struct buffer snapshot = {0};
    struct rig loaded;
    rig_save(&stage->rig, &snapshot);
    assert_int_equal(rig_load(&loaded, buffer_bytes(&snapshot), &stage->limits), 0);
    buffer_free(&snapshot);
    rig_close(&stage->rig);
    stage->rig = loaded;
    stage->boot_ms += ms;
    stage->started = true;
}

static uint64_t job_of(const struct stage *stage, const char *name)
{
    for (uint32_t i = 0; i < stage->script.name_count; i++) {
        if (strcmp(stage->script.names[i].name, name) == 0) {
            return stage->script.names[i].job_id;
        }
    }
    fail_msg("no job %s", name);
    return 0;
}

static uint8_t state_of(struct stage *stage, uint64_t job_id)
{
    static struct core_activity activity;
    struct command_caller caller = {
        .tenant = bytes_of("acme", 4), .principal = bytes_of("p", 1), .rights = RIGHT_ADMIN};
    struct core_viewer viewer;
    core_viewer_init(stage->rig.core, &caller, &viewer);
    return core_get_activity(stage->rig.core, &viewer, job_id, &activity) ? activity.state
                                                                          : ACTIVITY_NONE;
}

#define assert_alive(stage, name)                                                                  \
    assert_int_equal(state_of(stage, job_of(stage, name)), ACTIVITY_RUNNING)
#define assert_killed(stage, name)                                                                 \
    assert_int_equal(state_of(stage, job_of(stage, name)), ACTIVITY_KILLED)

/* When a job was killed, by the boot clock; 0: it was not. */
static uint64_t killed_at(const struct stage *stage, uint64_t job_id)
{
    for (uint32_t i = 0; i < stage->kill_count; i++) {
        if (stage->kills[i].job_id == job_id) {
            return stage->kills[i].boot_ms;
        }
    }
    return 0;
}

static struct stage stage;

static int set_up(void **state)
{
    (void)state;
    struct core_limits limits;
    core_limits_standard(&limits);
    limits.activities_max = 2000;
    limits.tombstones_max = 2000;
    limits.request_ids_max = 4096;
    open_stage(&stage, &limits);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_stage(&stage);
    return 0;
}

#define CREATE(name)          "create in=acme by=w request=" name " type=upload as=$" name
#define UPDATE(name, percent) "update in=acme by=w job=$" name " percent=" percent

/* ---- The kill rule ---- */

static void test_alive_at_90_s_dead_before_91(void **state)
{
    (void)state;
    pass(&stage, 2 * MINUTE);
    enter(&stage, CREATE("a"));
    pass(&stage, 30 * SECOND);
    enter(&stage, UPDATE("a", "5"));
    pass(&stage, 90 * SECOND);
    enter(&stage, NULL); /* exactly 90,000 ms of silence */
    assert_alive(&stage, "a");
    uint64_t silent_since = stage.boot_ms - 90 * SECOND;
    pass(&stage, 2 * SECOND);
    assert_killed(&stage, "a");
    uint64_t delay = killed_at(&stage, job_of(&stage, "a")) - silent_since;
    print_message("killed after %" PRIu64 " ms\n", delay);
    assert_in_range(delay, 90001, 90999);
}

/* An update in the entry in which it would be killed comes first. */
static void test_a_late_sign_of_life_still_counts(void **state)
{
    (void)state;
    pass(&stage, 2 * MINUTE);
    enter(&stage, CREATE("a"));
    pass(&stage, 90 * SECOND);
    stage.boot_ms += 500; /* the engine was busy for as long */
    enter(&stage, "update in=acme by=w job=$a");
    assert_alive(&stage, "a");
    pass(&stage, 89 * SECOND);
    enter(&stage, UPDATE("a", "0"));
    pass(&stage, 89 * SECOND);
    enter(&stage, "batch in=acme by=w $a:0");
    pass(&stage, 90 * SECOND);
    assert_alive(&stage, "a");
    pass(&stage, SECOND);
    assert_killed(&stage, "a");
}

/* Many jobs whose last sign of life comes at any millisecond: each is killed in its own time. */
static void test_every_phase(void **state)
{
    (void)state;
    uint64_t seed = 7, last[300];
    char text[256];
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "create in=acme by=w request=p%d type=upload as=$p%d", i,
                 i % 60);
        pass(&stage, random_below(&seed, 300));
        enter(&stage, text);
    }
    /* Names are few: the jobs are found again by their order. */
    uint64_t jobs[300];
    static struct core_activity_walk walk;
    static struct core_activity activity;
    struct core_find_activities all = {0};
    struct command_caller caller = {
        .tenant = bytes_of("acme", 4), .principal = bytes_of("p", 1), .rights = RIGHT_ADMIN};
    struct core_viewer viewer;
    core_viewer_init(stage.rig.core, &caller, &viewer);
    core_activity_walk_init(&walk, stage.rig.core, &viewer, &all);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(core_activity_next(&walk, &activity), CORE_FOUND);
        jobs[i] = activity.job_id;
    }
    for (int i = 0; i < 300; i++) {
        pass(&stage, random_below(&seed, 280));
        snprintf(text, sizeof text, "update in=acme by=w job=%" PRIu64, jobs[i]);
        enter(&stage, text);
        last[i] = stage.boot_ms;
    }
    pass(&stage, 3 * MINUTE);
    uint64_t least = UINT64_MAX, most = 0;
    for (int i = 0; i < 300; i++) {
        uint64_t silence = killed_at(&stage, jobs[i]) - last[i];
        least = silence < least ? silence : least;
        most = silence > most ? silence : most;
    }
    print_message("300 jobs are killed after %" PRIu64 " to %" PRIu64 " ms\n", least, most);
    assert_int_equal(stage.kill_count, 300);
    assert_true(least > 90000 && most < 91000);
}

static void test_downtime_never_kills(void **state)
{
    (void)state;
    pass(&stage, 2 * MINUTE);
    enter(&stage, CREATE("a") "\n" CREATE("b"));
    pass(&stage, 89 * SECOND);
    restart_after(&stage, 10 * MINUTE);
    enter(&stage, NULL);
    assert_alive(&stage, "a");
    pass(&stage, 59 * SECOND);
    enter(&stage, UPDATE("b", "1")); /* its worker has found the service again */
    assert_alive(&stage, "a");
    assert_int_equal(stage.kill_count, 0);
    pass(&stage, 2 * SECOND);
    assert_killed(&stage, "a"); /* 150 s of silence, 60 s since the start */
    assert_alive(&stage, "b");
    pass(&stage, 92 * SECOND);
    assert_killed(&stage, "b");
}

static void test_a_pause_never_kills(void **state)
{
    (void)state;
    pass(&stage, 2 * MINUTE);
    enter(&stage, CREATE("a"));
    pass(&stage, 89 * SECOND);
    uint64_t before = rig_info(&stage.rig).service_ms + (stage.boot_ms - stage.entry_ms);
    stage.boot_ms += 10 * MINUTE; /* SIGSTOP, a sleeping machine */
    enter(&stage, NULL);
    assert_in_range(rig_info(&stage.rig).service_ms, before, before + 2000);
    pass(&stage, 59 * SECOND);
    enter(&stage, NULL);
    assert_alive(&stage, "a");
    pass(&stage, 2 * SECOND);
    assert_killed(&stage, "a");
}

/* A service that stalls every 50 s kills nobody, however long it goes on. */
static void test_stalls_in_a_row_never_kill(void **state)
{
    (void)state;
    enter(&stage, CREATE("a"));
    for (int i = 0; i < 30; i++) {
        pass(&stage, 50 * SECOND);
        stage.boot_ms += 2500;
        enter(&stage, NULL);
        assert_alive(&stage, "a");
    }
    pass(&stage, 62 * SECOND);
    assert_killed(&stage, "a");
}

static void test_none_in_the_first_minute(void **state)
{
    (void)state;
    enter(&stage, CREATE("a"));
    pass(&stage, 91 * SECOND);
    assert_killed(&stage, "a"); /* the grace was over before */
    enter(&stage, CREATE("b"));
    pass(&stage, 80 * SECOND);
    restart_after(&stage, SECOND);
    enter(&stage, NULL);
    uint64_t start = stage.boot_ms;
    pass(&stage, 3 * MINUTE);
    uint64_t grace = killed_at(&stage, job_of(&stage, "b")) - start;
    assert_in_range(grace, 60000, 60999);
}

static void run_with_clock(struct stage *s, const int64_t steps[6])
{
    for (int i = 0; i < 6; i++) {
        char text[256];
        snprintf(text, sizeof text, "create in=acme by=w request=c%d type=upload as=$c%d", i, i);
        enter(s, text);
        pass(s, 17 * SECOND);
        s->wall_off += steps[i];
        enter(s, "update in=acme by=w job=$c0 percent=1");
    }
    pass(s, 5 * MINUTE);
}

static void test_wall_clock_steps_change_nothing(void **state)
{
    (void)state;
    static struct stage other;
    static const int64_t steady[6] = {0},
                         wild[6] = {TEN_YEARS, -TEN_YEARS, -TEN_YEARS, 3 * HOUR, TEN_YEARS, -7};
    open_stage(&other, &stage.limits);
    run_with_clock(&stage, steady);
    run_with_clock(&other, wild);
    assert_int_equal(stage.kill_count, 6);
    assert_int_equal(other.kill_count, 6);
    assert_true(stage.entries == other.entries);
    for (uint32_t i = 0; i < 6; i++) {
        assert_true(stage.kills[i].job_id == other.kills[i].job_id &&
                    stage.kills[i].boot_ms == other.kills[i].boot_ms);
    }
    assert_true(rig_info(&stage.rig).service_ms == rig_info(&other.rig).service_ms);
    assert_true(rig_info(&stage.rig).wall_ms != rig_info(&other.rig).wall_ms); /* it did see them */
    close_stage(&other);
}

/* 5,000 entries a second, whose differences are mostly 0 ms: service time goes as fast as the
 * clock. The model is left out for its pace. */
static void test_many_entries_do_not_slow_service_time(void **state)
{
    (void)state;
    pass(&stage, 2 * MINUTE);
    enter(&stage, CREATE("a"));
    uint64_t job = job_of(&stage, "a"), began = stage.boot_ms,
             service = rig_info(&stage.rig).service_ms, last = began;
    struct command tick = {.kind = COMMAND_TICK};
    struct entry entry = {.commands = &tick, .count = 1};
    struct buffer bytes = {0};
    for (uint64_t us = 200; killed_at(&stage, job) == 0; us += 200) {
        stage.boot_ms = began + us / 1000;
        assert_true(stage.boot_ms < began + 95 * SECOND);
        entry.head = (struct entry_head){.version = 1,
                                         .elapsed_ms = (uint16_t)(stage.boot_ms - last),
                                         .clock_ms = SCRIPT_CLOCK_MS + stage.boot_ms};
        last = stage.boot_ms;
        bytes.length = 0;
        entry_encode(&entry, &bytes);
        struct bytes effects;
        assert_int_equal(rig_apply(&stage.rig, buffer_bytes(&bytes), &effects), CORE_OK);
        take_effects(&stage, effects);
    }
    buffer_free(&bytes);
    assert_in_range(stage.boot_ms - began, 90001, 90999);
    assert_true(rig_info(&stage.rig).service_ms - service == stage.boot_ms - began);
}

/* ---- The wall clock ---- */

static uint64_t shown(void)
{
    return stage.shown_ms - SCRIPT_CLOCK_MS;
}
static uint64_t real(void)
{
    return (uint64_t)((int64_t)stage.boot_ms + stage.wall_off);
}

static void test_the_wall_clock_comes_home(void **state)
{
    (void)state;
    enter(&stage, CREATE("a")); /* so that there are ticks */
    assert_true(shown() == real());
    stage.wall_off -= HOUR; /* somebody corrects a clock that was an hour ahead */
    uint64_t before = shown(), began = stage.boot_ms;
    for (int i = 0; i < 200;
         i++) { /* it never stands still, be the entries ever so near each other */
        stage.boot_ms += 2;
        enter(&stage, NULL);
        assert_true(shown() == before + (uint64_t)(i + 1));
    }
    for (int i = 0; i < 200; i++) { /* halves are carried */
        stage.boot_ms += 1;
        enter(&stage, NULL);
    }
    assert_true(shown() == before + 200 + 100);
    uint64_t home = 0;
    while (home == 0 && stage.boot_ms < began + 3 * HOUR) {
        pass(&stage, 10 * SECOND);
        enter(&stage, "update in=acme by=w job=$a");
        home = shown() == real() ? stage.boot_ms : 0;
    }
    print_message("home after %" PRIu64 " s\n", (home - began) / 1000);
    assert_in_range(home - began, 2 * HOUR - MINUTE, 2 * HOUR + MINUTE);
}

static void test_a_forward_step_within_an_hour_is_followed_at_once(void **state)
{
    (void)state;
    enter(&stage, NULL);
    stage.wall_off += HOUR - SECOND;
    stage.boot_ms += 10;
    enter(&stage, NULL);
    assert_true(shown() == real());
}

static void test_a_long_jump_is_followed_after_a_minute(void **state)
{
    (void)state;
    enter(&stage, CREATE("a"));
    stage.wall_off += TEN_YEARS;
    stage.boot_ms += 10;
    uint64_t jumped = stage.boot_ms, before = shown();
    enter(&stage, NULL);
    assert_true(shown() == before + 10);
    pass(&stage, 59 * SECOND);
    enter(&stage, NULL);
    assert_true(shown() == before + 10 + (stage.boot_ms - jumped)); /* as if nothing had happened */
    pass(&stage, 2 * SECOND);
    enter(&stage, NULL);
    assert_true(shown() == real());
}

static void test_a_jump_that_is_put_right_leaves_no_trace(void **state)
{
    (void)state;
    enter(&stage, CREATE("a"));
    stage.wall_off += TEN_YEARS;
    stage.boot_ms += 10;
    enter(&stage, NULL);
    pass(&stage, 30 * SECOND);
    stage.wall_off -= TEN_YEARS;
    stage.boot_ms += 10;
    enter(&stage, NULL);
    assert_true(shown() == real());
    pass(&stage, 2 * MINUTE);
    enter(&stage, NULL);
    assert_true(shown() == real());
}

static void test_the_first_entry_after_a_start_takes_the_real_clock_or_the_last_shown(void **state)
{
    (void)state;
    enter(&stage, NULL);
    stage.wall_off += TEN_YEARS;
    restart_after(&stage, MINUTE);
    enter(&stage, NULL);
    assert_true(shown() == real());
    uint64_t before = shown();
    stage.wall_off -= TEN_YEARS;
    restart_after(&stage, MINUTE);
    enter(&stage, NULL);
    assert_true(shown() == before);
    stage.boot_ms += 1000;
    enter(&stage, NULL);
    assert_true(shown() == before + 500);
}

/* ---- Idle ---- */

static void test_nothing_is_due_when_nothing_is_left(void **state)
{
    (void)state;
    assert_true(core_next_deadline(stage.rig.core) == UINT64_MAX);
    enter(&stage, CREATE("a"));
    enter(&stage, "record in=acme by=w request=r job=$a\nchange m/1/m json=\"{}\"\n"
                  "tick beat=acme/anna");
    enter(&stage, "update in=acme by=w job=$a percent=100 result=done");
    assert_true(core_next_deadline(stage.rig.core) != UINT64_MAX);
    uint64_t entries = stage.entries;
    pass(&stage, 25 * HOUR);
    assert_true(core_next_deadline(stage.rig.core) == UINT64_MAX);
    struct core_info info = rig_info(&stage.rig);
    assert_int_equal(info.activities + info.results + info.pending_changes + info.tickets +
                         info.present_users,
                     0);
    assert_int_equal(info.tombstones, 1);
    assert_in_range(stage.entries - entries, 24 * 3600, 25 * 3600);
    entries = stage.entries;
    pass(&stage, 1000 * (uint64_t)HOUR);
    assert_true(stage.entries == entries); /* an idle service writes nothing */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_alive_at_90_s_dead_before_91),
        TEST(test_a_late_sign_of_life_still_counts),
        TEST(test_every_phase),
        TEST(test_downtime_never_kills),
        TEST(test_a_pause_never_kills),
        TEST(test_stalls_in_a_row_never_kill),
        TEST(test_none_in_the_first_minute),
        TEST(test_wall_clock_steps_change_nothing),
        TEST(test_many_entries_do_not_slow_service_time),
        TEST(test_the_wall_clock_comes_home),
        TEST(test_a_forward_step_within_an_hour_is_followed_at_once),
        TEST(test_a_long_jump_is_followed_after_a_minute),
        TEST(test_a_jump_that_is_put_right_leaves_no_trace),
        TEST(test_the_first_entry_after_a_start_takes_the_real_clock_or_the_last_shown),
        TEST(test_nothing_is_due_when_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
