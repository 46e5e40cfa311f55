/* The envelope around a request: who calls on whose behalf, and beside what. */
#include <stdlib.h>
#include <string.h>

#include "client/lib/error.h"
#include "client/lib/request.h"
#include "proto/frame.h"
#include "proto/limits.h"

enum { TIMEOUT_MAX_MS = 24 * 3600 * 1000, TIMEOUT_FIELD_BYTES = 6 };

/* Fills the frame's caller; false with *error filled. */
static bool set_caller(struct frame_request *frame, const char *tenant, const char *user,
                       struct activity_error *error)
{
    if (tenant == NULL || *tenant == '\0') {
        return true;
    }
    frame->on_behalf_of = true;
    frame->tenant = view_of(tenant);
    if (user != NULL && *user != '\0') {
        frame->user = view_of(user);
    } else if (frame->group_count > 0) {
        error_bad_field(error, "user", "is needed with groups");
        return false;
    }
    return true;
}

static bool set_groups(struct frame_request *frame, const char *const *groups, size_t count,
                       struct activity_error *error)
{
    if (count > LIMIT_CALLER_GROUPS || (count > 0 && groups == NULL)) {
        error_bad_field(error, "groups",
                        count > LIMIT_CALLER_GROUPS ? "are more than 64" : "is NULL");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        frame->groups[i] = groups[i] == NULL ? (struct view){0} : view_of(groups[i]);
    }
    frame->group_count = count;
    return true;
}

static bool set_behalf(struct frame_request *frame, const struct activity_client *client,
                       const struct activity_call_options *options, struct activity_error *error)
{
    if (options != NULL && options->tenant != NULL) {
        return set_groups(frame, options->groups, options->group_count, error) &&
               set_caller(frame, options->tenant, options->user, error);
    }
    if (options != NULL && (options->user != NULL || options->group_count > 0)) {
        error_bad_field(error, "tenant", "is needed with a user or groups");
        return false;
    }
    const struct caller *caller = &client->caller;
    return set_groups(frame, (const char *const *)caller->groups, caller->group_count, error) &&
           set_caller(frame, caller->tenant, caller->user, error);
}

static bool set_metadata(struct frame_request *frame, const struct activity_call_options *options,
                         struct activity_error *error)
{
    if (options == NULL || options->metadata_count == 0) {
        return true;
    }
    if (options->metadata == NULL || options->metadata_count > LIMIT_METADATA_COUNT) {
        error_bad_field(error, "metadata", "are not 0 to 32");
        return false;
    }
    for (size_t i = 0; i < options->metadata_count; i++) {
        const struct activity_metadata *one = &options->metadata[i];
        if (one->name == NULL || one->value == NULL) {
            error_bad_field(error, "metadata", "has a NULL");
            return false;
        }
        frame->metadata[i] = (struct frame_metadata){view_of(one->name), view_of(one->value)};
    }
    frame->metadata_count = options->metadata_count;
    return true;
}

void envelope_deinit(struct envelope *envelope)
{
    free(envelope->bytes);
    *envelope = (struct envelope){0};
}

int envelope_init(struct envelope *envelope, const struct activity_client *client,
                  const struct activity_call_options *options, struct activity_error *error)
{
    *envelope = (struct envelope){.timeout_ms = client->timeout_ms};
    if (options != NULL && options->size != sizeof *options) {
        return error_bad_field(error, "size",
                               "is not this library's: use ACTIVITY_CALL_OPTIONS_INIT");
    }
    struct frame_request frame = {0};
    if (!set_behalf(&frame, client, options, error) || !set_metadata(&frame, options, error)) {
        return ACTIVITY_INVALID_ARGUMENT;
    }
    if (options != NULL) {
        envelope->never_repeat = options->never_repeat;
        envelope->repeat = options->repeat;
        envelope->timeout_ms =
            options->timeout_ms != 0 ? options->timeout_ms : envelope->timeout_ms;
    }
    envelope->length = frame_request_head_size(&frame);
    if (envelope->length > 0) {
        envelope->bytes = malloc(envelope->length);
        if (envelope->bytes == NULL) {
            return error_no_memory(error);
        }
        frame_request_encode_head(&frame, envelope->bytes);
    }
    return ACTIVITY_OK;
}

static uint8_t *append(uint8_t *to, const uint8_t *bytes, size_t length)
{
    if (length > 0) {
        memcpy(to, bytes, length);
    }
    return to + length;
}

/* The frame in two parts, between which each attempt puts the time that is left. */
int envelope_frame(const struct envelope *envelope, const char *method,
                   const struct payload *payload, struct call *call, struct activity_error *error)
{
    if (method == NULL || *method == '\0' || strlen(method) > LIMIT_METHOD_LENGTH) {
        return error_bad_field(error, "method", "is not 1 to 128 bytes long");
    }
    const struct frame_request front = {.method = view_of(method)};
    const struct frame_request back = {.payload = {payload->bytes, payload->length}};
    size_t front_size = frame_request_head_size(&front);
    size_t size = front_size + envelope->length + frame_request_head_size(&back) + payload->length;
    if (size + TIMEOUT_FIELD_BYTES > LIMIT_REQUEST_BYTES) {
        return error_set(error, ACTIVITY_INVALID_ARGUMENT, "FRAME_TOO_LARGE",
                         "the request has %zu bytes, at most 960 KiB can be sent", size);
    }
    call->bytes = malloc(size);
    if (call->bytes == NULL) {
        return error_no_memory(error);
    }
    uint8_t *tail = frame_request_encode_head(&front, call->bytes);
    uint8_t *at = append(tail, envelope->bytes, envelope->length);
    at = frame_request_encode_head(&back, at);
    append(at, payload->bytes, payload->length);
    call->head = (struct view){call->bytes, front_size};
    call->tail = (struct view){tail, size - front_size};
    call->deadline_ms =
        call->begun_ms +
        (envelope->timeout_ms < TIMEOUT_MAX_MS ? envelope->timeout_ms : TIMEOUT_MAX_MS);
    return ACTIVITY_OK;
}
