/* The engine on its threads, with the journal of the disk: what is acknowledged is there after a
 * clean stop and after none, and several producers are answered each for itself. */
#include "tests/unit/server/engine/calls.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "server/engine/loop.h"

static char directory[64];
static struct journal *journal;
static struct engine *engine;

/* ---- Who waits for replies ---- */

/* One caller with one call at a time: the token is its number. */
enum { CALLERS = 8, ASKER = CALLERS + 1, FIRST_WAIT = CALLERS + 2, WAITS = 64 };
enum { TOKENS = FIRST_WAIT + WAITS };
struct caller {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    uint8_t *bytes;
    uint32_t length;
    bool has_reply;
};
static struct caller callers[TOKENS]; /* token 0: nobody waits */
static _Atomic int fatal_status;

static void on_reply(void *context, uint64_t token, struct bytes frame)
{
    struct caller *caller = &callers[token];
    (void)context;
    (void)pthread_mutex_lock(&caller->lock);
    free(caller->bytes);
    caller->bytes = malloc(frame.length);
    memcpy(caller->bytes, frame.at, frame.length);
    caller->length = frame.length;
    caller->has_reply = true;
    (void)pthread_cond_signal(&caller->answered);
    (void)pthread_mutex_unlock(&caller->lock);
}

/* Of the outbox's thread, but for the start: it tells them to whoever starts. */
static uint64_t last_sequence;
static _Atomic uint64_t event_count;
static _Atomic uint64_t progress_count;

static void on_history(void *context, uint64_t sequence)
{
    (void)context;
    last_sequence = sequence;
}

static void on_events(void *context, struct bytes effects)
{
    struct reader reader = reader_of(effects);
    struct effect effect;
    (void)context;
    while (effect_next(&reader, &effect)) {
        struct event event;
        if (!event_decode(effect.kind, effect.body, &event) ||
            event.sequence != last_sequence + 1) {
            abort();
        }
        last_sequence = event.sequence;
        atomic_fetch_add(&event_count, 1);
    }
}

static void on_progress(void *context, struct bytes fields)
{
    (void)context;
    if (fields.length == 0 || fields.length > PROGRESS_FIELDS_MAX) {
        abort();
    }
    atomic_fetch_add(&progress_count, 1);
}

static void on_fatal(void *context, int exit_status, const char *text)
{
    (void)context;
    (void)text;
    atomic_store(&fatal_status, exit_status);
}

/* ---- Opening and closing ---- */

static const struct engine_facts facts = {
    .version = "0.0.1", .start_ms = 1, .durability = "on disk", .index = "none"};

static struct engine_options options_of_test(void)
{
    struct engine_options options = {.inbox_places = 256,
                                     .inbox_bytes = MIB(8),
                                     .outbox_bytes = MIB(8),
                                     .snapshot_bytes = MIB(1),
                                     .clock = engine_clock_system,
                                     .waits_max = WAITS,
                                     .outlets = {.reply = on_reply,
                                                 .history = on_history,
                                                 .events = on_events,
                                                 .progress = on_progress,
                                                 .fatal = on_fatal},
                                     .facts = &facts};
    core_limits_standard(&options.limits);
    options.limits.activities_max = 65536;
    options.limits.request_ids_max = 65536;
    options.limits.feed_window_bytes = MIB(8);
    return options;
}

static int open_all(char *text, size_t text_size)
{
    struct journal_error error = {.code = JOURNAL_OK};
    struct journal_options journal_options = {
        .directory = directory, .segment_bytes = JOURNAL_SEGMENT_MIN, .snapshot_reserve = 4096};
    struct engine_options options = options_of_test();
    if (journal_open(&journal_options, &journal, &error) != 0) {
        (void)snprintf(text, text_size, "%s", error.text);
        return -1;
    }
    return engine_start(&options, journal, &engine, text, text_size);
}

static void open_or_fail(void)
{
    char text[640] = "";
    int outcome = open_all(text, sizeof text);
    if (outcome != 0) {
        fail_msg("start: %d %s", outcome, text);
    }
}

static void free_all(void)
{
    assert_null(core_verify(engine->state.core));
    journal_close(journal);
    engine_free(engine);
    engine = NULL;
    assert_int_equal(atomic_load(&fatal_status), 0);
}

