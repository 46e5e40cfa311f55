/* One call of every method as PROTOCOL.md shows it: a small story with one cast, told in the
 * structures of protobuf-c. */
#ifndef ACTIVITYD_TESTS_UNIT_PROTO_PROTOCOL_EXAMPLES_H
#define ACTIVITYD_TESTS_UNIT_PROTO_PROTOCOL_EXAMPLES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "activity/v1/activity_service.pb-c.h"
#include "activity/v1/admin_service.pb-c.h"
#include "activity/v1/change_service.pb-c.h"
#include "activity/v1/feed.pb-c.h"
#include "activity/v1/health_service.pb-c.h"
#include "proto/limits.h"

#define EXAMPLE_EPOCH UINT64_C(0x5bd1e995c2b2ae35)
#define EXAMPLE_NOW   UINT64_C(1767225600000) /* 2026-01-01T00:00:00Z */
/* Generation 61,145,538, slots 17, 18 and 25. */
#define EXAMPLE_JOB       ((UINT64_C(61145538) << 24) + 17)
#define EXAMPLE_CHILD_JOB (EXAMPLE_JOB + 1)
#define EXAMPLE_OTHER_JOB (EXAMPLE_JOB + 8)
#define EXAMPLE_PRINCIPAL "spiffe://studio.example/service/upload"
#define EXAMPLE_TICKET    UINT64_C(0x9c1f03a7d5e84b62)
#define EXAMPLE_HEAD      48 /* what FindActivities' cursor says; the events of the feed follow */

struct example {
    const ProtobufCServiceDescriptor *service;
    const char *method;
    bool as_user; /* in the name of a user, else as the principal itself */
    const ProtobufCMessage *request;
    const ProtobufCMessage *response;
};

typedef void (*example_taker)(const struct example *example);

static inline ProtobufCBinaryData example_bytes(const char *bytes, size_t length)
{
    return (ProtobufCBinaryData){length, (uint8_t *)(uintptr_t)bytes};
}

static char *const example_groups[] = {(char *)"editors"};

/* protobuf-c's structures have no const; nothing writes to what these return. */
static inline char *example_text(const char *text)
{
    return (char *)(uintptr_t)text;
}

static inline void example_create(example_taker take)
{
    Activity__V1__Attribute file = ACTIVITY__V1__ATTRIBUTE__INIT;
    file.name = example_text("file");
    file.value = example_text("rushes/day-12.mxf");
    Activity__V1__Attribute *attributes[] = {&file};
    Activity__V1__CreateActivityRequest request = ACTIVITY__V1__CREATE_ACTIVITY_REQUEST__INIT;
    request.request_id =
        example_bytes("\x7d\x0f\x3c\x91\xa4\x5e\x42\x18\xb6\x2a\x90\xd3\x1c\x77\xe8\x05", 16);
    request.type = example_text("upload");
    request.title = example_text("Rushes of day 12");
    request.n_groups = 1;
    request.groups = (char **)example_groups;
    request.n_attributes = 1;
    request.attributes = attributes;
    Activity__V1__CreateActivityResponse response = ACTIVITY__V1__CREATE_ACTIVITY_RESPONSE__INIT;
    response.job_id = EXAMPLE_JOB;
    response.update_within_ms = LIMIT_UPDATE_WITHIN_MS;
    response.kill_after_ms = LIMIT_KILL_AFTER_MS;
    take(&(struct example){&activity__v1__activity_service__descriptor, "CreateActivity", true,
                           &request.base, &response.base});
}

static inline void example_update(example_taker take)
{
    Activity__V1__UpdateActivityRequest request = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__INIT;
    request.job_id = EXAMPLE_JOB;
    request.percent_change_case = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__PERCENT_CHANGE_PERCENT;
    request.percent = 40;
    request.status_text_change_case =
        ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__STATUS_TEXT_CHANGE_STATUS_TEXT;
    request.status_text = example_text("copying");
    Activity__V1__UpdateActivityResponse response = ACTIVITY__V1__UPDATE_ACTIVITY_RESPONSE__INIT;
    response.job_id = EXAMPLE_JOB;
    response.percent = 40;
    response.disposition = ACTIVITY__V1__DISPOSITION__DISPOSITION_APPLIED;
    take(&(struct example){&activity__v1__activity_service__descriptor, "UpdateActivity", true,
                           &request.base, &response.base});
}

