/* Snapshots: equal after a round trip, equal while going on, the same in any capacity; damaged ones
 * are refused. And the golden journal, whose hash is committed. */
#include <stdio.h>

#include <xxhash.h>

#include "tests/unit/server/core/drive.h"

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % below);
}

/* ---- A bit of everything ---- */

#define KNOWN 64
struct world {
    struct drive *d;
    uint64_t jobs[KNOWN];
    struct command_caller owners[KNOWN];
    uint32_t next;
    char names[16];
};

static struct command_caller somebody(void)
{
    static const char *const tenants[] = {"studio", "other", "third"};
    static const char *const principals[] = {"spiffe://test/app", "spiffe://test/batch"};
    static const char *const users[] = {"anna", "bert", "carla", NULL};
    struct command_caller caller =
        drive_caller(tenants[random_below(3)], principals[random_below(2)], users[random_below(4)]);
    if (random_below(2) == 0) {
        drive_in_group(&caller, "editors");
    }
    return caller;
}

static void create_one(struct world *w)
{
    struct command_caller caller = somebody();
    struct command command =
        drive_create_command(w->d, &caller, random_below(2) == 0 ? "upload" : "transcoding");
    char title[200];
    memset(title, 'a' + (int)random_below(26), sizeof title);
    command.create.title = bytes_of(title, random_below(200));
    command.create.groups.count = (uint8_t)random_below(3);
    command.create.groups.names[0] = drive_text("editors");
    command.create.groups.names[1] = drive_text("cutters");
    struct effect reply = drive_one(w->d, &command);
    if (reply.code == STATUS_OK) {
        w->jobs[w->next % KNOWN] = drive_created(&reply);
        w->owners[w->next++ % KNOWN] = caller;
    }
}

static void update_one(struct world *w)
{
    uint32_t nth = random_below(KNOWN);
    struct command command =
        drive_update_command(&w->owners[nth], w->jobs[nth], (int)random_below(105) - 5);
    char text[512];
    memset(text, 'A' + (int)random_below(26), sizeof text);
    if (command.update.percent > 100 || w->jobs[nth] == 0) {
        return;
    }
    if (!command.update.has_percent && random_below(4) == 0) {
        command.update.has_failure = true;
        command.update.failure_code = drive_text("BROKEN");
        command.update.failure_message = bytes_of(text, random_below(500));
    } else if (command.update.percent == 100) {
        command.update.result = bytes_of(text, random_below(500));
    }
    command.update.has_status_text = random_below(3) == 0;
    command.update.status_text =
        bytes_of(text, command.update.has_status_text ? random_below(500) : 0);
    (void)drive_one(w->d, &command);
}

static void batch_some(struct world *w)
{
    uint64_t ids[20];
    uint8_t percents[20];
    uint32_t nth = random_below(KNOWN);
    for (int i = 0; i < 20; i++) {
        ids[i] = w->jobs[random_below(KNOWN)] + (random_below(10) == 0 ? 1000 : 0);
        percents[i] = (uint8_t)random_below(101);
    }
    if (w->jobs[nth] != 0) {
        struct reply_batch reply;
        drive_batch(w->d, &w->owners[nth], &(struct drive_batch){20, ids, percents}, &reply);
    }
}

static void record_some(struct world *w)
{
    uint8_t changes[8192];
    struct writer to = writer_of(changes, sizeof changes);
    struct command command = {.kind = COMMAND_RECORD, .record = {.caller = somebody()}};
    command.record.change_count = 1 + random_below(5);
    for (uint32_t i = 0; i < command.record.change_count; i++) {
        char id[2] = {(char)('0' + random_below(10)), 0};
        struct command_change change = {
            .model = drive_text("mediacontainer"),
            .document_id = drive_text(id),
            .affected_model = drive_text(random_below(2) == 0 ? "mediaContainer" : "person"),
            .json = drive_text("{\"a\": 1}")};
        change.groups.count = (uint8_t)random_below(2);
        change.groups.names[0] = drive_text("*");
        command_change_put(&to, &change);
    }
    command.record.changes = bytes_of(changes, to.wanted);
    w->d->request++;
    memcpy(command.record.request_id, &w->d->request, sizeof w->d->request);
    (void)drive_one(w->d, &command);
}

