#include "client/lib/result.h"

#include <stdlib.h>
#include <string.h>

#include "activity/v1/activity_service.pb-c.h"
#include "activity/v1/admin_service.pb-c.h"
#include "activity/v1/change_service.pb-c.h"
#include "activity/v1/health_service.pb-c.h"
#include "client/lib/error.h"
#include "client/lib/event.h"
#include "client/lib/result_admin.h"
#include "proto/arena.h"
#include "proto/batch.h"

/* Unpacking makes more of little bytes: a member of a result's items of 5 bytes becomes some 100 of
 * protobuf-c's and ours. Honest answers stay well below this; what exceeds it is refused. */
enum { MEMORY_FACTOR = 64, MEMORY_BASE = 16 * 1024 };

struct activity_result {
    enum activity_method method;
    uint64_t epoch;
    uint32_t retry_after_ms;
    uint8_t *bytes; /* the reply; owned */
    struct view payload;
    void *memory; /* of the arena; owned */
    struct arena arena;
    union {
        struct activity_created created;
        struct activity_updated updated;
        struct activity_batch batch;
        enum activity_disposition destroyed;
        struct activity_info activity;
        struct activity_page page;
        struct activity_returned returned;
        struct activity_recorded recorded;
        struct activity_health health;
        struct activity_server_info server_info;
        struct activity_users users;
        struct activity_state_hash state_hash;
        struct activity_waited waited;
        struct activity_visible visible;
        struct activity_changes changes;
        struct activity_index_status index_status;
        struct activity_index_batches index_batches;
        struct activity_parked_documents parked_documents;
        uint32_t decided_changes;
        struct activity_reloaded reloaded;
    } as;
};

void activity_result_free(activity_result *result)
{
    if (result != NULL) {
        free(result->memory);
        free(result->bytes);
        free(result);
    }
}

/* Zeroed; NULL when the arena is full or `count` is 0 (then *ok is left as it is). */
static void *array(activity_result *result, size_t count, size_t size, bool *ok)
{
    if (count == 0) {
        return NULL;
    }
    void *items = count > SIZE_MAX / size ? NULL : arena_allocate(&result->arena, count * size);
    if (items == NULL) {
        *ok = false;
        return NULL;
    }
    return memset(items, 0, count * size);
}

static struct activity_bytes bytes_of(ProtobufCBinaryData data)
{
    return (struct activity_bytes){data.data, data.len};
}

/* --- Activities --- */

static bool copy_failure(activity_result *result, const Activity__V1__Failure *from,
                         const struct activity_failure **to)
{
    bool ok = true;
    struct activity_failure *failure = array(result, 1, sizeof *failure, &ok);
    if (ok) {
        *failure = (struct activity_failure){.code = from->code, .message = from->message};
        *to = failure;
    }
    return ok;
}

static bool copy_activity(activity_result *result, const Activity__V1__Activity *from,
                          struct activity_info *to)
{
    bool ok = true;
    struct activity_attribute *attributes =
        array(result, from->n_attributes, sizeof *attributes, &ok);
    for (size_t i = 0; ok && i < from->n_attributes; i++) {
        attributes[i].name = from->attributes[i]->name;
        attributes[i].value = from->attributes[i]->value;
    }
    *to = (struct activity_info){
        .job_id = from->job_id,
        .type = from->type,
        .title = from->title,
        .state = (enum activity_state)from->state,
        .percent = from->percent,
        .status_text = from->status_text,
        .owner = from->owner,
        .creator = from->creator,
        .groups = (const char *const *)from->groups,
        .group_count = from->n_groups,
        .attributes = attributes,
        .attribute_count = from->n_attributes,
        .parent_job_id = from->parent_job_id,
        .retry_of_job_id = from->retry_of_job_id,
        .create_time_ms = from->create_time_ms,
        .update_time_ms = from->update_time_ms,
        .end_time_ms = from->end_time_ms,
    };
    return ok && (from->failure == NULL || copy_failure(result, from->failure, &to->failure));
}

