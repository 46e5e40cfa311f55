/* The library against a scripted server: what becomes of calls when all goes well, and when not. */
#include "tests/unit/client/lib/fake_server.h"

#include <time.h>

#include "activity/v1/activity_service.pb-c.h"

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

/* --- Scripts --- */

/* CreateActivityResponse{job_id: 5, update_within_ms: 30000, kill_after_ms: 90000} */
static const uint8_t created_5[] = {0x08, 5, 0x10, 0xB0, 0xEA, 0x01, 0x18, 0x90, 0xBF, 0x05};

struct script {
    enum fake_action action;
    atomic_uint times;        /* how often it is taken, then FAKE_REPLY */
    struct frame_reply reply; /* with FAKE_REPLY from the first on, while `times` lasts */
    uint8_t request_id[16];   /* of the last CreateActivity */
    atomic_uint different;    /* how often it changed */
    struct view payload;
    unsigned sleep_ms;
};

static enum fake_action run_script(void *arg, const struct frame_request *request,
                                   struct frame_reply *reply)
{
    struct script *script = arg;
    if (view_equal(request->method, view_of("activity.v1.ActivityService/CreateActivity")) &&
        request->payload.length > 18) {
        if (memcmp(script->request_id, request->payload.bytes + 2, 16) != 0) {
            memcpy(script->request_id, request->payload.bytes + 2, 16);
            atomic_fetch_add(&script->different, 1);
        }
    }
    if (script->sleep_ms > 0) {
        sleep_ms(script->sleep_ms);
    }
    if (atomic_load(&script->times) > 0) {
        atomic_fetch_sub(&script->times, 1);
        if (script->action != FAKE_REPLY) {
            return script->action;
        }
        *reply = script->reply;
        return FAKE_REPLY;
    }
    reply->payload = script->payload;
    return FAKE_REPLY;
}

static struct script good = {.payload = {created_5, sizeof created_5}};

static void start(struct fake_server *server, struct script *script)
{
    server->script = run_script;
    server->arg = script;
    fake_start(server);
}

static int create(activity_client *client, const struct activity_call_options *options,
                  struct activity_created *created, struct activity_error *error)
{
    const struct activity_create_request request = {.type = "upload"};
    return activity_create(client, &request, options, created, error);
}

static struct activity_call_options within(uint32_t timeout_ms)
{
    struct activity_call_options options = ACTIVITY_CALL_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    return options;
}

/* --- Going well --- */

static void answers(void **state)
{
    (void)state;
    struct fake_server server = {0};
    start(&server, &good);
    activity_client *client = fake_client(&server);
    struct activity_error error;
    struct activity_created created;
    assert_int_equal(create(client, NULL, &created, &error), ACTIVITY_OK);
    assert_int_equal(created.job_id, 5);
    assert_int_equal(created.update_within_ms, 30000);
    assert_int_equal(created.kill_after_ms, 90000);
    assert_memory_equal(created.request_id, good.request_id, 16);
    assert_int_equal(error.code, ACTIVITY_OK);
    assert_int_equal(error.attempts, 1);
    struct activity_client_status status;
    activity_client_status(client, &status);
    assert_true(status.connected);
    assert_int_equal(status.connections, 1);
    assert_int_equal(status.calls, 1);
    assert_int_equal(status.repeats, 0);
    activity_client_free(client);
    fake_stop(&server);
}

