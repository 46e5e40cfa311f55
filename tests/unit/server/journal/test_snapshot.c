/* Snapshots: written, read, chosen, kept and trimmed. */
#include "tests/unit/server/journal/state.h"
#include "tests/unit/server/journal/storage_memory.c"

#include "server/journal/snapshot_file.h"

enum { MOST = 30000, SIZE = 300000 };

static struct journal *journal;
static struct user user;
static struct journal_error error;
static uint64_t last;

static void start(void)
{
    struct journal_options options = {.directory = "memory", .segment_bytes = JOURNAL_SEGMENT_MIN};
    if (journal_open(&options, &journal, &error) != 0)
        fail_msg("%s", error.text);
    last = journal_durable_index(journal);
}

static void go(void)
{
    struct journal_events events = user_events(&user);
    if (journal_start(journal, &events, &error) != 0)
        fail_msg("%s", error.text);
}

static int setup(void **state)
{
    (void)state;
    memory_start(11);
    start();
    go();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    journal_close(journal);
    journal = NULL;
    memory_stop();
    return 0;
}

static void restart(void)
{
    journal_close(journal);
    start();
}

static void append(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_true(user_append(&user, journal, ++last, MOST));
}

/* Appends until another segment begins. */
static void append_segment(void)
{
    struct journal_status before;
    struct journal_status after;
    journal_status(journal, &before);
    do {
        append(1);
        journal_status(journal, &after);
    } while (after.segment_count == before.segment_count);
}

static void write_good(uint64_t index)
{
    if (state_write(journal, index, SIZE, &error) != 0)
        fail_msg("%s", error.text);
}

static void damage(uint64_t index)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_true(memory_file(snapshot_name(index).text, &bytes, &size));
    bytes[size / 2] ^= 1;
}

static void assert_start(uint64_t snapshot, uint32_t damaged)
{
    uint32_t skipped = 0;
    uint64_t index = 0;
    int result = state_read(journal, SIZE, &index, &skipped, &error);
    if (result < 0)
        fail_msg("%s", error.text);
    assert_int_equal(result, snapshot != 0);
    assert_int_equal(index, snapshot);
    assert_int_equal(skipped, damaged);
    assert_int_equal(fixture_replay(journal, index + 1, MOST, &error), last);
}

static void every_size_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,
                                   1,
                                   SNAPSHOT_PIECE - 1,
                                   SNAPSHOT_PIECE,
                                   SNAPSHOT_PIECE + 1,
                                   2 * SNAPSHOT_PIECE,
                                   5 * SNAPSHOT_PIECE + 17};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t index = 0;
        uint32_t skipped = 0;
        append(2);
        assert_int_equal(state_write(journal, last, sizes[i], &error), 0);
        assert_int_equal(state_read(journal, sizes[i], &index, &skipped, &error), 1);
        assert_int_equal(index, last);
        restart();
        assert_int_equal(state_read(journal, sizes[i], &index, &skipped, &error), 1);
        assert_int_equal(index, last);
        go();
    }
}

static void none_is_a_start_from_the_first_entry(void **state)
{
    (void)state;
    assert_start(0, 0);
    append(10);
    restart();
    assert_start(0, 0);
    go();
}

static void an_aborted_one_leaves_nothing(void **state)
{
    (void)state;
    struct journal_snapshot_writer *writer = NULL;
    append(3);
    struct journal_snapshot_head head = {.index = 3};
    assert_int_equal(journal_snapshot_begin(journal, head, &writer, &error), 0);
    assert_int_equal(journal_snapshot_write(writer, "abc", 3, &error), 0);
    assert_int_equal(memory_count("snapshot"), 1);
    journal_snapshot_abort(writer);
    assert_int_equal(memory_count("snapshot"), 0);
    journal_snapshot_abort(NULL);
    journal_snapshot_close(NULL);
    write_good(3);
    assert_int_equal(memory_count("snapshot"), 1);
}