static inline void example_batch(example_taker take)
{
    int64_t deltas[] = {EXAMPLE_JOB, 1, 7, -8};
    Activity__V1__BatchUpdateActivitiesRequest request =
        ACTIVITY__V1__BATCH_UPDATE_ACTIVITIES_REQUEST__INIT;
    request.n_job_id_deltas = 4;
    request.job_id_deltas = deltas;
    request.percents = example_bytes("\x29\x64\x0a\x2a", 4);
    Activity__V1__BatchUpdateActivitiesResponse response =
        ACTIVITY__V1__BATCH_UPDATE_ACTIVITIES_RESPONSE__INIT;
    response.percents = example_bytes("\x29\x64\x00\x2a", 4);
    response.ignored_count = 1;
    response.dispositions = example_bytes("\x01\x01\x03\x01", 4);
    take(&(struct example){&activity__v1__activity_service__descriptor, "BatchUpdateActivities",
                           false, &request.base, &response.base});
}

static inline void example_activity(Activity__V1__Activity *activity)
{
    activity__v1__activity__init(activity);
    activity->job_id = EXAMPLE_JOB;
    activity->type = example_text("upload");
    activity->title = example_text("Rushes of day 12");
    activity->state = ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_RUNNING;
    activity->percent = 42;
    activity->status_text = example_text("copying");
    activity->owner = example_text("anna");
    activity->creator = example_text(EXAMPLE_PRINCIPAL);
    activity->n_groups = 1;
    activity->groups = (char **)example_groups;
    activity->create_time_ms = EXAMPLE_NOW;
    activity->update_time_ms = EXAMPLE_NOW + 21000;
}

static inline void example_find(example_taker take)
{
    char *types[] = {example_text("upload")};
    Activity__V1__FindActivitiesRequest request = ACTIVITY__V1__FIND_ACTIVITIES_REQUEST__INIT;
    request.activities = 1;
    request.model_changes_es = 1;
    request.n_types = 1;
    request.types = types;
    request.page_size = 100;

    Activity__V1__Activity activity;
    example_activity(&activity);
    Activity__V1__Activity *activities[] = {&activity};
    Activity__V1__TimeRange range = ACTIVITY__V1__TIME_RANGE__INIT;
    range.first_ms = EXAMPLE_NOW + 30000;
    range.last_ms = EXAMPLE_NOW + 30100;
    Activity__V1__AffectedModel affected = ACTIVITY__V1__AFFECTED_MODEL__INIT;
    affected.affected_model = example_text("mediaContainer");
    affected.time_range = &range;
    affected.updated_ms = EXAMPLE_NOW + 30200;
    Activity__V1__AffectedModel *affected_models[] = {&affected};
    Activity__V1__ModelChange change = ACTIVITY__V1__MODEL_CHANGE__INIT;
    change.model = example_text("es:mediacontainer");
    change.document_id = example_text("123");
    change.n_affected_models = 1;
    change.affected_models = affected_models;
    change.updated_ms = affected.updated_ms;
    Activity__V1__ModelChange *changes[] = {&change};
    Activity__V1__Cursor cursor = ACTIVITY__V1__CURSOR__INIT;
    cursor.epoch = EXAMPLE_EPOCH;
    cursor.sequence = EXAMPLE_HEAD;
    Activity__V1__FindActivitiesResponse response = ACTIVITY__V1__FIND_ACTIVITIES_RESPONSE__INIT;
    response.n_activities = 1;
    response.activities = activities;
    response.n_model_changes_es = 1;
    response.model_changes_es = changes;
    response.cursor = &cursor;
    response.time_ms = EXAMPLE_NOW + 31000;
    response.model_changes_complete_since_ms = EXAMPLE_NOW - 29000;
    response.model_changes_es_complete_since_ms = EXAMPLE_NOW - 29000;
    take(&(struct example){&activity__v1__activity_service__descriptor, "FindActivities", true,
                           &request.base, &response.base});
}

