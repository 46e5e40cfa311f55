/* Calls that the server holds back: how they are asked, how long they take, and what becomes of the
 * connection meanwhile. */
#include "tests/unit/client/lib/fake_server.h"

#include <time.h>

#include <activity_feed.h>

#include "activity/v1/activity_service.pb-c.h"
#include "activity/v1/change_service.pb-c.h"

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* What a server does with waits: it parks them for hold_ms, then says what `reached` says. */
struct waits {
    uint32_t hold_ms; /* at most the asked wait */
    bool wait_as_asked;
    atomic_bool reached;
    uint32_t retry_after_ms;
    unsigned crowded;       /* so many are answered at once with retry_after_ms */
    enum fake_action first; /* of the first request, unless FAKE_REPLY */
    /* What was asked. */
    unsigned asked;
    uint32_t wait_ms[16];
    uint32_t timeout_ms[16];
    uint64_t parked_ms;
    uint64_t job_id;
    uint64_t ticket;
    uint32_t percent;
    uint32_t stage;
    bool children;
};

static uint32_t read_wait(struct waits *waits, const struct frame_request *request)
{
    uint32_t wait_ms;
    if (view_equal(request->method, view_of("activity.v1.ActivityService/WaitActivity"))) {
        Activity__V1__WaitActivityRequest *wait = activity__v1__wait_activity_request__unpack(
            NULL, request->payload.length, request->payload.bytes);
        assert_non_null(wait);
        wait_ms = wait->wait_ms;
        waits->job_id = wait->job_id;
        waits->percent = wait->percent;
        waits->children = wait->children;
        activity__v1__wait_activity_request__free_unpacked(wait, NULL);
    } else {
        assert_true(view_equal(request->method, view_of("activity.v1.ChangeService/WaitVisible")));
        Activity__V1__WaitVisibleRequest *wait = activity__v1__wait_visible_request__unpack(
            NULL, request->payload.length, request->payload.bytes);
        assert_non_null(wait);
        wait_ms = wait->wait_ms;
        waits->job_id = wait->job_id;
        waits->ticket = wait->ticket;
        waits->stage = wait->stage;
        activity__v1__wait_visible_request__free_unpacked(wait, NULL);
    }
    return wait_ms;
}

static enum fake_action serve_waits(void *arg, const struct frame_request *request,
                                    struct frame_reply *reply)
{
    static const uint8_t reached[] = {0x08, 1, 0x10, 2, 0x18, 100};
    static const uint8_t pending[] = {0x10, 1, 0x18, 40, 0x20, 9};
    struct waits *waits = arg;
    uint32_t wait_ms = read_wait(waits, request);
    if (waits->parked_ms == 0) {
        assert_true(waits->asked < 16);
        waits->wait_ms[waits->asked] = wait_ms;
        waits->timeout_ms[waits->asked++] = request->timeout_ms;
        waits->parked_ms = now_ms();
        if (waits->asked == 1 && waits->first != FAKE_REPLY) {
            waits->parked_ms = 0;
            return waits->first;
        }
    }
    bool crowded = waits->crowded > 0;
    uint32_t hold_ms = waits->wait_as_asked ? wait_ms : waits->hold_ms;
    if (!atomic_load(&waits->reached) && !crowded && now_ms() < waits->parked_ms + hold_ms) {
        return FAKE_PARK;
    }
    waits->parked_ms = 0;
    waits->crowded -= crowded;
    reply->retry_after_ms = crowded ? waits->retry_after_ms : 0;
    reply->payload = atomic_load(&waits->reached) ? (struct view){reached, sizeof reached}
                                                  : (struct view){pending, sizeof pending};
    return FAKE_REPLY;
}

static activity_client *start(struct fake_server *server, struct waits *waits, uint32_t silence_ms)
{
    server->script = serve_waits;
    server->arg = waits;
    fake_start(server);
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){server->port, 0});
    options.silence_ms = silence_ms;
    activity_client *client = activity_client_new(&options, NULL);
    assert_non_null(client);
    assert_int_equal(activity_client_connect(client, 5000, NULL), ACTIVITY_OK);
    return client;
}

static void *reach_soon(void *arg)
{
    struct waits *waits = arg;
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    atomic_store(&waits->reached, true);
    return NULL;
}

