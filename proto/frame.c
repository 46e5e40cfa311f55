#include "proto/frame.h"

#include <string.h>

#include "proto/field.h"

/* Field numbers of activity/v1/envelope.proto. */
enum { METADATA_NAME = 1, METADATA_VALUE = 2 };
enum { CALLER_TENANT = 1, CALLER_USER = 2, CALLER_GROUPS = 3 };
enum {
    REQUEST_METHOD = 1,
    REQUEST_TIMEOUT_MS = 2,
    REQUEST_ON_BEHALF_OF = 3,
    REQUEST_METADATA = 4,
    REQUEST_PAYLOAD = 5,
};
enum {
    STATUS_FIELD_CODE = 1,
    STATUS_FIELD_MESSAGE = 2,
    STATUS_FIELD_REASON = 3,
    STATUS_FIELD_METADATA = 4,
    STATUS_FIELD_RETRY_AFTER_MS = 5,
};
enum { REPLY_STATUS = 1, REPLY_EPOCH = 2, REPLY_PAYLOAD = 3 };

static const char no_message[] = "is no protobuf message";

/* For what keeps a rule of protobuf but not of its field. */
static int refuse(struct frame_error *error, const char *field, const char *rule)
{
    *error = (struct frame_error){REASON_BAD_FIELD, field, rule};
    return 1;
}

/* For what is no envelope at all. */
static int refuse_frame(struct frame_error *error, const char *field, const char *rule)
{
    *error = (struct frame_error){REASON_MALFORMED_FRAME, field, rule};
    return 1;
}

/* --- Single fields --- */

struct text_rule {
    const char *field;
    size_t length_min;
    size_t length_max;
    const char *length_rule;
    bool (*is_well_formed)(struct view text); /* NULL: any text */
    const char *form_rule;
};

#define DIGITS_(number)   #number
#define DIGITS(number)    DIGITS_(number)
#define LENGTH_UP_TO(max) .length_max = max, .length_rule = "is longer than " DIGITS(max) " bytes"
#define LENGTH_1_TO(max)                                                                           \
    .length_min = 1, .length_max = max, .length_rule = "is not 1 to " DIGITS(max) " bytes long"

static bool is_letter_or_digit(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9');
}

static bool is_tenant(struct view text)
{
    for (size_t i = 0; i < text.length; i++) {
        uint8_t byte = text.bytes[i];
        if (!is_letter_or_digit(byte) && (i == 0 || (byte != '.' && byte != '_' && byte != '-'))) {
            return false;
        }
    }
    return true;
}

static bool is_metadata_name(struct view text)
{
    for (size_t i = 0; i < text.length; i++) {
        uint8_t byte = text.bytes[i];
        bool lower_or_digit = is_letter_or_digit(byte) && (byte < 'A' || byte > 'Z');
        if (!lower_or_digit && byte != '_' && byte != '-') {
            return false;
        }
    }
    return true;
}

static const struct text_rule method_rule = {
    .field = "method",
    LENGTH_UP_TO(LIMIT_METHOD_LENGTH),
};
static const struct text_rule tenant_rule = {
    .field = "on_behalf_of.tenant",
    LENGTH_1_TO(LIMIT_TENANT_LENGTH),
    .is_well_formed = is_tenant,
    .form_rule = "does not match [a-zA-Z0-9][a-zA-Z0-9._-]*",
};
static const struct text_rule user_rule = {
    .field = "on_behalf_of.user",
    LENGTH_UP_TO(LIMIT_USER_LENGTH),
};
static const struct text_rule group_rule = {
    .field = "on_behalf_of.groups",
    LENGTH_1_TO(LIMIT_GROUP_LENGTH),
};
static const struct text_rule message_rule = {
    .field = "status.message",
    LENGTH_UP_TO(LIMIT_STATUS_MESSAGE_LENGTH),
};
static const struct text_rule reason_rule = {
    .field = "status.reason",
    LENGTH_UP_TO(LIMIT_REASON_LENGTH),
};

/* Metadata stands in requests and in statuses, with different paths and forms of names. */
struct metadata_rules {
    struct text_rule name;
    struct text_rule value;
};
static const struct metadata_rules request_metadata_rules = {
    .name = {.field = "metadata.name",
             LENGTH_1_TO(LIMIT_METADATA_NAME_LENGTH),
             .is_well_formed = is_metadata_name,
             .form_rule = "does not match [a-z0-9_-]+"},
    .value = {.field = "metadata.value", LENGTH_UP_TO(LIMIT_METADATA_VALUE_LENGTH)},
};
static const struct metadata_rules status_metadata_rules = {
    .name = {.field = "status.metadata.name", LENGTH_1_TO(LIMIT_METADATA_NAME_LENGTH)},
    .value = {.field = "status.metadata.value", LENGTH_UP_TO(LIMIT_METADATA_VALUE_LENGTH)},
};

