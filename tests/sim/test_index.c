/* Changes on their way into an index, at random: recorded, taken, acknowledged, retried, parked,
 * retried by an admin or discarded, results that come late or for nothing, restarts with and
 * without an INDEX_START, the index given up and taken up again. Every reply, event and answer is
 * judged by index_model.h; at the end the journal is replayed.
 *
 * SEED= runs that seed alone, N= multiplies the number of seeds. */
#include "tests/sim/index_model.h"
#include "tests/sim/random.h"
#include "tests/sim/script.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SEEDS       8u
#define STEPS       12000u
#define EVENTS_MOST 512u

struct run {
    uint64_t seed, step, random, clock_ms, serial;
    struct index_model *model;
    struct core_limits capacity;
    struct rig rig, follower;
    struct buffer journal;
    size_t *ends;
    bool restarted;
    struct command command;
    struct event events[EVENTS_MOST];
    uint32_t event_count;
    struct effect reply;
    uint64_t copies;
    uint8_t bytes[16384];
};

static uint64_t below(struct run *run, uint64_t bound)
{
    return random_below(&run->random, bound);
}

static bool chance(struct run *run, unsigned of_thousand)
{
    return random_chance(&run->random, of_thousand);
}

static void fail_step(const struct run *run, const char *text)
{
    printf("seed %" PRIu64 " step %" PRIu64 ": %s\n", run->seed, run->step, text);
    script_print_command(stdout, &run->command);
    fail_msg("%s", text);
}

static void must(const struct run *run, bool right)
{
    if (!right) {
        fail_step(run, run->model->complaint);
    }
}

/* ---- Entries ---- */

static void keep_effects(struct run *run, struct bytes effects)
{
    struct reader from = reader_of(effects);
    struct effect effect;
    run->event_count = 0;
    while (effect_next(&from, &effect)) {
        if (effect.type == EFFECT_REPLY) {
            run->reply = effect;
            continue;
        }
        assert_true(run->event_count < EVENTS_MOST);
        assert_true(event_decode(effect.kind, effect.body, &run->events[run->event_count++]));
    }
}

/* Applies run->command in an entry of its own; its effects are then in `run`. */
static void apply(struct run *run, uint16_t elapsed_ms)
{
    struct entry entry = {.head = {.version = 1}, .commands = &run->command, .count = 1};
    if (run->restarted) {
        run->clock_ms += below(run, 60000);
        entry.head.flags = ENTRY_RESUME | ENTRY_JUMP;
        run->restarted = false;
    } else {
        entry.head.elapsed_ms = elapsed_ms;
        run->clock_ms += elapsed_ms;
    }
    entry.head.clock_ms = run->clock_ms;
    size_t from = run->journal.length;
    entry_encode(&entry, &run->journal);
    run->ends[run->step] = run->journal.length;
    struct bytes encoded = bytes_of(run->journal.at + from, run->journal.length - from), effects;
    assert_int_equal(rig_apply(&run->rig, encoded, &effects), CORE_OK);
    assert_true(effects.length <=
                command_effects_max(
                    bytes_of(encoded.at + ENTRY_HEAD_BYTES, encoded.length - ENTRY_HEAD_BYTES)) +
                    (run->command.kind == COMMAND_LIMITS ? CORE_EFFECTS_EXPIRY_MAX : 0));
    keep_effects(run, effects);
    if (run->follower.core != NULL) {
        struct bytes same;
        assert_int_equal(rig_apply(&run->follower, encoded, &same), CORE_OK);
        if (!bytes_equal(same, effects)) {
            fail_step(run, "a core that was loaded from a snapshot answers differently");
        }
    }
    struct core_info info = rig_info(&run->rig);
    run->model->service = info.service_ms;
    run->model->wall = info.wall_ms;
}

static uint16_t some_time(struct run *run)
{
    return (uint16_t)(chance(run, 600) ? below(run, 20) : below(run, 400));
}

/* ---- Commands ---- */

