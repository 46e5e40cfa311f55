/* Snapshots of a state with an index: the same as others, and in the old form while there is none.
 * Hostile ones do no harm, whatever is taken, answered or decided afterwards. */
#include <stdio.h>

#include <xxhash.h>

#include "tests/unit/server/core/drive_index.h"

#define MAGIC_WITHOUT "ACTCORE1"
#define MAGIC_WITH    "ACTCORE2"

static uint64_t random_state = 11;

static uint32_t random_below(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % below);
}

static struct core_limits small_limits(void)
{
    struct core_limits limits = index_limits();
    limits.activities_max = limits.results_max = limits.tombstones_max = 16;
    limits.change_documents_max = limits.change_models_max = 60;
    limits.pending_changes_max = 200;
    limits.flush_documents = 4;
    limits.flush_delay_ms = 50;
    limits.feed_window_bytes = MIB(1);
    limits.request_ids_max = 1024;
    limits.names_max = 1024;
    limits.tickets_max = 300;
    return limits;
}

static void record_some(struct drive *d)
{
    struct command_change changes[5];
    char ids[5][2];
    uint32_t count = 1 + random_below(5);
    for (uint32_t i = 0; i < count; i++) {
        ids[i][0] = (char)('a' + random_below(12));
        ids[i][1] = 0;
        changes[i] = random_below(2) == 0 ? index_change(ids[i], "{\"a\":1}")
                                          : index_fragment(ids[i], "{\"b\":2}");
        changes[i].urgent = random_below(10) == 0;
    }
    struct core_info info;
    core_info(d->core, &info);
    if (info.pending_changes + count <= 180) {
        (void)index_record_all(d, changes, count, (uint16_t)random_below(40));
    }
}

static void answer_some(struct drive *d)
{
    struct core_index_status status = index_status(d);
    if (status.batch_count == 0) {
        return;
    }
    const struct core_index_batch *batch = &status.batches[random_below(status.batch_count)];
    char outcomes[8] = {0};
    for (uint32_t i = 0; i < batch->documents; i++) {
        outcomes[i] = "AAR13P"[random_below(6)];
    }
    (void)index_result_rest(d, batch->number, outcomes, random_below(1000), random_below(400));
}

static void step(struct drive *d)
{
    struct command_caller admin = index_admin("studio");
    switch (random_below(6)) {
    case 0:
    case 1:
        record_some(d);
        break;
    case 2:
    case 3:
        (void)index_take_of(d, (uint16_t)random_below(60), 4, 1000);
        break;
    case 4:
        answer_some(d);
        break;
    default:
        (void)index_decide(d, &admin, 1 + random_below(60),
                           random_below(2) == 0 ? PARKED_RETRY : PARKED_DISCARD);
        break;
    }
}

/* With something in every place: urgent, in flight, parked. */
static struct drive *busy(void)
{
    struct core_limits limits = small_limits();
    struct drive *d = drive_new(&limits);
    for (int i = 0; i < 300; i++) {
        step(d);
    }
    for (uint32_t i = 0; i < 30 || index_status(d).parked_documents == 0; i++) {
        record_some(d);
        struct reply_take taken = index_take_of(d, 60, 2, 1000);
        if (i % 3 == 0 && taken.batch != 0) {
            (void)index_result(d, taken.batch, taken.document_count == 1 ? "P" : "PP");
        }
    }
    struct command_change urgent = index_change("urgent", "{}");
    urgent.urgent = true;
    (void)index_record(d, urgent);
    struct core_index_status status = index_status(d);
    assert_true(status.flying_documents > 0 && status.waiting_documents > 0);
    return d;
}

static bool begins_with(const struct drive_snapshot *s, const char *magic)
{
    return memcmp(s->at, magic, 8) == 0;
}

static void the_form_is_the_old_one_while_there_is_no_index(void **state)
{
    (void)state;
    struct core_limits limits = small_limits();
    limits.index_mode = 0;
    struct core_limits with = small_limits();
    struct drive *d = drive_bare(&with);
    drive_epoch(d, DRIVE_EPOCH, 0);
    drive_set_limits(d, &limits);
    for (int i = 0; i < 50; i++) {
        record_some(d);
    }
    struct drive_snapshot old = drive_snapshot(d);
    assert_true(begins_with(&old, MAGIC_WITHOUT));
    struct drive *loaded = drive_load(&old, &with); /* and goes on with one */
    loaded->request = d->request;
    drive_set_limits(loaded, &with);
    (void)index_record(loaded, index_change("1", "{}"));
    assert_int_equal(index_take(loaded, 60).batch, 1);
    struct drive_snapshot new = drive_snapshot(loaded);
    assert_true(begins_with(&new, MAGIC_WITH));
    drive_free(loaded);
    free(old.at);
    free(new.at);
    drive_free(d);
}

