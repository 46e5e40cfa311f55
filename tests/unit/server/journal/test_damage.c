/* Damage to the last segment and to the snapshots: refused, or harmless, or an older snapshot;
 * never a wrong byte, and never a committed entry missing without a word. And what a repair makes
 * of it. */
#include "tests/unit/server/journal/state.h"
#include "tests/unit/server/journal/storage_memory.c"

#include "server/journal/entry.h"
#include "server/journal/repair.h"

enum { MOST = 9000, SIZE = 150000 };

static uint64_t count;      /* entries */
static uint64_t newest;     /* snapshot */
static uint64_t last_first; /* first entry of the last segment */
static uint64_t epoch;

static struct {
    unsigned refused;
    unsigned older;
    unsigned harmless;
    unsigned repaired;
} outcome;

static int open_journal(bool read_only, struct journal **journal, struct journal_error *error)
{
    struct journal_options options = {
        .directory = "memory", .segment_bytes = JOURNAL_SEGMENT_MIN, .read_only = read_only};
    return journal_open(&options, journal, error);
}

/* Three segments, with a snapshot at the end of the second, and one in the third, the last. */
static int build(void **state)
{
    (void)state;
    struct journal_error error = {0};
    struct journal_status status;
    struct user user;
    struct journal *journal = NULL;
    memory_start(7);
    assert_int_equal(open_journal(false, &journal, &error), 0);
    epoch = journal_epoch(journal);
    struct journal_events events = user_events(&user);
    assert_int_equal(journal_start(journal, &events, &error), 0);
    count = 0;
    do {
        assert_true(user_append(&user, journal, ++count, MOST));
        journal_status(journal, &status);
    } while (status.segment_count < 3);
    last_first = count;
    /* The older one ends just before the last segment: going on from it takes little time. */
    assert_int_equal(state_write(journal, count - 10, SIZE, &error), 0);
    for (int i = 0; i < 60; i++)
        assert_true(user_append(&user, journal, ++count, MOST));
    assert_int_equal(state_write(journal, count, SIZE, &error), 0);
    newest = count;
    for (int i = 0; i < 60; i++)
        assert_true(user_append(&user, journal, ++count, MOST));
    journal_status(journal, &status);
    assert_int_equal(status.newest_snapshot_index, newest);
    journal_close(journal);
    assert_string_equal(memory_last("segment-0"), segment_name(last_first).text);
    memory_save();
    return 0;
}

static int forget(void **state)
{
    (void)state;
    memory_stop();
    return 0;
}

static int64_t attempt(uint32_t *skipped, struct journal_error *error)
{
    struct journal *journal = NULL;
    int64_t result = open_journal(true, &journal, error);
    if (result == 0)
        result = state_start(journal, SIZE, MOST, skipped, error);
    journal_close(journal);
    return result;
}

/* The entry of the last segment that an offset lies in; count + 1 behind all. */
static uint64_t entry_at(size_t offset)
{
    uint64_t index = last_first;
    size_t end = SEGMENT_DATA;
    for (; index <= count; index++) {
        end += entry_bytes(fixture_length(index, MOST));
        if (offset < end)
            break;
    }
    return index;
}

/* A flipped bit costs what stands behind it, or nothing if a snapshot covers it. */
static uint64_t end_of_flip(uint64_t damaged)
{
    return damaged <= newest ? count : damaged - 1;
}

/* A truncation costs what it has cut off and no snapshot covers. */
static uint64_t end_of_cut(uint64_t damaged)
{
    return damaged <= newest ? newest : damaged - 1;
}

/* Repairs what was refused, and starts: everything up to `end` must be there. */
static void repair_and_start(uint64_t end)
{
    struct storage_directory *directory = NULL;
    struct survey survey;
    struct repair_plan plan;
    struct journal_error error = {0};
    unsigned aside;
    assert_int_equal(storage_directory_open("memory", false, &directory), 0);
    assert_int_equal(survey_read(directory, &survey, &error), 0);
    assert_int_equal(repair_make_plan(directory, &survey, &plan, &error), 0);
    assert_true(plan.needed);
    if (plan.end != end)
        fail_msg("keeps up to %" PRIu64 " where %" PRIu64 " of %" PRIu64 " can be kept (%s)",
                 plan.end, end, count, plan.reason.text);
    if (repair_run(directory, &survey, &plan, &aside, &error) != 0)
        fail_msg("%s", error.text);
    bool loses = plan.loses;
    repair_plan_free(&plan);
    survey_free(&survey);
    storage_directory_close(directory);

    struct user user;
    struct journal *journal = NULL;
    uint32_t skipped = 0;
    if (open_journal(false, &journal, &error) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(state_start(journal, SIZE, MOST, &skipped, &error), end);
    assert_int_equal(end < count && !loses, 0);
    assert_int_equal(loses && journal_epoch(journal) == epoch, 0);
    struct journal_events events = user_events(&user);
    assert_int_equal(journal_start(journal, &events, &error), 0);
    assert_true(user_append(&user, journal, end + 1, MOST));
    journal_close(journal);
    outcome.repaired++;
    memory_restore();
}

/* `end` = what a repair must keep; 0 = do not repair. */
static void judge(uint64_t end)
{
    struct journal_error error = {0};
    uint32_t skipped = 0;
    int64_t result = attempt(&skipped, &error);
    if (result == JOURNAL_DATA_LOSS) {
        outcome.refused++;
        assert_true(strlen(error.text) > 20);
        if (end != 0)
            repair_and_start(end);
        return;
    }
    if (result != (int64_t)count)
        fail_msg("%" PRIi64 " of %" PRIu64 " entries without a word: %s", result, count,
                 error.text);
    outcome.older += skipped;
    outcome.harmless += skipped == 0;
}

static uint64_t dice = 1;

static size_t below(size_t limit)
{
    dice = fixture_mix(dice + 0x9e3779b97f4a7c15ull);
    return (size_t)(dice % limit);
}

static void flip(const char *name, size_t bit)
{
    uint8_t *bytes = NULL;
    size_t size;
    assert_true(memory_file(name, &bytes, &size));
    assert_true(bit / 8 < size);
    bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1u << bit % 8);
}