static void record(struct run *run)
{
    struct index_recorded changes[4];
    uint32_t count = 1 + (uint32_t)below(run, 4), tenant = (uint32_t)below(run, INDEX_TENANTS);
    struct writer to = writer_of(run->bytes, sizeof run->bytes);
    uint8_t json[INDEX_JSON_MOST];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t document =
            (uint32_t)below(run, INDEX_DOCUMENTS / INDEX_TENANTS) * INDEX_TENANTS + tenant;
        bool person = document / INDEX_TENANTS % INDEX_MODELS == 1;
        struct index_change *change = &changes[i].change;
        changes[i].document = document;
        *change = (struct index_change){.affected = (uint32_t)below(run, INDEX_AFFECTED),
                                        .fragment = person != chance(run, 40),
                                        .deleted = chance(run, 80),
                                        .urgent = chance(run, 30),
                                        .fill = (uint8_t)('a' + below(run, 26))};
        change->length = change->deleted ? 0 : (uint32_t)below(run, chance(run, 50) ? 900 : 300);
        memset(json, change->fill, change->length);
        struct command_change encoded = {.model = index_model_name(document),
                                         .document_id = index_id(document),
                                         .affected_model = index_affected(change->affected),
                                         .deleted = change->deleted,
                                         .fragment = change->fragment,
                                         .urgent = change->urgent,
                                         .json = bytes_of(json, change->length)};
        command_change_put(&to, &encoded);
    }
    run->command =
        (struct command){.kind = COMMAND_RECORD,
                         .record = {.caller = {.tenant = index_tenant(tenant),
                                               .principal = bytes_of("spiffe://test/recorder", 22)},
                                    .change_count = count,
                                    .changes = bytes_of(run->bytes, to.wanted)}};
    run->serial++;
    memcpy(run->command.record.request_id, &run->serial, sizeof run->serial);
    apply(run, some_time(run));
    must(run, index_record(run->model, changes, count, &run->reply));
}

static void take(struct run *run)
{
    run->command = (struct command){
        .kind = COMMAND_TAKE,
        .take = {.documents_max = chance(run, 300) ? 1 + (uint32_t)below(run, 4) : 1000,
                 .bytes_max = chance(run, 300) ? 1 + below(run, 2000) : MIB(5)}};
    apply(run, some_time(run));
    must(run, index_take(run->model, &run->command.take, &run->reply));
}

/* What an index may have to say about a batch of so many documents. */
static void make_result(struct run *run, uint64_t number, uint32_t count)
{
    static const char *const codes[] = {"", "MAPPER_PARSING", "VERSION_AHEAD"};
    static uint8_t outcomes[64];
    struct writer to = writer_of(run->bytes, sizeof run->bytes);
    unsigned trouble = chance(run, 400) ? 0 : 500;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t halvings = (uint32_t)below(run, chance(run, 950) ? 3 : COMMAND_HALVINGS_MAX + 1);
        outcomes[i] = !chance(run, trouble) ? INDEX_ACKED
                      : chance(run, 700)    ? index_retry(halvings)
                                            : INDEX_PARKED;
        if (outcomes[i] == INDEX_PARKED) {
            uint8_t message[COMMAND_REASON_MESSAGE_LENGTH];
            uint32_t length = (uint32_t)below(run, sizeof message + 1);
            memset(message, 'm', length);
            const char *code = codes[below(run, 3)];
            command_reason_put(&to, bytes_of(code, strlen(code)), bytes_of(message, length));
        }
    }
    uint64_t seen = chance(run, 950)   ? 0
                    : chance(run, 900) ? run->model->last_version + below(run, 1 << 30)
                                       : random_next(&run->random);
    uint32_t rest_ms = chance(run, 400) ? 0 : (uint32_t)below(run, chance(run, 900) ? 600 : 5000);
    run->command = (struct command){.kind = COMMAND_RESULT,
                                    .result = {.batch = number,
                                               .version_seen = seen,
                                               .retry_after_ms = rest_ms,
                                               .count = count,
                                               .outcomes = bytes_of(outcomes, count),
                                               .reasons = bytes_of(run->bytes, to.wanted)}};
}

static void result(struct run *run)
{
    const struct index_model *model = run->model;
    if (model->batch_count != 0 && !chance(run, 100)) {
        const struct index_batch *batch = &model->batches[below(run, model->batch_count)];
        make_result(run, batch->number, batch->count);
    } else { /* of a batch that came back, or never was */
        make_result(run, 1 + below(run, model->last_batch + 5), 1 + (uint32_t)below(run, 6));
        for (uint32_t i = 0; i < model->batch_count; i++) {
            if (model->batches[i].number == run->command.result.batch) {
                make_result(run, model->batches[i].number, model->batches[i].count);
            }
        }
    }
    apply(run, some_time(run));
    must(run, index_result(run->model, &run->command.result, run->events, run->event_count,
                           &run->reply));
}

static void start(struct run *run)
{
    run->command = (struct command){.kind = COMMAND_INDEX_START};
    apply(run, some_time(run));
    must(run, index_start(run->model, &run->reply));
}