static inline void example_get(example_taker take)
{
    Activity__V1__GetActivityRequest request = ACTIVITY__V1__GET_ACTIVITY_REQUEST__INIT;
    request.job_id = EXAMPLE_JOB;
    Activity__V1__Activity activity;
    example_activity(&activity);
    Activity__V1__GetActivityResponse response = ACTIVITY__V1__GET_ACTIVITY_RESPONSE__INIT;
    response.activity = &activity;
    take(&(struct example){&activity__v1__activity_service__descriptor, "GetActivity", true,
                           &request.base, &response.base});
}

static inline void example_result(example_taker take)
{
    Activity__V1__GetJobResultRequest request = ACTIVITY__V1__GET_JOB_RESULT_REQUEST__INIT;
    request.job_id = EXAMPLE_JOB;
    Activity__V1__ResultItem good = ACTIVITY__V1__RESULT_ITEM__INIT;
    good.id = example_text("clip-0001");
    Activity__V1__ResultItem bad = ACTIVITY__V1__RESULT_ITEM__INIT;
    bad.id = example_text("clip-0002");
    bad.error_code = example_text("CHECKSUM");
    bad.error_message = example_text("MD5 differs");
    Activity__V1__ResultItem *items[] = {&good, &bad};
    Activity__V1__JobResult result = ACTIVITY__V1__JOB_RESULT__INIT;
    result.n_items = 2;
    result.items = items;
    result.content = example_bytes("{\"bytes\":7340032}", 17);
    result.content_type = example_text("application/json");
    Activity__V1__GetJobResultResponse response = ACTIVITY__V1__GET_JOB_RESULT_RESPONSE__INIT;
    response.state = ACTIVITY__V1__RESULT_STATE__RESULT_STATE_READY;
    response.result = &result;
    response.outcome = ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_COMPLETED;
    take(&(struct example){&activity__v1__activity_service__descriptor, "GetJobResult", true,
                           &request.base, &response.base});
}

static inline void example_destroy(example_taker take)
{
    Activity__V1__DestroyActivityRequest request = ACTIVITY__V1__DESTROY_ACTIVITY_REQUEST__INIT;
    request.job_id = EXAMPLE_CHILD_JOB;
    Activity__V1__DestroyActivityResponse response = ACTIVITY__V1__DESTROY_ACTIVITY_RESPONSE__INIT;
    response.disposition = ACTIVITY__V1__DISPOSITION__DISPOSITION_APPLIED;
    take(&(struct example){&activity__v1__activity_service__descriptor, "DestroyActivity", true,
                           &request.base, &response.base});
}

static inline void example_record(example_taker take)
{
    Activity__V1__DocumentChange change = ACTIVITY__V1__DOCUMENT_CHANGE__INIT;
    change.model = example_text("mediacontainer");
    change.document_id = example_text("123");
    change.affected_model = example_text("mediaContainer");
    change.json = example_bytes("{\"title\":\"Day 12\"}", 18);
    change.n_groups = 1;
    change.groups = (char **)example_groups;
    Activity__V1__DocumentChange patch = ACTIVITY__V1__DOCUMENT_CHANGE__INIT;
    patch.model = example_text("orders");
    patch.document_id = example_text("A-7");
    patch.affected_model = example_text("order");
    patch.merge_patch = example_bytes("{\"state\":\"paid\"}", 16);
    Activity__V1__DocumentChange *changes[] = {&change, &patch};
    Activity__V1__RecordModelChangesRequest request =
        ACTIVITY__V1__RECORD_MODEL_CHANGES_REQUEST__INIT;
    request.request_id =
        example_bytes("\x01\x93\xb2\x6e\x58\xf4\x7c\x0a\x8f\x11\x4d\xe2\x6a\x9b\xc3\x50", 16);
    request.n_changes = 2;
    request.changes = changes;
    request.job_id = EXAMPLE_JOB;
    request.urgent = true;
    Activity__V1__RecordModelChangesResponse response =
        ACTIVITY__V1__RECORD_MODEL_CHANGES_RESPONSE__INIT;
    response.ticket = EXAMPLE_TICKET;
    response.accept_time_ms = EXAMPLE_NOW + 30000;
    take(&(struct example){&activity__v1__change_service__descriptor, "RecordModelChanges", false,
                           &request.base, &response.base});
}

