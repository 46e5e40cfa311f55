/* A full disk refuses commands and loses nothing; reads go on; when there is room again, so do the
 * commands. Needs a small file system of its own, hence root. */
#include "tests/e2e/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JOBS_MAX = 200000, TITLE = 200 };

static struct scene scene;
static struct server server;
static struct activity_error error;
static bool mounted;
static uint64_t jobs[JOBS_MAX];
static size_t job_count;

static const char *const flags[] = {"--set", "segment_bytes=2MiB", "--set", "snapshot_bytes=1MiB",
                                    NULL};

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    assert_int_equal(mkdir(scene_path(&scene, "data"), 0700), 0);
    mounted = mount("tmpfs", scene_path(&scene, "data"), "tmpfs", 0, "size=256m,mode=700") == 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_kill(&server);
    if (mounted) {
        (void)umount2(scene_path(&scene, "data"), MNT_DETACH);
    }
    scene_end(&scene);
    return 0;
}

static void fill_with(const char *name, size_t bytes)
{
    int fd = open(scene_path(&scene, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, (off_t)bytes), 0);
    (void)close(fd);
}

/* Creates until one is refused, or `most` were made. Returns the code of the refusal, or 0. */
static int create_until_refused(activity_client *client, size_t most)
{
    char title[TITLE + 1];
    memset(title, 't', TITLE);
    title[TITLE] = '\0';
    const struct activity_create_request request = {.type = "upload", .title = title};
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    call.never_repeat = true;
    activity_window *window = activity_window_new(client, 64, &error);
    assert_non_null(window);
    int refused = 0;
    size_t sent = 0;
    while ((refused == 0 && sent < most) || activity_window_used(window) > 0) {
        if (refused == 0 && sent < most && activity_window_used(window) < 64) {
            struct activity_error now;
            assert_ok(activity_submit_create(window, &request, &call, sent++, &now), now);
            continue;
        }
        struct activity_completion done;
        if (activity_next(window, 1000, &done) != ACTIVITY_NEXT_DONE) {
            continue;
        }
        if (done.error.code == ACTIVITY_OK) {
            assert_true(job_count < JOBS_MAX);
            jobs[job_count++] = activity_result_created(done.result)->job_id;
        } else {
            refused = (int)done.error.code;
            error = done.error;
        }
        activity_result_free(done.result);
    }
    activity_window_free(window);
    return refused;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void assert_all_found(activity_client *client)
{
    static uint64_t found[JOBS_MAX * 2];
    size_t count = 0;
    const struct activity_find_request request = {.activities = true};
    activity_finder *finder = activity_finder_new(client, &request, NULL, &error);
    assert_non_null(finder);
    const struct activity_page *page;
    int code;
    while ((code = activity_finder_next(finder, &page, &error)) == ACTIVITY_OK && page != NULL) {
        for (size_t i = 0; i < page->activity_count; i++) {
            assert_true(count < sizeof found / sizeof found[0]);
            found[count++] = page->activities[i].job_id;
        }
    }
    assert_ok(code, error);
    activity_finder_free(finder);
    qsort(found, count, sizeof found[0], by_id);
    for (size_t i = 0; i < job_count; i++) {
        assert_non_null(bsearch(&jobs[i], found, count, sizeof found[0], by_id));
    }
    print_message("%zu acknowledged, %zu found\n", job_count, count);
}

static bool is_serving(activity_client *client)
{
    activity_result *result;
    assert_ok(activity_check_health(client, NULL, NULL, &result, &error), error);
    bool serving = activity_result_health(result)->serving;
    activity_result_free(result);
    return serving;
}

static void test_a_full_disk_refuses_and_comes_back(void **state)
{
    (void)state;
    if (!mounted) {
        print_message("no small file system can be mounted: %s\n", strerror(errno));
        skip();
    }
    server_start(&server, &scene, flags);
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    assert_int_equal(create_until_refused(client, 100), 0);
    struct {
        char name[32];
        size_t bytes;
    } filler = {"data/filler", (size_t)226 << 20};
    fill_with(filler.name, filler.bytes);
    assert_int_equal(create_until_refused(client, JOBS_MAX / 2), ACTIVITY_RESOURCE_EXHAUSTED);
    assert_string_equal(error.reason, "DISK_FULL");
    assert_true(error.retry_after_ms > 0);
    assert_all_found(client); /* reads go on */
    /* A snapshot may free space by itself; in the end there is none left to free. */
    uint64_t end = now_ms() + 150000;
    while (is_serving(client)) {
        (void)create_until_refused(client, 10000);
        assert_true(now_ms() < end);
    }

    assert_int_equal(unlink(scene_path(&scene, filler.name)), 0);
    end = now_ms() + 60000;
    while (create_until_refused(client, 100) != 0) {
        assert_true(now_ms() < end);
        sleep_ms(100);
    }
    assert_all_found(client);
    server_kill(&server);
    server_start(&server, &scene, flags);
    assert_all_found(client);
    activity_client_free(client);
    assert_false(server_said(&server, "DIVERGED"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_full_disk_refuses_and_comes_back)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
