/* Latest progress in columns, out of a real core, with protobuf-c as the judge. */
#include "tests/unit/server/core/drive.h"

#include <stdio.h>

#include "activity/v1/feed.pb-c.h"
#include "server/wire/progress.h"

#define APP "spiffe://test/app"

static struct progress_columns *columns;
static uint8_t *fields;

static int make_room(void **state)
{
    (void)state;
    columns = progress_columns_new();
    fields = malloc(PROGRESS_FIELDS_MAX);
    return columns != NULL && fields != NULL ? 0 : -1;
}

static int free_room(void **state)
{
    (void)state;
    progress_columns_free(columns);
    free(fields);
    return 0;
}

/* Free with activity__v1__progress_frame__free_unpacked. NULL: there is nothing new. */
static Activity__V1__ProgressFrame *collect(struct drive *d)
{
    size_t length = progress_collect(d->core, columns, fields);
    if (length == 0) {
        return NULL;
    }
    assert_in_range(length, 1, PROGRESS_FIELDS_MAX);
    Activity__V1__ProgressFrame *frame = activity__v1__progress_frame__unpack(NULL, length, fields);
    assert_non_null(frame);
    assert_int_equal(frame->number, 0); /* these two are the publisher's */
    assert_int_equal(frame->epoch, 0);
    assert_true(frame->n_job_id_deltas > 0);
    assert_int_equal(frame->percents.len, frame->n_job_id_deltas);
    assert_in_range(frame->n_tenants, 1, LIMIT_PROGRESS_TENANTS);
    assert_int_equal(frame->tenant_indexes.len, frame->n_tenants == 1 ? 0 : frame->n_job_id_deltas);
    return frame;
}

static void free_frame(Activity__V1__ProgressFrame *frame)
{
    activity__v1__progress_frame__free_unpacked(frame, NULL);
}

static const char *tenant_in(const Activity__V1__ProgressFrame *frame, size_t nth)
{
    size_t index = frame->tenant_indexes.len == 0 ? 0 : frame->tenant_indexes.data[nth];
    assert_true(index < frame->n_tenants);
    return frame->tenants[index];
}

static const char *text_in(const Activity__V1__ProgressFrame *frame, size_t nth)
{
    for (size_t i = 0; i < frame->n_texts; i++) {
        if (frame->texts[i]->index == nth) {
            return frame->texts[i]->status_text;
        }
    }
    return NULL;
}

static void set_text(struct drive *d, const struct command_caller *caller, uint64_t job_id,
                     const char *text)
{
    struct command command = drive_update_command(caller, job_id, -1);
    command.update.has_status_text = true;
    command.update.status_text = drive_text(text);
    (void)drive_apply_update(d, &command);
}

/* What creating them has marked is of no interest. */
static void forget(struct drive *d)
{
    Activity__V1__ProgressFrame *frame;
    while ((frame = collect(d)) != NULL) {
        free_frame(frame);
    }
}

static void what_has_changed_comes_once(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", APP, "anna");
    uint64_t jobs[5];
    for (size_t i = 0; i < 5; i++) {
        jobs[i] = drive_create(d, &anna, "upload");
    }
    forget(d);
    (void)drive_update(d, &anna, jobs[3], 40);
    (void)drive_update(d, &anna, jobs[1], 7);
    (void)drive_update(d, &anna, jobs[1], 8);
    (void)drive_update(d, &anna, jobs[4], 100); /* ended: that is an event */
    set_text(d, &anna, jobs[0], "reading");
    Activity__V1__ProgressFrame *frame = collect(d);
    assert_non_null(frame);
    struct core_info info;
    core_info(d->core, &info);
    assert_int_equal(frame->time_ms, info.wall_ms);
    assert_int_equal(frame->n_job_id_deltas, 3);
    const uint8_t percents[] = {0, 8, 40};
    const uint64_t ids[] = {jobs[0], jobs[1], jobs[3]};
    uint64_t id = 0;
    for (size_t i = 0; i < 3; i++) {
        id += (uint64_t)frame->job_id_deltas[i];
        assert_int_equal(id, ids[i]);
        assert_int_equal(frame->percents.data[i], percents[i]);
        assert_string_equal(tenant_in(frame, i), "studio");
    }
    assert_int_equal(frame->n_texts, 1);
    assert_string_equal(text_in(frame, 0), "reading");
    free_frame(frame);
    assert_null(collect(d));
    drive_free(d);
}

static void an_emptied_text_is_told(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", APP, "anna");
    uint64_t job_id = drive_create(d, &anna, "upload");
    set_text(d, &anna, job_id, "reading");
    forget(d);
    set_text(d, &anna, job_id, "");
    Activity__V1__ProgressFrame *frame = collect(d);
    assert_non_null(frame);
    assert_int_equal(frame->n_texts, 1);
    assert_string_equal(text_in(frame, 0), "");
    free_frame(frame);
    drive_free(d);
}

