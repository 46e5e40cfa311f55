/* Random commands against the model: every reply and event judged, questions asked at random
 * moments, the state verified, restarts through snapshots, and at the end the whole journal
 * replayed.
 *
 * SEED= runs that seed alone, N= multiplies the number of seeds, TRACE=1 prints every step. A
 * failure prints the seed, the step, its entry and its effects. */
#include "tests/sim/random.h"
#include "tests/sim/script.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define SEEDS 10u
#define STEPS 10000u /* per seed */
#define WAITS 12u    /* at a time */

struct run {
    uint64_t seed, step;
    struct world world;
    struct model *model;
    struct rig rig;
    struct rig follower; /* loaded from a snapshot some time ago, and fed the same entries since */
    struct buffer journal;
    size_t *ends; /* of the entries in the journal */
    struct model_wait waits[WAITS];
    uint64_t restarts, wrong_digests, questions;
};

static void show_step(const struct run *run, struct bytes effects)
{
    script_print_entry(stdout, &run->world.entry);
    struct reader reader = reader_of(effects);
    struct effect effect;
    while (effects.length > 0 && effect_next(&reader, &effect)) {
        script_print_effect(stdout, &effect);
    }
}

static void show_failure(const struct run *run, struct bytes effects, const char *text)
{
    printf("seed %" PRIu64 " step %" PRIu64 " (entry %" PRIu64 "): %s\n", run->seed, run->step,
           run->rig.index, text);
    show_step(run, effects);
    printf("again with: SEED=%" PRIu64 " N=%s\n", run->seed,
           getenv("N") == NULL ? "1" : getenv("N"));
    fflush(stdout);
}

/* Encodes, applies and judges the entry that the world has made. */
static void apply(struct run *run)
{
    size_t from = run->journal.length;
    entry_encode(&run->world.entry, &run->journal);
    run->ends[run->step] = run->journal.length;
    struct bytes entry = bytes_of(run->journal.at + from, run->journal.length - from),
                 effects = {0};
    enum core_outcome outcome = rig_apply(&run->rig, entry, &effects);
    if (outcome != CORE_OK) {
        show_failure(run, bytes_of(NULL, 0), "the core does not apply it");
        fail_msg("core_apply: %d", (int)outcome);
    }
    if (getenv("TRACE") != NULL) {
        printf("# step %" PRIu64 "\n", run->step);
        show_step(run, effects);
    }
    if (!model_apply(run->model, run->rig.core, &run->world.entry, effects)) {
        show_failure(run, effects, model_complaint(run->model));
        fail_msg("%s", model_complaint(run->model));
    }
    struct core_info info = rig_info(&run->rig);
    world_applied(&run->world, info.index, info.digest);
    if (run->follower.core != NULL) {
        struct bytes same;
        assert_int_equal(rig_apply(&run->follower, entry, &same), CORE_OK);
        if (!bytes_equal(same, effects)) {
            show_failure(run, same, "a core that was loaded from a snapshot answers differently");
            fail_msg("the follower differs");
        }
    }
}

static void must(struct run *run, bool right)
{
    run->questions++;
    if (!right) {
        show_failure(run, bytes_of(NULL, 0), model_complaint(run->model));
        fail_msg("%s", model_complaint(run->model));
    }
}

/* Any caller's questions. */
static void ask(struct run *run)
{
    struct world *world = &run->world;
    struct command_caller caller;
    world_caller(world, &caller);
    const struct core *core = run->rig.core;
    uint32_t page = random_chance(&world->state, 500)
                        ? UINT32_MAX
                        : 1 + (uint32_t)random_below(&world->state, 5);
    struct core_find_activities filter = {0};
    world_filter(world, run->model, &filter);
    uint64_t since = random_chance(&world->state, 800)
                         ? 0
                         : rig_info(&run->rig).wall_ms - random_below(&world->state, 5000);
    must(run, model_check_find(run->model, core, &caller, &filter, page));
    for (int i = 0; i < 3; i++) {
        uint64_t job_id = world_job(world, run->model);
        if (random_chance(&world->state, 500)) {
            model_rightful(run->model, job_id, random_chance(&world->state, 500), &caller);
        }
        must(run, model_check_get(run->model, core, &caller, job_id));
        must(run, model_check_result(run->model, core, &caller, job_id));
    }
    must(run, model_check_changes(run->model, core, &caller, CHANGES_DATABASE, since, page));
    must(run, model_check_changes(run->model, core, &caller, CHANGES_INDEX, since, page));
    must(run, model_check_users(run->model, core, &caller));
    must(run, model_check_feed(run->model, core, 5));
}