static void close_all(bool with_snapshot)
{
    engine_stop(engine, with_snapshot);
    free_all();
}

static int make_directory(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof directory, "/tmp/test_engine_XXXXXX");
    atomic_store(&event_count, 0);
    atomic_store(&progress_count, 0);
    for (size_t i = 0; i < TOKENS; i++) {
        callers[i] = (struct caller){.has_reply = false};
        (void)pthread_mutex_init(&callers[i].lock, NULL);
        (void)pthread_cond_init(&callers[i].answered, NULL);
    }
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int remove_directory(void **state)
{
    (void)state;
    DIR *folder = opendir(directory);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    }
    (void)closedir(folder);
    for (size_t i = 0; i < TOKENS; i++) {
        free(callers[i].bytes);
    }
    return rmdir(directory);
}

/* ---- Calls ---- */

static void push(struct request_scratch *scratch, uint64_t token, enum method_id method,
                 const ProtobufCMessage *request)
{
    uint8_t payload[4096];
    size_t size = protobuf_c_message_get_packed_size(request);
    assert_in_range(size, 0, sizeof payload);
    (void)protobuf_c_message_pack(request, payload);
    struct command_caller caller = call_caller("alice", 0);
    const struct method *row = method_row(method);
    struct request_body body;
    struct request_error error;
    assert_int_equal(
        request_decode(scratch, row, &caller, (struct view){payload, size}, &body, &error), 0);
    struct inbox_item item = {.kind = row->route == ROUTE_COMMAND ? INBOX_COMMAND : INBOX_QUERY,
                              .token = token,
                              .deadline_ms = UINT64_MAX,
                              .body = body.bytes};
    if (body.wait_ms != 0) {
        item.wait_until_ms = engine_clock_system.boot_ms(NULL) + body.wait_ms;
    }
    assert_int_equal(inbox_push(engine_inbox(engine), &item), 0);
}

/* The response is the caller's to free. */
static void *await(uint64_t token, const ProtobufCMessageDescriptor *type)
{
    struct caller *caller = &callers[token];
    (void)pthread_mutex_lock(&caller->lock);
    while (!caller->has_reply) {
        (void)pthread_cond_wait(&caller->answered, &caller->lock);
    }
    caller->has_reply = false;
    struct frame_reply frame;
    struct frame_error error;
    assert_int_equal(
        frame_reply_decode((struct view){caller->bytes, caller->length}, &frame, &error), 0);
    assert_int_equal(frame.code, 0);
    assert_true(frame.epoch == engine_epoch(engine));
    void *response =
        protobuf_c_message_unpack(type, NULL, frame.payload.length, frame.payload.bytes);
    (void)pthread_mutex_unlock(&caller->lock);
    assert_non_null(response);
    return response;
}

static void *ask(struct request_scratch *scratch, uint64_t token, enum method_id method,
                 const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type)
{
    push(scratch, token, method, request);
    return await(token, type);
}

static uint64_t create(struct request_scratch *scratch, uint64_t token, uint64_t number)
{
    Activity__V1__CreateActivityRequest request = ACTIVITY__V1__CREATE_ACTIVITY_REQUEST__INIT;
    uint64_t id[2] = {number, token + 1};
    request.request_id = (ProtobufCBinaryData){sizeof id, (uint8_t *)id};
    request.type = "upload";
    request.title = "a film";
    Activity__V1__CreateActivityResponse *response =
        ask(scratch, token, METHOD_CREATE_ACTIVITY, &request.base,
            &activity__v1__create_activity_response__descriptor);
    uint64_t job_id = response->job_id;
    call_free(response);
    return job_id;
}

static bool exists(struct request_scratch *scratch, uint64_t job_id)
{
    Activity__V1__FindActivitiesRequest request = ACTIVITY__V1__FIND_ACTIVITIES_REQUEST__INIT;
    request.activities = 1;
    request.n_job_ids = 1;
    request.job_ids = &job_id;
    request.observe = 1;
    Activity__V1__FindActivitiesResponse *response =
        ask(scratch, ASKER, METHOD_FIND_ACTIVITIES, &request.base,
            &activity__v1__find_activities_response__descriptor);
    bool found = response->n_activities == 1 && response->activities[0]->job_id == job_id;
    call_free(response);
    return found;
}