static void flip_and_judge(const char *name, size_t bit, uint64_t end)
{
    flip(name, bit);
    unsigned repaired = outcome.repaired;
    judge(end);
    if (outcome.repaired == repaired) /* else the disk is as before already */
        flip(name, bit);
}

static void flipped_bits_in_the_last_segment(void **state)
{
    (void)state;
    size_t used = SEGMENT_DATA;
    outcome.refused = outcome.older = outcome.harmless = outcome.repaired = 0;
    for (uint64_t i = last_first; i <= count; i++)
        used += entry_bytes(fixture_length(i, MOST));
    for (unsigned i = 0; i < fixture_times(600); i++) {
        size_t bit = below(i % 4 == 0 ? JOURNAL_SEGMENT_MIN * 8 : used * 8);
        flip_and_judge(segment_name(last_first).text, bit,
                       i % 20 == 0 ? end_of_flip(entry_at(bit / 8)) : 0);
    }
    assert_true(outcome.refused > fixture_times(500));
    assert_int_equal(outcome.older, 0);
    assert_true(outcome.repaired > 20);
}

static void every_flipped_bit_of_the_last_entry_is_refused(void **state)
{
    (void)state;
    size_t begin = SEGMENT_DATA;
    outcome.refused = outcome.older = outcome.harmless = outcome.repaired = 0;
    for (uint64_t i = last_first; i < count; i++)
        begin += entry_bytes(fixture_length(i, MOST));
    size_t bits = entry_bytes(fixture_length(count, MOST)) * 8;
    unsigned flips = 0;
    for (size_t bit = 0; bit < bits; bit += bits / (100 * fixture_times(1)) + 1, flips++)
        flip_and_judge(segment_name(last_first).text, begin * 8 + bit, 0);
    assert_int_equal(outcome.refused, flips);
}

static void flipped_bits_in_the_newest_snapshot(void **state)
{
    (void)state;
    uint8_t *bytes;
    size_t size = 0;
    char name[STORAGE_NAME_MAX + 1];
    snprintf(name, sizeof name, "%s", memory_last("snapshot-0"));
    assert_true(memory_file(name, &bytes, &size));
    outcome.refused = outcome.older = outcome.harmless = 0;
    for (unsigned i = 0; i < fixture_times(300); i++)
        flip_and_judge(name, i < 60 ? below(64 * 8) : below(size * 8), 0);
    assert_int_equal(outcome.older, fixture_times(300));
    assert_int_equal(outcome.refused, 0);
}

static void flipped_bits_in_both_snapshots_are_refused(void **state)
{
    (void)state;
    struct journal_error error = {0};
    uint32_t skipped = 0;
    char name[STORAGE_NAME_MAX + 1];
    snprintf(name, sizeof name, "%s", memory_last("snapshot-0"));
    uint8_t *bytes;
    size_t size = 0;
    assert_true(memory_file(name, &bytes, &size));
    flip(name, size * 4);
    for (size_t i = 0; i < machine.states[0].count; i++)
        if (strncmp(names()->items[i].name, "snapshot-0", 10) == 0 &&
            strcmp(names()->items[i].name, name) != 0)
            names()->items[i].inode->cache[size / 3] ^= 2;
    assert_int_equal(attempt(&skipped, &error), JOURNAL_DATA_LOSS);
    assert_int_equal(skipped, 2);
    assert_non_null(strstr(error.text, "no snapshot in memory can be used (2 are damaged)"));
    memory_restore();
}

static void truncations(void **state)
{
    (void)state;
    outcome.refused = outcome.older = outcome.harmless = outcome.repaired = 0;
    for (unsigned i = 0; i < fixture_times(200); i++) {
        bool segment = i % 2 == 0;
        uint8_t *bytes;
        size_t size = 0;
        char name[STORAGE_NAME_MAX + 1];
        snprintf(name, sizeof name, "%s", memory_last(segment ? "segment-0" : "snapshot-0"));
        assert_true(memory_file(name, &bytes, &size));
        size_t cut = below(i % 8 < 2 ? 5000 : size);
        memory_truncate(name, cut);
        unsigned repaired = outcome.repaired;
        judge(i % 20 == 0 ? end_of_cut(entry_at(cut / 512 * 512)) : 0);
        if (outcome.repaired == repaired) /* else the disk is as before already */
            memory_heal(name);
    }
    assert_int_equal(outcome.refused, fixture_times(100));
    assert_int_equal(outcome.older, fixture_times(100));
    assert_int_equal(outcome.repaired, fixture_times(10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flipped_bits_in_the_last_segment),
        cmocka_unit_test(every_flipped_bit_of_the_last_entry_is_refused),
        cmocka_unit_test(flipped_bits_in_the_newest_snapshot),
        cmocka_unit_test(flipped_bits_in_both_snapshots_are_refused),
        cmocka_unit_test(truncations),
    };
    return cmocka_run_group_tests(tests, build, forget);
}
