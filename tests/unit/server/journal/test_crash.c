/* Crashes at any point, judged by what was promised: power cuts in the middle of opening,
 * committing, rolling, snapshots and trimming, failed syncs, dead processes. After each, every
 * acknowledged entry is there, in order, with its own bytes; what was under way is there or not,
 * but as a prefix; and the journal opens without help. */
#include "tests/unit/server/journal/fixture.h"
#include "tests/unit/server/journal/storage_memory.c"

enum { MOST = 200000, ENTRIES = 4000, STATE_MAX = 600000 };

static uint64_t dice;

static uint64_t below(uint64_t limit)
{
    dice = fixture_mix(dice + 0x9e3779b97f4a7c15ull);
    return dice % limit;
}

/* What one machine has been promised. */
static struct {
    uint64_t serials[ENTRIES]; /* of the body proposed last as this entry */
    uint64_t acknowledged;     /* must be there */
    uint64_t proposed;         /* may be there */
    uint64_t next_serial;
    uint64_t epoch;
    unsigned snapshots_seen;
    unsigned cut_entries; /* proposed but gone */
    unsigned failures;    /* lives that ended with a failed sync */
} promise;

/* The state after an entry, as a number. */
static uint64_t digest_after(uint64_t index)
{
    uint64_t digest = 0;
    for (uint64_t i = 1; i <= index; i++)
        digest = fixture_mix(digest ^ promise.serials[i]);
    return digest;
}

static size_t state_size(uint64_t digest)
{
    return 8 + digest % STATE_MAX;
}

static uint8_t state_byte(uint64_t digest, size_t offset)
{
    return (uint8_t)(digest >> offset % 8 * 8 ^ offset / 8);
}

/* Writes a snapshot of what is durable; the machine may die in it. */
static int write_snapshot(struct journal *journal, struct journal_error *error)
{
    static uint8_t state[STATE_MAX + 8];
    struct journal_snapshot_writer *writer = NULL;
    struct journal_reader *reader = NULL;
    struct journal_entry entry;
    uint64_t index = journal_durable_index(journal);
    struct journal_snapshot_head head = {.index = index, .digest = digest_after(index)};
    int result = journal_reader_open(journal, index, &reader, error);
    if (result == 0)
        result = journal_reader_next(reader, index, &entry, error);
    if (result == 1)
        head.entry_checksum = entry.checksum;
    journal_reader_close(reader);
    if (result == 1)
        result = journal_snapshot_begin(journal, head, &writer, error);
    if (result != 0)
        return result;
    size_t size = state_size(head.digest);
    for (size_t i = 0; i < size; i++)
        state[i] = state_byte(head.digest, i);
    result = journal_snapshot_write(writer, state, size, error);
    if (result == 0 && below(8) != 0)
        return journal_snapshot_commit(writer, error);
    journal_snapshot_abort(writer);
    return result;
}

static int check_snapshot(const struct journal *journal, uint64_t *index,
                          struct journal_error *error)
{
    static uint8_t state[STATE_MAX + 8];
    struct journal_snapshot_reader *reader = NULL;
    struct journal_snapshot_head head = {0};
    uint32_t skipped = 0;
    *index = 0;
    int result = journal_snapshot_open(journal, &reader, &head, &skipped, error);
    if (result != 1)
        return result;
    assert_int_equal(skipped, 0);
    assert_int_equal(head.digest, digest_after(head.index));
    result = journal_snapshot_read(reader, state, state_size(head.digest), error);
    for (size_t i = 0; result == 0 && i < state_size(head.digest); i++)
        if (state[i] != state_byte(head.digest, i))
            fail_msg("byte %zu of the snapshot after entry %" PRIu64 " is wrong", i, head.index);
    journal_snapshot_close(reader);
    *index = head.index;
    promise.snapshots_seen++;
    return result;
}

static int check_entries(const struct journal *journal, uint64_t first, struct journal_error *error)
{
    struct journal_reader *reader = NULL;
    struct journal_entry entry;
    uint64_t expected = first;
    int result = journal_reader_open(journal, first, &reader, error);
    if (result != 0)
        return result;
    while ((result = journal_reader_next(reader, journal_durable_index(journal), &entry, error)) ==
           1) {
        assert_int_equal(entry.index, expected);
        if (!fixture_is(promise.serials[expected], entry.body, entry.length, MOST))
            fail_msg("entry %" PRIu64 " has a wrong body", expected);
        expected++;
    }
    journal_reader_close(reader);
    if (result == 0)
        assert_int_equal(expected, journal_durable_index(journal) + 1);
    return result;
}

/* Opens and judges. Returns NULL when the machine died meanwhile. */
static struct journal *open_and_judge(void)
{
    struct journal_options options = {.directory = "memory", .segment_bytes = JOURNAL_SEGMENT_MIN};
    struct journal_error error = {0};
    struct journal *journal = NULL;
    uint64_t index = 0;
    int result = journal_open(&options, &journal, &error);
    if (result == 0) {
        uint64_t durable = journal_durable_index(journal);
        if (durable < promise.acknowledged || durable > promise.proposed)
            fail_msg("ends with entry %" PRIu64 ", where %" PRIu64 " are acknowledged and %" PRIu64
                     " proposed",
                     durable, promise.acknowledged, promise.proposed);
        assert_true(promise.acknowledged == 0 || journal_epoch(journal) == promise.epoch);
        result = check_snapshot(journal, &index, &error);
    }
    if (result == 0)
        result = check_entries(journal, index + 1, &error);
    if (result == 0)
        return journal;
    if (!memory_is_cut())
        fail_msg("%s", error.text);
    journal_close(journal);
    return NULL;
}