static void many_in_flight(void **state)
{
    (void)state;
    struct fake_server server = {0};
    start(&server, &good);
    activity_client *client = fake_client(&server);
    enum { CALLS = 3000, WINDOW = 60 }; /* NNG's raw REP drops what exceeds 64 replies */
    activity_window *window = activity_window_new(client, WINDOW, NULL);
    static uint8_t seen[CALLS];
    memset(seen, 0, sizeof seen);
    const struct activity_create_request request = {.type = "upload"};
    unsigned submitted = 0;
    unsigned done = 0;
    struct activity_completion completion;
    while (done < CALLS) {
        struct activity_error error;
        int code = ACTIVITY_OK;
        while (submitted < CALLS && code == ACTIVITY_OK) {
            code = activity_submit_create(window, &request, NULL, submitted, &error);
            submitted += code == ACTIVITY_OK;
        }
        if (code != ACTIVITY_OK) {
            assert_string_equal(error.reason, "WINDOW_FULL");
        }
        assert_int_equal(activity_next(window, 5000, &completion), ACTIVITY_NEXT_DONE);
        assert_int_equal(completion.error.code, ACTIVITY_OK);
        assert_int_equal(completion.method, ACTIVITY_METHOD_CREATE);
        assert_int_equal(activity_result_created(completion.result)->job_id, 5);
        assert_null(activity_result_page(completion.result));
        assert_int_equal(activity_result_epoch(completion.result), 77);
        activity_result_free(completion.result);
        assert_int_equal(seen[completion.tag]++, 0);
        done++;
    }
    assert_int_equal(activity_next(window, 0, &completion), ACTIVITY_NEXT_IDLE);
    assert_int_equal(atomic_load(&server.requests), CALLS);
    activity_window_free(window);
    activity_client_free(client);
    fake_stop(&server);
}

struct crowd {
    activity_client *client;
    atomic_uint good;
};

static void *crowd_run(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < 100; i++) {
        struct activity_created created;
        if (create(crowd->client, NULL, &created, NULL) == ACTIVITY_OK && created.job_id == 5) {
            atomic_fetch_add(&crowd->good, 1);
        }
    }
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    struct fake_server server = {0};
    start(&server, &good);
    struct crowd crowd = {.client = fake_client(&server)};
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_run, &crowd), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&crowd.good), 800);
    activity_client_free(crowd.client);
    fake_stop(&server);
}

/* --- Deadlines --- */

static void deadline_of_a_silent_server(void **state)
{
    (void)state;
    struct script script = {.action = FAKE_DROP, .times = 1, .payload = good.payload};
    struct fake_server server = {0};
    start(&server, &script);
    activity_client *client = fake_client(&server);
    struct activity_call_options options = within(300);
    struct activity_error error;
    uint64_t begun = now_ms();
    assert_int_equal(create(client, &options, NULL, &error), ACTIVITY_DEADLINE_EXCEEDED);
    uint64_t took = now_ms() - begun;
    assert_in_range(took, 290, 900);
    assert_string_equal(error.reason, "OUTCOME_UNKNOWN");
    assert_memory_equal(error.request_id, script.request_id, 16);
    /* The same connection serves on. */
    assert_int_equal(create(client, NULL, NULL, &error), ACTIVITY_OK);
    assert_int_equal(atomic_load(&server.pipes), 1);
    activity_client_free(client);
    fake_stop(&server);
}

static void late_answers_find_nobody(void **state)
{
    (void)state;
    struct script script = {.payload = good.payload, .sleep_ms = 300};
    struct fake_server server = {0};
    start(&server, &script);
    activity_client *client = fake_client(&server);
    struct activity_call_options options = within(100);
    assert_int_equal(activity_client_connect(client, 5000, NULL), ACTIVITY_OK);
    assert_int_equal(create(client, &options, NULL, NULL), ACTIVITY_DEADLINE_EXCEEDED);
    options = within(2000);
    assert_int_equal(create(client, &options, NULL, NULL), ACTIVITY_OK);
    struct activity_client_status status;
    activity_client_status(client, &status);
    assert_int_equal(status.late_replies, 1);
    activity_client_free(client);
    fake_stop(&server);
}

/* --- Connections --- */

static void nobody_listens(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){1, 0});
    options.connect_timeout_ms = 300;
    activity_client *client = activity_client_new(&options, NULL);
    assert_non_null(client);
    struct activity_error error;
    uint64_t begun = now_ms();
    assert_int_equal(create(client, NULL, NULL, &error), ACTIVITY_UNAVAILABLE);
    assert_in_range(now_ms() - begun, 290, 1000);
    assert_string_equal(error.reason, "NOT_CONNECTED");
    assert_non_null(strstr(error.message, "nothing listens there"));
    assert_int_equal(error.attempts, 0);
    activity_client_free(client);
}

