/* The writing half of script.h. */
#include "tests/sim/script.h"

#include "proto/status.h"

#include <inttypes.h>

const char *script_disposition(uint8_t disposition)
{
    static const char *const names[] = {"none",      "applied", "heartbeat", "unknown",
                                        "completed", "failed",  "cancelled", "killed"};
    return disposition < sizeof names / sizeof *names ? names[disposition] : "?";
}

const char *script_state(uint8_t state)
{
    static const char *const names[] = {"none",   "running",   "completed",
                                        "failed", "cancelled", "killed"};
    return state < sizeof names / sizeof *names ? names[state] : "?";
}

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("._:*-{}+", c) != NULL;
}

/* The longest text that is written out whole. */
#define SHOWN_MAX 200u

void script_print_bytes(FILE *to, struct bytes bytes)
{
    bool plain = bytes.length > 0 && bytes.length <= SHOWN_MAX;
    for (uint32_t i = 0; plain && i < bytes.length; i++) {
        plain = bytes.at[i] != 0 && is_plain(bytes.at[i]);
    }
    if (plain) {
        fprintf(to, "%.*s", (int)bytes.length, (const char *)bytes.at);
        return;
    }
    uint32_t shown = bytes.length <= SHOWN_MAX ? bytes.length : 40;
    fputc('"', to);
    for (uint32_t i = 0; i < shown; i++) {
        uint8_t c = bytes.at[i];
        if (c == '"' || c == '\\') {
            fprintf(to, "\\%c", c);
        } else if (c >= 0x20 && c < 0x7f) {
            fputc(c, to);
        } else {
            fprintf(to, "\\x%02x", c);
        }
    }
    fputc('"', to);
    if (shown < bytes.length) {
        fprintf(to, "...(%" PRIu32 " bytes)", bytes.length);
    }
}

static void print_field(FILE *to, const char *name, struct bytes value)
{
    if (value.length > 0) {
        fprintf(to, " %s=", name);
        script_print_bytes(to, value);
    }
}

static void print_list(FILE *to, const char *name, const struct bytes *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0) {
            fprintf(to, " %s=", name);
        } else {
            fputc(',', to);
        }
        script_print_bytes(to, values[i]);
    }
}

static void print_id(FILE *to, const char *name, uint64_t id)
{
    if (id != 0) {
        fprintf(to, " %s=%" PRIu64, name, id);
    }
}

static void print_caller(FILE *to, const struct command_caller *caller)
{
    print_field(to, "in", caller->tenant);
    print_field(to, "by", caller->principal);
    print_field(to, "for", caller->user);
    print_list(to, "groups", caller->groups, caller->group_count);
    if (caller->rights != 0) {
        fprintf(to, " rights=%s%s%s", caller->rights & RIGHT_ADMIN ? "admin" : "",
                caller->rights == (RIGHT_ADMIN | RIGHT_UPDATE_ANY) ? "," : "",
                caller->rights & RIGHT_UPDATE_ANY ? "update_any" : "");
    }
}

static void print_request(FILE *to, const uint8_t id[LIMIT_REQUEST_ID_LENGTH])
{
    size_t length = 0;
    while (length < LIMIT_REQUEST_ID_LENGTH && id[length] != 0 && is_plain(id[length])) {
        length++;
    }
    bool word = length > 0;
    for (size_t i = length; i < LIMIT_REQUEST_ID_LENGTH; i++) {
        word = word && id[i] == 0;
    }
    if (word) {
        fprintf(to, " request=%.*s", (int)length, (const char *)id);
        return;
    }
    fputs(" request=0x", to);
    for (size_t i = 0; i < LIMIT_REQUEST_ID_LENGTH; i++) {
        fprintf(to, "%02x", id[i]);
    }
}

static void print_create(FILE *to, const struct command_create *create)
{
    print_caller(to, &create->caller);
    print_request(to, create->request_id);
    print_field(to, "type", create->type);
    print_field(to, "title", create->title);
    print_list(to, "share", create->groups.names, create->groups.count);
    print_field(to, "attributes", create->attributes);
    print_id(to, "parent", create->parent_job_id);
    print_id(to, "retry_of", create->retry_of_job_id);
}

static void print_update(FILE *to, const struct command_update *update)
{
    print_caller(to, &update->caller);
    fprintf(to, " job=%" PRIu64, update->job_id);
    if (update->has_percent) {
        fprintf(to, " percent=%u", update->percent);
    }
    if (update->has_status_text) {
        fputs(" status=", to);
        script_print_bytes(to, update->status_text);
    }
    if (update->has_failure) {
        fputs(" failure=", to);
        script_print_bytes(to, update->failure_code);
        print_field(to, "message", update->failure_message);
    }
    print_field(to, "result", update->result);
}