/* The state at an index, computed beside the engine. */
static Activity__V1__GetStateHashResponse *state_hash(struct request_scratch *scratch)
{
    Activity__V1__GetStateHashRequest request = ACTIVITY__V1__GET_STATE_HASH_REQUEST__INIT;
    return ask(scratch, ASKER, METHOD_GET_STATE_HASH, &request.base,
               &activity__v1__get_state_hash_response__descriptor);
}

/* ---- Tests ---- */

struct load {
    uint64_t token;
    uint64_t first;
    uint64_t count;
    uint64_t jobs[512];
};

static void *run_load(void *context)
{
    struct load *load = context;
    struct request_scratch *scratch = request_scratch_new();
    for (uint64_t i = 0; i < load->count; i++) {
        load->jobs[i] = create(scratch, load->token, load->first + i);
    }
    request_scratch_free(scratch);
    return NULL;
}

static void run_loads(struct load *loads, uint64_t first, uint64_t count)
{
    pthread_t threads[CALLERS];
    for (size_t i = 0; i < CALLERS; i++) {
        loads[i] = (struct load){.token = i + 1, .first = first, .count = count};
        assert_int_equal(pthread_create(&threads[i], NULL, run_load, &loads[i]), 0);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void acknowledged_is_there_after_a_clean_stop(void **state)
{
    (void)state;
    static struct load loads[CALLERS];
    struct request_scratch *scratch = request_scratch_new();
    open_or_fail();
    run_loads(loads, 1, 100);
    struct engine_status status;
    engine_status(engine, &status);
    assert_in_range(status.commands, 800, 900);    /* ticks count too */
    assert_true(status.entries < status.commands); /* they were committed in groups */
    assert_int_equal(status.snapshots, 0);
    engine_stop(engine, true);
    engine_status(engine, &status);
    assert_int_equal(status.snapshots, 1); /* that of the end */
    assert_int_equal(atomic_load(&event_count), 800);
    free_all();

    open_or_fail();
    assert_int_equal(engine->state.entries, 0); /* the snapshot says it all */
    for (size_t i = 0; i < CALLERS; i++) {
        for (uint64_t k = 0; k < 100; k++) {
            assert_true(exists(scratch, loads[i].jobs[k]));
        }
    }
    close_all(false);
    request_scratch_free(scratch);
}

static void restart_has_the_same_hash(void **state)
{
    (void)state;
    struct request_scratch *scratch = request_scratch_new();
    open_or_fail();
    for (uint64_t i = 0; i < 200; i++) {
        (void)create(scratch, 1, i + 1);
    }
    Activity__V1__GetStateHashResponse *before = state_hash(scratch);
    close_all(false);
    /* The same entries, computed anew by another process's code path: the second core. */
    open_or_fail();
    Activity__V1__GetStateHashResponse *after = state_hash(scratch);
    assert_true(after->journal_index >= before->journal_index);
    if (after->journal_index == before->journal_index) {
        assert_int_equal(after->state_hash, before->state_hash);
        assert_int_equal(after->digest, before->digest);
    }
    call_free(before);
    call_free(after);
    close_all(false);
    request_scratch_free(scratch);
}

static void snapshots_are_made_under_load(void **state)
{
    (void)state;
    static struct load loads[CALLERS];
    struct request_scratch *scratch = request_scratch_new();
    struct engine_status status;
    open_or_fail();
    uint64_t number = 1;
    engine_status(engine, &status);
    for (int round = 0; round < 60 && status.snapshots < 1; round++) {
        run_loads(loads, number, 250);
        number += 250;
        engine_status(engine, &status);
    }
    assert_true(status.snapshots >= 1);
    engine_stop(engine, false);
    struct journal_status journal_state;
    journal_status(journal, &journal_state);
    assert_true(journal_state.newest_snapshot_index > 0);
    journal_close(journal);
    engine_free(engine);
    open_or_fail();
    engine_status(engine, &status);
    assert_true(engine->state.entries < status.applied_index);
    assert_true(exists(scratch, loads[CALLERS - 1].jobs[249]));
    close_all(false);
    request_scratch_free(scratch);
}

/* A child that is killed in the middle tells through a pipe what was acknowledged to it. */
static void serve_until_killed(int to)
{
    struct request_scratch *scratch = request_scratch_new();
    char text[640];
    if (open_all(text, sizeof text) != 0) {
        _exit(3);
    }
    uint64_t number = (uint64_t)getpid() << 32;
    for (;;) {
        uint64_t job_id = create(scratch, 1, ++number);
        if (write(to, &job_id, sizeof job_id) != sizeof job_id) {
            _exit(4);
        }
    }
}

static size_t run_and_kill(uint64_t *jobs, size_t known, size_t until)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        serve_until_killed(ends[1]);
    }
    (void)close(ends[1]);
    bool killed = false;
    for (;;) {
        uint64_t job_id;
        if (read(ends[0], &job_id, sizeof job_id) != sizeof job_id) {
            break;
        }
        jobs[known++] = job_id;
        if (!killed && known >= until) {
            killed = true;
            assert_int_equal(kill(child, SIGKILL), 0);
        }
    }
    (void)close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return known;
}