static void refused_certificate(void **state)
{
    (void)state;
    struct fake_server server = {0};
    start(&server, &good);
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){server.port, 0});
    options.cert_file = fake_file("stranger.crt");
    options.key_file = fake_file("stranger.key");
    options.connect_timeout_ms = 500;
    activity_client *client = activity_client_new(&options, NULL);
    struct activity_error error;
    assert_int_equal(create(client, NULL, NULL, &error), ACTIVITY_UNAVAILABLE);
    assert_string_equal(error.reason, "NOT_CONNECTED");
    if (strstr(error.message, "refused this client's certificate") == NULL) {
        fail_msg("%s", error.message);
    }
    activity_client_free(client);
    fake_stop(&server);
}

static void wrong_server_name(void **state)
{
    (void)state;
    struct fake_server server = {0};
    start(&server, &good);
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){server.port, 0});
    options.server_name = "another.example";
    options.connect_timeout_ms = 500;
    activity_client *client = activity_client_new(&options, NULL);
    struct activity_error error;
    assert_int_equal(create(client, NULL, NULL, &error), ACTIVITY_UNAVAILABLE);
    assert_non_null(strstr(error.message, "has another name"));
    assert_int_equal(atomic_load(&server.requests), 0);
    activity_client_free(client);
    fake_stop(&server);
}

static void close_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    (void)arg;
    nng_pipe_close(pipe);
}

/* Turned away after the handshake: nothing may be sent, and nothing may be of unknown outcome. */
static void turned_away(void **state)
{
    (void)state;
    struct fake_server server = {.on_pipe = close_pipe};
    start(&server, &good);
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){server.port, 0});
    options.connect_timeout_ms = 1000;
    activity_client *client = activity_client_new(&options, NULL);
    struct activity_error error;
    assert_int_equal(create(client, NULL, NULL, &error), ACTIVITY_UNAVAILABLE);
    assert_string_equal(error.reason, "NOT_CONNECTED");
    assert_non_null(strstr(error.message, "closes each connection at once"));
    assert_int_equal(atomic_load(&server.requests), 0);
    /* Pauses grow from 50 ms: without that there would be some forty attempts. */
    assert_in_range(atomic_load(&server.pipes), 2, 15);
    activity_client_free(client);
    fake_stop(&server);
}

static void server_back_after_a_restart(void **state)
{
    (void)state;
    struct fake_server server = {0};
    start(&server, &good);
    activity_client *client = fake_client(&server);
    assert_int_equal(create(client, NULL, NULL, NULL), ACTIVITY_OK);
    for (int i = 0; i < 3; i++) {
        fake_stop(&server);
        struct activity_call_options options = within(100);
        struct activity_error error;
        assert_int_not_equal(create(client, &options, NULL, &error), ACTIVITY_OK);
        start(&server, &good);
        assert_int_equal(create(client, NULL, NULL, &error), ACTIVITY_OK);
    }
    struct activity_client_status status;
    activity_client_status(client, &status);
    assert_int_equal(status.connections, 4);
    activity_client_free(client);
    fake_stop(&server);
}

/* A lost answer: the same request goes out again. */
static void repeated_with_the_same_id(void **state)
{
    (void)state;
    struct script script = {.action = FAKE_CUT, .times = 2, .payload = good.payload};
    struct fake_server server = {0};
    start(&server, &script);
    activity_client *client = fake_client(&server);
    struct activity_error error;
    struct activity_created created;
    assert_int_equal(create(client, NULL, &created, &error), ACTIVITY_OK);
    assert_int_equal(error.attempts, 3);
    assert_int_equal(atomic_load(&script.different), 1);
    assert_memory_equal(created.request_id, script.request_id, 16);
    activity_client_free(client);
    fake_stop(&server);
}

