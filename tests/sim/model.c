/* The model's time, limits, and the walk over an entry's effects. */
#include "tests/sim/model_state.h"

#include "proto/status.h"
#include "server/check.h"
#include "tests/sim/script.h"

#include <inttypes.h>
#include <stdarg.h>

const char *const model_meetings[MET_COUNT] = {"created",           "repeated request",
                                               "reused request id", "refused reference",
                                               "refused for room",  "refused for request ids",
                                               "completed",         "failed",
                                               "cancelled",         "killed",
                                               "heartbeat",         "unknown",
                                               "ignored",           "repeated end",
                                               "not yours",         "recorded",
                                               "indexed",           "activity left early",
                                               "result left early", "tombstone left",
                                               "change left early", "event left early",
                                               "job awaited",       "children awaited",
                                               "ticket awaited",    "job's tickets awaited",
                                               "lost while waited", "progress taken",
                                               "status text taken"};

bool model_complain(struct model *model, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(model->complaint, sizeof model->complaint, format, arguments);
    va_end(arguments);
    return false;
}

void *model_grow(void *at, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room) {
        return at;
    }
    *room = *room == 0 ? 16 : *room * 2;
    at = realloc(at, *room * size);
    CHECK(at != NULL);
    return at;
}

void model_text_set(struct model_text *text, struct bytes from)
{
    uint8_t *copy = NULL;
    if (from.length > 0) {
        copy = malloc(from.length);
        CHECK(copy != NULL);
        memcpy(copy, from.at, from.length);
    }
    free(text->at);
    *text = (struct model_text){copy, from.length};
}

bool model_text_is(const struct model_text *text, struct bytes other)
{
    return bytes_equal(model_text_view(text), other);
}

uint32_t model_name(struct model *model, struct bytes text)
{
    if (text.length == 0) {
        return 0;
    }
    for (uint32_t i = 0; i < model->names.count; i++) {
        if (model_text_is(&model->names.at[i], text)) {
            return i + 1;
        }
    }
    model_text_set(LIST_ADD(&model->names), text);
    return model->names.count;
}

struct bytes model_name_text(const struct model *model, uint32_t name)
{
    return name == 0 ? bytes_of(NULL, 0) : model_text_view(&model->names.at[name - 1]);
}

void model_groups_set(struct model *model, struct model_groups *groups,
                      const struct command_groups *from)
{
    groups->count = from->count;
    for (uint32_t i = 0; i < from->count; i++) {
        groups->names[i] = model_name(model, from->names[i]);
    }
}

bool model_groups_are(const struct model *model, const struct model_groups *groups,
                      const struct command_groups *other)
{
    bool same = groups->count == other->count;
    for (uint32_t i = 0; same && i < groups->count; i++) {
        same = bytes_equal(model_name_text(model, groups->names[i]), other->names[i]);
    }
    return same;
}

void model_caller_set(struct model *model, struct model_caller *caller,
                      const struct command_caller *from)
{
    *caller = (struct model_caller){.tenant = model_name(model, from->tenant),
                                    .principal = model_name(model, from->principal),
                                    .user = model_name(model, from->user),
                                    .admin = (from->rights & RIGHT_ADMIN) != 0,
                                    .update_any = (from->rights & RIGHT_UPDATE_ANY) != 0,
                                    .group_count = from->group_count};
    for (uint32_t i = 0; i < from->group_count; i++) {
        caller->groups[i] = model_name(model, from->groups[i]);
    }
}

bool model_event_is(struct model *model, const struct event *event, enum event_kind kind,
                    uint32_t tenant, const struct model_source *source)
{
    if (event->kind != kind) {
        return model_complain(model, "event %" PRIu64 " is of kind %d, expected %d",
                              event->sequence, (int)event->kind, (int)kind);
    }
    if (!bytes_equal(event->tenant, model_name_text(model, tenant)) ||
        !bytes_equal(event->principal, model_name_text(model, source->principal)) ||
        !bytes_equal(event->user, model_name_text(model, source->user)) ||
        !model_groups_are(model, &source->groups, &event->groups)) {
        return model_complain(model,
                              "event %" PRIu64 " has another tenant, principal, user or groups",
                              event->sequence);
    }
    return true;
}

/* ---- Refusals ---- */

