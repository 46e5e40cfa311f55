#include "server/wire/reply.h"

#include <string.h>

#include "proto/batch.h"
#include "proto/limits.h"
#include "server/check.h"
#include "server/wire/encode.h"

/* ---- Refusals ---- */

struct view reply_sayable(const char *text, size_t most)
{
    struct view view = view_of(text != NULL ? text : "");
    if (view.length > most) {
        view.length = most;
        while (view.length > 0 && (view.bytes[view.length] & 0xc0) == 0x80) {
            view.length--;
        }
    }
    return view_is_text(view) ? view : (struct view){NULL, 0};
}

static size_t write_refusal(uint64_t epoch, enum status_code code, const struct refusal *refusal,
                            uint8_t *to)
{
    const char *message =
        refusal->message != NULL ? refusal->message : status_reason_text(refusal->reason);
    struct frame_reply frame = {
        .code = (uint32_t)code,
        .message = reply_sayable(message, LIMIT_STATUS_MESSAGE_LENGTH),
        .reason = view_of(status_reason_name(refusal->reason)),
        .retry_after_ms = refusal->retry_after_ms,
        .epoch = epoch,
    };
    struct view field = reply_sayable(refusal->field, LIMIT_METADATA_VALUE_LENGTH);
    if (field.length != 0) {
        frame.metadata[0] = (struct frame_metadata){view_of("field"), field};
        frame.metadata_count = 1;
    }
    CHECK(frame_reply_head_size(&frame) <= REPLY_REFUSAL_MAX);
    return (size_t)(frame_reply_encode_head(&frame, to) - to);
}

size_t reply_refuse(uint64_t epoch, const struct refusal *refusal, uint8_t *to)
{
    return write_refusal(epoch, status_reason_code(refusal->reason), refusal, to);
}

static const char *const field_names[] = {
    [FIELD_NONE] = NULL,
    [FIELD_PARENT_JOB_ID] = "parent_job_id",
    [FIELD_RETRY_OF_JOB_ID] = "retry_of_job_id",
    [FIELD_JOB_ID] = "job_id",
    [FIELD_REQUEST_ID] = "request_id",
};

/* The core gives the code too: the same reason is INVALID_ARGUMENT for a reference. */
static size_t refuse_from_effect(uint64_t epoch, const struct effect *effect, uint8_t *to)
{
    struct reply_refusal body;
    reply_refusal_read(effect->body, &body);
    CHECK((size_t)body.field < sizeof field_names / sizeof field_names[0]);
    struct refusal refusal = {.reason = (enum status_reason)effect->reason,
                              .field = field_names[body.field],
                              .retry_after_ms = body.retry_after_ms};
    return write_refusal(epoch, (enum status_code)effect->code, &refusal, to);
}

/* ---- Replies ---- */

uint8_t *reply_head_before(uint64_t epoch, uint8_t *payload, size_t length)
{
    struct frame_reply frame = {.epoch = epoch, .payload = {payload, length}};
    size_t size = frame_reply_head_size(&frame);
    CHECK(size <= REPLY_HEAD_MAX);
    (void)frame_reply_encode_head(&frame, payload - size);
    return payload - size;
}

size_t reply_ok(uint64_t epoch, struct bytes response, uint8_t *to, size_t room)
{
    return reply_ok_later(epoch, response, 0, to, room);
}

size_t reply_ok_later(uint64_t epoch, struct bytes response, uint32_t retry_after_ms, uint8_t *to,
                      size_t room)
{
    struct frame_reply frame = {.retry_after_ms = retry_after_ms,
                                .epoch = epoch,
                                .payload = {response.at, response.length}};
    CHECK(frame_reply_head_size(&frame) + response.length <= room);
    uint8_t *at = frame_reply_encode_head(&frame, to);
    return (size_t)(encode_raw(at, response) - to);
}

/* The longest response but a batch's: three numbers. */
#define SMALL_RESPONSE_MAX 64

/* Field numbers of CreateActivityResponse. */
enum { CREATE_JOB_ID = 1, CREATE_UPDATE_WITHIN_MS = 2, CREATE_KILL_AFTER_MS = 3 };

