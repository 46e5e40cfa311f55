/* Answers as a client reads them, with protobuf-c as the judge and a real core behind: pages of
 * three lists in one stream, results, server information, users. */
#include "tests/unit/server/engine/scene.h"

static struct scene scene;

static int open_scene(void **state)
{
    (void)state;
    scene_init(&scene);
    scene_run(&scene);
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    scene_deinit(&scene);
    return 0;
}

typedef Activity__V1__FindActivitiesRequest FindRequest;
typedef Activity__V1__FindActivitiesResponse FindResponse;

static FindRequest find_request(void)
{
    FindRequest request = ACTIVITY__V1__FIND_ACTIVITIES_REQUEST__INIT;
    request.observe = 1;
    return request;
}

static FindResponse *find_as(const char *user, const FindRequest *request)
{
    uint64_t token = call(&scene.calls, scene.engine, METHOD_FIND_ACTIVITIES, user, &request->base);
    scene_run(&scene);
    return call_response(&scene.calls, token, &activity__v1__find_activities_response__descriptor);
}

static uint64_t create(const char *user)
{
    uint64_t token = call_create(&scene.calls, scene.engine, user);
    scene_run(&scene);
    return created_id(&scene.calls, token);
}

static uint64_t record_as(const char *user, const char *document_id)
{
    Activity__V1__RecordModelChangesRequest request =
        ACTIVITY__V1__RECORD_MODEL_CHANGES_REQUEST__INIT;
    Activity__V1__DocumentChange change = ACTIVITY__V1__DOCUMENT_CHANGE__INIT;
    Activity__V1__DocumentChange *changes[] = {&change};
    uint64_t id[2] = {++scene.calls.requests, 0x6368};
    change.model = "mediacontainer";
    change.document_id = (char *)document_id;
    change.affected_model = "mediaContainer";
    request.request_id = (ProtobufCBinaryData){sizeof id, (uint8_t *)id};
    request.n_changes = 1;
    request.changes = changes;
    uint64_t token =
        call(&scene.calls, scene.engine, METHOD_RECORD_MODEL_CHANGES, user, &request.base);
    scene_run(&scene);
    Activity__V1__RecordModelChangesResponse *response = call_response(
        &scene.calls, token, &activity__v1__record_model_changes_response__descriptor);
    uint64_t ticket = response->ticket;
    assert_true(ticket != 0);
    assert_true(response->accept_time_ms >= SCENE_START_MS);
    call_free(response);
    return ticket;
}

static void record(const char *document_id)
{
    (void)record_as("alice", document_id);
}

/* ---- Pages ---- */

static void keep_token(uint8_t *to, ProtobufCBinaryData token)
{
    assert_in_range(token.len, 0, LIMIT_PAGE_TOKEN_LENGTH);
    if (token.len > 0) {
        memcpy(to, token.data, token.len);
    }
}

static void pages_join_to_the_whole_list(void **state)
{
    (void)state;
    static uint64_t jobs[95];
    for (size_t i = 0; i < 95; i++) {
        jobs[i] = create("alice");
        (void)create("bob"); /* not hers to see */
    }
    for (uint32_t page_size = 1; page_size <= 96; page_size += page_size < 5 ? 1 : 13) {
        FindRequest request = find_request();
        uint8_t next[LIMIT_PAGE_TOKEN_LENGTH];
        size_t seen = 0;
        size_t pages = 0;
        request.activities = 1;
        request.page_size = page_size;
        do {
            FindResponse *response = find_as("alice", &request);
            assert_true(response->n_activities <= page_size);
            assert_int_equal(response->cursor != NULL, pages == 0);
            for (size_t i = 0; i < response->n_activities; i++) {
                assert_int_equal(response->activities[i]->job_id, jobs[seen++]);
            }
            keep_token(next, response->next_page_token);
            request.page_token = (ProtobufCBinaryData){response->next_page_token.len, next};
            call_free(response);
            pages++;
        } while (request.page_token.len > 0);
        assert_int_equal(seen, 95);
        assert_int_equal(pages, (95 + page_size - 1) / page_size); /* no empty last page */
    }
}

static void first_page_carries_the_head(void **state)
{
    (void)state;
    (void)create("alice");
    FindRequest request = find_request();
    FindResponse *response = find_as("alice", &request);
    struct core_info info = scene_info(&scene);
    assert_int_equal(response->cursor->epoch, 0xe90c);
    assert_int_equal(response->cursor->sequence, info.head_sequence);
    assert_true(info.head_sequence > 0);
    assert_int_equal(response->time_ms, info.wall_ms);
    assert_int_equal(response->next_page_token.len, 0);
    call_free(response);
}