/* Somebody begins to wait: for any job, for a family, for a ticket or for all of a job. */
static void begin_wait(struct run *run, struct model_wait *wait)
{
    struct world *world = &run->world;
    *wait = (struct model_wait){.for_tickets = random_chance(&world->state, 400)};
    world_caller(world, &wait->caller);
    uint64_t pick = random_next(&world->state) >> 8;
    if (wait->for_tickets) {
        struct command_caller recorder;
        uint64_t job_id = 0, ticket = model_ticket(run->model, pick, &job_id, &recorder);
        wait->visible.stage = VISIBLE_ACKED;
        if (random_chance(&world->state, 500)) {
            wait->visible.job_id = job_id != 0 ? job_id : world_job(world, run->model);
        } else {
            wait->visible.ticket = ticket ^ (random_chance(&world->state, 50) ? 1 : 0);
        }
        if (ticket != 0 && random_chance(&world->state, 700)) {
            wait->caller = recorder;
        } else if (random_chance(&world->state, 300)) {
            model_rightful(run->model, job_id, random_chance(&world->state, 500), &wait->caller);
        }
        return;
    }
    wait->activity.children = random_chance(&world->state, 700);
    wait->activity.percent =
        (uint8_t)(random_chance(&world->state, 500) ? LIMIT_PERCENT_MAX
                                                    : 1 + random_below(&world->state, 100));
    wait->activity.job_id = wait->activity.children && random_chance(&world->state, 800)
                                ? model_parent(run->model, pick)
                                : world_job(world, run->model);
    if (random_chance(&world->state, 700)) {
        model_rightful(run->model, wait->activity.job_id, random_chance(&world->state, 500),
                       &wait->caller);
    }
}

static void look(struct run *run)
{
    for (uint32_t i = 0; i < WAITS; i++) {
        struct model_wait *wait = &run->waits[i];
        bool none = wait->caller.tenant.length == 0;
        if (none && random_chance(&run->world.state, 300)) {
            begin_wait(run, wait);
            none = false;
        }
        if (!none) {
            must(run, model_check_wait(run->model, run->rig.core, wait));
            *wait = wait->over ? (struct model_wait){.for_tickets = false} : *wait;
        }
    }
}

static void take_progress(struct run *run)
{
    if (random_chance(&run->world.state, 50)) {
        model_remind(run->model, run->rig.core);
    }
    uint32_t slots = (uint32_t)random_below(&run->world.state, 200);
    must(run, model_check_progress(run->model, run->rig.core, slots));
}

static void verify(struct run *run)
{
    const char *wrong = core_verify(run->rig.core);
    if (wrong != NULL) {
        show_failure(run, bytes_of(NULL, 0), wrong);
        fail_msg("core_verify: %s", wrong);
    }
}

/* The process ends and starts again from a snapshot, with a capacity as small as the snapshot
 * allows, or larger. */
static void restart(struct run *run)
{
    struct buffer snapshot = {0}, again = {0};
    rig_save(&run->rig, &snapshot);
    struct core_limits larger = run->world.capacity;
    larger.activities_max += random_below(&run->world.state, 1000);
    larger.request_ids_max += random_below(&run->world.state, 1000);
    larger.feed_window_bytes += random_below(&run->world.state, MIB(4));
    struct rig loaded;
    bool smallest = random_chance(&run->world.state, 300);
    assert_int_equal(rig_load(&loaded, buffer_bytes(&snapshot), smallest ? NULL : &larger), 0);
    rig_save(&loaded, &again);
    if (!bytes_equal(buffer_bytes(&snapshot), buffer_bytes(&again))) {
        show_failure(run, bytes_of(NULL, 0), "a loaded snapshot is written differently");
        fail_msg("snapshots differ");
    }
    assert_true(core_state_hash(loaded.core) == core_state_hash(run->rig.core));
    assert_null(core_verify(loaded.core));
    /* The old core goes on beside the new one, so that what the snapshot left out would show. A
     * core of the smallest capacity can be asked but not go on: limits may come that are too large
     * for it. */
    if (smallest) {
        must(run, model_check_feed(run->model, loaded.core, 5));
        rig_close(&loaded);
    } else {
        rig_close(&run->follower);
        run->follower = run->rig;
        run->rig = loaded;
        model_progress_lost(run->model);
        run->world.restarted = true;
    }
    buffer_free(&snapshot);
    buffer_free(&again);
    run->restarts++;
}