static bool copy_changes(activity_result *result, Activity__V1__ModelChange *const *from,
                         size_t count, const struct activity_model_change **to)
{
    bool ok = true;
    struct activity_model_change *changes = array(result, count, sizeof *changes, &ok);
    for (size_t i = 0; ok && i < count; i++) {
        size_t models = from[i]->n_affected_models;
        struct activity_affected_model *affected = array(result, models, sizeof *affected, &ok);
        for (size_t j = 0; ok && j < models; j++) {
            const Activity__V1__AffectedModel *model = from[i]->affected_models[j];
            const Activity__V1__TimeRange *range = model->time_range;
            affected[j] = (struct activity_affected_model){
                .affected_model = model->affected_model,
                .first_ms = range == NULL ? 0 : range->first_ms,
                .last_ms = range == NULL ? 0 : range->last_ms,
                .updated_ms = model->updated_ms,
            };
        }
        if (ok) {
            changes[i] = (struct activity_model_change){
                .model = from[i]->model,
                .document_id = from[i]->document_id,
                .affected_models = affected,
                .affected_model_count = models,
                .updated_ms = from[i]->updated_ms,
            };
        }
    }
    *to = changes;
    return ok;
}

static bool copy_page(activity_result *result, const Activity__V1__FindActivitiesResponse *from)
{
    struct activity_page *page = &result->as.page;
    bool ok = true;
    struct activity_info *activities = array(result, from->n_activities, sizeof *activities, &ok);
    for (size_t i = 0; ok && i < from->n_activities; i++) {
        ok = copy_activity(result, from->activities[i], &activities[i]);
    }
    *page = (struct activity_page){
        .activities = activities,
        .activity_count = from->n_activities,
        .model_change_count = from->n_model_changes,
        .model_change_es_count = from->n_model_changes_es,
        .next_page_token = bytes_of(from->next_page_token),
        .time_ms = from->time_ms,
        .model_changes_complete_since_ms = from->model_changes_complete_since_ms,
        .model_changes_es_complete_since_ms = from->model_changes_es_complete_since_ms,
    };
    if (from->cursor != NULL) {
        page->cursor = (struct activity_cursor){from->cursor->epoch, from->cursor->sequence};
    }
    return ok &&
           copy_changes(result, from->model_changes, from->n_model_changes, &page->model_changes) &&
           copy_changes(result, from->model_changes_es, from->n_model_changes_es,
                        &page->model_changes_es);
}

static bool copy_returned(activity_result *result, const Activity__V1__GetJobResultResponse *from)
{
    struct activity_returned *returned = &result->as.returned;
    *returned = (struct activity_returned){.state = (enum activity_result_state)from->state,
                                           .outcome = (enum activity_state)from->outcome,
                                           .result.content_type = ""};
    if (from->result == NULL) {
        return true;
    }
    bool ok = true;
    size_t count = from->result->n_items;
    struct activity_result_item *items = array(result, count, sizeof *items, &ok);
    for (size_t i = 0; ok && i < count; i++) {
        const Activity__V1__ResultItem *item = from->result->items[i];
        items[i] = (struct activity_result_item){
            .id = item->id, .error_code = item->error_code, .error_message = item->error_message};
    }
    returned->result = (struct activity_job_result){
        .items = items,
        .item_count = count,
        .content = bytes_of(from->result->content),
        .content_type = from->result->content_type,
    };
    return ok;
}

/* --- Batches and events, without protobuf-c --- */

static bool decode_batch(activity_result *result, uint32_t count)
{
    struct batch_response response;
    if (batch_response_decode(result->payload, &response) != 0 ||
        response.percents.length != count ||
        (response.dispositions.length != 0 && response.dispositions.length != count)) {
        return false;
    }
    bool ok = true;
    const uint8_t *dispositions = response.dispositions.bytes;
    if (response.dispositions.length == 0) {
        uint8_t *applied = array(result, count, 1, &ok);
        if (applied != NULL) {
            memset(applied, ACTIVITY_APPLIED, count);
        }
        dispositions = applied;
    }
    result->as.batch = (struct activity_batch){
        .count = count,
        .percents = response.percents.bytes,
        .dispositions = dispositions,
        .ignored_count = response.ignored_count,
    };
    return ok;
}

static bool decode_changes(activity_result *result)
{
    bool ok = event_page_decode(result->payload, &result->arena, &result->as.changes);
    result->as.changes.retry_after_ms = result->retry_after_ms;
    return ok;
}

/* --- One decoder per method --- */

static bool decode_created(activity_result *result, const struct result_question *question,
                           const ProtobufCMessage *message)
{
    const Activity__V1__CreateActivityResponse *from =
        (const Activity__V1__CreateActivityResponse *)message;
    result->as.created = (struct activity_created){
        .job_id = from->job_id,
        .update_within_ms = from->update_within_ms,
        .kill_after_ms = from->kill_after_ms,
    };
    memcpy(result->as.created.request_id, question->request_id, ACTIVITY_REQUEST_ID_SIZE);
    return true;
}