/* Items of all three lists, as text, in the order in which they come. */
static size_t walk_all(uint32_t page_size, char (*items)[64], size_t room)
{
    FindRequest request = find_request();
    uint8_t next[LIMIT_PAGE_TOKEN_LENGTH];
    size_t count = 0;
    request.page_size = page_size;
    do {
        FindResponse *response = find_as("alice", &request);
        size_t on_page =
            response->n_activities + response->n_model_changes + response->n_model_changes_es;
        assert_in_range(on_page, 1, page_size);
        assert_true(count + on_page <= room);
        for (size_t i = 0; i < response->n_activities; i++) {
            (void)snprintf(items[count++], 64, "%llu",
                           (unsigned long long)response->activities[i]->job_id);
        }
        for (size_t i = 0; i < response->n_model_changes; i++) {
            (void)snprintf(items[count++], 64, "%s/%s", response->model_changes[i]->model,
                           response->model_changes[i]->document_id);
        }
        for (size_t i = 0; i < response->n_model_changes_es; i++) {
            (void)snprintf(items[count++], 64, "%s/%s", response->model_changes_es[i]->model,
                           response->model_changes_es[i]->document_id);
        }
        keep_token(next, response->next_page_token);
        request.page_token = (ProtobufCBinaryData){response->next_page_token.len, next};
        call_free(response);
    } while (request.page_token.len > 0);
    return count;
}

static void three_lists_are_one_stream(void **state)
{
    (void)state;
    uint64_t first = create("alice");
    (void)create("alice");
    (void)create("alice");
    for (char id[] = "1"; id[0] <= '5'; id[0]++) {
        record(id);
        scene_pass(&scene, 10);
    }
    scene_pass(&scene, 3000); /* all of them are flushed: SENT and ACKED in one step */
    static char whole[64][64];
    assert_int_equal(walk_all(1000, whole, 64), 3 + 5 + 5);
    char name[64];
    (void)snprintf(name, sizeof name, "%llu", (unsigned long long)first);
    assert_string_equal(whole[0], name);
    assert_string_equal(whole[3], "mediacontainer/1");
    assert_string_equal(whole[7], "mediacontainer/5");
    assert_string_equal(whole[8], "es:mediacontainer/1");
    for (uint32_t page_size = 1; page_size < 14; page_size++) {
        static char paged[64][64];
        assert_int_equal(walk_all(page_size, paged, 64), 13);
        assert_memory_equal(paged, whole, 13 * sizeof whole[0]);
    }
}

/* Payloads at 0, 50 and 100 ms, sent as one batch at 200. */
static void the_example_comes_out(void **state)
{
    (void)state;
    scene_pass(&scene, 1000);
    uint64_t base = 0;
    for (int i = 0; i < 3; i++) {
        record("123");
        base = i == 0 ? scene_info(&scene).wall_ms : base;
        scene.boot_ms += 50;
        scene.wall_ms += 50;
    }
    scene_pass(&scene, 50);
    scene_run(&scene);
    FindRequest request = find_request();
    request.model_changes_es = 1;
    FindResponse *response = find_as("alice", &request);
    assert_int_equal(response->n_model_changes_es, 1);
    const Activity__V1__ModelChange *change = response->model_changes_es[0];
    assert_string_equal(change->model, "es:mediacontainer");
    assert_string_equal(change->document_id, "123");
    assert_int_equal(change->n_affected_models, 1);
    assert_string_equal(change->affected_models[0]->affected_model, "mediaContainer");
    assert_int_equal(change->affected_models[0]->time_range->first_ms - base, 0);
    assert_int_equal(change->affected_models[0]->time_range->last_ms - base, 100);
    assert_int_equal(change->affected_models[0]->updated_ms - base, 200);
    assert_int_equal(change->updated_ms - base, 200);
    call_free(response);
}

static void page_ends_at_its_bytes(void **state)
{
    (void)state;
    static char value[1024];
    memset(value, 'v', sizeof value - 1);
    Activity__V1__Attribute attributes[3] = {ACTIVITY__V1__ATTRIBUTE__INIT,
                                             ACTIVITY__V1__ATTRIBUTE__INIT,
                                             ACTIVITY__V1__ATTRIBUTE__INIT};
    Activity__V1__Attribute *list[3] = {&attributes[0], &attributes[1], &attributes[2]};
    char *names[3] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        attributes[i].name = names[i];
        attributes[i].value = value;
    }
    for (uint64_t i = 0; i < 200; i++) {
        Activity__V1__CreateActivityRequest request = ACTIVITY__V1__CREATE_ACTIVITY_REQUEST__INIT;
        uint64_t id[2] = {i + 1, 7};
        request.request_id = (ProtobufCBinaryData){sizeof id, (uint8_t *)id};
        request.type = "upload";
        request.n_attributes = 3;
        request.attributes = list;
        (void)call(&scene.calls, scene.engine, METHOD_CREATE_ACTIVITY, "alice", &request.base);
        scene_run(&scene);
    }
    FindRequest request = find_request();
    request.activities = 1;
    FindResponse *response = find_as("alice", &request);
    assert_in_range(response->n_activities, 70, 90); /* of about 3.1 KiB each */
    assert_true(response->next_page_token.len > 0);
    assert_in_range(activity__v1__find_activities_response__get_packed_size(response),
                    LIMIT_PAGE_BYTES, LIMIT_PAGE_BYTES + 16 * 1024);
    call_free(response);
}