static void killed_process_loses_nothing_acknowledged(void **state)
{
    (void)state;
    static uint64_t jobs[10000];
    size_t known = 0;
    for (int round = 0; round < 5; round++) {
        known = run_and_kill(jobs, known, known + 30);
    }
    struct request_scratch *scratch = request_scratch_new();
    open_or_fail();
    assert_true(known >= 150);
    for (size_t i = 0; i < known; i++) {
        assert_true(exists(scratch, jobs[i]));
    }
    close_all(false);
    request_scratch_free(scratch);
}

static void stopped_engine_refuses(void **state)
{
    (void)state;
    struct request_scratch *scratch = request_scratch_new();
    open_or_fail();
    engine_drain(engine);
    assert_int_equal(engine_health(engine), ENGINE_DRAINING);
    static const uint8_t nothing[1];
    struct inbox_item item = {
        .kind = INBOX_COMMAND, .token = 1, .deadline_ms = UINT64_MAX, .body = bytes_of(nothing, 1)};
    assert_int_equal(inbox_push(engine_inbox(engine), &item), 2);
    Activity__V1__GetServerInfoRequest request = ACTIVITY__V1__GET_SERVER_INFO_REQUEST__INIT;
    call_free(ask(scratch, ASKER, METHOD_GET_SERVER_INFO, &request.base,
                  &activity__v1__get_server_info_response__descriptor));
    engine_stop(engine, false);
    item.kind = INBOX_QUERY;
    assert_int_equal(inbox_push(engine_inbox(engine), &item), 2);
    journal_close(journal);
    engine_free(engine);
    request_scratch_free(scratch);
}

/* ---- Long polls and progress while commands run ---- */

static void push_wait(struct request_scratch *scratch, uint64_t token, uint64_t job_id,
                      uint32_t percent)
{
    Activity__V1__WaitActivityRequest request = ACTIVITY__V1__WAIT_ACTIVITY_REQUEST__INIT;
    request.job_id = job_id;
    request.percent = percent;
    request.wait_ms = 30000;
    push(scratch, token, METHOD_WAIT_ACTIVITY, &request.base);
}

static bool await_reached(uint64_t token)
{
    Activity__V1__WaitActivityResponse *response =
        await(token, &activity__v1__wait_activity_response__descriptor);
    bool reached = response->reached;
    call_free(response);
    return reached;
}

static void update(struct request_scratch *scratch, uint64_t token, uint64_t job_id,
                   uint32_t percent)
{
    Activity__V1__UpdateActivityRequest request = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__INIT;
    request.job_id = job_id;
    request.percent_change_case = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__PERCENT_CHANGE_PERCENT;
    request.percent = percent;
    call_free(ask(scratch, token, METHOD_UPDATE_ACTIVITY, &request.base,
                  &activity__v1__update_activity_response__descriptor));
}

/* Two waits for a job each time, one for the half and one for the end. */
static void *wait_and_update(void *context)
{
    struct load *load = context;
    struct request_scratch *scratch = request_scratch_new();
    uint64_t half = FIRST_WAIT + 2 * (load->token - 1);
    for (uint64_t i = 0; i < load->count; i++) {
        uint64_t job_id = create(scratch, load->token, load->first + i);
        push_wait(scratch, half, job_id, 50);
        push_wait(scratch, half + 1, job_id, 100);
        update(scratch, load->token, job_id, 60);
        assert_true(await_reached(half));
        update(scratch, load->token, job_id, 100);
        assert_true(await_reached(half + 1));
        load->jobs[i] = job_id;
    }
    request_scratch_free(scratch);
    return NULL;
}