static bool decode_updated(activity_result *result, const struct result_question *question,
                           const ProtobufCMessage *message)
{
    (void)question;
    const Activity__V1__UpdateActivityResponse *from =
        (const Activity__V1__UpdateActivityResponse *)message;
    result->as.updated = (struct activity_updated){
        .job_id = from->job_id,
        .percent = from->percent,
        .disposition = (enum activity_disposition)from->disposition,
    };
    return true;
}

static bool decode_destroyed(activity_result *result, const struct result_question *question,
                             const ProtobufCMessage *message)
{
    (void)question;
    const Activity__V1__DestroyActivityResponse *from =
        (const Activity__V1__DestroyActivityResponse *)message;
    result->as.destroyed = (enum activity_disposition)from->disposition;
    return true;
}

static bool decode_activity(activity_result *result, const struct result_question *question,
                            const ProtobufCMessage *message)
{
    (void)question;
    const Activity__V1__GetActivityResponse *from =
        (const Activity__V1__GetActivityResponse *)message;
    return from->activity != NULL && copy_activity(result, from->activity, &result->as.activity);
}

static bool decode_page(activity_result *result, const struct result_question *question,
                        const ProtobufCMessage *message)
{
    (void)question;
    return copy_page(result, (const Activity__V1__FindActivitiesResponse *)message);
}

static bool decode_returned(activity_result *result, const struct result_question *question,
                            const ProtobufCMessage *message)
{
    (void)question;
    return copy_returned(result, (const Activity__V1__GetJobResultResponse *)message);
}

static bool decode_recorded(activity_result *result, const struct result_question *question,
                            const ProtobufCMessage *message)
{
    const Activity__V1__RecordModelChangesResponse *from =
        (const Activity__V1__RecordModelChangesResponse *)message;
    result->as.recorded =
        (struct activity_recorded){.ticket = from->ticket, .accept_time_ms = from->accept_time_ms};
    memcpy(result->as.recorded.request_id, question->request_id, ACTIVITY_REQUEST_ID_SIZE);
    return true;
}

static bool decode_health(activity_result *result, const struct result_question *question,
                          const ProtobufCMessage *message)
{
    (void)question;
    const Activity__V1__CheckResponse *from = (const Activity__V1__CheckResponse *)message;
    result->as.health = (struct activity_health){
        .serving = from->status == ACTIVITY__V1__SERVING_STATUS__SERVING_STATUS_SERVING,
        .explanation = from->explanation,
    };
    return true;
}

static bool decode_server_info(activity_result *result, const struct result_question *question,
                               const ProtobufCMessage *message)
{
    (void)question;
    return result_admin_server(&result->arena, (const Activity__V1__GetServerInfoResponse *)message,
                               &result->as.server_info);
}

static bool decode_reloaded(activity_result *result, const struct result_question *question,
                            const ProtobufCMessage *message)
{
    (void)question;
    return result_admin_reloaded(&result->arena, (const Activity__V1__ReloadResponse *)message,
                                 &result->as.reloaded);
}

static bool decode_users(activity_result *result, const struct result_question *question,
                         const ProtobufCMessage *message)
{
    (void)question;
    return result_admin_users(
        &result->arena, (const Activity__V1__ListPresentUsersResponse *)message, &result->as.users);
}

static bool decode_state_hash(activity_result *result, const struct result_question *question,
                              const ProtobufCMessage *message)
{
    (void)question;
    const Activity__V1__GetStateHashResponse *from =
        (const Activity__V1__GetStateHashResponse *)message;
    result->as.state_hash = (struct activity_state_hash){
        .journal_index = from->journal_index,
        .state_hash = from->state_hash,
        .digest = from->digest,
    };
    return true;
}

static bool decode_waited(activity_result *result, const struct result_question *question,
                          const ProtobufCMessage *message)
{
    (void)question;
    const Activity__V1__WaitActivityResponse *from =
        (const Activity__V1__WaitActivityResponse *)message;
    result->as.waited = (struct activity_waited){
        .reached = from->reached,
        .state = (enum activity_state)from->state,
        .percent = from->percent,
        .waiting_for_job_id = from->waiting_for_job_id,
    };
    return true;
}

static bool decode_visible(activity_result *result, const struct result_question *question,
                           const ProtobufCMessage *message)
{
    (void)question;
    const Activity__V1__WaitVisibleResponse *from =
        (const Activity__V1__WaitVisibleResponse *)message;
    result->as.visible = (struct activity_visible){
        .reached = from->reached,
        .open_changes = from->open_changes,
    };
    return true;
}

