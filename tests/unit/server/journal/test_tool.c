/* `activityd journal` as a person meets it: what it prints, and its exit status. */
#include "tests/unit/server/journal/directory.h"
#include "tests/unit/server/journal/state.h"

#include <sys/wait.h>

#include "server/journal/entry.h"
#include "server/journal/segment.h"
#include "server/journal/tool.h"

enum { MOST = 5000, SIZE = 100000, COUNT = 30 };

static char output[16384]; /* of the last run, both streams */

/* Runs the tool in a process of its own, since it prints. Returns the exit status. */
static int run(int argc, char **argv)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipes[1], STDOUT_FILENO);
        dup2(pipes[1], STDERR_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        int status = journal_tool_main(argc, argv);
        fflush(stdout);
        _exit(status);
    }
    close(pipes[1]);
    size_t length = 0;
    ssize_t count;
    while ((count = read(pipes[0], output + length, sizeof output - 1 - length)) > 0)
        length += (size_t)count;
    output[length] = '\0';
    close(pipes[0]);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define RUN(...)                                                                                   \
    run((int)(sizeof((char *[]){"journal", __VA_ARGS__}) / sizeof(char *)),                        \
        (char *[]){"journal", __VA_ARGS__, NULL})

static void assert_prints(const char *text)
{
    if (strstr(output, text) == NULL)
        fail_msg("\"%s\" is not in:\n%s", text, output);
}

/* A journal of COUNT entries, the last `mark` of them being applied when the process died (0 =
 * none), and a snapshot. */
static uint64_t build(uint64_t snapshot, uint64_t mark)
{
    struct journal_options options = {.directory = directory_path,
                                      .segment_bytes = JOURNAL_SEGMENT_MIN};
    struct journal *journal = NULL;
    struct journal_error error;
    struct user user;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct journal_events events = user_events(&user);
        if (journal_open(&options, &journal, &error) != 0 ||
            journal_start(journal, &events, &error) != 0)
            _exit(1);
        for (uint64_t i = 1; i <= COUNT; i++)
            if (!user_append(&user, journal, i, MOST))
                _exit(1);
        if (snapshot != 0 && state_write(journal, snapshot, SIZE, &error) != 0)
            _exit(1);
        journal_mark(journal, mark);
        if (mark == 0)
            journal_close(journal);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    options.read_only = true;
    assert_int_equal(journal_open(&options, &journal, &error), 0);
    assert_int_equal(journal_durable_index(journal), COUNT);
    uint64_t epoch = journal_epoch(journal);
    journal_close(journal);
    return epoch;
}

static void damage(uint64_t index)
{
    off_t offset = SEGMENT_DATA + 100;
    for (uint64_t i = 1; i < index; i++)
        offset += (off_t)entry_bytes(fixture_length(i, MOST));
    uint8_t byte;
    directory_read("segment-00000000000000000001", offset, &byte, 1);
    byte ^= 4;
    directory_write("segment-00000000000000000001", offset, &byte, 1);
}

static void usage_and_help(void **state)
{
    (void)state;
    assert_int_equal(RUN("--help"), 0);
    assert_prints("usage: activityd journal verify DIRECTORY");
    assert_prints("--drop-last");
    assert_prints("Exit status");
    assert_int_equal(RUN("verify", directory_path, "-h"), 0);
    assert_int_equal(RUN("verify"), 2);
    assert_prints("usage:");
    assert_int_equal(run(1, (char *[]){"journal", NULL}), 2);
    assert_int_equal(RUN("look", directory_path), 2);
    assert_int_equal(RUN("verify", directory_path, "--drop-last"), 2);
    assert_int_equal(RUN("verify", directory_path, directory_path), 2);
    assert_int_equal(RUN("repair", directory_path, "--all"), 2);
}

static void what_is_no_journal(void **state)
{
    (void)state;
    assert_int_equal(RUN("verify", directory_path), 1);
    assert_prints("activityd journal: opening");
    assert_prints("No such file or directory");
    assert_int_equal(mkdir(directory_path, 0700), 0);
    assert_int_equal(RUN("verify", directory_path), 1);
    assert_prints("there is no journal in");
    assert_int_equal(RUN("repair", directory_path), 1);
}

static void a_sound_journal(void **state)
{
    (void)state;
    char line[64];
    uint64_t epoch = build(20, 0);
    assert_int_equal(RUN("verify", directory_path), 0);
    assert_prints("segment-00000000000000000001  entries 1-30, ");
    assert_prints("snapshot-00000000000000000020  after entry 20, ");
    snprintf(line, sizeof line, "epoch %016" PRIx64 ", last entry 30", epoch);
    assert_prints(line);
    assert_prints("start from the snapshot after entry 20");
    assert_prints("\nsound\n");
    assert_int_equal(RUN("repair", directory_path), 0);
    assert_prints("nothing to repair");
}

