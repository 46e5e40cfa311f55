#include "client/lib/request.h"

#include <stdlib.h>
#include <string.h>

#include "client/lib/error.h"
#include "proto/batch.h"
#include "proto/field.h"
#include "proto/limits.h"
#include "proto/varint.h"

/* --- Bytes that grow --- */

enum { CAPACITY_FIRST = 256 };

void payload_deinit(struct payload *payload)
{
    free(payload->bytes);
    *payload = (struct payload){0};
}

/* Room for `size` bytes more; NULL after a failure. What exceeds the limit of a request by far need
 * not be collected. */
static uint8_t *room(struct payload *payload, size_t size)
{
    if (payload->failed || size > SIZE_MAX / 4 || payload->length > SIZE_MAX / 4) {
        payload->failed = true;
        return NULL;
    }
    size_t needed = payload->length + size;
    if (needed > payload->capacity) {
        size_t capacity = payload->capacity == 0 ? CAPACITY_FIRST : payload->capacity * 2;
        capacity = capacity < needed ? needed : capacity;
        uint8_t *bytes = realloc(payload->bytes, capacity);
        if (bytes == NULL) {
            payload->failed = true;
            return NULL;
        }
        payload->bytes = bytes;
        payload->capacity = capacity;
    }
    return payload->bytes + payload->length;
}

static void wrote(struct payload *payload, const uint8_t *end)
{
    payload->length = (size_t)(end - payload->bytes);
}

static void put_number(struct payload *payload, uint32_t number, uint64_t value)
{
    uint8_t *to = room(payload, field_varint_size(value));
    if (to != NULL) {
        wrote(payload, field_write_varint(to, number, value));
    }
}

/* Present even when it is 0, for members of a oneof. */
static void put_present_number(struct payload *payload, uint32_t number, uint64_t value)
{
    uint8_t *to = room(payload, 1 + VARINT_BYTES_MAX);
    if (to != NULL) {
        *to++ = (uint8_t)(number << 3 | FIELD_VARINT);
        wrote(payload, varint_write(to, value));
    }
}

/* The tag and length of what is put next. */
static void put_head(struct payload *payload, uint32_t number, size_t length)
{
    uint8_t *to = room(payload, field_head_size(length));
    if (to != NULL) {
        wrote(payload, field_write_head(to, number, length));
    }
}

/* Present even when it is empty, for members of repeated fields and of a oneof. */
static void put_present_bytes(struct payload *payload, uint32_t number, struct view bytes)
{
    put_head(payload, number, bytes.length);
    uint8_t *to = room(payload, bytes.length);
    if (to != NULL && bytes.length > 0) {
        memcpy(to, bytes.bytes, bytes.length);
        wrote(payload, to + bytes.length);
    }
}

static void put_bytes(struct payload *payload, uint32_t number, struct view bytes)
{
    if (bytes.length > 0) {
        put_present_bytes(payload, number, bytes);
    }
}

static struct view text(const char *string)
{
    return string == NULL ? (struct view){0} : view_of(string);
}

static struct view blob(struct activity_bytes bytes)
{
    return (struct view){bytes.data, bytes.size};
}

static void put_text(struct payload *payload, uint32_t number, const char *string)
{
    put_bytes(payload, number, text(string));
}

static void put_texts(struct payload *payload, uint32_t number, const char *const *strings,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_present_bytes(payload, number, text(strings[i]));
    }
}

static size_t text_size(const char *string)
{
    return field_bytes_size(text(string).length);
}

static int finished(const struct payload *payload, struct activity_error *error)
{
    return payload->failed ? error_no_memory(error) : error_clear(error);
}

/* --- Activities: field numbers of activity_service.proto and types.proto --- */

static bool is_list(const void *items, size_t count)
{
    return count == 0 || items != NULL;
}

static void put_attribute(struct payload *payload, uint32_t number,
                          const struct activity_attribute *attribute)
{
    put_head(payload, number, text_size(attribute->name) + text_size(attribute->value));
    put_text(payload, 1, attribute->name);
    put_text(payload, 2, attribute->value);
}

