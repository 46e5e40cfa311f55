/* A full disk, and room again: commits go on while the reserve lasts, the snapshot that frees space
 * finds room, nothing acknowledged is lost, and the user is told both times. On a disk in memory,
 * where every limit can be had. */
#include "tests/unit/server/journal/state.h"
#include "tests/unit/server/journal/storage_memory.c"

#include <unistd.h>

enum { MOST = 30000, SIZE = 1000000, SEGMENT = JOURNAL_SEGMENT_MIN };

static struct journal *journal;
static struct user user;
static struct journal_error error;
static uint64_t last;

static void start(void)
{
    struct journal_options options = {
        .directory = "memory", .segment_bytes = SEGMENT, .snapshot_reserve = 2 * SIZE};
    struct journal_events events = user_events(&user);
    if (journal_open(&options, &journal, &error) != 0 ||
        journal_start(journal, &events, &error) != 0)
        fail_msg("%s", error.text);
}

static int setup(void **state)
{
    (void)state;
    memory_start(5);
    last = 0;
    start();
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

static void append(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_true(user_append(&user, journal, ++last, MOST));
}

static uint64_t segments(void)
{
    struct journal_status status;
    journal_status(journal, &status);
    return status.segment_count;
}

/* Waits until spares and reserve stand. */
static void settle_down(void)
{
    for (int i = 0;
         i < 5000 && (memory_count("segment.spare-") != 2 || memory_count("reserve") != 1); i++)
        usleep(1000);
    assert_int_equal(memory_count("segment.spare-"), 2);
    assert_int_equal(memory_count("reserve"), 1);
}

/* Lets nothing more be made than what there is. */
static void fill_disk(void)
{
    settle_down();
    pthread_mutex_lock(&machine.lock);
    machine.limit = used();
    pthread_mutex_unlock(&machine.lock);
}

static void assert_all_there(void)
{
    uint32_t skipped = 0;
    assert_int_equal(state_start(journal, SIZE, MOST, &skipped, &error), last);
    assert_int_equal(skipped, 0);
}

static void commits_go_on_while_the_reserve_lasts(void **state)
{
    (void)state;
    struct journal_status status;
    append(10);
    fill_disk();
    assert_true(user.writable);
    while (segments() < 2)
        append(1);
    assert_true(user_wait_writable(&user, false));
    journal_status(journal, &status);
    assert_false(status.writable);
    /* The reserve's segment is still to come. */
    while (segments() < 3)
        append(1);
    append(20);
    memory_limit(UINT64_MAX);
    assert_true(user_wait_writable(&user, true));
    append(20);
    assert_int_equal(user.writable_calls, 2);
    assert_false(user.failed);
    assert_all_there();
}

static void without_any_room_commits_wait(void **state)
{
    (void)state;
    static uint8_t body[100000];
    fill_disk();
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(journal_propose(journal, i, body, sizeof body), 0);
    assert_true(user_wait_writable(&user, false));
    while (segments() < 3)
        usleep(1000);
    usleep(50000);
    pthread_mutex_lock(&user.lock);
    uint64_t committed = user.committed;
    pthread_mutex_unlock(&user.lock);
    assert_true(committed < 64);
    memory_limit(UINT64_MAX);
    assert_true(user_wait(&user, 64));
    assert_true(user_wait_writable(&user, true));
    assert_true(user.in_order);
}

static void close_does_not_wait_for_room(void **state)
{
    (void)state;
    static uint8_t body[100000];
    fill_disk();
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(journal_propose(journal, i, body, sizeof body), 0);
    assert_true(user_wait_writable(&user, false));
    journal_close(journal);
    uint64_t committed = user.committed;
    assert_true(committed > 30 && committed < 64);
    /* A start needs no more room than there was: what was held ready is given up for it. */
    start();
    assert_int_equal(journal_durable_index(journal), committed);
    assert_true(user_wait_writable(&user, false));
}

static void the_reserve_is_spent_on_the_snapshot_that_frees_space(void **state)
{
    (void)state;
    while (segments() < 4)
        append(1);
    fill_disk();
    while (segments() < 5)
        append(1);
    assert_true(user_wait_writable(&user, false));
    assert_int_equal(memory_count("reserve"), 1);
    /* The first snapshot finds room in the reserve; with no older one it frees all before itself.
     */
    if (state_write(journal, last, SIZE, &error) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(segments(), 1);
    assert_true(user_wait_writable(&user, true));
    settle_down();
    append(30);
    assert_all_there();
    journal_close(journal);
    start();
    assert_all_there();
}

static void a_snapshot_without_room_fails_and_harms_nothing(void **state)
{
    (void)state;
    append(20);
    fill_disk();
    assert_int_equal(state_write(journal, last, 4 * SIZE, &error), JOURNAL_NO_SPACE);
    assert_int_equal(memory_count("snapshot"), 0);
    assert_int_equal(error.code, JOURNAL_NO_SPACE);
    append(20);
    assert_false(user.failed);
    memory_limit(UINT64_MAX);
    assert_true(user_wait_writable(&user, true));
    settle_down();
    assert_int_equal(state_write(journal, last, SIZE, &error), 0);
    assert_all_there();
}

static void a_start_without_room_says_so(void **state)
{
    (void)state;
    struct journal_options options = {.directory = "memory", .segment_bytes = SEGMENT};
    append(10);
    journal_close(journal);
    journal = NULL;
    memory_limit(SEGMENT + 100000);
    struct journal_events events = user_events(&user);
    assert_int_equal(journal_open(&options, &journal, &error), 0);
    assert_int_equal(journal_start(journal, &events, &error), JOURNAL_NO_SPACE);
    assert_non_null(strstr(error.text, "copying segment-00000000000000000001"));
    journal_close(journal);
    memory_limit(UINT64_MAX);
    start();
    assert_all_there();
}

static void a_first_start_without_room_leaves_a_clean_directory(void **state)
{
    (void)state;
    struct journal_options options = {.directory = "memory", .segment_bytes = SEGMENT};
    struct journal *none = NULL;
    journal_close(journal);
    journal = NULL;
    memory_start(6);
    memory_limit(SEGMENT / 2);
    assert_int_equal(journal_open(&options, &none, &error), JOURNAL_NO_SPACE);
    assert_int_equal(memory_count("segment"), 0);
    memory_limit(UINT64_MAX);
    last = 0;
    start();
    append(3);
}

int main(void)
{
#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ON_A_DISK(commits_go_on_while_the_reserve_lasts),
        ON_A_DISK(without_any_room_commits_wait),
        ON_A_DISK(close_does_not_wait_for_room),
        ON_A_DISK(the_reserve_is_spent_on_the_snapshot_that_frees_space),
        ON_A_DISK(a_snapshot_without_room_fails_and_harms_nothing),
        ON_A_DISK(a_start_without_room_says_so),
        ON_A_DISK(a_first_start_without_room_leaves_a_clean_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