static void waits_are_told_under_load(void **state)
{
    (void)state;
    static struct load loads[CALLERS];
    pthread_t threads[CALLERS];
    open_or_fail();
    for (size_t i = 0; i < CALLERS; i++) {
        loads[i] = (struct load){.token = i + 1, .first = 1, .count = 20};
        assert_int_equal(pthread_create(&threads[i], NULL, wait_and_update, &loads[i]), 0);
    }
    for (int i = 0; i < 50; i++) { /* listeners come and go */
        const struct timespec pause = {.tv_nsec = 2000000};
        engine_want_progress(engine, i % 3 != 2);
        (void)nanosleep(&pause, NULL);
        struct engine_status status;
        engine_status(engine, &status);
        assert_in_range(status.waits, 0, 2 * CALLERS);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    /* Who waits is answered a moment before its place is free. */
    struct engine_status status;
    engine_status(engine, &status);
    for (int i = 0; i < 10000 && status.waits != 0; i++) {
        const struct timespec pause = {.tv_nsec = 1000000};
        (void)nanosleep(&pause, NULL);
        engine_status(engine, &status);
    }
    assert_int_equal(status.waits, 0);
    close_all(false);
    assert_int_equal(atomic_load(&event_count), CALLERS * 20 * 2);
}

/* Somebody listens and something runs, then nobody: it starts and ends without a command. */
static void progress_is_told_while_it_is_wanted(void **state)
{
    (void)state;
    struct request_scratch *scratch = request_scratch_new();
    const struct timespec pause = {.tv_nsec = 1000000};
    open_or_fail();
    uint64_t job_id = create(scratch, 1, 1);
    update(scratch, 1, job_id, 10);
    assert_int_equal(atomic_load(&progress_count), 0);
    engine_want_progress(engine, true);
    for (int i = 0; i < 10000 && atomic_load(&progress_count) == 0; i++) {
        (void)nanosleep(&pause, NULL);
    }
    assert_in_range(atomic_load(&progress_count), 1, UINT64_MAX);
    close_all(false);
    request_scratch_free(scratch);
}

static void stop_answers_who_waits(void **state)
{
    (void)state;
    struct request_scratch *scratch = request_scratch_new();
    open_or_fail();
    uint64_t job_id = create(scratch, 1, 1);
    for (uint64_t i = 0; i < WAITS; i++) {
        push_wait(scratch, FIRST_WAIT + i, job_id, 100);
    }
    struct engine_status status = {.waits = 0};
    for (int i = 0; i < 10000 && status.waits < WAITS; i++) {
        const struct timespec pause = {.tv_nsec = 1000000};
        (void)nanosleep(&pause, NULL);
        engine_status(engine, &status);
    }
    assert_int_equal(status.waits, WAITS);
    engine_stop(engine, false);
    for (uint64_t i = 0; i < WAITS; i++) {
        assert_true(callers[FIRST_WAIT + i].has_reply);
        assert_false(await_reached(FIRST_WAIT + i));
    }
    engine_status(engine, &status);
    assert_int_equal(status.waits, 0);
    free_all();
    request_scratch_free(scratch);
}

static void count_part(void *context, const char *name, size_t bytes)
{
    assert_true(name[0] != '\0');
    *(size_t *)context += bytes;
}

static void memory_bound_is_the_sum_of_its_parts(void **state)
{
    (void)state;
    struct engine_options options = options_of_test();
    size_t sum = 0;
    size_t bound = engine_memory_bytes(&options, count_part, &sum);
    assert_int_equal(bound, sum);
    assert_true(bound > 2 * core_memory_bytes(&options.limits));
}

#define ENGINE_TEST(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_TEST(killed_process_loses_nothing_acknowledged), /* first: it forks */
        ENGINE_TEST(acknowledged_is_there_after_a_clean_stop),
        ENGINE_TEST(restart_has_the_same_hash),
        ENGINE_TEST(snapshots_are_made_under_load),
        ENGINE_TEST(waits_are_told_under_load),
        ENGINE_TEST(progress_is_told_while_it_is_wanted),
        ENGINE_TEST(stop_answers_who_waits),
        ENGINE_TEST(stopped_engine_refuses),
        ENGINE_TEST(memory_bound_is_the_sum_of_its_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