static void never_repeated_if_so_wished(void **state)
{
    (void)state;
    struct script script = {.action = FAKE_CUT, .times = 1, .payload = good.payload};
    struct fake_server server = {0};
    start(&server, &script);
    activity_client *client = fake_client(&server);
    struct activity_call_options options = ACTIVITY_CALL_OPTIONS_INIT;
    options.never_repeat = true;
    struct activity_error error;
    assert_int_equal(create(client, &options, NULL, &error), ACTIVITY_DEADLINE_EXCEEDED);
    assert_string_equal(error.reason, "OUTCOME_UNKNOWN");
    assert_int_equal(error.attempts, 1);
    assert_int_equal(atomic_load(&server.requests), 1);
    activity_client_free(client);
    fake_stop(&server);
}

/* A request that makes its server cut the connection must not do so for ever. */
static void poison_is_given_up(void **state)
{
    (void)state;
    struct script script = {.action = FAKE_CUT, .times = 1000, .payload = good.payload};
    struct fake_server server = {0};
    start(&server, &script);
    activity_client *client = fake_client(&server);
    struct activity_error error;
    assert_int_equal(create(client, NULL, NULL, &error), ACTIVITY_DEADLINE_EXCEEDED);
    assert_string_equal(error.reason, "OUTCOME_UNKNOWN");
    assert_int_equal(error.attempts, 5);
    assert_int_equal(atomic_load(&server.requests), 5);
    activity_client_free(client);
    fake_stop(&server);
}

static void fail_over(void **state)
{
    (void)state;
    struct fake_server first = {0};
    struct fake_server second = {0};
    start(&first, &good);
    start(&second, &good);
    struct fake_servers servers;
    struct activity_options options =
        fake_options(&servers, (int[]){1, first.port, second.port, 0});
    activity_client *client = activity_client_new(&options, NULL);
    struct activity_error error;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(create(client, NULL, NULL, &error), ACTIVITY_OK);
    }
    assert_int_equal(atomic_load(&first.requests), 20);
    assert_int_equal(atomic_load(&second.requests), 0);
    fake_stop(&first);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(create(client, NULL, NULL, &error), ACTIVITY_OK);
    }
    assert_int_equal(atomic_load(&second.requests), 20);
    struct activity_client_status status;
    activity_client_status(client, &status);
    assert_string_equal(status.server, servers.urls[2]);
    activity_client_free(client);
    fake_stop(&second);
}

/* A connection whose other end has died without a word is found out and replaced. */
static void dead_connection_is_replaced(void **state)
{
    (void)state;
    struct script script = {.action = FAKE_DROP, .times = 1, .payload = good.payload};
    struct fake_server server = {0};
    start(&server, &script);
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){server.port, 0});
    options.silence_ms = 600;
    activity_client *client = activity_client_new(&options, NULL);
    assert_int_equal(activity_client_connect(client, 5000, NULL), ACTIVITY_OK);
    atomic_store(&server.mute_probes, true);
    struct activity_call_options patience = within(2500);
    assert_int_not_equal(create(client, &patience, NULL, NULL), ACTIVITY_OK);
    assert_in_range(atomic_load(&server.pipes), 2, 4);
    atomic_store(&server.mute_probes, false);
    activity_client_free(client);
    fake_stop(&server);
}

/* A server that only takes its time is not cut off. */
static void slow_connection_is_kept(void **state)
{
    (void)state;
    struct script script = {.action = FAKE_DROP, .times = 1, .payload = good.payload};
    struct fake_server server = {0};
    start(&server, &script);
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){server.port, 0});
    options.silence_ms = 300;
    activity_client *client = activity_client_new(&options, NULL);
    struct activity_call_options patience = within(2500);
    assert_int_not_equal(create(client, &patience, NULL, NULL), ACTIVITY_OK);
    assert_int_equal(atomic_load(&server.pipes), 1);
    assert_in_range(atomic_load(&server.probes), 2, 10);
    activity_client_free(client);
    fake_stop(&server);
}

/* --- Refusals --- */

static struct frame_reply refusal(uint32_t code, const char *reason, uint32_t retry_after_ms)
{
    return (struct frame_reply){.code = code,
                                .reason = view_of(reason),
                                .message = view_of("not now"),
                                .retry_after_ms = retry_after_ms};
}