static void a_journal_in_use(void **state)
{
    (void)state;
    struct journal_options options = {.directory = directory_path,
                                      .segment_bytes = JOURNAL_SEGMENT_MIN};
    struct journal *journal = NULL;
    struct journal_error error;
    assert_int_equal(journal_open(&options, &journal, &error), 0);
    assert_int_equal(RUN("verify", directory_path), 1);
    assert_prints("is in use: stop the server first");
    assert_int_equal(RUN("repair", directory_path), 1);
    journal_close(journal);
    assert_int_equal(RUN("verify", directory_path), 0);
}

static void a_torn_end_is_sound(void **state)
{
    (void)state;
    static uint8_t sectors[2 * ENTRY_SECTOR];
    static const uint8_t body[600] = {1};
    struct entry_header header = {.index = COUNT + 1, .synced = COUNT, .length = sizeof body};
    build(0, 0);
    off_t end = SEGMENT_DATA;
    for (uint64_t i = 1; i <= COUNT; i++)
        end += (off_t)entry_bytes(fixture_length(i, MOST));
    entry_encode(&header, body, sectors);
    directory_write("segment-00000000000000000001", end + ENTRY_SECTOR, sectors + ENTRY_SECTOR,
                    ENTRY_SECTOR);
    assert_int_equal(RUN("verify", directory_path), 0);
    assert_prints("a torn end, never acknowledged, is cut at the next start");
}

static void a_damaged_journal(void **state)
{
    (void)state;
    uint64_t epoch = build(20, 0);
    damage(25);
    assert_int_equal(RUN("verify", directory_path), 1);
    assert_prints("entries 1-24, ");
    assert_prints("problem: segment-00000000000000000001: entry 25 at byte ");
    assert_prints("its body is damaged");
    assert_prints("a repair would keep all up to entry 24");
    assert_prints("1 problem\n");
    assert_int_equal(RUN("repair", directory_path, "--drop-last"), 1);
    assert_prints("repair it without --drop-last first");
    assert_int_equal(RUN("repair", directory_path), 0);
    assert_prints("found: segment-00000000000000000001: entry 25");
    assert_prints("kept: everything up to entry 24");
    assert_prints("lost: entries 25-30, ");
    assert_prints("kept as lost-1-...");
    assert_prints("the epoch is now ");
    char old[32];
    snprintf(old, sizeof old, "%016" PRIx64, epoch);
    assert_null(strstr(output, old));
    assert_int_equal(directory_count("lost-1-segment-00000000000000000001"), 1);
    assert_int_equal(RUN("verify", directory_path), 0);
    assert_prints("last entry 24");
}

static void a_damaged_snapshot(void **state)
{
    (void)state;
    build(20, 0);
    directory_write("snapshot-00000000000000000020", 600, "x", 1);
    assert_int_equal(RUN("verify", directory_path), 1);
    assert_prints("snapshot-00000000000000000020  DAMAGED");
    assert_prints("start from entry 1");
    assert_int_equal(RUN("repair", directory_path), 0);
    assert_prints("nothing to repair");
}

static void the_entry_that_crashed_the_server(void **state)
{
    (void)state;
    build(20, COUNT);
    assert_int_equal(RUN("verify", directory_path), 0);
    assert_prints("entry 30 was being applied for the first time when the server crashed");
    assert_int_equal(RUN("repair", directory_path, "--drop-last"), 0);
    assert_prints("kept: everything up to entry 29");
    assert_prints("lost: entry 30, ");
    assert_int_equal(RUN("repair", "--drop-last", directory_path), 1);
    assert_prints("it may have been acknowledged and is not dropped");
    assert_int_equal(RUN("verify", directory_path), 0);
    assert_prints("last entry 29");
}

static void an_interrupted_repair(void **state)
{
    (void)state;
    build(0, 0);
    directory_write("repairing", 0, "", 0);
    assert_int_equal(RUN("verify", directory_path), 1);
    assert_prints("a repair was interrupted");
    assert_int_equal(RUN("repair", directory_path), 0);
    assert_prints("nothing is lost");
    assert_int_equal(RUN("verify", directory_path), 0);
}

int main(void)
{
#define IN_A_DIRECTORY(test)                                                                       \
    cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_DIRECTORY(usage_and_help),        IN_A_DIRECTORY(what_is_no_journal),
        IN_A_DIRECTORY(a_sound_journal),       IN_A_DIRECTORY(a_journal_in_use),
        IN_A_DIRECTORY(a_torn_end_is_sound),   IN_A_DIRECTORY(a_damaged_journal),
        IN_A_DIRECTORY(a_damaged_snapshot),    IN_A_DIRECTORY(the_entry_that_crashed_the_server),
        IN_A_DIRECTORY(an_interrupted_repair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
