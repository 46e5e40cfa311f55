#include "tests/sim/random.h"

#include "server/check.h"
#include "tests/sim/script.h"

uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

uint64_t random_below(uint64_t *state, uint64_t bound)
{
    return (random_next(state) >> 11) % bound;
}

bool random_chance(uint64_t *state, unsigned of_thousand)
{
    return random_below(state, 1000) < of_thousand;
}

/* ---- The world ---- */

static struct bytes word(const char *text)
{
    return bytes_of(text, strlen(text));
}

#define PICK(world, words)                                                                         \
    word((words)[random_below(&(world)->state, sizeof(words) / sizeof *(words))])

/* The first tenant is named more often: it comes to hold more than half of a table. */
static const char *const tenants[] = {"acme", "acme", "acme", "beta", "gamma"};
static const char *const users[] = {"anna", "bert", "carl", "dora", "emil"};
static const char *const groups[] = {"editors", "ingest", "night shift", "archive", "news"};
static const char *const principals[] = {"spiffe://test/upload", "spiffe://test/transcoder",
                                         "spiffe://test/gateway", "spiffe://test/archive"};
static const char *const types[] = {"upload", "transcoding", "batchUpdate", "miscActivities"};
static const char *const models[] = {"mediacontainer", "asset", "folder"};
static const char *const affected_models[] = {"mediaContainer", "rights", "preview", "metadata",
                                              "usage"};
static const char *const documents[] = {"1", "2", "3", "123", "a/b", "\xc3\xa4hre", "7", "8"};

/* Bytes that live as long as the entry. */
static struct buffer *scratch(struct world *world)
{
    CHECK(world->bytes_used < sizeof world->bytes / sizeof *world->bytes);
    struct buffer *buffer = &world->bytes[world->bytes_used++];
    buffer->length = 0;
    return buffer;
}

static struct bytes noise(struct world *world, uint64_t length)
{
    struct buffer *buffer = scratch(world);
    for (uint64_t i = 0; i < length; i += 8) {
        uint64_t letters = random_next(&world->state);
        char text[8];
        for (int k = 0; k < 8; k++) {
            text[k] = (char)('a' + ((letters >> (8 * k)) & 15));
        }
        buffer_put(buffer, text, length - i < 8 ? length - i : 8);
    }
    return buffer_bytes(buffer);
}

static uint8_t some_groups(struct world *world, struct bytes *to, unsigned most)
{
    uint8_t count = 0;
    uint64_t offset = random_next(&world->state) >> 8;
    unsigned wanted = (unsigned)world_between(world, 0, most);
    for (unsigned i = 0; i < wanted; i++) {
        to[count++] = word(groups[(i + offset) % (sizeof groups / sizeof *groups)]);
    }
    return count;
}

void world_caller(struct world *world, struct command_caller *caller)
{
    *caller = (struct command_caller){.tenant = PICK(world, tenants),
                                      .principal = PICK(world, principals)};
    if (world_chance(world, 600)) {
        caller->user = PICK(world, users);
        caller->group_count = some_groups(world, caller->groups, 3);
    }
    caller->rights = (uint8_t)((world_chance(world, 60) ? RIGHT_ADMIN : 0) |
                               (world_chance(world, 60) ? RIGHT_UPDATE_ANY : 0));
}

/* Mostly somebody who may change the job, else anybody. */
static void caller_for(struct world *world, const struct model *model, uint64_t job_id,
                       struct command_caller *caller)
{
    world_caller(world, caller);
    if (world_chance(world, 650)) {
        model_rightful(model, job_id, world_chance(world, 500), caller);
    }
}

uint64_t world_job(struct world *world, const struct model *model)
{
    uint64_t pick = random_next(&world->state) >> 8, kind = random_below(&world->state, 100);
    if (kind < 60) {
        return model_job(model, MODEL_RUNNING, pick);
    }
    if (kind < 78) {
        return model_job(model, MODEL_ENDED, pick);
    }
    if (kind < 90) {
        return model_job(model, MODEL_LEFT, pick);
    }
    if (kind < 95) { /* near a real one: another slot or generation */
        return model_job(model, MODEL_RUNNING, pick) ^
               (UINT64_C(1) << random_below(&world->state, 53));
    }
    return kind < 98 ? random_below(&world->state, UINT64_C(1) << 30) : random_next(&world->state);
}