/* A known field of another type is refused, not skipped: protobuf-c refuses it too, and it is never
 * a newer version. */
static int expect_type(const struct field *field, enum field_type type, const char *path,
                       struct frame_error *error)
{
    return field->type == type ? 0 : refuse_frame(error, path, "has the wrong wire type");
}

static int read_text(const struct field *field, const struct text_rule *rule, struct view *text,
                     struct frame_error *error)
{
    if (expect_type(field, FIELD_BYTES, rule->field, error) != 0) {
        return 1;
    }
    if (field->bytes.length < rule->length_min || field->bytes.length > rule->length_max) {
        return refuse(error, rule->field, rule->length_rule);
    }
    if (!view_is_text(field->bytes)) {
        return refuse(error, rule->field, "is not UTF-8 or has control characters");
    }
    if (rule->is_well_formed != NULL && !rule->is_well_formed(field->bytes)) {
        return refuse(error, rule->field, rule->form_rule);
    }
    *text = field->bytes;
    return 0;
}

static int read_uint32(const struct field *field, const char *path, uint32_t *value,
                       struct frame_error *error)
{
    if (expect_type(field, FIELD_VARINT, path, error) != 0) {
        return 1;
    }
    *value = (uint32_t)field->value; /* protobuf: a longer varint is truncated */
    return 0;
}

static int read_metadata(const struct field *field, const struct metadata_rules *rules,
                         struct frame_metadata *metadata, struct frame_error *error)
{
    struct view rest = field->bytes;
    struct field member;
    enum field_outcome outcome;
    *metadata = (struct frame_metadata){0};
    while ((outcome = field_next(&rest, &member)) == FIELD_READ) {
        if (member.number == METADATA_NAME &&
            read_text(&member, &rules->name, &metadata->name, error) != 0) {
            return 1;
        }
        if (member.number == METADATA_VALUE &&
            read_text(&member, &rules->value, &metadata->value, error) != 0) {
            return 1;
        }
    }
    if (outcome == FIELD_MALFORMED) {
        return refuse_frame(error, rules->name.field, no_message);
    }
    if (metadata->name.length == 0) {
        return refuse(error, rules->name.field, rules->name.length_rule);
    }
    return 0;
}

/* --- Requests --- */

static int read_group(const struct field *field, struct frame_request *frame,
                      struct frame_error *error)
{
    if (frame->group_count == LIMIT_CALLER_GROUPS) {
        return refuse(error, group_rule.field,
                      "has more than " DIGITS(LIMIT_CALLER_GROUPS) " members");
    }
    return read_text(field, &group_rule, &frame->groups[frame->group_count++], error);
}

static int read_caller_field(const struct field *field, struct frame_request *frame,
                             struct frame_error *error)
{
    switch (field->number) {
    case CALLER_TENANT:
        return read_text(field, &tenant_rule, &frame->tenant, error);
    case CALLER_USER:
        return read_text(field, &user_rule, &frame->user, error);
    case CALLER_GROUPS:
        return read_group(field, frame, error);
    default:
        return 0;
    }
}

static int read_on_behalf_of(const struct field *field, struct frame_request *frame,
                             struct frame_error *error)
{
    static const char path[] = "on_behalf_of";
    if (expect_type(field, FIELD_BYTES, path, error) != 0) {
        return 1;
    }
    if (frame->on_behalf_of) {
        return refuse_frame(error, path, "stands more than once");
    }
    frame->on_behalf_of = true;
    struct view rest = field->bytes;
    struct field member;
    enum field_outcome outcome;
    while ((outcome = field_next(&rest, &member)) == FIELD_READ) {
        if (read_caller_field(&member, frame, error) != 0) {
            return 1;
        }
    }
    if (outcome == FIELD_MALFORMED) {
        return refuse_frame(error, path, no_message);
    }
    if (frame->tenant.length == 0) {
        return refuse(error, tenant_rule.field, tenant_rule.length_rule);
    }
    if (frame->group_count > 0 && frame->user.length == 0) {
        return refuse(error, group_rule.field, "stands without a user");
    }
    return 0;
}

static int read_request_metadata(const struct field *field, struct frame_request *frame,
                                 struct frame_error *error)
{
    static const char path[] = "metadata";
    if (expect_type(field, FIELD_BYTES, path, error) != 0) {
        return 1;
    }
    if (frame->metadata_count == LIMIT_METADATA_COUNT) {
        return refuse(error, path, "has more than " DIGITS(LIMIT_METADATA_COUNT) " members");
    }
    return read_metadata(field, &request_metadata_rules, &frame->metadata[frame->metadata_count++],
                         error);
}