static void waits_until_it_is_reached(void **state)
{
    (void)state;
    struct waits waits = {.wait_as_asked = true};
    struct fake_server server = {0};
    activity_client *client = start(&server, &waits, 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, reach_soon, &waits), 0);
    const struct activity_wait_request request = {
        .job_id = 7, .percent = 50, .children = true, .wait_ms = 3600 * 1000};
    struct activity_waited waited;
    uint64_t begun = now_ms();
    assert_int_equal(activity_wait(client, &request, NULL, &waited, NULL), ACTIVITY_OK);
    assert_in_range(now_ms() - begun, 150, 2000);
    pthread_join(thread, NULL);
    assert_true(waited.reached);
    assert_int_equal(waited.state, ACTIVITY_STATE_COMPLETED);
    assert_int_equal(waited.percent, 100);
    /* An hour is asked in pieces; the server gets time to answer beside each. */
    assert_int_equal(waits.asked, 1);
    assert_int_equal(waits.wait_ms[0], 30000);
    assert_in_range(waits.timeout_ms[0], 39000, 40000);
    assert_int_equal(waits.job_id, 7);
    assert_int_equal(waits.percent, 50);
    assert_true(waits.children);
    activity_client_free(client);
    fake_stop(&server);
}

static void asks_again_until_the_time_is_over(void **state)
{
    (void)state;
    struct waits waits = {.hold_ms = 250}; /* as a server that may wait a quarter second only */
    struct fake_server server = {0};
    activity_client *client = start(&server, &waits, 0);
    const struct activity_wait_request request = {.job_id = 7, .wait_ms = 1000};
    struct activity_waited waited;
    uint64_t begun = now_ms();
    assert_int_equal(activity_wait(client, &request, NULL, &waited, NULL), ACTIVITY_OK);
    assert_in_range(now_ms() - begun, 950, 1900);
    assert_false(waited.reached);
    assert_int_equal(waited.state, ACTIVITY_STATE_RUNNING);
    assert_int_equal(waited.percent, 40);
    assert_int_equal(waited.waiting_for_job_id, 9);
    assert_in_range(waits.asked, 3, 5);
    assert_in_range(waits.wait_ms[0], 990, 1000);
    for (unsigned i = 1; i < waits.asked; i++) {
        assert_true(waits.wait_ms[i] < waits.wait_ms[i - 1]);
    }
    activity_client_free(client);
    fake_stop(&server);
}

static void looks_only(void **state)
{
    (void)state;
    struct waits waits = {.wait_as_asked = true};
    struct fake_server server = {0};
    activity_client *client = start(&server, &waits, 0);
    struct activity_waited waited;
    assert_int_equal(
        activity_wait(client, &(struct activity_wait_request){.job_id = 7}, NULL, &waited, NULL),
        ACTIVITY_OK);
    assert_false(waited.reached);
    assert_int_equal(waits.asked, 1);
    assert_int_equal(waits.wait_ms[0], 0);
    struct activity_error error;
    assert_int_equal(activity_wait(client, NULL, NULL, &waited, &error), ACTIVITY_INVALID_ARGUMENT);
    assert_int_equal(waited.percent, 0);
    assert_int_equal(activity_wait_visible(client, NULL, NULL, NULL, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    activity_client_free(client);
    fake_stop(&server);
}

/* No place to wait: the caller's time is spent away from the server. */
static void crowded_server_is_left_alone(void **state)
{
    (void)state;
    struct waits waits = {.wait_as_asked = true, .retry_after_ms = 300, .crowded = 100};
    struct fake_server server = {0};
    activity_client *client = start(&server, &waits, 0);
    const struct activity_visible_request request = {
        .ticket = UINT64_MAX, .stage = ACTIVITY_STAGE_SENT, .wait_ms = 1000};
    struct activity_visible visible = {.reached = true};
    uint64_t begun = now_ms();
    assert_int_equal(activity_wait_visible(client, &request, NULL, &visible, NULL), ACTIVITY_OK);
    assert_in_range(now_ms() - begun, 950, 1900);
    assert_false(visible.reached);
    assert_int_equal(visible.open_changes, 1); /* field 2 of the script's answer */
    assert_true(waits.ticket == UINT64_MAX);
    assert_int_equal(waits.stage, ACTIVITY_STAGE_SENT);
    assert_in_range(waits.asked, 4, 5);
    assert_int_equal(waits.wait_ms[waits.asked - 1], 0); /* the last look */

    waits.asked = 0;
    waits.crowded = 2;
    waits.retry_after_ms = 50;
    atomic_store(&waits.reached, false);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, reach_soon, &waits), 0);
    assert_int_equal(activity_wait_visible(client, &request, NULL, &visible, NULL), ACTIVITY_OK);
    pthread_join(thread, NULL);
    assert_true(visible.reached);
    assert_int_equal(waits.asked, 3);
    activity_client_free(client);
    fake_stop(&server);
}