static void some_request_id(struct world *world, uint8_t id[LIMIT_REQUEST_ID_LENGTH])
{
    memset(id, 0, LIMIT_REQUEST_ID_LENGTH);
    snprintf((char *)id, LIMIT_REQUEST_ID_LENGTH, "r%u", ++world->serial);
}

/* ---- Commands ---- */

static void make_epoch(struct world *world, struct command *command, uint32_t raise)
{
    command->kind = COMMAND_EPOCH;
    command->epoch =
        (struct command_epoch){.epoch = random_next(&world->state),
                               .first_generation = (uint32_t)random_below(&world->state, 1u << 28),
                               .raise_generations = raise,
                               .first_ticket = random_next(&world->state)};
    for (int i = 0; i < 16; i++) {
        command->epoch.hash_key[i] = (uint8_t)random_next(&world->state);
    }
}

static void make_limits(struct world *world, struct command *command)
{
    command->kind = COMMAND_LIMITS;
    memcpy(command->limits.values, world->limits.values, sizeof command->limits.values);
}

/* Somebody changes the configuration: a few values, never above the core's capacity. */
static void make_other_limits(struct world *world, struct command *command)
{
    struct core_limits other = world->limits;
    if (world->tight) {
        world_tight_limits(world, &other);
        for (unsigned i = 0; i < CORE_LIMIT_COUNT; i++) {
            other.values[i] = world_chance(world, 400) ? other.values[i] : world->limits.values[i];
        }
        if (other.request_id_most_ms < other.request_id_least_ms) {
            other.request_id_most_ms = other.request_id_least_ms;
        }
    } else {
        other.flush_delay_ms = world_between(world, 0, 1000);
    }
    if (core_limits_check(&other) == NULL) {
        world->limits = other;
    }
    make_limits(world, command);
}

static void make_tick(struct world *world, struct command *command)
{
    command->kind = COMMAND_TICK;
    command->tick = (struct command_tick){0};
    if (world_chance(world, 800)) {
        size_t i =
            world_chance(world, 800) ? 0 : (size_t)random_below(&world->state, WORLD_DIGESTS);
        command->tick.index = world->digests[i].index;
        command->tick.digest = world->digests[i].digest;
    }
    if (world_chance(world, 300)) {
        struct buffer *buffer = scratch(world);
        command->tick.beat_count = (uint32_t)world_between(world, 1, 3);
        for (uint32_t i = 0; i < command->tick.beat_count; i++) {
            uint8_t bytes[256];
            struct writer writer = writer_of(bytes, sizeof bytes);
            command_beat_put(&writer, PICK(world, tenants), PICK(world, users));
            buffer_put(buffer, bytes, (size_t)(writer.at - bytes));
        }
        command->tick.beats = buffer_bytes(buffer);
    }
}

static void make_create(struct world *world, const struct model *model, struct command *command)
{
    command->kind = COMMAND_CREATE;
    struct command_create *create = &command->create;
    *create = (struct command_create){.type = PICK(world, types)};
    world_caller(world, &create->caller);
    some_request_id(world, create->request_id);
    create->title = noise(world, world_chance(world, 300) ? 0 : world_between(world, 1, 60));
    create->groups.count = some_groups(world, create->groups.names, 3);
    create->attributes = noise(world, world->wordy ? world_between(world, 0, LIMIT_ATTRIBUTES_BYTES)
                                      : world_chance(world, 600) ? 0
                                                                 : world_between(world, 1, 120));
    if (world_chance(world, 150)) {
        create->parent_job_id = world_job(world, model);
        if (world_chance(world, 800)) {
            model_rightful(model, create->parent_job_id, world_chance(world, 500), &create->caller);
        }
    }
    if (world_chance(world, 80)) {
        create->retry_of_job_id = world_job(world, model);
    }
}

