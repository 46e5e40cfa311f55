#include "client/lib/request.h"

#include <stdlib.h>
#include <string.h>

#include "client/lib/error.h"
#include "proto/batch.h"
#include "proto/field.h"
#include "proto/limits.h"
#include "proto/varint.h"

static struct view blob(struct activity_bytes bytes)
{
    return (struct view){bytes.data, bytes.size};
}

/* --- Activities: field numbers of activity_service.proto and types.proto --- */

static void put_attribute(struct payload *payload, uint32_t number,
                          const struct activity_attribute *attribute)
{
    payload_head(payload, number,
                 payload_text_size(attribute->name) + payload_text_size(attribute->value));
    payload_text(payload, 1, attribute->name);
    payload_text(payload, 2, attribute->value);
}

int request_create(struct payload *payload, const struct activity_create_request *request,
                   const unsigned char *request_id, struct activity_error *error)
{
    if (request == NULL || request->type == NULL) {
        return error_bad_field(error, "type", "is missing");
    }
    if (!payload_is_list(request->groups, request->group_count)) {
        return error_bad_field(error, "groups", "is NULL");
    }
    if (!payload_is_list(request->attributes, request->attribute_count)) {
        return error_bad_field(error, "attributes", "is NULL");
    }
    payload_bytes(payload, 1, (struct view){request_id, ACTIVITY_REQUEST_ID_SIZE});
    payload_text(payload, 2, request->type);
    payload_text(payload, 3, request->title);
    payload_texts(payload, 4, request->groups, request->group_count);
    for (size_t i = 0; i < request->attribute_count; i++) {
        put_attribute(payload, 5, &request->attributes[i]);
    }
    payload_number(payload, 6, request->parent_job_id);
    payload_number(payload, 7, request->retry_of_job_id);
    return payload_finish(payload, error);
}

static size_t item_size(const struct activity_result_item *item)
{
    return payload_text_size(item->id) + payload_text_size(item->error_code) +
           payload_text_size(item->error_message);
}

static size_t result_size(const struct activity_job_result *result)
{
    size_t size = field_bytes_size(result->content.size) + payload_text_size(result->content_type);
    for (size_t i = 0; i < result->item_count; i++) {
        size_t item = item_size(&result->items[i]);
        size += field_head_size(item) + item;
    }
    return size;
}

static void put_result(struct payload *payload, uint32_t number,
                       const struct activity_job_result *result)
{
    payload_head(payload, number, result_size(result));
    for (size_t i = 0; i < result->item_count; i++) {
        const struct activity_result_item *item = &result->items[i];
        payload_head(payload, 1, item_size(item));
        payload_text(payload, 1, item->id);
        payload_text(payload, 2, item->error_code);
        payload_text(payload, 3, item->error_message);
    }
    payload_bytes(payload, 2, blob(result->content));
    payload_text(payload, 3, result->content_type);
}

int request_update(struct payload *payload, const struct activity_update_request *request,
                   struct activity_error *error)
{
    if (request == NULL) {
        return error_bad_field(error, "request", "is NULL");
    }
    const struct activity_job_result *result = request->result;
    if (result != NULL && (!payload_is_list(result->items, result->item_count) ||
                           !payload_is_list(result->content.data, result->content.size))) {
        return error_bad_field(error, "result", "has a NULL");
    }
    payload_number(payload, 1, request->job_id);
    if (request->set_percent) {
        payload_present_number(payload, 2, request->percent);
    }
    if (request->status_text != NULL) {
        payload_present_bytes(payload, 3, payload_view(request->status_text));
    }
    if (result != NULL) {
        put_result(payload, 4, result);
    }
    if (request->failure != NULL) {
        payload_head(payload, 5,
                     payload_text_size(request->failure->code) +
                         payload_text_size(request->failure->message));
        payload_text(payload, 1, request->failure->code);
        payload_text(payload, 2, request->failure->message);
    }
    return payload_finish(payload, error);
}

int request_batch(struct payload *payload, const struct activity_batch_request *request,
                  struct activity_error *error)
{
    if (request == NULL || request->count == 0 || request->count > LIMIT_BATCH_UPDATES) {
        return error_bad_field(error, "percents", "are not 1 to 65,536");
    }
    if (request->job_ids == NULL || request->percents == NULL) {
        return error_bad_field(error, "percents", "are NULL");
    }
    uint32_t count = (uint32_t)request->count;
    uint8_t *to = payload_room(payload, batch_request_size(request->job_ids, count));
    if (to != NULL) {
        payload_wrote(payload,
                      batch_request_encode(request->job_ids, request->percents, count, to));
    }
    return payload_finish(payload, error);
}

int request_job(struct payload *payload, uint64_t job_id, struct activity_error *error)
{
    payload_number(payload, 1, job_id);
    return payload_finish(payload, error);
}

/* Unpacked repeated numbers are as valid as packed ones and need no size beforehand. */
static void put_filters(struct payload *payload, const struct activity_find_request *request)
{
    payload_texts(payload, 4, request->types, request->type_count);
    for (size_t i = 0; i < request->state_count; i++) {
        payload_present_number(payload, 5, (uint64_t)request->states[i]);
    }
    for (size_t i = 0; i < request->job_id_count; i++) {
        payload_present_number(payload, 6, request->job_ids[i]);
    }
}