static void filters_choose(void **state)
{
    (void)state;
    uint64_t running = create("alice");
    uint64_t done = create("alice");
    (void)call_update(&scene.calls, scene.engine, "alice", done, 100);
    scene_run(&scene);
    FindRequest request = find_request();
    Activity__V1__ActivityState completed = ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_COMPLETED;
    request.activities = 1;
    request.n_states = 1;
    request.states = &completed;
    FindResponse *response = find_as("alice", &request);
    assert_int_equal(response->n_activities, 1);
    assert_int_equal(response->activities[0]->job_id, done);
    assert_int_equal(response->activities[0]->percent, 100);
    assert_true(response->activities[0]->end_time_ms > 0);
    call_free(response);

    request = find_request();
    uint64_t ids[2] = {done + 1000000, running};
    request.n_job_ids = 2;
    request.job_ids = ids;
    response = find_as("alice", &request);
    assert_int_equal(response->n_activities, 1);
    assert_int_equal(response->activities[0]->job_id, running);
    call_free(response);
}

/* ---- One activity ---- */

static void activity_says_all_that_was_given(void **state)
{
    (void)state;
    uint64_t parent = create("alice");
    Activity__V1__CreateActivityRequest request = ACTIVITY__V1__CREATE_ACTIVITY_REQUEST__INIT;
    Activity__V1__Attribute attribute = ACTIVITY__V1__ATTRIBUTE__INIT;
    Activity__V1__Attribute *attributes[] = {&attribute};
    char *groups[] = {"editors", "*video"};
    uint64_t id[2] = {1, 99};
    attribute.name = "fileName";
    attribute.value = "clip.mov";
    request.request_id = (ProtobufCBinaryData){sizeof id, (uint8_t *)id};
    request.type = "transcoding";
    request.title = "Ein Film";
    request.n_groups = 2;
    request.groups = groups;
    request.n_attributes = 1;
    request.attributes = attributes;
    request.parent_job_id = parent;
    request.retry_of_job_id = parent;
    uint64_t token =
        call(&scene.calls, scene.engine, METHOD_CREATE_ACTIVITY, "alice", &request.base);
    scene_run(&scene);
    Activity__V1__CreateActivityResponse *created =
        call_response(&scene.calls, token, &activity__v1__create_activity_response__descriptor);
    uint64_t job_id = created->job_id;
    assert_int_equal(created->update_within_ms, 30000);
    assert_int_equal(created->kill_after_ms, 90000);
    call_free(created);

    Activity__V1__UpdateActivityRequest update = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__INIT;
    Activity__V1__Failure failure = ACTIVITY__V1__FAILURE__INIT;
    failure.code = "NO_CODEC";
    failure.message = "what is that";
    update.job_id = job_id;
    update.status_text_change_case =
        ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__STATUS_TEXT_CHANGE_STATUS_TEXT;
    update.status_text = "reading";
    update.failure = &failure;
    (void)call(&scene.calls, scene.engine, METHOD_UPDATE_ACTIVITY, "alice", &update.base);
    token = call_get(&scene.calls, scene.engine, "alice", job_id);
    scene_run(&scene);
    token = call_get(&scene.calls, scene.engine, "alice", job_id);
    scene_run(&scene);
    Activity__V1__GetActivityResponse *response =
        call_response(&scene.calls, token, &activity__v1__get_activity_response__descriptor);
    const Activity__V1__Activity *activity = response->activity;
    assert_int_equal(activity->job_id, job_id);
    assert_string_equal(activity->type, "transcoding");
    assert_string_equal(activity->title, "Ein Film");
    assert_int_equal(activity->state, ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_FAILED);
    assert_string_equal(activity->status_text, "reading");
    assert_string_equal(activity->owner, "alice");
    assert_string_equal(activity->creator, "spiffe://test/gateway");
    assert_int_equal(activity->n_groups, 2);
    assert_string_equal(activity->groups[1], "*video");
    assert_int_equal(activity->n_attributes, 1);
    assert_string_equal(activity->attributes[0]->value, "clip.mov");
    assert_int_equal(activity->parent_job_id, parent);
    assert_int_equal(activity->retry_of_job_id, parent);
    assert_true(activity->create_time_ms >= SCENE_START_MS);
    assert_true(activity->end_time_ms >= activity->create_time_ms);
    assert_string_equal(activity->failure->code, "NO_CODEC");
    assert_string_equal(activity->failure->message, "what is that");
    call_free(response);

    token = call_get(&scene.calls, scene.engine, "mallory", job_id);
    scene_run(&scene);
    assert_refused(&scene.calls, token, "UNKNOWN_JOB");
    assert_int_equal(call_envelope(&scene.calls, token).code, STATUS_NOT_FOUND);
}

