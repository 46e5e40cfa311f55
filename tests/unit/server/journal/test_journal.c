/* The journal on a real file system: what was committed is there again, in order, over segments and
 * restarts. */
#include "tests/unit/server/journal/directory.h"

#include <sys/wait.h>

enum { MOST = 20000, LONG = 400000 };

static const struct journal_options *options(void)
{
    static struct journal_options made;
    made =
        (struct journal_options){.directory = directory_path, .segment_bytes = JOURNAL_SEGMENT_MIN};
    return &made;
}

static struct journal *opened(void)
{
    struct journal *journal = NULL;
    struct journal_error error = {0};
    if (journal_open(options(), &journal, &error) != 0)
        fail_msg("%s", error.text);
    return journal;
}

static struct journal *started(struct user *user)
{
    struct journal *journal = opened();
    struct journal_error error = {0};
    struct journal_events events = user_events(user);
    if (journal_start(journal, &events, &error) != 0)
        fail_msg("%s", error.text);
    return journal;
}

static void assert_replay_of(uint32_t most, const struct journal *journal, uint64_t first,
                             uint64_t last)
{
    struct journal_error error = {0};
    int64_t result = fixture_replay(journal, first, most, &error);
    if (result < 0)
        fail_msg("%s", error.text);
    assert_int_equal(result, last);
}

static void assert_replay(const struct journal *journal, uint64_t first, uint64_t last)
{
    assert_replay_of(MOST, journal, first, last);
}

static void a_fresh_directory_is_an_empty_journal(void **state)
{
    (void)state;
    struct journal_status status;
    struct journal *journal = opened();
    uint64_t epoch = journal_epoch(journal);
    assert_int_equal(journal_durable_index(journal), 0);
    assert_int_equal(journal_marked_index(journal), 0);
    assert_true(epoch != 0);
    assert_replay(journal, 1, 0);
    journal_status(journal, &status);
    assert_true(status.writable);
    assert_int_equal(status.segment_count, 1);
    assert_int_equal(status.bytes_since_snapshot, 0);
    journal_close(journal);
    journal = opened();
    assert_int_equal(journal_epoch(journal), epoch);
    journal_close(journal);
    journal_close(NULL);
}

static void entries_survive_restarts(void **state)
{
    (void)state;
    struct user user;
    uint64_t last = 0;
    uint64_t epoch = 0;
    for (int life = 0; life < 5; life++) {
        struct journal *journal = started(&user);
        epoch = life == 0 ? journal_epoch(journal) : epoch;
        assert_int_equal(journal_epoch(journal), epoch);
        assert_int_equal(journal_durable_index(journal), last);
        assert_replay(journal, 1, last);
        for (int i = 0; i < 40; i++) {
            assert_true(user_append(&user, journal, ++last, MOST));
            assert_int_equal(user.last_index, last);
            assert_int_equal(journal_durable_index(journal), last);
        }
        assert_replay(journal, 1, last);
        assert_replay(journal, last - 3, last);
        assert_true(user.in_order);
        journal_close(journal);
    }
    assert_int_equal(directory_count("segment-"), 1);
}

static void several_proposals_share_a_sync(void **state)
{
    (void)state;
    static uint8_t bodies[2000][64];
    struct user user;
    struct journal_status status;
    struct journal *journal = started(&user);
    for (uint64_t i = 0; i < 2000; i++) {
        memset(bodies[i], (int)i, sizeof bodies[i]);
        while (journal_propose(journal, i, bodies[i], sizeof bodies[i]) != 0)
            assert_true(user_wait(&user, i - JOURNAL_PROPOSALS_MAX + 1));
    }
    assert_true(user_wait(&user, 2000));
    assert_true(user.in_order);
    assert_int_equal(user.last_index, 2000);
    assert_int_equal(user.last_token, 1999);
    journal_status(journal, &status);
    assert_true(status.syncs < 1500);
    assert_int_equal(status.bytes_since_snapshot, 2000 * 512);
    journal_close(journal);
}

