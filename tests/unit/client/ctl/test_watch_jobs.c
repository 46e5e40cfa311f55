/* The jobs that watch knows, against a plain list: random comings, changes and ends. */
#include "client/ctl/watch_jobs.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { IDS = 3000, STEPS = 200000, KEEP = 500 };

/* What is known of an id. */
struct model {
    bool known, running;
    uint64_t changed_ms;
};

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void assert_same(const struct watch_jobs *jobs, const struct model *models)
{
    size_t known = 0;
    size_t running = 0;
    for (uint64_t id = 1; id < IDS; id++) {
        const struct watch_job *job = watch_jobs_find(jobs, id);
        assert_int_equal(job != NULL, models[id].known);
        if (job != NULL) {
            known++;
            running += models[id].running ? 1 : 0;
            assert_int_equal(job->state == ACTIVITY_STATE_RUNNING, models[id].running);
            assert_int_equal(job->changed_ms, models[id].changed_ms);
        }
    }
    assert_int_equal(jobs->count, known);
    assert_int_equal(jobs->running, running);
    /* The list: each running one once, the latest first, and the same backwards. */
    uint64_t before = UINT64_MAX;
    const struct watch_job *last = NULL;
    for (const struct watch_job *job = jobs->newest; job != NULL; job = job->older) {
        assert_true(models[job->id].running);
        assert_true(job->changed_ms <= before);
        assert_ptr_equal(job->newer, last);
        before = job->changed_ms;
        last = job;
        running--;
    }
    assert_int_equal(running, 0);
    assert_ptr_equal(jobs->oldest, last);
}

static void test_as_a_plain_list(void **state)
{
    (void)state;
    static struct model models[IDS];
    struct watch_jobs jobs = {0};
    uint64_t seed = 20261125;
    print_message("seed %llu\n", (unsigned long long)seed);
    assert_null(watch_jobs_find(&jobs, 1));
    for (uint64_t now = 1; now <= STEPS; now++) {
        uint64_t id = 1 + random_next(&seed) % (IDS - 1);
        struct model *model = &models[id];
        struct watch_job *job = watch_jobs_find(&jobs, id);
        if (job == NULL) {
            assert_non_null(watch_jobs_add(&jobs, id, now));
            *model = (struct model){true, true, now};
        } else if (random_next(&seed) % 3 != 0) {
            watch_jobs_touch(&jobs, job, now);
            model->changed_ms = now;
        } else {
            watch_jobs_end(&jobs, job, ACTIVITY_STATE_COMPLETED, now);
            model->running = false;
            model->changed_ms = now;
        }
        if (now % 1000 == 0) {
            watch_jobs_sweep(&jobs, now - KEEP);
            for (id = 1; id < IDS; id++) {
                models[id].known =
                    models[id].known && (models[id].running || models[id].changed_ms >= now - KEEP);
            }
            assert_same(&jobs, models);
        }
    }
    watch_jobs_deinit(&jobs);
    assert_int_equal(jobs.count, 0);
}

static void test_there_is_a_bound(void **state)
{
    (void)state;
    struct watch_jobs jobs = {0};
    for (uint64_t id = 1; id <= WATCH_JOBS_MAX; id++) {
        assert_non_null(watch_jobs_add(&jobs, id, id));
    }
    assert_null(watch_jobs_add(&jobs, WATCH_JOBS_MAX + 1, 0));
    assert_int_equal(jobs.left_out, 1);
    watch_jobs_end(&jobs, watch_jobs_find(&jobs, 7), ACTIVITY_STATE_FAILED, 7);
    watch_jobs_sweep(&jobs, 8);
    assert_non_null(watch_jobs_add(&jobs, WATCH_JOBS_MAX + 1, 0));
    watch_jobs_deinit(&jobs);
}

static void test_texts(void **state)
{
    (void)state;
    struct watch_jobs jobs = {0};
    struct watch_job *job = watch_jobs_add(&jobs, 5, 1);
    assert_string_equal(job->title, "");
    assert_true(watch_job_text(&job->title, "film"));
    assert_false(watch_job_text(&job->title, "film"));
    assert_false(watch_job_text(&job->title, NULL));
    assert_string_equal(job->title, "film");
    watch_jobs_deinit(&jobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_a_plain_list),
        cmocka_unit_test(test_there_is_a_bound),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
