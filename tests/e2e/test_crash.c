/* P1 and P2 against a real disk and real kills: what was acknowledged is there after every SIGKILL,
 * what was repeated has the effect of one, and the state is the same function of the journal. N=10
 * makes it ten times as long. */
#include "tests/e2e/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KILLS    50u
#define JOBS_MAX 200000u

static struct scene scene;
static struct server server;
static struct activity_error error;

/* Small snapshots and segments, so that the kills meet them too. */
static const char *const flags[] = {"--set", "segment_bytes=4MiB", "--set", "snapshot_bytes=1MiB",
                                    NULL};

struct job {
    uint64_t id;
    uint8_t percent; /* acknowledged */
};
static struct job jobs[JOBS_MAX];
static uint32_t job_count;

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    server_start(&server, &scene, flags);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_kill(&server);
    scene_end(&scene);
    return 0;
}

/* Whatever comes: creates, updates and batches until the server is killed; only acknowledged
 * effects are written down. */
static void work_until_killed(activity_client *client, uint64_t *seed, uint32_t milliseconds)
{
    enum { WINDOW = 32, BATCH = 50 };
    activity_window *window = activity_window_new(client, WINDOW, &error);
    assert_non_null(window);
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    call.timeout_ms = 3000;
    call.never_repeat = true;
    static struct {
        uint32_t jobs[BATCH];
        uint8_t percents[BATCH];
    } sent[WINDOW];
    bool busy[WINDOW] = {false};
    uint64_t end = now_ms() + milliseconds;
    bool killed = false;
    while (!killed || activity_window_used(window) > 0) {
        if (!killed && now_ms() >= end) {
            server_kill(&server);
            killed = true;
        }
        if (!killed && activity_window_used(window) < WINDOW) {
            uint64_t slot = 0;
            while (busy[slot]) {
                slot++;
            }
            if (job_count < 100 || random_next(seed) % 3 == 0) {
                struct activity_create_request request = {.type = "upload", .title = "crash test"};
                assert_ok(activity_submit_create(window, &request, &call, slot, &error), error);
            } else {
                uint64_t ids[BATCH];
                for (size_t i = 0; i < BATCH; i++) {
                    uint32_t job = (uint32_t)(random_next(seed) % job_count);
                    sent[slot].jobs[i] = job;
                    sent[slot].percents[i] = (uint8_t)(random_next(seed) % 100);
                    ids[i] = jobs[job].id;
                }
                struct activity_batch_request request = {
                    .job_ids = ids, .percents = sent[slot].percents, .count = BATCH};
                assert_ok(activity_submit_batch_update(window, &request, &call, slot, &error),
                          error);
            }
            busy[slot] = true;
            continue;
        }
        struct activity_completion done;
        if (activity_next(window, 50, &done) != ACTIVITY_NEXT_DONE) {
            continue;
        }
        busy[done.tag] = false;
        if (done.error.code == ACTIVITY_OK && done.method == ACTIVITY_METHOD_CREATE &&
            job_count < JOBS_MAX) {
            jobs[job_count++] = (struct job){activity_result_created(done.result)->job_id, 0};
        } else if (done.error.code == ACTIVITY_OK && done.method == ACTIVITY_METHOD_BATCH_UPDATE) {
            for (size_t i = 0; i < BATCH; i++) {
                struct job *job = &jobs[sent[done.tag].jobs[i]];
                if (sent[done.tag].percents[i] > job->percent) {
                    job->percent = sent[done.tag].percents[i];
                }
            }
        }
        activity_result_free(done.result);
    }
    activity_window_free(window);
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = jobs[*(const uint32_t *)a].id;
    uint64_t y = jobs[*(const uint32_t *)b].id;
    return x < y ? -1 : x > y;
}