/* ---- Results ---- */

static Activity__V1__GetJobResultResponse *result_of(uint64_t job_id)
{
    Activity__V1__GetJobResultRequest request = ACTIVITY__V1__GET_JOB_RESULT_REQUEST__INIT;
    request.job_id = job_id;
    uint64_t token =
        call(&scene.calls, scene.engine, METHOD_GET_JOB_RESULT, "alice", &request.base);
    scene_run(&scene);
    return call_response(&scene.calls, token, &activity__v1__get_job_result_response__descriptor);
}

static void assert_result(uint64_t job_id, Activity__V1__ResultState expected,
                          Activity__V1__ActivityState outcome)
{
    Activity__V1__GetJobResultResponse *response = result_of(job_id);
    assert_int_equal(response->state, expected);
    assert_int_equal(response->outcome, outcome);
    assert_true((response->result != NULL) ==
                (expected == ACTIVITY__V1__RESULT_STATE__RESULT_STATE_READY));
    call_free(response);
}

#define RESULT(name) ACTIVITY__V1__RESULT_STATE__RESULT_STATE_##name
#define STATE(name)  ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_##name

static void result_comes_back_as_it_was_given(void **state)
{
    (void)state;
    static uint8_t content[700 * 1024];
    for (size_t i = 0; i < sizeof content; i++) {
        content[i] = (uint8_t)(i * 7);
    }
    Activity__V1__UpdateActivityRequest update = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__INIT;
    Activity__V1__JobResult result = ACTIVITY__V1__JOB_RESULT__INIT;
    Activity__V1__ResultItem item = ACTIVITY__V1__RESULT_ITEM__INIT;
    Activity__V1__ResultItem *items[] = {&item};
    uint64_t job_id = create("alice");
    assert_result(job_id, RESULT(PENDING), STATE(RUNNING));
    item.id = "4711";
    item.error_code = "LATE";
    result.n_items = 1;
    result.items = items;
    result.content = (ProtobufCBinaryData){sizeof content, content};
    result.content_type = "application/octet-stream";
    update.job_id = job_id;
    update.percent_change_case = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__PERCENT_CHANGE_PERCENT;
    update.percent = 100;
    update.result = &result;
    (void)call(&scene.calls, scene.engine, METHOD_UPDATE_ACTIVITY, "alice", &update.base);
    scene_run(&scene);
    Activity__V1__GetJobResultResponse *response = result_of(job_id);
    assert_int_equal(response->state, RESULT(READY));
    assert_int_equal(response->outcome, STATE(COMPLETED));
    assert_int_equal(response->result->n_items, 1);
    assert_string_equal(response->result->items[0]->error_code, "LATE");
    assert_int_equal(response->result->content.len, sizeof content);
    assert_memory_equal(response->result->content.data, content, sizeof content);
    assert_string_equal(response->result->content_type, "application/octet-stream");
    call_free(response);
}

static void ends_without_a_result_say_how(void **state)
{
    (void)state;
    uint64_t empty = create("alice");
    (void)call_update(&scene.calls, scene.engine, "alice", empty, 100);
    scene_run(&scene);
    assert_result(empty, RESULT(EMPTY), STATE(COMPLETED));
    assert_result(empty + 1, RESULT(UNKNOWN), STATE(UNSPECIFIED));
    uint64_t silent = create("alice");
    scene_pass(&scene, 200000);
    assert_result(silent, RESULT(EMPTY), STATE(KILLED));
}

/* ---- Waiting, without waiting ---- */

struct wait_for {
    uint64_t job_id;
    uint32_t percent;
    bool children;
};
static uint64_t call_wait(const char *user, struct wait_for what)
{
    Activity__V1__WaitActivityRequest request = ACTIVITY__V1__WAIT_ACTIVITY_REQUEST__INIT;
    request.job_id = what.job_id;
    request.percent = what.percent;
    request.children = what.children;
    uint64_t token = call(&scene.calls, scene.engine, METHOD_WAIT_ACTIVITY, user, &request.base);
    scene_run(&scene);
    return token;
}

/* `waiting_for` 0: it is reached. */
static void assert_wait(struct wait_for what, uint64_t waiting_for,
                        Activity__V1__ActivityState state, uint32_t percent)
{
    uint64_t token = call_wait("alice", what);
    Activity__V1__WaitActivityResponse *response =
        call_response(&scene.calls, token, &activity__v1__wait_activity_response__descriptor);
    assert_int_equal(response->reached, waiting_for == 0);
    assert_int_equal(response->waiting_for_job_id, waiting_for);
    assert_int_equal(response->state, state);
    assert_int_equal(response->percent, percent);
    assert_int_equal(call_envelope(&scene.calls, token).retry_after_ms, 0);
    call_free(response);
}

