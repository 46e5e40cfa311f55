/* Repair: what it keeps for each kind of damage, that it can be interrupted anywhere, and when it
 * drops the last entry. */
#include "tests/unit/server/journal/state.h"
#include "tests/unit/server/journal/storage_memory.c"

#include "server/journal/repair.h"

enum { MOST = 30000, SIZE = 100000 };

static uint64_t firsts[3]; /* of the segments */
static uint64_t count;     /* entries */
static uint64_t newest;    /* snapshot, in the last segment */
static uint64_t epoch;
static uint64_t planning; /* operations that the last repair took before it wrote */
static struct journal_error error;

static int open_journal(struct journal **journal)
{
    struct journal_options options = {.directory = "memory", .segment_bytes = JOURNAL_SEGMENT_MIN};
    return journal_open(&options, journal, &error);
}

/* Three segments without a snapshot, or (state) with two, the newer in the last segment. */
static void build(bool with_snapshots)
{
    struct journal *journal = NULL;
    struct user user;
    struct journal_status status;
    memory_start(21);
    assert_int_equal(open_journal(&journal), 0);
    epoch = journal_epoch(journal);
    struct journal_events events = user_events(&user);
    assert_int_equal(journal_start(journal, &events, &error), 0);
    count = 0;
    newest = 0;
    for (size_t i = 0; i < 3; i++) {
        firsts[i] = count == 0 ? 1 : count;
        for (unsigned k = 0; k < 40; k++)
            assert_true(user_append(&user, journal, ++count, MOST));
        if (with_snapshots && i > 0) {
            newest = count;
            assert_int_equal(state_write(journal, newest, SIZE, &error), 0);
        }
        do {
            assert_true(i == 2 || user_append(&user, journal, ++count, MOST));
            journal_status(journal, &status);
        } while (i < 2 && status.segment_count < i + 2);
    }
    for (unsigned k = 0; k < 40; k++)
        assert_true(user_append(&user, journal, ++count, MOST));
    journal_close(journal);
    memory_save();
}

static uint8_t *bytes_of(uint64_t first, size_t *size)
{
    uint8_t *bytes = NULL;
    assert_true(memory_file(segment_name(first).text, &bytes, size));
    return bytes;
}

/* Damages the body of an entry. */
static void damage(uint64_t index)
{
    size_t size = 0;
    size_t at = 2;
    while (firsts[at] > index)
        at--;
    uint8_t *bytes = bytes_of(firsts[at], &size) + SEGMENT_DATA;
    for (uint64_t i = firsts[at]; i < index; i++)
        bytes += entry_bytes(fixture_length(i, MOST));
    bytes[50] ^= 8;
}

static void damage_header(uint64_t first)
{
    size_t size = 0;
    bytes_of(first, &size)[26] ^= 8;
}

static void lose(const char *name)
{
    struct storage_directory *directory = NULL;
    assert_int_equal(storage_directory_open("memory", false, &directory), 0);
    assert_int_equal(storage_remove(directory, name), 0);
    storage_directory_close(directory);
}

/* Returns 1 when something was repaired, 0 when nothing was needed, or a code. */
static int repair(uint64_t *end, bool *loses, bool drop_last)
{
    struct storage_directory *directory = NULL;
    struct survey survey = {0};
    struct repair_plan plan = {0};
    unsigned aside;
    uint64_t begin = memory_operations();
    int result = storage_directory_open("memory", false, &directory) == 0 ? 0 : JOURNAL_IO;
    if (result == 0)
        result = survey_read(directory, &survey, &error);
    if (result == 0)
        result = repair_make_plan(directory, &survey, &plan, &error);
    if (result == 0 && drop_last)
        result = repair_drop_last(&plan, &survey, &error);
    bool needed = plan.needed;
    *end = plan.end;
    *loses = plan.loses;
    planning = memory_operations() - begin;
    if (result == 0 && needed)
        result = repair_run(directory, &survey, &plan, &aside, &error);
    repair_plan_free(&plan);
    survey_free(&survey);
    storage_directory_close(directory);
    return result == 0 && needed ? 1 : result;
}

/* Starts a server as far as reading goes. Returns the last entry or a code. */
static int64_t start(uint64_t *found_epoch)
{
    struct journal *journal = NULL;
    uint32_t skipped = 0;
    int64_t result = open_journal(&journal);
    if (result == 0) {
        *found_epoch = journal_epoch(journal);
        result = state_start(journal, SIZE, MOST, &skipped, &error);
    }
    journal_close(journal);
    return result;
}

/* Repairs and asserts what is kept, whether the history goes on, and that a server starts with it
 * and goes on. */