static int read_payload(const struct field *field, struct view *payload, struct frame_error *error)
{
    if (expect_type(field, FIELD_BYTES, "payload", error) != 0) {
        return 1;
    }
    *payload = field->bytes;
    return 0;
}

static int read_request_field(const struct field *field, struct frame_request *frame,
                              struct frame_error *error)
{
    switch (field->number) {
    case REQUEST_METHOD:
        return read_text(field, &method_rule, &frame->method, error);
    case REQUEST_TIMEOUT_MS:
        return read_uint32(field, "timeout_ms", &frame->timeout_ms, error);
    case REQUEST_ON_BEHALF_OF:
        return read_on_behalf_of(field, frame, error);
    case REQUEST_METADATA:
        return read_request_metadata(field, frame, error);
    case REQUEST_PAYLOAD:
        return read_payload(field, &frame->payload, error);
    default:
        return 0;
    }
}

int frame_request_decode(struct view bytes, struct frame_request *frame, struct frame_error *error)
{
    *frame = (struct frame_request){0};
    struct field field;
    enum field_outcome outcome;
    while ((outcome = field_next(&bytes, &field)) == FIELD_READ) {
        if (read_request_field(&field, frame, error) != 0) {
            return 1;
        }
    }
    if (outcome == FIELD_MALFORMED) {
        return refuse_frame(error, "", no_message);
    }
    size_t metadata_bytes = 0;
    for (size_t i = 0; i < frame->metadata_count; i++) {
        metadata_bytes += frame->metadata[i].name.length + frame->metadata[i].value.length;
    }
    if (metadata_bytes > LIMIT_METADATA_BYTES) {
        return refuse(error, "metadata", "has more than " DIGITS(LIMIT_METADATA_BYTES) " bytes");
    }
    return 0;
}

static size_t metadata_size(const struct frame_metadata *metadata)
{
    return field_bytes_size(metadata->name.length) + field_bytes_size(metadata->value.length);
}

static size_t metadata_list_size(const struct frame_metadata *metadata, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size_t length = metadata_size(&metadata[i]);
        size += field_head_size(length) + length;
    }
    return size;
}

static uint8_t *write_metadata(uint8_t *to, uint32_t number, const struct frame_metadata *metadata,
                               size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to = field_write_head(to, number, metadata_size(&metadata[i]));
        to = field_write_bytes(to, METADATA_NAME, metadata[i].name);
        to = field_write_bytes(to, METADATA_VALUE, metadata[i].value);
    }
    return to;
}

static size_t on_behalf_of_size(const struct frame_request *frame)
{
    size_t size = field_bytes_size(frame->tenant.length) + field_bytes_size(frame->user.length);
    for (size_t i = 0; i < frame->group_count; i++) {
        size += field_head_size(frame->groups[i].length) + frame->groups[i].length;
    }
    return size;
}

/* A member of a repeated field is present even when it is empty. */
static uint8_t *write_member(uint8_t *to, uint32_t number, struct view member)
{
    to = field_write_head(to, number, member.length);
    if (member.length > 0) {
        memcpy(to, member.bytes, member.length);
    }
    return to + member.length;
}

static size_t payload_head_size(struct view payload)
{
    return payload.length == 0 ? 0 : field_head_size(payload.length);
}

static uint8_t *write_payload_head(uint8_t *to, uint32_t number, struct view payload)
{
    return payload.length == 0 ? to : field_write_head(to, number, payload.length);
}

size_t frame_request_head_size(const struct frame_request *frame)
{
    size_t size = field_bytes_size(frame->method.length) + field_varint_size(frame->timeout_ms);
    if (frame->on_behalf_of) {
        size_t length = on_behalf_of_size(frame);
        size += field_head_size(length) + length;
    }
    return size + metadata_list_size(frame->metadata, frame->metadata_count) +
           payload_head_size(frame->payload);
}

uint8_t *frame_request_encode_head(const struct frame_request *frame, uint8_t *to)
{
    to = field_write_bytes(to, REQUEST_METHOD, frame->method);
    to = field_write_varint(to, REQUEST_TIMEOUT_MS, frame->timeout_ms);
    if (frame->on_behalf_of) {
        to = field_write_head(to, REQUEST_ON_BEHALF_OF, on_behalf_of_size(frame));
        to = field_write_bytes(to, CALLER_TENANT, frame->tenant);
        to = field_write_bytes(to, CALLER_USER, frame->user);
        for (size_t i = 0; i < frame->group_count; i++) {
            to = write_member(to, CALLER_GROUPS, frame->groups[i]);
        }
    }
    to = write_metadata(to, REQUEST_METADATA, frame->metadata, frame->metadata_count);
    return write_payload_head(to, REQUEST_PAYLOAD, frame->payload);
}

