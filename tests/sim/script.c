/* The reading half of script.h. */
#include "tests/sim/script.h"

#include "server/check.h"

#include <stdarg.h>

#define SCRIPT_BYTES (4u * 1024 * 1024)

/* One line, read from left to right. The first thing that is wrong is remembered in the script. */
struct line {
    struct script *script;
    const char *at;
    const char *end;
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct script *script, const char *format,
                                                        ...)
{
    if (script->error[0] == 0) {
        int length = snprintf(script->error, sizeof script->error, "line %u: ", script->line);
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(script->error + length, sizeof script->error - (size_t)length, format, arguments);
        va_end(arguments);
    }
    return false;
}

static void keep(struct script *script, uint8_t byte)
{
    CHECK(script->used < SCRIPT_BYTES);
    script->bytes[script->used++] = byte;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_escape(struct line *line)
{
    line->at++;
    if (line->at < line->end && (*line->at == '"' || *line->at == '\\')) {
        keep(line->script, (uint8_t)*line->at++);
        return true;
    }
    if (line->end - line->at < 3 || *line->at != 'x' || hex_value(line->at[1]) < 0 ||
        hex_value(line->at[2]) < 0) {
        return wrong(line->script, "an escape is \\xNN, \\\" or \\\\");
    }
    keep(line->script, (uint8_t)(hex_value(line->at[1]) * 16 + hex_value(line->at[2])));
    line->at += 3;
    return true;
}

/* A word: in quotes, or up to a blank or one of `stops`. */
static struct bytes read_word(struct line *line, const char *stops)
{
    size_t from = line->script->used;
    if (line->at < line->end && *line->at == '"') {
        line->at++;
        while (line->at < line->end && *line->at != '"') {
            if (*line->at == '\\') {
                if (!read_escape(line)) {
                    break;
                }
            } else {
                keep(line->script, (uint8_t)*line->at++);
            }
        }
        if (line->at < line->end && *line->at == '"') {
            line->at++;
        } else {
            wrong(line->script, "the quotes are not closed");
        }
    } else {
        while (line->at < line->end && *line->at != ' ' && strchr(stops, *line->at) == NULL) {
            keep(line->script, (uint8_t)*line->at++);
        }
    }
    return bytes_of(line->script->bytes + from, line->script->used - from);
}

static void skip_blanks(struct line *line)
{
    while (line->at < line->end && *line->at == ' ') {
        line->at++;
    }
}

/* Steps over a character that must be there. */
static void expect(struct line *line, char c)
{
    if (line->at < line->end && *line->at == c) {
        line->at++;
    } else {
        wrong(line->script, "'%c' is missing", c);
    }
}

static uint64_t read_number(struct line *line)
{
    char *end;
    uint64_t value = strtoull(line->at, &end, 0); /* a negative one wraps around, as intended */
    if (end == line->at || end > line->end) {
        wrong(line->script, "a number is missing");
        return 0;
    }
    line->at = end;
    return value;
}

static struct script_name *find_name(struct script *script, struct bytes word)
{
    for (uint32_t i = 0; i < script->name_count; i++) {
        if (strlen(script->names[i].name) == word.length &&
            memcmp(script->names[i].name, word.at, word.length) == 0) {
            return &script->names[i];
        }
    }
    return NULL;
}

static uint64_t read_job(struct line *line)
{
    if (line->at == line->end || *line->at != '$') {
        return read_number(line);
    }
    line->at++;
    struct bytes word = read_word(line, ":");
    struct script_name *name = find_name(line->script, word);
    if (name == NULL || name->job_id == 0) {
        wrong(line->script, "$%.*s is no job yet", (int)word.length, (const char *)word.at);
        return 0;
    }
    return name->job_id;
}

static void read_hex16(struct line *line, uint8_t to[16])
{
    expect(line, '0');
    expect(line, 'x');
    for (int i = 0; i < 16 && line->end - line->at >= 2; i++, line->at += 2) {
        to[i] = (uint8_t)(hex_value(line->at[0]) * 16 + hex_value(line->at[1]));
    }
}

static void read_request(struct line *line, uint8_t to[LIMIT_REQUEST_ID_LENGTH])
{
    if (line->end - line->at > 2 && line->at[0] == '0' && line->at[1] == 'x') {
        read_hex16(line, to);
        return;
    }
    struct bytes word = read_word(line, "");
    if (word.length > LIMIT_REQUEST_ID_LENGTH) {
        wrong(line->script, "a request id has 16 bytes");
        return;
    }
    memcpy(to, word.at, word.length);
}

static uint8_t read_list(struct line *line, struct bytes *to, uint8_t most)
{
    uint8_t count = 0;
    do {
        if (count == most) {
            wrong(line->script, "more than %u", most);
            return count;
        }
        to[count++] = read_word(line, ",");
    } while (line->at < line->end && *line->at == ',' && line->at++ != NULL);
    return count;
}

static bool is(struct bytes word, const char *text)
{
    return word.length == strlen(text) && memcmp(word.at, text, word.length) == 0;
}

static bool read_caller(struct line *line, struct bytes key, struct command_caller *caller)
{
    if (is(key, "in")) {
        caller->tenant = read_word(line, "");
    } else if (is(key, "by")) {
        caller->principal = read_word(line, "");
    } else if (is(key, "for")) {
        caller->user = read_word(line, "");
    } else if (is(key, "groups")) {
        caller->group_count = read_list(line, caller->groups, LIMIT_CALLER_GROUPS);
    } else if (is(key, "rights")) {
        struct bytes words[2];
        uint8_t count = read_list(line, words, 2);
        for (uint8_t i = 0; i < count; i++) {
            caller->rights |= is(words[i], "admin")        ? RIGHT_ADMIN
                              : is(words[i], "update_any") ? RIGHT_UPDATE_ANY
                                                           : 0;
        }
    } else {
        return false;
    }
    return true;
}

static bool read_epoch(struct line *line, struct bytes key, struct command *command)
{
    struct command_epoch *epoch = &command->epoch;
    if (is(key, "value")) {
        epoch->epoch = read_number(line);
    } else if (is(key, "key")) {
        read_hex16(line, epoch->hash_key);
    } else if (is(key, "generation")) {
        epoch->first_generation = (uint32_t)read_number(line);
    } else if (is(key, "raise")) {
        epoch->raise_generations = (uint32_t)read_number(line);
    } else if (is(key, "ticket")) {
        epoch->first_ticket = read_number(line);
    } else {
        return false;
    }
    return true;
}

static bool read_limits(struct line *line, struct bytes key, struct command *command)
{
    static const char *const names[] = {
#define NAME(name, standard, least, most, unit, text) #name,
        CORE_LIMITS(NAME)
#undef NAME
    };
    for (unsigned i = 0; i < CORE_LIMIT_COUNT; i++) {
        if (is(key, names[i])) {
            command->limits.values[i] = read_number(line);
            return true;
        }
    }
    return false;
}

static bool read_upgrade(struct line *line, struct bytes key, struct command *command)
{
    if (!is(key, "version")) {
        return false;
    }
    command->upgrade.core_version = (uint32_t)read_number(line);
    return true;
}

static bool read_tick(struct line *line, struct bytes key, struct command *command)
{
    struct script *script = line->script;
    struct command_tick *tick = &command->tick;
    if (is(key, "index")) {
        tick->index = read_number(line);
    } else if (is(key, "digest") && line->at < line->end && *line->at == 'n') {
        (void)read_word(line, "");
        tick->index = script->last_index;
        tick->digest = script->last_digest;
    } else if (is(key, "digest")) {
        tick->digest = read_number(line);
    } else if (is(key, "beat")) {
        struct bytes tenant = read_word(line, "/");
        expect(line, '/');
        struct bytes user = read_word(line, "");
        uint8_t *from = script->bytes + script->used;
        struct writer writer = writer_of(from, SCRIPT_BYTES - script->used);
        writer_bytes(&writer, tick->beats);
        command_beat_put(&writer, tenant, user);
        CHECK(!writer.failed);
        script->used = (size_t)(writer.at - script->bytes);
        tick->beats = bytes_of(from, (size_t)(writer.at - from));
        tick->beat_count++;
    } else {
        return false;
    }
    return true;
}

static bool read_create(struct line *line, struct bytes key, struct command *command)
{
    struct script *script = line->script;
    struct command_create *create = &command->create;
    if (is(key, "request")) {
        read_request(line, create->request_id);
    } else if (is(key, "type")) {
        create->type = read_word(line, "");
    } else if (is(key, "title")) {
        create->title = read_word(line, "");
    } else if (is(key, "share")) {
        create->groups.count = read_list(line, create->groups.names, LIMIT_OBJECT_GROUPS);
    } else if (is(key, "attributes")) {
        create->attributes = read_word(line, "");
    } else if (is(key, "parent")) {
        create->parent_job_id = read_job(line);
    } else if (is(key, "retry_of")) {
        create->retry_of_job_id = read_job(line);
    } else if (is(key, "as")) {
        expect(line, '$');
        struct bytes word = read_word(line, "");
        struct script_name *name = find_name(script, word);
        if (name == NULL) {
            CHECK(script->name_count < sizeof script->names / sizeof *script->names &&
                  word.length < sizeof name->name);
            name = &script->names[script->name_count++];
            memcpy(name->name, word.at, word.length);
        }
        script->creates[script->entry.count] = name->name;
    } else {
        return read_caller(line, key, &create->caller);
    }
    return true;
}

static bool read_update(struct line *line, struct bytes key, struct command *command)
{
    struct command_update *update = &command->update;
    if (is(key, "job")) {
        update->job_id = read_job(line);
    } else if (is(key, "percent")) {
        update->has_percent = true;
        update->percent = (uint8_t)read_number(line);
    } else if (is(key, "status")) {
        update->has_status_text = true;
        update->status_text = read_word(line, "");
    } else if (is(key, "failure")) {
        update->has_failure = true;
        update->failure_code = read_word(line, "");
    } else if (is(key, "message")) {
        update->failure_message = read_word(line, "");
    } else if (is(key, "result")) {
        update->result = read_word(line, "");
    } else {
        return read_caller(line, key, &update->caller);
    }
    return true;
}

static bool read_batch(struct line *line, struct bytes key, struct command *command)
{
    return read_caller(line, key, &command->batch.caller);
}

static bool read_destroy(struct line *line, struct bytes key, struct command *command)
{
    if (is(key, "job")) {
        command->destroy.job_id = read_job(line);
        return true;
    }
    return read_caller(line, key, &command->destroy.caller);
}

static bool read_record(struct line *line, struct bytes key, struct command *command)
{
    if (is(key, "request")) {
        read_request(line, command->record.request_id);
    } else if (is(key, "job")) {
        command->record.job_id = read_job(line);
    } else {
        return read_caller(line, key, &command->record.caller);
    }
    return true;
}

static const struct verb {
    const char *name;
    enum command_kind kind;
    bool (*read)(struct line *line, struct bytes key, struct command *command);
} verbs[] = {{"epoch", COMMAND_EPOCH, read_epoch},       {"limits", COMMAND_LIMITS, read_limits},
             {"upgrade", COMMAND_UPGRADE, read_upgrade}, {"tick", COMMAND_TICK, read_tick},
             {"create", COMMAND_CREATE, read_create},    {"update", COMMAND_UPDATE, read_update},
             {"batch", COMMAND_BATCH, read_batch},       {"destroy", COMMAND_DESTROY, read_destroy},
             {"record", COMMAND_RECORD, read_record}};

/* The columns of a batch: "$a:40 77:100", the first of which may stand after the caller's words. */
static void read_updates(struct line *line, struct command_batch *batch)
{
    struct script *script = line->script;
    uint8_t deltas[64 * 10], percents[64];
    size_t length = 0;
    uint64_t previous = 0;
    skip_blanks(line);
    while (line->at < line->end && script->error[0] == 0 && batch->count < 64) {
        uint64_t job_id = read_job(line);
        expect(line, ':');
        percents[batch->count++] = (uint8_t)read_number(line);
        int64_t difference = (int64_t)(job_id - previous);
        uint64_t zigzag = ((uint64_t)difference << 1) ^ (uint64_t)(difference >> 63);
        for (; zigzag >= 0x80; zigzag >>= 7) {
            deltas[length++] = (uint8_t)(zigzag | 0x80);
        }
        deltas[length++] = (uint8_t)zigzag;
        previous = job_id;
        skip_blanks(line);
    }
    size_t from = script->used;
    for (size_t i = 0; i < length; i++) {
        keep(script, deltas[i]);
    }
    batch->deltas = bytes_of(script->bytes + from, length);
    from = script->used;
    for (uint32_t i = 0; i < batch->count; i++) {
        keep(script, percents[i]);
    }
    batch->percents = bytes_of(script->bytes + from, batch->count);
}

static bool read_command(struct line *line, const struct verb *verb)
{
    struct script *script = line->script;
    if (script->entry.count == sizeof script->commands / sizeof *script->commands) {
        return wrong(script, "too many commands in an entry");
    }
    struct command *command = &script->commands[script->entry.count];
    *command = (struct command){.kind = verb->kind};
    script->creates[script->entry.count] = NULL;
    if (verb->kind == COMMAND_LIMITS) {
        struct core_limits standard;
        core_limits_standard(&standard);
        memcpy(command->limits.values, standard.values, sizeof standard.values);
    }
    for (skip_blanks(line); line->at < line->end && script->error[0] == 0; skip_blanks(line)) {
        if (verb->kind == COMMAND_BATCH &&
            (*line->at == '$' || (*line->at >= '0' && *line->at <= '9'))) {
            read_updates(line, &command->batch);
            break;
        }
        struct bytes key = read_word(line, "=");
        expect(line, '=');
        if (script->error[0] == 0 && !verb->read(line, key, command)) {
            wrong(script, "%s has no %.*s", verb->name, (int)key.length, (const char *)key.at);
        }
    }
    script->entry.count++;
    return script->error[0] == 0;
}

/* "change MODEL/ID/AFFECTED ..." goes to the end of the record before it. */
static bool read_change(struct line *line)
{
    struct script *script = line->script;
    struct command *command =
        script->entry.count == 0 ? NULL : &script->commands[script->entry.count - 1];
    if (command == NULL || command->kind != COMMAND_RECORD) {
        return wrong(script, "a change belongs to a record");
    }
    skip_blanks(line);
    struct command_change change = {.model = read_word(line, "/")};
    expect(line, '/');
    change.document_id = read_word(line, "/");
    expect(line, '/');
    change.affected_model = read_word(line, "");
    for (skip_blanks(line); line->at < line->end && script->error[0] == 0; skip_blanks(line)) {
        struct bytes key = read_word(line, "=");
        if (is(key, "deleted")) {
            change.deleted = true;
        } else if (is(key, "fragment")) {
            change.fragment = true;
        } else if (is(key, "urgent")) {
            change.urgent = true;
        } else if (is(key, "share")) {
            expect(line, '=');
            change.groups.count = read_list(line, change.groups.names, LIMIT_OBJECT_GROUPS);
        } else if (is(key, "json")) {
            expect(line, '=');
            change.json = read_word(line, "");
        } else {
            return wrong(script, "a change has no %.*s", (int)key.length, (const char *)key.at);
        }
    }
    struct command_record *record = &command->record;
    uint8_t *from = script->bytes + script->used;
    struct writer writer = writer_of(from, SCRIPT_BYTES - script->used);
    writer_bytes(&writer, record->changes);
    command_change_put(&writer, &change);
    CHECK(!writer.failed);
    script->used = (size_t)(writer.at - script->bytes);
    record->changes = bytes_of(from, (size_t)(writer.at - from));
    record->change_count++;
    return script->error[0] == 0;
}

static bool read_head(struct line *line)
{
    struct entry_head *head = &line->script->entry.head;
    *head = (struct entry_head){.version = 1, .clock_ms = SCRIPT_CLOCK_MS};
    for (skip_blanks(line); line->at < line->end && line->script->error[0] == 0;
         skip_blanks(line)) {
        struct bytes key = read_word(line, "=");
        if (is(key, "resume")) {
            head->flags |= ENTRY_RESUME;
        } else if (is(key, "jump")) {
            head->flags |= ENTRY_JUMP;
        } else if (is(key, "elapsed")) {
            expect(line, '=');
            head->elapsed_ms = (uint16_t)read_number(line);
        } else if (is(key, "clock")) {
            expect(line, '=');
            head->clock_ms = SCRIPT_CLOCK_MS + read_number(line);
        } else {
            return wrong(line->script, "an entry has no %.*s", (int)key.length,
                         (const char *)key.at);
        }
    }
    return line->script->error[0] == 0;
}

/* One line of an entry after its head. */
static bool read_line(struct line *line)
{
    struct script *script = line->script;
    struct bytes word = read_word(line, "");
    if (is(word, "change")) {
        return read_change(line);
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (is(word, verbs[i].name)) {
            return read_command(line, &verbs[i]);
        }
    }
    return wrong(script, "%.*s is no command", (int)word.length, (const char *)word.at);
}

void script_open(struct script *script, const char *text)
{
    *script = (struct script){.at = text, .bytes = malloc(SCRIPT_BYTES)};
    CHECK(script->bytes != NULL);
    script->entry.commands = script->commands;
}

void script_more(struct script *script, const char *text)
{
    script->at = text;
    script->line = 0;
}

void script_close(struct script *script)
{
    free(script->bytes);
    script->bytes = NULL;
}

int script_next(struct script *script)
{
    bool begun = false;
    script->used = 0;
    script->entry.count = 0;
    while (*script->at != 0) {
        const char *end = strchr(script->at, '\n');
        end = end == NULL ? script->at + strlen(script->at) : end;
        struct line line = {script, script->at, end};
        bool is_head = end - line.at >= 5 && memcmp(line.at, "entry", 5) == 0;
        if (is_head && begun) {
            return 1;
        }
        script->line++;
        script->at = *end == 0 ? end : end + 1;
        skip_blanks(&line);
        if (line.at == end || *line.at == '#' || *line.at == '=' || *line.at == '*') {
            continue;
        }
        if (!is_head && !begun) {
            wrong(script, "commands stand in an entry");
        }
        line.at += is_head ? 5 : 0;
        if (script->error[0] != 0 || !(is_head ? read_head(&line) : read_line(&line))) {
            return -1;
        }
        begun = true;
    }
    return begun ? 1 : 0;
}

void script_answered(struct script *script, struct bytes effects, const struct core_info *info)
{
    struct reader reader = reader_of(effects);
    struct effect effect;
    uint32_t i = 0;
    while (effect_next(&reader, &effect)) {
        if (effect.type != EFFECT_REPLY) {
            continue;
        }
        CHECK(i < script->entry.count);
        const char *name = script->creates[i];
        if (name != NULL && effect.code == STATUS_OK) {
            struct reply_create reply;
            reply_create_read(effect.body, &reply);
            find_name(script, bytes_of(name, strlen(name)))->job_id = reply.job_id;
        }
        i++;
    }
    script->last_index = info->index;
    script->last_digest = info->digest;
}