static void make_update(struct world *world, const struct model *model, struct command *command)
{
    command->kind = COMMAND_UPDATE;
    struct command_update *update = &command->update;
    *update = (struct command_update){.job_id = world_job(world, model)};
    if (world_chance(world, 60) &&
        model_last_update(model, random_next(&world->state) >> 8, update)) {
        caller_for(world, model, update->job_id, &update->caller);
        return; /* the update that ended a job, once more */
    }
    caller_for(world, model, update->job_id, &update->caller);
    update->has_percent = world_chance(world, 750);
    update->percent = update->has_percent ? (uint8_t)random_below(&world->state, 100) : 0;
    update->has_status_text = world_chance(world, 400);
    if (update->has_status_text && world_chance(world, 850)) {
        update->status_text =
            noise(world, world_between(world, 1, world->wordy ? LIMIT_STATUS_TEXT_LENGTH : 40));
    }
    if (world_chance(world, 60)) {
        update->has_failure = true;
        update->failure_code = word(world_chance(world, 500) ? "CODEC_MISSING" : "DISK");
        update->failure_message = noise(
            world, random_below(&world->state, world->wordy ? LIMIT_FAILURE_MESSAGE_LENGTH : 60));
    } else if (world_chance(world, 160)) {
        update->has_percent = true;
        update->percent = 100;
        if (world_chance(world, 600)) {
            update->result = noise(world, world->wordy && world_chance(world, 150)
                                              ? world_between(world, 1, 500000)
                                              : world_between(world, 1, 200));
        }
    }
}

static void make_batch(struct world *world, const struct model *model, struct command *command)
{
    command->kind = COMMAND_BATCH;
    struct command_batch *batch = &command->batch;
    *batch = (struct command_batch){
        .count = (uint32_t)world_between(world, 1, world_chance(world, 100) ? 60 : 12)};
    struct buffer *deltas = scratch(world), *percents = scratch(world);
    uint64_t previous = 0, first = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t job_id = i > 0 && world_chance(world, 150)
                              ? previous
                              : world_job(world, model); /* duplicates are legal */
        first = i == 0 ? job_id : first;
        uint64_t difference = job_id - previous,
                 zigzag = (difference << 1) ^ (0 - (difference >> 63));
        for (; zigzag >= 0x80; zigzag >>= 7) {
            uint8_t byte = (uint8_t)(zigzag | 0x80);
            buffer_put(deltas, &byte, 1);
        }
        uint8_t last = (uint8_t)zigzag,
                percent =
                    (uint8_t)(world_chance(world, 120) ? 100 : random_below(&world->state, 101));
        buffer_put(deltas, &last, 1);
        buffer_put(percents, &percent, 1);
        previous = job_id;
    }
    batch->deltas = buffer_bytes(deltas);
    batch->percents = buffer_bytes(percents);
    caller_for(world, model, first, &batch->caller);
    if (world_chance(world, 600)) {
        batch->caller.rights |= RIGHT_UPDATE_ANY;
    }
}

static void make_destroy(struct world *world, const struct model *model, struct command *command)
{
    command->kind = COMMAND_DESTROY;
    command->destroy = (struct command_destroy){.job_id = world_job(world, model)};
    caller_for(world, model, command->destroy.job_id, &command->destroy.caller);
}