static void print_batch(FILE *to, const struct command_batch *batch)
{
    print_caller(to, &batch->caller);
    struct reader deltas = reader_of(batch->deltas);
    uint64_t job_id = 0;
    for (uint32_t i = 0; i < batch->count && i < 64; i++) {
        uint64_t delta = 0;
        unsigned shift = 0;
        uint8_t byte;
        do {
            byte = reader_u8(&deltas);
            delta |= (uint64_t)(byte & 0x7f) << shift;
            shift += 7;
        } while ((byte & 0x80) != 0 && shift < 64);
        job_id += (delta >> 1) ^ (0 - (delta & 1));
        fprintf(to, " %" PRIu64 ":%u", job_id, batch->percents.at[i]);
    }
    if (batch->count > 64) {
        fprintf(to, " ...(%" PRIu32 " updates)", batch->count);
    }
}

static void print_changes(FILE *to, const struct command_record *record)
{
    struct reader changes = reader_of(record->changes);
    struct command_change change;
    for (uint32_t i = 0;
         i < record->change_count && i < 16 && command_change_next(&changes, &change); i++) {
        fputs("\nchange ", to);
        script_print_bytes(to, change.model);
        fputc('/', to);
        script_print_bytes(to, change.document_id);
        fputc('/', to);
        script_print_bytes(to, change.affected_model);
        print_list(to, "share", change.groups.names, change.groups.count);
        if (change.deleted) {
            fputs(" deleted", to);
        }
        fputs(change.fragment ? " fragment" : "", to);
        fputs(change.urgent ? " urgent" : "", to);
        print_field(to, "json", change.json);
    }
    if (record->change_count > 16) {
        fprintf(to, "\n# ...(%" PRIu32 " changes)", record->change_count);
    }
}

static void print_limits(FILE *to, const struct command_limits *limits)
{
    static const char *const names[] = {
#define NAME(name, standard, least, most, unit, text) #name,
        CORE_LIMITS(NAME)
#undef NAME
    };
    struct core_limits standard;
    core_limits_standard(&standard);
    for (unsigned i = 0; i < CORE_LIMIT_COUNT; i++) {
        if (limits->values[i] != standard.values[i]) {
            fprintf(to, " %s=%" PRIu64, names[i], limits->values[i]);
        }
    }
}

static void print_tick(FILE *to, const struct command_tick *tick)
{
    if (tick->index != 0) {
        fprintf(to, " index=%" PRIu64 " digest=0x%016" PRIx64, tick->index, tick->digest);
    }
    struct reader beats = reader_of(tick->beats);
    struct bytes tenant, user;
    for (uint32_t i = 0; i < tick->beat_count && command_beat_next(&beats, &tenant, &user); i++) {
        fputs(" beat=", to);
        script_print_bytes(to, tenant);
        fputc('/', to);
        script_print_bytes(to, user);
    }
}

static void print_epoch(FILE *to, const struct command_epoch *epoch)
{
    fprintf(to, " value=0x%016" PRIx64 " key=0x", epoch->epoch);
    for (size_t i = 0; i < sizeof epoch->hash_key; i++) {
        fprintf(to, "%02x", epoch->hash_key[i]);
    }
    fprintf(to, " generation=%" PRIu32 " raise=%" PRIu32 " ticket=0x%016" PRIx64,
            epoch->first_generation, epoch->raise_generations, epoch->first_ticket);
}

static const char *const kinds[] = {[0] = "none",
                                    [COMMAND_EPOCH] = "epoch",
                                    [COMMAND_LIMITS] = "limits",
                                    [COMMAND_UPGRADE] = "upgrade",
                                    [COMMAND_TICK] = "tick",
                                    [COMMAND_CREATE] = "create",
                                    [COMMAND_UPDATE] = "update",
                                    [COMMAND_BATCH] = "batch",
                                    [COMMAND_DESTROY] = "destroy",
                                    [COMMAND_RECORD] = "record",
                                    [COMMAND_TAKE] = "take",
                                    [COMMAND_RESULT] = "result",
                                    [COMMAND_INDEX_START] = "index_start",
                                    [COMMAND_PARKED] = "parked"};

static const char *kind_name(uint8_t kind)
{
    return kind < COMMAND_KIND_END ? kinds[kind] : "?";
}

