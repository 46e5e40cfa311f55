/* CreateActivity, UpdateActivity, DestroyActivity, and what names a job alone. */
#include "proto/limits.h"
#include "server/wire/decoding.h"
#include "server/wire/encode.h"

/* Field numbers of activity/v1/activity_service.proto and types.proto. */
enum { JOB_ID = 1 };
enum {
    CREATE_REQUEST_ID = 1,
    CREATE_TYPE = 2,
    CREATE_TITLE = 3,
    CREATE_GROUPS = 4,
    CREATE_ATTRIBUTES = 5,
    CREATE_PARENT_JOB_ID = 6,
    CREATE_RETRY_OF_JOB_ID = 7,
};
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_VALUE = 2 };
enum { ACTIVITY_ATTRIBUTES = 10 };

struct attribute {
    struct view name;
    struct view value;
};

struct create_fields {
    struct view request_id;
    struct view type;
    struct view title;
    struct group_list groups;
    size_t attribute_count; /* counts on beyond the limit */
    struct attribute attributes[LIMIT_ATTRIBUTE_COUNT];
    uint64_t parent_job_id;
    uint64_t retry_of_job_id;
};

static void read_attribute(struct message *outer, const struct field *member,
                           struct create_fields *fields)
{
    struct message message = message_of(message_bytes(outer, member));
    struct attribute attribute = {{NULL, 0}, {NULL, 0}};
    struct field field;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case ATTRIBUTE_NAME:
            attribute.name = message_bytes(&message, &field);
            break;
        case ATTRIBUTE_VALUE:
            attribute.value = message_bytes(&message, &field);
            break;
        default:
            break;
        }
    }
    outer->malformed = outer->malformed || message.malformed;
    if (fields->attribute_count < LIMIT_ATTRIBUTE_COUNT) {
        fields->attributes[fields->attribute_count] = attribute;
    }
    fields->attribute_count++;
}

static bool read_create(struct view payload, struct create_fields *fields)
{
    struct message message = message_of(payload);
    struct field field;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case CREATE_REQUEST_ID:
            fields->request_id = message_bytes(&message, &field);
            break;
        case CREATE_TYPE:
            fields->type = message_bytes(&message, &field);
            break;
        case CREATE_TITLE:
            fields->title = message_bytes(&message, &field);
            break;
        case CREATE_GROUPS:
            group_list_add(&fields->groups, message_bytes(&message, &field));
            break;
        case CREATE_ATTRIBUTES:
            read_attribute(&message, &field, fields);
            break;
        case CREATE_PARENT_JOB_ID:
            fields->parent_job_id = message_number(&message, &field);
            break;
        case CREATE_RETRY_OF_JOB_ID:
            fields->retry_of_job_id = message_number(&message, &field);
            break;
        default:
            break;
        }
    }
    return !message.malformed;
}

static int check_attribute(struct request_error *error, const struct create_fields *fields,
                           size_t index)
{
    const struct attribute *attribute = &fields->attributes[index];
    struct place name = {"attributes", index, "name", NOT_REPEATED};
    struct place value = {"attributes", index, "value", NOT_REPEATED};
    if (rule_name(error, name, attribute->name, LIMIT_ATTRIBUTE_NAME_LENGTH) != 0 ||
        rule_text(error, value, attribute->value, 0, LIMIT_ATTRIBUTE_VALUE_LENGTH) != 0) {
        return 1;
    }
    for (size_t i = 0; i < index; i++) {
        if (view_equal(fields->attributes[i].name, attribute->name)) {
            return rule_refuse(
                error, name, "must be unique, found the same as in attributes[%zu]; merge the two",
                i);
        }
    }
    return 0;
}

/* As they stand in an Activity, so that an answer takes them over as they are. */
static struct bytes encode_attributes(const struct create_fields *fields, uint8_t *to)
{
    uint8_t *at = to;
    for (size_t i = 0; i < fields->attribute_count; i++) {
        uint8_t
            one[LIMIT_ATTRIBUTE_NAME_LENGTH + LIMIT_ATTRIBUTE_VALUE_LENGTH + 2 * ENCODE_HEAD_MAX];
        uint8_t *end = encode_bytes(one, ATTRIBUTE_NAME, bytes_of_view(fields->attributes[i].name));
        end = encode_bytes(end, ATTRIBUTE_VALUE, bytes_of_view(fields->attributes[i].value));
        at = encode_member(at, ACTIVITY_ATTRIBUTES, encoded_since(one, end));
    }
    return encoded_since(to, at);
}

static int check_attributes(struct request_error *error, const struct create_fields *fields)
{
    if (fields->attribute_count > LIMIT_ATTRIBUTE_COUNT) {
        return rule_refuse(error, place_of("attributes"),
                           "must be at most %d, found %zu; merge or leave out some",
                           LIMIT_ATTRIBUTE_COUNT, fields->attribute_count);
    }
    for (size_t i = 0; i < fields->attribute_count; i++) {
        if (check_attribute(error, fields, i) != 0) {
            return 1;
        }
    }
    return 0;
}

int decode_create_activity(struct decoding *decoding)
{
    struct request_error *error = decoding->error;
    struct create_fields fields = {.request_id = {NULL, 0}};
    if (!read_create(decoding->payload, &fields)) {
        return decoding_malformed(decoding);
    }
    decoding->scratch->command.kind = COMMAND_CREATE;
    struct command_create *create = &decoding->scratch->command.create;
    if (rule_request_id(error, fields.request_id) != 0 ||
        rule_name(error, place_of("type"), fields.type, LIMIT_TYPE_LENGTH) != 0 ||
        rule_text(error, place_of("title"), fields.title, 0, LIMIT_TITLE_LENGTH) != 0 ||
        group_list_check(error, place_of("groups"), &fields.groups, false, &create->groups) != 0 ||
        check_attributes(error, &fields) != 0) {
        return 1;
    }
    create->attributes = encode_attributes(&fields, decoding->scratch->list);
    if (create->attributes.length > LIMIT_ATTRIBUTES_BYTES) {
        return rule_refuse(error, place_of("attributes"),
                           "must be at most %d bytes in all, found %u; shorten some",
                           LIMIT_ATTRIBUTES_BYTES, create->attributes.length);
    }
    create->caller = *decoding->caller;
    memcpy(create->request_id, fields.request_id.bytes, sizeof create->request_id);
    create->payload = (struct bytes){NULL, 0};
    create->type = bytes_of_view(fields.type);
    create->title = bytes_of_view(fields.title);
    create->parent_job_id = fields.parent_job_id;
    create->retry_of_job_id = fields.retry_of_job_id;
    return 0;
}

static bool read_job_id(struct view payload, uint64_t *job_id)
{
    struct message message = message_of(payload);
    struct field field;
    *job_id = 0;
    while (message_next(&message, &field)) {
        if (field.number == JOB_ID) {
            *job_id = message_number(&message, &field);
        }
    }
    return !message.malformed;
}

int decode_job_id(struct decoding *decoding)
{
    uint64_t *job_id = &decoding->scratch->query.job_id;
    if (!read_job_id(decoding->payload, job_id)) {
        return decoding_malformed(decoding);
    }
    return rule_job_id(decoding->error, *job_id);
}

int decode_destroy_activity(struct decoding *decoding)
{
    decoding->scratch->command.kind = COMMAND_DESTROY;
    struct command_destroy *destroy = &decoding->scratch->command.destroy;
    if (!read_job_id(decoding->payload, &destroy->job_id)) {
        return decoding_malformed(decoding);
    }
    destroy->caller = *decoding->caller;
    return rule_job_id(decoding->error, destroy->job_id);
}
