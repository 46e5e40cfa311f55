#include "server/core/effect.h"

#include "server/check.h"

/* tenant + principal + user + groups + two models + document id, each with its length, times and
 * flags */
_Static_assert(16 + 3 * 2 + LIMIT_TENANT_LENGTH + LIMIT_PRINCIPAL_LENGTH + LIMIT_USER_LENGTH + 1 +
                       LIMIT_OBJECT_GROUPS * (LIMIT_GROUP_LENGTH + 2) +
                       2 * (LIMIT_MODEL_LENGTH + 2) + LIMIT_DOCUMENT_ID_LENGTH + 2 + 25 <=
                   EVENT_CHANGED_BYTES_MAX,
               "an event about a change fits");
_Static_assert(16 + 3 * 2 + LIMIT_TENANT_LENGTH + LIMIT_PRINCIPAL_LENGTH + LIMIT_USER_LENGTH + 1 +
                       LIMIT_OBJECT_GROUPS * (LIMIT_GROUP_LENGTH + 2) + 10 + LIMIT_TYPE_LENGTH + 2 +
                       LIMIT_STATUS_TEXT_LENGTH + 2 + LIMIT_FAILURE_CODE_LENGTH + 2 +
                       LIMIT_FAILURE_MESSAGE_LENGTH + 2 <=
                   EVENT_ENDED_BYTES_MAX,
               "an event about an end fits");
_Static_assert(16 + 3 * 2 + LIMIT_TENANT_LENGTH + LIMIT_PRINCIPAL_LENGTH + LIMIT_USER_LENGTH + 1 +
                       LIMIT_OBJECT_GROUPS * (LIMIT_GROUP_LENGTH + 2) + 10 + LIMIT_TYPE_LENGTH + 2 +
                       LIMIT_STATUS_TEXT_LENGTH + 2 + 2 + 2 <=
                   EVENT_COMPLETED_BYTES_MAX,
               "an event about a completed job fits");
_Static_assert(EVENT_ENDED_BYTES_MAX + LIMIT_TITLE_LENGTH + LIMIT_ATTRIBUTES_BYTES + 32 <=
                   EVENT_BYTES_MAX,
               "an event about a new activity fits");

_Static_assert(3 * 2 + LIMIT_TENANT_LENGTH + LIMIT_MODEL_LENGTH + LIMIT_DOCUMENT_ID_LENGTH + 6 <=
                   TAKE_DOCUMENT_BYTES_MAX,
               "a document that is taken fits");

bool effect_next(struct reader *from, struct effect *effect)
{
    if (from->at == from->end) {
        return false;
    }
    uint8_t type = reader_u8(from);
    effect->type = (enum effect_type)type;
    effect->kind = reader_u8(from);
    effect->code = reader_u8(from);
    effect->reason = reader_u8(from);
    effect->body = reader_bytes(from, reader_u32(from));
    CHECK(!from->failed && (type == EFFECT_REPLY || type == EFFECT_EVENT));
    return true;
}

void reply_refusal_read(struct bytes body, struct reply_refusal *reply)
{
    struct reader from = reader_of(body);
    reply->field = (enum effect_field)reader_u8(&from);
    reply->retry_after_ms = reader_u32(&from);
    CHECK(!from.failed);
}

void reply_create_read(struct bytes body, struct reply_create *reply)
{
    struct reader from = reader_of(body);
    reply->job_id = reader_u64(&from);
    CHECK(!from.failed);
}

void reply_update_read(struct bytes body, struct reply_update *reply)
{
    struct reader from = reader_of(body);
    reply->job_id = reader_u64(&from);
    reply->percent = reader_u8(&from);
    reply->disposition = reader_u8(&from);
    CHECK(!from.failed);
}

void reply_batch_read(struct bytes body, struct reply_batch *reply)
{
    struct reader from = reader_of(body);
    reply->count = reader_u32(&from);
    reply->ignored = reader_u32(&from);
    bool all_applied = reader_u8(&from) != 0;
    reply->percents = reader_bytes(&from, reply->count);
    reply->dispositions = reader_bytes(&from, all_applied ? 0 : reply->count);
    CHECK(!from.failed);
}

void reply_destroy_read(struct bytes body, struct reply_destroy *reply)
{
    struct reader from = reader_of(body);
    reply->disposition = reader_u8(&from);
    CHECK(!from.failed);
}

void reply_record_read(struct bytes body, struct reply_record *reply)
{
    struct reader from = reader_of(body);
    reply->ticket = reader_u64(&from);
    reply->accept_ms = reader_u64(&from);
    CHECK(!from.failed);
}

void reply_take_read(struct bytes body, struct reply_take *reply)
{
    struct reader from = reader_of(body);
    reply->batch = reader_u64(&from);
    reply->sent_ms = reader_u64(&from);
    reply->cause = (enum take_cause)reader_u8(&from);
    reply->changes = reader_u32(&from);
    reply->document_count = reader_u32(&from);
    CHECK(!from.failed);
    reply->documents = bytes_of(from.at, (size_t)(from.end - from.at));
}