static void update(uint64_t job_id, uint32_t percent)
{
    (void)call_update(&scene.calls, scene.engine, "alice", job_id, percent);
    scene_run(&scene);
}

static void wait_says_how_the_job_stands(void **state)
{
    (void)state;
    uint64_t job = create("alice");
    assert_wait((struct wait_for){job, 0, false}, job, STATE(RUNNING), 0);
    update(job, 50);
    assert_wait((struct wait_for){job, 0, false}, job, STATE(RUNNING), 50);
    assert_wait((struct wait_for){job, 51, false}, job, STATE(RUNNING), 50);
    assert_wait((struct wait_for){job, 50, false}, 0, STATE(RUNNING), 50);
    assert_wait((struct wait_for){job, 50, true}, 0, STATE(RUNNING), 50);
    update(job, 100);
    assert_wait((struct wait_for){job, 0, false}, 0, STATE(COMPLETED), 100);
    uint64_t silent = create("alice");
    update(silent, 7);
    scene_pass(&scene, 200000);
    assert_wait((struct wait_for){silent, 0, false}, 0, STATE(KILLED), 7);
}

static void wait_is_no_oracle(void **state)
{
    (void)state;
    uint64_t job = create("alice");
    uint64_t others = call_wait("mallory", (struct wait_for){job, 0, false});
    uint64_t nobodys = call_wait("alice", (struct wait_for){job + 1, 0, false});
    assert_refused(&scene.calls, others, "UNKNOWN_JOB");
    assert_refused(&scene.calls, nobodys, "UNKNOWN_JOB");
    const struct call_reply *a = &scene.calls.replies[others % CALL_TOKENS];
    const struct call_reply *b = &scene.calls.replies[nobodys % CALL_TOKENS];
    assert_int_equal(a->length, b->length);
    assert_memory_equal(a->bytes, b->bytes, a->length);
}

static void wait_names_a_child_that_is_waited_for(void **state)
{
    (void)state;
    uint64_t parent = create("alice");
    Activity__V1__CreateActivityRequest request = ACTIVITY__V1__CREATE_ACTIVITY_REQUEST__INIT;
    uint64_t id[2] = {1, 77};
    request.request_id = (ProtobufCBinaryData){sizeof id, (uint8_t *)id};
    request.type = "upload";
    request.parent_job_id = parent;
    uint64_t token =
        call(&scene.calls, scene.engine, METHOD_CREATE_ACTIVITY, "alice", &request.base);
    scene_run(&scene);
    uint64_t child = created_id(&scene.calls, token);
    assert_wait((struct wait_for){parent, 0, true}, parent, STATE(RUNNING), 0);
    update(parent, 100);
    assert_wait((struct wait_for){parent, 0, false}, 0, STATE(COMPLETED), 100);
    assert_wait((struct wait_for){parent, 0, true}, child, STATE(COMPLETED), 100);
    update(child, 100);
    assert_wait((struct wait_for){parent, 0, true}, 0, STATE(COMPLETED), 100);
}

static uint64_t call_visible(const char *user, uint64_t ticket, Activity__V1__VisibleStage stage)
{
    Activity__V1__WaitVisibleRequest request = ACTIVITY__V1__WAIT_VISIBLE_REQUEST__INIT;
    request.ticket = ticket;
    request.stage = stage;
    uint64_t token = call(&scene.calls, scene.engine, METHOD_WAIT_VISIBLE, user, &request.base);
    scene_run(&scene);
    return token;
}

#define STAGE(name) ACTIVITY__V1__VISIBLE_STAGE__VISIBLE_STAGE_##name

static void assert_visible(uint64_t ticket, Activity__V1__VisibleStage stage, bool reached)
{
    uint64_t token = call_visible("alice", ticket, stage);
    Activity__V1__WaitVisibleResponse *response =
        call_response(&scene.calls, token, &activity__v1__wait_visible_response__descriptor);
    assert_int_equal(response->reached, reached);
    assert_int_equal(response->open_changes, reached ? 0 : 1);
    call_free(response);
}

static void ticket_says_whether_its_changes_are_visible(void **state)
{
    (void)state;
    uint64_t ticket = record_as("alice", "1");
    assert_visible(ticket, STAGE(UNSPECIFIED), false);
    assert_visible(ticket, STAGE(SENT), false);
    uint64_t token = call_visible("mallory", ticket, STAGE(ACKED));
    assert_refused(&scene.calls, token, "UNKNOWN_TICKET");
    token = call_visible("alice", ticket + 1, STAGE(ACKED));
    assert_refused(&scene.calls, token, "UNKNOWN_TICKET");
    token = call_visible("alice", ticket, STAGE(SEARCHABLE));
    assert_refused(&scene.calls, token, "INDEX_NONE");
    token = call_visible("mallory", ticket, STAGE(SEARCHABLE));
    assert_refused(&scene.calls, token, "INDEX_NONE");
    scene_pass(&scene, 3000);
    assert_visible(ticket, STAGE(SENT), true);
    assert_visible(ticket, STAGE(ACKED), true);
}