static inline void example_wait_activity(example_taker take)
{
    Activity__V1__WaitActivityRequest request = ACTIVITY__V1__WAIT_ACTIVITY_REQUEST__INIT;
    request.job_id = EXAMPLE_JOB;
    request.children = 1;
    request.wait_ms = 25000;
    Activity__V1__WaitActivityResponse response = ACTIVITY__V1__WAIT_ACTIVITY_RESPONSE__INIT;
    response.state = ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_COMPLETED;
    response.percent = 100;
    response.waiting_for_job_id = EXAMPLE_CHILD_JOB;
    take(&(struct example){&activity__v1__activity_service__descriptor, "WaitActivity", true,
                           &request.base, &response.base});
}

static inline void example_wait_visible(example_taker take)
{
    Activity__V1__WaitVisibleRequest request = ACTIVITY__V1__WAIT_VISIBLE_REQUEST__INIT;
    request.ticket = EXAMPLE_TICKET;
    request.stage = ACTIVITY__V1__VISIBLE_STAGE__VISIBLE_STAGE_ACKED;
    request.wait_ms = 25000;
    Activity__V1__WaitVisibleResponse response = ACTIVITY__V1__WAIT_VISIBLE_RESPONSE__INIT;
    response.reached = 1;
    take(&(struct example){&activity__v1__change_service__descriptor, "WaitVisible", false,
                           &request.base, &response.base});
}

/* Four events, one of each kind, which follow on EXAMPLE_HEAD. */
enum { EXAMPLE_EVENTS = 4 };

struct example_history {
    Activity__V1__ChangeEvent event[EXAMPLE_EVENTS];
    Activity__V1__ChangeEvent *list[EXAMPLE_EVENTS];
    Activity__V1__ActivityCreated created;
    Activity__V1__ActivityEnded ended;
    Activity__V1__TimeRange range;
    Activity__V1__DocumentChanged changed;
    Activity__V1__DocumentChanged indexed;
};

static inline void example_changed(struct example_history *history,
                                   Activity__V1__DocumentChanged *changed)
{
    activity__v1__document_changed__init(changed);
    changed->document_id = example_text("123");
    changed->affected_model = example_text("mediaContainer");
    changed->time_range = &history->range;
}

static inline void example_history(struct example_history *history)
{
    static const uint64_t times[EXAMPLE_EVENTS] = {EXAMPLE_NOW + 35000, EXAMPLE_NOW + 40000,
                                                   EXAMPLE_NOW + 40260, EXAMPLE_NOW + 41000};
    for (size_t i = 0; i < EXAMPLE_EVENTS; i++) {
        Activity__V1__ChangeEvent *event = &history->event[i];
        activity__v1__change_event__init(event);
        event->sequence = EXAMPLE_HEAD + 1 + i;
        event->time_ms = times[i];
        event->tenant = example_text("studio");
        event->principal = example_text(EXAMPLE_PRINCIPAL);
        event->n_groups = 1;
        event->groups = (char **)example_groups;
        history->list[i] = event;
    }
    activity__v1__time_range__init(&history->range);
    history->range.first_ms = history->range.last_ms = times[1];

    activity__v1__activity_created__init(&history->created);
    history->created.job_id = EXAMPLE_CHILD_JOB;
    history->created.type = example_text("transcoding");
    history->created.parent_job_id = EXAMPLE_JOB;
    history->event[0].user = example_text("anna");
    history->event[0].event_case = ACTIVITY__V1__CHANGE_EVENT__EVENT_ACTIVITY_CREATED;
    history->event[0].activity_created = &history->created;

    example_changed(history, &history->changed);
    history->changed.model = example_text("mediacontainer");
    history->changed.updated_ms = times[1];
    history->event[1].event_case = ACTIVITY__V1__CHANGE_EVENT__EVENT_MODEL_CHANGED;
    history->event[1].model_changed = &history->changed;

    example_changed(history, &history->indexed);
    history->indexed.model = example_text("es:mediacontainer");
    history->indexed.updated_ms = EXAMPLE_NOW + 40200;
    history->event[2].event_case = ACTIVITY__V1__CHANGE_EVENT__EVENT_INDEX_CHANGED;
    history->event[2].index_changed = &history->indexed;

    activity__v1__activity_ended__init(&history->ended);
    history->ended.job_id = EXAMPLE_JOB;
    history->ended.type = example_text("upload");
    history->ended.state = ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_COMPLETED;
    history->ended.percent = 100;
    history->ended.status_text = example_text("copied");
    history->event[3].user = example_text("anna");
    history->event[3].event_case = ACTIVITY__V1__CHANGE_EVENT__EVENT_ACTIVITY_ENDED;
    history->event[3].activity_ended = &history->ended;
}

