#include "server/core/command.h"

#include "server/check.h"
#include "server/core/effect.h"

#define ENTRY_VERSION      1
#define COMMAND_HEAD_BYTES 5u

enum update_flags { UPDATE_PERCENT = 1, UPDATE_STATUS = 2, UPDATE_FAILURE = 4 };
enum change_flags { CHANGE_DELETED = 1, CHANGE_FRAGMENT = 2, CHANGE_URGENT = 4 };

/* ---- Parts ---- */

static void put_groups(const struct command_groups *groups, struct writer *to)
{
    writer_u8(to, groups->count);
    for (uint32_t i = 0; i < groups->count; i++) {
        writer_text(to, groups->names[i]);
    }
}

static struct bytes get_text(struct reader *from, uint32_t least, uint32_t most)
{
    struct bytes text = reader_text(from);
    if (text.length < least || text.length > most) {
        from->failed = true;
    }
    return text;
}

/* Names are unique, so that nobody has to look for the same one twice later. */
static void get_groups(struct reader *from, struct command_groups *groups)
{
    groups->count = reader_u8(from);
    if (groups->count > LIMIT_OBJECT_GROUPS) {
        from->failed = true;
        groups->count = 0;
    }
    for (uint32_t i = 0; i < groups->count; i++) {
        groups->names[i] = get_text(from, 1, LIMIT_GROUP_LENGTH);
        for (uint32_t k = 0; k < i; k++) {
            from->failed = from->failed || bytes_equal(groups->names[k], groups->names[i]);
        }
    }
}

static void put_caller(const struct command_caller *caller, struct writer *to)
{
    writer_text(to, caller->tenant);
    writer_text(to, caller->principal);
    writer_text(to, caller->user);
    writer_u8(to, caller->rights);
    writer_u8(to, caller->group_count);
    for (uint32_t i = 0; i < caller->group_count; i++) {
        writer_text(to, caller->groups[i]);
    }
}

static void get_caller(struct reader *from, struct command_caller *caller)
{
    caller->tenant = get_text(from, 1, LIMIT_TENANT_LENGTH);
    caller->principal = get_text(from, 1, LIMIT_PRINCIPAL_LENGTH);
    caller->user = get_text(from, 0, LIMIT_USER_LENGTH);
    caller->rights = reader_u8(from);
    caller->group_count = reader_u8(from);
    if (caller->rights > (RIGHT_UPDATE_ANY | RIGHT_ADMIN) ||
        caller->group_count > LIMIT_CALLER_GROUPS) {
        from->failed = true;
        caller->group_count = 0;
    }
    for (uint32_t i = 0; i < caller->group_count; i++) {
        caller->groups[i] = get_text(from, 1, LIMIT_GROUP_LENGTH);
    }
}

static void get_request_id(struct reader *from, uint8_t to[LIMIT_REQUEST_ID_LENGTH])
{
    struct bytes id = reader_bytes(from, LIMIT_REQUEST_ID_LENGTH);
    uint8_t any = 0;
    for (uint32_t i = 0; i < id.length; i++) {
        to[i] = id.at[i];
        any |= id.at[i];
    }
    if (any == 0) {
        from->failed = true;
    }
}

static struct bytes rest_of(const struct reader *from)
{
    return bytes_of(from->at, (size_t)(from->end - from->at));
}

/* ---- One pair per kind: put_ and get_ of what follows the head ---- */

static void put_epoch(const struct command *command, struct writer *to)
{
    const struct command_epoch *epoch = &command->epoch;
    writer_u64(to, epoch->epoch);
    writer_put(to, epoch->hash_key, sizeof epoch->hash_key);
    writer_u32(to, epoch->first_generation);
    writer_u32(to, epoch->raise_generations);
    writer_u64(to, epoch->first_ticket);
}

static void get_epoch(struct reader *from, struct command *command)
{
    struct command_epoch *epoch = &command->epoch;
    epoch->epoch = reader_u64(from);
    struct bytes key = reader_bytes(from, sizeof epoch->hash_key);
    if (key.length == sizeof epoch->hash_key) {
        memcpy(epoch->hash_key, key.at, sizeof epoch->hash_key);
    }
    epoch->first_generation = reader_u32(from);
    epoch->raise_generations = reader_u32(from);
    epoch->first_ticket = reader_u64(from);
    if (epoch->epoch == 0 || epoch->first_generation >> 28 != 0) {
        from->failed = true;
    }
}