/* ---- The server ---- */

static void server_information_is_complete(void **state)
{
    (void)state;
    (void)create("alice");
    Activity__V1__GetServerInfoRequest request = ACTIVITY__V1__GET_SERVER_INFO_REQUEST__INIT;
    uint64_t token =
        call(&scene.calls, scene.engine, METHOD_GET_SERVER_INFO, "alice", &request.base);
    scene_run(&scene);
    Activity__V1__GetServerInfoResponse *response =
        call_response(&scene.calls, token, &activity__v1__get_server_info_response__descriptor);
    struct core_info info = scene_info(&scene);
    assert_string_equal(response->version, "0.0.1");
    assert_int_equal(response->epoch, 0xe90c);
    assert_int_equal(response->time_ms, info.wall_ms);
    assert_int_equal(response->start_time_ms, 5);
    assert_int_equal(response->n_limits, CORE_LIMIT_COUNT);
    assert_string_equal(response->limits[0]->name, "activities_max");
    assert_int_equal(response->limits[0]->value, scene.options.limits.activities_max);
    assert_string_equal(response->feed_url, "");
    assert_false(response->feed_allowed);
    assert_string_equal(response->durability, "in memory");
    assert_int_equal(response->n_certificates, 2);
    assert_string_equal(response->certificates[0]->subject, "CN=test");
    assert_int_equal(response->certificates[0]->not_after_ms, 77);
    assert_int_equal(response->journal_index, info.index);
    assert_int_equal(response->head_sequence, info.head_sequence);
    assert_int_equal(response->oldest_sequence, info.oldest_sequence);
    assert_int_equal(response->request_id_kept_ms, info.request_id_kept_ms);
    assert_int_equal(response->running_activities, 1);
    assert_string_equal(response->index, "none");
    assert_string_equal(response->principal, "spiffe://test/gateway");
    call_free(response);
}

static uint8_t asked_suite; /* of the caller's connection */

/* What a caller with these rights is told by a server with these facts. */
static Activity__V1__GetServerInfoResponse *server_info(uint8_t rights,
                                                        const struct answer_facts *facts)
{
    static uint8_t room[LIMIT_REPLY_BYTES];
    struct query query = {.method = METHOD_GET_SERVER_INFO, .caller = call_caller("", rights)};
    query.suite = asked_suite;
    uint8_t encoded[1024];
    struct writer writer = writer_of(encoded, sizeof encoded);
    struct answer answer;
    query_encode(&query, &writer);
    query_answer(scene.engine->state.core, bytes_of(encoded, (size_t)(writer.at - encoded)), facts,
                 room, &answer);
    struct frame_reply frame;
    struct frame_error error;
    assert_int_equal(
        frame_reply_decode((struct view){answer.frame.at, answer.frame.length}, &frame, &error), 0);
    assert_int_equal(frame.code, STATUS_OK);
    Activity__V1__GetServerInfoResponse *response = activity__v1__get_server_info_response__unpack(
        NULL, frame.payload.length, frame.payload.bytes);
    assert_non_null(response);
    return response;
}

static void fill_feed(void *context, struct answer_feed *feed)
{
    assert_ptr_equal(context, &scene);
    *feed = (struct answer_feed){.head_sequence = 1001,
                                 .oldest_sequence = 901,
                                 .subscribers = 1,
                                 .parked = 2,
                                 .frames = 3,
                                 .bytes = UINT64_MAX,
                                 .events = 5,
                                 .progress_frames = 6,
                                 .reads = 7,
                                 .fills = 8,
                                 .resets = 9};
}

static void server_information_tells_of_the_feed(void **state)
{
    (void)state;
    struct answer_facts facts = {.epoch = 1,
                                 .version = "0.0.1",
                                 .durability = "in memory",
                                 .index = "none",
                                 .feed_url = "tls+tcp://0.0.0.0:7402",
                                 .feed = fill_feed,
                                 .feed_context = &scene};
    Activity__V1__GetServerInfoResponse *response = server_info(RIGHT_FEED | RIGHT_ADMIN, &facts);
    assert_string_equal(response->feed_url, facts.feed_url);
    assert_true(response->feed_allowed);
    assert_int_equal(response->head_sequence, 1001); /* the ring's, not the core's */
    assert_int_equal(response->oldest_sequence, 901);
    assert_non_null(response->feed);
    assert_int_equal(response->feed->subscribers, 1);
    assert_int_equal(response->feed->parked, 2);
    assert_int_equal(response->feed->frames, 3);
    assert_true(response->feed->bytes == UINT64_MAX);
    assert_int_equal(response->feed->events, 5);
    assert_int_equal(response->feed->progress_frames, 6);
    assert_int_equal(response->feed->reads, 7);
    assert_int_equal(response->feed->fills, 8);
    assert_int_equal(response->feed->resets, 9);
    call_free(response);

    response = server_info(RIGHT_ADMIN, &facts);
    assert_string_equal(response->feed_url, facts.feed_url);
    assert_false(response->feed_allowed);
    call_free(response);

    facts.feed_url = ""; /* reads only */
    response = server_info(RIGHT_FEED, &facts);
    assert_string_equal(response->feed_url, "");
    assert_false(response->feed_allowed);
    assert_non_null(response->feed);
    call_free(response);

    facts.feed_url = NULL;
    facts.feed = NULL;
    response = server_info(RIGHT_FEED, &facts);
    struct core_info info = scene_info(&scene);
    assert_null(response->feed);
    assert_int_equal(response->head_sequence, info.head_sequence);
    assert_int_equal(response->oldest_sequence, info.oldest_sequence);
    call_free(response);
}