static void comes_back_when_asked(void **state)
{
    (void)state;
    struct script script = {.times = 2, .payload = good.payload};
    script.reply = refusal(STATUS_RESOURCE_EXHAUSTED, "INBOX_FULL", 100);
    struct fake_server server = {0};
    start(&server, &script);
    activity_client *client = fake_client(&server);
    struct activity_error error;
    uint64_t begun = now_ms();
    assert_int_equal(create(client, NULL, NULL, &error), ACTIVITY_OK);
    assert_true(now_ms() - begun >= 200);
    assert_int_equal(error.attempts, 3);
    activity_client_free(client);
    fake_stop(&server);
}

static void refusal_within_the_deadline(void **state)
{
    (void)state;
    struct script script = {.times = 1000, .payload = good.payload};
    script.reply = refusal(STATUS_RESOURCE_EXHAUSTED, "INBOX_FULL", 60000);
    struct fake_server server = {0};
    start(&server, &script);
    activity_client *client = fake_client(&server);
    struct activity_error error;
    uint64_t begun = now_ms();
    struct activity_call_options options = within(3000);
    assert_int_equal(create(client, &options, NULL, &error), ACTIVITY_RESOURCE_EXHAUSTED);
    assert_true(now_ms() - begun < 1000); /* waiting would be in vain */
    assert_string_equal(error.reason, "INBOX_FULL");
    assert_string_equal(error.message, "not now");
    assert_int_equal(error.retry_after_ms, 60000);
    activity_client_free(client);
    fake_stop(&server);
}

static void budget_ends_repetitions(void **state)
{
    (void)state;
    struct script script = {.times = 100000, .payload = good.payload};
    script.reply = refusal(STATUS_RESOURCE_EXHAUSTED, "INBOX_FULL", 1);
    struct fake_server server = {0};
    start(&server, &script);
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){server.port, 0});
    options.retry_budget = 3;
    activity_client *client = activity_client_new(&options, NULL);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(create(client, NULL, NULL, NULL), ACTIVITY_RESOURCE_EXHAUSTED);
    }
    assert_int_equal(atomic_load(&server.requests), 13);
    activity_client_free(client);
    fake_stop(&server);
}

static void draining_server_is_left(void **state)
{
    (void)state;
    struct script drains = {.times = 100000};
    drains.reply = refusal(STATUS_UNAVAILABLE, "DRAINING", 0);
    struct fake_server first = {0};
    struct fake_server second = {0};
    start(&first, &drains);
    start(&second, &good);
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){first.port, second.port, 0});
    activity_client *client = activity_client_new(&options, NULL);
    struct activity_error error;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(create(client, NULL, NULL, &error), ACTIVITY_OK);
    }
    assert_int_equal(atomic_load(&second.requests), 10);
    assert_in_range(atomic_load(&first.requests), 1, 4);
    activity_client_free(client);
    fake_stop(&first);
    fake_stop(&second);
}

/* The only server is about to stop, or not ready: nobody's attempts are used up meanwhile. */
static void calls_wait_out_a_drain(void **state)
{
    (void)state;
    struct script script = {.times = 50, .payload = good.payload};
    script.reply = refusal(STATUS_UNAVAILABLE, "STARTING", 0);
    struct fake_server server = {0};
    start(&server, &script);
    activity_client *client = fake_client(&server);
    activity_window *window = activity_window_new(client, 60, NULL);
    const struct activity_create_request request = {.type = "upload"};
    for (uint64_t i = 0; i < 60; i++) {
        assert_int_equal(activity_submit_create(window, &request, NULL, i, NULL), ACTIVITY_OK);
    }
    struct activity_completion completion;
    while (activity_next(window, 5000, &completion) == ACTIVITY_NEXT_DONE) {
        assert_int_equal(completion.error.code, ACTIVITY_OK);
        activity_result_free(completion.result);
    }
    assert_int_equal(activity_window_used(window), 0);
    assert_int_equal(atomic_load(&server.requests), 60 + 50);
    activity_window_free(window);

    /* Not for ever, and not against the caller's will. */
    atomic_store(&script.times, 100000);
    struct activity_error error;
    struct activity_call_options options = ACTIVITY_CALL_OPTIONS_INIT;
    options.never_repeat = true;
    assert_int_equal(create(client, &options, NULL, &error), ACTIVITY_UNAVAILABLE);
    assert_string_equal(error.reason, "STARTING");
    assert_int_equal(error.attempts, 1);
    options = within(1500);
    assert_int_equal(create(client, &options, NULL, &error), ACTIVITY_UNAVAILABLE);
    assert_string_equal(error.reason, "STARTING");
    assert_in_range(error.attempts, 1, 3);
    activity_client_free(client);
    fake_stop(&server);
}