int request_create(struct payload *payload, const struct activity_create_request *request,
                   const unsigned char *request_id, struct activity_error *error)
{
    if (request == NULL || request->type == NULL) {
        return error_bad_field(error, "type", "is missing");
    }
    if (!is_list(request->groups, request->group_count)) {
        return error_bad_field(error, "groups", "is NULL");
    }
    if (!is_list(request->attributes, request->attribute_count)) {
        return error_bad_field(error, "attributes", "is NULL");
    }
    put_bytes(payload, 1, (struct view){request_id, ACTIVITY_REQUEST_ID_SIZE});
    put_text(payload, 2, request->type);
    put_text(payload, 3, request->title);
    put_texts(payload, 4, request->groups, request->group_count);
    for (size_t i = 0; i < request->attribute_count; i++) {
        put_attribute(payload, 5, &request->attributes[i]);
    }
    put_number(payload, 6, request->parent_job_id);
    put_number(payload, 7, request->retry_of_job_id);
    return finished(payload, error);
}

static size_t item_size(const struct activity_result_item *item)
{
    return text_size(item->id) + text_size(item->error_code) + text_size(item->error_message);
}

static size_t result_size(const struct activity_job_result *result)
{
    size_t size = field_bytes_size(result->content.size) + text_size(result->content_type);
    for (size_t i = 0; i < result->item_count; i++) {
        size_t item = item_size(&result->items[i]);
        size += field_head_size(item) + item;
    }
    return size;
}

static void put_result(struct payload *payload, uint32_t number,
                       const struct activity_job_result *result)
{
    put_head(payload, number, result_size(result));
    for (size_t i = 0; i < result->item_count; i++) {
        const struct activity_result_item *item = &result->items[i];
        put_head(payload, 1, item_size(item));
        put_text(payload, 1, item->id);
        put_text(payload, 2, item->error_code);
        put_text(payload, 3, item->error_message);
    }
    put_bytes(payload, 2, blob(result->content));
    put_text(payload, 3, result->content_type);
}

int request_update(struct payload *payload, const struct activity_update_request *request,
                   struct activity_error *error)
{
    if (request == NULL) {
        return error_bad_field(error, "request", "is NULL");
    }
    const struct activity_job_result *result = request->result;
    if (result != NULL && (!is_list(result->items, result->item_count) ||
                           !is_list(result->content.data, result->content.size))) {
        return error_bad_field(error, "result", "has a NULL");
    }
    put_number(payload, 1, request->job_id);
    if (request->set_percent) {
        put_present_number(payload, 2, request->percent);
    }
    if (request->status_text != NULL) {
        put_present_bytes(payload, 3, text(request->status_text));
    }
    if (result != NULL) {
        put_result(payload, 4, result);
    }
    if (request->failure != NULL) {
        put_head(payload, 5,
                 text_size(request->failure->code) + text_size(request->failure->message));
        put_text(payload, 1, request->failure->code);
        put_text(payload, 2, request->failure->message);
    }
    return finished(payload, error);
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
    uint8_t *to = room(payload, batch_request_size(request->job_ids, count));
    if (to != NULL) {
        wrote(payload, batch_request_encode(request->job_ids, request->percents, count, to));
    }
    return finished(payload, error);
}

int request_job(struct payload *payload, uint64_t job_id, struct activity_error *error)
{
    put_number(payload, 1, job_id);
    return finished(payload, error);
}

/* Unpacked repeated numbers are as valid as packed ones and need no size beforehand. */
static void put_filters(struct payload *payload, const struct activity_find_request *request)
{
    put_texts(payload, 4, request->types, request->type_count);
    for (size_t i = 0; i < request->state_count; i++) {
        put_present_number(payload, 5, (uint64_t)request->states[i]);
    }
    for (size_t i = 0; i < request->job_id_count; i++) {
        put_present_number(payload, 6, request->job_ids[i]);
    }
}