/* What was found with EXAMPLE_HEAD continues here, for a reader of two of the four kinds. */
static inline void example_read(example_taker take)
{
    Activity__V1__Cursor after = ACTIVITY__V1__CURSOR__INIT;
    after.epoch = EXAMPLE_EPOCH;
    after.sequence = EXAMPLE_HEAD;
    Activity__V1__EventKind kinds[] = {ACTIVITY__V1__EVENT_KIND__EVENT_KIND_ACTIVITY_ENDED,
                                       ACTIVITY__V1__EVENT_KIND__EVENT_KIND_INDEX_CHANGED};
    Activity__V1__ReadChangesRequest request = ACTIVITY__V1__READ_CHANGES_REQUEST__INIT;
    request.after = &after;
    request.n_kinds = 2;
    request.kinds = kinds;
    request.wait_ms = 25000;
    request.subscription = UINT64_C(0x41d7a60be92c385f);

    struct example_history history;
    example_history(&history);
    Activity__V1__Cursor cursor = ACTIVITY__V1__CURSOR__INIT;
    cursor.epoch = EXAMPLE_EPOCH;
    cursor.sequence = EXAMPLE_HEAD + EXAMPLE_EVENTS;
    Activity__V1__ReadChangesResponse response = ACTIVITY__V1__READ_CHANGES_RESPONSE__INIT;
    response.n_events = 2;
    response.events = &history.list[2];
    response.cursor = &cursor;
    response.oldest_sequence = 12;
    response.head_sequence = cursor.sequence;
    take(&(struct example){&activity__v1__change_service__descriptor, "ReadChanges", true,
                           &request.base, &response.base});
}

static inline void example_check(example_taker take)
{
    Activity__V1__CheckRequest request = ACTIVITY__V1__CHECK_REQUEST__INIT;
    Activity__V1__CheckResponse response = ACTIVITY__V1__CHECK_RESPONSE__INIT;
    response.status = ACTIVITY__V1__SERVING_STATUS__SERVING_STATUS_SERVING;
    take(&(struct example){&activity__v1__health_service__descriptor, "Check", false, &request.base,
                           &response.base});
}

static inline Activity__V1__RevocationInfo example_revocations(void)
{
    Activity__V1__RevocationInfo revocations = ACTIVITY__V1__REVOCATION_INFO__INIT;
    revocations.lists = 1;
    revocations.entries = 2;
    revocations.issuer = example_text("CN=studio.example");
    revocations.next_update_ms = EXAMPLE_NOW + UINT64_C(604800000);
    return revocations;
}