static uint8_t *put_create(const struct reply_facts *facts, struct bytes body, uint8_t *to)
{
    struct reply_create reply;
    reply_create_read(body, &reply);
    /* With the standard limits 30 s and 90 s: three updates may be lost before a kill. */
    uint64_t within = facts->kill_after_ms / 3;
    to = encode_number(to, CREATE_JOB_ID, reply.job_id);
    to = encode_number(to, CREATE_UPDATE_WITHIN_MS,
                       within < LIMIT_UPDATE_WITHIN_MS ? within : LIMIT_UPDATE_WITHIN_MS);
    return encode_number(to, CREATE_KILL_AFTER_MS, facts->kill_after_ms);
}

/* UpdateActivityResponse {job_id = 1, percent = 2, disposition = 3} */
static uint8_t *put_update(struct bytes body, uint8_t *to)
{
    struct reply_update reply;
    reply_update_read(body, &reply);
    to = encode_number(to, 1, reply.job_id);
    to = encode_number(to, 2, reply.percent);
    return encode_number(to, 3, reply.disposition);
}

/* DestroyActivityResponse {disposition = 1} */
static uint8_t *put_destroy(struct bytes body, uint8_t *to)
{
    struct reply_destroy reply;
    reply_destroy_read(body, &reply);
    return encode_number(to, 1, reply.disposition);
}

/* RecordModelChangesResponse {fixed64 ticket = 1, accept_time_ms = 2} */
static uint8_t *put_record(struct bytes body, uint8_t *to)
{
    struct reply_record reply;
    reply_record_read(body, &reply);
    to = encode_fixed64(to, 1, reply.ticket);
    return encode_number(to, 2, reply.accept_ms);
}

/* RetryParkedResponse and DiscardParkedResponse {changes = 1}, or that there is nothing to decide
 * about: the same whether there never was or whether it is another tenant's. */
static size_t write_parked(uint64_t epoch, const struct effect *effect, uint8_t *to)
{
    struct reply_parked reply;
    reply_parked_read(effect->body, &reply);
    if (!reply.found) {
        const struct refusal refusal = {.reason = REASON_UNKNOWN_PARKED};
        return reply_refuse(epoch, &refusal, to);
    }
    uint8_t response[SMALL_RESPONSE_MAX];
    uint8_t *end = encode_number(response, 1, reply.changes);
    return reply_ok(epoch, encoded_since(response, end), to, reply_room(effect));
}

/* The hot one: written where it is sent from, its columns copied once. */
static size_t write_batch(uint64_t epoch, struct bytes body, uint8_t *to)
{
    struct reply_batch reply;
    reply_batch_read(body, &reply);
    struct batch_response response = {
        .percents = {reply.percents.at, reply.percents.length},
        .ignored_count = reply.ignored,
        .dispositions = {reply.dispositions.at, reply.dispositions.length},
    };
    struct frame_reply frame = {.epoch = epoch, .payload = {to, batch_response_size(&response)}};
    uint8_t *at = frame_reply_encode_head(&frame, to);
    return (size_t)(batch_response_encode(&response, at) - to);
}

size_t reply_room(const struct effect *effect)
{
    if (effect->code != STATUS_OK || effect->kind == COMMAND_PARKED) {
        return REPLY_REFUSAL_MAX;
    }
    /* The columns stand in the body; a count, three tags and lengths are added. */
    return REPLY_HEAD_MAX + SMALL_RESPONSE_MAX + effect->body.length;
}

size_t reply_from_effect(const struct reply_facts *facts, const struct effect *effect, uint8_t *to)
{
    if (effect->code != STATUS_OK) {
        return refuse_from_effect(facts->epoch, effect, to);
    }
    uint8_t response[SMALL_RESPONSE_MAX];
    uint8_t *end = response;
    switch ((enum command_kind)effect->kind) {
    case COMMAND_CREATE:
        end = put_create(facts, effect->body, response);
        break;
    case COMMAND_UPDATE:
        end = put_update(effect->body, response);
        break;
    case COMMAND_BATCH:
        return write_batch(facts->epoch, effect->body, to);
    case COMMAND_DESTROY:
        end = put_destroy(effect->body, response);
        break;
    case COMMAND_RECORD:
        end = put_record(effect->body, response);
        break;
    case COMMAND_PARKED:
        return write_parked(facts->epoch, effect, to);
    default: /* nobody waits for the others */
        break;
    }
    return reply_ok(facts->epoch, encoded_since(response, end), to, reply_room(effect));
}