/* The server's words arrive whole; other errors are not repeated. */
static void errors_are_told(void **state)
{
    (void)state;
    struct script script = {.times = 1, .payload = good.payload};
    script.reply = refusal(STATUS_INVALID_ARGUMENT, "BAD_FIELD", 0);
    script.reply.metadata[0] = (struct frame_metadata){view_of("field"), view_of("title")};
    script.reply.metadata_count = 1;
    struct fake_server server = {0};
    start(&server, &script);
    activity_client *client = fake_client(&server);
    struct activity_error error;
    struct activity_created created = {.job_id = 9};
    assert_int_equal(create(client, NULL, &created, &error), ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "BAD_FIELD");
    assert_string_equal(error.field, "title");
    assert_int_equal(error.attempts, 1);
    assert_int_equal(created.job_id, 0);
    activity_client_free(client);
    fake_stop(&server);
}

/* --- Hostile servers --- */

static void answers_to_nobody(void **state)
{
    (void)state;
    struct script script = {.action = FAKE_HEADER, .times = 1, .payload = good.payload};
    struct fake_server server = {0};
    start(&server, &script);
    activity_client *client = fake_client(&server);
    struct activity_call_options options = within(300);
    assert_int_equal(create(client, &options, NULL, NULL), ACTIVITY_DEADLINE_EXCEEDED);
    script.action = FAKE_TWICE;
    atomic_store(&script.times, 5);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(create(client, NULL, NULL, NULL), ACTIVITY_OK);
    }
    struct activity_client_status status;
    activity_client_status(client, &status);
    assert_true(status.bad_replies + status.late_replies >= 1);
    activity_client_free(client);
    fake_stop(&server);
}

struct mutations {
    uint32_t seed;
    uint8_t bytes[256];
    size_t length;
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

static enum fake_action mutate(void *arg, const struct frame_request *request,
                               struct frame_reply *reply)
{
    struct mutations *mutations = arg;
    (void)request;
    uint8_t *end = frame_reply_encode_head(
        &(struct frame_reply){.epoch = 1, .payload = {created_5, sizeof created_5}},
        mutations->bytes);
    memcpy(end, created_5, sizeof created_5);
    mutations->length = (size_t)(end - mutations->bytes) + sizeof created_5;
    for (uint32_t i = 1 + next_random(&mutations->seed) % 4; i > 0; i--) {
        size_t at = next_random(&mutations->seed) % mutations->length;
        mutations->bytes[at] ^= (uint8_t)(1U << next_random(&mutations->seed) % 8);
    }
    if (next_random(&mutations->seed) % 4 == 0) {
        mutations->length = next_random(&mutations->seed) % (mutations->length + 1);
    }
    reply->payload = (struct view){mutations->bytes, mutations->length};
    return FAKE_RAW;
}

static void mutated_replies(void **state)
{
    (void)state;
    struct mutations mutations = {.seed = 7};
    struct fake_server server = {.script = mutate, .arg = &mutations};
    fake_start(&server);
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){server.port, 0});
    options.retry_budget = 1;
    activity_client *client = activity_client_new(&options, NULL);
    enum { CALLS = 10000, WINDOW = 60 };
    activity_window *window = activity_window_new(client, WINDOW, NULL);
    const struct activity_create_request request = {.type = "upload"};
    unsigned outcomes[17] = {0};
    for (unsigned submitted = 0, done = 0; done < CALLS; done++) {
        while (submitted < CALLS &&
               activity_submit_create(window, &request, NULL, 0, NULL) == ACTIVITY_OK) {
            submitted++;
        }
        struct activity_completion completion;
        assert_int_equal(activity_next(window, 10000, &completion), ACTIVITY_NEXT_DONE);
        assert_true((completion.result != NULL) == (completion.error.code == ACTIVITY_OK));
        outcomes[completion.error.code]++;
        activity_result_free(completion.result);
    }
    assert_true(outcomes[ACTIVITY_INTERNAL] > CALLS / 4);
    assert_true(outcomes[ACTIVITY_OK] > 0);
    activity_window_free(window);
    activity_client_free(client);
    fake_stop(&server);
}