int request_find(struct payload *payload, const struct activity_find_request *request,
                 struct activity_error *error)
{
    static const struct activity_find_request everything = {0};
    request = request == NULL ? &everything : request;
    if (!payload_is_list(request->types, request->type_count)) {
        return error_bad_field(error, "types", "is NULL");
    }
    if (!payload_is_list(request->states, request->state_count)) {
        return error_bad_field(error, "states", "is NULL");
    }
    if (!payload_is_list(request->job_ids, request->job_id_count)) {
        return error_bad_field(error, "job_ids", "is NULL");
    }
    if (!payload_is_list(request->page_token.data, request->page_token.size)) {
        return error_bad_field(error, "page_token", "is NULL");
    }
    payload_number(payload, 1, request->activities);
    payload_number(payload, 2, request->model_changes);
    payload_number(payload, 3, request->model_changes_es);
    put_filters(payload, request);
    payload_number(payload, 7, request->updated_since_ms);
    payload_number(payload, 8, request->page_size);
    payload_bytes(payload, 9, blob(request->page_token));
    payload_number(payload, 10, request->observe);
    return payload_finish(payload, error);
}

int request_find_token(struct payload *payload, struct activity_bytes token,
                       struct activity_error *error)
{
    payload_bytes(payload, 9, blob(token));
    return payload_finish(payload, error);
}

/* --- Changes: change_service.proto --- */

static int check_change(const struct activity_document_change *change, struct activity_error *error)
{
    if (!payload_is_list(change->groups, change->group_count)) {
        return error_bad_field(error, "changes.groups", "is NULL");
    }
    if (!payload_is_list(change->json.data, change->json.size)) {
        return error_bad_field(error, "changes.json", "is NULL");
    }
    if (!payload_is_list(change->merge_patch.data, change->merge_patch.size)) {
        return error_bad_field(error, "changes.merge_patch", "is NULL");
    }
    return ACTIVITY_OK;
}

static size_t change_size(const struct activity_document_change *change)
{
    size_t size = payload_text_size(change->model) + payload_text_size(change->document_id) +
                  payload_text_size(change->affected_model) + field_bytes_size(change->json.size) +
                  field_varint_size(change->deleted) + field_bytes_size(change->merge_patch.size);
    for (size_t i = 0; i < change->group_count; i++) {
        size_t length = payload_view(change->groups[i]).length;
        size += field_head_size(length) + length;
    }
    return size;
}

int request_record(struct payload *payload, const struct activity_record_request *request,
                   const unsigned char *request_id, struct activity_error *error)
{
    if (request == NULL || request->change_count == 0 || request->changes == NULL) {
        return error_bad_field(error, "changes", "is missing");
    }
    payload_bytes(payload, 1, (struct view){request_id, ACTIVITY_REQUEST_ID_SIZE});
    for (size_t i = 0; i < request->change_count; i++) {
        const struct activity_document_change *change = &request->changes[i];
        if (check_change(change, error) != ACTIVITY_OK) {
            return ACTIVITY_INVALID_ARGUMENT;
        }
        payload_head(payload, 2, change_size(change));
        payload_text(payload, 1, change->model);
        payload_text(payload, 2, change->document_id);
        payload_text(payload, 3, change->affected_model);
        payload_bytes(payload, 4, blob(change->json));
        payload_texts(payload, 5, change->groups, change->group_count);
        payload_number(payload, 6, change->deleted);
        payload_bytes(payload, 7, blob(change->merge_patch));
        if (payload->length > LIMIT_REQUEST_BYTES) {
            break; /* refused as too large below */
        }
    }
    payload_number(payload, 3, request->job_id);
    payload_number(payload, 4, request->urgent);
    return payload_finish(payload, error);
}

/* --- The rest --- */

int request_health(struct payload *payload, const char *service, struct activity_error *error)
{
    payload_text(payload, 1, service);
    return payload_finish(payload, error);
}

int request_page(struct payload *payload, uint32_t page_size, struct activity_bytes page_token,
                 struct activity_error *error)
{
    if (!payload_is_list(page_token.data, page_token.size)) {
        return error_bad_field(error, "page_token", "is NULL");
    }
    payload_number(payload, 1, page_size);
    payload_bytes(payload, 2, blob(page_token));
    return payload_finish(payload, error);
}

int request_users(struct payload *payload, const struct activity_users_request *request,
                  struct activity_error *error)
{
    return request == NULL ? payload_finish(payload, error)
                           : request_page(payload, request->page_size, request->page_token, error);
}

int request_parked(struct payload *payload, uint64_t park_id, struct activity_error *error)
{
    payload_number(payload, 1, park_id);
    return payload_finish(payload, error);
}

int request_raw(struct payload *payload, struct activity_bytes bytes, struct activity_error *error)
{
    if (!payload_is_list(bytes.data, bytes.size)) {
        return error_bad_field(error, "payload", "is NULL");
    }
    uint8_t *to = payload_room(payload, bytes.size);
    if (to != NULL && bytes.size > 0) {
        memcpy(to, bytes.data, bytes.size);
        payload_wrote(payload, to + bytes.size);
    }
    return payload_finish(payload, error);
}