enum model_verdict model_refusal(struct model *model, const struct effect *reply,
                                 const struct model_refusals *refusals)
{
    if (reply->code == STATUS_OK) {
        if (refusals->must != 0) {
            model_complain(model, "done, but it must be refused (reasons 0x%" PRIx64 ")",
                           refusals->must);
            return VERDICT_WRONG;
        }
        return VERDICT_DONE;
    }
    uint64_t allowed = refusals->may | refusals->must;
    struct reply_refusal refusal;
    reply_refusal_read(reply->body, &refusal);
    if ((allowed >> reply->reason & 1) == 0) {
        model_complain(model, "refused with %s, allowed are reasons 0x%" PRIx64,
                       status_reason_name(reply->reason), allowed);
        return VERDICT_WRONG;
    }
    bool reference = reply->reason == REASON_UNKNOWN_JOB;
    unsigned code = reference ? STATUS_INVALID_ARGUMENT : status_reason_code(reply->reason);
    unsigned fields = reference                                   ? refusals->job_fields
                      : reply->reason == REASON_REQUEST_ID_REUSED ? 1u << FIELD_REQUEST_ID
                      : reply->reason == REASON_NOT_YOURS ? 1u << FIELD_NONE | 1u << FIELD_JOB_ID
                                                          : 1u << FIELD_NONE;
    if (reply->code != code || (fields >> refusal.field & 1) == 0) {
        model_complain(model, "refused with %s, code %s and field %d: not that field or code",
                       status_reason_name(reply->reason), status_code_name(reply->code),
                       (int)refusal.field);
        return VERDICT_WRONG;
    }
    if (refusal.retry_after_ms != 0 && code != STATUS_RESOURCE_EXHAUSTED) {
        model_complain(model, "%s says retry-after", status_reason_name(reply->reason));
        return VERDICT_WRONG;
    }
    if (model->seen.count != 0) {
        model_complain(model, "refused, but there are events");
        return VERDICT_WRONG;
    }
    enum model_meeting meeting = MET_REUSED;
    if (reply->reason == REASON_TOO_MANY_REQUEST_IDS) {
        meeting = MET_REFUSED_REQUEST_ID;
    } else if (code == STATUS_RESOURCE_EXHAUSTED) {
        meeting = MET_REFUSED_ROOM;
    } else if (reference) {
        meeting = MET_REFUSED_REFERENCE;
    } else if (reply->reason == REASON_NOT_YOURS) {
        meeting = MET_NOT_YOURS;
    }
    model->met[meeting]++;
    return VERDICT_REFUSED;
}

void model_room(struct model_refusals *refusals, enum status_reason reason,
                const struct model_room *room)
{
    uint64_t bit = UINT64_C(1) << reason;
    if (room->least + room->more_least > room->limit) {
        refusals->must |= bit;
    }
    bool heavy = room->held > room->limit / 2;
    if (room->most + room->more_most > (heavy ? room->limit - room->limit / 8 : room->limit)) {
        refusals->may |= bit;
    }
}

uint32_t model_tenants_seen(const struct model *model, uint32_t tenant)
{
    uint32_t tenants[64] = {tenant}, count = 1;
    for (uint32_t i = 0; i < model->jobs.count + model->documents.count + model->requests.count +
                                 model->beats.count;
         i++) {
        uint32_t j = i;
        uint32_t other = j < model->jobs.count ? model->jobs.at[j]->tenant
                         : (j -= model->jobs.count) < model->documents.count
                             ? model->documents.at[j]->tenant
                         : (j -= model->documents.count) < model->requests.count
                             ? model->requests.at[j].tenant
                             : model->beats.at[j - model->requests.count].tenant;
        bool known = false;
        for (uint32_t k = 0; k < count; k++) {
            known = known || tenants[k] == other;
        }
        if (!known && count < 64) {
            tenants[count++] = other;
        }
    }
    return count;
}

void model_room_names(struct model *model, struct model_refusals *refusals,
                      const struct command_caller *caller)
{
    /* Names are never forgotten here, so that this is an upper bound. Tickets keep a tenant too,
     * but never longer than the request id that came with them does in these tests. */
    struct model_room names = {.most = model->names.count, .limit = model->limits.names_max};
    model_room(refusals, REASON_TOO_MANY_NAMES, &names);
    if (model->limits.tenants_max < 8 &&
        model_tenants_seen(model, model_name(model, caller->tenant)) > model->limits.tenants_max) {
        refusals->may |= UINT64_C(1) << REASON_TOO_MANY_NAMES;
    }
    model->name_pressure =
        model->name_pressure || (refusals->may >> REASON_TOO_MANY_NAMES & 1) != 0;
}

/* ---- Time ---- */

/* How far the real clock is ahead of what is believed of it: a jump forward by more than an hour is
 * followed after a minute, or not at all if the clock is put right before. After a start it is
 * believed at once; after a stall it may be. */