static void step(struct world *w)
{
    switch (random_below(12)) {
    case 0:
    case 1:
    case 2:
        create_one(w);
        break;
    case 3:
    case 4:
    case 5:
        update_one(w);
        break;
    case 6:
        batch_some(w);
        break;
    case 7:
        record_some(w);
        break;
    case 8: {
        uint32_t nth = random_below(KNOWN);
        if (w->jobs[nth] != 0) {
            (void)drive_destroy(w->d, &w->owners[nth], w->jobs[nth]);
        }
        break;
    }
    case 9:
        drive_beat(w->d, "studio", random_below(2) == 0 ? "anna" : "bert");
        break;
    case 10:
        drive_wait(w->d, random_below(3000));
        break;
    default:
        drive_tick(w->d, (uint16_t)random_below(300),
                   random_below(50) == 0 ? ENTRY_RESUME | ENTRY_JUMP : 0);
        break;
    }
}

static struct core_limits small_limits(void)
{
    struct core_limits limits = drive_limits();
    limits.activities_max = 40;
    limits.tombstones_max = 60;
    limits.results_max = 10;
    limits.present_users_max = 2;
    limits.kill_after_ms = 20000;
    limits.resume_grace_ms = 5000;
    limits.ended_keep_ms = 5000;
    limits.change_documents_max = 20;
    limits.change_models_max = 30;
    limits.tickets_max = 50;
    limits.ticket_keep_ms = 10000;
    return limits;
}

static void equal_snapshots(const struct drive *a, const struct drive *b)
{
    struct drive_snapshot one = drive_snapshot(a);
    struct drive_snapshot two = drive_snapshot(b);
    assert_int_equal(one.length, two.length);
    assert_memory_equal(one.at, two.at, one.length);
    assert_true(core_state_hash(a->core) == core_state_hash(b->core));
    free(one.at);
    free(two.at);
}

/* Applies to `to` what was journaled since `from`. */
static size_t follow(struct drive *to, const struct drive *of, size_t from)
{
    drive_replay(to, of->journal + from, of->journal_bytes - from);
    return of->journal_bytes;
}

static void round_trips_stay_equal(void **state)
{
    (void)state;
    struct core_limits limits = small_limits();
    struct core_limits larger = limits;
    larger.activities_max = 5000;
    larger.names_max = 9999;
    larger.change_documents_max = 333;
    larger.feed_window_bytes = MIB(5);
    larger.request_ids_max *= 2;
    struct world w = {.d = drive_new(&limits)};
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 300; i++) {
            step(&w);
        }
        drive_verify(w.d);
        struct drive_snapshot s = drive_snapshot(w.d);
        struct core_limits needed;
        struct core_stream stream = drive_stream(&s);
        assert_int_equal(core_snapshot_limits(&stream, &needed), 0);
        assert_memory_equal(&needed, &limits, sizeof needed);
        struct drive *copy = drive_load(&s, round % 2 == 0 ? &needed : &larger);
        equal_snapshots(w.d, copy);
        size_t at = w.d->journal_bytes;
        for (int i = 0; i < 300; i++) {
            step(&w);
        }
        (void)follow(copy, w.d, at);
        equal_snapshots(w.d, copy);
        drive_verify(copy);
        drive_free(copy);
        free(s.at);
    }
    struct drive *replayed = drive_bare(&limits);
    drive_replay(replayed, w.d->journal, w.d->journal_bytes);
    equal_snapshots(w.d, replayed);
    drive_free(replayed);
    drive_free(w.d);
}

/* Capacity is no state: also not before LIMITS came, and not through free lists or trees. */
static void capacity_is_no_state(void **state)
{
    (void)state;
    struct core_limits limits = small_limits();
    struct core_limits standard;
    core_limits_standard(&standard);
    core_limits_raise(&standard, &limits);
    struct world w = {.d = drive_new(&limits)};
    for (int i = 0; i < 3000; i++) {
        step(&w);
    }
    struct drive *large = drive_bare(&standard);
    drive_replay(large, w.d->journal, w.d->journal_bytes);
    equal_snapshots(w.d, large);
    drive_free(large);
    drive_free(w.d);
}

