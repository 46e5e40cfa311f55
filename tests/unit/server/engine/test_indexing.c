/* The engine and an index: when a batch leaves, what becomes of it, and what is searchable. */
#include "tests/unit/server/engine/scene.h"

#define BATCHES_KEPT 64

/* Who writes to the index. */
static struct {
    uint32_t room;
    uint32_t refusals; /* so many batches are not taken over */
    uint32_t count;
    struct {
        uint64_t number;
        uint64_t sent_ms;
        enum take_cause cause;
        uint32_t documents;
        uint32_t changes;
        struct core_batch_origin origin;
        char first_id[64];
    } batches[BATCHES_KEPT];
    uint32_t refreshes; /* asked for */
    uint64_t results;   /* told */
} index_;

static struct scene scene;

static uint32_t room(void *context)
{
    (void)context;
    return index_.room;
}

static bool send_batch(void *context, const struct engine_batch *batch)
{
    (void)context;
    assert_in_range(index_.count, 0, BATCHES_KEPT - 1);
    struct reader from = reader_of(batch->take.documents);
    struct take_document document;
    assert_true(take_document_next(&from, &document));
    index_.batches[index_.count].number = batch->take.batch;
    index_.batches[index_.count].sent_ms = batch->take.sent_ms;
    index_.batches[index_.count].cause = batch->take.cause;
    index_.batches[index_.count].documents = batch->take.document_count;
    index_.batches[index_.count].changes = batch->take.changes;
    index_.batches[index_.count].origin = batch->origin;
    (void)snprintf(index_.batches[index_.count].first_id, sizeof index_.batches[0].first_id, "%.*s",
                   (int)document.document_id.length, (const char *)document.document_id.at);
    index_.count++;
    if (index_.refusals == 0) {
        return true;
    }
    index_.refusals--;
    return false;
}

static void refresh(void *context)
{
    (void)context;
    index_.refreshes++;
}

static const struct engine_index outlets = {NULL, room, send_batch, refresh};

static int open_scene(void **state)
{
    (void)state;
    memset(&index_, 0, sizeof index_);
    index_.room = 4;
    scene_init(&scene);
    scene_run(&scene);
    /* The same again, with an index. */
    scene.options.index = &outlets;
    scene.options.limits.index_mode = 1;
    scene_crash(&scene, 10);
    scene_run(&scene);
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    scene_deinit(&scene);
    return 0;
}

static uint64_t record(const char *id)
{
    Activity__V1__DocumentChange change = ACTIVITY__V1__DOCUMENT_CHANGE__INIT;
    Activity__V1__DocumentChange *changes[1] = {&change};
    Activity__V1__RecordModelChangesRequest request =
        ACTIVITY__V1__RECORD_MODEL_CHANGES_REQUEST__INIT;
    uint64_t request_id[2] = {++scene.calls.requests, 0x6964};
    uint8_t json[] = "{\"a\":1}";
    request.request_id = (ProtobufCBinaryData){sizeof request_id, (uint8_t *)request_id};
    change.model = "orders";
    change.document_id = (char *)(uintptr_t)id;
    change.affected_model = "Order";
    change.json = (ProtobufCBinaryData){sizeof json - 1, json};
    request.changes = changes;
    request.n_changes = 1;
    uint64_t token =
        call(&scene.calls, scene.engine, METHOD_RECORD_MODEL_CHANGES, "alice", &request.base);
    scene_run(&scene);
    Activity__V1__RecordModelChangesResponse *response = call_response(
        &scene.calls, token, &activity__v1__record_model_changes_response__descriptor);
    uint64_t ticket = response->ticket;
    call_free(response);
    return ticket;
}

/* All documents of a batch have this outcome. */
static void tell(uint32_t batch, enum index_outcome outcome)
{
    static uint8_t outcomes[1024];
    uint8_t reasons[512];
    struct writer to = writer_of(reasons, sizeof reasons);
    memset(outcomes, (int)outcome, sizeof outcomes);
    uint32_t count = index_.batches[batch].documents;
    for (uint32_t i = 0; outcome == INDEX_PARKED && i < count; i++) {
        command_reason_put(&to, bytes_of("poison", 6), bytes_of("it is poison", 12));
    }
    const struct command_result result = {
        .batch = index_.batches[batch].number,
        .count = count,
        .outcomes = bytes_of(outcomes, count),
        .reasons = bytes_of(reasons, (size_t)(to.at - reasons)),
    };
    index_.results++;
    engine_index_result(scene.engine, &result);
    scene_run(&scene);
}

static uint64_t wait_visible(uint64_t ticket, Activity__V1__VisibleStage stage, uint32_t wait_ms)
{
    Activity__V1__WaitVisibleRequest request = ACTIVITY__V1__WAIT_VISIBLE_REQUEST__INIT;
    request.ticket = ticket;
    request.stage = stage;
    request.wait_ms = wait_ms;
    uint64_t token = call(&scene.calls, scene.engine, METHOD_WAIT_VISIBLE, "alice", &request.base);
    scene_run(&scene);
    return token;
}

