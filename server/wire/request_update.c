/* UpdateActivity with its result or failure, and BatchUpdateActivities. */
#include <stdio.h>

#include "proto/limits.h"
#include "server/wire/decoding.h"
#include "server/wire/encode.h"

/* Field numbers of activity/v1/activity_service.proto and types.proto. */
enum {
    UPDATE_JOB_ID = 1,
    UPDATE_PERCENT = 2,
    UPDATE_STATUS_TEXT = 3,
    UPDATE_RESULT = 4,
    UPDATE_FAILURE = 5,
};
enum { RESULT_ITEMS = 1, RESULT_CONTENT = 2, RESULT_CONTENT_TYPE = 3 };
enum { ITEM_ID = 1, ITEM_ERROR_CODE = 2, ITEM_ERROR_MESSAGE = 3 };
enum { FAILURE_CODE = 1, FAILURE_MESSAGE = 2 };

struct update_fields {
    uint64_t job_id;
    bool has_percent;
    uint32_t percent;
    bool has_status_text;
    struct view status_text;
    bool has_result;
    bool has_failure;
    struct view failure_code;
    struct view failure_message;
};

static void read_failure(struct message *outer, const struct field *member,
                         struct update_fields *fields)
{
    struct message message = message_of(message_bytes(outer, member));
    struct field field;
    fields->has_failure = true;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case FAILURE_CODE:
            fields->failure_code = message_bytes(&message, &field);
            break;
        case FAILURE_MESSAGE:
            fields->failure_message = message_bytes(&message, &field);
            break;
        default:
            break;
        }
    }
    outer->malformed = outer->malformed || message.malformed;
}

static bool read_update(struct view payload, struct update_fields *fields)
{
    struct message message = message_of(payload);
    struct field field;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case UPDATE_JOB_ID:
            fields->job_id = message_number(&message, &field);
            break;
        case UPDATE_PERCENT:
            fields->has_percent = true;
            fields->percent = message_uint32(&message, &field);
            break;
        case UPDATE_STATUS_TEXT:
            fields->has_status_text = true;
            fields->status_text = message_bytes(&message, &field);
            break;
        case UPDATE_RESULT: /* read when the rest is known to be right: see encode_result */
            fields->has_result = true;
            (void)message_bytes(&message, &field);
            break;
        case UPDATE_FAILURE:
            read_failure(&message, &field, fields);
            break;
        default:
            break;
        }
    }
    return !message.malformed;
}

/* ---- The result, stored as it is read here: known fields alone, in order of number ---- */

/* A result being written anew. It never grows: what is written was read. */
struct result_writer {
    const struct decoding *decoding;
    size_t item_count;
    struct view content;
    struct view content_type;
    uint8_t *at;
};

static int encode_item(struct result_writer *result, struct message *outer,
                       const struct field *member)
{
    struct message message = message_of(message_bytes(outer, member));
    struct view id = {NULL, 0};
    struct view code = {NULL, 0};
    struct view text = {NULL, 0};
    struct field field;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case ITEM_ID:
            id = message_bytes(&message, &field);
            break;
        case ITEM_ERROR_CODE:
            code = message_bytes(&message, &field);
            break;
        case ITEM_ERROR_MESSAGE:
            text = message_bytes(&message, &field);
            break;
        default:
            break;
        }
    }
    if (outer->malformed || message.malformed) {
        return decoding_malformed(result->decoding);
    }
    struct request_error *error = result->decoding->error;
    struct place place = {"result.items", result->item_count, "id", NOT_REPEATED};
    struct place at_code = {"result.items", result->item_count, "error_code", NOT_REPEATED};
    struct place at_text = {"result.items", result->item_count, "error_message", NOT_REPEATED};
    if (rule_text(error, place, id, 1, LIMIT_RESULT_ITEM_ID_LENGTH) != 0 ||
        rule_text(error, at_code, code, 0, LIMIT_RESULT_ERROR_CODE_LENGTH) != 0 ||
        rule_text(error, at_text, text, 0, LIMIT_RESULT_ERROR_MESSAGE_LENGTH) != 0) {
        return 1;
    }
    if (text.length != 0 && code.length == 0) {
        return rule_refuse(error, at_text,
                           "may stand only beside an error_code, found %zu bytes without one; give "
                           "a code or leave the message out",
                           text.length);
    }
    uint8_t one[LIMIT_RESULT_ITEM_ID_LENGTH + LIMIT_RESULT_ERROR_CODE_LENGTH +
                LIMIT_RESULT_ERROR_MESSAGE_LENGTH + 3 * ENCODE_HEAD_MAX];
    uint8_t *end = encode_bytes(one, ITEM_ID, bytes_of_view(id));
    end = encode_bytes(end, ITEM_ERROR_CODE, bytes_of_view(code));
    end = encode_bytes(end, ITEM_ERROR_MESSAGE, bytes_of_view(text));
    result->at = encode_member(result->at, RESULT_ITEMS, encoded_since(one, end));
    return 0;
}