/* A limit that is lowered fails nothing: what is live stays, what is retained leaves oldest first;
 * and it can be raised. */
static void lowered_limits(void **state)
{
    (void)state;
    struct core_limits limits = small_limits();
    struct core_limits least = limits;
    least.activities_max = 5;
    least.tombstones_max = 3;
    least.results_max = 1;
    least.present_users_max = 1;
    least.change_documents_max = 2;
    least.change_models_max = 3;
    least.pending_changes_max = 1;
    least.tickets_max = 1;
    least.names_max = 1024;
    struct world w = {.d = drive_new(&limits)};
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 200; i++) {
            step(&w);
        }
        drive_set_limits(w.d, round % 2 == 0 ? &least : &limits);
        drive_tick(w.d, 1, 0);
        struct core_info info;
        core_info(w.d->core, &info);
        if (round % 2 == 0) {
            assert_true(info.tombstones <= 3 && info.results <= 1 && info.present_users <= 1);
            assert_true(info.activities <= 5 || info.activities == info.running);
        }
        drive_verify(w.d);
        struct drive_snapshot s = drive_snapshot(w.d);
        struct drive *copy = drive_load(&s, &limits);
        equal_snapshots(w.d, copy);
        drive_free(copy);
        free(s.at);
    }
    drive_free(w.d);
}

/* ---- Damage ---- */

static int load_result(struct drive_snapshot *s, const struct core_limits *capacity)
{
    size_t bytes;
    struct core *core = drive_core_new(capacity, &bytes);
    struct core_stream stream = drive_stream(s);
    s->position = 0;
    int result = core_snapshot_read(core, &stream);
    if (result == 0) { /* what is taken as sound must bear everything */
        assert_null(core_verify(core));
        struct bytes effects;
        struct core_info info;
        core_info(core, &info);
        uint8_t entry[ENTRY_HEAD_BYTES];
        for (int i = 0; i < 200; i++) {
            struct entry_head head = {.version = 1, .elapsed_ms = 1000, .clock_ms = info.wall_ms};
            struct writer to = writer_of(entry, sizeof entry);
            entry_head_encode(&head, &to);
            assert_int_equal(
                core_apply(core, ++info.index, bytes_of(entry, sizeof entry), &effects), CORE_OK);
        }
        assert_null(core_verify(core));
    }
    drive_core_free(core, bytes);
    return result;
}

static struct world busy(const struct core_limits *limits)
{
    struct world w = {.d = drive_new(limits)};
    for (int i = 0; i < 1500; i++) {
        step(&w);
    }
    return w;
}

/* One bit anywhere: the hash at the end finds it. */
static void flipped_bits_are_refused(void **state)
{
    (void)state;
    struct core_limits limits = small_limits();
    limits.feed_window_bytes = MIB(1);
    limits.request_ids_max = 1024;
    struct world w = busy(&limits);
    struct drive_snapshot s = drive_snapshot(w.d);
    for (int i = 0; i < 400; i++) {
        size_t at = ((size_t)random_below(1u << 30)) % s.length;
        uint8_t bit = (uint8_t)(1u << random_below(8));
        s.at[at] ^= bit;
        assert_int_not_equal(load_result(&s, &limits), 0);
        s.at[at] ^= bit;
    }
    assert_int_equal(load_result(&s, &limits), 0);
    size_t whole = s.length;
    for (int i = 0; i < 100; i++) {
        s.length = ((size_t)random_below(1u << 30)) % whole;
        assert_int_not_equal(load_result(&s, &limits), 0);
    }
    free(s.at);
    drive_free(w.d);
}