static inline void example_info(example_taker take)
{
    Activity__V1__GetServerInfoRequest request = ACTIVITY__V1__GET_SERVER_INFO_REQUEST__INIT;
    Activity__V1__Limit limit = ACTIVITY__V1__LIMIT__INIT;
    limit.name = example_text("activities_max");
    limit.value = 1048576;
    Activity__V1__Limit *limits[] = {&limit};
    Activity__V1__CertificateInfo certificate = ACTIVITY__V1__CERTIFICATE_INFO__INIT;
    certificate.name = example_text("server");
    certificate.subject = example_text("CN=activity.studio.example");
    certificate.not_after_ms = EXAMPLE_NOW + UINT64_C(31536000000);
    Activity__V1__CertificateInfo *certificates[] = {&certificate};
    Activity__V1__GetServerInfoResponse response = ACTIVITY__V1__GET_SERVER_INFO_RESPONSE__INIT;
    response.version = example_text("0.1.0");
    response.epoch = EXAMPLE_EPOCH;
    response.time_ms = EXAMPLE_NOW + 31000;
    response.start_time_ms = EXAMPLE_NOW - 86400000;
    response.n_limits = 1;
    response.limits = limits;
    response.durability = example_text("synced to disk before it is answered");
    response.n_certificates = 1;
    response.certificates = certificates;
    response.journal_index = 90125;
    response.head_sequence = EXAMPLE_HEAD;
    response.oldest_sequence = 12;
    response.request_id_kept_ms = 600000;
    response.running_activities = 1;
    response.index = example_text("none");
    response.principal = example_text(EXAMPLE_PRINCIPAL);
    response.feed_url = example_text("tls+tcp://0.0.0.0:7402");
    response.feed_allowed = 1;
    Activity__V1__FeedInfo feed = ACTIVITY__V1__FEED_INFO__INIT;
    feed.subscribers = 2;
    feed.frames = 86440;
    feed.bytes = 1903480;
    feed.events = 31;
    response.feed = &feed;
    Activity__V1__TlsSuiteInfo suite = ACTIVITY__V1__TLS_SUITE_INFO__INIT;
    suite.version = example_text("1.3");
    suite.cipher_suite = example_text("TLS_CHACHA20_POLY1305_SHA256");
    suite.handshakes = 8128;
    Activity__V1__TlsSuiteInfo *suites[] = {&suite};
    Activity__V1__TlsRefusalInfo refusal = ACTIVITY__V1__TLS_REFUSAL_INFO__INIT;
    refusal.reason = example_text("a certificate has expired");
    refusal.count = 3;
    Activity__V1__TlsRefusalInfo *refusals[] = {&refusal};
    Activity__V1__TlsInfo tls = ACTIVITY__V1__TLS_INFO__INIT;
    tls.engine = example_text("activity");
    tls.version = suite.version;
    tls.cipher_suite = suite.cipher_suite;
    tls.connections = 40;
    tls.n_suites = 1;
    tls.suites = suites;
    tls.n_refusals = 1;
    tls.refusals = refusals;
    response.tls = &tls;
    Activity__V1__RevocationInfo revocations = example_revocations();
    response.revocations = &revocations;
    response.rules = 12;
    response.loaded_time_ms = EXAMPLE_NOW - 3600000;
    take(&(struct example){&activity__v1__admin_service__descriptor, "GetServerInfo", false,
                           &request.base, &response.base});
}

static inline void example_users(example_taker take)
{
    Activity__V1__ListPresentUsersRequest request = ACTIVITY__V1__LIST_PRESENT_USERS_REQUEST__INIT;
    Activity__V1__PresentUser user = ACTIVITY__V1__PRESENT_USER__INIT;
    user.user = example_text("anna");
    user.last_seen_ms = EXAMPLE_NOW + 30000;
    Activity__V1__PresentUser *users[] = {&user};
    Activity__V1__ListPresentUsersResponse response =
        ACTIVITY__V1__LIST_PRESENT_USERS_RESPONSE__INIT;
    response.n_users = 1;
    response.users = users;
    take(&(struct example){&activity__v1__admin_service__descriptor, "ListPresentUsers", false,
                           &request.base, &response.base});
}

static inline void example_drain(example_taker take)
{
    Activity__V1__DrainRequest request = ACTIVITY__V1__DRAIN_REQUEST__INIT;
    Activity__V1__DrainResponse response = ACTIVITY__V1__DRAIN_RESPONSE__INIT;
    take(&(struct example){&activity__v1__admin_service__descriptor, "Drain", false, &request.base,
                           &response.base});
}