/* Proposes entries and writes snapshots until enough is done or the journal has failed. */
static void work(struct journal *journal, struct user *user, uint8_t **bodies, size_t count,
                 bool sync_may_fail)
{
    struct journal_error error = {0};
    uint64_t under_way = 1 + below(JOURNAL_PROPOSALS_MAX);
    uint64_t base = journal_durable_index(journal);
    for (size_t i = 0; i < count && promise.proposed + 1 < ENTRIES; i++) {
        uint64_t serial = ++promise.next_serial;
        uint32_t length = fixture_length(serial, MOST);
        if (i >= under_way && !user_wait(user, i + 1 - under_way))
            return;
        bodies[i] = malloc(length);
        assert_non_null(bodies[i]);
        fixture_fill(serial, bodies[i], length);
        promise.serials[base + i + 1] = serial;
        if (journal_propose(journal, serial, bodies[i], length) != 0)
            return;
        promise.proposed = base + i + 1;
        if (below(20) == 0 && journal_durable_index(journal) > 0 &&
            write_snapshot(journal, &error) != 0 && !memory_is_cut() &&
            !(sync_may_fail && error.code == JOURNAL_IO))
            fail_msg("%s", error.text);
    }
}

static void live(bool sync_may_fail)
{
    uint8_t *bodies[60] = {0};
    struct journal_error error = {0};
    struct user user;
    if (below(6) > (sync_may_fail ? 3u : 0u))
        memory_cut_after(1 + below(below(2) == 0 ? 60 : 600));
    struct journal *journal = open_and_judge();
    if (journal == NULL)
        return;
    uint64_t durable = journal_durable_index(journal);
    promise.epoch = journal_epoch(journal);
    promise.cut_entries += (unsigned)(promise.proposed - durable);
    promise.proposed = durable;
    struct journal_events events = user_events(&user);
    if (journal_start(journal, &events, &error) == 0) {
        promise.acknowledged = durable;
        if (sync_may_fail)
            memory_fail_sync_after(below(12));
        work(journal, &user, bodies, 1 + below(sizeof bodies / sizeof bodies[0]), sync_may_fail);
    } else if (!memory_is_cut()) {
        fail_msg("%s", error.text);
    }
    journal_close(journal);
    memory_fail_sync_after(UINT64_MAX);
    promise.failures += user.failed && !memory_is_cut();
    assert_true(user.in_order);
    assert_true(user.committed == 0 || user.last_index == durable + user.committed);
    if (user.committed > 0)
        promise.acknowledged = durable + user.committed;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        free(bodies[i]);
}

static unsigned snapshots_seen;
static unsigned cut_entries;
static unsigned failures;

static void machine_with(uint64_t seed, unsigned lives, bool sync_may_fail)
{
    memset(&promise, 0, sizeof promise);
    dice = seed;
    memory_start(seed);
    print_message("seed %" PRIu64 "\n", seed);
    for (unsigned i = 0; i < lives; i++) {
        live(sync_may_fail && below(2) == 0);
        /* After a failed sync mostly only the process is new, and the page cache is believed. */
        if (below(4) == 0 || (sync_may_fail && below(3) != 0))
            memory_restart();
        else
            memory_reboot();
    }
    memory_cut_after(0);
    journal_close(open_and_judge());
    memory_stop();
    snapshots_seen += promise.snapshots_seen;
    cut_entries += promise.cut_entries;
    failures += promise.failures;
}

static void power_cuts(void **state)
{
    (void)state;
    snapshots_seen = cut_entries = 0;
    for (uint64_t seed = 1; seed <= fixture_times(10); seed++)
        machine_with(seed, 16, false);
    /* The test has seen what it is about. */
    assert_true(snapshots_seen > 10);
    assert_true(cut_entries > 10);
}

static void failed_syncs(void **state)
{
    (void)state;
    failures = 0;
    for (uint64_t seed = 1001; seed <= 1000 + fixture_times(6); seed++)
        machine_with(seed, 12, true);
    assert_true(failures > 3);
}

static void a_failed_sync_ends_all_writing(void **state)
{
    (void)state;
    struct journal_options options = {.directory = "memory", .segment_bytes = JOURNAL_SEGMENT_MIN};
    struct journal_error error = {0};
    struct journal *journal = NULL;
    struct user user;
    memory_start(3);
    assert_int_equal(journal_open(&options, &journal, &error), 0);
    struct journal_events events = user_events(&user);
    assert_int_equal(journal_start(journal, &events, &error), 0);
    assert_true(user_append(&user, journal, 1, 100));
    memory_fail_sync_of_entry();
    assert_false(user_append(&user, journal, 2, 100));
    assert_int_equal(user.failure.code, JOURNAL_IO);
    assert_non_null(strstr(user.failure.text, "writing entry 2"));
    assert_int_equal(journal_durable_index(journal), 1);
    assert_int_equal(journal_propose(journal, 3, (const uint8_t *)"x", 1), 1);
    struct journal_snapshot_writer *writer = NULL;
    struct journal_snapshot_head head = {.index = 1};
    int result = journal_snapshot_begin(journal, head, &writer, &error);
    if (result == 0)
        result = journal_snapshot_commit(writer, &error);
    assert_int_equal(result, JOURNAL_IO);
    journal_close(journal);
    assert_int_equal(user.committed, 1);
    memory_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts),
        cmocka_unit_test(failed_syncs),
        cmocka_unit_test(a_failed_sync_ends_all_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
