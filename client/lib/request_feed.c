/* The requests that wait for something: field numbers of activity_service.proto and
 * change_service.proto. */
#include "client/lib/error.h"
#include "client/lib/request.h"
#include "proto/field.h"

int request_wait(struct payload *payload, const struct activity_wait_request *request,
                 struct activity_error *error)
{
    if (request == NULL) {
        return error_bad_field(error, "request", "is NULL");
    }
    payload_number(payload, 1, request->job_id);
    payload_number(payload, 2, request->percent);
    payload_number(payload, 3, request->children);
    payload_number(payload, 4, request->wait_ms);
    return payload_finish(payload, error);
}

int request_visible(struct payload *payload, const struct activity_visible_request *request,
                    struct activity_error *error)
{
    if (request == NULL) {
        return error_bad_field(error, "request", "is NULL");
    }
    payload_fixed64(payload, 1, request->ticket);
    payload_number(payload, 2, request->job_id);
    payload_number(payload, 3, (uint64_t)request->stage);
    payload_number(payload, 4, request->wait_ms);
    return payload_finish(payload, error);
}

static int check_filter(const struct activity_event_filter *filter, struct activity_error *error)
{
    if (!payload_is_list(filter->kinds, filter->kind_count)) {
        return error_bad_field(error, "kinds", "is NULL");
    }
    if (!payload_is_list(filter->models, filter->model_count)) {
        return error_bad_field(error, "models", "is NULL");
    }
    if (!payload_is_list(filter->document_ids, filter->document_id_count)) {
        return error_bad_field(error, "document_ids", "is NULL");
    }
    if (!payload_is_list(filter->job_ids, filter->job_id_count)) {
        return error_bad_field(error, "job_ids", "is NULL");
    }
    return ACTIVITY_OK;
}

/* An absent cursor means from now on; one of sequence 0 is the beginning of its history. */
static void put_cursor(struct payload *payload, uint32_t number,
                       const struct activity_cursor *cursor)
{
    if (cursor->epoch != 0 || cursor->sequence != 0) {
        payload_head(payload, number,
                     field_fixed64_size(cursor->epoch) + field_varint_size(cursor->sequence));
        payload_fixed64(payload, 1, cursor->epoch);
        payload_number(payload, 2, cursor->sequence);
    }
}

int request_changes(struct payload *payload, const struct activity_changes_request *request,
                    struct activity_error *error)
{
    if (request == NULL) {
        return error_bad_field(error, "request", "is NULL");
    }
    const struct activity_event_filter *filter = &request->filter;
    if (check_filter(filter, error) != ACTIVITY_OK) {
        return ACTIVITY_INVALID_ARGUMENT;
    }
    put_cursor(payload, 1, &request->after);
    for (size_t i = 0; i < filter->kind_count; i++) {
        payload_present_number(payload, 2, (uint64_t)filter->kinds[i]);
    }
    payload_texts(payload, 3, filter->models, filter->model_count);
    payload_texts(payload, 4, filter->document_ids, filter->document_id_count);
    for (size_t i = 0; i < filter->job_id_count; i++) {
        payload_present_number(payload, 5, filter->job_ids[i]);
    }
    payload_number(payload, 6, request->wait_ms);
    payload_number(payload, 7, request->page_size);
    payload_number(payload, 8, request->all_tenants);
    payload_fixed64(payload, 9, request->subscription);
    return payload_finish(payload, error);
}