static void decide(struct run *run)
{
    uint64_t park_id = 1 + below(run, run->model->last_park + 2);
    for (uint32_t i = 0, pick = (uint32_t)below(run, INDEX_DOCUMENTS); i < INDEX_DOCUMENTS; i++) {
        const struct index_document *document =
            &run->model->documents[(i + pick) % INDEX_DOCUMENTS];
        if (document->state == INDEX_SIDED && chance(run, 900)) {
            park_id = document->park_id;
            break;
        }
    }
    run->command = (struct command){
        .kind = COMMAND_PARKED,
        .parked = {.caller = {.tenant = index_tenant((uint32_t)below(run, INDEX_TENANTS)),
                              .principal = bytes_of("spiffe://test/admin", 19),
                              .rights = chance(run, 900) ? RIGHT_ADMIN : RIGHT_UPDATE_ANY},
                   .park_id = park_id,
                   .action = chance(run, 600) ? PARKED_RETRY : PARKED_DISCARD}};
    apply(run, some_time(run));
    must(run, index_parked(run->model, &run->command.parked, &run->reply));
}

static void tick(struct run *run)
{
    struct core_info info = rig_info(&run->rig);
    run->command = (struct command){.kind = COMMAND_TICK,
                                    .tick = {.index = info.index, .digest = info.digest}};
    apply(run, (uint16_t)below(run, 1000));
    if (run->event_count != 0) {
        fail_step(run, "a tick sends something although there is an index");
    }
}

static void set_limits(struct run *run, const struct core_limits *limits)
{
    run->command = (struct command){.kind = COMMAND_LIMITS};
    memcpy(run->command.limits.values, limits->values, sizeof limits->values);
    apply(run, 0);
    run->model->limits = *limits;
}

static void some_limits(struct run *run, struct core_limits *limits)
{
    limits->index_mode = 1;
    limits->flush_delay_ms = chance(run, 150) ? 0 : below(run, 600);
    limits->flush_documents = 1 + below(run, 8);
    limits->flush_bytes = 1024 + below(run, 3000);
    limits->pending_changes_max = INDEX_PENDING / 2 + below(run, INDEX_PENDING / 2 + 1);
    limits->ticket_keep_ms = INDEX_KEEP_LEAST_MS + below(run, 10000);
}

static void change_limits(struct run *run)
{
    struct core_limits limits = run->model->limits;
    if (chance(run, 300)) {
        limits.index_mode = limits.flush_delay_ms = 0;
        set_limits(run, &limits);
        must(run, index_left(run->model, run->events, run->event_count));
        run->step++;
        take(run);
        run->step++;
    }
    some_limits(run, &limits);
    set_limits(run, &limits);
    assert_int_equal(run->event_count, 0);
}

/* ---- Restarts ---- */

static void restart(struct run *run)
{
    struct buffer snapshot = {0}, again = {0};
    rig_save(&run->rig, &snapshot);
    struct rig loaded;
    assert_int_equal(rig_load(&loaded, buffer_bytes(&snapshot), &run->capacity), 0);
    rig_save(&loaded, &again);
    assert_true(bytes_equal(buffer_bytes(&snapshot), buffer_bytes(&again)));
    rig_close(&run->follower);
    run->follower = run->rig;
    run->rig = loaded;
    run->restarted = true;
    buffer_free(&snapshot);
    buffer_free(&again);
    run->copies++;
}

/* A result that counts other documents than the batch has is no entry of ours. */
static void miscount(struct run *run)
{
    const struct index_model *model = run->model;
    if (model->batch_count == 0) {
        return;
    }
    struct buffer snapshot = {0}, bytes = {0};
    rig_save(&run->rig, &snapshot);
    struct rig copy;
    assert_int_equal(rig_load(&copy, buffer_bytes(&snapshot), NULL), 0);
    make_result(run, model->batches[0].number, model->batches[0].count + 1);
    struct entry entry = {.head = {.version = 1}, .commands = &run->command, .count = 1};
    entry_encode(&entry, &bytes);
    struct bytes effects;
    assert_int_equal(rig_apply(&copy, buffer_bytes(&bytes), &effects), CORE_MALFORMED);
    rig_close(&copy);
    buffer_free(&snapshot);
    buffer_free(&bytes);
}