/* With their number before them: an older form with fewer limits stays readable. */
static void put_limits(const struct command *command, struct writer *to)
{
    writer_u32(to, CORE_LIMIT_COUNT);
    writer_put(to, command->limits.values, sizeof command->limits.values);
}

static void get_limits(struct reader *from, struct command *command)
{
    if (reader_u32(from) != CORE_LIMIT_COUNT) {
        from->failed = true;
        return;
    }
    for (uint32_t i = 0; i < CORE_LIMIT_COUNT; i++) {
        command->limits.values[i] = reader_u64(from);
    }
}

static void put_upgrade(const struct command *command, struct writer *to)
{
    writer_u32(to, command->upgrade.core_version);
}

static void get_upgrade(struct reader *from, struct command *command)
{
    command->upgrade.core_version = reader_u32(from);
}

static void put_tick(const struct command *command, struct writer *to)
{
    writer_u64(to, command->tick.index);
    writer_u64(to, command->tick.digest);
    writer_u32(to, command->tick.beat_count);
    writer_bytes(to, command->tick.beats);
}

static void get_tick(struct reader *from, struct command *command)
{
    struct command_tick *tick = &command->tick;
    tick->index = reader_u64(from);
    tick->digest = reader_u64(from);
    tick->beat_count = reader_u32(from);
    tick->beats = rest_of(from);
    if (tick->beat_count > COMMAND_TICK_BEATS_MAX) {
        from->failed = true;
        return;
    }
    struct bytes tenant;
    struct bytes user;
    for (uint32_t i = 0; i < tick->beat_count && !from->failed; i++) {
        from->failed = !command_beat_next(from, &tenant, &user);
    }
}

static void put_create(const struct command *command, struct writer *to)
{
    const struct command_create *create = &command->create;
    put_caller(&create->caller, to);
    writer_put(to, create->request_id, sizeof create->request_id);
    writer_text(to, create->type);
    writer_text(to, create->title);
    put_groups(&create->groups, to);
    writer_text(to, create->attributes);
    writer_u64(to, create->parent_job_id);
    writer_u64(to, create->retry_of_job_id);
}

static void get_create(struct reader *from, struct command *command)
{
    struct command_create *create = &command->create;
    get_caller(from, &create->caller);
    get_request_id(from, create->request_id);
    create->payload = rest_of(from);
    create->type = get_text(from, 1, LIMIT_TYPE_LENGTH);
    create->title = get_text(from, 0, LIMIT_TITLE_LENGTH);
    get_groups(from, &create->groups);
    create->attributes = get_text(from, 0, LIMIT_ATTRIBUTES_BYTES);
    create->parent_job_id = reader_u64(from);
    create->retry_of_job_id = reader_u64(from);
}

static void put_update(const struct command *command, struct writer *to)
{
    const struct command_update *update = &command->update;
    put_caller(&update->caller, to);
    writer_u64(to, update->job_id);
    writer_u8(to, (uint8_t)((update->has_percent ? UPDATE_PERCENT : 0) |
                            (update->has_status_text ? UPDATE_STATUS : 0) |
                            (update->has_failure ? UPDATE_FAILURE : 0)));
    if (update->has_percent) {
        writer_u8(to, update->percent);
    }
    if (update->has_status_text) {
        writer_text(to, update->status_text);
    }
    if (update->has_failure) {
        writer_text(to, update->failure_code);
        writer_text(to, update->failure_message);
    }
    writer_u32(to, update->result.length);
    writer_bytes(to, update->result);
}

static void get_update(struct reader *from, struct command *command)
{
    struct command_update *update = &command->update;
    get_caller(from, &update->caller);
    update->job_id = reader_u64(from);
    uint8_t flags = reader_u8(from);
    update->has_percent = (flags & UPDATE_PERCENT) != 0;
    update->has_status_text = (flags & UPDATE_STATUS) != 0;
    update->has_failure = (flags & UPDATE_FAILURE) != 0;
    if (update->has_percent) {
        update->percent = reader_u8(from);
    }
    if (update->has_status_text) {
        update->status_text = get_text(from, 0, LIMIT_STATUS_TEXT_LENGTH);
    }
    if (update->has_failure) {
        update->failure_code = get_text(from, 0, LIMIT_FAILURE_CODE_LENGTH);
        update->failure_message = get_text(from, 0, LIMIT_FAILURE_MESSAGE_LENGTH);
    }
    update->result = reader_bytes(from, reader_u32(from));
    bool complete = update->has_percent && update->percent == LIMIT_PERCENT_MAX;
    if (flags > (UPDATE_PERCENT | UPDATE_STATUS | UPDATE_FAILURE) ||
        update->percent > LIMIT_PERCENT_MAX || update->result.length > LIMIT_RESULT_BYTES ||
        (update->result.length != 0 && !complete) || (update->has_failure && complete)) {
        from->failed = true;
    }
}