static void doubt(struct model *model, const struct entry_head *head)
{
    uint64_t expected = model->clock_before + head->elapsed_ms;
    uint64_t back = head->clock_ms < expected ? expected - head->clock_ms : 0;
    if ((head->flags & ENTRY_JUMP) != 0 || model->index == 1) {
        model->lead_ms = 0;
    } else if (head->clock_ms > expected + 3600000) {
        model->lead_ms += head->clock_ms - expected;
        model->lead_service = model->service;
    } else {
        model->lead_ms -= back < model->lead_ms ? back : model->lead_ms;
    }
    model->clock_before = head->clock_ms;
    bool over = model->service - model->lead_service >= 60000 || (head->flags & ENTRY_RESUME) != 0;
    bool believed = over && model->wall == head->clock_ms;
    if (believed || model->service - model->lead_service >= 60000 + MODEL_SLACK_MS) {
        model->lead_ms = 0;
    }
}

/* The wall clock's rule: never back, at least half as fast as service time, else as the real clock
 * as far as that is believed. */
static bool advance(struct model *model, const struct entry_head *head)
{
    uint64_t previous = model->wall;
    model->index++;
    model->service_before = model->service;
    model->service += head->elapsed_ms;
    if ((head->flags & ENTRY_RESUME) != 0) {
        model->resumed = model->service;
    }
    if (model->after.index != model->index || model->after.service_ms != model->service) {
        return model_complain(
            model,
            "index %" PRIu64 " at service time %" PRIu64 ", expected %" PRIu64 " at %" PRIu64,
            model->after.index, model->after.service_ms, model->index, model->service);
    }
    model->wall = model->after.wall_ms;
    uint64_t slow = previous + head->elapsed_ms / 2; /* a carried half may make it one more */
    doubt(model, head);
    uint64_t believed = head->clock_ms > model->lead_ms ? head->clock_ms - model->lead_ms : 0;
    bool follows = model->wall == believed;
    bool crawls = model->wall <= slow + 1 && believed <= slow + 1;
    if (model->wall < slow || (!follows && !crawls)) {
        return model_complain(model,
                              "the wall clock went from %" PRIu64 " to %" PRIu64
                              " in %u ms, the real one shows %" PRIu64,
                              previous, model->wall, head->elapsed_ms, head->clock_ms);
    }
    return true;
}

/* ---- Effects ---- */

/* Keeps an event and checks its number and time. */
static bool meet(struct model *model, const struct effect *effect)
{
    struct event *event = LIST_ADD(&model->seen);
    if (!event_decode(effect->kind, effect->body, event)) {
        return model_complain(model, "an event of kind %u cannot be decoded", effect->kind);
    }
    if (event->sequence != model->head_sequence + 1 || event->time_ms != model->wall ||
        effect->code != 0 || effect->reason != 0 || effect->body.length > EVENT_BYTES_MAX) {
        return model_complain(model,
                              "event %" PRIu64 " at %" PRIu64 " follows %" PRIu64 " at %" PRIu64,
                              event->sequence, event->time_ms, model->head_sequence, model->wall);
    }
    model->head_sequence++;
    struct model_event *kept = LIST_ADD(&model->events);
    kept->sequence = event->sequence;
    kept->service = model->service;
    kept->kind = effect->kind;
    model_text_set(&kept->body, effect->body);
    return true;
}

static bool tick(struct model *model, const struct command_tick *command)
{
    for (uint32_t i = 0; i < model->seen.count; i++) {
        if (!model_indexed(model, &model->seen.at[i])) {
            return false;
        }
    }
    struct reader beats = reader_of(command->beats);
    struct bytes tenant, user;
    while (command_beat_next(&beats, &tenant, &user)) {
        uint32_t t = model_name(model, tenant), u = model_name(model, user), i = 0;
        while (i < model->beats.count &&
               (model->beats.at[i].tenant != t || model->beats.at[i].user != u)) {
            i++;
        }
        struct model_beat *beat =
            i < model->beats.count ? &model->beats.at[i] : LIST_ADD(&model->beats);
        *beat = (struct model_beat){t, u, model->service, model->wall, ++model->rank};
    }
    return true;
}

static bool apply_command(struct model *model, const struct command *command,
                          const struct effect *reply)
{
    switch (command->kind) {
    case COMMAND_CREATE:
        return model_create(model, &command->create, reply);
    case COMMAND_UPDATE:
        return model_update(model, &command->update, reply);
    case COMMAND_BATCH:
        return model_batch(model, &command->batch, reply);
    case COMMAND_DESTROY:
        return model_destroy(model, &command->destroy, reply);
    case COMMAND_RECORD:
        return model_record(model, &command->record, reply);
    case COMMAND_TICK:
        return reply->code == STATUS_OK ? tick(model, &command->tick)
                                        : model_complain(model, "a tick was refused");
    case COMMAND_LIMITS:
        memcpy(model->limits.values, command->limits.values, sizeof model->limits.values);
        model->limits_service = model->service;
        model_limits_changed(model);
        break;
    case COMMAND_EPOCH:
    case COMMAND_UPGRADE:
    case COMMAND_TAKE: /* test_index.c has a model of its own for these */
    case COMMAND_RESULT:
    case COMMAND_INDEX_START:
    case COMMAND_PARKED:
    case COMMAND_KIND_END:
        break;
    }
    if (reply->code != STATUS_OK || model->seen.count != 0) {
        return model_complain(model, "a command of the engine's own was refused or made events");
    }
    return true;
}