static void close_commits_what_was_proposed(void **state)
{
    (void)state;
    static uint8_t bodies[JOURNAL_PROPOSALS_MAX][MOST];
    struct user user;
    struct journal *journal = started(&user);
    for (uint64_t i = 1; i <= JOURNAL_PROPOSALS_MAX; i++) {
        fixture_fill(i, bodies[i - 1], fixture_length(i, MOST));
        assert_int_equal(journal_propose(journal, i, bodies[i - 1], fixture_length(i, MOST)), 0);
    }
    journal_close(journal);
    assert_int_equal(user.committed, JOURNAL_PROPOSALS_MAX);
    journal = opened();
    assert_replay(journal, 1, JOURNAL_PROPOSALS_MAX);
    journal_close(journal);
}

static void the_longest_body_fits(void **state)
{
    (void)state;
    struct user user;
    struct journal_error error;
    uint8_t *body = malloc(JOURNAL_BODY_MAX);
    struct journal *journal = started(&user);
    for (uint32_t i = 0; i < JOURNAL_BODY_MAX; i++)
        body[i] = (uint8_t)fixture_mix(i);
    for (uint64_t i = 1; i <= 7; i++) {
        assert_int_equal(journal_propose(journal, i, body, JOURNAL_BODY_MAX), 0);
        assert_true(user_wait(&user, i));
    }
    struct journal_reader *reader = NULL;
    struct journal_entry entry;
    assert_int_equal(journal_reader_open(journal, 2, &reader, &error), 0);
    for (uint64_t i = 2; i <= 7; i++) {
        assert_int_equal(journal_reader_next(reader, 7, &entry, &error), 1);
        assert_int_equal(entry.index, i);
        assert_int_equal(entry.length, JOURNAL_BODY_MAX);
        assert_memory_equal(entry.body, body, JOURNAL_BODY_MAX);
    }
    assert_int_equal(journal_reader_next(reader, 7, &entry, &error), 0);
    journal_reader_close(reader);
    assert_int_equal(directory_count("segment-0"), 4);
    journal_close(journal);
    free(body);
}

static void segments_follow_each_other(void **state)
{
    (void)state;
    struct user user;
    struct journal_status status;
    struct journal *journal = started(&user);
    uint64_t last = 0;
    do {
        assert_true(user_append(&user, journal, ++last, LONG));
        journal_status(journal, &status);
    } while (status.segment_count < 4);
    for (int i = 0; i < 3; i++)
        assert_true(user_append(&user, journal, ++last, LONG));
    assert_replay_of(LONG, journal, 1, last);
    journal_status(journal, &status);
    uint64_t bytes = status.bytes_since_snapshot;
    assert_true(bytes > 3 * (JOURNAL_SEGMENT_MIN - 2 * LONG) && bytes < 4ull * JOURNAL_SEGMENT_MIN);
    journal_close(journal);
    journal = opened();
    assert_replay_of(LONG, journal, 1, last);
    assert_replay_of(LONG, journal, last / 2, last);
    journal_status(journal, &status);
    assert_int_equal(status.segment_count, 4);
    assert_in_range(status.bytes_since_snapshot, bytes, bytes + 3 * 2 * LONG);
    journal_close(journal);
}

static void a_segment_may_change_its_size_at_a_restart(void **state)
{
    (void)state;
    struct user user;
    struct journal_options larger = *options();
    struct journal_error error;
    struct journal *journal = started(&user);
    for (uint64_t i = 1; i <= 200; i++)
        assert_true(user_append(&user, journal, i, MOST));
    journal_close(journal);
    for (int i = 0; i < 2; i++) {
        larger.segment_bytes = i == 0 ? 3 * JOURNAL_SEGMENT_MIN : JOURNAL_SEGMENT_MIN;
        assert_int_equal(journal_open(&larger, &journal, &error), 0);
        struct journal_events events = user_events(&user);
        assert_int_equal(journal_start(journal, &events, &error), 0);
        for (uint64_t k = 1; k <= 200; k++)
            assert_true(user_append(&user, journal, 200 + (uint64_t)i * 200 + k, MOST));
        assert_replay(journal, 1, 400 + (uint64_t)i * 200);
        journal_close(journal);
    }
}