static bool decode_index_status(activity_result *result, const struct result_question *question,
                                const ProtobufCMessage *message)
{
    (void)question;
    return result_admin_index(&result->arena, (const Activity__V1__GetIndexStatusResponse *)message,
                              &result->as.index_status);
}

static bool decode_index_batches(activity_result *result, const struct result_question *question,
                                 const ProtobufCMessage *message)
{
    (void)question;
    return result_admin_batches(&result->arena,
                                (const Activity__V1__ListIndexBatchesResponse *)message,
                                &result->as.index_batches);
}

static bool decode_parked(activity_result *result, const struct result_question *question,
                          const ProtobufCMessage *message)
{
    (void)question;
    return result_admin_parked(&result->arena,
                               (const Activity__V1__ListParkedDocumentsResponse *)message,
                               &result->as.parked_documents);
}

static bool decode_retried(activity_result *result, const struct result_question *question,
                           const ProtobufCMessage *message)
{
    (void)question;
    result->as.decided_changes = ((const Activity__V1__RetryParkedResponse *)message)->changes;
    return true;
}

static bool decode_discarded(activity_result *result, const struct result_question *question,
                             const ProtobufCMessage *message)
{
    (void)question;
    result->as.decided_changes = ((const Activity__V1__DiscardParkedResponse *)message)->changes;
    return true;
}

static const struct {
    const ProtobufCMessageDescriptor *descriptor;
    bool (*decode)(activity_result *result, const struct result_question *question,
                   const ProtobufCMessage *message);
} decoders[] = {
    [ACTIVITY_METHOD_CREATE] = {&activity__v1__create_activity_response__descriptor,
                                decode_created},
    [ACTIVITY_METHOD_UPDATE] = {&activity__v1__update_activity_response__descriptor,
                                decode_updated},
    [ACTIVITY_METHOD_DESTROY] = {&activity__v1__destroy_activity_response__descriptor,
                                 decode_destroyed},
    [ACTIVITY_METHOD_GET] = {&activity__v1__get_activity_response__descriptor, decode_activity},
    [ACTIVITY_METHOD_FIND] = {&activity__v1__find_activities_response__descriptor, decode_page},
    [ACTIVITY_METHOD_GET_RESULT] = {&activity__v1__get_job_result_response__descriptor,
                                    decode_returned},
    [ACTIVITY_METHOD_RECORD_CHANGES] = {&activity__v1__record_model_changes_response__descriptor,
                                        decode_recorded},
    [ACTIVITY_METHOD_CHECK_HEALTH] = {&activity__v1__check_response__descriptor, decode_health},
    [ACTIVITY_METHOD_GET_SERVER_INFO] = {&activity__v1__get_server_info_response__descriptor,
                                         decode_server_info},
    [ACTIVITY_METHOD_LIST_USERS] = {&activity__v1__list_present_users_response__descriptor,
                                    decode_users},
    [ACTIVITY_METHOD_GET_STATE_HASH] = {&activity__v1__get_state_hash_response__descriptor,
                                        decode_state_hash},
    [ACTIVITY_METHOD_CALL] = {NULL, NULL},
    [ACTIVITY_METHOD_WAIT] = {&activity__v1__wait_activity_response__descriptor, decode_waited},
    [ACTIVITY_METHOD_WAIT_VISIBLE] = {&activity__v1__wait_visible_response__descriptor,
                                      decode_visible},
    [ACTIVITY_METHOD_GET_INDEX_STATUS] = {&activity__v1__get_index_status_response__descriptor,
                                          decode_index_status},
    [ACTIVITY_METHOD_LIST_INDEX_BATCHES] = {&activity__v1__list_index_batches_response__descriptor,
                                            decode_index_batches},
    [ACTIVITY_METHOD_LIST_PARKED] = {&activity__v1__list_parked_documents_response__descriptor,
                                     decode_parked},
    [ACTIVITY_METHOD_RETRY_PARKED] = {&activity__v1__retry_parked_response__descriptor,
                                      decode_retried},
    [ACTIVITY_METHOD_DISCARD_PARKED] = {&activity__v1__discard_parked_response__descriptor,
                                        decode_discarded},
    [ACTIVITY_METHOD_RELOAD] = {&activity__v1__reload_response__descriptor, decode_reloaded},
};