bool take_document_next(struct reader *from, struct take_document *document)
{
    if (from->at == from->end) {
        return false;
    }
    document->tenant = reader_text(from);
    document->model = reader_text(from);
    document->document_id = reader_text(from);
    document->kind = (enum take_kind)reader_u8(from);
    document->rests = reader_u8(from);
    document->change_count = reader_u32(from);
    CHECK(!from->failed);
    return true;
}

bool take_change_next(struct reader *from, struct take_document *document,
                      struct take_change *change)
{
    if (document->change_count == 0) {
        return false;
    }
    document->change_count--;
    change->version = reader_u64(from);
    change->deleted = reader_u8(from) != 0;
    change->accept_ms = reader_u64(from);
    change->json = reader_bytes(from, reader_u32(from));
    CHECK(!from->failed);
    return true;
}

void reply_result_read(struct bytes body, struct reply_result *reply)
{
    struct reader from = reader_of(body);
    reply->stale = reader_u8(&from) != 0;
    reply->acked = reader_u32(&from);
    reply->retried = reader_u32(&from);
    reply->parked = reader_u32(&from);
    CHECK(!from.failed);
}

void reply_index_start_read(struct bytes body, struct reply_index_start *reply)
{
    struct reader from = reader_of(body);
    reply->documents = reader_u32(&from);
    CHECK(!from.failed);
}

void reply_parked_read(struct bytes body, struct reply_parked *reply)
{
    struct reader from = reader_of(body);
    reply->found = reader_u8(&from) != 0;
    reply->changes = reader_u32(&from);
    CHECK(!from.failed);
}

void event_encode(const struct event *event, struct writer *to)
{
    writer_u64(to, event->sequence);
    writer_u64(to, event->time_ms);
    writer_text(to, event->tenant);
    writer_text(to, event->principal);
    writer_text(to, event->user);
    writer_u8(to, event->groups.count);
    for (uint32_t i = 0; i < event->groups.count; i++) {
        writer_text(to, event->groups.names[i]);
    }
    switch (event->kind) {
    case EVENT_ACTIVITY_CREATED:
        writer_u64(to, event->created.job_id);
        writer_text(to, event->created.type);
        writer_text(to, event->created.title);
        writer_text(to, event->created.attributes);
        writer_u64(to, event->created.parent_job_id);
        writer_u64(to, event->created.retry_of_job_id);
        break;
    case EVENT_ACTIVITY_ENDED:
        writer_u64(to, event->ended.job_id);
        writer_text(to, event->ended.type);
        writer_u8(to, event->ended.state);
        writer_u8(to, event->ended.percent);
        writer_text(to, event->ended.status_text);
        writer_text(to, event->ended.failure_code);
        writer_text(to, event->ended.failure_message);
        break;
    case EVENT_MODEL_CHANGED:
    case EVENT_INDEX_CHANGED:
        writer_text(to, event->changed.model);
        writer_text(to, event->changed.document_id);
        writer_text(to, event->changed.affected_model);
        writer_u8(to, event->changed.deleted ? 1 : 0);
        writer_u64(to, event->changed.first_ms);
        writer_u64(to, event->changed.last_ms);
        writer_u64(to, event->changed.updated_ms);
        break;
    }
}

static bool decode_own(struct reader *from, struct event *event)
{
    switch (event->kind) {
    case EVENT_ACTIVITY_CREATED:
        event->created.job_id = reader_u64(from);
        event->created.type = reader_text(from);
        event->created.title = reader_text(from);
        event->created.attributes = reader_text(from);
        event->created.parent_job_id = reader_u64(from);
        event->created.retry_of_job_id = reader_u64(from);
        return true;
    case EVENT_ACTIVITY_ENDED:
        event->ended.job_id = reader_u64(from);
        event->ended.type = reader_text(from);
        event->ended.state = reader_u8(from);
        event->ended.percent = reader_u8(from);
        event->ended.status_text = reader_text(from);
        event->ended.failure_code = reader_text(from);
        event->ended.failure_message = reader_text(from);
        return event->ended.percent <= LIMIT_PERCENT_MAX && event->ended.state > ACTIVITY_RUNNING &&
               event->ended.state <= ACTIVITY_KILLED;
    case EVENT_MODEL_CHANGED:
    case EVENT_INDEX_CHANGED:
        event->changed.model = reader_text(from);
        event->changed.document_id = reader_text(from);
        event->changed.affected_model = reader_text(from);
        uint8_t deleted = reader_u8(from);
        event->changed.deleted = deleted == 1;
        event->changed.first_ms = reader_u64(from);
        event->changed.last_ms = reader_u64(from);
        event->changed.updated_ms = reader_u64(from);
        return deleted <= 1;
    }
    return false;
}

bool event_decode(uint8_t kind, struct bytes body, struct event *event)
{
    struct reader from = reader_of(body);
    memset(event, 0, sizeof *event);
    event->kind = (enum event_kind)kind;
    event->sequence = reader_u64(&from);
    event->time_ms = reader_u64(&from);
    event->tenant = reader_text(&from);
    event->principal = reader_text(&from);
    event->user = reader_text(&from);
    event->groups.count = reader_u8(&from);
    if (event->groups.count > LIMIT_OBJECT_GROUPS || body.length > EVENT_BYTES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < event->groups.count; i++) {
        event->groups.names[i] = reader_text(&from);
    }
    return decode_own(&from, event) && !from.failed && from.at == from.end;
}