static int encode_result_part(struct result_writer *result, struct view part)
{
    struct message message = message_of(part);
    struct field field;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case RESULT_ITEMS:
            if (result->item_count == LIMIT_RESULT_ITEMS) {
                return rule_refuse(result->decoding->error, place_of("result.items"),
                                   "must be at most %d items, found more; put them into content",
                                   LIMIT_RESULT_ITEMS);
            }
            if (encode_item(result, &message, &field) != 0) {
                return 1;
            }
            result->item_count++;
            break;
        case RESULT_CONTENT:
            result->content = message_bytes(&message, &field);
            break;
        case RESULT_CONTENT_TYPE:
            result->content_type = message_bytes(&message, &field);
            break;
        default:
            break;
        }
    }
    return message.malformed ? decoding_malformed(result->decoding) : 0;
}

static int encode_result(const struct decoding *decoding, struct bytes *encoded)
{
    struct request_error *error = decoding->error;
    uint8_t *list = decoding->scratch->list;
    struct result_writer result = {.decoding = decoding, .at = list};
    struct message message = message_of(decoding->payload);
    struct field field;
    while (message_next(&message, &field)) {
        if (field.number == UPDATE_RESULT && encode_result_part(&result, field.bytes) != 0) {
            return 1;
        }
    }
    if (rule_text(error, place_of("result.content_type"), result.content_type, 0,
                  LIMIT_CONTENT_TYPE_LENGTH) != 0) {
        return 1;
    }
    if (result.content.length != 0 && result.content_type.length == 0) {
        return rule_refuse(error, place_of("result.content_type"),
                           "is required beside content, found none with %zu bytes of content; give "
                           "a media type such as application/json",
                           result.content.length);
    }
    result.at = encode_bytes(result.at, RESULT_CONTENT, bytes_of_view(result.content));
    result.at = encode_bytes(result.at, RESULT_CONTENT_TYPE, bytes_of_view(result.content_type));
    *encoded = encoded_since(list, result.at);
    if (encoded->length > LIMIT_RESULT_BYTES) {
        return rule_refuse(error, place_of("result"),
                           "must be at most %d bytes, found %u; store it elsewhere and give a link",
                           LIMIT_RESULT_BYTES, encoded->length);
    }
    return 0;
}

/* ---- UpdateActivity ---- */

static int check_end(struct request_error *error, const struct update_fields *fields)
{
    bool complete = fields->has_percent && fields->percent == LIMIT_PERCENT_MAX;
    if (fields->has_failure && fields->has_result) {
        return rule_refuse(error, place_of("failure"),
                           "may not stand beside a result, found both; a job fails or returns");
    }
    if (fields->has_failure && complete) {
        return rule_refuse(error, place_of("failure"),
                           "may not stand beside percent = 100, found both; leave the percent out");
    }
    if (fields->has_result && !complete) {
        char found[24] = "no percent";
        if (fields->has_percent) {
            (void)snprintf(found, sizeof found, "percent = %u", fields->percent);
        }
        return rule_refuse(error, place_of("result"),
                           "may stand only beside percent = 100, found %s; send it with the last "
                           "update",
                           found);
    }
    return 0;
}