static void replay(struct run *run, uint64_t entries)
{
    struct rig second;
    rig_open(&second, &run->capacity);
    size_t from = 0;
    for (uint64_t i = 0; i < entries; i++) {
        struct bytes effects;
        assert_int_equal(
            rig_apply(&second, bytes_of(run->journal.at + from, run->ends[i] - from), &effects),
            CORE_OK);
        from = run->ends[i];
    }
    struct buffer first = {0}, other = {0};
    rig_save(&run->rig, &first);
    rig_save(&second, &other);
    assert_true(bytes_equal(buffer_bytes(&first), buffer_bytes(&other)));
    buffer_free(&first);
    buffer_free(&other);
    rig_close(&second);
}

static void verify(const struct run *run)
{
    const char *what = core_verify(run->rig.core);
    if (what != NULL) {
        fail_step(run, what);
    }
}

/* ---- The whole ---- */

static void step(struct run *run)
{
    uint64_t kind = below(run, 1000);
    if (kind < 400) {
        record(run);
    } else if (kind < 640) {
        take(run);
    } else if (kind < 850) {
        result(run);
    } else if (kind < 930) {
        decide(run);
    } else if (kind < 938) {
        start(run);
    } else if (kind < 946) {
        change_limits(run);
    } else {
        tick(run);
    }
    run->step++;
}

static void begin(struct run *run)
{
    struct core_limits limits;
    core_limits_standard(&limits);
    limits.activities_max = limits.results_max = limits.tombstones_max = 16;
    limits.activity_text_bytes = limits.change_text_bytes = limits.names_bytes = MIB(1);
    limits.result_bytes = limits.pending_bytes = MIB(2);
    limits.feed_window_bytes = MIB(1);
    limits.change_documents_max = 2 * INDEX_DOCUMENTS;
    limits.change_models_max = 2 * INDEX_DOCUMENTS * INDEX_AFFECTED;
    limits.request_ids_max = 65536;
    limits.request_id_least_ms = limits.request_id_most_ms = 1000;
    limits.names_max = 1024;
    limits.present_users_max = 8;
    limits.tickets_max = INDEX_TICKETS;
    limits.pending_changes_max = INDEX_PENDING;
    limits.index_mode = 1;
    limits.flush_delay_ms = 1000;
    run->capacity = limits; /* the others that change are smaller than the standard ones */
    some_limits(run, &limits);
    limits.pending_changes_max = INDEX_PENDING;
    rig_open(&run->rig, &run->capacity);
    run->command = (struct command){
        .kind = COMMAND_EPOCH,
        .epoch = {.epoch = run->seed, .hash_key = {1, 2, 3}, .first_ticket = run->seed << 32}};
    apply(run, 0);
    run->step++;
    set_limits(run, &limits);
    run->step++;
}

static void run_seed(uint64_t seed, uint64_t met[INDEX_MET_COUNT])
{
    static struct run run;
    run = (struct run){.seed = seed,
                       .random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1,
                       .clock_ms = SCRIPT_CLOCK_MS,
                       .restarted = true,
                       .model = calloc(1, sizeof *run.model),
                       .ends = calloc(STEPS + 8, sizeof *run.ends)};
    assert_non_null(run.model);
    assert_non_null(run.ends);
    begin(&run);
    while (run.step < STEPS) {
        step(&run);
        must(&run, index_ask(run.model, run.rig.core, random_next(&run.random)));
        if (chance(&run, 30)) {
            verify(&run);
        }
        if (chance(&run, 4)) {
            restart(&run);
            if (chance(&run, 700)) {
                start(&run);
                run.step++;
            }
        }
        if (chance(&run, 2)) {
            miscount(&run);
        }
    }
    verify(&run);
    replay(&run, run.step);
    assert_true(run.copies > 5);
    for (int i = 0; i < INDEX_MET_COUNT; i++) {
        met[i] += run.model->met[i];
    }
    rig_close(&run.rig);
    rig_close(&run.follower);
    buffer_free(&run.journal);
    free(run.model);
    free(run.ends);
}

static uint64_t from_environment(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text == NULL || *text == 0 ? standard : strtoull(text, NULL, 0);
}

static void test_index(void **state)
{
    (void)state;
    uint64_t only = from_environment("SEED", 0), times = from_environment("N", 1),
             met[INDEX_MET_COUNT] = {0};
    for (uint64_t seed = 1; seed <= SEEDS * times; seed++) {
        if (only == 0 || only == seed) {
            run_seed(seed, met);
        }
    }
    for (int i = 0; i < INDEX_MET_COUNT; i++) {
        printf("%8" PRIu64 " %s\n", met[i], index_meetings[i]);
        assert_true(only != 0 || met[i] > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_index)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
