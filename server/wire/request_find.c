/* FindActivities: filters and pages. */
#include "proto/limits.h"
#include "server/wire/decoding.h"
#include "server/wire/token.h"

/* Field numbers of activity/v1/activity_service.proto. */
enum {
    FIND_ACTIVITIES = 1,
    FIND_MODEL_CHANGES = 2,
    FIND_MODEL_CHANGES_ES = 3,
    FIND_TYPES = 4,
    FIND_STATES = 5,
    FIND_JOB_IDS = 6,
    FIND_UPDATED_SINCE_MS = 7,
    FIND_PAGE_SIZE = 8,
    FIND_PAGE_TOKEN = 9,
    FIND_OBSERVE = 10,
};

struct find_fields {
    struct view types[LIMIT_FIND_TYPES];
    size_t type_count; /* these counts go on beyond their limits */
    uint64_t states[LIMIT_FIND_STATES];
    size_t state_count;
    size_t job_id_count;
    uint32_t page_size;
    struct view page_token;
};

static void read_type(struct message *message, const struct field *field,
                      struct find_fields *fields)
{
    struct view type = message_bytes(message, field);
    if (fields->type_count < LIMIT_FIND_TYPES) {
        fields->types[fields->type_count] = type;
    }
    fields->type_count++;
}

static bool read_find(struct view payload, struct find_fields *fields, struct query_find *find)
{
    struct message message = message_of(payload);
    struct field field;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case FIND_ACTIVITIES:
        case FIND_MODEL_CHANGES:
        case FIND_MODEL_CHANGES_ES:
            find->lists[field.number - FIND_ACTIVITIES] = message_bool(&message, &field);
            break;
        case FIND_TYPES:
            read_type(&message, &field, fields);
            break;
        case FIND_STATES:
            message_numbers(&message, &field, fields->states, LIMIT_FIND_STATES,
                            &fields->state_count);
            break;
        case FIND_JOB_IDS:
            message_numbers(&message, &field, find->filter.job_ids, LIMIT_FIND_JOB_IDS,
                            &fields->job_id_count);
            break;
        case FIND_UPDATED_SINCE_MS:
            find->filter.updated_since_ms = message_number(&message, &field);
            break;
        case FIND_PAGE_SIZE:
            fields->page_size = message_uint32(&message, &field);
            break;
        case FIND_PAGE_TOKEN:
            fields->page_token = message_bytes(&message, &field);
            break;
        case FIND_OBSERVE:
            find->observe = message_bool(&message, &field);
            break;
        default:
            break;
        }
    }
    return !message.malformed;
}

static int check_states(struct request_error *error, const struct find_fields *fields,
                        struct core_find_activities *filter)
{
    bool any = false;
    for (size_t i = 0; i < fields->state_count; i++) {
        uint64_t state = fields->states[i];
        if (state > ACTIVITY_KILLED) {
            struct place place = {NULL, 0, "states", i};
            return rule_refuse(
                error, place, "must be a value of ActivityState, 0 to %d, found %llu; leave it out",
                ACTIVITY_KILLED, (unsigned long long)state);
        }
        any = any || state == ACTIVITY_NONE;
        filter->states |= 1u << state;
    }
    filter->states = any ? 0 : filter->states;
    return 0;
}

static int check_filters(struct request_error *error, const struct find_fields *fields,
                         struct core_find_activities *filter)
{
    if (rule_count(error, "types", fields->type_count, LIMIT_FIND_TYPES) != 0 ||
        rule_count(error, "states", fields->state_count, LIMIT_FIND_STATES) != 0 ||
        rule_count(error, "job_ids", fields->job_id_count, LIMIT_FIND_JOB_IDS) != 0) {
        return 1;
    }
    for (size_t i = 0; i < fields->type_count; i++) {
        struct place place = {NULL, 0, "types", i};
        if (rule_name(error, place, fields->types[i], LIMIT_TYPE_LENGTH) != 0) {
            return 1;
        }
        filter->types[i] = bytes_of_view(fields->types[i]);
    }
    filter->type_count = (uint32_t)fields->type_count;
    filter->job_id_count = (uint32_t)fields->job_id_count;
    return check_states(error, fields, filter);
}

int decode_find_activities(struct decoding *decoding)
{
    struct request_error *error = decoding->error;
    struct query_find *find = &decoding->scratch->query.find;
    *find = (struct query_find){.page_size = 0};
    struct find_fields fields = {.type_count = 0};
    if (!read_find(decoding->payload, &fields, find)) {
        return decoding_malformed(decoding);
    }
    if (!find->lists[LIST_ACTIVITIES] && !find->lists[LIST_CHANGES] &&
        !find->lists[LIST_INDEX_CHANGES]) {
        find->lists[LIST_ACTIVITIES] = true;
        find->lists[LIST_CHANGES] = true;
        find->lists[LIST_INDEX_CHANGES] = true;
    }
    if (check_filters(error, &fields, &find->filter) != 0 ||
        rule_page_size(error, fields.page_size, LIMIT_PAGE_SIZE, &find->page_size) != 0) {
        return 1;
    }
    find->first_page = fields.page_token.length == 0;
    find->filter_hash = token_filter_hash(find);
    return rule_page_token(error, fields.page_token, find->filter_hash, &find->from);
}