/* --- Pages --- */

/* Three pages: the token of a request is the number of its page; page 1 fails once. */
static enum fake_action serve_pages(void *arg, const struct frame_request *request,
                                    struct frame_reply *reply)
{
    bool *failed = arg;
    static uint8_t bytes[] = {0x0A, 2, 0x08, 0, 0x22, 1, 0};
    Activity__V1__FindActivitiesRequest *find = activity__v1__find_activities_request__unpack(
        NULL, request->payload.length, request->payload.bytes);
    assert_non_null(find);
    assert_true(find->observe && find->n_types == 1);
    assert_string_equal(find->types[0], "upload");
    assert_true(view_equal(request->user, view_of("ann")));
    uint8_t page = find->page_token.len == 0 ? 0 : find->page_token.data[0];
    activity__v1__find_activities_request__free_unpacked(find, NULL);
    if (page == 1 && !*failed) {
        *failed = true;
        *reply = refusal(STATUS_NOT_FOUND, "FOR_ONCE", 0);
        return FAKE_REPLY;
    }
    bytes[3] = (uint8_t)(page + 1);
    bytes[6] = (uint8_t)(page + 1);
    reply->payload = (struct view){bytes, page == 2 ? 4 : sizeof bytes};
    return FAKE_REPLY;
}

static void finder_walks_all_pages(void **state)
{
    (void)state;
    bool failed = false;
    struct fake_server server = {.script = serve_pages, .arg = &failed};
    fake_start(&server);
    activity_client *client = fake_client(&server);
    const char *types[] = {"upload"};
    struct activity_find_request request = {.types = types, .type_count = 1, .observe = true};
    struct activity_call_options options = ACTIVITY_CALL_OPTIONS_INIT;
    options.tenant = "acme";
    options.user = "ann";
    activity_finder *finder = activity_finder_new(client, &request, &options, NULL);
    assert_non_null(finder);
    types[0] = "changed"; /* what was given is not looked at any more */
    const struct activity_page *page;
    assert_int_equal(activity_finder_next(finder, &page, NULL), ACTIVITY_OK);
    assert_int_equal(page->activities[0].job_id, 1);
    struct activity_error error;
    assert_int_equal(activity_finder_next(finder, &page, &error), ACTIVITY_NOT_FOUND);
    assert_string_equal(error.reason, "FOR_ONCE");
    assert_null(page);
    for (uint64_t i = 2; i <= 3; i++) {
        assert_int_equal(activity_finder_next(finder, &page, NULL), ACTIVITY_OK);
        assert_int_equal(page->activities[0].job_id, i);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(activity_finder_next(finder, &page, NULL), ACTIVITY_OK);
        assert_null(page);
    }
    assert_int_equal(atomic_load(&server.requests), 4);
    activity_finder_free(finder);
    activity_client_free(client);
    fake_stop(&server);
}

/* --- What cannot be sent --- */