static void round_trips_stay_equal(void **state)
{
    (void)state;
    struct drive *d = busy();
    struct core_limits larger = small_limits();
    larger.pending_changes_max = 5000;
    larger.change_documents_max = 700;
    for (int round = 0; round < 40; round++) {
        struct drive_snapshot s = drive_snapshot(d);
        assert_true(begins_with(&s, MAGIC_WITH));
        struct drive *copy = drive_load(&s, round % 2 == 0 ? &d->capacity : &larger);
        drive_verify(copy);
        size_t at = d->journal_bytes;
        for (int i = 0; i < 40; i++) {
            step(d);
        }
        drive_replay(copy, d->journal + at, d->journal_bytes - at);
        struct drive_snapshot one = drive_snapshot(d);
        struct drive_snapshot two = drive_snapshot(copy);
        assert_int_equal(one.length, two.length);
        assert_memory_equal(one.at, two.at, one.length);
        free(one.at);
        free(two.at);
        free(s.at);
        drive_free(copy);
    }
    drive_free(d);
}

static int load_result(struct drive_snapshot *s, const struct core_limits *capacity)
{
    struct drive *d = drive_bare(capacity);
    struct core_stream stream = drive_stream(s);
    s->position = 0;
    int result = core_snapshot_read(d->core, &stream);
    if (result == 0) { /* what is taken as sound must bear everything */
        struct core_info info;
        core_info(d->core, &info);
        d->index = info.index;
        d->clock_ms = info.wall_ms;
        drive_verify(d);
        struct core_parked_walk walk;
        struct core_parked parked;
        struct command_caller admin = index_admin("studio");
        core_parked_walk_init(&walk, d->core, drive_text(""), 0);
        while (core_parked_next(&walk, &parked) == CORE_FOUND) {
            assert_true(parked.changes != 0);
        }
        if (walk.position != 0) {
            (void)index_decide(d, &admin, walk.position, PARKED_DISCARD);
        }
        if (info.limits.index_mode != 0 && info.limits.flush_documents == 4) {
            answer_some(d);
            (void)index_start(d);
            (void)index_take(d, 100);
            answer_some(d);
        }
        struct core_limits none = info.limits;
        none.index_mode = 0;
        drive_set_limits(d, &none);
        drive_wait(d, 3000);
        drive_verify(d);
    }
    drive_free(d);
    return result;
}

static void hostile_snapshots_do_no_harm(void **state)
{
    (void)state;
    const char *n = getenv("N");
    int rounds = 3000 * (n == NULL ? 1 : atoi(n));
    struct drive *d = busy();
    struct drive_snapshot s = drive_snapshot(d);
    uint8_t *whole = malloc(s.length);
    assert_non_null(whole);
    memcpy(whole, s.at, s.length);
    int taken = 0;
    for (int i = 0; i < rounds; i++) {
        /* Half of the bytes that change belong to what an index brought. */
        size_t from = random_below(2) == 0 ? s.length - 2000 : 0;
        for (uint32_t k = 1 + random_below(3); k != 0; k--) {
            size_t at = from + random_below((uint32_t)(s.length - from - 16));
            uint32_t value = random_below(4) == 0 ? random_below(UINT32_MAX) : random_below(40);
            memcpy(s.at + at / 4 * 4, &value, random_below(2) == 0 ? 4 : 1);
        }
        uint64_t hash = XXH3_64bits(s.at, s.length - 8);
        memcpy(s.at + s.length - 8, &hash, sizeof hash);
        taken += load_result(&s, &d->capacity) == 0;
        memcpy(s.at, whole, s.length);
    }
    assert_int_equal(load_result(&s, &d->capacity), 0);
    assert_true(taken > 0 && taken < rounds);
    for (int i = 0; i < 200; i++) {
        struct drive_snapshot cut = {.at = s.at, .length = random_below((uint32_t)s.length)};
        assert_int_not_equal(load_result(&cut, &d->capacity), 0);
    }
    free(whole);
    free(s.at);
    drive_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form_is_the_old_one_while_there_is_no_index),
        cmocka_unit_test(round_trips_stay_equal),
        cmocka_unit_test(hostile_snapshots_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