static void two_are_kept_and_what_follows_the_older(void **state)
{
    (void)state;
    struct journal_status status;
    uint64_t indexes[4];
    struct journal_reader *reader = NULL;
    for (int i = 0; i < 4; i++) {
        append_segment();
        append(20);
        indexes[i] = last;
        write_good(last);
        assert_int_equal(memory_count("snapshot-"), i == 0 ? 1 : 2);
    }
    append(5);
    journal_status(journal, &status);
    assert_int_equal(status.newest_snapshot_index, indexes[3]);
    assert_true(status.newest_snapshot_bytes > SIZE);
    assert_true(status.bytes_since_snapshot > 5 * 512 && status.bytes_since_snapshot < 1 << 20);
    /* Of five segments: the one that the older snapshot ends in, and the last. */
    assert_int_equal(status.segment_count, 2);
    assert_int_equal(memory_count("segment-0"), 2);
    assert_true(memory_exists(snapshot_name(indexes[2]).text));
    assert_true(memory_exists(snapshot_name(indexes[3]).text));
    assert_int_equal(journal_reader_open(journal, 1, &reader, &error), JOURNAL_TOO_OLD);
    assert_start(indexes[3], 0);
    restart();
    assert_start(indexes[3], 0);
    go();
}

static void a_damaged_one_is_passed_over(void **state)
{
    (void)state;
    append_segment();
    write_good(last - 1);
    uint64_t older = last - 1;
    append_segment();
    write_good(last - 1);
    append(9);
    damage(last - 10);
    restart();
    assert_start(older, 1);
    go();
    /* The next one must not count the damaged one as the older one. */
    append(1);
    write_good(last);
    uint64_t newest = last;
    assert_true(memory_exists(snapshot_name(older).text));
    assert_int_equal(memory_count("snapshot-"), 2);
    damage(newest);
    restart();
    assert_start(older, 1);
    go();
}

static void a_damaged_one_is_passed_over_down_to_the_first_entry(void **state)
{
    (void)state;
    append(10);
    write_good(5);
    damage(5);
    restart();
    assert_start(0, 1);
    go();
}

static void without_a_sound_one_a_trimmed_journal_is_refused(void **state)
{
    (void)state;
    uint64_t index;
    uint32_t skipped;
    append_segment();
    write_good(last);
    append_segment();
    write_good(last - 1);
    damage(last - 1);
    struct storage_directory *directory = NULL;
    assert_int_equal(storage_directory_open("memory", false, &directory), 0);
    for (size_t i = names()->count; i-- > 0;)
        if (strncmp(names()->items[i].name, "snapshot-", 9) == 0 &&
            strcmp(names()->items[i].name, snapshot_name(last - 1).text) != 0)
            assert_int_equal(storage_remove(directory, names()->items[i].name), 0);
    storage_directory_close(directory);
    restart();
    assert_int_equal(state_read(journal, SIZE, &index, &skipped, &error), JOURNAL_DATA_LOSS);
    assert_non_null(strstr(error.text, "1 are damaged"));
}

static void one_of_another_history_is_passed_over(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 30; i++)
        assert_true(user_append(&user, journal, i + 100, MOST));
    write_good(15);
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_true(memory_file(snapshot_name(15).text, &bytes, &size));
    uint8_t *copy = malloc(size);
    memcpy(copy, bytes, size);
    journal_close(journal);

    memory_start(13);
    start();
    go();
    append(20);
    write_good(10);
    struct storage_directory *directory = NULL;
    struct storage_file *file = NULL;
    assert_int_equal(storage_directory_open("memory", false, &directory), 0);
    assert_int_equal(storage_create(directory, snapshot_name(15).text, 0, &file), 0);
    assert_int_equal(storage_write(file, 0, copy, size), 0);
    storage_close(file);
    storage_directory_close(directory);
    free(copy);
    restart();
    assert_start(10, 1);
    go();
}