static bool decode(activity_result *result, const struct result_question *question)
{
    if (question->method == ACTIVITY_METHOD_BATCH_UPDATE) {
        return decode_batch(result, question->batch_count);
    }
    if (question->method == ACTIVITY_METHOD_READ_CHANGES) {
        return decode_changes(result);
    }
    const ProtobufCMessageDescriptor *descriptor = decoders[question->method].descriptor;
    if (descriptor == NULL) {
        return true; /* the payload is all there is to it */
    }
    ProtobufCAllocator allocator = arena_allocator(&result->arena);
    const ProtobufCMessage *message = protobuf_c_message_unpack(
        descriptor, &allocator, result->payload.length, result->payload.bytes);
    return message != NULL && decoders[question->method].decode(result, question, message);
}

int result_decode_take(const struct result_question *question, const struct frame_reply *reply,
                       uint8_t *bytes, activity_result **result, struct activity_error *error)
{
    *result = NULL;
    activity_result *made = calloc(1, sizeof *made);
    if (made == NULL) {
        free(bytes);
        return error_no_memory(error);
    }
    made->bytes = bytes;
    made->method = question->method;
    made->epoch = reply->epoch;
    made->retry_after_ms = reply->retry_after_ms;
    made->payload = reply->payload;
    size_t memory = MEMORY_BASE + reply->payload.length * MEMORY_FACTOR;
    made->memory = malloc(memory);
    if (made->memory == NULL) {
        activity_result_free(made);
        return error_no_memory(error);
    }
    arena_init(&made->arena, made->memory, memory);
    if (!decode(made, question)) {
        activity_result_free(made);
        return error_malformed_reply(error, "its payload is not the method's response");
    }
    *result = made;
    return error_clear(error);
}

/* --- Looking into a result --- */

#define ACCESSOR(type, name, wanted, member)                                                       \
    type activity_result_##name(const activity_result *result)                                     \
    {                                                                                              \
        return result != NULL && result->method == (wanted) ? &result->as.member : NULL;           \
    }

ACCESSOR(const struct activity_created *, created, ACTIVITY_METHOD_CREATE, created)
ACCESSOR(const struct activity_updated *, updated, ACTIVITY_METHOD_UPDATE, updated)
ACCESSOR(const struct activity_batch *, batch, ACTIVITY_METHOD_BATCH_UPDATE, batch)
ACCESSOR(const enum activity_disposition *, destroyed, ACTIVITY_METHOD_DESTROY, destroyed)
ACCESSOR(const struct activity_info *, activity, ACTIVITY_METHOD_GET, activity)
ACCESSOR(const struct activity_page *, page, ACTIVITY_METHOD_FIND, page)
ACCESSOR(const struct activity_returned *, returned, ACTIVITY_METHOD_GET_RESULT, returned)
ACCESSOR(const struct activity_recorded *, recorded, ACTIVITY_METHOD_RECORD_CHANGES, recorded)
ACCESSOR(const struct activity_health *, health, ACTIVITY_METHOD_CHECK_HEALTH, health)
ACCESSOR(const struct activity_server_info *, server_info, ACTIVITY_METHOD_GET_SERVER_INFO,
         server_info)
ACCESSOR(const struct activity_users *, users, ACTIVITY_METHOD_LIST_USERS, users)
ACCESSOR(const struct activity_state_hash *, state_hash, ACTIVITY_METHOD_GET_STATE_HASH, state_hash)

ACCESSOR(const struct activity_waited *, waited, ACTIVITY_METHOD_WAIT, waited)
ACCESSOR(const struct activity_visible *, visible, ACTIVITY_METHOD_WAIT_VISIBLE, visible)
ACCESSOR(const struct activity_changes *, changes, ACTIVITY_METHOD_READ_CHANGES, changes)
ACCESSOR(const struct activity_index_status *, index_status, ACTIVITY_METHOD_GET_INDEX_STATUS,
         index_status)
ACCESSOR(const struct activity_index_batches *, index_batches, ACTIVITY_METHOD_LIST_INDEX_BATCHES,
         index_batches)
ACCESSOR(const struct activity_parked_documents *, parked_documents, ACTIVITY_METHOD_LIST_PARKED,
         parked_documents)
ACCESSOR(const struct activity_reloaded *, reloaded, ACTIVITY_METHOD_RELOAD, reloaded)

uint32_t result_decided_changes(const activity_result *result)
{
    return result->as.decided_changes;
}

uint32_t result_retry_after_ms(const activity_result *result)
{
    return result->retry_after_ms;
}

struct activity_bytes activity_result_payload(const activity_result *result)
{
    return result == NULL ? (struct activity_bytes){0}
                          : (struct activity_bytes){result->payload.bytes, result->payload.length};
}

uint64_t activity_result_epoch(const activity_result *result)
{
    return result == NULL ? 0 : result->epoch;
}