/* The time scale of a 30 s poll and 2 s of silence, twenty times as fast. */
static void quiet_connection_survives_a_long_poll(void **state)
{
    (void)state;
    struct waits waits = {.wait_as_asked = true};
    struct fake_server server = {0};
    activity_client *client = start(&server, &waits, 100);
    unsigned probes = atomic_load(&server.probes);
    const struct activity_wait_request request = {.job_id = 7, .wait_ms = 1500};
    struct activity_waited waited;
    assert_int_equal(activity_wait(client, &request, NULL, &waited, NULL), ACTIVITY_OK);
    assert_int_equal(waits.asked, 1);
    assert_int_equal(atomic_load(&server.pipes), 1);
    /* A sign of life again and again, not once only. */
    probes = atomic_load(&server.probes) - probes;
    assert_in_range(probes, 3, 16);
    activity_client_free(client);
    fake_stop(&server);
}

static void *mute_soon(void *arg)
{
    struct fake_server *server = arg;
    nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    atomic_store(&server->mute_probes, true);
    nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    atomic_store(&server->mute_probes, false);
    return NULL;
}

/* One that dies in the middle of a long poll, after signs of life, is found out and replaced. */
static void dead_connection_is_replaced_during_a_long_poll(void **state)
{
    (void)state;
    struct waits waits = {.first = FAKE_DROP, .wait_as_asked = true};
    struct fake_server server = {0};
    activity_client *client = start(&server, &waits, 200);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, mute_soon, &server), 0);
    const struct activity_wait_request request = {.job_id = 7, .wait_ms = 2000};
    struct activity_waited waited;
    assert_int_equal(activity_wait(client, &request, NULL, &waited, NULL), ACTIVITY_OK);
    pthread_join(thread, NULL);
    assert_in_range(atomic_load(&server.pipes), 2, 4);
    assert_int_equal(waits.asked, 2); /* the same call, repeated on the new connection */
    activity_client_free(client);
    fake_stop(&server);
}

/* A restart of the server is waited out for the time of a call, also without a connection. */
static void restart_is_waited_out(void **state)
{
    (void)state;
    struct waits waits = {.wait_as_asked = true};
    struct fake_server server = {0};
    server.script = serve_waits;
    server.arg = &waits;
    fake_start(&server);
    struct fake_servers servers;
    struct activity_options options = fake_options(&servers, (int[]){server.port, 0});
    options.connect_timeout_ms = 200;
    options.timeout_ms = 1500;
    options.reconnect_max_ms = 200;
    activity_client *client = activity_client_new(&options, NULL);
    assert_int_equal(activity_client_connect(client, 5000, NULL), ACTIVITY_OK);
    fake_stop(&server);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, reach_soon, &waits), 0);
    pthread_join(thread, NULL);
    struct activity_error error;
    const struct activity_wait_request request = {.job_id = 7, .wait_ms = 500};
    uint64_t begun = now_ms();
    assert_int_equal(activity_wait(client, &request, NULL, NULL, &error), ACTIVITY_UNAVAILABLE);
    assert_in_range(now_ms() - begun, 1400, 2900);
    assert_string_equal(error.reason, "NOT_CONNECTED");
    fake_start(&server);
    struct activity_waited waited;
    assert_int_equal(activity_wait(client, &request, NULL, &waited, NULL), ACTIVITY_OK);
    assert_true(waited.reached);
    activity_client_free(client);
    fake_stop(&server);
}

/* --- Pages of events --- */

struct page {
    struct view payload;
    uint32_t retry_after_ms;
    struct activity_changes_request asked;
    uint32_t timeout_ms;
};