/* ---- TLS and files ---- */

static void fill_tls(void *context, struct answer_tls *tls, struct answer_files *files)
{
    const struct answer_files *in_force = context;
    *tls = (struct answer_tls){
        .engine = "activity",
        .connections = 7,
        .unfinished = 2,
        .suites = {{"1.3", "TLS_A", 5}, {"1.2", "TLS_B", 0}, {"1.2", "TLS_C", UINT64_MAX}},
        .suite_count = 3,
        .refused = {{"no rule", 0}, {"a certificate is revoked", 4}},
        .refused_count = 2,
    };
    *files = *in_force;
}

static struct answer_files files_in_force(void)
{
    return (struct answer_files){
        .server = {.subject = "CN=server", .not_after_ms = 1000},
        .ca = {.subject = "CN=ca", .not_after_ms = 2000},
        .revocations = {.lists = 2,
                        .entries = 30,
                        .issuer = "CN=issuer",
                        .next_update_ms = 1500,
                        .expired = true},
        .rules = 12,
        .loaded_ms = 900,
    };
}

static void server_information_tells_of_tls(void **state)
{
    (void)state;
    static const struct {
        unsigned suite;
        const char *version;
        const char *name;
    } rows[] = {{0, "1.3", "TLS_A"}, {2, "1.2", "TLS_C"}, {3, "", ""}, {UINT8_MAX, "", ""}};
    struct answer_files files = files_in_force();
    const struct answer_facts facts = {.epoch = 1,
                                       .version = "0.0.1",
                                       .durability = "in memory",
                                       .index = "none",
                                       .tls = fill_tls,
                                       .tls_context = &files};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        asked_suite = (uint8_t)rows[i].suite;
        Activity__V1__GetServerInfoResponse *response = server_info(0, &facts);
        const Activity__V1__TlsInfo *tls = response->tls;
        assert_non_null(tls);
        assert_string_equal(tls->engine, "activity");
        assert_string_equal(tls->version, rows[i].version);
        assert_string_equal(tls->cipher_suite, rows[i].name);
        assert_int_equal(tls->connections, 7);
        assert_int_equal(tls->unfinished, 2);
        assert_int_equal(tls->n_suites, 2); /* what never happened is not told */
        assert_string_equal(tls->suites[0]->cipher_suite, "TLS_A");
        assert_string_equal(tls->suites[1]->version, "1.2");
        assert_string_equal(tls->suites[1]->cipher_suite, "TLS_C");
        assert_true(tls->suites[1]->handshakes == UINT64_MAX);
        assert_int_equal(tls->n_refusals, 1);
        assert_string_equal(tls->refusals[0]->reason, "a certificate is revoked");
        assert_int_equal(tls->refusals[0]->count, 4);
        assert_int_equal(response->n_certificates, 2);
        assert_string_equal(response->certificates[0]->name, "server");
        assert_string_equal(response->certificates[1]->name, "ca");
        assert_string_equal(response->certificates[1]->subject, "CN=ca");
        assert_int_equal(response->certificates[1]->not_after_ms, 2000);
        assert_int_equal(response->revocations->lists, 2);
        assert_int_equal(response->revocations->entries, 30);
        assert_string_equal(response->revocations->issuer, "CN=issuer");
        assert_int_equal(response->revocations->next_update_ms, 1500);
        assert_true(response->revocations->expired);
        assert_int_equal(response->rules, 12);
        assert_int_equal(response->loaded_time_ms, 900);
        call_free(response);
    }
    files.revocations.lists = 0;
    Activity__V1__GetServerInfoResponse *response = server_info(0, &facts);
    assert_null(response->revocations);
    call_free(response);
    asked_suite = 0;
}