/* Hostile bytes with a right hash: refused, or as good as sound. */
static void hostile_snapshots_do_no_harm(void **state)
{
    (void)state;
    struct core_limits limits = small_limits();
    limits.feed_window_bytes = MIB(1);
    limits.request_ids_max = 1024;
    const char *n = getenv("N");
    int rounds = 3000 * (n == NULL ? 1 : atoi(n));
    struct world w = busy(&limits);
    struct drive_snapshot s = drive_snapshot(w.d);
    uint8_t *whole = malloc(s.length);
    assert_non_null(whole);
    memcpy(whole, s.at, s.length);
    int taken = 0;
    for (int i = 0; i < rounds; i++) {
        for (uint32_t k = 1 + random_below(3); k != 0; k--) {
            size_t at = ((size_t)random_below(1u << 30)) % (s.length - 16);
            uint32_t value = random_below(4) == 0 ? random_below(UINT32_MAX) : random_below(300);
            memcpy(s.at + at / 4 * 4, &value, random_below(2) == 0 ? 4 : 1);
        }
        uint64_t hash = XXH3_64bits(s.at, s.length - 8);
        memcpy(s.at + s.length - 8, &hash, sizeof hash);
        taken += load_result(&s, &limits) == 0;
        memcpy(s.at, whole, s.length);
    }
    assert_true(taken < rounds);
    free(whole);
    free(s.at);
    drive_free(w.d);
}

static void too_small_a_core_says_so(void **state)
{
    (void)state;
    struct core_limits limits = small_limits();
    struct world w = busy(&limits);
    struct drive_snapshot s = drive_snapshot(w.d);
    struct core_limits less = limits;
    less.activities_max--;
    assert_int_equal(load_result(&s, &less), CORE_TOO_LARGE);
    struct drive *small = drive_bare(&less);
    drive_epoch(small, DRIVE_EPOCH, 0);
    struct command command = {.kind = COMMAND_LIMITS};
    memcpy(command.limits.values, limits.values, sizeof limits.values);
    drive_begin(small, 0, 0);
    drive_add(small, &command);
    assert_int_equal(drive_try(small), CORE_TOO_LARGE);
    drive_free(small);
    free(s.at);
    drive_free(w.d);
}

static void a_wrong_digest_is_noticed(void **state)
{
    (void)state;
    struct core_limits limits = small_limits();
    for (uint64_t age = 1; age <= 70; age++) {
        struct drive *d = drive_new(&limits);
        drive_wait_by(d, 100, 1);
        struct core_info info;
        core_info(d->core, &info);
        struct command tick = {.kind = COMMAND_TICK,
                               .tick = {.index = info.index, .digest = info.digest ^ 1}};
        for (uint64_t i = 1; i < age; i++) {
            drive_tick(d, 1, 0);
        }
        drive_begin(d, 0, 0);
        drive_add(d, &tick);
        assert_int_equal(drive_try(d), age <= 64 ? CORE_DIVERGED : CORE_OK);
        drive_free(d);
    }
}

/* Bytes that are no entry. */
static void malformed_entries(void **state)
{
    (void)state;
    struct core_limits limits = small_limits();
    struct world w = busy(&limits);
    size_t length = w.d->journal_bytes;
    for (int i = 0; i < 300; i++) {
        struct drive *d = drive_bare(&limits);
        size_t at = 0;
        uint32_t bytes = 0;
        for (uint32_t k = random_below(50); k != 0 && at < length; k--) {
            memcpy(&bytes, w.d->journal + at, sizeof bytes);
            assert_int_equal(drive_try_bytes(d, bytes_of(w.d->journal + at + 4, bytes)), CORE_OK);
            at += 4 + bytes;
        }
        memcpy(&bytes, w.d->journal + at, sizeof bytes);
        uint8_t *copy = malloc(bytes);
        assert_non_null(copy);
        memcpy(copy, w.d->journal + at + 4, bytes);
        copy[random_below(bytes)] ^= (uint8_t)(1 + random_below(255));
        uint32_t cut = random_below(3) == 0 ? random_below(bytes) : bytes;
        (void)drive_try_bytes(d, bytes_of(copy, cut)); /* any outcome, but none that aborts */
        free(copy);
        drive_free(d);
    }
    drive_free(w.d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips_stay_equal),
        cmocka_unit_test(capacity_is_no_state),
        cmocka_unit_test(lowered_limits),
        cmocka_unit_test(flipped_bits_are_refused),
        cmocka_unit_test(hostile_snapshots_do_no_harm),
        cmocka_unit_test(too_small_a_core_says_so),
        cmocka_unit_test(a_wrong_digest_is_noticed),
        cmocka_unit_test(malformed_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