static void make_record(struct world *world, const struct model *model, struct command *command)
{
    command->kind = COMMAND_RECORD;
    struct command_record *record = &command->record;
    *record = (struct command_record){
        .change_count = (uint32_t)world_between(world, 1, world_chance(world, 150) ? 12 : 3)};
    world_caller(world, &record->caller);
    some_request_id(world, record->request_id);
    if (world_chance(world, 200)) {
        record->job_id = world_job(world, model);
        if (world_chance(world, 800)) {
            model_rightful(model, record->job_id, world_chance(world, 500), &record->caller);
        }
    }
    struct buffer *changes = scratch(world);
    for (uint32_t i = 0; i < record->change_count; i++) {
        struct command_change change = {.model = PICK(world, models),
                                        .document_id = PICK(world, documents),
                                        .affected_model = PICK(world, affected_models),
                                        .deleted = world_chance(world, 50)};
        change.groups.count = some_groups(world, change.groups.names, 2);
        if (world_chance(world, 100)) {
            change.groups.names[0] = word("*");
            change.groups.count = 1;
        }
        bool long_json = world->wordy && i == 0 && world_chance(world, 60);
        if (!change.deleted && (long_json || world_chance(world, 300)) &&
            world->bytes_used + 8 < sizeof world->bytes / sizeof *world->bytes) {
            change.json = noise(world, long_json ? world_between(world, 1, LIMIT_JSON_BYTES)
                                                 : world_between(world, 2, 600));
        }
        struct writer measure = writer_of(NULL, 0);
        command_change_put(&measure, &change);
        uint8_t *bytes = malloc(measure.wanted);
        CHECK(bytes != NULL);
        struct writer writer = writer_of(bytes, measure.wanted);
        command_change_put(&writer, &change);
        buffer_put(changes, bytes, measure.wanted);
        free(bytes);
    }
    record->changes = buffer_bytes(changes);
}

/* ---- Repetitions ---- */

static void remember(struct world *world, const struct command *command)
{
    struct buffer *sent = &world->sent[world->sent_count++ % WORLD_REQUESTS];
    struct writer measure = writer_of(NULL, 0);
    command_encode(command, &measure);
    buffer_free(sent);
    sent->at = malloc(measure.wanted);
    CHECK(sent->at != NULL);
    sent->length = sent->room = measure.wanted;
    struct writer writer = writer_of(sent->at, measure.wanted);
    command_encode(command, &writer);
}

/* Something that was sent before: as it was, with another payload, or from somebody else. */
static bool make_repetition(struct world *world, struct command *command)
{
    uint32_t count = world->sent_count < WORLD_REQUESTS ? world->sent_count : WORLD_REQUESTS;
    if (count == 0) {
        return false;
    }
    const struct buffer *sent = &world->sent[random_below(&world->state, count)];
    struct buffer *copy = scratch(world); /* what was sent may be forgotten within this entry */
    buffer_put(copy, sent->at, sent->length);
    struct reader reader = reader_of(buffer_bytes(copy));
    CHECK(command_decode(&reader, command));
    struct command_caller *caller =
        command->kind == COMMAND_CREATE ? &command->create.caller : &command->record.caller;
    uint64_t how = random_below(&world->state, 10);
    if (how == 0 && command->kind == COMMAND_CREATE) {
        command->create.title = noise(world, world_between(world, 1, 20));
    } else if (how == 0) {
        command->record.job_id ^= 1;
    } else if (how == 1) {
        caller->principal = PICK(world, principals);
    } else if (how == 2) {
        caller->user = world_chance(world, 500) ? PICK(world, users) : bytes_of(NULL, 0);
        caller->group_count = 0;
    } else if (how == 3) { /* rights and groups are no part of what is compared */
        caller->rights = (uint8_t)(caller->rights ^ RIGHT_UPDATE_ANY);
        caller->group_count = caller->user.length > 0 ? some_groups(world, caller->groups, 2) : 0;
    }
    return true;
}

static void make_command(struct world *world, const struct model *model, struct command *command)
{
    memset(command, 0, sizeof *command);
    uint64_t kind = random_below(&world->state, 1000);
    bool crowd = world->wordy && world_chance(world, 300); /* many long activities */
    if (kind < 230 || crowd) {
        make_create(world, model, command);
        remember(world, command);
    } else if (kind < 520) {
        make_update(world, model, command);
    } else if (kind < 600) {
        make_batch(world, model, command);
    } else if (kind < 645) {
        make_destroy(world, model, command);
    } else if (kind < 790) {
        make_record(world, model, command);
        remember(world, command);
    } else if (kind < 850 && make_repetition(world, command)) {
        return;
    } else if (kind < 853) {
        make_other_limits(world, command);
    } else if (kind == 853) {
        make_epoch(world, command, (uint32_t)random_below(&world->state, 200000));
    } else if (kind == 854) {
        command->kind = COMMAND_UPGRADE;
        command->upgrade.core_version = CORE_VERSION;
    } else {
        make_tick(world, command);
    }
}