static bool answered(uint64_t token)
{
    return scene.calls.replies[token % CALL_TOKENS].times != 0;
}

static void assert_reached(uint64_t token, bool reached)
{
    Activity__V1__WaitVisibleResponse *response =
        call_response(&scene.calls, token, &activity__v1__wait_visible_response__descriptor);
    assert_int_equal(response->reached, reached);
    call_free(response);
}

#define SENT       ACTIVITY__V1__VISIBLE_STAGE__VISIBLE_STAGE_SENT
#define ACKED      ACTIVITY__V1__VISIBLE_STAGE__VISIBLE_STAGE_ACKED
#define SEARCHABLE ACTIVITY__V1__VISIBLE_STAGE__VISIBLE_STAGE_SEARCHABLE

/* ---- Batches ---- */

static void a_batch_leaves_when_it_is_due_and_not_before(void **state)
{
    (void)state;
    uint64_t ticket = record("1");
    uint64_t begun = scene.boot_ms;
    (void)record("2");
    scene_pass(&scene, scene.options.limits.flush_delay_ms - 1);
    assert_int_equal(index_.count, 0);
    scene_pass(&scene, 1);
    assert_int_equal(index_.count, 1);
    assert_int_equal(scene.boot_ms, begun + scene.options.limits.flush_delay_ms);
    assert_int_equal(index_.batches[0].documents, 2);
    assert_int_equal(index_.batches[0].cause, TAKE_DELAY);
    assert_int_equal(index_.batches[0].origin.ticket_count, 2);
    assert_true(index_.batches[0].origin.tickets[0] == ticket);
    assert_int_equal(index_.batches[0].origin.fragments, 0);
    assert_true(index_.batches[0].sent_ms >= index_.batches[0].origin.oldest_ms + 200);
    scene_pass(&scene, 5000);
    assert_int_equal(index_.count, 1); /* nothing else waits */
}

static void without_room_it_waits_and_leaves_when_there_is_some(void **state)
{
    (void)state;
    index_.room = 0;
    (void)record("1");
    scene_pass(&scene, 60000);
    assert_int_equal(index_.count, 0);
    index_.room = 1;
    engine_index_room(scene.engine);
    scene_run(&scene);
    assert_int_equal(index_.count, 1);
}

static void what_nobody_takes_over_comes_back(void **state)
{
    (void)state;
    index_.refusals = 1;
    (void)record("1");
    scene_pass(&scene, 200);
    scene_pass(&scene, 2000);
    assert_int_equal(index_.count, 2);
    assert_string_equal(index_.batches[1].first_id, "1");
    tell(1, INDEX_ACKED);
    assert_int_equal(scene_info(&scene).pending_changes, 0);
}

static void what_was_under_way_is_sent_again_by_the_next_process(void **state)
{
    (void)state;
    (void)record("1");
    scene_pass(&scene, 200);
    assert_int_equal(index_.count, 1);
    scene_crash(&scene, 1000);
    scene_pass(&scene, 200);
    assert_int_equal(index_.count, 2);
    assert_string_equal(index_.batches[1].first_id, "1");
    assert_true(index_.batches[1].number > index_.batches[0].number);
    tell(0, INDEX_ACKED); /* of the earlier process: stale */
    assert_int_equal(scene_info(&scene).pending_changes, 1);
    tell(1, INDEX_ACKED);
    assert_int_equal(scene_info(&scene).pending_changes, 0);
}

static void a_full_disk_keeps_results_for_later(void **state)
{
    (void)state;
    uint64_t ticket = record("1");
    scene_pass(&scene, 200);
    scene.journal->events.writable(scene.journal->events.context, false);
    scene_run(&scene);
    tell(0, INDEX_ACKED);
    scene_pass(&scene, 3000);
    assert_int_equal(scene_info(&scene).pending_changes, 1);
    scene.journal->events.writable(scene.journal->events.context, true);
    scene_pass(&scene, 100);
    assert_int_equal(scene_info(&scene).pending_changes, 0);
    assert_reached(wait_visible(ticket, ACKED, 0), true);
}

static void a_draining_engine_sends_nothing_more_and_takes_results(void **state)
{
    (void)state;
    (void)record("1");
    scene_pass(&scene, 200);
    (void)record("2");
    engine_drain(scene.engine);
    scene_pass(&scene, 1000);
    assert_int_equal(index_.count, 1);
    tell(0, INDEX_ACKED);
    assert_int_equal(scene_info(&scene).pending_changes, 1);
}

/* ---- Stages ---- */

