/* How applying commands speaks: effects in their canonical form. */
#include "server/check.h"
#include "server/core/state.h"

static void emit(struct core *core, const struct effect *effect)
{
    struct writer *to = &core->effects;
    writer_u8(to, (uint8_t)effect->type);
    writer_u8(to, effect->kind);
    writer_u8(to, effect->code);
    writer_u8(to, effect->reason);
    writer_u32(to, effect->body.length);
    writer_bytes(to, effect->body);
    CHECK(!to->failed); /* the entry's commands were counted by command_effects_max */
}

void emit_reply(struct core *core, struct bytes body)
{
    emit(core,
         &(struct effect){.type = EFFECT_REPLY, .kind = (uint8_t)core->command.kind, .body = body});
}

uint8_t *emit_reply_begin(struct core *core)
{
    emit_reply(core, (struct bytes){NULL, 0});
    return core->effects.at;
}

void emit_reply_end(struct core *core, uint8_t *begun)
{
    CHECK(!core->effects.failed);
    uint32_t length = (uint32_t)(core->effects.at - begun);
    memcpy(begun - sizeof length, &length, sizeof length); /* the head ends with it */
}

void emit_refusal(struct core *core, const struct refusal_of *refusal)
{
    uint8_t body[5];
    struct writer to = writer_of(body, sizeof body);
    writer_u8(&to, (uint8_t)refusal->field);
    writer_u32(&to, refusal->retry_after_ms);
    emit(core, &(struct effect){.type = EFFECT_REPLY,
                                .kind = (uint8_t)core->command.kind,
                                .code = (uint8_t)refusal->code,
                                .reason = (uint8_t)refusal->reason,
                                .body = bytes_of(body, sizeof body)});
}

void emit_exhausted(struct core *core, enum status_reason reason)
{
    emit_refusal(
        core, &(struct refusal_of){STATUS_RESOURCE_EXHAUSTED, reason, FIELD_NONE, RETRY_AFTER_MS});
}

bool emit_known_request(struct core *core, const struct request_identity *identity,
                        void (*again)(struct core *core, const struct request_answer *answer))
{
    struct request_answer answer;
    switch (
        requests_check(&core->requests, &core->limits, core->time.service_ms, identity, &answer)) {
    case REQUEST_NEW:
        return false;
    case REQUEST_REPEATED:
        again(core, &answer);
        break;
    case REQUEST_REUSED:
        emit_refusal(core, &(struct refusal_of){STATUS_INVALID_ARGUMENT, REASON_REQUEST_ID_REUSED,
                                                FIELD_REQUEST_ID, 0});
        break;
    case REQUEST_NO_ROOM:
        emit_refusal(core,
                     &(struct refusal_of){STATUS_RESOURCE_EXHAUSTED, REASON_TOO_MANY_REQUEST_IDS,
                                          FIELD_NONE, answer.retry_after_ms});
        break;
    }
    return true;
}

void emit_event(struct core *core, struct event *event)
{
    uint8_t body[EVENT_BYTES_MAX];
    struct writer to = writer_of(body, sizeof body);
    event->sequence = core->feed.head_sequence + 1;
    event->time_ms = core->time.wall_ms;
    event_encode(event, &to);
    CHECK(!to.failed);
    struct bytes encoded = bytes_of(body, to.wanted);
    emit(core,
         &(struct effect){.type = EFFECT_EVENT, .kind = (uint8_t)event->kind, .body = encoded});
    feed_window_append(&core->feed, &core->limits, core->time.service_ms, (uint8_t)event->kind,
                       encoded);
}

void event_source_fill(const struct names *names, const struct event_source *source,
                       struct event *event, struct event_texts *texts)
{
    uint8_t *at = texts->at;
    event->tenant = names_text(names, source->tenant, at);
    at += NAME_LENGTH_MAX;
    event->principal = names_text(names, source->principal, at);
    at += NAME_LENGTH_MAX;
    event->user = names_text(names, source->user, at);
    event->groups.count = (uint8_t)source->group_count;
    for (uint32_t i = 0; i < source->group_count; i++) {
        at += NAME_LENGTH_MAX;
        event->groups.names[i] = names_text(names, source->groups[i], at);
    }
}