/* ---- Entries ---- */

static uint16_t some_time(struct world *world)
{
    uint64_t kind = random_below(&world->state, 100);
    uint64_t pace = world->stormy && world->serial / 1500 % 2 == 1 ? 200 : world->pace; /* a lull */
    uint64_t ms = kind < 40   ? world_between(world, 0, 5)
                  : kind < 70 ? world_between(world, 0, 100)
                  : kind < 90 ? world_between(world, 100, 400)
                              : world_between(world, 500, 1900);
    return (uint16_t)(ms * pace / 100 > 1999 ? 1999 : ms * pace / 100);
}

static void some_head(struct world *world, struct entry_head *head)
{
    *head = (struct entry_head){.version = 1, .elapsed_ms = some_time(world)};
    if (world->restarted) {
        head->flags = ENTRY_RESUME | ENTRY_JUMP;
        head->elapsed_ms = 0;
        world->clock_ms += world_between(world, 0, 600000);
        world->restarted = false;
    } else if (world_chance(world, 1)) { /* a stall */
        head->flags = ENTRY_RESUME;
        head->elapsed_ms = ENTRY_ELAPSED_MAX_MS;
        world->clock_ms += world_between(world, 0, 600000);
    }
    world->clock_ms += head->elapsed_ms;
    if (world_chance(
            world,
            2)) { /* somebody sets the clock: by milliseconds, minutes or years, either way */
        static const uint64_t steps[] = {20, 60000, 7200000, UINT64_C(315360000000)};
        uint64_t by = world_between(world, 1, steps[random_below(&world->state, 4)]);
        world->clock_ms = world_chance(world, 500) ? world->clock_ms + by : world->clock_ms - by;
        if (world->clock_ms > SCRIPT_CLOCK_MS * 2 || world->clock_ms < SCRIPT_CLOCK_MS / 2) {
            world->clock_ms = SCRIPT_CLOCK_MS;
        }
    }
    head->clock_ms = world->clock_ms;
}

void world_first(struct world *world)
{
    some_head(world, &world->entry.head);
    make_epoch(world, &world->commands[0], 0);
    make_limits(world, &world->commands[1]);
    world->entry.count = 2;
}

void world_next(struct world *world, const struct model *model)
{
    world->bytes_used = 0;
    some_head(world, &world->entry.head);
    uint64_t kind = random_below(&world->state, 100);
    world->entry.count = kind < 75   ? 1
                         : kind < 95 ? (uint32_t)world_between(world, 2, 4)
                                     : (uint32_t)world_between(world, 1, WORLD_COMMANDS - 2);
    for (uint32_t i = 0; i < world->entry.count; i++) {
        make_command(world, model, &world->commands[i]);
    }
}

void world_applied(struct world *world, uint64_t index, uint64_t digest)
{
    memmove(&world->digests[1], &world->digests[0], (WORLD_DIGESTS - 1) * sizeof world->digests[0]);
    world->digests[0].index = index;
    world->digests[0].digest = digest;
}

void world_filter(struct world *world, const struct model *model,
                  struct core_find_activities *filter)
{
    memset(filter, 0, sizeof *filter);
    if (world_chance(world, 200)) {
        filter->type_count = (uint32_t)world_between(world, 1, 2);
        for (uint32_t i = 0; i < filter->type_count; i++) {
            filter->types[i] = PICK(world, types);
        }
    }
    if (world_chance(world, 200)) {
        filter->states = (uint32_t)world_between(world, 1, 31) << 1;
    }
    if (world_chance(world, 150)) {
        filter->job_id_count = (uint32_t)world_between(world, 1, 8);
        for (uint32_t i = 0; i < filter->job_id_count; i++) {
            filter->job_ids[i] = world_job(world, model);
        }
    }
    if (world_chance(world, 150)) {
        filter->updated_since_ms = world->clock_ms - world_between(world, 0, 60000);
    }
}
