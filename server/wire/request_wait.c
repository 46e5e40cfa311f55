/* WaitActivity and WaitVisible: what is waited for. How long stands beside the query. */
#include "proto/limits.h"
#include "server/wire/decoding.h"

/* Field numbers of activity/v1/activity_service.proto and change_service.proto. */
enum { ACTIVITY_JOB_ID = 1, ACTIVITY_PERCENT = 2, ACTIVITY_CHILDREN = 3, ACTIVITY_WAIT_MS = 4 };
enum { VISIBLE_TICKET = 1, VISIBLE_JOB_ID = 2, VISIBLE_STAGE = 3, VISIBLE_WAIT_MS = 4 };

struct activity_fields {
    uint64_t job_id;
    uint32_t percent;
    bool children;
    uint32_t wait_ms;
};

static bool read_activity(struct view payload, struct activity_fields *fields)
{
    struct message message = message_of(payload);
    struct field field;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case ACTIVITY_JOB_ID:
            fields->job_id = message_number(&message, &field);
            break;
        case ACTIVITY_PERCENT:
            fields->percent = message_uint32(&message, &field);
            break;
        case ACTIVITY_CHILDREN:
            fields->children = message_bool(&message, &field);
            break;
        case ACTIVITY_WAIT_MS:
            fields->wait_ms = message_uint32(&message, &field);
            break;
        default:
            break;
        }
    }
    return !message.malformed;
}

int decode_wait_activity(struct decoding *decoding)
{
    struct request_error *error = decoding->error;
    struct activity_fields fields = {.job_id = 0};
    if (!read_activity(decoding->payload, &fields)) {
        return decoding_malformed(decoding);
    }
    if (rule_job_id(error, fields.job_id) != 0) {
        return 1;
    }
    if (fields.percent > LIMIT_PERCENT_MAX) {
        return rule_refuse(error, place_of("percent"),
                           "must be 1 to %d, or 0 for %d, found %u; send a share of one hundred",
                           LIMIT_PERCENT_MAX, LIMIT_PERCENT_MAX, fields.percent);
    }
    if (rule_wait_ms(error, fields.wait_ms) != 0) {
        return 1;
    }
    decoding->scratch->query.wait = (struct query_wait){
        .job_id = fields.job_id,
        .percent = (uint8_t)(fields.percent == 0 ? LIMIT_PERCENT_MAX : fields.percent),
        .children = fields.children,
    };
    decoding->scratch->wait_ms = fields.wait_ms;
    return 0;
}

struct visible_fields {
    uint64_t ticket;
    uint64_t job_id;
    uint32_t stage;
    uint32_t wait_ms;
};

static bool read_visible(struct view payload, struct visible_fields *fields)
{
    struct message message = message_of(payload);
    struct field field;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case VISIBLE_TICKET:
            fields->ticket = message_fixed64(&message, &field);
            break;
        case VISIBLE_JOB_ID:
            fields->job_id = message_number(&message, &field);
            break;
        case VISIBLE_STAGE:
            fields->stage = message_uint32(&message, &field);
            break;
        case VISIBLE_WAIT_MS:
            fields->wait_ms = message_uint32(&message, &field);
            break;
        default:
            break;
        }
    }
    return !message.malformed;
}

static int check_visible(struct request_error *error, const struct visible_fields *fields)
{
    if (fields->ticket == 0 && fields->job_id == 0) {
        return rule_refuse(error, place_of("ticket"),
                           "is required unless job_id is given, found neither; give the ticket "
                           "that RecordModelChanges replied, or the job of the changes");
    }
    if (fields->ticket != 0 && fields->job_id != 0) {
        return rule_refuse(error, place_of("job_id"),
                           "may not stand beside ticket, found both; leave one of them out");
    }
    if (fields->stage > VISIBLE_SEARCHABLE) {
        return rule_refuse(error, place_of("stage"),
                           "must be a value of VisibleStage, 0 to %d, found %u; leave it out for "
                           "ACKED",
                           VISIBLE_SEARCHABLE, fields->stage);
    }
    return rule_wait_ms(error, fields->wait_ms);
}

int decode_wait_visible(struct decoding *decoding)
{
    struct visible_fields fields = {.ticket = 0};
    if (!read_visible(decoding->payload, &fields)) {
        return decoding_malformed(decoding);
    }
    if (check_visible(decoding->error, &fields) != 0) {
        return 1;
    }
    decoding->scratch->query.wait = (struct query_wait){
        .ticket = fields.ticket,
        .job_id = fields.job_id,
        .stage = (uint8_t)(fields.stage == 0 ? VISIBLE_ACKED : fields.stage),
    };
    decoding->scratch->wait_ms = fields.wait_ms;
    return 0;
}