static void put_batch(const struct command *command, struct writer *to)
{
    put_caller(&command->batch.caller, to);
    writer_u32(to, command->batch.count);
    writer_u32(to, command->batch.deltas.length);
    writer_bytes(to, command->batch.deltas);
    writer_bytes(to, command->batch.percents);
}

/* ---- Columns, eight bytes at a time: half of what a batch costs would be looking at it byte by
 * byte ---- */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* How many bytes of a word have their highest bit set. */
static uint32_t count_high(uint64_t word)
{
    return (uint32_t)(((word & EACH(0x80)) >> 7) * EACH(1) >> 56);
}

/* Calls for whole words, the last one filled up with `fill`. */
static uint64_t word_at(struct bytes column, uint32_t at, uint8_t fill)
{
    uint64_t word = EACH(fill);
    uint32_t left = column.length - at;
    memcpy(&word, column.at + at, left < sizeof word ? left : sizeof word);
    return word;
}

/* As many ends of varints as updates, and nothing behind the last: what the varints say is checked
 * where they are read. */
static bool deltas_counted(struct bytes deltas, uint32_t count)
{
    uint32_t ends = 0;
    for (uint32_t at = 0; at < deltas.length; at += 8) {
        ends += count_high(~word_at(deltas, at, 0x80));
    }
    return ends == count && (deltas.length == 0 || deltas.at[deltas.length - 1] < 0x80);
}

static bool percents_valid(struct bytes percents)
{
    uint64_t above = 0;
    for (uint32_t at = 0; at < percents.length; at += 8) {
        uint64_t word = word_at(percents, at, 0);
        above |= word | (word + EACH(0x7f - LIMIT_PERCENT_MAX));
    }
    return (above & EACH(0x80)) == 0;
}

static uint32_t count_complete(struct bytes percents)
{
    uint32_t others = 0; /* bytes that differ; what fills up the last word does not */
    for (uint32_t at = 0; at < percents.length; at += 8) {
        uint64_t differs = word_at(percents, at, LIMIT_PERCENT_MAX) ^ EACH(LIMIT_PERCENT_MAX);
        others += count_high(((differs & EACH(0x7f)) + EACH(0x7f)) | differs);
    }
    return percents.length - others;
}

static void get_batch(struct reader *from, struct command *command)
{
    struct command_batch *batch = &command->batch;
    get_caller(from, &batch->caller);
    batch->count = reader_u32(from);
    batch->deltas = reader_bytes(from, reader_u32(from));
    batch->percents = reader_bytes(from, batch->count);
    if (batch->count == 0 || batch->count > LIMIT_BATCH_UPDATES ||
        !deltas_counted(batch->deltas, batch->count) || !percents_valid(batch->percents)) {
        from->failed = true;
    }
}

static void put_destroy(const struct command *command, struct writer *to)
{
    put_caller(&command->destroy.caller, to);
    writer_u64(to, command->destroy.job_id);
}

static void get_destroy(struct reader *from, struct command *command)
{
    get_caller(from, &command->destroy.caller);
    command->destroy.job_id = reader_u64(from);
}

static void put_record(const struct command *command, struct writer *to)
{
    const struct command_record *record = &command->record;
    put_caller(&record->caller, to);
    writer_put(to, record->request_id, sizeof record->request_id);
    writer_u64(to, record->job_id);
    writer_u32(to, record->change_count);
    writer_bytes(to, record->changes);
}

static void get_record(struct reader *from, struct command *command)
{
    struct command_record *record = &command->record;
    get_caller(from, &record->caller);
    get_request_id(from, record->request_id);
    record->payload = rest_of(from);
    record->job_id = reader_u64(from);
    record->change_count = reader_u32(from);
    record->changes = rest_of(from);
    if (record->change_count == 0 || record->change_count > LIMIT_CHANGES) {
        from->failed = true;
        return;
    }
    struct command_change change;
    for (uint32_t i = 0; i < record->change_count && !from->failed; i++) {
        from->failed = !command_change_next(from, &change);
    }
}

