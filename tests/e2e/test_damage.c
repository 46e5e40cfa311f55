/* A stopped server's files are damaged in one place; the next start either refuses, naming the
 * file, or serves a state in which every acknowledged activity is right. A wrong answer is the one
 * thing that must not happen. */
#include "tests/e2e/harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JOBS = 400 };

static struct scene scene;
static struct server server;
static struct activity_error error;
static uint64_t jobs[JOBS];

static const char *const flags[] = {"--set", "segment_bytes=2MiB", NULL};

static void shell(const char *format, const char *a, const char *b)
{
    char command[2048];
    (void)snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    server_start(&server, &scene, flags);
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    for (size_t i = 0; i < JOBS; i++) {
        const struct activity_create_request request = {.type = "upload", .title = "precious"};
        struct activity_created created;
        assert_ok(activity_create(client, &request, NULL, &created, &error), error);
        jobs[i] = created.job_id;
        if (i == JOBS / 2) { /* half in a snapshot, half in the journal */
            assert_int_equal(server_stop(&server), 0);
            server_start(&server, &scene, flags);
        }
    }
    activity_client_free(client);
    server_kill(&server);
    shell("cp -a --sparse=always %s %s", scene_path(&scene, "data"),
          scene_path(&scene, "original"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_kill(&server);
    scene_end(&scene);
    return 0;
}

/* Segments and snapshots, in the directory's order. */
static size_t data_files(char names[][SCENE_PATH_MAX], size_t most)
{
    char folder[SCENE_PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s/journal", scene_path(&scene, "data"));
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL && count < most;) {
        if (strncmp(entry->d_name, "segment-", 8) == 0 ||
            strncmp(entry->d_name, "snapshot-", 9) == 0) {
            (void)snprintf(names[count++], SCENE_PATH_MAX, "%.200s/%.200s", folder, entry->d_name);
        }
    }
    (void)closedir(directory);
    return count;
}

/* Flips one bit of the part that is in use (up to the last byte that is not zero). */
static void flip(const char *path, uint64_t *seed)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat status;
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    uint8_t *bytes = malloc((size_t)status.st_size);
    assert_non_null(bytes);
    assert_true(pread(fd, bytes, (size_t)status.st_size, 0) == status.st_size);
    off_t used = status.st_size;
    while (used > 1 && bytes[used - 1] == 0) {
        used--;
    }
    off_t at = (off_t)(random_next(seed) % (uint64_t)used);
    uint8_t byte = (uint8_t)(bytes[at] ^ 1u << random_next(seed) % 8);
    assert_true(pwrite(fd, &byte, 1, at) == 1);
    free(bytes);
    (void)close(fd);
}

/* 1: it serves and all is right; 0: it refused. */
static int start_and_check(void)
{
    server_spawn(&server, &scene, flags);
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    uint64_t end = now_ms() + 60000;
    int status = -1;
    activity_result *result = NULL;
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    call.timeout_ms = 300;
    const struct activity_find_request find = {.activities = true, .observe = true};
    while (activity_find(client, &find, &call, &result, &error) != ACTIVITY_OK) {
        if (server_ended(&server, &status)) {
            activity_client_free(client);
            assert_true(status == 70 || status == 74);
            return 0;
        }
        assert_true(now_ms() < end);
    }
    const struct activity_page *page = activity_result_page(result);
    assert_int_equal(page->activity_count, JOBS);
    for (size_t i = 0; i < JOBS; i++) {
        assert_true(page->activities[i].job_id == jobs[i]);
        assert_string_equal(page->activities[i].title, "precious");
        assert_int_equal(page->activities[i].percent, 0);
    }
    activity_result_free(result);
    activity_client_free(client);
    server_kill(&server);
    return 1;
}

static void test_single_bits(void **state)
{
    (void)state;
    uint64_t seed = 7;
    uint32_t count = test_count(12);
    uint32_t served = 0;
    for (uint32_t i = 0; i < count; i++) {
        static char names[64][SCENE_PATH_MAX];
        shell("rm -rf %s%s", scene_path(&scene, "data"), "");
        shell("cp -a --sparse=always %s %s", scene_path(&scene, "original"),
              scene_path(&scene, "data"));
        size_t files = data_files(names, 64);
        assert_true(files >= 2);
        flip(names[random_next(&seed) % files], &seed);
        served += (uint32_t)start_and_check();
    }
    print_message("%u flips: %u harmless, %u refused\n", count, served, count - served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_single_bits)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