static enum fake_action serve_page(void *arg, const struct frame_request *request,
                                   struct frame_reply *reply)
{
    struct page *page = arg;
    assert_true(view_equal(request->method, view_of("activity.v1.ChangeService/ReadChanges")));
    Activity__V1__ReadChangesRequest *read = activity__v1__read_changes_request__unpack(
        NULL, request->payload.length, request->payload.bytes);
    assert_non_null(read);
    assert_non_null(read->after);
    page->asked = (struct activity_changes_request){
        .after = {read->after->epoch, read->after->sequence},
        .wait_ms = read->wait_ms,
        .page_size = read->page_size,
        .all_tenants = read->all_tenants,
        .subscription = read->subscription,
        .filter = {.kind_count = read->n_kinds, .model_count = read->n_models},
    };
    assert_int_equal(read->n_kinds, 2);
    assert_int_equal(read->kinds[1], ACTIVITY_EVENT_INDEX_CHANGED);
    assert_int_equal(read->n_models, 1);
    assert_string_equal(read->models[0], "mediacontainer");
    assert_int_equal(read->n_document_ids, 1);
    assert_string_equal(read->document_ids[0], "123");
    assert_int_equal(read->n_job_ids, 1);
    assert_int_equal(read->job_ids[0], 5);
    activity__v1__read_changes_request__free_unpacked(read, NULL);
    page->timeout_ms = request->timeout_ms;
    reply->payload = page->payload;
    reply->retry_after_ms = page->retry_after_ms;
    return FAKE_REPLY;
}

static void reads_a_page(void **state)
{
    (void)state;
    /* cursor {epoch 1, sequence 9}, oldest 4, head 12 */
    static const uint8_t bytes[] = {0x12, 11, 0x09, 1, 0,    0, 0,    0, 0,
                                    0,    0,  0x10, 9, 0x18, 4, 0x20, 12};
    struct page page = {.payload = {bytes, sizeof bytes}, .retry_after_ms = 1000};
    struct fake_server server = {.script = serve_page, .arg = &page};
    fake_start(&server);
    activity_client *client = fake_client(&server);
    const enum activity_event_kind kinds[] = {ACTIVITY_EVENT_CREATED, ACTIVITY_EVENT_INDEX_CHANGED};
    const char *const models[] = {"mediacontainer"};
    const char *const documents[] = {"123"};
    const uint64_t jobs[] = {5};
    struct activity_changes_request request = {
        .after = {.epoch = 1, .sequence = 3},
        .filter = {kinds, 2, models, 1, documents, 1, jobs, 1},
        .wait_ms = 20000,
        .page_size = 10,
        .all_tenants = true,
        .subscription = 77,
    };
    activity_result *result;
    struct activity_error error;
    assert_int_equal(activity_read_changes(client, &request, NULL, &result, &error), ACTIVITY_OK);
    const struct activity_changes *changes = activity_result_changes(result);
    assert_non_null(changes);
    assert_null(activity_result_page(result));
    assert_int_equal(changes->event_count, 0);
    assert_int_equal(changes->cursor.epoch, 1);
    assert_int_equal(changes->cursor.sequence, 9);
    assert_int_equal(changes->oldest_sequence, 4);
    assert_int_equal(changes->head_sequence, 12);
    assert_int_equal(changes->reset, ACTIVITY_RESET_NONE);
    assert_int_equal(changes->retry_after_ms, 1000);
    activity_result_free(result);
    assert_int_equal(page.asked.after.epoch, 1);
    assert_int_equal(page.asked.after.sequence, 3);
    assert_int_equal(page.asked.wait_ms, 20000);
    assert_int_equal(page.asked.page_size, 10);
    assert_true(page.asked.all_tenants);
    assert_int_equal(page.asked.subscription, 77);
    assert_in_range(page.timeout_ms, 29000, 30000);

    request.filter.models = NULL;
    assert_int_equal(activity_read_changes(client, &request, NULL, &result, &error),
                     ACTIVITY_INVALID_ARGUMENT);
    assert_string_equal(error.field, "models");
    assert_null(result);
    activity_client_free(client);
    fake_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_until_it_is_reached),
        cmocka_unit_test(asks_again_until_the_time_is_over),
        cmocka_unit_test(looks_only),
        cmocka_unit_test(crowded_server_is_left_alone),
        cmocka_unit_test(quiet_connection_survives_a_long_poll),
        cmocka_unit_test(dead_connection_is_replaced_during_a_long_poll),
        cmocka_unit_test(restart_is_waited_out),
        cmocka_unit_test(reads_a_page),
    };
    return cmocka_run_group_tests(tests, fake_certificates, fake_certificates_remove);
}