static void assert_repair(uint64_t kept, bool history_ends)
{
    uint64_t end;
    uint64_t found = 0;
    bool loses;
    assert_true(start(&found) < 0);
    if (repair(&end, &loses, false) != 1)
        fail_msg("%s", error.text);
    assert_int_equal(end, kept);
    assert_int_equal(loses, history_ends);
    if (start(&found) != (int64_t)kept)
        fail_msg("%s", error.text);
    assert_int_equal(found == epoch, !history_ends);
    assert_int_equal(repair(&end, &loses, false), 0);
    struct user user;
    struct journal *journal = NULL;
    struct journal_events events = user_events(&user);
    assert_int_equal(open_journal(&journal), 0);
    assert_int_equal(journal_start(journal, &events, &error), 0);
    assert_true(user_append(&user, journal, kept + 1, MOST));
    journal_close(journal);
    assert_int_equal(start(&found), kept + 1);
}

static int teardown(void **state)
{
    (void)state;
    memory_stop();
    return 0;
}

static void a_sound_journal_is_left_alone(void **state)
{
    (void)state;
    uint64_t end;
    bool loses;
    for (int i = 0; i < 2; i++) {
        build(i == 1);
        uint64_t operations = memory_operations();
        assert_int_equal(repair(&end, &loses, false), 0);
        assert_int_equal(end, count);
        assert_false(loses);
        assert_int_equal(memory_count("lost-"), 0);
        assert_true(memory_operations() > operations);
    }
}

static void damage_behind_the_snapshot_cuts(void **state)
{
    (void)state;
    build(true);
    damage(newest + 20);
    assert_repair(newest + 19, true);
    assert_int_equal(memory_count("lost-1-segment-"), 1);
    memory_restore();
    damage(newest + 1);
    assert_repair(newest, true);
    memory_restore();
    damage(count);
    assert_repair(count - 1, true);
}

static void damage_before_the_snapshot_costs_nothing(void **state)
{
    (void)state;
    build(true);
    damage(firsts[2]);
    assert_repair(count, false);
    memory_restore();
    damage(newest);
    assert_repair(count, false);
    memory_restore();
    damage(newest);
    damage(newest + 10);
    assert_repair(newest + 9, true);
    assert_int_equal(memory_count("lost-1-segment-"), 2);
}

static void damage_in_a_full_segment_cuts_all_behind(void **state)
{
    (void)state;
    build(false);
    damage(firsts[1] + 7);
    assert_repair(firsts[1] + 6, true);
    assert_int_equal(memory_count("lost-1-segment-"), 2);
    memory_restore();
    damage(firsts[1]);
    assert_repair(firsts[1] - 1, true);
    memory_restore();
    damage(1);
    assert_repair(0, true);
}

static void a_damaged_header_costs_nothing(void **state)
{
    (void)state;
    build(false);
    /* The last one, and with it the epoch. */
    damage_header(firsts[2]);
    uint64_t end;
    bool loses;
    uint64_t found = 0;
    assert_int_equal(repair(&end, &loses, false), 1);
    assert_int_equal(end, count);
    assert_false(loses);
    assert_int_equal(start(&found), count);
    memory_restore();
    damage_header(firsts[1]);
    assert_repair(count, false);
    memory_restore();
    damage_header(firsts[0]);
    assert_repair(count, false);
}

static void a_missing_segment_cuts_what_no_snapshot_covers(void **state)
{
    (void)state;
    build(false);
    lose(segment_name(firsts[1]).text);
    assert_repair(firsts[1] - 1, true);
    build(true);
    lose(segment_name(firsts[2]).text);
    assert_repair(newest, true);
    memory_restore();
    for (int i = 0; i < 3; i++)
        lose(segment_name(firsts[i]).text);
    assert_repair(newest, true);
}

static void without_a_beginning_there_is_no_repair(void **state)
{
    (void)state;
    uint64_t end;
    bool loses;
    build(false);
    lose(segment_name(1).text);
    assert_int_equal(repair(&end, &loses, false), JOURNAL_DATA_LOSS);
    assert_non_null(strstr(error.text, "no state to go on from"));
    memory_start(1);
    assert_int_equal(repair(&end, &loses, false), JOURNAL_DATA_LOSS);
}

static void bytes_behind_the_end_are_cut(void **state)
{
    (void)state;
    size_t size = 0;
    build(false);
    bytes_of(firsts[2], &size)[JOURNAL_SEGMENT_MIN - 1000] = 7;
    assert_repair(count, true);
    /* In a full segment nothing is missed: the next one goes on. */
    memory_restore();
    uint8_t *bytes = bytes_of(firsts[1], &size);
    size_t used = SEGMENT_DATA;
    for (uint64_t i = firsts[1]; i < firsts[2]; i++)
        used += entry_bytes(fixture_length(i, MOST));
    assert_true(used < size);
    bytes[used + 100] = 7;
    assert_repair(count, false);
}