static inline void example_hash(example_taker take)
{
    Activity__V1__GetStateHashRequest request = ACTIVITY__V1__GET_STATE_HASH_REQUEST__INIT;
    Activity__V1__GetStateHashResponse response = ACTIVITY__V1__GET_STATE_HASH_RESPONSE__INIT;
    response.journal_index = 90125;
    response.state_hash = UINT64_C(0x8a36f0d1b74c2e95);
    response.digest = UINT64_C(0x27d4eb2f165667c5);
    take(&(struct example){&activity__v1__admin_service__descriptor, "GetStateHash", false,
                           &request.base, &response.base});
}

/* ---- The way into the index. One document was refused: its date does not read as one. ---- */

#define EXAMPLE_PARKED 7

static inline void example_refusal(Activity__V1__IndexReason *reason)
{
    activity__v1__index_reason__init(reason);
    reason->code = example_text("mapper_parsing_exception");
    reason->message = example_text("failed to parse field [shot] of type [date]");
}

static inline void example_index_status(example_taker take)
{
    Activity__V1__GetIndexStatusRequest request = ACTIVITY__V1__GET_INDEX_STATUS_REQUEST__INIT;
    Activity__V1__IndexReason why = ACTIVITY__V1__INDEX_REASON__INIT;
    why.code = example_text("no_answer");
    why.message = example_text("https://index-1.studio.example:9200: connection refused");
    Activity__V1__GetIndexStatusResponse response = ACTIVITY__V1__GET_INDEX_STATUS_RESPONSE__INIT;
    response.state = ACTIVITY__V1__INDEX_STATE__INDEX_STATE_AWAY;
    response.version = example_text("opensearch 2.19.4");
    response.why = &why;
    response.away_since_ms = EXAMPLE_NOW + 50000;
    response.failures = 4;
    response.waiting_documents = 311;
    response.waiting_changes = 1204;
    response.parked_documents = 1;
    response.parked_changes = 2;
    response.pending_bytes = 402176;
    response.lag_ms = 9800;
    response.batches = 1620;
    response.requests = 1634;
    response.request_bytes = 210443008;
    response.changes = 98213;
    response.acked_documents = 41877;
    response.retried_documents = 126;
    response.refreshes = 310;
    response.parked_since_start = 3;
    response.time_ms = EXAMPLE_NOW + 60000;
    take(&(struct example){&activity__v1__admin_service__descriptor, "GetIndexStatus", false,
                           &request.base, &response.base});
}

/* The first page of one: a batch with the document that was refused. */
static inline void example_index_batches(example_taker take)
{
    Activity__V1__ListIndexBatchesRequest request = ACTIVITY__V1__LIST_INDEX_BATCHES_REQUEST__INIT;
    request.page_size = 1;
    Activity__V1__IndexReason error;
    example_refusal(&error);
    uint64_t tickets[] = {EXAMPLE_TICKET, EXAMPLE_TICKET + 1};
    Activity__V1__IndexBatch batch = ACTIVITY__V1__INDEX_BATCH__INIT;
    batch.number = 88412;
    batch.sent_time_ms = EXAMPLE_NOW + 30200;
    batch.done = 1;
    batch.cause = ACTIVITY__V1__FLUSH_CAUSE__FLUSH_CAUSE_DELAY;
    batch.lag_ms = 200;
    batch.took_ms = 31;
    batch.changes = 9;
    batch.documents = 4;
    batch.bytes = 2210;
    batch.acked = 3;
    batch.parked = 1;
    batch.error = &error;
    batch.n_tickets = 2;
    batch.tickets = tickets;
    Activity__V1__IndexBatch *batches[] = {&batch};
    Activity__V1__ListIndexBatchesResponse response =
        ACTIVITY__V1__LIST_INDEX_BATCHES_RESPONSE__INIT;
    response.n_batches = 1;
    response.batches = batches;
    response.next_page_token = example_bytes("\x01\x00\x5c\x59\x01\x00\x00\x00\x00\x00"
                                             "\x73\x65\x68\x63\x74\x61\x62\x00",
                                             18);
    take(&(struct example){&activity__v1__admin_service__descriptor, "ListIndexBatches", false,
                           &request.base, &response.base});
}