int request_find(struct payload *payload, const struct activity_find_request *request,
                 struct activity_error *error)
{
    static const struct activity_find_request everything = {0};
    request = request == NULL ? &everything : request;
    if (!is_list(request->types, request->type_count)) {
        return error_bad_field(error, "types", "is NULL");
    }
    if (!is_list(request->states, request->state_count)) {
        return error_bad_field(error, "states", "is NULL");
    }
    if (!is_list(request->job_ids, request->job_id_count)) {
        return error_bad_field(error, "job_ids", "is NULL");
    }
    if (!is_list(request->page_token.data, request->page_token.size)) {
        return error_bad_field(error, "page_token", "is NULL");
    }
    put_number(payload, 1, request->activities);
    put_number(payload, 2, request->model_changes);
    put_number(payload, 3, request->model_changes_es);
    put_filters(payload, request);
    put_number(payload, 7, request->updated_since_ms);
    put_number(payload, 8, request->page_size);
    put_bytes(payload, 9, blob(request->page_token));
    put_number(payload, 10, request->observe);
    return finished(payload, error);
}

int request_find_token(struct payload *payload, struct activity_bytes token,
                       struct activity_error *error)
{
    put_bytes(payload, 9, blob(token));
    return finished(payload, error);
}

/* --- Changes: change_service.proto --- */

static int check_change(const struct activity_document_change *change, struct activity_error *error)
{
    if (!is_list(change->groups, change->group_count)) {
        return error_bad_field(error, "changes.groups", "is NULL");
    }
    if (!is_list(change->json.data, change->json.size)) {
        return error_bad_field(error, "changes.json", "is NULL");
    }
    return ACTIVITY_OK;
}

static size_t change_size(const struct activity_document_change *change)
{
    size_t size = text_size(change->model) + text_size(change->document_id) +
                  text_size(change->affected_model) + field_bytes_size(change->json.size) +
                  field_varint_size(change->deleted);
    for (size_t i = 0; i < change->group_count; i++) {
        size_t length = text(change->groups[i]).length;
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
    put_bytes(payload, 1, (struct view){request_id, ACTIVITY_REQUEST_ID_SIZE});
    for (size_t i = 0; i < request->change_count; i++) {
        const struct activity_document_change *change = &request->changes[i];
        if (check_change(change, error) != ACTIVITY_OK) {
            return ACTIVITY_INVALID_ARGUMENT;
        }
        put_head(payload, 2, change_size(change));
        put_text(payload, 1, change->model);
        put_text(payload, 2, change->document_id);
        put_text(payload, 3, change->affected_model);
        put_bytes(payload, 4, blob(change->json));
        put_texts(payload, 5, change->groups, change->group_count);
        put_number(payload, 6, change->deleted);
        if (payload->length > LIMIT_REQUEST_BYTES) {
            break; /* refused as too large below */
        }
    }
    put_number(payload, 3, request->job_id);
    return finished(payload, error);
}

/* --- The rest --- */

int request_health(struct payload *payload, const char *service, struct activity_error *error)
{
    put_text(payload, 1, service);
    return finished(payload, error);
}

int request_users(struct payload *payload, const struct activity_users_request *request,
                  struct activity_error *error)
{
    if (request != NULL) {
        if (!is_list(request->page_token.data, request->page_token.size)) {
            return error_bad_field(error, "page_token", "is NULL");
        }
        put_number(payload, 1, request->page_size);
        put_bytes(payload, 2, blob(request->page_token));
    }
    return finished(payload, error);
}

int request_raw(struct payload *payload, struct activity_bytes bytes, struct activity_error *error)
{
    if (!is_list(bytes.data, bytes.size)) {
        return error_bad_field(error, "payload", "is NULL");
    }
    uint8_t *to = room(payload, bytes.size);
    if (to != NULL && bytes.size > 0) {
        memcpy(to, bytes.data, bytes.size);
        wrote(payload, to + bytes.size);
    }
    return finished(payload, error);
}