static bool apply_commands(struct model *model, const struct entry *entry, struct reader *effects)
{
    for (uint32_t i = 0; i < entry->count; i++) {
        const struct command *command = &entry->commands[i];
        struct effect effect;
        model->seen.count = 0;
        do {
            if (!effect_next(effects, &effect)) {
                return model_complain(model, "command %" PRIu32 " has no reply", i);
            }
            if (effect.type == EFFECT_EVENT && !meet(model, &effect)) {
                return false;
            }
        } while (effect.type == EFFECT_EVENT);
        if (effect.kind != command->kind) {
            return model_complain(model, "the reply to command %" PRIu32 " is of kind %u", i,
                                  effect.kind);
        }
        if (!apply_command(model, command, &effect)) {
            char what[sizeof model->complaint];
            snprintf(what, sizeof what, "%s", model->complaint);
            return model_complain(model, "command %" PRIu32 ": %.4000s", i, what);
        }
    }
    return true;
}

/* What comes after the last reply: kills and what a tick sends. */
static bool apply_expiry(struct model *model, struct reader *effects)
{
    struct effect effect;
    while (effect_next(effects, &effect)) {
        model->seen.count = 0;
        if (effect.type != EFFECT_EVENT) {
            return model_complain(model, "more replies than commands");
        }
        if (!meet(model, &effect)) {
            return false;
        }
        const struct event *event = &model->seen.at[0];
        if (event->kind == EVENT_ACTIVITY_ENDED ? !model_kill(model, event)
                                                : !model_indexed(model, event)) {
            return false;
        }
    }
    return true;
}

bool model_apply(struct model *model, const struct core *core, const struct entry *entry,
                 struct bytes effects)
{
    model->before = model->after;
    core_info(core, &model->after);
    model->text_pressure = model->list_pressure = model->name_pressure = model->result_pressure =
        model->result_bytes_pressure = model->change_pressure = false;
    model->attempts = model->remembered = 0;
    model->rank_before = model->rank;
    model->batch_documents = model->batch_bytes = 0;
    bool ticked = false;
    for (uint32_t i = 0; i < entry->count; i++) {
        ticked = ticked || entry->commands[i].kind == COMMAND_TICK;
    }
    struct reader reader = reader_of(effects);
    bool right = advance(model, &entry->head) && apply_commands(model, entry, &reader) &&
                 apply_expiry(model, &reader) && model_kills_done(model) &&
                 model_take_done(model, ticked) && model_leave(model, core);
    model_request_age(model);
    return right;
}

/* ---- The model itself ---- */

struct model *model_new(void)
{
    struct model *model = calloc(1, sizeof *model);
    CHECK(model != NULL);
    core_limits_standard(&model->limits);
    return model;
}

void model_free(struct model *model)
{
    if (model == NULL) {
        return;
    }
    for (uint32_t i = 0; i < model->names.count; i++) {
        free(model->names.at[i].at);
    }
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        model_job_free(model->jobs.at[i]);
    }
    for (uint32_t i = 0; i < model->documents.count; i++) {
        model_document_free(model->documents.at[i]);
    }
    for (uint32_t i = 0; i < model->pending.count; i++) {
        free(model->pending.at[i].affected.at);
    }
    for (uint32_t i = 0; i < model->flight.count; i++) {
        free(model->flight.at[i].affected.at);
    }
    for (uint32_t i = 0; i < model->requests.count; i++) {
        free(model->requests.at[i].payload.at);
    }
    for (uint32_t i = 0; i < model->events.count; i++) {
        free(model->events.at[i].body.at);
    }
    free(model->names.at);
    free(model->jobs.at);
    free(model->issued.at);
    free(model->documents.at);
    free(model->pending.at);
    free(model->flight.at);
    free(model->tickets.at);
    free(model->issued_tickets.at);
    free(model->requests.at);
    free(model->beats.at);
    free(model->events.at);
    free(model->seen.at);
    free(model);
}

const char *model_complaint(const struct model *model)
{
    return model->complaint;
}

const uint64_t *model_met(const struct model *model)
{
    return model->met;
}

uint64_t model_service_ms(const struct model *model)
{
    return model->service;
}