/* More than one frame holds: nothing is lost, nothing comes twice, no frame is too long. */
static void long_texts_go_on_in_the_next_frame(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 600;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", APP, "anna");
    static uint64_t jobs[600];
    for (size_t i = 0; i < 600; i++) {
        jobs[i] = drive_create(d, &anna, "upload");
    }
    forget(d);
    for (size_t i = 0; i < 600; i++) {
        char text[LIMIT_STATUS_TEXT_LENGTH + 1];
        (void)snprintf(text, sizeof text, "%zu ", i);
        memset(text + strlen(text), 'x', sizeof text - strlen(text));
        text[LIMIT_STATUS_TEXT_LENGTH] = 0;
        set_text(d, &anna, jobs[i], text);
    }
    size_t seen = 0;
    size_t frames = 0;
    Activity__V1__ProgressFrame *frame;
    while ((frame = collect(d)) != NULL) {
        uint64_t id = 0;
        assert_int_equal(frame->n_texts, frame->n_job_id_deltas);
        for (size_t i = 0; i < frame->n_job_id_deltas; i++) {
            id += (uint64_t)frame->job_id_deltas[i];
            assert_int_equal(id, jobs[seen]);
            const char *text = text_in(frame, i);
            assert_int_equal(strlen(text), LIMIT_STATUS_TEXT_LENGTH);
            assert_int_equal(strtoul(text, NULL, 10), seen);
            seen++;
        }
        frames++;
        free_frame(frame);
    }
    assert_int_equal(seen, 600);
    assert_int_equal(frames, 5); /* 600 * 530 bytes in 64 KiB each */
    drive_free(d);
}

/* A byte names the tenant: a frame has at most 255 of them. */
static void tenants_by_the_hundreds(void **state)
{
    (void)state;
    enum { TENANTS = 600 };
    struct core_limits limits = drive_limits();
    limits.tenants_max = TENANTS + 1;
    limits.activities_max = 2 * TENANTS;
    struct drive *d = drive_new(&limits);
    static char names[TENANTS][LIMIT_TENANT_LENGTH + 1];
    static uint64_t jobs[2 * TENANTS];
    for (size_t i = 0; i < 2 * TENANTS; i++) {
        size_t t = i % TENANTS;
        (void)snprintf(names[t], sizeof names[t], "tenant-%zu", t);
        struct command_caller caller = drive_caller(names[t], APP, NULL);
        jobs[i] = drive_create(d, &caller, "upload");
        (void)drive_update(d, &caller, jobs[i], (int)(1 + i % 99));
    }
    size_t seen = 0;
    size_t most = 0;
    Activity__V1__ProgressFrame *frame;
    while ((frame = collect(d)) != NULL) {
        uint64_t id = 0;
        for (size_t i = 0; i < frame->n_job_id_deltas; i++) {
            id += (uint64_t)frame->job_id_deltas[i];
            assert_int_equal(id, jobs[seen]);
            assert_int_equal(frame->percents.data[i], 1 + seen % 99);
            assert_string_equal(tenant_in(frame, i), names[seen % TENANTS]);
            seen++;
        }
        most = frame->n_tenants > most ? frame->n_tenants : most;
        free_frame(frame);
    }
    assert_int_equal(seen, 2 * TENANTS);
    assert_int_equal(most, LIMIT_PROGRESS_TENANTS);
    drive_free(d);
}

/* Numbers alone: how many jobs one frame tells of. */
static void a_frame_tells_of_many_jobs(void **state)
{
    (void)state;
    enum { JOBS = 60000 };
    struct core_limits limits = drive_limits();
    limits.activities_max = JOBS;
    limits.activity_text_bytes = MIB(16);
    struct drive *d = drive_new(&limits);
    struct command_caller app = drive_caller("studio", APP, NULL);
    static uint64_t jobs[JOBS];
    static uint8_t percents[JOBS];
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i] = drive_create(d, &app, "upload");
        percents[i] = (uint8_t)(1 + i % 99);
    }
    forget(d);
    struct reply_batch reply;
    drive_batch(d, &app, &(struct drive_batch){JOBS, jobs, percents}, &reply);
    size_t seen = 0;
    size_t frames = 0;
    Activity__V1__ProgressFrame *frame;
    while ((frame = collect(d)) != NULL) {
        uint64_t id = 0;
        for (size_t i = 0; i < frame->n_job_id_deltas; i++, seen++) {
            id += (uint64_t)frame->job_id_deltas[i];
            assert_int_equal(id, jobs[seen]);
            assert_int_equal(frame->percents.data[i], percents[seen]);
        }
        frames++;
        free_frame(frame);
    }
    assert_int_equal(seen, JOBS);
    assert_in_range(frames, 1, 3);
    drive_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_changed_comes_once),
        cmocka_unit_test(an_emptied_text_is_told),
        cmocka_unit_test(long_texts_go_on_in_the_next_frame),
        cmocka_unit_test(tenants_by_the_hundreds),
        cmocka_unit_test(a_frame_tells_of_many_jobs),
    };
    return cmocka_run_group_tests(tests, make_room, free_room);
}