static void stages_come_one_after_the_other(void **state)
{
    (void)state;
    uint64_t ticket = record("1");
    uint64_t sent = wait_visible(ticket, SENT, 30000);
    uint64_t acked = wait_visible(ticket, ACKED, 30000);
    uint64_t searchable = wait_visible(ticket, SEARCHABLE, 30000);
    assert_false(answered(sent));
    scene_pass(&scene, 250);
    assert_reached(sent, true);
    assert_false(answered(acked));
    tell(0, INDEX_ACKED);
    scene_pass(&scene, 50);
    assert_reached(acked, true);
    assert_false(answered(searchable));
    assert_int_equal(index_.refreshes, 1); /* somebody waits */
    scene_pass(&scene, 1000);
    assert_false(answered(searchable));
    assert_int_equal(index_.refreshes, 1);
    engine_index_searchable(scene.engine, index_.results);
    scene_pass(&scene, 50);
    assert_reached(searchable, true);
    assert_reached(wait_visible(ticket, SEARCHABLE, 0), true);
}

static void a_refresh_does_not_cover_what_came_after_it_began(void **state)
{
    (void)state;
    uint64_t first = record("1");
    scene_pass(&scene, 250);
    uint64_t second = record("2");
    scene_pass(&scene, 250);
    assert_int_equal(index_.count, 2);
    tell(0, INDEX_ACKED);
    scene_pass(&scene, 5);
    uint64_t covered = index_.results; /* it begins now */
    tell(1, INDEX_ACKED);
    uint64_t tokens[2] = {wait_visible(first, SEARCHABLE, 30000),
                          wait_visible(second, SEARCHABLE, 30000)};
    engine_index_searchable(scene.engine, covered);
    scene_pass(&scene, 50);
    assert_reached(tokens[0], true);
    assert_false(answered(tokens[1]));
    assert_int_equal(index_.refreshes, 2); /* who is left asks once more */
    engine_index_searchable(scene.engine, index_.results);
    scene_pass(&scene, 50);
    assert_reached(tokens[1], true);
}

/* A result that is applied in the millisecond of the evidence takes it back, for this millisecond.
 */
static void a_millisecond_is_not_covered_by_halves(void **state)
{
    (void)state;
    uint64_t first = record("1");
    uint64_t second = record("2");
    scene_pass(&scene, 150);
    uint64_t third = record("3");
    scene_pass(&scene, 100);
    scene_pass(&scene, 150);
    assert_int_equal(index_.count, 2);
    tell(0, INDEX_ACKED);
    engine_index_searchable(scene.engine, index_.results);
    scene_run(&scene);
    assert_reached(wait_visible(first, SEARCHABLE, 0), true);
    assert_reached(wait_visible(second, SEARCHABLE, 0), true);
    tell(1, INDEX_ACKED);
    assert_reached(wait_visible(third, SEARCHABLE, 0), false);
}

static void without_waiting_no_refresh_is_asked_for(void **state)
{
    (void)state;
    uint64_t ticket = record("1");
    scene_pass(&scene, 250);
    tell(0, INDEX_ACKED);
    assert_reached(wait_visible(ticket, SEARCHABLE, 0), false);
    scene_pass(&scene, 1000);
    assert_int_equal(index_.refreshes, 0);
}

static void after_a_start_it_is_found_anew(void **state)
{
    (void)state;
    uint64_t ticket = record("1");
    scene_pass(&scene, 250);
    tell(0, INDEX_ACKED);
    engine_index_searchable(scene.engine, index_.results);
    scene_run(&scene);
    assert_reached(wait_visible(ticket, SEARCHABLE, 0), true);
    scene_crash(&scene, 100);
    scene_run(&scene);
    uint64_t token = wait_visible(ticket, SEARCHABLE, 30000);
    scene_pass(&scene, 100);
    assert_false(answered(token));
    assert_int_equal(index_.refreshes, 1);
    engine_index_searchable(scene.engine, 0); /* nothing was told since the start */
    scene_pass(&scene, 50);
    assert_reached(token, true);
}

static void a_parked_change_is_told_with_its_reason(void **state)
{
    (void)state;
    uint64_t ticket = record("1");
    uint64_t token = wait_visible(ticket, SEARCHABLE, 30000);
    scene_pass(&scene, 250);
    tell(0, INDEX_PARKED);
    scene_pass(&scene, 50);
    assert_refused(&scene.calls, token, "CHANGE_PARKED");
}

int main(void)
{
#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, open_scene, close_scene)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_batch_leaves_when_it_is_due_and_not_before),
        SCENE_TEST(without_room_it_waits_and_leaves_when_there_is_some),
        SCENE_TEST(what_nobody_takes_over_comes_back),
        SCENE_TEST(what_was_under_way_is_sent_again_by_the_next_process),
        SCENE_TEST(a_full_disk_keeps_results_for_later),
        SCENE_TEST(a_draining_engine_sends_nothing_more_and_takes_results),
        SCENE_TEST(stages_come_one_after_the_other),
        SCENE_TEST(a_refresh_does_not_cover_what_came_after_it_began),
        SCENE_TEST(a_millisecond_is_not_covered_by_halves),
        SCENE_TEST(without_waiting_no_refresh_is_asked_for),
        SCENE_TEST(after_a_start_it_is_found_anew),
        SCENE_TEST(a_parked_change_is_told_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