struct follower {
    const struct journal *journal;
    uint64_t last;
    int result;
};

static void *follow(void *argument)
{
    struct follower *follower = argument;
    struct journal_reader *reader = NULL;
    struct journal_entry entry;
    struct journal_error error;
    uint64_t next = 1;
    follower->result = journal_reader_open(follower->journal, 1, &reader, &error);
    while (follower->result >= 0 && next <= follower->last) {
        uint64_t durable = journal_durable_index(follower->journal);
        while ((follower->result = journal_reader_next(reader, durable, &entry, &error)) == 1) {
            if (entry.index != next || !fixture_is(entry.index, entry.body, entry.length, MOST))
                follower->result = -100;
            next++;
        }
        usleep(200);
    }
    journal_reader_close(reader);
    return NULL;
}

static void a_reader_follows_the_writer(void **state)
{
    (void)state;
    struct user user;
    pthread_t thread;
    struct journal *journal = started(&user);
    struct follower follower = {.journal = journal, .last = 1500};
    assert_int_equal(pthread_create(&thread, NULL, follow, &follower), 0);
    for (uint64_t i = 1; i <= follower.last; i++)
        assert_true(user_append(&user, journal, i, MOST));
    pthread_join(thread, NULL);
    assert_int_equal(follower.result, 0);
    journal_close(journal);
}

static void a_reader_from_before_the_start_goes_on(void **state)
{
    (void)state;
    struct user user;
    struct journal_error error = {0};
    struct journal_reader *reader = NULL;
    struct journal_entry entry;
    struct journal *journal = started(&user);
    for (uint64_t i = 1; i <= 10; i++)
        assert_true(user_append(&user, journal, i, MOST));
    journal_close(journal);
    journal = opened();
    assert_int_equal(journal_reader_open(journal, 1, &reader, &error), 0);
    for (uint64_t i = 1; i <= 10; i++)
        assert_int_equal(journal_reader_next(reader, 10, &entry, &error), 1);
    assert_int_equal(journal_reader_next(reader, 10, &entry, &error), 0);
    struct journal_events events = user_events(&user);
    assert_int_equal(journal_start(journal, &events, &error), 0);
    assert_true(user_append(&user, journal, 11, MOST));
    assert_int_equal(journal_reader_next(reader, 11, &entry, &error), 1);
    assert_int_equal(entry.index, 11);
    journal_reader_close(reader);
    journal_close(journal);
}