static void options_are_checked(void **state)
{
    (void)state;
    struct fake_servers servers;
    struct activity_error error;
    struct activity_options options = fake_options(&servers, (int[]){7001, 0});
    options.size = 8;
    assert_null(activity_client_new(&options, &error));
    assert_string_equal(error.field, "size");
    options = fake_options(&servers, (int[]){0});
    assert_null(activity_client_new(&options, &error));
    assert_string_equal(error.field, "servers");
    const char *urls[] = {"tcp://127.0.0.1:7001"};
    options = fake_options(&servers, (int[]){7001, 0});
    options.servers = urls;
    assert_null(activity_client_new(&options, &error));
    assert_string_equal(error.field, "servers");
    options = fake_options(&servers, (int[]){7001, 0});
    options.ca_file = "/nonexistent";
    assert_null(activity_client_new(&options, &error));
    assert_string_equal(error.field, "ca_file");
    options = fake_options(&servers, (int[]){7001, 0});
    options.key_file = fake_file("ca.crt");
    assert_null(activity_client_new(&options, &error));
    assert_string_equal(error.field, "key_file");
    options = fake_options(&servers, (int[]){7001, 0});
    options.user = "ann";
    assert_null(activity_client_new(&options, &error));
    assert_string_equal(error.field, "tenant");
}

static void too_large_to_send(void **state)
{
    (void)state;
    struct fake_server server = {0};
    start(&server, &good);
    activity_client *client = fake_client(&server);
    char *bytes = calloc(1, LIMIT_REQUEST_BYTES);
    assert_non_null(bytes);
    struct activity_error error;
    assert_int_equal(activity_call(client, "activity.v1.ActivityService/CreateActivity",
                                   (struct activity_bytes){bytes, LIMIT_REQUEST_BYTES - 100}, NULL,
                                   NULL, &error),
                     ACTIVITY_OK);
    assert_int_equal(activity_call(client, "activity.v1.ActivityService/CreateActivity",
                                   (struct activity_bytes){bytes, LIMIT_REQUEST_BYTES}, NULL, NULL,
                                   &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "FRAME_TOO_LARGE");
    assert_int_equal(atomic_load(&server.requests), 1);
    free(bytes);
    activity_client_free(client);
    fake_stop(&server);
}

static void window_may_be_left(void **state)
{
    (void)state;
    struct script script = {.action = FAKE_DROP, .times = 1000, .payload = good.payload};
    struct fake_server server = {0};
    start(&server, &script);
    activity_client *client = fake_client(&server);
    activity_window *window = activity_window_new(client, 100, NULL);
    const struct activity_create_request request = {.type = "upload"};
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(activity_submit_create(window, &request, NULL, i, NULL), ACTIVITY_OK);
    }
    struct activity_completion completion;
    assert_int_equal(activity_next(window, 50, &completion), ACTIVITY_NEXT_TIMEOUT);
    assert_null(completion.result);
    assert_int_equal(activity_window_used(window), 100);
    activity_window_free(window);
    atomic_store(&script.times, 0);
    assert_int_equal(create(client, NULL, NULL, NULL), ACTIVITY_OK);
    activity_client_free(client);
    fake_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(many_in_flight),
        cmocka_unit_test(many_threads),
        cmocka_unit_test(deadline_of_a_silent_server),
        cmocka_unit_test(late_answers_find_nobody),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(refused_certificate),
        cmocka_unit_test(wrong_server_name),
        cmocka_unit_test(turned_away),
        cmocka_unit_test(server_back_after_a_restart),
        cmocka_unit_test(repeated_with_the_same_id),
        cmocka_unit_test(never_repeated_if_so_wished),
        cmocka_unit_test(poison_is_given_up),
        cmocka_unit_test(fail_over),
        cmocka_unit_test(dead_connection_is_replaced),
        cmocka_unit_test(slow_connection_is_kept),
        cmocka_unit_test(comes_back_when_asked),
        cmocka_unit_test(refusal_within_the_deadline),
        cmocka_unit_test(budget_ends_repetitions),
        cmocka_unit_test(draining_server_is_left),
        cmocka_unit_test(calls_wait_out_a_drain),
        cmocka_unit_test(errors_are_told),
        cmocka_unit_test(answers_to_nobody),
        cmocka_unit_test(mutated_replies),
        cmocka_unit_test(finder_walks_all_pages),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(too_large_to_send),
        cmocka_unit_test(window_may_be_left),
    };
    return cmocka_run_group_tests(tests, fake_certificates, fake_certificates_remove);
}