static void print_result(FILE *to, const struct command_result *result)
{
    fprintf(to, " batch=%" PRIu64, result->batch);
    print_id(to, "seen", result->version_seen);
    print_id(to, "rest", result->retry_after_ms);
    fputc(' ', to);
    for (uint32_t i = 0; i < result->count; i++) {
        uint8_t byte = result->outcomes.at[i];
        fputc("?ARP"[index_outcome_of(byte)], to);
        if (byte > INDEX_PARKED) {
            fprintf(to, "%u", byte >> 2);
        }
    }
}

void script_print_command(FILE *to, const struct command *command)
{
    fputs(kind_name((uint8_t)command->kind), to);
    switch (command->kind) {
    case COMMAND_EPOCH:
        print_epoch(to, &command->epoch);
        break;
    case COMMAND_LIMITS:
        print_limits(to, &command->limits);
        break;
    case COMMAND_UPGRADE:
        fprintf(to, " version=%" PRIu32, command->upgrade.core_version);
        break;
    case COMMAND_TICK:
        print_tick(to, &command->tick);
        break;
    case COMMAND_CREATE:
        print_create(to, &command->create);
        break;
    case COMMAND_UPDATE:
        print_update(to, &command->update);
        break;
    case COMMAND_BATCH:
        print_batch(to, &command->batch);
        break;
    case COMMAND_DESTROY:
        print_caller(to, &command->destroy.caller);
        fprintf(to, " job=%" PRIu64, command->destroy.job_id);
        break;
    case COMMAND_RECORD:
        print_caller(to, &command->record.caller);
        print_request(to, command->record.request_id);
        print_id(to, "job", command->record.job_id);
        print_changes(to, &command->record);
        break;
    case COMMAND_TAKE:
        fprintf(to, " documents=%" PRIu32 " bytes=%" PRIu64, command->take.documents_max,
                command->take.bytes_max);
        break;
    case COMMAND_RESULT:
        print_result(to, &command->result);
        break;
    case COMMAND_PARKED:
        print_caller(to, &command->parked.caller);
        fprintf(to, " park_id=%" PRIu64 " %s", command->parked.park_id,
                command->parked.action == PARKED_RETRY ? "retry" : "discard");
        break;
    case COMMAND_INDEX_START:
    case COMMAND_KIND_END:
        break;
    }
    fputc('\n', to);
}

void script_print_entry(FILE *to, const struct entry *entry)
{
    fprintf(to, "entry elapsed=%u clock=%" PRId64 "%s%s\n", entry->head.elapsed_ms,
            (int64_t)(entry->head.clock_ms - SCRIPT_CLOCK_MS),
            entry->head.flags & ENTRY_RESUME ? " resume" : "",
            entry->head.flags & ENTRY_JUMP ? " jump" : "");
    for (uint32_t i = 0; i < entry->count; i++) {
        script_print_command(to, &entry->commands[i]);
    }
}

static void print_take(FILE *to, struct bytes body)
{
    struct reply_take reply;
    struct take_document document;
    struct take_change change;
    reply_take_read(body, &reply);
    fprintf(to, " batch=%" PRIu64 " cause=%d changes=%" PRIu32, reply.batch, (int)reply.cause,
            reply.changes);
    struct reader from = reader_of(reply.documents);
    while (take_document_next(&from, &document)) {
        fputc(' ', to);
        script_print_bytes(to, document.tenant);
        fputc('/', to);
        script_print_bytes(to, document.model);
        fputc('/', to);
        script_print_bytes(to, document.document_id);
        fputc(document.kind == TAKE_WHOLE ? '=' : '+', to);
        while (take_change_next(&from, &document, &change)) {
            fprintf(to, "%s%" PRIu32, change.deleted ? "x" : "j", change.json.length);
        }
    }
}

