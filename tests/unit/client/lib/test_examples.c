/* The examples, run against a scripted server that keeps percents. */
#include "tests/unit/client/lib/fake_server.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "activity/v1/activity_service.pb-c.h"
#include "proto/batch.h"

enum { JOBS = 2000 };

struct jobs {
    uint64_t created;
    uint32_t percents[JOBS + 1];
    uint32_t updates;
    bool result;
    uint8_t answer[LIMIT_BATCH_UPDATES + 64];
};

static struct view create_answer(struct jobs *jobs)
{
    jobs->created++;
    uint8_t *end = jobs->answer;
    *end++ = 0x08;
    for (uint64_t id = jobs->created; id > 0 || end == jobs->answer + 1; id >>= 7) {
        *end++ = (uint8_t)((id & 0x7F) | (id >= 0x80 ? 0x80 : 0));
    }
    return (struct view){jobs->answer, (size_t)(end - jobs->answer)};
}

static struct view update_answer(struct jobs *jobs, struct view payload)
{
    Activity__V1__UpdateActivityRequest *update =
        activity__v1__update_activity_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(update);
    assert_in_range(update->job_id, 1, jobs->created);
    assert_true(update->percent > jobs->percents[update->job_id]);
    jobs->percents[update->job_id] = update->percent;
    jobs->updates++;
    jobs->result = update->result != NULL && update->result->n_items == 1;
    activity__v1__update_activity_request__free_unpacked(update, NULL);
    static const uint8_t applied[] = {0x18, ACTIVITY_APPLIED};
    return (struct view){applied, sizeof applied};
}

static struct view batch_answer(struct jobs *jobs, struct view payload)
{
    struct batch_columns columns;
    uint32_t bad;
    assert_int_equal(batch_request_decode(payload, NULL, &columns, &bad), BATCH_OK);
    struct batch_cursor cursor;
    batch_cursor_init(&cursor, columns.deltas);
    for (uint32_t i = 0; i < columns.count; i++) {
        uint64_t id;
        assert_int_equal(batch_cursor_next(&cursor, &id, 1), 1);
        assert_in_range(id, 1, jobs->created);
        jobs->percents[id] = columns.percents.bytes[i];
    }
    jobs->updates++;
    const struct batch_response response = {.percents = columns.percents};
    uint8_t *end = batch_response_encode(&response, jobs->answer);
    return (struct view){jobs->answer, (size_t)(end - jobs->answer)};
}

static enum fake_action serve(void *arg, const struct frame_request *request,
                              struct frame_reply *reply)
{
    struct jobs *jobs = arg;
    if (view_equal(request->method, view_of("activity.v1.ActivityService/CreateActivity"))) {
        reply->payload = create_answer(jobs);
    } else if (view_equal(request->method, view_of("activity.v1.ActivityService/UpdateActivity"))) {
        reply->payload = update_answer(jobs, request->payload);
    } else {
        reply->payload = batch_answer(jobs, request->payload);
    }
    return FAKE_REPLY;
}

/* Runs an example with the server's URL, the certificates and more words; its exit status. */
static int run(const struct fake_server *server, const char *example, const char *words)
{
    const char *folder = getenv("ACTIVITY_BIN");
    char command[512];
    snprintf(command, sizeof command,
             "%s/client/examples/%s tls+tcp://127.0.0.1:%d %s/tls %s >%s/out 2>&1",
             folder == NULL ? "build/plain" : folder, example, server->port, fake_folder, words,
             fake_folder);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *output(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/out", fake_folder);
    return fake_read(path);
}

static void upload(void **state)
{
    (void)state;
    static struct jobs jobs;
    struct fake_server server = {.script = serve, .arg = &jobs};
    fake_start(&server);
    char words[128];
    snprintf(words, sizeof words, "Makefile %s/copy", fake_folder);
    int status = run(&server, "upload", words);
    fake_stop(&server); /* its thread writes what is checked */
    if (status != 0) {
        fail_msg("upload ended with %d: %s", status, output());
    }
    assert_string_equal(output(), "job 1: 100 %\n");
    assert_int_equal(jobs.percents[1], 100);
    assert_true(jobs.result);
    fake_shell("cmp -s Makefile %s/copy", fake_folder);
}

static void batch(void **state)
{
    (void)state;
    static struct jobs jobs;
    struct fake_server server = {.script = serve, .arg = &jobs};
    fake_start(&server);
    int status = run(&server, "batch", "2000");
    fake_stop(&server); /* its thread writes what is checked */
    if (status != 0) {
        fail_msg("batch ended with %d: %s", status, output());
    }
    assert_int_equal(jobs.created, JOBS);
    assert_int_equal(jobs.updates, 4);
    for (int i = 1; i <= JOBS; i++) {
        assert_int_equal(jobs.percents[i], 100);
    }
    assert_non_null(strstr(output(), "100 %: 2000 jobs, 0 ignored"));
}

static void examples_tell_why_not(void **state)
{
    (void)state;
    const struct fake_server nobody = {.port = 1};
    assert_int_equal(run(&nobody, "batch", "5"), EXIT_FAILURE);
    assert_non_null(strstr(output(), "NOT_CONNECTED"));
    assert_int_equal(run(&nobody, "upload", ""), 2);
    assert_non_null(strstr(output(), "usage"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upload),
        cmocka_unit_test(batch),
        cmocka_unit_test(examples_tell_why_not),
    };
    return cmocka_run_group_tests(tests, fake_certificates, fake_certificates_remove);
}