static void put_take(const struct command *command, struct writer *to)
{
    writer_u32(to, command->take.documents_max);
    writer_u64(to, command->take.bytes_max);
}

static void get_take(struct reader *from, struct command *command)
{
    struct command_take *take = &command->take;
    take->documents_max = reader_u32(from);
    take->bytes_max = reader_u64(from);
    if (take->documents_max == 0 || take->documents_max > COMMAND_TAKE_DOCUMENTS_MAX ||
        take->bytes_max == 0 || take->bytes_max > COMMAND_TAKE_BYTES_MAX) {
        from->failed = true;
    }
}

static void put_result(const struct command *command, struct writer *to)
{
    const struct command_result *result = &command->result;
    writer_u64(to, result->batch);
    writer_u64(to, result->version_seen);
    writer_u32(to, result->retry_after_ms);
    writer_u32(to, result->count);
    writer_bytes(to, result->outcomes);
    writer_bytes(to, result->reasons);
}

static void get_result(struct reader *from, struct command *command)
{
    struct command_result *result = &command->result;
    result->batch = reader_u64(from);
    result->version_seen = reader_u64(from);
    result->retry_after_ms = reader_u32(from);
    result->count = reader_u32(from);
    if (result->batch == 0 || result->count == 0 || result->count > COMMAND_TAKE_DOCUMENTS_MAX ||
        result->retry_after_ms > COMMAND_RETRY_AFTER_MAX_MS) {
        from->failed = true;
        return;
    }
    result->outcomes = reader_bytes(from, result->count);
    result->reasons = rest_of(from);
    struct bytes code;
    struct bytes message;
    for (uint32_t i = 0; i < result->outcomes.length && !from->failed; i++) {
        uint8_t byte = result->outcomes.at[i];
        enum index_outcome outcome = index_outcome_of(byte);
        from->failed = byte > index_retry(COMMAND_HALVINGS_MAX) ||
                       (outcome != INDEX_RETRY && byte > INDEX_PARKED) || outcome < INDEX_ACKED ||
                       (outcome == INDEX_PARKED && !command_reason_next(from, &code, &message));
    }
}

static void put_index_start(const struct command *command, struct writer *to)
{
    (void)command; /* says all by its kind */
    (void)to;
}

static void get_index_start(struct reader *from, struct command *command)
{
    (void)from;
    (void)command;
}

static void put_parked(const struct command *command, struct writer *to)
{
    put_caller(&command->parked.caller, to);
    writer_u64(to, command->parked.park_id);
    writer_u8(to, command->parked.action);
}

static void get_parked(struct reader *from, struct command *command)
{
    struct command_parked *parked = &command->parked;
    get_caller(from, &parked->caller);
    parked->park_id = reader_u64(from);
    parked->action = reader_u8(from);
    if (parked->action < PARKED_RETRY || parked->action > PARKED_DISCARD) {
        from->failed = true;
    }
}

struct codec {
    void (*put)(const struct command *command, struct writer *to);
    void (*get)(struct reader *from, struct command *command);
};
static const struct codec codecs[COMMAND_KIND_END] = {
    [COMMAND_EPOCH] = {put_epoch, get_epoch},
    [COMMAND_LIMITS] = {put_limits, get_limits},
    [COMMAND_UPGRADE] = {put_upgrade, get_upgrade},
    [COMMAND_TICK] = {put_tick, get_tick},
    [COMMAND_CREATE] = {put_create, get_create},
    [COMMAND_UPDATE] = {put_update, get_update},
    [COMMAND_BATCH] = {put_batch, get_batch},
    [COMMAND_DESTROY] = {put_destroy, get_destroy},
    [COMMAND_RECORD] = {put_record, get_record},
    [COMMAND_TAKE] = {put_take, get_take},
    [COMMAND_RESULT] = {put_result, get_result},
    [COMMAND_PARKED] = {put_parked, get_parked},
    [COMMAND_INDEX_START] = {put_index_start, get_index_start},
};

/* ---- The whole ---- */

void command_encode(const struct command *command, struct writer *to)
{
    CHECK(command->kind >= COMMAND_EPOCH && command->kind < COMMAND_KIND_END);
    struct writer measure = writer_of(NULL, 0);
    codecs[command->kind].put(command, &measure);
    writer_u8(to, (uint8_t)command->kind);
    writer_u32(to, (uint32_t)measure.wanted);
    codecs[command->kind].put(command, to);
}