/* A copy that is told a wrong digest must stop. */
static void diverge(struct run *run)
{
    struct buffer snapshot = {0}, entry = {0};
    rig_save(&run->rig, &snapshot);
    struct rig copy;
    assert_int_equal(rig_load(&copy, buffer_bytes(&snapshot), NULL), 0);
    struct core_info info = rig_info(&copy);
    struct command tick = {.kind = COMMAND_TICK,
                           .tick = {.index = info.index, .digest = info.digest ^ 1}};
    struct entry wrong = {
        .head = {.version = 1, .clock_ms = run->world.clock_ms}, .commands = &tick, .count = 1};
    entry_encode(&wrong, &entry);
    struct bytes effects;
    assert_int_equal(rig_apply(&copy, buffer_bytes(&entry), &effects), CORE_DIVERGED);
    rig_close(&copy);
    buffer_free(&snapshot);
    buffer_free(&entry);
    run->wrong_digests++;
}

/* The whole journal into a new core: same digest, same state to the byte. */
static void replay(struct run *run)
{
    struct rig second;
    rig_open(&second, &run->world.capacity);
    size_t from = 0;
    for (uint64_t i = 0; i <= run->step; i++) {
        struct bytes effects;
        assert_int_equal(
            rig_apply(&second, bytes_of(run->journal.at + from, run->ends[i] - from), &effects),
            CORE_OK);
        from = run->ends[i];
    }
    struct buffer first = {0}, other = {0};
    rig_save(&run->rig, &first);
    rig_save(&second, &other);
    assert_true(rig_info(&second).digest == rig_info(&run->rig).digest);
    assert_true(bytes_equal(buffer_bytes(&first), buffer_bytes(&other)));
    buffer_free(&first);
    buffer_free(&other);
    rig_close(&second);
}

static void run_seed(uint64_t seed, uint64_t steps, uint64_t met[MET_COUNT], struct run *totals)
{
    static struct run run; /* reachable when a failure jumps out */
    run = (struct run){
        .seed = seed, .model = model_new(), .ends = calloc(steps + 1, sizeof *run.ends)};
    assert_non_null(run.ends);
    world_init(&run.world, seed);
    rig_open(&run.rig, &run.world.capacity);
    world_first(&run.world);
    apply(&run);
    while (run.step < steps) {
        run.step++;
        world_next(&run.world, run.model);
        apply(&run);
        if (random_chance(&run.world.state, 40)) {
            ask(&run);
        }
        if (random_chance(&run.world.state, 150)) {
            look(&run);
        }
        if (random_chance(&run.world.state, 50)) {
            take_progress(&run);
        }
        if (random_chance(&run.world.state, 4)) {
            verify(&run);
        }
        if (random_chance(&run.world.state, 1)) {
            restart(&run);
        }
        if (run.step == steps / 2) {
            diverge(&run);
        }
    }
    verify(&run);
    restart(&run);
    replay(&run);
    for (int i = 0; i < MET_COUNT; i++) {
        met[i] += model_met(run.model)[i];
    }
    totals->restarts += run.restarts;
    totals->wrong_digests += run.wrong_digests;
    totals->questions += run.questions;
    model_free(run.model);
    rig_close(&run.follower);
    rig_close(&run.rig);
    buffer_free(&run.journal);
    world_deinit(&run.world);
    free(run.ends);
}

static uint64_t from_environment(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text == NULL || *text == 0 ? standard : strtoull(text, NULL, 0);
}

static void test_random_commands(void **state)
{
    (void)state;
    uint64_t only = from_environment("SEED", 0), times = from_environment("N", 1),
             met[MET_COUNT] = {0};
    struct run totals = {0};
    for (uint64_t seed = 1; seed <= SEEDS * times; seed++) {
        if (only == 0 || only == seed) {
            clock_t began = clock();
            run_seed(seed, STEPS, met, &totals);
            printf("seed %" PRIu64 ": %u steps in %.1f s\n", seed, STEPS,
                   (double)(clock() - began) / CLOCKS_PER_SEC);
        }
    }
    if (only > SEEDS * times) {
        run_seed(only, STEPS, met, &totals);
    }
    for (int i = 0; i < MET_COUNT; i++) {
        printf("%8" PRIu64 " %s\n", met[i], model_meetings[i]);
        assert_true(only != 0 || met[i] > 0); /* else the world is too tame */
    }
    printf("%8" PRIu64 " restarts, %" PRIu64 " wrong digests, %" PRIu64 " questions\n",
           totals.restarts, totals.wrong_digests, totals.questions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_commands)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