static void print_reply(FILE *to, const struct effect *effect)
{
    fprintf(to, "  = %s %s", kind_name(effect->kind), status_code_name(effect->code));
    if (effect->code != STATUS_OK) {
        struct reply_refusal refusal;
        reply_refusal_read(effect->body, &refusal);
        fprintf(to, " %s field=%d retry_after_ms=%" PRIu32, status_reason_name(effect->reason),
                (int)refusal.field, refusal.retry_after_ms);
    } else if (effect->kind == COMMAND_CREATE) {
        struct reply_create reply;
        reply_create_read(effect->body, &reply);
        fprintf(to, " job=%" PRIu64, reply.job_id);
    } else if (effect->kind == COMMAND_UPDATE) {
        struct reply_update reply;
        reply_update_read(effect->body, &reply);
        fprintf(to, " job=%" PRIu64 " percent=%u %s", reply.job_id, reply.percent,
                script_disposition(reply.disposition));
    } else if (effect->kind == COMMAND_BATCH) {
        struct reply_batch reply;
        reply_batch_read(effect->body, &reply);
        fprintf(to, " ignored=%" PRIu32, reply.ignored);
        for (uint32_t i = 0; i < reply.count && i < 64; i++) {
            fprintf(to, " %u:%s", reply.percents.at[i],
                    reply.dispositions.length == 0 ? "applied"
                                                   : script_disposition(reply.dispositions.at[i]));
        }
    } else if (effect->kind == COMMAND_DESTROY) {
        struct reply_destroy reply;
        reply_destroy_read(effect->body, &reply);
        fprintf(to, " %s", script_disposition(reply.disposition));
    } else if (effect->kind == COMMAND_RECORD) {
        struct reply_record reply;
        reply_record_read(effect->body, &reply);
        fprintf(to, " ticket=0x%016" PRIx64 " accepted=%" PRId64, reply.ticket,
                (int64_t)(reply.accept_ms - SCRIPT_CLOCK_MS));
    } else if (effect->kind == COMMAND_TAKE) {
        print_take(to, effect->body);
    } else if (effect->kind == COMMAND_RESULT) {
        struct reply_result reply;
        reply_result_read(effect->body, &reply);
        fprintf(to, "%s acked=%" PRIu32 " retried=%" PRIu32 " parked=%" PRIu32,
                reply.stale ? " stale" : "", reply.acked, reply.retried, reply.parked);
    } else if (effect->kind == COMMAND_INDEX_START) {
        struct reply_index_start reply;
        reply_index_start_read(effect->body, &reply);
        fprintf(to, " back=%" PRIu32, reply.documents);
    } else if (effect->kind == COMMAND_PARKED) {
        struct reply_parked reply;
        reply_parked_read(effect->body, &reply);
        fprintf(to, "%s changes=%" PRIu32, reply.found ? "" : " unknown", reply.changes);
    }
    fputc('\n', to);
}

static void print_event(FILE *to, const struct event *event)
{
    static const char *const names[] = {"?", "created", "ended", "changed", "indexed"};
    fprintf(to, "  * %" PRIu64 " %s at=%" PRId64, event->sequence,
            names[event->kind <= EVENT_INDEX_CHANGED ? event->kind : 0],
            (int64_t)(event->time_ms - SCRIPT_CLOCK_MS));
    print_field(to, "in", event->tenant);
    print_field(to, "by", event->principal);
    print_field(to, "for", event->user);
    print_list(to, "share", event->groups.names, event->groups.count);
    if (event->kind == EVENT_ACTIVITY_CREATED) {
        print_id(to, "job", event->created.job_id);
        print_field(to, "type", event->created.type);
        print_field(to, "title", event->created.title);
        print_field(to, "attributes", event->created.attributes);
        print_id(to, "parent", event->created.parent_job_id);
        print_id(to, "retry_of", event->created.retry_of_job_id);
    } else if (event->kind == EVENT_ACTIVITY_ENDED) {
        print_id(to, "job", event->ended.job_id);
        print_field(to, "type", event->ended.type);
        fprintf(to, " %s percent=%u", script_state(event->ended.state), event->ended.percent);
        print_field(to, "status", event->ended.status_text);
        print_field(to, "failure", event->ended.failure_code);
        print_field(to, "message", event->ended.failure_message);
    } else {
        fputc(' ', to);
        script_print_bytes(to, event->changed.model);
        fputc('/', to);
        script_print_bytes(to, event->changed.document_id);
        fputc('/', to);
        script_print_bytes(to, event->changed.affected_model);
        fprintf(to, "%s range=%" PRId64 "..%" PRId64 " updated=%" PRId64,
                event->changed.deleted ? " deleted" : "",
                (int64_t)(event->changed.first_ms - SCRIPT_CLOCK_MS),
                (int64_t)(event->changed.last_ms - SCRIPT_CLOCK_MS),
                (int64_t)(event->changed.updated_ms - SCRIPT_CLOCK_MS));
    }
    fputc('\n', to);
}

void script_print_effect(FILE *to, const struct effect *effect)
{
    if (effect->type == EFFECT_REPLY) {
        print_reply(to, effect);
        return;
    }
    struct event event;
    if (!event_decode(effect->kind, effect->body, &event)) {
        fprintf(to, "  * an event of kind %u that cannot be decoded\n", effect->kind);
        return;
    }
    print_event(to, &event);
}