static const struct job *acknowledged(const uint32_t *sorted, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = job_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (jobs[sorted[middle]].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < job_count && jobs[sorted[low]].id == id ? &jobs[sorted[low]] : NULL;
}

/* Every acknowledged job is found once, at least as far as was acknowledged, and no id was given
 * twice. */
static void check_all(activity_client *client)
{
    static uint32_t sorted[JOBS_MAX];
    for (uint32_t i = 0; i < job_count; i++) {
        sorted[i] = i;
    }
    qsort(sorted, job_count, sizeof sorted[0], by_id);
    for (uint32_t i = 1; i < job_count; i++) {
        assert_true(jobs[sorted[i - 1]].id != jobs[sorted[i]].id);
    }
    const struct activity_find_request request = {.activities = true};
    activity_finder *finder = activity_finder_new(client, &request, NULL, &error);
    assert_non_null(finder);
    const struct activity_page *page;
    uint32_t found = 0;
    uint32_t others = 0; /* created, and killed before the answer came */
    int code;
    while ((code = activity_finder_next(finder, &page, &error)) == ACTIVITY_OK && page != NULL) {
        for (size_t i = 0; i < page->activity_count; i++) {
            const struct job *job = acknowledged(sorted, page->activities[i].job_id);
            if (job == NULL) {
                others++;
                continue;
            }
            assert_true(page->activities[i].percent >= job->percent);
            found++;
        }
    }
    assert_ok(code, error);
    activity_finder_free(finder);
    assert_int_equal(found, job_count);
    print_message("%u acknowledged activities found, %u more\n", found, others);
}

static void test_acknowledged_changes_survive_sigkill(void **state)
{
    (void)state;
    uint64_t seed = 20261124;
    uint32_t kills = test_count(KILLS);
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    for (uint32_t i = 0; i < kills; i++) {
        work_until_killed(client, &seed, 40 + (uint32_t)(random_next(&seed) % 200));
        server_start(&server, &scene, flags);
        check_all(client);
    }
    activity_client_free(client);
    assert_true(job_count > 0);
    assert_false(server_said(&server, "DIVERGED"));
}

static void test_the_state_is_the_same_after_a_crash_and_after_a_clean_stop(void **state)
{
    (void)state;
    activity_client *root = client_of(&server, "root", NULL, NULL, NULL);
    struct activity_state_hash before;
    struct activity_state_hash after;
    assert_ok(activity_get_state_hash(root, NULL, &before, &error), error);
    assert_int_equal(server_stop(&server), 0);
    server_start(&server, &scene, flags);
    assert_ok(activity_get_state_hash(root, NULL, &after, &error), error);
    assert_true(after.journal_index >= before.journal_index);
    if (after.journal_index == before.journal_index) {
        assert_true(after.state_hash == before.state_hash && after.digest == before.digest);
    }
    server_kill(&server);
    server_start(&server, &scene, flags);
    assert_ok(activity_get_state_hash(root, NULL, &before, &error), error);
    assert_true(before.journal_index >= after.journal_index);
    assert_false(server_said(&server, "DIVERGED"));
    activity_client_free(root);
}

static void test_repetition_has_the_effect_of_one(void **state)
{
    (void)state;
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    struct activity_create_request create = {.type = "upload", .title = "once"};
    const struct activity_document_change change = {
        .model = "asset", .document_id = "42", .affected_model = "Asset", .json = {"{\"a\":1}", 7}};
    struct activity_record_request record = {.changes = &change, .change_count = 1};
    assert_int_equal(activity_request_id_new(create.request_id), 0);
    assert_int_equal(activity_request_id_new(record.request_id), 0);
    struct activity_created created;
    struct activity_recorded recorded;
    assert_ok(activity_create(client, &create, NULL, &created, &error), error);
    assert_ok(activity_record_changes(client, &record, NULL, &recorded, &error), error);
    for (unsigned i = 0; i < 5; i++) {
        if (i == 2) { /* across kill -9 */
            server_kill(&server);
            server_start(&server, &scene, flags);
        }
        if (i == 4) { /* across a snapshot */
            assert_int_equal(server_stop(&server), 0);
            server_start(&server, &scene, flags);
        }
        struct activity_created again;
        struct activity_recorded recorded_again;
        assert_ok(activity_create(client, &create, NULL, &again, &error), error);
        assert_true(again.job_id == created.job_id);
        assert_ok(activity_record_changes(client, &record, NULL, &recorded_again, &error), error);
        assert_true(recorded_again.ticket == recorded.ticket);
        assert_true(recorded_again.accept_time_ms == recorded.accept_time_ms);
    }
    create.title = "twice";
    assert_int_equal(activity_create(client, &create, NULL, NULL, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "REQUEST_ID_REUSED");
    create.title = "once"; /* another principal's request_id is another request */
    activity_client *other = client_of(&server, "gateway", NULL, NULL, NULL);
    struct activity_created others;
    assert_ok(activity_create(other, &create, NULL, &others, &error), error);
    assert_true(others.job_id != created.job_id);
    activity_client_free(other);
    activity_client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repetition_has_the_effect_of_one),
        cmocka_unit_test(test_acknowledged_changes_survive_sigkill),
        cmocka_unit_test(test_the_state_is_the_same_after_a_crash_and_after_a_clean_stop),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