bool command_decode(struct reader *from, struct command *command)
{
    uint8_t kind = reader_u8(from);
    struct bytes body = reader_bytes(from, reader_u32(from));
    if (from->failed || kind == 0 || kind >= COMMAND_KIND_END) {
        from->failed = true;
        return false;
    }
    memset(command, 0, sizeof *command);
    command->kind = (enum command_kind)kind;
    struct reader inner = reader_of(body);
    codecs[kind].get(&inner, command);
    if (inner.failed || inner.at != inner.end) {
        from->failed = true;
    }
    return !from->failed;
}

void command_beat_put(struct writer *to, struct bytes tenant, struct bytes user)
{
    writer_text(to, tenant);
    writer_text(to, user);
}

bool command_beat_next(struct reader *from, struct bytes *tenant, struct bytes *user)
{
    if (from->failed || from->at == from->end) {
        return false;
    }
    *tenant = get_text(from, 1, LIMIT_TENANT_LENGTH);
    *user = get_text(from, 1, LIMIT_USER_LENGTH);
    return !from->failed;
}

void command_change_put(struct writer *to, const struct command_change *change)
{
    writer_text(to, change->model);
    writer_text(to, change->document_id);
    writer_text(to, change->affected_model);
    put_groups(&change->groups, to);
    writer_u8(to, (uint8_t)((change->deleted ? CHANGE_DELETED : 0) |
                            (change->fragment ? CHANGE_FRAGMENT : 0) |
                            (change->urgent ? CHANGE_URGENT : 0)));
    writer_u32(to, change->json.length);
    writer_bytes(to, change->json);
}

bool command_change_next(struct reader *from, struct command_change *change)
{
    if (from->failed || from->at == from->end) {
        return false;
    }
    change->model = get_text(from, 1, LIMIT_MODEL_LENGTH);
    change->document_id = get_text(from, 1, LIMIT_DOCUMENT_ID_LENGTH);
    change->affected_model = get_text(from, 1, LIMIT_MODEL_LENGTH);
    get_groups(from, &change->groups);
    uint8_t flags = reader_u8(from);
    change->deleted = (flags & CHANGE_DELETED) != 0;
    change->fragment = (flags & CHANGE_FRAGMENT) != 0;
    change->urgent = (flags & CHANGE_URGENT) != 0;
    change->json = reader_bytes(from, reader_u32(from));
    if (change->json.length > LIMIT_JSON_BYTES ||
        flags > (CHANGE_DELETED | CHANGE_FRAGMENT | CHANGE_URGENT)) {
        from->failed = true;
    }
    return !from->failed;
}

void command_reason_put(struct writer *to, struct bytes code, struct bytes message)
{
    writer_text(to, code);
    writer_text(to, message);
}

bool command_reason_next(struct reader *from, struct bytes *code, struct bytes *message)
{
    if (from->failed || from->at == from->end) {
        return false;
    }
    *code = get_text(from, 0, COMMAND_REASON_CODE_LENGTH);
    *message = get_text(from, 0, COMMAND_REASON_MESSAGE_LENGTH);
    return !from->failed;
}

/* ---- What applying can make ---- */

#define EFFECT_HEAD_BYTES 8u
#define REPLY_SMALL_BYTES 64u /* every reply but a batch's, with its head */

static size_t batch_effects_max(struct bytes body)
{
    struct command_caller caller;
    struct reader from = reader_of(body);
    get_caller(&from, &caller);
    uint32_t count = reader_u32(&from);
    (void)reader_bytes(&from, reader_u32(&from));
    struct bytes percents = reader_bytes(&from, count);
    if (from.failed || count > LIMIT_BATCH_UPDATES) {
        return REPLY_SMALL_BYTES;
    }
    return REPLY_SMALL_BYTES + (size_t)count * 2 +
           count_complete(percents) * (size_t)(EFFECT_HEAD_BYTES + EVENT_COMPLETED_BYTES_MAX);
}

/* A change's event repeats the caller's names and the change without its JSON; each change is
 * counted with the longest. */