static int check_failure(struct request_error *error, const struct update_fields *fields)
{
    return fields->has_failure &&
           (rule_text(error, place_of("failure.code"), fields->failure_code, 1,
                      LIMIT_FAILURE_CODE_LENGTH) != 0 ||
            rule_text(error, place_of("failure.message"), fields->failure_message, 0,
                      LIMIT_FAILURE_MESSAGE_LENGTH) != 0);
}

int decode_update_activity(struct decoding *decoding)
{
    struct request_error *error = decoding->error;
    struct update_fields fields = {.job_id = 0};
    if (!read_update(decoding->payload, &fields)) {
        return decoding_malformed(decoding);
    }
    struct command_update *update = &decoding->scratch->command.update;
    decoding->scratch->command.kind = COMMAND_UPDATE;
    update->result = (struct bytes){NULL, 0};
    if (rule_job_id(error, fields.job_id) != 0 || rule_percent(error, fields.percent) != 0 ||
        rule_text(error, place_of("status_text"), fields.status_text, 0,
                  LIMIT_STATUS_TEXT_LENGTH) != 0 ||
        check_end(error, &fields) != 0 || check_failure(error, &fields) != 0 ||
        (fields.has_result && encode_result(decoding, &update->result) != 0)) {
        return 1;
    }
    update->caller = *decoding->caller;
    update->job_id = fields.job_id;
    update->has_percent = fields.has_percent;
    update->percent = (uint8_t)fields.percent;
    update->has_status_text = fields.has_status_text;
    update->status_text = bytes_of_view(fields.status_text);
    update->has_failure = fields.has_failure;
    update->failure_code = bytes_of_view(fields.failure_code);
    update->failure_message = bytes_of_view(fields.failure_message);
    return 0;
}

/* ---- BatchUpdateActivities ---- */

static int refuse_batch(const struct decoding *decoding, enum batch_outcome outcome,
                        uint32_t bad_index)
{
    struct request_error *error = decoding->error;
    switch (outcome) {
    case BATCH_EMPTY:
        return rule_refuse(error, place_of("job_id_deltas"),
                           "must be 1 to %d updates, found none; leave the call out",
                           LIMIT_BATCH_UPDATES);
    case BATCH_TOO_MANY:
        return rule_refuse(error, place_of("job_id_deltas"),
                           "must be 1 to %d updates, found more; send several batches",
                           LIMIT_BATCH_UPDATES);
    case BATCH_COUNTS_DIFFER:
        return rule_refuse(error, place_of("percents"),
                           "must be one byte for each of job_id_deltas, found another number; fill "
                           "both columns");
    case BATCH_BAD_PERCENT: {
        struct place place = {NULL, 0, "percents", bad_index};
        return rule_refuse(
            error, place,
            "must be 0 to %d, found more; the whole batch is refused: correct it and "
            "send all again",
            LIMIT_PERCENT_MAX);
    }
    default:
        return decoding_malformed(decoding);
    }
}

int decode_batch_update(struct decoding *decoding)
{
    struct batch_columns columns = {.count = 0};
    uint32_t bad_index = 0;
    enum batch_outcome outcome =
        batch_request_decode(decoding->payload, &decoding->scratch->batch, &columns, &bad_index);
    if (outcome != BATCH_OK) {
        return refuse_batch(decoding, outcome, bad_index);
    }
    struct command_batch *batch = &decoding->scratch->command.batch;
    decoding->scratch->command.kind = COMMAND_BATCH;
    batch->caller = *decoding->caller;
    batch->count = columns.count;
    batch->deltas = bytes_of_view(columns.deltas);
    batch->percents = bytes_of_view(columns.percents);
    return 0;
}