/* The two directions of a crash in a repair: what is served is whole, and running it again comes to
 * the same. */
static void interrupt_everywhere(uint64_t kept, bool history_ends, uint64_t step)
{
    uint64_t end;
    bool loses;
    bool done = false;
    struct table damaged = copy_of(names());
    assert_int_equal(repair(&end, &loses, false), 1);
    for (uint64_t operations = planning + 1; !done; operations += step) {
        machine.states[0] = copy_of(&damaged);
        machine.state_count = 1;
        memory_cut_after(operations);
        (void)!repair(&end, &loses, false);
        done = !memory_is_cut();
        memory_reboot();
        uint64_t found = 0;
        int64_t result = start(&found);
        if (result >= 0) {
            assert_int_equal(result, kept);
            assert_int_equal(found == epoch, !history_ends);
        } else if (repair(&end, &loses, false) != 1) {
            fail_msg("cut after %" PRIu64 ": %s", operations, error.text);
        }
        assert_int_equal(start(&found), kept);
        assert_int_equal(found == epoch, !history_ends);
    }
}

static void it_can_be_interrupted_anywhere(void **state)
{
    (void)state;
    build(true);
    damage(newest - 3);
    damage(newest + 20);
    interrupt_everywhere(newest + 19, true, 1);
    build(false);
    damage(firsts[1] + 5);
    interrupt_everywhere(firsts[1] + 4, true, 3);
    build(true);
    damage(newest - 3);
    interrupt_everywhere(count, false, 3);
}

static void crash_while_applying(uint64_t replayed, uint64_t live)
{
    struct journal *journal = NULL;
    struct user user;
    assert_int_equal(open_journal(&journal), 0);
    journal_mark(journal, replayed);
    if (live != 0) {
        struct journal_events events = user_events(&user);
        assert_int_equal(journal_start(journal, &events, &error), 0);
        journal_mark(journal, live);
    }
    memory_cut_after(1);
    journal_close(journal);
    memory_restart();
}

static void the_last_entry_is_dropped_when_it_was_being_applied(void **state)
{
    (void)state;
    uint64_t end;
    uint64_t found;
    bool loses;
    build(true);
    crash_while_applying(0, count);
    crash_while_applying(count, 0);
    if (repair(&end, &loses, true) != 1)
        fail_msg("%s", error.text);
    assert_int_equal(end, count - 1);
    assert_true(loses);
    assert_int_equal(start(&found), count - 1);
    assert_true(found != epoch);
    /* Once is enough. */
    assert_int_equal(repair(&end, &loses, true), JOURNAL_DATA_LOSS);
    assert_non_null(strstr(error.text, "is not marked"));
}

static void the_last_entry_is_not_dropped_on_less_evidence(void **state)
{
    (void)state;
    uint64_t end;
    uint64_t found;
    bool loses;
    build(true);
    assert_int_equal(repair(&end, &loses, true), JOURNAL_DATA_LOSS);
    crash_while_applying(0, count - 1);
    assert_int_equal(repair(&end, &loses, true), JOURNAL_DATA_LOSS);
    memory_restore();
    /* Applied again at a start: it may have been acknowledged long ago. */
    crash_while_applying(count, 0);
    assert_int_equal(repair(&end, &loses, true), JOURNAL_DATA_LOSS);
    assert_non_null(strstr(error.text, "may have been acknowledged"));
    memory_restore();
    crash_while_applying(0, count);
    machine.boot++;
    assert_int_equal(repair(&end, &loses, true), JOURNAL_DATA_LOSS);
    machine.boot--;
    damage(count - 5);
    assert_int_equal(repair(&end, &loses, true), JOURNAL_DATA_LOSS);
    assert_non_null(strstr(error.text, "without --drop-last first"));
    assert_true(start(&found) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_sound_journal_is_left_alone, teardown),
        cmocka_unit_test_teardown(damage_behind_the_snapshot_cuts, teardown),
        cmocka_unit_test_teardown(damage_before_the_snapshot_costs_nothing, teardown),
        cmocka_unit_test_teardown(damage_in_a_full_segment_cuts_all_behind, teardown),
        cmocka_unit_test_teardown(a_damaged_header_costs_nothing, teardown),
        cmocka_unit_test_teardown(a_missing_segment_cuts_what_no_snapshot_covers, teardown),
        cmocka_unit_test_teardown(without_a_beginning_there_is_no_repair, teardown),
        cmocka_unit_test_teardown(bytes_behind_the_end_are_cut, teardown),
        cmocka_unit_test_teardown(it_can_be_interrupted_anywhere, teardown),
        cmocka_unit_test_teardown(the_last_entry_is_dropped_when_it_was_being_applied, teardown),
        cmocka_unit_test_teardown(the_last_entry_is_not_dropped_on_less_evidence, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