static void one_that_is_ahead_of_the_journal_is_refused(void **state)
{
    (void)state;
    uint64_t index;
    uint32_t skipped;
    append(10);
    write_good(10);
    journal_close(journal);
    /* The disk has lost the last two entries without a trace. */
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_true(memory_file(memory_last("segment-0"), &bytes, &size));
    size_t offset = SEGMENT_DATA;
    for (uint64_t i = 1; i <= 8; i++)
        offset += entry_bytes(fixture_length(i, MOST));
    memset(bytes + offset, 0, size - offset);
    start();
    assert_int_equal(last, 8);
    assert_int_equal(state_read(journal, SIZE, &index, &skipped, &error), JOURNAL_DATA_LOSS);
    assert_non_null(strstr(error.text, "ends with entry 8"));
}

static void one_of_the_same_index_takes_its_place(void **state)
{
    (void)state;
    append(10);
    write_good(5);
    write_good(10);
    write_good(10);
    assert_int_equal(memory_count("snapshot-"), 2);
    assert_start(10, 0);
    restart();
    assert_start(10, 0);
    go();
    write_good(10);
    assert_int_equal(memory_count("snapshot-"), 2);
    assert_start(10, 0);
}

static void what_the_disk_does_not_keep_is_no_snapshot(void **state)
{
    (void)state;
    struct journal_snapshot_writer *writer = NULL;
    append(4);
    struct journal_snapshot_head head;
    assert_int_equal(state_head(journal, 4, &head, &error), 0);
    assert_int_equal(journal_snapshot_begin(journal, head, &writer, &error), 0);
    static uint8_t bytes[2 * SNAPSHOT_PIECE];
    assert_int_equal(journal_snapshot_write(writer, bytes, sizeof bytes, &error), 0);
    uint8_t *file = NULL;
    size_t size = 0;
    assert_true(memory_file("snapshot.tmp", &file, &size));
    file[size / 2] ^= 1;
    assert_int_equal(journal_snapshot_commit(writer, &error), JOURNAL_IO);
    assert_int_equal(memory_count("snapshot"), 0);
}

static void *write_snapshots(void *argument)
{
    struct journal_error mine;
    for (int i = 0; i < 8; i++) {
        uint64_t index = journal_durable_index(journal);
        if (state_write(journal, index, SIZE, &mine) != 0)
            return NULL;
    }
    return argument;
}

static void snapshots_are_written_while_entries_are(void **state)
{
    (void)state;
    pthread_t thread;
    void *result = NULL;
    append(50);
    assert_int_equal(pthread_create(&thread, NULL, write_snapshots, &user), 0);
    append(400);
    pthread_join(thread, &result);
    assert_ptr_equal(result, &user);
    restart();
    uint64_t index = 0;
    uint32_t skipped = 0;
    assert_int_equal(state_read(journal, SIZE, &index, &skipped, &error), 1);
    assert_int_equal(fixture_replay(journal, index + 1, MOST, &error), last);
    assert_int_equal(last, 450);
    go();
}

int main(void)
{
#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ON_A_DISK(every_size_comes_back),
        ON_A_DISK(none_is_a_start_from_the_first_entry),
        ON_A_DISK(an_aborted_one_leaves_nothing),
        ON_A_DISK(two_are_kept_and_what_follows_the_older),
        ON_A_DISK(a_damaged_one_is_passed_over),
        ON_A_DISK(a_damaged_one_is_passed_over_down_to_the_first_entry),
        ON_A_DISK(without_a_sound_one_a_trimmed_journal_is_refused),
        ON_A_DISK(one_of_another_history_is_passed_over),
        ON_A_DISK(one_that_is_ahead_of_the_journal_is_refused),
        ON_A_DISK(one_of_the_same_index_takes_its_place),
        ON_A_DISK(what_the_disk_does_not_keep_is_no_snapshot),
        ON_A_DISK(snapshots_are_written_while_entries_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