static inline void example_parked(example_taker take)
{
    Activity__V1__ListParkedDocumentsRequest request =
        ACTIVITY__V1__LIST_PARKED_DOCUMENTS_REQUEST__INIT;
    Activity__V1__IndexReason reason;
    example_refusal(&reason);
    uint64_t tickets[] = {EXAMPLE_TICKET + 1};
    Activity__V1__ParkedDocument document = ACTIVITY__V1__PARKED_DOCUMENT__INIT;
    document.park_id = EXAMPLE_PARKED;
    document.parked_time_ms = EXAMPLE_NOW + 30231;
    document.model = example_text("mediacontainer");
    document.document_id = example_text("124");
    document.reason = &reason;
    document.changes = 2;
    document.behind = 5;
    document.oldest_time_ms = EXAMPLE_NOW + 30010;
    document.n_tickets = 1;
    document.tickets = tickets;
    Activity__V1__ParkedDocument *documents[] = {&document};
    Activity__V1__ListParkedDocumentsResponse response =
        ACTIVITY__V1__LIST_PARKED_DOCUMENTS_RESPONSE__INIT;
    response.n_documents = 1;
    response.documents = documents;
    take(&(struct example){&activity__v1__admin_service__descriptor, "ListParkedDocuments", false,
                           &request.base, &response.base});
}

static inline void example_retry_parked(example_taker take)
{
    Activity__V1__RetryParkedRequest request = ACTIVITY__V1__RETRY_PARKED_REQUEST__INIT;
    request.park_id = EXAMPLE_PARKED;
    Activity__V1__RetryParkedResponse response = ACTIVITY__V1__RETRY_PARKED_RESPONSE__INIT;
    response.changes = 2;
    take(&(struct example){&activity__v1__admin_service__descriptor, "RetryParked", false,
                           &request.base, &response.base});
}

static inline void example_discard_parked(example_taker take)
{
    Activity__V1__DiscardParkedRequest request = ACTIVITY__V1__DISCARD_PARKED_REQUEST__INIT;
    request.park_id = EXAMPLE_PARKED;
    Activity__V1__DiscardParkedResponse response = ACTIVITY__V1__DISCARD_PARKED_RESPONSE__INIT;
    response.changes = 2;
    take(&(struct example){&activity__v1__admin_service__descriptor, "DiscardParked", false,
                           &request.base, &response.base});
}

static inline void example_reload(example_taker take)
{
    Activity__V1__ReloadRequest request = ACTIVITY__V1__RELOAD_REQUEST__INIT;
    Activity__V1__CertificateInfo certificate = ACTIVITY__V1__CERTIFICATE_INFO__INIT;
    certificate.name = example_text("server");
    certificate.subject = example_text("CN=activity.studio.example");
    certificate.not_after_ms = EXAMPLE_NOW + UINT64_C(31536000000);
    Activity__V1__CertificateInfo *certificates[] = {&certificate};
    Activity__V1__RevocationInfo revocations = example_revocations();
    Activity__V1__ReloadResponse response = ACTIVITY__V1__RELOAD_RESPONSE__INIT;
    response.n_certificates = 1;
    response.certificates = certificates;
    response.revocations = &revocations;
    response.rules = 12;
    response.closed_revoked = 1;
    take(&(struct example){&activity__v1__admin_service__descriptor, "Reload", false, &request.base,
                           &response.base});
}

/* Gives every example to `take`; what it points to lives during the call. */
static inline void take_examples(example_taker take)
{
    example_create(take);
    example_update(take);
    example_batch(take);
    example_destroy(take);
    example_get(take);
    example_find(take);
    example_result(take);
    example_record(take);
    example_wait_activity(take);
    example_wait_visible(take);
    example_read(take);
    example_check(take);
    example_info(take);
    example_users(take);
    example_drain(take);
    example_hash(take);
    example_index_status(take);
    example_index_batches(take);
    example_parked(take);
    example_retry_parked(take);
    example_discard_parked(take);
    example_reload(take);
}

#endif