static size_t record_effects_max(struct bytes body)
{
    struct command command;
    struct reader from = reader_of(body);
    get_caller(&from, &command.record.caller);
    (void)reader_bytes(&from, LIMIT_REQUEST_ID_LENGTH);
    (void)reader_u64(&from);
    uint32_t count = reader_u32(&from);
    if (from.failed || count > LIMIT_CHANGES) {
        return REPLY_SMALL_BYTES;
    }
    return REPLY_SMALL_BYTES + (size_t)count * (EFFECT_HEAD_BYTES + EVENT_CHANGED_BYTES_MAX);
}

/* Names and JSON of what is taken. */
static size_t take_effects_max(struct bytes body)
{
    struct command command;
    struct reader from = reader_of(body);
    get_take(&from, &command);
    return from.failed
               ? REPLY_SMALL_BYTES
               : REPLY_SMALL_BYTES + (size_t)command.take.documents_max * TAKE_DOCUMENT_BYTES_MAX +
                     (size_t)BATCH_CHANGES_MAX * TAKE_CHANGE_HEAD_BYTES + command.take.bytes_max +
                     LIMIT_JSON_BYTES;
}
_Static_assert(REPLY_SMALL_BYTES + (uint64_t)COMMAND_TAKE_DOCUMENTS_MAX * TAKE_DOCUMENT_BYTES_MAX +
                       (uint64_t)BATCH_CHANGES_MAX * TAKE_CHANGE_HEAD_BYTES +
                       COMMAND_TAKE_BYTES_MAX + LIMIT_JSON_BYTES <=
                   128u * 1024 * 1024,
               "the largest batch fits an entry's effects");
_Static_assert((uint64_t)BATCH_CHANGES_MAX *(EFFECT_HEAD_BYTES + EVENT_CHANGED_BYTES_MAX) <=
                   100u * 1024 * 1024,
               "so do the events about it");

/* An event for each affected model of each document. */
static size_t result_effects_max(struct bytes body)
{
    struct reader from = reader_of(body);
    (void)reader_u64(&from);
    (void)reader_u64(&from);
    (void)reader_u32(&from);
    uint32_t count = reader_u32(&from);
    if (from.failed || count > COMMAND_TAKE_DOCUMENTS_MAX) {
        return REPLY_SMALL_BYTES;
    }
    size_t events = (size_t)count * LIMIT_AFFECTED_MODELS;
    events = events < BATCH_CHANGES_MAX ? events : BATCH_CHANGES_MAX;
    return REPLY_SMALL_BYTES + events * (EFFECT_HEAD_BYTES + EVENT_CHANGED_BYTES_MAX);
}

size_t command_effects_max(struct bytes encoded)
{
    struct reader from = reader_of(encoded);
    uint8_t kind = reader_u8(&from);
    struct bytes body = reader_bytes(&from, reader_u32(&from));
    switch (kind) {
    case COMMAND_CREATE:
        return REPLY_SMALL_BYTES + EFFECT_HEAD_BYTES + EVENT_BYTES_MAX;
    case COMMAND_UPDATE:
    case COMMAND_DESTROY:
        return REPLY_SMALL_BYTES + EFFECT_HEAD_BYTES + EVENT_ENDED_BYTES_MAX;
    case COMMAND_BATCH:
        return batch_effects_max(body);
    case COMMAND_RECORD:
        return record_effects_max(body);
    case COMMAND_TAKE:
        return take_effects_max(body);
    case COMMAND_RESULT:
        return result_effects_max(body);
    default:
        return REPLY_SMALL_BYTES;
    }
}

/* ---- The head of an entry ---- */

void entry_head_encode(const struct entry_head *head, struct writer *to)
{
    writer_u8(to, head->version);
    writer_u8(to, head->flags);
    writer_u16(to, head->elapsed_ms);
    writer_u32(to, head->writer);
    writer_u64(to, head->clock_ms);
    writer_u32(to, head->count);
    writer_u32(to, head->reserved);
}

bool entry_head_decode(struct reader *from, struct entry_head *head)
{
    head->version = reader_u8(from);
    head->flags = reader_u8(from);
    head->elapsed_ms = reader_u16(from);
    head->writer = reader_u32(from);
    head->clock_ms = reader_u64(from);
    head->count = reader_u32(from);
    head->reserved = reader_u32(from);
    if (head->version != ENTRY_VERSION || head->flags > (ENTRY_RESUME | ENTRY_JUMP) ||
        head->elapsed_ms > ENTRY_ELAPSED_MAX_MS || head->reserved != 0) {
        from->failed = true;
    }
    return !from->failed;
}