/* --- Replies --- */

static int read_status_metadata(const struct field *field, struct frame_reply *frame,
                                struct frame_error *error)
{
    if (expect_type(field, FIELD_BYTES, "status.metadata", error) != 0) {
        return 1;
    }
    if (frame->metadata_count == LIMIT_STATUS_METADATA_COUNT) {
        struct frame_metadata dropped; /* a newer server may know more; it only explains */
        return read_metadata(field, &status_metadata_rules, &dropped, error);
    }
    return read_metadata(field, &status_metadata_rules, &frame->metadata[frame->metadata_count++],
                         error);
}

static int read_status_field(const struct field *field, struct frame_reply *frame,
                             struct frame_error *error)
{
    switch (field->number) {
    case STATUS_FIELD_CODE:
        return read_uint32(field, "status.code", &frame->code, error);
    case STATUS_FIELD_MESSAGE:
        return read_text(field, &message_rule, &frame->message, error);
    case STATUS_FIELD_REASON:
        return read_text(field, &reason_rule, &frame->reason, error);
    case STATUS_FIELD_METADATA:
        return read_status_metadata(field, frame, error);
    case STATUS_FIELD_RETRY_AFTER_MS:
        return read_uint32(field, "status.retry_after_ms", &frame->retry_after_ms, error);
    default:
        return 0;
    }
}

static int read_status(const struct field *field, bool *seen, struct frame_reply *frame,
                       struct frame_error *error)
{
    static const char path[] = "status";
    if (expect_type(field, FIELD_BYTES, path, error) != 0) {
        return 1;
    }
    if (*seen) {
        return refuse_frame(error, path, "stands more than once");
    }
    *seen = true;
    struct view rest = field->bytes;
    struct field member;
    enum field_outcome outcome;
    while ((outcome = field_next(&rest, &member)) == FIELD_READ) {
        if (read_status_field(&member, frame, error) != 0) {
            return 1;
        }
    }
    return outcome == FIELD_END ? 0 : refuse_frame(error, path, no_message);
}

static int read_epoch(const struct field *field, uint64_t *epoch, struct frame_error *error)
{
    if (expect_type(field, FIELD_FIXED64, "epoch", error) != 0) {
        return 1;
    }
    *epoch = field->value;
    return 0;
}

static int read_reply_field(const struct field *field, bool *status_seen, struct frame_reply *frame,
                            struct frame_error *error)
{
    switch (field->number) {
    case REPLY_STATUS:
        return read_status(field, status_seen, frame, error);
    case REPLY_EPOCH:
        return read_epoch(field, &frame->epoch, error);
    case REPLY_PAYLOAD:
        return read_payload(field, &frame->payload, error);
    default:
        return 0;
    }
}

int frame_reply_decode(struct view bytes, struct frame_reply *frame, struct frame_error *error)
{
    *frame = (struct frame_reply){0};
    struct field field;
    enum field_outcome outcome;
    bool status_seen = false;
    while ((outcome = field_next(&bytes, &field)) == FIELD_READ) {
        if (read_reply_field(&field, &status_seen, frame, error) != 0) {
            return 1;
        }
    }
    if (outcome == FIELD_MALFORMED) {
        return refuse_frame(error, "", no_message);
    }
    return status_seen ? 0 : refuse_frame(error, "status", "is missing");
}

static size_t status_size(const struct frame_reply *frame)
{
    return field_varint_size(frame->code) + field_bytes_size(frame->message.length) +
           field_bytes_size(frame->reason.length) +
           metadata_list_size(frame->metadata, frame->metadata_count) +
           field_varint_size(frame->retry_after_ms);
}

size_t frame_reply_head_size(const struct frame_reply *frame)
{
    size_t length = status_size(frame);
    return field_head_size(length) + length + field_fixed64_size(frame->epoch) +
           payload_head_size(frame->payload);
}

uint8_t *frame_reply_encode_head(const struct frame_reply *frame, uint8_t *to)
{
    to = field_write_head(to, REPLY_STATUS, status_size(frame));
    to = field_write_varint(to, STATUS_FIELD_CODE, frame->code);
    to = field_write_bytes(to, STATUS_FIELD_MESSAGE, frame->message);
    to = field_write_bytes(to, STATUS_FIELD_REASON, frame->reason);
    to = write_metadata(to, STATUS_FIELD_METADATA, frame->metadata, frame->metadata_count);
    to = field_write_varint(to, STATUS_FIELD_RETRY_AFTER_MS, frame->retry_after_ms);
    to = field_write_fixed64(to, REPLY_EPOCH, frame->epoch);
    return write_payload_head(to, REPLY_PAYLOAD, frame->payload);
}