static void one_process_at_a_time(void **state)
{
    (void)state;
    struct journal *journal = opened();
    pid_t child = fork();
    if (child == 0) {
        struct journal *second = NULL;
        struct journal_error error = {0};
        int result = journal_open(options(), &second, &error);
        _exit(result == JOURNAL_LOCKED && strstr(error.text, "in use") != NULL ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    journal_close(journal);
    journal_close(opened());
}

static void read_only_writes_nothing(void **state)
{
    (void)state;
    struct user user;
    struct journal_options look = *options();
    struct journal_error error;
    struct journal *journal = NULL;
    look.read_only = true;
    assert_int_equal(journal_open(&look, &journal, &error), JOURNAL_IO);
    journal = started(&user);
    assert_true(user_append(&user, journal, 1, MOST));
    struct journal *second = NULL;
    assert_int_equal(journal_open(&look, &second, &error), 0);
    assert_replay(second, 1, 1);
    journal_close(second);
    journal_close(journal);
}

/* Runs a process that dies with a mark set; returns what the next one finds. */
static uint64_t mark_after_crash(uint64_t replayed, uint64_t live)
{
    pid_t child = fork();
    if (child == 0) {
        struct user user;
        struct journal *journal = opened();
        struct journal_error error;
        struct journal_events events = user_events(&user);
        journal_mark(journal, replayed);
        if (live != 0 && journal_start(journal, &events, &error) == 0)
            journal_mark(journal, live);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct journal_options look = *options();
    struct journal_error error;
    struct journal *journal = NULL;
    look.read_only = true;
    assert_int_equal(journal_open(&look, &journal, &error), 0);
    uint64_t marked = journal_marked_index(journal);
    journal_close(journal);
    return marked;
}

static void a_mark_survives_a_crash(void **state)
{
    (void)state;
    struct user user;
    assert_int_equal(mark_after_crash(0, 17), 17);
    /* A crash in the replay of an older entry does not hide the suspect. */
    assert_int_equal(mark_after_crash(12, 0), 17);
    assert_int_equal(mark_after_crash(0, 0), 17);
    /* A start that went well does. */
    journal_close(started(&user));
    assert_int_equal(mark_after_crash(0, 0), 0);
    assert_int_equal(mark_after_crash(12, 0), 12);
    struct journal *journal = opened();
    assert_int_equal(journal_marked_index(journal), 12);
    /* What stops the process in an orderly way leaves its mark too, unless it is taken back. */
    journal_mark(journal, 13);
    journal_close(journal);
    journal = opened();
    assert_int_equal(journal_marked_index(journal), 13);
    journal_mark(journal, 14);
    journal_mark(journal, 0);
    journal_close(journal);
    assert_int_equal(mark_after_crash(0, 0), 0);
}

static void a_mark_of_another_boot_is_not_believed(void **state)
{
    (void)state;
    struct user user;
    uint8_t boot[8];
    assert_int_equal(mark_after_crash(0, 17), 17);
    directory_read("applying", 0, boot, sizeof boot);
    boot[3] ^= 1;
    directory_write("applying", 0, boot, sizeof boot);
    assert_int_equal(mark_after_crash(0, 0), 0);
    /* But once a process has seen it in its own boot it is kept. */
    assert_int_equal(mark_after_crash(0, 18), 18);
    journal_close(opened());
    directory_write("applying", 0, boot, sizeof boot);
    struct journal *journal = opened();
    assert_int_equal(journal_marked_index(journal), 18);
    journal_close(journal);
    journal_close(started(&user));
}

static void half_made_files_are_removed(void **state)
{
    (void)state;
    struct user user;
    journal_close(opened());
    directory_write("segment.tmp", 0, "x", 1);
    directory_write("segment.spare-0", 0, "x", 1);
    directory_write("snapshot.tmp", 0, "x", 1);
    directory_write("notes.txt", 0, "x", 1);
    struct journal *journal = started(&user);
    assert_true(user_append(&user, journal, 1, MOST));
    assert_int_equal(directory_count("segment.tmp"), 0);
    assert_int_equal(directory_count("snapshot.tmp"), 0);
    assert_int_equal(directory_count("notes.txt"), 1);
    journal_close(journal);
}

int main(void)
{
#define IN_A_DIRECTORY(test)                                                                       \
    cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_DIRECTORY(a_fresh_directory_is_an_empty_journal),
        IN_A_DIRECTORY(entries_survive_restarts),
        IN_A_DIRECTORY(several_proposals_share_a_sync),
        IN_A_DIRECTORY(close_commits_what_was_proposed),
        IN_A_DIRECTORY(the_longest_body_fits),
        IN_A_DIRECTORY(segments_follow_each_other),
        IN_A_DIRECTORY(a_segment_may_change_its_size_at_a_restart),
        IN_A_DIRECTORY(a_reader_follows_the_writer),
        IN_A_DIRECTORY(a_reader_from_before_the_start_goes_on),
        IN_A_DIRECTORY(one_process_at_a_time),
        IN_A_DIRECTORY(read_only_writes_nothing),
        IN_A_DIRECTORY(a_mark_survives_a_crash),
        IN_A_DIRECTORY(a_mark_of_another_boot_is_not_believed),
        IN_A_DIRECTORY(half_made_files_are_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