static void reload_tells_what_is_in_force(void **state)
{
    (void)state;
    uint8_t room[ANSWER_RELOAD_MAX];
    struct answer_reload reload = {
        .files = files_in_force(), .closed_revoked = 3, .closed_by_policy = UINT32_MAX};
    /* The longest names, and one that is cut within a character. */
    memset(reload.files.server.subject, 'x', sizeof reload.files.server.subject - 1);
    memset(reload.files.ca.subject, '\xc3', 255);
    memset(reload.files.revocations.issuer, 'y', sizeof reload.files.revocations.issuer - 1);
    size_t length = answer_reload(UINT64_C(0xe90c), &reload, room);
    struct frame_reply frame;
    struct frame_error error;
    assert_int_equal(frame_reply_decode((struct view){room, length}, &frame, &error), 0);
    assert_int_equal(frame.code, STATUS_OK);
    assert_true(frame.epoch == UINT64_C(0xe90c));
    Activity__V1__ReloadResponse *response =
        activity__v1__reload_response__unpack(NULL, frame.payload.length, frame.payload.bytes);
    assert_non_null(response);
    assert_int_equal(response->n_certificates, 2);
    assert_int_equal(strlen(response->certificates[0]->subject), 255);
    assert_string_equal(response->certificates[1]->subject, ""); /* no text */
    assert_int_equal(strlen(response->revocations->issuer), 255);
    assert_true(response->revocations->expired);
    assert_int_equal(response->rules, 12);
    assert_int_equal(response->closed_revoked, 3);
    assert_true(response->closed_by_policy == UINT32_MAX);
    activity__v1__reload_response__free_unpacked(response, NULL);
}

static void users_come_in_pages(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++) {
        FindRequest request = ACTIVITY__V1__FIND_ACTIVITIES_REQUEST__INIT;
        char user[16];
        (void)snprintf(user, sizeof user, "user%d", i);
        call_free(find_as(user, &request));
    }
    scene_pass(&scene, 300);
    Activity__V1__ListPresentUsersRequest request = ACTIVITY__V1__LIST_PRESENT_USERS_REQUEST__INIT;
    uint8_t next[LIMIT_PAGE_TOKEN_LENGTH];
    uint32_t seen = 0;
    size_t count = 0;
    size_t pages = 0;
    request.page_size = 3;
    do {
        uint64_t token =
            call(&scene.calls, scene.engine, METHOD_LIST_PRESENT_USERS, "alice", &request.base);
        scene_run(&scene);
        Activity__V1__ListPresentUsersResponse *response = call_response(
            &scene.calls, token, &activity__v1__list_present_users_response__descriptor);
        for (size_t i = 0; i < response->n_users; i++) {
            seen |= 1u << (response->users[i]->user[4] - '0');
            assert_true(response->users[i]->last_seen_ms >= SCENE_START_MS);
            count++;
        }
        keep_token(next, response->next_page_token);
        request.page_token = (ProtobufCBinaryData){response->next_page_token.len, next};
        call_free(response);
        pages++;
    } while (request.page_token.len > 0);
    assert_int_equal(count, 7);
    assert_int_equal(seen, 0x7f);
    assert_int_equal(pages, 3);
}

/* ---- References ---- */

static void refusal_of_a_reference_names_its_field(void **state)
{
    (void)state;
    Activity__V1__CreateActivityRequest request = ACTIVITY__V1__CREATE_ACTIVITY_REQUEST__INIT;
    uint64_t id[2] = {3, 3};
    request.request_id = (ProtobufCBinaryData){sizeof id, (uint8_t *)id};
    request.type = "upload";
    request.parent_job_id = 12345;
    uint64_t token =
        call(&scene.calls, scene.engine, METHOD_CREATE_ACTIVITY, "alice", &request.base);
    scene_run(&scene);
    assert_refused(&scene.calls, token, "UNKNOWN_JOB");
    struct frame_reply frame = call_envelope(&scene.calls, token);
    assert_int_equal(frame.code, STATUS_INVALID_ARGUMENT);
    assert_int_equal(frame.metadata_count, 1);
    assert_true(view_equal(frame.metadata[0].name, view_of("field")));
    assert_true(view_equal(frame.metadata[0].value, view_of("parent_job_id")));
}

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(pages_join_to_the_whole_list),
        SCENE_TEST(first_page_carries_the_head),
        SCENE_TEST(three_lists_are_one_stream),
        SCENE_TEST(the_example_comes_out),
        SCENE_TEST(page_ends_at_its_bytes),
        SCENE_TEST(filters_choose),
        SCENE_TEST(activity_says_all_that_was_given),
        SCENE_TEST(result_comes_back_as_it_was_given),
        SCENE_TEST(ends_without_a_result_say_how),
        SCENE_TEST(wait_says_how_the_job_stands),
        SCENE_TEST(wait_is_no_oracle),
        SCENE_TEST(wait_names_a_child_that_is_waited_for),
        SCENE_TEST(ticket_says_whether_its_changes_are_visible),
        SCENE_TEST(server_information_is_complete),
        SCENE_TEST(server_information_tells_of_the_feed),
        SCENE_TEST(server_information_tells_of_tls),
        SCENE_TEST(reload_tells_what_is_in_force),
        SCENE_TEST(users_come_in_pages),
        SCENE_TEST(refusal_of_a_reference_names_its_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
